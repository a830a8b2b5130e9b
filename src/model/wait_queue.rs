//! Wait queues (kernel/sched/wait.c): who wants to know when something changes.
//!
//! A queue is a list of entries, and an entry is a function. Whoever changes a file's state walks the
//! file's queue and calls each entry with a *key*, the event bits that the change may concern (no bits:
//! anything). A sleeping task is an entry whose function wakes it; a registration in an epoll is an entry
//! whose function is `ep_poll_callback`. To the walker they look alike, and that is all of epoll's magic:
//!
//! ```text
//!   eventfd 4 ──► [item 4 of epoll 3] ──► [item 4 of epoll 5] ──► [task 2, read(2), exclusive]
//!                  ep_poll_callback        ep_poll_callback        autoremove_wake_function
//! ```
//!
//! Non-exclusive entries go to the head, so the newest is called first; exclusive ones go to the tail.
//! A wake of one (`nr` 1) calls entries until an exclusive one says that it was of use.
//!
//! The walk holds the queue's lock and calls one entry a step: between two entries the rest of the
//! machine may move on, as it may on Linux, where the walker's processor is only one of many.

use super::arena::{HeadId, ItemId, UnixId, WaitId};
use super::encode::{Encode, Encoder, Number, encode_option, variant_is_number};
use super::list::{Link, List, Node};
use super::{Kernel, Machine};
use crate::abi::{EventMask, TaskId};
use crate::trace::{Observer, Place, QueueRef, Trace};

/// The entries of one queue.
#[derive(Debug)]
pub(crate) enum OnQueue {}

/// The head of a queue (`struct wait_queue_head`). Aligned so that none lies across two cache lines.
#[derive(Clone, Copy, Debug)]
#[repr(align(32))]
pub(crate) struct WaitHead {
    pub(crate) entries: List<WaitId, OnQueue>,
    /// The spinlock, when a walk holds it from one step to the next (`wq_head->lock`).
    pub(crate) lock: Option<TaskId>,
    /// What people call it; no part of the kernel's state.
    pub(crate) label: QueueRef,
}

impl WaitHead {
    pub(crate) fn new(label: QueueRef) -> WaitHead {
        WaitHead {
            entries: List::EMPTY,
            lock: None,
            label,
        }
    }
}

/// An entry (`struct wait_queue_entry`). Aligned as the heads are.
#[derive(Clone, Copy, Debug)]
#[repr(align(32))]
pub(crate) struct WaitEntry {
    link: Link<WaitId>,
    /// The queue it stands on; `None` once a wake has taken it off.
    pub(crate) whead: Option<HeadId>,
    pub(crate) func: WakeFn,
    /// `WQ_FLAG_EXCLUSIVE`
    pub(crate) exclusive: bool,
    /// The next hook of the same item (`eppoll_entry.next`).
    pub(crate) next_hook: Option<WaitId>,
}

impl Node<WaitId, OnQueue> for WaitEntry {
    #[inline]
    fn link(&self) -> &Link<WaitId> {
        &self.link
    }

    #[inline]
    fn link_mut(&mut self) -> &mut Link<WaitId> {
        &mut self.link
    }
}

/// What an entry does when it is called (`wait_queue_entry.func`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum WakeFn {
    /// The hook of an item: `ep_poll_callback`.
    EpPollCallback(ItemId),
    /// Wakes the task and leaves the queue: `autoremove_wake_function`.
    Autoremove(TaskId),
    /// The same in epoll_wait(2), leaving even if the task runs already: `ep_autoremove_wake_function`.
    EpAutoremove(TaskId),
    /// Tells a task in poll(2) or select(2), and stays: `pollwake`.
    PollWake(TaskId),
    /// Wakes the task and stays: `default_wake_function`.
    Default(TaskId),
    /// As `Autoremove`, but only for something to read, or an error: `receiver_wake_function`.
    Receiver(TaskId),
    /// Leaves, and wakes those who wait for room in front of this Unix socket:
    /// `unix_dgram_peer_wake_relay`.
    UnixPeerWake(UnixId),
}

/// How many exclusive entries a wake-up is meant for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Nr {
    /// `wake_up*`: up to the first that makes use of it.
    One,
    /// `wake_up*_all`
    All,
}

/// A wake-up that someone is about to make.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Wake {
    pub(crate) head: HeadId,
    /// Which events it may concern; no bits mean that the waker does not say.
    pub(crate) key: EventMask,
    pub(crate) nr: Nr,
}

