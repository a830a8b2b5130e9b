//! Signals: who gets one, what it interrupts, and when all of it is over.

use super::*;
use crate::abi::{SiCode, SigAction, SigHandler};

const USR1: Signal = Signal::SIGUSR1;
const USR2: Signal = Signal::SIGUSR2;

fn action(handler: SigHandler, flags: SaFlags) -> SigAction {
    SigAction {
        handler,
        flags,
        mask: SigSet::EMPTY,
    }
}

#[track_caller]
fn sigaction(linux: &mut Linux, task: TaskId, sig: Signal, act: SigAction) {
    let set = Syscall::RtSigaction {
        sig,
        act: Ptr::To(act),
        oldact: OutPtr::NULL,
        sigsetsize: 8,
    };
    assert_eq!(call(linux, task, set), Answer::ret(0), "{sig}");
}

#[track_caller]
fn handle(linux: &mut Linux, sig: Signal, flags: SaFlags) {
    sigaction(linux, MAIN, sig, action(SigHandler::Handle, flags));
}

fn sigprocmask(how: SigmaskHow, set: SigSet) -> Syscall {
    Syscall::RtSigprocmask {
        how,
        set: Ptr::To(set),
        oldset: OutPtr::PLENTY,
        sigsetsize: 8,
    }
}

#[track_caller]
fn block(linux: &mut Linux, task: TaskId, signals: &[Signal]) {
    let set = signals.iter().copied().collect();
    let answer = call(linux, task, sigprocmask(SigmaskHow::SETMASK, set));
    assert!(matches!(answer, Answer::Done(0, _)), "{answer:?}");
}

fn kill(task: TaskId, sig: Signal) -> Syscall {
    Syscall::Kill {
        pid: task.pid(),
        sig,
    }
}

fn tgkill(process: TaskId, task: TaskId, sig: Signal) -> Syscall {
    Syscall::Tgkill {
        tgid: process.pid(),
        tid: task.pid(),
        sig,
    }
}

fn from(sender: TaskId, signo: Signal, code: SiCode) -> SigInfo {
    SigInfo {
        signo,
        code,
        pid: sender.pid(),
        uid: 0,
        status: 0,
    }
}

fn pending() -> Syscall {
    Syscall::RtSigpending {
        set: OutPtr::PLENTY,
        sigsetsize: 8,
    }
}

fn nanosleep(milliseconds: i64) -> Syscall {
    Syscall::Nanosleep {
        req: Ptr::To(Timespec {
            tv_sec: milliseconds / 1000,
            tv_nsec: milliseconds % 1000 * 1_000_000,
        }),
        rem: OutPtr::PLENTY,
    }
}

fn read(fd: Fd) -> Syscall {
    Syscall::Read {
        fd,
        buf: OutPtr::PLENTY,
        count: 10,
    }
}

fn poll_call(fd: Fd) -> Syscall {
    Syscall::Poll {
        fds: vec![PollFd {
            fd,
            events: EventMask::IN,
            revents: EventMask::empty(),
        }],
        timeout: Timeout(-1),
    }
}

/// Every call that can sleep for ever, on an epoll and a pipe in which nothing is ready.
fn sleeps(ep: Fd, r: Fd) -> Vec<Syscall> {
    let select = Select {
        nfds: r.0 + 1,
        readfds: Some([r].into_iter().collect()),
        writefds: None,
        exceptfds: None,
        timeout: None,
    };
    let pselect = Select {
        nfds: r.0 + 1,
        readfds: select.readfds.clone(),
        writefds: None,
        exceptfds: None,
        timeout: None,
    };
    vec![
        wait_call(ep, Room::Plenty, 8, -1),
        wait_call(ep, Room::Plenty, 8, 60_000),
        Syscall::EpollPwait {
            epfd: ep,
            events: OutPtr::PLENTY,
            maxevents: 8,
            timeout: Timeout(-1),
            sigmask: Ptr::To(SigSet::of(USR2)),
            sigsetsize: 8,
        },
        Syscall::EpollPwait2 {
            epfd: ep,
            events: OutPtr::PLENTY,
            maxevents: 8,
            timeout: Ptr::NULL,
            sigmask: Ptr::NULL,
            sigsetsize: 0,
        },
        poll_call(r),
        Syscall::Ppoll {
            fds: Vec::new(),
            timeout: None,
            sigmask: Ptr::To(SigSet::of(USR2)),
            sigsetsize: 8,
        },
        Syscall::Select(Box::new(select)),
        Syscall::Pselect6 {
            select: Box::new(pselect),
            sigmask: Ptr::To(SigSet::of(USR2)),
            sigsetsize: 8,
        },
        read(r),
        nanosleep(60_000),
        Syscall::ClockNanosleep {
            clockid: 1,
            flags: 1,
            req: Ptr::To(Timespec {
                tv_sec: 60,
                tv_nsec: 0,
            }),
            rem: OutPtr::NULL,
        },
        Syscall::Pause,
        Syscall::RtSigsuspend {
            mask: Ptr::To(SigSet::of(USR2)),
            sigsetsize: 8,
        },
    ]
}

