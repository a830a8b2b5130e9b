//! Asking an item's file what is true now (`ep_item_poll`), through any depth of nested epolls.
//!
//! For most files that is one look. For an epoll file it is a scan of *its* ready list
//! (`__ep_eventpoll_poll`): items that are not ready any more leave that list, the first one that is
//! ready stays on it and answers for all. Nothing is consumed: an edge-triggered item of the inner epoll
//! is still there for the one who waits on the inner epoll.
//!
//! A scan takes the inner `mtx`, so this is not one step but several, and a stack of them.

use crate::abi::{EventMask, TaskId};
use crate::model::arena::{EpId, FileId, ItemId};
use crate::model::call::Held;
use crate::model::encode::{Encode, Encoder};
use crate::model::file::{FileOps, Poller};
use crate::model::{Kernel, Variant};
use crate::trace::{Observer, Trace};

/// The scans of inner epolls that are under way, the outermost first.
#[derive(Clone, Debug, Default)]
pub(crate) struct NestedPolls(Vec<NestedPoll>);

/// One of them.
#[derive(Clone, Copy, Debug)]
struct NestedPoll {
    ep: EpId,
    at: At,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum At {
    /// About to take `ep->mtx` and start the scan.
    StartScan,
    /// About to ask the first item of the scan's list.
    PollItem,
    /// An inner epoll, watched by this one, is being asked about.
    Inner(ItemId),
    /// The answer is known.
    DoneScan(EventMask),
}

/// How a step of asking ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Polled {
    /// There is more to do.
    More,
    /// The inner epoll's `mtx` is held; nothing was changed.
    Blocked,
    /// What the file answers.
    Ready(EventMask),
}

impl NestedPolls {
    /// The scans hold their epolls' mutexes.
    pub(crate) fn held(&self, held: &mut Held) {
        for scan in self.0.iter().filter(|scan| scan.at != At::StartScan) {
            held.mutexes.push(scan.ep);
            held.scans.push(scan.ep);
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<O: Observer> Kernel<'_, O> {
    /// Asks about an item. An epoll file cannot answer at once: then `polls` has a scan to go on with.
    #[inline]
    pub(crate) fn ep_item_poll(
        &mut self,
        task: TaskId,
        id: ItemId,
        polls: &mut NestedPolls,
    ) -> Polled {
        let item = &self.m.items[id];
        let (file, interest) = (item.file, item.interest);
        // A file whose last reference is gone is about to take its items with it.
        if self.m.files[file].refs == 0 {
            return Polled::Ready(EventMask::empty());
        }
        let by = Poller {
            task,
            requested: interest,
        };
        match self.vfs_poll(file, by, polls) {
            Polled::Ready(mask) => Polled::Ready(self.answer(id, mask & interest)),
            more => more,
        }
    }

    /// Whether there is no asking the file yet, as it waits for work of the kernel's own in the middle of its poll
    /// method. Then the step has to be taken later, and nothing may have changed.
    #[inline]
    pub(crate) fn poll_waits(&self, file: FileId) -> bool {
        self.m.has_work() && self.m.files[file].kind.poll_waits(self.m)
    }

    /// Asks a file, of whatever kind.
    #[inline]
    pub(crate) fn vfs_poll(&mut self, file: FileId, by: Poller, polls: &mut NestedPolls) -> Polled {
        match self.m.files[file].epoll() {
            None => Polled::Ready(self.m.file_poll(file, by)),
            Some(ep) => {
                polls.0.push(NestedPoll {
                    ep,
                    at: At::StartScan,
                });
                Polled::More
            }
        }
    }

    /// Asks on. [`Polled::Ready`] is the answer of the epoll file that was asked first.
    pub(crate) fn nested_poll_step(&mut self, task: TaskId, polls: &mut NestedPolls) -> Polled {
        let depth = polls.0.len() - 1;
        let NestedPoll { ep, at } = polls.0[depth];
        let next = match at {
            At::StartScan => {
                if !self.mutex_lock(task, ep) {
                    return Polled::Blocked;
                }
                self.ep_start_scan(task, ep);
                At::PollItem
            }
            At::PollItem => match self.m.epolls[ep].txlist.first() {
                None => At::DoneScan(EventMask::empty()),
                Some(item) if self.poll_waits(self.m.items[item].file) => return Polled::Blocked,
                Some(item) => match self.ep_item_poll(task, item, polls) {
                    Polled::Ready(ready) => self.scan_on(item, ready),
                    _ => At::Inner(item),
                },
            },
            At::Inner(_) => unreachable!("the inner scan is on top of the stack"),
            At::DoneScan(mask) => {
                self.ep_done_scan(task, ep);
                self.mutex_unlock(ep);
                polls.0.pop();
                return self.answer_outer(mask, polls);
            }
        };
        polls.0[depth].at = next;
        Polled::More
    }

    /// Hands an inner epoll's answer to the scan that asked for it.
    fn answer_outer(&mut self, mask: EventMask, polls: &mut NestedPolls) -> Polled {
        let Some(outer) = polls.0.last_mut() else {
            return Polled::Ready(mask);
        };
        let At::Inner(item) = outer.at else {
            unreachable!("only a waiting scan has a scan on top")
        };
        let ready = mask & self.m.items[item].interest;
        self.answer(item, ready);
        let next = self.scan_on(item, ready);
        if let Some(outer) = polls.0.last_mut() {
            outer.at = next;
        }
        Polled::More
    }

    /// The first ready item answers for the epoll; one that is not ready leaves the list.
    fn scan_on(&mut self, item: ItemId, ready: EventMask) -> At {
        if ready.is_empty() {
            self.txlist_del(item);
            At::PollItem
        } else {
            At::DoneScan(EventMask::IN | EventMask::RDNORM)
        }
    }

    #[inline]
    pub(super) fn answer(&mut self, item: ItemId, ready: EventMask) -> EventMask {
        if self.m.variants.has(Variant::StateDiffEdges) {
            self.m.items_rest[item].seen = ready;
        }
        self.trace(|k| Trace::Poll {
            item: k.item_ref(item),
            ready,
        });
        ready
    }
}

impl Encode for NestedPolls {
    fn encode(&self, to: &mut Encoder<'_>) {
        let NestedPolls(scans) = self;
        scans.encode(to);
    }
}

impl Encode for NestedPoll {
    fn encode(&self, to: &mut Encoder<'_>) {
        let NestedPoll { ep, at } = self;
        ep.encode(to);
        match at {
            At::StartScan => to.byte(0),
            At::PollItem => to.byte(1),
            At::Inner(item) => {
                to.byte(2);
                item.encode(to);
            }
            At::DoneScan(mask) => {
                to.byte(3);
                mask.encode(to);
            }
        }
    }
}
