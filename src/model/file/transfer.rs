//! read(2), write(2) and what sockets have beside them, in steps: change the file, walk its wait queues, or
//! sleep until there is a point in trying again.

use super::ops::{Awaited, Caller, FileOps};
use super::socket::{Socket, SocketOps};
use super::splice::{How, Splicing};
use std::collections::VecDeque;

use crate::abi::{
    Answer, Bytes, Errno, Fd, InotifyEvent, InotifyMask, Message, MsgFlags, OpenFlags, Out, OutPtr,
    Ptr, Received, Room, SigInfo, SockAddr, TaskId,
};
use crate::model::arena::{FileId, WaitId};
use crate::model::call::{Flow, Held, Steps};
use crate::model::encode::{Encode, Encoder, encode_option, variant_is_number};
use crate::model::eventpoll::Deadline;
use crate::model::signal::restart::ERESTARTSYS;
use crate::model::wait_queue::{Wake, Walked, Walks};
use crate::model::{Footprint, Kernel, Machine};
use crate::trace::Observer;

/// A call in flight.
#[derive(Clone, Debug)]
pub(crate) struct Transfer {
    /// The number that the program passed, which it will pass again if the call is made again.
    fd: Fd,
    file: FileId,
    what: What,
    at: At,
    io: Io,
    waiter: Option<WaitId>,
    /// How the call will end, once the last wake-up is made.
    result: Result<u64, Errno>,
}

/// What is to be done.
#[derive(Clone, Debug)]
pub(crate) enum What {
    /// read(2)
    Read { buf: OutPtr, count: u64 },
    /// write(2)
    Write { buf: Ptr<Bytes>, count: u64 },
    /// writev(2) to a file whose kind knows no more than one buffer, so that each part is a write of its own
    WriteEach { parts: Vec<Bytes> },
    /// recvfrom(2)
    Recv(Receiving),
    /// sendto(2), sendmsg(2)
    Send(Box<Sending>),
    /// accept4(2)
    Accept(Accepting),
    /// splice(2), tee(2), vmsplice(2)
    Splice(Box<Splicing>),
    /// connect(2)
    Connect { to: Box<SockAddr> },
}

/// The arguments of recvfrom(2).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Receiving {
    pub(crate) buf: OutPtr,
    pub(crate) count: u64,
    pub(crate) flags: MsgFlags,
    /// It asks who sent the message.
    pub(crate) name: bool,
    /// In recvmsg(2), how many bytes of control messages there is room for.
    pub(crate) control: Option<u64>,
}

impl Receiving {
    /// What read(2) is to a socket.
    pub(crate) fn plain((buf, count): (OutPtr, u64)) -> Receiving {
        Receiving {
            buf,
            count,
            flags: MsgFlags::empty(),
            name: false,
            control: None,
        }
    }

    /// As many bytes as it asks for.
    pub(crate) fn wanted(&self) -> usize {
        usize::try_from(self.count).unwrap_or(usize::MAX)
    }

    /// How many of them its buffer has room for.
    pub(crate) fn room(&self) -> usize {
        let room = match self.buf {
            OutPtr::Addr(_) => 0,
            OutPtr::Memory(Room::Bytes(room)) => room.min(self.count),
            OutPtr::Memory(_) => self.count,
        };
        usize::try_from(room).unwrap_or(usize::MAX)
    }
}

/// The arguments of accept4(2).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Accepting {
    pub(crate) flags: OpenFlags,
    /// The number that it has set aside.
    pub(crate) fd: Fd,
    /// It asks who connected.
    pub(crate) name: bool,
}

/// The arguments of sendto(2) and sendmsg(2); on their own, so that read(2) and write(2) stay short.
#[derive(Clone, Debug)]
pub(crate) struct Sending {
    pub(crate) buf: Ptr<Bytes>,
    pub(crate) flags: MsgFlags,
    pub(crate) to: Option<Box<SockAddr>>,
    /// Descriptors to send along (`SCM_RIGHTS`).
    pub(crate) rights: Vec<Fd>,
}

impl What {
    /// Whether it has set a number aside.
    #[inline]
    fn reserves(&self) -> bool {
        matches!(self, What::Accept(_))
    }

