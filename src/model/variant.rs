//! Wrong epolls: the model with one or several mistakes that people make who write an epoll of their own.
//!
//! Every rule of eventpoll looks arbitrary until one sees what goes wrong without it. So each [`Variant`]
//! breaks one rule, in one place, and nothing else; a scenario that passes on Linux and fails on the variant
//! is the reason for the rule. Where a mistake was seen is said as of the time of writing, and mostly by
//! reading; it is no reproach, since nobody has got all of this right at once. A machine without variants
//! is the faithful model, and pays for them with one bit looked at where a rule is applied.
//!
//! ```
//! use epoll_lab::abi::{EpollEvent, EventMask};
//! use epoll_lab::backend::Thread;
//! use epoll_lab::model::{Model, Variant};
//!
//! let mut model = Model::new().with_variants(Variant::NoEdges.into());
//! let mut t = Thread::main(&mut model);
//! let ep = t.epoll_create1(Default::default()).unwrap();
//! let file = t.eventfd2(1, Default::default()).unwrap();
//! t.epoll_add(ep, file, EpollEvent::new(EventMask::IN | EventMask::ET, 7)).unwrap();
//! assert_eq!(t.epoll_wait(ep, 8, 0).unwrap().len(), 1);
//! assert_eq!(t.epoll_wait(ep, 8, 0).unwrap().len(), 1, "the edge again");
//! ```

use std::fmt;

use super::arena::{EpId, FileId, ItemId};
use super::eventpoll::EventPoll;
use super::file::Poller;
use super::list::List;
use super::{Kernel, Machine};
use crate::abi::{EventMask, Fd, TaskId};
use crate::trace::{Observer, Trace};

macro_rules! variants {
    ($($variant:ident $switch:literal {
        does $does:literal
        linux $linux:literal
        breaks $breaks:literal
        seen_in $seen_in:literal
    })*) => {
        /// One mistake.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        pub enum Variant {
            $(
                #[doc = concat!("`--", $switch, "`: ", $does, ".")]
                ///
                #[doc = concat!("Linux: ", $linux, ". Without that ", $breaks, ". Seen in ", $seen_in, ".")]
                $variant,
            )*
        }

        impl Variant {
            /// Every one, in the order in which they are listed.
            pub const ALL: &[Variant] = &[$(Variant::$variant),*];

            /// The option that switches it on, without the dashes.
            pub fn switch(self) -> &'static str {
                match self { $(Variant::$variant => $switch,)* }
            }

            /// What it does, as a clause.
            pub fn does(self) -> &'static str {
                match self { $(Variant::$variant => $does,)* }
            }

            /// What Linux does instead.
            pub fn linux(self) -> &'static str {
                match self { $(Variant::$variant => $linux,)* }
            }

            /// What programs suffer from it.
            pub fn breaks(self) -> &'static str {
                match self { $(Variant::$variant => $breaks,)* }
            }

            /// Where it was seen: an implementation, or the heads of its users.
            pub fn seen_in(self) -> &'static str {
                match self { $(Variant::$variant => $seen_in,)* }
            }
        }
    };
}

