//! pidfd_open(2): a process as a file.
//!
//! It can be waited for, and nothing else: no method reads or writes. Like a signalfd it has no queue of its
//! own; the queue is that of the process's number (`struct pid`), so all files for one number share it, and it
//! is there as long as any of them is. It is woken twice, when the process ends and when its parent has
//! waited for it:
//!
//! ```text
//!             answer                        wake-up
//!   lives     nothing
//!   zombie    EPOLLIN|EPOLLRDNORM           to all, with that key    do_notify_pidfd
//!   reaped    the same, and EPOLLHUP        to all, without a key    __change_pid
//! ```
//!
//! A process whose first thread has ended lives on in the others, and says nothing before the last.

use super::File;
use super::ops::{FileOps, Kind, PollHeads, Poller};
use crate::abi::{Errno, EventMask, Fd, OpenFlags, TaskId};
use crate::model::arena::{FileId, HeadId};
use crate::model::encode::{Encoder, Number};
use crate::model::task::{Life, ProcessStatus};
use crate::model::wait_queue::{Nr, WaitHead, Wake};
use crate::model::{Kernel, Machine};
use crate::trace::{Observer, QueueRef};

/// A number of a thread or process, and what is watched there.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PidFd {
    /// Whose number it is.
    pid: TaskId,
    /// `PIDFD_THREAD`: of that thread alone.
    thread: bool,
    /// Who wants to know of its end (`pid->wait_pidfd`).
    wait_pidfd: HeadId,
}

/// `PIDFD_THREAD`
pub(crate) const THREAD: OpenFlags = OpenFlags::EXCL;

/// The key of the first wake-up, and the answer from then on.
const ENDED: EventMask = EventMask::IN.union(EventMask::RDNORM);

impl FileOps for PidFd {
    /// `pidfd_poll`
    fn poll(self, m: &mut Machine, _: Poller) -> EventMask {
        let process = m.process(self.pid);
        if process.leader != self.pid {
            // A thread that nobody waits for is gone as soon as it has ended.
            return match m.task(self.pid).life {
                Life::Dead => ENDED | EventMask::HUP,
                Life::Alive | Life::Elsewhere | Life::Exiting => EventMask::empty(),
            };
        }
        match process.status {
            ProcessStatus::Running => EventMask::empty(),
            ProcessStatus::Zombie(_) => ENDED,
            ProcessStatus::Reaped => ENDED | EventMask::HUP,
        }
    }

    fn queues(self, _: &Machine) -> PollHeads {
        [Some(self.wait_pidfd), None]
    }

    fn describe(self, m: &Machine) -> (&'static str, String) {
        let process = m.process(self.pid);
        let state = match process.status {
            _ if process.leader != self.pid => "a thread",
            ProcessStatus::Running => "a process",
            ProcessStatus::Zombie(_) => "a zombie",
            ProcessStatus::Reaped => "waited for",
        };
        ("pidfd", format!("task {}, {state}", self.pid.0))
    }

    fn encode_state(self, to: &mut Encoder<'_>) {
        let PidFd {
            pid,
            thread,
            wait_pidfd: _, // that of the number
        } = self;
        to.numbers([pid.number(to), thread.number(to)]);
    }

    /// Without a method, a position means nothing (`no_llseek`).
    fn llseek(self, _: &mut Machine, _: FileId, _: i64, _: i32) -> Result<i64, Errno> {
        Err(Errno::ESPIPE)
    }

    fn can_transfer(self) -> bool {
        false
    }

    fn free(self, _: &mut Machine) {}
}

impl PidFd {
    /// The process, or thread, that it stands for.
    pub(crate) fn pid(self) -> TaskId {
        self.pid
    }

    /// Whether a signal that is sent by it is for that thread alone.
    pub(crate) fn is_of_thread(self) -> bool {
        self.thread
    }
}

impl Machine {
    /// The wake-up of those who watch the end of this task.
    fn wake_pidfd(&self, task: TaskId, key: EventMask) -> Option<Wake> {
        let nr = Nr::All;
        self.task(task)
            .wait_pidfd
            .map(|head| Wake { head, key, nr })
    }

    /// Whether that would have to wait for a lock.
    pub(crate) fn is_end_held_up(&self, task: TaskId) -> bool {
        let head = self.task(task).wait_pidfd;
        head.is_some_and(|head| self.leads_to_a_lock(head))
    }
}

impl<O: Observer> Kernel<'_, O> {
    /// pidfd_open(2)
    pub(crate) fn pidfd_open(
        &mut self,
        task: TaskId,
        pid: i32,
        flags: OpenFlags,
    ) -> Result<Fd, Errno> {
        let status = flags & (OpenFlags::NONBLOCK | THREAD);
        if flags != status || pid <= 0 {
            return Err(Errno::EINVAL);
        }
        let pid = TaskId::from_pid(pid)
            .filter(|pid| self.has_task(*pid))
            .ok_or(Errno::ESRCH)?;
        let thread = flags.contains(THREAD);
        if !thread && self.m.process(pid).leader != pid {
            // Since 6.15; before, an invalid argument.
            return Err(Errno::ENOENT);
        }
        let fd = self.unused_fd(task, 0)?;
        let wait_pidfd = match self.m.task(pid).wait_pidfd {
            Some(head) => head,
            None => self.m.heads.insert(WaitHead::new(QueueRef::Pid(pid))),
        };
        self.m.task_mut(pid).wait_pidfd = Some(wait_pidfd);
        let kind = Kind::PidFd(PidFd {
            pid,
            thread,
            wait_pidfd,
        });
        let inode = self.m.next_inode();
        let file = File {
            inode,
            ..File::new(kind, status | OpenFlags::RDWR, fd)
        };
        let file = self.m.files.insert(file);
        // It is always closed by execve(2).
        self.fd_install(task, fd, file, true);
        Ok(fd)
    }

    /// What a descriptor for a process stands for (`pidfd_get_pid`).
    pub(crate) fn pidfd(&self, task: TaskId, fd: Fd) -> Result<(PidFd, OpenFlags), Errno> {
        let file = self.m.fget(task, fd).ok_or(Errno::EBADF)?;
        let file = &self.m.files[file];
        match file.kind {
            Kind::PidFd(pidfd) => Ok((pidfd, file.flags)),
            _ => Err(Errno::EBADF),
        }
    }

    /// Tells of the end of a process, or thread (`do_notify_pidfd`).
    ///
    /// Preconditions: no lock is in the way ([`Machine::is_end_held_up`]).
    pub(crate) fn do_notify_pidfd(&mut self, task: TaskId) {
        if let Some(wake) = self.m.wake_pidfd(task, ENDED) {
            self.wake_up_in_interrupt(wake);
        }
    }

    /// Its number means nobody any more (`__change_pid`). The same holds of locks.
    pub(crate) fn detach_pid(&mut self, task: TaskId) {
        if let Some(wake) = self.m.wake_pidfd(task, EventMask::empty()) {
            self.wake_up_in_interrupt(wake);
        }
    }
}
