//! The red-black tree of an epoll's interest list (`struct rb_root_cached rbr`, include/linux/rbtree.h
//! and lib/rbtree.c).
//!
//! epoll_ctl(2) must find the registration of a file and descriptor number among possibly a million.
//! A binary search tree does that in as many steps as it has levels; colouring the nodes keeps the
//! levels few. Four rules suffice:
//!
//! 1. The root is black.
//! 2. A red node has no red child.
//! 3. Every way from the root down to a missing child meets equally many black nodes.
//! 4. Of course: keys ascend from left to right.
//!
//! By 2 and 3 the longest way down is at most twice the shortest. Rule 3 is the one that hurts, and
//! everything below is about keeping it: a new node is red, because that cannot break it, and taking a
//! black node out leaves a [`Gap`], which is moved up until it can be filled.
//!
//! A node needs no memory of its own: it lies at the place of its item in [`RbNodes`], which the trees
//! of all epolls share. [`RbTree`] is two ids. [`RbTree::check`] says which rule is broken.
//!
//! A program cannot see the shape of the tree, and the order of delivery does not depend on it; the
//! order of the keys shows in `/proc/PID/fdinfo` and in kcmp(2).

use std::{hint, iter};

use super::arena::{FileId, Id, ItemId, grow_by_a_quarter};
use crate::abi::Fd;

/// What the tree is ordered by (`struct epoll_filefd`, `ep_cmp_ffd`): the file, then the number.
///
/// The kernel compares the addresses of its files, which nobody can predict; here it is their place in
/// the arena, which is as good. Registrations of one file are neighbours in both.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Key(u64);

impl Key {
    /// Preconditions: `fd` is open, hence not negative, so that it sorts as an unsigned number as it
    /// would as an int.
    #[inline]
    #[expect(
        clippy::as_conversions,
        reason = "widening; `From` does not know usize has 32 bits"
    )]
    pub(crate) fn new(file: FileId, fd: Fd) -> Key {
        debug_assert!(fd.0 >= 0, "a registered descriptor is not negative");
        Key((file.index() as u64) << 32 | u64::from(fd.0.cast_unsigned()))
    }

    #[cfg(test)]
    #[expect(clippy::as_conversions, reason = "the upper half was an index before")]
    fn file(self) -> FileId {
        FileId::from_index((self.0 >> 32) as usize)
    }

    #[cfg(test)]
    #[expect(
        clippy::as_conversions,
        reason = "the view of the lower half is the truncation"
    )]
    fn fd(self) -> Fd {
        Fd((self.0 as u32).cast_signed())
    }
}

/// One of the two directions down. Every case of the algorithm has a mirror image; with the side as a
/// value, each is written once.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Side {
    Left,
    Right,
}

impl Side {
    fn other(self) -> Side {
        match self {
            Side::Left => Side::Right,
            Side::Right => Side::Left,
        }
    }

    #[inline]
    fn index(self) -> usize {
        usize::from(self == Side::Right)
    }
}

/// A tree: where it starts (`struct rb_root_cached`). Guarded by its epoll's `mtx`.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct RbTree {
    /// `rb_root.rb_node`
    root: Option<ItemId>,
    /// `rb_leftmost`: the smallest key, so that a listing need not search for its start.
    leftmost: Option<ItemId>,
}

/// The nodes of all trees, by the id of their item (`struct epitem.rbn`).
///
/// The first place of both vectors stays empty, as no id has the number 0: a search need not subtract 1
/// on each level.
#[derive(Debug, Default)]
pub(crate) struct RbNodes {
    /// What a search reads.
    nodes: Vec<RbNode>,
    /// What only a change reads.
    ups: Vec<RbUp>,
}

/// The half of a `struct rb_node` that a search reads, with the key beside it.
///
/// Four of these share a cache line. The kernel's node has the parent in it and the key behind it;
/// with the parent in here, a search among 10,000 takes a quarter longer.
#[derive(Clone, Copy, Debug)]
struct RbNode {
    key: Key,
    /// `rb_left`, `rb_right`
    child: [Option<ItemId>; 2],
}

impl RbNode {
    /// Where to look for a key that is not this node's.
    #[inline]
    fn side_of(&self, key: Key) -> Side {
        if key > self.key {
            Side::Right
        } else {
            Side::Left
        }
    }

