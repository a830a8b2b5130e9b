//! The events that a wait stores.

use std::fmt;
use std::ops::Deref;

use smallvec::SmallVec;

use super::EpollEvent;

/// The events of an epoll_wait(2), in order. A single one, as most waits of an event loop report, lives
/// inside the value and costs no allocation.
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub struct Events(SmallVec<[EpollEvent; 1]>);

impl Events {
    /// One more, behind the others.
    #[inline]
    pub fn push(&mut self, event: EpollEvent) {
        if self.0.len() == self.0.capacity() {
            // Where there are two there are more.
            self.0.reserve(7);
        }
        self.0.push(event);
    }
}

impl Deref for Events {
    type Target = [EpollEvent];

    #[inline]
    fn deref(&self) -> &[EpollEvent] {
        &self.0
    }
}

impl From<Vec<EpollEvent>> for Events {
    fn from(events: Vec<EpollEvent>) -> Events {
        Events(events.into())
    }
}

impl FromIterator<EpollEvent> for Events {
    fn from_iter<I: IntoIterator<Item = EpollEvent>>(events: I) -> Events {
        Events(events.into_iter().collect())
    }
}

impl IntoIterator for Events {
    type Item = EpollEvent;
    type IntoIter = smallvec::IntoIter<[EpollEvent; 1]>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<'a> IntoIterator for &'a Events {
    type Item = &'a EpollEvent;
    type IntoIter = std::slice::Iter<'a, EpollEvent>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

/// For assertions against a list that is written out.
impl<const N: usize> PartialEq<[EpollEvent; N]> for Events {
    fn eq(&self, other: &[EpollEvent; N]) -> bool {
        self.0.as_slice() == other
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
