//! openat(2): from a path to an open file. The way into a FIFO may be long, see [`fifo`](crate::model::file).

use super::super::Kernel;
use super::super::call::{Flow, Held, Steps};
use super::super::encode::{Encode, Encoder, encode_option};
use super::super::file::{FifoOpen, File, FileOps, Kind, Plain, Regular};
use super::super::fs::{self, Last, Node};
use crate::abi::{Answer, Errno, Fd, InotifyMask, OpenFlags, TaskId};
use crate::backend::LabError;
use crate::model::arena::{FileId, InodeId, PipeId};
use crate::trace::{FileRef, Observer};

/// The call in flight.
#[derive(Clone, Debug)]
pub(crate) struct Open {
    dirfd: Fd,
    path: Box<str>,
    flags: OpenFlags,
    /// What is left once the path has been followed, and the number that is set aside for the file.
    fifo: Option<(Fd, FifoOpen)>,
    /// A file that was opened and is not wanted after all.
    dropped: Vec<FileId>,
    result: Result<Fd, Errno>,
}

/// Where a path leads.
enum Target {
    Plain(Plain),
    Inode(InodeId),
    /// The way to a new pty.
    Ptmx,
    /// A pipe without a name, by way of a descriptor that is open on it.
    Pipe(PipeId),
}

/// Whoever opens it gets a pty of its own.
const PTMX: &str = "/dev/ptmx";

const PROC_SELF_FD: &str = "/proc/self/fd/";

/// Flags that are of no interest once the file is open.
const CREATION: OpenFlags = OpenFlags::CREAT
    .union(OpenFlags::EXCL)
    .union(OpenFlags::NOCTTY)
    .union(OpenFlags::TRUNC)
    .union(OpenFlags::CLOEXEC);

impl Open {
    fn new(dirfd: Fd, path: Box<str>, flags: OpenFlags) -> Open {
        Open {
            dirfd,
            path,
            flags,
            fifo: None,
            dropped: Vec::new(),
            result: Ok(dirfd),
        }
    }

    /// The same call as it was made.
    pub(crate) fn rewound(self) -> Open {
        Open::new(self.dirfd, self.path, self.flags)
    }

    fn end(&mut self, result: Result<Fd, Errno>) -> Flow {
        self.result = result;
        Flow::Done
    }
}