/// A wake-up in the middle of its walk (`__wake_up_common`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Walk {
    pub(crate) wake: Wake,
    /// Whether the queue's lock has been taken; before that `next` means nothing.
    pub(crate) locked: bool,
    /// The entry to call next, looked up before the present one was called, which may leave the queue.
    pub(crate) next: Option<WaitId>,
}

/// A walk and the walks that it called: a nested epoll's queue is walked from inside a callback.
///
/// The outermost walk is kept inline, since there is almost never a second.
#[derive(Clone, Debug, Default)]
pub(crate) struct Walks {
    pub(crate) outer: Option<Walk>,
    pub(crate) nested: Vec<Walk>,
}

/// How a step of a walk ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Walked {
    /// There is more to do.
    More,
    /// Every walk has ended.
    Done,
    /// Another task walks the queue; nothing was changed.
    Blocked,
}

impl Walks {
    #[inline]
    fn push(&mut self, walk: Walk) {
        match self.outer {
            None => self.outer = Some(walk),
            Some(_) => self.nested.push(walk),
        }
    }

    #[inline]
    fn innermost(&mut self) -> Option<&mut Walk> {
        self.nested.last_mut().or(self.outer.as_mut())
    }

    fn pop(&mut self) -> Option<Walk> {
        self.nested.pop().or_else(|| self.outer.take())
    }

    /// Every walk, the outermost first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Walk> {
        self.outer.iter().chain(&self.nested).copied()
    }
}

/// Who holds a queue's lock in an interrupt. It lets go of it before anybody could look.
const INTERRUPT: TaskId = TaskId(u32::MAX);

impl Machine {
    /// Whether a walk along this queue might have to wait for a lock: its own, or that of an epoll's queue
    /// which an entry wakes in turn.
    pub(crate) fn leads_to_a_lock(&self, head: HeadId) -> bool {
        self.leads_to_a_lock_not_of(None, head)
    }

    /// The same of locks that others hold, for a task that gives back its own before.
    pub(crate) fn leads_to_a_lock_not_of(&self, task: Option<TaskId>, head: HeadId) -> bool {
        let head = &self.heads[head];
        let through = |entry: WaitId| match self.waits[entry].func {
            WakeFn::EpPollCallback(item) => {
                let ep = self.items[item].ep;
                self.leads_to_a_lock_not_of(task, self.epolls[ep].poll_wait)
            }
            _ => false,
        };
        let of_others = head.lock.is_some() && head.lock != task;
        of_others || head.entries.iter(&self.waits).any(through)
    }

    /// A new entry on a queue that nobody else walks.
    pub(crate) fn add_wait_entry(
        &mut self,
        head: HeadId,
        func: WakeFn,
        exclusive: bool,
        place: Place,
    ) -> WaitId {
        let entry = WaitEntry {
            link: Link::UNLINKED,
            whead: Some(head),
            func,
            exclusive,
            next_hook: None,
        };
        let id = self.waits.insert(entry);
        let entries = &mut self.heads[head].entries;
        match place {
            Place::Head => entries.push_front(&mut self.waits, id),
            Place::Tail => entries.push_back(&mut self.waits, id),
        }
        id
    }

    fn detach(&mut self, id: WaitId) {
        if let Some(head) = self.waits[id].whead.take() {
            self.heads[head].entries.remove(&mut self.waits, id);
        }
    }

    /// Takes an entry off its queue, which nobody else walks, and frees it.
    pub(crate) fn remove_wait_entry(&mut self, id: WaitId) {
        self.detach(id);
        self.waits.remove(id);
    }
}

