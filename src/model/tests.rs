//! Random programs, in random interleavings, held against what must be true of every one of them.

use super::call::Stepped;
use super::signal::Stop;
use super::task::Life;
use super::{Kernel, Machine, Model, Pace, Timer, Variant};
use crate::abi::{
    Answer, Bytes, CtlOp, EpollCreateFlags, EpollEvent, Errno, EventMask, FcntlCmd, Fd, IoctlArg,
    Itimerspec, Message, MsgFlags, OpenFlags, Out, OutPtr, PollFd, Ptr, Room, SaFlags, Select,
    SigAction, SigHandler, SigSet, SigmaskHow, Signal, SockAddr, SockOpt, Syscall, TaskId, Timeout,
    Timespec, request, socket,
};
use crate::backend::{Backend, Thaw};

/// xorshift64*: enough chance for a test, and the same each time.
struct Chance(u64);

impl Chance {
    fn new(seed: u64) -> Chance {
        Chance(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let random = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32;
        usize::try_from(random).unwrap() % bound
    }

    fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    fn of<T: Clone>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())].clone()
    }
}

/// What programs may do beyond waiting, reading and writing.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mortality {
    /// Tasks live for ever.
    Immortal,
    /// They fork, exit, kill, and wait for each other.
    Mortal,
    /// And send each other signals, most of which do not kill.
    Signalled,
}

const NONBLOCK: OpenFlags = OpenFlags::NONBLOCK;

/// Numbers that are mostly open, and often the same.
fn fd(chance: &mut Chance) -> Fd {
    if chance.one_in(30) {
        return chance.of(&[Fd(-1), Fd(0), Fd(40)]);
    }
    chance.of(&[3, 4, 5, 6, 7, 8, 9, 10, 11].map(Fd))
}

fn event(chance: &mut Chance) -> EpollEvent {
    let asked = chance.of(&[
        EventMask::IN,
        EventMask::IN,
        EventMask::OUT,
        EventMask::IN | EventMask::OUT,
        EventMask::empty(),
    ]);
    let how = chance.of(&[
        EventMask::empty(),
        EventMask::ET,
        EventMask::ET,
        EventMask::ONESHOT,
        EventMask::ET | EventMask::ONESHOT,
        EventMask::EXCLUSIVE,
        EventMask::EXCLUSIVE | EventMask::ET,
    ]);
    EpollEvent::new(asked | how, u64::try_from(chance.below(3)).unwrap())
}

fn events_buffer(chance: &mut Chance) -> OutPtr {
    match chance.below(12) {
        0 => OutPtr::Memory(Room::Frozen),
        1 => OutPtr::Memory(Room::Bytes(chance.of(&[0, 6, 12, 20]))),
        2 => OutPtr::NULL,
        _ => OutPtr::PLENTY,
    }
}

fn new_file(chance: &mut Chance) -> Syscall {
    match chance.below(6) {
        5 => Syscall::Socketpair {
            domain: socket::AF_UNIX,
            r#type: socket_type(chance),
            protocol: 0,
            sv: OutPtr::PLENTY,
        },
        0 | 1 => Syscall::Eventfd2 {
            initval: chance.of(&[0, 0, 1, 2]),
            flags: chance.of(&[
                OpenFlags::empty(),
                NONBLOCK,
                NONBLOCK,
                OpenFlags::from_bits_retain(1) | NONBLOCK,
            ]),
        },
        2 => Syscall::Pipe2 {
            pipefd: OutPtr::PLENTY,
            flags: chance.of(&[OpenFlags::empty(), NONBLOCK, NONBLOCK | OpenFlags::DIRECT]),
        },
        3 => Syscall::TimerfdCreate {
            clockid: 1,
            flags: chance.of(&[OpenFlags::empty(), NONBLOCK]),
        },
        _ => Syscall::EpollCreate1 {
            flags: EpollCreateFlags::empty(),
        },
    }
}

fn timer_call(chance: &mut Chance) -> Syscall {
    let fd = fd(chance);
    match chance.below(6) {
        0 => Syscall::TimerfdGettime {
            fd,
            curr_value: OutPtr::PLENTY,
        },
        1 => Syscall::Ioctl {
            fd,
            op: request::TFD_IOC_SET_TICKS,
            arg: IoctlArg::Ticks(Ptr::To(2)),
        },
        _ => Syscall::TimerfdSettime {
            fd,
            flags: 0,
            new_value: Ptr::To(Itimerspec {
                it_interval: Timespec::from(chance.of(&[0, 3_000_000])),
                it_value: Timespec::from(chance.of(&[0, 5_000_000, 7_000_000])),
            }),
            old_value: chance.of(&[OutPtr::NULL, OutPtr::PLENTY]),
        },
    }
}

fn socket_type(chance: &mut Chance) -> i32 {
    let nonblock = NONBLOCK.bits().cast_signed();
    let types = [
        socket::SOCK_STREAM,
        socket::SOCK_STREAM,
        socket::SOCK_DGRAM,
        socket::SOCK_SEQPACKET,
    ];
    chance.of(&types) | chance.of(&[0, nonblock])
}

fn name(chance: &mut Chance) -> SockAddr {
    SockAddr::Abstract(chance.of(&[[b'a'], [b'b']]).into())
}