    /// Whether it stores bytes.
    fn receives(&self) -> bool {
        matches!(self, What::Read { .. } | What::Recv(_))
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum At {
    /// About to change the file, under its lock.
    Change,
    /// The operation is over: walking wait queues, one entry a step.
    Wake,
    /// The same on the way to sleep.
    WakeFirst,
    /// The same on the way to the next round.
    WakeMore,
    /// About to look whether there is a reason to sleep at all (`wait_event`).
    Look,
    /// About to stand on the queue (`prepare_to_wait_event`).
    Enqueue,
    /// On the queue, and about to look once more.
    LookAgain,
    /// Asleep.
    Sleep,
    /// There is no reason any more: about to leave the queue (`finish_wait`).
    Leave,
}

/// Wake-ups that an operation owes, in order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wakes {
    owed: [Option<Wake>; 2],
    /// What only calls on sockets have in their hands.
    sockets: Option<Box<Sockets>>,
}

/// References that a call on a socket has.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sockets {
    /// Wake-ups for which there was no place among the others, which come before them.
    more: VecDeque<Wake>,
    /// The sockets whose queues it owes wake-ups: others may close them meanwhile.
    pub(super) holds: Vec<Socket>,
    /// Files whose last reference was in a message that is gone.
    pub(super) dropped: Vec<FileId>,
    /// Files that the next message takes along.
    pub(super) rights: Vec<FileId>,
    /// Files that came with a message.
    pub(super) received: Vec<FileId>,
    /// The numbers that these have got.
    fds: Vec<Fd>,
}

impl Wakes {
    pub(crate) fn push(&mut self, wake: Wake) {
        match self.owed.iter_mut().find(|place| place.is_none()) {
            Some(place) => *place = Some(wake),
            None => self.sockets().more.push_back(wake),
        }
    }

    /// Takes the next one to make.
    #[inline]
    pub(crate) fn pop(&mut self) -> Option<Wake> {
        // Mostly there is none, and nothing to move up.
        self.owed[0]?;
        let first = self.owed[0].take();
        let more = self.sockets.as_mut();
        self.owed = [self.owed[1], more.and_then(|it| it.more.pop_front())];
        first
    }

    /// What it has of sockets, from now on.
    pub(super) fn sockets(&mut self) -> &mut Sockets {
        self.sockets.get_or_insert_default()
    }

    /// Takes the files that have to be released.
    pub(crate) fn dropped(&mut self) -> Vec<FileId> {
        match &mut self.sockets {
            Some(sockets) => std::mem::take(&mut sockets.dropped),
            None => Vec::new(),
        }
    }

    /// The sockets that it keeps.
    pub(crate) fn holds(&self) -> &[Socket] {
        self.sockets.as_ref().map_or(&[], |sockets| &sockets.holds)
    }

    /// Takes the sockets that it keeps.
    pub(crate) fn take_holds(&mut self) -> Vec<Socket> {
        match &mut self.sockets {
            Some(sockets) => std::mem::take(&mut sockets.holds),
            None => Vec::new(),
        }
    }

    fn releasing(&self) -> &[FileId] {
        self.sockets
            .as_ref()
            .map_or(&[], |sockets| &sockets.dropped)
    }

    /// The files that are on their way into a message, or out of one.
    fn carried(&self) -> impl Iterator<Item = FileId> {
        let sockets = self.sockets.iter();
        sockets.flat_map(|it| it.rights.iter().chain(&it.received).copied())
    }
}

/// What an attempt at the operation came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Attempt {
    /// The operation is over; wake-ups may be left to make.
    Over(Result<u64, Errno>),
    /// A part is done: make the wake-ups there are, then go on with the next.
    More,
    /// Nothing to do now: make the wake-ups there are, then sleep and try again.
    Sleep,
    /// Somebody walks the queue whose lock the operation needs.
    Locked,
}

impl Attempt {
    #[inline]
    pub(crate) fn fail(errno: Errno) -> Attempt {
        Attempt::Over(Err(errno))
    }
}

/// The part to write when so many bytes of those before it are.
fn next_part(parts: &[Bytes], written: usize) -> Option<&Bytes> {
    let mut before = 0;
    parts.iter().find(|part| {
        before += part.len();
        before > written
    })
}

