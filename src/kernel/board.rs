//! The board: the memory through which the controller gives orders and reads what came of them.
//!
//! It is one anonymous shared mapping, made before the subject is forked. So it takes no descriptor,
//! and it lies at the same address in every process: the controller can write `struct epoll_event` there
//! and put its address into the arguments itself, and the subject only ever executes a number with six
//! words.
//!
//! ```text
//! header | log of handlers | control 0 | control 1 | ... | data 0 | data 1 | ...
//! data:    input 1 MiB | output 1 MiB | guard page | frozen 16 KiB | legs 16 KiB
//! ```
//!
//! Each task has a slot: a [`Control`] with the order and its outcome, and data for the call's pointers. In
//! a race (`race.rs`) the order is to make many calls, each of which is a [`Leg`].
//! What is writable "for n bytes" lies directly before the guard page.
//!
//! Signal handlers write what they were told into the [`Entry`]s of the log (`handler.rs`).

use std::hint::spin_loop;
use std::sync::atomic::{AtomicI32, AtomicI64, AtomicU32, AtomicU64, Ordering::SeqCst};
use std::time::Duration;

use super::ffi::{self, Board};

/// Slots of tasks; those behind them belong to the lab's own helper threads and have no data.
pub(super) const TASK_SLOTS: usize = 64;
/// All slots.
pub(super) const SLOTS: usize = 96;

/// Room for the [`Header`].
pub(super) const HEADER_BYTES: usize = 4096;
/// How many runs of handlers can be noted before the controller takes them.
pub(super) const ENTRIES: usize = 1024;
/// One [`Entry`].
pub(super) const ENTRY_BYTES: usize = 64;
/// Where the [`Control`]s begin.
pub(super) const CONTROLS: usize = HEADER_BYTES + ENTRIES * ENTRY_BYTES;
/// One [`Control`].
pub(super) const CONTROL_BYTES: usize = 256;
/// What a call can be given, and what it can store.
pub(super) const INPUT: u64 = 1 << 20;
/// Where it stores.
pub(super) const OUTPUT: u64 = 1 << 20;
/// One page.
pub(super) const GUARD: u64 = 4096;
/// Memory for [`Room::Frozen`](crate::abi::Room::Frozen).
pub(super) const FROZEN: u64 = 16 << 10;
/// Memory that calls give away for good.
pub(super) const GIFT: u64 = 256 << 10;
/// How many calls a task can make in a race.
pub(super) const LEGS: usize = 128;
/// One [`Leg`].
pub(super) const LEG_BYTES: usize = 128;
const DATA: u64 = INPUT + OUTPUT + GUARD + FROZEN + (LEGS * LEG_BYTES) as u64 + GIFT;

/// The whole mapping.
pub(super) const BYTES: usize = SLOT_DATA + TASK_SLOTS * (DATA as usize);
/// Where the data of the slots begin.
pub(super) const SLOT_DATA: usize = CONTROLS + SLOTS * CONTROL_BYTES;

/// Words that belong to no slot.
#[repr(C)]
#[derive(Debug)]
pub(super) struct Header {
    /// Hands out the order in which calls ended.
    pub(super) tickets: AtomicU32,
    /// Changes whenever something ended; the controller sleeps on it.
    pub(super) news: AtomicU32,
    /// Not 0 while the controller may be asleep there, so that a waker is not a system call else.
    pub(super) watched: AtomicU32,
    /// How many tasks stand at the start of the race.
    pub(super) arrived: AtomicU32,
    /// Not 0 once the guard will hear of the controller's death.
    pub(super) guarded: AtomicU32,
    /// How many entries of the log were handed out to handlers.
    pub(super) entries: AtomicU32,
    /// How many of them the controller has taken.
    pub(super) taken: AtomicU32,
    /// Not 0 if a handler found the log full.
    pub(super) lost: AtomicU32,
    /// Where a signal handler returns to: the C library's way to rt_sigreturn(2).
    pub(super) restorer: AtomicU64,
}

