//! Time in a scenario, and calls that time out.
//!
//! In a scenario time passes when it says so, and in between nothing takes any. On Linux everything takes
//! time, and on a busy machine a call with a timeout of 20 ms may be over before the lab has seen it sleep. So
//! the lab keeps a clock of its own, which only [`pass`](crate::backend::Backend::pass) and
//! [`finish`](crate::backend::Backend::finish) advance, and tells of a timeout when that clock says so: early ones
//! are held back, late ones are waited for.
//!
//! The timer of a timerfd runs on Linux's clock alone, which is ahead of the lab's. That it has fired can be
//! relied on, if the lab has let as much time pass and then asks with a call that waits; that it has not yet
//! fired only if it is set to a time far away.
//!
//! What this cannot repair: a call that really timed out is not woken any more by what follows. A scenario
//! that wakes a sleeper before its timeout should leave it some hundred milliseconds.

use std::time::{Duration, Instant};

use crate::abi::{Ptr, Syscall, TaskId, Timespec};
use crate::backend::LabError;

use super::tasks::Doing;
use super::{Ended, Linux, ffi};

/// How much later than asked for a timer may go off: 100 ms of slack (`MAX_SLACK` in fs/select.c), and some
/// for the scheduler.
const LATE: Duration = Duration::from_millis(200);

/// `TIMER_ABSTIME` of clock_nanosleep(2): not how long, but until when.
const TIMER_ABSTIME: i32 = 1;

/// When a call that begins now times out, if it may sleep but not for ever.
pub(super) fn due(call: &Syscall, now: Duration) -> Option<Duration> {
    let timespec = |time: Timespec| time.nanoseconds().map(Duration::from_nanos);
    let time = match call {
        Syscall::EpollWait { timeout, .. }
        | Syscall::EpollPwait { timeout, .. }
        | Syscall::Poll { timeout, .. } => timeout.milliseconds().map(Duration::from_millis),
        Syscall::EpollPwait2 {
            timeout: Ptr::To(time),
            ..
        }
        | Syscall::Nanosleep {
            req: Ptr::To(time), ..
        } => timespec(*time),
        Syscall::ClockNanosleep {
            flags,
            req: Ptr::To(time),
            ..
        } => {
            let time = timespec(*time);
            if flags & TIMER_ABSTIME == 0 {
                time
            } else {
                time.map(|time| time.saturating_sub(now))
            }
        }
        Syscall::Select(select) => {
            let time = select.timeout.and_then(|time| time.nanoseconds());
            time.map(Duration::from_nanos)
        }
        Syscall::Pselect6 { select, .. } => select.timeout.and_then(timespec),
        Syscall::Ppoll { timeout, .. } => timeout.and_then(timespec),
        _ => None,
    };
    let time = time.filter(|time| !time.is_zero())?;
    Some(now.saturating_add(time))
}

/// The call with a point in time as the machine's clocks count it. A time that has come is left as it is: the
/// lab's clock began with the scenario, the machine's before.
pub(super) fn in_real_time(call: Syscall, now: Duration) -> Syscall {
    match call {
        Syscall::ClockNanosleep {
            clockid,
            flags,
            req: Ptr::To(time),
            rem,
        } if flags & TIMER_ABSTIME != 0 => {
            let ahead = due(&call, now).map(|due| due.saturating_sub(now));
            let real = ahead.and_then(|ahead| ffi::clock(clockid)?.checked_add(ahead));
            let req = Ptr::To(real.map_or(time, |real| Timespec {
                tv_sec: i64::try_from(real.as_secs()).unwrap_or(i64::MAX),
                tv_nsec: real.subsec_nanos().into(),
            }));
            Syscall::ClockNanosleep {
                clockid,
                flags,
                req,
                rem,
            }
        }
        call => call,
    }
}

impl Linux {
    /// Lets the lab's clock go on, and as much real time pass.
    pub(super) fn advance(&mut self, time: Duration) -> Result<(), LabError> {
        std::thread::sleep(time);
        self.clock = self.clock.saturating_add(time);
        let start = Instant::now();
        loop {
            self.collect()?;
            // A sleeper whose time is up may be stopped elsewhere by now, at the mutex of a frozen scan.
            if !self.any_due() || self.tasks.any_frozen() || start.elapsed() > LATE {
                break;
            }
            self.doze(|| false);
        }
        self.release_late();
        Ok(())
    }

    fn any_due(&self) -> bool {
        self.tasks.iter().any(|(_, task)| match &task.doing {
            // What is stopped does not come back before it goes on.
            Doing::Call(_) if self.tasks.processes[task.process].stopped => false,
            Doing::Call(flight) => flight.due.is_some_and(|due| due <= self.clock),
            _ => false,
        })
    }

    /// Sets the clock to the end of a timeout that was held back, if `task` is in one.
    pub(super) fn skip_to_timeout(&mut self, task: TaskId) -> bool {
        let held = self.late.iter().find(|(_, ended)| ended.task == task);
        let Some(due) = held.map(|(due, _)| *due) else {
            return false;
        };
        self.clock = self.clock.max(due);
        self.release_late();
        true
    }

    /// Sets the clock to the end of every timeout that was held back.
    pub(super) fn skip_all_timeouts(&mut self) {
        let last = self.late.iter().map(|(due, _)| *due).max();
        self.clock = self.clock.max(last.unwrap_or_default());
        self.release_late();
    }

    /// Tells of the calls whose time is up by now. One that was stopped before goes on first.
    pub(super) fn release_late(&mut self) {
        let (clock, tasks) = (self.clock, &self.tasks);
        let is_over = |(due, ended): &mut (Duration, Ended)| {
            *due <= clock && !tasks.process_of(ended.task).is_ok_and(|it| it.stopped)
        };
        let over: Vec<_> = self.late.extract_if(.., is_over).collect();
        for (_, ended) in over {
            self.tasks.let_go(ended.task);
            self.ended.push(ended);
        }
    }
}
