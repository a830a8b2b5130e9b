//! Races of a scenario on the running kernel: how they are run, and what is said of them.

use std::io::IsTerminal;
use std::ops::Range;
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use super::terminal::{BAD, FAINT, GOOD, outln, remark, styled};
use crate::backend::{Backend, LabError};
use crate::explore::{Exploration, Observation, Observed, Outside};
use crate::scenario::{Scenario, ScenarioError, Soak};

/// Races once for each seed, or until Ctrl-C.
pub(super) fn soak(scenario: &Scenario, seeds: Range<u64>) -> Result<Soak, ScenarioError> {
    let stop = interrupted();
    let progress = progress_bar(seeds.end - seeds.start);
    let start = Instant::now();
    let soak = scenario.soak(seeds, &mut running_kernel, &mut |races| {
        progress.set_position(races);
        if races.is_multiple_of(64) {
            progress.set_message(format!("{:.0} runs/s", rate(races, start.elapsed())));
        }
        !stop.load(Ordering::Relaxed)
    });
    progress.finish_and_clear();
    if stop.load(Ordering::Relaxed) {
        remark(format_args!("interrupted: this is what was seen so far"));
    }
    soak
}

/// A few races, without a word, held against what is possible.
pub(super) fn hold(
    scenario: &Scenario,
    exploration: &Exploration<'_>,
    races: u64,
) -> Result<Observed, ScenarioError> {
    let soak = scenario.soak(0..races, &mut running_kernel, &mut |_| true)?;
    exploration.hold(&soak, &scenario.header().unseen)
}

/// Set by the first Ctrl-C; the second ends the program.
pub(super) fn interrupted() -> Arc<AtomicBool> {
    static FLAG: OnceLock<Arc<AtomicBool>> = OnceLock::new();
    let flag = FLAG.get_or_init(|| {
        let flag = Arc::new(AtomicBool::new(false));
        let sigint = signal_hook::consts::SIGINT;
        // In this order: the second one finds the flag set. Without them Ctrl-C does what it always does.
        let _ = signal_hook::flag::register_conditional_default(sigint, Arc::clone(&flag));
        let _ = signal_hook::flag::register(sigint, Arc::clone(&flag));
        flag
    });
    Arc::clone(flag)
}

#[cfg(all(feature = "kernel", target_os = "linux", target_arch = "x86_64"))]
pub(super) fn running_kernel() -> Result<Box<dyn Backend>, LabError> {
    Ok(Box::new(crate::kernel::Linux::new()?))
}

#[cfg(not(all(feature = "kernel", target_os = "linux", target_arch = "x86_64")))]
pub(super) fn running_kernel() -> Result<Box<dyn Backend>, LabError> {
    Err(LabError::new("this needs Linux on x86-64"))
}

#[expect(
    clippy::as_conversions,
    clippy::cast_precision_loss,
    reason = "a rate for people"
)]
fn rate(races: u64, elapsed: Duration) -> f64 {
    races as f64 / elapsed.as_secs_f64().max(1e-9)
}

/// On a terminal only; a pipe has no use for it.
fn progress_bar(length: u64) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(length);
    let style = ProgressStyle::with_template("{bar:30} {pos}/{len} {msg} {eta}");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

/// How often each outcome was observed.
pub(super) fn show_observed(observed: &Observed) {
    let digits = observed.races.to_string().len();
    for (place, observation) in observed.outcomes.iter().enumerate() {
        let (count, remark) = match observation {
            Observation::Seen(sighting) => {
                (sighting.count, format!("first with seed {}", sighting.seed))
            }
            Observation::Explained(reason) => (0, reason.clone()),
            Observation::Unseen => (0, "never".to_owned()),
        };
        let remark = styled(FAINT, format_args!("# {remark}"));
        outln!(
            "observed {count:>digits$}: outcome {}    {remark}",
            place + 1
        );
    }
}

/// What must not have happened, and what should have.
pub(super) fn show_deviations(path: &str, observed: &Observed) {
    for outside in &observed.outside {
        show_outside(path, observed, outside);
    }
    for place in observed.too_wide() {
        let message = format!(
            "outcome {} never happened in {} runs; show it, or say why not: # unseen (claim): reason",
            place + 1,
            observed.races
        );
        outln!("{path}: {}", styled(BAD, message));
    }
}

fn show_outside(path: &str, observed: &Observed, outside: &Outside) {
    let times = match outside.sighting.count {
        1 => "once".to_owned(),
        count => format!("{count} times"),
    };
    let message = format!(
        "this happened {times} in {} runs on {} and is in no interleaving",
        observed.races, observed.kernel
    );
    outln!("{path}: {}", styled(BAD, message));
    for text in &outside.texts {
        outln!("  {text}");
    }
    for near in &outside.nearest {
        outln!("  nearest is outcome {}, where it is", near.place + 1);
        for text in &near.texts {
            outln!("    {text}");
        }
    }
    let seed = outside.sighting.seed;
    outln!("  --runs 1 --seed {seed} is this race again, as far as chance allows");
}

/// The line about the races.
pub(super) fn show_summary(observed: &Observed) {
    let style = if observed.is_as_explored() { GOOD } else { BAD };
    outln!("{}", styled(style, observed.summary()));
}
