//! Epolls that watch epolls: how deep, in which circles, and by how many paths (`ep_loop_check`,
//! `reverse_path_check`).
//!
//! A wake-up climbs from a file through every epoll above it, recursively and with locks held, so the
//! kernel bounds the climb when an edge is *added*. Both checks walk the whole graph around the new edge;
//! they happen only if one of its ends is part of a nesting at all. One such ADD is under way at a time
//! (`epnested_mutex`), and while it waits for a scan somewhere below, all others wait too.

use super::epitem::Fllink;
use crate::abi::TaskId;
use crate::model::arena::{EpId, FileId, ItemId};
use crate::model::call::{Call, Held};
use crate::model::encode::{Encode, Encoder, Number};
use crate::model::list::List;
use crate::model::{Kernel, Machine};
use crate::trace::Observer;

/// The largest number of links from epoll to epoll in any chain (`EP_MAX_NESTS`).
const EP_MAX_NESTS: usize = 4;

/// How many wake-up paths of length 1 to 4 may lead up from one file (`path_limits`); a path that ends
/// at the epoll which watches the file, of length 0, is not limited.
const PATH_LIMITS: [u32; EP_MAX_NESTS] = [500, 100, 50, 10];

/// The way down through the epolls below one that is about to be watched. The mutex of each is kept while
/// that of the next is waited for.
#[derive(Clone, Debug)]
pub(super) struct LoopCheck {
    /// The epolls on the way, the topmost first. All are locked but the last, which may not be yet.
    way: Vec<Visit>,
    /// What is known of those that were visited before (`gen`, `loop_check_depth`).
    depths: Vec<(EpId, usize)>,
}

/// An epoll on the way.
#[derive(Clone, Copy, Debug)]
struct Visit {
    ep: EpId,
    locked: bool,
    /// The item to look at next, once locked.
    next: Option<ItemId>,
    /// The longest chain found below it so far.
    deepest: usize,
}

/// How a step of the check ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Looped {
    /// There is more below.
    More,
    /// The mutex of an epoll on the way is held; nothing was changed.
    Blocked,
    /// No circle, and no chain too long.
    Fine,
    /// One or the other.
    TooDeep,
}

impl Visit {
    fn new(ep: EpId) -> Visit {
        Visit {
            ep,
            locked: false,
            next: None,
            deepest: 0,
        }
    }
}

impl LoopCheck {
    /// Of a file that is about to be watched, and the epoll behind it, if any.
    pub(super) fn new(inner: Option<EpId>) -> LoopCheck {
        LoopCheck {
            way: inner.map(Visit::new).into_iter().collect(),
            depths: Vec::new(),
        }
    }

    /// Whether it has been at this epoll, or is.
    pub(super) fn has_visited(&self, ep: EpId) -> bool {
        let mut before = self.depths.iter().map(|(visited, _)| *visited);
        let mut on_the_way = self.way.iter().filter(|visit| visit.locked);
        before.any(|visited| visited == ep) || on_the_way.any(|visit| visit.ep == ep)
    }

    /// What it knows of an epoll is part of that epoll, and goes with it. Those on the way cannot go: the
    /// mutex above them is held.
    pub(super) fn forget_visit(&mut self, ep: EpId) {
        self.depths.retain(|(visited, _)| *visited != ep);
    }

    pub(super) fn held(&self, held: &mut Held) {
        held.epnested_mutex = true;
        let locked = self.way.iter().filter(|visit| visit.locked);
        held.mutexes.extend(locked.map(|visit| visit.ep));
    }
}

impl Encode for LoopCheck {
    fn encode(&self, to: &mut Encoder<'_>) {
        let LoopCheck { way, depths } = self;
        way.encode(to);
        depths.len().encode(to);
        for (ep, depth) in depths {
            to.numbers([ep.number(to), depth.number(to)]);
        }
    }
}

impl Encode for Visit {
    fn encode(&self, to: &mut Encoder<'_>) {
        let Visit {
            ep,
            locked,
            next,
            deepest,
        } = self;
        to.numbers([
            ep.number(to),
            locked.number(to),
            next.number(to),
            deepest.number(to),
        ]);
    }
}

impl Machine {
    /// The epoll is about to be freed: a check that has come by it must not take the next one in its place
    /// for it.
    pub(super) fn forget_visit(&mut self, ep: EpId) {
        let owner = self.epnested_mutex;
        if let Some(Call::EpollCtl(call)) = owner.and_then(|it| self.task_mut(it).call.as_mut()) {
            call.forget_visit(ep);
        }
    }
}

/// More paths than allowed, or longer ones.
#[derive(Debug)]
pub(super) struct TooManyPaths;

