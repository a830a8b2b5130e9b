//! What can be opened, and what can be done with it.

use std::fmt;
use std::str::FromStr;

use super::draw::{Draft, Named};

/// What a descriptor stands for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    Epoll,
    PipeRead,
    PipeWrite,
    Eventfd,
    Timerfd,
    Stream,
    Datagram,
    Seqpacket,
    /// One that listens, with this number in its name and so many connections that wait.
    Listener(u64, u64),
    Plain,
}

/// Kinds of files, as a set.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Files(u32);

/// A kind as people name it, and how one is opened.
struct Group {
    name: &'static str,
    weight: u64,
    open: fn(&mut Draft),
}

const GROUPS: [Group; 8] = [
    Group {
        name: "pipe",
        weight: 6,
        open: open_pipe,
    },
    Group {
        name: "fifo",
        weight: 3,
        open: open_fifo,
    },
    Group {
        name: "eventfd",
        weight: 5,
        open: open_eventfd,
    },
    Group {
        name: "timerfd",
        weight: 2,
        open: open_timerfd,
    },
    Group {
        name: "unix",
        weight: 5,
        open: open_unix,
    },
    Group {
        name: "epoll",
        weight: 2,
        open: open_epoll,
    },
    // No file: signals that the program sends to itself, and handles or blocks.
    Group {
        name: "signal",
        weight: 1,
        open: handle_signals,
    },
    Group {
        name: "plain",
        weight: 1,
        open: open_plain,
    },
];

impl Files {
    /// All that there are.
    pub const ALL: Files = Files((1 << GROUPS.len()) - 1);

    /// Without those in which something happens by itself, which cannot be explored.
    pub(super) fn without_timers(self) -> Files {
        let timers = GROUPS.iter().position(|group| group.name == "timerfd");
        Files(self.0 & !timers.map_or(0, |group| 1 << group))
    }

    fn contains(self, group: usize) -> bool {
        self.0 >> group & 1 == 1
    }

    /// The names that can be given.
    pub fn names() -> impl Iterator<Item = &'static str> {
        GROUPS.iter().map(|group| group.name)
    }
}

impl FromStr for Files {
    type Err = String;

    /// Names with commas between.
    fn from_str(names: &str) -> Result<Files, String> {
        let mut files = Files(0);
        for name in names.split(',').map(str::trim) {
            let group = GROUPS.iter().position(|group| group.name == name);
            let Some(group) = group else {
                let known: Vec<&str> = Files::names().collect();
                return Err(format!(
                    "there is no kind `{name}`, only {}",
                    known.join(", ")
                ));
            };
            files.0 |= 1 << group;
        }
        Ok(files)
    }
}

impl fmt::Display for Files {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut comma = "";
        for (group, name) in Files::names().enumerate() {
            if self.contains(group) {
                write!(f, "{comma}{name}")?;
                comma = ",";
            }
        }
        Ok(())
    }
}

/// A signal for the program, or what it does about signals.
pub(super) fn signal(draft: &mut Draft) {
    if !draft.handles_signals {
        return;
    }
    let signal = draft.word(&["SIGUSR1", "SIGUSR2"]);
    let call = match draft.dice.below(8) {
        0..3 => format!("kill(1, {signal})"),
        3 => {
            let how = draft.word(&["SIG_BLOCK", "SIG_UNBLOCK", "SIG_SETMASK"]);
            let set = draft.word(&["[USR1]", "[USR1 USR2]", "[]"]);
            format!("rt_sigprocmask({how}, {set}, NULL, 8)")
        }
        4 => "rt_sigpending(..., 8)".to_owned(),
        _ => {
            let Some(epoll) = draft.one_of(|kind| kind == Kind::Epoll) else {
                return;
            };
            let set = draft.word(&["[]", "[USR1]", "~[USR1]"]);
            format!("epoll_pwait({}, ..., 8, 0, {set}, 8)", epoll.name)
        }
    };
    draft.call(&call);
}

/// What to do about signals, once for all.
fn handle_signals(draft: &mut Draft) {
    if std::mem::replace(&mut draft.handles_signals, true) {
        return;
    }
    for signal in ["SIGUSR1", "SIGUSR2"] {
        let flags = draft.word(&["0", "SA_RESTART"]);
        let handler = draft.word(&["handler", "handler", "SIG_IGN"]);
        draft.line(&format!(
            "rt_sigaction({signal}, {{sa_handler={handler}, sa_mask=[], sa_flags={flags}}}, NULL, 8)"
        ));
    }
    draft.line("rt_sigprocmask(SIG_BLOCK, [USR1], NULL, 8)");
}

