//! Virtual time: it stands still while anybody can run, and jumps when a scenario says so or when
//! everybody sleeps.
//!
//! A sleep with a deadline is a sleep with a timer (`schedule_hrtimeout_range`). That the timer fires is an
//! event of its own: it makes the task run, and nothing else. What the task finds when it does run is
//! another matter; meanwhile its entry still stands on the wait queue, and a wake-up that comes by finds a
//! task that runs already and is passed on to the next.
//!
//! A timer of its own kind is that of a timerfd, with which nobody need sleep: when it fires, it wakes the
//! file's queue.
//!
//! A socket has timers too: for an acknowledgement that waits for something to ride on, and for a connection
//! that gets no answer.
//!
//! Timers fire in the order of their deadlines. Hence time never runs past one that has not fired.

use super::arena::{TcpId, TimerFdId};
use super::call::Pace;
use super::eventpoll::Deadline;
use super::{Kernel, Machine};
use crate::abi::{TaskId, Timeout};
use crate::trace::{Observer, Trace};

/// A clock by which a program can name a moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Clock {
    /// `CLOCK_REALTIME`, and `CLOCK_TAI`, which is some seconds ahead of it.
    Realtime,
    /// `CLOCK_MONOTONIC`, and `CLOCK_BOOTTIME`, which also counts the time of a machine that was suspended.
    Monotonic,
}

impl Clock {
    /// What it shows when the machine's own clock shows 0: the model was switched on an hour before, and on
    /// a certain day.
    pub(crate) fn start(self) -> u64 {
        match self {
            Clock::Realtime => 1_767_225_600_000_000_000,
            Clock::Monotonic => 3_600_000_000_000,
        }
    }
}

/// A timer that can fire: a sleeping task's, a timerfd's or a socket's.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Timer(Whose);

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Whose {
    Sleeper(TaskId),
    File(TimerFdId),
    Tcp(TcpId),
}

impl Timer {
    /// Whether a program has set it to a moment of its choice, as it does with a timerfd.
    pub fn is_set_by_program(self) -> bool {
        matches!(self.0, Whose::File(_))
    }
}

/// The timer that the task sleeps with.
impl From<TaskId> for Timer {
    fn from(task: TaskId) -> Timer {
        Timer(Whose::Sleeper(task))
    }
}

impl Machine {
    /// The deadline of a call that begins now and may sleep for so many nanoseconds.
    pub(crate) fn deadline_after(&self, nanoseconds: u64) -> Deadline {
        match nanoseconds {
            0 => Deadline::Now,
            n => Deadline::At(self.now.saturating_add(n)),
        }
    }

    /// The deadline of a timeout, of which a negative one is none.
    #[inline]
    pub(crate) fn deadline_ms(&self, timeout: Timeout) -> Deadline {
        match timeout.milliseconds() {
            Some(ms) => self.deadline_after(ms * 1_000_000),
            None => Deadline::Never,
        }
    }

    /// When a timer will fire, if it is armed. A sleep lasts until its task has run, so a timer may fire for
    /// one that somebody else has woken just before.
    fn due(&self, timer: Timer) -> Option<u64> {
        match timer.0 {
            Whose::Sleeper(task) => {
                let state = self.task(task);
                let deadline = state.call.as_ref()?.deadline();
                deadline.filter(|_| !state.timer_fired)
            }
            Whose::File(timerfd) => self.timerfds[timerfd].due(),
            Whose::Tcp(sock) => self.tcp[sock].due(),
        }
    }

