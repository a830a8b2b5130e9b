//! Calls about processes: fork(2), execve(2), exit_group(2), exit(2), wait4(2), waitid(2), prlimit(2),
//! setresuid(2).

use super::super::call::{Flow, Held, Steps};
use super::super::encode::{Encode, Encoder, variant_is_number};
use super::super::file::Socket;
use super::super::signal::restart::ERESTARTSYS;
use super::super::signal::{Job, Stop, ThreadSignals};
use super::super::task::{Life, ProcessStatus};
use super::super::wait_queue::{Nr, Wake, WakeFn, Walked, Walks};
use super::super::{Kernel, Machine};
use super::release::Release;
use crate::abi::{
    Answer, Errno, EventMask, Fd, OpenFlags, Out, OutPtr, Rlimit, Room, SiCode, SigInfo, SigSet,
    Signal, TaskId, WaitStatus,
};
use crate::backend::LabError;
use crate::model::arena::{FileId, Id, ProcId, WaitId};
use crate::trace::{Observer, Place};

const WNOHANG: i32 = 1;
const WUNTRACED: i32 = 2;
const WEXITED: i32 = 4;
const WCONTINUED: i32 = 8;
const WNOWAIT: i32 = 0x100_0000;
/// Every option that waitid(2) knows (those, and `__WNOTHREAD|__WALL|__WCLONE`).
const WAITID_OPTIONS: i32 = WAIT_OPTIONS | WEXITED | WNOWAIT;
/// What the second argument of waitid(2) is.
const P_ALL: i32 = 0;
const P_PID: i32 = 1;
const P_PGID: i32 = 2;
const P_PIDFD: i32 = 3;
/// Every option that wait4(2) knows (`WNOHANG|WUNTRACED|WCONTINUED|__WNOTHREAD|__WALL|__WCLONE`).
const WAIT_OPTIONS: i32 = 0x1 | 0x2 | 0x8 | 0x2000_0000 | 0x4000_0000 | i32::MIN;
/// The most descriptors that anybody may ask for (`fs.nr_open`).
const NR_OPEN: u64 = 1 << 20;

impl<O: Observer> Kernel<'_, O> {
    /// fork(2): the child has the same numbers for the same files, epolls among them.
    pub(super) fn fork(&mut self, task: TaskId) -> TaskId {
        let process = self.m.process(task);
        let (uid, nofile) = (process.uid, process.nofile);
        let signals = process.signals.inherited();
        let blocked = self.m.task(task).signals.own_mask();
        let files = self.m.dup_table(task);
        let child = self.m.new_process(files, uid, nofile, Some(task));
        let child = &mut self.m.processes[child.index()];
        child.signals = signals;
        let leader = child.leader;
        self.m.task_mut(leader).signals.blocked = blocked;
        leader
    }

    /// execve(2) of something that only sleeps: of the process remain its number and its files.
    pub(super) fn execve(&mut self, task: TaskId) -> Release {
        // The new program has one thread (`de_thread`).
        let process = self.m.task(task).process;
        self.kill_threads(process, Some(task));
        let closed = self.close_on_exec(task);
        self.m.process_mut(task).signals.reset();
        self.m.task_mut(task).life = Life::Elsewhere;
        Release::new(Answer::ret(0), closed)
    }

    /// The living process that a pid names.
    pub(super) fn find_process(&self, pid: i32) -> Option<TaskId> {
        let leader = TaskId::from_pid(pid)?;
        let process = self
            .m
            .processes
            .iter()
            .find(|process| process.leader == leader)?;
        (process.status == ProcessStatus::Running).then_some(leader)
    }

    /// Whoever ends a process first decides how it ended (`do_group_exit`).
    pub(crate) fn end_process(&mut self, id: ProcId, status: WaitStatus, but: Option<TaskId>) {
        self.m.processes[id.index()]
            .exit_status
            .get_or_insert(status);
        self.kill_threads(id, but);
    }

    /// Makes every thread of a process end as soon as it can: at once, out of its sleep, or after what
    /// it cannot be disturbed in.
    fn kill_threads(&mut self, process: ProcId, but: Option<TaskId>) {
        let others = self
            .m
            .threads(process)
            .filter(|thread| Some(*thread) != but);
        let threads: Vec<TaskId> = others.collect();
        for thread in threads {
            let thread = self.m.task_mut(thread);
            thread.fatal_signal = true;
            thread.sigpending = true;
            thread.signals.stop = Stop::No;
            // It runs from here on: a wake-up that comes now is for the next sleeper.
            thread.sleeping = false;
            if thread.call.is_none() {
                thread.call = Some(Exit::killed().into());
            }
        }
    }

    /// prlimit(2) of `RLIMIT_NOFILE`, as root.
    pub(super) fn prlimit_nofile(
        &mut self,
        task: TaskId,
        new: Option<Rlimit>,
    ) -> Result<Out, Errno> {
        let process = self.m.process_mut(task);
        let old = process.nofile;
        if let Some(new) = new {
            if new.rlim_cur > new.rlim_max {
                return Err(Errno::EINVAL);
            }
            if new.rlim_max > NR_OPEN || (new.rlim_max > old.rlim_max && process.uid != 0) {
                return Err(Errno::EPERM);
            }
            process.nofile = new;
        }
        Ok(Out::Rlimit(old))
    }

    /// setresuid(2) to one number for all three.
    pub(super) fn setresuid(&mut self, task: TaskId, uid: u32) -> Result<i64, Errno> {
        let process = self.m.process_mut(task);
        if process.uid != 0 && process.uid != uid {
            return Err(Errno::EPERM);
        }
        process.uid = uid;
        Ok(0)
    }
}

