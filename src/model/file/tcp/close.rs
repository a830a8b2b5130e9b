//! How it ends: in one direction, in both, or by a reset (`tcp_shutdown`, `__tcp_close`, `tcp_disconnect`).
//!
//! ```text
//!   shutdown(SHUT_WR), close(2)    FIN behind the data; whoever gets it reads to the end
//!   close(2) with unread data      RST: it will never be read, and the sender has to know
//!   close(2), SO_LINGER of 0       RST: and what was not sent is thrown away
//!   shutdown(SHUT_RD)              nothing is sent; only this end's mask changes
//! ```
//!
//! A socket whose file is closed lives on until both directions are over. Data that reaches it then is
//! answered by RST.

use super::segment::Segment;
use super::{Phase, TcpState};
use crate::abi::Errno;
use crate::abi::socket::SocketAddrV4;
use crate::model::Machine;
use crate::model::arena::TcpId;
use crate::model::file::socket::{Directions, Socket};
use crate::model::file::transfer::Wakes;

impl Machine {
    /// shutdown(2) (`inet_shutdown`)
    pub(super) fn tcp_shutdown(
        &mut self,
        id: TcpId,
        Directions { rd, wr }: Directions,
        wakes: &mut Wakes,
    ) -> Result<(), Errno> {
        let sock = &mut self.tcp[id];
        if sock.phase == Phase::Connecting {
            sock.phase = match sock.state {
                TcpState::SynSent | TcpState::SynRecv | TcpState::Close => Phase::Disconnecting,
                _ => Phase::Connected,
            };
        }
        let mut result = Ok(());
        match sock.state {
            TcpState::Listen if !rd => {}
            TcpState::Listen | TcpState::SynSent => {
                self.tcp_disconnect(id, wakes);
                self.tcp[id].phase = Phase::Unconnected;
            }
            state => {
                sock.sk.shut_rd |= rd;
                sock.sk.shut_wr |= wr;
                if state == TcpState::Close {
                    // It has no connection, and is shut down all the same.
                    result = Err(Errno::ENOTCONN);
                } else if wr && self.tcp_close_state(id) {
                    self.tcp_send_fin(id);
                }
            }
        }
        self.sk_state_change(Socket::Tcp(id), wakes);
        result
    }

    /// Ends our direction, unless it has ended; says whether the other end has to hear of it.
    fn tcp_close_state(&mut self, id: TcpId) -> bool {
        let next = match self.tcp[id].state {
            TcpState::Established | TcpState::SynRecv => TcpState::FinWait1,
            TcpState::CloseWait => TcpState::LastAck,
            TcpState::SynSent => {
                self.tcp_forget(id);
                return false;
            }
            _ => return false,
        };
        self.set_tcp_state(id, next);
        true
    }

    /// The last descriptor is closed (`__tcp_close`).
    pub(super) fn tcp_close(&mut self, id: TcpId, wakes: &mut Wakes) {
        let sock = &mut self.tcp[id];
        let unread = sock.rcv.unread() > 0;
        let zero_linger = sock.sk.linger.onoff != 0 && sock.sk.linger.seconds == 0;
        (sock.sk.shut_rd, sock.sk.shut_wr) = (true, true);
        sock.rcv.queue.clear();
        sock.rcv.copied = sock.rcv.nxt;
        match sock.state {
            TcpState::Listen => {
                self.tcp_listen_stop(id, wakes);
                self.tcp_forget(id);
            }
            TcpState::Close => {}
            _ if unread => {
                self.tcp_send_active_reset(id);
                self.tcp_forget(id);
            }
            _ if zero_linger => self.tcp_disconnect(id, wakes),
            _ => {
                if self.tcp_close_state(id) {
                    self.tcp_send_fin(id);
                }
            }
        }
        self.tcp[id].sk.dead = true;
    }

    /// Throws away what there is (`tcp_disconnect`).
    pub(super) fn tcp_disconnect(&mut self, id: TcpId, wakes: &mut Wakes) {
        let sock = &self.tcp[id];
        let unsent = sock.snd.nxt != sock.snd.write_seq;
        match sock.state {
            TcpState::Listen => self.tcp_listen_stop(id, wakes),
            TcpState::Established
            | TcpState::CloseWait
            | TcpState::FinWait1
            | TcpState::FinWait2
            | TcpState::SynRecv => {
                self.tcp_send_active_reset(id);
                self.tcp[id].sk.err = Some(Errno::ECONNRESET);
            }
            TcpState::Closing | TcpState::LastAck if unsent => {
                self.tcp_send_active_reset(id);
                self.tcp[id].sk.err = Some(Errno::ECONNRESET);
            }
            TcpState::SynSent => self.tcp[id].sk.err = Some(Errno::ECONNRESET),
            TcpState::Close | TcpState::Closing | TcpState::LastAck => {}
        }
        let sock = &mut self.tcp[id];
        (sock.sk.shut_rd, sock.sk.shut_wr) = (false, false);
        sock.rcv = Default::default();
        sock.snd = Default::default();
        sock.inet.peer = None;
        self.tcp_forget(id);
        self.tcp[id].ack = Default::default();
        self.tcp_error_report(id, wakes);
    }

    /// `tcp_send_active_reset`
    fn tcp_send_active_reset(&mut self, id: TcpId) {
        let reset = Segment {
            seq: self.tcp[id].snd.nxt,
            rst: true,
            ..Segment::default()
        };
        self.tcp_transmit(id, reset);
    }

    /// Both directions are over (`tcp_done`).
    pub(super) fn tcp_done(&mut self, id: TcpId, wakes: &mut Wakes) {
        let sk = &mut self.tcp[id].sk;
        (sk.shut_rd, sk.shut_wr) = (true, true);
        self.tcp_forget(id);
        self.sk_state_change(Socket::Tcp(id), wakes);
    }

    /// No segment reaches it any more, and none leaves it.
    ///
    /// Preconditions: somebody holds it.
    pub(super) fn tcp_forget(&mut self, id: TcpId) {
        let sock = &mut self.tcp[id];
        sock.snd.purge();
        sock.ack.clear_timers();
        sock.parent = None;
        if !sock.bound && sock.inet.port != 0 {
            sock.former = Some(SocketAddrV4::new(sock.inet.addr, sock.inet.port));
            sock.inet.port = 0;
        }
        self.set_tcp_state(id, TcpState::Close);
    }

    /// A listener is none any more: whoever waits to be accepted is turned away, and whoever is about to
    /// connect is forgotten (`inet_csk_listen_stop`).
    fn tcp_listen_stop(&mut self, id: TcpId, wakes: &mut Wakes) {
        let of_it = |other: &TcpId| self.tcp[*other].parent == Some(id);
        let requests: Vec<TcpId> = self.tcp.live().into_iter().filter(of_it).collect();
        for request in requests {
            self.tcp_forget(request);
        }
        for child in std::mem::take(&mut self.tcp[id].queue) {
            self.tcp_disconnect(child, wakes);
            self.put_socket(Socket::Tcp(child));
        }
    }
}
