//! The same work for both kernels: one epoll that watches many eventfds, level-triggered.

#![allow(dead_code, reason = "each bench uses a part")]

use std::time::{Duration, Instant};

use epoll_lab::abi::{CtlOp, EpollEvent, EventMask, Fd, OpenFlags, Ptr, Rlimit, Syscall};
use epoll_lab::backend::Thread;
use epoll_lab::kernel::direct;
use epoll_lab::model::Model;

/// What is asked of a kernel. Both sides panic where a call fails: then there is nothing to measure.
pub(crate) trait Side {
    fn eventfd(&mut self) -> i32;
    fn ctl(&mut self, op: CtlOp, fd: i32);
    /// `epoll_wait` of at most `max` events, without waiting; how many there were.
    fn wait(&mut self, max: u32) -> u32;
    /// Makes `fd` readable.
    fn fire(&mut self, fd: i32);
    /// Makes `fd` unreadable.
    fn drain(&mut self, fd: i32);
}

/// The model, through the face that programs use.
pub(crate) struct ModelSide {
    pub(crate) model: Model,
    ep: Fd,
}

impl ModelSide {
    pub(crate) fn new(files: u64) -> ModelSide {
        let mut model = Model::new();
        let mut t = Thread::main(&mut model);
        let limit = Rlimit {
            rlim_cur: files,
            rlim_max: files,
        };
        t.call(Syscall::PrlimitNofile {
            new_limit: Some(limit),
        })
        .expect("the limit can be raised");
        let ep = t.epoll_create1(Default::default()).expect("an epoll");
        ModelSide { model, ep }
    }

    fn thread(&mut self) -> Thread<'_, Model> {
        Thread::main(&mut self.model)
    }
}

impl Side for ModelSide {
    fn eventfd(&mut self) -> i32 {
        self.thread()
            .eventfd2(0, OpenFlags::NONBLOCK)
            .expect("an eventfd")
            .0
    }

    #[inline]
    fn ctl(&mut self, op: CtlOp, fd: i32) {
        let event = Ptr::To(EpollEvent::new(
            EventMask::IN,
            u64::from(fd.cast_unsigned()),
        ));
        let ep = self.ep;
        self.thread()
            .epoll_ctl(ep, op, Fd(fd), event)
            .expect("the interest list changes");
    }

    #[inline]
    fn wait(&mut self, max: u32) -> u32 {
        let ep = self.ep;
        let events = self
            .thread()
            .epoll_wait(ep, max.cast_signed(), 0)
            .expect("events");
        count(events.len())
    }

    #[inline]
    fn fire(&mut self, fd: i32) {
        self.thread()
            .write(Fd(fd), &1_u64.to_ne_bytes())
            .expect("room in the counter");
    }

    #[inline]
    fn drain(&mut self, fd: i32) {
        self.thread().read(Fd(fd), 8).expect("a counter above 0");
    }
}

/// The running kernel, by calls in this very process.
pub(crate) struct KernelSide {
    ep: i32,
    fds: Vec<i32>,
    events: Vec<direct::EpollEvent>,
}

impl KernelSide {
    pub(crate) fn new() -> KernelSide {
        let ep = direct::epoll_create1();
        assert!(ep >= 0, "epoll_create1: {ep}");
        KernelSide {
            ep,
            fds: Vec::new(),
            events: vec![direct::NO_EVENT; 1000],
        }
    }
}

impl Side for KernelSide {
    fn eventfd(&mut self) -> i32 {
        let fd = direct::eventfd(0);
        assert!(fd >= 0, "eventfd: {fd}");
        self.fds.push(fd);
        fd
    }

    #[inline]
    fn ctl(&mut self, op: CtlOp, fd: i32) {
        let data = u64::from(fd.cast_unsigned());
        let ret = direct::epoll_ctl(self.ep, op.0, fd, EventMask::IN.bits(), data);
        assert_eq!(ret, 0, "epoll_ctl");
    }

