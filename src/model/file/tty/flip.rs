//! What has arrived at a terminal and was not taken in yet: the flip buffers (drivers/tty/tty_buffer.c).
//!
//! They are a chain of buffers of a few hundred bytes up to 3584. Whether there is room for more goes by the
//! sizes of the buffers in the chain, not by what is in them, and the last one stays when it has been emptied:
//! that is why a writer can tell when it will be stopped only to within some kilobytes.
//!
//! How much a chain takes when it is nearly full depends also on how many of the smallest buffers it has been given
//! back, and so on how often the worker came by in the middle of a write. Here it comes behind the write; on
//! Linux anything is possible, so a scenario that fills a terminal does it with writes of one size, each of which
//! takes one buffer.

use std::collections::VecDeque;

use crate::model::encode::{Encode, Encoder};

/// Sizes are multiples of this, and buffers of no more are kept for the next (`MIN_TTYB_SIZE`).
const SMALLEST: usize = 256;
/// The largest size that is asked for (`TTY_BUFFER_PAGE`).
const LARGEST: usize = 1792;
/// From here on there are no new buffers (`mem_limit` of a pty).
const LIMIT: usize = 8192;

/// The chain (`struct tty_bufhead`).
#[derive(Clone, Debug, Default)]
pub(super) struct FlipBuffers {
    /// The oldest first. What is in them is for the receiver to take at once: all of it is committed.
    chain: VecDeque<FlipBuffer>,
    /// The sizes of all of them (`mem_used`).
    mem_used: usize,
    /// How many of the smallest wait to be used again (`free`).
    free: usize,
}

/// One buffer (`struct tty_buffer`).
#[derive(Clone, Debug)]
struct FlipBuffer {
    /// What it counts for. It holds twice as much, as its bytes come without flags.
    size: usize,
    bytes: Vec<u8>,
    /// How many have been taken in.
    read: usize,
}

impl FlipBuffers {
    /// How much the sender may put in (`tty_buffer_space_avail`).
    pub(super) fn space(&self) -> usize {
        LIMIT.saturating_sub(self.mem_used)
    }

    /// Bytes that were not taken in.
    pub(super) fn unread(&self) -> usize {
        let unread = |buffer: &FlipBuffer| buffer.bytes.len() - buffer.read;
        self.chain.iter().map(unread).sum()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.unread() == 0
    }

    /// Whether it would take any of so many bytes from a sender who does not ask for the space.
    pub(super) fn takes_some_of(&self, bytes: usize) -> bool {
        self.left() > 0 || self.may_grow(bytes.min(LARGEST).next_multiple_of(SMALLEST))
    }

    fn left(&self) -> usize {
        self.chain
            .back()
            .map_or(0, |last| 2 * last.size - last.bytes.len())
    }

    fn may_grow(&self, size: usize) -> bool {
        self.mem_used <= LIMIT || size <= SMALLEST && self.free > 0
    }

    /// Puts in as much as goes, and says how much that was (`tty_insert_flip_string`).
    pub(super) fn insert(&mut self, bytes: &[u8]) -> usize {
        let mut copied = 0;
        while copied < bytes.len() {
            let goal = (bytes.len() - copied).min(LARGEST);
            let space = self.request_room(goal);
            let Some(last) = self.chain.back_mut().filter(|_| space > 0) else {
                break;
            };
            last.bytes.extend_from_slice(&bytes[copied..copied + space]);
            copied += space;
        }
        copied
    }

    /// Room in the last buffer, or in a new one (`__tty_buffer_request_room`).
    fn request_room(&mut self, size: usize) -> usize {
        let left = self.left();
        if left >= size {
            return size;
        }
        let rounded = size.next_multiple_of(SMALLEST);
        if !self.may_grow(rounded) {
            return left;
        }
        if rounded <= SMALLEST {
            self.free = self.free.saturating_sub(1);
        }
        self.mem_used += rounded;
        self.chain.push_back(FlipBuffer {
            size: rounded,
            bytes: Vec::new(),
            read: 0,
        });
        size
    }

    /// The oldest bytes that lie together; buffers before them are given back.
    pub(super) fn chunk(&mut self) -> &[u8] {
        while self.chain.len() > 1 && self.chain[0].read == self.chain[0].bytes.len() {
            self.give_back();
        }
        self.chain
            .front()
            .map_or(&[], |first| &first.bytes[first.read..])
    }

    fn give_back(&mut self) {
        if let Some(first) = self.chain.pop_front() {
            self.mem_used -= first.size;
            self.free += usize::from(first.size <= SMALLEST);
        }
    }

    /// Takes so many bytes of the chunk.
    pub(super) fn consume(&mut self, count: usize) {
        if let Some(first) = self.chain.front_mut() {
            first.read += count;
        }
    }

    /// Forgets all of it (`tty_buffer_flush`).
    pub(super) fn flush(&mut self) {
        while self.chain.len() > 1 {
            self.give_back();
        }
        if let Some(last) = self.chain.front_mut() {
            last.read = last.bytes.len();
        }
    }
}

impl Encode for FlipBuffers {
    fn encode(&self, to: &mut Encoder<'_>) {
        let FlipBuffers {
            chain,
            mem_used: _, // the sum of the sizes
            free,
        } = self;
        free.encode(to);
        chain.len().encode(to);
        for FlipBuffer { size, bytes, read } in chain {
            size.encode(to);
            read.encode(to);
            to.bytes(&bytes[*read..]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chain_takes_no_more_than_five_large_buffers() {
        let mut flip = FlipBuffers::default();
        assert_eq!(flip.space(), 8192);
        let mut taken = 0;
        loop {
            let now = flip.insert(&[b'x'; 2048]);
            if now == 0 {
                break;
            }
            taken += now;
        }
        assert_eq!((flip.mem_used, taken), (8960, flip.unread()));
        assert_eq!(flip.space(), 0);
        assert!(!flip.takes_some_of(1));
        while !flip.chunk().is_empty() {
            let count = flip.chunk().len();
            flip.consume(count);
        }
        // The last one stays.
        assert_eq!(flip.mem_used, 1792);
    }
}
