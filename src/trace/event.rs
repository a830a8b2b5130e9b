//! One internal step as a value and as a sentence.

use std::fmt;

use crate::abi::{EpollEvent, EventMask, Fd, Signal, TaskId};

/// An epoll instance, named by the descriptor under which it was created.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct EpRef(pub Fd);

/// An open file description, named by the descriptor under which it was created.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct FileRef(pub Fd);

/// A registration (`struct epitem`): the number it was added as, in its epoll.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct ItemRef {
    /// The epoll it belongs to (`epi->ep`).
    pub ep: EpRef,
    /// The number given at `EPOLL_CTL_ADD` (`epi->ffd.fd`).
    pub tfd: Fd,
}

/// A wait queue, named by the file it belongs to.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum QueueRef {
    /// Tasks in epoll_wait(2) (`ep->wq`).
    EpWq(EpRef),
    /// Those who poll the epoll file itself (`ep->poll_wait`).
    EpPollWait(EpRef),
    /// Readers of a pipe (`pipe->rd_wait`); the number is that of its read end.
    PipeRead(FileRef),
    /// Writers of a pipe (`pipe->wr_wait`).
    PipeWrite(FileRef),
    /// Those who read a side of a pty, or poll it (`tty->read_wait`); a side goes by the name of its master.
    TtyRead {
        /// The master.
        master: FileRef,
        /// Whether it is that of the slave.
        slave: bool,
    },
    /// Those who write to a side of a pty, or poll it (`tty->write_wait`).
    TtyWrite {
        /// The master.
        master: FileRef,
        /// Whether it is that of the slave.
        slave: bool,
    },
    /// The queue of a file that has one only.
    File(FileRef),
    /// Those who wait for room in front of a Unix socket (`unix_sk(sk)->peer_wait`).
    PeerWait(FileRef),
    /// Parents in wait4(2) (`signal->wait_chldexit`).
    Children(TaskId),
    /// Those who watch the end of a process or thread (`pid->wait_pidfd`).
    Pid(TaskId),
    /// Those who watch or read signalfds of a process (`sighand->signalfd_wqh`).
    Signals(TaskId),
}

/// What comes over the network.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum PacketRef {
    /// A datagram of UDP, with so many bytes.
    Datagram(usize),
    /// A segment of TCP: its flags, as tcpdump(8) would have them, and so many bytes.
    Segment(&'static str, usize),
    /// An ICMP error: nobody has the port.
    PortUnreachable,
}

impl fmt::Display for PacketRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PacketRef::Datagram(bytes) => write!(f, "a datagram of {bytes} bytes"),
            PacketRef::Segment(flags, 0) => write!(f, "a segment, {flags}"),
            PacketRef::Segment(flags, bytes) => write!(f, "a segment, {flags} of {bytes} bytes"),
            PacketRef::PortUnreachable => f.write_str("an ICMP error, no such port"),
        }
    }
}

/// Where on a list something was put.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Place {
    /// In front.
    Head,
    /// Behind all others.
    Tail,
}

/// What `ep_poll_callback` made of a wake-up.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Verdict {
    /// A fired `EPOLLONESHOT`: nothing happens.
    Disarmed,
    /// The key has no bit of the interest: nothing happens.
    KeyMiss,
    /// Appended to the ready list.
    Queued,
    /// It was on the ready list and stays where it is.
    AlreadyLinked,
    /// A scan is running: pushed onto the overflow list.
    Overflowed,
    /// A scan is running, and it was on the overflow list already.
    AlreadyOverflowed,
    /// Forgotten, by an epoll that is wrong on purpose.
    Lost,
    /// Put in front of the ready list, by another one.
    InFront,
}

