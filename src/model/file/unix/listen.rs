//! How strangers meet: names, connections that wait, and who takes them (`unix_stream_connect`,
//! `unix_accept`).
//!
//! connect(2) does all the work. It makes the socket that accept(2) will give, ties it to its own, and puts
//! it on the listener's queue; from then on its caller is connected and can send. So the client is never
//! woken, and accept(2) wakes nobody but those for whom the queue had no room.

use super::{Skb, UnixState, UnixType, WRITABLE};
use crate::abi::{Errno, EventMask, Fd, OpenFlags, SockAddr};
use crate::model::arena::UnixId;
use crate::model::file::File;
use crate::model::file::ops::{Caller, Kind};
use crate::model::file::transfer::{Attempt, Io, Wakes};
use crate::model::wait_queue::Nr;
use crate::model::{Kernel, Machine};
use crate::trace::Observer;

/// What a connection that waits costs, which nobody is charged for but itself.
const CONNECTION: u64 = 768;

impl Machine {
    /// Who has this name (`unix_find_abstract`).
    pub(crate) fn unix_named(&self, name: &[u8]) -> Option<UnixId> {
        let socks = self.unix.live().into_iter();
        let mut named = socks.filter(|id| self.unix[*id].name.as_deref() == Some(name));
        named.next()
    }

    /// bind(2) (`unix_bind_abstract`, `unix_autobind`)
    pub(crate) fn unix_bind(&mut self, id: UnixId, addr: &SockAddr) -> Result<(), Errno> {
        let name = match addr {
            SockAddr::Abstract(name) => {
                if self.unix[id].name.is_some() {
                    return Err(Errno::EINVAL);
                }
                if self.unix_named(name).is_some() {
                    return Err(Errno::EADDRINUSE);
                }
                name.clone()
            }
            // A name of five hexadecimal digits, which nobody else has; one that has a name keeps it.
            SockAddr::Unnamed if self.unix[id].name.is_some() => return Ok(()),
            SockAddr::Unnamed => (0..)
                .map(|number: u32| format!("{number:05x}").into_bytes().into_boxed_slice())
                .find(|name| self.unix_named(name).is_none())
                .expect("there are more names than sockets"),
        };
        self.unix[id].name = Some(name);
        Ok(())
    }
}

impl<O: Observer> Kernel<'_, O> {
    /// listen(2) (`unix_listen`): more room on the queue is news for those who wait for some.
    pub(crate) fn unix_listen(&mut self, id: UnixId, backlog: i32) -> Result<Wakes, Errno> {
        let sock = &mut self.m.unix[id];
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
        let mut wakes = Wakes::default();
        if more {
            let (key, nr) = (EventMask::empty(), Nr::All);
            self.m.wake_unix_peers(id, key, nr, &mut wakes);
        }
        Ok(wakes)
    }

    /// connect(2)
    pub(super) fn unix_connect(
        &mut self,
        caller: Caller,
        id: UnixId,
        to: &[u8],
        io: &mut Io,
    ) -> Attempt {
        let Some(other) = self.m.unix_named(to) else {
            return Attempt::fail(Errno::ECONNREFUSED);
        };
        let (sock, receiver) = (&self.m.unix[id], &self.m.unix[other]);
        if receiver.r#type != sock.r#type {
            return Attempt::fail(Errno::EPROTOTYPE);
        }
        if sock.r#type == UnixType::Datagram {
            return self.unix_dgram_connect(id, other, io);
        }
        if receiver.state != UnixState::Listen || receiver.shut_rd {
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
        let embryo = self.m.new_unix(self.m.unix[id].r#type, label);
        self.m.unix[embryo].embryo = true;
        self.m.unix[embryo].state = UnixState::Established;
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
        self.m.put_unix(embryo);
        self.m.unix_data_ready(other, &mut io.wakes);
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
            self.m.wake_unix(id, WRITABLE, Nr::One, &mut io.wakes);
        }
        Attempt::Over(Ok(0))
    }

    /// accept(2): the first connection that waits gets a file.
    pub(super) fn unix_accept(
        &mut self,
        caller: Caller,
        id: UnixId,
        (flags, fd): (OpenFlags, Fd),
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
                Attempt::Sleep if self.m.unix[id].shut_rd => Attempt::fail(Errno::EINVAL),
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
        self.m.unix[embryo].refs += 1;
        self.m.unix_free_skb(&connection, &mut io.wakes);
        self.m.unix[embryo].embryo = false;
        let status = (flags & OpenFlags::NONBLOCK) | OpenFlags::RDWR;
        let inode = self.m.next_inode();
        let file = File {
            inode,
            ..File::new(Kind::Unix(embryo), status, fd)
        };
        let file = self.m.files.insert(file);
        self.fd_install(caller.task, fd, file, flags.contains(OpenFlags::CLOEXEC));
        Attempt::Over(Ok(u64::from(fd.0.unsigned_abs())))
    }
}

/// `net.core.somaxconn`
const SOMAXCONN: usize = 4096;
