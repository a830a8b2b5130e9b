//! Draws a program, line by line, and remembers what the lines before have left behind.
//!
//! What is remembered is a guess: whether a call succeeded is not known before it is made. Where the guess is
//! wrong the line meets an error, which has to be the same one on both kernels.

use std::fmt::Write as _;

use super::kinds::{self, Files, Kind};
use crate::backend::Dice;

/// What to draw.
#[derive(Clone, Copy, Debug)]
pub struct Drawing {
    /// Calls behind the opening ones, without those at the end that look at everything.
    pub calls: u64,
    /// From 2 on, tasks that run at the same time, in a parallel block.
    pub tasks: u64,
    /// The kinds of files.
    pub files: Files,
}

impl Default for Drawing {
    fn default() -> Drawing {
        Drawing {
            calls: 12,
            tasks: 1,
            files: Files::ALL,
        }
    }
}

/// The program that belongs to this seed: the same one everywhere.
pub fn draw(seed: u64, drawing: Drawing) -> String {
    let files = if drawing.tasks > 1 {
        drawing.files.without_timers()
    } else {
        drawing.files
    };
    let mut draft = Draft::new(seed, files);
    draft.open_some();
    if drawing.tasks > 1 {
        draft.block(drawing);
    } else {
        for _ in 0..drawing.calls {
            draft.act();
        }
    }
    draft.look_at_everything();
    draft.text
}

/// A descriptor that has a name.
#[derive(Clone, Debug)]
pub(super) struct Named {
    pub(super) name: String,
    pub(super) kind: Kind,
    /// What is said in epoll_wait(2) when it is ready.
    pub(super) data: u64,
}

/// A program that is being written.
#[derive(Debug)]
pub(super) struct Draft {
    pub(super) dice: Dice,
    pub(super) files: Files,
    /// Descriptors that are open, as far as anybody can tell.
    pub(super) open: Vec<Named>,
    /// Numbers that were closed: a call with one of these may meet another file.
    closed: Vec<Named>,
    /// Registrations, as epoll and file; a guess like the rest.
    watched: Vec<(String, String)>,
    /// Other tasks than the first.
    tasks: Vec<String>,
    /// Whether a task has gone to sleep: nobody can know when it can be asked for more, and of two it would
    /// be open who comes first.
    sleeper: bool,
    /// Whether it is said what to do about signals.
    pub(super) handles_signals: bool,
    /// FIFOs that have a name, by the number in it.
    pub(super) fifos: Vec<u64>,
    names: u64,
    text: String,
}

/// What an epoll can be asked to tell, with weights by repetition.
const EVENTS: [&str; 10] = [
    "EPOLLIN",
    "EPOLLIN",
    "EPOLLOUT",
    "EPOLLIN|EPOLLOUT",
    "EPOLLIN|EPOLLOUT",
    "EPOLLIN|EPOLLRDHUP",
    "EPOLLPRI",
    "EPOLLIN|EPOLLPRI|EPOLLOUT|EPOLLRDNORM|EPOLLRDBAND|EPOLLWRNORM|EPOLLWRBAND|EPOLLMSG|EPOLLRDHUP",
    "EPOLLRDNORM|EPOLLWRNORM",
    "0",
];

impl Draft {
    fn new(seed: u64, files: Files) -> Draft {
        Draft {
            dice: Dice::new(seed),
            files,
            open: Vec::new(),
            closed: Vec::new(),
            watched: Vec::new(),
            tasks: Vec::new(),
            sleeper: false,
            handles_signals: false,
            fifos: Vec::new(),
            names: 0,
            text: String::new(),
        }
    }

    /// Whether something happens that happens `percent` times of a hundred.
    pub(super) fn chance(&mut self, percent: u64) -> bool {
        self.dice.below(100) < percent
    }

    pub(super) fn pick<T: Copy>(&mut self, from: &[T]) -> Option<T> {
        self.dice.pick(from).copied()
    }

    pub(super) fn number(&mut self, from: &[u64]) -> u64 {
        self.pick(from).unwrap_or(0)
    }

