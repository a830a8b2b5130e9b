//! Open file descriptions (`struct file`) and what stands behind them.
//!
//! Each kind of file is one file of this folder and fills in one table of operations: see [`ops`], which
//! also tells how to add a kind.

mod eventfd;
mod fifo;
mod inet;
mod inotify;
mod notify;
mod ops;
mod pidfd;
mod pipe;
mod plain;
mod regular;
mod signalfd;
mod socket;
mod splice;
mod tcp;
mod timerfd;
mod transfer;
mod tty;
mod udp;
mod unix;

pub(crate) use eventfd::EventFd;
pub(crate) use fifo::FifoOpen;
pub(crate) use inotify::Inotify;
pub(crate) use ops::{Caller, FileOps, Kind, PollHeads, Poller, Released};
pub(crate) use pipe::{Pipe, PipeEnd, PipeResize};
pub(crate) use plain::Plain;
pub(crate) use regular::Regular;
pub(crate) use signalfd::SetSignals;
pub(crate) use socket::{Directions, End, Needs, SockType, Socket, SocketOps};
pub(crate) use splice::{How, Splicing};
pub(crate) use tcp::{Segment, TcpSock};
pub(crate) use timerfd::{SetTicks, TimerFd};
pub(crate) use transfer::{Accepting, Attempt, Io, Receiving, Sending, Transfer, Wakes, What};
pub(crate) use tty::{Pty, Side, TtyChange, has_timer, not_modelled};
pub(crate) use udp::{Datagram, UdpSock};
pub(crate) use unix::UnixSock;

use super::arena::{EpId, FileId, InodeId, ItemId};
use super::encode::{Encode, Encoder, Number};
use super::eventpoll::Fllink;
use super::list::List;
use super::{Kernel, Machine};
use crate::abi::{EventMask, Fd, MsgFlags, OpenFlags, TaskId};
use crate::trace::{FileRef, Observer};

/// An open file description: what descriptors refer to, also after dup(2) and fork(2).
///
/// Among thousands each one that is looked up comes from memory: hence one cache line, and not parts of two.
#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
pub(crate) struct File {
    /// Descriptors and calls in flight (`f_count`). At 0 the file is being torn down.
    pub(crate) refs: u32,
    /// Access mode and status (`f_flags`).
    pub(crate) flags: OpenFlags,
    /// Where the next read starts (`f_pos`).
    pub(crate) pos: u64,
    /// The items that watch it, newest first (`f_ep`).
    pub(crate) f_ep: List<ItemId, Fllink>,
    pub(crate) kind: Kind,
    /// What it was opened by name, if it was (`f_inode`).
    pub(crate) f_inode: Option<InodeId>,
    /// As shown by fdinfo; different for different files, but for anonymous ones.
    pub(crate) inode: u32,
    /// The descriptor under which it was created: what people call it, no part of the kernel's state.
    pub(crate) label: FileRef,
}

impl File {
    pub(crate) fn new(kind: Kind, flags: OpenFlags, label: Fd) -> File {
        File {
            refs: 1,
            flags,
            pos: 0,
            f_ep: List::EMPTY,
            kind,
            f_inode: None,
            inode: ANON_INODE,
            label: FileRef(label),
        }
    }

    /// The epoll behind it (`is_file_epoll`).
    #[inline]
    pub(crate) fn epoll(&self) -> Option<EpId> {
        match self.kind {
            Kind::EventPoll(ep) => Some(ep),
            _ => None,
        }
    }

    pub(crate) fn nonblocking(&self) -> bool {
        self.flags.contains(OpenFlags::NONBLOCK)
    }

    /// Whether a call on a socket may sleep (`sock_rcvtimeo`).
    pub(crate) fn may_wait(&self, flags: MsgFlags) -> bool {
        !self.nonblocking() && !flags.contains(MsgFlags::DONTWAIT)
    }
}

/// The inode that all anonymous files share (`anon_inode_inode`).
const ANON_INODE: u32 = 1038;

/// What poll(2) says of a file without poll method (`DEFAULT_POLLMASK`).
const DEFAULT_POLLMASK: EventMask = EventMask::IN
    .union(EventMask::OUT)
    .union(EventMask::RDNORM)
    .union(EventMask::WRNORM);

impl Machine {
    /// What is true of the file now.
    ///
    /// Preconditions: it is no epoll file, whose answer takes more than one step.
    #[inline]
    pub(crate) fn file_poll(&mut self, file: FileId, by: Poller) -> EventMask {
        self.files[file].kind.poll(self, by)
    }

    /// The wait queues on which `task` stands when it polls the file.
    #[inline]
    pub(crate) fn poll_heads(&self, file: FileId, task: TaskId) -> PollHeads {
        self.files[file].kind.poll_heads(self, task)
    }

    /// Drops a reference; `true` if it was the last and the file has to be released.
    pub(crate) fn put_file(&mut self, file: FileId) -> bool {
        let file = &mut self.files[file];
        file.refs -= 1;
        file.refs == 0
    }
}

impl<O: Observer> Kernel<'_, O> {
    /// Frees the file and what it does not share.
    pub(crate) fn free_file(&mut self, file: FileId) {
        let File { kind, f_inode, .. } = self.m.files[file];
        kind.free(self.m);
        self.m.files.remove(file);
        if let Some(inode) = f_inode {
            self.m.fs.inode_mut(inode).files -= 1;
            self.iput(inode);
        }
    }
}

impl Encode for File {
    fn encode(&self, to: &mut Encoder<'_>) {
        let File {
            refs: _, // descriptors and calls in flight
            flags,
            pos,
            f_ep: _, // written before, as items get their numbers from it
            kind,
            f_inode,
            inode: _,
            label: _,
        } = self;
        let number = kind.number() << 1 | u64::from(f_inode.is_some());
        to.numbers([number, flags.number(to), *pos]);
        kind.encode_state(to);
        if let Some(inode) = f_inode {
            to.inode(*inode);
        }
    }
}
