//! The lab itself on the running kernel: what it shows has to be what happens.

mod signals;

use std::hint::spin_loop;
use std::time::Instant;

use super::*;
use crate::abi::{
    Bytes, CtlOp, EpollCreateFlags, EpollEvent, EventMask, Events, FcntlCmd, FdFlags, FdSet,
    IoctlArg, OpenFlags, Out, OutPtr, PollFd, Ptr, Rlimit, Room, Select, Signal, Timespec, Timeval,
    WaitStatus, parse_fdinfo, request,
};
use crate::backend::Thread;

const MAIN: TaskId = TaskId::MAIN;
const IN_ET: EventMask = EventMask::IN.union(EventMask::ET);

#[track_caller]
fn linux() -> Linux {
    Linux::new().expect("a scenario's process")
}

#[track_caller]
fn call(linux: &mut Linux, task: TaskId, call: Syscall) -> Answer {
    linux.submit(task, call).expect("the lab works")
}

#[track_caller]
fn settle(linux: &mut Linux) -> Vec<(TaskId, Answer)> {
    linux.settle().expect("the lab works")
}

fn eventfd(linux: &mut Linux, initval: u32) -> Fd {
    let mut t = Thread::main(linux);
    t.eventfd2(initval, OpenFlags::NONBLOCK)
        .expect("an eventfd")
}

fn epoll(linux: &mut Linux) -> Fd {
    let mut t = Thread::main(linux);
    t.epoll_create1(EpollCreateFlags::empty())
        .expect("an epoll")
}

fn add(linux: &mut Linux, ep: Fd, fd: Fd, events: EventMask) {
    let data = u64::from(fd.0.cast_unsigned());
    let mut t = Thread::main(linux);
    t.epoll_add(ep, fd, EpollEvent::new(events, data))
        .expect("a registration");
}

fn wait_call(epfd: Fd, room: Room, maxevents: i32, timeout: i32) -> Syscall {
    Syscall::EpollWait {
        epfd,
        events: OutPtr::Memory(room),
        maxevents,
        timeout: Timeout(timeout),
    }
}

fn bump(fd: Fd) -> Syscall {
    Syscall::Write {
        fd,
        buf: Ptr::To(Bytes::from_u64(1)),
        count: 8,
    }
}

fn reported(fds: &[Fd]) -> Answer {
    let events = fds
        .iter()
        .map(|fd| EpollEvent::new(EventMask::IN, u64::from(fd.0.cast_unsigned())));
    Answer::Done(fds.len() as i64, Out::Events(events.collect()))
}

#[test]
fn first_descriptor_is_3_and_edges_are_reported_once() {
    let mut linux = linux();
    let ep = epoll(&mut linux);
    let fd = eventfd(&mut linux, 1);
    assert_eq!((ep, fd), (Fd(3), Fd(4)));
    add(&mut linux, ep, fd, IN_ET);
    let mut t = Thread::main(&mut linux);
    assert_eq!(
        t.epoll_wait(ep, 8, 0),
        Ok(vec![EpollEvent::new(EventMask::IN, 4)].into())
    );
    assert_eq!(t.epoll_wait(ep, 8, 0), Ok(Events::default()));
    assert_eq!(t.read(fd, 8).map(|bytes| bytes.to_u64()), Ok(Some(1)));
    assert_eq!(t.read(fd, 8), Err(Errno::EAGAIN));
    assert_eq!(
        t.epoll_ctl(ep, CtlOp(99), fd, Ptr::NULL),
        Err(Errno::EFAULT)
    );
    assert_eq!(t.close(Fd(-1)), Err(Errno::EBADF));
}

#[test]
fn bad_addresses_fault_and_possible_ones_are_refused() {
    let mut linux = linux();
    let (ep, a, b) = (
        epoll(&mut linux),
        eventfd(&mut linux, 1),
        eventfd(&mut linux, 1),
    );
    add(&mut linux, ep, a, EventMask::IN);
    add(&mut linux, ep, b, EventMask::IN);
    let at = |addr| Syscall::EpollWait {
        epfd: ep,
        events: OutPtr::Addr(addr),
        maxevents: 8,
        timeout: Timeout::NOW,
    };
    for addr in [0, 0x1000, 0x7fff_ffff_e000, 0xffff_8000_0000_0000] {
        assert_eq!(call(&mut linux, MAIN, at(addr)), Answer::err(Errno::EFAULT));
    }
    assert!(linux.submit(MAIN, at(0x5555_5555_0000)).is_err());
    for round in 0..50 {
        let two = call(&mut linux, MAIN, wait_call(ep, Room::Bytes(24), 8, 0));
        assert_eq!(two, reported(&[a, b]), "round {round}");
        // One and a half: the second was stored in part, was not reported, and comes first next time.
        let one = call(&mut linux, MAIN, wait_call(ep, Room::Bytes(18), 8, 0));
        assert_eq!(one, reported(&[a]));
        let next = call(&mut linux, MAIN, wait_call(ep, Room::Plenty, 8, 0));
        assert_eq!(next, reported(&[b, a]));
        let torn = call(&mut linux, MAIN, wait_call(ep, Room::Bytes(4), 8, 0));
        assert_eq!(
            torn,
            Answer::Failed(Errno::EFAULT, Out::TornEvent(EventMask::IN))
        );
        let none = call(&mut linux, MAIN, wait_call(ep, Room::Bytes(3), 8, 0));
        assert_eq!(none, Answer::err(Errno::EFAULT));
        let one = call(&mut linux, MAIN, wait_call(ep, Room::Plenty, 1, 0));
        assert_eq!(one, reported(&[b]));
        let most = call(
            &mut linux,
            MAIN,
            wait_call(ep, Room::Plenty, crate::abi::EP_MAX_EVENTS, 0),
        );
        assert_eq!(most, reported(&[a, b]));
    }
}

