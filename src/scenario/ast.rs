//! A scenario as a value: what the lines say, with names still names.
//!
//! Arguments are kept by kind and not as text, so there is one way to print each of them: printing a
//! scenario gives its canonical form, whatever dialect it was written in. Nothing here can be built
//! from outside: a value of these types has passed the parser and the check.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

use crate::abi::{
    EpollParams, Errno, InotifyEvent, Itimerspec, Ptr, Rlimit, SigAction, SigSet, SockAddr,
    Termios, Timespec, WaitStatus,
};
use crate::backend::Thaw;

use super::closing::Closing;
use super::handled::Handled;
use super::siginfo::Siginfo;
use super::signature::{Kind, Signature};
use super::words::Words;
use super::{Header, Span};

/// A scenario that was read and found well-formed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Scenario {
    pub(super) header: Header,
    pub(super) lines: Vec<Line>,
}

impl Scenario {
    /// What the comments at the top say.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The lines in order; the body of a block hangs under its first line.
    pub fn lines(&self) -> &[Line] {
        &self.lines
    }

    /// Whether it has a `parallel` block: then it does not tell one run but all that are possible.
    pub fn is_parallel(&self) -> bool {
        let is_block = |line: &Line| matches!(line.kind, LineKind::Parallel(_));
        self.lines.iter().any(is_block)
    }
}

/// One line of the file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Line {
    pub(super) number: usize,
    pub(super) span: Span,
    pub(super) kind: LineKind,
    /// What follows `#` at the end of a line that says something else.
    pub(super) comment: Option<Box<str>>,
}

impl Line {
    /// Its number in the file, from 1.
    pub fn number(&self) -> usize {
        self.number
    }

    /// Where it stands.
    pub fn span(&self) -> Span {
        self.span
    }

    /// Whether something is to happen: a call, a thaw, time that passes, the end of a call, the run of a
    /// handler.
    pub fn is_action(&self) -> bool {
        matches!(
            self.kind,
            LineKind::Call(_) | LineKind::Pass(_) | LineKind::Thaw { .. } | LineKind::Handled(_)
        )
    }

    /// Whether it is the end of a call that began before: `[A] <... epoll_wait resumed>`.
    pub fn is_resumed(&self) -> bool {
        matches!(&self.kind, LineKind::Call(call) if call.form == Form::Resumed)
    }

    /// The task that makes its call; none where it is the first one, or where there is no call.
    pub fn task(&self) -> Option<&str> {
        match &self.kind {
            LineKind::Call(call) => call.task.as_ref().map(|task| &*task.text),
            _ => None,
        }
    }

    /// The system call that it makes, or the end of which it is.
    pub fn call(&self) -> Option<&'static str> {
        match &self.kind {
            LineKind::Call(call) => Some(call.signature.name),
            _ => None,
        }
    }

    /// The lines of the block that it opens.
    pub fn body(&self) -> Option<&[Line]> {
        match &self.kind {
            LineKind::Repeat(repeat) => Some(&repeat.body),
            LineKind::Parallel(parallel) => Some(&parallel.body),
            _ => None,
        }
    }

    /// The comment behind the closing brace of its block.
    pub(super) fn end_comment(&self) -> Option<&str> {
        match &self.kind {
            LineKind::Repeat(repeat) => repeat.end_comment.as_deref(),
            LineKind::Parallel(parallel) => parallel.end_comment.as_deref(),
            _ => None,
        }
    }
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum LineKind {
    Blank,
    /// Nothing but a comment; the text behind `#`.
    Comment(Box<str>),
    /// What strace says between calls: `+++ exited with 0 +++`.
    Note(Box<str>),
    /// `+10ms` alone.
    Pass(Duration),
    Call(Box<Call>),
    /// The program's handler of a signal runs.
    Handled(Handled),
    Thaw {
        task: Name,
        page: Thaw,
    },
    Repeat(Repeat),
    Parallel(Parallel),
    Closing(Closing),
}

