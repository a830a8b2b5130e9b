//! One way through the states: to write down, to read, to walk again.
//!
//! ```text
//! main*4 A*7 A! A*2
//! ```
//!
//! Each word is a turn: the first task takes four steps, A seven, A's timer fires, A takes two more. To
//! begin a call is a step too. Whoever has the scenario can replay it, with whatever reduction it was found.

use std::fmt::{self, Display, Write};

use super::state::{Actor, Answers, State, Turn, World};
use crate::abi::{Answer, Fate};
use crate::model::Work;
use crate::scenario::{Run, ScenarioError, Scene};
use crate::trace::{Film, Move, Observer, Recorder, Trace};

/// Turns, each with its number of steps.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Path(Vec<(Actor, u32)>);

impl Path {
    pub(super) fn push(&mut self, actor: Actor, steps: u32) {
        match self.0.last_mut() {
            Some((last, before)) if *last == actor => *before += steps,
            _ => self.0.push((actor, steps)),
        }
    }

    /// The state that it leads to.
    pub(super) fn walk(
        &self,
        world: &World<'_>,
        answers: &mut Answers,
    ) -> Result<State, ScenarioError> {
        let mut state = world.state();
        for (actor, steps) in &self.0 {
            for _ in 0..*steps {
                state.advance(world, answers, *actor, &mut ())?;
            }
        }
        Ok(state)
    }

    /// In the words of people.
    pub(super) fn schedule(&self, world: &World<'_>) -> Schedule {
        let mut text = String::new();
        for (actor, steps) in &self.0 {
            let name = world.turn_name(*actor);
            // What happens by itself is written once for each time.
            let (word, times) = match actor.stepper() {
                Some(_) => (format!("{name}*{steps}"), 1),
                None => (format!("{name}!"), *steps),
            };
            for _ in 0..times {
                let blank = if text.is_empty() { "" } else { " " };
                // Writing to a string never fails.
                let _ = write!(text, "{blank}{word}");
            }
        }
        Schedule(text)
    }

    fn read(schedule: &Schedule, world: &World<'_>) -> Result<Path, String> {
        let mut path = Path::default();
        for word in schedule.0.split_whitespace() {
            let (name, steps) = match word.strip_suffix('!') {
                Some(name) => (name, None),
                None => match word.split_once('*') {
                    Some((name, steps)) => (name, Some(steps)),
                    None => (word, Some("1")),
                },
            };
            let Some(actor) = world.turn_of(name, steps.is_none()) else {
                return Err(format!("`{word}`: there is no task `{name}`"));
            };
            match steps.unwrap_or("1").parse() {
                Ok(steps) => path.0.push((actor, steps)),
                Err(_) => {
                    return Err(format!(
                        "`{word}`: `{}` is no number of steps",
                        steps.unwrap_or_default()
                    ));
                }
            }
        }
        Ok(path)
    }
}

/// A way through, by the names of the tasks: `main*4 A*7 A! A*2`.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Schedule(String);

impl Schedule {
    /// What somebody wrote; whether it fits a scenario is seen when it is replayed.
    pub fn new(text: &str) -> Schedule {
        Schedule(text.to_owned())
    }

    /// Whether nobody does anything.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A schedule as it went.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Replay {
    /// The steps in their order.
    pub steps: Vec<Step>,
    /// The calls that have ended, or sleep, or were not made, as text: one for each, in order.
    pub calls: Vec<String>,
    /// Who could go on if the schedule did.
    pub able: Vec<String>,
}

/// One step of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Step {
    /// Whose.
    pub task: String,
    /// What it was: the line of a call that begins, else the point in the kernel at which the task stood.
    pub at: String,
    /// What happened inside.
    pub trace: Vec<Trace>,
    /// The call that it ended, as text.
    pub ended: Option<String>,
}

/// See [`Explorer::replay`](super::Explorer::replay).
pub(super) fn replay(
    world: &World<'_>,
    schedule: &Schedule,
) -> Result<Result<Replay, String>, ScenarioError> {
    let path = match Path::read(schedule, world) {
        Ok(path) => path,
        Err(sentence) => return Ok(Err(sentence)),
    };
    let mut answers = Answers::default();
    let mut state = world.state();
    let mut steps = Vec::new();
    for (actor, count) in &path.0 {
        for _ in 0..*count {
            let at = state.point(world, *actor);
            let before = state.fates(world, &answers);
            let mut recorder = Recorder::default();
            if !state.advance(world, &mut answers, *actor, &mut recorder)? {
                let name = world.turn_name(*actor);
                return Ok(Err(format!(
                    "behind {} steps {name} cannot go on: it stands at {at}",
                    steps.len()
                )));
            }
            let after = state.fates(world, &answers);
            steps.push(Step {
                task: world.turn_name(*actor),
                at,
                trace: recorder.0,
                ended: ended(world, &before, &after),
            });
        }
    }
    let fates = state.fates(world, &answers);
    let able = able(world, &state, &mut answers)?;
    let calls = fates.iter().enumerate();
    Ok(Ok(Replay {
        steps,
        calls: calls
            .map(|(call, fate)| world.prepared.text(call, fate))
            .collect(),
        able,
    }))
}

