//! From the arguments of a line to those of a [`Syscall`](crate::abi::Syscall): names become numbers.

use std::net::SocketAddrV4;

use crate::abi::socket::Linger;
use crate::abi::{
    Bytes, EpollEvent, EpollParams, EventMask, Fd, FdSet, IoVec, Itimerspec, Message, OpenFlags,
    OutPtr, PollFd, Ptr, Rlimit, Room, SigAction, SigSet, Signal, SockAddr, SockOpt, Termios,
    Timespec, Timeval,
};

use super::ScenarioError;
use super::ast::{Addr, Arg, Event, Num, OptVal, Output, Place, PollEntry, Shown, Text, Value};
use super::env::Env;

/// The arguments of one call, read by place.
///
/// The parser has made each of them what its kind in the table says, so a wrong variant is a broken
/// row of that table and panics.
#[derive(Debug)]
pub(super) struct Args<'a> {
    pub(super) args: &'a [Arg],
    pub(super) env: &'a Env,
}

impl Args<'_> {
    pub(super) fn has(&self, place: usize) -> bool {
        place < self.args.len()
    }

    fn number(&self, place: usize) -> Result<i128, ScenarioError> {
        match &self.args[place].value {
            Value::Num(num) => self.env.number(num),
            other => wrong(place, other),
        }
    }

    pub(super) fn int(&self, place: usize) -> Result<i32, ScenarioError> {
        self.number(place).map(low_i32)
    }

    pub(super) fn uint(&self, place: usize) -> Result<u32, ScenarioError> {
        self.number(place).map(low_u32)
    }

    pub(super) fn long(&self, place: usize) -> Result<i64, ScenarioError> {
        self.number(place)
            .map(|number| low_u64(number).cast_signed())
    }

    pub(super) fn size(&self, place: usize) -> Result<u64, ScenarioError> {
        self.number(place).map(low_u64)
    }

    pub(super) fn fd(&self, place: usize) -> Result<Fd, ScenarioError> {
        self.int(place).map(Fd)
    }

    pub(super) fn pid(&self, place: usize) -> Result<i32, ScenarioError> {
        match &self.args[place].value {
            Value::Num(num) => self.env.pid(num).map(low_i32),
            other => wrong(place, other),
        }
    }

    pub(super) fn bits(&self, place: usize) -> u32 {
        match self.args[place].value {
            Value::Bits(bits) => bits,
            ref other => wrong(place, other),
        }
    }

    pub(super) fn event(&self, place: usize) -> Result<Ptr<EpollEvent>, ScenarioError> {
        Ok(match &self.args[place].value {
            Value::Event(event) => Ptr::To(epoll_event(event, self.env)?),
            Value::Addr(addr) => Ptr::Addr(*addr),
            other => wrong(place, other),
        })
    }

    pub(super) fn sigset(&self, place: usize) -> Ptr<SigSet> {
        match self.args[place].value {
            Value::SigSet(set) => Ptr::To(set),
            Value::Addr(addr) => Ptr::Addr(addr),
            ref other => wrong(place, other),
        }
    }

    pub(super) fn signal(&self, place: usize) -> Signal {
        Signal(self.bits(place).cast_signed())
    }

    pub(super) fn sigaction(&self, place: usize) -> Ptr<SigAction> {
        match self.args[place].value {
            Value::SigAction(action) => Ptr::To(action),
            Value::Addr(addr) => Ptr::Addr(addr),
            ref other => wrong(place, other),
        }
    }

    pub(super) fn sigpack(&self, place: usize) -> (Ptr<SigSet>, u64) {
        match self.args[place].value {
            Value::SigPack(mask, size) => (mask, size),
            Value::Addr(_) => (Ptr::NULL, 0),
            ref other => wrong(place, other),
        }
    }

    fn time(&self, place: usize) -> Result<Ptr<(i64, i64)>, ScenarioError> {
        let number = |num| Ok(low_u64(self.env.number(num)?).cast_signed());
        Ok(match &self.args[place].value {
            Value::Time(sec, rest) => Ptr::To((number(sec)?, number(rest)?)),
            Value::Addr(addr) => Ptr::Addr(*addr),
            other => wrong(place, other),
        })
    }

    pub(super) fn timespec(&self, place: usize) -> Result<Ptr<Timespec>, ScenarioError> {
        Ok(match self.time(place)? {
            Ptr::To((tv_sec, tv_nsec)) => Ptr::To(Timespec { tv_sec, tv_nsec }),
            Ptr::Addr(addr) => Ptr::Addr(addr),
        })
    }

    pub(super) fn optional_timespec(
        &self,
        place: usize,
    ) -> Result<Option<Timespec>, ScenarioError> {
        Ok(match self.timespec(place)? {
            Ptr::To(timespec) => Some(timespec),
            Ptr::Addr(_) => None,
        })
    }

    pub(super) fn timeval(&self, place: usize) -> Result<Option<Timeval>, ScenarioError> {
        Ok(match self.time(place)? {
            Ptr::To((tv_sec, tv_usec)) => Some(Timeval { tv_sec, tv_usec }),
            Ptr::Addr(_) => None,
        })
    }

    pub(super) fn poll_fds(&self, place: usize) -> Result<Vec<PollFd>, ScenarioError> {
        match &self.args[place].value {
            Value::PollFds(entries) => entries
                .iter()
                .map(|PollEntry { fd, mask }| {
                    Ok(PollFd {
                        fd: self.env.fd(fd)?,
                        events: EventMask::from_bits_retain(*mask),
                        revents: EventMask::empty(),
                    })
                })
                .collect(),
            other => wrong(place, other),
        }
    }

    pub(super) fn fd_set(&self, place: usize) -> Result<Option<FdSet>, ScenarioError> {
        match &self.args[place].value {
            Value::FdSet(fds) => fd_set(fds, self.env).map(Some),
            Value::Addr(_) => Ok(None),
            other => wrong(place, other),
        }
    }

    /// What write(2) is given; a shortened string is repeated up to the count.
    pub(super) fn buffer(&self, place: usize, count: usize) -> Result<Ptr<Bytes>, ScenarioError> {
        let (text, count) = match &self.args[place].value {
            Value::Text(text) => (text, self.size(count)?),
            Value::Addr(addr) => return Ok(Ptr::Addr(*addr)),
            other => wrong(place, other),
        };
        Ok(Ptr::To(whole(text, count)))
    }

    pub(super) fn iov(&self, place: usize) -> Vec<IoVec> {
        let Value::Iov(parts) = &self.args[place].value else {
            wrong(place, &self.args[place].value)
        };
        let part = |(base, len): &(Ptr<Text>, u64)| IoVec {
            iov_base: match base {
                Ptr::To(text) => Ptr::To(whole(text, *len)),
                Ptr::Addr(addr) => Ptr::Addr(*addr),
            },
            iov_len: *len,
        };
        parts.iter().map(part).collect()
    }

    pub(super) fn message(&self, place: usize) -> Result<Box<Message>, ScenarioError> {
        match &self.args[place].value {
            Value::Msg(text, fds) => Ok(Box::new(Message {
                bytes: Bytes::from(text.bytes.as_slice()),
                fds: fds
                    .iter()
                    .map(|fd| self.env.fd(fd))
                    .collect::<Result<_, _>>()?,
            })),
            other => wrong(place, other),
        }
    }

    /// How many bytes recvmsg(2) has for data and for control messages.
    pub(super) fn message_room(&self, place: usize) -> (u64, u64) {
        match &self.args[place].value {
            Value::Out(Output {
                place: Place::Message { size, control },
                ..
            }) => (*size, *control),
            _ => Place::MESSAGE,
        }
    }

    pub(super) fn sockaddr(&self, place: usize) -> Result<Box<SockAddr>, ScenarioError> {
        self.optional_sockaddr(place)?.ok_or_else(|| {
            let (message, label) = ("this call needs an address", "not an address");
            ScenarioError::new(self.args[place].span, message, label)
        })
    }

    pub(super) fn optional_sockaddr(
        &self,
        place: usize,
    ) -> Result<Option<Box<SockAddr>>, ScenarioError> {
        match &self.args[place].value {
            Value::SockAddr(addr) => Ok(sockaddr(addr, self.env)?.map(Box::new)),
            _ => Ok(None),
        }
    }

    pub(super) fn sockopt(&self, place: usize) -> Result<Ptr<SockOpt>, ScenarioError> {
        Ok(match &self.args[place].value {
            Value::SockOpt(value) => Ptr::To(sockopt(value, self.env)?),
            Value::Addr(addr) => Ptr::Addr(*addr),
            other => wrong(place, other),
        })
    }

    pub(super) fn path(&self, place: usize) -> Box<str> {
        match &self.args[place].value {
            Value::Text(text) => String::from_utf8_lossy(&text.bytes).into(),
            other => wrong(place, other),
        }
    }

    pub(super) fn int_in(&self, place: usize) -> Result<Ptr<i32>, ScenarioError> {
        Ok(match &self.args[place].value {
            Value::Int(num) => Ptr::To(low_i32(self.env.number(num)?)),
            Value::Addr(addr) => Ptr::Addr(*addr),
            other => wrong(place, other),
        })
    }

    pub(super) fn u64_in(&self, place: usize) -> Result<Ptr<u64>, ScenarioError> {
        Ok(match &self.args[place].value {
            Value::Int(num) => Ptr::To(low_u64(self.env.number(num)?)),
            Value::Addr(addr) => Ptr::Addr(*addr),
            other => wrong(place, other),
        })
    }

    pub(super) fn itimerspec(&self, place: usize) -> Ptr<Itimerspec> {
        match self.args[place].value {
            Value::Itimerspec(timer) => Ptr::To(timer),
            Value::Addr(addr) => Ptr::Addr(addr),
            ref other => wrong(place, other),
        }
    }

    pub(super) fn params(&self, place: usize) -> Ptr<EpollParams> {
        match self.args[place].value {
            Value::Params(params) => Ptr::To(params),
            Value::Addr(addr) => Ptr::Addr(addr),
            ref other => wrong(place, other),
        }
    }

    pub(super) fn termios(&self, place: usize) -> Ptr<Termios> {
        match self.args[place].value {
            Value::Termios(termios) => Ptr::To(termios),
            Value::Addr(addr) => Ptr::Addr(addr),
            ref other => wrong(place, other),
        }
    }

    /// The flags of a terminal that is opened: no task of a lab has one, and none is to get one by accident.
    pub(super) fn peer_flags(&self, place: usize) -> Result<u32, ScenarioError> {
        let bits = self.bits(place);
        if OpenFlags::from_bits_retain(bits).contains(OpenFlags::NOCTTY) {
            return Ok(bits);
        }
        let (message, label) = ("a terminal is opened with O_NOCTTY here", "without it");
        let help = "no task of a lab has a terminal of its own";
        Err(ScenarioError::new(self.args[place].span, message, label).help(help))
    }

    pub(super) fn rlimit(&self, place: usize) -> Option<Rlimit> {
        match self.args[place].value {
            Value::Rlimit(limit) => Some(limit),
            Value::Addr(_) => None,
            ref other => wrong(place, other),
        }
    }

    pub(super) fn slot(&self, place: usize) -> Result<(Fd, Fd, u32), ScenarioError> {
        match &self.args[place].value {
            Value::Slot { efd, tfd, toff } => Ok((
                self.env.fd(efd)?,
                self.env.fd(tfd)?,
                low_u32(self.env.number(toff)?),
            )),
            other => wrong(place, other),
        }
    }

    /// How long the buffers are.
    pub(super) fn lengths(&self, place: usize) -> Vec<u64> {
        match &self.args[place].value {
            Value::Out(Output {
                shown: Shown::Parts(parts),
                ..
            }) => parts.iter().map(|(_, len)| *len).collect(),
            other => wrong(place, other),
        }
    }

    pub(super) fn out(&self, place: usize) -> OutPtr {
        let Value::Out(Output { place: memory, .. }) = &self.args[place].value else {
            wrong(place, &self.args[place].value)
        };
        match *memory {
            Place::Plenty => OutPtr::PLENTY,
            Place::Bytes(bytes) => OutPtr::Memory(Room::Bytes(bytes)),
            Place::Entries(entries) => {
                OutPtr::Memory(Room::Bytes(entries.saturating_mul(EpollEvent::SIZE)))
            }
            Place::Message { .. } => OutPtr::PLENTY,
            Place::Frozen => OutPtr::Memory(Room::Frozen),
            Place::Addr(addr) => OutPtr::Addr(addr),
        }
    }
}

