//! One epoll instance: who holds its mutex, the tree, the lists, the queues.
//!
//! ```text
//! epoll 3 (ep)                         mtx free
//! tree                   [5]
//! rbr                 [4]   [6]
//! ready list          [4] › [6]
//! rdllist
//! ```

use super::glyph::{Glyph, Panel, Shape, TRACK, TRACK_WIDTH, WIDTH, row_label, text, units};
use super::place::{Columns, numbered};
use super::row::{Link, Row};
use super::stage::{Part, Parts, View, bits, epoll_keys};
use crate::abi::EventMask;
use crate::trace::{EpollState, ItemRef, NodeState, QueueRef, WaiterState};

/// What is the same in each step.
#[derive(Debug)]
pub(super) struct EpollStage {
    title: String,
    parts: Parts,
    columns: Columns,
    node: Node,
    rows: Rows,
    height: i32,
}

/// How nodes are drawn.
#[derive(Clone, Copy, Debug)]
struct Node {
    width: i32,
    height: i32,
    /// From one column to the next.
    apart: i32,
    levels: usize,
    /// Whether the interest is written below the number.
    has_bits: bool,
}

/// The rows that there are.
#[derive(Clone, Copy, Debug)]
struct Rows {
    rdllist: Option<Row>,
    txlist: Option<Row>,
    ovflist: Option<Row>,
    wq: Option<Row>,
    poll_wait: Option<Row>,
}

const TOP: i32 = 36;
const LEVEL: i32 = 22;
/// A tree with more nodes is counted only.
const MOST_NODES: usize = 24;
/// A node is as wide as this if there is room, and no further from the next column than that.
const LEAST: i32 = 48;
const MOST_APART: i32 = 56;

impl EpollStage {
    pub(super) fn set(film: &Part<'_, '_>, parts: Parts) -> EpollStage {
        let states = || {
            let here = film.iter();
            here.map(|(view, index)| Some((*view, &view.state.epolls[(*index)?])))
        };
        let columns = Columns::of(states().map(|it| it.map(|(_, epoll)| epoll)));
        let node = Node::fitting(states().flatten(), columns.count());
        let mut y = TOP;
        if parts.contains(Parts::TREE) {
            y += node.tree_height(columns.count());
        }
        let label = |it: (&View<'_>, &EpollState)| {
            let (view, epoll) = it;
            let items = epoll.tree.iter().map(|node| node.item);
            let items: Vec<i32> = items.map(|item| view.item(item, false).width()).collect();
            items.into_iter().max()
        };
        let item_width = states()
            .flatten()
            .filter_map(label)
            .max()
            .unwrap_or_default();
        let item_width = item_width.clamp(36, 92);
        let waiters = |it: (&View<'_>, &EpollState)| {
            let (view, epoll) = it;
            let all = epoll.wq.iter().chain(&epoll.poll_wait);
            let widths: Vec<i32> = all
                .map(|waiter| view.waiter_label(*waiter, true).width())
                .collect();
            widths.into_iter().max()
        };
        let waiter_width = states().flatten().filter_map(waiters).max().unwrap_or(40);
        let most = |count: &dyn Fn(&EpollState) -> usize| {
            states().flatten().map(|(_, epoll)| count(epoll)).max()
        };
        let most = |count: &dyn Fn(&EpollState) -> usize| most(count).unwrap_or_default();
        let mut row = |is_there: bool, what, linux, chip, count, reserved| {
            is_there.then(|| {
                let row = Row::for_chips(what, linux, y, chip, count, reserved);
                y += row.height();
                row
            })
        };
        let (lists, queues) = (parts.contains(Parts::LISTS), parts.contains(Parts::QUEUES));
        let is_scanned = lists && most(&|it| usize::from(it.ovflist.is_some())) > 0;
        let (in_wq, in_poll_wait) = (most(&|it| it.wq.len()), most(&|it| it.poll_wait.len()));
        let rows = Rows {
            rdllist: row(
                lists,
                "ready list",
                "rdllist",
                item_width,
                most(&|it| it.rdllist.len()),
                0,
            ),
            txlist: row(
                is_scanned,
                "scan's list",
                "txlist",
                item_width,
                most(&|it| it.txlist.len()),
                item_width + 22,
            ),
            ovflist: row(
                is_scanned,
                "overflow list",
                "ovflist",
                item_width,
                most(&|it| it.ovflist.as_ref().map_or(0, Vec::len)),
                0,
            ),
            wq: row(
                queues && in_wq > 0,
                "sleepers",
                "wq",
                waiter_width,
                in_wq,
                0,
            ),
            poll_wait: row(
                queues && in_poll_wait > 0,
                "watchers",
                "poll_wait",
                waiter_width,
                in_poll_wait,
                0,
            ),
        };
        let first = states().flatten().next();
        EpollStage {
            title: first.map_or("epoll".to_owned(), |(_, epoll)| epoll.ep.to_string()),
            parts,
            columns,
            node,
            rows,
            height: y + 4,
        }
    }

