//! pipe(2): a ring of slots, each up to a page, between a read end and a write end (fs/pipe.c).
//!
//! What programs trip over follows from the slots:
//!
//! - "full" means no free slot, however few bytes the slots hold;
//! - a small write joins the last slot if it fits behind what stands there, so a full pipe may take it;
//! - a slot is free again only when its last byte has been read.
//!
//! The two directions wake differently. A write wakes readers *always* once anybody has polled the pipe,
//! even if it fails with `EAGAIN`; a read wakes writers only if it frees a slot of a full ring.
//!
//! One mutex guards the ring. Reads and writes let go of it before they wake anybody; a release and a change
//! of the size wake under it, so nobody reads or writes before they are through.

use std::collections::VecDeque;

use super::ops::{Awaited, Caller, FileOps, Kind, PollHeads, Poller, Released};
use super::transfer::{Attempt, Io, Wakes, What};
use crate::abi::{
    Answer, Bytes, Errno, EventMask, IoctlArg, OpenFlags, Out, OutPtr, Ptr, Room, TaskId, request,
};
use crate::model::arena::{FileId, HeadId, InodeId, PipeId};
use crate::model::call::{Flow, Held, Steps};
use crate::model::clone::clone_by_field;
use crate::model::encode::{Encode, Encoder, Number, variant_is_number};
use crate::model::fs::Node;
use crate::model::signal::restart::ERESTARTSYS;
use crate::model::wait_queue::{Nr, Wake, WakeFn, Walked, Walks};
use crate::model::{Kernel, Machine};
use crate::trace::{Observer, Place};

/// Bytes of a slot.
pub(crate) const PAGE_SIZE: usize = 4096;
/// Slots of a new pipe (`PIPE_DEF_BUFFERS`).
pub(crate) const DEFAULT_SLOTS: usize = 16;

/// One end of a pipe, as a file refers to it. One that was opened by name may be both.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PipeEnd {
    pub(crate) pipe: PipeId,
    pub(crate) reads: bool,
    pub(crate) writes: bool,
    /// How many writers there had been when a non-blocking reader found none (`f_pipe`): as long as no other
    /// comes, that none is there is no hang-up.
    pub(crate) f_pipe: u32,
}

/// A pipe (`struct pipe_inode_info`).
#[derive(Debug)]
pub(crate) struct Pipe {
    /// The slots in use, oldest first (`bufs` from `tail` to `head`).
    pub(crate) bufs: VecDeque<PipeBuffer>,
    /// How many slots may be in use (`max_usage`).
    pub(crate) max_usage: usize,
    /// Files open for reading.
    pub(crate) readers: u32,
    /// Files open for writing.
    pub(crate) writers: u32,
    /// How many readers and writers there have been (`r_counter`, `w_counter`): whether one came in between, who
    /// waits for one tells by that.
    pub(crate) r_counter: u32,
    pub(crate) w_counter: u32,
    /// Files that refer to it, those among them whose release is not over (`files`).
    pub(crate) files: u32,
    /// The FIFO whose pipe it is.
    pub(crate) fifo: Option<InodeId>,
    /// Somebody has polled it (`poll_usage`): from then on every write wakes.
    pub(crate) poll_usage: bool,
    /// Who makes wake-ups under the mutex (`mutex`). Other holders do all that they do in one step.
    pub(crate) mutex: Option<TaskId>,
    /// Readers, and those who poll the read end.
    pub(crate) rd_wait: HeadId,
    /// Writers, and those who poll the write end.
    pub(crate) wr_wait: HeadId,
}

clone_by_field!(Pipe {
    bufs,
    max_usage,
    readers,
    writers,
    r_counter,
    w_counter,
    files,
    fifo,
    poll_usage,
    mutex,
    rd_wait,
    wr_wait,
});

