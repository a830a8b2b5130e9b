//! The way in: what a segment does to the socket that it reaches (`tcp_v4_do_rcv`, `tcp_rcv_state_process`,
//! `tcp_data_queue`).
//!
//! First what it says about our data, then the urgent byte, then its own data, then its `FIN`; each part makes
//! its own wake-ups. Then this end may have room to send more, or something to acknowledge.

use super::TcpState;
use super::recv::{Urgent, UrgentByte};
use super::segment::{Segment, length};
use crate::abi::Errno;
use crate::model::Machine;
use crate::model::arena::TcpId;
use crate::model::file::socket::Socket;
use crate::model::file::transfer::Wakes;
use crate::model::net::{Body, Flow, Packet, Proto};

impl Machine {
    /// A segment has come (`tcp_v4_rcv`).
    pub(crate) fn tcp_receive(&mut self, flow: Flow, segment: &Segment, wakes: &mut Wakes) {
        let Some(id) = self.tcp_lookup(flow) else {
            return self.tcp_send_reset(flow, segment);
        };
        // It may be the end of the socket.
        self.hold_socket(Socket::Tcp(id));
        match self.tcp[id].state {
            TcpState::Listen if segment.rst => {}
            TcpState::Listen if segment.ack.is_some() => self.tcp_send_reset(flow, segment),
            TcpState::Listen if segment.syn => self.tcp_conn_request(id, flow, segment),
            TcpState::Listen => {}
            TcpState::SynSent => self.tcp_rcv_synsent(id, segment, wakes),
            TcpState::SynRecv => self.tcp_check_req(id, flow, segment, wakes),
            _ => self.tcp_rcv_state_process(id, flow, segment, wakes),
        }
        self.put_socket(Socket::Tcp(id));
    }

    /// Tells whoever has sent this that nobody is here (`tcp_v4_send_reset`).
    fn tcp_send_reset(&mut self, flow: Flow, segment: &Segment) {
        if segment.rst {
            return;
        }
        let reset = Segment {
            seq: segment.ack.unwrap_or(0),
            rst: true,
            ack: match segment.ack {
                Some(_) => None,
                None => Some(segment.end_seq()),
            },
            ..Segment::default()
        };
        self.net_xmit(Packet {
            flow: flow.back(),
            body: Body::Tcp(reset),
        });
    }

    /// Leaves a segment of a socket to the network.
    ///
    /// Preconditions: the socket has both addresses.
    pub(super) fn tcp_xmit(&mut self, id: TcpId, segment: Segment) {
        let inet = &self.tcp[id].inet;
        let Some(to) = inet.peer else {
            unreachable!("a socket sends once it knows whom to")
        };
        let flow = Flow {
            proto: Proto::Tcp,
            from: inet.source(),
            to,
        };
        self.net_xmit(Packet {
            flow,
            body: Body::Tcp(segment),
        });
    }

    /// Preconditions: the connection is made.
    pub(super) fn tcp_rcv_state_process(
        &mut self,
        id: TcpId,
        flow: Flow,
        segment: &Segment,
        wakes: &mut Wakes,
    ) {
        if segment.rst {
            return self.tcp_reset(id, wakes);
        }
        if segment.syn {
            // The other end has not heard yet that it is connected.
            return self.tcp_send_ack(id);
        }
        self.tcp_ack(id, segment);
        let sock = &self.tcp[id];
        let all_known = sock.snd.una == sock.snd.write_seq;
        match sock.state {
            TcpState::FinWait1 if all_known => {
                self.set_tcp_state(id, TcpState::FinWait2);
                self.tcp[id].sk.shut_wr = true;
                self.sk_state_change(Socket::Tcp(id), wakes);
            }
            TcpState::Closing | TcpState::LastAck if all_known => {
                return self.tcp_done(id, wakes);
            }
            _ => {}
        }
        self.tcp_urg(id, segment, wakes);
        let sock = &self.tcp[id];
        match sock.state {
            // Nothing comes behind the end.
            TcpState::CloseWait | TcpState::Closing | TcpState::LastAck => {}
            TcpState::FinWait1 | TcpState::FinWait2
                if sock.sk.shut_rd && !segment.data.is_empty() =>
            {
                // Nobody will read it, and the sender has to know.
                self.tcp_reset(id, wakes);
                return self.tcp_send_reset(flow, segment);
            }
            _ => self.tcp_data_queue(id, segment, wakes),
        }
        if self.tcp[id].state != TcpState::Close {
            self.tcp_push(id);
            self.tcp_check_space(id, wakes);
            self.tcp_ack_snd_check(id);
        }
    }

