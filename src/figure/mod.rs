//! A run as pictures: the inside of the kernel after each internal step, drawn from the model's own state.
//!
//! ```
//! use epoll_lab::figure::{Figure, Options};
//! use epoll_lab::scenario::Scenario;
//!
//! let text = "ep = epoll_create1(0)\n\
//!     f = eventfd2(1, 0)\n\
//!     epoll_ctl(ep, EPOLL_CTL_ADD, f, {events=EPOLLIN, data={u32=7, u64=7}}) = 0\n";
//! let scenario = Scenario::parse(text).unwrap();
//! let figure = Figure::new("first", text, &scenario, Options::default()).unwrap();
//! assert!(figure.svg(figure.last()).starts_with("<svg"));
//! assert!(figure.html().contains("<figure class=\"lab-figure\""));
//! ```
//!
//! A film is cut into pages by [`Reel`], and [`Told`] puts a step into words; the terminal stepper does its
//! own drawing from there on. A [`Figure`] draws in SVG:
//!
//! - `stage`: what holds over a whole film, so that nothing moves in the picture that did not move in the
//!   kernel; `place` gives out the places;
//! - `epoll`, `files`, `tasks`: the three sorts of panels; `tree` is a tree on one of them, `row` a list;
//! - `glyph`: what panels are made of, with an identity from step to step;
//! - `svg`: one picture alone;
//! - `html`: all of them to step through, by `figure.js`, and as a strip on paper or without scripts.
//!
//! Everything is drawn here. The script only moves glyphs from where they stand in one step to where they
//! stand in the next, and shows and hides them.

mod epoll;
mod files;
mod glyph;
mod html;
mod place;
mod reel;
mod row;
mod stage;
mod svg;
mod tasks;
#[cfg(all(test, feature = "library"))]
mod tests;
mod told;
mod tree;

use std::collections::HashMap;
use std::fmt;
use std::ops::RangeInclusive;
use std::rc::Rc;

pub use reel::{Names, Reel, Shot, Take};
pub use stage::Parts;
pub use told::Told;

use crate::abi::TaskId;
use crate::explore::Schedule;
use crate::model::Variants;
use crate::scenario::{Run, Scenario, ScenarioError};
use crate::trace::State;
use glyph::Panel;
use stage::{Stage, View};

/// How a figure looks: what a page that holds fragments has to link once.
pub const CSS: &str = include_str!("figure.css");

/// What makes the fragments of a page move: the script that it has to link once.
pub const JS: &str = include_str!("figure.js");

/// What is to be shown of a run, and how.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Only what these lines of the file set off; all of it if there are none. What stands before them
    /// has happened when the figure begins.
    pub lines: Option<RangeInclusive<usize>>,
    /// Which structures.
    pub parts: Parts,
    /// What stands above it; if there is none, what the scenario says about itself.
    pub caption: Option<String>,
    /// Its id in the page, where the name would not be the only one.
    pub id: Option<String>,
    /// In which ways the model is to be wrong.
    pub variants: Variants,
    /// Which of all interleavings; none for the run that the scenario tells.
    pub schedule: Option<Schedule>,
}

/// The longest figure, in steps: more than that nobody walks through, and the page becomes heavy.
pub const MOST_STEPS: usize = 600;

/// Why a run cannot be drawn.
#[derive(Debug)]
#[non_exhaustive]
pub enum FigureError {
    /// The scenario cannot be interleaved, or does not run.
    Scenario(ScenarioError),
    /// The schedule does not fit, and why.
    Schedule(String),
    /// It has many runs, and none was chosen.
    ManyRuns,
    /// These lines set nothing off.
    NoSteps,
    /// It has so many steps.
    TooLong(usize),
}

impl fmt::Display for FigureError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FigureError::Scenario(error) => error.fmt(f),
            FigureError::Schedule(sentence) => {
                write!(f, "the schedule does not fit: {sentence}")
            }
            FigureError::ManyRuns => f.write_str(
                "a parallel block has many runs; `epoll-lab explore` finds them, and a schedule takes one",
            ),
            FigureError::NoSteps => f.write_str("these lines take no step"),
            FigureError::TooLong(steps) => write!(
                f,
                "{steps} steps are too many for a figure, {MOST_STEPS} is the most: choose some lines"
            ),
        }
    }
}

impl std::error::Error for FigureError {}

/// A run, ready to be drawn. Step 0 is how everything stands before the first step.
#[derive(Debug)]
pub struct Figure {
    name: String,
    caption: String,
    id: String,
    parts: Parts,
    run: Run,
    steps: Vec<Step>,
    lines: Vec<Written>,
}

