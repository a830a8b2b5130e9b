//! From a [`Syscall`] to what the kernel does about it: the argument checks in their order, then the
//! operation.
//!
//! Calls that never let anything in between happen right here. The others begin a value that takes
//! steps: see [`call`](super::call).

mod create;
mod descriptors;
mod names;
mod open;
mod poll;
mod process;
mod release;
mod signal;
mod sleep;
mod socket;
mod splice;
mod terminal;

pub(crate) use open::Open;
pub(crate) use poll::Poll;
pub(crate) use process::{Exit, Wait4};
pub(crate) use release::Release;
pub(crate) use signal::Kill;
pub(crate) use sleep::Sleep;
pub(crate) use socket::SocketChange;

use super::Kernel;
use super::arena::FileId;
use super::call::{Flow, Pace, Steps};
use super::encode::{Encode, Encoder};
use super::eventpoll::{Deadline, EpollCtl, EpollWait};
use super::file::{End, FileOps, Receiving, Transfer};
use crate::abi::{
    Answer, Bytes, Errno, FcntlCmd, Fd, IoctlArg, OpenFlags, Out, OutPtr, Ptr, Room, SigSet,
    Syscall, TaskId, Timespec,
};
use crate::backend::LabError;
use crate::trace::Observer;

/// `sizeof(sigset_t)` in the kernel.
const SIGSET_SIZE: u64 = 8;

