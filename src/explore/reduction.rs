//! Which orders of steps need not be tried.
//!
//! What a step looks at and changes is its footprint. Two steps whose footprints
//! do not meet come to the same state in either order, and neither can keep the other from being taken.
//! From that follow two savings, both of which leave every outcome in the set:
//!
//! - **Local steps.** A step that meets nobody else's, now or later, is taken at once, as part of the step
//!   before it: whatever the others do, it could as well have been taken first.
//! - **Sleep sets** (Godefroid). Once all that begins with A's step has been tried, and B's step meets A's
//!   not, what begins with B's step need not go on with A's: it comes to what has been tried. So A is put
//!   to sleep there, until a step is taken that meets its own. A state that is come to again with fewer
//!   asleep is gone on with for those that have to be made up for.
//!
//! The footprints are the model's claims about itself. Two tests hold them: wherever two steps claim not
//! to meet, both orders are tried and must come to the same machine; and with and without reduction the
//! outcomes must be the same ones.

use super::Reduction;
use super::state::{Actor, Actors, State, World};
use crate::abi::Syscall;
use crate::model::{Footprint, Resources};

/// What the programs of a world can change at all, and hence which steps are local.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reducer {
    reduction: Reduction,
    /// What no program ever changes, so that looking at it meets nobody.
    constant: Resources,
}

impl Reducer {
    pub(super) fn new(world: &World<'_>, reduction: Reduction) -> Reducer {
        let mut constant = Resources::ALL_SHARED;
        // A pipe that breaks later does so by a call that is not a quiet one.
        if world.start.may_raise_signals() {
            constant = constant.without(Resources::SIGNALS);
        }
        let calls = world.programs.iter().flat_map(|steps| &steps.calls);
        for (_, syscall) in calls {
            constant = constant.without(may_change(syscall));
        }
        Reducer {
            reduction,
            constant,
        }
    }

    /// The footprint of what this actor does next.
    pub(super) fn footprint(&self, world: &World<'_>, state: &State, actor: Actor) -> Footprint {
        let Some(task) = actor.stepper() else {
            return Footprint::EVERYTHING;
        };
        let footprint = match state.machine.footprint(task) {
            Some(footprint) => footprint,
            None => match world.next_call(state, task) {
                Some((_, syscall)) => beginning(syscall),
                None => Footprint::EVERYTHING,
            },
        };
        footprint.ignoring(self.constant)
    }

    /// Whether the next step of this actor meets nobody.
    pub(super) fn is_local(&self, world: &World<'_>, state: &State, actor: Actor) -> bool {
        self.reduction == Reduction::Full
            && actor.stepper().is_some()
            && self.footprint(world, state, actor).is_local()
    }

    /// Who of `others` can stay asleep when `actor` takes its step from `state`.
    pub(super) fn still_asleep(
        &self,
        world: &World<'_>,
        state: &State,
        others: Actors,
        actor: Actor,
    ) -> Actors {
        let mut asleep = Actors::NONE;
        if self.reduction == Reduction::None || others.is_empty() {
            return asleep;
        }
        let own = self.footprint(world, state, actor);
        for other in others {
            if !own.meets(self.footprint(world, state, other)) {
                asleep.insert(other);
            }
        }
        asleep
    }

    /// Who need not be tried again behind a step that all others are tried beside.
    pub(super) fn done(&self, asleep: &mut Actors, actor: Actor) {
        if self.reduction == Reduction::Full {
            asleep.insert(actor);
        }
    }
}

/// What is shared by all, and may be another after this call.
fn may_change(syscall: &Syscall) -> Resources {
    let clock = if may_time_out(syscall) {
        Resources::CLOCK
    } else {
        Resources::NONE
    };
    if begins_quietly(syscall) {
        clock
    } else {
        Resources::ALL_SHARED
    }
}

/// The beginning of a call: arguments are checked, descriptors looked up, a deadline computed.
fn beginning(syscall: &Syscall) -> Footprint {
    if !begins_quietly(syscall) {
        return Footprint::EVERYTHING;
    }
    let mut looks_at = Resources::DESCRIPTORS;
    if may_time_out(syscall) {
        looks_at = looks_at.with(Resources::CLOCK);
    }
    Footprint::reads(looks_at)
}

/// Calls that do nothing before their first step, and never touch descriptors, signals or limits.
fn begins_quietly(syscall: &Syscall) -> bool {
    matches!(
        syscall,
        Syscall::EpollWait { .. }
            | Syscall::EpollCtl { .. }
            | Syscall::Read { .. }
            | Syscall::Write { .. }
            | Syscall::Poll { .. }
    )
}

fn may_time_out(syscall: &Syscall) -> bool {
    match syscall {
        Syscall::EpollWait { timeout, .. } | Syscall::Poll { timeout, .. } => {
            timeout.milliseconds().is_some_and(|ms| ms > 0)
        }
        Syscall::EpollCtl { .. } | Syscall::Read { .. } | Syscall::Write { .. } => false,
        _ => true,
    }
}
