//! signalfd(2): signals that are read instead of handled.
//!
//! It has no state but a mask, and no queue. What it answers, it answers for the one who asks: is a signal of
//! the mask pending for this task, or for its process? And who polls it stands on a queue that the process has
//! for all its signalfds, and that every signal to any thread of the process wakes, whatever the masks say
//! (`signalfd_notify`):
//!
//! ```text
//!   kill(2) ──► queue ──► signalfd_wqh ──► [item 4 of epoll 3] ──► epoll_wait(2) by some task
//!               of the     of the process    hooked by             asks the file for *its* pending signals
//!               process                      who added it
//! ```
//!
//! In one process all of that is the same process. After a fork(2) it need not be: then those who are woken
//! are not those whose signals count. And the queue dies with the process, while the file lives on in
//! another: then it tells each entry to leave, with `POLLFREE` in the key, and an item that was hooked there
//! is never woken again.

use super::File;
use super::ops::{Awaited, Caller, FileOps, Kind, PollHeads, Poller};
use super::transfer::{Attempt, Io, Record, What};
use crate::abi::{
    Answer, Errno, EventMask, Fd, OpenFlags, OutPtr, Ptr, Room, SigInfo, SigSet, TaskId,
};
use crate::model::arena::FileId;
use crate::model::call::{Flow, Held, Steps};
use crate::model::encode::{Encode, Encoder, Number};
use crate::model::wait_queue::{Nr, Wake, WakeFn, Walked, Walks};
use crate::model::{Kernel, Machine};
use crate::trace::{Observer, Place};

/// The signals that it takes (`struct signalfd_ctx`, which keeps the others).
#[derive(Clone, Copy, Debug)]
pub(crate) struct SignalFd {
    mask: SigSet,
}

/// `sizeof(sigset_t)` in the kernel.
const SIGSET_SIZE: u64 = 8;

impl FileOps for SignalFd {
    /// `signalfd_poll`
    fn poll(self, m: &mut Machine, by: Poller) -> EventMask {
        if m.pending(by.task).intersection(self.mask).is_empty() {
            EventMask::empty()
        } else {
            EventMask::IN
        }
    }

    /// None of its own.
    fn queues(self, _: &Machine) -> PollHeads {
        [None, None]
    }

    fn poll_heads(self, m: &Machine, task: TaskId) -> PollHeads {
        [Some(m.process(task).signalfd_wqh), None]
    }

    fn describe(self, _: &Machine) -> (&'static str, String) {
        ("signalfd", format!("takes {}", self.mask))
    }

    fn encode_state(self, to: &mut Encoder<'_>) {
        let SignalFd { mask } = self;
        mask.encode(to);
    }

    /// `signalfd_read_iter`: one signal a round, as many as there are and as there is room for.
    fn read<O: Observer>(
        self,
        kernel: &mut Kernel<'_, O>,
        caller: Caller,
        (buf, count): (OutPtr, u64),
        io: &mut Io,
    ) -> Attempt {
        let Caller { task, file } = caller;
        if count < SigInfo::SIZE {
            return Attempt::fail(Errno::EINVAL);
        }
        let head = kernel.m.process(task).signalfd_wqh;
        if kernel.walked_by_another(task, head) {
            return Attempt::Locked;
        }
        let read = io.records_read();
        if count - read < SigInfo::SIZE {
            return io.read_records();
        }
        let others = SigSet(!self.mask.0);
        let Some(info) = kernel.m.dequeue_signal(task, others) else {
            return match () {
                () if read > 0 => io.read_records(),
                () if kernel.m.files[file].nonblocking() => Attempt::fail(Errno::EAGAIN),
                () => Attempt::Sleep,
            };
        };
        // Taken before it is stored: where there is no memory it is lost.
        let room = match buf {
            OutPtr::Memory(Room::Bytes(room)) => room,
            OutPtr::Memory(_) => u64::MAX,
            OutPtr::Addr(_) => 0,
        };
        if room - read.min(room) >= SigInfo::SIZE {
            io.record(Record::Signal(info));
            Attempt::More
        } else if read > 0 {
            io.read_records()
        } else {
            Attempt::fail(Errno::EFAULT)
        }
    }

