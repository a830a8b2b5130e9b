//! The one trait that both kernels implement.
//!
//! A backend takes a [`Syscall`] for a task and says how it ended, or that it sleeps; the calls that
//! wake up later come out of [`Backend::settle`]. That is all that a scenario, an explorer or a fuzzer
//! needs to know of a kernel, so none of them can tell the model from Linux.
//!
//! [`Thread`] is the same for programs: one function a call, written once and run on either.
//!
//! ```
//! use epoll_lab::abi::{EpollEvent, EventMask};
//! use epoll_lab::backend::{Backend, Thread};
//!
//! fn edge_is_reported_once(kernel: &mut impl Backend) {
//!     let mut t = Thread::main(kernel);
//!     let ep = t.epoll_create1(Default::default()).unwrap();
//!     let file = t.eventfd2(1, Default::default()).unwrap();
//!     t.epoll_add(ep, file, EpollEvent::new(EventMask::IN | EventMask::ET, 7)).unwrap();
//!     assert_eq!(t.epoll_wait(ep, 8, 0).unwrap(), [EpollEvent::new(EventMask::IN, 7)]);
//!     assert_eq!(t.epoll_wait(ep, 8, 0).unwrap(), []);
//! }
//! edge_is_reported_once(&mut epoll_lab::model::Model::new());
//! ```

use std::fmt;
use std::time::Duration;

use crate::abi::{
    Answer, Bytes, CtlOp, EpollCreateFlags, EpollEvent, Errno, Events, Fate, Fd, OpenFlags, Out,
    OutPtr, Ptr, SigInfo, Syscall, TaskId, Timeout,
};
use crate::trace::{Frame, State, Trace};

/// A kernel: the model or the running one.
pub trait Backend {
    /// What to call it in a transcript: `model`, `Linux 6.18.44`.
    fn name(&self) -> String;

    /// Makes `call` in `task`, and lets it run until it has returned or sleeps. Backends for programs with
    /// threads of their own return when the call has, and never answer [`Answer::Blocked`].
    fn submit(&mut self, task: TaskId, call: Syscall) -> Result<Answer, LabError>;

    /// Lets everything happen that needs no time to pass, and returns the calls that ended by it, in
    /// the order in which they ended as far as this kernel can tell.
    fn settle(&mut self) -> Result<Vec<(TaskId, Answer)>, LabError>;

    /// Lets time pass until the call of `task` has ended, and returns it with all that ended meanwhile.
    /// A call that nothing will ever end is a [`LabError`].
    fn finish(&mut self, task: TaskId) -> Result<Vec<(TaskId, Answer)>, LabError>;

    /// Lets this much time pass: virtual time in the model, at least as much real time on Linux.
    fn pass(&mut self, time: Duration) -> Result<Vec<(TaskId, Answer)>, LabError>;

    /// Starts one more thread in the process of `task`.
    fn spawn(&mut self, task: TaskId) -> Result<TaskId, LabError>;

    /// Gives each of these tasks a list of calls, and lets all of them run at the same time until each has
    /// come to the end of its list or sleeps, and no timeout is left that could wake it. What became of the
    /// calls comes in the same order. Other sleepers that they woke come out of the next
    /// [`Backend::settle`].
    ///
    /// One run is one outcome of many. The seed draws it: the very order of the steps in the model, and on
    /// Linux only pauses and processors, so that an outcome comes again often, but not surely.
    ///
    /// A kernel that can only make one call after the other has no races.
    fn race(
        &mut self,
        programs: &[(TaskId, Vec<Syscall>)],
        seed: u64,
    ) -> Result<Vec<(TaskId, Vec<Fate>)>, LabError> {
        let _ = (programs, seed);
        Err(LabError::new(format!("{} has no races", self.name())))
    }

    /// The signal handlers that have run since the last time this was asked, each with what it was told.
    ///
    /// In the order of delivery, as far as this kernel can tell between tasks: that in which strace
    /// prints its `---` lines. Several signals that become deliverable to a task at once are delivered
    /// one after the other before any of the handlers runs its first instruction, so the bodies run the
    /// other way round. A handler that interrupts a call runs after the call's end if that failed with
    /// `EINTR`; a call that is restarted has no end, and goes on sleeping behind its handler.
    fn take_handled(&mut self) -> Vec<(TaskId, SigInfo)> {
        Vec::new()
    }

    /// Gives the frozen page that `task` waits for ([`Room::Frozen`](crate::abi::Room::Frozen)).
    fn thaw(&mut self, task: TaskId, page: Thaw) -> Result<(), LabError>;