/// `parallel {` ... `}`: lines of one task in their order, those of different tasks in any.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Parallel {
    pub(super) body: Vec<Line>,
    /// The comment behind the closing brace.
    pub(super) end_comment: Option<Box<str>>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Repeat {
    pub(super) count: u64,
    pub(super) var: Option<Name>,
    pub(super) body: Vec<Line>,
    /// The comment behind the closing brace.
    pub(super) end_comment: Option<Box<str>>,
}

/// A call, or one half of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Call {
    /// Time that passes first.
    pub(super) time: Option<Duration>,
    pub(super) task: Option<Name>,
    /// The name that the returned number gets; in and behind a `parallel` block the name by which the
    /// closing lines ask for what the call returned.
    pub(super) bind: Option<Name>,
    pub(super) signature: &'static Signature,
    /// All arguments, also where a half shows only some of them.
    pub(super) args: Vec<Arg>,
    pub(super) expect: Expect,
    pub(super) form: Form,
}

impl Call {
    /// What it stores, in the order of the arguments.
    pub(super) fn outputs(&self) -> impl Iterator<Item = &Output> {
        self.args.iter().filter_map(|arg| match &arg.value {
            Value::Out(output) => Some(output),
            _ => None,
        })
    }

    /// The same to change, with what it is.
    pub(super) fn outputs_mut(&mut self) -> impl Iterator<Item = (Kind, &mut Output)> {
        let args = self.args.iter_mut().zip(self.signature.params);
        args.filter_map(|(arg, param)| match &mut arg.value {
            Value::Out(output) => Some((param.kind, output)),
            _ => None,
        })
    }

    /// Says nothing of what it stores.
    pub(super) fn leave_open(&mut self) {
        for (_, output) in self.outputs_mut() {
            output.shown = output.shown.opened();
        }
    }

    /// Whether an argument made of these words has this bit.
    pub(super) fn has_flag(&self, words: &'static Words, bit: u32) -> bool {
        let mut args = self.args.iter().zip(self.signature.params);
        args.any(|(arg, param)| match (&arg.value, param.kind) {
            (Value::Bits(bits), Kind::Flags(of)) => std::ptr::eq(of, words) && bits & bit != 0,
            _ => false,
        })
    }

    pub(super) fn task_name(&self) -> &str {
        self.task.as_ref().map_or("", |task| &task.text)
    }
}

/// Which part of a call a line shows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Form {
    Plain,
    /// `... <unfinished ...>`: it sleeps.
    Unfinished,
    /// `... <unfinished ...>) = ?`: it may sleep for good, as strace shows a call that never came back.
    Abandoned,
    /// `<... call resumed>`: it ended.
    Resumed,
}

/// A word that stands for a number or a task.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Name {
    pub(super) text: Box<str>,
    pub(super) span: Span,
}

impl Name {
    /// A word that stands in no text.
    pub(super) fn new(text: &str) -> Name {
        Name {
            text: text.into(),
            span: Span::default(),
        }
    }
}

/// A number, or a name that has one at run time.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Num {
    Lit(i128),
    Name(Name),
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Arg {
    pub(super) value: Value,
    pub(super) span: Span,
}

/// An argument; which variants can occur is decided by its `Kind` in the table of calls.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Value {
    Num(Num),
    /// Flags, or a constant out of several.
    Bits(u32),
    /// A pointer with nothing behind it.
    Addr(u64),
    Text(Text),
    Event(Event),
    SigSet(SigSet),
    SigAction(SigAction),
    /// The last argument of pselect6: a mask, or the address of one, and its size.
    SigPack(Ptr<SigSet>, u64),
    SockAddr(Addr),
    /// The value of a socket option.
    SockOpt(OptVal),
    /// The size of an address that comes back, until it was held against that address.
    Length(Option<u32>),
    /// What sendmsg(2) sends: data and descriptors.
    Msg(Text, Vec<Num>),
    /// What writev(2) writes: parts, and how long each is.
    Iov(Vec<(Ptr<Text>, u64)>),
    /// Seconds and what remains of them.
    Time(Num, Num),
    PollFds(Vec<PollEntry>),
    FdSet(Vec<Num>),
    /// A pointer to an int.
    Int(Num),
    Itimerspec(Itimerspec),
    Params(EpollParams),
    Termios(Termios),
    Rlimit(Rlimit),
    Slot {
        efd: Num,
        tfd: Num,
        toff: Num,
    },
    /// What can be nothing else: the program of execve, say.
    Fixed,
    Out(Output),
}