/// The end of a task (`do_exit`), and of its process if it is the last.
#[derive(Clone, Debug)]
pub(crate) struct Exit {
    ending: Ending,
    at: ExitAt,
    release: Release,
    walks: Walks,
}

/// Who ends, and how.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Ending {
    /// The whole process.
    Group(WaitStatus),
    /// This thread.
    Thread(WaitStatus),
    /// This thread, and it is known how its process ends.
    Told,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum ExitAt {
    /// About to stop the other threads.
    Begin,
    /// The last to use the descriptors closes them.
    Files,
    /// Telling the parent.
    Wake,
}

impl Exit {
    /// exit_group(2)
    pub(super) fn group(status: i32) -> Exit {
        Exit::with(Ending::Group(WaitStatus::Exited(status & 0xff)))
    }

    /// exit(2)
    pub(super) fn thread(status: i32) -> Exit {
        Exit::with(Ending::Thread(WaitStatus::Exited(status & 0xff)))
    }

    /// Of a thread that was told to die. Who told it knows about the process.
    pub(crate) fn killed() -> Exit {
        Exit::with(Ending::Told)
    }

    fn with(ending: Ending) -> Exit {
        let release = Release::new(Answer::Gone, Vec::new());
        Exit {
            ending,
            at: ExitAt::Begin,
            release,
            walks: Walks::default(),
        }
    }
}

impl<O: Observer> Kernel<'_, O> {
    fn exit_begin(&mut self, task: TaskId, call: &mut Exit) -> Flow {
        let id = self.m.task(task).process;
        match call.ending {
            Ending::Group(status) => self.end_process(id, status, Some(task)),
            Ending::Thread(status) if self.m.process(task).leader == task => {
                self.m.process_mut(task).leader_status = Some(status);
            }
            Ending::Thread(_) | Ending::Told => {}
        }
        self.m.task_mut(task).life = Life::Exiting;
        let blocked = self.m.task(task).signals.blocked;
        // What it will not take any more is for another thread (`exit_signals`).
        self.retarget_shared_pending(task, SigSet(!blocked.0));
        self.m.task_mut(task).signals = ThreadSignals::default();
        call.release = Release::new(Answer::Gone, self.close_all(task));
        call.at = ExitAt::Files;
        Flow::Next
    }

    fn exit_files(&mut self, task: TaskId, call: &mut Exit) -> Flow {
        match call.release.step(self, task) {
            Flow::Done => {}
            more => return more,
        }
        let id = self.m.task(task).process;
        let last = self.m.threads(id).eq([task]);
        let held_up = self.m.is_end_held_up(task) || last && self.m.is_exit_held_up(id);
        if held_up {
            return Flow::Blocked;
        }
        let state = self.m.task_mut(task);
        state.life = Life::Dead;
        // What has come to it since it let go of its descriptors ends with it.
        state.signals = ThreadSignals::default();
        if self.m.process(task).leader != task {
            // Nobody waits for it (`exit_notify`).
            self.do_notify_pidfd(task);
            self.detach_pid(task);
        }
        if !last {
            return Flow::Done;
        }
        let process = &self.m.processes[id.index()];
        let status = process.exit_status.or(process.leader_status);
        let status = status.expect("the last thread ends with its process, or after the first");
        if let Some(head) = self.process_exited(id, status) {
            let key = EventMask::empty();
            self.wake_up(
                &mut call.walks,
                Wake {
                    head,
                    key,
                    nr: Nr::One,
                },
            );
        }
        call.at = ExitAt::Wake;
        Flow::Next
    }
}

