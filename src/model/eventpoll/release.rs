//! The end of registrations that nobody asked for: the watched file goes (`eventpoll_release_file`), or
//! the epoll itself (`ep_clear_and_put`).
//!
//! An item holds no reference to its file, so it must be gone when the file is. Hence close(2) of a
//! watched file takes the mutex of every epoll that watches it, and waits for a scan as epoll_ctl(2) does.

use crate::abi::TaskId;
use crate::model::Kernel;
use crate::model::arena::{EpId, FileId, ItemId};
use crate::model::call::{Flow, Held};
use crate::model::encode::{Encode, Encoder};
use crate::trace::Observer;

/// How a step of releasing ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Unhooked {
    /// One item is gone.
    One,
    /// There was none left.
    NoneLeft,
    /// A mutex or a wait queue is in use; nothing was changed.
    Blocked,
}

impl<O: Observer> Kernel<'_, O> {
    /// Step: removes the newest registration of a file that has lost its last reference.
    pub(crate) fn eventpoll_release_file(&mut self, task: TaskId, file: FileId) -> Unhooked {
        match self.m.files[file].f_ep.first() {
            None => Unhooked::NoneLeft,
            Some(item) => self.remove_under_mutex(task, item),
        }
    }

    fn remove_under_mutex(&mut self, task: TaskId, item: ItemId) -> Unhooked {
        let ep = self.m.items[item].ep;
        if !self.mutex_lock(task, ep) {
            return Unhooked::Blocked;
        }
        let unhooked = self.ep_unregister_pollwait(task, item);
        if unhooked {
            self.ep_remove(item);
        }
        self.mutex_unlock(ep);
        if unhooked {
            Unhooked::One
        } else {
            Unhooked::Blocked
        }
    }

    /// Takes the next step of the end of an epoll that has lost its last reference.
    pub(crate) fn ep_clear_step(&mut self, task: TaskId, call: &mut EpClear) -> Flow {
        let EpClear { ep, at } = call;
        *at = match *at {
            ClearAt::Lock => {
                if !self.mutex_lock(task, *ep) {
                    return Flow::Blocked;
                }
                ClearAt::unhook_or_remove(self.m.epolls[*ep].rbr.first())
            }
            ClearAt::Unhook(item) => {
                if !self.ep_unregister_pollwait(task, item) {
                    return Flow::Blocked;
                }
                ClearAt::unhook_or_remove(self.m.rb.next(item))
            }
            ClearAt::Remove => match self.m.epolls[*ep].rbr.first() {
                Some(item) => {
                    self.ep_remove(item);
                    ClearAt::Remove
                }
                None => {
                    self.mutex_unlock(*ep);
                    return Flow::Done;
                }
            },
        };
        Flow::Next
    }
}

/// The end of an epoll (`ep_clear_and_put`): under its mutex from the first item to the last, and twice
/// through the tree, since only an item that no callback can reach any more may be freed.
///
/// Nobody can wait on it: whoever is in epoll_wait(2) holds a reference, and the epolls above it have let
/// go before. What others notice is that their close(2) of a watched file waits for the mutex, and that
/// the quota grows item by item.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct EpClear {
    ep: EpId,
    at: ClearAt,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum ClearAt {
    /// About to take the mutex.
    Lock,
    /// About to take this item off its file's wait queues.
    Unhook(ItemId),
    /// About to remove the first item that is left, or to give the mutex back.
    Remove,
}

impl ClearAt {
    fn unhook_or_remove(next: Option<ItemId>) -> ClearAt {
        next.map_or(ClearAt::Remove, ClearAt::Unhook)
    }
}

impl EpClear {
    pub(crate) fn new(ep: EpId) -> EpClear {
        let at = ClearAt::Lock;
        EpClear { ep, at }
    }

    pub(crate) fn held(&self, held: &mut Held) {
        if self.at != ClearAt::Lock {
            held.mutexes.push(self.ep);
            held.clears = Some(self.ep);
        }
    }

    /// The name of the step at which it stands.
    pub(crate) fn at(&self) -> String {
        let step = match self.at {
            ClearAt::Lock => "Lock",
            ClearAt::Unhook(_) => "Unhook",
            ClearAt::Remove => "Remove",
        };
        format!("ep_clear_and_put: {step}")
    }
}

impl Encode for EpClear {
    fn encode(&self, to: &mut Encoder<'_>) {
        let EpClear { ep, at } = self;
        ep.encode(to);
        match at {
            ClearAt::Lock => to.byte(0),
            ClearAt::Unhook(item) => {
                to.byte(1);
                item.encode(to);
            }
            ClearAt::Remove => to.byte(2),
        }
    }
}