fn socket_call(chance: &mut Chance) -> Syscall {
    let sockfd = fd(chance);
    let flags = chance.of(&[
        MsgFlags::empty(),
        MsgFlags::empty(),
        MsgFlags::DONTWAIT,
        MsgFlags::OOB,
        MsgFlags::PEEK,
    ]);
    match chance.below(13) {
        12 => Syscall::Sendmsg {
            sockfd,
            msg: Box::new(Message {
                bytes: vec![1; 20].into(),
                fds: vec![fd(chance)],
            }),
            flags: flags | MsgFlags::NOSIGNAL,
        },
        0 => Syscall::Socket {
            domain: socket::AF_UNIX,
            r#type: socket_type(chance),
            protocol: 0,
        },
        1 => Syscall::Bind {
            sockfd,
            addr: Box::new(name(chance)),
        },
        2 => Syscall::Listen {
            sockfd,
            backlog: chance.of(&[0, 1]),
        },
        3 => Syscall::Connect {
            sockfd,
            addr: Box::new(name(chance)),
        },
        4 => Syscall::Accept4 {
            sockfd,
            addr: chance.one_in(2),
            flags: chance.of(&[OpenFlags::empty(), NONBLOCK]),
        },
        5 => Syscall::Shutdown {
            sockfd,
            how: chance.of(&[socket::SHUT_RD, socket::SHUT_WR, socket::SHUT_RDWR]),
        },
        6 => Syscall::Setsockopt {
            sockfd,
            level: socket::SOL_SOCKET,
            optname: socket::SO_SNDBUF,
            optval: Ptr::To(SockOpt::Int(0)),
        },
        7..10 => {
            let bytes: Bytes = vec![1; chance.of(&[0, 1, 300, 9000])].into();
            let named = chance.one_in(3);
            Syscall::Sendto {
                sockfd,
                size: u64::try_from(bytes.len()).unwrap(),
                buf: Ptr::To(bytes),
                flags: flags | MsgFlags::NOSIGNAL,
                dest_addr: named.then(|| Box::new(name(chance))),
            }
        }
        _ => Syscall::Recvfrom {
            sockfd,
            buf: OutPtr::PLENTY,
            size: chance.of(&[1, 400, 20_000]),
            flags,
            addr: chance.one_in(2),
        },
    }
}

fn ctl(chance: &mut Chance) -> Syscall {
    Syscall::EpollCtl {
        epfd: fd(chance),
        op: chance.of(&[CtlOp::ADD, CtlOp::ADD, CtlOp::ADD, CtlOp::MOD, CtlOp::DEL]),
        fd: fd(chance),
        event: Ptr::To(event(chance)),
    }
}

fn signal(chance: &mut Chance) -> Signal {
    chance.of(&[
        Signal::SIGUSR1,
        Signal::SIGUSR1,
        Signal::SIGUSR2,
        Signal::SIGCHLD,
        Signal::SIGCONT,
        Signal::SIGCONT,
        Signal::SIGSTOP,
        Signal(34),
    ])
}

fn mask(chance: &mut Chance) -> Ptr<SigSet> {
    let set = [signal(chance), signal(chance)].into_iter().collect();
    chance.of(&[Ptr::NULL, Ptr::To(SigSet::EMPTY), Ptr::To(set)])
}

fn ignore_sigpipe() -> Syscall {
    let ignore = SigAction {
        handler: SigHandler::Ignore,
        ..SigAction::default()
    };
    Syscall::RtSigaction {
        sig: Signal::SIGPIPE,
        act: Ptr::To(ignore),
        oldact: OutPtr::NULL,
        sigsetsize: 8,
    }
}

fn signal_call(chance: &mut Chance) -> Syscall {
    let sigsetsize = 8;
    let time = Timespec {
        tv_sec: 0,
        tv_nsec: 1_000_000,
    };
    let pid = chance.of(&[0, 1, 1, 2, 3, 4, 5, 6]);
    match chance.below(16) {
        0..4 => Syscall::Kill {
            pid,
            sig: signal(chance),
        },
        4..7 => Syscall::Tkill {
            tid: pid,
            sig: signal(chance),
        },
        7 | 8 => Syscall::RtSigaction {
            sig: signal(chance),
            act: Ptr::To(SigAction {
                handler: chance.of(&[SigHandler::Handle, SigHandler::Handle, SigHandler::Ignore]),
                flags: chance.of(&[
                    SaFlags::empty(),
                    SaFlags::RESTART,
                    SaFlags::RESTART | SaFlags::NODEFER,
                    SaFlags::NOCLDSTOP,
                    SaFlags::NOCLDWAIT,
                ]),
                mask: chance.of(&[SigSet::EMPTY, SigSet::of(Signal::SIGUSR1), SigSet(!0)]),
            }),
            oldact: OutPtr::NULL,
            sigsetsize,
        },
        9 | 10 => Syscall::RtSigprocmask {
            how: SigmaskHow(chance.of(&[0, 1, 2])),
            set: mask(chance),
            oldset: OutPtr::PLENTY,
            sigsetsize,
        },
        11 => Syscall::EpollPwait {
            epfd: fd(chance),
            events: events_buffer(chance),
            maxevents: 2,
            timeout: chance.of(&[0, 1, -1]).into(),
            sigmask: mask(chance),
            sigsetsize,
        },
        12 => Syscall::Ppoll {
            fds: vec![PollFd {
                fd: fd(chance),
                events: EventMask::IN,
                revents: EventMask::empty(),
            }],
            timeout: chance.of(&[None, Some(time)]),
            sigmask: mask(chance),
            sigsetsize,
        },
        13 => Syscall::Pselect6 {
            select: Box::new(Select {
                nfds: 6,
                readfds: Some([fd(chance)].into_iter().collect()),
                writefds: None,
                exceptfds: None,
                timeout: chance.of(&[None, Some(time)]),
            }),
            sigmask: mask(chance),
            sigsetsize,
        },
        14 => Syscall::Nanosleep {
            req: Ptr::To(time),
            rem: OutPtr::PLENTY,
        },
        _ => Syscall::RtSigsuspend {
            mask: Ptr::To(SigSet::EMPTY),
            sigsetsize,
        },
    }
}

