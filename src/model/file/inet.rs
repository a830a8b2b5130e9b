//! What sockets of IP have beside the rest (`struct inet_sock`): an address, a port, and perhaps somebody whom
//! they talk to. The lab's network is loopback, where every address of 127.0.0.0/8 is one of its own.

use crate::abi::socket::{Ipv4Addr, SocketAddrV4};
use crate::abi::{Errno, SockAddr};
use crate::model::encode::{Encode, Encoder, Number};
use crate::model::file::socket::End;
use crate::model::net::{Flow, Proto};

/// Where a socket of IP is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Inet {
    pub(crate) proto: Proto,
    /// The address at which it receives; unspecified, at all of them (`inet_rcv_saddr`).
    pub(crate) addr: Ipv4Addr,
    /// 0 while it has none (`inet_num`).
    pub(crate) port: u16,
    /// Whom it is connected to (`inet_daddr`, `inet_dport`).
    pub(crate) peer: Option<SocketAddrV4>,
    /// The higher, the later it got its port.
    pub(crate) bound_at: u32,
}

impl Inet {
    /// Of a socket that is new.
    pub(crate) fn new(proto: Proto) -> Inet {
        Inet {
            proto,
            addr: Ipv4Addr::UNSPECIFIED,
            port: 0,
            peer: None,
            bound_at: 0,
        }
    }

    /// getsockname(2), getpeername(2) (`inet_getname`)
    pub(crate) fn name(&self, end: End) -> Result<SockAddr, Errno> {
        Ok(SockAddr::Inet(match end {
            End::Own => SocketAddrV4::new(self.addr, self.port),
            End::Peer => self.peer.ok_or(Errno::ENOTCONN)?,
        }))
    }

    /// Whether somebody who receives at `addr` could take what is meant for this one.
    pub(crate) fn overlaps(&self, addr: Ipv4Addr) -> bool {
        self.addr == addr || self.addr.is_unspecified() || addr.is_unspecified()
    }

    /// The address from which it sends: its own, or the one that loopback has for it.
    pub(crate) fn source(&self) -> SocketAddrV4 {
        let addr = match self.addr {
            Ipv4Addr::UNSPECIFIED => Ipv4Addr::LOCALHOST,
            addr => addr,
        };
        SocketAddrV4::new(addr, self.port)
    }

    /// How much it says about a packet of this flow; nothing if the packet cannot be for it (`compute_score`).
    pub(crate) fn score(&self, flow: Flow) -> Option<u32> {
        let at_all = self.addr.is_unspecified();
        let port = self.proto == flow.proto && self.port == flow.to.port();
        if !port || !at_all && self.addr != *flow.to.ip() {
            return None;
        }
        match self.peer {
            Some(peer) if peer != flow.from => None,
            Some(_) => Some(2 + u32::from(!at_all)),
            None => Some(u32::from(!at_all)),
        }
    }
}

impl SockAddr {
    /// The address in it, if it is one that a socket of IP can have: long enough, and of its family.
    pub(crate) fn inet_address(&self) -> Result<SocketAddrV4, Errno> {
        /// `sizeof(struct sockaddr_in)`
        const SIZE: usize = 16;
        match self {
            SockAddr::Inet(addr) => Ok(*addr),
            SockAddr::Abstract(_) | SockAddr::Unnamed if self.size() < SIZE => Err(Errno::EINVAL),
            SockAddr::Abstract(_) | SockAddr::Unnamed => Err(Errno::EAFNOSUPPORT),
        }
    }
}

/// To nowhere in particular is to oneself.
pub(crate) fn destination(addr: SocketAddrV4) -> SocketAddrV4 {
    match *addr.ip() {
        Ipv4Addr::UNSPECIFIED => SocketAddrV4::new(Ipv4Addr::LOCALHOST, addr.port()),
        _ => addr,
    }
}

impl Encode for Inet {
    fn encode(&self, to: &mut Encoder<'_>) {
        let Inet {
            proto,
            addr,
            port,
            peer,
            bound_at,
        } = self;
        to.numbers([
            proto.number(to),
            SocketAddrV4::new(*addr, *port).number(to),
            peer.number(to),
            bound_at.number(to),
        ]);
    }
}