    /// The panel in a step; `index` says which epoll of the state it shows, if it is there.
    pub(super) fn panel(
        &self,
        view: &View<'_>,
        before: Option<&View<'_>>,
        step: usize,
        index: Option<usize>,
        more: usize,
    ) -> Panel {
        let Some(index) = index else {
            return self.empty();
        };
        let epoll = &view.state.epolls[index];
        let key = epoll_keys(&view.state).swap_remove(index);
        let old = before.and_then(|view| {
            let index = epoll_keys(&view.state).iter().position(|it| *it == key)?;
            Some((view, &view.state.epolls[index]))
        });
        let scene = Scene {
            stage: self,
            view,
            epoll,
            step,
            old,
        };
        let mut glyphs = scene.heading(more);
        if self.parts.contains(Parts::TREE) {
            glyphs.extend(scene.tree());
        }
        glyphs.extend(scene.lists());
        glyphs.extend(scene.queues());
        Panel {
            title: self.title.clone(),
            text: scene.words(),
            height: self.height,
            glyphs,
        }
    }

    fn empty(&self) -> Panel {
        let note = text("lab-state", 10, 20, "no epoll yet, or no longer");
        Panel {
            title: self.title.clone(),
            text: "There is no epoll here.".to_owned(),
            height: self.height,
            glyphs: vec![Glyph::new("none", "lab-none", (0, 0), note)],
        }
    }
}

impl Node {
    /// As wide as the labels need, and as the columns allow.
    fn fitting<'v, 'r: 'v>(
        states: impl Iterator<Item = (&'v View<'r>, &'v EpollState)>,
        columns: usize,
    ) -> Node {
        let (mut label, mut bit, mut levels, mut words) = (LEAST, 0, 0, 0);
        for (view, epoll) in states {
            for node in &epoll.tree {
                label = label.max(view.item(node.item, false).width());
                let depth = usize::try_from(node.depth).unwrap_or_default();
                levels = levels.max(depth + 1);
                for line in interest(node) {
                    bit = bit.max(units(line.chars().count()) * 29 / 5 + 10);
                    words = words.max(interest(node).len());
                }
            }
        }
        let between = units(columns.saturating_sub(1)).max(1);
        // Two nodes of one level have a column between them.
        let wanted = label.max(bit).min(TRACK_WIDTH);
        let apart = ((TRACK_WIDTH - wanted) / between).clamp(1, MOST_APART);
        let most = if columns < 2 {
            TRACK_WIDTH
        } else {
            2 * apart - 4
        };
        let has_bits = bit <= most;
        let width = if has_bits { wanted } else { label }.min(most).max(8);
        Node {
            width,
            height: if has_bits { 24 + units(words) * 11 } else { 24 },
            apart: ((TRACK_WIDTH - width) / between).min(MOST_APART),
            levels,
            has_bits,
        }
    }

    fn tree_height(&self, columns: usize) -> i32 {
        if columns == 0 || columns > MOST_NODES {
            return 36;
        }
        units(self.levels) * (self.height + LEVEL) - LEVEL + 16
    }
}

/// The interest in as many lines as are needed: first what is waited for, then how.
fn interest(node: &NodeState) -> Vec<String> {
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
    lines
}