/// One step.
#[derive(Debug)]
struct Step {
    state: Rc<State>,
    /// Which scene of the run it belongs to; none before the first.
    scene: Option<usize>,
    calls: HashMap<TaskId, usize>,
    actor: Option<TaskId>,
    told: Option<Told>,
}

/// A line of the transcript.
#[derive(Debug)]
struct Written {
    /// Its number in the file.
    line: usize,
    text: String,
    /// What is said against it, if it did not do what it says.
    contradiction: Option<String>,
    /// The steps that it sets off; the end of a call belongs to a step of a line before.
    steps: RangeInclusive<usize>,
    is_resumed: bool,
}

impl Figure {
    /// Runs a scenario on the model. `text` is what it was read from, `name` what it is called.
    ///
    /// # Errors
    /// A scenario that has no run to be drawn: see [`FigureError`].
    pub fn new(
        name: &str,
        text: &str,
        scenario: &Scenario,
        options: Options,
    ) -> Result<Figure, FigureError> {
        if scenario.is_parallel() && options.schedule.is_none() {
            return Err(FigureError::ManyRuns);
        }
        let take = Take {
            scenario,
            variants: options.variants,
            schedule: options.schedule,
        };
        let run = take.film(0..0).map_err(FigureError::Scenario)?;
        let run = run.map_err(FigureError::Schedule)?;
        let (steps, lines) = {
            let reel = Reel::new(name, text, &take, &run);
            let pages = pages(&reel, options.lines.as_ref())?;
            // What led to the first picture is no part of it.
            let before = Step {
                actor: None,
                told: None,
                ..step(&reel, pages.start() - 1)
            };
            let steps = pages.clone().map(|page| step(&reel, page));
            let steps = std::iter::once(before).chain(steps).collect();
            (steps, transcript(&reel, &pages))
        };
        Ok(Figure {
            name: name.to_owned(),
            caption: options.caption.unwrap_or_else(|| claim(scenario, name)),
            id: options.id.unwrap_or_else(|| slug(name)),
            parts: options.parts,
            run,
            steps,
            lines,
        })
    }

    /// The number of the last step.
    pub fn last(&self) -> usize {
        self.steps.len() - 1
    }

    /// The run that it shows: whether it did what the scenario says, above all.
    pub fn run(&self) -> &Run {
        &self.run
    }

    /// The step after which everything is done that this line of the file sets off; or the line before it
    /// that sets something off.
    pub fn step_after_line(&self, line: usize) -> usize {
        let lines = self.lines.iter().rev();
        let mut done = lines.filter(|written| written.line <= line);
        done.next().map_or(0, |written| *written.steps.end())
    }

    fn film(&self) -> Vec<View<'_>> {
        self.steps.iter().map(|step| self.view(step)).collect()
    }

    fn view(&self, step: &Step) -> View<'_> {
        View {
            state: Rc::clone(&step.state),
            names: Names::of(step.scene.and_then(|scene| self.run.film.get(scene))),
            calls: step.calls.clone(),
            actor: step.actor,
        }
    }

    /// The picture of each step, on one stage, with marks at what the step has touched.
    fn pictures(&self) -> Vec<Vec<Panel>> {
        let film = self.film();
        let stage = Stage::set(&film, self.parts);
        let plain: Vec<Vec<Panel>> = (0..film.len())
            .map(|step| stage.picture(&film, step))
            .collect();
        let mut marked = plain.clone();
        for (step, panels) in marked.iter_mut().enumerate().skip(1) {
            mark(panels, &plain[step - 1]);
        }
        marked
    }

    /// The picture of one step on a stage of its own, which takes no more room than it needs.
    fn picture(&self, step: usize) -> Vec<Panel> {
        let before = step.checked_sub(1).map(|step| self.view(&self.steps[step]));
        let film: Vec<View<'_>> = before
            .into_iter()
            .chain([self.view(&self.steps[step])])
            .collect();
        let stage = Stage::set(&film, self.parts);
        let mut panels = stage.picture(&film, film.len() - 1);
        if film.len() > 1 {
            mark(&mut panels, &stage.picture(&film, 0));
        }
        panels
    }
}

fn mark(panels: &mut [Panel], before: &[Panel]) {
    for (panel, before) in panels.iter_mut().zip(before) {
        panel.mark(before);
    }
}

