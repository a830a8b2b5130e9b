//! TCP sockets over loopback (tcp(7), net/ipv4/tcp.c and its neighbours).
//!
//! Two sockets that are connected know nothing of each other but an address. All that passes between them are
//! [segments](segment), which a call leaves behind and which arrive when the network gets to it
//! ([`work`](crate::model::work)). So a call tells its own socket what it did, and the *segment* tells the
//! other:
//!
//! ```text
//!   write(2)          queue ──segment: "abc"──►  rcv.queue      EPOLLIN to those who watch it
//!   shutdown(2)       FIN_WAIT1 ──── FIN ─────►  CLOSE_WAIT     no key: EPOLLRDHUP is true now
//!      FIN_WAIT2  ◄────────── ACK (soon, or with the next data)
//!   no key again
//! ```
//!
//! Who hears of what follows from that. Data wakes the receiver once for each segment that it can read, and
//! the sender not at all: an acknowledgement makes room in its buffer, but of that it is told only if it was
//! found without room before (`SOCK_NOSPACE`), by a send(2) that failed or slept or by a poll that
//! answered "not writable". What changes the state of a connection wakes everybody, without a key.
//!
//! One file for each part: `poll` has the mask and what goes with it, `connect` how two meet, `send` the
//! way out, `input` the way in, `recv` what a program takes of it, `ack` when something that came is
//! acknowledged, and `close` how it all ends.
//!
//! # What is left out
//!
//! Loopback loses nothing and keeps the order, so nothing is sent twice but the beginning of a connection that
//! found a full queue. There is no congestion, and sequence numbers begin at 0 and are never used up. Buffers
//! do not grow by themselves: how many bytes lie between two ends depends on machine and version, and no
//! scenario can rely on it. Connections that are over are forgotten at once (no `TIME_WAIT`), and close(2)
//! does not wait for data to be delivered (`SO_LINGER` with a time).

mod ack;
mod close;
mod connect;
mod input;
mod ops;
mod poll;
mod recv;
mod segment;
mod send;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;

use ack::Ack;
use recv::Rcv;
pub(crate) use segment::Segment;
use send::Snd;

use super::inet::Inet;
use super::socket::{Sock, SockType, Socket};
use crate::abi::socket::SocketAddrV4;
use crate::model::Machine;
use crate::model::arena::TcpId;
use crate::model::encode::{Encode, Encoder, Number, encode_option, variant_is_number};
use crate::model::net::{Flow, Proto};
use crate::trace::FileRef;

/// A socket (`struct tcp_sock`). The socket's lock guards it.
#[derive(Clone, Debug)]
pub(crate) struct TcpSock {
    pub(crate) sk: Sock,
    pub(crate) state: TcpState,
    /// How far connect(2) has come, as its caller was told (`sock->state`).
    phase: Phase,
    /// Its own address and that of the other end.
    inet: Inet,
    /// A program has chosen its port, which stays (`SOCK_BINDPORT_LOCK`).
    bound: bool,
    /// An address that it had, which it goes on telling (`inet_sport`).
    former: Option<SocketAddrV4>,
    snd: Snd,
    rcv: Rcv,
    ack: Ack,
    /// `TCP_NODELAY`
    nodelay: bool,
    /// Somebody found no room to send (`SOCK_NOSPACE`).
    nospace: bool,
    /// Connections that wait for accept(2), if it listens (`icsk_accept_queue`).
    queue: VecDeque<TcpId>,
    /// How many may wait there, and one more (`sk_max_ack_backlog`).
    backlog: usize,
    /// The listener that a connection will belong to, while it is not complete (`struct request_sock`).
    parent: Option<TcpId>,
}

/// How far a connection has come (`sk_state`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum TcpState {
    /// `TCP_CLOSE`: not begun, or over.
    Close,
    /// `TCP_LISTEN`
    Listen,
    /// `TCP_SYN_SENT`: connect(2) has asked.
    SynSent,
    /// `TCP_SYN_RECV`: a listener has answered.
    SynRecv,
    /// `TCP_ESTABLISHED`
    Established,
    /// `TCP_FIN_WAIT1`: we have ended our direction.
    FinWait1,
    /// `TCP_FIN_WAIT2`: and the other end knows.
    FinWait2,
    /// `TCP_CLOSE_WAIT`: the other end has ended its direction.
    CloseWait,
    /// `TCP_LAST_ACK`: and then we have ended ours.
    LastAck,
    /// `TCP_CLOSING`: both at once.
    Closing,
}

