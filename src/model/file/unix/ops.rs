//! The operations of a socket (`unix_stream_ops`, `unix_dgram_ops`, `unix_seqpacket_ops`): what it is, and what
//! those wait for who sleep on it.

use super::{UnixState, UnixType, WRITABLE};
use crate::abi::{
    Bytes, Errno, EventMask, IoctlArg, MsgFlags, Out, OutPtr, Ptr, Room, TaskId, request,
};
use crate::model::arena::{FileId, UnixId};
use crate::model::encode::{Encode, Encoder};
use crate::model::file::ops::{Awaited, Caller, FileOps, PollHeads, Poller, Released};
use crate::model::file::transfer::{Attempt, Io, Sending, What};
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
        (sock.wmem >= sock.sndbuf).then(|| self.unix_wait(caller, flags))
    }

    pub(super) fn unix_wait(&self, caller: Caller, flags: MsgFlags) -> Attempt {
        if self.m.files[caller.file].nonblocking() || flags.contains(MsgFlags::DONTWAIT) {
            Attempt::fail(Errno::EAGAIN)
        } else {
            Attempt::Sleep
        }
    }

    pub(super) fn unix_send(
        &mut self,
        caller: Caller,
        id: UnixId,
        (buf, flags): (&Ptr<Bytes>, MsgFlags),
        to: Option<&[u8]>,
        io: &mut Io,
    ) -> Attempt {
        let r#type = self.m.unix[id].r#type;
        match r#type {
            UnixType::Stream => self.unix_stream_send(caller, id, (buf, flags), to, io),
            UnixType::Datagram => self.unix_dgram_send(caller, id, (buf, flags), to, io),
            UnixType::Seqpacket if std::mem::take(&mut self.m.unix[id].reset) => {
                Attempt::fail(Errno::ECONNRESET)
            }
            UnixType::Seqpacket if self.m.unix[id].state != UnixState::Established => {
                Attempt::fail(Errno::ENOTCONN)
            }
            UnixType::Seqpacket => self.unix_dgram_send(caller, id, (buf, flags), None, io),
        }
    }

    pub(super) fn unix_recv(
        &mut self,
        caller: Caller,
        id: UnixId,
        (buf, count): (OutPtr, u64),
        flags: MsgFlags,
        io: &mut Io,
    ) -> Attempt {
        let sock = &self.m.unix[id];
        match (sock.r#type, sock.state) {
            (UnixType::Stream, UnixState::Established) => {
                self.unix_stream_recv(caller, id, (buf, count), flags, io)
            }
            (UnixType::Stream, _) => Attempt::fail(Errno::EINVAL),
            (UnixType::Seqpacket, UnixState::Close | UnixState::Listen) => {
                Attempt::fail(Errno::ENOTCONN)
            }
            (UnixType::Seqpacket | UnixType::Datagram, _) => {
                self.unix_dgram_recv(caller, id, (buf, count), flags, io)
            }
        }
    }
}

/// How much of a buffer can be written to, as far as `count` asks for it.
pub(super) fn room(buf: OutPtr, count: u64) -> usize {
    let room = match buf {
        OutPtr::Addr(_) => 0,
        OutPtr::Memory(Room::Bytes(room)) => room.min(count),
        OutPtr::Memory(_) => count,
    };
    usize::try_from(room).unwrap_or(usize::MAX)
}

