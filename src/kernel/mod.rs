//! The running kernel: [`Linux`] makes the calls of a scenario for real.
//!
//! A scenario gets a process of its own, the *subject*, forked from the caller: its descriptors 0, 1 and 2 are
//! /dev/null and it has no others, so that the first file it opens is 3, as in the model. Every task of the
//! scenario is a real thread in there, or in a process forked from there, and makes its calls itself.
//! The caller, here the *controller*, only gives orders:
//!
//! ```text
//! controller                                 subject
//! encode.rs: call -> number and six words
//!   --- board.rs: shared memory, futex --->  child.rs: makes the call
//!   <-- what it returned and stored -------
//! decode.rs: outcome -> Answer
//! settle.rs: or has it fallen asleep?
//! network.rs: has everything arrived that was sent?
//! workers.rs: has the kernel itself something left to do?
//! handler.rs: which signal handlers have run
//! scratch.rs: where its names are
//! race.rs: several tasks at the same time, many calls each
//! ```
//!
//! What can go wrong is that a scenario leaves something behind. Dropping a [`Linux`] kills every process of
//! it, removes its directory, and puts the one machine-wide setting back that a scenario can change (`sysctl.rs`). Should the caller
//! be killed itself, the subject dies with it (`PR_SET_PDEATHSIG`). A scenario that forks gets a *guard*, a
//! process of the lab that ends the others then.
#![allow(
    clippy::as_conversions,
    reason = "registers and memory are words: the conversions are the point"
)]

mod board;
mod child;
mod clock;
mod crowd;
mod decode;
pub mod direct;
mod encode;
mod facts;
mod fdinfo;
mod ffi;
mod freeze;
mod handler;
mod network;
mod own;
mod race;
mod scratch;
mod settle;
mod sysctl;
mod tasks;
#[cfg(test)]
mod tests;
mod workers;

pub use facts::{
    inotify_defaults_changed, is_root, kcmp_refused, machine_name, ptys_refused, release,
    set_ticks_refused, socket_defaults_changed, userfaultfd_refused,
};
pub use own::OwnProcess;

use std::collections::HashMap;
use std::marker::PhantomData;
use std::process;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use crate::abi::socket::AF_INET;
use crate::abi::{
    Answer, Errno, Fate, Fd, SaFlags, SigInfo, SigSet, SigmaskHow, Syscall, TaskId, Timeout,
};
use crate::backend::{Backend, LabError, Thaw};

use board::{Kind, Order};
use encode::{Effect, Memory};
use fdinfo::Reader;
use ffi::Board;
use handler::Handled;
use network::Backlogs;
use settle::ProcFiles;
use sysctl::Sysctl;
use tasks::{Doing, Flight, Ice, Tasks};
use workers::Workers;

/// The running Linux as a [`Backend`], with a fresh process for one scenario.
///
/// Programs that bring their own threads use [`OwnProcess`].
///
/// It belongs to the thread that made it: Linux ends the subject with that thread, not with the caller's process.
#[derive(Debug)]
pub struct Linux {
    board: Board,
    tasks: Tasks,
    /// The process that ends the scenario's if we cannot (`child.rs`).
    guard: Option<i32>,
    /// What has ended and was not told yet.
    ended: Vec<Ended>,
    /// The handlers that have run and were not told yet.
    handled: Vec<Handled>,
    /// The scenario's time: see `clock.rs`.
    clock: Duration,
    /// Calls that timed out before the scenario's time was up, with that time.
    late: Vec<(Duration, Ended)>,
    /// Open files under /proc, by thread.
    proc_files: HashMap<i32, ProcFiles>,
    sysctl: Option<Sysctl>,
    /// Whether idle tasks may be at something: a signal was sent since the last rest.
    stirred: bool,
    /// The kernel's workers, if the scenario has terminals: they are at something after nearly every call.
    workers: Option<Workers>,
    /// What those tasks have done that did not survive the race at hand.
    fallen: Vec<(TaskId, Vec<Fate>)>,
    /// The processors that the scenario may run on.
    processors: Vec<usize>,
    /// What is on its way over loopback, once there are sockets that could send.
    backlogs: Option<Backlogs>,
    not_send: PhantomData<*const ()>,
}

