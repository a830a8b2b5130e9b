//! The film of a run, with what a page needs to know about each of its pictures.

use std::cell::RefCell;
use std::collections::HashMap;
use std::ops::Range;
use std::rc::Rc;

use crate::abi::{Fd, TaskId};
use crate::backend::Backend;
use crate::explore::{Explorer, Schedule};
use crate::model::{Model, Variants};
use crate::scenario::{Line, Options, Run, Scenario, ScenarioError, Scene};
use crate::trace::{FileState, Film, Frame, Move, State};

/// All pages. Number 0 is what stands before the first step.
#[derive(Debug)]
pub struct Reel<'r> {
    /// What it is called.
    pub name: String,
    /// The file, line by line.
    pub text: Vec<&'r str>,
    /// What was filmed.
    pub take: &'r Take<'r>,
    run: &'r Run,
    lines: HashMap<usize, &'r Line>,
    shots: Vec<Shot<'r>>,
    /// How everything stands on the pages around the one at hand.
    states: RefCell<States>,
}

/// What is filmed.
#[derive(Debug)]
pub struct Take<'r> {
    /// The scenario.
    pub scenario: &'r Scenario,
    /// In which ways the model is to be wrong.
    pub variants: Variants,
    /// Which interleaving; none for the run that the scenario tells.
    pub schedule: Option<Schedule>,
}

impl Take<'_> {
    /// Runs the scenario and keeps the states after these steps.
    ///
    /// # Errors
    /// A scenario that cannot be interleaved, or a schedule that does not fit it.
    pub fn film(&self, seen: Range<usize>) -> Result<Result<Run, String>, ScenarioError> {
        if let Some(schedule) = &self.schedule {
            let explorer = Explorer::new().variants(self.variants);
            return explorer.film(self.scenario, schedule, seen);
        }
        let mut model = Model::observed_by(Film::of(seen)).with_variants(self.variants);
        Ok(Ok(self.scenario.run(&mut model, Options::default())))
    }
}

/// A stretch of pages. The scenario is run anew for another stretch: the same happens in each run, and a
/// run takes less time than the states of all pages would take room.
#[derive(Debug, Default)]
struct States {
    /// The first of them.
    first: usize,
    states: Vec<Rc<State>>,
}

/// How many pages are kept at a time.
const STRETCH: usize = 64;

/// One step.
#[derive(Clone, Copy, Debug)]
pub struct Shot<'r> {
    /// Which scene, counted from 1.
    pub number: usize,
    /// The line that it belongs to.
    pub scene: &'r Scene,
    /// What happened in it.
    pub frame: &'r Frame,
}

