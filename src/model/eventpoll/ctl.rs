//! epoll_ctl(2): `ep_insert`, `ep_modify`, `ep_remove`.
//!
//! All of it happens under `ep->mtx`, so it waits for a running scan. The order of the checks is part of
//! the contract: when a call is wrong in two ways, programs see the first of them.

use super::epitem::{Epitem, EpitemRest, Fllink};
use super::item_poll::{NestedPolls, Polled};
use super::nesting::{LoopCheck, Looped};
use crate::abi::{Answer, CtlOp, EpollEvent, Errno, EventMask, Fd, Ptr, TaskId};
use crate::model::arena::{EpId, FileId, ItemId};
use crate::model::call::{Flow, Held, Steps};
use crate::model::encode::{Encode, Encoder, variant_is_number};
use crate::model::file::FileOps;
use crate::model::rbtree::Key;
use crate::model::wait_queue::{Nr, Wake, WakeFn, Walked, Walks};
use crate::model::{Footprint, Kernel, Machine, Resources, Variant};
use crate::trace::{Observer, Trace};

/// A call in flight.
#[derive(Clone, Debug)]
pub(crate) struct EpollCtl {
    ep: EpId,
    epfile: FileId,
    op: CtlOp,
    file: FileId,
    fd: Fd,
    event: EpollEvent,
    at: CtlAt,
    /// Whether and how far the nesting is being checked. It is there from when `epnested_mutex` is taken
    /// to when that is given back.
    nesting: Option<Box<LoopCheck>>,
    item: Option<ItemId>,
    ready: EventMask,
    polls: NestedPolls,
    walks: Walks,
    result: Result<(), Errno>,
}

/// The step at which it stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum CtlAt {
    /// About to take the mutex, look for the item, and insert or change it.
    LockFind,
    /// ADD that may make a nesting deeper: about to take the mutex that all such share.
    LockNested,
    /// ADD: on the way down through the epolls below.
    LoopCheck,
    /// ADD of an epoll: about to insert the item, for which nobody may work on that epoll.
    Insert,
    /// ADD: about to hook onto the file's wait queues (`ep_ptable_queue_proc`).
    Hook,
    /// ADD, MOD: about to ask the file (`ep_item_poll`).
    Poll,
    /// ADD, MOD: about to put a ready item on the list, under `ep->lock`.
    Queue,
    /// ADD, MOD: waking those who watch the epoll file (`ep_poll_safewake`); at the end `mutex_unlock`.
    PollWake,
    /// DEL: about to leave the file's wait queues (`ep_unregister_pollwait`).
    Unhook,
}

/// The bits that may stand beside `EPOLLEXCLUSIVE` (`EPOLLEXCLUSIVE_OK_BITS`).
const EXCLUSIVE_OK: EventMask = EventMask::IN
    .union(EventMask::OUT)
    .union(EventMask::ERR)
    .union(EventMask::HUP)
    .union(EventMask::WAKEUP)
    .union(EventMask::ET)
    .union(EventMask::EXCLUSIVE);

