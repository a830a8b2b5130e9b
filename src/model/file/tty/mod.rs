//! Pairs of terminals: a master, which programs hold that show a terminal to somebody, and a slave, which is
//! that terminal (drivers/tty/pty.c, n_tty.c, tty_io.c and tty_buffer.c).
//!
//! ```text
//!   write(master) ─► flip buffers of the slave ──worker──► line discipline of the slave ─► read(slave)
//!   read(master) ◄── line discipline of the master ◄──worker── flip buffers of the master ◄─ write(slave)
//! ```
//!
//! What one side writes lands in the flip buffers of the other at once, and there it lies: a kernel worker
//! takes it in (`flush_to_ldisc`), turns it into lines, echoes it, and wakes the readers. So input comes a
//! little after the call that caused it, and [`work`](crate::model::work) is where it comes from. Who finds
//! nothing to read, be it a read or a poll, first waits for that worker.
//!
//! What surprises people who wait for terminals with `EPOLLET`:
//!
//! - a terminal has two wait queues, `read_wait` and `write_wait`, and is watched on both;
//! - every write wakes the writer's own `write_wait` at its end, whatever came of it;
//! - a read that leaves at most 128 characters wakes the other side's `write_wait`, full or not;
//! - tcsetattr(3) wakes both queues of the slave, with no key;
//! - opening the slave again after the last close takes the master's `EPOLLHUP` back and wakes nobody.
//!
//! Left out: controlling terminals and all that signals have to do with them, editing of lines, flow control
//! by characters, and timers of raw reads (`VTIME`) that would have to sleep.

mod change;
mod echo;
mod flip;
mod input;
mod ldisc;
mod output;
mod read;
mod release;
mod write;

pub(crate) use change::TtyChange;
pub(crate) use ldisc::not_modelled;
pub(crate) use read::has_timer;

use super::ops::{Awaited, Caller, FileOps, Kind, PollHeads, Poller, Released};
use super::plain::Plain;
use super::transfer::{Attempt, Io, What};
use crate::abi::{
    Bytes, Errno, EventMask, IoctlArg, OpenFlags, Out, OutPtr, Ptr, Room, TaskId, Termios, request,
};
use crate::model::arena::{FileId, HeadId, PtyId};
use crate::model::encode::{Encode, Encoder, Number, encode_option, variant_is_number};
use crate::model::wait_queue::{Nr, WaitHead, Wake, WakeFn};
use crate::model::{Kernel, Machine};
use crate::trace::{FileRef, Observer, Place, QueueRef};

use flip::FlipBuffers;
use ldisc::LineDiscipline;

/// One side of a pair, as a file refers to it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TtyEnd {
    pub(crate) pty: PtyId,
    pub(crate) side: Side,
}

impl TtyEnd {
    pub(crate) fn is_master(self) -> bool {
        self.side == Side::Master
    }
}

/// Which of the two.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Side {
    Master,
    Slave,
}

impl Side {
    pub(crate) const BOTH: [Side; 2] = [Side::Master, Side::Slave];

    fn other(self) -> Side {
        match self {
            Side::Master => Side::Slave,
            Side::Slave => Side::Master,
        }
    }

    fn index(self) -> usize {
        match self {
            Side::Master => 0,
            Side::Slave => 1,
        }
    }
}

variant_is_number!(Side);

/// A pair.
#[derive(Clone, Debug)]
pub(crate) struct Pty {
    /// The master and the slave.
    ends: [Tty; 2],
    /// Whether the slave may not be opened yet (`TTY_PTY_LOCK`).
    locked: bool,
    /// Whether reads of the master begin with a byte that says what they are (`ctrl.packet`).
    packet: bool,
    /// What such a byte has to say beside that (`ctrl.pktstatus` of the slave).
    pktstatus: u8,
    /// The master is gone, and so is all behind the slave's files (`hung_up_tty_fops`).
    hung_up: bool,
}

