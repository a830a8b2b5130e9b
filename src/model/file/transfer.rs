//! read(2) and write(2) in steps: change the file, walk its wait queues, or sleep until there is a point
//! in trying again.

use super::ops::{Awaited, Caller, FileOps};
use crate::abi::{Answer, Bytes, Errno, Fd, Out, OutPtr, Ptr, TaskId};
use crate::model::Kernel;
use crate::model::arena::{FileId, WaitId};
use crate::model::call::{Flow, Held, Steps};
use crate::model::encode::{Encode, Encoder, encode_option, variant_is_number};
use crate::model::signal::restart::ERESTARTSYS;
use crate::model::wait_queue::{Wake, WakeFn, Walked, Walks};
use crate::trace::{Observer, Place};

/// A call in flight.
#[derive(Clone, Debug)]
pub(crate) struct Transfer {
    /// The number that the program passed, which it will pass again if the call is made again.
    fd: Fd,
    file: FileId,
    what: What,
    at: At,
    io: Io,
    waiter: Option<WaitId>,
    /// How the call will end, once the last wake-up is made.
    result: Result<u64, Errno>,
}

/// Which way the bytes go.
#[derive(Clone, Debug)]
pub(crate) enum What {
    Read { buf: OutPtr, count: u64 },
    Write { buf: Ptr<Bytes>, count: u64 },
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum At {
    /// About to change the file, under its lock.
    Change,
    /// The operation is over: walking wait queues, one entry a step.
    Wake,
    /// The same on the way to sleep.
    WakeFirst,
    /// About to stand on the queue and look once more.
    Enqueue,
    Sleep,
}

/// Wake-ups that an operation owes, in order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wakes([Option<Wake>; 2]);

impl Wakes {
    pub(crate) fn push(&mut self, wake: Wake) {
        let free = self.0.iter_mut().find(|place| place.is_none());
        *free.expect("no operation owes more than two") = Some(wake);
    }

    /// Takes the next one to make.
    #[inline]
    pub(crate) fn pop(&mut self) -> Option<Wake> {
        // Mostly there is none, and nothing to move up.
        self.0[0]?;
        let first = self.0[0].take();
        self.0.swap(0, 1);
        first
    }
}

/// What an attempt at the operation came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Attempt {
    /// The operation is over; wake-ups may be left to make.
    Over(Result<u64, Errno>),
    /// Nothing to do now: make the wake-ups there are, then sleep and try again.
    Sleep,
    /// Somebody walks the queue whose lock the operation needs.
    Locked,
}

impl Attempt {
    #[inline]
    pub(crate) fn fail(errno: Errno) -> Attempt {
        Attempt::Over(Err(errno))
    }
}

/// What an operation leaves beside its result.
#[derive(Clone, Debug, Default)]
pub(crate) struct Io {
    /// What a read stored.
    pub(crate) bytes: Bytes,
    /// Wake-ups to make, in order.
    pub(crate) wakes: Wakes,
    /// The wake-up that is being made.
    pub(crate) walks: Walks,
    /// Bytes written so far, by a write of several rounds.
    pub(crate) written: usize,
    /// The call has slept at least once.
    pub(crate) slept: bool,
}

impl Io {
    /// The end of a read.
    pub(crate) fn stored(&mut self, bytes: Vec<u8>) -> Attempt {
        let count = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        self.bytes = bytes.into();
        Attempt::Over(Ok(count))
    }
}

impl Transfer {
    pub(crate) fn read(fd: Fd, file: FileId, buf: OutPtr, count: u64) -> Transfer {
        Transfer::new(fd, file, What::Read { buf, count })
    }

    pub(crate) fn write(fd: Fd, file: FileId, buf: Ptr<Bytes>, count: u64) -> Transfer {
        Transfer::new(fd, file, What::Write { buf, count })
    }

    #[inline]
    fn new(fd: Fd, file: FileId, what: What) -> Transfer {
        Transfer {
            fd,
            file,
            what,
            at: At::Change,
            io: Io::default(),
            waiter: None,
            result: Ok(0),
        }
    }

    /// What the call was made with.
    pub(crate) fn into_arguments(self) -> (Fd, What) {
        (self.fd, self.what)
    }

    #[inline]
    fn end(&mut self) -> Answer {
        match (self.result, &self.what) {
            (Ok(count), What::Read { .. }) => {
                let bytes = std::mem::take(&mut self.io.bytes);
                Answer::Done(i64::try_from(count).unwrap_or(i64::MAX), Out::Bytes(bytes))
            }
            (Ok(count), What::Write { .. }) => {
                Answer::Done(i64::try_from(count).unwrap_or(i64::MAX), Out::None)
            }
            (Err(errno), _) => Answer::err(errno),
        }
    }
}