    /// What the segment says of our data.
    pub(super) fn tcp_ack(&mut self, id: TcpId, segment: &Segment) {
        let Some(ack) = segment.ack else { return };
        let snd = &mut self.tcp[id].snd;
        if ack > snd.una && ack <= snd.nxt {
            snd.acknowledge(ack);
        }
        snd.wnd_end = snd.wnd_end.max(ack + segment.window);
        snd.max_window = snd.max_window.max(segment.window);
    }

    /// The connection is over, by an error (`tcp_done_with_error`). Two wake-ups: one says that something has
    /// changed, the other that it is an error.
    pub(super) fn tcp_done_with_error(&mut self, id: TcpId, err: Errno, wakes: &mut Wakes) {
        let sock = &mut self.tcp[id];
        sock.sk.err = Some(err);
        self.tcp_done(id, wakes);
        self.tcp_error_report(id, wakes);
    }

    /// `tcp_reset`
    pub(super) fn tcp_reset(&mut self, id: TcpId, wakes: &mut Wakes) {
        let err = match self.tcp[id].state {
            TcpState::SynSent => Errno::ECONNREFUSED,
            // It was known that nothing more would come; what is broken is the way out.
            TcpState::CloseWait => Errno::EPIPE,
            _ => Errno::ECONNRESET,
        };
        self.tcp_done_with_error(id, err, wakes);
    }

    /// Is there an urgent byte, here or to come (`tcp_check_urg`, `tcp_urg`)?
    fn tcp_urg(&mut self, id: TcpId, segment: &Segment, wakes: &mut Wakes) {
        let sock = &mut self.tcp[id];
        let inline = sock.sk.oobinline;
        let rcv = &mut sock.rcv;
        if let Some(seq) = segment.urgent {
            let newer = rcv.urgent.is_none_or(|urgent| seq > urgent.seq);
            if seq >= rcv.copied && seq >= rcv.nxt && newer {
                if rcv.urgent_at(rcv.copied) && !inline && rcv.unread() > 0 {
                    // The one before was next in line and will not be read any more.
                    rcv.queue.pop_front();
                    rcv.copied += 1;
                }
                rcv.urgent = Some(Urgent {
                    seq,
                    byte: UrgentByte::NotYet,
                });
            }
        }
        if let Some(urgent) = &mut rcv.urgent
            && urgent.byte == UrgentByte::NotYet
            && let Some(offset) = urgent.seq.checked_sub(segment.seq)
            && let Ok(offset) = usize::try_from(offset)
            && let Some(byte) = segment.data.get(offset)
        {
            urgent.byte = UrgentByte::Valid(*byte);
            self.sk_data_ready(Socket::Tcp(id), wakes);
        }
    }

    /// The data and the end of the stream, if they are in it.
    fn tcp_data_queue(&mut self, id: TcpId, segment: &Segment, wakes: &mut Wakes) {
        if segment.data.is_empty() && !segment.fin {
            return;
        }
        let now = self.now;
        let sock = &mut self.tcp[id];
        sock.rcv.queue.extend(&segment.data);
        sock.rcv.nxt += segment.len();
        if !segment.data.is_empty() {
            let window = sock.rcv.wnd;
            sock.ack.data_came(length(&segment.data), window, now);
        }
        if segment.fin {
            self.tcp_fin(id, wakes);
        }
        self.tcp_data_ready(id, wakes);
    }

    /// The other end sends nothing more.
    fn tcp_fin(&mut self, id: TcpId, wakes: &mut Wakes) {
        let sock = &mut self.tcp[id];
        sock.sk.shut_rd = true;
        sock.rcv.done = true;
        sock.ack.scheduled = true;
        match sock.state {
            TcpState::Established => {
                sock.ack.pingpong = true;
                self.set_tcp_state(id, TcpState::CloseWait);
            }
            TcpState::FinWait1 => {
                self.tcp_send_ack(id);
                self.set_tcp_state(id, TcpState::Closing);
            }
            TcpState::FinWait2 => {
                self.tcp_send_ack(id);
                self.tcp_done(id, wakes);
            }
            _ => {}
        }
        self.sk_state_change(Socket::Tcp(id), wakes);
    }
}
