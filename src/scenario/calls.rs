//! The table of calls: what each is called, what its arguments are, and which [`Syscall`] it becomes.
//!
//! This is the only place that knows the calls one by one; a new call is a new row.
//! A call whose later arguments depend on an earlier one (`fcntl`, `ioctl`, `kcmp`) has a row for each
//! value of that earlier one.

use crate::abi::{
    CtlOp, EpollCreateFlags, FcntlCmd, FdFlags, InotifyMask, IoctlArg, MsgFlags, OpenFlags, OutPtr,
    Select, SigmaskHow, Syscall, Timeout, request,
};

use super::ScenarioError;
use super::lower::Args;
use super::signature::Kind::{
    Argv, Buffer, Bytes, Choice, Event, Events, Fd, FdSet, Flags, Ignored, Int, IntIn, IntOut, Iov,
    IovOut, ItimerspecIn, ItimerspecOut, Len, Long, Mode, Msg, MsgOut, Null, Only, ParamsIn,
    ParamsOut, Path, Pid, Pipe, PollFds, Program, RlimitIn, RlimitOut, Same, SigAction,
    SigActionOut, SigPack, SigSet, SigSetOut, SiginfoOut, Size, Slot, SockAddr, SockAddrLen,
    SockAddrOut, SockOptIn, SockOptLen, SockOptLenPtr, SockOptOut, Status, TermiosIn, TermiosOut,
    Timespec, TimespecOut, Timeval, U64In, Uint, Zero,
};
use super::signature::{Kind, Param, Returns, Signature};
use super::words;

/// The rows with this name, first to last.
pub(super) fn named(name: &str) -> &'static [Signature] {
    let is_named = |signature: &Signature| signature.name == name;
    let Some(first) = CALLS.iter().position(is_named) else {
        return &[];
    };
    let rows = CALLS[first..]
        .iter()
        .take_while(|row| row.name == name)
        .count();
    &CALLS[first..first + rows]
}

/// Every name, once.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    let mut last = "";
    CALLS.iter().map(|row| row.name).filter(move |name| {
        let is_new = *name != last;
        last = name;
        is_new
    })
}

macro_rules! calls {
    ($($name:ident $([$place:literal = $value:expr])? ($($param:ident: $kind:expr),*)
       $(optional $optional:literal)? -> $returns:ident => |$args:ident| $lower:expr;)*) => {
        &[$(Signature {
            name: stringify!($name),
            selector: calls!(@selector $($place = $value)?),
            params: &[$(Param { name: stringify!($param), kind: $kind }),*],
            optional: calls!(@optional $($optional)?),
            returns: Returns::$returns,
            lower: |$args| Ok($lower),
        }),*]
    };
    (@selector) => { None };
    (@selector $place:literal = $value:expr) => { Some(($place, $value)) };
    (@optional) => { 0 };
    (@optional $optional:literal) => { $optional };
}

/// The number of a command of fcntl(2), of which each has a row.
mod f {
    pub(super) const DUPFD: u32 = 0;
    pub(super) const GETFD: u32 = 1;
    pub(super) const SETFD: u32 = 2;
    pub(super) const GETFL: u32 = 3;
    pub(super) const SETFL: u32 = 4;
    pub(super) const DUPFD_CLOEXEC: u32 = 1030;
    pub(super) const SETPIPE_SZ: u32 = 1031;
    pub(super) const GETPIPE_SZ: u32 = 1032;
}

/// The number of the family whose protocols have names.
mod domain {
    pub(super) const INET: u32 = 2;
}

/// The number of a level of socket options, of which each has a row.
mod level {
    pub(super) const IP: u32 = 0;
    pub(super) const SOCKET: u32 = 1;
    pub(super) const TCP: u32 = 6;
}

const COMMAND: Kind = Choice(&words::FCNTL_COMMANDS);
const REQUEST: Kind = Choice(&words::REQUESTS);
const SIGNAL: Kind = Choice(&words::SIGNALS);
const DOMAIN: Kind = Choice(&words::DOMAINS);
const SOCKET_TYPE: Kind = Flags(&words::SOCKET_TYPES);
const PROTOCOL: Kind = Choice(&words::PROTOCOLS);
const LEVEL: Kind = Choice(&words::SOCKET_LEVELS);
const OPTION: Kind = Choice(&words::SOCKET_OPTIONS);
const IP_OPTION: Kind = Choice(&words::IP_OPTIONS);
const TCP_OPTION: Kind = Choice(&words::TCP_OPTIONS);
const OPTION_SIZE: Kind = SockOptLen {
    value: 3,
    option: (1, 2),
};
const IDTYPE: Kind = Choice(&words::IDTYPES);
const KCMP_TYPE: Kind = Choice(&words::KCMP_TYPES);

