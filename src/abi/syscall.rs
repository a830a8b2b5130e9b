//! Every call of the lab as a value.

use super::{
    Bytes, CtlOp, EpollCreateFlags, EpollEvent, EpollParams, Fd, FdFlags, FdSet, InotifyMask,
    IoVec, Itimerspec, Message, MsgFlags, OpenFlags, OutPtr, PollFd, Ptr, Rlimit, SigAction,
    SigSet, SigmaskHow, Signal, SockAddr, SockOpt, Termios, Timeout, Timespec, Timeval,
};

/// A system call with its arguments, named as in the manual pages (section 2).
///
/// The same value serves the parser, both backends, the transcript and the fuzzer: no call is
/// described twice. The last variants are no system calls but questions that only a lab asks.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
#[expect(
    missing_docs,
    reason = "the arguments are those of the manual page that each variant names"
)]
pub enum Syscall {
    /// epoll_create(2)
    EpollCreate { size: i32 },
    /// epoll_create1(2)
    EpollCreate1 { flags: EpollCreateFlags },
    /// epoll_ctl(2)
    EpollCtl {
        epfd: Fd,
        op: CtlOp,
        fd: Fd,
        event: Ptr<EpollEvent>,
    },
    /// epoll_wait(2)
    EpollWait {
        epfd: Fd,
        events: OutPtr,
        maxevents: i32,
        timeout: Timeout,
    },
    /// epoll_pwait(2)
    EpollPwait {
        epfd: Fd,
        events: OutPtr,
        maxevents: i32,
        timeout: Timeout,
        sigmask: Ptr<SigSet>,
        sigsetsize: u64,
    },
    /// epoll_pwait2(2)
    EpollPwait2 {
        epfd: Fd,
        events: OutPtr,
        maxevents: i32,
        timeout: Ptr<Timespec>,
        sigmask: Ptr<SigSet>,
        sigsetsize: u64,
    },
    /// poll(2)
    Poll { fds: Vec<PollFd>, timeout: Timeout },
    /// select(2)
    Select(Box<Select<Timeval>>),
    /// pselect(2) as the kernel has it: the last argument points to these two
    Pselect6 {
        select: Box<Select<Timespec>>,
        sigmask: Ptr<SigSet>,
        sigsetsize: u64,
    },
    /// ppoll(2)
    Ppoll {
        fds: Vec<PollFd>,
        timeout: Option<Timespec>,
        sigmask: Ptr<SigSet>,
        sigsetsize: u64,
    },

