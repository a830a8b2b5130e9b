//! Races: several tasks make their calls at the same time, without the controller in between.
//!
//! Every task gets its whole list at once, as [`Leg`](super::board::Leg)s on the board. They wait for each other
//! at the start, and from there on each makes one call after the other, with a pause of random length before
//! each. What meets what is up to the kernel's scheduler; the seed only sees to it that runs differ. It draws
//! the pauses, from a few nanoseconds (two calls that fight for one lock) to tens of microseconds (one that
//! comes when the other is asleep), some of them as long as a timeout that somebody has, and the processors: tasks on different ones overlap, and tasks that share
//! one are interrupted in the middle of a call. And in some races it draws a crowd (`crowd.rs`), which holds
//! a wake-up back.
//!
//! A race is over when everything is at rest, by the two snapshots of `settle.rs`. A task that sleeps with a
//! timeout is not at rest: its time will be up. Whoever is asleep by then is told to make no further call of
//! its list (`Control::cut`), since what wakes it will be no part of the race.

use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use crate::abi::{Answer, Errno, Fate, Syscall, TaskId};
use crate::backend::{Dice, LabError};

use super::board::{Kind, LEGS, Order, Place};
use super::decode::Stored;
use super::encode::{self, Effect, Memory};
use super::tasks::{Doing, Flight, Ice, Task};
use super::{Linux, clock, ffi, unable};

/// The part of one task in a race.
#[derive(Debug)]
pub(super) struct Heat {
    /// The number of the order.
    pub(super) order: u32,
    pub(super) legs: Vec<Entrant>,
    pub(super) ice: Ice,
}

/// A call in a race, as the controller knows it.
#[derive(Debug)]
pub(super) struct Entrant {
    pub(super) name: &'static str,
    pub(super) nr: i64,
    /// Whether it will stop sleeping by itself.
    pub(super) timed: bool,
    effect: Effect,
    stored: Stored,
}

/// How the tasks of a race are spread over the processors.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Course {
    /// As the scheduler likes.
    Free,
    /// One after the other, each on the next processor.
    Apart,
    /// All on the same one.
    Together,
    /// Each on any.
    Mixed,
}

/// The longest pause is drawn below this power of two, in nanoseconds: 65 microseconds.
const LONGEST: u64 = 16;

/// The same for how long after a timeout: half a millisecond.
const LATE: u64 = 19;

/// One race in so many has a crowd (`crowd.rs`).
const CROWDED: u64 = 8;

/// How long a race goes on undisturbed before anybody looks.
const UNDISTURBED: Duration = Duration::from_micros(300);

impl Linux {
    /// See [`Backend::race`](crate::backend::Backend::race).
    pub(super) fn run_race(
        &mut self,
        programs: &[(TaskId, Vec<Syscall>)],
        seed: u64,
    ) -> Result<Vec<(TaskId, Vec<Fate>)>, LabError> {
        let mut heats = Vec::new();
        let mut masks = Vec::new();
        let mut dice = Dice::new(seed);
        let courses = [Course::Free, Course::Apart, Course::Together, Course::Mixed];
        let course = dice.pick(&courses).copied().unwrap_or(Course::Free);
        let offset = dice.throw() as usize;
        let calls = programs.iter().flat_map(|(_, calls)| calls);
        let until = |call| Some(clock::due(call, self.clock)?.saturating_sub(self.clock));
        let timeouts: Vec<Duration> = calls.filter_map(until).collect();
        for (lane, (task, calls)) in programs.iter().enumerate() {
            self.ready_to_race(*task, lane, programs)?;
            let slot = self.tasks.get(*task)?.slot;
            let mut memory = Memory::of(self.board, slot);
            let mut pause = || pause(&mut dice, &timeouts);
            heats.push(self.line_up(*task, calls, &mut memory, &mut pause)?);
            let processor = course.processor(&self.processors, lane, offset, &mut dice);
            masks.push(match processor {
                Some(processor) => {
                    let mask = ffi::processor_mask(processor);
                    (memory.put(&mask)?, mask.len() as u64)
                }
                None => (0, 0),
            });
        }
        let crowd = match dice.below(CROWDED) {
            0 => self.gather_crowd(programs, &mut dice)?,
            _ => None,
        };
        self.start(programs, heats, &masks)?;
        self.until_over()?;
        if let Some(crowd) = crowd {
            self.disperse(&crowd)?;
        }
        programs
            .iter()
            .map(|(task, _)| Ok((*task, self.come_off(*task)?)))
            .collect()
    }