/// How many of `count` bytes can be stored there, for operations that keep what they could not store. None is
/// `EFAULT`, unless none had to be.
pub(super) fn stored_at_most(buf: OutPtr, count: u64) -> Result<u64, Errno> {
    match buf {
        _ if count == 0 => Ok(0),
        OutPtr::Addr(_) | OutPtr::Memory(Room::Bytes(0)) => Err(Errno::EFAULT),
        OutPtr::Memory(Room::Bytes(room)) => Ok(count.min(room)),
        OutPtr::Memory(_) => Ok(count),
    }
}

/// What an operation leaves beside its result.
#[derive(Clone, Debug, Default)]
pub(crate) struct Io {
    /// What a read stored.
    pub(crate) bytes: Bytes,
    /// Wake-ups to make, in order.
    pub(crate) wakes: Wakes,
    /// The wake-up that is being made.
    pub(crate) walks: Walks,
    /// Bytes written so far, by a write of several rounds.
    pub(crate) written: usize,
    /// The call has slept at least once.
    pub(crate) slept: bool,
    /// Whose address it stores.
    pub(crate) name: Option<Box<SockAddr>>,
    /// What recvmsg(2) tells of the message (`msg_flags`).
    pub(crate) told: MsgFlags,
    /// What a read stored, of one of the few files that are read in records.
    records: Option<Box<Records>>,
}

/// Records that a read has stored so far.
#[derive(Clone, Debug, Default)]
struct Records {
    list: Vec<Record>,
    /// The bytes that they take.
    size: u64,
}

/// A piece of what can be read that has a structure of its own.
#[derive(Clone, Debug)]
pub(crate) enum Record {
    /// `struct signalfd_siginfo`
    Signal(SigInfo),
    /// `struct inotify_event`
    Inotify(InotifyEvent),
}

impl Record {
    /// The bytes that it takes.
    fn size(&self) -> u64 {
        match self {
            Record::Signal(_) => SigInfo::SIZE,
            Record::Inotify(event) => event.size(),
        }
    }
}

impl Io {
    /// Stores one more record.
    pub(crate) fn record(&mut self, record: Record) {
        let records = self.records.get_or_insert_default();
        records.size += record.size();
        records.list.push(record);
    }

    /// How many bytes the records take that are stored.
    pub(crate) fn records_read(&self) -> u64 {
        self.records.as_ref().map_or(0, |records| records.size)
    }

    /// What was stored is lost with the call.
    pub(crate) fn forget_records(&mut self) {
        self.records = None;
    }

    /// The end of a read of records.
    pub(crate) fn read_records(&self) -> Attempt {
        Attempt::Over(Ok(self.records_read()))
    }

    /// What a read has stored.
    fn take_stored(&mut self) -> Out {
        let Some(records) = self.records.take() else {
            return Out::Bytes(std::mem::take(&mut self.bytes));
        };
        let (mut signals, mut events) = (Vec::new(), Vec::new());
        for record in records.list {
            match record {
                Record::Signal(info) => signals.push(info),
                Record::Inotify(event) => events.push(event),
            }
        }
        if events.is_empty() {
            Out::Signals(signals)
        } else {
            Out::Inotify(events)
        }
    }

    /// The end of a read of several rounds.
    pub(crate) fn read(&self) -> Attempt {
        Attempt::Over(Ok(u64::try_from(self.bytes.len()).unwrap_or(u64::MAX)))
    }

    /// The end of a write of several rounds.
    pub(crate) fn sent(&self) -> Attempt {
        Attempt::Over(Ok(u64::try_from(self.written).unwrap_or(u64::MAX)))
    }

    /// The end of a read.
    pub(crate) fn stored(&mut self, bytes: Vec<u8>) -> Attempt {
        let count = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        self.bytes = bytes.into();
        Attempt::Over(Ok(count))
    }
}

impl Transfer {
    pub(crate) fn read(fd: Fd, file: FileId, buf: OutPtr, count: u64) -> Transfer {
        Transfer::new(fd, file, What::Read { buf, count })
    }

    pub(crate) fn write(fd: Fd, file: FileId, buf: Ptr<Bytes>, count: u64) -> Transfer {
        Transfer::new(fd, file, What::Write { buf, count })
    }

    pub(crate) fn splice(fd: Fd, file: FileId, splicing: Splicing) -> Transfer {
        Transfer::new(fd, file, What::Splice(Box::new(splicing)))
    }

