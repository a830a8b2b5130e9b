//! What follows the equals sign.

use crate::abi::Errno;
use crate::scenario::ast::{Detail, Expect, Item, Num};
use crate::scenario::cursor::Cursor;
use crate::scenario::signature::{Kind, Returns};
use crate::scenario::words;
use crate::scenario::{ScenarioError, Span};

use super::number::{expect_field, named_num, read_flags, read_num};
use super::structure::{read_data, read_fd_list, read_list, read_poll_entries};

type Result<T> = std::result::Result<T, ScenarioError>;

/// Reads what follows `=`.
pub(super) fn read_result(c: &mut Cursor<'_>, returns: Returns) -> Result<Expect> {
    if c.eat("?") {
        // strace: `= ? ERESTARTSYS (To be restarted if SA_RESTART is set)`
        if c.ident().is_some() {
            skip_brackets(c)?;
        }
        return Ok(Expect::Open);
    }
    if returns == Returns::Never && !c.sees("-") {
        return Err(c.unexpected("`?`, since the call does not return"));
    }
    if c.sees("-") {
        return read_error(c);
    }
    match returns {
        Returns::Items => return read_items(c),
        Returns::Text => {
            return match c.string()? {
                Some((bytes, false)) => Ok(Expect::Text(bytes)),
                _ => Err(c.unexpected("the whole text in quotes")),
            };
        }
        _ => {}
    }
    let kind = match returns {
        Returns::Task | Returns::Pid => Kind::Pid,
        _ => Kind::Long,
    };
    c.skip_space();
    let start = c.at();
    let value = read_num(c, kind, "the result")?;
    if matches!(value, Num::Lit(number) if number < 0) {
        let message = "a call that succeeds returns no negative number";
        return Err(ScenarioError::new(c.since(start), message, "negative")
            .help("one that fails is written `= -1 EBADF`"));
    }
    let detail = match returns {
        Returns::Poll if c.eat("(") => read_poll_detail(c)?,
        Returns::Sets if c.eat("(") => read_set_detail(c)?,
        _ => {
            skip_brackets(c)?;
            Detail::None
        }
    };
    Ok(Expect::Value(value, detail))
}

/// `-1 EAGAIN (Resource temporarily unavailable)`
pub(super) fn read_error(c: &mut Cursor<'_>) -> Result<Expect> {
    match c.number()? {
        Some((-1, _)) => {}
        Some((_, span)) => {
            let message = "a call that fails returns -1";
            return Err(ScenarioError::new(span, message, "not -1")
                .help("write `= -1 EBADF`, with the name of the error"));
        }
        None => return Err(c.unexpected("`-1` and the name of an error")),
    }
    let Some((word, span)) = c.ident() else {
        return Err(c.unexpected("the name of an error"));
    };
    let errno = named_errno(word, span)?;
    skip_brackets(c)?;
    Ok(Expect::Error(errno))
}

/// `EAGAIN`, or `ERRNO_77` for one without a name.
pub(super) fn named_errno(word: &str, span: Span) -> Result<Errno> {
    let unnamed = || word.strip_prefix("ERRNO_")?.parse().ok().map(Errno);
    Errno::from_name(word).or_else(unnamed).ok_or_else(|| {
        let all: Vec<&str> = (1..200).filter_map(|number| Errno(number).name()).collect();
        let message = format!("`{word}` is not an error that the lab knows");
        ScenarioError::new(span, message, "unknown error").meant(word, all)
    })
}

/// A reading aid of strace's, if there is one.
pub(super) fn skip_brackets(c: &mut Cursor<'_>) -> Result<()> {
    if c.eat("(") { c.skip_past(")") } else { Ok(()) }
}

/// `([{fd=3, revents=POLLIN}])`, or `(Timeout)`.
pub(super) fn read_poll_detail(c: &mut Cursor<'_>) -> Result<Detail> {
    if c.eat_word("Timeout") {
        c.expect(")")?;
        return Ok(Detail::None);
    }
    let entries = read_poll_entries(c, "revents")?;
    c.expect(")")?;
    Ok(Detail::Poll(entries))
}

/// `(in [3], out [4], except [5], left {tv_sec=0, tv_usec=0})`, or `(Timeout)`.
pub(super) fn read_set_detail(c: &mut Cursor<'_>) -> Result<Detail> {
    if c.eat_word("Timeout") {
        c.expect(")")?;
        return Ok(Detail::None);
    }
    let mut sets = [Vec::new(), Vec::new(), Vec::new()];
    loop {
        match c.ident() {
            Some(("in", _)) => sets[0] = read_fd_list(c)?,
            Some(("out", _)) => sets[1] = read_fd_list(c)?,
            Some(("except", _)) => sets[2] = read_fd_list(c)?,
            Some(("left", _)) => c.skip_past("}")?,
            Some((word, span)) => {
                let message = format!("`{word}` is no set of select");
                return Err(ScenarioError::new(span, message, "unknown set")
                    .help("the sets are in, out and except"));
            }
            None => return Err(c.unexpected("`in`, `out` or `except`")),
        }
        if !c.eat(",") {
            break;
        }
    }
    c.expect(")")?;
    // Nothing but empty sets, or what was left of the time: as good as no brackets.
    if sets.iter().all(Vec::is_empty) {
        return Ok(Detail::None);
    }
    Ok(Detail::Sets(sets))
}

pub(super) fn read_items(c: &mut Cursor<'_>) -> Result<Expect> {
    let items = read_list(c, |c| {
        c.expect("{")?;
        let tfd = named_num(c, "tfd", Kind::Fd)?;
        c.expect(",")?;
        expect_field(c, "events")?;
        let events = read_flags(c, &words::EPOLL_EVENTS)?;
        c.expect(",")?;
        expect_field(c, "data")?;
        let data = read_data(c)?;
        let pos = if c.eat(",") {
            named_num(c, "pos", Kind::Size)?
        } else {
            Num::Lit(0)
        };
        c.expect("}")?;
        Ok(Item {
            tfd,
            events,
            data,
            pos,
        })
    })?;
    Ok(Expect::Items(items))
}
