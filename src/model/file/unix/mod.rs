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

use super::socket::{Directions, READABLE, Sock, SockType, Socket, WRITABLE};
use super::transfer::{Io, Wakes};
use crate::abi::{Bytes, EventMask};
use crate::model::arena::{FileId, HeadId, UnixId, WaitId};
use crate::model::encode::{Encode, Encoder, Number, encode_option, variant_is_number};
use crate::model::wait_queue::{Nr, WaitHead, Wake};
use crate::model::{Kernel, Machine};
use crate::trace::{FileRef, Observer, QueueRef};

/// A socket (`struct unix_sock`).
#[derive(Clone, Debug)]
pub(crate) struct UnixSock {
    /// What it has in common with sockets of other families.
    pub(crate) sk: Sock,
    pub(crate) state: UnixState,
    /// The other end, or where datagrams go that say nothing else (`unix_peer`).
    pub(crate) peer: Option<UnixId>,
    /// Its name in the abstract namespace; one that was accepted has its listener's.
    pub(crate) name: Option<Box<[u8]>>,
    /// It is found by that name.
    pub(crate) hashed: bool,
    /// What was sent to it; connections that wait for accept(2), if it listens (`sk_receive_queue`).
    pub(crate) queue: VecDeque<Skb>,
    /// How many may wait on its queue: connections, or datagrams of strangers (`sk_max_ack_backlog`).
    pub(crate) backlog: usize,
    /// Those who wait for room on its queue (`peer_wait`).
    pub(crate) peer_wait: HeadId,
    /// Its entry on the `peer_wait` of a full peer, which tells it of room there (`peer_wake`).
    pub(crate) peer_wake: Option<WaitId>,
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

/// `net.unix.max_dgram_qlen`
const MAX_DGRAM_QLEN: usize = 10;

impl UnixSock {
    /// `unix_writable`: a quarter of the buffer at most is in use. The kernel counts from 1, which shows
    /// where the quarter is exactly full.
    fn writable(&self) -> bool {
        self.state != UnixState::Listen && (self.sk.wmem + 1) << 2 <= self.sk.sndbuf
    }

    /// Whether it is one end of a connection, or could be.
    fn connects(&self) -> bool {
        self.sk.r#type != SockType::Datagram
    }

    /// `unix_recvq_full`
    fn queue_is_full(&self) -> bool {
        self.queue.len() > self.backlog
    }

