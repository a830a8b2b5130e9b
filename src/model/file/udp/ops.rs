//! The operations of a UDP socket (`inet_dgram_ops`, `udp_prot`).

use crate::abi::socket::{IP_RECVERR, IPPROTO_IP, SockOpt};
use crate::abi::{
    Bytes, Errno, EventMask, IoctlArg, MsgFlags, Out, OutPtr, Ptr, SockAddr, TaskId, request,
};
use crate::model::arena::{FileId, UdpId};
use crate::model::encode::{Encode, Encoder};
use crate::model::file::inet::{Inet, destination};
use crate::model::file::ops::{Awaited, Caller, FileOps, PollHeads, Poller, Released, put_user};
use crate::model::file::socket::{Directions, End, Needs, Sock, Socket, SocketOps, WRITABLE};
use crate::model::file::transfer::{Attempt, Io, Receiving, Sending, Wakes, What};
use crate::model::wait_queue::{Nr, WakeFn};
use crate::model::{Kernel, Machine};
use crate::trace::{Observer, Place};

impl FileOps for UdpId {
    fn poll(self, m: &mut Machine, _: Poller) -> EventMask {
        m.udp[self].mask()
    }

    fn poll_heads(self, m: &Machine, _: TaskId) -> PollHeads {
        [Some(m.udp[self].sk.wq), None]
    }

    fn queues(self, m: &Machine) -> PollHeads {
        [Some(m.udp[self].sk.wq), None]
    }

    fn describe(self, m: &Machine) -> (&'static str, String) {
        let sock = &m.udp[self];
        let unread: usize = sock.unread().map(|datagram| datagram.data.len()).sum();
        let mut content = format!(
            "{unread} bytes in {} datagrams, {} of {} received",
            sock.unread().count(),
            sock.rmem,
            sock.sk.rcvbuf
        );
        for (shut, word) in [
            (sock.sk.shut_rd, ", SHUT_RD"),
            (sock.sk.shut_wr, ", SHUT_WR"),
        ] {
            content.push_str(if shut { word } else { "" });
        }
        if !sock.errors.is_empty() {
            content.push_str(&format!(", {} errors", sock.errors.len()));
        }
        let name = match sock.inet.peer {
            Some(_) => "udp, connected",
            None => "udp",
        };
        (name, content)
    }

    fn encode_state(self, to: &mut Encoder<'_>) {
        self.encode(to);
    }

    fn as_socket(self) -> Option<Socket> {
        Some(Socket::Udp(self))
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
        kernel.udp_recv(caller, self, Receiving::plain(to), io)
    }

    fn write<O: Observer>(
        self,
        kernel: &mut Kernel<'_, O>,
        _: Caller,
        (buf, _): (&Ptr<Bytes>, u64),
        io: &mut Io,
    ) -> Attempt {
        kernel.udp_send(self, (buf, MsgFlags::empty()), None, io)
    }

    /// A reader waits for data, or for an error (`__skb_wait_for_more_packets`). Nobody else does.
    fn awaited(self, m: &Machine, _: Caller, _: &What) -> Awaited {
        let sock = &m.udp[self];
        Awaited {
            head: sock.sk.wq,
            exclusive: true,
            ready: sock.first().is_some() || sock.sk.err.is_some() || sock.sk.shut_rd,
            locked: false,
            place: Place::Tail,
            func: WakeFn::Receiver,
        }
    }

    /// `udp_ioctl`
    fn ioctl(self, m: &mut Machine, _: Caller, op: u32, arg: IoctlArg) -> Result<Out, Errno> {
        let first = m.udp[self].first().map_or(0, |first| first.data.len());
        match op {
            request::FIONREAD => put_user(arg, first),
            _ => Err(Errno::ENOTTY),
        }
    }

    fn llseek(self, _: &mut Machine, _: FileId, _: i64, _: i32) -> Result<i64, Errno> {
        Err(Errno::ESPIPE)
    }

    /// It can no longer be found (`udp_lib_close`).
    fn release(self, m: &mut Machine, _: TaskId) -> Released {
        let sock = &mut m.udp[self];
        sock.sk.dead = true;
        sock.inet = Inet::new(sock.inet.proto);
        Released::Done(Wakes::default())
    }

    fn free(self, m: &mut Machine) {
        m.put_socket(Socket::Udp(self));
    }
}

impl SocketOps for UdpId {
    fn sk(self, m: &Machine) -> &Sock {
        &m.udp[self].sk
    }

    fn sk_mut(self, m: &mut Machine) -> &mut Sock {
        &mut m.udp[self].sk
    }

