//! How strangers meet: names, connections that wait, and who takes them (`unix_stream_connect`,
//! `unix_accept`).
//!
//! connect(2) does all the work. It makes the socket that accept(2) will give, ties it to its own, and puts
//! it on the listener's queue; from then on its caller is connected and can send. So the client is never
//! woken, and accept(2) wakes nobody but those for whom the queue had no room.

use super::{Skb, UnixState};
use crate::abi::{Errno, EventMask, SockAddr};
use crate::model::arena::UnixId;
use crate::model::file::ops::Caller;
use crate::model::file::socket::{End, SockType, Socket, WRITABLE};
use crate::model::file::transfer::{Accepting, Attempt, Io, Receiving, Wakes};
use crate::model::wait_queue::Nr;
use crate::model::{Kernel, Machine};
use crate::trace::Observer;

/// What a connection that waits costs, which nobody is charged for but itself.
const CONNECTION: u64 = 768;

impl SockAddr {
    /// The name in it, if it has one that a Unix socket can have (`unix_validate_addr`).
    pub(super) fn unix_name(&self) -> Result<&[u8], Errno> {
        match self {
            SockAddr::Abstract(name) => Ok(name),
            SockAddr::Unnamed | SockAddr::Inet(_) => Err(Errno::EINVAL),
        }
    }
}

impl Machine {
    /// Whom a socket finds by this name (`unix_find_abstract`): those of another type have names of their own.
    pub(super) fn unix_named(&self, by: UnixId, name: &[u8]) -> Option<UnixId> {
        let r#type = self.unix[by].sk.r#type;
        let mut socks = self.unix.live().into_iter();
        socks.find(|id| {
            let sock = &self.unix[*id];
            sock.hashed && sock.sk.r#type == r#type && sock.name.as_deref() == Some(name)
        })
    }

    /// bind(2) (`unix_bind_abstract`, `unix_autobind`)
    pub(super) fn unix_bind(&mut self, id: UnixId, addr: &SockAddr) -> Result<(), Errno> {
        let name = match addr {
            SockAddr::Inet(_) => return Err(Errno::EINVAL),
            SockAddr::Abstract(name) => {
                if self.unix[id].name.is_some() {
                    return Err(Errno::EINVAL);
                }
                if self.unix_named(id, name).is_some() {
                    return Err(Errno::EADDRINUSE);
                }
                name.clone()
            }
            // A name of five hexadecimal digits, which nobody else has; one that has a name keeps it.
            SockAddr::Unnamed if self.unix[id].name.is_some() => return Ok(()),
            SockAddr::Unnamed => (0..)
                .map(|number: u32| format!("{number:05x}").into_bytes().into_boxed_slice())
                .find(|name| self.unix_named(id, name).is_none())
                .expect("there are more names than sockets"),
        };
        self.unix[id].name = Some(name);
        self.unix[id].hashed = true;
        Ok(())
    }

    /// getsockname(2), getpeername(2) (`unix_getname`)
    pub(super) fn unix_getname(&self, id: UnixId, end: End) -> Result<SockAddr, Errno> {
        let id = match end {
            End::Own => id,
            End::Peer => self.unix[id].peer.ok_or(Errno::ENOTCONN)?,
        };
        let name = self.unix[id].name.clone();
        Ok(name.map_or(SockAddr::Unnamed, SockAddr::Abstract))
    }

    /// Stores who sent a message, if that is asked for and has a name (`unix_copy_addr`).
    pub(super) fn unix_copy_addr(&self, from: UnixId, receiving: Receiving, io: &mut Io) {
        if receiving.name {
            let name = self.unix[from].name.clone();
            io.name = name.map(|name| Box::new(SockAddr::Abstract(name)));
        }
    }

    /// listen(2) (`unix_listen`): more room on the queue is news for those who wait for some.
    pub(super) fn unix_listen(
        &mut self,
        id: UnixId,
        backlog: i32,
        wakes: &mut Wakes,
    ) -> Result<(), Errno> {
        let sock = &mut self.unix[id];
        if !sock.connects() {
            return Err(Errno::EOPNOTSUPP);
        }
        if sock.name.is_none() || sock.state == UnixState::Established {
            return Err(Errno::EINVAL);
        }
        let backlog = usize::try_from(backlog).unwrap_or(SOMAXCONN).min(SOMAXCONN);
        let more = backlog > sock.backlog;
        sock.backlog = backlog;
        sock.state = UnixState::Listen;
        if more {
            self.wake_unix_peers(id, EventMask::empty(), Nr::All, wakes);
        }
        Ok(())
    }
}

