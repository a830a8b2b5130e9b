//! The way into a FIFO (`fifo_open`): a pipe with a name, whose ends are opened one by one.
//!
//! Once it is open it is a [`pipe`](super::pipe) like any other. What it has of its own is the opening, which
//! brings the two sides together:
//!
//! | | nobody at the other side | somebody there |
//! |---|---|---|
//! | `O_RDONLY` | sleeps until a writer comes | opens |
//! | `O_RDONLY\|O_NONBLOCK` | opens, and sees no hang-up until a writer has come and gone | opens |
//! | `O_WRONLY` | sleeps until a reader comes | opens |
//! | `O_WRONLY\|O_NONBLOCK` | `ENXIO` | opens |
//! | `O_RDWR` | opens: it is both sides | opens |
//!
//! The first reader and the first writer wake everybody on `rd_wait`, where who waits for a partner stands, be
//! it as a writer. That wake-up has no key, so it is an edge for those who watch the read end, whatever
//! there is to read; and it is none for those who watch the write end, who stand elsewhere.
//!
//! Who waits looks at a counter and not at who is there: a partner that has come and gone counts.

use super::ops::Kind;
use super::pipe::{Pipe, PipeEnd};
use crate::abi::{Errno, EventMask, OpenFlags, TaskId};
use crate::model::Kernel;
use crate::model::arena::{FileId, InodeId, PipeId, WaitId};
use crate::model::call::{Flow, Held};
use crate::model::encode::{Encode, Encoder, variant_is_number};
use crate::model::eventpoll::Deadline;
use crate::model::fs::Node;
use crate::model::signal::restart::ERESTARTSYS;
use crate::model::wait_queue::{Nr, WaitHead, Wake, WakeFn, Walked, Walks};
use crate::trace::{FileRef, Observer, Place, QueueRef};

/// The opening in flight.
#[derive(Clone, Debug)]
pub(crate) struct FifoOpen {
    /// What is being opened; nobody else knows it yet.
    pub(crate) file: FileId,
    at: At,
    /// What the other side's counter was when this side came.
    cur: u32,
    waiter: Option<WaitId>,
    walks: Walks,
    pub(crate) result: Result<(), Errno>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum At {
    /// About to take the mutex and be counted.
    Count,
    /// With the mutex: telling those who wait for a partner (`wake_up_partner`), and then going on to wait.
    WakeThenWait,
    /// The same, and then it is over.
    Wake,
    /// With the mutex: about to stand on the queue, and to let go of the mutex (`wait_for_partner`).
    Enqueue,
    /// On the queue, and maybe asleep.
    Sleep,
    /// About to leave the queue.
    Leave,
    /// About to take the mutex again and look whether a partner has come.
    Look,
    /// With the mutex: none has, and a signal has. Telling that this side is gone again.
    WakeBack,
}

impl FifoOpen {
    pub(crate) fn new(file: FileId) -> FifoOpen {
        FifoOpen {
            file,
            at: At::Count,
            cur: 0,
            waiter: None,
            walks: Walks::default(),
            result: Ok(()),
        }
    }

    /// The other side's counter, by the file's own end.
    fn partners(pipe: &Pipe, end: PipeEnd) -> u32 {
        if end.reads {
            pipe.w_counter
        } else {
            pipe.r_counter
        }
    }

    fn end<O: Observer>(&self, kernel: &Kernel<'_, O>) -> PipeEnd {
        match kernel.m.files[self.file].kind {
            Kind::Pipe(end) => end,
            _ => unreachable!("it has been counted"),
        }
    }

    fn fail(&mut self, errno: Errno) -> Flow {
        self.result = Err(errno);
        Flow::Done
    }

    pub(crate) fn held(&self, held: &mut Held) {
        held.walks.extend(self.walks.iter());
        held.waiter = self.waiter;
        held.may_sleep = self.at == At::Sleep;
        if matches!(
            self.at,
            At::WakeThenWait | At::Wake | At::Enqueue | At::WakeBack
        ) {
            held.locked.push(self.file);
        }
    }

