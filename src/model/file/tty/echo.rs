//! What is to be echoed, until there is room to send it (`echo_buf` in drivers/tty/n_tty.c): 4096 bytes, of which
//! the oldest are dropped before the newest.

use std::collections::VecDeque;

use crate::model::encode::{Encode, Encoder};

/// Before the end of what has arrived, echoes are sent in blocks of this size (`ECHO_BLOCK`).
const BLOCK: usize = 256;

/// What waits is never longer (`ECHO_DISCARD_WATERMARK`).
const WATERMARK: usize = 4096 - (BLOCK + 32);

/// Echoes that wait, the oldest first.
#[derive(Clone, Debug, Default)]
pub(super) struct Echoes {
    queue: VecDeque<Echo>,
    /// The bytes that all of them take (`echo_head - echo_tail`).
    bytes: usize,
    /// How many of those may be sent (`echo_commit - echo_tail`).
    committed: usize,
    /// One has come since this was last asked.
    fresh: bool,
}

/// One of them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Echo {
    /// A character as it is, processed as all output is.
    Plain(u8),
    /// One as `^X`, both or neither.
    Control(u8),
    /// Not to be seen: remember where the line begins (`ECHO_OP_SET_CANON_COL`).
    Column,
}

/// What begins those that take two bytes (`ECHO_OP_START`).
const START: u8 = 0xff;

impl Echo {
    fn bytes(self) -> usize {
        match self {
            Echo::Plain(byte) if byte != START => 1,
            Echo::Plain(_) | Echo::Control(_) | Echo::Column => 2,
        }
    }
}

impl Echoes {
    pub(super) fn push(&mut self, echo: Echo) {
        self.bytes += echo.bytes();
        self.queue.push_back(echo);
        self.fresh = true;
    }

    pub(super) fn grew(&mut self) -> bool {
        std::mem::take(&mut self.fresh)
    }

    /// Whether another block is full, so that all may be sent (`commit_echoes`).
    pub(super) fn commit_block(&mut self) -> bool {
        let due = self.bytes >= BLOCK && self.bytes % BLOCK <= self.committed % BLOCK;
        if due {
            self.committed = self.bytes;
        }
        due
    }

    /// Whether there is something that may not be sent so far; now it may (`flush_echoes`).
    pub(super) fn commit_rest(&mut self) -> bool {
        let any = self.committed < self.bytes;
        self.committed = self.bytes;
        any
    }

    /// The next to send.
    pub(super) fn next(&self) -> Option<Echo> {
        self.queue.front().copied().filter(|_| self.committed > 0)
    }

    /// It was sent, or is not to be.
    pub(super) fn pop(&mut self) {
        if let Some(echo) = self.queue.pop_front() {
            self.bytes -= echo.bytes();
            self.committed -= echo.bytes();
        }
    }

    /// Drops what would soon be in the way of the newest.
    pub(super) fn discard(&mut self) {
        while self.committed >= WATERMARK {
            self.pop();
        }
    }
}

impl Encode for Echoes {
    fn encode(&self, to: &mut Encoder<'_>) {
        let Echoes {
            queue,
            bytes: _, // the sum
            committed,
            fresh: _, // of no meaning between two characters
        } = self;
        committed.encode(to);
        queue.len().encode(to);
        for echo in queue {
            match echo {
                Echo::Plain(byte) => {
                    to.byte(0);
                    to.byte(*byte);
                }
                Echo::Control(byte) => {
                    to.byte(1);
                    to.byte(*byte);
                }
                Echo::Column => to.byte(2),
            }
        }
    }
}
