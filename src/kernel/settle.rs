//! Blocked or not: when has everything happened that happens without time passing?
//!
//! No lab may answer that by sleeping for a while. This one asks the kernel. A task is *asleep in its
//! call* when /proc/PID/task/TID/syscall shows the number of that very call: the kernel fills that file only
//! for a thread that is off its processor and not runnable, and says "running" else (`task_current_syscall`
//! in lib/syscall.c). A thread that waits for orders is in futex(2), so it cannot be mistaken.
//!
//! One task asleep says nothing about the next one, which may be about to wake it. So the lab takes two
//! snapshots of all tasks in flight, and is at rest when both show all of them asleep and the same number of
//! context switches for each. Why that is enough: a snapshot looks at a task twice, first whether it
//! sleeps (moment 1), then at its count of switches (2); the next snapshot does the same (3, 4). A task that
//! slept at 3 and ran at any time between 2 and 3 was switched out in between, which the count at 4 would show.
//! So it slept from 2 to 3 without a break. In each task's case 2 lies in the first snapshot and 3 in the
//! second, so at the moment between the snapshots *all* of them were asleep. From then on only an order of
//! ours, time, or the death of a process can wake one, and dying processes are waited for.
//!
//! A signal reaches idle tasks too: one may have to run its handler, stop, or die. So once something was sent,
//! the snapshots include them; where they sleep is futex(2). Nobody has to ask what is pending: whoever is
//! to take a signal was made runnable before the call that sent it returned (`signal_wake_up`), so a thread
//! that sleeps has nothing to take. A stopped one (`T`) sleeps as well, wherever it was stopped.
//!
//! What tasks have sent over loopback may arrive when all of them sleep already, and wake one again. So in a
//! scenario with sockets of IP the network is drained (`network.rs`) between two such snapshots, which have to
//! be the same once more: then nobody was woken by it, and nobody has sent anything meanwhile.
//!
//! A mutex or a disk puts a task to sleep uninterruptibly (`D`) and soon lets it go on: that is not blocked,
//! except while a task is frozen, because then the mutex may be one that it holds.

use std::collections::hash_map::Entry;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::atomic::Ordering::SeqCst;
use std::time::{Duration, Instant};

use crate::abi::{Answer, SigInfo, TaskId};
use crate::backend::LabError;

use super::board::{Order, Place};
use super::decode::{Names, Outcome, Stored};
use super::race::Heat;
use super::tasks::{Doing, Flight, Ice, Life, Tasks, field};
use super::{Ended, Linux, ffi, workers};

/// How long the lab waits for something that should take no time.
pub(super) const LIMIT: Duration = Duration::from_secs(20);

/// A thread asleep where it belongs: who, in which call of a race, how, and how often it was switched out so far.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Asleep {
    tid: i32,
    place: Option<Place>,
    /// As /proc shows it: `S`, `D` or `T`.
    state: char,
    switches: (u64, u64),
}

/// What two snapshots have in common when everything was at rest between them.
type Rest = (Vec<Asleep>, workers::Asleep);

/// Where a thread sleeps when it has nothing to do until something wakes it.
#[derive(Clone, Copy, Debug)]
enum Bed {
    /// In the system call with this number.
    Call(i64),
    /// At the board, where the orders come from.
    Board,
    /// In the program that execve(2) started, which only sleeps.
    Program,
    /// Nowhere: it has more to do, or time will wake it.
    None,
}

impl Bed {
    /// Whether it is the system call with this number.
    fn is(self, nr: i64) -> bool {
        const SLEEPS: [i64; 3] = [
            libc::SYS_nanosleep,
            libc::SYS_clock_nanosleep,
            libc::SYS_pause,
        ];
        match self {
            // One that a stop interrupted goes on under another number, if it has to know how long it slept.
            Bed::Call(call) => {
                let goes_on = SLEEPS.contains(&call) || call == libc::SYS_poll;
                nr == call || nr == libc::SYS_restart_syscall && goes_on
            }
            Bed::Board => nr == libc::SYS_futex,
            Bed::Program => SLEEPS.contains(&nr) || nr == libc::SYS_restart_syscall,
            Bed::None => false,
        }
    }
}

