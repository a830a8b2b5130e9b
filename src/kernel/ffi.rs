//! Everything that Rust cannot check: the shared mapping, raw system calls, processes and threads.
//!
//! The lab makes wrong system calls on purpose, so nothing here may be "safe by type". What makes it
//! sound all the same is a small contract: pointers that reach [`execute`] lead into the [`Board`] or to
//! addresses where nothing is mapped (`encode.rs` sees to that), so a call can damage nothing
//! but the board; and code behind [`fork`] uses no part of `std` that takes a lock or allocates.
#![allow(
    unsafe_code,
    reason = "the one file that talks to the kernel without the help of std"
)]

use std::cell::Cell;
use std::io;
use std::mem::{offset_of, zeroed};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::ptr::{NonNull, null, null_mut};
use std::sync::atomic::{AtomicPtr, AtomicU32, Ordering::SeqCst};
use std::time::Duration;

use super::board::{
    BYTES, CONTROL_BYTES, CONTROLS, Control, ENTRIES, ENTRY_BYTES, Entry, HEADER_BYTES, Header,
    LEG_BYTES, Leg, SLOT_DATA, SLOTS, TASK_SLOTS,
};

/// The memory that controller and subject share, at the same address in both.
///
/// A plain address: it is copied into every process of the subject by fork(2). The controller's copy ends
/// with [`Board::unmap`].
#[repr(transparent)]
#[derive(Clone, Copy, Debug)]
pub(super) struct Board(NonNull<u8>);

// SAFETY: an address that is good in every thread. What lies there is read and written through atomics, or
// as bytes that no Rust reference covers.
unsafe impl Send for Board {}

const _: () = assert!(size_of::<Header>() <= HEADER_BYTES);
const _: () = assert!(size_of::<Control>() == CONTROL_BYTES);
const _: () = assert!(offset_of!(Control, done) >= 128);
const _: () = assert!(size_of::<Leg>() == LEG_BYTES);
const _: () = assert!(size_of::<Entry>() == ENTRY_BYTES);

impl Board {
    /// New memory, all zero, of which only what is touched costs anything.
    pub(super) fn map() -> io::Result<Board> {
        // SAFETY: an anonymous mapping at an address of the kernel's choice touches nothing that exists.
        let at = unsafe {
            libc::mmap(
                null_mut(),
                BYTES,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE,
                -1,
                0,
            )
        };
        match NonNull::new(at.cast::<u8>()) {
            Some(base) if at != libc::MAP_FAILED => Ok(Board(base)),
            _ => Err(io::Error::last_os_error()),
        }
    }

    /// Ends the mapping in this process. Nothing may use the board afterwards.
    pub(super) fn unmap(self) {
        // SAFETY: `self` came from `map`; only `Linux::drop` calls this, with the last copy of this process.
        unsafe { libc::munmap(self.0.as_ptr().cast(), BYTES) };
    }

    /// Where it lies, in every process.
    pub(super) fn base(self) -> u64 {
        self.0.as_ptr().expose_provenance() as u64
    }

    /// The words that belong to no slot.
    pub(super) fn header(&self) -> &Header {
        // SAFETY: the mapping starts with a Header, page-aligned; it consists of atomics, for which
        // every bit pattern is valid and which other processes may change at any time.
        unsafe { self.0.cast::<Header>().as_ref() }
    }

    /// The words of one slot.
    pub(super) fn control(&self, slot: usize) -> &Control {
        let slot = slot.min(SLOTS - 1);
        // SAFETY: behind the log lie SLOTS Controls, aligned to their size; all atomics, as above.
        unsafe {
            self.0
                .byte_add(CONTROLS + slot * CONTROL_BYTES)
                .cast::<Control>()
                .as_ref()
        }
    }

    /// The entry of the log that has this number, or that had it before.
    pub(super) fn entry(&self, number: u32) -> &Entry {
        let index = number as usize % ENTRIES;
        // SAFETY: behind the header lie ENTRIES entries, aligned to their size; all atomics, as above.
        unsafe {
            self.0
                .byte_add(HEADER_BYTES + index * ENTRY_BYTES)
                .cast::<Entry>()
                .as_ref()
        }
    }

    /// A call of a slot's race.
    pub(super) fn leg(&self, slot: usize, index: usize) -> &Leg {
        let at = self.leg_at(slot.min(TASK_SLOTS - 1), index);
        let offset = self.offset(at, LEG_BYTES);
        // SAFETY: checked to lie in the mapping, and a multiple of its size, as everything before it is; all
        // atomics, as above.
        unsafe { self.0.byte_add(offset).cast::<Leg>().as_ref() }
    }

