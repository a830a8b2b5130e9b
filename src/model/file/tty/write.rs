//! write(2) to a terminal (`n_tty_write`).

use super::TtyEnd;
use crate::abi::{Bytes, Errno, EventMask, Ptr};
use crate::model::Kernel;
use crate::model::file::ops::Caller;
use crate::model::file::transfer::{Attempt, Io};
use crate::model::signal::restart::ERESTARTSYS;
use crate::trace::Observer;

/// Bytes are handed to the line discipline in pieces of this size (`chunk` in `iterate_tty_write`).
const PIECE: usize = 2048;

impl<O: Observer> Kernel<'_, O> {
    /// One round: as far as it goes, up to the end of a piece.
    pub(super) fn tty_write(
        &mut self,
        TtyEnd { pty: id, side }: TtyEnd,
        caller: Caller,
        (buf, _): (&Ptr<Bytes>, u64),
        io: &mut Io,
    ) -> Attempt {
        let task = caller.task;
        let nonblocking = self.m.files[caller.file].nonblocking();
        let interrupted = self.m.task(task).sigpending;
        let pty = &mut self.m.ptys[id];
        let end = pty.end(side);
        if end.write_lock != Some(task) {
            match end.write_lock {
                _ if pty.is_hung_up(side) || end.io_error => return Attempt::fail(Errno::EIO),
                Some(_) if nonblocking => return Attempt::fail(Errno::EAGAIN),
                Some(_) if interrupted => return Attempt::fail(ERESTARTSYS),
                Some(_) => return Attempt::Locked,
                None => {}
            }
        }
        let failed = match buf {
            Ptr::Addr(_) => Some(Errno::EFAULT),
            Ptr::To(_) if interrupted => Some(ERESTARTSYS),
            Ptr::To(_) if pty.is_hung_up(side) => Some(Errno::EIO),
            Ptr::To(bytes) => {
                pty.process_echoes(side);
                let end = (io.written / PIECE + 1) * PIECE;
                let piece = &bytes[io.written..bytes.len().min(end)];
                let sent = pty.send(side, piece);
                io.written += sent;
                let stopped = sent < piece.len();
                if !stopped && io.written == bytes.len() {
                    None
                } else if stopped && nonblocking {
                    Some(Errno::EAGAIN)
                } else {
                    let end = pty.end_mut(side);
                    end.write_lock = Some(task);
                    end.unsent = piece.len() - sent;
                    self.m.queue_tty_work(id);
                    return if stopped {
                        Attempt::Sleep
                    } else {
                        Attempt::More
                    };
                }
            }
        };
        // Whatever came of it, others may write again, and are told so (`tty_write_unlock`).
        let end = pty.end_mut(side);
        end.write_lock = None;
        io.wakes.push(end.wake_writers(EventMask::OUT));
        self.m.queue_tty_work(id);
        match failed {
            Some(errno) if io.written == 0 => Attempt::fail(errno),
            _ => io.sent(),
        }
    }
}