fn handlers_run_in_idle_tasks(rounds: u32) {
    let mut linux = linux();
    let other = linux.spawn(MAIN).expect("a thread");
    let child = fork(&mut linux, MAIN);
    handle(&mut linux, USR1, SaFlags::empty());
    sigaction(
        &mut linux,
        child,
        USR1,
        action(SigHandler::Handle, SaFlags::RESTART),
    );
    for round in 0..rounds {
        for (call_, task, sender, code) in [
            (kill(MAIN, USR1), MAIN, other, SiCode::USER),
            (tgkill(MAIN, other, USR1), other, MAIN, SiCode::TKILL),
            (tgkill(MAIN, MAIN, USR1), MAIN, MAIN, SiCode::TKILL),
            (kill(child, USR1), child, MAIN, SiCode::USER),
        ] {
            assert_eq!(call(&mut linux, sender, call_), Answer::ret(0));
            assert_eq!(settle(&mut linux), []);
            // Whichever thread calls, `si_pid` is its process.
            let told = (task, from(MAIN, USR1, code));
            assert_eq!(linux.take_handled(), [told], "round {round}");
        }
    }
}

#[test]
fn an_idle_task_has_run_its_handler_at_rest() {
    handlers_run_in_idle_tasks(200);
}

fn handlers_end_sleeps(rounds: u32) {
    let mut linux = linux();
    let (ep, (r, _)) = (epoll(&mut linux), pipe(&mut linux, OpenFlags::empty()));
    let other = linux.spawn(MAIN).expect("a thread");
    for round in 0..rounds {
        for flags in [SaFlags::empty(), SaFlags::RESTART] {
            handle(&mut linux, USR1, flags);
            for sleep in sleeps(ep, r) {
                let is_restarted =
                    matches!(sleep, Syscall::Read { .. }) && flags == SaFlags::RESTART;
                if is_restarted {
                    continue;
                }
                let name = sleep.name();
                assert_eq!(call(&mut linux, other, sleep), Answer::Blocked, "{name}");
                let answer = call(&mut linux, MAIN, tgkill(MAIN, other, USR1));
                assert_eq!(answer, Answer::ret(0));
                let ended = settle(&mut linux);
                assert_eq!(ended.len(), 1, "{name}, {flags}, round {round}");
                match &ended[0] {
                    (_, Answer::Failed(Errno::EINTR, Out::None)) if name != "nanosleep" => {}
                    (_, Answer::Failed(Errno::EINTR, Out::Timespec(left)))
                        if (1..60).contains(&left.tv_sec) => {}
                    other => panic!("{name}, {flags}, round {round}: {other:?}"),
                }
                let told = (other, from(MAIN, USR1, SiCode::TKILL));
                assert_eq!(linux.take_handled(), [told], "{name}");
            }
        }
    }
}

#[test]
fn a_handler_ends_every_sleep() {
    handlers_end_sleeps(10);
}

#[test]
fn load_changes_no_signal() {
    under_load(|| {
        handlers_run_in_idle_tasks(50);
        handlers_end_sleeps(2);
        stopped_tasks_go_on(2);
    });
}

#[test]
fn a_restarted_call_sleeps_again_behind_its_handler() {
    let mut linux = linux();
    let (r, w) = pipe(&mut linux, OpenFlags::empty());
    handle(&mut linux, USR1, SaFlags::RESTART);
    let other = linux.spawn(MAIN).expect("a thread");
    for round in 0..200 {
        assert_eq!(call(&mut linux, other, read(r)), Answer::Blocked);
        for _ in 0..3 {
            call(&mut linux, MAIN, tgkill(MAIN, other, USR1));
            assert_eq!(settle(&mut linux), [], "round {round}");
            let told = (other, from(MAIN, USR1, SiCode::TKILL));
            assert_eq!(linux.take_handled(), [told], "round {round}");
        }
        assert_eq!(Thread::main(&mut linux).write(w, b"x"), Ok(1));
        let got = Answer::Done(1, Out::Bytes(Bytes::from(&b"x"[..])));
        assert_eq!(settle(&mut linux), [(other, got)], "round {round}");
    }
}

