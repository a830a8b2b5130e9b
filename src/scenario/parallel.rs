//! The `parallel` block: lines of several tasks, of which only each task's own have an order.
//!
//! ```text
//! ep = epoll_create1(0)                        # set-up: run call by call
//! f = eventfd2(0, EFD_NONBLOCK)
//! epoll_ctl(ep, EPOLL_CTL_ADD, f, {events=EPOLLIN|EPOLLET, data={u32=7, u64=7}}) = 0
//! parallel {
//!     [A] a = epoll_wait(ep, ..., 8, -1 <unfinished ...>) = ?
//!     [B] b = epoll_wait(ep, ..., 8, -1 <unfinished ...>) = ?
//!     write(f, "\1\0\0\0\0\0\0\0", 8) = 8
//! }
//! epoll_wait(ep, [], 8, 0) = 0                 # once the block has come to rest
//! exists (a=1)
//! exists (b=1)
//! ~exists (a=1 /\ b=1)
//! forall (asleep(a) \/ asleep(b))
//! ```
//!
//! Such a scenario tells not one run but all that are possible. In the block
//!
//! - a result that is written (`= 1`, an array of events) holds in *every* interleaving; `= ?` and
//!   `...` leave it open;
//! - `<unfinished ...>) = ?` says of a call that it may sleep for good, `<unfinished ...>` that it always
//!   does. A call that sleeps for good though no line allows it is a deadlock;
//! - `n = ` in front of a call that returns no descriptor names its result for the closing lines.
//!
//! Lines behind the block run call by call once everything in it has ended or sleeps for good; what they
//! return is part of the outcome. A call that sleeps by then counts as asleep, whatever they wake.
//!
//! [`Scenario::prepare`] runs the set-up on a backend and turns the block into one program for each task,
//! which may then be explored, or given to threads that race. A scenario without a block can be asked too,
//! what else could have happened: from the first line of a second task on, its lines are taken as the
//! block, and what is written as their results is what happened once, and asserts nothing.

use std::collections::HashMap;
use std::time::Duration;

use super::answer::{Fill, Part as Compared, Verdict, filled, judge};
use super::ast::{Call, Expect, Form, Line, LineKind, Num, Output, Place, Scenario, Shown};
use super::closing::Closing;
use super::env::Env;
use super::lower::Args;
use super::run::{Counts, Options, Run, Runner};
use super::signature::Returns;
use super::{ScenarioError, Span};
use crate::abi::{Answer, Fate, Fd, Syscall, TaskId};
use crate::backend::{Backend, LabError};

type Result<T> = std::result::Result<T, ScenarioError>;

/// Where a line stands in relation to the block.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) enum Part {
    #[default]
    SetUp,
    Block,
    Behind,
    Closing,
}

/// Refuses lines that mean nothing in this part.
pub(super) fn may_stand(line: &Line, part: Part) -> Result<()> {
    let refuse = |message: &str, label: &str| Err(ScenarioError::new(line.span, message, label));
    if let LineKind::Blank | LineKind::Comment(_) | LineKind::Note(_) = line.kind {
        return Ok(());
    }
    match (part, &line.kind) {
        (Part::SetUp, LineKind::Closing(_)) => refuse(
            "a closing line asks about a parallel block, and here is none before it",
            "asks about what?",
        ),
        (Part::Closing, LineKind::Closing(_)) | (Part::Behind, LineKind::Closing(_)) => Ok(()),
        (Part::Closing, _) => refuse("behind a closing line nothing happens", "too late"),
        (Part::Behind, LineKind::Parallel(_)) => {
            refuse("a scenario has one parallel block", "a second one")
        }
        (Part::SetUp, LineKind::Call(call)) if call.form == Form::Abandoned => refuse(
            "only in a parallel block a call may sleep for good",
            "ended by what?",
        ),
        (Part::Block | Part::Behind, LineKind::Handled(_)) => refuse(
            "in a parallel block and behind it handlers run unseen",
            "not here",
        ),
        (Part::Block, LineKind::Call(call)) => in_block(call, line.span),
        (Part::Behind, LineKind::Call(call)) => match call.form {
            Form::Plain => Ok(()),
            _ => refuse(
                "behind a parallel block a call comes back",
                "only half a call",
            ),
        },
        (Part::Block, LineKind::Pass(_)) => refuse(NO_TIME, "passes when?"),
        (Part::Block | Part::Behind, LineKind::Thaw { .. }) => refuse(NO_THAW, "not here"),
        (Part::Block | Part::Behind, LineKind::Repeat(_)) => refuse(NO_LOOP, "not here"),
        _ => Ok(()),
    }
}

