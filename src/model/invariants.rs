//! What is true of the machine between any two steps, in sentences.
//!
//! Most of them say that two places agree which tell the same thing: a list and a flag, a queue and the
//! item that hooked onto it. The last one is the promise for which all of it is there: nobody sleeps
//! through an event.

use std::fmt::Debug;

use super::arena::{EpId, FileId, HeadId, Id, InodeId, ItemId, WaitId};
use super::call::{Call, Held};
use super::eventpoll::{Epitem, EventPoll, Fllink, Ovflist, OvflistNext};
use super::file::{FileOps, Kind, Needs, Side, SocketOps};
use super::fs::Node;
use super::list::{List, Nodes};
use super::rbtree::Key;
use super::signal::Stop;
use super::task::{Life, Process, ProcessStatus, Task};
use super::wait_queue::{OnQueue, WakeFn};
use super::{Machine, Variant, task_index};
use crate::abi::{EventMask, SigSet, Signal, TaskId};

type Check = fn(&Survey<'_>) -> Result<(), String>;

const INVARIANTS: [(&str, Check); 29] = [
    ("the neighbours on a list point at each other", lists),
    (
        "an item is linked exactly if it is on the ready list or the scan's list of its epoll",
        linked,
    ),
    (
        "an item that a scan has in its hands is on neither list",
        in_hand,
    ),
    (
        "the overflow list is open exactly while a scan runs, and an item knows whether it is on it",
        ovflist,
    ),
    (
        "an epoll's mutex is held exactly by the call that works under it",
        mutexes,
    ),
    (
        "a wait queue is locked exactly by the call that walks along it",
        queue_locks,
    ),
    (
        "an entry of a wait queue knows its queue, and who put it there knows the entry",
        entries,
    ),
    (
        "an item has one hook on each wait queue of its file, from when it is hooked to when it goes",
        hooks,
    ),
    (
        "nobody waits for the signals of a process that has been waited for",
        pollfree,
    ),
    (
        "behind the first exclusive hook of a queue every hook is exclusive",
        exclusive_hooks,
    ),
    (
        "an interest that asks for nothing belongs to a one-shot that has fired",
        disarmed,
    ),
    (
        "no chain of epolls that watch epolls has more than four links",
        nesting,
    ),
    (
        "a user is charged for the items of the epolls that it created",
        watches,
    ),
    (
        "a tree obeys its rules and holds each item of its epoll under the item's key",
        trees,
    ),
    (
        "a file's list of watchers holds exactly the items that watch it",
        watchers,
    ),
    (
        "a file has as many references as descriptors and calls in flight refer to it",
        references,
    ),
    (
        "a file without references is being released, by one call",
        releasing,
    ),
    (
        "a pipe counts its readers, its writers and its files, and its mutex is held by who wakes under it",
        pipes,
    ),
    (
        "a pty counts its files, its locks are held by calls on it, and work waits exactly for what can be taken in",
        ptys,
    ),
    (
        "a socket is held by its file, by calls and by other sockets, and what it counts is there",
        sockets,
    ),
    (
        "an inode counts its names and its open files, and has one of them; a FIFO and its pipe name each other",
        inodes,
    ),
    ("no descriptor below the hint is free", descriptors),
    ("an object that nothing leads to is freed", leftovers),
    (
        "a sleeping task is in a call that may sleep, and stands where somebody can wake it",
        sleepers,
    ),
    (
        "of a standard signal no more than one is pending in each place, and never SIGKILL",
        pending_once,
    ),
    (
        "a signal that a thread alone can take has told it so",
        told_of_its_own,
    ),
    (
        "a signal of a process that some thread can take has told one",
        told_of_the_process,
    ),
    (
        "who is told of a signal or has a mask to come back to is in a call, and who has stopped is on its way",
        in_the_kernel,
    ),
    (
        "nobody sleeps in epoll_wait while events are available and no one is on the way to look",
        lost_wakeups,
    ),
];

/// `EP_MAX_NESTS`
const LONGEST_CHAIN: usize = 4;

impl Machine {
    /// Tells which invariant is broken, and where.
    pub fn check(&self) -> Result<(), String> {
        let survey = Survey::new(self);
        for (sentence, check) in INVARIANTS {
            check(&survey).map_err(|where_| format!("it is not true that {sentence}: {where_}"))?;
        }
        Ok(())
    }

    /// The sentences that [`Machine::check`] checks.
    pub fn invariants() -> impl Iterator<Item = &'static str> {
        INVARIANTS.into_iter().map(|(sentence, _)| sentence)
    }
}