    /// For any of them.
    #[inline]
    pub(crate) fn new(fd: Fd, file: FileId, what: What) -> Transfer {
        Transfer {
            fd,
            file,
            what,
            at: At::Change,
            io: Io::default(),
            waiter: None,
            result: Ok(0),
        }
    }

    /// With files to send along.
    pub(crate) fn with_rights(mut self, files: Vec<FileId>) -> Transfer {
        if !files.is_empty() {
            self.io.wakes.sockets().rights = files;
        }
        self
    }

    /// What the call was made with.
    pub(crate) fn into_arguments(self) -> (Fd, What) {
        (self.fd, self.what)
    }

    /// A signal has come: that is the end, and what was done so far is the answer.
    fn interrupted(&mut self) -> Flow {
        let done = if self.what.receives() {
            self.io.bytes.len()
        } else {
            self.io.written
        };
        self.result = match u64::try_from(done) {
            Ok(done @ 1..) => Ok(done),
            _ => Err(ERESTARTSYS),
        };
        Flow::Done
    }

    #[inline]
    fn end(&mut self) -> Answer {
        match (self.result, &self.what) {
            (
                Ok(count),
                What::Recv(Receiving {
                    control: Some(_),
                    flags,
                    ..
                }),
            ) => {
                let sockets = self.io.wakes.sockets.as_mut();
                let received = Received {
                    bytes: std::mem::take(&mut self.io.bytes),
                    fds: sockets
                        .map(|it| std::mem::take(&mut it.fds))
                        .unwrap_or_default(),
                    flags: self.io.told | (*flags & MsgFlags::CMSG_CLOEXEC),
                };
                let count = i64::try_from(count).unwrap_or(i64::MAX);
                Answer::Done(count, Out::Message(Box::new(received)))
            }
            (Ok(count), What::Recv(Receiving { name: true, .. })) => {
                let bytes = std::mem::take(&mut self.io.bytes);
                let name = self.io.name.take();
                let count = i64::try_from(count).unwrap_or(i64::MAX);
                Answer::Done(count, Out::From(Box::new((bytes, name))))
            }
            (Ok(count), What::Read { .. } | What::Recv(_)) => {
                let stored = self.io.take_stored();
                Answer::Done(i64::try_from(count).unwrap_or(i64::MAX), stored)
            }
            (Ok(count), _) => {
                let out = match self.io.name.take() {
                    Some(name) => Out::SockAddr(name),
                    None => Out::None,
                };
                Answer::Done(i64::try_from(count).unwrap_or(i64::MAX), out)
            }
            (Err(errno), _) => Answer::err(errno),
        }
    }
}

