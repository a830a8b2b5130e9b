//! Holds what came back against what is written, and writes down what came back.

use crate::abi::{
    Answer, EpollEvent, EventMask, Fd, FdSet, FdinfoItem, Out, PollFd, SockAddr, SockOpt,
    parse_fdinfo,
};

use super::ScenarioError;
use super::ast::{
    Addr, Call, Detail, Event, Expect, Form, Item, Num, OptVal, Output, Place, PollEntry, Shown,
    Text,
};
use super::env::Env;
use super::lower::{epoll_event, fd_set, low_i32, low_u64, sockaddr, sockopt};
use super::siginfo::Siginfo;
use super::signature::{Kind, Returns};

type Result<T> = std::result::Result<T, ScenarioError>;

/// How one part of a line compares.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Part {
    /// It is as written, or there is nothing to compare.
    Agrees,
    /// Nothing is written that it could contradict.
    Open,
    Differs,
}

/// How a line compares: the number it returned, and what it stored.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Verdict {
    pub(super) result: Part,
    pub(super) output: Part,
}

impl Verdict {
    pub(super) fn agrees(self) -> bool {
        self.result != Part::Differs && self.output != Part::Differs
    }
}

/// Which open places are filled in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Fill {
    /// Missing results, and what contradicts the text. What the text leaves open on purpose stays open:
    /// two kernels may differ in it.
    Transcript,
    /// Everything.
    Actual,
    /// Missing results only: what is written stays, right or wrong.
    Missing,
}

/// Compares an answer with the line that expects it.
pub(super) fn judge(call: &Call, answer: &Answer, env: &Env) -> Result<Verdict> {
    Ok(Verdict {
        result: judge_result(call, answer, env)?,
        output: judge_outputs(call, answer, env)?,
    })
}

/// All that a call stores, which is as wrong as the worst of it.
fn judge_outputs(call: &Call, answer: &Answer, env: &Env) -> Result<Part> {
    let mut worst = Part::Agrees;
    for output in call.outputs() {
        worst = match (worst, judge_output(output, answer, env)?) {
            (Part::Differs, _) | (_, Part::Differs) => Part::Differs,
            (Part::Open, _) | (_, Part::Open) => Part::Open,
            (Part::Agrees, Part::Agrees) => Part::Agrees,
        };
    }
    Ok(worst)
}

fn part(agrees: bool) -> Part {
    if agrees { Part::Agrees } else { Part::Differs }
}

fn judge_result(call: &Call, answer: &Answer, env: &Env) -> Result<Part> {
    Ok(match (&call.expect, answer) {
        // `= ?` of a call that does not return, or of one that its task's death ended.
        (Expect::Open, _)
            if call.form == Form::Resumed || call.signature.returns == Returns::Never =>
        {
            part(*answer == Answer::Gone)
        }
        (Expect::Open | Expect::Record, _) => {
            let binds = call.form == Form::Plain && binds(call);
            if binds {
                part(matches!(answer, Answer::Done(..)))
            } else {
                Part::Open
            }
        }
        (Expect::Error(expected), Answer::Failed(errno, _)) => part(expected == errno),
        (Expect::Value(num, detail), Answer::Done(value, out)) => {
            let expected = match call.signature.returns {
                Returns::Task | Returns::Pid => env.pid(num)?,
                _ => env.number(num)?,
            };
            part(expected == i128::from(*value) && detail_agrees(detail, out, env)?)
        }
        (Expect::Items(items), Answer::Done(_, Out::Text(text))) => {
            let mut expected: Vec<FdinfoItem> = items
                .iter()
                .map(|item| lower_item(item, env))
                .collect::<Result<_>>()?;
            FdinfoItem::sort(&mut expected);
            part(sorted_items(text).is_some_and(|items| items == expected))
        }
        (Expect::Text(expected), Answer::Done(_, Out::Text(text))) => {
            part(mask(&String::from_utf8_lossy(expected)) == mask(text))
        }
        _ => Part::Differs,
    })
}

/// Whether a name would stand for nothing if the call failed.
fn binds(call: &Call) -> bool {
    let is_name = |num: &Num| matches!(num, Num::Name(_));
    (call.bind.is_some() && matches!(call.signature.returns, Returns::Fd | Returns::Task))
        || call.outputs().any(|output| match &output.shown {
            Shown::Pipe(r, w) => is_name(r) || is_name(w),
            Shown::Msg(_, fds, _) => fds.iter().any(is_name),
            Shown::SockAddr(Addr::Inet { port, .. }) => is_name(port),
            _ => false,
        })
}

