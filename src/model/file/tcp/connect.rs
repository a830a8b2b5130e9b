//! How two meet: names, the three segments of a handshake, and who takes the connection
//! (`__inet_stream_connect`, `tcp_conn_request`, `inet_csk_accept`).
//!
//! ```text
//!   connect(2)   SYN_SENT ───── SYN ─────►  (listener) SYN_RECV, for nobody to see
//!     ESTABLISHED        ◄─── SYN ACK ────
//!     no key, to all      ───── ACK ─────►  ESTABLISHED, on the listener's queue: EPOLLIN to the listener
//! ```
//!
//! All of it happens without the listening program; accept(2) only fetches what is there. If the listener's
//! queue is full, the SYN is dropped without a word, and is sent again a second later.

use crate::abi::socket::SocketAddrV4;

use super::segment::Segment;
use super::{CONNECTED_SNDBUF, Phase, SNDBUF, TcpSock, TcpState};
use crate::abi::{Errno, SockAddr};
use crate::model::arena::TcpId;
use crate::model::file::inet::{Inet, destination};
use crate::model::file::ops::Caller;
use crate::model::file::socket::{End, Sock, Socket};
use crate::model::file::transfer::{Accepting, Attempt, Io, Wakes};
use crate::model::net::{Flow, Proto};
use crate::model::{Kernel, Machine};
use crate::trace::Observer;

/// `net.core.somaxconn`
const SOMAXCONN: usize = 4096;
/// The window of a SYN cannot be larger.
const SYN_WINDOW: u64 = 65_535;

impl TcpSock {
    /// `sk_acceptq_is_full`
    fn queue_is_full(&self) -> bool {
        self.queue.len() > self.backlog
    }
}

impl Machine {
    /// getsockname(2), getpeername(2) (`inet_getname`)
    pub(super) fn tcp_getname(&self, id: TcpId, end: End) -> Result<SockAddr, Errno> {
        let sock = &self.tcp[id];
        match (end, sock.state) {
            (End::Own, _) if sock.inet.port == 0 && sock.former.is_some() => {
                sock.former.map(SockAddr::Inet).ok_or(Errno::ENOTCONN)
            }
            (End::Peer, TcpState::Close | TcpState::SynSent) => Err(Errno::ENOTCONN),
            _ => sock.inet.name(end),
        }
    }

    /// listen(2) (`inet_listen`). Nobody is told.
    pub(super) fn tcp_listen(&mut self, id: TcpId, backlog: i32) -> Result<(), Errno> {
        let sock = &self.tcp[id];
        if sock.phase != Phase::Unconnected
            || !matches!(sock.state, TcpState::Close | TcpState::Listen)
        {
            return Err(Errno::EINVAL);
        }
        let backlog = usize::try_from(backlog).unwrap_or(SOMAXCONN).min(SOMAXCONN);
        self.tcp[id].backlog = backlog;
        if self.tcp[id].state == TcpState::Close {
            let inet = &self.tcp[id].inet;
            if inet.port == 0 {
                // One that has listened before keeps its address, and gets another port.
                let at = SocketAddrV4::new(inet.addr, 0);
                self.inet_bind(Socket::Tcp(id), at)?;
            }
            self.set_tcp_state(id, TcpState::Listen);
        }
        Ok(())
    }

    /// bind(2)
    pub(super) fn tcp_bind(&mut self, id: TcpId, addr: &SockAddr) -> Result<(), Errno> {
        let addr = addr.inet_address()?;
        if self.tcp[id].state != TcpState::Close {
            return Err(Errno::EINVAL);
        }
        // Who listens shares with nobody (`inet_csk_bind_conflict`).
        let taken = |other: TcpId| {
            let sock = &self.tcp[other];
            sock.state == TcpState::Listen
                && sock.inet.port == addr.port()
                && sock.inet.overlaps(*addr.ip())
        };
        if self.tcp.live().into_iter().any(taken) {
            return Err(Errno::EADDRINUSE);
        }
        self.inet_bind(Socket::Tcp(id), addr)?;
        self.tcp[id].bound = addr.port() != 0;
        Ok(())
    }

