//! What a call stored, read back from memory.
//!
//! Output memory is filled with a pattern before the call, so that the lab sees two things that no return
//! value tells: that the kernel wrote nothing beyond the events it reported, and that a call which failed
//! in the middle of an entry stored half of it.

use std::net::{Ipv4Addr, SocketAddrV4};

use crate::abi::socket::Linger;
use crate::abi::{
    Answer, Bytes, EpollEvent, EpollParams, Errno, EventMask, Events, Fd, FdSet, InotifyEvent,
    InotifyMask, Itimerspec, Message, MsgFlags, Out, PollFd, Received, Rlimit, SaFlags, SigAction,
    SigHandler, SigInfo, SigSet, Signal, SockAddr, SockOpt, TaskId, Termios, Timespec, WaitStatus,
};
use crate::backend::LabError;

use super::board::OUTPUT;
use super::ffi::{self, Board};

/// What output memory is filled with beforehand, so that one can see what a call stored.
pub(super) const PATTERN: u8 = 0xa5;

/// How many bytes of it are filled and looked at, however large the buffer is.
pub(super) const WATCHED: u64 = 64 << 10;

/// `struct epoll_event` in memory: packed on x86-64.
pub(super) const EVENT: u64 = EpollEvent::SIZE;

/// `sizeof(sigset_t)`, `sizeof(struct sigaction)` and `sizeof(struct timespec)` of the kernel.
pub(super) const SIGSET: u64 = 8;
pub(super) const ACTION: u64 = 32;
pub(super) const TIMESPEC: u64 = 16;

/// What stands where the address of a handler would.
pub(super) const SIG_DFL: u64 = 0;
pub(super) const SIG_IGN: u64 = 1;

/// What the call stores on success, and where.
#[derive(Debug)]
pub(super) enum Stored {
    Nothing,
    Events(Place),
    Bytes(Place),
    /// Of a signalfd.
    Signals(Place),
    /// Of an inotify instance.
    Inotify(Place),
    /// Of a child that changed, or of none; of one that has ended also that its number is free.
    Siginfo {
        place: Place,
        reaps: bool,
    },
    /// Of a datagram, which may be longer than what was stored (`MSG_TRUNC`).
    Message(Place),
    Int(Place),
    /// `struct msghdr`, the data and the control messages that it leads to.
    Msg {
        data: Place,
        header: u64,
        control: u64,
    },
    /// An int, or more (`SO_LINGER`).
    SockOpt(Place),
    /// The address of a socket.
    SockAddr(Name),
    /// A message and the address of who sent it.
    From(Place, Name),
    Params(Place),
    Termios(Place),
    /// Nothing where `NULL` was given.
    Itimerspec(Place),
    Pipe(u64),
    Poll(u64, Vec<PollFd>),
    Sets([Option<u64>; 3]),
    Status(u64),
    Rlimit(u64),
    SigSet(Place),
    SigAction {
        place: Place,
        /// Whether the scenario gave that action `SA_SIGINFO`.
        with_info: bool,
    },
    /// What is left of a sleep, on `EINTR`.
    Left(Place),
}

