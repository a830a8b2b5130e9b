//! What a side sends: output processing, and the echo of what it has taken in.

use smallvec::SmallVec;

use super::echo::Echo;
use super::flip::FlipBuffers;
use super::{Pty, Side};
use crate::abi::Termios;
use crate::abi::termios::mode::{ONLCR, OPOST};

fn is_processed(termios: &Termios) -> bool {
    termios.c_oflag & OPOST != 0
}

/// Whether a newline goes out as two characters.
fn doubles_newline(termios: &Termios) -> bool {
    is_processed(termios) && termios.c_oflag & ONLCR != 0
}

/// One or two characters.
type Text = SmallVec<[u8; 2]>;

/// What becomes of a character on its way out.
fn processed(byte: u8, termios: &Termios) -> Text {
    if byte == b'\n' && doubles_newline(termios) {
        Text::from_slice(b"\r\n")
    } else {
        Text::from_slice(&[byte])
    }
}

impl Pty {
    /// Where a side sends to.
    fn sink(&mut self, from: Side) -> &mut FlipBuffers {
        &mut self.end_mut(from.other()).buf
    }

    /// Sends as much as there is room for, and says how much that was (a round of `n_tty_write`).
    pub(super) fn send(&mut self, from: Side, bytes: &[u8]) -> usize {
        let termios = self.end(from).termios;
        let mut sent = 0;
        while sent < bytes.len() {
            let rest = &bytes[sent..];
            let to = self.sink(from);
            if !is_processed(&termios) {
                match to.insert(rest) {
                    0 => break,
                    count => sent += count,
                }
                continue;
            }
            // As much at once as needs no looking at (`process_output_block`), then one that does.
            let stops = |byte: &u8| *byte == b'\t' || *byte == b'\n' && doubles_newline(&termios);
            let block = &rest[..rest.len().min(to.space())];
            let end = block.iter().position(stops).unwrap_or(block.len());
            sent += to.insert(&block[..end]);
            if sent < bytes.len() {
                if !self.put(from, bytes[sent]) {
                    break;
                }
                sent += 1;
            }
        }
        sent
    }

    /// Sends one character with output processing (`do_output_char`), if there is room.
    fn put(&mut self, from: Side, byte: u8) -> bool {
        let space = self.sink(from).space();
        self.put_text(from, processed(byte, &self.end(from).termios), space)
            .is_some()
    }

    /// Sends all of a text that belongs together, or nothing. How much space is left then.
    fn put_text(&mut self, from: Side, text: Text, space: usize) -> Option<usize> {
        let left = space.checked_sub(text.len())?;
        self.sink(from).insert(&text);
        Some(left)
    }

    /// Whether the write that sleeps would get on.
    pub(super) fn can_send(&self, from: Side) -> bool {
        let end = self.end(from);
        let to = &self.end(from.other()).buf;
        if is_processed(&end.termios) {
            // Room comes in hundreds: it is never too little for a newline.
            to.space() > 0
        } else {
            to.takes_some_of(end.unsent)
        }
    }

    /// Sends what may be echoed (`__process_echoes`), as far as there was room when it began.
    pub(super) fn send_echoes(&mut self, from: Side) {
        let mut space = self.sink(from).space();
        while let Some(echo) = self.end(from).ldisc.echoes.next() {
            let text = match echo {
                Echo::Plain(byte) => processed(byte, &self.end(from).termios),
                Echo::Control(byte) => Text::from_slice(&[b'^', byte ^ 0o100]),
                Echo::Column => Text::new(),
            };
            match self.put_text(from, text, space) {
                Some(left) => space = left,
                None => break,
            }
            self.end_mut(from).ldisc.echoes.pop();
        }
        self.end_mut(from).ldisc.echoes.discard();
    }

    /// Sends what is still to be echoed (`process_echoes`).
    pub(super) fn process_echoes(&mut self, from: Side) {
        self.end_mut(from).ldisc.echoes.commit_rest();
        self.send_echoes(from);
    }
}
