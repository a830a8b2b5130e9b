//! The emulated kernel: Linux's eventpoll, and as much around it as programs need to meet it.
//!
//! The behaviour modelled is that of **Linux 6.18** on x86-64; function names in the docs of this module
//! are those of that version's fs/eventpoll.c, fs/select.c, fs/pipe.c, fs/eventfd.c, fs/timerfd.c,
//! fs/signalfd.c, fs/pidfs.c, fs/notify, drivers/tty/pty.c and n_tty.c, kernel/signal.c and kernel/sched/wait.c,
//! and of net/unix/af_unix.c, net/core/sock.c, net/ipv4/udp.c and net/ipv4/tcp*.c. What readers of that text need
//! to find their way:
//!
//! ```text
//!   task ──fd──► FdTable ──► File (open file description) ──► what it is: Pipe, EventFd, TimerFd, EventPoll
//!                              │ f_ep                            │
//!                              ▼                                 ▼
//!                            Epitem ◄──hook── WaitEntry ◄── WaitHead (wait queue)
//!                              │ in
//!                              ▼
//!                           EventPoll: rbr (all items), rdllist (maybe ready), ovflist, wq
//! ```
//!
//! [`Machine`] is the whole kernel as one plain value: it can be cloned, compared and hashed, and has no
//! threads, clock or I/O inside. `Kernel` is a machine together with an observer, and everything that
//! *happens* is a method of it. A system call is a value too (`Call`), with the step at which it stands;
//! one method per call advances it by one step, and each step is as much as Linux does without letting
//! anything in between. "Make the whole call" is: take steps until it is done or sleeps.

pub mod adding_a_kind;
mod arena;
mod backend;
mod call;
mod clock;
mod clone;
mod deliver;
mod encode;

mod eventpoll;
mod fdtable;
mod file;
mod footprint;
mod fs;
mod invariants;

mod list;
mod net;
mod race;
mod rbtree;
mod signal;
mod stepwise;
mod syscall;
mod task;
#[cfg(test)]
mod tests;
mod variant;
mod view;
mod wait_queue;
mod work;

use arena::{
    Arena, Beside, EpId, FileId, HeadId, Id, InotifyId, ItemId, PipeId, ProcId, PtyId, TableId,
    TcpId, TimerFdId, UdpId, UnixId, WaitId,
};
pub use backend::Model;
pub use call::Stepped;
use call::{Call, Pace};
pub use clock::Timer;
use clone::clone_by_field;
use eventpoll::{Epitem, EpitemRest, EventPoll};
use fdtable::FdTable;
use file::{File, Inotify, Pipe, Pty, TcpSock, TimerFd, UdpSock, UnixSock};
pub use footprint::{Footprint, Resources};
use fs::Fs;
use net::Net;
use rbtree::RbNodes;
use task::{Process, Task};
pub use variant::{Variant, Variants};
use wait_queue::{WaitEntry, WaitHead};
pub use work::Work;

use crate::abi::{SigInfo, TaskId};
use crate::trace::{Observer, Trace};

/// The whole kernel as a value.
///
/// Two machines are equal when no program could ever tell them apart: places in arenas, the tree's
/// shape and free lists do not count.
#[derive(Debug)]
pub struct Machine {
    /// Virtual CLOCK_MONOTONIC in nanoseconds.
    now: u64,
    /// `fs.epoll.max_user_watches`: how many items all epolls of one user may hold together.
    max_user_watches: u64,
    files: Arena<FileId, File>,
    pipes: Arena<PipeId, Pipe>,
    ptys: Arena<PtyId, Pty>,
    timerfds: Arena<TimerFdId, TimerFd>,
    inotifies: Arena<InotifyId, Inotify>,
    unix: Arena<UnixId, UnixSock>,
    udp: Arena<UdpId, UdpSock>,
    tcp: Arena<TcpId, TcpSock>,
    net: Net,
    /// What has a name.
    fs: Fs,
    /// What waits to be done on behalf of nobody, each once.
    works: Vec<Work>,
    epolls: Arena<EpId, EventPoll>,
    items: Arena<ItemId, Epitem>,
    items_rest: Beside<ItemId, EpitemRest>,
    /// The items' places in their trees.
    rb: RbNodes,
    /// Who adds an epoll to an epoll, if anybody (`epnested_mutex`).
    epnested_mutex: Option<TaskId>,
    heads: Arena<HeadId, WaitHead>,
    waits: Arena<WaitId, WaitEntry>,
    tables: Arena<TableId, FdTable>,
    processes: Vec<Process>,
    tasks: Vec<Task>,
    /// Watches charged to each user, by uid (`user_struct.epoll_watches`).
    watches: Vec<(u32, u64)>,
    /// The runs of handlers that nobody has asked for yet. Only told to people: no call reads it.
    handled: Vec<(TaskId, SigInfo)>,
    /// How many inodes were given out; fdinfo shows them, but no two machines agree on the numbers.
    inodes: u32,
    /// In which ways this epoll is wrong on purpose.
    variants: Variants,
}