impl<O: Observer> Kernel<'_, O> {
    /// connect(2)
    pub(super) fn unix_connect(
        &mut self,
        caller: Caller,
        id: UnixId,
        to: &SockAddr,
        io: &mut Io,
    ) -> Attempt {
        let other = match to.unix_name() {
            Ok(name) => self.m.unix_named(id, name),
            Err(errno) => return Attempt::fail(errno),
        };
        let Some(other) = other else {
            return Attempt::fail(Errno::ECONNREFUSED);
        };
        let (sock, receiver) = (&self.m.unix[id], &self.m.unix[other]);
        if sock.sk.r#type == SockType::Datagram {
            return self.unix_dgram_connect(id, other, io);
        }
        if receiver.state != UnixState::Listen || receiver.sk.shut_rd {
            return Attempt::fail(Errno::ECONNREFUSED);
        }
        if receiver.queue_is_full() {
            return self.unix_wait(caller, Default::default());
        }
        match sock.state {
            UnixState::Close => {}
            UnixState::Established => return Attempt::fail(Errno::EISCONN),
            UnixState::Listen => return Attempt::fail(Errno::EINVAL),
        }
        let label = self.m.files[caller.file].label;
        let embryo = self.m.new_unix(self.m.unix[id].sk.r#type, label);
        self.m.unix[embryo].sk.embryo = true;
        self.m.unix[embryo].state = UnixState::Established;
        self.m.unix[embryo].name = self.m.unix[other].name.clone();
        self.m.set_unix_peer(embryo, Some(id));
        self.m.set_unix_peer(id, Some(embryo));
        self.m.unix[id].state = UnixState::Established;
        let connection = Skb {
            from: embryo,
            data: Vec::new(),
            consumed: 0,
            truesize: CONNECTION,
            urgent: false,
            rights: Vec::new(),
            connection: true,
        };
        self.m.unix_queue(other, connection);
        // Until somebody accepts it, the message is all that holds it.
        self.m.put_socket(Socket::Unix(embryo));
        self.m.sk_data_ready(Socket::Unix(other), &mut io.wakes);
        Attempt::Over(Ok(0))
    }

    /// A datagram socket only notes where its messages go (`unix_dgram_connect`).
    fn unix_dgram_connect(&mut self, id: UnixId, other: UnixId, io: &mut Io) -> Attempt {
        if self.m.unix[other].peer.is_some_and(|peer| peer != id) {
            return Attempt::fail(Errno::EPERM);
        }
        let had_one = self.m.unix[id].peer.is_some();
        self.m.unix_peer_wake_disconnect(id);
        self.m.set_unix_peer(id, Some(other));
        self.m.unix[id].state = UnixState::Established;
        if had_one {
            self.m
                .sk_wake(Socket::Unix(id), WRITABLE, Nr::One, &mut io.wakes);
        }
        Attempt::Over(Ok(0))
    }

    /// accept(2): the first connection that waits gets a file.
    pub(super) fn unix_accept(
        &mut self,
        caller: Caller,
        id: UnixId,
        accept: Accepting,
        io: &mut Io,
    ) -> Attempt {
        let sock = &self.m.unix[id];
        if !sock.connects() {
            return Attempt::fail(Errno::EOPNOTSUPP);
        }
        if sock.state != UnixState::Listen {
            return Attempt::fail(Errno::EINVAL);
        }
        if sock.queue.is_empty() {
            return match self.unix_wait(caller, Default::default()) {
                Attempt::Sleep if self.m.unix[id].sk.shut_rd => Attempt::fail(Errno::EINVAL),
                attempt => attempt,
            };
        }
        let sock = &mut self.m.unix[id];
        let Some(connection) = sock.queue.pop_front() else {
            unreachable!("the queue is not empty")
        };
        self.m
            .wake_unix_peers(id, EventMask::empty(), Nr::One, &mut io.wakes);
        let embryo = connection.from;
        // From the message's hands into the file's.
        self.m.unix[embryo].sk.refs += 1;
        self.m.unix_free_skb(&connection, &mut io.wakes);
        self.m.unix[embryo].sk.embryo = false;
        self.accepted(caller.task, accept, Socket::Unix(embryo), io)
    }
}

/// `net.core.somaxconn`
const SOMAXCONN: usize = 4096;
