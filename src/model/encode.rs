//! The machine as bytes, the same for machines that no program can tell apart.
//!
//! A history leaves traces in a machine that nobody will ever see: which place in an arena an object got,
//! in which order places were freed, how a tree was rotated, under which number a file was first known.
//! Were these part of equality, an explorer of interleavings would hardly ever come back to a state it
//! knows. So equality and hash of [`Machine`] go by [`Machine::encode`], and by nothing else.
//!
//! **Names.** An object is named by how it is reached. Files are numbered in the order in which one meets
//! them: descriptors of the first process, ascending, then those of the others; what calls in flight hold
//! on to; what calls are about to release. No file is reached otherwise. Items are numbered by file and
//! place on the file's list of watchers; pipes and wait queues as their files are written; an epoll goes
//! by the number of its file. An entry of a wait queue is named by whom it wakes, and within a walk by its
//! place on the queue. All numbers start at 1, so that 0 can stand for "none" and end a sequence.
//!
//! **Why equal bytes mean equal futures.** A step reads operands of its call, fields of objects reached from
//! there, and orders of lists. Each of these is written, unless it follows from what is written:
//!
//! - a file's references are its descriptors and pins; a call's pins are its files;
//! - a pipe's `files`, an item's `linked` and `ovflist_next`, an entry's `whead` say where something stands,
//!   and it is written there; the tree holds the items that name the epoll;
//! - operands and partial results that no later step of the call reads are left out, and so are bytes of
//!   a pipe that have been read.
//!
//! Deadlines are written as time left, because hardly a call reads the clock otherwise. The one that does is
//! timerfd_settime(2) with an absolute time, and of that it is only asked here that what has passed in one of
//! two equal machines has passed in the other.
//!
//! **Why equal futures mean equal bytes**, nearly: `inode`, `label` and `stuck` are left out, which only
//! people see; so is what Linux decides by addresses, and no program can rely on, though the model has
//! to decide it somehow: the order of files in a tree (fdinfo, kcmp(2), the order in which a closed
//! epoll lets go of its items) and the answers of kcmp(2) for different files.
//!
//! Every type writes its own fields, beside their declaration, and takes itself apart without `..`: who adds
//! a field is asked by the compiler whether a program could notice it.

use std::hash::{Hash, Hasher};

use smallvec::SmallVec;

use super::arena::{
    Arena, EpId, FileId, HeadId, Id, InodeId, ItemId, PipeId, ProcId, PtyId, TableId, TcpId, UdpId,
    UnixId, WaitId,
};
use super::file::{Needs, Socket, SocketOps};
use super::list::List;
use super::wait_queue::OnQueue;
use super::{Call, MAX_USER_WATCHES, Machine};
use crate::abi::socket::{Linger, SocketAddrV4};
use crate::abi::{
    Answer, Bytes, EpollEvent, EpollParams, Errno, EventMask, Events, Fd, FdSet, Itimerspec,
    OpenFlags, Out, OutPtr, PollFd, Ptr, Received, Rlimit, Room, SigAction, SigHandler, SockAddr,
    SockOpt, TaskId, Termios, Timespec, WaitStatus,
};

