//! One epoll instance: who holds its mutex, its tree, lists and queues.
//!
//! ```text
//! epoll 3 (ep)                         mtx free
//! tree                   [5]
//! rbr                 [4]   [6]
//! ready list          [4] › [6]
//! rdllist
//! ```

use super::glyph::{Glyph, Panel, Shape, WIDTH, text};
use super::place::item_keys;
use super::row::{Link, Row, waiting};
use super::stage::{Part, Parts, View, epoll_keys};
use super::tree::{self, TreeStage};
use crate::trace::{EpollState, ItemRef, QueueRef};

/// What is the same in each step.
#[derive(Debug)]
pub(super) struct EpollStage {
    title: String,
    parts: Parts,
    tree: TreeStage,
    rows: Rows,
    height: i32,
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
impl EpollStage {
    pub(super) fn set(film: &Part<'_, '_>, parts: Parts) -> EpollStage {
        let states = || {
            let here = film.iter();
            here.map(|(view, index)| Some((*view, &view.state.epolls[(*index)?])))
        };
        let tree = TreeStage::set(&states().collect::<Vec<_>>(), TOP);
        let mut y = TOP;
        if parts.contains(Parts::TREE) {
            y += tree.height();
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
            tree,
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
            old,
        };
        let mut glyphs = scene.heading(more);
        if self.parts.contains(Parts::TREE) {
            glyphs.extend(self.tree.glyphs(view, epoll, step));
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

/// One epoll in one step.
struct Scene<'p, 'r> {
    stage: &'p EpollStage,
    view: &'p View<'r>,
    epoll: &'p EpollState,
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

    fn lists(&self) -> Vec<Glyph> {
        let rows = &self.stage.rows;
        let epoll = self.epoll;
        let mut glyphs = Vec::new();
        let is_open = epoll.ovflist.is_some();
        let closed = |word| (!is_open).then_some(word);
        // Two items of one number are told apart over all lists.
        let hand = in_hand(self.view, epoll);
        let linked = epoll.rdllist.iter().chain(&epoll.txlist).copied();
        let mut keys = item_keys(linked.chain(hand)).into_iter();
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
            let keys = item_keys(items.iter().copied());
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
            words.push(tree::words(self.view, epoll));
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
