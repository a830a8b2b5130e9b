//! read(2) of a terminal (`n_tty_read`): a line, or as many bytes as `VMIN` says, and no end of it before that.

use super::ldisc::{Copied, is_canonical};
use super::{Pty, Side, TtyEnd};
use crate::abi::{Errno, EventMask, OutPtr, Room, Termios};
use crate::model::Kernel;
use crate::model::file::ops::Caller;
use crate::model::file::transfer::{Attempt, Io, Wakes};
use crate::model::signal::restart::ERESTARTSYS;
use crate::trace::Observer;

/// Bytes are copied out in pieces of this size (`kernel_buf` in `iterate_tty_read`).
const PIECE: usize = 64;

/// A read that leaves no more than this tells the sender (`TTY_THRESHOLD_UNTHROTTLE`).
const UNTHROTTLE: usize = 128;

/// Whether a raw read may give up after some time, which the model's cannot.
pub(crate) fn has_timer(termios: &Termios) -> bool {
    !is_canonical(termios) && termios.vtime != 0
}

/// How a read goes on that has copied what there was.
enum Round {
    /// It waits for more.
    Starved,
    /// It has all that it wants.
    Full,
    /// There is more that it wants, and no reason to wait for it.
    More,
}

impl Pty {
    /// What ends the sleep of a reader.
    pub(super) fn ends_read(&self, side: Side) -> bool {
        let end = self.end(side);
        end.available(false) || end.has_work() || end.other_closed || self.has_status(side)
    }

    /// The first copy of a read, up to a piece: in it a status may come first, and `VMIN` counts.
    fn first_copy(
        &mut self,
        side: Side,
        count: usize,
        to: &mut Vec<u8>,
        wakes: &mut Wakes,
    ) -> Round {
        let most = count.min(PIECE);
        if self.has_status(side) {
            if to.is_empty() {
                to.push(std::mem::take(&mut self.pktstatus));
            }
            return Round::Full;
        }
        let tells = side == Side::Master && self.packet && to.is_empty();
        let end = self.end_mut(side);
        if !end.available(false) {
            return Round::Starved;
        }
        if tells {
            to.push(TIOCPKT_DATA);
        }
        let canonical = is_canonical(&end.termios);
        let minimum = if canonical {
            0
        } else {
            usize::from(end.termios.vmin.max(1))
        };
        let copied = end.ldisc.copy(to, most - to.len(), &end.termios);
        if copied == Copied::More && (canonical || to.len() >= minimum) {
            return Round::More;
        }
        self.unthrottle(side, wakes);
        if to.len() >= minimum || to.len() == most {
            Round::Full
        } else {
            Round::Starved
        }
    }

    /// The copies after that, until nothing is left or wanted.
    fn copy_on(&mut self, side: Side, count: usize, to: &mut Vec<u8>, wakes: &mut Wakes) {
        loop {
            let end = self.end_mut(side);
            let most = (count - to.len()).min(PIECE);
            if is_canonical(&end.termios) && most == 0 {
                end.ldisc.skip_eof();
                break;
            }
            if most == 0 || end.ldisc.copy(to, most, &end.termios) == Copied::Done {
                break;
            }
        }
        self.unthrottle(side, wakes);
    }

    /// Lets the other side send, if little is left (`n_tty_check_unthrottle`).
    fn unthrottle(&mut self, side: Side, wakes: &mut Wakes) {
        let end = self.end(side);
        if end.ldisc.readable(&end.termios) <= UNTHROTTLE {
            wakes.push(self.end(side.other()).wake_writers(EventMask::OUT));
        }
    }
}

/// What a packet of data begins with.
const TIOCPKT_DATA: u8 = 0;

impl<O: Observer> Kernel<'_, O> {
    pub(super) fn tty_read(
        &mut self,
        TtyEnd { pty: id, side }: TtyEnd,
        caller: Caller,
        (buf, count): (OutPtr, u64),
        io: &mut Io,
    ) -> Attempt {
        let task = caller.task;
        let nonblocking = self.m.files[caller.file].nonblocking();
        let interrupted = self.m.task(task).sigpending;
        let pty = &mut self.m.ptys[id];
        let end = pty.end(side);
        let inside = end.read_lock == Some(task);
        if !inside {
            match end.read_lock {
                _ if pty.is_hung_up(side) => return Attempt::Over(Ok(0)),
                _ if end.io_error => return Attempt::fail(Errno::EIO),
                Some(_) if nonblocking => return Attempt::fail(Errno::EAGAIN),
                Some(_) if interrupted => return Attempt::fail(ERESTARTSYS),
                Some(_) => return Attempt::Locked,
                None => {}
            }
        }
        if count > 0 && !end.available(false) && end.has_work() && !pty.has_status(side) {
            // `tty_buffer_flush_work`
            return Attempt::Locked;
        }
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        let before = pty.end(side).ldisc.readable(&pty.end(side).termios);
        let mut bytes = io.bytes.to_vec();
        let mut result = Ok(());
        if count > 0 {
            match pty.first_copy(side, count, &mut bytes, &mut io.wakes) {
                Round::Full => {}
                Round::More => pty.copy_on(side, count, &mut bytes, &mut io.wakes),
                Round::Starved => {
                    let end = pty.end(side);
                    let at_once = !is_canonical(&end.termios)
                        && end.termios.vmin == 0
                        && end.termios.vtime == 0;
                    result = match () {
                        () if end.other_closed => Err(Errno::EIO),
                        () if at_once => Ok(()),
                        () if nonblocking => Err(Errno::EAGAIN),
                        () if interrupted => Err(ERESTARTSYS),
                        () => {
                            io.bytes = bytes.into();
                            let end = pty.end_mut(side);
                            end.read_lock = Some(task);
                            if end.ldisc.readable(&end.termios) != before {
                                end.ldisc.no_room = false;
                            }
                            self.m.queue_tty_work(id);
                            return Attempt::Sleep;
                        }
                    };
                }
            }
        }
        let end = pty.end_mut(side);
        end.read_lock = None;
        if end.ldisc.readable(&end.termios) != before {
            // The worker may go on (`n_tty_kick_worker`).
            end.ldisc.no_room = false;
        }
        self.m.queue_tty_work(id);
        if let Err(errno) = result
            && bytes.is_empty()
        {
            return Attempt::fail(errno);
        }
        // What does not fit into the buffer is lost.
        let room = match buf {
            OutPtr::Addr(_) => 0,
            OutPtr::Memory(Room::Bytes(room)) => usize::try_from(room).unwrap_or(usize::MAX),
            OutPtr::Memory(_) => usize::MAX,
        };
        if room == 0 && !bytes.is_empty() {
            return Attempt::fail(Errno::EFAULT);
        }
        bytes.truncate(room);
        io.stored(bytes)
    }
}