impl<O: Observer> Kernel<'_, O> {
    /// Gives the files that came with a message numbers, as many as there is room for. The others are dropped
    /// (`scm_detach_fds`).
    fn scm_detach_fds(&mut self, task: TaskId, receiving: Receiving, io: &mut Io) {
        let Some(sockets) = &mut io.wakes.sockets else {
            return;
        };
        let room = receiving.control.map_or(0, Message::control_room);
        while !sockets.received.is_empty() {
            let fd = (sockets.fds.len() < room).then(|| self.unused_fd(task, 0));
            let Some(Ok(fd)) = fd else {
                io.told |= MsgFlags::CTRUNC;
                return;
            };
            let file = sockets.received.remove(0);
            let cloexec = receiving.flags.contains(MsgFlags::CMSG_CLOEXEC);
            self.fd_install(task, fd, file, cloexec);
            sockets.fds.push(fd);
        }
    }

    /// Announces the next wake-up that is owed, unless one is under way. `false` if there is none.
    ///
    /// It belongs to the step before the walk's first, which may have to wait for the queue's lock and
    /// must not have changed anything then.
    #[inline]
    pub(crate) fn wake_next(&mut self, walks: &mut Walks, wakes: &mut Wakes) -> bool {
        if walks.outer.is_none()
            && let Some(wake) = wakes.pop()
        {
            self.wake_up(walks, wake);
        }
        let more = walks.outer.is_some();
        if !more && let Some(sockets) = &mut wakes.sockets {
            self.m.put_sockets(std::mem::take(&mut sockets.holds));
        }
        more
    }

    #[inline]
    fn transfer_attempt(&mut self, task: TaskId, call: &mut Transfer) -> Attempt {
        let Transfer { file, what, io, .. } = call;
        let caller = Caller { task, file: *file };
        let kind = self.m.files[*file].kind;
        if let What::Splice(splicing) = what {
            return self.splice(caller, splicing, io);
        }
        match &*what {
            What::WriteEach { parts } => self.write_each(caller, parts, io),
            What::Read { buf, count } => kind.read(self, caller, (*buf, *count), io),
            What::Write { buf, count } => kind.write(self, caller, (buf, *count), io),
            what => match kind.as_socket() {
                Some(socket) => socket.attempt(self, caller, what, io),
                None => Attempt::fail(Errno::ENOTSOCK),
            },
        }
    }

    fn awaited(&self, task: TaskId, call: &Transfer) -> Awaited {
        let file = call.file;
        if let What::Splice(splicing) = &call.what {
            return self.splice_awaited(file, splicing);
        }
        if let What::WriteEach { parts } = &call.what
            && let Some(part) = next_part(parts, call.io.written)
        {
            let kind = self.m.files[file].kind;
            let (buf, count) = (Ptr::To(part.clone()), 0);
            return kind.awaited(self.m, Caller { task, file }, &What::Write { buf, count });
        }
        let kind = self.m.files[file].kind;
        kind.awaited(self.m, Caller { task, file }, &call.what)
    }

    /// One part more, if the last one went in whole (`do_loop_readv_writev`).
    fn write_each(&mut self, caller: Caller, parts: &[Bytes], io: &mut Io) -> Attempt {
        let Some(next) = next_part(parts, io.written) else {
            return io.sent();
        };
        let count = u64::try_from(next.len()).unwrap_or(u64::MAX);
        let kind = self.m.files[caller.file].kind;
        match kind.write(self, caller, (&Ptr::To(next.clone()), count), io) {
            Attempt::Over(Ok(taken)) => {
                io.written += usize::try_from(taken).unwrap_or(usize::MAX);
                if taken == count {
                    Attempt::More
                } else {
                    io.sent()
                }
            }
            Attempt::Over(Err(_)) if io.written > 0 => io.sent(),
            other => other,
        }
    }

    /// Step: the operation itself, as one holder of the file's lock sees it.
    #[inline]
    fn transfer_change(&mut self, task: TaskId, call: &mut Transfer) -> Flow {
        let attempt = self.transfer_attempt(task, call);
        if attempt != Attempt::Locked {
            self.file_changed(call.file);
        }
        match attempt {
            Attempt::Locked => return Flow::Blocked,
            Attempt::Over(result) => {
                // Field by field, as it was just written: a copy of the whole would wait for the stores.
                call.result = match result {
                    Ok(count) => Ok(count),
                    Err(errno) => Err(errno),
                };
                if !self.wake_next(&mut call.io.walks, &mut call.io.wakes) {
                    return Flow::Done;
                }
                call.at = At::Wake;
            }
            Attempt::More => {
                if self.wake_next(&mut call.io.walks, &mut call.io.wakes) {
                    call.at = At::WakeMore;
                }
            }
            Attempt::Sleep if self.awaited(task, call).locked => {
                return self.transfer_sleep_locked(task, call);
            }
            Attempt::Sleep => {
                let waking = self.wake_next(&mut call.io.walks, &mut call.io.wakes);
                call.at = if waking { At::WakeFirst } else { At::Look };
            }
        }
        Flow::Next
    }

    /// Step: one entry of the walk at hand.
    #[inline]
    fn transfer_wake(&mut self, task: TaskId, call: &mut Transfer) -> Flow {
        if self.wake_step(task, &mut call.io.walks) == Walked::Blocked {
            return Flow::Blocked;
        }
        if self.wake_next(&mut call.io.walks, &mut call.io.wakes) {
            return Flow::Next;
        }
        call.at = match call.at {
            At::Wake => return Flow::Done,
            At::WakeMore => At::Change,
            _ => At::Look,
        };
        Flow::Next
    }

    /// Sleeps where the queue's lock is that of the change: nothing comes between the look and the sleep
    /// (`wait_event_interruptible_locked_irq`). Who was woken for nothing goes to the tail.
    ///
    /// Preconditions: nobody walks the queue.
    fn transfer_sleep_locked(&mut self, task: TaskId, call: &mut Transfer) -> Flow {
        if self.m.task(task).sigpending {
            return call.interrupted();
        }
        let awaited = self.awaited(task, call);
        self.transfer_stand(task, call, awaited);
        self.trace_sleep(task, awaited.head, awaited.place);
        call.at = At::Sleep;
        Flow::Next
    }

    /// Step: the first look, of which nobody else gets to know.
    fn transfer_look(&mut self, task: TaskId, call: &mut Transfer) -> Flow {
        call.at = if self.awaited(task, call).ready {
            At::Change
        } else {
            At::Enqueue
        };
        call.io.slept = true;
        Flow::Next
    }

    /// Step: stand on the queue, at the tail unless there already. From here on a wake-up counts as taken,
    /// even if it turns out that there was no need to sleep.
    fn transfer_enqueue(&mut self, task: TaskId, call: &mut Transfer) -> Flow {
        let awaited = self.awaited(task, call);
        if self.walked_by_another(task, awaited.head) {
            return Flow::Blocked;
        }
        if !self.m.task(task).sigpending {
            self.transfer_stand(task, call, awaited);
            call.at = At::LookAgain;
            return Flow::Next;
        }
        // Off the queue at once, lest it take a wake-up along.
        if let Some(waiter) = call.waiter.take() {
            self.remove_wait_entry(waiter);
        }
        // Asked in this order, so that who was woken for something takes it before its signals.
        if awaited.ready {
            call.at = At::Change;
            return Flow::Next;
        }
        // Who splices looks first whether there still is a reason to sleep.
        let splices = matches!(call.what, What::Splice(_));
        if splices || self.m.files[call.file].kind.finds_signals(&call.what) {
            call.at = At::Change;
            return Flow::Next;
        }
        call.interrupted()
    }

    fn transfer_stand(&mut self, task: TaskId, call: &mut Transfer, awaited: Awaited) {
        let Awaited {
            head,
            exclusive,
            place,
            func,
            ..
        } = awaited;
        let on_queue = |waiter: &WaitId| self.m.waits[*waiter].whead.is_some();
        if !call.waiter.as_ref().is_some_and(on_queue) {
            if let Some(left) = call.waiter.take() {
                self.remove_wait_entry(left);
            }
            call.waiter = Some(self.add_wait_entry(head, func(task), exclusive, place));
        }
        self.m.fall_asleep(task, Deadline::Never);
    }

    /// Step: look once more, since something may have come before anybody knew of the sleeper.
    fn transfer_look_again(&mut self, task: TaskId, call: &mut Transfer) -> Flow {
        let Awaited {
            head, ready, place, ..
        } = self.awaited(task, call);
        if ready {
            self.m.run_again(task);
            call.at = At::Leave;
        } else {
            if self.m.task(task).sleeping {
                self.trace_sleep(task, head, place);
            }
            call.at = At::Sleep;
        }
        Flow::Next
    }

    /// Step: go on once woken, be it by a signal.
    fn transfer_sleep(&mut self, task: TaskId, call: &mut Transfer) -> Flow {
        if !self.m.task(task).is_awake() {
            return Flow::Blocked;
        }
        self.m.run_again(task);
        call.at = if self.awaited(task, call).locked {
            At::Leave
        } else {
            At::Enqueue
        };
        Flow::Next
    }

    /// Step: off the queue, if no wake-up has done that, and try again.
    fn transfer_leave(&mut self, task: TaskId, call: &mut Transfer) -> Flow {
        if let Some(waiter) = call.waiter {
            let head = self.m.waits[waiter].whead;
            if head.is_some_and(|head| self.walked_by_another(task, head)) {
                return Flow::Blocked;
            }
            self.remove_wait_entry(waiter);
        }
        call.waiter = None;
        call.at = At::Change;
        Flow::Next
    }
}

