//! A call as six words, and its outcome back from memory.
//!
//! Everything about a call that is not its number and six words stays on this side: where its input was
//! put, how much memory it was given, and how to read what it stored. The subject needs no idea of
//! any of it, and a new call needs a few lines here and nothing else.

use crate::abi::{
    Answer, Bytes, EpollEvent, EpollParams, Errno, EventMask, FcntlCmd, Fd, FdSet, IoctlArg, Out,
    OutPtr, PollFd, Ptr, Rlimit, Room, Select, SigSet, Syscall, TaskId, WaitStatus,
};
use crate::backend::LabError;

use super::board::{FROZEN, INPUT, OUTPUT};
use super::ffi::Board;

/// What output memory is filled with beforehand, so that one can see what a call stored.
pub(super) const PATTERN: u8 = 0xa5;

/// How many bytes of it are filled and looked at, however large the buffer is.
const WATCHED: u64 = 64 << 10;

/// `struct epoll_event` in memory: packed on x86-64.
const EVENT: u64 = EpollEvent::SIZE;

/// A call, ready to be made.
#[derive(Debug)]
pub(super) struct Encoded {
    pub(super) nr: i64,
    pub(super) args: [u64; 6],
    /// Whether the page behind the output has to be unmapped.
    pub(super) guarded: bool,
    /// Whether the frozen memory has to be frozen.
    pub(super) frozen: bool,
    pub(super) stored: Stored,
}

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
    addr: u64,
    /// What the call may believe to have.
    claimed: u64,
    /// How much of it is writable.
    room: u64,
    kind: Behind,
}

/// What is behind the pointer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Behind {
    /// Nothing at all.
    Nothing,
    /// The board's output.
    Output,
    /// The same, and then the guard page.
    Edge,
    /// The frozen memory.
    Frozen,
}

/// Who is who, as far as arguments need it.
pub(super) trait Pids {
    /// The real number for the argument of wait4(2), kill(2) or kcmp(2).
    fn real_pid(&self, pid: i32) -> i32;
    /// The real number of the caller.
    fn own_tid(&self) -> i32;
}

struct Encoder<'a> {
    board: Board,
    slot: usize,
    next: u64,
    guarded: bool,
    frozen: bool,
    pids: &'a dyn Pids,
}

/// Puts the input of `call` onto the board.
pub(super) fn encode(
    board: Board,
    slot: usize,
    call: Syscall,
    pids: &dyn Pids,
) -> Result<Encoded, LabError> {
    let mut encoder = Encoder {
        board,
        slot,
        next: board.input(slot),
        guarded: false,
        frozen: false,
        pids,
    };
    let (nr, args, stored) = encoder.call(call)?;
    Ok(Encoded {
        nr,
        args,
        guarded: encoder.guarded,
        frozen: encoder.frozen,
        stored,
    })
}

/// An int as the register holds it.
fn int(value: i32) -> u64 {
    i64::from(value).cast_unsigned()
}

/// The six words, the rest of them 0.
fn words<const N: usize>(given: [u64; N]) -> [u64; 6] {
    let mut six = [0; 6];
    six[..N].copy_from_slice(&given);
    six
}

type Parts = (i64, [u64; 6], Stored);

