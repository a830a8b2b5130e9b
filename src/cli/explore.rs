//! `epoll-lab explore`: every interleaving of a scenario.

use std::io::IsTerminal;
use std::path::PathBuf;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use super::input::Source;
use super::judge::On;
use super::terminal::{BAD, BOLD, FAINT, GOOD, complain, outln, point_at, styled};
use super::variants::Wrong;
use super::{Unusable, Verdict, json, needs, soak};
use crate::explore::{
    Checks, Exploration, Explorer, Figures, Observed, Problem, Reduction, Replay, Schedule, Table,
};
use crate::scenario::Scenario;

/// Explore all interleavings of a scenario's tasks.
///
/// Shows every outcome with a schedule that leads to it, what the closing lines say, and what is wrong:
/// deadlocks, wake-ups that are lost, broken invariants, each with the way there. A scenario without a
/// `parallel` block is asked what else could have happened. The last line is always
/// `explored: N states, M steps, K outcomes, R steps/s`.
///
/// With --on both, real threads race as well, with random pauses, and each outcome that they show must be
/// one of these. From 10000 runs on, so must each of these be shown, or explained by a line
/// `# unseen (claim): reason` at the top of the scenario.
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:\n  \
    epoll-lab explore my.strace\n  \
    epoll-lab explore my.strace --schedule 'main*4 A*7' --trace\n  \
    epoll-lab explore --on both --runs 10000 my.strace\n  \
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
    /// Where to look for outcomes: on the model, or on the running kernel too
    #[arg(long, value_enum, default_value_t = On::Model)]
    on: On,
    /// How often real threads race, with --on both [default: 1000]
    #[arg(long, value_name = "N", conflicts_with = "schedule")]
    runs: Option<u64>,
    /// Which races, with --on both: each has a seed of its own, from this one on [default: 0]
    #[arg(long, value_name = "SEED", conflicts_with = "schedule")]
    seed: Option<u64>,
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
    check_on(arguments)?;
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
        let observed = race(arguments, source, scenario, &exploration)?;
        let as_explored = observed.as_ref().is_none_or(Observed::is_as_explored);
        if exploration.bound_reached {
            verdict = Err(Unusable);
        } else if !(exploration.is_as_written() && as_explored) && verdict.is_ok() {
            verdict = Ok(Verdict::Differ);
        }
        if !arguments.json {
            show(arguments, source, &exploration, observed.as_ref());
        }
        all.push((source, exploration, observed));
    }
    if arguments.json {
        outln!("{}", json::explorations(&all));
    }
    verdict
}

/// A set of outcomes is only known of the model.
fn check_on(arguments: &Arguments) -> Result<(), Unusable> {
    if arguments.on == On::Kernel {
        complain(format_args!(
            "what is possible is known of the model alone: --on both shows what the kernel does of it"
        ));
        return Err(Unusable);
    }
    if arguments.on == On::Model && (arguments.runs.is_some() || arguments.seed.is_some()) {
        complain(format_args!("--runs and --seed are about races: --on both"));
        return Err(Unusable);
    }
    Ok(())
}

/// Lets real threads race, if that is asked for and possible.
fn race(
    arguments: &Arguments,
    source: &Source,
    scenario: &Scenario,
    exploration: &Exploration<'_>,
) -> Result<Option<Observed>, Unusable> {
    if !arguments.on.kernel() || exploration.bound_reached {
        return Ok(None);
    }
    if let Some(reason) = needs::unmet_by_kernel(scenario.header()) {
        complain(format_args!("{}: no races: {reason}", source.path));
        return Ok(None);
    }
    let first = arguments.seed.unwrap_or(0);
    let seeds = first..first.saturating_add(arguments.runs.unwrap_or(1000));
    let soaked = soak::soak(scenario, seeds);
    let observed = soaked.and_then(|soak| exploration.hold(&soak, &scenario.header().unseen));
    observed.map(Some).map_err(|error| {
        point_at(&source.path, &source.text, &error);
        Unusable
    })
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

fn show(
    arguments: &Arguments,
    source: &Source,
    exploration: &Exploration<'_>,
    observed: Option<&Observed>,
) {
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
    if let Some(observed) = observed {
        if !arguments.quiet {
            soak::show_observed(observed);
        }
        soak::show_deviations(&source.path, observed);
        soak::show_summary(observed);
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