    /// The offset of `len` bytes at `addr`, which must lie in the mapping.
    fn offset(self, addr: u64, len: usize) -> usize {
        let offset = addr.wrapping_sub(self.base()) as usize;
        assert!(
            (SLOT_DATA..=BYTES).contains(&offset) && len <= BYTES - offset,
            "an address outside the board's data"
        );
        offset
    }

    /// Stores bytes where no call is at work.
    pub(super) fn write(self, addr: u64, bytes: &[u8]) {
        let offset = self.offset(addr, bytes.len());
        // SAFETY: checked to lie in the mapping, which no Rust reference covers there.
        unsafe {
            std::ptr::copy_nonoverlapping(bytes.as_ptr(), self.0.as_ptr().add(offset), bytes.len());
        }
    }

    /// Stores one byte many times.
    pub(super) fn fill(self, addr: u64, len: usize, byte: u8) {
        let offset = self.offset(addr, len);
        // SAFETY: as in `write`.
        unsafe { std::ptr::write_bytes(self.0.as_ptr().add(offset), byte, len) };
    }

    /// Loads bytes where no call is at work any more.
    pub(super) fn read(self, addr: u64, into: &mut [u8]) {
        let offset = self.offset(addr, into.len());
        // SAFETY: checked to lie in the mapping; the destination is a slice of this process.
        unsafe {
            std::ptr::copy_nonoverlapping(
                self.0.as_ptr().add(offset),
                into.as_mut_ptr(),
                into.len(),
            );
        }
    }

    /// Takes the pages away from under every process that maps them: the next touch finds a hole.
    pub(super) fn punch(self, addr: u64, len: usize) -> io::Result<()> {
        let offset = self.offset(addr, len);
        // SAFETY: whole pages inside the mapping, in which the lab keeps no value that it still wants.
        let ret =
            unsafe { libc::madvise(self.0.as_ptr().add(offset).cast(), len, libc::MADV_REMOVE) };
        checked(ret.into()).map(drop)
    }
}

fn checked(ret: i64) -> io::Result<i64> {
    if ret == -1 {
        Err(io::Error::last_os_error())
    } else {
        Ok(ret)
    }
}

fn errno() -> i64 {
    // SAFETY: the address of this thread's errno is always valid.
    unsafe { *libc::__errno_location() }.into()
}

/// The system call, whatever it is: its value, or the negative errno as the kernel itself returns it.
pub(super) fn execute(nr: i64, args: [u64; 6]) -> i64 {
    let [a, b, c, d, e, f] = args;
    // SAFETY: by the contract of this file the pointers among the arguments lead into the board or nowhere.
    let ret = unsafe { libc::syscall(nr, a, b, c, d, e, f) };
    if ret == -1 { -errno() } else { ret }
}

/// Sleeps while `word` holds `value`, until [`futex_wake`] or the time is over.
pub(super) fn futex_wait(word: &AtomicU32, value: u32, limit: Option<Duration>) {
    let limit = limit.map(|limit| libc::timespec {
        tv_sec: limit.as_secs() as i64,
        tv_nsec: limit.subsec_nanos().into(),
    });
    let limit: *const libc::timespec = limit.as_ref().map_or(null(), |limit| limit);
    // SAFETY: word and time live across the call. Not FUTEX_PRIVATE: the waker is another process.
    unsafe {
        libc::syscall(
            libc::SYS_futex,
            word.as_ptr(),
            libc::FUTEX_WAIT,
            value,
            limit,
        )
    };
}

/// Wakes who sleeps on `word`.
pub(super) fn futex_wake(word: &AtomicU32) {
    // SAFETY: the word is only used as a key.
    unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), libc::FUTEX_WAKE, i32::MAX) };
}

/// fork(2) through the C library, which keeps its allocator and its list of threads usable in the
/// child. The child gets 0; an error is negative.
pub(super) fn fork() -> i64 {
    // SAFETY: the child only runs `child.rs`, which neither returns nor touches std's locks.
    let pid = unsafe { libc::fork() };
    if pid == -1 { -errno() } else { pid.into() }
}

/// Runs [`child::first`](super::child::first) where no panic can reach the copy of the caller's stack.
pub(super) extern "C" fn first(board: Board, parent: i32, network: i32) -> ! {
    super::child::first(board, parent, network)
}

