//! The preprocessor: every directive of every chapter is carried out, or the book is not built.

use std::path::{Path, PathBuf};

use anyhow::{anyhow, bail};
use mdbook_preprocessor::book::{Book, BookItem, Chapter};
use mdbook_preprocessor::errors::Result;
use mdbook_preprocessor::{Preprocessor, PreprocessorContext};

use crate::directive::{find, replace};
use crate::mistake::{Mistake, Mistakes};
use crate::show::{Workshop, show};

/// Carries out the directives of a book.
#[derive(Clone, Copy, Debug, Default)]
pub struct Lab {
    /// Whether Linux is not to be asked, as on a machine that is none: what was recorded is shown.
    pub recorded: bool,
}

impl Lab {
    /// One chapter.
    ///
    /// # Errors
    /// All mistakes in it, each at its place.
    fn chapter(
        self,
        project: &Path,
        path: &str,
        chapter: &mut Chapter,
    ) -> std::result::Result<(), String> {
        let directives = find(&chapter.content);
        if directives.is_empty() {
            return Ok(());
        }
        let stem = Path::new(path).file_stem().unwrap_or_default();
        let mut replaced = Vec::new();
        let mut mistakes = Vec::new();
        for (number, directive) in directives.into_iter().enumerate() {
            let workshop = Workshop {
                project,
                recorded: self.recorded,
                id: format!("lab-{}-{}", stem.to_string_lossy(), number + 1),
            };
            let shown = directive.and_then(|directive| {
                let block = directive.block.clone();
                Ok((block, show(&workshop, directive)?))
            });
            match shown {
                Ok(shown) => replaced.push(shown),
                Err(mistake) => mistakes.push(mistake),
            }
        }
        if mistakes.is_empty() {
            chapter.content = replace(&chapter.content, &replaced);
            return Ok(());
        }
        Err(told(path, &chapter.content, &mistakes))
    }
}

fn told(path: &str, text: &str, mistakes: &[Mistake]) -> String {
    Mistakes {
        path,
        text,
        mistakes,
    }
    .to_string()
}

impl Preprocessor for Lab {
    fn name(&self) -> &str {
        "lab"
    }

    fn run(&self, context: &PreprocessorContext, mut book: Book) -> Result<Book> {
        let settings = Settings::of(context)?;
        let mut mistakes = String::new();
        book.for_each_mut(|item| {
            if let BookItem::Chapter(chapter) = item
                && let Some(path) = &chapter.source_path
            {
                let path = settings.chapters.join(path).display().to_string();
                if let Err(text) = self.chapter(&settings.project, &path, chapter) {
                    mistakes.push_str(&text);
                }
            }
        });
        if mistakes.is_empty() {
            return Ok(book);
        }
        bail!("the chapters have mistakes\n\n{mistakes}")
    }

    /// Whoever wants the text as it was written, to translate it, say, must not get it carried out.
    fn supports_renderer(&self, renderer: &str) -> Result<bool> {
        Ok(renderer != "xgettext")
    }
}

/// What book.toml says.
struct Settings {
    /// The folder of the project, with scenarios and examples.
    project: PathBuf,
    /// The chapters, as seen from there.
    chapters: PathBuf,
}

impl Settings {
    fn of(context: &PreprocessorContext) -> Result<Settings> {
        let project: Option<PathBuf> = context.config.get("preprocessor.lab.project")?;
        let project = project.ok_or_else(|| {
            anyhow!(
                "book.toml does not say where the project is: [preprocessor.lab] project = \"..\""
            )
        })?;
        let root = context.root.canonicalize()?;
        let project = root.join(project).canonicalize()?;
        if !project.join("examples/scenarios").is_dir() {
            bail!("there are no scenarios in {}", project.display());
        }
        let chapters = root.join(&context.config.book.src);
        let chapters = chapters.strip_prefix(&project).map(Path::to_path_buf);
        Ok(Settings {
            chapters: chapters.unwrap_or_else(|_| root.join(&context.config.book.src)),
            project,
        })
    }
}
