//! The machine as [`State`]: plain data for pictures.

use super::Machine;
use super::arena::{EpId, FileId, HeadId, ItemId, WaitId};
use super::call::{Call, Held};
use super::eventpoll::{Ovflist, OvflistNext};
use super::file::{FileOps, Poller};
use super::rbtree::Side;
use super::task::Life;
use super::wait_queue::WakeFn;
use crate::abi::{EventMask, Fd, TaskId};
use crate::trace::{EpollState, FileState, ItemRef, NodeState, State, TaskState, WaiterState};

/// The node above another, and on which side of it that hangs.
type Above = Option<(usize, Side)>;

impl Machine {
    /// Everything that can be drawn.
    pub(crate) fn view(&self) -> State {
        let files = self.open_files();
        // Asking a file can leave a mark, so a copy is asked.
        let mut asked = self.clone();
        State {
            now: self.now,
            epolls: files
                .iter()
                .filter_map(|(id, fds)| Some((self.files[*id].epoll()?, fds)))
                .map(|(ep, fds)| self.view_epoll(ep, fds.clone()))
                .collect(),
            files: files
                .iter()
                .filter(|(id, _)| self.files[*id].epoll().is_none())
                .map(|(id, fds)| self.view_file(*id, fds.clone(), &mut asked))
                .collect(),
            tasks: self.view_tasks(),
        }
    }

    /// Every file that a descriptor or a call in flight refers to, the oldest name first.
    pub(super) fn open_files(&self) -> Vec<(FileId, Vec<(TaskId, Fd)>)> {
        let mut files: Vec<(FileId, Vec<(TaskId, Fd)>)> = Vec::new();
        let mut meet = |file: FileId, fd: Option<(TaskId, Fd)>| {
            let known = files.iter().position(|(id, _)| *id == file);
            let index = known.unwrap_or_else(|| {
                files.push((file, Vec::new()));
                files.len() - 1
            });
            files[index].1.extend(fd);
        };
        let mut seen = Vec::new();
        for (id, task) in self.task_ids().zip(&self.tasks) {
            if !task.life.has_files() || seen.contains(&task.files) {
                continue;
            }
            seen.push(task.files);
            for (fd, slot) in self.tables[task.files].iter() {
                meet(slot.file, Some((id, fd)));
            }
        }
        for task in &self.tasks {
            for file in &task.pinned {
                meet(*file, None);
            }
            for hook in &task.poll_hooks {
                meet(hook.file, None);
            }
            let mut held = Vec::new();
            if let Some(call) = &task.call {
                call.holds(&mut held);
            }
            for file in held {
                meet(file, None);
            }
        }
        files
    }

    fn item_name(&self, item: ItemId) -> ItemRef {
        ItemRef {
            ep: self.epolls[self.items[item].ep].label,
            tfd: self.items_rest[item].fd,
        }
    }

    fn view_epoll(&self, id: EpId, fds: Vec<(TaskId, Fd)>) -> EpollState {
        let ep = &self.epolls[id];
        let names =
            |items: Vec<ItemId>| items.into_iter().map(|item| self.item_name(item)).collect();
        EpollState {
            ep: ep.label,
            fds,
            tree: self.view_tree(id),
            rdllist: names(ep.rdllist.iter(&self.items).collect()),
            txlist: names(ep.txlist.iter(&self.items).collect()),
            ovflist: match ep.ovflist {
                Ovflist::Closed => None,
                Ovflist::Open(newest) => Some(names(self.ovflist(newest).collect())),
            },
            mtx: ep.mtx,
            wq: self.view_queue(ep.wq),
            poll_wait: self.view_queue(ep.poll_wait),
        }
    }

