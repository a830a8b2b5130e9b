//! read(2) and write(2) in steps: change the file, walk its wait queues, or sleep until there is a point
//! in trying again.

use smallvec::SmallVec;

use super::{Kernel, Kind};
use crate::abi::{Answer, Bytes, Errno, Out, OutPtr, Ptr, TaskId};
use crate::model::arena::{FileId, HeadId, WaitId};
use crate::model::call::{Flow, Steps};
use crate::model::wait_queue::{Wake, WakeFn, Walked, Walks};
use crate::trace::{Observer, Place};

/// A call in flight.
#[derive(Clone, Debug)]
pub(crate) struct Transfer {
    file: FileId,
    what: What,
    progress: Progress,
    at: At,
    wakes: Wakes,
    walks: Walks,
    waiter: Option<WaitId>,
    /// How the call will end, once the last wake-up is made.
    result: Option<Result<u64, Errno>>,
    bytes: Option<Bytes>,
}

#[derive(Clone, Debug)]
enum What {
    Read { buf: OutPtr, count: u64 },
    Write { buf: Ptr<Bytes>, count: u64 },
}

/// What a call of several rounds remembers between them.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Progress {
    /// Bytes written so far.
    pub(crate) written: usize,
    /// It has slept at least once.
    pub(crate) slept: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum At {
    /// About to change the file, under its lock.
    Change,
    /// Walking wait queues, one entry a step.
    Wake,
    /// Waking others before going to sleep.
    WakeFirst,
    /// About to stand on the queue and look once more.
    Enqueue,
    Sleep,
}

/// The wake-ups that an operation ends with, in order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wakes {
    list: SmallVec<[Wake; 2]>,
    /// The file was changed under the lock of the one queue that is woken.
    locked: bool,
}

impl Wakes {
    /// One that is made without letting go of the lock under which the file was changed.
    #[inline]
    pub(crate) fn locked(wake: Wake) -> Wakes {
        Wakes { list: SmallVec::from_slice(&[wake]), locked: true }
    }

    pub(crate) fn push(&mut self, wake: Wake) {
        self.list.push(wake);
    }

    /// Takes the next one to make.
    pub(crate) fn pop(&mut self) -> Option<Wake> {
        if self.list.is_empty() { None } else { Some(self.list.remove(0)) }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }
}

/// What an attempt at the operation came to.
#[derive(Debug)]
pub(crate) enum Attempt {
    /// The operation is over.
    Over { result: Result<u64, Errno>, bytes: Option<Bytes>, wakes: Wakes },
    /// Nothing to do now: wake `first`, then sleep and try again.
    Sleep { first: Option<Wake> },
    /// Somebody walks the queue whose lock the operation needs.
    Locked,
}

impl Attempt {
    #[inline]
    pub(crate) fn fail(errno: Errno) -> Attempt {
        Attempt::Over { result: Err(errno), bytes: None, wakes: Wakes::default() }
    }

    pub(crate) fn read(bytes: Bytes, wakes: Wakes) -> Attempt {
        let count = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        Attempt::Over { result: Ok(count), bytes: Some(bytes), wakes }
    }
}

impl Transfer {
    pub(crate) fn read(file: FileId, buf: OutPtr, count: u64) -> Transfer {
        Transfer::new(file, What::Read { buf, count })
    }

    pub(crate) fn write(file: FileId, buf: Ptr<Bytes>, count: u64) -> Transfer {
        Transfer::new(file, What::Write { buf, count })
    }

    fn new(file: FileId, what: What) -> Transfer {
        Transfer {
            file,
            what,
            progress: Progress::default(),
            at: At::Change,
            wakes: Wakes::default(),
            walks: Walks::default(),
            waiter: None,
            result: None,
            bytes: None,
        }
    }

    fn end(&mut self) -> Flow {
        Flow::Done(match self.result.take() {
            Some(Ok(count)) => {
                let out = self.bytes.take().map_or(Out::None, Out::Bytes);
                Answer::Done(i64::try_from(count).unwrap_or(i64::MAX), out)
            }
            Some(Err(errno)) => Answer::err(errno),
            None => unreachable!("the operation is over"),
        })
    }
}

