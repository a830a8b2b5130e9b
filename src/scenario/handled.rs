//! A handler that runs: strace's line between calls.
//!
//! ```text
//! [A] <... epoll_wait resumed>..., 8, -1) = -1 EINTR (Interrupted system call)
//! [A] --- SIGUSR1 {si_signo=SIGUSR1, si_code=SI_TKILL, si_pid=1, si_uid=0} ---
//! ```
//!
//! strace prints it where the signal is delivered, after the end of the call that it interrupts. Here it
//! says that at this place the program's handler ran, and what it was told; `...` leaves the rest open.
//! Signals that nobody can handle, and those that stop a process, are remarks: `--- stopped by SIGSTOP ---`.

use std::fmt;

use crate::abi::{SigInfo, SigSet, Signal};

use super::ScenarioError;
use super::ast::{LineKind, Name};
use super::cursor::Cursor;
use super::env::Env;
use super::siginfo::{SI, Siginfo};

/// A run of a handler, as far as the line says something about it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Handled {
    pub(super) task: Option<Name>,
    pub(super) info: Siginfo,
}

/// Reads the line from `---` on: a run, or a remark.
pub(super) fn read_handled(
    c: &mut Cursor<'_>,
    task: Option<Name>,
) -> Result<LineKind, ScenarioError> {
    let start = c.at();
    c.expect("---")?;
    let signal = c.ident().and_then(|(word, _)| Signal::from_name(word));
    let Some(signo) = signal.filter(|signal| !SigSet::UNBLOCKABLE.contains(*signal)) else {
        c.rewind(start);
        return Ok(LineKind::Note(c.until(&[]).into()));
    };
    let mut info = Siginfo::of_any(signo);
    if c.eat("{") {
        info.read_fields(c, SI)?;
    }
    c.expect("---")?;
    Ok(LineKind::Handled(Handled { task, info }))
}

impl Handled {
    /// Whether this is what happened.
    pub(super) fn agrees(&self, info: &SigInfo, env: &Env) -> Result<bool, ScenarioError> {
        self.info.agrees(info, env)
    }

    /// The line as it happened.
    pub(super) fn of(task: Option<Name>, info: &SigInfo, env: &Env) -> Handled {
        let info = Siginfo::of(info, env);
        Handled { task, info }
    }
}

impl fmt::Display for Handled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Handled { task, info } = self;
        if let Some(task) = task {
            let is_pid = task.text.starts_with(|c: char| c.is_ascii_digit());
            write!(f, "[{}{task}] ", if is_pid { "pid " } else { "" })?;
        }
        write!(f, "--- {} ", info.signo)?;
        info.write(f, SI)?;
        f.write_str(" ---")
    }
}
