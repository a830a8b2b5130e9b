//! What a call stored, read back from memory.
//!
//! Output memory is filled with a pattern before the call, so that the lab sees two things that no return
//! value tells: that the kernel wrote nothing beyond the events it reported, and that a call which failed
//! in the middle of an entry stored half of it.

use crate::abi::{
    Answer, Bytes, EpollEvent, EpollParams, Errno, EventMask, Fd, FdSet, Out, PollFd, Rlimit,
    Signal, TaskId, WaitStatus,
};
use crate::backend::LabError;

use super::board::OUTPUT;
use super::ffi::Board;

/// What output memory is filled with beforehand, so that one can see what a call stored.
pub(super) const PATTERN: u8 = 0xa5;

/// How many bytes of it are filled and looked at, however large the buffer is.
pub(super) const WATCHED: u64 = 64 << 10;

/// `struct epoll_event` in memory: packed on x86-64.
pub(super) const EVENT: u64 = EpollEvent::SIZE;

/// What the call stores on success, and where.
#[derive(Debug)]
pub(super) enum Stored {
    Nothing,
    Events(Place),
    Bytes(Place),
    Int(Place),
    Params(Place),
    Pipe(u64),
    Poll(u64, Vec<PollFd>),
    Sets([Option<u64>; 3]),
    Status(u64),
    Rlimit(u64),
}

/// The memory behind an output pointer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Place {
    pub(super) addr: u64,
    /// What the call may believe to have.
    pub(super) claimed: u64,
    /// How much of it is writable.
    pub(super) room: u64,
    pub(super) kind: Behind,
}

/// What is behind the pointer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Behind {
    /// Nothing at all.
    Nothing,
    /// The board's output.
    Output,
    /// The same, and then the guard page.
    Edge,
    /// The frozen memory.
    Frozen,
}

/// What a call has to say, once it ended.
pub(super) struct Outcome {
    /// As the kernel returned it: an error is negative.
    pub(super) ret: i64,
    /// Whether frozen memory can be looked at.
    pub(super) thawed: bool,
}

impl Stored {
    /// Reads from the board what the call stored.
    pub(super) fn answer(
        self,
        board: Board,
        outcome: Outcome,
        lab_pid: impl FnOnce(i64) -> Option<TaskId>,
    ) -> Result<Answer, LabError> {
        let Outcome { ret, thawed } = outcome;
        if (-4095..0).contains(&ret) {
            let errno = Errno((-ret) as i32);
            if let Stored::Events(place) = self
                && errno == Errno::EFAULT
                && place.kind == Behind::Edge
            {
                return Ok(Answer::Failed(errno, place.torn(board)));
            }
            return Ok(Answer::err(errno));
        }
        let out = match self {
            Stored::Nothing => Out::None,
            Stored::Events(place) => Out::Events(place.events(board, ret as u64, thawed)?),
            Stored::Bytes(place) => Out::Bytes(place.bytes(board, ret as u64)?),
            Stored::Int(place) => Out::Int(i32::from_ne_bytes(load(board, place.addr))),
            Stored::Params(place) => {
                let [a, b, c, d, e, f, prefer_busy_poll, pad] = load(board, place.addr);
                Out::Params(EpollParams {
                    busy_poll_usecs: u32::from_ne_bytes([a, b, c, d]),
                    busy_poll_budget: u16::from_ne_bytes([e, f]),
                    prefer_busy_poll,
                    pad,
                })
            }
            Stored::Pipe(addr) => {
                let fd = |addr| Fd(i32::from_ne_bytes(load(board, addr)));
                Out::Pipe(fd(addr), fd(addr + 4))
            }
            Stored::Poll(addr, mut fds) => {
                for (one, addr) in fds.iter_mut().zip((addr..).step_by(8)) {
                    let revents = u16::from_ne_bytes(load(board, addr + 6));
                    one.revents = EventMask::from_bits_retain(revents.into());
                }
                Out::PollFds(fds)
            }
            Stored::Sets(addrs) => Out::FdSets(Box::new(
                addrs.map(|addr| addr.map(|addr| fd_set(board, addr))),
            )),
            Stored::Status(addr) if ret > 0 => {
                let status = i32::from_ne_bytes(load(board, addr));
                let Some(task) = lab_pid(ret) else {
                    return Err(LabError::new(format!("wait4 reaped {ret}, a stranger")));
                };
                let status = match status & 0x7f {
                    0 => WaitStatus::Exited((status >> 8) & 0xff),
                    signal => WaitStatus::Signaled(Signal(signal)),
                };
                return Ok(Answer::Done(task.pid().into(), Out::Status(status)));
            }
            Stored::Status(_) => Out::None,
            Stored::Rlimit(addr) => Out::Rlimit(Rlimit {
                rlim_cur: u64::from_ne_bytes(load(board, addr)),
                rlim_max: u64::from_ne_bytes(load(board, addr + 8)),
            }),
        };
        Ok(Answer::Done(ret, out))
    }
}