impl<O: Observer> Kernel<'_, O> {
    /// openat(2)
    pub(super) fn begin_openat(
        &self,
        task: TaskId,
        dirfd: Fd,
        path: Box<str>,
        flags: OpenFlags,
        mode: u32,
    ) -> Result<Open, LabError> {
        let absolute = path.starts_with('/');
        let reopened = path.strip_prefix(PROC_SELF_FD);
        let reopened = reopened.and_then(|fd| self.m.fget_any(task, Fd(fd.parse().ok()?)));
        if reopened.is_some_and(|file| self.tty_of(file).is_some()) {
            return Err(LabError::new(
                "the model cannot open a terminal anew, but by TIOCGPTPEER",
            ));
        }
        if absolute && flags.contains(OpenFlags::CREAT) && Plain::open(&path).is_none() {
            return Err(LabError::new(
                "the model makes files in the directory in which its programs run, and nowhere else",
            ));
        }
        if flags.contains(OpenFlags::CREAT) {
            refuse_mode(mode, 0o600)?;
        }
        if !absolute {
            fs::refuse_above(&path)?;
            self.refuse_others(task)?;
            self.refuse_plain_directory(task, dirfd)?;
            if flags.contains(OpenFlags::DIRECT) && self.would_be_regular(task, dirfd, &path) {
                return Err(LabError::new(
                    "whether a regular file can be opened with O_DIRECT depends on the disk",
                ));
            }
        }
        Ok(Open::new(dirfd, path, flags))
    }

    fn would_be_regular(&self, task: TaskId, dirfd: Fd, path: &str) -> bool {
        let from = match dirfd {
            Fd::AT_FDCWD => self.m.fs.root(),
            fd => self
                .m
                .fget_any(task, fd)
                .and_then(|file| self.m.files[file].f_inode),
        };
        let Some(walked) = from.and_then(|from| self.m.fs.walk(from, path).ok()) else {
            return true;
        };
        let Last::Name { name, .. } = walked.last else {
            return false;
        };
        let here = walked.through[walked.through.len() - 1];
        let inode = self.m.fs.get(here, name);
        inode.is_none_or(|inode| matches!(self.m.fs.inode(inode).node, Node::Regular(_)))
    }

    /// Names belong to root, who made the directory, and others would have to be asked for permission.
    pub(super) fn refuse_others(&self, task: TaskId) -> Result<(), LabError> {
        if self.m.process(task).uid != 0 {
            return Err(LabError::new(
                "the model asks nobody for permission, so only the user that it began with has names",
            ));
        }
        Ok(())
    }

    /// Of the directories of the machine the model knows little more than that they are.
    pub(super) fn refuse_plain_directory(&self, task: TaskId, dirfd: Fd) -> Result<(), LabError> {
        let file = self.m.fget_any(task, dirfd);
        let file = file.map(|file| &self.m.files[file]);
        if file.is_some_and(|file| {
            matches!(file.kind, Kind::Plain(Plain::Directory)) && file.f_inode.is_none()
        }) {
            return Err(LabError::new(
                "the model follows relative paths from the directory in which its programs run, and from \
                 those below it",
            ));
        }
        Ok(())
    }

    /// The directory where a relative path begins.
    pub(super) fn path_from(&mut self, task: TaskId, dirfd: Fd) -> Result<InodeId, Errno> {
        if dirfd == Fd::AT_FDCWD {
            return Ok(self.m.working_directory());
        }
        let file = self.m.fget_any(task, dirfd).ok_or(Errno::EBADF)?;
        let inode = self.m.files[file].f_inode.ok_or(Errno::ENOTDIR)?;
        match self.m.fs.inode(inode).node {
            Node::Directory(_) => Ok(inode),
            Node::Regular(_) | Node::Fifo(_) => Err(Errno::ENOTDIR),
        }
    }

    /// Step: follow the path (`path_openat`), and open what is there, but for a FIFO.
    fn open_lookup(&mut self, task: TaskId, call: &mut Open) -> Flow {
        if let Err(errno) = fs::check_path(&call.path) {
            return call.end(Err(errno));
        }
        let fd = match self.unused_fd(task, 0) {
            Ok(fd) => fd,
            Err(errno) => return call.end(Err(errno)),
        };
        // The whole way into a pipe without a name, as nobody there has to be waited for.
        if let Some(pipe) = self.pipe_of_path(task, call)
            && self.m.pipes[pipe].mutex.is_some()
        {
            return Flow::Blocked;
        }
        if self.m.is_event_held_up(task) {
            return Flow::Blocked;
        }
        let opened = self.open_target(task, call, fd);
        let (file, target, created) = match opened {
            Ok(opened) => opened,
            Err(errno) => return call.end(Err(errno)),
        };
        let (mut fifo, pipe) = match target {
            Target::Pipe(pipe) => (FifoOpen::new(file), Some(pipe)),
            Target::Inode(inode)
                if matches!(self.m.fs.inode(inode).node, Node::Fifo(_))
                    && !call.flags.contains(OpenFlags::PATH) =>
            {
                (FifoOpen::new(file), None)
            }
            Target::Plain(_) | Target::Inode(_) | Target::Ptmx => {
                self.fd_install(task, fd, file, call.flags.contains(OpenFlags::CLOEXEC));
                let cuts = call.flags.contains(OpenFlags::TRUNC) && !created;
                self.fsnotify_open(file, cuts);
                return call.end(Ok(fd));
            }
        };
        self.m.fds_mut(task).reserve(fd);
        let flow = match pipe {
            Some(_) => self.fifo_count(task, &mut fifo, pipe),
            None => Flow::Next,
        };
        call.fifo = Some((fd, fifo));
        match flow {
            Flow::Done => self.fifo_opened(task, call),
            flow => flow,
        }
    }

    /// The pipe without a name that `/proc/self/fd/N` leads to.
    fn pipe_of_path(&self, task: TaskId, call: &Open) -> Option<PipeId> {
        let number = call.path.strip_prefix(PROC_SELF_FD)?.parse().ok()?;
        let file = self.m.fget_any(task, Fd(number))?;
        let unnamed = self.m.files[file].f_inode.is_none() && !call.flags.contains(OpenFlags::PATH);
        unnamed.then(|| self.pipe_of(file))?
    }

    /// A new file for what is at the end of the path, and what that is.
    fn open_target(
        &mut self,
        task: TaskId,
        call: &Open,
        fd: Fd,
    ) -> Result<(FileId, Target, bool), Errno> {
        let flags = call.flags;
        let creates = flags.contains(OpenFlags::CREAT);
        if creates && flags.contains(OpenFlags::DIRECTORY) {
            return Err(Errno::EINVAL);
        }
        let target = match call.path.strip_prefix(PROC_SELF_FD) {
            Some(number) => self.target_of_fd(task, number)?,
            None if *call.path == *PTMX => Target::Ptmx,
            None if call.path.starts_with('/') => {
                Target::Plain(Plain::open(&call.path).ok_or(Errno::ENOENT)?)
            }
            None => match self.target_of_name(task, call)? {
                (inode, true) => {
                    let (file, target) = self.new_file_of_inode(inode, flags, fd);
                    return Ok((file, target, true));
                }
                (inode, false) => Target::Inode(inode),
            },
        };
        let is_directory = match &target {
            Target::Plain(plain) => plain.is_directory(),
            Target::Inode(inode) => self.m.fs.inode(*inode).node.is_directory(),
            Target::Pipe(_) | Target::Ptmx => false,
        };
        if creates && flags.contains(OpenFlags::EXCL) {
            return Err(Errno::EEXIST);
        }
        let path_only = flags.contains(OpenFlags::PATH);
        if is_directory && (flags.writable() || creates && !path_only) {
            return Err(Errno::EISDIR);
        }
        let is_path = matches!(target, Target::Plain(Plain::Path));
        if flags.contains(OpenFlags::DIRECTORY) && !is_directory && !is_path {
            return Err(Errno::ENOTDIR);
        }
        let (file, target) = match target {
            Target::Inode(inode) => self.new_file_of_inode(inode, flags, fd),
            Target::Plain(plain) => {
                let plain = if path_only { Plain::Path } else { plain };
                (self.new_file(Kind::Plain(plain), flags, fd), target)
            }
            Target::Pipe(_) | Target::Ptmx if path_only => {
                let path = Plain::Path;
                let file = self.new_file(Kind::Plain(path), flags, fd);
                (file, Target::Plain(path))
            }
            Target::Ptmx => {
                let kind = Kind::Tty(self.new_pty(FileRef(fd)));
                (self.new_file(kind, flags, fd), target)
            }
            Target::Pipe(_) => (
                self.new_file(Kind::Plain(Plain::Opening), flags, fd),
                target,
            ),
        };
        Ok((file, target, false))
    }

    /// By way of an open file (`proc_pid_get_link`).
    fn target_of_fd(&self, task: TaskId, number: &str) -> Result<Target, Errno> {
        let number = number.parse().map_err(|_| Errno::ENOENT)?;
        let file = self.m.fget_any(task, Fd(number)).ok_or(Errno::ENOENT)?;
        if let Some(inode) = self.m.files[file].f_inode {
            return Ok(Target::Inode(inode));
        }
        match self.pipe_of(file) {
            Some(pipe) => Ok(Target::Pipe(pipe)),
            None => self.m.files[file].kind.reopen().map(Target::Plain),
        }
    }

    /// By name, and whether it is new (`open_last_lookups`).
    fn target_of_name(&mut self, task: TaskId, call: &Open) -> Result<(InodeId, bool), Errno> {
        let creates = call.flags.contains(OpenFlags::CREAT);
        let from = self.path_from(task, call.dirfd)?;
        let walked = self.m.fs.walk(from, &call.path)?;
        let here = walked.through[walked.through.len() - 1];
        let (name, slash) = match walked.last {
            Last::Name { name, slash } => (name, slash),
            Last::Dot => return Ok((here, false)),
            Last::DotDot => return Ok((walked.through[walked.through.len() - 2], false)),
        };
        if creates && slash {
            return Err(Errno::EISDIR);
        }
        match self.m.fs.get(here, name) {
            Some(inode) if slash && !self.m.fs.inode(inode).node.is_directory() => {
                Err(Errno::ENOTDIR)
            }
            Some(inode) => Ok((inode, false)),
            None if creates && self.m.is_there(here) => {
                let inode = self.m.new_inode(Node::Regular(Vec::new()));
                self.m.fs.link(here, name, inode);
                self.fsnotify_name(here, name, InotifyMask::CREATE, inode);
                Ok((inode, true))
            }
            None => Err(Errno::ENOENT),
        }
    }

    fn new_file(&mut self, kind: Kind, flags: OpenFlags, fd: Fd) -> FileId {
        let inode = self.m.next_inode();
        self.m.files.insert(File {
            inode,
            ..File::new(kind, (flags - CREATION) | OpenFlags::LARGEFILE, fd)
        })
    }

    fn new_file_of_inode(&mut self, id: InodeId, flags: OpenFlags, fd: Fd) -> (FileId, Target) {
        let inode = self.m.fs.inode_mut(id);
        inode.files += 1;
        let number = inode.number;
        let kind = match inode.node {
            _ if flags.contains(OpenFlags::PATH) => Kind::Plain(Plain::Path),
            Node::Directory(_) => Kind::Plain(Plain::Directory),
            Node::Fifo(_) => Kind::Plain(Plain::Opening),
            Node::Regular(_) => {
                if flags.contains(OpenFlags::TRUNC) {
                    Regular(id).truncate(self.m);
                }
                Kind::Regular(Regular(id))
            }
        };
        let file = self.m.files.insert(File {
            inode: number,
            f_inode: Some(id),
            ..File::new(kind, (flags - CREATION) | OpenFlags::LARGEFILE, fd)
        });
        (file, Target::Inode(id))
    }

    /// A FIFO is open, or will not be.
    fn fifo_opened(&mut self, task: TaskId, call: &mut Open) -> Flow {
        let (fd, fifo) = call.fifo.take().expect("it was being opened");
        self.m.fds_mut(task).unreserve(fd);
        let result = match fifo.result {
            Err(errno) => {
                self.free_file(fifo.file);
                Err(errno)
            }
            // Only now does Linux see that such a file does no direct I/O, and closes it again.
            Ok(()) if call.flags.contains(OpenFlags::DIRECT) => {
                if self.m.put_file(fifo.file) {
                    call.dropped.push(fifo.file);
                }
                Err(Errno::EINVAL)
            }
            Ok(()) => {
                let cloexec = call.flags.contains(OpenFlags::CLOEXEC);
                self.fd_install(task, fd, fifo.file, cloexec);
                self.fsnotify_open(fifo.file, false);
                Ok(fd)
            }
        };
        call.end(result)
    }
}

