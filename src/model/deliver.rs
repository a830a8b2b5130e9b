//! Signals from the receiver's side: the way back to user mode (`exit_to_user_mode_loop`,
//! `arch_do_signal_or_restart`).
//!
//! A thread takes its signals when it is about to run its own program again: after a call, or at once if it
//! was running it. What it does for each is decided here:
//!
//! ```text
//!    Signal ──nothing (left) to take──► made again, or over
//!      │  ▲
//!      │  └─more──┐
//!      ├─handler──┴─► frame; none left ──► Handler ──rt_sigreturn, frame by frame──► Signal, or over
//!      ├─stop──► Tell ──► Stopped ──SIGCONT──► Signal
//!      └─end──► do_exit
//! ```
//!
//! A handler is entered by a *frame*: a piece of stack that returns to where the thread was. If several
//! signals can be taken, all frames are built before any handler has run, one on top of the other; so the
//! handler of the signal that was taken last runs first, unless `sa_mask` keeps that one pending.
//!
//! What becomes of a call that was interrupted is decided by the first handler, and with it comes the mask
//! that the call had replaced: the frame brings back the one from before, and not before the handler is
//! through. This is why nothing slips in between in epoll_pwait(2).

use super::Kernel;
use super::call::{Call, Flow, Held, Steps};
use super::encode::{Encode, Encoder, encode_option, variant_is_number};
use super::file::{Transfer, What};
use super::signal::restart::{ERESTARTSYS, is_restart};
use super::signal::{DefaultAction, Job, SendTo, Stop, Told};
use super::syscall::{Exit, Open, Poll, Sleep, Wait4};
use super::wait_queue::{Nr, Wake, Walked, Walks};
use crate::abi::{
    Answer, Errno, EventMask, Fd, SaFlags, SiCode, SigAction, SigHandler, SigInfo, SigSet, Signal,
    TaskId, WaitStatus,
};
use crate::trace::{Observer, Trace};

/// A thread on its way.
#[derive(Clone, Debug)]
pub(crate) struct Deliver {
    /// What the call returns that it has made; nothing if it was in none, or makes it again.
    answer: Option<Answer>,
    /// The mask that the return from each handler brings back, by frame.
    frames: Vec<SigSet>,
    at: At,
    walks: Walks,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum At {
    /// About to take the next signal (`get_signal`).
    Signal,
    /// Waking the parent that waits for a stop.
    Tell,
    /// `TASK_STOPPED`
    Stopped,
    /// In the handler of the last frame.
    Handler,
}

impl Deliver {
    /// Of a thread that runs its program.
    pub(crate) fn to_user_mode() -> Deliver {
        Deliver::after(None)
    }

    fn after(answer: Option<Answer>) -> Deliver {
        Deliver {
            answer,
            frames: Vec::new(),
            at: At::Signal,
            walks: Walks::default(),
        }
    }

    /// Whether the thread has made no call that this is the end of.
    pub(crate) fn is_out_of_the_blue(&self) -> bool {
        self.answer.is_none()
    }
}

/// Whether a signal has ended the call: then a mask that it had set stays until the handler is through.
pub(crate) fn is_interrupted(answer: &Answer) -> bool {
    matches!(answer, Answer::Failed(errno, _) if *errno == Errno::EINTR || is_restart(*errno))
}

impl<O: Observer> Kernel<'_, O> {
    /// The last thing that a task does in the kernel: leaves its answer, unless there are signals to take.
    pub(crate) fn return_to_user(&mut self, task: TaskId, answer: Answer) {
        let state = self.m.task_mut(task);
        if answer == Answer::Gone {
            state.answer = Some(answer);
        } else if state.fatal_signal {
            state.signals.restart = None;
            state.call = Some(Exit::killed().into());
        } else if state.sigpending {
            state.call = Some(Deliver::after(Some(answer)).into());
        } else {
            state.answer = Some(answer);
        }
    }

