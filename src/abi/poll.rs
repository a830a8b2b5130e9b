//! The vocabulary of poll(2) and select(2).

use std::fmt;

use super::{EventMask, Fd};

/// `struct pollfd` with only the half that goes in, or with the half that comes out.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct PollFd {
    /// The descriptor; a negative one is skipped.
    pub fd: Fd,
    /// What is asked for; 16 bits in C.
    pub events: EventMask,
    /// What is reported.
    pub revents: EventMask,
}

/// `fd_set`: a set of descriptors below 1024, in ascending order.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct FdSet(Vec<Fd>);

impl FdSet {
    /// The number of descriptors that fit (`FD_SETSIZE`).
    pub const SIZE: i32 = 1024;

    /// Whether `fd` is in the set.
    pub fn contains(&self, fd: Fd) -> bool {
        self.0.binary_search(&fd).is_ok()
    }

    /// The descriptors, ascending.
    pub fn iter(&self) -> impl Iterator<Item = Fd> + '_ {
        self.0.iter().copied()
    }

    /// How many descriptors it holds.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Keeps what fits into an `fd_set`, once each.
impl FromIterator<Fd> for FdSet {
    fn from_iter<I: IntoIterator<Item = Fd>>(fds: I) -> FdSet {
        let mut fds: Vec<Fd> = fds
            .into_iter()
            .filter(|fd| (0..FdSet::SIZE).contains(&fd.0))
            .collect();
        fds.sort_unstable();
        fds.dedup();
        FdSet(fds)
    }
}

/// strace's spelling: `[3 5]`.
impl fmt::Display for FdSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[")?;
        for (i, fd) in self.0.iter().enumerate() {
            write!(f, "{}{fd}", if i == 0 { "" } else { " " })?;
        }
        f.write_str("]")
    }
}
