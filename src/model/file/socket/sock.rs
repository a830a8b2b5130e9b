//! What a socket has whatever its family (`struct sock`), and the options that mean the same to all of them
//! (net/core/sock.c).

use super::{SockType, Socket, SocketOps};
use crate::abi::socket::{
    Linger, SO_ERROR, SO_LINGER, SO_OOBINLINE, SO_RCVBUF, SO_RCVLOWAT, SO_REUSEADDR,
    SO_SELECT_ERR_QUEUE, SO_SNDBUF, SO_TYPE, SockOpt,
};
use crate::abi::{Errno, EventMask};
use crate::model::Machine;
use crate::model::arena::HeadId;
use crate::model::encode::{Encode, Encoder, Number, encode_option};
use crate::model::file::transfer::Wakes;
use crate::model::wait_queue::{Nr, WaitHead, Wake};
use crate::trace::{FileRef, QueueRef};

/// The part that all families share. The socket's lock guards it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sock {
    /// What people call it: the number of its file.
    pub(crate) label: FileRef,
    /// `sk_type`
    pub(crate) r#type: SockType,
    /// Those who sleep on it and those who poll it (`sk_wq`).
    pub(crate) wq: HeadId,
    /// Whoever needs it: its file, calls that owe it a wake-up, other sockets (`sk_refcnt`).
    pub(crate) refs: u32,
    /// Its file is gone (`SOCK_DEAD`).
    pub(crate) dead: bool,
    /// It has no file yet, as it waits to be accepted.
    pub(crate) embryo: bool,
    /// What was shut down (`sk_shutdown`).
    pub(crate) shut_rd: bool,
    pub(crate) shut_wr: bool,
    /// An error that waits to be told, once (`sk_err`).
    pub(crate) err: Option<Errno>,
    /// What of its own messages nobody has used up (`sk_wmem_alloc`, without the 1 that it begins with).
    pub(crate) wmem: u64,
    /// `sk_sndbuf`
    pub(crate) sndbuf: u64,
    /// A program has set it (`SOCK_SNDBUF_LOCK`).
    pub(crate) sndbuf_locked: bool,
    /// `sk_rcvbuf`
    pub(crate) rcvbuf: u64,
    /// How many bytes make it readable (`sk_rcvlowat`).
    pub(crate) rcvlowat: i32,
    /// `SO_LINGER`: the time stays when it is switched off.
    pub(crate) linger: Linger,
    pub(crate) reuse: bool,
    /// Urgent data stays among the others (`SOCK_URGINLINE`).
    pub(crate) oobinline: bool,
    /// Errors are `EPOLLPRI` too (`SOCK_SELECT_ERR_QUEUE`).
    pub(crate) select_err_queue: bool,
}

pub(crate) const READABLE: EventMask = EventMask::IN.union(EventMask::RDNORM);
pub(crate) const WRITABLE: EventMask = EventMask::OUT
    .union(EventMask::WRNORM)
    .union(EventMask::WRBAND);
/// What comes with new data (`sock_def_readable`): it might be urgent.
pub(crate) const DATA: EventMask = READABLE.union(EventMask::PRI).union(EventMask::RDBAND);

/// `net.core.wmem_default`, and the same for receiving.
pub(crate) const DEFAULT_BUFFER: u64 = 212_992;
/// The least that `SO_SNDBUF` can be (`SOCK_MIN_SNDBUF`): two messages of a page's half.
const MIN_SNDBUF: u64 = 4608;
/// `SOCK_MIN_RCVBUF`
const MIN_RCVBUF: u64 = 2304;

impl Sock {
    /// `sock_init_data`, with one reference.
    pub(crate) fn new(m: &mut Machine, r#type: SockType, label: FileRef) -> Sock {
        Sock {
            label,
            r#type,
            wq: m.heads.insert(WaitHead::new(QueueRef::File(label))),
            refs: 1,
            dead: false,
            embryo: false,
            shut_rd: false,
            shut_wr: false,
            err: None,
            wmem: 0,
            sndbuf: DEFAULT_BUFFER,
            sndbuf_locked: false,
            rcvbuf: DEFAULT_BUFFER,
            rcvlowat: 1,
            linger: Linger::default(),
            reuse: false,
            oobinline: false,
            select_err_queue: false,
        }
    }

    /// Both directions (`SHUTDOWN_MASK`).
    pub(crate) fn shut_down(&self) -> bool {
        self.shut_rd && self.shut_wr
    }

    /// The error that waits, if one does: it is told once (`sock_error`).
    pub(crate) fn take_err(&mut self) -> Option<Errno> {
        self.err.take()
    }

    /// How many of `wanted` bytes are enough for a read not to wait for more (`sock_rcvlowat`).
    pub(crate) fn rcvlowat(&self, wanted: usize) -> usize {
        let lowat = usize::try_from(self.rcvlowat).unwrap_or_default();
        lowat.min(wanted).max(1)
    }

