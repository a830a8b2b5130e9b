//! What a call is to the scenario language: its name, the kinds of its arguments and of its result.
//!
//! Reading, printing, the checks, lowering and the comparison of answers all go by these kinds and know
//! no call by name; the calls themselves are the rows of `calls`.

use crate::abi::Syscall;

use super::ScenarioError;
use super::lower::Args;
use super::words::Words;

/// A row of the table.
pub(super) struct Signature {
    pub(super) name: &'static str,
    /// Which argument tells this row from others of the same name, and the value it has here.
    pub(super) selector: Option<(usize, u32)>,
    pub(super) params: &'static [Param],
    /// How many of the last parameters may be left out.
    pub(super) optional: usize,
    pub(super) returns: Returns,
    pub(super) lower: fn(&Args<'_>) -> Result<Syscall, ScenarioError>,
}

impl Signature {
    /// The first argument that the call fills; a resumed line begins with it.
    pub(super) fn first_output(&self) -> usize {
        let is_output = |param: &Param| param.kind.is_output();
        self.params
            .iter()
            .position(is_output)
            .unwrap_or(self.params.len())
    }
}

impl PartialEq for Signature {
    fn eq(&self, other: &Signature) -> bool {
        (self.name, self.selector) == (other.name, other.selector)
    }
}

impl Eq for Signature {}

impl std::fmt::Debug for Signature {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

/// An argument, by the name that the manual page gives it.
pub(super) struct Param {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
}

/// What an argument is, which decides how it is read, printed and passed on.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    /// `int`
    Int,
    /// `unsigned int`
    Uint,
    /// A signed 64-bit number.
    Long,
    /// `size_t`
    Size,
    /// The number of elements of the argument at this place.
    Len(usize),
    /// The same number as the argument at this place.
    Same(usize),
    /// 0 and nothing else.
    Zero,
    Fd,
    /// A port of TCP or UDP.
    Port,
    /// 0, -1, a number, or the name of a task.
    Pid,
    /// `mode_t`
    Mode,
    Flags(&'static Words),
    Choice(&'static Words),
    /// One constant that the lab can pass and no other.
    Only(&'static Words, u32),
    Event,
    SigSet,
    SigAction,
    /// The last argument of pselect6.
    SigPack,
    Timespec,
    Timeval,
    PollFds,
    FdSet,
    /// What write(2) gives.
    Buffer,
    /// `struct msghdr` of sendmsg(2).
    Msg,
    /// The array of `struct iovec` that writev(2) gives.
    Iov,
    /// A socket's address, or `NULL` where none need be given.
    SockAddr,
    /// The value of a socket option.
    SockOptIn,
    /// Its size, by the value at that place; where there is none, by the level and the option.
    SockOptLen {
        value: usize,
        option: (usize, usize),
    },
    Path,
    IntIn,
    /// A pointer to a 64-bit number.
    U64In,
    ItimerspecIn,
    ParamsIn,
    TermiosIn,
    RlimitIn,
    /// The third argument of kcmp(2) with `KCMP_EPOLL_TFD`.
    Slot,
    Null,
    /// `"/bin/sleep"` and its arguments.
    Program,
    Argv,
    /// A pointer that the lab does not pass on.
    Ignored,
    Events,
    Bytes,
    /// The array of `struct iovec` that readv(2) is given; each says how long it is.
    IovOut,
    Pipe,
    IntOut,
    /// The value of a socket option that is asked for.
    SockOptOut,
    /// The same as a pointer, by the level and the option at these places.
    SockOptLenPtr((usize, usize)),
    /// The address of a socket.
    SockAddrOut,
    /// `struct msghdr` of recvmsg(2), whose parts say how much room there is.
    MsgOut,
    /// Its size, before and after, by the address at this place.
    SockAddrLen(usize),
    ItimerspecOut,
    ParamsOut,
    TermiosOut,
    Status,
    /// What waitid(2) tells of a child.
    SiginfoOut,
    RlimitOut,
    SigSetOut,
    SigActionOut,
    TimespecOut,
}

impl Kind {
    /// Whether the call writes it.
    pub(super) fn is_output(self) -> bool {
        matches!(
            self,
            Kind::Events
                | Kind::Bytes
                | Kind::IovOut
                | Kind::Pipe
                | Kind::IntOut
                | Kind::SockOptOut
                | Kind::SockAddrOut
                | Kind::MsgOut
                | Kind::ItimerspecOut
                | Kind::ParamsOut
                | Kind::TermiosOut
                | Kind::Status
                | Kind::SiginfoOut
                | Kind::RlimitOut
                | Kind::SigSetOut
                | Kind::SigActionOut
                | Kind::TimespecOut
        )
    }
}

/// What the returned number is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Returns {
    Int,
    /// A new descriptor.
    Fd,
    /// A new task.
    Task,
    /// A task that was there before.
    Pid,
    FdFlags,
    OpenFlags,
    /// How many, and the array in brackets.
    Poll,
    /// How many, and the sets in brackets.
    Sets,
    /// The items of fdinfo.
    Items,
    /// The text of fdinfo.
    Text,
    /// It does not return.
    Never,
}
