//! Sockets, whatever their family: one small table of operations, which each family fills in
//! (`struct proto_ops`).
//!
//! As a file, a socket is a kind like any other: its mask, its queues and its end are in
//! [`FileOps`](super::ops::FileOps). Beside that there are calls which only sockets have.
//! `syscall/socket.rs` makes the checks of net/socket.c and then asks the family, by this table.
//!
//! ```text
//!   bind(2) ──► syscall/socket.rs ──► Socket ──┬─► unix/
//!               "is it a socket?"              ├─► udp/
//!                                              └─► tcp/
//! ```
//!
//! What all families have alike is in [`Sock`]: the queue of those who wait, the error that waits to be told,
//! sizes and options. A socket lives as long as something needs it, which may be longer than its file does
//! ([`Machine::put_socket`]).
//!
//! # How to add a family
//!
//! A folder of `file/` with the state, an arena of it in [`Machine`], `impl FileOps` and `impl SocketOps`
//! for its id; a line in the table at the end of this file and one among the kinds of files; and a way for
//! socket(2) to make one.

mod sock;

pub(crate) use sock::{READABLE, Sock, WRITABLE};

use super::inet::Inet;
use super::ops::{Caller, FileOps, Kind};
use super::transfer::{Attempt, Io, Wakes, What};
use crate::abi::socket::{SOCK_DGRAM, SOCK_SEQPACKET, SOCK_STREAM, SockOpt};
use crate::abi::{Errno, SockAddr};
use crate::model::arena::{FileId, TcpId, UdpId, UnixId, WaitId};
use crate::model::encode::{Encode, Encoder, variant_is_number};
use crate::model::{Kernel, Machine};
use crate::trace::Observer;

/// What a socket keeps together.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum SockType {
    /// Nothing: bytes without borders.
    Stream,
    /// Messages, each on its own.
    Datagram,
    /// Messages that stay whole, between two who are connected.
    Seqpacket,
}

impl SockType {
    /// Its name in socket(2).
    pub(crate) fn from_number(number: i32) -> Option<SockType> {
        match number {
            SOCK_STREAM => Some(SockType::Stream),
            SOCK_DGRAM => Some(SockType::Datagram),
            SOCK_SEQPACKET => Some(SockType::Seqpacket),
            _ => None,
        }
    }

    fn as_number(self) -> i32 {
        match self {
            SockType::Stream => SOCK_STREAM,
            SockType::Datagram => SOCK_DGRAM,
            SockType::Seqpacket => SOCK_SEQPACKET,
        }
    }
}

variant_is_number!(SockType);

/// What shutdown(2) ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Directions {
    pub(crate) rd: bool,
    pub(crate) wr: bool,
}

/// One of the two ends of a connection, as seen from a socket.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum End {
    Own,
    Peer,
}

/// What a socket needs so that nothing of it is lost.
#[derive(Debug, Default)]
pub(crate) struct Needs {
    /// Other sockets, one for each reference that it has.
    pub(crate) sockets: Vec<Socket>,
    /// Files that are on their way in messages, one for each reference.
    pub(crate) files: Vec<FileId>,
}

/// The operations of a family.
pub(crate) trait SocketOps: Copy {
    /// The part that all families share.
    fn sk(self, m: &Machine) -> &Sock;

    /// The same to change.
    fn sk_mut(self, m: &mut Machine) -> &mut Sock;

    /// Where it is, if it is a socket of IP.
    fn inet(self, _: &Machine) -> Option<&Inet> {
        None
    }

    /// The same to change.
    fn inet_mut(self, _: &mut Machine) -> Option<&mut Inet> {
        None
    }

    /// Whether it waits for connections (`TCP_LISTEN`).
    fn listens(self, m: &Machine) -> bool;

    /// bind(2)
    fn bind(self, m: &mut Machine, addr: &SockAddr) -> Result<(), Errno>;

    /// listen(2)
    fn listen(self, m: &mut Machine, backlog: i32, wakes: &mut Wakes) -> Result<(), Errno>;

    /// shutdown(2). One that fails may have done something all the same.
    fn shutdown(
        self,
        m: &mut Machine,
        directions: Directions,
        wakes: &mut Wakes,
    ) -> Result<(), Errno>;

    /// getsockname(2), getpeername(2)
    fn name(self, m: &Machine, end: End) -> Result<SockAddr, Errno>;

    /// An attempt at one of the calls that may sleep: to send, to receive, to accept, to connect.
    fn attempt<O: Observer>(
        self,
        kernel: &mut Kernel<'_, O>,
        caller: Caller,
        what: &What,
        io: &mut Io,
    ) -> Attempt;

    /// setsockopt(2) of a level other than `SOL_SOCKET`. Where the value cannot be read is for it to say.
    fn setsockopt(
        self,
        _: &mut Machine,
        _: (i32, i32),
        _: Result<SockOpt, Errno>,
        _: &mut Wakes,
    ) -> Result<(), Errno> {
        Err(Errno::EOPNOTSUPP)
    }

    /// getsockopt(2) of such a level.
    fn getsockopt(self, _: &mut Machine, _: (i32, i32)) -> Result<SockOpt, Errno> {
        Err(Errno::EOPNOTSUPP)
    }

    /// Tells a socket that may be waiting for room, if there is some (`sk_write_space`): after `SO_SNDBUF`.
    fn write_space(self, m: &mut Machine, wakes: &mut Wakes);

    /// `SO_RCVLOWAT` is another now (`set_rcvlowat`).
    fn rcvlowat_changed(self, _: &mut Machine, _: &mut Wakes) {}

    /// Its own entry on another socket's queue, if it has one.
    fn entry(self, _: &Machine) -> Option<WaitId> {
        None
    }

