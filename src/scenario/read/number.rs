//! Numbers, names, constants and addresses.
use crate::scenario::ast::{Name, Num, Value};
use crate::scenario::cursor::Cursor;
use crate::scenario::lower::{low_u32, low_u64};
use crate::scenario::signature::Kind;
use crate::scenario::words::Words;
use crate::scenario::{ScenarioError, Span};

type Result<T> = std::result::Result<T, ScenarioError>;

/// Addresses from here to the end of user space may be mapped: nothing certain happens there.
pub(super) const MAPPABLE: std::ops::Range<u64> = 0x1_0000..0x7fff_ffff_f000;

pub(super) fn read_address(c: &mut Cursor<'_>) -> Result<Option<u64>> {
    if c.eat_word("NULL") {
        return Ok(Some(0));
    }
    Ok(c.number()?.map(|(number, _)| low_u64(number)))
}

pub(in crate::scenario) fn read_num(c: &mut Cursor<'_>, kind: Kind, what: &str) -> Result<Num> {
    if let Some((number, span)) = c.number()? {
        return in_range(number, span, kind, what).map(Num::Lit);
    }
    let Some((word, span)) = c.ident() else {
        let expected = match kind {
            Kind::Fd => "a descriptor",
            Kind::Pid => "a process",
            _ => "a number",
        };
        return Err(c.unexpected(&format!("{expected} for `{what}`")));
    };
    c.skip_decoration();
    if matches!(kind, Kind::Fd) && word == "AT_FDCWD" {
        return Ok(Num::Lit(-100));
    }
    if !matches!(kind, Kind::Pid) {
        check_name(word, span)?;
    }
    Ok(Num::Name(Name {
        text: word.into(),
        span,
    }))
}

/// Names of descriptors and loop variables are lower-case, so that a mistyped constant is not one.
pub(in crate::scenario) fn check_name(word: &str, span: Span) -> Result<()> {
    if word.bytes().any(|byte| byte.is_ascii_uppercase()) {
        let message = format!("`{word}` is neither a number nor the name of one");
        return Err(ScenarioError::new(span, message, "not a name")
            .help("names are lower-case: [a-z_][a-z0-9_]*"));
    }
    Ok(())
}

/// Brings a number into the range of its C type, as C would if it was written in another sign.
pub(super) fn in_range(number: i128, span: Span, kind: Kind, what: &str) -> Result<i128> {
    let (low, high, bits): (i128, i128, u32) = match kind {
        Kind::Int | Kind::Fd | Kind::Pid => (i32::MIN.into(), i32::MAX.into(), 32),
        Kind::Port => (0, u16::MAX.into(), 16),
        Kind::Uint | Kind::Same(_) | Kind::Mode => (0, u32::MAX.into(), 32),
        Kind::Size | Kind::Len(_) => (0, u64::MAX.into(), 64),
        _ => (i64::MIN.into(), i64::MAX.into(), 64),
    };
    let modulus = 1_i128 << bits;
    let wrapped = match number {
        n if n > high => n - modulus,
        n if n < low => n + modulus,
        n => n,
    };
    if wrapped < low || wrapped > high {
        let message = format!("{number} does not fit into the {bits} bits of `{what}`");
        return Err(ScenarioError::new(span, message, "too large"));
    }
    Ok(wrapped)
}

pub(super) fn read_zero(c: &mut Cursor<'_>) -> Result<Value> {
    match c.number()? {
        Some((0, _)) => Ok(Value::Fixed),
        Some((_, span)) => {
            let message = "only the caller itself, process 0, is possible here";
            Err(ScenarioError::new(span, message, "must be 0"))
        }
        None => Err(c.unexpected("`0`")),
    }
}

/// A length that follows from another argument.
pub(super) fn read_length(c: &mut Cursor<'_>) -> Result<Value> {
    match c.number()? {
        Some((length, _)) => Ok(Value::Length(Some(low_u32(length)))),
        None => Err(c.unexpected("a length")),
    }
}

/// The same behind a pointer, as it was before the call and as it is behind it: `[128 => 16]`, `[16]`.
pub(super) fn read_length_cell(c: &mut Cursor<'_>) -> Result<Value> {
    c.expect("[")?;
    let before = read_length(c)?;
    let length = if c.eat("=>") { read_length(c)? } else { before };
    c.expect("]")?;
    Ok(length)
}

pub(super) fn read_bits(c: &mut Cursor<'_>, words: &Words) -> Result<u32> {
    if let Some((number, span)) = c.number()? {
        return in_range(number, span, Kind::Uint, words.what).map(low_u32);
    }
    let Some((word, span)) = c.ident() else {
        return Err(c.unexpected(words.what));
    };
    (words.find)(word).ok_or_else(|| {
        let all = (words.all)();
        ScenarioError::new(
            span,
            format!("`{word}` is not {}", words.what),
            "unknown constant",
        )
        .meant(word, all.iter().map(String::as_str))
    })
}

pub(super) fn read_flags(c: &mut Cursor<'_>, words: &Words) -> Result<u32> {
    let mut bits = read_bits(c, words)?;
    while c.eat("|") {
        bits |= read_bits(c, words)?;
    }
    Ok(bits)
}

pub(super) fn read_choice(c: &mut Cursor<'_>, words: &Words) -> Result<u32> {
    let mut bits = read_bits(c, words)?;
    // Two names of one number: strace cannot tell which is meant.
    while c.eat_word("or") {
        bits = read_bits(c, words)?;
    }
    Ok(bits)
}

pub(super) fn read_only(c: &mut Cursor<'_>, words: &Words, only: u32) -> Result<Value> {
    c.skip_space();
    let start = c.at();
    let name = (words.print)(only);
    if read_bits(c, words)? != only {
        let message = format!("of what is {} the lab knows only {name}", words.what);
        return Err(ScenarioError::new(
            c.since(start),
            message,
            format!("must be {name}"),
        ));
    }
    Ok(Value::Fixed)
}

pub(super) fn named_num(c: &mut Cursor<'_>, field: &str, kind: Kind) -> Result<Num> {
    expect_field(c, field)?;
    read_num(c, kind, field)
}

/// `si_pid=`: the name of a field, whichever comes.
pub(in crate::scenario) fn field<'t>(c: &mut Cursor<'t>) -> Result<(&'t str, Span)> {
    let Some(field) = c.ident() else {
        return Err(c.unexpected("the name of a field"));
    };
    c.expect("=")?;
    Ok(field)
}

pub(in crate::scenario) fn expect_field(c: &mut Cursor<'_>, field: &str) -> Result<()> {
    match c.ident() {
        Some((word, _)) if word == field => c.expect("="),
        Some((word, span)) => {
            let message = format!("expected the field `{field}`, found `{word}`");
            Err(
                ScenarioError::new(span, message, format!("expected `{field}`"))
                    .meant(word, [field]),
            )
        }
        None => Err(c.unexpected(&format!("the field `{field}`"))),
    }
}