/// One side (`struct tty_struct`, with its port and its line discipline).
#[derive(Clone, Debug)]
pub(crate) struct Tty {
    /// Files of this side, those among them whose release is not over (`count`).
    pub(crate) files: u32,
    /// No reading or writing (`TTY_IO_ERROR`).
    io_error: bool,
    /// The other side was closed, and is not open again (`TTY_OTHER_CLOSED`).
    other_closed: bool,
    /// What arrived and was not taken in (`port->buf`).
    buf: FlipBuffers,
    /// What was (`disc_data`).
    ldisc: LineDiscipline,
    /// Wake-ups that the worker still has to make for what it has taken in.
    owed: Vec<Wake>,
    termios: Termios,
    /// Who reads, asleep perhaps (`atomic_read_lock`).
    pub(crate) read_lock: Option<TaskId>,
    /// Who writes, asleep perhaps (`atomic_write_lock`).
    pub(crate) write_lock: Option<TaskId>,
    /// How much of its piece that write still has to send, when it sleeps.
    unsent: usize,
    pub(crate) read_wait: HeadId,
    pub(crate) write_wait: HeadId,
}

const READABLE: EventMask = EventMask::IN.union(EventMask::RDNORM);
const WRITABLE: EventMask = EventMask::OUT.union(EventMask::WRNORM);

/// What `poll` says of a slave whose master is gone (`hung_up_tty_poll`).
const EVERYTHING: EventMask = READABLE
    .union(WRITABLE)
    .union(EventMask::ERR)
    .union(EventMask::HUP);

impl Tty {
    fn new(termios: Termios, read_wait: HeadId, write_wait: HeadId) -> Tty {
        Tty {
            files: 0,
            io_error: false,
            other_closed: false,
            buf: FlipBuffers::default(),
            ldisc: LineDiscipline::new(),
            owed: Vec::new(),
            termios,
            read_lock: None,
            write_lock: None,
            unsent: 0,
            read_wait,
            write_wait,
        }
    }

    fn available(&self, polling: bool) -> bool {
        self.ldisc.available(&self.termios, polling)
    }

    /// Whether the worker has something to do here: otherwise it would find nothing, or no room.
    pub(crate) fn has_work(&self) -> bool {
        !self.owed.is_empty() || !self.buf.is_empty() && !self.ldisc.no_room
    }

    fn wake_readers(&self, key: EventMask) -> Wake {
        let (head, nr) = (self.read_wait, Nr::One);
        Wake { head, key, nr }
    }

    fn wake_writers(&self, key: EventMask) -> Wake {
        let (head, nr) = (self.write_wait, Nr::One);
        Wake { head, key, nr }
    }
}

impl Pty {
    pub(crate) fn end(&self, side: Side) -> &Tty {
        &self.ends[side.index()]
    }

    fn end_mut(&mut self, side: Side) -> &mut Tty {
        &mut self.ends[side.index()]
    }

    /// Whether the files of this side lead nowhere any more (`tty_hung_up_p`).
    fn is_hung_up(&self, side: Side) -> bool {
        self.hung_up && side == Side::Slave
    }

    /// Whether the worker has something to do for this side.
    pub(crate) fn has_work(&self, side: Side) -> bool {
        self.end(side).has_work()
    }

    /// Whether there is news for the master, of which packet mode tells.
    fn has_status(&self, side: Side) -> bool {
        side == Side::Master && self.packet && self.pktstatus != 0
    }

    /// `n_tty_poll`, or what stands in its place after a hang-up.
    fn poll(&self, side: Side) -> EventMask {
        if self.is_hung_up(side) {
            return EVERYTHING;
        }
        let end = self.end(side);
        let mut mask = EventMask::empty();
        mask.set(READABLE, end.available(true));
        if self.has_status(side) {
            mask |= READABLE | EventMask::PRI;
        }
        mask.set(EventMask::HUP, end.other_closed);
        // While somebody sleeps in a write there is nothing to be had for others.
        let room = self.end(side.other()).buf.space() > 0;
        mask.set(WRITABLE, room && end.write_lock.is_none());
        mask
    }

    /// What is wrong with it, if anything.
    pub(crate) fn check(&self) -> Result<(), &'static str> {
        let mut ends = self.ends.iter();
        ends.try_for_each(|end| end.ldisc.check(&end.termios))
    }
}

