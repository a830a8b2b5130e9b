//! inotify(7): what happens to names, as a file.
//!
//! An instance has watches, each on an inode, and a queue of events. Whatever call does something to an inode
//! tells the watches on it, and those on the directory that holds its name ([`notify`](super::notify)). An
//! event that is queued wakes one, without a key. One that equals the last in the queue is not queued, and
//! wakes nobody: so a program that writes twice is one event, and for epoll one edge.
//!
//! ```text
//!   write(2) ──► IN_MODIFY ──► same as the tail? merged, nothing
//!                              queue full?       IN_Q_OVERFLOW, once
//!                              else              to the tail, wake one
//! ```
//!
//! A read takes whole events, as many as there is room for.

use std::collections::VecDeque;

use super::File;
use super::ops::{Awaited, Caller, FileOps, Kind, PollHeads, Poller};
use super::transfer::{Attempt, Io, Record, What};
use crate::abi::{
    Errno, EventMask, Fd, InotifyEvent, InotifyMask, IoctlArg, OpenFlags, Out, OutPtr, Room,
    TaskId, request,
};
use crate::model::arena::{HeadId, InodeId, InotifyId};
use crate::model::encode::{Encode, Encoder, Number};
use crate::model::wait_queue::{Nr, WaitHead, Wake, WakeFn};
use crate::model::{Kernel, Machine};
use crate::trace::{FileRef, Observer, Place, QueueRef, Trace};

/// An instance (`struct fsnotify_group`).
#[derive(Clone, Debug)]
pub(crate) struct Inotify {
    /// Those that nobody has read (`notification_list`).
    queue: VecDeque<InotifyEvent>,
    /// In the order of their numbers.
    pub(crate) watches: Vec<Watch>,
    /// The number that was given out last: they are not used again.
    last_wd: i32,
    /// Who waits for an event (`notification_waitq`).
    pub(crate) waitq: HeadId,
    /// The file's name for people.
    label: FileRef,
}

/// A watch (`struct inotify_inode_mark`).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Watch {
    pub(crate) wd: i32,
    pub(crate) inode: InodeId,
    pub(crate) mask: InotifyMask,
}

/// `fs.inotify.max_queued_events`, as it is where nobody has changed it.
const MAX_EVENTS: usize = 16384;

/// What can be asked for and told.
const EVENTS: InotifyMask = InotifyMask::ALL_EVENTS;

impl FileOps for InotifyId {
    /// `inotify_poll`
    fn poll(self, m: &mut Machine, _: Poller) -> EventMask {
        if m.inotifies[self].queue.is_empty() {
            EventMask::empty()
        } else {
            EventMask::IN | EventMask::RDNORM
        }
    }

    fn queues(self, m: &Machine) -> PollHeads {
        [Some(m.inotifies[self].waitq), None]
    }

    fn describe(self, m: &Machine) -> (&'static str, String) {
        let Inotify { queue, watches, .. } = &m.inotifies[self];
        let content = format!("{} events, {} watches", queue.len(), watches.len());
        ("inotify", content)
    }

    fn encode_state(self, to: &mut Encoder<'_>) {
        let machine = to.machine;
        let Inotify {
            queue,
            watches,
            last_wd,
            waitq,
            label: _,
        } = &machine.inotifies[self];
        for event in queue {
            to.byte(1);
            event.encode(to);
        }
        to.none();
        for Watch { wd, inode, mask } in watches {
            wd.encode(to);
            to.number(mask.bits().into());
            to.inode(*inode);
        }
        to.none();
        last_wd.encode(to);
        to.queue(*waitq);
    }

