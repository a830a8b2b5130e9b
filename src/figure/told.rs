//! A step in words: what the kernel function does and why, and what came of it this time.

use super::reel::{Names, Shot};
use crate::abi::Answer;
use crate::trace::{Move, meaning};

/// What there is to say about a step.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Told {
    /// Who does what: `task 1 [A], ep_poll: Look`.
    pub head: String,
    /// What that is, without its subject; nothing where the head says it all.
    pub about: String,
    /// What happened in it, one sentence each.
    pub details: Vec<String>,
}

impl Told {
    /// What there is to say about this one.
    pub fn of(shot: Shot<'_>, names: &Names<'_>) -> Told {
        let frame = shot.frame;
        let (head, about) = match &frame.what {
            Move::Call { task, call } => (
                format!("{}, {}", names.task(*task), call.name()),
                match frame.answer {
                    None => "enters the kernel; the arguments are in order",
                    Some(Answer::Failed(..)) => "is refused when its arguments are checked",
                    Some(_) => "is over at once: nothing can come in between",
                },
            ),
            Move::Step { task, at } => (
                format!("{}, {at}", names.task(*task)),
                meaning(at).unwrap_or_default(),
            ),
            Move::Stuck { task, at } => (format!("{}, {at}", names.task(*task)), "cannot go on"),
            Move::Work { at } => (
                format!("nobody's task, {at}"),
                meaning(at).unwrap_or_default(),
            ),
            Move::Time => ("time passes".to_owned(), ""),
        };
        let mut details: Vec<String> = frame.trace.iter().map(ToString::to_string).collect();
        details.extend(frame.answer.as_ref().and_then(ending));
        Told {
            head,
            about: about.to_owned(),
            details,
        }
    }
}

/// How the call came back.
fn ending(answer: &Answer) -> Option<String> {
    match answer {
        Answer::Done(value, _) => Some(format!("the call returns {value}")),
        Answer::Failed(errno, _) => Some(format!("the call fails: {errno}")),
        Answer::Gone => Some("the task is gone".to_owned()),
        Answer::Blocked => None,
    }
}
