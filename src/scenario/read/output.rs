//! What a call stores: the memory that it is given, and the content that it shall have.

use crate::abi::{InotifyEvent, InotifyMask, Signal, WaitStatus};
use crate::scenario::ScenarioError;
use crate::scenario::ast::{Output, Place, Shown};
use crate::scenario::cursor::Cursor;
use crate::scenario::lower::{low_u32, low_u64};
use crate::scenario::siginfo::{SI, SSI, read_siginfo};
use crate::scenario::signature::Kind;
use crate::scenario::words;

use super::number::{MAPPABLE, expect_field, read_address, read_bits, read_flags, read_num};
use super::signal::{read_sigaction, read_sigset};
use super::structure::{
    Torn, read_event, read_int_cell, read_itimerspec, read_list, read_name, read_params,
    read_parts, read_received, read_rlimit, read_sockopt, read_timespec,
};
use super::termios::read_termios;
use super::text::read_text;

type Result<T> = std::result::Result<T, ScenarioError>;

pub(super) fn read_output(c: &mut Cursor<'_>, kind: Kind) -> Result<Output> {
    if matches!(kind, Kind::IovOut) {
        // What is not known of the buffers is written in their places, since each has its length.
        let (place, shown) = (Place::Plenty, Shown::Parts(read_parts(c)?));
        return Ok(Output { place, shown });
    }
    let start = c.at();
    let has_pointer = !matches!(kind, Kind::Status | Kind::RlimitOut | Kind::SockAddrOut);
    let mut place = Place::Plenty;
    if c.eat("@") {
        place = read_place(c)?;
        if !has_pointer {
            let message = "the lab cannot choose the memory of this argument";
            return Err(ScenarioError::new(
                c.since(start),
                message,
                "not possible here",
            ));
        }
    }
    if c.eat("...") || (place != Place::Plenty && (c.sees(",") || c.sees("<") || c.sees(")"))) {
        return Ok(Output {
            place,
            shown: Shown::Open,
        });
    }
    // An address in user space is where some program had its buffer, which is no matter here.
    if place == Place::Plenty
        && let Some(addr) = read_address(c)?
    {
        let place = match addr {
            addr if MAPPABLE.contains(&addr) => Place::Plenty,
            // Where `NULL` means that nothing is wanted, nothing need be passed on.
            addr if has_pointer || addr == 0 => Place::Addr(addr),
            _ => {
                let message = "the lab cannot pass an address here";
                return Err(ScenarioError::new(
                    c.since(start),
                    message,
                    "not this address",
                ));
            }
        };
        return Ok(Output {
            place,
            shown: Shown::Open,
        });
    }
    if let Kind::MsgOut = kind {
        return read_received(c);
    }
    let shown = match kind {
        Kind::Events => {
            let unordered = c.eat_word("unordered");
            let events = read_list(c, |c| read_event(c, Torn::Yes))?;
            Shown::Events { unordered, events }
        }
        Kind::Pipe => {
            c.expect("[")?;
            let read_end = read_num(c, Kind::Fd, "the read end")?;
            c.expect(",")?;
            let write_end = read_num(c, Kind::Fd, "the write end")?;
            c.expect("]")?;
            Shown::Pipe(read_end, write_end)
        }
        Kind::Bytes if c.sees("[{wd=") => Shown::Inotify(read_list(c, read_inotify_event)?),
        Kind::Bytes if c.sees("[") => Shown::Signals(read_list(c, |c| read_siginfo(c, SSI))?),
        Kind::Bytes => Shown::Bytes(read_text(c)?),
        Kind::IntOut => Shown::Int(read_int_cell(c, Kind::Int)?),
        Kind::SockOptOut => Shown::SockOpt(read_sockopt(c)?),
        Kind::SockAddrOut => Shown::SockAddr(read_name(c)?),
        Kind::ItimerspecOut => Shown::Itimerspec(read_itimerspec(c)?),
        Kind::ParamsOut => Shown::Params(read_params(c)?),
        Kind::TermiosOut => Shown::Termios(read_termios(c)?),
        Kind::Status => Shown::Status(read_status(c)?),
        Kind::SiginfoOut => Shown::Siginfo(read_siginfo(c, SI)?),
        Kind::SigSetOut => Shown::SigSet(read_sigset(c)?),
        Kind::SigActionOut => Shown::SigAction(read_sigaction(c)?),
        Kind::TimespecOut => Shown::Timespec(read_timespec(c)?),
        _ => Shown::Rlimit(read_rlimit(c)?),
    };
    Ok(Output { place, shown })
}

