//! From text to lines.
//!
//! A line stands for itself, with one exception: what strace shows of a call that sleeps is spread over
//! two lines, and only both together tell all its arguments. So the parser remembers the unfinished
//! calls of a block and completes them when their end comes by.

use std::collections::HashMap;
use std::time::Duration;

use super::ast::{Call, Form, Line, LineKind, Name, Parallel, Repeat, Scenario};
use super::cursor::Cursor;
use super::handled::read_handled;
use super::header::{is_directive, is_unseen};
use super::read::{
    check_name, complete, read_call, read_closing, read_comment, read_expectation, read_task,
    read_thaw, read_time, read_unseen,
};
use super::{Header, ScenarioError, Span, check};

/// After this many errors the rest of the text is not looked at.
const MOST_ERRORS: usize = 20;
/// More than a person writes, and little enough for everything that walks over loops by recursion.
const DEEPEST: usize = 8;

impl Scenario {
    /// Reads a scenario, in strace's dialects and in the canonical form, and checks it.
    ///
    /// # Errors
    /// All mistakes, up to twenty, in the order of the text.
    pub fn parse(text: &str) -> Result<Scenario, Vec<ScenarioError>> {
        let mut parser = Parser::new(text);
        parser.read_all();
        let scenario = parser.finish()?;
        check::check(&scenario)?;
        Ok(scenario)
    }
}

struct Parser<'t> {
    text: &'t str,
    header: Header,
    /// Whether only comments have come so far.
    in_header: bool,
    /// The blocks that are open, outermost first.
    blocks: Vec<Block>,
    errors: Vec<ScenarioError>,
}

#[derive(Default)]
struct Block {
    lines: Vec<Line>,
    /// The calls that sleep: by task, where in `lines`.
    asleep: HashMap<Box<str>, usize>,
    /// The line that opened it; `None` for the file itself.
    opening: Option<Opening>,
}

struct Opening {
    number: usize,
    span: Span,
    opened: Opened,
    comment: Option<Box<str>>,
}

/// What kind of block.
enum Opened {
    Repeat { count: u64, var: Option<Name> },
    Parallel,
}

impl Opened {
    fn name(&self) -> &'static str {
        match self {
            Opened::Repeat { .. } => "a loop",
            Opened::Parallel => "a parallel block",
        }
    }

    fn with(self, body: Vec<Line>, end_comment: Option<Box<str>>) -> LineKind {
        match self {
            Opened::Repeat { count, var } => LineKind::Repeat(Repeat {
                count,
                var,
                body,
                end_comment,
            }),
            Opened::Parallel => LineKind::Parallel(Parallel { body, end_comment }),
        }
    }
}

/// What a line turned out to be.
enum Read {
    Line(LineKind),
    /// A block, with the place of what may be wrong with it.
    Open {
        opened: Opened,
        at: Span,
    },
    Close,
}

