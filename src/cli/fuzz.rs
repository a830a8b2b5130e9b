//! `epoll-lab fuzz`: random programs on both kernels.

use std::fs;
use std::hash::{BuildHasher, RandomState};
use std::io::IsTerminal;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use super::soak::{interrupted, running_kernel};
use super::terminal::{BAD, complain, outln, print, remark, styled};
use super::{Unusable, Verdict};
use crate::backend::LabError;
use crate::fuzz::{Coverage, Drawing, Files, Judgement, draw, judge, judge_block, shrink};
use crate::scenario::{Options, Scenario};

/// Run random programs on both kernels and compare.
///
/// They do not differ in what calls return and store, in events and their order, and in what poll and fdinfo tell at the end.
///
/// A difference is made as small as possible, shown, and kept as a file that `run` plays back. The last line
/// is always `fuzzed: N programs, M calls, D differ, U unjudged, R programs/min`.
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:\n  \
    epoll-lab fuzz                              ten seconds from a fresh seed\n  \
    epoll-lab fuzz --seconds 300 --jobs 2\n  \
    epoll-lab fuzz --seed 77 --count 1 --show   the one program of this seed\n  \
    epoll-lab fuzz --tasks 3 --files pipe,eventfd\n  \
    epoll-lab fuzz --count 20000 --coverage     what of the model the programs reached")]
pub(super) struct Arguments {
    /// Stop after so many seconds; without --count, 10
    #[arg(long)]
    seconds: Option<u64>,
    /// Stop after so many programs
    #[arg(long)]
    count: Option<u64>,
    /// The seed of the first program, each other one has the next; without it a fresh one
    #[arg(long)]
    seed: Option<u64>,
    /// Tasks that run at the same time; with more than one, all interleavings are explored on the model, and races on the kernel held against them
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=4))]
    tasks: u64,
    /// Calls in each program, more or less
    #[arg(long, default_value_t = 12, value_parser = clap::value_parser!(u64).range(1..=1000))]
    calls: u64,
    /// Races of each program with several tasks
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..))]
    races: u64,
    /// Kinds of files, with commas between
    #[arg(long, default_value_t = Files::ALL)]
    files: Files,
    /// Programs that run at the same time
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=64))]
    jobs: u64,
    /// Where to keep what was found
    #[arg(long, default_value = ".")]
    out: PathBuf,
    /// Only print the programs
    #[arg(long)]
    show: bool,
    /// At the end, tell which steps, events and errors of the model the programs reached
    #[arg(long)]
    coverage: bool,
}

/// Every so many programs one is run on a watched model as well, step by step.
const WATCHED: u64 = 8;

/// As many differences are looked into; more would say the same.
const MOST_FOUND: u64 = 20;

/// What all jobs share.
struct Shared<'a> {
    arguments: &'a Arguments,
    first: u64,
    deadline: Option<Instant>,
    stop: &'a AtomicBool,
    begun: AtomicU64,
    done: AtomicU64,
    calls: AtomicU64,
    differ: AtomicU64,
    unjudged: AtomicU64,
    coverage: Mutex<Coverage>,
    /// Why some could not be judged.
    reasons: Mutex<Vec<String>>,
    progress: ProgressBar,
}

pub(super) fn fuzz(arguments: &Arguments) -> Result<Verdict, Unusable> {
    let first = arguments
        .seed
        .unwrap_or_else(|| RandomState::new().hash_one(0) >> 16);
    let drawing = arguments.drawing();
    if arguments.show {
        for seed in 0..arguments.count.unwrap_or(1) {
            print(format_args!("{}", draw(first.wrapping_add(seed), drawing)));
        }
        return Ok(Verdict::Agree);
    }
    if !arguments.out.is_dir() {
        complain(format_args!("{}: no such folder", arguments.out.display()));
        return Err(Unusable);
    }
    if arguments.seed.is_none() {
        remark(format_args!("the first seed is {first}"));
    }
    let seconds = match (arguments.seconds, arguments.count) {
        (None, None) => Some(10),
        (seconds, _) => seconds,
    };
    let start = Instant::now();
    let stop = interrupted();
    let shared = Shared {
        arguments,
        first,
        deadline: seconds.map(|seconds| start + Duration::from_secs(seconds)),
        stop: &stop,
        begun: AtomicU64::new(0),
        done: AtomicU64::new(0),
        calls: AtomicU64::new(0),
        differ: AtomicU64::new(0),
        unjudged: AtomicU64::new(0),
        coverage: Mutex::default(),
        reasons: Mutex::default(),
        progress: progress_bar(arguments.count),
    };
    let failed = std::thread::scope(|scope| {
        let jobs = (0..arguments.jobs).map(|_| scope.spawn(|| shared.job()));
        let jobs: Vec<_> = jobs.collect();
        jobs.into_iter()
            .filter_map(|job| job.join().ok()?.err())
            .next()
    });
    shared.progress.finish_and_clear();
    if let Some(error) = failed {
        complain(format_args!("{error}"));
        return Err(Unusable);
    }
    shared.report(start.elapsed());
    Ok(match shared.differ.load(Ordering::Relaxed) {
        0 => Verdict::Agree,
        _ => Verdict::Differ,
    })
}

impl Arguments {
    fn drawing(&self) -> Drawing {
        Drawing {
            calls: self.calls,
            tasks: self.tasks,
            files: self.files,
        }
    }
}

