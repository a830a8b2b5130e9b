//! Calls about sockets: the checks of net/socket.c, then the family's own method.

use super::super::Kernel;
use super::super::call::{Flow, Held, Steps};
use super::super::encode::{Encode, Encoder};
use super::super::file::{File, Kind, Sending, Transfer, UnixState, UnixType, Wakes, What};
use super::super::wait_queue::{Walked, Walks};
use crate::abi::socket::{
    AF_UNIX, SHUT_RD, SHUT_RDWR, SHUT_WR, SO_ACCEPTCONN, SO_ERROR, SO_RCVBUF, SO_SNDBUF, SO_TYPE,
    SOCK_DGRAM, SOCK_SEQPACKET, SOCK_STREAM, SOCK_TYPE_MASK, SOL_SOCKET,
};
use crate::abi::{
    Answer, Bytes, Errno, Fd, Message, MsgFlags, OpenFlags, Out, OutPtr, Ptr, Room, SockAddr,
    TaskId,
};
use crate::backend::LabError;
use crate::model::arena::{FileId, UnixId};
use crate::trace::{FileRef, Observer};

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
pub(super) fn refuse_capped(optname: i32, value: Ptr<i32>) -> Result<(), LabError> {
    match (optname, value) {
        (SO_SNDBUF | SO_RCVBUF, Ptr::To(bytes)) if bytes.cast_unsigned() > LEAST_MAX => {
            Err(LabError::new(format!(
                "the lab sets buffers of at most {LEAST_MAX} bytes: above that machines differ"
            )))
        }
        _ => Ok(()),
    }
}

/// `net.core.wmem_max` and `rmem_max`, where nobody has raised them.
const LEAST_MAX: u32 = 212_992;

