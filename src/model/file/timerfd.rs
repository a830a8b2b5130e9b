//! timerfd(2): a timer that can be waited for.
//!
//! When it fires, it counts one tick and wakes with `EPOLLIN`; a read takes the ticks. A period does not
//! start the timer anew by itself: a periodic timer fires once, and then waits until somebody asks, by
//! read(2), timerfd_gettime(2) or timerfd_settime(2). Only then the periods that have passed are counted,
//! and the timer is armed for the next. So one that nobody reads costs nothing, and is one edge.
//!
//! ```text
//!             armed   expired   ticks
//!   set         x                  0
//!   fires                x         1      one wake-up, EPOLLIN
//!   (periods pass)       x         1      nothing
//!   gettime     x                  1 + n  if it is periodic: armed again
//!   read        x                  0      the same, and it takes them
//! ```
//!
//! It fires in an interrupt, at a moment that belongs to no task: see [`clock`](crate::model::clock).

use super::File;
use super::ops::{Awaited, Caller, FileOps, Kind, PollHeads, Poller};
use super::transfer::{Attempt, Io, What};
use crate::abi::{
    Answer, Errno, EventMask, Fd, Itimerspec, OpenFlags, Out, OutPtr, Ptr, Room, TaskId, Timespec,
};
use crate::backend::LabError;
use crate::model::arena::{FileId, HeadId, TimerFdId};
use crate::model::call::{Flow, Held, Pace, Steps};
use crate::model::clock::Clock;
use crate::model::encode::{Encode, Encoder, Number};
use crate::model::wait_queue::{Nr, WaitHead, Wake, WakeFn, Walked, Walks};
use crate::model::{Kernel, Machine};
use crate::trace::{FileRef, Observer, Place, QueueRef, Trace};

/// The timer (`struct timerfd_ctx`). `wqh.lock` guards all of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TimerFd {
    clock: Clock,
    /// How often it has expired, as far as that was counted.
    ticks: u64,
    /// It has fired and was not armed again.
    expired: bool,
    /// It is going to fire.
    armed: bool,
    /// When, on the machine's clock; or when it last has. Times before the machine's first moment exist.
    expires: i64,
    /// The period in nanoseconds, or 0 (`tintv`).
    interval: i64,
    /// Who waits for a tick.
    wqh: HeadId,
    /// The file's name for people.
    label: FileRef,
}

const TFD_TIMER_ABSTIME: u32 = 1;
const TFD_TIMER_CANCEL_ON_SET: u32 = 2;

/// Bytes of a read.
const WORD: u64 = 8;

/// `sizeof(struct itimerspec)`
const ITIMERSPEC: u64 = 32;

impl TimerFd {
    /// When it is going to fire, on the machine's clock.
    pub(crate) fn due(&self) -> Option<u64> {
        self.armed
            .then(|| u64::try_from(self.expires).unwrap_or_default())
    }

    /// Where its expiry wakes.
    pub(crate) fn wqh(&self) -> HeadId {
        self.wqh
    }

    /// Adds periods until it lies in the future, and says how many (`hrtimer_forward_now`).
    ///
    /// Preconditions: it is periodic and has fired.
    fn forward(&mut self, now: i64) -> u64 {
        let periods = now.saturating_sub(self.expires) / self.interval + 1;
        self.expires = self
            .expires
            .saturating_add(self.interval.saturating_mul(periods));
        u64::try_from(periods).unwrap_or_default()
    }

    /// Counts the periods since it fired and arms it for the next one, if it has any.
    fn catch_up(&mut self, now: i64) {
        if self.expired && self.interval != 0 {
            // The first of them was counted when it fired.
            self.ticks += self.forward(now) - 1;
            self.expired = false;
            self.armed = true;
        }
    }