    /// Asks for a connection (`tcp_v4_connect`).
    pub(super) fn tcp_v4_connect(&mut self, id: TcpId, to: SocketAddrV4) -> Result<(), Errno> {
        if self.tcp[id].inet.port == 0 {
            let port = self.free_port(Proto::Tcp);
            self.tcp[id].inet.port = port.ok_or(Errno::EADDRNOTAVAIL)?;
        }
        let sock = &mut self.tcp[id];
        if sock.inet.addr.is_unspecified() {
            // Loopback answers from where it was asked.
            sock.inet.addr = *to.ip();
        }
        sock.inet.peer = Some(to);
        sock.snd.write_seq = 1;
        sock.snd.nxt = 1;
        self.set_tcp_state(id, TcpState::SynSent);
        self.tcp_send_syn(id);
        self.tcp_resend_later(id);
        Ok(())
    }

    /// The first segment of either end.
    pub(super) fn tcp_send_syn(&mut self, id: TcpId) {
        let sock = &mut self.tcp[id];
        let answers = sock.state == TcpState::SynRecv;
        let window = sock.select_window().min(SYN_WINDOW);
        sock.rcv.wnd = window;
        let syn = Segment {
            syn: true,
            ack: answers.then_some(sock.rcv.nxt),
            window,
            ..Segment::default()
        };
        self.tcp_xmit(id, syn);
    }

    /// Somebody asks a listener. What will be the connection belongs to no program yet, and takes over the
    /// listener's options.
    pub(super) fn tcp_conn_request(&mut self, listener: TcpId, flow: Flow, syn: &Segment) {
        if self.tcp[listener].queue_is_full() {
            return;
        }
        let label = self.tcp[listener].sk.label;
        let child = self.new_tcp(label);
        let parent = &self.tcp[listener];
        let (nodelay, options, listens_at) = (parent.nodelay, parent.sk, parent.inet);
        let sock = &mut self.tcp[child];
        sock.sk = Sock {
            wq: sock.sk.wq,
            refs: sock.sk.refs,
            embryo: true,
            err: None,
            ..options
        };
        sock.nodelay = nodelay;
        sock.inet = Inet {
            addr: *flow.to.ip(),
            port: flow.to.port(),
            peer: Some(flow.from),
            ..listens_at
        };
        sock.parent = Some(listener);
        sock.rcv.nxt = syn.end_seq();
        sock.rcv.copied = syn.end_seq();
        sock.rcv.wup = syn.end_seq();
        sock.snd.write_seq = 1;
        sock.snd.nxt = 1;
        sock.snd.max_window = syn.window;
        sock.snd.wnd_end = 1 + syn.window;
        self.set_tcp_state(child, TcpState::SynRecv);
        // From here on only segments can reach it.
        self.put_socket(Socket::Tcp(child));
        self.tcp_send_syn(child);
        self.tcp_resend_later(child);
    }

    /// The answer to a SYN, as the one who has asked sees it (`tcp_rcv_synsent_state_process`).
    pub(super) fn tcp_rcv_synsent(&mut self, id: TcpId, segment: &Segment, wakes: &mut Wakes) {
        if segment.ack != Some(1) {
            return;
        }
        if segment.rst {
            return self.tcp_reset(id, wakes);
        }
        if !segment.syn {
            return;
        }
        self.tcp_ack(id, segment);
        let rcv = &mut self.tcp[id].rcv;
        rcv.nxt = segment.end_seq();
        rcv.copied = segment.end_seq();
        rcv.wup = segment.end_seq();
        self.tcp_established(id);
        self.sk_state_change(Socket::Tcp(id), wakes);
        self.tcp_send_ack(id);
        self.tcp_push(id);
    }

