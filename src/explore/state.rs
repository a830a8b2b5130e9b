//! A state of the exploration, and what leads from one to the next.
//!
//! A state is a machine together with how far each task has come in its program, and what its calls have
//! returned: two ways to the same machine are two states if they will be two outcomes. Answers are kept as
//! small numbers; the answers themselves stand once in [`Answers`].

use std::fmt;

use crate::abi::{Answer, Fate, Syscall, TaskId};
use crate::model::{Machine, Model, Stepped, Timer, Variants};
use crate::scenario::{Options, Prepared, Scenario, ScenarioError};
use crate::trace::Observer;

/// The most tasks that can be told apart.
pub(super) const MOST_TASKS: u32 = 16;

/// How schedules call work that nobody does, before its number.
const WORK: &str = "work#";

/// The same for the timers of the network.
const ALARM: &str = "timer#";

/// The most pieces of work of different kinds that can wait at the same time.
const MOST_WORKS: u32 = 16;

/// The most timers that no task sleeps with.
const MOST_ALARMS: u32 = 16;

/// Whose turn it is: a task that takes its next step, the timer with which it sleeps, or nobody, on whose
/// behalf Linux does some work, or another timer fires.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub(super) struct Actor(u8);

/// Which of these, and which task or work.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Turn {
    Step(TaskId),
    Timer(TaskId),
    Work(u32),
    Alarm(u32),
}

impl Actor {
    pub(super) fn step(task: TaskId) -> Actor {
        Actor(u8::try_from(task.0).unwrap_or(u8::MAX))
    }

    pub(super) fn timer(task: TaskId) -> Actor {
        Actor(u8::try_from(task.0 + MOST_TASKS).unwrap_or(u8::MAX))
    }

    /// The work with this number; `None` if there is more than anybody could follow.
    pub(super) fn work(number: usize) -> Option<Actor> {
        let number = u32::try_from(number).ok().filter(|it| *it < MOST_WORKS)?;
        u8::try_from(number + 2 * MOST_TASKS).ok().map(Actor)
    }

    /// The timer at this place among those of the network, if it is not too far behind.
    pub(super) fn alarm(place: usize) -> Option<Actor> {
        let place = u32::try_from(place).ok().filter(|it| *it < MOST_ALARMS)?;
        let before = 2 * MOST_TASKS + MOST_WORKS;
        u8::try_from(place + before).ok().map(Actor)
    }

    pub(super) fn turn(self) -> Turn {
        let number = u32::from(self.0);
        match number / MOST_TASKS {
            0 => Turn::Step(TaskId(number)),
            1 => Turn::Timer(TaskId(number - MOST_TASKS)),
            2 => Turn::Work(number - 2 * MOST_TASKS),
            _ => Turn::Alarm(number - 2 * MOST_TASKS - MOST_WORKS),
        }
    }

    /// Who takes a step.
    pub(super) fn stepper(self) -> Option<TaskId> {
        match self.turn() {
            Turn::Step(task) => Some(task),
            Turn::Timer(_) | Turn::Work(_) | Turn::Alarm(_) => None,
        }
    }
}

/// A set of them.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Actors(u64);

impl Actors {
    pub(super) const NONE: Actors = Actors(0);

    pub(super) fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub(super) fn insert(&mut self, actor: Actor) {
        self.0 |= 1 << actor.0;
    }

    pub(super) fn contains(self, actor: Actor) -> bool {
        self.0 >> actor.0 & 1 == 1
    }

    pub(super) fn without(self, others: Actors) -> Actors {
        Actors(self.0 & !others.0)
    }

    /// Takes one out: `first` if it is there, else the one with the lowest number.
    pub(super) fn pull(&mut self, first: Actor) -> Option<Actor> {
        let actor = if self.contains(first) {
            first
        } else if self.is_empty() {
            return None;
        } else {
            Actor(u8::try_from(self.0.trailing_zeros()).unwrap_or(0))
        };
        self.0 &= !(1 << actor.0);
        Some(actor)
    }
}

impl Iterator for Actors {
    type Item = Actor;

    fn next(&mut self) -> Option<Actor> {
        self.pull(Actor::default())
    }
}

