//! What may stand in front of a call or around it: time, task, comment; and the lines of the lab's own.

use crate::backend::Thaw;
use crate::scenario::ScenarioError;
use crate::scenario::ast::{LineKind, Name};
use crate::scenario::cursor::Cursor;
use std::time::Duration;

/// The longest time that may pass at once.
const LONGEST: Duration = Duration::from_secs(3600);

/// `+10ms`
pub(in crate::scenario) fn read_time(
    c: &mut Cursor<'_>,
) -> Result<Option<Duration>, ScenarioError> {
    if c.sees("+++") || !c.eat("+") {
        return Ok(None);
    }
    let start = c.at();
    let digits = c.rest().bytes().take_while(u8::is_ascii_digit).count();
    let number: Option<u64> = c.rest()[..digits].parse().ok();
    let unit = c.rest()[digits..]
        .split(|c: char| !c.is_ascii_alphanumeric())
        .next();
    c.until(&[' ', '\t', '#']);
    let from = match unit {
        Some("us") => Duration::from_micros,
        Some("ms") => Duration::from_millis,
        Some("s") => Duration::from_secs,
        _ => {
            let message = "a time is a whole number of us, ms or s";
            return Err(
                ScenarioError::new(c.since(start), message, "not a time").help("as in `+10ms`")
            );
        }
    };
    match number.map(from).filter(|time| *time <= LONGEST) {
        Some(time) => Ok(Some(time)),
        None => {
            let message = "at most an hour can pass at once";
            Err(ScenarioError::new(c.since(start), message, "too long"))
        }
    }
}

/// `[A]`, or strace's `[pid 123]`.
pub(in crate::scenario) fn read_task(c: &mut Cursor<'_>) -> Result<Option<Name>, ScenarioError> {
    if !c.eat("[") {
        return Ok(None);
    }
    c.skip_space();
    let start = c.at();
    let is_pid = c.eat_word("pid") && !c.sees("]");
    if is_pid {
        let Some((pid, span)) = c.number()? else {
            return Err(c.unexpected("the number of a task"));
        };
        c.expect("]")?;
        return Ok(Some(Name {
            text: pid.to_string().into(),
            span,
        }));
    }
    let span = c.since(start);
    let name = if span.start < span.end {
        Some(("pid", span))
    } else {
        c.ident()
    };
    let Some((text, span)) = name else {
        return Err(c.unexpected("the name of a task"));
    };
    c.expect("]")?;
    Ok(Some(Name {
        text: text.into(),
        span,
    }))
}

pub(in crate::scenario) fn read_comment(
    c: &mut Cursor<'_>,
) -> Result<Option<Box<str>>, ScenarioError> {
    if c.is_at_end() {
        return Ok(None);
    }
    if c.eat("#") {
        return Ok(Some(c.until(&[]).into()));
    }
    Err(c.unexpected("the end of the line"))
}

/// `thaw(A, PROT_READ)`, from behind the first word.
pub(in crate::scenario) fn read_thaw(c: &mut Cursor<'_>) -> Result<LineKind, ScenarioError> {
    c.expect("(")?;
    let Some((text, span)) = c.ident() else {
        return Err(c.unexpected("the name of a task"));
    };
    let task = Name {
        text: text.into(),
        span,
    };
    let mut page = Thaw::Writable;
    if c.eat(",") {
        if !c.eat_word("PROT_READ") {
            return Err(c.unexpected("`PROT_READ`"));
        }
        page = Thaw::ReadOnly;
    }
    c.expect(")")?;
    Ok(LineKind::Thaw { task, page })
}