impl<'t> Parser<'t> {
    fn new(text: &'t str) -> Parser<'t> {
        Parser {
            text,
            header: Header::default(),
            in_header: true,
            blocks: vec![Block::default()],
            errors: Vec::new(),
        }
    }

    fn read_all(&mut self) {
        let mut start = 0;
        for (index, line) in self.text.split_inclusive('\n').enumerate() {
            let end = start + line.trim_end().len();
            if let Err(error) = self.read_line(index + 1, start, end) {
                self.errors.push(error);
                if self.errors.len() >= MOST_ERRORS {
                    return;
                }
            }
            start += line.len();
        }
        if let [
            _,
            ..,
            Block {
                opening: Some(opening),
                ..
            },
        ] = self.blocks.as_slice()
        {
            let message = format!("{} has no end", opening.opened.name());
            self.errors.push(
                ScenarioError::new(opening.span, message, "begins here")
                    .help("a line with `}` ends it"),
            );
        }
    }

    fn finish(self) -> Result<Scenario, Vec<ScenarioError>> {
        let lines = self
            .blocks
            .into_iter()
            .next()
            .map_or_else(Vec::new, |block| block.lines);
        if self.errors.is_empty() {
            Ok(Scenario {
                header: self.header,
                lines,
            })
        } else {
            Err(self.errors)
        }
    }

    fn block(&mut self) -> &mut Block {
        self.blocks
            .last_mut()
            .expect("the file's own block is never closed")
    }

    fn read_line(&mut self, number: usize, start: usize, end: usize) -> Result<(), ScenarioError> {
        let mut c = Cursor::new(self.text, start, end);
        c.skip_space();
        let start = c.at();
        let read = self.read_kind(&mut c)?;
        let span = c.since(start);
        let comment = read_comment(&mut c)?;
        match read {
            Read::Line(kind) => {
                let in_parallel = self.in_parallel();
                let block = self.block();
                if let LineKind::Call(call) = &kind
                    && call.form == Form::Unfinished
                    && !in_parallel
                {
                    block
                        .asleep
                        .insert(call.task_name().into(), block.lines.len());
                }
                block.lines.push(Line {
                    number,
                    span,
                    kind,
                    comment,
                });
            }
            Read::Open { opened, at } => {
                let allowed = self.may_open(&opened, at);
                // It is opened also if it is wrong, so that its end is not wrong too.
                let opening = Some(Opening {
                    number,
                    span,
                    opened,
                    comment,
                });
                self.blocks.push(Block {
                    opening,
                    ..Block::default()
                });
                allowed?;
                if self.blocks.len() > DEEPEST + 1 {
                    let message = format!("loops nest at most {DEEPEST} deep");
                    return Err(ScenarioError::new(span, message, "one too many"));
                }
            }
            Read::Close => self.close_block(span, comment)?,
        }
        Ok(())
    }

    fn may_open(&self, opened: &Opened, at: Span) -> Result<(), ScenarioError> {
        match opened {
            Opened::Repeat { count: 0, .. } => {
                let message = "a loop runs at least once";
                Err(ScenarioError::new(at, message, "not once"))
            }
            Opened::Repeat { .. } => Ok(()),
            Opened::Parallel if self.blocks.len() > 1 => {
                let message = "a parallel block stands in no other block";
                Err(ScenarioError::new(at, message, "inside another"))
            }
            Opened::Parallel => {
                let asleep = self.blocks.iter().flat_map(|block| {
                    let lines = block.asleep.values();
                    lines.map(|index| &block.lines[*index])
                });
                match asleep.min_by_key(|line| line.number) {
                    None => Ok(()),
                    Some(line) => {
                        let message = format!(
                            "the call of line {} is not over when the block begins",
                            line.number
                        );
                        Err(ScenarioError::new(at, message, "begins too early")
                            .help("make that call inside the block"))
                    }
                }
            }
        }
    }

    /// Whether the innermost block is one of interleavings, in which a call is told in one line.
    fn in_parallel(&self) -> bool {
        let opening = self.blocks.last().and_then(|block| block.opening.as_ref());
        matches!(
            opening,
            Some(Opening {
                opened: Opened::Parallel,
                ..
            })
        )
    }

    fn close_block(
        &mut self,
        span: Span,
        end_comment: Option<Box<str>>,
    ) -> Result<(), ScenarioError> {
        let block = self.block();
        let Some(Opening {
            number,
            span,
            opened,
            comment,
        }) = block.opening.take()
        else {
            return Err(ScenarioError::new(
                span,
                "`}` ends no block",
                "nothing is open here",
            ));
        };
        let body = std::mem::take(&mut block.lines);
        let still_asleep = block.asleep.values().min().map(|index| body[*index].span);
        self.blocks.pop();
        let kind = opened.with(body, end_comment);
        self.block().lines.push(Line {
            number,
            span,
            kind,
            comment,
        });
        match still_asleep {
            Some(span) => {
                let message = "a call that begins in a loop must end in it";
                Err(ScenarioError::new(span, message, "never resumed"))
            }
            None => Ok(()),
        }
    }

    fn read_kind(&mut self, c: &mut Cursor<'_>) -> Result<Read, ScenarioError> {
        if c.is_at_end() {
            return Ok(Read::Line(LineKind::Blank));
        }
        if c.sees("#") {
            return self.read_comment_line(c).map(Read::Line);
        }
        self.in_header = false;
        if c.eat("}") {
            return Ok(Read::Close);
        }
        let start = c.at();
        let mut time = read_time(c)?;
        let task = read_task(c)?;
        if time.is_none() {
            time = read_time(c)?;
        }
        if c.sees("+++") {
            return Ok(Read::Line(LineKind::Note(c.until(&[]).into())));
        }
        if c.sees("---") {
            if time.is_some() {
                let message = "time cannot pass here";
                return Err(ScenarioError::new(
                    c.since(start),
                    message,
                    "not in front of a handler",
                )
                .help("let it pass on a line of its own, above"));
            }
            return read_handled(c, task).map(Read::Line);
        }
        if let (Some(time), None) = (time, &task)
            && (c.is_at_end() || c.sees("#"))
        {
            return Ok(Read::Line(LineKind::Pass(time)));
        }
        if task.is_none()
            && time.is_none()
            && let Some(closing) = read_closing(c)?
        {
            return Ok(Read::Line(LineKind::Closing(closing)));
        }
        if c.eat("<...") {
            return self.read_resumed(c, task, time, start).map(Read::Line);
        }
        let Some((word, span)) = c.ident() else {
            return Err(c.unexpected("a call"));
        };
        match word {
            "parallel" if !c.sees("(") && !c.sees("=") => {
                if task.is_some() || time.is_some() {
                    let message = "a parallel block has neither task nor time";
                    let span = c.since(start);
                    return Err(ScenarioError::new(span, message, "belongs to a call"));
                }
                c.expect("{")?;
                let opened = Opened::Parallel;
                Ok(Read::Open { opened, at: span })
            }
            // Where a handler returns to its program: nothing that the lab does not know.
            "rt_sigreturn" => {
                let rest = c.until(&[]);
                Ok(Read::Line(LineKind::Note(format!("{word}{rest}").into())))
            }
            "repeat" if !c.sees("(") && !c.sees("=") => {
                if task.is_some() || time.is_some() {
                    let message = "a loop has neither task nor time";
                    return Err(ScenarioError::new(
                        c.since(start),
                        message,
                        "belongs to a call",
                    ));
                }
                read_repeat(c)
            }
            "thaw" if !c.sees("=") => {
                if task.is_some() || time.is_some() {
                    let message = "a thaw has neither task nor time in front";
                    return Err(ScenarioError::new(
                        c.since(start),
                        message,
                        "belongs to a call",
                    ));
                }
                read_thaw(c).map(Read::Line)
            }
            _ => {
                let bind = if c.eat("=") {
                    Some(Name {
                        text: word.into(),
                        span,
                    })
                } else {
                    None
                };
                let called = if bind.is_some() {
                    c.ident()
                } else {
                    Some((word, span))
                };
                let Some((name, span)) = called else {
                    return Err(c.unexpected("a call"));
                };
                let call = read_call(c, name, span)?;
                self.place_call(
                    Call {
                        time,
                        task,
                        bind,
                        ..call
                    },
                    start,
                    c,
                )
                .map(Read::Line)
            }
        }
    }

    fn read_comment_line(&mut self, c: &mut Cursor<'_>) -> Result<LineKind, ScenarioError> {
        let start = c.at();
        let text = c.until(&[]).trim_start_matches('#');
        let span = c.since(start);
        if self.in_header && is_unseen(text) {
            let end = c.at();
            c.rewind(end - text.trim_start().len());
            c.eat_word("unseen");
            self.header.unseen.push(read_unseen(c)?);
        } else if self.in_header {
            self.header.read(text, span)?;
        } else if is_directive(text) {
            let message = "what a scenario shows and needs is said before its first call";
            return Err(ScenarioError::new(span, message, "too late"));
        }
        Ok(LineKind::Comment(text.into()))
    }

    /// Refuses the call of a task that sleeps.
    fn place_call(
        &self,
        call: Call,
        start: usize,
        c: &Cursor<'_>,
    ) -> Result<LineKind, ScenarioError> {
        let asleep = self.blocks.iter().find_map(|block| {
            block
                .asleep
                .get(call.task_name())
                .map(|index| &block.lines[*index])
        });
        if let Some(line) = asleep {
            let message = format!(
                "this task sleeps in the call of line {} and cannot make another",
                line.number
            );
            return Err(
                ScenarioError::new(c.since(start), message, "its task is asleep").help(format!(
                    "a line `<... {} resumed>` ends that call",
                    called(line)
                )),
            );
        }
        Ok(LineKind::Call(Box::new(call)))
    }

    /// `<... epoll_wait resumed>[], 8, -1) = 0`, from behind the dots.
    fn read_resumed(
        &mut self,
        c: &mut Cursor<'_>,
        task: Option<Name>,
        time: Option<Duration>,
        start: usize,
    ) -> Result<LineKind, ScenarioError> {
        let Some((name, span)) = c.ident() else {
            return Err(c.unexpected("the name of a call"));
        };
        if !c.eat_word("resumed") {
            return Err(c.unexpected("`resumed`"));
        }
        c.expect(">")?;
        let key = task.as_ref().map_or("", |task| &task.text);
        if self.in_parallel() {
            let message = "in a parallel block a call is told in one line";
            return Err(ScenarioError::new(span, message, "only half a call")
                .help("it may sleep as long as it likes; one that may sleep for good ends with `<unfinished ...>) = ?`"));
        }
        let block = self.block();
        let Some(index) = block.asleep.remove(key) else {
            let message = "no call of this task is unfinished here";
            return Err(ScenarioError::new(span, message, "resumes nothing")
                .help("the line where it falls asleep ends with `<unfinished ...>`"));
        };
        let LineKind::Call(begun) = &mut block.lines[index].kind else {
            unreachable!("only calls are noted as asleep");
        };
        if begun.signature.name != name {
            let message = format!(
                "this task sleeps in {}, not in {name}",
                begun.signature.name
            );
            return Err(ScenarioError::new(span, message, "another call"));
        }
        if let Some(time) = time {
            let message = format!("{time:?} cannot pass here");
            return Err(
                ScenarioError::new(c.since(start), message, "not on a resumed line")
                    .help("let it pass on a line of its own, above"),
            );
        }
        let mut call = Call {
            task,
            time: None,
            ..(**begun).clone()
        };
        call.form = Form::Resumed;
        // A call that its task's death ended shows nothing: `<unfinished ...>) = ?`.
        if c.eat("<unfinished ...>") {
            c.expect(")")?;
        } else {
            complete(&mut call.args, c, begun.signature)?;
        }
        call.expect = read_expectation(c, begun.signature)?;
        begun.args = call.args.clone();
        begun.leave_open();
        Ok(LineKind::Call(Box::new(call)))
    }
}

fn called(line: &Line) -> &'static str {
    match &line.kind {
        LineKind::Call(call) => call.signature.name,
        _ => "?",
    }
}

/// `repeat 500 as i {`, from behind the first word.
fn read_repeat(c: &mut Cursor<'_>) -> Result<Read, ScenarioError> {
    let Some((count, span)) = c.number()? else {
        return Err(c.unexpected("how many times to repeat"));
    };
    let count = u64::try_from(count).unwrap_or(0);
    let mut var = None;
    if c.eat_word("as") {
        let Some((text, span)) = c.ident() else {
            return Err(c.unexpected("a name for the number of the round"));
        };
        check_name(text, span)?;
        var = Some(Name {
            text: text.into(),
            span,
        });
    }
    c.expect("{")?;
    let opened = Opened::Repeat { count, var };
    Ok(Read::Open { opened, at: span })
}
