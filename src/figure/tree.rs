//! The red-black tree of an epoll.
//!
//! A black node is filled, a red one has a double edge: colour alone would not do for everybody. A node stands
//! in a column of its own for as long as it is in the tree, and moves up and down only when the tree turns.

use super::glyph::{Glyph, TRACK, TRACK_WIDTH, cut, row_label, text, units};
use super::place::{Columns, item_keys};
use super::stage::{View, bits};
use crate::abi::EventMask;
use crate::trace::{EpollState, NodeState};

/// What is the same in each step.
#[derive(Debug)]
pub(super) struct TreeStage {
    columns: Columns,
    top: i32,
    /// The size of a node.
    width: i32,
    node_height: i32,
    /// From one column to the next.
    apart: i32,
    levels: usize,
    /// Whether interest and data are written below the number.
    has_details: bool,
}

/// From a node to those below it.
const BELOW: i32 = 22;
/// A tree with more nodes is counted only.
const MOST_NODES: usize = 24;
/// A node is as wide as this if there is room, and no further from the next column than that.
const LEAST: i32 = 48;
const MOST_APART: i32 = 56;

impl TreeStage {
    /// As wide as the labels need, and as the columns allow.
    pub(super) fn set(film: &[Option<(&View<'_>, &EpollState)>], top: i32) -> TreeStage {
        let columns = Columns::of(film.iter().map(|it| it.map(|(_, epoll)| epoll)));
        let (mut label, mut detail, mut levels, mut lines) = (LEAST, 0, 0, 0);
        for (view, epoll) in film.iter().flatten() {
            for node in &epoll.tree {
                label = label.max(view.item(node.item, false).width());
                let depth = usize::try_from(node.depth).unwrap_or_default();
                levels = levels.max(depth + 1);
                let details = details(node);
                lines = lines.max(details.len());
                for line in details {
                    detail = detail.max(units(line.chars().count()) * 33 / 5 + 12);
                }
            }
        }
        let between = units(columns.count().saturating_sub(1)).max(1);
        // Two nodes of one level have a column between them.
        let wanted = label.max(detail).min(TRACK_WIDTH);
        let apart = ((TRACK_WIDTH - wanted) / between).clamp(1, MOST_APART);
        let most = if columns.count() < 2 {
            TRACK_WIDTH
        } else {
            2 * apart - 4
        };
        let has_details = detail <= most;
        let width = if has_details { wanted } else { label }.min(most).max(8);
        TreeStage {
            columns,
            top,
            width,
            node_height: 24 + if has_details { units(lines) * 11 } else { 0 },
            apart: ((TRACK_WIDTH - width) / between).min(MOST_APART),
            levels,
            has_details,
        }
    }

    pub(super) fn height(&self) -> i32 {
        if self.columns.count() == 0 || self.columns.count() > MOST_NODES {
            return 36;
        }
        units(self.levels) * (self.node_height + BELOW) - BELOW + 16
    }

    pub(super) fn glyphs(&self, view: &View<'_>, epoll: &EpollState, step: usize) -> Vec<Glyph> {
        let label = row_label(0, "tree", "rbr");
        let label = Glyph::new("tree label", "lab-label", (0, self.top), label);
        let mut glyphs = vec![label.ground()];
        if epoll.tree.is_empty() || self.columns.count() > MOST_NODES {
            let note = match epoll.tree.len() {
                0 => "empty".to_owned(),
                1 => "1 item".to_owned(),
                count => format!("{count} items"),
            };
            let body = text("lab-state", 10, 20, &note);
            glyphs.push(Glyph::new("tree note", "lab-note", (TRACK, self.top), body));
            return glyphs;
        }
        let keys = item_keys(epoll.tree.iter().map(|node| node.item));
        let places = epoll.tree.iter().enumerate();
        let places: Vec<(i32, i32)> = places
            .map(|(index, node)| self.place(node, self.columns.get(step, index)))
            .collect();
        for (index, node) in epoll.tree.iter().enumerate() {
            let mut tree = epoll.tree.iter();
            let parent = tree.position(|it| it.left == Some(index) || it.right == Some(index));
            if let Some(parent) = parent {
                glyphs.push(self.branch(&keys[index], places[parent], places[index]));
            }
            let above = parent.map_or("the root".to_owned(), |parent| {
                format!("below {}", keys[parent])
            });
            let facts = format!("{above}, {}, {}, {}", node.red, node.interest, node.data);
            let class = if node.red {
                "lab-node lab-red"
            } else {
                "lab-node lab-black"
            };
            let id = format!("n {}", keys[index]);
            let body = self.node(view, node);
            glyphs.push(Glyph::new(id, class, places[index], body).telling(facts));
        }
        glyphs
    }

    /// The upper left corner of a node.
    fn place(&self, node: &NodeState, column: usize) -> (i32, i32) {
        let columns = units(self.columns.count().saturating_sub(1));
        let left = TRACK + (TRACK_WIDTH - columns * self.apart - self.width) / 2;
        let depth = i32::try_from(node.depth).unwrap_or_default();
        (
            left + units(column) * self.apart,
            self.top + 2 + depth * (self.node_height + BELOW),
        )
    }

    fn branch(&self, key: &str, parent: (i32, i32), child: (i32, i32)) -> Glyph {
        let (x, y) = (parent.0 + self.width / 2, parent.1 + self.node_height);
        let (to_x, to_y) = (child.0 + self.width / 2, child.1);
        let half = (y + to_y) / 2;
        let path = format!("M{x} {y}C{x} {half} {to_x} {half} {to_x} {to_y}");
        Glyph::line(format!("b {key}"), "lab-branch", path)
    }

    fn node(&self, view: &View<'_>, node: &NodeState) -> String {
        let (width, height, middle) = (self.width, self.node_height, self.width / 2);
        let mut body = format!("<rect width=\"{width}\" height=\"{height}\" rx=\"5\"/>");
        if node.red {
            let (width, height) = (width - 6, height - 6);
            body.push_str(&format!(
                "<rect class=\"lab-inner\" x=\"3\" y=\"3\" width=\"{width}\" height=\"{height}\" rx=\"3\"/>"
            ));
        }
        let label = view.item(node.item, false);
        body.push_str(&format!(
            "<text class=\"lab-key\" x=\"{middle}\" y=\"17\">{label}</text>"
        ));
        if self.has_details {
            for (line, y) in details(node).iter().zip((28..).step_by(11)) {
                body.push_str(&text("lab-bits", middle, y, line));
            }
        }
        body
    }
}

/// What an item waits for, how, and what it reports with.
fn details(node: &NodeState) -> Vec<String> {
    let always = EventMask::ERR | EventMask::HUP;
    let how = EventMask::EXCLUSIVE | EventMask::WAKEUP | EventMask::ONESHOT | EventMask::ET;
    let asked = node.interest - how;
    let mut lines = vec![if asked.is_empty() {
        "fired".to_owned()
    } else if asked == always {
        bits(asked).join(" ")
    } else {
        bits(asked - always).join(" ")
    }];
    if node.interest.intersects(how) {
        lines.push(bits(node.interest & how).join(" "));
    }
    lines.push(cut(&format!("data {}", node.data), 12));
    lines
}

/// The tree in words, from the root down.
pub(super) fn words(view: &View<'_>, epoll: &EpollState) -> String {
    let nodes = epoll.tree.iter().take(MOST_NODES).map(|node| {
        let colour = if node.red { "red" } else { "black" };
        let item = view.item(node.item, false).plain();
        format!("{item} {colour} {}", details(node).join(" "))
    });
    let nodes: Vec<String> = nodes.collect();
    match nodes.is_empty() {
        true => "tree empty".to_owned(),
        false => format!("tree {}", nodes.join(", ")),
    }
}
