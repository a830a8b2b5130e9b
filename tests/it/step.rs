//! The film of a run, and the pages that `step` makes of it.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::process::{Command, Stdio};

use epoll_lab::cli::needs::unmet_by_model;
use epoll_lab::model::Model;
use epoll_lab::scenario::{Options, Scenario, View, library};
use epoll_lab::trace::{Film, Move, meaning};

use crate::cli::Lab;
use crate::common::snapshots;

/// Pages to look at: a tree that turns, a scan that stands still and what overflows meanwhile, an item that
/// goes to the end of the line, a wake-up that goes to one of many, one that climbs.
const PAGES: [(&str, usize); 6] = [
    ("delivery-order-is-wake-order", 17),
    ("an-edge-during-the-scan-is-reported-again", 24),
    ("an-edge-during-the-scan-is-reported-again", 25),
    ("level-triggered-repeats-until-drained", 19),
    ("one-write-wakes-one-exclusive-epoll", 44),
    ("a-wake-climbs-through-every-level", 42),
];

/// Their names in `snapshots/`.
pub(crate) fn page_names() -> impl Iterator<Item = String> {
    PAGES.iter().map(|(name, step)| page_name(name, *step))
}

fn page_name(name: &str, step: usize) -> String {
    format!("{name}.step-{step}")
}

pub(crate) fn path(name: &str) -> String {
    let entry = library().into_iter().find(|entry| entry.name == name);
    let topic = entry.expect("a scenario of this name").topic;
    let root = env!("CARGO_MANIFEST_DIR");
    format!("{root}/examples/scenarios/{topic}/{name}.strace")
}

#[test]
fn pages_are_those_in_snapshots() {
    let mut settings = insta::Settings::new();
    settings.set_snapshot_path(snapshots());
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| {
        for (name, step) in PAGES {
            let page = Lab::new(&["step", &path(name), "--at", &step.to_string()]).succeeds();
            insta::assert_snapshot!(page_name(name, step), page.trim_end());
        }
    });
}

/// Who looks at each step sees the same happen as who does not, and can be told what each step is.
#[test]
fn a_filmed_run_is_the_same_run_in_steps_that_have_a_meaning() {
    let mut unknown = BTreeSet::new();
    for entry in library() {
        let scenario = Scenario::parse(entry.text).expect("it is well-formed");
        if unmet_by_model(scenario.header()).is_some() || scenario.is_parallel() {
            continue;
        }
        let run = scenario.run(&mut Model::new(), Options::default());
        let mut model = Model::observed_by(Film::of(0..0));
        let filmed = scenario.run(&mut model, Options::default());
        let transcripts = [&run, &filmed].map(|run| run.transcript(&scenario, View::Everything));
        assert_eq!(transcripts[0], transcripts[1], "{}", entry.name);
        for frame in filmed.film.iter().flat_map(|scene| &scene.frames) {
            let (Move::Step { at, .. } | Move::Stuck { at, .. }) = &frame.what else {
                continue;
            };
            if meaning(at).is_none() {
                unknown.insert(at.clone());
            }
        }
    }
    assert!(
        unknown.is_empty(),
        "say in src/trace/steps.rs what these steps do: {unknown:?}"
    );
}

#[test]
fn all_pages_come_out_of_a_pipe_and_none_is_too_wide() {
    let name = "a-wake-climbs-through-every-level";
    let pages = Lab::new(&["step", &path(name)]).succeeds();
    assert!(!pages.contains('\x1b'), "there are escapes in it");
    let titles: Vec<&str> = pages
        .lines()
        .filter(|line| line.starts_with(name))
        .collect();
    let steps = titles.len() - 1;
    for (step, title) in titles.iter().enumerate() {
        let place = format!(" step {step} of {steps} ");
        assert!(title.contains(&place), "{title:?} is not {place:?}");
    }
    for line in pages.lines() {
        assert!(line.chars().count() <= 80, "{line}");
    }
    let with_option = Lab::new(&["step", "--pages", "-"]);
    let text = std::fs::read_to_string(path(name)).expect("a readable file");
    let named = pages.replace(name, &format!("{:width$}", "-", width = name.len()));
    assert_eq!(with_option.input(&text).succeeds(), named);
}

