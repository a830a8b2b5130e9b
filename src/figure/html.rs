//! The figure in a page: a strip of the pictures that matter most, which is all there is on paper and
//! without scripts, and the steps from which `figure.js` makes a player.

use std::collections::HashMap;

use serde_json::{Value, json};

use super::glyph::{Glyph, Mark, Panel, WIDTH, escape};
use super::svg::{columns, legend_line, picture};
use super::{CSS, Figure, JS, Written, mark};

/// A strip has no more pictures than these.
const MOST_STILLS: usize = 8;

impl Figure {
    /// The figure for a page that links [`CSS`] and [`JS`]: one element, without an empty line. A link to its
    /// id and a step, `#lab-name:12`, opens it there.
    pub fn fragment(&self) -> String {
        let pictures = self.pictures();
        let data = data(&pictures).to_string().replace('<', "\\u003c");
        let caption = escape(&format!("{}-caption", self.id));
        format!(
            "<figure class=\"lab-figure\" id=\"{}\" data-start=\"{}\" data-last=\"{}\" aria-labelledby=\"{caption}\">\n\
             <figcaption id=\"{caption}\">{}</figcaption>\n\
             <div class=\"lab-strip\">\n{}</div>\n{}\n\
             <script type=\"application/json\" class=\"lab-data\">{data}</script>\n</figure>\n",
            escape(&self.id),
            self.start(),
            self.last(),
            escape(&self.caption),
            self.strip(&pictures),
            legend_line(pictures.iter().flatten()),
        )
    }

    /// One picture without a player: one element, without an empty line.
    ///
    /// # Panics
    /// If there is no such step.
    pub fn still(&self, step: usize) -> String {
        let panels = self.picture(step);
        format!(
            "<figure class=\"lab-figure lab-still\" id=\"{}\">\n<figcaption>{}</figcaption>\n{}\n{}\n</figure>\n",
            escape(&self.id),
            escape(&self.caption),
            picture(&panels),
            legend_line(panels.iter()),
        )
    }

    /// The figure as a page of its own, which needs nothing else.
    pub fn html(&self) -> String {
        let title = escape(&self.name);
        let fragment = self.fragment();
        format!(
            "<!doctype html>\n<html lang=\"en\" class=\"lab-alone\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <title>{title}</title>\n<style>\n{CSS}</style>\n</head>\n<body>\n<main>\n{fragment}</main>\n\
             <script>\n{JS}</script>\n</body>\n</html>\n"
        )
    }

    /// Every line with its steps in words, and pictures behind the lines that changed most.
    fn strip(&self, pictures: &[Vec<Panel>]) -> String {
        let shown = self.stills(pictures);
        let mut before = &pictures[0];
        let mut strip = String::new();
        for written in &self.lines {
            let Written { line, steps, .. } = written;
            let (first, last) = (steps.start(), steps.end());
            let class = if written.is_resumed {
                "lab-scene lab-resumed"
            } else {
                "lab-scene"
            };
            strip.push_str(&format!(
                "<section class=\"{class}\" data-line=\"{line}\" data-first=\"{first}\" data-last=\"{last}\">\
                 <p class=\"lab-written\"><span class=\"lab-no\">{line}</span> <samp>{}</samp></p>\n",
                escape(&written.text)
            ));
            if let Some(contradiction) = &written.contradiction {
                strip.push_str(&format!(
                    "<p class=\"lab-wrong\">! {}</p>\n",
                    escape(contradiction)
                ));
            }
            if !written.is_resumed {
                strip.push_str(&format!("<ol class=\"lab-steps\" start=\"{first}\">\n"));
                for step in steps.clone() {
                    strip.push_str(&self.told(step));
                }
                strip.push_str("</ol>\n");
                if shown.contains(last) {
                    let mut panels = pictures[*last].clone();
                    for glyph in panels.iter_mut().flat_map(|panel| &mut panel.glyphs) {
                        glyph.mark = Mark::Same;
                    }
                    mark(&mut panels, before);
                    strip.push_str(&picture(&panels));
                    strip.push('\n');
                    before = &pictures[*last];
                }
            }
            strip.push_str("</section>\n");
        }
        strip
    }

    /// Where the player begins: behind the calls that only make what the figure is about.
    fn start(&self) -> usize {
        let made = self
            .lines
            .iter()
            .take_while(|line| line.steps.clone().count() == 1);
        made.last()
            .map_or(0, |line| *line.steps.end())
            .min(self.last() - 1)
    }

