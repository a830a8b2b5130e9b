//! The rules of this code base that no compiler knows, read from its sources.
//!
//! Each rule is a function from a file to the places where it is broken, and each is tried on a bad
//! sample too: a rule that finds nothing must not be one that cannot find anything.

mod source;

use source::Source;

/// Imports go one way. What stands on the right may be used by what stands on the left, and nothing
/// else: model, kernel and scenario meet in the trait `Backend` and nowhere else.
const MAY_USE: [(&str, &[&str]); 13] = [
    ("abi", &[]),
    ("trace", &["abi"]),
    ("backend", &["abi", "trace"]),
    ("model", &["abi", "trace", "backend"]),
    ("kernel", &["abi", "trace", "backend"]),
    ("scenario", &["abi", "trace", "backend"]),
    ("table", &["abi", "scenario"]),
    ("exercise", &["abi", "trace", "backend", "scenario"]),
    ("threads", &["abi", "trace", "backend", "model"]),
    ("explore", &["abi", "trace", "backend", "model", "scenario"]),
    (
        "fuzz",
        &["abi", "trace", "backend", "model", "scenario", "explore"],
    ),
    (
        "figure",
        &["abi", "trace", "backend", "model", "scenario", "explore"],
    ),
    (
        "cli",
        &[
            "abi", "trace", "backend", "model", "kernel", "scenario", "exercise", "explore",
            "fuzz", "figure", "table",
        ],
    ),
];

/// The model is a plain value: it has no clock but its own, no thread, no lock and no input or output.
/// `std::time::Duration` is a number and therefore allowed.
const NOT_IN_THE_MODEL: [&[&str]; 9] = [
    &["std", "time", "Instant"],
    &["std", "time", "SystemTime"],
    &["std", "thread"],
    &["std", "sync"],
    &["std", "fs"],
    &["std", "net"],
    &["std", "io"],
    &["std", "env"],
    &["std", "process"],
];

/// mdBook is a hundred crates: who runs a scenario or the tests compiles none of them.
#[test]
fn the_book_is_no_default_member() {
    let manifest = include_str!("../../Cargo.toml");
    assert!(manifest.contains("default-members = [\".\"]"), "{manifest}");
    let (own, _) = manifest.split_once("[lints").expect("lints come last");
    assert!(!own.contains("mdbook"), "the lab itself needs no mdBook");
}

#[test]
fn imports_go_one_way() {
    assert_none(Source::all_below("src").iter().flat_map(wrong_imports));

    let bad = |path, text| wrong_imports(&Source::new(path, text));
    assert_eq!(
        bad(
            "src/model/wait.rs",
            "use crate::abi::Fd;\nuse crate::kernel::Linux;"
        ),
        ["src/model/wait.rs:2: model must not use crate::kernel, only abi, trace, backend"]
    );
    assert_eq!(
        bad(
            "src/trace/text.rs",
            "use crate::{abi::{Fd, Errno}, backend};"
        )
        .len(),
        1
    );
    assert_eq!(
        bad("src/abi/fd.rs", "use super::super::trace::State;").len(),
        1
    );
    assert_eq!(
        bad("src/abi/fd.rs", "fn f() -> crate::trace::State {}").len(),
        1
    );
    assert_eq!(bad("src/scenario/mod.rs", "use crate::Machine;").len(), 1);
    assert_eq!(bad("src/new.rs", "").len(), 1);
    assert_eq!(
        bad("src/cli/mod.rs", "use super::scenario::{run, self};").len(),
        0
    );
    assert_eq!(
        bad(
            "src/model/mod.rs",
            "/// [`crate::kernel`]\nuse crate::model::Key;"
        )
        .len(),
        0
    );
}

