//! Races on the model: the steps of several calls in an order drawn by a seed.
//!
//! Each draw is one of the schedules that an explorer would walk through. Only who goes next is drawn: a task
//! often goes on for a while before another gets its turn, as on a machine with few processors, and sometimes
//! they alternate step by step, as on one with many. Time may be up at any moment, since a step of Linux may
//! take any time; it is up when nobody can go on otherwise.

use super::call::Stepped;
use super::task::Life;
use super::{Machine, Model, Timer, Work};
use crate::abi::{Answer, Fate, Syscall, TaskId};
use crate::backend::{Dice, LabError};
use crate::trace::Observer;

/// A task with calls to make.
#[derive(Debug)]
struct Racer<'p> {
    task: TaskId,
    calls: &'p [Syscall],
    fates: Vec<Fate>,
    /// Whether a call of the list is in flight.
    running: bool,
}

impl<O: Observer> Model<O> {
    /// See [`Backend::race`](crate::backend::Backend::race).
    pub(super) fn run_race(
        &mut self,
        programs: &[(TaskId, Vec<Syscall>)],
        seed: u64,
    ) -> Result<Vec<(TaskId, Vec<Fate>)>, LabError> {
        self.line_up_caller();
        let mut racers = Vec::new();
        for (task, calls) in programs {
            self.machine.check_fit(*task)?;
            racers.push(Racer {
                task: *task,
                calls,
                fates: Vec::new(),
                running: false,
            });
        }
        let mut dice = Dice::new(seed);
        // How many steps a task takes on average before somebody else may.
        let patience = 1 << dice.below(6);
        let mut last = None;
        loop {
            let mut turns = self.who_may_go(&racers);
            if dice.below(4 * patience) == 0 {
                self.expire_one(&mut dice);
            }
            if self.machine.has_work() && dice.below(patience) == 0 {
                self.work_one(&mut dice);
            }
            let mut next = last.filter(|_| dice.below(patience) > 0);
            let moved = loop {
                let Some(task) = next.take().or_else(|| draw(&mut turns, &mut dice)) else {
                    break None;
                };
                if self.advance(task, &mut racers)? {
                    break Some(task);
                }
            };
            last = moved;
            if moved.is_none() && !self.work_one(&mut dice) && !self.expire_one(&mut dice) {
                break;
            }
        }
        let fates = racers.into_iter().map(|it| (it.task, self.come_off(it)));
        Ok(fates.collect())
    }

    /// Everybody who has something to do, able or not.
    fn who_may_go(&self, racers: &[Racer<'_>]) -> Vec<TaskId> {
        let in_call = |task: &TaskId| self.machine.task(*task).call.is_some();
        let mut all: Vec<TaskId> = self.machine.task_ids().filter(in_call).collect();
        for racer in racers {
            if !all.contains(&racer.task) {
                all.push(racer.task);
            }
        }
        all
    }

    /// Lets a task take a step, or begin its next call. Returns whether it could.
    fn advance(&mut self, task: TaskId, racers: &mut [Racer<'_>]) -> Result<bool, LabError> {
        let Model {
            machine, observer, ..
        } = self;
        let moved = match machine.step(task, observer) {
            Stepped::Moved => true,
            Stepped::Blocked => return Ok(false),
            Stepped::Idle => false,
        };
        let Some(racer) = racers.iter_mut().find(|racer| racer.task == task) else {
            // A sleeper from before; its answer is for `settle`.
            return Ok(moved);
        };
        if moved {
            racer.note(machine);
            return Ok(true);
        }
        let Some(call) = racer.next_call(machine) else {
            return Ok(false);
        };
        match machine.begin(task, call.clone(), observer)? {
            Answer::Blocked => racer.running = true,
            answer => racer.fates.push(Fate::Ended(answer)),
        }
        Ok(true)
    }

    /// Does a piece of the work that waits, if any.
    fn work_one(&mut self, dice: &mut Dice) -> bool {
        let Model {
            machine, observer, ..
        } = self;
        let ready = machine.works().filter(|work| machine.may_work(*work));
        let ready: Vec<Work> = ready.collect();
        dice.pick(&ready)
            .is_some_and(|work| machine.work(*work, observer))
    }

    /// Lets one of the timers fire that may, if any.
    fn expire_one(&mut self, dice: &mut Dice) -> bool {
        let Model {
            machine, observer, ..
        } = self;
        let due: Vec<Timer> = machine
            .timers()
            .filter(|timer| machine.may_expire(*timer))
            .collect();
        dice.pick(&due)
            .is_some_and(|timer| machine.expire(*timer, observer))
    }

    fn come_off(&mut self, racer: Racer<'_>) -> Vec<Fate> {
        let mut fates = racer.fates;
        if racer.running {
            fates.push(Fate::Asleep);
            self.in_flight.push(racer.task);
        }
        fates.resize(racer.calls.len(), Fate::NotReached);
        fates
    }
}

impl Racer<'_> {
    fn next_call(&self, machine: &Machine) -> Option<&Syscall> {
        let alive = machine.task(self.task).life == Life::Alive;
        self.calls.get(self.fates.len()).filter(|_| alive)
    }

    /// Takes in the end of a call, if it has ended.
    fn note(&mut self, machine: &mut Machine) {
        if !self.running {
            // Killed in between, and through with dying.
            machine.take_answer(self.task);
        } else if let Some(answer) = machine.take_answer(self.task) {
            self.running = false;
            self.fates.push(Fate::Ended(answer));
        }
    }
}

fn draw(turns: &mut Vec<TaskId>, dice: &mut Dice) -> Option<TaskId> {
    let index = usize::try_from(dice.below(u64::try_from(turns.len()).ok()?)).ok()?;
    (index < turns.len()).then(|| turns.swap_remove(index))
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::abi::{Bytes, EpollEvent, EventMask, OutPtr, Ptr, Timeout};
    use crate::backend::{Backend, Thread};

    /// Two wait for two edges; the other two cannot know whether both have slept by then.
    fn race(seed: u64) -> Vec<(TaskId, Vec<Fate>)> {
        let mut model = Model::new();
        let mut main = Thread::main(&mut model);
        let epfd = main.epoll_create1(Default::default()).expect("an epoll");
        let fd = main.eventfd2(0, Default::default()).expect("an eventfd");
        let edge = EpollEvent::new(EventMask::IN | EventMask::ET, 7);
        main.epoll_add(epfd, fd, edge).expect("a registration");
        let waits = vec![Syscall::EpollWait {
            epfd,
            events: OutPtr::PLENTY,
            maxevents: 8,
            timeout: Timeout::FOREVER,
        }];
        let bump = Syscall::Write {
            fd,
            buf: Ptr::To(Bytes::from_u64(1)),
            count: 8,
        };
        let mut task = || model.spawn(TaskId::MAIN).expect("a task");
        let programs = [
            (task(), waits.clone()),
            (task(), waits),
            (task(), vec![bump.clone(), bump]),
        ];
        model.race(&programs, seed).expect("no mistake in it")
    }

    #[test]
    fn a_seed_is_an_outcome_and_seeds_make_all_of_them() {
        let mut seen: HashMap<Vec<(TaskId, Vec<Fate>)>, u32> = HashMap::new();
        for seed in 0..300 {
            let outcome = race(seed);
            assert_eq!(outcome, race(seed));
            *seen.entry(outcome).or_default() += 1;
        }
        // Either of the two, or both.
        assert_eq!(seen.len(), 3, "{seen:?}");
    }
}
