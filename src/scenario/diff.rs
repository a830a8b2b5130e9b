//! Two runs of one scenario beside each other.

use std::fmt;

use crate::trace::Trace;

use super::Scenario;
use super::run::Run;
use super::transcript::View;

/// Where two kernels did the same, and where not.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Diff {
    /// The names of both kernels.
    pub names: [String; 2],
    /// The transcripts, aligned.
    pub rows: Vec<Row>,
    /// What went on inside last, up to the first line that differs, from the kernel that can tell.
    pub trace: Vec<Trace>,
}

/// A line of both transcripts; one side is absent where only one kernel has such a line.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Row {
    /// The number of the scenario's line that it belongs to.
    pub line: usize,
    /// What the first kernel did.
    pub left: Option<String>,
    /// What the second one did.
    pub right: Option<String>,
    /// How the two compare.
    pub mark: Mark,
}

/// How the sides of a row compare.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mark {
    /// Alike.
    Same,
    /// The first difference: what comes later may be its consequence.
    First,
    /// A later difference.
    Differs,
}

impl Diff {
    /// Compares two runs of `scenario` line by line.
    pub fn new(scenario: &Scenario, left: &Run, right: &Run) -> Diff {
        let mut rows = Vec::new();
        // What a resumed line tells was done by the line that ended the call.
        let mut cause = 0;
        let mut first = None;
        let lefts = left.passages(scenario, View::Comparable);
        let rights = right.passages(scenario, View::Comparable);
        for (l, r) in lefts.into_iter().zip(rights) {
            let line = l.line;
            if !l.is_resumed {
                cause = line;
            }
            let (mut l, mut r) = (l.lines.into_iter(), r.lines.into_iter());
            loop {
                let (left, right) = (l.next(), r.next());
                if left.is_none() && right.is_none() {
                    break;
                }
                let mark = match (left == right, first) {
                    (true, _) => Mark::Same,
                    (false, Some(_)) => Mark::Differs,
                    (false, None) => {
                        first = Some(cause);
                        Mark::First
                    }
                };
                rows.push(Row {
                    line,
                    left,
                    right,
                    mark,
                });
            }
        }
        let names = [left.backend.clone(), right.backend.clone()];
        let trace = match first {
            Some(line) => [left, right]
                .map(|run| run.trace_until(line))
                .into_iter()
                .find(|trace| !trace.is_empty())
                .unwrap_or_default(),
            None => Vec::new(),
        };
        Diff { names, rows, trace }
    }

    /// Whether both did the same all the way.
    pub fn is_same(&self) -> bool {
        self.rows.iter().all(|row| row.mark == Mark::Same)
    }

    /// The line at which they part.
    pub fn first(&self) -> Option<usize> {
        self.rows
            .iter()
            .find(|row| row.mark == Mark::First)
            .map(|row| row.line)
    }
}

/// One under the other: common lines once, differing ones with the kernels' names.
impl fmt::Display for Diff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self
            .names
            .iter()
            .map(|name| name.chars().count())
            .max()
            .unwrap_or(0);
        for row in &self.rows {
            if let (Mark::Same, Some(text)) = (row.mark, &row.left) {
                writeln!(f, "  {:width$}  {text}", "")?;
                continue;
            }
            let mark = if row.mark == Mark::First { '>' } else { '!' };
            for (name, side) in self.names.iter().zip([&row.left, &row.right]) {
                let text = side.as_deref().unwrap_or("(nothing)").trim_start();
                writeln!(f, "{mark} {name:width$}  {text}")?;
            }
            if row.mark == Mark::First {
                for step in &self.trace {
                    writeln!(f, "  {:width$}      {step}", "")?;
                }
            }
        }
        Ok(())
    }
}
