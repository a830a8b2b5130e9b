//! Signals from the sender's side (kernel/signal.c): what becomes of one before anybody handles it.
//!
//! ```text
//!   kill(2) ──► prepare_signal ──► queue ──► complete_signal ──► signal_wake_up
//!                ignored? dropped   of the     which thread?       TIF_SIGPENDING, and out of its sleep
//!                                   process
//!   tgkill(2) ──────────────────►  or of the thread
//! ```
//!
//! The rest happens in the thread itself, when it is next on its way to user mode: see
//! [`deliver`](super::deliver). In between there is only a flag, `sigpending` (`TIF_SIGPENDING`). A call that
//! is about to sleep looks at the flag and at nothing else; so it is the flag that tells whether a signal
//! *interrupts*, and who sets it, and when it is looked at anew, is most of this module.

use super::call::Call;
use super::clone::clone_by_field;
use super::deliver::{Again, Deliver};
use super::encode::{Encode, Encoder, Number, variant_is_number};
use super::task::{Life, ProcessStatus};
use super::wait_queue::{Nr, Wake};
use super::{Kernel, Machine, task_index};
use crate::abi::{
    Errno, EventMask, SaFlags, SiCode, SigAction, SigHandler, SigInfo, SigSet, Signal, TaskId,
    WaitStatus,
};
use crate::trace::{Observer, SignalFate, Trace};

/// Signals of one thread (`struct task_struct`).
#[derive(Debug, Default)]
pub(crate) struct ThreadSignals {
    pub(crate) blocked: SigSet,
    /// The mask to come back to, while a call has set one of its own (`saved_sigmask`).
    pub(crate) saved: Option<SigSet>,
    /// Meant for this thread and for no other.
    pub(crate) pending: Pending,
    pub(crate) stop: Stop,
    /// The call to make again if no handler objects.
    pub(crate) restart: Option<Again>,
}

clone_by_field!(ThreadSignals {
    blocked,
    saved,
    pending,
    stop,
    restart,
});

/// How far a thread is in the stop of its process (`jobctl`).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) enum Stop {
    #[default]
    No,
    /// Another thread has taken the signal; this one stops on its way to user mode.
    Pending,
    Stopped,
}

/// Signals of a process (`struct sighand_struct` and `struct signal_struct`).
#[derive(Debug, Default)]
pub(crate) struct ProcessSignals {
    /// What is to be done about which signal, by number. The others are as they were at first.
    actions: Vec<(Signal, SigAction)>,
    /// For whichever thread takes them (`shared_pending`).
    pub(crate) pending: Pending,
    /// Who got the last one; the leader if nobody did (`curr_target`).
    curr_target: Option<TaskId>,
    pub(crate) job: Job,
}

clone_by_field!(ProcessSignals {
    actions,
    pending,
    curr_target,
    job,
});

/// Stopping and going on (`signal->flags`).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Job {
    /// The signal that stops it, until somebody has waited for that (`group_exit_code`).
    pub(crate) signal: Option<Signal>,
    /// All its threads have stopped (`SIGNAL_STOP_STOPPED`).
    pub(crate) stopped: bool,
    /// It goes on, and nobody has waited for that (`SIGNAL_STOP_CONTINUED`).
    pub(crate) continued: bool,
    /// What the next thread on its way to user mode has to tell the parent (`SIGNAL_CLD_MASK`).
    pub(crate) tell: Option<Told>,
}

/// What a parent is told of a child that has not ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Told {
    Stopped,
    Continued,
}

/// Signals that wait to be taken, in the order in which they came (`struct sigpending`).
#[derive(Debug, Default)]
pub(crate) struct Pending(Vec<SigInfo>);

impl Clone for Pending {
    fn clone(&self) -> Pending {
        Pending(self.0.clone())
    }

    fn clone_from(&mut self, source: &Pending) {
        self.0.clone_from(&source.0);
    }
}

