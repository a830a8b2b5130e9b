//! The directory in which a scenario has its names, which goes with it.

use std::fs::{self, File, TryLockError};
use std::io::ErrorKind;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::{env, process};

use crate::backend::LabError;

/// What the names of such directories begin with.
const PREFIX: &str = "epoll-lab-";

/// A directory of a scenario's own.
///
/// Who interrupts a lab leaves one behind. So a live one is locked, and every lab removes those that are not.
#[derive(Debug)]
pub(super) struct Scratch {
    path: PathBuf,
    /// Keeps others from taking it for left behind.
    _lock: File,
}

impl Scratch {
    /// A new one.
    pub(super) fn new() -> Result<Scratch, LabError> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let all = env::temp_dir();
        remove_abandoned(&all);
        loop {
            let number = NUMBER.fetch_add(1, SeqCst);
            let path = all.join(format!("{PREFIX}{}-{number}", process::id()));
            let failed = |error| {
                LabError::new(format!(
                    "cannot make the directory {}: {error}",
                    path.display()
                ))
            };
            match fs::DirBuilder::new().mode(0o755).create(&path) {
                // Left behind by another process that had our number.
                Err(error) if error.kind() == ErrorKind::AlreadyExists => continue,
                made => made.map_err(failed)?,
            }
            let lock = File::open(&path).and_then(|lock| lock.lock().map(|()| lock));
            match lock {
                // Removed before it was locked.
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                Ok(_) if !path.exists() => continue,
                lock => {
                    let _lock = lock.map_err(failed)?;
                    return Ok(Scratch { path, _lock });
                }
            }
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

/// What cannot be removed is left for whoever can.
fn remove_abandoned(all: &Path) {
    let Ok(entries) = fs::read_dir(all) else {
        return;
    };
    for entry in entries.flatten() {
        let ours = entry
            .file_name()
            .as_encoded_bytes()
            .starts_with(PREFIX.as_bytes());
        if !ours || !entry.file_type().is_ok_and(|it| it.is_dir()) {
            continue;
        }
        let path = entry.path();
        if let Ok(directory) = File::open(&path)
            && !matches!(directory.try_lock(), Err(TryLockError::WouldBlock))
        {
            let _ = fs::remove_dir_all(&path);
        }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.path) {
            eprintln!("cannot remove {}: {error}", self.path.display());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_goes_with_its_scenario_and_so_does_one_that_was_left_behind() {
        let left = env::temp_dir().join(format!("{PREFIX}{}-left", process::id()));
        fs::create_dir_all(left.join("below")).unwrap();
        let first = Scratch::new().unwrap();
        let second = Scratch::new().unwrap();
        // Another lab may have come first, and be at it.
        for _ in 0..1000 {
            if left.exists() {
                drop(Scratch::new());
            }
        }
        assert!(!left.exists());
        assert!(first.path().is_dir() && second.path().is_dir());
        fs::write(first.path().join("file"), "x").unwrap();
        let path = first.path().to_owned();
        drop(first);
        assert!(!path.exists() && second.path().is_dir());
    }
}