fn call(chance: &mut Chance, mortality: Mortality) -> Syscall {
    if mortality == Mortality::Signalled && chance.one_in(3) {
        return signal_call(chance);
    }
    let timeout = Timeout(chance.of(&[-1, 0, 0, 5, 5]));
    if chance.one_in(6) {
        return socket_call(chance);
    }
    match chance.below(36) {
        0 => new_file(chance),
        1..9 => ctl(chance),
        9..15 => Syscall::EpollWait {
            epfd: fd(chance),
            events: events_buffer(chance),
            maxevents: chance.of(&[1, 1, 2, 8]),
            timeout,
        },
        15..19 => Syscall::Read {
            fd: fd(chance),
            buf: OutPtr::PLENTY,
            count: chance.of(&[8, 8, 4096, 70_000]),
        },
        19..25 => {
            let bytes: Bytes = match chance.below(5) {
                0 => Bytes::from_u64(0),
                1 => Bytes::from_u64(u64::MAX - 1),
                2 => vec![1; chance.of(&[1, 4096, 70_000])].into(),
                _ => Bytes::from_u64(1),
            };
            Syscall::Write {
                fd: fd(chance),
                count: u64::try_from(bytes.len()).unwrap(),
                buf: Ptr::To(bytes),
            }
        }
        25 => Syscall::Poll {
            fds: (0..chance.below(3))
                .map(|_| PollFd {
                    fd: fd(chance),
                    events: chance.of(&[EventMask::IN, EventMask::OUT]),
                    revents: EventMask::empty(),
                })
                .collect(),
            timeout,
        },
        26 => Syscall::Close { fd: fd(chance) },
        27 => Syscall::Dup { oldfd: fd(chance) },
        28 => timer_call(chance),
        29 => Syscall::Dup2 {
            oldfd: fd(chance),
            newfd: fd(chance),
        },
        30 => Syscall::Fcntl {
            fd: fd(chance),
            cmd: FcntlCmd::SetpipeSz(chance.of(&[4096, 65_536])),
        },
        _ if mortality == Mortality::Immortal => ctl(chance),
        31 => Syscall::Fork,
        32 => Syscall::Wait4 {
            pid: -1,
            options: chance.of(&[0, 1, 2, 8]),
        },
        _ => match chance.below(6) {
            0 => Syscall::ExitGroup { status: 7 },
            1 => Syscall::Kill {
                pid: chance.of(&[0, 2, 3, 4, 5, 6]),
                sig: Signal::SIGKILL,
            },
            _ => Syscall::Fdinfo { fd: fd(chance) },
        },
    }
}

/// A machine with some threads and files, and what was done to it.
struct Program {
    machine: Machine,
    chance: Chance,
    mortality: Mortality,
    log: Vec<String>,
}

impl Program {
    fn new(seed: u64, mortality: Mortality) -> Program {
        Program::on(Machine::new(), seed, mortality)
    }

    fn on(machine: Machine, seed: u64, mortality: Mortality) -> Program {
        let mut program = Program {
            machine,
            chance: Chance::new(seed),
            mortality,
            log: vec![format!("seed {seed}")],
        };
        if mortality == Mortality::Immortal {
            program.whole(TaskId::MAIN, ignore_sigpipe());
        }
        for _ in 0..2 + program.chance.below(3) {
            program.machine.new_thread(TaskId::MAIN);
        }
        for _ in 0..5 {
            let call = new_file(&mut program.chance);
            program.whole(TaskId::MAIN, call);
        }
        for _ in 0..10 {
            let call = ctl(&mut program.chance);
            program.whole(TaskId::MAIN, call);
        }
        program
    }

    /// Makes a whole call.
    fn whole(&mut self, task: TaskId, call: Syscall) -> Answer {
        self.log.push(format!("task {}: {call:?}", task.0));
        make_as(task, &mut self.machine, call)
    }

    /// Begins a call, or takes a step of the one that the task is in.
    fn go_on(&mut self, task: TaskId) -> Stepped {
        let state = self.machine.task(task);
        if let Some(call) = &state.call {
            self.log
                .push(format!("task {} steps at {}", task.0, call.at()));
            let before = self.encoded();
            let stepped = self.machine.step(task, &mut ());
            if stepped == Stepped::Blocked {
                assert_eq!(self.encoded(), before, "blocked: {}", self.story());
            }
            self.machine.take_answer(task);
            stepped
        } else if state.life == Life::Alive {
            let mut call = call(&mut self.chance, self.mortality);
            if call == Syscall::Fork && self.machine.tasks.len() > 7 {
                call = Syscall::Dup { oldfd: Fd(3) };
            }
            if self.chance.one_in(3) {
                self.whole(task, call);
            } else {
                self.log.push(format!("task {} begins {call:?}", task.0));
                self.machine.begin(task, call, &mut ()).unwrap();
            }
            Stepped::Moved
        } else {
            Stepped::Idle
        }
    }

    fn anybody(&mut self) -> TaskId {
        let tasks: Vec<TaskId> = self.machine.task_ids().collect();
        self.chance.of(&tasks)
    }

    #[track_caller]
    fn check(&self) {
        if let Err(broken) = self.machine.check() {
            panic!("{broken}\n{}\n{:#?}", self.story(), self.machine.view());
        }
    }

    fn encoded(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.machine.encode(&mut bytes);
        bytes
    }

    /// What was done last.
    fn story(&self) -> String {
        let from = self.log.len().saturating_sub(60);
        format!("{}\n{}", self.log[0], self.log[from..].join("\n"))
    }

    fn thaw(&mut self) -> bool {
        let tasks = self.machine.task_ids();
        let thawed = tasks.filter(|task| self.machine.thaw(*task, Thaw::Writable).is_ok());
        thawed.count() > 0
    }

    fn jump(&mut self) -> bool {
        Kernel::new(&mut self.machine, &mut (), Pace::Whole).jump(u64::MAX)
    }

