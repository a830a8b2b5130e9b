//! What directives show. Each kind of directive is a file in here.

mod example;
mod exercise;
mod figure;
mod outcomes;
mod predict;
mod table;
mod transcript;

use std::path::Path;

use crate::directive::{Directive, Head};
use crate::mistake::Mistake;

/// What there is to work with.
#[derive(Clone, Debug)]
pub(crate) struct Workshop<'b> {
    /// The folder of the project.
    pub(crate) project: &'b Path,
    /// Linux is not to be asked.
    pub(crate) recorded: bool,
    /// An id that no other directive of the book has: all chapters are one page in print.
    pub(crate) id: String,
}

/// Every kind of directive.
pub(crate) const KINDS: [&str; 8] = [
    "transcript",
    "figure",
    "state",
    "outcomes",
    "table",
    "example",
    "predict",
    "exercise",
];

/// The HTML, or Markdown, that takes the place of a directive.
pub(crate) fn show(workshop: &Workshop<'_>, directive: Directive) -> Result<String, Mistake> {
    let Directive {
        mut head,
        body,
        body_start,
        ..
    } = directive;
    let shown = show_kind(workshop, &mut head, &body, body_start)?;
    head.finish()?;
    Ok(shown)
}

fn show_kind(
    workshop: &Workshop<'_>,
    head: &mut Head,
    body: &str,
    start: usize,
) -> Result<String, Mistake> {
    match &*head.kind.text {
        "transcript" => transcript::show(workshop, head, body, start),
        "figure" => figure::show(workshop, head, body, start),
        "state" => figure::show_state(workshop, head, body, start),
        "outcomes" => outcomes::show(workshop, head, body, start),
        "table" => table::show(workshop, head, body, start),
        "example" => example::show(workshop, head, body, start),
        "predict" => predict::show(workshop, head, body, start),
        "exercise" => exercise::show(workshop, head, body, start),
        kind => {
            let sentence = format!("there is no directive `{kind}`");
            let mistake = Mistake::new(head.kind.span.clone(), sentence, "unknown");
            Err(mistake.help(format!("known are {}", KINDS.join(", "))))
        }
    }
}

/// A directive that is told everything in its head has no body.
fn no_body(head: &Head, body: &str, start: usize) -> Result<(), Mistake> {
    if body.trim().is_empty() {
        return Ok(());
    }
    let sentence = format!("`{}` has no text of its own", head.kind.text);
    Err(Mistake::new(
        start..start + body.trim_end().len(),
        sentence,
        "not read",
    ))
}