impl Steps for Exit {
    fn step<O: Observer>(&mut self, kernel: &mut Kernel<'_, O>, task: TaskId) -> Flow {
        match self.at {
            ExitAt::Begin => kernel.exit_begin(task, self),
            ExitAt::Files => kernel.exit_files(task, self),
            ExitAt::Wake => match kernel.wake_step(task, &mut self.walks) {
                Walked::More => Flow::Next,
                Walked::Blocked => Flow::Blocked,
                Walked::Done => Flow::Done,
            },
        }
    }

    fn answer(&mut self) -> Answer {
        Answer::Gone
    }

    fn releasing(&self) -> &[FileId] {
        self.release.releasing()
    }

    fn sockets(&self, sockets: &mut Vec<Socket>) {
        self.release.sockets(sockets);
    }

    fn held(&self, held: &mut Held) {
        self.release.held(held);
        held.walks.extend(self.walks.iter());
    }

    fn at(&self) -> String {
        format!("do_exit: {:?}", self.at)
    }
}

/// wait4(2) or waitid(2): sleeps until a child has ended.
#[derive(Clone, Debug)]
pub(crate) struct Wait4 {
    /// The child that is waited for; -1 is any.
    pid: i32,
    tells: Tells,
    nohang: bool,
    /// A child that has ended (`WEXITED`).
    exited: bool,
    /// Also for a child that has stopped (`WUNTRACED`), or goes on (`WCONTINUED`).
    stopped: bool,
    continued: bool,
    /// It is to be told again to the next who asks (`WNOWAIT`).
    again: bool,
    waiter: Option<WaitId>,
    answer: Option<Answer>,
}

/// How the call tells what it has found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Tells {
    /// wait4(2)
    Status,
    /// waitid(2), and where
    Siginfo(OutPtr),
    /// The same by a pidfd that is not to be waited for: if there is nothing to tell, that is an error.
    OrEagain(OutPtr),
}

impl Wait4 {
    pub(super) fn begin(pid: i32, options: i32) -> Result<Wait4, Errno> {
        if options & !WAIT_OPTIONS != 0 {
            return Err(Errno::EINVAL);
        }
        Ok(Wait4::new(pid, Tells::Status, options | WEXITED))
    }

    fn new(pid: i32, tells: Tells, options: i32) -> Wait4 {
        Wait4 {
            pid,
            tells,
            nohang: options & WNOHANG != 0,
            exited: options & WEXITED != 0,
            stopped: options & WUNTRACED != 0,
            continued: options & WCONTINUED != 0,
            again: options & WNOWAIT != 0,
            waiter: None,
            answer: None,
        }
    }
}

impl Wait4 {
    /// Whether there is something to tell of a child that has not ended.
    fn has_news(&self, job: &Job) -> bool {
        let stopped = self.stopped && job.stopped;
        if stopped {
            job.signal.is_some()
        } else {
            self.continued && job.continued
        }
    }

    /// Takes it, so that it is told once (`wait_task_stopped`, `wait_task_continued`).
    fn take_news(&self, job: &mut Job) -> Option<WaitStatus> {
        if self.stopped && job.stopped {
            return job.signal.take().map(WaitStatus::Stopped);
        }
        std::mem::take(&mut job.continued).then_some(WaitStatus::Continued)
    }

    /// The same call as it was made.
    pub(crate) fn rewound(self) -> Wait4 {
        Wait4 {
            waiter: None,
            answer: None,
            ..self
        }
    }
}