/// Runs [`child::guard`](super::child::guard), in the same way.
pub(super) extern "C" fn guard(board: Board, controller: i32, group: i32) -> ! {
    super::child::guard(board, controller, group)
}

/// Starts a thread that serves `slot`.
pub(super) fn start_thread(board: Board, slot: usize) -> i64 {
    extern "C" fn run(arg: *mut libc::c_void) -> *mut libc::c_void {
        // The board begins on a page, so its address has room for the number of the slot.
        let addr = arg.addr();
        let base = arg.cast::<u8>().map_addr(|addr| addr & !0xfff);
        let Some(base) = NonNull::new(base) else {
            quit(1)
        };
        super::child::thread(Board(base), addr & 0xfff)
    }
    // SAFETY: plain data, filled in by pthread_create.
    let mut thread: libc::pthread_t = unsafe { zeroed() };
    let arg = board.0.as_ptr().map_addr(|base| base | slot);
    // The new thread takes our mask, and no signal before it has its own.
    let mask = set_signal_mask(!0);
    // SAFETY: `run` never returns and its argument is a number that stays valid as long as the board.
    let ret = unsafe { libc::pthread_create(&raw mut thread, null(), run, arg.cast()) };
    set_signal_mask(mask);
    -i64::from(ret)
}

/// Leaves without any of the things that a program does on its way out.
pub(super) fn quit(status: i32) -> ! {
    // SAFETY: ends the process.
    unsafe { libc::_exit(status) }
}

/// `struct sigaction` as the kernel has it (include/linux/signal_types.h): the C library's has another order.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
struct KernelSigaction {
    handler: u64,
    flags: u64,
    restorer: u64,
    mask: u64,
}

/// `sizeof(sigset_t)` of the kernel.
const SIGSET_BYTES: u64 = 8;

/// The board, for signal handlers.
static BOARD: AtomicPtr<u8> = AtomicPtr::new(null_mut());

thread_local! {
    /// The slot that this thread serves, for signal handlers.
    static SLOT: Cell<u32> = const { Cell::new(0) };
}

/// Notes for its signal handlers which slot the calling thread serves.
pub(super) fn serve_slot(slot: usize) {
    SLOT.set(slot as u32);
}

/// The address of the one signal handler that scenarios have.
///
/// It notes on the board that it runs, and what it was told. That is all, so it may interrupt anything.
pub(super) fn handler() -> u64 {
    extern "C" fn note(_: i32, info: *const libc::siginfo_t, context: *const libc::ucontext_t) {
        let Some(base) = NonNull::new(BOARD.load(SeqCst)) else {
            return;
        };
        let board = Board(base);
        let header = board.header();
        let number = header.entries.fetch_add(1, SeqCst);
        if number.wrapping_sub(header.taken.load(SeqCst)) as usize >= ENTRIES {
            header.lost.store(1, SeqCst);
            return;
        }
        let entry = board.entry(number);
        // SAFETY: the kernel passes both to a handler with SA_SIGINFO. The fields of a union of numbers are
        // there whatever they mean.
        let (info, registers) = unsafe {
            let (info, status) = (&*info, (*info).si_status());
            let numbers = [
                info.si_signo,
                info.si_code,
                info.si_pid(),
                info.si_uid() as i32,
                status,
            ];
            (numbers, (*context).uc_mcontext.gregs)
        };
        entry
            .ticket
            .store(header.tickets.fetch_add(1, SeqCst), SeqCst);
        entry.slot.store(SLOT.get(), SeqCst);
        for (word, number) in entry.info.iter().zip(info) {
            word.store(number, SeqCst);
        }
        let interrupted = registers[libc::REG_RIP as usize].cast_unsigned();
        entry
            .nested
            .store(u32::from(interrupted == handler()), SeqCst);
        let stack = registers[libc::REG_RSP as usize].cast_unsigned();
        entry.stack.store(stack, SeqCst);
        entry.ready.store(1, SeqCst);
    }
    let handler: extern "C" fn(i32, *const libc::siginfo_t, *const libc::ucontext_t) = note;
    handler as usize as u64
}