    /// The steps whose pictures stand in the strip: ends of lines, and of these the ones that changed most.
    fn stills(&self, pictures: &[Vec<Panel>]) -> Vec<usize> {
        let lines = self.lines.iter().filter(|line| !line.is_resumed);
        let mut before = &pictures[0];
        let mut found: Vec<(usize, usize)> = Vec::new();
        for line in lines {
            let step = *line.steps.end();
            let mut panels = pictures[step].clone();
            mark(&mut panels, before);
            let glyphs = panels.iter().flat_map(|panel| &panel.glyphs);
            let changes = glyphs.filter(|glyph| glyph.mark != Mark::Same).count();
            if changes > 0 && step >= self.start() {
                found.push((changes, step));
            }
            before = &pictures[step];
        }
        if found.is_empty() {
            return vec![self.last()];
        }
        // The end is always worth seeing.
        let last = found.pop();
        found.sort_by_key(|(changes, _)| usize::MAX - changes);
        found.truncate(MOST_STILLS - 1);
        let steps = found.into_iter().chain(last);
        steps.map(|(_, step)| step).collect()
    }

    /// A step in words.
    fn told(&self, step: usize) -> String {
        let Some(told) = &self.steps[step].told else {
            return String::new();
        };
        let about = match &*told.about {
            "" => String::new(),
            about => format!(" {}.", escape(about)),
        };
        let mut item = format!("<li><p><b>{}</b>{about}</p>", escape(&told.head));
        if !told.details.is_empty() {
            item.push_str("<ul>");
            for detail in &told.details {
                item.push_str(&format!("<li>{}</li>", escape(detail)));
            }
            item.push_str("</ul>");
        }
        item.push_str("</li>\n");
        item
    }
}

/// The pictures for the script: what each step changes.
///
/// A change is `[panel, id, layer, class, x, y, body, homes]`, or `[panel, id]` for what is gone; classes and
/// bodies are numbers in a table, since the same ones come again and again.
fn data(pictures: &[Vec<Panel>]) -> Value {
    let first = &pictures[0];
    let panels: Vec<Value> = first
        .iter()
        .zip(columns(first))
        .map(|(panel, column)| {
            json!({ "title": panel.title, "height": panel.height, "column": column })
        })
        .collect();
    let (mut bodies, mut classes) = (Table::default(), Table::default());
    let mut steps = Vec::new();
    let mut before: Vec<HashMap<&str, &Glyph>> = vec![HashMap::new(); first.len()];
    let mut texts: Vec<&str> = vec![""; first.len()];
    for picture in pictures {
        let (mut changes, mut says) = (Vec::new(), Vec::new());
        for (number, panel) in picture.iter().enumerate() {
            let now: HashMap<&str, &Glyph> = panel.glyphs.iter().map(|it| (&*it.id, it)).collect();
            let mut gone: Vec<&str> = before[number].keys().copied().collect();
            gone.retain(|id| !now.contains_key(id));
            gone.sort_unstable();
            changes.extend(gone.into_iter().map(|id| json!([number, id])));
            for glyph in &panel.glyphs {
                if before[number].get(&*glyph.id) == Some(&glyph) {
                    continue;
                }
                let class = format!("{}{}", glyph.class, glyph.mark.class());
                let mut change = vec![
                    json!(number),
                    json!(glyph.id),
                    json!(glyph.layer.number()),
                    json!(classes.number(&class)),
                    json!(glyph.x),
                    json!(glyph.y),
                    json!(bodies.number(&glyph.body)),
                ];
                if !glyph.home.is_empty() {
                    change.push(json!(glyph.home));
                }
                changes.push(Value::Array(change));
            }
            before[number] = now;
            if texts[number] != panel.text {
                says.push(json!([number, panel.text]));
                texts[number] = &panel.text;
            }
        }
        steps.push(json!([changes, says]));
    }
    json!({
        "width": WIDTH,
        "panels": panels,
        "classes": classes.entries,
        "bodies": bodies.entries,
        "steps": steps,
    })
}

/// Texts, each with a number.
#[derive(Default)]
struct Table {
    entries: Vec<String>,
    numbers: HashMap<String, usize>,
}

impl Table {
    fn number(&mut self, text: &str) -> usize {
        if let Some(number) = self.numbers.get(text) {
            return *number;
        }
        let number = self.entries.len();
        self.entries.push(text.to_owned());
        self.numbers.insert(text.to_owned(), number);
        number
    }
}