/// A slot (`struct pipe_buffer`).
#[derive(Clone, Debug)]
pub(crate) struct PipeBuffer {
    /// What was written, from the page's start on.
    pub(crate) page: Vec<u8>,
    /// How much of it has been read.
    pub(crate) offset: usize,
    pub(crate) sort: Sort,
}

/// What can be done with a slot (`PIPE_BUF_FLAG_*`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Sort {
    /// Later bytes may join it (`PIPE_BUF_FLAG_CAN_MERGE`).
    Stream,
    /// A packet of an `O_DIRECT` pipe: read as a whole, never joined (`PIPE_BUF_FLAG_PACKET`).
    Packet,
    /// Its page may be somebody else's too: never joined.
    Shared,
}

const READABLE: EventMask = EventMask::IN.union(EventMask::RDNORM);
const WRITABLE: EventMask = EventMask::OUT.union(EventMask::WRNORM);

impl Pipe {
    /// `alloc_pipe_info`
    pub(crate) fn new(rd_wait: HeadId, wr_wait: HeadId) -> Pipe {
        Pipe {
            bufs: VecDeque::new(),
            max_usage: DEFAULT_SLOTS,
            readers: 0,
            writers: 0,
            r_counter: 1,
            w_counter: 1,
            files: 0,
            fifo: None,
            poll_usage: false,
            mutex: None,
            rd_wait,
            wr_wait,
        }
    }

    /// `pipe_full`
    pub(super) fn full(&self) -> bool {
        self.bufs.len() >= self.max_usage
    }

    /// What a sleeping reader waits for (`pipe_readable`).
    pub(crate) fn readable(&self) -> bool {
        !self.bufs.is_empty() || self.writers == 0
    }

    /// What a sleeping writer waits for (`pipe_writable`).
    pub(crate) fn writable(&self) -> bool {
        !self.full() || self.readers == 0
    }

    /// Bytes that can be read (`FIONREAD`).
    pub(crate) fn unread(&self) -> usize {
        self.bufs
            .iter()
            .map(|slot| slot.page.len() - slot.offset)
            .sum()
    }

    /// `pipe_poll`
    pub(crate) fn poll(&mut self, end: PipeEnd) -> EventMask {
        self.poll_usage = true;
        let mut mask = EventMask::empty();
        if end.reads {
            mask.set(READABLE, !self.bufs.is_empty());
            let left = self.writers == 0 && end.f_pipe != self.w_counter;
            mask.set(EventMask::HUP, left);
        }
        if end.writes {
            mask.set(WRITABLE, !self.full());
            mask.set(EventMask::ERR, self.readers == 0);
        }
        mask
    }

    fn wake_readers(&self) -> Wake {
        Wake {
            head: self.rd_wait,
            key: READABLE,
            nr: Nr::One,
        }
    }

    fn wake_writers(&self) -> Wake {
        Wake {
            head: self.wr_wait,
            key: WRITABLE,
            nr: Nr::One,
        }
    }

    /// Joins the odd bytes of a write to the last slot, if they fit there (the first part of
    /// `pipe_write`). Says how many it took.
    fn merge(&mut self, bytes: &[u8]) -> usize {
        let chars = bytes.len() % PAGE_SIZE;
        match self.bufs.back_mut() {
            Some(last) if last.sort == Sort::Stream && last.page.len() + chars <= PAGE_SIZE => {
                last.page.extend_from_slice(&bytes[..chars]);
                chars
            }
            _ => 0,
        }
    }

    /// Fills free slots. Says how many bytes it took.
    fn fill(&mut self, bytes: &[u8], sort: Sort) -> usize {
        let mut taken = 0;
        while taken < bytes.len() && !self.full() {
            let chunk = &bytes[taken..bytes.len().min(taken + PAGE_SIZE)];
            self.bufs.push_back(PipeBuffer {
                page: chunk.to_vec(),
                offset: 0,
                sort,
            });
            taken += chunk.len();
        }
        taken
    }

