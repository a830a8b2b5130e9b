//! Who is who: tasks, the processes they belong to, and the numbers that Linux has for them.
//!
//! A scenario knows [`TaskId`]s in the order of creation. Linux knows thread numbers, which differ from
//! run to run. They meet here, and nowhere else: an argument that names a task becomes its real number
//! on the way in, and what fork(2) and wait4(2) return becomes the task's on the way out.

use std::cell::{Cell, OnceCell};
use std::collections::HashSet;
use std::fs;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::Duration;

use crate::abi::{Fd, SigSet, Signal, TaskId};
use crate::backend::LabError;

use super::board::{GIFT, SLOTS, TASK_SLOTS};
use super::decode::Stored;
use super::encode::{Effect, Lookup, Records};
use super::fdinfo::Reader;
use super::race::Heat;
use super::scratch::Scratch;

/// A number that is above every limit for process ids, so that Linux answers "no such process".
pub(super) const NOBODY: i32 = 0x3fff_ffff;

/// A thread of the lab.
#[derive(Debug)]
pub(super) struct Task {
    pub(super) slot: usize,
    /// An index into [`Tasks::processes`].
    pub(super) process: usize,
    pub(super) tid: i32,
    /// What it blocks while it is in no call.
    pub(super) mask: SigSet,
    pub(super) doing: Doing,
}

/// What a task is at.
#[derive(Debug)]
pub(super) enum Doing {
    /// Waiting for an order.
    Nothing,
    /// In a system call.
    Call(Flight),
    /// In a race.
    Racing(Heat),
    /// Not itself in a call: the lab reads its fdinfo file for it.
    Reading(Reader),
    /// Through with a call that the lab does not tell of yet (`clock.rs`).
    Late,
    /// Another program now, after execve(2).
    Elsewhere,
    /// Gone.
    Gone,
}

/// A call that was ordered.
#[derive(Debug)]
pub(super) struct Flight {
    pub(super) name: &'static str,
    pub(super) nr: i64,
    /// The number of the order.
    pub(super) order: u32,
    /// When the call times out, by the scenario's clock.
    pub(super) due: Option<Duration>,
    pub(super) effect: Effect,
    pub(super) stored: Stored,
    pub(super) ice: Ice,
}

/// How far a call is with its frozen memory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Ice {
    /// It has none, or did not touch it so far.
    Untouched,
    /// It was stopped there.
    Stopped,
    /// It was let go, and the memory can be read.
    Melted,
    /// It was let go, and the memory cannot be written.
    Solid,
}

impl Task {
    /// Whether it is stopped at frozen memory.
    pub(super) fn is_frozen(&self) -> bool {
        match &self.doing {
            Doing::Call(flight) => flight.ice == Ice::Stopped,
            Doing::Racing(heat) => heat.ice == Ice::Stopped,
            _ => false,
        }
    }
}

/// A process of the scenario: the subject or one that it forked.
#[derive(Debug)]
pub(super) struct Process {
    pub(super) pid: i32,
    pub(super) life: Life,
    /// Whether a signal stopped it, as of the last rest.
    pub(super) stopped: bool,
    /// Which actions the scenario gave `SA_SIGINFO`. On Linux all handlers have it.
    pub(super) with_info: SigSet,
    /// The slot of a thread of ours that no scenario knows, if there is one.
    pub(super) helper: Option<usize>,
    /// Slots whose guard page is unmapped in this process.
    pub(super) guarded: HashSet<usize>,
    /// Slots whose frozen memory is read-only in this process.
    pub(super) read_only: HashSet<usize>,
    /// Slots whose frozen memory is watched by `uffd`.
    pub(super) registered: HashSet<usize>,
    pub(super) uffd: Option<OwnedFd>,
}

/// How a process ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Life {
    Running,
    /// Something ended it, and it is cleaning up.
    Dying,
    /// A zombie: its files are closed.
    Dead,
    /// Reaped: its number may mean somebody else by now.
    Reaped,
}

impl Process {
    pub(super) fn new(pid: i32) -> Process {
        Process {
            pid,
            life: Life::Running,
            stopped: false,
            with_info: SigSet::EMPTY,
            helper: None,
            guarded: HashSet::new(),
            read_only: HashSet::new(),
            registered: HashSet::new(),
            uffd: None,
        }
    }

    /// A copy by fork(2): memory is copied as it is, watched memory is not watched in the child.
    pub(super) fn fork(&self, pid: i32) -> Process {
        Process {
            guarded: self.guarded.clone(),
            read_only: self.read_only.clone(),
            with_info: self.with_info,
            ..Process::new(pid)
        }
    }

