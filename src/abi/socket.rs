//! Sockets: addresses and the flags of sending and receiving.
//!
//! Families, types, levels and options are plain `int`s in the calls, as in C; these are their names.

use std::fmt;

pub use std::net::{Ipv4Addr, SocketAddrV4};

use bitflags::bitflags;

use super::fd::write_flags;
use super::{Bytes, Fd};

/// `AF_UNIX`
pub const AF_UNIX: i32 = 1;
/// `AF_INET`
pub const AF_INET: i32 = 2;

/// `SOCK_STREAM`
pub const SOCK_STREAM: i32 = 1;
/// `SOCK_DGRAM`
pub const SOCK_DGRAM: i32 = 2;
/// `SOCK_SEQPACKET`
pub const SOCK_SEQPACKET: i32 = 5;
/// The part of a type that is the type; `SOCK_NONBLOCK` and `SOCK_CLOEXEC` stand above it.
pub const SOCK_TYPE_MASK: i32 = 0xf;

/// `SHUT_RD`
pub const SHUT_RD: i32 = 0;
/// `SHUT_WR`
pub const SHUT_WR: i32 = 1;
/// `SHUT_RDWR`
pub const SHUT_RDWR: i32 = 2;

/// `SOL_SOCKET`
pub const SOL_SOCKET: i32 = 1;
/// `SO_REUSEADDR`
pub const SO_REUSEADDR: i32 = 2;
/// `SO_TYPE`
pub const SO_TYPE: i32 = 3;
/// `SO_ERROR`
pub const SO_ERROR: i32 = 4;
/// `SO_SNDBUF`
pub const SO_SNDBUF: i32 = 7;
/// `SO_RCVBUF`
pub const SO_RCVBUF: i32 = 8;
/// `SO_OOBINLINE`
pub const SO_OOBINLINE: i32 = 10;
/// `SO_LINGER`
pub const SO_LINGER: i32 = 13;
/// `SO_RCVLOWAT`
pub const SO_RCVLOWAT: i32 = 18;
/// `SO_ACCEPTCONN`
pub const SO_ACCEPTCONN: i32 = 30;
/// `SO_SELECT_ERR_QUEUE`
pub const SO_SELECT_ERR_QUEUE: i32 = 45;

/// `IPPROTO_IP`, which is also what 0 means as a protocol: the one that goes with the type.
pub const IPPROTO_IP: i32 = 0;
/// `IPPROTO_TCP`
pub const IPPROTO_TCP: i32 = 6;
/// `IPPROTO_UDP`
pub const IPPROTO_UDP: i32 = 17;
/// `IP_RECVERR`, of level [`IPPROTO_IP`]
pub const IP_RECVERR: i32 = 11;
/// `TCP_NODELAY`, of level [`IPPROTO_TCP`]
pub const TCP_NODELAY: i32 = 1;

/// The value of a socket option, as far as the lab knows them.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum SockOpt {
    /// What most of them are.
    Int(i32),
    /// `SO_LINGER`
    Linger(Linger),
}

/// What close(2) does about data that was not delivered yet (`struct linger`).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Linger {
    /// Whether it does anything special (`l_onoff`).
    pub onoff: i32,
    /// How long it waits (`l_linger`); 0 throws the data away.
    pub seconds: i32,
}

impl SockOpt {
    /// What comes first in it, which is all that most options look at.
    pub fn int(self) -> i32 {
        match self {
            SockOpt::Int(value) => value,
            SockOpt::Linger(linger) => linger.onoff,
        }
    }

    /// Its size in bytes.
    pub fn size(self) -> usize {
        match self {
            SockOpt::Int(_) => 4,
            SockOpt::Linger(_) => 8,
        }
    }

    /// How many bytes the value of this option has.
    pub fn size_of(level: i32, optname: i32) -> usize {
        match (level, optname) {
            (SOL_SOCKET, SO_LINGER) => SockOpt::Linger(Linger::default()).size(),
            _ => SockOpt::Int(0).size(),
        }
    }
}

/// `[1]`, `{l_onoff=1, l_linger=0}`
impl fmt::Display for SockOpt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SockOpt::Int(value) => write!(f, "[{value}]"),
            SockOpt::Linger(Linger { onoff, seconds }) => {
                write!(f, "{{l_onoff={onoff}, l_linger={seconds}}}")
            }
        }
    }
}

