//! One program on two kernels.

use super::coverage::{Coverage, Watcher};
use crate::backend::LabError;
use crate::explore::Explorer;
use crate::model::Model;
use crate::scenario::{Diff, Fresh, Options, Run, Scenario, ScenarioError};

/// What became of a program.
#[derive(Debug)]
pub enum Judgement {
    /// Both kernels did the same in so many calls.
    Same(u64),
    /// They did not; this tells where.
    Differs(String),
    /// Nobody can say, for this reason.
    Unjudged(String),
}

/// More states than this take too long for one program out of many.
const MOST_STATES: usize = 200_000;

/// Runs a program without a parallel block on both kernels, call by call. With a `coverage` it is run on a
/// watched model as well, which takes every step by itself and must not come to anything else by that.
///
/// # Errors
/// A lab that could not start.
pub fn judge(
    scenario: &Scenario,
    fresh: &mut Fresh<'_>,
    coverage: Option<&mut Coverage>,
) -> Result<Judgement, LabError> {
    let model = scenario.run(&mut Model::new(), Options::default());
    let kernel = scenario.run(&mut *fresh()?, Options::default());
    if let Some(differs) = difference(scenario, &model, &kernel) {
        return Ok(differs);
    }
    if let Some(coverage) = coverage {
        let mut watched = Model::observed_by(Watcher::default());
        let stepwise = scenario.run(&mut watched, Options::default());
        let (_, watcher) = watched.into_parts();
        coverage.add(watcher);
        if let Some(differs) = difference(scenario, &model, &stepwise) {
            return Ok(differs);
        }
    }
    let calls = u64::try_from(model.outcomes.len()).unwrap_or(u64::MAX);
    Ok(Judgement::Same(calls))
}

fn difference(scenario: &Scenario, one: &Run, other: &Run) -> Option<Judgement> {
    let diff = Diff::new(scenario, one, other);
    if diff.is_same() && one.stopped.is_some() == other.stopped.is_some() {
        return None;
    }
    let stopped = [one, other].map(|run| run.stopped.as_ref().map(ScenarioError::message));
    let mut text = diff.to_string();
    for (run, stopped) in [one, other].iter().zip(stopped) {
        if let Some(stopped) = stopped {
            text.push_str(&format!("# {} stopped: {stopped}\n", run.backend));
        }
    }
    Some(Judgement::Differs(text))
}

/// Explores a program with a parallel block on the model, and lets its tasks race on the running kernel so
/// many times: each outcome has to be one that the explorer knows.
///
/// # Errors
/// A lab that could not start.
pub fn judge_block(
    scenario: &Scenario,
    fresh: &mut Fresh<'_>,
    races: u64,
) -> Result<Judgement, LabError> {
    let explored = Explorer::new().max_states(MOST_STATES).explore(scenario);
    let exploration = match explored {
        Ok(exploration) if exploration.bound_reached => {
            let reason = format!("more than {MOST_STATES} states");
            return Ok(Judgement::Unjudged(reason));
        }
        Ok(exploration) => exploration,
        Err(error) => return Ok(Judgement::Unjudged(error.message().to_owned())),
    };
    if let Some(problem) = exploration.problems.first() {
        return Ok(Judgement::Differs(format!(
            "the model alone: {}\n",
            problem.message
        )));
    }
    let soak = match scenario.soak(0..races, fresh, &mut |_| true) {
        Ok(soak) => soak,
        Err(error) => return Ok(Judgement::Unjudged(error.message().to_owned())),
    };
    let observed = match exploration.hold(&soak, &[]) {
        Ok(observed) => observed,
        Err(error) => return Ok(Judgement::Unjudged(error.message().to_owned())),
    };
    if observed.outside.is_empty() {
        return Ok(Judgement::Same(scenario_calls(scenario)));
    }
    let mut text = observed.summary();
    for outside in &observed.outside {
        text.push_str("\noutside:");
        for line in &outside.texts {
            text.push_str(&format!("\n  {line}"));
        }
        for near in &outside.nearest {
            text.push_str(&format!(
                "\n  nearest is outcome {}, where it is",
                near.place + 1
            ));
            for line in &near.texts {
                text.push_str(&format!("\n    {line}"));
            }
        }
    }
    text.push('\n');
    Ok(Judgement::Differs(text))
}

fn scenario_calls(scenario: &Scenario) -> u64 {
    u64::try_from(scenario.lines().len()).unwrap_or(u64::MAX)
}
