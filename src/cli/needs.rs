//! What a scenario needs of the machine, and whether this one has it.

use crate::scenario::{Header, Need};

/// Why a scenario cannot run on the kernel of this machine, if so: the first need that is not met.
#[cfg(all(feature = "kernel", target_os = "linux", target_arch = "x86_64"))]
pub(super) fn unmet(header: &Header) -> Option<String> {
    header.needs.iter().find_map(|need| reason(*need))
}

#[cfg(all(feature = "kernel", target_os = "linux", target_arch = "x86_64"))]
fn reason(need: Need) -> Option<String> {
    use crate::kernel;

    let unless = |met: bool| (!met).then(|| format!("needs {need}"));
    match need {
        Need::LinuxAtLeast(major, minor) => unless(kernel::release() >= (major, minor)),
        Need::LinuxBelow(major, minor) => unless(kernel::release() < (major, minor)),
        Need::Root | Need::Sysctl => unless(kernel::is_root()),
        Need::Userfaultfd => {
            kernel::userfaultfd_refused().map(|why| format!("needs {need}: {why}"))
        }
        Need::Kcmp => kernel::kcmp_refused().map(|why| format!("needs {need}: {why}")),
    }
}

/// There is no such kernel here at all.
#[cfg(not(all(feature = "kernel", target_os = "linux", target_arch = "x86_64")))]
pub(super) fn unmet(_: &Header) -> Option<String> {
    Some("needs Linux on x86-64".to_owned())
}
