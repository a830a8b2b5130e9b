//! From lines to text: the one canonical spelling of each.

use std::fmt::{self, Display};
use std::time::Duration;

use crate::abi::{Bytes, EpollEvent, EventMask, Message, Ptr, SockAddr};
use crate::backend::Thaw;

use super::ast::{
    Addr, Arg, Call, Detail, Event, Expect, Form, Item, Line, LineKind, Name, Num, OptVal, Output,
    Place, PollEntry, Scenario, Shown, Text, Value,
};
use super::lower::{low_i32, low_u32, low_u64};
use super::read::option_size;
use super::siginfo::{SI, SSI};
use super::signature::{Kind, Returns};
use super::words;

/// The whole file, as `epoll-lab fmt` writes it.
impl Display for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&file_text(self, &|_| None))
    }
}

/// A step of the walk over all lines, those in blocks included.
#[derive(Clone, Copy, Debug)]
pub(super) enum Step<'s> {
    Line(&'s Line),
    /// The closing brace of the block that this line opened.
    End(&'s Line),
}

/// All lines in their order, with how deep they stand.
pub(super) fn walk<'s>(lines: &'s [Line], depth: usize, visit: &mut dyn FnMut(usize, Step<'s>)) {
    for line in lines {
        visit(depth, Step::Line(line));
        if let Some(body) = line.body() {
            walk(body, depth + 1, visit);
            visit(depth, Step::End(line));
        }
    }
}

/// The text of a file in which some lines say something else than in the scenario.
pub(super) fn file_text(scenario: &Scenario, changed: &dyn Fn(&Line) -> Option<String>) -> String {
    let mut text = String::new();
    walk(&scenario.lines, 0, &mut |depth, step| {
        let line = match step {
            Step::Line(line) => match changed(line) {
                Some(changed) => format!("{changed}{}", Comment(line.comment.as_deref())),
                None => line.to_string(),
            },
            Step::End(opened_by) => format!("}}{}", Comment(opened_by.end_comment())),
        };
        if !line.is_empty() {
            text.push_str(&indent(depth));
            text.push_str(&line);
        }
        text.push('\n');
    });
    text
}

/// What stands in front of a line in blocks.
pub(super) fn indent(depth: usize) -> String {
    " ".repeat(4 * depth)
}

struct Comment<'a>(Option<&'a str>);

impl Display for Comment<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(comment) => write!(f, " #{comment}"),
            None => Ok(()),
        }
    }
}

/// The line alone: of a loop, what opens it.
impl Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            LineKind::Blank => {}
            LineKind::Comment(text) => write!(f, "#{text}")?,
            LineKind::Note(text) => f.write_str(text)?,
            LineKind::Pass(time) => write_time(f, *time)?,
            LineKind::Call(call) => call.fmt(f)?,
            LineKind::Handled(handled) => handled.fmt(f)?,
            LineKind::Thaw {
                task,
                page: Thaw::Writable,
            } => write!(f, "thaw({task})")?,
            LineKind::Thaw {
                task,
                page: Thaw::ReadOnly,
            } => write!(f, "thaw({task}, PROT_READ)")?,
            LineKind::Repeat(repeat) => {
                write!(f, "repeat {} ", repeat.count)?;
                if let Some(var) = &repeat.var {
                    write!(f, "as {var} ")?;
                }
                f.write_str("{")?;
            }
            LineKind::Parallel(_) => f.write_str("parallel {")?,
            LineKind::Closing(closing) => closing.fmt(f)?,
        }
        Comment(self.comment.as_deref()).fmt(f)
    }
}

fn write_time(f: &mut fmt::Formatter<'_>, time: Duration) -> fmt::Result {
    match time.as_micros() {
        micros if micros != 0 && micros.is_multiple_of(1_000_000) => {
            write!(f, "+{}s", micros / 1_000_000)
        }
        micros if micros != 0 && micros.is_multiple_of(1000) => write!(f, "+{}ms", micros / 1000),
        micros => write!(f, "+{micros}us"),
    }
}

impl Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Display for Num {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Num::Lit(number) => number.fmt(f),
            Num::Name(name) => name.fmt(f),
        }
    }
}