impl<O: Observer> Kernel<'_, O> {
    /// Announces the next wake-up that is owed, unless one is under way. `false` if there is none.
    ///
    /// It belongs to the step before the walk's first, which may have to wait for the queue's lock and
    /// must not have changed anything then.
    #[inline]
    pub(crate) fn wake_next(&mut self, walks: &mut Walks, wakes: &mut Wakes) -> bool {
        if walks.outer.is_none()
            && let Some(wake) = wakes.pop()
        {
            self.wake_up(walks, wake);
        }
        walks.outer.is_some()
    }

    #[inline]
    fn transfer_attempt(&mut self, task: TaskId, call: &mut Transfer) -> Attempt {
        let Transfer { file, what, io, .. } = call;
        let caller = Caller { task, file: *file };
        let kind = self.m.files[*file].kind;
        match &*what {
            What::Read { buf, count } => kind.read(self, caller, (*buf, *count), io),
            What::Write { buf, count } => kind.write(self, caller, (buf, *count), io),
        }
    }

    /// Step: the operation itself, as one holder of the file's lock sees it.
    #[inline]
    fn transfer_change(&mut self, task: TaskId, call: &mut Transfer) -> Flow {
        let attempt = self.transfer_attempt(task, call);
        self.file_changed(call.file);
        match attempt {
            Attempt::Locked => return Flow::Blocked,
            Attempt::Over(result) => {
                // Field by field, as it was just written: a copy of the whole would wait for the stores.
                call.result = match result {
                    Ok(count) => Ok(count),
                    Err(errno) => Err(errno),
                };
                if !self.wake_next(&mut call.io.walks, &mut call.io.wakes) {
                    return Flow::Done;
                }
                call.at = At::Wake;
            }
            Attempt::Sleep => {
                let waking = self.wake_next(&mut call.io.walks, &mut call.io.wakes);
                call.at = if waking { At::WakeFirst } else { At::Enqueue };
            }
        }
        Flow::Next
    }

    /// Step: one entry of the walk at hand.
    #[inline]
    fn transfer_wake(&mut self, task: TaskId, call: &mut Transfer) -> Flow {
        if self.wake_step(task, &mut call.io.walks) == Walked::Blocked {
            return Flow::Blocked;
        }
        if self.wake_next(&mut call.io.walks, &mut call.io.wakes) {
            return Flow::Next;
        }
        if call.at == At::Wake {
            return Flow::Done;
        }
        call.at = At::Enqueue;
        Flow::Next
    }

    /// Step: stand on the queue, then look whether there is still a reason to sleep (`wait_event`).
    fn transfer_enqueue(&mut self, task: TaskId, call: &mut Transfer) -> Flow {
        let kind = self.m.files[call.file].kind;
        let Awaited {
            head,
            exclusive,
            ready,
        } = kind.awaited(self.m, &call.what);
        if self.walked_by_another(task, head) {
            return Flow::Blocked;
        }
        call.io.slept = true;
        if ready {
            call.at = At::Change;
            return Flow::Next;
        }
        // Asked in this order, so that who was woken for something takes it before its signals.
        if self.m.task(task).sigpending {
            if matches!(call.what, What::Write { .. }) && self.pipe_of(call.file).is_some() {
                // A pipe's writer has its wake-ups to pass on, and finds the signal there.
                call.at = At::Change;
                return Flow::Next;
            }
            call.result = Err(ERESTARTSYS);
            return Flow::Done;
        }
        let func = WakeFn::Autoremove(task);
        call.waiter = Some(self.add_wait_entry(head, func, exclusive, Place::Tail));
        self.m.task_mut(task).sleeping = true;
        call.at = At::Sleep;
        Flow::Next
    }

    /// Step: go on once woken, be it by a signal.
    fn transfer_sleep(&mut self, task: TaskId, call: &mut Transfer) -> Flow {
        if !self.m.task(task).is_awake() {
            return Flow::Blocked;
        }
        let queued_on = call.waiter.and_then(|waiter| self.m.waits[waiter].whead);
        if queued_on.is_some_and(|head| self.walked_by_another(task, head)) {
            return Flow::Blocked;
        }
        self.m.task_mut(task).sleeping = false;
        if let Some(waiter) = call.waiter.take() {
            self.remove_wait_entry(waiter);
        }
        call.at = At::Enqueue;
        Flow::Next
    }
}

impl Steps for Transfer {
    #[inline]
    fn step<O: Observer>(&mut self, kernel: &mut Kernel<'_, O>, task: TaskId) -> Flow {
        match self.at {
            At::Change => kernel.transfer_change(task, self),
            At::Wake | At::WakeFirst => kernel.transfer_wake(task, self),
            At::Enqueue => kernel.transfer_enqueue(task, self),
            At::Sleep => kernel.transfer_sleep(task, self),
        }
    }

    #[inline]
    fn answer(&mut self) -> Answer {
        self.end()
    }

    fn files(&self, files: &mut Vec<FileId>) {
        files.push(self.file);
    }

    fn held(&self, held: &mut Held) {
        held.walks.extend(self.io.walks.iter());
        held.waiter = self.waiter;
        held.may_sleep = self.at == At::Sleep;
    }

    fn at(&self) -> String {
        let call = match self.what {
            What::Read { .. } => "vfs_read",
            What::Write { .. } => "vfs_write",
        };
        format!("{call}: {:?}", self.at)
    }
}

variant_is_number!(At);

impl Encode for Transfer {
    fn encode(&self, to: &mut Encoder<'_>) {
        let Transfer {
            fd,
            file,
            what,
            at,
            io,
            waiter: _, // there at `Sleep`; if it still stands on the queue, it is written there
            result,
        } = self;
        at.encode(to);
        file.encode(to);
        let Io {
            bytes,
            wakes,
            walks,
            written,
            slept,
        } = io;
        wakes.encode(to);
        walks.encode(to);
        if *at == At::Wake {
            // Only the answer is left.
            matches!(what, What::Read { .. }).encode(to);
            result.ok().encode(to);
            result.err().encode(to);
            bytes.encode(to);
        } else {
            fd.encode(to);
            what.encode(to);
            written.encode(to);
            slept.encode(to);
        }
    }
}

impl Encode for What {
    fn encode(&self, to: &mut Encoder<'_>) {
        match self {
            What::Read { buf, count } => {
                to.byte(0);
                buf.encode(to);
                count.encode(to);
            }
            What::Write { buf, count } => {
                to.byte(1);
                buf.encode(to);
                count.encode(to);
            }
        }
    }
}

impl Encode for Wakes {
    fn encode(&self, to: &mut Encoder<'_>) {
        let Wakes(wakes) = self;
        for wake in wakes {
            encode_option(wake, to);
        }
    }
}
