//! What a step looks at and what it changes: its footprint.
//!
//! Whoever explores interleavings wants to know of two steps whether their order matters. It does not if
//! neither changes what the other looks at or changes, and that is all that a footprint is for. It is told
//! *before* the step, from the machine as it is, and may be too large but never too small: what a call does
//! not say about its step is everything.
//!
//! Things are named coarsely, by the lock or the object that guards them. The ready list, the overflow list,
//! the queue of sleepers and who of them is awake, and what items ask for, all go under `ep->lock`, so they
//! are one thing.

use super::Machine;
use super::arena::{EpId, FileId, HeadId, Id, PipeId};
use super::call::Call;
use super::file::{FileOps, Kind, Poller};
use super::wait_queue::{WakeFn, Walks};
use crate::abi::TaskId;

/// A set of things that steps share. Objects have one of a limited number of places in it; two that share
/// a place are taken for one, which is on the safe side.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Resources(u64);

/// How many places have a meaning of their own.
const SHARED: u32 = 3;

impl Resources {
    /// Nothing.
    pub const NONE: Resources = Resources(0);
    /// Virtual time.
    pub const CLOCK: Resources = Resources(1);
    /// What is pending, blocked, ignored or fatal, of any task.
    pub const SIGNALS: Resources = Resources(2);
    /// Descriptor tables, and how many references a file has. A call in flight holds some, and its end may
    /// drop the last one.
    pub const DESCRIPTORS: Resources = Resources(4);
    /// All of these.
    pub const ALL_SHARED: Resources = Resources((1 << SHARED) - 1);
    const ALL: Resources = Resources(u64::MAX);

    /// These and those.
    pub const fn with(self, others: Resources) -> Resources {
        Resources(self.0 | others.0)
    }

    /// These but for those.
    pub const fn without(self, others: Resources) -> Resources {
        Resources(self.0 & !others.0)
    }

    const fn meets(self, others: Resources) -> bool {
        self.0 & others.0 != 0
    }

    /// The place of the object of this number, among five kinds of objects.
    fn object(kind: usize, id: impl Id) -> Resources {
        let places = usize::try_from(u64::BITS - SHARED).unwrap_or(1);
        let place = (id.index() * 5 + kind) % places;
        Resources(1 << SHARED << place)
    }

    /// `ep->mtx`
    pub(super) fn mutex(ep: EpId) -> Resources {
        Resources::object(0, ep)
    }

    /// What `ep->lock` guards.
    pub(super) fn ready_list(ep: EpId) -> Resources {
        Resources::object(1, ep)
    }

    /// A wait queue and its lock.
    pub(super) fn queue(head: HeadId) -> Resources {
        Resources::object(2, head)
    }

    fn file(file: FileId) -> Resources {
        Resources::object(3, file)
    }

    fn pipe(pipe: PipeId) -> Resources {
        Resources::object(4, pipe)
    }
}

/// What a step looks at and what it changes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Footprint {
    reads: Resources,
    writes: Resources,
}

impl Footprint {
    /// It meets every other step.
    pub const EVERYTHING: Footprint = Footprint {
        reads: Resources::ALL,
        writes: Resources::ALL,
    };
    /// It meets none.
    pub const NOTHING: Footprint = Footprint::reads(Resources::NONE);

    /// A step that only looks.
    pub const fn reads(reads: Resources) -> Footprint {
        Footprint {
            reads,
            writes: Resources::NONE,
        }
    }

    /// A step that changes these, and may look at them.
    pub const fn writes(writes: Resources) -> Footprint {
        Footprint::reads(Resources::NONE).and_writes(writes)
    }

    /// And that looks at these.
    pub const fn and_reads(self, reads: Resources) -> Footprint {
        Footprint {
            reads: self.reads.with(reads),
            writes: self.writes,
        }
    }

    /// And that changes these.
    pub const fn and_writes(self, writes: Resources) -> Footprint {
        Footprint {
            reads: self.reads,
            writes: self.writes.with(writes),
        }
    }

    /// And that may end its call, which then lets go of its files, and takes the signals that came.
    pub const fn may_end(self) -> Footprint {
        self.and_writes(Resources::DESCRIPTORS.with(Resources::SIGNALS))
    }

    /// Whether the order of the two steps may matter.
    pub const fn meets(self, other: Footprint) -> bool {
        self.writes.meets(other.reads.with(other.writes)) || self.reads.meets(other.writes)
    }

    /// Where these never change.
    pub const fn ignoring(self, constant: Resources) -> Footprint {
        Footprint {
            reads: self.reads.without(constant),
            writes: self.writes.without(constant),
        }
    }

    /// Whether it meets nobody, ever.
    pub fn is_local(self) -> bool {
        self == Footprint::NOTHING
    }
}