    pub(super) fn word(&mut self, from: &[&'static str]) -> &'static str {
        self.pick(from).unwrap_or("0")
    }

    /// Writes a line.
    pub(super) fn line(&mut self, call: &str) {
        self.text.push_str(call);
        self.text.push('\n');
    }

    /// Writes a call that some task makes.
    pub(super) fn call(&mut self, call: &str) {
        let task = if self.chance(85) {
            None
        } else {
            let tasks = std::mem::take(&mut self.tasks);
            let task = self.dice.pick(&tasks).cloned();
            self.tasks = tasks;
            task
        };
        match task {
            Some(task) => self.line(&format!("[{task}] {call}")),
            None => self.line(call),
        }
    }

    /// A name that nothing has yet.
    pub(super) fn name(&mut self, stem: &str) -> String {
        self.names += 1;
        format!("{stem}{}", self.names)
    }

    /// Remembers a descriptor.
    pub(super) fn opened(&mut self, name: &str, kind: Kind) {
        let data = self.names * 10;
        self.open.push(Named {
            name: name.to_owned(),
            kind,
            data,
        });
    }

    /// One of the open descriptors, at times one that was closed.
    pub(super) fn any(&mut self) -> Option<Named> {
        let stale = !self.closed.is_empty() && self.chance(6);
        let from = if stale { &self.closed } else { &self.open };
        self.dice.pick(from).cloned()
    }

    pub(super) fn one_of(&mut self, is_meant: impl Fn(Kind) -> bool) -> Option<Named> {
        let meant: Vec<&Named> = self.open.iter().filter(|it| is_meant(it.kind)).collect();
        self.dice.pick(&meant).copied().cloned()
    }

    fn open_some(&mut self) {
        if self.chance(95) {
            // Else a broken pipe is the end of most programs.
            self.line(
                "rt_sigaction(SIGPIPE, {sa_handler=SIG_IGN, sa_mask=[], sa_flags=0}, NULL, 8)",
            );
        }
        let epolls = 1 + u64::from(self.chance(40));
        for _ in 0..epolls {
            kinds::open_epoll(self);
        }
        for _ in 0..1 + self.dice.below(3) {
            kinds::open_any(self);
        }
        for file in self.open.clone() {
            if file.kind != Kind::Epoll && self.chance(80) {
                self.add(&file);
            }
        }
    }

    /// One more line, or a few that belong together.
    fn act(&mut self) {
        if self.handles_signals && self.chance(25) {
            return kinds::signal(self);
        }
        match self.dice.below(100) {
            0..36 => {
                if let Some(file) = self.any() {
                    kinds::use_file(self, &file);
                }
            }
            36..60 => self.wait(),
            60..72 => self.modify(),
            72..80 => {
                if let Some(file) = self.any() {
                    self.add(&file);
                }
            }
            80..84 => self.remove(),
            84..87 => self.close(),
            87..90 => self.duplicate(),
            90..91 => kinds::open_any(self),
            91..92 => self.nonblock(),
            92..94 => self.poll(),
            94..95 => kinds::open_epoll(self),
            95..96 => self.wrong(),
            96..97 => self.thread(),
            97..98 => self.fork(),
            98..99 => self.fall_asleep(),
            _ => self.look_inside(),
        }
    }

    /// Events, with what says how they are reported.
    fn mask(&mut self) -> String {
        let mut mask = self.word(&EVENTS).to_owned();
        let extras = [
            ("EPOLLET", 50),
            ("EPOLLONESHOT", 15),
            ("EPOLLWAKEUP", 2),
            ("0x400000", 1),
        ];
        for (word, percent) in extras {
            if self.chance(percent) {
                if mask == "0" {
                    word.clone_into(&mut mask);
                } else {
                    let _ = write!(mask, "|{word}");
                }
            }
        }
        mask
    }

    fn event(&mut self, data: u64) -> String {
        if self.chance(2) {
            return self.word(&["NULL", "0xffff800000000000"]).to_owned();
        }
        let mut mask = self.mask();
        // Which can only be added, and allows little beside it.
        if self.chance(4) {
            mask = self
                .word(&[
                    "EPOLLIN|EPOLLEXCLUSIVE",
                    "EPOLLIN|EPOLLOUT|EPOLLEXCLUSIVE|EPOLLET",
                    "EPOLLRDHUP|EPOLLEXCLUSIVE",
                ])
                .to_owned();
        }
        format!("{{events={mask}, data={{u32={data}, u64={data}}}}}")
    }

    fn epoll(&mut self) -> Option<Named> {
        if self.chance(1) {
            return self.any();
        }
        self.one_of(|kind| kind == Kind::Epoll)
    }

    pub(super) fn add(&mut self, file: &Named) {
        let Some(mut epoll) = self.epoll() else {
            return;
        };
        if epoll.name == file.name
            && let Some(another) = self.epoll()
        {
            epoll = another;
        }
        let event = self.event(file.data);
        self.call(&format!(
            "epoll_ctl({}, EPOLL_CTL_ADD, {}, {event})",
            epoll.name, file.name
        ));
        self.watched.push((epoll.name, file.name.clone()));
    }

    /// A registration, mostly one that there is.
    fn registration(&mut self) -> Option<(String, Named)> {
        if self.chance(90)
            && let Some((epoll, name)) = self.dice.pick(&self.watched).cloned()
        {
            let all = self.open.iter().chain(&self.closed);
            let file = all.into_iter().find(|file| file.name == name)?.clone();
            return Some((epoll, file));
        }
        Some((self.epoll()?.name, self.any()?))
    }

    fn modify(&mut self) {
        let Some((epoll, file)) = self.registration() else {
            return;
        };
        let data = file.data + self.dice.below(3);
        let event = self.event(data);
        self.call(&format!(
            "epoll_ctl({epoll}, EPOLL_CTL_MOD, {}, {event})",
            file.name
        ));
    }

    fn remove(&mut self) {
        let Some((epoll, file)) = self.registration() else {
            return;
        };
        self.call(&format!(
            "epoll_ctl({epoll}, EPOLL_CTL_DEL, {}, NULL)",
            file.name
        ));
        self.watched
            .retain(|(ep, name)| (ep, name) != (&epoll, &file.name));
    }

    fn wait(&mut self) {
        let Some(epoll) = self.epoll() else { return };
        let maxevents = self.number(&[1, 1, 2, 3, 8, 8, 8, 8]);
        let buffer = match self.dice.below(100) {
            0..2 => "0xffff800000000000",
            2..5 => "@room(0) ...",
            5..8 => "@room(12) ...",
            8..9 => "NULL",
            _ => "...",
        };
        let maxevents = if self.chance(1) { 0 } else { maxevents };
        let name = &epoll.name;
        let call = match self.dice.below(20) {
            0 => format!("epoll_pwait({name}, {buffer}, {maxevents}, 0, [], 8)"),
            1 => format!(
                "epoll_pwait2({name}, {buffer}, {maxevents}, {{tv_sec=0, tv_nsec=0}}, NULL, 8)"
            ),
            _ => format!("epoll_wait({name}, {buffer}, {maxevents}, 0)"),
        };
        self.call(&call);
    }

    fn close(&mut self) {
        let Some(file) = self.any() else { return };
        self.call(&format!("close({})", file.name));
        self.forget(&file);
    }

    fn forget(&mut self, file: &Named) {
        if let Some(place) = self.open.iter().position(|it| it.name == file.name) {
            let closed = self.open.swap_remove(place);
            self.closed.push(closed);
        }
    }

    fn duplicate(&mut self) {
        let Some(file) = self.any() else { return };
        let name = self.name("d");
        let number = self.dice.below(8);
        match number {
            0 => {
                let Some(over) = self.any() else { return };
                self.call(&format!("dup2({}, {})", file.name, over.name));
            }
            1 => {
                self.line(&format!("{name} = fcntl({}, F_DUPFD, 20)", file.name));
                self.opened(&name, file.kind);
            }
            _ => {
                self.line(&format!("{name} = dup({})", file.name));
                self.opened(&name, file.kind);
            }
        }
    }

    fn poll(&mut self) {
        if let Some(file) = self.any() {
            let name = &file.name;
            self.call(&format!(
                "poll([{{fd={name}, events=POLLIN|POLLPRI|POLLOUT|POLLRDHUP}}], 1, 0)"
            ));
        }
    }

    /// Calls that mean nothing.
    fn wrong(&mut self) {
        let (Some(epoll), Some(file)) = (self.epoll(), self.any()) else {
            return;
        };
        let (ep, f) = (&epoll.name, &file.name);
        let call = match self.dice.below(7) {
            0 => format!("epoll_ctl({ep}, 0x63 /* EPOLL_CTL_??? */, {f}, NULL)"),
            1 => format!("epoll_ctl({ep}, EPOLL_CTL_ADD, -1, NULL)"),
            2 => format!(
                "epoll_ctl({ep}, EPOLL_CTL_ADD, {ep}, {{events=EPOLLIN, data={{u32=1, u64=1}}}})"
            ),
            3 => format!("epoll_wait({f}, ..., 1, 0)"),
            4 => format!("epoll_wait({ep}, ..., -1, 0)"),
            5 => format!("write({ep}, \"x\", 1)"),
            _ => format!("read({ep}, ..., 1)"),
        };
        self.call(&call);
    }

    fn thread(&mut self) {
        if self.tasks.len() < 2 {
            let task = self.name("T");
            self.tasks.push(task);
        }
    }

    fn fork(&mut self) {
        if self.tasks.iter().any(|task| task.starts_with('c')) {
            if self.chance(40) {
                let mut children = self.tasks.iter().filter(|task| task.starts_with('c'));
                let child = children.next().cloned().unwrap_or_default();
                self.line(&format!("[{child}] exit_group(0) = ?"));
                self.tasks.retain(|task| *task != child);
            }
            return;
        }
        // Threads of the parent are not in the child.
        let child = self.name("c");
        self.line(&format!("{child} = fork()"));
        self.tasks.push(child);
    }

    /// A task waits for whatever comes.
    fn fall_asleep(&mut self) {
        if std::mem::replace(&mut self.sleeper, true) {
            return;
        }
        let Some(epoll) = self.one_of(|kind| kind == Kind::Epoll) else {
            return;
        };
        let task = self.name("S");
        let most = self.number(&[1, 8]);
        let name = epoll.name;
        let call = match self.dice.below(3) {
            0 => format!("poll([{{fd={name}, events=POLLIN}}], 1, -1"),
            _ => format!("epoll_wait({name}, ..., {most}, -1"),
        };
        self.line(&format!("[{task}] {call} <unfinished ...>"));
    }

    /// Nothing may block, so the flag is only ever set.
    fn nonblock(&mut self) {
        if let Some(file) = self.any() {
            self.call(&format!("ioctl({}, FIONBIO, [1])", file.name));
        }
    }

    fn look_inside(&mut self) {
        if let Some(epoll) = self.one_of(|kind| kind == Kind::Epoll) {
            self.call(&format!("fdinfo({})", epoll.name));
        }
    }

    /// All that can still be told apart.
    fn look_at_everything(&mut self) {
        let epolls = self.open.iter().filter(|file| file.kind == Kind::Epoll);
        let epolls: Vec<String> = epolls.map(|file| file.name.clone()).collect();
        let fds = self.open.iter().map(|file| {
            let name = &file.name;
            format!("{{fd={name}, events=POLLIN|POLLPRI|POLLOUT|POLLRDNORM|POLLRDBAND|POLLWRNORM|POLLWRBAND|POLLRDHUP}}")
        });
        let fds: Vec<String> = fds.collect();
        if !fds.is_empty() {
            self.line(&format!("poll([{}], {}, 0)", fds.join(", "), fds.len()));
        }
        for epoll in &epolls {
            self.line(&format!("fdinfo({epoll})"));
        }
        for epoll in &epolls {
            self.line(&format!("epoll_wait({epoll}, ..., 16, 0)"));
            self.line(&format!("epoll_wait({epoll}, ..., 16, 0)"));
        }
    }
}

/// Several tasks at the same time.
impl Draft {
    /// Every call is one that may sleep, and leaves its result open: the explorer knows what can come.
    fn block(&mut self, drawing: Drawing) {
        // What they do is about few files, or they would never meet.
        for _ in 0..self.dice.below(4) {
            self.act_alone();
        }
        self.line("parallel {");
        let each = 1 + self.dice.below(3);
        for number in 0..drawing.tasks {
            for _ in 0..each {
                if let Some(call) = self.call_in_block() {
                    let result = self.name("n");
                    let head = call.strip_suffix(')').unwrap_or(&call);
                    let task = if number == 0 {
                        String::new()
                    } else {
                        format!("[P{number}] ")
                    };
                    self.line(&format!(
                        "    {task}{result} = {head} <unfinished ...>) = ?"
                    ));
                }
            }
        }
        self.line("}");
    }

    fn act_alone(&mut self) {
        match self.dice.below(3) {
            0 => {
                if let Some(file) = self.any() {
                    kinds::use_file(self, &file);
                }
            }
            1 => self.modify(),
            _ => self.wait(),
        }
    }

    /// A call without its task and result.
    fn call_in_block(&mut self) -> Option<String> {
        let timeout = self.word(&["0", "-1", "-1", "1"]);
        let (epoll, file) = (self.one_of(|kind| kind == Kind::Epoll)?, self.any()?);
        let (ep, f, data) = (epoll.name, &file.name, file.data);
        Some(match self.dice.below(12) {
            0..4 => {
                let most = self.number(&[1, 1, 2, 8]);
                format!("epoll_wait({ep}, ..., {most}, {timeout})")
            }
            4 => {
                let mask = self.mask();
                format!(
                    "epoll_ctl({ep}, EPOLL_CTL_MOD, {f}, {{events={mask}, data={{u32={data}, u64={data}}}}})"
                )
            }
            5 => {
                let mask = self.mask();
                format!(
                    "epoll_ctl({ep}, EPOLL_CTL_ADD, {f}, {{events={mask}, data={{u32={data}, u64={data}}}}})"
                )
            }
            6 => format!("epoll_ctl({ep}, EPOLL_CTL_DEL, {f}, NULL)"),
            7 => format!("close({f})"),
            _ => kinds::transfer(self, &file)?,
        })
    }
}
