//! Open files: the descriptors that lead to each, what it holds and answers, and who waits for it.
//!
//! ```text
//! [4 r] ──► pipe  3 bytes              IN
//!           rd_wait  [ep/4 r]
//! ```

use super::glyph::{
    CHIP, Glyph, LINE, Label, Panel, Shape, TRACK, TRACK_WIDTH, chip, cut, text, units,
};
use super::place::{Places, numbered};
use super::row::{Link, waiting};
use super::stage::{View, bits, queue_label};
use crate::abi::{Fd, TaskId};
use crate::trace::{FileState, QueueRef, State};

/// What is the same in each step.
#[derive(Debug)]
pub(super) struct FilesStage {
    several: bool,
    places: Places,
    /// Where each file begins, and behind them the end.
    tops: Vec<i32>,
    /// Queues on which somebody stands at some time.
    used: Vec<QueueRef>,
    fd_width: i32,
    /// How high the part above the queues is: one line, or two where that is too little for some file.
    head: i32,
    shown: usize,
}

const TOP: i32 = 34;
/// Letters that find room in one line, besides what the file answers to poll(2).
const LETTERS: usize = 42;
const GAP: i32 = 8;
/// More descriptors of one file are counted only.
const MOST_FDS: usize = 3;

/// What has no wait queue has nothing to do with epoll.
fn files(state: &State) -> impl Iterator<Item = &FileState> {
    state.files.iter().filter(|file| !file.queues.is_empty())
}

fn keys(state: &State) -> Vec<String> {
    numbered(files(state).map(|file| format!("f{}", file.file.0)))
}