    /// Lets everybody take steps until nobody can.
    fn settle(&mut self) {
        loop {
            let mut moved = false;
            for task in self.machine.task_ids() {
                while self.machine.task(task).call.is_some() && self.go_on(task) == Stepped::Moved {
                    moved = true;
                    self.check();
                }
            }
            if !moved && !self.thaw() && !self.jump() {
                return;
            }
        }
    }
}

fn invariants_hold(mortality: Mortality, seeds: std::ops::Range<u64>) {
    for seed in seeds {
        let mut program = Program::new(seed, mortality);
        let mut copy = Machine::new();
        let mut in_vain = 0;
        for _ in 0..500 {
            let task = program.anybody();
            in_vain = match program.go_on(task) {
                Stepped::Moved => 0,
                Stepped::Idle | Stepped::Blocked => in_vain + 1,
            };
            program.check();
            if program.chance.one_in(50) || in_vain > 20 {
                program.log.push("pages thaw, time passes".to_owned());
                if !program.thaw() && !program.jump() && in_vain > 20 {
                    break;
                }
            }
            if program.chance.one_in(20) {
                let timers: Vec<Timer> = program.machine.timers().collect();
                if !timers.is_empty() {
                    let timer = program.chance.of(&timers);
                    program.log.push(format!("{timer:?} fires"));
                    program.machine.expire(timer, &mut ());
                    program.check();
                }
            }
            if program.chance.one_in(10) {
                copy.clone_from(&program.machine);
                assert!(copy == program.machine && copy.clone() == copy);
                copy.check().unwrap();
            }
        }
        // Calls that are left wait for something that nobody does, and for no lock.
        program.settle();
        for task in program.machine.task_ids() {
            let task = program.machine.task(task);
            assert!(
                task.call.is_none() || task.sleeping || task.signals.stop == Stop::Stopped,
                "stuck: {}",
                program.story()
            );
        }
    }
}

#[test]
fn invariants_hold_at_every_step_of_random_programs() {
    invariants_hold(Mortality::Immortal, 0..150);
}

#[test]
fn invariants_hold_while_tasks_are_born_and_die() {
    invariants_hold(Mortality::Mortal, 1000..1150);
}

#[test]
fn invariants_hold_while_signals_fly() {
    invariants_hold(Mortality::Signalled, 2000..2300);
}

/// Runs a random program on an epoll with a mistake: which invariant it breaks, if any.
fn broken_by(variant: Variant, seed: u64) -> Option<String> {
    let machine = Machine::new().with_variants(variant.into());
    let mut program = Program::on(machine, seed, Mortality::Immortal);
    for _ in 0..500 {
        let task = program.anybody();
        program.go_on(task);
        if let Err(broken) = program.machine.check() {
            return Some(broken);
        }
        if program.chance.one_in(50) && !program.thaw() {
            program.jump();
        }
    }
    None
}

/// A mistake in one rule leaves the structures whole; two break the promise that nobody sleeps through an
/// event.
#[test]
fn variants_break_no_invariant_but_one() {
    for variant in Variant::ALL {
        let sleepy = [Variant::NoRecheckBeforeSleep, Variant::NoChainedWake].contains(variant);
        let seeds = if sleepy { 0..1000 } else { 0..5 };
        let mut broken = seeds.filter_map(|seed| broken_by(*variant, seed));
        match broken.next() {
            None => assert!(!sleepy, "{variant} breaks nothing"),
            Some(broken) => assert!(
                sleepy && broken.contains("nobody sleeps in epoll_wait"),
                "{variant}: {broken}"
            ),
        }
    }
}

/// The same calls, each in one go and each in steps that nobody interrupts.
#[test]
fn a_whole_call_is_its_steps() {
    for seed in 0..50 {
        whole_calls_are_their_steps(seed, Mortality::Mortal);
        whole_calls_are_their_steps(seed + 50, Mortality::Signalled);
    }
}

fn whole_calls_are_their_steps(seed: u64, mortality: Mortality) {
    let mut whole = Program::new(seed, mortality);
    let mut steps = Program::new(seed, mortality);
    for _ in 0..200 {
        let task = whole.anybody();
        steps.anybody();
        let state = whole.machine.task(task);
        if state.call.is_some() || state.life != Life::Alive {
            for machine in [&mut whole.machine, &mut steps.machine] {
                machine.step(task, &mut ());
                machine.take_answer(task);
            }
        } else {
            let call = call(&mut whole.chance, mortality);
            steps.chance.0 = whole.chance.0;
            let begun = steps.machine.begin(task, call.clone(), &mut ()).unwrap();
            let answer = whole.whole(task, call.clone());
            while begun == Answer::Blocked
                && steps.machine.step(task, &mut ()) == Stepped::Moved
                && steps.machine.task(task).answer.is_none()
            {}
            let stepped = steps.machine.take_answer(task).unwrap_or(begun);
            assert_eq!(answer, stepped, "{call:?}");
        }
        assert_eq!(whole.encoded(), steps.encoded(), "{}", whole.story());
    }
}

fn make_as(task: TaskId, machine: &mut Machine, call: Syscall) -> Answer {
    Kernel::new(machine, &mut (), Pace::Whole)
        .syscall(task, call)
        .unwrap()
}

fn make(machine: &mut Machine, call: Syscall) -> Answer {
    make_as(TaskId::MAIN, machine, call)
}

fn make_fd(machine: &mut Machine, call: Syscall) -> Fd {
    match make(machine, call) {
        Answer::Done(fd, _) => Fd(i32::try_from(fd).unwrap()),
        failed => panic!("{failed:?}"),
    }
}

fn add(machine: &mut Machine, epfd: Fd, fd: Fd, event: EpollEvent) {
    let (op, event) = (CtlOp::ADD, Ptr::To(event));
    make(
        machine,
        Syscall::EpollCtl {
            epfd,
            op,
            fd,
            event,
        },
    );
}

