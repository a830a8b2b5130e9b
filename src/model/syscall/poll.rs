//! poll(2), select(2) and pselect(2) (fs/select.c): the older way to ask, built from the same two halves
//! as an epoll registration, hook and ask, but done for every file in every call and undone at its end.

use super::super::Kernel;
use super::super::call::{Flow, Held, Steps};
use super::super::encode::{Encode, Encoder, Number, encode_option};
use super::super::eventpoll::{Deadline, NestedPolls, Polled};
use super::super::file::Poller;
use super::super::signal::restart::ERESTARTNOHAND;
use super::super::task::PollHook;
use super::super::wait_queue::WakeFn;
use crate::abi::{
    Answer, Errno, EventMask, Fd, FdSet, Out, PollFd, Ptr, Select, SigSet, TaskId, Timeout,
    Timespec,
};
use crate::model::arena::{FileId, WaitId};
use crate::trace::{Observer, Trace};

/// A call in flight.
#[derive(Clone, Debug)]
pub(crate) struct Poll {
    entries: Vec<Entry>,
    form: Form,
    deadline: Deadline,
    timed_out: bool,
    /// Something was found, or there will be no sleep: no more hooks.
    hooking: bool,
    at: At,
    polls: NestedPolls,
    /// The epoll file that is being asked, while that takes more than a step.
    asked: Option<FileId>,
    /// Files whose last reference it had.
    released: Vec<FileId>,
    interrupted: bool,
    /// The mask that it has set for as long as it takes.
    sigmask: Option<SigSet>,
}

/// A file to ask.
#[derive(Clone, Copy, Debug)]
struct Entry {
    fd: Fd,
    /// What counts as an answer.
    filter: EventMask,
    /// What was answered last.
    answer: EventMask,
}

/// In which form the question came and the answer is wanted.
#[derive(Clone, Debug)]
enum Form {
    Poll(Vec<PollFd>),
    Select([Option<FdSet>; 3]),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum At {
    /// About to hook onto and ask the file with this index.
    Ask(usize),
    /// An epoll file is being asked.
    Nested(usize),
    /// Every file has been asked.
    Decide,
    /// Asleep (`poll_schedule_timeout`).
    Sleep,
    /// About to take the hooks off (`poll_freewait`).
    Unhook,
}

/// Always reported by poll(2), asked for or not.
const ALWAYS: EventMask = EventMask::ERR.union(EventMask::HUP);
/// What each of select(2)'s sets asks for (`POLLIN_SET`, `POLLOUT_SET`, `POLLEX_SET`).
const SETS: [EventMask; 3] = [
    EventMask::RDNORM
        .union(EventMask::RDBAND)
        .union(EventMask::IN)
        .union(EventMask::HUP)
        .union(EventMask::ERR)
        .union(EventMask::NVAL),
    EventMask::WRBAND
        .union(EventMask::WRNORM)
        .union(EventMask::OUT)
        .union(EventMask::ERR)
        .union(EventMask::NVAL),
    EventMask::PRI.union(EventMask::NVAL),
];

impl<O: Observer> Kernel<'_, O> {
    /// `do_sys_poll`
    pub(super) fn begin_poll(
        &mut self,
        task: TaskId,
        fds: Vec<PollFd>,
        timeout: Timeout,
    ) -> Result<Poll, Errno> {
        let limit = self.m.process(task).nofile.rlim_cur;
        if u64::try_from(fds.len()).is_ok_and(|nfds| nfds > limit) {
            return Err(Errno::EINVAL);
        }
        let entry = |pollfd: &PollFd| Entry {
            fd: pollfd.fd,
            filter: pollfd.events | ALWAYS,
            answer: EventMask::empty(),
        };
        let entries = fds.iter().map(entry).collect();
        let deadline = self.m.deadline_ms(timeout);
        Ok(Poll::new(entries, Form::Poll(fds), deadline))
    }

