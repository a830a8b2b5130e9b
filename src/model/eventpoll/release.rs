//! The end of registrations that nobody asked for: the watched file goes (`eventpoll_release_file`), or
//! the epoll itself (`ep_clear_and_put`).
//!
//! An item holds no reference to its file, so it must be gone when the file is. Hence close(2) of a
//! watched file takes the mutex of every epoll that watches it, and waits for a scan as epoll_ctl(2) does.

use crate::abi::TaskId;
use crate::model::Kernel;
use crate::model::arena::{EpId, FileId, ItemId};
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

    /// Step: removes one item of an epoll that has lost its last reference.
    pub(crate) fn ep_clear(&mut self, task: TaskId, ep: EpId) -> Unhooked {
        match self.m.epolls[ep].rbr.first() {
            Some(item) => self.remove_under_mutex(task, item),
            None => Unhooked::NoneLeft,
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
}
