//! Sleeping for its own sake: nanosleep(2), clock_nanosleep(2), pause(2), rt_sigsuspend(2).

use super::super::Kernel;
use super::super::call::{Flow, Held, Steps};
use super::super::clock::Clock;
use super::super::encode::{Encode, Encoder, Number, variant_is_number};
use super::super::eventpoll::Deadline;
use super::super::signal::restart::{ERESTART_RESTARTBLOCK, ERESTARTNOHAND};
use super::SIGSET_SIZE;
use crate::abi::{Answer, Errno, Out, OutPtr, Ptr, Room, SigSet, TaskId, Timespec};
use crate::backend::LabError;
use crate::trace::Observer;

/// A call in flight.
#[derive(Clone, Debug)]
pub(crate) struct Sleep {
    what: What,
    deadline: Deadline,
    at: At,
    answer: Answer,
}

#[derive(Clone, Copy, Debug)]
enum What {
    /// Until a time comes. Who asks how much was left when a signal came is told here.
    Time { left: OutPtr },
    /// Until a time of the clock.
    AbsoluteTime,
    /// Until a handler has run.
    Pause,
    /// The same, with another mask meanwhile.
    Suspend(SigSet),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum At {
    /// About to fall asleep.
    Begin,
    Sleep,
}

/// `TIMER_ABSTIME`
const ABSTIME: i32 = 1;

impl Sleep {
    fn new(what: What, deadline: Deadline) -> Sleep {
        Sleep {
            what,
            deadline,
            at: At::Begin,
            answer: Answer::Blocked,
        }
    }

    /// The same call before its first step.
    pub(crate) fn rewound(self) -> Sleep {
        Sleep::new(self.what, self.deadline)
    }

    pub(super) fn pause() -> Sleep {
        Sleep::new(What::Pause, Deadline::Never)
    }
}

impl<O: Observer> Kernel<'_, O> {
    /// nanosleep(2)
    pub(super) fn begin_nanosleep(&self, req: Ptr<Timespec>, rem: OutPtr) -> Result<Sleep, Errno> {
        let deadline = self.m.now.saturating_add(nanoseconds(req)?);
        Ok(Sleep::new(What::Time { left: rem }, Deadline::At(deadline)))
    }

    /// clock_nanosleep(2)
    pub(super) fn begin_clock_nanosleep(
        &self,
        clockid: i32,
        flags: i32,
        req: Ptr<Timespec>,
        rem: OutPtr,
    ) -> Result<Result<Sleep, Errno>, LabError> {
        let clock = match clockid {
            // CLOCK_REALTIME, CLOCK_TAI
            0 | 11 => Clock::Realtime,
            // CLOCK_MONOTONIC, CLOCK_BOOTTIME
            1 | 7 => Clock::Monotonic,
            // CLOCK_MONOTONIC_RAW and the coarse ones can be read, but nobody can sleep by them.
            4..=6 => return Ok(Err(Errno::EOPNOTSUPP)),
            2 | 3 | 8 | 9 => {
                return Err(LabError::new(
                    "the lab sleeps by no clock but those of time",
                ));
            }
            clockid if clockid < 0 => {
                return Err(LabError::new("the lab has no clocks of its own"));
            }
            _ => return Ok(Err(Errno::EINVAL)),
        };
        if flags & ABSTIME == 0 {
            return Ok(self.begin_nanosleep(req, rem));
        }
        Ok(nanoseconds(req).map(|time| {
            let at = time.saturating_sub(clock.start());
            Sleep::new(What::AbsoluteTime, Deadline::At(at))
        }))
    }

    /// rt_sigsuspend(2)
    pub(super) fn begin_sigsuspend(
        &mut self,
        task: TaskId,
        mask: Ptr<SigSet>,
        sigsetsize: u64,
    ) -> Result<Sleep, Errno> {
        if sigsetsize != SIGSET_SIZE {
            return Err(Errno::EINVAL);
        }
        let Ptr::To(mask) = mask else {
            return Err(Errno::EFAULT);
        };
        self.swap_mask(task, mask);
        Ok(Sleep::new(What::Suspend(mask), Deadline::Never))
    }

    /// The same once more, with what is left of the time.
    pub(crate) fn sleep_again(&mut self, task: TaskId, call: Sleep) -> Sleep {
        if let What::Suspend(mask) = call.what {
            self.swap_mask(task, mask);
        }
        call
    }

    /// Step: go on when the time has come, or for a signal (`do_nanosleep`).
    fn sleep_on(&mut self, task: TaskId, call: &mut Sleep) -> Flow {
        if !self.m.task(task).is_awake() {
            return Flow::Blocked;
        }
        if self.m.run_again(task) {
            call.answer = Answer::ret(0);
        } else if self.m.task(task).sigpending {
            call.answer = self.interrupted(call);
        } else {
            call.at = At::Begin;
            return Flow::Next;
        }
        Flow::Done
    }

    fn interrupted(&self, call: &Sleep) -> Answer {
        let What::Time { left } = call.what else {
            return Answer::err(ERESTARTNOHAND);
        };
        let until = call.deadline.moment().unwrap_or_default();
        let remaining = until.saturating_sub(self.m.now);
        match left {
            OutPtr::Addr(0) => Answer::err(ERESTART_RESTARTBLOCK),
            _ if remaining == 0 => Answer::ret(0),
            OutPtr::Memory(Room::Plenty) => {
                let left = Timespec::from_nanoseconds(remaining);
                Answer::Failed(ERESTART_RESTARTBLOCK, Out::Timespec(left))
            }
            OutPtr::Memory(Room::Bytes(_) | Room::Frozen) | OutPtr::Addr(_) => {
                Answer::err(Errno::EFAULT)
            }
        }
    }
}

/// `get_timespec64` and `timespec64_valid`
fn nanoseconds(req: Ptr<Timespec>) -> Result<u64, Errno> {
    match req {
        Ptr::To(time) => time.nanoseconds().ok_or(Errno::EINVAL),
        Ptr::Addr(_) => Err(Errno::EFAULT),
    }
}

impl Steps for Sleep {
    fn step<O: Observer>(&mut self, kernel: &mut Kernel<'_, O>, task: TaskId) -> Flow {
        match self.at {
            At::Begin => {
                kernel.m.fall_asleep(task, self.deadline);
                self.at = At::Sleep;
                Flow::Next
            }
            At::Sleep => kernel.sleep_on(task, self),
        }
    }

    fn answer(&mut self) -> Answer {
        std::mem::replace(&mut self.answer, Answer::Blocked)
    }

    fn held(&self, held: &mut Held) {
        held.may_sleep = self.at == At::Sleep;
    }

    fn deadline(&self) -> Option<u64> {
        self.deadline.moment().filter(|_| self.at == At::Sleep)
    }

    fn at(&self) -> String {
        let call = match self.what {
            What::Time { .. } | What::AbsoluteTime => "do_nanosleep",
            What::Pause => "pause",
            What::Suspend(_) => "sigsuspend",
        };
        format!("{call}: {:?}", self.at)
    }
}

variant_is_number!(At);

impl Encode for Sleep {
    fn encode(&self, to: &mut Encoder<'_>) {
        let Sleep {
            what,
            deadline,
            at,
            answer: _, // known at the end only
        } = self;
        to.numbers([at.number(to), deadline.number(to)]);
        match what {
            What::Time { left } => {
                to.byte(0);
                left.encode(to);
            }
            What::AbsoluteTime => to.byte(1),
            What::Pause => to.byte(2),
            What::Suspend(mask) => {
                to.byte(3);
                mask.encode(to);
            }
        }
    }
}
