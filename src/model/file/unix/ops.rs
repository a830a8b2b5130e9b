//! The operations of a socket (`unix_stream_ops`, `unix_dgram_ops`, `unix_seqpacket_ops`): what it is, and what
//! those wait for who sleep on it.

use super::UnixState;
use crate::abi::{
    Bytes, Errno, EventMask, IoctlArg, MsgFlags, Out, OutPtr, Ptr, SockAddr, TaskId, request,
};
use crate::model::arena::{FileId, UnixId, WaitId};
use crate::model::encode::{Encode, Encoder};
use crate::model::file::ops::{Awaited, Caller, FileOps, PollHeads, Poller, Released, put_user};
use crate::model::file::socket::{
    Directions, End, Needs, Sock, SockType, Socket, SocketOps, WRITABLE,
};
use crate::model::file::transfer::{Attempt, Io, Receiving, Sending, Wakes, What};
use crate::model::wait_queue::WakeFn;
use crate::model::{Kernel, Machine};
use crate::trace::{Observer, Place};

impl<O: Observer> Kernel<'_, O> {
    /// Whether there is no room for one more message: then what to do about it (`sock_alloc_send_pskb`).
    pub(super) fn unix_no_room(
        &self,
        caller: Caller,
        id: UnixId,
        flags: MsgFlags,
    ) -> Option<Attempt> {
        let sock = &self.m.unix[id];
        (sock.sk.wmem >= sock.sk.sndbuf).then(|| self.unix_wait(caller, flags))
    }

    pub(super) fn unix_wait(&self, caller: Caller, flags: MsgFlags) -> Attempt {
        if self.m.files[caller.file].may_wait(flags) {
            Attempt::Sleep
        } else {
            Attempt::fail(Errno::EAGAIN)
        }
    }

    pub(super) fn unix_send(
        &mut self,
        caller: Caller,
        id: UnixId,
        (buf, flags): (&Ptr<Bytes>, MsgFlags),
        to: Option<&SockAddr>,
        io: &mut Io,
    ) -> Attempt {
        let r#type = self.m.unix[id].sk.r#type;
        match r#type {
            SockType::Stream => self.unix_stream_send(caller, id, (buf, flags), to, io),
            SockType::Datagram => self.unix_dgram_send(caller, id, (buf, flags), to, io),
            SockType::Seqpacket => {
                let sock = &mut self.m.unix[id];
                if let Some(errno) = sock.sk.take_err() {
                    return Attempt::fail(errno);
                }
                if sock.state != UnixState::Established {
                    return Attempt::fail(Errno::ENOTCONN);
                }
                self.unix_dgram_send(caller, id, (buf, flags), None, io)
            }
        }
    }

    pub(super) fn unix_recv(
        &mut self,
        caller: Caller,
        id: UnixId,
        receiving: Receiving,
        io: &mut Io,
    ) -> Attempt {
        let sock = &self.m.unix[id];
        match (sock.sk.r#type, sock.state) {
            (SockType::Stream, UnixState::Established) => {
                self.unix_stream_recv(caller, id, receiving, io)
            }
            (SockType::Stream, _) => Attempt::fail(Errno::EINVAL),
            (SockType::Seqpacket, UnixState::Close | UnixState::Listen) => {
                Attempt::fail(Errno::ENOTCONN)
            }
            (SockType::Seqpacket | SockType::Datagram, _) => {
                self.unix_dgram_recv(caller, id, receiving, io)
            }
        }
    }
}