fn stopped_tasks_go_on(rounds: u32) {
    let mut linux = linux();
    let (ep, (r, _)) = (epoll(&mut linux), pipe(&mut linux, OpenFlags::empty()));
    let child = fork(&mut linux, MAIN);
    let thread = linux.spawn(child).expect("a thread");
    handle(&mut linux, USR1, SaFlags::empty());
    for act in [SigHandler::Handle, SigHandler::Default] {
        sigaction(&mut linux, child, USR1, action(act, SaFlags::empty()));
        for _ in 0..rounds {
            for sleep in sleeps(ep, r) {
                let name = sleep.name();
                assert_eq!(call(&mut linux, thread, sleep), Answer::Blocked, "{name}");
                let stop = call(&mut linux, MAIN, kill(child, Signal::SIGSTOP));
                assert_eq!(stop, Answer::ret(0));
                assert_eq!(settle(&mut linux), [], "{name}");
                let error = linux.submit(child, pending()).expect_err("it is stopped");
                assert_eq!(error.to_string(), format!("task {} is stopped", child.0));
                assert!(linux.spawn(child).is_err());
                let go_on = call(&mut linux, MAIN, kill(child, Signal::SIGCONT));
                assert_eq!(go_on, Answer::ret(0));
                let ended = settle(&mut linux);
                let eintr = (thread, Answer::err(Errno::EINTR));
                match name {
                    "epoll_wait" | "epoll_pwait" | "epoll_pwait2" => {
                        assert_eq!(ended, [eintr], "{name}");
                        continue;
                    }
                    _ => assert_eq!(ended, [], "{name}"),
                }
                // The child has a life of its own meanwhile.
                assert!(matches!(
                    call(&mut linux, child, pending()),
                    Answer::Done(0, _)
                ));
                sigaction(
                    &mut linux,
                    child,
                    USR1,
                    action(SigHandler::Handle, SaFlags::empty()),
                );
                call(&mut linux, MAIN, tgkill(child, thread, USR1));
                let ended = settle(&mut linux);
                assert!(
                    matches!(&ended[..], [(task, Answer::Failed(Errno::EINTR, _))] if *task == thread),
                    "{name}: {ended:?}"
                );
                assert_eq!(linux.take_handled().len(), 1);
            }
        }
    }
}

#[test]
fn a_stop_ends_epoll_wait_and_nothing_else() {
    stopped_tasks_go_on(5);
}

#[test]
fn a_task_that_stops_itself_is_asleep_in_its_kill() {
    let mut linux = linux();
    let child = fork(&mut linux, MAIN);
    for _ in 0..50 {
        let stop = call(&mut linux, child, kill(child, Signal::SIGSTOP));
        assert_eq!(stop, Answer::Blocked);
        let stopped = Syscall::Wait4 {
            pid: child.pid(),
            options: libc::WUNTRACED,
        };
        let status = Out::Status(WaitStatus::Stopped(Signal::SIGSTOP));
        let answer = call(&mut linux, MAIN, stopped);
        assert_eq!(answer, Answer::Done(child.pid().into(), status));
        let go_on = call(&mut linux, MAIN, kill(child, Signal::SIGCONT));
        assert_eq!(go_on, Answer::ret(0));
        assert_eq!(settle(&mut linux), [(child, Answer::ret(0))]);
        let went_on = Syscall::Wait4 {
            pid: -1,
            options: libc::WCONTINUED,
        };
        let status = Out::Status(WaitStatus::Continued);
        let answer = call(&mut linux, MAIN, went_on);
        assert_eq!(answer, Answer::Done(child.pid().into(), status));
    }
}

#[test]
fn the_first_process_may_be_stopped_and_killed() {
    for sig in [Signal::SIGKILL, Signal::SIGTERM, Signal::SIGQUIT] {
        let mut linux = linux();
        let child = fork(&mut linux, MAIN);
        let stop = call(&mut linux, MAIN, kill(MAIN, Signal::SIGSTOP));
        assert_eq!(stop, Answer::Blocked);
        assert!(linux.submit(MAIN, pending()).is_err());
        let go_on = call(&mut linux, child, kill(MAIN, Signal::SIGCONT));
        assert_eq!(go_on, Answer::ret(0));
        assert_eq!(settle(&mut linux), [(MAIN, Answer::ret(0))]);
        assert_eq!(call(&mut linux, MAIN, kill(MAIN, sig)), Answer::Gone);
        let error = linux.submit(MAIN, pending()).expect_err("it is gone");
        assert_eq!(error.to_string(), "task 0 is gone");
        // A zombie that nobody reaps can still be sent to.
        let nothing = call(&mut linux, child, kill(MAIN, Signal(0)));
        assert_eq!(nothing, Answer::ret(0));
        let stop = call(&mut linux, child, kill(child, Signal::SIGSTOP));
        assert_eq!(stop, Answer::Blocked);
    }
}

