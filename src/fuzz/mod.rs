//! Random programs: what nobody thought of.
//!
//! The scenarios hold what we thought of. Here chance writes programs in the same language, meaningful ones for
//! the most part: [`draw`] keeps in mind what it has opened, watched and filled, so that it comes to deep
//! states (full buffers, stale registrations, nested epolls, fired one-shots) and not to `EBADF` all day. Each
//! is run on two kernels, and they must give the same transcript, line by line: results, what was stored,
//! events in their order, and at the end all that poll(2) and fdinfo say.
//!
//! ```text
//! seed ──draw──► program (text) ──parse──► Scenario ──run──► transcript of the model ┐
//!                                                    └─run──► transcript of Linux    ┴─ the same?
//!                     ▲                                                                    │ no
//!                     └── shrink: fewer lines, smaller arguments, as long as they differ ──┘
//! ```
//!
//! A program is the text of a scenario, so what is found is a file that `epoll-lab run` plays back.
//!
//! What tasks do at the same time has no transcript, but a set of outcomes. Such programs have a parallel
//! block; the explorer gives the set, and what races on the running kernel show has to be in it.

mod coverage;
mod draw;
mod judge;
mod kinds;
mod shrink;

pub use coverage::{Coverage, Watcher};
pub use draw::{Drawing, draw};
pub use judge::{Judgement, judge, judge_block};
pub use kinds::Files;
pub use shrink::shrink;

#[cfg(test)]
mod tests;