variants! {
    WithoutOvflist "without ovflist" {
        does "a wake-up that comes while a scan runs has nowhere to put its item and is lost"
        linux "keeps such items on a list of their own, and the scan's end puts them on the ready list"
        breaks "an edge that falls into somebody's delivery is never reported"
        seen_in "no program for long: NtyTcp, which has no such list, holds its lock over the whole delivery"
    }
    FifoWaiters "fifo-waiters" {
        does "a task that comes to wait stands behind those who wait already"
        linux "puts it in front, so the last to come, whose caches are warm, is the first to be woken"
        breaks "work is spread over all threads where Linux keeps a few busy"
        seen_in "Miri; the heads of most people"
    }
    StateDiffEdges "state-diff-edges" {
        does "an edge is a difference between what the file is and what it was"
        linux "takes every wake-up for an edge whose file is ready when it is asked"
        breaks "a program that leaves a rest in the file does not hear of what comes after it"
        seen_in "Shadow and Miri, with exceptions where tests found one missing; manuals that speak of changes"
    }
    EagerRemoval "eager-removal" {
        does "an item leaves the ready list as soon as its file stops being ready"
        linux "leaves it there until somebody looks, and finds it stale"
        breaks "a file that is drained and filled again loses its place in the order"
        seen_in "Miri, Shadow and epoll-shim"
    }
    NoRecheckBeforeSleep "no-recheck-before-sleep" {
        does "a task that found nothing goes to sleep without a second look"
        linux "looks once more under the lock that every wake-up takes, and only then stands on the queue"
        breaks "a wake-up between look and sleep is lost, and the task sleeps before a ready file"
        seen_in "waits that are made of a flag and a condition variable without its lock"
    }
    NoChainedWake "no-chained-wake" {
        does "who leaves something on the ready list wakes nobody for it"
        linux "wakes one more waiter at the end of every scan that leaves something"
        breaks "one of several waiters does all the work, or nobody if it dies"
        seen_in "Linux 5.5 to 5.12"
    }
    RequeueAtHead "requeue-at-head" {
        does "what is level-triggered goes to the front of the ready list once it is reported"
        linux "sends it to the tail, behind what was not yet reported"
        breaks "with a small array the same few files are reported for ever and the others starve"
        seen_in "StarryOS"
    }
    NoKeyFilter "no-key-filter" {
        does "a wake-up counts for every item of the file, whatever it was about"
        linux "drops one whose key has no bit of the interest"
        breaks "tasks are woken for nothing, and edges are reported that were none"
        seen_in "Miri and Emscripten"
    }
    ForgetErrHup "forget-err-hup" {
        does "errors and hang-ups are reported only to those who asked for them"
        linux "adds EPOLLERR and EPOLLHUP to every interest"
        breaks "a program that waits for input never learns that the other end is gone"
        seen_in "Shadow, which reports neither, and FreeBSD's Linux emulation, which knows no hang-up"
    }
    DelByFd "del-by-fd" {
        does "EPOLL_CTL_DEL looks for the number alone"
        linux "looks for the open file and the number"
        breaks "with a number that was used anew somebody else's registration goes"
        seen_in "tables keyed by descriptor, as NtyTcp and epoll-shim have them"
    }
    OneshotClearsFiredBits "oneshot-clears-fired-bits" {
        does "a one-shot loses the bits that it reported and keeps the others armed"
        linux "disarms the whole item until EPOLL_CTL_MOD"
        breaks "two threads have the same descriptor at once, one for input and one for output"
        seen_in "Shadow; F-Stack, as kqueue's filters fire one by one"
    }
    EinvalBeforeEperm "einval-before-eperm" {
        does "the first descriptor is asked whether it is an epoll before the second is looked at"
        linux "refuses a file that cannot be polled first"
        breaks "a call that is wrong in two ways fails with another error"
        seen_in "whatever checks its arguments from left to right"
    }
    NoPollOnAdd "no-poll-on-add" {
        does "EPOLL_CTL_ADD does not ask whether the file is ready already"
        linux "asks at once, and what is true counts as news"
        breaks "data that came before the registration is never reported"
        seen_in "NtyTcp"
    }
    NoPollOnMod "no-poll-on-mod" {
        does "EPOLL_CTL_MOD does not ask whether the file is ready"
        linux "asks, so a new interest in what is true already is served, and an edge comes again"
        breaks "a one-shot that is armed again after its data came sleeps for ever"
        seen_in "NtyTcp; StarryOS lost the queued event as well"
    }
    AddOverwrites "add-overwrites" {
        does "EPOLL_CTL_ADD of what is there already changes it"
        linux "fails with EEXIST"
        breaks "one part of a program silently takes over the registration of another"
        seen_in "F-Stack, as kqueue has one call for both"
    }
    CloseByFd "close-by-fd" {
        does "closing a number ends its registration, whoever else has the file open"
        linux "ends it when the open file goes, which other descriptors may keep"
        breaks "a duplicate in another process goes unreported; and programs that rely on it fail on Linux"
        seen_in "Emscripten and epoll-shim; the heads of most people"
    }
    IgnoreExclusive "ignore-exclusive" {
        does "EPOLLEXCLUSIVE is accepted and means nothing"
        linux "ends a wake-up at the first epoll with a waiter that could use it"
        breaks "every worker wakes up for every connection"
        seen_in "gVisor, Asterinas, Gramine and illumos"
    }
    WakeAllWaiters "wake-all-waiters" {
        does "a wake-up wakes every task that waits on the epoll"
        linux "wakes one"
        breaks "all but one run for nothing"
        seen_in "gVisor, Asterinas, DragonOS, StarryOS and illumos"
    }
    NoWakeIfQueued "no-wake-if-queued" {
        does "a wake-up that finds its item queued already tells nobody"
        linux "wakes a waiter and those who watch the epoll itself each time"
        breaks "an outer epoll misses the edges of an inner one that nobody has emptied"
        seen_in "gVisor, Shadow and StarryOS"
    }
    LifoReady "lifo-ready" {
        does "an item that becomes ready goes to the front of the ready list"
        linux "sends it to the tail, so the oldest is reported first"
        breaks "under load the file that waits longest waits on"
        seen_in "NtyTcp"
    }
    SortByFd "sort-by-fd" {
        does "events are reported in the order of their numbers"
        linux "reports them in the order in which they became ready"
        breaks "with a small array the high numbers starve"
        seen_in "illumos, which goes round from where it stopped; users of select(2)"
    }
    NoEdges "no-edges" {
        does "EPOLLET is accepted and means nothing"
        linux "takes such an item off the list once it is reported, until the next wake-up"
        breaks "a program that keeps what it cannot read yet spins"
        seen_in "OSv, wepoll; StarryOS for what stays readable"
    }
    NoLevels "no-levels" {
        does "every item is edge-triggered"
        linux "asks again next time unless EPOLLET says otherwise"
        breaks "what a program did not read at once is forgotten"
        seen_in "NtyTcp and Akaros"
    }
    ReportInterest "report-interest" {
        does "an event says what was asked for"
        linux "says what is true of it"
        breaks "a program writes to a full pipe because its input is ready"
        seen_in "NtyTcp"
    }
    FaultLosesEvents "fault-loses-events" {
        does "an event that cannot be stored is gone"
        linux "puts the item back where it was and reports it next time"
        breaks "one bad pointer costs an edge or a one-shot that nobody saw"
        seen_in "gVisor and Asterinas"
    }
    DropBeyondMaxevents "drop-beyond-maxevents" {
        does "what is ready but does not fit into the array is forgotten"
        linux "leaves it in front of the ready list"
        breaks "a busy server with a small array loses connections"
        seen_in "DragonOS"
    }
    VainWakeReturns "vain-wake-returns" {
        does "a task that was woken for nothing returns without events"
        linux "goes back to sleep for the rest of its time"
        breaks "a wait without end ends, and a program that counts on an event indexes an empty array"
        seen_in "ports to condition variables, which may wake up for nothing"
    }
}