impl FileOps for UnixId {
    /// `unix_poll`, `unix_dgram_poll`
    fn poll(self, m: &mut Machine, by: Poller) -> EventMask {
        let sock = &m.unix[self];
        let mut mask = sock.mask();
        let writable = match sock.sk.r#type {
            SockType::Stream => sock.writable(),
            SockType::Datagram | SockType::Seqpacket => {
                by.requested.intersects(WRITABLE) && sock.writable() && m.unix_peer_has_room(self)
            }
        };
        mask.set(WRITABLE, writable);
        mask
    }

    fn poll_heads(self, m: &Machine, _: TaskId) -> PollHeads {
        [Some(m.unix[self].sk.wq), None]
    }

    fn queues(self, m: &Machine) -> PollHeads {
        let sock = &m.unix[self];
        [Some(sock.sk.wq), Some(sock.peer_wait)]
    }

    fn describe(self, m: &Machine) -> (&'static str, String) {
        let sock = &m.unix[self];
        let name = match (sock.sk.r#type, sock.state) {
            (SockType::Stream, UnixState::Listen) => "unix stream, listening",
            (SockType::Stream, _) => "unix stream",
            (SockType::Datagram, _) => "unix datagram",
            (SockType::Seqpacket, UnixState::Listen) => "unix seqpacket, listening",
            (SockType::Seqpacket, _) => "unix seqpacket",
        };
        let unread: usize = sock.queue.iter().map(|skb| skb.unread().len()).sum();
        let mut content = format!(
            "{unread} bytes in {} messages, {} of {} sent",
            sock.queue.len(),
            sock.sk.wmem,
            sock.sk.sndbuf
        );
        for (shut, word) in [
            (sock.sk.shut_rd, ", SHUT_RD"),
            (sock.sk.shut_wr, ", SHUT_WR"),
        ] {
            content.push_str(if shut { word } else { "" });
        }
        (name, content)
    }

    fn encode_state(self, to: &mut Encoder<'_>) {
        self.encode(to);
    }

    fn read<O: Observer>(
        self,
        kernel: &mut Kernel<'_, O>,
        caller: Caller,
        to: (OutPtr, u64),
        io: &mut Io,
    ) -> Attempt {
        if to.1 == 0 {
            return io.stored(Vec::new());
        }
        kernel.unix_recv(caller, self, Receiving::plain(to), io)
    }

    fn write<O: Observer>(
        self,
        kernel: &mut Kernel<'_, O>,
        caller: Caller,
        (buf, _): (&Ptr<Bytes>, u64),
        io: &mut Io,
    ) -> Attempt {
        kernel.unix_send(caller, self, (buf, MsgFlags::empty()), None, io)
    }

    fn as_socket(self) -> Option<Socket> {
        Some(Socket::Unix(self))
    }

    fn awaited(self, m: &Machine, _: Caller, what: &What) -> Awaited {
        let sock = &m.unix[self];
        let own = |ready| Awaited {
            head: sock.sk.wq,
            exclusive: false,
            ready,
            locked: false,
            place: Place::Head,
            func: WakeFn::Autoremove,
        };
        match what {
            What::Accept(_) => Awaited {
                exclusive: true,
                place: Place::Tail,
                func: WakeFn::Receiver,
                ..own(!sock.queue.is_empty() || sock.sk.shut_rd)
            },
            What::Read { .. } | What::Recv(_) => {
                let ready = !sock.queue.is_empty() || sock.sk.err.is_some() || sock.sk.shut_rd;
                match sock.sk.r#type {
                    SockType::Stream => own(ready),
                    SockType::Datagram | SockType::Seqpacket => Awaited {
                        exclusive: true,
                        place: Place::Tail,
                        func: WakeFn::Receiver,
                        ..own(ready)
                    },
                }
            }
            What::Write { .. } | What::Send(_) => {
                if sock.sk.wmem >= sock.sk.sndbuf && sock.sk.err.is_none() && !sock.sk.shut_wr {
                    return own(false);
                }
                let to = match what {
                    What::Send(sending) => match &sending.to {
                        Some(to) => m.unix_named(self, to.unix_name().unwrap_or_default()),
                        None => sock.peer,
                    },
                    _ => sock.peer,
                };
                m.unix_waits_for(
                    to.filter(|_| sock.sk.r#type == SockType::Datagram),
                    own(true),
                )
            }
            What::Connect { to } => {
                let listener = m.unix_named(self, to.unix_name().unwrap_or_default());
                m.unix_waits_for(listener, own(true))
            }
            What::Splice(_) | What::WriteEach { .. } => {
                unreachable!("a splice waits for its pipe, and a socket takes all parts at once")
            }
        }
    }

    /// `unix_ioctl`
    fn ioctl(self, m: &mut Machine, _: Caller, op: u32, arg: IoctlArg) -> Result<Out, Errno> {
        let sock = &m.unix[self];
        let bytes = match op {
            request::FIONREAD if sock.state == UnixState::Listen => return Err(Errno::EINVAL),
            request::FIONREAD if sock.sk.r#type == SockType::Datagram => {
                let first = sock.queue.front();
                first.map_or(0, |skb| skb.unread().len())
            }
            request::FIONREAD => sock.queue.iter().map(|skb| skb.unread().len()).sum(),
            _ => return Err(Errno::ENOTTY),
        };
        put_user(arg, bytes)
    }

    fn llseek(self, _: &mut Machine, _: FileId, _: i64, _: i32) -> Result<i64, Errno> {
        Err(Errno::ESPIPE)
    }

    /// `unix_release_sock`
    fn release(self, m: &mut Machine, _: TaskId) -> Released {
        m.unix_release(self)
    }

    fn free(self, m: &mut Machine) {
        m.put_socket(Socket::Unix(self));
    }
}

