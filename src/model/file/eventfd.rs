//! eventfd(2): a counter that can be waited for.
//!
//! Every successful write wakes with `EPOLLIN`, also one of 0, and every successful read with `EPOLLOUT`,
//! also when there was room before. The counter changes and the wake-up is made under one lock, that of
//! the wait queue.

use super::transfer::{Attempt, Io};
use super::{Kernel, Kind};
use crate::abi::{Bytes, Errno, EventMask, OutPtr, Ptr, Room, TaskId};
use crate::model::arena::{FileId, HeadId};
use crate::model::encode::{Encode, Encoder, Number};
use crate::model::wait_queue::{Nr, Wake};
use crate::trace::Observer;

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

impl EventFd {
    /// `eventfd_poll`
    #[inline]
    pub(crate) fn poll(&self) -> EventMask {
        let mut mask = EventMask::empty();
        mask.set(EventMask::IN, self.count > 0);
        // Only the kernel itself can add the last 1.
        mask.set(EventMask::ERR, self.count == u64::MAX);
        mask.set(EventMask::OUT, self.count < u64::MAX - 1);
        mask
    }
}

impl<O: Observer> Kernel<'_, O> {
    fn eventfd(&mut self, file: FileId) -> &mut EventFd {
        match &mut self.m.files[file].kind {
            Kind::EventFd(eventfd) => eventfd,
            _ => unreachable!("the operation was chosen by the kind"),
        }
    }

    /// `eventfd_read`
    #[inline]
    pub(super) fn eventfd_read(
        &mut self,
        task: TaskId,
        file: FileId,
        buf: OutPtr,
        count: u64,
        io: &mut Io,
    ) -> Attempt {
        if count < WORD {
            return Attempt::fail(Errno::EINVAL);
        }
        let EventFd {
            count: value,
            semaphore,
            wqh,
        } = *self.eventfd(file);
        if self.walked_by_another(task, wqh) {
            return Attempt::Locked;
        }
        if value == 0 {
            return self.eventfd_wait(file);
        }
        let taken = if semaphore { 1 } else { value };
        self.eventfd(file).count -= taken;
        self.eventfd_wake(task, wqh, EventMask::OUT, io);
        // Stored after the counter was taken: a bad buffer loses it.
        if matches!(buf, OutPtr::Memory(Room::Bytes(0..WORD)) | OutPtr::Addr(_)) {
            return Attempt::fail(Errno::EFAULT);
        }
        io.bytes = Bytes::from_u64(taken);
        Attempt::Over(Ok(WORD))
    }

    /// The wake-up of every successful read or write, under the lock of the change.
    #[inline]
    fn eventfd_wake(&mut self, task: TaskId, head: HeadId, key: EventMask, io: &mut Io) {
        let nr = Nr::One;
        self.wake_up_locked(task, &mut io.walks, Wake { head, key, nr });
    }

    /// `eventfd_write`
    #[inline]
    pub(super) fn eventfd_write(
        &mut self,
        task: TaskId,
        file: FileId,
        buf: &Ptr<Bytes>,
        count: u64,
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
        let EventFd {
            count: value, wqh, ..
        } = *self.eventfd(file);
        if self.walked_by_another(task, wqh) {
            return Attempt::Locked;
        }
        if u64::MAX - value <= added {
            return self.eventfd_wait(file);
        }
        self.eventfd(file).count += added;
        self.eventfd_wake(task, wqh, EventMask::IN, io);
        Attempt::Over(Ok(WORD))
    }

    fn eventfd_wait(&self, file: FileId) -> Attempt {
        if self.m.files[file].nonblocking() {
            Attempt::fail(Errno::EAGAIN)
        } else {
            Attempt::Sleep
        }
    }
}

impl Encode for EventFd {
    fn encode(&self, to: &mut Encoder<'_>) {
        let EventFd {
            count,
            semaphore,
            wqh,
        } = self;
        to.numbers([*count, semaphore.number(to)]);
        to.queue(*wqh);
    }
}