fn load<const N: usize>(board: Board, addr: u64) -> [u8; N] {
    let mut bytes = [0; N];
    board.read(addr, &mut bytes);
    bytes
}

fn fd_set(board: Board, addr: u64) -> FdSet {
    let bytes: [u8; FdSet::SIZE as usize / 8] = load(board, addr);
    let contains = |fd: &i32| bytes[*fd as usize / 8] & (1 << (fd % 8)) != 0;
    (0..FdSet::SIZE).filter(contains).map(Fd).collect()
}

impl Place {
    /// The events, after a look at what must not have changed.
    fn events(self, board: Board, count: u64, thawed: bool) -> Result<Vec<EpollEvent>, LabError> {
        self.too_small(count * EVENT)?;
        if count * EVENT > self.room {
            return Err(LabError::new(format!(
                "the kernel reports {count} events, which is more than there was room for"
            )));
        }
        let one = |n: u64| {
            let bytes: [u8; EVENT as usize] = load(board, self.addr + n * EVENT);
            let (events, data) = (bytes.first_chunk(), bytes.last_chunk());
            EpollEvent::new(
                EventMask::from_bits_retain(events.map_or(0, |b| u32::from_ne_bytes(*b))),
                data.map_or(0, |b| u64::from_ne_bytes(*b)),
            )
        };
        let events = (0..count).map(one).collect();
        // Frozen memory has its pattern since the thaw; before that it has no memory.
        if self.kind != Behind::Frozen || thawed {
            self.rest_untouched(board, count)?;
        }
        Ok(events)
    }

    /// Only the returned entries are written. The next one may be torn, if it did not fit.
    fn rest_untouched(self, board: Board, count: u64) -> Result<(), LabError> {
        let end = self.room.min(self.claimed).min(WATCHED);
        let torn = (count + 1) * EVENT > self.room;
        let start = count * EVENT + if torn { 4 } else { 0 };
        if start >= end {
            return Ok(());
        }
        let mut rest = vec![0; (end - start) as usize];
        board.read(self.addr + start, &mut rest);
        match rest.iter().position(|byte| *byte != PATTERN) {
            None => Ok(()),
            Some(at) => Err(LabError::new(format!(
                "the kernel returned {count} events but also wrote to byte {} of the array",
                start + at as u64
            ))),
        }
    }

    /// What an `EFAULT` in the middle of the first entry left behind.
    fn torn(self, board: Board) -> Out {
        if !(4..EVENT).contains(&self.room) {
            return Out::None;
        }
        let mask: [u8; 4] = load(board, self.addr);
        if mask == [PATTERN; 4] {
            return Out::None;
        }
        Out::TornEvent(EventMask::from_bits_retain(u32::from_ne_bytes(mask)))
    }

    /// Whether the lab's buffer, and not the one that the scenario describes, may have run out.
    fn too_small(self, used: u64) -> Result<(), LabError> {
        let ours = self.kind == Behind::Edge && self.room == OUTPUT && self.claimed > OUTPUT;
        if ours && used + EVENT > OUTPUT {
            return Err(LabError::new(
                "the lab's buffer of 1 MiB is too small for this call",
            ));
        }
        Ok(())
    }

    fn bytes(self, board: Board, count: u64) -> Result<Bytes, LabError> {
        self.too_small(count)?;
        if count > self.room {
            return Err(LabError::new(format!(
                "the kernel reports {count} bytes, which is more than there was room for"
            )));
        }
        if count <= 24 {
            let mut bytes = [0; 24];
            let bytes = &mut bytes[..count as usize];
            board.read(self.addr, bytes);
            return Ok(Bytes::from(&*bytes));
        }
        let mut bytes = vec![0; count as usize];
        board.read(self.addr, &mut bytes);
        Ok(Bytes::from(bytes))
    }
}