impl Variant {
    /// Its place in [`Variants`].
    #[expect(clippy::as_conversions, reason = "the number of a variant")]
    const fn bit(self) -> u32 {
        1 << self as u32
    }
}

/// A set of mistakes; none by default.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub struct Variants(u32);

impl Variants {
    /// The faithful model.
    pub const NONE: Variants = Variants(0);

    /// Whether the mistake is one of them.
    #[inline(always)]
    pub const fn has(self, variant: Variant) -> bool {
        self.0 & variant.bit() != 0
    }

    /// With one more.
    #[must_use]
    pub const fn with(self, variant: Variant) -> Variants {
        Variants(self.0 | variant.bit())
    }

    /// Whether there is none.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// For the encoding of a machine.
    pub(super) fn number(self) -> u64 {
        u64::from(self.0)
    }

    /// Every one.
    pub fn iter(self) -> impl Iterator<Item = Variant> {
        let all = Variant::ALL.iter().copied();
        all.filter(move |variant| self.has(*variant))
    }
}

impl From<Variant> for Variants {
    fn from(variant: Variant) -> Variants {
        Variants::NONE.with(variant)
    }
}

impl FromIterator<Variant> for Variants {
    fn from_iter<T: IntoIterator<Item = Variant>>(variants: T) -> Variants {
        variants.into_iter().fold(Variants::NONE, Variants::with)
    }
}

/// As the option of the program: `--fifo-waiters`.
impl fmt::Display for Variant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "--{}", self.switch())
    }
}

/// As options of the program.
impl fmt::Display for Variants {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, variant) in self.iter().enumerate() {
            let space = if number > 0 { " " } else { "" };
            write!(f, "{space}{variant}")?;
        }
        Ok(())
    }
}