impl FileOps for UnixId {
    /// `unix_poll`, `unix_dgram_poll`
    fn poll(self, m: &mut Machine, by: Poller) -> EventMask {
        let sock = &m.unix[self];
        let mut mask = sock.mask();
        let writable = match sock.r#type {
            UnixType::Stream => sock.writable(),
            UnixType::Datagram | UnixType::Seqpacket => {
                by.requested.intersects(WRITABLE) && sock.writable() && m.unix_peer_has_room(self)
            }
        };
        mask.set(WRITABLE, writable);
        mask
    }

    fn poll_heads(self, m: &Machine, _: TaskId) -> PollHeads {
        [Some(m.unix[self].wq), None]
    }

    fn queues(self, m: &Machine) -> PollHeads {
        let sock = &m.unix[self];
        [Some(sock.wq), Some(sock.peer_wait)]
    }

    fn describe(self, m: &Machine) -> (&'static str, String) {
        let sock = &m.unix[self];
        let name = match (sock.r#type, sock.state) {
            (UnixType::Stream, UnixState::Listen) => "unix stream, listening",
            (UnixType::Stream, _) => "unix stream",
            (UnixType::Datagram, _) => "unix datagram",
            (UnixType::Seqpacket, UnixState::Listen) => "unix seqpacket, listening",
            (UnixType::Seqpacket, _) => "unix seqpacket",
        };
        let unread: usize = sock.queue.iter().map(|skb| skb.unread().len()).sum();
        let mut content = format!(
            "{unread} bytes in {} messages, {} of {} sent",
            sock.queue.len(),
            sock.wmem,
            sock.sndbuf
        );
        for (shut, word) in [(sock.shut_rd, ", SHUT_RD"), (sock.shut_wr, ", SHUT_WR")] {
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
        kernel.unix_recv(caller, self, to, MsgFlags::empty(), io)
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

    fn socket<O: Observer>(
        self,
        kernel: &mut Kernel<'_, O>,
        caller: Caller,
        what: &What,
        io: &mut Io,
    ) -> Attempt {
        match what {
            What::Recv { buf, count, flags } => {
                kernel.unix_recv(caller, self, (*buf, *count), *flags, io)
            }
            What::Send(sending) => {
                let Sending { buf, flags, to, .. } = &**sending;
                kernel.unix_send(caller, self, (buf, *flags), to.as_deref(), io)
            }
            What::Accept { flags, fd } => kernel.unix_accept(caller, self, (*flags, *fd), io),
            What::Connect { to } => kernel.unix_connect(caller, self, to, io),
            What::Read { .. } | What::Write { .. } => {
                unreachable!("these have methods of their own")
            }
        }
    }

    fn awaited(self, m: &Machine, _: Caller, what: &What) -> Awaited {
        let sock = &m.unix[self];
        let own = |ready| Awaited {
            head: sock.wq,
            exclusive: false,
            ready,
            locked: false,
            place: Place::Head,
            func: WakeFn::Autoremove,
        };
        match what {
            What::Accept { .. } => Awaited {
                exclusive: true,
                place: Place::Tail,
                func: WakeFn::Receiver,
                ..own(!sock.queue.is_empty() || sock.shut_rd)
            },
            What::Read { .. } | What::Recv { .. } => {
                let ready = !sock.queue.is_empty() || sock.reset || sock.shut_rd;
                match sock.r#type {
                    UnixType::Stream => own(ready),
                    UnixType::Datagram | UnixType::Seqpacket => Awaited {
                        exclusive: true,
                        place: Place::Tail,
                        func: WakeFn::Receiver,
                        ..own(ready)
                    },
                }
            }
            What::Write { .. } | What::Send(_) => {
                if sock.wmem >= sock.sndbuf && !sock.reset && !sock.shut_wr {
                    return own(false);
                }
                let to = match what {
                    What::Send(sending) => match &sending.to {
                        Some(to) => m.unix_named(to),
                        None => sock.peer,
                    },
                    _ => sock.peer,
                };
                m.unix_waits_for(to.filter(|_| sock.r#type == UnixType::Datagram), own(true))
            }
            What::Connect { to } => m.unix_waits_for(m.unix_named(to), own(true)),
        }
    }

    /// `unix_ioctl`
    fn ioctl(self, m: &mut Machine, _: Caller, op: u32, arg: IoctlArg) -> Result<Out, Errno> {
        let sock = &m.unix[self];
        let bytes = match op {
            request::FIONREAD if sock.state == UnixState::Listen => return Err(Errno::EINVAL),
            request::FIONREAD if sock.r#type == UnixType::Datagram => {
                let first = sock.queue.front();
                first.map_or(0, |skb| skb.unread().len())
            }
            request::FIONREAD => sock.queue.iter().map(|skb| skb.unread().len()).sum(),
            _ => return Err(Errno::ENOTTY),
        };
        match arg {
            IoctlArg::IntOut(OutPtr::Memory(Room::Plenty)) => {
                Ok(Out::Int(i32::try_from(bytes).unwrap_or(i32::MAX)))
            }
            _ => Err(Errno::EFAULT),
        }
    }

    fn llseek(self, _: &mut Machine, _: FileId, _: i64, _: i32) -> Result<i64, Errno> {
        Err(Errno::ESPIPE)
    }

    /// `unix_release_sock`
    fn release(self, m: &mut Machine, _: TaskId) -> Released {
        m.unix_release(self)
    }

    fn free(self, m: &mut Machine) {
        m.put_unix(self);
    }
}

impl Machine {
    /// Sleeping until a receiver has room, if it has none now.
    pub(super) fn unix_waits_for(&self, receiver: Option<UnixId>, otherwise: Awaited) -> Awaited {
        match receiver.map(|receiver| &self.unix[receiver]) {
            Some(receiver) if receiver.queue_is_full() && !receiver.dead && !receiver.shut_rd => {
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
