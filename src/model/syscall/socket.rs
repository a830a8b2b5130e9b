//! Calls about sockets: the checks of net/socket.c, then the family's own method.

use super::super::Kernel;
use super::super::call::{Flow, Held, Steps};
use super::super::encode::{Encode, Encoder};
use super::super::file::{
    Accepting, Attempt, Directions, End, File, Io, Receiving, Sending, SockType, Socket, SocketOps,
    Transfer, Wakes, What,
};
use super::super::wait_queue::{Walked, Walks};
use crate::abi::socket::{
    AF_INET, AF_UNIX, IPPROTO_IP, IPPROTO_TCP, IPPROTO_UDP, SHUT_RD, SHUT_RDWR, SHUT_WR,
    SO_ACCEPTCONN, SO_RCVBUF, SO_RCVLOWAT, SO_SNDBUF, SOCK_TYPE_MASK, SOL_SOCKET, SockOpt,
};
use crate::abi::{
    Answer, Bytes, Errno, Fd, Message, MsgFlags, OpenFlags, Out, OutPtr, Ptr, Room, SockAddr,
    TaskId,
};
use crate::backend::LabError;
use crate::model::arena::FileId;
use crate::trace::{FileRef, Observer, QueueRef};

/// `SOCK_NONBLOCK` and `SOCK_CLOEXEC`, the same bits as of open(2).
const SOCK_FLAGS: OpenFlags = OpenFlags::NONBLOCK.union(OpenFlags::CLOEXEC);

