//! The end of files that have lost their last reference (`__fput`): first every epoll lets go of them,
//! then their own kind does what it does.

use super::super::Kernel;
use super::super::call::{Flow, Held, Steps};
use super::super::encode::{Encode, Encoder, encode_option};
use super::super::eventpoll::{EpClear, Unhooked};
use super::super::file::{FileOps, Released, Socket, Wakes};
use super::super::wait_queue::{Walked, Walks};
use crate::abi::{Answer, TaskId};
use crate::model::arena::FileId;
use crate::trace::{Observer, Trace};

/// A call that has done its work but for this: files to release, wake-ups to make.
#[derive(Clone, Debug)]
pub(crate) struct Release {
    /// How the call will end.
    answer: Option<Answer>,
    /// The files still to go. The last is the next: they queue up as task work, which is a stack.
    files: Vec<FileId>,
    at: At,
    wakes: Wakes,
    walks: Walks,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum At {
    /// About to begin with the next file.
    Next,
    /// About to remove one registration of it (`eventpoll_release_file`).
    Items,
    /// It is an epoll, and lets go of its own items.
    Clear(EpClear),
    /// About to call the kind's `release`.
    Fops,
    /// Walking the queues that this wakes, and then it is over.
    Wake,
    /// The same, and then there is more to release.
    WakeMore,
}

impl Release {
    pub(crate) fn new(answer: Answer, files: Vec<FileId>) -> Release {
        Release {
            answer: Some(answer),
            files,
            at: At::Next,
            wakes: Wakes::default(),
            walks: Walks::default(),
        }
    }
}

impl<O: Observer> Kernel<'_, O> {
    fn release_step(&mut self, task: TaskId, call: &mut Release) -> Flow {
        let Some(file) = call.files.last().copied() else {
            return Flow::Done;
        };
        if self.m.is_file_held_up(task, file) {
            return Flow::Blocked;
        }
        match call.at {
            At::Wake | At::WakeMore => {
                if self.wake_step(task, &mut call.walks) == Walked::Blocked {
                    return Flow::Blocked;
                }
                if self.wake_next(&mut call.walks, &mut call.wakes) {
                    return Flow::Next;
                }
                if call.at == At::Wake {
                    self.release_done(call);
                } else {
                    call.at = At::Fops;
                }
            }
            At::Next => {
                self.trace(|k| Trace::Release(k.m.files[file].label));
                self.fsnotify_close(file);
                call.at = At::Items;
            }
            At::Items => match self.eventpoll_release_file(task, file) {
                Unhooked::Blocked => return Flow::Blocked,
                Unhooked::One => {}
                Unhooked::NoneLeft => {
                    let clear = self.m.files[file].epoll().map(EpClear::new);
                    call.at = clear.map_or(At::Fops, At::Clear);
                }
            },
            At::Clear(mut clear) => match self.ep_clear_step(task, &mut clear) {
                Flow::Blocked => return Flow::Blocked,
                Flow::Next => call.at = At::Clear(clear),
                Flow::Done => call.at = At::Fops,
            },
            At::Fops => {
                let (wakes, at) = match self.m.files[file].kind.release(self.m, task) {
                    Released::Locked => return Flow::Blocked,
                    Released::More(wakes) => (wakes, At::WakeMore),
                    Released::Done(wakes) => (wakes, At::Wake),
                };
                call.wakes = wakes;
                // What nobody but its messages referred to comes next.
                let dropped = call.wakes.dropped();
                let here = call.files.len() - 1;
                call.files.splice(here..here, dropped);
                if self.wake_next(&mut call.walks, &mut call.wakes) {
                    call.at = at;
                } else if at == At::Wake {
                    self.release_done(call);
                }
            }
        }
        Flow::Next
    }

    /// The file at hand is gone, and with it what nobody else shares.
    fn release_done(&mut self, call: &mut Release) {
        if let Some(file) = call.files.pop() {
            self.free_file(file);
        }
        call.at = At::Next;
    }
}

impl Steps for Release {
    fn step<O: Observer>(&mut self, kernel: &mut Kernel<'_, O>, task: TaskId) -> Flow {
        kernel.release_step(task, self)
    }

    fn answer(&mut self) -> Answer {
        self.answer.take().expect("a call ends once")
    }

    fn releasing(&self) -> &[FileId] {
        &self.files
    }

    fn sockets(&self, sockets: &mut Vec<Socket>) {
        sockets.extend(self.wakes.holds());
    }

    fn held(&self, held: &mut Held) {
        match self.at {
            At::Clear(clear) => clear.held(held),
            At::Wake => held.locked.extend(self.files.last()),
            At::Next | At::Items | At::Fops | At::WakeMore => {}
        }
        held.walks.extend(self.walks.iter());
    }

    fn at(&self) -> String {
        match self.at {
            At::Clear(clear) => clear.at(),
            at => format!("__fput: {at:?}"),
        }
    }
}

impl Encode for Release {
    fn encode(&self, to: &mut Encoder<'_>) {
        let Release {
            answer,
            files,
            at,
            wakes,
            walks,
        } = self;
        encode_option(answer, to);
        files.encode(to);
        match at {
            At::Next => to.byte(0),
            At::Items => to.byte(1),
            At::Clear(clear) => {
                to.byte(2);
                clear.encode(to);
            }
            At::Fops => to.byte(3),
            At::Wake | At::WakeMore => {
                to.byte(if *at == At::Wake { 4 } else { 5 });
                wakes.encode(to);
                walks.encode(to);
            }
        }
    }
}
