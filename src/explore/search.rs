//! Depth first through all states, each of them once.
//!
//! The path at hand is a stack of frames, one for each state on it. Frames are kept when the path gets
//! shorter, and written over when it gets longer again: in the steady state nothing is allocated. A step is
//! tried on a copy of the state. If it cannot be taken the copy is as good as before, and serves for the
//! next one.

use std::time::Instant;

use indexmap::IndexMap;

use super::path::Path;
use super::reduction::Reducer;
use super::state::{Actor, Actors, Answers, Code, State, World};
use super::visited::{Visit, Visited};
use super::{Checks, Explorer, Figures};
use crate::scenario::ScenarioError;

/// A state on the path.
#[derive(Debug)]
struct Frame {
    state: State,
    /// How it was come to: who took how many steps.
    actor: Actor,
    steps: u32,
    /// Who is still to be tried.
    todo: Actors,
    /// Whose steps need not be taken.
    asleep: Actors,
    /// Whether anybody could do something.
    moved: bool,
    /// Whether the next frame holds a copy of this state.
    copied: bool,
}

/// Where a search came to.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// Outcomes of the block, with the first path to each and how many states are like it.
    pub(super) outcomes: IndexMap<Code, Reached>,
    pub(super) answers: Answers,
    /// A state in which an invariant does not hold, and which.
    pub(super) broken: Option<(Path, String)>,
    pub(super) figures: Figures,
    pub(super) bound_reached: bool,
}

#[derive(Debug)]
pub(super) struct Reached {
    pub(super) path: Path,
    pub(super) states: u64,
}

/// How many steps lie between two reports.
const REPORT_EVERY: u64 = 1 << 18;

#[derive(Debug)]
pub(super) struct Search<'w, 's> {
    world: &'w World<'s>,
    explorer: Explorer,
    reducer: Reducer,
    visited: Visited,
    frames: Vec<Frame>,
    /// How many of them are on the path.
    depth: usize,
    /// The local steps before the first state.
    prefix: Path,
    encoded: Vec<u8>,
    found: Found,
    started: Instant,
}

impl<'w, 's> Search<'w, 's> {
    pub(super) fn new(world: &'w World<'s>, explorer: Explorer) -> Search<'w, 's> {
        Search {
            world,
            explorer,
            reducer: Reducer::new(world, explorer.reduction),
            visited: Visited::default(),
            frames: Vec::new(),
            depth: 0,
            prefix: Path::default(),
            encoded: Vec::new(),
            found: Found::default(),
            started: Instant::now(),
        }
    }

    pub(super) fn into_found(self) -> Found {
        self.found
    }

    pub(super) fn run(&mut self, watch: &mut dyn FnMut(&Figures)) -> Result<(), ScenarioError> {
        self.begin()?;
        let mut report_at = REPORT_EVERY;
        while self.depth > 0 && self.found.broken.is_none() {
            if self.visited.len() > self.explorer.max_states {
                self.found.bound_reached = true;
                break;
            }
            self.go_on()?;
            if self.found.figures.steps >= report_at {
                report_at += REPORT_EVERY;
                self.measure();
                watch(&self.found.figures);
            }
        }
        self.measure();
        Ok(())
    }

    fn measure(&mut self) {
        self.found.figures.states = self.visited.len();
        self.found.figures.elapsed = self.started.elapsed();
    }

    /// The first state, behind all local steps that can be taken at once.
    fn begin(&mut self) -> Result<(), ScenarioError> {
        let mut state = self.world.state();
        for actor in state.candidates(self.world)? {
            while self.reducer.is_local(self.world, &state, actor) {
                if !state.advance(self.world, &mut self.found.answers, actor, &mut ())? {
                    break;
                }
                self.prefix.push(actor, 1);
                self.found.figures.steps += 1;
            }
        }
        self.frames.push(Frame::new(state));
        self.visit()
    }

    /// Tries the next step from the state at the end of the path, or goes back.
    fn go_on(&mut self) -> Result<(), ScenarioError> {
        if self.frames.len() == self.depth {
            let frame = Frame::new(self.frames[self.depth - 1].state.clone());
            self.frames.push(frame);
        }
        let (below, above) = self.frames.split_at_mut(self.depth);
        let (Some(frame), Some(next)) = (below.last_mut(), above.first_mut()) else {
            unreachable!("there is a path, and room behind it");
        };
        let Some(actor) = frame.todo.pull(frame.actor) else {
            let at_rest = !frame.moved && frame.asleep.is_empty();
            if at_rest {
                self.rest()?;
            }
            self.depth -= 1;
            return Ok(());
        };
        // The last one need not leave the state as it is.
        let asleep = self
            .reducer
            .still_asleep(self.world, &frame.state, frame.asleep, actor);
        let is_last = frame.todo.is_empty() && !frame.copied;
        if is_last {
            std::mem::swap(&mut frame.state, &mut next.state);
        } else if !frame.copied {
            next.state.clone_from(&frame.state);
        }
        frame.copied = true;
        let answers = &mut self.found.answers;
        if !next.state.advance(self.world, answers, actor, &mut ())? {
            if is_last {
                std::mem::swap(&mut frame.state, &mut next.state);
            }
            return Ok(());
        }
        frame.moved = true;
        frame.copied = false;
        self.reducer.done(&mut frame.asleep, actor);
        next.actor = actor;
        next.steps = 1;
        while self.reducer.is_local(self.world, &next.state, actor)
            && next.state.advance(self.world, answers, actor, &mut ())?
        {
            next.steps += 1;
        }
        next.asleep = asleep;
        self.found.figures.steps += u64::from(next.steps);
        self.visit()
    }

    /// Comes to the state in the frame behind the path, and takes it onto the path if there is something
    /// to do.
    fn visit(&mut self) -> Result<(), ScenarioError> {
        let frame = &mut self.frames[self.depth];
        frame.state.encode(&mut self.encoded);
        frame.moved = false;
        frame.copied = false;
        match self.visited.visit(&self.encoded, frame.asleep) {
            Visit::Done => {}
            Visit::First => {
                frame.todo = frame.state.candidates(self.world)?.without(frame.asleep);
                self.depth += 1;
                if self.explorer.checks == Checks::Everywhere {
                    self.check();
                }
            }
            Visit::Again { missing, asleep } => {
                frame.asleep = asleep;
                frame.todo = missing;
                self.depth += 1;
            }
        }
        Ok(())
    }

    /// Nobody can go on.
    fn rest(&mut self) -> Result<(), ScenarioError> {
        if self.explorer.checks == Checks::AtRest {
            self.check();
        }
        let state = &self.frames[self.depth - 1].state;
        let code = state.outcome(self.world, &mut self.found.answers)?;
        if let Some(reached) = self.found.outcomes.get_mut(&code) {
            reached.states += 1;
            return Ok(());
        }
        let reached = Reached {
            path: self.path(),
            states: 1,
        };
        self.found.outcomes.insert(code, reached);
        Ok(())
    }

    fn check(&mut self) {
        if let Err(sentence) = self.frames[self.depth - 1].state.machine.check() {
            self.found.broken = Some((self.path(), sentence));
        }
    }

    fn path(&self) -> Path {
        let mut path = self.prefix.clone();
        for frame in &self.frames[1..self.depth] {
            path.push(frame.actor, frame.steps);
        }
        path
    }
}

impl Frame {
    fn new(state: State) -> Frame {
        Frame {
            state,
            actor: Actor::default(),
            steps: 0,
            todo: Actors::NONE,
            asleep: Actors::NONE,
            moved: false,
            copied: false,
        }
    }
}