impl Shared<'_> {
    /// One program after the other, until it is time.
    fn job(&self) -> Result<(), LabError> {
        let mut coverage = Coverage::default();
        loop {
            let number = self.begun.fetch_add(1, Ordering::Relaxed);
            let is_over = self
                .deadline
                .is_some_and(|deadline| Instant::now() >= deadline);
            let is_enough = self.arguments.count.is_some_and(|count| number >= count);
            let has_found = self.differ.load(Ordering::Relaxed) >= MOST_FOUND;
            if is_over || is_enough || has_found || self.stop.load(Ordering::Relaxed) {
                break;
            }
            let watch = number.is_multiple_of(WATCHED) || self.arguments.coverage;
            self.program(
                self.first.wrapping_add(number),
                watch.then_some(&mut coverage),
            )?;
            let done = self.done.fetch_add(1, Ordering::Relaxed) + 1;
            if done.is_multiple_of(64) {
                self.tell(done);
            }
        }
        if let Ok(mut all) = self.coverage.lock() {
            all.merge(coverage);
        }
        Ok(())
    }

    fn tell(&self, done: u64) {
        self.progress.set_position(done);
        let differ = self.differ.load(Ordering::Relaxed);
        if differ > 0 {
            self.progress.set_message(format!("{differ} differ"));
        }
    }

    fn program(&self, seed: u64, coverage: Option<&mut Coverage>) -> Result<(), LabError> {
        let text = draw(seed, self.arguments.drawing());
        match self.judge(&text, coverage)? {
            Judgement::Same(calls) => {
                self.calls.fetch_add(calls, Ordering::Relaxed);
            }
            Judgement::Unjudged(reason) => {
                self.unjudged.fetch_add(1, Ordering::Relaxed);
                if let Ok(mut reasons) = self.reasons.lock() {
                    reasons.push(format!("seed {seed}: {reason}"));
                }
            }
            Judgement::Differs(_) => {
                self.differ.fetch_add(1, Ordering::Relaxed);
                self.found(seed, &text);
            }
        }
        Ok(())
    }

    fn judge(&self, text: &str, coverage: Option<&mut Coverage>) -> Result<Judgement, LabError> {
        let scenario = match Scenario::parse(text) {
            Ok(scenario) => scenario,
            Err(errors) => {
                let reason = errors.first().map_or_else(String::new, ToString::to_string);
                return Ok(Judgement::Unjudged(format!("no scenario: {reason}")));
            }
        };
        if scenario.is_parallel() {
            judge_block(&scenario, &mut running_kernel, self.arguments.races)
        } else {
            judge(&scenario, &mut running_kernel, coverage)
        }
    }

    /// Makes it small, shows it, and keeps it.
    fn found(&self, seed: u64, text: &str) {
        let differs = |text: &str| matches!(self.judge(text, None), Ok(Judgement::Differs(_)));
        // What chance had a hand in is told as it was.
        let small = if differs(text) {
            shrink(text, &mut |text| differs(text))
        } else {
            text.to_owned()
        };
        let what = match self.judge(&small, None) {
            Ok(Judgement::Differs(what)) => what,
            _ => "it did not happen again\n".to_owned(),
        };
        let path = self.arguments.out.join(format!("fuzz-{seed}.strace"));
        let kept = fs::write(&path, recorded(&small));
        self.progress.suspend(|| {
            outln!(
                "{}",
                styled(BAD, format_args!("seed {seed}: the kernels differ"))
            );
            print(format_args!("{what}"));
            match kept {
                Ok(()) => outln!("kept as {}", path.display()),
                Err(error) => complain(format_args!("{}: {error}", path.display())),
            }
        });
    }

    fn report(&self, elapsed: Duration) {
        let [done, calls, differ, unjudged] =
            [&self.done, &self.calls, &self.differ, &self.unjudged]
                .map(|it| it.load(Ordering::Relaxed));
        if let Ok(reasons) = self.reasons.lock() {
            for reason in reasons.iter().take(5) {
                remark(format_args!("unjudged: {reason}"));
            }
        }
        if self.arguments.coverage
            && let Ok(coverage) = self.coverage.lock()
        {
            print(format_args!("{}", coverage.table()));
        }
        let millis = elapsed.as_millis().max(1);
        let rate = u128::from(done) * 60_000 / millis;
        outln!(
            "fuzzed: {done} programs, {calls} calls, {differ} differ, {unjudged} unjudged, {rate} programs/min"
        );
    }
}

/// The program with what the running kernel says to it.
fn recorded(text: &str) -> String {
    let Ok(scenario) = Scenario::parse(text) else {
        return text.to_owned();
    };
    if scenario.is_parallel() {
        return scenario.to_string();
    }
    match running_kernel() {
        Ok(mut kernel) => scenario.record(&scenario.run(&mut *kernel, Options::default())),
        Err(_) => scenario.to_string(),
    }
}

/// On a terminal only; a pipe has no use for it.
fn progress_bar(count: Option<u64>) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let (bar, template) = match count {
        Some(count) => (ProgressBar::new(count), "{bar:30} {pos}/{len} {msg} {eta}"),
        None => (
            ProgressBar::new_spinner(),
            "{spinner} {pos} programs, {per_sec} {msg}",
        ),
    };
    let style = ProgressStyle::with_template(template);
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}