    /// Whether all of it is over. A process closes its files before it becomes a zombie, but its first
    /// thread can be one before the others are gone.
    pub(super) fn is_over(&self) -> bool {
        if matches!(self.life, Life::Dead | Life::Reaped) {
            return true;
        }
        match fs::read_to_string(format!("/proc/{}/status", self.pid)) {
            Ok(status) => {
                let state = field(&status, "State:").unwrap_or_default();
                state.starts_with('Z') && field(&status, "Threads:") == Some("1")
            }
            Err(_) => true,
        }
    }

    /// Whether the number still means this process. A zombie keeps it until somebody reaps it, and that may be
    /// the system's init, behind our back.
    fn keeps_its_number(&self) -> bool {
        match self.life {
            Life::Running | Life::Dying => true,
            Life::Dead => fs::read_to_string(format!("/proc/{}/status", self.pid))
                .is_ok_and(|status| field(&status, "State:").is_some_and(|s| s.starts_with('Z'))),
            Life::Reaped => false,
        }
    }
}

/// The value of a line of /proc/PID/status.
pub(super) fn field<'a>(status: &'a str, key: &str) -> Option<&'a str> {
    let line = status.lines().find(|line| line.starts_with(key))?;
    Some(line[key.len()..].trim())
}

/// All tasks and processes that ever were.
#[derive(Debug)]
pub(super) struct Tasks {
    pub(super) tasks: Vec<Task>,
    pub(super) processes: Vec<Process>,
    used: [bool; SLOTS],
    /// How much memory has been given away.
    given: Cell<u64>,
    /// Their directory, once one of them has asked for a name.
    scratch: OnceCell<Scratch>,
}

impl Tasks {
    /// With the first task, in slot 0.
    pub(super) fn new(pid: i32) -> Tasks {
        let mut used = [false; SLOTS];
        used[0] = true;
        Tasks {
            tasks: vec![Task {
                slot: 0,
                process: 0,
                tid: pid,
                mask: SigSet::EMPTY,
                doing: Doing::Nothing,
            }],
            processes: vec![Process::new(pid)],
            used,
            given: Cell::new(0),
            scratch: OnceCell::new(),
        }
    }

    /// The task, if it exists.
    pub(super) fn get(&self, task: TaskId) -> Result<&Task, LabError> {
        self.tasks
            .get(task.0 as usize)
            .ok_or_else(|| LabError::new(format!("there is no task {}", task.0)))
    }

    /// The same to change.
    pub(super) fn get_mut(&mut self, task: TaskId) -> Result<&mut Task, LabError> {
        self.tasks
            .get_mut(task.0 as usize)
            .ok_or_else(|| LabError::new(format!("there is no task {}", task.0)))
    }

    /// Every task with its name.
    pub(super) fn iter(&self) -> impl Iterator<Item = (TaskId, &Task)> {
        (0..).map(TaskId).zip(&self.tasks)
    }

    /// The process of a task.
    pub(super) fn process_of(&self, task: TaskId) -> Result<&Process, LabError> {
        let process = self.get(task)?.process;
        Ok(&self.processes[process])
    }

    /// The same to change.
    pub(super) fn process_of_mut(&mut self, task: TaskId) -> Result<&mut Process, LabError> {
        let process = self.get(task)?.process;
        Ok(&mut self.processes[process])
    }

    /// Registers a new thread.
    pub(super) fn add(&mut self, slot: usize, process: usize, tid: i32, mask: SigSet) -> TaskId {
        self.tasks.push(Task {
            slot,
            process,
            tid,
            mask,
            doing: Doing::Nothing,
        });
        TaskId((self.tasks.len() - 1) as u32)
    }

    /// A free slot for a task.
    pub(super) fn take_slot(&mut self) -> Result<usize, LabError> {
        self.take(0..TASK_SLOTS, "tasks alive at the same time")
    }

    /// A free slot for a helper.
    pub(super) fn take_helper_slot(&mut self) -> Result<usize, LabError> {
        self.take(
            TASK_SLOTS..SLOTS,
            "processes with sleeping calls at the same time",
        )
    }

    fn take(&mut self, range: std::ops::Range<usize>, what: &str) -> Result<usize, LabError> {
        let limit = range.len();
        let slot = range.into_iter().find(|slot| !self.used[*slot]);
        let slot = slot.ok_or_else(|| {
            LabError::new(format!("the lab has room for {limit} {what} on Linux"))
        })?;
        self.used[slot] = true;
        Ok(slot)
    }

    /// Gives a slot back that nobody serves. Slot 0 stays the first task's for ever: `child.rs` knows it by that.
    pub(super) fn free_slot(&mut self, slot: usize) {
        self.used[slot] = slot == 0;
    }

    /// A thread of this process that waits for orders, scenario's or ours.
    pub(super) fn idle_slot(&self, process: usize) -> Option<usize> {
        let idle = self
            .tasks
            .iter()
            .find(|task| task.process == process && matches!(task.doing, Doing::Nothing));
        idle.map(|task| task.slot)
            .or(self.processes[process].helper)
    }