/// The pages of these lines.
fn pages(
    reel: &Reel<'_>,
    lines: Option<&RangeInclusive<usize>>,
) -> Result<RangeInclusive<usize>, FigureError> {
    let belongs = |page: &usize| {
        let line = reel.shot(*page).map(|shot| shot.scene.line);
        line.is_some_and(|line| lines.is_none_or(|lines| lines.contains(&line)))
    };
    let first = (1..=reel.last()).find(belongs);
    let last = (1..=reel.last()).rev().find(belongs);
    let (Some(first), Some(last)) = (first, last) else {
        return Err(FigureError::NoSteps);
    };
    match last + 1 - first {
        steps if steps > MOST_STEPS => Err(FigureError::TooLong(steps)),
        _ => Ok(first..=last),
    }
}

fn step(reel: &Reel<'_>, page: usize) -> Step {
    let shot = reel.shot(page);
    Step {
        state: reel.state(page),
        scene: shot.map(|shot| shot.number - 1),
        calls: reel.calls(page),
        actor: shot.and_then(|shot| shot.frame.what.task()),
        told: shot.map(|shot| Told::of(shot, &Names::of(Some(shot.scene)))),
    }
}

/// The lines that these pages show, as they happened.
fn transcript(reel: &Reel<'_>, pages: &RangeInclusive<usize>) -> Vec<Written> {
    let mut lines: Vec<Written> = Vec::new();
    let step_of = |page: usize| page + 1 - pages.start();
    let mut page = *pages.start();
    while let Some(shot) = reel.shot(page).filter(|_| page <= *pages.end()) {
        let scene = shot.scene;
        let is_here = |page: &usize| {
            reel.shot(*page)
                .is_some_and(|other| other.number == shot.number)
        };
        let last = (page..=*pages.end()).take_while(is_here).last();
        let last = last.unwrap_or(page);
        let mut text = reel.text(scene);
        if !scene.rounds.is_empty() {
            let rounds: Vec<String> = scene.rounds.iter().map(u64::to_string).collect();
            text.push_str(&format!("  # round {}", rounds.join(".")));
        }
        // Turns of one call in a schedule.
        if lines.iter().any(|it| it.line == scene.line) && scene.rounds.is_empty() {
            text.push_str("  # goes on");
        }
        let earlier = lines
            .last()
            .filter(|it| it.line == scene.line && !it.is_resumed);
        match earlier {
            // Turns of a schedule that follow each other.
            Some(_) if reel.take.schedule.is_some() => {
                if let Some(earlier) = lines.last_mut() {
                    earlier.steps = *earlier.steps.start()..=step_of(last);
                }
            }
            _ => lines.push(Written {
                line: scene.line,
                text,
                contradiction: reel.contradicted(scene).map(str::to_owned),
                steps: step_of(page)..=step_of(last),
                is_resumed: false,
            }),
        }
        lines.extend(
            resumed(reel, page..=last)
                .into_iter()
                .map(|(line, text, page)| Written {
                    line,
                    text,
                    contradiction: None,
                    steps: step_of(page)..=step_of(page),
                    is_resumed: true,
                }),
        );
        page = last + 1;
    }
    lines
}

/// The lines behind a scene that tell of calls that ended in it, each with the page on which it did.
fn resumed(reel: &Reel<'_>, pages: RangeInclusive<usize>) -> Vec<(usize, String, usize)> {
    let Some(shot) = reel.shot(*pages.start()) else {
        return Vec::new();
    };
    let mut resumed = Vec::new();
    let mut number = shot.scene.line + 1;
    while let Some(line) = reel.line(number).filter(|line| line.is_resumed()) {
        let named = shot.scene.tasks.iter();
        let task = line.task().and_then(|name| {
            let mut named = named.filter(|(known, _)| &**known == name);
            named.next().map(|(_, task)| *task)
        });
        let task = task.unwrap_or(TaskId::MAIN);
        let ends = |page: &usize| {
            reel.shot(*page).is_some_and(|shot| {
                shot.frame.answer.is_some() && shot.frame.what.task() == Some(task)
            })
        };
        if let (Some(page), Some(text)) = (pages.clone().rev().find(ends), reel.happened(number)) {
            resumed.push((number, text.to_owned(), page));
        }
        number += 1;
    }
    resumed
}

/// What a scenario says first about itself.
fn claim(scenario: &Scenario, name: &str) -> String {
    let header = scenario.header();
    let law = header.laws.first().map(|law| &law.sentence);
    let confusion = header.confusions.first().map(|it| &it.sentence);
    law.or(confusion)
        .map_or_else(|| name.to_owned(), ToString::to_string)
}

/// A name as an id: letters, digits and hyphens.
fn slug(text: &str) -> String {
    let plain = |char: char| {
        if char.is_ascii_alphanumeric() {
            char.to_ascii_lowercase()
        } else {
            '-'
        }
    };
    format!("lab-{}", text.chars().map(plain).collect::<String>())
}
