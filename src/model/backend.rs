//! The model as a [`Backend`]: a machine, an observer, and a plain scheduler.
//!
//! The scheduler is the simplest that there is: a call runs until it is over or sleeps, and `settle` lets
//! the woken ones run, each as far as it gets, in the order in which they went to sleep. Other orders are
//! as possible on Linux; where that matters to a program, no scenario may depend on it.

use std::time::Duration;

use super::call::{Call, Pace, Stepped};
use super::{Kernel, Machine, Variants};
use crate::abi::{Answer, Fate, SigInfo, Syscall, TaskId};
use crate::backend::{Backend, LabError, Thaw};
use crate::trace::{Film, Frame, Move, Observer, Recorder, State, Trace};

/// The emulated kernel, ready to take calls.
#[derive(Debug, Default)]
pub struct Model<O = ()> {
    pub(super) machine: Machine,
    pub(super) observer: O,
    /// Tasks whose call is in flight, the one that sleeps longest first, but for `caller`.
    pub(super) in_flight: Vec<TaskId>,
    /// Who made the last call. Whether that call sleeps is asked later: to look at its answer on the way
    /// out would cost a copy of it, and that is a third of what a wait without events takes.
    caller: Option<TaskId>,
}

impl Model {
    /// A fresh machine that nobody watches.
    pub fn new() -> Model {
        Model::observed_by(())
    }

    /// Like [`Model::new`], and everything that happens inside is kept for [`Backend::take_trace`].
    pub fn recording() -> Model<Recorder> {
        Model::observed_by(Recorder::default())
    }

    /// Like [`Model::new`], and after each step a picture is taken, for [`Backend::take_film`].
    pub fn filming() -> Model<Film> {
        Model::observed_by(Film::whole())
    }
}

impl Model {
    /// Goes on with a machine, whatever its tasks are in the middle of.
    pub fn resume(machine: Machine) -> Model {
        let in_call = |task: &TaskId| machine.is_in_call(*task);
        Model {
            in_flight: machine.task_ids().filter(in_call).collect(),
            machine,
            observer: (),
            caller: None,
        }
    }
}

impl<O: Observer> Model<O> {
    /// A fresh machine that reports to `observer`.
    pub fn observed_by(observer: O) -> Model<O> {
        Model {
            machine: Machine::new(),
            observer,
            in_flight: Vec::new(),
            caller: None,
        }
    }

    /// The same model, wrong on purpose in these ways. To be said before the first call.
    #[must_use]
    pub fn with_variants(mut self, variants: Variants) -> Model<O> {
        self.machine = self.machine.with_variants(variants);
        self
    }

    /// The machine as it stands, and who watched it.
    pub fn into_parts(self) -> (Machine, O) {
        (self.machine, self.observer)
    }

    /// The machine as a value: to keep, to compare, to hash.
    pub fn machine(&self) -> &Machine {
        &self.machine
    }