    /// What happened inside since the last time this was asked; nothing from a kernel that cannot tell.
    fn take_trace(&mut self) -> Vec<Trace> {
        Vec::new()
    }

    /// Every step since the last time this was asked, from a kernel that takes pictures of them.
    fn take_film(&mut self) -> Vec<Frame> {
        Vec::new()
    }

    /// The internal state, from a kernel that can show it.
    fn state(&self) -> Option<State> {
        None
    }
}

/// Draws what a [race](Backend::race) leaves to chance: the same for the same seed, everywhere
/// (SplitMix64, by Steele, Lea and Flood).
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Dice {
    /// The throws that belong to this seed.
    pub fn new(seed: u64) -> Dice {
        Dice(seed)
    }

    /// The next throw: any number.
    pub fn throw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A throw below `sides`, or 0 if there are none.
    pub fn below(&mut self, sides: u64) -> u64 {
        self.throw().checked_rem(sides).unwrap_or(0)
    }

    /// One of these.
    pub fn pick<'a, T>(&mut self, from: &'a [T]) -> Option<&'a T> {
        let index = self.below(u64::try_from(from.len()).unwrap_or(u64::MAX));
        from.get(usize::try_from(index).unwrap_or(usize::MAX))
    }
}

/// What a frozen page turns into.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Thaw {
    /// A writable page: the copy-out goes on.
    Writable,
    /// A page that can only be read: the copy-out fails with `EFAULT`.
    ReadOnly,
}

/// The lab itself failed: a missing permission, a call that never ended, a request it cannot fulfil.
/// Never an [`Errno`], which is a kernel's answer.
pub struct LabError(Box<str>);

impl LabError {
    /// With a lower-case sentence for the user.
    pub fn new(message: impl Into<String>) -> LabError {
        LabError(message.into().into_boxed_str())
    }
}

impl fmt::Display for LabError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for LabError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for LabError {}

/// One task of a backend, with a function a call: the face for programs.
///
/// A call that sleeps is waited for. Where the *lab* fails, and not the call, these functions panic
/// with its sentence: a program has no way to go on.
#[derive(Debug)]
pub struct Thread<'b, B: ?Sized> {
    backend: &'b mut B,
    task: TaskId,
}

