//! The inside of the kernel as rows, and which of them a step has changed.

use std::collections::HashMap;

use crate::abi::TaskId;
use crate::figure::Names;
use crate::trace::{EpollState, FileState, ItemRef, QueueRef, State, TaskState, WaiterState};

/// Whether a step has touched a row.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Mark {
    Same,
    Changed,
    New,
    Gone,
}

/// One row. Two rows with the same key are the same thing at different times.
#[derive(Clone, Debug)]
pub(super) struct Row {
    key: String,
    pub(super) text: String,
    /// What the row tells, fact by fact; it has changed if one of them has. A row without facts only fills
    /// a place.
    facts: Vec<String>,
    pub(super) mark: Mark,
    /// The facts that have changed, as they were.
    pub(super) was: String,
    pub(super) rank: Rank,
}

/// What a row is worth when room is short.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Rank {
    /// A list or queue with nobody on it.
    Empty,
    Plain,
    /// A node of the tree.
    Node,
}

/// What belongs together: a task, an epoll, a file.
#[derive(Clone, Debug)]
pub(super) struct Block {
    key: String,
    pub(super) what: What,
    /// The first one is the heading.
    pub(super) rows: Vec<Row>,
    /// All of it in one row.
    pub(super) short: String,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum What {
    Time,
    Task,
    Epoll,
    File,
}

impl Block {
    /// Whether the step has touched any of it.
    pub(super) fn is_touched(&self) -> bool {
        self.rows.iter().any(|row| row.mark != Mark::Same)
    }
}

impl Row {
    fn new(key: impl Into<String>, text: String, facts: Vec<String>) -> Row {
        Row {
            key: key.into(),
            text,
            // Until it has met itself as it was.
            mark: if facts.is_empty() {
                Mark::Same
            } else {
                Mark::New
            },
            facts,
            was: String::new(),
            rank: Rank::Plain,
        }
    }

    /// `  label      value`
    fn labelled(label: &str, value: String) -> Row {
        Row::new(label, format!("  {label:9}  {value}"), vec![value])
    }