/// One run of a signal handler.
#[repr(C, align(64))]
#[derive(Debug)]
pub(super) struct Entry {
    /// Not 0 once all of it was written.
    pub(super) ready: AtomicU32,
    /// When it began, among all that ended or ran.
    pub(super) ticket: AtomicU32,
    /// Who ran it.
    pub(super) slot: AtomicU32,
    /// `si_signo`, `si_code`, `si_pid`, `si_uid` and `si_status`.
    pub(super) info: [AtomicI32; 5],
    /// Whether it interrupted another handler before that one's first instruction.
    pub(super) nested: AtomicU32,
    /// The stack pointer of what it interrupted.
    pub(super) stack: AtomicU64,
}

/// An order and its outcome. The two halves are written by different processes: two cache lines each.
#[repr(C, align(128))]
#[derive(Debug)]
pub(super) struct Control {
    /// Counts orders: a new value is a new order.
    pub(super) bell: AtomicU32,
    kind: AtomicU32,
    nr: AtomicI64,
    args: [AtomicU64; 6],
    /// Not 0 when a race is over: what its thread has not begun by then it never will.
    pub(super) cut: AtomicU32,
    /// The signals that its thread blocks from the start.
    pub(super) mask: AtomicU64,
    _first_half: [u32; 12],

    /// The number of the last order that was carried out.
    pub(super) done: AtomicU32,
    /// Not 0 while the thread may be asleep on `bell`.
    asleep: AtomicU32,
    /// The thread that serves this slot, once it does.
    pub(super) tid: AtomicI32,
    /// When it ended, among all.
    pub(super) ticket: AtomicU32,
    /// What it returned, errors negative.
    pub(super) ret: AtomicI64,
    /// How far a race has come: see [`Place`].
    at: AtomicU32,
}

/// Where in its legs a thread is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Place {
    /// Before this one, or behind the last one.
    Before(usize),
    /// In the call of this one.
    In(usize),
}

/// A call in a race, and what came of it.
#[repr(C, align(128))]
#[derive(Debug)]
pub(super) struct Leg {
    nr: AtomicI64,
    args: [AtomicU64; 6],
    /// Nanoseconds that pass before it.
    pause: AtomicU64,
    /// What it returned, errors negative.
    pub(super) ret: AtomicI64,
}

impl Leg {
    /// Fills it in.
    pub(super) fn set(&self, nr: i64, args: [u64; 6], pause: Duration) {
        self.nr.store(nr, SeqCst);
        for (word, arg) in self.args.iter().zip(args) {
            word.store(arg, SeqCst);
        }
        self.pause.store(pause.as_nanos() as u64, SeqCst);
    }

    /// The call.
    pub(super) fn call(&self) -> (i64, [u64; 6]) {
        let [a, b, c, d, e, f] = &self.args;
        let args = [a, b, c, d, e, f].map(|word| word.load(SeqCst));
        (self.nr.load(SeqCst), args)
    }

    /// What passes before it.
    pub(super) fn pause(&self) -> Duration {
        Duration::from_nanos(self.pause.load(SeqCst))
    }
}

/// What a thread of the subject can be told to do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Order {
    pub(super) kind: Kind,
    pub(super) nr: i64,
    pub(super) args: [u64; 6],
}

/// The orders that there are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    /// Make the system call.
    Call,
    /// Start a thread for the slot in the first argument.
    Spawn,
    /// fork(2), and let the child serve the slot in the first argument.
    Fork,
    /// Make all the calls of a race. The arguments are how many they are and how many tasks take part, and
    /// the address and length of a mask for sched_setaffinity(2), or 0.
    Race,
}

impl Control {
    /// For a new thread.
    pub(super) fn reset(&self) {
        for word in [&self.bell, &self.done, &self.asleep, &self.ticket] {
            word.store(0, SeqCst);
        }
        self.tid.store(0, SeqCst);
    }

    /// Where in a race its thread is.
    pub(super) fn place(&self) -> Place {
        let at = self.at.load(SeqCst);
        let index = at as usize / 2;
        if at.is_multiple_of(2) {
            Place::Before(index)
        } else {
            Place::In(index)
        }
    }

