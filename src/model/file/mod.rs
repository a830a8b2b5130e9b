//! Open file descriptions (`struct file`) and what stands behind them.
//!
//! Each kind of file is one file of this folder and answers the same few questions: what is true of you
//! now (`poll`), which wait queues does somebody stand on who wants to hear of changes (`poll_heads`), what
//! do read, write and close do, and whom do they wake with which key. Edge-triggering is decided here
//! without a word about epoll: by which operations wake whom.
//!
//! How to add a kind of file: a module with its state, a variant of [`Kind`], and then the compiler asks
//! for the rest, match by match. What is true now is [`Kernel::file_poll`]; whom to tell of changes,
//! [`Machine::poll_heads`]. Read and write are arms of `transfer_attempt`, and with them come what a sleeper
//! waits for and where (`transfer_ready`, `transfer_queue`). The end is [`Kernel::file_release`], which
//! says whom it wakes, and [`Machine::free_file`]. What a later call could notice goes into `encode`.

mod eventfd;
mod pipe;
mod plain;
mod transfer;

pub(crate) use eventfd::EventFd;
pub(crate) use pipe::{Pipe, PipeEnd, PipeResize};
pub(crate) use plain::Plain;
pub(crate) use transfer::{Transfer, Wakes};

use super::arena::{EpId, FileId, HeadId, ItemId};
use super::encode::{Encode, Encoder, Number};
use super::eventpoll::{EventPoll, Fllink};
use super::list::List;
use super::{Kernel, Machine};
use crate::abi::{EventMask, Fd, OpenFlags};
use crate::trace::{FileRef, Observer};

/// An open file description: what descriptors refer to, also after dup(2) and fork(2).
///
/// Among thousands each one that is looked up comes from memory: hence one cache line, and not parts of two.
#[derive(Clone, Debug)]
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
    /// As shown by fdinfo; different for different files, but for anonymous ones.
    pub(crate) inode: u32,
    /// The descriptor under which it was created: what people call it, no part of the kernel's state.
    pub(crate) label: FileRef,
}

/// What kind of file it is, and its state (`f_op`, `private_data`).
#[derive(Clone, Debug)]
pub(crate) enum Kind {
    EventPoll(EpId),
    Pipe(PipeEnd),
    EventFd(EventFd),
    Plain(Plain),
}

impl File {
    pub(crate) fn new(kind: Kind, flags: OpenFlags, label: Fd) -> File {
        File {
            refs: 1,
            flags,
            pos: 0,
            f_ep: List::EMPTY,
            kind,
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

    /// Whether it has a poll method (`file_can_poll`). Without one it is ready for poll(2), always, and
    /// refused by epoll.
    #[inline]
    pub(crate) fn can_poll(&self) -> bool {
        match &self.kind {
            Kind::Plain(plain) => plain.can_poll(),
            Kind::EventPoll(_) | Kind::Pipe(_) | Kind::EventFd(_) => true,
        }
    }

    pub(crate) fn nonblocking(&self) -> bool {
        self.flags.contains(OpenFlags::NONBLOCK)
    }
}

/// The inode that all anonymous files share (`anon_inode_inode`).
const ANON_INODE: u32 = 1038;

/// What poll(2) says of a file without poll method (`DEFAULT_POLLMASK`).
const DEFAULT_POLLMASK: EventMask = EventMask::IN
    .union(EventMask::OUT)
    .union(EventMask::RDNORM)
    .union(EventMask::WRNORM);

impl<O: Observer> Kernel<'_, O> {
    /// What is true of the file now (`f_op->poll`).
    ///
    /// Preconditions: it is no epoll file, whose answer takes more than one step.
    #[inline]
    pub(crate) fn file_poll(&mut self, file: FileId) -> EventMask {
        match &self.m.files[file].kind {
            Kind::EventFd(eventfd) => eventfd.poll(),
            Kind::Pipe(end) => {
                let end = *end;
                self.m.pipes[end.pipe].poll(end)
            }
            Kind::Plain(_) => DEFAULT_POLLMASK,
            Kind::EventPoll(_) => unreachable!("an epoll file is asked by a scan"),
        }
    }

    /// What the kind does when the last reference is gone (`f_op->release`), but for an epoll. Its
    /// wake-ups reach no item of its own: these have gone before.
    pub(crate) fn file_release(&mut self, file: FileId) -> Wakes {
        match self.m.files[file].kind {
            Kind::Pipe(end) => self.m.pipes[end.pipe].release(end),
            // Linux wakes an eventfd's queue with EPOLLHUP here, but nobody can be left on it: whoever
            // sleeps there holds a reference.
            Kind::EventFd(_) | Kind::Plain(_) | Kind::EventPoll(_) => Wakes::default(),
        }
    }
}

impl Machine {
    /// Frees the file and what it does not share. Its wake-ups are made: they walk its queues.
    pub(crate) fn free_file(&mut self, file: FileId) {
        match self.files[file].kind {
            Kind::Pipe(end) => self.put_pipe(end.pipe),
            Kind::EventFd(EventFd { wqh, .. }) => self.heads.remove(wqh),
            Kind::EventPoll(ep) => {
                let EventPoll { wq, poll_wait, .. } = self.epolls[ep];
                self.heads.remove(wq);
                self.heads.remove(poll_wait);
                self.epolls.remove(ep);
            }
            Kind::Plain(_) => {}
        }
        self.files.remove(file);
    }

    /// The wait queues on which a poller stands (`poll_wait`), in the order in which the kind's poll
    /// method names them.
    #[inline]
    pub(crate) fn poll_heads(&self, file: FileId) -> [Option<HeadId>; 2] {
        match &self.files[file].kind {
            Kind::EventFd(eventfd) => [Some(eventfd.wqh), None],
            Kind::Pipe(end) => self.pipes[end.pipe].poll_heads(*end),
            Kind::EventPoll(ep) => [Some(self.epolls[*ep].poll_wait), None],
            Kind::Plain(_) => [None, None],
        }
    }

    /// Drops a reference; `true` if it was the last and the file has to be released.
    pub(crate) fn put_file(&mut self, file: FileId) -> bool {
        let file = &mut self.files[file];
        file.refs -= 1;
        file.refs == 0
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
            inode: _,
            label: _,
        } = self;
        let machine = to.machine;
        let (flags, pos) = (flags.number(to), *pos);
        match kind {
            Kind::Plain(plain) => to.numbers([0, flags, pos, plain.number(to)]),
            Kind::EventFd(eventfd) => {
                to.numbers([1, flags, pos]);
                eventfd.encode(to);
            }
            Kind::EventPoll(ep) => {
                to.numbers([2, flags, pos]);
                machine.epolls[*ep].encode(to);
            }
            Kind::Pipe(end) => {
                to.numbers([3, flags, pos]);
                end.encode(to);
            }
        }
    }
}