impl Machine {
    /// What the next step of the call that `task` is in looks at and changes; `None` if it is in no call.
    pub fn footprint(&self, task: TaskId) -> Option<Footprint> {
        let call = self.task(task).call.as_ref()?;
        // What follows is true of Linux, and of a wrong epoll perhaps not.
        if !self.variants.is_empty() {
            return Some(Footprint::EVERYTHING);
        }
        Some(call.footprint(self, task))
    }

    /// Where what a file holds is kept, and nothing else that its operations look at; `None` of an epoll, and
    /// of kinds of which nothing has been claimed so far.
    fn content(&self, file: FileId) -> Option<Resources> {
        match &self.files[file].kind {
            Kind::Pipe(end) => Some(Resources::pipe(end.pipe)),
            Kind::EventFd(_) | Kind::Plain(_) => Some(Resources::file(file)),
            _ => None,
        }
    }

    /// What asking a file looks at (`vfs_poll`).
    pub(super) fn asking(&self, file: FileId) -> Footprint {
        match self.content(file) {
            Some(content) => Footprint::reads(content).and_reads(Resources::DESCRIPTORS),
            None => Footprint::EVERYTHING,
        }
    }

    /// A read or write, as far as it goes under the file's lock.
    pub(super) fn transferring(&self, file: FileId) -> Footprint {
        let Some(content) = self.content(file).filter(|_| !self.may_raise(file)) else {
            return Footprint::EVERYTHING;
        };
        let heads = self.files[file].kind.queues(self).into_iter().flatten();
        let queues = heads.fold(Resources::NONE, |all, head| {
            all.with(Resources::queue(head))
        });
        Footprint::writes(content.with(queues))
            .and_reads(Resources::SIGNALS)
            .may_end()
    }

    /// Whether a write may raise a signal: SIGPIPE, where nobody reads. An epoll takes no writes.
    fn may_raise(&self, file: FileId) -> bool {
        match &self.files[file].kind {
            Kind::Pipe(end) => self.pipes[end.pipe].readers == 0,
            Kind::EventPoll(_) => false,
            _ => self.content(file).is_none(),
        }
    }

    /// Whether there is a file of which a write may raise a signal, which concerns everybody.
    pub fn may_raise_signals(&self) -> bool {
        let mut files = self.files.live().into_iter();
        files.any(|file| self.may_raise(file))
    }

    /// What is ready of that for which `task` sleeps in epoll_wait(2), as text. Of nested epolls nothing.
    pub fn ready_before(&self, task: TaskId) -> Vec<String> {
        let Some(Call::EpollWait(call)) = &self.task(task).call else {
            return Vec::new();
        };
        let mut machine = self.clone();
        let mut ready = Vec::new();
        for id in self.epolls[call.ep].rbr.iter(&self.rb) {
            let item = &self.items[id];
            if self.files[item.file].epoll().is_some() {
                continue;
            }
            let requested = item.interest;
            let mask = machine.file_poll(item.file, Poller { task, requested }) & requested;
            if !mask.is_empty() {
                let queued = if item.linked {
                    ""
                } else {
                    ", and no wake-up left"
                };
                ready.push(format!(
                    "{} is ready: {mask}{queued}",
                    self.files[item.file].label
                ));
            }
        }
        ready
    }

    /// One step of a wake-up.
    pub(super) fn waking(&self, walks: &Walks) -> Footprint {
        let (Some(walk), true) = (walks.outer, walks.nested.is_empty()) else {
            return Footprint::EVERYTHING;
        };
        let head = walk.wake.head;
        let next = if walk.locked {
            walk.next
        } else {
            self.heads[head].entries.first()
        };
        let footprint = Footprint::writes(Resources::queue(head));
        match next.map(|next| self.waits[next].func) {
            None => footprint,
            Some(WakeFn::EpPollCallback(item)) => {
                let ep = self.items[item].ep;
                let watched = Resources::queue(self.epolls[ep].poll_wait);
                footprint
                    .and_writes(Resources::ready_list(ep))
                    .and_reads(watched)
            }
            Some(_) => Footprint::EVERYTHING,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_that_look_do_not_meet_and_one_that_changes_meets_both() {
        let [a, b] = [0, 1].map(|index| Resources::file(FileId::from_index(index)));
        let looks = Footprint::reads(a.with(b));
        assert!(!looks.meets(looks));
        assert!(looks.meets(Footprint::writes(b)));
        assert!(Footprint::writes(b).meets(looks));
        assert!(!Footprint::writes(a).meets(Footprint::writes(b)));
        assert!(Footprint::writes(a).meets(Footprint::writes(a)));
        assert!(Footprint::EVERYTHING.meets(Footprint::reads(a)));
        assert!(!Footprint::EVERYTHING.meets(Footprint::NOTHING));
    }

    #[test]
    fn what_is_constant_does_not_count() {
        let footprint = Footprint::reads(Resources::SIGNALS).may_end();
        assert!(!footprint.is_local());
        assert!(footprint.ignoring(Resources::ALL_SHARED).is_local());
    }
}