/// `unix_create`
fn unix_type(domain: i32, r#type: i32, protocol: i32) -> Result<UnixType, Errno> {
    if domain != AF_UNIX {
        return Err(Errno::EAFNOSUPPORT);
    }
    if protocol != 0 && protocol != AF_UNIX {
        return Err(Errno::EPROTONOSUPPORT);
    }
    match r#type {
        SOCK_STREAM => Ok(UnixType::Stream),
        SOCK_DGRAM => Ok(UnixType::Datagram),
        SOCK_SEQPACKET => Ok(UnixType::Seqpacket),
        _ => Err(Errno::ESOCKTNOSUPPORT),
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
        let r#type = unix_type(domain, r#type, protocol)?;
        let fd = self.unused_fd(task, 0)?;
        let sock = self.m.new_unix(r#type, FileRef(fd));
        self.install_socket(task, fd, sock, flags);
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
        let r#type = unix_type(domain, r#type, protocol)?;
        let socks = [one, other].map(|fd| self.m.new_unix(r#type, FileRef(fd)));
        for (sock, peer) in [(socks[0], socks[1]), (socks[1], socks[0])] {
            self.m.set_unix_peer(sock, Some(peer));
            self.m.unix[sock].state = UnixState::Established;
        }
        for (fd, sock) in [one, other].into_iter().zip(socks) {
            self.install_socket(task, fd, sock, flags);
        }
        Ok(Out::Pipe(one, other))
    }

    fn install_socket(&mut self, task: TaskId, fd: Fd, sock: UnixId, flags: OpenFlags) {
        let status = (flags & OpenFlags::NONBLOCK) | OpenFlags::RDWR;
        let inode = self.m.next_inode();
        let file = File {
            inode,
            ..File::new(Kind::Unix(sock), status, fd)
        };
        let file = self.m.files.insert(file);
        self.fd_install(task, fd, file, flags.contains(OpenFlags::CLOEXEC));
    }

    /// The socket behind a descriptor (`sockfd_lookup_light`).
    fn sockfd_lookup(&self, task: TaskId, fd: Fd) -> Result<(FileId, UnixId), Errno> {
        let file = self.m.fget(task, fd).ok_or(Errno::EBADF)?;
        let sock = self.m.unix_of(file).ok_or(Errno::ENOTSOCK)?;
        Ok((file, sock))
    }

    /// bind(2)
    pub(super) fn bind(&mut self, task: TaskId, fd: Fd, addr: &SockAddr) -> Result<i64, Errno> {
        let (_, sock) = self.sockfd_lookup(task, fd)?;
        self.m.unix_bind(sock, addr)?;
        Ok(0)
    }

    /// listen(2)
    pub(super) fn listen(
        &mut self,
        task: TaskId,
        fd: Fd,
        backlog: i32,
    ) -> Result<SocketChange, Errno> {
        let (file, sock) = self.sockfd_lookup(task, fd)?;
        Ok(SocketChange::new(file, self.unix_listen(sock, backlog)?))
    }

    /// shutdown(2)
    pub(super) fn shutdown(
        &mut self,
        task: TaskId,
        fd: Fd,
        how: i32,
    ) -> Result<SocketChange, Errno> {
        let (file, sock) = self.sockfd_lookup(task, fd)?;
        let directions = match how {
            SHUT_RD => (true, false),
            SHUT_WR => (false, true),
            SHUT_RDWR => (true, true),
            _ => return Err(Errno::EINVAL),
        };
        Ok(SocketChange::new(
            file,
            self.unix_shutdown(sock, directions),
        ))
    }

    /// accept4(2)
    pub(super) fn accept4(
        &mut self,
        task: TaskId,
        fd: Fd,
        flags: OpenFlags,
    ) -> Result<Transfer, Errno> {
        let file = self.m.fget(task, fd).ok_or(Errno::EBADF)?;
        if !(flags - SOCK_FLAGS).is_empty() {
            return Err(Errno::EINVAL);
        }
        // The number is taken before anybody waits for what it will mean.
        let new = self.unused_fd(task, 0)?;
        self.m.unix_of(file).ok_or(Errno::ENOTSOCK)?;
        self.m.fds_mut(task).reserve(new);
        Ok(Transfer::new(fd, file, What::Accept { flags, fd: new }))
    }

    /// connect(2)
    pub(super) fn connect(
        &mut self,
        task: TaskId,
        fd: Fd,
        addr: &SockAddr,
    ) -> Result<Transfer, Errno> {
        let (file, _) = self.sockfd_lookup(task, fd)?;
        let SockAddr::Abstract(to) = addr else {
            return Err(Errno::EINVAL);
        };
        Ok(Transfer::new(fd, file, What::Connect { to: to.clone() }))
    }

    /// sendto(2)
    pub(super) fn sendto(
        &mut self,
        task: TaskId,
        fd: Fd,
        buf: Ptr<Bytes>,
        flags: MsgFlags,
        addr: Option<&SockAddr>,
    ) -> Result<Transfer, Errno> {
        let (file, _) = self.sockfd_lookup(task, fd)?;
        let to = match addr {
            Some(SockAddr::Abstract(to)) => Some(to.clone()),
            Some(SockAddr::Unnamed) => return Err(Errno::EINVAL),
            None => None,
        };
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

    /// recvfrom(2)
    pub(super) fn recvfrom(
        &mut self,
        task: TaskId,
        fd: Fd,
        (buf, count): (OutPtr, u64),
        flags: MsgFlags,
    ) -> Result<Transfer, Errno> {
        let (file, _) = self.sockfd_lookup(task, fd)?;
        Ok(Transfer::new(fd, file, What::Recv { buf, count, flags }))
    }

    /// One of these calls again, after a handler that says `SA_RESTART`.
    pub(crate) fn socket_again(
        &mut self,
        task: TaskId,
        fd: Fd,
        what: What,
    ) -> Result<Transfer, Errno> {
        if let What::Accept { flags, .. } = what {
            return self.accept4(task, fd, flags);
        }
        let (file, _) = self.sockfd_lookup(task, fd)?;
        self.begin_send(task, fd, file, what)
    }

    /// setsockopt(2) of the options of a socket's own level (`sock_setsockopt`).
    pub(super) fn setsockopt(
        &mut self,
        task: TaskId,
        fd: Fd,
        (level, optname): (i32, i32),
        value: Ptr<i32>,
    ) -> Result<SocketChange, Errno> {
        let (file, sock) = self.sockfd_lookup(task, fd)?;
        if level != SOL_SOCKET {
            return Err(Errno::EOPNOTSUPP);
        }
        let Ptr::To(value) = value else {
            return Err(Errno::EFAULT);
        };
        let mut wakes = Wakes::default();
        match optname {
            SO_SNDBUF => {
                self.m.unix[sock].set_sndbuf(value);
                self.m.unix_write_space(sock, &mut wakes);
            }
            SO_RCVBUF => self.m.unix[sock].set_rcvbuf(value),
            _ => return Err(Errno::ENOPROTOOPT),
        }
        Ok(SocketChange::new(file, wakes))
    }

    /// getsockopt(2)
    pub(super) fn getsockopt(
        &mut self,
        task: TaskId,
        fd: Fd,
        (level, optname): (i32, i32),
        value: OutPtr,
    ) -> Result<Out, Errno> {
        let (_, sock) = self.sockfd_lookup(task, fd)?;
        if level != SOL_SOCKET {
            return Err(Errno::EOPNOTSUPP);
        }
        let sock = &mut self.m.unix[sock];
        let number = match optname {
            SO_TYPE => match sock.r#type {
                UnixType::Stream => SOCK_STREAM,
                UnixType::Datagram => SOCK_DGRAM,
                UnixType::Seqpacket => SOCK_SEQPACKET,
            },
            // Told once.
            SO_ERROR if std::mem::take(&mut sock.reset) => Errno::ECONNRESET.0,
            SO_ERROR => 0,
            SO_SNDBUF => i32::try_from(sock.sndbuf).unwrap_or(i32::MAX),
            SO_RCVBUF => i32::try_from(sock.rcvbuf).unwrap_or(i32::MAX),
            SO_ACCEPTCONN => i32::from(sock.state == UnixState::Listen),
            _ => return Err(Errno::ENOPROTOOPT),
        };
        match value {
            OutPtr::Memory(Room::Plenty) => Ok(Out::Int(number)),
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
}

impl SocketChange {
    fn new(file: FileId, wakes: Wakes) -> SocketChange {
        SocketChange {
            file,
            wakes,
            walks: Walks::default(),
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
        Answer::ret(0)
    }

    fn files(&self, files: &mut Vec<FileId>) {
        files.push(self.file);
    }

    fn sockets(&self, sockets: &mut Vec<UnixId>) {
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
        let SocketChange { file, wakes, walks } = self;
        file.encode(to);
        wakes.encode(to);
        walks.encode(to);
    }
}