fn detail_agrees(detail: &Detail, out: &Out, env: &Env) -> Result<bool> {
    Ok(match (detail, out) {
        (Detail::None, _) => true,
        (Detail::Poll(entries), Out::PollFds(fds)) => {
            let expected: Vec<_> = entries
                .iter()
                .map(|entry| Ok((env.fd(&entry.fd)?, EventMask::from_bits_retain(entry.mask))))
                .collect::<Result<_>>()?;
            reported(fds).map(|fd| (fd.fd, fd.revents)).eq(expected)
        }
        (Detail::Sets(expected), Out::FdSets(sets)) => {
            let mut agree = true;
            for (expected, set) in expected.iter().zip(sets.iter()) {
                agree &= fd_set(expected, env)? == set.clone().unwrap_or_default();
            }
            agree
        }
        _ => false,
    })
}

/// The entries of poll's array that strace shows.
fn reported(fds: &[PollFd]) -> impl Iterator<Item = &PollFd> {
    fds.iter().filter(|fd| !fd.revents.is_empty())
}

fn lower_item(item: &Item, env: &Env) -> Result<FdinfoItem> {
    Ok(FdinfoItem {
        tfd: env.fd(&item.tfd)?,
        events: EventMask::from_bits_retain(item.events),
        data: low_u64(env.number(&item.data)?),
        pos: low_u64(env.number(&item.pos)?),
    })
}

fn sorted_items(text: &str) -> Option<Vec<FdinfoItem>> {
    let mut items = parse_fdinfo(text)?;
    FdinfoItem::sort(&mut items);
    Some(items)
}

/// An fdinfo text without the numbers that no two machines share: mount, inode and device.
pub(super) fn mask(text: &str) -> String {
    let mut masked = String::new();
    for line in text.split_inclusive('\n') {
        let mut rest = line;
        for key in ["mnt_id:\t", "ino:\t", " ino:", " sdev:"] {
            let found = if key.starts_with(' ') {
                rest.find(key)
            } else {
                Some(0).filter(|_| rest.starts_with(key))
            };
            if let Some(at) = found {
                let (before, number) = rest.split_at(at + key.len());
                let after = number.trim_start_matches(|c: char| c.is_ascii_hexdigit());
                masked.push_str(before);
                // What is masked already stays.
                masked.push_str(if after.starts_with('?') { "" } else { "?" });
                rest = after;
            }
        }
        masked.push_str(rest);
    }
    masked
}

fn judge_output(output: &Output, answer: &Answer, env: &Env) -> Result<Part> {
    if matches!(output.place, Place::Addr(_)) {
        return Ok(Part::Agrees);
    }
    if output.shown == output.shown.opened() {
        return Ok(Part::Open);
    }
    Ok(match answer {
        Answer::Done(_, out) => part(stored(&output.shown, out, env)?),
        Answer::Failed(_, out) => match &output.shown {
            Shown::Events { events, .. } => part(match (events.as_slice(), out) {
                ([], Out::TornEvent(_)) => false,
                ([], _) => true,
                ([Event { events, data: None }], Out::TornEvent(mask)) => *events == mask.bits(),
                _ => false,
            }),
            // What the buffer of a failed call holds is not looked at.
            _ => Part::Open,
        },
        Answer::Gone | Answer::Blocked => Part::Differs,
    })
}