    /// pipe(2)
    Pipe { pipefd: OutPtr },
    /// pipe2(2)
    Pipe2 { pipefd: OutPtr, flags: OpenFlags },
    /// eventfd(2) without flags
    Eventfd { initval: u32 },
    /// eventfd(2); `EFD_SEMAPHORE` is 1, the other flags are those of open(2)
    Eventfd2 { initval: u32, flags: OpenFlags },
    /// timerfd_create(2)
    TimerfdCreate { clockid: i32, flags: OpenFlags },
    /// timerfd_settime(2); `TFD_TIMER_ABSTIME` is 1
    TimerfdSettime {
        fd: Fd,
        flags: u32,
        new_value: Ptr<Itimerspec>,
        old_value: OutPtr,
    },
    /// timerfd_gettime(2)
    TimerfdGettime { fd: Fd, curr_value: OutPtr },
    /// signalfd(2) as the kernel has it, without flags
    Signalfd {
        ufd: Fd,
        mask: Ptr<SigSet>,
        sizemask: u64,
    },
    /// signalfd4(2); the flags are those of open(2)
    Signalfd4 {
        ufd: Fd,
        mask: Ptr<SigSet>,
        sizemask: u64,
        flags: OpenFlags,
    },
    /// inotify_init1(2); the flags are those of open(2)
    InotifyInit1 { flags: OpenFlags },
    /// inotify_add_watch(2)
    InotifyAddWatch {
        fd: Fd,
        pathname: Box<str>,
        mask: InotifyMask,
    },
    /// inotify_rm_watch(2)
    InotifyRmWatch { fd: Fd, wd: i32 },
    /// read(2)
    Read { fd: Fd, buf: OutPtr, count: u64 },
    /// write(2)
    Write { fd: Fd, buf: Ptr<Bytes>, count: u64 },
    /// readv(2) into buffers of these lengths
    Readv { fd: Fd, iov: Vec<u64> },
    /// writev(2)
    Writev { fd: Fd, iov: Vec<IoVec> },
    /// splice(2)
    Splice {
        fd_in: Fd,
        off_in: Ptr<u64>,
        fd_out: Fd,
        off_out: Ptr<u64>,
        len: u64,
        flags: u32,
    },
    /// tee(2)
    Tee {
        fdin: Fd,
        fdout: Fd,
        len: u64,
        flags: u32,
    },
    /// vmsplice(2)
    Vmsplice { fd: Fd, iov: Vec<IoVec>, flags: u32 },
    /// lseek(2)
    Lseek { fd: Fd, offset: i64, whence: i32 },
    /// openat(2)
    Openat {
        dirfd: Fd,
        pathname: Box<str>,
        flags: OpenFlags,
        mode: u32,
    },
    /// mknod(2) from a directory; mkfifo(3) is the one with `S_IFIFO`
    Mknodat {
        dirfd: Fd,
        pathname: Box<str>,
        mode: u32,
    },
    /// mkdir(2)
    Mkdir { pathname: Box<str>, mode: u32 },
    /// rmdir(2)
    Rmdir { pathname: Box<str> },
    /// unlink(2)
    Unlink { pathname: Box<str> },
    /// rename(2)
    Rename {
        oldpath: Box<str>,
        newpath: Box<str>,
    },
    /// ioctl(2)
    Ioctl { fd: Fd, op: u32, arg: IoctlArg },

    /// socket(2)
    Socket {
        domain: i32,
        r#type: i32,
        protocol: i32,
    },
    /// socketpair(2)
    Socketpair {
        domain: i32,
        r#type: i32,
        protocol: i32,
        sv: OutPtr,
    },
    /// bind(2)
    Bind { sockfd: Fd, addr: Box<SockAddr> },
    /// listen(2)
    Listen { sockfd: Fd, backlog: i32 },
    /// getsockname(2), with room for any address
    Getsockname { sockfd: Fd },
    /// getpeername(2), likewise
    Getpeername { sockfd: Fd },
    /// accept4(2), which may ask for the address of who connected; accept(2) is the one without flags
    Accept4 {
        sockfd: Fd,
        addr: bool,
        flags: OpenFlags,
    },
    /// connect(2)
    Connect { sockfd: Fd, addr: Box<SockAddr> },
    /// shutdown(2)
    Shutdown { sockfd: Fd, how: i32 },
    /// sendto(2)
    Sendto {
        sockfd: Fd,
        buf: Ptr<Bytes>,
        size: u64,
        flags: MsgFlags,
        dest_addr: Option<Box<SockAddr>>,
    },
    /// sendmsg(2) without an address
    Sendmsg {
        sockfd: Fd,
        msg: Box<Message>,
        flags: MsgFlags,
    },
    /// recvfrom(2), which may ask for the sender's address
    Recvfrom {
        sockfd: Fd,
        buf: OutPtr,
        size: u64,
        flags: MsgFlags,
        addr: bool,
    },
    /// recvmsg(2) into one buffer, with room for so many bytes of control messages, and without an address
    Recvmsg {
        sockfd: Fd,
        size: u64,
        control: u64,
        flags: MsgFlags,
    },
    /// setsockopt(2)
    Setsockopt {
        sockfd: Fd,
        level: i32,
        optname: i32,
        optval: Ptr<SockOpt>,
    },
    /// getsockopt(2)
    Getsockopt {
        sockfd: Fd,
        level: i32,
        optname: i32,
        optval: OutPtr,
    },