    /// Step: take a signal, and begin what it means.
    fn deliver_signal(&mut self, task: TaskId, call: &mut Deliver) -> Flow {
        // It may come to telling the parent, of a stop.
        let parent = self.m.parent_of(self.m.task(task).process);
        if parent.is_some_and(|parent| self.m.is_signal_held_up(parent)) {
            return Flow::Blocked;
        }
        let job = &mut self.m.process_mut(task).signals.job;
        if let Some(told) = job.tell.take() {
            self.tell_parent(task, call, told);
            return Flow::Next;
        }
        loop {
            let state = self.m.task(task);
            if state.fatal_signal {
                return Flow::Done;
            }
            if state.signals.stop == Stop::Pending {
                return self.do_signal_stop(task, call);
            }
            let blocked = self.m.task(task).signals.blocked;
            let Some(info) = self.m.dequeue_signal(task, blocked) else {
                break;
            };
            let signal = info.signo;
            let action = self.m.process(task).signals.action(signal);
            match (action.handler, DefaultAction::of(signal)) {
                (SigHandler::Handle, _) => {
                    self.setup_frame(task, call, info);
                    return Flow::Next;
                }
                (SigHandler::Ignore, _) | (SigHandler::Default, DefaultAction::Ignore) => {}
                (SigHandler::Default, DefaultAction::Stop) => {
                    let job = &mut self.m.process_mut(task).signals.job;
                    if !job.stopped {
                        job.signal = Some(signal);
                    }
                    self.m.task_mut(task).signals.stop = Stop::Pending;
                    self.stop_the_others(task);
                    return self.do_signal_stop(task, call);
                }
                (SigHandler::Default, DefaultAction::Terminate) => {
                    let process = self.m.task(task).process;
                    self.end_process(process, WaitStatus::Signaled(signal), None);
                    return Flow::Done;
                }
            }
        }
        // Nobody has handled anything. The call's own mask goes, and what it kept away may come.
        self.restore_mask(task);
        self.after_signal(task, call)
    }

    /// There may be more; else the topmost handler runs, or the program.
    fn after_signal(&mut self, task: TaskId, call: &mut Deliver) -> Flow {
        call.at = match (self.m.task(task).sigpending, call.frames.is_empty()) {
            (true, _) => At::Signal,
            (false, false) => At::Handler,
            (false, true) => return Flow::Done,
        };
        Flow::Next
    }

    /// Builds the frame that enters a handler (`handle_signal`).
    fn setup_frame(&mut self, task: TaskId, call: &mut Deliver, info: SigInfo) {
        let signals = &mut self.m.process_mut(task).signals;
        let action = signals.action(info.signo);
        if action.flags.contains(SaFlags::RESETHAND) {
            let reset = SigAction {
                handler: SigHandler::Default,
                ..action
            };
            signals.set_action(info.signo, reset);
        }
        if let Some(Answer::Failed(errno, _)) = &mut call.answer
            && is_restart(*errno)
        {
            if *errno == ERESTARTSYS && action.flags.contains(SaFlags::RESTART) {
                call.answer = None;
            } else {
                *errno = Errno::EINTR;
                self.m.task_mut(task).signals.restart = None;
            }
        }
        let own_mask = self.m.task_mut(task).signals.saved.take();
        let blocked = self.m.task(task).signals.blocked;
        call.frames.push(own_mask.unwrap_or(blocked));
        let mut mask = blocked.union(action.mask);
        if !action.flags.contains(SaFlags::NODEFER) {
            mask.insert(info.signo);
        }
        self.set_blocked(task, mask);
        self.m.handled.push((task, info));
        self.obs.on(Trace::Handler {
            task,
            signal: info.signo,
        });
        // With a frame there is always something to do.
        let _ = self.after_signal(task, call);
    }

    /// Step: the topmost handler runs, and returns (`rt_sigreturn`).
    fn run_handler(&mut self, task: TaskId, call: &mut Deliver) -> Flow {
        if let Some(mask) = call.frames.pop() {
            self.set_blocked(task, mask);
        }
        self.after_signal(task, call)
    }