/// A machine, and what there is in it.
struct Survey<'m> {
    m: &'m Machine,
    epolls: Vec<EpId>,
    /// Ascending.
    items: Vec<ItemId>,
    /// By task.
    held: Vec<Held>,
    /// Every wait queue that something leads to.
    heads: Vec<HeadId>,
}

impl<'m> Survey<'m> {
    fn new(m: &'m Machine) -> Survey<'m> {
        let held = m.tasks.iter().map(|task| {
            let mut held = Held::default();
            if let Some(call) = &task.call {
                call.held(&mut held);
            }
            held
        });
        let files = m.files.live();
        let mut epolls = Vec::new();
        let of_process = |one: &Process| [one.wait_chldexit, one.signalfd_wqh];
        let mut heads: Vec<HeadId> = m.processes.iter().flat_map(of_process).collect();
        heads.extend(m.tasks.iter().filter_map(|task| task.wait_pidfd));
        for file in &files {
            let kind = m.files[*file].kind;
            heads.extend(kind.queues(m).into_iter().flatten());
            epolls.extend(m.files[*file].epoll());
        }
        for pty in m.ptys.live() {
            for end in Side::BOTH.map(|side| m.ptys[pty].end(side)) {
                heads.extend([end.read_wait, end.write_wait]);
            }
        }
        for socket in m.sockets() {
            heads.extend(socket.kind().queues(m).into_iter().flatten());
        }
        heads.sort_unstable();
        heads.dedup();
        Survey {
            m,
            epolls,
            items: m.items.live(),
            held: held.collect(),
            heads,
        }
    }

    fn ep(&self, ep: EpId) -> &'m EventPoll {
        &self.m.epolls[ep]
    }

    fn item(&self, item: ItemId) -> &'m Epitem {
        &self.m.items[item]
    }

    fn alive(&self, item: ItemId) -> bool {
        self.items.binary_search(&item).is_ok()
    }

    fn held(&self) -> impl Iterator<Item = (TaskId, &Held)> {
        self.m.task_ids().zip(&self.held)
    }

    fn scanned(&self, ep: EpId) -> bool {
        self.held.iter().any(|held| held.scans.contains(&ep))
    }

    fn hooks(&self, item: ItemId) -> impl Iterator<Item = WaitId> {
        self.m.hooks(item)
    }
}

fn ensure(holds: bool, otherwise: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(otherwise()) }
}

fn ensure_eq<T: PartialEq + Debug>(what: impl Debug, is: T, should_be: T) -> Result<(), String> {
    ensure(is == should_be, || {
        format!("{what:?} has {is:?} and should have {should_be:?}")
    })
}

fn collect<I: Id, M>(list: List<I, M>, nodes: &impl Nodes<I, M>) -> Vec<I> {
    list.iter(nodes).collect()
}

fn lists(s: &Survey<'_>) -> Result<(), String> {
    for ep in &s.epolls {
        s.ep(*ep).rdllist.check(&s.m.items)?;
        s.ep(*ep).txlist.check(&s.m.items)?;
    }
    for file in s.m.files.live() {
        s.m.files[file].f_ep.check(&s.m.items_rest)?;
    }
    for head in &s.heads {
        s.m.heads[*head].entries.check(&s.m.waits)?;
    }
    Ok(())
}

fn linked(s: &Survey<'_>) -> Result<(), String> {
    let mut places = vec![0; s.m.items.places()];
    for ep in &s.epolls {
        let EventPoll {
            rdllist, txlist, ..
        } = s.ep(*ep);
        for item in [rdllist, txlist]
            .into_iter()
            .flat_map(|list| list.iter(&s.m.items))
        {
            ensure(s.alive(item), || format!("{item:?} is gone"))?;
            ensure_eq(item, s.item(item).ep, *ep)?;
            places[item.index()] += 1;
        }
    }
    for item in &s.items {
        ensure_eq(item, places[item.index()], u32::from(s.item(*item).linked))?;
    }
    Ok(())
}