fn sleeper_is_woken(rounds: u32) {
    let mut linux = linux();
    let (ep, fd) = (epoll(&mut linux), eventfd(&mut linux, 0));
    add(&mut linux, ep, fd, IN_ET);
    let other = linux.spawn(MAIN).expect("a thread");
    for round in 0..rounds {
        let waits = call(&mut linux, other, wait_call(ep, Room::Plenty, 8, -1));
        assert_eq!(waits, Answer::Blocked, "round {round}");
        assert_eq!(settle(&mut linux), []);
        assert_eq!(call(&mut linux, MAIN, bump(fd)), Answer::ret(8));
        assert_eq!(
            settle(&mut linux),
            [(other, reported(&[fd]))],
            "round {round}"
        );
    }
}

#[test]
fn a_blocked_epoll_wait_is_woken_by_a_write() {
    sleeper_is_woken(200);
}

/// Runs `test` while two threads keep two processors busy.
fn under_load(test: impl FnOnce() + std::panic::UnwindSafe) {
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !stop.load(SeqCst) {
                    spin_loop()
                }
            });
        }
        // Also when it fails, or the test would never end.
        let result = std::panic::catch_unwind(test);
        stop.store(true, SeqCst);
        result.expect("the same as without load");
    });
}

#[test]
fn load_changes_nothing() {
    under_load(|| sleeper_is_woken(200));
}

#[test]
fn the_last_sleeper_is_woken_first() {
    let mut linux = linux();
    let (ep, fd) = (epoll(&mut linux), eventfd(&mut linux, 0));
    add(&mut linux, ep, fd, IN_ET);
    let sleepers: Vec<TaskId> = (0..4)
        .map(|_| linux.spawn(MAIN).expect("a thread"))
        .collect();
    for _ in 0..50 {
        for task in &sleepers {
            let waits = call(&mut linux, *task, wait_call(ep, Room::Plenty, 8, -1));
            assert_eq!(waits, Answer::Blocked);
        }
        for task in sleepers.iter().rev() {
            call(&mut linux, MAIN, bump(fd));
            assert_eq!(settle(&mut linux), [(*task, reported(&[fd]))]);
        }
    }
}

fn can_freeze() -> bool {
    let refused = userfaultfd_refused();
    if let Some(why) = &refused {
        eprintln!("skipped: {why}");
    }
    refused.is_none()
}

#[test]
fn a_frozen_scan_delivers_only_its_batch() {
    if !can_freeze() {
        return;
    }
    let mut linux = linux();
    let ep = epoll(&mut linux);
    let fds: Vec<Fd> = (0..5).map(|_| eventfd(&mut linux, 0)).collect();
    for fd in &fds {
        add(&mut linux, ep, *fd, IN_ET);
    }
    let other = linux.spawn(MAIN).expect("a thread");
    for round in 0..50 {
        for fd in &fds[..3] {
            call(&mut linux, MAIN, bump(*fd));
        }
        let frozen = call(&mut linux, other, wait_call(ep, Room::Frozen, 8, 0));
        assert_eq!(frozen, Answer::Blocked, "round {round}");
        for fd in &fds[3..] {
            assert_eq!(call(&mut linux, MAIN, bump(*fd)), Answer::ret(8));
        }
        assert_eq!(settle(&mut linux), []);
        linux.thaw(other, Thaw::Writable).expect("it is frozen");
        assert_eq!(settle(&mut linux), [(other, reported(&fds[..3]))]);
        let rest = call(&mut linux, MAIN, wait_call(ep, Room::Plenty, 8, 0));
        assert_eq!(rest, reported(&fds[3..]));
    }
    assert_eq!(eventfd(&mut linux, 0), Fd(9), "userfaultfd took no number");
}

#[test]
fn a_scan_that_faults_after_all_loses_nothing() {
    if !can_freeze() {
        return;
    }
    let mut linux = linux();
    let ep = epoll(&mut linux);
    let fds: Vec<Fd> = (0..3).map(|_| eventfd(&mut linux, 0)).collect();
    for fd in &fds {
        add(&mut linux, ep, *fd, IN_ET);
    }
    let other = linux.spawn(MAIN).expect("a thread");
    for round in 0..50 {
        call(&mut linux, MAIN, bump(fds[0]));
        call(&mut linux, MAIN, bump(fds[1]));
        let frozen = call(&mut linux, other, wait_call(ep, Room::Frozen, 8, 0));
        assert_eq!(frozen, Answer::Blocked, "round {round}");
        call(&mut linux, MAIN, bump(fds[2]));
        call(&mut linux, MAIN, bump(fds[0]));
        linux.thaw(other, Thaw::ReadOnly).expect("it is frozen");
        assert_eq!(settle(&mut linux), [(other, Answer::err(Errno::EFAULT))]);
        assert!(linux.thaw(other, Thaw::Writable).is_err());
        let all = call(&mut linux, MAIN, wait_call(ep, Room::Plenty, 8, 0));
        assert_eq!(all, reported(&fds), "round {round}");
    }
}

