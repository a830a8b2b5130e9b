//! Virtual time: it stands still while anybody can run, and jumps when a scenario says so or when
//! everybody sleeps.
//!
//! A sleep with a deadline is a sleep with a timer (`schedule_hrtimeout_range`). That the timer fires is an
//! event of its own: it makes the task run, and nothing else. What the task finds when it does run is
//! another matter; meanwhile its entry still stands on the wait queue, and a wake-up that comes by finds a
//! task that runs already and is passed on to the next.
//!
//! Timers fire in the order of their deadlines. Hence time never runs past one that has not fired.

use super::call::Pace;
use super::eventpoll::Deadline;
use super::{Kernel, Machine};
use crate::abi::{TaskId, Timeout};
use crate::trace::{Observer, Trace};

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

    /// When the timer will fire that `task` sleeps with. Its sleep lasts until it has run, so a timer may
    /// fire for one that somebody else has woken just before.
    fn timer(&self, task: TaskId) -> Option<u64> {
        let state = self.task(task);
        let deadline = state.call.as_ref()?.deadline();
        deadline.filter(|_| !state.timer_fired)
    }

    /// When the next timer will fire, whoever's it is.
    pub(crate) fn next_timer(&self) -> Option<u64> {
        self.task_ids().filter_map(|task| self.timer(task)).min()
    }

    /// Whether the timer that `task` sleeps with can be the next to fire.
    pub fn may_expire(&self, task: TaskId) -> bool {
        let timer = self.timer(task);
        timer.is_some() && timer == self.next_timer()
    }

    /// Lets time pass until the timer fires that `task` sleeps with, and lets it fire. It is a step like
    /// those of [`Machine::step`], but one that nobody takes. `false`, and nothing has happened, if there
    /// is no such timer or another one comes before it.
    pub fn expire<O: Observer>(&mut self, task: TaskId, observer: &mut O) -> bool {
        if !self.may_expire(task) {
            return false;
        }
        Kernel::new(self, observer, Pace::Stepwise).fire_timer(task);
        true
    }

    /// Lets time pass up to this moment, and lets every timer fire that is due by then.
    pub(crate) fn run_until<O: Observer>(&mut self, moment: u64, observer: &mut O) {
        let mut kernel = Kernel::new(self, observer, Pace::Stepwise);
        while kernel.jump(moment) {}
        self.now = self.now.max(moment);
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
    /// `hrtimer_wakeup`
    ///
    /// Preconditions: no other timer comes first.
    fn fire_timer(&mut self, task: TaskId) {
        let timer = self.m.timer(task);
        self.m.now = self.m.now.max(timer.unwrap_or_default());
        self.m.task_mut(task).timer_fired = true;
        self.obs.on(Trace::Timeout { task });
        self.try_to_wake_up(task);
    }

    /// Lets time pass up to the next moment at which timers fire, and lets these fire. `false` if there is
    /// none by then.
    pub(crate) fn jump(&mut self, no_later_than: u64) -> bool {
        let Some(at) = self.m.next_timer().filter(|at| *at <= no_later_than) else {
            return false;
        };
        for task in self.m.task_ids() {
            if self.m.timer(task) == Some(at) {
                self.fire_timer(task);
            }
        }
        true
    }
}
