//! A call with its arguments and its result, whole or in halves.
use crate::scenario::ast::{Arg, Call, Expect, Form, Value};
use crate::scenario::calls::{self, OTHERWISE};
use crate::scenario::cursor::Cursor;
use crate::scenario::signature::{Returns, Signature};
use crate::scenario::{ScenarioError, Span};

use super::argument::read_arg;
use super::length::{settle_length, settle_lengths};
use super::result::read_result;
use super::text::shorten;

/// Reads a call from behind its name.
pub(in crate::scenario) fn read_call(
    c: &mut Cursor<'_>,
    name: &str,
    span: Span,
) -> Result<Call, ScenarioError> {
    let rows = calls::named(name);
    let Some(mut signature) = rows.first() else {
        let message = format!("`{name}` is not a call that the lab knows");
        return Err(ScenarioError::new(span, message, "unknown call")
            .meant(name, calls::names().chain(["repeat", "thaw", "parallel"])));
    };
    c.expect("(")?;
    let mut args = Vec::new();
    let mut form = Form::Plain;
    loop {
        if c.eat("<unfinished ...>") {
            form = Form::Unfinished;
            break;
        }
        if c.eat(")") {
            break;
        }
        if !args.is_empty() {
            c.expect(",")?;
            if c.eat("<unfinished ...>") {
                form = Form::Unfinished;
                break;
            }
        }
        let Some(param) = signature.params.get(args.len()) else {
            let message = format!("{name} takes {}", arguments(signature.params.len()));
            return Err(ScenarioError::new(
                c.unexpected("`)`").span(),
                message,
                "one too many",
            ));
        };
        args.push(read_arg(c, param)?);
        if let Some((place, _)) = signature.selector
            && args.len() == place + 1
        {
            signature = select(rows, &args[place])?;
        }
    }
    shorten(&mut args, signature.params);
    settle_lengths(&mut args, signature.params)?;
    if form == Form::Unfinished && c.eat(")") {
        form = Form::Abandoned;
    }
    let expect = match form {
        Form::Abandoned => {
            c.expect("=")?;
            c.expect("?")?;
            Expect::Open
        }
        Form::Unfinished => {
            if signature
                .selector
                .is_some_and(|(place, _)| args.len() <= place)
            {
                let message = format!("{name} must show here which of its kinds it is");
                return Err(ScenarioError::new(span, message, "too little is shown"));
            }
            Expect::Record
        }
        _ => read_expectation(c, signature)?,
    };
    Ok(Call {
        time: None,
        task: None,
        bind: None,
        signature,
        args,
        expect,
        form,
    })
}

/// The row for the value of the argument that tells the rows apart.
pub(super) fn select(
    rows: &'static [Signature],
    arg: &Arg,
) -> Result<&'static Signature, ScenarioError> {
    let Value::Bits(bits) = arg.value else {
        unreachable!("a row is selected by a constant");
    };
    let is = |value: u32| {
        rows.iter()
            .find(|row| row.selector.is_some_and(|(_, v)| v == value))
    };
    is(bits).or_else(|| is(OTHERWISE)).ok_or_else(|| {
        let message = format!(
            "{} with this argument is not something the lab knows",
            rows[0].name
        );
        ScenarioError::new(arg.span, message, "unknown here")
    })
}

pub(in crate::scenario) fn arguments(count: usize) -> String {
    match count {
        0 => "no arguments".to_owned(),
        1 => "1 argument".to_owned(),
        _ => format!("{count} arguments"),
    }
}

/// What follows the closing bracket.
pub(in crate::scenario) fn read_expectation(
    c: &mut Cursor<'_>,
    signature: &'static Signature,
) -> Result<Expect, ScenarioError> {
    let expect = if c.eat("=") {
        read_result(c, signature.returns)?
    } else if signature.returns == Returns::Never {
        Expect::Open
    } else {
        Expect::Record
    };
    // strace's option `-T` adds how long it took.
    if c.sees("<") && c.rest()[1..].starts_with(|c: char| c.is_ascii_digit()) {
        c.skip_past(">")?;
    }
    Ok(expect)
}

/// Reads the arguments that a resumed line shows: all from the first output on, or those that the
/// unfinished line left out. Arguments that both show must agree.
pub(in crate::scenario) fn complete(
    args: &mut Vec<Arg>,
    c: &mut Cursor<'_>,
    signature: &'static Signature,
) -> Result<(), ScenarioError> {
    let from = signature.first_output().min(args.len());
    let mut place = from;
    while !c.eat(")") {
        if place > from {
            c.expect(",")?;
        }
        let Some(param) = signature.params.get(place) else {
            return Err(c.unexpected("`)`"));
        };
        let mut arg = read_arg(c, param)?;
        settle_length(&mut arg, param, args)?;
        match args.get_mut(place) {
            None => args.push(arg),
            Some(begun) => {
                if let (Value::Out(begun), Value::Out(ended)) = (&begun.value, &mut arg.value) {
                    ended.place = begun.place;
                } else if begun.value != arg.value {
                    let message = format!("the call began with another `{}`", param.name);
                    return Err(ScenarioError::new(arg.span, message, "not what it was"));
                }
                *begun = arg;
            }
        }
        place += 1;
    }
    Ok(())
}
