//! The operations of a kind of file (`struct file_operations`): one small table, which each kind fills in.
//!
//! What epoll makes of a file is decided here, without a word about epoll. Three questions matter:
//!
//! - **the mask**: what is true now, as a function of the state ([`FileOps::poll`]);
//! - **the queues**: where somebody stands who wants to hear of changes ([`FileOps::queues`]);
//! - **the wakes**: which operation wakes which queue, with which key, and how many. An operation pushes
//!   them onto [`Io::wakes`]; what no operation pushes is no edge, whatever the mask did meanwhile.
//!
//! How to add a kind is told in [`adding_a_kind`](crate::model::adding_a_kind).
//!
//! No other part of the model knows a kind by name, but for epoll files, which are asked by a scan.

use super::eventfd::EventFd;
use super::pidfd::PidFd;
use super::pipe::PipeEnd;
use super::plain::Plain;
use super::regular::Regular;
use super::signalfd::SignalFd;
use super::socket::Socket;
use super::transfer::{Attempt, Io, Wakes, What};
use super::tty::TtyEnd;
use crate::abi::{Bytes, Errno, EventMask, IoctlArg, Out, OutPtr, Ptr, Room, TaskId};
use crate::model::arena::{EpId, FileId, HeadId, InotifyId, TcpId, TimerFdId, UdpId, UnixId};
use crate::model::encode::Encoder;
use crate::model::wait_queue::WakeFn;
use crate::model::{Kernel, Machine};
use crate::trace::{Observer, Place};

/// Who calls an operation, and on which file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Caller {
    pub(crate) task: TaskId,
    pub(crate) file: FileId,
}

/// Who asks a file what is true of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Poller {
    /// Most files tell everybody the same, but some look who asks (`current`).
    pub(crate) task: TaskId,
    /// Where an answer costs something, it is given only if it is asked for (`poll_requested_events`).
    pub(crate) requested: EventMask,
}

impl Poller {
    /// The first task, for looks that nobody takes who could be named.
    pub(crate) fn nobody(requested: EventMask) -> Poller {
        let task = TaskId(0);
        Poller { task, requested }
    }
}

/// What a read or write sleeps for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Awaited {
    /// Where it stands.
    pub(crate) head: HeadId,
    /// In front of the others there, or behind them.
    pub(crate) place: Place,
    /// How it is woken.
    pub(crate) func: fn(TaskId) -> WakeFn,
    /// Whether a wake of one stops there.
    pub(crate) exclusive: bool,
    /// Whether there is no reason to sleep any more.
    pub(crate) ready: bool,
    /// Whether the queue's lock guards the state as well, so that one who wakes up tries again under it.
    pub(crate) locked: bool,
}

/// What a round of a release came to.
#[derive(Clone, Debug)]
pub(crate) enum Released {
    /// Nothing has happened: another task has the kind's lock.
    Locked,
    /// Make these wake-ups and ask again.
    More(Wakes),
    /// Make these wake-ups, and that was it.
    Done(Wakes),
}

/// The wait queues of a file, in the order in which its poll method names them.
pub(crate) type PollHeads = [Option<HeadId>; 2];

/// Stores a count where an ioctl(2) is to leave it (`put_user`).
pub(crate) fn put_user(arg: IoctlArg, count: impl TryInto<i32>) -> Result<Out, Errno> {
    match arg {
        IoctlArg::IntOut(OutPtr::Memory(Room::Plenty)) => {
            Ok(Out::Int(count.try_into().unwrap_or(i32::MAX)))
        }
        _ => Err(Errno::EFAULT),
    }
}

/// The operations of a kind.
pub(crate) trait FileOps: Copy {
    /// What is true of the file now (`f_op->poll`).
    fn poll(self, m: &mut Machine, by: Poller) -> EventMask;

    /// Every wait queue that the kind leads to.
    fn queues(self, m: &Machine) -> PollHeads;

