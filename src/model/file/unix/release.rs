//! The end of a socket (`unix_release_sock`).
//!
//! Its file goes first; what it was connected to, and messages of its own on the queues of others, may keep
//! the rest for a while. The other end of a connection learns of it at once, and what lay unread on the
//! queue is an error there.

use super::UnixState;
use crate::abi::{Errno, EventMask};
use crate::model::Machine;
use crate::model::arena::UnixId;
use crate::model::file::ops::Released;
use crate::model::file::socket::Socket;
use crate::model::file::transfer::Wakes;
use crate::model::wait_queue::Nr;

impl Machine {
    /// `unix_sock_destructor`
    pub(super) fn destroy_unix(&mut self, id: UnixId) {
        let (peer_wait, peer) = (self.unix[id].peer_wait, self.unix[id].peer);
        self.unix.remove(id);
        self.heads.remove(peer_wait);
        if let Some(peer) = peer {
            self.put_socket(Socket::Unix(peer));
        }
    }

    /// The first part of a release: the other end learns of it.
    pub(super) fn unix_orphan(&mut self, id: UnixId, wakes: &mut Wakes) {
        let sock = &mut self.unix[id];
        // What is left of an urgent byte is passed over, and an empty message looks like that: one, not two.
        let passed = sock
            .queue
            .front()
            .is_some_and(|skb| skb.unread().is_empty());
        let unread = sock.queue.len() > usize::from(passed && !sock.queue[0].connection);
        let listened = sock.state == UnixState::Listen;
        sock.sk.dead = true;
        (sock.sk.shut_rd, sock.sk.shut_wr) = (true, true);
        if !listened {
            sock.state = UnixState::Close;
        }
        // Who is connected to it may still ask for its name.
        sock.hashed = false;
        let (peer, connects) = (sock.peer, sock.connects());
        self.wake_unix_peers(id, EventMask::empty(), Nr::All, wakes);
        if let Some(peer) = peer
            && connects
        {
            let sock = &mut self.unix[peer];
            (sock.sk.shut_rd, sock.sk.shut_wr) = (true, true);
            if unread {
                sock.sk.err = Some(Errno::ECONNRESET);
            }
            self.sk_state_change(Socket::Unix(peer), wakes);
        }
        self.unix_peer_wake_disconnect(id);
        self.set_unix_peer(id, None);
    }

    /// One round of a release: first the socket itself, then a message after the other.
    pub(super) fn unix_release(&mut self, id: UnixId) -> Released {
        let mut wakes = Wakes::default();
        if !self.unix[id].sk.dead {
            self.unix_orphan(id, &mut wakes);
            return Released::More(wakes);
        }
        let Some(skb) = self.unix[id].queue.pop_front() else {
            return Released::Done(wakes);
        };
        if skb.connection {
            // Whoever waited to be accepted is turned away, as if what it sent had not been read.
            let embryo = skb.from;
            if let Some(client) = self.unix[embryo].peer {
                self.unix[client].sk.err = Some(Errno::ECONNRESET);
            }
            self.unix_orphan(embryo, &mut wakes);
            while let Some(unread) = self.unix[embryo].queue.pop_front() {
                self.unix_free_skb(&unread, &mut wakes);
            }
        }
        self.unix_free_skb(&skb, &mut wakes);
        Released::More(wakes)
    }

    /// The entry by which a full peer would have told of room (`unix_dgram_peer_wake_disconnect`).
    pub(super) fn unix_peer_wake_disconnect(&mut self, id: UnixId) {
        if let Some(entry) = self.unix[id].peer_wake.take() {
            self.remove_wait_entry(entry);
        }
    }
}
