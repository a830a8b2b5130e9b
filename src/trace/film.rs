//! A run as a film: one picture for each internal step.
//!
//! ```
//! use epoll_lab::backend::{Backend, Thread};
//! use epoll_lab::model::Model;
//! use epoll_lab::trace::Move;
//!
//! let mut model = Model::filming();
//! Thread::main(&mut model).eventfd2(3, Default::default()).unwrap();
//! let film = model.take_film();
//! assert!(matches!(film[0].what, Move::Call { .. }));
//! let state = film[0].state.as_ref().unwrap();
//! assert_eq!(state.files.last().unwrap().content, "count 3");
//! ```

use std::ops::Range;

use super::{Observer, State, Trace};
use crate::abi::{Answer, Syscall, TaskId};

/// One step, and how everything stands after it.
#[derive(Clone, Debug)]
pub struct Frame {
    /// Which step it was.
    pub what: Move,
    /// What happened in it.
    pub trace: Vec<Trace>,
    /// How the call ended, if this was its last step.
    pub answer: Option<Answer>,
    /// Everything after it, if this is one of the steps to be seen.
    pub state: Option<State>,
}

/// What can be a step.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Move {
    /// A task made a call. Its arguments were checked; a call that takes no steps is over.
    Call {
        /// Who.
        task: TaskId,
        /// Which call.
        call: Syscall,
    },
    /// A task took the step at which its call stood.
    Step {
        /// Who.
        task: TaskId,
        /// The step, `ep_poll: Look`.
        at: String,
    },
    /// A task came to a step that it cannot take now.
    Stuck {
        /// Who.
        task: TaskId,
        /// The step.
        at: String,
    },
    /// Linux did something on behalf of nobody.
    Work {
        /// The kernel function.
        at: String,
    },
    /// Nobody did anything: time passed.
    Time,
}

impl Move {
    /// Who took the step.
    pub fn task(&self) -> Option<TaskId> {
        match self {
            Move::Call { task, .. } | Move::Step { task, .. } | Move::Stuck { task, .. } => {
                Some(*task)
            }
            Move::Work { .. } | Move::Time => None,
        }
    }
}

/// An observer that films.
#[derive(Clone, Debug)]
pub struct Film {
    /// The steps of which the state is kept, counted from 0.
    seen: Range<usize>,
    /// How many steps there were.
    count: usize,
    frames: Vec<Frame>,
    /// What happened since the last frame.
    trace: Vec<Trace>,
}

impl Film {
    /// Keeps the state after each step.
    pub fn whole() -> Film {
        Film::of(0..usize::MAX)
    }

    /// Keeps the state after these steps only, counted from 0, and of the others what happened: the states
    /// of a long run need more memory than there is.
    pub fn of(seen: Range<usize>) -> Film {
        Film {
            seen,
            count: 0,
            frames: Vec::new(),
            trace: Vec::new(),
        }
    }
}

impl Observer for Film {
    const STEPS: bool = true;

    fn on(&mut self, trace: Trace) {
        self.trace.push(trace);
    }

    fn has_news(&self) -> bool {
        !self.trace.is_empty()
    }

    fn step(&mut self, what: Move, answer: Option<Answer>, state: impl FnOnce() -> State) {
        let trace = std::mem::take(&mut self.trace);
        let state = self.seen.contains(&self.count).then(state);
        self.count += 1;
        self.frames.push(Frame {
            what,
            trace,
            answer,
            state,
        });
    }

    fn take_film(&mut self) -> Vec<Frame> {
        std::mem::take(&mut self.frames)
    }
}