fn in_hand(s: &Survey<'_>) -> Result<(), String> {
    for item in s.held.iter().filter_map(|held| held.in_hand) {
        ensure(s.alive(item), || format!("{item:?} is gone"))?;
        ensure(!s.item(item).linked, || format!("{item:?} is linked"))?;
        ensure(s.scanned(s.item(item).ep), || {
            format!("{item:?} is in no scan")
        })?;
    }
    Ok(())
}

fn ovflist(s: &Survey<'_>) -> Result<(), String> {
    let mut places = vec![0; s.m.items.places()];
    for ep in &s.epolls {
        let EventPoll {
            ovflist, txlist, ..
        } = s.ep(*ep);
        ensure_eq(ep, ovflist.is_open(), s.scanned(*ep))?;
        ensure(ovflist.is_open() || txlist.is_empty(), || {
            format!("{ep:?} has no scan for its list")
        })?;
        if let Ovflist::Open(newest) = *ovflist {
            // A circle would have more items than there are.
            for item in s.m.ovflist(newest).take(s.items.len() + 1) {
                ensure_eq(item, s.item(item).ep, *ep)?;
                places[item.index()] += 1;
            }
        }
    }
    for item in &s.items {
        let on = s.m.items_rest[*item].ovflist_next != OvflistNext::Off;
        ensure_eq(item, places[item.index()], u32::from(on))?;
    }
    Ok(())
}

fn mutexes(s: &Survey<'_>) -> Result<(), String> {
    for ep in &s.epolls {
        let holders = s.held().flat_map(|(task, held)| {
            held.mutexes
                .iter()
                .filter(|mutex| *mutex == ep)
                .map(move |_| task)
        });
        ensure_eq(ep, s.ep(*ep).mtx.as_slice(), &holders.collect::<Vec<_>>())?;
    }
    let nesting = s.held().filter(|(_, held)| held.epnested_mutex);
    let nesting: Vec<TaskId> = nesting.map(|(task, _)| task).collect();
    ensure_eq("epnested_mutex", s.m.epnested_mutex.as_slice(), &nesting)?;
    let mut mutexes = s.held.iter().flat_map(|held| &held.mutexes);
    ensure(mutexes.all(|mutex| s.epolls.contains(mutex)), || {
        "an epoll in use is gone".to_owned()
    })
}

fn queue_locks(s: &Survey<'_>) -> Result<(), String> {
    for head in &s.heads {
        let walkers = s.held().flat_map(|(task, held)| {
            let here = held
                .walks
                .iter()
                .filter(|walk| walk.locked && walk.wake.head == *head);
            here.map(move |_| task)
        });
        ensure_eq(
            head,
            s.m.heads[*head].lock.as_slice(),
            &walkers.collect::<Vec<_>>(),
        )?;
    }
    for walk in s.held.iter().flat_map(|held| &held.walks) {
        let head = walk.wake.head;
        ensure(s.heads.contains(&head), || {
            format!("{head:?}, which is walked, is gone")
        })?;
        let on_queue = walk
            .next
            .is_none_or(|next| s.m.waits[next].whead == Some(head));
        ensure(on_queue, || {
            format!("the walk along {head:?} leads elsewhere")
        })?;
    }
    Ok(())
}

fn entries(s: &Survey<'_>) -> Result<(), String> {
    for head in &s.heads {
        for id in collect::<_, OnQueue>(s.m.heads[*head].entries, &s.m.waits) {
            let entry = &s.m.waits[id];
            ensure_eq(id, entry.whead, Some(*head))?;
            let known = match entry.func {
                WakeFn::EpPollCallback(item) => {
                    s.alive(item) && s.hooks(item).any(|hook| hook == id)
                }
                WakeFn::PollWake(task) => s.m.task(task).poll_filter(id).is_some(),
                WakeFn::Autoremove(task)
                | WakeFn::EpAutoremove(task)
                | WakeFn::Receiver(task)
                | WakeFn::Default(task) => s.held[task_index(task)].waiter == Some(id),
                WakeFn::UnixPeerWake(sock) => s.m.unix[sock].peer_wake == Some(id),
            };
            ensure(known, || format!("nobody knows {id:?}, {:?}", entry.func))?;
            let epoll_wait = matches!(entry.func, WakeFn::EpAutoremove(_));
            let is_wq = s.epolls.iter().any(|ep| s.ep(*ep).wq == *head);
            ensure(epoll_wait == is_wq, || {
                format!("{id:?} stands on a queue for others")
            })?;
        }
    }
    Ok(())
}

