//! ioctl(2) with `TCSETS` and `TCFLSH` in flight: both have somebody to wake.

use super::{Pty, Side, TtyEnd};
use crate::abi::termios::mode::{CREAD, CS8, IXON};
use crate::abi::{Answer, Errno, EventMask, IoctlArg, Ptr, TaskId, Termios, request};
use crate::model::Kernel;
use crate::model::arena::FileId;
use crate::model::call::{Flow, Held, Steps};
use crate::model::encode::{Encode, Encoder};
use crate::model::file::transfer::Wakes;
use crate::model::wait_queue::{Walked, Walks};
use crate::trace::Observer;

/// A call in flight.
#[derive(Clone, Debug)]
pub(crate) struct TtyChange {
    file: FileId,
    end: TtyEnd,
    what: Change,
    /// Made; wake-ups may be left.
    made: bool,
    result: Result<(), Errno>,
    wakes: Wakes,
    walks: Walks,
}

#[derive(Clone, Copy, Debug)]
enum Change {
    /// `TCSETS`
    Settings(Ptr<Termios>),
    /// `TCFLSH`
    Flush(u32),
}

/// The two bits of a character's size and that of parity, which no pty has.
const CSIZE_PARENB: u32 = 0o460;

/// What a status byte of packet mode says.
const TIOCPKT_FLUSHREAD: u8 = 1;
const TIOCPKT_FLUSHWRITE: u8 = 2;
const TIOCPKT_NOSTOP: u8 = 16;
const TIOCPKT_DOSTOP: u8 = 32;

impl TtyChange {
    /// If it is one of these requests.
    pub(crate) fn new(file: FileId, end: TtyEnd, op: u32, arg: IoctlArg) -> Option<TtyChange> {
        let what = match (op, arg) {
            (request::TCSETS, IoctlArg::Termios(termios)) => Change::Settings(termios),
            (request::TCFLSH, IoctlArg::Value(queue)) => Change::Flush(queue),
            _ => return None,
        };
        Some(TtyChange {
            file,
            end,
            what,
            made: false,
            result: Ok(()),
            wakes: Wakes::default(),
            walks: Walks::default(),
        })
    }
}

impl Pty {
    /// `tty_set_termios`, of the slave whichever side is asked.
    fn set_termios(&mut self, mut new: Termios, wakes: &mut Wakes) {
        new.c_cflag = new.c_cflag & !CSIZE_PARENB | CS8 | CREAD;
        let old = std::mem::replace(&mut self.end_mut(Side::Slave).termios, new);
        let stops = |termios: &Termios| termios.c_iflag & IXON != 0;
        if self.packet && stops(&old) != stops(&new) {
            let rest = self.pktstatus & !(TIOCPKT_NOSTOP | TIOCPKT_DOSTOP);
            let news = if stops(&new) {
                TIOCPKT_DOSTOP
            } else {
                TIOCPKT_NOSTOP
            };
            self.pktstatus = rest | news;
            wakes.push(self.end(Side::Master).wake_readers(EventMask::empty()));
        }
        self.end_mut(Side::Slave).ldisc.set_termios(&old, &new);
        if stops(&old) && !stops(&new) {
            self.process_echoes(Side::Slave);
        }
        let slave = self.end(Side::Slave);
        wakes.push(slave.wake_writers(EventMask::empty()));
        wakes.push(slave.wake_readers(EventMask::empty()));
    }

    /// `tty_perform_flush`
    fn flush(&mut self, side: Side, queue: u32, wakes: &mut Wakes) -> Result<(), Errno> {
        const TCIFLUSH: u32 = 0;
        const TCOFLUSH: u32 = 1;
        const TCIOFLUSH: u32 = 2;
        if queue > TCIOFLUSH {
            return Err(Errno::EINVAL);
        }
        let tells = self.packet && side == Side::Slave;
        if matches!(queue, TCIFLUSH | TCIOFLUSH) {
            let end = self.end_mut(side);
            end.buf.flush();
            end.ldisc.flush();
            if tells {
                self.pktstatus |= TIOCPKT_FLUSHREAD;
                wakes.push(self.end(Side::Master).wake_readers(EventMask::empty()));
            }
            wakes.push(self.end(side.other()).wake_writers(EventMask::OUT));
        }
        if matches!(queue, TCOFLUSH | TCIOFLUSH) {
            self.end_mut(side.other()).buf.flush();
            if tells {
                self.pktstatus |= TIOCPKT_FLUSHWRITE;
                wakes.push(self.end(Side::Master).wake_readers(EventMask::empty()));
            }
        }
        Ok(())
    }
}

impl Steps for TtyChange {
    fn step<O: Observer>(&mut self, kernel: &mut Kernel<'_, O>, task: TaskId) -> Flow {
        if self.made {
            return match kernel.wake_step(task, &mut self.walks) {
                Walked::Blocked => Flow::Blocked,
                _ if kernel.wake_next(&mut self.walks, &mut self.wakes) => Flow::Next,
                _ => Flow::Done,
            };
        }
        let TtyEnd { pty: id, side } = self.end;
        let pty = &mut kernel.m.ptys[id];
        self.result = match self.what {
            _ if pty.is_hung_up(side) => Err(Errno::EIO),
            Change::Settings(Ptr::Addr(_)) => Err(Errno::EFAULT),
            Change::Settings(Ptr::To(new)) => {
                pty.set_termios(new, &mut self.wakes);
                Ok(())
            }
            Change::Flush(queue) => pty.flush(side, queue, &mut self.wakes),
        };
        kernel.m.queue_tty_work(id);
        self.made = true;
        if kernel.wake_next(&mut self.walks, &mut self.wakes) {
            Flow::Next
        } else {
            Flow::Done
        }
    }

    fn answer(&mut self) -> Answer {
        match self.result {
            Ok(()) => Answer::ret(0),
            Err(errno) => Answer::err(errno),
        }
    }

    fn files(&self, files: &mut Vec<FileId>) {
        files.push(self.file);
    }

    fn held(&self, held: &mut Held) {
        held.walks.extend(self.walks.iter());
    }

    fn at(&self) -> String {
        match self.what {
            Change::Settings(_) => "set_termios".to_owned(),
            Change::Flush(_) => "tty_perform_flush".to_owned(),
        }
    }
}

impl Encode for TtyChange {
    fn encode(&self, to: &mut Encoder<'_>) {
        let TtyChange {
            file,
            end: _, // that of the file
            what,
            made,
            result,
            wakes,
            walks,
        } = self;
        file.encode(to);
        made.encode(to);
        if *made {
            result.err().encode(to);
            wakes.encode(to);
            walks.encode(to);
            return;
        }
        match what {
            Change::Settings(termios) => {
                to.byte(0);
                termios.encode(to);
            }
            Change::Flush(queue) => {
                to.byte(1);
                queue.encode(to);
            }
        }
    }
}
