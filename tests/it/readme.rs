//! What the README shows is what the program prints.

use std::io::Write;
use std::process::{Command, Stdio};

use epoll_lab::explore::{Checks, Explorer};
use epoll_lab::model::Variant;
use epoll_lab::scenario::{Scenario, library};

const README: &str = include_str!("../../README.md");

/// The text of the first block of this language behind `from`.
fn block<'a>(from: &str, language: &str) -> &'a str {
    let (_, rest) = README.split_once(from).expect("the sentence is there");
    let (_, rest) = rest
        .split_once(&format!("```{language}\n"))
        .expect("a block follows");
    rest.split_once("```").expect("it ends").0
}

fn run(option: &str) -> String {
    let scenario = block("whether an edge is reported twice", "strace");
    program(&["run", "--on", "model", option, "-"], scenario)
}

/// What the program prints if it is given this.
fn program(arguments: &[&str], scenario: &str) -> String {
    let mut program = Command::new(env!("CARGO_BIN_EXE_epoll-lab"))
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let mut stdin = program.stdin.take().expect("a pipe");
    stdin.write_all(scenario.as_bytes()).expect("it reads");
    drop(stdin);
    let output = program.wait_with_output().expect("it ends");
    String::from_utf8(output.stdout).expect("text")
}

#[test]
fn the_trace_is_that_of_the_scenario() {
    assert_eq!(run("--trace"), block("Only the model can say why", "text"));
}

#[test]
fn the_picture_is_that_of_the_scenario() {
    let picture = block("`run --state` draws", "text");
    let indented: String = picture
        .lines()
        .map(|line| format!("    {line}\n"))
        .collect();
    let states = run("--state");
    let (_, after) = states
        .split_once("write(w, \"b\", 1) = 1\n")
        .expect("the second write");
    assert!(after.starts_with(&indented), "{after}\nis not\n{indented}");
}

#[test]
fn the_tables_are_those_that_are_printed() {
    let table = ["table", "pipe-read-end", "--on", "model"];
    let events = block("`epoll-lab table pipe-read-end`:", "text");
    assert_eq!(program(&table, ""), events);
    let edges = block("And with `--edges`", "text");
    assert_eq!(program(&[&table[..], &["--edges"]].concat(), ""), edges);
}

#[test]
fn the_mistake_shows_in_the_scenario() {
    let shown = block("`run --on model --state-diff-edges`", "text");
    let output = run("--state-diff-edges");
    assert!(output.contains(shown), "{shown}\nis not in\n{output}");
}

#[test]
fn the_exploration_is_that_of_the_scenario() {
    let printed = program(&["explore", "-"], block("## Every interleaving", "strace"));
    // The rate depends on the machine.
    let without_rate = |text: &str| match text.trim_end().rsplit_once(", ") {
        Some((before, rate)) if rate.ends_with(" steps/s") => before.to_owned(),
        _ => panic!("{text} does not end with a rate"),
    };
    let shown = block("`explore` shows an order", "text");
    assert_eq!(without_rate(&printed), without_rate(shown));
}

/// As a release build explores it: with debug assertions the invariants are checked in every state, and the
/// search ends where the first of them breaks.
#[test]
fn the_lost_wake_up_is_found() {
    let shown = block("`explore --no-recheck-before-sleep`", "text");
    let name = "a-wake-up-between-the-look-and-the-sleep-is-not-lost";
    let entry = library().into_iter().find(|entry| entry.name == name);
    let scenario = Scenario::parse(entry.expect("it is there").text).expect("it is readable");
    let explorer = Explorer::new()
        .variants(Variant::NoRecheckBeforeSleep.into())
        .checks(Checks::AtRest);
    let explored = explorer.explore(&scenario).expect("it can be explored");
    let problem = explored.problems.iter().find(|it| it.span.is_some());
    let problem = problem.expect("a line is contradicted");
    let mut found = format!("{}\n", problem.message);
    for detail in &problem.details {
        found.push_str(&format!("  {detail}\n"));
    }
    found.push_str(&format!("  by schedule  {}\n", problem.schedule));
    assert_eq!(found, shown);
}

#[test]
fn the_page_is_that_of_the_scenario() {
    let page = block("`epoll-lab step` walks", "text");
    let (_, number) = README.split_once("This is step ").expect("its number");
    let (number, _) = number.split_once(',').expect("a comma");
    let scenario = block("whether an edge is reported twice", "strace");
    assert_eq!(
        program(&["step", "-", "--at", number], scenario).trim_end(),
        page.trim_end()
    );
}