#[test]
fn users_of_the_mutex_wait_for_a_frozen_scan() {
    if !can_freeze() {
        return;
    }
    for _ in 0..10 {
        let mut linux = linux();
        let ep = epoll(&mut linux);
        let (a, b) = (eventfd(&mut linux, 1), eventfd(&mut linux, 0));
        add(&mut linux, ep, a, IN_ET);
        add(&mut linux, ep, b, IN_ET);
        let tasks: Vec<TaskId> = (0..5)
            .map(|_| linux.spawn(MAIN).expect("a thread"))
            .collect();
        let frozen = call(&mut linux, tasks[0], wait_call(ep, Room::Frozen, 8, 0));
        assert_eq!(frozen, Answer::Blocked);
        let del = Syscall::EpollCtl {
            epfd: ep,
            op: CtlOp::MOD,
            fd: a,
            event: Ptr::To(EpollEvent::new(EventMask::OUT, 0)),
        };
        let poll = Syscall::Poll {
            fds: vec![PollFd {
                fd: ep,
                events: EventMask::IN,
                revents: EventMask::empty(),
            }],
            timeout: Timeout::NOW,
        };
        assert_eq!(call(&mut linux, tasks[1], del), Answer::Blocked);
        assert_eq!(
            call(&mut linux, tasks[2], Syscall::Close { fd: b }),
            Answer::Blocked
        );
        assert_eq!(call(&mut linux, tasks[3], poll), Answer::Blocked);
        assert_eq!(
            call(&mut linux, tasks[4], Syscall::Fdinfo { fd: ep }),
            Answer::Blocked
        );
        assert_eq!(call(&mut linux, MAIN, bump(a)), Answer::ret(8));
        assert_eq!(settle(&mut linux), []);
        linux.thaw(tasks[0], Thaw::Writable).expect("it is frozen");
        let mut ended: Vec<TaskId> = settle(&mut linux)
            .into_iter()
            .map(|(task, _)| task)
            .collect();
        ended.sort();
        assert_eq!(ended, tasks);
    }
}

#[test]
fn a_task_that_is_still_frozen_at_the_end_is_killed() {
    if !can_freeze() {
        return;
    }
    let mut linux = linux();
    let (ep, fd) = (epoll(&mut linux), eventfd(&mut linux, 1));
    add(&mut linux, ep, fd, IN_ET);
    let child = fork(&mut linux, MAIN);
    let frozen = call(&mut linux, child, wait_call(ep, Room::Frozen, 8, 0));
    assert_eq!(frozen, Answer::Blocked);
    let info = call(&mut linux, MAIN, Syscall::Fdinfo { fd: ep });
    assert_eq!(info, Answer::Blocked);
    drop(linux);
}

#[track_caller]
fn fork(linux: &mut Linux, task: TaskId) -> TaskId {
    match call(linux, task, Syscall::Fork) {
        Answer::Done(pid, Out::None) => TaskId::from_pid(pid as i32).expect("a pid"),
        other => panic!("fork: {other:?}"),
    }
}

fn wait4(pid: i32) -> Syscall {
    Syscall::Wait4 { pid, options: 0 }
}

#[test]
fn a_forked_child_shares_files_and_is_reaped() {
    let mut linux = linux();
    let fd = eventfd(&mut linux, 0);
    for round in 1..200 {
        let child = fork(&mut linux, MAIN);
        assert_eq!(child, TaskId(round));
        assert_eq!(call(&mut linux, child, bump(fd)), Answer::ret(8));
        if round % 2 == 0 {
            let blocked = call(&mut linux, MAIN, wait4(child.pid()));
            assert_eq!(blocked, Answer::Blocked);
        }
        let gone = call(&mut linux, child, Syscall::ExitGroup { status: 7 });
        assert_eq!(gone, Answer::Gone);
        let status = Answer::Done(child.pid().into(), Out::Status(WaitStatus::Exited(7)));
        if round % 2 == 0 {
            assert_eq!(settle(&mut linux), [(MAIN, status)]);
        } else {
            assert_eq!(call(&mut linux, MAIN, wait4(-1)), status);
        }
        assert_eq!(
            call(&mut linux, MAIN, wait4(-1)),
            Answer::err(Errno::ECHILD)
        );
        let kill = Syscall::Kill {
            pid: child.pid(),
            sig: Signal::SIGKILL,
        };
        assert_eq!(call(&mut linux, MAIN, kill), Answer::err(Errno::ESRCH));
        assert!(
            linux
                .submit(
                    child,
                    Syscall::Pipe {
                        pipefd: OutPtr::PLENTY
                    }
                )
                .is_err()
        );
    }
    let mut t = Thread::main(&mut linux);
    assert_eq!(t.read(fd, 8).map(|bytes| bytes.to_u64()), Ok(Some(199)));
}

fn pipe(linux: &mut Linux, flags: OpenFlags) -> (Fd, Fd) {
    Thread::main(linux).pipe2(flags).expect("a pipe")
}

#[test]
fn execve_closes_what_is_marked() {
    for marked in [OpenFlags::CLOEXEC, OpenFlags::empty()] {
        for _ in 0..10 {
            let mut linux = linux();
            let (r, w) = pipe(&mut linux, OpenFlags::NONBLOCK | marked);
            let child = fork(&mut linux, MAIN);
            Thread::main(&mut linux).close(w).expect("it is open");
            let read = Syscall::Read {
                fd: r,
                buf: OutPtr::PLENTY,
                count: 10,
            };
            assert_eq!(
                call(&mut linux, MAIN, read.clone()),
                Answer::err(Errno::EAGAIN)
            );
            assert_eq!(call(&mut linux, child, Syscall::Execve), Answer::ret(0));
            let eof = Answer::Done(0, Out::Bytes(Bytes::default()));
            let after = if marked.is_empty() {
                Answer::err(Errno::EAGAIN)
            } else {
                eof.clone()
            };
            assert_eq!(call(&mut linux, MAIN, read.clone()), after);
            assert!(
                linux
                    .submit(
                        child,
                        Syscall::Pipe {
                            pipefd: OutPtr::PLENTY
                        }
                    )
                    .is_err()
            );
            let kill = Syscall::Kill {
                pid: child.pid(),
                sig: Signal::SIGKILL,
            };
            assert_eq!(call(&mut linux, MAIN, kill), Answer::ret(0));
            assert_eq!(call(&mut linux, MAIN, read), eof);
            let status = Out::Status(WaitStatus::Signaled(Signal::SIGKILL));
            let reaped = call(&mut linux, MAIN, wait4(child.pid()));
            assert_eq!(reaped, Answer::Done(child.pid().into(), status));
        }
    }
}