fn wrong_imports(file: &Source) -> Vec<String> {
    let module = match &*file.module()[0] {
        // The crate's two roots name everything, that is their task; the build script is no part of it.
        "lib" | "main" | "build" => return Vec::new(),
        module => module.to_owned(),
    };
    let Some((_, allowed)) = MAY_USE.iter().find(|(name, _)| *name == module) else {
        return vec![file.at(1, format!("say in tests/it/tidy.rs what {module} may use"))];
    };
    let from_root = file
        .paths("crate")
        .into_iter()
        .map(|(line, path)| (line, path[1..].to_vec()));
    // Enough `super` lead to the root too. Inside an inline module they may mean less, and then what
    // follows is no module of the root.
    let depth = file.module().len();
    let from_here = file.paths("super").into_iter().filter_map(|(line, path)| {
        let supers = path.iter().take_while(|name| *name == "super").count();
        let named = path.get(supers)?;
        (supers >= depth && MAY_USE.iter().any(|(name, _)| name == named))
            .then(|| (line, path[supers..].to_vec()))
    });
    from_root
        .chain(from_here)
        .filter_map(|(line, path)| {
            let used = path.first().map_or("*", |name| name);
            if used == module || allowed.contains(&used) {
                return None;
            }
            let allowed = if allowed.is_empty() {
                "itself".to_owned()
            } else {
                allowed.join(", ")
            };
            Some(file.at(
                line,
                format!("{module} must not use crate::{used}, only {allowed}"),
            ))
        })
        .collect()
}

#[test]
fn the_model_is_a_plain_value() {
    assert_none(Source::all_below("src/model").iter().flat_map(impure_paths));

    let bad = |text| impure_paths(&Source::new("src/model/clock.rs", text));
    assert_eq!(
        bad("use std::time::{Duration, Instant};"),
        ["src/model/clock.rs:1: the model must not use std::time::Instant"]
    );
    assert_eq!(bad("use std::{fmt, sync::Mutex};").len(), 1);
    assert_eq!(bad("fn f() { std::thread::yield_now() }").len(), 1);
    // Whoever takes all of it takes the clock too.
    assert_eq!(bad("use std::time;").len(), 1);
    assert_eq!(bad("use std::time::*;").len(), 1);
    assert_eq!(bad("use std::time::Duration; // no std::sync").len(), 0);
}

fn impure_paths(file: &Source) -> Vec<String> {
    let is_impure = |path: &[String]| {
        NOT_IN_THE_MODEL.iter().any(|forbidden| {
            path.iter()
                .zip(*forbidden)
                .all(|(name, forbidden)| name == forbidden)
        })
    };
    file.paths("std")
        .into_iter()
        .filter(|(_, path)| is_impure(path))
        .map(|(line, path)| file.at(line, format!("the model must not use {}", path.join("::"))))
        .collect()
}

#[test]
fn unsafe_code_is_in_one_file() {
    let everywhere = ["src", "tests", "examples", "benches"].map(Source::all_below);
    assert_none(everywhere.iter().flatten().flat_map(unfenced_unsafe));

    let bad = |path, text| unfenced_unsafe(&Source::new(path, text));
    assert_eq!(
        bad("src/kernel/mod.rs", "fn f() {\n    unsafe { g() }\n}"),
        ["src/kernel/mod.rs:2: `unsafe` belongs into src/kernel/ffi.rs"]
    );
    assert_eq!(
        bad("benches/b.rs", "#![allow(unsafe_code, reason = \"speed\")]").len(),
        1
    );
    assert_eq!(bad("src/kernel/ffi.rs", "unsafe {}").len(), 0);
    assert_eq!(
        bad("src/lib.rs", "// unsafe\nconst A: &str = \"unsafe\";").len(),
        0
    );
}

fn unfenced_unsafe(file: &Source) -> Vec<String> {
    if file.path == "src/kernel/ffi.rs" {
        return Vec::new();
    }
    file.identifiers()
        .filter(|(_, word)| ["unsafe", "unsafe_code"].contains(word))
        .map(|(line, word)| file.at(line, format!("`{word}` belongs into src/kernel/ffi.rs")))
        .collect()
}

/// What a file is must reach eventpoll only through its `poll` and its wake-ups. A name of one kind in
/// there would be the symptom modelled instead of the algorithm.
#[test]
fn eventpoll_knows_no_kind_of_file() {
    assert_none(
        Source::all_below("src/model/eventpoll")
            .iter()
            .flat_map(named_kinds),
    );

    let bad = |text| named_kinds(&Source::new("src/model/eventpoll/ctl.rs", text));
    assert_eq!(
        bad("match kind {\n    Kind::Pipe(_) => 0,\n}"),
        ["src/model/eventpoll/ctl.rs:2: eventpoll must not name the file kind in `Pipe`"]
    );
    assert_eq!(bad("fn is_eventfd() {}").len(), 1);
    assert_eq!(
        bad("fn f() {}\n#[cfg(test)]\nmod tests { use crate::Pipe; }").len(),
        0
    );
}

