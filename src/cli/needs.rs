//! What a scenario needs, and whether the model or this machine has it.

use crate::model;
use crate::scenario::{Header, Need};

/// Why a scenario cannot run on the model, if so: it is about another version.
pub fn unmet_by_model(header: &Header) -> Option<String> {
    let need = header.not_about(model::LINUX)?;
    let (major, minor) = model::LINUX;
    Some(format!("needs {need}; the model is Linux {major}.{minor}"))
}

/// Why a scenario cannot run on the kernel of this machine, if so: the first need that is not met.
#[cfg(all(feature = "kernel", target_os = "linux", target_arch = "x86_64"))]
pub fn unmet_by_kernel(header: &Header) -> Option<String> {
    header.needs.iter().find_map(|need| reason(*need))
}

#[cfg(all(feature = "kernel", target_os = "linux", target_arch = "x86_64"))]
fn reason(need: Need) -> Option<String> {
    use crate::kernel;

    let unless = |met: bool| (!met).then(|| format!("needs {need}"));
    match need {
        Need::LinuxAtLeast(major, minor) => unless(kernel::release() >= (major, minor)),
        Need::LinuxBelow(major, minor) => unless(kernel::release() < (major, minor)),
        Need::Root => unless(kernel::is_root()),
        Need::Sysctl => {
            (!kernel::is_root()).then(|| format!("needs {need}, which only root may write"))
        }
        Need::Userfaultfd => {
            kernel::userfaultfd_refused().map(|why| format!("needs {need}: {why}"))
        }
        Need::InotifyDefaults => {
            kernel::inotify_defaults_changed().map(|why| format!("needs {need}: {why}"))
        }
        Need::SocketDefaults => {
            kernel::socket_defaults_changed().map(|why| format!("needs {need}: {why}"))
        }
        Need::Pty => kernel::ptys_refused().map(|why| format!("needs {need}: {why}")),
        Need::Kcmp => kernel::kcmp_refused().map(|why| format!("needs {need}: {why}")),
        Need::CheckpointRestore => {
            kernel::set_ticks_refused().map(|why| format!("needs {need}: {why}"))
        }
    }
}

/// There is no such kernel here at all.
#[cfg(not(all(feature = "kernel", target_os = "linux", target_arch = "x86_64")))]
pub fn unmet_by_kernel(_: &Header) -> Option<String> {
    Some("needs Linux on x86-64".to_owned())
}