#[test]
fn execve_ends_the_other_threads() {
    for _ in 0..20 {
        let mut linux = linux();
        let (r, _) = pipe(&mut linux, OpenFlags::empty());
        let child = fork(&mut linux, MAIN);
        let thread = linux.spawn(child).expect("a thread");
        let read = Syscall::Read {
            fd: r,
            buf: OutPtr::PLENTY,
            count: 10,
        };
        assert_eq!(call(&mut linux, child, read), Answer::Blocked);
        assert_eq!(call(&mut linux, thread, Syscall::Execve), Answer::ret(0));
        assert_eq!(settle(&mut linux), [(child, Answer::Gone)]);
        let kill = Syscall::Kill {
            pid: child.pid(),
            sig: Signal::SIGKILL,
        };
        assert_eq!(call(&mut linux, MAIN, kill), Answer::ret(0));
    }
}

#[test]
fn a_reader_sleeps_until_the_write_or_the_hang_up() {
    let mut linux = linux();
    let (r, w) = pipe(&mut linux, OpenFlags::empty());
    let other = linux.spawn(MAIN).expect("a thread");
    let read = Syscall::Read {
        fd: r,
        buf: OutPtr::PLENTY,
        count: 10,
    };
    for _ in 0..50 {
        assert_eq!(call(&mut linux, other, read.clone()), Answer::Blocked);
        assert_eq!(Thread::main(&mut linux).write(w, b"abc"), Ok(3));
        let got = Answer::Done(3, Out::Bytes(Bytes::from(&b"abc"[..])));
        assert_eq!(settle(&mut linux), [(other, got)]);
    }
    assert_eq!(call(&mut linux, other, read), Answer::Blocked);
    // The sleeper holds the file: closing its number does not end the call.
    Thread::main(&mut linux).close(r).expect("it is open");
    assert_eq!(settle(&mut linux), []);
    assert_eq!(Thread::main(&mut linux).write(w, b"abc"), Ok(3));
    assert_eq!(settle(&mut linux).len(), 1);
    let write = Syscall::Write {
        fd: w,
        buf: Ptr::To(Bytes::from(&b"abc"[..])),
        count: 3,
    };
    // Nobody is left to read it: that is SIGPIPE.
    assert_eq!(call(&mut linux, MAIN, write), Answer::Gone);
}

#[test]
fn a_large_write_sleeps_and_goes_on() {
    let mut linux = linux();
    let (r, w) = pipe(&mut linux, OpenFlags::empty());
    let bytes = vec![b'x'; 200_000];
    let write = Syscall::Write {
        fd: w,
        buf: Ptr::To(Bytes::from(bytes)),
        count: 200_000,
    };
    let other = linux.spawn(MAIN).expect("a thread");
    assert_eq!(call(&mut linux, other, write), Answer::Blocked);
    let mut got = 0;
    while got < 200_000 {
        got += Thread::main(&mut linux)
            .read(r, 65536)
            .expect("bytes")
            .len();
    }
    assert_eq!(settle(&mut linux), [(other, Answer::ret(200_000))]);
}

#[test]
fn killed_tasks_are_gone() {
    for _ in 0..20 {
        let mut linux = linux();
        let (r, w) = pipe(&mut linux, OpenFlags::empty());
        let child = fork(&mut linux, MAIN);
        let thread = linux.spawn(child).expect("a thread");
        let grandchild = fork(&mut linux, thread);
        let read = Syscall::Read {
            fd: r,
            buf: OutPtr::PLENTY,
            count: 10,
        };
        assert_eq!(call(&mut linux, thread, read.clone()), Answer::Blocked);
        let kill = Syscall::Kill {
            pid: child.pid(),
            sig: Signal::SIGKILL,
        };
        assert_eq!(call(&mut linux, MAIN, kill), Answer::ret(0));
        assert_eq!(settle(&mut linux), [(thread, Answer::Gone)]);
        assert!(
            linux
                .submit(
                    child,
                    Syscall::Pipe {
                        pipefd: OutPtr::PLENTY
                    }
                )
                .is_err()
        );
        Thread::main(&mut linux).close(w).expect("it is open");
        assert_eq!(call(&mut linux, grandchild, read), Answer::Blocked);
        let own = Syscall::Kill {
            pid: grandchild.pid(),
            sig: Signal::SIGKILL,
        };
        let helper = linux.spawn(grandchild).expect("a thread");
        assert_eq!(call(&mut linux, helper, own), Answer::Gone);
        assert_eq!(settle(&mut linux), [(grandchild, Answer::Gone)]);
        assert!(
            linux
                .submit(
                    MAIN,
                    Syscall::Kill {
                        pid: -1,
                        sig: Signal::SIGKILL
                    }
                )
                .is_err()
        );
    }
}