/// What takes part in the state of a machine.
pub(crate) trait Encode {
    fn encode(&self, to: &mut Encoder<'_>);
}

/// What takes part as one number, which can be written together with others.
pub(crate) trait Number {
    fn number(&self, to: &Encoder<'_>) -> u64;
}

impl<T: Number> Encode for T {
    #[inline]
    fn encode(&self, to: &mut Encoder<'_>) {
        to.number(self.number(to));
    }
}

/// A number, or 0 for none.
impl<T: Number> Number for Option<T> {
    #[inline]
    fn number(&self, to: &Encoder<'_>) -> u64 {
        self.as_ref()
            .map_or(0, |some| some.number(to).saturating_add(1))
    }
}

/// Where it is written to, and what things are called there.
pub(crate) struct Encoder<'a> {
    pub(crate) machine: &'a Machine,
    out: &'a mut Vec<u8>,
    /// The files by number, the first at 0.
    met: SmallVec<[FileId; 16]>,
    /// Everything's number by its place in its arena; 0 is not met yet.
    by_place: SmallVec<[u32; 64]>,
    files: Numbers,
    items: Numbers,
    pipes: Numbers,
    ptys: Numbers,
    unix: Numbers,
    udp: Numbers,
    tcp: Numbers,
    inodes: Numbers,
    /// The sockets of all families, in the order in which they were met.
    met_sockets: SmallVec<[Socket; 4]>,
    heads: Numbers,
    tables: Numbers,
}

/// The numbers of one kind of object, in a part of the places of all.
#[derive(Clone, Copy)]
struct Numbers {
    start: usize,
    last: u32,
}

impl Numbers {
    /// Room for one number for each place of an arena, behind that of the others.
    fn new<I: Id, T>(arena: &Arena<I, T>, places: &mut usize) -> Numbers {
        let start = *places;
        *places += arena.places();
        Numbers { start, last: 0 }
    }

    /// Gives the object the next number, unless it has one. `true` if it is new.
    #[inline(always)]
    fn meet(&mut self, by_place: &mut [u32], id: impl Id) -> bool {
        let number = &mut by_place[self.start + id.index()];
        let new = *number == 0;
        if new {
            self.last += 1;
            *number = self.last;
        }
        new
    }

    #[inline(always)]
    fn get(self, by_place: &[u32], id: impl Id) -> u64 {
        let number = by_place[self.start + id.index()];
        debug_assert_ne!(number, 0, "everything is met before it is referred to");
        u64::from(number)
    }
}

impl Encoder<'_> {
    /// In groups of seven bits, the lowest first (LEB128): small numbers take one byte.
    #[inline(always)]
    pub(crate) fn number(&mut self, number: u64) {
        if number < 0x80 {
            self.byte(number.to_le_bytes()[0]);
        } else {
            self.long_number(number);
        }
    }

