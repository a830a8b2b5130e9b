//! The scenario language: system calls as strace prints them, read, checked, run and printed.
//!
//! A scenario is a text of lines such as
//!
//! ```text
//! # law 37: An edge is reported once.
//! ep = epoll_create1(0) = 3
//! f = eventfd2(1, 0)
//! epoll_ctl(ep, EPOLL_CTL_ADD, f, {events=EPOLLIN|EPOLLET, data={u32=7, u64=7}}) = 0
//! epoll_wait(ep, [{events=EPOLLIN, data={u32=7, u64=7}}], 8, 0) = 1
//! epoll_wait(ep, [], 8, 0) = 0
//! ```
//!
//! The way of a line: [`Scenario::parse`] reads it, argument by argument, each by its kind in one table
//! of calls (`calls`), and checks names and counts before anything runs. A run lowers it to a
//! [`Syscall`](crate::abi::Syscall), gives it to a [`Backend`](crate::backend::Backend), and compares
//! the answer with what is written. Printing a [`Scenario`] gives the canonical spelling of what was
//! read, so `parse` and `to_string` are inverse on it.
//!
//! Nothing in here opens a file, starts a thread or looks at a clock.

mod answer;
mod ast;
mod calls;
mod check;
mod closing;
mod cursor;
mod diff;
mod env;
mod error;
mod handled;
mod header;
#[cfg(feature = "library")]
mod library;
mod lower;
mod needs;
mod parallel;
mod parse;
mod print;
mod read;
mod run;
mod siginfo;
mod signature;
mod soak;
mod span;
mod transcript;
mod words;

pub use ast::{Line, Scenario};
pub use closing::{Closing, Quantifier};
pub use diff::{Diff, Mark, Row};
pub use error::ScenarioError;
pub use header::{Confusion, Header, Law, Unseen};
#[cfg(feature = "library")]
pub use library::{Entry, library};
pub use needs::Need;
pub use parallel::{Planned, Prepared, Program, Sleep};
pub use run::{Counts, Failure, Options, Outcome, Run, Scene};
pub use soak::{Fresh, Sighting, Soak, distance};
pub use span::{Position, Span};
pub use transcript::{Passage, View};

#[cfg(test)]
mod tests;