/// Modes are taken for good: the model asks nobody for permission, so nobody may lack any.
pub(super) fn refuse_mode(mode: u32, needed: u32) -> Result<(), LabError> {
    if mode & needed != needed {
        return Err(LabError::new(format!(
            "the model knows no permissions: what is made here needs the mode 0{needed:o} at least"
        )));
    }
    Ok(())
}

impl Steps for Open {
    fn step<O: Observer>(&mut self, kernel: &mut Kernel<'_, O>, task: TaskId) -> Flow {
        let Some((_, fifo)) = &mut self.fifo else {
            return kernel.open_lookup(task, self);
        };
        if kernel.m.is_event_held_up(task) {
            return Flow::Blocked;
        }
        match kernel.fifo_open_step(task, fifo) {
            Flow::Done => kernel.fifo_opened(task, self),
            flow => flow,
        }
    }

    fn answer(&mut self) -> Answer {
        match self.result {
            Ok(fd) => Answer::ret(i64::from(fd.0)),
            Err(errno) => Answer::err(errno),
        }
    }

    fn holds(&self, files: &mut Vec<FileId>) {
        files.extend(self.fifo.iter().map(|(_, fifo)| fifo.file));
    }

    fn released(&mut self) -> Vec<FileId> {
        std::mem::take(&mut self.dropped)
    }

    fn held(&self, held: &mut Held) {
        if let Some((_, fifo)) = &self.fifo {
            fifo.held(held);
        }
    }

    fn at(&self) -> String {
        match &self.fifo {
            None => "path_openat".to_owned(),
            Some((_, fifo)) => fifo.at(),
        }
    }
}

impl Encode for Open {
    fn encode(&self, to: &mut Encoder<'_>) {
        let Open {
            dirfd,
            path,
            flags,
            fifo,
            dropped: _, // known at the end only
            result: _,
        } = self;
        dirfd.encode(to);
        to.bytes(path.as_bytes());
        flags.encode(to);
        encode_option(fifo, to);
    }
}

impl Encode for (Fd, FifoOpen) {
    fn encode(&self, to: &mut Encoder<'_>) {
        let (fd, fifo) = self;
        fd.encode(to);
        fifo.encode(to);
    }
}
