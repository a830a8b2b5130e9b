//! Files that have nothing to wait for: regular files, directories, /dev/null and its kin, which have no
//! poll method and so no place in an epoll; and procfs files, which have one that always says yes.

use super::ops::{Caller, FileOps, PollHeads, Poller};
use super::transfer::{Attempt, Io, stored_at_most};
use super::{DEFAULT_POLLMASK, File};
use crate::abi::{Bytes, Errno, EventMask, OutPtr, Ptr};
use crate::model::arena::FileId;
use crate::model::encode::{Encoder, Number};
use crate::model::{Kernel, Machine};
use crate::trace::Observer;

/// Which of them.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Plain {
    /// /dev/null: reads nothing, swallows everything.
    Null,
    /// /dev/zero: zeros without end.
    Zero,
    /// /dev/full: like it, but there is never room.
    Full,
    /// /dev/urandom. What it gives here are zeros: no program can tell.
    Urandom,
    /// /dev/random, which can be waited for: on a machine that has just started, and never after.
    Random,
    /// A regular file with this many bytes.
    Regular(u32),
    /// A directory.
    Directory,
    /// A file of procfs's own, such as /proc/meminfo: pollable, always ready, no wait queue.
    ProcAlways,
    /// /proc/self/mounts, which tells of mounts by `EPOLLERR|EPOLLPRI`. Nobody mounts anything here.
    Mounts,
    /// /proc/version, one of them.
    Version,
    /// A file of /proc/PID: as good as a regular one.
    OfProcess,
    /// /proc/sys/fs/epoll/max_user_watches.
    MaxUserWatches,
    /// Opened with `O_PATH`: a name.
    Path,
    /// What is being opened, and is nothing yet.
    Opening,
}

/// Which paths lead to which file.
const PATHS: [(&str, Plain); 19] = [
    ("/dev/null", Plain::Null),
    ("/dev/zero", Plain::Zero),
    ("/dev/full", Plain::Full),
    ("/dev/urandom", Plain::Urandom),
    ("/dev/random", Plain::Random),
    ("/etc/passwd", Plain::Regular(1024)),
    ("/etc/hostname", Plain::Regular(5)),
    ("/", Plain::Directory),
    ("/dev", Plain::Directory),
    ("/etc", Plain::Directory),
    ("/tmp", Plain::Directory),
    ("/proc", Plain::Directory),
    ("/proc/self/status", Plain::OfProcess),
    ("/proc/self/maps", Plain::OfProcess),
    ("/proc/self/mounts", Plain::Mounts),
    ("/proc/version", Plain::Version),
    ("/proc/meminfo", Plain::ProcAlways),
    ("/proc/stat", Plain::ProcAlways),
    ("/proc/sys/fs/epoll/max_user_watches", Plain::MaxUserWatches),
];

impl Plain {
    /// The file that a path of the model's small file system leads to.
    pub(crate) fn open(path: &str) -> Option<Plain> {
        PATHS
            .iter()
            .find(|(known, _)| *known == path)
            .map(|(_, file)| *file)
    }

    pub(crate) fn is_directory(self) -> bool {
        self == Plain::Directory
    }

    /// What stands at its beginning, where anybody cares; zeros follow.
    fn content(self) -> &'static [u8] {
        match self {
            Plain::Version => b"Linux version 6.18.44\n",
            _ => b"",
        }
    }

    /// What stands at a position.
    fn bytes(self, pos: u64, count: u64) -> Vec<u8> {
        let skip = usize::try_from(pos).unwrap_or(usize::MAX);
        let take = usize::try_from(count).unwrap_or(0);
        let content = self.content().iter().copied().chain(std::iter::repeat(0));
        content.skip(skip).take(take).collect()
    }

    /// How many bytes a read may get from `pos` on; `None` is without end.
    fn length_from(self, pos: u64) -> Option<u64> {
        match self {
            Plain::Null | Plain::Directory | Plain::Path | Plain::Opening => Some(0),
            Plain::Zero | Plain::Full | Plain::Urandom | Plain::Random => None,
            Plain::Regular(size) => Some(u64::from(size).saturating_sub(pos)),
            Plain::OfProcess => Some(1024_u64.saturating_sub(pos)),
            Plain::Mounts | Plain::ProcAlways | Plain::Version => Some(128_u64.saturating_sub(pos)),
            Plain::MaxUserWatches => Some(8_u64.saturating_sub(pos)),
        }
    }
}

impl FileOps for Plain {
    fn can_poll(self) -> bool {
        matches!(
            self,
            Plain::Random
                | Plain::Mounts
                | Plain::ProcAlways
                | Plain::Version
                | Plain::MaxUserWatches
        )
    }

    fn poll(self, _: &mut Machine, _: Poller) -> EventMask {
        match self {
            Plain::Random | Plain::Mounts => EventMask::IN | EventMask::RDNORM,
            _ => DEFAULT_POLLMASK,
        }
    }

    fn queues(self, _: &Machine) -> PollHeads {
        [None, None]
    }

