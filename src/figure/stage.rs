//! From the states of a film to its pictures.
//!
//! The stage is set once for the whole film: which panels there are, how high each of them is, who stands
//! where. A picture then only says who is there.

use std::collections::HashMap;
use std::rc::Rc;

use super::epoll::EpollStage;
use super::files::FilesStage;
use super::glyph::{EXCLUSIVE, Label, OF_EPOLL, Panel, cut};
use super::place::{Places, numbered};
use super::reel::Names;
use super::tasks::TasksStage;
use crate::abi::{EventMask, Fd, TaskId};
use crate::trace::{EpRef, FileRef, ItemRef, QueueRef, State, WaiterState};

bitflags::bitflags! {
    /// Which structures a figure shows.
    #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
    pub struct Parts: u8 {
        /// The red-black tree of each epoll.
        const TREE = 1;
        /// Ready list, overflow list, the list of a running scan.
        const LISTS = 2;
        /// Who sleeps in epoll_wait(2), and who watches the epoll.
        const QUEUES = 4;
        /// Descriptors, open files, and who waits for them.
        const FILES = 8;
        /// Tasks and where each of them stands.
        const TASKS = 16;
        /// All of an epoll.
        const EPOLLS = 7;
    }
}

impl Default for Parts {
    fn default() -> Parts {
        Parts::all()
    }
}

/// How everything stands after a step, and what it is called.
#[derive(Clone, Debug)]
pub(super) struct View<'r> {
    pub(super) state: Rc<State>,
    pub(super) names: Names<'r>,
    /// For each task in a call the line that made it.
    pub(super) calls: HashMap<TaskId, usize>,
    /// Who took the step.
    pub(super) actor: Option<TaskId>,
}

/// More of one sort than these are only counted.
const MOST_EPOLLS: usize = 6;
const MOST_FILES: usize = 10;
const MOST_TASKS: usize = 8;

/// Everything that holds over the whole film.
#[derive(Debug)]
pub(super) struct Stage {
    epolls: Places,
    epoll_stages: Vec<EpollStage>,
    files: Option<FilesStage>,
    tasks: Option<TasksStage>,
}

