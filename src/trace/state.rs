//! The internal state as plain data: what a picture of the kernel needs, and nothing of how it is kept.

use super::{EpRef, FileRef, ItemRef, QueueRef};
use crate::abi::{EpollEvent, EventMask, Fd, TaskId};

/// Everything that can be drawn.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct State {
    /// Virtual time in nanoseconds.
    pub now: u64,
    /// Every epoll instance, in the order of creation.
    pub epolls: Vec<EpollState>,
    /// Every other open file description, in the order of creation.
    pub files: Vec<FileState>,
    /// Every task.
    pub tasks: Vec<TaskState>,
}

/// One epoll instance (`struct eventpoll`).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EpollState {
    /// Its name.
    pub ep: EpRef,
    /// The descriptors that refer to it: task (that leads the process) and number.
    pub fds: Vec<(TaskId, Fd)>,
    /// The red-black tree (`rbr`), in pre-order; the root comes first.
    pub tree: Vec<NodeState>,
    /// The ready list (`rdllist`), first to last.
    pub rdllist: Vec<ItemRef>,
    /// The list that a running scan works on (`txlist`).
    pub txlist: Vec<ItemRef>,
    /// The overflow list, newest first; `None` while no scan runs.
    pub ovflist: Option<Vec<ItemRef>>,
    /// Who holds the mutex (`mtx`).
    pub mtx: Option<TaskId>,
    /// Sleepers in epoll_wait(2), in the order in which they would be woken.
    pub wq: Vec<WaiterState>,
    /// Outer epolls and pollers of this file.
    pub poll_wait: Vec<WaiterState>,
}

/// A node of the tree.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NodeState {
    /// The item.
    pub item: ItemRef,
    /// The file it watches, the first half of its key.
    pub file: FileRef,
    /// Its interest.
    pub interest: EventMask,
    /// Its data.
    pub data: u64,
    /// Its colour.
    pub red: bool,
    /// How deep it stands; the root at 0.
    pub depth: u32,
    /// Index of the left child in [`EpollState::tree`].
    pub left: Option<usize>,
    /// Index of the right child.
    pub right: Option<usize>,
}

/// An open file description and its wait queues.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FileState {
    /// Its name.
    pub file: FileRef,
    /// What it is, in a word: `pipe`, `eventfd`.
    pub kind: &'static str,
    /// What it holds, in a few words: `count 3`.
    pub content: String,
    /// What it would answer to poll(2) now.
    pub ready: EventMask,
    /// The descriptors that refer to it: task (that leads the process) and number.
    pub fds: Vec<(TaskId, Fd)>,
    /// Its wait queues with who stands on them, in the order of a walk.
    pub queues: Vec<(QueueRef, Vec<WaiterState>)>,
}

/// One entry of a wait queue.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum WaiterState {
    /// A sleeping task.
    Task {
        /// Who sleeps.
        task: TaskId,
        /// Whether a wake of one stops behind it.
        exclusive: bool,
    },
    /// The hook of an item (`struct eppoll_entry`).
    Hook {
        /// Whose hook it is.
        item: ItemRef,
        /// Whether it was added with `EPOLLEXCLUSIVE`.
        exclusive: bool,
    },
    /// An entry that passes the wake-up on to another queue.
    Relay {
        /// To which.
        queue: QueueRef,
    },
}

/// A task and the call it is in.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TaskState {
    /// Which.
    pub task: TaskId,
    /// The call in flight and the step it stands at, `ep_poll: Sleep`.
    pub call: Option<String>,
    /// It sleeps, and nobody has woken it.
    pub asleep: bool,
    /// When the timer fires that it sleeps with, in virtual nanoseconds.
    pub deadline: Option<u64>,
    /// The epolls whose `mtx` it holds.
    pub locks: Vec<EpRef>,
    /// An item that its scan has taken off every list.
    pub in_hand: Option<ItemRef>,
    /// The events that it has stored so far.
    pub stored: Vec<EpollEvent>,
    /// The wait queues that it walks, the outermost first, each with the entry that comes next.
    pub walks: Vec<(QueueRef, Option<WaiterState>)>,
}