/// What /proc says about a thread.
enum Seen {
    Asleep(Asleep),
    /// Running, ready to run, or asleep somewhere else.
    Awake,
    /// Not there any more.
    Missing,
}

/// The two files that are read again and again.
#[derive(Debug)]
pub(super) struct ProcFiles {
    syscall: File,
    status: File,
}

impl ProcFiles {
    fn open(tid: i32) -> io::Result<ProcFiles> {
        // A thread's number works as a process's here, though the listing of /proc does not show it.
        Ok(ProcFiles {
            syscall: File::open(format!("/proc/{tid}/syscall"))?,
            status: File::open(format!("/proc/{tid}/status"))?,
        })
    }
}

fn read<'a>(file: &File, buffer: &'a mut [u8; 4096]) -> io::Result<&'a str> {
    let len = file.read_at(buffer, 0)?;
    std::str::from_utf8(&buffer[..len]).map_err(io::Error::other)
}

impl Linux {
    /// Waits until `slot` has carried out an order that cannot sleep.
    pub(super) fn carry_out(&self, slot: usize, order: Order) -> Result<i64, LabError> {
        let control = self.board.control(slot);
        let number = control.post(order);
        self.wait_for("the subject does not answer", || {
            control.done.load(SeqCst) == number
        })?;
        Ok(control.ret.load(SeqCst))
    }

    /// Waits for something that takes next to no time.
    pub(super) fn wait_for(
        &self,
        otherwise: &str,
        mut ready: impl FnMut() -> bool,
    ) -> Result<(), LabError> {
        if spin(&mut ready) {
            return Ok(());
        }
        let start = Instant::now();
        while !ready() {
            if start.elapsed() > LIMIT {
                return Err(LabError::new(otherwise));
            }
            self.doze(&mut ready);
        }
        Ok(())
    }

    pub(super) fn doze(&self, ready: impl FnOnce() -> bool) {
        self.board.header().watch(Duration::from_micros(200), ready);
    }

    /// Waits until everything sleeps, or until `stop` has ended.
    pub(super) fn until_rest(&mut self, stop: Option<TaskId>) -> Result<(), LabError> {
        let start = Instant::now();
        let mut before = None;
        loop {
            self.collect()?;
            if stop.is_some_and(|task| self.ended.iter().any(|ended| ended.task == task)) {
                return Ok(());
            }
            let mut now = self.snapshot()?;
            if now.is_some() && now == before {
                self.drain_network()?;
                if self.backlogs.is_none() || self.snapshot()? == now {
                    self.stirred = false;
                    return Ok(());
                }
                // What arrived has woken somebody.
                now = None;
            }
            if now.is_none() {
                if start.elapsed() > LIMIT {
                    return Err(LabError::new(format!(
                        "the tasks do not come to rest{}",
                        self.who_does_what()
                    )));
                }
                let news = self.board.header().news.load(SeqCst);
                ffi::sched_yield();
                self.doze(|| self.board.header().news.load(SeqCst) != news);
            }
            before = now;
        }
    }

    /// Lets time pass until the call of `task` has ended.
    pub(super) fn until_ended(&mut self, task: TaskId) -> Result<(), LabError> {
        let start = Instant::now();
        loop {
            self.collect()?;
            if self.skip_to_timeout(task) || self.ended.iter().any(|ended| ended.task == task) {
                return Ok(());
            }
            match &self.tasks.get(task)?.doing {
                Doing::Call(_) | Doing::Reading(_) => {}
                _ => return Err(LabError::new(format!("task {} is not in a call", task.0))),
            }
            if start.elapsed() > LIMIT {
                return Err(LabError::new(format!(
                    "task {} does not come back{}",
                    task.0,
                    self.who_does_what()
                )));
            }
            let news = self.board.header().news.load(SeqCst);
            let limit = Duration::from_millis(1);
            let header = self.board.header();
            header.watch(limit, || header.news.load(SeqCst) != news);
            // A process that died takes no part in the news.
            if start.elapsed() > limit {
                self.snapshot()?;
            }
        }
    }