#[test]
fn time_passes_until_a_timeout() {
    let mut linux = linux();
    let ep = epoll(&mut linux);
    let start = Instant::now();
    assert_eq!(
        call(&mut linux, MAIN, wait_call(ep, Room::Plenty, 8, 20)),
        Answer::Blocked
    );
    let ended = linux.finish(MAIN).expect("it ends");
    assert_eq!(
        ended,
        [(MAIN, Answer::Done(0, Out::Events(Events::default())))]
    );
    assert!(start.elapsed() >= Duration::from_millis(20));
    assert!(linux.finish(MAIN).is_err());
    let wait = Syscall::EpollPwait2 {
        epfd: ep,
        events: OutPtr::PLENTY,
        maxevents: 8,
        timeout: Ptr::To(Timespec {
            tv_sec: 0,
            tv_nsec: 5_000_000,
        }),
        sigmask: Ptr::To(SigSet(!0)),
        sigsetsize: 8,
    };
    for _ in 0..20 {
        assert_eq!(call(&mut linux, MAIN, wait.clone()), Answer::Blocked);
        // The scenario's clock counts, however late this machine is.
        let pause = Duration::from_millis(3);
        std::thread::sleep(pause);
        assert_eq!(settle(&mut linux), []);
        assert_eq!(linux.pass(pause).expect("the lab works"), []);
        let ended = linux.pass(pause).expect("it ends");
        assert_eq!(
            ended,
            [(MAIN, Answer::Done(0, Out::Events(Events::default())))]
        );
    }
}

#[test]
fn poll_and_select_convert() {
    let mut linux = linux();
    let (r, w) = pipe(&mut linux, OpenFlags::empty());
    let ask = |fd, events| PollFd {
        fd,
        events,
        revents: EventMask::empty(),
    };
    let fds = vec![
        ask(r, EventMask::IN),
        ask(Fd(77), EventMask::IN),
        ask(w, EventMask::OUT),
    ];
    let mut after = fds.clone();
    after[1].revents = EventMask::NVAL;
    after[2].revents = EventMask::OUT;
    let poll = Syscall::Poll {
        fds,
        timeout: Timeout::NOW,
    };
    assert_eq!(
        call(&mut linux, MAIN, poll),
        Answer::Done(2, Out::PollFds(after))
    );
    let set = |fds: &[Fd]| Some(fds.iter().copied().collect::<FdSet>());
    let select = Select {
        nfds: 5,
        readfds: set(&[r]),
        writefds: set(&[w]),
        exceptfds: None,
        timeout: Some(Timeval {
            tv_sec: 0,
            tv_usec: 0,
        }),
    };
    let sets = Out::FdSets(Box::new([set(&[]), set(&[w]), None]));
    let answer = call(&mut linux, MAIN, Syscall::Select(Box::new(select)));
    assert_eq!(answer, Answer::Done(1, sets));
    let pselect = Select {
        nfds: 5,
        readfds: set(&[r]),
        writefds: None,
        exceptfds: set(&[]),
        timeout: Some(Timespec {
            tv_sec: 0,
            tv_nsec: 1000,
        }),
    };
    let pselect = Syscall::Pselect6 {
        select: Box::new(pselect),
        sigmask: Ptr::NULL,
        sigsetsize: 0,
    };
    let answer = call(&mut linux, MAIN, pselect);
    let answer = match answer {
        Answer::Blocked => linux.finish(MAIN).expect("it ends").remove(0).1,
        other => other,
    };
    let sets = Out::FdSets(Box::new([set(&[]), None, set(&[])]));
    assert_eq!(answer, Answer::Done(0, sets));
}

#[test]
fn small_calls_answer_as_documented() {
    let mut linux = linux();
    let (ep, fd) = (epoll(&mut linux), eventfd(&mut linux, 0));
    add(&mut linux, ep, fd, IN_ET);
    let fcntl = |fd, cmd| Syscall::Fcntl { fd, cmd };
    let mut is = |asked: Syscall, answer: Answer| {
        assert_eq!(call(&mut linux, MAIN, asked.clone()), answer, "{asked:?}");
    };
    is(fcntl(fd, FcntlCmd::Getfl), Answer::ret(0o4002));
    is(fcntl(fd, FcntlCmd::Setfd(FdFlags::CLOEXEC)), Answer::ret(0));
    is(fcntl(fd, FcntlCmd::Getfd), Answer::ret(1));
    is(fcntl(fd, FcntlCmd::Dupfd(10)), Answer::ret(10));
    is(
        Syscall::CloseRange {
            first: 10,
            last: u32::MAX,
            flags: 0,
        },
        Answer::ret(0),
    );
    is(
        Syscall::Pipe {
            pipefd: OutPtr::PLENTY,
        },
        Answer::Done(0, Out::Pipe(Fd(5), Fd(6))),
    );
    is(fcntl(Fd(6), FcntlCmd::GetpipeSz), Answer::ret(65536));
    is(Syscall::EpollCreate { size: 0 }, Answer::err(Errno::EINVAL));
    let bytes_to_read = |arg| Syscall::Ioctl {
        fd: Fd(5),
        op: request::FIONREAD,
        arg: IoctlArg::IntOut(arg),
    };
    is(bytes_to_read(OutPtr::PLENTY), Answer::Done(0, Out::Int(0)));
    is(bytes_to_read(OutPtr::NULL), Answer::err(Errno::EFAULT));
    let open = Syscall::Openat {
        dirfd: Fd::AT_FDCWD,
        pathname: "/proc/self/stat".into(),
        flags: OpenFlags::empty(),
        mode: 0,
    };
    is(open, Answer::ret(7));
    is(fcntl(Fd(7), FcntlCmd::Getfl), Answer::ret(0o100000));
    is(
        Syscall::Dup2 {
            oldfd: Fd(7),
            newfd: Fd(20),
        },
        Answer::ret(20),
    );
    is(
        Syscall::Lseek {
            fd: Fd(7),
            offset: 1,
            whence: 0,
        },
        Answer::ret(1),
    );
    is(Syscall::Fdinfo { fd: Fd(99) }, Answer::err(Errno::EBADF));
    let limit = Rlimit {
        rlim_cur: 30,
        rlim_max: 30,
    };
    is(
        Syscall::PrlimitNofile {
            new_limit: Some(limit),
        },
        Answer::ret(0),
    );
    is(
        Syscall::PrlimitNofile { new_limit: None },
        Answer::Done(0, Out::Rlimit(limit)),
    );
    let Answer::Done(0, Out::Text(text)) = call(&mut linux, MAIN, Syscall::Fdinfo { fd: ep })
    else {
        panic!("no text");
    };
    let items = parse_fdinfo(&text).expect("well-formed");
    assert_eq!((items.len(), items[0].tfd), (1, fd));
    if let Some(why) = kcmp_refused() {
        eprintln!("skipped: {why}");
        return;
    }
    let kcmp = |fd1, fd2| Syscall::KcmpFile {
        pid1: 0,
        pid2: MAIN.pid(),
        fd1,
        fd2,
    };
    assert_eq!(call(&mut linux, MAIN, kcmp(Fd(7), Fd(20))), Answer::ret(0));
    assert_ne!(call(&mut linux, MAIN, kcmp(ep, fd)), Answer::ret(0));
    let watched = Syscall::KcmpEpollTfd {
        pid1: 0,
        pid2: 0,
        fd1: fd,
        efd: ep,
        tfd: fd,
        toff: 0,
    };
    assert_eq!(call(&mut linux, MAIN, watched), Answer::ret(0));
}