impl<'b, B: Backend + ?Sized> Thread<'b, B> {
    /// The task that every backend starts with.
    pub fn main(backend: &'b mut B) -> Thread<'b, B> {
        Thread {
            backend,
            task: TaskId::MAIN,
        }
    }

    /// Another task of it.
    pub fn of(backend: &'b mut B, task: TaskId) -> Thread<'b, B> {
        Thread { backend, task }
    }

    /// Makes the call and waits for its end.
    ///
    /// # Panics
    /// When the lab fails, or the task is gone.
    #[inline]
    pub fn call(&mut self, call: Syscall) -> Result<(i64, Out), Errno> {
        let submitted = self.backend.submit(self.task, call);
        self.outcome(submitted)
    }

    fn outcome(&mut self, submitted: Result<Answer, LabError>) -> Result<(i64, Out), Errno> {
        match submitted {
            Ok(Answer::Done(value, out)) => Ok((value, out)),
            Ok(Answer::Failed(errno, _)) => Err(errno),
            Ok(Answer::Blocked) => self.wait(),
            Ok(Answer::Gone) => panic!("task {} is gone", self.task.0),
            Err(error) => panic!("{error}"),
        }
    }

    #[cold]
    fn wait(&mut self) -> Result<(i64, Out), Errno> {
        let ended = self
            .backend
            .finish(self.task)
            .unwrap_or_else(|error| panic!("{error}"));
        match ended.into_iter().find(|(task, _)| *task == self.task) {
            Some((_, Answer::Done(value, out))) => Ok((value, out)),
            Some((_, Answer::Failed(errno, _))) => Err(errno),
            _ => panic!("task {} is gone", self.task.0),
        }
    }

    fn fd(&mut self, call: Syscall) -> Result<Fd, Errno> {
        let (value, _) = self.call(call)?;
        Ok(Fd(i32::try_from(value).expect("a descriptor is an int")))
    }

    /// epoll_create1(2)
    pub fn epoll_create1(&mut self, flags: EpollCreateFlags) -> Result<Fd, Errno> {
        self.fd(Syscall::EpollCreate1 { flags })
    }

    /// epoll_ctl(2)
    #[inline]
    pub fn epoll_ctl(
        &mut self,
        epfd: Fd,
        op: CtlOp,
        fd: Fd,
        event: Ptr<EpollEvent>,
    ) -> Result<(), Errno> {
        match self.backend.submit(
            self.task,
            Syscall::EpollCtl {
                epfd,
                op,
                fd,
                event,
            },
        ) {
            Ok(Answer::Done(_, Out::None)) => Ok(()),
            answer => self.outcome(answer).map(drop),
        }
    }

    /// epoll_ctl(2) with `EPOLL_CTL_ADD`
    #[inline]
    pub fn epoll_add(&mut self, epfd: Fd, fd: Fd, event: EpollEvent) -> Result<(), Errno> {
        self.epoll_ctl(epfd, CtlOp::ADD, fd, Ptr::To(event))
    }

    /// epoll_ctl(2) with `EPOLL_CTL_MOD`
    #[inline]
    pub fn epoll_mod(&mut self, epfd: Fd, fd: Fd, event: EpollEvent) -> Result<(), Errno> {
        self.epoll_ctl(epfd, CtlOp::MOD, fd, Ptr::To(event))
    }

    /// epoll_ctl(2) with `EPOLL_CTL_DEL`
    #[inline]
    pub fn epoll_del(&mut self, epfd: Fd, fd: Fd) -> Result<(), Errno> {
        self.epoll_ctl(epfd, CtlOp::DEL, fd, Ptr::NULL)
    }

    /// epoll_wait(2); the timeout counts milliseconds, and a negative one is for ever
    #[inline]
    pub fn epoll_wait(
        &mut self,
        epfd: Fd,
        maxevents: i32,
        timeout: impl Into<Timeout>,
    ) -> Result<Events, Errno> {
        let events = OutPtr::PLENTY;
        let answer = self.backend.submit(
            self.task,
            Syscall::EpollWait {
                epfd,
                events,
                maxevents,
                timeout: timeout.into(),
            },
        );
        match answer {
            Ok(Answer::Done(_, Out::Events(events))) => Ok(events),
            answer => match self.outcome(answer)? {
                (_, Out::Events(events)) => Ok(events),
                _ => Ok(Events::default()),
            },
        }
    }

    /// eventfd2(2), as eventfd(2) of the C library; `EFD_SEMAPHORE` is bit 0
    pub fn eventfd2(&mut self, initval: u32, flags: OpenFlags) -> Result<Fd, Errno> {
        self.fd(Syscall::Eventfd2 { initval, flags })
    }

    /// pipe2(2): the read end and the write end
    pub fn pipe2(&mut self, flags: OpenFlags) -> Result<(Fd, Fd), Errno> {
        match self.call(Syscall::Pipe2 {
            pipefd: OutPtr::PLENTY,
            flags,
        })? {
            (_, Out::Pipe(read, write)) => Ok((read, write)),
            other => panic!("pipe2 stored {other:?}"),
        }
    }

    /// read(2) of up to `count` bytes
    #[inline]
    pub fn read(&mut self, fd: Fd, count: u64) -> Result<Bytes, Errno> {
        let answer = self.backend.submit(
            self.task,
            Syscall::Read {
                fd,
                buf: OutPtr::PLENTY,
                count,
            },
        );
        match answer {
            Ok(Answer::Done(_, Out::Bytes(bytes))) => Ok(bytes),
            answer => match self.outcome(answer)? {
                (_, Out::Bytes(bytes)) => Ok(bytes),
                _ => Ok(Bytes::default()),
            },
        }
    }

    /// write(2): how many bytes it took
    #[inline]
    pub fn write(&mut self, fd: Fd, bytes: &[u8]) -> Result<usize, Errno> {
        let count = u64::try_from(bytes.len()).expect("a slice is shorter than 2^64");
        let buf = Ptr::To(Bytes::from(bytes));
        let written = match self
            .backend
            .submit(self.task, Syscall::Write { fd, buf, count })
        {
            Ok(Answer::Done(written, Out::None)) => written,
            answer => self.outcome(answer)?.0,
        };
        Ok(usize::try_from(written).expect("not more than was given"))
    }

    /// close(2)
    pub fn close(&mut self, fd: Fd) -> Result<(), Errno> {
        self.call(Syscall::Close { fd }).map(drop)
    }

    /// dup(2)
    pub fn dup(&mut self, oldfd: Fd) -> Result<Fd, Errno> {
        self.fd(Syscall::Dup { oldfd })
    }
}
