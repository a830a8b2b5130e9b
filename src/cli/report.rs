//! What happened, for a person to read.

use super::explore::show_problems;
use super::judge::{Explored, Judged};
use super::soak::show_deviations;
use super::terminal::{BAD, BOLD, FAINT, complain, outln, point_at, styled};
use crate::scenario::{Diff, Failure, Mark, Run, Scenario, View};
use crate::trace::Trace;

/// A run line by line, with as much of the inside as was asked for.
pub(super) fn show_run(scenario: &Scenario, run: &Run, trace: bool, state: bool) {
    if !trace && !state {
        outln!("{}", run.transcript(scenario, View::Everything).trim_end());
        return;
    }
    for passage in run.passages(scenario, View::Everything) {
        for line in &passage.lines {
            outln!("{}", styled(BOLD, line));
        }
        if trace {
            show_trace(passage.trace, passage.depth);
        }
        if let Some(state) = passage.state.filter(|_| state) {
            let indent = 4 * passage.depth;
            for line in state.to_string().lines() {
                outln!("{:indent$}    {line}", "");
            }
        }
    }
}

fn show_trace(trace: &[Trace], depth: usize) {
    let indent = 4 * depth;
    for step in trace {
        outln!("{:indent$}    {}", "", styled(FAINT, step));
    }
}

/// Where kernels or expectations part ways.
pub(super) fn show_difference(path: &str, text: &str, scenario: &Scenario, judged: &Judged) {
    outln!("{}", styled(BOLD, path));
    for run in judged.runs() {
        if let Some(stopped) = &run.stopped {
            complain(format_args!("{path}: stopped on {}", run.backend));
            point_at(path, text, stopped);
        }
    }
    if let (Some(model), Some(kernel)) = (&judged.model, &judged.kernel) {
        let diff = Diff::new(scenario, model, kernel);
        if !diff.is_same() {
            show_diff(&diff);
            return;
        }
    }
    if let Some(explored) = &judged.explored {
        show_explored(path, text, explored);
    }
    // They say the same, or there is one only: it is the scenario that is contradicted.
    if let Some(run) = judged.runs().next() {
        for failure in &run.failures {
            show_failure(path, text, failure, &judged.names());
        }
        if let Some(outcome) = run.outcomes.iter().find(|outcome| !outcome.agrees) {
            show_last_trace(&run.trace_until(outcome.line));
        }
    }
}

fn show_explored(path: &str, text: &str, explored: &Explored) {
    if let Some(stopped) = &explored.stopped {
        complain(format_args!("{path}: stopped"));
        point_at(path, text, stopped);
        return;
    }
    outln!("{}", explored.table.trim_end());
    show_problems(path, text, &explored.problems);
    if let Some(observed) = &explored.observed {
        show_deviations(path, observed);
    }
    if explored.bound_reached {
        complain(format_args!(
            "{path}: too many states; {}",
            explored.summary
        ));
    }
}

/// What led to a difference.
fn show_last_trace(trace: &[Trace]) {
    if !trace.is_empty() {
        outln!("  inside the model, up to here:");
        show_trace(trace, 0);
    }
}

/// Both transcripts, one line where they say the same, two where not.
fn show_diff(diff: &Diff) {
    let [left, right] = &diff.names;
    let width = left.chars().count().max(right.chars().count());
    for row in &diff.rows {
        let sides = [(left, &row.left), (right, &row.right)];
        if row.mark == Mark::Same {
            outln!(
                "  {:width$}  {}",
                "",
                row.left.as_deref().unwrap_or_default()
            );
            continue;
        }
        let marker = if row.mark == Mark::First { ">" } else { "!" };
        for (name, side) in sides {
            let text = side.as_deref().unwrap_or("(no such line)");
            let line = format!("{marker} {name:width$}  {text}");
            outln!("{}", styled(BAD, line));
        }
        if row.mark == Mark::First {
            show_last_trace(&diff.trace);
        }
    }
}

fn show_failure(path: &str, text: &str, failure: &Failure, names: &str) {
    let position = failure.span.position(text);
    outln!(
        "{path}:{}:{}: {} ({names})",
        position.line,
        position.column,
        styled(BAD, &failure.message)
    );
    if !failure.rounds.is_empty() {
        outln!("  in round {:?}", failure.rounds);
    }
    outln!("  expected  {}", failure.expected);
    outln!("  happened  {}", failure.actual);
}
