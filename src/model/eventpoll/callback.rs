//! `ep_poll_callback`: what a wake-up does to an item.
//!
//! It runs in the waker's context, under `ep->lock`, never sleeps, never takes `mtx`, and never asks the
//! file anything. All that it may do is put the item on a list and wake one sleeper. Edge-triggering is
//! nothing more than this function being the only way back onto the list.

use super::epitem::Epitem;
use crate::abi::EventMask;
use crate::model::arena::{EpId, ItemId};
use crate::model::wait_queue::{Nr, Wake, WakeFn};
use crate::model::{Kernel, Variant};
use crate::trace::{Observer, Trace, Verdict};

/// What the callback tells its caller, the walk along the file's wait queue.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Called {
    /// Whether an exclusive item made use of the wake-up, which ends a wake of one.
    pub(crate) ewake: bool,
    /// The wake-up of those who watch the epoll file itself, to be made once `ep->lock` is dropped.
    pub(crate) pwake: Option<Wake>,
}

impl<O: Observer> Kernel<'_, O> {
    /// One call of the callback, for a wake-up that carries `key`.
    pub(crate) fn ep_poll_callback(&mut self, id: ItemId, key: EventMask) -> Called {
        let item = &self.m.items[id];
        let (ep, interest) = (item.ep, item.interest);
        let verdict = self.ep_queue_item(id, key);
        self.trace(|k| Trace::Callback {
            item: k.item_ref(id),
            key,
            verdict,
        });

        let mut called = Called {
            ewake: !interest.contains(EventMask::EXCLUSIVE),
            pwake: None,
        };
        match verdict {
            Verdict::Disarmed | Verdict::KeyMiss | Verdict::Lost => return called,
            Verdict::AlreadyLinked | Verdict::AlreadyOverflowed
                if self.errs(Variant::NoWakeIfQueued) =>
            {
                return called;
            }
            _ => {}
        }
        // One sleeper for each wake-up that got this far, even if the item was queued already.
        let (wq, poll_wait) = (self.m.epolls[ep].wq, self.m.epolls[ep].poll_wait);
        if !self.m.heads[wq].entries.is_empty() {
            called.ewake |= serves_exclusively(interest, key);
            self.wake_one_waiter(ep);
        }
        if !self.m.heads[poll_wait].entries.is_empty() {
            called.pwake = Some(Wake {
                head: poll_wait,
                key: EventMask::IN,
                nr: Nr::One,
            });
        }
        called
    }

    /// The filter and the queueing: where the item goes.
    fn ep_queue_item(&mut self, id: ItemId, key: EventMask) -> Verdict {
        let item = &self.m.items[id];
        let (ep, interest, linked) = (item.ep, item.interest, item.linked);
        if (interest - Epitem::PRIVATE).is_empty() {
            return Verdict::Disarmed;
        }
        // A waker that does not say what happened concerns everybody.
        let concerned = key.is_empty() || key.intersects(interest);
        if !concerned && !self.errs(Variant::NoKeyFilter) {
            return Verdict::KeyMiss;
        }
        if self.m.variants.has(Variant::StateDiffEdges) && self.is_no_edge(id) {
            return Verdict::Lost;
        }
        if self.m.epolls[ep].ovflist.is_open() {
            if self.errs(Variant::WithoutOvflist) {
                return Verdict::Lost;
            }
            // Even if it is linked: it may be on the scan's list and already have been asked, and then
            // this wake-up would be lost with it.
            if self.ovflist_push(id) {
                Verdict::Overflowed
            } else {
                Verdict::AlreadyOverflowed
            }
        } else if linked {
            Verdict::AlreadyLinked
        } else if self.errs(Variant::LifoReady) {
            self.rdllist_add_head(id);
            Verdict::InFront
        } else {
            self.rdllist_add_tail(id);
            Verdict::Queued
        }
    }

    /// Wakes the task that came to `ep->wq` last (`wake_up(&ep->wq)`), and passes over any that the
    /// clock or a signal has woken already. All of it happens under `ep->lock`, so at once.
    pub(crate) fn wake_one_waiter(&mut self, ep: EpId) {
        let wq = self.m.epolls[ep].wq;
        while let Some(entry) = self.m.heads[wq].entries.first() {
            let WakeFn::EpAutoremove(sleeper) = self.m.waits[entry].func else {
                unreachable!("only tasks in epoll_wait stand on ep->wq");
            };
            self.trace(|k| Trace::WakeTask {
                task: sleeper,
                queue: k.m.heads[wq].label,
            });
            self.detach(entry);
            if self.try_to_wake_up(sleeper) && !self.errs(Variant::WakeAllWaiters) {
                break;
            }
        }
    }
}

/// Whether a wake-up with `key` counts as consumed by an exclusive item whose epoll has a sleeper: for
/// readers or for writers only, or for neither. One that is for both at once might be needed by another.
fn serves_exclusively(interest: EventMask, key: EventMask) -> bool {
    let direction = key & (EventMask::IN | EventMask::OUT);
    if direction == EventMask::IN || direction == EventMask::OUT {
        interest.contains(direction)
    } else {
        direction.is_empty()
    }
}
