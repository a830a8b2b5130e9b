//! Streams: bytes without borders, and one urgent byte (`unix_stream_sendmsg`,
//! `unix_stream_read_generic`).
//!
//! A large write goes out in pieces of up to 36 KiB, and each piece wakes the receiver. A read takes
//! pieces apart; each one that it uses up wakes the sender.
//!
//! The urgent byte (`MSG_OOB`) is a piece of its own in the queue. A plain read stops in front of it, and
//! read by `MSG_OOB` it leaves an empty piece behind, which is readable and holds nothing until the next
//! plain read meets it. With `SO_OOBINLINE` it is data among data, but a read still does not join it with what
//! came before.

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
    /// What a read leaves to the next one.
    Stop,
    /// Nothing.
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
        if flags.contains(MsgFlags::PEEK) {
            return self.unix_stream_peek(caller, id, receiving, io);
        }
        let length = match self.unix_head(id, so_far, io) {
            Head::Data(length) => length,
            Head::Stop => return io.read(),
            Head::Empty => return self.unix_stream_empty(caller, id, receiving, io),
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
        let skb = &mut self.m.unix[id].queue[0];
        io.bytes.extend_from_slice(&skb.unread()[..take]);
        skb.consumed += take;
        let read = skb.unread().is_empty();
        // What came with descriptors is not joined with what follows, though nobody asked for these. They go
        // with the first byte.
        let alone = !skb.rights.is_empty();
        self.m.unix_detach(id, 0, false, io);
        if !read {
            return io.read();
        }
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

    /// What stands at the head, once what a plain read passes over is gone (`manage_oob`).
    fn unix_head(&mut self, id: UnixId, so_far: usize, io: &mut Io) -> Head {
        loop {
            let sock = &mut self.m.unix[id];
            let urgent_follows = sock.queue.iter().any(|skb| skb.urgent);
            let Some(skb) = sock.queue.front_mut() else {
                return Head::Empty;
            };
            let unread = skb.unread().len();
            let stops = if skb.urgent {
                so_far > 0
            } else if unread > 0 {
                return Head::Data(unread);
            } else {
                // What is left of an urgent byte that was read.
                so_far > 0 && !urgent_follows
            };
            if stops {
                return Head::Stop;
            }
            if std::mem::take(&mut skb.urgent) && sock.sk.oobinline {
                // It is data like any other from here on.
                return Head::Data(unread);
            }
            self.unix_pop(id, io);
        }
    }

    /// Nothing to take: that is the end, if it is enough, or if there is a reason not to wait for more.
    fn unix_stream_empty(
        &mut self,
        caller: Caller,
        id: UnixId,
        receiving: Receiving,
        io: &mut Io,
    ) -> Attempt {
        let sock = &mut self.m.unix[id];
        let so_far = io.bytes.len();
        if so_far > 0 && so_far >= sock.sk.rcvlowat(receiving.wanted()) {
            return io.read();
        }
        let over = match sock.sk.take_err() {
            Some(errno) => Attempt::fail(errno),
            None if sock.sk.shut_rd => io.read(),
            None => self.unix_wait(caller, receiving.flags),
        };
        match over {
            // What was read so far is the answer.
            Attempt::Over(_) if so_far > 0 => io.read(),
            over => over,
        }
    }

    /// As a read, but everything stays where it is.
    fn unix_stream_peek(
        &mut self,
        caller: Caller,
        id: UnixId,
        receiving: Receiving,
        io: &mut Io,
    ) -> Attempt {
        let sock = &self.m.unix[id];
        let inline = sock.sk.oobinline;
        let passes = |skb: &&Skb| skb.urgent && !inline || skb.unread().is_empty();
        let pieces = sock.queue.iter().enumerate();
        let mut pieces = pieces.skip_while(|(_, skb)| passes(skb)).peekable();
        let Some((first, skb)) = pieces.peek().copied() else {
            return self.unix_stream_empty(caller, id, receiving, io);
        };
        let (from, room) = (skb.from, receiving.room());
        if room == 0 && receiving.wanted() > 0 {
            return Attempt::fail(Errno::EFAULT);
        }
        let mut with_files = None;
        for (place, skb) in pieces {
            let left = room - io.bytes.len();
            let stops = skb.urgent || skb.unread().is_empty() || left == 0;
            if place > first && stops {
                break;
            }
            let unread = skb.unread();
            io.bytes
                .extend_from_slice(&unread[..unread.len().min(left)]);
            if !skb.rights.is_empty() {
                with_files = Some(place);
                break;
            }
        }
        self.m.unix_copy_addr(from, receiving, io);
        if let Some(place) = with_files {
            self.m.unix_detach(id, place, true, io);
        }
        io.read()
    }

    /// `unix_stream_recv_urg`
    fn unix_recv_urgent(&mut self, id: UnixId, receiving: Receiving, io: &mut Io) -> Attempt {
        let sock = &mut self.m.unix[id];
        let mut pieces = sock.queue.iter_mut();
        let urgent = pieces.find(|skb| skb.urgent && !skb.unread().is_empty());
        let Some(skb) = urgent.filter(|_| !sock.sk.oobinline) else {
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
        io.told |= MsgFlags::OOB;
        io.read()
    }
}