/// Finds out where handlers return to, which the kernel leaves to the C library: install one through it, and
/// look at what it made of that.
pub(super) fn learn_restorer(board: Board) {
    BOARD.store(board.0.as_ptr(), SeqCst);
    // SAFETY: all zero is SIG_DFL without flags and with an empty mask.
    let mut action: libc::sigaction = unsafe { zeroed() };
    action.sa_sigaction = handler() as usize;
    let mut installed = KernelSigaction::default();
    let (signal, at) = (
        libc::SIGUSR1 as u64,
        (&raw mut installed).expose_provenance() as u64,
    );
    // SAFETY: a valid action.
    unsafe { libc::sigaction(libc::SIGUSR1, &raw const action, null_mut()) };
    execute(libc::SYS_rt_sigaction, [signal, 0, at, SIGSET_BYTES, 0, 0]);
    board.header().restorer.store(installed.restorer, SeqCst);
    let default = KernelSigaction::default();
    let default = (&raw const default).expose_provenance() as u64;
    execute(
        libc::SYS_rt_sigaction,
        [signal, default, 0, SIGSET_BYTES, 0, 0],
    );
}

/// Every signal to its default, and none blocked. Past the C library, which keeps 32 and 33 to itself.
pub(super) fn default_signals() {
    let default = KernelSigaction::default();
    let default = (&raw const default).expose_provenance() as u64;
    for signal in 1..=64 {
        // SIGKILL and SIGSTOP cannot be set and need not be.
        execute(
            libc::SYS_rt_sigaction,
            [signal, default, 0, SIGSET_BYTES, 0, 0],
        );
    }
    set_signal_mask(0);
}

/// Blocks every signal for the calling thread.
pub(super) fn block_signals() {
    set_signal_mask(!0);
}

/// Blocks these signals and no others for the calling thread. Returns those that were blocked.
pub(super) fn set_signal_mask(mask: u64) -> u64 {
    let how = libc::SIG_SETMASK as u64;
    let mut before = 0_u64;
    let (new, old) = (
        (&raw const mask).expose_provenance() as u64,
        (&raw mut before).expose_provenance() as u64,
    );
    execute(
        libc::SYS_rt_sigprocmask,
        [how, new, old, SIGSET_BYTES, 0, 0],
    );
    before
}

/// Sleeps until this signal, which has to be blocked, is sent.
pub(super) fn await_signal(signal: i32) {
    let set = 1_u64 << (signal - 1);
    let set = (&raw const set).expose_provenance() as u64;
    let wait = || execute(libc::SYS_rt_sigtimedwait, [set, 0, 0, SIGSET_BYTES, 0, 0]);
    while wait() != i64::from(signal) {}
}

/// What one of the machine's clocks shows, if there is such a clock.
pub(super) fn clock(clockid: i32) -> Option<Duration> {
    // SAFETY: plain data, filled in by clock_gettime.
    let mut time: libc::timespec = unsafe { zeroed() };
    // SAFETY: `time` is writable.
    let ret = unsafe { libc::clock_gettime(clockid, &raw mut time) };
    let seconds = u64::try_from(time.tv_sec).ok()?;
    (ret == 0).then(|| Duration::new(seconds, time.tv_nsec as u32))
}

/// The calling thread's number.
pub(super) fn gettid() -> i32 {
    // SAFETY: takes nothing.
    unsafe { libc::gettid() }
}

/// Undoes that SIGCHLD is ignored in the calling process, if it is: then ended children leave no zombies, and
/// their numbers may mean somebody else at any time.
pub(super) fn keep_zombies() {
    // SAFETY: plain data, filled in by sigaction.
    let mut action: libc::sigaction = unsafe { zeroed() };
    // SAFETY: `action` is writable.
    unsafe { libc::sigaction(libc::SIGCHLD, null(), &raw mut action) };
    if action.sa_sigaction == libc::SIG_IGN || action.sa_flags & libc::SA_NOCLDWAIT != 0 {
        if action.sa_sigaction == libc::SIG_IGN {
            action.sa_sigaction = libc::SIG_DFL;
        }
        action.sa_flags &= !libc::SA_NOCLDWAIT;
        // SAFETY: the action that was in force, with less in it.
        unsafe { libc::sigaction(libc::SIGCHLD, &raw const action, null_mut()) };
    }
}

/// The real user.
pub(super) fn getuid() -> u32 {
    // SAFETY: takes nothing.
    unsafe { libc::getuid() }
}

/// The effective user.
pub(super) fn geteuid() -> u32 {
    // SAFETY: takes nothing.
    unsafe { libc::geteuid() }
}

