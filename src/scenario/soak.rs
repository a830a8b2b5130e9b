//! Races: a scenario's parallel block on a kernel as it comes, and what many of them showed.
//!
//! One race is one outcome of many. An explorer says which are possible; races can show that a kernel has one
//! that the explorer does not know, and how often each of the others comes about.

use indexmap::IndexMap;

use super::run::Options;
use super::{Prepared, Scenario, ScenarioError};
use crate::abi::{Fate, Syscall, TaskId};
use crate::backend::Backend;

impl Scenario {
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
    /// How many they were.
    pub races: u64,
    /// The outcomes in the order in which they were met.
    pub seen: IndexMap<Vec<Fate>, Sighting>,
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
    pub fn add(&mut self, outcome: Vec<Fate>, seed: u64) {
        self.races += 1;
        let first = Sighting { count: 0, seed };
        self.seen.entry(outcome).or_insert(first).count += 1;
    }

    /// How often an outcome was seen.
    pub fn count(&self, outcome: &[Fate]) -> u64 {
        self.seen.get(outcome).map_or(0, |sighting| sighting.count)
    }
}
