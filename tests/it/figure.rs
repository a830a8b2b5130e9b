//! The drawings that `figure` makes, as files.

use std::fs;

use tempfile::TempDir;

use crate::cli::Lab;
use crate::common::snapshots;
use crate::step::path;

/// A scan that stands still while two wake-ups overflow.
const OVERFLOW: &str = "an-edge-during-the-scan-is-reported-again";

/// Drawings to look at.
const DRAWINGS: [(&str, usize); 2] = [(OVERFLOW, 24), ("a-wake-climbs-through-every-level", 42)];

/// Their names in `snapshots/`.
pub(crate) fn drawing_names() -> impl Iterator<Item = String> {
    DRAWINGS
        .iter()
        .map(|(name, step)| drawing_name(name, *step))
}

fn drawing_name(name: &str, step: usize) -> String {
    format!("{name}.figure-{step}")
}

/// A drawing without its style sheet, an element a line.
fn readable(svg: &str) -> String {
    let (before, rest) = svg.split_once("<style>").expect("it has a style sheet");
    let (style, behind) = rest.split_once("</style>").expect("which ends");
    assert!(style.contains("prefers-color-scheme: dark"), "{style}");
    assert!(!style.contains("button"), "{style}");
    format!("{before}{}", behind.replace("><", ">\n<"))
}

#[test]
fn drawings_are_those_in_snapshots() {
    let mut settings = insta::Settings::new();
    settings.set_snapshot_path(snapshots());
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| {
        for (name, step) in DRAWINGS {
            let svg = Lab::new(&["figure", &path(name), "--at", &step.to_string()]).succeeds();
            insta::assert_snapshot!(drawing_name(name, step), readable(&svg));
        }
    });
}

#[test]
fn the_name_of_the_file_says_what_is_drawn() {
    let folder = TempDir::new().expect("a folder for temporary files");
    let to = |name: &str| folder.path().join(name).display().to_string();
    let scenario = path(OVERFLOW);
    let (svg, html) = (to("x.svg"), to("x.html"));
    for output in [&svg, &html] {
        assert_eq!(
            Lab::new(&["figure", &scenario, "-o", output]).succeeds(),
            ""
        );
    }
    let svg = fs::read_to_string(svg).expect("it is written");
    assert_eq!(Lab::new(&["figure", &scenario]).succeeds(), svg);
    assert!(svg.contains(", step 41 of 41</title>"), "{svg}");

    let page = fs::read_to_string(html).expect("it is written");
    assert!(page.starts_with("<!doctype html>"), "{page}");
    for part in [
        "<style>",
        "class=\"lab-strip\"",
        "class=\"lab-data\"",
        "<script>",
    ] {
        assert!(page.contains(part), "no {part}");
    }
    // Neither asks for anything that is not in it.
    for drawn in [&svg, &page] {
        for outside in [" src=", " href=", "url(", "@import", "fetch("] {
            assert!(!drawn.contains(outside), "{outside}");
        }
        for address in drawn.match_indices("http") {
            let rest = &drawn[address.0..];
            assert!(
                rest.starts_with("http://www.w3.org/2000/svg"),
                "{}",
                &rest[..40]
            );
        }
    }
}

#[test]
fn some_lines_and_some_parts_can_be_chosen() {
    let scenario = path(OVERFLOW);
    let svg = |more: &[&str]| {
        let mut arguments = vec!["figure", &scenario];
        arguments.extend(more);
        Lab::new(&arguments).succeeds()
    };
    let whole = svg(&["--at", "24"]);
    let part = svg(&["--lines", "12-13", "--show", "lists,tasks"]);
    assert!(part.contains(", step 6 of 6</title>"), "{part}");
    for (what, is_chosen) in [
        ("ovflist", true),
        (">tasks<", true),
        (">rbr<", false),
        ("open files", false),
    ] {
        assert!(whole.contains(what), "{what}");
        assert_eq!(part.contains(what), is_chosen, "{what}");
    }
}

#[test]
fn one_of_all_interleavings_is_drawn() {
    let block = "\
        ep = epoll_create1(0)\n\
        parallel {\n\
        [A] a = epoll_wait(ep, ..., 8, 0) = ?\n\
        [B] b = epoll_wait(ep, ..., 8, 0) = ?\n\
        }\n";
    let refusal = Lab::new(&["figure", "-"]).input(block).complains();
    assert!(refusal.contains("has many runs"), "{refusal}");
    let drawn = |schedule| {
        let arguments = ["figure", "-", "--schedule", schedule];
        Lab::new(&arguments).input(block).succeeds()
    };
    assert!(drawn("A*2").contains("task 1 [A], ep_poll: Look"));
    assert!(drawn("B*2").contains("task 2 [B], ep_poll: Look"));
    // A call that others interrupt comes twice, and says so.
    assert!(drawn("A*1 B*2 A*1").contains(", 8, 0) = ?  # goes on</text>"));
    let refusal = Lab::new(&["figure", "-", "--schedule", "A*50"]);
    let refusal = refusal.input(block).complains();
    assert!(refusal.contains("the schedule does not fit"), "{refusal}");
}

#[test]
fn mistakes_are_told_and_deviations_drawn() {
    let scenario = path(OVERFLOW);
    for (arguments, said) in [
        (&["--at", "999"][..], "the last step is 41"),
        (&["-o", "x.png"], "has to end with .svg or .html"),
        (&["-o", "x.html", "--at", "3"], "a page has all"),
        (&["-o", "/nowhere/x.svg"], "cannot write /nowhere/x.svg"),
        (&["--lines", "1-2"], "these lines take no step"),
        (&["--lines", "9-7"], "the first line comes first"),
        (&["--lines", "some"], "`some` is no line number"),
        (&["--show", "wings"], "tree, lists, queues, files and tasks"),
    ] {
        let mut all = vec!["figure", &scenario];
        all.extend(arguments);
        let complaint = Lab::new(&all).complains();
        assert!(complaint.contains(said), "{arguments:?}: {complaint}");
    }
    let complaint = Lab::new(&["figure", "-"]).input("close(4");
    assert!(complaint.complains().contains("-:1:"));

    let wrong = "ep = epoll_create1(0) = 3\nclose(4) = 0\n";
    let (drawn, said) = Lab::new(&["figure", "-"]).input(wrong).differs_aloud();
    assert!(drawn.starts_with("<svg"), "{drawn}");
    assert!(said.contains("-:2: the call had another result"), "{said}");
}
