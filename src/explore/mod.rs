//! All interleavings of a scenario's tasks, at the steps of the model.
//!
//! A run of a program with several tasks is one of many that were possible. The explorer walks through all
//! of them: from a state each task that can take its next step leads to another state, until
//! nobody can. What the calls returned by then is an outcome, and the set of outcomes is what Linux
//! promises.
//!
//! ```
//! use epoll_lab::explore::{Answered, Explorer};
//! use epoll_lab::scenario::Scenario;
//!
//! let scenario = Scenario::parse(r#"
//! ep = epoll_create1(0)
//! f = eventfd2(0, EFD_NONBLOCK)
//! epoll_ctl(ep, EPOLL_CTL_ADD, f, {events=EPOLLIN|EPOLLET, data=7}) = 0
//! parallel {
//!     [A] a = epoll_wait(ep, ..., 8, -1 <unfinished ...>) = ?
//!     [B] b = epoll_wait(ep, ..., 8, -1 <unfinished ...>) = ?
//!     write(f, "\1\0\0\0\0\0\0\0", 8) = 8
//! }
//! ~exists (a=1 /\ b=1)
//! exists (a=1)
//! "#).unwrap();
//! let exploration = Explorer::new().explore(&scenario).unwrap();
//! assert!(exploration.is_as_written());
//! assert_eq!(exploration.outcomes.len(), 2);
//! assert_eq!(exploration.closing[0].answer, Answered::Never);
//! assert_eq!(exploration.closing[1].answer, Answered::Sometimes);
//! ```
//!
//! - `state`: what a state is, and who can do what in it;
//! - `search`: depth first through all states, each of them once;
//! - `reduction`: which orders need not be tried, because they come to the same;
//! - `shortest`: breadth first to what is wrong;
//! - `property`: what the set of outcomes says about the scenario;
//! - `path`: one way through, to write down and to replay;
//! - `observed`: what races on a running kernel showed of it;
//! - `report`: all of it in text.
//!
//! # What time is
//!
//! A timer that may be the next to fire may do so at any moment: nothing says how long a step takes. Timers
//! fire in the order of their deadlines, and a deadline counts from the time at which its call began. Time
//! does not pass otherwise, so a call never begins *between* two deadlines of others without one of them
//! having passed: of two calls with different timeouts the one with the shorter timeout is the first to
//! time out, if they begin before either does.
//!
//! # What is kept of a state
//!
//! A fingerprint of 128 bits of its canonical encoding (XXH3), and which steps need not be taken from it:
//! [`BYTES_A_STATE`] bytes at most. Two states with one fingerprint would be taken for one, and what only
//! the second leads to would be missed. Among *n* states that happens with a probability below
//! *n*² / 2¹²⁹: 10⁻²⁵ for ten million. Whole states are kept only along the path at hand.

mod observed;
mod path;
mod property;
mod reduction;
mod report;
mod search;
mod shortest;
mod state;
#[cfg(test)]
mod tests;
mod visited;

use std::ops::Range;
use std::time::Duration;

pub use observed::{MANY_RACES, Near, Observation, Observed, Outside};
pub use path::{Replay, Schedule, Step};
pub use property::{Answered, Claimed, Problem};
pub use report::Table;
pub use visited::BYTES_A_STATE;

use crate::abi::Fate;
use crate::model::{Model, Variants};
use crate::scenario::{Prepared, Run, Scenario, ScenarioError};
use crate::trace::Film;
use search::Search;
use state::World;

/// How to explore.
#[derive(Clone, Copy, Debug)]
#[must_use = "nothing is explored before `explore` is called"]
pub struct Explorer {
    max_states: usize,
    reduction: Reduction,
    checks: Checks,
    variants: Variants,
}

/// Whether orders are left out that come to the same.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reduction {
    /// Steps that concern nobody else are taken at once, and of two steps that do not concern each other
    /// one order is tried.
    Full,
    /// Every order is tried: slow, and there to hold the reduction against.
    None,
}

/// In which states all invariants are checked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Checks {
    /// Where everything has come to rest.
    AtRest,
    /// In every state.
    Everywhere,
}

/// How much was done.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Figures {
    /// Different states.
    pub states: usize,
    /// Steps taken.
    pub steps: u64,
    /// How long it took.
    pub elapsed: Duration,
}

impl Figures {
    /// Steps per second.
    #[expect(
        clippy::as_conversions,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a rate for people"
    )]
    pub fn rate(&self) -> u64 {
        (self.steps as f64 / self.elapsed.as_secs_f64().max(1e-9)) as u64
    }
}