impl SocketOps for UnixId {
    fn sk(self, m: &Machine) -> &Sock {
        &m.unix[self].sk
    }

    fn sk_mut(self, m: &mut Machine) -> &mut Sock {
        &mut m.unix[self].sk
    }

    fn listens(self, m: &Machine) -> bool {
        m.unix[self].state == UnixState::Listen
    }

    fn bind(self, m: &mut Machine, addr: &SockAddr) -> Result<(), Errno> {
        m.unix_bind(self, addr)
    }

    fn listen(self, m: &mut Machine, backlog: i32, wakes: &mut Wakes) -> Result<(), Errno> {
        m.unix_listen(self, backlog, wakes)
    }

    fn shutdown(
        self,
        m: &mut Machine,
        directions: Directions,
        wakes: &mut Wakes,
    ) -> Result<(), Errno> {
        m.unix_shutdown(self, directions, wakes);
        Ok(())
    }

    fn name(self, m: &Machine, end: End) -> Result<SockAddr, Errno> {
        m.unix_getname(self, end)
    }

    fn attempt<O: Observer>(
        self,
        kernel: &mut Kernel<'_, O>,
        caller: Caller,
        what: &What,
        io: &mut Io,
    ) -> Attempt {
        match what {
            What::Recv(receiving) => kernel.unix_recv(caller, self, *receiving, io),
            What::Send(sending) => {
                let Sending { buf, flags, to, .. } = &**sending;
                kernel.unix_send(caller, self, (buf, *flags), to.as_deref(), io)
            }
            What::Accept(accepting) => kernel.unix_accept(caller, self, *accepting, io),
            What::Connect { to } => kernel.unix_connect(caller, self, to, io),
            What::Read { .. } | What::Write { .. } | What::WriteEach { .. } | What::Splice(_) => {
                unreachable!("these have methods of their own")
            }
        }
    }

    fn write_space(self, m: &mut Machine, wakes: &mut Wakes) {
        m.unix_write_space(self, wakes);
    }

    fn entry(self, m: &Machine) -> Option<WaitId> {
        m.unix[self].peer_wake
    }

    fn needs(self, m: &Machine, needs: &mut Needs) {
        let sock = &m.unix[self];
        let senders = sock.queue.iter().map(|skb| skb.from);
        let others = sock.peer.into_iter().chain(senders);
        needs.sockets.extend(others.map(Socket::Unix));
        let rights = sock.queue.iter().flat_map(|skb| &skb.rights);
        needs.files.extend(rights);
    }

    fn destroy(self, m: &mut Machine) {
        m.destroy_unix(self);
    }

    fn check(self, m: &Machine) -> Result<(), String> {
        let sock = &m.unix[self];
        let queues = m.unix.live().into_iter().map(|id| &m.unix[id].queue);
        let own = queues.flatten().filter(|skb| skb.from == self);
        let sent: u64 = own.map(|skb| skb.truesize).sum();
        if sock.sk.wmem != sent {
            return Err(format!("{} of {sent} bytes are charged", sock.sk.wmem));
        }
        match sock.queue.iter().filter(|skb| skb.urgent).count() {
            0 | 1 => Ok(()),
            urgent => Err(format!("{urgent} urgent bytes")),
        }
    }

    fn encode_socket(self, to: &mut Encoder<'_>) {
        to.machine.unix[self].encode(to);
    }
}

impl Machine {
    /// Sleeping until a receiver has room, if it has none now.
    pub(super) fn unix_waits_for(&self, receiver: Option<UnixId>, otherwise: Awaited) -> Awaited {
        match receiver.map(|receiver| &self.unix[receiver]) {
            Some(receiver)
                if receiver.queue_is_full() && !receiver.sk.dead && !receiver.sk.shut_rd =>
            {
                Awaited {
                    head: receiver.peer_wait,
                    exclusive: true,
                    ready: false,
                    locked: false,
                    place: Place::Tail,
                    func: WakeFn::Autoremove,
                }
            }
            _ => otherwise,
        }
    }
}
