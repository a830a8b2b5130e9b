//! Runs a scenario on a kernel and compares line by line.
//!
//! What a line did is known when everything has happened that it set off: after each line the runner
//! lets the kernel settle, and holds the calls that ended against the resumed lines that follow, and the
//! handlers that ran against the lines that announce them. A
//! line that deviates is a [`Failure`] and the run goes on, as long as it still makes sense to: without
//! the descriptor that a name should have got, or when a task is asleep that should make a call, it stops.

use std::collections::HashMap;

use crate::abi::{Answer, Errno, Fd, Out, SigInfo, SockAddr, TaskId};
use crate::backend::{Backend, LabError};
use crate::trace::{Frame, State, Trace};

use super::answer::{self, Fill, Part, Verdict, filled, judge};
use super::ast::{
    Addr, Call, Expect, Form, Line, LineKind, Name, Num, Output, Place, Repeat, Scenario, Shown,
};
use super::env::Env;
use super::handled::Handled;
use super::lower::Args;
use super::signature::Returns;
use super::{ScenarioError, Span};

/// What to keep of a run besides the answers.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// The internal state after every line, from a kernel that shows it.
    pub states: bool,
}

/// What came of a scenario on one kernel.
#[derive(Clone, Debug, Default)]
pub struct Run {
    /// The kernel's name for itself.
    pub backend: String,
    /// What each line did, in the order of the file. A line in a loop stands for its first round, or
    /// for the first one that deviated.
    pub outcomes: Vec<Outcome>,
    /// Every line that did not do what it says, once.
    pub failures: Vec<Failure>,
    /// How much was compared.
    pub counts: Counts,
    /// Every step of every line, in the order in which they were taken; in a loop those of every round.
    /// Empty unless the kernel takes pictures.
    pub film: Vec<Scene>,
    /// Why the rest was not run, if it was not.
    pub stopped: Option<ScenarioError>,
}

/// The steps that one line set off.
#[derive(Clone, Debug)]
pub struct Scene {
    /// The number of the line in the file.
    pub line: usize,
    /// In which rounds of the loops around it, counted from 1, outermost first.
    pub rounds: Vec<u64>,
    /// Names of descriptors after it.
    pub fds: Vec<(Box<str>, Fd)>,
    /// Names of tasks.
    pub tasks: Vec<(Box<str>, TaskId)>,
    /// The steps.
    pub frames: Vec<Frame>,
}

impl Run {
    /// Whether all of it ran and did what it says.
    pub fn passed(&self) -> bool {
        self.failures.is_empty() && self.stopped.is_none()
    }

    /// What went on inside last, up to and with the line of this number: as much as one can read at once.
    pub fn trace_until(&self, line: usize) -> Vec<Trace> {
        const MOST: usize = 16;
        let before = self.outcomes.iter().take_while(|it| it.line <= line);
        let trace: Vec<Trace> = before.flat_map(|it| &it.trace).copied().collect();
        trace[trace.len().saturating_sub(MOST)..].to_vec()
    }

    /// What the line with this number did.
    pub fn outcome(&self, line: usize) -> Option<&Outcome> {
        let index = self
            .outcomes
            .binary_search_by_key(&line, |outcome| outcome.line)
            .ok()?;
        self.outcomes.get(index)
    }
}

/// What one line did.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The number of the line in the file.
    pub line: usize,
    /// Whether nothing contradicts what is written.
    pub agrees: bool,
    /// The line as it happened; what the scenario leaves open (`?`, `...`) is left open.
    pub transcript: String,
    /// The line as it happened, with everything filled in.
    pub actual: String,
    /// The line with a missing result filled in, and otherwise as written.
    pub recorded: String,
    /// What the kernel said to its call; nothing where a line is none, or sleeps.
    pub answer: Option<Answer>,
    /// Lines that would have to follow it: calls that ended and handlers that ran, and no line says so.
    pub extra: Vec<String>,
    /// What went on inside, up to the next line that does something.
    pub trace: Vec<Trace>,
    /// The internal state after it, if it was asked for.
    pub state: Option<State>,
}

