//! Breadth first, for the shortest way to something that was found on a long one.
//!
//! Of a state that was left behind only its parent is kept and who went on from there, so that the way can
//! be told from its end. What counts is how often somebody does something, local steps not counted.

use std::collections::HashSet;

use super::path::Path;
use super::reduction::Reducer;
use super::state::{Actor, Answers, Code, State, World};
use super::visited::Visited;
use super::{Checks, Explorer};
use crate::scenario::ScenarioError;

/// More states than this are not worth the wait for a shorter way.
const MOST_STATES: usize = 300_000;

/// How a state was come to.
#[derive(Clone, Copy, Debug)]
struct Came {
    from: usize,
    actor: Actor,
    steps: u32,
}

/// What is looked for.
#[derive(PartialEq, Eq, Debug)]
pub(super) enum Wanted {
    /// One of these outcomes.
    Outcome(HashSet<Code>),
    /// A state in which an invariant does not hold.
    Broken,
}

/// The shortest way to what is wanted, and the outcome it leads to. `None` if it is too far away.
pub(super) fn shortest(
    world: &World<'_>,
    explorer: Explorer,
    answers: &mut Answers,
    wanted: &Wanted,
) -> Result<Option<(Path, Code)>, ScenarioError> {
    let reducer = Reducer::new(world, explorer.reduction);
    let mut came: Vec<Came> = Vec::new();
    let mut visited = Visited::default();
    let mut encoded = Vec::new();
    let mut prefix = Path::default();
    let mut state = world.state();
    for actor in state.candidates(world)? {
        while reducer.is_local(world, &state, actor)
            && state.advance(world, answers, actor, &mut ())?
        {
            prefix.push(actor, 1);
        }
    }
    // The states of one distance, and those one further.
    let mut here = vec![(usize::MAX, state)];
    let mut next: Vec<(usize, State)> = Vec::new();
    let mut spare: Vec<State> = Vec::new();
    while !here.is_empty() && visited.len() < MOST_STATES {
        for (place, state) in &here {
            let broken = *wanted == Wanted::Broken
                && explorer.checks == Checks::Everywhere
                && state.machine.check().is_err();
            let mut moved = false;
            for actor in state.candidates(world)? {
                if broken {
                    break;
                }
                let mut other = match spare.pop() {
                    Some(mut other) => {
                        other.clone_from(state);
                        other
                    }
                    None => state.clone(),
                };
                if !other.advance(world, answers, actor, &mut ())? {
                    spare.push(other);
                    continue;
                }
                moved = true;
                let mut steps = 1;
                while reducer.is_local(world, &other, actor)
                    && other.advance(world, answers, actor, &mut ())?
                {
                    steps += 1;
                }
                other.encode(&mut encoded);
                if visited.is_new(&encoded) {
                    let from = *place;
                    came.push(Came { from, actor, steps });
                    next.push((came.len() - 1, other));
                } else {
                    spare.push(other);
                }
            }
            if moved {
                continue;
            }
            let code = state.outcome(world, answers)?;
            let is_wanted = match wanted {
                Wanted::Outcome(codes) => codes.contains(&code),
                Wanted::Broken => broken || state.machine.check().is_err(),
            };
            if is_wanted {
                return Ok(Some((way(&came, *place, prefix), code)));
            }
        }
        spare.extend(here.drain(..).map(|(_, state)| state));
        std::mem::swap(&mut here, &mut next);
    }
    Ok(None)
}

fn way(came: &[Came], end: usize, prefix: Path) -> Path {
    let mut turns = Vec::new();
    let mut place = end;
    while let Some(Came { from, actor, steps }) = came.get(place).copied() {
        turns.push((actor, steps));
        place = from;
    }
    let mut path = prefix;
    for (actor, steps) in turns.into_iter().rev() {
        path.push(actor, steps);
    }
    path
}
