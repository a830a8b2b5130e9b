//! Every scenario that is no marathon is drawn, and the drawings are held to rules.

use std::collections::BTreeMap;

use serde_json::Value;

use super::glyph::{Layer, Mark, WIDTH};
use super::*;
use crate::scenario::{Entry, library};

/// The figures of the library, some of them: every one takes seconds in a debug build.
fn some_figures(every: usize) -> impl Iterator<Item = (Entry, Figure)> {
    let entries = library().into_iter().step_by(every);
    entries.filter_map(|entry| Some((entry, drawn(entry).ok()?)))
}

fn drawn(entry: Entry) -> Result<Figure, FigureError> {
    let scenario = Scenario::parse(entry.text).expect("it is well-formed");
    Figure::new(entry.name, entry.text, &scenario, Options::default())
}

fn figure_of(name: &str) -> Figure {
    let entry = library().into_iter().find(|entry| entry.name == name);
    drawn(entry.expect("a scenario of this name")).expect("it can be drawn")
}

/// The rectangle that a thing is: its place, and the size of the first one in it.
fn rectangle(glyph: &glyph::Glyph) -> Option<[i32; 4]> {
    let size = |name: &str| -> Option<i32> {
        let (_, rest) = glyph.body.split_once(&format!("{name}=\""))?;
        rest.split_once('"')?.0.parse().ok()
    };
    let is_thing = glyph.layer == Layer::Thing && glyph.body.starts_with("<rect");
    let (width, height) = (size("width")?, size("height")?);
    is_thing.then_some([glyph.x, glyph.y, glyph.x + width, glyph.y + height])
}

#[test]
fn nothing_lies_on_anything_else_or_beyond_its_panel() {
    let mut things = 0;
    for (entry, figure) in some_figures(7) {
        for (step, panels) in figure.pictures().iter().enumerate() {
            for panel in panels {
                let here = || format!("{} step {step}, {}", entry.name, panel.title);
                let all: Vec<[i32; 4]> = panel.glyphs.iter().filter_map(rectangle).collect();
                things += all.len();
                for (number, one) in all.iter().enumerate() {
                    let [left, top, right, bottom] = *one;
                    let is_inside =
                        left >= 0 && top >= 0 && right <= WIDTH && bottom <= panel.height;
                    assert!(is_inside, "{}: {one:?}", here());
                    for other in &all[number + 1..] {
                        let apart = right <= other[0]
                            || other[2] <= left
                            || bottom <= other[1]
                            || other[3] <= top;
                        assert!(apart, "{}: {one:?} {other:?}", here());
                    }
                }
            }
        }
    }
    assert!(things > 5_000, "only {things} were looked at");
}

/// Two glyphs of one name would be one for the script.
#[test]
fn every_glyph_of_a_panel_has_a_name_of_its_own() {
    for (entry, figure) in some_figures(7) {
        for panel in figure.pictures().iter().flatten() {
            let mut ids: Vec<&str> = panel.glyphs.iter().map(|glyph| &*glyph.id).collect();
            let count = ids.len();
            ids.sort_unstable();
            ids.dedup();
            assert_eq!(ids.len(), count, "{}: {ids:?}", entry.name);
        }
    }
}

/// Where each node stands from step to step.
fn nodes(panels: &[Panel]) -> BTreeMap<&str, (i32, i32)> {
    let glyphs = panels.iter().flat_map(|panel| &panel.glyphs);
    let nodes = glyphs.filter(|glyph| glyph.id.starts_with("n "));
    nodes
        .map(|glyph| (&*glyph.id, (glyph.x, glyph.y)))
        .collect()
}

#[test]
fn a_node_keeps_its_column_while_the_tree_turns() {
    let figure = figure_of("delivery-order-is-wake-order");
    let pictures = figure.pictures();
    let mut turns = 0;
    for two in pictures.windows(2) {
        let (before, now) = (nodes(&two[0]), nodes(&two[1]));
        for (id, (x, y)) in &now {
            if let Some((old_x, old_y)) = before.get(id) {
                assert_eq!(x, old_x, "{id}");
                turns += usize::from(y != old_y);
            }
        }
    }
    assert!(turns > 0, "this tree never turned");
}