/// The processors that this process may run on.
pub(super) fn processors() -> Vec<usize> {
    // SAFETY: plain bits, filled in by sched_getaffinity; CPU_ISSET looks within them only.
    unsafe {
        let mut set: libc::cpu_set_t = zeroed();
        libc::sched_getaffinity(0, size_of_val(&set), &raw mut set);
        let all = 0..libc::CPU_SETSIZE as usize;
        all.filter(|n| libc::CPU_ISSET(*n, &set)).collect()
    }
}

/// The one processor as sched_setaffinity(2) takes it.
pub(super) fn processor_mask(processor: usize) -> Vec<u8> {
    let mut mask = vec![0; size_of::<libc::cpu_set_t>()];
    if let Some(byte) = mask.get_mut(processor / 8) {
        *byte = 1 << (processor % 8);
    }
    mask
}

/// Lets the calling thread run on these processors only. `false` if none of them is on.
pub(super) fn run_on(processors: &[usize]) -> bool {
    // SAFETY: plain bits; CPU_SET looks within them only.
    let set = unsafe {
        let mut set: libc::cpu_set_t = zeroed();
        for processor in processors {
            libc::CPU_SET(*processor, &mut set);
        }
        set
    };
    // SAFETY: `set` is readable, and as large as said.
    unsafe { libc::sched_setaffinity(0, size_of_val(&set), &raw const set) == 0 }
}

/// Gives the calling thread a network of its own, with nothing in it.
pub(super) fn leave_network() -> io::Result<()> {
    // SAFETY: takes flags only.
    checked(unsafe { libc::unshare(libc::CLONE_NEWNET) }.into()).map(drop)
}

/// `ip link set lo up` in the network of the calling thread.
pub(super) fn bring_up_loopback() -> io::Result<()> {
    // SAFETY: takes numbers only.
    let socket = owned(unsafe {
        let kind = libc::SOCK_DGRAM | libc::SOCK_CLOEXEC;
        libc::syscall(libc::SYS_socket, libc::AF_INET, kind, 0)
    })?;
    // SAFETY: all zero is a request about a device without a name.
    let mut request: libc::ifreq = unsafe { zeroed() };
    request.ifr_name[..2].copy_from_slice(&[b'l' as libc::c_char, b'o' as libc::c_char]);
    request.ifr_ifru.ifru_flags = (libc::IFF_UP | libc::IFF_RUNNING) as i16;
    // SAFETY: a request as the kernel takes it.
    let set = unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS, &raw mut request) };
    checked(set.into()).map(drop)
}

/// Gives the processor to somebody else.
pub(super) fn sched_yield() {
    // SAFETY: takes nothing.
    unsafe { libc::sched_yield() };
}

/// SIGKILL for every process of a group.
pub(super) fn kill_group(group: i32) {
    // SAFETY: takes numbers only.
    unsafe { libc::kill(-group, libc::SIGKILL) };
}

/// Waits until whoever is just becoming a zombie has told its parent. Both happen under the lock on the list of
/// tasks, and asking whether a group exists takes it too.
pub(super) fn await_exit_notice(group: i32) {
    // SAFETY: signal 0 is none. Our own subject's group: it was not reaped yet.
    unsafe { libc::kill(-group, 0) };
}

/// SIGKILL for the guard.
pub(super) fn kill_guard(pid: i32) {
    // SAFETY: a child that was not reaped yet, so the number cannot mean anybody else.
    unsafe { libc::kill(pid, libc::SIGKILL) };
}

/// SIGKILL for the subject and for every process of its group.
pub(super) fn kill_subject(pid: i32) {
    // SAFETY: a child that was not reaped yet, so neither number can mean anybody else. By its own number
    // too, because it may not have made its group yet.
    unsafe {
        libc::kill(-pid, libc::SIGKILL);
        libc::kill(pid, libc::SIGKILL);
    }
}

/// Waits until a killed child can be reaped, and reaps it.
pub(super) fn reap(pid: i32) {
    // SAFETY: no status is asked for; EINTR is the only error of a child that exists.
    while unsafe { libc::waitpid(pid, null_mut(), 0) } == -1 && errno() == i64::from(libc::EINTR) {}
}

/// The running kernel's release, as uname(2) tells it.
pub(super) fn release() -> String {
    // SAFETY: plain bytes, filled in by uname.
    let mut names: libc::utsname = unsafe { zeroed() };
    // SAFETY: `names` is writable.
    unsafe { libc::uname(&raw mut names) };
    let bytes = names.release.iter().take_while(|c| **c != 0);
    bytes.map(|c| char::from(c.cast_unsigned())).collect()
}

