//! Calls about signals: kill(2), tgkill(2), rt_sigaction(2), rt_sigprocmask(2), rt_sigpending(2).

use super::super::Kernel;
use super::super::call::{Flow, Steps};
use super::super::encode::{Encode, Encoder, Number};
use super::super::signal::SendTo;
use super::super::task::ProcessStatus;
use super::SIGSET_SIZE;
use crate::abi::{
    Answer, Errno, Fd, Out, OutPtr, Ptr, Room, SaFlags, SiCode, SigAction, SigSet, SigmaskHow,
    Signal, TaskId,
};
use crate::backend::LabError;
use crate::model::arena::Id;
use crate::trace::Observer;

/// What Linux keeps of `sa_flags` (`UAPI_SA_FLAGS`, since 5.11), but for `SA_RESTORER`.
const KNOWN_FLAGS: SaFlags = SaFlags::NOCLDSTOP
    .union(SaFlags::NOCLDWAIT)
    .union(SaFlags::SIGINFO)
    .union(SaFlags::ONSTACK)
    .union(SaFlags::RESTART)
    .union(SaFlags::NODEFER)
    .union(SaFlags::RESETHAND)
    .union(SaFlags::from_bits_retain(SA_EXPOSE_TAGBITS));
const SA_EXPOSE_TAGBITS: u32 = 0x800;
/// `PIDFD_SIGNAL_*`: to whom, whatever the pidfd stands for.
const TO_THREAD: u32 = 1;
const TO_THREAD_GROUP: u32 = 2;
const TO_PROCESS_GROUP: u32 = 4;
/// `sizeof(struct sigaction)` in the kernel.
const SIGACTION_SIZE: u64 = 32;

