//! Checks files that are not part of the library (yet):
//!
//! ```sh
//! SCENARIO_DIR=/path/to/scenarios cargo test --lib scenario::tests::files -- --ignored --nocapture
//! ```
//!
//! prints what is wrong as `file:line:column`, and which files are not in canonical form.
//! With `SCENARIO_FMT=1` it rewrites those.

use std::path::{Path, PathBuf};

use crate::scenario::Scenario;

#[test]
#[ignore = "reads the directory that SCENARIO_DIR names"]
fn every_file_is_a_scenario() {
    let root = std::env::var("SCENARIO_DIR").expect("SCENARIO_DIR is set");
    let mut files = Vec::new();
    collect(Path::new(&root), &mut files);
    files.sort();
    let mut wrong = 0;
    for path in &files {
        let text = std::fs::read_to_string(path).expect("a readable file");
        match Scenario::parse(&text) {
            Err(errors) => {
                wrong += 1;
                for error in errors {
                    let at = error.span().position(&text);
                    println!("{}:{at}: {error} [{}]", path.display(), error.label());
                    if let Some(help) = error.advice() {
                        println!("    help: {help}");
                    }
                }
            }
            Ok(scenario) => report_form(path, &text, &scenario),
        }
    }
    println!("{} files, {wrong} wrong", files.len());
    assert_eq!(wrong, 0, "files with errors");
}

fn report_form(path: &Path, text: &str, scenario: &Scenario) {
    let canonical = scenario.to_string();
    let again = Scenario::parse(&canonical).expect("the canonical form is a scenario");
    assert_eq!(&again, scenario, "{} changed by printing", path.display());
    if canonical == text {
        return;
    }
    if std::env::var_os("SCENARIO_FMT").is_some() {
        std::fs::write(path, &canonical).expect("a writable file");
        return;
    }
    let differing = text
        .lines()
        .zip(canonical.lines())
        .enumerate()
        .find(|(_, (a, b))| a != b);
    match differing {
        Some((index, (_, canonical))) => {
            println!(
                "{}:{}: canonical is\n    {canonical}",
                path.display(),
                index + 1
            );
        }
        None => println!(
            "{}: ends in another way than the canonical form",
            path.display()
        ),
    }
}

fn collect(path: &Path, files: &mut Vec<PathBuf>) {
    if path.is_dir() {
        for entry in std::fs::read_dir(path).expect("a readable directory") {
            collect(&entry.expect("an entry").path(), files);
        }
    } else if path
        .extension()
        .is_some_and(|extension| extension == "strace")
    {
        files.push(path.to_owned());
    }
}