/// A machine whose arenas have holes everywhere, but in which nothing is left to see.
fn littered(seed: u64) -> Machine {
    let mut machine = Machine::new();
    let mut chance = Chance::new(seed);
    for _ in 0..5 {
        make(&mut machine, Syscall::Eventfd { initval: 0 });
        make(
            &mut machine,
            Syscall::Pipe {
                pipefd: OutPtr::PLENTY,
            },
        );
        let epfd = make_fd(&mut machine, Syscall::EpollCreate { size: 1 });
        for fd in 3..epfd.0 {
            add(&mut machine, epfd, Fd(fd), event(&mut chance));
        }
    }
    let mut open: Vec<i32> = (3..23).collect();
    while !open.is_empty() {
        let fd = Fd(open.swap_remove(chance.below(open.len())));
        assert_eq!(make(&mut machine, Syscall::Close { fd }), Answer::ret(0));
    }
    machine.check().unwrap();
    machine
}

#[test]
fn equality_does_not_depend_on_places_in_memory() {
    for seed in 0..50 {
        assert_eq!(Machine::new(), littered(seed));
        let mut fresh = Program::on(Machine::new(), seed, Mortality::Immortal);
        let mut used = Program::on(littered(seed), seed, Mortality::Immortal);
        for _ in 0..300 {
            let task = fresh.anybody();
            if fresh.machine.task(task).call.is_some() {
                // To its end: a closed epoll lets go of its items in the order of their files'
                // addresses.
                for machine in [&mut fresh.machine, &mut used.machine] {
                    while machine.step(task, &mut ()) == Stepped::Moved {}
                }
            } else {
                let call = call(&mut fresh.chance, Mortality::Immortal);
                let answer = fresh.whole(task, call.clone());
                let same = used.whole(task, call.clone());
                if !matches!(call, Syscall::Fdinfo { .. }) {
                    assert_eq!(answer, same, "{call:?}");
                }
            }
            for program in [&mut fresh, &mut used] {
                program.machine.take_answer(task);
                program.check();
            }
            assert!(fresh.machine == used.machine, "{}", fresh.story());
        }
    }
}

#[test]
fn equality_does_not_depend_on_the_shape_of_the_tree() {
    let watching_in_order = |order: &[i32]| {
        let mut machine = Machine::new();
        let epfd = make_fd(&mut machine, Syscall::EpollCreate { size: 1 });
        for _ in 4..10 {
            make(&mut machine, Syscall::Eventfd { initval: 0 });
        }
        for fd in order {
            add(
                &mut machine,
                epfd,
                Fd(*fd),
                EpollEvent::new(EventMask::IN, 0),
            );
        }
        machine
    };
    let ascending = watching_in_order(&[4, 5, 6, 7, 8, 9]);
    let descending = watching_in_order(&[9, 8, 7, 6, 5, 4]);
    assert_ne!(
        ascending.view().epolls[0].tree,
        descending.view().epolls[0].tree
    );
    assert_eq!(ascending, descending);
}

#[test]
fn equality_sees_the_order_of_ready_items_and_the_time_left() {
    let ready_in_order = |order: [i32; 2]| {
        let mut machine = Machine::new();
        let epfd = make_fd(&mut machine, Syscall::EpollCreate { size: 1 });
        for fd in [4, 5] {
            make(&mut machine, Syscall::Eventfd { initval: 0 });
            add(
                &mut machine,
                epfd,
                Fd(fd),
                EpollEvent::new(EventMask::IN, 0),
            );
        }
        for fd in order.map(Fd) {
            let (buf, count) = (Ptr::To(Bytes::from_u64(1)), 8);
            make(&mut machine, Syscall::Write { fd, buf, count });
        }
        machine
    };
    assert_ne!(ready_in_order([4, 5]), ready_in_order([5, 4]));

    let waiting_at = |now, timeout| {
        let mut machine = Machine::new();
        machine.now = now;
        let epfd = make_fd(&mut machine, Syscall::EpollCreate { size: 1 });
        let (events, maxevents) = (OutPtr::PLENTY, 1);
        make(
            &mut machine,
            Syscall::EpollWait {
                epfd,
                events,
                maxevents,
                timeout: Timeout(timeout),
            },
        );
        machine
    };
    assert_eq!(waiting_at(0, 5), waiting_at(1_000_000, 5));
    assert_ne!(waiting_at(0, 5), waiting_at(0, 6));
}

#[test]
fn check_finds_a_sleeper_whom_nobody_can_wake() {
    let mut machine = Machine::new();
    let epfd = make_fd(&mut machine, Syscall::EpollCreate { size: 1 });
    let file = make_fd(&mut machine, Syscall::Eventfd { initval: 0 });
    add(&mut machine, epfd, file, EpollEvent::new(EventMask::IN, 0));
    let (events, maxevents, timeout) = (OutPtr::PLENTY, 1, Timeout::FOREVER);
    make(
        &mut machine,
        Syscall::EpollWait {
            epfd,
            events,
            maxevents,
            timeout,
        },
    );
    machine.check().unwrap();
    let writer = machine.new_thread(TaskId::MAIN);
    let (buf, count) = (Ptr::To(Bytes::from_u64(1)), 8);
    let fd = file;
    make_as(writer, &mut machine, Syscall::Write { fd, buf, count });
    machine.check().unwrap();
    // As if the waiter had not been told.
    machine.task_mut(TaskId::MAIN).sleeping = true;
    let broken = machine.check().unwrap_err();
    assert!(broken.contains("on no queue"), "{broken}");
}