    /// Takes in all that has ended: calls, and whole processes.
    pub(super) fn collect(&mut self) -> Result<(), LabError> {
        self.collect_handled()?;
        for index in 0..self.tasks.tasks.len() {
            let task = TaskId(index as u32);
            let entry = &self.tasks.tasks[index];
            let control = self.board.control(entry.slot);
            match &entry.doing {
                Doing::Call(flight) if control.done.load(SeqCst) == flight.order => {
                    self.conclude(task)?;
                }
                Doing::Call(flight)
                    if flight.nr == libc::SYS_execve && self.became_another_program(task)? =>
                {
                    self.enter_elsewhere(task)?;
                }
                Doing::Reading(reader) if reader.is_done() => {
                    let doing =
                        std::mem::replace(&mut self.tasks.tasks[index].doing, Doing::Nothing);
                    if let Doing::Reading(reader) = doing {
                        let ticket = self.board.header().tickets.fetch_add(1, SeqCst);
                        let answer = reader.finish()?;
                        self.note_end(task, ticket, answer);
                    }
                }
                _ => {}
            }
        }
        for index in 0..self.tasks.processes.len() {
            let process = &self.tasks.processes[index];
            if process.life == Life::Dying && process.is_over() {
                // A zombie's parent is told a moment after it became one (`exit_notify` in kernel/exit.c).
                ffi::await_exit_notice(self.tasks.processes[0].pid);
                self.bury(index);
            }
        }
        Ok(())
    }

    /// Takes in a call that has ended.
    pub(super) fn conclude(&mut self, task: TaskId) -> Result<(), LabError> {
        let entry = self.tasks.get_mut(task)?;
        let slot = entry.slot;
        let Doing::Call(flight) = std::mem::replace(&mut entry.doing, Doing::Nothing) else {
            return Err(LabError::new(format!("task {} is not in a call", task.0)));
        };
        let control = self.board.control(slot);
        let (ret, ticket) = (control.ret.load(SeqCst), control.ticket.load(SeqCst));
        let Flight {
            due,
            effect,
            stored,
            ice,
            ..
        } = flight;
        let answer = self.read_answer(stored, ret, ice)?;
        self.aftermath(task, slot, effect, ret)?;
        match due {
            Some(due) if ret == 0 && due > self.clock => {
                self.tasks.get_mut(task)?.doing = Doing::Late;
                let ended = Ended {
                    ticket,
                    task,
                    answer,
                };
                self.late.push((due, ended));
            }
            _ => self.note_end(task, ticket, answer),
        }
        Ok(())
    }

    /// What a call that ended has to say.
    pub(super) fn read_answer(
        &mut self,
        stored: Stored,
        ret: i64,
        ice: Ice,
    ) -> Result<Answer, LabError> {
        let mut names = InLab {
            tasks: &self.tasks,
            reaped: None,
        };
        let outcome = Outcome {
            ret,
            thawed: ice == Ice::Melted,
        };
        let answer = stored.answer(self.board, outcome, &mut names)?;
        if let Some(process) = names.reaped {
            self.bury(process);
            self.tasks.processes[process].life = Life::Reaped;
        }
        Ok(answer)
    }

