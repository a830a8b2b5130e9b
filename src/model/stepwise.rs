//! The machine in slow motion: calls begun and then advanced one step at a time, in any order that the
//! caller likes. That is all that an explorer of interleavings needs, or a stepper, or a random test.
//!
//! ```
//! use epoll_lab::abi::{Answer, Syscall, TaskId};
//! use epoll_lab::model::{Machine, Stepped};
//!
//! let mut machine = Machine::new();
//! let dup = Syscall::Dup { oldfd: epoll_lab::abi::Fd(0) };
//! let three = machine.begin(TaskId::MAIN, dup, &mut ()).unwrap();
//! assert_eq!(three, Answer::ret(3));
//! let close = Syscall::Close { fd: epoll_lab::abi::Fd(3) };
//! assert_eq!(machine.begin(TaskId::MAIN, close, &mut ()).unwrap(), Answer::Blocked);
//! while machine.step(TaskId::MAIN, &mut ()) == Stepped::Moved {}
//! assert_eq!(machine.take_answer(TaskId::MAIN), Some(Answer::ret(0)));
//! ```

use super::call::{Pace, Stepped};
use super::signal::Stop;
use super::task::{Life, Task};
use super::{Kernel, Machine, task_index};
use crate::abi::{Answer, SigInfo, Syscall, TaskId};
use crate::backend::LabError;
use crate::trace::Observer;

impl Machine {
    /// Checks the call's arguments, looks up its files, and stands before its first step:
    /// [`Answer::Blocked`]. A call that has no steps, or fails its checks, is over at once.
    pub fn begin<O: Observer>(
        &mut self,
        task: TaskId,
        call: Syscall,
        observer: &mut O,
    ) -> Result<Answer, LabError> {
        self.check_fit(task)?;
        Kernel::new(self, observer, Pace::Stepwise).syscall(task, call)
    }

    /// Takes the next step of the call that `task` is in, if it can be taken now.
    pub fn step<O: Observer>(&mut self, task: TaskId, observer: &mut O) -> Stepped {
        Kernel::new(self, observer, Pace::Stepwise).step(task)
    }

    /// How the last call of `task` ended, if it took steps; once.
    pub fn take_answer(&mut self, task: TaskId) -> Option<Answer> {
        self.task_mut(task).answer.take()
    }

    /// The signal handlers that have run since the last time this was asked, in the order of delivery.
    pub fn take_handled(&mut self) -> Vec<(TaskId, SigInfo)> {
        std::mem::take(&mut self.handled)
    }

    /// Starts one more thread in the process of `task`.
    pub fn spawn(&mut self, task: TaskId) -> Result<TaskId, LabError> {
        let state = self.find(task)?;
        if state.signals.stop == Stop::Stopped {
            return Err(unfit(task, state));
        }
        Ok(self.new_thread(task))
    }

    /// Whether `task` is in a call and sleeps there, with nobody having woken it, or has been stopped.
    pub fn is_asleep(&self, task: TaskId) -> bool {
        let state = self.task(task);
        state.signals.stop == Stop::Stopped || (state.call.is_some() && !state.is_awake())
    }

    /// Whether `task` is in the middle of a call.
    pub fn is_in_call(&self, task: TaskId) -> bool {
        let state = self.tasks.get(task_index(task));
        state.is_some_and(|state| state.call.is_some())
    }

    /// Whether `task` can make a call.
    pub fn is_fit(&self, task: TaskId) -> bool {
        let state = self.tasks.get(task_index(task));
        state.is_some_and(|state| state.life == Life::Alive && state.call.is_none())
    }

    /// The kernel function and the step at which the call of `task` stands: `ep_poll: Sleep`.
    pub fn at(&self, task: TaskId) -> Option<String> {
        let call = self.tasks.get(task_index(task))?.call.as_ref()?;
        Some(call.at())
    }

    /// Whether `task` can make a call.
    #[inline]
    pub(crate) fn check_fit(&self, task: TaskId) -> Result<(), LabError> {
        let state = self.find(task)?;
        if state.life != Life::Alive || state.call.is_some() {
            return Err(unfit(task, state));
        }
        Ok(())
    }

    #[inline]
    fn find(&self, task: TaskId) -> Result<&Task, LabError> {
        let state = self.tasks.get(task_index(task));
        state.ok_or_else(|| no_task(task))
    }
}

#[cold]
fn no_task(task: TaskId) -> LabError {
    LabError::new(format!("there is no task {}", task.0))
}

#[cold]
fn unfit(task: TaskId, state: &Task) -> LabError {
    if state.signals.stop == Stop::Stopped {
        return LabError::new(format!("task {} is stopped", task.0));
    }
    let why = match state.life {
        Life::Alive => "is in a call already",
        Life::Elsewhere => "runs another program since its execve",
        Life::Exiting | Life::Dead => "is gone",
    };
    LabError::new(format!("task {} cannot make a call: it {why}", task.0))
}