    /// All readers are woken, by any signal.
    fn awaited(self, m: &Machine, caller: Caller, _: &What) -> Awaited {
        Awaited {
            head: m.process(caller.task).signalfd_wqh,
            place: Place::Head,
            func: WakeFn::Default,
            exclusive: false,
            ready: !m.pending(caller.task).intersection(self.mask).is_empty(),
            locked: true,
        }
    }

    fn free(self, _: &mut Machine) {}
}

impl<O: Observer> Kernel<'_, O> {
    /// signalfd4(2) of a new file
    pub(crate) fn signalfd4(
        &mut self,
        task: TaskId,
        mask: (Ptr<SigSet>, u64),
        flags: OpenFlags,
    ) -> Result<Fd, Errno> {
        let mask = check_mask(mask, flags)?;
        let fd = self.unused_fd(task, 0)?;
        let status = (flags & OpenFlags::NONBLOCK) | OpenFlags::RDWR;
        let file = File::new(Kind::SignalFd(SignalFd { mask }), status, fd);
        let file = self.m.files.insert(file);
        self.fd_install(task, fd, file, flags.contains(OpenFlags::CLOEXEC));
        Ok(fd)
    }

    /// signalfd4(2) of one that there is
    pub(crate) fn begin_set_signals(
        &self,
        task: TaskId,
        ufd: Fd,
        mask: (Ptr<SigSet>, u64),
        flags: OpenFlags,
    ) -> Result<SetSignals, Errno> {
        let mask = check_mask(mask, flags)?;
        let file = self.m.fget(task, ufd).ok_or(Errno::EBADF)?;
        match self.m.files[file].kind {
            Kind::SignalFd(_) => Ok(SetSignals {
                ufd,
                file,
                mask,
                set: false,
                walks: Walks::default(),
            }),
            _ => Err(Errno::EINVAL),
        }
    }
}

/// The checks of signalfd4(2) that come first, and the signals that can be taken.
fn check_mask((mask, size): (Ptr<SigSet>, u64), flags: OpenFlags) -> Result<SigSet, Errno> {
    if size != SIGSET_SIZE {
        return Err(Errno::EINVAL);
    }
    let Ptr::To(mask) = mask else {
        return Err(Errno::EFAULT);
    };
    if !(flags - OpenFlags::NONBLOCK - OpenFlags::CLOEXEC).is_empty() {
        return Err(Errno::EINVAL);
    }
    Ok(mask.difference(SigSet::UNBLOCKABLE))
}

/// signalfd4(2) of a file that there is: another mask, and then everybody on the caller's queue is woken, for
/// what is pending may be of interest now.
#[derive(Clone, Debug)]
pub(crate) struct SetSignals {
    ufd: Fd,
    file: FileId,
    mask: SigSet,
    /// Whether it is in force. Then what is left is the wake-up.
    set: bool,
    walks: Walks,
}

impl Steps for SetSignals {
    fn step<O: Observer>(&mut self, kernel: &mut Kernel<'_, O>, task: TaskId) -> Flow {
        if !self.set {
            let SetSignals { mask, file, .. } = *self;
            kernel.m.files[file].kind = Kind::SignalFd(SignalFd { mask });
            self.set = true;
            let wake = Wake {
                head: kernel.m.process(task).signalfd_wqh,
                key: EventMask::empty(),
                nr: Nr::One,
            };
            kernel.wake_up(&mut self.walks, wake);
            return Flow::Next;
        }
        match kernel.wake_step(task, &mut self.walks) {
            Walked::More => Flow::Next,
            Walked::Blocked => Flow::Blocked,
            Walked::Done => Flow::Done,
        }
    }

    fn answer(&mut self) -> Answer {
        Answer::ret(i64::from(self.ufd.0))
    }

    fn files(&self, files: &mut Vec<FileId>) {
        files.push(self.file);
    }

    fn held(&self, held: &mut Held) {
        held.walks.extend(self.walks.iter());
    }

    fn at(&self) -> String {
        "do_signalfd4".to_owned()
    }
}

impl Encode for SetSignals {
    fn encode(&self, to: &mut Encoder<'_>) {
        let SetSignals {
            ufd,
            file,
            mask,
            set,
            walks,
        } = self;
        to.numbers([ufd.number(to), file.number(to), set.number(to)]);
        if !set {
            mask.encode(to);
        }
        walks.encode(to);
    }
}