#[test]
fn default_actions_end_idle_and_sleeping_tasks() {
    let mut linux = linux();
    for sig in [
        Signal::SIGTERM,
        Signal::SIGQUIT,
        Signal::SIGSEGV,
        Signal::SIGALRM,
        Signal(33),
        Signal(64),
    ] {
        for _ in 0..5 {
            let (r, w) = pipe(&mut linux, OpenFlags::NONBLOCK);
            let child = fork(&mut linux, MAIN);
            let thread = linux.spawn(child).expect("a thread");
            Thread::main(&mut linux).close(w).expect("it is open");
            assert_eq!(call(&mut linux, thread, Syscall::Pause), Answer::Blocked);
            assert_eq!(call(&mut linux, MAIN, read(r)), Answer::err(Errno::EAGAIN));
            assert_eq!(call(&mut linux, MAIN, kill(child, sig)), Answer::ret(0));
            assert_eq!(settle(&mut linux), [(thread, Answer::Gone)], "{sig}");
            // Its files are closed by then.
            let eof = Answer::Done(0, Out::Bytes(Bytes::default()));
            assert_eq!(call(&mut linux, MAIN, read(r)), eof);
            assert!(linux.submit(child, pending()).is_err());
            let status = Out::Status(WaitStatus::Signaled(sig));
            let reaped = call(&mut linux, MAIN, wait4(child.pid()));
            assert_eq!(reaped, Answer::Done(child.pid().into(), status));
            Thread::main(&mut linux).close(r).expect("it is open");
        }
    }
}

#[test]
fn a_deadly_signal_ends_every_sleep() {
    let mut linux = linux();
    let (ep, (r, w)) = (epoll(&mut linux), pipe(&mut linux, OpenFlags::empty()));
    for sig in [Signal::SIGTERM, Signal::SIGKILL] {
        for (own, other) in sleeps(ep, r)
            .into_iter()
            .zip(sleeps(ep, r).into_iter().rev())
        {
            let child = fork(&mut linux, MAIN);
            let thread = linux.spawn(child).expect("a thread");
            let names = [own.name(), other.name()];
            assert_eq!(call(&mut linux, child, own), Answer::Blocked, "{names:?}");
            assert_eq!(
                call(&mut linux, thread, other),
                Answer::Blocked,
                "{names:?}"
            );
            let to_one = tgkill(child, thread, sig);
            assert_eq!(call(&mut linux, MAIN, to_one), Answer::ret(0));
            let mut ended = settle(&mut linux);
            ended.sort_by_key(|(task, _)| *task);
            let gone = [(child, Answer::Gone), (thread, Answer::Gone)];
            assert_eq!(ended, gone, "{names:?}");
            let status = Out::Status(WaitStatus::Signaled(sig));
            let reaped = call(&mut linux, MAIN, wait4(-1));
            assert_eq!(reaped, Answer::Done(child.pid().into(), status));
        }
    }
    // Nobody is left in line: the byte is for who comes now.
    assert_eq!(Thread::main(&mut linux).write(w, b"x"), Ok(1));
    let got = Answer::Done(1, Out::Bytes(Bytes::from(&b"x"[..])));
    assert_eq!(call(&mut linux, MAIN, read(r)), got);
}

#[test]
fn another_program_gets_signals_too() {
    let mut linux = linux();
    let child = fork(&mut linux, MAIN);
    assert_eq!(call(&mut linux, child, Syscall::Execve), Answer::ret(0));
    for sig in [
        Signal::SIGSTOP,
        Signal::SIGCONT,
        Signal::SIGWINCH,
        Signal(0),
    ] {
        assert_eq!(call(&mut linux, MAIN, kill(child, sig)), Answer::ret(0));
    }
    let term = call(&mut linux, MAIN, kill(child, Signal::SIGTERM));
    assert_eq!(term, Answer::ret(0));
    let status = Out::Status(WaitStatus::Signaled(Signal::SIGTERM));
    let nobody_waits = Syscall::Wait4 {
        pid: -1,
        options: libc::WNOHANG,
    };
    let reaped = call(&mut linux, MAIN, nobody_waits);
    assert_eq!(reaped, Answer::Done(child.pid().into(), status));
}

#[test]
fn a_broken_pipe_ends_who_writes_to_it() {
    let mut linux = linux();
    let (r, w) = pipe(&mut linux, OpenFlags::empty());
    Thread::main(&mut linux).close(r).expect("it is open");
    let write = Syscall::Write {
        fd: w,
        buf: Ptr::To(Bytes::from(&b"x"[..])),
        count: 1,
    };
    let epipe = Answer::err(Errno::EPIPE);
    block(&mut linux, MAIN, &[Signal::SIGPIPE]);
    assert_eq!(call(&mut linux, MAIN, write.clone()), epipe);
    let waits = Answer::Done(0, Out::SigSet(SigSet::of(Signal::SIGPIPE)));
    assert_eq!(call(&mut linux, MAIN, pending()), waits);
    let ignore = action(SigHandler::Ignore, SaFlags::empty());
    sigaction(&mut linux, MAIN, Signal::SIGPIPE, ignore);
    block(&mut linux, MAIN, &[]);
    assert_eq!(call(&mut linux, MAIN, write.clone()), epipe);
    assert_eq!(linux.take_handled(), []);
    handle(&mut linux, Signal::SIGPIPE, SaFlags::empty());
    assert_eq!(call(&mut linux, MAIN, write.clone()), epipe);
    let told = (MAIN, from(MAIN, Signal::SIGPIPE, SiCode::USER));
    assert_eq!(linux.take_handled(), [told]);
    sigaction(&mut linux, MAIN, Signal::SIGPIPE, SigAction::default());
    assert_eq!(call(&mut linux, MAIN, write), Answer::Gone);
}