    /// How it stands (`do_timerfd_gettime`).
    fn setting(&self, now: i64) -> Itimerspec {
        let nonnegative = |time: i64| Timespec::from(u64::try_from(time).unwrap_or_default());
        Itimerspec {
            it_interval: nonnegative(self.interval),
            it_value: nonnegative(self.expires.saturating_sub(now)),
        }
    }

    /// `timerfd_setup`
    fn set(&mut self, value: i64, interval: i64, absolute: bool, now: i64) {
        self.expired = false;
        self.ticks = 0;
        self.interval = interval;
        self.armed = value != 0;
        self.expires = match (self.armed, absolute) {
            (false, _) => now,
            (true, true) => value.saturating_sub_unsigned(self.clock.start()),
            (true, false) => now.saturating_add(value),
        };
    }
}

impl FileOps for TimerFdId {
    /// `timerfd_poll`
    fn poll(self, m: &mut Machine, _: Poller) -> EventMask {
        if m.timerfds[self].ticks > 0 {
            EventMask::IN
        } else {
            EventMask::empty()
        }
    }

    fn queues(self, m: &Machine) -> PollHeads {
        [Some(m.timerfds[self].wqh), None]
    }

    fn describe(self, m: &Machine) -> (&'static str, String) {
        let timer = &m.timerfds[self];
        let state = match (timer.armed, timer.interval) {
            (true, _) => "armed",
            (false, 1..) if timer.expired => "waits to be asked",
            (false, _) => "disarmed",
        };
        ("timerfd", format!("{} ticks, {state}", timer.ticks))
    }

    fn encode_state(self, to: &mut Encoder<'_>) {
        let TimerFd {
            clock,
            ticks,
            expired,
            armed,
            expires,
            interval,
            wqh,
            label: _,
        } = &to.machine.timerfds[self];
        let realtime = *clock == Clock::Realtime;
        let flags = u64::from(realtime) << 2 | u64::from(*armed) << 1 | u64::from(*expired);
        // Who neither will fire nor is to count periods has no time of its own.
        let time = if *armed || (*expired && *interval != 0) {
            expires.wrapping_sub(to.machine.now_signed())
        } else {
            0
        };
        to.numbers([flags, *ticks, interval.number(to), time.number(to)]);
        to.queue(*wqh);
    }

    /// `timerfd_read_iter`
    fn read<O: Observer>(
        self,
        kernel: &mut Kernel<'_, O>,
        caller: Caller,
        (buf, count): (OutPtr, u64),
        io: &mut Io,
    ) -> Attempt {
        if count < WORD {
            return Attempt::fail(Errno::EINVAL);
        }
        let now = kernel.m.now_signed();
        if kernel.walked_by_another(caller.task, kernel.m.timerfds[self].wqh) {
            return Attempt::Locked;
        }
        let timer = &mut kernel.m.timerfds[self];
        if timer.ticks == 0 {
            return if kernel.m.files[caller.file].nonblocking() {
                Attempt::fail(Errno::EAGAIN)
            } else {
                Attempt::Sleep
            };
        }
        timer.catch_up(now);
        timer.expired = false;
        let ticks = std::mem::take(&mut timer.ticks);
        // Stored after the ticks were taken, as far as there is memory: a bad buffer loses them.
        let room = match buf {
            OutPtr::Memory(Room::Bytes(room)) => room.min(WORD),
            OutPtr::Memory(_) => WORD,
            OutPtr::Addr(_) => 0,
        };
        if room == 0 {
            return Attempt::fail(Errno::EFAULT);
        }
        let stored = ticks
            .to_ne_bytes()
            .into_iter()
            .take(usize::try_from(room).unwrap_or(0));
        io.stored(stored.collect())
    }

    /// All readers are woken, and one of them gets the ticks.
    fn awaited(self, m: &Machine, _: Caller, _: &What) -> Awaited {
        let timer = &m.timerfds[self];
        Awaited {
            head: timer.wqh,
            place: Place::Tail,
            func: WakeFn::Autoremove,
            exclusive: false,
            ready: timer.ticks > 0,
            locked: true,
        }
    }