impl<O: Observer> Kernel<'_, O> {
    /// The checks that need no lock, in the kernel's order (`epoll_ctl`, `do_epoll_ctl`).
    #[inline]
    pub(crate) fn check_epoll_ctl(
        &self,
        task: TaskId,
        epfd: Fd,
        op: CtlOp,
        fd: Fd,
        event: Ptr<EpollEvent>,
    ) -> Result<Asked, Errno> {
        // The event is copied in before anything else is looked at, and for DEL never.
        let mut event = match event {
            Ptr::To(event) => event,
            Ptr::Addr(_) if op == CtlOp::DEL => EpollEvent::default(),
            Ptr::Addr(_) => return Err(Errno::EFAULT),
        };
        let epfile = self.m.fget(task, epfd).ok_or(Errno::EBADF)?;
        let file = self.m.fget(task, fd).ok_or(Errno::EBADF)?;
        let ep = self.m.files[epfile].epoll().filter(|_| file != epfile);
        if !self.m.files[file].kind.can_poll() {
            let first = self.m.variants.has(Variant::EinvalBeforeEperm) && ep.is_none();
            return Err(if first { Errno::EINVAL } else { Errno::EPERM });
        }
        if op != CtlOp::DEL {
            // No suspend to prevent here: as on a kernel built without CONFIG_PM_SLEEP.
            event.events -= EventMask::WAKEUP;
        }
        let ep = ep.ok_or(Errno::EINVAL)?;
        if op != CtlOp::DEL && event.events.contains(EventMask::EXCLUSIVE) {
            let nested = self.m.files[file].epoll().is_some();
            let others = !(event.events - EXCLUSIVE_OK).is_empty();
            if op == CtlOp::MOD || (op == CtlOp::ADD && (nested || others)) {
                return Err(Errno::EINVAL);
            }
        }
        Ok(Asked {
            ep,
            epfile,
            file,
            event,
        })
    }

    /// Step: under `ep->mtx`, find the item and do what needs no other lock.
    #[inline]
    fn ctl_lock_find(&mut self, task: TaskId, call: &mut EpollCtl) -> Flow {
        if !self.mutex_lock(task, call.ep) {
            return Flow::Blocked;
        }
        // Nesting may get too deep: asked before the item is looked for, so ELOOP beats EEXIST, and
        // without the mutex, as the question leads through other epolls.
        let ask = call.op == CtlOp::ADD && call.nesting.is_none();
        if ask && self.needs_full_check(task, call.ep, call.file) {
            self.mutex_unlock(call.ep);
            call.at = CtlAt::LockNested;
            return Flow::Next;
        }
        let key = Key::new(call.file, call.fd);
        let found = if call.op == CtlOp::DEL && self.errs(Variant::DelByFd) {
            self.m.find_by_fd(call.ep, call.fd)
        } else {
            self.m.epolls[call.ep].rbr.find(&self.m.rb, key)
        };
        let failed = match (call.op, found) {
            (CtlOp::ADD, None) => {
                if self.m.files[call.file].epoll().is_some() {
                    call.at = CtlAt::Insert;
                    return Flow::Next;
                }
                return self.ctl_insert(call);
            }
            (CtlOp::ADD, Some(item)) if self.errs(Variant::AddOverwrites) => {
                self.ep_modify(call, item);
                return Flow::Next;
            }
            (CtlOp::ADD, Some(_)) => Errno::EEXIST,
            (CtlOp::MOD, Some(item)) => {
                if !self.m.items[item].interest.contains(EventMask::EXCLUSIVE) {
                    self.ep_modify(call, item);
                    return Flow::Next;
                }
                Errno::EINVAL
            }
            (CtlOp::DEL, Some(item)) => {
                call.item = Some(item);
                call.at = CtlAt::Unhook;
                return Flow::Next;
            }
            (CtlOp::DEL | CtlOp::MOD, None) => Errno::ENOENT,
            _ => Errno::EINVAL,
        };
        call.result = Err(failed);
        self.ctl_done(call)
    }

    /// Step: `mutex_lock(&epnested_mutex)`. One at a time, lest two of them close a circle together.
    #[cold]
    fn ctl_lock_nested(&mut self, task: TaskId, call: &mut EpollCtl) -> Flow {
        if !self.nested_lock(task) {
            return Flow::Blocked;
        }
        let inner = self.m.files[call.file].epoll();
        call.nesting = Some(Box::new(LoopCheck::new(inner)));
        call.at = CtlAt::LoopCheck;
        Flow::Next
    }

    /// Step: one epoll further down (`ep_loop_check`).
    #[cold]
    fn ctl_loop_check(&mut self, task: TaskId, call: &mut EpollCtl) -> Flow {
        let Some(check) = &mut call.nesting else {
            unreachable!("the check has begun")
        };
        match self.ep_loop_check_step(task, call.ep, check) {
            Looped::Blocked => return Flow::Blocked,
            Looped::More => {}
            Looped::Fine => call.at = CtlAt::LockFind,
            Looped::TooDeep => {
                self.nested_unlock();
                return call.fail(Errno::ELOOP);
            }
        }
        Flow::Next
    }

    /// Step, for an epoll file: the same, once nobody works on the epoll that is to be watched
    /// (`ep_register_epitem`).
    #[cold]
    fn ctl_insert_nested(&mut self, call: &mut EpollCtl) -> Flow {
        let inner = self.m.files[call.file].epoll();
        if inner.is_some_and(|inner| self.m.epolls[inner].mtx.is_some()) {
            return Flow::Blocked;
        }
        self.ctl_insert(call)
    }

    #[inline]
    fn ctl_insert(&mut self, call: &mut EpollCtl) -> Flow {
        match self.ep_insert(call) {
            Ok(()) => Flow::Next,
            Err(errno) => {
                call.result = Err(errno);
                self.ctl_done(call)
            }
        }
    }

    /// The first half of `ep_insert`: quota, the item, its place in the tree and on its file.
    #[inline]
    fn ep_insert(&mut self, call: &mut EpollCtl) -> Result<(), Errno> {
        let user = self.m.epolls[call.ep].user;
        self.m.charge_watch(user)?;
        let interest = call.event.events | self.m.always_of_interest();
        let item = Epitem::new(call.ep, call.file, interest, call.event.data);
        let m = &mut *self.m;
        let id = m.items.insert(item);
        m.items_rest.put(id, EpitemRest::new(call.fd));
        m.files[call.file].f_ep.push_front(&mut m.items_rest, id);
        m.epolls[call.ep]
            .rbr
            .insert(&mut m.rb, id, Key::new(call.file, call.fd));
        if call.nesting.is_some() && self.reverse_path_check(call.file).is_err() {
            self.ep_remove(id);
            return Err(Errno::EINVAL);
        }
        self.trace(|k| Trace::Insert(k.item_ref(id)));
        call.item = Some(id);
        call.at = CtlAt::Hook;
        Ok(())
    }

    /// The first half of `ep_modify`: the new mask and data count from here on, also for an event that
    /// is queued already. Hooks are never touched.
    #[inline]
    fn ep_modify(&mut self, call: &mut EpollCtl, id: ItemId) {
        let interest = call.event.events | self.m.always_of_interest();
        let item = &mut self.m.items[id];
        item.interest = interest;
        item.data = call.event.data;
        self.trace(|k| Trace::Modify {
            item: k.item_ref(id),
            interest,
        });
        call.item = Some(id);
        call.at = CtlAt::Poll;
    }

    /// Step: one hook for each wait queue of the file (`ep_ptable_queue_proc`).
    #[inline]
    fn ctl_hook(&mut self, task: TaskId, call: &mut EpollCtl) -> Flow {
        let id = call.expect_item();
        let heads = self.m.poll_heads(call.file, task);
        if heads
            .iter()
            .flatten()
            .any(|head| self.walked_by_another(task, *head))
        {
            return Flow::Blocked;
        }
        let exclusive = self.m.items[id].interest.contains(EventMask::EXCLUSIVE)
            && !self.errs(Variant::IgnoreExclusive);
        for head in heads.into_iter().flatten() {
            let hook = self.add_wait_queue(head, WakeFn::EpPollCallback(id), exclusive);
            let older = self.m.items_rest[id].pwqlist.replace(hook);
            self.m.waits[hook].next_hook = older;
            self.trace(|k| {
                let queue = k.m.heads[head].label;
                Trace::Hook {
                    item: k.item_ref(id),
                    queue,
                    exclusive,
                }
            });
        }
        call.at = CtlAt::Poll;
        Flow::Next
    }

    /// Step: ask the file. Whatever was ready before counts as news to a new or changed item.
    #[inline]
    fn ctl_poll(&mut self, task: TaskId, call: &mut EpollCtl) -> Flow {
        let id = call.expect_item();
        let unasked = match call.op {
            CtlOp::ADD => self.errs(Variant::NoPollOnAdd),
            _ => self.errs(Variant::NoPollOnMod),
        };
        if !unasked && self.poll_waits(self.m.items[id].file) {
            return Flow::Blocked;
        }
        let polled = if unasked {
            Polled::Ready(EventMask::empty())
        } else if call.polls.is_empty() {
            self.ep_item_poll(task, id, &mut call.polls)
        } else {
            match self.nested_poll_step(task, &mut call.polls) {
                Polled::Ready(mask) => {
                    let ready = mask & self.m.items[id].interest;
                    Polled::Ready(self.answer(id, ready))
                }
                more => more,
            }
        };
        match polled {
            Polled::Blocked => return Flow::Blocked,
            Polled::More => {}
            Polled::Ready(ready) => {
                call.ready = ready;
                call.at = CtlAt::Queue;
            }
        }
        Flow::Next
    }

    /// Step: under `ep->lock`, a ready item that no callback has queued meanwhile goes to the tail of the
    /// list and wakes as a callback would.
    #[inline]
    fn ctl_queue(&mut self, call: &mut EpollCtl) -> Flow {
        let id = call.expect_item();
        if !call.ready.is_empty() && !self.m.items[id].linked {
            self.trace(|k| Trace::Ready(k.item_ref(id)));
            self.rdllist_add_tail(id);
            self.wake_one_waiter(call.ep);
            let poll_wait = self.m.epolls[call.ep].poll_wait;
            if !self.m.heads[poll_wait].entries.is_empty() {
                let wake = Wake {
                    head: poll_wait,
                    key: EventMask::IN,
                    nr: Nr::One,
                };
                self.wake_up(&mut call.walks, wake);
                call.at = CtlAt::PollWake;
                return Flow::Next;
            }
        }
        self.ctl_done(call)
    }

    fn ctl_done(&mut self, call: &EpollCtl) -> Flow {
        self.mutex_unlock(call.ep);
        if call.nesting.is_some() {
            self.nested_unlock();
        }
        Flow::Done
    }

    /// Step: off the file's wait queues, then off everything else (`ep_remove`). Nobody is woken.
    #[inline]
    fn ctl_unhook(&mut self, task: TaskId, call: &mut EpollCtl) -> Flow {
        let id = call.expect_item();
        if !self.ep_unregister_pollwait(task, id) {
            return Flow::Blocked;
        }
        self.ep_remove(id);
        self.ctl_done(call)
    }

    /// Takes the item's hooks off their queues, or `false` if one of these is being walked: then a
    /// callback may be under way, and the item has to stay until it is over.
    pub(crate) fn ep_unregister_pollwait(&mut self, task: TaskId, id: ItemId) -> bool {
        let hooks = std::iter::successors(self.m.items_rest[id].pwqlist, |hook| {
            self.m.waits[*hook].next_hook
        });
        let walked = |head| self.walked_by_another(task, head);
        if hooks
            .filter_map(|hook| self.m.waits[hook].whead)
            .any(walked)
        {
            return false;
        }
        while let Some(hook) = self.m.items_rest[id].pwqlist.take() {
            self.m.items_rest[id].pwqlist = self.m.waits[hook].next_hook;
            if let Some(head) = self.m.waits[hook].whead {
                self.trace(|k| Trace::Unhook {
                    item: k.item_ref(id),
                    queue: k.m.heads[head].label,
                });
            }
            self.remove_wait_entry(hook);
        }
        true
    }

    /// Takes an item without hooks off its file, its tree and the ready list, and frees it. A pending
    /// event vanishes with it.
    ///
    /// Preconditions: the caller holds `ep->mtx`, and no hook is left.
    pub(crate) fn ep_remove(&mut self, id: ItemId) {
        self.trace(|k| Trace::Remove(k.item_ref(id)));
        self.rdllist_del(id);
        let m = &mut *self.m;
        let item = &m.items[id];
        let (ep, file) = (item.ep, item.file);
        crate::model::list::List::<ItemId, Fllink>::remove(
            &mut m.files[file].f_ep,
            &mut m.items_rest,
            id,
        );
        m.epolls[ep].rbr.erase(&mut m.rb, id);
        let user = m.epolls[ep].user;
        m.items.remove(id);
        m.uncharge_watch(user);
    }
}