    /// Whether a task can take part, and somebody is left in its process for what the lab may need.
    fn ready_to_race(
        &mut self,
        task: TaskId,
        lane: usize,
        programs: &[(TaskId, Vec<Syscall>)],
    ) -> Result<(), LabError> {
        if programs[..lane].iter().any(|(other, _)| *other == task) {
            return Err(unable(task, "cannot race with itself"));
        }
        self.check_idle(task)?;
        let process = self.tasks.get(task)?.process;
        let looks_on = |(other, entry): (TaskId, &Task)| {
            entry.process == process
                && matches!(entry.doing, Doing::Nothing)
                && programs.iter().all(|(racer, _)| *racer != other)
        };
        if self.tasks.iter().any(looks_on) {
            return Ok(());
        }
        self.ensure_helper(task)
    }

    /// Puts the calls of a task onto the board.
    fn line_up(
        &mut self,
        task: TaskId,
        calls: &[Syscall],
        memory: &mut Memory,
        pause: &mut dyn FnMut() -> Duration,
    ) -> Result<Heat, LabError> {
        if calls.len() > LEGS {
            let error = format!("in a race a task makes at most {LEGS} calls");
            return Err(LabError::new(error));
        }
        let slot = self.tasks.get(task)?.slot;
        let mut legs = Vec::new();
        for (index, call) in calls.iter().enumerate() {
            if matches!(
                call,
                Syscall::Fork | Syscall::Execve | Syscall::Exit { .. } | Syscall::Fdinfo { .. }
            ) {
                let error = format!("{} cannot be part of a race", call.name());
                return Err(LabError::new(error));
            }
            self.before_call(call)?;
            let name = call.name();
            let timed = clock::due(call, self.clock).is_some();
            let call = clock::in_real_time(call.clone(), self.clock);
            let call = encode::encode(memory, call, &self.tasks.seen_by(task))?;
            if call.guarded || call.frozen {
                self.prepare_memory(task, &call)?;
            }
            let leg = self.board.leg(slot, index);
            leg.set(call.nr, call.args, pause());
            legs.push(Entrant {
                name,
                nr: call.nr,
                timed,
                effect: call.effect,
                stored: call.stored,
            });
        }
        Ok(Heat {
            order: 0,
            legs,
            ice: Ice::Untouched,
        })
    }

    /// Lets all of them go.
    fn start(
        &mut self,
        programs: &[(TaskId, Vec<Syscall>)],
        heats: Vec<Heat>,
        masks: &[(u64, u64)],
    ) -> Result<(), LabError> {
        self.board.header().arrived.store(0, SeqCst);
        for (((task, _), mut heat), (mask, mask_len)) in programs.iter().zip(heats).zip(masks) {
            let control = self.board.control(self.tasks.get(*task)?.slot);
            control.cut.store(0, SeqCst);
            control.set_place(Place::Before(0));
            let (legs, tasks) = (heat.legs.len() as u64, programs.len() as u64);
            heat.order = control.post(Order {
                kind: Kind::Race,
                nr: 0,
                args: [legs, tasks, *mask, *mask_len, 0, 0],
            });
            self.tasks.get_mut(*task)?.doing = Doing::Racing(heat);
        }
        Ok(())
    }

    /// Waits until nothing will happen any more by itself, and ends the race for everybody at once: what one
    /// of them has to be asked then must not let another one go on.
    fn until_over(&mut self) -> Result<(), LabError> {
        let header = self.board.header();
        let mut before = header.news.load(SeqCst);
        while !self.all_are_through() {
            header.watch(UNDISTURBED, || header.news.load(SeqCst) != before);
            let now = header.news.load(SeqCst);
            if now == before {
                // Nobody came through for a while: from now on it needs a closer look.
                break;
            }
            before = now;
        }
        self.until_rest(None)?;
        for (_, entry) in self.tasks.iter() {
            if matches!(entry.doing, Doing::Racing(_)) {
                self.board.control(entry.slot).cut.store(1, SeqCst);
            }
        }
        self.skip_all_timeouts();
        Ok(())
    }