impl<O: Observer> Kernel<'_, O> {
    /// A pair with a master that `/dev/ptmx` gives out under this name (`pty_common_install`).
    pub(crate) fn new_pty(&mut self, master: FileRef) -> TtyEnd {
        let mut end = |termios, slave| {
            let mut queue = |label| self.m.heads.insert(WaitHead::new(label));
            let read_wait = queue(QueueRef::TtyRead { master, slave });
            let write_wait = queue(QueueRef::TtyWrite { master, slave });
            Tty::new(termios, read_wait, write_wait)
        };
        let mut ends = [end(Termios::RAW, false), end(Termios::SANE, true)];
        ends[0].files = 1;
        let pty = self.m.ptys.insert(Pty {
            ends,
            locked: true,
            packet: false,
            pktstatus: 0,
            hung_up: false,
        });
        let side = Side::Master;
        TtyEnd { pty, side }
    }

    /// The pair behind a file, and which side of it, if it is one.
    pub(crate) fn tty_of(&self, file: FileId) -> Option<TtyEnd> {
        match self.m.files[file].kind {
            Kind::Tty(end) => Some(end),
            _ => None,
        }
    }
}

impl Machine {
    /// The settings that a write to this side of a pty is subject to, at the other end.
    pub(crate) fn termios_beyond(&self, end: TtyEnd) -> &Termios {
        &self.ptys[end.pty].end(end.side.other()).termios
    }

    /// The settings of this side.
    pub(crate) fn termios_of(&self, end: TtyEnd) -> &Termios {
        &self.ptys[end.pty].end(end.side).termios
    }
}

impl FileOps for TtyEnd {
    fn poll(self, m: &mut Machine, _: Poller) -> EventMask {
        m.ptys[self.pty].poll(self.side)
    }

    /// Who finds nothing to read waits for the worker (`tty_buffer_flush_work`).
    fn poll_waits(self, m: &Machine) -> bool {
        let end = m.ptys[self.pty].end(self.side);
        !end.available(true) && end.has_work()
    }

    fn queues(self, m: &Machine) -> PollHeads {
        let end = m.ptys[self.pty].end(self.side);
        [Some(end.read_wait), Some(end.write_wait)]
    }

    /// After a hang-up nothing will ever happen, and nobody stands anywhere for it.
    fn poll_heads(self, m: &Machine, _: TaskId) -> PollHeads {
        if m.ptys[self.pty].is_hung_up(self.side) {
            return [None, None];
        }
        self.queues(m)
    }

    fn describe(self, m: &Machine) -> (&'static str, String) {
        let pty = &m.ptys[self.pty];
        let end = pty.end(self.side);
        let name = match self.side {
            Side::Master => "pty, master",
            Side::Slave => "pty, slave",
        };
        let mut content = format!("{} bytes to read", end.ldisc.queued(&end.termios));
        if !end.buf.is_empty() {
            content += &format!(", {} not taken in", end.buf.unread());
        }
        if self.side == Side::Slave {
            let mode = if ldisc::is_canonical(&end.termios) {
                "canonical"
            } else {
                "raw"
            };
            content = format!("{mode}, {content}");
        }
        if pty.is_hung_up(self.side) {
            content = "hung up".to_owned();
        }
        (name, content)
    }

    fn encode_state(self, to: &mut Encoder<'_>) {
        let TtyEnd { pty, side } = self;
        to.pty(side.number(to), pty);
    }

    /// `tty_read`
    fn read<O: Observer>(
        self,
        kernel: &mut Kernel<'_, O>,
        caller: Caller,
        to: (OutPtr, u64),
        io: &mut Io,
    ) -> Attempt {
        kernel.tty_read(self, caller, to, io)
    }

    /// `tty_write`
    fn write<O: Observer>(
        self,
        kernel: &mut Kernel<'_, O>,
        caller: Caller,
        from: (&Ptr<Bytes>, u64),
        io: &mut Io,
    ) -> Attempt {
        kernel.tty_write(self, caller, from, io)
    }

    /// Readers and writers sleep in the middle of their operation, locks in hand (`wait_woken`).
    fn awaited(self, m: &Machine, caller: Caller, what: &What) -> Awaited {
        let pty = &m.ptys[self.pty];
        let end = pty.end(self.side);
        let (head, ready) = match what {
            What::Write { .. } => {
                let ready = pty.is_hung_up(self.side) || pty.can_send(self.side);
                (end.write_wait, ready)
            }
            _ => (end.read_wait, pty.ends_read(self.side)),
        };
        debug_assert!(
            [end.read_lock, end.write_lock].contains(&Some(caller.task)),
            "it sleeps with a lock in hand"
        );
        Awaited {
            head,
            place: Place::Head,
            func: WakeFn::Default,
            exclusive: false,
            ready,
            locked: false,
        }
    }