    fn long_number(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.byte(number.to_le_bytes()[0] | 0x80);
            number >>= 7;
        }
        self.byte(number.to_le_bytes()[0]);
    }

    /// Several at once, which takes hardly longer than one if all are small.
    #[inline(always)]
    pub(crate) fn numbers<const N: usize>(&mut self, numbers: [u64; N]) {
        if numbers.iter().fold(0, |all, number| all | number) < 0x80 {
            let bytes = numbers.map(|number| number.to_le_bytes()[0]);
            self.out.extend_from_slice(&bytes);
        } else {
            for number in numbers {
                self.number(number);
            }
        }
    }

    #[inline(always)]
    pub(crate) fn byte(&mut self, byte: u8) {
        self.out.push(byte);
    }

    /// Their number and themselves.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        bytes.len().encode(self);
        self.out.extend_from_slice(bytes);
    }

    /// The end of a sequence, or nothing where a number could be.
    #[inline(always)]
    pub(crate) fn none(&mut self) {
        self.byte(0);
    }

    /// A file that may be new here.
    #[inline(always)]
    fn meet_file(&mut self, file: FileId) {
        if self.files.meet(&mut self.by_place, file) {
            self.met.push(file);
        }
    }

    /// A descriptor: `ahead` of the last one that was written.
    #[inline(always)]
    pub(crate) fn descriptor(&mut self, ahead: usize, file: FileId, cloexec: bool) {
        self.meet_file(file);
        let meaning = self.files.get(&self.by_place, file) << 1 | u64::from(cloexec);
        self.numbers([ahead.number(self), meaning]);
    }

    /// Items that a list holds, in its order.
    pub(crate) fn list(&mut self, items: impl Iterator<Item = ItemId>) {
        for item in items {
            item.encode(self);
        }
        self.none();
    }

    /// A pipe by its number, and when it is met for the first time all of it.
    pub(crate) fn pipe(&mut self, ends: u64, pipe: PipeId) {
        let new = self.pipes.meet(&mut self.by_place, pipe);
        self.numbers([ends, self.pipes.get(&self.by_place, pipe)]);
        if new {
            let machine = self.machine;
            machine.pipes[pipe].encode(self);
        }
    }

    /// An inode by its number, and when it is met for the first time all of it.
    pub(crate) fn inode(&mut self, inode: InodeId) {
        let new = self.inodes.meet(&mut self.by_place, inode);
        self.number(self.inodes.get(&self.by_place, inode));
        if new {
            let machine = self.machine;
            machine.fs.inode(inode).encode(self);
        }
    }

    /// A pair of terminals by its number, and when it is met for the first time all of it.
    pub(crate) fn pty(&mut self, side: u64, pty: PtyId) {
        let new = self.ptys.meet(&mut self.by_place, pty);
        self.numbers([side, self.ptys.get(&self.by_place, pty)]);
        if new {
            let machine = self.machine;
            machine.ptys[pty].encode(self);
        }
    }

    /// A descriptor table by its number, and when it is met for the first time all of it.
    fn table(&mut self, table: TableId) {
        let new = self.tables.meet(&mut self.by_place, table);
        self.number(self.tables.get(&self.by_place, table));
        if new {
            let machine = self.machine;
            machine.tables[table].encode(self);
        }
    }

    /// A whole wait queue; from here on it can be referred to.
    #[inline(always)]
    pub(crate) fn queue(&mut self, head: HeadId) {
        self.heads.meet(&mut self.by_place, head);
        let machine = self.machine;
        machine.heads[head].encode(self);
    }

    /// An entry of a queue, by its place.
    pub(crate) fn entry(&mut self, head: HeadId, entry: Option<WaitId>) {
        let queue: List<WaitId, OnQueue> = self.machine.heads[head].entries;
        let mut entries = queue.iter(&self.machine.waits);
        match entry.map(|entry| entries.position(|other| other == entry)) {
            None => self.none(),
            Some(place) => {
                let place = place.expect("a walk stands on the queue that it walks");
                (place + 1).encode(self);
            }
        }
    }

    /// The time left until a moment.
    pub(crate) fn until(&self, moment: u64) -> u64 {
        moment.saturating_sub(self.machine.now)
    }

    fn processes_and_files(&mut self) {
        let machine = self.machine;
        for task in machine.tasks.iter().filter(|task| task.life.has_files()) {
            self.table(task.files);
        }
        self.none();
        machine.processes.len().encode(self);
        for process in &machine.processes {
            process.encode(self);
        }
        for task in &machine.tasks {
            for file in &task.pinned {
                self.meet_file(*file);
            }
            for hook in &task.poll_hooks {
                self.meet_file(hook.file);
            }
            let mut held = Vec::new();
            if let Some(call) = &task.call {
                call.holds(&mut held);
            }
            for file in held {
                self.meet_file(file);
            }
        }
        for call in machine.tasks.iter().filter_map(|task| task.call.as_ref()) {
            for file in call.releasing() {
                self.meet_file(*file);
            }
        }
        self.meet_sockets();
        self.met.len().encode(self);
        for number in 0..self.met.len() {
            let file = &machine.files[self.met[number]];
            for item in file.f_ep.iter(&machine.items_rest) {
                self.items.meet(&mut self.by_place, item);
                machine.encode_item(item, self);
            }
        }
        self.none();
        for number in 0..self.met_sockets.len() {
            self.met_sockets[number].encode_socket(self);
        }
        // What stands on lists and queues can be named only now.
        for number in 0..self.met.len() {
            machine.files[self.met[number]].encode(self);
        }
        self.queues_in_use(machine.processes.iter().map(|one| Some(one.signalfd_wqh)));
        self.queues_in_use(machine.tasks.iter().map(|task| task.wait_pidfd));
    }

    /// Queues that do not belong to a file, as far as somebody stands there.
    fn queues_in_use(&mut self, heads: impl Iterator<Item = Option<HeadId>>) {
        let machine = self.machine;
        for (index, id) in heads.enumerate() {
            let Some(id) = id else { continue };
            self.heads.meet(&mut self.by_place, id);
            let head = &machine.heads[id];
            if !head.entries.is_empty() || head.lock.is_some() {
                self.number(index.number(self) + 1);
                head.encode(self);
            }
        }
        self.none();
    }

    /// Sockets lead to each other, in rings even, and to files that are on their way in a message: all of
    /// them get their numbers before any is written.
    fn meet_sockets(&mut self) {
        let machine = self.machine;
        if !machine.has_sockets() {
            return;
        }
        let mut held = Vec::new();
        for call in machine.tasks.iter().filter_map(|task| task.call.as_ref()) {
            call.sockets(&mut held);
        }
        for socket in held {
            self.meet_socket(socket);
        }
        let (mut file, mut socket) = (0, 0);
        loop {
            if let Some(met) = self.met.get(file) {
                if let Some(socket) = machine.socket_of(*met) {
                    self.meet_socket(socket);
                }
                file += 1;
            } else if let Some(met) = self.met_sockets.get(socket) {
                let mut needs = Needs::default();
                met.needs(machine, &mut needs);
                for other in needs.sockets {
                    self.meet_socket(other);
                }
                for file in needs.files {
                    self.meet_file(file);
                }
                socket += 1;
            } else {
                break;
            }
        }
        // Those that only segments can reach, by their addresses.
        for socket in machine.tcp_by_address() {
            self.meet_socket(Socket::Tcp(socket));
        }
    }

    fn meet_socket(&mut self, socket: Socket) {
        let by_place = &mut self.by_place;
        let new = match socket {
            Socket::Unix(id) => self.unix.meet(by_place, id),
            Socket::Udp(id) => self.udp.meet(by_place, id),
            Socket::Tcp(id) => self.tcp.meet(by_place, id),
        };
        if new {
            self.met_sockets.push(socket);
        }
    }

    /// By uid. Who has no watches may never have had any.
    fn watches(&mut self) {
        let machine = self.machine;
        let holders = || machine.watches.iter().filter(|(_, count)| *count > 0);
        let mut next = holders().min();
        while let Some((uid, count)) = next {
            self.numbers([*count, u64::from(*uid)]);
            next = holders().filter(|(other, _)| other > uid).min();
        }
        self.none();
    }
}

