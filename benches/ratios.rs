//! How fast the model is beside the kernel: both in the same run, on the same work, in turns.
//!
//!     cargo bench --bench ratios              all of it, under a minute; exits 1 if a goal is missed
//!     cargo bench --bench ratios -- MOD DEL   only these operations
//!     cargo bench --bench ratios -- --quick   only small epolls, a few rounds, nothing judged
//!
//! One line a measurement: `OP n=N k=K model=NS kernel=NS ratio=R goal=G`, with N watched descriptors
//! and K ready ones, nanoseconds (per event delivered, for WAIT), and the ratio that must not be
//! exceeded. ` MISS` ends a line that missed its goal.
//!
//! The two sides take turns of a few rounds. A turn begins with work that does not count: every watched
//! descriptor is used once, and then comes a first round. For the other side has just displaced this one's
//! code and data from the caches, which in no program would stand beside it. The figure is the lower
//! quartile of all rounds that count, since whatever else happens on the machine can only add to one.
//!
//! Where the limit of open files does not allow N of them (it takes `CAP_SYS_RESOURCE` to raise it),
//! the model is measured alone.
//!
//! FIRE is a write to an eventfd that was not ready; CYCLE is such a write, the wait that reports it, and the
//! read that answers it. Both use the same 25 descriptors again and again: a few are busy among N that are
//! not, as in most programs, and what they need is in the caches. FIRE-RANDOM and CYCLE-RANDOM pick up to a
//! thousand among all, each once a round, as do ADD, MOD and DEL. There both kernels wait for memory: the
//! model for five lines, one after the other (descriptor, file, wait queue, entry, item). Up to 1,000 these
//! are close at hand and the goal is that of FIRE and CYCLE; beyond that there is none.
//!
//! FIRST-FILL is an ADD that grows the tree out of fresh memory and so measures page faults too; it
//! has no goal.

mod world;

use std::env;
use std::fs;
use std::process::ExitCode;

use epoll_lab::kernel::direct;
use world::{Chance, KernelSide, ModelSide, Op, Side, World};

/// What is measured at each size: the operation, how many descriptors it picks, and the goal.
const PLAN: [(&str, Op, u32); 13] = [
    ("ADD", Op::Add, 1000),
    ("REFILL", Op::Refill, 0),
    ("MOD", Op::Mod, 1000),
    ("DEL", Op::Del, 1000),
    ("IDLE", Op::Idle, 0),
    ("WAIT", Op::Wait, 1),
    ("WAIT", Op::Wait, 10),
    ("WAIT", Op::Wait, 100),
    ("WAIT", Op::Wait, 1000),
    ("FIRE", Op::Fire, FEW),
    ("FIRE-RANDOM", Op::FireRandom, 1000),
    ("CYCLE", Op::Cycle, FEW),
    ("CYCLE-RANDOM", Op::CycleRandom, 1000),
];

/// More descriptors than these are not in any cache, whoever was there before.
const FIT_CACHES: usize = 10_000;

/// Rounds of a turn that count.
const ROUNDS: usize = 4;

/// Descriptors that are busy among many that are not.
const FEW: u32 = 25;

/// At most this part of the kernel's time.
fn goal(op: Op, n: u32, k: u32) -> Option<f64> {
    match op {
        // The sizes that programs have; with more, both wait for memory.
        Op::Add | Op::Refill | Op::Mod | Op::Del => {
            [1_000, 10_000].contains(&n).then_some(1.0 / 4.0)
        }
        Op::Wait => (k == 100).then_some(1.0 / 6.0),
        Op::Idle | Op::Fire | Op::Cycle => Some(1.0 / 8.0),
        // Beyond, what is measured is how long memory takes.
        Op::FireRandom | Op::CycleRandom => (n <= 1_000).then_some(1.0 / 8.0),
    }
}

/// A wait with one ready descriptor among a million, as a multiple of one among a thousand.
const WAIT_GROWTH: f64 = 2.0;
/// Of the model's memory, with what its vectors keep in reserve, without the file.
const BYTES_PER_WATCH: f64 = 160.0;

fn main() -> ExitCode {
    let quick = env::args().any(|arg| arg == "--quick");
    let only: Vec<String> = env::args()
        .skip(1)
        .filter(|arg| !arg.starts_with("--"))
        .collect();
    let sizes: &[(u32, usize)] = if quick {
        &[(100, 1), (1_000, 1)]
    } else {
        &[
            (100, 7),
            (1_000, 7),
            (10_000, 7),
            (100_000, 3),
            (1_000_000, 1),
        ]
    };
    let mut report = Report {
        only,
        ..Report::default()
    };
    let files = direct::raise_nofile(most_files());
    for &(n, turns) in sizes {
        measure_size(n, turns, files, &mut report);
    }
    if let (Some(small), Some(large)) = (report.wait_at(1_000), report.wait_at(1_000_000)) {
        report.growth(small, large);
    }
    if quick || report.misses == 0 {
        return ExitCode::SUCCESS;
    }
    println!("{} goals missed", report.misses);
    ExitCode::FAILURE
}

