//! When what has come is acknowledged, and how much more may come (`__tcp_ack_snd_check`,
//! `__tcp_select_window`).
//!
//! At first every segment is acknowledged at once. Then an acknowledgement waits for something to ride on: an
//! answer, or a larger window because somebody has read. If nothing comes, a timer sends it
//! (`tcp_delack_timer`). So the news that the other end knows of our `FIN`, which wakes, comes late if the
//! other end has nothing to say.

use super::segment::Segment;
use super::{TcpSock, TcpState};
use crate::abi::Errno;
use crate::model::arena::TcpId;
use crate::model::encode::{Encode, Encoder, encode_option};
use crate::model::file::socket::Socket;
use crate::model::file::transfer::Wakes;
use crate::model::{Kernel, Machine};
use crate::trace::Observer;

/// What is known of acknowledging (`icsk_ack`), and the timers.
#[derive(Clone, Debug)]
pub(super) struct Ack {
    /// Something waits to be acknowledged (`ICSK_ACK_SCHED`).
    pub(super) scheduled: bool,
    /// A small segment is among it (`ICSK_ACK_PUSHED`), or several (`ICSK_ACK_PUSHED2`).
    pushed: Pushed,
    /// How many segments are still acknowledged at once (`icsk_ack.quick`).
    quick: u64,
    /// The program answers what it gets (`inet_csk_in_pingpong_mode`).
    pub(super) pingpong: bool,
    /// Data has come at all (`icsk_ack.ato` is set).
    begun: bool,
    /// What is sent up to here is an answer (`lrcvtime` and `ato`).
    pub(super) reply_until: u64,
    /// How large segments are, as far as known (`rcv_mss`).
    pub(super) rcv_mss: u64,
    /// When the acknowledgement leaves by itself (`icsk_delack_timer`).
    delayed: Option<u64>,
    /// When the beginning of a connection is sent again (`icsk_retransmit_timer`, `rsk_timer`).
    resend: Option<Resend>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Pushed {
    No,
    Once,
    Twice,
}

#[derive(Clone, Copy, Debug)]
struct Resend {
    at: u64,
    /// How often it was.
    times: u32,
}

const MS: u64 = 1_000_000;
/// A tick of the kernel's clock, of which the first acknowledgement waits for one.
const JIFFY: u64 = 4 * MS;
/// `TCP_ATO_MIN`
const ATO: u64 = 40 * MS;
/// `TCP_TIMEOUT_INIT`
const TIMEOUT: u64 = 1000 * MS;
/// `net.ipv4.tcp_syn_linear_timeouts`: so often it is sent again without waiting longer.
const LINEAR: u32 = 4;
/// `net.ipv4.tcp_syn_retries`, and `tcp_synack_retries` is hardly less.
const RETRIES: u32 = 6;
/// `TCP_MAX_QUICKACKS`
const MAX_QUICKACKS: u64 = 16;
/// What a segment is taken to hold before one has come (`TCP_MSS_DEFAULT`).
const RCV_MSS: u64 = 536;

impl Default for Ack {
    fn default() -> Ack {
        Ack {
            scheduled: false,
            pushed: Pushed::No,
            quick: 0,
            pingpong: false,
            begun: false,
            reply_until: 0,
            rcv_mss: RCV_MSS,
            delayed: None,
            resend: None,
        }
    }
}

impl Ack {
    /// When the next of its timers fires.
    pub(super) fn due(&self) -> Option<u64> {
        let resend = self.resend.map(|resend| resend.at);
        self.delayed.into_iter().chain(resend).min()
    }

    /// No timer any more (`tcp_clear_xmit_timers`).
    pub(super) fn clear_timers(&mut self) {
        self.delayed = None;
        self.resend = None;
    }

    /// An answer has come.
    pub(super) fn stop_resending(&mut self) {
        self.resend = None;
    }

    /// Something was sent, and it said how far we are (`tcp_event_ack_sent`).
    fn sent(&mut self) {
        self.quick = self.quick.saturating_sub(u64::from(self.scheduled));
        self.scheduled = false;
        self.pushed = Pushed::No;
        self.delayed = None;
    }

    /// Data has come (`tcp_event_data_recv`).
    pub(super) fn data_came(&mut self, len: u64, window: u64, now: u64) {
        self.scheduled = true;
        self.rcv_mss = self.rcv_mss.max(len);
        self.pushed = match self.pushed {
            Pushed::No => Pushed::Once,
            _ => Pushed::Twice,
        };
        if !self.begun {
            self.begun = true;
            let quick = (window / (2 * self.rcv_mss)).clamp(2, MAX_QUICKACKS);
            self.quick = self.quick.max(quick);
        }
        self.reply_until = now + ATO;
    }
}

impl TcpSock {
    /// How much room it can offer; none rather than little (`__tcp_select_window`). Half of a buffer is for
    /// what the kernel keeps of each segment.
    fn free_window(&mut self) -> u64 {
        let full = self.sk.rcvbuf / 2;
        let free = self.sk.rcvbuf.saturating_sub(self.rcv.unread()) / 2;
        if free < full / 2 {
            self.ack.quick = 0;
            if free < full / 16 || free < self.ack.rcv_mss.min(full) {
                return 0;
            }
        }
        free
    }

    /// What it tells the other end, which never becomes less (`tcp_select_window`).
    pub(super) fn select_window(&mut self) -> u64 {
        let free = self.free_window();
        self.rcv.wnd = free.max(self.rcv.window());
        self.rcv.wup = self.rcv.nxt;
        self.rcv.wnd
    }

