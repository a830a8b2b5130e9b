//! Tasks and processes: who makes calls, and what threads of one process share.

use super::arena::FileId;
use super::call::Call;
use super::clone::clone_by_field;
use super::encode::{Encode, Encoder, Number};
use super::fdtable::{FdTable, Slot};
use super::file::{File, Kind, Plain};
use super::signal::{ProcessSignals, SendTo, ThreadSignals};
use super::wait_queue::{Nr, WaitHead, Wake};
use super::{HeadId, Kernel, Machine, ProcId, TableId, WaitId};
use crate::abi::{
    Answer, Errno, EventMask, Fd, OpenFlags, OutPtr, Rlimit, Room, SaFlags, SiCode, SigHandler,
    SigInfo, Signal, TaskId, WaitStatus,
};
use crate::backend::{LabError, Thaw};
use crate::model::arena::Id;
use crate::trace::{Observer, QueueRef};

/// A thread (`struct task_struct`). It is in at most one system call.
#[derive(Debug)]
pub(crate) struct Task {
    pub(crate) process: ProcId,
    /// Its descriptors (`files`); of no meaning once it is dead.
    pub(crate) files: TableId,
    pub(crate) life: Life,
    /// The call in flight.
    pub(crate) call: Option<Call>,
    /// Files that the call in flight keeps from being released.
    pub(crate) pinned: Vec<FileId>,
    /// How the last call ended, until somebody asks.
    pub(crate) answer: Option<Answer>,
    /// Whether it waits to be woken (`TASK_INTERRUPTIBLE`).
    pub(crate) sleeping: bool,
    /// The timer that it sleeps with has fired (`hrtimer_sleeper.task` is gone).
    pub(crate) timer_fired: bool,
    /// There is something to do before it runs its program again, or falls asleep (`TIF_SIGPENDING`).
    pub(crate) sigpending: bool,
    /// That is to die (`fatal_signal_pending`).
    pub(crate) fatal_signal: bool,
    pub(crate) signals: ThreadSignals,
    /// Who wants to hear of its end (`pid->wait_pidfd`), once anybody has asked.
    pub(crate) wait_pidfd: Option<HeadId>,
    /// In poll(2): its hooks.
    pub(crate) poll_hooks: Vec<PollHook>,
    /// In poll(2): a hook was called since the last round (`pwq->triggered`).
    pub(crate) poll_triggered: bool,
    /// The last step could not be taken. Keeps the trace from repeating itself; no part of the state.
    pub(crate) stuck: bool,
}

clone_by_field!(Task {
    process,
    files,
    life,
    call,
    pinned,
    answer,
    sleeping,
    timer_fired,
    sigpending,
    fatal_signal,
    signals,
    wait_pidfd,
    poll_hooks,
    poll_triggered,
    stuck,
});

/// Where a task in poll(2) stands (`struct poll_table_entry`).
#[derive(Clone, Copy, Debug)]
pub(crate) struct PollHook {
    /// Its entry on a wait queue of the file.
    pub(crate) entry: WaitId,
    /// The file, of which it holds a reference: the number may be closed meanwhile.
    pub(crate) file: FileId,
    /// The events that a wake-up must concern.
    pub(crate) filter: EventMask,
}

/// Whether a task can make calls.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Life {
    Alive,
    /// It runs another program since execve(2): alive, but not ours to direct.
    Elsewhere,
    /// It has let go of its descriptors and will be dead in a moment.
    Exiting,
    Dead,
}

impl Life {
    /// Whether the task uses its descriptor table.
    pub(crate) fn has_files(self) -> bool {
        matches!(self, Life::Alive | Life::Elsewhere)
    }
}

/// What the threads of a process share.
#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) uid: u32,
    /// `RLIMIT_NOFILE`
    pub(crate) nofile: Rlimit,
    /// The thread that has made it (`real_parent`); none if its process is gone.
    pub(crate) parent: Option<TaskId>,
    /// The task by whose number the process is known.
    pub(crate) leader: TaskId,
    pub(crate) status: ProcessStatus,
    /// How it is going to end, once a thread of it has said so for all (`SIGNAL_GROUP_EXIT`).
    pub(crate) exit_status: Option<WaitStatus>,
    /// How its first thread has ended, on its own.
    pub(crate) leader_status: Option<WaitStatus>,
    /// Where its threads wait for its children (`signal->wait_chldexit`).
    pub(crate) wait_chldexit: HeadId,
    /// Who wants to hear of its signals (`sighand->signalfd_wqh`), until it has been waited for.
    pub(crate) signalfd_wqh: HeadId,
    pub(crate) signals: ProcessSignals,
}