impl Machine {
    /// Appends the state as bytes.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        let Machine {
            now: _, // all other moments are written as time from it
            max_user_watches,
            files,
            pipes,
            ptys,
            timerfds: _,  // written with their files
            inotifies: _, // the same
            unix,
            udp,
            tcp,
            net,
            fs,
            epolls: _,
            items,
            items_rest: _, // written with the items
            rb: _,
            epnested_mutex: _, // the call that has it says so
            heads,
            waits: _,
            tables,
            processes: _,
            tasks,
            watches: _,
            handled: _, // nobody inside reads it
            inodes: _,
            variants,
            works: _, // pieces of work are written with the files that have them
        } = self;
        let mut places = 0;
        let mut to = Encoder {
            machine: self,
            out,
            met: SmallVec::new(),
            files: Numbers::new(files, &mut places),
            items: Numbers::new(items, &mut places),
            pipes: Numbers::new(pipes, &mut places),
            ptys: Numbers::new(ptys, &mut places),
            unix: Numbers::new(unix, &mut places),
            udp: Numbers::new(udp, &mut places),
            tcp: Numbers::new(tcp, &mut places),
            inodes: Numbers::new(fs.arena(), &mut places),
            met_sockets: SmallVec::new(),
            heads: Numbers::new(heads, &mut places),
            tables: Numbers::new(tables, &mut places),
            by_place: SmallVec::new(),
        };
        to.by_place.resize(places, 0);
        // Hardly anybody writes it.
        to.number(*max_user_watches ^ MAX_USER_WATCHES);
        to.watches();
        to.processes_and_files();
        tasks.as_slice().encode(&mut to);
        if !net.is_unused() {
            net.encode(&mut to);
        }
        // Neither is there mostly. A directory that holds nothing is as good as none.
        let root = fs.root().filter(|root| !fs.is_empty(*root));
        if !variants.is_empty() || root.is_some() {
            to.number(variants.number());
        }
        if let Some(root) = root {
            to.inode(root);
        }
    }

    fn encoded(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(128);
        self.encode(&mut out);
        out
    }
}