impl Encoder<'_> {
    /// The numbers are those of <asm/unistd.h>, one line for one call.
    fn call(&mut self, call: Syscall) -> Result<Parts, LabError> {
        use Stored::Nothing;
        let plain = |nr, args| Ok((nr, args, Nothing));
        match call {
            Syscall::EpollCreate { size } => plain(libc::SYS_epoll_create, words([int(size)])),
            Syscall::EpollCreate1 { flags } => {
                plain(libc::SYS_epoll_create1, words([flags.bits().into()]))
            }
            Syscall::EpollCtl {
                epfd,
                op,
                fd,
                event,
            } => {
                let event = self.input(event, |event| event_bytes(event).to_vec())?;
                plain(
                    libc::SYS_epoll_ctl,
                    words([int(epfd.0), int(op.0), int(fd.0), event]),
                )
            }
            Syscall::EpollWait {
                epfd,
                events,
                maxevents,
                timeout,
            } => {
                let (events, stored) = self.events(events, maxevents)?;
                let args = words([int(epfd.0), events, int(maxevents), int(timeout)]);
                Ok((libc::SYS_epoll_wait, args, stored))
            }
            Syscall::EpollPwait {
                epfd,
                events,
                maxevents,
                timeout,
                sigmask,
                sigsetsize,
            } => {
                let (events, stored) = self.events(events, maxevents)?;
                let sigmask = self.sigmask(sigmask)?;
                let args = [
                    int(epfd.0),
                    events,
                    int(maxevents),
                    int(timeout),
                    sigmask,
                    sigsetsize,
                ];
                Ok((libc::SYS_epoll_pwait, args, stored))
            }
            Syscall::EpollPwait2 {
                epfd,
                events,
                maxevents,
                timeout,
                sigmask,
                sigsetsize,
            } => {
                let (events, stored) = self.events(events, maxevents)?;
                let timeout = self.input(timeout, |t| pair_bytes(t.tv_sec, t.tv_nsec).to_vec())?;
                let sigmask = self.sigmask(sigmask)?;
                let args = [
                    int(epfd.0),
                    events,
                    int(maxevents),
                    timeout,
                    sigmask,
                    sigsetsize,
                ];
                Ok((libc::SYS_epoll_pwait2, args, stored))
            }
            Syscall::Poll { fds, timeout } => self.poll(fds, timeout),
            Syscall::Select(select) => {
                let timeout = select.timeout.map(|t| pair_bytes(t.tv_sec, t.tv_usec));
                self.select(libc::SYS_select, *select, timeout)
            }
            Syscall::Pselect6(select) => {
                let timeout = select.timeout.map(|t| pair_bytes(t.tv_sec, t.tv_nsec));
                self.select(libc::SYS_pselect6, *select, timeout)
            }
            Syscall::Pipe => self.pipe(libc::SYS_pipe, 0),
            Syscall::Pipe2 { flags } => self.pipe(libc::SYS_pipe2, flags.bits()),
            Syscall::Eventfd { initval } => plain(libc::SYS_eventfd, words([initval.into()])),
            Syscall::Eventfd2 { initval, flags } => plain(
                libc::SYS_eventfd2,
                words([initval.into(), flags.bits().into()]),
            ),
            Syscall::Read { fd, buf, count } => {
                let place = self.output(buf, count)?;
                let args = words([int(fd.0), place.addr, count]);
                Ok((libc::SYS_read, args, Stored::Bytes(place)))
            }
            Syscall::Write { fd, buf, count } => {
                let buf = self.bytes_to_write(buf, count)?;
                plain(libc::SYS_write, words([int(fd.0), buf, count]))
            }
            Syscall::Lseek { fd, offset, whence } => plain(
                libc::SYS_lseek,
                words([int(fd.0), offset.cast_unsigned(), int(whence)]),
            ),
            Syscall::Openat {
                dirfd,
                pathname,
                flags,
                mode,
            } => {
                let pathname = self.c_string(&pathname)?;
                plain(
                    libc::SYS_openat,
                    words([int(dirfd.0), pathname, flags.bits().into(), mode.into()]),
                )
            }
            Syscall::Ioctl { fd, op, arg } => {
                let (arg, stored) = self.ioctl_arg(arg)?;
                Ok((libc::SYS_ioctl, words([int(fd.0), op.into(), arg]), stored))
            }
            Syscall::Close { fd } => plain(libc::SYS_close, words([int(fd.0)])),
            Syscall::CloseRange { first, last, flags } => plain(
                libc::SYS_close_range,
                words([first.into(), last.into(), flags.into()]),
            ),
            Syscall::Dup { oldfd } => plain(libc::SYS_dup, words([int(oldfd.0)])),
            Syscall::Dup2 { oldfd, newfd } => {
                plain(libc::SYS_dup2, words([int(oldfd.0), int(newfd.0)]))
            }
            Syscall::Dup3 {
                oldfd,
                newfd,
                flags,
            } => plain(
                libc::SYS_dup3,
                words([int(oldfd.0), int(newfd.0), flags.bits().into()]),
            ),
            Syscall::Fcntl { fd, cmd } => {
                let (cmd, arg) = fcntl_words(cmd);
                plain(libc::SYS_fcntl, words([int(fd.0), int(cmd), arg]))
            }
            Syscall::KcmpFile {
                pid1,
                pid2,
                fd1,
                fd2,
            } => {
                const KCMP_FILE: u64 = 0;
                let (pid1, pid2) = (self.kcmp_pid(pid1), self.kcmp_pid(pid2));
                plain(
                    libc::SYS_kcmp,
                    words([pid1, pid2, KCMP_FILE, int(fd1.0), int(fd2.0)]),
                )
            }
            Syscall::KcmpEpollTfd {
                pid1,
                pid2,
                fd1,
                efd,
                tfd,
                toff,
            } => {
                const KCMP_EPOLL_TFD: u64 = 7;
                let (pid1, pid2) = (self.kcmp_pid(pid1), self.kcmp_pid(pid2));
                let slot = [efd.0.cast_unsigned(), tfd.0.cast_unsigned(), toff];
                let slot = self.put(&slot.map(u32::to_ne_bytes).concat())?;
                plain(
                    libc::SYS_kcmp,
                    words([pid1, pid2, KCMP_EPOLL_TFD, int(fd1.0), slot]),
                )
            }
            Syscall::Fork => plain(libc::SYS_fork, words([])),
            Syscall::Execve => self.execve(),
            Syscall::ExitGroup { status } => plain(libc::SYS_exit_group, words([int(status)])),
            Syscall::Wait4 { pid, options } => {
                if pid < -1 {
                    return Err(LabError::new(
                        "wait4 for a process group is not part of the lab",
                    ));
                }
                let status = self.put(&[0; 4])?;
                let pid = self.pids.real_pid(pid);
                let args = words([int(pid), status, int(options), 0]);
                Ok((libc::SYS_wait4, args, Stored::Status(status)))
            }
            Syscall::Kill { pid } => {
                if pid <= 0 {
                    return Err(LabError::new(
                        "kill of a group or of everybody would leave the lab: name a task",
                    ));
                }
                let pid = self.pids.real_pid(pid);
                plain(libc::SYS_kill, words([int(pid), int(libc::SIGKILL)]))
            }
            Syscall::PrlimitNofile { new_limit } => self.prlimit(new_limit),
            Syscall::Setresuid { uid } => plain(libc::SYS_setresuid, words([uid.into(); 3])),
            Syscall::Fdinfo { .. } => Err(LabError::new("fdinfo is no system call")),
        }
    }

    /// Puts input where the call can read it.
    fn put(&mut self, bytes: &[u8]) -> Result<u64, LabError> {
        let addr = self.next;
        let end = addr + bytes.len() as u64;
        if end > self.board.input(self.slot) + INPUT {
            return Err(LabError::new("the lab passes at most 1 MiB to a call"));
        }
        self.board.write(addr, bytes);
        self.next = end.next_multiple_of(16);
        Ok(addr)
    }

    fn input<T>(&mut self, ptr: Ptr<T>, bytes: impl FnOnce(T) -> Vec<u8>) -> Result<u64, LabError> {
        match ptr {
            Ptr::To(value) => self.put(&bytes(value)),
            Ptr::Addr(addr) => nowhere(addr),
        }
    }

    /// Memory for `claimed` bytes of output, or what else the pointer is.
    fn output(&mut self, ptr: OutPtr, claimed: u64) -> Result<Place, LabError> {
        let place = match ptr {
            OutPtr::Addr(addr) => Place {
                addr: nowhere(addr)?,
                claimed,
                room: 0,
                kind: Behind::Nothing,
            },
            OutPtr::Memory(Room::Plenty) => Place {
                addr: self.board.output(self.slot),
                claimed,
                room: claimed.min(OUTPUT),
                // Too large for the lab, but only few calls use all that they are given.
                kind: if claimed > OUTPUT {
                    Behind::Edge
                } else {
                    Behind::Output
                },
            },
            OutPtr::Memory(Room::Bytes(room)) => {
                if room > OUTPUT {
                    return Err(LabError::new("@room() has at most 1 MiB"));
                }
                Place {
                    addr: self.board.guard(self.slot) - room,
                    claimed,
                    room,
                    kind: Behind::Edge,
                }
            }
            OutPtr::Memory(Room::Frozen) => {
                if claimed > FROZEN {
                    return Err(LabError::new("@frozen has at most 16 KiB"));
                }
                Place {
                    addr: self.board.frozen(self.slot),
                    claimed,
                    room: FROZEN,
                    kind: Behind::Frozen,
                }
            }
        };
        self.guarded |= place.kind == Behind::Edge;
        self.frozen |= place.kind == Behind::Frozen;
        if matches!(place.kind, Behind::Output | Behind::Edge) {
            let len = place.room.min(WATCHED);
            self.board.fill(place.addr, len as usize, PATTERN);
        }
        Ok(place)
    }

    fn events(&mut self, ptr: OutPtr, maxevents: i32) -> Result<(u64, Stored), LabError> {
        let claimed = u64::try_from(maxevents).unwrap_or(0) * EVENT;
        let place = self.output(ptr, claimed)?;
        Ok((place.addr, Stored::Events(place)))
    }

    fn sigmask(&mut self, mask: Ptr<SigSet>) -> Result<u64, LabError> {
        self.input(mask, |mask| mask.0.to_ne_bytes().to_vec())
    }

    fn c_string(&mut self, text: &str) -> Result<u64, LabError> {
        self.put(&[text.as_bytes(), b"\0"].concat())
    }

    fn bytes_to_write(&mut self, buf: Ptr<Bytes>, count: u64) -> Result<u64, LabError> {
        let Ptr::To(bytes) = buf else {
            return self.input(buf, |bytes| bytes.to_vec());
        };
        let addr = self.put(&bytes)?;
        // A count beyond the string reads on: into zeros, as far as the lab has memory.
        let len = bytes.len() as u64;
        let more = count.min(INPUT).saturating_sub(len) as usize;
        self.board.fill(addr + len, more, 0);
        Ok(addr)
    }

    fn poll(&mut self, fds: Vec<PollFd>, timeout: i32) -> Result<Parts, LabError> {
        let mut bytes = Vec::with_capacity(fds.len() * 8);
        for one in &fds {
            bytes.extend(one.fd.0.to_ne_bytes());
            bytes.extend((one.events.bits() as u16).to_ne_bytes());
            bytes.extend([0; 2]);
        }
        let addr = self.put(&bytes)?;
        let args = words([addr, fds.len() as u64, int(timeout)]);
        Ok((libc::SYS_poll, args, Stored::Poll(addr, fds)))
    }

    fn select<T>(
        &mut self,
        nr: i64,
        select: Select<T>,
        timeout: Option<[u8; 16]>,
    ) -> Result<Parts, LabError> {
        let mut sets = [None; 3];
        let given = [select.readfds, select.writefds, select.exceptfds];
        for (to, set) in sets.iter_mut().zip(given) {
            if let Some(set) = set {
                // The kernel looks at as many bits as the table of open files has, whatever the size of fd_set.
                let mut bytes = [0; 8192];
                for fd in set.iter() {
                    bytes[fd.0 as usize / 8] |= 1 << (fd.0 % 8);
                }
                *to = Some(self.put(&bytes)?);
            }
        }
        let timeout = match timeout {
            Some(bytes) => self.put(&bytes)?,
            None => 0,
        };
        let [read, write, except] = sets.map(Option::unwrap_or_default);
        let args = words([int(select.nfds), read, write, except, timeout]);
        Ok((nr, args, Stored::Sets(sets)))
    }

    fn pipe(&mut self, nr: i64, flags: u32) -> Result<Parts, LabError> {
        let addr = self.put(&[PATTERN; 8])?;
        Ok((nr, words([addr, flags.into()]), Stored::Pipe(addr)))
    }

    fn ioctl_arg(&mut self, arg: IoctlArg) -> Result<(u64, Stored), LabError> {
        Ok(match arg {
            IoctlArg::None => (0, Stored::Nothing),
            IoctlArg::Int(ptr) => {
                let addr = self.input(ptr, |value| value.to_ne_bytes().to_vec())?;
                (addr, Stored::Nothing)
            }
            IoctlArg::SetParams(ptr) => {
                let addr = self.input(ptr, |params| params_bytes(params).to_vec())?;
                (addr, Stored::Nothing)
            }
            IoctlArg::IntOut(ptr) => {
                let place = self.output(ptr, 4)?;
                (place.addr, Stored::Int(place))
            }
            IoctlArg::GetParams(ptr) => {
                let place = self.output(ptr, 8)?;
                (place.addr, Stored::Params(place))
            }
        })
    }

    fn execve(&mut self) -> Result<Parts, LabError> {
        let path = self.c_string("/bin/sleep")?;
        let name = self.c_string("sleep")?;
        let how_long = self.c_string("infinity")?;
        let argv = self.put(&[name, how_long, 0].map(u64::to_ne_bytes).concat())?;
        let args = words([path, argv, 0]);
        Ok((libc::SYS_execve, args, Stored::Nothing))
    }

    /// As strace shows the call: one of the two pointers is `NULL`.
    fn prlimit(&mut self, new_limit: Option<Rlimit>) -> Result<Parts, LabError> {
        let resource = u64::from(libc::RLIMIT_NOFILE);
        let nr = libc::SYS_prlimit64;
        match new_limit {
            Some(new) => {
                let new = self.put(&[new.rlim_cur, new.rlim_max].map(u64::to_ne_bytes).concat())?;
                Ok((nr, words([0, resource, new, 0]), Stored::Nothing))
            }
            None => {
                let old = self.put(&[0; 16])?;
                Ok((nr, words([0, resource, 0, old]), Stored::Rlimit(old)))
            }
        }
    }

    fn kcmp_pid(&self, pid: i32) -> u64 {
        int(match pid {
            0 => self.pids.own_tid(),
            pid => self.pids.real_pid(pid),
        })
    }
}

