//! Names: the directory in which the programs of a scenario run, and what is in it.
//!
//! A file system as small as can be: directories, regular files and FIFOs, no links, no mounts, and nobody
//! is asked for permission. A name leads to an inode, and so does an open file; the inode goes when the last
//! of both has gone. So a FIFO goes on connecting those who have it open after its name is gone:
//!
//! ```text
//!   "fifo" ──► Inode ──► Pipe ◄── File (PipeEnd)
//!                ▲                  │ f_inode
//!                └──────────────────┘
//! ```
//!
//! A FIFO has a pipe only while somebody has it open (`i_pipe`): what is left in it when the last one
//! closes it is lost.
//!
//! Paths are walked from where they begin, and never lead above that: a lab knows no more of the machine.

use std::collections::BTreeMap;

use super::Machine;
use super::arena::{Arena, InodeId, PipeId};
use super::clone::clone_by_field;
use super::encode::{Encode, Encoder};
use crate::abi::Errno;
use crate::backend::LabError;

/// What a directory holds, by name.
type Entries = BTreeMap<Box<str>, InodeId>;

/// All names of the machine.
#[derive(Debug)]
pub(crate) struct Fs {
    inodes: Arena<InodeId, Inode>,
    /// The directory in which the programs run, once one of them has asked for a name.
    root: Option<InodeId>,
}

clone_by_field!(Fs { inodes, root });

/// What a name leads to (`struct inode`).
#[derive(Clone, Debug)]
pub(crate) struct Inode {
    pub(crate) node: Node,
    /// How many names it has (`i_nlink`).
    pub(crate) links: u32,
    /// How many open files there are of it.
    pub(crate) files: u32,
    /// Where its name stands, or stood when it had one (`d_parent`, `d_name`).
    pub(crate) dentry: Option<(InodeId, Box<str>)>,
    /// As fdinfo shows it.
    pub(crate) number: u32,
}

/// What sort of file it is, and what it holds.
#[derive(Clone, Debug)]
pub(crate) enum Node {
    /// Names of others.
    Directory(Entries),
    /// Bytes.
    Regular(Vec<u8>),
    /// The pipe that connects those who have it open, if anybody has (`i_pipe`).
    Fifo(Option<PipeId>),
}

impl Node {
    pub(crate) fn is_directory(&self) -> bool {
        matches!(self, Node::Directory(_))
    }
}

/// Where a path ends.
#[derive(Clone, Debug)]
pub(crate) struct Walked<'p> {
    /// The directories that it came through, the last of which is to hold the name.
    pub(crate) through: Vec<InodeId>,
    pub(crate) last: Last<'p>,
}

/// The last part of a path (`last_type`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Last<'p> {
    Name {
        name: &'p str,
        /// A slash behind it: it has to be a directory.
        slash: bool,
    },
    /// `.`
    Dot,
    /// `..`
    DotDot,
}

/// `NAME_MAX`
const NAME_MAX: usize = 255;
/// `PATH_MAX`, with the byte that ends it.
const PATH_MAX: usize = 4096;

/// Refuses what the model cannot know.
pub(crate) fn refuse_above(path: &str) -> Result<(), LabError> {
    let mut depth = 0_i32;
    let mut parts = path.split('/').filter(|part| !part.is_empty());
    let above = parts.any(|part| {
        depth += match part {
            "." => 0,
            ".." => -1,
            _ => 1,
        };
        depth < 0
    });
    if above {
        return Err(LabError::new(
            "the lab knows nothing above the directory in which its programs run",
        ));
    }
    Ok(())
}

/// What every call that takes a path asks first (`getname`).
pub(crate) fn check_path(path: &str) -> Result<(), Errno> {
    match path.len() {
        0 => Err(Errno::ENOENT),
        PATH_MAX.. => Err(Errno::ENAMETOOLONG),
        _ => Ok(()),
    }
}

impl Fs {
    pub(crate) const fn new() -> Fs {
        Fs {
            inodes: Arena::new(),
            root: None,
        }
    }

    pub(crate) fn arena(&self) -> &Arena<InodeId, Inode> {
        &self.inodes
    }

    pub(crate) fn inode(&self, inode: InodeId) -> &Inode {
        &self.inodes[inode]
    }

    pub(crate) fn inode_mut(&mut self, inode: InodeId) -> &mut Inode {
        &mut self.inodes[inode]
    }

    /// The directory in which the programs run, if anybody has asked for a name in it.
    pub(crate) fn root(&self) -> Option<InodeId> {
        self.root
    }

    /// What a name in a directory leads to.
    pub(crate) fn get(&self, directory: InodeId, name: &str) -> Option<InodeId> {
        self.entries(directory).ok()?.get(name).copied()
    }

    fn entries(&self, directory: InodeId) -> Result<&Entries, Errno> {
        match &self.inodes[directory].node {
            Node::Directory(entries) => Ok(entries),
            Node::Regular(_) | Node::Fifo(_) => Err(Errno::ENOTDIR),
        }
    }

