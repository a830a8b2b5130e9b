//! Who listens to the model.

use super::Trace;

/// Receives each internal step as it happens.
///
/// `()` hears nothing and costs nothing: with it the compiler removes the calls, and the making of the
/// values that they would have carried, from the model.
pub trait Observer {
    /// One step happened.
    fn on(&mut self, trace: Trace);
}

impl Observer for () {
    #[inline(always)]
    fn on(&mut self, _: Trace) {}
}

impl<O: Observer + ?Sized> Observer for &mut O {
    fn on(&mut self, trace: Trace) {
        (**self).on(trace);
    }
}

/// Keeps everything it hears.
#[derive(Clone, Debug, Default)]
pub struct Recorder(pub Vec<Trace>);

impl Observer for Recorder {
    fn on(&mut self, trace: Trace) {
        self.0.push(trace);
    }
}