fn event_bytes(event: EpollEvent) -> [u8; EVENT as usize] {
    let mut bytes = [0; EVENT as usize];
    bytes[..4].copy_from_slice(&event.events.bits().to_ne_bytes());
    bytes[EVENT as usize - 8..].copy_from_slice(&event.data.to_ne_bytes());
    bytes
}

fn pair_bytes(first: i64, second: i64) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&first.to_ne_bytes());
    bytes[8..].copy_from_slice(&second.to_ne_bytes());
    bytes
}

fn params_bytes(params: EpollParams) -> [u8; 8] {
    let mut bytes = [0; 8];
    bytes[..4].copy_from_slice(&params.busy_poll_usecs.to_ne_bytes());
    bytes[4..6].copy_from_slice(&params.busy_poll_budget.to_ne_bytes());
    bytes[6] = params.prefer_busy_poll;
    bytes[7] = params.pad;
    bytes
}

fn fcntl_words(cmd: FcntlCmd) -> (i32, u64) {
    match cmd {
        FcntlCmd::Dupfd(from) => (libc::F_DUPFD, int(from)),
        FcntlCmd::DupfdCloexec(from) => (libc::F_DUPFD_CLOEXEC, int(from)),
        FcntlCmd::Getfd => (libc::F_GETFD, 0),
        FcntlCmd::Setfd(flags) => (libc::F_SETFD, flags.bits().into()),
        FcntlCmd::Getfl => (libc::F_GETFL, 0),
        FcntlCmd::Setfl(flags) => (libc::F_SETFL, flags.bits().into()),
        FcntlCmd::SetpipeSz(size) => (libc::F_SETPIPE_SZ, int(size)),
        FcntlCmd::GetpipeSz => (libc::F_GETPIPE_SZ, 0),
    }
}