    /// `inotify_read`: one event a round.
    fn read<O: Observer>(
        self,
        kernel: &mut Kernel<'_, O>,
        caller: Caller,
        (buf, count): (OutPtr, u64),
        io: &mut Io,
    ) -> Attempt {
        if kernel.walked_by_another(caller.task, kernel.m.inotifies[self].waitq) {
            return Attempt::Locked;
        }
        let nonblocking = kernel.m.files[caller.file].nonblocking();
        let read = io.records_read();
        let queue = &mut kernel.m.inotifies[self].queue;
        let Some(size) = queue.front().map(InotifyEvent::size) else {
            return match () {
                () if read > 0 => io.read_records(),
                () if nonblocking => Attempt::fail(Errno::EAGAIN),
                () => Attempt::Sleep,
            };
        };
        if size > count - read {
            return if read > 0 {
                io.read_records()
            } else {
                Attempt::fail(Errno::EINVAL)
            };
        }
        let event = queue.pop_front();
        let room = match buf {
            OutPtr::Memory(Room::Bytes(room)) => room,
            OutPtr::Memory(_) => u64::MAX,
            OutPtr::Addr(_) => 0,
        };
        match event {
            Some(event) if room - read.min(room) >= size => {
                io.record(Record::Inotify(event));
                Attempt::More
            }
            // Taken, and not stored. Those before it are lost with it: the call has failed.
            _ => {
                io.forget_records();
                Attempt::fail(Errno::EFAULT)
            }
        }
    }

    fn awaited(self, m: &Machine, _: Caller, _: &What) -> Awaited {
        let Inotify { queue, waitq, .. } = &m.inotifies[self];
        Awaited {
            head: *waitq,
            place: Place::Head,
            func: WakeFn::Default,
            exclusive: false,
            ready: !queue.is_empty(),
            locked: true,
        }
    }

    /// `inotify_ioctl`
    fn ioctl(self, m: &mut Machine, _: Caller, op: u32, arg: IoctlArg) -> Result<Out, Errno> {
        match (op, arg) {
            (request::FIONREAD, IoctlArg::IntOut(OutPtr::Memory(Room::Plenty))) => {
                let size: u64 = m.inotifies[self].queue.iter().map(InotifyEvent::size).sum();
                Ok(Out::Int(i32::try_from(size).unwrap_or(i32::MAX)))
            }
            (request::FIONREAD, _) => Err(Errno::EFAULT),
            _ => Err(Errno::ENOTTY),
        }
    }

    fn free(self, m: &mut Machine) {
        m.heads.remove(m.inotifies[self].waitq);
        m.inotifies.remove(self);
    }
}

