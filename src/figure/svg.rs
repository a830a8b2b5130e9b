//! Pictures as SVG: panels for a page, and one picture alone with everything it needs.

use super::glyph::{
    EXCLUSIVE, Glyph, Label, Layer, NEXT, OF_EPOLL, Panel, Shape, WIDTH, chip, escape, text, units,
};
use super::{CSS, Figure};

/// Which column each panel stands in: always the shorter one.
pub(super) fn columns(panels: &[Panel]) -> Vec<usize> {
    let mut heights = [0, 0];
    let place = |panel: &Panel| {
        let column = usize::from(heights[1] < heights[0]);
        heights[column] += panel.height + APART;
        column
    };
    panels.iter().map(place).collect()
}

const APART: i32 = 12;

/// A picture for a page: two columns side by side, or one below the other where there is less room.
pub(super) fn picture(panels: &[Panel]) -> String {
    let columns = columns(panels);
    let mut picture = "<div class=\"lab-picture\">".to_owned();
    for column in 0..2 {
        let mut here = panels.iter().zip(&columns).filter(|it| *it.1 == column);
        let panels: String = here.by_ref().map(|(panel, _)| svg(panel)).collect();
        if !panels.is_empty() {
            picture.push_str(&format!("<div class=\"lab-column\">{panels}</div>"));
        }
    }
    picture.push_str("</div>");
    picture
}

fn svg(panel: &Panel) -> String {
    format!(
        "<svg class=\"lab-panel\" viewBox=\"0 0 {WIDTH} {}\" role=\"img\"><title>{}</title><desc>{}</desc>{}</svg>",
        panel.height,
        escape(&panel.title),
        escape(&panel.text),
        inside(panel)
    )
}

/// Frame and glyphs, layer by layer.
fn inside(panel: &Panel) -> String {
    let mut svg = frame(panel.height);
    for layer in Layer::ALL {
        svg.push_str("<g>");
        for glyph in panel.glyphs.iter().filter(|it| it.layer == layer) {
            svg.push_str(&drawn(glyph));
        }
        svg.push_str("</g>");
    }
    svg
}

fn frame(height: i32) -> String {
    format!(
        "<rect class=\"lab-frame\" x=\"0.5\" y=\"0.5\" width=\"{}\" height=\"{}\" rx=\"9\"/>",
        WIDTH - 1,
        height - 1
    )
}

fn drawn(glyph: &Glyph) -> String {
    let Glyph { x, y, class, .. } = glyph;
    let (mark, body) = (glyph.mark.class(), &glyph.body);
    match glyph.layer {
        Layer::Line => format!("<path class=\"lab-glyph {class}{mark}\" d=\"{body}\"/>"),
        Layer::Ground | Layer::Thing => {
            format!(
                "<g class=\"lab-glyph {class}{mark}\" transform=\"translate({x} {y})\">{body}</g>"
            )
        }
    }
}

/// The signs that these panels use, each with its width and what it means.
fn legend<'p>(panels: impl Iterator<Item = &'p Panel>) -> Vec<(String, i32, &'static str)> {
    let glyphs: Vec<&Glyph> = panels.flat_map(|panel| &panel.glyphs).collect();
    let is_used = |class: &str| glyphs.iter().any(|glyph| glyph.class == class);
    let says = |sign: &str| glyphs.iter().any(|glyph| glyph.body.contains(sign));
    let sign = |class: &str, body: String| format!("<g class=\"lab-glyph {class}\">{body}</g>");
    let node = |inner: &str| {
        format!(
            "<rect width=\"30\" height=\"24\" rx=\"5\"/>{inner}<text class=\"lab-key\" x=\"15\" y=\"16\">4</text>"
        )
    };
    let chip = |shape: Shape, key: &str, width: i32| chip(shape, &Label::new(key, None), width);
    let inner = "<rect class=\"lab-inner\" x=\"3\" y=\"3\" width=\"24\" height=\"18\" rx=\"3\"/>";
    let item = |key: &str, width: i32| sign("lab-item", chip(Shape::Item, key, width));
    let changed = sign("lab-item lab-changed", chip(Shape::Item, "4", 30));
    let all = [
        (
            is_used("lab-node lab-black"),
            sign("lab-node lab-black", node("")),
            30,
            "black node",
        ),
        (
            is_used("lab-node lab-red"),
            sign("lab-node lab-red", node(inner)),
            30,
            "red node",
        ),
        (is_used("lab-item"), item("4", 30), 30, "item of fd 4"),
        (
            glyphs.iter().any(|glyph| glyph.body.contains(OF_EPOLL)),
            item(&format!("b{OF_EPOLL}4"), 40),
            40,
            "item 4 of epoll b",
        ),
        (
            is_used("lab-fd"),
            sign("lab-fd", chip(Shape::Fd, "4", 30)),
            30,
            "descriptor",
        ),
        (
            is_used("lab-task") || is_used("lab-task lab-acts"),
            sign("lab-task", chip(Shape::Task, "A", 36)),
            36,
            "task",
        ),
        (
            says(EXCLUSIVE),
            sign(
                "lab-meaning",
                "<text class=\"lab-key\" x=\"11\" y=\"16\">×1</text>".to_owned(),
            ),
            22,
            "exclusive: one wake-up stops here",
        ),
        (
            says(NEXT),
            sign(
                "lab-item",
                format!("<path class=\"{NEXT}\" d=\"M11 17l-5 -8h10z\"/>"),
            ),
            22,
            "called next",
        ),
        (true, changed, 30, "changed by the step"),
    ];
    let used = all.into_iter().filter(|(is_used, ..)| *is_used);
    used.map(|(_, sign, width, meaning)| (sign, width, meaning))
        .collect()
}

