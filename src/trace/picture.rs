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

use super::{EpollState, FileState, ItemRef, State, WaiterState};

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
            self.fmt_node(f, 0, "  rbr        ", "             ")?;
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
    /// A node and what hangs below it. `first` stands before its own line, `rest` before all others.
    fn fmt_node(
        &self,
        f: &mut fmt::Formatter<'_>,
        index: usize,
        first: &str,
        rest: &str,
    ) -> fmt::Result {
        let node = &self.tree[index];
        let colour = if node.red { '○' } else { '●' };
        let (tfd, interest, data) = (node.item.tfd, node.interest, node.data);
        write!(f, "{first}{tfd} {colour} {interest}  data {data}")?;
        // The number may mean another file by now.
        if node.file.0 != tfd {
            write!(f, "  ({})", node.file)?;
        }
        writeln!(f)?;
        match (node.left, node.right) {
            (None, None) => Ok(()),
            (Some(left), Some(right)) => {
                self.fmt_node(f, left, &format!("{rest}├─ "), &format!("{rest}│  "))?;
                self.fmt_node(f, right, &format!("{rest}└─ "), &format!("{rest}   "))
            }
            (Some(left), None) => {
                self.fmt_node(f, left, &format!("{rest}├─ "), &format!("{rest}│  "))?;
                writeln!(f, "{rest}└─ -")
            }
            (None, Some(right)) => {
                writeln!(f, "{rest}├─ -")?;
                self.fmt_node(f, right, &format!("{rest}└─ "), &format!("{rest}   "))
            }
        }
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
            let exclusive = match waiter {
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
        }
        Ok(())
    }
}
