//! epoll_wait(2) (`ep_poll`): look, deliver, or sleep until somebody says that it is worth another look.
//!
//! ```text
//!         ┌──────────────────────────────────────────────────────────────┐
//!         ▼                                                              │
//!       Look ──nothing──► Idle ──► Enqueue ──► Sleep ──woken──► StartScan │
//!         │                ▲          └─something─────────────────► ▲    │
//!         └──something──► StartScan ► PollItem ⇄ PutEvent ► DoneScan ────┘ nothing to report
//!                                                              └──► return
//! ```
//!
//! No wake-up can be lost between the look and the sleep, because `Enqueue` looks once more under the lock
//! that every callback takes.

use super::item_poll::NestedPolls;
use crate::abi::{
    Answer, EP_MAX_EVENTS, EpollEvent, Errno, EventMask, Events, Fd, Out, OutPtr, Room, TaskId,
};
use crate::model::arena::{EpId, FileId, ItemId, WaitId};
use crate::model::call::{Flow, Held, Steps};
use crate::model::encode::{Encode, Encoder, Number, variant_is_number};
use crate::model::wait_queue::WakeFn;
use crate::model::{Footprint, Kernel, Machine, Resources, Variant};
use crate::trace::{Observer, Place};

/// Until when to sleep.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Deadline {
    /// Do not sleep at all.
    Now,
    /// Virtual nanoseconds.
    At(u64),
    /// For ever.
    Never,
}

impl Deadline {
    /// The moment, if there is one to come.
    pub(crate) fn moment(self) -> Option<u64> {
        match self {
            Deadline::At(moment) => Some(moment),
            Deadline::Now | Deadline::Never => None,
        }
    }
}

/// A call in flight.
#[derive(Clone, Debug)]
pub(crate) struct EpollWait {
    pub(crate) ep: EpId,
    file: FileId,
    pub(super) maxevents: usize,
    pub(crate) buf: OutPtr,
    pub(crate) deadline: Deadline,
    pub(super) at: WaitAt,
    timed_out: bool,
    /// The item that is being asked or delivered, off every list.
    pub(super) item: Option<ItemId>,
    /// What it answered.
    pub(super) ready: EventMask,
    /// The scans inside nested epolls that the answer needs.
    pub(super) polls: NestedPolls,
    /// What has been stored.
    pub(super) events: Events,
    /// A store failed; the mask is what was stored of the entry.
    pub(super) fault: Option<EventMask>,
    /// The entry on `ep->wq`.
    waiter: Option<WaitId>,
    result: Result<(), Errno>,
}

/// The epoll that a descriptor leads to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Found {
    file: FileId,
    ep: EpId,
}

impl EpollWait {
    /// The events stored so far.
    pub(crate) fn stored(&self) -> &[EpollEvent] {
        &self.events
    }

    pub(super) fn fail(&mut self, errno: Errno) -> Flow {
        self.result = Err(errno);
        Flow::Done
    }

    #[inline]
    pub(crate) fn new(
        Found { file, ep }: Found,
        buf: OutPtr,
        maxevents: i32,
        deadline: Deadline,
    ) -> EpollWait {
        EpollWait {
            ep,
            file,
            maxevents: usize::try_from(maxevents).unwrap_or(0),
            buf,
            deadline,
            at: WaitAt::Look,
            timed_out: deadline == Deadline::Now,
            item: None,
            ready: EventMask::empty(),
            polls: NestedPolls::default(),
            events: Events::default(),
            fault: None,
            waiter: None,
            result: Ok(()),
        }
    }
}

/// The step at which it stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum WaitAt {
    /// The first, lockless look (`ep_events_available`).
    Look,
    /// About to take `ep->mtx` (`ep_send_events`).
    StartScan,
    /// About to ask the next item.
    PollItem,
    /// About to store an event.
    PutEvent,
    /// About to put the lists back in order.
    DoneScan,
    /// Nothing to report: time-out, signals.
    Idle,
    /// About to look once more under `ep->lock` and to stand on `ep->wq`.
    Enqueue,
    /// Asleep (`schedule_hrtimeout_range`).
    Sleep,
}