/// kcmp(2) of this process with itself: does the call exist and is it allowed?
pub(super) fn kcmp_self() -> io::Result<()> {
    const KCMP_VM: i32 = 1;
    // SAFETY: compares two processes by number.
    let ret = unsafe {
        let pid = libc::getpid();
        libc::syscall(libc::SYS_kcmp, pid, pid, KCMP_VM, 0, 0)
    };
    checked(ret).map(drop)
}

fn owned(ret: i64) -> io::Result<OwnedFd> {
    let fd = checked(ret)? as RawFd;
    // SAFETY: the kernel just made it for us.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// A userfaultfd(2) of this process, for faults inside system calls too.
pub(super) fn userfaultfd() -> io::Result<OwnedFd> {
    // SAFETY: takes flags only.
    owned(unsafe { libc::syscall(libc::SYS_userfaultfd, USERFAULTFD_FLAGS) })
}

/// Not to be inherited, and not to be waited for.
pub(super) const USERFAULTFD_FLAGS: i32 = libc::O_CLOEXEC | libc::O_NONBLOCK;

/// A descriptor of another process, as our own.
pub(super) fn take_fd(pid: i32, fd: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: takes numbers only.
    let pidfd = owned(unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) })?;
    // SAFETY: takes numbers only.
    owned(unsafe { libc::syscall(libc::SYS_pidfd_getfd, pidfd.as_raw_fd(), fd, 0) })
}

/// `struct uffdio_api`, `uffdio_register`, `uffdio_copy` and `uffdio_range` are words; these are their requests
/// (include/uapi/linux/userfaultfd.h).
const UFFDIO_API: u64 = 0xc018_aa3f;
const UFFDIO_REGISTER: u64 = 0xc020_aa00;
const UFFDIO_COPY: u64 = 0xc028_aa03;
const UFFDIO_WAKE: u64 = 0x8010_aa02;
const UFFD_API: u64 = 0xaa;
const UFFDIO_REGISTER_MODE_MISSING: u64 = 1;
const UFFD_EVENT_PAGEFAULT: u8 = 0x12;

fn uffd_ioctl(uffd: &OwnedFd, request: u64, words: &mut [u64]) -> io::Result<()> {
    // SAFETY: every caller below passes as many words as the request's struct has.
    checked(unsafe { libc::ioctl(uffd.as_raw_fd(), request, words.as_mut_ptr()) }.into()).map(drop)
}

/// Agrees on the version, which has to come first.
pub(super) fn uffd_start(uffd: &OwnedFd) -> io::Result<()> {
    uffd_ioctl(uffd, UFFDIO_API, &mut [UFFD_API, 0, 0])
}

/// From now on a touch of a missing page in this range stops the toucher.
pub(super) fn uffd_register(uffd: &OwnedFd, addr: u64, len: u64) -> io::Result<()> {
    let mode = UFFDIO_REGISTER_MODE_MISSING;
    uffd_ioctl(uffd, UFFDIO_REGISTER, &mut [addr, len, mode, 0])
}

/// Fills missing pages from `addr` on, each before anybody can touch it, and lets those go on who were stopped.
pub(super) fn uffd_fill(uffd: &OwnedFd, addr: u64, content: &[u8]) -> io::Result<()> {
    let from = content.as_ptr().expose_provenance() as u64;
    let len = content.len() as u64;
    uffd_ioctl(uffd, UFFDIO_COPY, &mut [addr, from, len, 0, 0])
}

/// Lets those who were stopped in this range try again.
pub(super) fn uffd_wake(uffd: &OwnedFd, addr: u64, len: u64) -> io::Result<()> {
    uffd_ioctl(uffd, UFFDIO_WAKE, &mut [addr, len])
}

/// The address of the next fault that was not read yet.
pub(super) fn uffd_next_fault(uffd: &OwnedFd) -> Option<u64> {
    let mut message = [0_u64; 4];
    let size = size_of_val(&message);
    // SAFETY: as many writable bytes as are announced; the descriptor does not block.
    let got = unsafe { libc::read(uffd.as_raw_fd(), message.as_mut_ptr().cast(), size) };
    let [event, _flags, addr, _] = message;
    (got == size as isize && event.to_ne_bytes()[0] == UFFD_EVENT_PAGEFAULT).then_some(addr)
}