fn hooks(s: &Survey<'_>) -> Result<(), String> {
    for item in &s.items {
        let mut queues: Vec<_> = s.hooks(*item).map(|hook| s.m.waits[hook].whead).collect();
        let file = s.item(*item).file;
        let hooked_by = match s.m.files[file].kind {
            Kind::SignalFd(_) => adder_of(s, queues.first().copied().flatten()),
            _ => Some(TaskId(0)),
        };
        let mut should_be: Vec<_> = match hooked_by {
            Some(task) => {
                s.m.poll_heads(file, task)
                    .into_iter()
                    .filter(Option::is_some)
                    .collect()
            }
            // The queue is gone.
            None => vec![None],
        };
        let cleared = Some(s.item(*item).ep);
        let unhooked = |held: &Held| {
            held.unhooked == Some(*item) || (held.clears == cleared && queues.is_empty())
        };
        if s.held.iter().any(unhooked) {
            should_be.clear();
        }
        queues.sort_unstable();
        should_be.sort_unstable();
        ensure_eq(item, queues, should_be)?;
    }
    Ok(())
}

/// The process of which this is the queue for those who watch its signals, if it is one.
fn adder_of(s: &Survey<'_>, head: Option<HeadId>) -> Option<TaskId> {
    let mut processes = s.m.processes.iter();
    let of = processes.find(|process| Some(process.signalfd_wqh) == head)?;
    Some(of.leader)
}

fn pollfree(s: &Survey<'_>) -> Result<(), String> {
    let reaped =
        s.m.processes
            .iter()
            .filter(|it| it.status == ProcessStatus::Reaped);
    for process in reaped {
        let head = process.signalfd_wqh;
        ensure(s.m.heads[head].entries.is_empty(), || {
            format!("{head:?} is that of process {}", process.leader.0)
        })?;
    }
    Ok(())
}

fn exclusive_hooks(s: &Survey<'_>) -> Result<(), String> {
    for head in &s.heads {
        let entries = s.m.heads[*head]
            .entries
            .iter(&s.m.waits)
            .map(|id| &s.m.waits[id]);
        let hooks = entries.filter(|entry| matches!(entry.func, WakeFn::EpPollCallback(_)));
        let sorted = hooks.map(|hook| hook.exclusive).is_sorted();
        ensure(sorted, || format!("{head:?} is out of order"))?;
    }
    Ok(())
}

fn disarmed(s: &Survey<'_>) -> Result<(), String> {
    for item in &s.items {
        let interest = s.item(*item).interest;
        let fired = (interest - Epitem::PRIVATE).is_empty();
        let asked_for_nothing = s.m.variants.has(Variant::ForgetErrHup);
        let may_be = interest.contains(EventMask::ONESHOT) || asked_for_nothing;
        ensure(!fired || may_be, || format!("{item:?} asks for {interest}"))?;
    }
    Ok(())
}

fn nesting(s: &Survey<'_>) -> Result<(), String> {
    /// How many links lead down from an epoll; one too many if there are more than allowed.
    fn links_below(s: &Survey<'_>, ep: EpId, above: usize) -> usize {
        if above > LONGEST_CHAIN {
            return 0;
        }
        let items = s.ep(ep).rbr.iter(&s.m.rb);
        let inner = items.filter_map(|item| s.m.files[s.item(item).file].epoll());
        inner
            .map(|inner| 1 + links_below(s, inner, above + 1))
            .max()
            .unwrap_or(0)
    }
    for ep in &s.epolls {
        let links = links_below(s, *ep, 0);
        ensure(links <= LONGEST_CHAIN, || {
            format!("a chain leads down from {ep:?}, longer or in a circle")
        })?;
    }
    Ok(())
}

