//! What a program takes of what has come (`tcp_recvmsg_locked`, `tcp_recv_urg`).
//!
//! The urgent byte lies among the others, and a plain read passes over it: it stops in front of it, and the
//! next one begins behind it. Until then recv(2) with `MSG_OOB` gives it, once. With `SO_OOBINLINE` it is data
//! like the rest.

use std::collections::VecDeque;

use super::TcpState;
use crate::abi::{Errno, MsgFlags};
use crate::model::Machine;
use crate::model::arena::TcpId;
use crate::model::encode::{Encode, Encoder, Number, encode_option};
use crate::model::file::transfer::{Attempt, Io, Receiving};

/// The way in.
#[derive(Clone, Debug, Default)]
pub(super) struct Rcv {
    /// The number that comes next (`rcv_nxt`).
    pub(super) nxt: u64,
    /// The first one that nobody has read (`copied_seq`).
    pub(super) copied: u64,
    /// What lies in between (`sk_receive_queue`); the end of the stream is no byte here.
    pub(super) queue: VecDeque<u8>,
    /// What the other end was told last: from where on, and how much room (`rcv_wup`, `rcv_wnd`).
    pub(super) wup: u64,
    pub(super) wnd: u64,
    /// The end of the stream has come (`SOCK_DONE`).
    pub(super) done: bool,
    pub(super) urgent: Option<Urgent>,
}

/// The latest urgent byte (`urg_seq`, `urg_data`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Urgent {
    pub(super) seq: u64,
    pub(super) byte: UrgentByte,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum UrgentByte {
    /// Announced (`TCP_URG_NOTYET`).
    NotYet,
    /// `TCP_URG_VALID`
    Valid(u8),
    /// Given out (`TCP_URG_READ`).
    Read,
}

impl Rcv {
    /// How many bytes lie there.
    pub(super) fn unread(&self) -> u64 {
        self.nxt - self.copied - u64::from(self.done && self.nxt > self.copied)
    }

    /// How much more the other end may send (`tcp_receive_window`).
    pub(super) fn window(&self) -> u64 {
        (self.wup + self.wnd).saturating_sub(self.nxt)
    }

    pub(super) fn urgent_at(&self, seq: u64) -> bool {
        self.urgent.is_some_and(|urgent| urgent.seq == seq)
    }

    pub(super) fn has_urgent_byte(&self) -> bool {
        matches!(
            self.urgent,
            Some(Urgent {
                byte: UrgentByte::Valid(_),
                ..
            })
        )
    }

    /// One or more bytes further.
    fn take(&mut self, count: u64) {
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        self.queue.drain(..count);
        self.copied += u64::try_from(count).unwrap_or(u64::MAX);
        // The urgent byte is behind us.
        if self.urgent.is_some_and(|urgent| self.copied > urgent.seq) {
            self.urgent = None;
        }
    }

    /// What FIONREAD says: bytes that can be read without meeting the urgent one (`tcp_inq`).
    pub(super) fn inq(&self, inline: bool) -> u64 {
        match self.urgent {
            Some(Urgent { seq, .. })
                if !inline && seq >= self.copied && seq < self.copied + self.unread() =>
            {
                seq - self.copied
            }
            _ => self.unread(),
        }
    }
}

impl Machine {
    /// recv(2), as far as it gets without sleeping. `waits` says whether it may sleep then.
    pub(super) fn tcp_recvmsg(
        &mut self,
        id: TcpId,
        receiving: &Receiving,
        waits: bool,
        io: &mut Io,
    ) -> Attempt {
        if self.tcp[id].state == TcpState::Listen {
            return Attempt::fail(Errno::ENOTCONN);
        }
        if receiving.flags.contains(MsgFlags::ERRQUEUE) {
            return Attempt::fail(Errno::EAGAIN);
        }
        if receiving.flags.contains(MsgFlags::OOB) {
            return self.tcp_recv_urg(id, receiving, io);
        }
        let attempt = self.tcp_recv_plain(id, receiving, waits, io);
        // What was freed may be worth an acknowledgement.
        self.tcp_cleanup_rbuf(id, !io.bytes.is_empty());
        attempt
    }

