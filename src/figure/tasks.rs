//! Tasks: where each stands in its call, what it holds, and whom it is about to wake.

use super::glyph::{Glyph, Label, Panel, Shape, TRACK, TRACK_WIDTH, cut, text, units};
use super::place::Places;
use super::row::Link;
use super::stage::{View, bits};
use crate::abi::TaskId;
use crate::trace::{State, TaskState};

/// What is the same in each step.
#[derive(Debug)]
pub(super) struct TasksStage {
    places: Places,
    tops: Vec<i32>,
    shown: usize,
}

const TOP: i32 = 34;
const HEAD: i32 = 30;
/// The height of a line below the first.
const DETAIL: i32 = 15;
const CHIP_WIDTH: i32 = TRACK - 14;
/// Letters of the second column.
const LETTERS: usize = 40;

fn keys(state: &State) -> Vec<String> {
    let tasks = state.tasks.iter();
    tasks.map(|task| format!("t{}", task.task.0)).collect()
}

impl TasksStage {
    pub(super) fn set(film: &[View<'_>], most: usize) -> TasksStage {
        let places = Places::of(film.iter().map(|view| keys(&view.state)));
        let shown = places.count.min(most);
        let mut heights = vec![HEAD; shown];
        for (step, view) in film.iter().enumerate() {
            for (task, key) in view.state.tasks.iter().zip(keys(&view.state)) {
                let place = places.get(step, &key);
                if let Some(height) = place.and_then(|place| heights.get_mut(place)) {
                    let lines = units(details(view, task).len());
                    *height = (*height).max(HEAD + lines * DETAIL);
                }
            }
        }
        let mut tops = vec![TOP];
        for height in heights {
            tops.push(tops.last().unwrap_or(&TOP) + height + 4);
        }
        TasksStage {
            places,
            tops,
            shown,
        }
    }

    pub(super) fn panel(&self, view: &View<'_>, step: usize) -> Panel {
        let mut title = "tasks".to_owned();
        if self.places.count > self.shown {
            let rest = self.places.count - self.shown;
            title.push_str(&format!("  (+{rest} not shown)"));
        }
        let mut glyphs = vec![
            Glyph::new(
                "title",
                "lab-heading",
                (0, 0),
                text("lab-title", 10, 20, &title),
            )
            .ground(),
        ];
        if view.state.now > 0 {
            let milliseconds = view.state.now / 1_000_000;
            let body = text("lab-holder", 336, 20, &format!("time {milliseconds} ms"));
            glyphs.push(
                Glyph::new("time", "lab-heading", (0, 0), body).telling(view.state.now.to_string()),
            );
        }
        let mut words = Vec::new();
        for (task, key) in view.state.tasks.iter().zip(keys(&view.state)) {
            let place = self.places.get(step, &key);
            let Some(place) = place.filter(|place| *place < self.shown) else {
                continue;
            };
            let y = self.tops[place];
            let link = Link {
                id: key.clone(),
                shape: Shape::Task,
                label: label(view, task.task),
                facts: String::new(),
                home: Vec::new(),
                is_next: false,
            };
            let mut chip = link.glyph(CHIP_WIDTH, (8, y));
            chip.class = match (view.actor == Some(task.task), task.asleep) {
                (true, _) => "lab-task lab-acts",
                (false, true) => "lab-task lab-sleeps",
                (false, false) => "lab-task",
            };
            glyphs.push(chip);
            let at = task.call.as_deref().unwrap_or("in user mode");
            let mut body = text("lab-at", 0, 16, &cut(at, LETTERS - 8));
            if let Some(line) = view.calls.get(&task.task) {
                let line = format!("line {line}");
                body.push_str(&text("lab-line-no", TRACK_WIDTH - 6, 16, &line));
            }
            let details = details(view, task);
            for (detail, y) in details.iter().zip((31..).step_by(15)) {
                body.push_str(&text("lab-detail", 0, y, &cut(detail, LETTERS + 4)));
            }
            let facts = format!("{at} {}", details.join(" "));
            glyphs.push(
                Glyph::new(format!("{key} at"), "lab-stands", (TRACK, y), body).telling(facts),
            );
            let mut sentence = format!("{} {at}", view.task(task.task));
            for detail in details {
                sentence.push_str(&format!(", {detail}"));
            }
            words.push(sentence);
        }
        Panel {
            title: "tasks".to_owned(),
            text: words.join("; "),
            height: self.tops.last().unwrap_or(&TOP) + 2,
            glyphs,
        }
    }
}

/// `task 1 A`, or the name alone where there is no room for both.
fn label(view: &View<'_>, task: TaskId) -> Label {
    let both = Label::new(format!("task {}", task.0), view.names.of_task(task));
    if both.width() > CHIP_WIDTH + 6 {
        return Label::new(view.task(task), None);
    }
    both
}

/// What there is to say about a task, a line each.
fn details(view: &View<'_>, task: &TaskState) -> Vec<String> {
    let mut details = Vec::new();
    if task.asleep {
        details.push(match task.deadline {
            Some(deadline) => format!("asleep until {} ms", deadline / 1_000_000),
            None => "asleep".to_owned(),
        });
    }
    let waits = |at: &String| at.ends_with(": Sleep");
    if !task.asleep && task.call.as_ref().is_some_and(waits) {
        details.push("woken, and has not run yet".to_owned());
    }
    if !task.locks.is_empty() {
        let locks = task.locks.iter().map(|ep| view.epoll(*ep));
        let locks: Vec<String> = locks.collect();
        details.push(format!("holds mtx of {}", locks.join(", ")));
    }
    if !task.stored.is_empty() {
        let events = task.stored.iter();
        let events =
            events.map(|event| format!("{} data {}", bits(event.events).join(" "), event.data));
        let events: Vec<String> = events.collect();
        details.push(format!("stored {}", events.join(", ")));
    }
    for (queue, next) in &task.walks {
        let next = next.map_or("nobody".to_owned(), |next| view.waiter(next));
        details.push(format!("wakes {}, next {next}", view.queue(*queue)));
    }
    details
}
