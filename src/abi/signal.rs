//! Signals: their numbers, sets of them, what a program wants done about one, and what it is told.

use std::fmt;

use super::fd::write_flags;

/// A signal number as a program passes it: any `int`, a signal or not (signal(7)).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Signal(pub i32);

macro_rules! signals {
    ($($name:ident = $number:literal;)*) => {
        impl Signal {
            $(#[doc = concat!("Signal ", $number, ".")] pub const $name: Signal = Signal($number);)*
        }

        const NAMES: &[(i32, &str)] = &[$(($number, stringify!($name)),)*];
    };
}

signals! {
    SIGHUP = 1;
    SIGINT = 2;
    SIGQUIT = 3;
    SIGILL = 4;
    SIGTRAP = 5;
    SIGABRT = 6;
    SIGBUS = 7;
    SIGFPE = 8;
    SIGKILL = 9;
    SIGUSR1 = 10;
    SIGSEGV = 11;
    SIGUSR2 = 12;
    SIGPIPE = 13;
    SIGALRM = 14;
    SIGTERM = 15;
    SIGSTKFLT = 16;
    SIGCHLD = 17;
    SIGCONT = 18;
    SIGSTOP = 19;
    SIGTSTP = 20;
    SIGTTIN = 21;
    SIGTTOU = 22;
    SIGURG = 23;
    SIGXCPU = 24;
    SIGXFSZ = 25;
    SIGVTALRM = 26;
    SIGPROF = 27;
    SIGWINCH = 28;
    SIGIO = 29;
    SIGPWR = 30;
    SIGSYS = 31;
    SIGRTMIN = 32;
}

impl Signal {
    /// The highest number (`_NSIG`).
    pub const MAX: Signal = Signal(64);

    /// Whether there is such a signal.
    pub fn is_valid(self) -> bool {
        (1..=Signal::MAX.0).contains(&self.0)
    }

    /// Of a real-time signal several may be pending at once.
    pub fn is_realtime(self) -> bool {
        self.is_valid() && self >= Signal::SIGRTMIN
    }

    /// The signal that a name such as `SIGUSR1` or `SIGRT_3` stands for.
    pub fn from_name(name: &str) -> Option<Signal> {
        if let Some(index) = name.strip_prefix("SIGRT_") {
            let index: i32 = index.parse().ok()?;
            let signal = Signal(index.checked_add(Signal::SIGRTMIN.0)?);
            return signal.is_realtime().then_some(signal);
        }
        let (number, _) = NAMES.iter().find(|(_, known)| *known == name)?;
        Some(Signal(*number))
    }

    /// Every name below the real-time signals, and that of the first of those.
    pub fn names() -> impl Iterator<Item = &'static str> {
        NAMES.iter().map(|(_, name)| *name)
    }
}

/// strace's spelling: `SIGUSR1`, `SIGRT_3`, and the number of what is none.
impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match NAMES.iter().find(|(number, _)| *number == self.0) {
            Some((_, name)) => f.write_str(name),
            None if self.is_realtime() => write!(f, "SIGRT_{}", self.0 - Signal::SIGRTMIN.0),
            None => self.0.fmt(f),
        }
    }
}

/// `sigset_t` as the kernel has it: bit n-1 stands for signal n.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct SigSet(pub u64);

impl SigSet {
    /// No signal.
    pub const EMPTY: SigSet = SigSet(0);
    /// Those that nobody can block, ignore or handle: SIGKILL and SIGSTOP.
    pub const UNBLOCKABLE: SigSet =
        SigSet(SigSet::of(Signal::SIGKILL).0 | SigSet::of(Signal::SIGSTOP).0);

    /// The set with this one signal; empty if there is no such signal.
    pub const fn of(signal: Signal) -> SigSet {
        if signal.0 < 1 || signal.0 > Signal::MAX.0 {
            return SigSet::EMPTY;
        }
        SigSet(1 << (signal.0 - 1))
    }

    /// Whether it is a member.
    pub fn contains(self, signal: Signal) -> bool {
        self.0 & SigSet::of(signal).0 != 0
    }

    /// Adds a signal.
    pub fn insert(&mut self, signal: Signal) {
        self.0 |= SigSet::of(signal).0;
    }

    /// Takes one out.
    pub fn remove(&mut self, signal: Signal) {
        self.0 &= !SigSet::of(signal).0;
    }

    /// Whether it has no members.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The members of either.
    pub fn union(self, other: SigSet) -> SigSet {
        SigSet(self.0 | other.0)
    }

    /// The members of both.
    pub fn intersection(self, other: SigSet) -> SigSet {
        SigSet(self.0 & other.0)
    }

    /// Those that are not in `other`.
    pub fn difference(self, other: SigSet) -> SigSet {
        SigSet(self.0 & !other.0)
    }

    /// The members, the lowest number first.
    pub fn iter(self) -> impl Iterator<Item = Signal> {
        (1..=Signal::MAX.0)
            .map(Signal)
            .filter(move |signal| self.contains(*signal))
    }
}

