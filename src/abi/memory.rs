//! User memory as a call sees it: pointers that lead somewhere, and pointers that do not.

use super::Bytes;

/// An input pointer: what it points to, or an address with nothing behind it.
///
/// The kernel backend passes [`Ptr::Addr`] on as it is and so accepts only addresses that cannot be
/// mapped: below 64 KiB (`NULL` among them) or outside user space.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Ptr<T> {
    /// A valid pointer to this value.
    To(T),
    /// A bare address: `NULL`, an unmapped page, the kernel's half.
    Addr(u64),
}

impl<T> Ptr<T> {
    /// The null pointer.
    pub const NULL: Ptr<T> = Ptr::Addr(0);

    /// Whether it is `NULL`, which many calls treat as "not given".
    pub fn is_null(&self) -> bool {
        matches!(self, Ptr::Addr(0))
    }
}

/// An output pointer: memory of some size and kind, or an address with nothing behind it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum OutPtr {
    /// Memory that the call may write to.
    Memory(Room),
    /// A bare address, as in [`Ptr::Addr`].
    Addr(u64),
}

impl OutPtr {
    /// The usual buffer, as large as the call says.
    pub const PLENTY: OutPtr = OutPtr::Memory(Room::Plenty);
    /// The null pointer.
    pub const NULL: OutPtr = OutPtr::Addr(0);
}

/// How the memory behind an output pointer is made.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Room {
    /// As much as the call says it has.
    Plenty,
    /// Writable for this many bytes; the next byte is unmapped. Written `@room(24)`.
    Bytes(u64),
    /// The first touch stops the writer until the lab thaws the page. Written `@frozen`.
    ///
    /// On Linux this is userfaultfd(2): the task sleeps inside copy-out, with every lock that it holds.
    Frozen,
}

/// One past the last address of user space (`TASK_SIZE_MAX` of x86-64 with four-level page tables).
const USER_SPACE_END: u64 = 0x7fff_ffff_f000;

impl OutPtr {
    /// The range check that the kernel makes before it looks at anything (`access_ok`): whether
    /// `bytes` bytes from here lie in user space, mapped or not.
    pub fn in_user_space(self, bytes: u64) -> bool {
        match self {
            OutPtr::Memory(_) => true,
            OutPtr::Addr(addr) => addr
                .checked_add(bytes)
                .is_some_and(|end| end <= USER_SPACE_END),
        }
    }
}

/// One part of what writev(2) and vmsplice(2) are given (`struct iovec`).
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct IoVec {
    /// The bytes, or an address with none.
    pub iov_base: Ptr<Bytes>,
    /// How many.
    pub iov_len: u64,
}

/// As many as there are.
impl From<Bytes> for IoVec {
    fn from(bytes: Bytes) -> IoVec {
        IoVec {
            iov_len: u64::try_from(bytes.len()).unwrap_or(u64::MAX),
            iov_base: Ptr::To(bytes),
        }
    }
}