/// What does not change during an exploration.
#[derive(Debug)]
pub(super) struct World<'s> {
    pub(super) prepared: Prepared<'s>,
    pub(super) start: Machine,
    pub(super) programs: Vec<Steps>,
    /// Which program each task runs, if any.
    by_task: Vec<Option<usize>>,
    /// How many calls stand in the block.
    pub(super) calls: usize,
}

/// A program, ready to go.
#[derive(Debug)]
pub(super) struct Steps {
    pub(super) task: TaskId,
    /// Its calls, with their places among all.
    pub(super) calls: Vec<(usize, Syscall)>,
}

impl<'s> World<'s> {
    pub(super) fn new(
        scenario: &'s Scenario,
        variants: Variants,
    ) -> Result<World<'s>, ScenarioError> {
        World::after(scenario, Model::new().with_variants(variants)).map(|(world, ())| world)
    }

    /// The same on a fresh model that is watched.
    pub(super) fn after<O: Observer>(
        scenario: &'s Scenario,
        mut model: Model<O>,
    ) -> Result<(World<'s>, O), ScenarioError> {
        let prepared = scenario.prepare(&mut model, Options::default())?;
        let (start, observer) = model.into_parts();
        let programs = prepared.programs().iter().map(|program| Steps {
            task: program.task,
            calls: program
                .calls
                .iter()
                .map(|place| (*place, prepared.calls()[*place].syscall.clone()))
                .collect(),
        });
        let programs: Vec<Steps> = programs.collect();
        let tasks = start.task_ids();
        let by_task = tasks.map(|task| programs.iter().position(|it| it.task == task));
        let by_task: Vec<_> = by_task.collect();
        if u32::try_from(by_task.len()).is_ok_and(|tasks| tasks > MOST_TASKS) {
            let message = format!("an exploration has at most {MOST_TASKS} tasks");
            return Err(prepared.refusal(message, "too many"));
        }
        let sets = |call: &Syscall| matches!(call, Syscall::TimerfdSettime { .. });
        let mut calls = prepared.calls().iter();
        if start.timers().any(Timer::is_set_by_program) || calls.any(|call| sets(&call.syscall)) {
            let message = "an exploration knows the timers of sleepers and of the network, and here is a timerfd";
            return Err(prepared.refusal(message, "armed"));
        }
        let world = World {
            calls: prepared.in_block(),
            start,
            programs,
            by_task,
            prepared,
        };
        Ok((world, observer))
    }

    pub(super) fn state(&self) -> State {
        State {
            machine: self.start.clone(),
            begun: vec![0; self.programs.len()],
            answers: vec![0; self.calls],
        }
    }

    fn program(&self, task: TaskId) -> Option<(usize, &Steps)> {
        let program = (*self.by_task.get(usize::try_from(task.0).ok()?)?)?;
        Some((program, &self.programs[program]))
    }

    /// The place of the call that `task` is in, or has made last.
    pub(super) fn last_call(&self, state: &State, task: TaskId) -> Option<usize> {
        let (program, steps) = self.program(task)?;
        let begun = usize::from(state.begun[program]).checked_sub(1)?;
        steps.calls.get(begun).map(|(place, _)| *place)
    }

    /// The call that `task` makes next, if it is in none.
    pub(super) fn next_call(&self, state: &State, task: TaskId) -> Option<&(usize, Syscall)> {
        let (program, steps) = self.program(task)?;
        steps.calls.get(usize::from(state.begun[program]))
    }

    /// The number of the line that `task` is in, or was in last; of one that makes no calls the first.
    pub(super) fn line(&self, state: &State, task: TaskId) -> usize {
        let place = self.last_call(state, task).unwrap_or(0);
        let call = self.prepared.calls().get(place);
        call.map_or(0, |call| call.line.number())
    }

    /// How schedules call whoever takes a turn.
    pub(super) fn turn_name(&self, actor: Actor) -> String {
        match actor.turn() {
            Turn::Step(task) | Turn::Timer(task) => self.name(task).to_string(),
            Turn::Work(number) => format!("{WORK}{number}"),
            Turn::Alarm(place) => format!("{ALARM}{place}"),
        }
    }

    /// Whose turn a schedule means by a name: a step's, or one that happens by itself.
    pub(super) fn turn_of(&self, name: &str, by_itself: bool) -> Option<Actor> {
        if let Some(number) = name.strip_prefix(WORK).filter(|_| by_itself) {
            return Actor::work(number.parse().ok()?);
        }
        if let Some(place) = name.strip_prefix(ALARM).filter(|_| by_itself) {
            return Actor::alarm(place.parse().ok()?);
        }
        let task = self.task_of(name)?;
        Some(if by_itself {
            Actor::timer(task)
        } else {
            Actor::step(task)
        })
    }

    /// How schedules call a task.
    pub(super) fn name(&self, task: TaskId) -> TaskName<'_> {
        TaskName(task, self.prepared.task_name(task))
    }

    fn task_of(&self, name: &str) -> Option<TaskId> {
        let mut tasks = self.start.task_ids();
        tasks.find(|task| self.name(*task).to_string() == name)
    }
}