fn watches(s: &Survey<'_>) -> Result<(), String> {
    let users = s.epolls.iter().map(|ep| s.ep(*ep).user);
    for user in users.chain(s.m.watches.iter().map(|(user, _)| *user)) {
        let charged =
            s.m.watches
                .iter()
                .filter(|(other, _)| *other == user)
                .map(|(_, count)| count);
        let items = s
            .items
            .iter()
            .filter(|item| s.ep(s.item(**item).ep).user == user);
        let items = u64::try_from(items.count()).unwrap_or(u64::MAX);
        ensure_eq(format!("user {user}"), charged.sum(), items)?;
    }
    Ok(())
}

fn trees(s: &Survey<'_>) -> Result<(), String> {
    let mut in_trees = Vec::new();
    for ep in &s.epolls {
        s.ep(*ep).rbr.check(&s.m.rb)?;
        for id in s.ep(*ep).rbr.iter(&s.m.rb) {
            let item = s.item(id);
            ensure_eq(id, item.ep, *ep)?;
            ensure_eq(
                id,
                s.m.rb.key(id),
                Key::new(item.file, s.m.items_rest[id].fd),
            )?;
            in_trees.push(id);
        }
    }
    in_trees.sort_unstable();
    ensure_eq("the forest", &in_trees, &s.items)
}

fn watchers(s: &Survey<'_>) -> Result<(), String> {
    let mut listed = Vec::new();
    for file in s.m.files.live() {
        for item in collect::<_, Fllink>(s.m.files[file].f_ep, &s.m.items_rest) {
            ensure_eq(item, s.item(item).file, file)?;
            listed.push(item);
        }
    }
    listed.sort_unstable();
    ensure_eq("all files together", &listed, &s.items)
}

fn references(s: &Survey<'_>) -> Result<(), String> {
    let mut refs = vec![0; s.m.files.places()];
    for table in s.m.tables.live() {
        for (_, slot) in s.m.tables[table].iter() {
            refs[slot.file.index()] += 1;
        }
    }
    for (id, task) in s.m.task_ids().zip(&s.m.tasks) {
        let mut files = Vec::new();
        if let Some(call) = &task.call {
            call.files(&mut files);
        }
        ensure_eq(id, &task.pinned, &files)?;
        if let Some(call) = &task.call {
            call.holds(&mut files);
        }
        files.extend(task.poll_hooks.iter().map(|hook| hook.file));
        for file in files {
            refs[file.index()] += 1;
        }
    }
    let mut needs = Needs::default();
    for socket in s.m.sockets() {
        socket.needs(s.m, &mut needs);
    }
    for file in needs.files {
        refs[file.index()] += 1;
    }
    for file in s.m.files.live() {
        ensure_eq(file, s.m.files[file].refs, refs[file.index()])?;
    }
    Ok(())
}

fn releasing(s: &Survey<'_>) -> Result<(), String> {
    let calls = s.m.tasks.iter().filter_map(|task| task.call.as_ref());
    let mut releasing: Vec<_> = calls.flat_map(|call| call.releasing()).copied().collect();
    releasing.sort_unstable();
    let mut unreferenced = s.m.files.live();
    unreferenced.retain(|file| s.m.files[*file].refs == 0);
    ensure_eq("the list of those", releasing, unreferenced)
}

