//! The model for programs with real threads: a machine behind a lock.
//!
//! A [`Shared`] is a handle to one machine. Every thread of the program has a clone of it and a task of its
//! own; a call that has to wait keeps its thread waiting, a wake-up lets that thread go on, and a timeout of
//! 10 ms takes 10 ms. On the running kernel `kernel::OwnProcess` is the same, so a
//! program is written for anything that is `Backend + Clone + Send`:
//!
//! ```
//! use std::thread;
//!
//! use epoll_lab::abi::{EpollEvent, EventMask, TaskId};
//! use epoll_lab::backend::{Backend, Thread};
//! use epoll_lab::threads::Shared;
//!
//! fn woken_from_another_thread(mut kernel: impl Backend + Clone + Send) {
//!     let (mut waiter, me) = (kernel.clone(), kernel.spawn(TaskId::MAIN).unwrap());
//!     let mut t = Thread::main(&mut kernel);
//!     let ep = t.epoll_create1(Default::default()).unwrap();
//!     let file = t.eventfd2(0, Default::default()).unwrap();
//!     t.epoll_add(ep, file, EpollEvent::new(EventMask::IN, 7)).unwrap();
//!
//!     thread::scope(|scope| {
//!         let events = scope.spawn(move || Thread::of(&mut waiter, me).epoll_wait(ep, 8, -1));
//!         t.write(file, &1_u64.to_ne_bytes()).unwrap();
//!         assert_eq!(events.join().unwrap().unwrap(), [EpollEvent::new(EventMask::IN, 7)]);
//!     });
//! }
//!
//! woken_from_another_thread(Shared::new());
//! # #[cfg(all(feature = "kernel", target_os = "linux", target_arch = "x86_64"))]
//! woken_from_another_thread(epoll_lab::kernel::OwnProcess::new());
//! ```
//!
//! # How a call runs
//!
//! ```text
//!   lock ─► begin ─► step ─► step ─► ... ─► done ─► unlock
//!                      │  └─ bump: whoever waits for the lock gets it, and then we go on
//!                      └──── blocked: sleep on a condition variable of one's own until told
//! ```
//!
//! The lock is held for one step at a time. A step is as much as Linux does without letting anything in
//! between, so the threads of the program are interleaved as finely as they could be on Linux, and the
//! scheduler below decides how.
//!
//! Nobody polls. A thread whose task sleeps is told after the step that woke the task, and only that thread.
//! One that stands before a lock of the model, such as `ep->mtx`, tries again whenever another thread comes to
//! rest; that is never later than the lock is given back, since nobody rests with one in hand but at a frozen
//! page.
//!
//! Timers need somebody who sees that they fire, as Linux needs an interrupt. Here this is a thread of the
//! machine's own; it sleeps until the next timer is due, and ends with the last handle.
//!
//! # Threads that end
//!
//! A task is a name for whoever makes its calls. It stays when its thread ends, in no call, and another
//! thread may take it over. What it opened stays open: files belong to the process. A program that panics
//! between two calls harms nobody. Should the model itself panic (or its observer), it stops in the middle
//! of a step, and then every call fails, those asleep included, rather than go on with half a machine.

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex, MutexGuard};

use crate::abi::{Answer, SigInfo, Syscall, TaskId};
use crate::backend::{Backend, LabError, Thaw};
use crate::model::{Machine, Stepped};
use crate::trace::{Observer, Recorder, State, Trace};

/// A handle to a machine that threads share. Clone it for each thread.
///
/// A handler that a signal runs is noted for [`Backend::take_handled`], and a call that it interrupts fails
/// with `EINTR` in its thread. A stopped task makes no new call: that is a [`LabError`], and no wait.
///
/// As a [`Backend`] it is one for programs: [`submit`](Backend::submit) returns when the call is over, so
/// there is never anything to settle or to finish. Forked processes work too; a child is a task that some
/// thread has to make calls for.
#[derive(Debug)]
pub struct Shared<O = ()> {
    lab: Arc<Lab<O>>,
}

#[derive(Debug)]
struct Lab<O> {
    /// Where the clock's thread sleeps.
    clock: Condvar,
    inside: Mutex<Inside<O>>,
}

/// What the lock guards.
#[derive(Debug)]
struct Inside<O> {
    machine: Machine,
    observer: O,
    /// When the machine's clock stood at 0.
    start: Instant,
    /// Until when the clock's thread sleeps; `None` is for ever.
    alarm: Option<u64>,
    /// The threads that are in a call.
    callers: Vec<Caller>,
    /// How many [`Shared`] there are.
    handles: usize,
    /// A step did not come to its end.
    broken: bool,
}

/// A thread in a call.
#[derive(Debug)]
struct Caller {
    task: TaskId,
    /// How it waits, if it does, and where.
    waits: Option<(Waits, Arc<Condvar>)>,
}

