//! What really happened, in the language of the scenario.

use super::ast::{Form, LineKind, Repeat};
use super::print::{Step, file_text, indent, walk};
use super::run::{Outcome, Run};
use super::{Line, Scenario};
use crate::trace::{State, Trace};

/// How much a transcript tells.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum View {
    /// What the scenario leaves open (`?`, `...`) stays open, since kernels may differ in it. This is
    /// the text that both must agree on, and that snapshots keep.
    Comparable,
    /// Everything, for a person who wants to know.
    Everything,
}

impl Run {
    /// The lines that did something, as they happened; the body of a loop once. No comments.
    pub fn transcript(&self, scenario: &Scenario, view: View) -> String {
        let mut text = String::new();
        for passage in self.passages(scenario, view) {
            for line in passage.lines {
                text.push_str(&line);
                text.push('\n');
            }
        }
        if let Some(stopped) = &self.stopped {
            text.push_str(&format!("# stopped: {stopped}\n"));
        }
        text
    }

    /// The same in pieces, with what went on inside.
    pub fn passages(&self, scenario: &Scenario, view: View) -> Vec<Passage<'_>> {
        passages(scenario, self, view)
    }
}

impl Scenario {
    /// The text of the file with the missing results of a run filled in. Whatever is written already
    /// stays, also where the run contradicts it.
    pub fn record(&self, run: &Run) -> String {
        file_text(self, &|line| {
            run.outcome(line.number)
                .map(|outcome| outcome.recorded.clone())
        })
    }
}

/// What one line of the scenario gave: itself, and what followed it unasked.
#[derive(Clone, Debug)]
pub struct Passage<'r> {
    /// Its number; that of a loop for both of its braces.
    pub line: usize,
    /// In how many loops it stands.
    pub depth: usize,
    /// Its lines in the transcript, none if it was not executed.
    pub lines: Vec<String>,
    /// What went on inside, from a kernel that can tell; in a loop in the first round.
    pub trace: &'r [Trace],
    /// The internal state after it, if it was asked for.
    pub state: Option<&'r State>,
    pub(super) is_resumed: bool,
}

/// One passage for each line that can do something, executed or not, and for each brace of a loop.
fn passages<'r>(scenario: &Scenario, run: &'r Run, view: View) -> Vec<Passage<'r>> {
    let mut passages = Vec::new();
    walk(scenario.lines(), 0, &mut |depth, step| {
        let mut is_resumed = false;
        let (line, texts) = match step {
            Step::Line(line) => {
                is_resumed = match &line.kind {
                    LineKind::Call(call) => call.form == Form::Resumed,
                    LineKind::Handled(_) => true,
                    _ => false,
                };
                if let LineKind::Repeat(repeat) = &line.kind {
                    (line.number, brace(repeat, run, &line.call_text()))
                } else if line.is_action() {
                    (line.number, texts(line, run, view))
                } else {
                    return;
                }
            }
            Step::End(line) => match &line.kind {
                LineKind::Repeat(repeat) => (line.number, brace(repeat, run, "}")),
                _ => return,
            },
        };
        let lines = texts
            .into_iter()
            .map(|text| format!("{}{text}", indent(depth)))
            .collect();
        let outcome = run.outcome(line);
        passages.push(Passage {
            line,
            depth,
            lines,
            trace: outcome.map_or(&[], |outcome| &outcome.trace),
            state: outcome.and_then(|outcome| outcome.state.as_ref()),
            is_resumed,
        });
    });
    passages
}

fn texts(line: &Line, run: &Run, view: View) -> Vec<String> {
    let Some(Outcome {
        transcript,
        actual,
        extra,
        ..
    }) = run.outcome(line.number)
    else {
        return Vec::new();
    };
    let own = match view {
        View::Comparable => transcript,
        View::Everything => actual,
    };
    std::iter::once(own).chain(extra).cloned().collect()
}

/// A brace is shown if the run came to the loop.
fn brace(repeat: &Repeat, run: &Run, text: &str) -> Vec<String> {
    let is_reached = run.stopped.is_none() || repeat.body.iter().any(|line| reached(line, run));
    if is_reached {
        vec![text.to_owned()]
    } else {
        Vec::new()
    }
}

fn reached(line: &Line, run: &Run) -> bool {
    run.outcome(line.number).is_some()
        || line
            .body()
            .is_some_and(|body| body.iter().any(|line| reached(line, run)))
}
