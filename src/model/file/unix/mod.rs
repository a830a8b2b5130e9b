//! AF_UNIX sockets (unix(7), net/unix/af_unix.c).
//!
//! Two sockets that are connected hold on to each other, and what one sends lies on the *other's* queue
//! but counts against the *sender's* buffer until the last byte of it was read:
//!
//! ```text
//!   sender: wmem 1536 of sndbuf 212992          receiver: queue [768: "a"] [768: "b"]
//!      ▲                                            │
//!      └── a message is freed: EPOLLOUT to the ─────┘ recv(2)
//!          sender, if it is writable
//! ```
//!
//! Who wakes whom follows from that. A send wakes the receiver, once for each message or piece of a
//! stream. A receive wakes the *sender* when a message is used up, whether or not it was ever full, and
//! nobody when a part of it is left. shutdown(2) and close(2) change both ends and wake both without a
//! key, so that every watcher hears of them.
//!
//! The kinds of sockets differ in what they put on the queue: `stream` takes messages apart, `dgram` keeps
//! them whole, and a seqpacket is a datagram between two who are connected. `listen` tells how strangers
//! meet, `memory` what a message costs, `release` how it ends.

mod dgram;
mod listen;
mod memory;
mod ops;
mod release;
mod stream;

use std::collections::VecDeque;

use super::ops::Kind;
use super::transfer::Wakes;
use crate::abi::{Bytes, EventMask};
use crate::model::arena::{FileId, HeadId, UnixId, WaitId};
use crate::model::encode::{Encode, Encoder, Number, encode_option, variant_is_number};
use crate::model::wait_queue::{Nr, WaitHead, Wake};
use crate::model::{Kernel, Machine};
use crate::trace::{FileRef, Observer, QueueRef};

/// A socket (`struct unix_sock`).
#[derive(Clone, Debug)]
pub(crate) struct UnixSock {
    /// `sk_type`
    pub(crate) r#type: UnixType,
    pub(crate) state: UnixState,
    /// The other end, or where datagrams go that say nothing else (`unix_peer`).
    pub(crate) peer: Option<UnixId>,
    /// What was shut down, by either end (`sk_shutdown`).
    pub(crate) shut_rd: bool,
    pub(crate) shut_wr: bool,
    /// An error that waits to be told (`sk_err`): `ECONNRESET`, the only one that comes to these sockets.
    pub(crate) reset: bool,
    /// Its name in the abstract namespace.
    pub(crate) name: Option<Box<[u8]>>,
    /// What was sent to it; connections that wait for accept(2), if it listens (`sk_receive_queue`).
    pub(crate) queue: VecDeque<Skb>,
    /// What of its own messages nobody has used up (`sk_wmem_alloc`, without the 1 that it begins with).
    pub(crate) wmem: u64,
    /// `sk_sndbuf`
    pub(crate) sndbuf: u64,
    /// `sk_rcvbuf`, which means nothing to these sockets.
    pub(crate) rcvbuf: u64,
    /// How many may wait on its queue: connections, or datagrams of strangers (`sk_max_ack_backlog`).
    pub(crate) backlog: usize,
    /// Those who sleep on it and those who poll it (`sk_wq`).
    pub(crate) wq: HeadId,
    /// Those who wait for room on its queue (`peer_wait`).
    pub(crate) peer_wait: HeadId,
    /// Its entry on the `peer_wait` of a full peer, which tells it of room there (`peer_wake`).
    pub(crate) peer_wake: Option<WaitId>,
    /// Its file, the sockets whose peer it is, its messages that are under way.
    pub(crate) refs: u32,
    /// Its file is gone (`SOCK_DEAD`).
    pub(crate) dead: bool,
    /// It has no file yet, as it waits to be accepted.
    pub(crate) embryo: bool,
}

/// What a socket keeps together.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum UnixType {
    Stream,
    Datagram,
    /// Messages that stay whole, between two who are connected.
    Seqpacket,
}

/// How far a connection has come (`sk_state`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum UnixState {
    /// `TCP_CLOSE`
    Close,
    /// `TCP_LISTEN`
    Listen,
    /// `TCP_ESTABLISHED`
    Established,
}

/// A message on a queue (`struct sk_buff`).
#[derive(Clone, Debug)]
pub(crate) struct Skb {
    /// Whose buffer it counts against.
    pub(crate) from: UnixId,
    pub(crate) data: Vec<u8>,
    /// How much of it has been read (`UNIXCB(skb).consumed`).
    pub(crate) consumed: usize,
    pub(crate) truesize: u64,
    /// It is the urgent byte (`oob_skb`), read or not.
    pub(crate) urgent: bool,
    /// Files that it takes along, with a reference of each (`UNIXCB(skb).fp`).
    pub(crate) rights: Vec<FileId>,
    /// It is a connection: `from` is the socket that accept(2) will give.
    pub(crate) connection: bool,
}

impl Skb {
    /// What is left of it (`unix_skb_len`).
    fn unread(&self) -> &[u8] {
        &self.data[self.consumed..]
    }
}