    #[inline]
    fn wait(&mut self, max: u32) -> u32 {
        let room = &mut self.events[..usize::try_from(max).expect("it is small")];
        u32::try_from(direct::epoll_wait(self.ep, room, 0)).expect("epoll_wait succeeds")
    }

    #[inline]
    fn fire(&mut self, fd: i32) {
        assert_eq!(direct::write_u64(fd, 1), 8, "write");
    }

    #[inline]
    fn drain(&mut self, fd: i32) {
        assert!(direct::read_u64(fd) > 0, "read");
    }
}

impl Drop for KernelSide {
    fn drop(&mut self) {
        // The epoll first: it takes its registrations along at once.
        for fd in std::iter::once(self.ep).chain(self.fds.drain(..)) {
            direct::close(fd);
        }
    }
}

/// What is measured.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Op {
    /// ADD of random descriptors to a tree that held them before.
    Add,
    /// ADD of all of them, in order, to a tree that held them before.
    Refill,
    Mod,
    Del,
    /// A wait that finds nothing.
    Idle,
    /// A wait that finds the picked descriptors ready; the cost of each event.
    Wait,
    /// A write that puts a descriptor on the ready list, of the picked ones again and again.
    Fire,
    /// The same, each of the picked ones once.
    FireRandom,
    /// A write, the wait that reports it, and the read that answers it; again and again.
    Cycle,
    /// The same, each of the picked ones once.
    CycleRandom,
}

impl Op {
    /// Whether it is an epoll_ctl(2), or many.
    fn is_ctl(self) -> bool {
        matches!(self, Op::Add | Op::Refill | Op::Mod | Op::Del)
    }
}

/// What some units of an operation took.
#[derive(Clone, Copy)]
pub(crate) struct Cost {
    pub(crate) time: Duration,
    pub(crate) units: u32,
}

impl Cost {
    /// Nanoseconds per unit.
    pub(crate) fn each(self) -> f64 {
        self.time.as_secs_f64() * 1e9 / f64::from(self.units)
    }
}

/// One kernel with its epoll and the descriptors that it watches.
pub(crate) struct World<S> {
    pub(crate) side: S,
    fds: Vec<i32>,
}

impl<S: Side> World<S> {
    /// Returns what one ADD cost while the tree grew out of fresh memory.
    pub(crate) fn new(mut side: S, n: u32) -> (World<S>, Cost) {
        let fds: Vec<i32> = (0..n).map(|_| side.eventfd()).collect();
        let mut world = World { side, fds };
        let all: Vec<usize> = (0..world.fds.len()).collect();
        let first_fill = world.ctl_all(CtlOp::ADD, &all);
        (world, first_fill)
    }

    pub(crate) fn watched(&self) -> usize {
        self.fds.len()
    }

    /// Fires, drains and changes every descriptor once, what is most like `op` last.
    pub(crate) fn use_all(&mut self, op: Op) {
        let all: Vec<usize> = (0..self.fds.len()).collect();
        if !op.is_ctl() {
            self.ctl_all(CtlOp::MOD, &all);
        }
        self.fire_all(&all);
        if op.is_ctl() {
            self.ctl_all(CtlOp::MOD, &all);
        }
    }