/// Whether a call that succeeded has stored this.
fn stored(shown: &Shown, out: &Out, env: &Env) -> Result<bool> {
    Ok(match (shown, out) {
        (Shown::Open, _) => true,
        (Shown::Events { unordered, events }, out) => holds_events(*unordered, events, out, env)?,
        // A name takes whatever number comes.
        (Shown::Pipe(read_end, write_end), Out::Pipe(r, w)) => {
            let takes = |num: &Num, fd| matches!(num, Num::Name(_)) || *num == lit(fd);
            takes(read_end, r.0) && takes(write_end, w.0)
        }
        (shown @ Shown::Bytes(_), Out::From(from)) => {
            stored(shown, &Out::Bytes(from.0.clone()), env)?
        }
        (Shown::Msg(text, fds, flags), Out::Message(message)) => {
            let takes = |(num, fd): (&Num, &Fd)| matches!(num, Num::Name(_)) || *num == lit(fd.0);
            stored(
                &Shown::Bytes(text.clone()),
                &Out::Bytes(message.bytes.clone()),
                env,
            )? && fds.len() == message.fds.len()
                && fds.iter().zip(&message.fds).all(takes)
                && *flags == message.flags.bits()
        }
        (Shown::SockAddr(expected), out) => holds_addr(expected, out, env)?,
        (Shown::SockOpt(expected), Out::SockOpt(stored)) => sockopt(expected, env)? == *stored,
        (Shown::Bytes(text), Out::None) => text.bytes.is_empty(),
        (Shown::Bytes(Text { bytes, more: false }), Out::Bytes(stored)) => bytes[..] == stored[..],
        (Shown::Bytes(Text { bytes, more: true }), Out::Bytes(stored)) => stored.starts_with(bytes),
        (Shown::Parts(parts), Out::Bytes(stored)) => {
            in_parts(parts, stored)
                .zip(parts)
                .all(|(stored, (text, _))| match text {
                    Some(Text { bytes, more: false }) => bytes[..] == *stored,
                    Some(Text { bytes, more: true }) => stored.starts_with(bytes),
                    None => true,
                })
        }
        (Shown::Signals(expected), Out::Signals(stored)) => {
            let mut agree = expected.len() == stored.len();
            for (expected, info) in expected.iter().zip(stored) {
                agree &= expected.agrees(info, env)?;
            }
            agree
        }
        (Shown::Inotify(expected), Out::Inotify(stored)) => expected == stored,
        (Shown::Siginfo(expected), Out::Siginfo(info)) => expected.agrees(info, env)?,
        (Shown::Int(num), Out::Int(stored)) => low_i32(env.number(num)?) == *stored,
        (Shown::Params(expected), Out::Params(stored)) => expected == stored,
        (Shown::Termios(expected), Out::Termios(stored)) => *expected == **stored,
        (Shown::Status(expected), Out::Status(stored)) => expected == stored,
        (Shown::Rlimit(expected), Out::Rlimit(stored)) => expected == stored,
        (Shown::SigSet(expected), Out::SigSet(stored)) => expected == stored,
        (Shown::SigAction(expected), Out::SigAction(stored)) => expected == stored,
        (Shown::Timespec(expected), Out::Timespec(stored)) => expected == stored,
        (Shown::Itimerspec(expected), Out::Itimerspec(stored)) => *expected == **stored,
        _ => false,
    })
}

/// The address in what a call stored.
pub(super) fn sender(out: &Out) -> Option<&SockAddr> {
    match out {
        Out::SockAddr(addr) => Some(addr),
        Out::From(from) => from.1.as_deref(),
        _ => None,
    }
}

fn holds_addr(expected: &Addr, out: &Out, env: &Env) -> Result<bool> {
    Ok(match (expected, sender(out)) {
        // A name that stands for nothing yet takes whatever port comes.
        (
            Addr::Inet {
                port: Num::Name(port),
                ip,
            },
            Some(SockAddr::Inet(stored)),
        ) if !env.knows(port) => ip == stored.ip(),
        (expected, stored) => sockaddr(expected, env)?.as_ref() == stored,
    })
}

fn actual_addr(addr: Option<&SockAddr>, env: &Env) -> Shown {
    Shown::SockAddr(match addr {
        None => Addr::None,
        Some(SockAddr::Inet(addr)) => Addr::Inet {
            port: env.name_port(addr.port()),
            ip: *addr.ip(),
        },
        Some(addr) => Addr::Unix(addr.clone()),
    })
}

/// Whether a call that succeeded has stored these events.
pub(super) fn holds_events(
    unordered: bool,
    events: &[Event],
    out: &Out,
    env: &Env,
) -> Result<bool> {
    let stored = match out {
        Out::None => return Ok(events.is_empty()),
        Out::Events(stored) => stored,
        _ => return Ok(false),
    };
    let mut expected: Vec<EpollEvent> = events
        .iter()
        .map(|event| epoll_event(event, env))
        .collect::<Result<_>>()?;
    if unordered {
        let mut stored = stored.to_vec();
        sort(&mut stored);
        sort(&mut expected);
        return Ok(expected == stored);
    }
    Ok(expected == **stored)
}