/// One epoll in one step.
struct Scene<'p, 'r> {
    stage: &'p EpollStage,
    view: &'p View<'r>,
    epoll: &'p EpollState,
    step: usize,
    /// The same before the step.
    old: Option<(&'p View<'r>, &'p EpollState)>,
}

impl Scene<'_, '_> {
    fn heading(&self, more: usize) -> Vec<Glyph> {
        let ep = self.epoll.ep;
        let name = self.view.epoll(ep);
        let number = ep.0.to_string();
        let mut title = if name == number {
            format!("epoll {number}")
        } else {
            format!("epoll {number} {name}")
        };
        let fds: Vec<String> = self
            .epoll
            .fds
            .iter()
            .map(|(_, fd)| fd.to_string())
            .collect();
        if fds.is_empty() {
            title.push_str(", no descriptor");
        } else if fds.iter().any(|fd| *fd != number) {
            title.push_str(&format!(", fds {}", fds.join(" ")));
        }
        if more > 0 {
            title.push_str(&format!(" (+{more} not shown)"));
        }
        let (class, who) = match self.epoll.mtx {
            None => ("lab-lock", "mtx free".to_owned()),
            Some(task) => ("lab-lock lab-held", format!("mtx {}", self.view.task(task))),
        };
        let shackle = match self.epoll.mtx {
            None => "M4 9V5a4 4 0 0 1 8 0",
            Some(_) => "M4 9V6a4 4 0 0 1 8 0V9",
        };
        let body = format!(
            "<path class=\"lab-shackle\" d=\"{shackle}\"/><rect class=\"lab-lock-body\" x=\"1\" y=\"9\" width=\"14\" height=\"10\" rx=\"2\"/>{}",
            text("lab-holder", -6, 17, &who)
        );
        vec![
            Glyph::new(
                "title",
                "lab-heading",
                (0, 0),
                text("lab-title", 10, 20, &title),
            )
            .telling(format!("{title} is here")),
            Glyph::new("lock", class, (WIDTH - 26, 4), body).telling(who),
        ]
    }

    fn tree(&self) -> Vec<Glyph> {
        let stage = self.stage;
        let mut glyphs = vec![
            Glyph::new(
                "tree label",
                "lab-label",
                (0, TOP),
                row_label(0, "tree", "rbr"),
            )
            .ground(),
        ];
        if self.epoll.tree.is_empty() || stage.columns.count() > MOST_NODES {
            let note = match self.epoll.tree.len() {
                0 => "empty".to_owned(),
                1 => "1 item".to_owned(),
                count => format!("{count} items"),
            };
            let body = text("lab-state", 10, 20, &note);
            glyphs.push(Glyph::new("tree note", "lab-note", (TRACK, TOP), body));
            return glyphs;
        }
        let keys = self.keys(self.epoll.tree.iter().map(|node| node.item));
        let places: Vec<(i32, i32)> = (0..keys.len()).map(|node| self.place(node)).collect();
        for (index, node) in self.epoll.tree.iter().enumerate() {
            let parent = self.parent(index);
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
            glyphs.push(Glyph::new(id, class, places[index], self.node(node)).telling(facts));
        }
        glyphs
    }

    fn parent(&self, index: usize) -> Option<usize> {
        let mut tree = self.epoll.tree.iter();
        tree.position(|it| it.left == Some(index) || it.right == Some(index))
    }

    /// The upper left corner of a node.
    fn place(&self, index: usize) -> (i32, i32) {
        let node = &self.stage.node;
        let columns = units(self.stage.columns.count().saturating_sub(1));
        let left = TRACK + (TRACK_WIDTH - columns * node.apart - node.width) / 2;
        let column = units(self.stage.columns.get(self.step, index));
        let depth = i32::try_from(self.epoll.tree[index].depth).unwrap_or_default();
        (
            left + column * node.apart,
            TOP + 2 + depth * (node.height + LEVEL),
        )
    }

    fn branch(&self, key: &str, parent: (i32, i32), child: (i32, i32)) -> Glyph {
        let node = &self.stage.node;
        let (x, y) = (parent.0 + node.width / 2, parent.1 + node.height);
        let (to_x, to_y) = (child.0 + node.width / 2, child.1);
        let half = (y + to_y) / 2;
        let path = format!("M{x} {y}C{x} {half} {to_x} {half} {to_x} {to_y}");
        Glyph::line(format!("b {key}"), "lab-branch", path)
    }

    fn node(&self, node: &NodeState) -> String {
        let Node { width, height, .. } = self.stage.node;
        let middle = width / 2;
        let mut body = format!("<rect width=\"{width}\" height=\"{height}\" rx=\"5\"/>");
        if node.red {
            // A second line around it: colour alone would not do.
            let (width, height) = (width - 6, height - 6);
            body.push_str(&format!(
                "<rect class=\"lab-inner\" x=\"3\" y=\"3\" width=\"{width}\" height=\"{height}\" rx=\"3\"/>"
            ));
        }
        let label = self.view.item(node.item, false);
        body.push_str(&format!(
            "<text class=\"lab-key\" x=\"{middle}\" y=\"17\">{label}</text>"
        ));
        if self.stage.node.has_bits {
            for (line, y) in interest(node).iter().zip((28..).step_by(11)) {
                body.push_str(&text("lab-bits", middle, y, line));
            }
        }
        body
    }