    fn tcp_recv_plain(
        &mut self,
        id: TcpId,
        receiving: &Receiving,
        waits: bool,
        io: &mut Io,
    ) -> Attempt {
        let peek = receiving.flags.contains(MsgFlags::PEEK);
        let sock = &mut self.tcp[id];
        let inline = sock.sk.oobinline;
        let wanted = receiving.wanted();
        let target = usize::try_from(sock.sk.rcvlowat).unwrap_or(1);
        let target = target.min(wanted).max(1);
        // A look begins at the beginning each time it wakes up.
        if peek {
            io.bytes = Default::default();
        }
        // How far a look has come; a read takes what it passes.
        let mut looked = 0;
        loop {
            let copied = io.bytes.len();
            let at = sock.rcv.copied + looked;
            let unread = sock.rcv.unread() - looked;
            if copied > 0 && sock.rcv.urgent_at(at) {
                return io.read();
            }
            if unread == 0 {
                break;
            }
            let left = u64::try_from(wanted - copied).unwrap_or(u64::MAX);
            let mut used = left.min(unread);
            let mut hole = 0;
            if let Some(urgent) = sock.rcv.urgent
                && urgent.seq >= at
                && urgent.seq - at < used
            {
                match urgent.seq - at {
                    0 if inline => {}
                    0 => (hole, used) = (1, used - 1),
                    before => used = before,
                }
            }
            let begin = usize::try_from(looked + hole).unwrap_or(usize::MAX);
            let count = usize::try_from(used).unwrap_or(usize::MAX);
            if copied + count > receiving.room() {
                return match copied {
                    0 => Attempt::fail(Errno::EFAULT),
                    _ => io.read(),
                };
            }
            let bytes: Vec<u8> = sock
                .rcv
                .queue
                .iter()
                .skip(begin)
                .take(count)
                .copied()
                .collect();
            io.bytes.extend_from_slice(&bytes);
            if peek {
                looked += hole + used;
            } else {
                sock.rcv.take(hole + used);
            }
            if io.bytes.len() == wanted {
                return io.read();
            }
        }
        let copied = io.bytes.len();
        let sk = &mut sock.sk;
        let over = sk.shut_rd || sock.state == TcpState::Close;
        if copied >= target || (copied > 0 && (!waits || sk.err.is_some() || over)) {
            return io.read();
        }
        if copied > 0 {
            return Attempt::Sleep;
        }
        if sock.rcv.done {
            if !peek {
                // From here on the end itself is read too.
                sock.rcv.copied = sock.rcv.nxt;
            }
            return io.read();
        }
        if let Some(err) = sk.take_err() {
            return Attempt::fail(err);
        }
        if sk.shut_rd {
            return io.read();
        }
        if sock.state == TcpState::Close {
            return Attempt::fail(Errno::ENOTCONN);
        }
        if waits {
            Attempt::Sleep
        } else {
            Attempt::fail(Errno::EAGAIN)
        }
    }

    /// The urgent byte, which is given out once.
    fn tcp_recv_urg(&mut self, id: TcpId, receiving: &Receiving, io: &mut Io) -> Attempt {
        let sock = &mut self.tcp[id];
        let urgent = match &mut sock.rcv.urgent {
            Some(urgent) if !sock.sk.oobinline && urgent.byte != UrgentByte::Read => urgent,
            _ => return Attempt::fail(Errno::EINVAL),
        };
        let over = sock.state == TcpState::Close;
        if over && !sock.rcv.done {
            return Attempt::fail(Errno::ENOTCONN);
        }
        let UrgentByte::Valid(byte) = urgent.byte else {
            return match over || sock.sk.shut_rd {
                true => io.read(),
                false => Attempt::fail(Errno::EAGAIN),
            };
        };
        if !receiving.flags.contains(MsgFlags::PEEK) {
            urgent.byte = UrgentByte::Read;
        }
        if receiving.count == 0 {
            return io.read();
        }
        if receiving.room() == 0 {
            return Attempt::fail(Errno::EFAULT);
        }
        io.stored(vec![byte])
    }
}

impl Encode for Rcv {
    fn encode(&self, to: &mut Encoder<'_>) {
        let Rcv {
            nxt,
            copied,
            queue,
            wup,
            wnd,
            done,
            urgent,
        } = self;
        to.numbers([*nxt, *copied, *wup, *wnd, u64::from(*done)]);
        let queue: Vec<u8> = queue.iter().copied().collect();
        to.bytes(&queue);
        encode_option(urgent, to);
    }
}

impl Encode for Urgent {
    fn encode(&self, to: &mut Encoder<'_>) {
        let byte = match self.byte {
            UrgentByte::NotYet => 0,
            UrgentByte::Read => 1,
            UrgentByte::Valid(byte) => 2 + u64::from(byte),
        };
        to.numbers([self.seq, byte.number(to)]);
    }
}
