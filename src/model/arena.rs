//! Where the model's objects live: vectors, addressed by small typed ids instead of pointers.
//!
//! The kernel allocates each object on its own and links them by address. Here an object's address is
//! its place in an [`Arena`], four bytes long, so that the whole machine is one plain value that can be
//! cloned, compared and hashed. Freed places are used again, last freed first, as a slab would.
//!
//! Ids never reach anything a program could see; equality of machines leaves them out.

use std::marker::PhantomData;
use std::num::NonZeroU32;
use std::ops::{Index, IndexMut};

/// A typed place in an [`Arena`].
pub(crate) trait Id: Copy + Eq {
    fn from_index(index: usize) -> Self;
    fn index(self) -> usize;
}

/// The number behind an id: a place plus one, so that `Option` of an id takes no more room.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct RawId(NonZeroU32);

impl RawId {
    #[inline]
    #[expect(
        clippy::as_conversions,
        reason = "an arena of 2^32 objects would not fit into memory"
    )]
    pub(crate) fn from_index(index: usize) -> RawId {
        RawId(NonZeroU32::MIN.saturating_add(index as u32))
    }

    #[inline]
    pub(crate) fn index(self) -> usize {
        self.number() - 1
    }

    /// The number itself, never 0.
    #[inline]
    #[expect(
        clippy::as_conversions,
        reason = "widening; `From` does not know usize has 32 bits"
    )]
    pub(crate) fn number(self) -> usize {
        self.0.get() as usize
    }
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
        pub(crate) struct $name(RawId);

        impl Id for $name {
            #[inline]
            fn from_index(index: usize) -> $name {
                $name(RawId::from_index(index))
            }

            #[inline]
            fn index(self) -> usize {
                self.0.index()
            }
        }
    )*};
}

ids! {
    /// An open file description (`struct file`).
    FileId;
    /// An epoll instance (`struct eventpoll`).
    EpId;
    /// A registration (`struct epitem`).
    ItemId;
    /// A pipe (`struct pipe_inode_info`).
    PipeId;
    /// The timer of a timerfd (`struct timerfd_ctx`).
    TimerFdId;
    /// A pair of terminals.
    PtyId;
    /// A Unix socket (`struct unix_sock`).
    UnixId;
    /// What a name leads to (`struct inode`).
    InodeId;
    /// A TCP socket (`struct tcp_sock`).
    TcpId;
    /// A UDP socket (`struct udp_sock`).
    UdpId;
    /// An inotify instance (`struct fsnotify_group`).
    InotifyId;
    /// The head of a wait queue (`struct wait_queue_head`).
    HeadId;
    /// An entry of a wait queue (`struct wait_queue_entry`).
    WaitId;
    /// A descriptor table (`struct files_struct`).
    TableId;
    /// A process: what its threads share.
    ProcId;
}

impl ItemId {
    /// Its number, never 0, for a vector whose first place is empty.
    #[inline]
    pub(crate) fn number(self) -> usize {
        self.0.number()
    }
}

/// Objects of one type, by id.
#[derive(Debug)]
pub(crate) struct Arena<I, T> {
    slots: Vec<T>,
    free: Vec<I>,
    ids: PhantomData<I>,
}

impl<I: Id, T> Arena<I, T> {
    pub(crate) const fn new() -> Arena<I, T> {
        Arena {
            slots: Vec::new(),
            free: Vec::new(),
            ids: PhantomData,
        }
    }

    /// Puts `value` into the place freed last, or into a new one.
    #[inline]
    pub(crate) fn insert(&mut self, value: T) -> I {
        if let Some(id) = self.free.pop() {
            self.slots[id.index()] = value;
            return id;
        }
        grow_by_a_quarter(&mut self.slots);
        self.slots.push(value);
        I::from_index(self.slots.len() - 1)
    }

    /// Gives the place of `id` back. What stands there stays until the place is used again.
    #[inline]
    pub(crate) fn remove(&mut self, id: I) {
        self.free.push(id);
    }

