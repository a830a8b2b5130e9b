//! What the programs have come to: so that nobody takes a million runs for many, if all of them did the same.

use indexmap::IndexMap;

use crate::abi::{Answer, Errno, TaskId};
use crate::trace::{Move, Observer, State, Trace, names};

/// Listens to a run.
#[derive(Clone, Debug, Default)]
pub struct Watcher {
    seen: Coverage,
    /// The call that each task has made last.
    calls: Vec<(TaskId, &'static str)>,
}

/// How often everything happened that can.
#[derive(Clone, Debug, Default)]
pub struct Coverage {
    /// Steps of calls, by kernel function.
    steps: IndexMap<String, u64>,
    /// What happened within them, each kind of event and each way of it that has a name.
    events: IndexMap<String, u64>,
    /// Errors, by call.
    errors: IndexMap<(&'static str, Errno), u64>,
}

impl Observer for Watcher {
    const STEPS: bool = true;

    fn on(&mut self, trace: Trace) {
        *self.seen.events.entry(kind_of(&trace)).or_default() += 1;
    }

    fn step(&mut self, what: Move, answer: Option<Answer>, _: impl FnOnce() -> State) {
        match &what {
            Move::Call { task, call } => {
                self.calls.retain(|(other, _)| other != task);
                self.calls.push((*task, call.name()));
            }
            Move::Step { at, .. } | Move::Work { at } => {
                *self.seen.steps.entry(step_name(at)).or_default() += 1;
            }
            Move::Stuck { .. } | Move::Time => {}
        }
        if let (Some(Answer::Failed(errno, _)), Some(task)) = (answer, what.task())
            && let Some((_, call)) = self.calls.iter().find(|(other, _)| *other == task)
        {
            *self.seen.errors.entry((call, errno)).or_default() += 1;
        }
    }
}

/// Without the numbers in it: which of many it was says nothing.
fn step_name(at: &str) -> String {
    at.split('(').next().unwrap_or(at).to_owned()
}

/// The variant, and what it says of the way it went.
fn kind_of(trace: &Trace) -> String {
    let text = format!("{trace:?}");
    let name = text.split([' ', '(']).next().unwrap_or_default();
    match trace {
        Trace::Callback { verdict, .. } => format!("{name} {verdict:?}"),
        Trace::Wake { key, nr, .. } => format!("{name} {key} {nr}"),
        _ => name.to_owned(),
    }
}

impl Coverage {
    /// Takes in what a run came to.
    pub fn add(&mut self, watcher: Watcher) {
        self.merge(watcher.seen);
    }

    /// Takes in what others came to.
    pub fn merge(&mut self, other: Coverage) {
        for (step, count) in other.steps {
            *self.steps.entry(step).or_default() += count;
        }
        for (event, count) in other.events {
            *self.events.entry(event).or_default() += count;
        }
        for (error, count) in other.errors {
            *self.errors.entry(error).or_default() += count;
        }
    }

    /// Known steps that no program came to.
    pub fn unreached(&self) -> Vec<String> {
        let mut steps = names();
        steps.retain(|step| !self.steps.contains_key(step));
        steps
    }

    /// A table for people, each part from the most frequent to the rarest.
    pub fn table(&self) -> String {
        let mut text = String::new();
        let mut part = |title: &str, rows: Vec<(String, u64)>| {
            text.push_str(&format!("{title} ({})\n", rows.len()));
            for (name, count) in rows {
                text.push_str(&format!("  {count:>9}  {name}\n"));
            }
        };
        part(
            "steps",
            sorted(
                self.steps
                    .iter()
                    .map(|(step, count)| (step.clone(), *count)),
            ),
        );
        part(
            "events",
            sorted(
                self.events
                    .iter()
                    .map(|(event, count)| (event.clone(), *count)),
            ),
        );
        let errors = self.errors.iter();
        part(
            "errors",
            sorted(errors.map(|((call, errno), count)| (format!("{call}: {errno}"), *count))),
        );
        let unreached = self.unreached();
        text.push_str(&format!(
            "steps that no program came to ({})\n",
            unreached.len()
        ));
        for step in unreached {
            text.push_str(&format!("  {step}\n"));
        }
        text
    }
}

fn sorted(rows: impl Iterator<Item = (String, u64)>) -> Vec<(String, u64)> {
    let mut rows: Vec<(String, u64)> = rows.collect();
    rows.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    rows
}