/// What a call's arguments lead to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked {
    ep: EpId,
    epfile: FileId,
    file: FileId,
    event: EpollEvent,
}

impl EpollCtl {
    #[inline]
    pub(crate) fn new(asked: Asked, op: CtlOp, fd: Fd) -> EpollCtl {
        let Asked {
            ep,
            epfile,
            file,
            event,
        } = asked;
        EpollCtl {
            ep,
            epfile,
            op,
            file,
            fd,
            event,
            at: CtlAt::LockFind,
            nesting: None,
            item: None,
            ready: EventMask::empty(),
            polls: NestedPolls::default(),
            walks: Walks::default(),
            result: Ok(()),
        }
    }

    fn fail(&mut self, errno: Errno) -> Flow {
        self.result = Err(errno);
        Flow::Done
    }

    /// Whether its check of the nesting has come by this epoll.
    pub(crate) fn has_visited(&self, ep: EpId) -> bool {
        self.nesting
            .as_ref()
            .is_some_and(|check| check.has_visited(ep))
    }

    /// The epoll is gone, and what its check knew of it.
    pub(super) fn forget_visit(&mut self, ep: EpId) {
        if let Some(check) = &mut self.nesting {
            check.forget_visit(ep);
        }
    }

    fn expect_item(&self) -> ItemId {
        self.item.expect("LockFind found or made the item")
    }
}

