//! What pointers lead to: structures, arrays and sets.

use crate::abi::{EpollParams, Itimerspec, Message, Ptr, Rlimit, SockAddr, Timespec, socket};
use crate::scenario::ScenarioError;
use crate::scenario::ast::{
    Addr, Event, Num, OptVal, Output, Place, PollEntry, Shown, Text, Value,
};
use crate::scenario::cursor::Cursor;
use crate::scenario::lower::{low_u32, low_u64};
use crate::scenario::signature::Kind;
use crate::scenario::words;

use super::number::{expect_field, named_num, read_address, read_bits, read_flags, read_num};
use super::text::read_text;

type Result<T> = std::result::Result<T, ScenarioError>;

/// Whether an event may end behind its mask, as one does that a fault tore.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Torn {
    Yes,
    No,
}

pub(super) fn read_event(c: &mut Cursor<'_>, torn: Torn) -> Result<Event> {
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
pub(super) fn read_data(c: &mut Cursor<'_>) -> Result<Num> {
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
pub(super) fn read_list<T>(
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

pub(super) fn read_fd_list(c: &mut Cursor<'_>) -> Result<Vec<Num>> {
    read_list(c, |c| read_num(c, Kind::Fd, "a member of the set"))
}

pub(super) fn read_poll_entries(c: &mut Cursor<'_>, mask: &str) -> Result<Vec<PollEntry>> {
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

pub(super) fn read_time(c: &mut Cursor<'_>, rest: &str) -> Result<Value> {
    c.expect("{")?;
    let sec = named_num(c, "tv_sec", Kind::Long)?;
    c.expect(",")?;
    let rest = named_num(c, rest, Kind::Long)?;
    c.expect("}")?;
    Ok(Value::Time(sec, rest))
}

/// `{it_interval={tv_sec=0, tv_nsec=0}, it_value={tv_sec=1, tv_nsec=0}}`
pub(super) fn read_itimerspec(c: &mut Cursor<'_>) -> Result<Itimerspec> {
    c.expect("{")?;
    expect_field(c, "it_interval")?;
    let it_interval = read_timespec(c)?;
    c.expect(",")?;
    expect_field(c, "it_value")?;
    let it_value = read_timespec(c)?;
    c.expect("}")?;
    Ok(Itimerspec {
        it_interval,
        it_value,
    })
}

/// A time without names in it.
pub(super) fn read_timespec(c: &mut Cursor<'_>) -> Result<Timespec> {
    let mut field = |opening: &str, name: &str| {
        c.expect(opening)?;
        expect_field(c, name)?;
        match c.number()? {
            Some((number, _)) => Ok(low_u64(number).cast_signed()),
            None => Err(c.unexpected("a number")),
        }
    };
    let tv_sec = field("{", "tv_sec")?;
    let tv_nsec = field(",", "tv_nsec")?;
    c.expect("}")?;
    Ok(Timespec { tv_sec, tv_nsec })
}

pub(super) fn read_int_cell(c: &mut Cursor<'_>, kind: Kind) -> Result<Num> {
    c.expect("[")?;
    let num = read_num(c, kind, "the number pointed to")?;
    c.expect("]")?;
    Ok(num)
}

pub(super) fn read_params(c: &mut Cursor<'_>) -> Result<EpollParams> {
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

pub(super) fn read_rlimit(c: &mut Cursor<'_>) -> Result<Rlimit> {
    c.expect("{")?;
    let rlim_cur = read_limit(c, "rlim_cur")?;
    c.expect(",")?;
    let rlim_max = read_limit(c, "rlim_max")?;
    c.expect("}")?;
    Ok(Rlimit { rlim_cur, rlim_max })
}

/// `20000`, `8192*1024`, `RLIM64_INFINITY`
pub(super) fn read_limit(c: &mut Cursor<'_>, field: &str) -> Result<u64> {
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

/// `{msg_name=NULL, ..}`: data in one buffer, and descriptors in one control message, or none.
pub(super) fn read_message(c: &mut Cursor<'_>) -> Result<Value> {
    read_message_start(c)?;
    let text = read_text(c)?;
    c.expect(",")?;
    read_length(c, "iov_len", text.bytes.len())?;
    read_iov_end(c)?;
    let fds = read_control(c)?;
    read_length(c, "msg_controllen", Message::control_space(fds.len()))?;
    c.expect(",")?;
    read_length(c, "msg_flags", 0)?;
    c.expect("}")?;
    Ok(Value::Msg(text, fds))
}

/// The same as recvmsg(2) leaves it, with how much there was room for. One that failed shows nothing of it:
/// `{msg_namelen=0}`.
pub(super) fn read_received(c: &mut Cursor<'_>) -> Result<Output> {
    let start = c.at();
    if c.eat("{") && c.eat_word("msg_namelen") && c.eat("=") && c.eat("0") && c.eat("}") {
        return Ok(Output {
            place: Place::Plenty,
            shown: Shown::Open,
        });
    }
    c.rewind(start);
    read_message_start(c)?;
    let text = if c.eat("...") {
        None
    } else {
        Some(read_text(c)?)
    };
    c.expect(",")?;
    expect_field(c, "iov_len")?;
    let size = read_size(c)?;
    read_iov_end(c)?;
    let fds = read_control(c)?;
    expect_field(c, "msg_controllen")?;
    let control = read_size(c)?;
    let told = if c.eat("=>") { read_size(c)? } else { control };
    c.expect(",")?;
    expect_field(c, "msg_flags")?;
    let place = Place::Message { size, control };
    let Some(text) = text else {
        c.expect("...")?;
        c.expect("}")?;
        let shown = Shown::Open;
        return Ok(Output { place, shown });
    };
    let used = Message::control_used(fds.len(), control);
    if told != used {
        let message = format!(
            "`msg_controllen` is {used} then with {} descriptors",
            fds.len()
        );
        let label = format!("must be {used}");
        return Err(ScenarioError::new(c.since(start), message, label));
    }
    let flags = read_flags(c, &words::MSG_FLAGS)?;
    c.expect("}")?;
    let shown = Shown::Msg(text, fds, flags);
    Ok(Output { place, shown })
}

fn read_size(c: &mut Cursor<'_>) -> Result<u64> {
    /// More than any message that the lab receives.
    const MOST: i128 = 1 << 20;
    match c.number()? {
        Some((number, _)) if (0..=MOST).contains(&number) => Ok(low_u64(number)),
        Some((number, span)) => {
            let message = format!("a message has room for at most {MOST} bytes, not {number}");
            Err(ScenarioError::new(span, message, "too large"))
        }
        None => Err(c.unexpected("a number of bytes")),
    }
}

fn read_message_start(c: &mut Cursor<'_>) -> Result<()> {
    c.expect("{")?;
    expect_field(c, "msg_name")?;
    c.expect("NULL")?;
    c.expect(",")?;
    read_length(c, "msg_namelen", 0)?;
    c.expect(",")?;
    expect_field(c, "msg_iov")?;
    c.expect("[{")?;
    expect_field(c, "iov_base")
}

fn read_iov_end(c: &mut Cursor<'_>) -> Result<()> {
    c.expect("}]")?;
    c.expect(",")?;
    read_length(c, "msg_iovlen", 1)?;
    c.expect(",")
}

/// The descriptors of a control message, if there is one.
fn read_control(c: &mut Cursor<'_>) -> Result<Vec<Num>> {
    if !c.eat_word("msg_control") {
        return Ok(Vec::new());
    }
    c.expect("=")?;
    c.expect("[{")?;
    c.skip_space();
    let start = c.at();
    expect_field(c, "cmsg_len")?;
    let length = c.number()?;
    c.expect(",")?;
    expect_field(c, "cmsg_level")?;
    c.expect("SOL_SOCKET")?;
    c.expect(",")?;
    expect_field(c, "cmsg_type")?;
    c.expect("SCM_RIGHTS")?;
    c.expect(",")?;
    expect_field(c, "cmsg_data")?;
    let fds = read_list(c, |c| read_num(c, Kind::Fd, "a descriptor"))?;
    let right = Message::control_len(fds.len());
    if length.map(|(number, _)| number) != i128::try_from(right).ok() {
        let message = format!("`cmsg_len` is {right} for {} descriptors", fds.len());
        let error = ScenarioError::new(c.since(start), message, "another length");
        return Err(error);
    }
    c.expect("}]")?;
    c.expect(",")?;
    Ok(fds)
}

/// `[{iov_base="ab", iov_len=2}, {iov_base="c", iov_len=1}]`
pub(super) fn read_iov(c: &mut Cursor<'_>) -> Result<Value> {
    read_list(c, |c| {
        c.expect("{")?;
        expect_field(c, "iov_base")?;
        let base = match read_address(c)? {
            Some(addr) => Ptr::Addr(addr),
            None => Ptr::To(read_text(c)?),
        };
        c.expect(",")?;
        let len = match &base {
            Ptr::To(Text { bytes, more: false }) => {
                read_length(c, "iov_len", bytes.len())?;
                u64::try_from(bytes.len()).unwrap_or(u64::MAX)
            }
            Ptr::To(Text { more: true, .. }) | Ptr::Addr(_) => {
                expect_field(c, "iov_len")?;
                read_part_length(c)?
            }
        };
        c.expect("}")?;
        Ok((base, len))
    })
    .map(Value::Iov)
}

/// `[{iov_base="ab", iov_len=2}, {iov_base=..., iov_len=4}]`: what was read, or shall be.
pub(super) fn read_parts(c: &mut Cursor<'_>) -> Result<Vec<(Option<Text>, u64)>> {
    read_list(c, |c| {
        c.expect("{")?;
        expect_field(c, "iov_base")?;
        let text = if c.eat("...") {
            None
        } else {
            Some(read_text(c)?)
        };
        c.expect(",")?;
        expect_field(c, "iov_len")?;
        let len = read_part_length(c)?;
        c.expect("}")?;
        Ok((text, len))
    })
}

fn read_part_length(c: &mut Cursor<'_>) -> Result<u64> {
    match c.number()? {
        Some((number @ 0..=LONGEST_PART, _)) => Ok(low_u64(number)),
        Some((_, span)) => {
            let message = format!("a part has at most {LONGEST_PART} bytes");
            Err(ScenarioError::new(span, message, "not this many"))
        }
        None => Err(c.unexpected("a number")),
    }
}

/// As much as the lab has memory for.
const LONGEST_PART: i128 = 1 << 20;

/// A field that follows from others.
fn read_length(c: &mut Cursor<'_>, field: &str, right: usize) -> Result<()> {
    expect_field(c, field)?;
    match c.number()? {
        Some((number, _)) if Some(number) == i128::try_from(right).ok() => Ok(()),
        Some((number, span)) => {
            let message = format!("`{field}` is {number}, and must be {right} here");
            Err(ScenarioError::new(
                span,
                message,
                format!("must be {right}"),
            ))
        }
        None => Err(c.unexpected("a number")),
    }
}

/// `{sa_family=AF_UNIX, sun_path=@"name"}`, `{sa_family=AF_INET, sin_port=htons(port),
/// sin_addr=inet_addr("127.0.0.1")}`
pub(super) fn read_sockaddr(c: &mut Cursor<'_>) -> Result<Addr> {
    c.expect("{")?;
    expect_field(c, "sa_family")?;
    c.skip_space();
    let start = c.at();
    match read_bits(c, &words::DOMAINS)?.cast_signed() {
        socket::AF_UNIX => read_unix_address(c).map(Addr::Unix),
        socket::AF_INET => read_inet_address(c),
        _ => {
            let message = "the lab has addresses of AF_UNIX and AF_INET";
            let span = c.since(start);
            Err(ScenarioError::new(span, message, "another family"))
        }
    }
}

/// The address of a socket that comes back: `{}` where there is none.
pub(super) fn read_name(c: &mut Cursor<'_>) -> Result<Addr> {
    let start = c.at();
    if c.eat("{") && c.eat("}") {
        return Ok(Addr::None);
    }
    c.rewind(start);
    read_sockaddr(c)
}

fn read_inet_address(c: &mut Cursor<'_>) -> Result<Addr> {
    c.expect(",")?;
    expect_field(c, "sin_port")?;
    c.expect("htons")?;
    c.expect("(")?;
    let port = read_num(c, Kind::Port, "sin_port")?;
    c.expect(")")?;
    c.expect(",")?;
    expect_field(c, "sin_addr")?;
    c.expect("inet_addr")?;
    c.expect("(")?;
    c.skip_space();
    let start = c.at();
    let ip = match c.string()? {
        Some((text, false)) => String::from_utf8_lossy(&text).parse().ok(),
        _ => None,
    };
    let Some(ip) = ip else {
        let message = "this is no address of IPv4";
        let error = ScenarioError::new(c.since(start), message, "not an address");
        return Err(error.help("as in `inet_addr(\"127.0.0.1\")`"));
    };
    c.expect(")")?;
    c.expect("}")?;
    Ok(Addr::Inet { port, ip })
}

/// `[1]`, `{l_onoff=1, l_linger=0}`
pub(super) fn read_sockopt(c: &mut Cursor<'_>) -> Result<OptVal> {
    if !c.eat("{") {
        return read_int_cell(c, Kind::Int).map(OptVal::Int);
    }
    let onoff = named_num(c, "l_onoff", Kind::Int)?;
    c.expect(",")?;
    let seconds = named_num(c, "l_linger", Kind::Int)?;
    c.expect("}")?;
    Ok(OptVal::Linger { onoff, seconds })
}

fn read_unix_address(c: &mut Cursor<'_>) -> Result<SockAddr> {
    if c.eat("}") {
        return Ok(SockAddr::Unnamed);
    }
    c.expect(",")?;
    expect_field(c, "sun_path")?;
    c.skip_space();
    let start = c.at();
    if !c.eat("@") {
        return Err(c
            .unexpected("a name in the abstract namespace")
            .help("as in `sun_path=@\"name\"`: the lab makes no files for sockets"));
    }
    let name = match c.string()? {
        Some((name, false)) if (1..=SUN_PATH).contains(&name.len()) => name,
        Some(_) => {
            let message = format!("an abstract name is a whole string of 1 to {SUN_PATH} bytes");
            return Err(ScenarioError::new(c.since(start), message, "not a name"));
        }
        None => return Err(c.unexpected("a string")),
    };
    c.expect("}")?;
    Ok(SockAddr::Abstract(name.into()))
}

/// What `sun_path` holds behind the zero that makes a name an abstract one, and a number by which a lab
/// tells its names from those of others.
const SUN_PATH: usize = 103;

pub(super) fn read_slot(c: &mut Cursor<'_>) -> Result<Value> {
    c.expect("{")?;
    let efd = named_num(c, "efd", Kind::Fd)?;
    c.expect(",")?;
    let tfd = named_num(c, "tfd", Kind::Fd)?;
    c.expect(",")?;
    let toff = named_num(c, "toff", Kind::Uint)?;
    c.expect("}")?;
    Ok(Value::Slot { efd, tfd, toff })
}