const NO_TIME: &str = "in a parallel block time passes by itself, whenever something may time out";
const NO_THAW: &str = "no page is frozen in or behind a parallel block";
const NO_LOOP: &str = "a loop stands before a parallel block, not in or behind it";

fn in_block(call: &Call, span: Span) -> Result<()> {
    let refuse = |span, message: &str, label: &str| Err(ScenarioError::new(span, message, label));
    if call.time.is_some() {
        return refuse(span, NO_TIME, "passes when?");
    }
    if call.signature.returns == Returns::Task {
        return refuse(
            span,
            "a parallel block begins with all its tasks",
            "a new task",
        );
    }
    if let (Some(name), Returns::Fd) = (&call.bind, call.signature.returns) {
        let message = "a descriptor gets its name before the parallel block";
        return refuse(name.span, message, "bound when?");
    }
    for output in call.outputs() {
        output_in_block(call, output, span)?;
    }
    Ok(())
}

fn output_in_block(call: &Call, Output { place, shown }: &Output, span: Span) -> Result<()> {
    let refuse = |span, message: &str, label: &str| Err(ScenarioError::new(span, message, label));
    let named = |num: &Num| matches!(num, Num::Name(_));
    match (place, shown) {
        (_, Shown::Pipe(r, w)) if named(r) || named(w) => refuse(
            span,
            "descriptors get their names before the parallel block",
            "bound when?",
        ),
        (_, Shown::Msg(_, fds, _)) if fds.iter().any(named) => refuse(
            span,
            "descriptors get their names before the parallel block",
            "bound when?",
        ),
        (Place::Frozen, _) => refuse(span, NO_THAW, "thawed by whom?"),
        (_, shown) if call.form != Form::Plain && *shown != shown.opened() => refuse(
            span,
            "of a call that may not come back nothing is shown; ask with a closing line",
            "must be `...`",
        ),
        _ => Ok(()),
    }
}

/// How one task goes through the block.
#[derive(Clone, Debug)]
pub struct Program {
    /// The task.
    pub task: TaskId,
    /// Its name; empty for the first task, which has none.
    pub name: Box<str>,
    /// Its calls in their order, as places in [`Prepared::calls`].
    pub calls: Vec<usize>,
}

/// What a line says about sleeping for good.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sleep {
    /// It must not.
    Never,
    /// It may.
    May,
    /// It does, in every interleaving.
    Always,
}

/// A call in the block or behind it.
#[derive(Clone, Debug)]
pub struct Planned<'s> {
    /// Its line.
    pub line: &'s Line,
    /// Who makes it.
    pub task: TaskId,
    /// The call itself.
    pub syscall: Syscall,
    /// Whether it may sleep for good.
    pub sleep: Sleep,
    call: Call,
}

impl Planned<'_> {
    /// The name of its result.
    pub fn name(&self) -> Option<&str> {
        let named = !matches!(self.call.signature.returns, Returns::Fd | Returns::Task);
        self.call
            .bind
            .as_ref()
            .filter(|_| named)
            .map(|name| &*name.text)
    }

    /// `epoll_wait of A`
    pub fn what(&self) -> String {
        super::run::call_of(&self.call)
    }
}