    /// What it has references of.
    fn needs(self, m: &Machine, needs: &mut Needs);

    /// The last reference is gone (`sk_free`). The queue of [`Sock`] is the caller's to remove.
    fn destroy(self, m: &mut Machine);

    /// Whether what it counts is what there is.
    fn check(self, m: &Machine) -> Result<(), String>;

    /// Everything of it that a later call could notice.
    fn encode_socket(self, to: &mut Encoder<'_>);
}

/// The families: the enum, and the way from a socket to its family's operations.
macro_rules! families {
    ($($(#[$doc:meta])* $variant:ident($type:ty, $arena:ident) = $number:literal;)*) => {
        /// A socket of any family (`struct socket`).
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub(crate) enum Socket {
            $($(#[$doc])* $variant($type),)*
        }

        impl Socket {
            /// The file that it is.
            pub(crate) fn kind(self) -> Kind {
                match self { $(Socket::$variant(socket) => Kind::$variant(socket),)* }
            }
        }

        impl Machine {
            /// All sockets.
            pub(crate) fn sockets(&self) -> impl Iterator<Item = Socket> {
                std::iter::empty()$(.chain(self.$arena.live().into_iter().map(Socket::$variant)))*
            }

            /// Whether there may be any.
            pub(crate) fn has_sockets(&self) -> bool {
                $(self.$arena.places() > 0)||*
            }
        }

        impl Encode for Socket {
            fn encode(&self, to: &mut Encoder<'_>) {
                match self { $(Socket::$variant(socket) => {
                    to.byte($number);
                    socket.encode(to);
                })* }
            }
        }

        impl SocketOps for Socket {
            fn sk(self, m: &Machine) -> &Sock {
                match self { $(Socket::$variant(socket) => socket.sk(m),)* }
            }

            fn sk_mut(self, m: &mut Machine) -> &mut Sock {
                match self { $(Socket::$variant(socket) => socket.sk_mut(m),)* }
            }

            fn inet(self, m: &Machine) -> Option<&Inet> {
                match self { $(Socket::$variant(socket) => socket.inet(m),)* }
            }

            fn inet_mut(self, m: &mut Machine) -> Option<&mut Inet> {
                match self { $(Socket::$variant(socket) => socket.inet_mut(m),)* }
            }

            fn listens(self, m: &Machine) -> bool {
                match self { $(Socket::$variant(socket) => socket.listens(m),)* }
            }

            fn bind(self, m: &mut Machine, addr: &SockAddr) -> Result<(), Errno> {
                match self { $(Socket::$variant(socket) => socket.bind(m, addr),)* }
            }

            fn listen(self, m: &mut Machine, backlog: i32, wakes: &mut Wakes) -> Result<(), Errno> {
                match self { $(Socket::$variant(socket) => socket.listen(m, backlog, wakes),)* }
            }

            fn shutdown(
                self,
                m: &mut Machine,
                directions: Directions,
                wakes: &mut Wakes,
            ) -> Result<(), Errno> {
                match self { $(Socket::$variant(socket) => socket.shutdown(m, directions, wakes),)* }
            }

            fn name(self, m: &Machine, end: End) -> Result<SockAddr, Errno> {
                match self { $(Socket::$variant(socket) => socket.name(m, end),)* }
            }

            fn attempt<O: Observer>(
                self,
                kernel: &mut Kernel<'_, O>,
                caller: Caller,
                what: &What,
                io: &mut Io,
            ) -> Attempt {
                match self { $(Socket::$variant(socket) => socket.attempt(kernel, caller, what, io),)* }
            }

            fn setsockopt(
                self,
                m: &mut Machine,
                option: (i32, i32),
                value: Result<SockOpt, Errno>,
                wakes: &mut Wakes,
            ) -> Result<(), Errno> {
                match self { $(Socket::$variant(socket) => socket.setsockopt(m, option, value, wakes),)* }
            }

            fn getsockopt(self, m: &mut Machine, option: (i32, i32)) -> Result<SockOpt, Errno> {
                match self { $(Socket::$variant(socket) => socket.getsockopt(m, option),)* }
            }

            fn write_space(self, m: &mut Machine, wakes: &mut Wakes) {
                match self { $(Socket::$variant(socket) => socket.write_space(m, wakes),)* }
            }

            fn rcvlowat_changed(self, m: &mut Machine, wakes: &mut Wakes) {
                match self { $(Socket::$variant(socket) => socket.rcvlowat_changed(m, wakes),)* }
            }

            fn entry(self, m: &Machine) -> Option<WaitId> {
                match self { $(Socket::$variant(socket) => socket.entry(m),)* }
            }

            fn needs(self, m: &Machine, needs: &mut Needs) {
                match self { $(Socket::$variant(socket) => socket.needs(m, needs),)* }
            }

            fn destroy(self, m: &mut Machine) {
                match self { $(Socket::$variant(socket) => socket.destroy(m),)* }
            }

            fn check(self, m: &Machine) -> Result<(), String> {
                match self { $(Socket::$variant(socket) => socket.check(m),)* }
            }

            fn encode_socket(self, to: &mut Encoder<'_>) {
                match self { $(Socket::$variant(socket) => socket.encode_socket(to),)* }
            }
        }
    };
}

families! {
    /// unix(7)
    Unix(UnixId, unix) = 0;
    /// udp(7)
    Udp(UdpId, udp) = 1;
    /// tcp(7)
    Tcp(TcpId, tcp) = 2;
}

impl Machine {
    /// The socket behind a file, if it is one (`sock_from_file`).
    pub(crate) fn socket_of(&self, file: FileId) -> Option<Socket> {
        self.files[file].kind.as_socket()
    }
}
