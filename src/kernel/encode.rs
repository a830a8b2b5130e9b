//! A call as six words.
//!
//! Everything about a call that is not its number and six words stays on this side: where its input was
//! put, how much memory it was given, and how to read what it stored (`decode.rs`). The subject needs no
//! idea of any of it, and a new call needs a few lines here and nothing else.

use std::path::Path;
use std::sync::atomic::Ordering::SeqCst;

use crate::abi::{
    Bytes, EpollEvent, EpollParams, FcntlCmd, Fd, IoVec, IoctlArg, Itimerspec, Message, OutPtr,
    PollFd, Ptr, Rlimit, Room, SaFlags, Select, SigAction, SigHandler, SigSet, SigmaskHow, Signal,
    SockAddr, SockOpt, Syscall, Termios, Timespec,
};
use crate::backend::LabError;

use super::board::{FROZEN, INPUT, OUTPUT};
use super::decode::{
    ACTION, Behind, EVENT, Name, PATTERN, Place, SIG_DFL, SIG_IGN, SIGSET, Stored, TIMESPEC,
    WATCHED,
};
use super::ffi::{self, Board};
use super::tasks::NOBODY;

/// A call, ready to be made.
#[derive(Debug)]
pub(super) struct Encoded {
    pub(super) nr: i64,
    pub(super) args: [u64; 6],
    /// Whether the page behind the output has to be unmapped.
    pub(super) guarded: bool,
    /// Whether the frozen memory has to be frozen.
    pub(super) frozen: bool,
    pub(super) effect: Effect,
    pub(super) stored: Stored,
}

/// What the lab has to follow when the call has succeeded.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Effect {
    None,
    /// Another user.
    User,
    /// Other signals are blocked.
    Mask(SigmaskHow, SigSet),
    /// Another action for a signal.
    Action(Signal, SaFlags),
}

/// What a call depends on besides its arguments.
pub(super) trait Lookup {
    /// The real number for the argument of wait4(2), kill(2) or kcmp(2).
    fn real_pid(&self, pid: i32) -> i32;
    /// The real number of the caller.
    fn own_tid(&self) -> i32;
    /// A number that no other lab has at the same time.
    fn lab(&self) -> i32;
    /// Where so many bytes are that no call has given away yet, behind the start of a slot's.
    fn give(&self, size: u64) -> Result<u64, LabError>;
    /// The directory in which relative paths begin, if it is not that of the process.
    fn scratch(&self) -> Result<Option<&Path>, LabError>;
    /// Whether the scenario gave the action for this signal `SA_SIGINFO`.
    fn has_info(&self, signal: Signal) -> bool;
    /// Whether the scenario has no other thread in the caller's process.
    fn is_last_thread(&self) -> bool;
    /// What the file behind this number is read in, if not in bytes.
    fn records(&self, fd: Fd) -> Option<Records>;
}

/// What is read from a file whose bytes only few want to see.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Records {
    /// `struct signalfd_siginfo`
    Signals,
    /// `struct inotify_event`
    Inotify,
}

impl Records {
    /// By what `/proc/TID/fd/FD` says about it.
    pub(super) fn of(tid: i32, fd: Fd) -> Option<Records> {
        let link = std::fs::read_link(format!("/proc/{tid}/fd/{}", fd.0)).ok()?;
        match link.to_str()? {
            "anon_inode:[signalfd]" => Some(Records::Signals),
            "anon_inode:inotify" => Some(Records::Inotify),
            _ => None,
        }
    }
}

/// What is left of a slot's memory. One call has all of it, those of a race share it.
#[derive(Debug)]
pub(super) struct Memory {
    board: Board,
    slot: usize,
    input: u64,
    output: u64,
    /// Where the output ends: at the guard page, or at what lies in front of it already.
    end: u64,
    frozen: bool,
}

impl Memory {
    /// All of it.
    pub(super) fn of(board: Board, slot: usize) -> Memory {
        Memory {
            board,
            slot,
            input: board.input(slot),
            output: board.output(slot),
            end: board.guard(slot),
            frozen: false,
        }
    }

    /// Puts input where the call can read it.
    pub(super) fn put(&mut self, bytes: &[u8]) -> Result<u64, LabError> {
        let addr = self.input;
        let end = addr + bytes.len() as u64;
        if end > self.end_of_input() {
            return Err(LabError::new(
                "the lab passes at most 1 MiB to a call, or to all calls of a task in a race",
            ));
        }
        self.board.write(addr, bytes);
        self.input = end.next_multiple_of(16);
        Ok(addr)
    }

