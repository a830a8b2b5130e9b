//! A row of a table as a scenario, and its cells as what came of it.

use std::fmt;

use super::read::comment;
use super::{Kind, Operation, Stage, State, Table};
use crate::abi::{Answer, Errno, EventMask, Out};
use crate::scenario::Run;

/// All that can be asked for; `EPOLLERR` and `EPOLLHUP` are reported without.
const EVERY_BIT: EventMask = EventMask::IN
    .union(EventMask::PRI)
    .union(EventMask::OUT)
    .union(EventMask::RDNORM)
    .union(EventMask::RDBAND)
    .union(EventMask::WRNORM)
    .union(EventMask::WRBAND)
    .union(EventMask::MSG)
    .union(EventMask::RDHUP);

/// Bits that say with a priority what `EPOLLIN` and `EPOLLOUT` say without: most programs leave them alone.
const BANDS: EventMask = EventMask::RDNORM
    .union(EventMask::RDBAND)
    .union(EventMask::WRNORM)
    .union(EventMask::WRBAND)
    .union(EventMask::MSG);

/// One row of a table: who is asked, and the scenario that asks.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Question {
    /// Unique among all: `pipe-read-end/data/one-byte`, and behind it the operation.
    pub name: String,
    /// The stage of the state.
    pub stage: Stage,
    /// The state in words.
    pub state: String,
    /// The operation in words.
    pub operation: Option<String>,
    /// The text of the scenario, in canonical form.
    pub text: String,
    /// For each cell the numbers of the lines that answer: that of the ADD and that of the wait.
    asked: Vec<(usize, usize)>,
}

/// What stands in a table.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Cell {
    /// An event with these bits, or no event.
    Event(EventMask),
    /// The file cannot be watched: what epoll_ctl(2) says.
    Refused(Errno),
}

impl Question {
    pub(super) fn of_state(kind: &Kind, state: &State) -> Question {
        let mut text = Text::new(kind, state, None);
        text.push("ep = epoll_create1(0)");
        let added = text.add("ep", EVERY_BIT);
        let waited = text.wait("ep");
        text.question(kind, state, None, vec![(added, waited)])
    }

    pub(super) fn of_operation(kind: &Kind, state: &State, operation: &Operation) -> Question {
        let mut text = Text::new(kind, state, Some(operation));
        let watchers = [("ep_in", EventMask::IN), ("ep_out", EventMask::OUT)];
        for (ep, _) in watchers {
            text.push(&format!("{ep} = epoll_create1(0)"));
        }
        let added = watchers.map(|(ep, bit)| text.add(ep, bit | EventMask::ET));
        for (ep, _) in watchers {
            text.wait(ep);
        }
        for line in &operation.lines[leading(&operation.lines)..] {
            text.push(line);
        }
        let waited = watchers.map(|(ep, _)| text.wait(ep));
        let asked = added.into_iter().zip(waited).collect();
        text.question(kind, state, Some(operation), asked)
    }

    /// The table that it belongs to.
    pub fn table(&self) -> Table {
        match self.operation {
            None => Table::Events,
            Some(_) => Table::Edges,
        }
    }

    /// What the kernel answered: one cell in the table of events, one for each watcher in that of edges. `None` if
    /// the run did not come to the state, or not to its end.
    pub fn cells(&self, run: &Run) -> Option<Vec<Cell>> {
        let answer = |line| {
            run.outcome(line)
                .and_then(|outcome| outcome.answer.as_ref())
        };
        let cell = |(added, waited)| match (answer(added)?, answer(waited)?) {
            (Answer::Failed(errno, _), _) => Some(Cell::Refused(*errno)),
            (_, Answer::Done(_, Out::Events(events))) => {
                let events = events.first().map(|event| event.events);
                Some(Cell::Event(events.unwrap_or_default()))
            }
            _ => None,
        };
        if !run.passed() {
            return None;
        }
        self.asked.iter().copied().map(cell).collect()
    }
}

impl Cell {
    /// The bits that are no bands, and those that are.
    pub fn split(self) -> [Cell; 2] {
        match self {
            Cell::Event(events) => [events.difference(BANDS), events & BANDS].map(Cell::Event),
            Cell::Refused(_) => [self, Cell::Event(EventMask::empty())],
        }
    }
}

/// As tables show it: `IN|HUP`, `-` for no event, `EPERM at ADD`.
impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Cell::Event(events) if events.is_empty() => f.write_str("-"),
            Cell::Event(events) => write!(f, "{}", events.as_bits()),
            Cell::Refused(errno) => write!(f, "{errno:?} at ADD"),
        }
    }
}

/// A scenario that grows line by line.
struct Text {
    lines: Vec<String>,
}

impl Text {
    /// All that leads to the state. What is said before the first call comes to the top, since a scenario says
    /// only there what it needs.
    fn new(kind: &Kind, state: &State, operation: Option<&Operation>) -> Text {
        let mut title = format!("# {}, {}: {}", kind.title, state.stage, state.title);
        if let Some(operation) = operation {
            title = format!("{title}; {}", operation.title);
        }
        let parts: [&[String]; 3] = [
            &kind.common,
            &state.lines,
            operation.map_or(&[], |operation| &operation.lines),
        ];
        let mut lines = vec![title];
        for part in parts {
            lines.extend_from_slice(&part[..leading(part)]);
        }
        for part in &parts[..2] {
            lines.extend_from_slice(&part[leading(part)..]);
        }
        Text { lines }
    }

    /// One more line; returns its number.
    fn push(&mut self, line: &str) -> usize {
        self.lines.push(line.to_owned());
        self.lines.len()
    }

    fn add(&mut self, ep: &str, events: EventMask) -> usize {
        let event = format!("{{events={events}, data={{u32=0, u64=0}}}}");
        self.push(&format!("epoll_ctl({ep}, EPOLL_CTL_ADD, f, {event})"))
    }

    fn wait(&mut self, ep: &str) -> usize {
        self.push(&format!("epoll_wait({ep}, ..., 1, 0)"))
    }

    fn question(
        self,
        kind: &Kind,
        state: &State,
        operation: Option<&Operation>,
        asked: Vec<(usize, usize)>,
    ) -> Question {
        let operation = operation.map(|operation| operation.title.clone());
        let words = [Some(&state.title), operation.as_ref()];
        let slugs = words.into_iter().flatten().map(|words| slug(words));
        let path = [kind.name.clone(), state.stage.to_string()];
        Question {
            name: path.into_iter().chain(slugs).collect::<Vec<_>>().join("/"),
            stage: state.stage,
            state: state.title.clone(),
            operation,
            text: self.lines.join("\n") + "\n",
            asked,
        }
    }
}

/// How many comments stand before everything else.
fn leading(lines: &[String]) -> usize {
    let comments = lines.iter().take_while(|line| comment(line).is_some());
    comments.count()
}

/// Words as a name that a shell leaves alone.
fn slug(words: &str) -> String {
    let parts = words.split(|c: char| !c.is_ascii_alphanumeric());
    let parts: Vec<&str> = parts.filter(|part| !part.is_empty()).collect();
    parts.join("-").to_ascii_lowercase()
}