/// A line that did not do what it says.
#[derive(Clone, Debug)]
pub struct Failure {
    /// The number of the line in the file.
    pub line: usize,
    /// Where it stands.
    pub span: Span,
    /// In which rounds of the loops around it, counted from 1, outermost first.
    pub rounds: Vec<u64>,
    /// What is wrong, in a sentence.
    pub message: String,
    /// The line as written.
    pub expected: String,
    /// The line as it happened.
    pub actual: String,
}

/// How much of a scenario says something. Each line counts once, also in loops.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Counts {
    /// Lines whose result or sleep is asserted.
    pub asserted: usize,
    /// Results and outputs that are left open: `= ?`, `...`, nothing.
    pub open: usize,
    /// Event arrays without order.
    pub unordered: usize,
}

impl Scenario {
    /// Runs it from the first line to the last on a fresh kernel.
    pub fn run(&self, backend: &mut dyn Backend, options: Options) -> Run {
        let mut runner = Runner::new(backend, options);
        let result = runner.block(&self.lines);
        runner.run.stopped = result.err();
        runner.run
    }
}

pub(super) struct Runner<'s, 'b> {
    backend: &'b mut dyn Backend,
    options: Options,
    env: Env,
    /// Who really sleeps, and in which call.
    asleep: HashMap<TaskId, &'s Call>,
    /// The current rounds of the loops, from 1, outermost first.
    rounds: Vec<u64>,
    /// Whether the line at hand, or one that it ended, was reported.
    deviated: bool,
    run: Run,
}

type Result<T> = std::result::Result<T, ScenarioError>;
type Ended = Vec<(TaskId, Answer)>;

impl<'s, 'b> Runner<'s, 'b> {
    pub(super) fn new(backend: &'b mut dyn Backend, options: Options) -> Runner<'s, 'b> {
        let run = Run {
            backend: backend.name(),
            outcomes: Vec::new(),
            failures: Vec::new(),
            counts: Counts::default(),
            film: Vec::new(),
            stopped: None,
        };
        Runner {
            backend,
            options,
            env: Env::default(),
            asleep: HashMap::new(),
            rounds: Vec::new(),
            deviated: false,
            run,
        }
    }

    /// What came of the lines so far, and what their names stand for.
    pub(super) fn into_parts(self) -> (Run, Env) {
        (self.run, self.env)
    }

    pub(super) fn block(&mut self, lines: &'s [Line]) -> Result<()> {
        let mut index = 0;
        while let Some(line) = lines.get(index) {
            index += 1;
            self.deviated = false;
            let ended = match &line.kind {
                LineKind::Blank
                | LineKind::Comment(_)
                | LineKind::Note(_)
                | LineKind::Handled(_) => continue,
                LineKind::Parallel(_) | LineKind::Closing(_) => {
                    let message = "a parallel block is explored, and not run as one";
                    return Err(ScenarioError::new(line.span, message, "all at once"));
                }
                LineKind::Repeat(repeat) => {
                    self.repeat(repeat)?;
                    continue;
                }
                LineKind::Pass(time) => {
                    let ended = self.backend.pass(*time).map_err(lab(line))?;
                    self.note(line);
                    ended
                }
                LineKind::Thaw { task, page } => {
                    let task = self.env.task(&task.text).unwrap_or(TaskId::MAIN);
                    self.backend.thaw(task, *page).map_err(lab(line))?;
                    self.note(line);
                    Vec::new()
                }
                LineKind::Call(call) => match self.call(line, call) {
                    Ok(ended) => ended,
                    Err(error) => {
                        // What led to the end is worth seeing.
                        self.keep_trace(line);
                        return Err(error);
                    }
                },
            };
            let resumed = following(&lines[index..]);
            self.settle(line, &lines[index..index + resumed], ended)?;
            index += resumed;
        }
        Ok(())
    }

    fn repeat(&mut self, repeat: &'s Repeat) -> Result<()> {
        self.rounds.push(0);
        for round in 0..repeat.count {
            if let Some(current) = self.rounds.last_mut() {
                *current = round + 1;
            }
            if let Some(var) = &repeat.var {
                self.env.bind_variable(var, round);
            }
            self.block(&repeat.body)?;
        }
        self.rounds.pop();
        if let Some(var) = &repeat.var {
            self.env.unbind_variable(var);
        }
        Ok(())
    }