fn named_kinds(file: &Source) -> Vec<String> {
    let tests = file.code.find("#[cfg(test)]").unwrap_or(file.code.len());
    let first_test_line = file.line_of(tests);
    file.identifiers()
        .take_while(|(line, _)| *line < first_test_line || tests == file.code.len())
        .filter(|(_, word)| {
            let word = word.to_lowercase();
            ["pipe", "eventfd", "timerfd"]
                .iter()
                .any(|kind| word.contains(kind))
        })
        .map(|(line, word)| {
            file.at(
                line,
                format!("eventpoll must not name the file kind in `{word}`"),
            )
        })
        .collect()
}

#[test]
fn every_scenario_says_which_law_it_shows() {
    let scenarios = source::files_below("examples/scenarios", "strace");
    assert!(
        !scenarios.is_empty(),
        "there are no scenarios below examples/scenarios"
    );
    assert_none(
        scenarios
            .iter()
            .filter_map(|path| missing_id(path, &source::read(path))),
    );

    assert_eq!(
        missing_id(
            "a.strace",
            "# law 7: Edges are reported once.\nepoll_create1(0)"
        ),
        None
    );
    assert_eq!(
        missing_id(
            "a.strace",
            "# Prose.\n\n# confusion et-lt: Both are.\nclose(3)"
        ),
        None
    );
    for bad in [
        "# law: No number.",
        "# law 7:",
        "# law x: A.",
        "close(3)\n# law 7: Too late.",
    ] {
        assert!(missing_id("a.strace", bad).is_some(), "{bad:?} passes");
    }
}

/// The header of a scenario: comments and blank lines before its first call.
fn missing_id(path: &str, text: &str) -> Option<String> {
    let mut header = text
        .lines()
        .map_while(|line| line.strip_prefix('#').or(line.is_empty().then_some("")));
    let found = header.any(|comment| {
        let Some((id, sentence)) = comment.trim().split_once(": ") else {
            return false;
        };
        let is_id = match id.split_once(' ') {
            // The laws of the specification are numbered; a `p` marks one that the project found.
            Some(("law", id)) => id.strip_prefix('p').unwrap_or(id).parse::<u32>().is_ok(),
            Some(("confusion", slug)) => !slug.is_empty(),
            _ => false,
        };
        is_id && !sentence.trim().is_empty()
    });
    (!found).then(|| {
        format!(
            "{path}:1: no `# law N: sentence` or `# confusion slug: sentence` before the first call"
        )
    })
}

#[test]
fn the_changelog_says_what_is_unreleased() {
    let text = source::read("CHANGELOG.md");
    let (_, section) = text
        .split_once("\n## Unreleased\n")
        .expect("CHANGELOG.md has no section `## Unreleased`");
    let section = section.split("\n## ").next().unwrap_or_default();
    assert!(
        section.lines().any(|line| line.starts_with("- ")),
        "the section is empty"
    );
}

/// A reader who types what the README says does what the machine does.
#[test]
fn the_readme_and_the_check_give_the_same_commands() {
    let (readme, check) = (source::read("README.md"), source::read(".ci/run"));
    for (shown, run) in [
        ("cargo test --locked", "step cargo test --locked"),
        (
            "cargo run --release -- check",
            "step cargo run --release --locked -- check",
        ),
    ] {
        assert!(
            readme.lines().any(|line| line == shown),
            "README.md does not show `{shown}`"
        );
        assert!(
            check.lines().any(|line| line == run),
            ".ci/run does not run `{run}`"
        );
    }
}

/// Lengths are shown and not limited (`cargo test sizes -- --nocapture`): a long file is a question
/// whether it holds two ideas.
#[test]
fn sizes_are_printed() {
    let mut sizes: Vec<(usize, String)> = Source::all_below("src")
        .into_iter()
        .map(|file| (file.code.lines().count(), file.path))
        .collect();
    sizes.sort();
    println!(
        "{} files, median {} lines; the longest:",
        sizes.len(),
        sizes[sizes.len() / 2].0
    );
    for (lines, path) in sizes.iter().rev().take(12) {
        println!("{lines:5} {path}");
    }
    assert!(
        sizes.iter().any(|(_, path)| path == "src/lib.rs"),
        "these are not all the sources"
    );
}

#[track_caller]
fn assert_none(problems: impl Iterator<Item = String>) {
    let problems: Vec<String> = problems.collect();
    assert!(problems.is_empty(), "\n{}\n", problems.join("\n"));
}