    /// The part of the mask that does not depend on the peer.
    fn mask(&self) -> EventMask {
        let mut mask = EventMask::empty();
        mask.set(EventMask::ERR, self.sk.err.is_some());
        mask.set(EventMask::HUP, self.sk.shut_down());
        mask.set(READABLE | EventMask::RDHUP, self.sk.shut_rd);
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
    fn new(sk: Sock, peer_wait: HeadId) -> UnixSock {
        UnixSock {
            sk,
            state: UnixState::Close,
            peer: None,
            name: None,
            hashed: false,
            queue: VecDeque::new(),
            backlog: MAX_DGRAM_QLEN,
            peer_wait,
            peer_wake: None,
        }
    }
}

impl Machine {
    /// A socket that nobody knows yet (`unix_create1`).
    pub(crate) fn new_unix(&mut self, r#type: SockType, label: FileRef) -> UnixId {
        let sk = Sock::new(self, r#type, label);
        let peer_wait = WaitHead::new(QueueRef::PeerWait(label));
        let peer_wait = self.heads.insert(peer_wait);
        self.unix.insert(UnixSock::new(sk, peer_wait))
    }

    /// Makes `other` the peer of `sock`, which holds on to it (`unix_peer`).
    pub(crate) fn set_unix_peer(&mut self, sock: UnixId, other: Option<UnixId>) {
        if let Some(other) = other {
            self.unix[other].sk.refs += 1;
        }
        if let Some(before) = std::mem::replace(&mut self.unix[sock].peer, other) {
            self.put_socket(Socket::Unix(before));
        }
    }

    /// Tells a socket that may be waiting for room, if there is some (`unix_write_space`).
    pub(crate) fn unix_write_space(&mut self, id: UnixId, wakes: &mut Wakes) {
        if self.unix[id].writable() {
            self.sk_wake(Socket::Unix(id), WRITABLE, Nr::One, wakes);
        }
    }

    /// Ties two new sockets to each other (`unix_socketpair`).
    pub(crate) fn unix_socketpair(&mut self, [one, other]: [UnixId; 2]) {
        for (sock, peer) in [(one, other), (other, one)] {
            self.set_unix_peer(sock, Some(peer));
            self.unix[sock].state = UnixState::Established;
        }
    }

    /// A wake-up of those who wait for room on its queue (`peer_wait`).
    fn wake_unix_peers(&mut self, id: UnixId, key: EventMask, nr: Nr, wakes: &mut Wakes) {
        let head = self.unix[id].peer_wait;
        self.owe_socket(Socket::Unix(id), Wake { head, key, nr }, wakes);
    }

    /// shutdown(2) of either end shows at both.
    fn unix_shutdown(&mut self, id: UnixId, directions: Directions, wakes: &mut Wakes) {
        let Directions { rd, wr } = directions;
        let sock = &mut self.unix[id];
        sock.sk.shut_rd |= rd;
        sock.sk.shut_wr |= wr;
        let (peer, connects) = (sock.peer, sock.connects());
        self.sk_state_change(Socket::Unix(id), wakes);
        if let Some(peer) = peer.filter(|_| connects) {
            let sock = &mut self.unix[peer];
            sock.sk.shut_rd |= wr;
            sock.sk.shut_wr |= rd;
            self.sk_state_change(Socket::Unix(peer), wakes);
        }
    }

    /// Puts a message where its receiver finds it; from now on it counts against its sender.
    fn unix_queue(&mut self, receiver: UnixId, skb: Skb) {
        self.unix_charge(&skb);
        self.unix[receiver].queue.push_back(skb);
    }

    fn unix_charge(&mut self, skb: &Skb) {
        let sender = &mut self.unix[skb.from].sk;
        sender.wmem += skb.truesize;
        sender.refs += 1;
    }

    /// Takes the files out of the message at this place (`unix_detach_fds`); who only peeks gets references of
    /// his own (`scm_fp_dup`).
    fn unix_detach(&mut self, id: UnixId, place: usize, peek: bool, io: &mut Io) {
        let rights = match self.unix[id].queue.get_mut(place) {
            Some(skb) if !skb.rights.is_empty() => &mut skb.rights,
            _ => return,
        };
        let files = if peek {
            rights.clone()
        } else {
            std::mem::take(rights)
        };
        for file in files.iter().filter(|_| peek) {
            self.files[*file].refs += 1;
        }
        io.wakes.sockets().received.extend(files);
    }

    /// A message is used up, and its sender has more room (`sock_wfree`).
    fn unix_free_skb(&mut self, skb: &Skb, wakes: &mut Wakes) {
        for file in &skb.rights {
            if self.put_file(*file) {
                wakes.sockets().dropped.push(*file);
            }
        }
        // The last byte of it is given back behind the wake-up: it counts 1 until then.
        self.unix[skb.from].sk.wmem -= skb.truesize - 1;
        self.unix_write_space(skb.from, wakes);
        self.unix[skb.from].sk.wmem -= 1;
        self.put_socket(Socket::Unix(skb.from));
    }
}

impl<O: Observer> Kernel<'_, O> {
    /// What an entry on a full peer's `peer_wait` does (`unix_dgram_peer_wake_relay`): it leaves, and
    /// passes the wake-up on to its socket's own queue.
    pub(crate) fn unix_peer_wake_relay(&mut self, id: UnixId, key: EventMask) -> Wake {
        let sock = &mut self.m.unix[id];
        let (head, entry) = (sock.sk.wq, sock.peer_wake.take());
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

variant_is_number!(UnixState);

impl Encode for UnixSock {
    fn encode(&self, to: &mut Encoder<'_>) {
        let UnixSock {
            sk,
            state,
            peer,
            name,
            hashed,
            queue,
            backlog,
            peer_wait,
            peer_wake: _, // the queue's entry
        } = self;
        sk.encode(to);
        to.numbers([
            state.number(to),
            u64::from(*hashed),
            peer.number(to),
            backlog.number(to),
            queue.len().number(to),
        ]);
        encode_option(&name.as_deref().map(Bytes::from), to);
        for skb in queue {
            skb.encode(to);
        }
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