    /// Makes the call of a plain or unfinished line; returns the calls of others that ended meanwhile.
    fn call(&mut self, line: &'s Line, call: &'s Call) -> Result<Ended> {
        let mut ended = match call.time {
            Some(time) => self.backend.pass(time).map_err(lab(line))?,
            None => Vec::new(),
        };
        let task = self.task(line, call)?;
        if let Some(begun) = self.asleep.get(&task)
            && !ended.iter().any(|(woken, _)| *woken == task)
        {
            let message = format!("{} and cannot make this call", sleeps(call, begun));
            return Err(ScenarioError::new(line.span, message, "its task is asleep"));
        }
        let args = Args {
            args: &call.args,
            env: &self.env,
        };
        let syscall = (call.signature.lower)(&args)?;
        let mut answer = self.backend.submit(task, syscall).map_err(lab(line))?;
        if call.form == Form::Unfinished {
            self.began(line, call, task, answer);
            return Ok(ended);
        }
        if answer == Answer::Blocked {
            let mut finished = self.backend.finish(task).map_err(lab(line))?;
            let Some(own) = finished.iter().position(|(woken, _)| *woken == task) else {
                let message = format!("{} never ended", call.signature.name);
                return Err(ScenarioError::new(line.span, message, "asleep for ever"));
            };
            answer = finished.remove(own).1;
            ended.append(&mut finished);
        }
        self.judge(line, call, &answer)?;
        self.bind(line, call, &answer)?;
        Ok(ended)
    }

    /// The task of a line, which may be a thread that is met for the first time.
    fn task(&mut self, line: &Line, call: &Call) -> Result<TaskId> {
        let Some(name) = &call.task else {
            return Ok(TaskId::MAIN);
        };
        if let Some(task) = self.env.task(&name.text) {
            return Ok(task);
        }
        let task = self.backend.spawn(TaskId::MAIN).map_err(lab(line))?;
        self.env.bind_task(name, task);
        Ok(task)
    }

    fn began(&mut self, line: &Line, call: &'s Call, task: TaskId, answer: Answer) {
        if answer == Answer::Blocked {
            self.asleep.insert(task, call);
            self.note(line);
            return;
        }
        let mut whole = call.clone();
        whole.form = Form::Plain;
        let verdict = Verdict {
            result: Part::Open,
            output: Part::Open,
        };
        let text = filled(&whole, &answer, &self.env, verdict, Fill::Actual).to_string();
        self.fail(line, "the call did not sleep", &text);
        self.keep(line, false, Some(&answer), || {
            [text.clone(), text.clone(), line.call_text()]
        });
    }

    /// Names what the call returned.
    fn bind(&mut self, line: &Line, call: &Call, answer: &Answer) -> Result<()> {
        let named = |num: &Num| matches!(num, Num::Name(_));
        match answer {
            Answer::Done(value, out) => {
                match (&call.bind, call.signature.returns) {
                    (Some(name), Returns::Task) => {
                        let pid = i32::try_from(*value).ok();
                        if let Some(task) = pid.and_then(TaskId::from_pid) {
                            self.env.bind_task(name, task);
                        }
                    }
                    (Some(name), _) => self.env.bind_fd(name, i128::from(*value)),
                    (None, _) => {}
                }
                for output in call.outputs() {
                    self.bind_stored(&output.shown, out);
                }
                Ok(())
            }
            // The check has seen to it that no name depends on a call that is to fail.
            _ if matches!(call.expect, Expect::Error(_)) => Ok(()),
            _ => {
                let stored = || {
                    call.outputs().find_map(|output| match &output.shown {
                        Shown::Pipe(r, w) if named(r) || named(w) => Some(format!("[{r}, {w}]")),
                        Shown::Msg(_, fds, _) => {
                            let mut fds = fds.iter().filter(|fd| named(fd));
                            fds.next().map(Num::to_string)
                        }
                        Shown::SockAddr(Addr::Inet {
                            port: Num::Name(port),
                            ..
                        }) if !self.env.knows(port) => Some(port.to_string()),
                        _ => None,
                    })
                };
                let bound = call.bind.as_ref().map(|name| name.text.to_string());
                match bound.or_else(stored) {
                    Some(name) => {
                        let message = format!("`{name}` stands for nothing, since the call failed");
                        Err(ScenarioError::new(line.span, message, "the run ends here"))
                    }
                    None => Ok(()),
                }
            }
        }
    }