fn pipes(s: &Survey<'_>) -> Result<(), String> {
    for id in s.m.pipes.live() {
        let pipe = &s.m.pipes[id];
        // Readers, writers and files: those that are open, and those that may be.
        let (mut open, mut all) = ([0; 3], [0; 3]);
        for file in s.m.files.live().into_iter().map(|file| &s.m.files[file]) {
            let Kind::Pipe(end) = file.kind else { continue };
            if end.pipe != id {
                continue;
            }
            for (count, counted) in [end.reads, end.writes, true].into_iter().enumerate() {
                all[count] += u32::from(counted);
                open[count] += u32::from(counted && file.refs > 0);
            }
        }
        ensure_eq(id, pipe.files, all[2])?;
        let counts = [pipe.readers, pipe.writers].into_iter();
        let between = counts
            .zip(open)
            .zip(all)
            .all(|((count, open), all)| (open..=all).contains(&count));
        ensure(between, || {
            format!("{id:?} has {} and {}", pipe.readers, pipe.writers)
        })?;
        ensure(pipe.bufs.len() <= pipe.max_usage, || {
            format!("{id:?} is too full")
        })?;
        let of_pipe = |file: &FileId| match s.m.files[*file].kind {
            Kind::Pipe(end) => end.pipe == id,
            _ => false,
        };
        let holders = s
            .held()
            .filter(|(_, held)| held.locked.iter().any(of_pipe))
            .map(|(task, _)| task);
        ensure_eq(id, pipe.mutex.as_slice(), &holders.collect::<Vec<_>>())?;
        let full = pipe.bufs.iter().all(|buf| buf.offset < buf.page.len());
        ensure(full, || format!("{id:?} has an empty slot"))?;
    }
    Ok(())
}

fn ptys(s: &Survey<'_>) -> Result<(), String> {
    for id in s.m.ptys.live() {
        let pty = &s.m.ptys[id];
        pty.check().map_err(|what| format!("{id:?} has {what}"))?;
        for side in Side::BOTH {
            let end = pty.end(side);
            let of_side = |file: &FileId| match s.m.files[*file].kind {
                Kind::Tty(end) => end.pty == id && end.side == side,
                _ => false,
            };
            let files = s.m.files.live().iter().filter(|file| of_side(file)).count();
            ensure_eq(id, usize::try_from(end.files), Ok(files))?;
            let works = s.m.works().filter(|work| work.is_of(id, side)).count();
            ensure_eq(id, works, usize::from(end.has_work()))?;
            for holder in [end.read_lock, end.write_lock].into_iter().flatten() {
                let call = s.m.task(holder).call.as_ref();
                let mut pinned = Vec::new();
                call.inspect(|call| call.files(&mut pinned));
                ensure(pinned.iter().any(of_side), || {
                    format!("a lock of {id:?} is held by {holder:?}, who is not in a call there")
                })?;
            }
        }
    }
    Ok(())
}

fn sockets(s: &Survey<'_>) -> Result<(), String> {
    let mut needs = Needs::default();
    for socket in s.m.sockets() {
        socket.needs(s.m, &mut needs);
    }
    for call in s.m.tasks.iter().filter_map(|task| task.call.as_ref()) {
        call.sockets(&mut needs.sockets);
    }
    let files = s.m.files.live().into_iter();
    needs
        .sockets
        .extend(files.filter_map(|file| s.m.socket_of(file)));
    for socket in s.m.sockets() {
        let refs = needs.sockets.iter().filter(|other| **other == socket);
        ensure_eq(
            socket,
            usize::try_from(socket.sk(s.m).refs),
            Ok(refs.count()),
        )?;
        let check = socket.check(s.m);
        check.map_err(|wrong| format!("{socket:?}: {wrong}"))?;
    }
    Ok(())
}

fn inodes(s: &Survey<'_>) -> Result<(), String> {
    let (mut links, mut files) = (Vec::new(), Vec::new());
    let inodes = s.m.fs.arena().live();
    for id in &inodes {
        let inode = s.m.fs.inode(*id);
        match &inode.node {
            Node::Directory(entries) => links.extend(entries.values()),
            Node::Fifo(Some(pipe)) => ensure_eq(pipe, s.m.pipes[*pipe].fifo, Some(*id))?,
            Node::Regular(_) | Node::Fifo(None) => {}
        }
    }
    for file in s.m.files.live() {
        let file = &s.m.files[file];
        files.extend(file.f_inode);
        if let (Some(fifo), Kind::Pipe(end)) = (file.f_inode, file.kind) {
            ensure_eq(fifo, s.m.pipes[end.pipe].fifo, Some(fifo))?;
        }
    }
    for id in &inodes {
        let inode = s.m.fs.inode(*id);
        let count = |all: &[InodeId]| all.iter().filter(|one| *one == id).count();
        ensure_eq(*id, usize::try_from(inode.links), Ok(count(&links)))?;
        ensure_eq(*id, usize::try_from(inode.files), Ok(count(&files)))?;
        let is_used = inode.links + inode.files > 0 || s.m.fs.root() == Some(*id);
        ensure(is_used, || format!("{id:?} is left over"))?;
    }
    for inotify in s.m.inotifies.live() {
        for watch in &s.m.inotifies[inotify].watches {
            ensure(inodes.contains(&watch.inode), || {
                format!("watch {} is on nothing", watch.wd)
            })?;
        }
    }
    Ok(())
}

