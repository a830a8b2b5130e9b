//! The internal state as text:
//!
//! ```text
//! epoll 3
//!   rbr        5 ● EPOLLIN|EPOLLERR|EPOLLHUP|EPOLLET  data 5
//!              ├─ 4 ○ EPOLLIN|EPOLLERR|EPOLLHUP  data 4
//!              └─ 6 ○ EPOLLIN|EPOLLERR|EPOLLHUP  data 6
//!   rdllist    4 → 6
//!   ovflist    closed
//!   wq         task 1
//!   poll_wait  -
//! file 4: eventfd, count 3, EPOLLIN|EPOLLOUT
//!   wait queue of file 4  item 4 of epoll 3
//! ```
//!
//! ● is a black node, ○ a red one. Of a node's two children the left one comes first.

use std::fmt;

use super::{EpollState, FileState, ItemRef, NodeState, State, WaiterState};

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for epoll in &self.epolls {
            epoll.fmt(f)?;
        }
        // What has no wait queue has nothing to do with epoll.
        for file in self.files.iter().filter(|file| !file.queues.is_empty()) {
            file.fmt(f)?;
        }
        for task in &self.tasks {
            if let Some(call) = &task.call {
                writeln!(f, "task {}: {call}", task.task.0)?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for EpollState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.ep)?;
        match self.mtx {
            Some(owner) => writeln!(f, ", mtx held by task {}", owner.0)?,
            None => writeln!(f)?,
        }
        if self.tree.is_empty() {
            writeln!(f, "  rbr        empty")?;
        } else {
            for (i, (before, node)) in self.branches().into_iter().enumerate() {
                let margin = if i == 0 {
                    "  rbr        "
                } else {
                    "             "
                };
                match node {
                    Some(node) => writeln!(f, "{margin}{before}{}", self.tree[node])?,
                    None => writeln!(f, "{margin}{before}-")?,
                }
            }
        }
        writeln!(f, "  rdllist    {}", Items(&self.rdllist))?;
        if self.ovflist.is_some() {
            writeln!(f, "  txlist     {}", Items(&self.txlist))?;
        }
        match &self.ovflist {
            None => writeln!(f, "  ovflist    closed")?,
            Some(items) => writeln!(f, "  ovflist    open: {}", Items(items))?,
        }
        writeln!(f, "  wq         {}", Waiters(&self.wq))?;
        writeln!(f, "  poll_wait  {}", Waiters(&self.poll_wait))
    }
}

impl EpollState {
    /// The tree from top to bottom: the branches in front of each node, and its index in
    /// [`EpollState::tree`]; none for the child that is missing beside one that is there.
    pub fn branches(&self) -> Vec<(String, Option<usize>)> {
        let mut lines = Vec::new();
        if !self.tree.is_empty() {
            self.grow(0, String::new(), "", &mut lines);
        }
        lines
    }

    /// A node and what hangs below it. `before` stands in front of the node, `below` of all others.
    fn grow(
        &self,
        index: usize,
        before: String,
        below: &str,
        lines: &mut Vec<(String, Option<usize>)>,
    ) {
        lines.push((before, Some(index)));
        let node = &self.tree[index];
        if node.left.is_none() && node.right.is_none() {
            return;
        }
        for (child, corner, edge) in [(node.left, "├─ ", "│  "), (node.right, "└─ ", "   ")]
        {
            let before = format!("{below}{corner}");
            match child {
                Some(child) => self.grow(child, before, &format!("{below}{edge}"), lines),
                None => lines.push((before, None)),
            }
        }
    }
}

/// `4 ● EPOLLIN|EPOLLERR|EPOLLHUP  data 4`
impl fmt::Display for NodeState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let colour = if self.red { '○' } else { '●' };
        let (tfd, interest, data) = (self.item.tfd, self.interest, self.data);
        write!(f, "{tfd} {colour} {interest}  data {data}")?;
        // The number may mean another file by now.
        if self.file.0 != tfd {
            write!(f, "  ({})", self.file)?;
        }
        Ok(())
    }
}

impl fmt::Display for FileState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{}: {}, {}, {}",
            self.file, self.kind, self.content, self.ready
        )?;
        for (queue, waiters) in &self.queues {
            writeln!(f, "  {queue}  {}", Waiters(waiters))?;
        }
        Ok(())
    }
}

/// `4 → 6`
struct Items<'a>(&'a [ItemRef]);

impl fmt::Display for Items<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("-");
        }
        for (i, item) in self.0.iter().enumerate() {
            write!(f, "{}{}", if i == 0 { "" } else { " → " }, item.tfd)?;
        }
        Ok(())
    }
}

/// `item 4 of epoll 3 → task 1 (exclusive)`
struct Waiters<'a>(&'a [WaiterState]);

impl fmt::Display for Waiters<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("-");
        }
        for (i, waiter) in self.0.iter().enumerate() {
            f.write_str(if i == 0 { "" } else { " → " })?;
            waiter.fmt(f)?;
        }
        Ok(())
    }
}

impl fmt::Display for WaiterState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let exclusive = match self {
            WaiterState::Task { task, exclusive } => {
                write!(f, "task {}", task.0)?;
                exclusive
            }
            WaiterState::Hook { item, exclusive } => {
                write!(f, "{item}")?;
                exclusive
            }
            WaiterState::Relay { queue } => {
                write!(f, "{queue}")?;
                &false
            }
        };
        if *exclusive {
            f.write_str(" (exclusive)")?;
        }
        Ok(())
    }
}