    /// The child on that side.
    ///
    /// It is selected and not branched to: the keys asked for follow no pattern, so a processor would
    /// guess wrong at every other level. And it is selected from two ids that have been read already:
    /// as an element of the array, only one would be read, after the comparison, and a search among
    /// 10,000 would take a fifth longer. The question whether there is any child makes sure of that.
    #[inline]
    fn child_towards(&self, key: Key) -> Option<ItemId> {
        let [left, right] = self.child;
        if left.is_none() && right.is_none() {
            return None;
        }
        hint::select_unpredictable(key > self.key, right, left)
    }
}

const _: () = assert!(size_of::<RbNode>() == 16, "four nodes a cache line");

/// The other half: `__rb_parent_color`, which packs both into one word.
#[derive(Clone, Copy, Debug)]
struct RbUp {
    parent: Option<ItemId>,
    red: bool,
}

/// Where a node hangs: below which, on which side.
#[derive(Clone, Copy)]
struct Link {
    parent: ItemId,
    side: Side,
}

/// A link below which every way down meets one black node too few.
type Gap = Link;

impl RbTree {
    /// The item with this key (`ep_find`).
    #[inline]
    pub(crate) fn find(&self, nodes: &RbNodes, key: Key) -> Option<ItemId> {
        let mut at = self.root;
        while let Some(id) = at {
            let node = nodes.node(id);
            if node.key == key {
                return Some(id);
            }
            at = node.child_towards(key);
        }
        None
    }

    /// Hangs `id` in as a leaf and restores the rules (`ep_rbtree_insert`, `rb_insert_color_cached`).
    ///
    /// Preconditions: `id` is in no tree, `key` is not in this one: epoll_ctl(2) has looked, and said
    /// `EEXIST`.
    pub(crate) fn insert(&mut self, nodes: &mut RbNodes, id: ItemId, key: Key) {
        let mut place = None;
        let mut at = self.root;
        while let Some(parent) = at {
            let node = nodes.node(parent);
            debug_assert_ne!(node.key, key, "the key is in the tree already");
            let side = node.side_of(key);
            place = Some(Link { parent, side });
            at = node.child_towards(key);
        }
        nodes.put_leaf(id, key);
        // The kernel remembers whether it ever went right; this is the same.
        if self.leftmost.is_none_or(|first| key < nodes.key(first)) {
            self.leftmost = Some(id);
        }
        self.hang(nodes, place, Some(id));
        self.restore_colours(nodes, id);
    }

    /// Takes `id` out and restores the rules (`rb_erase_cached`).
    ///
    /// A node with two children cannot simply leave. Its successor can, having no left child: it is
    /// lifted out and then put where `id` was, in `id`'s colour.
    ///
    /// Preconditions: `id` is in this tree.
    pub(crate) fn erase(&mut self, nodes: &mut RbNodes, id: ItemId) {
        if self.leftmost == Some(id) {
            self.leftmost = nodes.next(id);
        }
        let gap = match nodes.node(id).child {
            [Some(_), Some(right)] => {
                let successor = nodes.leftmost_below(right);
                let gap = self.lift(nodes, successor);
                self.stand_in(nodes, id, successor);
                // The gap may be right below the node that just left.
                gap.map(|gap| {
                    if gap.parent == id {
                        Gap {
                            parent: successor,
                            ..gap
                        }
                    } else {
                        gap
                    }
                })
            }
            _ => self.lift(nodes, id),
        };
        if let Some(gap) = gap {
            self.fill(nodes, gap);
        }
    }

    /// The item with the smallest key (`rb_first_cached`).
    pub(crate) fn first(&self) -> Option<ItemId> {
        self.leftmost
    }

    /// The items in order of their keys, as fdinfo lists them.
    pub(crate) fn iter(self, nodes: &RbNodes) -> impl Iterator<Item = ItemId> {
        iter::successors(self.leftmost, |id| nodes.next(*id))
    }

    /// Where a picture of the tree starts; [`RbNodes::child`] leads on.
    pub(crate) fn root(&self) -> Option<ItemId> {
        self.root
    }

    /// Says which rule is broken, and where.
    pub(crate) fn check(&self, nodes: &RbNodes) -> Result<(), String> {
        if let Some(root) = self.root {
            if nodes.is_red(root) {
                return Err(format!("the root {:?} is red", nodes.key(root)));
            }
            nodes.check_below(root, None, None..None)?;
        }
        let leftmost = self.root.map(|root| nodes.leftmost_below(root));
        if self.leftmost != leftmost {
            let [cached, real] = [self.leftmost, leftmost].map(|id| id.map(|id| nodes.key(id)));
            return Err(format!(
                "the cached leftmost is {cached:?} instead of {real:?}"
            ));
        }
        Ok(())
    }
}