impl<O: Observer> Kernel<'_, O> {
    /// kill(2). The processes of the machine are one process group.
    pub(super) fn kill(&mut self, task: TaskId, pid: i32, sig: Signal) -> Result<Answer, LabError> {
        let targets = match pid {
            0 => self.group(),
            -1 => {
                return Err(LabError::new(
                    "kill of everybody would leave the lab: name a task, or 0 for the group",
                ));
            }
            pid => TaskId::from_pid(pid)
                .filter(|target| self.has_task(*target))
                .map(|target| vec![SendTo::Process(target)])
                .unwrap_or_default(),
        };
        Ok(self.send(task, targets, sig))
    }

    /// The newest process first (`__kill_pgrp_info`).
    fn group(&self) -> Vec<SendTo> {
        let processes = self.m.processes.iter().rev();
        let members = processes.filter(|process| process.status != ProcessStatus::Reaped);
        members
            .map(|process| SendTo::Process(process.leader))
            .collect()
    }

    /// tgkill(2), and tkill(2) without a `tgid`.
    pub(super) fn tgkill(
        &mut self,
        task: TaskId,
        tgid: Option<i32>,
        tid: i32,
        sig: Signal,
    ) -> Answer {
        if tid <= 0 || tgid.is_some_and(|tgid| tgid <= 0) {
            return Answer::err(Errno::EINVAL);
        }
        let target = TaskId::from_pid(tid).filter(|target| {
            let of_group = |tgid| tgid == self.m.process(*target).leader.pid();
            self.has_task(*target) && tgid.is_none_or(of_group)
        });
        let targets = target.map(SendTo::Thread).into_iter().collect();
        self.send(task, targets, sig)
    }

    /// pidfd_send_signal(2)
    pub(super) fn pidfd_send_signal(
        &mut self,
        task: TaskId,
        pidfd: Fd,
        sig: Signal,
        flags: u32,
    ) -> Result<Answer, LabError> {
        if flags & !(TO_THREAD | TO_THREAD_GROUP | TO_PROCESS_GROUP) != 0 || flags.count_ones() > 1
        {
            return Ok(Answer::err(Errno::EINVAL));
        }
        if flags == TO_PROCESS_GROUP {
            return Err(LabError::new(
                "the lab sends to process groups by kill only, of which it has one",
            ));
        }
        let pidfd = match self.pidfd(task, pidfd) {
            Ok((pidfd, _)) => pidfd,
            Err(errno) => return Ok(Answer::err(errno)),
        };
        let to = match flags {
            TO_THREAD => SendTo::Thread(pidfd.pid()),
            0 if pidfd.is_of_thread() => SendTo::Thread(pidfd.pid()),
            _ => SendTo::Process(pidfd.pid()),
        };
        let there = self.has_task(pidfd.pid());
        Ok(self.send(task, there.then_some(to).into_iter().collect(), sig))
    }

    /// To one after the other. No step on its own but where a lock is in the way: nobody can tell when in such
    /// a call a signal was sent.
    fn send(&mut self, task: TaskId, targets: Vec<SendTo>, sig: Signal) -> Answer {
        let mut call = Kill {
            targets,
            sig,
            result: Err(Errno::ESRCH),
        };
        loop {
            match call.step(self, task) {
                Flow::Next => {}
                Flow::Done => return call.answer(),
                Flow::Blocked => return self.park(task, call.into()),
            }
        }
    }

    /// Whether a pid names somebody: a thread that lives, or a process until it has been waited for.
    pub(crate) fn has_task(&self, target: TaskId) -> bool {
        if self.m.task_ids().all(|task| task != target) {
            return false;
        }
        let process = self.m.process(target);
        let mut threads = self.m.threads(self.m.task(target).process);
        process.status != ProcessStatus::Reaped
            && (process.leader == target || threads.any(|thread| thread == target))
    }

    /// `check_kill_permission`, then the signal; signal 0 only asks.
    fn send_from(&mut self, task: TaskId, to: SendTo, sig: Signal) -> Result<(), Errno> {
        if sig.0 != 0 && !sig.is_valid() {
            return Err(Errno::EINVAL);
        }
        let (SendTo::Thread(target) | SendTo::Process(target)) = to;
        let sender = self.m.process(task);
        let same = self.m.task(task).process.index() == self.m.task(target).process.index();
        let may = sender.uid == 0 || sender.uid == self.m.process(target).uid;
        // All processes of the machine are in one session, and there SIGCONT is allowed to everyone.
        if !same && !may && sig != Signal::SIGCONT {
            return Err(Errno::EPERM);
        }
        if sig.0 != 0 {
            let code = match to {
                SendTo::Thread(_) => SiCode::TKILL,
                SendTo::Process(_) => SiCode::USER,
            };
            let info = self.m.info_from(task, sig, code);
            self.send_signal(to, info);
        }
        Ok(())
    }

    /// rt_sigaction(2)
    pub(super) fn rt_sigaction(
        &mut self,
        task: TaskId,
        sig: Signal,
        act: Ptr<SigAction>,
        oldact: OutPtr,
        sigsetsize: u64,
    ) -> Result<Out, Errno> {
        if sigsetsize != SIGSET_SIZE {
            return Err(Errno::EINVAL);
        }
        let act = optional(act)?;
        if !sig.is_valid() || (act.is_some() && SigSet::UNBLOCKABLE.contains(sig)) {
            return Err(Errno::EINVAL);
        }
        let signals = &mut self.m.process_mut(task).signals;
        let old = signals.action(sig);
        if let Some(SigAction {
            handler,
            flags,
            mask,
        }) = act
        {
            signals.set_action(
                sig,
                SigAction {
                    handler,
                    flags: flags & KNOWN_FLAGS,
                    mask: mask.difference(SigSet::UNBLOCKABLE),
                },
            );
            // What is ignored now does not stay pending either, blocked or not.
            if signals.ignores(sig) {
                self.m.flush_signals(task, SigSet::of(sig));
            }
        }
        stored(oldact, SIGACTION_SIZE, Out::SigAction(old))
    }

    /// rt_sigprocmask(2)
    pub(super) fn rt_sigprocmask(
        &mut self,
        task: TaskId,
        how: SigmaskHow,
        set: Ptr<SigSet>,
        oldset: OutPtr,
        sigsetsize: u64,
    ) -> Result<Out, Errno> {
        if sigsetsize != SIGSET_SIZE {
            return Err(Errno::EINVAL);
        }
        let old = self.m.task(task).signals.blocked;
        if let Some(set) = optional(set)? {
            let new = match how {
                SigmaskHow::BLOCK => old.union(set),
                SigmaskHow::UNBLOCK => old.difference(set),
                SigmaskHow::SETMASK => set,
                SigmaskHow(_) => return Err(Errno::EINVAL),
            };
            self.set_blocked(task, new);
        }
        stored(oldset, SIGSET_SIZE, Out::SigSet(old))
    }

    /// rt_sigpending(2): what is pending *and* blocked. A shorter set takes as much as fits.
    pub(super) fn rt_sigpending(
        &self,
        task: TaskId,
        set: OutPtr,
        sigsetsize: u64,
    ) -> Result<Out, Errno> {
        if sigsetsize > SIGSET_SIZE {
            return Err(Errno::EINVAL);
        }
        let signals = &self.m.task(task).signals;
        let shared = self.m.process(task).signals.pending.set();
        let pending = signals.pending.set().union(shared);
        let blocked = pending.intersection(signals.blocked);
        match set {
            OutPtr::Addr(_) if sigsetsize > 0 => Err(Errno::EFAULT),
            set => stored(set, sigsetsize, Out::SigSet(blocked)),
        }
    }

    /// `set_user_sigmask`: without a mask its size does not matter.
    pub(super) fn set_user_sigmask(
        &mut self,
        task: TaskId,
        sigmask: Ptr<SigSet>,
        sigsetsize: u64,
    ) -> Result<(), Errno> {
        if sigmask.is_null() {
            return Ok(());
        }
        if sigsetsize != SIGSET_SIZE {
            return Err(Errno::EINVAL);
        }
        if let Some(mask) = optional(sigmask)? {
            self.swap_mask(task, mask);
        }
        Ok(())
    }
}