impl Transfer {
    #[inline]
    fn step_at<O: Observer>(&mut self, kernel: &mut Kernel<'_, O>, task: TaskId) -> Flow {
        match self.at {
            At::Change => kernel.transfer_change(task, self),
            At::Wake | At::WakeFirst | At::WakeMore => kernel.transfer_wake(task, self),
            At::Look => kernel.transfer_look(task, self),
            At::Enqueue => kernel.transfer_enqueue(task, self),
            At::LookAgain => kernel.transfer_look_again(task, self),
            At::Sleep => kernel.transfer_sleep(task, self),
            At::Leave => kernel.transfer_leave(task, self),
        }
    }
}

impl Transfer {
    /// `fsnotify_access`, `fsnotify_modify`
    fn tell_watchers<O: Observer>(&self, kernel: &mut Kernel<'_, O>) {
        let Ok(1..) = self.result else { return };
        match &self.what {
            What::Read { .. } => kernel.fsnotify_file(self.file, InotifyMask::ACCESS),
            What::Write { .. } | What::WriteEach { .. } => {
                kernel.fsnotify_file(self.file, InotifyMask::MODIFY);
            }
            What::Splice(splicing) => {
                let access = (self.file, InotifyMask::ACCESS);
                let modify = (splicing.out.1, InotifyMask::MODIFY);
                let told = match splicing.how {
                    How::Tee => [Some(access), Some(modify)],
                    How::FromMemory(_) => [Some(modify), None],
                    How::ToMemory => [Some(access), None],
                    How::Pipes | How::ToFile { .. } | How::FromFile { .. } => {
                        [Some(modify), Some(access)]
                    }
                };
                for (file, mask) in told.into_iter().flatten() {
                    kernel.fsnotify_file(file, mask);
                }
            }
            What::Recv(_) | What::Send(_) | What::Accept(_) | What::Connect { .. } => {}
        }
    }

