//! What goes on inside a kernel that can be watched: one [`Trace`] value for each internal step, and the
//! whole internal [`State`] as plain data for pictures.
//!
//! Only the model fills these. They name things the way a person at the keyboard sees them: an epoll
//! or a file by the descriptor number under which it was created, an item by the number it was added as.

mod event;
mod film;
mod observer;
mod picture;
mod state;
mod steps;

pub use event::{EpRef, FileRef, ItemRef, PacketRef, Place, QueueRef, SignalFate, Trace, Verdict};
pub use film::{Film, Frame, Move};
pub use observer::{Observer, Recorder};
pub use state::{EpollState, FileState, NodeState, State, TaskState, WaiterState};
pub use steps::{meaning, names};
