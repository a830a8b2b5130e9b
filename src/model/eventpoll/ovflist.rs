//! The overflow list (`ovflist`), and the scan that opens and closes it.
//!
//! A scan works through the ready list with `ep->lock` dropped, because asking a file and storing to user
//! memory may take long. Wake-ups go on meanwhile and need somewhere to put their items, hence a third
//! state beside "empty" and "holds items":
//!
//! ```text
//!                  ep_start_scan                      ep_done_scan
//!   Closed ─────────────────────────► Open(None) ──────────────────► Closed
//!   (wake-ups go to rdllist)          Open(item) (wake-ups come here)
//! ```
//!
//! It is a stack: the last item woken stands first. The end of the scan undoes that, so programs see the
//! order of the wake-ups:
//!
//! ```text
//!   rdllist = [ what the scan did not get to ] [ what overflowed, oldest first ] [ level-triggered again ]
//! ```

use super::epitem::OvflistNext;
use super::rdllist::Rdllink;
use crate::abi::TaskId;
use crate::model::arena::{EpId, ItemId};
use crate::model::list::List;
use crate::model::{Kernel, Variant};
use crate::trace::{Observer, Trace};

/// The head of the list.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Ovflist {
    /// No scan is running (`EP_UNACTIVE_PTR`).
    Closed,
    /// A scan is running; the newest overflowed item, if any.
    Open(Option<ItemId>),
}

impl Ovflist {
    #[inline]
    pub(crate) fn is_open(self) -> bool {
        matches!(self, Ovflist::Open(_))
    }
}

impl<O: Observer> Kernel<'_, O> {
    /// Moves the whole ready list to the scan's private list and opens the overflow list.
    ///
    /// Preconditions: `task` holds `ep->mtx`.
    #[inline]
    pub(super) fn ep_start_scan(&mut self, task: TaskId, id: EpId) {
        let ep = &mut self.m.epolls[id];
        debug_assert_eq!(ep.mtx, Some(task), "a scan needs ep->mtx");
        debug_assert!(
            ep.txlist.is_empty() && !ep.ovflist.is_open(),
            "one scan at a time"
        );
        ep.txlist = std::mem::replace(&mut ep.rdllist, List::EMPTY);
        ep.ovflist = Ovflist::Open(None);
        if self.m.variants.has(Variant::SortByFd) {
            self.sort_txlist(id);
        }
        self.trace(|k| {
            let ep = &k.m.epolls[id];
            Trace::ScanStart {
                ep: ep.label,
                task,
                items: k.counted(ep.txlist),
            }
        });
    }

    /// Closes the overflow list, puts everything back in order, and wakes one more waiter if there is
    /// something left for it: the chained wake-up.
    ///
    /// Preconditions: `task` holds `ep->mtx` and its scan is running.
    pub(super) fn ep_done_scan(&mut self, task: TaskId, id: EpId) {
        debug_assert_eq!(self.m.epolls[id].mtx, Some(task), "a scan needs ep->mtx");
        let requeued = self.counted(self.m.epolls[id].rdllist);
        // Newest first, and each to the head: so the oldest ends up in front.
        let mut next = self.ovflist_close(id);
        while let Some(item) = next {
            let OvflistNext::On(after) =
                std::mem::replace(&mut self.m.items_rest[item].ovflist_next, OvflistNext::Off)
            else {
                unreachable!("what ovflist leads to is on ovflist");
            };
            // One that the scan has put on a list itself, as still level-triggered or as not yet looked
            // at, is where it belongs: the overflow adds no second place.
            if !self.m.items[item].linked {
                self.rdllist_add_head(item);
            }
            next = after;
        }
        let overflow = self.counted(self.m.epolls[id].rdllist) - requeued;
        let rest = std::mem::replace(&mut self.m.epolls[id].txlist, List::EMPTY);
        let left = self.counted(rest);
        if self.m.variants.has(Variant::RequeueAtHead) {
            let again = std::mem::replace(&mut self.m.epolls[id].rdllist, rest);
            self.m.epolls[id]
                .rdllist
                .splice_front(&mut self.m.items, again);
        } else {
            self.m.epolls[id]
                .rdllist
                .splice_front(&mut self.m.items, rest);
        }
        self.trace(|k| Trace::ScanDone {
            ep: k.m.epolls[id].label,
            left,
            overflow,
            requeued,
        });
        if !self.m.epolls[id].rdllist.is_empty() && !self.errs(Variant::NoChainedWake) {
            self.wake_one_waiter(id);
        }
    }

    /// The length of a list, if anybody wants to know.
    fn counted(&self, list: List<ItemId, Rdllink>) -> u32 {
        if O::ACTIVE {
            u32::try_from(list.iter(&self.m.items).count()).unwrap_or(u32::MAX)
        } else {
            0
        }
    }

    fn ovflist_close(&mut self, id: EpId) -> Option<ItemId> {
        match std::mem::replace(&mut self.m.epolls[id].ovflist, Ovflist::Closed) {
            Ovflist::Open(newest) => newest,
            Ovflist::Closed => unreachable!("a scan ends that has begun"),
        }
    }

    /// Pushes an item onto the open overflow list, unless it is there. Says whether it was new.
    pub(super) fn ovflist_push(&mut self, id: ItemId) -> bool {
        let item = &mut self.m.items_rest[id];
        let ep = &mut self.m.epolls[self.m.items[id].ep];
        let Ovflist::Open(newest) = ep.ovflist else {
            unreachable!("items overflow only during a scan");
        };
        if item.ovflist_next != OvflistNext::Off {
            return false;
        }
        item.ovflist_next = OvflistNext::On(newest);
        ep.ovflist = Ovflist::Open(Some(id));
        true
    }
}
