//! The closing lines of a scenario, which ask about all interleavings at once.
//!
//! ```text
//! exists (n1=1 /\ n2=0)                                  # is it possible?
//! ~exists (n1=1 /\ n2=1)                                 # is it impossible?
//! forall (n1=1 \/ asleep(n1))                            # is it always so?
//! exists (n1=[{events=EPOLLIN, data={u32=7, u64=7}}])    # what was stored, whole and in order
//! ```
//!
//! The form is that of litmus tests: `/\` binds tighter than `\/`, `~` tighter than both. What is asked
//! about is what calls returned, by the names that the lines gave it. Of a call that sleeps for good, or
//! was never made, nothing but `asleep(..)` can be true.

use std::collections::HashMap;
use std::fmt::{self, Display};

use super::answer::holds_events;
use super::ast::{Event, Name};
use super::env::Env;
use super::print::write_events;
use super::{ScenarioError, Span};
use crate::abi::{Answer, Errno, Fate};

/// A closing line.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Closing {
    pub(super) quantifier: Quantifier,
    pub(super) claim: Claim,
}

/// Of which outcomes a closing line speaks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Quantifier {
    /// `exists`: at least one is so.
    Exists,
    /// `~exists`: none is so.
    NotExists,
    /// `forall`: each is so.
    ForAll,
}

impl Quantifier {
    /// Whether the line is right, of which so many outcomes out of so many are as it says.
    pub fn accepts(self, so: usize, of: usize) -> bool {
        match self {
            Quantifier::Exists => so > 0,
            Quantifier::NotExists => so == 0,
            Quantifier::ForAll => so == of,
        }
    }
}

/// What is said of one outcome. `And` and `Or` have at least two members, none of their own kind.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Claim {
    And(Vec<Claim>),
    Or(Vec<Claim>),
    Not(Box<Claim>),
    Is(Name, Result),
}

/// What became of a call.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Result {
    /// `n=1`
    Value(i64),
    /// `n=EINTR`
    Error(Errno),
    /// `asleep(n)`
    Asleep,
    /// `n=[..]`
    Events {
        unordered: bool,
        events: Vec<Event>,
        span: Span,
    },
}

impl Closing {
    /// Of which outcomes it speaks.
    pub fn quantifier(&self) -> Quantifier {
        self.quantifier
    }

    /// Whether what it says within its brackets is true of an outcome: of what became of each named call.
    pub(super) fn is_so(
        &self,
        fates: &HashMap<&str, &Fate>,
        env: &Env,
    ) -> std::result::Result<bool, ScenarioError> {
        self.claim.is_so(fates, env)
    }
}

impl Claim {
    fn is_so(
        &self,
        fates: &HashMap<&str, &Fate>,
        env: &Env,
    ) -> std::result::Result<bool, ScenarioError> {
        match self {
            Claim::And(claims) => {
                for claim in claims {
                    if !claim.is_so(fates, env)? {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
            Claim::Or(claims) => {
                for claim in claims {
                    if claim.is_so(fates, env)? {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
            Claim::Not(claim) => Ok(!claim.is_so(fates, env)?),
            Claim::Is(name, result) => match fates.get(&*name.text) {
                Some(fate) => result.is(fate, env),
                None => Ok(false),
            },
        }
    }

    /// Every name in it, with what is asked about it.
    pub(super) fn for_each(&self, visit: &mut dyn FnMut(&Name, &Result)) {
        match self {
            Claim::And(claims) | Claim::Or(claims) => {
                claims.iter().for_each(|claim| claim.for_each(visit));
            }
            Claim::Not(claim) => claim.for_each(visit),
            Claim::Is(name, result) => visit(name, result),
        }
    }
}

impl Result {
    fn is(&self, fate: &Fate, env: &Env) -> std::result::Result<bool, ScenarioError> {
        Ok(match (self, fate) {
            (Result::Value(value), Fate::Ended(Answer::Done(returned, _))) => value == returned,
            (Result::Error(errno), Fate::Ended(Answer::Failed(failed, _))) => errno == failed,
            (Result::Asleep, fate) => *fate == Fate::Asleep,
            (
                Result::Events {
                    unordered, events, ..
                },
                Fate::Ended(Answer::Done(_, out)),
            ) => holds_events(*unordered, events, out, env)?,
            _ => false,
        })
    }
}

impl Display for Closing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.quantifier, self.claim)
    }
}

impl Display for Quantifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Quantifier::Exists => "exists",
            Quantifier::NotExists => "~exists",
            Quantifier::ForAll => "forall",
        })
    }
}

impl Display for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (claims, connective) = match self {
            Claim::And(claims) => (claims, " /\\ "),
            Claim::Or(claims) => (claims, " \\/ "),
            Claim::Not(claim) => return write!(f, "~{}", InBrackets(claim)),
            Claim::Is(name, Result::Asleep) => return write!(f, "asleep({name})"),
            Claim::Is(name, result) => return write!(f, "{name}={result}"),
        };
        for (place, claim) in claims.iter().enumerate() {
            f.write_str(if place > 0 { connective } else { "" })?;
            match (self, claim) {
                (Claim::And(_), Claim::Or(_)) => InBrackets(claim).fmt(f)?,
                _ => claim.fmt(f)?,
            }
        }
        Ok(())
    }
}

/// What binds less tightly than its neighbour.
struct InBrackets<'c>(&'c Claim);

impl Display for InBrackets<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Claim::And(_) | Claim::Or(_) => write!(f, "({})", self.0),
            Claim::Not(_) | Claim::Is(..) => self.0.fmt(f),
        }
    }
}

impl Display for Result {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Result::Value(value) => value.fmt(f),
            Result::Error(errno) => match errno.name() {
                Some(name) => f.write_str(name),
                None => write!(f, "ERRNO_{}", errno.0),
            },
            Result::Asleep => f.write_str("asleep"),
            Result::Events {
                unordered, events, ..
            } => write_events(f, *unordered, events),
        }
    }
}