impl Pending {
    pub(crate) fn set(&self) -> SigSet {
        self.0.iter().map(|info| info.signo).collect()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &SigInfo> {
        self.0.iter()
    }

    /// `flush_sigqueue_mask`
    fn flush(&mut self, which: SigSet) {
        self.0.retain(|info| !which.contains(info.signo));
    }

    /// Takes the next one that is not blocked (`next_signal`): a fault's first, then the lowest number, and
    /// of several of one number the first that came.
    fn take(&mut self, blocked: SigSet) -> Option<SigInfo> {
        let deliverable = self.set().difference(blocked);
        let faults = deliverable.intersection(SYNCHRONOUS.iter().copied().collect());
        let among = if faults.is_empty() {
            deliverable
        } else {
            faults
        };
        let next = among.iter().next()?;
        let index = self.0.iter().position(|info| info.signo == next)?;
        Some(self.0.remove(index))
    }
}

/// `SYNCHRONOUS_MASK`
const SYNCHRONOUS: [Signal; 6] = [
    Signal::SIGSEGV,
    Signal::SIGBUS,
    Signal::SIGILL,
    Signal::SIGTRAP,
    Signal::SIGFPE,
    Signal::SIGSYS,
];

/// `SIG_KERNEL_STOP_MASK`
const STOPS: [Signal; 4] = [
    Signal::SIGSTOP,
    Signal::SIGTSTP,
    Signal::SIGTTIN,
    Signal::SIGTTOU,
];

/// `SIG_KERNEL_COREDUMP_MASK`: these end a process only when they are taken.
const DUMPS: [Signal; 10] = [
    Signal::SIGQUIT,
    Signal::SIGILL,
    Signal::SIGTRAP,
    Signal::SIGABRT,
    Signal::SIGFPE,
    Signal::SIGSEGV,
    Signal::SIGBUS,
    Signal::SIGSYS,
    Signal::SIGXCPU,
    Signal::SIGXFSZ,
];

/// What a signal does that nobody has said anything about (signal(7)).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum DefaultAction {
    Terminate,
    Ignore,
    Stop,
}

impl DefaultAction {
    pub(crate) fn of(signal: Signal) -> DefaultAction {
        match signal {
            Signal::SIGCONT | Signal::SIGCHLD | Signal::SIGWINCH | Signal::SIGURG => {
                DefaultAction::Ignore
            }
            signal if STOPS.contains(&signal) => DefaultAction::Stop,
            _ => DefaultAction::Terminate,
        }
    }
}

impl ProcessSignals {
    pub(crate) fn action(&self, signal: Signal) -> SigAction {
        let known = self.actions.iter().find(|(known, _)| *known == signal);
        known.map_or_else(SigAction::default, |(_, action)| *action)
    }

    pub(crate) fn set_action(&mut self, signal: Signal, action: SigAction) {
        let index = self.actions.partition_point(|(known, _)| *known < signal);
        if self
            .actions
            .get(index)
            .is_some_and(|(known, _)| *known == signal)
        {
            self.actions.remove(index);
        }
        if action != SigAction::default() {
            self.actions.insert(index, (signal, action));
        }
    }

    /// `sig_handler_ignored`
    pub(crate) fn ignores(&self, signal: Signal) -> bool {
        match self.action(signal).handler {
            SigHandler::Ignore => true,
            SigHandler::Default => DefaultAction::of(signal) == DefaultAction::Ignore,
            SigHandler::Handle => false,
        }
    }

    /// What a child has of it: the actions, and nothing that is pending.
    pub(crate) fn inherited(&self) -> ProcessSignals {
        ProcessSignals {
            actions: self.actions.clone(),
            ..ProcessSignals::default()
        }
    }

    /// What a new program has of it: no handlers, but what is ignored stays so (`flush_signal_handlers`).
    pub(crate) fn reset(&mut self) {
        self.actions
            .retain(|(_, action)| action.handler == SigHandler::Ignore);
        for (_, action) in &mut self.actions {
            action.flags = SaFlags::empty();
            action.mask = SigSet::EMPTY;
        }
    }

