//! What a picture is made of: glyphs, each with an identity that it keeps from step to step, on panels of
//! one width.
//!
//! Rust draws, the browser only moves: a glyph's inside is finished SVG, and what changes from one step to
//! the next is mostly where it stands.

use std::fmt;

/// The width of every panel, in the units of the picture: one is about a pixel on a telephone.
pub(super) const WIDTH: i32 = 344;
/// Where the column of labels ends, and that of things begins.
pub(super) const TRACK: i32 = 92;
/// How wide the second column is.
pub(super) const TRACK_WIDTH: i32 = WIDTH - TRACK - 8;
/// The height of everything that stands in a row.
pub(super) const CHIP: i32 = 24;
/// From one line of a row to the next.
pub(super) const LINE: i32 = CHIP + 5;

/// What stands on the same ground: one epoll, all files, all tasks.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Panel {
    /// What it shows, for whoever cannot see it.
    pub(super) title: String,
    /// All of it in words.
    pub(super) text: String,
    pub(super) height: i32,
    pub(super) glyphs: Vec<Glyph>,
}

/// One thing.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Glyph {
    /// The same thing in another step has the same.
    pub(super) id: String,
    pub(super) layer: Layer,
    pub(super) x: i32,
    pub(super) y: i32,
    pub(super) class: &'static str,
    pub(super) mark: Mark,
    /// SVG, drawn from its upper left corner; of a line the path.
    pub(super) body: String,
    /// Where it comes from and goes to if it is not there: the first of these that is.
    pub(super) home: Vec<String>,
    /// What it tells; the step has touched it if this is another than before. What tells nothing is not
    /// marked when it comes.
    facts: String,
}

/// What stands behind a waiter at whom a wake of one stops.
pub(super) const EXCLUSIVE: &str = "×1";
/// The class of the hand that points at the entry of a queue that is called next.
pub(super) const NEXT: &str = "lab-hand";
/// What stands between the epoll and the number of an item; in no other place of a picture.
pub(super) const OF_EPOLL: char = '∕';

/// What lies on what.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Layer {
    /// What others stand on.
    Ground,
    /// A path from one thing to another.
    Line,
    Thing,
}

impl Layer {
    pub(super) const ALL: [Layer; 3] = [Layer::Ground, Layer::Line, Layer::Thing];

    pub(super) fn number(self) -> u8 {
        match self {
            Layer::Ground => 0,
            Layer::Line => 1,
            Layer::Thing => 2,
        }
    }
}

/// Whether a step has touched it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Mark {
    Same,
    Changed,
    New,
}

impl Mark {
    pub(super) fn class(self) -> &'static str {
        match self {
            Mark::Same => "",
            Mark::Changed => " lab-changed",
            Mark::New => " lab-new",
        }
    }
}

impl Glyph {
    pub(super) fn new(
        id: impl Into<String>,
        class: &'static str,
        (x, y): (i32, i32),
        body: String,
    ) -> Glyph {
        Glyph {
            id: id.into(),
            layer: Layer::Thing,
            x,
            y,
            class,
            mark: Mark::Same,
            body,
            home: Vec::new(),
            facts: String::new(),
        }
    }

    /// A line along this path.
    pub(super) fn line(id: impl Into<String>, class: &'static str, path: String) -> Glyph {
        Glyph {
            layer: Layer::Line,
            ..Glyph::new(id, class, (0, 0), path)
        }
    }

    /// An arrow to the right.
    pub(super) fn arrow(id: impl Into<String>, (from, to): (i32, i32), y: i32) -> Glyph {
        let path = format!("M{from} {y}L{to} {y}m-4 -3l4 3l-4 3");
        Glyph::line(id, "lab-arrow", path)
    }

    /// What others stand on.
    pub(super) fn ground(self) -> Glyph {
        Glyph {
            layer: Layer::Ground,
            ..self
        }
    }

    pub(super) fn telling(self, facts: impl Into<String>) -> Glyph {
        Glyph {
            facts: facts.into(),
            ..self
        }
    }

    pub(super) fn at_home(self, home: impl IntoIterator<Item = String>) -> Glyph {
        Glyph {
            home: home.into_iter().collect(),
            ..self
        }
    }
}

impl Panel {
    /// Marks what is not as it was.
    pub(super) fn mark(&mut self, before: &Panel) {
        for glyph in &mut self.glyphs {
            glyph.mark = match before.glyphs.iter().find(|old| old.id == glyph.id) {
                None if glyph.facts.is_empty() => Mark::Same,
                None => Mark::New,
                Some(old) if old.facts == glyph.facts => Mark::Same,
                Some(_) => Mark::Changed,
            };
        }
    }
}

/// A thing with a number and a name on it: `4 r`. Its shape tells what it is.
pub(super) fn chip(shape: Shape, label: &Label, width: i32) -> String {
    let round = match shape {
        Shape::Item => 5,
        Shape::Task => CHIP / 2,
        Shape::Fd => 0,
    };
    let middle = width / 2;
    format!(
        "<rect width=\"{width}\" height=\"{CHIP}\" rx=\"{round}\"/><text class=\"lab-key\" x=\"{middle}\" y=\"16\">{label}</text>"
    )
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Shape {
    /// A registration: a rectangle with round corners.
    Item,
    /// A task: round ends.
    Task,
    /// A descriptor: a rectangle.
    Fd,
}

/// What stands on a chip.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Label {
    pub(super) key: String,
    pub(super) name: String,
}

impl Label {
    pub(super) fn new(key: impl Into<String>, name: Option<&str>) -> Label {
        Label {
            key: key.into(),
            name: name.map_or(String::new(), |name| cut(name, 7)),
        }
    }

    /// How wide a chip has to be for it.
    pub(super) fn width(&self) -> i32 {
        let letters = self.key.chars().count() + self.name.chars().count();
        let blank = if self.name.is_empty() { 0 } else { 6 };
        (units(letters) * 36 / 5 + blank + 14).max(30)
    }

    /// The same without markup.
    pub(super) fn plain(&self) -> String {
        format!("{} {}", self.key, self.name).trim_end().to_owned()
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        escape(&self.key).fmt(f)?;
        if !self.name.is_empty() {
            write!(
                f,
                "<tspan class=\"lab-name\" dx=\"4\">{}</tspan>",
                escape(&self.name)
            )?;
        }
        Ok(())
    }
}

/// A text at a place.
pub(super) fn text(class: &str, x: i32, y: i32, text: &str) -> String {
    format!(
        "<text class=\"{class}\" x=\"{x}\" y=\"{y}\">{}</text>",
        escape(text)
    )
}

/// The two lines in front of a row: what it is, and what Linux calls it.
pub(super) fn row_label(y: i32, what: &str, linux: &str) -> String {
    text("lab-what", 10, y + 10, what) + &text("lab-linux", 10, y + 22, linux)
}

/// A text without what means something in SVG and HTML.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::new();
    for char in text.chars() {
        match char {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            char => escaped.push(char),
        }
    }
    escaped
}

/// A text cut to so many letters.
pub(super) fn cut(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    let mut cut: String = text.chars().take(most.saturating_sub(1)).collect();
    cut.push('…');
    cut
}

/// So many, as a length.
pub(super) fn units(count: usize) -> i32 {
    const MOST: i32 = 1 << 16;
    i32::try_from(count).unwrap_or(MOST).min(MOST)
}