/// A call that ended.
#[derive(Debug)]
struct Ended {
    ticket: u32,
    task: TaskId,
    answer: Answer,
}

impl Linux {
    /// Starts the process of a new scenario.
    ///
    /// A caller that ignores SIGCHLD stops doing so: the lab has to see how its children end.
    pub fn new() -> Result<Linux, LabError> {
        ffi::keep_zombies();
        let failed = |what: &str, error| LabError::new(format!("cannot {what}: {error}"));
        let board = Board::map().map_err(|error| failed("map memory", error))?;
        let own = process::id() as i32;
        let network = network::namespace().unwrap_or(-1);
        let pid = match ffi::fork() {
            0 => ffi::first(board, own, network),
            errno if errno < 0 => {
                board.unmap();
                let error = std::io::Error::from_raw_os_error(-errno as i32);
                return Err(failed("fork a process for the scenario", error));
            }
            pid => pid as i32,
        };
        let linux = Linux {
            board,
            tasks: Tasks::new(pid),
            guard: None,
            ended: Vec::new(),
            handled: Vec::new(),
            clock: Duration::ZERO,
            late: Vec::new(),
            proc_files: HashMap::new(),
            sysctl: None,
            stirred: false,
            workers: None,
            fallen: Vec::new(),
            processors: ffi::processors(),
            backlogs: None,
            not_send: PhantomData,
        };
        linux.await_thread(0)?;
        Ok(linux)
    }

    /// Waits until somebody serves the slot, and returns who.
    fn await_thread(&self, slot: usize) -> Result<i32, LabError> {
        let tid = &self.board.control(slot).tid;
        self.wait_for("the scenario's process did not start", || {
            tid.load(SeqCst) != 0
        })?;
        Ok(tid.load(SeqCst))
    }

    fn note_end(&mut self, task: TaskId, ticket: u32, answer: Answer) {
        self.ended.push(Ended {
            ticket,
            task,
            answer,
        });
    }

    fn take_ended(&mut self) -> Vec<(TaskId, Answer)> {
        self.ended.sort_by_key(|ended| ended.ticket);
        let ended = self.ended.drain(..);
        ended.map(|ended| (ended.task, ended.answer)).collect()
    }

    /// A thread of the lab's own in the process of `task`, which has to be idle for that.
    fn ensure_helper(&mut self, task: TaskId) -> Result<(), LabError> {
        if self.tasks.process_of(task)?.helper.is_some() {
            return Ok(());
        }
        let helper = self.tasks.take_helper_slot()?;
        let by = self.tasks.get(task)?.slot;
        // Nothing that a scenario sends may end up there.
        self.start_thread(by, helper, SigSet(!0))?;
        self.tasks.process_of_mut(task)?.helper = Some(helper);
        Ok(())
    }

    /// Has the thread of slot `by` start one for slot `new`.
    fn start_thread(&mut self, by: usize, new: usize, mask: SigSet) -> Result<i32, LabError> {
        self.board.control(new).reset();
        self.board.control(new).mask.store(mask.0, SeqCst);
        let order = Order {
            kind: Kind::Spawn,
            nr: 0,
            args: [new as u64, 0, 0, 0, 0, 0],
        };
        match self.carry_out(by, order)? {
            0 => self.await_thread(new),
            errno => {
                self.tasks.free_slot(new);
                Err(LabError::new(format!(
                    "cannot start a thread: errno {}",
                    -errno
                )))
            }
        }
    }

    fn ensure_guard(&mut self) -> Result<(), LabError> {
        if self.guard.is_none() {
            let (own, group) = (process::id() as i32, self.tasks.processes[0].pid);
            self.guard = match ffi::fork() {
                0 => ffi::guard(self.board, own, group),
                errno if errno < 0 => {
                    let error = std::io::Error::from_raw_os_error(-errno as i32);
                    return Err(LabError::new(format!("cannot fork a guard: {error}")));
                }
                pid => Some(pid as i32),
            };
            self.wait_for("the guard did not start", || {
                self.board.header().guarded.load(SeqCst) != 0
            })?;
        }
        Ok(())
    }