    /// The same for a list, of which `-` says that it is empty.
    fn list(label: &str, value: String) -> Row {
        let rank = if value == "-" {
            Rank::Empty
        } else {
            Rank::Plain
        };
        Row {
            rank,
            ..Row::labelled(label, value)
        }
    }
}

/// How everything stands, with marks at what is not as it was.
pub(super) fn picture(
    now: &State,
    before: &State,
    names: &Names<'_>,
    calls: &HashMap<TaskId, usize>,
) -> Vec<Block> {
    compared(
        blocks(now, names, calls),
        blocks(before, names, &HashMap::new()),
    )
}

fn blocks(state: &State, names: &Names<'_>, calls: &HashMap<TaskId, usize>) -> Vec<Block> {
    let mut blocks = Vec::new();
    if state.now > 0 {
        let time = format!("time {}", milliseconds(state.now));
        blocks.push(Block {
            key: "time".to_owned(),
            what: What::Time,
            rows: vec![Row::new("time", time.clone(), vec![time.clone()])],
            short: time,
        });
    }
    let tasks = state.tasks.iter();
    blocks.extend(tasks.map(|task| self::task(task, names, calls.get(&task.task))));
    blocks.extend(state.epolls.iter().map(|ep| epoll(ep, names)));
    // What has no wait queue has nothing to do with epoll.
    let files = state.files.iter().filter(|file| !file.queues.is_empty());
    blocks.extend(files.map(|it| file(it, names)));
    number(&mut blocks, |block| &mut block.key);
    for block in &mut blocks {
        number(&mut block.rows, |row| &mut row.key);
    }
    blocks
}

/// Two files may have got the same name, one after the other: the second is another one.
fn number<T>(all: &mut [T], key: impl Fn(&mut T) -> &mut String) {
    let mut seen: HashMap<String, u32> = HashMap::new();
    for one in all {
        let key = key(one);
        let count = seen.entry(key.clone()).or_default();
        *count += 1;
        if *count > 1 {
            key.push_str(&format!(" #{count}"));
        }
    }
}

/// `10 ms`, `0.25 ms`
fn milliseconds(nanoseconds: u64) -> String {
    let (whole, rest) = (nanoseconds / 1_000_000, nanoseconds % 1_000_000);
    match rest {
        0 => format!("{whole} ms"),
        rest => {
            let digits = format!("{rest:06}");
            format!("{whole}.{} ms", digits.trim_end_matches('0'))
        }
    }
}

fn task(task: &TaskState, names: &Names<'_>, line: Option<&usize>) -> Block {
    let name = names.task(task.task);
    let Some(call) = &task.call else {
        let text = format!("{name}: in no call");
        return Block {
            key: name.clone(),
            what: What::Task,
            rows: vec![Row::new("", text.clone(), vec!["in no call".to_owned()])],
            short: text,
        };
    };
    let mut facts = vec![call.clone()];
    if task.asleep {
        facts.push("asleep".to_owned());
    }
    if let Some(deadline) = task.deadline {
        facts.push(format!("until {}", milliseconds(deadline)));
    }
    let line = line.map_or(String::new(), |line| format!(" (line {line})"));
    let short = format!("{name}{line}: {}", facts.join(", "));
    let mut rows = vec![Row::new("", short.clone(), vec![facts.join(", ")])];
    if !task.locks.is_empty() {
        let locks: Vec<String> = task.locks.iter().map(|ep| format!("mtx of {ep}")).collect();
        rows.push(Row::labelled("holds", locks.join(", ")));
    }
    if let Some(item) = task.in_hand {
        rows.push(Row::labelled("in hand", item.to_string()));
    }
    if !task.stored.is_empty() {
        let events: Vec<String> = task.stored.iter().map(ToString::to_string).collect();
        rows.push(Row::labelled("stored", format!("[{}]", events.join(", "))));
    }
    for (queue, next) in &task.walks {
        let next = next.map_or("nobody".to_owned(), |entry| entry.to_string());
        rows.push(Row::labelled("wakes", format!("{queue}, next {next}")));
    }
    Block {
        key: name,
        what: What::Task,
        rows,
        short,
    }
}

fn epoll(epoll: &EpollState, names: &Names<'_>) -> Block {
    let name = format!("{}{}", epoll.ep, names.fd(epoll.ep.0));
    let mtx = epoll.mtx.map_or("mtx free".to_owned(), |owner| {
        format!("mtx held by {}", names.task(owner))
    });
    let mut rows = vec![Row::new("", format!("{name}, {mtx}"), vec![mtx])];
    if epoll.tree.is_empty() {
        let value = "empty".to_owned();
        rows.push(Row::new("rbr", format!("  {:9}  {value}", "rbr"), vec![]));
    }
    for (index, (branch, node)) in epoll.branches().into_iter().enumerate() {
        let label = if index == 0 { "rbr" } else { "" };
        let row = match node {
            Some(node) => self::node(epoll, node, &format!("  {label:9}  {branch}")),
            // Which place is free says the row above.
            None => Row::new(
                format!("free {index}"),
                format!("  {label:9}  {branch}-"),
                vec![],
            ),
        };
        rows.push(Row {
            rank: Rank::Node,
            ..row
        });
    }
    rows.push(Row::list("rdllist", items(&epoll.rdllist)));
    if epoll.ovflist.is_some() {
        rows.push(Row::list("txlist", items(&epoll.txlist)));
    }
    rows.push(match &epoll.ovflist {
        None => Row {
            rank: Rank::Empty,
            ..Row::labelled("ovflist", "closed".to_owned())
        },
        Some(list) => Row::labelled("ovflist", format!("open: {}", items(list))),
    });
    rows.push(Row::list("wq", waiters(&epoll.wq)));
    rows.push(Row::list("poll_wait", waiters(&epoll.poll_wait)));
    let ready = items(&epoll.rdllist);
    Block {
        key: epoll.ep.to_string(),
        what: What::Epoll,
        rows,
        short: format!("{name}: {} in the tree, rdllist {ready}", epoll.tree.len()),
    }
}

fn node(epoll: &EpollState, index: usize, before: &str) -> Row {
    let node = &epoll.tree[index];
    let parent = epoll
        .tree
        .iter()
        .find(|it| it.left == Some(index) || it.right == Some(index));
    let place = parent.map_or("the root".to_owned(), |parent| {
        format!("below {}", parent.item.tfd)
    });
    let colour = if node.red { "red" } else { "black" };
    let facts = vec![
        place,
        colour.to_owned(),
        node.interest.to_string(),
        format!("data {}", node.data),
    ];
    let key = format!("node {} {}", node.item.tfd, node.file);
    Row::new(key, format!("{before}{node}"), facts)
}

fn file(file: &FileState, names: &Names<'_>) -> Block {
    let name = format!("{}{}", file.file, names.file(file));
    let heading = format!("{name}: {}, {}", file.kind, file.ready);
    let mut rows = vec![
        Row::new("", heading.clone(), vec![file.ready.to_string()]),
        Row::labelled("holds", file.content.clone()),
    ];
    let fds = descriptors(file);
    // Said only where it is not what the name says.
    if fds != file.file.0.to_string() {
        rows.push(Row::labelled("known as", fds));
    }
    let mut short = heading;
    for (queue, entries) in &file.queues {
        let label = match queue {
            QueueRef::PipeRead(_) => "rd_wait",
            QueueRef::PipeWrite(_) => "wr_wait",
            QueueRef::TtyRead { .. } => "read_wait",
            QueueRef::TtyWrite { .. } => "write_wait",
            _ => "wait",
        };
        rows.push(Row::list(label, waiters(entries)));
        if !entries.is_empty() {
            short.push_str(&format!("; {label} {}", waiters(entries)));
        }
    }
    Block {
        key: file.file.to_string(),
        what: What::File,
        rows,
        short,
    }
}

/// The numbers that lead to a file: `4, 7, 4 of task 2`.
fn descriptors(file: &FileState) -> String {
    if file.fds.is_empty() {
        return "no descriptor".to_owned();
    }
    let fds = file.fds.iter().map(|(task, fd)| match *task {
        TaskId::MAIN => fd.to_string(),
        task => format!("{fd} of task {}", task.0),
    });
    fds.collect::<Vec<String>>().join(", ")
}

/// `4 → 6`
fn items(items: &[ItemRef]) -> String {
    let numbers = items.iter().map(|item| item.tfd.to_string());
    chain(numbers.collect())
}

/// `task 1 (exclusive) → item 4 of epoll 3`
fn waiters(waiters: &[WaiterState]) -> String {
    chain(waiters.iter().map(ToString::to_string).collect())
}

fn chain(links: Vec<String>) -> String {
    if links.is_empty() {
        return "-".to_owned();
    }
    links.join(" → ")
}

/// Marks what is not as it was, and brings back what is gone.
fn compared(now: Vec<Block>, before: Vec<Block>) -> Vec<Block> {
    let meet = |new: &mut Block, old: Block| {
        let rows = std::mem::take(&mut new.rows);
        let old = old.rows.into_iter().filter(|row| !row.facts.is_empty());
        new.rows = merged(
            rows,
            old.collect(),
            |a, b| a.key == b.key,
            Row::meet,
            Row::gone,
        );
    };
    merged(now, before, |a, b| a.key == b.key, meet, Block::gone)
}

/// What is there now, each as `meet` leaves it if it was there before, and what is gone in the place that
/// it had.
fn merged<T>(
    now: Vec<T>,
    before: Vec<T>,
    same: impl Fn(&T, &T) -> bool,
    meet: impl Fn(&mut T, T),
    gone: impl Fn(T) -> T,
) -> Vec<T> {
    let mut all = now;
    let mut place = 0;
    for old in before {
        match all.iter().position(|new| same(new, &old)) {
            Some(index) => {
                meet(&mut all[index], old);
                place = index + 1;
            }
            None => {
                all.insert(place, gone(old));
                place += 1;
            }
        }
    }
    all
}

impl Block {
    /// Of something that is no more, the heading is enough.
    fn gone(self) -> Block {
        let rows = self.rows.into_iter().take(1).map(Row::gone).collect();
        Block { rows, ..self }
    }
}

impl Row {
    fn meet(&mut self, old: Row) {
        if self.facts == old.facts {
            self.mark = Mark::Same;
            return;
        }
        self.mark = Mark::Changed;
        let now = self.facts.iter().map(Some).chain(std::iter::repeat(None));
        let changed = old
            .facts
            .iter()
            .zip(now)
            .filter(|(old, now)| Some(*old) != *now);
        let was: Vec<&str> = changed.map(|(old, _)| &**old).collect();
        self.was = was.join(", ");
    }

    fn gone(self) -> Row {
        Row {
            mark: Mark::Gone,
            ..self
        }
    }
}
