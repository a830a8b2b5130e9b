//! What must hold before anything runs: every name means something, every count is the right one.
//!
//! The walk goes through the lines once, in their order. That is exact although there are loops,
//! because a loop runs at least once and what its first round has bound stays bound.

use std::collections::{HashMap, HashSet};

use super::ast::{
    Addr, Arg, Call, Detail, Event, Expect, Form, Line, LineKind, Name, Num, OptVal, Output,
    Scenario, Shown, Text, Value,
};
use super::closing::{Closing, Result as Became};
use super::env::unbound;
use super::handled::Handled;
use super::parallel::{Part, may_stand};
use super::read::arguments;
use super::read::check_name;
use super::siginfo::Siginfo;
use super::signature::{Kind, Param, Returns, Signature};
use super::{ScenarioError, Span, words};
use crate::abi::{InotifyEvent, MsgFlags};

/// The most calls that a scenario may make, all rounds of its loops counted.
const MOST_CALLS: u64 = 10_000_000;
/// The longest buffer that a shortened string may stand for.
const LONGEST_BUFFER: i128 = 1 << 26;
const MOST_ERRORS: usize = 20;

type Result<T> = std::result::Result<T, ScenarioError>;

/// Looks a scenario over.
pub(super) fn check(scenario: &Scenario) -> std::result::Result<(), Vec<ScenarioError>> {
    let mut checker = Checker::default();
    checker.block(&scenario.lines, 1);
    for unseen in &scenario.header.unseen {
        checker
            .errors
            .extend(checker.closing(&unseen.closing).err());
    }
    if checker.errors.is_empty() {
        Ok(())
    } else {
        Err(checker.errors)
    }
}

#[derive(Default)]
struct Checker {
    numbers: HashSet<Box<str>>,
    tasks: HashSet<Box<str>>,
    gone: HashSet<Box<str>>,
    calls: u64,
    /// In which part of a scenario with a `parallel` block the walk is.
    part: Part,
    /// The names for closing lines, and the calls that they stand for.
    results: HashMap<Box<str>, &'static Signature>,
    errors: Vec<ScenarioError>,
}

impl Checker {
    fn block(&mut self, lines: &[Line], rounds: u64) {
        // Whether something has happened in this block that may have ended a call.
        let mut acted = false;
        for line in lines {
            if self.errors.len() >= MOST_ERRORS {
                return;
            }
            if let Err(error) = may_stand(line, self.part) {
                self.errors.push(error);
                continue;
            }
            let result = match &line.kind {
                LineKind::Parallel(parallel) => {
                    self.part = Part::Block;
                    self.block(&parallel.body, 1);
                    self.part = Part::Behind;
                    Ok(())
                }
                LineKind::Closing(closing) => {
                    self.part = Part::Closing;
                    self.closing(closing)
                }
                LineKind::Repeat(repeat) => {
                    acted = false;
                    let entered = self.enter_loop(repeat.var.as_ref());
                    self.block(&repeat.body, rounds.saturating_mul(repeat.count));
                    if let Some(var) = &repeat.var {
                        self.numbers.remove(&var.text);
                    }
                    entered
                }
                LineKind::Call(call) if call.form == Form::Resumed && !acted => {
                    let message = "a call ends by what a line does, and here is none before it";
                    Err(ScenarioError::new(line.span, message, "ended by what?")
                        .help("a resumed line follows the call or the `+time` that ended it"))
                }
                LineKind::Call(call) => {
                    acted = true;
                    self.count(line.span, rounds)
                        .and_then(|()| self.call(call, line.span))
                }
                LineKind::Thaw { task, .. } => {
                    acted = true;
                    self.task(task)
                }
                LineKind::Pass(_) => {
                    acted = true;
                    self.count(line.span, rounds)
                }
                LineKind::Handled(_) if !acted => {
                    let message = "a handler runs for what a line does, and here is none before it";
                    Err(ScenarioError::new(line.span, message, "sent by whom?").help(
                        "it follows the call that sent the signal, or the resumed line that it ended",
                    ))
                }
                LineKind::Handled(handled) => self.handled(handled),
                LineKind::Blank | LineKind::Comment(_) | LineKind::Note(_) => Ok(()),
            };
            if let Err(error) = result {
                self.errors.push(error);
            }
        }
    }

    fn handled(&mut self, handled: &Handled) -> Result<()> {
        if let Some(task) = &handled.task {
            self.task(task)?;
        }
        self.siginfo(&handled.info)
    }

