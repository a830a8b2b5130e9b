//! Calls that make new files: epoll_create(2), pipe(2), eventfd(2).

use super::super::Kernel;
use super::super::file::{EventFd, File, Kind, PipeEnd};
use super::super::wait_queue::WaitHead;
use crate::abi::{EpollCreateFlags, Errno, Fd, OpenFlags, Out, OutPtr, TaskId};
use crate::model::arena::{EpId, Id};
use crate::trace::{FileRef, Observer, QueueRef};

/// `EFD_SEMAPHORE`, which is no flag of open(2).
const EFD_SEMAPHORE: OpenFlags = OpenFlags::from_bits_retain(1);

impl<O: Observer> Kernel<'_, O> {
    /// epoll_create(2): the size means nothing, but has to be there.
    pub(super) fn epoll_create(&mut self, task: TaskId, size: i32) -> Result<Fd, Errno> {
        if size <= 0 {
            return Err(Errno::EINVAL);
        }
        self.epoll_create1(task, EpollCreateFlags::empty())
    }

    /// epoll_create1(2) (`do_epoll_create`)
    pub(super) fn epoll_create1(
        &mut self,
        task: TaskId,
        flags: EpollCreateFlags,
    ) -> Result<Fd, Errno> {
        if !(flags - EpollCreateFlags::CLOEXEC).is_empty() {
            return Err(Errno::EINVAL);
        }
        let fd = self.unused_fd(task, 0)?;
        let user = self.m.process(task).uid;
        // File and instance name each other: the file comes first, with a place yet to be filled in.
        let kind = Kind::EventPoll(EpId::from_index(0));
        let file = self.m.files.insert(File::new(kind, OpenFlags::RDWR, fd));
        let ep = self.ep_alloc(user, file, fd);
        self.m.files[file].kind = Kind::EventPoll(ep);
        self.fd_install(task, fd, file, flags.contains(EpollCreateFlags::CLOEXEC));
        Ok(fd)
    }

    /// pipe2(2) (`do_pipe_flags`)
    pub(super) fn pipe2(
        &mut self,
        task: TaskId,
        pipefd: OutPtr,
        flags: OpenFlags,
    ) -> Result<Out, Errno> {
        let status = OpenFlags::NONBLOCK | OpenFlags::DIRECT;
        if !(flags - status - OpenFlags::CLOEXEC).is_empty() {
            return Err(Errno::EINVAL);
        }
        let cloexec = flags.contains(OpenFlags::CLOEXEC);
        let read_fd = self.unused_fd(task, 0)?;
        let above = usize::try_from(read_fd.0).map_or(usize::MAX, |number| number + 1);
        let write_fd = self.unused_fd(task, above)?;
        // By now both files exist; a bad pointer undoes them again.
        if pipefd != OutPtr::PLENTY {
            return Err(Errno::EFAULT);
        }

        let id = self.new_pipe(FileRef(read_fd));
        let pipe = &mut self.m.pipes[id];
        (pipe.readers, pipe.writers, pipe.files) = (1, 1, 2);
        let status = flags & status;
        let inode = self.m.next_inode();
        let end = |reads, mode, fd| File {
            inode,
            ..File::new(
                Kind::Pipe(PipeEnd {
                    pipe: id,
                    reads,
                    writes: !reads,
                    f_pipe: 0,
                }),
                mode,
                fd,
            )
        };
        // The read end knows O_NONBLOCK only; packet mode is a matter of writing.
        let read_end = end(true, status & OpenFlags::NONBLOCK, read_fd);
        let write_end = end(false, status | OpenFlags::WRONLY, write_fd);
        let read_file = self.m.files.insert(read_end);
        let write_file = self.m.files.insert(write_end);
        self.fd_install(task, read_fd, read_file, cloexec);
        self.fd_install(task, write_fd, write_file, cloexec);
        Ok(Out::Pipe(read_fd, write_fd))
    }

    /// eventfd2(2) (`do_eventfd`)
    pub(super) fn eventfd2(
        &mut self,
        task: TaskId,
        initval: u32,
        flags: OpenFlags,
    ) -> Result<Fd, Errno> {
        let known = EFD_SEMAPHORE | OpenFlags::NONBLOCK | OpenFlags::CLOEXEC;
        if !(flags - known).is_empty() {
            return Err(Errno::EINVAL);
        }
        let fd = self.unused_fd(task, 0)?;
        let wqh = self
            .m
            .heads
            .insert(WaitHead::new(QueueRef::File(FileRef(fd))));
        let semaphore = flags.contains(EFD_SEMAPHORE);
        let eventfd = EventFd {
            count: u64::from(initval),
            semaphore,
            wqh,
        };
        let status = (flags & OpenFlags::NONBLOCK) | OpenFlags::RDWR;
        let file = self
            .m
            .files
            .insert(File::new(Kind::EventFd(eventfd), status, fd));
        self.fd_install(task, fd, file, flags.contains(OpenFlags::CLOEXEC));
        Ok(fd)
    }
}
