//! `epoll-lab run`: a scenario line by line.

use std::fs;
use std::path::PathBuf;

use super::input::Source;
use super::judge::{Judged, Keep, On, judge};
use super::report::{show_difference, show_run};
use super::terminal::{FAINT, complain, outln, print, styled};
use super::variants::Wrong;
use super::{Unusable, Verdict, json};
use crate::scenario::Scenario;

/// Run scenarios and show what happened.
///
/// Without --on both kernels are asked; where they say the same it is shown once.
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:\n  \
    epoll-lab run my.strace\n  \
    epoll-lab run --trace --state my.strace\n  \
    epoll-lab run --on model --trace --requeue-at-head my.strace\n  \
    printf 'ep = epoll_create1(0)\\nepoll_wait(ep, ..., 1, 0)\\n' | epoll-lab run --record -")]
pub(super) struct Arguments {
    /// Files, folders, or - for standard input
    #[arg(required = true)]
    paths: Vec<PathBuf>,
    /// Which kernels to ask
    #[arg(long, value_enum, default_value_t = On::Both)]
    on: On,
    /// Show what happened inside the model during each call
    #[arg(long)]
    trace: bool,
    /// Show tree, lists and queues of the model after each call
    #[arg(long)]
    state: bool,
    /// Fill in the results that are missing; a file is rewritten, - goes to standard output
    #[arg(long)]
    record: bool,
    /// As JSON
    #[arg(long, conflicts_with = "record")]
    json: bool,
    #[command(flatten)]
    wrong: Wrong,
}

pub(super) fn run(arguments: &Arguments) -> Result<Verdict, Unusable> {
    arguments.wrong.check(arguments.on)?;
    let mut verdict = Verdict::Agree;
    let mut all = Vec::new();
    for path in &arguments.paths {
        for source in Source::read_all(path)? {
            let (scenario, judged) = run_one(arguments, &source)?;
            if !judged.agrees(&scenario) {
                verdict = Verdict::Differ;
            }
            all.push((source, scenario, judged));
        }
    }
    if arguments.json {
        outln!("{}", json::runs(&all));
    }
    Ok(verdict)
}

fn run_one(arguments: &Arguments, source: &Source) -> Result<(Scenario, Judged), Unusable> {
    let scenario = source.parse()?;
    let keep = Keep {
        traces: true,
        states: arguments.state || arguments.json,
    };
    let judged =
        judge(&scenario, arguments.on, arguments.wrong.variants, keep).map_err(|error| {
            complain(format_args!("{}: {error}", source.path));
            Unusable
        })?;
    if arguments.record {
        record(source, &scenario, &judged)?;
    } else if !arguments.json {
        show(arguments, source, &scenario, &judged);
    }
    Ok((scenario, judged))
}

fn show(arguments: &Arguments, source: &Source, scenario: &Scenario, judged: &Judged) {
    if let Some(reason) = &judged.skipped {
        complain(format_args!(
            "{}: not run on this kernel: {reason}",
            source.path
        ));
    }
    if !judged.agrees(scenario) {
        show_difference(&source.path, &source.text, scenario, judged);
    } else if let Some(explored) = &judged.explored {
        outln!("{}", explored.table.trim_end());
        if let Some(observed) = &explored.observed {
            outln!(
                "{}",
                styled(FAINT, format_args!("# {}", observed.summary()))
            );
        }
        outln!(
            "{}",
            styled(FAINT, format_args!("# {}", judged.agreement()))
        );
    } else if let Some(run) = judged.runs().next() {
        // They agree, so the first one speaks for both; and only the model has more to tell.
        show_run(scenario, run, arguments.trace, arguments.state);
        outln!(
            "{}",
            styled(FAINT, format_args!("# {}", judged.agreement()))
        );
    }
}

/// Fills in what was left out, if the kernels agree on it.
fn record(source: &Source, scenario: &Scenario, judged: &Judged) -> Result<(), Unusable> {
    if !judged.agrees(scenario) {
        show_difference(&source.path, &source.text, scenario, judged);
        return Ok(());
    }
    if judged.explored.is_some() {
        complain(format_args!(
            "{}: a parallel block has many runs, and none of them can be recorded",
            source.path
        ));
        return Err(Unusable);
    }
    let Some(run) = judged.runs().last() else {
        complain(format_args!("{}: nothing was run", source.path));
        return Err(Unusable);
    };
    let recorded = scenario.record(run);
    if source.path == "-" {
        print(format_args!("{recorded}"));
    } else if recorded != source.text {
        fs::write(&source.path, recorded).map_err(|error| {
            complain(format_args!("cannot write {}: {error}", source.path));
            Unusable
        })?;
        outln!("{}", source.path);
    }
    Ok(())
}