/// The script sees what is drawn here: whoever takes the changes of each step has its picture.
#[test]
fn the_changes_for_the_script_add_up_to_the_pictures() {
    for (entry, figure) in some_figures(11) {
        let pictures = figure.pictures();
        let data: Value = serde_json::from_str(&between(
            &figure.fragment(),
            "class=\"lab-data\">",
            "</script>",
        ))
        .expect("JSON");
        let table = |name: &str, at: &Value| -> String {
            let at = usize::try_from(at.as_u64().expect("a number")).expect("a small one");
            data[name][at].as_str().expect("a text").to_owned()
        };
        let mut shown: BTreeMap<(u64, String), [String; 4]> = BTreeMap::new();
        let steps = data["steps"].as_array().expect("a list");
        assert_eq!(steps.len(), figure.last() + 1);
        for (step, picture) in steps.iter().zip(&pictures) {
            for change in step[0].as_array().expect("a list") {
                let id = change[1].as_str().expect("a name").to_owned();
                let key = (change[0].as_u64().expect("a panel"), id);
                if change.as_array().map(Vec::len) == Some(2) {
                    assert!(shown.remove(&key).is_some(), "{key:?}");
                    continue;
                }
                let glyph = [
                    table("classes", &change[3]),
                    change[4].to_string(),
                    change[5].to_string(),
                    table("bodies", &change[6]),
                ];
                shown.insert(key, glyph);
            }
            let drawn = (0..).zip(picture).flat_map(|(number, panel)| {
                panel.glyphs.iter().map(move |glyph| {
                    let class = format!("{}{}", glyph.class, glyph.mark.class());
                    let (x, y) = (glyph.x.to_string(), glyph.y.to_string());
                    (
                        (number, glyph.id.clone()),
                        [class, x, y, glyph.body.clone()],
                    )
                })
            });
            assert_eq!(shown, drawn.collect(), "{}", entry.name);
        }
    }
}

fn between(text: &str, before: &str, behind: &str) -> String {
    let (_, rest) = text.split_once(before).expect("it begins");
    rest.split_once(behind).expect("it ends").0.to_owned()
}

/// Markdown would take an empty line for the end of the element.
#[test]
fn a_fragment_is_one_element_with_all_steps_in_words() {
    for (entry, figure) in some_figures(11) {
        let fragment = figure.fragment();
        assert!(fragment.starts_with("<figure "), "{}", entry.name);
        assert!(fragment.ends_with("</figure>\n"), "{}", entry.name);
        assert!(!fragment.contains("\n\n"), "{}", entry.name);
        let told = fragment.matches("<li><p><b>").count();
        assert_eq!(told, figure.last(), "{}", entry.name);
        assert!(fragment.len() < 300_000, "{} is heavy", entry.name);
        assert_closed(&fragment);
        assert_closed(&figure.still(figure.last()));
        assert_closed(&figure.svg(figure.last()));
    }
}

/// Each element ends, in the right order.
fn assert_closed(text: &str) {
    let mut open: Vec<&str> = Vec::new();
    let mut rest = text;
    while let Some((_, tag)) = rest.split_once('<') {
        let (tag, behind) = tag.split_once('>').expect("a tag ends");
        rest = behind;
        let name = tag.split([' ', '/']).find(|name| !name.is_empty());
        let name = name.expect("it has a name");
        if tag.starts_with('/') {
            assert_eq!(open.pop(), Some(name), "{tag}");
        } else if !tag.ends_with('/') {
            open.push(name);
        }
    }
    assert_eq!(open, [""; 0]);
}

#[test]
fn a_step_marks_what_it_changes() {
    let figure = figure_of("level-triggered-repeats-until-drained");
    let pictures = figure.pictures();
    let marked = |step: usize, id: &str| {
        let mut glyphs = pictures[step].iter().flat_map(|panel| &panel.glyphs);
        let glyph = glyphs.find(|glyph| glyph.id == id);
        glyph.map(|glyph| glyph.mark)
    };
    let does = |step: usize, what: &str| {
        let told = figure.steps[step].told.as_ref();
        told.is_some_and(|told| told.details.iter().any(|detail| detail.contains(what)))
    };
    let step = |what: &str| (0..=figure.last()).find(|step| does(*step, what));
    let insert = step("enters the tree").expect("it is inserted");
    assert_eq!(marked(insert, "n 4"), Some(Mark::New));
    assert_eq!(marked(insert, "lock"), Some(Mark::Changed));
    assert_eq!(marked(insert + 1, "n 4"), Some(Mark::Same));
    assert_eq!(marked(insert, "l 4"), None);
    let ready = step("is ready: to the tail of rdllist").expect("it is ready");
    assert_eq!(marked(ready, "l 4"), Some(Mark::New));
    let stale = step("is not ready, off the list").expect("it is drained at last");
    assert_eq!(marked(stale, "l 4"), None);
    assert!(marked(stale, "txlist gone").is_some());
}