/// The bytes that a text stands for; a shortened one is repeated up to the count.
fn whole(Text { bytes, more }: &Text, count: u64) -> Bytes {
    if !more {
        return Bytes::from(bytes.as_slice());
    }
    let count = usize::try_from(count).unwrap_or(usize::MAX);
    let repeated: Vec<u8> = bytes.iter().copied().cycle().take(count).collect();
    Bytes::from(repeated)
}

fn wrong(place: usize, value: &Value) -> ! {
    panic!("argument {place} was read as {value:?}, which its call does not take")
}

/// An event with its data resolved.
pub(super) fn epoll_event(event: &Event, env: &Env) -> Result<EpollEvent, ScenarioError> {
    let data = match &event.data {
        Some(num) => low_u64(env.number(num)?),
        None => 0,
    };
    Ok(EpollEvent::new(
        EventMask::from_bits_retain(event.events),
        data,
    ))
}

/// An address with its port resolved; none where none is given.
pub(super) fn sockaddr(addr: &Addr, env: &Env) -> Result<Option<SockAddr>, ScenarioError> {
    Ok(match addr {
        Addr::None => None,
        Addr::Unix(addr) => Some(addr.clone()),
        Addr::Inet { port, ip } => {
            let port = low_u16(env.number(port)?);
            Some(SockAddr::Inet(SocketAddrV4::new(*ip, port)))
        }
    })
}