    /// A process is over: so are its tasks, and their slots are free.
    pub(super) fn bury(&mut self, process: usize) {
        if matches!(
            self.tasks.processes[process].life,
            Life::Dead | Life::Reaped
        ) {
            return;
        }
        self.tasks.processes[process].life = Life::Dead;
        self.tasks.processes[process].uffd = None;
        // Its parent got a SIGCHLD.
        self.stirred = true;
        if let Some(helper) = self.tasks.processes[process].helper.take() {
            self.tasks.free_slot(helper);
        }
        for index in 0..self.tasks.tasks.len() {
            if self.tasks.tasks[index].process != process {
                continue;
            }
            let doing = std::mem::replace(&mut self.tasks.tasks[index].doing, Doing::Gone);
            let slot = self.tasks.tasks[index].slot;
            self.proc_files.remove(&self.tasks.tasks[index].tid);
            match doing {
                Doing::Gone => continue,
                Doing::Racing(heat) => self.fall(TaskId(index as u32), slot, heat),
                Doing::Call(_) | Doing::Reading(_) | Doing::Late => {
                    self.late
                        .retain(|(_, ended)| ended.task.0 as usize != index);
                    let ticket = self.board.header().tickets.fetch_add(1, SeqCst);
                    self.note_end(TaskId(index as u32), ticket, Answer::Gone);
                }
                Doing::Nothing | Doing::Elsewhere => {}
            }
            self.tasks.free_slot(slot);
        }
    }

    /// Whether a task has called exit(2), and its process has others.
    fn is_leaving(&self, index: usize) -> bool {
        let task = &self.tasks.tasks[index];
        let exit = matches!(&task.doing, Doing::Call(flight) if flight.nr == libc::SYS_exit);
        exit && !self.tasks.processes[task.process].is_over()
    }

    /// A thread is over, and its process is not.
    fn lose_thread(&mut self, index: usize) {
        // Whoever watches its end is told a moment after it can be seen.
        ffi::await_exit_notice(self.tasks.processes[0].pid);
        let task = &mut self.tasks.tasks[index];
        task.doing = Doing::Gone;
        let (slot, tid) = (task.slot, task.tid);
        self.proc_files.remove(&tid);
        self.tasks.free_slot(slot);
        let ticket = self.board.header().tickets.fetch_add(1, SeqCst);
        self.note_end(TaskId(index as u32), ticket, Answer::Gone);
    }

    /// After a successful execve(2) the other threads are gone, and this one is another program.
    fn enter_elsewhere(&mut self, task: TaskId) -> Result<(), LabError> {
        let process = self.tasks.get(task)?.process;
        for index in 0..self.tasks.tasks.len() {
            let other = TaskId(index as u32);
            if self.tasks.tasks[index].process != process || other == task {
                continue;
            }
            let doing = std::mem::replace(&mut self.tasks.tasks[index].doing, Doing::Gone);
            if matches!(doing, Doing::Call(_) | Doing::Reading(_) | Doing::Late) {
                self.late.retain(|(_, ended)| ended.task != other);
                let ticket = self.board.header().tickets.fetch_add(1, SeqCst);
                self.note_end(other, ticket, Answer::Gone);
            }
        }
        let ticket = self.board.header().tickets.fetch_add(1, SeqCst);
        self.tasks.get_mut(task)?.doing = Doing::Elsewhere;
        self.tasks.get_mut(task)?.tid = self.tasks.process_of(task)?.pid;
        self.note_end(task, ticket, Answer::ret(0));
        Ok(())
    }

    /// Whether execve(2) is through. That the program is another one is not enough: the files with
    /// `FD_CLOEXEC` are closed later. When it sleeps its own sleep they are.
    fn became_another_program(&self, task: TaskId) -> Result<bool, LabError> {
        let pid = self.tasks.process_of(task)?.pid;
        let exe = |pid: &str| fs::read_link(format!("/proc/{pid}/exe")).ok();
        let (ours, theirs) = (exe("self"), exe(&pid.to_string()));
        if theirs.is_none() || ours == theirs {
            return Ok(false);
        }
        let syscall = fs::read_to_string(format!("/proc/{pid}/syscall")).unwrap_or_default();
        let nr = syscall.split(' ').next().and_then(|nr| nr.parse().ok());
        Ok(nr.is_some_and(|nr| Bed::Program.is(nr)))
    }

