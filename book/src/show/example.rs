//! `example`: a program of `examples/`, and what it prints.
//!
//! ````text
//! ```lab example NAME [anchor=ANCHOR] [output]
//! ````
//!
//! An anchor is mdBook's: the lines between `// ANCHOR: name` and `// ANCHOR_END: name`. With `output` the program
//! is run while the book is built, and must succeed.

use std::path::Path;
use std::process::Command;
use std::{env, fs};

use super::{Workshop, no_body};
use crate::directive::{Head, Word};
use crate::mistake::Mistake;

pub(super) fn show(
    workshop: &Workshop<'_>,
    head: &mut Head,
    body: &str,
    start: usize,
) -> Result<String, Mistake> {
    no_body(head, body, start)?;
    let anchor = head.option("anchor");
    let output = head.flag("output");
    let Some(name) = head.subject() else {
        let sentence = "which program?";
        return Err(Mistake::new(
            head.kind.span.clone(),
            sentence,
            "say its name",
        ));
    };
    let path = format!("examples/{}.rs", name.text);
    let Ok(source) = fs::read_to_string(workshop.project.join(&path)) else {
        let sentence = format!("there is no program {path}");
        return Err(Mistake::new(name.span, sentence, "not found"));
    };
    let source = match anchor {
        Some(anchor) => cut(&source, &path, anchor)?,
        None => plain(source.lines()),
    };
    let mut markdown = format!("```rust,ignore\n{}\n```\n", source.trim_matches('\n'));
    if output {
        let printed = run(workshop.project, &name)?;
        markdown.push_str(&format!(
            "\n`cargo run --example {}` printed, when this page was built:\n\n```text\n{}\n```\n",
            name.text,
            printed.trim_end()
        ));
    }
    Ok(markdown)
}

/// The lines of an anchor, moved to the left edge.
fn cut(source: &str, path: &str, anchor: Word) -> Result<String, Mistake> {
    let is = |line: &str, mark: &str| {
        let name = line
            .trim()
            .strip_prefix("// ")
            .and_then(|it| it.strip_prefix(mark));
        name.is_some_and(|name| name.trim() == anchor.text)
    };
    let mut lines = source.lines().skip_while(|line| !is(line, "ANCHOR:"));
    let Some(_) = lines.next() else {
        let sentence = format!("{path} has no anchor `{}`", anchor.text);
        return Err(Mistake::new(anchor.span, sentence, "not found"));
    };
    let lines: Vec<&str> = lines.collect();
    let Some(end) = lines.iter().position(|line| is(line, "ANCHOR_END:")) else {
        let sentence = format!("the anchor `{}` of {path} has no end", anchor.text);
        return Err(Mistake::new(anchor.span, sentence, ""));
    };
    let lines = &lines[..end];
    let indents = lines.iter().filter(|line| !line.trim().is_empty());
    let indent = indents
        .map(|line| line.len() - line.trim_start().len())
        .min();
    Ok(plain(lines.iter().map(|line| {
        line.get(indent.unwrap_or(0)..).unwrap_or_default()
    })))
}

/// Without the marks of anchors.
fn plain<'l>(lines: impl Iterator<Item = &'l str>) -> String {
    let is_mark = |line: &str| line.trim().starts_with("// ANCHOR");
    let lines: Vec<&str> = lines.filter(|line| !is_mark(line)).collect();
    lines.join("\n")
}

fn run(project: &Path, name: &Word) -> Result<String, Mistake> {
    let failed = |sentence: String| Mistake::new(name.span.clone(), sentence, "was to be run");
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["run", "--quiet", "--locked", "--example", &name.text])
        .current_dir(project)
        .output()
        .map_err(|error| failed(format!("cargo cannot be started: {error}")))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let last = String::from_utf8_lossy(&output.stderr);
    let mistake = failed(format!("the program ended with {}", output.status));
    Err(mistake.help(last.trim_end().to_owned()))
}