fn descriptors(s: &Survey<'_>) -> Result<(), String> {
    s.m.tables.live().into_iter().try_for_each(|id| {
        let users = |task: &&Task| task.files == id && task.life.has_files();
        let users = s.m.tasks.iter().filter(users).count();
        ensure_eq(id, s.m.tables[id].users.try_into(), Ok(users))?;
        s.m.tables[id].check()
    })
}

fn leftovers(s: &Survey<'_>) -> Result<(), String> {
    let files = s.m.files.live();
    let mut pipes: Vec<_> = files
        .iter()
        .filter_map(|file| match s.m.files[*file].kind {
            Kind::Pipe(end) => Some(end.pipe),
            _ => None,
        })
        .collect();
    pipes.sort_unstable();
    pipes.dedup();
    ensure_eq("pipes", s.m.pipes.live(), pipes)?;
    let mut ptys: Vec<_> = files
        .iter()
        .filter_map(|file| match s.m.files[*file].kind {
            Kind::Tty(end) => Some(end.pty),
            _ => None,
        })
        .collect();
    ptys.sort_unstable();
    ptys.dedup();
    ensure_eq("ptys", s.m.ptys.live(), ptys)?;
    let mut timers: Vec<_> = files
        .iter()
        .filter_map(|file| match s.m.files[*file].kind {
            Kind::TimerFd(timer) => Some(timer),
            _ => None,
        })
        .collect();
    timers.sort_unstable();
    ensure_eq("timers", s.m.timerfds.live(), timers)?;
    let mut inotifies: Vec<_> = files
        .iter()
        .filter_map(|file| match s.m.files[*file].kind {
            Kind::Inotify(inotify) => Some(inotify),
            _ => None,
        })
        .collect();
    inotifies.sort_unstable();
    ensure_eq("inotify instances", s.m.inotifies.live(), inotifies)?;
    let mut epolls = s.epolls.clone();
    epolls.sort_unstable();
    ensure_eq("epolls", s.m.epolls.live(), epolls)?;
    ensure_eq("wait queues", &s.m.heads.live(), &s.heads)?;
    let mut entries: Vec<WaitId> = s.items.iter().flat_map(|item| s.hooks(*item)).collect();
    entries.extend(s.held.iter().filter_map(|held| held.waiter));
    entries.extend(s.m.sockets().filter_map(|socket| socket.entry(s.m)));
    let pollers = s.m.tasks.iter().flat_map(|task| &task.poll_hooks);
    entries.extend(pollers.map(|hook| hook.entry));
    entries.sort_unstable();
    ensure_eq("entries", s.m.waits.live(), entries)
}

fn sleepers(s: &Survey<'_>) -> Result<(), String> {
    for (id, task) in s.m.task_ids().zip(&s.m.tasks) {
        let held = &s.held[task_index(id)];
        ensure(!task.sleeping || held.may_sleep, || {
            format!("task {} sleeps", id.0)
        })?;
        let off = held
            .waiter
            .is_some_and(|waiter| s.m.waits[waiter].whead.is_none());
        ensure(!(task.sleeping && off), || {
            format!("task {} is on no queue", id.0)
        })?;
    }
    Ok(())
}

fn pending_once(s: &Survey<'_>) -> Result<(), String> {
    let of_tasks = s.m.tasks.iter().map(|task| &task.signals.pending);
    let of_processes = s.m.processes.iter().map(|one| &one.signals.pending);
    for pending in of_tasks.chain(of_processes) {
        let mut seen = SigSet::EMPTY;
        for info in pending.iter() {
            let twice = seen.contains(info.signo) && !info.signo.is_realtime();
            ensure(!twice && info.signo != Signal::SIGKILL, || {
                format!("{info} is pending")
            })?;
            seen.insert(info.signo);
        }
    }
    Ok(())
}