impl<O: Observer> Kernel<'_, O> {
    /// inotify_init1(2)
    pub(crate) fn inotify_init1(&mut self, task: TaskId, flags: OpenFlags) -> Result<Fd, Errno> {
        let status = flags & OpenFlags::NONBLOCK;
        if !(flags - status - OpenFlags::CLOEXEC).is_empty() {
            return Err(Errno::EINVAL);
        }
        let fd = self.unused_fd(task, 0)?;
        let label = FileRef(fd);
        let waitq = self.m.heads.insert(WaitHead::new(QueueRef::File(label)));
        let inotify = self.m.inotifies.insert(Inotify {
            queue: VecDeque::new(),
            watches: Vec::new(),
            last_wd: 0,
            waitq,
            label,
        });
        // For reading only.
        let file = File::new(Kind::Inotify(inotify), status, fd);
        let file = self.m.files.insert(file);
        self.fd_install(task, fd, file, flags.contains(OpenFlags::CLOEXEC));
        Ok(fd)
    }

    /// What inotify_add_watch(2) checks before it looks at the path.
    pub(crate) fn check_add_watch(
        &self,
        task: TaskId,
        fd: Fd,
        mask: InotifyMask,
    ) -> Result<InotifyId, Errno> {
        if !InotifyMask::all_known().contains(mask) || mask.is_empty() {
            return Err(Errno::EINVAL);
        }
        let file = self.m.fget(task, fd).ok_or(Errno::EBADF)?;
        let both = InotifyMask::MASK_ADD | InotifyMask::MASK_CREATE;
        match self.m.files[file].kind {
            Kind::Inotify(inotify) if !mask.contains(both) => Ok(inotify),
            _ => Err(Errno::EINVAL),
        }
    }

    /// `inotify_update_watch`
    pub(crate) fn inotify_update_watch(
        &mut self,
        inotify: InotifyId,
        inode: InodeId,
        mask: InotifyMask,
    ) -> Result<i64, Errno> {
        let Inotify {
            watches, last_wd, ..
        } = &mut self.m.inotifies[inotify];
        let kept = mask & (EVENTS | InotifyMask::EXCL_UNLINK | InotifyMask::ONESHOT);
        if let Some(watch) = watches.iter_mut().find(|watch| watch.inode == inode) {
            if mask.contains(InotifyMask::MASK_CREATE) {
                return Err(Errno::EEXIST);
            }
            watch.mask = if mask.contains(InotifyMask::MASK_ADD) {
                watch.mask | kept
            } else {
                kept
            };
            return Ok(watch.wd.into());
        }
        *last_wd += 1;
        let wd = *last_wd;
        let mask = kept;
        watches.push(Watch { wd, inode, mask });
        Ok(wd.into())
    }

    /// inotify_rm_watch(2)
    pub(crate) fn inotify_rm_watch(&mut self, task: TaskId, fd: Fd, wd: i32) -> Result<i64, Errno> {
        let file = self.m.fget(task, fd).ok_or(Errno::EBADF)?;
        let Kind::Inotify(inotify) = self.m.files[file].kind else {
            return Err(Errno::EINVAL);
        };
        let mut watches = self.m.inotifies[inotify].watches.iter();
        if !watches.any(|watch| watch.wd == wd) {
            return Err(Errno::EINVAL);
        }
        self.destroy_watch(inotify, wd);
        Ok(0)
    }

    /// Ends a watch, and tells so (`inotify_ignored_and_remove_idr`).
    pub(crate) fn destroy_watch(&mut self, inotify: InotifyId, wd: i32) {
        self.queue_event(inotify, wd, InotifyMask::IGNORED, "");
        let watches = &mut self.m.inotifies[inotify].watches;
        watches.retain(|watch| watch.wd != wd);
    }

    /// `fsnotify_insert_event`, `inotify_merge`
    ///
    /// Preconditions: no lock is in the way of the wake-up.
    pub(crate) fn queue_event(
        &mut self,
        inotify: InotifyId,
        wd: i32,
        mask: InotifyMask,
        name: &str,
    ) {
        let name = name.into();
        let mut event = InotifyEvent { wd, mask, name };
        let Inotify {
            queue,
            waitq,
            label,
            ..
        } = &mut self.m.inotifies[inotify];
        let (head, file) = (*waitq, *label);
        let overflow = InotifyEvent::overflow();
        if queue.len() >= MAX_EVENTS {
            if queue.contains(&overflow) {
                return;
            }
            event = overflow;
        } else if queue.back() == Some(&event) && mask != InotifyMask::IGNORED {
            return self.obs.on(Trace::InotifyMerge(file));
        }
        queue.push_back(event);
        self.obs.on(Trace::InotifyQueue { file, wd });
        let key = EventMask::empty();
        let nr = Nr::One;
        self.wake_up_in_interrupt(Wake { head, key, nr });
    }
}

impl Machine {
    /// Whether an event on a name would have to wait for a lock of another task, on the way to those who wait
    /// for events. Its own, `task` has given back by then.
    pub(crate) fn is_event_held_up(&self, task: TaskId) -> bool {
        let mut inotifies = self.inotifies.live().into_iter();
        inotifies.any(|id| self.leads_to_a_lock_not_of(Some(task), self.inotifies[id].waitq))
    }
}

impl Encode for InotifyEvent {
    fn encode(&self, to: &mut Encoder<'_>) {
        let InotifyEvent { wd, mask, name } = self;
        to.numbers([wd.number(to), mask.bits().into()]);
        to.bytes(name.as_bytes());
    }
}

impl Inotify {
    /// The watch on an inode: there is one at most.
    pub(crate) fn watch_on(&self, inode: InodeId) -> Option<Watch> {
        self.watches
            .iter()
            .find(|watch| watch.inode == inode)
            .copied()
    }
}