/// A walk through one interleaving ends where the explorer says that it does.
#[test]
fn each_schedule_of_the_explorer_can_be_walked() {
    let block = "\
        ep = epoll_create1(0)\n\
        f = eventfd2(0, EFD_NONBLOCK)\n\
        epoll_ctl(ep, EPOLL_CTL_ADD, f, {events=EPOLLIN|EPOLLET, data={u32=7, u64=7}}) = 0\n\
        parallel {\n\
        [A] a = epoll_wait(ep, ..., 8, -1 <unfinished ...>) = ?\n\
        [B] b = epoll_wait(ep, ..., 8, -1 <unfinished ...>) = ?\n\
        write(f, \"\\1\\0\\0\\0\\0\\0\\0\\0\", 8) = 8\n\
        }\n";
    let explored = Lab::new(&["explore", "-"]).input(block).succeeds();
    let mut ends = Vec::new();
    for line in explored.lines().filter(|line| line.starts_with("outcome ")) {
        let (_, schedule) = line.split_once("# ").expect("a schedule");
        let arguments = ["step", "-", "--schedule", schedule];
        let pages = Lab::new(&arguments).input(block).succeeds();
        let last = pages.rfind("This was the last step.").expect("a last page");
        let asleep: Vec<&str> = pages[last..]
            .lines()
            .filter(|line| line.contains("ep_poll: Sleep, asleep"))
            .collect();
        let [asleep] = asleep[..] else {
            panic!("{schedule}: {asleep:?} at the end of\n{pages}");
        };
        ends.push(if asleep.contains("[A]") { "A" } else { "B" });
    }
    ends.sort_unstable();
    assert_eq!(ends, ["A", "B"], "{explored}");

    let refusal = Lab::new(&["step", "-"]).input(block).complains();
    assert!(refusal.contains("--schedule takes one"), "{refusal}");
    let refusal = Lab::new(&["step", "-", "--schedule", "A*50"]);
    let refusal = refusal.input(block).complains();
    assert!(
        refusal.contains("behind 4 steps A cannot go on"),
        "{refusal}"
    );
}

#[test]
fn mistakes_and_deviations_are_told() {
    let complaint = Lab::new(&[
        "step",
        &path("a-wake-climbs-through-every-level"),
        "--at",
        "999",
    ]);
    assert!(complaint.complains().contains("the last step is "));
    let complaint = Lab::new(&["step", "-"])
        .input("ep = epoll_create1(0\n")
        .complains();
    assert!(complaint.contains("-:1:"), "{complaint}");

    let wrong = "ep = epoll_create1(0) = 3\nclose(4) = 0\n";
    let pages = Lab::new(&["step", "-"]).input(wrong).differs();
    assert!(pages.contains("! the call had another result"), "{pages}");
    assert!(pages.contains("  happened  close(4) = -1 EBADF"), "{pages}");
}

/// On a terminal that script(1) makes: keys in, and at the end everything as it was.
#[test]
fn the_terminal_is_given_back() {
    let has = |tool| Command::new(tool).arg("--version").output().is_ok();
    if !has("script") || !has("timeout") {
        println!("skipped 1: no script(1) to make a terminal, or no timeout(1)");
        return;
    }
    let program = env!("CARGO_BIN_EXE_epoll-lab");
    let scenario = path("a-wake-climbs-through-every-level");
    // Forward, back, the end, help and out of it, a line, folded and not, and quit.
    for keys in ["l h $ ? xg12\rznpjkq", "\x03"] {
        let mut child = Command::new("timeout")
            .args(["60", "script", "--quiet", "--return", "--command"])
            .arg(format!(
                "stty rows 24 cols 80; '{program}' step '{scenario}'; stty -a"
            ))
            .arg("/dev/null")
            .env("TERM", "xterm")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("script starts");
        let mut stdin = child.stdin.take().expect("a pipe to it");
        let mut stdout = child.stdout.take().expect("a pipe from it");
        let mut seen = Vec::new();
        // A key that comes before the first page is not yet a key of the program.
        while !String::from_utf8_lossy(&seen).contains("q quit") {
            let mut some = [0; 4096];
            let count = stdout.read(&mut some).expect("script shows the screen");
            assert!(count > 0, "{}", String::from_utf8_lossy(&seen));
            seen.extend_from_slice(&some[..count]);
        }
        stdin.write_all(keys.as_bytes()).expect("keys are taken");
        stdout.read_to_end(&mut seen).expect("script ends");
        let status = child.wait().expect("script has ended");
        let seen = String::from_utf8_lossy(&seen);
        assert!(status.success(), "{seen}");
        let (screen, after) = seen
            .split_once("\x1b[?1049l")
            .unwrap_or_else(|| panic!("the other screen was not left: {seen:?}"));
        assert!(
            screen.contains("\x1b[?1049h") && screen.contains("? help"),
            "{screen:?}"
        );
        assert!(screen.contains("\x1b[?25h"), "the cursor is still hidden");
        assert!(
            after.contains(" icanon") && after.contains(" echo "),
            "{after}"
        );
    }
}
