//! Figures to look at over time, with criterion's statistics; `ratios` is the bench that judges.
//!
//!     cargo bench --bench figures

mod world;

use std::hint::black_box;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use epoll_lab::abi::{
    Answer, Bytes, CtlOp, EpollEvent, EventMask, Fd, OpenFlags, OutPtr, Ptr, Syscall, TaskId,
};
use epoll_lab::model::{Machine, Stepped};
use world::{Chance, KernelSide, ModelSide, Op, Side, World};

const N: u32 = 1_000;
/// Descriptors picked at a time, so that the clock is not what is measured.
const BATCH: u32 = 200;

fn ctl(c: &mut Criterion) {
    both(
        c,
        "ctl",
        &[
            ("add", Op::Add, BATCH),
            ("mod", Op::Mod, BATCH),
            ("del", Op::Del, BATCH),
        ],
    );
}

/// Per event delivered; `idle` per call.
fn wait(c: &mut Criterion) {
    both(
        c,
        "wait",
        &[
            ("idle", Op::Idle, 1),
            ("1 ready", Op::Wait, 1),
            ("100 ready", Op::Wait, 100),
        ],
    );
}

fn fire(c: &mut Criterion) {
    both(
        c,
        "fire",
        &[
            ("fire", Op::FireRandom, BATCH),
            ("fire, wait, read", Op::CycleRandom, BATCH),
        ],
    );
}

fn both(c: &mut Criterion, group: &str, ops: &[(&str, Op, u32)]) {
    one(
        c,
        group,
        "model",
        ops,
        World::new(ModelSide::new(u64::from(N) + 64), N).0,
    );
    one(c, group, "kernel", ops, World::new(KernelSide::new(), N).0);
}

/// [`World::measure`] prepares and clears up around what it times, so it tells the time itself. An
/// iteration is a batch; criterion's `thrpt` line is for a single unit of it.
fn one<S: Side>(
    c: &mut Criterion,
    group: &str,
    kernel: &str,
    ops: &[(&str, Op, u32)],
    mut world: World<S>,
) {
    let mut group = c.benchmark_group(group);
    group
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2));
    let mut chance = Chance::new();
    for &(name, op, k) in ops {
        let units = world.measure(op, &chance.picks(k, N)).units;
        group.throughput(Throughput::Elements(units.into()));
        group.bench_function(BenchmarkId::new(name, kernel), |b| {
            b.iter_custom(|batches| {
                (0..batches)
                    .map(|_| world.measure(op, &chance.picks(k, N)).time)
                    .sum()
            });
        });
    }
    group.finish();
}

/// What an explorer of interleavings does with each state that it meets: copy it over an old one, and
/// compare, for which both are encoded.
fn machine(c: &mut Criterion) {
    let machine = small_machine();
    let mut copy = machine.clone();
    let mut group = c.benchmark_group("machine");
    group.bench_function("clone_from", |b| {
        b.iter(|| black_box(&mut copy).clone_from(black_box(&machine)));
    });
    group.bench_function("equal", |b| {
        b.iter(|| black_box(&copy) == black_box(&machine));
    });
    group.finish();
}

/// Two epolls that share one of two eventfds, and three tasks amid calls.
fn small_machine() -> Machine {
    let mut machine = Machine::new();
    let main = TaskId::MAIN;
    let [second, third] = [(); 2].map(|()| machine.spawn(main).expect("a thread"));
    let [one, other] = [(); 2].map(|()| {
        let flags = Default::default();
        descriptor(machine.begin(main, Syscall::EpollCreate1 { flags }, &mut ()))
    });
    let [shared, own] = [(); 2].map(|()| {
        let (initval, flags) = (0, OpenFlags::NONBLOCK);
        descriptor(machine.begin(main, Syscall::Eventfd2 { initval, flags }, &mut ()))
    });
    for (epfd, fd) in [(one, shared), (one, own), (other, shared)] {
        let add = Syscall::EpollCtl {
            epfd,
            op: CtlOp::ADD,
            fd,
            event: Ptr::To(EpollEvent::new(EventMask::IN, 7)),
        };
        steps(&mut machine, main, add, usize::MAX);
        machine.take_answer(main).expect("it is over");
    }
    let wait = |epfd| Syscall::EpollWait {
        epfd,
        events: OutPtr::PLENTY,
        maxevents: 8,
        timeout: (-1).into(),
    };
    steps(&mut machine, main, wait(one), usize::MAX);
    steps(&mut machine, second, wait(other), 1);
    let write = Syscall::Write {
        fd: shared,
        buf: Ptr::To(Bytes::from_u64(1)),
        count: 8,
    };
    steps(&mut machine, third, write, 1);
    machine
}

fn descriptor<E: std::fmt::Debug>(answer: Result<Answer, E>) -> Fd {
    match answer {
        Ok(Answer::Done(fd, _)) => Fd(i32::try_from(fd).expect("a descriptor is an int")),
        other => panic!("no descriptor: {other:?}"),
    }
}

/// Begins a call and takes so many of its steps, or as many as can be taken.
fn steps(machine: &mut Machine, task: TaskId, call: Syscall, count: usize) {
    let begun = machine.begin(task, call, &mut ()).expect("a call");
    assert_eq!(begun, Answer::Blocked, "it stands before its first step");
    for _ in 0..count {
        if machine.step(task, &mut ()) != Stepped::Moved {
            break;
        }
    }
}

criterion_group!(benches, ctl, wait, fire, machine);
criterion_main!(benches);
