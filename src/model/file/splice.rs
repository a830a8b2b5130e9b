//! splice(2), tee(2) and vmsplice(2): slots of a pipe change hands, and nobody copies a byte (fs/splice.c).
//!
//! A page that two pipes share must not be written to by either. So what was spliced is never joined: a small
//! write behind it takes a slot of its own, and a pipe may be full with sixteen bytes in it.
//!
//! The wake-ups are other ones than those of read(2) and write(2): they have no key, and they are made
//! whenever a slot has gone or come, whatever the ring was before. An edge-triggered writer hears of a splice
//! out of a pipe that was nearly empty.
//!
//! Between two pipes there are two looks without a lock, in this order: is there anything in the one, and room in
//! the other? Only then are both locked, and by then neither may be true any more. splice(2) starts anew then;
//! tee(2) returns 0, as it does at the end of file.

use super::ops::{Awaited, Caller, FileOps};
use super::pipe::{PAGE_SIZE, Pipe, PipeBuffer, Sort};
use super::transfer::{Attempt, Io};
use crate::abi::{Bytes, Errno, EventMask, Fd, TaskId};
use crate::model::Kernel;
use crate::model::arena::{FileId, HeadId, PipeId};
use crate::model::encode::{Encode, Encoder, Number, variant_is_number};
use crate::model::signal::restart::ERESTARTSYS;
use crate::model::wait_queue::{Nr, Wake, WakeFn};
use crate::trace::{Observer, Place};

/// The arguments of one of the calls, and how far it is. The file of the transfer is where the bytes come from,
/// or the pipe of vmsplice(2).
#[derive(Clone, Debug)]
pub(crate) struct Splicing {
    /// Where they go, and under which number.
    pub(crate) out: (Fd, FileId),
    pub(crate) len: u64,
    /// As the program passed them.
    pub(crate) flags: u32,
    /// Whether it must not sleep, by its flags or by those of a pipe.
    pub(crate) nonblock: bool,
    pub(crate) how: How,
    pub(crate) stage: Stage,
}

/// Which call, and on what.
#[derive(Clone, Debug)]
pub(crate) enum How {
    /// splice(2) between two pipes.
    Pipes,
    /// splice(2) out of a pipe, to a place in a file.
    ToFile { pos: u64, given: bool },
    /// splice(2) into a pipe, from a place in a file.
    FromFile { pos: u64, given: bool },
    /// tee(2)
    Tee,
    /// vmsplice(2) into a pipe.
    FromMemory(Vec<Bytes>),
    /// vmsplice(2) out of a pipe. What it stores is not looked at.
    ToMemory,
}

/// What comes next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Stage {
    /// Between two pipes: is there anything in the one (`ipipe_prep`)?
    In,
    /// Is there room in the other (`opipe_prep`)?
    Out,
    /// With the lock, or both.
    Move,
}

impl Splicing {
    pub(crate) fn new(
        out: (Fd, FileId),
        (len, flags, nonblock): (u64, u32, bool),
        how: How,
    ) -> Splicing {
        let stage = match how {
            How::Pipes | How::Tee => Stage::In,
            How::ToFile { .. } | How::FromFile { .. } | How::FromMemory(_) | How::ToMemory => {
                Stage::Move
            }
        };
        Splicing {
            out,
            len,
            flags,
            nonblock,
            how,
            stage,
        }
    }

    fn is_between_pipes(&self) -> bool {
        matches!(self.how, How::Pipes | How::Tee)
    }
}

impl Pipe {
    fn free_slots(&self) -> usize {
        self.max_usage.saturating_sub(self.bufs.len())
    }

    /// The first bytes, which stay.
    fn front(&self, count: usize) -> Vec<u8> {
        let slots = self.bufs.iter().flat_map(PipeBuffer::unread);
        slots.take(count).copied().collect()
    }

