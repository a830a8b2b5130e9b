//! inotify(7): what can be watched and told.

use std::fmt;

use super::fd::write_flags;

bitflags::bitflags! {
    /// `IN_*`: what is asked for, what has happened, and how a watch is made (inotify(7)).
    #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
    pub struct InotifyMask: u32 {
        /// It was read.
        const ACCESS = 0x1;
        /// It was written, or cut.
        const MODIFY = 0x2;
        /// Something about it has changed that is not in it, such as how many names it has.
        const ATTRIB = 0x4;
        /// Somebody who could write has closed it.
        const CLOSE_WRITE = 0x8;
        /// Somebody who could not has.
        const CLOSE_NOWRITE = 0x10;
        /// It was opened.
        const OPEN = 0x20;
        /// A name has left the directory.
        const MOVED_FROM = 0x40;
        /// A name has come to it.
        const MOVED_TO = 0x80;
        /// There is a new name in it.
        const CREATE = 0x100;
        /// One is gone.
        const DELETE = 0x200;
        /// What is watched is gone itself.
        const DELETE_SELF = 0x400;
        /// It has another name.
        const MOVE_SELF = 0x800;
        /// Only told: the file system is gone.
        const UNMOUNT = 0x2000;
        /// Only told: the queue was full.
        const Q_OVERFLOW = 0x4000;
        /// Only told: the watch is gone.
        const IGNORED = 0x8000;
        /// Only asked: fail unless it is a directory.
        const ONLYDIR = 0x0100_0000;
        /// Only asked: do not follow a symbolic link.
        const DONT_FOLLOW = 0x0200_0000;
        /// Only asked: nothing about files that have lost their names.
        const EXCL_UNLINK = 0x0400_0000;
        /// Only asked: fail if there is a watch.
        const MASK_CREATE = 0x1000_0000;
        /// Only asked: in addition to what the watch wants already.
        const MASK_ADD = 0x2000_0000;
        /// Only told: it was a directory.
        const ISDIR = 0x4000_0000;
        /// Only asked: one event, and then the watch goes.
        const ONESHOT = 0x8000_0000;

        const _ = !0;
    }
}

/// In the order in which strace prints them.
const NAMES: &[(u32, &str)] = &[
    (0x1, "IN_ACCESS"),
    (0x2, "IN_MODIFY"),
    (0x4, "IN_ATTRIB"),
    (0x8, "IN_CLOSE_WRITE"),
    (0x10, "IN_CLOSE_NOWRITE"),
    (0x20, "IN_OPEN"),
    (0x40, "IN_MOVED_FROM"),
    (0x80, "IN_MOVED_TO"),
    (0x100, "IN_CREATE"),
    (0x200, "IN_DELETE"),
    (0x400, "IN_DELETE_SELF"),
    (0x800, "IN_MOVE_SELF"),
    (0x2000, "IN_UNMOUNT"),
    (0x4000, "IN_Q_OVERFLOW"),
    (0x8000, "IN_IGNORED"),
    (0x0100_0000, "IN_ONLYDIR"),
    (0x0200_0000, "IN_DONT_FOLLOW"),
    (0x0400_0000, "IN_EXCL_UNLINK"),
    (0x1000_0000, "IN_MASK_CREATE"),
    (0x2000_0000, "IN_MASK_ADD"),
    (0x4000_0000, "IN_ISDIR"),
    (0x8000_0000, "IN_ONESHOT"),
];

impl InotifyMask {
    /// `IN_ALL_EVENTS`
    pub const ALL_EVENTS: InotifyMask = InotifyMask::from_bits_retain(0xfff);

    /// Every bit that Linux knows.
    pub fn all_known() -> InotifyMask {
        let bits = NAMES.iter().fold(0, |bits, (bit, _)| bits | bit);
        InotifyMask::from_bits_retain(bits)
    }
}

impl fmt::Display for InotifyMask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_flags(f, NAMES, self.bits(), "0")
    }
}

/// What is read (`struct inotify_event`), but for the cookie, whose value belongs to the whole machine.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct InotifyEvent {
    /// The watch; -1 if it is about none.
    pub wd: i32,
    /// What has happened.
    pub mask: InotifyMask,
    /// To which name of the directory that is watched; empty if it is about what is watched itself.
    pub name: Box<str>,
}

impl InotifyEvent {
    /// What stands in a full queue for all that did not fit.
    pub fn overflow() -> InotifyEvent {
        InotifyEvent {
            wd: -1,
            mask: InotifyMask::Q_OVERFLOW,
            name: "".into(),
        }
    }

    /// The bytes that it takes: the name ends with a zero, and is filled up to a multiple of the rest.
    pub fn size(&self) -> u64 {
        /// `sizeof(struct inotify_event)`
        const EVENT: u64 = 16;
        let name = u64::try_from(self.name.len()).unwrap_or(u64::MAX);
        let padded = if name == 0 {
            0
        } else {
            (name + 1).next_multiple_of(EVENT)
        };
        EVENT + padded
    }
}

/// In strace's manner: `{wd=1, mask=IN_CREATE, name="x"}`.
impl fmt::Display for InotifyEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let InotifyEvent { wd, mask, name } = self;
        write!(f, "{{wd={wd}, mask={mask}")?;
        if !name.is_empty() {
            write!(f, ", name={name:?}")?;
        }
        f.write_str("}")
    }
}