impl FromIterator<Signal> for SigSet {
    fn from_iter<I: IntoIterator<Item = Signal>>(signals: I) -> SigSet {
        let mut set = SigSet::EMPTY;
        for signal in signals {
            set.insert(signal);
        }
        set
    }
}

/// strace's spelling: `[USR1 CHLD]`. Of a set that holds most signals those are shown that it lacks:
/// `~[KILL STOP]`.
impl fmt::Display for SigSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let negated = self.0.count_ones() > u64::BITS * 2 / 3;
        f.write_str(if negated { "~[" } else { "[" })?;
        let shown = if negated { SigSet(!self.0) } else { *self };
        let mut blank = "";
        for signal in shown.iter() {
            write!(f, "{blank}{}", &signal.to_string()[3..])?;
            blank = " ";
        }
        f.write_str("]")
    }
}

/// What is to happen when a signal comes (`struct sigaction`).
///
/// The function itself is no part of it: a lab's handlers all do the same, they note that they run.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct SigAction {
    /// `sa_handler`
    pub handler: SigHandler,
    /// `sa_flags`, without `SA_RESTORER`, which belongs to the C library.
    pub flags: SaFlags,
    /// `sa_mask`: what is blocked too while the handler runs.
    pub mask: SigSet,
}

/// Who handles a signal.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum SigHandler {
    /// `SIG_DFL`: what signal(7) says of it.
    #[default]
    Default,
    /// `SIG_IGN`
    Ignore,
    /// A function of the program.
    Handle,
}

impl fmt::Display for SigHandler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            SigHandler::Default => "SIG_DFL",
            SigHandler::Ignore => "SIG_IGN",
            SigHandler::Handle => "handler",
        })
    }
}

bitflags::bitflags! {
    /// `SA_*` (sigaction(2)), as on x86-64.
    #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
    pub struct SaFlags: u32 {
        /// No SIGCHLD when a child stops or goes on.
        const NOCLDSTOP = 0x1;
        /// Children leave no zombies.
        const NOCLDWAIT = 0x2;
        /// The handler takes three arguments.
        const SIGINFO = 0x4;
        /// The handler runs on the alternate stack.
        const ONSTACK = 0x0800_0000;
        /// Calls that can go on after the handler do.
        const RESTART = 0x1000_0000;
        /// The signal itself is not blocked while its handler runs.
        const NODEFER = 0x4000_0000;
        /// The handler is there for one signal only.
        const RESETHAND = 0x8000_0000;

        const _ = !0;
    }
}

impl SaFlags {
    /// Set by the C library along with the address of its trampoline.
    pub const RESTORER: SaFlags = SaFlags::from_bits_retain(0x0400_0000);
}

/// In the order in which strace prints them.
const SA_NAMES: &[(u32, &str)] = &[
    (0x0400_0000, "SA_RESTORER"),
    (0x0800_0000, "SA_ONSTACK"),
    (0x1000_0000, "SA_RESTART"),
    (0x4000_0000, "SA_NODEFER"),
    (0x8000_0000, "SA_RESETHAND"),
    (0x4, "SA_SIGINFO"),
    (0x1, "SA_NOCLDSTOP"),
    (0x2, "SA_NOCLDWAIT"),
];

impl fmt::Display for SaFlags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_flags(f, SA_NAMES, self.bits(), "0")
    }
}

/// strace's spelling: `{sa_handler=SIG_IGN, sa_mask=[], sa_flags=0}`.
impl fmt::Display for SigAction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let SigAction {
            handler,
            flags,
            mask,
        } = self;
        let field = if flags.contains(SaFlags::SIGINFO) {
            "sa_sigaction"
        } else {
            "sa_handler"
        };
        write!(f, "{{{field}={handler}, sa_mask={mask}, sa_flags={flags}}}")
    }
}

/// The first argument of rt_sigprocmask(2), one of the three or not.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct SigmaskHow(pub i32);

impl SigmaskHow {
    /// Add to the blocked signals.
    pub const BLOCK: SigmaskHow = SigmaskHow(0);
    /// Take away from them.
    pub const UNBLOCK: SigmaskHow = SigmaskHow(1);
    /// Block these and no others.
    pub const SETMASK: SigmaskHow = SigmaskHow(2);
}

/// What a handler is told (`siginfo_t`), as much of it as depends on nothing but the lab.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct SigInfo {
    /// `si_signo`
    pub signo: Signal,
    /// `si_code`: where it comes from.
    pub code: SiCode,
    /// `si_pid`: the process that sent it, by the number of the lab; 0 if the kernel did.
    pub pid: i32,
    /// `si_uid`: the real user of that process. The user who runs the lab counts as 0.
    pub uid: u32,
    /// `si_status`, of SIGCHLD: the exit status, or the signal that ended, stopped or continued the child.
    pub status: i32,
}

impl SigInfo {
    /// Bytes of one that is read from a signalfd (`struct signalfd_siginfo`).
    pub const SIZE: u64 = 128;
}

