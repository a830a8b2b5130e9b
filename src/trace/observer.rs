//! Who listens to the model.

use super::Trace;

/// Receives each internal step as it happens.
///
/// `()` hears nothing and costs nothing: the model built for it has no trace of tracing.
pub trait Observer {
    /// Whether it listens at all. Where it does not, the values are not even made.
    const ACTIVE: bool = true;

    /// One step happened.
    fn on(&mut self, trace: Trace);

    /// Hands out what was kept since the last time, if this observer keeps anything.
    fn take(&mut self) -> Vec<Trace> {
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