impl Task {
    /// It is on its way to user mode and looks for signals before it gets there, told or not: so does one
    /// that was stopped, once it goes on.
    fn looks_for_signals(&self) -> bool {
        matches!(self.call, Some(Call::Deliver(_)))
    }
}

fn told_of_its_own(s: &Survey<'_>) -> Result<(), String> {
    for (id, task) in s.m.task_ids().zip(&s.m.tasks) {
        let own = task.signals.pending.set().difference(task.signals.blocked);
        let waits = task.signals.stop == Stop::Stopped || task.life == Life::Dead;
        ensure(
            own.is_empty() || task.sigpending || waits || task.looks_for_signals(),
            || format!("task {} does not know of {own}", id.0),
        )?;
    }
    Ok(())
}

fn told_of_the_process(s: &Survey<'_>) -> Result<(), String> {
    for process in &s.m.processes {
        for signal in process.signals.pending.set().iter() {
            let threads = s.m.threads(s.m.task(process.leader).process);
            let takers = threads.map(|thread| s.m.task(thread)).filter(|thread| {
                let lives = matches!(thread.life, Life::Alive | Life::Elsewhere);
                lives && !thread.signals.blocked.contains(signal)
            });
            let takers: Vec<_> = takers.collect();
            let told = |thread: &&Task| {
                let stopped = thread.signals.stop == Stop::Stopped;
                thread.sigpending || stopped || thread.looks_for_signals()
            };
            ensure(takers.is_empty() || takers.iter().any(told), || {
                format!("nobody of process {} knows of {signal}", process.leader.0)
            })?;
        }
    }
    Ok(())
}

fn in_the_kernel(s: &Survey<'_>) -> Result<(), String> {
    for (id, task) in s.m.task_ids().zip(&s.m.tasks) {
        let signals = &task.signals;
        let told = task.sigpending || signals.saved.is_some() || signals.restart.is_some();
        ensure(
            !told || task.call.is_some() || task.life == Life::Dead,
            || format!("task {} has left the kernel", id.0),
        )?;
        let on_its_way = matches!(task.call, Some(Call::Deliver(_)));
        ensure(signals.stop != Stop::Stopped || on_its_way, || {
            format!("task {} does not stand still", id.0)
        })?;
    }
    Ok(())
}

/// Whoever makes events available wakes one sleeper in the same step, and that one looks; whoever ends a
/// scan and leaves something wakes one more. So a sleeper may well have events before it, but then a scan
/// runs, or one who does not sleep any more has yet to begin its own. One whose time is up will not, unless
/// a wake-up has taken it off the queue.
///
/// A task that was killed on its way does not look: Linux loses the wake-up that it took with it.
fn lost_wakeups(s: &Survey<'_>) -> Result<(), String> {
    if s.m.tasks.iter().any(|task| task.fatal_signal) {
        return Ok(());
    }
    for id in &s.epolls {
        let ep = s.ep(*id);
        if ep.rdllist.is_empty() || ep.ovflist.is_open() {
            continue;
        }
        let sleeper = ep.wq_sleeper(s);
        let coming = s.held().any(|(task, held)| {
            let state = s.m.task(task);
            let queued = held
                .waiter
                .is_some_and(|entry| s.m.waits[entry].whead.is_some());
            held.looks_at == Some(*id) && !state.sleeping && !(state.timer_fired && queued)
        });
        ensure(sleeper.is_none() || coming, || {
            format!("{sleeper:?} sleeps on {id:?}")
        })?;
    }
    Ok(())
}

impl EventPoll {
    /// Somebody who is asleep on `wq`.
    fn wq_sleeper(&self, s: &Survey<'_>) -> Option<TaskId> {
        let mut entries = s.m.heads[self.wq].entries.iter(&s.m.waits);
        entries.find_map(|entry| match s.m.waits[entry].func {
            WakeFn::EpAutoremove(task) if !s.m.task(task).is_awake() => Some(task),
            _ => None,
        })
    }
}
