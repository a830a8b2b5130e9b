//! Signal handlers: that they ran, what they were told, and in which order.
//!
//! A scenario's handlers are all one function (`handler` in `ffi.rs`), which writes an [`Entry`](super::board::Entry)
//! into the log of the board and returns. So it can interrupt whatever its thread is at: a call of the
//! scenario, the wait for the next order, or another handler.
//!
//! The order of the entries is that in which the handlers began. Told is the order in which the signals were
//! delivered, and that differs when several are delivered at once: the kernel puts one frame on top of the other
//! before any handler runs, and then the last one runs first. A handler can see that: what it interrupted
//! stands at the handler's very first instruction. [`order_by_delivery`] turns the order
//! around again.

use std::sync::atomic::Ordering::SeqCst;

use crate::abi::{SiCode, SigInfo, Signal, TaskId};
use crate::backend::LabError;

use super::board::ENTRIES;
use super::tasks::Tasks;
use super::{Linux, ffi};

/// A run of a handler.
#[derive(Debug)]
pub(super) struct Handled {
    ticket: u32,
    task: TaskId,
    info: SigInfo,
    /// Whether it interrupted a handler before its first instruction, which runs later then.
    nested: bool,
    /// The stack pointer of what it interrupted: the stack grows down.
    stack: u64,
}

impl Linux {
    /// Takes what handlers wrote into the log, before anybody else can get the slot of one that died.
    pub(super) fn collect_handled(&mut self) -> Result<(), LabError> {
        self.take_entries();
        if self.board.header().lost.load(SeqCst) != 0 {
            return Err(LabError::new(format!(
                "the lab takes note of {ENTRIES} signal handlers at a time, and more have run"
            )));
        }
        Ok(())
    }

    fn take_entries(&mut self) {
        let board = self.board;
        let header = board.header();
        let mut number = header.taken.load(SeqCst);
        while number != header.entries.load(SeqCst) {
            let entry = board.entry(number);
            if entry.ready.load(SeqCst) == 0 {
                // It is at it. The next look takes it.
                break;
            }
            let slot = entry.slot.load(SeqCst) as usize;
            let info = entry.info.each_ref().map(|word| word.load(SeqCst));
            if let Some(index) = self.tasks.tasks.iter().rposition(|it| it.slot == slot) {
                self.handled.push(Handled {
                    ticket: entry.ticket.load(SeqCst),
                    task: TaskId(index as u32),
                    info: self.tasks.told(info),
                    nested: entry.nested.load(SeqCst) != 0,
                    stack: entry.stack.load(SeqCst),
                });
            }
            entry.ready.store(0, SeqCst);
            number = number.wrapping_add(1);
            header.taken.store(number, SeqCst);
        }
    }

    /// See [`Backend::take_handled`](crate::backend::Backend::take_handled).
    pub(super) fn take_delivered(&mut self) -> Vec<(TaskId, SigInfo)> {
        self.take_entries();
        let mut runs = std::mem::take(&mut self.handled);
        runs.sort_by_key(|run| run.ticket);
        order_by_delivery(&mut runs);
        runs.into_iter().map(|run| (run.task, run.info)).collect()
    }
}

impl Tasks {
    /// What a signal tells, in the numbers of the lab.
    pub(super) fn told(&self, [signo, code, pid, uid, status]: [i32; 5]) -> SigInfo {
        let (signo, code) = (Signal(signo), SiCode(code));
        // Also of one that was reaped meanwhile: its number was its own when the signal was sent.
        let mut processes = self.processes.iter();
        let sender = processes.rposition(|process| process.pid == pid);
        let sender = sender.and_then(|process| self.leader(process));
        let (pid, uid) = match sender {
            Some(sender) if code != SiCode::KERNEL => (sender.pid(), uid.cast_unsigned()),
            _ => (0, 0),
        };
        SigInfo {
            signo,
            code,
            pid,
            uid: if uid == ffi::getuid() { 0 } else { uid },
            status: if signo == Signal::SIGCHLD && code.0 > 0 {
                status
            } else {
                0
            },
        }
    }
}

/// From the order in which handlers began to that in which their signals were delivered.
fn order_by_delivery(runs: &mut [Handled]) {
    for last in 0..runs.len() {
        let mut at = last;
        let above = |runs: &[Handled], at: usize| {
            let before = runs[..at].iter().rposition(|it| it.task == runs[at].task)?;
            runs[before].ran_on_top_of(&runs[at]).then_some(before)
        };
        while let Some(before) = above(runs, at) {
            runs.swap(before, at);
            // They are one pile now, and nothing comes between.
            runs[at].nested = runs[before].nested;
            runs[at].stack = runs[before].stack;
            at = before;
        }
    }
}

impl Handled {
    fn ran_on_top_of(&self, later: &Handled) -> bool {
        self.nested && self.stack < later.stack
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Signal, whether nested, and stack pointer, in the order in which the handlers began.
    fn delivered(began: &[(i32, bool, u64)]) -> Vec<i32> {
        let run = |((signo, nested, stack), ticket): ((i32, bool, u64), u32)| Handled {
            ticket,
            task: TaskId(signo.cast_unsigned() / 100),
            info: SigInfo {
                signo: Signal(signo),
                code: SiCode::USER,
                pid: 1,
                uid: 0,
                status: 0,
            },
            nested,
            stack,
        };
        let mut runs: Vec<Handled> = began.iter().copied().zip(0..).map(run).collect();
        order_by_delivery(&mut runs);
        runs.iter().map(|run| run.info.signo.0).collect()
    }

    #[test]
    fn what_ran_on_top_was_delivered_later() {
        let pile = [(3, true, 30), (2, true, 50), (1, false, 100)];
        assert_eq!(delivered(&pile), [1, 2, 3]);
        // The second came when the first had returned to the same unbegun handler.
        let two_on_one = [(2, true, 50), (3, true, 50), (1, false, 100)];
        assert_eq!(delivered(&two_on_one), [1, 2, 3]);
        // And this one when the middle of the pile had run.
        let one_on_two = [(3, true, 30), (2, true, 50), (4, true, 50), (1, false, 100)];
        assert_eq!(delivered(&one_on_two), [1, 2, 3, 4]);
        // What ran in the middle of another handler began after it.
        assert_eq!(delivered(&[(1, false, 100), (2, false, 60)]), [1, 2]);
        // Two piles, and another task in between.
        let piles = [
            (2, true, 50),
            (102, true, 40),
            (1, false, 100),
            (101, false, 90),
            (4, true, 50),
            (3, false, 100),
        ];
        assert_eq!(delivered(&piles), [1, 101, 2, 102, 3, 4]);
    }
}
