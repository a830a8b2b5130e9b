//! A regular file: bytes with a name, which can be read, written and cut, and never have to be waited for. So it
//! has no poll method: poll(2) takes it for ready, and epoll refuses it.

use super::DEFAULT_POLLMASK;
use super::ops::{Caller, FileOps, PollHeads, Poller};
use super::pipe::PAGE_SIZE;
use super::plain::{self, SEEK_CUR, SEEK_END, SEEK_SET};
use super::transfer::{Attempt, Io, stored_at_most};
use crate::abi::{Bytes, Errno, EventMask, IoctlArg, OpenFlags, Out, OutPtr, Ptr, Room, request};
use crate::model::arena::{FileId, InodeId};
use crate::model::encode::Encoder;
use crate::model::fs::Node;
use crate::model::{Kernel, Machine};
use crate::trace::Observer;

/// An open regular file, whose bytes are in its inode.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Regular(pub(crate) InodeId);

impl Regular {
    fn bytes(self, m: &Machine) -> &[u8] {
        match &m.fs.inode(self.0).node {
            Node::Regular(bytes) => bytes,
            Node::Directory(_) | Node::Fifo(_) => unreachable!("an inode stays what it is"),
        }
    }

    fn bytes_mut(self, m: &mut Machine) -> &mut Vec<u8> {
        match &mut m.fs.inode_mut(self.0).node {
            Node::Regular(bytes) => bytes,
            Node::Directory(_) | Node::Fifo(_) => unreachable!("an inode stays what it is"),
        }
    }

    /// Cuts it to nothing (`O_TRUNC`).
    pub(crate) fn truncate(self, m: &mut Machine) {
        self.bytes_mut(m).clear();
    }

    fn size(self, m: &Machine) -> u64 {
        u64::try_from(self.bytes(m).len()).unwrap_or(u64::MAX)
    }

    /// What there is from a position on.
    pub(super) fn rest(self, m: &Machine, pos: u64) -> &[u8] {
        let start = usize::try_from(pos).unwrap_or(usize::MAX);
        self.bytes(m).get(start..).unwrap_or_default()
    }

    /// Puts bytes at a position. What lies between it and the old end is zeros.
    pub(super) fn put(self, m: &mut Machine, pos: u64, new: &[u8]) -> Result<(), Errno> {
        let end = pos.saturating_add(u64::try_from(new.len()).unwrap_or(u64::MAX));
        let (true, Ok(start), Ok(end)) =
            (end <= LARGEST, usize::try_from(pos), usize::try_from(end))
        else {
            return Err(Errno::EFBIG);
        };
        let bytes = self.bytes_mut(m);
        if bytes.len() < end {
            bytes.resize(end, 0);
        }
        bytes[start..end].copy_from_slice(new);
        Ok(())
    }
}

/// More than any scenario writes.
const LARGEST: u64 = 1 << 24;

impl FileOps for Regular {
    fn can_poll(self) -> bool {
        false
    }

    fn poll(self, _: &mut Machine, _: Poller) -> EventMask {
        DEFAULT_POLLMASK
    }

    fn queues(self, _: &Machine) -> PollHeads {
        [None, None]
    }

    fn describe(self, m: &Machine) -> (&'static str, String) {
        ("regular file", format!("{} bytes", self.size(m)))
    }

    /// The bytes are written with the inode.
    fn encode_state(self, _: &mut Encoder<'_>) {}

    fn read<O: Observer>(
        self,
        kernel: &mut Kernel<'_, O>,
        caller: Caller,
        (buf, count): (OutPtr, u64),
        io: &mut Io,
    ) -> Attempt {
        let pos = kernel.m.files[caller.file].pos;
        let rest = self.rest(kernel.m, pos);
        let count = count.min(u64::try_from(rest.len()).unwrap_or(u64::MAX));
        let count = match stored_at_most(buf, count) {
            Ok(count) => count,
            Err(errno) => return Attempt::fail(errno),
        };
        let bytes = rest[..usize::try_from(count).unwrap_or_default()].to_vec();
        kernel.m.files[caller.file].pos += count;
        io.stored(bytes)
    }

    fn write<O: Observer>(
        self,
        kernel: &mut Kernel<'_, O>,
        caller: Caller,
        (buf, count): (&Ptr<Bytes>, u64),
        _: &mut Io,
    ) -> Attempt {
        let file = &kernel.m.files[caller.file];
        let pos = if file.flags.contains(OpenFlags::APPEND) {
            self.size(kernel.m)
        } else {
            file.pos
        };
        let bytes = match buf {
            _ if count == 0 => return Attempt::Over(Ok(0)),
            Ptr::Addr(_) => return Attempt::fail(Errno::EFAULT),
            Ptr::To(bytes) => bytes,
        };
        match self.put(kernel.m, pos, bytes) {
            Ok(()) => {
                kernel.m.files[caller.file].pos = pos + count;
                Attempt::Over(Ok(count))
            }
            Err(errno) => Attempt::fail(errno),
        }
    }

    /// Bytes between the position and the end, which may be in front of it.
    fn ioctl(self, m: &mut Machine, caller: Caller, op: u32, arg: IoctlArg) -> Result<Out, Errno> {
        match (op, arg) {
            (request::FIONREAD, IoctlArg::IntOut(OutPtr::Memory(Room::Plenty))) => {
                let pos = m.files[caller.file].pos;
                let left = i64::try_from(self.size(m)).unwrap_or(i64::MAX)
                    - i64::try_from(pos).unwrap_or(i64::MAX);
                Ok(Out::Int(i32::try_from(left).unwrap_or(i32::MAX)))
            }
            (request::FIONREAD, IoctlArg::IntOut(_)) => Err(Errno::EFAULT),
            _ => Err(Errno::ENOTTY),
        }
    }

    /// Page by page, as they lie in the page cache (`filemap_splice_read`).
    fn splice_read(
        self,
        m: &mut Machine,
        pos: u64,
        most: usize,
    ) -> Result<(usize, Vec<u8>), Errno> {
        let rest = self.rest(m, pos);
        let first = usize::try_from(pos).unwrap_or_default() % PAGE_SIZE;
        Ok((first, rest[..rest.len().min(most)].to_vec()))
    }

    fn can_splice_write(self) -> bool {
        true
    }

    fn splice_write(self, m: &mut Machine, pos: u64, bytes: &[u8]) -> Result<(), Errno> {
        self.put(m, pos, bytes)
    }

    fn llseek(self, m: &mut Machine, file: FileId, offset: i64, whence: i32) -> Result<i64, Errno> {
        let size = self.size(m);
        let file = &mut m.files[file];
        let base = match whence {
            SEEK_SET => 0,
            SEEK_CUR => i64::try_from(file.pos).map_err(|_| Errno::EOVERFLOW)?,
            SEEK_END => i64::try_from(size).map_err(|_| Errno::EOVERFLOW)?,
            // SEEK_DATA and SEEK_HOLE: what is a hole is for the disk to say.
            _ => return Err(Errno::EINVAL),
        };
        plain::seek(file, base, offset)
    }

    fn free(self, _: &mut Machine) {}
}