fn setsockopt(a: &Args<'_>) -> Result<Syscall, ScenarioError> {
    Ok(Syscall::Setsockopt {
        sockfd: a.fd(0)?,
        level: a.bits(1).cast_signed(),
        optname: a.bits(2).cast_signed(),
        optval: a.sockopt(3)?,
    })
}

fn getsockopt(a: &Args<'_>) -> Result<Syscall, ScenarioError> {
    Ok(Syscall::Getsockopt {
        sockfd: a.fd(0)?,
        level: a.bits(1).cast_signed(),
        optname: a.bits(2).cast_signed(),
        optval: a.out(3),
    })
}

/// A selector value that no row has: the row is for all that is left.
pub(super) const OTHERWISE: u32 = u32::MAX;

static CALLS: &[Signature] = calls! {
    epoll_create(size: Int) -> Fd => |a| Syscall::EpollCreate { size: a.int(0)? };
    epoll_create1(flags: Flags(&words::CREATE_FLAGS)) -> Fd => |a| Syscall::EpollCreate1 {
        flags: EpollCreateFlags::from_bits_retain(a.bits(0)),
    };
    epoll_ctl(epfd: Fd, op: Choice(&words::CTL_OPS), fd: Fd, event: Event) -> Int =>
        |a| Syscall::EpollCtl {
            epfd: a.fd(0)?,
            op: CtlOp(a.bits(1).cast_signed()),
            fd: a.fd(2)?,
            event: a.event(3)?,
        };
    epoll_wait(epfd: Fd, events: Events, maxevents: Int, timeout: Int) -> Int =>
        |a| Syscall::EpollWait {
            epfd: a.fd(0)?,
            events: a.out(1),
            maxevents: a.int(2)?,
            timeout: Timeout(a.int(3)?),
        };
    epoll_pwait(epfd: Fd, events: Events, maxevents: Int, timeout: Int, sigmask: SigSet,
        sigsetsize: Size) -> Int => |a| Syscall::EpollPwait {
            epfd: a.fd(0)?,
            events: a.out(1),
            maxevents: a.int(2)?,
            timeout: Timeout(a.int(3)?),
            sigmask: a.sigset(4),
            sigsetsize: a.size(5)?,
        };
    epoll_pwait2(epfd: Fd, events: Events, maxevents: Int, timeout: Timespec, sigmask: SigSet,
        sigsetsize: Size) -> Int => |a| Syscall::EpollPwait2 {
            epfd: a.fd(0)?,
            events: a.out(1),
            maxevents: a.int(2)?,
            timeout: a.timespec(3)?,
            sigmask: a.sigset(4),
            sigsetsize: a.size(5)?,
        };
    poll(fds: PollFds, nfds: Len(0), timeout: Int) -> Poll =>
        |a| Syscall::Poll { fds: a.poll_fds(0)?, timeout: Timeout(a.int(2)?) };
    select(nfds: Int, readfds: FdSet, writefds: FdSet, exceptfds: FdSet, timeout: Timeval) -> Sets =>
        |a| Syscall::Select(Box::new(Select {
            nfds: a.int(0)?,
            readfds: a.fd_set(1)?,
            writefds: a.fd_set(2)?,
            exceptfds: a.fd_set(3)?,
            timeout: a.timeval(4)?,
        }));
    pselect6(nfds: Int, readfds: FdSet, writefds: FdSet, exceptfds: FdSet, timeout: Timespec,
        sigmask: SigPack) -> Sets => |a| Syscall::Pselect6 {
            select: Box::new(Select {
                nfds: a.int(0)?,
                readfds: a.fd_set(1)?,
                writefds: a.fd_set(2)?,
                exceptfds: a.fd_set(3)?,
                timeout: a.optional_timespec(4)?,
            }),
            sigmask: a.sigpack(5).0,
            sigsetsize: a.sigpack(5).1,
        };
    ppoll(fds: PollFds, nfds: Len(0), timeout: Timespec, sigmask: SigSet, sigsetsize: Size) -> Poll =>
        |a| Syscall::Ppoll {
            fds: a.poll_fds(0)?,
            timeout: a.optional_timespec(2)?,
            sigmask: a.sigset(3),
            sigsetsize: a.size(4)?,
        };

    pipe(pipefd: Pipe) -> Int => |a| Syscall::Pipe { pipefd: a.out(0) };
    pipe2(pipefd: Pipe, flags: Flags(&words::STATUS_FLAGS)) -> Int => |a| Syscall::Pipe2 {
        pipefd: a.out(0),
        flags: OpenFlags::from_bits_retain(a.bits(1)),
    };
    eventfd(initval: Uint) -> Fd => |a| Syscall::Eventfd { initval: a.uint(0)? };
    eventfd2(initval: Uint, flags: Flags(&words::EVENTFD_FLAGS)) -> Fd => |a| Syscall::Eventfd2 {
        initval: a.uint(0)?,
        flags: OpenFlags::from_bits_retain(a.bits(1)),
    };
    timerfd_create(clockid: Choice(&words::CLOCKS), flags: Flags(&words::TIMERFD_FLAGS)) -> Fd =>
        |a| Syscall::TimerfdCreate {
            clockid: a.bits(0).cast_signed(),
            flags: OpenFlags::from_bits_retain(a.bits(1)),
        };
    timerfd_settime(fd: Fd, flags: Flags(&words::SETTIME_FLAGS), new_value: ItimerspecIn,
        old_value: ItimerspecOut) -> Int => |a| Syscall::TimerfdSettime {
            fd: a.fd(0)?,
            flags: a.bits(1),
            new_value: a.itimerspec(2),
            old_value: a.out(3),
        };
    timerfd_gettime(fd: Fd, curr_value: ItimerspecOut) -> Int =>
        |a| Syscall::TimerfdGettime { fd: a.fd(0)?, curr_value: a.out(1) };
    signalfd(ufd: Fd, mask: SigSet, sizemask: Size) -> Fd => |a| Syscall::Signalfd {
        ufd: a.fd(0)?,
        mask: a.sigset(1),
        sizemask: a.size(2)?,
    };
    signalfd4(ufd: Fd, mask: SigSet, sizemask: Size, flags: Flags(&words::SIGNALFD_FLAGS)) -> Fd =>
        |a| Syscall::Signalfd4 {
            ufd: a.fd(0)?,
            mask: a.sigset(1),
            sizemask: a.size(2)?,
            flags: OpenFlags::from_bits_retain(a.bits(3)),
        };
    inotify_init1(flags: Flags(&words::INOTIFY_FLAGS)) -> Fd => |a| Syscall::InotifyInit1 {
        flags: OpenFlags::from_bits_retain(a.bits(0)),
    };
    inotify_add_watch(fd: Fd, pathname: Path, mask: Flags(&words::INOTIFY_EVENTS)) -> Int =>
        |a| Syscall::InotifyAddWatch {
            fd: a.fd(0)?,
            pathname: a.path(1),
            mask: InotifyMask::from_bits_retain(a.bits(2)),
        };
    inotify_rm_watch(fd: Fd, wd: Int) -> Int =>
        |a| Syscall::InotifyRmWatch { fd: a.fd(0)?, wd: a.int(1)? };
    read(fd: Fd, buf: Bytes, count: Size) -> Int =>
        |a| Syscall::Read { fd: a.fd(0)?, buf: a.out(1), count: a.size(2)? };
    write(fd: Fd, buf: Buffer, count: Len(1)) -> Int =>
        |a| Syscall::Write { fd: a.fd(0)?, buf: a.buffer(1, 2)?, count: a.size(2)? };
    readv(fd: Fd, iov: IovOut, iovcnt: Len(1)) -> Int =>
        |a| Syscall::Readv { fd: a.fd(0)?, iov: a.lengths(1) };
    writev(fd: Fd, iov: Iov, iovcnt: Len(1)) -> Int =>
        |a| Syscall::Writev { fd: a.fd(0)?, iov: a.iov(1) };
    splice(fd_in: Fd, off_in: U64In, fd_out: Fd, off_out: U64In, len: Size,
        flags: Flags(&words::SPLICE_FLAGS)) -> Int => |a| Syscall::Splice {
            fd_in: a.fd(0)?,
            off_in: a.u64_in(1)?,
            fd_out: a.fd(2)?,
            off_out: a.u64_in(3)?,
            len: a.size(4)?,
            flags: a.bits(5),
        };
    tee(fdin: Fd, fdout: Fd, len: Size, flags: Flags(&words::SPLICE_FLAGS)) -> Int =>
        |a| Syscall::Tee {
            fdin: a.fd(0)?,
            fdout: a.fd(1)?,
            len: a.size(2)?,
            flags: a.bits(3),
        };
    vmsplice(fd: Fd, iov: Iov, nr_segs: Len(1), flags: Flags(&words::SPLICE_FLAGS)) -> Int =>
        |a| Syscall::Vmsplice { fd: a.fd(0)?, iov: a.iov(1), flags: a.bits(3) };
    lseek(fd: Fd, offset: Long, whence: Choice(&words::WHENCE)) -> Int => |a| Syscall::Lseek {
        fd: a.fd(0)?,
        offset: a.long(1)?,
        whence: a.bits(2).cast_signed(),
    };
    openat(dirfd: Fd, pathname: Path, flags: Flags(&words::OPEN_FLAGS), mode: Mode) optional 1 -> Fd =>
        |a| Syscall::Openat {
            dirfd: a.fd(0)?,
            pathname: a.path(1),
            flags: OpenFlags::from_bits_retain(a.bits(2)),
            mode: if a.has(3) { a.uint(3)? } else { 0 },
        };
    mknodat(dirfd: Fd, pathname: Path, mode: Flags(&words::NODE_MODE)) -> Int =>
        |a| Syscall::Mknodat { dirfd: a.fd(0)?, pathname: a.path(1), mode: a.bits(2) };
    mknod(pathname: Path, mode: Flags(&words::NODE_MODE)) -> Int => |a| Syscall::Mknodat {
        dirfd: crate::abi::Fd::AT_FDCWD,
        pathname: a.path(0),
        mode: a.bits(1),
    };
    mkdir(pathname: Path, mode: Mode) -> Int =>
        |a| Syscall::Mkdir { pathname: a.path(0), mode: a.uint(1)? };
    rmdir(pathname: Path) -> Int => |a| Syscall::Rmdir { pathname: a.path(0) };
    unlink(pathname: Path) -> Int => |a| Syscall::Unlink { pathname: a.path(0) };
    rename(oldpath: Path, newpath: Path) -> Int =>
        |a| Syscall::Rename { oldpath: a.path(0), newpath: a.path(1) };
    ioctl [1 = request::FIONBIO] (fd: Fd, op: REQUEST, argp: IntIn) -> Int => |a| Syscall::Ioctl {
        fd: a.fd(0)?,
        op: a.bits(1),
        arg: IoctlArg::Int(a.int_in(2)?),
    };
    ioctl [1 = request::FIONREAD] (fd: Fd, op: REQUEST, argp: IntOut) -> Int => |a| Syscall::Ioctl {
        fd: a.fd(0)?,
        op: a.bits(1),
        arg: IoctlArg::IntOut(a.out(2)),
    };
    ioctl [1 = request::TFD_IOC_SET_TICKS] (fd: Fd, op: REQUEST, argp: U64In) -> Int =>
        |a| Syscall::Ioctl { fd: a.fd(0)?, op: a.bits(1), arg: IoctlArg::Ticks(a.u64_in(2)?) };
    ioctl [1 = request::EPIOCSPARAMS] (fd: Fd, op: REQUEST, argp: ParamsIn) -> Int =>
        |a| Syscall::Ioctl {
            fd: a.fd(0)?,
            op: a.bits(1),
            arg: IoctlArg::SetParams(a.params(2)),
        };
    ioctl [1 = request::EPIOCGPARAMS] (fd: Fd, op: REQUEST, argp: ParamsOut) -> Int =>
        |a| Syscall::Ioctl {
            fd: a.fd(0)?,
            op: a.bits(1),
            arg: IoctlArg::GetParams(a.out(2)),
        };
    ioctl [1 = request::TCGETS] (fd: Fd, op: REQUEST, argp: TermiosOut) optional 1 -> Int =>
        |a| Syscall::Ioctl {
            fd: a.fd(0)?,
            op: a.bits(1),
            arg: if a.has(2) { IoctlArg::TermiosOut(a.out(2)) } else { IoctlArg::None },
        };
    ioctl [1 = request::TCSETS] (fd: Fd, op: REQUEST, argp: TermiosIn) -> Int =>
        |a| Syscall::Ioctl { fd: a.fd(0)?, op: a.bits(1), arg: IoctlArg::Termios(a.termios(2)) };
    ioctl [1 = request::TCFLSH] (fd: Fd, op: REQUEST, queue: Choice(&words::FLUSH_QUEUES)) -> Int =>
        |a| Syscall::Ioctl { fd: a.fd(0)?, op: a.bits(1), arg: IoctlArg::Value(a.bits(2)) };
    ioctl [1 = request::TIOCPKT] (fd: Fd, op: REQUEST, argp: IntIn) -> Int =>
        |a| Syscall::Ioctl { fd: a.fd(0)?, op: a.bits(1), arg: IoctlArg::Int(a.int_in(2)?) };
    ioctl [1 = request::TIOCSPTLCK] (fd: Fd, op: REQUEST, argp: IntIn) -> Int =>
        |a| Syscall::Ioctl { fd: a.fd(0)?, op: a.bits(1), arg: IoctlArg::Int(a.int_in(2)?) };
    ioctl [1 = request::TIOCGPTPEER] (fd: Fd, op: REQUEST, flags: Flags(&words::OPEN_FLAGS)) -> Fd =>
        |a| Syscall::Ioctl {
            fd: a.fd(0)?,
            op: a.bits(1),
            arg: IoctlArg::Value(a.peer_flags(2)?),
        };
    ioctl [1 = OTHERWISE] (fd: Fd, op: REQUEST, argp: Ignored) optional 1 -> Int =>
        |a| Syscall::Ioctl { fd: a.fd(0)?, op: a.bits(1), arg: IoctlArg::None };

    socket [0 = domain::INET] (domain: DOMAIN, kind: SOCKET_TYPE, protocol: PROTOCOL) -> Fd =>
        |a| Syscall::Socket {
            domain: a.bits(0).cast_signed(),
            r#type: a.bits(1).cast_signed(),
            protocol: a.bits(2).cast_signed(),
        };
    socket [0 = OTHERWISE] (domain: DOMAIN, kind: SOCKET_TYPE, protocol: Int) -> Fd =>
        |a| Syscall::Socket {
            domain: a.bits(0).cast_signed(),
            r#type: a.bits(1).cast_signed(),
            protocol: a.int(2)?,
        };
    socketpair(domain: DOMAIN, kind: SOCKET_TYPE, protocol: Int, sv: Pipe) -> Int =>
        |a| Syscall::Socketpair {
            domain: a.bits(0).cast_signed(),
            r#type: a.bits(1).cast_signed(),
            protocol: a.int(2)?,
            sv: a.out(3),
        };
    bind(sockfd: Fd, addr: SockAddr, addrlen: Len(1)) -> Int =>
        |a| Syscall::Bind { sockfd: a.fd(0)?, addr: a.sockaddr(1)? };
    listen(sockfd: Fd, backlog: Int) -> Int =>
        |a| Syscall::Listen { sockfd: a.fd(0)?, backlog: a.int(1)? };
    getsockname(sockfd: Fd, addr: SockAddrOut, addrlen: SockAddrLen(1)) -> Int =>
        |a| Syscall::Getsockname { sockfd: a.fd(0)? };
    getpeername(sockfd: Fd, addr: SockAddrOut, addrlen: SockAddrLen(1)) -> Int =>
        |a| Syscall::Getpeername { sockfd: a.fd(0)? };
    accept(sockfd: Fd, addr: SockAddrOut, addrlen: SockAddrLen(1)) -> Fd => |a| Syscall::Accept4 {
        sockfd: a.fd(0)?,
        addr: a.out(1) != OutPtr::NULL,
        flags: OpenFlags::empty(),
    };
    accept4(sockfd: Fd, addr: SockAddrOut, addrlen: SockAddrLen(1),
        flags: Flags(&words::ACCEPT_FLAGS)) -> Fd => |a| Syscall::Accept4 {
            sockfd: a.fd(0)?,
            addr: a.out(1) != OutPtr::NULL,
            flags: OpenFlags::from_bits_retain(a.bits(3)),
        };
    connect(sockfd: Fd, addr: SockAddr, addrlen: Len(1)) -> Int =>
        |a| Syscall::Connect { sockfd: a.fd(0)?, addr: a.sockaddr(1)? };
    shutdown(sockfd: Fd, how: Choice(&words::SHUT_HOW)) -> Int =>
        |a| Syscall::Shutdown { sockfd: a.fd(0)?, how: a.bits(1).cast_signed() };
    sendto(sockfd: Fd, buf: Buffer, size: Len(1), flags: Flags(&words::MSG_FLAGS),
        dest_addr: SockAddr, addrlen: Len(4)) -> Int => |a| Syscall::Sendto {
            sockfd: a.fd(0)?,
            buf: a.buffer(1, 2)?,
            size: a.size(2)?,
            flags: MsgFlags::from_bits_retain(a.bits(3)),
            dest_addr: a.optional_sockaddr(4)?,
        };
    sendmsg(sockfd: Fd, msg: Msg, flags: Flags(&words::MSG_FLAGS)) -> Int => |a| Syscall::Sendmsg {
        sockfd: a.fd(0)?,
        msg: a.message(1)?,
        flags: MsgFlags::from_bits_retain(a.bits(2)),
    };
    recvfrom(sockfd: Fd, buf: Bytes, size: Size, flags: Flags(&words::MSG_FLAGS),
        src_addr: SockAddrOut, addrlen: SockAddrLen(4)) -> Int => |a| Syscall::Recvfrom {
            sockfd: a.fd(0)?,
            buf: a.out(1),
            size: a.size(2)?,
            flags: MsgFlags::from_bits_retain(a.bits(3)),
            addr: a.out(4) != OutPtr::NULL,
        };
    recvmsg(sockfd: Fd, msg: MsgOut, flags: Flags(&words::MSG_FLAGS)) -> Int => |a| {
        let (size, control) = a.message_room(1);
        Syscall::Recvmsg {
            sockfd: a.fd(0)?,
            size,
            control,
            flags: MsgFlags::from_bits_retain(a.bits(2)),
        }
    };
    setsockopt [1 = level::SOCKET] (sockfd: Fd, level: LEVEL, optname: OPTION, optval: SockOptIn,
        optlen: OPTION_SIZE) -> Int => |a| setsockopt(a)?;
    setsockopt [1 = level::IP] (sockfd: Fd, level: LEVEL, optname: IP_OPTION, optval: SockOptIn,
        optlen: OPTION_SIZE) -> Int => |a| setsockopt(a)?;
    setsockopt [1 = level::TCP] (sockfd: Fd, level: LEVEL, optname: TCP_OPTION, optval: SockOptIn,
        optlen: OPTION_SIZE) -> Int => |a| setsockopt(a)?;
    getsockopt [1 = level::SOCKET] (sockfd: Fd, level: LEVEL, optname: OPTION, optval: SockOptOut,
        optlen: SockOptLenPtr((1, 2))) -> Int => |a| getsockopt(a)?;
    getsockopt [1 = level::IP] (sockfd: Fd, level: LEVEL, optname: IP_OPTION, optval: SockOptOut,
        optlen: SockOptLenPtr((1, 2))) -> Int => |a| getsockopt(a)?;
    getsockopt [1 = level::TCP] (sockfd: Fd, level: LEVEL, optname: TCP_OPTION, optval: SockOptOut,
        optlen: SockOptLenPtr((1, 2))) -> Int => |a| getsockopt(a)?;

    close(fd: Fd) -> Int => |a| Syscall::Close { fd: a.fd(0)? };
    close_range(first: Uint, last: Uint, flags: Flags(&words::CLOSE_RANGE_FLAGS)) -> Int =>
        |a| Syscall::CloseRange { first: a.uint(0)?, last: a.uint(1)?, flags: a.bits(2) };
    dup(oldfd: Fd) -> Fd => |a| Syscall::Dup { oldfd: a.fd(0)? };
    dup2(oldfd: Fd, newfd: Fd) -> Fd =>
        |a| Syscall::Dup2 { oldfd: a.fd(0)?, newfd: a.fd(1)? };
    dup3(oldfd: Fd, newfd: Fd, flags: Flags(&words::STATUS_FLAGS)) -> Fd => |a| Syscall::Dup3 {
        oldfd: a.fd(0)?,
        newfd: a.fd(1)?,
        flags: OpenFlags::from_bits_retain(a.bits(2)),
    };
    fcntl [1 = f::DUPFD] (fd: Fd, cmd: COMMAND, arg: Int) -> Fd =>
        |a| Syscall::Fcntl { fd: a.fd(0)?, cmd: FcntlCmd::Dupfd(a.int(2)?) };
    fcntl [1 = f::DUPFD_CLOEXEC] (fd: Fd, cmd: COMMAND, arg: Int) -> Fd =>
        |a| Syscall::Fcntl { fd: a.fd(0)?, cmd: FcntlCmd::DupfdCloexec(a.int(2)?) };
    fcntl [1 = f::GETFD] (fd: Fd, cmd: COMMAND) -> FdFlags =>
        |a| Syscall::Fcntl { fd: a.fd(0)?, cmd: FcntlCmd::Getfd };
    fcntl [1 = f::SETFD] (fd: Fd, cmd: COMMAND, arg: Flags(&words::FD_FLAGS)) -> Int =>
        |a| Syscall::Fcntl {
            fd: a.fd(0)?,
            cmd: FcntlCmd::Setfd(FdFlags::from_bits_retain(a.bits(2))),
        };
    fcntl [1 = f::GETFL] (fd: Fd, cmd: COMMAND) -> OpenFlags =>
        |a| Syscall::Fcntl { fd: a.fd(0)?, cmd: FcntlCmd::Getfl };
    fcntl [1 = f::SETFL] (fd: Fd, cmd: COMMAND, arg: Flags(&words::OPEN_FLAGS)) -> Int =>
        |a| Syscall::Fcntl {
            fd: a.fd(0)?,
            cmd: FcntlCmd::Setfl(OpenFlags::from_bits_retain(a.bits(2))),
        };
    fcntl [1 = f::SETPIPE_SZ] (fd: Fd, cmd: COMMAND, arg: Int) -> Int =>
        |a| Syscall::Fcntl { fd: a.fd(0)?, cmd: FcntlCmd::SetpipeSz(a.int(2)?) };
    fcntl [1 = f::GETPIPE_SZ] (fd: Fd, cmd: COMMAND) -> Int =>
        |a| Syscall::Fcntl { fd: a.fd(0)?, cmd: FcntlCmd::GetpipeSz };
    kcmp [2 = 0] (pid1: Pid, pid2: Pid, kind: KCMP_TYPE, idx1: Fd, idx2: Fd) -> Int =>
        |a| Syscall::KcmpFile {
            pid1: a.pid(0)?,
            pid2: a.pid(1)?,
            fd1: a.fd(3)?,
            fd2: a.fd(4)?,
        };
    kcmp [2 = 7] (pid1: Pid, pid2: Pid, kind: KCMP_TYPE, idx1: Fd, idx2: Slot) -> Int => |a| {
        let (efd, tfd, toff) = a.slot(4)?;
        Syscall::KcmpEpollTfd { pid1: a.pid(0)?, pid2: a.pid(1)?, fd1: a.fd(3)?, efd, tfd, toff }
    };

    fork() -> Task => |a| { let _ = a; Syscall::Fork };
    execve(pathname: Program, argv: Argv, envp: Ignored) -> Int => |a| { let _ = a; Syscall::Execve };
    exit(status: Int) -> Never => |a| Syscall::Exit { status: a.int(0)? };
    exit_group(status: Int) -> Never => |a| Syscall::ExitGroup { status: a.int(0)? };
    wait4(pid: Pid, wstatus: Status, options: Flags(&words::WAIT_FLAGS), rusage: Null) -> Pid =>
        |a| Syscall::Wait4 { pid: a.pid(0)?, options: a.bits(2).cast_signed() };
    waitid [0 = 3] (idtype: IDTYPE, id: Fd, infop: SiginfoOut, options: Flags(&words::WAITID_FLAGS),
        rusage: Null) -> Int => |a| Syscall::Waitid {
            idtype: a.bits(0).cast_signed(),
            id: a.int(1)?,
            infop: a.out(2),
            options: a.bits(3).cast_signed(),
        };
    waitid [0 = OTHERWISE] (idtype: IDTYPE, id: Pid, infop: SiginfoOut,
        options: Flags(&words::WAITID_FLAGS), rusage: Null) -> Int => |a| Syscall::Waitid {
            idtype: a.bits(0).cast_signed(),
            id: a.pid(1)?,
            infop: a.out(2),
            options: a.bits(3).cast_signed(),
        };
    pidfd_open(pid: Pid, flags: Flags(&words::PIDFD_FLAGS)) -> Fd => |a| Syscall::PidfdOpen {
        pid: a.pid(0)?,
        flags: OpenFlags::from_bits_retain(a.bits(1)),
    };
    pidfd_send_signal(pidfd: Fd, sig: SIGNAL, info: Null, flags: Flags(&words::PIDFD_SIGNAL_FLAGS))
        -> Int => |a| Syscall::PidfdSendSignal {
            pidfd: a.fd(0)?,
            sig: a.signal(1),
            flags: a.bits(3),
        };
    kill(pid: Pid, sig: SIGNAL) -> Int =>
        |a| Syscall::Kill { pid: a.pid(0)?, sig: a.signal(1) };
    tgkill(tgid: Pid, tid: Pid, sig: SIGNAL) -> Int =>
        |a| Syscall::Tgkill { tgid: a.pid(0)?, tid: a.pid(1)?, sig: a.signal(2) };
    tkill(tid: Pid, sig: SIGNAL) -> Int =>
        |a| Syscall::Tkill { tid: a.pid(0)?, sig: a.signal(1) };
    rt_sigaction(sig: SIGNAL, act: SigAction, oldact: SigActionOut, sigsetsize: Size) -> Int =>
        |a| Syscall::RtSigaction {
            sig: a.signal(0),
            act: a.sigaction(1),
            oldact: a.out(2),
            sigsetsize: a.size(3)?,
        };
    rt_sigprocmask(how: Choice(&words::SIGMASK_HOW), set: SigSet, oldset: SigSetOut,
        sigsetsize: Size) -> Int => |a| Syscall::RtSigprocmask {
            how: SigmaskHow(a.bits(0).cast_signed()),
            set: a.sigset(1),
            oldset: a.out(2),
            sigsetsize: a.size(3)?,
        };
    rt_sigpending(set: SigSetOut, sigsetsize: Size) -> Int =>
        |a| Syscall::RtSigpending { set: a.out(0), sigsetsize: a.size(1)? };
    rt_sigsuspend(mask: SigSet, sigsetsize: Size) -> Int =>
        |a| Syscall::RtSigsuspend { mask: a.sigset(0), sigsetsize: a.size(1)? };
    pause() -> Int => |a| { let _ = a; Syscall::Pause };
    nanosleep(req: Timespec, rem: TimespecOut) -> Int =>
        |a| Syscall::Nanosleep { req: a.timespec(0)?, rem: a.out(1) };
    clock_nanosleep(clockid: Choice(&words::CLOCKS), flags: Flags(&words::TIMER_FLAGS), req: Timespec,
        rem: TimespecOut) -> Int => |a| Syscall::ClockNanosleep {
            clockid: a.bits(0).cast_signed(),
            flags: a.bits(1).cast_signed(),
            req: a.timespec(2)?,
            rem: a.out(3),
        };
    prlimit64(pid: Zero, resource: Only(&words::RESOURCES, 7), new_limit: RlimitIn,
        old_limit: RlimitOut) -> Int => |a| Syscall::PrlimitNofile { new_limit: a.rlimit(2) };
    setresuid(ruid: Uint, euid: Same(0), suid: Same(0)) -> Int =>
        |a| Syscall::Setresuid { uid: a.uint(0)? };

    fdinfo(fd: Fd) -> Items => |a| Syscall::Fdinfo { fd: a.fd(0)? };
    fdinfo_text(fd: Fd) -> Text => |a| Syscall::Fdinfo { fd: a.fd(0)? };
};