#[test]
fn another_user_still_answers_and_the_setting_comes_back() {
    if !is_root() {
        eprintln!("skipped: not root");
        return;
    }
    const PATH: &str = "/proc/sys/fs/epoll/max_user_watches";
    // Somebody else's scenario may have it changed at the moment: look when it is nobody's.
    let setting = || Sysctl::reserve().expect("the setting").before().to_owned();
    let before = setting();
    let mut linux = linux();
    let open = |path: &str, flags| Syscall::Openat {
        dirfd: Fd::AT_FDCWD,
        pathname: path.into(),
        flags,
        mode: 0,
    };
    assert_eq!(
        call(&mut linux, MAIN, open(PATH, OpenFlags::RDWR)),
        Answer::ret(3)
    );
    let higher = format!("{}", before.trim().parse::<u64>().expect("a number") + 1);
    assert_eq!(
        Thread::main(&mut linux).write(Fd(3), higher.as_bytes()),
        Ok(higher.len())
    );
    assert_eq!(
        std::fs::read_to_string(PATH).expect("the setting").trim(),
        higher
    );
    let (r, _) = pipe(&mut linux, OpenFlags::empty());
    let child = fork(&mut linux, MAIN);
    assert_eq!(
        call(&mut linux, child, Syscall::Setresuid { uid: 65534 }),
        Answer::ret(0)
    );
    let read = Syscall::Read {
        fd: r,
        buf: OutPtr::PLENTY,
        count: 10,
    };
    assert_eq!(call(&mut linux, child, read), Answer::Blocked);
    drop(linux);
    assert_eq!(setting(), before);
}

#[test]
fn nothing_is_left_behind() {
    let mut linux = linux();
    let child = fork(&mut linux, MAIN);
    let grandchild = fork(&mut linux, child);
    assert_eq!(
        call(&mut linux, grandchild, Syscall::Execve),
        Answer::ret(0)
    );
    let pids: Vec<i32> = linux
        .tasks
        .processes
        .iter()
        .map(|process| process.pid)
        .collect();
    drop(linux);
    for pid in pids {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        assert!(
            status.is_empty() || status.contains("State:\tZ"),
            "{status}"
        );
    }
}

/// Waits until the process is a zombie or gone; the limit is for a lab that is broken.
#[track_caller]
fn assert_ends(pid: i32) {
    let start = Instant::now();
    loop {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        if status.is_empty() || status.contains("State:\tZ") {
            return;
        }
        assert!(start.elapsed() < Duration::from_secs(20), "{status}");
        ffi::sched_yield();
    }
}

#[test]
fn nothing_outlives_a_controller_that_dies() {
    let pids = std::thread::spawn(|| {
        let mut linux = linux();
        let child = fork(&mut linux, MAIN);
        fork(&mut linux, child);
        let pids: Vec<i32> = linux.tasks.processes.iter().map(|it| it.pid).collect();
        let guard = linux.guard.expect("a scenario that forks has one");
        // As if the thread had died in the middle: nothing is cleaned up.
        std::mem::forget(linux);
        (pids, guard)
    });
    let (pids, guard) = pids.join().expect("it did not panic");
    for pid in &pids {
        assert_ends(*pid);
    }
    ffi::reap(pids[0]);
    ffi::reap(guard);
}