/// An outcome: what became of each call, in the order of [`Prepared::calls`].
#[derive(Clone, Debug)]
pub struct Outcome {
    /// What became of the calls.
    pub fates: Vec<Fate>,
    /// A way there.
    pub schedule: Schedule,
    /// In how many states everything had come to rest like this.
    pub states: u64,
}

/// What came of it.
#[derive(Debug)]
pub struct Exploration<'s> {
    /// The scenario made ready, which tells what the calls are.
    pub prepared: Prepared<'s>,
    /// Every outcome, sorted by its text.
    pub outcomes: Vec<Outcome>,
    /// What the closing lines claim, and whether it is so.
    pub closing: Vec<Claimed<'s>>,
    /// What contradicts the scenario, or must never be.
    pub problems: Vec<Problem>,
    /// How much was done.
    pub figures: Figures,
    /// The bound on states was reached: there may be more outcomes.
    pub bound_reached: bool,
}

impl Exploration<'_> {
    /// Whether nothing contradicts the scenario, as far as it was explored.
    pub fn is_as_written(&self) -> bool {
        self.problems.is_empty()
    }
}

impl Default for Explorer {
    fn default() -> Explorer {
        Explorer::new()
    }
}

impl Explorer {
    /// With reduction, up to ten million states, invariants checked at rest. In a build with debug
    /// assertions they are checked everywhere.
    pub fn new() -> Explorer {
        Explorer {
            max_states: 10_000_000,
            reduction: Reduction::Full,
            checks: if cfg!(debug_assertions) {
                Checks::Everywhere
            } else {
                Checks::AtRest
            },
            variants: Variants::NONE,
        }
    }

    /// On a model that is wrong on purpose. Nothing is known there of what steps concern, so less is left
    /// out.
    pub fn variants(self, variants: Variants) -> Explorer {
        Explorer { variants, ..self }
    }

    /// Stops when there are more states than this.
    pub fn max_states(self, max_states: usize) -> Explorer {
        Explorer { max_states, ..self }
    }

    /// With or without reduction.
    pub fn reduction(self, reduction: Reduction) -> Explorer {
        Explorer { reduction, ..self }
    }

    /// Where to check the invariants.
    pub fn checks(self, checks: Checks) -> Explorer {
        Explorer { checks, ..self }
    }

    /// Explores a scenario.
    ///
    /// # Errors
    /// A set-up that stopped, or lines that cannot be explored.
    pub fn explore<'s>(&self, scenario: &'s Scenario) -> Result<Exploration<'s>, ScenarioError> {
        self.explore_watched(scenario, &mut |_| {})
    }

    /// The same; `watch` is told now and then how far it has come.
    ///
    /// # Errors
    /// As [`Explorer::explore`].
    pub fn explore_watched<'s>(
        &self,
        scenario: &'s Scenario,
        watch: &mut dyn FnMut(&Figures),
    ) -> Result<Exploration<'s>, ScenarioError> {
        let world = World::new(scenario, self.variants)?;
        let mut search = Search::new(&world, *self);
        search.run(watch)?;
        let found = search.into_found();
        let mut exploration = property::judge(world, *self, found)?;
        if !exploration.bound_reached {
            exploration.check_unseen(&scenario.header().unseen)?;
        }
        Ok(exploration)
    }

    /// Walks along a schedule with a camera: the set-up as it is run, then the turns of the schedule, one
    /// [`Scene`](crate::scenario::Scene) each. The states of the steps `seen` are kept, counted from 0.
    ///
    /// # Errors
    /// As [`Explorer::replay`].
    pub fn film(
        &self,
        scenario: &Scenario,
        schedule: &Schedule,
        seen: Range<usize>,
    ) -> Result<Result<Run, String>, ScenarioError> {
        let model = Model::observed_by(Film::of(seen)).with_variants(self.variants);
        let (world, film) = World::after(scenario, model)?;
        path::film(world, film, schedule)
    }

    /// Walks along a schedule.
    ///
    /// # Errors
    /// A scenario that cannot be explored, or the sentence that says where the schedule does not fit it.
    pub fn replay(
        &self,
        scenario: &Scenario,
        schedule: &Schedule,
    ) -> Result<Result<Replay, String>, ScenarioError> {
        path::replay(&World::new(scenario, self.variants)?, schedule)
    }
}
