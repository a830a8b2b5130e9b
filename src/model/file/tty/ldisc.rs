//! The line discipline, as far as it takes in (drivers/tty/n_tty.c): what arrives becomes lines, or just bytes,
//! in a buffer of 4096.
//!
//! In canonical mode (`ICANON`) nothing can be read before its line is complete; a line too long for the buffer
//! loses what is behind its 4095th byte, so that its end can still come. In raw mode the buffer takes 4095
//! bytes and leaves the rest where it is.
//!
//! Erasing, signals and flow control by typed characters are left out, and refused before they are typed.

use std::collections::VecDeque;

use super::echo::{Echo, Echoes};
use crate::abi::Termios;
use crate::abi::termios::EOF;
use crate::abi::termios::mode::{
    ECHO, ECHOCTL, ECHONL, ICANON, ICRNL, IEXTEN, IGNCR, INLCR, ISIG, IXON,
};
use crate::model::encode::{Encode, Encoder, Number};

/// `N_TTY_BUF_SIZE`
const SIZE: usize = 4096;

/// In the place of the character that ended a line without being part of it (`__DISABLED_CHAR`).
const DISABLED: u8 = 0;

/// What can be read, and what will be (`struct n_tty_data`).
#[derive(Clone, Debug)]
pub(super) struct LineDiscipline {
    /// From what is read next to what came last (`read_tail` to `read_head`).
    read_buf: VecDeque<Typed>,
    /// How much of it is in complete lines, in canonical mode (`canon_head`).
    canon: usize,
    /// There was no room for what arrives: nothing is taken in until somebody reads.
    pub(super) no_room: bool,
    /// Whether the next character begins a line (`canon_head == read_head`).
    at_beginning: bool,
    pub(super) echoes: Echoes,
}

/// A character in the buffer.
#[derive(Clone, Copy, Debug)]
struct Typed {
    byte: u8,
    /// It ends a line (`read_flags`).
    ends_line: bool,
}

/// How much of a chunk may be taken in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Room {
    pub(super) bytes: usize,
    /// The buffer is full, and what comes is looked at, but not kept.
    pub(super) overflow: bool,
}

/// What a round of copying came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Copied {
    /// There is more that this read may have.
    More,
    Done,
}

pub(super) fn is_canonical(termios: &Termios) -> bool {
    termios.c_lflag & ICANON != 0
}

/// The characters that edit, signal or stop under these settings, of which the model knows nothing.
pub(crate) fn not_modelled(termios: &Termios) -> Vec<u8> {
    let mut special = Vec::new();
    if termios.c_iflag & IXON != 0 {
        special.extend([17, 19]);
    }
    if termios.c_lflag & ISIG != 0 {
        special.extend([3, 28, 26]);
    }
    if is_canonical(termios) {
        special.extend([127, 21]);
        if termios.c_lflag & IEXTEN != 0 {
            special.extend([23, 22]);
            special.extend((termios.c_lflag & ECHO != 0).then_some(18));
        }
    }
    special
}

impl LineDiscipline {
    pub(super) fn new() -> LineDiscipline {
        LineDiscipline {
            read_buf: VecDeque::new(),
            canon: 0,
            no_room: false,
            at_beginning: true,
            echoes: Echoes::default(),
        }
    }

    /// Whether a read would find something (`input_available_p`); a poll wants as much as a read waits for.
    pub(super) fn available(&self, termios: &Termios, polling: bool) -> bool {
        if is_canonical(termios) {
            return self.canon > 0;
        }
        let whole = polling && termios.vtime == 0 && termios.vmin > 0;
        let least = if whole { termios.vmin } else { 1 };
        self.read_buf.len() >= usize::from(least)
    }

    /// `chars_in_buffer`
    pub(super) fn readable(&self, termios: &Termios) -> usize {
        if is_canonical(termios) {
            self.canon
        } else {
            self.read_buf.len()
        }
    }

    /// `inq_canon` and `read_cnt`: what `FIONREAD` says.
    pub(super) fn queued(&self, termios: &Termios) -> usize {
        if !is_canonical(termios) {
            return self.read_buf.len();
        }
        if self.canon == SIZE {
            // Linux takes a ring that is full for one that has been walked through.
            return SIZE;
        }
        let lines = self.read_buf.iter().take(self.canon);
        lines.filter(|typed| !typed.is_eof()).count()
    }

    /// The beginning of a round of `n_tty_receive_buf_common`.
    pub(super) fn make_room(&mut self, termios: &Termios) -> Room {
        let used = self.read_buf.len();
        if used + 1 < SIZE {
            let bytes = SIZE - 1 - used;
            let overflow = false;
            return Room { bytes, overflow };
        }
        let overflow = is_canonical(termios) && self.canon == 0;
        if overflow && used == SIZE {
            self.read_buf.pop_back();
        }
        self.no_room = !overflow;
        Room {
            bytes: usize::from(overflow),
            overflow,
        }
    }