impl<O: Observer> Kernel<'_, O> {
    /// waitid(2) (`kernel_waitid_prepare`)
    pub(super) fn begin_waitid(
        &self,
        task: TaskId,
        (idtype, id): (i32, i32),
        infop: OutPtr,
        options: i32,
    ) -> Result<Result<Wait4, Errno>, LabError> {
        let tells = Tells::Siginfo(infop);
        if options & !WAITID_OPTIONS != 0 || options & (WEXITED | WUNTRACED | WCONTINUED) == 0 {
            return Ok(Err(Errno::EINVAL));
        }
        Ok(match idtype {
            P_ALL => Ok(Wait4::new(-1, tells, options)),
            P_PID if id > 0 => Ok(Wait4::new(id, tells, options)),
            P_PGID if id >= 0 => {
                return Err(LabError::new("the lab waits for no process groups"));
            }
            P_PIDFD if id >= 0 => self.pidfd(task, Fd(id)).map(|(pidfd, flags)| {
                let nonblocking = flags.contains(OpenFlags::NONBLOCK);
                if nonblocking && options & WNOHANG == 0 {
                    Wait4::new(pidfd.pid().pid(), Tells::OrEagain(infop), options | WNOHANG)
                } else {
                    Wait4::new(pidfd.pid().pid(), tells, options)
                }
            }),
            _ => Err(Errno::EINVAL),
        })
    }

    /// `do_wait`: stand on the queue first, then look, so that no child's end is missed in between.
    fn wait4_step(&mut self, task: TaskId, call: &mut Wait4) -> Flow {
        let state = self.m.task(task);
        if call.waiter.is_some() && !state.is_awake() {
            return Flow::Blocked;
        }
        let sigpending = state.sigpending;
        let parent = state.process;
        let head = self.m.processes[parent.index()].wait_chldexit;
        if self.walked_by_another(task, head) {
            return Flow::Blocked;
        }
        let found = self.m.wait_consider(parent, call);
        if let Found::Zombie(child, _) = found
            && !call.again
            && self.m.is_release_held_up(child)
        {
            return Flow::Blocked;
        }
        self.m.task_mut(task).sleeping = false;
        let interrupted = sigpending.then(|| Answer::err(ERESTARTSYS));
        let Some(answer) = self.take_found(call, found).or(interrupted) else {
            if call.waiter.is_none() {
                let func = WakeFn::Default(task);
                call.waiter = Some(self.add_wait_entry(head, func, false, Place::Head));
                self.trace_sleep(task, head, Place::Head);
            }
            self.m.task_mut(task).sleeping = true;
            return Flow::Next;
        };
        if let Some(waiter) = call.waiter.take() {
            self.remove_wait_entry(waiter);
        }
        call.answer = Some(answer);
        Flow::Done
    }

    /// Takes what was found, or says why there is nothing to wait for.
    fn take_found(&mut self, call: &Wait4, found: Found) -> Option<Answer> {
        match found {
            Found::Zombie(child, status) => {
                if !call.again {
                    self.release_process(child);
                }
                Some(self.m.told_of(call, child, status))
            }
            Found::News(child) => {
                let mut job = self.m.processes[child.index()].signals.job;
                let status = call.take_news(&mut job)?;
                if !call.again {
                    self.m.processes[child.index()].signals.job = job;
                }
                Some(self.m.told_of(call, child, status))
            }
            Found::NoChild => Some(Answer::err(Errno::ECHILD)),
            Found::Running if call.nohang => Some(match call.tells {
                Tells::Status => Answer::ret(0),
                Tells::Siginfo(infop) => stored(infop, Out::None),
                Tells::OrEagain(_) => Answer::err(Errno::EAGAIN),
            }),
            Found::Running => None,
        }
    }
}

/// What a parent finds that looks for its children.
#[derive(Clone, Copy, Debug)]
enum Found {
    /// This one has ended.
    Zombie(ProcId, WaitStatus),
    /// There is something to tell of this one.
    News(ProcId),
    /// There are some, and nothing is to be told of them.
    Running,
    /// There is none.
    NoChild,
}

