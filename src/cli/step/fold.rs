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
const MOST: u8 = 5;
const EMPTY_LISTS: u8 = 1;
const FILES: u8 = 2;
const TREES: u8 = 3;
const EPOLLS: u8 = 4;
const ALIKE: u8 = 5;

fn folded(blocks: &[Block], how_much: u8) -> Vec<Shown> {
    let mut shown = Vec::new();
    let mut rest = blocks;
    while let Some((block, more)) = rest.split_first() {
        rest = more;
        let is_small = match block.what {
            What::Time | What::Task => false,
            What::File => how_much >= FILES,
            What::Epoll => how_much >= EPOLLS,
        };
        if block.is_touched() || !is_small && how_much < ALIKE {
            whole(block, how_much, &mut shown);
            continue;
        }
        let alike = |it: &&Block| it.what == block.what && !it.is_touched();
        let others = more.iter().take_while(alike).count();
        if how_much >= ALIKE && others > 0 {
            let kind = match block.what {
                What::Time => "times",
                What::Task => "tasks",
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
    let mut unchanged_nodes = 0;
    for (index, row) in block.rows.iter().enumerate() {
        let same = row.mark == Mark::Same && index > 0;
        let is_node = row.rank == Rank::Node && same;
        if is_node && how_much >= TREES {
            unchanged_nodes += 1;
            continue;
        }
        tell_nodes(&mut unchanged_nodes, shown);
        if same && row.rank == Rank::Empty && how_much >= EMPTY_LISTS {
            continue;
        }
        shown.push(Shown {
            mark: row.mark,
            text: row.text.clone(),
            was: row.was.clone(),
            is_heading: index == 0,
        });
    }
    tell_nodes(&mut unchanged_nodes, shown);
}

fn tell_nodes(count: &mut usize, shown: &mut Vec<Shown>) {
    match std::mem::take(count) {
        0 => {}
        1 => shown.push(left_out("             … one node as it was".to_owned())),
        count => shown.push(left_out(format!(
            "             … {count} nodes as they were"
        ))),
    }
}

fn left_out(text: String) -> Shown {
    Shown {
        mark: Mark::Same,
        text,
        was: String::new(),
        is_heading: false,
    }
}
