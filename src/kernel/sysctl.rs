//! The one machine-wide setting that scenarios may change, and how it gets its old value back.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::thread;
use std::time::{Duration, Instant};

use crate::abi::{OpenFlags, Syscall};
use crate::backend::LabError;

const PATH: &str = "/proc/sys/fs/epoll/max_user_watches";

/// How long somebody else's scenario may keep the setting.
const PATIENCE: Duration = Duration::from_secs(60);

/// The setting, reserved for us, and the value it had.
#[derive(Debug)]
pub(super) struct Sysctl {
    file: File,
    before: String,
}

/// Whether this call is about to make the setting writable.
pub(super) fn is_opened_by(call: &Syscall) -> bool {
    matches!(call, Syscall::Openat { pathname, flags, .. }
        if &**pathname == PATH && flags.intersects(OpenFlags::ACCMODE))
}

impl Sysctl {
    /// Waits until nobody else uses it, by a lock on the file itself, and notes its value.
    pub(super) fn reserve() -> Result<Sysctl, LabError> {
        let failed = |error| LabError::new(format!("cannot reserve {PATH}: {error}"));
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .open(PATH)
            .map_err(failed)?;
        let start = Instant::now();
        loop {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::Error(error)) => return Err(failed(error)),
                Err(TryLockError::WouldBlock) if start.elapsed() < PATIENCE => {
                    thread::sleep(Duration::from_millis(5));
                }
                Err(TryLockError::WouldBlock) => {
                    return Err(LabError::new(format!(
                        "another scenario keeps {PATH} locked"
                    )));
                }
            }
        }
        let mut before = String::new();
        file.read_to_string(&mut before).map_err(failed)?;
        Ok(Sysctl { file, before })
    }
}

#[cfg(test)]
impl Sysctl {
    /// The value that it had.
    pub(super) fn before(&self) -> &str {
        &self.before
    }
}

/// The lock ends with the file.
impl Drop for Sysctl {
    fn drop(&mut self) {
        let restored = self
            .file
            .seek(SeekFrom::Start(0))
            .and_then(|_| self.file.write_all(self.before.as_bytes()));
        if let Err(error) = restored {
            eprintln!("cannot put {PATH} back to {}: {error}", self.before.trim());
        }
    }
}