impl<O: Observer> Kernel<'_, O> {
    /// The checks of epoll_wait(2), in the kernel's order (`do_epoll_wait`, `ep_check_params`).
    #[inline]
    pub(crate) fn check_epoll_wait(
        &self,
        task: TaskId,
        epfd: Fd,
        buf: OutPtr,
        maxevents: i32,
    ) -> Result<Found, Errno> {
        let file = self.m.fget(task, epfd).ok_or(Errno::EBADF)?;
        if maxevents <= 0 || maxevents > EP_MAX_EVENTS {
            return Err(Errno::EINVAL);
        }
        // Only the range is checked, and that of the whole array; whether anything is mapped there shows
        // when there is something to store.
        if !buf.in_user_space(u64::from(maxevents.unsigned_abs()) * EpollEvent::SIZE) {
            return Err(Errno::EFAULT);
        }
        let ep = self.m.files[file].epoll().ok_or(Errno::EINVAL)?;
        Ok(Found { file, ep })
    }

    /// The call, for those who have no use for the checks alone.
    pub(crate) fn begin_epoll_wait(
        &self,
        task: TaskId,
        epfd: Fd,
        buf: OutPtr,
        maxevents: i32,
        deadline: Deadline,
    ) -> Result<EpollWait, Errno> {
        let found = self.check_epoll_wait(task, epfd, buf, maxevents)?;
        Ok(EpollWait::new(found, buf, maxevents, deadline))
    }

    /// Step: the first look.
    #[inline]
    fn wait_look(&mut self, call: &mut EpollWait) -> Flow {
        let available = self.events_available(call.ep);
        call.at = if available {
            WaitAt::StartScan
        } else {
            WaitAt::Idle
        };
        Flow::Next
    }

    /// Step: nothing was found. In this order, so events beat the time-out and both beat a signal.
    #[inline]
    fn wait_idle(&mut self, task: TaskId, call: &mut EpollWait) -> Flow {
        if call.timed_out {
            return Flow::Done;
        }
        if self.m.task(task).sigpending {
            return call.fail(Errno::EINTR);
        }
        call.at = WaitAt::Enqueue;
        Flow::Next
    }

    /// Step: under `ep->lock`, look again and only then stand on the queue, in front of all others.
    fn wait_enqueue(&mut self, task: TaskId, call: &mut EpollWait) -> Flow {
        if self.events_available(call.ep) && !self.errs(Variant::NoRecheckBeforeSleep) {
            call.at = WaitAt::StartScan;
            return Flow::Next;
        }
        let (wq, func) = (self.m.epolls[call.ep].wq, WakeFn::EpAutoremove(task));
        let place = if self.errs(Variant::FifoWaiters) {
            Place::Tail
        } else {
            Place::Head
        };
        self.m.fall_asleep(task, call.deadline);
        call.waiter = Some(self.add_wait_entry(wq, func, true, place));
        self.trace_sleep(task, wq, place);
        call.at = WaitAt::Sleep;
        Flow::Next
    }

    /// Step: go on once woken, at the deadline, or for a signal.
    fn wait_sleep(&mut self, task: TaskId, call: &mut EpollWait) -> Flow {
        if !self.m.task(task).is_awake() {
            return Flow::Blocked;
        }
        call.timed_out = self.m.run_again(task);
        let mut still_queued = false;
        if let Some(waiter) = call.waiter.take() {
            still_queued = self.m.waits[waiter].whead.is_some();
            self.remove_wait_entry(waiter);
        }
        // Whoever took the entry off the queue did so because there is something, even if the clock had
        // struck before and the wake-up went on to the next.
        call.at = if call.timed_out && still_queued {
            WaitAt::Idle
        } else {
            WaitAt::StartScan
        };
        Flow::Next
    }
}

impl Steps for EpollWait {
    #[inline]
    fn step<O: Observer>(&mut self, kernel: &mut Kernel<'_, O>, task: TaskId) -> Flow {
        match self.at {
            WaitAt::Look => kernel.wait_look(self),
            WaitAt::StartScan => kernel.send_start(task, self),
            WaitAt::PollItem => kernel.send_poll_item(task, self),
            WaitAt::PutEvent => kernel.send_put_event(task, self),
            WaitAt::DoneScan => kernel.send_done(task, self),
            WaitAt::Idle => kernel.wait_idle(task, self),
            WaitAt::Enqueue => kernel.wait_enqueue(task, self),
            WaitAt::Sleep => kernel.wait_sleep(task, self),
        }
    }

    #[inline]
    fn answer(&mut self) -> Answer {
        let torn = self.fault.filter(|stored| !stored.is_empty());
        match (self.result, torn) {
            (Ok(()), _) if self.events.is_empty() => {
                Answer::Done(0, Out::Events(Events::default()))
            }
            (Ok(()), _) => {
                let count = i64::try_from(self.events.len()).unwrap_or(i64::MAX);
                Answer::Done(count, Out::Events(std::mem::take(&mut self.events)))
            }
            (Err(Errno::EFAULT), Some(stored)) => {
                Answer::Failed(Errno::EFAULT, Out::TornEvent(stored))
            }
            (Err(errno), _) => Answer::err(errno),
        }
    }