#[test]
#[ignore = "prints figures"]
fn figures() {
    let start = Instant::now();
    for _ in 0..100 {
        drop(linux());
    }
    eprintln!("Linux::new and drop: {:?}", start.elapsed() / 100);
    let mut linux = linux();
    let (ep, fd) = (epoll(&mut linux), eventfd(&mut linux, 1));
    add(&mut linux, ep, fd, EventMask::IN);
    let mut time = |what: &str, rounds: u32, make: &mut dyn FnMut(&mut Linux)| {
        let start = Instant::now();
        for _ in 0..rounds {
            make(&mut linux);
        }
        eprintln!("{what}: {:?}", start.elapsed() / rounds);
    };
    time("close(-1)", 20_000, &mut |linux| {
        call(linux, MAIN, Syscall::Close { fd: Fd(-1) });
    });
    time("epoll_wait with one event", 20_000, &mut |linux| {
        call(linux, MAIN, wait_call(ep, Room::Plenty, 8, 0));
    });
    let other = linux.spawn(MAIN).expect("a thread");
    let (r, w) = pipe(&mut linux, OpenFlags::empty());
    let mut time = Duration::ZERO;
    for _ in 0..2000 {
        let start = Instant::now();
        call(
            &mut linux,
            other,
            Syscall::Read {
                fd: r,
                buf: OutPtr::PLENTY,
                count: 1,
            },
        );
        time += start.elapsed();
        call(
            &mut linux,
            MAIN,
            Syscall::Write {
                fd: w,
                buf: Ptr::To(Bytes::from(&b"x"[..])),
                count: 1,
            },
        );
        settle(&mut linux);
    }
    eprintln!("a read that falls asleep: {:?}", time / 2000);
}

/// What a race needs: an epoll, an eventfd in it, and some tasks.
fn course(linux: &mut Linux, events: EventMask, tasks: usize) -> (Fd, Fd, Vec<TaskId>) {
    let (ep, fd) = (epoll(linux), eventfd(linux, 0));
    add(linux, ep, fd, events);
    let tasks = (0..tasks).map(|_| linux.spawn(MAIN).expect("a thread"));
    (ep, fd, tasks.collect())
}

#[track_caller]
fn race(linux: &mut Linux, programs: &[(TaskId, Vec<Syscall>)], seed: u64) -> Vec<Vec<Fate>> {
    let fates = linux.race(programs, seed).expect("the lab works");
    let tasks = fates.iter().map(|(task, _)| *task);
    assert!(tasks.eq(programs.iter().map(|(task, _)| *task)));
    fates.into_iter().map(|(_, fates)| fates).collect()
}

fn ended(answer: Answer) -> Fate {
    Fate::Ended(answer)
}

#[test]
fn one_edge_is_for_one_of_those_who_race_for_it() {
    for seed in 0..60 {
        let mut linux = linux();
        let (ep, fd, tasks) = course(&mut linux, IN_ET, 3);
        let waits = || vec![wait_call(ep, Room::Plenty, 8, -1)];
        let programs = [
            (tasks[0], waits()),
            (tasks[1], vec![bump(fd)]),
            (tasks[2], waits()),
        ];
        let raced = race(&mut linux, &programs, seed);
        assert_eq!(raced[1], [ended(Answer::ret(8))]);
        let won = ended(reported(&[fd]));
        let (winner, loser) = if raced[0] == [won.clone()] {
            (0, 2)
        } else {
            (2, 0)
        };
        assert_eq!(raced[winner], [won], "seed {seed}: {raced:?}");
        assert_eq!(raced[loser], [Fate::Asleep], "seed {seed}: {raced:?}");

        // Who sleeps is still there when the race is over.
        assert_eq!(settle(&mut linux), []);
        assert_eq!(call(&mut linux, MAIN, bump(fd)), Answer::ret(8));
        assert_eq!(settle(&mut linux), [(tasks[loser], reported(&[fd]))]);
        let again = call(&mut linux, tasks[loser], wait_call(ep, Room::Plenty, 8, 0));
        assert_eq!(again, reported(&[]));
    }
}

#[test]
fn what_a_race_did_not_reach_is_not_done_later() {
    let mut linux = linux();
    let (ep, fd, tasks) = course(&mut linux, IN_ET, 2);
    let other = eventfd(&mut linux, 0);
    let sleeps_early = vec![wait_call(ep, Room::Plenty, 8, -1), bump(other)];
    let programs = [
        (tasks[0], sleeps_early),
        (tasks[1], vec![bump(other), bump(Fd(-1))]),
    ];
    let raced = race(&mut linux, &programs, 0);
    assert_eq!(raced[0], [Fate::Asleep, Fate::NotReached]);
    let bad = Answer::err(Errno::EBADF);
    assert_eq!(raced[1], [ended(Answer::ret(8)), ended(bad)]);
    call(&mut linux, MAIN, bump(fd));
    assert_eq!(settle(&mut linux), [(tasks[0], reported(&[fd]))]);
    let mut t = Thread::of(&mut linux, tasks[0]);
    assert_eq!(t.read(other, 8).map(|bytes| bytes.to_u64()), Ok(Some(1)));
}

#[test]
fn a_race_lasts_until_the_last_timeout() {
    let mut linux = linux();
    let (ep, _, tasks) = course(&mut linux, IN_ET, 2);
    let sleeper = linux.spawn(MAIN).expect("a thread");
    let timed = |timeout| wait_call(ep, Room::Plenty, 8, timeout);
    assert_eq!(call(&mut linux, sleeper, timed(1)), Answer::Blocked);
    let programs = [
        (tasks[0], vec![timed(2), timed(1)]),
        (tasks[1], vec![timed(0), timed(3)]),
    ];
    let raced = race(&mut linux, &programs, 1);
    let none = || ended(reported(&[]));
    assert_eq!(raced, [[none(), none()], [none(), none()]]);
    assert_eq!(settle(&mut linux), [(sleeper, reported(&[]))]);
}

