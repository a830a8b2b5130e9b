//! The way out: the send buffer, and when what lies in it becomes segments (`tcp_sendmsg_locked`,
//! `tcp_write_xmit`).
//!
//! What a program sends is cut into pieces (`struct sk_buff`), each of which costs its bytes and what the
//! kernel keeps of it, from here until the other end has acknowledged it. A piece that has not left yet is
//! filled up by the next send, so the buffer is full when it has no room for one *more* piece.
//!
//! A piece leaves as soon as the other end has room for it; but a small one waits while another small one is
//! under way (Nagle's rule), unless `TCP_NODELAY` says otherwise, or it is urgent or the last.

use std::collections::VecDeque;

use super::segment::{Segment, length};
use super::{TcpSock, TcpState};
use crate::abi::{Bytes, Errno, MsgFlags, Ptr};
use crate::model::arena::TcpId;
use crate::model::encode::{Encode, Encoder};
use crate::model::file::ops::Caller;
use crate::model::file::transfer::{Attempt, Io};
use crate::model::{Kernel, Machine};
use crate::trace::Observer;

/// The way out.
#[derive(Clone, Debug, Default)]
pub(super) struct Snd {
    /// The first number that is not acknowledged (`snd_una`).
    pub(super) una: u64,
    /// The first that has not been sent (`snd_nxt`).
    pub(super) nxt: u64,
    /// The first that has no byte yet (`write_seq`).
    pub(super) write_seq: u64,
    /// How far the other end has room (`tcp_wnd_end`).
    pub(super) wnd_end: u64,
    /// The most room it ever had; a segment fills at most half of it (`max_window`).
    pub(super) max_window: u64,
    /// The pieces, from the first that is not acknowledged on (`tcp_rtx_queue`, `sk_write_queue`).
    queue: VecDeque<Piece>,
    /// The end of the last segment that was small (`snd_sml`).
    sml: u64,
    /// The number behind the urgent byte (`snd_up`).
    up: u64,
    /// The stream ends behind these pieces.
    pub(super) fin: bool,
}

/// A part of the stream (`struct sk_buff`).
#[derive(Clone, Debug)]
struct Piece {
    seq: u64,
    data: Vec<u8>,
    sent: bool,
}

impl Piece {
    fn end_seq(&self) -> u64 {
        self.seq + length(&self.data)
    }
}

/// What a piece costs beside its bytes.
const OVERHEAD: u64 = 832;
/// What fits into a segment on loopback, if nothing else stands against it.
const MSS: u64 = 65_483;

impl Snd {
    /// What the pieces cost (`sk_wmem_queued`).
    pub(super) fn queued(&self) -> u64 {
        let cost = |piece: &Piece| OVERHEAD + length(&piece.data);
        self.queue.iter().map(cost).sum()
    }

    /// How many bytes are under way or still to go (`SIOCOUTQ`).
    pub(super) fn outq(&self) -> u64 {
        self.queue.iter().map(|piece| length(&piece.data)).sum()
    }

    /// `tcp_write_queue_purge`
    pub(super) fn purge(&mut self) {
        self.queue.clear();
        self.una = self.write_seq;
        self.nxt = self.write_seq;
    }

    /// The most bytes of a segment (`tcp_current_mss`).
    fn mss(&self) -> u64 {
        MSS.min((self.max_window / 2).max(1))
    }

    /// Takes as many bytes as the last piece has room for, or a new one. Says how many.
    fn append(&mut self, bytes: &[u8]) -> usize {
        let mss = self.mss();
        let last = self.queue.back_mut();
        let open = last.filter(|piece| !piece.sent && length(&piece.data) < mss);
        let piece = match open {
            Some(piece) => piece,
            None => self.queue.push_back_mut(Piece {
                seq: self.write_seq,
                data: Vec::new(),
                sent: false,
            }),
        };
        let room = usize::try_from(mss - length(&piece.data)).unwrap_or(usize::MAX);
        let count = room.min(bytes.len());
        piece.data.extend_from_slice(&bytes[..count]);
        self.write_seq += length(&bytes[..count]);
        count
    }

    /// Whether the next byte needs a new piece.
    fn needs_piece(&self) -> bool {
        let mss = self.mss();
        let last = self.queue.back();
        !last.is_some_and(|piece| !piece.sent && length(&piece.data) < mss)
    }

