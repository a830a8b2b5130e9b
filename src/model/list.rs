//! Doubly linked lists whose links live in the nodes (`struct list_head`, `struct hlist_node`).
//!
//! A node stands on as many lists as it has links, and is taken off any of them without a search. The
//! marker type `M` says which of its links a list uses, so that two lists cannot be mixed up.

use std::fmt;
use std::marker::PhantomData;
use std::ops::IndexMut;

use super::arena::Id;

/// A node's place on one list. Whether it is on the list at all is for the node to know.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Link<I> {
    prev: Option<I>,
    next: Option<I>,
}

impl<I> Link<I> {
    pub(crate) const UNLINKED: Link<I> = Link {
        prev: None,
        next: None,
    };
}

/// Something that can stand on lists marked `M`.
pub(crate) trait Node<I, M> {
    fn link(&self) -> &Link<I>;
    fn link_mut(&mut self) -> &mut Link<I>;
}

/// Where the nodes of such lists live, by id.
pub(crate) trait Nodes<I, M>: IndexMut<I, Output: Node<I, M>> {}

impl<I, M, N: IndexMut<I, Output: Node<I, M>>> Nodes<I, M> for N {}

/// The head of a list.
pub(crate) struct List<I, M> {
    first: Option<I>,
    last: Option<I>,
    marker: PhantomData<M>,
}

impl<I: Id, M> List<I, M> {
    pub(crate) const EMPTY: List<I, M> = List {
        first: None,
        last: None,
        marker: PhantomData,
    };

    #[inline]
    pub(crate) fn first(&self) -> Option<I> {
        self.first
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    #[inline]
    pub(crate) fn push_back(&mut self, nodes: &mut impl Nodes<I, M>, id: I) {
        *nodes[id].link_mut() = Link {
            prev: self.last,
            next: None,
        };
        match self.last {
            Some(last) => nodes[last].link_mut().next = Some(id),
            None => self.first = Some(id),
        }
        self.last = Some(id);
    }

    #[inline]
    pub(crate) fn push_front(&mut self, nodes: &mut impl Nodes<I, M>, id: I) {
        *nodes[id].link_mut() = Link {
            prev: None,
            next: self.first,
        };
        match self.first {
            Some(first) => nodes[first].link_mut().prev = Some(id),
            None => self.last = Some(id),
        }
        self.first = Some(id);
    }

    #[inline]
    pub(crate) fn remove(&mut self, nodes: &mut impl Nodes<I, M>, id: I) {
        let Link { prev, next } = *nodes[id].link();
        match prev {
            Some(prev) => nodes[prev].link_mut().next = next,
            None => self.first = next,
        }
        match next {
            Some(next) => nodes[next].link_mut().prev = prev,
            None => self.last = prev,
        }
        *nodes[id].link_mut() = Link::UNLINKED;
    }

    /// Puts all of `front` before all of this list (`list_splice`).
    pub(crate) fn splice_front(&mut self, nodes: &mut impl Nodes<I, M>, front: List<I, M>) {
        let Some(last) = front.last else { return };
        nodes[last].link_mut().next = self.first;
        match self.first {
            Some(first) => nodes[first].link_mut().prev = Some(last),
            None => self.last = Some(last),
        }
        self.first = front.first;
    }

    /// From first to last.
    pub(crate) fn iter<'a, N: Nodes<I, M>>(
        &self,
        nodes: &'a N,
    ) -> impl Iterator<Item = I> + use<'a, I, M, N> {
        std::iter::successors(self.first, move |id| nodes[*id].link().next)
    }

    /// The node behind `id`.
    #[inline]
    pub(crate) fn next(nodes: &impl Nodes<I, M>, id: I) -> Option<I> {
        nodes[id].link().next
    }

    /// Every link agrees with its neighbours', from both ends.
    pub(crate) fn check(&self, nodes: &impl Nodes<I, M>) -> Result<(), String>
    where
        I: fmt::Debug,
    {
        let mut prev = None;
        for id in self.iter(nodes) {
            if nodes[id].link().prev != prev {
                return Err(format!("{id:?} does not point back at {prev:?}"));
            }
            prev = Some(id);
        }
        if self.last == prev {
            Ok(())
        } else {
            Err(format!("the list ends at {prev:?}"))
        }
    }
}

// By hand: deriving would ask for bounds on the marker.
impl<I: Copy, M> Clone for List<I, M> {
    fn clone(&self) -> List<I, M> {
        *self
    }
}

impl<I: Copy, M> Copy for List<I, M> {}

impl<I: fmt::Debug, M> fmt::Debug for List<I, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}..{:?}", self.first, self.last)
    }
}
