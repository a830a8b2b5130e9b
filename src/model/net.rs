//! The network: packets on their way over loopback.
//!
//! A send does not reach its receiver. It puts a packet onto the queue of the processor that it runs on, and
//! returns; a softirq takes the packet from there and finds out whom it is for. Mostly that happens before the
//! send is over, but it may come later, and on Linux every fortieth time or so it does. So a delivery is a
//! step of nobody's ([`work`](super::work)):
//!
//! ```text
//!   sendto(2)                              softirq
//!   ── packet ──►  [1] [2] [1]   ──►  process_backlog: whose is it? ──► its queue, its wake-ups
//!                  flow of each        (perhaps another packet: an answer, an ICMP error)
//! ```
//!
//! Packets of one [`Flow`], from one address to another, stay in order. Those of different flows overtake each
//! other, as they do when they were sent from different processors.
//!
//! A packet knows addresses and no sockets. Who was there when it was sent may be gone when it arrives, and
//! somebody else may have come.

use std::collections::VecDeque;

use super::file::{Datagram, Segment, Socket, SocketOps, Wakes};
use super::work::Whose;
use super::{Kernel, Machine};
use crate::abi::Errno;
use crate::abi::socket::{Ipv4Addr, SocketAddrV4};
use crate::model::encode::{Encode, Encoder, variant_is_number};
use crate::trace::{Observer, PacketRef, Trace};

/// A protocol above IP.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Proto {
    Udp,
    Icmp,
    Tcp,
}

/// Packets that cannot overtake each other.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Flow {
    pub(crate) proto: Proto,
    pub(crate) from: SocketAddrV4,
    pub(crate) to: SocketAddrV4,
}

impl Flow {
    /// The same the other way.
    pub(crate) fn back(self) -> Flow {
        Flow {
            from: self.to,
            to: self.from,
            ..self
        }
    }
}

/// A packet on its way (`struct sk_buff`).
#[derive(Clone, Debug)]
pub(crate) struct Packet {
    pub(crate) flow: Flow,
    pub(crate) body: Body,
}

/// What is in it.
#[derive(Clone, Debug)]
pub(crate) enum Body {
    /// UDP
    Datagram(Datagram),
    /// TCP
    Tcp(Segment),
    /// ICMP: nobody has the port that this packet was for (`ICMP_PORT_UNREACH`).
    Unreachable {
        /// The one that was sent.
        flow: Flow,
        /// The beginning of what it said.
        data: Vec<u8>,
    },
}

impl Body {
    /// For people.
    pub(crate) fn tell(&self) -> PacketRef {
        match self {
            Body::Datagram(datagram) => PacketRef::Datagram(datagram.length()),
            Body::Tcp(segment) => segment.tell(),
            Body::Unreachable { .. } => PacketRef::PortUnreachable,
        }
    }
}

/// What is on its way.
#[derive(Clone, Debug, Default)]
pub(crate) struct Net {
    /// Oldest first, each with the number of its flow (`softnet_data.input_pkt_queue`).
    backlog: VecDeque<(usize, Packet)>,
    /// The last port that was given to somebody who did not care, or 0.
    last_port: u16,
}

/// `net.ipv4.ip_local_port_range` begins at 32768; in the model ports that nobody asked for begin higher, so
/// that a number which a scenario chose itself is hardly ever one of them.
const FIRST_PORT: u16 = 40_001;

impl Net {
    /// The next packet of a flow.
    fn next(&self, number: usize) -> Option<&Packet> {
        let mut packets = self.backlog.iter();
        let found = packets.find(|(flow, _)| *flow == number);
        found.map(|(_, packet)| packet)
    }

    /// Takes it.
    fn take(&mut self, number: usize) -> Option<Packet> {
        let place = self.backlog.iter().position(|(flow, _)| *flow == number)?;
        self.backlog.remove(place).map(|(_, packet)| packet)
    }

    /// The number of a flow: that of its packets, or else one that no packet has.
    fn number(&self, flow: Flow) -> usize {
        let known = self.backlog.iter().find(|(_, it)| it.flow == flow);
        known.map_or_else(
            || {
                let used = |number: &usize| self.next(*number).is_some();
                (0..).find(|number| !used(number)).unwrap_or_default()
            },
            |(number, _)| *number,
        )
    }

    /// Whether nothing is on its way, and nobody ever got a port.
    pub(crate) fn is_unused(&self) -> bool {
        self.backlog.is_empty() && self.last_port == 0
    }

    /// What is on its way, oldest first.
    pub(crate) fn packets(&self) -> impl Iterator<Item = &Packet> {
        self.backlog.iter().map(|(_, packet)| packet)
    }
}

impl Machine {
    /// Sends a packet (`loopback_xmit`): from here on it is the network's.
    pub(crate) fn net_xmit(&mut self, packet: Packet) {
        let number = self.net.number(packet.flow);
        self.net.backlog.push_back((number, packet));
        self.queue_work(Whose::Net(number));
    }

    /// Whether a queue that the next packet of this flow will wake is locked.
    pub(crate) fn is_net_held_up(&self, number: usize) -> bool {
        let Some(packet) = self.net.next(number) else {
            return false;
        };
        let head = self.receiver(packet).map(|socket| socket.sk(self).wq);
        head.is_some_and(|head| self.leads_to_a_lock(head))
    }

    /// Whose a packet is that arrives now.
    fn receiver(&self, packet: &Packet) -> Option<Socket> {
        match &packet.body {
            Body::Datagram(_) => self.inet_lookup(packet.flow),
            Body::Tcp(_) => self.tcp_lookup(packet.flow).map(Socket::Tcp),
            // The one that had sent it.
            Body::Unreachable { flow, .. } => self.inet_lookup(flow.back()),
        }
    }