/// An internal step.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
#[expect(missing_docs, reason = "each variant's sentence names its fields")]
pub enum Trace {
    /// `ep_insert`: the item is in the tree.
    Insert(ItemRef),
    /// `ep_remove`: it has left the tree and every list.
    Remove(ItemRef),
    /// `ep_ptable_queue_proc`: the item's hook stands on a wait queue.
    Hook {
        item: ItemRef,
        queue: QueueRef,
        exclusive: bool,
    },
    /// `ep_remove_wait_queue`: the hook has left it.
    Unhook { item: ItemRef, queue: QueueRef },
    /// `ep_poll_callback`: the wait queue is about to be freed, and the hook has left it for good.
    PollFree { item: ItemRef, queue: QueueRef },
    /// `ep_modify`: interest and data were overwritten.
    Modify { item: ItemRef, interest: EventMask },
    /// `ep_item_poll`: the file was asked; `ready` is its answer within the interest.
    Poll { item: ItemRef, ready: EventMask },
    /// `ep_insert` or `ep_modify` found the file ready: the item goes to the tail of the ready list.
    Ready(ItemRef),
    /// `__wake_up`: a walk along a wait queue begins. `nr` 0 wakes all.
    Wake {
        queue: QueueRef,
        key: EventMask,
        nr: u8,
    },
    /// `ep_poll_callback`: a wake-up reached the item.
    Callback {
        item: ItemRef,
        key: EventMask,
        verdict: Verdict,
    },
    /// A sleeping task was woken and taken off the queue (`autoremove_wake_function`).
    WakeTask { task: TaskId, queue: QueueRef },
    /// A sleeping task was woken and stays on the queue (`default_wake_function`).
    WakeStays { task: TaskId, queue: QueueRef },
    /// A task that polls was told (`pollwake`).
    PollWake { task: TaskId, queue: QueueRef },
    /// `ep_start_scan`: the ready list moved to the scan's private list; the overflow list is open.
    ScanStart { ep: EpRef, task: TaskId, items: u32 },
    /// `ep_send_events`: the item was asked and is not ready any more; it leaves the list.
    Stale(ItemRef),
    /// `epoll_put_uevent`: an event was stored.
    Put { item: ItemRef, event: EpollEvent },
    /// The store faulted: the item went back to the front of the scan's list.
    Fault(ItemRef),
    /// A one-shot item fired: only its private bits remain.
    Disarm(ItemRef),
    /// A level-triggered item went to the tail of the ready list again.
    Requeue(ItemRef),
    /// `ep_done_scan`: `left` undelivered items, then `overflow` overflowed ones, then the requeued.
    ScanDone {
        ep: EpRef,
        left: u32,
        overflow: u32,
        requeued: u32,
    },
    /// A task sleeps on a queue.
    Sleep {
        task: TaskId,
        queue: QueueRef,
        place: Place,
    },
    /// A task waits for `ep->mtx`, which another holds.
    MutexWait { task: TaskId, ep: EpRef },
    /// A task stopped at a frozen page.
    Frozen { task: TaskId },
    /// A sleeper's deadline passed.
    Timeout { task: TaskId },
    /// The timer of a timerfd fired.
    Expire(FileRef),
    /// `process_backlog`: a packet arrives, at this socket or at none.
    Packet {
        what: PacketRef,
        to: Option<FileRef>,
    },
    /// `fsnotify_insert_event`: an inotify instance has one more event.
    InotifyQueue { file: FileRef, wd: i32 },
    /// `inotify_merge`: the last event of an inotify instance says the same.
    InotifyMerge(FileRef),
    /// The last reference to a file is gone (`__fput`).
    Release(FileRef),
    /// `send_signal`: what became of a signal to this task, or to its process.
    Signal {
        signal: Signal,
        target: TaskId,
        fate: SignalFate,
    },
    /// `handle_signal`: a task is about to run its handler.
    Handler { task: TaskId, signal: Signal },
    /// `do_signal_stop`: a task stops.
    Stop { task: TaskId },
    /// `prepare_signal`: SIGCONT makes the process of this task go on.
    Continue { task: TaskId },
    /// `arch_do_signal_or_restart`: a call that a signal has interrupted is made again.
    Restart { task: TaskId },
    /// Here an epoll that is wrong on purpose does something else than Linux; the name of its mistake.
    Wrong(&'static str),
}

/// What became of a signal when it was sent.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum SignalFate {
    /// Dropped: the process ignores it, or is about to end.
    Ignored,
    /// Dropped: one of its kind is pending already.
    AlreadyPending,
    /// It stays pending: everybody blocks it, or has stopped.
    Pending,
    /// This task is to take it.
    Wakes(TaskId),
}