    fn siginfo(&self, info: &Siginfo) -> Result<()> {
        match &info.pid {
            Some(Num::Name(name)) => self.task(name),
            _ => Ok(()),
        }
    }

    fn enter_loop(&mut self, var: Option<&Name>) -> Result<()> {
        match var {
            Some(var) if !self.numbers.insert(var.text.clone()) => {
                let message = format!("`{}` stands for something already", var.text);
                Err(ScenarioError::new(var.span, message, "taken"))
            }
            _ => Ok(()),
        }
    }

    fn count(&mut self, span: Span, rounds: u64) -> Result<()> {
        let before = self.calls;
        self.calls = self.calls.saturating_add(rounds);
        if before <= MOST_CALLS && self.calls > MOST_CALLS {
            let message = format!("a scenario makes at most {MOST_CALLS} calls");
            return Err(ScenarioError::new(span, message, "here they are exceeded"));
        }
        Ok(())
    }

    fn call(&mut self, call: &Call, span: Span) -> Result<()> {
        if let Some(task) = &call.task {
            if self.gone.contains(&task.text) {
                let message = format!("task {} has called exit_group and is gone", task.text);
                return Err(ScenarioError::new(task.span, message, "gone"));
            }
            self.tasks.insert(task.text.clone());
        }
        arity(call, span)?;
        let binds = call.form == Form::Plain && !matches!(call.expect, Expect::Error(_));
        for (arg, param) in call.args.iter().zip(call.signature.params) {
            self.arg(arg, param, binds)?;
            counts(arg, param, &call.args)?;
        }
        self.result(call)?;
        lengths(call, span)?;
        if let Some(name) = &call.bind {
            self.bind(name, call)?;
        }
        if let (Returns::Never, Some(task)) = (call.signature.returns, &call.task) {
            self.gone.insert(task.text.clone());
        }
        Ok(())
    }

    fn bind(&mut self, name: &Name, call: &Call) -> Result<()> {
        let number = matches!(call.signature.returns, Returns::Fd | Returns::Task);
        if self.part != Part::SetUp && !number {
            return self.name_result(name, call);
        }
        if call.form != Form::Plain || matches!(call.expect, Expect::Error(_)) {
            let message = format!("`{}` would stand for nothing", name.text);
            let why = if call.form == Form::Plain {
                "is to fail"
            } else {
                "has not returned"
            };
            return Err(ScenarioError::new(
                name.span,
                message,
                format!("the call {why}"),
            ));
        }
        match call.signature.returns {
            Returns::Fd => {
                check_name(&name.text, name.span)?;
                self.numbers.insert(name.text.clone());
            }
            Returns::Task => {
                self.tasks.insert(name.text.clone());
                self.gone.remove(&name.text);
            }
            _ => {
                let message = format!("{} returns no descriptor", call.signature.name);
                return Err(ScenarioError::new(name.span, message, "nothing to name")
                    .help("a name can stand for a new descriptor, or for the task of fork"));
            }
        }
        Ok(())
    }

    /// A name by which closing lines ask for what the call returned.
    fn name_result(&mut self, name: &Name, call: &Call) -> Result<()> {
        check_name(&name.text, name.span)?;
        let taken = self.numbers.contains(&name.text) || self.results.contains_key(&name.text);
        if taken {
            let message = format!("`{}` stands for something already", name.text);
            return Err(ScenarioError::new(name.span, message, "taken"));
        }
        self.results.insert(name.text.clone(), call.signature);
        Ok(())
    }

    fn closing(&self, closing: &Closing) -> Result<()> {
        let mut result = Ok(());
        closing.claim.for_each(&mut |name, became| {
            if result.is_ok() {
                result = self.claimed(name, became);
            }
        });
        result
    }

    fn claimed(&self, name: &Name, became: &Became) -> Result<()> {
        let Some(signature) = self.results.get(&name.text) else {
            let message = format!("no line gives a result the name `{}`", name.text);
            return Err(ScenarioError::new(name.span, message, "unknown result")
                .help("as in `n1 = epoll_wait(ep, ..., 8, 0)` inside the parallel block")
                .meant(&name.text, self.results.keys().map(|known| &**known)));
        };
        match became {
            Became::Events { events, span, .. } => {
                let stores_events = |param: &Param| matches!(param.kind, Kind::Events);
                if !signature.params.iter().any(stores_events) {
                    let message = format!("{} stores no events", signature.name);
                    return Err(ScenarioError::new(*span, message, "not stored"));
                }
                events.iter().try_for_each(|event| self.event(event))
            }
            Became::Value(_) | Became::Error(_) | Became::Asleep => Ok(()),
        }
    }

