//! What the test programs share: scenarios of the library, their runs on the model, and what is wrong with them.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use epoll_lab::model::{self, Model};
use epoll_lab::scenario::{Entry, Options, Run, Scenario, View};

pub(crate) fn snapshots() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("snapshots")
}

pub(crate) fn transcript_name(scenario: &str) -> String {
    format!("{scenario}.transcript")
}

pub(crate) fn trace_name(scenario: &str) -> String {
    format!("{scenario}.trace")
}

pub(crate) fn at(entry: &Entry) -> String {
    format!("examples/scenarios/{}/{}.strace", entry.topic, entry.name)
}

#[track_caller]
pub(crate) fn parse(entry: &Entry) -> Scenario {
    match Scenario::parse(entry.text) {
        Ok(scenario) => scenario,
        Err(errors) => panic!("{}: {}", at(entry), errors[0]),
    }
}

/// `None` for a scenario about a version that the model is not.
pub(crate) fn on_the_model(scenario: &Scenario) -> Option<Run> {
    let is_possible =
        scenario.header().not_about(model::LINUX).is_none() && !scenario.is_parallel();
    is_possible.then(|| scenario.run(&mut Model::recording(), Options::default()))
}

pub(crate) fn comparable(scenario: &Scenario, run: &Run) -> String {
    run.transcript(scenario, View::Comparable)
}

/// Each line of the scenario that the run contradicts.
pub(crate) fn contradictions(entry: &Entry, run: &Run) -> Vec<String> {
    let mut problems = Vec::new();
    for failure in &run.failures {
        let mut text = format!("{}:{}: {}", at(entry), failure.line, failure.message);
        let _ = write!(
            text,
            " ({})\n  expected  {}\n  happened  {}",
            run.backend, failure.expected, failure.actual
        );
        problems.push(text);
    }
    if let Some(stopped) = &run.stopped {
        let position = stopped.span().position(entry.text);
        problems.push(format!(
            "{}:{position}: {stopped} ({})",
            at(entry),
            run.backend
        ));
    }
    problems
}

#[track_caller]
pub(crate) fn assert_none(problems: &[String]) {
    assert!(problems.is_empty(), "\n{}\n", problems.join("\n"));
}