/// Restoring the rules.
impl RbTree {
    /// `node` is red and so may have a red parent (`__rb_insert`). Its grandparent G is black then.
    fn restore_colours(&mut self, nodes: &mut RbNodes, mut node: ItemId) {
        loop {
            let Some(Link { parent, .. }) = nodes.link(node) else {
                nodes.paint(node, Colour::Black);
                return;
            };
            if !nodes.is_red(parent) {
                return;
            }
            let Link {
                parent: grandparent,
                side,
            } = nodes.link(parent).expect("the root is black");

            // The uncle U is red too: G can give its black to both. The question is then the same two
            // levels up. (Capitals are black, small letters red.)
            //
            //        G             g
            //       / \           / \
            //      p   u   --->  P   U
            //     /             /
            //    n             n
            if let Some(uncle) = nodes.child(grandparent, side.other())
                && nodes.is_red(uncle)
            {
                nodes.paint(parent, Colour::Black);
                nodes.paint(uncle, Colour::Black);
                nodes.paint(grandparent, Colour::Red);
                node = grandparent;
                continue;
            }

            // U is black or missing: rotate the red pair until one of it is on top. N must be the
            // outer grandchild for that, or it would stay below G.
            //
            //      G             G            P  or n, as `rotate` swaps
            //     / \           / \          / \
            //    p   U   --->  n   U  --->  n   g
            //     \           /                  \
            //      n         p                    U
            if nodes.child(parent, side.other()) == Some(node) {
                self.rotate(nodes, parent, side);
            }
            self.rotate(nodes, grandparent, side.other());
            return;
        }
    }

    /// One black node is missing on every way through `gap` (`____rb_erase_color`). Every way through
    /// the sibling S meets at least one, so S exists.
    fn fill(&mut self, nodes: &mut RbNodes, mut gap: Gap) {
        loop {
            let Gap { parent, side } = gap;
            let mut sibling = nodes.sibling(gap);

            // S is red: it cannot lend a black. After a rotation the gap has a red parent and a black
            // sibling, the former inner nephew.
            //
            //      P               S
            //     / \             / \
            //   gap  s    --->   p   B
            //       / \         / \
            //      A   B      gap  A
            if nodes.is_red(sibling) {
                self.rotate(nodes, parent, side);
                sibling = nodes.sibling(gap);
            }

            if !nodes.has_red_child(sibling, side.other()) {
                // No red nephew: S turns red, so that its side misses a black too. A red parent makes
                // up for both; below a black one the gap has moved up a level. Above the root there
                // is no other side that would have more.
                if !nodes.has_red_child(sibling, side) {
                    nodes.paint(sibling, Colour::Red);
                    if nodes.is_red(parent) {
                        nodes.paint(parent, Colour::Black);
                        return;
                    }
                    match nodes.link(parent) {
                        Some(above) => gap = above,
                        None => return,
                    }
                    continue;
                }
                // Only the inner nephew is red: make it the sibling, and S the red outer nephew.
                //
                //      P               P
                //     / \             / \
                //   gap  S    --->  gap  A
                //       / \               \
                //      a   B               s
                //                           \
                //                            B
                self.rotate(nodes, sibling, side.other());
            }

            // The outer nephew is red. P goes down as the black that was missing, S takes its place
            // and colour, and the nephew replaces the black that S was. (P may have either colour.)
            //
            //      P               S
            //     / \             / \
            //   gap  S    --->   P   B
            //       / \         / \
            //      a   b      gap  a
            let top = self.rotate(nodes, parent, side);
            let outer = nodes
                .child(top, side.other())
                .expect("the outer nephew is red");
            nodes.paint(outer, Colour::Black);
            return;
        }
    }