    fn fork(&mut self, task: TaskId) -> Result<Answer, LabError> {
        self.ensure_guard()?;
        let slot = self.tasks.take_slot()?;
        self.board.control(slot).reset();
        let by = self.tasks.get(task)?.slot;
        let order = Order {
            kind: Kind::Fork,
            nr: 0,
            args: [slot as u64, 0, 0, 0, 0, 0],
        };
        let pid = self.carry_out(by, order)?;
        if pid < 0 {
            self.tasks.free_slot(slot);
            return Ok(Answer::err(Errno(-pid as i32)));
        }
        let tid = self.await_thread(slot)?;
        let process = self.tasks.process_of(task)?.fork(tid);
        self.tasks.processes.push(process);
        let mask = self.tasks.get(task)?.mask;
        let process = self.tasks.processes.len() - 1;
        let child = self.tasks.add(slot, process, tid, mask);
        Ok(Answer::ret(child.pid().into()))
    }

    fn fdinfo(&mut self, task: TaskId, fd: Fd) -> Result<Answer, LabError> {
        let tid = self.tasks.get(task)?.tid;
        let pid = self.tasks.process_of(task)?.pid;
        self.note_faults();
        if !self.tasks.any_frozen() {
            // Nobody holds the epoll's mutex for longer than it takes to work.
            return fdinfo::read(pid, tid, fd);
        }
        self.tasks.get_mut(task)?.doing = Doing::Reading(Reader::start(pid, tid, fd));
        self.until_rest(Some(task))?;
        Ok(self.answer_of(task))
    }

    /// Whether `task` can take an order.
    fn check_idle(&self, task: TaskId) -> Result<(), LabError> {
        let entry = self.tasks.get(task)?;
        match &entry.doing {
            Doing::Nothing if self.tasks.processes[entry.process].stopped => {
                Err(unable(task, "is stopped"))
            }
            Doing::Nothing => Ok(()),
            Doing::Call(_) | Doing::Racing(_) | Doing::Reading(_) | Doing::Late => {
                Err(unable(task, "is still in a call"))
            }
            Doing::Elsewhere => Err(unable(task, "is another program by now")),
            Doing::Gone => Err(unable(task, "is gone")),
        }
    }

    /// What the lab has to do before a call is made that reaches further than others.
    fn before_call(&mut self, call: &Syscall) -> Result<(), LabError> {
        self.stirred |= matches!(
            call,
            Syscall::Kill { .. }
                | Syscall::Tgkill { .. }
                | Syscall::Tkill { .. }
                | Syscall::PidfdSendSignal { .. }
        );
        if matches!(call, Syscall::Socket { domain, .. } if *domain == AF_INET)
            && self.backlogs.is_none()
        {
            let opened = Backlogs::open();
            let refused =
                |error| LabError::new(format!("cannot open /proc/net/softnet_stat: {error}"));
            self.backlogs = Some(opened.map_err(refused)?);
        }
        if self.workers.is_none()
            && matches!(call, Syscall::Openat { pathname, .. } if &**pathname == "/dev/ptmx")
        {
            self.workers = Some(Workers::default());
        }
        if self.sysctl.is_none() && is_root() && sysctl::is_opened_by(call) {
            self.sysctl = Some(Sysctl::reserve()?);
        }
        Ok(())
    }

    /// The answer of a call that was run, or that it sleeps.
    fn answer_of(&mut self, task: TaskId) -> Answer {
        match self.ended.iter().position(|ended| ended.task == task) {
            Some(index) => self.ended.remove(index).answer,
            None => Answer::Blocked,
        }
    }