/// `A`, `main`, or `#5` for one that no line names.
#[derive(Clone, Copy, Debug)]
pub(super) struct TaskName<'w>(TaskId, Option<&'w str>);

impl fmt::Display for TaskName<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TaskName(_, Some(name)) => f.write_str(name),
            TaskName(TaskId::MAIN, None) => f.write_str("main"),
            TaskName(task, None) => write!(f, "#{}", task.0),
        }
    }
}

/// An outcome in numbers, one for each call: 0 for one that was not made, 1 for one that sleeps, else that
/// of its answer and one more.
pub(super) type Code = Vec<u16>;

/// Every answer that a call ever got, by call. In a state an answer is its place plus one.
#[derive(Debug, Default)]
pub(super) struct Answers(Vec<Vec<Answer>>);

impl Answers {
    pub(super) fn number(&mut self, call: usize, answer: Answer) -> u16 {
        if self.0.len() <= call {
            self.0.resize_with(call + 1, Vec::new);
        }
        let known = &mut self.0[call];
        let place = known.iter().position(|other| *other == answer);
        let place = place.unwrap_or_else(|| {
            known.push(answer);
            known.len() - 1
        });
        u16::try_from(place + 1).expect("a call has far fewer than 65535 answers")
    }

    /// What an outcome stands for.
    pub(super) fn fates(&self, code: &[u16]) -> Vec<Fate> {
        let fates = code.iter().enumerate();
        fates
            .map(|(call, number)| match number {
                0 => Fate::NotReached,
                1 => Fate::Asleep,
                _ => Fate::Ended(self.0[call][usize::from(number - 2)].clone()),
            })
            .collect()
    }
}

/// A state.
#[derive(Debug)]
pub(super) struct State {
    pub(super) machine: Machine,
    /// How many of its calls each program has begun.
    begun: Vec<u8>,
    /// What each call has returned; 0 if it has not yet.
    answers: Vec<u16>,
}

impl Clone for State {
    fn clone(&self) -> State {
        State {
            machine: self.machine.clone(),
            begun: self.begun.clone(),
            answers: self.answers.clone(),
        }
    }

    fn clone_from(&mut self, source: &State) {
        self.machine.clone_from(&source.machine);
        self.begun.clone_from(&source.begun);
        self.answers.clone_from(&source.answers);
    }
}

impl State {
    /// Everybody who may be able to do something; whether they can is seen by trying.
    pub(super) fn candidates(&self, world: &World<'_>) -> Result<Actors, ScenarioError> {
        let mut actors = Actors::NONE;
        for work in self.machine.works() {
            let actor = Actor::work(work.number()).ok_or_else(|| {
                let message = format!("an exploration knows {MOST_WORKS} flows of work at most");
                world.prepared.refusal(message, "too many")
            })?;
            actors.insert(actor);
        }
        for (place, alarm) in self.machine.alarms().enumerate() {
            if self.machine.may_expire(alarm) {
                let actor = Actor::alarm(place).ok_or_else(|| {
                    let message = format!("an exploration knows {MOST_ALARMS} timers at most");
                    world.prepared.refusal(message, "too many")
                })?;
                actors.insert(actor);
            }
        }
        for task in self.machine.task_ids() {
            if self.machine.is_in_call(task) {
                actors.insert(Actor::step(task));
                if self.machine.may_expire(task) {
                    actors.insert(Actor::timer(task));
                }
            } else if world.next_call(self, task).is_some() && self.machine.is_fit(task) {
                actors.insert(Actor::step(task));
            }
        }
        Ok(actors)
    }