    /// What a watch costs: bytes of items, wait-queue entries and tree nodes, those in reserve included,
    /// for each item that there is; 0 without any. Files and tasks are not counted in.
    #[expect(
        clippy::as_conversions,
        reason = "a figure for people; it may be rounded"
    )]
    pub fn bytes_per_watch(&self) -> f64 {
        let Machine {
            items,
            items_rest,
            waits,
            rb,
            ..
        } = &self.machine;
        match items.len() {
            0 => 0.0,
            count => {
                (items.bytes() + items_rest.bytes() + waits.bytes() + rb.bytes()) as f64
                    / count as f64
            }
        }
    }

    fn kernel(&mut self) -> Kernel<'_, O> {
        Kernel::new(&mut self.machine, &mut self.observer, Pace::Whole)
    }

    /// Takes one step of the call that `task` is in.
    fn step(&mut self, task: TaskId) -> Stepped {
        if !O::STEPS {
            return self.kernel().step(task);
        }
        let at = self.machine.task(task).call.as_ref().map(Call::at);
        let at = at.unwrap_or_default();
        let stepped = self.kernel().step(task);
        match stepped {
            Stepped::Moved => self.picture(Move::Step { task, at }, None),
            // Once it is told what a task waits for it is not told again.
            Stepped::Blocked if self.observer.has_news() => {
                self.picture(Move::Stuck { task, at }, None);
            }
            Stepped::Blocked | Stepped::Idle => {}
        }
        stepped
    }

    /// Shows the observer what has become of a step.
    fn picture(&mut self, what: Move, answer: Option<Answer>) {
        let ended = what.task().map(|task| self.machine.task(task));
        let answer = answer.or_else(|| ended.and_then(|task| task.answer.clone()));
        let Model {
            machine, observer, ..
        } = self;
        observer.step(what, answer, || machine.view());
    }

    /// Makes a call step by step, until it is over or cannot go on.
    #[cold]
    fn submit_slowly(&mut self, task: TaskId, call: Syscall) -> Result<Answer, LabError> {
        let what = Move::Call {
            task,
            call: call.clone(),
        };
        let answer = self.machine.begin(task, call, &mut self.observer)?;
        let ended = (answer != Answer::Blocked).then(|| answer.clone());
        self.picture(what, ended);
        // A timer set to a time that has passed: the interrupt comes before the caller can look.
        self.jump(self.machine.now);
        if answer != Answer::Blocked {
            return Ok(answer);
        }
        while self.step(task) == Stepped::Moved {}
        Ok(self.machine.take_answer(task).unwrap_or(Answer::Blocked))
    }

    /// Does the work that a call has left behind, and goes on with the call if it waited for just that.
    #[cold]
    fn catch_up(&mut self, task: TaskId, mut answer: Answer) -> Result<Answer, LabError> {
        while self.work_all() && answer == Answer::Blocked {
            while self.step(task) == Stepped::Moved {}
            if let Some(ended) = self.machine.take_answer(task) {
                answer = ended;
            }
        }
        Ok(answer)
    }

    /// Does all work that waits, as far as no lock is in its way.
    #[cold]
    fn work_all(&mut self) -> bool {
        let mut any = false;
        loop {
            let mut works = self.machine.works();
            let Some(work) = works.find(|work| self.machine.may_work(*work)) else {
                return any;
            };
            drop(works);
            self.machine.work(work, &mut self.observer);
            if O::STEPS {
                let at = work.function().to_owned();
                self.picture(Move::Work { at }, None);
            }
            any = true;
        }
    }

    /// Lets time pass up to the next moment at which timers fire, if it comes by then.
    fn jump(&mut self, no_later_than: u64) -> bool {
        let jumped = self.kernel().jump(no_later_than);
        if O::STEPS && jumped {
            self.picture(Move::Time, None);
        }
        jumped
    }

    /// Puts whoever made the last call behind all others that sleep, if it sleeps.
    #[inline]
    pub(super) fn line_up_caller(&mut self) {
        if let Some(caller) = self.caller.take()
            && self.machine.task(caller).call.is_some()
        {
            self.in_flight.push(caller);
        }
    }

    /// Lets every call in flight take steps until none can.
    fn run_all(&mut self) -> Vec<(TaskId, Answer)> {
        self.line_up_caller();
        let mut ended = Vec::new();
        loop {
            let moved = self.run_each_once(&mut ended);
            if !moved {
                return ended;
            }
        }
    }

    /// Lets a task handle what has come to it while it ran its program; then it can make a call.
    #[cold]
    fn take_signals(&mut self, task: TaskId, unfit: LabError) -> Result<(), LabError> {
        if !self.machine.is_taking_signals(task) {
            return Err(unfit);
        }
        while self.step(task) == Stepped::Moved {}
        self.machine.check_fit(task)
    }

    fn run_each_once(&mut self, ended: &mut Vec<(TaskId, Answer)>) -> bool {
        let mut any = self.machine.has_work() && self.work_all();
        // A call can begin by itself: the exit of a task that was killed.
        for task in self.machine.task_ids() {
            if self.machine.task(task).call.is_some() && !self.in_flight.contains(&task) {
                self.in_flight.push(task);
            }
        }
        for task in std::mem::take(&mut self.in_flight) {
            let mut moved = false;
            while self.step(task) == Stepped::Moved {
                moved = true;
            }
            any |= moved;
            match self.machine.take_answer(task) {
                Some(answer) => ended.push((task, answer)),
                None => self.in_flight.push(task),
            }
        }
        any
    }
}

impl<O: Observer> Backend for Model<O> {
    fn name(&self) -> String {
        match self.machine.variants() {
            Variants::NONE => "model".to_owned(),
            variants => format!("model {variants}"),
        }
    }

    #[inline]
    fn submit(&mut self, task: TaskId, call: Syscall) -> Result<Answer, LabError> {
        if let Err(unfit) = self.machine.check_fit(task) {
            self.take_signals(task, unfit)?;
        }
        self.line_up_caller();
        self.caller = Some(task);
        let answer = if O::STEPS {
            self.submit_slowly(task, call)
        } else {
            self.kernel().syscall(task, call)
        };
        if self.machine.has_work() {
            return self.catch_up(task, answer?);
        }
        answer
    }

    fn settle(&mut self) -> Result<Vec<(TaskId, Answer)>, LabError> {
        Ok(self.run_all())
    }

    fn finish(&mut self, task: TaskId) -> Result<Vec<(TaskId, Answer)>, LabError> {
        let mut ended = self.run_all();
        while !ended.iter().any(|(other, _)| *other == task) {
            if !self.jump(u64::MAX) {
                let at = self.machine.task(task).call.as_ref().map(|call| call.at());
                let at = at.unwrap_or_else(|| "no call".to_owned());
                return Err(LabError::new(format!(
                    "task {} would sleep for ever in {at}: nobody is left to wake it",
                    task.0
                )));
            }
            ended.extend(self.run_all());
        }
        Ok(ended)
    }

    fn pass(&mut self, time: Duration) -> Result<Vec<(TaskId, Answer)>, LabError> {
        let nanoseconds = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        let until = self.machine.now.saturating_add(nanoseconds);
        let mut ended = self.run_all();
        while self.jump(until) {
            ended.extend(self.run_all());
        }
        let passed = self.machine.now < until;
        self.machine.now = until;
        if O::STEPS && passed {
            self.picture(Move::Time, None);
        }
        Ok(ended)
    }

    fn spawn(&mut self, task: TaskId) -> Result<TaskId, LabError> {
        self.machine.spawn(task)
    }

    fn race(
        &mut self,
        programs: &[(TaskId, Vec<Syscall>)],
        seed: u64,
    ) -> Result<Vec<(TaskId, Vec<Fate>)>, LabError> {
        self.run_race(programs, seed)
    }

    fn take_handled(&mut self) -> Vec<(TaskId, SigInfo)> {
        self.machine.take_handled()
    }

    fn thaw(&mut self, task: TaskId, page: Thaw) -> Result<(), LabError> {
        self.machine.thaw(task, page)
    }

    fn take_trace(&mut self) -> Vec<Trace> {
        self.observer.take()
    }

    fn take_film(&mut self) -> Vec<Frame> {
        self.observer.take_film()
    }

    fn state(&self) -> Option<State> {
        Some(self.machine.view())
    }
}
