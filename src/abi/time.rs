//! Times as system calls take them.

use std::fmt;

/// The timeout of epoll_wait(2) and poll(2) in milliseconds; which negative number it is does not matter.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Timeout(pub i32);

impl Timeout {
    /// Not at all: look, and return.
    pub const NOW: Timeout = Timeout(0);
    /// As long as it takes.
    pub const FOREVER: Timeout = Timeout(-1);

    /// How long a call may sleep; `None` is for ever.
    pub fn milliseconds(self) -> Option<u64> {
        u64::try_from(self.0).ok()
    }
}

impl From<i32> for Timeout {
    fn from(milliseconds: i32) -> Timeout {
        Timeout(milliseconds)
    }
}

impl fmt::Display for Timeout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// `struct timespec`: seconds and nanoseconds, valid or not.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Timespec {
    /// Whole seconds.
    pub tv_sec: i64,
    /// Nanoseconds; valid from 0 to 999,999,999.
    pub tv_nsec: i64,
}

impl Timespec {
    /// This long.
    pub fn from_nanoseconds(nanoseconds: u64) -> Timespec {
        let part = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        Timespec {
            tv_sec: part(nanoseconds / 1_000_000_000),
            tv_nsec: part(nanoseconds % 1_000_000_000),
        }
    }

    /// In nanoseconds, saturating; `None` where the kernel says `EINVAL`.
    pub fn nanoseconds(self) -> Option<u64> {
        let sec = u64::try_from(self.tv_sec).ok()?;
        let nsec = u64::try_from(self.tv_nsec)
            .ok()
            .filter(|nsec| *nsec < 1_000_000_000)?;
        Some(sec.saturating_mul(1_000_000_000).saturating_add(nsec))
    }
}

impl From<u64> for Timespec {
    /// So many nanoseconds.
    fn from(nanoseconds: u64) -> Timespec {
        let part = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
        Timespec {
            tv_sec: part(nanoseconds / 1_000_000_000),
            tv_nsec: part(nanoseconds % 1_000_000_000),
        }
    }
}

impl fmt::Display for Timespec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{{tv_sec={}, tv_nsec={}}}", self.tv_sec, self.tv_nsec)
    }
}

/// `struct itimerspec`: a timer, or what is left of one.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Itimerspec {
    /// The period; 0 is none.
    pub it_interval: Timespec,
    /// The first expiry; 0 is never.
    pub it_value: Timespec,
}

impl fmt::Display for Itimerspec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Itimerspec {
            it_interval,
            it_value,
        } = self;
        write!(f, "{{it_interval={it_interval}, it_value={it_value}}}")
    }
}

/// `struct timeval` of select(2): seconds and microseconds.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Timeval {
    /// Whole seconds.
    pub tv_sec: i64,
    /// Microseconds; select(2) carries whole seconds in them over.
    pub tv_usec: i64,
}

impl Timeval {
    /// In nanoseconds, saturating, after the carry that select(2) makes (`kern_select` in
    /// fs/select.c); `None` where the kernel says `EINVAL`.
    pub fn nanoseconds(self) -> Option<u64> {
        let carry = self.tv_usec / 1_000_000;
        let tv_nsec = (self.tv_usec % 1_000_000) * 1000;
        Timespec {
            tv_sec: self.tv_sec.checked_add(carry)?,
            tv_nsec,
        }
        .nanoseconds()
    }
}

impl fmt::Display for Timeval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{{tv_sec={}, tv_usec={}}}", self.tv_sec, self.tv_usec)
    }
}