    /// Whether threads may vanish without an end of their process: execve(2) ends all but the caller, which takes
    /// over the number of the first one.
    fn is_changing_program(&self, process: usize) -> bool {
        let execve = |doing: &Doing| matches!(doing, Doing::Call(f) if f.nr == libc::SYS_execve);
        let mut tasks = self.tasks.tasks.iter();
        tasks.any(|task| task.process == process && execve(&task.doing))
            && !self.tasks.processes[process].is_over()
    }

    /// All tasks that may be at something, if all of them are asleep and no process is dying.
    fn snapshot(&mut self) -> Result<Option<Rest>, LabError> {
        let workers = match &mut self.workers {
            Some(workers) => workers.snapshot()?,
            None => Some(Vec::new()),
        };
        let tasks = self.snapshot_of_tasks()?;
        Ok(tasks.zip(workers))
    }

    /// The same of the tasks alone.
    fn snapshot_of_tasks(&mut self) -> Result<Option<Vec<Asleep>>, LabError> {
        self.note_faults();
        let mut all = Vec::new();
        let mut rest = true;
        for index in 0..self.tasks.tasks.len() {
            let entry = &self.tasks.tasks[index];
            let (tid, process) = (entry.tid, entry.process);
            let (bed, place) = match &entry.doing {
                Doing::Call(flight) => (Bed::Call(flight.nr), None),
                Doing::Racing(heat) => self.bed_in_race(entry.slot, heat),
                Doing::Reading(reader) => {
                    match self.look(reader.tid(), Bed::Call(libc::SYS_read))? {
                        Seen::Asleep(asleep) => all.push(asleep),
                        Seen::Awake | Seen::Missing => rest = false,
                    }
                    (Bed::Board, None)
                }
                Doing::Nothing | Doing::Late => (Bed::Board, None),
                Doing::Elsewhere => (Bed::Program, None),
                Doing::Gone => continue,
            };
            if matches!(bed, Bed::Board | Bed::Program) && !self.stirred {
                continue;
            }
            match self.look(tid, bed)? {
                Seen::Asleep(asleep) => {
                    self.tasks.processes[process].stopped = asleep.state == 'T';
                    all.push(Asleep { place, ..asleep });
                }
                // It tries the memory again and again, because a signal is pending, and comes no further.
                Seen::Awake if self.tasks.tasks[index].is_frozen() => {}
                Seen::Awake => rest = false,
                Seen::Missing => {
                    rest = false;
                    if self.is_leaving(index) {
                        self.lose_thread(index);
                    } else if !self.is_changing_program(process) {
                        self.tasks.mark_dying(process);
                    }
                }
            }
        }
        let frozen = self.tasks.any_frozen();
        rest &= frozen || all.iter().all(|asleep| asleep.state != 'D');
        rest &= self
            .tasks
            .processes
            .iter()
            .all(|process| process.life != Life::Dying);
        Ok(rest.then_some(all))
    }

    /// Where a task of a race may sleep, and how far it is.
    fn bed_in_race(&self, slot: usize, heat: &Heat) -> (Bed, Option<Place>) {
        let control = self.board.control(slot);
        if control.done.load(SeqCst) == heat.order {
            return (Bed::Board, None);
        }
        let place = control.place();
        let leg = match place {
            Place::In(index) => heat.legs.get(index).filter(|leg| !leg.timed),
            Place::Before(_) => None,
        };
        (leg.map_or(Bed::None, |leg| Bed::Call(leg.nr)), Some(place))
    }

    /// Whether a thread of the lab's own sleeps in call `nr`.
    pub(super) fn sleeps_in(&mut self, tid: i32, nr: i64) -> Result<bool, LabError> {
        Ok(matches!(self.look(tid, Bed::Call(nr))?, Seen::Asleep(_)))
    }