impl<O: Observer> Kernel<'_, O> {
    /// Whether this epoll makes a mistake here. The trace tells it where it happens.
    #[inline(always)]
    pub(super) fn errs(&mut self, variant: Variant) -> bool {
        let errs = self.m.variants.has(variant);
        if errs {
            self.trace(|_| Trace::Wrong(variant.switch()));
        }
        errs
    }

    /// A call has changed a file: for those that look at the state of files where Linux waits for wake-ups
    /// or for a scan.
    #[inline(always)]
    pub(super) fn file_changed(&mut self, file: FileId) {
        let variants = self.m.variants;
        if variants.has(Variant::StateDiffEdges) || variants.has(Variant::EagerRemoval) {
            self.compare_items(file);
        }
    }

    #[cold]
    fn compare_items(&mut self, file: FileId) {
        for id in self.watching(file) {
            let item = &self.m.items[id];
            let (ep, interest) = (item.ep, item.interest);
            let state = self.m.file_poll(file, Poller::nobody(interest)) & interest;
            self.m.items_rest[id].seen &= state;
            let in_scan = self.m.epolls[ep].ovflist.is_open();
            let on_list = self.m.items[id].linked && !in_scan;
            if on_list && state.is_empty() && self.errs(Variant::EagerRemoval) {
                self.rdllist_del(id);
            }
        }
    }

    /// For [`Variant::StateDiffEdges`]: whether a wake-up tells an edge-triggered item only what was true
    /// before.
    #[cold]
    pub(super) fn is_no_edge(&mut self, id: ItemId) -> bool {
        let item = &self.m.items[id];
        let (file, interest) = (item.file, item.interest);
        if !interest.contains(EventMask::ET) || self.m.files[file].epoll().is_some() {
            return false;
        }
        let state = self.m.file_poll(file, Poller::nobody(interest)) & interest;
        let seen = &mut self.m.items_rest[id].seen;
        let news = state - *seen;
        *seen |= state;
        news.is_empty() && self.errs(Variant::StateDiffEdges)
    }

    /// For [`Variant::CloseByFd`]: ends the registrations of a number that is being closed. One that
    /// somebody works on just now is left, as if there were no locks to wait for.
    #[cold]
    pub(super) fn close_by_fd(&mut self, task: TaskId, file: FileId, fd: Fd) {
        for id in self.watching(file) {
            let item = &self.m.items[id];
            let free = self.m.epolls[item.ep].mtx.is_none();
            if self.m.items_rest[id].fd == fd && free && self.ep_unregister_pollwait(task, id) {
                self.ep_remove(id);
            }
        }
    }

    fn watching(&self, file: FileId) -> Vec<ItemId> {
        let items: List<ItemId, super::eventpoll::Fllink> = self.m.files[file].f_ep;
        items.iter(&self.m.items_rest).collect()
    }

    /// For [`Variant::DropBeyondMaxevents`].
    #[cold]
    pub(super) fn forget_the_rest(&mut self, ep: EpId) {
        while let Some(item) = self.m.epolls[ep].txlist.first() {
            self.errs(Variant::DropBeyondMaxevents);
            self.txlist_del(item);
        }
    }

    /// For [`Variant::SortByFd`].
    #[cold]
    pub(super) fn sort_txlist(&mut self, id: EpId) {
        let EventPoll { txlist, .. } = &mut self.m.epolls[id];
        let mut items: Vec<ItemId> = txlist.iter(&self.m.items).collect();
        let by_fd = |item: &ItemId| self.m.items_rest[*item].fd.0;
        if items.is_sorted_by_key(by_fd) {
            return;
        }
        items.sort_by_key(by_fd);
        *txlist = List::EMPTY;
        for item in items {
            txlist.push_back(&mut self.m.items, item);
        }
        self.errs(Variant::SortByFd);
    }
}

impl Machine {
    /// For [`Variant::DelByFd`]: the first item, in the tree's order, that was added under this number.
    #[cold]
    pub(super) fn find_by_fd(&self, ep: EpId, fd: Fd) -> Option<ItemId> {
        let mut items = self.epolls[ep].rbr.iter(&self.rb);
        items.find(|item| self.items_rest[*item].fd == fd)
    }

    /// Makes it an epoll with these mistakes from here on.
    #[must_use]
    pub fn with_variants(mut self, variants: Variants) -> Machine {
        self.variants = variants;
        self
    }

    /// The mistakes that this epoll makes.
    pub fn variants(&self) -> Variants {
        self.variants
    }

    /// What every interest contains.
    #[inline]
    pub(super) fn always_of_interest(&self) -> EventMask {
        if self.variants.has(Variant::ForgetErrHup) {
            EventMask::empty()
        } else {
            EventMask::ERR | EventMask::HUP
        }
    }
}
