//! UDP sockets over loopback (udp(7), net/ipv4/udp.c).
//!
//! A send builds a packet, which counts against the sender's buffer only until the loopback device has it: that
//! is during the call itself, so each send ends with a wake-up of the *sender*, and `EPOLLOUT` hardly ever goes
//! away. Then the packet is the [`net`](crate::model::net)'s, and the sender hears no more of it, whether it
//! arrives, is thrown away or has nobody to arrive at:
//!
//! ```text
//!   sendto ──► packet ──► the buffer is free again: EPOLLOUT to the sender
//!                │
//!                ▼ softirq
//!         whose port is it? ── somebody's ──► room in its buffer? ──► its queue: EPOLLIN
//!                │                                 └── no ──► thrown away, and nobody is told
//!                └── nobody's ──► an ICMP packet back to the sender: EPOLLERR, if it is connected
//! ```
//!
//! What was received lies on two queues: packets arrive on one, and the reader takes all of them over to one of
//! its own when that is empty. What it has read is given back to the buffer bit by bit, a quarter of it at a
//! time, unless nothing is left to read (`udp_rmem_release`). So a socket that was full may stay full for a
//! while although it is being read.

mod ops;
mod send;

use std::collections::VecDeque;

use super::inet::Inet;
use super::socket::{READABLE, Sock, SockType, Socket, WRITABLE};
use super::transfer::{Attempt, Io, Receiving, Wakes};
use crate::abi::socket::SocketAddrV4;
use crate::abi::{Errno, EventMask, MsgFlags, SockAddr};
use crate::model::arena::UdpId;
use crate::model::encode::{Encode, Encoder, Number};
use crate::model::file::ops::Caller;
use crate::model::net::{Body, Flow, Packet, Proto};
use crate::model::wait_queue::Nr;
use crate::model::{Kernel, Machine};
use crate::trace::{FileRef, Observer};

/// A socket (`struct udp_sock`).
#[derive(Clone, Debug)]
pub(crate) struct UdpSock {
    /// What it has in common with sockets of other families.
    pub(crate) sk: Sock,
    pub(crate) inet: Inet,
    /// What has arrived (`sk_receive_queue`).
    arrived: VecDeque<Datagram>,
    /// What the reader has taken over from there (`reader_queue`).
    reading: VecDeque<Datagram>,
    /// How much of its buffer is in use (`sk_rmem_alloc`).
    rmem: u64,
    /// How much of that was read already (`forward_deficit`).
    deficit: u64,
    /// Errors are kept, with what caused them (`IP_RECVERR`).
    recverr: bool,
    /// Those that were (`sk_error_queue`).
    errors: VecDeque<Refused>,
}

/// What somebody sent.
#[derive(Clone, Debug)]
pub(crate) struct Datagram {
    from: SocketAddrV4,
    data: Vec<u8>,
    /// What it costs its receiver.
    truesize: u64,
}

impl Datagram {
    /// How many bytes it says.
    pub(crate) fn length(&self) -> usize {
        self.data.len()
    }
}

/// An error, and what it is about (`struct sock_exterr_skb`): always `ECONNREFUSED` here.
#[derive(Clone, Debug)]
struct Refused {
    /// To whom that was sent.
    to: SocketAddrV4,
    /// The beginning of it.
    data: Vec<u8>,
}

/// How much of a datagram comes back with an ICMP error: that has 576 bytes, its own headers and those of the
/// datagram among them.
const QUOTED: usize = 576 - 28 - 28;

impl UdpSock {
    /// `udp_poll`
    fn mask(&self) -> EventMask {
        let sk = &self.sk;
        let mut mask = EventMask::empty();
        if sk.err.is_some() || !self.errors.is_empty() {
            mask |= EventMask::ERR;
            mask.set(EventMask::PRI, sk.select_err_queue);
        }
        mask.set(READABLE | EventMask::RDHUP, sk.shut_rd);
        mask.set(EventMask::HUP, sk.shut_down());
        if self.first().is_some() {
            mask |= READABLE;
        }
        mask.set(WRITABLE, self.writable());
        mask
    }

    /// `sock_writeable`
    fn writable(&self) -> bool {
        self.sk.wmem < self.sk.sndbuf / 2
    }

    /// What would be read next.
    fn first(&self) -> Option<&Datagram> {
        self.reading.front().or_else(|| self.arrived.front())
    }

    /// What is to be read.
    fn unread(&self) -> impl Iterator<Item = &Datagram> {
        self.reading.iter().chain(&self.arrived)
    }

    /// The reader takes the next one, with the others that came with it (`__skb_recv_udp`).
    fn take(&mut self) -> Option<Datagram> {
        self.take_over();
        let first = self.reading.pop_front()?;
        self.deficit += first.truesize;
        if self.deficit >= self.sk.rcvbuf / 4 || self.reading.is_empty() {
            self.rmem -= std::mem::take(&mut self.deficit);
        }
        Some(first)
    }

    fn take_over(&mut self) {
        if self.reading.is_empty() {
            std::mem::swap(&mut self.reading, &mut self.arrived);
        }
    }

    /// The next error off its queue: then the one behind it is what waits to be told (`sock_dequeue_err_skb`).
    fn take_refused(&mut self) -> Option<Refused> {
        let refused = self.errors.pop_front()?;
        self.sk.err = (!self.errors.is_empty()).then_some(Errno::ECONNREFUSED);
        Some(refused)
    }
}

impl Machine {
    /// A socket that nobody knows yet.
    pub(crate) fn new_udp(&mut self, label: FileRef) -> UdpId {
        let sk = Sock::new(self, SockType::Datagram, label);
        self.udp.insert(UdpSock {
            sk,
            inet: Inet::new(Proto::Udp),
            arrived: VecDeque::new(),
            reading: VecDeque::new(),
            rmem: 0,
            deficit: 0,
            recverr: false,
            errors: VecDeque::new(),
        })
    }

