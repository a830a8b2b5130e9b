//! The same for programs.

use serde_json::{Value, json};

use super::check::{Checked, Ending};
use super::input::Source;
use super::judge::{Explored, Judged};
use super::laws::Told;
use super::table::Asked;
use super::variants;
use crate::explore::{Exploration, Observation, Observed};
use crate::scenario::{Run, Scenario, View};
use crate::table::Cell;

/// `laws --json`: a list.
pub(super) fn laws(told: &[Told], untold: &[(u32, &str)]) -> Value {
    let told = told
        .iter()
        .map(|told| json!({ "id": told.id, "sentence": told.sentence, "scenario": told.scenario }));
    let untold = untold
        .iter()
        .map(|(id, reason)| json!({ "id": id.to_string(), "untold": reason }));
    told.chain(untold).collect()
}

/// `table --json`: a list of rows. What each kernel says is under its name.
pub(super) fn table(all: &[Asked]) -> Value {
    all.iter()
        .map(|asked| {
            let question = &asked.question;
            let told = asked.judged.runs().map(|run| {
                let cells = question.cells(run).map(|cells| cells.into_iter().map(cell));
                let cells = cells.map(Iterator::collect::<Value>);
                (run.backend.clone(), cells.unwrap_or_default())
            });
            json!({
                "name": question.name,
                "kind": asked.kind,
                "stage": question.stage.word(),
                "state": question.state,
                "operation": question.operation,
                "told": told.collect::<serde_json::Map<_, _>>(),
                "agree": asked.agrees(),
                "skipped": asked.judged.skipped,
                "scenario": question.text,
            })
        })
        .collect()
}

fn cell(cell: Cell) -> Value {
    match cell {
        Cell::Event(events) => json!({ "bits": events.bits(), "events": events.to_string() }),
        Cell::Refused(errno) => json!({ "refused": format!("{errno:?}") }),
    }
}

/// `variants --json`: a list.
pub(super) fn variants(told: &[variants::Told]) -> Value {
    told.iter()
        .map(|variants::Told { variant, by }| {
            json!({
                "switch": variant.to_string(),
                "does": variant.does(),
                "linux": variant.linux(),
                "breaks": variant.breaks(),
                "seen_in": variant.seen_in(),
                "told_by": by,
            })
        })
        .collect()
}

/// `check --json`: totals and a list of scenarios.
pub(super) fn checked(checked: &[Checked]) -> Value {
    let count = |ending| checked.iter().filter(|one| one.ending() == ending).count();
    let scenarios: Vec<Value> = checked
        .iter()
        .map(|one| {
            let counts = one.judged.counts();
            json!({
                "scenario": one.source.path,
                "topic": one.source.topic,
                "ending": match one.ending() {
                    Ending::Agree => "agree",
                    Ending::Differ => "differ",
                    Ending::Skipped => "skipped",
                },
                "skipped": one.judged.skipped,
                "asserted": counts.asserted,
                "open": counts.open,
                "unordered": counts.unordered,
            })
        })
        .collect();
    json!({
        "agree": count(Ending::Agree),
        "differ": count(Ending::Differ),
        "skipped": count(Ending::Skipped),
        "scenarios": scenarios,
    })
}

/// `run --json`: a list of scenarios, each with its runs.
pub(super) fn runs(all: &[(Source, Scenario, Judged)]) -> Value {
    all.iter()
        .map(|(source, scenario, judged)| {
            let runs: Vec<Value> = judged.runs().map(|run| one_run(scenario, run)).collect();
            json!({
                "scenario": source.path,
                "agree": judged.agrees(scenario),
                "skipped": judged.skipped,
                "runs": runs,
                "explored": judged.explored.as_ref().map(explored),
            })
        })
        .collect()
}

fn explored(explored: &Explored) -> Value {
    let problems: Vec<&str> = explored.problems.iter().map(|it| &*it.message).collect();
    json!({
        "table": explored.table,
        "problems": problems,
        "stopped": explored.stopped.as_ref().map(|error| error.message()),
        "bound_reached": explored.bound_reached,
        "observed": explored.observed.as_ref().map(one_soak),
    })
}

/// `explore --json`: a list of scenarios, each with its outcomes.
pub(super) fn explorations(all: &[(&Source, Exploration<'_>, Option<Observed>)]) -> Value {
    all.iter()
        .map(|(source, exploration, observed)| {
            let outcomes: Vec<Value> = exploration
                .outcomes
                .iter()
                .map(|outcome| {
                    json!({
                        "calls": exploration.texts(outcome),
                        "schedule": outcome.schedule.to_string(),
                        "states": outcome.states,
                    })
                })
                .collect();
            let closing: Vec<Value> = exploration
                .closing
                .iter()
                .map(|claimed| {
                    json!({
                        "line": claimed.line.number(),
                        "claim": claimed.closing.to_string(),
                        "answer": claimed.answer.to_string(),
                        "so": claimed.so,
                        "holds": claimed.holds,
                    })
                })
                .collect();
            let problems: Vec<Value> = exploration
                .problems
                .iter()
                .map(|problem| {
                    json!({
                        "line": problem.span.map(|span| span.position(&source.text).line),
                        "message": problem.message,
                        "details": problem.details,
                        "schedule": problem.schedule.to_string(),
                    })
                })
                .collect();
            let figures = exploration.figures;
            json!({
                "scenario": source.path,
                "as_written": exploration.is_as_written(),
                "outcomes": outcomes,
                "closing": closing,
                "problems": problems,
                "bound_reached": exploration.bound_reached,
                "states": figures.states,
                "steps": figures.steps,
                "seconds": figures.elapsed.as_secs_f64(),
                "observed": observed.as_ref().map(one_soak),
            })
        })
        .collect()
}

/// Races: how often each outcome came about, in the order of the outcomes, and what else did.
fn one_soak(observed: &Observed) -> Value {
    let count = |observation: &Observation| match observation {
        Observation::Seen(sighting) => sighting.count,
        Observation::Explained(_) | Observation::Unseen => 0,
    };
    let outside: Vec<Value> = observed
        .outside
        .iter()
        .map(|outside| {
            json!({
                "calls": outside.texts,
                "count": outside.sighting.count,
                "seed": outside.sighting.seed,
                "nearest": outside.nearest.iter().map(|near| near.place).collect::<Vec<usize>>(),
            })
        })
        .collect();
    json!({
        "kernel": observed.kernel,
        "runs": observed.races,
        "counts": observed.outcomes.iter().map(count).collect::<Vec<u64>>(),
        "outside": outside,
    })
}

fn one_run(scenario: &Scenario, run: &Run) -> Value {
    let lines: Vec<Value> = run
        .outcomes
        .iter()
        .map(|outcome| {
            let trace: Vec<String> = outcome.trace.iter().map(ToString::to_string).collect();
            json!({
                "line": outcome.line,
                "agrees": outcome.agrees,
                "text": outcome.actual,
                "trace": trace,
                "state": outcome.state.as_ref().map(ToString::to_string),
            })
        })
        .collect();
    let failures: Vec<Value> = run
        .failures
        .iter()
        .map(|failure| {
            json!({
                "line": failure.line,
                "message": failure.message,
                "expected": failure.expected,
                "actual": failure.actual,
            })
        })
        .collect();
    json!({
        "kernel": run.backend,
        "passed": run.passed(),
        "stopped": run.stopped.as_ref().map(|error| error.message()),
        "transcript": run.transcript(scenario, View::Comparable),
        "lines": lines,
        "failures": failures,
    })
}
