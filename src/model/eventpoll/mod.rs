//! An epoll instance (`struct eventpoll`) and everything that happens to it.
//!
//! Four structures, four jobs:
//!
//! - the **tree** (`rbr`) knows every registration, by (file, number); only epoll_ctl(2) reads it;
//! - the **ready list** (`rdllist`) holds the items whose file *may* have something to report, oldest
//!   wake-up first. It is a hint: at delivery the file is asked again;
//! - the **overflow list** (`ovflist`) takes the items that are woken while a delivery works on the
//!   ready list without its lock;
//! - two **wait queues**: `wq` for tasks in epoll_wait(2), `poll_wait` for those who watch the epoll file
//!   itself.
//!
//! ```text
//!   write(2) ──► wait queue of the file ──► ep_poll_callback ──► rdllist ──► ep_send_events ──► user
//!                                             (callback.rs)        ▲          (send_events.rs)
//!                                                                  └── level-triggered: again ──┘
//! ```
//!
//! No event is ever stored. A wake-up moves an item onto a list, delivery asks the file what is true now,
//! and everything that people call edge- or level-triggered follows from whether the delivered item goes
//! back on the list.
//!
//! Two locks guard it. `mtx`, a mutex, is held by whoever changes the tree or works through the ready
//! list, across many steps. `lock`, a spinlock, guards the lists and `wq`; nothing that holds it lets
//! anything in between, so in the model it is the boundary of a step and needs no field.

mod callback;
mod ctl;
mod epitem;
mod fdinfo;
mod file;
mod item_poll;
mod nesting;
mod ovflist;
mod rdllist;
mod release;
mod send_events;
mod wait;

pub(crate) use ctl::EpollCtl;
pub(crate) use epitem::{Epitem, EpitemRest, Fllink, OvflistNext};
pub(crate) use fdinfo::FdinfoRead;
pub(crate) use item_poll::{NestedPolls, Polled};
pub(crate) use ovflist::Ovflist;
pub(crate) use rdllist::Rdllink;
pub(crate) use release::{EpClear, Unhooked};
pub(crate) use wait::{Deadline, EpollWait};

use super::arena::{EpId, FileId, HeadId, ItemId};
use super::encode::{Encode, Encoder, Number};
use super::list::List;
use super::rbtree::RbTree;
use super::wait_queue::WaitHead;
use super::{Kernel, Variant};
use crate::abi::{EpollParams, Fd, TaskId};
use crate::trace::{EpRef, ItemRef, Observer, QueueRef, Trace};

/// An epoll instance.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EventPoll {
    /// Who holds the mutex (`mtx`): it serialises scans, epoll_ctl(2), removal by close(2), fdinfo.
    pub(crate) mtx: Option<TaskId>,
    /// Every item (`rbr`). Guarded by `mtx`.
    pub(crate) rbr: RbTree,
    /// Items that may be ready (`rdllist`). Guarded by `lock`.
    pub(crate) rdllist: List<ItemId, Rdllink>,
    /// What a running scan has not yet looked at. In C a local variable of the scan, which only the
    /// holder of `mtx` can run; it stands here so that pictures can show it.
    pub(crate) txlist: List<ItemId, Rdllink>,
    /// Items woken during a scan (`ovflist`). Guarded by `lock`.
    pub(crate) ovflist: Ovflist,
    /// Tasks asleep in epoll_wait(2), the last to come first (`wq`). Guarded by `lock`.
    pub(crate) wq: HeadId,
    /// Those who poll the epoll file: outer epolls, poll(2), select(2) (`poll_wait`).
    pub(crate) poll_wait: HeadId,
    /// The file by which programs hold it (`file`). Never changes.
    pub(crate) file: FileId,
    /// The uid whose quota its items are charged to: that of its creator (`user`). Never changes.
    pub(crate) user: u32,
    /// Busy polling, which has no effect without a network device.
    pub(crate) params: EpollParams,
    /// What people call it; no part of the kernel's state.
    pub(crate) label: EpRef,
}

impl<O: Observer> Kernel<'_, O> {
    /// A new instance behind a new file (`ep_alloc`).
    pub(crate) fn ep_alloc(&mut self, user: u32, file: FileId, fd: Fd) -> EpId {
        let label = EpRef(fd);
        let wq = self.m.heads.insert(WaitHead::new(QueueRef::EpWq(label)));
        let poll_wait = self
            .m
            .heads
            .insert(WaitHead::new(QueueRef::EpPollWait(label)));
        self.m.epolls.insert(EventPoll {
            mtx: None,
            rbr: RbTree::default(),
            rdllist: List::EMPTY,
            txlist: List::EMPTY,
            ovflist: Ovflist::Closed,
            wq,
            poll_wait,
            file,
            user,
            params: EpollParams::default(),
            label,
        })
    }

    /// Whether epoll_wait(2) has a reason to look closer (`ep_events_available`): something is on the
    /// ready list, or a scan is running and may put something back.
    #[inline]
    pub(crate) fn events_available(&self, ep: EpId) -> bool {
        let EventPoll {
            rdllist, ovflist, ..
        } = &self.m.epolls[ep];
        let scanned = ovflist.is_open() && !self.m.variants.has(Variant::WithoutOvflist);
        !rdllist.is_empty() || scanned
    }

    /// Takes `ep->mtx`, unless another task has it. The caller answers `false` with `Flow::Blocked`.
    #[inline]
    pub(crate) fn mutex_lock(&mut self, task: TaskId, ep: EpId) -> bool {
        let mtx = &mut self.m.epolls[ep].mtx;
        if mtx.is_some() {
            if !self.m.task(task).stuck {
                self.trace(|k| Trace::MutexWait {
                    task,
                    ep: k.m.epolls[ep].label,
                });
            }
            return false;
        }
        *mtx = Some(task);
        true
    }

    #[inline]
    pub(crate) fn mutex_unlock(&mut self, ep: EpId) {
        self.m.epolls[ep].mtx = None;
    }

    /// An item's name for the trace.
    pub(crate) fn item_ref(&self, item: ItemId) -> ItemRef {
        ItemRef {
            ep: self.m.epolls[self.m.items[item].ep].label,
            tfd: self.m.items_rest[item].fd,
        }
    }
}

impl Encode for EventPoll {
    fn encode(&self, to: &mut Encoder<'_>) {
        let EventPoll {
            mtx,
            rbr: _, // every item that names this epoll
            rdllist,
            txlist,
            ovflist,
            wq,
            poll_wait,
            file: _, // the one whose part this is
            user,
            params,
            label: _,
        } = self;
        let machine = to.machine;
        // Hardly ever set.
        let params = Some(*params).filter(|params| *params != EpollParams::default());
        to.numbers([
            u64::from(params.is_some()) << 1 | u64::from(ovflist.is_open()),
            mtx.number(to),
            user.number(to),
        ]);
        if let Some(params) = params {
            params.encode(to);
        }
        to.list(rdllist.iter(&machine.items));
        // Without a scan there is no list that it works on either.
        if let Ovflist::Open(newest) = *ovflist {
            to.list(machine.ovflist(newest));
            to.list(txlist.iter(&machine.items));
        }
        to.queue(*wq);
        to.queue(*poll_wait);
    }
}
