//! Building the book.

use std::path::{Path, PathBuf};
use std::{env, fs};

use anyhow::{Context, Result, bail};
use mdbook_driver::MDBook;

use crate::Lab;

/// A book on disk, and where its pages go.
#[derive(Clone, Debug)]
pub struct Site {
    root: PathBuf,
    pages: Option<PathBuf>,
    lab: Lab,
    /// A program that asks the page to load itself anew can be reached under this path.
    reload: Option<&'static str>,
}

impl Site {
    /// The book in a folder with a book.toml.
    pub fn new(root: impl Into<PathBuf>, lab: Lab) -> Site {
        Site {
            root: root.into(),
            pages: None,
            lab,
            reload: None,
        }
    }

    /// The English book of the project that this program was built in.
    ///
    /// # Errors
    /// The project is not there any more.
    pub fn english(lab: Lab) -> Result<Site> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("en");
        if !root.join("book.toml").is_file() {
            bail!("the book is not at {}", root.display());
        }
        Ok(Site::new(root, lab))
    }

    /// With its pages in another folder than book.toml says.
    #[must_use]
    pub fn into(self, pages: impl Into<PathBuf>) -> Site {
        Site {
            pages: Some(pages.into()),
            ..self
        }
    }

    /// With pages that wait for a word at this path to load themselves anew.
    #[must_use]
    pub(crate) fn reloading(self, path: &'static str) -> Site {
        Site {
            reload: Some(path),
            ..self
        }
    }

    /// Builds it, and says where it is.
    ///
    /// # Errors
    /// A mistake in a chapter, or a folder that cannot be written.
    pub fn build(&self) -> Result<PathBuf> {
        let mut book = MDBook::load(&self.root).context("the book cannot be read")?;
        if let Some(pages) = &self.pages {
            let pages = env::current_dir()?.join(pages);
            book.config.build.build_dir = pages;
        }
        if let Some(path) = self.reload {
            book.config.set("output.html.live-reload-endpoint", path)?;
            // The page for what is not there stands at any depth.
            book.config.set("output.html.site-url", "/")?;
        }
        // In the place of the program that book.toml names.
        book.with_preprocessor(self.lab);
        book.build()?;
        let pages = book.build_dir_for("html");
        Ok(fs::canonicalize(pages)?)
    }

    /// What the pages are made of, besides this program.
    pub(crate) fn sources(&self) -> Vec<PathBuf> {
        let project = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        vec![
            self.root.join("src"),
            self.root.join("book.toml"),
            project.join("book/assets"),
            project.join("examples"),
        ]
    }
}
