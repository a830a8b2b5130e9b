//! The ready list (`rdllist`): a queue of items that may have something to report.
//!
//! Being on it is a hint, not an event. An item joins at the tail when a wake-up passes its filter, and
//! leaves only when a scan looks at it, when it is deleted, or when its file goes. In particular it stays
//! where it is when its file stops being ready, and when it is woken again.

use crate::model::Kernel;
use crate::model::arena::ItemId;
use crate::trace::Observer;

/// The list that runs through `epi->rdllink`.
#[derive(Debug)]
pub(crate) enum Rdllink {}

impl<O: Observer> Kernel<'_, O> {
    /// To the tail of the ready list (`list_add_tail(&epi->rdllink, &ep->rdllist)`).
    ///
    /// Preconditions: it is not linked.
    #[inline]
    pub(super) fn rdllist_add_tail(&mut self, id: ItemId) {
        let item = &mut self.m.items[id];
        debug_assert!(!item.linked, "an item has one rdllink");
        item.linked = true;
        let ep = item.ep;
        self.m.epolls[ep].rdllist.push_back(&mut self.m.items, id);
    }

    /// To its head, where a scan's end puts what overflowed.
    ///
    /// Preconditions: it is not linked.
    #[inline]
    pub(super) fn rdllist_add_head(&mut self, id: ItemId) {
        let item = &mut self.m.items[id];
        debug_assert!(!item.linked, "an item has one rdllink");
        item.linked = true;
        let ep = item.ep;
        self.m.epolls[ep].rdllist.push_front(&mut self.m.items, id);
    }

    /// Off the ready list, if it is there (`list_del_init(&epi->rdllink)`).
    ///
    /// Preconditions: no scan is running.
    pub(crate) fn rdllist_del(&mut self, id: ItemId) {
        let item = &mut self.m.items[id];
        let ep = &mut self.m.epolls[item.ep];
        debug_assert!(
            !ep.ovflist.is_open(),
            "removal needs ep->mtx, which a scan would hold"
        );
        if std::mem::take(&mut item.linked) {
            ep.rdllist.remove(&mut self.m.items, id);
        }
    }

    /// Off the list of the running scan.
    ///
    /// Preconditions: it is on that list, and the caller's scan is the one that runs.
    #[inline]
    pub(crate) fn txlist_del(&mut self, id: ItemId) {
        let item = &mut self.m.items[id];
        item.linked = false;
        let ep = item.ep;
        self.m.epolls[ep].txlist.remove(&mut self.m.items, id);
    }

    /// Back to the front of the scan's list, after a fault.
    pub(super) fn txlist_add_head(&mut self, id: ItemId) {
        let item = &mut self.m.items[id];
        item.linked = true;
        let ep = item.ep;
        self.m.epolls[ep].txlist.push_front(&mut self.m.items, id);
    }
}