    fn all_are_through(&self) -> bool {
        self.tasks.iter().all(|(_, entry)| match &entry.doing {
            Doing::Racing(heat) => self.board.control(entry.slot).done.load(SeqCst) == heat.order,
            _ => true,
        })
    }

    /// What a task has done in a race that is over. Where it sleeps it stays asleep.
    fn come_off(&mut self, task: TaskId) -> Result<Vec<Fate>, LabError> {
        if let Some(index) = self.fallen.iter().position(|(fallen, _)| *fallen == task) {
            return Ok(self.fallen.swap_remove(index).1);
        }
        let entry = self.tasks.get_mut(task)?;
        let slot = entry.slot;
        let Doing::Racing(heat) = std::mem::replace(&mut entry.doing, Doing::Nothing) else {
            return Err(unable(task, "did not come back from a race"));
        };
        let place = self.board.control(slot).place();
        let mut fates = Vec::new();
        for (index, leg) in heat.legs.into_iter().enumerate() {
            fates.push(match place {
                Place::In(at) if at == index => {
                    self.tasks.get_mut(task)?.doing = Doing::Call(Flight {
                        name: leg.name,
                        nr: leg.nr,
                        order: heat.order,
                        due: None,
                        effect: leg.effect,
                        stored: leg.stored,
                        ice: heat.ice,
                    });
                    Fate::Asleep
                }
                Place::Before(at) | Place::In(at) if index < at => {
                    let ret = self.board.leg(slot, index).ret.load(SeqCst);
                    let answer = self.read_answer(leg.stored, ret, heat.ice)?;
                    self.aftermath(task, slot, leg.effect, ret)?;
                    Fate::Ended(answer)
                }
                _ => Fate::NotReached,
            });
        }
        Ok(fates)
    }

    /// The task of a race is gone: what it did until then.
    pub(super) fn fall(&mut self, task: TaskId, slot: usize, heat: Heat) {
        let place = self.board.control(slot).place();
        let mut fates = Vec::new();
        for (index, leg) in heat.legs.into_iter().enumerate() {
            fates.push(match place {
                Place::In(at) if at == index => Fate::Ended(Answer::Gone),
                Place::Before(at) | Place::In(at) if index < at => {
                    let ret = self.board.leg(slot, index).ret.load(SeqCst);
                    // What cannot be read was too much for the lab: that is told of those who live on.
                    let answer = self.read_answer(leg.stored, ret, heat.ice);
                    Fate::Ended(answer.unwrap_or(Answer::err(Errno(0))))
                }
                _ => Fate::NotReached,
            });
        }
        self.fallen.push((task, fates));
    }
}

impl Course {
    fn processor(
        self,
        all: &[usize],
        lane: usize,
        offset: usize,
        dice: &mut Dice,
    ) -> Option<usize> {
        let nth = |n: usize| all.get(n.checked_rem(all.len())?).copied();
        match self {
            Course::Free => None,
            Course::Apart => nth(lane.wrapping_add(offset)),
            Course::Together => nth(offset),
            Course::Mixed => dice.pick(all).copied(),
        }
    }
}

/// Mostly a short one, and now and then about as long as one of these timeouts.
fn pause(dice: &mut Dice, timeouts: &[Duration]) -> Duration {
    let some_time = log_uniform(dice, LONGEST);
    if dice.below(4) > 0 {
        return some_time;
    }
    match dice.pick(timeouts) {
        // Timers are late rather than early, by more than they are precise.
        Some(timeout) if dice.below(3) > 0 => *timeout + log_uniform(dice, LATE),
        Some(timeout) => timeout.saturating_sub(some_time),
        None => some_time,
    }
}

/// Below this power of two, in nanoseconds, and of every order of magnitude with the same chance.
fn log_uniform(dice: &mut Dice, power: u64) -> Duration {
    let magnitude = dice.below(power);
    Duration::from_nanos(dice.below(2 << magnitude))
}