impl TcpState {
    /// Its name in ss(8) and in the kernel.
    fn name(self) -> &'static str {
        match self {
            TcpState::Close => "CLOSE",
            TcpState::Listen => "LISTEN",
            TcpState::SynSent => "SYN_SENT",
            TcpState::SynRecv => "SYN_RECV",
            TcpState::Established => "ESTABLISHED",
            TcpState::FinWait1 => "FIN_WAIT1",
            TcpState::FinWait2 => "FIN_WAIT2",
            TcpState::CloseWait => "CLOSE_WAIT",
            TcpState::LastAck => "LAST_ACK",
            TcpState::Closing => "CLOSING",
        }
    }
}

/// What connect(2) has told (`socket_state`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    /// `SS_UNCONNECTED`
    Unconnected,
    /// `SS_CONNECTING`: asked, and the answer not told yet.
    Connecting,
    /// `SS_CONNECTED`
    Connected,
    /// `SS_DISCONNECTING`: shut down before it was told.
    Disconnecting,
}

/// `net.ipv4.tcp_wmem`, of which this is the middle.
const SNDBUF: u64 = 16_384;
/// `net.ipv4.tcp_rmem`
const RCVBUF: u64 = 131_072;
/// What a send buffer that nobody has set grows to when a connection is made (`tcp_sndbuf_expand`).
const CONNECTED_SNDBUF: u64 = 3_939_840;

impl TcpSock {
    /// Whether segments can reach it.
    fn is_hashed(&self) -> bool {
        self.state != TcpState::Close
    }
}

impl Machine {
    /// A socket that nobody knows yet (`tcp_init_sock`).
    pub(crate) fn new_tcp(&mut self, label: FileRef) -> TcpId {
        let sk = Sock::new(self, SockType::Stream, label);
        let sk = Sock {
            sndbuf: SNDBUF,
            rcvbuf: RCVBUF,
            ..sk
        };
        self.tcp.insert(TcpSock {
            sk,
            state: TcpState::Close,
            phase: Phase::Unconnected,
            inet: Inet::new(Proto::Tcp),
            bound: false,
            former: None,
            snd: Snd::default(),
            rcv: Rcv::default(),
            ack: Ack::default(),
            nodelay: false,
            nospace: false,
            queue: VecDeque::new(),
            backlog: 0,
            parent: None,
        })
    }

    /// `tcp_set_state`. A socket that segments can reach keeps itself, with a file or without
    /// (`inet_ehash_insert`, `tcp_unhash`).
    fn set_tcp_state(&mut self, id: TcpId, state: TcpState) {
        let before = std::mem::replace(&mut self.tcp[id].state, state);
        match (before, state) {
            (TcpState::Close, TcpState::Close) => {}
            (TcpState::Close, _) => self.hold_socket(Socket::Tcp(id)),
            (_, TcpState::Close) => self.put_socket(Socket::Tcp(id)),
            _ => {}
        }
    }

    /// All sockets that segments can reach, in an order that does not depend on their places.
    pub(crate) fn tcp_by_address(&self) -> Vec<TcpId> {
        let mut all = self.tcp.live();
        all.retain(|id| self.tcp[*id].is_hashed());
        all.sort_by_key(|id| {
            let inet = &self.tcp[*id].inet;
            (inet.addr, inet.port, inet.peer)
        });
        all
    }

    /// Whom a segment reaches: a connection, or else a listener (`__inet_lookup_skb`).
    pub(crate) fn tcp_lookup(&self, flow: Flow) -> Option<TcpId> {
        let mut all = self.tcp.live();
        all.retain(|id| self.tcp[*id].is_hashed());
        let score = |id: &TcpId| {
            let sock = &self.tcp[*id];
            let connection = sock.inet.peer.is_some() || sock.state == TcpState::Listen;
            sock.inet.score(flow).filter(|_| connection)
        };
        let scored = all.into_iter().filter_map(|id| Some((score(&id)?, id)));
        scored.max_by_key(|(score, _)| *score).map(|(_, id)| id)
    }
}

variant_is_number!(TcpState, Phase);

impl Encode for TcpSock {
    fn encode(&self, to: &mut Encoder<'_>) {
        let TcpSock {
            sk,
            state,
            phase,
            inet,
            bound,
            former,
            snd,
            rcv,
            ack,
            nodelay,
            nospace,
            queue,
            backlog,
            parent,
        } = self;
        sk.encode(to);
        let flags = [*bound, *nodelay, *nospace].into_iter();
        let flags = flags.fold(0, |all, flag| all << 1 | u64::from(flag));
        to.numbers([
            state.number(to),
            phase.number(to),
            flags,
            backlog.number(to),
            queue.len().number(to),
        ]);
        encode_option(parent, to);
        inet.encode(to);
        encode_option(former, to);
        for child in queue {
            child.encode(to);
        }
        snd.encode(to);
        rcv.encode(to);
        ack.encode(to);
    }
}