    /// Follows what a call has changed besides what it returned.
    fn aftermath(
        &mut self,
        task: TaskId,
        slot: usize,
        effect: Effect,
        ret: i64,
    ) -> Result<(), LabError> {
        // Where the previous mask or action cannot be stored, the new one is in force all the same.
        let in_force = ret >= 0 || ret == -i64::from(libc::EFAULT);
        match effect {
            Effect::None => {}
            _ if !in_force => {}
            // A change of user makes the process unreadable for others, in /proc too.
            Effect::User => {
                let dumpable = [libc::PR_SET_DUMPABLE as u64, 1, 0];
                self.errand(slot, libc::SYS_prctl, dumpable)?;
                // Files under /proc remember who may read them since they were opened.
                let tid = self.tasks.get(task)?.tid;
                self.proc_files.remove(&tid);
            }
            Effect::Mask(how, set) => {
                let mask = &mut self.tasks.get_mut(task)?.mask;
                let new = match how {
                    SigmaskHow::BLOCK => mask.union(set),
                    SigmaskHow::UNBLOCK => mask.difference(set),
                    _ => set,
                };
                *mask = new.difference(SigSet::UNBLOCKABLE);
            }
            Effect::Action(signal, flags) => {
                let with_info = &mut self.tasks.process_of_mut(task)?.with_info;
                if flags.contains(SaFlags::SIGINFO) {
                    with_info.insert(signal);
                } else {
                    with_info.remove(signal);
                }
            }
        }
        Ok(())
    }
}

/// Whether a call may leave something to do for the worker of a terminal, or make it go on. Those that come most
/// often only ask.
fn gives_work(call: &Syscall) -> bool {
    !matches!(
        call,
        Syscall::EpollWait { .. }
            | Syscall::EpollPwait { .. }
            | Syscall::EpollPwait2 { .. }
            | Syscall::EpollCtl { .. }
            | Syscall::Poll { .. }
            | Syscall::Select(_)
            | Syscall::Fcntl { .. }
    )
}

/// Whether a call can sleep although nothing is frozen.
fn may_sleep(call: &Syscall) -> bool {
    match call {
        Syscall::EpollWait { timeout, .. }
        | Syscall::EpollPwait { timeout, .. }
        | Syscall::Poll { timeout, .. } => *timeout != Timeout::NOW,
        Syscall::EpollPwait2 { .. }
        | Syscall::Select(_)
        | Syscall::Pselect6 { .. }
        | Syscall::Ppoll { .. }
        | Syscall::RtSigsuspend { .. }
        | Syscall::Pause
        | Syscall::Nanosleep { .. }
        | Syscall::ClockNanosleep { .. }
        | Syscall::Read { .. }
        | Syscall::Write { .. }
        | Syscall::Readv { .. }
        | Syscall::Writev { .. }
        | Syscall::Splice { .. }
        | Syscall::Tee { .. }
        | Syscall::Vmsplice { .. }
        | Syscall::Sendto { .. }
        | Syscall::Sendmsg { .. }
        | Syscall::Recvfrom { .. }
        | Syscall::Recvmsg { .. }
        | Syscall::Accept4 { .. }
        | Syscall::Connect { .. }
        | Syscall::Openat { .. }
        | Syscall::Wait4 { .. }
        | Syscall::Waitid { .. }
        | Syscall::Exit { .. } => true,
        _ => false,
    }
}

impl Backend for Linux {
    fn name(&self) -> String {
        machine_name()
    }