    /// Takes up to `count` bytes. Says whether a slot of a full ring became free.
    fn drain(&mut self, count: usize) -> (Vec<u8>, bool) {
        let mut bytes = Vec::new();
        let mut wake_writer = false;
        while bytes.len() < count {
            let full = self.full();
            let Some(slot) = self.bufs.front_mut() else {
                break;
            };
            let unread = &slot.page[slot.offset..];
            let chars = unread.len().min(count - bytes.len());
            bytes.extend_from_slice(&unread[..chars]);
            slot.offset += chars;
            let packet = slot.sort == Sort::Packet;
            if packet || slot.offset == slot.page.len() {
                wake_writer |= full;
                self.bufs.pop_front();
            }
            if packet {
                break;
            }
        }
        (bytes, wake_writer)
    }

    /// `pipe_set_size`: the new capacity in bytes, or why not.
    pub(crate) fn resize(&mut self, bytes: i32) -> Result<(i64, Wake), Errno> {
        let bytes = usize::try_from(bytes).map_err(|_| Errno::EINVAL)?;
        let slots = bytes.div_ceil(PAGE_SIZE).max(1).next_power_of_two();
        if slots > MAX_SLOTS {
            return Err(Errno::EPERM);
        }
        if slots < self.bufs.len() {
            return Err(Errno::EBUSY);
        }
        self.max_usage = slots;
        Ok((self.capacity(), self.wake_writers_keyless()))
    }

    /// `pipe_release`: the last reader or the last writer tells both sides, unless the other side is gone.
    pub(super) fn release(&mut self, end: PipeEnd) -> Wakes {
        self.readers -= u32::from(end.reads);
        self.writers -= u32::from(end.writes);
        let mut wakes = Wakes::default();
        if (self.readers == 0) != (self.writers == 0) {
            for head in [self.rd_wait, self.wr_wait] {
                wakes.push(Wake {
                    head,
                    key: EventMask::empty(),
                    nr: Nr::All,
                });
            }
        }
        wakes
    }

    /// Bytes that the ring holds at most.
    pub(crate) fn capacity(&self) -> i64 {
        i64::try_from(self.max_usage * PAGE_SIZE).unwrap_or(i64::MAX)
    }

    fn wake_writers_keyless(&self) -> Wake {
        Wake {
            head: self.wr_wait,
            key: EventMask::empty(),
            nr: Nr::One,
        }
    }
}

/// The largest ring that an unprivileged process may ask for (`fs.pipe-max-size`, 1 MiB).
const MAX_SLOTS: usize = (1 << 20) / PAGE_SIZE;

impl FileOps for PipeEnd {
    /// `pipe_poll`
    #[inline]
    fn poll(self, m: &mut Machine, _: Poller) -> EventMask {
        m.pipes[self.pipe].poll(self)
    }

    #[inline]
    fn poll_heads(self, m: &Machine, _: TaskId) -> PollHeads {
        let pipe = &m.pipes[self.pipe];
        [
            self.reads.then_some(pipe.rd_wait),
            self.writes.then_some(pipe.wr_wait),
        ]
    }

    /// Both ends lead to the same two.
    fn queues(self, m: &Machine) -> PollHeads {
        let pipe = &m.pipes[self.pipe];
        [Some(pipe.rd_wait), Some(pipe.wr_wait)]
    }

    fn describe(self, m: &Machine) -> (&'static str, String) {
        let pipe = &m.pipes[self.pipe];
        let name = match (pipe.fifo, self.reads, self.writes) {
            (None, _, false) => "pipe, read end",
            (None, false, true) => "pipe, write end",
            (None, true, true) => "pipe, both ends",
            (Some(_), _, false) => "FIFO, read end",
            (Some(_), false, true) => "FIFO, write end",
            (Some(_), true, true) => "FIFO, both ends",
        };
        let content = format!(
            "{} bytes in {} of {} slots, {} readers, {} writers",
            pipe.unread(),
            pipe.bufs.len(),
            pipe.max_usage,
            pipe.readers,
            pipe.writers
        );
        (name, content)
    }