impl<O: Observer> Kernel<'_, O> {
    /// Makes the whole call, or as much of it as there is until it sleeps.
    #[inline]
    pub(crate) fn syscall(&mut self, task: TaskId, call: Syscall) -> Result<Answer, LabError> {
        // The few that event loops live on come first, and each returns from where it ends: an answer is
        // large enough for its way through further hands to be felt.
        match call {
            Syscall::EpollWait {
                epfd,
                events,
                maxevents,
                timeout,
            } => {
                let deadline = self.m.deadline_ms(timeout);
                match self.check_epoll_wait(task, epfd, events, maxevents) {
                    Ok(found) => {
                        let mut call = EpollWait::new(found, events, maxevents, deadline);
                        self.run(task, &mut call)
                    }
                    Err(errno) => Ok(Answer::err(errno)),
                }
            }
            Syscall::EpollCtl {
                epfd,
                op,
                fd,
                event,
            } => match self.check_epoll_ctl(task, epfd, op, fd, event) {
                Ok(asked) => self.run(task, &mut EpollCtl::new(asked, op, fd)),
                Err(errno) => Ok(Answer::err(errno)),
            },
            Syscall::Read { fd, buf, count } => {
                refuse_frozen(buf)?;
                match self.check_read(task, fd, buf, count) {
                    Ok(file) if self.m.ptys.places() > 0 => {
                        self.refuse_timer(file)?;
                        self.run(task, &mut Transfer::read(fd, file, buf, count))
                    }
                    Ok(file) => self.run(task, &mut Transfer::read(fd, file, buf, count)),
                    Err(errno) => Ok(Answer::err(errno)),
                }
            }
            Syscall::Write { fd, buf, count } => match self.check_write(task, fd, &buf, count) {
                Ok(file) if self.m.ptys.places() > 0 => {
                    self.refuse_typed(file, &buf)?;
                    self.run(task, &mut Transfer::write(fd, file, buf, count))
                }
                Ok(file) => self.run(task, &mut Transfer::write(fd, file, buf, count)),
                Err(errno) => Ok(Answer::err(errno)),
            },
            other => {
                let answer = self.rarer_syscall(task, other)?;
                Ok(self.finish(task, answer))
            }
        }
    }

    #[inline]
    fn go<C: Steps>(&mut self, task: TaskId, begun: Result<C, Errno>) -> Result<Answer, LabError> {
        match begun {
            Ok(mut call) => self.run(task, &mut call),
            Err(errno) => Ok(Answer::err(errno)),
        }
    }

    /// The same for a call that may have nothing to do, and then returns 0.
    fn go_if<C: Steps>(
        &mut self,
        task: TaskId,
        begun: Result<Option<C>, Errno>,
    ) -> Result<Answer, LabError> {
        match begun {
            Ok(None) => Ok(Answer::ret(0)),
            Ok(Some(call)) => self.go(task, Ok(call)),
            Err(errno) => Ok(Answer::err(errno)),
        }
    }

    #[inline(never)]
    fn rarer_syscall(&mut self, task: TaskId, call: Syscall) -> Result<Answer, LabError> {
        Ok(match call {
            Syscall::EpollWait { .. }
            | Syscall::EpollCtl { .. }
            | Syscall::Read { .. }
            | Syscall::Write { .. } => unreachable!("handled by the caller"),
            Syscall::EpollPwait {
                epfd,
                events,
                maxevents,
                timeout,
                sigmask,
                sigsetsize,
            } => {
                let deadline = self.m.deadline_ms(timeout);
                let begun = self
                    .set_user_sigmask(task, sigmask, sigsetsize)
                    .and_then(|()| self.begin_epoll_wait(task, epfd, events, maxevents, deadline));
                self.go(task, begun)?
            }
            Syscall::EpollPwait2 {
                epfd,
                events,
                maxevents,
                timeout,
                sigmask,
                sigsetsize,
            } => {
                let begun = self.deadline_ptr(timeout).and_then(|deadline| {
                    self.set_user_sigmask(task, sigmask, sigsetsize)?;
                    self.begin_epoll_wait(task, epfd, events, maxevents, deadline)
                });
                self.go(task, begun)?
            }
            Syscall::Poll { fds, timeout } => {
                let begun = self.begin_poll(task, fds, timeout);
                self.go(task, begun)?
            }
            Syscall::Select(select) => {
                let timeout = select.timeout.map(|timeout| timeout.nanoseconds());
                let begun = self.begin_select(task, *select, timeout);
                self.go(task, begun)?
            }
            Syscall::Pselect6 {
                select,
                sigmask,
                sigsetsize,
            } => {
                let timeout = select.timeout.map(|timeout| timeout.nanoseconds());
                let begun = self.begin_pselect(task, *select, timeout, (sigmask, sigsetsize));
                self.go(task, begun)?
            }
            Syscall::Ppoll {
                fds,
                timeout,
                sigmask,
                sigsetsize,
            } => {
                let begun = self.begin_ppoll(task, fds, timeout, (sigmask, sigsetsize));
                self.go(task, begun)?
            }
            Syscall::EpollCreate { size } => answer_fd(self.epoll_create(task, size)),
            Syscall::EpollCreate1 { flags } => answer_fd(self.epoll_create1(task, flags)),
            Syscall::Pipe { pipefd } => answer_out(self.pipe2(task, pipefd, Default::default())),
            Syscall::Pipe2 { pipefd, flags } => answer_out(self.pipe2(task, pipefd, flags)),
            Syscall::Eventfd { initval } => {
                answer_fd(self.eventfd2(task, initval, Default::default()))
            }
            Syscall::Eventfd2 { initval, flags } => answer_fd(self.eventfd2(task, initval, flags)),
            Syscall::Openat {
                dirfd,
                pathname,
                flags,
                mode,
            } => {
                let mut call = self.begin_openat(task, dirfd, pathname, flags, mode)?;
                self.run(task, &mut call)?
            }
            Syscall::Mknodat { .. }
            | Syscall::Mkdir { .. }
            | Syscall::Unlink { .. }
            | Syscall::Rmdir { .. }
            | Syscall::Rename { .. }
            | Syscall::InotifyRmWatch { .. }
                if self.m.is_event_held_up(task) =>
            {
                self.defer(task, call)?
            }
            Syscall::InotifyInit1 { flags } => answer_fd(self.inotify_init1(task, flags)),
            Syscall::InotifyAddWatch { fd, pathname, mask } => {
                answer(self.inotify_add_watch(task, fd, &pathname, mask)?)
            }
            Syscall::InotifyRmWatch { fd, wd } => answer(self.inotify_rm_watch(task, fd, wd)),
            Syscall::Mknodat {
                dirfd,
                pathname,
                mode,
            } => answer(self.mknodat(task, dirfd, &pathname, mode)?),
            Syscall::Mkdir { pathname, mode } => answer(self.mkdir(task, &pathname, mode)?),
            Syscall::Rmdir { pathname } => answer(self.rmdir(task, &pathname)?),
            Syscall::Unlink { pathname } => answer(self.unlink(task, &pathname)?),
            Syscall::Rename { oldpath, newpath } => answer(self.rename(task, &oldpath, &newpath)?),
            Syscall::TimerfdCreate { clockid, flags } => {
                answer_fd(self.timerfd_create(task, clockid, flags)?)
            }
            Syscall::TimerfdSettime {
                fd,
                flags,
                new_value,
                old_value,
            } => answer_out(self.timerfd_settime(task, fd, flags, new_value, old_value)),
            Syscall::TimerfdGettime { fd, curr_value } => {
                answer_out(self.timerfd_gettime(task, fd, curr_value))
            }
            Syscall::Signalfd {
                ufd,
                mask,
                sizemask,
            } => self.signalfd(task, ufd, (mask, sizemask), OpenFlags::empty())?,
            Syscall::Signalfd4 {
                ufd,
                mask,
                sizemask,
                flags,
            } => self.signalfd(task, ufd, (mask, sizemask), flags)?,
            Syscall::Readv { fd, iov } => {
                self.refuse_terminal(task, fd)?;
                let begun = self.begin_readv(task, fd, &iov);
                self.go_if(task, begun)?
            }
            Syscall::Writev { fd, iov } => {
                self.refuse_terminal(task, fd)?;
                let begun = self.begin_writev(task, fd, &iov)?;
                self.go_if(task, begun)?
            }
            Syscall::Splice {
                fd_in,
                off_in,
                fd_out,
                off_out,
                len,
                flags,
            } => {
                let begun = self.begin_splice(
                    task,
                    splice::Between {
                        fd_in,
                        off_in,
                        fd_out,
                        off_out,
                        len,
                        flags,
                    },
                )?;
                self.go_if(task, begun)?
            }
            Syscall::Tee {
                fdin,
                fdout,
                len,
                flags,
            } => {
                let begun = self.begin_tee(task, (fdin, fdout), len, flags);
                self.go_if(task, begun)?
            }
            Syscall::Vmsplice { fd, iov, flags } => {
                let begun = self.begin_vmsplice(task, fd, &iov, flags);
                self.go_if(task, begun)?
            }
            Syscall::Lseek { fd, offset, whence } => answer(self.lseek(task, fd, offset, whence)),
            Syscall::Ioctl { fd, op, arg } => {
                if let IoctlArg::Ticks(ticks) = arg
                    && let Some(begun) = self.begin_set_ticks(task, fd, ticks)
                {
                    return self.go(task, begun);
                }
                if self.m.ptys.places() > 0
                    && let Some(answer) = self.tty_ioctl(task, fd, op, arg)?
                {
                    return Ok(answer);
                }
                answer_out(self.ioctl(task, fd, op, arg))
            }
            Syscall::Socket {
                domain,
                r#type,
                protocol,
            } => answer_fd(self.socket(task, domain, r#type, protocol)),
            Syscall::Socketpair {
                domain,
                r#type,
                protocol,
                sv,
            } => answer_out(self.socketpair(task, domain, r#type, protocol, sv)),
            Syscall::Bind { sockfd, addr } => answer(self.bind(task, sockfd, &addr)),
            Syscall::Getsockname { sockfd } => answer_out(self.getname(task, sockfd, End::Own)),
            Syscall::Getpeername { sockfd } => answer_out(self.getname(task, sockfd, End::Peer)),
            Syscall::Listen { sockfd, backlog } => {
                let begun = self.listen(task, sockfd, backlog);
                self.go(task, begun)?
            }
            Syscall::Accept4 {
                sockfd,
                addr,
                flags,
            } => {
                let begun = self.accept4(task, sockfd, flags, addr);
                self.go(task, begun)?
            }
            Syscall::Connect { sockfd, addr } => {
                let begun = self.connect(task, sockfd, addr);
                self.go(task, begun)?
            }
            Syscall::Shutdown { sockfd, how } => {
                let begun = self.shutdown(task, sockfd, how);
                self.go(task, begun)?
            }
            Syscall::Sendto {
                sockfd,
                buf,
                size: _, // that of the buffer
                flags,
                dest_addr,
            } => {
                let begun = self.sendto(task, sockfd, buf, flags, dest_addr);
                self.go(task, begun)?
            }
            Syscall::Sendmsg { sockfd, msg, flags } => {
                let begun = self.sendmsg(task, sockfd, *msg, flags);
                self.go(task, begun)?
            }
            Syscall::Recvfrom {
                sockfd,
                buf,
                size,
                flags,
                addr,
            } => {
                refuse_frozen(buf)?;
                let receiving = Receiving {
                    buf,
                    count: size,
                    flags,
                    name: addr,
                    control: None,
                };
                let begun = self.recvfrom(task, sockfd, receiving);
                self.go(task, begun)?
            }
            Syscall::Recvmsg {
                sockfd,
                size,
                control,
                flags,
            } => {
                socket::refuse_errors(flags)?;
                let receiving = Receiving {
                    buf: OutPtr::PLENTY,
                    count: size,
                    flags,
                    name: false,
                    control: Some(control),
                };
                let begun = self.recvfrom(task, sockfd, receiving);
                self.go(task, begun)?
            }
            Syscall::Setsockopt {
                sockfd,
                level,
                optname,
                optval,
            } => {
                socket::refuse_capped(level, optname, &optval)?;
                let begun = self.setsockopt(task, sockfd, (level, optname), optval);
                self.go(task, begun)?
            }
            Syscall::Getsockopt {
                sockfd,
                level,
                optname,
                optval,
            } => answer_out(self.getsockopt(task, sockfd, (level, optname), optval)),
            Syscall::Close { fd } => {
                let begun = self.close(task, fd);
                self.go(task, begun)?
            }
            Syscall::CloseRange { first, last, flags } => {
                let begun = self.close_range(task, first, last, flags);
                self.go(task, begun)?
            }
            Syscall::Dup { oldfd } => answer_fd(self.dup(task, oldfd)),
            Syscall::Dup2 { oldfd, newfd } => {
                let begun = self.dup2(task, oldfd, newfd);
                self.go(task, begun)?
            }
            Syscall::Dup3 {
                oldfd,
                newfd,
                flags,
            } => {
                let begun = self.dup3(task, oldfd, newfd, flags);
                self.go(task, begun)?
            }
            Syscall::Fcntl {
                fd,
                cmd: FcntlCmd::SetpipeSz(bytes),
            } => {
                let begun = self.fcntl_set_pipe_size(task, fd, bytes);
                self.go(task, begun)?
            }
            Syscall::Fcntl { fd, cmd } => answer(self.fcntl(task, fd, cmd)),
            Syscall::KcmpFile {
                pid1,
                pid2,
                fd1,
                fd2,
            } => answer(self.kcmp_file(task, (pid1, fd1), (pid2, fd2))),
            Syscall::KcmpEpollTfd {
                pid1,
                pid2,
                fd1,
                efd,
                tfd,
                toff,
            } => answer(self.kcmp_epoll_tfd(task, (pid1, fd1), (pid2, efd), tfd, toff)),
            Syscall::Fork => Answer::ret(i64::from(self.fork(task).pid())),
            Syscall::Execve => {
                let mut exec = self.execve(task);
                self.run(task, &mut exec)?
            }
            Syscall::Exit { status } => self.run(task, &mut Exit::thread(status))?,
            Syscall::ExitGroup { status } => self.run(task, &mut Exit::group(status))?,
            Syscall::Waitid {
                idtype,
                id,
                infop,
                options,
            } => {
                let begun = self.begin_waitid(task, (idtype, id), infop, options)?;
                self.go(task, begun)?
            }
            Syscall::PidfdOpen { pid, flags } => answer_fd(self.pidfd_open(task, pid, flags)),
            Syscall::PidfdSendSignal { pidfd, sig, flags } => {
                self.pidfd_send_signal(task, pidfd, sig, flags)?
            }
            Syscall::Wait4 { pid, options } => {
                let begun = Wait4::begin(pid, options);
                self.go(task, begun)?
            }
            Syscall::Kill { pid, sig } => self.kill(task, pid, sig)?,
            Syscall::Tgkill { tgid, tid, sig } => self.tgkill(task, Some(tgid), tid, sig),
            Syscall::Tkill { tid, sig } => self.tgkill(task, None, tid, sig),
            Syscall::RtSigaction {
                sig,
                act,
                oldact,
                sigsetsize,
            } => answer_out(self.rt_sigaction(task, sig, act, oldact, sigsetsize)),
            Syscall::RtSigprocmask {
                how,
                set,
                oldset,
                sigsetsize,
            } => answer_out(self.rt_sigprocmask(task, how, set, oldset, sigsetsize)),
            Syscall::RtSigpending { set, sigsetsize } => {
                answer_out(self.rt_sigpending(task, set, sigsetsize))
            }
            Syscall::RtSigsuspend { mask, sigsetsize } => {
                let begun = self.begin_sigsuspend(task, mask, sigsetsize);
                self.go(task, begun)?
            }
            Syscall::Pause => self.run(task, &mut Sleep::pause())?,
            Syscall::Nanosleep { req, rem } => {
                let begun = self.begin_nanosleep(req, rem);
                self.go(task, begun)?
            }
            Syscall::ClockNanosleep {
                clockid,
                flags,
                req,
                rem,
            } => {
                let begun = self.begin_clock_nanosleep(clockid, flags, req, rem)?;
                self.go(task, begun)?
            }
            Syscall::PrlimitNofile { new_limit } => {
                answer_out(self.prlimit_nofile(task, new_limit))
            }
            Syscall::Setresuid { uid } => answer(self.setresuid(task, uid)),
            Syscall::Fdinfo { fd } => {
                let begun = self.begin_fdinfo(task, fd);
                self.go(task, begun)?
            }
        })
    }

    /// Puts a call off that has no steps, until no lock is in its way. What the lab refuses, it refuses now.
    fn defer(&mut self, task: TaskId, call: Syscall) -> Result<Answer, LabError> {
        let mut free = self.m.clone();
        for head in free.heads.live() {
            free.heads[head].lock = None;
        }
        Kernel::new(&mut free, &mut (), Pace::Whole).rarer_syscall(task, call.clone())?;
        let deferred = Deferred { call, answer: None };
        Ok(self.park(task, deferred.into()))
    }

    /// signalfd(2) and signalfd4(2): a new file, or another mask for one that there is.
    fn signalfd(
        &mut self,
        task: TaskId,
        ufd: Fd,
        mask: (Ptr<SigSet>, u64),
        flags: OpenFlags,
    ) -> Result<Answer, LabError> {
        if ufd == Fd(-1) {
            return Ok(answer_fd(self.signalfd4(task, mask, flags)));
        }
        let begun = self.begin_set_signals(task, ufd, mask, flags);
        self.go(task, begun)
    }

    /// `ksys_read` up to the file's own method.
    #[inline]
    pub(crate) fn check_read(
        &mut self,
        task: TaskId,
        fd: Fd,
        buf: OutPtr,
        count: u64,
    ) -> Result<FileId, Errno> {
        let file = self.m.fget(task, fd).ok_or(Errno::EBADF)?;
        if !self.m.files[file].flags.readable() {
            return Err(Errno::EBADF);
        }
        if !self.m.files[file].kind.can_transfer() || i64::try_from(count).is_err() {
            return Err(Errno::EINVAL);
        }
        if !buf.in_user_space(count) {
            return Err(Errno::EFAULT);
        }
        Ok(file)
    }

    /// `ksys_write` up to the file's own method.
    #[inline]
    pub(crate) fn check_write(
        &mut self,
        task: TaskId,
        fd: Fd,
        buf: &Ptr<Bytes>,
        count: u64,
    ) -> Result<FileId, Errno> {
        let file = self.m.fget(task, fd).ok_or(Errno::EBADF)?;
        if !self.m.files[file].flags.writable() {
            return Err(Errno::EBADF);
        }
        if !self.m.files[file].kind.can_transfer() || i64::try_from(count).is_err() {
            return Err(Errno::EINVAL);
        }
        let in_user_space = match buf {
            Ptr::To(_) => true,
            Ptr::Addr(addr) => OutPtr::Addr(*addr).in_user_space(count),
        };
        if !in_user_space {
            return Err(Errno::EFAULT);
        }
        Ok(file)
    }

    /// The deadline of a timeout behind a pointer, of which `NULL` is none.
    fn deadline_ptr(&self, timeout: Ptr<Timespec>) -> Result<Deadline, Errno> {
        match timeout {
            Ptr::Addr(0) => Ok(Deadline::Never),
            Ptr::Addr(_) => Err(Errno::EFAULT),
            Ptr::To(timeout) => Ok(self
                .m
                .deadline_after(timeout.nanoseconds().ok_or(Errno::EINVAL)?)),
        }
    }
}

/// A call without steps that has not begun, since an event that it causes would meet a lock.
#[derive(Clone, Debug)]
pub(crate) struct Deferred {
    call: Syscall,
    answer: Option<Answer>,
}

impl Steps for Deferred {
    fn step<O: Observer>(&mut self, kernel: &mut Kernel<'_, O>, task: TaskId) -> Flow {
        if kernel.m.is_event_held_up(task) {
            return Flow::Blocked;
        }
        let answer = kernel.rarer_syscall(task, self.call.clone());
        self.answer = Some(answer.expect("the lab has not refused it before"));
        Flow::Done
    }

    fn answer(&mut self) -> Answer {
        self.answer.take().expect("a call ends once")
    }

    fn at(&self) -> String {
        "fsnotify".to_owned()
    }
}

impl Encode for Deferred {
    fn encode(&self, to: &mut Encoder<'_>) {
        let Deferred {
            call,
            answer: _, // known at the end only
        } = self;
        to.bytes(format!("{call:?}").as_bytes());
    }
}

fn refuse_frozen(buf: OutPtr) -> Result<(), LabError> {
    if buf == OutPtr::Memory(Room::Frozen) {
        return Err(LabError::new(
            "only the events of an epoll_wait can lie on a frozen page",
        ));
    }
    Ok(())
}

fn answer(result: Result<i64, Errno>) -> Answer {
    match result {
        Ok(value) => Answer::ret(value),
        Err(errno) => Answer::err(errno),
    }
}

fn answer_fd(result: Result<Fd, Errno>) -> Answer {
    answer(result.map(|fd| i64::from(fd.0)))
}

fn answer_out(result: Result<Out, Errno>) -> Answer {
    match result {
        Ok(out) => Answer::Done(0, out),
        Err(errno) => Answer::err(errno),
    }
}