/// A string, or its beginning.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Text {
    pub(super) bytes: Vec<u8>,
    /// Whether `...` follows it.
    pub(super) more: bool,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Event {
    pub(super) events: u32,
    /// Absent only where a fault tore the entry.
    pub(super) data: Option<Num>,
}

/// An entry of poll's array: in the arguments with `events`, in the result with `revents`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct PollEntry {
    pub(super) fd: Num,
    pub(super) mask: u32,
}

/// A line of fdinfo.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Item {
    pub(super) tfd: Num,
    pub(super) events: u32,
    pub(super) data: Num,
    pub(super) pos: Num,
}

/// An argument that the call fills.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Output {
    pub(super) place: Place,
    pub(super) shown: Shown,
}

/// The memory of an output.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Place {
    /// As much as the call says.
    Plenty,
    /// `@room(24)`
    Bytes(u64),
    /// `@room(2 entries)`
    Entries(u64),
    /// Of recvmsg(2): so many bytes for data, and so many for control messages.
    Message { size: u64, control: u64 },
    /// `@frozen`
    Frozen,
    /// None: a bare address.
    Addr(u64),
}

impl Place {
    /// What recvmsg(2) has room for where its line does not say: any data of a few pages, a dozen descriptors.
    pub(super) const MESSAGE: (u64, u64) = (16384, 64);
}

/// What the call is said to store.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Shown {
    /// `...`
    Open,
    Events {
        unordered: bool,
        events: Vec<Event>,
    },
    Pipe(Num, Num),
    Bytes(Text),
    /// What readv(2) fills: buffers of these lengths.
    Parts(Vec<(Option<Text>, u64)>),
    /// What is read from a signalfd.
    Signals(Vec<Siginfo>),
    Siginfo(Siginfo),
    /// What is read from an inotify instance.
    Inotify(Vec<InotifyEvent>),
    Int(Num),
    SockOpt(OptVal),
    SockAddr(Addr),
    /// Data, descriptors, and `msg_flags`.
    Msg(Text, Vec<Num>, u32),
    Params(EpollParams),
    Termios(Termios),
    Status(WaitStatus),
    Rlimit(Rlimit),
    SigSet(SigSet),
    SigAction(SigAction),
    Timespec(Timespec),
    Itimerspec(Itimerspec),
}

impl Shown {
    /// The same without what is to be stored.
    pub(super) fn opened(&self) -> Shown {
        match self {
            // How long the buffers are is said all the same.
            Shown::Parts(parts) => {
                Shown::Parts(parts.iter().map(|(_, len)| (None, *len)).collect())
            }
            _ => Shown::Open,
        }
    }
}

/// A socket's address.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Addr {
    /// `{}`: none, as of a sender without a name.
    None,
    Unix(SockAddr),
    /// A port that the kernel chose has a name.
    Inet {
        port: Num,
        ip: Ipv4Addr,
    },
}

impl Addr {
    /// What its length is said to be.
    pub(super) fn size(&self) -> usize {
        match self {
            Addr::None => 0,
            Addr::Unix(addr) => addr.size(),
            Addr::Inet { ip, .. } => SockAddr::Inet(SocketAddrV4::new(*ip, 0)).size(),
        }
    }
}

/// The value of a socket option.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum OptVal {
    Int(Num),
    Linger { onoff: Num, seconds: Num },
}

/// What the call is said to return.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Expect {
    /// Nothing is said.
    Record,
    /// `= ?`
    Open,
    Value(Num, Detail),
    Error(Errno),
    /// The items of fdinfo.
    Items(Vec<Item>),
    /// The text of fdinfo_text.
    Text(Vec<u8>),
}

/// What strace adds to a number in brackets, where it is more than a reading aid.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Detail {
    None,
    Poll(Vec<PollEntry>),
    /// `in`, `out`, `except`
    Sets([Vec<Num>; 3]),
}
