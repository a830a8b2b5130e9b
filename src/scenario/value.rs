//! Reads arguments and results, each by its kind in the table of calls.

use crate::abi::{EpollParams, Errno, Rlimit, WaitStatus};

use super::ast::{
    Arg, Detail, Event, Expect, Item, Name, Num, Output, Place, PollEntry, Shown, Text, Value,
};
use super::cursor::Cursor;
use super::lower::{low_u32, low_u64};
use super::signature::{Kind, Param, Returns};
use super::words::{self, Words};
use super::{ScenarioError, Span};

type Result<T> = std::result::Result<T, ScenarioError>;

/// Addresses from here to the end of user space may be mapped: nothing certain happens there.
const MAPPABLE: std::ops::Range<u64> = 0x1_0000..0x7fff_ffff_f000;

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

fn read_value(c: &mut Cursor<'_>, param: &Param) -> Result<Value> {
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
        Kind::Slot => read_slot(c),
        _ => read_pointer(c, param.kind),
    }
}

/// An input pointer: what it points to, or an address.
fn read_pointer(c: &mut Cursor<'_>, kind: Kind) -> Result<Value> {
    let start = c.at();
    if let Some(addr) = read_address(c)? {
        // select(2), pselect6(2) and prlimit(2) have no place for a pointer that leads nowhere.
        let null_only = matches!(
            kind,
            Kind::FdSet | Kind::Null | Kind::RlimitIn | Kind::Timeval
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
        Kind::SigSet => read_sigset(c),
        Kind::Timespec => read_time(c, "tv_nsec"),
        Kind::Timeval => read_time(c, "tv_usec"),
        Kind::FdSet => read_fd_list(c).map(Value::FdSet),
        Kind::Buffer => read_text(c).map(Value::Text),
        Kind::IntIn => read_int_cell(c).map(Value::Int),
        Kind::ParamsIn => read_params(c).map(Value::Params),
        Kind::RlimitIn => read_rlimit(c).map(Value::Rlimit),
        _ => Err(c.unexpected("`NULL`")),
    }
}

fn read_address(c: &mut Cursor<'_>) -> Result<Option<u64>> {
    if c.eat_word("NULL") {
        return Ok(Some(0));
    }
    Ok(c.number()?.map(|(number, _)| low_u64(number)))
}

// Numbers and words

fn read_num(c: &mut Cursor<'_>, kind: Kind, what: &str) -> Result<Num> {
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
pub(super) fn check_name(word: &str, span: Span) -> Result<()> {
    if word.bytes().any(|byte| byte.is_ascii_uppercase()) {
        let message = format!("`{word}` is neither a number nor the name of one");
        return Err(ScenarioError::new(span, message, "not a name")
            .help("names are lower-case: [a-z_][a-z0-9_]*"));
    }
    Ok(())
}

/// Brings a number into the range of its C type, as C would if it was written in another sign.
fn in_range(number: i128, span: Span, kind: Kind, what: &str) -> Result<i128> {
    let (low, high, bits): (i128, i128, u32) = match kind {
        Kind::Int | Kind::Fd | Kind::Pid => (i32::MIN.into(), i32::MAX.into(), 32),
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

fn read_zero(c: &mut Cursor<'_>) -> Result<Value> {
    match c.number()? {
        Some((0, _)) => Ok(Value::Fixed),
        Some((_, span)) => {
            let message = "only the caller itself, process 0, is possible here";
            Err(ScenarioError::new(span, message, "must be 0"))
        }
        None => Err(c.unexpected("`0`")),
    }
}

fn read_bits(c: &mut Cursor<'_>, words: &Words) -> Result<u32> {
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

fn read_choice(c: &mut Cursor<'_>, words: &Words) -> Result<u32> {
    read_bits(c, words)
}

fn read_only(c: &mut Cursor<'_>, words: &Words, only: u32) -> Result<Value> {
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

fn named_num(c: &mut Cursor<'_>, field: &str, kind: Kind) -> Result<Num> {
    expect_field(c, field)?;
    read_num(c, kind, field)
}

fn expect_field(c: &mut Cursor<'_>, field: &str) -> Result<()> {
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

// Structures

/// Whether an event may end behind its mask, as one does that a fault tore.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Torn {
    Yes,
    No,
}

fn read_event(c: &mut Cursor<'_>, torn: Torn) -> Result<Event> {
    c.expect("{")?;
    // Old versions of strace print no field names.
    if c.eat_word("events") {
        c.expect("=")?;
    }
    let events = read_flags(c, &words::EPOLL_EVENTS)?;
    if torn == Torn::Yes && c.eat("}") {
        return Ok(Event { events, data: None });
    }
    c.expect(",")?;
    if c.eat_word("data") {
        c.expect("=")?;
    }
    let data = read_data(c)?;
    c.expect("}")?;
    Ok(Event {
        events,
        data: Some(data),
    })
}

/// `epoll_data_t`: a number, or some of the members of the union.
fn read_data(c: &mut Cursor<'_>) -> Result<Num> {
    if !c.sees("{") {
        return read_num(c, Kind::Size, "data");
    }
    let start = c.at();
    c.expect("{")?;
    let mut low: Option<Num> = None;
    let mut whole: Option<Num> = None;
    loop {
        let Some((member, span)) = c.ident() else {
            return Err(c.unexpected("a member of `epoll_data_t`"));
        };
        let (kind, half) = match member {
            "u64" | "ptr" => (Kind::Size, &mut whole),
            "u32" => (Kind::Uint, &mut low),
            "fd" => (Kind::Fd, &mut low),
            _ => {
                let message = format!("`{member}` is not a member of `epoll_data_t`");
                return Err(ScenarioError::new(span, message, "no such member")
                    .meant(member, ["u32", "u64", "fd", "ptr"])
                    .help("its members are ptr, fd, u32 and u64"));
            }
        };
        c.expect("=")?;
        let num = match kind {
            Kind::Size if c.eat_word("NULL") => Num::Lit(0),
            _ => read_num(c, kind, member)?,
        };
        *half = Some(match num {
            Num::Lit(number) if !matches!(kind, Kind::Size) => Num::Lit(low_u32(number).into()),
            num => num,
        });
        if !c.eat(",") {
            break;
        }
    }
    c.expect("}")?;
    let agree = match (&low, &whole) {
        (Some(Num::Lit(low)), Some(Num::Lit(whole))) => low_u32(*low) == low_u32(*whole),
        (Some(Num::Name(low)), Some(Num::Name(whole))) => low.text == whole.text,
        (Some(_), Some(_)) => false,
        _ => true,
    };
    if !agree {
        let message = "the members of `data` are views of one number, and these disagree";
        return Err(
            ScenarioError::new(c.since(start), message, "two different numbers")
                .help("write one of them: data={u64=7}"),
        );
    }
    // The loop ran at least once, so one of them is there.
    Ok(whole.or(low).unwrap_or(Num::Lit(0)))
}

/// A list in brackets, its members separated by commas or blanks.
fn read_list<T>(
    c: &mut Cursor<'_>,
    mut read: impl FnMut(&mut Cursor<'_>) -> Result<T>,
) -> Result<Vec<T>> {
    c.expect("[")?;
    let mut list = Vec::new();
    while !c.eat("]") {
        if c.is_at_end() {
            return Err(c.unexpected("`]`"));
        }
        list.push(read(c)?);
        c.eat(",");
    }
    Ok(list)
}

fn read_fd_list(c: &mut Cursor<'_>) -> Result<Vec<Num>> {
    read_list(c, |c| read_num(c, Kind::Fd, "a member of the set"))
}

fn read_poll_entries(c: &mut Cursor<'_>, mask: &str) -> Result<Vec<PollEntry>> {
    read_list(c, |c| {
        c.expect("{")?;
        let fd = named_num(c, "fd", Kind::Fd)?;
        let bits = if c.eat(",") {
            expect_field(c, mask)?;
            read_flags(c, &words::POLL_EVENTS)?
        } else {
            // strace leaves the mask of a negative descriptor out.
            0
        };
        c.expect("}")?;
        Ok(PollEntry { fd, mask: bits })
    })
}

fn read_sigset(c: &mut Cursor<'_>) -> Result<Value> {
    let negated = c.eat("~");
    let bits = read_list(c, |c| {
        let Some((word, span)) = c.ident() else {
            return Err(c.unexpected("a signal"));
        };
        let signal = words::signal_number(word).ok_or_else(|| {
            let all = (words::SIGNALS.all)();
            ScenarioError::new(span, format!("`{word}` is not a signal"), "unknown signal")
                .meant(word, all.iter().map(|name| &name[3..]))
        })?;
        Ok(1_u64 << (signal - 1))
    })?
    .into_iter()
    .fold(0, |set, bit| set | bit);
    Ok(Value::SigSet(if negated { !bits } else { bits }))
}

fn read_time(c: &mut Cursor<'_>, rest: &str) -> Result<Value> {
    c.expect("{")?;
    let sec = named_num(c, "tv_sec", Kind::Long)?;
    c.expect(",")?;
    let rest = named_num(c, rest, Kind::Long)?;
    c.expect("}")?;
    Ok(Value::Time(sec, rest))
}

fn read_int_cell(c: &mut Cursor<'_>) -> Result<Num> {
    c.expect("[")?;
    let num = read_num(c, Kind::Int, "the int pointed to")?;
    c.expect("]")?;
    Ok(num)
}

fn read_params(c: &mut Cursor<'_>) -> Result<EpollParams> {
    let mut params = EpollParams::default();
    c.expect("{")?;
    loop {
        let Some((field, span)) = c.ident() else {
            return Err(c.unexpected("a field of `struct epoll_params`"));
        };
        c.expect("=")?;
        let Some((number, at)) = c.number()? else {
            return Err(c.unexpected("a number"));
        };
        let too_large = || {
            let message = format!("{number} does not fit into `{field}`");
            ScenarioError::new(at, message, "too large")
        };
        let byte = || u8::try_from(number).map_err(|_| too_large());
        match field {
            "busy_poll_usecs" => {
                params.busy_poll_usecs = u32::try_from(number).map_err(|_| too_large())?;
            }
            "busy_poll_budget" => {
                params.busy_poll_budget = u16::try_from(number).map_err(|_| too_large())?;
            }
            "prefer_busy_poll" => params.prefer_busy_poll = byte()?,
            "__pad" => params.pad = byte()?,
            _ => {
                let message = format!("`struct epoll_params` has no field `{field}`");
                let fields = [
                    "busy_poll_usecs",
                    "busy_poll_budget",
                    "prefer_busy_poll",
                    "__pad",
                ];
                return Err(ScenarioError::new(span, message, "no such field").meant(field, fields));
            }
        }
        if !c.eat(",") {
            break;
        }
    }
    c.expect("}")?;
    Ok(params)
}

fn read_rlimit(c: &mut Cursor<'_>) -> Result<Rlimit> {
    c.expect("{")?;
    let rlim_cur = read_limit(c, "rlim_cur")?;
    c.expect(",")?;
    let rlim_max = read_limit(c, "rlim_max")?;
    c.expect("}")?;
    Ok(Rlimit { rlim_cur, rlim_max })
}

/// `20000`, `8192*1024`, `RLIM64_INFINITY`
fn read_limit(c: &mut Cursor<'_>, field: &str) -> Result<u64> {
    expect_field(c, field)?;
    if c.eat_word("RLIM64_INFINITY") || c.eat_word("RLIM_INFINITY") {
        return Ok(u64::MAX);
    }
    let mut product: u64 = 1;
    loop {
        let Some((factor, _)) = c.number()? else {
            return Err(c.unexpected("a number"));
        };
        product = product.saturating_mul(low_u64(factor));
        if !c.eat("*") {
            return Ok(product);
        }
    }
}

fn read_slot(c: &mut Cursor<'_>) -> Result<Value> {
    c.expect("{")?;
    let efd = named_num(c, "efd", Kind::Fd)?;
    c.expect(",")?;
    let tfd = named_num(c, "tfd", Kind::Fd)?;
    c.expect(",")?;
    let toff = named_num(c, "toff", Kind::Uint)?;
    c.expect("}")?;
    Ok(Value::Slot { efd, tfd, toff })
}

// Strings

fn read_text(c: &mut Cursor<'_>) -> Result<Text> {
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
        if let Value::Text(Text { bytes, more: more @ false }) = &mut args[of].value
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

fn read_path(c: &mut Cursor<'_>) -> Result<Value> {
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

fn read_program(c: &mut Cursor<'_>) -> Result<Value> {
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

fn read_argv(c: &mut Cursor<'_>) -> Result<Value> {
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

// Outputs

fn read_output(c: &mut Cursor<'_>, kind: Kind) -> Result<Output> {
    let start = c.at();
    let has_pointer = !matches!(kind, Kind::Pipe | Kind::Status | Kind::RlimitOut);
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
            addr if has_pointer || addr == 0 => Place::Addr(addr),
            _ => {
                let message = "only `NULL` is possible here";
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
        Kind::Bytes => Shown::Bytes(read_text(c)?),
        Kind::IntOut => Shown::Int(read_int_cell(c)?),
        Kind::ParamsOut => Shown::Params(read_params(c)?),
        Kind::Status => Shown::Status(read_status(c)?),
        _ => Shown::Rlimit(read_rlimit(c)?),
    };
    Ok(Output { place, shown })
}

/// The largest memory that a scenario may ask for.
const LARGEST_ROOM: i128 = 1 << 26;

/// Behind `@`: `room(24)`, `room(2 entries)`, `frozen`.
fn read_place(c: &mut Cursor<'_>) -> Result<Place> {
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
fn read_status(c: &mut Cursor<'_>) -> Result<WaitStatus> {
    c.expect("[")?;
    c.expect("{")?;
    let exited = c.eat_word("WIFEXITED");
    if !exited && !c.eat_word("WIFSIGNALED") {
        return Err(c.unexpected("`WIFEXITED(s)` or `WIFSIGNALED(s)`"));
    }
    c.expect("(s)")?;
    c.expect("&&")?;
    c.expect(if exited { "WEXITSTATUS" } else { "WTERMSIG" })?;
    c.expect("(s)")?;
    c.expect("==")?;
    let number = if exited {
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
    Ok(if exited {
        WaitStatus::Exited(number)
    } else {
        WaitStatus::Signaled(number)
    })
}

// Results

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
    let value = read_num(c, kind, "the result")?;
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
fn read_error(c: &mut Cursor<'_>) -> Result<Expect> {
    let Some((-1, _)) = c.number()? else {
        return Err(c.unexpected("`-1` and the name of an error"));
    };
    let Some((word, span)) = c.ident() else {
        return Err(c.unexpected("the name of an error"));
    };
    let unnamed = || word.strip_prefix("ERRNO_")?.parse().ok().map(Errno);
    let Some(errno) = Errno::from_name(word).or_else(unnamed) else {
        let all: Vec<&str> = (1..200).filter_map(|number| Errno(number).name()).collect();
        let message = format!("`{word}` is not an error that the lab knows");
        return Err(ScenarioError::new(span, message, "unknown error").meant(word, all));
    };
    skip_brackets(c)?;
    Ok(Expect::Error(errno))
}

/// A reading aid of strace's, if there is one.
fn skip_brackets(c: &mut Cursor<'_>) -> Result<()> {
    if c.eat("(") { c.skip_past(")") } else { Ok(()) }
}

/// `([{fd=3, revents=POLLIN}])`, or `(Timeout)`.
fn read_poll_detail(c: &mut Cursor<'_>) -> Result<Detail> {
    if c.eat_word("Timeout") {
        c.expect(")")?;
        return Ok(Detail::None);
    }
    let entries = read_poll_entries(c, "revents")?;
    c.expect(")")?;
    Ok(Detail::Poll(entries))
}

/// `(in [3], out [4], except [5], left {tv_sec=0, tv_usec=0})`, or `(Timeout)`.
fn read_set_detail(c: &mut Cursor<'_>) -> Result<Detail> {
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

fn read_items(c: &mut Cursor<'_>) -> Result<Expect> {
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