/// Why a thread cannot take its next step.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Waits {
    /// Its task sleeps.
    Asleep,
    /// Something is in the way: a lock, a frozen page.
    Hindered,
}

impl Shared {
    /// A fresh machine that nobody watches.
    ///
    /// # Panics
    /// When no thread can be started for its clock.
    #[expect(clippy::new_without_default, reason = "it starts a thread")]
    pub fn new() -> Shared {
        Shared::observed_by(())
    }

    /// Like [`Shared::new`], and everything that happens inside is kept for [`Backend::take_trace`].
    pub fn recording() -> Shared<Recorder> {
        Shared::observed_by(Recorder::default())
    }
}

impl<O: Observer + Send + 'static> Shared<O> {
    /// A fresh machine that reports to `observer`, which hears each step from the thread that takes it.
    pub fn observed_by(observer: O) -> Shared<O> {
        let lab = Arc::new(Lab {
            clock: Condvar::new(),
            inside: Mutex::new(Inside {
                machine: Machine::new(),
                observer,
                start: Instant::now(),
                alarm: None,
                callers: Vec::new(),
                handles: 1,
                broken: false,
            }),
        });
        let clock = Arc::clone(&lab);
        thread::spawn(move || clock.keep_time());
        Shared { lab }
    }

    /// Shows the machine between two steps.
    pub fn look<R>(&self, look: impl FnOnce(&Machine) -> R) -> R {
        look(&self.lab.inside.lock().machine)
    }
}

impl<O> Clone for Shared<O> {
    fn clone(&self) -> Shared<O> {
        self.lab.inside.lock().handles += 1;
        let lab = Arc::clone(&self.lab);
        Shared { lab }
    }
}

impl<O> Drop for Shared<O> {
    fn drop(&mut self) {
        let mut inside = self.lab.inside.lock();
        inside.handles -= 1;
        if inside.handles == 0 {
            self.lab.clock.notify_one();
        }
    }
}

impl<O: Observer + Send + 'static> Backend for Shared<O> {
    fn name(&self) -> String {
        "model".to_owned()
    }

    /// Makes `call` in `task`, and returns when it is over.
    fn submit(&mut self, task: TaskId, call: Syscall) -> Result<Answer, LabError> {
        let mut inside = self.lab.inside.lock();
        inside.check()?;
        inside.tick();
        let begun = inside.work(|machine, observer| machine.begin(task, call, observer))?;
        if begun != Answer::Blocked {
            inside.come_to_rest(&self.lab.clock);
            return Ok(begun);
        }
        inside.callers.push(Caller { task, waits: None });
        let answer = self.lab.run(&mut inside, task);
        inside.callers.retain(|caller| caller.task != task);
        inside.come_to_rest(&self.lab.clock);
        answer
    }

    /// Nothing: every call is waited for by the thread that made it.
    fn settle(&mut self) -> Result<Vec<(TaskId, Answer)>, LabError> {
        Ok(Vec::new())
    }

    /// An error: no call is left over from [`submit`](Backend::submit).
    fn finish(&mut self, task: TaskId) -> Result<Vec<(TaskId, Answer)>, LabError> {
        Err(LabError::new(format!(
            "task {} is in no call that its thread does not wait for",
            task.0
        )))
    }

    /// Sleeps, and nothing else: time passes by itself.
    fn pass(&mut self, time: Duration) -> Result<Vec<(TaskId, Answer)>, LabError> {
        thread::sleep(time);
        Ok(Vec::new())
    }

    fn spawn(&mut self, task: TaskId) -> Result<TaskId, LabError> {
        let mut inside = self.lab.inside.lock();
        inside.check()?;
        inside.machine.spawn(task)
    }

    fn take_handled(&mut self) -> Vec<(TaskId, SigInfo)> {
        self.lab.inside.lock().machine.take_handled()
    }

    fn thaw(&mut self, task: TaskId, page: Thaw) -> Result<(), LabError> {
        let mut inside = self.lab.inside.lock();
        inside.check()?;
        inside.machine.thaw(task, page)?;
        inside.come_to_rest(&self.lab.clock);
        Ok(())
    }

    fn take_trace(&mut self) -> Vec<Trace> {
        self.lab.inside.lock().observer.take()
    }

    fn state(&self) -> Option<State> {
        Some(self.look(Machine::view))
    }
}

impl<O: Observer> Lab<O> {
    /// Takes the steps of the call that `task` is in, until it is over.
    fn run(
        &self,
        inside: &mut MutexGuard<'_, Inside<O>>,
        task: TaskId,
    ) -> Result<Answer, LabError> {
        loop {
            // To give the lock back and to take it again would not do: whoever is awake already wins it, and
            // the others would watch a whole call go by.
            MutexGuard::bump(inside);
            inside.check()?;
            if inside.step(task) == Stepped::Blocked {
                if inside.run_ownerless() {
                    // It may be what the call waits for.
                    continue;
                }
                inside.come_to_rest(&self.clock);
                wait_until_told(inside, task);
            } else if let Some(answer) = inside.machine.take_answer(task) {
                return Ok(answer);
            } else {
                inside.tell(Waits::Asleep);
            }
        }
    }

