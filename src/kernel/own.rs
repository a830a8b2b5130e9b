//! System calls of the caller's own process, each made by the thread that wants it: for programs with real
//! threads.
//!
//! [`Linux`](super::Linux) gives a scenario a process of its own and tells its threads what to do. A program
//! with threads needs none of that: it *is* the threads. Here the call becomes six words as there
//! (`encode.rs`), and what it stored is read back as there (`decode.rs`), but in between nobody else is
//! involved.
//!
//! The price is that the descriptors are those of the whole process. A program that closes numbers at random
//! closes its standard output too.

use std::path::Path;
use std::process;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::thread;
use std::time::Duration;

use crate::abi::{Answer, Fd, SiCode, SigInfo, Signal, Syscall, TaskId};
use crate::backend::{Backend, LabError, Thaw};

use super::decode::{Names, Outcome};
use super::encode::{self, Lookup, Memory, Records};
use super::ffi::{self, Board};
use super::{fdinfo, machine_name, unable};

/// The running Linux as a [`Backend`] for programs with threads of their own. Clone it for each thread.
///
/// [`submit`](Backend::submit) returns when the call is over. Calls that would end, replace or multiply the
/// caller's process are refused, and so is memory with holes in it.
#[derive(Debug, Default)]
pub struct OwnProcess {
    /// Memory for this handle's calls, once there was one.
    board: Option<Board>,
    /// How many tasks were named besides the first.
    spawned: Arc<AtomicU32>,
}

impl OwnProcess {
    /// A handle for the first thread.
    pub fn new() -> OwnProcess {
        OwnProcess::default()
    }

    fn board(&mut self) -> Result<Board, LabError> {
        if let Some(board) = self.board {
            return Ok(board);
        }
        let board = Board::map()
            .map_err(|error| LabError::new(format!("cannot map memory for calls: {error}")))?;
        Ok(*self.board.insert(board))
    }

    fn check(&self, task: TaskId) -> Result<(), LabError> {
        if task.0 > self.spawned.load(SeqCst) {
            return Err(LabError::new(format!("there is no task {}", task.0)));
        }
        Ok(())
    }
}

/// With memory of its own: two threads make calls at the same time.
impl Clone for OwnProcess {
    fn clone(&self) -> OwnProcess {
        OwnProcess {
            board: None,
            spawned: Arc::clone(&self.spawned),
        }
    }
}

impl Drop for OwnProcess {
    fn drop(&mut self) {
        if let Some(board) = self.board {
            board.unmap();
        }
    }
}

impl Backend for OwnProcess {
    fn name(&self) -> String {
        machine_name()
    }

    /// Makes `call` in this thread, and returns when it is over.
    fn submit(&mut self, task: TaskId, call: Syscall) -> Result<Answer, LabError> {
        self.check(task)?;
        if is_about_the_process(&call) {
            let error = format!(
                "{} is not for a process with a life of its own",
                call.name()
            );
            return Err(LabError::new(error));
        }
        if let Syscall::Fdinfo { fd } = call {
            return fdinfo::read(Own.real_pid(TaskId::MAIN.pid()), Own.own_tid(), fd);
        }
        let board = self.board()?;
        let call = encode::encode(&mut Memory::of(board, 0), call, &Own)?;
        if call.guarded || call.frozen {
            let error = "memory with a hole in it is for processes of the lab's own";
            return Err(LabError::new(error));
        }
        let ret = ffi::execute(call.nr, call.args);
        let thawed = false;
        call.stored.answer(board, Outcome { ret, thawed }, &mut Own)
    }

    /// Nothing: every call is waited for by the thread that made it.
    fn settle(&mut self) -> Result<Vec<(TaskId, Answer)>, LabError> {
        Ok(Vec::new())
    }

    /// An error: no call is left over from [`submit`](Backend::submit).
    fn finish(&mut self, task: TaskId) -> Result<Vec<(TaskId, Answer)>, LabError> {
        Err(unable(
            task,
            "is in no call that its thread does not wait for",
        ))
    }

    fn pass(&mut self, time: Duration) -> Result<Vec<(TaskId, Answer)>, LabError> {
        thread::sleep(time);
        Ok(Vec::new())
    }

    /// Names a task; the thread for it is up to the program.
    fn spawn(&mut self, task: TaskId) -> Result<TaskId, LabError> {
        self.check(task)?;
        Ok(TaskId(self.spawned.fetch_add(1, SeqCst) + 1))
    }

    fn thaw(&mut self, task: TaskId, _: Thaw) -> Result<(), LabError> {
        Err(unable(task, "does not stand at a frozen page"))
    }
}

/// Whether a call concerns the process, its children or its handlers more than its files.
fn is_about_the_process(call: &Syscall) -> bool {
    matches!(
        call,
        Syscall::Fork
            | Syscall::Execve
            | Syscall::Exit { .. }
            | Syscall::ExitGroup { .. }
            | Syscall::Wait4 { .. }
            | Syscall::Waitid { .. }
            | Syscall::Kill { .. }
            | Syscall::Tgkill { .. }
            | Syscall::Tkill { .. }
            | Syscall::RtSigaction { .. }
            | Syscall::Setresuid { .. }
    )
}

/// The only process is the caller's.
struct Own;

impl Lookup for Own {
    fn real_pid(&self, pid: i32) -> i32 {
        match TaskId::from_pid(pid) {
            Some(TaskId::MAIN) => process::id().cast_signed(),
            _ => pid,
        }
    }

    fn lab(&self) -> i32 {
        process::id().cast_signed()
    }

    fn own_tid(&self) -> i32 {
        ffi::gettid()
    }

    fn give(&self, _: u64) -> Result<u64, LabError> {
        Err(LabError::new(
            "to give memory away is for processes of the lab's own",
        ))
    }

    fn scratch(&self) -> Result<Option<&Path>, LabError> {
        Ok(None)
    }

    fn has_info(&self, _: Signal) -> bool {
        false
    }

    fn records(&self, fd: Fd) -> Option<Records> {
        Records::of(ffi::gettid(), fd)
    }

    fn is_last_thread(&self) -> bool {
        false
    }
}

impl Names for Own {
    fn child(&mut self, _: i64) -> Option<TaskId> {
        None
    }

    fn reaped(&mut self, _: i64) {}

    fn told(&self, [signo, code, pid, uid, status]: [i32; 5]) -> SigInfo {
        let own = pid == process::id().cast_signed();
        SigInfo {
            signo: Signal(signo),
            code: SiCode(code),
            pid: if own { TaskId::MAIN.pid() } else { pid },
            uid: if own { 0 } else { uid.cast_unsigned() },
            status,
        }
    }
}
