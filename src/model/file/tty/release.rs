//! How a pair is opened, and what its ends tell each other when they go.

use super::{Pty, Side, TtyEnd, kept_flags};
use crate::abi::{Errno, EventMask, Fd, OpenFlags, TaskId};
use crate::model::file::File;
use crate::model::file::ops::{Kind, Released};
use crate::model::file::transfer::Wakes;
use crate::model::work::Whose;
use crate::model::{Kernel, Machine};
use crate::trace::Observer;

impl Pty {
    /// One more file of the slave (`pty_open`). It wakes nobody, though the master's hang-up is over.
    fn open_slave(&mut self) -> Result<(), Errno> {
        let locked = self.locked;
        let slave = self.end_mut(Side::Slave);
        slave.io_error = locked;
        if locked {
            return Err(Errno::EIO);
        }
        slave.files += 1;
        self.end_mut(Side::Master).other_closed = false;
        Ok(())
    }

    /// `tty_release`, up to the end of `pty_close`.
    pub(super) fn release(&mut self, side: Side) -> Released {
        match side {
            Side::Slave => Released::Done(self.close_slave()),
            Side::Master if !self.end(Side::Slave).other_closed => {
                Released::More(self.close_master())
            }
            Side::Master => Released::Done(self.hang_up()),
        }
    }

    /// The last file of the slave takes the slave along. It is told from the others by a count in which an open
    /// master is one more; so without a master the last but one is taken for it, and the last may hear of it.
    fn close_slave(&mut self) -> Wakes {
        let mut wakes = Wakes::default();
        let masters = self.end(Side::Master).files;
        let slave = self.end_mut(Side::Slave);
        if slave.io_error || slave.files + masters > 2 {
            return wakes;
        }
        slave.io_error = true;
        wakes.push(slave.wake_readers(EventMask::empty()));
        wakes.push(slave.wake_writers(EventMask::empty()));
        let master = self.end_mut(Side::Master);
        master.other_closed = true;
        wakes.push(master.wake_readers(EventMask::empty()));
        wakes.push(master.wake_writers(EventMask::empty()));
        wakes
    }

    fn close_master(&mut self) -> Wakes {
        let master = self.end_mut(Side::Master);
        master.io_error = true;
        master.other_closed = true;
        let slave = self.end_mut(Side::Slave);
        slave.other_closed = true;
        let mut wakes = Wakes::default();
        wakes.push(slave.wake_readers(EventMask::empty()));
        wakes.push(slave.wake_writers(EventMask::empty()));
        wakes
    }

    /// `tty_vhangup`: the files of the slave lead nowhere from here on.
    fn hang_up(&mut self) -> Wakes {
        self.hung_up = true;
        self.end_mut(Side::Master).buf.flush();
        let slave = self.end_mut(Side::Slave);
        slave.ldisc.flush();
        // What has not been taken in by now never is.
        slave.buf.flush();
        let mut wakes = Wakes::default();
        wakes.push(slave.wake_writers(EventMask::OUT));
        wakes.push(slave.wake_readers(EventMask::IN));
        wakes
    }
}

impl Machine {
    /// A file less; the last of both sides takes the pair along.
    pub(super) fn put_pty(&mut self, TtyEnd { pty: id, side }: TtyEnd) {
        self.ptys[id].end_mut(side).files -= 1;
        let ends = Side::BOTH.map(|side| self.ptys[id].end(side));
        if ends.iter().any(|end| end.files > 0) {
            return;
        }
        let heads = ends.map(|end| [end.read_wait, end.write_wait]);
        for head in heads.into_iter().flatten() {
            self.heads.remove(head);
        }
        self.ptys.remove(id);
        for side in Side::BOTH {
            self.cancel_work(Whose::Tty(id, side));
        }
    }
}

impl<O: Observer> Kernel<'_, O> {
    /// ioctl(2) with `TIOCGPTPEER`: opens the slave of a master without a name (`ptm_open_peer`).
    pub(crate) fn open_peer(
        &mut self,
        task: TaskId,
        end: TtyEnd,
        flags: OpenFlags,
    ) -> Result<Fd, Errno> {
        let fd = self.unused_fd(task, 0)?;
        self.m.ptys[end.pty].open_slave()?;
        let slave = TtyEnd {
            side: Side::Slave,
            ..end
        };
        let inode = self.m.next_inode();
        let file = File {
            inode,
            ..File::new(Kind::Tty(slave), kept_flags(flags), fd)
        };
        let file = self.m.files.insert(file);
        self.fd_install(task, fd, file, flags.contains(OpenFlags::CLOEXEC));
        Ok(fd)
    }
}
