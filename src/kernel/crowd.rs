//! A crowd at a file: how a race gets into the few nanoseconds between a change and its wake-up.
//!
//! A write to an eventfd changes the count, then walks the file's wait queue and calls every entry on it, all
//! under the queue's lock. A poll of the file asks for no lock, so another thread can see the new count before
//! the wake-up reaches its epoll: MOD can, or a wait that has the file on its list already. But the walk is over
//! before anybody could do much with that.
//!
//! So in some races the lab puts some thousand entries of its own in front: poll(2) of one file, named again and
//! again. The newest entries are called first, and these want an event that never comes, so they do nothing but
//! take time. Nobody can tell that they are there but by a clock, except by one thing: poll(2) holds a
//! reference on the file. Where the block may close something there is no crowd.

use std::fs;
use std::sync::atomic::Ordering::SeqCst;

use crate::abi::{Fd, Syscall, TaskId};
use crate::backend::{Dice, LabError};

use super::Linux;
use super::board::{Kind, Order};
use super::encode::Memory;

/// The entries of a crowd: a walk past them takes tens of microseconds.
const MOST: u64 = 4096;

/// Milliseconds after which poll(2) gives up, and the crowd is gone.
const STAYS: u64 = 3;

/// A helper in poll(2).
#[derive(Debug)]
pub(super) struct Crowd {
    slot: usize,
    order: u32,
}

impl Linux {
    /// Has a helper poll one of the eventfds that the race will write to, if that changes nothing.
    pub(super) fn gather_crowd(
        &mut self,
        programs: &[(TaskId, Vec<Syscall>)],
        dice: &mut Dice,
    ) -> Result<Option<Crowd>, LabError> {
        let mut written = Vec::new();
        for (task, calls) in programs {
            for call in calls {
                match call {
                    Syscall::Write { fd, count: 8, .. } => written.push((*task, *fd)),
                    // It may need all the memory that there is.
                    Syscall::Write { .. } => return Ok(None),
                    call if may_close(call) => return Ok(None),
                    _ => {}
                }
            }
        }
        let Some((task, fd)) = dice.pick(&written).copied() else {
            return Ok(None);
        };
        if !self.is_eventfd(task, fd)? {
            return Ok(None);
        }
        self.ensure_helper(task)?;
        let helper = self.tasks.process_of(task)?.helper;
        let Some(slot) = helper else { return Ok(None) };
        // The memory of a slot that takes part in no race, or not yet: nobody writes into it now.
        let mut memory = Memory::of(self.board, self.tasks.get(task)?.slot);
        let one = [fd.0.to_ne_bytes(), i32::from(libc::POLLPRI).to_ne_bytes()].concat();
        let count = 1 + dice.below(MOST);
        let fds = memory.put_at_end(&one.repeat(count as usize))?;
        let order = self.board.control(slot).post(Order {
            kind: Kind::Call,
            nr: libc::SYS_poll,
            args: [fds, count, STAYS, 0, 0, 0],
        });
        // A race that starts before the crowd is there would be one without.
        let board = self.board;
        let control = board.control(slot);
        let tid = control.tid.load(SeqCst);
        while control.done.load(SeqCst) != order && !self.sleeps_in(tid, libc::SYS_poll)? {}
        Ok(Some(Crowd { slot, order }))
    }

    /// Waits until the crowd has gone.
    pub(super) fn disperse(&self, crowd: &Crowd) -> Result<(), LabError> {
        let done = &self.board.control(crowd.slot).done;
        self.wait_for("the lab's own poll(2) does not end", || {
            done.load(SeqCst) == crowd.order
        })
    }

    fn is_eventfd(&self, task: TaskId, fd: Fd) -> Result<bool, LabError> {
        let tid = self.tasks.get(task)?.tid;
        let link = fs::read_link(format!("/proc/{tid}/fd/{}", fd.0));
        Ok(link.is_ok_and(|link| link.as_os_str() == "anon_inode:[eventfd]"))
    }
}

/// Whether a call can take a file away, or a task with its files.
fn may_close(call: &Syscall) -> bool {
    !matches!(
        call,
        Syscall::EpollCtl { .. }
            | Syscall::EpollWait { .. }
            | Syscall::EpollPwait { .. }
            | Syscall::EpollPwait2 { .. }
            | Syscall::Poll { .. }
            | Syscall::Select(_)
            | Syscall::Pselect6 { .. }
            | Syscall::Read { .. }
            | Syscall::Write { .. }
    )
}