#[test]
fn a_wakeup_passes_over_a_task_that_was_killed() {
    let mut machine = Machine::new();
    let epfd = make_fd(&mut machine, Syscall::EpollCreate { size: 1 });
    let fd = make_fd(&mut machine, Syscall::Eventfd { initval: 0 });
    add(&mut machine, epfd, fd, EpollEvent::new(EventMask::IN, 0));
    let waiter = machine.new_thread(TaskId::MAIN);
    let child = TaskId::from_pid(make_fd(&mut machine, Syscall::Fork).0).unwrap();
    // The child comes last and so is the first to be woken.
    for task in [waiter, child] {
        let (events, maxevents, timeout) = (OutPtr::PLENTY, 1, Timeout::FOREVER);
        let wait = Syscall::EpollWait {
            epfd,
            events,
            maxevents,
            timeout,
        };
        assert_eq!(make_as(task, &mut machine, wait), Answer::Blocked);
    }
    make(
        &mut machine,
        Syscall::Kill {
            pid: child.pid(),
            sig: Signal::SIGKILL,
        },
    );
    let (buf, count) = (Ptr::To(Bytes::from_u64(1)), 8);
    make(&mut machine, Syscall::Write { fd, buf, count });
    assert!(!machine.task(waiter).sleeping);
}

/// A machine in which two tasks wait on an epoll, the last to come for 10 ms; and the file it watches.
fn two_waiters() -> (Machine, [TaskId; 2], Fd) {
    let mut machine = Machine::new();
    let epfd = make_fd(&mut machine, Syscall::EpollCreate { size: 1 });
    let fd = make_fd(&mut machine, Syscall::Eventfd { initval: 0 });
    let edge = EpollEvent::new(EventMask::IN | EventMask::ET, 0);
    add(&mut machine, epfd, fd, edge);
    let waiters = [-1, 10].map(Timeout).map(|timeout| {
        let waiter = machine.new_thread(TaskId::MAIN);
        let (events, maxevents) = (OutPtr::PLENTY, 1);
        let wait = Syscall::EpollWait {
            epfd,
            events,
            maxevents,
            timeout,
        };
        assert_eq!(make_as(waiter, &mut machine, wait), Answer::Blocked);
        waiter
    });
    (machine, waiters, fd)
}

fn write_one(machine: &mut Machine, fd: Fd) {
    let (buf, count) = (Ptr::To(Bytes::from_u64(1)), 8);
    make(machine, Syscall::Write { fd, buf, count });
}

/// Steps until the call is over or sleeps.
fn run_to_the_end(machine: &mut Machine, task: TaskId) -> Answer {
    while machine.step(task, &mut ()) == Stepped::Moved {}
    machine.check().unwrap();
    machine.take_answer(task).unwrap_or(Answer::Blocked)
}

#[test]
fn a_wakeup_passes_over_a_task_whose_time_is_up_but_takes_it_off_the_queue() {
    let (mut machine, [patient, hasty], fd) = two_waiters();
    assert!(!machine.may_expire(patient));
    assert!(machine.expire(hasty, &mut ()));
    machine.check().unwrap();
    // It runs from now on, and has not yet come to look at its place on the queue.
    write_one(&mut machine, fd);
    machine.check().unwrap();
    assert!(!machine.task(patient).sleeping, "the wake-up was passed on");
    // Its place is gone, so it looks for events, and is faster here than the one who was woken for them.
    assert!(matches!(
        run_to_the_end(&mut machine, hasty),
        Answer::Done(1, _)
    ));
    assert_eq!(run_to_the_end(&mut machine, patient), Answer::Blocked);
    assert!(machine.task(patient).sleeping);
}

#[test]
fn a_task_whose_time_is_up_returns_without_a_look_if_it_still_stands_on_the_queue() {
    let (mut machine, [patient, hasty], fd) = two_waiters();
    assert!(machine.expire(hasty, &mut ()));
    assert!(!machine.expire(hasty, &mut ()), "a timer fires once");
    // Off the queue before there is anything.
    assert_eq!(machine.step(hasty, &mut ()), Stepped::Moved);
    write_one(&mut machine, fd);
    assert!(matches!(
        run_to_the_end(&mut machine, hasty),
        Answer::Done(0, _)
    ));
    assert!(matches!(
        run_to_the_end(&mut machine, patient),
        Answer::Done(1, _)
    ));
}

#[test]
fn a_task_that_was_woken_just_before_its_time_was_up_does_not_wait_again() {
    let (mut machine, [patient, hasty], fd) = two_waiters();
    write_one(&mut machine, fd);
    assert!(!machine.task(hasty).sleeping && machine.task(patient).sleeping);
    assert!(machine.expire(hasty, &mut ()));
    // Somebody is faster.
    let (events, maxevents, timeout) = (OutPtr::PLENTY, 1, Timeout::NOW);
    let wait = Syscall::EpollWait {
        epfd: Fd(3),
        events,
        maxevents,
        timeout,
    };
    assert!(matches!(make(&mut machine, wait), Answer::Done(1, _)));
    assert!(matches!(
        run_to_the_end(&mut machine, hasty),
        Answer::Done(0, _)
    ));
}

#[test]
fn a_closed_epoll_leaves_every_queue_before_it_lets_go_of_an_item() {
    let mut machine = Machine::new();
    let epfd = make_fd(&mut machine, Syscall::EpollCreate { size: 1 });
    let files = [0, 0].map(|initval| make_fd(&mut machine, Syscall::Eventfd { initval }));
    for fd in files {
        add(&mut machine, epfd, fd, EpollEvent::new(EventMask::IN, 0));
    }
    let other = machine.new_thread(TaskId::MAIN);
    let hooks = |machine: &Machine| {
        let items = machine.items.live().into_iter();
        items
            .map(|item| machine.items_rest[item].pwqlist.iter().count())
            .collect::<Vec<_>>()
    };
    for (task, fd) in [(TaskId::MAIN, epfd), (other, files[1])] {
        let begun = machine.begin(task, Syscall::Close { fd }, &mut ());
        assert_eq!(begun.unwrap(), Answer::Blocked);
    }
    let mut seen = Vec::new();
    while machine.step(TaskId::MAIN, &mut ()) == Stepped::Moved {
        machine.check().unwrap();
        if seen.last() != Some(&hooks(&machine)) {
            seen.push(hooks(&machine));
        }
        // Who closes a watched file has to wait while this goes on.
        if let [.., 0] = hooks(&machine)[..] {
            while machine.step(other, &mut ()) == Stepped::Moved {}
            assert!(machine.take_answer(other).is_none());
        }
    }
    assert_eq!(seen, [vec![1, 1], vec![0, 1], vec![0, 0], vec![0], vec![]]);
    assert_eq!(run_to_the_end(&mut machine, other), Answer::ret(0));
}