impl Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(time) = self.time {
            write_time(f, time)?;
            f.write_str(" ")?;
        }
        if let Some(task) = &self.task {
            let is_pid = task.text.starts_with(|c: char| c.is_ascii_digit());
            write!(f, "[{}{task}] ", if is_pid { "pid " } else { "" })?;
        }
        if let Some(bind) = &self.bind {
            write!(f, "{bind} = ")?;
        }
        let first = match self.form {
            Form::Resumed => {
                write!(f, "<... {} resumed>", self.signature.name)?;
                self.signature.first_output()
            }
            Form::Plain | Form::Unfinished | Form::Abandoned => {
                write!(f, "{}(", self.signature.name)?;
                0
            }
        };
        for (place, (arg, param)) in self
            .args
            .iter()
            .zip(self.signature.params)
            .enumerate()
            .skip(first)
        {
            f.write_str(if place > first { ", " } else { "" })?;
            write_arg(f, arg, param.kind, self)?;
        }
        match self.form {
            Form::Unfinished => return f.write_str(" <unfinished ...>"),
            Form::Abandoned => return f.write_str(" <unfinished ...>) = ?"),
            Form::Plain | Form::Resumed => f.write_str(")")?,
        }
        write_result(f, &self.expect, self.signature.returns)
    }
}

fn write_arg(f: &mut fmt::Formatter<'_>, arg: &Arg, kind: Kind, call: &Call) -> fmt::Result {
    let size = |kind| {
        option_size(kind, &call.args)
            .unwrap_or_default()
            .to_string()
    };
    match &arg.value {
        Value::Num(num) => write_num(f, num, kind),
        Value::Bits(bits) => match kind {
            Kind::Flags(words) | Kind::Choice(words) => f.write_str(&(words.print)(*bits)),
            _ => write!(f, "{bits:#x}"),
        },
        Value::Addr(0) => f.write_str("NULL"),
        Value::Addr(addr) => write!(f, "{addr:#x}"),
        Value::Text(text) => write_text(f, text),
        Value::Event(event) => write_event(f, event),
        Value::SigSet(set) => set.fmt(f),
        Value::SigAction(action) => action.fmt(f),
        Value::SigPack(mask, size) => {
            f.write_str("{sigmask=")?;
            match mask {
                Ptr::To(set) => set.fmt(f)?,
                Ptr::Addr(0) => f.write_str("NULL")?,
                Ptr::Addr(addr) => write!(f, "{addr:#x}")?,
            }
            write!(f, ", sigsetsize={size}}}")
        }
        Value::SockAddr(addr) => write_addr(f, addr),
        Value::SockOpt(value) => write_sockopt(f, value),
        Value::Msg(text, fds) => write_message(f, text, fds),
        Value::Iov(parts) => write_list(f, parts, ", ", |f, (base, len)| {
            f.write_str("{iov_base=")?;
            match base {
                Ptr::To(text) => write_text(f, text)?,
                Ptr::Addr(0) => f.write_str("NULL")?,
                Ptr::Addr(addr) => write!(f, "{addr:#x}")?,
            }
            write!(f, ", iov_len={len}}}")
        }),
        Value::Time(sec, rest) => {
            let field = if matches!(kind, Kind::Timeval) {
                "tv_usec"
            } else {
                "tv_nsec"
            };
            write!(f, "{{tv_sec={sec}, {field}={rest}}}")
        }
        Value::PollFds(entries) => write_poll_entries(f, entries, "events"),
        Value::FdSet(fds) => write_fd_set(f, fds),
        Value::Int(num) => write!(f, "[{num}]"),
        Value::Itimerspec(timer) => timer.fmt(f),
        Value::Params(params) => params.fmt(f),
        Value::Termios(termios) => termios.fmt(f),
        Value::Rlimit(limit) => limit.fmt(f),
        Value::Slot { efd, tfd, toff } => write!(f, "{{efd={efd}, tfd={tfd}, toff={toff}}}"),
        Value::Length(_) | Value::Fixed => f.write_str(&match kind {
            Kind::Only(words, only) => (words.print)(only),
            Kind::Zero => "0".to_owned(),
            Kind::SockOptLen { .. } => size(kind),
            Kind::SockOptLenPtr(_) => format!("[{}]", size(kind)),
            Kind::SockAddrLen(of) => length_of(&call.args[of].value),
            Kind::Program => "\"/bin/sleep\"".to_owned(),
            Kind::Argv => "[\"sleep\", \"infinity\"]".to_owned(),
            _ => "NULL".to_owned(),
        }),
        Value::Out(output) => write_output(f, output, call.form),
    }
}