impl PartialEq for Machine {
    fn eq(&self, other: &Machine) -> bool {
        self.encoded() == other.encoded()
    }
}

impl Eq for Machine {}

impl Hash for Machine {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.encoded().hash(state);
    }
}

/// For enums without fields: the number of the variant.
macro_rules! variant_is_number {
    ($($type:ty),+) => {$(
        impl $crate::model::encode::Number for $type {
            #[inline]
            #[expect(clippy::as_conversions, reason = "the number of a variant")]
            fn number(&self, _: &$crate::model::encode::Encoder<'_>) -> u64 {
                *self as u64
            }
        }
    )+};
}
pub(crate) use variant_is_number;

macro_rules! ids_are_numbers {
    ($($id:ty, $numbers:ident;)+) => {$(
        impl Number for $id {
            #[inline]
            fn number(&self, to: &Encoder<'_>) -> u64 {
                to.$numbers.get(&to.by_place, *self)
            }
        }
    )+};
}

ids_are_numbers! {
    FileId, files;
    ItemId, items;
    HeadId, heads;
    UnixId, unix;
    UdpId, udp;
    TcpId, tcp;
}

impl Number for EpId {
    #[inline]
    fn number(&self, to: &Encoder<'_>) -> u64 {
        to.machine.epolls[*self].file.number(to)
    }
}

impl Number for ProcId {
    #[inline]
    fn number(&self, to: &Encoder<'_>) -> u64 {
        self.index().number(to)
    }
}

impl Call {
    /// A number for the variant, not 0, and what it holds.
    pub(crate) fn to_encode(&self) -> (u64, &dyn Encode) {
        match self {
            Call::EpollWait(call) => (1, &**call),
            Call::EpollCtl(call) => (2, &**call),
            Call::Transfer(call) => (3, &**call),
            Call::PipeResize(call) => (4, &**call),
            Call::TtyChange(call) => (25, &**call),
            Call::Poll(call) => (5, &**call),
            Call::Wait4(call) => (6, &**call),
            Call::Fdinfo(call) => (7, &**call),
            Call::SocketChange(call) => (12, &**call),
            Call::Release(call) => (8, &**call),
            Call::Exit(call) => (9, &**call),
            Call::Sleep(call) => (10, &**call),
            Call::Deliver(call) => (11, &**call),
            Call::SetTicks(call) => (13, &**call),
            Call::Open(call) => (14, &**call),
            Call::SetSignals(call) => (16, &**call),
            Call::Kill(call) => (15, &**call),
            Call::Deferred(call) => (17, &**call),
        }
    }
}

/// What programs and kernels agree on.
macro_rules! these_are_numbers {
    ($($type:ty, $value:ident => $number:expr;)+) => {$(
        impl Number for $type {
            #[inline]
            fn number(&self, _: &Encoder<'_>) -> u64 {
                let $value = *self;
                $number
            }
        }
    )+};
}

these_are_numbers! {
    u64, n => n;
    u32, n => u64::from(n);
    u8, n => u64::from(n);
    i32, n => u64::from(n.cast_unsigned());
    i64, n => n.cast_unsigned();
    usize, n => u64::try_from(n).unwrap_or(u64::MAX);
    bool, b => u64::from(b);
    Fd, fd => u64::from(fd.0.cast_unsigned());
    TaskId, task => u64::from(task.0);
    Errno, errno => u64::from(errno.0.cast_unsigned());
    // The private bits are the highest: rotated down, the usual masks take one byte or two.
    EventMask, mask => u64::from(mask.bits().rotate_left(4));
    SocketAddrV4, addr => u64::from(addr.ip().to_bits()) << 16 | u64::from(addr.port());
    OpenFlags, flags => u64::from((flags - OpenFlags::NONBLOCK).bits()) << 1
        | u64::from(flags.contains(OpenFlags::NONBLOCK));
}