    fn describe(self, _: &Machine) -> (&'static str, String) {
        let name = match self {
            Plain::Null => "/dev/null",
            Plain::Zero => "/dev/zero",
            Plain::Full => "/dev/full",
            Plain::Urandom => "/dev/urandom",
            Plain::Random => "/dev/random",
            Plain::Regular(_) => "regular file",
            Plain::Directory => "directory",
            Plain::Mounts
            | Plain::ProcAlways
            | Plain::Version
            | Plain::OfProcess
            | Plain::MaxUserWatches => "procfs file",
            Plain::Path => "path",
            Plain::Opening => "file that is being opened",
        };
        (name, String::new())
    }

    fn encode_state(self, to: &mut Encoder<'_>) {
        to.number(self.number(to));
    }

    fn read<O: Observer>(
        self,
        kernel: &mut Kernel<'_, O>,
        caller: Caller,
        (buf, count): (OutPtr, u64),
        io: &mut Io,
    ) -> Attempt {
        if self.is_directory() {
            return Attempt::fail(Errno::EISDIR);
        }
        let available = self
            .length_from(kernel.m.files[caller.file].pos)
            .unwrap_or(u64::MAX);
        let count = count.min(available).min(MOST);
        let count = match stored_at_most(buf, count) {
            Ok(count) => count,
            Err(errno) => return Attempt::fail(errno),
        };
        let file = &mut kernel.m.files[caller.file];
        file.pos += count;
        io.stored(self.bytes(file.pos - count, count))
    }

    fn write<O: Observer>(
        self,
        kernel: &mut Kernel<'_, O>,
        caller: Caller,
        (buf, count): (&Ptr<Bytes>, u64),
        _: &mut Io,
    ) -> Attempt {
        match (self, buf) {
            (Plain::Full, _) => return Attempt::fail(Errno::ENOSPC),
            (Plain::MaxUserWatches, Ptr::To(bytes)) => {
                let text = std::str::from_utf8(bytes).unwrap_or_default().trim_end();
                match text.parse() {
                    Ok(watches) => kernel.m.max_user_watches = watches,
                    Err(_) => return Attempt::fail(Errno::EINVAL),
                }
            }
            (Plain::Null, _) | (_, Ptr::To(_)) => {}
            (_, Ptr::Addr(_)) => return Attempt::fail(Errno::EFAULT),
        }
        kernel.m.files[caller.file].pos += count;
        Attempt::Over(Ok(count))
    }

    /// A copy, which has pages of its own (`copy_splice_read`).
    fn splice_read(
        self,
        _: &mut Machine,
        pos: u64,
        most: usize,
    ) -> Result<(usize, Vec<u8>), Errno> {
        if matches!(
            self,
            Plain::Null | Plain::Directory | Plain::Path | Plain::Opening | Plain::OfProcess
        ) {
            return Err(Errno::EINVAL);
        }
        let most = u64::try_from(most).unwrap_or(u64::MAX).min(MOST);
        let count = most.min(self.length_from(pos).unwrap_or(u64::MAX));
        Ok((0, self.bytes(pos, count)))
    }

    fn can_splice_write(self) -> bool {
        matches!(
            self,
            Plain::Null | Plain::Zero | Plain::Urandom | Plain::Random
        )
    }

    fn splice_write(self, _: &mut Machine, _: u64, _: &[u8]) -> Result<(), Errno> {
        Ok(())
    }

    /// Files of a certain length have a place to go on from, and others do as if.
    fn llseek(self, m: &mut Machine, file: FileId, offset: i64, whence: i32) -> Result<i64, Errno> {
        let file = &mut m.files[file];
        let base = match (self, whence) {
            (Plain::Null | Plain::Zero | Plain::Full, _) => return Ok(0),
            (_, SEEK_SET) => 0,
            (_, SEEK_CUR) => i64::try_from(file.pos).map_err(|_| Errno::EOVERFLOW)?,
            (Plain::Regular(size), SEEK_END) => i64::from(size),
            _ => return Err(Errno::EINVAL),
        };
        seek(file, base, offset)
    }

    fn reopen(self) -> Result<Plain, Errno> {
        Ok(self)
    }

    fn free(self, _: &mut Machine) {}
}

/// A new position, `offset` from the base (`vfs_setpos`).
pub(super) fn seek(file: &mut File, base: i64, offset: i64) -> Result<i64, Errno> {
    let pos = base.checked_add(offset).ok_or(Errno::EOVERFLOW)?;
    file.pos = u64::try_from(pos).map_err(|_| Errno::EINVAL)?;
    Ok(pos)
}

pub(super) const SEEK_SET: i32 = 0;
pub(super) const SEEK_CUR: i32 = 1;
pub(super) const SEEK_END: i32 = 2;

/// More than any scenario asks for; keeps a wrong count from taking the memory of the lab.
const MOST: u64 = 1 << 20;

impl Number for Plain {
    fn number(&self, _: &Encoder<'_>) -> u64 {
        match self {
            Plain::Null => 0,
            Plain::Zero => 1,
            Plain::Full => 2,
            Plain::Urandom => 3,
            Plain::Directory => 4,
            Plain::ProcAlways => 5,
            Plain::MaxUserWatches => 6,
            Plain::Path => 7,
            Plain::Version => 8,
            Plain::Opening => 9,
            Plain::OfProcess => 10,
            Plain::Random => 11,
            Plain::Mounts => 12,
            Plain::Regular(size) => 13 + u64::from(*size),
        }
    }
}
