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
use crate::abi::{Answer, EpollEvent, Errno, EventMask, Out, OutPtr, Room, TaskId};
use crate::model::Kernel;
use crate::model::arena::ItemId;
use crate::model::call::Flow;
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
            return Flow::Done(Answer::err(Errno::EINTR));
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
            self.txlist_del(item);
            call.item = Some(item);
            self.ep_item_poll(item, &mut call.polls)
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
        let event = EpollEvent::new(call.ready, self.m.items[id].data);
        match epoll_put_uevent(call.buf, call.events.len()) {
            Store::Stored => {}
            failed => {
                self.txlist_add_head(id);
                self.trace(|k| Trace::Fault(k.item_ref(id)));
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
        self.after_delivery(id);
        call.at = WaitAt::PollItem;
        Flow::Next
    }

    /// One-shot, edge-triggered, level-triggered: the whole difference.
    #[inline]
    fn after_delivery(&mut self, id: ItemId) {
        let item = &mut self.m.items[id];
        if item.interest.contains(EventMask::ONESHOT) {
            item.interest &= Epitem::PRIVATE;
            self.trace(|k| Trace::Disarm(k.item_ref(id)));
        } else if !item.interest.contains(EventMask::ET) {
            self.rdllist_add_tail(id);
            self.trace(|k| Trace::Requeue(k.item_ref(id)));
        }
    }

    /// Step: `ep_done_scan` and `mutex_unlock(&ep->mtx)`.
    #[inline]
    pub(super) fn send_done(&mut self, task: TaskId, call: &mut EpollWait) -> Flow {
        self.ep_done_scan(task, call.ep);
        self.mutex_unlock(call.ep);
        let events = std::mem::take(&mut call.events);
        match (events.len(), call.fault.take()) {
            (0, Some(torn)) => {
                let out = if torn.is_empty() {
                    Out::None
                } else {
                    Out::TornEvent(torn)
                };
                Flow::Done(Answer::Failed(Errno::EFAULT, out))
            }
            (0, None) => {
                call.at = WaitAt::Idle;
                Flow::Next
            }
            (n, _) => {
                let n = i64::try_from(n).unwrap_or(i64::MAX);
                Flow::Done(Answer::Done(n, Out::Events(events)))
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