#[test]
fn a_parent_hears_of_its_children() {
    let mut linux = linux();
    handle(&mut linux, Signal::SIGCHLD, SaFlags::empty());
    for _ in 0..50 {
        let child = fork(&mut linux, MAIN);
        let told = |linux: &mut Linux, by: TaskId, act: Syscall, code, status| {
            call(linux, by, act);
            settle(linux);
            let info = SigInfo {
                status,
                ..from(child, Signal::SIGCHLD, code)
            };
            assert_eq!(linux.take_handled(), [(MAIN, info)]);
        };
        let stop = kill(child, Signal::SIGSTOP);
        told(&mut linux, MAIN, stop, SiCode::CLD_STOPPED, 19);
        let go_on = kill(child, Signal::SIGCONT);
        told(&mut linux, MAIN, go_on, SiCode::CLD_CONTINUED, 18);
        let exit = Syscall::ExitGroup { status: 7 };
        told(&mut linux, child, exit, SiCode::CLD_EXITED, 7);
        assert!(matches!(
            call(&mut linux, MAIN, wait4(-1)),
            Answer::Done(..)
        ));
        assert_eq!(linux.take_handled(), []);
    }
}

#[test]
fn nothing_is_handled_by_a_thread_of_the_lab() {
    let mut linux = linux();
    let other = linux.spawn(MAIN).expect("a thread");
    handle(&mut linux, USR1, SaFlags::empty());
    linux.ensure_helper(MAIN).expect("a helper");
    for round in 0..200 {
        block(&mut linux, MAIN, &[USR1]);
        block(&mut linux, other, &[USR1]);
        assert_eq!(call(&mut linux, other, kill(MAIN, USR1)), Answer::ret(0));
        assert_eq!(linux.take_handled(), [], "round {round}");
        let waits = Answer::Done(0, Out::SigSet(SigSet::of(USR1)));
        assert_eq!(call(&mut linux, MAIN, pending()), waits);
        // Whoever unblocks it has it.
        block(&mut linux, other, &[]);
        let told = (other, from(MAIN, USR1, SiCode::USER));
        assert_eq!(linux.take_handled(), [told], "round {round}");
        let nothing = Answer::Done(0, Out::SigSet(SigSet::EMPTY));
        assert_eq!(call(&mut linux, MAIN, pending()), nothing);
    }
}

#[test]
fn a_new_thread_blocks_what_its_creator_blocks() {
    let mut linux = linux();
    let old = |linux: &mut Linux, task| {
        let ask = Syscall::RtSigprocmask {
            how: SigmaskHow(77),
            set: Ptr::NULL,
            oldset: OutPtr::PLENTY,
            sigsetsize: 8,
        };
        match call(linux, task, ask) {
            Answer::Done(0, Out::SigSet(set)) => set,
            other => panic!("{other:?}"),
        }
    };
    block(&mut linux, MAIN, &[USR1]);
    let first = linux.spawn(MAIN).expect("a thread");
    assert_eq!(old(&mut linux, first), SigSet::of(USR1));
    block(&mut linux, first, &[USR2, Signal::SIGKILL]);
    // Here the lab's own thread starts it, and the creator has another mask for the moment.
    let suspend = Syscall::RtSigsuspend {
        mask: Ptr::To(SigSet::EMPTY),
        sigsetsize: 8,
    };
    assert_eq!(call(&mut linux, MAIN, suspend.clone()), Answer::Blocked);
    assert_eq!(call(&mut linux, first, suspend), Answer::Blocked);
    let second = linux.spawn(first).expect("a thread");
    assert_eq!(old(&mut linux, second), SigSet::of(USR2));
    let third = linux.spawn(MAIN).expect("a thread");
    assert_eq!(old(&mut linux, third), SigSet::of(USR1));
    let child = fork(&mut linux, second);
    assert_eq!(old(&mut linux, child), SigSet::of(USR2));
}