    /// Whether there is anything to tell it from a new one.
    fn is_new(&self) -> bool {
        let ProcessSignals {
            actions,
            pending,
            curr_target,
            job,
        } = self;
        actions.is_empty()
            && pending.0.is_empty()
            && curr_target.is_none()
            && *job == Job::default()
    }
}

impl ThreadSignals {
    /// Outside of calls that set their own: what a new thread or process starts with.
    pub(crate) fn own_mask(&self) -> SigSet {
        self.saved.unwrap_or(self.blocked)
    }

    fn is_new(&self) -> bool {
        let ThreadSignals {
            blocked,
            saved,
            pending,
            stop,
            restart,
        } = self;
        blocked.is_empty()
            && saved.is_none()
            && pending.0.is_empty()
            && *stop == Stop::No
            && restart.is_none()
    }
}

/// To whom a signal is sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum SendTo {
    /// This thread (`PIDTYPE_PID`).
    Thread(TaskId),
    /// The process of this thread, and preferably to the thread itself (`PIDTYPE_TGID`).
    Process(TaskId),
}

impl Machine {
    /// What is pending for `task` or its process, blocked or not.
    pub(crate) fn pending(&self, task: TaskId) -> SigSet {
        let shared = self.process(task).signals.pending.set();
        self.task(task).signals.pending.set().union(shared)
    }

    /// The signals that `task` would take: pending, and not blocked.
    pub(crate) fn deliverable(&self, task: TaskId) -> SigSet {
        let blocked = self.task(task).signals.blocked;
        self.pending(task).difference(blocked)
    }

    /// Whether a signal to the process of `task` would have to wait for a lock: one on the way to those
    /// that watch its signalfds.
    pub(crate) fn is_signal_held_up(&self, task: TaskId) -> bool {
        self.leads_to_a_lock(self.process(task).signalfd_wqh)
    }

    /// Whether `task` has been told of a signal while it was in no call.
    pub(crate) fn is_taking_signals(&self, task: TaskId) -> bool {
        let call = self.tasks.get(task_index(task)).map(|task| &task.call);
        matches!(call, Some(Some(Call::Deliver(call))) if call.is_out_of_the_blue())
            && self.task(task).signals.restart.is_none()
    }

    /// `recalc_sigpending`
    pub(crate) fn recalc_sigpending(&mut self, task: TaskId) {
        let deliverable = !self.deliverable(task).is_empty();
        let state = self.task_mut(task);
        state.sigpending = deliverable || state.fatal_signal || state.signals.stop == Stop::Pending;
    }

    /// Takes the next signal for `task` but for these: its own first, then one of its process
    /// (`dequeue_signal`).
    pub(crate) fn dequeue_signal(&mut self, task: TaskId, blocked: SigSet) -> Option<SigInfo> {
        let own = self.task_mut(task).signals.pending.take(blocked);
        let taken = own.or_else(|| self.process_mut(task).signals.pending.take(blocked));
        self.recalc_sigpending(task);
        taken
    }

    /// Throws away what is pending of these, for the process of `task` and each of its threads.
    pub(crate) fn flush_signals(&mut self, task: TaskId, which: SigSet) {
        self.process_mut(task).signals.pending.flush(which);
        for thread in self.threads_from(task) {
            self.task_mut(thread).signals.pending.flush(which);
        }
    }

    /// Every living thread of the process of `task`, beginning with itself, in the order of creation and
    /// round (`while_each_thread`).
    pub(crate) fn threads_from(&self, task: TaskId) -> Vec<TaskId> {
        let mut threads: Vec<TaskId> = self.threads(self.task(task).process).collect();
        let start = threads.partition_point(|thread| *thread < task);
        threads.rotate_left(start);
        threads
    }

    /// What a signal that the process of `task` sends tells of its sender.
    pub(crate) fn info_from(&self, task: TaskId, signo: Signal, code: SiCode) -> SigInfo {
        let process = self.process(task);
        SigInfo {
            signo,
            code,
            pid: process.leader.pid(),
            uid: process.uid,
            status: 0,
        }
    }