    fn inet(self, m: &Machine) -> Option<&Inet> {
        Some(&m.udp[self].inet)
    }

    fn inet_mut(self, m: &mut Machine) -> Option<&mut Inet> {
        Some(&mut m.udp[self].inet)
    }

    fn listens(self, _: &Machine) -> bool {
        false
    }

    fn bind(self, m: &mut Machine, addr: &SockAddr) -> Result<(), Errno> {
        m.inet_bind(Socket::Udp(self), addr.inet_address()?)
    }

    fn listen(self, _: &mut Machine, _: i32, _: &mut Wakes) -> Result<(), Errno> {
        Err(Errno::EOPNOTSUPP)
    }

    /// `inet_shutdown`: it takes effect, and tells everybody, also if it says that there is no connection.
    fn shutdown(
        self,
        m: &mut Machine,
        directions: Directions,
        wakes: &mut Wakes,
    ) -> Result<(), Errno> {
        let sock = &mut m.udp[self];
        sock.sk.shut_rd |= directions.rd;
        sock.sk.shut_wr |= directions.wr;
        let connected = sock.inet.peer.is_some();
        m.sk_state_change(Socket::Udp(self), wakes);
        if connected {
            Ok(())
        } else {
            Err(Errno::ENOTCONN)
        }
    }

    fn name(self, m: &Machine, end: End) -> Result<SockAddr, Errno> {
        m.udp[self].inet.name(end)
    }

    fn attempt<O: Observer>(
        self,
        kernel: &mut Kernel<'_, O>,
        caller: Caller,
        what: &What,
        io: &mut Io,
    ) -> Attempt {
        match what {
            What::Recv(receiving) => kernel.udp_recv(caller, self, *receiving, io),
            What::Send(sending) => {
                let Sending { buf, flags, to, .. } = &**sending;
                kernel.udp_send(self, (buf, *flags), to.as_deref(), io)
            }
            What::Connect { to } => match kernel.m.udp_connect(self, to) {
                Ok(()) => Attempt::Over(Ok(0)),
                Err(errno) => Attempt::fail(errno),
            },
            What::Accept(_) => Attempt::fail(Errno::EOPNOTSUPP),
            What::Read { .. } | What::Write { .. } | What::WriteEach { .. } | What::Splice(_) => {
                unreachable!("these have methods of their own")
            }
        }
    }

    /// `ip_setsockopt`
    fn setsockopt(
        self,
        m: &mut Machine,
        option: (i32, i32),
        value: Result<SockOpt, Errno>,
        _: &mut Wakes,
    ) -> Result<(), Errno> {
        if option != (IPPROTO_IP, IP_RECVERR) {
            return Err(Errno::ENOPROTOOPT);
        }
        let sock = &mut m.udp[self];
        sock.recverr = value?.int() != 0;
        if !sock.recverr {
            sock.errors.clear();
        }
        Ok(())
    }

    fn getsockopt(self, m: &mut Machine, option: (i32, i32)) -> Result<SockOpt, Errno> {
        match option {
            (IPPROTO_IP, IP_RECVERR) => Ok(SockOpt::Int(m.udp[self].recverr.into())),
            _ => Err(Errno::ENOPROTOOPT),
        }
    }

    /// `sock_def_write_space`
    fn write_space(self, m: &mut Machine, wakes: &mut Wakes) {
        if m.udp[self].writable() {
            m.sk_wake(Socket::Udp(self), WRITABLE, Nr::One, wakes);
        }
    }

    fn needs(self, _: &Machine, _: &mut Needs) {}

    fn destroy(self, m: &mut Machine) {
        m.udp.remove(self);
    }

    fn check(self, m: &Machine) -> Result<(), String> {
        let sock = &m.udp[self];
        let unread: u64 = sock.unread().map(|datagram| datagram.truesize).sum();
        if sock.rmem != unread + sock.deficit {
            let (rmem, deficit) = (sock.rmem, sock.deficit);
            return Err(format!(
                "{rmem} bytes are charged for {unread} and {deficit}"
            ));
        }
        Ok(())
    }

    fn encode_socket(self, to: &mut Encoder<'_>) {
        to.machine.udp[self].encode(to);
    }
}

impl Machine {
    /// connect(2) says where datagrams go, and from whom they may come (`__ip4_datagram_connect`).
    fn udp_connect(&mut self, id: UdpId, to: &SockAddr) -> Result<(), Errno> {
        self.inet_autobind(Socket::Udp(id))?;
        let to = destination(to.inet_address()?);
        let inet = &mut self.udp[id].inet;
        inet.addr = *inet.source().ip();
        inet.peer = Some(to);
        Ok(())
    }
}