    /// Every timer that is armed.
    pub fn timers(&self) -> impl Iterator<Item = Timer> + '_ {
        let sleepers = self.task_ids().map(Whose::Sleeper);
        let files = self.timerfds.live().into_iter().map(Whose::File);
        let sockets = self.tcp_by_address().into_iter().map(Whose::Tcp);
        let all = sleepers.chain(files).chain(sockets).map(Timer);
        all.filter(|timer| self.due(*timer).is_some())
    }

    /// Those among them that no task sleeps with, in the same order whenever machines are equal.
    pub fn alarms(&self) -> impl Iterator<Item = Timer> + '_ {
        self.timers()
            .filter(|timer| !matches!(timer.0, Whose::Sleeper(_)))
    }

    /// When the next timer will fire, whoever's it is.
    pub(crate) fn next_timer(&self) -> Option<u64> {
        self.timers().filter_map(|timer| self.due(timer)).min()
    }

    /// Whether this timer can be the next to fire. That of a timerfd may have to wait for a while: it wakes,
    /// and for that no queue on its way may be locked.
    pub fn may_expire(&self, timer: impl Into<Timer>) -> bool {
        let timer = timer.into();
        let due = self.due(timer);
        due.is_some() && due == self.next_timer() && !self.is_hindered(timer)
    }

    fn is_hindered(&self, timer: Timer) -> bool {
        match timer.0 {
            Whose::Sleeper(_) => false,
            Whose::File(timerfd) => self.leads_to_a_lock(self.timerfds[timerfd].wqh()),
            // The network is faster than its timers: what is on its way comes first.
            Whose::Tcp(sock) => {
                self.net.packets().next().is_some() || self.leads_to_a_lock(self.tcp[sock].sk.wq)
            }
        }
    }

    /// Lets time pass until this timer fires, and lets it fire. It is a step like those of [`Machine::step`],
    /// but one that nobody takes. `false`, and nothing has happened, if it is not armed, if another one comes
    /// before it, or a lock is in its way.
    pub fn expire<O: Observer>(&mut self, timer: impl Into<Timer>, observer: &mut O) -> bool {
        let timer = timer.into();
        if !self.may_expire(timer) {
            return false;
        }
        Kernel::new(self, observer, Pace::Stepwise).fire(timer);
        true
    }

    /// What the machine's clock shows: virtual `CLOCK_MONOTONIC` in nanoseconds.
    pub fn now(&self) -> u64 {
        self.now
    }

    /// The same, for times that may lie before it began.
    pub(crate) fn now_signed(&self) -> i64 {
        i64::try_from(self.now).unwrap_or(i64::MAX)
    }

    /// Lets time pass up to this moment, and lets every timer fire that is due by then.
    pub fn run_until<O: Observer>(&mut self, moment: u64, observer: &mut O) {
        let mut kernel = Kernel::new(self, observer, Pace::Stepwise);
        while kernel.jump(moment) {}
        // One that a lock is in the way of holds the clock.
        let held = self.next_timer().unwrap_or(moment);
        self.now = self.now.max(moment.min(held));
    }

    /// The task sleeps from here on (`set_current_state`), until it is woken or the time has come. A
    /// deadline that has passed already is as good as a timer that has fired.
    #[inline]
    pub(crate) fn fall_asleep(&mut self, task: TaskId, deadline: Deadline) {
        let passed = matches!(deadline, Deadline::At(at) if at <= self.now);
        let state = self.task_mut(task);
        state.sleeping = true;
        state.timer_fired = passed;
    }

    /// The task runs again (`__set_current_state(TASK_RUNNING)`). Says whether its timer has fired, be it
    /// that somebody else has woken it as well.
    pub(crate) fn run_again(&mut self, task: TaskId) -> bool {
        let state = self.task_mut(task);
        state.sleeping = false;
        std::mem::take(&mut state.timer_fired)
    }
}

impl<O: Observer> Kernel<'_, O> {
    /// Preconditions: no other timer comes first, and no lock is in its way.
    fn fire(&mut self, timer: Timer) {
        let due = self.m.due(timer);
        self.m.now = self.m.now.max(due.unwrap_or_default());
        match timer.0 {
            Whose::Sleeper(task) => self.hrtimer_wakeup(task),
            Whose::File(timerfd) => self.timerfd_triggered(timerfd),
            Whose::Tcp(sock) => self.tcp_timer(sock),
        }
    }

    /// `hrtimer_wakeup`
    fn hrtimer_wakeup(&mut self, task: TaskId) {
        self.m.task_mut(task).timer_fired = true;
        self.obs.on(Trace::Timeout { task });
        self.try_to_wake_up(task);
    }

    /// Lets time pass up to the next moment at which timers fire, and lets these fire. `false` if there is
    /// none by then, or a lock is in the way of all that there are.
    pub(crate) fn jump(&mut self, no_later_than: u64) -> bool {
        let Some(at) = self.m.next_timer().filter(|at| *at <= no_later_than) else {
            return false;
        };
        let due: Vec<Timer> = self
            .m
            .timers()
            .filter(|it| self.m.due(*it) == Some(at))
            .collect();
        let mut any = false;
        for timer in due {
            if !self.m.is_hindered(timer) {
                self.fire(timer);
                any = true;
            }
        }
        any
    }
}
