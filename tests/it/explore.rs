//! `epoll-lab explore`, and how large the spaces are that it walks through.

use std::fmt::Write as _;
use std::path::Path;
use std::process::{Command, Output};

use epoll_lab::explore::{Checks, Explorer, Reduction};
use epoll_lab::scenario::Scenario;

const EPOLL: &str = "ep = epoll_create1(0)\nf = eventfd2(0, EFD_NONBLOCK)\n";
const EDGE: &str =
    "epoll_ctl(ep, EPOLL_CTL_ADD, f, {events=EPOLLIN|EPOLLET, data={u32=7, u64=7}}) = 0\n";
const LEVEL: &str = "epoll_ctl(ep, EPOLL_CTL_ADD, f, {events=EPOLLIN, data={u32=7, u64=7}}) = 0\n";
const WAIT: &str = "epoll_wait(ep, ..., 8, -1 <unfinished ...>) = ?\n";
const WRITE: &str = "write(f, \"\\1\\0\\0\\0\\0\\0\\0\\0\", 8) = 8\n";
const READ: &str = "read(f, ..., 8)\n";

/// A block: each task with its lines.
fn block(tasks: &[(&str, &[&str])]) -> String {
    let mut text = "parallel {\n".to_owned();
    for (task, lines) in tasks {
        for line in *lines {
            text.push_str(task);
            text.push_str(line);
        }
    }
    text.push_str("}\n");
    text
}

fn spaces() -> Vec<(&'static str, String)> {
    let two = |set_up: &str| {
        let tasks: [(&str, &[&str]); 2] = [("[A] ", &[WAIT]), ("", &[WRITE])];
        format!("{EPOLL}{set_up}{}", block(&tasks))
    };
    let waiters = |set_up: &str, first: &[&str], last: &[&str]| {
        let tasks = [
            ("[A] ", first),
            ("[B] ", first),
            ("[C] ", first),
            ("", last),
        ];
        format!("{EPOLL}{set_up}{}", block(&tasks))
    };
    let add = EDGE.replace("= 0\n", "= ?\n");
    let delete = "epoll_ctl(ep, EPOLL_CTL_DEL, f, NULL) = ?\n";
    let wait0 = "epoll_wait(ep, ..., 8, 0) = ?\n";
    let wait10 = "epoll_wait(ep, ..., 8, 10) = ?\n";
    let pairs = |first: &[&str], second: &[&str]| {
        let tasks = [("[A] ", first), ("", second)];
        format!("{EPOLL}{LEVEL}{}", block(&tasks))
    };
    vec![
        ("one waits on an edge, one writes", two(EDGE)),
        ("one waits on a level, one writes", two(LEVEL)),
        (
            "three wait on an edge, one writes twice",
            waiters(EDGE, &[WAIT], &[WRITE, WRITE]),
        ),
        (
            "three wait on a level and read, one writes",
            waiters(LEVEL, &[WAIT, READ], &[WRITE]),
        ),
        (
            "two tasks, three looks and three writes",
            pairs(&[wait0, wait0, wait0], &[WRITE, WRITE, WRITE]),
        ),
        (
            "a wait beside a delete and an add",
            pairs(&[wait0, wait0], &[delete, &add, WRITE]),
        ),
        (
            "a timeout beside a write",
            pairs(&[wait10, wait10], &[WRITE]),
        ),
        (
            "a wait beside a close",
            pairs(&[wait0, wait0], &[WRITE, "close(f) = 0\n"]),
        ),
    ]
}

/// A step more or less somewhere in the model shows here.
#[test]
fn the_spaces_are_as_large_as_they_were() {
    let mut text = String::new();
    for (name, scenario) in spaces() {
        let scenario = Scenario::parse(&scenario).unwrap_or_else(|it| panic!("{name}: {}", it[0]));
        for reduction in [Reduction::Full, Reduction::None] {
            let explorer = Explorer::new().reduction(reduction).checks(Checks::AtRest);
            let exploration = explorer.explore(&scenario).unwrap();
            assert!(
                exploration.is_as_written(),
                "{name}: {:?}",
                exploration.problems
            );
            let figures = exploration.figures;
            let _ = writeln!(
                text,
                "{name}{}: {} states, {} steps, {} outcomes",
                if reduction == Reduction::None {
                    ", unreduced"
                } else {
                    ""
                },
                figures.states,
                figures.steps,
                exploration.outcomes.len()
            );
        }
    }
    let mut settings = insta::Settings::new();
    settings.set_snapshot_path(Path::new(env!("CARGO_MANIFEST_DIR")).join("snapshots"));
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!("explored.counts", text));
}

