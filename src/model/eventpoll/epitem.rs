//! A registration (`struct epitem`): one file under one number, watched by one epoll.
//!
//! What "watched" means right now is the sum of three independent facts:
//!
//! ```text
//!   interest        linked to         on ovflist   a wake-up whose key fits ...
//!   ordinary bits   nothing           no           puts it at the tail of rdllist
//!   ordinary bits   rdllist, txlist   no           finds it queued and leaves it where it is
//!   any, scan runs  nothing, txlist   no           pushes it onto ovflist
//!   any, scan runs  any               yes          finds it there
//!   private only    any               no           is ignored: a one-shot that has fired
//! ```

use super::rdllist::Rdllink;
use crate::abi::{EventMask, Fd};
use crate::model::arena::{EpId, FileId, ItemId, WaitId};
use crate::model::encode::{Encode, Encoder, Number};
use crate::model::list::{Link, Node};
use crate::model::{Machine, Variant};

/// The list of all items that watch one file (`fllink` on `file->f_ep`).
#[derive(Debug)]
pub(crate) enum Fllink {}

/// A registration: as much of it as a wake-up and a scan look at. The rest is kept apart, so that more of
/// these stay in the processor's caches: a change among 10,000 takes 61 ns instead of 65, a wake-up 52
/// instead of 53.
#[derive(Clone, Copy, Debug)]
#[repr(align(32))]
pub(crate) struct Epitem {
    /// First half of the key: the open file description (`ffd.file`). Holds no reference to it.
    pub(crate) file: FileId,
    /// The epoll it belongs to (`ep`).
    pub(crate) ep: EpId,
    /// What is asked for (`event.events`): ordinary bits and private ones. Changed under `mtx`.
    pub(crate) interest: EventMask,
    /// The program's word (`event.data`). Changed under `mtx`.
    pub(crate) data: u64,
    /// Place on the ready list or on a scan's list (`rdllink`). Guarded by `ep->lock`.
    pub(super) rdllink: Link<ItemId>,
    /// Whether it is on either (`!list_empty(&epi->rdllink)`, `ep_is_linked`). Which of them follows:
    /// only the scan itself takes items off its list, and nobody takes any off the ready list meanwhile.
    pub(crate) linked: bool,
}

/// The rest of a registration.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EpitemRest {
    /// Second half of the key: the number given at `EPOLL_CTL_ADD` (`ffd.fd`).
    pub(crate) fd: Fd,
    /// Whether it is on the overflow list, and what comes after it there (`ovflist_next`).
    pub(crate) ovflist_next: OvflistNext,
    /// Place on the file's list of watchers (`fllink`). Guarded by the file's lock.
    fllink: Link<ItemId>,
    /// Its hooks on the file's wait queues, newest first (`pwqlist`).
    pub(crate) pwqlist: Option<WaitId>,
    /// What was true of the file when it was last looked at, for an epoll that compares
    /// ([`Variant::StateDiffEdges`]). Linux keeps no such thing.
    pub(crate) seen: EventMask,
}

/// An item's place on the overflow list (`EP_UNACTIVE_PTR` stands for "not on it" in C).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum OvflistNext {
    /// Not on the list.
    Off,
    /// On it, in front of this one.
    On(Option<ItemId>),
}

impl Epitem {
    /// The bits that ask for nothing (`EP_PRIVATE_BITS`): how to report, not what.
    pub(crate) const PRIVATE: EventMask = EventMask::EXCLUSIVE
        .union(EventMask::WAKEUP)
        .union(EventMask::ONESHOT)
        .union(EventMask::ET);

    pub(crate) fn new(ep: EpId, file: FileId, interest: EventMask, data: u64) -> Epitem {
        Epitem {
            file,
            ep,
            interest,
            data,
            rdllink: Link::UNLINKED,
            linked: false,
        }
    }
}

impl EpitemRest {
    pub(crate) fn new(fd: Fd) -> EpitemRest {
        EpitemRest {
            fd,
            ovflist_next: OvflistNext::Off,
            fllink: Link::UNLINKED,
            pwqlist: None,
            seen: EventMask::empty(),
        }
    }
}

impl Node<ItemId, Rdllink> for Epitem {
    #[inline]
    fn link(&self) -> &Link<ItemId> {
        &self.rdllink
    }

    #[inline]
    fn link_mut(&mut self) -> &mut Link<ItemId> {
        &mut self.rdllink
    }
}

impl Node<ItemId, Fllink> for EpitemRest {
    fn link(&self) -> &Link<ItemId> {
        &self.fllink
    }

    fn link_mut(&mut self) -> &mut Link<ItemId> {
        &mut self.fllink
    }
}

const _: () = assert!(size_of::<Epitem>() == 32, "two items a cache line");

impl Machine {
    /// What a later call could notice of an item.
    pub(crate) fn encode_item(&self, id: ItemId, to: &mut Encoder<'_>) {
        let Epitem {
            file,
            ep,
            interest,
            data,
            rdllink: _, // its epoll's lists
            linked: _,
        } = &self.items[id];
        let EpitemRest {
            fd,
            ovflist_next: _, // its epoll's list
            fllink: _,       // the order in which the file's items are written
            pwqlist: _,      // the queues' entries
            seen,
        } = &self.items_rest[id];
        to.numbers([
            file.number(to),
            ep.number(to),
            fd.number(to),
            interest.number(to),
            *data,
        ]);
        if to.machine.variants().has(Variant::StateDiffEdges) {
            seen.encode(to);
        }
    }
}
