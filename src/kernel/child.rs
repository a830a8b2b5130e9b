//! What runs in the subject: a loop that makes the calls it is told to.
//!
//! This code runs in a forked copy of a process that may have had many threads, so it allocates nothing,
//! prints nothing and never panics. It decides nothing either: what a call means is known to the
//! controller alone.

use std::hint::spin_loop;
use std::sync::atomic::Ordering::SeqCst;
use std::time::{Duration, Instant};

use super::board::{Kind, Place};
use super::ffi::{self, Board};

/// The first process of a scenario: descriptors 0, 1 and 2 are /dev/null, and there are no others. Its network
/// is the one that this descriptor leads to, unless that is negative.
pub(super) fn first(board: Board, parent: i32, network: i32) -> ! {
    call(
        libc::SYS_prctl,
        [libc::PR_SET_PDEATHSIG as u64, libc::SIGKILL as u64],
    );
    if call(libc::SYS_getppid, []) != i64::from(parent) {
        // The controller died before we could ask to be told.
        ffi::quit(1);
    }
    call(libc::SYS_setpgid, [0, 0]);
    ffi::default_signals();
    ffi::learn_restorer(board);
    no_core_dumps();
    if network >= 0 {
        call(libc::SYS_setns, [network as u64, libc::CLONE_NEWNET as u64]);
    }
    call(libc::SYS_close_range, [0, u64::from(u32::MAX), 0]);
    let null = c"/dev/null".as_ptr().expose_provenance() as u64;
    call(libc::SYS_open, [null, libc::O_RDWR as u64]);
    call(libc::SYS_dup, [0]);
    if call(libc::SYS_dup, [0]) != 2 {
        ffi::quit(1);
    }
    be_inspectable();
    serve(board, 0)
}

/// A thread that was started to serve a slot, with every signal blocked so far.
pub(super) fn thread(board: Board, slot: usize) -> ! {
    ffi::serve_slot(slot);
    ffi::set_signal_mask(board.control(slot).mask.load(SeqCst));
    serve(board, slot)
}

/// Carries out the orders of a slot. Never returns: a thread ends with its process.
fn serve(board: Board, mut slot: usize) -> ! {
    let header = board.header();
    let mut seen = 0;
    board.control(slot).tid.store(ffi::gettid(), SeqCst);
    loop {
        let control = board.control(slot);
        let (number, order) = control.next(seen);
        seen = number;
        let ret = match order.kind {
            Kind::Call => ffi::execute(order.nr, order.args),
            Kind::Race => race(board, slot, order.args),
            Kind::Spawn => ffi::start_thread(board, order.args[0] as usize),
            Kind::Fork => {
                let pid = ffi::fork();
                if pid == 0 {
                    be_inspectable();
                    slot = order.args[0] as usize;
                    ffi::serve_slot(slot);
                    seen = 0;
                    board.control(slot).tid.store(ffi::gettid(), SeqCst);
                    continue;
                }
                pid
            }
        };
        control.report(header, number, ret);
    }
}

/// One call after the other, from a start at the same moment as the others.
fn race(board: Board, slot: usize, [legs, tasks, mask, mask_len, _, _]: [u64; 6]) -> i64 {
    if mask_len > 0 {
        call(libc::SYS_sched_setaffinity, [0, mask_len, mask]);
    }
    let arrived = &board.header().arrived;
    arrived.fetch_add(1, SeqCst);
    let mut spins = 0;
    while u64::from(arrived.load(SeqCst)) < tasks {
        // There may be fewer processors than tasks.
        spins += 1;
        if spins % 256 == 0 {
            ffi::sched_yield();
        }
        spin_loop();
    }
    let control = board.control(slot);
    let mut ret = 0;
    for index in 0..legs as usize {
        let leg = board.leg(slot, index);
        pause(leg.pause(), || control.cut.load(SeqCst) != 0);
        if control.cut.load(SeqCst) != 0 {
            break;
        }
        let (nr, args) = leg.call();
        control.set_place(Place::In(index));
        ret = ffi::execute(nr, args);
        leg.ret.store(ret, SeqCst);
        control.set_place(Place::Before(index + 1));
    }
    ret
}

fn pause(time: Duration, is_over: impl Fn() -> bool) {
    /// About as much as a sleep may be late.
    const AWAKE: Duration = Duration::from_micros(150);
    if time.is_zero() {
        return;
    }
    let start = Instant::now();
    if time > AWAKE && !is_over() {
        // Others may need the processor meanwhile.
        std::thread::sleep(time - AWAKE);
    }
    while start.elapsed() < time && !is_over() {
        spin_loop();
    }
}

/// The guard of a scenario with several processes: when the controller dies, it ends process group `group`.
///
/// It is no part of the scenario, so no signal of that can reach, stop or end it.
pub(super) fn guard(board: Board, controller: i32, group: i32) -> ! {
    ffi::block_signals();
    call(libc::SYS_setpgid, [0, 0]);
    call(libc::SYS_close_range, [0, u64::from(u32::MAX), 0]);
    call(
        libc::SYS_prctl,
        [libc::PR_SET_PDEATHSIG as u64, libc::SIGTERM as u64],
    );
    if call(libc::SYS_getppid, []) == i64::from(controller) {
        board.header().guarded.store(1, SeqCst);
        ffi::await_signal(libc::SIGTERM);
    }
    ffi::kill_group(group);
    ffi::quit(0)
}

/// A signal that would dump core only kills: 1 also keeps the kernel from starting a program for it, which
/// 0 does not (`coredump_pipe` in fs/coredump.c).
fn no_core_dumps() {
    let limit = [1_u64, 1];
    let limit = limit.as_ptr().expose_provenance() as u64;
    call(
        libc::SYS_prlimit64,
        [0, u64::from(libc::RLIMIT_CORE), limit, 0],
    );
}

/// Lets the controller read /proc/PID/syscall also where the Yama module restricts that to debuggers. Without
/// Yama this is an error that does not matter.
fn be_inspectable() {
    const PR_SET_PTRACER: u64 = 0x5961_6d61;
    call(libc::SYS_prctl, [PR_SET_PTRACER, u64::MAX]);
}

fn call<const N: usize>(nr: i64, args: [u64; N]) -> i64 {
    let mut six = [0; 6];
    for (to, from) in six.iter_mut().zip(args) {
        *to = from;
    }
    ffi::execute(nr, six)
}
