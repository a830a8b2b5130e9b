//! Figures to look at over time, with criterion's statistics; `ratios` is the bench that judges.
//!
//!     cargo bench --bench figures

mod world;

use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
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

criterion_group!(benches, ctl, wait, fire);
criterion_main!(benches);