impl fmt::Display for EpRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "epoll {}", self.0)
    }
}

impl fmt::Display for FileRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "file {}", self.0)
    }
}

impl fmt::Display for ItemRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "item {} of {}", self.tfd, self.ep)
    }
}

fn of_slave(slave: bool) -> &'static str {
    if slave { "the slave of " } else { "" }
}

impl fmt::Display for QueueRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            QueueRef::EpWq(ep) => write!(f, "wq of {ep}"),
            QueueRef::EpPollWait(ep) => write!(f, "poll_wait of {ep}"),
            QueueRef::PipeRead(file) => write!(f, "rd_wait of {file}"),
            QueueRef::PipeWrite(file) => write!(f, "wr_wait of {file}"),
            QueueRef::TtyRead { master, slave } => {
                write!(f, "read_wait of {}{master}", of_slave(*slave))
            }
            QueueRef::TtyWrite { master, slave } => {
                write!(f, "write_wait of {}{master}", of_slave(*slave))
            }
            QueueRef::File(file) => write!(f, "wait queue of {file}"),
            QueueRef::PeerWait(file) => write!(f, "peer_wait of {file}"),
            QueueRef::Children(task) => write!(f, "wait_chldexit of task {}", task.0),
            QueueRef::Pid(task) => write!(f, "wait_pidfd of task {}", task.0),
            QueueRef::Signals(task) => write!(f, "signalfd_wqh of task {}", task.0),
        }
    }
}