    /// Takes the first bytes away, packets or not. Says whether a slot has gone.
    fn consume(&mut self, mut count: usize) -> bool {
        let mut gone = false;
        while count > 0
            && let Some(slot) = self.bufs.front_mut()
        {
            let chars = slot.unread().len().min(count);
            slot.offset += chars;
            count -= chars;
            if slot.unread().is_empty() {
                self.bufs.pop_front();
                gone = true;
            }
        }
        gone
    }

    /// A page that others may have too, if there is a slot for it.
    fn push_page(&mut self, page: Vec<u8>) {
        self.bufs.push_back(PipeBuffer {
            page,
            offset: 0,
            sort: Sort::Shared,
        });
    }
}

impl PipeBuffer {
    fn unread(&self) -> &[u8] {
        &self.page[self.offset..]
    }

    /// The same page in another pipe, up to `len` bytes of it.
    fn shared(&self, len: usize) -> PipeBuffer {
        let end = self.page.len().min(self.offset + len);
        PipeBuffer {
            page: self.page[..end].to_vec(),
            offset: self.offset,
            sort: match self.sort {
                Sort::Packet => Sort::Packet,
                Sort::Stream | Sort::Shared => Sort::Shared,
            },
        }
    }
}

/// Without a key, as these calls wake.
fn keyless(head: HeadId) -> Wake {
    Wake {
        head,
        key: EventMask::empty(),
        nr: Nr::One,
    }
}