#[test]
fn a_scenario_begins_without_what_its_caller_did_to_signals() {
    let mask = ffi::set_signal_mask(!0);
    let mut linux = linux();
    ffi::set_signal_mask(mask);
    for sig in (1..=64).map(Signal) {
        let ask = Syscall::RtSigaction {
            sig,
            act: Ptr::NULL,
            oldact: OutPtr::PLENTY,
            sigsetsize: 8,
        };
        let default = Out::SigAction(SigAction::default());
        assert_eq!(
            call(&mut linux, MAIN, ask),
            Answer::Done(0, default),
            "{sig}"
        );
    }
    let before = call(
        &mut linux,
        MAIN,
        sigprocmask(SigmaskHow::SETMASK, SigSet(!0)),
    );
    assert_eq!(before, Answer::Done(0, Out::SigSet(SigSet::EMPTY)));
    let now = call(
        &mut linux,
        MAIN,
        sigprocmask(SigmaskHow::BLOCK, SigSet::EMPTY),
    );
    let all = SigSet(!0).difference(SigSet::UNBLOCKABLE);
    assert_eq!(now, Answer::Done(0, Out::SigSet(all)));
}

#[test]
fn an_action_comes_back_as_it_was_given() {
    let mut linux = linux();
    let set = |sig, act, oldact, sigsetsize| Syscall::RtSigaction {
        sig,
        act,
        oldact,
        sigsetsize,
    };
    let given = SigAction {
        handler: SigHandler::Handle,
        flags: SaFlags::RESTART.union(SaFlags::NODEFER),
        mask: SigSet::of(USR2),
    };
    let with_info = SigAction {
        flags: SaFlags::SIGINFO,
        ..given
    };
    let ignore = action(SigHandler::Ignore, SaFlags::empty());
    let mut before = SigAction::default();
    for act in [
        given,
        with_info,
        ignore,
        SigAction::default(),
        with_info,
        given,
    ] {
        let answer = call(&mut linux, MAIN, set(USR1, Ptr::To(act), OutPtr::PLENTY, 8));
        assert_eq!(answer, Answer::Done(0, Out::SigAction(before)));
        before = act;
    }
    // What cannot be told is in force all the same.
    let told_nowhere = set(USR1, Ptr::To(with_info), OutPtr::Addr(0x1000), 8);
    let answer = call(&mut linux, MAIN, told_nowhere);
    assert_eq!(answer, Answer::err(Errno::EFAULT));
    let answer = call(&mut linux, MAIN, set(USR1, Ptr::NULL, OutPtr::PLENTY, 8));
    assert_eq!(answer, Answer::Done(0, Out::SigAction(with_info)));
    let to_nowhere = Syscall::RtSigprocmask {
        how: SigmaskHow::BLOCK,
        set: Ptr::To(SigSet::of(USR2)),
        oldset: OutPtr::Addr(0x1000),
        sigsetsize: 8,
    };
    let answer = call(&mut linux, MAIN, to_nowhere);
    assert_eq!(answer, Answer::err(Errno::EFAULT));
    assert_eq!(linux.tasks.tasks[0].mask, SigSet::of(USR2));
    // A handler for one signal leaves the rest of its action behind.
    let once = SigAction {
        flags: SaFlags::RESETHAND,
        ..given
    };
    sigaction(&mut linux, MAIN, USR1, once);
    call(&mut linux, MAIN, kill(MAIN, USR1));
    assert_eq!(linux.take_handled().len(), 1);
    let answer = call(&mut linux, MAIN, set(USR1, Ptr::NULL, OutPtr::PLENTY, 8));
    let left = SigAction {
        handler: SigHandler::Default,
        ..once
    };
    assert_eq!(answer, Answer::Done(0, Out::SigAction(left)));
}