    /// `wants_signal`
    fn wants_signal(&self, task: TaskId, signal: Signal) -> bool {
        let state = self.task(task);
        let takes_part = matches!(state.life, Life::Alive | Life::Elsewhere);
        if state.signals.blocked.contains(signal) || !takes_part {
            return false;
        }
        if signal == Signal::SIGKILL {
            return true;
        }
        // Who sleeps with a signal pending is about to take that one. Who does not sleep counts as running.
        state.signals.stop != Stop::Stopped && (!state.sleeping || !state.sigpending)
    }
}

impl<O: Observer> Kernel<'_, O> {
    /// What a task gets that writes where nobody reads (`send_sig(SIGPIPE, current, 0)`).
    pub(crate) fn send_sigpipe(&mut self, task: TaskId) {
        let info = self.m.info_from(task, Signal::SIGPIPE, SiCode::USER);
        self.send_signal(SendTo::Thread(task), info);
    }

    /// Sends a signal (`__send_signal_locked`). All of it happens under `sighand->siglock`, with interrupts off,
    /// and who asks a signalfd takes that lock as well: so it is one step, together with the wake-up in the
    /// middle of it.
    ///
    /// Preconditions: it is not held up ([`Machine::is_signal_held_up`]).
    pub(crate) fn send_signal(&mut self, to: SendTo, info: SigInfo) {
        let (SendTo::Thread(target) | SendTo::Process(target)) = to;
        let signal = info.signo;
        if !self.prepare_signal(target, signal) {
            return self.trace_signal(target, signal, SignalFate::Ignored);
        }
        if signal != Signal::SIGKILL {
            let pending = match to {
                SendTo::Thread(_) => &mut self.m.task_mut(target).signals.pending,
                SendTo::Process(_) => &mut self.m.process_mut(target).signals.pending,
            };
            // Of a standard signal, one at a time is enough (`legacy_queue`).
            if !signal.is_realtime() && pending.set().contains(signal) {
                return self.trace_signal(target, signal, SignalFate::AlreadyPending);
            }
            pending.0.push(info);
        }
        self.signalfd_notify(target);
        self.complete_signal(to, signal);
    }

    /// Wakes those who watch signalfds of the target's process, for whatever signal. Its number would be of no
    /// use: one queue serves all the masks.
    fn signalfd_notify(&mut self, target: TaskId) {
        let head = self.m.process(target).signalfd_wqh;
        let key = EventMask::empty();
        self.wake_up_in_interrupt(Wake {
            head,
            key,
            nr: Nr::One,
        });
    }

    /// What a signal does by merely being sent; `false` if that was all.
    fn prepare_signal(&mut self, target: TaskId, signal: Signal) -> bool {
        let process = self.m.process(target);
        if process.exit_status.is_some() || process.status != ProcessStatus::Running {
            return false;
        }
        if STOPS.contains(&signal) {
            self.m.flush_signals(target, SigSet::of(Signal::SIGCONT));
        } else if signal == Signal::SIGCONT {
            self.m
                .flush_signals(target, STOPS.iter().copied().collect());
            self.go_on(target);
        }
        let blocked = self.m.task(target).signals.blocked;
        blocked.contains(signal) || !self.m.process(target).signals.ignores(signal)
    }

    /// The process of `target` does not stop, or does not stay stopped, whatever becomes of SIGCONT itself.
    fn go_on(&mut self, target: TaskId) {
        let mut stopping = false;
        for thread in self.m.threads_from(target) {
            let stop = &mut self.m.task_mut(thread).signals.stop;
            stopping |= *stop == Stop::Pending;
            *stop = Stop::No;
        }
        let job = &mut self.m.process_mut(target).signals.job;
        let tell = match (job.stopped, stopping) {
            (true, _) => Told::Continued,
            (false, true) => Told::Stopped,
            (false, false) => return,
        };
        *job = Job {
            signal: None,
            stopped: false,
            continued: true,
            tell: Some(tell),
        };
        self.obs.on(Trace::Continue { task: target });
    }

    /// Finds a thread for a signal that is pending now, and wakes it (`complete_signal`).
    fn complete_signal(&mut self, to: SendTo, signal: Signal) {
        let (SendTo::Thread(target) | SendTo::Process(target)) = to;
        let taker = match to {
            _ if self.m.wants_signal(target, signal) => Some(target),
            SendTo::Thread(_) => None,
            SendTo::Process(_) => self.next_taker(target, signal),
        };
        let Some(taker) = taker else {
            return self.trace_signal(target, signal, SignalFate::Pending);
        };
        let process = self.m.task(target).process;
        let action = self.m.process(target).signals.action(signal);
        let fatal = action.handler == SigHandler::Default
            && DefaultAction::of(signal) == DefaultAction::Terminate
            && !DUMPS.contains(&signal);
        self.trace_signal(target, signal, SignalFate::Wakes(taker));
        if fatal {
            self.end_process(process, WaitStatus::Signaled(signal), None);
        } else {
            self.signal_wake_up(taker);
        }
    }

    /// The next thread in turn that wants it.
    fn next_taker(&mut self, target: TaskId, signal: Signal) -> Option<TaskId> {
        let process = self.m.process(target);
        let leader = process.leader;
        let last = process.signals.curr_target.unwrap_or(leader);
        let mut threads = self.m.threads_from(last).into_iter();
        let taker = threads.find(|thread| self.m.wants_signal(*thread, signal))?;
        let curr_target = &mut self.m.process_mut(target).signals.curr_target;
        *curr_target = Some(taker).filter(|taker| *taker != leader);
        Some(taker)
    }

    /// Tells a thread to look at its signals: at once if it is in user mode, out of its sleep, or when its
    /// call is over (`signal_wake_up`).
    fn signal_wake_up(&mut self, task: TaskId) {
        self.m.task_mut(task).sigpending = true;
        self.try_to_wake_up(task);
        let state = self.m.task_mut(task);
        if state.call.is_none() && matches!(state.life, Life::Alive | Life::Elsewhere) {
            state.call = Some(Deliver::to_user_mode().into());
        }
    }

    /// Every other thread of the process is to stop, too. Says nothing of `task` itself.
    pub(crate) fn stop_the_others(&mut self, task: TaskId) {
        for thread in self.m.threads_from(task) {
            let state = self.m.task_mut(thread);
            let stoppable = matches!(state.life, Life::Alive | Life::Elsewhere)
                && state.signals.stop == Stop::No
                && !state.fatal_signal;
            if thread != task && stoppable {
                state.signals.stop = Stop::Pending;
                self.signal_wake_up(thread);
            }
        }
    }

    /// `set_current_blocked`
    pub(crate) fn set_blocked(&mut self, task: TaskId, mask: SigSet) {
        let mask = mask.difference(SigSet::UNBLOCKABLE);
        let old = self.m.task(task).signals.blocked;
        if mask == old {
            return;
        }
        if self.m.task(task).sigpending {
            // It may have been woken for what it now blocks.
            self.retarget_shared_pending(task, mask.difference(old));
        }
        self.m.task_mut(task).signals.blocked = mask;
        self.m.recalc_sigpending(task);
    }

    /// Signals of the process that `task` will not take are for others that do (`retarget_shared_pending`).
    pub(crate) fn retarget_shared_pending(&mut self, task: TaskId, which: SigSet) {
        let shared = self.m.process(task).signals.pending.set();
        let mut left = shared.intersection(which);
        for thread in self.m.threads_from(task) {
            let state = self.m.task(thread);
            let blocked = state.signals.blocked;
            let takes_part = matches!(state.life, Life::Alive | Life::Elsewhere);
            if thread == task || !takes_part || left.difference(blocked).is_empty() {
                continue;
            }
            left = left.intersection(blocked);
            if !state.sigpending {
                self.signal_wake_up(thread);
            }
        }
    }

    /// A mask for as long as the call takes (`set_user_sigmask`).
    pub(crate) fn swap_mask(&mut self, task: TaskId, mask: SigSet) {
        let signals = &mut self.m.task_mut(task).signals;
        signals.saved = Some(signals.blocked);
        self.set_blocked(task, mask);
    }

    /// `restore_saved_sigmask`
    pub(crate) fn restore_mask(&mut self, task: TaskId) {
        if let Some(mask) = self.m.task_mut(task).signals.saved.take() {
            self.set_blocked(task, mask);
        }
    }

    fn trace_signal(&mut self, target: TaskId, signal: Signal, fate: SignalFate) {
        self.obs.on(Trace::Signal {
            signal,
            target,
            fate,
        });
    }
}

