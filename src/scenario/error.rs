//! What is wrong with a scenario, and where.

use std::fmt;

use super::Span;

/// A mistake in the text of a scenario, or what stopped its run.
///
/// Its parts are those of a compiler's message: a sentence, a place with a short label, and perhaps a
/// piece of advice. All are lower-case and without a full stop.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ScenarioError(Box<Parts>);

#[derive(Clone, PartialEq, Eq, Debug)]
struct Parts {
    span: Span,
    message: String,
    label: String,
    help: Option<String>,
}

impl ScenarioError {
    pub(super) fn new(
        span: Span,
        message: impl Into<String>,
        label: impl Into<String>,
    ) -> ScenarioError {
        ScenarioError(Box::new(Parts {
            span,
            message: message.into(),
            label: label.into(),
            help: None,
        }))
    }

    pub(super) fn help(mut self, help: impl Into<String>) -> ScenarioError {
        self.0.help = Some(help.into());
        self
    }

    /// Adds "did you mean" if one of the candidates is close to what was written.
    pub(super) fn meant<'c>(
        self,
        written: &str,
        candidates: impl IntoIterator<Item = &'c str>,
    ) -> ScenarioError {
        match nearest(written, candidates) {
            Some(candidate) => self.help(format!("did you mean `{candidate}`?")),
            None => self,
        }
    }

    /// Where.
    pub fn span(&self) -> Span {
        self.0.span
    }

    /// The sentence.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// A few words for the place itself.
    pub fn label(&self) -> &str {
        &self.0.label
    }

    /// What to do about it.
    pub fn advice(&self) -> Option<&str> {
        self.0.help.as_deref()
    }
}

/// The sentence alone; position and advice are for who has the text at hand.
impl fmt::Display for ScenarioError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl std::error::Error for ScenarioError {}

/// The candidate that needs the fewest edits, if those are few for its length.
pub(super) fn nearest<'c>(
    written: &str,
    candidates: impl IntoIterator<Item = &'c str>,
) -> Option<&'c str> {
    // A word longer than any name is garbage, and the distance costs the product of the lengths.
    if written.len() > 40 {
        return None;
    }
    candidates
        .into_iter()
        .map(|candidate| (distance(written, candidate), candidate))
        .filter(|(edits, candidate)| *edits <= 1 + candidate.len() / 5)
        .min_by_key(|(edits, _)| *edits)
        .map(|(_, candidate)| candidate)
}

/// How many letters to add, drop, change or swap with their neighbour.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (
        a.to_ascii_lowercase().chars().collect(),
        b.to_ascii_lowercase().chars().collect(),
    );
    let mut older = vec![0; b.len() + 1];
    let mut above: Vec<usize> = (0..=b.len()).collect();
    for i in 0..a.len() {
        let mut row = vec![i + 1];
        for j in 0..b.len() {
            let change = above[j] + usize::from(a[i] != b[j]);
            let mut best = change.min(above[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && a[i] == b[j - 1] && a[i - 1] == b[j] {
                best = best.min(older[j - 1] + 1);
            }
            row.push(best);
        }
        older = std::mem::replace(&mut above, row);
    }
    above[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_word_is_found_and_a_far_one_is_not() {
        let calls = ["epoll_wait", "epoll_ctl", "read"];
        assert_eq!(nearest("epoll_wiat", calls), Some("epoll_wait"));
        assert_eq!(nearest("epol_ctl", calls), Some("epoll_ctl"));
        assert_eq!(nearest("mmap", calls), None);
    }
}