    fn entries_mut(&mut self, directory: InodeId) -> &mut Entries {
        match &mut self.inodes[directory].node {
            Node::Directory(entries) => entries,
            Node::Regular(_) | Node::Fifo(_) => unreachable!("a walk ends in a directory"),
        }
    }

    /// Follows a path up to its last part (`link_path_walk`).
    ///
    /// Preconditions: it does not lead above its beginning.
    pub(crate) fn walk<'p>(&self, from: InodeId, path: &'p str) -> Result<Walked<'p>, Errno> {
        let mut through = vec![from];
        let mut parts = path.split('/').filter(|part| !part.is_empty()).peekable();
        while let Some(part) = parts.next() {
            let here = *through.last().expect("never above its beginning");
            let entries = self.entries(here)?;
            if part.len() > NAME_MAX {
                return Err(Errno::ENAMETOOLONG);
            }
            if parts.peek().is_none() {
                let last = match part {
                    "." => Last::Dot,
                    ".." => Last::DotDot,
                    name => Last::Name {
                        name,
                        slash: path.ends_with('/'),
                    },
                };
                return Ok(Walked { through, last });
            }
            match part {
                "." => {}
                ".." => drop(through.pop()),
                name => through.push(*entries.get(name).ok_or(Errno::ENOENT)?),
            }
        }
        unreachable!("a path that is not empty and begins with no slash has a part")
    }

    /// Gives an inode a name that is free (`d_instantiate`).
    pub(crate) fn link(&mut self, directory: InodeId, name: &str, inode: InodeId) {
        self.inodes[inode].links += 1;
        self.inodes[inode].dentry = Some((directory, name.into()));
        let before = self.entries_mut(directory).insert(name.into(), inode);
        debug_assert_eq!(before, None, "the name was free");
    }

    /// Takes a name away. Its inode goes with it if nobody has that open: see `iput`.
    pub(crate) fn unlink(&mut self, directory: InodeId, name: &str) {
        if let Some(inode) = self.entries_mut(directory).remove(name) {
            self.inodes[inode].links -= 1;
        }
    }

    /// Gives an inode another name, which is free (`d_move`).
    pub(crate) fn rename(&mut self, from: (InodeId, &str), to: (InodeId, &str)) {
        if let Some(inode) = self.entries_mut(from.0).remove(from.1) {
            self.entries_mut(to.0).insert(to.1.into(), inode);
            self.inodes[inode].dentry = Some((to.0, to.1.into()));
        }
    }

    /// Whether no name and no open file leads to it.
    pub(crate) fn is_unused(&self, id: InodeId) -> bool {
        let Inode { links, files, .. } = self.inodes[id];
        links == 0 && files == 0 && self.root != Some(id)
    }

    /// Frees an inode that is unused.
    pub(crate) fn remove(&mut self, id: InodeId) {
        self.inodes.remove(id);
        // Who is open yet and was in there has nobody to tell any more.
        for other in self.inodes.live() {
            let dentry = &mut self.inodes[other].dentry;
            if dentry.as_ref().is_some_and(|(parent, _)| *parent == id) {
                *dentry = None;
            }
        }
    }

    /// Whether it holds no names. What is no directory holds none.
    pub(crate) fn is_empty(&self, inode: InodeId) -> bool {
        self.entries(inode).is_ok_and(BTreeMap::is_empty)
    }
}

impl Machine {
    /// The directory in which the programs run.
    pub(crate) fn working_directory(&mut self) -> InodeId {
        match self.fs.root {
            Some(root) => root,
            None => {
                let root = self.new_inode(Node::Directory(Entries::new()));
                *self.fs.root.insert(root)
            }
        }
    }

    /// An inode that has no name yet.
    pub(crate) fn new_inode(&mut self, node: Node) -> InodeId {
        let number = self.next_inode();
        self.fs.inodes.insert(Inode {
            node,
            links: 0,
            files: 0,
            dentry: None,
            number,
        })
    }
}

impl Encode for Inode {
    fn encode(&self, to: &mut Encoder<'_>) {
        let Inode {
            node,
            links,    // the names that are written
            files: _, // the files that are written
            dentry,
            number: _,
        } = self;
        // Of one that has its name, it is written with the directory.
        if let (0, Some((parent, name))) = (links, dentry) {
            to.byte(4);
            to.bytes(name.as_bytes());
            to.inode(*parent);
        }
        match node {
            Node::Directory(entries) => {
                to.byte(0);
                for (name, inode) in entries {
                    to.bytes(name.as_bytes());
                    to.inode(*inode);
                }
                to.none();
            }
            Node::Regular(bytes) => {
                to.byte(1);
                to.bytes(bytes);
            }
            Node::Fifo(None) => to.byte(2),
            Node::Fifo(Some(pipe)) => {
                to.byte(3);
                to.pipe(0, *pipe);
            }
        }
    }
}