    /// Says so.
    pub(super) fn set_place(&self, place: Place) {
        let at = match place {
            Place::Before(index) => 2 * index,
            Place::In(index) => 2 * index + 1,
        };
        self.at.store(at as u32, SeqCst);
    }

    /// Gives an order to a thread that has none, and returns its number.
    pub(super) fn post(&self, order: Order) -> u32 {
        self.kind.store(order.kind as u32, SeqCst);
        self.nr.store(order.nr, SeqCst);
        for (word, arg) in self.args.iter().zip(order.args) {
            word.store(arg, SeqCst);
        }
        let number = self.bell.load(SeqCst).wrapping_add(1);
        self.bell.store(number, SeqCst);
        // Either we see the thread's flag or it sees our bell: both sides store first and look then.
        if self.asleep.load(SeqCst) != 0 {
            ffi::futex_wake(&self.bell);
        }
        number
    }

    /// Waits for an order after number `seen`. In the subject.
    pub(super) fn next(&self, seen: u32) -> (u32, Order) {
        // About as long as a controller that has the next order ready needs to give it.
        let mut spins = 0;
        while self.bell.load(SeqCst) == seen {
            if spins < 1000 {
                spins += 1;
                spin_loop();
                continue;
            }
            self.asleep.store(1, SeqCst);
            if self.bell.load(SeqCst) == seen {
                ffi::futex_wait(&self.bell, seen, None);
            }
            self.asleep.store(0, SeqCst);
        }
        let kind = match self.kind.load(SeqCst) {
            1 => Kind::Spawn,
            2 => Kind::Fork,
            3 => Kind::Race,
            _ => Kind::Call,
        };
        let [a, b, c, d, e, f] = &self.args;
        let args = [a, b, c, d, e, f].map(|word| word.load(SeqCst));
        let nr = self.nr.load(SeqCst);
        (self.bell.load(SeqCst), Order { kind, nr, args })
    }

    /// Reports an outcome. In the subject.
    pub(super) fn report(&self, header: &Header, number: u32, ret: i64) {
        self.ret.store(ret, SeqCst);
        let ticket = header.tickets.fetch_add(1, SeqCst);
        self.ticket.store(ticket, SeqCst);
        self.done.store(number, SeqCst);
        header.news.fetch_add(1, SeqCst);
        if header.watched.load(SeqCst) != 0 {
            ffi::futex_wake(&header.news);
        }
    }
}

impl Header {
    /// Sleeps until something ended, or for `limit`, unless `ready` already says so.
    pub(super) fn watch(&self, limit: Duration, ready: impl FnOnce() -> bool) {
        self.watched.store(1, SeqCst);
        let news = self.news.load(SeqCst);
        if !ready() {
            ffi::futex_wait(&self.news, news, Some(limit));
        }
        self.watched.store(0, SeqCst);
    }
}

impl Board {
    fn data(self, slot: usize) -> u64 {
        debug_assert!(slot < TASK_SLOTS, "helpers have no data");
        self.base() + SLOT_DATA as u64 + slot as u64 * DATA
    }

    /// Where the input of a slot begins.
    pub(super) fn input(self, slot: usize) -> u64 {
        self.data(slot)
    }

    /// Where its output begins.
    pub(super) fn output(self, slot: usize) -> u64 {
        self.data(slot) + INPUT
    }

    /// The page behind the output.
    pub(super) fn guard(self, slot: usize) -> u64 {
        self.output(slot) + OUTPUT
    }

    /// The memory to freeze.
    pub(super) fn frozen(self, slot: usize) -> u64 {
        self.guard(slot) + GUARD
    }

    /// Where a leg lies.
    pub(super) fn leg_at(self, slot: usize, index: usize) -> u64 {
        assert!(index < LEGS, "more calls than there is room for");
        self.frozen(slot) + FROZEN + (index * LEG_BYTES) as u64
    }

    /// The memory to give away.
    pub(super) fn gift(self, slot: usize) -> u64 {
        self.frozen(slot) + FROZEN + (LEGS * LEG_BYTES) as u64
    }
}