    fn files(&self, files: &mut Vec<FileId>) {
        files.push(self.file);
    }

    fn held(&self, held: &mut Held) {
        if matches!(
            self.at,
            WaitAt::PollItem | WaitAt::PutEvent | WaitAt::DoneScan
        ) {
            held.mutexes.push(self.ep);
            held.scans.push(self.ep);
        }
        held.in_hand = self.item;
        self.polls.held(held);
        held.waiter = self.waiter;
        held.may_sleep = self.at == WaitAt::Sleep;
        held.looks_at = matches!(self.at, WaitAt::Sleep | WaitAt::StartScan).then_some(self.ep);
    }

    fn deadline(&self) -> Option<u64> {
        self.deadline.moment().filter(|_| self.at == WaitAt::Sleep)
    }

    fn footprint(&self, machine: &Machine, _: TaskId) -> Footprint {
        let mutex = Resources::mutex(self.ep);
        let ready_list = Resources::ready_list(self.ep);
        match self.at {
            WaitAt::Look => Footprint::reads(ready_list),
            WaitAt::StartScan => Footprint::writes(mutex.with(ready_list))
                .and_reads(Resources::SIGNALS)
                .may_end(),
            WaitAt::PollItem => self.asking_next(machine),
            WaitAt::PutEvent => self.storing(machine),
            WaitAt::DoneScan => Footprint::writes(mutex.with(ready_list)).may_end(),
            WaitAt::Idle => Footprint::reads(Resources::SIGNALS).may_end(),
            WaitAt::Enqueue | WaitAt::Sleep => {
                let looks_at = Resources::SIGNALS.with(Resources::CLOCK);
                Footprint::writes(ready_list).and_reads(looks_at)
            }
        }
    }

    fn at(&self) -> String {
        format!("ep_poll: {:?}", self.at)
    }
}

impl EpollWait {
    /// The scan's own list and what is linked on it concern nobody else, since callbacks go to the overflow
    /// list meanwhile. What is left is the look at the file.
    fn asking_next(&self, machine: &Machine) -> Footprint {
        if !self.polls.is_empty() {
            return Footprint::EVERYTHING;
        }
        let full = self.events.len() >= self.maxevents;
        match machine.epolls[self.ep].txlist.first().filter(|_| !full) {
            None => Footprint::NOTHING,
            Some(item) => machine.asking(machine.items[item].file),
        }
    }

    /// Memory is the caller's own, and a level-triggered item may go back on the ready list unnoticed: as
    /// long as a scan runs, events count as available. A one-shot one changes what callbacks filter by.
    fn storing(&self, machine: &Machine) -> Footprint {
        let oneshot = self.item.is_some_and(|item| {
            let interest = machine.items[item].interest;
            interest.contains(EventMask::ONESHOT)
        });
        match self.buf {
            OutPtr::Memory(Room::Frozen) => Footprint::EVERYTHING,
            _ if oneshot => Footprint::writes(Resources::ready_list(self.ep)),
            _ => Footprint::NOTHING,
        }
    }
}

variant_is_number!(WaitAt);

/// The time left.
impl Number for Deadline {
    fn number(&self, to: &Encoder<'_>) -> u64 {
        match self {
            Deadline::Now => 0,
            Deadline::Never => 1,
            Deadline::At(moment) => to.until(*moment).saturating_add(2),
        }
    }
}

impl Encode for EpollWait {
    fn encode(&self, to: &mut Encoder<'_>) {
        let EpollWait {
            ep: _, // that of the file
            file,
            maxevents,
            buf,
            deadline,
            at,
            timed_out,
            item,
            ready,
            polls,
            events,
            fault,
            waiter: _, // there at `Sleep`; if it still stands on the queue, it is written there
            result: _, // known at the end only
        } = self;
        to.numbers([
            at.number(to),
            file.number(to),
            maxevents.number(to),
            timed_out.number(to),
            deadline.number(to),
            events.len().number(to),
        ]);
        buf.encode(to);
        for event in events {
            event.encode(to);
        }
        match at {
            WaitAt::PollItem => {
                item.encode(to);
                polls.encode(to);
            }
            WaitAt::PutEvent => {
                item.encode(to);
                ready.encode(to);
            }
            WaitAt::DoneScan => fault.encode(to),
            WaitAt::Look | WaitAt::StartScan | WaitAt::Idle | WaitAt::Enqueue | WaitAt::Sleep => {}
        }
    }
}