    /// Tells of an error (`sk_error_report`).
    fn udp_error_report(&mut self, id: UdpId, wakes: &mut Wakes) {
        self.sk_wake(Socket::Udp(id), EventMask::ERR, Nr::One, wakes);
    }
}

impl<O: Observer> Kernel<'_, O> {
    /// A datagram arrives (`__udp4_lib_rcv`).
    pub(crate) fn udp_rcv(
        &mut self,
        flow: Flow,
        receiver: Option<Socket>,
        datagram: Datagram,
        wakes: &mut Wakes,
    ) {
        let Some(Socket::Udp(id)) = receiver else {
            let back = flow.back();
            let quoted = datagram.data.len().min(QUOTED);
            self.m.net_xmit(Packet {
                flow: Flow {
                    proto: Proto::Icmp,
                    ..back
                },
                body: Body::Unreachable {
                    flow,
                    data: datagram.data[..quoted].to_vec(),
                },
            });
            return;
        };
        let sock = &mut self.m.udp[id];
        // However large it is, an empty buffer takes it.
        if sock.rmem > 0 && sock.rmem + datagram.truesize > sock.sk.rcvbuf {
            return;
        }
        sock.rmem += datagram.truesize;
        sock.arrived.push_back(datagram);
        self.m.sk_data_ready(Socket::Udp(id), wakes);
    }

    /// An error comes back (`__udp4_lib_err`): only to one that is connected, or has asked for errors.
    pub(crate) fn udp_err(
        &mut self,
        flow: Flow,
        sender: Option<Socket>,
        data: Vec<u8>,
        wakes: &mut Wakes,
    ) {
        let Some(Socket::Udp(id)) = sender else {
            return;
        };
        let sock = &mut self.m.udp[id];
        if sock.recverr {
            sock.errors.push_back(Refused { to: flow.to, data });
            self.m.udp_error_report(id, wakes);
        } else if sock.inet.peer.is_none() {
            return;
        }
        self.m.udp[id].sk.err = Some(Errno::ECONNREFUSED);
        self.m.udp_error_report(id, wakes);
    }

    /// recvfrom(2) (`udp_recvmsg`)
    fn udp_recv(
        &mut self,
        caller: Caller,
        id: UdpId,
        receiving: Receiving,
        io: &mut Io,
    ) -> Attempt {
        let flags = receiving.flags;
        if flags.contains(MsgFlags::ERRQUEUE) {
            return self.udp_recv_refused(id, receiving, io);
        }
        let sock = &mut self.m.udp[id];
        if let Some(errno) = sock.sk.take_err() {
            return Attempt::fail(errno);
        }
        let peek = flags.contains(MsgFlags::PEEK);
        let taken = if peek {
            sock.take_over();
            sock.reading.front().cloned()
        } else {
            sock.take()
        };
        let Some(datagram) = taken else {
            let shut = sock.sk.shut_rd;
            return match self.m.files[caller.file].may_wait(flags) {
                false => Attempt::fail(Errno::EAGAIN),
                true if shut => io.read(),
                true => Attempt::Sleep,
            };
        };
        let length = datagram.data.len();
        let wanted = receiving.wanted().min(length);
        if receiving.room() < wanted {
            // It is lost, since there is nowhere to put it back to.
            return Attempt::fail(Errno::EFAULT);
        }
        io.bytes.extend_from_slice(&datagram.data[..wanted]);
        io.told.set(MsgFlags::TRUNC, wanted < length);
        if receiving.name {
            io.name = Some(Box::new(SockAddr::Inet(datagram.from)));
        }
        if flags.contains(MsgFlags::TRUNC) {
            Attempt::Over(Ok(u64::try_from(length).unwrap_or(u64::MAX)))
        } else {
            io.read()
        }
    }

    /// The same with `MSG_ERRQUEUE`: an error, what it is about, and to whom that was sent
    /// (`ip_recv_error`). It never waits.
    fn udp_recv_refused(&mut self, id: UdpId, receiving: Receiving, io: &mut Io) -> Attempt {
        let Some(refused) = self.m.udp[id].take_refused() else {
            return Attempt::fail(Errno::EAGAIN);
        };
        if !self.m.udp[id].errors.is_empty() {
            self.m.udp_error_report(id, &mut io.wakes);
        }
        let wanted = receiving.wanted().min(refused.data.len());
        if receiving.room() < wanted {
            return Attempt::fail(Errno::EFAULT);
        }
        io.bytes.extend_from_slice(&refused.data[..wanted]);
        if receiving.name {
            io.name = Some(Box::new(SockAddr::Inet(refused.to)));
        }
        io.read()
    }
}

impl Encode for UdpSock {
    fn encode(&self, to: &mut Encoder<'_>) {
        let UdpSock {
            sk,
            inet,
            arrived,
            reading,
            rmem,
            deficit,
            recverr,
            errors,
        } = self;
        sk.encode(to);
        inet.encode(to);
        to.numbers([
            *rmem,
            *deficit,
            u64::from(*recverr),
            arrived.len().number(to),
            reading.len().number(to),
            errors.len().number(to),
        ]);
        for datagram in arrived.iter().chain(reading) {
            datagram.encode(to);
        }
        for Refused { to: receiver, data } in errors {
            receiver.encode(to);
            to.bytes(data);
        }
    }
}

impl Encode for Datagram {
    fn encode(&self, to: &mut Encoder<'_>) {
        let Datagram {
            from,
            data,
            truesize,
        } = self;
        from.encode(to);
        truesize.encode(to);
        to.bytes(data);
    }
}