impl Steps for EpollCtl {
    #[inline]
    fn step<O: Observer>(&mut self, kernel: &mut Kernel<'_, O>, task: TaskId) -> Flow {
        match self.at {
            CtlAt::LockFind => kernel.ctl_lock_find(task, self),
            CtlAt::LockNested => kernel.ctl_lock_nested(task, self),
            CtlAt::LoopCheck => kernel.ctl_loop_check(task, self),
            CtlAt::Insert => kernel.ctl_insert_nested(self),
            CtlAt::Hook => kernel.ctl_hook(task, self),
            CtlAt::Poll => kernel.ctl_poll(task, self),
            CtlAt::Queue => kernel.ctl_queue(self),
            CtlAt::PollWake => match kernel.wake_step(task, &mut self.walks) {
                Walked::More => Flow::Next,
                Walked::Blocked => Flow::Blocked,
                Walked::Done => kernel.ctl_done(self),
            },
            CtlAt::Unhook => kernel.ctl_unhook(task, self),
        }
    }

    #[inline]
    fn answer(&mut self) -> Answer {
        match self.result {
            Ok(()) => Answer::ret(0),
            Err(errno) => Answer::err(errno),
        }
    }

    fn files(&self, files: &mut Vec<FileId>) {
        files.extend([self.epfile, self.file]);
    }