    /// Stops; the last thread to do so tells the parent (`do_signal_stop`).
    fn do_signal_stop(&mut self, task: TaskId, call: &mut Deliver) -> Flow {
        let state = self.m.task_mut(task);
        state.signals.stop = Stop::Stopped;
        self.m.recalc_sigpending(task);
        self.obs.on(Trace::Stop { task });
        call.at = At::Stopped;
        let process = self.m.task(task).process;
        let stopping = |thread| self.m.task(thread).signals.stop == Stop::Pending;
        let last = !self.m.threads(process).any(stopping);
        let job = &mut self.m.process_mut(task).signals.job;
        if last && !job.stopped {
            *job = Job {
                stopped: true,
                continued: false,
                tell: None,
                ..*job
            };
            self.tell_parent(task, call, Told::Stopped);
        }
        Flow::Next
    }

    /// `do_notify_parent_cldstop`
    fn tell_parent(&mut self, task: TaskId, call: &mut Deliver, told: Told) {
        let process = self.m.task(task).process;
        let leader = self.m.process(task).leader;
        let Some(parent) = self.m.parent_of(process) else {
            return;
        };
        let signals = &self.m.process(parent).signals;
        let action = signals.action(Signal::SIGCHLD);
        let wanted =
            action.handler != SigHandler::Ignore && !action.flags.contains(SaFlags::NOCLDSTOP);
        if wanted {
            let (code, signal) = match told {
                Told::Stopped => (SiCode::CLD_STOPPED, self.m.process(task).signals.job.signal),
                Told::Continued => (SiCode::CLD_CONTINUED, Some(Signal::SIGCONT)),
            };
            let info = SigInfo {
                status: signal.map_or(0, |signal| signal.0),
                ..self.m.info_from(leader, Signal::SIGCHLD, code)
            };
            self.send_signal(SendTo::Process(parent), info);
        }
        let wake = Wake {
            head: self.m.process(parent).wait_chldexit,
            key: EventMask::empty(),
            nr: Nr::One,
        };
        self.wake_up(&mut call.walks, wake);
        call.at = At::Tell;
    }

    /// Step: one of those who wait for this child.
    fn wake_parent(&mut self, task: TaskId, call: &mut Deliver) -> Flow {
        match self.wake_step(task, &mut call.walks) {
            Walked::Blocked => return Flow::Blocked,
            Walked::More => {}
            Walked::Done => {
                call.at = match self.m.task(task).signals.stop {
                    Stop::Stopped => At::Stopped,
                    Stop::No | Stop::Pending => At::Signal,
                };
            }
        }
        Flow::Next
    }

    /// Step: SIGCONT, or the end.
    fn stopped(&mut self, task: TaskId, call: &mut Deliver) -> Flow {
        if self.m.task(task).signals.stop == Stop::Stopped {
            return Flow::Blocked;
        }
        call.at = At::Signal;
        Flow::Next
    }

    /// In user mode, dead, or in the call once more.
    pub(crate) fn end_delivery(&mut self, task: TaskId, call: Deliver) {
        let state = self.m.task_mut(task);
        let again = state.signals.restart.take();
        if state.fatal_signal {
            state.call = Some(Exit::killed().into());
        } else if let Some(again) = again {
            self.obs.on(Trace::Restart { task });
            match self.make_again(task, again) {
                Ok(again) => {
                    self.park(task, again);
                }
                Err(errno) => self.return_to_user(task, Answer::err(errno)),
            }
        } else {
            state.answer = call.answer;
        }
    }