    /// Names what the call stored. A port keeps the name that it has.
    fn bind_stored(&mut self, shown: &Shown, out: &Out) {
        match (shown, out) {
            (Shown::Pipe(read_end, write_end), Out::Pipe(r, w)) => {
                for (num, fd) in [(read_end, r), (write_end, w)] {
                    if let Num::Name(name) = num {
                        self.env.bind_fd(name, i128::from(fd.0));
                    }
                }
            }
            (Shown::Msg(_, fds, _), Out::Message(message)) => {
                for (num, fd) in fds.iter().zip(&message.fds) {
                    if let Num::Name(name) = num {
                        self.env.bind_fd(name, i128::from(fd.0));
                    }
                }
            }
            (Shown::SockAddr(Addr::Inet { port, .. }), out) => {
                if let (Num::Name(name), Some(SockAddr::Inet(addr))) = (port, answer::sender(out))
                    && !self.env.knows(name)
                {
                    self.env.bind_variable(name, addr.port().into());
                }
            }
            _ => {}
        }
    }

    /// Lets everything happen that the line set off, and holds it against the resumed lines behind it.
    fn settle(&mut self, line: &Line, resumed: &'s [Line], mut ended: Ended) -> Result<()> {
        ended.append(&mut self.backend.settle().map_err(lab(line))?);
        let mut handled = self.backend.take_handled();
        for line in resumed {
            match &line.kind {
                LineKind::Call(call) => self.resume(line, call, &mut ended)?,
                LineKind::Handled(expected) => {
                    self.handle(line, expected, &mut handled, &ended)?;
                }
                _ => {}
            }
        }
        for (task, answer) in ended {
            let Some(begun) = self.asleep.remove(&task) else {
                continue;
            };
            let mut call = begun.clone();
            call.form = Form::Resumed;
            let verdict = Verdict {
                result: Part::Open,
                output: Part::Open,
            };
            let text = filled(&call, &answer, &self.env, verdict, Fill::Actual).to_string();
            let message = format!("this ended {}, which no line says", call_of(&call));
            if self.fail(line, &message, &text)
                && let Ok(index) = self.find(line)
            {
                self.run.outcomes[index].extra.push(text);
            }
        }
        for (task, info) in handled {
            let name = self.env.name_task(task).map(str::to_owned);
            let whose = name.as_deref().unwrap_or("the first task");
            let message = format!(
                "the handler of {} ran in {whose}, which no line says",
                info.signo
            );
            let text = Handled::of(name.as_deref().map(Name::new), &info, &self.env).to_string();
            if self.fail(line, &message, &text)
                && let Ok(index) = self.find(line)
            {
                self.run.outcomes[index].extra.push(text);
            }
        }
        self.keep_trace(line);
        Ok(())
    }