    fn held(&self, held: &mut Held) {
        let before = [CtlAt::LockFind, CtlAt::LockNested, CtlAt::LoopCheck];
        if !before.contains(&self.at) {
            held.mutexes.push(self.ep);
        }
        if let Some(check) = &self.nesting {
            check.held(held);
        }
        held.unhooked = self.item.filter(|_| self.at == CtlAt::Hook);
        self.polls.held(held);
        held.walks.extend(self.walks.iter());
    }

    fn footprint(&self, machine: &Machine, _: TaskId) -> Footprint {
        let mutex = Resources::mutex(self.ep);
        let ready_list = Resources::ready_list(self.ep);
        match self.at {
            CtlAt::LockFind if self.op == CtlOp::MOD => {
                Footprint::writes(mutex.with(ready_list)).may_end()
            }
            CtlAt::LockFind if self.op == CtlOp::DEL => Footprint::writes(mutex).may_end(),
            CtlAt::Poll if self.polls.is_empty() => machine.asking(self.file),
            CtlAt::Queue => {
                let watched = machine.epolls[self.ep].poll_wait;
                Footprint::writes(mutex.with(ready_list))
                    .and_reads(Resources::queue(watched))
                    .may_end()
            }
            // An ADD looks at every epoll around, and hooks tie files, items and queues together.
            CtlAt::LockFind
            | CtlAt::LockNested
            | CtlAt::LoopCheck
            | CtlAt::Insert
            | CtlAt::Hook
            | CtlAt::Poll
            | CtlAt::PollWake
            | CtlAt::Unhook => Footprint::EVERYTHING,
        }
    }

    fn at(&self) -> String {
        format!("do_epoll_ctl: {:?}", self.at)
    }
}

variant_is_number!(CtlAt);

impl Encode for EpollCtl {
    fn encode(&self, to: &mut Encoder<'_>) {
        let EpollCtl {
            ep: _, // that of the file
            epfile,
            op,
            file,
            fd,
            event,
            at,
            nesting,
            item,
            ready,
            polls,
            walks,
            result: _, // known at the end only
        } = self;
        at.encode(to);
        epfile.encode(to);
        file.encode(to);
        match nesting {
            None => to.none(),
            Some(check) => {
                to.byte(1);
                check.encode(to);
            }
        }
        match at {
            CtlAt::LockFind | CtlAt::LockNested | CtlAt::LoopCheck | CtlAt::Insert => {
                op.0.encode(to);
                fd.encode(to);
                event.encode(to);
            }
            CtlAt::Hook | CtlAt::Unhook => item.encode(to),
            CtlAt::Poll => {
                item.encode(to);
                polls.encode(to);
            }
            CtlAt::Queue => {
                item.encode(to);
                ready.encode(to);
            }
            CtlAt::PollWake => walks.encode(to),
        }
    }
}
