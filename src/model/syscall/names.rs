//! Calls that make names and take them away: mknod(2), mkdir(2), unlink(2), rmdir(2), rename(2).

use std::collections::BTreeMap;

use super::super::Kernel;
use super::super::fs::{self, Last, Node, Walked};
use super::open::refuse_mode;
use crate::abi::{Errno, Fd, InotifyMask, TaskId};
use crate::backend::LabError;
use crate::model::Machine;
use crate::model::arena::InodeId;
use crate::trace::Observer;

/// The sort of file in a mode (`S_IFMT`).
const FORMAT: u32 = 0o170_000;
const S_IFIFO: u32 = 0o010_000;
const S_IFREG: u32 = 0o100_000;
const S_IFDIR: u32 = 0o040_000;
const DEVICES: [u32; 3] = [0o020_000, 0o060_000, 0o140_000];

/// What these calls answer, where the model can tell.
type Told = Result<Result<i64, Errno>, LabError>;

impl Machine {
    /// Whether the directory still has a name: in one that was removed nothing can be made.
    pub(super) fn is_there(&self, directory: InodeId) -> bool {
        self.fs.root() == Some(directory) || self.fs.inode(directory).links > 0
    }
}

impl<O: Observer> Kernel<'_, O> {
    /// mknod(2)
    pub(super) fn mknodat(&mut self, task: TaskId, dirfd: Fd, path: &str, mode: u32) -> Told {
        let node = match mode & FORMAT {
            S_IFIFO => Node::Fifo(None),
            S_IFREG | 0 => Node::Regular(Vec::new()),
            S_IFDIR => return Ok(Err(Errno::EPERM)),
            format if DEVICES.contains(&format) => {
                return Err(LabError::new("the model makes no devices and no sockets"));
            }
            _ => return Ok(Err(Errno::EINVAL)),
        };
        refuse_mode(mode, 0o600)?;
        self.refuse_strange(task, dirfd, path)?;
        Ok(self.make_node(task, dirfd, path, node))
    }

    /// mkdir(2)
    pub(super) fn mkdir(&mut self, task: TaskId, path: &str, mode: u32) -> Told {
        refuse_mode(mode, 0o700)?;
        self.refuse_strange(task, Fd::AT_FDCWD, path)?;
        let node = Node::Directory(BTreeMap::new());
        Ok(self.make_node(task, Fd::AT_FDCWD, path, node))
    }

    fn refuse_strange(&self, task: TaskId, dirfd: Fd, path: &str) -> Result<(), LabError> {
        if path.starts_with('/') {
            return Err(LabError::new(
                "the model has names in the directory in which its programs run, and nowhere else",
            ));
        }
        fs::refuse_above(path)?;
        self.refuse_others(task)?;
        self.refuse_plain_directory(task, dirfd)
    }

    fn walk<'p>(&mut self, task: TaskId, dirfd: Fd, path: &'p str) -> Result<Walked<'p>, Errno> {
        fs::check_path(path)?;
        let from = self.path_from(task, dirfd)?;
        self.m.fs.walk(from, path)
    }

    /// `filename_create`, and what follows.
    fn make_node(&mut self, task: TaskId, dirfd: Fd, path: &str, node: Node) -> Result<i64, Errno> {
        let walked = self.walk(task, dirfd, path)?;
        let Last::Name { name, slash } = walked.last else {
            return Err(Errno::EEXIST);
        };
        let here = walked.through[walked.through.len() - 1];
        if self.m.fs.get(here, name).is_some() {
            return Err(Errno::EEXIST);
        }
        if (slash && !node.is_directory()) || !self.m.is_there(here) {
            return Err(Errno::ENOENT);
        }
        let inode = self.m.new_inode(node);
        self.m.fs.link(here, name, inode);
        self.fsnotify_name(here, name, InotifyMask::CREATE, inode);
        Ok(0)
    }

    /// inotify_add_watch(2)
    pub(super) fn inotify_add_watch(
        &mut self,
        task: TaskId,
        fd: Fd,
        path: &str,
        mask: InotifyMask,
    ) -> Told {
        let inotify = match self.check_add_watch(task, fd, mask) {
            Ok(inotify) => inotify,
            Err(errno) => return Ok(Err(errno)),
        };
        self.refuse_strange(task, Fd::AT_FDCWD, path)?;
        Ok(self
            .find_inode(task, path, mask)
            .and_then(|inode| self.inotify_update_watch(inotify, inode, mask)))
    }

    /// `inotify_find_inode`
    fn find_inode(
        &mut self,
        task: TaskId,
        path: &str,
        mask: InotifyMask,
    ) -> Result<InodeId, Errno> {
        let walked = self.walk(task, Fd::AT_FDCWD, path)?;
        let here = walked.through[walked.through.len() - 1];
        let (inode, slash) = match walked.last {
            Last::Name { name, slash } => (self.m.fs.get(here, name).ok_or(Errno::ENOENT)?, slash),
            Last::Dot => (here, false),
            Last::DotDot => (walked.through[walked.through.len() - 2], false),
        };
        let only_dir = slash || mask.contains(InotifyMask::ONLYDIR);
        if only_dir && !self.m.fs.inode(inode).node.is_directory() {
            return Err(Errno::ENOTDIR);
        }
        Ok(inode)
    }

    /// unlink(2)
    pub(super) fn unlink(&mut self, task: TaskId, path: &str) -> Told {
        self.refuse_strange(task, Fd::AT_FDCWD, path)?;
        Ok(self.do_unlink(task, path))
    }

    fn do_unlink(&mut self, task: TaskId, path: &str) -> Result<i64, Errno> {
        let walked = self.walk(task, Fd::AT_FDCWD, path)?;
        let Last::Name { name, slash } = walked.last else {
            return Err(Errno::EISDIR);
        };
        let here = walked.through[walked.through.len() - 1];
        let inode = self.m.fs.get(here, name).ok_or(Errno::ENOENT)?;
        match (self.m.fs.inode(inode).node.is_directory(), slash) {
            (true, _) => return Err(Errno::EISDIR),
            (false, true) => return Err(Errno::ENOTDIR),
            (false, false) => {}
        }
        self.m.fs.unlink(here, name);
        self.fsnotify_inode(inode, InotifyMask::ATTRIB);
        self.d_delete(here, name, inode);
        Ok(0)
    }

    /// rmdir(2)
    pub(super) fn rmdir(&mut self, task: TaskId, path: &str) -> Told {
        self.refuse_strange(task, Fd::AT_FDCWD, path)?;
        Ok(self.do_rmdir(task, path))
    }

    fn do_rmdir(&mut self, task: TaskId, path: &str) -> Result<i64, Errno> {
        let walked = self.walk(task, Fd::AT_FDCWD, path)?;
        let name = match walked.last {
            Last::Name { name, .. } => name,
            Last::Dot => return Err(Errno::EINVAL),
            Last::DotDot => return Err(Errno::ENOTEMPTY),
        };
        let here = walked.through[walked.through.len() - 1];
        let inode = self.m.fs.get(here, name).ok_or(Errno::ENOENT)?;
        if !self.m.fs.inode(inode).node.is_directory() {
            return Err(Errno::ENOTDIR);
        }
        if !self.m.fs.is_empty(inode) {
            return Err(Errno::ENOTEMPTY);
        }
        self.m.fs.unlink(here, name);
        self.d_delete(here, name, inode);
        Ok(0)
    }

    /// What follows when a name is gone (`d_delete_notify`).
    fn d_delete(&mut self, directory: InodeId, name: &str, inode: InodeId) {
        let is_dir = self.m.fs.inode(inode).node.is_directory();
        self.iput(inode);
        self.fsnotify_dirent(directory, name, InotifyMask::DELETE, is_dir);
    }

    /// rename(2)
    pub(super) fn rename(&mut self, task: TaskId, from: &str, to: &str) -> Told {
        self.refuse_strange(task, Fd::AT_FDCWD, from)?;
        self.refuse_strange(task, Fd::AT_FDCWD, to)?;
        Ok(self.do_rename(task, from, to))
    }

    /// `do_renameat2`, and `vfs_rename` from where it asks what the new name means.
    fn do_rename(&mut self, task: TaskId, from: &str, to: &str) -> Result<i64, Errno> {
        fs::check_path(to)?;
        let old = self.walk(task, Fd::AT_FDCWD, from)?;
        let new = self.walk(task, Fd::AT_FDCWD, to)?;
        let (
            Last::Name {
                name: from,
                slash: old_slash,
            },
            Last::Name {
                name: to,
                slash: new_slash,
            },
        ) = (old.last, new.last)
        else {
            return Err(Errno::EBUSY);
        };
        let here = old.through[old.through.len() - 1];
        let there = new.through[new.through.len() - 1];
        let moved = self.m.fs.get(here, from).ok_or(Errno::ENOENT)?;
        let target = self.m.fs.get(there, to);
        let is_directory = |inode: InodeId| self.m.fs.inode(inode).node.is_directory();
        if !is_directory(moved) && (old_slash || new_slash) {
            return Err(Errno::ENOTDIR);
        }
        if new.through.contains(&moved) {
            return Err(Errno::EINVAL);
        }
        if target.is_some_and(|target| old.through.contains(&target)) {
            return Err(Errno::ENOTEMPTY);
        }
        match target {
            Some(target) if target == moved => return Ok(0),
            Some(target) => match (is_directory(moved), is_directory(target)) {
                (true, false) => return Err(Errno::ENOTDIR),
                (false, true) => return Err(Errno::EISDIR),
                (true, true) if !self.m.fs.is_empty(target) => return Err(Errno::ENOTEMPTY),
                (true, true) | (false, false) => {}
            },
            None => {}
        }
        self.m.fs.unlink(there, to);
        self.m.fs.rename((here, from), (there, to));
        // `fsnotify_move`
        self.fsnotify_name(here, from, InotifyMask::MOVED_FROM, moved);
        self.fsnotify_name(there, to, InotifyMask::MOVED_TO, moved);
        if let Some(target) = target {
            self.fsnotify_inode(target, InotifyMask::ATTRIB);
        }
        self.fsnotify_inode(moved, InotifyMask::MOVE_SELF);
        if let Some(target) = target {
            self.iput(target);
        }
        Ok(0)
    }
}