    /// Holds the next run of a handler in the task of the line against the line.
    fn handle(
        &mut self,
        line: &Line,
        expected: &Handled,
        handled: &mut Vec<(TaskId, SigInfo)>,
        ended: &Ended,
    ) -> Result<()> {
        let task = match &expected.task {
            Some(name) => self.env.task(&name.text),
            None => Some(TaskId::MAIN),
        };
        // What a signal ends with EINTR has ended before the handler runs.
        let interrupted = ended.iter().any(|(woken, answer)| {
            Some(*woken) == task && matches!(answer, Answer::Failed(Errno::EINTR, _))
        });
        let index = handled.iter().position(|(taker, _)| Some(*taker) == task);
        let (agrees, texts) = match index {
            Some(index) => {
                let (_, info) = handled.remove(index);
                let actual = Handled::of(expected.task.clone(), &info, &self.env).to_string();
                let agrees = expected.agrees(&info, &self.env)?;
                let written = line.call_text();
                let transcript = if agrees {
                    written.clone()
                } else {
                    actual.clone()
                };
                if !agrees {
                    self.fail(
                        line,
                        "another handler ran, or was told something else",
                        &actual,
                    );
                } else if interrupted {
                    let message = "the call that this handler interrupts ends on a line before it";
                    self.fail(line, message, &actual);
                }
                (agrees && !interrupted, [transcript, actual, written])
            }
            None => {
                let message = format!("no handler of {} ran here", expected.info.signo);
                let text = format!("# {message}");
                self.fail(line, &message, &text);
                (false, [text.clone(), text, line.call_text()])
            }
        };
        if !agrees || self.is_first() {
            self.keep(line, agrees, None, || texts);
        }
        Ok(())
    }

    fn resume(&mut self, line: &Line, call: &Call, ended: &mut Ended) -> Result<()> {
        let task = match &call.task {
            Some(name) => self.env.task(&name.text),
            None => Some(TaskId::MAIN),
        };
        let index = ended.iter().position(|(woken, _)| Some(*woken) == task);
        let asleep = task.and_then(|task| self.asleep.get(&task).copied());
        match (index, asleep) {
            (Some(index), Some(_)) => {
                let (task, answer) = ended.remove(index);
                self.asleep.remove(&task);
                self.judge(line, call, &answer)
            }
            (_, asleep) => {
                let message = match asleep {
                    Some(begun) => sleeps(call, begun),
                    None => format!("{} was not asleep", call_of(call)),
                };
                let text = format!("# {message}");
                self.fail(line, &message, &text);
                self.keep(line, false, None, || {
                    [text.clone(), text.clone(), line.call_text()]
                });
                Ok(())
            }
        }
    }

    fn judge(&mut self, line: &Line, call: &Call, answer: &Answer) -> Result<()> {
        let verdict = judge(call, answer, &self.env)?;
        if verdict.agrees() && !self.is_first() {
            return Ok(());
        }
        let texts = [Fill::Transcript, Fill::Actual, Fill::Missing]
            .map(|fill| filled(call, answer, &self.env, verdict, fill).to_string());
        if !verdict.agrees() {
            let message = match (verdict.result, verdict.output) {
                (Part::Differs, _) => "the call had another result",
                _ => "the call stored something else",
            };
            self.fail(line, message, &texts[1]);
        }
        self.keep(line, verdict.agrees(), Some(answer), || texts);
        Ok(())
    }

    /// Keeps a line that did what it says and has no result.
    fn note(&mut self, line: &Line) {
        if self.is_first() {
            let text = line.call_text();
            self.keep(line, true, None, || [text.clone(), text.clone(), text]);
        }
    }

    fn is_first(&self) -> bool {
        self.rounds.iter().all(|round| *round == 1)
    }

    fn find(&self, line: &Line) -> std::result::Result<usize, usize> {
        self.run
            .outcomes
            .binary_search_by_key(&line.number, |outcome| outcome.line)
    }

    /// Stores what a line did; what it did first stays unless that agreed and this does not.
    fn keep(
        &mut self,
        line: &Line,
        agrees: bool,
        answer: Option<&Answer>,
        texts: impl FnOnce() -> [String; 3],
    ) {
        let found = self.find(line);
        if let Ok(index) = found
            && (agrees || !self.run.outcomes[index].agrees)
        {
            return;
        }
        let [transcript, actual, recorded] = texts();
        let outcome = Outcome {
            line: line.number,
            agrees,
            transcript,
            actual,
            recorded,
            answer: answer.cloned(),
            extra: Vec::new(),
            trace: Vec::new(),
            state: None,
        };
        match found {
            Ok(index) => self.run.outcomes[index] = outcome,
            Err(index) => {
                self.count(line);
                self.run.outcomes.insert(index, outcome);
            }
        }
    }