    fn free(self, m: &mut Machine) {
        m.heads.remove(m.timerfds[self].wqh);
        m.timerfds.remove(self);
    }
}

impl<O: Observer> Kernel<'_, O> {
    /// timerfd_create(2)
    pub(crate) fn timerfd_create(
        &mut self,
        task: TaskId,
        clockid: i32,
        flags: OpenFlags,
    ) -> Result<Result<Fd, Errno>, LabError> {
        let status = flags & OpenFlags::NONBLOCK;
        let clock = match clockid {
            _ if !(flags - status - OpenFlags::CLOEXEC).is_empty() => {
                return Ok(Err(Errno::EINVAL));
            }
            0 => Clock::Realtime,
            // CLOCK_MONOTONIC, CLOCK_BOOTTIME
            1 | 7 => Clock::Monotonic,
            8 | 9 => return Err(LabError::new("the model has no clock that wakes a machine")),
            _ => return Ok(Err(Errno::EINVAL)),
        };
        let fd = match self.unused_fd(task, 0) {
            Ok(fd) => fd,
            Err(errno) => return Ok(Err(errno)),
        };
        let label = FileRef(fd);
        let wqh = self.m.heads.insert(WaitHead::new(QueueRef::File(label)));
        let timer = self.m.timerfds.insert(TimerFd {
            clock,
            ticks: 0,
            expired: false,
            armed: false,
            expires: 0,
            interval: 0,
            wqh,
            label,
        });
        let file = File::new(Kind::TimerFd(timer), status | OpenFlags::RDWR, fd);
        let file = self.m.files.insert(file);
        self.fd_install(task, fd, file, flags.contains(OpenFlags::CLOEXEC));
        Ok(Ok(fd))
    }

    /// timerfd_settime(2)
    pub(crate) fn timerfd_settime(
        &mut self,
        task: TaskId,
        fd: Fd,
        flags: u32,
        new: Ptr<Itimerspec>,
        old: OutPtr,
    ) -> Result<Out, Errno> {
        let Ptr::To(new) = new else {
            return Err(Errno::EFAULT);
        };
        if flags & !(TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET) != 0 {
            return Err(Errno::EINVAL);
        }
        let ktime = |time: Timespec| {
            let nanoseconds = time.nanoseconds().ok_or(Errno::EINVAL)?;
            Ok(i64::try_from(nanoseconds).unwrap_or(i64::MAX))
        };
        let (value, interval) = (ktime(new.it_value)?, ktime(new.it_interval)?);
        let timer = self.timerfd(task, fd)?;
        let now = self.m.now_signed();
        let timer = &mut self.m.timerfds[timer];
        timer.catch_up(now);
        let before = timer.setting(now);
        timer.set(value, interval, flags & TFD_TIMER_ABSTIME != 0, now);
        if self.pace == Pace::Whole {
            // A time that has passed: the interrupt comes before the caller can look.
            self.jump(self.m.now);
        }
        match old {
            OutPtr::NULL => Ok(Out::None),
            old => store(before, old),
        }
    }

    /// timerfd_gettime(2)
    pub(crate) fn timerfd_gettime(
        &mut self,
        task: TaskId,
        fd: Fd,
        curr: OutPtr,
    ) -> Result<Out, Errno> {
        let timer = self.timerfd(task, fd)?;
        let now = self.m.now_signed();
        let timer = &mut self.m.timerfds[timer];
        timer.catch_up(now);
        store(timer.setting(now), curr)
    }

    /// `timerfd_fget`
    fn timerfd(&self, task: TaskId, fd: Fd) -> Result<TimerFdId, Errno> {
        let file = self.m.fget(task, fd).ok_or(Errno::EBADF)?;
        match self.m.files[file].kind {
            Kind::TimerFd(timer) => Ok(timer),
            _ => Err(Errno::EINVAL),
        }
    }

    /// The interrupt (`timerfd_tmrproc`, `timerfd_triggered`).
    ///
    /// Preconditions: no queue on its way is locked.
    pub(crate) fn timerfd_triggered(&mut self, id: TimerFdId) {
        let timer = &mut self.m.timerfds[id];
        timer.armed = false;
        timer.expired = true;
        timer.ticks += 1;
        let (head, label) = (timer.wqh, timer.label);
        self.obs.on(Trace::Expire(label));
        self.wake_up_in_interrupt(tick(head));
    }
}