impl FilesStage {
    pub(super) fn set(film: &[View<'_>], several: bool, most: usize) -> FilesStage {
        let places = Places::of(film.iter().map(|view| keys(&view.state)));
        let shown = places.count.min(most);
        let all = || film.iter().flat_map(|view| files(&view.state));
        let mut used = Vec::new();
        for (queue, waiters) in all().flat_map(|file| &file.queues) {
            if !waiters.is_empty() && !used.contains(queue) {
                used.push(*queue);
            }
        }
        let is_long = |file: &FileState| {
            let ready = ready(file).chars().count();
            file.kind.chars().count() + file.content.chars().count() + ready > LETTERS - 6
        };
        let head = if all().any(is_long) { 43 } else { 28 };
        let mut heights = vec![head; shown];
        let mut fd_width = 44;
        for (step, view) in film.iter().enumerate() {
            for (file, key) in files(&view.state).zip(keys(&view.state)) {
                let widths = file
                    .fds
                    .iter()
                    .map(|(task, fd)| fd_label(view, *task, *fd).width());
                fd_width = fd_width.max(widths.max().unwrap_or_default());
                let place = places.get(step, &key);
                let Some(height) = place.and_then(|place| heights.get_mut(place)) else {
                    continue;
                };
                let queues = file.queues.iter().filter(|it| used.contains(&it.0));
                let lines: usize = queues
                    .map(|(queue, waiters)| {
                        let links = waiting(view, "", *queue, waiters, several);
                        lines(&links).len().max(1)
                    })
                    .sum();
                let fds = file.fds.len().min(MOST_FDS);
                let queues = if lines > 0 { 4 } else { 0 } + units(lines) * LINE;
                *height = (*height).max(head + queues).max(units(fds) * LINE);
            }
        }
        let mut tops = vec![TOP];
        for height in heights {
            tops.push(tops.last().unwrap_or(&TOP) + height + GAP);
        }
        FilesStage {
            several,
            places,
            tops,
            used,
            fd_width: fd_width.min(TRACK - 20),
            head,
            shown,
        }
    }

    pub(super) fn panel(&self, view: &View<'_>, step: usize) -> Panel {
        let mut title = "descriptors → open files".to_owned();
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
        let mut words = Vec::new();
        for (file, key) in files(&view.state).zip(keys(&view.state)) {
            let place = self.places.get(step, &key);
            let Some(place) = place.filter(|place| *place < self.shown) else {
                continue;
            };
            self.file(view, file, &key, place, &mut glyphs);
            words.push(self.words(view, file));
        }
        if words.is_empty() {
            words.push("no open file that can be waited for".to_owned());
        }
        Panel {
            title: "files".to_owned(),
            text: words.join("; "),
            height: self.tops.last().unwrap_or(&TOP) + 2,
            glyphs,
        }
    }

    fn file(
        &self,
        view: &View<'_>,
        file: &FileState,
        key: &str,
        place: usize,
        glyphs: &mut Vec<Glyph>,
    ) {
        let top = self.tops[place];
        let height = self.tops[place + 1] - top - GAP;
        let ready = ready(file);
        let mut body = format!("<rect width=\"{TRACK_WIDTH}\" height=\"{height}\" rx=\"7\"/>");
        if self.head < 40 {
            let content = format!("{}, {}", file.kind, file.content);
            body.push_str(&text("lab-content", 10, 18, &content));
        } else {
            body.push_str(&text("lab-content", 10, 18, file.kind));
            body.push_str(&text("lab-holds", 10, 34, &cut(&file.content, LETTERS + 6)));
        }
        body.push_str(&text("lab-ready", TRACK_WIDTH - 8, 18, &ready));
        let facts = format!("{} {ready}", file.content);
        glyphs.push(
            Glyph::new(key, "lab-file", (TRACK, top), body)
                .ground()
                .telling(facts),
        );
        for (number, (task, fd)) in file.fds.iter().take(MOST_FDS).enumerate() {
            let y = top + 2 + units(number) * LINE;
            let id = format!("fd {} {fd}", task.0);
            let label = if number + 1 == MOST_FDS && file.fds.len() > MOST_FDS {
                Label::new(format!("+{}", file.fds.len() - number), None)
            } else {
                fd_label(view, *task, *fd)
            };
            let (from_to, middle) = ((8 + self.fd_width, TRACK - 2), y + CHIP / 2);
            glyphs.push(Glyph::arrow(format!("{id} leads"), from_to, middle));
            let body = chip(Shape::Fd, &label, self.fd_width);
            glyphs.push(Glyph::new(id, "lab-fd", (8, y), body).telling(format!("to {key}")));
        }
        if file.fds.is_empty() {
            let body = text("lab-state", 8, 17, "no fd");
            glyphs.push(Glyph::new(
                format!("{key} lost"),
                "lab-note",
                (0, top),
                body,
            ));
        }
        let mut y = top + self.head;
        for (queue, waiters) in &file.queues {
            if !self.used.contains(queue) {
                continue;
            }
            let id = format!("{key} {queue}");
            let label = text("lab-linux", 10, 16, &queue_label(*queue));
            let label = Glyph::new(format!("{id} label"), "lab-label", (TRACK, y), label);
            glyphs.push(label.ground());
            let links = waiting(view, &id, *queue, waiters, self.several);
            let lines = lines(&links);
            let mut links = links.into_iter();
            for line in &lines {
                chips(links.by_ref().take(*line), &id, y, glyphs);
                y += LINE;
            }
            let rest = links.len();
            if rest > 0 {
                let body = text("lab-key", 0, 16, &format!("+{rest}"));
                let place = (TRACK + TRACK_WIDTH - 20, y - LINE);
                glyphs.push(Glyph::new(format!("{id} rest"), "lab-rest", place, body));
            }
            if lines.is_empty() {
                y += LINE;
            }
        }
    }

    fn words(&self, view: &View<'_>, file: &FileState) -> String {
        let fds = file.fds.iter();
        let fds: Vec<String> = fds
            .map(|(task, fd)| fd_label(view, *task, *fd).plain())
            .collect();
        let ready = ready(file);
        let mut words = format!(
            "{}: {}, {}, {ready}",
            fds.join(", "),
            file.kind,
            file.content
        );
        for (queue, waiters) in &file.queues {
            if !waiters.is_empty() {
                let names = waiters.iter().map(|waiter| view.waiter(*waiter));
                let names: Vec<String> = names.collect();
                words.push_str(&format!(", {}: {}", queue, names.join(", ")));
            }
        }
        words
    }
}

/// `4 r`; in the table of another process `2:4`.
fn fd_label(view: &View<'_>, task: TaskId, fd: Fd) -> Label {
    match task {
        TaskId::MAIN => Label::new(fd.to_string(), view.names.of_fd(fd)),
        task => Label::new(format!("{}:{fd}", view.task(task)), None),
    }
}

/// `IN OUT`
fn ready(file: &FileState) -> String {
    match file.ready.is_empty() {
        true => "not ready".to_owned(),
        false => bits(file.ready).join(" "),
    }
}

/// Where the chips of a queue begin and end.
const BEGIN: i32 = TRACK + 62;
const END: i32 = TRACK + TRACK_WIDTH - 6;
/// Between two of them, with an arrow in it.
const BETWEEN: i32 = 12;
/// More lines than these nobody reads.
const MOST_LINES: usize = 4;

/// How many chips stand in each line, as far as there is room.
fn lines(links: &[Link]) -> Vec<usize> {
    let mut lines = Vec::new();
    let mut x = END;
    for link in links {
        let width = link.label.width();
        if x + width > END || lines.is_empty() {
            if lines.len() == MOST_LINES {
                break;
            }
            lines.push(0);
            x = BEGIN;
        }
        if let Some(line) = lines.last_mut() {
            *line += 1;
        }
        x += width + BETWEEN;
    }
    lines
}

/// One line of them.
fn chips(links: impl Iterator<Item = Link>, id: &str, y: i32, glyphs: &mut Vec<Glyph>) {
    let mut x = BEGIN;
    for link in links {
        let width = link.label.width();
        if x > BEGIN {
            let (from_to, middle) = ((x - BETWEEN + 1, x - 2), y + CHIP / 2);
            glyphs.push(Glyph::arrow(format!("{id} {y} {x}"), from_to, middle));
        }
        glyphs.push(link.glyph(width, (x, y)));
        x += width + BETWEEN;
    }
}