    /// close(2)
    Close { fd: Fd },
    /// close_range(2); `CLOSE_RANGE_CLOEXEC` is 4
    CloseRange { first: u32, last: u32, flags: u32 },
    /// dup(2)
    Dup { oldfd: Fd },
    /// dup2(2)
    Dup2 { oldfd: Fd, newfd: Fd },
    /// dup3(2)
    Dup3 {
        oldfd: Fd,
        newfd: Fd,
        flags: OpenFlags,
    },
    /// fcntl(2)
    Fcntl { fd: Fd, cmd: FcntlCmd },
    /// kcmp(2) with type `KCMP_FILE`
    KcmpFile {
        pid1: i32,
        pid2: i32,
        fd1: Fd,
        fd2: Fd,
    },
    /// kcmp(2) with type `KCMP_EPOLL_TFD`: is `fd1` the `toff`-th file that `efd` watches as `tfd`?
    KcmpEpollTfd {
        pid1: i32,
        pid2: i32,
        fd1: Fd,
        efd: Fd,
        tfd: Fd,
        toff: u32,
    },

    /// fork(2)
    Fork,
    /// execve(2) of a program that sleeps until it is killed: what remains of the caller are its files
    Execve,
    /// exit(2) as the kernel has it: of the thread alone
    Exit { status: i32 },
    /// exit_group(2)
    ExitGroup { status: i32 },
    /// wait4(2) without usage; -1 waits for any child, `WNOHANG` is 1
    Wait4 { pid: i32, options: i32 },
    /// waitid(2) without usage
    Waitid {
        idtype: i32,
        id: i32,
        infop: OutPtr,
        options: i32,
    },
    /// pidfd_open(2); `PIDFD_NONBLOCK` and `PIDFD_THREAD` are flags of open(2)
    PidfdOpen { pid: i32, flags: OpenFlags },
    /// pidfd_send_signal(2) without siginfo
    PidfdSendSignal { pidfd: Fd, sig: Signal, flags: u32 },
    /// kill(2); 0 is the caller's process group, which is that of all processes of the lab
    Kill { pid: i32, sig: Signal },
    /// tgkill(2), which raise(3) is made of
    Tgkill { tgid: i32, tid: i32, sig: Signal },
    /// tkill(2)
    Tkill { tid: i32, sig: Signal },
    /// rt_sigaction(2)
    RtSigaction {
        sig: Signal,
        act: Ptr<SigAction>,
        oldact: OutPtr,
        sigsetsize: u64,
    },
    /// rt_sigprocmask(2)
    RtSigprocmask {
        how: SigmaskHow,
        set: Ptr<SigSet>,
        oldset: OutPtr,
        sigsetsize: u64,
    },
    /// rt_sigpending(2)
    RtSigpending { set: OutPtr, sigsetsize: u64 },
    /// rt_sigsuspend(2)
    RtSigsuspend { mask: Ptr<SigSet>, sigsetsize: u64 },
    /// pause(2)
    Pause,
    /// nanosleep(2)
    Nanosleep { req: Ptr<Timespec>, rem: OutPtr },
    /// clock_nanosleep(2); `TIMER_ABSTIME` is 1
    ClockNanosleep {
        clockid: i32,
        flags: i32,
        req: Ptr<Timespec>,
        rem: OutPtr,
    },
    /// prlimit(2) of the caller's `RLIMIT_NOFILE`
    PrlimitNofile { new_limit: Option<Rlimit> },
    /// setresuid(2) with one number three times
    Setresuid { uid: u32 },

    /// The text of `/proc/PID/fdinfo/EPFD`, read from outside so that it takes no descriptor.
    Fdinfo { fd: Fd },
}

/// The arguments of select(2) and pselect(2), which differ in the type of the timeout.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Select<T> {
    /// One more than the highest descriptor looked at.
    pub nfds: i32,
    /// Is there something to read?
    pub readfds: Option<FdSet>,
    /// Can something be written?
    pub writefds: Option<FdSet>,
    /// Is there an exceptional condition?
    pub exceptfds: Option<FdSet>,
    /// How long to wait; `None` is for ever.
    pub timeout: Option<T>,
}

