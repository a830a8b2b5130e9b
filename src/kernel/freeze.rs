//! Frozen memory: how a scenario stops a task in the middle of copying its events out.
//!
//! The memory of a slot that `@frozen` stands for is a hole in the board, watched by a userfaultfd(2) of the
//! process. The first touch puts the toucher to sleep inside the kernel, with every lock that it holds, and
//! tells the descriptor. To thaw the memory means to fill the hole and to wake the sleeper, or to make it
//! read-only first, so that the sleeper's next try is an `EFAULT`.
//!
//! The descriptor must belong to the process that is watched, but must not take one of its numbers. So the
//! process makes it, the controller takes a copy with pidfd_getfd(2), and the process closes its own:
//! all before the call, while the task has nothing else to do.

use crate::abi::TaskId;
use crate::backend::{LabError, Thaw};

use super::board::{FROZEN, GUARD, Kind, Order};
use super::decode::PATTERN;
use super::encode::Encoded;
use super::tasks::{Doing, Ice};
use super::{Linux, facts, ffi};

impl Linux {
    /// Makes the memory that a call asks for: the missing page, the frozen one.
    pub(super) fn prepare_memory(&mut self, task: TaskId, call: &Encoded) -> Result<(), LabError> {
        let slot = self.tasks.get(task)?.slot;
        if call.guarded && !self.tasks.process_of(task)?.guarded.contains(&slot) {
            self.protect(slot, self.board.guard(slot), GUARD, libc::PROT_NONE)?;
            self.tasks.process_of_mut(task)?.guarded.insert(slot);
        }
        if call.frozen {
            self.freeze(task, slot)?;
        }
        Ok(())
    }

    fn freeze(&mut self, task: TaskId, slot: usize) -> Result<(), LabError> {
        let memory = self.board.frozen(slot);
        // To make it read-only later needs a thread that is not stopped itself.
        self.ensure_helper(task)?;
        if self.tasks.process_of_mut(task)?.read_only.remove(&slot) {
            let writable = libc::PROT_READ | libc::PROT_WRITE;
            self.protect(slot, memory, FROZEN, writable)?;
        }
        self.board
            .punch(memory, FROZEN as usize)
            .map_err(|error| LabError::new(format!("cannot make memory to freeze: {error}")))?;
        if self.tasks.process_of(task)?.uffd.is_none() {
            self.make_uffd(task, slot)?;
        }
        let process = self.tasks.process_of_mut(task)?;
        if let Some(uffd) = &process.uffd
            && process.registered.insert(slot)
        {
            ffi::uffd_register(uffd, memory, FROZEN)
                .map_err(|error| LabError::new(format!("cannot freeze memory: {error}")))?;
        }
        Ok(())
    }

    fn make_uffd(&mut self, task: TaskId, slot: usize) -> Result<(), LabError> {
        let refused =
            |error: std::io::Error| LabError::new(facts::uffd_sentence(&error.to_string()));
        let flags = ffi::USERFAULTFD_FLAGS as u64;
        let number = self.errand(slot, libc::SYS_userfaultfd, [flags, 0, 0])?;
        if number < 0 {
            return Err(refused(std::io::Error::from_raw_os_error(-number as i32)));
        }
        let tid = self.tasks.process_of(task)?.pid;
        let taken = ffi::take_fd(tid, number as i32);
        self.errand(slot, libc::SYS_close, [number as u64, 0, 0])?;
        let uffd =
            taken.map_err(|error| LabError::new(format!("pidfd_getfd is refused: {error}")))?;
        ffi::uffd_start(&uffd).map_err(refused)?;
        self.tasks.process_of_mut(task)?.uffd = Some(uffd);
        Ok(())
    }

    /// Has an idle thread change what may be done with some of its memory.
    fn protect(&self, slot: usize, addr: u64, len: u64, rights: i32) -> Result<(), LabError> {
        match self.errand(slot, libc::SYS_mprotect, [addr, len, rights as u64])? {
            0 => Ok(()),
            errno => Err(LabError::new(format!(
                "mprotect in the subject failed with errno {}",
                -errno
            ))),
        }
    }

    /// A system call that the lab wants for itself, made by a thread that has nothing else to do.
    pub(super) fn errand(&self, slot: usize, nr: i64, args: [u64; 3]) -> Result<i64, LabError> {
        let [a, b, c] = args;
        self.carry_out(
            slot,
            Order {
                kind: Kind::Call,
                nr,
                args: [a, b, c, 0, 0, 0],
            },
        )
    }

    /// Notes who was stopped at frozen memory since the last look.
    pub(super) fn note_faults(&mut self) {
        for (index, process) in self.tasks.processes.iter().enumerate() {
            let Some(uffd) = &process.uffd else { continue };
            while let Some(addr) = ffi::uffd_next_fault(uffd) {
                for task in &mut self.tasks.tasks {
                    if task.process != index {
                        continue;
                    }
                    let ice = match &mut task.doing {
                        Doing::Call(flight) => &mut flight.ice,
                        Doing::Racing(heat) => &mut heat.ice,
                        _ => continue,
                    };
                    let memory = self.board.frozen(task.slot);
                    // Whoever has a signal pending faults again and again, also while it is let go.
                    if *ice == Ice::Untouched && (memory..memory + FROZEN).contains(&addr) {
                        *ice = Ice::Stopped;
                    }
                }
            }
        }
    }

    /// See [`Backend::thaw`](crate::backend::Backend::thaw).
    pub(super) fn thaw_memory(&mut self, task: TaskId, page: Thaw) -> Result<(), LabError> {
        self.note_faults();
        let slot = self.tasks.get(task)?.slot;
        let memory = self.board.frozen(slot);
        if page == Thaw::ReadOnly && self.tasks.process_of(task)?.stopped {
            return Err(LabError::new(format!(
                "task {} is stopped, so its memory cannot become read-only",
                task.0
            )));
        }
        match &mut self.tasks.get_mut(task)?.doing {
            Doing::Call(flight) if flight.ice == Ice::Stopped => {
                flight.ice = match page {
                    Thaw::Writable => Ice::Melted,
                    Thaw::ReadOnly => Ice::Solid,
                };
            }
            _ => {
                return Err(LabError::new(format!(
                    "task {} is not stopped at frozen memory",
                    task.0
                )));
            }
        }
        if page == Thaw::ReadOnly {
            let helper = self.tasks.process_of(task)?.helper;
            let helper = helper.ok_or_else(|| LabError::new("the helper thread is missing"))?;
            self.protect(helper, memory, FROZEN, libc::PROT_READ)?;
            self.tasks.process_of_mut(task)?.read_only.insert(slot);
        }
        let Some(uffd) = &self.tasks.process_of(task)?.uffd else {
            return Err(LabError::new("the frozen memory lost its userfaultfd"));
        };
        let thawed = match page {
            Thaw::Writable => ffi::uffd_fill(uffd, memory, &[PATTERN; FROZEN as usize]),
            Thaw::ReadOnly => ffi::uffd_wake(uffd, memory, FROZEN),
        };
        thawed.map_err(|error| LabError::new(format!("cannot thaw memory: {error}")))
    }
}
