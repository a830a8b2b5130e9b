//! Datagrams and seqpackets: messages that stay whole (`unix_dgram_sendmsg`, `__unix_dgram_recvmsg`).
//!
//! A datagram socket has a peer only for convenience: it is where datagrams go that name no receiver, and the
//! peer knows nothing of it. So the close of a peer wakes nobody and is no hang-up; the next send finds
//! nobody there.
//!
//! Of strangers a receiver keeps eleven messages at most. Who polls for `EPOLLOUT` while his receiver is
//! full leaves an entry on the receiver's `peer_wait`, which passes the wake-up on once there is room.

use super::{Skb, UnixState, memory};
use crate::abi::{Bytes, Errno, MsgFlags, Ptr, SockAddr};
use crate::model::arena::UnixId;
use crate::model::file::ops::Caller;
use crate::model::file::socket::{SockType, Socket, WRITABLE};
use crate::model::file::transfer::{Attempt, Io, Receiving};
use crate::model::wait_queue::{Nr, WakeFn};
use crate::model::{Kernel, Machine};
use crate::trace::{Observer, Place};

/// What of a buffer no message can use.
const OVERHEAD: u64 = 32;

/// Why a message finds no receiver.
enum Lost {
    /// It was there and is closed.
    Closed,
    /// For another reason.
    Never(Errno),
}

impl Machine {
    /// Whether what this socket sends would be taken; if not, it will be told (`unix_dgram_peer_wake_me`).
    pub(super) fn unix_peer_has_room(&mut self, id: UnixId) -> bool {
        let Some(peer) = self.unix[id].peer else {
            return true;
        };
        let receiver = &self.unix[peer];
        if receiver.peer == Some(id) || !receiver.queue_is_full() || receiver.sk.dead {
            return true;
        }
        if self.unix[id].peer_wake.is_none() {
            let head = receiver.peer_wait;
            let func = WakeFn::UnixPeerWake(id);
            let entry = self.add_wait_entry(head, func, false, Place::Head);
            self.unix[id].peer_wake = Some(entry);
        }
        false
    }
}