fn sort(events: &mut [EpollEvent]) {
    events.sort_unstable_by_key(|event| (event.data, event.events));
}

/// The line as it would have to be written, as far as `fill` asks for it.
pub(super) fn filled(
    call: &Call,
    answer: &Answer,
    env: &Env,
    verdict: Verdict,
    fill: Fill,
) -> Call {
    let mut filled = call.clone();
    let missing = call.expect == Expect::Record;
    let replaces = |part| match (part, fill) {
        // A new descriptor shows its number also where success alone was asserted.
        (Part::Agrees, _) => missing,
        (Part::Open, Fill::Actual) => true,
        (Part::Open, _) => missing,
        (Part::Differs, Fill::Missing) => missing,
        (Part::Differs, _) => true,
    };
    if replaces(verdict.result) {
        filled.expect = actual_result(call, answer, env);
    }
    let replaces_output = match verdict.output {
        Part::Agrees => false,
        part => replaces(part),
    };
    for (kind, output) in filled.outputs_mut().filter(|_| replaces_output) {
        if !matches!(output.place, Place::Addr(_)) {
            output.shown = actual_output(kind, &output.shown, answer, env);
            if let (Place::Plenty, Shown::Msg(..)) = (output.place, &output.shown) {
                let (size, control) = Place::MESSAGE;
                output.place = Place::Message { size, control };
            }
        }
    }
    filled
}

fn lit(number: impl Into<i128>) -> Num {
    Num::Lit(number.into())
}

fn actual_result(call: &Call, answer: &Answer, env: &Env) -> Expect {
    let (value, out) = match answer {
        Answer::Done(value, out) => (*value, out),
        Answer::Failed(errno, _) => return Expect::Error(*errno),
        Answer::Gone | Answer::Blocked => return Expect::Open,
    };
    match (call.signature.returns, out) {
        (Returns::Items, Out::Text(text)) => match sorted_items(text) {
            Some(items) => Expect::Items(
                items
                    .into_iter()
                    .map(|item| actual_item(item, env))
                    .collect(),
            ),
            None => Expect::Text(text.clone().into_bytes()),
        },
        (Returns::Text, Out::Text(text)) => Expect::Text(mask(text).into_bytes()),
        // The name says who it is; the number under which the lab knows a task says nothing.
        (Returns::Task, _) if call.bind.is_some() => Expect::Record,
        (Returns::Task | Returns::Pid, _) if call.bind.is_none() => {
            Expect::Value(env.name_pid(value), Detail::None)
        }
        (_, Out::PollFds(fds)) if value > 0 => {
            let entries = reported(fds)
                .map(|fd| PollEntry {
                    fd: env.name_fd(fd.fd),
                    mask: fd.revents.bits(),
                })
                .collect();
            Expect::Value(lit(value), Detail::Poll(entries))
        }
        (_, Out::FdSets(sets)) if value > 0 => {
            let members = |set: &Option<FdSet>| {
                set.iter()
                    .flat_map(FdSet::iter)
                    .map(|fd| env.name_fd(fd))
                    .collect()
            };
            let [r, w, e] = &**sets;
            let sets = [members(r), members(w), members(e)];
            Expect::Value(lit(value), Detail::Sets(sets))
        }
        _ => Expect::Value(lit(value), Detail::None),
    }
}

fn actual_item(item: FdinfoItem, env: &Env) -> Item {
    Item {
        tfd: env.name_fd(item.tfd),
        events: item.events.bits(),
        data: lit(item.data),
        pos: lit(item.pos),
    }
}