/// See [`Explorer::film`](super::Explorer::film).
pub(super) fn film(
    mut world: World<'_>,
    mut film: Film,
    schedule: &Schedule,
) -> Result<Result<Run, String>, ScenarioError> {
    let path = match Path::read(schedule, &world) {
        Ok(path) => path,
        Err(sentence) => return Ok(Err(sentence)),
    };
    let mut answers = Answers::default();
    let mut state = world.state();
    let mut scenes: Vec<Scene> = Vec::new();
    let mut steps = 0;
    for (actor, count) in &path.0 {
        for turn in 0..*count {
            let at = state.point(&world, *actor);
            let begins = actor.stepper().and_then(|task| {
                let (_, call) = world.next_call(&state, task)?;
                (!state.machine.is_in_call(task)).then(|| call.clone())
            });
            let before = state.fates(&world, &answers);
            if !state.advance(&world, &mut answers, *actor, &mut film)? {
                let name = world.turn_name(*actor);
                return Ok(Err(format!(
                    "behind {steps} steps {name} cannot go on: it stands at {at}"
                )));
            }
            steps += 1;
            let after = state.fates(&world, &answers);
            let what = match (actor.turn(), begins) {
                (Turn::Timer(_) | Turn::Alarm(_), _) => Move::Time,
                (Turn::Work(_), _) => Move::Work { at },
                (Turn::Step(task), Some(call)) => Move::Call { task, call },
                (Turn::Step(task), None) => Move::Step { task, at },
            };
            let answer = new_answer(&before, &after);
            film.step(what, answer, || state.machine.view());
            // A turn that goes on to the next call is a scene more.
            let line = match actor.turn() {
                Turn::Step(task) | Turn::Timer(task) => world.line(&state, task),
                // It goes on with what a line before has left behind.
                Turn::Work(_) | Turn::Alarm(_) => scenes.last().map_or(0, |scene| scene.line),
            };
            match scenes.last_mut() {
                Some(scene) if (turn > 0 || actor.stepper().is_none()) && scene.line == line => {
                    scene.frames.extend(film.take_film());
                }
                _ => scenes.push(Scene {
                    line,
                    rounds: Vec::new(),
                    fds: world.prepared.fds(),
                    tasks: world.prepared.tasks(),
                    frames: film.take_film(),
                }),
            }
        }
    }
    let mut run = std::mem::take(&mut world.prepared.set_up);
    run.film.extend(scenes);
    Ok(Ok(run))
}

/// How a call has ended between two moments, if one has.
fn new_answer(before: &[Fate], after: &[Fate]) -> Option<Answer> {
    before.iter().zip(after).find_map(|fates| match fates {
        (Fate::Ended(_), _) => None,
        (_, Fate::Ended(answer)) => Some(answer.clone()),
        _ => None,
    })
}

/// The call that has ended between two moments.
fn ended(world: &World<'_>, before: &[Fate], after: &[Fate]) -> Option<String> {
    let mut fates = before.iter().zip(after).enumerate();
    let (call, (_, fate)) = fates.find(|(_, (before, after))| {
        !matches!(before, Fate::Ended(_)) && matches!(after, Fate::Ended(_))
    })?;
    Some(world.prepared.text(call, fate))
}

fn able(
    world: &World<'_>,
    state: &State,
    answers: &mut Answers,
) -> Result<Vec<String>, ScenarioError> {
    let mut able = Vec::new();
    for actor in state.candidates(world)? {
        if state.clone().advance(world, answers, actor, &mut ())? {
            let mut path = Path::default();
            path.push(actor, 1);
            able.push(path.schedule(world).to_string());
        }
    }
    Ok(able)
}

impl State {
    /// Where an actor stands.
    pub(super) fn point(&self, world: &World<'_>, actor: Actor) -> String {
        let task = match actor.turn() {
            Turn::Step(task) => task,
            Turn::Timer(_) => return "its timer".to_owned(),
            Turn::Alarm(_) => return "a timer of the network".to_owned(),
            Turn::Work(_) => {
                let mut works = self.machine.works();
                let work = works.find(|work| Actor::work(work.number()) == Some(actor));
                return work.map_or("no work", Work::function).to_owned();
            }
        };
        match (self.machine.at(task), world.next_call(self, task)) {
            (Some(at), _) => at,
            (None, Some((call, _))) => world.prepared.question(*call),
            (None, None) => "the end of its lines".to_owned(),
        }
    }
}