    /// `core_sys_select`; the timeout in nanoseconds, `Some(None)` if it is no valid one.
    pub(super) fn begin_select<T>(
        &mut self,
        task: TaskId,
        select: Select<T>,
        timeout: Option<Option<u64>>,
    ) -> Result<Poll, Errno> {
        let deadline = match timeout {
            None => Deadline::Never,
            Some(nanoseconds) => self.m.deadline_after(nanoseconds.ok_or(Errno::EINVAL)?),
        };
        if select.nfds < 0 {
            return Err(Errno::EINVAL);
        }
        let sets = [select.readfds, select.writefds, select.exceptfds];
        let mut entries = Vec::new();
        for number in 0..select.nfds.min(FdSet::SIZE) {
            let fd = Fd(number);
            let asked = |set: &Option<FdSet>| set.as_ref().is_some_and(|set| set.contains(fd));
            if !sets.iter().any(asked) {
                continue;
            }
            self.m.fget(task, fd).ok_or(Errno::EBADF)?;
            // An exceptional condition is always worth a wake-up, the others if they were asked for.
            let mut filter = SETS[2];
            for (set, bits) in sets.iter().zip(SETS) {
                if asked(set) {
                    filter |= bits;
                }
            }
            entries.push(Entry {
                fd,
                filter,
                answer: EventMask::empty(),
            });
        }
        Ok(Poll::new(entries, Form::Select(sets), deadline))
    }

    /// ppoll(2): poll(2) with a finer timeout and a mask of its own.
    pub(super) fn begin_ppoll(
        &mut self,
        task: TaskId,
        fds: Vec<PollFd>,
        timeout: Option<Timespec>,
        (sigmask, sigsetsize): (Ptr<SigSet>, u64),
    ) -> Result<Poll, Errno> {
        let deadline = match timeout {
            None => Deadline::Never,
            Some(time) => self
                .m
                .deadline_after(time.nanoseconds().ok_or(Errno::EINVAL)?),
        };
        self.set_user_sigmask(task, sigmask, sigsetsize)?;
        let call = self.begin_poll(task, fds, Timeout(-1))?;
        Ok(Poll {
            sigmask: value(sigmask),
            ..Poll::new(call.entries, call.form, deadline)
        })
    }

    /// pselect(2): select(2) with a finer timeout and a mask of its own.
    pub(super) fn begin_pselect(
        &mut self,
        task: TaskId,
        select: Select<Timespec>,
        timeout: Option<Option<u64>>,
        (sigmask, sigsetsize): (Ptr<SigSet>, u64),
    ) -> Result<Poll, Errno> {
        if timeout == Some(None) {
            return Err(Errno::EINVAL);
        }
        self.set_user_sigmask(task, sigmask, sigsetsize)?;
        let call = self.begin_select(task, select, timeout)?;
        Ok(Poll {
            sigmask: value(sigmask),
            ..call
        })
    }

    /// The call once more, with what is left of its time.
    pub(crate) fn poll_again(&mut self, task: TaskId, call: Poll) -> Result<Poll, Errno> {
        if let Some(mask) = call.sigmask {
            self.swap_mask(task, mask);
        }
        if let Form::Select(_) = call.form {
            for entry in &call.entries {
                self.m.fget(task, entry.fd).ok_or(Errno::EBADF)?;
            }
        }
        Ok(call)
    }

    /// Step: hook onto one file's queues, and ask it (`do_pollfd`).
    fn poll_ask(&mut self, task: TaskId, call: &mut Poll, index: usize) -> Flow {
        let Some(&Entry { fd, filter, .. }) = call.entries.get(index) else {
            call.at = At::Decide;
            return Flow::Next;
        };
        // Looked up anew in every round: by now the number may be closed, or mean another file.
        let Some(file) = self.m.fget(task, fd) else {
            // A negative number is a way to leave an entry out; a closed one is an answer.
            let closed = if fd.0 < 0 {
                EventMask::empty()
            } else {
                EventMask::NVAL
            };
            return call.answered(index, closed);
        };
        if self.poll_waits(file) {
            return Flow::Blocked;
        }
        if call.hooking {
            let heads = self.m.poll_heads(file, task);
            if heads
                .iter()
                .flatten()
                .any(|head| self.walked_by_another(task, *head))
            {
                return Flow::Blocked;
            }
            for head in heads.into_iter().flatten() {
                let entry = self.add_wait_queue(head, WakeFn::PollWake(task), false);
                self.m.files[file].refs += 1;
                let hook = PollHook {
                    entry,
                    file,
                    filter,
                };
                self.m.task_mut(task).poll_hooks.push(hook);
            }
        }
        // A file without poll method is always ready (`vfs_poll`).
        let by = Poller {
            task,
            requested: filter,
        };
        match self.vfs_poll(file, by, &mut call.polls) {
            Polled::Ready(mask) => call.answered(index, mask & filter),
            Polled::More | Polled::Blocked => {
                self.m.files[file].refs += 1;
                call.asked = Some(file);
                call.at = At::Nested(index);
                Flow::Next
            }
        }
    }