const READABLE: EventMask = EventMask::IN.union(EventMask::RDNORM);
const WRITABLE: EventMask = EventMask::OUT
    .union(EventMask::WRNORM)
    .union(EventMask::WRBAND);
/// What comes with new data (`sock_def_readable`): it might be urgent.
const DATA: EventMask = READABLE.union(EventMask::PRI).union(EventMask::RDBAND);

/// `net.core.wmem_default`, and the same for receiving.
const DEFAULT_BUFFER: u64 = 212_992;
/// `net.unix.max_dgram_qlen`
const MAX_DGRAM_QLEN: usize = 10;
/// The least that `SO_SNDBUF` can be (`SOCK_MIN_SNDBUF`): two messages of a page's half.
const MIN_SNDBUF: u64 = 4608;
/// `SOCK_MIN_RCVBUF`
const MIN_RCVBUF: u64 = 2304;

impl UnixSock {
    /// `unix_writable`: a quarter of the buffer at most is in use. The kernel counts from 1, which shows
    /// where the quarter is exactly full.
    fn writable(&self) -> bool {
        self.state != UnixState::Listen && (self.wmem + 1) << 2 <= self.sndbuf
    }

    /// Whether it is one end of a connection, or could be.
    fn connects(&self) -> bool {
        self.r#type != UnixType::Datagram
    }

    /// `unix_recvq_full`
    fn queue_is_full(&self) -> bool {
        self.queue.len() > self.backlog
    }

    fn shut_down(&self) -> bool {
        self.shut_rd && self.shut_wr
    }

    /// The part of the mask that does not depend on the peer.
    fn mask(&self) -> EventMask {
        let mut mask = EventMask::empty();
        mask.set(EventMask::ERR, self.reset);
        mask.set(EventMask::HUP, self.shut_down());
        mask.set(READABLE | EventMask::RDHUP, self.shut_rd);
        if !self.queue.is_empty() {
            mask |= READABLE;
        }
        let urgent = self
            .queue
            .iter()
            .any(|skb| skb.urgent && !skb.unread().is_empty());
        mask.set(EventMask::PRI, urgent);
        if self.connects() && self.state == UnixState::Close {
            mask |= EventMask::HUP;
        }
        mask
    }
}

impl UnixSock {
    fn new(r#type: UnixType, wq: HeadId, peer_wait: HeadId) -> UnixSock {
        UnixSock {
            r#type,
            state: UnixState::Close,
            peer: None,
            shut_rd: false,
            shut_wr: false,
            reset: false,
            name: None,
            queue: VecDeque::new(),
            wmem: 0,
            sndbuf: DEFAULT_BUFFER,
            rcvbuf: DEFAULT_BUFFER,
            backlog: MAX_DGRAM_QLEN,
            wq,
            peer_wait,
            peer_wake: None,
            refs: 1,
            dead: false,
            embryo: false,
        }
    }

    /// `sock_setsockopt` with `SO_SNDBUF`: the kernel doubles what it is asked for.
    pub(crate) fn set_sndbuf(&mut self, bytes: i32) {
        self.sndbuf = buffer(bytes, MIN_SNDBUF);
    }

    /// The same with `SO_RCVBUF`.
    pub(crate) fn set_rcvbuf(&mut self, bytes: i32) {
        self.rcvbuf = buffer(bytes, MIN_RCVBUF);
    }
}

fn buffer(bytes: i32, least: u64) -> u64 {
    (u64::from(bytes.cast_unsigned()) * 2).max(least)
}