#[test]
fn a_figure_of_some_lines_begins_where_they_begin() {
    let entry = library()
        .into_iter()
        .find(|it| it.name == "level-triggered-repeats-until-drained");
    let entry = entry.expect("it is there");
    let scenario = Scenario::parse(entry.text).expect("it is well-formed");
    let of = |lines, parts| {
        let options = Options {
            lines: Some(lines),
            parts,
            ..Options::default()
        };
        Figure::new("some", entry.text, &scenario, options)
    };
    let whole = figure_of(entry.name);
    let figure = of(8..=8, Parts::all()).expect("it can be drawn");
    let (before, after) = (whole.step_after_line(7), whole.step_after_line(8));
    assert_eq!(figure.last(), after - before);
    assert_eq!(figure.steps[0].state, whole.steps[before].state);
    assert_eq!(figure.step_after_line(8), figure.last());
    assert_eq!(figure.sentence(0), "Before the first step.");
    assert!(!figure.still(0).contains("lab-acts"));
    assert!(figure.still(1).contains("lab-acts"));

    let tree = of(8..=8, Parts::TREE).expect("it can be drawn");
    let panels = &tree.pictures()[0];
    assert_eq!(panels.len(), 1);
    assert!(panels[0].glyphs.iter().all(|it| !it.id.contains("list")));
    assert!(matches!(of(1..=2, Parts::all()), Err(FigureError::NoSteps)));
}

/// Whatever the theme is: text stands out from what lies behind it.
#[test]
fn colours_have_contrast_in_every_theme() {
    // Foreground and background of a page alone and of mdBook's themes.
    let light = [
        ("alone", "1f2328", "ffffff"),
        ("light", "000000", "ffffff"),
        ("rust", "262625", "e1e1db"),
    ];
    let dark = [
        ("alone, dark", "d6dbe1", "14171b"),
        ("coal", "98a3ad", "141617"),
        ("navy", "bcbdd0", "161923"),
        ("ayu", "c5c5c5", "0f1419"),
    ];
    let (base, coal) = (block(".lab-figure {"), block(".coal .lab-figure"));
    let alone = block(".lab-alone .lab-figure {");
    for (name, colour) in &coal {
        assert_eq!(alone.get(name), Some(colour), "two dark themes: {name}");
    }
    let all = light
        .iter()
        .map(|theme| (theme, false))
        .chain(dark.iter().map(|theme| (theme, true)));
    for ((theme, foreground, background), is_dark) in all {
        let (fg, bg) = (colour(foreground), colour(background));
        let named = |name: &str| {
            let name = format!("--lab-{name}");
            let dark = coal.get(&name).filter(|_| is_dark);
            let value = dark.or(base.get(&name)).expect("it is defined");
            colour(value.trim_start_matches('#'))
        };
        // As in the style sheet: `color-mix` of foreground and background.
        let mixed = |share: f64| {
            let part = |at: usize| share * fg[at] + (1.0 - share) * bg[at];
            [part(0), part(1), part(2)]
        };
        let (soft, ground) = (mixed(0.82), mixed(0.04));
        let pairs = [
            ("text", fg, ground),
            ("soft text", soft, ground),
            ("soft text on the page", soft, bg),
            ("what changed", named("accent"), ground),
            ("contradictions", named("red"), bg),
            ("black node", [255.0; 3], named("black")),
            ("red node", fg, bg),
            ("item", named("item-fg"), named("item")),
            ("task", named("task-fg"), named("task")),
            ("acting task", bg, named("task-edge")),
            ("descriptor", named("fd-fg"), named("fd")),
        ];
        for (what, front, back) in pairs {
            let contrast = contrast(front, back);
            assert!(contrast >= 4.5, "{theme}, {what}: {contrast:.2}");
        }
    }
}

/// The variables that a rule of the style sheet sets.
fn block(selector: &str) -> BTreeMap<String, String> {
    let (_, rest) = CSS.split_once(selector).expect("the rule is there");
    let rest = rest.split_once('}').expect("it ends").0;
    let lines = rest.lines().filter_map(|line| line.trim().split_once(": "));
    lines
        .filter(|(name, value)| {
            name.starts_with("--lab-")
                && value.starts_with('#')
                && !["--lab-fg", "--lab-bg"].contains(name)
        })
        .map(|(name, value)| (name.to_owned(), value.trim_end_matches(';').to_owned()))
        .collect()
}

fn colour(hex: &str) -> [f64; 3] {
    let doubled: String = hex.chars().flat_map(|digit| [digit, digit]).collect();
    let hex = if hex.len() == 3 { &doubled } else { hex };
    let part = |at: usize| {
        let part = u8::from_str_radix(&hex[at..at + 2], 16);
        f64::from(part.expect("two digits"))
    };
    [part(0), part(2), part(4)]
}

/// As WCAG 2 measures it.
fn contrast(one: [f64; 3], other: [f64; 3]) -> f64 {
    let light = |colour: [f64; 3]| {
        let part = colour.map(|part| match part / 255.0 {
            low if low <= 0.04045 => low / 12.92,
            high => ((high + 0.055) / 1.055).powf(2.4),
        });
        0.2126 * part[0] + 0.7152 * part[1] + 0.0722 * part[2]
    };
    let (one, other) = (light(one), light(other));
    (one.max(other) + 0.05) / (one.min(other) + 0.05)
}
