//! The constants of the manual pages: one table for each argument that takes them.

use crate::abi::{
    CtlOp, EpollCreateFlags, EventMask, FdFlags, InotifyMask, MsgFlags, OpenFlags, SaFlags, Signal,
    request, socket,
};

/// The words that may stand for the bits of one kind of argument.
///
/// Where `abi` spells a type, its spelling is used and nothing is listed here.
pub(super) struct Words {
    /// What one of them is, for errors: `an epoll event`.
    pub(super) what: &'static str,
    /// The bits of a word.
    pub(super) find: fn(&str) -> Option<u32>,
    /// The canonical spelling of any bits.
    pub(super) print: fn(u32) -> String,
    /// Every word, for "did you mean".
    pub(super) all: fn() -> Vec<String>,
}

impl std::fmt::Debug for Words {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.what)
    }
}

/// One entry of a table.
type Word = (u32, &'static str);

fn find(table: &[Word], name: &str) -> Option<u32> {
    table
        .iter()
        .find(|(_, known)| *known == name)
        .map(|(bits, _)| *bits)
}

fn names(table: &[Word]) -> Vec<String> {
    table.iter().map(|(_, name)| (*name).to_owned()).collect()
}

fn print_flags(table: &[Word], mut rest: u32) -> String {
    let mut words = Vec::new();
    for (bits, name) in table {
        if rest & bits == *bits {
            words.push((*name).to_owned());
            rest &= !bits;
        }
    }
    if rest != 0 {
        words.push(format!("{rest:#x}"));
    }
    if words.is_empty() {
        "0".to_owned()
    } else {
        words.join("|")
    }
}

fn print_choice(table: &[Word], value: u32, unknown: &str) -> String {
    match table.iter().find(|(known, _)| *known == value) {
        Some((_, name)) => (*name).to_owned(),
        None => format!("{value:#x} /* {unknown} */"),
    }
}

/// The words that a type of `abi` prints for single bits.
fn spelled_bits(print: fn(u32) -> String) -> Vec<String> {
    (0..u32::BITS)
        .map(|bit| print(1 << bit))
        .filter(|word| !word.starts_with("0x"))
        .collect()
}

/// Finds a word among those that `print` gives to single bits.
fn find_bit(name: &str, print: fn(u32) -> String) -> Option<u32> {
    (0..u32::BITS)
        .map(|bit| 1 << bit)
        .find(|bits| print(*bits) == name)
}

pub(super) static EPOLL_EVENTS: Words = Words {
    what: "an epoll event",
    find: |name| EventMask::from_symbol(name).map(|mask| mask.bits()),
    print: |bits| EventMask::from_bits_retain(bits).to_string(),
    all: || spelled_bits(EPOLL_EVENTS.print),
};

pub(super) static POLL_EVENTS: Words = Words {
    what: "a poll event",
    find: |name| EventMask::from_symbol(name).map(|mask| mask.bits()),
    print: |bits| EventMask::from_bits_retain(bits).as_poll().to_string(),
    all: || spelled_bits(POLL_EVENTS.print),
};

pub(super) static CREATE_FLAGS: Words = Words {
    what: "a flag of epoll_create1",
    find: |name| find_bit(name, CREATE_FLAGS.print),
    print: |bits| EpollCreateFlags::from_bits_retain(bits).to_string(),
    all: || spelled_bits(CREATE_FLAGS.print),
};

pub(super) static CTL_OPS: Words = Words {
    what: "an operation of epoll_ctl",
    find: |name| (1..4).find(|op| (CTL_OPS.print)(*op) == name),
    print: |bits| CtlOp(bits.cast_signed()).to_string(),
    all: || (1..4).map(CTL_OPS.print).collect(),
};

fn open_words() -> Vec<String> {
    let mut all = spelled_bits(|bits| OpenFlags::from_bits_retain(bits).without_mode().to_string());
    all.extend(["O_RDONLY", "O_WRONLY", "O_RDWR"].map(str::to_owned));
    all
}

pub(super) static OPEN_FLAGS: Words = Words {
    what: "a flag of open",
    find: |name| OpenFlags::from_symbol(name).map(|flags| flags.bits()),
    print: |bits| OpenFlags::from_bits_retain(bits).to_string(),
    all: open_words,
};

/// The same words where no access mode belongs: pipe2(2), dup3(2).
pub(super) static STATUS_FLAGS: Words = Words {
    what: "a flag of open",
    find: |name| OpenFlags::from_symbol(name).map(|flags| flags.bits()),
    print: |bits| OpenFlags::from_bits_retain(bits).without_mode().to_string(),
    all: open_words,
};

pub(super) static FD_FLAGS: Words = Words {
    what: "a descriptor flag",
    find: |name| find_bit(name, FD_FLAGS.print),
    print: |bits| FdFlags::from_bits_retain(bits).to_string(),
    all: || spelled_bits(FD_FLAGS.print),
};

macro_rules! flags {
    ($(#[$doc:meta])* $name:ident, $what:literal, [$(($bits:expr, $word:literal)),* $(,)?]) => {
        $(#[$doc])*
        pub(super) static $name: Words = {
            const TABLE: &[Word] = &[$(($bits, $word)),*];
            Words {
                what: $what,
                find: |name| find(TABLE, name),
                print: |bits| print_flags(TABLE, bits),
                all: || names(TABLE),
            }
        };
    };
}

macro_rules! choices {
    ($(#[$doc:meta])* $name:ident, $what:literal, $unknown:literal,
     [$(($bits:expr, $word:literal)),* $(,)?]) => {
        $(#[$doc])*
        pub(super) static $name: Words = {
            const TABLE: &[Word] = &[$(($bits, $word)),*];
            Words {
                what: $what,
                find: |name| find(TABLE, name),
                print: |value| print_choice(TABLE, value, $unknown),
                all: || names(TABLE),
            }
        };
    };
}

flags!(
    EVENTFD_FLAGS,
    "a flag of eventfd2",
    [
        (1, "EFD_SEMAPHORE"),
        (0o2000000, "EFD_CLOEXEC"),
        (0o4000, "EFD_NONBLOCK"),
    ]
);

flags!(
    SPLICE_FLAGS,
    "a flag of splice",
    [
        (1, "SPLICE_F_MOVE"),
        (2, "SPLICE_F_NONBLOCK"),
        (4, "SPLICE_F_MORE"),
        (8, "SPLICE_F_GIFT"),
    ]
);

/// The sort of a new file, and its permissions in octal.
pub(super) static NODE_MODE: Words = Words {
    what: "a mode of mknod",
    find: |name| find(FORMAT_TABLE, name),
    print: |bits| {
        let permissions = bits & !FORMAT;
        match FORMAT_TABLE.iter().find(|(of, _)| *of == bits & FORMAT) {
            Some((_, name)) => format!("{name}|0{permissions:o}"),
            None => format!("0{bits:o}"),
        }
    },
    all: || names(FORMAT_TABLE),
};

const FORMAT: u32 = 0o170_000;
const FORMAT_TABLE: &[Word] = &[
    (0o010_000, "S_IFIFO"),
    (0o020_000, "S_IFCHR"),
    (0o040_000, "S_IFDIR"),
    (0o060_000, "S_IFBLK"),
    (0o100_000, "S_IFREG"),
    (0o140_000, "S_IFSOCK"),
];

choices!(
    CLOCKS,
    "a clock",
    "CLOCK_???",
    [
        (0, "CLOCK_REALTIME"),
        (1, "CLOCK_MONOTONIC"),
        (2, "CLOCK_PROCESS_CPUTIME_ID"),
        (3, "CLOCK_THREAD_CPUTIME_ID"),
        (4, "CLOCK_MONOTONIC_RAW"),
        (5, "CLOCK_REALTIME_COARSE"),
        (6, "CLOCK_MONOTONIC_COARSE"),
        (7, "CLOCK_BOOTTIME"),
        (8, "CLOCK_REALTIME_ALARM"),
        (9, "CLOCK_BOOTTIME_ALARM"),
        (11, "CLOCK_TAI"),
    ]
);

flags!(
    TIMERFD_FLAGS,
    "a flag of timerfd_create",
    [(0o2000000, "TFD_CLOEXEC"), (0o4000, "TFD_NONBLOCK")]
);

flags!(
    INOTIFY_FLAGS,
    "a flag of inotify_init1",
    [(0o2000000, "IN_CLOEXEC"), (0o4000, "IN_NONBLOCK")]
);

pub(super) static INOTIFY_EVENTS: Words = Words {
    what: "an event of inotify",
    find: |name| match name {
        "IN_ALL_EVENTS" => Some(InotifyMask::ALL_EVENTS.bits()),
        name => find_bit(name, INOTIFY_EVENTS.print),
    },
    print: |bits| InotifyMask::from_bits_retain(bits).to_string(),
    all: || spelled_bits(INOTIFY_EVENTS.print),
};

flags!(
    SIGNALFD_FLAGS,
    "a flag of signalfd4",
    [(0o2000000, "SFD_CLOEXEC"), (0o4000, "SFD_NONBLOCK")]
);

flags!(
    SETTIME_FLAGS,
    "a flag of timerfd_settime",
    [(1, "TFD_TIMER_ABSTIME"), (2, "TFD_TIMER_CANCEL_ON_SET")]
);

flags!(
    CLOSE_RANGE_FLAGS,
    "a flag of close_range",
    [(2, "CLOSE_RANGE_UNSHARE"), (4, "CLOSE_RANGE_CLOEXEC"),]
);

flags!(
    WAIT_FLAGS,
    "an option of wait4",
    [(1, "WNOHANG"), (2, "WUNTRACED"), (8, "WCONTINUED")]
);

flags!(
    WAITID_FLAGS,
    "an option of waitid",
    [
        (1, "WNOHANG"),
        (2, "WSTOPPED"),
        (4, "WEXITED"),
        (8, "WCONTINUED"),
        (0x100_0000, "WNOWAIT"),
    ]
);

choices!(
    IDTYPES,
    "what waitid waits for",
    "P_???",
    [(0, "P_ALL"), (1, "P_PID"), (2, "P_PGID"), (3, "P_PIDFD")]
);

flags!(
    PIDFD_FLAGS,
    "a flag of pidfd_open",
    [(0o4000, "PIDFD_NONBLOCK"), (0o200, "PIDFD_THREAD")]
);

flags!(
    PIDFD_SIGNAL_FLAGS,
    "a flag of pidfd_send_signal",
    [
        (1, "PIDFD_SIGNAL_THREAD"),
        (2, "PIDFD_SIGNAL_THREAD_GROUP"),
        (4, "PIDFD_SIGNAL_PROCESS_GROUP"),
    ]
);

choices!(
    DOMAINS,
    "an address family",
    "AF_???",
    [(1, "AF_UNIX"), (2, "AF_INET")]
);

choices!(
    PROTOCOLS,
    "a protocol",
    "IPPROTO_???",
    [(0, "IPPROTO_IP"), (6, "IPPROTO_TCP"), (17, "IPPROTO_UDP")]
);

/// `SOCK_*`: a type, and two flags above it.
pub(super) static SOCKET_TYPES: Words = Words {
    what: "a type of socket",
    find: |name| find(SOCKET_TYPE_TABLE, name).or_else(|| find(SOCKET_FLAG_TABLE, name)),
    print: |bits| {
        let of_type = bits & SOCK_TYPE_MASK;
        let mut text = print_choice(SOCKET_TYPE_TABLE, of_type, "SOCK_???");
        if bits != of_type {
            text = format!("{text}|{}", print_flags(SOCKET_FLAG_TABLE, bits - of_type));
        }
        text
    },
    all: || {
        let mut all = names(SOCKET_TYPE_TABLE);
        all.extend(names(SOCKET_FLAG_TABLE));
        all
    },
};

const SOCK_TYPE_MASK: u32 = socket::SOCK_TYPE_MASK.cast_unsigned();
const SOCKET_TYPE_TABLE: &[Word] = &[(1, "SOCK_STREAM"), (2, "SOCK_DGRAM"), (5, "SOCK_SEQPACKET")];
const SOCKET_FLAG_TABLE: &[Word] = &[(0o4000, "SOCK_NONBLOCK"), (0o2000000, "SOCK_CLOEXEC")];

flags!(
    /// The same two flags in accept4(2).
    ACCEPT_FLAGS,
    "a flag of accept4",
    [(0o2000000, "SOCK_CLOEXEC"), (0o4000, "SOCK_NONBLOCK")]
);

choices!(
    SHUT_HOW,
    "a direction of shutdown",
    "SHUT_???",
    [(0, "SHUT_RD"), (1, "SHUT_WR"), (2, "SHUT_RDWR")]
);

pub(super) static MSG_FLAGS: Words = Words {
    what: "a flag of send and recv",
    find: |name| find_bit(name, MSG_FLAGS.print),
    print: |bits| MsgFlags::from_bits_retain(bits).to_string(),
    all: || spelled_bits(MSG_FLAGS.print),
};

choices!(
    SOCKET_LEVELS,
    "a level of socket options",
    "SOL_???",
    [
        (0, "SOL_IP"),
        (0, "IPPROTO_IP"),
        (1, "SOL_SOCKET"),
        (6, "SOL_TCP"),
        (6, "IPPROTO_TCP"),
    ]
);

choices!(
    IP_OPTIONS,
    "a socket option of IP",
    "IP_???",
    [(11, "IP_RECVERR")]
);

choices!(
    TCP_OPTIONS,
    "a socket option of TCP",
    "TCP_???",
    [(1, "TCP_NODELAY")]
);

choices!(
    SOCKET_OPTIONS,
    "a socket option",
    "SO_???",
    [
        (2, "SO_REUSEADDR"),
        (3, "SO_TYPE"),
        (4, "SO_ERROR"),
        (7, "SO_SNDBUF"),
        (8, "SO_RCVBUF"),
        (10, "SO_OOBINLINE"),
        (13, "SO_LINGER"),
        (18, "SO_RCVLOWAT"),
        (30, "SO_ACCEPTCONN"),
        (45, "SO_SELECT_ERR_QUEUE"),
    ]
);

choices!(
    WHENCE,
    "a whence of lseek",
    "SEEK_???",
    [
        (0, "SEEK_SET"),
        (1, "SEEK_CUR"),
        (2, "SEEK_END"),
        (3, "SEEK_DATA"),
        (4, "SEEK_HOLE"),
    ]
);

choices!(
    /// `F_*` by their numbers; which of them the lab knows is said by the table of calls.
    FCNTL_COMMANDS, "a command of fcntl", "F_???", [
    (0, "F_DUPFD"),
    (1, "F_GETFD"),
    (2, "F_SETFD"),
    (3, "F_GETFL"),
    (4, "F_SETFL"),
    (1030, "F_DUPFD_CLOEXEC"),
    (1031, "F_SETPIPE_SZ"),
    (1032, "F_GETPIPE_SZ"),
]);

const REQUEST_TABLE: &[Word] = &[
    (request::FIONBIO, "FIONBIO"),
    (request::FIONREAD, "FIONREAD"),
    (request::EPIOCSPARAMS, "EPIOCSPARAMS"),
    (request::EPIOCGPARAMS, "EPIOCGPARAMS"),
    (request::TFD_IOC_SET_TICKS, "TFD_IOC_SET_TICKS"),
    (request::TCGETS, "TCGETS"),
    (request::TCSETS, "TCSETS"),
    (request::TCFLSH, "TCFLSH"),
    (request::TIOCPKT, "TIOCPKT"),
    (request::TIOCSPTLCK, "TIOCSPTLCK"),
    (request::TIOCGPTPEER, "TIOCGPTPEER"),
    // strace cannot know for which of two drivers the number is meant, and prints both names.
    (request::TCSETS, "SNDCTL_TMR_START"),
];

pub(super) static REQUESTS: Words = Words {
    what: "a request of ioctl",
    find: |name| find(REQUEST_TABLE, name),
    // Any number is a request of something, so an unknown one carries no question marks.
    print: |value| match REQUEST_TABLE.iter().find(|(known, _)| *known == value) {
        Some((_, name)) => (*name).to_owned(),
        None => format!("{value:#x}"),
    },
    all: || names(REQUEST_TABLE),
};

choices!(
    /// Which way of a terminal `TCFLSH` empties.
    FLUSH_QUEUES,
    "a queue of TCFLSH",
    "TC???FLUSH",
    [(0, "TCIFLUSH"), (1, "TCOFLUSH"), (2, "TCIOFLUSH")]
);

choices!(
    KCMP_TYPES,
    "a type of kcmp",
    "KCMP_???",
    [(0, "KCMP_FILE"), (7, "KCMP_EPOLL_TFD")]
);

choices!(
    RESOURCES,
    "a resource limit",
    "RLIMIT_???",
    [(7, "RLIMIT_NOFILE")]
);

/// strace's names of signals.
pub(super) static SIGNALS: Words = Words {
    what: "a signal",
    find: |name| Signal::from_name(name).map(|signal| signal.0.cast_unsigned()),
    print: |bits| Signal(bits.cast_signed()).to_string(),
    all: || Signal::names().map(str::to_owned).collect(),
};

pub(super) static SA_FLAGS: Words = Words {
    what: "a flag of sigaction",
    find: |name| find_bit(name, SA_FLAGS.print),
    print: |bits| SaFlags::from_bits_retain(bits).to_string(),
    all: || spelled_bits(SA_FLAGS.print),
};

choices!(
    SIGMASK_HOW,
    "a way to change the mask",
    "SIG_???",
    [(0, "SIG_BLOCK"), (1, "SIG_UNBLOCK"), (2, "SIG_SETMASK")]
);

flags!(
    TIMER_FLAGS,
    "a flag of clock_nanosleep",
    [(1, "TIMER_ABSTIME")]
);
