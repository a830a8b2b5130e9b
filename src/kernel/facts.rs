//! What this machine is and what it allows: the reasons to skip a scenario.

use std::fs;
use std::process;

use crate::abi::{Fd, IoctlArg, OpenFlags, Ptr, Syscall, request};
use crate::backend::Thread;

use super::workers::Workers;
use super::{OwnProcess, ffi};

/// The release of the running kernel, `6.18.44`, without what a distribution appended.
fn plain_release() -> String {
    let release = ffi::release();
    let end = release
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(release.len());
    release[..end].trim_end_matches('.').to_owned()
}

/// The two numbers of the release that versions are told apart by: `(6, 18)`.
pub fn release() -> (u32, u32) {
    let release = plain_release();
    let mut numbers = release.split('.').map(|n| n.parse().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}

/// What to call this machine in a transcript: `Linux 6.18.44`.
pub fn machine_name() -> String {
    format!("Linux {}", plain_release())
}

/// Whether the caller is root.
pub fn is_root() -> bool {
    ffi::geteuid() == 0
}

/// Why memory cannot be frozen here, if it cannot.
pub fn userfaultfd_refused() -> Option<String> {
    if let Err(error) = ffi::userfaultfd() {
        return Some(uffd_sentence(&error.to_string()));
    }
    // Any descriptor will do, but there has to be one.
    let own = fs::File::open("/dev/null").ok()?;
    let number = std::os::fd::AsRawFd::as_raw_fd(&own);
    let pid = i32::try_from(process::id()).ok()?;
    let error = ffi::take_fd(pid, number).err()?;
    Some(format!("pidfd_getfd is refused: {error}"))
}

/// The sentence for a userfaultfd(2) that failed.
pub(super) fn uffd_sentence(error: &str) -> String {
    let allowed = fs::read_to_string("/proc/sys/vm/unprivileged_userfaultfd");
    match allowed.as_deref().map(str::trim) {
        Ok("0") if !is_root() => format!(
            "userfaultfd is refused: {error} (not root, and vm.unprivileged_userfaultfd is 0)"
        ),
        _ => format!("userfaultfd is refused: {error}"),
    }
}

/// Why files cannot be compared with kcmp(2) here, if they cannot.
pub fn kcmp_refused() -> Option<String> {
    let error = ffi::kcmp_self().err()?;
    Some(format!("kcmp is refused: {error}"))
}

/// Which size of sockets is not here what Linux makes it, if one is not.
pub fn socket_defaults_changed() -> Option<String> {
    const DEFAULTS: [(&str, &str); 3] = [
        ("net/core/wmem_default", "212992"),
        ("net/core/rmem_default", "212992"),
        ("net/unix/max_dgram_qlen", "10"),
    ];
    DEFAULTS
        .into_iter()
        .find_map(|(name, expected)| setting_changed(name, expected))
}

/// How many events an inotify instance queues here, if that is not what Linux makes it.
pub fn inotify_defaults_changed() -> Option<String> {
    setting_changed("fs/inotify/max_queued_events", "16384")
}

fn setting_changed(name: &str, expected: &str) -> Option<String> {
    let value = fs::read_to_string(format!("/proc/sys/{name}")).ok()?;
    let value = value.trim();
    let name = name.replace('/', ".");
    (value != expected).then(|| format!("{name} is {value}, not {expected}"))
}

/// Why scenarios with terminals cannot run here, if they cannot.
pub fn ptys_refused() -> Option<String> {
    let opened = fs::File::options().read(true).write(true).open("/dev/ptmx");
    match opened {
        Ok(_) => Workers::refused(),
        Err(error) => Some(format!("/dev/ptmx: {error}")),
    }
}

/// Why the ticks of a timerfd cannot be set here, if they cannot.
pub fn set_ticks_refused() -> Option<String> {
    let mut kernel = OwnProcess::new();
    let mut t = Thread::main(&mut kernel);
    let (clockid, flags) = (libc::CLOCK_MONOTONIC, OpenFlags::CLOEXEC);
    let created = t.call(Syscall::TimerfdCreate { clockid, flags });
    let fd = created.map(|(fd, _)| Fd(i32::try_from(fd).unwrap_or(-1)));
    let set = fd.and_then(|fd| {
        let (op, arg) = (request::TFD_IOC_SET_TICKS, IoctlArg::Ticks(Ptr::To(1)));
        let set = t.call(Syscall::Ioctl { fd, op, arg });
        t.close(fd).and(set)
    });
    let error = set.err()?;
    Some(format!("TFD_IOC_SET_TICKS is refused: {error}"))
}
