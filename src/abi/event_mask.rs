//! The `events` word of epoll: which conditions are asked for or reported, and how.

use std::fmt;

bitflags::bitflags! {
    /// The bits of `struct epoll_event.events` (epoll_ctl(2)); poll(2) uses the low half of them.
    ///
    /// Unknown bits are kept: the kernel stores and shows them, and never reports one.
    #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
    pub struct EventMask: u32 {
        /// There is something to read (`EPOLLIN`).
        const IN = 0x1;
        /// An exceptional condition, such as out-of-band data (`EPOLLPRI`).
        const PRI = 0x2;
        /// Writing is possible (`EPOLLOUT`).
        const OUT = 0x4;
        /// An error, or a pipe without reader; reported without being asked for (`EPOLLERR`).
        const ERR = 0x8;
        /// Hang-up; reported without being asked for (`EPOLLHUP`).
        const HUP = 0x10;
        /// The descriptor is not open: an answer of poll(2), never of epoll (`POLLNVAL`).
        const NVAL = 0x20;
        /// Normal data to read (`EPOLLRDNORM`).
        const RDNORM = 0x40;
        /// Priority band data to read (`EPOLLRDBAND`).
        const RDBAND = 0x80;
        /// Normal data may be written (`EPOLLWRNORM`).
        const WRNORM = 0x100;
        /// Priority data may be written (`EPOLLWRBAND`).
        const WRBAND = 0x200;
        /// Never reported on Linux (`EPOLLMSG`).
        const MSG = 0x400;
        /// The peer closed or shut down its writing half (`EPOLLRDHUP`).
        const RDHUP = 0x2000;
        /// Wake one epoll of several that watch the file (`EPOLLEXCLUSIVE`).
        const EXCLUSIVE = 1 << 28;
        /// Keep the system awake while the event is pending (`EPOLLWAKEUP`).
        const WAKEUP = 1 << 29;
        /// Report once, then stay silent until re-armed (`EPOLLONESHOT`).
        const ONESHOT = 1 << 30;
        /// Edge-triggered (`EPOLLET`).
        const ET = 1 << 31;

        const _ = !0;
    }
}

/// In the order in which strace prints them.
const NAMES: [(EventMask, &str); 16] = [
    (EventMask::IN, "IN"),
    (EventMask::PRI, "PRI"),
    (EventMask::OUT, "OUT"),
    (EventMask::RDNORM, "RDNORM"),
    (EventMask::RDBAND, "RDBAND"),
    (EventMask::WRNORM, "WRNORM"),
    (EventMask::WRBAND, "WRBAND"),
    (EventMask::MSG, "MSG"),
    (EventMask::ERR, "ERR"),
    (EventMask::HUP, "HUP"),
    (EventMask::NVAL, "NVAL"),
    (EventMask::RDHUP, "RDHUP"),
    (EventMask::EXCLUSIVE, "EXCLUSIVE"),
    (EventMask::WAKEUP, "WAKEUP"),
    (EventMask::ONESHOT, "ONESHOT"),
    (EventMask::ET, "ET"),
];

impl EventMask {
    /// The bit that `EPOLLIN` or `POLLIN` names.
    pub fn from_symbol(name: &str) -> Option<EventMask> {
        let short = name
            .strip_prefix("EPOLL")
            .or_else(|| name.strip_prefix("POLL"))?;
        NAMES
            .iter()
            .find(|(_, known)| *known == short)
            .map(|(bit, _)| *bit)
    }

    /// In the key of a wake-up, and nowhere else: the wait queue is about to be freed.
    pub const POLLFREE: EventMask = EventMask::from_bits_retain(0x4000);

    /// Spelled as the key of a wake-up: `EPOLLHUP|POLLFREE`.
    pub fn as_key(self) -> impl fmt::Display {
        Key(self)
    }

    /// The bits by themselves, as tables name them: `IN|OUT`.
    pub fn as_bits(self) -> impl fmt::Display {
        Spelled {
            mask: self,
            prefix: "",
        }
    }

    /// Spelled for poll(2): `POLLIN|POLLOUT`.
    pub fn as_poll(self) -> impl fmt::Display {
        Spelled {
            mask: self,
            prefix: "POLL",
        }
    }
}

struct Key(EventMask);

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Key(key) = *self;
        if key.contains(EventMask::POLLFREE) {
            write!(f, "{}|POLLFREE", key - EventMask::POLLFREE)
        } else {
            key.fmt(f)
        }
    }
}

struct Spelled {
    mask: EventMask,
    prefix: &'static str,
}

impl fmt::Display for Spelled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.mask;
        let mut bar = "";
        for (bit, name) in NAMES {
            if rest.contains(bit) {
                // epoll has no name for poll(2)'s bit: it shows as a number, as in strace.
                if bit == EventMask::NVAL && self.prefix == "EPOLL" {
                    continue;
                }
                write!(f, "{bar}{}{name}", self.prefix)?;
                bar = "|";
                rest -= bit;
            }
        }
        if !rest.is_empty() {
            write!(f, "{bar}{:#x}", rest.bits())
        } else if bar.is_empty() {
            f.write_str("0")
        } else {
            Ok(())
        }
    }
}

/// strace's spelling: `EPOLLIN|EPOLLET`, unknown bits as one hexadecimal number, nothing as `0`.
impl fmt::Display for EventMask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Spelled {
            mask: *self,
            prefix: "EPOLL",
        }
        .fmt(f)
    }
}

impl fmt::Debug for EventMask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::EventMask;

    #[test]
    fn prints_as_strace_does() {
        assert_eq!(
            (EventMask::ET | EventMask::IN).to_string(),
            "EPOLLIN|EPOLLET"
        );
        assert_eq!(
            EventMask::from_bits_retain(0x0f00_f801).to_string(),
            "EPOLLIN|EPOLLRDHUP|0xf00d800"
        );
        assert_eq!(EventMask::empty().to_string(), "0");
        assert_eq!(EventMask::NVAL.as_poll().to_string(), "POLLNVAL");
        assert_eq!(EventMask::NVAL.to_string(), "0x20");
        let bits = EventMask::IN | EventMask::HUP;
        assert_eq!(bits.as_bits().to_string(), "IN|HUP");
    }
}