    /// Cuts off what can leave now, and marks it as sent. `nodelay` turns Nagle's rule off.
    fn take_segment(&mut self, nodelay: bool) -> Option<Segment> {
        let Some(index) = self.queue.iter().position(|piece| !piece.sent) else {
            let fin_waits = self.fin && self.nxt < self.write_seq && self.nxt < self.wnd_end;
            return fin_waits.then(|| {
                let seq = self.nxt;
                self.nxt += 1;
                Segment {
                    seq,
                    fin: true,
                    ..Segment::default()
                }
            });
        };
        let mss = self.mss();
        let last = index + 1 == self.queue.len();
        let (seq, whole) = (self.queue[index].seq, length(&self.queue[index].data));
        let room = self.wnd_end.saturating_sub(seq);
        let mut len = whole.min(mss);
        if len > room {
            // More room is announced by what is under way; if nothing is, the rest may go in parts.
            if room == 0 || self.nxt > self.una {
                return None;
            }
            len = room;
        }
        let fin = self.fin && last && len == whole && room > len;
        let urgent = self.up > self.una;
        if last && len < mss && !nodelay && !fin && !urgent && self.sml > self.una {
            return None;
        }
        let piece = &mut self.queue[index];
        let rest = piece
            .data
            .split_off(usize::try_from(len).unwrap_or(usize::MAX));
        piece.sent = true;
        let data = piece.data.clone();
        if !rest.is_empty() {
            let rest = Piece {
                seq: seq + len,
                data: rest,
                sent: false,
            };
            self.queue.insert(index + 1, rest);
        }
        self.nxt = seq + len + u64::from(fin);
        if len < mss {
            self.sml = self.nxt;
        }
        Some(Segment {
            seq,
            fin,
            data,
            ..Segment::default()
        })
    }

    /// The other end has everything before `ack` (`tcp_clean_rtx_queue`).
    pub(super) fn acknowledge(&mut self, ack: u64) {
        let before = std::mem::replace(&mut self.una, ack);
        if (before..=ack).contains(&self.up) {
            self.up = ack;
        }
        while let Some(first) = self.queue.front_mut() {
            if first.end_seq() > ack {
                let gone = usize::try_from(ack.saturating_sub(first.seq)).unwrap_or(usize::MAX);
                first.data.drain(..gone);
                first.seq = first.seq.max(ack);
                break;
            }
            self.queue.pop_front();
        }
    }

    /// Whether its pieces follow each other, the sent ones first, and end where the stream does.
    pub(super) fn check(&self) -> Result<(), String> {
        let mut next = None;
        let mut sent = true;
        for piece in &self.queue {
            if next.is_some_and(|next| next != piece.seq) || (piece.sent && !sent) {
                return Err(format!("its pieces are out of order at {}", piece.seq));
            }
            (next, sent) = (Some(piece.end_seq()), piece.sent);
        }
        if let Some(end) = next
            && end + u64::from(self.fin) != self.write_seq
        {
            return Err(format!("its pieces end at {end} of {}", self.write_seq));
        }
        if !(self.una <= self.nxt && self.nxt <= self.write_seq) {
            return Err(format!(
                "it has sent up to {} of {}..{}",
                self.nxt, self.una, self.write_seq
            ));
        }
        Ok(())
    }
}

impl TcpSock {
    /// Whether the program may still send (`SEND_SHUTDOWN`, `sk_err`).
    fn sends(&self) -> bool {
        !self.sk.shut_wr && self.sk.err.is_none()
    }
}

impl Machine {
    /// Takes as many bytes into the buffer as there is room for.
    pub(super) fn tcp_queue(&mut self, id: TcpId, bytes: &[u8]) -> usize {
        let sock = &mut self.tcp[id];
        let mut taken = 0;
        while taken < bytes.len() && (!sock.snd.needs_piece() || sock.has_memory()) {
            taken += sock.snd.append(&bytes[taken..]);
        }
        taken
    }