impl<O: Observer> Kernel<'_, O> {
    #[inline]
    fn transfer_attempt(&mut self, task: TaskId, call: &mut Transfer) -> Attempt {
        let file = call.file;
        match (&self.m.files[file].kind, &call.what) {
            (Kind::EventFd(_), What::Read { buf, count }) => {
                self.eventfd_read(task, file, *buf, *count)
            }
            (Kind::EventFd(_), What::Write { buf, count }) => {
                self.eventfd_write(task, file, buf, *count)
            }
            (Kind::Pipe(end), What::Read { buf, count }) => {
                self.pipe_read(file, *end, *buf, *count, call.progress.slept)
            }
            (Kind::Pipe(end), What::Write { buf, count }) => {
                self.pipe_write(file, *end, buf, *count, &mut call.progress)
            }
            (Kind::Plain(_), What::Read { buf, count }) => self.plain_read(file, *buf, *count),
            (Kind::Plain(_), What::Write { buf, count }) => self.plain_write(file, buf, *count),
            (Kind::EventPoll(_), _) => Attempt::fail(Errno::EINVAL),
        }
    }

    #[inline]
    fn transfer_change(&mut self, task: TaskId, call: &mut Transfer) -> Flow {
        match self.transfer_attempt(task, call) {
            Attempt::Locked => return Flow::Blocked,
            Attempt::Over { result, bytes, wakes } => {
                call.result = Some(result);
                call.bytes = bytes;
                if wakes.locked {
                    for wake in wakes.list {
                        self.wake_up_locked(task, &mut call.walks, wake);
                    }
                    if call.walks.outer.is_none() {
                        return call.end();
                    }
                } else {
                    if wakes.is_empty() {
                        return call.end();
                    }
                    call.wakes = wakes;
                }
                call.at = At::Wake;
            }
            Attempt::Sleep { first: Some(wake) } => {
                self.wake_up(&mut call.walks, wake);
                call.at = At::WakeFirst;
            }
            Attempt::Sleep { first: None } => call.at = At::Enqueue,
        }
        Flow::Next
    }

    /// Step: one entry of the walk at hand, or the beginning of the next walk.
    #[inline]
    fn transfer_wake(&mut self, task: TaskId, call: &mut Transfer) -> Flow {
        if call.walks.outer.is_none() {
            let Some(wake) = call.wakes.pop() else { return call.end() };
            self.wake_up(&mut call.walks, wake);
        }
        match self.wake_step(task, &mut call.walks) {
            Walked::Blocked => Flow::Blocked,
            Walked::Done if call.wakes.is_empty() => call.end(),
            Walked::More | Walked::Done => Flow::Next,
        }
    }

    /// Step: stand on the queue, then look whether there is still a reason to sleep (`wait_event`).
    fn transfer_enqueue(&mut self, task: TaskId, call: &mut Transfer) -> Flow {
        if self.transfer_ready(call) {
            call.at = At::Change;
            return Flow::Next;
        }
        let (head, exclusive, place) = self.transfer_queue(call);
        if self.walked_by_another(task, head) {
            return Flow::Blocked;
        }
        let func = WakeFn::Autoremove(task);
        call.waiter = Some(self.add_wait_entry(head, func, exclusive, place));
        self.m.task_mut(task).sleeping = true;
        call.at = At::Sleep;
        Flow::Next
    }

    /// Step: go on once woken, or to die.
    fn transfer_sleep(&mut self, task: TaskId, call: &mut Transfer) -> Flow {
        let state = self.m.task(task);
        let fatal = state.fatal_signal;
        if state.sleeping && !fatal {
            return Flow::Blocked;
        }
        if let Some(head) = call.waiter.and_then(|waiter| self.m.waits[waiter].whead) {
            if self.walked_by_another(task, head) {
                return Flow::Blocked;
            }
        }
        self.m.task_mut(task).sleeping = false;
        if let Some(waiter) = call.waiter.take() {
            self.remove_wait_entry(waiter);
        }
        if fatal {
            return Flow::Done(Answer::err(Errno::EINTR));
        }
        call.at = if self.transfer_ready(call) { At::Change } else { At::Enqueue };
        call.progress.slept = true;
        Flow::Next
    }

    /// The condition that the sleeper waits for (`pipe_readable`, `pipe_writable`, ...).
    fn transfer_ready(&self, call: &Transfer) -> bool {
        match (&self.m.files[call.file].kind, &call.what) {
            (Kind::Pipe(end), What::Read { .. }) => self.m.pipes[end.pipe].readable(),
            (Kind::Pipe(end), What::Write { .. }) => self.m.pipes[end.pipe].writable(),
            (Kind::EventFd(eventfd), What::Read { .. }) => eventfd.count > 0,
            (Kind::EventFd(eventfd), What::Write { buf: Ptr::To(bytes), .. }) => {
                bytes.to_u64().is_some_and(|added| u64::MAX - eventfd.count > added)
            }
            _ => true,
        }
    }

    /// Where it sleeps. Readers and writers of a pipe are exclusive and stand at the tail; the queue of
    /// an eventfd serves both kinds of sleeper and wakes them all.
    fn transfer_queue(&self, call: &Transfer) -> (HeadId, bool, Place) {
        match (&self.m.files[call.file].kind, &call.what) {
            (Kind::Pipe(end), What::Read { .. }) => {
                (self.m.pipes[end.pipe].rd_wait, true, Place::Tail)
            }
            (Kind::Pipe(end), What::Write { .. }) => {
                (self.m.pipes[end.pipe].wr_wait, true, Place::Tail)
            }
            (Kind::EventFd(eventfd), _) => (eventfd.wqh, false, Place::Tail),
            _ => unreachable!("other files never let a transfer sleep"),
        }
    }
}

impl Steps for Transfer {
    #[inline]
    fn step<O: Observer>(&mut self, kernel: &mut Kernel<'_, O>, task: TaskId) -> Flow {
        match self.at {
            At::Change => kernel.transfer_change(task, self),
            At::Wake => kernel.transfer_wake(task, self),
            At::WakeFirst => match kernel.wake_step(task, &mut self.walks) {
                Walked::Blocked => Flow::Blocked,
                Walked::More => Flow::Next,
                Walked::Done => {
                    self.at = At::Enqueue;
                    Flow::Next
                }
            },
            At::Enqueue => kernel.transfer_enqueue(task, self),
            At::Sleep => kernel.transfer_sleep(task, self),
        }
    }

    fn files(&self, files: &mut Vec<FileId>) {
        files.push(self.file);
    }

    fn at(&self) -> String {
        let call = if matches!(self.what, What::Read { .. }) { "vfs_read" } else { "vfs_write" };
        format!("{call}: {:?}", self.at)
    }
}