/// How a call ends that a signal has interrupted, and what is to happen then: numbers that no program ever
/// sees.
pub(crate) mod restart {
    use super::Errno;

    /// To be made again if the handler was installed with `SA_RESTART`, or if there was none.
    pub(crate) const ERESTARTSYS: Errno = Errno(512);
    /// To be made again if no handler ran.
    pub(crate) const ERESTARTNOHAND: Errno = Errno(514);
    /// The same, and what is left of its time goes on.
    pub(crate) const ERESTART_RESTARTBLOCK: Errno = Errno(516);

    /// Whether it is one of them.
    pub(crate) fn is_restart(errno: Errno) -> bool {
        matches!(errno, ERESTARTSYS | ERESTARTNOHAND | ERESTART_RESTARTBLOCK)
    }
}

variant_is_number!(Stop, Told);

impl Number for Signal {
    fn number(&self, _: &Encoder<'_>) -> u64 {
        u64::from(self.0.cast_unsigned())
    }
}

impl Number for SigSet {
    fn number(&self, _: &Encoder<'_>) -> u64 {
        self.0
    }
}

impl Encode for SigInfo {
    fn encode(&self, to: &mut Encoder<'_>) {
        let SigInfo {
            signo,
            code,
            pid,
            uid,
            status,
        } = self;
        let code = u64::from(code.0.cast_unsigned().rotate_left(4));
        to.numbers([
            signo.number(to),
            code,
            pid.number(to),
            uid.number(to),
            status.number(to),
        ]);
    }
}

