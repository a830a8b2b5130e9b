//! Races: a scenario's parallel block on a kernel as it comes, and what many of them showed.
//!
//! One race is one outcome of many. An explorer says which are possible; races can show that a kernel has one
//! that the explorer does not know, and how often each of the others comes about.

use std::ops::Range;

use indexmap::IndexMap;

use super::answer::mask;
use super::run::Options;
use super::{Prepared, Scenario, ScenarioError};
use crate::abi::{Answer, Fate, Out, Syscall, TaskId};
use crate::backend::{Backend, LabError};

/// A fresh kernel for each race.
pub type Fresh<'f> = dyn FnMut() -> Result<Box<dyn Backend>, LabError> + 'f;

impl Scenario {
    /// Races once for each seed, each time on a fresh kernel, as long as `go_on` says so: it is asked before
    /// each race and told how many there were.
    ///
    /// # Errors
    /// As [`Scenario::race`].
    pub fn soak(
        &self,
        seeds: Range<u64>,
        fresh: &mut Fresh<'_>,
        go_on: &mut dyn FnMut(u64) -> bool,
    ) -> Result<Soak, ScenarioError> {
        let mut soak = Soak::default();
        for seed in seeds {
            if !go_on(soak.races) {
                break;
            }
            let mut backend = fresh().map_err(|error| self.no_kernel(&error))?;
            if soak.kernel.is_empty() {
                soak.kernel = backend.name();
            }
            let (_, outcome) = self.race(&mut *backend, seed)?;
            soak.add(&outcome, seed);
        }
        Ok(soak)
    }

    /// There was no kernel to run it on.
    pub(crate) fn no_kernel(&self, error: &LabError) -> ScenarioError {
        let span = self.lines().first().map(|line| line.span());
        let label = "the lab failed before this";
        ScenarioError::new(span.unwrap_or_default(), error.to_string(), label)
    }

    /// Runs the set-up on a fresh backend, lets the tasks of the block race, and runs what stands behind it.
    /// The outcome has a [`Fate`] for each of [`Prepared::calls`].
    ///
    /// # Errors
    /// A set-up that did not do what it says, or a lab that failed.
    pub fn race(
        &self,
        backend: &mut dyn Backend,
        seed: u64,
    ) -> Result<(Prepared<'_>, Vec<Fate>), ScenarioError> {
        let prepared = self.prepare(backend, Options::default())?;
        if let Some(failure) = prepared.set_up.failures.first() {
            let label = format!("before the race, on {}", prepared.set_up.backend);
            return Err(ScenarioError::new(failure.span, &*failure.message, label)
                .help(format!("it was `{}`", failure.actual)));
        }
        let outcome = prepared.race(backend, seed)?;
        Ok((prepared, outcome))
    }
}

impl Prepared<'_> {
    /// Lets the tasks of the block race on the backend on which the set-up was run.
    fn race(&self, backend: &mut dyn Backend, seed: u64) -> Result<Vec<Fate>, ScenarioError> {
        let lists: Vec<(TaskId, Vec<Syscall>)> = self
            .programs()
            .iter()
            .map(|program| {
                let calls = program.calls.iter();
                let calls = calls.map(|place| self.calls()[*place].syscall.clone());
                (program.task, calls.collect())
            })
            .collect();
        let raced = backend.race(&lists, seed).map_err(|error| {
            let span = self.calls().first().map(|call| call.line.span());
            ScenarioError::new(
                span.unwrap_or_default(),
                error.to_string(),
                "the lab failed in the race that begins here",
            )
        })?;
        let mut outcome = vec![Fate::NotReached; self.in_block()];
        for (program, (_, fates)) in self.programs().iter().zip(raced) {
            for (place, fate) in program.calls.iter().zip(fates) {
                outcome[*place] = fate;
            }
        }
        self.finish(backend, &mut outcome)?;
        Ok(outcome)
    }
}

/// What many races showed.
#[derive(Clone, Debug, Default)]
pub struct Soak {
    /// The name of the kernel that they were run on.
    pub kernel: String,
    /// How many they were.
    pub races: u64,
    seen: IndexMap<Vec<Fate>, Sighting>,
}

/// How an outcome came about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Sighting {
    /// How often.
    pub count: u64,
    /// The seed of the first race that showed it.
    pub seed: u64,
}

impl Soak {
    /// Takes one more race in.
    pub fn add(&mut self, outcome: &[Fate], seed: u64) {
        self.races += 1;
        let first = Sighting { count: 0, seed };
        self.seen.entry(comparable(outcome)).or_insert(first).count += 1;
    }

    /// How an outcome came about, if it did.
    pub fn sighting(&self, outcome: &[Fate]) -> Option<Sighting> {
        self.seen.get(&comparable(outcome)).copied()
    }

    /// Every outcome that was met, in that order.
    pub fn seen(&self) -> impl ExactSizeIterator<Item = (&[Fate], Sighting)> {
        self.seen
            .iter()
            .map(|(fates, sighting)| (&**fates, *sighting))
    }
}

/// Without what no two kernels share: inode numbers in an fdinfo file, and the order of its lines.
fn comparable(outcome: &[Fate]) -> Vec<Fate> {
    let masked = |fate: &Fate| match fate {
        Fate::Ended(Answer::Done(value, Out::Text(text))) => {
            let text = mask(text);
            let mut lines: Vec<&str> = text.lines().collect();
            lines.sort_unstable();
            Fate::Ended(Answer::Done(*value, Out::Text(lines.join("\n"))))
        }
        fate => fate.clone(),
    };
    outcome.iter().map(masked).collect()
}

/// In how many calls two outcomes differ.
pub fn distance(one: &[Fate], other: &[Fate]) -> usize {
    let (one, other) = (comparable(one), comparable(other));
    one.iter().zip(&other).filter(|(a, b)| a != b).count() + one.len().abs_diff(other.len())
}
