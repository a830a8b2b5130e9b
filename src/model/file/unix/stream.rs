//! Streams: bytes without borders, and one urgent byte (`unix_stream_sendmsg`,
//! `unix_stream_read_generic`).
//!
//! A large write goes out in pieces of up to 36 KiB, and each piece wakes the receiver. A read takes
//! pieces apart; each one that it uses up wakes the sender.
//!
//! The urgent byte (`MSG_OOB`) is a piece of its own in the queue. A plain read stops in front of it, and
//! read by `MSG_OOB` it leaves an empty piece behind, which is readable and holds nothing until the next
//! plain read meets it.

use super::{Skb, memory};
use crate::abi::{Bytes, Errno, MsgFlags, Ptr, SockAddr};
use crate::model::Kernel;
use crate::model::arena::UnixId;
use crate::model::file::ops::Caller;
use crate::model::file::socket::Socket;
use crate::model::file::transfer::{Attempt, Io, Receiving};
use crate::model::file::unix::UnixState;
use crate::trace::Observer;

/// What a plain read finds at the head of the queue (`manage_oob`).
enum Head {
    /// This many bytes to take from the first piece.
    Data(usize),
    /// Nothing, or nothing that a plain read may take.
    Empty,
}

impl<O: Observer> Kernel<'_, O> {
    /// One piece of a write.
    pub(super) fn unix_stream_send(
        &mut self,
        caller: Caller,
        id: UnixId,
        (buf, flags): (&Ptr<Bytes>, MsgFlags),
        to: Option<&SockAddr>,
        io: &mut Io,
    ) -> Attempt {
        let sock = &self.m.unix[id];
        let Ptr::To(bytes) = buf else {
            return Attempt::fail(Errno::EFAULT);
        };
        let urgent = flags.contains(MsgFlags::OOB);
        if urgent && bytes.is_empty() {
            return Attempt::fail(Errno::EOPNOTSUPP);
        }
        if to.is_some() {
            return Attempt::fail(if sock.state == UnixState::Established {
                Errno::EISCONN
            } else {
                Errno::EOPNOTSUPP
            });
        }
        let Some(other) = sock.peer else {
            return Attempt::fail(Errno::ENOTCONN);
        };
        let left = bytes.len() - io.written;
        // The urgent byte goes last, and on its own.
        let plain = left.saturating_sub(usize::from(urgent));
        let is_urgent = urgent && plain == 0;
        if sock.sk.shut_wr {
            return self.unix_broken_pipe(caller, flags, io);
        }
        if left == 0 {
            return io.sent();
        }
        let length = if is_urgent {
            1
        } else {
            let plain = u64::try_from(plain).unwrap_or(u64::MAX);
            memory::stream_piece(plain, sock.sk.sndbuf)
        };
        match self.unix_no_room(caller, id, flags) {
            // What was sent so far is the answer.
            Some(Attempt::Over(_)) if io.written > 0 => return io.sent(),
            Some(attempt) => return attempt,
            None => {}
        }
        let receiver = &self.m.unix[other];
        if receiver.sk.dead || receiver.sk.shut_rd {
            return self.unix_broken_pipe(caller, flags, io);
        }
        let end = io.written + usize::try_from(length).unwrap_or(usize::MAX);
        let skb = Skb {
            from: id,
            data: bytes[io.written..end].to_vec(),
            consumed: 0,
            truesize: memory::stream_truesize(length),
            urgent: is_urgent,
            rights: std::mem::take(&mut io.wakes.sockets().rights),
            connection: false,
        };
        if is_urgent {
            // One that was urgent before is data like any other now.
            for earlier in &mut self.m.unix[other].queue {
                earlier.urgent = false;
            }
        }
        self.m.unix_queue(other, skb);
        self.m.sk_data_ready(Socket::Unix(other), &mut io.wakes);
        io.written = end;
        if io.written == bytes.len() {
            io.sent()
        } else {
            Attempt::More
        }
    }

    /// What a write meets whose receiver is gone: the signal comes with the error.
    fn unix_broken_pipe(&mut self, caller: Caller, flags: MsgFlags, io: &mut Io) -> Attempt {
        if io.written > 0 {
            return io.sent();
        }
        if !flags.contains(MsgFlags::NOSIGNAL) {
            if self.m.is_signal_held_up(caller.task) {
                return Attempt::Locked;
            }
            self.send_sigpipe(caller.task);
        }
        Attempt::fail(Errno::EPIPE)
    }

    /// One piece of a read, or as much of it as there is room for.
    pub(super) fn unix_stream_recv(
        &mut self,
        caller: Caller,
        id: UnixId,
        receiving: Receiving,
        io: &mut Io,
    ) -> Attempt {
        let flags = receiving.flags;
        if flags.contains(MsgFlags::OOB) {
            return self.unix_recv_urgent(id, receiving, io);
        }
        let room = receiving.room();
        let so_far = io.bytes.len();
        let Head::Data(length) = self.unix_head(id, so_far, io) else {
            return self.unix_stream_empty(caller, id, flags, io);
        };
        let wanted = receiving.wanted();
        if wanted == so_far {
            return io.read();
        }
        let take = length.min(room - so_far);
        if take == 0 && length > 0 {
            // The buffer ends here, though the call asked for more.
            return if so_far > 0 {
                io.read()
            } else {
                Attempt::fail(Errno::EFAULT)
            };
        }
        if so_far == 0 {
            let from = self.m.unix[id].queue[0].from;
            self.m.unix_copy_addr(from, receiving, io);
        }
        if flags.contains(MsgFlags::PEEK) {
            return self.unix_stream_peek(id, room, io);
        }
        let sock = &mut self.m.unix[id];
        let skb = &mut sock.queue[0];
        io.bytes.extend_from_slice(&skb.unread()[..take]);
        skb.consumed += take;
        if !skb.unread().is_empty() {
            return io.read();
        }
        // What came with descriptors is not joined with what follows, though nobody asked for these.
        let alone = !skb.rights.is_empty();
        self.unix_pop(id, io);
        let full = io.bytes.len() == wanted;
        if full || alone {
            io.read()
        } else {
            Attempt::More
        }
    }

    /// The first piece is used up: it goes, and its sender hears of it.
    fn unix_pop(&mut self, id: UnixId, io: &mut Io) {
        if let Some(skb) = self.m.unix[id].queue.pop_front() {
            self.m.unix_free_skb(&skb, &mut io.wakes);
        }
    }

    /// What stands at the head, once what a plain read passes over is gone.
    fn unix_head(&mut self, id: UnixId, so_far: usize, io: &mut Io) -> Head {
        loop {
            let queue = &self.m.unix[id].queue;
            let Some(skb) = queue.front() else {
                return Head::Empty;
            };
            let read = skb.unread().is_empty();
            if !skb.urgent && !read {
                return Head::Data(skb.unread().len());
            }
            // A read stops in front of the urgent byte.
            if so_far > 0 {
                return Head::Empty;
            }
            let follows = queue.len() > 1;
            self.unix_pop(id, io);
            if !follows {
                return Head::Empty;
            }
        }
    }

    fn unix_stream_empty(
        &mut self,
        caller: Caller,
        id: UnixId,
        flags: MsgFlags,
        io: &mut Io,
    ) -> Attempt {
        let sock = &mut self.m.unix[id];
        if !io.bytes.is_empty() {
            return io.read();
        }
        if let Some(errno) = sock.sk.take_err() {
            return Attempt::fail(errno);
        }
        if sock.sk.shut_rd {
            return io.read();
        }
        self.unix_wait(caller, flags)
    }

    /// As a read, but everything stays where it is.
    fn unix_stream_peek(&mut self, id: UnixId, room: usize, io: &mut Io) -> Attempt {
        let pieces = self.m.unix[id].queue.iter();
        let plain = pieces.take_while(|skb| !skb.urgent);
        let bytes = plain.flat_map(|skb| skb.unread().iter().copied());
        io.bytes = bytes.take(room).collect::<Vec<u8>>().into();
        io.read()
    }

    /// `unix_stream_recv_urg`
    fn unix_recv_urgent(&mut self, id: UnixId, receiving: Receiving, io: &mut Io) -> Attempt {
        let queue = &mut self.m.unix[id].queue;
        let urgent = queue
            .iter_mut()
            .find(|skb| skb.urgent && !skb.unread().is_empty());
        let Some(skb) = urgent else {
            return Attempt::fail(Errno::EINVAL);
        };
        if receiving.room() == 0 {
            return Attempt::fail(Errno::EFAULT);
        }
        io.bytes.extend_from_slice(skb.unread());
        if !receiving.flags.contains(MsgFlags::PEEK) {
            // It stays in the queue, empty, and is no longer urgent.
            skb.consumed = skb.data.len();
            skb.urgent = false;
        }
        io.read()
    }
}