/// What the type argument says: the type, and flags for the file.
fn socket_type(r#type: i32) -> Result<(i32, OpenFlags), Errno> {
    let flags = OpenFlags::from_bits_retain((r#type & !SOCK_TYPE_MASK).cast_unsigned());
    if !(flags - SOCK_FLAGS).is_empty() {
        return Err(Errno::EINVAL);
    }
    Ok((r#type & SOCK_TYPE_MASK, flags))
}

/// How large a buffer may be is for each machine to say (`net.core.wmem_max`), so no scenario can rely on it.
pub(super) fn refuse_capped(
    level: i32,
    optname: i32,
    value: &Ptr<SockOpt>,
) -> Result<(), LabError> {
    match (level, optname, value) {
        (SOL_SOCKET, SO_SNDBUF | SO_RCVBUF, Ptr::To(value))
            if value.int().cast_unsigned() > LEAST_MAX =>
        {
            Err(LabError::new(format!(
                "the lab sets buffers of at most {LEAST_MAX} bytes: above that machines differ"
            )))
        }
        _ => Ok(()),
    }
}

/// What else comes with an error the lab does not tell.
pub(super) fn refuse_errors(flags: MsgFlags) -> Result<(), LabError> {
    if flags.contains(MsgFlags::ERRQUEUE) {
        return Err(LabError::new(
            "recvmsg with MSG_ERRQUEUE is not part of the lab: recvfrom is",
        ));
    }
    Ok(())
}

/// `net.core.wmem_max` and `rmem_max`, where nobody has raised them.
const LEAST_MAX: u32 = 212_992;

/// What socket(2) makes (`net_proto_family.create`).
#[derive(Clone, Copy, Debug)]
enum Family {
    Unix(SockType),
    Udp,
    Tcp,
}

impl Family {
    /// Looks for it in the order in which the kernel does (`__sock_create`).
    fn find(domain: i32, r#type: i32, protocol: i32) -> Result<Family, Errno> {
        match domain {
            AF_UNIX if protocol != 0 && protocol != AF_UNIX => Err(Errno::EPROTONOSUPPORT),
            AF_UNIX => match SockType::from_number(r#type) {
                Some(r#type) => Ok(Family::Unix(r#type)),
                None => Err(Errno::ESOCKTNOSUPPORT),
            },
            AF_INET => Family::find_inet(r#type, protocol),
            _ => Err(Errno::EAFNOSUPPORT),
        }
    }

    /// `inet_create`
    fn find_inet(r#type: i32, protocol: i32) -> Result<Family, Errno> {
        match (SockType::from_number(r#type), protocol) {
            (Some(SockType::Datagram), IPPROTO_IP | IPPROTO_UDP) => Ok(Family::Udp),
            (Some(SockType::Stream), IPPROTO_IP | IPPROTO_TCP) => Ok(Family::Tcp),
            (Some(SockType::Datagram | SockType::Stream), _) => Err(Errno::EPROTONOSUPPORT),
            _ => Err(Errno::ESOCKTNOSUPPORT),
        }
    }
}

impl<O: Observer> Kernel<'_, O> {
    /// socket(2)
    pub(super) fn socket(
        &mut self,
        task: TaskId,
        domain: i32,
        r#type: i32,
        protocol: i32,
    ) -> Result<Fd, Errno> {
        let (r#type, flags) = socket_type(r#type)?;
        let family = Family::find(domain, r#type, protocol)?;
        let fd = self.unused_fd(task, 0)?;
        let socket = match family {
            Family::Unix(r#type) => Socket::Unix(self.m.new_unix(r#type, FileRef(fd))),
            Family::Udp => Socket::Udp(self.m.new_udp(FileRef(fd))),
            Family::Tcp => Socket::Tcp(self.m.new_tcp(FileRef(fd))),
        };
        self.install_socket(task, fd, socket, flags);
        Ok(fd)
    }

    /// socketpair(2)
    pub(super) fn socketpair(
        &mut self,
        task: TaskId,
        domain: i32,
        r#type: i32,
        protocol: i32,
        sv: OutPtr,
    ) -> Result<Out, Errno> {
        let (r#type, flags) = socket_type(r#type)?;
        let one = self.unused_fd(task, 0)?;
        let above = usize::try_from(one.0).map_or(usize::MAX, |number| number + 1);
        let other = self.unused_fd(task, above)?;
        if sv != OutPtr::PLENTY {
            return Err(Errno::EFAULT);
        }
        let Family::Unix(r#type) = Family::find(domain, r#type, protocol)? else {
            // Only Unix sockets come in pairs.
            return Err(Errno::EOPNOTSUPP);
        };
        let socks = [one, other].map(|fd| self.m.new_unix(r#type, FileRef(fd)));
        self.m.unix_socketpair(socks);
        for (fd, sock) in [one, other].into_iter().zip(socks) {
            self.install_socket(task, fd, Socket::Unix(sock), flags);
        }
        Ok(Out::Pipe(one, other))
    }

    /// Gives a socket a file and a number (`sock_map_fd`).
    fn install_socket(&mut self, task: TaskId, fd: Fd, socket: Socket, flags: OpenFlags) {
        let status = (flags & OpenFlags::NONBLOCK) | OpenFlags::RDWR;
        let inode = self.m.next_inode();
        let file = File {
            inode,
            ..File::new(socket.kind(), status, fd)
        };
        let file = self.m.files.insert(file);
        self.fd_install(task, fd, file, flags.contains(OpenFlags::CLOEXEC));
    }

    /// The end of an accept(2) for which its family has found a connection: the socket gets its file.
    pub(crate) fn accepted(
        &mut self,
        task: TaskId,
        accept: Accepting,
        socket: Socket,
        io: &mut Io,
    ) -> Attempt {
        if accept.name {
            match socket.name(self.m, End::Peer) {
                Ok(name) => io.name = Some(Box::new(name)),
                Err(_) => {
                    // Who connected is gone already.
                    return Attempt::fail(Errno::ECONNABORTED);
                }
            }
        }
        let Accepting { flags, fd, .. } = accept;
        let label = FileRef(fd);
        let sk = socket.sk_mut(self.m);
        sk.label = label;
        let wq = sk.wq;
        self.m.heads[wq].label = QueueRef::File(label);
        self.install_socket(task, fd, socket, flags);
        Attempt::Over(Ok(u64::from(fd.0.unsigned_abs())))
    }

    /// The socket behind a descriptor (`sockfd_lookup_light`).
    fn sockfd_lookup(&self, task: TaskId, fd: Fd) -> Result<(FileId, Socket), Errno> {
        let file = self.m.fget(task, fd).ok_or(Errno::EBADF)?;
        let socket = self.m.socket_of(file).ok_or(Errno::ENOTSOCK)?;
        Ok((file, socket))
    }

    /// bind(2)
    pub(super) fn bind(&mut self, task: TaskId, fd: Fd, addr: &SockAddr) -> Result<i64, Errno> {
        let (_, socket) = self.sockfd_lookup(task, fd)?;
        socket.bind(self.m, addr)?;
        Ok(0)
    }

    /// getsockname(2), getpeername(2)
    pub(super) fn getname(&mut self, task: TaskId, fd: Fd, end: End) -> Result<Out, Errno> {
        let (_, socket) = self.sockfd_lookup(task, fd)?;
        Ok(Out::SockAddr(Box::new(socket.name(self.m, end)?)))
    }

    /// listen(2)
    pub(super) fn listen(
        &mut self,
        task: TaskId,
        fd: Fd,
        backlog: i32,
    ) -> Result<SocketChange, Errno> {
        let (file, socket) = self.sockfd_lookup(task, fd)?;
        let mut wakes = Wakes::default();
        let result = socket.listen(self.m, backlog, &mut wakes);
        Ok(SocketChange::new(file, wakes, result))
    }

    /// shutdown(2)
    pub(super) fn shutdown(
        &mut self,
        task: TaskId,
        fd: Fd,
        how: i32,
    ) -> Result<SocketChange, Errno> {
        let (file, socket) = self.sockfd_lookup(task, fd)?;
        let (rd, wr) = match how {
            SHUT_RD => (true, false),
            SHUT_WR => (false, true),
            SHUT_RDWR => (true, true),
            _ => return Err(Errno::EINVAL),
        };
        let mut wakes = Wakes::default();
        let result = socket.shutdown(self.m, Directions { rd, wr }, &mut wakes);
        Ok(SocketChange::new(file, wakes, result))
    }

    /// accept4(2)
    pub(super) fn accept4(
        &mut self,
        task: TaskId,
        fd: Fd,
        flags: OpenFlags,
        name: bool,
    ) -> Result<Transfer, Errno> {
        let file = self.m.fget(task, fd).ok_or(Errno::EBADF)?;
        if !(flags - SOCK_FLAGS).is_empty() {
            return Err(Errno::EINVAL);
        }
        // The number is taken before anybody waits for what it will mean.
        let new = self.unused_fd(task, 0)?;
        self.m.socket_of(file).ok_or(Errno::ENOTSOCK)?;
        self.m.fds_mut(task).reserve(new);
        let accept = Accepting {
            flags,
            fd: new,
            name,
        };
        Ok(Transfer::new(fd, file, What::Accept(accept)))
    }

    /// connect(2)
    pub(super) fn connect(
        &mut self,
        task: TaskId,
        fd: Fd,
        to: Box<SockAddr>,
    ) -> Result<Transfer, Errno> {
        let (file, _) = self.sockfd_lookup(task, fd)?;
        Ok(Transfer::new(fd, file, What::Connect { to }))
    }

    /// sendto(2)
    pub(super) fn sendto(
        &mut self,
        task: TaskId,
        fd: Fd,
        buf: Ptr<Bytes>,
        flags: MsgFlags,
        to: Option<Box<SockAddr>>,
    ) -> Result<Transfer, Errno> {
        let (file, _) = self.sockfd_lookup(task, fd)?;
        let what = What::Send(Box::new(Sending {
            buf,
            flags,
            to,
            rights: Vec::new(),
        }));
        Ok(Transfer::new(fd, file, what))
    }

    /// sendmsg(2)
    pub(super) fn sendmsg(
        &mut self,
        task: TaskId,
        fd: Fd,
        msg: Message,
        flags: MsgFlags,
    ) -> Result<Transfer, Errno> {
        let (file, _) = self.sockfd_lookup(task, fd)?;
        let what = What::Send(Box::new(Sending {
            buf: Ptr::To(msg.bytes),
            flags,
            to: None,
            rights: msg.fds,
        }));
        self.begin_send(task, fd, file, what)
    }

    /// Looks up the files that are to go along, and takes a reference of each (`scm_fp_copy`).
    fn begin_send(
        &mut self,
        task: TaskId,
        fd: Fd,
        file: FileId,
        what: What,
    ) -> Result<Transfer, Errno> {
        let mut files = Vec::new();
        if let What::Send(sending) = &what {
            for right in &sending.rights {
                files.push(self.m.fget_any(task, *right).ok_or(Errno::EBADF)?);
            }
        }
        for file in &files {
            self.m.files[*file].refs += 1;
        }
        Ok(Transfer::new(fd, file, what).with_rights(files))
    }

    /// recvfrom(2), recvmsg(2)
    pub(super) fn recvfrom(
        &mut self,
        task: TaskId,
        fd: Fd,
        receiving: Receiving,
    ) -> Result<Transfer, Errno> {
        let (file, _) = self.sockfd_lookup(task, fd)?;
        Ok(Transfer::new(fd, file, What::Recv(receiving)))
    }

    /// One of these calls again, after a handler that says `SA_RESTART`.
    pub(crate) fn socket_again(
        &mut self,
        task: TaskId,
        fd: Fd,
        what: What,
    ) -> Result<Transfer, Errno> {
        if let What::Accept(Accepting { flags, name, .. }) = what {
            return self.accept4(task, fd, flags, name);
        }
        let (file, _) = self.sockfd_lookup(task, fd)?;
        self.begin_send(task, fd, file, what)
    }

    /// setsockopt(2): the options of level `SOL_SOCKET` mean the same to all sockets.
    pub(super) fn setsockopt(
        &mut self,
        task: TaskId,
        fd: Fd,
        (level, optname): (i32, i32),
        value: Ptr<SockOpt>,
    ) -> Result<SocketChange, Errno> {
        let (file, socket) = self.sockfd_lookup(task, fd)?;
        let mut wakes = Wakes::default();
        let result = self.set_option(socket, (level, optname), value, &mut wakes);
        Ok(SocketChange::new(file, wakes, result))
    }

    fn set_option(
        &mut self,
        socket: Socket,
        (level, optname): (i32, i32),
        value: Ptr<SockOpt>,
        wakes: &mut Wakes,
    ) -> Result<(), Errno> {
        let m = &mut *self.m;
        let value = match value {
            Ptr::To(value) => Ok(value),
            Ptr::Addr(_) => Err(Errno::EFAULT),
        };
        if level != SOL_SOCKET {
            return socket.setsockopt(m, (level, optname), value, wakes);
        }
        socket.sk_mut(m).set(optname, value?)?;
        match optname {
            SO_SNDBUF => socket.write_space(m, wakes),
            SO_RCVLOWAT => socket.rcvlowat_changed(m, wakes),
            _ => {}
        }
        Ok(())
    }

    /// getsockopt(2)
    pub(super) fn getsockopt(
        &mut self,
        task: TaskId,
        fd: Fd,
        (level, optname): (i32, i32),
        value: OutPtr,
    ) -> Result<Out, Errno> {
        let (_, socket) = self.sockfd_lookup(task, fd)?;
        let answer = match (level, optname) {
            (SOL_SOCKET, SO_ACCEPTCONN) => SockOpt::Int(socket.listens(self.m).into()),
            (SOL_SOCKET, _) => socket.sk_mut(self.m).get(optname)?,
            _ => socket.getsockopt(self.m, (level, optname))?,
        };
        match value {
            OutPtr::Memory(Room::Plenty) => Ok(Out::SockOpt(answer)),
            _ => Err(Errno::EFAULT),
        }
    }
}

/// A call that has changed a socket, and has wake-ups left to make: shutdown(2), listen(2), setsockopt(2).
#[derive(Clone, Debug)]
pub(crate) struct SocketChange {
    file: FileId,
    wakes: Wakes,
    walks: Walks,
    /// How it will end. One that fails may have changed something before.
    result: Result<(), Errno>,
}

impl SocketChange {
    fn new(file: FileId, wakes: Wakes, result: Result<(), Errno>) -> SocketChange {
        SocketChange {
            file,
            wakes,
            walks: Walks::default(),
            result,
        }
    }
}

impl Steps for SocketChange {
    fn step<O: Observer>(&mut self, kernel: &mut Kernel<'_, O>, task: TaskId) -> Flow {
        if kernel.wake_step(task, &mut self.walks) == Walked::Blocked {
            return Flow::Blocked;
        }
        if kernel.wake_next(&mut self.walks, &mut self.wakes) {
            Flow::Next
        } else {
            Flow::Done
        }
    }

    fn answer(&mut self) -> Answer {
        match self.result {
            Ok(()) => Answer::ret(0),
            Err(errno) => Answer::err(errno),
        }
    }

    fn files(&self, files: &mut Vec<FileId>) {
        files.push(self.file);
    }

    fn sockets(&self, sockets: &mut Vec<Socket>) {
        sockets.extend(self.wakes.holds());
    }

    fn held(&self, held: &mut Held) {
        held.walks.extend(self.walks.iter());
    }

    fn at(&self) -> String {
        "sock_def_wakeup".to_owned()
    }
}

impl Encode for SocketChange {
    fn encode(&self, to: &mut Encoder<'_>) {
        let SocketChange {
            file,
            wakes,
            walks,
            result,
        } = self;
        result.err().encode(to);
        file.encode(to);
        wakes.encode(to);
        walks.encode(to);
    }
}