/// `si_code`: who sent a signal, and how.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct SiCode(pub i32);

impl SiCode {
    /// By kill(2).
    pub const USER: SiCode = SiCode(0);
    /// By the kernel.
    pub const KERNEL: SiCode = SiCode(0x80);
    /// By tgkill(2) or tkill(2).
    pub const TKILL: SiCode = SiCode(-6);
    /// SIGCHLD: the child has called exit.
    pub const CLD_EXITED: SiCode = SiCode(1);
    /// SIGCHLD: a signal has ended it.
    pub const CLD_KILLED: SiCode = SiCode(2);
    /// SIGCHLD: a signal has stopped it.
    pub const CLD_STOPPED: SiCode = SiCode(5);
    /// SIGCHLD: SIGCONT has made it go on.
    pub const CLD_CONTINUED: SiCode = SiCode(6);

    /// The name that the number has along with this signal.
    pub fn name(self, signo: Signal) -> Option<&'static str> {
        let code = (self.0, signo == Signal::SIGCHLD);
        let (_, name) = SI_NAMES
            .iter()
            .find(|(known, _)| *known == code)
            .or_else(|| {
                SI_NAMES
                    .iter()
                    .find(|((number, is_child), _)| *number == code.0 && !is_child)
            })?;
        Some(name)
    }

    /// The code that a name such as `SI_TKILL` stands for.
    pub fn from_name(name: &str) -> Option<SiCode> {
        let ((number, _), _) = SI_NAMES.iter().find(|(_, known)| *known == name)?;
        Some(SiCode(*number))
    }
}

/// With whether the name is SIGCHLD's.
const SI_NAMES: &[((i32, bool), &str)] = &[
    ((0, false), "SI_USER"),
    ((0x80, false), "SI_KERNEL"),
    ((-6, false), "SI_TKILL"),
    ((1, true), "CLD_EXITED"),
    ((2, true), "CLD_KILLED"),
    ((3, true), "CLD_DUMPED"),
    ((4, true), "CLD_TRAPPED"),
    ((5, true), "CLD_STOPPED"),
    ((6, true), "CLD_CONTINUED"),
    ((-1, false), "SI_QUEUE"),
    ((-2, false), "SI_TIMER"),
    ((-3, false), "SI_MESGQ"),
    ((-4, false), "SI_ASYNCIO"),
    ((-5, false), "SI_SIGIO"),
];

/// strace's spelling: `SIGUSR1 {si_signo=SIGUSR1, si_code=SI_TKILL, si_pid=1, si_uid=0}`.
impl fmt::Display for SigInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let SigInfo {
            signo,
            code,
            pid,
            uid,
            status,
        } = self;
        write!(f, "{signo} {{si_signo={signo}, si_code=")?;
        match code.name(*signo) {
            Some(name) => f.write_str(name)?,
            None => code.0.fmt(f)?,
        }
        if *code != SiCode::KERNEL {
            write!(f, ", si_pid={pid}, si_uid={uid}")?;
        }
        match *code {
            _ if *signo != Signal::SIGCHLD || code.0 <= 0 => {}
            SiCode::CLD_EXITED => write!(f, ", si_status={status}")?,
            _ => write!(f, ", si_status={}", Signal(*status))?,
        }
        f.write_str("}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_are_inverse() {
        for signal in (1..=64).map(Signal) {
            assert_eq!(Signal::from_name(&signal.to_string()), Some(signal));
        }
        assert_eq!(Signal(33).to_string(), "SIGRT_1");
        assert_eq!(Signal(65).to_string(), "65");
        assert_eq!(Signal::from_name("SIGRT_33"), None);
    }

    #[test]
    fn sets_show_their_members_or_what_they_lack() {
        let mut set: SigSet = [Signal::SIGCHLD, Signal::SIGUSR1].into_iter().collect();
        assert_eq!(set.to_string(), "[USR1 CHLD]");
        set.remove(Signal::SIGCHLD);
        assert!(set.contains(Signal::SIGUSR1) && !set.contains(Signal::SIGCHLD));
        assert_eq!(SigSet(!SigSet::UNBLOCKABLE.0).to_string(), "~[KILL STOP]");
        set.insert(Signal(0));
        assert_eq!(set, SigSet::of(Signal::SIGUSR1));
    }

    #[test]
    fn a_handler_is_told_who_sent_the_signal() {
        let mut info = SigInfo {
            signo: Signal::SIGUSR1,
            code: SiCode::TKILL,
            pid: 1,
            uid: 0,
            status: 0,
        };
        assert_eq!(
            info.to_string(),
            "SIGUSR1 {si_signo=SIGUSR1, si_code=SI_TKILL, si_pid=1, si_uid=0}"
        );
        info.signo = Signal::SIGCHLD;
        info.code = SiCode::CLD_KILLED;
        info.status = 9;
        assert_eq!(
            info.to_string(),
            "SIGCHLD {si_signo=SIGCHLD, si_code=CLD_KILLED, si_pid=1, si_uid=0, si_status=SIGKILL}"
        );
    }
}