    /// Step: all were asked. Is there an answer, or reason to wait for one?
    fn poll_decide(&mut self, task: TaskId, call: &mut Poll) -> Flow {
        call.hooking = false;
        let sigpending = self.m.task(task).sigpending;
        if call.found() || call.timed_out || sigpending {
            // Here a signal beats even a timeout of 0 (`do_poll`); select(2) asks once more at its end.
            call.interrupted = sigpending && !call.found();
            call.at = At::Unhook;
        } else if std::mem::take(&mut self.m.task_mut(task).poll_triggered) {
            // Between the question and here something has changed: ask again.
            call.at = At::Ask(0);
        } else {
            self.m.fall_asleep(task, call.deadline);
            call.at = At::Sleep;
        }
        Flow::Next
    }

    /// Step: go on once told, at the deadline, or for a signal. After the deadline there is one more round.
    fn poll_sleep(&mut self, task: TaskId, call: &mut Poll) -> Flow {
        if !self.m.task(task).is_awake() {
            return Flow::Blocked;
        }
        call.timed_out = self.m.run_again(task);
        self.m.task_mut(task).poll_triggered = false;
        call.at = At::Ask(0);
        Flow::Next
    }

    /// Drops a reference. What it was the last of goes when the call is over.
    fn poll_put(&mut self, call: &mut Poll, file: FileId) {
        if self.m.put_file(file) {
            call.released.push(file);
        }
    }

    /// Step: off every queue, and the answer.
    fn poll_unhook(&mut self, task: TaskId, call: &mut Poll) -> Flow {
        let hooks = &self.m.task(task).poll_hooks;
        let mut heads = hooks
            .iter()
            .filter_map(|hook| self.m.waits[hook.entry].whead);
        if heads.any(|head| self.walked_by_another(task, head)) {
            return Flow::Blocked;
        }
        for hook in std::mem::take(&mut self.m.task_mut(task).poll_hooks) {
            self.remove_wait_entry(hook.entry);
            self.poll_put(call, hook.file);
        }
        let state = self.m.task_mut(task);
        state.poll_triggered = false;
        if matches!(call.form, Form::Select(_)) {
            // `core_sys_select`
            call.interrupted = state.sigpending && !call.found();
        }
        Flow::Done
    }

    /// `pollwake`: tells the poller, if the wake-up concerns what it asked this file for.
    pub(crate) fn pollwake(&mut self, task: TaskId, hook: WaitId, key: EventMask) -> bool {
        let state = self.m.task_mut(task);
        let filter = state.poll_filter(hook);
        if !key.is_empty() && filter.is_some_and(|filter| !filter.intersects(key)) {
            return false;
        }
        state.poll_triggered = true;
        self.trace(|k| {
            let head = k.m.waits[hook].whead.expect("its entry is being called");
            Trace::PollWake {
                task,
                queue: k.m.heads[head].label,
            }
        });
        self.try_to_wake_up(task)
    }
}

/// What is behind a pointer that was found to lead somewhere, or is `NULL`.
fn value<T>(ptr: Ptr<T>) -> Option<T> {
    match ptr {
        Ptr::To(value) => Some(value),
        Ptr::Addr(_) => None,
    }
}

impl Poll {
    /// The same call before its first step.
    pub(crate) fn rewound(self) -> Poll {
        let Poll {
            mut entries,
            form,
            deadline,
            sigmask,
            ..
        } = self;
        for entry in &mut entries {
            entry.answer = EventMask::empty();
        }
        Poll {
            sigmask,
            ..Poll::new(entries, form, deadline)
        }
    }

    fn new(entries: Vec<Entry>, form: Form, deadline: Deadline) -> Poll {
        let now = deadline == Deadline::Now;
        Poll {
            entries,
            form,
            deadline,
            timed_out: now,
            hooking: !now,
            at: At::Ask(0),
            polls: NestedPolls::default(),
            asked: None,
            released: Vec::new(),
            interrupted: false,
            sigmask: None,
        }
    }

    fn answered(&mut self, index: usize, answer: EventMask) -> Flow {
        let entry = &mut self.entries[index];
        entry.answer = answer;
        if !self.reported(index).is_empty() {
            self.hooking = false;
        }
        self.at = At::Ask(index + 1);
        Flow::Next
    }

    /// What of an entry's answer will be seen.
    fn reported(&self, index: usize) -> EventMask {
        let Entry { fd, answer, .. } = self.entries[index];
        match &self.form {
            Form::Poll(_) => answer,
            Form::Select(sets) => {
                let asked = sets
                    .iter()
                    .zip(SETS)
                    .filter(|(set, _)| set.as_ref().is_some_and(|set| set.contains(fd)));
                asked.fold(EventMask::empty(), |seen, (_, bits)| seen | (answer & bits))
            }
        }
    }

