//! Printing: to a terminal with colours, to a pipe without, and quietly out if nobody reads any more.

use std::fmt::{Arguments, Display};
use std::io::{ErrorKind, Write};

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};
use anstyle::{AnsiColor, Style};

use crate::scenario::ScenarioError;

pub(super) const GOOD: Style = AnsiColor::Green.on_default();
pub(super) const BAD: Style = AnsiColor::Red.on_default().bold();
pub(super) const FAINT: Style = Style::new().dimmed();
pub(super) const BOLD: Style = Style::new().bold();

/// `text` in a style.
pub(super) fn styled(style: Style, text: impl Display) -> String {
    format!("{style}{text}{style:#}")
}

/// Whether standard output is to have colours.
pub(super) fn has_colour() -> bool {
    anstream::AutoStream::choice(&std::io::stdout()) != anstream::ColorChoice::Never
}

/// Writes to standard output. Whoever closed the pipe has seen enough: the program ends as if SIGPIPE
/// had ended it, without a word.
pub(super) fn print(text: Arguments<'_>) {
    let mut out = anstream::stdout().lock();
    if let Err(error) = out.write_fmt(text).and_then(|()| out.flush()) {
        if error.kind() != ErrorKind::BrokenPipe {
            complain(format_args!("cannot write: {error}"));
            std::process::exit(2);
        }
        std::process::exit(141);
    }
}

macro_rules! outln {
    ($($arg:tt)*) => {
        $crate::cli::terminal::print(format_args!("{}\n", format_args!($($arg)*)))
    };
}
pub(super) use outln;

/// Writes `epoll-lab: error: ...` to standard error.
pub(super) fn complain(text: Arguments<'_>) {
    let label = styled(BAD, "error");
    // Nothing can be done about a standard error that cannot be written to.
    let _ = writeln!(anstream::stderr(), "epoll-lab: {label}: {text}");
}

/// Writes `epoll-lab: ...` to standard error.
pub(super) fn remark(text: Arguments<'_>) {
    // Nor about this.
    let _ = writeln!(anstream::stderr(), "epoll-lab: {text}");
}

/// Shows a mistake in a scenario where it stands, as a compiler would.
pub(super) fn point_at(path: &str, text: &str, error: &ScenarioError) {
    let span = error.span().start..error.span().end;
    let mut annotation = AnnotationKind::Primary.span(span);
    if !error.label().is_empty() {
        annotation = annotation.label(error.label());
    }
    let snippet = Snippet::source(text).path(path).annotation(annotation);
    let mut group = Level::ERROR.primary_title(error.message()).element(snippet);
    if let Some(advice) = error.advice() {
        group = group.element(Level::HELP.message(advice));
    }
    let report = Renderer::styled().render(&[group]);
    let _ = writeln!(anstream::stderr(), "{report}");
}