/// `[128 => 16]`: how much room there was for an address, and how long it is.
fn length_of(address: &Value) -> String {
    let room = SockAddr::STORAGE;
    match address {
        Value::Out(Output {
            shown: Shown::SockAddr(addr),
            ..
        }) => format!("[{room} => {}]", addr.size()),
        _ => format!("[{room}]"),
    }
}

fn write_addr(f: &mut fmt::Formatter<'_>, addr: &Addr) -> fmt::Result {
    match addr {
        Addr::None => f.write_str("{}"),
        Addr::Unix(addr) => addr.fmt(f),
        Addr::Inet { port, ip } => {
            write!(f, "{{sa_family=AF_INET, sin_port=htons({port}), ")?;
            write!(f, "sin_addr=inet_addr(\"{ip}\")}}")
        }
    }
}

fn write_sockopt(f: &mut fmt::Formatter<'_>, value: &OptVal) -> fmt::Result {
    match value {
        OptVal::Int(num) => write!(f, "[{num}]"),
        OptVal::Linger { onoff, seconds } => {
            write!(f, "{{l_onoff={onoff}, l_linger={seconds}}}")
        }
    }
}

fn write_message(f: &mut fmt::Formatter<'_>, text: &Text, fds: &[Num]) -> fmt::Result {
    f.write_str("{msg_name=NULL, msg_namelen=0, msg_iov=[{iov_base=")?;
    write_text(f, text)?;
    write!(f, ", iov_len={}}}], msg_iovlen=1, ", text.bytes.len())?;
    write_control(f, fds)?;
    let space = Message::control_space(fds.len());
    write!(f, "msg_controllen={space}, msg_flags=0}}")
}

/// The control message with these descriptors, if there are any.
fn write_control(f: &mut fmt::Formatter<'_>, fds: &[Num]) -> fmt::Result {
    if fds.is_empty() {
        return Ok(());
    }
    let length = Message::control_len(fds.len());
    write!(
        f,
        "msg_control=[{{cmsg_len={length}, cmsg_level=SOL_SOCKET, "
    )?;
    f.write_str("cmsg_type=SCM_RIGHTS, cmsg_data=")?;
    write_list(f, fds, ", ", |f, fd| fd.fmt(f))?;
    f.write_str("}], ")
}

/// What recvmsg(2) stored, if that is told, and what it had room for.
fn write_received(
    f: &mut fmt::Formatter<'_>,
    shown: Option<(&Text, &[Num], u32)>,
    size: u64,
    control: u64,
) -> fmt::Result {
    f.write_str("{msg_name=NULL, msg_namelen=0, msg_iov=[{iov_base=")?;
    let Some((text, fds, flags)) = shown else {
        write!(f, "..., iov_len={size}}}], msg_iovlen=1, ")?;
        return write!(f, "msg_controllen={control}, msg_flags=...}}");
    };
    write_text(f, text)?;
    write!(f, ", iov_len={size}}}], msg_iovlen=1, ")?;
    write_control(f, fds)?;
    f.write_str("msg_controllen=")?;
    let used = Message::control_used(fds.len(), control);
    if used == control {
        write!(f, "{control}")?;
    } else {
        write!(f, "{control} => {used}")?;
    }
    write!(f, ", msg_flags={}}}", (words::MSG_FLAGS.print)(flags))
}

fn write_num(f: &mut fmt::Formatter<'_>, num: &Num, kind: Kind) -> fmt::Result {
    match (num, kind) {
        (Num::Lit(-100), Kind::Fd) => f.write_str("AT_FDCWD"),
        (Num::Lit(mode), Kind::Mode) => write!(f, "0{mode:o}"),
        _ => num.fmt(f),
    }
}

fn write_text(f: &mut fmt::Formatter<'_>, text: &Text) -> fmt::Result {
    // `Bytes` shortens by itself; in a scenario only what is written shortened may be.
    for (i, chunk) in Chunks(&text.bytes).enumerate() {
        f.write_str(if i == 0 { "\"" } else { "" })?;
        let quoted = Bytes::from(chunk).to_string();
        f.write_str(&quoted[1..quoted.len() - 1])?;
    }
    if text.bytes.is_empty() {
        f.write_str("\"")?;
    }
    f.write_str(if text.more { "\"..." } else { "\"" })
}