/// The kernel function and what it did, in one line.
impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Trace::Insert(item) => write!(f, "ep_insert: {item} enters the tree"),
            Trace::Remove(item) => write!(f, "ep_remove: {item} is gone"),
            Trace::Hook {
                item,
                queue,
                exclusive: false,
            } => {
                write!(
                    f,
                    "ep_ptable_queue_proc: {item} hooks onto the head of {queue}"
                )
            }
            Trace::Hook {
                item,
                queue,
                exclusive: true,
            } => {
                write!(
                    f,
                    "ep_ptable_queue_proc: {item} hooks onto the tail of {queue}, exclusive"
                )
            }
            Trace::Unhook { item, queue } => {
                write!(f, "ep_remove_wait_queue: {item} leaves {queue}")
            }
            Trace::PollFree { item, queue } => {
                write!(f, "ep_poll_callback: {item} leaves {queue}, which is freed")
            }
            Trace::Modify { item, interest } => {
                write!(f, "ep_modify: {item} asks for {interest}")
            }
            Trace::Poll { item, ready } => write!(f, "ep_item_poll: {item} answers {ready}"),
            Trace::Ready(item) => write!(f, "{item} is ready: to the tail of rdllist"),
            Trace::Wake { queue, key, nr: 0 } => {
                write!(f, "wake_up_all: {queue}, key {}", key.as_key())
            }
            Trace::Wake { queue, key, .. } => write!(f, "wake_up: {queue}, key {}", key.as_key()),
            Trace::Callback { item, key, verdict } => {
                write!(f, "ep_poll_callback: {item}, key {}: ", key.as_key())?;
                f.write_str(match verdict {
                    Verdict::Disarmed => "disarmed one-shot, nothing",
                    Verdict::KeyMiss => "not its interest, nothing",
                    Verdict::Queued => "to the tail of rdllist",
                    Verdict::AlreadyLinked => "is linked, keeps its place",
                    Verdict::Overflowed => "a scan runs: to ovflist",
                    Verdict::AlreadyOverflowed => "is on ovflist already",
                    Verdict::Lost => "forgotten",
                    Verdict::InFront => "to the head of rdllist",
                })
            }
            Trace::WakeStays { task, queue } => {
                write!(
                    f,
                    "default_wake_function: task {} wakes up, and stays on {queue}",
                    task.0
                )
            }
            Trace::WakeTask { task, queue } => {
                write!(
                    f,
                    "autoremove_wake_function: task {} leaves {queue}",
                    task.0
                )
            }
            Trace::PollWake { task, queue } => {
                write!(f, "pollwake: task {} is told by {queue}", task.0)
            }
            Trace::ScanStart { ep, task, items } => {
                write!(f, "ep_start_scan: task {} takes {items} of {ep}", task.0)
            }
            Trace::Stale(item) => write!(f, "ep_send_events: {item} is not ready, off the list"),
            Trace::Put { item, event } => write!(f, "epoll_put_uevent: {item} reports {event}"),
            Trace::Fault(item) => {
                write!(f, "epoll_put_uevent: fault, {item} back to the front")
            }
            Trace::Disarm(item) => write!(f, "ep_send_events: {item} is one-shot, disarmed"),
            Trace::Requeue(item) => {
                write!(
                    f,
                    "ep_send_events: {item} is level-triggered, to the tail of rdllist"
                )
            }
            Trace::ScanDone {
                ep,
                left,
                overflow,
                requeued,
            } => write!(
                f,
                "ep_done_scan: rdllist of {ep} = {left} undelivered, {overflow} overflowed, \
                 {requeued} requeued"
            ),
            Trace::Sleep {
                task,
                queue,
                place: Place::Head,
            } => {
                write!(f, "task {} sleeps at the head of {queue}", task.0)
            }
            Trace::Sleep {
                task,
                queue,
                place: Place::Tail,
            } => {
                write!(f, "task {} sleeps at the tail of {queue}", task.0)
            }
            Trace::MutexWait { task, ep } => {
                write!(f, "mutex_lock: task {} waits for the mtx of {ep}", task.0)
            }
            Trace::Frozen { task } => write!(f, "task {} stands at a frozen page", task.0),
            Trace::Timeout { task } => write!(f, "task {}: the deadline has passed", task.0),
            Trace::Signal {
                signal,
                target,
                fate,
            } => {
                write!(f, "send_signal: {signal} to task {}: ", target.0)?;
                match fate {
                    SignalFate::Ignored => f.write_str("ignored"),
                    SignalFate::AlreadyPending => f.write_str("pending already, nothing"),
                    SignalFate::Pending => f.write_str("pending, nobody takes it now"),
                    SignalFate::Wakes(task) => write!(f, "task {} is to take it", task.0),
                }
            }
            Trace::Handler { task, signal } => {
                write!(
                    f,
                    "handle_signal: task {} runs its handler of {signal}",
                    task.0
                )
            }
            Trace::Stop { task } => write!(f, "do_signal_stop: task {} stops", task.0),
            Trace::Continue { task } => {
                write!(f, "prepare_signal: the process of task {} goes on", task.0)
            }
            Trace::Restart { task } => {
                write!(f, "task {} makes its call again", task.0)
            }
            Trace::Expire(file) => write!(f, "timerfd_tmrproc: the timer of {file} fires"),
            Trace::Packet { what, to } => {
                write!(f, "process_backlog: {what}")?;
                match to {
                    Some(file) => write!(f, ", for {file}"),
                    None => f.write_str(", for nobody"),
                }
            }
            Trace::InotifyQueue { file, wd } => {
                write!(
                    f,
                    "fsnotify_insert_event: watch {wd} of {file}, to the tail"
                )
            }
            Trace::InotifyMerge(file) => {
                write!(f, "inotify_merge: as the last event of {file}, nothing")
            }
            Trace::Release(file) => write!(f, "__fput: last reference to {file}"),
            Trace::Wrong(variant) => write!(f, "unlike Linux: --{variant}"),
        }
    }
}
