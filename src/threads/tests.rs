//! Real threads on one machine: who sleeps, who is woken, and that nobody is forgotten.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::Shared;
use crate::abi::{
    Answer, EpollEvent, Errno, EventMask, Events, Fd, Itimerspec, OpenFlags, Out, OutPtr, Ptr,
    Room, SigAction, SigHandler, Signal, Syscall, TaskId, Timeout, Timespec, WaitStatus,
};
use crate::backend::{Backend, Thaw, Thread};
use crate::model::Machine;
use crate::trace::{Observer, Trace};

/// A test that hangs would be no answer. Far more than any of them takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// Runs a test and fails if it does not come to an end.
#[track_caller]
fn in_time(test: impl FnOnce() + Send + 'static) {
    let (end, ended) = mpsc::channel();
    let test = thread::spawn(move || {
        test();
        // The receiver may have lost its patience.
        let _ = end.send(());
    });
    match ended.recv_timeout(PATIENCE) {
        Ok(()) => {}
        Err(RecvTimeoutError::Timeout) => panic!("it hangs"),
        Err(RecvTimeoutError::Disconnected) => {
            let panic = test.join().expect_err("it did not reach its end");
            std::panic::resume_unwind(panic);
        }
    }
}

/// Runs `work` in a thread and a task of its own.
fn start<O: Observer + Send + 'static, T: Send + 'static>(
    kernel: &mut Shared<O>,
    work: impl FnOnce(&mut Thread<'_, Shared<O>>) -> T + Send + 'static,
) -> (TaskId, JoinHandle<T>) {
    let task = kernel.spawn(TaskId::MAIN).unwrap();
    (task, start_as(kernel, task, work))
}

fn start_as<O: Observer + Send + 'static, T: Send + 'static>(
    kernel: &Shared<O>,
    task: TaskId,
    work: impl FnOnce(&mut Thread<'_, Shared<O>>) -> T + Send + 'static,
) -> JoinHandle<T> {
    let mut kernel = kernel.clone();
    thread::spawn(move || work(&mut Thread::of(&mut kernel, task)))
}

/// Several threads that wait on one epoll, one after the other; each says who it is and what it was told.
fn start_waiters(
    kernel: &mut Shared,
    epoll: Fd,
    count: usize,
) -> (Vec<TaskId>, Receiver<(TaskId, Events)>) {
    let (tell, told) = mpsc::channel();
    let mut waiters = Vec::new();
    for _ in 0..count {
        let me = kernel.spawn(TaskId::MAIN).unwrap();
        let tell = tell.clone();
        start_as(kernel, me, move |t| {
            let events = t.epoll_wait(epoll, 8, -1).unwrap();
            tell.send((me, events)).unwrap();
        });
        until_asleep(kernel, me);
        waiters.push(me);
    }
    (waiters, told)
}

fn until_asleep(kernel: &Shared<impl Observer + Send + 'static>, task: TaskId) {
    while !kernel.look(|machine| machine.is_asleep(task)) {
        thread::yield_now();
    }
}

fn asleep(kernel: &Shared, tasks: &[TaskId]) -> Vec<TaskId> {
    let all = tasks.iter().copied();
    kernel.look(|machine| all.filter(|task| machine.is_asleep(*task)).collect())
}

#[track_caller]
fn check(kernel: &Shared<impl Observer + Send + 'static>) {
    assert_eq!(kernel.look(Machine::check), Ok(()));
}

/// An epoll that watches a new eventfd.
fn watch(t: &mut Thread<'_, impl Backend>, interest: EventMask) -> (Fd, Fd) {
    let epoll = t.epoll_create1(Default::default()).unwrap();
    let file = t.eventfd2(0, OpenFlags::NONBLOCK).unwrap();
    t.epoll_add(epoll, file, EpollEvent::new(interest, 7))
        .unwrap();
    (epoll, file)
}

fn one() -> [u8; 8] {
    1_u64.to_ne_bytes()
}

#[test]
fn one_edge_wakes_one_thread_and_the_last_to_come_goes_first() {
    in_time(|| {
        let mut kernel = Shared::new();
        let (epoll, file) = watch(
            &mut Thread::main(&mut kernel),
            EventMask::IN | EventMask::ET,
        );
        let (mut waiters, told) = start_waiters(&mut kernel, epoll, 4);
        while let Some(last) = waiters.pop() {
            Thread::main(&mut kernel).write(file, &one()).unwrap();
            let event = EpollEvent::new(EventMask::IN, 7);
            assert_eq!(told.recv().unwrap(), (last, vec![event].into()));
            assert_eq!(asleep(&kernel, &waiters), waiters);
        }
        check(&kernel);
    });
}

#[test]
fn a_level_that_stays_wakes_one_thread_after_the_other() {
    in_time(|| {
        let mut kernel = Shared::new();
        let (epoll, file) = watch(&mut Thread::main(&mut kernel), EventMask::IN);
        let (waiters, told) = start_waiters(&mut kernel, epoll, 8);
        // Nobody reads it, so whoever has been told puts it back and wakes the next.
        Thread::main(&mut kernel).write(file, &one()).unwrap();
        let mut woken: Vec<TaskId> = waiters.iter().map(|_| told.recv().unwrap().0).collect();
        woken.sort();
        assert_eq!(woken, waiters);
        check(&kernel);
    });
}

#[test]
fn no_timeout_is_early() {
    in_time(|| {
        let mut kernel = Shared::new();
        let mut t = Thread::main(&mut kernel);
        let (epoll, _) = watch(&mut t, EventMask::IN);
        let sleepers = [30, 10, 25, 10, 1].map(|timeout| {
            start(&mut kernel, move |t| {
                for _ in 0..4 {
                    let begin = Instant::now();
                    assert_eq!(t.epoll_wait(epoll, 1, timeout).unwrap(), []);
                    let least = Duration::from_millis(timeout.unsigned_abs().into());
                    assert!(begin.elapsed() >= least, "early");
                }
            })
        });
        for (_, sleeper) in sleepers {
            sleeper.join().unwrap();
        }
        check(&kernel);
    });
}

#[test]
fn a_timer_fires_while_everybody_sleeps_and_never_early() {
    in_time(|| {
        let mut kernel = Shared::new();
        let mut t = Thread::main(&mut kernel);
        let epoll = t.epoll_create1(Default::default()).unwrap();
        let (clockid, flags) = (1, OpenFlags::NONBLOCK);
        let (fd, _) = t.call(Syscall::TimerfdCreate { clockid, flags }).unwrap();
        let fd = Fd(i32::try_from(fd).unwrap());
        let event = EpollEvent::new(EventMask::IN | EventMask::ET, 7);
        t.epoll_add(epoll, fd, event).unwrap();
        let (waiters, told) = start_waiters(&mut kernel, epoll, 3);
        for waiter in waiters.into_iter().rev() {
            let begin = Instant::now();
            let settime = Syscall::TimerfdSettime {
                fd,
                flags: 0,
                new_value: Ptr::To(Itimerspec {
                    it_value: Timespec::from(15_000_000),
                    ..Default::default()
                }),
                old_value: OutPtr::NULL,
            };
            Thread::main(&mut kernel).call(settime).unwrap();
            let event = EpollEvent::new(EventMask::IN, 7);
            assert_eq!(told.recv().unwrap(), (waiter, vec![event].into()));
            assert!(begin.elapsed() >= Duration::from_millis(15), "early");
        }
        check(&kernel);
    });
}

#[test]
fn a_timeout_beyond_all_clocks_is_none() {
    in_time(|| {
        let mut kernel = Shared::new();
        let (epoll, file) = watch(&mut Thread::main(&mut kernel), EventMask::IN);
        let (task, sleeper) = start(&mut kernel, move |t| {
            t.call(Syscall::EpollPwait2 {
                epfd: epoll,
                events: OutPtr::PLENTY,
                maxevents: 1,
                timeout: Ptr::To(Timespec {
                    tv_sec: i64::MAX,
                    tv_nsec: 0,
                }),
                sigmask: Ptr::NULL,
                sigsetsize: 8,
            })
        });
        until_asleep(&kernel, task);
        Thread::main(&mut kernel).write(file, &one()).unwrap();
        assert_eq!(sleeper.join().unwrap().unwrap().0, 1);
    });
}

#[test]
fn a_reader_is_told_that_the_last_writer_has_left() {
    in_time(|| {
        let mut kernel = Shared::new();
        let (read, write) = Thread::main(&mut kernel)
            .pipe2(OpenFlags::default())
            .unwrap();
        let (task, reader) = start(&mut kernel, move |t| t.read(read, 8));
        until_asleep(&kernel, task);
        Thread::main(&mut kernel).close(write).unwrap();
        assert!(reader.join().unwrap().unwrap().is_empty());
        check(&kernel);
    });
}

#[test]
fn a_waiter_outlives_the_descriptor_that_it_waits_on() {
    in_time(|| {
        let mut kernel = Shared::new();
        let (epoll, file) = watch(&mut Thread::main(&mut kernel), EventMask::IN);
        let (waiters, told) = start_waiters(&mut kernel, epoll, 1);
        let mut t = Thread::main(&mut kernel);
        t.close(epoll).unwrap();
        t.write(file, &one()).unwrap();
        let event = EpollEvent::new(EventMask::IN, 7);
        assert_eq!(told.recv().unwrap(), (waiters[0], vec![event].into()));
        check(&kernel);
    });
}

/// Passes on what it hears.
struct Report(mpsc::Sender<Trace>);

impl Observer for Report {
    fn on(&mut self, trace: Trace) {
        // Towards the end of a test nobody listens.
        let _ = self.0.send(trace);
    }
}

#[test]
fn who_stands_before_a_mutex_goes_on_when_it_is_given_back() {
    in_time(|| {
        let (report, reports) = mpsc::channel();
        let until = |what: fn(&Trace) -> bool| while !what(&reports.recv().unwrap()) {};
        let mut kernel = Shared::observed_by(Report(report));
        let mut t = Thread::main(&mut kernel);
        let (epoll, file) = watch(&mut t, EventMask::IN);
        t.write(file, &one()).unwrap();
        let scan = Syscall::EpollWait {
            epfd: epoll,
            events: OutPtr::Memory(Room::Frozen),
            maxevents: 8,
            timeout: Timeout(0),
        };
        // It stops in copy-out, with the epoll's mutex in hand.
        let (scanning, scan) = start(&mut kernel, |t| t.call(scan));
        until(|trace| matches!(trace, Trace::Frozen { .. }));
        let (_, del) = start(&mut kernel, move |t| t.epoll_del(epoll, file));
        until(|trace| matches!(trace, Trace::MutexWait { .. }));
        assert!(!del.is_finished());
        kernel.thaw(scanning, Thaw::Writable).unwrap();
        assert_eq!(scan.join().unwrap().unwrap().0, 1);
        assert_eq!(del.join().unwrap(), Ok(()));
        check(&kernel);
    });
}

#[test]
fn processes_work_beside_threads() {
    in_time(|| {
        let mut kernel = Shared::new();
        let mut t = Thread::main(&mut kernel);
        let (read, write) = t.pipe2(OpenFlags::default()).unwrap();
        let (child, _) = t.call(Syscall::Fork).unwrap();
        let task = TaskId::from_pid(i32::try_from(child).unwrap()).unwrap();
        let child = start_as(&kernel, task, move |t| {
            assert_eq!(*t.read(read, 8).unwrap(), *b"go");
            // There is no one to hear the answer.
            t.call(Syscall::ExitGroup { status: 3 })
        });
        let mut t = Thread::main(&mut kernel);
        t.write(write, b"go").unwrap();
        let (pid, options) = (-1, 0);
        let (_, status) = t.call(Syscall::Wait4 { pid, options }).unwrap();
        assert_eq!(status, Out::Status(WaitStatus::Exited(3)));
        assert!(child.join().is_err(), "its task is gone");
        check(&kernel);
    });
}

#[test]
fn the_end_of_a_process_reaches_its_sleeping_and_its_idle_threads() {
    in_time(|| {
        let mut kernel = Shared::new();
        let (child, _) = Thread::main(&mut kernel).call(Syscall::Fork).unwrap();
        let first = TaskId::from_pid(i32::try_from(child).unwrap()).unwrap();
        let (second, idle) = (kernel.spawn(first).unwrap(), kernel.spawn(first).unwrap());
        let (read, _) = Thread::of(&mut kernel, first)
            .pipe2(OpenFlags::default())
            .unwrap();
        let call = Syscall::Read {
            fd: read,
            buf: OutPtr::PLENTY,
            count: 1,
        };
        let mut sleeper = kernel.clone();
        let sleeper = thread::spawn(move || sleeper.submit(second, call));
        until_asleep(&kernel, second);
        let exit = kernel.submit(first, Syscall::ExitGroup { status: 0 });
        assert_eq!(exit.unwrap(), Answer::Gone);
        assert_eq!(sleeper.join().unwrap().unwrap(), Answer::Gone);
        // Nobody drives the third one; whoever is there has let it end.
        let error = kernel.submit(idle, Syscall::Fork).unwrap_err();
        assert_eq!(error.to_string(), "task 3 cannot make a call: it is gone");
        let (pid, options) = (-1, 0);
        let wait = kernel.submit(TaskId::MAIN, Syscall::Wait4 { pid, options });
        assert_eq!(wait.unwrap().result(), Some(Ok(child)));
        check(&kernel);
    });
}

#[test]
fn a_signal_interrupts_the_thread_that_it_is_for_and_reaches_an_idle_one() {
    in_time(|| {
        let mut kernel = Shared::new();
        let (epoll, _) = watch(&mut Thread::main(&mut kernel), EventMask::IN);
        let sig = Signal::SIGUSR1;
        let handler = SigAction {
            handler: SigHandler::Handle,
            ..Default::default()
        };
        let sigaction = Syscall::RtSigaction {
            sig,
            act: Ptr::To(handler),
            oldact: OutPtr::NULL,
            sigsetsize: 8,
        };
        Thread::main(&mut kernel).call(sigaction).unwrap();
        let (sleeping, sleeper) = start(&mut kernel, move |t| t.epoll_wait(epoll, 8, -1));
        until_asleep(&kernel, sleeping);
        let idle = kernel.spawn(TaskId::MAIN).unwrap();
        for target in [sleeping, idle] {
            let (tgid, tid) = (TaskId::MAIN.pid(), target.pid());
            let tgkill = Syscall::Tgkill { tgid, tid, sig };
            Thread::main(&mut kernel).call(tgkill).unwrap();
        }
        assert_eq!(sleeper.join().unwrap(), Err(Errno::EINTR));
        let mut handled: Vec<_> = kernel.take_handled().into_iter().map(|it| it.0).collect();
        handled.sort();
        assert_eq!(handled, [sleeping, idle]);
        check(&kernel);
    });
}

#[test]
fn a_program_that_panics_leaves_the_others_alone() {
    in_time(|| {
        let mut kernel = Shared::new();
        let (epoll, file) = watch(
            &mut Thread::main(&mut kernel),
            EventMask::IN | EventMask::ET,
        );
        let (task, panicking) = start(&mut kernel, move |t| {
            t.write(file, &one()).unwrap();
            panic!("as it is meant to");
        });
        assert!(panicking.join().is_err());
        // Its task is free for somebody else.
        let events = Thread::of(&mut kernel, task).epoll_wait(epoll, 8, -1);
        assert_eq!(events.unwrap(), [EpollEvent::new(EventMask::IN, 7)]);
        check(&kernel);
    });
}

/// Listens until the first wake-up of a task, and panics then.
struct Faint;

impl Observer for Faint {
    fn on(&mut self, trace: Trace) {
        assert!(
            !matches!(trace, Trace::WakeTask { .. }),
            "as it is meant to"
        );
    }
}

#[test]
fn a_model_that_panics_fails_every_call_and_leaves_nobody_asleep() {
    in_time(|| {
        let mut kernel = Shared::observed_by(Faint);
        let mut t = Thread::main(&mut kernel);
        let (read, write) = t.pipe2(OpenFlags::default()).unwrap();
        let epoll = t.epoll_create1(Default::default()).unwrap();
        let event = EpollEvent::new(EventMask::IN, 7);
        t.epoll_add(epoll, read, event).unwrap();
        let (mut waiter, task) = (kernel.clone(), kernel.spawn(TaskId::MAIN).unwrap());
        let call = Syscall::EpollWait {
            epfd: epoll,
            events: OutPtr::PLENTY,
            maxevents: 8,
            timeout: Timeout(-1),
        };
        let waiter = thread::spawn(move || waiter.submit(task, call));
        until_asleep(&kernel, task);
        let write = catch_unwind(AssertUnwindSafe(|| {
            Thread::main(&mut kernel).write(write, b"x")
        }));
        assert!(write.is_err());
        let failure = "the model has failed in another thread";
        let told = waiter.join().unwrap().unwrap_err();
        assert_eq!(told.to_string(), failure);
        let told = kernel.submit(TaskId::MAIN, Syscall::Fork).unwrap_err();
        assert_eq!(told.to_string(), failure);
    });
}

#[test]
fn the_clock_ends_with_the_last_handle() {
    in_time(|| {
        let kernel = Shared::new();
        let lab = std::sync::Arc::downgrade(&kernel.lab);
        drop(kernel.clone());
        assert!(lab.upgrade().is_some());
        drop(kernel);
        while lab.upgrade().is_some() {
            thread::yield_now();
        }
    });
}

/// Who takes a token from one eventfd puts it into the next, with as many threads as eventfds and fewer
/// tokens; every round is a sleep, a wake-up and an edge that must not be lost.
#[test]
fn many_threads_and_many_rounds_lose_no_wake_up() {
    const THREADS: usize = 8;
    const TOKENS: usize = 3;
    const ROUNDS: u64 = 2000;

    in_time(|| {
        let mut kernel = Shared::new();
        let mut t = Thread::main(&mut kernel);
        let interest = EventMask::IN | EventMask::ET | EventMask::ONESHOT;
        let epoll = t.epoll_create1(Default::default()).unwrap();
        let over = t.eventfd2(0, OpenFlags::NONBLOCK).unwrap();
        t.epoll_add(epoll, over, EpollEvent::new(EventMask::IN, u64::MAX))
            .unwrap();
        let mut files = Vec::new();
        for number in 0..4 {
            let file = t.eventfd2(0, OpenFlags::NONBLOCK).unwrap();
            t.epoll_add(epoll, file, EpollEvent::new(interest, number))
                .unwrap();
            files.push(file);
        }
        let workers: Vec<_> = (0..THREADS)
            .map(|_| {
                let files = files.clone();
                start(&mut kernel, move |t| {
                    relay(t, epoll, &files, interest, (over, ROUNDS))
                })
            })
            .collect();
        for _ in 0..TOKENS {
            Thread::main(&mut kernel).write(files[0], &one()).unwrap();
        }
        let passed: u64 = workers.into_iter().map(|(_, it)| it.join().unwrap()).sum();
        assert!(passed >= ROUNDS, "{passed}");
        check(&kernel);
    });
}

/// Passes tokens on until there were enough rounds; returns how many it has passed.
fn relay(
    t: &mut Thread<'_, Shared>,
    epoll: Fd,
    files: &[Fd],
    interest: EventMask,
    (over, rounds): (Fd, u64),
) -> u64 {
    let mut passed = 0;
    loop {
        let events = t.epoll_wait(epoll, 1, -1).unwrap();
        let [event] = *events else {
            panic!("no timeout, one event: {events:?}");
        };
        if event.data == u64::MAX {
            return passed;
        }
        let here = usize::try_from(event.data).unwrap();
        let next = files[(here + 1) % files.len()];
        loop {
            match t.read(files[here], 8) {
                Ok(tokens) => {
                    for _ in 0..tokens.to_u64().unwrap() {
                        t.write(next, &one()).unwrap();
                        passed += 1;
                    }
                }
                Err(Errno::EAGAIN) => break,
                Err(error) => panic!("{error}"),
            }
        }
        let event = EpollEvent::new(interest, event.data);
        t.epoll_mod(epoll, files[here], event).unwrap();
        if passed >= rounds {
            t.write(over, &one()).unwrap();
        }
    }
}