    /// What `op` on the picked descriptors costs. Leaves everything registered and nothing ready.
    pub(crate) fn measure(&mut self, op: Op, picks: &[usize]) -> Cost {
        match op {
            Op::Add => {
                self.ctl_all(CtlOp::DEL, picks);
                // In another order than they left.
                self.ctl_all(CtlOp::ADD, &halves_swapped(picks))
            }
            Op::Refill => {
                let all: Vec<usize> = (0..self.fds.len()).collect();
                self.ctl_all(CtlOp::DEL, &all);
                self.ctl_all(CtlOp::ADD, &all)
            }
            Op::Mod => self.ctl_all(CtlOp::MOD, picks),
            Op::Del => {
                let cost = self.ctl_all(CtlOp::DEL, picks);
                self.ctl_all(CtlOp::ADD, &halves_swapped(picks));
                cost
            }
            Op::Idle => self.waits(0, 10_000),
            Op::Wait => {
                self.for_each(picks, S::fire);
                let ready = count(picks.len());
                let Cost { time, units } = self.waits(ready, (20_000 / ready).max(20));
                self.drain_all(picks);
                Cost {
                    time,
                    units: units * ready,
                }
            }
            Op::Fire => self.again_and_again(picks, World::fire_all),
            Op::FireRandom => self.fire_all(picks),
            Op::Cycle => self.again_and_again(picks, World::cycle_all),
            Op::CycleRandom => self.cycle_all(picks),
        }
    }

    /// Passes over the same few descriptors, as many as make a round of a thousand.
    fn again_and_again(
        &mut self,
        picks: &[usize],
        pass: fn(&mut World<S>, &[usize]) -> Cost,
    ) -> Cost {
        let mut sum = Cost {
            time: Duration::ZERO,
            units: 0,
        };
        while sum.units < 1000 {
            let Cost { time, units } = pass(self, picks);
            sum.time += time;
            sum.units += units;
        }
        sum
    }

    fn fire_all(&mut self, picks: &[usize]) -> Cost {
        let cost = self.for_each(picks, S::fire);
        self.drain_all(picks);
        cost
    }

    fn cycle_all(&mut self, picks: &[usize]) -> Cost {
        let cost = self.for_each(picks, |side, fd| {
            side.fire(fd);
            assert_eq!(side.wait(8), 1, "one is ready");
            side.drain(fd);
        });
        assert_eq!(self.side.wait(8), 0, "nothing is left");
        cost
    }

    fn ctl_all(&mut self, op: CtlOp, picks: &[usize]) -> Cost {
        self.for_each(picks, |side, fd| side.ctl(op, fd))
    }

    #[inline]
    fn for_each(&mut self, picks: &[usize], mut act: impl FnMut(&mut S, i32)) -> Cost {
        let start = Instant::now();
        for &i in picks {
            act(&mut self.side, self.fds[i]);
        }
        Cost {
            time: start.elapsed(),
            units: count(picks.len()),
        }
    }

    /// Level-triggered, so what is ready stays so and each of the waits reports all of it.
    fn waits(&mut self, ready: u32, times: u32) -> Cost {
        let max = ready.max(8);
        let start = Instant::now();
        for _ in 0..times {
            assert_eq!(self.side.wait(max), ready, "as many as were fired");
        }
        Cost {
            time: start.elapsed(),
            units: times,
        }
    }

    fn drain_all(&mut self, picks: &[usize]) {
        self.for_each(picks, S::drain);
        // Looks at those on the ready list and drops them.
        assert_eq!(self.side.wait(8), 0, "nothing is left");
    }
}

/// Draws descriptors. Each round needs fresh ones: a processor learns an order that is repeated, and
/// then a search through the tree looks faster than it is.
pub(crate) struct Chance(u64);

impl Chance {
    pub(crate) fn new() -> Chance {
        Chance(0x9e37_79b9_7f4a_7c15)
    }

    /// `k` different numbers below `n`, in random order.
    pub(crate) fn picks(&mut self, k: u32, n: u32) -> Vec<usize> {
        assert!(k <= n, "there are enough to draw from");
        let mut picks = indexmap::IndexSet::new();
        while count(picks.len()) < k {
            picks.insert(self.below(n));
        }
        picks.into_iter().collect()
    }

    fn below(&mut self, n: u32) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from((self.0 >> 20) % u64::from(n)).expect("it is below n")
    }
}

fn halves_swapped(picks: &[usize]) -> Vec<usize> {
    let (first, second) = picks.split_at(picks.len() / 2);
    [second, first].concat()
}

fn count(len: usize) -> u32 {
    u32::try_from(len).expect("no bench counts that far")
}