    /// Lets an actor do what it does next: begin a call, take a step, fire. `false` if it cannot do so now;
    /// then nothing has changed.
    pub(super) fn advance<O: Observer>(
        &mut self,
        world: &World<'_>,
        answers: &mut Answers,
        actor: Actor,
        observer: &mut O,
    ) -> Result<bool, ScenarioError> {
        let task = match actor.turn() {
            Turn::Step(task) => task,
            Turn::Timer(task) => return Ok(self.machine.expire(task, observer)),
            Turn::Work(number) => {
                let mut works = self.machine.works();
                let work = works.find(|work| u32::try_from(work.number()) == Ok(number));
                drop(works);
                return Ok(work.is_some_and(|work| self.machine.work(work, observer)));
            }
            Turn::Alarm(place) => {
                let place = usize::try_from(place).unwrap_or(usize::MAX);
                let alarm = self.machine.alarms().nth(place);
                return Ok(alarm.is_some_and(|alarm| self.machine.expire(alarm, observer)));
            }
        };
        match self.machine.step(task, observer) {
            Stepped::Blocked => return Ok(false),
            Stepped::Moved => {
                // Which handlers ran shows in what the calls return.
                self.machine.take_handled();
                if let Some(answer) = self.machine.take_answer(task) {
                    self.ended(world, answers, task, answer);
                }
                return Ok(true);
            }
            Stepped::Idle => {}
        }
        let Some((program, steps)) = world.program(task) else {
            return Ok(false);
        };
        let Some((call, syscall)) = steps.calls.get(usize::from(self.begun[program])) else {
            return Ok(false);
        };
        if !self.machine.is_fit(task) {
            return Ok(false);
        }
        let answer = self.machine.begin(task, syscall.clone(), observer);
        self.begun[program] += 1;
        match answer {
            Ok(Answer::Blocked) => {}
            Ok(answer) => self.answers[*call] = answers.number(*call, answer),
            Err(error) => return Err(world.prepared.lab_error(*call, &error)),
        }
        Ok(true)
    }

    /// The call that `task` was in has ended. A task that is killed between two calls ends none.
    fn ended(&mut self, world: &World<'_>, answers: &mut Answers, task: TaskId, answer: Answer) {
        let Some((program, steps)) = world.program(task) else {
            return;
        };
        let current = usize::from(self.begun[program]).checked_sub(1);
        if let Some((call, _)) = current.and_then(|current| steps.calls.get(current))
            && self.answers[*call] == 0
        {
            self.answers[*call] = answers.number(*call, answer);
        }
    }

    /// The state as bytes. How many calls have begun follows from the answers, and from who is in a call.
    pub(super) fn encode(&self, bytes: &mut Vec<u8>) {
        bytes.clear();
        self.machine.encode(bytes);
        for answer in &self.answers {
            match u8::try_from(*answer) {
                Ok(small) if small < u8::MAX => bytes.push(small),
                _ => {
                    bytes.push(u8::MAX);
                    bytes.extend_from_slice(&answer.to_le_bytes());
                }
            }
        }
    }

    /// What became of the block's calls, if nobody goes on.
    pub(super) fn fates(&self, world: &World<'_>, answers: &Answers) -> Vec<Fate> {
        answers.fates(&self.block_code(world))
    }

    fn block_code(&self, world: &World<'_>) -> Code {
        let mut code = vec![0; world.calls];
        for (steps, begun) in world.programs.iter().zip(&self.begun) {
            for (call, _) in &steps.calls[..usize::from(*begun)] {
                code[*call] = self.answers[*call] + 1;
            }
        }
        code
    }

    /// The outcome, now that nobody can go on: the lines behind the block are run on a copy.
    pub(super) fn outcome(
        &self,
        world: &World<'_>,
        answers: &mut Answers,
    ) -> Result<Code, ScenarioError> {
        let mut code = self.block_code(world);
        if world.calls == world.prepared.calls().len() {
            return Ok(code);
        }
        let mut fates = answers.fates(&code);
        let mut model = Model::resume(self.machine.clone());
        world.prepared.finish(&mut model, &mut fates)?;
        for (call, fate) in fates.into_iter().enumerate().skip(world.calls) {
            code.push(match fate {
                Fate::NotReached => 0,
                Fate::Asleep => 1,
                Fate::Ended(answer) => answers.number(call, answer) + 1,
            });
        }
        Ok(code)
    }
}
