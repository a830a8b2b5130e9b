//! Epolls that watch epolls: how deep, in which circles, and by how many paths (`ep_loop_check`,
//! `reverse_path_check`).
//!
//! A wake-up climbs from a file through every epoll above it, recursively and with locks held, so the
//! kernel bounds the climb when an edge is *added*. Both checks walk the whole graph around the new edge;
//! they happen only if one of its ends is part of a nesting at all.

use super::epitem::Fllink;
use crate::abi::Errno;
use crate::model::Kernel;
use crate::model::arena::{EpId, FileId, ItemId};
use crate::model::list::List;
use crate::trace::Observer;

/// The largest number of links from epoll to epoll in any chain (`EP_MAX_NESTS`).
const EP_MAX_NESTS: usize = 4;

/// How many wake-up paths of length 1 to 4 may lead up from one file (`path_limits`); a path that ends
/// at the epoll which watches the file, of length 0, is not limited.
const PATH_LIMITS: [u32; EP_MAX_NESTS] = [500, 100, 50, 10];

/// More paths than allowed, or longer ones.
#[derive(Debug)]
pub(super) struct TooManyPaths;

impl<O: Observer> Kernel<'_, O> {
    /// Whether adding `file` to `ep` can change anything about nesting.
    #[inline]
    pub(super) fn needs_full_check(&self, ep: EpId, file: FileId) -> bool {
        let watched = !self.m.files[self.m.epolls[ep].file].f_ep.is_empty();
        watched || self.m.files[file].epoll().is_some()
    }

    /// Would watching `target` from `ep` close a circle or make a chain too long? `Err(None)` if the
    /// mutex of an epoll on the way is held, so that the walk has to wait.
    pub(super) fn ep_loop_check(&self, ep: EpId, target: FileId) -> Result<(), Option<Errno>> {
        let Some(inner) = self.m.files[target].epoll() else {
            return Ok(());
        };
        let down = self.depth_below(inner, ep, 0)?;
        let up = self.height_above(ep, 0);
        if down + 1 + up > EP_MAX_NESTS {
            Err(Some(Errno::ELOOP))
        } else {
            Ok(())
        }
    }

    /// The longest chain of epolls below `ep` (`ep_loop_check_proc`), unless it meets `forbidden`.
    fn depth_below(&self, ep: EpId, forbidden: EpId, depth: usize) -> Result<usize, Option<Errno>> {
        if ep == forbidden || depth > EP_MAX_NESTS {
            return Err(Some(Errno::ELOOP));
        }
        let ep = &self.m.epolls[ep];
        if ep.mtx.is_some() {
            return Err(None);
        }
        let mut longest = 0;
        for item in ep.rbr.iter(&self.m.rb) {
            if let Some(inner) = self.m.files[self.m.items[item].file].epoll() {
                longest = longest.max(1 + self.depth_below(inner, forbidden, depth + 1)?);
            }
        }
        Ok(longest)
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