    fn num(&self, num: &Num) -> Result<()> {
        match num {
            Num::Name(name) if !self.numbers.contains(&name.text) => {
                Err(unbound(name).meant(&name.text, self.numbers.iter().map(|known| &**known)))
            }
            _ => Ok(()),
        }
    }

    fn task(&self, task: &Name) -> Result<()> {
        if self.tasks.contains(&task.text) {
            return Ok(());
        }
        let message = format!("no task is called `{}` yet", task.text);
        Err(ScenarioError::new(task.span, message, "unknown task")
            .meant(&task.text, self.tasks.iter().map(|known| &**known)))
    }

    fn arg(&mut self, arg: &Arg, param: &Param, binds: bool) -> Result<()> {
        match &arg.value {
            Value::Num(Num::Name(name)) if matches!(param.kind, Kind::Pid) => self.task(name),
            Value::Num(num) | Value::Int(num) => self.num(num),
            Value::Event(event) => self.event(event),
            Value::Time(sec, rest) => self.num(sec).and_then(|()| self.num(rest)),
            Value::PollFds(entries) => entries.iter().try_for_each(|entry| self.num(&entry.fd)),
            Value::Msg(_, fds) => fds.iter().try_for_each(|fd| self.num(fd)),
            Value::FdSet(fds) => fds.iter().try_for_each(|fd| self.num(fd)),
            Value::SockAddr(Addr::Inet { port, .. }) => self.num(port),
            Value::SockAddr(Addr::None | Addr::Unix(_)) => Ok(()),
            Value::SockOpt(value) => self.option(value),
            Value::Slot { efd, tfd, toff } => [efd, tfd, toff]
                .into_iter()
                .try_for_each(|num| self.num(num)),
            Value::Out(Output { shown, .. }) => self.shown(shown, binds),
            Value::Bits(_)
            | Value::Addr(_)
            | Value::Text(_)
            | Value::SigSet(_)
            | Value::Itimerspec(_)
            | Value::SigAction(_)
            | Value::SigPack(..)
            | Value::Length(_)
            | Value::Iov(_)
            | Value::Params(_)
            | Value::Termios(_)
            | Value::Rlimit(_)
            | Value::Fixed => Ok(()),
        }
    }

