//! The comments at the top of a scenario: which laws it shows, what it needs, and prose.

use super::error::nearest;
use super::{Closing, Need, ScenarioError, Span};

/// What the comment lines before the first call say.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Header {
    /// `# law 37: sentence`
    pub laws: Vec<Law>,
    /// `# confusion slug: sentence`
    pub confusions: Vec<Confusion>,
    /// `# needs: root, linux >= 6.15`
    pub needs: Vec<Need>,
    /// `# unseen (n1=1 /\ n2=0): reason`
    pub unseen: Vec<Unseen>,
    /// The other lines, without `# `.
    pub prose: Vec<String>,
}

/// A rule of epoll that the scenario shows.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Law {
    /// Its stable number, perhaps with a letter in front: `37`, `p4`.
    pub id: String,
    /// The rule in our own words.
    pub sentence: String,
}

/// A common misunderstanding that the scenario clears up.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Confusion {
    /// Its stable name.
    pub slug: String,
    /// What is the case instead.
    pub sentence: String,
}

/// Outcomes of a parallel block that are possible, but that races hardly ever show.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Unseen {
    /// Which they are: [`Prepared::is_so`](super::Prepared::is_so) tells it of an outcome.
    pub closing: Closing,
    /// Where that is written.
    pub span: Span,
    /// Why.
    pub reason: String,
}

const DIRECTIVES: [&str; 3] = ["law", "confusion", "needs"];

impl Header {
    /// The need by which the scenario is about other versions of Linux than this one, if there is such.
    pub fn not_about(&self, version: (u32, u32)) -> Option<Need> {
        let needs = self.needs.iter().copied();
        needs.into_iter().find(|need| need.excludes(version))
    }

    /// Takes one comment line in; `text` is what follows `#`.
    pub(super) fn read(&mut self, text: &str, span: Span) -> Result<(), ScenarioError> {
        let text = text.trim();
        let Some((word, argument, sentence)) = directive(text) else {
            self.prose.push(text.to_owned());
            return Ok(());
        };
        match word {
            "law" => {
                if !is_law_id(argument) || sentence.is_empty() {
                    let example = "# law 37: An edge is reported once.";
                    return Err(malformed(span, "law", example));
                }
                let (id, sentence) = (argument.to_owned(), sentence.to_owned());
                self.laws.push(Law { id, sentence });
            }
            "confusion" => {
                if argument.is_empty() || sentence.is_empty() {
                    let example = "# confusion et-partial-read: One read is not enough.";
                    return Err(malformed(span, "confusion", example));
                }
                let (slug, sentence) = (argument.to_owned(), sentence.to_owned());
                self.confusions.push(Confusion { slug, sentence });
            }
            "needs" => {
                if !argument.is_empty() || sentence.is_empty() {
                    return Err(malformed(span, "needs", "# needs: linux >= 6.15, root"));
                }
                for need in sentence.split(',').map(str::trim) {
                    self.needs.push(Need::parse(need).map_err(|help| {
                        let message = format!("`{need}` is not a need that the lab knows");
                        ScenarioError::new(span, message, "unknown need").help(help)
                    })?);
                }
            }
            _ => {
                let message = format!("`{word}` is not something that a header says");
                return Err(
                    ScenarioError::new(span, message, "unknown directive").meant(word, DIRECTIVES)
                );
            }
        }
        Ok(())
    }
}

/// Whether a comment below the first call is a directive, which has no meaning there.
pub(super) fn is_directive(text: &str) -> bool {
    is_unseen(text) || directive(text.trim()).is_some_and(|(word, ..)| DIRECTIVES.contains(&word))
}

/// Whether a comment is an `unseen` line, which has a claim for an argument.
pub(super) fn is_unseen(text: &str) -> bool {
    let claim = text.trim().strip_prefix("unseen");
    claim.is_some_and(|claim| claim.trim_start().starts_with('('))
}

/// Splits `word argument: sentence` if the word is a directive, or nearly one. Anything else with a
/// colon in it is prose.
fn directive(text: &str) -> Option<(&str, &str, &str)> {
    let (head, sentence) = text.split_once(':')?;
    let mut words = head.split_ascii_whitespace();
    let (word, argument) = (words.next()?, words.next().unwrap_or(""));
    if words.next().is_some() || !word.bytes().all(|byte| byte.is_ascii_lowercase()) {
        return None;
    }
    nearest(word, DIRECTIVES)?;
    Some((word, argument, sentence.trim()))
}

/// Digits behind at most one letter, which tells several lists of laws apart.
fn is_law_id(id: &str) -> bool {
    let digits = id
        .strip_prefix(|c: char| c.is_ascii_lowercase())
        .unwrap_or(id);
    !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
}

fn malformed(span: Span, directive: &str, example: &str) -> ScenarioError {
    let message = format!("a `{directive}` line has another form");
    ScenarioError::new(span, message, "malformed").help(format!("as in `{example}`"))
}