    fn keep_trace(&mut self, line: &Line) {
        // Taken in every round: the kernel would pile it up.
        let trace = self.backend.take_trace();
        self.keep_film(line);
        let Ok(index) = self.find(line) else {
            return;
        };
        if self.is_first() || self.deviated {
            let outcome = &mut self.run.outcomes[index];
            outcome.trace = trace;
            if self.options.states {
                outcome.state = self.backend.state();
            }
        }
    }

    fn keep_film(&mut self, line: &Line) {
        let frames = self.backend.take_film();
        if !frames.is_empty() {
            self.run.film.push(Scene {
                line: line.number,
                rounds: self.rounds.clone(),
                fds: self.env.fds(),
                tasks: self.env.tasks(),
                frames,
            });
        }
    }

    /// Reports a line, in one round only. Returns whether it did.
    fn fail(&mut self, line: &Line, message: &str, actual: &str) -> bool {
        let rounds = &self.rounds;
        let is_known = |known: &Failure| known.line == line.number && known.rounds != *rounds;
        if self.run.failures.iter().any(is_known) {
            return false;
        }
        let rounds = rounds.clone();
        self.deviated = true;
        let message = match rounds.as_slice() {
            [] | [1] => message.to_owned(),
            rounds => {
                let rounds: Vec<String> = rounds.iter().map(u64::to_string).collect();
                format!("{message}, in round {}", rounds.join("."))
            }
        };
        self.run.failures.push(Failure {
            line: line.number,
            span: line.span,
            rounds,
            message,
            expected: line.call_text(),
            actual: actual.to_owned(),
        });
        true
    }

    fn count(&mut self, line: &Line) {
        match &line.kind {
            LineKind::Call(call) => self.run.counts.add(call),
            LineKind::Handled(_) => self.run.counts.asserted += 1,
            _ => {}
        }
    }
}

impl Counts {
    /// Counts what a call's line says.
    pub(super) fn add(&mut self, call: &Call) {
        if call.form == Form::Unfinished {
            self.asserted += 1;
            return;
        }
        // A name for a descriptor demands success.
        let binds =
            call.bind.is_some() && matches!(call.signature.returns, Returns::Fd | Returns::Task);
        let is_open = matches!(call.expect, Expect::Open | Expect::Record)
            && call.signature.returns != Returns::Never
            && !binds;
        if is_open {
            self.open += 1;
        } else {
            self.asserted += 1;
        }
        // A pointer that is not given leaves nothing open.
        let given = |output: &&Output| !matches!(output.place, Place::Addr(_));
        for output in call.outputs().filter(given) {
            match &output.shown {
                shown if *shown == shown.opened() && matches!(call.expect, Expect::Value(..)) => {
                    self.open += 1
                }
                Shown::Events {
                    unordered: true, ..
                } => self.unordered += 1,
                _ => {}
            }
        }
    }
}

impl Line {
    /// What it says, without its comment.
    pub(super) fn call_text(&self) -> String {
        Line {
            comment: None,
            ..self.clone()
        }
        .to_string()
    }
}

/// How many lines from here on belong to the one before: the resumed ones, the runs of handlers, and what
/// stands between.
fn following(lines: &[Line]) -> usize {
    let mut belong = 0;
    for (index, line) in lines.iter().enumerate() {
        match &line.kind {
            LineKind::Call(call) if call.form == Form::Resumed => belong = index + 1,
            LineKind::Handled(_) => belong = index + 1,
            LineKind::Blank | LineKind::Comment(_) | LineKind::Note(_) => {}
            _ => break,
        }
    }
    belong
}

pub(super) fn lab(line: &Line) -> impl Fn(LabError) -> ScenarioError {
    let span = line.span;
    move |error| ScenarioError::new(span, error.to_string(), "the lab failed here")
}

fn sleeps(call: &Call, begun: &Call) -> String {
    format!("{} still sleeps in {}", who(call), begun.signature.name)
}

pub(super) fn call_of(call: &Call) -> String {
    format!("{} of {}", call.signature.name, who(call))
}

fn who(call: &Call) -> &str {
    match call.task_name() {
        "" => "the first task",
        name => name,
    }
}