/// The largest memory that a scenario may ask for.
const LARGEST_ROOM: i128 = 1 << 26;

/// Behind `@`: `room(24)`, `room(2 entries)`, `frozen`.
pub(super) fn read_place(c: &mut Cursor<'_>) -> Result<Place> {
    match c.ident() {
        Some(("frozen", _)) => Ok(Place::Frozen),
        Some(("room", _)) => {
            c.expect("(")?;
            let Some((size, span)) = c.number()? else {
                return Err(c.unexpected("a number of bytes"));
            };
            if !(0..=LARGEST_ROOM).contains(&size) {
                let message = format!("a room holds from 0 to {LARGEST_ROOM} bytes");
                return Err(ScenarioError::new(span, message, "not this many"));
            }
            let entries = c.eat_word("entries") || c.eat_word("entry");
            c.expect(")")?;
            let size = low_u64(size);
            Ok(if entries {
                Place::Entries(size)
            } else {
                Place::Bytes(size)
            })
        }
        Some((word, span)) => {
            let message = format!("`@{word}` is no kind of memory");
            Err(ScenarioError::new(span, message, "unknown")
                .meant(word, ["room", "frozen"])
                .help("there are @room(24), @room(2 entries) and @frozen"))
        }
        None => Err(c.unexpected("`room` or `frozen`")),
    }
}

/// `[{WIFEXITED(s) && WEXITSTATUS(s) == 0}]`
/// `{wd=1, mask=IN_CREATE, name="x"}`
fn read_inotify_event(c: &mut Cursor<'_>) -> Result<InotifyEvent> {
    c.expect("{")?;
    expect_field(c, "wd")?;
    let Some((wd, _)) = c.number()? else {
        return Err(c.unexpected("the number of a watch"));
    };
    c.expect(",")?;
    expect_field(c, "mask")?;
    let mask = InotifyMask::from_bits_retain(read_flags(c, &words::INOTIFY_EVENTS)?);
    let mut name = Vec::new();
    if c.eat(",") {
        expect_field(c, "name")?;
        name = read_text(c)?.bytes;
    }
    c.expect("}")?;
    Ok(InotifyEvent {
        wd: low_u32(wd).cast_signed(),
        mask,
        name: String::from_utf8_lossy(&name).into(),
    })
}

pub(super) fn read_status(c: &mut Cursor<'_>) -> Result<WaitStatus> {
    c.expect("[")?;
    c.expect("{")?;
    let Some((test, span)) = c.ident() else {
        return Err(c.unexpected("`WIFEXITED(s)` or another test of the status"));
    };
    c.expect("(s)")?;
    let detail = match test {
        "WIFEXITED" => "WEXITSTATUS",
        "WIFSIGNALED" => "WTERMSIG",
        "WIFSTOPPED" => "WSTOPSIG",
        "WIFCONTINUED" => {
            c.expect("}")?;
            c.expect("]")?;
            return Ok(WaitStatus::Continued);
        }
        _ => {
            let tests = ["WIFEXITED", "WIFSIGNALED", "WIFSTOPPED", "WIFCONTINUED"];
            let message = format!("`{test}` is no test of a status");
            return Err(ScenarioError::new(span, message, "unknown").meant(test, tests));
        }
    };
    c.expect("&&")?;
    c.expect(detail)?;
    c.expect("(s)")?;
    c.expect("==")?;
    let number = if test == "WIFEXITED" {
        match c.number()? {
            Some((number, _)) => low_u32(number),
            None => return Err(c.unexpected("a number")),
        }
    } else {
        read_bits(c, &words::SIGNALS)?
    };
    c.expect("}")?;
    c.expect("]")?;
    let number = number.cast_signed();
    Ok(match test {
        "WIFEXITED" => WaitStatus::Exited(number),
        "WIFSIGNALED" => WaitStatus::Signaled(Signal(number)),
        _ => WaitStatus::Stopped(Signal(number)),
    })
}