impl<O: Observer> Kernel<'_, O> {
    /// Whether adding `file` to `ep` can change anything about nesting, or another check, of which this
    /// epoll is a part, goes on just now.
    #[inline]
    pub(super) fn needs_full_check(&self, task: TaskId, ep: EpId, file: FileId) -> bool {
        let watched = !self.m.files[self.m.epolls[ep].file].f_ep.is_empty();
        watched || self.m.files[file].epoll().is_some() || self.is_visited(task, ep)
    }

    /// `ep->gen == loop_check_gen`
    #[inline]
    fn is_visited(&self, task: TaskId, ep: EpId) -> bool {
        let Some(owner) = self.m.epnested_mutex.filter(|owner| *owner != task) else {
            return false;
        };
        match &self.m.task(owner).call {
            Some(Call::EpollCtl(call)) => call.has_visited(ep),
            _ => false,
        }
    }

    /// Takes `epnested_mutex`, unless another task has it.
    pub(super) fn nested_lock(&mut self, task: TaskId) -> bool {
        let free = self.m.epnested_mutex.is_none();
        if free {
            self.m.epnested_mutex = Some(task);
        }
        free
    }

    pub(super) fn nested_unlock(&mut self) {
        self.m.epnested_mutex = None;
    }

    /// Would watching it from `ep` close a circle or make a chain too long? One epoll further down.
    pub(super) fn ep_loop_check_step(
        &mut self,
        task: TaskId,
        ep: EpId,
        check: &mut LoopCheck,
    ) -> Looped {
        let Some(visit) = check.way.last_mut() else {
            // A file without epolls below it.
            return Looped::Fine;
        };
        if !visit.locked {
            if !self.mutex_lock(task, visit.ep) {
                return Looped::Blocked;
            }
            visit.locked = true;
            visit.next = self.m.epolls[visit.ep].rbr.first();
        }
        match self.depth_below(ep, check) {
            None => Looped::More,
            Some(down) if down + 1 + self.height_above(ep, 0) > EP_MAX_NESTS => Looped::TooDeep,
            Some(_) => Looped::Fine,
        }
    }

    /// Goes on to the next epoll whose mutex it needs, or to the end: the longest chain of epolls below
    /// the first one (`ep_loop_check_proc`), one too many if there is a way to `forbidden`.
    fn depth_below(&mut self, forbidden: EpId, check: &mut LoopCheck) -> Option<usize> {
        loop {
            let level = check.way.len();
            let visit = check.way.last_mut()?;
            let next = visit.next.filter(|_| visit.deepest <= EP_MAX_NESTS);
            let Some(item) = next else {
                // Everything below has been seen, or enough.
                let Visit { ep, deepest, .. } = *visit;
                self.mutex_unlock(ep);
                check.way.pop();
                check.depths.push((ep, deepest));
                match check.way.last_mut() {
                    None => return Some(deepest),
                    Some(above) => above.deepest = above.deepest.max(deepest + 1),
                }
                continue;
            };
            visit.next = self.m.rb.next(item);
            let Some(inner) = self.m.files[self.m.items[item].file].epoll() else {
                continue;
            };
            if inner == forbidden || level > EP_MAX_NESTS + 1 {
                visit.deepest = EP_MAX_NESTS + 1;
                continue;
            }
            // Where several ways meet, once is enough.
            let known = check.depths.iter().find(|(ep, _)| *ep == inner);
            match known {
                Some((_, depth)) => visit.deepest = visit.deepest.max(depth + 1),
                None => {
                    check.way.push(Visit::new(inner));
                    return None;
                }
            }
        }
    }

    /// The longest chain of epolls above `ep` (`ep_get_upwards_depth_proc`).
    fn height_above(&self, ep: EpId, height: usize) -> usize {
        if height > EP_MAX_NESTS {
            return height;
        }
        self.watchers(self.m.epolls[ep].file)
            .map(|outer| 1 + self.height_above(outer, height + 1))
            .max()
            .unwrap_or(0)
    }

    /// Whether every file that a wake-up could come from still has few enough paths to climb: `target`
    /// itself or, if it is an epoll, everything that is watched below it.
    ///
    /// Preconditions: the new item is in place.
    pub(super) fn reverse_path_check(&self, target: FileId) -> Result<(), TooManyPaths> {
        let mut sources = Vec::new();
        self.files_below(target, &mut sources);
        sources.sort_unstable();
        sources.dedup();
        for file in sources {
            let mut counts = [0; EP_MAX_NESTS];
            self.count_paths(file, 0, &mut counts)?;
        }
        Ok(())
    }

    fn files_below(&self, file: FileId, found: &mut Vec<FileId>) {
        match self.m.files[file].epoll() {
            Some(ep) => {
                for item in self.m.epolls[ep].rbr.iter(&self.m.rb) {
                    self.files_below(self.m.items[item].file, found);
                }
            }
            None => found.push(file),
        }
    }

    /// Counts the topmost epolls above `file` by the length of the path that leads to them.
    fn count_paths(
        &self,
        file: FileId,
        length: usize,
        counts: &mut [u32; EP_MAX_NESTS],
    ) -> Result<(), TooManyPaths> {
        if length > EP_MAX_NESTS {
            return Err(TooManyPaths);
        }
        for outer in self.watchers(file) {
            let outer_file = self.m.epolls[outer].file;
            if !self.m.files[outer_file].f_ep.is_empty() {
                self.count_paths(outer_file, length + 1, counts)?;
            } else if length > 0 {
                counts[length - 1] += 1;
                if counts[length - 1] > PATH_LIMITS[length - 1] {
                    return Err(TooManyPaths);
                }
            }
        }
        Ok(())
    }

    /// The epolls that watch a file, once for each item.
    fn watchers(&self, file: FileId) -> impl Iterator<Item = EpId> {
        let items: List<ItemId, Fllink> = self.m.files[file].f_ep;
        items
            .iter(&self.m.items_rest)
            .map(|item| self.m.items[item].ep)
    }
}
