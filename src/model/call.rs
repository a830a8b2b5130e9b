//! A system call in flight is a value: its operands, what it has done, and the step at which it stands.
//!
//! A step is named after the point in the C text where Linux can be interleaved: a lock about to be
//! taken, a task asleep. Taking a lock belongs to the step that follows, giving it back to the step
//! before. A step that cannot be taken, because the lock is held or the sleeper has no reason to wake,
//! answers [`Flow::Blocked`] *and has changed nothing*.

use super::arena::{EpId, FileId, ItemId, WaitId};
use super::deliver::{Deliver, is_interrupted};
use super::encode::Encode;
use super::eventpoll::{EpollCtl, EpollWait, FdinfoRead};
use super::file::{PipeResize, SetSignals, SetTicks, Socket, Transfer, TtyChange};
use super::signal::restart::is_restart;
use super::syscall::{Deferred, Exit, Kill, Open, Poll, Release, Sleep, SocketChange, Wait4};
use super::wait_queue::Walk;
use super::{Footprint, Kernel, Machine, TaskId};
use crate::abi::Answer;
use crate::backend::LabError;
use crate::trace::Observer;

/// How a step ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Flow {
    /// Go on with the next step whenever you like.
    Next,
    /// Not now.
    Blocked,
    /// The call is over; [`Steps::answer`] tells how.
    Done,
}