    /// Looks whether a thread sleeps where it belongs. First the proof of sleep, then the count: see above.
    fn look(&mut self, tid: i32, bed: Bed) -> Result<Seen, LabError> {
        if tid == 0 {
            return Ok(Seen::Awake);
        }
        let files = match self.proc_files.entry(tid) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) => match ProcFiles::open(tid) {
                Ok(files) => new.insert(files),
                Err(_) => return Ok(Seen::Missing),
            },
        };
        let mut buffer = [0; 4096];
        // None while it runs, -1 if it was stopped between two calls.
        let nr: Option<i64> = match read(&files.syscall, &mut buffer) {
            Ok(text) => text
                .split_whitespace()
                .next()
                .and_then(|nr| nr.parse().ok()),
            Err(error) if error.raw_os_error() == Some(libc::ESRCH) => {
                self.proc_files.remove(&tid);
                return Ok(Seen::Missing);
            }
            Err(error) => {
                return Err(LabError::new(format!(
                    "cannot read /proc/{tid}/syscall: {error}"
                )));
            }
        };
        let Ok(status) = read(&files.status, &mut buffer) else {
            self.proc_files.remove(&tid);
            return Ok(Seen::Missing);
        };
        let state = field(status, "State:").and_then(|state| state.chars().next());
        let count = |key| field(status, key).and_then(|n| n.parse().ok()).unwrap_or(0);
        let switches = (
            count("voluntary_ctxt_switches:"),
            count("nonvoluntary_ctxt_switches:"),
        );
        let asleep = Asleep {
            tid,
            place: None,
            state: state.unwrap_or_default(),
            switches,
        };
        Ok(match (state, nr) {
            (Some('Z' | 'X'), _) => Seen::Missing,
            (Some('S' | 'D'), Some(nr)) if bed.is(nr) => Seen::Asleep(asleep),
            (Some('T'), Some(_)) => Seen::Asleep(asleep),
            _ => Seen::Awake,
        })
    }

    /// For an error: every task in flight, its call, and where in the kernel it is.
    fn who_does_what(&self) -> String {
        let mut text = String::new();
        for (task, entry) in self.tasks.iter() {
            let name = match &entry.doing {
                Doing::Call(flight) => flight.name,
                Doing::Racing(heat) => match self.board.control(entry.slot).place() {
                    Place::In(index) => heat.legs.get(index).map_or("a race", |leg| leg.name),
                    Place::Before(_) => "a race",
                },
                Doing::Reading(_) => "fdinfo",
                _ => continue,
            };
            let wchan = fs::read_to_string(format!("/proc/{}/wchan", entry.tid));
            let place = match wchan.as_deref() {
                Ok("" | "0") | Err(_) => "",
                Ok(place) => place,
            };
            let (before, after) = if place.is_empty() {
                ("", "")
            } else {
                (", waiting in ", place)
            };
            text += &format!("; task {} is in {name}{before}{after}", task.0);
        }
        text
    }
}

/// Looks for a few microseconds without giving the processor away, then for a few more politely.
pub(super) fn spin(ready: &mut impl FnMut() -> bool) -> bool {
    for round in 0..320 {
        if ready() {
            return true;
        }
        if round < 300 {
            std::hint::spin_loop();
        } else {
            ffi::sched_yield();
        }
    }
    false
}

/// Who is who in a lab.
struct InLab<'t> {
    tasks: &'t Tasks,
    /// The child that the call has waited for.
    reaped: Option<usize>,
}

impl Names for InLab<'_> {
    fn child(&mut self, pid: i64) -> Option<TaskId> {
        let child = self.tasks.process_with_pid(pid as i32)?;
        self.tasks.leader(child)
    }

    fn reaped(&mut self, pid: i64) {
        self.reaped = self.tasks.process_with_pid(pid as i32);
    }

    fn told(&self, info: [i32; 5]) -> SigInfo {
        self.tasks.told(info)
    }
}