/// kill(2) or tgkill(2) in the middle of sending.
#[derive(Clone, Debug)]
pub(crate) struct Kill {
    /// To whom it is yet to be sent.
    targets: Vec<SendTo>,
    sig: Signal,
    /// One that could be told is enough.
    result: Result<(), Errno>,
}

impl Steps for Kill {
    fn step<O: Observer>(&mut self, kernel: &mut Kernel<'_, O>, task: TaskId) -> Flow {
        let Some(to) = self.targets.first().copied() else {
            return Flow::Done;
        };
        let (SendTo::Thread(target) | SendTo::Process(target)) = to;
        if kernel.m.is_signal_held_up(target) {
            return Flow::Blocked;
        }
        self.targets.remove(0);
        let sent = kernel.send_from(task, to, self.sig);
        if self.result.is_err() {
            self.result = sent;
        }
        if self.targets.is_empty() {
            Flow::Done
        } else {
            Flow::Next
        }
    }

    fn answer(&mut self) -> Answer {
        super::answer(self.result.map(|()| 0))
    }

    fn at(&self) -> String {
        "__send_signal_locked".to_owned()
    }
}

impl Encode for SendTo {
    fn encode(&self, to: &mut Encoder<'_>) {
        let (number, task) = match self {
            SendTo::Thread(task) => (0, task),
            SendTo::Process(task) => (1, task),
        };
        to.numbers([number, task.number(to)]);
    }
}

impl Encode for Kill {
    fn encode(&self, to: &mut Encoder<'_>) {
        let Kill {
            targets,
            sig,
            result,
        } = self;
        targets.encode(to);
        sig.encode(to);
        result.err().encode(to);
    }
}

/// What is behind a pointer that may be `NULL`.
fn optional<T>(ptr: Ptr<T>) -> Result<Option<T>, Errno> {
    match ptr {
        Ptr::To(value) => Ok(Some(value)),
        Ptr::Addr(0) => Ok(None),
        Ptr::Addr(_) => Err(Errno::EFAULT),
    }
}

/// The output, if it is wanted and has room.
fn stored(ptr: OutPtr, size: u64, out: Out) -> Result<Out, Errno> {
    match ptr {
        OutPtr::Addr(0) => Ok(Out::None),
        OutPtr::Memory(Room::Plenty) => Ok(out),
        OutPtr::Memory(Room::Bytes(room)) if room >= size => Ok(out),
        OutPtr::Memory(Room::Bytes(_) | Room::Frozen) | OutPtr::Addr(_) => Err(Errno::EFAULT),
    }
}
