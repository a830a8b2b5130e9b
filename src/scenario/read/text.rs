//! Strings, and the one program that execve can start.
use crate::scenario::ScenarioError;
use crate::scenario::ast::{Arg, Num, Text, Value};
use crate::scenario::cursor::Cursor;
use crate::scenario::signature::{Kind, Param};

use super::structure::read_list;

type Result<T> = std::result::Result<T, ScenarioError>;

pub(super) fn read_text(c: &mut Cursor<'_>) -> Result<Text> {
    c.skip_space();
    let start = c.at();
    match c.string()? {
        Some((bytes, true)) if bytes.is_empty() => {
            let message = "a shortened string must show something";
            Err(ScenarioError::new(c.since(start), message, "shows nothing"))
        }
        Some((bytes, more)) => Ok(Text { bytes, more }),
        None => Err(c.unexpected("a string")),
    }
}

/// A long string to write that repeats its beginning is the same as that beginning and `...`, if the
/// count is right. Others stay long: shortened, they would mean something else.
pub(super) fn shorten(args: &mut [Arg], params: &[Param]) {
    const SHOWN: usize = 32;
    for place in 0..args.len() {
        let (Kind::Len(of), Value::Num(Num::Lit(count))) = (params[place].kind, &args[place].value)
        else {
            continue;
        };
        let count = usize::try_from(*count).ok();
        if let Value::Text(Text {
            bytes,
            more: more @ false,
        }) = &mut args[of].value
            && bytes.len() > SHOWN
            && count == Some(bytes.len())
        {
            let repeats = |period: &usize| bytes.iter().zip(&bytes[*period..]).all(|(a, b)| a == b);
            if let Some(period) = (1..=SHOWN).find(repeats) {
                bytes.truncate(period);
                *more = true;
            }
        }
    }
}

pub(super) fn read_path(c: &mut Cursor<'_>) -> Result<Value> {
    c.skip_space();
    let start = c.at();
    match c.string()? {
        Some((bytes, false)) if !bytes.contains(&0) && std::str::from_utf8(&bytes).is_ok() => {
            Ok(Value::Text(Text { bytes, more: false }))
        }
        Some(_) => {
            let message = "a path is a whole string of text";
            Err(ScenarioError::new(c.since(start), message, "not a path"))
        }
        None => Err(c.unexpected("a path in quotes")),
    }
}

pub(super) fn read_program(c: &mut Cursor<'_>) -> Result<Value> {
    c.skip_space();
    let start = c.at();
    match c.string()? {
        Some((bytes, false)) if bytes == b"/bin/sleep" => Ok(Value::Fixed),
        Some(_) => {
            let message = "the only program of the lab is \"/bin/sleep\"";
            Err(ScenarioError::new(
                c.since(start),
                message,
                "another program",
            ))
        }
        None => Err(c.unexpected("`\"/bin/sleep\"`")),
    }
}

pub(super) fn read_argv(c: &mut Cursor<'_>) -> Result<Value> {
    c.skip_space();
    let start = c.at();
    let words = read_list(c, |c| match c.string()? {
        Some((bytes, _)) => Ok(bytes),
        None => Err(c.unexpected("a string")),
    })?;
    if words != [b"sleep".as_slice(), b"infinity".as_slice()] {
        let message = "the program of the lab sleeps for ever: [\"sleep\", \"infinity\"]";
        return Err(ScenarioError::new(
            c.since(start),
            message,
            "other arguments",
        ));
    }
    Ok(Value::Fixed)
}
