//! What Linux does on behalf of nobody: the softirq of the network, and kernel workers.
//!
//! A call that sends over loopback, or writes to a terminal, leaves a piece of work behind and returns. Somebody
//! does it soon, on any processor: mostly before the call is over, but it may come milliseconds later, when the
//! caller has long made its next call. Pieces of the same [`Work`] are done in their order, those of
//! different ones in any.
//!
//! One piece is one step, as it is one when a timer fires, and has to wait while a lock is in its way. A packet
//! is delivered and its receiver woken in the same step; what a terminal has taken in can be seen a step before
//! anybody is told. The plain scheduler does what a call has left behind at the end of that
//! call, races and the explorer wherever they like.

use super::arena::{Id, PtyId};
use super::call::Pace;
use super::file::Side;
use super::{Kernel, Machine};
use crate::trace::Observer;

/// Work that is waiting to be done, one piece after the other.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Work(Whose);

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Whose {
    /// Packets of the flow with this number, in [`net`](super::net).
    Net(usize),
    /// What has arrived at a side of a pty.
    Tty(PtyId, Side),
}

impl Work {
    /// The kernel function that does it.
    pub fn function(self) -> &'static str {
        match self.0 {
            Whose::Net(_) => "process_backlog",
            Whose::Tty(..) => "flush_to_ldisc",
        }
    }

    /// Tells it from all others that wait in the same machine.
    pub fn number(self) -> usize {
        match self.0 {
            Whose::Net(flow) => 2 * flow,
            Whose::Tty(pty, Side::Master) => 4 * pty.index() + 1,
            Whose::Tty(pty, Side::Slave) => 4 * pty.index() + 3,
        }
    }

    /// Whether it is that of a side of a pty.
    pub(crate) fn is_of(self, pty: PtyId, side: Side) -> bool {
        self.0 == Whose::Tty(pty, side)
    }
}

impl Machine {
    /// All work that waits, in the order in which it was left behind.
    pub fn works(&self) -> impl Iterator<Item = Work> + '_ {
        self.works.iter().copied()
    }

    /// Whether any does.
    #[inline]
    pub(crate) fn has_work(&self) -> bool {
        !self.works.is_empty()
    }

    /// Whether the next piece of this work can be done now.
    pub fn may_work(&self, work: Work) -> bool {
        self.works.contains(&work) && !self.is_held_up(work.0)
    }

    /// Whether a lock is in its way.
    fn is_held_up(&self, whose: Whose) -> bool {
        match whose {
            Whose::Net(flow) => self.is_net_held_up(flow),
            Whose::Tty(pty, side) => self.is_tty_held_up(pty, side),
        }
    }

    /// Does the next piece of this work. It is a step like those of [`Machine::step`], but one that nobody
    /// takes. `false`, and nothing has happened, if there is none, or a lock is in its way.
    pub fn work<O: Observer>(&mut self, work: Work, observer: &mut O) -> bool {
        if !self.may_work(work) {
            return false;
        }
        Kernel::new(self, observer, Pace::Stepwise).do_work(work);
        true
    }

    /// Does the next piece of the first work whose turn it can be. `false` if there is none.
    pub fn work_any<O: Observer>(&mut self, observer: &mut O) -> bool {
        let mut works = self.works.iter().copied();
        match works.find(|work| self.may_work(*work)) {
            Some(work) => self.work(work, observer),
            None => false,
        }
    }

    /// Leaves work behind (`queue_work`); if it waits already, this is one more piece of it.
    pub(crate) fn queue_work(&mut self, whose: Whose) {
        let work = Work(whose);
        if !self.works.contains(&work) {
            self.works.push(work);
        }
    }

    /// Takes it back (`cancel_work_sync`).
    pub(crate) fn cancel_work(&mut self, whose: Whose) {
        self.works.retain(|work| *work != Work(whose));
    }
}

impl<O: Observer> Kernel<'_, O> {
    /// Preconditions: no lock is in its way.
    fn do_work(&mut self, work: Work) {
        if !self.do_piece(work.0) {
            self.m.works.retain(|other| *other != work);
        }
    }

    /// Does one piece. Says whether there is another.
    fn do_piece(&mut self, whose: Whose) -> bool {
        match whose {
            Whose::Net(flow) => self.process_backlog(flow),
            Whose::Tty(pty, side) => self.flush_to_ldisc(pty, side),
        }
    }
}