/// What happens behind the block.
#[derive(Clone, Copy, Debug)]
enum Behind {
    /// A call, by its place.
    Call(usize),
    Pass(Duration, Span),
}

/// A block whose set-up has been run: names are numbers, and every task is there.
#[derive(Debug)]
pub struct Prepared<'s> {
    /// What the set-up did, the first lines of the scenario.
    pub set_up: Run,
    env: Env,
    /// Every call, those of the block in the order of their lines, then those behind it.
    calls: Vec<Planned<'s>>,
    programs: Vec<Program>,
    behind: Vec<Behind>,
    closing: Vec<(&'s Line, &'s Closing)>,
}

/// The scenario in its parts.
struct Parts<'s> {
    set_up: &'s [Line],
    block: Vec<(&'s Line, Call, Sleep)>,
    rest: &'s [Line],
}

impl Scenario {
    /// Runs the set-up on a fresh backend, and makes the block ready.
    ///
    /// # Errors
    /// A set-up that stopped, or lines that cannot be taken as parallel.
    pub fn prepare(&self, backend: &mut dyn Backend, options: Options) -> Result<Prepared<'_>> {
        let parts = self.parts()?;
        let mut runner = Runner::new(backend, options);
        let stopped = runner.block(parts.set_up).err();
        let (mut run, mut env) = runner.into_parts();
        if let Some(stopped) = stopped {
            return Err(stopped);
        }
        run.stopped = None;
        let mut prepared = Prepared {
            set_up: run,
            env: Env::default(),
            calls: Vec::new(),
            programs: Vec::new(),
            behind: Vec::new(),
            closing: Vec::new(),
        };
        for (line, call, sleep) in parts.block {
            let task = task_of(line, &call, &mut env, backend)?;
            let place = prepared.calls.len();
            prepared.program(task, &call).calls.push(place);
            prepared.calls.push(planned(line, call, sleep, task, &env)?);
        }
        for line in parts.rest {
            match &line.kind {
                LineKind::Call(call) => {
                    let task = task_of(line, call, &mut env, backend)?;
                    if let Some(time) = call.time {
                        prepared.behind.push(Behind::Pass(time, line.span));
                    }
                    prepared.behind.push(Behind::Call(prepared.calls.len()));
                    let call = Call::clone(call);
                    let call = planned(line, call, Sleep::Never, task, &env)?;
                    prepared.calls.push(call);
                }
                LineKind::Pass(time) => prepared.behind.push(Behind::Pass(*time, line.span)),
                LineKind::Closing(closing) => prepared.closing.push((line, closing)),
                _ => {}
            }
        }
        prepared.env = env;
        Ok(prepared)
    }

    fn parts(&self) -> Result<Parts<'_>> {
        let is_block = |line: &Line| matches!(line.kind, LineKind::Parallel(_));
        let Some(at) = self.lines.iter().position(is_block) else {
            return self.taken_as_parallel();
        };
        let block = self.lines[at].body().unwrap_or_default();
        let block = block.iter().filter_map(|line| match &line.kind {
            LineKind::Call(call) => {
                let sleep = match call.form {
                    Form::Unfinished => Sleep::Always,
                    Form::Abandoned => Sleep::May,
                    Form::Plain | Form::Resumed => Sleep::Never,
                };
                Some((line, Call::clone(call), sleep))
            }
            _ => None,
        });
        Ok(Parts {
            set_up: &self.lines[..at],
            block: block.collect(),
            rest: &self.lines[at + 1..],
        })
    }

    /// A scenario that tells one run: what else could have happened? Halves are joined, and what is
    /// written as results is left out.
    fn taken_as_parallel(&self) -> Result<Parts<'_>> {
        let mut first = None;
        let at = self.lines.iter().position(|line| match &line.kind {
            LineKind::Call(call) => {
                let is_second = *first.get_or_insert(call.task_name()) != call.task_name();
                is_second || call.form == Form::Unfinished
            }
            _ => false,
        });
        let Some(at) = at else {
            let span = self.lines.last().map(|line| line.span).unwrap_or_default();
            let message = "only one task makes calls, so nothing else could have happened";
            return Err(ScenarioError::new(span, message, "nobody else so far")
                .help("lines of other tasks begin with their name: `[A] epoll_wait(...)`"));
        };
        let (set_up, rest) = self.lines.split_at(at);
        let mut block = Vec::new();
        for line in rest {
            let LineKind::Call(call) = &line.kind else {
                may_stand(line, Part::Block)?;
                continue;
            };
            if call.form == Form::Resumed {
                continue;
            }
            in_block(call, line.span)?;
            let mut call = Call::clone(call);
            call.form = Form::Plain;
            call.expect = Expect::Record;
            call.leave_open();
            block.push((line, call, Sleep::May));
        }
        Ok(Parts {
            set_up,
            block,
            rest: &[],
        })
    }
}