impl<'r> Reel<'r> {
    /// A reel of what was filmed; `run` is what [`Take::film`] gave.
    pub fn new(name: &str, text: &'r str, take: &'r Take<'r>, run: &'r Run) -> Reel<'r> {
        let mut shots = Vec::new();
        for (index, scene) in run.film.iter().enumerate() {
            let number = index + 1;
            let frames = scene.frames.iter();
            shots.extend(frames.map(|frame| Shot {
                number,
                scene,
                frame,
            }));
        }
        let mut lines = HashMap::new();
        collect(take.scenario.lines(), &mut lines);
        Reel {
            name: name.to_owned(),
            text: text.lines().collect(),
            take,
            run,
            lines,
            shots,
            states: RefCell::default(),
        }
    }

    /// The number of the last page.
    pub fn last(&self) -> usize {
        self.shots.len()
    }

    /// How many scenes there are.
    pub fn scenes(&self) -> usize {
        self.run.film.len()
    }

    /// The step of a page; none on page 0.
    pub fn shot(&self, page: usize) -> Option<Shot<'r>> {
        self.shots.get(page.checked_sub(1)?).copied()
    }

    /// How everything stands on a page.
    pub fn state(&self, page: usize) -> Rc<State> {
        let mut kept = self.states.borrow_mut();
        let known = |kept: &States| kept.states.get(page.checked_sub(kept.first)?).cloned();
        if let Some(state) = known(&kept) {
            return state;
        }
        // Most people turn to the next page, and then back.
        *kept = self.develop(page.saturating_sub(STRETCH / 4));
        known(&kept).unwrap_or_default()
    }

    fn develop(&self, first: usize) -> States {
        let mut states = Vec::new();
        if first == 0 {
            states.extend(
                Model::new()
                    .with_variants(self.take.variants)
                    .state()
                    .map(Rc::new),
            );
        }
        let seen = first.saturating_sub(1)..(first + STRETCH).saturating_sub(1);
        // It went well the first time.
        let run = self.take.film(seen).ok().and_then(Result::ok);
        let frames = run
            .into_iter()
            .flat_map(|run| run.film)
            .flat_map(|scene| scene.frames);
        states.extend(frames.filter_map(|frame| frame.state).map(Rc::new));
        States { first, states }
    }

    /// The first page of the next line.
    pub fn next_call(&self, page: usize) -> usize {
        let here = self.shot(page).map_or(0, |shot| shot.number);
        let next = self.shots.iter().position(|shot| shot.number > here);
        next.map_or(self.last(), |index| index + 1)
    }

    /// The first page of this line, or if that is here, of the one before.
    pub fn previous_call(&self, page: usize) -> usize {
        let Some(before) = self.shot(page.saturating_sub(1)) else {
            return 0;
        };
        let first = self
            .shots
            .iter()
            .position(|shot| shot.number == before.number);
        first.map_or(0, |index| index + 1)
    }

    /// The first page of the line with this number, or of the next one that did something.
    pub fn page_of_line(&self, line: usize) -> usize {
        let found = self.shots.iter().position(|shot| shot.scene.line >= line);
        found.map_or(self.last(), |index| index + 1)
    }

    /// A line of the file.
    pub fn line(&self, number: usize) -> Option<&'r Line> {
        self.lines.get(&number).copied()
    }

    /// What a scene's line says: as it happened, or in a loop as it is written.
    pub fn text(&self, scene: &Scene) -> String {
        let outcome = self.run.outcome(scene.line);
        match outcome.filter(|_| scene.rounds.is_empty()) {
            Some(outcome) => outcome.actual.clone(),
            None => self.line(scene.line).map_or(String::new(), Line::to_string),
        }
    }

    /// What a line said that happened.
    pub fn happened(&self, line: usize) -> Option<&'r str> {
        self.run.outcome(line).map(|outcome| &*outcome.actual)
    }

    /// What the scenario says of a scene's line that did something else.
    pub fn contradicted(&self, scene: &Scene) -> Option<&str> {
        let mut failures = self.run.failures.iter();
        let failure = failures.find(|it| it.line == scene.line && it.rounds == scene.rounds)?;
        Some(&failure.message)
    }

    /// Why there is nothing behind the last page, if there should be.
    pub fn stopped(&self) -> Option<String> {
        self.run.stopped.as_ref().map(ToString::to_string)
    }

    /// For each task in a call the line that made it.
    pub fn calls(&self, page: usize) -> HashMap<TaskId, usize> {
        let mut calls = HashMap::new();
        for shot in self.shots.iter().take(page) {
            let Some(task) = shot.frame.what.task() else {
                continue;
            };
            if let Move::Call { .. } = shot.frame.what {
                calls.insert(task, shot.scene.line);
            }
            if shot.frame.answer.is_some() {
                calls.remove(&task);
            }
        }
        calls
    }
}

fn collect<'r>(lines: &'r [Line], into: &mut HashMap<usize, &'r Line>) {
    for line in lines {
        into.insert(line.number(), line);
        collect(line.body().unwrap_or_default(), into);
    }
}

/// What a page's numbers are called in the scenario.
#[derive(Clone, Copy, Debug, Default)]
pub struct Names<'r> {
    fds: &'r [(Box<str>, Fd)],
    tasks: &'r [(Box<str>, TaskId)],
}

impl<'r> Names<'r> {
    /// As they are after a scene.
    pub fn of(scene: Option<&'r Scene>) -> Names<'r> {
        scene.map_or(Names::default(), |scene| Names {
            fds: &scene.fds,
            tasks: &scene.tasks,
        })
    }

    /// `task 1 [A]`
    pub fn task(&self, task: TaskId) -> String {
        match self.of_task(task) {
            Some(name) => format!("task {} [{name}]", task.0),
            None => format!("task {}", task.0),
        }
    }

    /// What a task is called, if it has a name.
    pub fn of_task(&self, task: TaskId) -> Option<&'r str> {
        let mut tasks = self.tasks.iter();
        tasks
            .find(|(_, known)| *known == task)
            .map(|(name, _)| &**name)
    }

    /// ` (ep)`: the name that a descriptor got last, or nothing.
    pub fn fd(&self, fd: Fd) -> String {
        self.of_fd(fd)
            .map_or(String::new(), |name| format!(" ({name})"))
    }

    /// The name that a descriptor got last.
    pub fn of_fd(&self, fd: Fd) -> Option<&'r str> {
        let mut fds = self.fds.iter().rev();
        fds.find(|(_, known)| *known == fd).map(|(name, _)| &**name)
    }

    /// The same for a file that a descriptor of the first process leads to.
    pub fn file(&self, file: &FileState) -> String {
        let mut fds = file.fds.iter().filter(|(task, _)| *task == TaskId::MAIN);
        fds.next().map_or(String::new(), |(_, fd)| self.fd(*fd))
    }
}
