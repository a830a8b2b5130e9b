//! A list as a row of slots: a label, a track, and chips on it from first to last.

use super::glyph::{
    CHIP, Glyph, LINE, Label, NEXT, Shape, TRACK, TRACK_WIDTH, chip, cut, row_label, text, units,
};
use super::place::numbered;
use super::stage::View;
use crate::trace::{QueueRef, WaiterState};

/// A row of a panel, the same in each step.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row {
    pub(super) what: &'static str,
    pub(super) linux: &'static str,
    pub(super) y: i32,
    /// How wide a chip is.
    pub(super) chip: i32,
    /// How many lines of chips there may be.
    pub(super) lines: usize,
    /// What is kept free at the right end.
    pub(super) reserved: i32,
}

/// One chip of a row.
#[derive(Clone, Debug)]
pub(super) struct Link {
    pub(super) id: String,
    pub(super) shape: Shape,
    pub(super) label: Label,
    pub(super) facts: String,
    pub(super) home: Vec<String>,
    /// A walk along the row comes to it next.
    pub(super) is_next: bool,
}

/// The room between two chips, with an arrow in it.
const GAP: i32 = 12;
/// From the edge of the track to the first chip.
const MARGIN: i32 = 6;
/// More lines than these are not drawn.
const MOST_LINES: usize = 3;

impl Row {
    /// A row that has room for so many chips that show these labels.
    pub(super) fn for_chips(
        what: &'static str,
        linux: &'static str,
        y: i32,
        chip: i32,
        count: usize,
        reserved: i32,
    ) -> Row {
        let mut row = Row {
            what,
            linux,
            y,
            chip,
            lines: 1,
            reserved,
        };
        row.lines = count.div_ceil(row.in_a_line()).clamp(1, MOST_LINES);
        row
    }

    fn width(&self) -> i32 {
        TRACK_WIDTH - self.reserved
    }

    fn in_a_line(&self) -> usize {
        let room = (self.width() - 2 * MARGIN + GAP) / (self.chip + GAP);
        usize::try_from(room).unwrap_or(1).max(1)
    }

    /// From the top of this row to that of the next.
    pub(super) fn height(&self) -> i32 {
        units(self.lines) * LINE + 11
    }

    /// Label and track. `state` is what stands on the track instead of chips: `closed`.
    pub(super) fn ground(&self, id: &str, state: Option<&str>, facts: &str) -> Vec<Glyph> {
        let label = Glyph::new(
            format!("{id} label"),
            "lab-label",
            (0, self.y),
            row_label(0, self.what, self.linux),
        );
        let height = units(self.lines) * LINE + 3;
        let mut track = format!(
            "<rect width=\"{}\" height=\"{height}\" rx=\"7\"/>",
            self.width()
        );
        let class = match state {
            None => "lab-track",
            Some(_) => "lab-track lab-shut",
        };
        track.extend(state.map(|state| text("lab-state", 10, 20, state)));
        let place = (TRACK, self.y);
        vec![
            label.ground(),
            Glyph::new(format!("{id} track"), class, place, track)
                .ground()
                .telling(facts),
        ]
    }

    /// Where the chip with this number stands.
    pub(super) fn place(&self, number: usize) -> (i32, i32) {
        let (line, column) = (number / self.in_a_line(), number % self.in_a_line());
        (
            TRACK + MARGIN + units(column) * (self.chip + GAP),
            self.y + 4 + units(line) * LINE,
        )
    }

    /// The chips, and a count of those that find no room.
    pub(super) fn chips(&self, id: &str, links: Vec<Link>) -> Vec<Glyph> {
        let room = self.lines * self.in_a_line();
        let shown = if links.len() > room {
            room - 1
        } else {
            links.len()
        };
        let mut glyphs = Vec::new();
        if shown < links.len() {
            let rest = format!("+{}", links.len() - shown);
            glyphs.push(Glyph::new(
                format!("{id} rest"),
                "lab-rest",
                self.place(shown),
                text("lab-key", self.chip / 2, 16, &rest),
            ));
        }
        for (number, link) in links.into_iter().take(shown).enumerate() {
            let (x, y) = self.place(number);
            if number % self.in_a_line() > 0 {
                let (from_to, y) = ((x - GAP + 1, x - 2), y + CHIP / 2);
                glyphs.push(Glyph::arrow(format!("{id} {number}"), from_to, y));
            }
            glyphs.push(link.glyph(self.chip, (x, y)));
        }
        glyphs
    }

    /// What left the row in this step, said at its end.
    pub(super) fn gone(&self, id: &str, gone: &[String]) -> Option<Glyph> {
        if gone.is_empty() {
            return None;
        }
        let said: Vec<String> = gone.iter().map(|it| format!("−{it}")).collect();
        let place = (TRACK + self.width() - MARGIN, self.y);
        let body = text("lab-minus", 0, 20, &cut(&said.join(" "), 14));
        Some(Glyph::new(format!("{id} gone"), "lab-gone", place, body))
    }
}

impl Link {
    pub(super) fn glyph(self, width: i32, place: (i32, i32)) -> Glyph {
        let class = match self.shape {
            Shape::Item => "lab-item",
            Shape::Task => "lab-task",
            Shape::Fd => "lab-fd",
        };
        let mut body = chip(self.shape, &self.label, width);
        if self.is_next {
            let middle = width / 2;
            body.push_str(&format!(
                "<path class=\"{NEXT}\" d=\"M{middle} 1l-5 -7h10z\"/>"
            ));
        }
        Glyph::new(self.id, class, place, body)
            .telling(self.facts)
            .at_home(self.home)
    }
}

/// The entries of a wait queue as chips.
pub(super) fn waiting(
    view: &View<'_>,
    id: &str,
    queue: QueueRef,
    waiters: &[WaiterState],
    with_epoll: bool,
) -> Vec<Link> {
    let named = waiters.iter().map(|waiter| match waiter {
        WaiterState::Task { task, .. } => format!("{id} task {}", task.0),
        WaiterState::Hook { item, .. } => format!("{id} hook {} {}", item.ep.0, item.tfd),
        WaiterState::Relay { queue } => format!("{id} {queue}"),
    });
    let keys = numbered(named);
    waiters
        .iter()
        .zip(keys)
        .map(|(waiter, id)| Link {
            shape: match waiter {
                WaiterState::Task { .. } => Shape::Task,
                WaiterState::Hook { .. } | WaiterState::Relay { .. } => Shape::Item,
            },
            label: view.waiter_label(*waiter, with_epoll),
            facts: id.clone(),
            home: Vec::new(),
            is_next: view.is_next(queue, *waiter),
            id,
        })
        .collect()
}
