//! Lengths that follow from other arguments: held against these as they are read, and not kept.

use crate::abi::socket::Linger;
use crate::abi::{SockAddr, SockOpt};
use crate::scenario::ScenarioError;
use crate::scenario::ast::{Arg, OptVal, Output, Place, Shown, Value};
use crate::scenario::signature::{Kind, Param};

type Result<T> = std::result::Result<T, ScenarioError>;

/// All of a call.
pub(super) fn settle_lengths(args: &mut [Arg], params: &[Param]) -> Result<()> {
    for (place, param) in params.iter().enumerate().take(args.len()) {
        let (before, rest) = args.split_at_mut(place);
        settle_length(&mut rest[0], param, before)?;
    }
    Ok(())
}

/// One of them, by the arguments before it.
pub(super) fn settle_length(arg: &mut Arg, param: &Param, before: &[Arg]) -> Result<()> {
    if let Kind::SockAddrLen(of) = param.kind {
        return settle_address(arg, &before[of].value);
    }
    let (Value::Length(found), Some(right)) = (&arg.value, option_size(param.kind, before)) else {
        return Ok(());
    };
    if found.is_some_and(|found| u32::try_from(right) != Ok(found)) {
        let message = format!("`{}` must be {right} here", param.name);
        let label = format!("must be {right}");
        return Err(ScenarioError::new(arg.span, message, label));
    }
    arg.value = Value::Fixed;
    Ok(())
}

/// How many bytes the value of the socket option has whose size is told by an argument of this kind.
pub(in crate::scenario) fn option_size(kind: Kind, args: &[Arg]) -> Option<usize> {
    let (level, optname) = match kind {
        Kind::SockOptLen { value, option } => match &args[value].value {
            Value::SockOpt(OptVal::Int(_)) => return Some(SockOpt::Int(0).size()),
            Value::SockOpt(OptVal::Linger { .. }) => {
                return Some(SockOpt::Linger(Linger::default()).size());
            }
            _ => option,
        },
        Kind::SockOptLenPtr(option) => option,
        _ => return None,
    };
    match (&args[level].value, &args[optname].value) {
        (Value::Bits(level), Value::Bits(optname)) => {
            let (level, optname) = (level.cast_signed(), optname.cast_signed());
            Some(SockOpt::size_of(level, optname))
        }
        _ => None,
    }
}

/// Of an address that comes back it is told how long it was, and how much there was room for, which is
/// always enough.
fn settle_address(arg: &mut Arg, address: &Value) -> Result<()> {
    let Value::Out(Output { place, shown }) = address else {
        return Ok(());
    };
    let given = !matches!(place, Place::Addr(_));
    let found = match arg.value {
        Value::Length(found) if given => found,
        Value::Addr(_) if !given => return Ok(()),
        _ => {
            let message = "an address and its length are both asked for, or both are `NULL`";
            return Err(ScenarioError::new(arg.span, message, "only one of them"));
        }
    };
    if let (Shown::SockAddr(addr), Some(found)) = (shown, found)
        && u32::try_from(addr.size()) != Ok(found)
    {
        let (size, room) = (addr.size(), SockAddr::STORAGE);
        let message = format!("the address has {size} bytes, and not {found}");
        return Err(ScenarioError::new(arg.span, message, "another length")
            .help(format!("`[{room} => {size}]`")));
    }
    arg.value = Value::Fixed;
    Ok(())
}
