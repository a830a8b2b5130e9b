//! Delivery (`ep_send_events`): the part of epoll_wait(2) that works through the ready list.
//!
//! Each item is taken off the list, its file is asked, and if the answer within the interest is not
//! empty that answer is stored. Only then does the kind of registration matter:
//!
//! - **one-shot**: the interest shrinks to its private bits; no wake-up passes the filter any more;
//! - **edge-triggered**: nothing; the item stays off the list until a wake-up brings it back;
//! - **level-triggered**: the item goes to the tail of the ready list, to be asked again next time.

use super::epitem::Epitem;
use super::item_poll::Polled;
use super::wait::{EpollWait, WaitAt};
use crate::abi::{EpollEvent, Errno, EventMask, OutPtr, Room, TaskId};
use crate::model::arena::ItemId;
use crate::model::call::Flow;
use crate::model::{Kernel, Variant};
use crate::trace::{Observer, Trace};

/// What became of a store to user memory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Store {
    Stored,
    /// Nothing was stored.
    Fault,
    /// The page ends within the entry: its `events` were stored, its `data` were not.
    Torn,
}

impl<O: Observer> Kernel<'_, O> {
    /// Step: `mutex_lock(&ep->mtx)` and `ep_start_scan`.
    #[inline]
    pub(super) fn send_start(&mut self, task: TaskId, call: &mut EpollWait) -> Flow {
        if self.m.task(task).fatal_signal {
            return call.fail(Errno::EINTR);
        }
        if !self.mutex_lock(task, call.ep) {
            return Flow::Blocked;
        }
        self.ep_start_scan(task, call.ep);
        call.at = WaitAt::PollItem;
        Flow::Next
    }

    /// Step: take the next item off the scan's list and ask its file.
    #[inline]
    pub(super) fn send_poll_item(&mut self, task: TaskId, call: &mut EpollWait) -> Flow {
        let polled = if let (Some(item), false) = (call.item, call.polls.is_empty()) {
            match self.nested_poll_step(task, &mut call.polls) {
                Polled::Ready(mask) => {
                    let ready = mask & self.m.items[item].interest;
                    Polled::Ready(self.answer(item, ready))
                }
                more => more,
            }
        } else {
            let full = call.events.len() >= call.maxevents;
            let Some(item) = self.m.epolls[call.ep].txlist.first().filter(|_| !full) else {
                call.at = WaitAt::DoneScan;
                return Flow::Next;
            };
            if self.poll_waits(self.m.items[item].file) {
                return Flow::Blocked;
            }
            self.txlist_del(item);
            call.item = Some(item);
            self.ep_item_poll(task, item, &mut call.polls)
        };
        match polled {
            Polled::Blocked => return Flow::Blocked,
            Polled::More => {}
            Polled::Ready(ready) => {
                if let Some(item) = call.item.filter(|_| ready.is_empty()) {
                    self.trace(|k| Trace::Stale(k.item_ref(item)));
                    call.item = None;
                } else {
                    call.ready = ready;
                    call.at = WaitAt::PutEvent;
                }
            }
        }
        Flow::Next
    }

    /// Step: store the event, and send the item where its kind belongs.
    #[inline]
    pub(super) fn send_put_event(&mut self, task: TaskId, call: &mut EpollWait) -> Flow {
        let Some(id) = call.item else {
            unreachable!("an item was polled")
        };
        if call.buf == OutPtr::Memory(Room::Frozen) {
            if !self.m.task(task).stuck {
                self.obs.on(Trace::Frozen { task });
            }
            return Flow::Blocked;
        }
        call.item = None;
        let reported = if self.errs(Variant::ReportInterest) {
            self.m.items[id].interest - Epitem::PRIVATE
        } else {
            call.ready
        };
        let event = EpollEvent::new(reported, self.m.items[id].data);
        match epoll_put_uevent(call.buf, call.events.len()) {
            Store::Stored => {}
            failed => {
                if !self.errs(Variant::FaultLosesEvents) {
                    self.txlist_add_head(id);
                    self.trace(|k| Trace::Fault(k.item_ref(id)));
                }
                call.fault = Some(if failed == Store::Torn {
                    event.events
                } else {
                    EventMask::empty()
                });
                call.at = WaitAt::DoneScan;
                return Flow::Next;
            }
        }
        self.trace(|k| Trace::Put {
            item: k.item_ref(id),
            event,
        });
        call.events.push(event);
        self.after_delivery(id, call.ready);
        call.at = WaitAt::PollItem;
        Flow::Next
    }

    /// One-shot, edge-triggered, level-triggered: the whole difference.
    #[inline]
    fn after_delivery(&mut self, id: ItemId, reported: EventMask) {
        let interest = self.m.items[id].interest;
        if interest.contains(EventMask::ONESHOT) {
            self.m.items[id].interest = if self.errs(Variant::OneshotClearsFiredBits) {
                interest - reported
            } else {
                interest & Epitem::PRIVATE
            };
            self.trace(|k| Trace::Disarm(k.item_ref(id)));
        } else if self.is_asked_again(interest) {
            if self.errs(Variant::RequeueAtHead) {
                self.rdllist_add_head(id);
            } else {
                self.rdllist_add_tail(id);
                self.trace(|k| Trace::Requeue(k.item_ref(id)));
            }
        }
    }

    #[inline]
    fn is_asked_again(&mut self, interest: EventMask) -> bool {
        if interest.contains(EventMask::ET) {
            self.errs(Variant::NoEdges)
        } else {
            !self.errs(Variant::NoLevels)
        }
    }

    /// Step: `ep_done_scan` and `mutex_unlock(&ep->mtx)`.
    #[inline]
    pub(super) fn send_done(&mut self, task: TaskId, call: &mut EpollWait) -> Flow {
        if call.events.len() == call.maxevents && self.m.variants.has(Variant::DropBeyondMaxevents)
        {
            self.forget_the_rest(call.ep);
        }
        self.ep_done_scan(task, call.ep);
        self.mutex_unlock(call.ep);
        match (call.events.is_empty(), call.fault) {
            (false, _) => Flow::Done,
            (true, Some(_)) => call.fail(Errno::EFAULT),
            (true, None) if self.errs(Variant::VainWakeReturns) => Flow::Done,
            (true, None) => {
                call.at = WaitAt::Idle;
                Flow::Next
            }
        }
    }
}

/// `epoll_put_uevent`: first the mask, then the data, each of which may meet the end of the page.
#[inline]
fn epoll_put_uevent(buf: OutPtr, slot: usize) -> Store {
    match buf {
        OutPtr::Memory(Room::Plenty) => Store::Stored,
        OutPtr::Memory(Room::Bytes(room)) => {
            let slot = u64::try_from(slot).unwrap_or(u64::MAX);
            match room.saturating_sub(slot.saturating_mul(EpollEvent::SIZE)) {
                0..4 => Store::Fault,
                left if left < EpollEvent::SIZE => Store::Torn,
                _ => Store::Stored,
            }
        }
        OutPtr::Memory(Room::Frozen) | OutPtr::Addr(_) => Store::Fault,
    }
}