    fn encode_state(self, to: &mut Encoder<'_>) {
        let PipeEnd {
            pipe,
            reads,
            writes,
            f_pipe,
        } = self;
        let quiet = f_pipe == to.machine.pipes[pipe].w_counter;
        let ends = u64::from(reads) | u64::from(writes) << 1 | u64::from(quiet) << 2;
        to.pipe(ends, pipe);
    }

    /// `pipe_read`
    fn read<O: Observer>(
        self,
        kernel: &mut Kernel<'_, O>,
        caller: Caller,
        (buf, count): (OutPtr, u64),
        io: &mut Io,
    ) -> Attempt {
        if count == 0 {
            return io.stored(Vec::new());
        }
        let nonblocking = kernel.m.files[caller.file].nonblocking();
        let pipe = &mut kernel.m.pipes[self.pipe];
        if pipe.mutex.is_some() {
            return Attempt::Locked;
        }
        if pipe.bufs.is_empty() {
            return match (pipe.writers, nonblocking) {
                (0, _) => io.stored(Vec::new()),
                (_, true) => Attempt::fail(Errno::EAGAIN),
                (_, false) => Attempt::Sleep,
            };
        }
        let room = match buf {
            OutPtr::Addr(_) => 0,
            OutPtr::Memory(Room::Bytes(room)) => room,
            OutPtr::Memory(_) => u64::MAX,
        };
        // What does not fit into the buffer stays in the pipe.
        let count = usize::try_from(count.min(room)).unwrap_or(usize::MAX);
        if count == 0 {
            return Attempt::fail(Errno::EFAULT);
        }
        let (bytes, wake_writer) = pipe.drain(count);
        if wake_writer {
            io.wakes.push(pipe.wake_writers());
        }
        // Having slept, it took the wake-up that another reader may still have use for.
        if io.slept && !pipe.bufs.is_empty() {
            io.wakes.push(pipe.wake_readers());
        }
        io.stored(bytes)
    }

    /// `pipe_write`: one round, up to where it would sleep.
    fn write<O: Observer>(
        self,
        kernel: &mut Kernel<'_, O>,
        caller: Caller,
        (buf, count): (&Ptr<Bytes>, u64),
        io: &mut Io,
    ) -> Attempt {
        if count == 0 {
            return Attempt::Over(Ok(0));
        }
        let nonblocking = kernel.m.files[caller.file].nonblocking();
        let packet = kernel.m.files[caller.file]
            .flags
            .contains(OpenFlags::DIRECT);
        let sort = if packet { Sort::Packet } else { Sort::Stream };
        let interrupted = kernel.m.task(caller.task).sigpending;
        let broken = kernel.m.pipes[self.pipe].readers == 0;
        let held_up = broken && kernel.m.is_signal_held_up(caller.task);
        let pipe = &mut kernel.m.pipes[self.pipe];
        if pipe.mutex.is_some() || held_up {
            return Attempt::Locked;
        }
        // In the first round a reader's absence ends the call before it has looked at the ring.
        let was_empty = pipe.bufs.is_empty() && (pipe.readers > 0 || io.slept);
        let mut failed = None;
        match buf {
            _ if pipe.readers == 0 => failed = Some(Errno::EPIPE),
            Ptr::Addr(_) => failed = Some(Errno::EFAULT),
            Ptr::To(bytes) => {
                if !io.slept && !was_empty {
                    io.written += pipe.merge(bytes);
                }
                io.written += pipe.fill(&bytes[io.written..], sort);
                if io.written < bytes.len() {
                    if !nonblocking && !interrupted {
                        if was_empty {
                            io.wakes.push(pipe.wake_readers());
                        }
                        return Attempt::Sleep;
                    }
                    failed = Some(if nonblocking {
                        Errno::EAGAIN
                    } else {
                        ERESTARTSYS
                    });
                }
            }
        }
        // Epoll wants to hear of every write, whether the pipe was empty or not.
        if was_empty || pipe.poll_usage {
            io.wakes.push(pipe.wake_readers());
        }
        // Having slept, it took the wake-up that another writer may still have use for.
        if io.slept && !pipe.full() {
            io.wakes.push(pipe.wake_writers());
        }
        if failed == Some(Errno::EPIPE) {
            kernel.send_sigpipe(caller.task);
        }
        match failed {
            Some(errno) if io.written == 0 => Attempt::fail(errno),
            _ => Attempt::Over(Ok(u64::try_from(io.written).unwrap_or(u64::MAX))),
        }
    }

