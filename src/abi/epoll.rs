//! The vocabulary of epoll_create(2), epoll_ctl(2) and epoll_wait(2).

use std::fmt;

use super::EventMask;
use super::fd::write_flags;

/// The largest legal `maxevents`: `INT_MAX` divided by the 12 bytes of x86-64's packed
/// `struct epoll_event` (`EP_MAX_EVENTS` in fs/eventpoll.c; 16 bytes elsewhere).
pub const EP_MAX_EVENTS: i32 = i32::MAX / EpollEvent::SIZE_I32;

/// `struct epoll_event`: a mask and 64 bits that the kernel never looks at.
///
/// In C the 64 bits are the union `epoll_data_t` of `ptr`, `fd`, `u32` and `u64`. All four members
/// overlay the same bytes (little-endian), hence the four views of [`EpollEvent::data`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct EpollEvent {
    /// What is asked for, or what is reported.
    pub events: EventMask,
    /// `data.u64`: returned as it was given.
    pub data: u64,
}

impl EpollEvent {
    /// Bytes of the C struct in user memory, where it is packed.
    pub const SIZE: u64 = if cfg!(target_arch = "x86_64") { 12 } else { 16 };
    const SIZE_I32: i32 = if cfg!(target_arch = "x86_64") { 12 } else { 16 };

    /// An event whose data is a plain number.
    pub fn new(events: EventMask, data: u64) -> EpollEvent {
        EpollEvent { events, data }
    }

    /// `data.u32`: the lower half.
    #[expect(clippy::as_conversions, reason = "the union's view is the truncation")]
    pub fn u32(self) -> u32 {
        self.data as u32
    }

    /// `data.fd`: the lower half as an int.
    pub fn fd(self) -> i32 {
        self.u32().cast_signed()
    }

    /// `data.ptr`: all 64 bits as an address.
    pub fn ptr(self) -> u64 {
        self.data
    }
}

/// strace's spelling up to 6.12: `{events=EPOLLIN, data={u32=7, u64=7}}`.
impl fmt::Display for EpollEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{{events={}, data={{u32={}, u64={}}}}}",
            self.events,
            self.u32(),
            self.data
        )
    }
}

/// The `op` of epoll_ctl(2): any int, of which three mean something.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct CtlOp(pub i32);

impl CtlOp {
    /// Start watching (`EPOLL_CTL_ADD`).
    pub const ADD: CtlOp = CtlOp(1);
    /// Stop watching (`EPOLL_CTL_DEL`).
    pub const DEL: CtlOp = CtlOp(2);
    /// Change mask and data, and look again (`EPOLL_CTL_MOD`).
    pub const MOD: CtlOp = CtlOp(3);
}

/// `EPOLL_CTL_ADD`, or for an op that does not exist strace's `0x63 /* EPOLL_CTL_??? */`.
impl fmt::Display for CtlOp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            1 => f.write_str("EPOLL_CTL_ADD"),
            2 => f.write_str("EPOLL_CTL_DEL"),
            3 => f.write_str("EPOLL_CTL_MOD"),
            other => write!(f, "{other:#x} /* EPOLL_CTL_??? */"),
        }
    }
}

bitflags::bitflags! {
    /// The `flags` of epoll_create1(2).
    #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
    pub struct EpollCreateFlags: u32 {
        /// Close the new descriptor on execve(2) (`EPOLL_CLOEXEC`).
        const CLOEXEC = 0o2000000;

        const _ = !0;
    }
}

impl fmt::Display for EpollCreateFlags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_flags(f, &[(0o2000000, "EPOLL_CLOEXEC")], self.bits(), "0")
    }
}

/// `struct epoll_params`: busy polling of one epoll (`EPIOCSPARAMS`, ioctl_eventpoll(2), Linux 6.9).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct EpollParams {
    /// Microseconds to poll the network device before sleeping.
    pub busy_poll_usecs: u32,
    /// Packets a poll may take; more than 64 needs `CAP_NET_ADMIN`.
    pub busy_poll_budget: u16,
    /// 0 or 1: prefer polling to interrupts.
    pub prefer_busy_poll: u8,
    /// Must be 0.
    pub pad: u8,
}

impl fmt::Display for EpollParams {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{{busy_poll_usecs={}, busy_poll_budget={}, prefer_busy_poll={}",
            self.busy_poll_usecs, self.busy_poll_budget, self.prefer_busy_poll
        )?;
        if self.pad != 0 {
            write!(f, ", __pad={}", self.pad)?;
        }
        f.write_str("}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_is_one_word_with_four_views() {
        let event = EpollEvent::new(EventMask::IN, 0xffff_ffff_0000_0005);
        assert_eq!(
            (event.u32(), event.fd(), event.ptr()),
            (5, 5, 0xffff_ffff_0000_0005)
        );
        assert_eq!(EpollEvent::new(EventMask::IN, 0xffff_ffff).fd(), -1);
        assert_eq!(
            EpollEvent::new(EventMask::IN, 7).to_string(),
            "{events=EPOLLIN, data={u32=7, u64=7}}"
        );
    }
}
