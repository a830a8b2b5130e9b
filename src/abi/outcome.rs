//! What comes back from a call.

use super::{
    Bytes, EpollParams, Errno, EventMask, Events, Fd, FdSet, InotifyEvent, Itimerspec, PollFd,
    Received, Rlimit, SigAction, SigInfo, SigSet, SockAddr, SockOpt, Termios, Timespec, WaitStatus,
};

/// What a kernel says when it is given a call.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Answer {
    /// The call returned this number, not below 0, and stored this.
    Done(i64, Out),
    /// It returned -1. What it stored all the same is almost always [`Out::None`].
    Failed(Errno, Out),
    /// It sleeps; a later `settle` tells how it ended.
    Blocked,
    /// It will never return: the task is gone (exit_group(2), a fatal signal).
    Gone,
}

/// What a call stored into the caller's memory.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub enum Out {
    /// Nothing.
    #[default]
    None,
    /// The events of an epoll_wait(2), in order.
    Events(Events),
    /// A call that failed with `EFAULT` in the middle of the first entry: only `events` was stored.
    TornEvent(EventMask),
    /// The two ends of a pipe: read end, write end.
    Pipe(Fd, Fd),
    /// What read(2) stored.
    Bytes(Bytes),
    /// The array of poll(2), whole, with `revents` filled in.
    PollFds(Vec<PollFd>),
    /// The three sets of select(2), each if it was given.
    FdSets(Box<[Option<FdSet>; 3]>),
    /// An int, as by `FIONREAD`.
    Int(i32),
    /// By getsockopt(2).
    SockOpt(SockOpt),
    /// The address of a socket, by getsockname(2), getpeername(2) and accept4(2).
    SockAddr(Box<SockAddr>),
    /// What recvfrom(2) stored: a message, and who sent it, if that has a name.
    From(Box<(Bytes, Option<Box<SockAddr>>)>),
    /// What recvmsg(2) stored.
    Message(Box<Received>),
    /// By `EPIOCGPARAMS`.
    Params(EpollParams),
    /// By wait4(2), if a child was reaped.
    Status(WaitStatus),
    /// By rt_sigprocmask(2) the previous mask, by rt_sigpending(2) what is pending.
    SigSet(SigSet),
    /// The previous action, by rt_sigaction(2).
    SigAction(SigAction),
    /// The time that was left, by nanosleep(2).
    Timespec(Timespec),
    /// The previous limit, by prlimit(2).
    Rlimit(Rlimit),
    /// A timer, by timerfd_settime(2) and timerfd_gettime(2).
    Itimerspec(Box<Itimerspec>),
    /// What read(2) stored, of a signalfd.
    Signals(Vec<SigInfo>),
    /// What read(2) stored, of an inotify instance.
    Inotify(Vec<InotifyEvent>),
    /// By waitid(2), if there was something to tell.
    Siginfo(SigInfo),
    /// The settings of a terminal, by `TCGETS`.
    Termios(Box<Termios>),
    /// The text of an fdinfo file.
    Text(String),
}

/// What became of a call that was made while others were.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Fate {
    /// It came back.
    Ended(Answer),
    /// It sleeps, and nobody is left to wake it.
    Asleep,
    /// Its task never came to it: an earlier call of it sleeps, or the task is gone.
    NotReached,
}

impl Answer {
    /// A call that returned a number and stored nothing.
    pub fn ret(value: i64) -> Answer {
        Answer::Done(value, Out::None)
    }

    /// A call that failed and stored nothing.
    pub fn err(errno: Errno) -> Answer {
        Answer::Failed(errno, Out::None)
    }

    /// The same without what was stored, as `Result`; `None` while it is in flight or gone.
    pub fn result(&self) -> Option<Result<i64, Errno>> {
        match self {
            Answer::Done(value, _) => Some(Ok(*value)),
            Answer::Failed(errno, _) => Some(Err(*errno)),
            Answer::Blocked | Answer::Gone => None,
        }
    }

    /// What was stored.
    pub fn into_out(self) -> Out {
        match self {
            Answer::Done(_, out) | Answer::Failed(_, out) => out,
            Answer::Blocked | Answer::Gone => Out::None,
        }
    }
}