/// By number: between different signals the order in which they came makes no difference.
impl Encode for Pending {
    fn encode(&self, to: &mut Encoder<'_>) {
        for signal in self.set().iter() {
            for info in self.0.iter().filter(|info| info.signo == signal) {
                info.encode(to);
            }
        }
        to.none();
    }
}

impl ThreadSignals {
    /// Nothing at all for a thread that has nothing to do with signals; says whether it has.
    pub(crate) fn to_encode(&self) -> Option<&ThreadSignals> {
        (!self.is_new()).then_some(self)
    }
}

impl Encode for ThreadSignals {
    fn encode(&self, to: &mut Encoder<'_>) {
        let ThreadSignals {
            blocked,
            saved,
            pending,
            stop,
            restart,
        } = self;
        to.numbers([blocked.number(to), saved.number(to), stop.number(to)]);
        pending.encode(to);
        match restart {
            None => to.none(),
            Some(again) => again.encode(to),
        }
    }
}

impl ProcessSignals {
    /// The same for a process.
    pub(crate) fn to_encode(&self) -> Option<&ProcessSignals> {
        (!self.is_new()).then_some(self)
    }
}

impl Encode for ProcessSignals {
    fn encode(&self, to: &mut Encoder<'_>) {
        let ProcessSignals {
            actions,
            pending,
            curr_target,
            job,
        } = self;
        for (signal, action) in actions {
            signal.encode(to);
            action.encode(to);
        }
        to.none();
        pending.encode(to);
        let Job {
            signal,
            stopped,
            continued,
            tell,
        } = job;
        to.numbers([
            curr_target.number(to),
            signal.number(to),
            stopped.number(to),
            continued.number(to),
            tell.number(to),
        ]);
    }
}