    pub(crate) fn at(&self) -> String {
        format!("fifo_open: {:?}", self.at)
    }
}

impl<O: Observer> Kernel<'_, O> {
    /// A pipe that nobody has open yet (`alloc_pipe_info`).
    pub(crate) fn new_pipe(&mut self, label: FileRef) -> PipeId {
        let rd_wait = WaitHead::new(QueueRef::PipeRead(label));
        let rd_wait = self.m.heads.insert(rd_wait);
        let wr_wait = WaitHead::new(QueueRef::PipeWrite(label));
        let wr_wait = self.m.heads.insert(wr_wait);
        self.m.pipes.insert(Pipe::new(rd_wait, wr_wait))
    }

    /// The FIFO's pipe, if it has one.
    fn pipe_of_fifo(&self, fifo: InodeId) -> Option<PipeId> {
        match self.m.fs.inode(fifo).node {
            Node::Fifo(pipe) => pipe,
            Node::Directory(_) | Node::Regular(_) => unreachable!("an inode stays what it is"),
        }
    }

    pub(crate) fn fifo_open_step(&mut self, task: TaskId, call: &mut FifoOpen) -> Flow {
        match call.at {
            At::Count => {
                let fifo = self.m.files[call.file].f_inode;
                let pipe = fifo.and_then(|fifo| self.pipe_of_fifo(fifo));
                self.fifo_count(task, call, pipe)
            }
            At::WakeThenWait | At::Wake => self.fifo_wake(task, call),
            At::Enqueue => self.fifo_enqueue(task, call),
            At::Sleep => self.fifo_sleep(task, call),
            At::Leave => self.fifo_leave(task, call),
            At::Look => self.fifo_look(task, call),
            At::WakeBack => match self.wake_step(task, &mut call.walks) {
                Walked::More => Flow::Next,
                Walked::Blocked => Flow::Blocked,
                Walked::Done => call.fail(ERESTARTSYS),
            },
        }
    }

    /// Step: one more reader, writer, or both, of a pipe that is there already if anybody has it open.
    pub(crate) fn fifo_count(
        &mut self,
        task: TaskId,
        call: &mut FifoOpen,
        known: Option<PipeId>,
    ) -> Flow {
        let file = &self.m.files[call.file];
        let (flags, label, fifo) = (file.flags, file.label, file.f_inode);
        if known.is_some_and(|pipe| self.m.pipes[pipe].mutex.is_some()) {
            return Flow::Blocked;
        }
        let (reads, writes) = match flags & OpenFlags::ACCMODE {
            OpenFlags::ACCMODE => return call.fail(Errno::EINVAL),
            mode => (mode.readable(), mode.writable()),
        };
        let patient = fifo.is_some() && !(reads && writes);
        let nonblocking = flags.contains(OpenFlags::NONBLOCK);
        let readers = known.map_or(0, |pipe| self.m.pipes[pipe].readers);
        if patient && writes && nonblocking && readers == 0 {
            return call.fail(Errno::ENXIO);
        }
        let id = known.unwrap_or_else(|| self.new_pipe(label));
        if let Some(fifo) = fifo {
            self.m.fs.inode_mut(fifo).node = Node::Fifo(Some(id));
        }
        let pipe = &mut self.m.pipes[id];
        pipe.fifo = fifo;
        pipe.files += 1;
        pipe.readers += u32::from(reads);
        pipe.writers += u32::from(writes);
        pipe.r_counter += u32::from(reads);
        pipe.w_counter += u32::from(writes);
        let first = (reads && pipe.readers == 1) || (writes && pipe.writers == 1);
        let alone = patient && (pipe.readers == 0 || pipe.writers == 0);
        let mut end = PipeEnd {
            pipe: id,
            reads,
            writes,
            f_pipe: 0,
        };
        if alone && nonblocking {
            end.f_pipe = pipe.w_counter;
        }
        let waits = alone && !nonblocking;
        call.cur = FifoOpen::partners(pipe, end);
        pipe.mutex = (first || waits).then_some(task);
        let wake = Wake {
            head: pipe.rd_wait,
            key: EventMask::empty(),
            nr: Nr::All,
        };
        self.m.files[call.file].kind = Kind::Pipe(end);
        if first {
            self.wake_up(&mut call.walks, wake);
        }
        call.at = match (first, waits) {
            (true, true) => At::WakeThenWait,
            (true, false) => At::Wake,
            (false, true) => At::Enqueue,
            (false, false) => return Flow::Done,
        };
        Flow::Next
    }