clone_by_field!(Process {
    uid,
    nofile,
    parent,
    leader,
    status,
    exit_status,
    leader_status,
    wait_chldexit,
    signalfd_wqh,
    signals,
});

/// How far a process has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum ProcessStatus {
    Running,
    /// Ended, and its parent does not know yet.
    Zombie(WaitStatus),
    /// Ended and waited for.
    Reaped,
}

/// `RLIMIT_NOFILE` at the start: as far as root may raise it.
const NOFILE: Rlimit = Rlimit {
    rlim_cur: 1 << 20,
    rlim_max: 1 << 20,
};

/// Numbers below it belong to files that were there before.
const FIRST_INODE: u32 = 20_000;

impl Task {
    pub(crate) fn new(process: ProcId, files: TableId) -> Task {
        Task {
            process,
            files,
            life: Life::Alive,
            call: None,
            pinned: Vec::new(),
            answer: None,
            sleeping: false,
            timer_fired: false,
            sigpending: false,
            fatal_signal: false,
            signals: ThreadSignals::default(),
            wait_pidfd: None,
            poll_hooks: Vec::new(),
            poll_triggered: false,
            stuck: false,
        }
    }

    /// Whether a sleep has an end: somebody has woken it, its time is up, or a signal has come.
    #[inline]
    pub(crate) fn is_awake(&self) -> bool {
        !self.sleeping || self.timer_fired || self.sigpending
    }

    /// Whether there is something to do at the end of a call.
    #[inline]
    pub(crate) fn is_notified(&self) -> bool {
        self.sigpending || self.signals.saved.is_some()
    }

    /// In poll(2): the events that a wake-up through this hook must concern.
    pub(crate) fn poll_filter(&self, hook: WaitId) -> Option<EventMask> {
        let mut hooks = self.poll_hooks.iter();
        hooks.find(|it| it.entry == hook).map(|it| it.filter)
    }
}

impl Machine {
    /// The first process, with /dev/null as its standard input, output and error.
    pub(super) fn boot(&mut self) {
        let mut table = FdTable::default();
        table.users = 1;
        for fd in 0..3 {
            let kind = Kind::Plain(Plain::Null);
            let file = self.files.insert(File::new(kind, OpenFlags::RDWR, Fd(fd)));
            let number = usize::try_from(fd).expect("0 to 2");
            let cloexec = false;
            table.put(number, Slot { file, cloexec });
        }
        let files = self.tables.insert(table);
        self.new_process(files, 0, NOFILE, None);
    }

    /// A process with one task.
    pub(super) fn new_process(
        &mut self,
        files: TableId,
        uid: u32,
        nofile: Rlimit,
        parent: Option<TaskId>,
    ) -> ProcId {
        let id = ProcId::from_index(self.processes.len());
        let leader = self.next_task();
        let wait_chldexit = self.heads.insert(WaitHead::new(QueueRef::Children(leader)));
        let signalfd_wqh = self.heads.insert(WaitHead::new(QueueRef::Signals(leader)));
        let status = ProcessStatus::Running;
        let process = Process {
            uid,
            nofile,
            parent,
            leader,
            status,
            exit_status: None,
            leader_status: None,
            wait_chldexit,
            signalfd_wqh,
            signals: ProcessSignals::default(),
        };
        self.processes.push(process);
        self.tasks.push(Task::new(id, files));
        id
    }

    /// One more thread in the process of `task`.
    pub(super) fn new_thread(&mut self, task: TaskId) -> TaskId {
        let id = self.next_task();
        let Task { process, files, .. } = *self.task(task);
        let blocked = self.task(task).signals.own_mask();
        self.tables[files].users += 1;
        self.tasks.push(Task::new(process, files));
        self.task_mut(id).signals.blocked = blocked;
        id
    }

    fn next_task(&self) -> TaskId {
        TaskId(u32::try_from(self.tasks.len()).expect("far fewer than 2^32 tasks"))
    }

    /// A number that no other file shows, for those that have one of their own.
    pub(crate) fn next_inode(&mut self) -> u32 {
        self.inodes += 1;
        FIRST_INODE + self.inodes
    }

    /// Every task, in the order of creation.
    pub(crate) fn task_ids(&self) -> impl Iterator<Item = TaskId> + use<> {
        let count = u32::try_from(self.tasks.len()).unwrap_or(u32::MAX);
        (0..count).map(TaskId)
    }