impl Machine {
    /// The first child of whom there is something to tell (`do_wait_pid`, `wait_consider_task`).
    fn wait_consider(&self, parent: ProcId, call: &Wait4) -> Found {
        let mut found = Found::NoChild;
        for child in self.children(parent) {
            let process = &self.processes[child.index()];
            if call.pid != -1 && call.pid != process.leader.pid() {
                continue;
            }
            match process.status {
                ProcessStatus::Reaped => {}
                ProcessStatus::Running if call.has_news(&process.signals.job) => {
                    return Found::News(child);
                }
                ProcessStatus::Running => found = Found::Running,
                ProcessStatus::Zombie(status) if call.exited => {
                    return Found::Zombie(child, status);
                }
                ProcessStatus::Zombie(_) => {}
            }
        }
        found
    }

    fn told_of(&self, call: &Wait4, child: ProcId, status: WaitStatus) -> Answer {
        let leader = self.processes[child.index()].leader;
        let infop = match call.tells {
            Tells::Status => return Answer::Done(leader.pid().into(), Out::Status(status)),
            Tells::Siginfo(infop) | Tells::OrEagain(infop) => infop,
        };
        let (code, status) = match status {
            WaitStatus::Exited(status) => (SiCode::CLD_EXITED, status),
            WaitStatus::Signaled(signal) => (SiCode::CLD_KILLED, signal.0),
            WaitStatus::Stopped(signal) => (SiCode::CLD_STOPPED, signal.0),
            WaitStatus::Continued => (SiCode::CLD_CONTINUED, Signal::SIGCONT.0),
        };
        let info = SigInfo {
            status,
            ..self.info_from(leader, Signal::SIGCHLD, code)
        };
        stored(infop, Out::Siginfo(info))
    }
}

/// The answer of waitid(2): what was found is taken, even if it cannot be stored.
fn stored(infop: OutPtr, out: Out) -> Answer {
    /// Up to the last field that is written, `si_status`.
    const WRITTEN: u64 = 28;
    match infop {
        OutPtr::NULL => Answer::ret(0),
        OutPtr::Memory(Room::Plenty | Room::Bytes(WRITTEN..)) => Answer::Done(0, out),
        OutPtr::Memory(_) | OutPtr::Addr(_) => Answer::err(Errno::EFAULT),
    }
}

impl Steps for Wait4 {
    fn step<O: Observer>(&mut self, kernel: &mut Kernel<'_, O>, task: TaskId) -> Flow {
        kernel.wait4_step(task, self)
    }

    fn answer(&mut self) -> Answer {
        self.answer.take().expect("the wait is over")
    }

    fn held(&self, held: &mut Held) {
        held.waiter = self.waiter;
        held.may_sleep = self.waiter.is_some();
    }

    fn at(&self) -> String {
        "do_wait".to_owned()
    }
}

variant_is_number!(ExitAt);

impl Encode for Ending {
    fn encode(&self, to: &mut Encoder<'_>) {
        let (number, status) = match self {
            Ending::Told => return to.none(),
            Ending::Group(status) => (1, status),
            Ending::Thread(status) => (2, status),
        };
        to.byte(number);
        status.encode(to);
    }
}

impl Encode for Exit {
    fn encode(&self, to: &mut Encoder<'_>) {
        let Exit {
            ending,
            at,
            release,
            walks,
        } = self;
        at.encode(to);
        match at {
            ExitAt::Begin => ending.encode(to),
            ExitAt::Files => release.encode(to),
            ExitAt::Wake => walks.encode(to),
        }
    }
}

impl Encode for Wait4 {
    fn encode(&self, to: &mut Encoder<'_>) {
        let Wait4 {
            pid,
            tells,
            nohang,
            exited,
            stopped,
            continued,
            again,
            waiter,
            answer: _, // known at the end only
        } = self;
        pid.encode(to);
        let options = [*nohang, *stopped, *continued, *exited, *again];
        let bits = options
            .iter()
            .fold(0, |bits, option| bits << 1 | u64::from(*option));
        to.numbers([bits, u64::from(waiter.is_some())]);
        match tells {
            Tells::Status => to.none(),
            Tells::Siginfo(infop) => {
                to.byte(1);
                infop.encode(to);
            }
            Tells::OrEagain(infop) => {
                to.byte(2);
                infop.encode(to);
            }
        }
    }
}