/// Pieces that `Bytes` prints whole. A piece never ends before a digit, which the escape in front of it
/// would swallow.
struct Chunks<'a>(&'a [u8]);

impl<'a> Iterator for Chunks<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        const MOST: usize = 32;
        if self.0.is_empty() {
            return None;
        }
        let mut length = self.0.len().min(MOST);
        let swallows = |at: usize| {
            self.0.get(at).is_some_and(u8::is_ascii_digit) && !matches!(self.0[at - 1], 0x20..=0x7e)
        };
        while length > 1 && swallows(length) {
            length -= 1;
        }
        let (chunk, rest) = self.0.split_at(length);
        self.0 = rest;
        Some(chunk)
    }
}

fn write_event(f: &mut fmt::Formatter<'_>, event: &Event) -> fmt::Result {
    let events = EventMask::from_bits_retain(event.events);
    match &event.data {
        Some(Num::Lit(data)) => EpollEvent::new(events, low_u64(*data)).fmt(f),
        Some(Num::Name(name)) => {
            write!(f, "{{events={events}, data={{u32={name}, u64={name}}}}}")
        }
        None => write!(f, "{{events={events}}}"),
    }
}

pub(super) fn write_events(
    f: &mut fmt::Formatter<'_>,
    unordered: bool,
    events: &[Event],
) -> fmt::Result {
    f.write_str(if unordered { "unordered " } else { "" })?;
    write_list(f, events, ", ", write_event)
}