    /// When one of its timers fires.
    pub(crate) fn due(&self) -> Option<u64> {
        self.ack.due()
    }
}

impl Machine {
    /// Sends a segment, which also says how far this end is (`tcp_transmit_skb`).
    pub(super) fn tcp_transmit(&mut self, id: TcpId, segment: Segment) {
        let sock = &mut self.tcp[id];
        let segment = Segment {
            ack: Some(sock.rcv.nxt),
            window: sock.select_window(),
            ..segment
        };
        sock.ack.sent();
        self.tcp_xmit(id, segment);
    }

    /// `tcp_send_ack`
    pub(super) fn tcp_send_ack(&mut self, id: TcpId) {
        let segment = Segment {
            seq: self.tcp[id].snd.nxt,
            ..Segment::default()
        };
        self.tcp_transmit(id, segment);
    }

    /// After a segment: acknowledge it now or later.
    pub(super) fn tcp_ack_snd_check(&mut self, id: TcpId) {
        let sock = &mut self.tcp[id];
        if !sock.ack.scheduled {
            return;
        }
        let much = sock.rcv.nxt - sock.rcv.wup > sock.ack.rcv_mss;
        let lowat = u64::try_from(sock.sk.rcvlowat).unwrap_or(1);
        let moves = sock.rcv.unread() < lowat || sock.free_window() >= sock.rcv.wnd;
        let quick = sock.ack.quick > 0 && !sock.ack.pingpong;
        if (much && moves) || quick {
            self.tcp_send_ack(id);
            return;
        }
        let ato = if sock.ack.begun { ATO } else { JIFFY };
        let timeout = self.now + ato;
        let delayed = &mut self.tcp[id].ack.delayed;
        *delayed = Some(delayed.map_or(timeout, |earlier| earlier.min(timeout)));
    }

    /// After a read: is it time to say how far we are, or that there is room again
    /// (`__tcp_cleanup_rbuf`)?
    pub(super) fn tcp_cleanup_rbuf(&mut self, id: TcpId, copied: bool) {
        let sock = &mut self.tcp[id];
        let ack = &sock.ack;
        let drained = copied && sock.rcv.unread() == 0;
        let pushed = match ack.pushed {
            Pushed::No => false,
            Pushed::Once => !ack.pingpong,
            Pushed::Twice => true,
        };
        let much = sock.rcv.nxt - sock.rcv.wup > ack.rcv_mss;
        let mut now = ack.scheduled && (much || (drained && pushed));
        let window = sock.rcv.window();
        if copied && !now && !sock.sk.shut_rd && 2 * window <= sock.sk.rcvbuf / 2 {
            let larger = sock.free_window();
            now = larger > 0 && larger >= 2 * window;
        }
        if now && sock.state != TcpState::Close {
            self.tcp_send_ack(id);
        }
    }

    /// Sends the beginning of a connection again, unless an answer comes before.
    pub(super) fn tcp_resend_later(&mut self, id: TcpId) {
        let resend = &mut self.tcp[id].ack.resend;
        let times = resend.map_or(0, |resend| resend.times + 1);
        let wait = TIMEOUT << times.saturating_sub(LINEAR);
        *resend = Some(Resend {
            at: self.now + wait,
            times,
        });
    }

    /// One of its timers has fired (`tcp_delack_timer`, `tcp_retransmit_timer`, `reqsk_timer_handler`).
    fn tcp_timer_fires(&mut self, id: TcpId, wakes: &mut Wakes) {
        let now = self.now;
        let sock = &mut self.tcp[id];
        if sock.ack.delayed.is_some_and(|at| at <= now) {
            sock.ack.delayed = None;
            sock.ack.pingpong = false;
            return self.tcp_send_ack(id);
        }
        if sock
            .ack
            .resend
            .is_some_and(|resend| resend.times >= RETRIES)
        {
            return match sock.state {
                TcpState::SynRecv => self.tcp_forget(id),
                _ => self.tcp_done_with_error(id, Errno::ETIMEDOUT, wakes),
            };
        }
        self.tcp_resend_later(id);
        self.tcp_send_syn(id);
    }
}

impl<O: Observer> Kernel<'_, O> {
    /// Preconditions: no lock is in its way.
    pub(crate) fn tcp_timer(&mut self, id: TcpId) {
        let mut wakes = Wakes::default();
        self.m.hold_socket(Socket::Tcp(id));
        self.m.tcp_timer_fires(id, &mut wakes);
        self.m.put_socket(Socket::Tcp(id));
        while let Some(wake) = wakes.pop() {
            self.wake_up_in_interrupt(wake);
        }
        self.m.put_sockets(wakes.take_holds());
    }
}

impl Encode for Ack {
    fn encode(&self, to: &mut Encoder<'_>) {
        let Ack {
            scheduled,
            pushed,
            quick,
            pingpong,
            begun,
            reply_until,
            rcv_mss,
            delayed,
            resend,
        } = self;
        let now = to.machine.now();
        let left = |at: &u64| at.saturating_sub(now);
        let pushed = match pushed {
            Pushed::No => 0,
            Pushed::Once => 1,
            Pushed::Twice => 2,
        };
        let flags = [*scheduled, *pingpong, *begun].into_iter();
        let flags = flags.fold(pushed, |all, flag| all << 1 | u64::from(flag));
        to.numbers([flags, *quick, *rcv_mss, left(reply_until)]);
        encode_option(&delayed.as_ref().map(left), to);
        encode_option(&resend.as_ref().map(|it| left(&it.at)), to);
        to.number(resend.map_or(0, |it| u64::from(it.times)));
    }
}
