//! The operations of a socket (`inet_stream_ops`, `tcp_prot`): what it is, and what those wait for who sleep
//! on it.

use super::{TcpSock, TcpState};
use crate::abi::socket::{IPPROTO_TCP, SockOpt, TCP_NODELAY};
use crate::abi::{
    Bytes, Errno, EventMask, IoctlArg, MsgFlags, Out, OutPtr, Ptr, SockAddr, TaskId, request,
};
use crate::model::arena::{FileId, TcpId};
use crate::model::encode::{Encode, Encoder};
use crate::model::file::inet::Inet;
use crate::model::file::ops::{Awaited, Caller, FileOps, PollHeads, Poller, Released, put_user};
use crate::model::file::socket::{Directions, End, Needs, Sock, Socket, SocketOps};
use crate::model::file::transfer::{Attempt, Io, Receiving, Sending, Wakes, What};
use crate::model::net::Proto;
use crate::model::wait_queue::WakeFn;
use crate::model::{Kernel, Machine};
use crate::trace::{Observer, Place};

impl TcpSock {
    /// Whether one who sleeps for something to read has a reason to look again (`sk_wait_data`).
    fn may_read(&self) -> bool {
        self.rcv.unread() > 0
            || self.rcv.done
            || self.sk.shut_rd
            || self.sk.err.is_some()
            || self.state == TcpState::Close
    }

    /// The same for one who sleeps for room (`sk_stream_wait_memory`), or for a connection to send on.
    fn may_write(&self) -> bool {
        self.sk.err.is_some()
            || self.sk.shut_wr
            || (!self.is_being_connected() && self.has_memory())
    }

    /// What ioctl(2) says.
    fn inq(&self) -> u64 {
        match self.is_being_connected() {
            true => 0,
            false => self.rcv.inq(self.sk.oobinline),
        }
    }
}

impl FileOps for TcpId {
    fn poll(self, m: &mut Machine, _: Poller) -> EventMask {
        m.tcp_poll(self)
    }

    fn queues(self, m: &Machine) -> PollHeads {
        [Some(m.tcp[self].sk.wq), None]
    }

    fn describe(self, m: &Machine) -> (&'static str, String) {
        let sock = &m.tcp[self];
        let state = sock.state.name();
        if sock.state == TcpState::Listen {
            let waiting = sock.queue.len();
            return (
                "tcp",
                format!("{state}, {waiting} of {} to accept", sock.backlog + 1),
            );
        }
        let mut content = format!(
            "{state}, {} bytes in, {} out, {} of {} used",
            sock.rcv.unread(),
            sock.snd.outq(),
            sock.snd.queued(),
            sock.sk.sndbuf
        );
        let words = [
            (sock.rcv.urgent.is_some(), ", urgent byte"),
            (sock.nospace, ", NOSPACE"),
            (sock.sk.shut_rd, ", SHUT_RD"),
            (sock.sk.shut_wr, ", SHUT_WR"),
        ];
        for (said, word) in words {
            content.push_str(if said { word } else { "" });
        }
        let packets = m.net.packets().filter(|it| it.flow.proto == Proto::Tcp);
        for packet in packets.filter(|packet| m.tcp_lookup(packet.flow) == Some(self)) {
            content.push_str(&format!(", {} on its way", packet.body.tell()));
        }
        if let Some(err) = sock.sk.err {
            content.push_str(&format!(", {err}"));
        }
        ("tcp", content)
    }

    fn encode_state(self, to: &mut Encoder<'_>) {
        Socket::Tcp(self).encode(to);
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
        let waits = kernel.m.files[caller.file].may_wait(MsgFlags::empty());
        kernel.m.tcp_recvmsg(self, &Receiving::plain(to), waits, io)
    }

    fn write<O: Observer>(
        self,
        kernel: &mut Kernel<'_, O>,
        caller: Caller,
        (buf, _): (&Ptr<Bytes>, u64),
        io: &mut Io,
    ) -> Attempt {
        kernel.tcp_sendmsg(caller, self, (buf, MsgFlags::empty()), io)
    }

    fn as_socket(self) -> Option<Socket> {
        Some(Socket::Tcp(self))
    }

    fn awaited(self, m: &Machine, _: Caller, what: &What) -> Awaited {
        let sock = &m.tcp[self];
        let stays = |ready| Awaited {
            head: sock.sk.wq,
            exclusive: false,
            ready,
            locked: false,
            place: Place::Head,
            func: WakeFn::Default,
        };
        match what {
            What::Accept(_) => Awaited {
                exclusive: true,
                place: Place::Tail,
                func: WakeFn::Autoremove,
                ..stays(!sock.queue.is_empty() || sock.state != TcpState::Listen)
            },
            What::Connect { .. } => stays(!sock.is_being_connected()),
            What::Read { .. } | What::Recv(_) => stays(sock.may_read()),
            What::Write { .. } | What::Send(_) => stays(sock.may_write()),
            What::Splice(_) | What::WriteEach { .. } => {
                unreachable!("no call on a socket is one of these")
            }
        }
    }

    /// `tcp_ioctl`
    fn ioctl(self, m: &mut Machine, _: Caller, op: u32, arg: IoctlArg) -> Result<Out, Errno> {
        let sock = &m.tcp[self];
        let bytes = match op {
            request::FIONREAD if sock.state == TcpState::Listen => return Err(Errno::EINVAL),
            request::FIONREAD => sock.inq(),
            _ => return Err(Errno::ENOTTY),
        };
        put_user(arg, bytes)
    }