impl<O: Observer> Kernel<'_, O> {
    /// A new entry at the head of the queue or, if exclusive, at its tail (`add_wait_queue`,
    /// `add_wait_queue_exclusive`).
    ///
    /// Preconditions: nobody else walks the queue.
    pub(crate) fn add_wait_queue(&mut self, head: HeadId, func: WakeFn, exclusive: bool) -> WaitId {
        let place = if exclusive { Place::Tail } else { Place::Head };
        self.add_wait_entry(head, func, exclusive, place)
    }

    /// The same at a place of the caller's choice (`__add_wait_queue_exclusive` and others).
    pub(crate) fn add_wait_entry(
        &mut self,
        head: HeadId,
        func: WakeFn,
        exclusive: bool,
        place: Place,
    ) -> WaitId {
        self.m.add_wait_entry(head, func, exclusive, place)
    }

    /// Tells that a task sleeps on this queue.
    pub(crate) fn trace_sleep(&mut self, task: TaskId, head: HeadId, place: Place) {
        self.trace(|k| Trace::Sleep {
            task,
            queue: k.m.heads[head].label,
            place,
        });
    }

    /// Takes the entry off its queue, if it is still there (`list_del_init`).
    pub(crate) fn detach(&mut self, id: WaitId) {
        self.m.detach(id);
    }

    /// Takes it off and frees it (`remove_wait_queue`, `finish_wait`).
    ///
    /// Preconditions: nobody else walks its queue.
    pub(crate) fn remove_wait_entry(&mut self, id: WaitId) {
        self.m.remove_wait_entry(id);
    }

    /// Whether another task is in the middle of a walk along this queue.
    #[inline]
    pub(crate) fn walked_by_another(&self, task: TaskId, head: HeadId) -> bool {
        self.m.heads[head].lock.is_some_and(|owner| owner != task)
    }

    /// Announces a wake-up; the next [`Kernel::wake_step`] takes the queue's lock and walks.
    #[inline]
    pub(crate) fn wake_up(&mut self, walks: &mut Walks, wake: Wake) {
        walks.push(Walk {
            wake,
            locked: false,
            next: None,
        });
    }

    /// A wake-up by a task that holds the queue's lock already and changed the file under it
    /// (`wake_up_locked_poll`). A queue without entries is not walked (`waitqueue_active`).
    ///
    /// Preconditions: nobody else walks the queue.
    #[inline]
    pub(crate) fn wake_up_locked(&mut self, task: TaskId, walks: &mut Walks, wake: Wake) {
        if !self.m.heads[wake.head].entries.is_empty() {
            let next = self.begin_walk(task, wake);
            walks.push(Walk {
                wake,
                locked: true,
                next,
            });
        }
    }

    #[inline]
    fn begin_walk(&mut self, task: TaskId, Wake { head, key, nr }: Wake) -> Option<WaitId> {
        let head = &mut self.m.heads[head];
        head.lock = Some(task);
        let nr = if nr == Nr::All { 0 } else { 1 };
        self.obs.on(Trace::Wake {
            queue: head.label,
            key,
            nr,
        });
        head.entries.first()
    }

    /// A wake-up that an interrupt makes, or a task with interrupts off: nothing on its own processor comes in
    /// between. It is made whole here, though on Linux other processors might see it half made.
    ///
    /// Preconditions: no queue on its way is locked ([`Machine::leads_to_a_lock`]).
    pub(crate) fn wake_up_in_interrupt(&mut self, wake: Wake) {
        let mut walks = Walks::default();
        self.wake_up(&mut walks, wake);
        while self.wake_step(INTERRUPT, &mut walks) == Walked::More {}
    }

    /// Calls the next entry of the innermost walk (one turn of the loop in `__wake_up_common`).
    pub(crate) fn wake_step(&mut self, task: TaskId, walks: &mut Walks) -> Walked {
        let Some(walk) = walks.innermost() else {
            return Walked::Done;
        };
        if !walk.locked {
            if self.walked_by_another(task, walk.wake.head) {
                return Walked::Blocked;
            }
            if self.m.heads[walk.wake.head].entries.is_empty() {
                walks.pop();
                return if walks.outer.is_none() {
                    Walked::Done
                } else {
                    Walked::More
                };
            }
            walk.locked = true;
            walk.next = self.begin_walk(task, walk.wake);
        }
        let Some(id) = walk.next else {
            self.m.heads[walk.wake.head].lock = None;
            walks.pop();
            return if walks.outer.is_none() {
                Walked::Done
            } else {
                Walked::More
            };
        };
        let following = List::next(&self.m.waits, id);
        let (of_use, pwake) = self.call_entry(id, walk.wake.key);
        let satisfied = of_use && walk.wake.nr == Nr::One && self.m.waits[id].exclusive;
        walk.next = if satisfied { None } else { following };
        if let Some(pwake) = pwake {
            self.wake_up(walks, pwake);
        } else if walk.next.is_none() {
            // Nothing left to call: the lock is given back by the step that called the last entry.
            self.m.heads[walk.wake.head].lock = None;
            walks.pop();
            return if walks.outer.is_none() {
                Walked::Done
            } else {
                Walked::More
            };
        }
        Walked::More
    }

    /// The entry's function: whether it made use of the wake-up, and the wake-up that it makes itself.
    #[inline]
    fn call_entry(&mut self, id: WaitId, key: EventMask) -> (bool, Option<Wake>) {
        match self.m.waits[id].func {
            WakeFn::EpPollCallback(item) => {
                let called = self.ep_poll_callback(item, key);
                if key.contains(EventMask::POLLFREE) {
                    self.detach_for_good(id, item);
                }
                (called.ewake, called.pwake)
            }
            WakeFn::Autoremove(sleeper) => {
                let woken = self.try_to_wake_up(sleeper);
                if woken {
                    self.trace_woken(sleeper, id);
                    self.detach(id);
                }
                (woken, None)
            }
            WakeFn::Receiver(_)
                if !key.is_empty() && !key.intersects(EventMask::IN | EventMask::ERR) =>
            {
                (false, None)
            }
            WakeFn::Receiver(sleeper) => {
                let woken = self.try_to_wake_up(sleeper);
                if woken {
                    self.trace_woken(sleeper, id);
                    self.detach(id);
                }
                (woken, None)
            }
            WakeFn::UnixPeerWake(sock) => (false, Some(self.unix_peer_wake_relay(sock, key))),
            WakeFn::EpAutoremove(sleeper) => {
                let woken = self.try_to_wake_up(sleeper);
                self.trace_woken(sleeper, id);
                self.detach(id);
                (woken, None)
            }
            WakeFn::Default(sleeper) => {
                let woken = self.try_to_wake_up(sleeper);
                if woken && let Some(head) = self.m.waits[id].whead {
                    self.obs.on(Trace::WakeStays {
                        task: sleeper,
                        queue: self.m.heads[head].label,
                    });
                }
                (woken, None)
            }
            WakeFn::PollWake(poller) => (self.pollwake(poller, id, key), None),
        }
    }

    /// The last that a hook hears from its queue. The item stays, and knows nothing of it.
    fn detach_for_good(&mut self, id: WaitId, item: ItemId) {
        if let Some(head) = self.m.waits[id].whead {
            self.trace(|k| Trace::PollFree {
                item: k.item_ref(item),
                queue: k.m.heads[head].label,
            });
        }
        self.detach(id);
    }

    fn trace_woken(&mut self, task: TaskId, id: WaitId) {
        if let Some(head) = self.m.waits[id].whead {
            self.obs.on(Trace::WakeTask {
                task,
                queue: self.m.heads[head].label,
            });
        }
    }

    /// `default_wake_function`: makes a sleeping task run. One that runs already is not woken again.
    pub(crate) fn try_to_wake_up(&mut self, task: TaskId) -> bool {
        std::mem::take(&mut self.m.task_mut(task).sleeping)
    }
}