/// Opens a file of any kind.
pub(super) fn open_any(draft: &mut Draft) {
    let files = draft.files;
    let groups = || {
        GROUPS
            .iter()
            .enumerate()
            .filter(|(place, _)| files.contains(*place))
    };
    let mut left = draft
        .dice
        .below(groups().map(|(_, group)| group.weight).sum());
    for (_, group) in groups() {
        if left < group.weight {
            return (group.open)(draft);
        }
        left -= group.weight;
    }
}

pub(super) fn open_epoll(draft: &mut Draft) {
    let name = draft.name("ep");
    draft.line(&format!("{name} = epoll_create1(0)"));
    draft.opened(&name, Kind::Epoll);
}

fn open_pipe(draft: &mut Draft) {
    let (r, w) = (draft.name("r"), draft.name("w"));
    let flags = if draft.chance(10) {
        "O_NONBLOCK|O_DIRECT"
    } else {
        "O_NONBLOCK"
    };
    draft.line(&format!("pipe2([{r}, {w}], {flags})"));
    if draft.chance(50) {
        // Small ones get full.
        draft.line(&format!("fcntl({w}, F_SETPIPE_SZ, 4096)"));
    }
    draft.opened(&r, Kind::PipeRead);
    draft.opened(&w, Kind::PipeWrite);
}

/// Both ends of a new FIFO, or one more file on an old one.
fn open_fifo(draft: &mut Draft) {
    if let Some(fifo) = draft.pick(&draft.fifos.clone())
        && draft.chance(70)
    {
        let (name, path) = (draft.name("x"), format!("\"fifo{fifo}\""));
        // A writer might find no reader, and then there would be nothing by this name.
        let (mode, kind) = if draft.chance(60) {
            ("O_RDONLY", Kind::PipeRead)
        } else {
            ("O_RDWR", Kind::PipeWrite)
        };
        draft.line(&format!(
            "{name} = openat(AT_FDCWD, {path}, {mode}|O_NONBLOCK)"
        ));
        draft.opened(&name, kind);
        if draft.chance(20) {
            draft.call(&format!("openat(AT_FDCWD, {path}, O_WRONLY|O_NONBLOCK)"));
        }
        if draft.chance(10) {
            draft.line(&format!("unlink({path})"));
            draft.fifos.retain(|other| *other != fifo);
        }
        return;
    }
    let (r, w) = (draft.name("r"), draft.name("w"));
    let fifo = draft.dice.below(1 << 20);
    draft.line(&format!("mknodat(AT_FDCWD, \"fifo{fifo}\", S_IFIFO|0600)"));
    for (name, mode, kind) in [
        (r, "O_RDONLY", Kind::PipeRead),
        (w, "O_WRONLY", Kind::PipeWrite),
    ] {
        draft.line(&format!(
            "{name} = openat(AT_FDCWD, \"fifo{fifo}\", {mode}|O_NONBLOCK)"
        ));
        draft.opened(&name, kind);
    }
    draft.fifos.push(fifo);
}

/// Moves something between a pipe and another file, mostly a pipe.
fn splice(draft: &mut Draft, name: &str, kind: Kind) -> Option<String> {
    let size = draft.number(&[1, 2, 100, 4096, 4097, 65536]);
    let flags = draft.word(&["SPLICE_F_NONBLOCK", "SPLICE_F_NONBLOCK", "0"]);
    if kind == Kind::PipeRead {
        let other =
            draft.one_of(|kind| matches!(kind, Kind::PipeWrite | Kind::Plain | Kind::Eventfd))?;
        let (other, is_pipe) = (other.name, other.kind == Kind::PipeWrite);
        return Some(if is_pipe && draft.chance(40) {
            format!("tee({name}, {other}, {size}, {flags})")
        } else {
            format!("splice({name}, NULL, {other}, NULL, {size}, {flags})")
        });
    }
    Some(match draft.dice.below(4) {
        0 => {
            let other = draft.one_of(|kind| matches!(kind, Kind::Plain | Kind::Eventfd))?;
            format!(
                "splice({}, NULL, {name}, NULL, {size}, {flags})",
                other.name
            )
        }
        1 => format!(
            "writev({name}, [{{iov_base=\"xy\"..., iov_len={size}}}, {{iov_base=\"z\", iov_len=1}}], 2)"
        ),
        _ => {
            format!("vmsplice({name}, [{{iov_base=\"v\", iov_len=1}}], 1, SPLICE_F_NONBLOCK)")
        }
    })
}