    fn submit(&mut self, task: TaskId, call: Syscall) -> Result<Answer, LabError> {
        self.check_idle(task)?;
        let slot = self.tasks.get(task)?.slot;
        match &call {
            Syscall::Fork => return self.fork(task),
            Syscall::Fdinfo { fd } => return self.fdinfo(task, *fd),
            _ => self.before_call(&call)?,
        }
        if may_sleep(&call) && !self.tasks.has_colleague(task)? {
            // Somebody has to be left who can start the next thread of this process.
            self.ensure_helper(task)?;
        }
        let gives_work = gives_work(&call);
        let name = call.name();
        let due = clock::due(&call, self.clock);
        let call = clock::in_real_time(call, self.clock);
        let mut memory = Memory::of(self.board, slot);
        let call = encode::encode(&mut memory, call, &self.tasks.seen_by(task))?;
        if call.guarded || call.frozen {
            self.prepare_memory(task, &call)?;
        }
        let control = self.board.control(slot);
        let order = control.post(Order {
            kind: Kind::Call,
            nr: call.nr,
            args: call.args,
        });
        let done = settle::spin(&mut || control.done.load(SeqCst) == order);
        self.tasks.get_mut(task)?.doing = Doing::Call(Flight {
            name,
            nr: call.nr,
            order,
            due,
            effect: call.effect,
            stored: call.stored,
            ice: Ice::Untouched,
        });
        if done {
            self.conclude(task)?;
        } else {
            self.until_rest(Some(task))?;
        }
        let answer = self.answer_of(task);
        if self.stirred || self.backlogs.is_some() || (gives_work && self.workers.is_some()) {
            // Who gets a signal has to act on it; a killed process still has to close its files; what was sent
            // has to arrive.
            self.until_rest(None)?;
        }
        Ok(answer)
    }

    fn settle(&mut self) -> Result<Vec<(TaskId, Answer)>, LabError> {
        if self.stirred || self.tasks.any_in_flight() || self.tasks.any_dying() {
            self.until_rest(None)?;
        }
        self.release_late();
        self.collect_handled()?;
        Ok(self.take_ended())
    }

    fn finish(&mut self, task: TaskId) -> Result<Vec<(TaskId, Answer)>, LabError> {
        self.until_ended(task)?;
        self.drain_network()?;
        self.settle()
    }

    fn pass(&mut self, time: Duration) -> Result<Vec<(TaskId, Answer)>, LabError> {
        self.advance(time)?;
        // The kernel has timers that send.
        self.drain_network()?;
        self.settle()
    }

    fn spawn(&mut self, task: TaskId) -> Result<TaskId, LabError> {
        let entry = self.tasks.get(task)?;
        let process = entry.process;
        if matches!(entry.doing, Doing::Elsewhere | Doing::Gone) {
            return Err(unable(task, "is gone"));
        }
        if self.tasks.processes[process].stopped {
            return Err(unable(task, "is stopped and starts no thread"));
        }
        let by = self.tasks.idle_slot(process);
        let by = by.ok_or_else(|| unable(task, "has no thread left that could start another"))?;
        let mask = self.tasks.get(task)?.mask;
        let slot = self.tasks.take_slot()?;
        let tid = self.start_thread(by, slot, mask)?;
        Ok(self.tasks.add(slot, process, tid, mask))
    }

    fn race(
        &mut self,
        programs: &[(TaskId, Vec<Syscall>)],
        seed: u64,
    ) -> Result<Vec<(TaskId, Vec<Fate>)>, LabError> {
        self.run_race(programs, seed)
    }

    fn take_handled(&mut self) -> Vec<(TaskId, SigInfo)> {
        self.take_delivered()
    }

    fn thaw(&mut self, task: TaskId, page: Thaw) -> Result<(), LabError> {
        self.thaw_memory(task, page)
    }
}

fn unable(task: TaskId, why: &str) -> LabError {
    LabError::new(format!("task {} {why}", task.0))
}

impl Drop for Linux {
    fn drop(&mut self) {
        let subject = self.tasks.processes[0].pid;
        ffi::kill_subject(subject);
        ffi::reap(subject);
        // The others are reaped by whoever inherits them; we only wait until their files are closed.
        for process in &self.tasks.processes {
            let over = || process.pid == subject || process.is_over();
            // A process that survives SIGKILL is beyond what an error could help.
            let _ = self.wait_for("", over);
        }
        if let Some(guard) = self.guard {
            ffi::kill_guard(guard);
            ffi::reap(guard);
        }
        for task in &mut self.tasks.tasks {
            if let Doing::Reading(reader) = std::mem::replace(&mut task.doing, Doing::Gone) {
                let _ = reader.finish();
            }
        }
        self.board.unmap();
    }
}