    /// Whether it works on a file with a name.
    #[inline]
    fn is_on_a_name(&self, machine: &Machine) -> bool {
        let has_name = |file: FileId| machine.files[file].f_inode.is_some();
        let out = match &self.what {
            What::Splice(splicing) => has_name(splicing.out.1),
            _ => false,
        };
        has_name(self.file) || out
    }
}

impl Steps for Transfer {
    #[inline]
    fn step<O: Observer>(&mut self, kernel: &mut Kernel<'_, O>, task: TaskId) -> Flow {
        let on_a_name = self.is_on_a_name(kernel.m);
        if on_a_name && kernel.m.is_event_held_up(task) {
            return Flow::Blocked;
        }
        let flow = self.step_at(kernel, task);
        if on_a_name && flow == Flow::Done {
            self.tell_watchers(kernel);
        }
        if flow == Flow::Done && (self.io.wakes.sockets.is_some() || self.what.reserves()) {
            if let What::Accept(Accepting { fd, .. }) = &self.what {
                // It has a meaning now, or is free again.
                kernel.m.fds_mut(task).unreserve(*fd);
            }
            if let What::Recv(receiving) = &self.what {
                kernel.scm_detach_fds(task, *receiving, &mut self.io);
            }
            if let Some(sockets) = &mut self.io.wakes.sockets {
                // No message has taken them, or nobody has from one.
                let left = [&mut sockets.rights, &mut sockets.received].map(std::mem::take);
                for file in left.into_iter().flatten() {
                    if kernel.m.put_file(file) {
                        sockets.dropped.push(file);
                    }
                }
            }
        }
        flow
    }

    #[inline]
    fn answer(&mut self) -> Answer {
        self.end()
    }

    fn files(&self, files: &mut Vec<FileId>) {
        files.push(self.file);
        if let What::Splice(splicing) = &self.what {
            files.push(splicing.out.1);
        }
    }

    fn sockets(&self, sockets: &mut Vec<Socket>) {
        sockets.extend(self.io.wakes.holds());
    }

    fn holds(&self, files: &mut Vec<FileId>) {
        files.extend(self.io.wakes.carried());
    }

    fn releasing(&self) -> &[FileId] {
        self.io.wakes.releasing()
    }

    #[inline]
    fn released(&mut self) -> Vec<FileId> {
        self.io.wakes.dropped()
    }

    fn held(&self, held: &mut Held) {
        held.walks.extend(self.io.walks.iter());
        held.waiter = self.waiter;
        held.may_sleep = matches!(self.at, At::LookAgain | At::Sleep);
    }

    fn footprint(&self, machine: &Machine, _: TaskId) -> Footprint {
        if self.is_on_a_name(machine) && machine.has_watchers() {
            return Footprint::EVERYTHING;
        }
        match self.at {
            At::Change if matches!(self.what, What::Splice(_)) => Footprint::EVERYTHING,
            At::Change => machine.transferring(self.file),
            At::Wake => machine.waking(&self.io.walks).may_end(),
            At::WakeFirst | At::WakeMore => machine.waking(&self.io.walks),
            At::Look | At::Enqueue | At::LookAgain | At::Sleep | At::Leave => Footprint::EVERYTHING,
        }
    }

