//! `epoll-lab check`: all scenarios, one line a topic, one line at the end.

use std::io::IsTerminal;
use std::path::PathBuf;
use std::time::Duration;

use indexmap::IndexMap;
use indicatif::{ProgressBar, ProgressStyle};

use super::input::Source;
use super::judge::{Judged, Keep, On, judge};
use super::laws::sources;
use super::report::show_difference;
use super::terminal::{BAD, BOLD, FAINT, GOOD, complain, outln, styled};
use super::variants::Wrong;
use super::{Unusable, Verdict, json};
use crate::scenario::{Counts, Scenario};

/// Run scenarios on both kernels and say where they agree.
///
/// Without paths these are the scenarios inside the program. The last line is always
/// `N scenarios: A agree, D differ, S skipped`.
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:\n  \
    epoll-lab check\n  \
    epoll-lab check examples/scenarios/04-trigger my-own.strace\n  \
    epoll-lab check --on model --json\n  \
    epoll-lab check --on model --without ovflist examples/scenarios/08-overflow")]
pub(super) struct Arguments {
    /// Files or folders
    paths: Vec<PathBuf>,
    /// Which kernels to ask
    #[arg(long, value_enum, default_value_t = On::Both)]
    on: On,
    /// As JSON: one object with a list of scenarios
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    wrong: Wrong,
}

/// How a scenario ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Ending {
    Agree,
    Differ,
    Skipped,
}

/// A scenario and how it ended.
#[derive(Debug)]
pub(super) struct Checked {
    pub(super) source: Source,
    pub(super) scenario: Scenario,
    pub(super) judged: Judged,
}

impl Checked {
    pub(super) fn ending(&self) -> Ending {
        match (&self.judged.skipped, self.judged.agrees(&self.scenario)) {
            (_, false) => Ending::Differ,
            (Some(_), true) => Ending::Skipped,
            (None, true) => Ending::Agree,
        }
    }
}

/// A line of the table.
#[derive(Clone, Copy, Debug, Default)]
struct Topic {
    agree: usize,
    differ: usize,
    skipped: usize,
    counts: Counts,
}

pub(super) fn check(arguments: &Arguments) -> Result<Verdict, Unusable> {
    arguments.wrong.check(arguments.on)?;
    let variants = arguments.wrong.variants;
    let sources = sources(&arguments.paths)?;
    // A mistake in any of them is told before the first one runs.
    let scenarios = sources
        .iter()
        .map(Source::parse)
        .collect::<Result<Vec<_>, _>>()?;
    let progress = progress_bar(sources.len());
    let mut checked = Vec::new();
    for (source, scenario) in sources.into_iter().zip(scenarios) {
        progress.set_message(source.name().to_owned());
        let mut judged =
            judge(&scenario, arguments.on, variants, Keep::default()).map_err(|error| {
                progress.suspend(|| complain(format_args!("{}: {error}", source.path)));
                Unusable
            })?;
        if !judged.agrees(&scenario) && judged.model.is_some() {
            // What happened inside is only worth keeping where something went wrong.
            let traced = judge(
                &scenario,
                On::Model,
                variants,
                Keep {
                    traces: true,
                    states: false,
                },
            );
            judged.model = traced.ok().and_then(|traced| traced.model);
        }
        progress.inc(1);
        checked.push(Checked {
            source,
            scenario,
            judged,
        });
    }
    progress.finish_and_clear();

    if arguments.json {
        outln!("{}", json::checked(&checked));
    } else {
        for one in checked.iter().filter(|one| one.ending() == Ending::Differ) {
            show_difference(
                &one.source.path,
                &one.source.text,
                &one.scenario,
                &one.judged,
            );
        }
        show_table(&checked);
        show_skipped(&checked);
        show_last_line(&checked);
    }
    let differ = checked
        .iter()
        .any(|checked| checked.ending() == Ending::Differ);
    Ok(if differ {
        Verdict::Differ
    } else {
        Verdict::Agree
    })
}

/// On a terminal only; a pipe has no use for it.
pub(super) fn progress_bar(length: usize) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(u64::try_from(length).unwrap_or(u64::MAX));
    let style = ProgressStyle::with_template("{bar:30} {pos}/{len} {msg}");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

fn show_table(checked: &[Checked]) {
    let mut topics: IndexMap<&str, Topic> = IndexMap::new();
    for one in checked {
        let topic = topics.entry(&one.source.topic).or_default();
        match one.ending() {
            Ending::Agree => topic.agree += 1,
            Ending::Differ => topic.differ += 1,
            Ending::Skipped => topic.skipped += 1,
        }
        let counts = one.judged.counts();
        topic.counts.asserted += counts.asserted;
        topic.counts.open += counts.open;
        topic.counts.unordered += counts.unordered;
    }
    let width = topics
        .keys()
        .map(|name| name.chars().count())
        .max()
        .unwrap_or(0)
        .max(5);
    outln!(
        "{}",
        styled(
            BOLD,
            format_args!(
                "{:width$} {:>6} {:>6} {:>7} {:>9} {:>5} {:>9}",
                "topic", "agree", "differ", "skipped", "asserted", "open", "unordered"
            )
        )
    );
    for (
        name,
        Topic {
            agree,
            differ,
            skipped,
            counts,
        },
    ) in topics
    {
        let style = if differ > 0 { BAD } else { GOOD };
        let differ = styled(style, format_args!("{differ:>6}"));
        let Counts {
            asserted,
            open,
            unordered,
        } = counts;
        outln!(
            "{name:width$} {agree:>6} {differ} {skipped:>7} {asserted:>9} {open:>5} {unordered:>9}"
        );
    }
}

/// Every reason with how many scenarios it kept from running.
fn show_skipped(checked: &[Checked]) {
    let mut reasons: IndexMap<&str, Vec<&str>> = IndexMap::new();
    for one in checked.iter().filter(|one| one.ending() == Ending::Skipped) {
        if let Some(reason) = &one.judged.skipped {
            reasons.entry(reason).or_default().push(one.source.name());
        }
    }
    for (reason, names) in reasons {
        outln!("skipped {}: {reason}", names.len());
        for name in names {
            outln!("  {}", styled(FAINT, name));
        }
    }
}

fn show_last_line(checked: &[Checked]) {
    let count = |ending| checked.iter().filter(|one| one.ending() == ending).count();
    outln!(
        "{} scenarios: {} agree, {} differ, {} skipped",
        checked.len(),
        count(Ending::Agree),
        count(Ending::Differ),
        count(Ending::Skipped)
    );
}