    /// Step: one entry of the walk along `rd_wait`, under the mutex.
    fn fifo_wake(&mut self, task: TaskId, call: &mut FifoOpen) -> Flow {
        match self.wake_step(task, &mut call.walks) {
            Walked::More => {}
            Walked::Blocked => return Flow::Blocked,
            Walked::Done if call.at == At::WakeThenWait => call.at = At::Enqueue,
            Walked::Done => {
                let pipe = call.end(self).pipe;
                self.m.pipes[pipe].mutex = None;
                return Flow::Done;
            }
        }
        Flow::Next
    }

    /// Step: in front of the others on `rd_wait`, and without the mutex.
    fn fifo_enqueue(&mut self, task: TaskId, call: &mut FifoOpen) -> Flow {
        let id = call.end(self).pipe;
        let head = self.m.pipes[id].rd_wait;
        if self.walked_by_another(task, head) {
            return Flow::Blocked;
        }
        let func = WakeFn::Autoremove(task);
        call.waiter = Some(self.add_wait_entry(head, func, false, Place::Head));
        self.m.fall_asleep(task, Deadline::Never);
        self.trace_sleep(task, head, Place::Head);
        self.m.pipes[id].mutex = None;
        call.at = At::Sleep;
        Flow::Next
    }

    /// Step: go on once woken, be it by a signal.
    fn fifo_sleep(&mut self, task: TaskId, call: &mut FifoOpen) -> Flow {
        if !self.m.task(task).is_awake() {
            return Flow::Blocked;
        }
        self.m.run_again(task);
        call.at = At::Leave;
        Flow::Next
    }

    /// Step: off the queue, if no wake-up has done that.
    fn fifo_leave(&mut self, task: TaskId, call: &mut FifoOpen) -> Flow {
        if let Some(waiter) = call.waiter {
            let head = self.m.waits[waiter].whead;
            if head.is_some_and(|head| self.walked_by_another(task, head)) {
                return Flow::Blocked;
            }
            self.remove_wait_entry(waiter);
        }
        call.waiter = None;
        call.at = At::Look;
        Flow::Next
    }

    /// Step: a partner has come, or a signal, or something else for those who read.
    fn fifo_look(&mut self, task: TaskId, call: &mut FifoOpen) -> Flow {
        let end = call.end(self);
        let sigpending = self.m.task(task).sigpending;
        let pipe = &mut self.m.pipes[end.pipe];
        if pipe.mutex.is_some() {
            return Flow::Blocked;
        }
        if FifoOpen::partners(pipe, end) != call.cur {
            return Flow::Done;
        }
        if !sigpending {
            pipe.mutex = Some(task);
            call.at = At::Enqueue;
            return Flow::Next;
        }
        pipe.readers -= u32::from(end.reads);
        pipe.writers -= u32::from(end.writes);
        self.m.files[call.file].kind = Kind::Pipe(PipeEnd {
            reads: false,
            writes: false,
            ..end
        });
        let (left, head, nr) = if end.reads {
            (pipe.readers, pipe.wr_wait, Nr::One)
        } else {
            (pipe.writers, pipe.rd_wait, Nr::All)
        };
        if left > 0 {
            return call.fail(ERESTARTSYS);
        }
        let key = EventMask::empty();
        pipe.mutex = Some(task);
        self.wake_up(&mut call.walks, Wake { head, key, nr });
        call.at = At::WakeBack;
        Flow::Next
    }
}

variant_is_number!(At);

impl Encode for FifoOpen {
    fn encode(&self, to: &mut Encoder<'_>) {
        let FifoOpen {
            file,
            at,
            cur,
            waiter: _, // if it stands on the queue, it is written there; if not, it is as good as none
            walks,
            result: _, // known at the end only
        } = self;
        at.encode(to);
        file.encode(to);
        walks.encode(to);
        if let (At::Sleep | At::Leave | At::Look, Kind::Pipe(end)) =
            (at, to.machine.files[*file].kind)
        {
            // Whether one has come meanwhile.
            let pipe = &to.machine.pipes[end.pipe];
            (FifoOpen::partners(pipe, end) == *cur).encode(to);
        }
    }
}