/// What is more than a number, or 0 for none.
pub(crate) fn encode_option<T: Encode>(option: &Option<T>, to: &mut Encoder<'_>) {
    match option {
        None => to.none(),
        Some(some) => {
            to.byte(1);
            some.encode(to);
        }
    }
}

impl<T: Encode> Encode for [T] {
    fn encode(&self, to: &mut Encoder<'_>) {
        self.len().encode(to);
        for one in self {
            one.encode(to);
        }
    }
}

impl<T: Encode, const N: usize> Encode for [T; N] {
    fn encode(&self, to: &mut Encoder<'_>) {
        for one in self {
            one.encode(to);
        }
    }
}

impl<T: Encode> Encode for Vec<T> {
    fn encode(&self, to: &mut Encoder<'_>) {
        self.as_slice().encode(to);
    }
}

impl Encode for Events {
    fn encode(&self, to: &mut Encoder<'_>) {
        (**self).encode(to);
    }
}

impl Encode for Bytes {
    fn encode(&self, to: &mut Encoder<'_>) {
        to.bytes(self);
    }
}

impl Encode for String {
    fn encode(&self, to: &mut Encoder<'_>) {
        to.bytes(self.as_bytes());
    }
}

impl<T: Encode> Encode for Ptr<T> {
    fn encode(&self, to: &mut Encoder<'_>) {
        match self {
            Ptr::To(value) => {
                to.byte(0);
                value.encode(to);
            }
            Ptr::Addr(addr) => {
                to.byte(1);
                addr.encode(to);
            }
        }
    }
}

impl Encode for OutPtr {
    fn encode(&self, to: &mut Encoder<'_>) {
        let numbers = match self {
            OutPtr::Memory(Room::Plenty) => [0, 0],
            OutPtr::Memory(Room::Frozen) => [1, 0],
            OutPtr::Memory(Room::Bytes(room)) => [2, *room],
            OutPtr::Addr(addr) => [3, *addr],
        };
        to.numbers(numbers);
    }
}

impl Encode for Box<SockAddr> {
    fn encode(&self, to: &mut Encoder<'_>) {
        match &**self {
            SockAddr::Abstract(name) => {
                to.byte(0);
                to.bytes(name);
            }
            SockAddr::Unnamed => to.byte(1),
            SockAddr::Inet(addr) => {
                to.byte(2);
                addr.encode(to);
            }
        }
    }
}

impl Encode for SockOpt {
    fn encode(&self, to: &mut Encoder<'_>) {
        match self {
            SockOpt::Int(int) => to.numbers([0, int.number(to)]),
            SockOpt::Linger(Linger { onoff, seconds }) => {
                to.numbers([1, onoff.number(to), seconds.number(to)]);
            }
        }
    }
}

impl Encode for EpollEvent {
    fn encode(&self, to: &mut Encoder<'_>) {
        let EpollEvent { events, data } = self;
        events.encode(to);
        data.encode(to);
    }
}

impl Encode for EpollParams {
    fn encode(&self, to: &mut Encoder<'_>) {
        let EpollParams {
            busy_poll_usecs,
            busy_poll_budget,
            prefer_busy_poll,
            pad,
        } = self;
        busy_poll_usecs.encode(to);
        u32::from(*busy_poll_budget).encode(to);
        to.byte(*prefer_busy_poll);
        to.byte(*pad);
    }
}

impl Encode for Rlimit {
    fn encode(&self, to: &mut Encoder<'_>) {
        let Rlimit { rlim_cur, rlim_max } = self;
        rlim_cur.encode(to);
        rlim_max.encode(to);
    }
}

impl Encode for SigAction {
    fn encode(&self, to: &mut Encoder<'_>) {
        let SigAction {
            handler,
            flags,
            mask,
        } = self;
        let handler = match handler {
            SigHandler::Default => 0,
            SigHandler::Ignore => 1,
            SigHandler::Handle => 2,
        };
        to.numbers([handler, u64::from(flags.bits().rotate_left(4)), mask.0]);
    }
}