/// The value of a socket option with its numbers resolved.
pub(super) fn sockopt(value: &OptVal, env: &Env) -> Result<SockOpt, ScenarioError> {
    let int = |num| env.number(num).map(low_i32);
    Ok(match value {
        OptVal::Int(num) => SockOpt::Int(int(num)?),
        OptVal::Linger { onoff, seconds } => SockOpt::Linger(Linger {
            onoff: int(onoff)?,
            seconds: int(seconds)?,
        }),
    })
}

/// A set with its members resolved.
pub(super) fn fd_set(fds: &[Num], env: &Env) -> Result<FdSet, ScenarioError> {
    fds.iter().map(|num| env.fd(num)).collect()
}

/// The lower 64 bits, as C converts.
#[expect(clippy::as_conversions, reason = "the truncation is meant")]
pub(super) fn low_u64(number: i128) -> u64 {
    number as u64
}

#[expect(clippy::as_conversions, reason = "the truncation is meant")]
pub(super) fn low_u32(number: i128) -> u32 {
    number as u32
}

#[expect(clippy::as_conversions, reason = "the truncation is meant")]
fn low_u16(number: i128) -> u16 {
    number as u16
}

pub(super) fn low_i32(number: i128) -> i32 {
    low_u32(number).cast_signed()
}
