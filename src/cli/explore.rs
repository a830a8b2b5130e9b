//! `epoll-lab explore`: every interleaving of a scenario.

use std::io::IsTerminal;
use std::path::PathBuf;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use super::input::Source;
use super::terminal::{BAD, BOLD, FAINT, GOOD, complain, outln, point_at, styled};
use super::variants::Wrong;
use super::{Unusable, Verdict, json};
use crate::explore::{
    Checks, Exploration, Explorer, Figures, Problem, Reduction, Replay, Schedule, Table,
};
use crate::scenario::Scenario;

/// Explore all interleavings of a scenario's tasks.
///
/// Shows every outcome with a schedule that leads to it, what the closing lines say, and what is wrong:
/// deadlocks, wake-ups that are lost, broken invariants, each with the way there. A scenario without a
/// `parallel` block is asked what else could have happened. The last line is always
/// `explored: N states, M steps, K outcomes, R steps/s`.
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:\n  \
    epoll-lab explore my.strace\n  \
    epoll-lab explore my.strace --schedule 'main*4 A*7' --trace\n  \
    epoll-lab explore --max-states 100000 --json my.strace\n\n\
    Exit status: 0 if everything is as the scenario says, 1 if not, 2 if there are more states than\n\
    --max-states, or for a mistake in the input.")]
pub(super) struct Arguments {
    /// Files, folders, or - for standard input
    #[arg(required = true)]
    paths: Vec<PathBuf>,
    /// Stop when there are more states than this
    #[arg(long, value_name = "N", default_value_t = 10_000_000)]
    max_states: usize,
    /// Check every invariant in every state, and not only where everything has come to rest
    #[arg(long)]
    check: bool,
    /// Try every order, also those that are known to come to the same
    #[arg(long)]
    unreduced: bool,
    /// Walk along one schedule instead, as `main*4 A*7 A!`
    #[arg(long, value_name = "SCHEDULE", conflicts_with_all = ["max_states", "check", "unreduced"])]
    schedule: Option<String>,
    /// With --schedule: show what happens inside the model
    #[arg(long, requires = "schedule")]
    trace: bool,
    /// Show figures only
    #[arg(long, short, conflicts_with = "json")]
    quiet: bool,
    /// As JSON
    #[arg(long, conflicts_with = "schedule")]
    json: bool,
    #[command(flatten)]
    wrong: Wrong,
}

impl Arguments {
    fn explorer(&self) -> Explorer {
        let mut explorer = Explorer::new()
            .max_states(self.max_states)
            .variants(self.wrong.variants);
        if self.unreduced {
            explorer = explorer.reduction(Reduction::None);
        }
        if self.check {
            explorer = explorer.checks(Checks::Everywhere);
        }
        explorer
    }
}

pub(super) fn explore(arguments: &Arguments) -> Result<Verdict, Unusable> {
    let mut sources = Vec::new();
    for path in &arguments.paths {
        sources.extend(Source::read_all(path)?);
    }
    let scenarios = sources
        .iter()
        .map(Source::parse)
        .collect::<Result<Vec<_>, _>>()?;
    if let Some(schedule) = &arguments.schedule {
        let [(source, scenario)] = &*sources.iter().zip(&scenarios).collect::<Vec<_>>() else {
            complain(format_args!("a schedule belongs to one scenario"));
            return Err(Unusable);
        };
        return replay(arguments, source, scenario, &Schedule::new(schedule));
    }
    let mut verdict = Ok(Verdict::Agree);
    let mut all = Vec::new();
    for (source, scenario) in sources.iter().zip(&scenarios) {
        let exploration = explore_one(arguments, source, scenario)?;
        if exploration.bound_reached {
            verdict = Err(Unusable);
        } else if !exploration.is_as_written() && verdict.is_ok() {
            verdict = Ok(Verdict::Differ);
        }
        if !arguments.json {
            show(arguments, source, &exploration);
        }
        all.push((source, exploration));
    }
    if arguments.json {
        outln!("{}", json::explorations(&all));
    }
    verdict
}

fn explore_one<'s>(
    arguments: &Arguments,
    source: &Source,
    scenario: &'s Scenario,
) -> Result<Exploration<'s>, Unusable> {
    let progress = spinner();
    let explored = arguments
        .explorer()
        .explore_watched(scenario, &mut |figures| {
            let Figures { states, steps, .. } = figures;
            progress.set_message(format!(
                "{states} states, {steps} steps, {} steps/s",
                figures.rate()
            ));
        });
    progress.finish_and_clear();
    explored.map_err(|error| {
        point_at(&source.path, &source.text, &error);
        Unusable
    })
}

/// On a terminal only; a pipe has no use for it.
fn spinner() -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let spinner = ProgressBar::new_spinner();
    let style = ProgressStyle::with_template("{spinner} {elapsed} {msg}");
    spinner.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
    spinner.enable_steady_tick(Duration::from_millis(200));
    spinner
}

fn show(arguments: &Arguments, source: &Source, exploration: &Exploration<'_>) {
    if !arguments.quiet {
        for line in exploration.table(Table::Schedules).lines() {
            let (text, remark) = line.split_once("    # ").unwrap_or((line, ""));
            let style = match line {
                line if line.starts_with(' ') => None,
                line if line.contains("    Ok: ") => Some(GOOD),
                line if line.contains("    No: ") => Some(BAD),
                _ => Some(BOLD),
            };
            let text = style.map_or(text.to_owned(), |style| styled(style, text));
            match remark {
                "" => outln!("{text}"),
                remark => outln!("{text}    {}", styled(FAINT, format_args!("# {remark}"))),
            }
        }
        show_problems(&source.path, &source.text, &exploration.problems);
    }
    if exploration.bound_reached {
        complain(format_args!(
            "{}: there are more than {} states; this is what they came to",
            source.path, arguments.max_states
        ));
    }
    outln!("{}", exploration.summary());
}

/// What is wrong, each with the way there.
pub(super) fn show_problems(path: &str, text: &str, problems: &[Problem]) {
    for problem in problems {
        let message = styled(BAD, &problem.message);
        match problem.span.map(|span| span.position(text)) {
            Some(at) => outln!("{path}:{}:{}: {message}", at.line, at.column),
            None => outln!("{path}: {message}"),
        }
        for detail in &problem.details {
            outln!("  {detail}");
        }
        if !problem.schedule.is_empty() {
            outln!("  by schedule  {}", problem.schedule);
        }
    }
}

fn replay(
    arguments: &Arguments,
    source: &Source,
    scenario: &Scenario,
    schedule: &Schedule,
) -> Result<Verdict, Unusable> {
    let replayed = arguments.explorer().replay(scenario, schedule);
    let replayed = replayed.map_err(|error| {
        point_at(&source.path, &source.text, &error);
        Unusable
    })?;
    let Replay { steps, calls, able } = replayed.map_err(|sentence| {
        complain(format_args!("the schedule does not fit: {sentence}"));
        Unusable
    })?;
    if arguments.trace {
        for step in steps {
            outln!(
                "{}",
                styled(BOLD, format_args!("[{}] {}", step.task, step.at))
            );
            for event in step.trace {
                outln!("    {}", styled(FAINT, event));
            }
            if let Some(ended) = step.ended {
                outln!("    {ended}");
            }
        }
    }
    for call in calls {
        outln!("{call}");
    }
    if able.is_empty() {
        outln!("# at rest");
    } else {
        outln!("# may go on: {}", able.join(" "));
    }
    Ok(Verdict::Agree)
}