    /// What people call it, and what it holds, in a few words.
    fn describe(self, m: &Machine) -> (&'static str, String);

    /// Everything of it that a later call could notice.
    fn encode_state(self, to: &mut Encoder<'_>);

    /// Those among them on which `task` stands when it polls (`poll_wait`).
    fn poll_heads(self, m: &Machine, _task: TaskId) -> PollHeads {
        self.queues(m)
    }

    /// Whether it has a poll method at all (`file_can_poll`). Without one it is ready for poll(2),
    /// always, and refused by epoll.
    fn can_poll(self) -> bool {
        true
    }

    /// Whether read(2) and write(2) get as far as a method (`FMODE_CAN_READ`, `FMODE_CAN_WRITE`).
    fn can_transfer(self) -> bool {
        true
    }

    /// An attempt to read up to `count` bytes (`f_op->read_iter`).
    fn read<O: Observer>(
        self,
        _: &mut Kernel<'_, O>,
        _: Caller,
        _: (OutPtr, u64),
        _: &mut Io,
    ) -> Attempt {
        Attempt::fail(Errno::EINVAL)
    }

    /// An attempt to write (`f_op->write_iter`).
    fn write<O: Observer>(
        self,
        _: &mut Kernel<'_, O>,
        _: Caller,
        _: (&Ptr<Bytes>, u64),
        _: &mut Io,
    ) -> Attempt {
        Attempt::fail(Errno::EINVAL)
    }

    /// Whether it knows one buffer only, so that writev(2) writes part by part (`f_op->write` and no
    /// `f_op->write_iter`).
    fn writes_each_part(self) -> bool {
        false
    }

    /// The socket that it is, for the calls which only sockets have: see [`socket`](super::socket).
    fn as_socket(self) -> Option<Socket> {
        None
    }

    /// Whether an operation that sleeps finds signals itself, as it has something to give back then.
    fn finds_signals(self, _: &What) -> bool {
        false
    }

    /// Whether the poll method would have to wait for work that is under way (`flush_work`).
    fn poll_waits(self, _: &Machine) -> bool {
        false
    }

    /// What a read or write waits for after [`Attempt::Sleep`].
    fn awaited(self, _: &Machine, _: Caller, _: &What) -> Awaited {
        unreachable!("this kind never lets a transfer sleep")
    }

    /// Up to `most` bytes from a position on, for a pipe, and where in a page the first of them lies
    /// (`f_op->splice_read`).
    fn splice_read(self, _: &mut Machine, _: u64, _most: usize) -> Result<(usize, Vec<u8>), Errno> {
        Err(Errno::EINVAL)
    }

    /// Whether it takes bytes out of a pipe, as far as one can tell without a byte.
    fn can_splice_write(self) -> bool {
        false
    }

    /// Takes bytes out of a pipe, to a position (`f_op->splice_write`).
    fn splice_write(self, _: &mut Machine, _: u64, _: &[u8]) -> Result<(), Errno> {
        Err(Errno::EINVAL)
    }

    /// A request that the layers above the driver did not answer (`f_op->unlocked_ioctl`).
    fn ioctl(self, _: &mut Machine, _: Caller, _: u32, _: IoctlArg) -> Result<Out, Errno> {
        Err(Errno::ENOTTY)
    }

    /// A new position (`f_op->llseek`). By default it accepts all and does nothing (`noop_llseek`).
    fn llseek(self, _: &mut Machine, _: FileId, _: i64, _: i32) -> Result<i64, Errno> {
        Ok(0)
    }

    /// What `/proc/self/fd/N` opens of a file that was not opened by name. Anonymous files have no way in from
    /// outside.
    fn reopen(self) -> Result<Plain, Errno> {
        Err(Errno::ENXIO)
    }

    /// What happens when the last reference is gone (`f_op->release`). Its wake-ups reach no item that
    /// watched this file: these have gone before. A lock that they are made under is given back by
    /// [`FileOps::free`].
    fn release(self, _: &mut Machine, _: TaskId) -> Released {
        Released::Done(Wakes::default())
    }

    /// Frees what the file does not share. Its wake-ups are made: they walked its queues.
    fn free(self, m: &mut Machine);
}

/// The kinds: the enum, and the way from a file to its kind's operations.
macro_rules! kinds {
    ($($(#[$doc:meta])* $variant:ident($type:ty) = $number:literal;)*) => {
        /// What kind of file it is, and its state (`f_op`, `private_data`).
        #[derive(Clone, Copy, Debug)]
        pub(crate) enum Kind {
            $($(#[$doc])* $variant($type),)*
        }

        impl Kind {
            /// Tells the kinds apart in the encoding.
            pub(super) fn number(self) -> u64 {
                match self { $(Kind::$variant(_) => $number,)* }
            }
        }

        impl FileOps for Kind {
            #[inline]
            fn poll(self, m: &mut Machine, by: Poller) -> EventMask {
                match self { $(Kind::$variant(kind) => kind.poll(m, by),)* }
            }

            #[inline]
            fn queues(self, m: &Machine) -> PollHeads {
                match self { $(Kind::$variant(kind) => kind.queues(m),)* }
            }

            #[inline]
            fn poll_heads(self, m: &Machine, task: TaskId) -> PollHeads {
                match self { $(Kind::$variant(kind) => kind.poll_heads(m, task),)* }
            }

            fn describe(self, m: &Machine) -> (&'static str, String) {
                match self { $(Kind::$variant(kind) => kind.describe(m),)* }
            }

            #[inline]
            fn encode_state(self, to: &mut Encoder<'_>) {
                match self { $(Kind::$variant(kind) => kind.encode_state(to),)* }
            }

            #[inline]
            fn can_poll(self) -> bool {
                match self { $(Kind::$variant(kind) => kind.can_poll(),)* }
            }

            #[inline]
            fn can_transfer(self) -> bool {
                match self { $(Kind::$variant(kind) => kind.can_transfer(),)* }
            }

            #[inline]
            fn read<O: Observer>(
                self,
                kernel: &mut Kernel<'_, O>,
                caller: Caller,
                to: (OutPtr, u64),
                io: &mut Io,
            ) -> Attempt {
                match self { $(Kind::$variant(kind) => kind.read(kernel, caller, to, io),)* }
            }

            #[inline]
            fn write<O: Observer>(
                self,
                kernel: &mut Kernel<'_, O>,
                caller: Caller,
                from: (&Ptr<Bytes>, u64),
                io: &mut Io,
            ) -> Attempt {
                match self { $(Kind::$variant(kind) => kind.write(kernel, caller, from, io),)* }
            }

            fn writes_each_part(self) -> bool {
                match self { $(Kind::$variant(kind) => kind.writes_each_part(),)* }
            }

            fn as_socket(self) -> Option<Socket> {
                match self { $(Kind::$variant(kind) => kind.as_socket(),)* }
            }

            fn awaited(self, m: &Machine, caller: Caller, what: &What) -> Awaited {
                match self { $(Kind::$variant(kind) => kind.awaited(m, caller, what),)* }
            }

            fn splice_read(
                self,
                m: &mut Machine,
                pos: u64,
                most: usize,
            ) -> Result<(usize, Vec<u8>), Errno> {
                match self { $(Kind::$variant(kind) => kind.splice_read(m, pos, most),)* }
            }

            fn can_splice_write(self) -> bool {
                match self { $(Kind::$variant(kind) => kind.can_splice_write(),)* }
            }

            fn splice_write(self, m: &mut Machine, pos: u64, bytes: &[u8]) -> Result<(), Errno> {
                match self { $(Kind::$variant(kind) => kind.splice_write(m, pos, bytes),)* }
            }

            fn finds_signals(self, what: &What) -> bool {
                match self { $(Kind::$variant(kind) => kind.finds_signals(what),)* }
            }

            fn poll_waits(self, m: &Machine) -> bool {
                match self { $(Kind::$variant(kind) => kind.poll_waits(m),)* }
            }

            fn ioctl(
                self,
                m: &mut Machine,
                caller: Caller,
                op: u32,
                arg: IoctlArg,
            ) -> Result<Out, Errno> {
                match self { $(Kind::$variant(kind) => kind.ioctl(m, caller, op, arg),)* }
            }

            fn llseek(
                self,
                m: &mut Machine,
                file: FileId,
                offset: i64,
                whence: i32,
            ) -> Result<i64, Errno> {
                match self { $(Kind::$variant(kind) => kind.llseek(m, file, offset, whence),)* }
            }

            fn reopen(self) -> Result<Plain, Errno> {
                match self { $(Kind::$variant(kind) => kind.reopen(),)* }
            }

            fn release(self, m: &mut Machine, task: TaskId) -> Released {
                match self { $(Kind::$variant(kind) => kind.release(m, task),)* }
            }

            fn free(self, m: &mut Machine) {
                match self { $(Kind::$variant(kind) => kind.free(m),)* }
            }
        }
    };
}

kinds! {
    /// A file without anything to wait for.
    Plain(Plain) = 0;
    /// eventfd(2)
    EventFd(EventFd) = 1;
    /// An epoll, whose operations are in [`eventpoll`](crate::model::eventpoll).
    EventPoll(EpId) = 2;
    /// One end of a pipe.
    Pipe(PipeEnd) = 3;
    /// timerfd_create(2)
    TimerFd(TimerFdId) = 4;
    /// A Unix socket.
    Unix(UnixId) = 7;
    /// A UDP socket.
    Udp(UdpId) = 8;
    /// A TCP socket.
    Tcp(TcpId) = 9;
    /// A file with bytes and a name.
    Regular(Regular) = 10;
    /// signalfd(2)
    SignalFd(SignalFd) = 11;
    /// pidfd_open(2)
    PidFd(PidFd) = 12;
    /// inotify_init1(2)
    Inotify(InotifyId) = 14;
    /// One side of a pty.
    Tty(TtyEnd) = 13;
}