    /// They do so under their locks.
    fn finds_signals(self, _: &What) -> bool {
        true
    }

    /// `tty_ioctl`, as far as it changes nothing that others wait for.
    fn ioctl(self, m: &mut Machine, _: Caller, op: u32, arg: IoctlArg) -> Result<Out, Errno> {
        let pty = &mut m.ptys[self.pty];
        if pty.is_hung_up(self.side) {
            return Err(Errno::EIO);
        }
        let of_master = self.side == Side::Master;
        match (op, arg) {
            (request::FIONREAD, IoctlArg::IntOut(OutPtr::Memory(Room::Plenty))) => {
                let end = pty.end(self.side);
                let queued = end.ldisc.queued(&end.termios);
                Ok(Out::Int(i32::try_from(queued).unwrap_or(i32::MAX)))
            }
            // The settings of a pair are those of its slave.
            (request::TCGETS, IoctlArg::TermiosOut(OutPtr::Memory(Room::Plenty))) => {
                Ok(Out::Termios(Box::new(pty.end(Side::Slave).termios)))
            }
            (request::FIONREAD | request::TCGETS, _) => Err(Errno::EFAULT),
            (request::TIOCSPTLCK, IoctlArg::Int(Ptr::To(on))) if of_master => {
                pty.locked = on != 0;
                Ok(Out::None)
            }
            (request::TIOCPKT, IoctlArg::Int(Ptr::To(on))) if of_master => {
                if on != 0 && !pty.packet {
                    pty.pktstatus = 0;
                }
                pty.packet = on != 0;
                Ok(Out::None)
            }
            (request::TIOCSPTLCK | request::TIOCPKT, _) if of_master => Err(Errno::EFAULT),
            // Only a master has a peer to open.
            (request::TIOCGPTPEER, _) => Err(Errno::EIO),
            _ => Err(Errno::ENOTTY),
        }
    }

    fn llseek(self, _: &mut Machine, _: FileId, _: i64, _: i32) -> Result<i64, Errno> {
        Err(Errno::ESPIPE)
    }

    fn reopen(self) -> Result<Plain, Errno> {
        unreachable!("a lab refuses to open a terminal anew")
    }

    /// `tty_release`
    fn release(self, m: &mut Machine, _: TaskId) -> Released {
        let released = m.ptys[self.pty].release(self.side);
        m.queue_tty_work(self.pty);
        released
    }

    fn free(self, m: &mut Machine) {
        m.put_pty(self);
    }
}

/// The flags that a terminal's file keeps.
pub(crate) fn kept_flags(flags: OpenFlags) -> OpenFlags {
    flags - OpenFlags::CLOEXEC - OpenFlags::NOCTTY
}

impl Encode for Pty {
    fn encode(&self, to: &mut Encoder<'_>) {
        let Pty {
            ends,
            locked,
            packet,
            pktstatus,
            hung_up,
        } = self;
        let flags = [locked, packet, hung_up].map(|flag| flag.number(to));
        to.numbers(flags);
        to.byte(*pktstatus);
        ends.encode(to);
        for end in ends {
            for wake in &end.owed {
                encode_option(&Some(*wake), to);
            }
            to.none();
        }
    }
}

impl Encode for Tty {
    fn encode(&self, to: &mut Encoder<'_>) {
        let Tty {
            files: _, // as many as name it
            io_error,
            other_closed,
            buf,
            ldisc,
            owed: _, // written behind both sides, whose queues it names
            termios,
            read_lock,
            write_lock,
            unsent: _, // the call that has the lock says so
            read_wait,
            write_wait,
        } = self;
        let numbers = [
            io_error.number(to),
            other_closed.number(to),
            read_lock.number(to),
            write_lock.number(to),
        ];
        to.numbers(numbers);
        buf.encode(to);
        ldisc.encode(to);
        termios.encode(to);
        to.queue(*read_wait);
        to.queue(*write_wait);
    }
}
