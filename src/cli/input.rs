//! Scenarios by name: files, folders, standard input, or those inside the program.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use super::Unusable;
use super::terminal::{complain, point_at};
use crate::scenario::{Scenario, library};

/// The text of a scenario and what to call it.
#[derive(Debug)]
pub(super) struct Source {
    /// Its path; for a built-in one the path that it has in the project.
    pub(super) path: String,
    /// The folder that it stands in, without the way there.
    pub(super) topic: String,
    pub(super) text: String,
}

/// The largest text that is read: some million lines.
const MOST: u64 = 64 << 20;

/// How many mistakes of one file are worth showing.
const MOST_MISTAKES: usize = 10;

impl Source {
    /// Reads `-` or a file.
    pub(super) fn read(path: &Path) -> Result<Source, Unusable> {
        let mut bytes = Vec::new();
        let read = if path == Path::new("-") {
            std::io::stdin().lock().take(MOST).read_to_end(&mut bytes)
        } else {
            fs::File::open(path).and_then(|file| file.take(MOST).read_to_end(&mut bytes))
        };
        if let Err(error) = read {
            complain(format_args!("cannot read {}: {error}", path.display()));
            return Err(Unusable);
        }
        let text = String::from_utf8(bytes).map_err(|error| {
            let at = error.utf8_error().valid_up_to();
            let line = 1 + error.as_bytes()[..at]
                .iter()
                .filter(|byte| **byte == b'\n')
                .count();
            complain(format_args!(
                "{}:{line}: this is no text: not UTF-8",
                path.display()
            ));
            Unusable
        })?;
        let folder = path.parent().and_then(Path::file_name);
        Ok(Source {
            path: path.display().to_string(),
            topic: folder.map_or(String::new(), |name| name.to_string_lossy().into_owned()),
            text,
        })
    }

    /// Every scenario that a path leads to: a file, or all `.strace` files below a folder, sorted.
    pub(super) fn read_all(path: &Path) -> Result<Vec<Source>, Unusable> {
        if !path.is_dir() {
            return Ok(vec![Source::read(path)?]);
        }
        let mut files = Vec::new();
        files_below(path, &mut files).map_err(|error| {
            complain(format_args!("cannot read {}: {error}", path.display()));
            Unusable
        })?;
        if files.is_empty() {
            complain(format_args!(
                "there is no .strace file below {}",
                path.display()
            ));
            return Err(Unusable);
        }
        files.sort();
        files.iter().map(|file| Source::read(file)).collect()
    }

    /// The scenarios inside the program.
    pub(super) fn built_in() -> Vec<Source> {
        library()
            .into_iter()
            .map(|file| Source {
                path: format!("examples/scenarios/{}/{}.strace", file.topic, file.name),
                topic: file.topic.to_owned(),
                text: file.text.to_owned(),
            })
            .collect()
    }

    /// The scenario in it; mistakes are shown where they stand.
    pub(super) fn parse(&self) -> Result<Scenario, Unusable> {
        Scenario::parse(&self.text).map_err(|errors| {
            for error in errors.iter().take(MOST_MISTAKES) {
                point_at(&self.path, &self.text, error);
            }
            // Nor does the parser look for all of them.
            if errors.len() > MOST_MISTAKES {
                complain(format_args!("{}: there are more mistakes", self.path));
            }
            Unusable
        })
    }

    /// The path without folders and suffix.
    pub(super) fn name(&self) -> &str {
        let file = self.path.rsplit('/').next().unwrap_or(&self.path);
        file.strip_suffix(".strace").unwrap_or(file)
    }
}

fn files_below(folder: &Path, files: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            files_below(&path, files)?;
        } else if path.extension().is_some_and(|suffix| suffix == "strace") {
            files.push(path);
        }
    }
    Ok(())
}