#[test]
fn wrong_calls_about_signals_fail_as_documented() {
    let mut linux = linux();
    let other = linux.spawn(MAIN).expect("a thread");
    let child = fork(&mut linux, MAIN);
    let mut fails = |asked: Syscall, errno: Errno| {
        let answer = call(&mut linux, MAIN, asked.clone());
        assert_eq!(answer, Answer::err(errno), "{asked:?}");
    };
    let act = |sig, act, sigsetsize| Syscall::RtSigaction {
        sig: Signal(sig),
        act,
        oldact: OutPtr::NULL,
        sigsetsize,
    };
    let ignore = Ptr::To(action(SigHandler::Ignore, SaFlags::empty()));
    for (sig, size) in [(0, 8), (65, 8), (9, 8), (19, 8), (10, 4), (10, 16), (-1, 8)] {
        fails(act(sig, ignore, size), Errno::EINVAL);
    }
    fails(act(10, Ptr::Addr(0x1000), 8), Errno::EFAULT);
    let mask = |how, set, sigsetsize| Syscall::RtSigprocmask {
        how: SigmaskHow(how),
        set,
        oldset: OutPtr::NULL,
        sigsetsize,
    };
    let usr1 = SigSet::of(USR1);
    fails(mask(3, Ptr::To(usr1), 8), Errno::EINVAL);
    fails(mask(0, Ptr::To(usr1), 4), Errno::EINVAL);
    fails(mask(0, Ptr::Addr(0x1000), 8), Errno::EFAULT);
    let suspend = |mask, sigsetsize| Syscall::RtSigsuspend { mask, sigsetsize };
    fails(suspend(Ptr::To(usr1), 4), Errno::EINVAL);
    fails(suspend(Ptr::Addr(0), 8), Errno::EFAULT);
    let ask = |set, sigsetsize| Syscall::RtSigpending { set, sigsetsize };
    fails(ask(OutPtr::PLENTY, 9), Errno::EINVAL);
    fails(ask(OutPtr::NULL, 8), Errno::EFAULT);
    for sig in [-1, 65] {
        fails(kill(MAIN, Signal(sig)), Errno::EINVAL);
        fails(tgkill(MAIN, MAIN, Signal(sig)), Errno::EINVAL);
    }
    fails(kill(TaskId(77), USR1), Errno::ESRCH);
    let group = Syscall::Kill { pid: -7, sig: USR1 };
    fails(group, Errno::ESRCH);
    fails(tgkill(MAIN, TaskId(77), USR1), Errno::ESRCH);
    fails(tgkill(MAIN, child, USR1), Errno::ESRCH);
    fails(tgkill(other, other, USR1), Errno::ESRCH);
    let nobody = Syscall::Tkill { tid: 0, sig: USR1 };
    fails(nobody, Errno::EINVAL);
    let sleep = |req| Syscall::Nanosleep {
        req,
        rem: OutPtr::NULL,
    };
    let time = |tv_sec, tv_nsec| Ptr::To(Timespec { tv_sec, tv_nsec });
    fails(sleep(time(0, 1_000_000_000)), Errno::EINVAL);
    fails(sleep(time(-1, 0)), Errno::EINVAL);
    fails(sleep(Ptr::NULL), Errno::EFAULT);
    let on = |clockid| Syscall::ClockNanosleep {
        clockid,
        flags: 0,
        req: time(1, 0),
        rem: OutPtr::NULL,
    };
    fails(on(99), Errno::EINVAL);
    let short = call(&mut linux, MAIN, ask(OutPtr::Memory(Room::Bytes(2)), 2));
    assert_eq!(short, Answer::Done(0, Out::SigSet(SigSet::EMPTY)));
    let everybody = Syscall::Kill { pid: -1, sig: USR1 };
    assert!(linux.submit(MAIN, everybody).is_err());
}

#[test]
fn several_signals_at_once_are_told_in_the_order_of_delivery() {
    let mut linux = linux();
    let signals = [Signal(40), USR2, USR1, Signal(35), Signal::SIGSEGV];
    for sig in signals {
        handle(&mut linux, sig, SaFlags::empty());
    }
    for _ in 0..50 {
        block(&mut linux, MAIN, &signals);
        for sig in signals {
            call(&mut linux, MAIN, kill(MAIN, sig));
            // Only of a real-time signal both wait.
            call(&mut linux, MAIN, kill(MAIN, sig));
        }
        assert_eq!(linux.take_handled(), []);
        block(&mut linux, MAIN, &[]);
        let delivered: Vec<i32> = linux
            .take_handled()
            .iter()
            .map(|(_, info)| info.signo.0)
            .collect();
        assert_eq!(delivered, [11, 10, 12, 35, 40, 40, 35]);
    }
}

#[test]
fn all_of_the_scenario_is_a_group() {
    let mut linux = linux();
    handle(&mut linux, USR1, SaFlags::empty());
    let child = fork(&mut linux, MAIN);
    let grandchild = fork(&mut linux, child);
    let all = |sig| Syscall::Kill { pid: 0, sig };
    assert_eq!(call(&mut linux, grandchild, all(USR1)), Answer::ret(0));
    let mut who: Vec<TaskId> = linux.take_handled().iter().map(|(task, _)| *task).collect();
    who.sort();
    assert_eq!(who, [MAIN, child, grandchild]);
    assert_eq!(call(&mut linux, MAIN, Syscall::Pause), Answer::Blocked);
    let end = call(&mut linux, child, all(Signal::SIGTERM));
    assert_eq!(end, Answer::Gone);
    assert_eq!(settle(&mut linux), [(MAIN, Answer::Gone)]);
    assert!(linux.submit(grandchild, pending()).is_err());
}