    /// The socket for which something of this flow is, if there is one: the one that says most about it, and
    /// of several that say the same the newest (`__udp4_lib_lookup`).
    pub(crate) fn inet_lookup(&self, flow: Flow) -> Option<Socket> {
        let sockets = self.sockets();
        let scored = sockets.filter_map(|socket| {
            let inet = socket.inet(self)?;
            Some((inet.score(flow)?, inet.bound_at, socket))
        });
        let best = scored.max_by_key(|(score, bound_at, _)| (*score, *bound_at));
        best.map(|(_, _, socket)| socket)
    }

    /// A port of this protocol that nobody has, and nobody had for a while. Linux draws one.
    pub(crate) fn free_port(&mut self, proto: Proto) -> Option<u16> {
        let taken = |port: &u16| {
            let mut others = self.sockets().filter_map(|socket| socket.inet(self));
            others.any(|inet| inet.proto == proto && inet.port == *port)
        };
        let next = self.net.last_port.max(FIRST_PORT - 1).saturating_add(1);
        let mut ports = (next..=u16::MAX).chain(FIRST_PORT..next);
        let port = ports.find(|port| !taken(port))?;
        self.net.last_port = port;
        Some(port)
    }

    /// bind(2) of a socket of IP (`inet_bind`): the address has to be one of loopback, and the port free.
    pub(crate) fn inet_bind(&mut self, socket: Socket, addr: SocketAddrV4) -> Result<(), Errno> {
        let Some(inet) = socket.inet(self) else {
            return Err(Errno::EINVAL);
        };
        if inet.port != 0 {
            return Err(Errno::EINVAL);
        }
        let proto = inet.proto;
        let port = match addr.port() {
            0 => self.free_port(proto).ok_or(Errno::EADDRINUSE)?,
            port => port,
        };
        let reuse = socket.sk(self).reuse;
        let conflict = |other: Socket| {
            let both_reuse = reuse && other.sk(self).reuse;
            let inet = other.inet(self).filter(|inet| inet.proto == proto);
            inet.is_some_and(|inet| inet.port == port && inet.overlaps(*addr.ip()) && !both_reuse)
        };
        if self
            .sockets()
            .any(|other| other != socket && conflict(other))
        {
            return Err(Errno::EADDRINUSE);
        }
        let bound_at = self.next_bind();
        if let Some(inet) = socket.inet_mut(self) {
            inet.addr = *addr.ip();
            inet.port = port;
            inet.bound_at = bound_at;
        }
        Ok(())
    }

    /// Gives it a port, if it has none (`inet_autobind`).
    pub(crate) fn inet_autobind(&mut self, socket: Socket) -> Result<(), Errno> {
        match socket.inet(self) {
            Some(inet) if inet.port == 0 => {
                let any = SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 0);
                self.inet_bind(socket, any).map_err(|_| Errno::EAGAIN)
            }
            _ => Ok(()),
        }
    }

    /// Later than every bind(2) so far.
    fn next_bind(&self) -> u32 {
        let all = self.sockets().filter_map(|socket| socket.inet(self));
        all.map(|inet| inet.bound_at).max().unwrap_or_default() + 1
    }
}

impl<O: Observer> Kernel<'_, O> {
    /// Work: delivers the next packet of a flow (`process_backlog`). Says whether it has another.
    ///
    /// Preconditions: no queue on its way is locked.
    pub(crate) fn process_backlog(&mut self, number: usize) -> bool {
        let Some(packet) = self.m.net.take(number) else {
            return false;
        };
        let mut wakes = Wakes::default();
        let receiver = self.m.receiver(&packet);
        self.trace(|k| Trace::Packet {
            what: packet.body.tell(),
            to: receiver.map(|socket| socket.sk(k.m).label),
        });
        match packet.body {
            Body::Datagram(datagram) => {
                self.udp_rcv(packet.flow, receiver, datagram, &mut wakes);
            }
            Body::Tcp(segment) => self.m.tcp_receive(packet.flow, &segment, &mut wakes),
            Body::Unreachable { flow, data } => {
                self.udp_err(flow, receiver, data, &mut wakes);
            }
        }
        while let Some(wake) = wakes.pop() {
            self.wake_up_in_interrupt(wake);
        }
        self.m.put_sockets(wakes.take_holds());
        self.m.net.next(number).is_some()
    }
}

variant_is_number!(Proto);

impl Encode for Flow {
    fn encode(&self, to: &mut Encoder<'_>) {
        let Flow {
            proto,
            from,
            to: receiver,
        } = self;
        proto.encode(to);
        from.encode(to);
        receiver.encode(to);
    }
}

impl Encode for Packet {
    fn encode(&self, to: &mut Encoder<'_>) {
        let Packet { flow, body } = self;
        flow.encode(to);
        match body {
            Body::Datagram(datagram) => datagram.encode(to),
            Body::Tcp(segment) => segment.encode(to),
            Body::Unreachable { flow, data } => {
                flow.encode(to);
                to.bytes(data);
            }
        }
    }
}

/// Flow by flow: which of different ones was sent first makes no difference to what may happen.
impl Encode for Net {
    fn encode(&self, to: &mut Encoder<'_>) {
        let mut packets: Vec<&Packet> = self.packets().collect();
        packets.sort_by_key(|packet| packet.flow);
        packets.len().encode(to);
        u64::from(self.last_port).encode(to);
        for packet in packets {
            packet.encode(to);
        }
    }
}
