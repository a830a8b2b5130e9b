//! Sets of signals, and what is to be done about one.

use crate::abi::{Ptr, SaFlags, SigAction, SigHandler, SigSet, Signal};
use crate::scenario::ScenarioError;
use crate::scenario::ast::Value;
use crate::scenario::cursor::Cursor;
use crate::scenario::lower::low_u64;
use crate::scenario::words;

use super::number::{MAPPABLE, expect_field, field, read_address, read_flags};
use super::structure::read_list;

type Result<T> = std::result::Result<T, ScenarioError>;

/// `[USR1 RT_3]`, `~[KILL STOP]`
pub(super) fn read_sigset(c: &mut Cursor<'_>) -> Result<SigSet> {
    let negated = c.eat("~");
    let signals = read_list(c, |c| {
        let Some((word, span)) = c.ident() else {
            return Err(c.unexpected("a signal"));
        };
        let short = word.strip_prefix("SIG").unwrap_or(word);
        Signal::from_name(&format!("SIG{short}")).ok_or_else(|| {
            ScenarioError::new(span, format!("`{word}` is not a signal"), "unknown signal")
                .meant(word, Signal::names().map(|name| &name[3..]))
        })
    })?;
    let set: SigSet = signals.into_iter().collect();
    Ok(if negated { SigSet(!set.0) } else { set })
}

/// `{sa_handler=SIG_IGN, sa_mask=[], sa_flags=0}`, or as older versions of strace have it, without the names
/// of the fields. The C library's `sa_restorer` may follow.
pub(super) fn read_sigaction(c: &mut Cursor<'_>) -> Result<SigAction> {
    c.expect("{")?;
    let named = c.sees("sa_");
    if named {
        let (name, span) = field(c)?;
        if !matches!(name, "sa_handler" | "sa_sigaction") {
            let message = format!("expected the field `sa_handler`, found `{name}`");
            return Err(ScenarioError::new(span, message, "expected `sa_handler`")
                .meant(name, ["sa_handler", "sa_sigaction"]));
        }
    }
    let handler = read_handler(c)?;
    let next = |c: &mut Cursor<'_>, name: &str| {
        c.expect(",")?;
        if named { expect_field(c, name) } else { Ok(()) }
    };
    next(c, "sa_mask")?;
    let mask = read_sigset(c)?;
    next(c, "sa_flags")?;
    let flags = SaFlags::from_bits_retain(read_flags(c, &words::SA_FLAGS)?);
    if c.sees(",") {
        next(c, "sa_restorer")?;
        if c.number()?.is_none() {
            return Err(c.unexpected("an address"));
        }
    }
    c.expect("}")?;
    Ok(SigAction {
        handler,
        flags: flags - SaFlags::RESTORER,
        mask,
    })
}

/// `SIG_DFL`, `SIG_IGN`, or a function, be it by the address that it had in some program.
fn read_handler(c: &mut Cursor<'_>) -> Result<SigHandler> {
    if c.number()?.is_some() {
        return Ok(SigHandler::Handle);
    }
    match c.ident() {
        Some(("SIG_DFL", _)) => Ok(SigHandler::Default),
        Some(("SIG_IGN", _)) => Ok(SigHandler::Ignore),
        Some(("handler", _)) => Ok(SigHandler::Handle),
        Some((word, span)) => {
            let message = format!("`{word}` is no handler");
            Err(ScenarioError::new(span, message, "unknown")
                .meant(word, ["SIG_DFL", "SIG_IGN", "handler"])
                .help("there are SIG_DFL, SIG_IGN and `handler`, which notes that it runs"))
        }
        None => Err(c.unexpected("`SIG_DFL`, `SIG_IGN` or `handler`")),
    }
}

/// `{sigmask=[USR1], sigsetsize=8}`, or as older versions of strace have it, without the names.
pub(super) fn read_sigpack(c: &mut Cursor<'_>) -> Result<Value> {
    c.expect("{")?;
    let named = c.sees("sigmask");
    if named {
        expect_field(c, "sigmask")?;
    }
    c.skip_space();
    let start = c.at();
    let mask = match read_address(c)? {
        Some(addr) if MAPPABLE.contains(&addr) => {
            let message = format!("{addr:#x} is not an address that the lab can pass here");
            return Err(
                ScenarioError::new(c.since(start), message, "not this address")
                    .help("something may be mapped there; take NULL or 0xffff800000000000"),
            );
        }
        Some(addr) => Ptr::Addr(addr),
        None => Ptr::To(read_sigset(c)?),
    };
    c.expect(",")?;
    if named {
        expect_field(c, "sigsetsize")?;
    }
    let Some((size, _)) = c.number()? else {
        return Err(c.unexpected("the size of the mask"));
    };
    c.expect("}")?;
    Ok(Value::SigPack(mask, low_u64(size)))
}