/// One side's turn, each round with its own picks. The first does not count.
fn turn<S: Side>(world: &mut World<S>, op: Op, picks: &[Vec<usize>], times: &mut Vec<f64>) {
    if world.watched() <= FIT_CACHES {
        world.use_all(op);
    }
    for (round, picks) in picks.iter().enumerate() {
        let cost = world.measure(op, picks);
        if round > 0 {
            times.push(cost.each());
        }
    }
}

fn measure_size(n: u32, turns: usize, files: u64, report: &mut Report) {
    // A few descriptors are open already.
    let needed = u64::from(n) + 64;
    let (mut model, model_fill) = World::new(ModelSide::new(needed), n);
    let mut kernel = (files >= needed).then(|| World::new(KernelSide::new(), n));
    let kernel_fill = kernel.as_ref().map(|(_, fill)| fill.each());
    report.line("FIRST-FILL", n, 0, model_fill.each(), kernel_fill, None);

    let mut chance = Chance::new();
    for (name, op, k) in PLAN {
        let is_ready_count = op == Op::Wait;
        if (is_ready_count && k > n) || !report.wants(name) {
            continue;
        }
        let picked = if is_ready_count {
            k
        } else {
            k.min(n / 4).max(1)
        };
        let (mut model_times, mut kernel_times) = (Vec::new(), Vec::new());
        for _ in 0..turns {
            let picks = [(); 1 + ROUNDS].map(|()| chance.picks(picked, n));
            turn(&mut model, op, &picks, &mut model_times);
            if let Some((kernel, _)) = &mut kernel {
                turn(kernel, op, &picks, &mut kernel_times);
            }
        }
        let k = if is_ready_count { k } else { 0 };
        let kernel_time = kernel.is_some().then(|| lower_quartile(kernel_times));
        report.line(
            name,
            n,
            k,
            lower_quartile(model_times),
            kernel_time,
            goal(op, n, k),
        );
    }
    report.bytes(n, model.side.model.bytes_per_watch());
}

/// What has been printed, as far as it is needed again.
#[derive(Default)]
struct Report {
    /// The operations asked for; all, if none is.
    only: Vec<String>,
    misses: usize,
    /// The model's wait with one ready descriptor, by size.
    waits: Vec<(u32, f64)>,
}

impl Report {
    fn wants(&self, op: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|only| only == op)
    }

    fn line(
        &mut self,
        op: &str,
        n: u32,
        k: u32,
        model: f64,
        kernel: Option<f64>,
        goal: Option<f64>,
    ) {
        if (op, k) == ("WAIT", 1) {
            self.waits.push((n, model));
        }
        let ratio = kernel.map(|kernel| model / kernel);
        let missed = matches!((ratio, goal), (Some(ratio), Some(goal)) if ratio > goal);
        self.print(
            format!("{op} n={n} k={k} model={model:.1}"),
            [
                kernel.map(|ns| format!("{ns:.1}")),
                ratio.map(three),
                goal.map(three),
            ],
            missed,
        );
    }

    /// Against itself, not against the kernel.
    fn growth(&mut self, small: f64, large: f64) {
        let ratio = large / small;
        self.print(
            format!("WAIT-GROWTH n=1000000 k=1 model={large:.1}"),
            [None, Some(three(ratio)), Some(three(WAIT_GROWTH))],
            ratio > WAIT_GROWTH,
        );
    }

    /// Bytes instead of nanoseconds, and the goal is one for the model alone.
    fn bytes(&mut self, n: u32, bytes: f64) {
        let goal = (n >= 1_000).then_some(BYTES_PER_WATCH);
        self.print(
            format!("BYTES n={n} k=0 model={bytes:.1}"),
            [None, None, goal.map(|goal| format!("{goal:.0}"))],
            goal.is_some_and(|goal| bytes > goal),
        );
    }

    fn print(&mut self, start: String, rest: [Option<String>; 3], missed: bool) {
        let [kernel, ratio, goal] = rest.map(|value| value.unwrap_or_else(|| "-".to_owned()));
        let miss = if missed { " MISS" } else { "" };
        println!("{start} kernel={kernel} ratio={ratio} goal={goal}{miss}");
        self.misses += usize::from(missed);
    }

    fn wait_at(&self, n: u32) -> Option<f64> {
        self.waits
            .iter()
            .find(|(size, _)| *size == n)
            .map(|(_, time)| *time)
    }
}

fn three(ratio: f64) -> String {
    format!("{ratio:.3}")
}

/// Above this the kernel lets nobody raise the limit.
fn most_files() -> u64 {
    let nr_open = fs::read_to_string("/proc/sys/fs/nr_open").ok();
    nr_open
        .and_then(|text| text.trim().parse().ok())
        .unwrap_or(0)
}

fn lower_quartile(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 4]
}