impl Encode for Timespec {
    fn encode(&self, to: &mut Encoder<'_>) {
        let Timespec { tv_sec, tv_nsec } = self;
        to.numbers([tv_sec.number(to), tv_nsec.number(to)]);
    }
}

impl Encode for Itimerspec {
    fn encode(&self, to: &mut Encoder<'_>) {
        let Itimerspec {
            it_interval,
            it_value,
        } = self;
        it_interval.encode(to);
        it_value.encode(to);
    }
}

impl Encode for Termios {
    fn encode(&self, to: &mut Encoder<'_>) {
        let Termios {
            c_iflag,
            c_oflag,
            c_cflag,
            c_lflag,
            vmin,
            vtime,
        } = self;
        for flags in [c_iflag, c_oflag, c_cflag, c_lflag] {
            flags.encode(to);
        }
        to.byte(*vmin);
        to.byte(*vtime);
    }
}

impl Encode for WaitStatus {
    fn encode(&self, to: &mut Encoder<'_>) {
        let (number, status) = match self {
            WaitStatus::Exited(status) => (0, *status),
            WaitStatus::Signaled(signal) => (1, signal.0),
            WaitStatus::Stopped(signal) => (2, signal.0),
            WaitStatus::Continued => (3, 0),
        };
        to.byte(number);
        status.encode(to);
    }
}

impl Encode for PollFd {
    fn encode(&self, to: &mut Encoder<'_>) {
        let PollFd {
            fd,
            events,
            revents,
        } = self;
        fd.encode(to);
        events.encode(to);
        revents.encode(to);
    }
}

impl Encode for FdSet {
    fn encode(&self, to: &mut Encoder<'_>) {
        self.len().encode(to);
        for fd in self.iter() {
            fd.encode(to);
        }
    }
}

impl Encode for Answer {
    fn encode(&self, to: &mut Encoder<'_>) {
        match self {
            Answer::Done(value, out) => {
                to.byte(0);
                value.encode(to);
                out.encode(to);
            }
            Answer::Failed(errno, out) => {
                to.byte(1);
                errno.encode(to);
                out.encode(to);
            }
            Answer::Blocked => to.byte(2),
            Answer::Gone => to.byte(3),
        }
    }
}

impl Encode for Out {
    fn encode(&self, to: &mut Encoder<'_>) {
        let (number, out): (u8, &dyn Encode) = match self {
            Out::None => return to.byte(0),
            Out::Events(events) => (1, events),
            Out::TornEvent(mask) => (2, mask),
            Out::Pipe(read, write) => (3, &[*read, *write]),
            Out::Bytes(bytes) => (4, bytes),
            Out::PollFds(fds) => (5, fds),
            Out::FdSets(sets) => {
                to.byte(6);
                return sets.iter().for_each(|set| encode_option(set, to));
            }
            Out::Int(int) => (7, int),
            Out::SockOpt(value) => (16, value),
            Out::SockAddr(addr) => (17, addr),
            Out::From(from) => {
                to.byte(18);
                from.0.encode(to);
                return encode_option(&from.1, to);
            }
            Out::Message(message) => {
                let Received { bytes, fds, flags } = &**message;
                to.byte(20);
                bytes.encode(to);
                flags.bits().encode(to);
                return fds.encode(to);
            }
            Out::Params(params) => (8, params),
            Out::Status(status) => (9, status),
            Out::Rlimit(limit) => (10, limit),
            Out::Text(text) => (11, text),
            Out::SigSet(set) => (12, &set.0),
            Out::SigAction(action) => (13, action),
            Out::Timespec(time) => (14, time),
            Out::Itimerspec(timer) => (15, &**timer),
            Out::Signals(signals) => (19, signals),
            Out::Siginfo(info) => (20, info),
            Out::Inotify(events) => (21, events),
            Out::Termios(termios) => (22, &**termios),
        };
        to.byte(number);
        out.encode(to);
    }
}
