//! Descriptors (`struct files_struct`): small numbers that refer to open file descriptions. The threads of
//! a process share one table, unless one of them has asked for its own.
//!
//! A number says nothing about the file. Two numbers may mean one file, one number may mean another file
//! a moment later, and an epoll knows neither that a number was closed nor that it was given out again.

use super::arena::{FileId, TableId};
use super::clone::clone_by_field;
use super::encode::{Encode, Encoder};
use super::{Kernel, Machine};
use crate::abi::{Errno, Fd, OpenFlags, TaskId};
use crate::trace::Observer;

/// What one number means.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Slot {
    pub(crate) file: FileId,
    /// `FD_CLOEXEC`
    pub(crate) cloexec: bool,
}

/// All numbers of the tasks that share the table.
#[derive(Debug, Default)]
pub(crate) struct FdTable {
    slots: Vec<Option<Slot>>,
    /// How many tasks share it (`count`).
    pub(crate) users: u32,
    /// No number below this is free (`next_fd`).
    next: usize,
    /// Numbers that calls in flight will give a meaning (`open_fds` without an entry in `fd`): neither free
    /// nor open.
    reserved: Vec<usize>,
}

clone_by_field!(FdTable {
    slots,
    users,
    next,
    reserved,
});

impl FdTable {
    /// What the number refers to, if it is open.
    #[inline]
    pub(crate) fn get(&self, fd: Fd) -> Option<Slot> {
        *self.slots.get(usize::try_from(fd.0).ok()?)?
    }

    pub(crate) fn get_mut(&mut self, fd: Fd) -> Option<&mut Slot> {
        self.slots.get_mut(usize::try_from(fd.0).ok()?)?.as_mut()
    }

    pub(crate) fn cloexec(&self, fd: Fd) -> bool {
        self.get(fd).is_some_and(|slot| slot.cloexec)
    }

    /// The lowest free number from `from` on.
    pub(crate) fn lowest_free(&self, from: usize) -> usize {
        let from = from.max(self.next);
        let free = self.slots.iter().skip(from).position(Option::is_none);
        let number = free.map_or_else(|| self.slots.len().max(from), |offset| from + offset);
        if self.reserved.contains(&number) {
            return self.lowest_free(number + 1);
        }
        number
    }

    /// Sets a free number aside (`get_unused_fd_flags`).
    pub(crate) fn reserve(&mut self, fd: Fd) {
        self.reserved.extend(usize::try_from(fd.0));
    }

    /// Whether some call has done that.
    pub(crate) fn is_reserved(&self, number: usize) -> bool {
        self.reserved.contains(&number)
    }

    /// Frees it again (`put_unused_fd`), unless it has got a meaning.
    pub(crate) fn unreserve(&mut self, fd: Fd) {
        self.reserved
            .retain(|number| i32::try_from(*number) != Ok(fd.0));
    }

    /// Gives `number` a meaning, and hands back what it meant before.
    pub(crate) fn put(&mut self, number: usize, slot: Slot) -> Option<Slot> {
        if number >= self.slots.len() {
            self.slots.resize(number + 1, None);
        }
        if number == self.next {
            self.next += 1;
        }
        self.slots[number].replace(slot)
    }

    /// Makes the number free.
    pub(crate) fn take(&mut self, fd: Fd) -> Option<Slot> {
        let number = usize::try_from(fd.0).ok()?;
        let slot = self.slots.get_mut(number)?.take()?;
        self.next = self.next.min(number);
        Some(slot)
    }

    /// The hint is right.
    pub(crate) fn check(&self) -> Result<(), String> {
        let known = self.slots.get(..self.next);
        if known.is_some_and(|slots| slots.iter().all(Option::is_some)) {
            Ok(())
        } else {
            Err(format!("a number below {} is free", self.next))
        }
    }

    /// Every open number, ascending.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Fd, Slot)> + '_ {
        (0_i32..)
            .zip(&self.slots)
            .filter_map(|(number, slot)| Some((Fd(number), (*slot)?)))
    }
}

impl Machine {
    /// The descriptors of a task.
    #[inline]
    pub(crate) fn fds(&self, task: TaskId) -> &FdTable {
        &self.tables[self.task(task).files]
    }

    pub(crate) fn fds_mut(&mut self, task: TaskId) -> &mut FdTable {
        let files = self.task(task).files;
        &mut self.tables[files]
    }

    /// A copy of a task's table, for one task to use (`dup_fd`).
    pub(crate) fn dup_table(&mut self, task: TaskId) -> TableId {
        let copy = FdTable {
            users: 1,
            reserved: Vec::new(),
            ..self.fds(task).clone()
        };
        for (_, slot) in copy.iter() {
            self.files[slot.file].refs += 1;
        }
        self.tables.insert(copy)
    }

    /// A task has done with its table (`put_files_struct`). What stands in it is the caller's to close,
    /// if nobody else uses it.
    pub(crate) fn put_table(&mut self, id: TableId) -> Option<FdTable> {
        let table = &mut self.tables[id];
        table.users -= 1;
        if table.users > 0 {
            return None;
        }
        self.tables.remove(id);
        Some(std::mem::take(&mut self.tables[id]))
    }

    /// The file that `fd` refers to in the process of `task` (`fdget`). A descriptor that is a mere name
    /// (`O_PATH`) counts as closed.
    #[inline]
    pub(crate) fn fget(&self, task: TaskId, fd: Fd) -> Option<FileId> {
        let file = self.fget_any(task, fd)?;
        (!self.files[file].flags.contains(OpenFlags::PATH)).then_some(file)
    }

    /// The same, names included (`fdget_raw`).
    #[inline]
    pub(crate) fn fget_any(&self, task: TaskId, fd: Fd) -> Option<FileId> {
        self.fds(task).get(fd).map(|slot| slot.file)
    }
}

impl<O: Observer> Kernel<'_, O> {
    /// The number that the next new descriptor will have (`alloc_fd`), at least `from`.
    pub(crate) fn unused_fd(&self, task: TaskId, from: usize) -> Result<Fd, Errno> {
        let process = self.m.process(task);
        let number = self.m.fds(task).lowest_free(from);
        match i32::try_from(number) {
            Ok(fd) if u64::from(fd.unsigned_abs()) < process.nofile.rlim_cur => Ok(Fd(fd)),
            _ => Err(Errno::EMFILE),
        }
    }

    /// Makes `fd`, a free number, refer to `file` (`fd_install`). The reference is the caller's.
    pub(crate) fn fd_install(&mut self, task: TaskId, fd: Fd, file: FileId, cloexec: bool) {
        let number = usize::try_from(fd.0).expect("a free number is not negative");
        let before = self.m.fds_mut(task).put(number, Slot { file, cloexec });
        debug_assert!(before.is_none(), "the number was free");
    }
}

impl Encode for FdTable {
    fn encode(&self, to: &mut Encoder<'_>) {
        let FdTable {
            slots,
            users: _,    // as many as name it
            next: _,     // the lowest free number, or a lower one
            reserved: _, // the calls in flight say so
        } = self;
        let mut ahead = 0;
        for slot in slots {
            ahead += 1;
            if let Some(Slot { file, cloexec }) = *slot {
                to.descriptor(ahead, file, cloexec);
                ahead = 0;
            }
        }
        to.none();
    }
}
