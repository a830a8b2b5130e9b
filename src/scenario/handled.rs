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

use crate::abi::{SiCode, SigInfo, SigSet, Signal};

use super::ScenarioError;
use super::ast::{LineKind, Name, Num};
use super::cursor::Cursor;
use super::env::Env;
use super::lower::low_i32;
use super::read::{self, read_num};
use super::signature::Kind;

type Result<T> = std::result::Result<T, ScenarioError>;

/// A run of a handler, as far as the line says something about it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Handled {
    pub(super) task: Option<Name>,
    pub(super) signo: Signal,
    pub(super) code: Option<SiCode>,
    pub(super) pid: Option<Num>,
    pub(super) uid: Option<Num>,
    pub(super) status: Option<Num>,
}

/// Reads the line from `---` on: a run, or a remark.
pub(super) fn read_handled(c: &mut Cursor<'_>, task: Option<Name>) -> Result<LineKind> {
    let start = c.at();
    c.expect("---")?;
    let signal = c.ident().and_then(|(word, _)| Signal::from_name(word));
    let Some(signo) = signal.filter(|signal| !SigSet::UNBLOCKABLE.contains(*signal)) else {
        c.rewind(start);
        return Ok(LineKind::Note(c.until(&[]).into()));
    };
    let mut handled = Handled {
        task,
        signo,
        code: None,
        pid: None,
        uid: None,
        status: None,
    };
    if c.eat("{") {
        while !c.eat("}") {
            if !c.eat("...") {
                read_field(c, &mut handled)?;
            }
            if !c.sees("}") {
                c.expect(",")?;
            }
        }
    }
    c.expect("---")?;
    Ok(LineKind::Handled(handled))
}

fn read_field(c: &mut Cursor<'_>, handled: &mut Handled) -> Result<()> {
    let (field, span) = read::field(c)?;
    match field {
        "si_signo" => match read_signal(c)? {
            signo if signo == handled.signo => {}
            _ => {
                let message = format!(
                    "the line is about {}, and this about another",
                    handled.signo
                );
                return Err(ScenarioError::new(span, message, "two signals"));
            }
        },
        "si_code" => {
            let code = match c.number()? {
                Some((number, _)) => Some(SiCode(low_i32(number))),
                None => c.ident().and_then(|(word, _)| SiCode::from_name(word)),
            };
            let Some(code) = code else {
                return Err(c.unexpected("where a signal comes from, as SI_USER"));
            };
            handled.code = Some(code);
        }
        "si_pid" => handled.pid = Some(read_num(c, Kind::Pid, field)?),
        "si_uid" => handled.uid = Some(read_num(c, Kind::Uint, field)?),
        "si_status" => {
            let status = match c.number()? {
                Some((number, _)) => low_i32(number),
                None => read_signal(c)?.0,
            };
            handled.status = Some(Num::Lit(status.into()));
        }
        // Times that a child has taken, addresses of faults: nothing of the lab's.
        _ => {
            c.until(&[',', '}']);
        }
    }
    Ok(())
}

fn read_signal(c: &mut Cursor<'_>) -> Result<Signal> {
    if let Some((number, _)) = c.number()? {
        return Ok(Signal(low_i32(number)));
    }
    let Some((word, span)) = c.ident() else {
        return Err(c.unexpected("a signal"));
    };
    Signal::from_name(word).ok_or_else(|| {
        ScenarioError::new(span, format!("`{word}` is not a signal"), "unknown signal")
            .meant(word, Signal::names())
    })
}

impl Handled {
    /// Whether this is what happened.
    pub(super) fn agrees(&self, info: &SigInfo, env: &Env) -> Result<bool> {
        let is = |num: &Option<Num>, number: i128| match num {
            Some(num) => env.pid(num).map(|expected| expected == number),
            None => Ok(true),
        };
        Ok(self.signo == info.signo
            && self.code.is_none_or(|code| code == info.code)
            && is(&self.pid, info.pid.into())?
            && is(&self.uid, info.uid.into())?
            && is(&self.status, info.status.into())?)
    }

    /// The line as it happened.
    pub(super) fn of(task: Option<Name>, info: &SigInfo, env: &Env) -> Handled {
        let lit = |number: i128| Some(Num::Lit(number));
        let sent = info.code != SiCode::KERNEL;
        Handled {
            task,
            signo: info.signo,
            code: Some(info.code),
            pid: Some(env.name_pid(info.pid.into())).filter(|_| sent),
            uid: lit(info.uid.into()).filter(|_| sent),
            status: lit(info.status.into()).filter(|_| has_status(info.signo, info.code)),
        }
    }
}

/// Whether strace shows `si_status`.
fn has_status(signo: Signal, code: SiCode) -> bool {
    signo == Signal::SIGCHLD && code.0 > 0 && code != SiCode::KERNEL
}

impl fmt::Display for Handled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Handled {
            task,
            signo,
            code,
            pid,
            uid,
            status,
        } = self;
        if let Some(task) = task {
            let is_pid = task.text.starts_with(|c: char| c.is_ascii_digit());
            write!(f, "[{}{task}] ", if is_pid { "pid " } else { "" })?;
        }
        write!(f, "--- {signo} {{si_signo={signo}")?;
        match code.map(|code| (code, code.name(*signo))) {
            None => {}
            Some((_, Some(name))) => write!(f, ", si_code={name}")?,
            Some((SiCode(code), None)) => write!(f, ", si_code={code}")?,
        }
        for (field, num) in [("si_pid", pid), ("si_uid", uid)] {
            if let Some(num) = num {
                write!(f, ", {field}={num}")?;
            }
        }
        match status {
            Some(Num::Lit(status)) if *code != Some(SiCode::CLD_EXITED) => {
                write!(f, ", si_status={}", Signal(low_i32(*status)))?;
            }
            Some(status) => write!(f, ", si_status={status}")?,
            None => {}
        }
        let whole = match code {
            Some(SiCode::KERNEL) => true,
            Some(code) => {
                let told = !has_status(*signo, *code) || status.is_some();
                pid.is_some() && uid.is_some() && told
            }
            None => false,
        };
        f.write_str(if whole { "} ---" } else { ", ...} ---" })
    }
}