    /// The items on an overflow list, newest first.
    pub(super) fn ovflist(&self, newest: Option<ItemId>) -> impl Iterator<Item = ItemId> + '_ {
        std::iter::successors(newest, |item| match self.items_rest[*item].ovflist_next {
            OvflistNext::On(next) => next,
            OvflistNext::Off => None,
        })
    }

    fn view_tree(&self, ep: EpId) -> Vec<NodeState> {
        let tree = self.epolls[ep].rbr;
        let mut nodes: Vec<NodeState> = Vec::new();
        // A stack of what is to be drawn, each with the place that is to point at it.
        let mut todo: Vec<(ItemId, u32, Above)> = Vec::new();
        todo.extend(tree.root().map(|root| (root, 0, None)));
        while let Some((id, depth, above)) = todo.pop() {
            let index = nodes.len();
            match above {
                Some((parent, Side::Left)) => nodes[parent].left = Some(index),
                Some((parent, Side::Right)) => nodes[parent].right = Some(index),
                None => {}
            }
            let item = &self.items[id];
            nodes.push(NodeState {
                item: self.item_name(id),
                file: self.files[item.file].label,
                interest: item.interest,
                data: item.data,
                red: self.rb.is_red(id),
                depth,
                left: None,
                right: None,
            });
            for side in [Side::Right, Side::Left] {
                if let Some(child) = self.rb.child(id, side) {
                    todo.push((child, depth + 1, Some((index, side))));
                }
            }
        }
        nodes
    }

    fn view_queue(&self, head: HeadId) -> Vec<WaiterState> {
        let entries = self.heads[head].entries.iter(&self.waits);
        entries.map(|id| self.view_entry(id)).collect()
    }

    fn view_entry(&self, id: WaitId) -> WaiterState {
        let entry = &self.waits[id];
        let exclusive = entry.exclusive;
        match entry.func {
            WakeFn::EpPollCallback(item) => WaiterState::Hook {
                item: self.item_name(item),
                exclusive,
            },
            WakeFn::Autoremove(task)
            | WakeFn::EpAutoremove(task)
            | WakeFn::PollWake(task)
            | WakeFn::Receiver(task)
            | WakeFn::Default(task) => WaiterState::Task { task, exclusive },
            WakeFn::UnixPeerWake(sock) => WaiterState::Relay {
                queue: self.heads[self.unix[sock].sk.wq].label,
            },
        }
    }

    fn view_file(&self, id: FileId, fds: Vec<(TaskId, Fd)>, asked: &mut Machine) -> FileState {
        let file = &self.files[id];
        let queue = |head: HeadId| (self.heads[head].label, self.view_queue(head));
        let heads = self.queues_around(id, &fds);
        let (kind, content) = file.kind.describe(self);
        // As the first of those who have it would see it.
        let task = fds.first().map_or(TaskId(0), |(task, _)| *task);
        FileState {
            file: file.label,
            kind,
            content,
            ready: asked.answer_to_poll(id, task),
            fds,
            queues: heads.into_iter().map(queue).collect(),
        }
    }

    /// The queues on which those stand who poll the file, or would if they did: of most files they are the
    /// same for everybody.
    fn queues_around(&self, file: FileId, fds: &[(TaskId, Fd)]) -> Vec<HeadId> {
        let mut heads = Vec::new();
        let mut meet = |head: HeadId| {
            if !heads.contains(&head) {
                heads.push(head);
            }
        };
        for (task, _) in fds {
            let polled = self.poll_heads(file, *task);
            polled.into_iter().flatten().for_each(&mut meet);
        }
        for item in self.files[file].f_ep.iter(&self.items_rest) {
            let hooks = self.hooks(item).filter_map(|hook| self.waits[hook].whead);
            hooks.for_each(&mut meet);
        }
        heads
    }

    /// The hooks of an item.
    pub(super) fn hooks(&self, item: ItemId) -> impl Iterator<Item = WaitId> {
        let next = |hook: &WaitId| self.waits[*hook].next_hook;
        std::iter::successors(self.items_rest[item].pwqlist, next)
    }

    /// What a file answers to poll(2): nothing without a poll method.
    fn answer_to_poll(&mut self, file: FileId, task: TaskId) -> EventMask {
        if self.files[file].kind.can_poll() {
            let requested = EventMask::all();
            self.file_poll(file, Poller { task, requested })
        } else {
            EventMask::empty()
        }
    }

    fn view_tasks(&self) -> Vec<TaskState> {
        self.task_ids()
            .filter(|task| self.task(*task).life != Life::Dead)
            .map(|task| self.view_task(task))
            .collect()
    }

    fn view_task(&self, task: TaskId) -> TaskState {
        let mut held = Held::default();
        let call = self.task(task).call.as_ref();
        if let Some(call) = call {
            call.held(&mut held);
        }
        let walks = held.walks.iter().filter(|walk| walk.locked);
        TaskState {
            task,
            call: call.map(Call::at),
            asleep: held.may_sleep && self.is_asleep(task),
            deadline: call.and_then(Call::deadline),
            locks: held
                .mutexes
                .iter()
                .map(|ep| self.epolls[*ep].label)
                .collect(),
            in_hand: held.in_hand.map(|item| self.item_name(item)),
            stored: match call {
                Some(Call::EpollWait(call)) => call.stored().to_vec(),
                _ => Vec::new(),
            },
            walks: walks
                .map(|walk| {
                    let next = walk.next.map(|entry| self.view_entry(entry));
                    (self.heads[walk.wake.head].label, next)
                })
                .collect(),
        }
    }
}