bitflags! {
    /// `MSG_*` of send(2) and recv(2).
    #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
    pub struct MsgFlags: u32 {
        /// `MSG_OOB`: the urgent byte.
        const OOB = 0x1;
        /// `MSG_PEEK`: look, and leave it there.
        const PEEK = 0x2;
        /// `MSG_CTRUNC`: there was no room for all descriptors.
        const CTRUNC = 0x8;
        /// `MSG_TRUNC`: return the datagram's whole length.
        const TRUNC = 0x20;
        /// `MSG_DONTWAIT`: as if the socket were `O_NONBLOCK`.
        const DONTWAIT = 0x40;
        /// `MSG_ERRQUEUE`: from the queue of errors.
        const ERRQUEUE = 0x2000;
        /// `MSG_NOSIGNAL`: no `SIGPIPE`.
        const NOSIGNAL = 0x4000;
        /// `MSG_CMSG_CLOEXEC`: received descriptors are closed by execve(2).
        const CMSG_CLOEXEC = 0x4000_0000;
        const _ = !0;
    }
}

/// In the order in which strace prints them.
const MSG_NAMES: &[(u32, &str)] = &[
    (0x1, "MSG_OOB"),
    (0x2, "MSG_PEEK"),
    (0x8, "MSG_CTRUNC"),
    (0x20, "MSG_TRUNC"),
    (0x40, "MSG_DONTWAIT"),
    (0x2000, "MSG_ERRQUEUE"),
    (0x4000, "MSG_NOSIGNAL"),
    (0x4000_0000, "MSG_CMSG_CLOEXEC"),
];

impl fmt::Display for MsgFlags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_flags(f, MSG_NAMES, self.bits(), "0")
    }
}

/// What sendmsg(2) sends (`struct msghdr`): one buffer, and descriptors beside it (`SCM_RIGHTS`).
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Message {
    /// The data (`msg_iov`).
    pub bytes: Bytes,
    /// The descriptors (`msg_control`).
    pub fds: Vec<Fd>,
}

/// What recvmsg(2) stores: data, and descriptors beside it.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Received {
    /// The data.
    pub bytes: Bytes,
    /// The descriptors, new ones of the receiver's own.
    pub fds: Vec<Fd>,
    /// What else there is to say (`msg_flags`).
    pub flags: MsgFlags,
}

impl Message {
    /// How many descriptors fit into so many bytes of control messages.
    pub fn control_room(bytes: u64) -> usize {
        let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
        bytes.saturating_sub(Message::HEADER) / 4
    }

    /// How many of so many bytes of control messages are used by these descriptors.
    pub fn control_used(fds: usize, bytes: u64) -> u64 {
        let space = u64::try_from(Message::control_space(fds));
        space.map_or(bytes, |space| space.min(bytes))
    }

    /// Bytes of a control message in front of its data (`CMSG_LEN(0)`).
    pub const HEADER: usize = 16;

    /// `cmsg_len` with this many descriptors.
    pub fn control_len(fds: usize) -> usize {
        Message::HEADER + 4 * fds
    }

    /// `msg_controllen` with this many descriptors: whole words, or nothing at all.
    pub fn control_space(fds: usize) -> usize {
        match fds {
            0 => 0,
            fds => Message::control_len(fds).next_multiple_of(8),
        }
    }
}

/// A socket's address (`struct sockaddr`).
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum SockAddr {
    /// A name in the abstract namespace of unix(7): the bytes behind the leading zero.
    Abstract(Box<[u8]>),
    /// An `AF_UNIX` address of nothing but its family: in bind(2), "choose a name for me".
    Unnamed,
    /// `AF_INET`: an address and a port.
    Inet(SocketAddrV4),
}

impl SockAddr {
    /// `sizeof(struct sockaddr_storage)`: room for any.
    pub const STORAGE: u32 = 128;

    /// Its length in bytes, as passed beside it.
    pub fn size(&self) -> usize {
        match self {
            SockAddr::Abstract(name) => 3 + name.len(),
            SockAddr::Unnamed => 2,
            SockAddr::Inet(_) => 16,
        }
    }
}

impl fmt::Display for SockAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SockAddr::Abstract(name) => {
                write!(
                    f,
                    "{{sa_family=AF_UNIX, sun_path=@{}}}",
                    Bytes::from(&**name)
                )
            }
            SockAddr::Unnamed => f.write_str("{sa_family=AF_UNIX}"),
            SockAddr::Inet(addr) => write!(
                f,
                "{{sa_family=AF_INET, sin_port=htons({}), sin_addr=inet_addr(\"{}\")}}",
                addr.port(),
                addr.ip()
            ),
        }
    }
}
