//! What to leave out of a picture that is higher than the screen: first what says least.

use super::picture::{Block, Mark, Rank, What};

/// A row as it is shown.
#[derive(Clone, Debug)]
pub(super) struct Shown {
    pub(super) mark: Mark,
    pub(super) text: String,
    /// How it was, if it has changed.
    pub(super) was: String,
    pub(super) is_heading: bool,
}

/// The rows of a picture, folded until they fit into so many, or as far as they can be.
pub(super) fn fitted(blocks: &[Block], room: usize) -> Vec<Shown> {
    let mut rows = unfolded(blocks);
    for how_much in 1..=MOST {
        if rows.len() <= room {
            break;
        }
        rows = folded(blocks, how_much);
    }
    rows
}

/// All of them.
pub(super) fn unfolded(blocks: &[Block]) -> Vec<Shown> {
    folded(blocks, 0)
}

/// The steps of folding. Whatever the present step has touched stays.
const MOST: u8 = 7;
const EMPTY_LISTS: u8 = 1;
const FILES: u8 = 2;
const TREES: u8 = 3;
const EPOLLS: u8 = 4;
const FILES_ALIKE: u8 = 5;
const EPOLLS_ALIKE: u8 = 6;
const TASKS_ALIKE: u8 = 7;

fn folded(blocks: &[Block], how_much: u8) -> Vec<Shown> {
    let mut shown = Vec::new();
    let mut rest = blocks;
    while let Some((block, more)) = rest.split_first() {
        rest = more;
        // From where on it is one row, and from where on one row with others of its kind.
        let (short, alike) = match block.what {
            What::Time => (u8::MAX, u8::MAX),
            What::Task => (TASKS_ALIKE, TASKS_ALIKE),
            What::File => (FILES, FILES_ALIKE),
            What::Epoll => (EPOLLS, EPOLLS_ALIKE),
        };
        if block.is_touched() || how_much < short {
            whole(block, how_much, &mut shown);
            continue;
        }
        let is_alike = |it: &&Block| it.what == block.what && !it.is_touched();
        let others = more.iter().take_while(is_alike).count();
        if how_much >= alike && others > 0 {
            let kind = match block.what {
                What::Time | What::Task => "tasks",
                What::Epoll => "epolls",
                What::File => "files",
            };
            shown.push(left_out(format!("… {} {kind} as they were", others + 1)));
            rest = &more[others..];
        } else {
            shown.push(left_out(format!("{} …", block.short)));
        }
    }
    shown
}

fn whole(block: &Block, how_much: u8, shown: &mut Vec<Shown>) {
    let mut nodes = Vec::new();
    for (index, row) in block.rows.iter().enumerate() {
        let same = row.mark == Mark::Same && index > 0;
        let rank = row.rank;
        let row = Shown {
            mark: row.mark,
            text: row.text.clone(),
            was: row.was.clone(),
            is_heading: index == 0,
        };
        if rank == Rank::Node && same && how_much >= TREES {
            nodes.push(row);
            continue;
        }
        fold_nodes(&mut nodes, shown);
        if !(rank == Rank::Empty && same && how_much >= EMPTY_LISTS) {
            shown.push(row);
        }
    }
    fold_nodes(&mut nodes, shown);
}

/// Nodes that stand one below the other in one row, unless it is one only.
fn fold_nodes(nodes: &mut Vec<Shown>, shown: &mut Vec<Shown>) {
    if nodes.len() > 1 {
        let count = nodes.len();
        nodes.clear();
        shown.push(left_out(format!(
            "             … {count} nodes as they were"
        )));
    }
    shown.append(nodes);
}

fn left_out(text: String) -> Shown {
    Shown {
        mark: Mark::Same,
        text,
        was: String::new(),
        is_heading: false,
    }
}