    /// Lets `top` sink to `side`. Its child on the other side rises into its place and is returned.
    /// The two swap their colours, as every case above wants it.
    ///
    /// ```text
    ///        top                rising
    ///       /   \    to the     /   \
    ///   rising   c   right    a     top
    ///    /  \        --->           /  \
    ///   a   mid                   mid   c
    /// ```
    ///
    /// Order is kept: a < rising < mid < top < c in both. So are the black nodes on each way down if
    /// `rising` was red.
    fn rotate(&mut self, nodes: &mut RbNodes, top: ItemId, side: Side) -> ItemId {
        let rising = nodes
            .child(top, side.other())
            .expect("only an existing child rises");
        let middle = nodes.child(rising, side);
        let place = nodes.link(top);
        self.hang(
            nodes,
            Some(Link {
                parent: top,
                side: side.other(),
            }),
            middle,
        );
        self.hang(nodes, place, Some(rising));
        self.hang(
            nodes,
            Some(Link {
                parent: rising,
                side,
            }),
            Some(top),
        );
        nodes.swap_colours(top, rising);
        rising
    }

    /// Takes out a node with at most one child, which follows into its place and colour. A child that
    /// is alone is red and its parent black, by rule 3; so there is a gap only if there is no child.
    fn lift(&mut self, nodes: &mut RbNodes, id: ItemId) -> Option<Gap> {
        let [left, right] = nodes.node(id).child;
        let child = left.or(right);
        let place = nodes.link(id);
        self.hang(nodes, place, child);
        match child {
            Some(child) => {
                nodes.swap_colours(id, child);
                None
            }
            None if nodes.is_red(id) => None,
            None => place,
        }
    }

    /// Puts `successor` where `id` is: below its parent, above its children, in its colour.
    fn stand_in(&mut self, nodes: &mut RbNodes, id: ItemId, successor: ItemId) {
        let place = nodes.link(id);
        self.hang(nodes, place, Some(successor));
        for side in [Side::Left, Side::Right] {
            let child = nodes.child(id, side);
            self.hang(
                nodes,
                Some(Link {
                    parent: successor,
                    side,
                }),
                child,
            );
        }
        nodes.swap_colours(id, successor);
    }

    /// Hangs `child` into `place`, or makes it the root where there is none: the link down and the
    /// link up.
    fn hang(&mut self, nodes: &mut RbNodes, place: Option<Link>, child: Option<ItemId>) {
        match place {
            Some(Link { parent, side }) => nodes.nodes[parent.number()].child[side.index()] = child,
            None => self.root = child,
        }
        if let Some(child) = child {
            nodes.ups[child.number()].parent = place.map(|place| place.parent);
        }
    }
}

/// What a picture shows.
impl RbNodes {
    /// Preconditions, here and below: `id` is in a tree.
    pub(crate) fn key(&self, id: ItemId) -> Key {
        self.node(id).key
    }

    pub(crate) fn child(&self, id: ItemId, side: Side) -> Option<ItemId> {
        self.node(id).child[side.index()]
    }

    pub(crate) fn is_red(&self, id: ItemId) -> bool {
        self.ups[id.number()].red
    }

    /// The item with the next greater key in the same tree (`rb_next`): the smallest on the right, or
    /// else the first one up that is not reached from its right.
    pub(crate) fn next(&self, id: ItemId) -> Option<ItemId> {
        if let Some(right) = self.child(id, Side::Right) {
            return Some(self.leftmost_below(right));
        }
        let mut below = id;
        while let Some(Link { parent, side }) = self.link(below) {
            if side == Side::Left {
                return Some(parent);
            }
            below = parent;
        }
        None
    }

    /// Memory in use and in reserve.
    pub(crate) fn bytes(&self) -> usize {
        self.nodes.capacity() * size_of::<RbNode>() + self.ups.capacity() * size_of::<RbUp>()
    }
}

#[derive(Clone, Copy)]
enum Colour {
    Red,
    Black,
}

/// What only the tree uses.
impl RbNodes {
    #[inline]
    fn node(&self, id: ItemId) -> &RbNode {
        &self.nodes[id.number()]
    }

    /// A red node without children and without a parent, at the place of its item.
    fn put_leaf(&mut self, id: ItemId, key: Key) {
        let node = RbNode {
            key,
            child: [None; 2],
        };
        let up = RbUp {
            parent: None,
            red: true,
        };
        // More than one is missing only if ids went to items that are in no tree yet.
        while self.nodes.len() <= id.number() {
            grow_by_a_quarter(&mut self.nodes);
            grow_by_a_quarter(&mut self.ups);
            self.nodes.push(node);
            self.ups.push(up);
        }
        self.nodes[id.number()] = node;
        self.ups[id.number()] = up;
    }