    /// The answer to that, as the listener's end sees it: the connection goes on the listener's queue, if
    /// there is room (`tcp_check_req`, `tcp_child_process`).
    pub(super) fn tcp_check_req(
        &mut self,
        id: TcpId,
        flow: Flow,
        segment: &Segment,
        wakes: &mut Wakes,
    ) {
        let Some(listener) = self.tcp[id].parent else {
            return;
        };
        if segment.rst {
            return self.tcp_forget(id);
        }
        if segment.ack != Some(1) || self.tcp[listener].queue_is_full() {
            // As if it had been lost: it will be asked for again.
            return;
        }
        self.tcp_established(id);
        self.tcp[id].parent = None;
        self.tcp[listener].queue.push_back(id);
        self.hold_socket(Socket::Tcp(id));
        self.tcp_rcv_state_process(id, flow, segment, wakes);
        self.sk_data_ready(Socket::Tcp(listener), wakes);
    }

    /// `tcp_finish_connect`, `tcp_init_transfer`
    fn tcp_established(&mut self, id: TcpId) {
        let sock = &mut self.tcp[id];
        sock.ack.stop_resending();
        if !sock.sk.sndbuf_locked && sock.sk.sndbuf == SNDBUF {
            sock.sk.sndbuf = CONNECTED_SNDBUF;
        }
        self.set_tcp_state(id, TcpState::Established);
    }
}

impl<O: Observer> Kernel<'_, O> {
    /// connect(2). Until it has told its result once, another connect(2) asks for that.
    pub(super) fn tcp_connect(
        &mut self,
        caller: Caller,
        id: TcpId,
        to: &SockAddr,
        io: &mut Io,
    ) -> Attempt {
        let sock = &self.m.tcp[id];
        let mut err = Errno::EALREADY;
        match sock.phase {
            Phase::Connected => return Attempt::fail(Errno::EISCONN),
            Phase::Disconnecting => return Attempt::fail(Errno::EINVAL),
            Phase::Connecting => {}
            Phase::Unconnected if sock.state != TcpState::Close => {
                return Attempt::fail(Errno::EISCONN);
            }
            Phase::Unconnected => {
                let asked = to.inet_address().map(destination);
                if let Err(err) = asked.and_then(|to| self.m.tcp_v4_connect(id, to)) {
                    return Attempt::fail(err);
                }
                self.m.tcp[id].phase = Phase::Connecting;
                err = Errno::EINPROGRESS;
            }
        }
        let sock = &mut self.m.tcp[id];
        if sock.is_being_connected() {
            return match self.m.files[caller.file].nonblocking() {
                true => Attempt::fail(err),
                false => Attempt::Sleep,
            };
        }
        if sock.state == TcpState::Close {
            let err = sock.sk.take_err().unwrap_or(Errno::ECONNABORTED);
            sock.phase = Phase::Unconnected;
            self.m.tcp_disconnect(id, &mut io.wakes);
            return Attempt::fail(err);
        }
        sock.phase = Phase::Connected;
        Attempt::Over(Ok(0))
    }

    /// accept(2)
    pub(super) fn tcp_accept(
        &mut self,
        caller: Caller,
        id: TcpId,
        accepting: Accepting,
        io: &mut Io,
    ) -> Attempt {
        let sock = &mut self.m.tcp[id];
        if sock.state != TcpState::Listen {
            return Attempt::fail(Errno::EINVAL);
        }
        let Some(child) = sock.queue.pop_front() else {
            return match self.m.files[caller.file].nonblocking() {
                true => Attempt::fail(Errno::EAGAIN),
                false => Attempt::Sleep,
            };
        };
        // What the queue held is the file's now.
        self.m.tcp[child].sk.embryo = false;
        self.m.tcp[child].phase = Phase::Connected;
        if accepting.name {
            // Whoever it was, and even if it is gone by now.
            io.name = self.m.tcp[child]
                .inet
                .peer
                .map(SockAddr::Inet)
                .map(Box::new);
        }
        let accepting = Accepting {
            name: false,
            ..accepting
        };
        self.accepted(caller.task, accepting, Socket::Tcp(child), io)
    }
}
