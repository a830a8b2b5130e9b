//! The operations of an epoll file itself (`eventpoll_fops`): what one can do with it beside waiting.

use super::EventPoll;
use crate::abi::{EpollParams, Errno, EventMask, IoctlArg, Out, OutPtr, Ptr, Room, TaskId};
use crate::model::Machine;
use crate::model::arena::EpId;
use crate::model::encode::{Encode, Encoder};
use crate::model::file::{Caller, FileOps, PollHeads, Poller};

impl FileOps for EpId {
    fn poll(self, _: &mut Machine, _: Poller) -> EventMask {
        unreachable!("an epoll file is asked by a scan, which takes steps")
    }

    #[inline]
    fn poll_heads(self, m: &Machine, _: TaskId) -> PollHeads {
        [Some(m.epolls[self].poll_wait), None]
    }

    fn queues(self, m: &Machine) -> PollHeads {
        let EventPoll { wq, poll_wait, .. } = m.epolls[self];
        [Some(wq), Some(poll_wait)]
    }

    fn describe(self, _: &Machine) -> (&'static str, String) {
        ("epoll", String::new())
    }

    fn encode_state(self, to: &mut Encoder<'_>) {
        let machine = to.machine;
        machine.epolls[self].encode(to);
    }

    fn can_transfer(self) -> bool {
        false
    }

    /// `ep_eventpoll_bp_ioctl`
    fn ioctl(self, m: &mut Machine, caller: Caller, _: u32, arg: IoctlArg) -> Result<Out, Errno> {
        let privileged = m.process(caller.task).uid == 0;
        let params = &mut m.epolls[self].params;
        match arg {
            IoctlArg::SetParams(Ptr::To(new)) => {
                check_params(new, privileged)?;
                *params = new;
                Ok(Out::None)
            }
            IoctlArg::GetParams(OutPtr::Memory(Room::Plenty)) => Ok(Out::Params(*params)),
            IoctlArg::SetParams(_) | IoctlArg::GetParams(_) => Err(Errno::EFAULT),
            // Since 6.9; before, whatever the driver did not know was ENOTTY.
            _ => Err(Errno::EINVAL),
        }
    }

    /// `ep_free`
    fn free(self, m: &mut Machine) {
        for queue in self.queues(m).into_iter().flatten() {
            m.heads.remove(queue);
        }
        m.forget_visit(self);
        m.epolls.remove(self);
    }
}

/// The most packets that a busy poll may take without `CAP_NET_ADMIN` (`NAPI_POLL_WEIGHT`).
const NAPI_POLL_WEIGHT: u16 = 64;

/// The checks of `EPIOCSPARAMS`, in their order (`ep_eventpoll_bp_ioctl`).
fn check_params(params: EpollParams, privileged: bool) -> Result<(), Errno> {
    let usecs_too_large = i32::try_from(params.busy_poll_usecs).is_err();
    if params.pad != 0 || usecs_too_large || params.prefer_busy_poll > 1 {
        return Err(Errno::EINVAL);
    }
    if params.busy_poll_budget > NAPI_POLL_WEIGHT && !privileged {
        return Err(Errno::EPERM);
    }
    Ok(())
}