/// Runs the program on a scenario.
fn explore(text: &str, arguments: &[&str]) -> Output {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("x.strace");
    std::fs::write(&path, text).expect("a file");
    Command::new(env!("CARGO_BIN_EXE_epoll-lab"))
        .arg("explore")
        .arg(&path)
        .args(arguments)
        .output()
        .expect("the program starts")
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn edge(closing: &str) -> String {
    let tasks: [(&str, &[&str]); 2] = [("[A] a = ", &[WAIT]), ("", &[WRITE])];
    format!("{EPOLL}{EDGE}{}{closing}", block(&tasks))
}

#[test]
fn the_last_line_tells_how_much_was_explored() {
    let output = explore(&edge("forall (a=1)\n"), &[]);
    assert_eq!(output.status.code(), Some(0));
    let text = stdout(&output);
    let last = text.lines().last().unwrap_or_default();
    let words: Vec<&str> = last.split(' ').collect();
    let [explored, states, s, steps, t, outcomes, o, rate, r] = words[..] else {
        panic!("{last}");
    };
    assert_eq!(
        [explored, s, t, o, r],
        ["explored:", "states,", "steps,", "outcomes,", "steps/s"]
    );
    for number in [states, steps, outcomes, rate] {
        assert!(number.parse::<u64>().is_ok(), "{last}");
    }
    assert!(
        text.contains("forall (a=1)    Ok: Always, 1 of 1\n"),
        "{text}"
    );
}

#[test]
fn what_is_wrong_is_told_with_a_schedule_and_exit_status_1() {
    let output = explore(&edge("~exists (a=1)\n"), &[]);
    assert_eq!(output.status.code(), Some(1));
    let text = stdout(&output);
    assert!(
        text.contains("x.strace:8:1: this is so, in the only outcome\n"),
        "{text}"
    );
    let (_, schedule) = text.split_once("  by schedule  ").expect("a schedule");
    let schedule = schedule.lines().next().unwrap_or_default();

    let replay = explore(&edge(""), &["--trace", "--schedule", schedule]);
    assert_eq!(replay.status.code(), Some(0));
    let text = stdout(&replay);
    assert!(
        text.contains("[main] vfs_write: Wake\n    ep_poll_callback: "),
        "{text}"
    );
    assert!(text.ends_with("# at rest\n"), "{text}");
}

#[test]
fn a_deadlock_says_which_task_waits_for_what() {
    let scenario = edge("")
        .replace(" <unfinished ...>) = ?", ") = 1")
        .replace(WRITE, "close(9)\n");
    let output = explore(&scenario, &[]);
    assert_eq!(output.status.code(), Some(1));
    let text = stdout(&output);
    assert!(text.contains("epoll_wait of A sleeps for ever"), "{text}");
    assert!(text.contains("  A sleeps at ep_poll: Sleep\n"), "{text}");
}

#[test]
fn a_space_over_the_bound_exits_with_2_and_says_how_far_it_came() {
    let output = explore(&spaces()[3].1, &["--max-states", "50"]);
    assert_eq!(output.status.code(), Some(2));
    let text = stdout(&output);
    assert!(
        text.starts_with("in every outcome") || text.contains("explored: 51 states"),
        "{text}"
    );
    assert!(
        text.trim_end().ends_with(" steps/s (bound reached)"),
        "{text}"
    );
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(errors.contains("there are more than 50 states"), "{errors}");
}

#[test]
fn json_has_every_outcome_with_its_schedule() {
    let output = explore(&spaces()[2].1, &["--json"]);
    assert_eq!(output.status.code(), Some(0));
    let all: serde_json::Value = serde_json::from_str(&stdout(&output)).expect("JSON");
    let outcomes = all[0]["outcomes"].as_array().expect("a list");
    assert_eq!(outcomes.len(), 6);
    assert!(
        outcomes
            .iter()
            .all(|it| it["schedule"].as_str().is_some_and(|s| s.contains("main*")))
    );
    assert_eq!(all[0]["bound_reached"], false);
}

#[test]
fn a_scenario_of_one_task_has_nothing_to_explore() {
    let output = explore("close(3)\n", &[]);
    assert_eq!(output.status.code(), Some(2));
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        errors.contains("nothing else could have happened"),
        "{errors}"
    );
}

#[test]
fn a_schedule_that_does_not_fit_is_a_mistake() {
    let output = explore(&edge(""), &["--schedule", "B*2"]);
    assert_eq!(output.status.code(), Some(2));
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(errors.contains("there is no task `B`"), "{errors}");
}