    /// Puts input where the calls of a race, which fill memory from its start, hardly ever come.
    pub(super) fn put_at_end(&mut self, bytes: &[u8]) -> Result<u64, LabError> {
        self.input = self.input.max(self.end_of_input() - bytes.len() as u64);
        self.put(bytes)
    }

    fn end_of_input(&self) -> u64 {
        self.board.input(self.slot) + INPUT
    }
}

struct Encoder<'a> {
    memory: &'a mut Memory,
    guarded: bool,
    frozen: bool,
    effect: Effect,
    lookup: &'a dyn Lookup,
}

/// Puts the input of `call` onto the board.
pub(super) fn encode(
    memory: &mut Memory,
    call: Syscall,
    lookup: &dyn Lookup,
) -> Result<Encoded, LabError> {
    let mut encoder = Encoder {
        memory,
        guarded: false,
        frozen: false,
        effect: Effect::None,
        lookup,
    };
    let (nr, args, stored) = encoder.call(call)?;
    Ok(Encoded {
        nr,
        args,
        guarded: encoder.guarded,
        frozen: encoder.frozen,
        effect: encoder.effect,
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
                let args = words([int(epfd.0), events, int(maxevents), int(timeout.0)]);
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
                    int(timeout.0),
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
            Syscall::Poll { fds, timeout } => {
                self.poll(libc::SYS_poll, fds, [int(timeout.0), 0, 0])
            }
            Syscall::Select(select) => {
                let timeout = select.timeout.map(|t| pair_bytes(t.tv_sec, t.tv_usec));
                self.select(libc::SYS_select, *select, timeout)
            }
            Syscall::Pselect6 {
                select,
                sigmask,
                sigsetsize,
            } => {
                let timeout = select.timeout.map(|t| pair_bytes(t.tv_sec, t.tv_nsec));
                let (nr, mut args, stored) = self.select(libc::SYS_pselect6, *select, timeout)?;
                if !sigmask.is_null() {
                    let sigmask = self.sigmask(sigmask)?;
                    args[5] = self.put(&[sigmask, sigsetsize].map(u64::to_ne_bytes).concat())?;
                }
                Ok((nr, args, stored))
            }
            Syscall::Ppoll {
                fds,
                timeout,
                sigmask,
                sigsetsize,
            } => {
                let timeout = match timeout {
                    Some(time) => self.put(&pair_bytes(time.tv_sec, time.tv_nsec))?,
                    None => 0,
                };
                let sigmask = self.sigmask(sigmask)?;
                self.poll(libc::SYS_ppoll, fds, [timeout, sigmask, sigsetsize])
            }
            Syscall::Pipe { pipefd } => self.pipe(libc::SYS_pipe, pipefd, 0),
            Syscall::Pipe2 { pipefd, flags } => self.pipe(libc::SYS_pipe2, pipefd, flags.bits()),
            Syscall::TimerfdCreate { clockid, flags } => plain(
                libc::SYS_timerfd_create,
                words([int(clockid), flags.bits().into()]),
            ),
            Syscall::TimerfdSettime {
                fd,
                flags,
                new_value,
                old_value,
            } => {
                let new_value = self.input(new_value, |new| itimerspec_bytes(new).to_vec())?;
                let old_value = self.output(old_value, ITIMERSPEC)?;
                let args = words([int(fd.0), flags.into(), new_value, old_value.addr]);
                let stored = Stored::Itimerspec(old_value);
                Ok((libc::SYS_timerfd_settime, args, stored))
            }
            Syscall::TimerfdGettime { fd, curr_value } => {
                let place = self.output(curr_value, ITIMERSPEC)?;
                let args = words([int(fd.0), place.addr]);
                Ok((libc::SYS_timerfd_gettime, args, Stored::Itimerspec(place)))
            }
            Syscall::Eventfd { initval } => plain(libc::SYS_eventfd, words([initval.into()])),
            Syscall::Eventfd2 { initval, flags } => plain(
                libc::SYS_eventfd2,
                words([initval.into(), flags.bits().into()]),
            ),
            Syscall::Signalfd {
                ufd,
                mask,
                sizemask,
            } => {
                let mask = self.sigmask(mask)?;
                plain(libc::SYS_signalfd, words([int(ufd.0), mask, sizemask]))
            }
            Syscall::Signalfd4 {
                ufd,
                mask,
                sizemask,
                flags,
            } => {
                let mask = self.sigmask(mask)?;
                let args = [int(ufd.0), mask, sizemask, flags.bits().into()];
                plain(libc::SYS_signalfd4, words(args))
            }
            Syscall::InotifyInit1 { flags } => {
                plain(libc::SYS_inotify_init1, words([flags.bits().into()]))
            }
            Syscall::InotifyAddWatch { fd, pathname, mask } => {
                let pathname = self.path(Fd::AT_FDCWD, &pathname)?;
                let args = [int(fd.0), pathname, mask.bits().into()];
                plain(libc::SYS_inotify_add_watch, words(args))
            }
            Syscall::InotifyRmWatch { fd, wd } => {
                plain(libc::SYS_inotify_rm_watch, words([int(fd.0), int(wd)]))
            }
            Syscall::Read { fd, buf, count } => {
                let place = self.output(buf, count)?;
                let args = words([int(fd.0), place.addr, count]);
                let stored = match self.lookup.records(fd) {
                    Some(Records::Signals) => Stored::Signals(place),
                    Some(Records::Inotify) => Stored::Inotify(place),
                    None => Stored::Bytes(place),
                };
                Ok((libc::SYS_read, args, stored))
            }
            Syscall::Write { fd, buf, count } => {
                let buf = self.bytes_to_write(buf, count)?;
                plain(libc::SYS_write, words([int(fd.0), buf, count]))
            }
            Syscall::Readv { fd, iov } => {
                // One behind the other, so that what was stored lies in one piece.
                let place = self.output(OutPtr::PLENTY, iov.iter().sum())?;
                let mut base = place.addr;
                let mut array = Vec::new();
                for len in &iov {
                    array.extend([base, *len].map(u64::to_ne_bytes).concat());
                    base += len;
                }
                let array = self.put(&array)?;
                let args = words([int(fd.0), array, iov.len() as u64]);
                Ok((libc::SYS_readv, args, Stored::Bytes(place)))
            }
            Syscall::Writev { fd, iov } => {
                let count = iov.len() as u64;
                let iov = self.iov(iov, Encoder::put)?;
                plain(libc::SYS_writev, words([int(fd.0), iov, count]))
            }
            Syscall::Vmsplice { fd, iov, flags } => {
                let count = iov.len() as u64;
                let iov = self.iov(iov, Encoder::give)?;
                let args = words([int(fd.0), iov, count, flags.into()]);
                plain(libc::SYS_vmsplice, args)
            }
            Syscall::Splice {
                fd_in,
                off_in,
                fd_out,
                off_out,
                len,
                flags,
            } => {
                let off_in = self.input(off_in, |pos| pos.to_ne_bytes().to_vec())?;
                let off_out = self.input(off_out, |pos| pos.to_ne_bytes().to_vec())?;
                let (fd_in, fd_out) = (int(fd_in.0), int(fd_out.0));
                let args = [fd_in, off_in, fd_out, off_out, len, flags.into()];
                plain(libc::SYS_splice, args)
            }
            Syscall::Tee {
                fdin,
                fdout,
                len,
                flags,
            } => plain(
                libc::SYS_tee,
                words([int(fdin.0), int(fdout.0), len, flags.into()]),
            ),
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
                let pathname = self.path(dirfd, &pathname)?;
                plain(
                    libc::SYS_openat,
                    words([int(dirfd.0), pathname, flags.bits().into(), mode.into()]),
                )
            }
            Syscall::Mknodat {
                dirfd,
                pathname,
                mode,
            } => {
                let pathname = self.path(dirfd, &pathname)?;
                let args = words([int(dirfd.0), pathname, mode.into(), 0]);
                plain(libc::SYS_mknodat, args)
            }
            Syscall::Mkdir { pathname, mode } => {
                let pathname = self.path(Fd::AT_FDCWD, &pathname)?;
                plain(libc::SYS_mkdir, words([pathname, mode.into()]))
            }
            Syscall::Rmdir { pathname } => {
                let pathname = self.path(Fd::AT_FDCWD, &pathname)?;
                plain(libc::SYS_rmdir, words([pathname]))
            }
            Syscall::Unlink { pathname } => {
                let pathname = self.path(Fd::AT_FDCWD, &pathname)?;
                plain(libc::SYS_unlink, words([pathname]))
            }
            Syscall::Rename { oldpath, newpath } => {
                let oldpath = self.path(Fd::AT_FDCWD, &oldpath)?;
                let newpath = self.path(Fd::AT_FDCWD, &newpath)?;
                plain(libc::SYS_rename, words([oldpath, newpath]))
            }
            Syscall::Ioctl { fd, op, arg } => {
                let (arg, stored) = self.ioctl_arg(arg)?;
                Ok((libc::SYS_ioctl, words([int(fd.0), op.into(), arg]), stored))
            }
            Syscall::Socket {
                domain,
                r#type,
                protocol,
            } => plain(
                libc::SYS_socket,
                words([int(domain), int(r#type), int(protocol)]),
            ),
            Syscall::Socketpair {
                domain,
                r#type,
                protocol,
                sv,
            } => {
                let place = self.output(sv, 8)?;
                let args = [int(domain), int(r#type), int(protocol), place.addr];
                Ok((libc::SYS_socketpair, words(args), Stored::Pipe(place.addr)))
            }
            Syscall::Bind { sockfd, addr } => {
                let [addr, len] = self.sockaddr(&addr)?;
                plain(libc::SYS_bind, words([int(sockfd.0), addr, len]))
            }
            Syscall::Listen { sockfd, backlog } => {
                plain(libc::SYS_listen, words([int(sockfd.0), int(backlog)]))
            }
            Syscall::Getsockname { sockfd } => self.getname(libc::SYS_getsockname, sockfd),
            Syscall::Getpeername { sockfd } => self.getname(libc::SYS_getpeername, sockfd),
            Syscall::Accept4 {
                sockfd,
                addr: false,
                flags,
            } => plain(
                libc::SYS_accept4,
                words([int(sockfd.0), 0, 0, flags.bits().into()]),
            ),
            Syscall::Accept4 {
                sockfd,
                addr: true,
                flags,
            } => {
                let name = self.name()?;
                let args = [int(sockfd.0), name.addr, name.len, flags.bits().into()];
                Ok((libc::SYS_accept4, words(args), Stored::SockAddr(name)))
            }
            Syscall::Connect { sockfd, addr } => {
                let [addr, len] = self.sockaddr(&addr)?;
                plain(libc::SYS_connect, words([int(sockfd.0), addr, len]))
            }
            Syscall::Shutdown { sockfd, how } => {
                plain(libc::SYS_shutdown, words([int(sockfd.0), int(how)]))
            }
            Syscall::Sendto {
                sockfd,
                buf,
                size,
                flags,
                dest_addr,
            } => {
                let buf = self.input(buf, |bytes| bytes.to_vec())?;
                let [addr, len] = match dest_addr {
                    Some(addr) => self.sockaddr(&addr)?,
                    None => [0, 0],
                };
                let flags = flags.bits().into();
                let args = [int(sockfd.0), buf, size, flags, addr, len];
                plain(libc::SYS_sendto, args)
            }
            Syscall::Sendmsg { sockfd, msg, flags } => {
                let msg = self.message(&msg)?;
                plain(
                    libc::SYS_sendmsg,
                    words([int(sockfd.0), msg, flags.bits().into()]),
                )
            }
            Syscall::Recvfrom {
                sockfd,
                buf,
                size,
                flags,
                addr,
            } => {
                let place = self.output(buf, size)?;
                let mut args = [int(sockfd.0), place.addr, size, flags.bits().into(), 0, 0];
                if !addr {
                    return Ok((libc::SYS_recvfrom, args, Stored::Message(place)));
                }
                let name = self.name()?;
                (args[4], args[5]) = (name.addr, name.len);
                Ok((libc::SYS_recvfrom, args, Stored::From(place, name)))
            }
            Syscall::Recvmsg {
                sockfd,
                size,
                control,
                flags,
            } => {
                let data = self.output(OutPtr::PLENTY, size)?;
                let iov = self.put(&[data.addr, size].map(u64::to_ne_bytes).concat())?;
                let room = self.put(&vec![0; control as usize])?;
                let at = if control == 0 { 0 } else { room };
                let header = [0, 0, iov, 1, at, control, 0].map(u64::to_ne_bytes);
                let header = self.put(&header.concat())?;
                let args = words([int(sockfd.0), header, flags.bits().into()]);
                let stored = Stored::Msg {
                    data,
                    header,
                    control: at,
                };
                Ok((libc::SYS_recvmsg, args, stored))
            }
            Syscall::Setsockopt {
                sockfd,
                level,
                optname,
                optval,
            } => {
                let size = match optval {
                    Ptr::To(value) => value.size(),
                    Ptr::Addr(_) => SockOpt::size_of(level, optname),
                };
                let optval = self.input(optval, sockopt_bytes)?;
                let args = [int(sockfd.0), int(level), int(optname), optval, size as u64];
                plain(libc::SYS_setsockopt, words(args))
            }
            Syscall::Getsockopt {
                sockfd,
                level,
                optname,
                optval,
            } => {
                let size = SockOpt::size_of(level, optname) as u32;
                let place = self.output(optval, size.into())?;
                let optlen = self.put(&size.to_ne_bytes())?;
                let args = [int(sockfd.0), int(level), int(optname), place.addr, optlen];
                Ok((libc::SYS_getsockopt, words(args), Stored::SockOpt(place)))
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
            // The lab's own threads are none of the process's: without others it has ended.
            Syscall::Exit { status } if self.lookup.is_last_thread() => {
                plain(libc::SYS_exit_group, words([int(status)]))
            }
            Syscall::Exit { status } => plain(libc::SYS_exit, words([int(status)])),
            Syscall::ExitGroup { status } => plain(libc::SYS_exit_group, words([int(status)])),
            Syscall::Waitid {
                idtype,
                id,
                infop,
                options,
            } => {
                let id = match idtype.cast_unsigned() {
                    libc::P_PID => self.lookup.real_pid(id),
                    _ => id,
                };
                let place = self.output(infop, SIGINFO)?;
                let args = [int(idtype), int(id), place.addr, int(options)];
                let reaps = options & libc::WNOWAIT == 0;
                let stored = Stored::Siginfo { place, reaps };
                Ok((libc::SYS_waitid, words(args), stored))
            }
            Syscall::PidfdOpen { pid, flags } => {
                let pid = self.lookup.real_pid(pid);
                plain(libc::SYS_pidfd_open, words([int(pid), flags.bits().into()]))
            }
            Syscall::PidfdSendSignal { pidfd, sig, flags } => plain(
                libc::SYS_pidfd_send_signal,
                words([int(pidfd.0), int(sig.0), 0, flags.into()]),
            ),
            Syscall::Wait4 { pid, options } => {
                if pid < -1 {
                    return Err(LabError::new(
                        "wait4 for a process group is not part of the lab",
                    ));
                }
                let status = self.put(&[0; 4])?;
                let pid = self.lookup.real_pid(pid);
                let args = words([int(pid), status, int(options), 0]);
                Ok((libc::SYS_wait4, args, Stored::Status(status)))
            }
            Syscall::Kill { pid, sig } => {
                let pid = self.receiver(pid)?;
                plain(libc::SYS_kill, words([int(pid), int(sig.0)]))
            }
            Syscall::Tgkill { tgid, tid, sig } => {
                let [tgid, tid] = [tgid, tid].map(|pid| int(self.lookup.real_pid(pid)));
                plain(libc::SYS_tgkill, words([tgid, tid, int(sig.0)]))
            }
            Syscall::Tkill { tid, sig } => {
                let tid = self.lookup.real_pid(tid);
                plain(libc::SYS_tkill, words([int(tid), int(sig.0)]))
            }
            Syscall::RtSigaction {
                sig,
                act,
                oldact,
                sigsetsize,
            } => self.sigaction(sig, act, oldact, sigsetsize),
            Syscall::RtSigprocmask {
                how,
                set,
                oldset,
                sigsetsize,
            } => {
                if let Ptr::To(set) = set {
                    self.effect = Effect::Mask(how, set);
                }
                let set = self.sigmask(set)?;
                let old = self.output(oldset, SIGSET)?;
                let args = words([int(how.0), set, old.addr, sigsetsize]);
                Ok((libc::SYS_rt_sigprocmask, args, Stored::SigSet(old)))
            }
            Syscall::RtSigpending { set, sigsetsize } => {
                // A short size is allowed here: the kernel stores as much.
                let place = self.output(set, sigsetsize.min(SIGSET))?;
                let args = words([place.addr, sigsetsize]);
                Ok((libc::SYS_rt_sigpending, args, Stored::SigSet(place)))
            }
            Syscall::RtSigsuspend { mask, sigsetsize } => {
                let mask = self.sigmask(mask)?;
                plain(libc::SYS_rt_sigsuspend, words([mask, sigsetsize]))
            }
            Syscall::Pause => plain(libc::SYS_pause, words([])),
            Syscall::Nanosleep { req, rem } => {
                let (req, rem) = self.sleep(req, rem)?;
                let args = words([req, rem.addr]);
                Ok((libc::SYS_nanosleep, args, Stored::Left(rem)))
            }
            Syscall::ClockNanosleep {
                clockid,
                flags,
                req,
                rem,
            } => {
                let (req, rem) = self.sleep(req, rem)?;
                let args = words([int(clockid), int(flags), req, rem.addr]);
                Ok((libc::SYS_clock_nanosleep, args, Stored::Left(rem)))
            }
            Syscall::PrlimitNofile { new_limit } => self.prlimit(new_limit),
            Syscall::Setresuid { uid } => {
                self.effect = Effect::User;
                plain(libc::SYS_setresuid, words([uid.into(); 3]))
            }
            Syscall::Fdinfo { .. } => Err(LabError::new("fdinfo is no system call")),
        }
    }

    fn put(&mut self, bytes: &[u8]) -> Result<u64, LabError> {
        self.memory.put(bytes)
    }

    /// Puts what the call will give away on pages of its own, which no later call gets: a pipe that was given
    /// a page shows what stands there when it is read.
    fn give(&mut self, bytes: &[u8]) -> Result<u64, LabError> {
        const PAGE: u64 = 4096;
        let size = (bytes.len() as u64).next_multiple_of(PAGE);
        let place = self.lookup.give(size)?;
        let addr = self
            .memory
            .board
            .gift(self.memory.slot)
            .next_multiple_of(PAGE)
            + place;
        self.memory.board.write(addr, bytes);
        Ok(addr)
    }

    /// An array of `struct iovec`.
    fn iov(
        &mut self,
        iov: Vec<IoVec>,
        put: fn(&mut Self, &[u8]) -> Result<u64, LabError>,
    ) -> Result<u64, LabError> {
        let mut array = Vec::new();
        for IoVec { iov_base, iov_len } in iov {
            let base = match iov_base {
                Ptr::To(bytes) => put(self, &bytes)?,
                Ptr::Addr(addr) => nowhere(addr)?,
            };
            array.extend([base, iov_len].map(u64::to_ne_bytes).concat());
        }
        self.put(&array)
    }

    /// `struct msghdr` and what it leads to.
    fn message(&mut self, msg: &Message) -> Result<u64, LabError> {
        let data = self.put(&msg.bytes)?;
        let iov = [data, msg.bytes.len() as u64].map(u64::to_ne_bytes);
        let iov = self.put(&iov.concat())?;
        let mut control = Vec::new();
        if !msg.fds.is_empty() {
            let length = Message::control_len(msg.fds.len()) as u64;
            control.extend(length.to_ne_bytes());
            control.extend(libc::SOL_SOCKET.to_ne_bytes());
            control.extend(libc::SCM_RIGHTS.to_ne_bytes());
            control.extend(msg.fds.iter().flat_map(|fd| fd.0.to_ne_bytes()));
            control.resize(Message::control_space(msg.fds.len()), 0);
        }
        let controllen = control.len() as u64;
        let control = if control.is_empty() {
            0
        } else {
            self.put(&control)?
        };
        // Name and its length; the one buffer; the control message; flags.
        let msghdr = [0, 0, iov, 1, control, controllen, 0].map(u64::to_ne_bytes);
        self.put(&msghdr.concat())
    }

    /// `struct sockaddr_un` or `sockaddr_in`: where it is, and its length.
    ///
    /// Abstract names belong to the whole machine. A lab's begin with a number of its own, so that several
    /// can run the same scenario side by side.
    fn sockaddr(&mut self, addr: &SockAddr) -> Result<[u64; 2], LabError> {
        let family = |family: i32| (family as u16).to_ne_bytes().to_vec();
        let bytes = match addr {
            SockAddr::Unnamed => family(libc::AF_UNIX),
            SockAddr::Abstract(name) => {
                let mut bytes = family(libc::AF_UNIX);
                bytes.push(0);
                bytes.extend_from_slice(&self.lookup.lab().to_ne_bytes());
                bytes.extend_from_slice(name);
                bytes
            }
            SockAddr::Inet(addr) => {
                let mut bytes = family(libc::AF_INET);
                bytes.extend_from_slice(&addr.port().to_be_bytes());
                bytes.extend_from_slice(&addr.ip().octets());
                bytes.resize(size_of::<libc::sockaddr_in>(), 0);
                bytes
            }
        };
        Ok([self.put(&bytes)?, bytes.len() as u64])
    }

    /// Room for an address that comes back.
    fn name(&mut self) -> Result<Name, LabError> {
        let addr = self.put(&[0; SockAddr::STORAGE as usize])?;
        let len = self.put(&SockAddr::STORAGE.to_ne_bytes())?;
        let lab = self.lookup.lab();
        Ok(Name { addr, len, lab })
    }

    fn getname(&mut self, nr: i64, sockfd: Fd) -> Result<Parts, LabError> {
        let name = self.name()?;
        let args = words([int(sockfd.0), name.addr, name.len]);
        Ok((nr, args, Stored::SockAddr(name)))
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
            // Too large for the lab, but only few calls use all that they are given.
            OutPtr::Memory(Room::Plenty) if claimed > OUTPUT => self.edge(claimed, OUTPUT)?,
            OutPtr::Memory(Room::Plenty) => {
                let addr = self.memory.output;
                if claimed > self.memory.end.saturating_sub(addr) {
                    return Err(LabError::new(
                        "in a race the lab has 1 MiB for all that a task's calls may store",
                    ));
                }
                self.memory.output = (addr + claimed).next_multiple_of(16);
                Place {
                    addr,
                    claimed,
                    room: claimed,
                    kind: Behind::Output,
                }
            }
            OutPtr::Memory(Room::Bytes(room)) => {
                if room > OUTPUT {
                    return Err(LabError::new("@room() has at most 1 MiB"));
                }
                self.edge(claimed, room)?
            }
            OutPtr::Memory(Room::Frozen) => {
                if claimed > FROZEN {
                    return Err(LabError::new("@frozen has at most 16 KiB"));
                }
                if std::mem::replace(&mut self.memory.frozen, true) {
                    return Err(LabError::new("in a race a task has one @frozen"));
                }
                Place {
                    addr: self.memory.board.frozen(self.memory.slot),
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
            self.memory.board.fill(place.addr, len as usize, PATTERN);
        }
        Ok(place)
    }

    /// The last `room` bytes before the guard page.
    fn edge(&mut self, claimed: u64, room: u64) -> Result<Place, LabError> {
        let end = self.memory.board.guard(self.memory.slot);
        let addr = end - room;
        if self.memory.end != end || addr < self.memory.output {
            return Err(LabError::new(
                "in a race a task has one @room(), or one buffer of more than 1 MiB",
            ));
        }
        self.memory.end = addr;
        Ok(Place {
            addr,
            claimed,
            room,
            kind: Behind::Edge,
        })
    }

    fn events(&mut self, ptr: OutPtr, maxevents: i32) -> Result<(u64, Stored), LabError> {
        let claimed = u64::try_from(maxevents).unwrap_or(0) * EVENT;
        let place = self.output(ptr, claimed)?;
        Ok((place.addr, Stored::Events(place)))
    }

    /// Who gets a kill(2). The lab's process group has all processes of the scenario and no others.
    fn receiver(&self, pid: i32) -> Result<i32, LabError> {
        match pid {
            -1 => Err(LabError::new(
                "kill of everybody would leave the lab: name a task, or 0 for all of the scenario",
            )),
            i32::MIN | 0 => Ok(pid),
            ..-1 => Ok(-NOBODY),
            pid => Ok(self.lookup.real_pid(pid)),
        }
    }

    fn sigaction(
        &mut self,
        sig: Signal,
        act: Ptr<SigAction>,
        oldact: OutPtr,
        sigsetsize: u64,
    ) -> Result<Parts, LabError> {
        if let Ptr::To(act) = act {
            self.effect = Effect::Action(sig, act.flags);
        }
        let restorer = self.memory.board.header().restorer.load(SeqCst);
        let act = self.input(act, |act| action_bytes(act, restorer))?;
        let place = self.output(oldact, ACTION)?;
        let args = words([int(sig.0), act, place.addr, sigsetsize]);
        let with_info = self.lookup.has_info(sig);
        let stored = Stored::SigAction { place, with_info };
        Ok((libc::SYS_rt_sigaction, args, stored))
    }

    fn sleep(&mut self, req: Ptr<Timespec>, rem: OutPtr) -> Result<(u64, Place), LabError> {
        let req = self.input(req, |t| pair_bytes(t.tv_sec, t.tv_nsec).to_vec())?;
        Ok((req, self.output(rem, TIMESPEC)?))
    }

    fn sigmask(&mut self, mask: Ptr<SigSet>) -> Result<u64, LabError> {
        self.input(mask, |mask| mask.0.to_ne_bytes().to_vec())
    }

    fn c_string(&mut self, text: &str) -> Result<u64, LabError> {
        self.put(&[text.as_bytes(), b"\0"].concat())
    }

    /// A path. A relative one begins in the scenario's own directory: its processes work there, as it were,
    /// and need not be told to go there before the first of them asks for a name.
    fn path(&mut self, dirfd: Fd, path: &str) -> Result<u64, LabError> {
        if dirfd != Fd::AT_FDCWD || path.is_empty() || path.starts_with('/') {
            return self.c_string(path);
        }
        match self.lookup.scratch()? {
            Some(scratch) => {
                let scratch = scratch.as_os_str().as_encoded_bytes();
                self.put(&[scratch, b"/", path.as_bytes(), b"\0"].concat())
            }
            None => self.c_string(path),
        }
    }

    fn bytes_to_write(&mut self, buf: Ptr<Bytes>, count: u64) -> Result<u64, LabError> {
        let Ptr::To(bytes) = buf else {
            return self.input(buf, |bytes| bytes.to_vec());
        };
        let addr = self.put(&bytes)?;
        // A count beyond the string reads on: into zeros, as far as the lab has memory.
        let start = addr + bytes.len() as u64;
        let end = addr.saturating_add(count).min(self.memory.end_of_input());
        if end > start {
            self.memory.board.fill(start, (end - start) as usize, 0);
            self.memory.input = self.memory.input.max(end.next_multiple_of(16));
        }
        Ok(addr)
    }

    fn poll(&mut self, nr: i64, fds: Vec<PollFd>, more: [u64; 3]) -> Result<Parts, LabError> {
        let mut bytes = Vec::with_capacity(fds.len() * 8);
        for one in &fds {
            bytes.extend(one.fd.0.to_ne_bytes());
            bytes.extend((one.events.bits() as u16).to_ne_bytes());
            bytes.extend([0; 2]);
        }
        let addr = self.put(&bytes)?;
        let [timeout, sigmask, sigsetsize] = more;
        let args = words([addr, fds.len() as u64, timeout, sigmask, sigsetsize]);
        Ok((nr, args, Stored::Poll(addr, fds)))
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

    fn pipe(&mut self, nr: i64, pipefd: OutPtr, flags: u32) -> Result<Parts, LabError> {
        let addr = self.output(pipefd, 8)?.addr;
        Ok((nr, words([addr, flags.into()]), Stored::Pipe(addr)))
    }

    fn ioctl_arg(&mut self, arg: IoctlArg) -> Result<(u64, Stored), LabError> {
        Ok(match arg {
            IoctlArg::None => (0, Stored::Nothing),
            IoctlArg::Int(ptr) => {
                let addr = self.input(ptr, |value| value.to_ne_bytes().to_vec())?;
                (addr, Stored::Nothing)
            }
            IoctlArg::Ticks(ptr) => {
                let addr = self.input(ptr, |ticks| ticks.to_ne_bytes().to_vec())?;
                (addr, Stored::Nothing)
            }
            IoctlArg::Value(value) => (value.into(), Stored::Nothing),
            IoctlArg::Termios(ptr) => (self.input(ptr, Termios::to_bytes)?, Stored::Nothing),
            IoctlArg::TermiosOut(ptr) => {
                let place = self.output(ptr, Termios::SIZE)?;
                (place.addr, Stored::Termios(place))
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
            0 => self.lookup.own_tid(),
            pid => self.lookup.real_pid(pid),
        })
    }
}

fn event_bytes(event: EpollEvent) -> [u8; EVENT as usize] {
    let mut bytes = [0; EVENT as usize];
    bytes[..4].copy_from_slice(&event.events.bits().to_ne_bytes());
    bytes[EVENT as usize - 8..].copy_from_slice(&event.data.to_ne_bytes());
    bytes
}

fn sockopt_bytes(value: SockOpt) -> Vec<u8> {
    match value {
        SockOpt::Int(value) => value.to_ne_bytes().to_vec(),
        SockOpt::Linger(linger) => [linger.onoff, linger.seconds]
            .map(i32::to_ne_bytes)
            .concat(),
    }
}

fn pair_bytes(first: i64, second: i64) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&first.to_ne_bytes());
    bytes[8..].copy_from_slice(&second.to_ne_bytes());
    bytes
}

/// `struct sigaction` of the kernel: handler, flags, restorer, mask. The lab's handler wants to be told by whom.
fn action_bytes(action: SigAction, restorer: u64) -> Vec<u8> {
    let own = SaFlags::RESTORER.union(SaFlags::SIGINFO);
    let (handler, flags, restorer) = match action.handler {
        SigHandler::Default => (SIG_DFL, action.flags, 0),
        SigHandler::Ignore => (SIG_IGN, action.flags, 0),
        SigHandler::Handle => (ffi::handler(), action.flags.union(own), restorer),
    };
    let words = [handler, flags.bits().into(), restorer, action.mask.0];
    words.map(u64::to_ne_bytes).concat()
}

/// `sizeof(siginfo_t)`
const SIGINFO: u64 = 128;

/// `sizeof(struct itimerspec)`
const ITIMERSPEC: u64 = 32;

fn itimerspec_bytes(timer: Itimerspec) -> [u8; ITIMERSPEC as usize] {
    let mut bytes = [0; ITIMERSPEC as usize];
    for (half, time) in bytes
        .chunks_exact_mut(16)
        .zip([timer.it_interval, timer.it_value])
    {
        half.copy_from_slice(&pair_bytes(time.tv_sec, time.tv_nsec));
    }
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
