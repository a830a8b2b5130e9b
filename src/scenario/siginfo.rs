//! What a signal tells, in strace's spelling: `{si_signo=SIGUSR1, si_code=SI_TKILL, si_pid=1, si_uid=0}`.
//!
//! `...` leaves the rest open. A signal that is read from a signalfd tells the same, in fields that begin with
//! `ssi_`.

use std::fmt;

use crate::abi::{SiCode, SigInfo, Signal};

use super::ScenarioError;
use super::ast::Num;
use super::cursor::Cursor;
use super::env::Env;
use super::lower::low_i32;
use super::read::{self, read_num};
use super::signature::Kind;

type Result<T> = std::result::Result<T, ScenarioError>;

/// A signal, as far as a line says something about it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Siginfo {
    pub(super) signo: Signal,
    pub(super) code: Option<SiCode>,
    pub(super) pid: Option<Num>,
    pub(super) uid: Option<Num>,
    pub(super) status: Option<Num>,
}

/// How the fields begin that are told to a handler, and by waitid(2).
pub(super) const SI: &str = "si_";
/// And those that are read.
pub(super) const SSI: &str = "ssi_";

/// Reads a whole one, whose first field is the signal.
pub(super) fn read_siginfo(c: &mut Cursor<'_>, prefix: &str) -> Result<Siginfo> {
    c.expect("{")?;
    read::expect_field(c, &format!("{prefix}signo"))?;
    let mut info = Siginfo::of_any(read_signal(c)?);
    if c.eat(",") {
        info.read_fields(c, prefix)?;
    } else {
        c.expect("}")?;
    }
    Ok(info)
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

impl Siginfo {
    /// Of which nothing else is said.
    pub(super) fn of_any(signo: Signal) -> Siginfo {
        Siginfo {
            signo,
            code: None,
            pid: None,
            uid: None,
            status: None,
        }
    }

    /// Reads what is told, up to the brace that ends it.
    pub(super) fn read_fields(&mut self, c: &mut Cursor<'_>, prefix: &str) -> Result<()> {
        while !c.eat("}") {
            if !c.eat("...") {
                self.read_field(c, prefix)?;
            }
            if !c.sees("}") {
                c.expect(",")?;
            }
        }
        Ok(())
    }

    fn read_field(&mut self, c: &mut Cursor<'_>, prefix: &str) -> Result<()> {
        let (field, span) = read::field(c)?;
        match field.strip_prefix(prefix).unwrap_or_default() {
            "signo" => match read_signal(c)? {
                signo if signo == self.signo => {}
                _ => {
                    let message =
                        format!("the line is about {}, and this about another", self.signo);
                    return Err(ScenarioError::new(span, message, "two signals"));
                }
            },
            "code" => {
                let code = match c.number()? {
                    Some((number, _)) => Some(SiCode(low_i32(number))),
                    None => c.ident().and_then(|(word, _)| SiCode::from_name(word)),
                };
                let Some(code) = code else {
                    return Err(c.unexpected("where a signal comes from, as SI_USER"));
                };
                self.code = Some(code);
            }
            "pid" => self.pid = Some(read_num(c, Kind::Pid, field)?),
            "uid" => self.uid = Some(read_num(c, Kind::Uint, field)?),
            "status" => {
                let status = match c.number()? {
                    Some((number, _)) => low_i32(number),
                    None => read_signal(c)?.0,
                };
                self.status = Some(Num::Lit(status.into()));
            }
            // Times that a child has taken, addresses of faults: nothing of the lab's.
            _ => {
                c.until(&[',', '}']);
            }
        }
        Ok(())
    }

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

    /// All of it, as it happened.
    pub(super) fn of(info: &SigInfo, env: &Env) -> Siginfo {
        let lit = |number: i128| Some(Num::Lit(number));
        let sent = info.code != SiCode::KERNEL;
        Siginfo {
            signo: info.signo,
            code: Some(info.code),
            pid: Some(env.name_pid(info.pid.into())).filter(|_| sent),
            uid: lit(info.uid.into()).filter(|_| sent),
            status: lit(info.status.into()).filter(|_| has_status(info.signo, info.code)),
        }
    }

    /// With its braces.
    pub(super) fn write(&self, f: &mut fmt::Formatter<'_>, prefix: &str) -> fmt::Result {
        let Siginfo {
            signo,
            code,
            pid,
            uid,
            status,
        } = self;
        write!(f, "{{{prefix}signo={signo}")?;
        match code.map(|code| (code, code.name(*signo))) {
            None => {}
            Some((_, Some(name))) => write!(f, ", {prefix}code={name}")?,
            Some((SiCode(code), None)) => write!(f, ", {prefix}code={code}")?,
        }
        for (field, num) in [("pid", pid), ("uid", uid)] {
            if let Some(num) = num {
                write!(f, ", {prefix}{field}={num}")?;
            }
        }
        match status {
            Some(Num::Lit(status)) if *code != Some(SiCode::CLD_EXITED) => {
                write!(f, ", {prefix}status={}", Signal(low_i32(*status)))?;
            }
            Some(status) => write!(f, ", {prefix}status={status}")?,
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
        f.write_str(if whole { "}" } else { ", ...}" })
    }
}

/// Whether strace shows `si_status`.
fn has_status(signo: Signal, code: SiCode) -> bool {
    signo == Signal::SIGCHLD && code.0 > 0 && code != SiCode::KERNEL
}
