//! What is wrong in a chapter, and where: shown as a compiler would.

use std::fmt;
use std::ops::Range;

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};
use epoll_lab::scenario::ScenarioError;

/// A mistake with its place, a range of bytes of the chapter or of the directive, whichever is at hand.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Mistake {
    pub(crate) span: Range<usize>,
    pub(crate) sentence: String,
    pub(crate) label: String,
    pub(crate) help: Vec<String>,
}

impl Mistake {
    pub(crate) fn new(
        span: Range<usize>,
        sentence: impl Into<String>,
        label: impl Into<String>,
    ) -> Mistake {
        Mistake {
            span,
            sentence: sentence.into(),
            label: label.into(),
            help: Vec::new(),
        }
    }

    pub(crate) fn help(mut self, help: impl Into<String>) -> Mistake {
        self.help.push(help.into());
        self
    }

    /// A mistake in a scenario whose text begins at byte `start`.
    pub(crate) fn in_scenario(start: usize, error: &ScenarioError) -> Mistake {
        let span = start + error.span().start..start + error.span().end;
        let mut mistake = Mistake::new(span, error.message(), error.label());
        mistake.help.extend(error.advice().map(str::to_owned));
        mistake
    }
}

/// All that is wrong in one file.
#[derive(Debug)]
pub(crate) struct Mistakes<'t> {
    pub(crate) path: &'t str,
    pub(crate) text: &'t str,
    pub(crate) mistakes: &'t [Mistake],
}

impl fmt::Display for Mistakes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for mistake in self.mistakes {
            let end = mistake.span.end.min(self.text.len());
            let start = mistake.span.start.min(end);
            let mut annotation = AnnotationKind::Primary.span(start..end);
            if !mistake.label.is_empty() {
                annotation = annotation.label(&*mistake.label);
            }
            let snippet = Snippet::source(self.text)
                .path(self.path)
                .annotation(annotation);
            let mut group = Level::ERROR
                .primary_title(&*mistake.sentence)
                .element(snippet);
            for help in &mistake.help {
                group = group.element(Level::NOTE.message(&**help));
            }
            // What ends a build is read in logs too.
            writeln!(f, "{}", Renderer::plain().render(&[group]))?;
        }
        Ok(())
    }
}