    /// `sk_setsockopt`. What has to be told because of it is for the caller to see to.
    pub(crate) fn set(&mut self, optname: i32, value: SockOpt) -> Result<(), Errno> {
        let int = value.int();
        match optname {
            SO_REUSEADDR => self.reuse = int != 0,
            SO_SNDBUF => {
                self.sndbuf = buffer(int, MIN_SNDBUF);
                self.sndbuf_locked = true;
            }
            SO_RCVBUF => self.rcvbuf = buffer(int, MIN_RCVBUF),
            SO_OOBINLINE => self.oobinline = int != 0,
            SO_LINGER => match value {
                SockOpt::Int(_) => return Err(Errno::EINVAL),
                SockOpt::Linger(Linger { onoff: 0, .. }) => self.linger.onoff = 0,
                SockOpt::Linger(linger) => self.linger = Linger { onoff: 1, ..linger },
            },
            SO_RCVLOWAT => {
                self.rcvlowat = match int {
                    0 => 1,
                    ..0 => i32::MAX,
                    bytes => bytes,
                }
            }
            SO_SELECT_ERR_QUEUE => self.select_err_queue = int != 0,
            // They can only be asked for, and all others nobody here knows.
            _ => return Err(Errno::ENOPROTOOPT),
        }
        Ok(())
    }

    /// `sk_getsockopt`
    pub(crate) fn get(&mut self, optname: i32) -> Result<SockOpt, Errno> {
        let size = |bytes| i32::try_from(bytes).unwrap_or(i32::MAX);
        Ok(SockOpt::Int(match optname {
            SO_REUSEADDR => i32::from(self.reuse),
            SO_TYPE => self.r#type.as_number(),
            SO_ERROR => self.take_err().map_or(0, |errno| errno.0),
            SO_SNDBUF => size(self.sndbuf),
            SO_RCVBUF => size(self.rcvbuf),
            SO_OOBINLINE => i32::from(self.oobinline),
            SO_LINGER => return Ok(SockOpt::Linger(self.linger)),
            SO_RCVLOWAT => self.rcvlowat,
            SO_SELECT_ERR_QUEUE => i32::from(self.select_err_queue),
            _ => return Err(Errno::ENOPROTOOPT),
        }))
    }
}

/// The kernel doubles what it is asked for: messages cost more than their bytes.
fn buffer(bytes: i32, least: u64) -> u64 {
    (u64::from(bytes.cast_unsigned()) * 2).max(least)
}

impl Machine {
    /// A wake-up of those who sleep on a socket or poll it, if it has a file through which they can.
    pub(crate) fn sk_wake(&mut self, socket: Socket, key: EventMask, nr: Nr, wakes: &mut Wakes) {
        let sk = socket.sk(self);
        if !(sk.dead || sk.embryo) {
            let head = sk.wq;
            self.owe_socket(socket, Wake { head, key, nr }, wakes);
        }
    }

    /// Tells everybody, without saying what (`sk_state_change`).
    pub(crate) fn sk_state_change(&mut self, socket: Socket, wakes: &mut Wakes) {
        self.sk_wake(socket, EventMask::empty(), Nr::All, wakes);
    }

    /// `sk_data_ready`
    pub(crate) fn sk_data_ready(&mut self, socket: Socket, wakes: &mut Wakes) {
        self.sk_wake(socket, DATA, Nr::One, wakes);
    }

    /// Keeps the socket until the wake-up of one of its queues is made: others may close it meanwhile.
    pub(crate) fn owe_socket(&mut self, socket: Socket, wake: Wake, wakes: &mut Wakes) {
        self.hold_socket(socket);
        wakes.sockets().holds.push(socket);
        wakes.push(wake);
    }

    /// `sock_hold`
    pub(crate) fn hold_socket(&mut self, socket: Socket) {
        socket.sk_mut(self).refs += 1;
    }

    /// Drops a reference (`sock_put`).
    pub(crate) fn put_socket(&mut self, socket: Socket) {
        let sk = socket.sk_mut(self);
        sk.refs -= 1;
        if sk.refs == 0 {
            let wq = sk.wq;
            socket.destroy(self);
            self.heads.remove(wq);
        }
    }

    /// Drops the references of a call that has made its wake-ups.
    pub(crate) fn put_sockets(&mut self, sockets: Vec<Socket>) {
        for socket in sockets {
            self.put_socket(socket);
        }
    }
}

impl Encode for Sock {
    fn encode(&self, to: &mut Encoder<'_>) {
        let Sock {
            label: _,
            r#type,
            wq,
            refs: _, // as many as lead to it
            dead,
            embryo,
            shut_rd,
            shut_wr,
            err,
            wmem,
            sndbuf,
            sndbuf_locked,
            rcvbuf,
            rcvlowat,
            linger,
            reuse,
            oobinline,
            select_err_queue,
        } = self;
        let flags = [
            *dead,
            *embryo,
            *shut_rd,
            *shut_wr,
            *reuse,
            *oobinline,
            *select_err_queue,
            *sndbuf_locked,
            linger.onoff != 0,
        ];
        let flags = flags
            .into_iter()
            .fold(0, |all, flag| all << 1 | u64::from(flag));
        to.numbers([
            r#type.number(to),
            flags,
            *wmem,
            // Hardly anybody changes these.
            *sndbuf ^ DEFAULT_BUFFER,
            *rcvbuf ^ DEFAULT_BUFFER,
            u64::from(rcvlowat.cast_unsigned()) ^ 1,
            u64::from(linger.seconds.cast_unsigned()),
        ]);
        encode_option(err, to);
        to.queue(*wq);
    }
}