    /// Takes in a character (`n_tty_receive_char` and `n_tty_receive_char_special`). `true` if it completes a
    /// line.
    pub(super) fn receive(&mut self, typed: u8, termios: &Termios) -> bool {
        let iflag = termios.c_iflag;
        let lflag = termios.c_lflag;
        let c = match typed {
            b'\r' if iflag & IGNCR != 0 => return false,
            b'\r' if iflag & ICRNL != 0 => b'\n',
            b'\n' if iflag & INLCR != 0 => b'\r',
            other => other,
        };
        if is_canonical(termios) {
            if c == b'\n' {
                if lflag & (ECHO | ECHONL) != 0 {
                    self.echoes.push(Echo::Plain(c));
                }
                self.end_line(c);
                return true;
            }
            if c == EOF {
                self.end_line(DISABLED);
                return true;
            }
        }
        if lflag & ECHO != 0 {
            let control = c.is_ascii_control() && c != b'\t' && lflag & ECHOCTL != 0;
            // One that was turned into a newline moves the cursor, one that was typed is shown.
            let newline = c == b'\n' && typed == b'\r';
            if self.at_beginning && !newline {
                self.echoes.push(Echo::Column);
            }
            self.echoes.push(if control && !newline {
                Echo::Control(c)
            } else {
                Echo::Plain(c)
            });
        }
        self.at_beginning = false;
        self.read_buf.push_back(Typed {
            byte: c,
            ends_line: false,
        });
        false
    }

    /// `n_tty_receive_handle_newline`
    fn end_line(&mut self, byte: u8) {
        let ends_line = true;
        self.read_buf.push_back(Typed { byte, ends_line });
        self.canon = self.read_buf.len();
        self.at_beginning = true;
    }

    /// Copies up to `most` bytes, of one line if there are lines.
    pub(super) fn copy(&mut self, to: &mut Vec<u8>, most: usize, termios: &Termios) -> Copied {
        if is_canonical(termios) {
            self.copy_line(to, most)
        } else {
            let count = most.min(self.read_buf.len());
            to.extend(self.read_buf.drain(..count).map(|typed| typed.byte));
            more_if(!self.read_buf.is_empty())
        }
    }

    /// `canon_copy_from_read_buf`
    fn copy_line(&mut self, to: &mut Vec<u8>, most: usize) -> Copied {
        if most == 0 {
            return Copied::Done;
        }
        let count = most.min(self.canon);
        let mut within = self.read_buf.iter().take(count);
        let end = within.position(|typed| typed.ends_line);
        let taken = end.map_or(count, |end| end + 1);
        let line = self.read_buf.drain(..taken);
        to.extend(line.filter(|typed| !typed.is_eof()).map(|typed| typed.byte));
        self.canon -= taken;
        more_if(end.is_none() && self.canon > 0)
    }

    /// A read that took all of a line takes its invisible end too (`canon_skip_eof`).
    pub(super) fn skip_eof(&mut self) {
        if self.canon > 0 && self.read_buf.front().is_some_and(Typed::is_eof) {
            self.read_buf.pop_front();
            self.canon -= 1;
        }
    }

    /// `n_tty_set_termios`: into canonical mode what is there becomes a line, out of it there are none.
    pub(super) fn set_termios(&mut self, old: &Termios, new: &Termios) {
        if is_canonical(old) == is_canonical(new) {
            return;
        }
        for typed in &mut self.read_buf {
            typed.ends_line = false;
        }
        self.canon = 0;
        if is_canonical(new)
            && let Some(last) = self.read_buf.back_mut()
        {
            last.ends_line = true;
            self.canon = self.read_buf.len();
        }
        self.at_beginning = self.canon == self.read_buf.len();
    }

    /// `n_tty_flush_buffer`
    pub(super) fn flush(&mut self) {
        self.read_buf.clear();
        self.canon = 0;
        self.at_beginning = true;
        self.no_room = false;
    }

    /// What is wrong with it, if anything.
    pub(super) fn check(&self, termios: &Termios) -> Result<(), &'static str> {
        if self.read_buf.len() > SIZE {
            return Err("more than its buffer holds");
        }
        let ends = self.read_buf.iter().rposition(|typed| typed.ends_line);
        if is_canonical(termios) && ends.map_or(0, |last| last + 1) != self.canon {
            return Err("another count of what is in lines");
        }
        Ok(())
    }
}

impl Typed {
    /// An end of a line that is not read.
    fn is_eof(&self) -> bool {
        self.ends_line && self.byte == DISABLED
    }
}

fn more_if(more: bool) -> Copied {
    if more { Copied::More } else { Copied::Done }
}

impl Encode for LineDiscipline {
    fn encode(&self, to: &mut Encoder<'_>) {
        let LineDiscipline {
            read_buf,
            canon: _, // up to the last that ends a line
            no_room,
            at_beginning,
            echoes,
        } = self;
        to.numbers([no_room.number(to), at_beginning.number(to)]);
        read_buf.len().encode(to);
        for Typed { byte, ends_line } in read_buf {
            to.byte(*byte);
            ends_line.encode(to);
        }
        echoes.encode(to);
    }
}