    /// Whether another thread of the same process waits for orders.
    pub(super) fn has_colleague(&self, task: TaskId) -> Result<bool, LabError> {
        let (process, slot) = {
            let task = self.get(task)?;
            (task.process, task.slot)
        };
        let idle = |task: &Task| {
            task.process == process && task.slot != slot && matches!(task.doing, Doing::Nothing)
        };
        Ok(self.processes[process].helper.is_some() || self.tasks.iter().any(idle))
    }

    /// The end of a task's call was told.
    pub(super) fn let_go(&mut self, task: TaskId) {
        if let Some(task) = self.tasks.get_mut(task.0 as usize)
            && matches!(task.doing, Doing::Late)
        {
            task.doing = Doing::Nothing;
        }
    }

    /// Something ended this process.
    pub(super) fn mark_dying(&mut self, process: usize) {
        let life = &mut self.processes[process].life;
        if *life == Life::Running {
            *life = Life::Dying;
        }
    }

    /// Whether some process was killed and is not a zombie yet.
    pub(super) fn any_dying(&self) -> bool {
        self.processes
            .iter()
            .any(|process| process.life == Life::Dying)
    }

    /// Whether some task is stopped at frozen memory.
    pub(super) fn any_frozen(&self) -> bool {
        self.tasks.iter().any(Task::is_frozen)
    }

    /// Whether some task is in a call.
    pub(super) fn any_in_flight(&self) -> bool {
        self.tasks.iter().any(|task| {
            matches!(
                task.doing,
                Doing::Call(_) | Doing::Racing(_) | Doing::Reading(_)
            )
        })
    }

    /// The process with this number, if it was not reaped.
    pub(super) fn process_with_pid(&self, pid: i32) -> Option<usize> {
        self.processes
            .iter()
            .position(|process| process.pid == pid && process.life != Life::Reaped)
    }

    /// The task that the lab knows a forked process by.
    pub(super) fn leader(&self, process: usize) -> Option<TaskId> {
        let is_leader = |(_, task): &(TaskId, &Task)| {
            task.process == process && task.tid == self.processes[process].pid
        };
        self.iter().find(is_leader).map(|(task, _)| task)
    }

    /// As the arguments of a call of `task` need it.
    pub(super) fn seen_by(&self, task: TaskId) -> impl Lookup {
        SeenBy { tasks: self, task }
    }
}

struct SeenBy<'a> {
    tasks: &'a Tasks,
    task: TaskId,
}

impl Lookup for SeenBy<'_> {
    fn real_pid(&self, pid: i32) -> i32 {
        if pid <= 0 {
            return pid;
        }
        let task = TaskId::from_pid(pid).and_then(|task| self.tasks.get(task).ok());
        let Some(task) = task else {
            return NOBODY;
        };
        let process = &self.tasks.processes[task.process];
        let keeps_its_number = if task.tid == process.pid {
            process.keeps_its_number()
        } else {
            // The number of another thread is free as soon as it is gone.
            process.life == Life::Running && !matches!(task.doing, Doing::Gone)
        };
        if keeps_its_number { task.tid } else { NOBODY }
    }

    fn own_tid(&self) -> i32 {
        self.tasks.get(self.task).map_or(NOBODY, |task| task.tid)
    }

    fn lab(&self) -> i32 {
        self.tasks.get(TaskId::MAIN).map_or(NOBODY, |task| task.tid)
    }

    fn give(&self, size: u64) -> Result<u64, LabError> {
        let place = self.tasks.given.get();
        // The first page may begin a little behind the start.
        if place + size > GIFT - 4096 {
            return Err(LabError::new("a scenario can give away 252 KiB"));
        }
        self.tasks.given.set(place + size);
        Ok(place)
    }

    fn scratch(&self) -> Result<Option<&Path>, LabError> {
        if let Some(scratch) = self.tasks.scratch.get() {
            return Ok(Some(scratch.path()));
        }
        let new = Scratch::new()?;
        Ok(Some(self.tasks.scratch.get_or_init(|| new).path()))
    }

    fn has_info(&self, signal: Signal) -> bool {
        let process = self.tasks.process_of(self.task);
        process.is_ok_and(|process| process.with_info.contains(signal))
    }

    fn records(&self, fd: Fd) -> Option<Records> {
        Records::of(self.own_tid(), fd)
    }

    fn is_last_thread(&self) -> bool {
        let process = self.tasks.get(self.task).map(|task| task.process).ok();
        let lives = |(_, task): &(TaskId, &Task)| {
            Some(task.process) == process && !matches!(task.doing, Doing::Gone)
        };
        self.tasks.iter().filter(lives).count() <= 1
    }
}