/// The calls that take steps.
pub(crate) trait Steps: Clone + Into<Call> + Encode {
    /// Takes the next step.
    fn step<O: Observer>(&mut self, kernel: &mut Kernel<'_, O>, task: TaskId) -> Flow;

    /// What the call returns and stores. Asked once, when it is done.
    fn answer(&mut self) -> Answer;

    /// The files that the call works on. While it is in flight each of them counts one reference more,
    /// as `fdget` takes one in a process with several threads.
    fn files(&self, _: &mut Vec<FileId>) {}

    /// Files without any reference that it is about to release.
    fn releasing(&self) -> &[FileId] {
        &[]
    }

    /// What it has in its hands at this step, for [`Machine::check`](super::Machine::check).
    fn held(&self, _: &mut Held) {}

    /// Files of which it holds a reference of its own, as poll(2) does of those that it stands at.
    fn holds(&self, _: &mut Vec<FileId>) {}

    /// Sockets of which it holds references, since it owes wake-ups to their queues.
    fn sockets(&self, _: &mut Vec<Socket>) {}

    /// Files whose last reference was such a one, and which have to be released when the call is over.
    #[inline]
    fn released(&mut self) -> Vec<FileId> {
        Vec::new()
    }

    /// When the timer fires that it sleeps with, in virtual nanoseconds; none anywhere but at that sleep.
    fn deadline(&self) -> Option<u64> {
        None
    }

    /// What the next step looks at and changes.
    fn footprint(&self, _: &Machine, _: TaskId) -> Footprint {
        Footprint::EVERYTHING
    }

    /// The name of the step at which the call stands.
    fn at(&self) -> String;
}

/// What a call in flight has in its hands.
#[derive(Clone, Debug, Default)]
pub(crate) struct Held {
    /// Epolls whose `mtx` it has taken.
    pub(crate) mutexes: Vec<EpId>,
    /// Those among them whose ready list it is working through.
    pub(crate) scans: Vec<EpId>,
    /// It has taken `epnested_mutex`.
    pub(crate) epnested_mutex: bool,
    /// An item that its scan has taken off every list.
    pub(crate) in_hand: Option<ItemId>,
    /// An epoll whose items it takes off their files' wait queues, all of them before it removes the first.
    pub(crate) clears: Option<EpId>,
    /// A new item that has not been hooked yet.
    pub(crate) unhooked: Option<ItemId>,
    /// Files whose lock it has taken and keeps while it makes wake-ups, if their kind has one.
    pub(crate) locked: Vec<FileId>,
    /// Wake-ups under way.
    pub(crate) walks: Vec<Walk>,
    /// Its own entry on a wait queue, or several in poll(2), whose task keeps them.
    pub(crate) waiter: Option<WaitId>,
    /// It stands at a step at which it may be asleep.
    pub(crate) may_sleep: bool,
    /// It is on its way to look through this epoll's ready list, if it was not asleep.
    pub(crate) looks_at: Option<EpId>,
}

macro_rules! calls {
    ($($(#[$doc:meta])* $variant:ident($type:ident);)*) => {
        /// Which call, and where in it.
        #[derive(Debug)]
        pub(crate) enum Call {
            $($(#[$doc])* $variant(Box<$type>),)*
        }

        impl Clone for Call {
            fn clone(&self) -> Call {
                match self { $(Call::$variant(call) => Call::$variant(call.clone()),)* }
            }

            /// Into the same box, if it is the same sort of call.
            fn clone_from(&mut self, source: &Call) {
                match (self, source) {
                    $((Call::$variant(call), Call::$variant(source)) => call.clone_from(source),)*
                    (call, source) => *call = source.clone(),
                }
            }
        }

        $(impl From<$type> for Call {
            fn from(call: $type) -> Call {
                Call::$variant(Box::new(call))
            }
        })*

        impl Call {
            fn step<O: Observer>(&mut self, kernel: &mut Kernel<'_, O>, task: TaskId) -> Flow {
                match self { $(Call::$variant(call) => call.step(kernel, task),)* }
            }

            fn answer(&mut self) -> Answer {
                match self { $(Call::$variant(call) => call.answer(),)* }
            }

            fn released(&mut self) -> Vec<FileId> {
                match self { $(Call::$variant(call) => call.released(),)* }
            }

            pub(crate) fn holds(&self, files: &mut Vec<FileId>) {
                match self { $(Call::$variant(call) => call.holds(files),)* }
            }

            pub(crate) fn sockets(&self, sockets: &mut Vec<Socket>) {
                match self { $(Call::$variant(call) => call.sockets(sockets),)* }
            }

            pub(crate) fn files(&self, files: &mut Vec<FileId>) {
                match self { $(Call::$variant(call) => call.files(files),)* }
            }

            pub(crate) fn releasing(&self) -> &[FileId] {
                match self { $(Call::$variant(call) => call.releasing(),)* }
            }

            pub(crate) fn held(&self, held: &mut Held) {
                match self { $(Call::$variant(call) => call.held(held),)* }
            }

            pub(crate) fn deadline(&self) -> Option<u64> {
                match self { $(Call::$variant(call) => call.deadline(),)* }
            }

            pub(crate) fn footprint(&self, machine: &Machine, task: TaskId) -> Footprint {
                match self { $(Call::$variant(call) => call.footprint(machine, task),)* }
            }

            /// The call's kernel function and its step, `ep_poll: Sleep`.
            pub(crate) fn at(&self) -> String {
                match self { $(Call::$variant(call) => call.at(),)* }
            }
        }
    };
}

calls! {
    /// epoll_wait(2) and its variants.
    EpollWait(EpollWait);
    /// epoll_ctl(2)
    EpollCtl(EpollCtl);
    /// read(2) or write(2)
    Transfer(Transfer);
    /// openat(2)
    Open(Open);
    /// fcntl(2) with `F_SETPIPE_SZ`.
    PipeResize(PipeResize);
    /// ioctl(2) with `TCSETS` or `TCFLSH`
    TtyChange(TtyChange);
    /// ioctl(2) with `TFD_IOC_SET_TICKS`
    SetTicks(SetTicks);
    /// signalfd4(2) with another mask.
    SetSignals(SetSignals);
    /// poll(2), select(2), pselect(2)
    Poll(Poll);
    /// kill(2), tgkill(2)
    Kill(Kill);
    /// A call about names that has to wait before it begins.
    Deferred(Deferred);
    /// nanosleep(2) and others that only sleep.
    Sleep(Sleep);
    /// wait4(2)
    Wait4(Wait4);
    /// Reading `/proc/PID/fdinfo/EPFD`.
    Fdinfo(FdinfoRead);
    /// shutdown(2), listen(2), setsockopt(2)
    SocketChange(SocketChange);
    /// The end of files whose last reference a call has dropped (`__fput`).
    Release(Release);
    /// The end of a task (`do_exit`).
    Exit(Exit);
    /// The way back to user mode, where signals are taken.
    Deliver(Deliver);
}

/// How far a call goes when it is made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Pace {
    /// Until it is over or cannot go on.
    Whole,
    /// Past its argument checks, to its first step. A call without steps is over then.
    Stepwise,
}

/// What a step came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stepped {
    /// The task is in no call.
    Idle,
    /// A step was taken.
    Moved,
    /// The next step cannot be taken now; nothing was changed.
    Blocked,
}

impl<O: Observer> Kernel<'_, O> {
    /// Makes the whole call: steps until it is over or sleeps. Only a sleeping call moves into its task,
    /// or one that is to be made step by step.
    ///
    /// Never a lab's error: the answer is built as the `Result` in which it leaves the model, since to
    /// wrap it on the way out would copy it.
    #[inline]
    pub(crate) fn run<C: Steps>(&mut self, task: TaskId, call: &mut C) -> Result<Answer, LabError> {
        if self.pace == Pace::Stepwise {
            return Ok(self.park(task, call.clone().into()));
        }
        loop {
            match call.step(self, task) {
                Flow::Next => {}
                Flow::Done => {
                    let released = call.released();
                    if released.is_empty() && !self.m.task(task).is_notified() {
                        return Ok(call.answer());
                    }
                    self.end_call(task, call.clone().into(), released);
                    return Ok(self.run_to_user_mode(task));
                }
                Flow::Blocked => return Ok(self.park(task, call.clone().into())),
            }
        }
    }

    /// The end of a call that has no steps.
    pub(crate) fn finish(&mut self, task: TaskId, answer: Answer) -> Answer {
        if !self.m.task(task).is_notified() || answer == Answer::Blocked {
            return answer;
        }
        self.leave(task, answer);
        match self.pace {
            Pace::Whole => self.run_to_user_mode(task),
            Pace::Stepwise => self.m.take_answer(task).unwrap_or(Answer::Blocked),
        }
    }

    /// Goes on with what is left of a call, as far as it gets.
    #[cold]
    fn run_to_user_mode(&mut self, task: TaskId) -> Answer {
        while self.step(task) == Stepped::Moved {}
        self.m.take_answer(task).unwrap_or(Answer::Blocked)
    }

    #[cold]
    pub(crate) fn park(&mut self, task: TaskId, call: Call) -> Answer {
        let mut pinned = Vec::new();
        call.files(&mut pinned);
        for file in &pinned {
            self.m.files[*file].refs += 1;
        }
        let task = self.m.task_mut(task);
        task.pinned = pinned;
        task.call = Some(call);
        task.stuck = self.pace == Pace::Whole;
        Answer::Blocked
    }

    /// Takes one step of the call that `task` is in. The end of a call is left in the task's `answer`.
    pub(crate) fn step(&mut self, task: TaskId) -> Stepped {
        let Some(mut call) = self.m.task_mut(task).call.take() else {
            return Stepped::Idle;
        };
        match call.step(self, task) {
            Flow::Blocked => {
                let task = self.m.task_mut(task);
                task.call = Some(call);
                task.stuck = true;
                return Stepped::Blocked;
            }
            Flow::Next => self.m.task_mut(task).call = Some(call),
            Flow::Done => match call {
                Call::Deliver(call) => self.end_delivery(task, *call),
                mut call => {
                    let released = call.released();
                    self.end_call(task, call, released);
                }
            },
        }
        self.m.task_mut(task).stuck = false;
        Stepped::Moved
    }

    /// Drops the references of a call that was in flight. One of them may have been the last: then the
    /// call goes on as [`Release`], as a task runs `__fput` on its way back to user mode.
    fn end_call(&mut self, task: TaskId, mut call: Call, mut released: Vec<FileId>) {
        let answer = call.answer();
        let state = self.m.task_mut(task);
        // A call that only releases files has the answer from the call before.
        if matches!(&answer, Answer::Failed(errno, _) if is_restart(*errno))
            && let Some(again) = call.again()
        {
            state.signals.restart = Some(again);
        }
        let pinned = std::mem::take(&mut state.pinned);
        released.extend(pinned.into_iter().filter(|file| self.m.put_file(*file)));
        if released.is_empty() {
            self.leave(task, answer);
        } else {
            self.m.task_mut(task).call = Some(Release::new(answer, released).into());
        }
    }

    /// Back to the mask from before the call, unless a handler is to do that, and to user mode.
    fn leave(&mut self, task: TaskId, answer: Answer) {
        if !is_interrupted(&answer) {
            self.restore_mask(task);
        }
        self.return_to_user(task, answer);
    }
}