    /// How many objects are alive.
    pub(crate) fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// How many places there are, taken or free.
    #[inline]
    pub(crate) fn places(&self) -> usize {
        self.slots.len()
    }

    /// The objects that are alive.
    pub(crate) fn live(&self) -> Vec<I> {
        let mut is_free = vec![false; self.slots.len()];
        for id in &self.free {
            is_free[id.index()] = true;
        }
        let places = (0..self.slots.len()).filter(|place| !is_free[*place]);
        places.map(I::from_index).collect()
    }

    /// Memory in use and in reserve.
    pub(crate) fn bytes(&self) -> usize {
        self.slots.capacity() * size_of::<T>() + self.free.capacity() * size_of::<I>()
    }
}

/// More about the objects of an arena, by the same ids: what is looked at rarely, kept apart from what is
/// looked at often, so that more of the latter stays in the processor's caches.
#[derive(Debug)]
pub(crate) struct Beside<I, T> {
    slots: Vec<T>,
    ids: PhantomData<I>,
}

impl<I: Id, T> Beside<I, T> {
    pub(crate) const fn new() -> Beside<I, T> {
        Beside {
            slots: Vec::new(),
            ids: PhantomData,
        }
    }

    /// Of a new object. Ids are given out in order, so its place is there or the next.
    #[inline]
    pub(crate) fn put(&mut self, id: I, value: T) {
        if let Some(slot) = self.slots.get_mut(id.index()) {
            *slot = value;
            return;
        }
        debug_assert_eq!(self.slots.len(), id.index(), "as many as the arena has");
        grow_by_a_quarter(&mut self.slots);
        self.slots.push(value);
    }

    /// Memory in use and in reserve.
    pub(crate) fn bytes(&self) -> usize {
        self.slots.capacity() * size_of::<T>()
    }
}

/// Doubling would leave up to half of a million watches' memory unused; a quarter costs a few more
/// copies on the way there.
#[inline]
pub(crate) fn grow_by_a_quarter<T>(slots: &mut Vec<T>) {
    if slots.len() == slots.capacity() {
        slots.reserve_exact((slots.len() / 4).max(16));
    }
}

impl<I: Id, T> Index<I> for Arena<I, T> {
    type Output = T;

    #[inline]
    fn index(&self, id: I) -> &T {
        &self.slots[id.index()]
    }
}

impl<I: Id, T> IndexMut<I> for Arena<I, T> {
    #[inline]
    fn index_mut(&mut self, id: I) -> &mut T {
        &mut self.slots[id.index()]
    }
}

impl<I: Id, T> Index<I> for Beside<I, T> {
    type Output = T;

    #[inline]
    fn index(&self, id: I) -> &T {
        &self.slots[id.index()]
    }
}

impl<I: Id, T> IndexMut<I> for Beside<I, T> {
    #[inline]
    fn index_mut(&mut self, id: I) -> &mut T {
        &mut self.slots[id.index()]
    }
}

/// Written by hand for `clone_from`, which reuses the memory of the value it overwrites: an explorer
/// copies machines millions of times.
impl<I: Clone, T: Clone> Clone for Arena<I, T> {
    fn clone(&self) -> Arena<I, T> {
        Arena {
            slots: self.slots.clone(),
            free: self.free.clone(),
            ids: PhantomData,
        }
    }

    fn clone_from(&mut self, source: &Arena<I, T>) {
        self.slots.clone_from(&source.slots);
        self.free.clone_from(&source.free);
    }
}

/// As for the arena.
impl<I, T: Clone> Clone for Beside<I, T> {
    fn clone(&self) -> Beside<I, T> {
        Beside {
            slots: self.slots.clone(),
            ids: PhantomData,
        }
    }

    fn clone_from(&mut self, source: &Beside<I, T>) {
        self.slots.clone_from(&source.slots);
    }
}
