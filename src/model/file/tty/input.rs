//! From the flip buffers into the line discipline: what the worker does (`flush_to_ldisc`).
//!
//! What it has taken in can be seen before anybody is told: the wake-up is a step of its own, and on another
//! processor a poll may come in between.

use super::ldisc::is_canonical;
use super::{Pty, READABLE, Side};
use crate::abi::EventMask;
use crate::abi::termios::mode::{ECHO, ECHONL};
use crate::model::arena::PtyId;
use crate::model::wait_queue::Wake;
use crate::model::work::Whose;
use crate::model::{Kernel, Machine};
use crate::trace::Observer;

impl Pty {
    /// Takes in what lies together, but no more than up to the end of a line. The wake-ups that are due then.
    pub(super) fn receive(&mut self, side: Side) -> Vec<Wake> {
        let mut wakes = Vec::new();
        let mut left = self.end_mut(side).buf.chunk().to_vec();
        let mut overflowed = false;
        loop {
            let end = self.end_mut(side);
            let room = end.ldisc.make_room(&end.termios);
            overflowed |= room.overflow;
            let count = left.len().min(room.bytes);
            if count == 0 {
                break;
            }
            let termios = end.termios;
            let ended = left[..count]
                .iter()
                .position(|byte| self.receive_char(side, *byte));
            let taken = ended.map_or(count, |last| last + 1);
            let end = self.end_mut(side);
            end.buf.consume(taken);
            left.drain(..taken);
            if ended.is_some() {
                wakes.push(end.wake_readers(READABLE));
                if taken < count {
                    // The rest is another piece: others may come in between.
                    return wakes;
                }
            }
            // `flush_echoes`
            if termios.c_lflag & (ECHO | ECHONL) != 0 && end.ldisc.echoes.commit_rest() {
                self.send_echoes(side);
            }
            let end = self.end(side);
            if !is_canonical(&termios) {
                wakes.push(end.wake_readers(READABLE));
            }
        }
        // Gives back what is empty now, unless it is the last.
        self.end_mut(side).buf.chunk();
        if overflowed {
            // What was dropped has made room (`tty_unthrottle_safe`).
            wakes.push(self.end(side.other()).wake_writers(EventMask::OUT));
        }
        wakes
    }

    /// `true` if it completes a line.
    fn receive_char(&mut self, side: Side, byte: u8) -> bool {
        let end = self.end_mut(side);
        let ends_line = end.ldisc.receive(byte, &end.termios);
        // Only where something was echoed: `commit_echoes` comes right behind that.
        if end.ldisc.echoes.grew() && end.ldisc.echoes.commit_block() {
            self.send_echoes(side);
        }
        ends_line
    }
}

impl Machine {
    /// Sees to it that a worker comes for what has arrived, on either side (`queue_work`). One that would find
    /// nothing to do need not come.
    pub(super) fn queue_tty_work(&mut self, pty: PtyId) {
        for side in Side::BOTH {
            let whose = Whose::Tty(pty, side);
            if self.ptys[pty].has_work(side) {
                self.queue_work(whose);
            } else {
                self.cancel_work(whose);
            }
        }
    }

    /// Whether a lock is in the worker's way.
    pub(crate) fn is_tty_held_up(&self, pty: PtyId, side: Side) -> bool {
        let pty = &self.ptys[pty];
        let heads = [pty.end(side).read_wait, pty.end(side.other()).write_wait];
        heads.into_iter().any(|head| self.leads_to_a_lock(head))
    }
}

impl<O: Observer> Kernel<'_, O> {
    /// A piece of `flush_to_ldisc`. Says whether there is another.
    pub(crate) fn flush_to_ldisc(&mut self, pty: PtyId, side: Side) -> bool {
        let owed = std::mem::take(&mut self.m.ptys[pty].end_mut(side).owed);
        if owed.is_empty() {
            let owed = self.m.ptys[pty].receive(side);
            self.m.ptys[pty].end_mut(side).owed = owed;
        }
        for wake in owed {
            self.wake_up_in_interrupt(wake);
        }
        self.m.queue_tty_work(pty);
        self.m.ptys[pty].has_work(side)
    }
}