    /// Where a node hangs; nowhere if it is a root.
    fn link(&self, id: ItemId) -> Option<Link> {
        let parent = self.ups[id.number()].parent?;
        let is_right = self.child(parent, Side::Right) == Some(id);
        Some(Link {
            parent,
            side: if is_right { Side::Right } else { Side::Left },
        })
    }

    fn sibling(&self, gap: Gap) -> ItemId {
        self.child(gap.parent, gap.side.other())
            .expect("black nodes are there where none misses")
    }

    fn has_red_child(&self, id: ItemId, side: Side) -> bool {
        self.child(id, side).is_some_and(|child| self.is_red(child))
    }

    fn leftmost_below(&self, mut id: ItemId) -> ItemId {
        while let Some(left) = self.child(id, Side::Left) {
            id = left;
        }
        id
    }

    fn paint(&mut self, id: ItemId, colour: Colour) {
        self.ups[id.number()].red = matches!(colour, Colour::Red);
    }

    fn swap_colours(&mut self, a: ItemId, b: ItemId) {
        let a_was_red = self.is_red(a);
        self.ups[a.number()].red = self.is_red(b);
        self.ups[b.number()].red = a_was_red;
    }

    /// Checks the subtree of `id`, whose keys must lie between two others, and returns how many black
    /// nodes each way down meets. Parents are checked first: with them a circle ends the recursion.
    fn check_below(
        &self,
        id: ItemId,
        parent: Option<ItemId>,
        between: std::ops::Range<Option<Key>>,
    ) -> Result<usize, String> {
        let key = self.key(id);
        if self.ups[id.number()].parent != parent {
            return Err(format!("{key:?} does not know its parent"));
        }
        if between.start.is_some_and(|low| key <= low)
            || between.end.is_some_and(|high| key >= high)
        {
            return Err(format!(
                "{key:?} is out of order: it stands between {between:?}"
            ));
        }
        let mut blacks = [0; 2];
        for (side, between) in [
            (Side::Left, between.start..Some(key)),
            (Side::Right, Some(key)..between.end),
        ] {
            let Some(child) = self.child(id, side) else {
                continue;
            };
            if self.is_red(id) && self.is_red(child) {
                return Err(format!(
                    "red {key:?} has the red child {:?}",
                    self.key(child)
                ));
            }
            blacks[side.index()] = self.check_below(child, Some(id), between)?;
        }
        if blacks[0] != blacks[1] {
            return Err(format!(
                "{key:?} has black heights {} and {}",
                blacks[0], blacks[1]
            ));
        }
        Ok(blacks[0] + usize::from(!self.is_red(id)))
    }
}

/// Written by hand for `clone_from`, as for the arena.
impl Clone for RbNodes {
    fn clone(&self) -> RbNodes {
        RbNodes {
            nodes: self.nodes.clone(),
            ups: self.ups.clone(),
        }
    }