#[test]
fn a_frozen_task_takes_its_signal_when_it_has_thawed() {
    if !can_freeze() {
        return;
    }
    let mut linux = linux();
    let (ep, fd) = (epoll(&mut linux), eventfd(&mut linux, 0));
    add(&mut linux, ep, fd, IN_ET);
    handle(&mut linux, USR1, SaFlags::empty());
    let other = linux.spawn(MAIN).expect("a thread");
    for page in [Thaw::Writable, Thaw::ReadOnly] {
        for _ in 0..20 {
            call(&mut linux, MAIN, bump(fd));
            let frozen = call(&mut linux, other, wait_call(ep, Room::Frozen, 8, -1));
            assert_eq!(frozen, Answer::Blocked);
            call(&mut linux, MAIN, tgkill(MAIN, other, USR1));
            assert_eq!(settle(&mut linux), []);
            assert_eq!(linux.take_handled(), []);
            linux.thaw(other, page).expect("it is frozen");
            let answer = match page {
                Thaw::Writable => reported(&[fd]),
                Thaw::ReadOnly => Answer::err(Errno::EFAULT),
            };
            assert_eq!(settle(&mut linux), [(other, answer)]);
            let told = (other, from(MAIN, USR1, SiCode::TKILL));
            assert_eq!(linux.take_handled(), [told]);
        }
    }
}

#[test]
fn a_signal_that_races_with_a_sleep_ends_it_or_comes_before() {
    let mut linux = linux();
    let (ep, fd) = (epoll(&mut linux), eventfd(&mut linux, 0));
    add(&mut linux, ep, fd, IN_ET);
    handle(&mut linux, USR1, SaFlags::empty());
    let other = linux.spawn(MAIN).expect("a thread");
    for seed in 0..200 {
        let programs = [
            (other, vec![wait_call(ep, Room::Plenty, 8, -1)]),
            (MAIN, vec![tgkill(MAIN, other, USR1)]),
        ];
        let fates = linux.race(&programs, seed).expect("the lab works");
        assert_eq!(fates[1], (MAIN, vec![Fate::Ended(Answer::ret(0))]));
        let told = (other, from(MAIN, USR1, SiCode::TKILL));
        assert_eq!(linux.take_handled(), [told], "seed {seed}");
        match &fates[0].1[..] {
            [Fate::Ended(Answer::Failed(Errno::EINTR, Out::None))] => {}
            // Too early: the signal is lost on the call. It takes another one.
            [Fate::Asleep] => {
                call(&mut linux, MAIN, tgkill(MAIN, other, USR1));
                assert_eq!(settle(&mut linux), [(other, Answer::err(Errno::EINTR))]);
                assert_eq!(linux.take_handled().len(), 1);
            }
            fate => panic!("seed {seed}: {fate:?}"),
        }
    }
}

#[test]
fn time_in_a_sleep_is_the_scenario_s() {
    let mut linux = linux();
    let ms = Duration::from_millis;
    let start = Instant::now();
    assert_eq!(call(&mut linux, MAIN, nanosleep(20)), Answer::Blocked);
    assert_eq!(linux.pass(ms(15)).expect("the lab works"), []);
    let until = |milliseconds: i64| Syscall::ClockNanosleep {
        clockid: 1,
        flags: 1,
        req: Ptr::To(Timespec {
            tv_sec: 0,
            tv_nsec: milliseconds * 1_000_000,
        }),
        rem: OutPtr::PLENTY,
    };
    let other = linux.spawn(MAIN).expect("a thread");
    assert_eq!(call(&mut linux, other, until(15)), Answer::ret(0));
    assert_eq!(call(&mut linux, other, until(30)), Answer::Blocked);
    let ended = linux.pass(ms(5)).expect("the lab works");
    assert_eq!(ended, [(MAIN, Answer::ret(0))]);
    let ended = linux.finish(other).expect("it ends");
    assert_eq!(ended, [(other, Answer::ret(0))]);
    assert!(start.elapsed() >= ms(30));
    // A stop takes nothing from the time that is left.
    let child = fork(&mut linux, MAIN);
    assert_eq!(call(&mut linux, child, nanosleep(500)), Answer::Blocked);
    call(&mut linux, MAIN, kill(child, Signal::SIGSTOP));
    assert_eq!(linux.pass(ms(600)).expect("the lab works"), []);
    call(&mut linux, MAIN, kill(child, Signal::SIGCONT));
    assert_eq!(settle(&mut linux), [(child, Answer::ret(0))]);
}

#[test]
fn more_handlers_than_the_lab_can_note_are_an_error() {
    let mut linux = linux();
    let sig = Signal(34);
    handle(&mut linux, sig, SaFlags::empty());
    block(&mut linux, MAIN, &[sig]);
    for _ in 0..=board::ENTRIES {
        assert_eq!(call(&mut linux, MAIN, kill(MAIN, sig)), Answer::ret(0));
    }
    let empty = sigprocmask(SigmaskHow::SETMASK, SigSet::EMPTY);
    let error = linux.submit(MAIN, empty).and_then(|_| linux.settle());
    let error = error.expect_err("one too many").to_string();
    assert!(error.contains("signal handlers"), "{error}");
}