fn write_list<T>(
    f: &mut fmt::Formatter<'_>,
    list: &[T],
    separator: &str,
    mut write: impl FnMut(&mut fmt::Formatter<'_>, &T) -> fmt::Result,
) -> fmt::Result {
    f.write_str("[")?;
    for (i, member) in list.iter().enumerate() {
        f.write_str(if i == 0 { "" } else { separator })?;
        write(f, member)?;
    }
    f.write_str("]")
}

fn write_fd_set(f: &mut fmt::Formatter<'_>, fds: &[Num]) -> fmt::Result {
    write_list(f, fds, " ", |f, fd| fd.fmt(f))
}

fn write_poll_entries(
    f: &mut fmt::Formatter<'_>,
    entries: &[PollEntry],
    mask: &str,
) -> fmt::Result {
    write_list(f, entries, ", ", |f, entry| {
        let bits = EventMask::from_bits_retain(entry.mask);
        write!(f, "{{fd={}, {mask}={}}}", entry.fd, bits.as_poll())
    })
}

fn write_output(f: &mut fmt::Formatter<'_>, output: &Output, form: Form) -> fmt::Result {
    match output.place {
        Place::Addr(0) => return f.write_str("NULL"),
        Place::Addr(addr) => return write!(f, "{addr:#x}"),
        // The line that began the call has said what memory it is.
        _ if form == Form::Resumed => {}
        Place::Plenty => {}
        Place::Bytes(bytes) => write!(f, "@room({bytes}) ")?,
        Place::Entries(entries) => write!(f, "@room({entries} entries) ")?,
        Place::Frozen => f.write_str("@frozen ")?,
        Place::Message { .. } => {}
    }
    let is_open = matches!(form, Form::Unfinished | Form::Abandoned);
    match (&output.shown, output.place) {
        (shown, Place::Message { size, control }) => {
            let shown = match shown {
                Shown::Msg(text, fds, flags) if !is_open => Some((text, &fds[..], *flags)),
                _ => None,
            };
            return write_received(f, shown, size, control);
        }
        (Shown::Msg(text, fds, flags), _) => {
            let (size, control) = Place::MESSAGE;
            return write_received(f, Some((text, &fds[..], *flags)), size, control);
        }
        // Their lengths are told also where their content is not.
        (Shown::Parts(_), _) => {}
        _ if is_open => return f.write_str("..."),
        _ => {}
    }
    match &output.shown {
        Shown::Parts(parts) => write_list(f, parts, ", ", |f, (text, len)| {
            f.write_str("{iov_base=")?;
            match text {
                Some(text) => write_text(f, text)?,
                None => f.write_str("...")?,
            }
            write!(f, ", iov_len={len}}}")
        }),
        Shown::Open => f.write_str("..."),
        Shown::Events { unordered, events } => write_events(f, *unordered, events),
        Shown::Pipe(read_end, write_end) => write!(f, "[{read_end}, {write_end}]"),
        Shown::Bytes(text) | Shown::Msg(text, ..) => write_text(f, text),
        Shown::Signals(signals) => write_list(f, signals, ", ", |f, info| info.write(f, SSI)),
        Shown::Siginfo(info) => info.write(f, SI),
        Shown::Inotify(events) => write_list(f, events, ", ", |f, event| event.fmt(f)),
        Shown::Int(num) => write!(f, "[{num}]"),
        Shown::SockOpt(value) => write_sockopt(f, value),
        Shown::SockAddr(addr) => write_addr(f, addr),
        Shown::Params(params) => params.fmt(f),
        Shown::Termios(termios) => termios.fmt(f),
        Shown::Status(status) => status.fmt(f),
        Shown::Rlimit(limit) => limit.fmt(f),
        Shown::SigSet(set) => set.fmt(f),
        Shown::SigAction(action) => action.fmt(f),
        Shown::Timespec(time) => time.fmt(f),
        Shown::Itimerspec(timer) => timer.fmt(f),
    }
}

fn write_result(f: &mut fmt::Formatter<'_>, expect: &Expect, returns: Returns) -> fmt::Result {
    match expect {
        Expect::Record => Ok(()),
        Expect::Open => f.write_str(" = ?"),
        Expect::Error(errno) => write!(f, " = -1 {errno}"),
        Expect::Items(items) => {
            f.write_str(" = ")?;
            write_list(f, items, ", ", write_item)
        }
        Expect::Text(bytes) => {
            f.write_str(" = ")?;
            write_text(
                f,
                &Text {
                    bytes: bytes.clone(),
                    more: false,
                },
            )
        }
        Expect::Value(num, detail) => {
            f.write_str(" = ")?;
            write_value(f, num, returns)?;
            write_detail(f, num, detail, returns)
        }
    }
}

fn write_value(f: &mut fmt::Formatter<'_>, num: &Num, returns: Returns) -> fmt::Result {
    match (num, returns) {
        (Num::Lit(bits), Returns::FdFlags | Returns::OpenFlags) if *bits != 0 => {
            write!(f, "{bits:#x}")
        }
        _ => num.fmt(f),
    }
}

fn write_detail(
    f: &mut fmt::Formatter<'_>,
    num: &Num,
    detail: &Detail,
    returns: Returns,
) -> fmt::Result {
    match (detail, num, returns) {
        (Detail::Poll(entries), ..) => {
            f.write_str(" (")?;
            write_poll_entries(f, entries, "revents")?;
            f.write_str(")")
        }
        (Detail::Sets(sets), ..) => {
            let mut separator = " (";
            for (name, set) in ["in", "out", "except"].iter().zip(sets) {
                if !set.is_empty() {
                    write!(f, "{separator}{name} ")?;
                    write_fd_set(f, set)?;
                    separator = ", ";
                }
            }
            f.write_str(if separator == ", " { ")" } else { "" })
        }
        (_, Num::Lit(0), Returns::Poll | Returns::Sets) => f.write_str(" (Timeout)"),
        (_, Num::Lit(bits), Returns::OpenFlags) => {
            write!(f, " (flags {})", (words::OPEN_FLAGS.print)(low_u32(*bits)))
        }
        (_, Num::Lit(bits), Returns::FdFlags) if low_i32(*bits) != 0 => {
            write!(f, " (flags {})", (words::FD_FLAGS.print)(low_u32(*bits)))
        }
        _ => Ok(()),
    }
}

fn write_item(f: &mut fmt::Formatter<'_>, item: &Item) -> fmt::Result {
    let events = EventMask::from_bits_retain(item.events);
    let Item { tfd, data, pos, .. } = item;
    write!(f, "{{tfd={tfd}, events={events}, data=")?;
    match data {
        Num::Lit(data) => {
            write!(f, "{{u32={}, u64={}}}", low_u32(*data), low_u64(*data))?;
        }
        Num::Name(name) => write!(f, "{{u32={name}, u64={name}}}")?,
    }
    write!(f, ", pos={pos}}}")
}
