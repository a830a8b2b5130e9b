//! File descriptors and the flag words that travel with them.

use std::fmt;

/// A file descriptor as a program passes it: any `int`, open or not.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Fd(pub i32);

impl Fd {
    /// "Relative to the working directory" in openat(2).
    pub const AT_FDCWD: Fd = Fd(-100);
}

impl fmt::Display for Fd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Fd::AT_FDCWD {
            f.write_str("AT_FDCWD")
        } else {
            self.0.fmt(f)
        }
    }
}

/// Prints a flag word as strace does: `A|B`, unknown bits as one hexadecimal number, nothing as `zero`.
pub(super) fn write_flags(
    f: &mut fmt::Formatter<'_>,
    names: &[(u32, &str)],
    mut rest: u32,
    zero: &str,
) -> fmt::Result {
    let mut bar = "";
    for (bit, name) in names {
        if rest & bit == *bit {
            write!(f, "{bar}{name}")?;
            bar = "|";
            rest &= !bit;
        }
    }
    match (rest, bar) {
        (0, "") => f.write_str(zero),
        (0, _) => Ok(()),
        _ => write!(f, "{bar}{rest:#x}"),
    }
}

bitflags::bitflags! {
    /// `O_*`: access mode and status of an open file description (open(2)), as on x86-64.
    ///
    /// The access mode is a number in the two lowest bits, not a set: see [`OpenFlags::readable`].
    #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
    pub struct OpenFlags: u32 {
        /// Open for writing only.
        const WRONLY = 0o1;
        /// Open for reading and writing.
        const RDWR = 0o2;
        /// Create the file.
        const CREAT = 0o100;
        /// Fail if it exists.
        const EXCL = 0o200;
        /// A terminal does not become that of the caller.
        const NOCTTY = 0o400;
        /// Cut to length 0.
        const TRUNC = 0o1000;
        /// Every write goes to the end.
        const APPEND = 0o2000;
        /// Calls that would block fail with `EAGAIN` instead.
        const NONBLOCK = 0o4000;
        /// On a pipe: packet mode, one read returns one write (pipe(2)).
        const DIRECT = 0o40000;
        /// Large file; the kernel sets it on every 64-bit open.
        const LARGEFILE = 0o100000;
        /// Fail if it is no directory.
        const DIRECTORY = 0o200000;
        /// Close on execve(2).
        const CLOEXEC = 0o2000000;
        /// A name only: no reading, writing or polling.
        const PATH = 0o10000000;

        const _ = !0;
    }
}

impl OpenFlags {
    /// The two bits of the access mode.
    pub const ACCMODE: OpenFlags = OpenFlags::from_bits_retain(0o3);

    /// Whether read(2) is allowed.
    pub fn readable(self) -> bool {
        !self.contains(OpenFlags::PATH) && !self.contains(OpenFlags::WRONLY)
    }

    /// Whether write(2) is allowed.
    pub fn writable(self) -> bool {
        !self.contains(OpenFlags::PATH) && self.intersects(OpenFlags::ACCMODE)
    }
}

/// In the order in which strace prints them, the access mode first.
const OPEN_NAMES: [(u32, &str); 11] = [
    (0o100, "O_CREAT"),
    (0o200, "O_EXCL"),
    (0o400, "O_NOCTTY"),
    (0o1000, "O_TRUNC"),
    (0o2000, "O_APPEND"),
    (0o4000, "O_NONBLOCK"),
    (0o40000, "O_DIRECT"),
    (0o100000, "O_LARGEFILE"),
    (0o200000, "O_DIRECTORY"),
    (0o2000000, "O_CLOEXEC"),
    (0o10000000, "O_PATH"),
];

impl OpenFlags {
    /// The flag that a name such as `O_NONBLOCK` stands for.
    pub fn from_symbol(name: &str) -> Option<OpenFlags> {
        let bits = match name {
            "O_RDONLY" => 0,
            "O_WRONLY" => 1,
            "O_RDWR" => 2,
            _ => OPEN_NAMES.iter().find(|(_, known)| *known == name)?.0,
        };
        Some(OpenFlags::from_bits_retain(bits))
    }

    /// As pipe2(2) takes them: without an access mode.
    pub fn without_mode(self) -> impl fmt::Display {
        struct Plain(u32);
        impl fmt::Display for Plain {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write_flags(f, &OPEN_NAMES, self.0, "0")
            }
        }
        Plain(self.bits())
    }
}

/// As openat(2) takes them: `O_RDWR|O_CLOEXEC`.
impl fmt::Display for OpenFlags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.bits() & 3 {
            0 => "O_RDONLY",
            1 => "O_WRONLY",
            2 => "O_RDWR",
            _ => "O_ACCMODE",
        })?;
        match self.bits() & !3 {
            0 => Ok(()),
            rest => {
                f.write_str("|")?;
                write_flags(f, &OPEN_NAMES, rest, "")
            }
        }
    }
}

bitflags::bitflags! {
    /// `FD_*`: what belongs to the descriptor and not to the description (`F_GETFD` in fcntl(2)).
    #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
    pub struct FdFlags: u32 {
        /// Close on execve(2).
        const CLOEXEC = 1;

        const _ = !0;
    }
}

impl fmt::Display for FdFlags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_flags(f, &[(1, "FD_CLOEXEC")], self.bits(), "0")
    }
}
