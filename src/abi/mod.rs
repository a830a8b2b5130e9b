//! What programs and kernels agree on: the words of the system-call interface.
//!
//! Nothing in here behaves. A [`Syscall`] is a call as a value, with its arguments named as in the
//! manual pages; an [`Errno`], an [`EventMask`] or an [`EpollEvent`] is what comes back. Every type can
//! hold *wrong* values too, because a lab must be able to make mistakes: an [`Fd`] of -1, an epoll
//! operation 99, event bits that nobody defined, pointers that lead nowhere.
//!
//! `Display` prints strace's spelling, which is also the spelling of the scenario language.

mod bytes;
mod epoll;
mod errno;
mod event_mask;
mod events;
mod fd;
mod fdinfo;
mod inotify;
mod memory;
mod outcome;
mod poll;
mod process;
mod signal;
pub mod socket;
mod syscall;
pub mod termios;
mod time;

pub use bytes::Bytes;
pub use epoll::{CtlOp, EP_MAX_EVENTS, EpollCreateFlags, EpollEvent, EpollParams};
pub use errno::Errno;
pub use event_mask::EventMask;
pub use events::Events;
pub use fd::{Fd, FdFlags, OpenFlags};
pub use fdinfo::{FdinfoItem, parse_fdinfo};
pub use inotify::{InotifyEvent, InotifyMask};
pub use memory::{IoVec, OutPtr, Ptr, Room};
pub use outcome::{Answer, Fate, Out};
pub use poll::{FdSet, PollFd};
pub use process::{Rlimit, TaskId, WaitStatus};
pub use signal::{SaFlags, SiCode, SigAction, SigHandler, SigInfo, SigSet, SigmaskHow, Signal};
pub use socket::{Message, MsgFlags, Received, SockAddr, SockOpt};
pub use syscall::{FcntlCmd, IoctlArg, Select, Syscall, request};
pub use termios::Termios;
pub use time::{Itimerspec, Timeout, Timespec, Timeval};
