//! Who listens to the model.

use super::{Frame, Move, State, Trace};
use crate::abi::Answer;

/// Receives each internal step as it happens.
///
/// `()` hears nothing and costs nothing: the model built for it has no trace of tracing.
pub trait Observer {
    /// Whether it listens at all. Where it does not, the values are not even made.
    const ACTIVE: bool = true;

    /// Whether it wants every call to be made one step at a time, and to be told of each.
    const STEPS: bool = false;

    /// Something happened.
    fn on(&mut self, trace: Trace);

    /// Hands out what was kept since the last time, if this observer keeps anything.
    fn take(&mut self) -> Vec<Trace> {
        Vec::new()
    }

    /// Whether something happened since the last [`Observer::step`].
    fn has_news(&self) -> bool {
        false
    }

    /// A step is over; `state` tells how everything stands after it. Never called where [`Observer::STEPS`] is not set.
    fn step(&mut self, what: Move, answer: Option<Answer>, state: impl FnOnce() -> State) {
        let _ = (what, answer, state);
    }

    /// Hands out the pictures taken since the last time, if this observer takes any.
    fn take_film(&mut self) -> Vec<Frame> {
        Vec::new()
    }
}

impl Observer for () {
    const ACTIVE: bool = false;

    #[inline(always)]
    fn on(&mut self, _: Trace) {}
}

/// Keeps everything it hears.
#[derive(Clone, Debug, Default)]
pub struct Recorder(pub Vec<Trace>);

impl Observer for Recorder {
    fn on(&mut self, trace: Trace) {
        self.0.push(trace);
    }

    fn take(&mut self) -> Vec<Trace> {
        std::mem::take(&mut self.0)
    }
}