    /// Lets everything leave that may (`__tcp_push_pending_frames`).
    pub(super) fn tcp_push(&mut self, id: TcpId) {
        loop {
            let sock = &mut self.tcp[id];
            let nodelay = sock.nodelay;
            let Some(mut segment) = sock.snd.take_segment(nodelay) else {
                return;
            };
            let up = sock.snd.up;
            segment.urgent = (up > segment.seq).then(|| up - 1);
            let until = self.tcp[id].ack.reply_until;
            if !segment.data.is_empty() && self.now < until {
                // An answer: from now on acknowledgements ride on answers.
                self.tcp[id].ack.pingpong = true;
            }
            self.tcp_transmit(id, segment);
        }
    }

    /// The stream ends here (`tcp_send_fin`).
    pub(super) fn tcp_send_fin(&mut self, id: TcpId) {
        let snd = &mut self.tcp[id].snd;
        snd.fin = true;
        snd.write_seq += 1;
        self.tcp_push(id);
    }
}

impl<O: Observer> Kernel<'_, O> {
    /// send(2), as far as it gets without sleeping.
    pub(super) fn tcp_sendmsg(
        &mut self,
        caller: Caller,
        id: TcpId,
        (buf, flags): (&Ptr<Bytes>, MsgFlags),
        io: &mut Io,
    ) -> Attempt {
        let waits = self.m.files[caller.file].may_wait(flags);
        let sock = &mut self.m.tcp[id];
        if !matches!(sock.state, TcpState::Established | TcpState::CloseWait) {
            return self.tcp_not_connected(caller, id, flags, waits, io);
        }
        if !sock.sends() {
            return self.tcp_broken_pipe(caller, id, flags, io);
        }
        let Ptr::To(bytes) = buf else {
            return Attempt::fail(Errno::EFAULT);
        };
        io.written += self.m.tcp_queue(id, &bytes[io.written..]);
        let full = io.written < bytes.len();
        let sock = &mut self.m.tcp[id];
        sock.nospace |= full;
        if flags.contains(MsgFlags::OOB) && !full && !bytes.is_empty() {
            sock.snd.up = sock.snd.write_seq;
        }
        self.m.tcp_push(id);
        match full {
            false => io.sent(),
            true if waits => Attempt::Sleep,
            true if io.written > 0 => io.sent(),
            true => Attempt::fail(Errno::EAGAIN),
        }
    }

    /// A send without a connection waits for it to be made, if it is under way
    /// (`sk_stream_wait_connect`).
    fn tcp_not_connected(
        &mut self,
        caller: Caller,
        id: TcpId,
        flags: MsgFlags,
        waits: bool,
        io: &mut Io,
    ) -> Attempt {
        let sock = &mut self.m.tcp[id];
        let connecting = sock.is_being_connected();
        match sock.sk.err {
            Some(_) => self.tcp_broken_pipe(caller, id, flags, io),
            None if !connecting => self.tcp_broken_pipe(caller, id, flags, io),
            None if waits => Attempt::Sleep,
            None => Attempt::fail(Errno::EAGAIN),
        }
    }

    /// The error that waits, or else a signal and its error (`sk_stream_error`).
    fn tcp_broken_pipe(
        &mut self,
        caller: Caller,
        id: TcpId,
        flags: MsgFlags,
        io: &mut Io,
    ) -> Attempt {
        if io.written > 0 {
            return io.sent();
        }
        if let Some(err) = self.m.tcp[id].sk.take_err()
            && err != Errno::EPIPE
        {
            return Attempt::fail(err);
        }
        if !flags.contains(MsgFlags::NOSIGNAL) {
            self.send_sigpipe(caller.task);
        }
        Attempt::fail(Errno::EPIPE)
    }
}

impl Encode for Snd {
    fn encode(&self, to: &mut Encoder<'_>) {
        let Snd {
            una,
            nxt,
            write_seq,
            wnd_end,
            max_window,
            queue,
            sml,
            up,
            fin,
        } = self;
        let numbers = [una, nxt, write_seq, wnd_end, max_window, sml, up];
        to.numbers(numbers.map(|number| *number));
        to.numbers([u64::from(*fin), u64::try_from(queue.len()).unwrap_or(0)]);
        for Piece { seq, data, sent } in queue {
            to.numbers([*seq, u64::from(*sent)]);
            to.bytes(data);
        }
    }
}