/// The wake-up of a tick.
fn tick(head: HeadId) -> Wake {
    Wake {
        head,
        key: EventMask::IN,
        nr: Nr::One,
    }
}

/// Stores a setting for the caller.
fn store(setting: Itimerspec, to: OutPtr) -> Result<Out, Errno> {
    match to {
        OutPtr::Memory(Room::Plenty | Room::Bytes(ITIMERSPEC..)) => {
            Ok(Out::Itimerspec(Box::new(setting)))
        }
        OutPtr::Memory(_) | OutPtr::Addr(_) => Err(Errno::EFAULT),
    }
}

/// ioctl(2) with `TFD_IOC_SET_TICKS`, by which a program is put back that was stored away: the ticks are
/// set, and whoever waits is woken.
#[derive(Clone, Debug)]
pub(crate) struct SetTicks {
    file: FileId,
    timer: TimerFdId,
    ticks: u64,
    /// Whether they are set. Then what is left is the wake-up.
    set: bool,
    walks: Walks,
}

impl<O: Observer> Kernel<'_, O> {
    /// Its checks (`timerfd_ioctl`); `None` for a file that is no timer.
    pub(crate) fn begin_set_ticks(
        &self,
        task: TaskId,
        fd: Fd,
        ticks: Ptr<u64>,
    ) -> Option<Result<SetTicks, Errno>> {
        let file = self.m.fget(task, fd)?;
        let timer = self.timerfd(task, fd).ok()?;
        Some(match ticks {
            Ptr::Addr(_) => Err(Errno::EFAULT),
            Ptr::To(0) => Err(Errno::EINVAL),
            Ptr::To(ticks) => Ok(SetTicks {
                file,
                timer,
                ticks,
                set: false,
                walks: Walks::default(),
            }),
        })
    }
}

impl Steps for SetTicks {
    fn step<O: Observer>(&mut self, kernel: &mut Kernel<'_, O>, task: TaskId) -> Flow {
        if !self.set {
            let head = kernel.m.timerfds[self.timer].wqh;
            if kernel.walked_by_another(task, head) {
                return Flow::Blocked;
            }
            kernel.m.timerfds[self.timer].ticks = self.ticks;
            self.set = true;
            kernel.wake_up_locked(task, &mut self.walks, tick(head));
            return if self.walks.outer.is_some() {
                Flow::Next
            } else {
                Flow::Done
            };
        }
        match kernel.wake_step(task, &mut self.walks) {
            Walked::More => Flow::Next,
            Walked::Blocked => Flow::Blocked,
            Walked::Done => Flow::Done,
        }
    }

    fn answer(&mut self) -> Answer {
        Answer::ret(0)
    }

    fn files(&self, files: &mut Vec<FileId>) {
        files.push(self.file);
    }

    fn held(&self, held: &mut Held) {
        held.walks.extend(self.walks.iter());
    }

    fn at(&self) -> String {
        "timerfd_ioctl".to_owned()
    }
}

impl Encode for SetTicks {
    fn encode(&self, to: &mut Encoder<'_>) {
        let SetTicks {
            file,
            timer: _, // that of the file
            ticks,
            set,
            walks,
        } = self;
        to.numbers([file.number(to), set.number(to)]);
        if !set {
            ticks.encode(to);
        }
        walks.encode(to);
    }
}