/// Where an address of a socket is stored, and its length.
#[derive(Clone, Copy, Debug)]
pub(super) struct Name {
    pub(super) addr: u64,
    pub(super) len: u64,
    /// The number that this lab's names begin with (`encode.rs`).
    pub(super) lab: i32,
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

/// Who is meant by the numbers that a call stored.
pub(super) trait Names {
    /// The child with this number.
    fn child(&mut self, pid: i64) -> Option<TaskId>;
    /// It was waited for.
    fn reaped(&mut self, pid: i64);
    /// What a signal tells: number, code, sender, its user, and a child's status.
    fn told(&self, info: [i32; 5]) -> SigInfo;
}

impl Stored {
    /// Reads from the board what the call stored.
    pub(super) fn answer(
        self,
        board: Board,
        outcome: Outcome,
        names: &mut impl Names,
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
            if let Stored::Left(place) = self
                && errno == Errno::EINTR
                && place.is_written(board)
            {
                let time = Out::Timespec(timespec(board, place.addr));
                return Ok(Answer::Failed(errno, time));
            }
            return Ok(Answer::err(errno));
        }
        let out = match self {
            Stored::Nothing | Stored::Left(_) => Out::None,
            Stored::Events(place) => Out::Events(place.events(board, ret as u64, thawed)?),
            Stored::Bytes(place) => Out::Bytes(place.bytes(board, ret as u64)?),
            Stored::Signals(place) => {
                let bytes = place.bytes(board, ret as u64)?;
                let signals = bytes.chunks_exact(SigInfo::SIZE as usize);
                Out::Signals(signals.map(|one| names.told(siginfo(one))).collect())
            }
            Stored::Inotify(place) => Out::Inotify(events(&place.bytes(board, ret as u64)?)),
            Stored::Siginfo { place, .. } if place.kind == Behind::Nothing => Out::None,
            Stored::Siginfo { place, reaps } => {
                let info = [0, 8, 16, 20, 24].map(|at| place.addr + at);
                let [signo, code, pid, uid, status] =
                    info.map(|addr| i32::from_ne_bytes(load(board, addr)));
                if signo == 0 {
                    return Ok(Answer::ret(ret));
                }
                let info = names.told([signo, code, pid, uid, status]);
                if reaps && matches!(code, libc::CLD_EXITED | libc::CLD_KILLED | libc::CLD_DUMPED) {
                    names.reaped(pid.into());
                }
                Out::Siginfo(info)
            }
            Stored::Message(place) => {
                let count = (ret as u64).min(place.claimed);
                Out::Bytes(place.bytes(board, count)?)
            }
            Stored::From(place, name) => {
                let count = (ret as u64).min(place.claimed);
                let from = name.sockaddr(board)?.map(Box::new);
                Out::From(Box::new((place.bytes(board, count)?, from)))
            }
            Stored::SockAddr(name) => match name.sockaddr(board)? {
                Some(addr) => Out::SockAddr(Box::new(addr)),
                None => return Err(LabError::new("a socket's address has no family")),
            },
            Stored::Msg {
                data,
                header,
                control,
            } => {
                let count = (ret as u64).min(data.claimed);
                let length = u64::from_ne_bytes(load(board, header + 40));
                let flags = u32::from_ne_bytes(load(board, header + 48));
                Out::Message(Box::new(Received {
                    bytes: data.bytes(board, count)?,
                    fds: received_fds(board, control, length)?,
                    flags: MsgFlags::from_bits_retain(flags),
                }))
            }
            Stored::SockOpt(place) => {
                let [first, second] =
                    [0, 4].map(|at| i32::from_ne_bytes(load(board, place.addr + at)));
                Out::SockOpt(match place.claimed {
                    4 => SockOpt::Int(first),
                    _ => SockOpt::Linger(Linger {
                        onoff: first,
                        seconds: second,
                    }),
                })
            }
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
            Stored::Termios(place) => {
                let bytes: [u8; Termios::SIZE as usize] = load(board, place.addr);
                let termios = Termios::from_bytes(&bytes).ok_or_else(|| {
                    LabError::new("the terminal has other control characters than a new one")
                })?;
                Out::Termios(Box::new(termios))
            }
            Stored::Itimerspec(place) if place.kind == Behind::Nothing => Out::None,
            Stored::Itimerspec(place) => Out::Itimerspec(Box::new(Itimerspec {
                it_interval: timespec(board, place.addr),
                it_value: timespec(board, place.addr + 16),
            })),
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
                let Some(task) = names.child(ret) else {
                    return Err(LabError::new(format!("wait4 reaped {ret}, a stranger")));
                };
                let high = (status >> 8) & 0xff;
                let status = match status & 0x7f {
                    0 => WaitStatus::Exited(high),
                    0x7f if high == 0xff => WaitStatus::Continued,
                    0x7f => WaitStatus::Stopped(Signal(high)),
                    signal => WaitStatus::Signaled(Signal(signal)),
                };
                if matches!(status, WaitStatus::Exited(_) | WaitStatus::Signaled(_)) {
                    names.reaped(ret);
                }
                return Ok(Answer::Done(task.pid().into(), Out::Status(status)));
            }
            Stored::Status(_) => Out::None,
            Stored::Rlimit(addr) => Out::Rlimit(Rlimit {
                rlim_cur: u64::from_ne_bytes(load(board, addr)),
                rlim_max: u64::from_ne_bytes(load(board, addr + 8)),
            }),
            Stored::SigSet(place) if place.kind == Behind::Nothing => Out::None,
            Stored::SigSet(place) => {
                let mut set = [0; SIGSET as usize];
                board.read(place.addr, &mut set[..place.claimed as usize]);
                Out::SigSet(SigSet(u64::from_ne_bytes(set)))
            }
            Stored::SigAction { place, .. } if place.kind == Behind::Nothing => Out::None,
            Stored::SigAction { place, with_info } => {
                Out::SigAction(place.action(board, with_info)?)
            }
        };
        Ok(Answer::Done(ret, out))
    }
}

/// `ssi_signo`, `ssi_code`, `ssi_pid`, `ssi_uid` and `ssi_status` of a `struct signalfd_siginfo`.
fn siginfo(bytes: &[u8]) -> [i32; 5] {
    [0, 8, 12, 16, 40].map(|at| {
        let word = bytes[at..].first_chunk();
        word.map_or(0, |word| i32::from_ne_bytes(*word))
    })
}