    fn awaited(self, m: &Machine, _: Caller, what: &What) -> Awaited {
        let pipe = &m.pipes[self.pipe];
        let (head, ready) = match what {
            What::Write { .. } => (pipe.wr_wait, pipe.writable()),
            _ => (pipe.rd_wait, pipe.readable()),
        };
        Awaited {
            head,
            place: Place::Tail,
            func: WakeFn::Autoremove,
            exclusive: true,
            ready,
            locked: false,
        }
    }

    /// A writer has its wake-ups to pass on.
    fn finds_signals(self, what: &What) -> bool {
        matches!(what, What::Write { .. })
    }

    /// `pipe_ioctl`
    fn ioctl(self, m: &mut Machine, _: Caller, op: u32, arg: IoctlArg) -> Result<Out, Errno> {
        match (op, arg) {
            (request::FIONREAD, IoctlArg::IntOut(OutPtr::Memory(Room::Plenty))) => {
                let unread = m.pipes[self.pipe].unread();
                Ok(Out::Int(i32::try_from(unread).unwrap_or(i32::MAX)))
            }
            (request::FIONREAD, IoctlArg::IntOut(_)) => Err(Errno::EFAULT),
            _ => Err(Errno::ENOTTY),
        }
    }

    fn llseek(self, _: &mut Machine, _: FileId, _: i64, _: i32) -> Result<i64, Errno> {
        Err(Errno::ESPIPE)
    }

    /// `pipe_release`, which makes its wake-ups under the mutex.
    fn release(self, m: &mut Machine, task: TaskId) -> Released {
        let pipe = &mut m.pipes[self.pipe];
        if pipe.mutex.is_some() {
            return Released::Locked;
        }
        pipe.mutex = Some(task);
        Released::Done(pipe.release(self))
    }

    /// The release is over, and one file less refers to the pipe (`put_pipe_info`).
    fn free(self, m: &mut Machine) {
        let pipe = &mut m.pipes[self.pipe];
        pipe.mutex = None;
        pipe.files -= 1;
        if pipe.files == 0 {
            let (rd_wait, wr_wait, fifo) = (pipe.rd_wait, pipe.wr_wait, pipe.fifo);
            m.heads.remove(rd_wait);
            m.heads.remove(wr_wait);
            m.pipes.remove(self.pipe);
            if let Some(fifo) = fifo {
                m.fs.inode_mut(fifo).node = Node::Fifo(None);
            }
        }
    }
}

impl<O: Observer> Kernel<'_, O> {
    /// The pipe behind a file, if it is one.
    pub(crate) fn pipe_of(&self, file: FileId) -> Option<PipeId> {
        match self.m.files[file].kind {
            Kind::Pipe(end) => Some(end.pipe),
            _ => None,
        }
    }
}

/// fcntl(2) with `F_SETPIPE_SZ` in flight: a larger ring may have room for a sleeping writer.
#[derive(Clone, Debug)]
pub(crate) struct PipeResize {
    file: FileId,
    bytes: i32,
    /// The new capacity, once the ring has it. Then what is left is the wake-up.
    result: Result<Option<i64>, Errno>,
    walks: Walks,
}

