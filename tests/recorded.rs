//! The model alone, against what the repository keeps: needs no kernel and takes seconds.
//!
//! Whoever changes the model, or lets a tool change it (cargo-mutants), hears from here. That the running kernel
//! does the same is for the other tests.

mod common;

use std::panic::{AssertUnwindSafe, catch_unwind};

use common::{
    assert_none, at, comparable, contradictions, on_the_model, parse, snapshots, trace_name,
    transcript_name,
};
use epoll_lab::explore::{self, Exploration, Explorer};
use epoll_lab::model::{self, Model};
use epoll_lab::scenario::{Options, Run, Scenario, View, library};
use epoll_lab::table::{Question, Sheet, Table, kinds, text};

/// A trace longer than this explains nothing at a glance. With the three lines that insta writes on top
/// a snapshot stays below 80.
const MOST_LINES: usize = 76;

/// A scenario of the library that has more states than this is too large for one that tells something, and
/// takes too long without optimisation.
const MOST_STATES: usize = 20_000;

#[test]
fn every_scenario_passes_on_the_model() {
    let mut problems = Vec::new();
    for entry in library() {
        let scenario = parse(&entry);
        if let Some(run) = on_the_model(&scenario) {
            problems.extend(contradictions(&entry, &run));
        }
        if let Some(exploration) = explored(&scenario) {
            problems.extend(exploration.problems.iter().map(|problem| {
                let position = problem.span.unwrap_or_default().position(entry.text);
                let details = problem.details.join("\n  ");
                format!(
                    "{}:{position}: {}\n  {details}",
                    at(&entry),
                    problem.message
                )
            }));
            if exploration.bound_reached {
                problems.push(format!("{}: {}", at(&entry), exploration.summary()));
            }
        }
    }
    assert_none(&problems);
}

/// A kernel that agrees with the model agrees with the snapshots: the model's runs are compared here,
/// and both with each other above.
#[test]
fn transcripts_and_traces_are_those_in_snapshots() {
    let mut changed = Vec::new();
    settings().bind(|| {
        for entry in library() {
            let scenario = parse(&entry);
            let mut texts = Vec::new();
            if let Some(run) = on_the_model(&scenario) {
                texts.push((transcript_name(entry.name), comparable(&scenario, &run)));
                texts.push((trace_name(entry.name), trace(&scenario, &run)));
            }
            if let Some(exploration) = explored(&scenario) {
                let table = exploration.table(explore::Table::Outcomes);
                texts.push((transcript_name(entry.name), shortened(table.lines())));
            }
            for (name, text) in texts {
                // The first difference must not hide the others.
                let snapshot = || insta::assert_snapshot!(name.as_str(), text);
                if catch_unwind(AssertUnwindSafe(snapshot)).is_err() {
                    changed.push(format!("snapshots/{name}.snap has changed"));
                }
            }
        }
    });
    assert_none(&changed);
}

/// Those of event bits and of edges.
#[test]
fn the_tables_are_those_in_snapshots() {
    for (name, table) in [
        ("table.events", Table::Events),
        ("table.edges", Table::Edges),
    ] {
        let sheets = kinds().into_iter().map(|kind| {
            Sheet::new(table, &kind, |question| {
                let cells = question.cells(&asked(question));
                // A row that went another way is one that the snapshot does not have.
                cells.map_or(vec!["?".to_owned()], |cells| table.shown(&cells))
            })
        });
        let sheets: Vec<Sheet> = sheets.filter(|sheet| !sheet.is_empty()).collect();
        let text = text(&sheets, str::to_owned);
        settings().bind(|| insta::assert_snapshot!(name, text));
    }
}

fn asked(question: &Question) -> Run {
    match Scenario::parse(&question.text) {
        Ok(scenario) => scenario.run(&mut Model::new(), Options::default()),
        Err(errors) => panic!("{}: {}", question.name, errors[0]),
    }
}

fn settings() -> insta::Settings {
    let mut settings = insta::Settings::new();
    settings.set_snapshot_path(snapshots());
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings
}

/// All interleavings of a scenario that tells of them.
fn explored(scenario: &Scenario) -> Option<Exploration<'_>> {
    let is_possible = scenario.header().not_about(model::LINUX).is_none() && scenario.is_parallel();
    is_possible.then(
        || match Explorer::new().max_states(MOST_STATES).explore(scenario) {
            Ok(exploration) => exploration,
            Err(error) => panic!("{error}"),
        },
    )
}

/// The transcript, under each line what the model did inside.
fn trace(scenario: &Scenario, run: &Run) -> String {
    let mut lines = Vec::new();
    for passage in run.passages(scenario, View::Comparable) {
        lines.extend(passage.lines);
        let indent = 4 * passage.depth;
        let steps = passage.trace.iter();
        lines.extend(steps.map(|step| format!("{:indent$}    {step}", "")));
    }
    shortened(lines.iter().map(String::as_str))
}

/// As much as explains something at a glance.
fn shortened<'l>(lines: impl Iterator<Item = &'l str>) -> String {
    let mut lines: Vec<&str> = lines.collect();
    let left_out = format!(
        "... {} more lines",
        (lines.len() + 1).saturating_sub(MOST_LINES)
    );
    if lines.len() > MOST_LINES {
        lines.truncate(MOST_LINES - 1);
        lines.push(&left_out);
    }
    lines.join("\n")
}