fn actual_output(kind: Kind, shown: &Shown, answer: &Answer, env: &Env) -> Shown {
    let (out, failed) = match answer {
        Answer::Done(_, out) => (out, false),
        Answer::Failed(_, out) => (out, true),
        Answer::Gone | Answer::Blocked => return shown.opened(),
    };
    let unordered = matches!(
        shown,
        Shown::Events {
            unordered: true,
            ..
        }
    );
    match out {
        Out::Events(events) => {
            let mut events = events.to_vec();
            if unordered {
                sort(&mut events);
            }
            let event = |event: EpollEvent| Event {
                events: event.events.bits(),
                data: Some(lit(event.data)),
            };
            Shown::Events {
                unordered,
                events: events.into_iter().map(event).collect(),
            }
        }
        Out::TornEvent(mask) => Shown::Events {
            unordered,
            events: vec![Event {
                events: mask.bits(),
                data: None,
            }],
        },
        Out::Pipe(read_end, write_end) => Shown::Pipe(lit(read_end.0), lit(write_end.0)),
        Out::Bytes(bytes) => match shown {
            Shown::Parts(parts) => {
                let part = |(bytes, (_, len)): (&[u8], &(_, u64))| (Some(shown_bytes(bytes)), *len);
                Shown::Parts(in_parts(parts, bytes).zip(parts).map(part).collect())
            }
            _ => Shown::Bytes(shown_bytes(bytes)),
        },
        Out::From(from) if matches!(kind, Kind::Bytes) => Shown::Bytes(shown_bytes(&from.0)),
        Out::Message(message) => Shown::Msg(
            shown_bytes(&message.bytes),
            message.fds.iter().map(|fd| lit(fd.0)).collect(),
            message.flags.bits(),
        ),
        Out::From(_) | Out::SockAddr(_) => actual_addr(sender(out), env),
        Out::SockOpt(SockOpt::Int(value)) => Shown::SockOpt(OptVal::Int(lit(*value))),
        Out::SockOpt(SockOpt::Linger(linger)) => Shown::SockOpt(OptVal::Linger {
            onoff: lit(linger.onoff),
            seconds: lit(linger.seconds),
        }),
        Out::Signals(signals) => {
            Shown::Signals(signals.iter().map(|info| Siginfo::of(info, env)).collect())
        }
        Out::Inotify(events) => Shown::Inotify(events.clone()),
        Out::Siginfo(info) => Shown::Siginfo(Siginfo::of(info, env)),
        Out::Int(number) => Shown::Int(lit(*number)),
        Out::Params(params) => Shown::Params(*params),
        Out::Termios(termios) => Shown::Termios(**termios),
        Out::Status(status) => Shown::Status(*status),
        Out::Rlimit(limit) => Shown::Rlimit(*limit),
        Out::SigSet(set) => Shown::SigSet(*set),
        Out::SigAction(action) => Shown::SigAction(*action),
        Out::Timespec(time) => Shown::Timespec(*time),
        Out::Itimerspec(timer) => Shown::Itimerspec(**timer),
        Out::None | Out::PollFds(_) | Out::FdSets(_) | Out::Text(_) => match shown {
            Shown::Events { .. } if !failed => Shown::Events {
                unordered,
                events: Vec::new(),
            },
            Shown::Events { events, .. } if events.is_empty() => shown.clone(),
            Shown::Bytes(_) if !failed => Shown::Bytes(shown_bytes(&[])),
            _ => shown.opened(),
        },
    }
}

/// What was stored, buffer by buffer.
fn in_parts<'a, T>(
    parts: &'a [(T, u64)],
    stored: &'a [u8],
) -> impl Iterator<Item = &'a [u8]> + use<'a, T> {
    let mut rest = stored;
    parts.iter().map(move |(_, len)| {
        let len = usize::try_from(*len).unwrap_or(usize::MAX);
        let (part, behind) = rest.split_at(len.min(rest.len()));
        rest = behind;
        part
    })
}

/// A string that was read, shortened as strace does.
fn shown_bytes(bytes: &[u8]) -> Text {
    const SHOWN: usize = 32;
    let shown = &bytes[..bytes.len().min(SHOWN)];
    Text {
        bytes: shown.to_vec(),
        more: bytes.len() > SHOWN,
    }
}

#[cfg(test)]
mod tests {
    use super::mask;

    #[test]
    fn only_mount_inode_and_device_are_masked() {
        let text = "pos:\t0\nflags:\t02\nmnt_id:\t17\nino:\t1038\n\
            tfd:        4 events: c0000019 data: 7  pos:5 ino:40e sdev:10\n";
        let masked = "pos:\t0\nflags:\t02\nmnt_id:\t?\nino:\t?\n\
            tfd:        4 events: c0000019 data: 7  pos:5 ino:? sdev:?\n";
        assert_eq!(mask(text), masked);
        assert_eq!(mask(masked), masked);
    }
}