    /// Gives the page that a task stands at, as [`Thaw`] says.
    pub(crate) fn thaw(&mut self, task: TaskId, page: Thaw) -> Result<(), LabError> {
        let call = match &mut self.task_mut(task).call {
            Some(Call::EpollWait(call)) if call.buf == OutPtr::Memory(Room::Frozen) => call,
            _ => {
                let error = format!("task {} does not stand at a frozen page", task.0);
                return Err(LabError::new(error));
            }
        };
        call.buf = match page {
            Thaw::Writable => OutPtr::PLENTY,
            // Where the first byte cannot be stored.
            Thaw::ReadOnly => OutPtr::Memory(Room::Bytes(0)),
        };
        Ok(())
    }

    /// The living threads of a process.
    pub(crate) fn threads(&self, process: ProcId) -> impl Iterator<Item = TaskId> + '_ {
        self.task_ids().filter(move |task| {
            let task = self.task(*task);
            task.process == process && task.life != Life::Dead
        })
    }

    /// The processes that threads of this one have made.
    pub(super) fn children(&self, id: ProcId) -> Vec<ProcId> {
        let of = |process: &Process| process.parent.map(|parent| self.task(parent).process);
        let all = (0..self.processes.len()).map(ProcId::from_index);
        all.filter(|child| of(&self.processes[child.index()]) == Some(id))
            .collect()
    }

    /// Whether the release of a process would have to wait for a lock, on the way to those whom it wakes.
    pub(crate) fn is_release_held_up(&self, id: ProcId) -> bool {
        let process = &self.processes[id.index()];
        self.leads_to_a_lock(process.signalfd_wqh) || self.is_end_held_up(process.leader)
    }

    /// The same of the end of a process, which may also tell its parent, and leave zombies to init.
    pub(super) fn is_exit_held_up(&self, id: ProcId) -> bool {
        let told = self.parent_of(id);
        told.is_some_and(|parent| self.is_signal_held_up(parent))
            || self.is_release_held_up(id)
            || self
                .children(id)
                .into_iter()
                .any(|child| self.is_release_held_up(child))
    }

    /// Who is told what becomes of a process: the thread that has made it, or another of that one's process
    /// if it has ended; nobody if there is none left.
    pub(crate) fn parent_of(&self, process: ProcId) -> Option<TaskId> {
        let parent = self.processes[process.index()].parent?;
        if self.process(parent).status != ProcessStatus::Running {
            return None;
        }
        let ended = |task: TaskId| matches!(self.task(task).life, Life::Exiting | Life::Dead);
        let mut others = self.threads(self.task(parent).process);
        let other = others.find(|thread| !ended(*thread));
        Some(if ended(parent) {
            other.unwrap_or(parent)
        } else {
            parent
        })
    }

    /// Charges one watch to a user (`percpu_counter_add` in `ep_insert`).
    #[inline]
    pub(crate) fn charge_watch(&mut self, user: u32) -> Result<(), Errno> {
        let max = self.max_user_watches;
        let count = match self.watches.iter_mut().find(|(uid, _)| *uid == user) {
            Some((_, count)) => count,
            None => {
                self.watches.push((user, 0));
                &mut self.watches.last_mut().expect("just pushed").1
            }
        };
        if *count >= max {
            return Err(Errno::ENOSPC);
        }
        *count += 1;
        Ok(())
    }

    pub(crate) fn uncharge_watch(&mut self, user: u32) {
        if let Some((_, count)) = self.watches.iter_mut().find(|(uid, _)| *uid == user) {
            *count -= 1;
        }
    }
}

