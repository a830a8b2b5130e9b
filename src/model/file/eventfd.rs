//! eventfd(2): a counter that can be waited for.
//!
//! Every successful write wakes with `EPOLLIN`, also one of 0, and every successful read with `EPOLLOUT`,
//! also when there was room before. The counter changes and the wake-up is made under one lock, that of
//! the wait queue.

use super::ops::{Awaited, Caller, FileOps, Kind, PollHeads, Poller};
use super::transfer::{Attempt, Io, What};
use crate::abi::{Bytes, Errno, EventMask, OutPtr, Ptr, Room, TaskId};
use crate::model::arena::{FileId, HeadId};
use crate::model::encode::{Encoder, Number};
use crate::model::wait_queue::{Nr, Wake, WakeFn};
use crate::model::{Kernel, Machine};
use crate::trace::{Observer, Place};

/// The counter (`struct eventfd_ctx`).
#[derive(Clone, Copy, Debug)]
pub(crate) struct EventFd {
    pub(crate) count: u64,
    /// `EFD_SEMAPHORE`: a read takes 1.
    pub(crate) semaphore: bool,
    /// Who waits for a change.
    pub(crate) wqh: HeadId,
}

/// Bytes of every transfer.
const WORD: u64 = 8;

impl FileOps for EventFd {
    /// `eventfd_poll`
    #[inline]
    fn poll(self, _: &mut Machine, _: Poller) -> EventMask {
        let mut mask = EventMask::empty();
        mask.set(EventMask::IN, self.count > 0);
        // Only the kernel itself can add the last 1.
        mask.set(EventMask::ERR, self.count == u64::MAX);
        mask.set(EventMask::OUT, self.count < u64::MAX - 1);
        mask
    }

    #[inline]
    fn queues(self, _: &Machine) -> PollHeads {
        [Some(self.wqh), None]
    }

    fn describe(self, _: &Machine) -> (&'static str, String) {
        ("eventfd", format!("count {}", self.count))
    }

    fn encode_state(self, to: &mut Encoder<'_>) {
        let EventFd {
            count,
            semaphore,
            wqh,
        } = self;
        to.numbers([count, semaphore.number(to)]);
        to.queue(wqh);
    }

    /// `eventfd_read`
    #[inline]
    fn read<O: Observer>(
        self,
        kernel: &mut Kernel<'_, O>,
        caller: Caller,
        (buf, count): (OutPtr, u64),
        io: &mut Io,
    ) -> Attempt {
        if count < WORD {
            return Attempt::fail(Errno::EINVAL);
        }
        if kernel.walked_by_another(caller.task, self.wqh) {
            return Attempt::Locked;
        }
        if self.count == 0 {
            return kernel.eventfd_wait(caller.file);
        }
        let taken = if self.semaphore { 1 } else { self.count };
        kernel.eventfd(caller.file).count -= taken;
        kernel.eventfd_wake(caller.task, self.wqh, EventMask::OUT, io);
        // Stored after the counter was taken: a bad buffer loses it.
        if matches!(buf, OutPtr::Memory(Room::Bytes(0..WORD)) | OutPtr::Addr(_)) {
            return Attempt::fail(Errno::EFAULT);
        }
        io.bytes = Bytes::from_u64(taken);
        Attempt::Over(Ok(WORD))
    }

    /// `eventfd_write`
    #[inline]
    fn write<O: Observer>(
        self,
        kernel: &mut Kernel<'_, O>,
        caller: Caller,
        (buf, count): (&Ptr<Bytes>, u64),
        io: &mut Io,
    ) -> Attempt {
        if count != WORD {
            return Attempt::fail(Errno::EINVAL);
        }
        let Ptr::To(bytes) = buf else {
            return Attempt::fail(Errno::EFAULT);
        };
        let added = match bytes.to_u64() {
            None | Some(u64::MAX) => return Attempt::fail(Errno::EINVAL),
            Some(added) => added,
        };
        if kernel.walked_by_another(caller.task, self.wqh) {
            return Attempt::Locked;
        }
        if !self.has_room(added) {
            return kernel.eventfd_wait(caller.file);
        }
        kernel.eventfd(caller.file).count += added;
        kernel.eventfd_wake(caller.task, self.wqh, EventMask::IN, io);
        Attempt::Over(Ok(WORD))
    }

    fn writes_each_part(self) -> bool {
        true
    }

    /// Readers and writers sleep on one queue, and each wake-up wakes them all.
    fn awaited(self, _: &Machine, _: Caller, what: &What) -> Awaited {
        let ready = match what {
            What::Write { buf, .. } => match buf {
                Ptr::To(bytes) => bytes.to_u64().is_some_and(|added| self.has_room(added)),
                Ptr::Addr(_) => true,
            },
            _ => self.count > 0,
        };
        Awaited {
            head: self.wqh,
            place: Place::Tail,
            func: WakeFn::Autoremove,
            exclusive: false,
            ready,
            locked: true,
        }
    }

    fn free(self, m: &mut Machine) {
        m.heads.remove(self.wqh);
    }

    // Linux wakes the queue with EPOLLHUP at the release, but nobody can be left on it: whoever sleeps
    // there holds a reference.
}

impl EventFd {
    /// Whether a write of this number would not block.
    fn has_room(self, added: u64) -> bool {
        u64::MAX - self.count > added
    }
}

impl<O: Observer> Kernel<'_, O> {
    #[inline]
    fn eventfd(&mut self, file: FileId) -> &mut EventFd {
        match &mut self.m.files[file].kind {
            Kind::EventFd(eventfd) => eventfd,
            _ => unreachable!("the operation was chosen by the kind"),
        }
    }

    /// The wake-up of every successful read or write, under the lock of the change.
    #[inline]
    fn eventfd_wake(&mut self, task: TaskId, head: HeadId, key: EventMask, io: &mut Io) {
        let nr = Nr::One;
        self.wake_up_locked(task, &mut io.walks, Wake { head, key, nr });
    }

    fn eventfd_wait(&self, file: FileId) -> Attempt {
        if self.m.files[file].nonblocking() {
            Attempt::fail(Errno::EAGAIN)
        } else {
            Attempt::Sleep
        }
    }
}