variant_is_number!(Nr);

impl Encode for WaitHead {
    #[inline]
    fn encode(&self, to: &mut Encoder<'_>) {
        let WaitHead {
            entries,
            lock,
            label: _,
        } = self;
        if lock.is_none() && entries.is_empty() {
            return to.numbers([0, 0]);
        }
        lock.encode(to);
        let machine = to.machine;
        for id in entries.iter(&machine.waits) {
            machine.waits[id].encode_on_queue(id, to);
        }
        to.none();
    }
}

impl WaitEntry {
    /// Whom it wakes, and how. The first byte is not 0.
    fn encode_on_queue(&self, id: WaitId, to: &mut Encoder<'_>) {
        let WaitEntry {
            link: _,
            whead: _, // this queue
            func,
            exclusive,
            next_hook: _, // all hooks of an item go together
        } = self;
        let number = match func {
            WakeFn::EpPollCallback(_) => 1,
            WakeFn::Autoremove(_) => 2,
            WakeFn::EpAutoremove(_) => 3,
            WakeFn::PollWake(_) => 4,
            WakeFn::Default(_) => 5,
            WakeFn::Receiver(_) => 6,
            WakeFn::UnixPeerWake(_) => 7,
        };
        let whom = match func {
            WakeFn::EpPollCallback(item) => item.number(to),
            WakeFn::UnixPeerWake(sock) => sock.number(to),
            WakeFn::Autoremove(task)
            | WakeFn::EpAutoremove(task)
            | WakeFn::PollWake(task)
            | WakeFn::Receiver(task)
            | WakeFn::Default(task) => task.number(to),
        };
        to.numbers([number << 1 | exclusive.number(to), whom]);
        if let WakeFn::PollWake(task) = func {
            to.machine.task(*task).poll_filter(id).encode(to);
        }
    }
}

impl Encode for Wake {
    fn encode(&self, to: &mut Encoder<'_>) {
        let Wake { head, key, nr } = self;
        to.numbers([head.number(to), key.number(to), nr.number(to)]);
    }
}

impl Encode for Walk {
    fn encode(&self, to: &mut Encoder<'_>) {
        let Walk { wake, locked, next } = self;
        wake.encode(to);
        locked.encode(to);
        to.entry(wake.head, *next);
    }
}

impl Encode for Walks {
    fn encode(&self, to: &mut Encoder<'_>) {
        let Walks { outer, nested } = self;
        encode_option(outer, to);
        if outer.is_some() {
            nested.encode(to);
        }
    }
}
