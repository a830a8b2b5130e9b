//! System calls made right here, in the caller's own process and thread: what the benches measure.
//!
//! The backend makes its calls in a process of its own and hands each over, which costs more than the
//! call. These cost nothing but the call. They return what the kernel returns: a value, or the negative
//! errno.

#![expect(
    clippy::as_conversions,
    reason = "registers: an int is widened with its sign, the upper half of the result means nothing"
)]

use libc::{epoll_event, rlimit64};

use super::ffi;

/// `struct epoll_event`, laid out as the kernel writes it.
pub type EpollEvent = epoll_event;

/// An event for [`epoll_wait`] to overwrite.
pub const NO_EVENT: EpollEvent = EpollEvent { events: 0, u64: 0 };

/// Raises `RLIMIT_NOFILE` to `wanted`, or as far as it goes, and returns how far that is. A hard limit
/// is raised with `CAP_SYS_RESOURCE` only, and not beyond the sysctl fs.nr_open.
pub fn raise_nofile(wanted: u64) -> u64 {
    let mut old = rlimit64 {
        rlim_cur: 0,
        rlim_max: 0,
    };
    if prlimit_nofile(None, Some(&mut old)) < 0 || old.rlim_cur >= wanted {
        return old.rlim_cur;
    }
    let all = rlimit64 {
        rlim_cur: wanted,
        rlim_max: wanted.max(old.rlim_max),
    };
    let allowed = rlimit64 {
        rlim_cur: wanted.min(old.rlim_max),
        ..old
    };
    [all, allowed]
        .into_iter()
        .find(|new| prlimit_nofile(Some(new), None) == 0)
        .map_or(old.rlim_cur, |new| new.rlim_cur)
}

/// epoll_create1(0)
pub fn epoll_create1() -> i32 {
    call(libc::SYS_epoll_create1, [0; 4])
}

/// eventfd2(2) with `EFD_NONBLOCK`
pub fn eventfd(init: u32) -> i32 {
    call(
        libc::SYS_eventfd2,
        [init.into(), int(libc::EFD_NONBLOCK), 0, 0],
    )
}

/// epoll_ctl(2)
#[inline]
pub fn epoll_ctl(epfd: i32, op: i32, fd: i32, events: u32, data: u64) -> i32 {
    let event = EpollEvent { events, u64: data };
    call(
        libc::SYS_epoll_ctl,
        [int(epfd), int(op), int(fd), address(&event)],
    )
}

/// epoll_pwait(2) without a mask, the call that every architecture has; at most as many events as there
/// is room for
#[inline]
pub fn epoll_wait(epfd: i32, events: &mut [EpollEvent], timeout: i32) -> i32 {
    let room = i32::try_from(events.len()).unwrap_or(i32::MAX);
    let buffer = events.as_mut_ptr().expose_provenance() as u64;
    call(
        libc::SYS_epoll_pwait,
        [int(epfd), buffer, int(room), int(timeout)],
    )
}

/// write(2) of eight bytes: adds `value` to an eventfd
#[inline]
pub fn write_u64(fd: i32, value: u64) -> i32 {
    call(libc::SYS_write, [int(fd), address(&value), 8, 0])
}

/// read(2) of eight bytes: the value of an eventfd, which is 0 afterwards
#[inline]
pub fn read_u64(fd: i32) -> i64 {
    let mut value = 0_u64;
    match call(libc::SYS_read, [int(fd), address_mut(&mut value), 8, 0]) {
        8 => value.cast_signed(),
        error => error.into(),
    }
}

/// close(2)
pub fn close(fd: i32) -> i32 {
    call(libc::SYS_close, [int(fd), 0, 0, 0])
}

fn prlimit_nofile(new: Option<&rlimit64>, old: Option<&mut rlimit64>) -> i32 {
    let (new, old) = (new.map_or(0, address), old.map_or(0, address_mut));
    call(
        libc::SYS_prlimit64,
        [0, u64::from(libc::RLIMIT_NOFILE), new, old],
    )
}

#[inline]
fn call(nr: i64, [a, b, c, d]: [u64; 4]) -> i32 {
    // The last two are the mask of epoll_pwait(2): none.
    ffi::execute(nr, [a, b, c, d, 0, 8]) as i32
}

#[inline]
fn int(value: i32) -> u64 {
    i64::from(value).cast_unsigned()
}

/// Of a value that outlives the call, for a call that only reads it.
#[inline]
fn address<T>(value: &T) -> u64 {
    (&raw const *value).expose_provenance() as u64
}

/// Of a value that outlives the call, for a call that may write to it.
#[inline]
fn address_mut<T>(value: &mut T) -> u64 {
    (&raw mut *value).expose_provenance() as u64
}