impl Machine {
    /// A socket that nobody knows yet (`unix_create1`).
    pub(crate) fn new_unix(&mut self, r#type: UnixType, label: FileRef) -> UnixId {
        let wq = self.heads.insert(WaitHead::new(QueueRef::File(label)));
        let peer_wait = WaitHead::new(QueueRef::PeerWait(label));
        let peer_wait = self.heads.insert(peer_wait);
        self.unix.insert(UnixSock::new(r#type, wq, peer_wait))
    }

    /// The socket behind a file, if it is one.
    pub(crate) fn unix_of(&self, file: FileId) -> Option<UnixId> {
        match self.files[file].kind {
            Kind::Unix(sock) => Some(sock),
            _ => None,
        }
    }

    /// Makes `other` the peer of `sock`, which holds on to it (`unix_peer`).
    pub(crate) fn set_unix_peer(&mut self, sock: UnixId, other: Option<UnixId>) {
        if let Some(other) = other {
            self.unix[other].refs += 1;
        }
        if let Some(before) = std::mem::replace(&mut self.unix[sock].peer, other) {
            self.put_unix(before);
        }
    }

    /// A wake-up of those who sleep on a socket or poll it (`sk_wq`), if it has a file through which they can.
    fn wake_unix(&mut self, id: UnixId, key: EventMask, nr: Nr, wakes: &mut Wakes) {
        let sock = &self.unix[id];
        if !(sock.dead || sock.embryo) {
            let head = sock.wq;
            self.owe_unix(id, Wake { head, key, nr }, wakes);
        }
    }

    /// Tells everybody, without saying what (`sk_state_change`).
    fn unix_state_change(&mut self, id: UnixId, wakes: &mut Wakes) {
        self.wake_unix(id, EventMask::empty(), Nr::All, wakes);
    }

    /// `sk_data_ready`
    fn unix_data_ready(&mut self, id: UnixId, wakes: &mut Wakes) {
        self.wake_unix(id, DATA, Nr::One, wakes);
    }

    /// Tells a socket that may be waiting for room, if there is some (`unix_write_space`).
    pub(crate) fn unix_write_space(&mut self, id: UnixId, wakes: &mut Wakes) {
        if self.unix[id].writable() {
            self.wake_unix(id, WRITABLE, Nr::One, wakes);
        }
    }

    /// A wake-up of those who wait for room on its queue (`peer_wait`).
    fn wake_unix_peers(&mut self, id: UnixId, key: EventMask, nr: Nr, wakes: &mut Wakes) {
        let head = self.unix[id].peer_wait;
        self.owe_unix(id, Wake { head, key, nr }, wakes);
    }

    /// Keeps the socket until the wake-up of its queue is made: others may close it meanwhile.
    fn owe_unix(&mut self, id: UnixId, wake: Wake, wakes: &mut Wakes) {
        self.unix[id].refs += 1;
        wakes.sockets().holds.push(id);
        wakes.push(wake);
    }

    /// Puts a message where its receiver finds it; from now on it counts against its sender.
    fn unix_queue(&mut self, receiver: UnixId, skb: Skb) {
        let sender = &mut self.unix[skb.from];
        sender.wmem += skb.truesize;
        sender.refs += 1;
        self.unix[receiver].queue.push_back(skb);
    }

    /// A message is used up, and its sender has more room (`sock_wfree`).
    fn unix_free_skb(&mut self, skb: &Skb, wakes: &mut Wakes) {
        for file in &skb.rights {
            if self.put_file(*file) {
                wakes.sockets().dropped.push(*file);
            }
        }
        // The last byte of it is given back behind the wake-up: it counts 1 until then.
        self.unix[skb.from].wmem -= skb.truesize - 1;
        self.unix_write_space(skb.from, wakes);
        self.unix[skb.from].wmem -= 1;
        self.put_unix(skb.from);
    }
}

impl<O: Observer> Kernel<'_, O> {
    /// shutdown(2) of either end shows at both.
    pub(crate) fn unix_shutdown(&mut self, id: UnixId, (rd, wr): (bool, bool)) -> Wakes {
        let mut wakes = Wakes::default();
        let sock = &mut self.m.unix[id];
        sock.shut_rd |= rd;
        sock.shut_wr |= wr;
        let (peer, connects) = (sock.peer, sock.connects());
        self.m.unix_state_change(id, &mut wakes);
        if let Some(peer) = peer.filter(|_| connects) {
            let sock = &mut self.m.unix[peer];
            sock.shut_rd |= wr;
            sock.shut_wr |= rd;
            self.m.unix_state_change(peer, &mut wakes);
        }
        wakes
    }

    /// What an entry on a full peer's `peer_wait` does (`unix_dgram_peer_wake_relay`): it leaves, and
    /// passes the wake-up on to its socket's own queue.
    pub(crate) fn unix_peer_wake_relay(&mut self, id: UnixId, key: EventMask) -> Wake {
        let sock = &mut self.m.unix[id];
        let (head, entry) = (sock.wq, sock.peer_wake.take());
        if let Some(entry) = entry {
            self.m.remove_wait_entry(entry);
        }
        Wake {
            head,
            key,
            nr: Nr::One,
        }
    }
}

variant_is_number!(UnixType, UnixState);

impl Encode for UnixSock {
    fn encode(&self, to: &mut Encoder<'_>) {
        let UnixSock {
            r#type,
            state,
            peer,
            shut_rd,
            shut_wr,
            reset,
            name,
            queue,
            wmem,
            sndbuf,
            rcvbuf,
            backlog,
            wq,
            peer_wait,
            peer_wake: _, // the queue's entry
            refs: _,      // as many as lead to it
            dead,
            embryo,
        } = self;
        let flags = [shut_rd, shut_wr, reset, dead, embryo].into_iter();
        let flags = flags.fold(0, |all, flag| all << 1 | u64::from(*flag));
        to.numbers([
            r#type.number(to),
            state.number(to),
            flags,
            peer.number(to),
            // The rest is in the messages, but for those that are being sent.
            *wmem,
            *sndbuf ^ DEFAULT_BUFFER,
            *rcvbuf ^ DEFAULT_BUFFER,
            backlog.number(to),
            queue.len().number(to),
        ]);
        encode_option(&name.as_deref().map(Bytes::from), to);
        for skb in queue {
            skb.encode(to);
        }
        to.queue(*wq);
        to.queue(*peer_wait);
    }
}

impl Encode for Skb {
    fn encode(&self, to: &mut Encoder<'_>) {
        let Skb {
            from,
            data,
            consumed,
            truesize,
            urgent,
            rights,
            connection,
        } = self;
        rights.encode(to);
        let flags = u64::from(*urgent) << 1 | u64::from(*connection);
        to.numbers([from.number(to), flags, *truesize]);
        // What has been read is gone.
        to.bytes(&data[*consumed..]);
    }
}