    fn lists(&self) -> Vec<Glyph> {
        let rows = &self.stage.rows;
        let epoll = self.epoll;
        let mut glyphs = Vec::new();
        let is_open = epoll.ovflist.is_some();
        let closed = |word| (!is_open).then_some(word);
        // Two items of one number are told apart over all lists.
        let hand = in_hand(self.view, epoll);
        let linked = epoll.rdllist.iter().chain(&epoll.txlist).copied();
        let mut keys = self.keys(linked.chain(hand)).into_iter();
        let ready = self.linked("rdllist", &epoll.rdllist, &mut keys);
        let scanned = self.linked("txlist", &epoll.txlist, &mut keys);
        let asked = hand.zip(keys.next());
        let asked = asked.map(|(item, key)| self.link(item, &key, "in hand"));
        let open = if is_open { "open" } else { "" };
        if let Some(row) = &rows.rdllist {
            glyphs.extend(row.ground("rdllist", None, ""));
            glyphs.extend(row.chips("rdllist", ready));
            glyphs.extend(self.gone(row, "rdllist", |_, old| old.rdllist.clone()));
        }
        if let Some(row) = &rows.txlist {
            let state = closed("no scan runs");
            glyphs.extend(row.ground("txlist", state, open));
            glyphs.extend(row.chips("txlist", scanned));
            glyphs.extend(hand_slot(row, asked));
            glyphs.extend(self.gone(row, "txlist", |view, old| {
                let hand = in_hand(view, old);
                old.txlist.iter().copied().chain(hand).collect()
            }));
        }
        if let Some(row) = &rows.ovflist {
            let state = closed("closed");
            glyphs.extend(row.ground("ovflist", state, open));
            let items = epoll.ovflist.as_deref().unwrap_or_default();
            let keys = self.keys(items.iter().copied());
            let links = items.iter().zip(keys).map(|(item, key)| Link {
                id: format!("o {key}"),
                shape: Shape::Item,
                label: self.view.item(*item, false),
                facts: "ovflist".to_owned(),
                home: vec![format!("l {key}"), format!("n {key}")],
                is_next: false,
            });
            glyphs.extend(row.chips("ovflist", links.collect()));
        }
        glyphs
    }

    /// Items on the list that an item can be on only once; a chip that goes from one to another moves.
    fn linked(
        &self,
        list: &str,
        items: &[ItemRef],
        keys: &mut impl Iterator<Item = String>,
    ) -> Vec<Link> {
        let links = items.iter().zip(keys);
        links
            .map(|(item, key)| self.link(*item, &key, list))
            .collect()
    }

    fn link(&self, item: ItemRef, key: &str, list: &str) -> Link {
        Link {
            id: format!("l {key}"),
            shape: Shape::Item,
            label: self.view.item(item, false),
            facts: list.to_owned(),
            home: vec![format!("o {key}"), format!("n {key}")],
            is_next: false,
        }
    }

