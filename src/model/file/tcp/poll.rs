//! What is true of a socket (`tcp_poll`), and what is told of it.

use super::{TcpSock, TcpState};
use crate::abi::EventMask;
use crate::model::Machine;
use crate::model::arena::TcpId;
use crate::model::file::socket::{READABLE, Socket, WRITABLE};
use crate::model::file::transfer::Wakes;
use crate::model::wait_queue::Nr;

/// A stream never says `EPOLLWRBAND`, though its wake-ups do.
const OUT: EventMask = EventMask::OUT.union(EventMask::WRNORM);

impl TcpSock {
    /// The mask, apart from `EPOLLOUT`.
    fn mask(&self) -> EventMask {
        let mut mask = EventMask::empty();
        mask.set(
            EventMask::HUP,
            self.sk.shut_down() || self.state == TcpState::Close,
        );
        mask.set(READABLE | EventMask::RDHUP, self.sk.shut_rd);
        if !self.is_being_connected() {
            // Whoever waits for one byte does not wait for the urgent one, which no plain read gets.
            let target = self.target() + u64::from(self.urgent_is_next());
            if self.rcv.unread() > 0 && self.has_to_read(target) {
                mask |= READABLE;
            }
            mask.set(EventMask::PRI, self.rcv.has_urgent_byte());
        }
        mask.set(EventMask::ERR, self.sk.err.is_some());
        mask
    }

    /// Whether nothing of it is of use yet.
    pub(super) fn is_being_connected(&self) -> bool {
        matches!(self.state, TcpState::SynSent | TcpState::SynRecv)
    }

    /// How many bytes make it readable (`sock_rcvlowat`).
    fn target(&self) -> u64 {
        u64::try_from(self.sk.rcvlowat).unwrap_or(1)
    }

    /// Whether that many are there, or no more will come before somebody reads
    /// (`tcp_epollin_ready`).
    fn has_to_read(&self, target: u64) -> bool {
        let unread = self.rcv.unread();
        let pressed = unread > self.sk.rcvbuf - self.sk.rcvbuf / 8;
        unread >= target || pressed || self.rcv.window() <= self.ack.rcv_mss
    }

    /// Whether the next byte is the urgent one, which stands in nobody's way.
    fn urgent_is_next(&self) -> bool {
        !self.sk.oobinline && self.rcv.urgent_at(self.rcv.copied)
    }

    /// Whether a third of the buffer is free (`__sk_stream_is_writeable`).
    pub(super) fn is_writeable(&self) -> bool {
        let queued = self.snd.queued();
        self.has_memory() && self.sk.sndbuf - queued >= queued / 2
    }

    /// Whether anything of it is (`sk_stream_memory_free`). So a send that does not sleep goes on for longer
    /// than `EPOLLOUT` does.
    pub(super) fn has_memory(&self) -> bool {
        self.snd.queued() < self.sk.sndbuf
    }
}

impl Machine {
    /// `tcp_poll`. Whoever is told that there is no room will be told when there is.
    pub(super) fn tcp_poll(&mut self, id: TcpId) -> EventMask {
        let sock = &mut self.tcp[id];
        if sock.state == TcpState::Listen {
            return match sock.queue.is_empty() {
                true => EventMask::empty(),
                false => READABLE,
            };
        }
        let mut mask = sock.mask();
        if !sock.is_being_connected() {
            let writeable = sock.sk.shut_wr || sock.is_writeable();
            mask.set(OUT, writeable);
            sock.nospace |= !writeable;
        }
        mask
    }

    /// New data is told of once there is enough (`tcp_data_ready`).
    pub(super) fn tcp_data_ready(&mut self, id: TcpId, wakes: &mut Wakes) {
        let sock = &self.tcp[id];
        let unread = sock.rcv.unread() > 0;
        if sock.rcv.done || (unread && sock.has_to_read(sock.target())) {
            self.sk_data_ready(Socket::Tcp(id), wakes);
        }
    }

    /// `sk_stream_write_space`
    pub(super) fn tcp_write_space(&mut self, id: TcpId, wakes: &mut Wakes) {
        let sock = &mut self.tcp[id];
        if sock.is_writeable() {
            sock.nospace = false;
            self.sk_wake(Socket::Tcp(id), WRITABLE, Nr::One, wakes);
        }
    }

    /// After an acknowledgement: only who was found without room hears of it (`tcp_check_space`).
    pub(super) fn tcp_check_space(&mut self, id: TcpId, wakes: &mut Wakes) {
        if self.tcp[id].nospace {
            self.tcp_write_space(id, wakes);
        }
    }

    /// `sk_error_report`
    pub(super) fn tcp_error_report(&mut self, id: TcpId, wakes: &mut Wakes) {
        self.sk_wake(Socket::Tcp(id), EventMask::ERR, Nr::One, wakes);
    }
}