fn open_eventfd(draft: &mut Draft) {
    let name = draft.name("f");
    let flags = draft.word(&["EFD_NONBLOCK", "EFD_NONBLOCK", "EFD_SEMAPHORE|EFD_NONBLOCK"]);
    let count = draft.number(&[0, 0, 1, 3, 4_294_967_295]);
    draft.line(&format!("{name} = eventfd2({count}, {flags})"));
    draft.opened(&name, Kind::Eventfd);
}

fn open_timerfd(draft: &mut Draft) {
    let name = draft.name("t");
    draft.line(&format!(
        "{name} = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK)"
    ));
    draft.opened(&name, Kind::Timerfd);
}

fn open_plain(draft: &mut Draft) {
    let name = draft.name("p");
    let path = draft.word(&["/dev/null", "/dev/zero", "/"]);
    let flags = if path == "/" {
        "O_RDONLY|O_DIRECTORY"
    } else {
        "O_RDWR"
    };
    draft.line(&format!("{name} = openat(AT_FDCWD, \"{path}\", {flags})"));
    draft.opened(&name, Kind::Plain);
}

fn open_unix(draft: &mut Draft) {
    let kinds = [
        ("SOCK_STREAM", Kind::Stream),
        ("SOCK_STREAM", Kind::Stream),
        ("SOCK_DGRAM", Kind::Datagram),
        ("SOCK_SEQPACKET", Kind::Seqpacket),
    ];
    let (word, kind) = draft.pick(&kinds).unwrap_or(kinds[0]);
    match draft.dice.below(10) {
        0..7 => {
            let (a, b) = (draft.name("a"), draft.name("b"));
            draft.line(&format!(
                "socketpair(AF_UNIX, {word}|SOCK_NONBLOCK, 0, [{a}, {b}])"
            ));
            draft.opened(&a, kind);
            draft.opened(&b, kind);
        }
        7..9 if kind != Kind::Datagram => {
            let name = draft.name("l");
            let number = draft.dice.below(1 << 20);
            draft.line(&format!(
                "{name} = socket(AF_UNIX, {word}|SOCK_NONBLOCK, 0)"
            ));
            let address = address(number);
            draft.line(&format!("bind({name}, {address})"));
            let backlog = draft.dice.below(3);
            draft.line(&format!("listen({name}, {backlog})"));
            draft.opened(&name, Kind::Listener(number, 0));
        }
        _ => {
            let name = draft.name("s");
            draft.line(&format!(
                "{name} = socket(AF_UNIX, {word}|SOCK_NONBLOCK, 0)"
            ));
            draft.opened(&name, kind);
        }
    }
}

fn address(number: u64) -> String {
    let path = format!("n{number}");
    format!(
        "{{sa_family=AF_UNIX, sun_path=@\"{path}\"}}, {}",
        path.len() + 3
    )
}

/// Does something with a file that its kind is made for.
pub(super) fn use_file(draft: &mut Draft, file: &Named) {
    let name = &file.name;
    match file.kind {
        Kind::Timerfd if draft.chance(70) => {
            let value = draft.word(&[
                "TFD_TIMER_ABSTIME, {it_interval={tv_sec=0, tv_nsec=0}, it_value={tv_sec=0, tv_nsec=1}}",
                "0, {it_interval={tv_sec=0, tv_nsec=0}, it_value={tv_sec=0, tv_nsec=0}}",
                "0, {it_interval={tv_sec=0, tv_nsec=0}, it_value={tv_sec=1000, tv_nsec=0}}",
                "TFD_TIMER_ABSTIME, {it_interval={tv_sec=-1, tv_nsec=0}, it_value={tv_sec=0, tv_nsec=1}}",
            ]);
            draft.call(&format!("timerfd_settime({name}, {value}, NULL)"));
        }
        Kind::PipeWrite | Kind::PipeRead if draft.chance(8) => {
            let size = draft.number(&[4096, 8192, 65536, 4096, 1]);
            draft.call(&format!("fcntl({name}, F_SETPIPE_SZ, {size})"));
        }
        Kind::Listener(number, waiting) => use_listener(draft, file, number, waiting),
        Kind::Stream | Kind::Datagram | Kind::Seqpacket if draft.chance(25) => {
            use_socket(draft, file);
        }
        Kind::Epoll => {
            // An epoll is used by what watches it.
            let file = file.clone();
            draft.add(&file);
        }
        _ if draft.chance(4) => draft.call(&format!("ioctl({name}, FIONREAD, ...)")),
        _ => {
            if let Some(call) = transfer(draft, file) {
                draft.call(&call);
            }
        }
    }
}

