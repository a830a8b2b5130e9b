//! What is told to those who watch names (fs/notify/fsnotify.c, include/linux/fsnotify.h).
//!
//! There are three sorts of happenings. What is done to a name in a directory (`fsnotify_name`) is told to the
//! watches on the directory, with the name. What is done by way of an open file (`fsnotify_parent`) is told to
//! those on the directory that holds its name, with the name, and then to those on the file itself, without.
//! And what becomes of an inode (`fsnotify_inode`) is told to those on it alone.
//!
//! All of it happens at the end of the step that does it. Where a lock is in the way of a wake-up the step
//! is not taken.

use super::inotify::Watch;
use crate::abi::{InotifyMask, TaskId};
use crate::model::arena::{FileId, InodeId, InotifyId};
use crate::model::file::{Kind, Plain};
use crate::model::fs::Node;
use crate::model::{Kernel, Machine};
use crate::trace::Observer;

/// Happenings that reach the watches on the directory of a FIFO only if they are no reads and writes: these
/// concern the pipe.
const OF_DATA: InotifyMask = InotifyMask::ACCESS.union(InotifyMask::MODIFY);

impl Machine {
    /// Whether a step that does something to this file has to wait, because somebody would be told.
    #[inline]
    pub(crate) fn is_file_held_up(&self, task: TaskId, file: FileId) -> bool {
        self.files[file].f_inode.is_some() && self.is_event_held_up(task)
    }

    /// Whether there is anybody who could be told anything.
    pub(crate) fn has_watchers(&self) -> bool {
        !self.inotifies.live().is_empty()
    }

    fn is_dir(&self, inode: InodeId) -> InotifyMask {
        match self.fs.inode(inode).node {
            Node::Directory(_) => InotifyMask::ISDIR,
            Node::Regular(_) | Node::Fifo(_) => InotifyMask::empty(),
        }
    }
}

impl<O: Observer> Kernel<'_, O> {
    /// What was done to a name of a directory.
    pub(crate) fn fsnotify_name(
        &mut self,
        directory: InodeId,
        name: &str,
        mask: InotifyMask,
        inode: InodeId,
    ) {
        let is_dir = self.m.fs.inode(inode).node.is_directory();
        self.fsnotify_dirent(directory, name, mask, is_dir);
    }

    /// The same where the inode may be gone.
    pub(crate) fn fsnotify_dirent(
        &mut self,
        directory: InodeId,
        name: &str,
        mut mask: InotifyMask,
        is_dir: bool,
    ) {
        mask.set(InotifyMask::ISDIR, is_dir);
        for inotify in self.m.inotifies.live() {
            self.tell(inotify, directory, mask, name);
        }
    }

    /// What was done to an inode.
    pub(crate) fn fsnotify_inode(&mut self, inode: InodeId, mask: InotifyMask) {
        for inotify in self.m.inotifies.live() {
            self.tell(inotify, inode, mask, "");
        }
    }

    /// What was done by way of an open file.
    pub(crate) fn fsnotify_file(&mut self, file: FileId, mask: InotifyMask) {
        let file = &self.m.files[file];
        let Some(inode) = file.f_inode else { return };
        // A path is open, and nothing behind it.
        if matches!(file.kind, Kind::Plain(Plain::Path)) || !self.m.has_watchers() {
            return;
        }
        let node = self.m.fs.inode(inode);
        let gone = node.links == 0 && self.m.fs.root() != Some(inode);
        let special = matches!(node.node, Node::Fifo(_));
        let parent = node.dentry.clone();
        let mask = mask | self.m.is_dir(inode);
        for inotify in self.m.inotifies.live() {
            if let Some((directory, name)) = &parent
                && !(special && OF_DATA.intersects(mask))
                && !self.leaves_out(inotify, *directory, gone)
            {
                self.tell(inotify, *directory, mask, name);
            }
            if !self.leaves_out(inotify, inode, gone) {
                self.tell(inotify, inode, mask, "");
            }
        }
    }

    /// Whether a watch wants to hear nothing of what has no name any more (`IN_EXCL_UNLINK`).
    fn leaves_out(&self, inotify: InotifyId, inode: InodeId, gone: bool) -> bool {
        let watch = self.m.inotifies[inotify].watch_on(inode);
        gone && watch.is_some_and(|watch| watch.mask.contains(InotifyMask::EXCL_UNLINK))
    }

    /// `inotify_handle_inode_event`
    fn tell(&mut self, inotify: InotifyId, inode: InodeId, mask: InotifyMask, name: &str) {
        let Some(Watch {
            wd, mask: wanted, ..
        }) = self.m.inotifies[inotify].watch_on(inode)
        else {
            return;
        };
        if !wanted.intersects(mask & InotifyMask::ALL_EVENTS) {
            return;
        }
        let itself = InotifyMask::DELETE_SELF | InotifyMask::MOVE_SELF;
        let told = if mask.intersects(itself) {
            mask - InotifyMask::ISDIR
        } else {
            mask
        };
        self.queue_event(inotify, wd, told, name);
        if wanted.contains(InotifyMask::ONESHOT) {
            self.destroy_watch(inotify, wd);
        }
    }

    /// An inode has lost a name or an open file; the last of both takes it along, and its watches
    /// (`fsnotify_inoderemove`).
    pub(crate) fn iput(&mut self, inode: InodeId) {
        if !self.m.fs.is_unused(inode) {
            return;
        }
        self.fsnotify_inode(inode, InotifyMask::DELETE_SELF);
        for inotify in self.m.inotifies.live() {
            if let Some(Watch { wd, .. }) = self.m.inotifies[inotify].watch_on(inode) {
                self.destroy_watch(inotify, wd);
            }
        }
        self.m.fs.remove(inode);
    }

    /// A file is open: told after what was created, and before what was cut.
    pub(crate) fn fsnotify_open(&mut self, file: FileId, truncated: bool) {
        self.fsnotify_file(file, InotifyMask::OPEN);
        if truncated {
            self.fsnotify_file(file, InotifyMask::MODIFY);
        }
    }

    /// The last reference to a file is gone.
    pub(crate) fn fsnotify_close(&mut self, file: FileId) {
        let writable = self.m.files[file].flags.writable();
        self.fsnotify_file(
            file,
            if writable {
                InotifyMask::CLOSE_WRITE
            } else {
                InotifyMask::CLOSE_NOWRITE
            },
        );
    }
}