impl<O: Observer> Kernel<'_, O> {
    /// The process ended: tells the parent, or nobody if there is none left (`do_notify_parent`).
    pub(super) fn process_exited(&mut self, id: ProcId, status: WaitStatus) -> Option<HeadId> {
        let parent = self.m.parent_of(id);
        // Children of a process that has ended belong to init, which waits for everyone at once.
        for child in self.m.children(id) {
            self.m.processes[child.index()].parent = None;
            if let ProcessStatus::Zombie(_) = self.m.processes[child.index()].status {
                self.release_process(child);
            }
        }
        // Who ignores SIGCHLD, or says so by a flag, does not have to wait for anybody. For the first process
        // somebody waits who is none of the machine's, when all is over.
        let action = parent.map(|parent| self.m.process(parent).signals.action(Signal::SIGCHLD));
        let waited_for = action.map_or(id.index() == 0, |action| {
            action.handler != SigHandler::Ignore && !action.flags.contains(SaFlags::NOCLDWAIT)
        });
        let process = &mut self.m.processes[id.index()];
        process.signals = ProcessSignals::default();
        process.status = ProcessStatus::Zombie(status);
        let leader = process.leader;
        self.do_notify_pidfd(leader);
        if let Some(parent) = parent {
            self.notify_parent(parent, id, status);
        }
        if !waited_for {
            self.release_process(id);
        }
        Some(self.m.process(parent?).wait_chldexit)
    }

    /// `do_notify_parent`
    fn notify_parent(&mut self, parent: TaskId, id: ProcId, status: WaitStatus) {
        let (code, status) = match status {
            WaitStatus::Signaled(signal) => (SiCode::CLD_KILLED, signal.0),
            WaitStatus::Exited(status) => (SiCode::CLD_EXITED, status),
            WaitStatus::Stopped(_) | WaitStatus::Continued => unreachable!("no way to end"),
        };
        let leader = self.m.processes[id.index()].leader;
        let info = SigInfo {
            status,
            ..self.m.info_from(leader, Signal::SIGCHLD, code)
        };
        let action = self.m.process(parent).signals.action(Signal::SIGCHLD);
        if action.handler != SigHandler::Ignore {
            self.send_signal(SendTo::Process(parent), info);
        }
    }

    /// Nobody is to ask for this process any more (`release_task`). What it shared among its threads goes,
    /// and with it the queue of those who watch its signals (`signalfd_cleanup`).
    ///
    /// Preconditions: no lock is in the way ([`Machine::is_release_held_up`]).
    pub(super) fn release_process(&mut self, id: ProcId) {
        let process = &mut self.m.processes[id.index()];
        process.status = ProcessStatus::Reaped;
        let (leader, head) = (process.leader, process.signalfd_wqh);
        self.detach_pid(leader);
        self.wake_up_in_interrupt(Wake {
            head,
            key: EventMask::HUP | EventMask::POLLFREE,
            nr: Nr::All,
        });
    }
}

impl Encode for Task {
    fn encode(&self, to: &mut Encoder<'_>) {
        let Task {
            process,
            files: _, // written with the tables
            life,
            call,
            pinned: _, // the call's files
            answer,
            sleeping,
            timer_fired,
            sigpending,
            fatal_signal,
            signals,
            wait_pidfd: _, // written when items have their numbers
            poll_hooks: _, // the queues' entries
            poll_triggered,
            stuck: _,
        } = self;
        let life = match life {
            Life::Alive => 0,
            Life::Elsewhere => 1,
            Life::Exiting => 2,
            Life::Dead => 3,
        };
        let signals = signals.to_encode();
        let flags = u64::from(*sleeping)
            | u64::from(*fatal_signal) << 1
            | u64::from(*poll_triggered) << 2
            | u64::from(answer.is_some()) << 3
            | u64::from(*timer_fired) << 4
            | u64::from(signals.is_some()) << 5
            | u64::from(*sigpending) << 6;
        let call = call.as_ref().map(Call::to_encode);
        let which = call.map_or(0, |(number, _)| number);
        to.numbers([life << 7 | flags, process.number(to), which]);
        if let Some(signals) = signals {
            signals.encode(to);
        }
        if let Some((_, call)) = call {
            call.encode(to);
        }
        if let Some(answer) = answer {
            answer.encode(to);
        }
    }
}

impl Encode for Process {
    fn encode(&self, to: &mut Encoder<'_>) {
        let Process {
            uid,
            nofile,
            parent,
            leader,
            status,
            exit_status,
            leader_status,
            wait_chldexit,
            signalfd_wqh: _, // written when items have their numbers
            signals,
        } = self;
        to.queue(*wait_chldexit);
        let (leader, parent) = (leader.number(to), parent.number(to));
        match status {
            ProcessStatus::Running => {
                // Hardly anybody changes the limits.
                let Rlimit { rlim_cur, rlim_max } = nofile;
                let limits = [rlim_cur ^ NOFILE.rlim_cur, rlim_max ^ NOFILE.rlim_max];
                let signals = signals.to_encode();
                let ending = exit_status.is_some().number(to)
                    | signals.is_some().number(to) << 2
                    | leader_status.is_some().number(to) << 3;
                to.numbers([leader, ending, parent, uid.number(to), limits[0], limits[1]]);
                if let Some(status) = exit_status {
                    status.encode(to);
                }
                if let Some(status) = leader_status {
                    status.encode(to);
                }
                if let Some(signals) = signals {
                    signals.encode(to);
                }
            }
            ProcessStatus::Zombie(status) => {
                to.numbers([leader, 2, parent]);
                status.encode(to);
            }
            ProcessStatus::Reaped => to.numbers([leader, 3]),
        }
    }
}
