//! What the names stand for while a scenario runs.

use indexmap::IndexMap;

use crate::abi::{Fd, TaskId};

use super::ScenarioError;
use super::ast::{Name, Num};
use super::lower::low_i32;

/// Names and their numbers. Descriptors and loop variables share one space, tasks have another.
#[derive(Debug, Default)]
pub(super) struct Env {
    numbers: IndexMap<Box<str>, Binding>,
    tasks: IndexMap<Box<str>, TaskId>,
    bound: u64,
}

#[derive(Debug)]
struct Binding {
    number: i128,
    /// How many bindings were made before; `None` for a loop variable, which names no descriptor.
    order: Option<u64>,
}

impl Env {
    pub(super) fn bind_fd(&mut self, name: &Name, number: i128) {
        self.bound += 1;
        let order = Some(self.bound);
        self.numbers
            .insert(name.text.clone(), Binding { number, order });
    }

    pub(super) fn bind_variable(&mut self, name: &Name, number: u64) {
        let binding = Binding {
            number: i128::from(number),
            order: None,
        };
        self.numbers.insert(name.text.clone(), binding);
    }

    pub(super) fn unbind_variable(&mut self, name: &Name) {
        self.numbers.swap_remove(&name.text);
    }

    pub(super) fn bind_task(&mut self, name: &Name, task: TaskId) {
        self.tasks.insert(name.text.clone(), task);
    }

    pub(super) fn task(&self, name: &str) -> Option<TaskId> {
        self.tasks.get(name).copied()
    }

    pub(super) fn number(&self, num: &Num) -> Result<i128, ScenarioError> {
        match num {
            Num::Lit(number) => Ok(*number),
            Num::Name(name) => match self.numbers.get(&name.text) {
                Some(binding) => Ok(binding.number),
                None => Err(unbound(name)),
            },
        }
    }

    pub(super) fn fd(&self, num: &Num) -> Result<Fd, ScenarioError> {
        self.number(num).map(|number| Fd(low_i32(number)))
    }

    /// Whether a name stands for a number.
    pub(super) fn knows(&self, name: &Name) -> bool {
        self.numbers.contains_key(&name.text)
    }

    /// A port as a person would write it: by its name, if it has one.
    pub(super) fn name_port(&self, port: u16) -> Num {
        let number = i128::from(port);
        let known = self
            .numbers
            .iter()
            .find(|(_, binding)| binding.order.is_none() && binding.number == number);
        known.map_or(Num::Lit(number), |(name, _)| named(name))
    }

    /// A number that means a process: a name in it is that of a task.
    pub(super) fn pid(&self, num: &Num) -> Result<i128, ScenarioError> {
        match num {
            Num::Lit(number) => Ok(*number),
            Num::Name(name) => match self.tasks.get(&name.text) {
                Some(task) => Ok(i128::from(task.pid())),
                None => Err(unbound(name)),
            },
        }
    }

    /// The descriptor as a person would write it: by the name that got this number last.
    pub(super) fn name_fd(&self, fd: Fd) -> Num {
        self.numbers
            .iter()
            .filter(|(_, binding)| binding.number == i128::from(fd.0))
            .filter_map(|(name, binding)| Some((binding.order?, name)))
            .max()
            .map_or(Num::Lit(i128::from(fd.0)), |(_, name)| named(name))
    }

    /// Every name of a descriptor, in the order in which they were bound last.
    pub(super) fn fds(&self) -> Vec<(Box<str>, Fd)> {
        let bindings = self.numbers.iter();
        let mut fds: Vec<_> = bindings
            .filter_map(|(name, it)| Some((it.order?, name.clone(), Fd(low_i32(it.number)))))
            .collect();
        fds.sort_by_key(|(order, ..)| *order);
        fds.into_iter().map(|(_, name, fd)| (name, fd)).collect()
    }

    /// Every name of a task.
    pub(super) fn tasks(&self) -> Vec<(Box<str>, TaskId)> {
        let tasks = self.tasks.iter();
        tasks.map(|(name, task)| (name.clone(), *task)).collect()
    }

    /// The same for a process.
    pub(super) fn name_pid(&self, pid: i64) -> Num {
        let task = i32::try_from(pid).ok().and_then(TaskId::from_pid);
        match task.and_then(|task| self.name_task(task)) {
            Some(name) => named(name),
            None => Num::Lit(i128::from(pid)),
        }
    }

    /// The name of a task, which the first one has not.
    pub(super) fn name_task(&self, task: TaskId) -> Option<&str> {
        let named = self.tasks.iter().rev().find(|(_, known)| **known == task);
        named.map(|(name, _)| &**name)
    }
}

fn named(name: &str) -> Num {
    Num::Name(Name::new(name))
}

pub(super) fn unbound(name: &Name) -> ScenarioError {
    ScenarioError::new(
        name.span,
        format!("`{}` stands for nothing yet", name.text),
        "not bound",
    )
}
