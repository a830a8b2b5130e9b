//! The settings of a terminal (termios(3)), as far as the lab has them.

use std::fmt;

use super::fd::write_flags;

/// `struct termios`, but for the control characters other than `VMIN` and `VTIME`: those are what they are on
/// a new terminal ([`CONTROL_CHARACTERS`]).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Termios {
    /// What becomes of what is typed.
    pub c_iflag: u32,
    /// What becomes of what is printed.
    pub c_oflag: u32,
    /// The line: its speed and its characters.
    pub c_cflag: u32,
    /// Who edits lines, and who echoes.
    pub c_lflag: u32,
    /// Bytes that a raw read(2) waits for.
    pub vmin: u8,
    /// Tenths of a second that it waits for the next.
    pub vtime: u8,
}

/// `IXON`, `ICANON` and the others that have a meaning in the lab.
#[expect(missing_docs, reason = "their names are those of termios(3)")]
pub mod mode {
    pub const INLCR: u32 = 0o100;
    pub const IGNCR: u32 = 0o200;
    pub const ICRNL: u32 = 0o400;
    pub const IXON: u32 = 0o2000;
    pub const OPOST: u32 = 0o1;
    pub const ONLCR: u32 = 0o4;
    pub const B38400: u32 = 0o17;
    pub const CS8: u32 = 0o60;
    pub const CREAD: u32 = 0o200;
    pub const ISIG: u32 = 0o1;
    pub const ICANON: u32 = 0o2;
    pub const ECHO: u32 = 0o10;
    pub const ECHOE: u32 = 0o20;
    pub const ECHOK: u32 = 0o40;
    pub const ECHONL: u32 = 0o100;
    pub const ECHOCTL: u32 = 0o1000;
    pub const ECHOKE: u32 = 0o4000;
    pub const IEXTEN: u32 = 0o100000;
}

use mode::{
    B38400, CREAD, CS8, ECHO, ECHOCTL, ECHOE, ECHOK, ECHOKE, ECHONL, ICANON, ICRNL, IEXTEN, IGNCR,
    INLCR, ISIG, IXON, ONLCR, OPOST,
};