    /// The program makes its call again: with the same arguments, so it looks its descriptors up anew.
    fn make_again(&mut self, task: TaskId, call: Again) -> Result<Call, Errno> {
        Ok(match call {
            Again::Transfer(fd, What::Read { buf, count }) => {
                let file = self.check_read(task, fd, buf, count)?;
                Transfer::read(fd, file, buf, count).into()
            }
            Again::Transfer(fd, What::Write { buf, count }) => {
                let file = self.check_write(task, fd, &buf, count)?;
                Transfer::write(fd, file, buf, count).into()
            }
            Again::Transfer(fd, What::WriteEach { parts }) => {
                self.writev_again(task, fd, parts)?.into()
            }
            Again::Transfer(fd, What::Splice(splicing)) => {
                self.splice_again(task, fd, *splicing)?.into()
            }
            // A descriptor that is no socket any more has no such call to make.
            Again::Transfer(fd, what) => self.socket_again(task, fd, what)?.into(),
            Again::Poll(call) => self.poll_again(task, *call)?.into(),
            Again::Open(call) => (*call).into(),
            Again::Wait4(call) => call.into(),
            Again::Sleep(call) => self.sleep_again(task, call).into(),
        })
    }
}

/// What a call was made with that is to be made again.
#[derive(Clone, Debug)]
pub(crate) enum Again {
    /// read(2) or write(2)
    Transfer(Fd, What),
    Poll(Box<Poll>),
    Open(Box<Open>),
    Wait4(Wait4),
    Sleep(Sleep),
}

impl Call {
    /// What is needed to make it again, of a call that asks for it.
    pub(super) fn again(self) -> Option<Again> {
        match self {
            Call::Transfer(call) => {
                let (fd, what) = call.into_arguments();
                Some(Again::Transfer(fd, what))
            }
            Call::Poll(call) => Some(Again::Poll(Box::new(call.rewound()))),
            Call::Open(call) => Some(Again::Open(Box::new(call.rewound()))),
            Call::Wait4(call) => Some(Again::Wait4(call.rewound())),
            Call::Sleep(call) => Some(Again::Sleep(call.rewound())),
            Call::EpollWait(_)
            | Call::EpollCtl(_)
            | Call::PipeResize(_)
            | Call::TtyChange(_)
            | Call::SetTicks(_)
            | Call::SetSignals(_)
            | Call::Kill(_)
            | Call::Deferred(_)
            | Call::Fdinfo(_)
            | Call::SocketChange(_)
            | Call::Release(_)
            | Call::Exit(_)
            | Call::Deliver(_) => None,
        }
    }
}

impl Steps for Deliver {
    fn step<O: Observer>(&mut self, kernel: &mut Kernel<'_, O>, task: TaskId) -> Flow {
        match self.at {
            At::Signal => kernel.deliver_signal(task, self),
            At::Tell => kernel.wake_parent(task, self),
            At::Stopped => kernel.stopped(task, self),
            At::Handler => kernel.run_handler(task, self),
        }
    }

    fn answer(&mut self) -> Answer {
        unreachable!("it may have none: see `end_delivery`")
    }

    fn held(&self, held: &mut Held) {
        held.walks.extend(self.walks.iter());
    }

    fn at(&self) -> String {
        match self.at {
            At::Signal => "get_signal".to_owned(),
            At::Tell => "do_notify_parent_cldstop".to_owned(),
            At::Stopped => "do_signal_stop".to_owned(),
            At::Handler => "user mode: Handler".to_owned(),
        }
    }
}

variant_is_number!(At);

impl Encode for Again {
    fn encode(&self, to: &mut Encoder<'_>) {
        match self {
            Again::Transfer(fd, what) => {
                to.byte(1);
                fd.encode(to);
                what.encode(to);
            }
            Again::Poll(call) => {
                to.byte(2);
                call.encode(to);
            }
            Again::Open(call) => {
                to.byte(5);
                call.encode(to);
            }
            Again::Wait4(call) => {
                to.byte(3);
                call.encode(to);
            }
            Again::Sleep(call) => {
                to.byte(4);
                call.encode(to);
            }
        }
    }
}

impl Encode for Deliver {
    fn encode(&self, to: &mut Encoder<'_>) {
        let Deliver {
            answer,
            frames,
            at,
            walks,
        } = self;
        at.encode(to);
        encode_option(answer, to);
        frames.encode(to);
        if *at == At::Tell {
            walks.encode(to);
        }
    }
}