    /// What was among these before and is on no list now.
    fn gone(
        &self,
        row: &Row,
        id: &str,
        list: impl Fn(&View<'_>, &EpollState) -> Vec<ItemRef>,
    ) -> Option<Glyph> {
        let (old_view, old) = self.old?;
        let now = self.epoll;
        let hand = in_hand(self.view, self.epoll);
        let is_linked = |item: &ItemRef| {
            now.rdllist.contains(item) || now.txlist.contains(item) || hand == Some(*item)
        };
        let mut lost = list(old_view, old);
        lost.retain(|item| !is_linked(item));
        let gone: Vec<String> = lost
            .iter()
            .map(|item| old_view.item(*item, false).plain())
            .collect();
        row.gone(id, &gone)
    }

    fn queues(&self) -> Vec<Glyph> {
        let mut glyphs = Vec::new();
        let (rows, epoll) = (&self.stage.rows, self.epoll);
        for (row, id, queue, waiters) in [
            (&rows.wq, "wq", QueueRef::EpWq(epoll.ep), &epoll.wq),
            (
                &rows.poll_wait,
                "poll_wait",
                QueueRef::EpPollWait(epoll.ep),
                &epoll.poll_wait,
            ),
        ] {
            let Some(row) = row else { continue };
            let links = waiting(self.view, id, queue, waiters, true);
            glyphs.extend(row.ground(id, None, ""));
            glyphs.extend(row.chips(id, links));
        }
        glyphs
    }

    /// The items by their numbers.
    fn keys(&self, items: impl Iterator<Item = ItemRef>) -> Vec<String> {
        numbered(items.map(|item| item.tfd.to_string()))
    }

    fn words(&self) -> String {
        let epoll = self.epoll;
        let mut words = Vec::new();
        let list = |items: &[ItemRef]| match items {
            [] => "empty".to_owned(),
            items => {
                let items = items
                    .iter()
                    .map(|item| self.view.item(*item, false).plain());
                items.collect::<Vec<_>>().join(", ")
            }
        };
        if self.stage.parts.contains(Parts::TREE) {
            let nodes = epoll.tree.iter().take(MOST_NODES).map(|node| {
                let colour = if node.red { "red" } else { "black" };
                let item = self.view.item(node.item, false).plain();
                format!("{item} {colour} {}", interest(node).join(" "))
            });
            let nodes: Vec<String> = nodes.collect();
            words.push(match nodes.is_empty() {
                true => "tree empty".to_owned(),
                false => format!("tree {}", nodes.join(", ")),
            });
        }
        if self.stage.parts.contains(Parts::LISTS) {
            words.push(format!("ready list {}", list(&epoll.rdllist)));
            if let Some(overflow) = &epoll.ovflist {
                words.push(format!("scan's list {}", list(&epoll.txlist)));
                words.push(format!("overflow list {}", list(overflow)));
            }
        }
        if self.stage.parts.contains(Parts::QUEUES) {
            for (queue, waiters) in [("sleepers", &epoll.wq), ("watchers", &epoll.poll_wait)] {
                if !waiters.is_empty() {
                    let names = waiters.iter().map(|waiter| self.view.waiter(*waiter));
                    words.push(format!("{queue} {}", names.collect::<Vec<_>>().join(", ")));
                }
            }
        }
        words.push(match epoll.mtx {
            None => "mutex free".to_owned(),
            Some(task) => format!("mutex held by {}", self.view.task(task)),
        });
        words.join("; ")
    }
}

/// The slot for the item that a scan has taken off every list.
fn hand_slot(row: &Row, asked: Option<Link>) -> Vec<Glyph> {
    let width = row.chip + 12;
    let (x, y) = (WIDTH - 8 - width, row.y);
    let body = format!(
        "<rect width=\"{width}\" height=\"32\" rx=\"7\"/>{}",
        text("lab-state", 8, 20, "asked")
    );
    let mut glyphs = vec![Glyph::new("hand", "lab-slot", (x, y), body).ground()];
    glyphs.extend(asked.map(|link| link.glyph(row.chip, (x + 6, y + 4))));
    glyphs
}

/// What a scan of this epoll has taken off every list. Two epolls may be called alike, in two processes: who
/// scans one holds its mutex.
fn in_hand(view: &View<'_>, epoll: &EpollState) -> Option<ItemRef> {
    let mut tasks = view.state.tasks.iter();
    let scans = tasks.find(|task| epoll.mtx == Some(task.task))?;
    scans.in_hand.filter(|item| item.ep == epoll.ep)
}

/// The entries of a wait queue as chips.
pub(super) fn waiting(
    view: &View<'_>,
    id: &str,
    queue: QueueRef,
    waiters: &[WaiterState],
    with_epoll: bool,
) -> Vec<Link> {
    let named = waiters.iter().map(|waiter| match waiter {
        WaiterState::Task { task, .. } => format!("{id} task {}", task.0),
        WaiterState::Hook { item, .. } => format!("{id} hook {} {}", item.ep.0, item.tfd),
        WaiterState::Relay { queue } => format!("{id} {queue}"),
    });
    let keys = numbered(named);
    waiters
        .iter()
        .zip(keys)
        .map(|(waiter, id)| Link {
            shape: match waiter {
                WaiterState::Task { .. } => Shape::Task,
                WaiterState::Hook { .. } | WaiterState::Relay { .. } => Shape::Item,
            },
            label: view.waiter_label(*waiter, with_epoll),
            facts: id.clone(),
            home: Vec::new(),
            is_next: view.is_next(queue, *waiter),
            id,
        })
        .collect()
}