/// Each call has its own memory, with its own pattern around what it stores.
#[test]
fn the_calls_of_a_race_do_not_share_buffers() {
    let mut linux = linux();
    let (ep, fd, tasks) = course(&mut linux, EventMask::IN, 2);
    let (r, w) = pipe(&mut linux, OpenFlags::empty());
    let write = |text: &str| Syscall::Write {
        fd: w,
        buf: Ptr::To(Bytes::from(text.as_bytes())),
        count: text.len() as u64,
    };
    let read = |count| Syscall::Read {
        fd: r,
        buf: OutPtr::PLENTY,
        count,
    };
    let poll = |fd| Syscall::Poll {
        fds: vec![PollFd {
            fd,
            events: EventMask::IN,
            revents: EventMask::empty(),
        }],
        timeout: Timeout::NOW,
    };
    let all_in_turn = vec![
        bump(fd),
        wait_call(ep, Room::Plenty, 8, 0),
        write("one"),
        read(2),
        wait_call(ep, Room::Bytes(14), 8, 0),
        poll(r),
        write("two"),
        read(100),
        poll(r),
    ];
    let bytes = |text: &str| {
        let count = text.len() as i64;
        ended(Answer::Done(count, Out::Bytes(text.as_bytes().into())))
    };
    let polled = |count, revents| {
        let fds = vec![PollFd {
            fd: r,
            events: EventMask::IN,
            revents,
        }];
        ended(Answer::Done(count, Out::PollFds(fds)))
    };
    let raced = race(&mut linux, &[(tasks[0], all_in_turn)], 3);
    assert_eq!(
        raced[0],
        [
            ended(Answer::ret(8)),
            ended(reported(&[fd])),
            ended(Answer::ret(3)),
            bytes("on"),
            ended(reported(&[fd])),
            polled(1, EventMask::IN),
            ended(Answer::ret(3)),
            bytes("etwo"),
            polled(0, EventMask::empty()),
        ]
    );
    let two_rooms = vec![wait_call(ep, Room::Bytes(24), 8, 0); 2];
    assert!(linux.race(&[(tasks[1], two_rooms)], 3).is_err());
    let fork = vec![Syscall::Fork];
    assert!(linux.race(&[(tasks[1], fork)], 3).is_err());
    let twice = [(tasks[1], vec![bump(fd)]), (tasks[1], vec![bump(fd)])];
    assert!(linux.race(&twice, 3).is_err());
    // What was refused has left nothing behind.
    let raced = race(&mut linux, &[(tasks[1], vec![bump(fd)])], 3);
    assert_eq!(raced, [[ended(Answer::ret(8))]]);
}

#[test]
fn who_is_killed_in_a_race_is_gone_with_what_it_held() {
    for seed in 0..20 {
        let mut linux = linux();
        let (r, w) = pipe(&mut linux, OpenFlags::empty());
        let child = match call(&mut linux, MAIN, Syscall::Fork) {
            Answer::Done(pid, _) => TaskId::from_pid(pid as i32).expect("a task"),
            other => panic!("{other:?}"),
        };
        call(&mut linux, MAIN, Syscall::Close { fd: w });
        let read = |count| Syscall::Read {
            fd: r,
            buf: OutPtr::PLENTY,
            count,
        };
        let kill = Syscall::Kill {
            pid: child.pid(),
            sig: Signal::SIGKILL,
        };
        let reader = linux.spawn(MAIN).expect("a thread");
        let programs = [
            (child, vec![read(1), read(2)]),
            (MAIN, vec![kill]),
            (reader, vec![read(3)]),
        ];
        let raced = race(&mut linux, &programs, seed);
        let dies_early = [Fate::NotReached, Fate::NotReached];
        let dies_asleep = [ended(Answer::Gone), Fate::NotReached];
        assert!(
            [dies_early, dies_asleep].contains(&[raced[0][0].clone(), raced[0][1].clone()]),
            "seed {seed}: {raced:?}"
        );
        assert_eq!(raced[1], [ended(Answer::ret(0))]);
        // The last writer is gone.
        let end_of_file = ended(Answer::Done(0, Out::Bytes(Bytes::default())));
        assert_eq!(raced[2], [end_of_file], "seed {seed}");
    }
}

#[test]
fn the_own_process_refuses_what_would_be_its_end() {
    let mut own = OwnProcess::new();
    let exit = own.submit(MAIN, Syscall::ExitGroup { status: 0 });
    let error = exit.expect_err("refused").to_string();
    assert_eq!(
        error,
        "exit_group is not for a process with a life of its own"
    );
    let file = Thread::main(&mut own).eventfd2(1, OpenFlags::NONBLOCK);
    let fd = file.expect("an eventfd");
    let buf = OutPtr::Memory(Room::Bytes(4));
    let hole = own.submit(MAIN, Syscall::Read { fd, buf, count: 8 });
    assert!(hole.is_err());
    let nobody = own.submit(TaskId(1), Syscall::Close { fd });
    assert_eq!(
        nobody.expect_err("refused").to_string(),
        "there is no task 1"
    );
    assert_eq!(Thread::main(&mut own).close(fd), Ok(()));
}

#[test]
fn the_own_process_knows_itself() {
    let mut own = OwnProcess::new();
    let fd = Thread::main(&mut own)
        .epoll_create1(EpollCreateFlags::empty())
        .expect("an epoll");
    let text = own.submit(MAIN, Syscall::Fdinfo { fd }).expect("its text");
    assert!(matches!(text, Answer::Done(0, Out::Text(text)) if text.starts_with("pos:")));
    assert_eq!(Thread::main(&mut own).close(fd), Ok(()));
}
