//! Tasks, and what processes have besides files.

use std::fmt;

use super::Signal;

/// A thread of the lab, numbered in the order of creation; the first one is [`TaskId::MAIN`].
///
/// Where a call deals in process ids (fork(2), wait4(2), kcmp(2)) both backends use these numbers.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct TaskId(pub u32);

impl TaskId {
    /// The task that a scenario starts with.
    pub const MAIN: TaskId = TaskId(0);

    /// As the `pid_t` that fork(2) returns for it: one more, since 0 means something else there.
    pub fn pid(self) -> i32 {
        i32::try_from(self.0).map_or(i32::MAX, |n| n.saturating_add(1))
    }

    /// The task whose `pid_t` this is.
    pub fn from_pid(pid: i32) -> Option<TaskId> {
        u32::try_from(pid).ok()?.checked_sub(1).map(TaskId)
    }
}

/// What wait4(2) tells of a child.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum WaitStatus {
    /// It called exit with this status.
    Exited(i32),
    /// This signal ended it.
    Signaled(Signal),
    /// This signal stopped it (`WUNTRACED`).
    Stopped(Signal),
    /// SIGCONT made it go on (`WCONTINUED`).
    Continued,
}

impl fmt::Display for WaitStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            WaitStatus::Exited(status) => {
                write!(f, "[{{WIFEXITED(s) && WEXITSTATUS(s) == {status}}}]")
            }
            WaitStatus::Signaled(signal) => {
                write!(f, "[{{WIFSIGNALED(s) && WTERMSIG(s) == {signal}}}]")
            }
            WaitStatus::Stopped(signal) => {
                write!(f, "[{{WIFSTOPPED(s) && WSTOPSIG(s) == {signal}}}]")
            }
            WaitStatus::Continued => f.write_str("[{WIFCONTINUED(s)}]"),
        }
    }
}

/// `struct rlimit64` (prlimit(2)).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Rlimit {
    /// The soft limit, which counts.
    pub rlim_cur: u64,
    /// The hard limit, up to which it may be raised.
    pub rlim_max: u64,
}

impl fmt::Display for Rlimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{{rlim_cur={}, rlim_max={}}}",
            self.rlim_cur, self.rlim_max
        )
    }
}
