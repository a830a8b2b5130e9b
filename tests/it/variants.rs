//! Every wrong epoll is told from Linux, by scenarios whose expectations are Linux's.

use std::path::Path;

use epoll_lab::cli::variants::{Told, told};
use epoll_lab::explore::{Checks, Explorer, Problem};
use epoll_lab::model::Variant;
use epoll_lab::scenario::{Scenario, library};

/// One witness each, the one that is about the rule: more would change with every new scenario.
const WITNESSES: usize = 1;

/// Small scenarios, each about a rule without which threads lose events.
const IN_EVERY_ORDER: [&str; 3] = [
    "a-wake-up-between-the-look-and-the-sleep-is-not-lost",
    "an-edge-during-a-delivery-is-not-lost",
    "who-finds-a-level-wakes-the-next-in-every-order",
];

#[test]
fn every_variant_is_told_from_linux() {
    let told = told(Variant::ALL);
    let mut problems = Vec::new();
    for Told { variant, by } in &told {
        if by.is_empty() {
            problems.push(format!("{variant} is told by no scenario"));
        }
    }
    assert!(problems.is_empty(), "\n{}\n", problems.join("\n"));

    let lines = told.iter().map(|Told { variant, by }| {
        let witnesses = &by[..by.len().min(WITNESSES)];
        format!("{variant}: {}", witnesses.join(", "))
    });
    assert_snapshot("variants", &lines.collect::<Vec<_>>().join("\n"));
}

/// What only another order of steps shows: for each of these scenarios the variants that it tells by a
/// schedule, and the shortest one.
#[test]
fn the_shortest_ways_to_go_wrong_are_known() {
    let mut lines = Vec::new();
    for name in IN_EVERY_ORDER {
        let text = library().into_iter().find(|entry| entry.name == name);
        let text = text.expect("it is in the library").text;
        let scenario = Scenario::parse(text).expect("the library is readable");
        lines.push(format!("{name}\n{}", scenario.header().laws[0].sentence));
        for variant in Variant::ALL {
            let explorer = Explorer::new()
                .variants((*variant).into())
                .checks(Checks::AtRest);
            let explored = explorer.explore(&scenario).expect("it can be explored");
            // What is wrong with an invariant shows in a line too.
            let is_shown =
                |problem: &&Problem| problem.span.is_some() && !problem.schedule.is_empty();
            if let Some(problem) = explored.problems.iter().find(is_shown) {
                let Problem {
                    message, schedule, ..
                } = problem;
                lines.push(format!("    {variant}: {message}\n        {schedule}"));
            }
        }
    }
    assert_snapshot("variants.schedules", &lines.join("\n"));
}

fn assert_snapshot(name: &str, text: &str) {
    let mut settings = insta::Settings::new();
    settings.set_snapshot_path(Path::new(env!("CARGO_MANIFEST_DIR")).join("snapshots"));
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!(name, text));
}
