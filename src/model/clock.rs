//! Virtual time: it stands still while anybody can run, and jumps when a scenario says so or when
//! everybody sleeps.

use super::Machine;
use super::eventpoll::Deadline;

impl Machine {
    /// The deadline of a call that begins now and may sleep for so many nanoseconds.
    pub(crate) fn deadline_after(&self, nanoseconds: u64) -> Deadline {
        match nanoseconds {
            0 => Deadline::Now,
            n => Deadline::At(self.now.saturating_add(n)),
        }
    }

    /// The deadline of a timeout in milliseconds, of which a negative one is none.
    #[inline]
    pub(crate) fn deadline_ms(&self, timeout: i32) -> Deadline {
        match u64::try_from(timeout) {
            Ok(ms) => self.deadline_after(ms * 1_000_000),
            Err(_) => Deadline::Never,
        }
    }

    /// The next moment at which a sleeping call's time is up.
    pub(crate) fn next_deadline(&self) -> Option<u64> {
        let deadlines = self
            .tasks
            .iter()
            .filter_map(|task| task.call.as_ref()?.deadline());
        deadlines.filter(|at| *at > self.now).min()
    }

    /// Lets time pass up to the next such moment. `false` if there is none by then.
    pub(crate) fn jump(&mut self, no_later_than: u64) -> bool {
        match self.next_deadline().filter(|at| *at <= no_later_than) {
            Some(at) => {
                self.now = at;
                true
            }
            None => false,
        }
    }
}