    fn llseek(self, _: &mut Machine, _: FileId, _: i64, _: i32) -> Result<i64, Errno> {
        Err(Errno::ESPIPE)
    }

    /// `inet_release`
    fn release(self, m: &mut Machine, _: TaskId) -> Released {
        let mut wakes = Wakes::default();
        m.tcp_close(self, &mut wakes);
        Released::Done(wakes)
    }

    fn free(self, m: &mut Machine) {
        m.put_socket(Socket::Tcp(self));
    }
}

impl SocketOps for TcpId {
    fn sk(self, m: &Machine) -> &Sock {
        &m.tcp[self].sk
    }

    fn sk_mut(self, m: &mut Machine) -> &mut Sock {
        &mut m.tcp[self].sk
    }

    fn inet(self, m: &Machine) -> Option<&Inet> {
        Some(&m.tcp[self].inet)
    }

    fn inet_mut(self, m: &mut Machine) -> Option<&mut Inet> {
        Some(&mut m.tcp[self].inet)
    }

    fn listens(self, m: &Machine) -> bool {
        m.tcp[self].state == TcpState::Listen
    }

    fn bind(self, m: &mut Machine, addr: &SockAddr) -> Result<(), Errno> {
        m.tcp_bind(self, addr)
    }

    fn listen(self, m: &mut Machine, backlog: i32, _: &mut Wakes) -> Result<(), Errno> {
        m.tcp_listen(self, backlog)
    }

    fn shutdown(
        self,
        m: &mut Machine,
        directions: Directions,
        wakes: &mut Wakes,
    ) -> Result<(), Errno> {
        m.tcp_shutdown(self, directions, wakes)
    }

    fn name(self, m: &Machine, end: End) -> Result<SockAddr, Errno> {
        m.tcp_getname(self, end)
    }

    fn attempt<O: Observer>(
        self,
        kernel: &mut Kernel<'_, O>,
        caller: Caller,
        what: &What,
        io: &mut Io,
    ) -> Attempt {
        match what {
            What::Recv(receiving) => {
                let waits = kernel.m.files[caller.file].may_wait(receiving.flags);
                kernel.m.tcp_recvmsg(self, receiving, waits, io)
            }
            What::Send(sending) => {
                // A stream knows where to, whatever the call says.
                let Sending { buf, flags, .. } = &**sending;
                kernel.tcp_sendmsg(caller, self, (buf, *flags), io)
            }
            What::Accept(accepting) => kernel.tcp_accept(caller, self, *accepting, io),
            What::Connect { to } => kernel.tcp_connect(caller, self, to, io),
            What::Read { .. } | What::Write { .. } | What::WriteEach { .. } | What::Splice(_) => {
                unreachable!("these have methods of their own")
            }
        }
    }

    fn setsockopt(
        self,
        m: &mut Machine,
        (level, optname): (i32, i32),
        value: Result<SockOpt, Errno>,
        _: &mut Wakes,
    ) -> Result<(), Errno> {
        match (level, optname) {
            (IPPROTO_TCP, TCP_NODELAY) => {
                m.tcp[self].nodelay = value?.int() != 0;
                if m.tcp[self].nodelay {
                    // What has waited goes.
                    m.tcp_push(self);
                }
                Ok(())
            }
            _ => Err(Errno::ENOPROTOOPT),
        }
    }

    fn getsockopt(self, m: &mut Machine, (level, optname): (i32, i32)) -> Result<SockOpt, Errno> {
        match (level, optname) {
            (IPPROTO_TCP, TCP_NODELAY) => Ok(SockOpt::Int(m.tcp[self].nodelay.into())),
            _ => Err(Errno::ENOPROTOOPT),
        }
    }

    fn write_space(self, m: &mut Machine, wakes: &mut Wakes) {
        m.tcp_write_space(self, wakes);
    }

    /// `tcp_set_rcvlowat`: who has enough of it now is told.
    fn rcvlowat_changed(self, m: &mut Machine, wakes: &mut Wakes) {
        m.tcp_data_ready(self, wakes);
    }

    fn needs(self, m: &Machine, needs: &mut Needs) {
        let sock = &m.tcp[self];
        let hashed = sock.is_hashed().then_some(self);
        let sockets = hashed.into_iter().chain(sock.queue.iter().copied());
        needs.sockets.extend(sockets.map(Socket::Tcp));
    }

    fn destroy(self, m: &mut Machine) {
        m.tcp.remove(self);
    }

    fn check(self, m: &Machine) -> Result<(), String> {
        let sock = &m.tcp[self];
        sock.snd.check()?;
        let in_queue = u64::try_from(sock.rcv.queue.len()).unwrap_or(u64::MAX);
        if sock.rcv.unread() != in_queue {
            return Err(format!(
                "{} of {in_queue} bytes are unread",
                sock.rcv.unread()
            ));
        }
        if sock.queue.len() > sock.backlog + 1 {
            return Err(format!("{} wait to be accepted", sock.queue.len()));
        }
        if sock.state == TcpState::Close && sock.due().is_some() {
            return Err("it is closed, and has a timer".to_owned());
        }
        Ok(())
    }

    fn encode_socket(self, to: &mut Encoder<'_>) {
        to.machine.tcp[self].encode(to);
    }
}