    fn at(&self) -> String {
        let call = match &self.what {
            What::Read { .. } => "vfs_read",
            What::Write { .. } => "vfs_write",
            What::WriteEach { .. } => "do_loop_readv_writev",
            What::Recv(_) => "sock_recvmsg",
            What::Send(_) => "sock_sendmsg",
            What::Accept(_) => "do_accept",
            What::Connect { .. } => "__sys_connect",
            What::Splice(splicing) => match splicing.how {
                How::Tee => "do_tee",
                How::FromMemory(_) => "vmsplice_to_pipe",
                How::ToMemory => "vmsplice_to_user",
                How::Pipes | How::ToFile { .. } | How::FromFile { .. } => "do_splice",
            },
        };
        format!("{call}: {:?}", self.at)
    }
}

variant_is_number!(At);

impl Encode for Transfer {
    fn encode(&self, to: &mut Encoder<'_>) {
        let Transfer {
            fd,
            file,
            what,
            at,
            io,
            waiter: _, // if it stands on the queue, it is written there; if not, it is as good as none
            result,
        } = self;
        at.encode(to);
        file.encode(to);
        let Io {
            bytes,
            wakes,
            walks,
            written,
            slept,
            name,
            told,
            records,
        } = io;
        wakes.encode(to);
        walks.encode(to);
        encode_option(name, to);
        told.bits().encode(to);
        match records {
            None => to.none(),
            Some(records) => {
                to.byte(1);
                records.list.encode(to);
            }
        }
        if *at == At::Wake {
            // Only the answer is left.
            what.receives().encode(to);
            result.ok().encode(to);
            result.err().encode(to);
            bytes.encode(to);
        } else {
            fd.encode(to);
            what.encode(to);
            written.encode(to);
            slept.encode(to);
            bytes.encode(to);
        }
    }
}

impl Encode for Record {
    fn encode(&self, to: &mut Encoder<'_>) {
        match self {
            Record::Signal(info) => info.encode(to),
            Record::Inotify(event) => event.encode(to),
        }
    }
}

impl Encode for What {
    fn encode(&self, to: &mut Encoder<'_>) {
        match self {
            What::Read { buf, count } => {
                to.byte(0);
                buf.encode(to);
                count.encode(to);
            }
            What::Write { buf, count } => {
                to.byte(1);
                buf.encode(to);
                count.encode(to);
            }
            What::Recv(Receiving {
                buf,
                count,
                flags,
                name,
                control,
            }) => {
                to.byte(if *name { 7 } else { 2 });
                encode_option(control, to);
                buf.encode(to);
                count.encode(to);
                flags.bits().encode(to);
            }
            What::Send(sending) => {
                let Sending {
                    buf,
                    flags,
                    to: receiver,
                    rights,
                } = &**sending;
                to.byte(3);
                rights.encode(to);
                buf.encode(to);
                flags.bits().encode(to);
                encode_option(receiver, to);
            }
            What::Accept(Accepting { flags, fd, name }) => {
                to.byte(if *name { 6 } else { 4 });
                flags.encode(to);
                fd.encode(to);
            }
            What::Connect { to: receiver } => {
                to.byte(5);
                receiver.encode(to);
            }
            What::WriteEach { parts } => {
                to.byte(7);
                parts.encode(to);
            }
            What::Splice(splicing) => {
                to.byte(6);
                splicing.encode(to);
            }
        }
    }
}

impl Encode for Wakes {
    fn encode(&self, to: &mut Encoder<'_>) {
        let Wakes { owed, sockets } = self;
        for wake in owed {
            encode_option(wake, to);
        }
        let Some(sockets) = sockets else {
            return to.none();
        };
        let Sockets {
            more,
            holds,
            dropped,
            rights,
            received,
            fds,
        } = &**sockets;
        // As good as none, once everything is given back.
        let files = [dropped, rights, received];
        if holds.is_empty() && files.iter().all(|files| files.is_empty()) && fds.is_empty() {
            return to.none();
        }
        to.byte(1);
        for wake in more {
            encode_option(&Some(*wake), to);
        }
        to.none();
        holds.encode(to);
        for files in files {
            files.encode(to);
        }
        fds.encode(to);
    }
}