fn number(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

impl<O: Observer> Kernel<'_, O> {
    /// One step of the call, up to where it would sleep.
    pub(super) fn splice(&mut self, caller: Caller, call: &mut Splicing, io: &mut Io) -> Attempt {
        let from = self.pipe_of(caller.file);
        let to = self.pipe_of(call.out.1);
        match (call.stage, from, to) {
            (Stage::In, Some(pipe), _) => self.ipipe_prep(caller.task, call, pipe),
            (Stage::Out, _, Some(pipe)) => self.opipe_prep(caller.task, call, pipe),
            (Stage::Move, Some(from), Some(to)) if call.is_between_pipes() => {
                self.splice_pipes(caller.task, call, (from, to), io)
            }
            (Stage::Move, _, Some(to))
                if matches!(call.how, How::FromFile { .. } | How::FromMemory(_)) =>
            {
                self.splice_to_pipe(caller, call, to, io)
            }
            (Stage::Move, Some(from), _) => self.splice_from_pipe(caller.task, call, from, io),
            _ => unreachable!("the call was checked"),
        }
    }

    /// Makes sure that there is something, or that there will not be.
    fn ipipe_prep(&mut self, task: TaskId, call: &mut Splicing, pipe: PipeId) -> Attempt {
        let sigpending = self.m.task(task).sigpending;
        let pipe = &self.m.pipes[pipe];
        if pipe.bufs.is_empty() {
            if pipe.mutex.is_some() {
                return Attempt::Locked;
            }
            match (sigpending, pipe.writers, call.nonblock) {
                (true, _, _) => return Attempt::fail(ERESTARTSYS),
                (_, 0, _) => {}
                (_, _, true) => return Attempt::fail(Errno::EAGAIN),
                (_, _, false) => return Attempt::Sleep,
            }
        }
        call.stage = Stage::Out;
        Attempt::More
    }

    /// Makes sure that there is room.
    fn opipe_prep(&mut self, task: TaskId, call: &mut Splicing, pipe: PipeId) -> Attempt {
        let pipe = &self.m.pipes[pipe];
        if pipe.full() {
            if pipe.mutex.is_some() {
                return Attempt::Locked;
            }
            return self.no_room(task, call, pipe.readers);
        }
        call.stage = Stage::Move;
        Attempt::More
    }

    /// What it means that a pipe takes nothing.
    fn no_room(&mut self, task: TaskId, call: &Splicing, readers: u32) -> Attempt {
        if readers == 0 {
            return self.nobody_reads(task);
        }
        if call.nonblock {
            return Attempt::fail(Errno::EAGAIN);
        }
        if self.m.task(task).sigpending {
            return Attempt::fail(ERESTARTSYS);
        }
        Attempt::Sleep
    }

    fn nobody_reads(&mut self, task: TaskId) -> Attempt {
        if self.m.is_signal_held_up(task) {
            return Attempt::Locked;
        }
        self.send_sigpipe(task);
        Attempt::fail(Errno::EPIPE)
    }

    /// `splice_pipe_to_pipe` and `link_pipe`, with both locks.
    fn splice_pipes(
        &mut self,
        task: TaskId,
        call: &mut Splicing,
        (from, to): (PipeId, PipeId),
        io: &mut Io,
    ) -> Attempt {
        if self.m.pipes[from].mutex.is_some() || self.m.pipes[to].mutex.is_some() {
            return Attempt::Locked;
        }
        if self.m.pipes[to].readers == 0 {
            return self.nobody_reads(task);
        }
        let most = usize::try_from(call.len).unwrap_or(usize::MAX);
        let room = self.m.pipes[to].free_slots();
        let moves = matches!(call.how, How::Pipes);
        let (mut taken, mut gone, mut new) = (0, 0, Vec::new());
        for slot in self.m.pipes[from].bufs.iter().take(room) {
            let len = slot.unread().len();
            if taken == most {
                break;
            }
            if moves && len <= most - taken {
                // The whole slot moves over, and may be joined there as it was here.
                new.push(slot.clone());
                gone += 1;
            } else {
                new.push(slot.shared(most - taken));
            }
            taken += len.min(most - taken);
        }
        let source = &self.m.pipes[from];
        let at_end = source.bufs.is_empty() && source.writers == 0;
        if taken == 0 && moves && !at_end {
            // Somebody was faster.
            if call.nonblock {
                return Attempt::fail(Errno::EAGAIN);
            }
            call.stage = Stage::In;
            return Attempt::More;
        }
        let source = &mut self.m.pipes[from];
        if moves {
            let whole: usize = source
                .bufs
                .drain(..gone)
                .map(|slot| slot.unread().len())
                .sum();
            source.consume(taken - whole);
        }
        let wr_wait = source.wr_wait;
        let target = &mut self.m.pipes[to];
        target.bufs.extend(new);
        if taken > 0 {
            io.wakes.push(keyless(target.rd_wait));
        }
        if gone > 0 {
            io.wakes.push(keyless(wr_wait));
        }
        Attempt::Over(Ok(number(taken)))
    }

    /// `splice_file_to_pipe` and `vmsplice_to_pipe`
    fn splice_to_pipe(
        &mut self,
        caller: Caller,
        call: &mut Splicing,
        to: PipeId,
        io: &mut Io,
    ) -> Attempt {
        let pipe = &self.m.pipes[to];
        if pipe.mutex.is_some() {
            return Attempt::Locked;
        }
        if pipe.readers == 0 || pipe.full() {
            return self.no_room(caller.task, call, pipe.readers);
        }
        let room = self.m.pipes[to].free_slots();
        let most = usize::try_from(call.len).unwrap_or(usize::MAX);
        let most = most.min(room * PAGE_SIZE);
        let mut pages: Vec<Vec<u8>> = Vec::new();
        match &call.how {
            How::FromFile { pos, given } => {
                let kind = self.m.files[caller.file].kind;
                match kind.splice_read(self.m, *pos, most) {
                    Ok((first, bytes)) => {
                        let (head, rest) = bytes.split_at(bytes.len().min(PAGE_SIZE - first));
                        pages.extend((!head.is_empty()).then(|| head.to_vec()));
                        pages.extend(rest.chunks(PAGE_SIZE).map(<[u8]>::to_vec));
                        pages.truncate(room);
                        if !given {
                            let read: usize = pages.iter().map(Vec::len).sum();
                            self.m.files[caller.file].pos = pos + number(read);
                        }
                    }
                    Err(errno) => return Attempt::fail(errno),
                }
            }
            How::FromMemory(parts) => {
                let of_parts = parts.iter().flat_map(|part| part.chunks(PAGE_SIZE));
                pages.extend(of_parts.take(room).map(<[u8]>::to_vec));
            }
            How::Pipes | How::ToFile { .. } | How::Tee | How::ToMemory => {
                unreachable!("these have no memory or file to read from")
            }
        }
        let taken: usize = pages.iter().map(Vec::len).sum();
        let pipe = &mut self.m.pipes[to];
        pages.into_iter().for_each(|page| pipe.push_page(page));
        if taken > 0 {
            io.wakes.push(keyless(pipe.rd_wait));
        }
        Attempt::Over(Ok(number(taken)))
    }

    /// `__splice_from_pipe` and `iter_file_splice_write`
    fn splice_from_pipe(
        &mut self,
        task: TaskId,
        call: &mut Splicing,
        from: PipeId,
        io: &mut Io,
    ) -> Attempt {
        let sigpending = self.m.task(task).sigpending;
        let pipe = &self.m.pipes[from];
        if pipe.mutex.is_some() {
            return Attempt::Locked;
        }
        // Before anything else, lest a pipe that is never empty makes a task that cannot be killed.
        if sigpending {
            return Attempt::fail(ERESTARTSYS);
        }
        if pipe.bufs.is_empty() {
            return match (pipe.writers, call.nonblock) {
                (0, _) => Attempt::Over(Ok(0)),
                (_, true) => Attempt::fail(Errno::EAGAIN),
                (_, false) => Attempt::Sleep,
            };
        }
        let bytes = pipe.front(usize::try_from(call.len).unwrap_or(usize::MAX));
        if let How::ToFile { pos, given } = call.how {
            let kind = self.m.files[call.out.1].kind;
            if let Err(errno) = kind.splice_write(self.m, pos, &bytes) {
                return Attempt::fail(errno);
            }
            if !given {
                self.m.files[call.out.1].pos = pos + number(bytes.len());
            }
        }
        let pipe = &mut self.m.pipes[from];
        if pipe.consume(bytes.len()) {
            io.wakes.push(keyless(pipe.wr_wait));
        }
        Attempt::Over(Ok(number(bytes.len())))
    }

    /// What it sleeps for (`pipe_wait_readable`, `pipe_wait_writable`).
    pub(super) fn splice_awaited(&self, file: FileId, call: &Splicing) -> Awaited {
        let for_room = match call.stage {
            Stage::In => false,
            Stage::Out => true,
            Stage::Move => matches!(call.how, How::FromFile { .. } | How::FromMemory(_)),
        };
        let file = if for_room { call.out.1 } else { file };
        let pipe = self
            .pipe_of(file)
            .expect("only pipes have to be waited for");
        let pipe = &self.m.pipes[pipe];
        let (head, ready) = if for_room {
            (pipe.wr_wait, pipe.writable())
        } else {
            (pipe.rd_wait, pipe.readable())
        };
        Awaited {
            head,
            place: Place::Head,
            func: WakeFn::Autoremove,
            exclusive: false,
            ready,
            locked: false,
        }
    }
}

variant_is_number!(Stage);

impl Encode for Splicing {
    fn encode(&self, to: &mut Encoder<'_>) {
        let Splicing {
            out: (fd, file),
            len,
            flags,
            nonblock,
            how,
            stage,
        } = self;
        to.numbers([
            fd.number(to),
            file.number(to),
            *len,
            u64::from(*flags) << 1 | nonblock.number(to),
            stage.number(to),
        ]);
        match how {
            How::Pipes => to.byte(0),
            How::ToFile { pos, given } => to.numbers([1, *pos, given.number(to)]),
            How::FromFile { pos, given } => to.numbers([2, *pos, given.number(to)]),
            How::Tee => to.byte(3),
            How::FromMemory(parts) => {
                to.byte(4);
                parts.encode(to);
            }
            How::ToMemory => to.byte(5),
        }
    }
}