/// The legend as a line of text with signs in it.
pub(super) fn legend_line<'p>(panels: impl Iterator<Item = &'p Panel>) -> String {
    let mut line = "<p class=\"lab-legend\" aria-hidden=\"true\">".to_owned();
    for (sign, width, meaning) in legend(panels) {
        line.push_str(&format!(
            "<span><svg viewBox=\"-3 -3 {} 30\" width=\"{}\" height=\"22\">{sign}</svg>{meaning}</span> ",
            width + 6,
            (width + 6) * 22 / 30
        ));
    }
    line.push_str("</p>");
    line
}

const MARGIN: i32 = 16;
/// Letters of text in one line across both columns.
const LETTERS: usize = 104;

impl Figure {
    /// The picture after a step, as a file of its own.
    ///
    /// # Panics
    /// If there is no such step.
    pub fn svg(&self, step: usize) -> String {
        let panels = self.picture(step);
        let columns = columns(&panels);
        let both = if columns.contains(&1) { 2 } else { 1 };
        let width = 2 * MARGIN + both * (WIDTH + APART) - APART;
        let letters = if both == 2 { LETTERS } else { LETTERS / 2 };
        let title = format!("{}, step {step} of {}", self.name, self.last());
        let mut y = MARGIN + 10;
        let mut body = text("lab-above", MARGIN, y, &title);
        for (class, sentence) in self.captions(step) {
            for line in wrapped(&sentence, letters) {
                y += 19;
                body.push_str(&text(class, MARGIN, y, &line));
            }
        }
        y += 14;
        let mut ends = [y, y];
        for (panel, column) in panels.iter().zip(columns) {
            let x = MARGIN + if column == 1 { WIDTH + APART } else { 0 };
            let place = format!("translate({x} {})", ends[column]);
            body.push_str(&format!("<g transform=\"{place}\">{}</g>", inside(panel)));
            ends[column] += panel.height + APART;
        }
        let mut y = ends[0].max(ends[1]) + 6;
        let mut x = MARGIN;
        for (sign, sign_width, meaning) in legend(panels.iter()) {
            let whole = sign_width + 6 + units(meaning.len()) * 13 / 2 + 16;
            if x + whole > width {
                (x, y) = (MARGIN, y + 32);
            }
            body.push_str(&format!(
                "<g transform=\"translate({x} {y})\">{sign}{}</g>",
                text("lab-meaning", sign_width + 6, 16, meaning)
            ));
            x += whole;
        }
        let height = y + 24 + MARGIN;
        let words: Vec<&str> = panels.iter().map(|panel| &*panel.text).collect();
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"lab-alone\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" role=\"img\">\n\
             <title>{}</title>\n<desc>{}</desc>\n<style>{}</style>\n\
             <g class=\"lab-figure\"><rect class=\"lab-paper\" width=\"{width}\" height=\"{height}\"/>{body}</g>\n</svg>\n",
            escape(&title),
            escape(&words.join(". ")),
            escape(pictures_only(CSS)),
        )
    }

    /// What stands above a picture alone: the line and the sentence.
    fn captions(&self, step: usize) -> Vec<(&'static str, String)> {
        let mut captions = Vec::new();
        let lines = self.lines.iter().filter(|it| !it.is_resumed);
        let mut lines = lines.filter(|it| it.steps.contains(&step));
        if let Some(line) = lines.next() {
            captions.push(("lab-written", format!("{}  {}", line.line, line.text)));
        }
        captions.push(("lab-said", self.sentence(step)));
        captions
    }

    /// What a step does and why.
    pub(super) fn sentence(&self, step: usize) -> String {
        match &self.steps[step].told {
            None => "Before the first step.".to_owned(),
            Some(told) if told.about.is_empty() => format!("{}.", told.head),
            Some(told) => format!("{} \u{2014} {}.", told.head, told.about),
        }
    }
}

/// The part of the style sheet that pictures need: a picture alone has no buttons.
fn pictures_only(css: &str) -> &str {
    css.split("/* Pages */").next().unwrap_or(css).trim_end()
}

/// A text in lines of so many letters, broken between words.
fn wrapped(text: &str, most: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let line = lines.last().map_or(0, |line| line.chars().count());
        if line > 0 && line + 1 + word.chars().count() > most {
            lines.push(String::new());
        }
        if let Some(line) = lines.last_mut() {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    lines
}
