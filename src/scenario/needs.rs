//! What a scenario needs from the machine that it runs on.

use std::fmt;

use super::error::nearest;

/// A condition that a kernel must meet; the caller of the runner decides whether it does.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Need {
    /// `linux >= 6.15`
    LinuxAtLeast(u32, u32),
    /// `linux < 6.15`
    LinuxBelow(u32, u32),
    /// Rights over the whole machine.
    Root,
    /// userfaultfd(2), which stands behind `@frozen`.
    Userfaultfd,
    /// kcmp(2)
    Kcmp,
    /// `CONFIG_CHECKPOINT_RESTORE`, for `TFD_IOC_SET_TICKS`.
    CheckpointRestore,
    /// The buffers and queues of sockets are as large as Linux makes them if nobody changes that.
    SocketDefaults,
    /// Pairs of terminals, and kernel workers that can be seen.
    Pty,
    /// An inotify instance queues as many events as Linux lets it if nobody changes that.
    InotifyDefaults,
    /// Writes a machine-wide setting and puts it back; implies [`Need::Root`].
    Sysctl,
}

/// As a header line spells it.
impl fmt::Display for Need {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Need::LinuxAtLeast(major, minor) => write!(f, "linux >= {major}.{minor}"),
            Need::LinuxBelow(major, minor) => write!(f, "linux < {major}.{minor}"),
            Need::Root => f.write_str("root"),
            Need::Userfaultfd => f.write_str("userfaultfd"),
            Need::Kcmp => f.write_str("kcmp"),
            Need::CheckpointRestore => f.write_str("checkpoint_restore"),
            Need::SocketDefaults => f.write_str("socket_defaults"),
            Need::Pty => f.write_str("pty"),
            Need::InotifyDefaults => f.write_str("inotify_defaults"),
            Need::Sysctl => f.write_str("sysctl"),
        }
    }
}

impl Need {
    /// Whether it is about a version of Linux, and this is not one of them.
    pub(super) fn excludes(self, version: (u32, u32)) -> bool {
        match self {
            Need::LinuxAtLeast(major, minor) => version < (major, minor),
            Need::LinuxBelow(major, minor) => version >= (major, minor),
            _ => false,
        }
    }

    /// Reads one; the error is what to say about it.
    pub(super) fn parse(text: &str) -> Result<Need, String> {
        match text {
            "root" => return Ok(Need::Root),
            "userfaultfd" => return Ok(Need::Userfaultfd),
            "kcmp" => return Ok(Need::Kcmp),
            "checkpoint_restore" => return Ok(Need::CheckpointRestore),
            "socket_defaults" => return Ok(Need::SocketDefaults),
            "pty" => return Ok(Need::Pty),
            "inotify_defaults" => return Ok(Need::InotifyDefaults),
            "sysctl" => return Ok(Need::Sysctl),
            _ => {}
        }
        if let Some(version) = text.strip_prefix("linux").map(str::trim_start) {
            let at_least = version.strip_prefix(">=").and_then(parse_version);
            let below = version.strip_prefix('<').and_then(parse_version);
            return match (at_least, below) {
                (Some((major, minor)), _) => Ok(Need::LinuxAtLeast(major, minor)),
                (_, Some((major, minor))) => Ok(Need::LinuxBelow(major, minor)),
                _ => Err("write `linux >= 6.15` or `linux < 6.15`".to_owned()),
            };
        }
        let known = [
            "root",
            "userfaultfd",
            "kcmp",
            "checkpoint_restore",
            "socket_defaults",
            "pty",
            "inotify_defaults",
            "sysctl",
        ];
        Err(match nearest(text, known) {
            Some(need) => format!("did you mean `{need}`?"),
            None => {
                "known are linux >= X.Y, linux < X.Y, root, userfaultfd, kcmp, checkpoint_restore, \
                     socket_defaults, inotify_defaults, pty and sysctl"
                    .to_owned()
            }
        })
    }
}

fn parse_version(text: &str) -> Option<(u32, u32)> {
    let (major, minor) = text.trim().split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}
