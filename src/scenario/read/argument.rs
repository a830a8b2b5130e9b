//! One argument of a call.
use crate::scenario::ScenarioError;
use crate::scenario::ast::{Arg, Value};
use crate::scenario::cursor::Cursor;
use crate::scenario::signature::{Kind, Param};

use super::number::{
    MAPPABLE, read_address, read_choice, read_flags, read_length, read_length_cell, read_num,
    read_only, read_zero,
};
use super::output::read_output;
use super::signal::{read_sigaction, read_sigpack, read_sigset};
use super::structure::{
    Torn, read_event, read_fd_list, read_int_cell, read_iov, read_itimerspec, read_message,
    read_params, read_poll_entries, read_rlimit, read_slot, read_sockaddr, read_sockopt, read_time,
};
use super::termios::read_termios;
use super::text::{read_argv, read_path, read_program, read_text};

type Result<T> = std::result::Result<T, ScenarioError>;

/// Reads the argument that this parameter takes.
pub(super) fn read_arg(c: &mut Cursor<'_>, param: &Param) -> Result<Arg> {
    c.skip_space();
    let start = c.at();
    let value = read_value(c, param)?;
    Ok(Arg {
        value,
        span: c.since(start),
    })
}

pub(super) fn read_value(c: &mut Cursor<'_>, param: &Param) -> Result<Value> {
    if param.kind.is_output() {
        return read_output(c, param.kind).map(Value::Out);
    }
    match param.kind {
        Kind::Int
        | Kind::Long
        | Kind::Size
        | Kind::Uint
        | Kind::Mode
        | Kind::Fd
        | Kind::Pid
        | Kind::Len(_)
        | Kind::Same(_) => read_num(c, param.kind, param.name).map(Value::Num),
        Kind::Zero => read_zero(c),
        Kind::Flags(words) => read_flags(c, words).map(Value::Bits),
        Kind::Choice(words) => read_choice(c, words).map(Value::Bits),
        Kind::Only(words, only) => read_only(c, words, only),
        Kind::Path => read_path(c),
        Kind::Program => read_program(c),
        Kind::Argv => read_argv(c),
        Kind::Ignored => {
            read_address(c)?.ok_or_else(|| c.unexpected("`NULL` or an address"))?;
            Ok(Value::Fixed)
        }
        Kind::PollFds => {
            if c.eat_word("NULL") {
                return Ok(Value::PollFds(Vec::new()));
            }
            read_poll_entries(c, "events").map(Value::PollFds)
        }
        Kind::SockOptLen { .. } => read_length(c),
        Kind::SockOptLenPtr(..) => read_length_cell(c),
        Kind::SockAddrLen(_) if c.eat_word("NULL") => Ok(Value::Addr(0)),
        Kind::SockAddrLen(_) => read_length_cell(c),
        Kind::Slot => read_slot(c),
        Kind::Iov => read_iov(c),
        _ => read_pointer(c, param.kind),
    }
}

/// An input pointer: what it points to, or an address.
pub(super) fn read_pointer(c: &mut Cursor<'_>, kind: Kind) -> Result<Value> {
    let start = c.at();
    if let Some(addr) = read_address(c)? {
        // select(2), pselect6(2) and prlimit(2) have no place for a pointer that leads nowhere.
        let null_only = matches!(
            kind,
            Kind::FdSet
                | Kind::Null
                | Kind::RlimitIn
                | Kind::SigPack
                | Kind::SockAddr
                | Kind::Timeval
        );
        if (null_only && addr != 0) || MAPPABLE.contains(&addr) {
            let message = format!("{addr:#x} is not an address that the lab can pass here");
            let help = if null_only {
                "only `NULL` is possible"
            } else {
                "something may be mapped there; take NULL or 0xffff800000000000"
            };
            return Err(ScenarioError::new(c.since(start), message, "not this address").help(help));
        }
        return Ok(Value::Addr(addr));
    }
    match kind {
        Kind::Event => read_event(c, Torn::No).map(Value::Event),
        Kind::SigSet => read_sigset(c).map(Value::SigSet),
        Kind::SigAction => read_sigaction(c).map(Value::SigAction),
        Kind::SigPack => read_sigpack(c),
        Kind::Timespec => read_time(c, "tv_nsec"),
        Kind::Timeval => read_time(c, "tv_usec"),
        Kind::FdSet => read_fd_list(c).map(Value::FdSet),
        Kind::Msg => read_message(c),
        Kind::SockAddr => read_sockaddr(c).map(Value::SockAddr),
        Kind::Buffer => read_text(c).map(Value::Text),
        Kind::SockOptIn => read_sockopt(c).map(Value::SockOpt),
        Kind::IntIn => read_int_cell(c, Kind::Int).map(Value::Int),
        Kind::U64In => read_int_cell(c, Kind::Size).map(Value::Int),
        Kind::ItimerspecIn => read_itimerspec(c).map(Value::Itimerspec),
        Kind::ParamsIn => read_params(c).map(Value::Params),
        Kind::TermiosIn => read_termios(c).map(Value::Termios),
        Kind::RlimitIn => read_rlimit(c).map(Value::Rlimit),
        _ => Err(c.unexpected("`NULL`")),
    }
}
