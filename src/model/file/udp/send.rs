//! sendto(2) on a UDP socket (`udp_sendmsg`), and what a datagram costs.

use super::Datagram;
use crate::abi::socket::SocketAddrV4;
use crate::abi::{Bytes, Errno, MsgFlags, OutPtr, Ptr, SockAddr};
use crate::model::Kernel;
use crate::model::arena::UdpId;
use crate::model::file::inet::destination;
use crate::model::file::socket::{Socket, SocketOps};
use crate::model::file::transfer::{Attempt, Io};
use crate::model::net::{Body, Flow, Packet, Proto};
use crate::trace::Observer;

/// The most that one datagram can hold: 64 KiB without the headers of IP and UDP.
const MAX_PAYLOAD: usize = MAX_LENGTH - 28;

/// The most that can be written into a header as a length.
const MAX_LENGTH: usize = 65_535;

/// That the packet is built, as [`Io::written`] tells it: all that is left is to send it.
const BUILT: usize = 1;

impl<O: Observer> Kernel<'_, O> {
    /// Builds a packet, which is charged and at once given back; then sends it.
    pub(super) fn udp_send(
        &mut self,
        id: UdpId,
        (buf, flags): (&Ptr<Bytes>, MsgFlags),
        to: Option<&SockAddr>,
        io: &mut Io,
    ) -> Attempt {
        let bytes = match buf {
            Ptr::To(bytes) => bytes.as_ref(),
            Ptr::Addr(addr) if !OutPtr::Addr(*addr).in_user_space(1) => {
                return Attempt::fail(Errno::EFAULT);
            }
            Ptr::Addr(_) => &[],
        };
        let to = match self.udp_destination(id, bytes.len(), flags, to) {
            Ok(to) => to,
            Err(errno) => return Attempt::fail(errno),
        };
        let sock = &mut self.m.udp[id];
        if io.written < BUILT {
            if let Some(errno) = sock.sk.take_err() {
                return Attempt::fail(errno);
            }
            if sock.sk.shut_wr {
                return Attempt::fail(Errno::EPIPE);
            }
            // Also if there is nothing to copy from: what was charged is given back.
            Socket::Udp(id).write_space(self.m, &mut io.wakes);
            if let Ptr::Addr(_) = buf {
                return Attempt::fail(Errno::EFAULT);
            }
            io.written = BUILT;
            return Attempt::More;
        }
        let flow = Flow {
            proto: Proto::Udp,
            from: sock.inet.source(),
            to,
        };
        let datagram = Datagram {
            from: flow.from,
            data: bytes.to_vec(),
            truesize: truesize(bytes.len()),
        };
        self.m.net_xmit(Packet {
            flow,
            body: Body::Datagram(datagram),
        });
        Attempt::Over(Ok(u64::try_from(bytes.len()).unwrap_or(u64::MAX)))
    }

    /// Where it shall go, if it can: the checks that come before anything is built.
    fn udp_destination(
        &mut self,
        id: UdpId,
        length: usize,
        flags: MsgFlags,
        to: Option<&SockAddr>,
    ) -> Result<SocketAddrV4, Errno> {
        self.m.inet_autobind(Socket::Udp(id))?;
        if length > MAX_LENGTH {
            return Err(Errno::EMSGSIZE);
        }
        if flags.contains(MsgFlags::OOB) {
            return Err(Errno::EOPNOTSUPP);
        }
        let to = match to {
            Some(to) => destination(to.inet_address()?),
            None => self.m.udp[id].inet.peer.ok_or(Errno::EDESTADDRREQ)?,
        };
        if to.port() == 0 {
            return Err(Errno::EINVAL);
        }
        if length > MAX_PAYLOAD {
            return Err(Errno::EMSGSIZE);
        }
        Ok(to)
    }
}

/// What a datagram costs (`skb->truesize`): the data lies behind room for all headers in one allocation,
/// or in pages if it is long. A small one has an allocation of a size of its own.
fn truesize(length: usize) -> u64 {
    /// `struct sk_buff`
    const SK_BUFF: usize = 256;
    /// `struct skb_shared_info` at the end of the data.
    const SHARED_INFO: usize = 320;
    /// `SKB_SMALL_HEAD_CACHE_SIZE`
    const SMALL_HEAD: usize = 576;
    /// The headers of IP, UDP and the device, and what aligns them.
    const HEADERS: usize = 59;
    /// The most in one allocation (`SKB_MAX_ALLOC`).
    const MAX_ALLOC: usize = (4 << 12) - SHARED_INFO;
    let bytes = if length + HEADERS >= MAX_ALLOC {
        SK_BUFF + SMALL_HEAD + length
    } else {
        match (length + HEADERS).next_multiple_of(64) + SHARED_INFO {
            ..=SMALL_HEAD => SK_BUFF + SMALL_HEAD,
            head => SK_BUFF + head.next_power_of_two(),
        }
    };
    u64::try_from(bytes).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::truesize;

    /// `SO_MEMINFO` of the receiver after one send, on Linux 6.18.
    #[test]
    fn datagrams_cost_what_linux_says() {
        let costs = [
            (0, 832),
            (197, 832),
            (198, 1280),
            (645, 1280),
            (646, 2304),
            (1670, 4352),
            (3718, 8448),
            (7814, 16640),
            (16_020, 16_852),
            (65_507, 66_339),
        ];
        for (length, cost) in costs {
            assert_eq!(truesize(length), cost, "{length} bytes");
        }
    }
}