fn make_pipe(machine: &mut Machine) -> [Fd; 2] {
    let pipefd = OutPtr::PLENTY;
    match make(machine, Syscall::Pipe { pipefd }) {
        Answer::Done(0, Out::Pipe(read, write)) => [read, write],
        failed => panic!("{failed:?}"),
    }
}

fn write_byte(fd: Fd) -> Syscall {
    let (buf, count) = (Ptr::To(vec![1].into()), 1);
    Syscall::Write { fd, buf, count }
}

#[test]
fn a_pipe_is_released_under_its_mutex_until_everybody_is_woken() {
    let mut machine = Machine::new();
    make(&mut machine, ignore_sigpipe());
    let epfd = make_fd(&mut machine, Syscall::EpollCreate { size: 1 });
    let [read, write] = make_pipe(&mut machine);
    add(
        &mut machine,
        epfd,
        write,
        EpollEvent::new(EventMask::OUT, 0),
    );
    let writer = machine.new_thread(TaskId::MAIN);
    let close = Syscall::Close { fd: read };
    machine.begin(TaskId::MAIN, close, &mut ()).unwrap();
    machine.begin(writer, write_byte(write), &mut ()).unwrap();
    let mut waited = 0;
    while machine.step(TaskId::MAIN, &mut ()) == Stepped::Moved {
        machine.check().unwrap();
        if machine
            .pipes
            .live()
            .iter()
            .any(|pipe| machine.pipes[*pipe].mutex.is_some())
        {
            assert_eq!(machine.step(writer, &mut ()), Stepped::Blocked);
            waited += 1;
        }
    }
    assert!(waited > 0);
    assert_eq!(
        run_to_the_end(&mut machine, writer),
        Answer::err(Errno::EPIPE)
    );
}

#[test]
fn a_reader_stands_on_the_queue_again_before_it_looks_and_may_take_a_wakeup_along() {
    let mut machine = Machine::new();
    let epfd = make_fd(&mut machine, Syscall::EpollCreate { size: 1 });
    let [read, write] = make_pipe(&mut machine);
    let [reader, waiter] = [0; 2].map(|_| machine.new_thread(TaskId::MAIN));
    let (buf, count) = (OutPtr::PLENTY, 8);
    let blocked = make_as(
        reader,
        &mut machine,
        Syscall::Read {
            fd: read,
            buf,
            count,
        },
    );
    assert_eq!(blocked, Answer::Blocked);
    make(&mut machine, write_byte(write));
    // Out of its sleep, and onto the queue once more.
    for _ in 0..2 {
        assert_eq!(machine.step(reader, &mut ()), Stepped::Moved);
    }
    let exclusive = EventMask::IN | EventMask::ET | EventMask::EXCLUSIVE;
    add(&mut machine, epfd, read, EpollEvent::new(exclusive, 0));
    let wait = |timeout| Syscall::EpollWait {
        epfd,
        events: OutPtr::PLENTY,
        maxevents: 1,
        timeout: Timeout(timeout),
    };
    assert!(matches!(make(&mut machine, wait(0)), Answer::Done(1, _)));
    assert_eq!(make_as(waiter, &mut machine, wait(-1)), Answer::Blocked);
    make(&mut machine, write_byte(write));
    assert!(machine.task(waiter).sleeping, "the reader was before it");
    let read = run_to_the_end(&mut machine, reader);
    assert!(matches!(read, Answer::Done(2, _)), "{read:?}");
}

#[test]
fn timers_fire_in_the_order_of_their_deadlines() {
    let mut machine = Machine::new();
    let sleepers = [20, 10, 10].map(Timeout).map(|timeout| {
        let sleeper = machine.new_thread(TaskId::MAIN);
        let fds = Vec::new();
        let poll = Syscall::Poll { fds, timeout };
        assert_eq!(make_as(sleeper, &mut machine, poll), Answer::Blocked);
        sleeper
    });
    let [late, early, as_early] = sleepers;
    let next = |machine: &Machine| sleepers.map(|task| machine.may_expire(task));
    assert_eq!(next(&machine), [false, true, true]);
    assert!(!machine.expire(late, &mut ()));
    assert!(machine.expire(as_early, &mut ()));
    assert_eq!(next(&machine), [false, true, false]);
    assert!(machine.expire(early, &mut ()));
    assert!(machine.expire(late, &mut ()));
    for task in sleepers {
        assert!(matches!(
            run_to_the_end(&mut machine, task),
            Answer::Done(0, _)
        ));
    }
}

/// A timer that fires after so many milliseconds.
fn make_timer(machine: &mut Machine, value: u64) -> Fd {
    let (clockid, flags) = (1, NONBLOCK);
    let fd = make_fd(machine, Syscall::TimerfdCreate { clockid, flags });
    let settime = Syscall::TimerfdSettime {
        fd,
        flags: 0,
        new_value: Ptr::To(Itimerspec {
            it_value: Timespec::from(value * 1_000_000),
            ..Default::default()
        }),
        old_value: OutPtr::NULL,
    };
    make(machine, settime);
    fd
}

