//! From the text of a kind to its states.
//!
//! Whatever is no heading is kept as it stands: the scenario language reads it when a question is made.

use std::fmt;

use super::{Entry, Kind, Operation, Stage, State};

/// What is wrong with the text of a kind, and in which line.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Mistake {
    /// Its number, from 1.
    pub line: usize,
    /// In a sentence.
    pub message: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.line, self.message)
    }
}

impl std::error::Error for Mistake {}

impl Kind {
    /// Reads the text of a kind.
    ///
    /// # Errors
    /// The first heading that is none.
    pub fn parse(name: &str, text: &str) -> Result<Kind, Mistake> {
        let mut lines = (1..).zip(text.lines());
        let title = lines.next().and_then(|(_, line)| line.strip_prefix("# "));
        let Some(title) = title else {
            return Err(mistake(
                1,
                "the first line names the kind: `# pipe, read end`",
            ));
        };
        let mut kind = Kind {
            name: name.to_owned(),
            title: title.to_owned(),
            about: Vec::new(),
            common: Vec::new(),
            entries: Vec::new(),
        };
        for (number, line) in lines {
            kind.line(line)
                .map_err(|message| mistake(number, message))?;
        }
        Ok(kind)
    }

    fn line(&mut self, line: &str) -> Result<(), &'static str> {
        if let Some(heading) = line.strip_prefix("### ") {
            let Some(Entry::State(state)) = self.entries.last_mut() else {
                return Err("an operation belongs to a state: `## data: one byte`");
            };
            state.operations.push(Operation {
                title: heading.to_owned(),
                lines: Vec::new(),
            });
        } else if let Some(heading) = line.strip_prefix("## ") {
            self.entries.push(entry(heading)?);
        } else if !line.trim().is_empty() {
            self.plain(line)?;
        }
        Ok(())
    }

    /// A line of a scenario: it belongs to what the last heading opened.
    fn plain(&mut self, line: &str) -> Result<(), &'static str> {
        let lines = match self.entries.last_mut() {
            Some(Entry::State(state)) => match state.operations.last_mut() {
                Some(operation) => &mut operation.lines,
                None => &mut state.lines,
            },
            Some(Entry::Never { .. }) => return Err("nobody can come to a state that is none"),
            None => match comment(line).filter(|_| self.common.is_empty()) {
                Some(comment) if !comment.starts_with("needs: ") => &mut self.about,
                _ => &mut self.common,
            },
        };
        lines.push(line.to_owned());
        Ok(())
    }
}

/// `data: one byte`, or `no full, error: nothing can be written to it`
fn entry(heading: &str) -> Result<Entry, &'static str> {
    let Some((stages, text)) = heading.split_once(": ") else {
        return Err("a state has a stage and words: `## data: one byte`");
    };
    let text = text.to_owned();
    match stages.strip_prefix("no ") {
        Some(stages) => Ok(Entry::Never {
            stages: stages.split(", ").map(stage).collect::<Result<_, _>>()?,
            reason: text,
        }),
        None => Ok(Entry::State(State {
            stage: stage(stages)?,
            title: text,
            lines: Vec::new(),
            operations: Vec::new(),
        })),
    }
}

fn stage(word: &str) -> Result<Stage, &'static str> {
    Stage::ALL
        .into_iter()
        .find(|stage| stage.word() == word)
        .ok_or("the stages are fresh, data, full, half-closed, closed, drained and error")
}

/// The text of a line that is nothing but a comment.
pub(super) fn comment(line: &str) -> Option<&str> {
    line.strip_prefix('#').map(str::trim)
}

/// What the lines of a state or an operation say that they need.
pub(super) fn needs(lines: &[String]) -> impl Iterator<Item = &str> {
    let comments = lines.iter().map_while(|line| comment(line));
    comments.filter_map(|comment| comment.strip_prefix("needs: "))
}

fn mistake(line: usize, message: impl Into<String>) -> Mistake {
    Mistake {
        line,
        message: message.into(),
    }
}