/// The commands of fcntl(2) that the lab knows, with their argument.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum FcntlCmd {
    /// `F_DUPFD`: duplicate to the lowest free number from here on.
    Dupfd(i32),
    /// `F_DUPFD_CLOEXEC`
    DupfdCloexec(i32),
    /// `F_GETFD`
    Getfd,
    /// `F_SETFD`
    Setfd(FdFlags),
    /// `F_GETFL`
    Getfl,
    /// `F_SETFL`
    Setfl(OpenFlags),
    /// `F_SETPIPE_SZ`: capacity in bytes.
    SetpipeSz(i32),
    /// `F_GETPIPE_SZ`
    GetpipeSz,
}

/// The third argument of ioctl(2) by the kind of request.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum IoctlArg {
    /// A request whose answer is an error before any argument is looked at.
    None,
    /// A pointer to an int that goes in (`FIONBIO`).
    Int(Ptr<i32>),
    /// A pointer to an int that comes out (`FIONREAD`).
    IntOut(OutPtr),
    /// A pointer to a 64-bit number that goes in (`TFD_IOC_SET_TICKS`).
    Ticks(Ptr<u64>),
    /// A number in the argument's place (`TIOCGPTPEER`, `TCFLSH`).
    Value(u32),
    /// A pointer to settings of a terminal that go in (`TCSETS`).
    Termios(Ptr<Termios>),
    /// A pointer to settings of a terminal that come out (`TCGETS`).
    TermiosOut(OutPtr),
    /// `EPIOCSPARAMS`
    SetParams(Ptr<EpollParams>),
    /// `EPIOCGPARAMS`
    GetParams(OutPtr),
}

/// The requests of ioctl(2) that have a name here.
pub mod request {
    /// Set busy polling of an epoll (Linux 6.9).
    pub const EPIOCSPARAMS: u32 = 0x4008_8a01;
    /// Read it.
    pub const EPIOCGPARAMS: u32 = 0x8008_8a02;
    /// Set or clear `O_NONBLOCK`.
    pub const FIONBIO: u32 = 0x5421;
    /// How many bytes can be read.
    pub const FIONREAD: u32 = 0x541b;
    /// Set how often a timerfd has expired (`CONFIG_CHECKPOINT_RESTORE`).
    pub const TFD_IOC_SET_TICKS: u32 = 0x4008_5400;
    /// Read the settings of a terminal.
    pub const TCGETS: u32 = 0x5401;
    /// Change them.
    pub const TCSETS: u32 = 0x5402;
    /// Throw away what was not yet read, or not yet written.
    pub const TCFLSH: u32 = 0x540b;
    /// Whether reads of the master of a pty tell what they are.
    pub const TIOCPKT: u32 = 0x5420;
    /// Whether the slave of a pty can be opened.
    pub const TIOCSPTLCK: u32 = 0x4004_5431;
    /// Open the slave of this master.
    pub const TIOCGPTPEER: u32 = 0x5441;
}