    fn found(&self) -> bool {
        (0..self.entries.len()).any(|index| !self.reported(index).is_empty())
    }

    fn report(&self) -> Answer {
        match &self.form {
            Form::Poll(fds) => {
                let answered = fds.iter().zip(&self.entries).map(|(pollfd, entry)| PollFd {
                    revents: entry.answer,
                    ..*pollfd
                });
                let fds: Vec<PollFd> = answered.collect();
                let count = fds
                    .iter()
                    .filter(|pollfd| !pollfd.revents.is_empty())
                    .count();
                Answer::Done(i64::try_from(count).unwrap_or(i64::MAX), Out::PollFds(fds))
            }
            Form::Select(sets) => {
                let mut count = 0;
                let mut report = [None, None, None];
                for ((set, bits), out) in sets.iter().zip(SETS).zip(&mut report) {
                    let Some(set) = set else { continue };
                    let ready = self
                        .entries
                        .iter()
                        .filter(|entry| set.contains(entry.fd) && entry.answer.intersects(bits));
                    let ready: FdSet = ready.map(|entry| entry.fd).collect();
                    count += ready.len();
                    *out = Some(ready);
                }
                Answer::Done(
                    i64::try_from(count).unwrap_or(i64::MAX),
                    Out::FdSets(Box::new(report)),
                )
            }
        }
    }
}

impl Steps for Poll {
    fn step<O: Observer>(&mut self, kernel: &mut Kernel<'_, O>, task: TaskId) -> Flow {
        match self.at {
            At::Ask(index) => kernel.poll_ask(task, self, index),
            At::Nested(index) => match kernel.nested_poll_step(task, &mut self.polls) {
                Polled::Blocked => Flow::Blocked,
                Polled::More => Flow::Next,
                Polled::Ready(mask) => {
                    if let Some(file) = self.asked.take() {
                        kernel.poll_put(self, file);
                    }
                    let filter = self.entries[index].filter;
                    self.answered(index, mask & filter)
                }
            },
            At::Decide => kernel.poll_decide(task, self),
            At::Sleep => kernel.poll_sleep(task, self),
            At::Unhook => kernel.poll_unhook(task, self),
        }
    }

    fn answer(&mut self) -> Answer {
        if self.interrupted {
            Answer::err(ERESTARTNOHAND)
        } else {
            self.report()
        }
    }

    fn holds(&self, files: &mut Vec<FileId>) {
        files.extend(self.asked);
    }

    fn releasing(&self) -> &[FileId] {
        &self.released
    }

    fn released(&mut self) -> Vec<FileId> {
        std::mem::take(&mut self.released)
    }

    fn held(&self, held: &mut Held) {
        self.polls.held(held);
        held.may_sleep = self.at == At::Sleep;
    }

    fn deadline(&self) -> Option<u64> {
        self.deadline.moment().filter(|_| self.at == At::Sleep)
    }

    fn at(&self) -> String {
        format!("do_poll: {:?}", self.at)
    }
}

impl Encode for Poll {
    fn encode(&self, to: &mut Encoder<'_>) {
        let Poll {
            entries,
            form,
            deadline,
            timed_out,
            hooking,
            at,
            polls,
            asked,
            released,
            interrupted,
            sigmask,
        } = self;
        // Answers from here on belong to the last round, and will be overwritten before they are read.
        let (number, answered) = match at {
            At::Ask(index) => (0, *index),
            At::Nested(index) => (1, *index),
            At::Decide => (2, entries.len()),
            At::Sleep => (3, 0),
            At::Unhook => (4, entries.len()),
        };
        to.byte(number);
        to.numbers([
            answered.number(to),
            timed_out.number(to),
            hooking.number(to),
            interrupted.number(to),
            sigmask.number(to),
        ]);
        deadline.encode(to);
        polls.encode(to);
        asked.encode(to);
        for file in released {
            file.encode(to);
        }
        to.none();
        match form {
            Form::Poll(fds) => {
                to.byte(0);
                fds.encode(to);
            }
            Form::Select(sets) => {
                to.byte(1);
                for set in sets {
                    encode_option(set, to);
                }
            }
        }
        entries.len().encode(to);
        for (index, entry) in entries.iter().enumerate() {
            let Entry { fd, filter, answer } = entry;
            fd.encode(to);
            filter.encode(to);
            if index < answered {
                answer.encode(to);
            }
        }
    }
}