/// An address with nothing behind it, now and in every process of the subject.
///
/// Below 64 KiB nothing can be mapped (`vm.mmap_min_addr`), in the upper half nothing but the kernel. Just
/// below the end of user space the stack is possible, though only without address randomisation; what is mapped
/// there in this process tells, because the subject is its copy.
fn nowhere(addr: u64) -> Result<u64, LabError> {
    const END: u64 = 0x7fff_ffff_f000;
    const LAST: u64 = END - (1 << 20);
    let free = match addr {
        0..0x1_0000 => true,
        LAST..END => {
            let maps = std::fs::read_to_string("/proc/self/maps").unwrap_or_default();
            !maps.is_empty()
                && maps
                    .lines()
                    .filter_map(end_of_mapping)
                    .all(|end| end <= addr)
        }
        _ => addr >= END,
    };
    if free {
        Ok(addr)
    } else {
        Err(LabError::new(format!(
            "address {addr:#x} may be mapped: on Linux the lab accepts those below 0x10000 and from {LAST:#x} on"
        )))
    }
}

/// "7ffe1000-7ffe2000 rw-p ..."; the vsyscall page lies in the kernel's half and does not count.
fn end_of_mapping(line: &str) -> Option<u64> {
    let end = line.split_once('-')?.1.split_once(' ')?.0;
    u64::from_str_radix(end, 16)
        .ok()
        .filter(|end| *end < 1 << 47)
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
                    signal => WaitStatus::Signaled(signal),
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