impl Syscall {
    /// The name that strace prints.
    pub fn name(&self) -> &'static str {
        match self {
            Syscall::EpollCreate { .. } => "epoll_create",
            Syscall::EpollCreate1 { .. } => "epoll_create1",
            Syscall::EpollCtl { .. } => "epoll_ctl",
            Syscall::EpollWait { .. } => "epoll_wait",
            Syscall::EpollPwait { .. } => "epoll_pwait",
            Syscall::EpollPwait2 { .. } => "epoll_pwait2",
            Syscall::Poll { .. } => "poll",
            Syscall::Select(_) => "select",
            Syscall::Pselect6 { .. } => "pselect6",
            Syscall::Ppoll { .. } => "ppoll",
            Syscall::Pipe { .. } => "pipe",
            Syscall::Pipe2 { .. } => "pipe2",
            Syscall::Eventfd { .. } => "eventfd",
            Syscall::Eventfd2 { .. } => "eventfd2",
            Syscall::TimerfdCreate { .. } => "timerfd_create",
            Syscall::TimerfdSettime { .. } => "timerfd_settime",
            Syscall::TimerfdGettime { .. } => "timerfd_gettime",
            Syscall::Signalfd { .. } => "signalfd",
            Syscall::Signalfd4 { .. } => "signalfd4",
            Syscall::InotifyInit1 { .. } => "inotify_init1",
            Syscall::InotifyAddWatch { .. } => "inotify_add_watch",
            Syscall::InotifyRmWatch { .. } => "inotify_rm_watch",
            Syscall::Read { .. } => "read",
            Syscall::Write { .. } => "write",
            Syscall::Readv { .. } => "readv",
            Syscall::Writev { .. } => "writev",
            Syscall::Splice { .. } => "splice",
            Syscall::Tee { .. } => "tee",
            Syscall::Vmsplice { .. } => "vmsplice",
            Syscall::Lseek { .. } => "lseek",
            Syscall::Openat { .. } => "openat",
            Syscall::Mknodat { .. } => "mknodat",
            Syscall::Mkdir { .. } => "mkdir",
            Syscall::Rmdir { .. } => "rmdir",
            Syscall::Unlink { .. } => "unlink",
            Syscall::Rename { .. } => "rename",
            Syscall::Ioctl { .. } => "ioctl",
            Syscall::Socket { .. } => "socket",
            Syscall::Socketpair { .. } => "socketpair",
            Syscall::Bind { .. } => "bind",
            Syscall::Listen { .. } => "listen",
            Syscall::Getsockname { .. } => "getsockname",
            Syscall::Getpeername { .. } => "getpeername",
            Syscall::Accept4 { .. } => "accept4",
            Syscall::Connect { .. } => "connect",
            Syscall::Shutdown { .. } => "shutdown",
            Syscall::Sendto { .. } => "sendto",
            Syscall::Sendmsg { .. } => "sendmsg",
            Syscall::Recvfrom { .. } => "recvfrom",
            Syscall::Recvmsg { .. } => "recvmsg",
            Syscall::Setsockopt { .. } => "setsockopt",
            Syscall::Getsockopt { .. } => "getsockopt",
            Syscall::Close { .. } => "close",
            Syscall::CloseRange { .. } => "close_range",
            Syscall::Dup { .. } => "dup",
            Syscall::Dup2 { .. } => "dup2",
            Syscall::Dup3 { .. } => "dup3",
            Syscall::Fcntl { .. } => "fcntl",
            Syscall::KcmpFile { .. } | Syscall::KcmpEpollTfd { .. } => "kcmp",
            Syscall::Fork => "fork",
            Syscall::Execve => "execve",
            Syscall::Exit { .. } => "exit",
            Syscall::ExitGroup { .. } => "exit_group",
            Syscall::Waitid { .. } => "waitid",
            Syscall::PidfdOpen { .. } => "pidfd_open",
            Syscall::PidfdSendSignal { .. } => "pidfd_send_signal",
            Syscall::Wait4 { .. } => "wait4",
            Syscall::Kill { .. } => "kill",
            Syscall::Tgkill { .. } => "tgkill",
            Syscall::Tkill { .. } => "tkill",
            Syscall::RtSigaction { .. } => "rt_sigaction",
            Syscall::RtSigprocmask { .. } => "rt_sigprocmask",
            Syscall::RtSigpending { .. } => "rt_sigpending",
            Syscall::RtSigsuspend { .. } => "rt_sigsuspend",
            Syscall::Pause => "pause",
            Syscall::Nanosleep { .. } => "nanosleep",
            Syscall::ClockNanosleep { .. } => "clock_nanosleep",
            Syscall::PrlimitNofile { .. } => "prlimit64",
            Syscall::Setresuid { .. } => "setresuid",
            Syscall::Fdinfo { .. } => "fdinfo",
        }
    }
}

#[cfg(target_pointer_width = "64")]
const _: () = assert!(size_of::<Syscall>() <= 80, "a call is passed by value");