impl<O: Observer> Kernel<'_, O> {
    pub(super) fn unix_dgram_send(
        &mut self,
        caller: Caller,
        id: UnixId,
        (buf, flags): (&Ptr<Bytes>, MsgFlags),
        to: Option<&SockAddr>,
        io: &mut Io,
    ) -> Attempt {
        if flags.contains(MsgFlags::OOB) {
            return Attempt::fail(Errno::EOPNOTSUPP);
        }
        let to = match to.map(SockAddr::unix_name).transpose() {
            Ok(to) => to,
            Err(errno) => return Attempt::fail(errno),
        };
        let sock = &self.m.unix[id];
        let length = match buf {
            Ptr::To(bytes) => u64::try_from(bytes.len()).unwrap_or(u64::MAX),
            Ptr::Addr(_) => 0,
        };
        if length > sock.sk.sndbuf - OVERHEAD {
            return Attempt::fail(Errno::EMSGSIZE);
        }
        if sock.sk.shut_wr {
            return Attempt::fail(Errno::EPIPE);
        }
        if let Some(attempt) = self.unix_no_room(caller, id, flags) {
            return attempt;
        }
        let truesize = memory::datagram_truesize(length);
        let (bytes, other) = match self.unix_dgram_receiver(id, buf, to) {
            Ok(found) => found,
            Err(Lost::Closed) => return self.unix_dgram_lost_peer(id, truesize, io),
            Err(Lost::Never(errno)) => return self.unix_dgram_unsent(id, truesize, errno, io),
        };
        let receiver = &self.m.unix[other];
        if other != id && receiver.peer != Some(id) && receiver.queue_is_full() {
            return match self.unix_wait(caller, flags) {
                Attempt::Over(Err(errno)) => self.unix_dgram_unsent(id, truesize, errno, io),
                attempt => attempt,
            };
        }
        let skb = Skb {
            from: id,
            data: bytes.to_vec(),
            consumed: 0,
            truesize,
            urgent: false,
            rights: std::mem::take(&mut io.wakes.sockets().rights),
            connection: false,
        };
        self.m.unix_queue(other, skb);
        self.m.sk_data_ready(Socket::Unix(other), &mut io.wakes);
        Attempt::Over(Ok(length))
    }

    /// What to send to whom.
    fn unix_dgram_receiver<'b>(
        &self,
        id: UnixId,
        buf: &'b Ptr<Bytes>,
        to: Option<&[u8]>,
    ) -> Result<(&'b Bytes, UnixId), Lost> {
        let Ptr::To(bytes) = buf else {
            return Err(Lost::Never(Errno::EFAULT));
        };
        let sock = &self.m.unix[id];
        let other = match to {
            Some(to) => self.m.unix_named(id, to).ok_or(Errno::ECONNREFUSED),
            None => sock.peer.ok_or(Errno::ENOTCONN),
        };
        let other = other.map_err(Lost::Never)?;
        let receiver = &self.m.unix[other];
        if receiver.sk.dead {
            return Err(Lost::Closed);
        }
        if receiver.peer.is_some_and(|peer| peer != id) {
            return Err(Lost::Never(Errno::EPERM));
        }
        if receiver.sk.shut_rd {
            return Err(Lost::Never(Errno::EPIPE));
        }
        Ok((bytes, other))
    }

    /// The message was made before anybody asked for its receiver. That it goes again is room for its sender,
    /// who is told like of any other message that is used up.
    fn unix_dgram_unsent(
        &mut self,
        id: UnixId,
        truesize: u64,
        errno: Errno,
        io: &mut Io,
    ) -> Attempt {
        let skb = Skb {
            from: id,
            data: Vec::new(),
            consumed: 0,
            truesize,
            urgent: false,
            rights: Vec::new(),
            connection: false,
        };
        self.m.unix_charge(&skb);
        self.m.unix_free_skb(&skb, &mut io.wakes);
        Attempt::fail(errno)
    }

    /// The receiver was closed: from now on there is none.
    fn unix_dgram_lost_peer(&mut self, id: UnixId, truesize: u64, io: &mut Io) -> Attempt {
        if self.m.unix[id].sk.r#type == SockType::Seqpacket {
            return self.unix_dgram_unsent(id, truesize, Errno::EPIPE, io);
        }
        self.m.unix[id].state = UnixState::Close;
        self.m.unix_peer_wake_disconnect(id);
        self.m.set_unix_peer(id, None);
        // What it had been sent by that peer is thrown away.
        while let Some(skb) = self.m.unix[id].queue.pop_front() {
            self.m.unix_free_skb(&skb, &mut io.wakes);
        }
        self.unix_dgram_unsent(id, truesize, Errno::ECONNREFUSED, io)
    }

    pub(super) fn unix_dgram_recv(
        &mut self,
        caller: Caller,
        id: UnixId,
        receiving: Receiving,
        io: &mut Io,
    ) -> Attempt {
        let flags = receiving.flags;
        if flags.contains(MsgFlags::OOB) {
            return Attempt::fail(Errno::EOPNOTSUPP);
        }
        let sock = &mut self.m.unix[id];
        if let Some(errno) = sock.sk.take_err() {
            return Attempt::fail(errno);
        }
        let (shut, connects) = (sock.sk.shut_rd, sock.connects());
        let Some(skb) = sock.queue.front() else {
            return match self.unix_wait(caller, flags) {
                Attempt::Over(_) if !(shut && connects) => Attempt::fail(Errno::EAGAIN),
                _ if shut => io.read(),
                attempt => attempt,
            };
        };
        let (length, from) = (skb.data.len(), skb.from);
        let wanted = receiving.wanted().min(length);
        if receiving.room() < wanted {
            return Attempt::fail(Errno::EFAULT);
        }
        io.bytes.extend_from_slice(&skb.data[..wanted]);
        self.m.unix_copy_addr(from, receiving, io);
        io.told.set(MsgFlags::TRUNC, wanted < length);
        let peek = flags.contains(MsgFlags::PEEK);
        self.m.unix_detach(id, 0, peek, io);
        if !peek {
            let skb = self.m.unix[id].queue.pop_front();
            self.m.wake_unix_peers(id, WRITABLE, Nr::One, &mut io.wakes);
            if let Some(skb) = skb {
                self.m.unix_free_skb(&skb, &mut io.wakes);
            }
        }
        if flags.contains(MsgFlags::TRUNC) {
            Attempt::Over(Ok(u64::try_from(length).unwrap_or(u64::MAX)))
        } else {
            io.read()
        }
    }
}
