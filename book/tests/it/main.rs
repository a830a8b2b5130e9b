//! The book as its readers and its authors meet it.

mod browser;
mod chapters;
mod directives;
mod server;
mod site;

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use epoll_lab_book::{Lab, Site};
use tempfile::TempDir;

/// The folder of the project.
fn project() -> PathBuf {
    let project = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    project.canonicalize().expect("the project is there")
}

/// The pages of the English book, built once for all tests.
fn english() -> &'static Path {
    static PAGES: OnceLock<(TempDir, PathBuf)> = OnceLock::new();
    let (_, pages) = PAGES.get_or_init(|| {
        let folder = TempDir::new().expect("a folder");
        let site = Site::english(Lab::default()).expect("the book is there");
        let pages = site.into(folder.path()).build();
        let pages = pages.unwrap_or_else(|error| panic!("{error:?}"));
        (folder, pages)
    });
    pages
}

/// A book of one chapter.
struct OneChapter {
    folder: TempDir,
}

impl OneChapter {
    fn new(chapter: &str) -> OneChapter {
        let book = OneChapter {
            folder: TempDir::new().expect("a folder"),
        };
        let project = project();
        let toml = format!(
            "[book]\ntitle = \"t\"\n[preprocessor.lab]\ncommand = \"/does/not/exist\"\nproject = {:?}\n",
            project.display().to_string()
        );
        book.write("book.toml", &toml);
        book.write("src/SUMMARY.md", "- [One](one.md)\n");
        book.write("src/one.md", chapter);
        book
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.folder.path().join(path);
        let folder = path.parent().expect("it is in a folder");
        std::fs::create_dir_all(folder).expect("a folder");
        std::fs::write(path, text).expect("it can be written");
    }

    fn site(&self, lab: Lab) -> Site {
        Site::new(self.folder.path(), lab)
    }

    /// The page, or what is said instead.
    fn build(&self, lab: Lab) -> Result<String, String> {
        let pages = self
            .site(lab)
            .build()
            .map_err(|error| format!("{error:?}"))?;
        Ok(std::fs::read_to_string(pages.join("one.html")).expect("a page"))
    }
}