fn task_of(line: &Line, call: &Call, env: &mut Env, backend: &mut dyn Backend) -> Result<TaskId> {
    let Some(name) = &call.task else {
        return Ok(TaskId::MAIN);
    };
    if let Some(task) = env.task(&name.text) {
        return Ok(task);
    }
    let task = backend.spawn(TaskId::MAIN).map_err(super::run::lab(line))?;
    env.bind_task(name, task);
    Ok(task)
}

fn planned<'s>(
    line: &'s Line,
    call: Call,
    sleep: Sleep,
    task: TaskId,
    env: &Env,
) -> Result<Planned<'s>> {
    let args = Args {
        args: &call.args,
        env,
    };
    let syscall = (call.signature.lower)(&args)?;
    Ok(Planned {
        line,
        task,
        syscall,
        sleep,
        call,
    })
}

impl<'s> Prepared<'s> {
    fn program(&mut self, task: TaskId, call: &Call) -> &mut Program {
        let known = self.programs.iter().position(|it| it.task == task);
        let place = known.unwrap_or_else(|| {
            self.programs.push(Program {
                task,
                name: call.task_name().into(),
                calls: Vec::new(),
            });
            self.programs.len() - 1
        });
        &mut self.programs[place]
    }

    /// The tasks of the block, each with its calls, in the order in which the file names them.
    pub fn programs(&self) -> &[Program] {
        &self.programs
    }

    /// Every call, those of the block in the order of their lines, then those behind it. An outcome has
    /// a [`Fate`] for each.
    pub fn calls(&self) -> &[Planned<'s>] {
        &self.calls
    }

    /// How many calls stand in the block.
    pub fn in_block(&self) -> usize {
        self.programs
            .iter()
            .map(|program| program.calls.len())
            .sum()
    }

    /// How much the scenario says.
    pub fn counts(&self) -> Counts {
        let mut counts = self.set_up.counts;
        for planned in &self.calls {
            counts.add(&planned.call);
        }
        counts.asserted += self.closing.len();
        counts
    }

    /// The closing lines.
    pub fn closing(&self) -> impl Iterator<Item = (&'s Line, &'s Closing)> {
        self.closing.iter().copied()
    }

    /// Runs the lines behind the block, on a kernel on which the block has come to rest, and adds what
    /// became of them to the fates of the block's calls.
    pub fn finish(&self, backend: &mut dyn Backend, outcome: &mut Vec<Fate>) -> Result<()> {
        let mut stuck: Vec<TaskId> = self
            .calls
            .iter()
            .zip(&*outcome)
            .filter(|(_, fate)| matches!(fate, Fate::Asleep | Fate::Ended(Answer::Gone)))
            .map(|(call, _)| call.task)
            .collect();
        for behind in &self.behind {
            match behind {
                Behind::Pass(time, span) => {
                    let passed = backend.pass(*time);
                    passed.map_err(|error| failed(*span, &error))?;
                }
                Behind::Call(place) => {
                    let call = &self.calls[*place];
                    if stuck.contains(&call.task) {
                        outcome.push(Fate::NotReached);
                        continue;
                    }
                    let answer = whole(backend, call)?;
                    if answer == Answer::Gone {
                        stuck.push(call.task);
                    }
                    outcome.push(Fate::Ended(answer));
                }
            }
        }
        Ok(())
    }