#[test]
fn the_timer_of_a_file_and_that_of_a_sleep_are_in_one_order() {
    let mut machine = Machine::new();
    let fd = make_timer(&mut machine, 10);
    let sleeper = machine.new_thread(TaskId::MAIN);
    let fds = vec![PollFd {
        fd,
        events: EventMask::IN,
        revents: EventMask::empty(),
    }];
    let timeout = Timeout(20);
    let poll = Syscall::Poll { fds, timeout };
    assert_eq!(make_as(sleeper, &mut machine, poll), Answer::Blocked);
    assert!(!machine.may_expire(sleeper));
    let [timer] = *machine
        .timers()
        .filter(|it| machine.may_expire(*it))
        .collect::<Vec<_>>()
    else {
        panic!("one timer comes first");
    };
    assert!(machine.expire(timer, &mut ()));
    assert!(!machine.expire(timer, &mut ()), "it is not periodic");
    let polled = run_to_the_end(&mut machine, sleeper);
    assert!(matches!(polled, Answer::Done(1, _)), "{polled:?}");
    assert_eq!(machine.now, 10_000_000);
}

#[test]
fn a_timer_does_not_fire_while_a_queue_on_its_way_is_walked() {
    let mut machine = Machine::new();
    let fd = make_timer(&mut machine, 10);
    let outer = make_fd(
        &mut machine,
        Syscall::EpollCreate1 {
            flags: EpollCreateFlags::empty(),
        },
    );
    let inner = make_fd(
        &mut machine,
        Syscall::EpollCreate1 {
            flags: EpollCreateFlags::empty(),
        },
    );
    add(&mut machine, inner, fd, EpollEvent::new(EventMask::IN, 1));
    add(
        &mut machine,
        outer,
        inner,
        EpollEvent::new(EventMask::IN, 2),
    );
    let timer = machine.timers().next().expect("it is armed");
    assert!(machine.may_expire(timer));
    let op = request::TFD_IOC_SET_TICKS;
    let arg = IoctlArg::Ticks(Ptr::To(1));
    let begun = machine.begin(TaskId::MAIN, Syscall::Ioctl { fd, op, arg }, &mut ());
    assert_eq!(begun.unwrap(), Answer::Blocked);
    let mut hindered = 0;
    while machine.step(TaskId::MAIN, &mut ()) == Stepped::Moved {
        machine.check().unwrap();
        if !machine.may_expire(timer) {
            hindered += 1;
            // The clock waits for it.
            machine.run_until(1_000_000_000, &mut ());
            assert_eq!(machine.now, 10_000_000);
        }
    }
    assert!(hindered > 0);
    machine.run_until(1_000_000_000, &mut ());
    assert_eq!(machine.now, 1_000_000_000);
    assert!(machine.timers().next().is_none());
}

#[test]
fn equality_sees_how_long_a_timer_has_been_waiting_to_be_asked() {
    let periodic = |passed: u64| {
        let mut machine = Machine::new();
        let (clockid, flags) = (1, NONBLOCK);
        let fd = make_fd(&mut machine, Syscall::TimerfdCreate { clockid, flags });
        let settime = Syscall::TimerfdSettime {
            fd,
            flags: 0,
            new_value: Ptr::To(Itimerspec {
                it_interval: Timespec::from(4_000_000),
                it_value: Timespec::from(4_000_000),
            }),
            old_value: OutPtr::NULL,
        };
        make(&mut machine, settime);
        machine.run_until(passed * 1_000_000, &mut ());
        let (buf, count) = (OutPtr::PLENTY, 8);
        let read = Syscall::Read { fd, buf, count };
        (machine.clone(), make(&mut machine, read))
    };
    let ((short, one), (long, three)) = (periodic(5), periodic(13));
    assert_ne!(short, long);
    assert_eq!(one, Answer::Done(8, Out::Bytes(Bytes::from_u64(1))));
    assert_eq!(three, Answer::Done(8, Out::Bytes(Bytes::from_u64(3))));
}

#[test]
fn a_watch_costs_about_a_hundred_bytes() {
    let mut model = Model::new();
    assert_eq!(model.bytes_per_watch(), 0.0);
    let mut submit = |call| model.submit(TaskId::MAIN, call).unwrap();
    submit(Syscall::EpollCreate { size: 1 });
    for fd in (4..1004).map(Fd) {
        submit(Syscall::Eventfd { initval: 0 });
        let (epfd, op) = (Fd(3), CtlOp::ADD);
        let event = Ptr::To(EpollEvent::new(EventMask::IN, 0));
        submit(Syscall::EpollCtl {
            epfd,
            op,
            fd,
            event,
        });
    }
    let bytes = model.bytes_per_watch();
    assert!((100.0..150.0).contains(&bytes), "{bytes}");
}

#[test]
fn a_signal_to_a_thread_that_is_ending_ends_with_it() {
    let mut machine = Machine::new();
    let thread = machine.new_thread(TaskId::MAIN);
    let Answer::Done(pid, _) = make(&mut machine, Syscall::Fork) else {
        panic!("no child");
    };
    let child = TaskId::from_pid(i32::try_from(pid).unwrap()).unwrap();
    // The new program has one thread, so this one goes, and no signal is the reason.
    machine
        .begin(TaskId::MAIN, Syscall::Execve, &mut ())
        .unwrap();
    assert_eq!(machine.step(thread, &mut ()), Stepped::Moved);
    let kill = Syscall::Tkill {
        tid: thread.pid(),
        sig: Signal::SIGUSR1,
    };
    let mut quiet = machine.clone();
    assert_eq!(make_as(child, &mut machine, kill.clone()), Answer::ret(0));
    assert_ne!(machine, quiet);
    for machine in [&mut machine, &mut quiet] {
        while machine.step(thread, &mut ()) == Stepped::Moved {
            machine.check().unwrap();
        }
        assert_eq!(machine.take_answer(thread), Some(Answer::Gone));
    }
    assert_eq!(machine, quiet);
    assert_eq!(
        make_as(child, &mut machine, kill),
        Answer::err(Errno::ESRCH)
    );
}