impl Stage {
    pub(super) fn set(film: &[View<'_>], parts: Parts) -> Stage {
        let epolls = Places::of(film.iter().map(|view| epoll_keys(&view.state)));
        let several = epolls.count > 1;
        let shown = if parts.intersects(Parts::EPOLLS) {
            epolls.count.min(MOST_EPOLLS)
        } else {
            0
        };
        let epoll_stages = (0..shown).map(|place| {
            let film: Vec<_> = film
                .iter()
                .enumerate()
                .map(|(step, view)| (view, at(&epolls, step, place, epoll_keys(&view.state))))
                .collect();
            EpollStage::set(&film, parts)
        });
        let epoll_stages = epoll_stages.collect();
        let files = parts
            .contains(Parts::FILES)
            .then(|| FilesStage::set(film, several, MOST_FILES));
        let tasks = parts
            .contains(Parts::TASKS)
            .then(|| TasksStage::set(film, MOST_TASKS));
        Stage {
            epolls,
            epoll_stages,
            files,
            tasks,
        }
    }

    /// The picture of a step, without marks: as many panels in each.
    pub(super) fn picture(&self, film: &[View<'_>], step: usize) -> Vec<Panel> {
        let view = &film[step];
        let before = step.checked_sub(1).map(|step| &film[step]);
        let mut panels = Vec::new();
        for (place, stage) in self.epoll_stages.iter().enumerate() {
            let index = at(&self.epolls, step, place, epoll_keys(&view.state));
            // The last one says how many there are besides.
            let more = if place + 1 == self.epoll_stages.len() {
                self.epolls.count - self.epoll_stages.len()
            } else {
                0
            };
            panels.push(stage.panel(view, before, step, index, more));
        }
        panels.extend(self.tasks.as_ref().map(|stage| stage.panel(view, step)));
        panels.extend(self.files.as_ref().map(|stage| stage.panel(view, step)));
        panels
    }
}

/// Which of these stands at a place.
fn at(places: &Places, step: usize, place: usize, keys: Vec<String>) -> Option<usize> {
    keys.iter()
        .position(|key| places.get(step, key) == Some(place))
}

/// The epolls of a state, each with a name of its own.
pub(super) fn epoll_keys(state: &State) -> Vec<String> {
    numbered(state.epolls.iter().map(|epoll| format!("e{}", epoll.ep.0)))
}

impl View<'_> {
    /// `ep`, or the number if it has no name.
    pub(super) fn epoll(&self, ep: EpRef) -> String {
        let mut epolls = self.state.epolls.iter();
        let fds = epolls.find(|it| it.ep == ep).map(|it| &it.fds);
        let named = fds.into_iter().flatten();
        let name = named
            .filter(|(task, _)| *task == TaskId::MAIN)
            .find_map(|(_, fd)| self.names.of_fd(*fd));
        name.map_or_else(|| ep.0.to_string(), |name| cut(name, 7))
    }

    /// The name of a descriptor as long as it leads to this file. Where two files are called alike, one behind
    /// the other's number, neither is named.
    pub(super) fn name(&self, file: FileRef, fd: Fd) -> Option<&str> {
        let files = self.state.files.iter().map(|it| (it.file, &it.fds));
        let epolls = self.state.epolls.iter();
        let epolls = epolls.map(|it| (FileRef(it.ep.0), &it.fds));
        let mut alike = files.chain(epolls).filter(|(known, _)| *known == file);
        let (_, fds) = alike.next()?;
        let leads = fds.contains(&(TaskId::MAIN, fd)) && alike.next().is_none();
        leads.then(|| self.names.of_fd(fd)).flatten()
    }

    /// What stands on the chip of an item: its number and name; `ep∕4 r` where there are several epolls.
    pub(super) fn item(&self, item: ItemRef, with_epoll: bool) -> Label {
        let epoll = self.state.epolls.iter().find(|it| it.ep == item.ep);
        let nodes = epoll.into_iter().flat_map(|epoll| &epoll.tree);
        let mut nodes = nodes.filter(|node| node.item == item);
        let name = nodes.next().and_then(|node| self.name(node.file, item.tfd));
        let name = name.filter(|_| nodes.next().is_none());
        let key = if with_epoll {
            format!("{}{OF_EPOLL}{}", self.epoll(item.ep), item.tfd)
        } else {
            item.tfd.to_string()
        };
        Label::new(key, name)
    }

    /// `A`, or `task 2` if it has no name.
    pub(super) fn task(&self, task: TaskId) -> String {
        match self.names.of_task(task) {
            Some(name) => cut(name, 8),
            None => format!("task {}", task.0),
        }
    }

    /// `wait queue of 4 r`
    pub(super) fn queue(&self, queue: QueueRef) -> String {
        let file = |label: &str, file: FileRef| {
            let name = self.name(file, file.0);
            let name = name.map_or(String::new(), |name| format!(" {name}"));
            format!("{label} of {}{name}", file.0)
        };
        match queue {
            QueueRef::EpWq(ep) => format!("wq of {}", self.epoll(ep)),
            QueueRef::EpPollWait(ep) => format!("poll_wait of {}", self.epoll(ep)),
            QueueRef::File(it) => file("wait queue", it),
            QueueRef::PipeRead(it) | QueueRef::PipeWrite(it) | QueueRef::PeerWait(it) => {
                file(&queue_label(queue), it)
            }
            queue => queue.to_string(),
        }
    }

    /// `A`, `item 4`, `the queue of 5`
    pub(super) fn waiter(&self, waiter: WaiterState) -> String {
        match waiter {
            WaiterState::Task { task, .. } => self.task(task),
            WaiterState::Hook { item, .. } => {
                let several = self.state.epolls.len() > 1;
                format!("item {}", self.item(item, several).plain())
            }
            WaiterState::Relay { queue } => self.queue(queue),
        }
    }

    /// What a chip of this entry of a wait queue says.
    pub(super) fn waiter_label(&self, waiter: WaiterState, with_epoll: bool) -> Label {
        let mut label = match waiter {
            WaiterState::Task { task, .. } => Label::new(self.task(task), None),
            // Where the epoll is named, the name of the file would be too much.
            WaiterState::Hook { item, .. } if with_epoll => {
                Label::new(self.item(item, true).key, None)
            }
            WaiterState::Hook { item, .. } => self.item(item, false),
            WaiterState::Relay { queue } => Label::new(format!("→ {}", self.queue(queue)), None),
        };
        if let WaiterState::Task {
            exclusive: true, ..
        }
        | WaiterState::Hook {
            exclusive: true, ..
        } = waiter
        {
            label.key.push(' ');
            label.key.push_str(EXCLUSIVE);
        }
        label
    }

    /// Whether somebody walks this queue and calls this entry next.
    pub(super) fn is_next(&self, queue: QueueRef, waiter: WaiterState) -> bool {
        let tasks = self.state.tasks.iter();
        tasks
            .flat_map(|task| &task.walks)
            .any(|(walked, next)| *walked == queue && *next == Some(waiter))
    }
}

/// What Linux calls a queue, without whose it is: `rd_wait`.
pub(super) fn queue_label(queue: QueueRef) -> String {
    if let QueueRef::Signals(task) = queue {
        // A file that waits for those of several tasks has several, and `signalfd_wqh` is long.
        return format!("wqh task {}", task.0);
    }
    let whole = queue.to_string();
    let label = whole.split(" of ").next().unwrap_or_default();
    label.trim_end_matches(" queue").to_owned()
}

/// `IN`, `ET`: the bits of a mask without what they all begin with, and without the second names that some
/// of them have.
pub(super) fn bits(mut mask: EventMask) -> Vec<String> {
    for (bit, twin) in [
        (EventMask::IN, EventMask::RDNORM),
        (EventMask::OUT, EventMask::WRNORM),
    ] {
        if mask.contains(bit) {
            mask -= twin;
        }
    }
    let all = mask.to_string();
    let bits = all.split('|').map(|bit| {
        let bit = bit.strip_prefix("EPOLL").unwrap_or(bit);
        bit.to_owned()
    });
    bits.collect()
}

/// A film of one panel: in each step its view, and which of its kind it is if it is there.
pub(super) type Part<'v, 'r> = [(&'v View<'r>, Option<usize>)];