/// A read or a write.
pub(super) fn transfer(draft: &mut Draft, file: &Named) -> Option<String> {
    const SIZES: [u64; 12] = [1, 1, 1, 2, 3, 100, 4095, 4096, 4097, 8192, 30000, 65536];
    let name = &file.name;
    let size = draft.number(&SIZES);
    let write = |size: u64| match size {
        1 => format!("write({name}, \"x\", 1)"),
        _ => format!("write({name}, \"xy\"..., {size})"),
    };
    Some(match file.kind {
        Kind::PipeRead | Kind::PipeWrite if draft.chance(20) => {
            return splice(draft, name, file.kind);
        }
        Kind::PipeRead => format!("read({name}, ..., {size})"),
        Kind::PipeWrite => write(size),
        Kind::Timerfd => format!("read({name}, ..., 8)"),
        Kind::Eventfd if draft.chance(50) => {
            let size = draft.number(&[8, 8, 8, 8, 16, 4]);
            format!("read({name}, ..., {size})")
        }
        Kind::Eventfd => {
            let word = draft.word(&[
                "\\1\\0\\0\\0\\0\\0\\0\\0",
                "\\1\\0\\0\\0\\0\\0\\0\\0",
                "\\0\\0\\0\\0\\0\\0\\0\\0",
                "\\376\\377\\377\\377\\377\\377\\377\\377",
                "\\377\\377\\377\\377\\377\\377\\377\\377",
            ]);
            format!("write({name}, \"{word}\", 8)")
        }
        Kind::Stream | Kind::Datagram | Kind::Seqpacket => {
            if draft.chance(50) {
                format!("read({name}, ..., {size})")
            } else {
                format!(
                    "sendto({name}, \"xy\"..., {}, MSG_NOSIGNAL, NULL, 0)",
                    size.max(2)
                )
            }
        }
        Kind::Plain if draft.chance(50) => write(size),
        Kind::Plain => format!("read({name}, ..., 3)"),
        Kind::Epoll | Kind::Listener(..) => return None,
    })
}

fn use_socket(draft: &mut Draft, file: &Named) {
    let name = &file.name;
    let call = match draft.dice.below(9) {
        0 => format!(
            "shutdown({name}, {})",
            draft.word(&["SHUT_RD", "SHUT_WR", "SHUT_RDWR"])
        ),
        1 => {
            let size = draft.number(&[2048, 4608, 16384, 65536]);
            format!("setsockopt({name}, SOL_SOCKET, SO_SNDBUF, [{size}], 4)")
        }
        2 => format!("setsockopt({name}, SOL_SOCKET, SO_RCVBUF, [4608], 4)"),
        3 => format!("getsockopt({name}, SOL_SOCKET, SO_ERROR, ..., [4])"),
        4 => format!("sendto({name}, \"o\", 1, MSG_OOB|MSG_NOSIGNAL, NULL, 0)"),
        5 => format!("recvfrom({name}, ..., 8, MSG_OOB, NULL, NULL)"),
        6 => format!("recvfrom({name}, ..., 8, MSG_PEEK, NULL, NULL)"),
        7 => format!("sendto({name}, \"\", 0, MSG_NOSIGNAL, NULL, 0)"),
        _ => {
            // To a listener, if there is one.
            let listener = draft.one_of(|kind| matches!(kind, Kind::Listener(..)));
            let number = match listener.map(|it| it.kind) {
                Some(Kind::Listener(number, _)) => number,
                _ => 0,
            };
            format!("connect({name}, {})", address(number))
        }
    };
    draft.call(&call);
}

fn use_listener(draft: &mut Draft, file: &Named, number: u64, waiting: u64) {
    let place = draft.open.iter().position(|it| it.name == file.name);
    let Some(place) = place else { return };
    if waiting > 0 && draft.chance(50) {
        let name = draft.name("s");
        draft.line(&format!(
            "{name} = accept4({}, NULL, NULL, SOCK_NONBLOCK)",
            file.name
        ));
        draft.opened(&name, Kind::Stream);
        draft.open[place].kind = Kind::Listener(number, waiting - 1);
        return;
    }
    let name = draft.name("s");
    draft.line(&format!(
        "{name} = socket(AF_UNIX, SOCK_STREAM|SOCK_NONBLOCK, 0)"
    ));
    draft.opened(&name, Kind::Stream);
    draft.line(&format!("connect({name}, {})", address(number)));
    draft.open[place].kind = Kind::Listener(number, waiting + 1);
    if draft.chance(60)
        && let Some(client) = draft.open.last().cloned()
    {
        draft.add(&client);
    }
}
