//! Reading `/proc/PID/fdinfo/FD` for a task, from outside.
//!
//! The kernel takes the epoll's mutex to write that text, so the reader sleeps while a scan is frozen.
//! Then the reading is a call in flight like any other, made by a thread of the controller.

use std::fs;
use std::io::ErrorKind;
use std::sync::atomic::{AtomicI32, Ordering::SeqCst};
use std::sync::{Arc, OnceLock};
use std::thread::{self, JoinHandle};

use crate::abi::{Answer, Errno, Fd, Out};
use crate::backend::LabError;

use super::ffi;

/// A thread that reads an fdinfo file.
#[derive(Debug)]
pub(super) struct Reader {
    shared: Arc<Shared>,
    thread: JoinHandle<()>,
}

#[derive(Debug, Default)]
struct Shared {
    tid: AtomicI32,
    answer: OnceLock<Result<Answer, LabError>>,
}

/// The text as an answer. The path goes through the thread: close_range(2) can give it a table of its own.
pub(super) fn read(pid: i32, tid: i32, fd: Fd) -> Result<Answer, LabError> {
    let path = format!("/proc/{pid}/task/{tid}/fdinfo/{fd}");
    match fs::read_to_string(&path) {
        Ok(text) => Ok(Answer::Done(0, Out::Text(text))),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Answer::err(Errno::EBADF)),
        Err(error) => Err(LabError::new(format!("cannot read {path}: {error}"))),
    }
}

impl Reader {
    /// Starts to read.
    pub(super) fn start(pid: i32, tid: i32, fd: Fd) -> Reader {
        let shared = Arc::new(Shared::default());
        let theirs = Arc::clone(&shared);
        let thread = thread::spawn(move || {
            theirs.tid.store(ffi::gettid(), SeqCst);
            let answer = read(pid, tid, fd);
            // Nobody else sets it.
            let _ = theirs.answer.set(answer);
        });
        Reader { shared, thread }
    }

    /// The thread's number, or 0 as long as it has not begun.
    pub(super) fn tid(&self) -> i32 {
        self.shared.tid.load(SeqCst)
    }

    /// Whether it is through.
    pub(super) fn is_done(&self) -> bool {
        self.shared.answer.get().is_some()
    }

    /// What it read. Waits for it.
    pub(super) fn finish(self) -> Result<Answer, LabError> {
        let lost = || Err(LabError::new("the thread that reads fdinfo died"));
        if self.thread.join().is_err() {
            return lost();
        }
        Arc::into_inner(self.shared)
            .and_then(|shared| shared.answer.into_inner())
            .unwrap_or_else(lost)
    }
}
