//! Calls that deal in descriptors and flags: close(2), dup(2), fcntl(2), ioctl(2), lseek(2), kcmp(2).

use super::super::fdtable::Slot;
use super::super::file::{Caller, FileOps, PipeResize};
use super::super::{Kernel, Variant};
use super::release::Release;
use crate::abi::{
    Answer, Errno, FcntlCmd, Fd, FdFlags, IoctlArg, OpenFlags, Out, Ptr, TaskId, request,
};
use crate::model::arena::FileId;
use crate::trace::Observer;

/// `CLOSE_RANGE_UNSHARE` and `CLOSE_RANGE_CLOEXEC`.
const CLOSE_RANGE_UNSHARE: u32 = 2;
const CLOSE_RANGE_CLOEXEC: u32 = 4;

/// What `F_SETFL` can change (`SETFL_MASK`).
const SETFL: OpenFlags = OpenFlags::APPEND
    .union(OpenFlags::NONBLOCK)
    .union(OpenFlags::DIRECT);

impl<O: Observer> Kernel<'_, O> {
    /// close(2)
    pub(super) fn close(&mut self, task: TaskId, fd: Fd) -> Result<Release, Errno> {
        let slot = self.m.fds_mut(task).take(fd).ok_or(Errno::EBADF)?;
        if self.errs(Variant::CloseByFd) {
            self.close_by_fd(task, slot.file, fd);
        }
        Ok(Release::new(Answer::ret(0), self.put_all([slot])))
    }

    /// Drops the references of descriptors that are gone, and names the files that go with them.
    fn put_all(&mut self, slots: impl IntoIterator<Item = Slot>) -> Vec<FileId> {
        let files = slots.into_iter().map(|slot| slot.file);
        files.filter(|file| self.m.put_file(*file)).collect()
    }

    /// close_range(2)
    pub(super) fn close_range(
        &mut self,
        task: TaskId,
        first: u32,
        last: u32,
        flags: u32,
    ) -> Result<Release, Errno> {
        if flags & !(CLOSE_RANGE_UNSHARE | CLOSE_RANGE_CLOEXEC) != 0 || first > last {
            return Err(Errno::EINVAL);
        }
        if flags & CLOSE_RANGE_UNSHARE != 0 && self.m.fds(task).users > 1 {
            // From here on other threads keep what this one closes.
            let shared = self.m.task(task).files;
            self.m.task_mut(task).files = self.m.dup_table(task);
            self.m.put_table(shared);
        }
        let fds = self.m.fds_mut(task);
        let in_range = |fd: &Fd| (first..=last).contains(&fd.0.unsigned_abs());
        let numbers: Vec<Fd> = fds.iter().map(|(fd, _)| fd).filter(in_range).collect();
        let mut closed = Vec::new();
        for fd in numbers {
            if flags & CLOSE_RANGE_CLOEXEC == 0 {
                closed.extend(fds.take(fd));
            } else if let Some(slot) = fds.get_mut(fd) {
                slot.cloexec = true;
            }
        }
        Ok(Release::new(Answer::ret(0), self.put_all(closed)))
    }

    /// The descriptors marked close-on-exec, closed (`do_close_on_exec`).
    pub(super) fn close_on_exec(&mut self, task: TaskId) -> Vec<FileId> {
        let fds = self.m.fds_mut(task);
        let marked: Vec<Fd> = fds
            .iter()
            .filter(|(_, slot)| slot.cloexec)
            .map(|(fd, _)| fd)
            .collect();
        let slots: Vec<Slot> = marked.into_iter().filter_map(|fd| fds.take(fd)).collect();
        self.put_all(slots)
    }

    /// All descriptors of a task, closed if no other task shares them (`exit_files`).
    pub(super) fn close_all(&mut self, task: TaskId) -> Vec<FileId> {
        let files = self.m.task(task).files;
        let table = self.m.put_table(files).unwrap_or_default();
        let slots: Vec<Slot> = table.iter().map(|(_, slot)| slot).collect();
        self.put_all(slots)
    }

    /// dup(2)
    pub(super) fn dup(&mut self, task: TaskId, oldfd: Fd) -> Result<Fd, Errno> {
        let file = self.m.fget_any(task, oldfd).ok_or(Errno::EBADF)?;
        self.dup_from(task, file, 0, false)
    }

    fn dup_from(
        &mut self,
        task: TaskId,
        file: FileId,
        from: usize,
        cloexec: bool,
    ) -> Result<Fd, Errno> {
        let fd = self.unused_fd(task, from)?;
        self.m.files[file].refs += 1;
        self.fd_install(task, fd, file, cloexec);
        Ok(fd)
    }

    /// dup2(2), which does nothing to a number that is given as both.
    pub(super) fn dup2(&mut self, task: TaskId, oldfd: Fd, newfd: Fd) -> Result<Release, Errno> {
        if oldfd == newfd {
            self.m.fget_any(task, oldfd).ok_or(Errno::EBADF)?;
            return Ok(Release::new(Answer::ret(i64::from(newfd.0)), Vec::new()));
        }
        self.dup3(task, oldfd, newfd, OpenFlags::empty())
    }

    /// dup3(2) (`ksys_dup3`)
    pub(super) fn dup3(
        &mut self,
        task: TaskId,
        oldfd: Fd,
        newfd: Fd,
        flags: OpenFlags,
    ) -> Result<Release, Errno> {
        if !(flags - OpenFlags::CLOEXEC).is_empty() || oldfd == newfd {
            return Err(Errno::EINVAL);
        }
        let number = usize::try_from(newfd.0).map_err(|_| Errno::EBADF)?;
        let process = self.m.process(task);
        if u64::from(newfd.0.unsigned_abs()) >= process.nofile.rlim_cur {
            return Err(Errno::EBADF);
        }
        let file = self.m.fget_any(task, oldfd).ok_or(Errno::EBADF)?;
        // Another thread's call is about to give it a meaning.
        if self.m.fds(task).is_reserved(number) {
            return Err(Errno::EBUSY);
        }
        self.m.files[file].refs += 1;
        let slot = Slot {
            file,
            cloexec: flags.contains(OpenFlags::CLOEXEC),
        };
        let before = self.m.fds_mut(task).put(number, slot);
        let released = self.put_all(before);
        Ok(Release::new(Answer::ret(i64::from(newfd.0)), released))
    }

    /// fcntl(2)
    pub(super) fn fcntl(&mut self, task: TaskId, fd: Fd, cmd: FcntlCmd) -> Result<i64, Errno> {
        let Slot { file, cloexec } = self.m.fds(task).get(fd).ok_or(Errno::EBADF)?;
        match cmd {
            FcntlCmd::Dupfd(from) => self.fcntl_dupfd(task, file, from, false),
            FcntlCmd::DupfdCloexec(from) => self.fcntl_dupfd(task, file, from, true),
            FcntlCmd::Getfd => Ok(i64::from(cloexec)),
            FcntlCmd::Setfd(flags) => {
                let slot = self.m.fds_mut(task).get_mut(fd).ok_or(Errno::EBADF)?;
                slot.cloexec = flags.contains(FdFlags::CLOEXEC);
                Ok(0)
            }
            FcntlCmd::Getfl => Ok(i64::from(self.m.files[file].flags.bits())),
            // The rest needs more than a name.
            _ if self.m.files[file].flags.contains(OpenFlags::PATH) => Err(Errno::EBADF),
            FcntlCmd::Setfl(flags) => {
                let is_pipe = self.pipe_of(file).is_some();
                let file = &mut self.m.files[file];
                if flags.contains(OpenFlags::DIRECT) && !is_pipe {
                    return Err(Errno::EINVAL);
                }
                file.flags = (file.flags - SETFL) | (flags & SETFL);
                Ok(0)
            }
            FcntlCmd::SetpipeSz(_) => unreachable!("a call of several steps"),
            FcntlCmd::GetpipeSz => {
                let pipe = self.pipe_of(file).ok_or(Errno::EBADF)?;
                Ok(self.m.pipes[pipe].capacity())
            }
        }
    }

    /// fcntl(2) with `F_SETPIPE_SZ`, which may have somebody to wake.
    pub(super) fn fcntl_set_pipe_size(
        &self,
        task: TaskId,
        fd: Fd,
        bytes: i32,
    ) -> Result<PipeResize, Errno> {
        let file = self.m.fget(task, fd).ok_or(Errno::EBADF)?;
        Ok(PipeResize::new(file, bytes))
    }

    fn fcntl_dupfd(
        &mut self,
        task: TaskId,
        file: FileId,
        from: i32,
        cloexec: bool,
    ) -> Result<i64, Errno> {
        let limit = self.m.process(task).nofile.rlim_cur;
        let from = usize::try_from(from).map_err(|_| Errno::EINVAL)?;
        if u64::try_from(from).is_ok_and(|from| from >= limit) {
            return Err(Errno::EINVAL);
        }
        self.dup_from(task, file, from, cloexec)
            .map(|fd| i64::from(fd.0))
    }

    /// lseek(2)
    pub(super) fn lseek(
        &mut self,
        task: TaskId,
        fd: Fd,
        offset: i64,
        whence: i32,
    ) -> Result<i64, Errno> {
        let file = self.m.fget(task, fd).ok_or(Errno::EBADF)?;
        if !(0..=4).contains(&whence) {
            return Err(Errno::EINVAL);
        }
        let kind = self.m.files[file].kind;
        kind.llseek(self.m, file, offset, whence)
    }

    /// ioctl(2): what `do_vfs_ioctl` answers for all files, and then the driver.
    pub(super) fn ioctl(
        &mut self,
        task: TaskId,
        fd: Fd,
        op: u32,
        arg: IoctlArg,
    ) -> Result<Out, Errno> {
        let file = self.m.fget(task, fd).ok_or(Errno::EBADF)?;
        if let (request::FIONBIO, IoctlArg::Int(value)) = (op, arg) {
            let Ptr::To(on) = value else {
                return Err(Errno::EFAULT);
            };
            self.m.files[file].flags.set(OpenFlags::NONBLOCK, on != 0);
            return Ok(Out::None);
        }
        let kind = self.m.files[file].kind;
        kind.ioctl(self.m, Caller { task, file }, op, arg)
    }

    /// kcmp(2): do two descriptors refer to one file? 0 if they do; else which of the two comes first
    /// in an order that means nothing.
    pub(super) fn kcmp_file(
        &mut self,
        task: TaskId,
        one: (i32, Fd),
        other: (i32, Fd),
    ) -> Result<i64, Errno> {
        let one = self.fget_of(task, one)?;
        let other = self.fget_of(task, other)?;
        Ok(compare(one, other))
    }

    /// kcmp(2) with `KCMP_EPOLL_TFD`: is `file` the `toff`-th, in the tree's order, of those that the
    /// epoll watches under the number `tfd`?
    pub(super) fn kcmp_epoll_tfd(
        &mut self,
        task: TaskId,
        file: (i32, Fd),
        epoll: (i32, Fd),
        tfd: Fd,
        toff: u32,
    ) -> Result<i64, Errno> {
        let file = self.fget_of(task, file)?;
        let epoll = self.fget_of(task, epoll)?;
        let ep = self.m.files[epoll].epoll().ok_or(Errno::EINVAL)?;
        let items = self.m.epolls[ep].rbr.iter(&self.m.rb);
        let offset = usize::try_from(toff).map_err(|_| Errno::ENOENT)?;
        let target = items
            .filter(|item| self.m.items_rest[*item].fd == tfd)
            .nth(offset)
            .ok_or(Errno::ENOENT)?;
        Ok(compare(file, self.m.items[target].file))
    }

    /// The file behind a descriptor of some process; pid 0 is the caller's own here.
    fn fget_of(&self, task: TaskId, (pid, fd): (i32, Fd)) -> Result<FileId, Errno> {
        let of = if pid == 0 {
            task
        } else {
            self.find_process(pid).ok_or(Errno::ESRCH)?
        };
        self.m.fget_any(of, fd).ok_or(Errno::EBADF)
    }
}

fn compare(one: FileId, other: FileId) -> i64 {
    match one.cmp(&other) {
        std::cmp::Ordering::Equal => 0,
        std::cmp::Ordering::Less => 1,
        std::cmp::Ordering::Greater => 2,
    }
}