/// The version of Linux that it is.
pub const LINUX: (u32, u32) = (6, 18);

/// On a machine of a few gigabytes: 4 % of the memory, at 184 bytes a watch.
const MAX_USER_WATCHES: u64 = 1 << 20;

/// A machine at work, and who watches it.
#[derive(Debug)]
pub(crate) struct Kernel<'m, O> {
    pub(crate) m: &'m mut Machine,
    pub(crate) obs: &'m mut O,
    /// How far a new call goes at once.
    pace: Pace,
}

impl Machine {
    /// A machine with one task, whose descriptors 0, 1 and 2 are open on /dev/null.
    pub fn new() -> Machine {
        let mut machine = Machine {
            now: 0,
            max_user_watches: MAX_USER_WATCHES,
            files: Arena::new(),
            pipes: Arena::new(),
            ptys: Arena::new(),
            timerfds: Arena::new(),
            inotifies: Arena::new(),
            unix: Arena::new(),
            udp: Arena::new(),
            tcp: Arena::new(),
            net: Net::default(),
            fs: Fs::new(),
            works: Vec::new(),
            epolls: Arena::new(),
            items: Arena::new(),
            items_rest: Beside::new(),
            rb: RbNodes::default(),
            epnested_mutex: None,
            heads: Arena::new(),
            waits: Arena::new(),
            tables: Arena::new(),
            processes: Vec::new(),
            tasks: Vec::new(),
            watches: Vec::new(),
            handled: Vec::new(),
            inodes: 0,
            variants: Variants::NONE,
        };
        machine.boot();
        machine
    }

    pub(crate) fn task(&self, task: TaskId) -> &Task {
        &self.tasks[task_index(task)]
    }

    pub(crate) fn task_mut(&mut self, task: TaskId) -> &mut Task {
        &mut self.tasks[task_index(task)]
    }

    /// The process that `task` is a thread of.
    pub(crate) fn process(&self, task: TaskId) -> &Process {
        &self.processes[self.task(task).process.index()]
    }

    pub(crate) fn process_mut(&mut self, task: TaskId) -> &mut Process {
        let process = self.task(task).process;
        &mut self.processes[process.index()]
    }
}

#[inline]
#[expect(
    clippy::as_conversions,
    reason = "widening; `From` does not know usize has 32 bits"
)]
fn task_index(task: TaskId) -> usize {
    task.0 as usize
}

impl Default for Machine {
    fn default() -> Machine {
        Machine::new()
    }
}

clone_by_field!(Machine {
    now,
    max_user_watches,
    files,
    pipes,
    ptys,
    timerfds,
    inotifies,
    unix,
    udp,
    tcp,
    net,
    fs,
    works,
    epolls,
    items,
    items_rest,
    rb,
    epnested_mutex,
    heads,
    waits,
    tables,
    processes,
    tasks,
    watches,
    handled,
    inodes,
    variants,
});

impl<O: Observer> Kernel<'_, O> {
    #[inline]
    pub(crate) fn new<'m>(m: &'m mut Machine, obs: &'m mut O, pace: Pace) -> Kernel<'m, O> {
        Kernel { m, obs, pace }
    }

    /// Tells the observer, if there is one that listens.
    #[inline(always)]
    pub(crate) fn trace(&mut self, what: impl FnOnce(&Self) -> Trace) {
        if O::ACTIVE {
            let trace = what(self);
            self.obs.on(trace);
        }
    }
}
