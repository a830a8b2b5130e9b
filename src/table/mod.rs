//! The tables of epoll: which bits each kind of file reports in each of its states, and which operations are
//! an edge for whom.
//!
//! No answer is kept here. A kind of file is a text under `examples/tables` that tells how one comes to each of
//! its states, in lines of the scenario language, and what may be done to it there:
//!
//! ```text
//! # pipe, read end                           the kind
//! pipe2([f, w], O_NONBLOCK) = 0              every state begins like this; the file in question is called f
//!
//! ## fresh: empty, a writer is there         a state, told by its stage and in words
//! ### write                                  an operation on it
//! write(w, "a", 1) = 1
//!
//! ## data: one byte                          the next state
//! write(w, "a", 1) = 1
//!
//! ## no half-closed: a pipe has one way      a stage that the kind does not have, and the reason why
//! ```
//!
//! A cell of a table is a [`Question`]: a whole scenario made of these lines and of what asks. Anybody can run it
//! on any kernel and [read the cells](Question::cells) from the run. For the [table of events](Table::Events)
//! the file is added to an epoll with every bit there is, and the epoll is asked once. For the [table of
//! edges](Table::Edges) two edge-triggered epolls watch it, one for `EPOLLIN` and one for `EPOLLOUT`; what
//! they have to report already is taken before the operation, so what they report after it is new.
//! A [`Sheet`] is what such a table looks like when it is filled.

mod question;
mod read;
mod sheet;

use std::fmt;

use include_dir::{Dir, include_dir};

pub use question::{Cell, Question};
pub use read::Mistake;
pub use sheet::{Sheet, text};

static FILES: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/examples/tables");

/// Every kind of file, in the order of the tables.
///
/// # Panics
/// When one of the texts inside the program is none; a test reads them all.
pub fn kinds() -> Vec<Kind> {
    let mut files: Vec<_> = FILES.files().collect();
    files.sort_by_key(|file| file.path());
    files.into_iter().filter_map(kind).collect()
}

/// The kind in a file. A number in front of its name gives it a place among the others.
fn kind(file: &include_dir::File<'_>) -> Option<Kind> {
    let name = file.path().file_name()?.to_str()?.strip_suffix(".states")?;
    let name = name.trim_start_matches(|c: char| c.is_ascii_digit() || c == '-');
    match Kind::parse(name, file.contents_utf8()?) {
        Ok(kind) => Some(kind),
        Err(mistake) => panic!("examples/tables/{}:{mistake}", file.path().display()),
    }
}

/// Which of the two tables.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Table {
    /// State by state the bits that epoll reports.
    Events,
    /// Operation by operation what edge-triggered watchers hear of it.
    Edges,
}

impl Table {
    /// What stands above the cells.
    pub fn columns(self) -> &'static [&'static str] {
        match self {
            Table::Events => &["events", "bands"],
            Table::Edges => &["watcher of IN", "watcher of OUT"],
        }
    }

    /// The [cells](Question::cells) of a row, spread over the columns.
    pub fn shown(self, cells: &[Cell]) -> Vec<String> {
        let cells = cells.iter().copied();
        match self {
            Table::Events => cells
                .flat_map(Cell::split)
                .map(|it| it.to_string())
                .collect(),
            Table::Edges => cells.map(|it| it.to_string()).collect(),
        }
    }
}

/// A kind of file: its states, and what may happen in them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Kind {
    /// In one word: `pipe-read-end`.
    pub name: String,
    /// In words: `pipe, read end`.
    pub title: String,
    /// What else there is to say of it.
    pub about: Vec<String>,
    /// The lines that every state begins with.
    common: Vec<String>,
    /// In the order of the text.
    pub entries: Vec<Entry>,
}

/// What a kind says of a stage.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Entry {
    /// There is a state.
    State(State),
    /// There is none.
    Never {
        /// The stages that the kind does not have.
        stages: Vec<Stage>,
        /// Why not.
        reason: String,
    },
}

/// A state that a file of the kind can be in.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct State {
    /// Where in the life of a file it belongs.
    pub stage: Stage,
    /// In words: `one byte`.
    pub title: String,
    /// How one comes to it.
    lines: Vec<String>,
    /// What may be done in it.
    pub operations: Vec<Operation>,
}

/// Something that happens to a file, done by whoever watches it, by its other end or by the kernel.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Operation {
    /// In words: `write`.
    pub title: String,
    lines: Vec<String>,
}

/// Where in the life of a file a state belongs: what programs need to know of every kind.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Stage {
    /// As it is made.
    Fresh,
    /// There is something to read.
    Data,
    /// There is no room for more.
    Full,
    /// One of its two directions has ended.
    HalfClosed,
    /// Its other end is gone, or whatever it tells of has ended.
    Closed,
    /// There was something to read, and it has been read.
    Drained,
    /// An error waits to be told.
    Error,
}

impl Stage {
    /// All of them.
    pub const ALL: [Stage; 7] = [
        Stage::Fresh,
        Stage::Data,
        Stage::Full,
        Stage::HalfClosed,
        Stage::Closed,
        Stage::Drained,
        Stage::Error,
    ];

    /// Its word.
    pub fn word(self) -> &'static str {
        match self {
            Stage::Fresh => "fresh",
            Stage::Data => "data",
            Stage::Full => "full",
            Stage::HalfClosed => "half-closed",
            Stage::Closed => "closed",
            Stage::Drained => "drained",
            Stage::Error => "error",
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

impl Kind {
    /// Its states.
    pub fn states(&self) -> impl Iterator<Item = &State> {
        self.entries.iter().filter_map(|entry| match entry {
            Entry::State(state) => Some(state),
            Entry::Never { .. } => None,
        })
    }

    /// What a table asks of it, row by row.
    pub fn questions(&self, table: Table) -> Vec<Question> {
        let asked = self.states().flat_map(|state| match table {
            Table::Events => vec![Question::of_state(self, state)],
            Table::Edges => state
                .operations
                .iter()
                .map(|operation| Question::of_operation(self, state, operation))
                .collect(),
        });
        asked.collect()
    }
}

#[cfg(test)]
mod tests;