/// One `struct inotify_event` after the other, without the cookies.
fn events(mut bytes: &[u8]) -> Vec<InotifyEvent> {
    let mut events = Vec::new();
    while let Some((fixed, rest)) = bytes.split_first_chunk::<16>() {
        let word = |at: usize| {
            fixed[at..]
                .first_chunk()
                .map_or(0, |word| u32::from_ne_bytes(*word))
        };
        let (name, rest) = rest.split_at((word(12) as usize).min(rest.len()));
        let end = name
            .iter()
            .position(|byte| *byte == 0)
            .unwrap_or(name.len());
        events.push(InotifyEvent {
            wd: word(0).cast_signed(),
            mask: InotifyMask::from_bits_retain(word(4)),
            name: String::from_utf8_lossy(&name[..end]).into(),
        });
        bytes = rest;
    }
    events
}

fn load<const N: usize>(board: Board, addr: u64) -> [u8; N] {
    let mut bytes = [0; N];
    board.read(addr, &mut bytes);
    bytes
}

/// The descriptors in the one control message that there may be.
fn received_fds(board: Board, control: u64, length: u64) -> Result<Vec<Fd>, LabError> {
    const HEADER: u64 = Message::HEADER as u64;
    if length == 0 {
        return Ok(Vec::new());
    }
    let all = u64::from_ne_bytes(load(board, control));
    let kind = [8, 12].map(|at| i32::from_ne_bytes(load(board, control + at)));
    if kind != [libc::SOL_SOCKET, libc::SCM_RIGHTS] || !(HEADER..=length).contains(&all) {
        return Err(LabError::new(format!(
            "the kernel stored a control message that the lab does not know: {kind:?}"
        )));
    }
    let fds = (HEADER..all).step_by(4);
    Ok(fds
        .map(|at| Fd(i32::from_ne_bytes(load(board, control + at))))
        .collect())
}

fn fd_set(board: Board, addr: u64) -> FdSet {
    let bytes: [u8; FdSet::SIZE as usize / 8] = load(board, addr);
    let contains = |fd: &i32| bytes[*fd as usize / 8] & (1 << (fd % 8)) != 0;
    (0..FdSet::SIZE).filter(contains).map(Fd).collect()
}

fn timespec(board: Board, addr: u64) -> Timespec {
    Timespec {
        tv_sec: i64::from_ne_bytes(load(board, addr)),
        tv_nsec: i64::from_ne_bytes(load(board, addr + 8)),
    }
}

impl Name {
    /// What was stored; of a sender without a name nothing is.
    fn sockaddr(self, board: Board) -> Result<Option<SockAddr>, LabError> {
        let len = u32::from_ne_bytes(load(board, self.len)) as usize;
        if len == 0 {
            return Ok(None);
        }
        let bytes: [u8; SockAddr::STORAGE as usize] = load(board, self.addr);
        let strange = || {
            LabError::new(format!(
                "the kernel tells an address that the lab does not know: {bytes:?}"
            ))
        };
        let (family, rest) = bytes[..len.min(bytes.len())]
            .split_at_checked(2)
            .ok_or_else(strange)?;
        let family = i32::from(u16::from_ne_bytes([family[0], family[1]]));
        Ok(Some(match (family, rest) {
            (libc::AF_UNIX, []) => SockAddr::Unnamed,
            (libc::AF_UNIX, [0, name @ ..]) => {
                let own = name.strip_prefix(&self.lab.to_ne_bytes());
                SockAddr::Abstract(own.unwrap_or(name).into())
            }
            (libc::AF_INET, [p, q, a, b, c, d, ..]) => {
                let port = u16::from_be_bytes([*p, *q]);
                SockAddr::Inet(SocketAddrV4::new(Ipv4Addr::new(*a, *b, *c, *d), port))
            }
            _ => return Err(strange()),
        }))
    }
}

impl Place {
    /// Whether a call that succeeds only sometimes stores there has done so.
    fn is_written(self, board: Board) -> bool {
        self.kind != Behind::Nothing && load(board, self.addr) != [PATTERN; TIMESPEC as usize]
    }

    fn word(self, board: Board, index: u64) -> u64 {
        u64::from_ne_bytes(load(board, self.addr + 8 * index))
    }

    /// What rt_sigaction(2) tells of the action that was. The lab's own additions are no part of it.
    fn action(self, board: Board, with_info: bool) -> Result<SigAction, LabError> {
        let [handler, flags, _, mask] = [0, 1, 2, 3].map(|index| self.word(board, index));
        let mut flags = SaFlags::from_bits_retain(flags as u32).difference(SaFlags::RESTORER);
        flags.set(SaFlags::SIGINFO, with_info);
        let handler = match handler {
            SIG_DFL => SigHandler::Default,
            SIG_IGN => SigHandler::Ignore,
            handler if handler == ffi::handler() => SigHandler::Handle,
            other => {
                return Err(LabError::new(format!(
                    "there is a handler at {other:#x} that no scenario can install"
                )));
            }
        };
        Ok(SigAction {
            handler,
            flags,
            mask: SigSet(mask),
        })
    }

    /// The events, after a look at what must not have changed.
    fn events(self, board: Board, count: u64, thawed: bool) -> Result<Events, LabError> {
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