/// A word of one of the four fields.
type Word = (u32, &'static str);

const IFLAG: [Word; 14] = [
    (0o1, "IGNBRK"),
    (0o2, "BRKINT"),
    (0o4, "IGNPAR"),
    (0o10, "PARMRK"),
    (0o20, "INPCK"),
    (0o40, "ISTRIP"),
    (INLCR, "INLCR"),
    (IGNCR, "IGNCR"),
    (ICRNL, "ICRNL"),
    (IXON, "IXON"),
    (0o4000, "IXANY"),
    (0o10000, "IXOFF"),
    (0o20000, "IMAXBEL"),
    (0o40000, "IUTF8"),
];

const OFLAG: [Word; 7] = [
    (OPOST, "OPOST"),
    (0o2, "OLCUC"),
    (ONLCR, "ONLCR"),
    (0o10, "OCRNL"),
    (0o20, "ONOCR"),
    (0o40, "ONLRET"),
    (0o14000, "TAB3"),
];

/// What strace prints of delays that nobody asked for.
const NO_DELAYS: [&str; 6] = ["NL0", "CR0", "TAB0", "BS0", "VT0", "FF0"];

const CFLAG: [Word; 8] = [
    (B38400, "B38400"),
    (CS8, "CS8"),
    (0o100, "CSTOPB"),
    (CREAD, "CREAD"),
    (0o400, "PARENB"),
    (0o1000, "PARODD"),
    (0o2000, "HUPCL"),
    (0o4000, "CLOCAL"),
];

const LFLAG: [Word; 15] = [
    (ISIG, "ISIG"),
    (ICANON, "ICANON"),
    (ECHO, "ECHO"),
    (ECHOE, "ECHOE"),
    (ECHOK, "ECHOK"),
    (ECHONL, "ECHONL"),
    (0o200, "NOFLSH"),
    (0o400, "TOSTOP"),
    (IEXTEN, "IEXTEN"),
    (ECHOCTL, "ECHOCTL"),
    (0o2000, "ECHOPRT"),
    (ECHOKE, "ECHOKE"),
    (0o10000, "FLUSHO"),
    (0o40000, "PENDIN"),
    (0o200000, "EXTPROC"),
];

/// `c_cc` of a new terminal, in its order (`INIT_C_CC`).
pub const CONTROL_CHARACTERS: [(&str, u8); 19] = [
    ("VINTR", 3),
    ("VQUIT", 28),
    ("VERASE", 127),
    ("VKILL", 21),
    ("VEOF", EOF),
    ("VTIME", 0),
    ("VMIN", 1),
    ("VSWTC", 0),
    ("VSTART", 17),
    ("VSTOP", 19),
    ("VSUSP", 26),
    ("VEOL", 0),
    ("VREPRINT", 18),
    ("VDISCARD", 15),
    ("VWERASE", 23),
    ("VLNEXT", 22),
    ("VEOL2", 0),
    ("17", 0),
    ("18", 0),
];

/// The character that ends a line, and is no part of it (`VEOF`).
pub const EOF: u8 = 4;

/// Where `VTIME` and `VMIN` stand in `c_cc`.
const VTIME: usize = 5;
const VMIN: usize = 6;

impl Termios {
    /// `sizeof(struct termios)` of the kernel.
    pub const SIZE: u64 = 36;

    /// A new slave: lines, with echo (`tty_std_termios`).
    pub const SANE: Termios = Termios {
        c_iflag: ICRNL | IXON,
        c_oflag: OPOST | ONLCR,
        c_cflag: B38400 | CS8 | CREAD,
        c_lflag: ISIG | ICANON | ECHO | ECHOE | ECHOK | ECHOCTL | ECHOKE | IEXTEN,
        vmin: 1,
        vtime: 0,
    };

    /// A new master: what goes through it stays as it is.
    pub const RAW: Termios = Termios {
        c_iflag: 0,
        c_oflag: 0,
        c_lflag: 0,
        ..Termios::SANE
    };

    /// The words of one of its fields, by name.
    pub fn words(field: &str) -> Option<&'static [(u32, &'static str)]> {
        match field {
            "c_iflag" => Some(&IFLAG),
            "c_oflag" => Some(&OFLAG),
            "c_cflag" => Some(&CFLAG),
            "c_lflag" => Some(&LFLAG),
            _ => None,
        }
    }

    /// The bits of a word of a field.
    pub fn bits(field: &str, word: &str) -> Option<u32> {
        let words = Termios::words(field)?.iter();
        let mut found = words.filter(|(_, known)| *known == word);
        let none = NO_DELAYS.contains(&word) && field == "c_oflag";
        found.next().map(|(bits, _)| *bits).or(none.then_some(0))
    }

    /// As the kernel takes it.
    pub fn to_bytes(self) -> Vec<u8> {
        let flags = [self.c_iflag, self.c_oflag, self.c_cflag, self.c_lflag];
        let mut bytes = flags.map(u32::to_ne_bytes).concat();
        bytes.push(0); // c_line: N_TTY
        let mut cc = CONTROL_CHARACTERS.map(|(_, character)| character);
        (cc[VTIME], cc[VMIN]) = (self.vtime, self.vmin);
        bytes.extend(cc);
        bytes
    }

    /// What the kernel stored; `None` if it has other control characters.
    pub fn from_bytes(bytes: &[u8]) -> Option<Termios> {
        let (flags, rest) = bytes.split_at_checked(16)?;
        let mut flags = flags
            .chunks_exact(4)
            .filter_map(|four| four.try_into().ok())
            .map(u32::from_ne_bytes);
        let cc = rest.get(1..)?;
        let termios = Termios {
            c_iflag: flags.next()?,
            c_oflag: flags.next()?,
            c_cflag: flags.next()?,
            c_lflag: flags.next()?,
            vmin: *cc.get(VMIN)?,
            vtime: *cc.get(VTIME)?,
        };
        (termios.to_bytes() == bytes).then_some(termios)
    }
}

/// As strace prints it: without the control characters, if all of them are those of a new terminal.
impl fmt::Display for Termios {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Termios {
            c_iflag,
            c_oflag,
            c_cflag,
            c_lflag,
            vmin,
            vtime,
        } = *self;
        f.write_str("{c_iflag=")?;
        write_flags(f, &IFLAG, c_iflag, "0")?;
        f.write_str(", c_oflag=")?;
        write_flags(f, &OFLAG, c_oflag, "0")?;
        f.write_str(", c_cflag=")?;
        write_flags(f, &CFLAG, c_cflag, "0")?;
        f.write_str(", c_lflag=")?;
        write_flags(f, &LFLAG, c_lflag, "0")?;
        if (vmin, vtime) != (1, 0) {
            write!(f, ", c_cc=[[VTIME]={vtime}, [VMIN]={vmin}, ...]")?;
        }
        f.write_str(", ...}")
    }
}
