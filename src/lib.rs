//! See, ask and check how epoll behaves.
//!
//! Two kernels answer the same system calls. One is the running Linux. The other is a model of it, small
//! enough to be read: Linux's eventpoll under its own names (`rbr`, `rdllist`, `ovflist`, `wq`,
//! `ep_poll_callback`), and as much of files, descriptors, wait queues and processes as programs need to
//! meet it. Whatever the model says is compared with Linux call by call; where the two differ, the model
//! is wrong until shown otherwise.
//!
//! ```
//! use epoll_lab::abi::{EpollEvent, EventMask, OpenFlags};
//! use epoll_lab::backend::{Backend, Thread};
//! use epoll_lab::model::Model;
//!
//! /// An edge-triggered pipe that is never drained.
//! fn story(kernel: &mut impl Backend) {
//!     let mut t = Thread::main(kernel);
//!     let ep = t.epoll_create1(Default::default()).unwrap();
//!     let (r, w) = t.pipe2(OpenFlags::NONBLOCK).unwrap();
//!     t.epoll_add(ep, r, EpollEvent::new(EventMask::IN | EventMask::ET, 7)).unwrap();
//!
//!     t.write(w, b"one").unwrap();
//!     assert_eq!(t.epoll_wait(ep, 8, 0).unwrap(), [EpollEvent::new(EventMask::IN, 7)]);
//!     assert_eq!(t.epoll_wait(ep, 8, 0).unwrap(), []);
//!
//!     // Nothing was read, and yet: each write is a wake-up, and each wake-up is a report.
//!     t.write(w, b"two").unwrap();
//!     assert_eq!(t.epoll_wait(ep, 8, 0).unwrap(), [EpollEvent::new(EventMask::IN, 7)]);
//! }
//!
//! story(&mut Model::new());
//! # #[cfg(all(feature = "kernel", target_os = "linux", target_arch = "x86_64"))]
//! story(&mut epoll_lab::kernel::Linux::new().unwrap());
//! ```
//!
//! # Where things are
//!
//! - [`abi`]: what programs and kernels agree on; a [`Syscall`](abi::Syscall) is a call as a value.
//! - [`backend`]: the trait [`Backend`](backend::Backend) over both kernels, and
//!   [`Thread`](backend::Thread), one function a call.
//! - [`model`]: the emulated kernel, one plain value that can be cloned, compared and hashed.
//! - `kernel`: the running one (feature `kernel`): real calls, in a process of their own.
//! - `threads`: the model for programs with real threads (feature `threads`).
//! - [`trace`]: what the model tells of its inside, as events and as a state to draw.
//! - [`scenario`]: the language, strace's own: read, print, run, compare.
//! - `table`: the event bits of every kind of file, and what is an edge (feature `library`).
//! - `explore`: all interleavings of a scenario's tasks (feature `explore`).
//! - [`exercise`]: scenarios to go on with, and what must hold then.
//! - `fuzz`: random programs, compared with the running kernel (feature `fuzz`).
//! - `figure`: a run as pictures to step through, SVG and HTML (feature `figure`).
//! - `cli`: the program `epoll-lab` (feature `cli`).
//!
//! # What it is not
//!
//! It is no Linux emulator and no event loop. Of the many kinds of files it has those with which all of
//! epoll's rules can be shown. It models one version of Linux, which [`model`] names.

pub mod abi;
pub mod backend;
#[cfg(feature = "cli")]
pub mod cli;
pub mod exercise;
#[cfg(feature = "explore")]
pub mod explore;
#[cfg(feature = "figure")]
pub mod figure;
#[cfg(feature = "fuzz")]
pub mod fuzz;
#[cfg(all(feature = "kernel", target_os = "linux", target_arch = "x86_64"))]
pub mod kernel;
pub mod model;
pub mod scenario;
#[cfg(feature = "library")]
pub mod table;
#[cfg(feature = "threads")]
pub mod threads;
pub mod trace;
