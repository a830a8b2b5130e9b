//! The tables of event bits and of edges: the running kernel fills them as the model does, which
//! tests/recorded.rs holds against the snapshots.

#![cfg(all(target_os = "linux", target_arch = "x86_64"))]

use std::collections::BTreeMap;

use epoll_lab::cli::needs::{unmet_by_kernel, unmet_by_model};
use epoll_lab::kernel::{Linux, is_root, release};
use epoll_lab::model::Model;
use epoll_lab::scenario::{Options, Run, Scenario, View};
use epoll_lab::table::{Kind, Question, Table, kinds};

use crate::scenarios::NEW_KERNEL;

#[test]
fn the_running_kernel_fills_the_tables_as_the_model_does() {
    let mut problems = Vec::new();
    let mut skipped: BTreeMap<String, usize> = BTreeMap::new();
    let mut agreed = 0;
    for question in all() {
        let scenario = parse(&question);
        if let Some(reason) = unmet_by_kernel(scenario.header()) {
            *skipped.entry(reason).or_default() += 1;
            continue;
        }
        let mut linux = match Linux::new() {
            Ok(linux) => linux,
            Err(error) => panic!("{}: {error}", question.name),
        };
        let kernel = scenario.run(&mut linux, Options::default());
        let model = on_the_model(&question);
        let transcript = |run: &Run| run.transcript(&scenario, View::Comparable);
        if question.cells(&kernel).is_none() {
            problems.push(format!("{}: {}", question.name, why(&kernel)));
        } else if transcript(&model) != transcript(&kernel) {
            problems.push(format!(
                "{}:\n{}is on Linux\n{}",
                question.name,
                transcript(&model),
                transcript(&kernel)
            ));
        } else {
            agreed += 1;
        }
    }
    println!("{agreed} rows agree");
    for (reason, rows) in &skipped {
        println!("skipped {rows}: {reason}");
    }
    if is_root() && release() >= NEW_KERNEL {
        problems.extend(
            skipped
                .keys()
                .map(|reason| format!("skipped on a new kernel: {reason}")),
        );
    }
    assert!(problems.is_empty(), "\n{}\n", problems.join("\n"));
}

fn all() -> Vec<Question> {
    let kinds = kinds();
    let of = |table| move |kind: &Kind| kind.questions(table);
    let events = kinds.iter().flat_map(of(Table::Events));
    events
        .chain(kinds.iter().flat_map(of(Table::Edges)))
        .collect()
}

fn on_the_model(question: &Question) -> Run {
    let scenario = parse(question);
    assert_eq!(unmet_by_model(scenario.header()), None, "{}", question.name);
    scenario.run(&mut Model::new(), Options::default())
}

#[track_caller]
fn parse(question: &Question) -> Scenario {
    match Scenario::parse(&question.text) {
        Ok(scenario) => scenario,
        Err(errors) => panic!("{}: {}", question.name, errors[0]),
    }
}

/// Why a run did not come to the question.
fn why(run: &Run) -> String {
    let mut texts = run.failures.iter().map(|failure| {
        format!(
            "line {}: {} ({})\n  expected  {}\n  happened  {}",
            failure.line, failure.message, run.backend, failure.expected, failure.actual
        )
    });
    let failed = texts.next();
    let stopped = run.stopped.as_ref().map(ToString::to_string);
    failed.or(stopped).unwrap_or_default()
}