impl PipeResize {
    pub(crate) fn new(file: FileId, bytes: i32) -> PipeResize {
        PipeResize {
            file,
            bytes,
            result: Ok(None),
            walks: Walks::default(),
        }
    }
}

impl<O: Observer> Kernel<'_, O> {
    /// Step: `pipe_set_size`
    fn pipe_resize(&mut self, task: TaskId, call: &mut PipeResize) -> Flow {
        let Some(pipe) = self.pipe_of(call.file) else {
            call.result = Err(Errno::EBADF);
            return Flow::Done;
        };
        let pipe = &mut self.m.pipes[pipe];
        if pipe.mutex.is_some() {
            return Flow::Blocked;
        }
        match pipe.resize(call.bytes) {
            Ok((capacity, wake)) => {
                call.result = Ok(Some(capacity));
                // The wake-up is made under the mutex as well.
                pipe.mutex = Some(task);
                self.wake_up(&mut call.walks, wake);
                Flow::Next
            }
            Err(errno) => {
                call.result = Err(errno);
                Flow::Done
            }
        }
    }
}

impl Steps for PipeResize {
    fn step<O: Observer>(&mut self, kernel: &mut Kernel<'_, O>, task: TaskId) -> Flow {
        if self.result == Ok(None) {
            return kernel.pipe_resize(task, self);
        }
        match kernel.wake_step(task, &mut self.walks) {
            Walked::More => Flow::Next,
            Walked::Blocked => Flow::Blocked,
            Walked::Done => {
                if let Some(pipe) = kernel.pipe_of(self.file) {
                    kernel.m.pipes[pipe].mutex = None;
                }
                Flow::Done
            }
        }
    }

    fn answer(&mut self) -> Answer {
        match self.result {
            Ok(capacity) => Answer::ret(capacity.unwrap_or_default()),
            Err(errno) => Answer::err(errno),
        }
    }

    fn files(&self, files: &mut Vec<FileId>) {
        files.push(self.file);
    }

    fn held(&self, held: &mut Held) {
        if matches!(self.result, Ok(Some(_))) {
            held.locked.push(self.file);
        }
        held.walks.extend(self.walks.iter());
    }

    fn at(&self) -> String {
        "pipe_set_size".to_owned()
    }
}

impl Encode for Pipe {
    fn encode(&self, to: &mut Encoder<'_>) {
        let Pipe {
            bufs,
            max_usage,
            readers,
            writers,
            // What matters is whether they are what somebody has noted, and he says so.
            r_counter: _,
            w_counter: _,
            files: _, // as many as name it
            fifo: _,  // its files name it
            poll_usage,
            mutex,
            rd_wait,
            wr_wait,
        } = self;
        to.numbers([
            max_usage.number(to),
            readers.number(to),
            writers.number(to),
            mutex.number(to) << 1 | poll_usage.number(to),
            bufs.len().number(to),
        ]);
        for buf in bufs {
            buf.encode(to);
        }
        to.queue(*rd_wait);
        to.queue(*wr_wait);
    }
}

variant_is_number!(Sort);

impl Encode for PipeBuffer {
    fn encode(&self, to: &mut Encoder<'_>) {
        let PipeBuffer { page, offset, sort } = self;
        // What has been read is gone, but its room is not free again.
        offset.encode(to);
        sort.encode(to);
        to.bytes(&page[*offset..]);
    }
}

impl Encode for PipeResize {
    fn encode(&self, to: &mut Encoder<'_>) {
        let PipeResize {
            file,
            bytes,
            result,
            walks,
        } = self;
        file.encode(to);
        let capacity = result.unwrap_or(None);
        capacity.encode(to);
        match capacity {
            None => bytes.encode(to),
            Some(_) => walks.encode(to),
        }
    }
}