    /// Whether what became of a call contradicts nothing that its line says.
    pub fn agrees(&self, place: usize, fate: &Fate) -> Result<bool> {
        let planned = &self.calls[place];
        Ok(match fate {
            Fate::Ended(_) if planned.sleep == Sleep::Always => false,
            Fate::Ended(answer) => judge(&planned.call, answer, &self.env)?.agrees(),
            Fate::Asleep => planned.sleep != Sleep::Never,
            Fate::NotReached => true,
        })
    }

    /// The line as it went.
    pub fn text(&self, place: usize, fate: &Fate) -> String {
        let call = &self.calls[place].call;
        let open = Verdict {
            result: Compared::Open,
            output: Compared::Open,
        };
        let mut plain = call.clone();
        plain.time = None;
        plain.form = Form::Plain;
        match fate {
            Fate::Ended(answer) => {
                filled(&plain, answer, &self.env, open, Fill::Actual).to_string()
            }
            Fate::Asleep => {
                plain.form = Form::Abandoned;
                plain.to_string()
            }
            Fate::NotReached => format!("{} # never made", self.question(place)),
        }
    }

    /// The line without its answer.
    pub fn question(&self, place: usize) -> String {
        let mut call = self.calls[place].call.clone();
        call.time = None;
        call.form = Form::Plain;
        call.expect = Expect::Record;
        call.leave_open();
        call.to_string()
    }

    /// The name of a task, which the first one has not.
    pub fn task_name(&self, task: TaskId) -> Option<&str> {
        self.env.name_task(task)
    }

    /// Every name of a descriptor.
    pub fn fds(&self) -> Vec<(Box<str>, Fd)> {
        self.env.fds()
    }

    /// Every name of a task.
    pub fn tasks(&self) -> Vec<(Box<str>, TaskId)> {
        self.env.tasks()
    }

    /// The lab cannot make this call.
    pub fn lab_error(&self, place: usize, error: &LabError) -> ScenarioError {
        super::run::lab(self.calls[place].line)(LabError::new(error.to_string()))
    }

    /// The block cannot be dealt with.
    pub fn refusal(&self, message: impl Into<String>, label: &str) -> ScenarioError {
        let span = self.calls.first().map(|call| call.line.span());
        ScenarioError::new(span.unwrap_or_default(), message, label)
    }

    /// Whether what a closing line says within its brackets is true of an outcome.
    pub fn is_so(&self, closing: &Closing, outcome: &[Fate]) -> Result<bool> {
        let calls = self.calls.iter().zip(outcome);
        let fates: HashMap<&str, &Fate> = calls
            .filter_map(|(call, fate)| Some((call.name()?, fate)))
            .collect();
        closing.is_so(&fates, &self.env)
    }
}

fn failed(span: Span, error: &dyn std::fmt::Display) -> ScenarioError {
    ScenarioError::new(span, error.to_string(), "the lab failed here")
}

/// Makes a call and waits for its end; whoever is woken by it runs too.
fn whole(backend: &mut dyn Backend, call: &Planned<'_>) -> Result<Answer> {
    let lab = super::run::lab(call.line);
    let mut answer = backend
        .submit(call.task, call.syscall.clone())
        .map_err(&lab)?;
    if answer == Answer::Blocked {
        let ended = backend.finish(call.task).map_err(&lab)?;
        let own = ended.into_iter().find(|(task, _)| *task == call.task);
        answer = own.map_or(Answer::Gone, |(_, answer)| answer);
    }
    backend.settle().map_err(&lab)?;
    Ok(answer)
}