    fn clone_from(&mut self, source: &RbNodes) {
        self.nodes.clone_from(&source.nodes);
        self.ups.clone_from(&source.ups);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// The item that has this number as its id and as the descriptor in its key.
    fn item(number: i32) -> ItemId {
        ItemId::from_index(usize::try_from(number).expect("test numbers are not negative"))
    }

    fn key(number: i32) -> Key {
        Key::new(FileId::from_index(0), Fd(number))
    }

    #[derive(Default)]
    struct Forest {
        tree: RbTree,
        nodes: RbNodes,
    }

    impl Forest {
        fn of(numbers: impl IntoIterator<Item = i32>) -> Forest {
            let mut forest = Forest::default();
            for number in numbers {
                forest
                    .tree
                    .insert(&mut forest.nodes, item(number), key(number));
                forest.check();
            }
            forest
        }

        #[track_caller]
        fn erase(&mut self, number: i32) {
            self.tree.erase(&mut self.nodes, item(number));
            self.check();
        }

        #[track_caller]
        fn check(&self) {
            self.tree.check(&self.nodes).unwrap();
        }

        /// `4(2r(1 3) 5(- 6r))`: children in parentheses, red nodes marked.
        fn shape(&self) -> String {
            self.shape_below(self.tree.root())
        }

        fn shape_below(&self, at: Option<ItemId>) -> String {
            let Some(id) = at else { return "-".to_owned() };
            let fd = self.nodes.key(id).fd();
            let colour = if self.nodes.is_red(id) { "r" } else { "" };
            match [Side::Left, Side::Right].map(|side| self.nodes.child(id, side)) {
                [None, None] => format!("{fd}{colour}"),
                children => {
                    let [left, right] = children.map(|child| self.shape_below(child));
                    format!("{fd}{colour}({left} {right})")
                }
            }
        }

        #[track_caller]
        fn assert_check_finds(&self, damage: &str) {
            let found = self
                .tree
                .check(&self.nodes)
                .expect_err("the damage is seen");
            assert!(found.contains(damage), "{found:?} does not name {damage:?}");
        }
    }

    #[test]
    fn keys_ascend_by_file_and_then_by_number() {
        let key = |file, fd| Key::new(FileId::from_index(file), Fd(fd));
        assert!(key(0, i32::MAX) < key(1, 0));
        assert!(key(1, 4) < key(1, 5));
        assert_eq!(key(7, 5).file(), FileId::from_index(7));
        assert_eq!(key(7, 5).fd(), Fd(5));
    }

    #[test]
    fn insertion_recolours_below_a_red_uncle() {
        assert_eq!(Forest::of([2, 1, 3]).shape(), "2(1r 3r)");
        assert_eq!(Forest::of([2, 1, 3, 4]).shape(), "2(1 3(- 4r))");
    }

    #[test]
    fn insertion_rotates_once_on_the_outside_and_twice_on_the_inside() {
        for order in [[1, 2, 3], [3, 2, 1], [1, 3, 2], [3, 1, 2]] {
            assert_eq!(Forest::of(order).shape(), "2(1r 3r)", "{order:?}");
        }
    }

    #[test]
    fn insertion_climbs_two_levels_at_a_time() {
        assert_eq!(Forest::of(1..=7).shape(), "2(1 4r(3 6(5r 7r)))");
        assert_eq!(Forest::of(1..=8).shape(), "4(2r(1 3) 6r(5 7(- 8r)))");
    }

    #[test]
    fn a_lone_child_follows_its_parent() {
        let mut forest = Forest::of([2, 1, 3, 4]);
        forest.erase(3);
        assert_eq!(forest.shape(), "2(1 4)");
    }

    #[test]
    fn the_successor_stands_in_for_a_node_with_two_children() {
        let mut child = Forest::of([2, 1, 3]);
        child.erase(2);
        assert_eq!(child.shape(), "3(1r -)");

        let mut deep = Forest::of(1..=8);
        deep.erase(4);
        assert_eq!(deep.shape(), "5(2r(1 3) 7r(6 8))");
    }

    #[test]
    fn a_gap_is_filled_by_a_red_parent() {
        let mut forest = Forest::of(1..=8);
        forest.erase(1);
        assert_eq!(forest.shape(), "4(2(- 3r) 6r(5 7(- 8r)))");
    }

    #[test]
    fn a_gap_beside_a_red_sibling_is_rotated_below_a_red_parent() {
        let mut forest = Forest::of(1..=6);
        assert_eq!(forest.shape(), "2(1 4r(3 5(- 6r)))");
        forest.erase(1);
        assert_eq!(forest.shape(), "4(2(- 3r) 5(- 6r))");
    }

    #[test]
    fn a_gap_is_filled_from_a_red_nephew() {
        let mut outer = Forest::of([2, 1, 3, 4]);
        outer.erase(1);
        assert_eq!(outer.shape(), "3(2 4)");

        let mut inner = Forest::of([2, 1, 4, 3]);
        inner.erase(1);
        assert_eq!(inner.shape(), "3(2 4)");
    }

    #[test]
    fn a_gap_rises_to_the_root_and_vanishes() {
        let mut forest = Forest::of([2, 1, 3, 4]);
        forest.erase(4);
        assert_eq!(forest.shape(), "2(1 3)");
        forest.erase(3);
        assert_eq!(forest.shape(), "2(1r -)");
        forest.erase(2);
        forest.erase(1);
        assert_eq!(forest.shape(), "-");
        assert_eq!(forest.tree.first(), None);
    }

    #[test]
    fn check_finds_a_red_root() {
        let mut forest = Forest::of([1]);
        forest.nodes.paint(item(1), Colour::Red);
        forest.assert_check_finds("is red");
    }

    #[test]
    fn check_finds_a_red_child_of_a_red_node() {
        let mut forest = Forest::of(1..=4);
        forest.nodes.paint(item(3), Colour::Red);
        forest.assert_check_finds("has the red child");
    }

    #[test]
    fn check_finds_unequal_black_heights() {
        let mut forest = Forest::of(1..=4);
        forest.nodes.paint(item(4), Colour::Black);
        forest.assert_check_finds("black heights");
    }

    #[test]
    fn check_finds_a_wrong_parent() {
        let mut forest = Forest::of(1..=4);
        forest.nodes.ups[item(4).number()].parent = Some(item(1));
        forest.assert_check_finds("does not know its parent");
    }

    #[test]
    fn check_finds_a_circle() {
        let mut forest = Forest::of(1..=4);
        forest.nodes.nodes[item(4).number()].child[Side::Right.index()] = Some(item(2));
        forest.assert_check_finds("does not know its parent");
    }

    #[test]
    fn check_finds_a_key_out_of_order_even_below_the_right_parent() {
        let mut forest = Forest::of(1..=8);
        // Greater than its parent 2, but also than its grandparent 4.
        forest.nodes.nodes[item(3).number()].key = key(9);
        forest.assert_check_finds("out of order");
    }

    #[test]
    fn check_finds_a_stale_leftmost() {
        let mut forest = Forest::of(1..=4);
        forest.tree.leftmost = Some(item(2));
        forest.assert_check_finds("cached leftmost");
    }

    #[test]
    fn clone_from_makes_an_equal_tree() {
        let source = Forest::of(1..=8);
        let mut copy = Forest::of(1..=20);
        copy.nodes.clone_from(&source.nodes);
        copy.tree = source.tree;
        assert_eq!(copy.shape(), source.shape());
        copy.erase(4);
        source.check();
    }

    /// xorshift64*: enough chance for a test, and the same each time.
    struct Chance(u64);

    impl Chance {
        fn below(&mut self, bound: u64) -> u64 {
            self.0 ^= self.0 >> 12;
            self.0 ^= self.0 << 25;
            self.0 ^= self.0 >> 27;
            (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32) % bound
        }
    }

    /// A tree that shares its nodes with others, beside the map of the standard library.
    #[derive(Default)]
    struct Twin {
        tree: RbTree,
        map: BTreeMap<Key, ItemId>,
    }

    impl Twin {
        #[track_caller]
        fn compare(&self, nodes: &RbNodes) {
            self.tree.check(nodes).unwrap();
            assert_eq!(self.tree.first(), self.map.values().next().copied());
            assert!(self.tree.iter(nodes).eq(self.map.values().copied()));
        }
    }

    /// Two trees in one pool grow, keep their size, and are drained, with keys of few enough files
    /// that many are met again.
    #[test]
    fn random_changes_agree_with_the_map_of_the_standard_library() {
        for seed in [1, 0x5eed, 0x9e37_79b9_7f4a_7c15] {
            let mut chance = Chance(seed);
            let mut nodes = RbNodes::default();
            let mut twins = [Twin::default(), Twin::default()];
            let mut ids = (0..).map(ItemId::from_index);
            let mut free = Vec::new();
            // Of 100 changes, how many insert: small trees, then large ones, then the way down.
            for (insertions, changes) in [(50, 10_000), (80, 10_000), (50, 6_000), (0, 8_000)] {
                for change in 0..changes {
                    let twin = &mut twins[usize::from(chance.below(2) == 0)];
                    let file = FileId::from_index(usize::try_from(chance.below(500)).unwrap());
                    let key = Key::new(file, Fd(i32::try_from(chance.below(20)).unwrap()));
                    let known = twin.map.get(&key).copied();
                    assert_eq!(twin.tree.find(&nodes, key), known);
                    if chance.below(100) < insertions {
                        if known.is_none() {
                            let id = free.pop().or_else(|| ids.next()).expect("endless");
                            twin.tree.insert(&mut nodes, id, key);
                            twin.map.insert(key, id);
                        }
                    } else if let Some((&key, &id)) = twin
                        .map
                        .range(key..)
                        .next()
                        .or_else(|| twin.map.iter().next())
                    {
                        twin.tree.erase(&mut nodes, id);
                        twin.map.remove(&key);
                        free.push(id);
                    }
                    if twin.map.len() < 64 || change % 100 == 0 {
                        twin.compare(&nodes);
                    }
                }
                for twin in &twins {
                    twin.compare(&nodes);
                }
            }
            assert!(
                twins.iter().all(|twin| twin.map.is_empty()),
                "the last phase drains"
            );
        }
    }
}