    fn shown(&mut self, shown: &Shown, binds: bool) -> Result<()> {
        match shown {
            Shown::Events { events, .. } => events.iter().try_for_each(|event| self.event(event)),
            Shown::Int(num) => self.num(num),
            Shown::SockOpt(value) => self.option(value),
            Shown::Msg(_, fds, _) if binds => {
                for fd in fds {
                    if let Num::Name(name) = fd {
                        self.numbers.insert(name.text.clone());
                    }
                }
                Ok(())
            }
            // A port that has no name yet gets it.
            Shown::SockAddr(Addr::Inet {
                port: Num::Name(name),
                ..
            }) if binds && self.part == Part::SetUp => {
                self.numbers.insert(name.text.clone());
                Ok(())
            }
            Shown::SockAddr(Addr::Inet { port, .. }) => self.num(port),
            Shown::Siginfo(info) => self.siginfo(info),
            Shown::Signals(signals) => signals.iter().try_for_each(|info| self.siginfo(info)),
            Shown::Pipe(read_end, write_end) if binds => {
                for end in [read_end, write_end] {
                    if let Num::Name(name) = end {
                        self.numbers.insert(name.text.clone());
                    }
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn option(&self, value: &OptVal) -> Result<()> {
        match value {
            OptVal::Int(num) => self.num(num),
            OptVal::Linger { onoff, seconds } => self.num(onoff).and_then(|()| self.num(seconds)),
        }
    }

    fn event(&self, event: &Event) -> Result<()> {
        event.data.as_ref().map_or(Ok(()), |data| self.num(data))
    }

    fn result(&self, call: &Call) -> Result<()> {
        match &call.expect {
            Expect::Value(num, detail) => {
                match (num, call.signature.returns) {
                    (Num::Name(name), Returns::Task | Returns::Pid) => self.task(name)?,
                    _ => self.num(num)?,
                }
                match detail {
                    Detail::None => Ok(()),
                    Detail::Poll(entries) => {
                        entries.iter().try_for_each(|entry| self.num(&entry.fd))
                    }
                    Detail::Sets(sets) => sets.iter().flatten().try_for_each(|fd| self.num(fd)),
                }
            }
            Expect::Items(items) => items.iter().try_for_each(|item| {
                [&item.tfd, &item.data, &item.pos]
                    .into_iter()
                    .try_for_each(|num| self.num(num))
            }),
            Expect::Record | Expect::Open | Expect::Error(_) | Expect::Text(_) => Ok(()),
        }
    }
}

fn arity(call: &Call, span: Span) -> Result<()> {
    let (shown, params) = (call.args.len(), call.signature.params);
    if shown + call.signature.optional >= params.len() {
        return Ok(());
    }
    let missing: Vec<&str> = params[shown..].iter().map(|param| param.name).collect();
    let message = format!("{} takes {}", call.signature.name, arguments(params.len()));
    Err(ScenarioError::new(
        span,
        message,
        format!("without {}", missing.join(", ")),
    ))
}

/// The arguments that say something about others.
fn counts(arg: &Arg, param: &Param, args: &[Arg]) -> Result<()> {
    match (param.kind, &arg.value) {
        (Kind::Len(of), Value::Num(count)) => {
            let (have, unit) = match &args[of].value {
                Value::Text(Text { bytes, more: false }) => (bytes.len(), "bytes"),
                Value::Text(Text { more: true, .. }) => return shortened(count, arg.span),
                Value::PollFds(entries) => (entries.len(), "entries"),
                Value::Iov(parts) => (parts.len(), "parts"),
                Value::Out(Output {
                    shown: Shown::Parts(parts),
                    ..
                }) => (parts.len(), "parts"),
                Value::SockAddr(addr) => (addr.size(), "bytes"),
                Value::Addr(0) if matches!(param.name, "addrlen") => (0, "bytes"),
                _ => return Ok(()),
            };
            if *count == Num::Lit(i128::try_from(have).unwrap_or(i128::MAX)) {
                return Ok(());
            }
            let message = format!("`{}` is {count}, but there are {have} {unit}", param.name);
            Err(ScenarioError::new(
                arg.span,
                message,
                format!("must be {have}"),
            ))
        }
        (Kind::Same(of), value) if *value != args[of].value => {
            let message = format!(
                "`{}` differs, and the lab can only set all alike",
                param.name
            );
            Err(ScenarioError::new(arg.span, message, "not the same"))
        }
        _ => Ok(()),
    }
}

fn shortened(count: &Num, span: Span) -> Result<()> {
    match count {
        Num::Lit(count) if (1..=LONGEST_BUFFER).contains(count) => Ok(()),
        _ => {
            let message = "a shortened string stands for a fixed number of bytes";
            Err(ScenarioError::new(
                span,
                message,
                format!("from 1 to {LONGEST_BUFFER}"),
            ))
        }
    }
}

/// Bytes of a signal that is read.
const SIGINFO: usize = 128;

/// Outputs that cannot go with the result beside them.
fn lengths(call: &Call, span: Span) -> Result<()> {
    for output in call.outputs() {
        length(call, &output.shown, span)?;
    }
    Ok(())
}

fn length(call: &Call, shown: &Shown, span: Span) -> Result<()> {
    let have = match shown {
        Shown::Events { events, .. } => {
            let torn = events.iter().any(|event| event.data.is_none());
            if torn && !(matches!(call.expect, Expect::Error(_)) && events.len() == 1) {
                let message = "only a call that fails leaves one event without data";
                return Err(ScenarioError::new(span, message, "an event without data"));
            }
            events.len()
        }
        // With MSG_TRUNC the result is how long the datagram was.
        Shown::Bytes(_) | Shown::Msg(..)
            if call.has_flag(&words::MSG_FLAGS, MsgFlags::TRUNC.bits()) =>
        {
            return Ok(());
        }
        Shown::Bytes(text) | Shown::Msg(text, ..) if !text.more => text.bytes.len(),
        Shown::Signals(signals) => signals.len() * SIGINFO,
        Shown::Parts(parts) => {
            let shown = |(text, _): &(Option<Text>, u64)| match text {
                Some(Text { bytes, more: false }) => Some(bytes.len()),
                _ => None,
            };
            match parts.iter().map(shown).sum::<Option<usize>>() {
                Some(have) => have,
                None => return Ok(()),
            }
        }
        Shown::Inotify(events) => {
            let size: u64 = events.iter().map(InotifyEvent::size).sum();
            usize::try_from(size).unwrap_or(usize::MAX)
        }
        _ => return Ok(()),
    };
    match call.expect {
        Expect::Value(Num::Lit(value), _) if Ok(value) != i128::try_from(have) => {
            let message = format!("the result is {value}, but {have} are shown");
            Err(ScenarioError::new(span, message, "these disagree"))
        }
        _ => Ok(()),
    }
}