    /// The life of the clock's thread.
    fn keep_time(&self) {
        let mut inside = self.inside.lock();
        while inside.handles > 0 && !inside.broken {
            inside.tick();
            inside.come_to_rest(&self.clock);
            // One that is due and did not fire has a lock in its way; whoever holds it comes to rest.
            let timer = inside.machine.next_timer();
            inside.alarm = timer.filter(|timer| *timer > inside.machine.now());
            let alarm = inside.alarm.map(Duration::from_nanos);
            match alarm.and_then(|alarm| inside.start.checked_add(alarm)) {
                Some(moment) => drop(self.clock.wait_until(&mut inside, moment)),
                None => self.clock.wait(&mut inside),
            }
        }
    }
}

impl<O: Observer> Inside<O> {
    fn check(&self) -> Result<(), LabError> {
        if self.broken {
            return Err(LabError::new("the model has failed in another thread"));
        }
        Ok(())
    }

    /// Everything that could leave the machine in the middle of a step goes through here.
    fn work<R>(&mut self, work: impl FnOnce(&mut Machine, &mut O) -> R) -> R {
        let fuse = Fuse {
            broken: &mut self.broken,
            callers: &mut self.callers,
        };
        let result = work(&mut self.machine, &mut self.observer);
        std::mem::forget(fuse);
        result
    }

    fn caller(&mut self, task: TaskId) -> Option<&mut Caller> {
        self.callers.iter_mut().find(|caller| caller.task == task)
    }

    fn step(&mut self, task: TaskId) -> Stepped {
        self.work(|machine, observer| machine.step(task, observer))
    }

    /// Sets the machine's clock, with which every timer fires that is due.
    ///
    /// Before a call begins, so that its timeout counts from now, and whenever the alarm goes off. In between
    /// the clock may stand still: a timer may be late, and never is one early.
    fn tick(&mut self) {
        let now = u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.work(|machine, observer| machine.run_until(now, observer));
    }

    /// What a thread has to see to before it leaves the machine to the others.
    fn come_to_rest(&mut self, clock: &Condvar) {
        if self.broken {
            return;
        }
        self.run_ownerless();
        self.tell(Waits::Asleep);
        self.tell(Waits::Hindered);
        let timer = self.machine.next_timer();
        if timer.is_some_and(|timer| self.alarm.is_none_or(|alarm| timer < alarm)) {
            self.alarm = timer;
            clock.notify_one();
        }
    }

    /// Calls begin by themselves too: a task that is killed exits, and its thread need not be in the machine
    /// at the time. Other work is no task's at all. Whoever is there takes the steps. Says whether there were any.
    fn run_ownerless(&mut self) -> bool {
        let mut ever = false;
        let mut any = true;
        while std::mem::take(&mut any) {
            any = self.work(|machine, observer| machine.work_any(observer));
            for task in self.machine.task_ids() {
                if self.callers.iter().any(|caller| caller.task == task) {
                    continue;
                }
                while self.step(task) == Stepped::Moved {
                    any = true;
                }
                // Nobody asked.
                let _ = self.machine.take_answer(task);
            }
            ever |= any;
        }
        ever
    }

    /// Lets those go on who wait for such a reason, unless they still sleep.
    fn tell(&mut self, why: Waits) {
        for Caller { task, waits } in &mut self.callers {
            let told = waits.take_if(|(waits, _)| *waits == why && !self.machine.is_asleep(*task));
            if let Some((_, bell)) = told {
                bell.notify_one();
            }
        }
    }
}

/// Sleeps until somebody has [told](Inside::tell) the thread of `task` to go on.
fn wait_until_told<O: Observer>(inside: &mut MutexGuard<'_, Inside<O>>, task: TaskId) {
    let bell = Arc::new(Condvar::new());
    let why = if inside.machine.is_asleep(task) {
        Waits::Asleep
    } else {
        Waits::Hindered
    };
    if let Some(caller) = inside.caller(task) {
        caller.waits = Some((why, Arc::clone(&bell)));
    }
    while inside.caller(task).is_some_and(|it| it.waits.is_some()) {
        bell.wait(inside);
    }
}

/// Burns when a step unwinds: then everybody who waits is told.
struct Fuse<'i> {
    broken: &'i mut bool,
    callers: &'i mut Vec<Caller>,
}

impl Drop for Fuse<'_> {
    fn drop(&mut self) {
        *self.broken = true;
        for (_, bell) in self.callers.iter_mut().filter_map(|it| it.waits.take()) {
            bell.notify_one();
        }
    }
}
