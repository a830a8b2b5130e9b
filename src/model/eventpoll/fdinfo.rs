//! `/proc/PID/fdinfo/EPFD` (`ep_show_fdinfo`): the interest list as Linux shows it.

use std::fmt::Write;

use crate::abi::{Answer, Errno, Fd, OpenFlags, Out, TaskId};
use crate::model::Kernel;
use crate::model::arena::FileId;
use crate::model::call::{Flow, Steps};
use crate::model::encode::{Encode, Encoder};
use crate::trace::Observer;

/// A read in flight: it takes `ep->mtx`, and so may wait.
#[derive(Clone, Debug)]
pub(crate) struct FdinfoRead {
    file: FileId,
    fd: Fd,
    text: String,
}

/// What cannot be known here and differs from machine to machine: numbers of the kernel's own mounts.
const ANON_INODE_MOUNT: u32 = 15;
const ANON_INODE_DEVICE: u32 = 0xe;

impl<O: Observer> Kernel<'_, O> {
    pub(crate) fn begin_fdinfo(&self, task: TaskId, fd: Fd) -> Result<FdinfoRead, Errno> {
        let file = self.m.fget_any(task, fd).ok_or(Errno::EBADF)?;
        Ok(FdinfoRead {
            file,
            fd,
            text: String::new(),
        })
    }

    /// One line for each item, in the order of the tree.
    fn fdinfo_text(&self, task: TaskId, call: &FdinfoRead) -> String {
        let file = &self.m.files[call.file];
        let cloexec = self.m.fds(task).cloexec(call.fd);
        let flags = if cloexec {
            file.flags | OpenFlags::CLOEXEC
        } else {
            file.flags
        };
        let mut text = format!(
            "pos:\t{}\nflags:\t0{:o}\nmnt_id:\t{ANON_INODE_MOUNT}\nino:\t{}\n",
            file.pos,
            flags.bits(),
            file.inode,
        );
        let Some(ep) = file.epoll() else { return text };
        for id in self.m.epolls[ep].rbr.iter(&self.m.rb) {
            let item = &self.m.items[id];
            let target = &self.m.files[item.file];
            writeln!(
                text,
                "tfd: {:8} events: {:8x} data: {:16x}  pos:{} ino:{:x} sdev:{ANON_INODE_DEVICE:x}",
                self.m.items_rest[id].fd.0,
                item.interest.bits(),
                item.data,
                target.pos,
                target.inode,
            )
            .expect("a String takes everything");
        }
        text
    }
}

impl Steps for FdinfoRead {
    fn step<O: Observer>(&mut self, kernel: &mut Kernel<'_, O>, task: TaskId) -> Flow {
        if let Some(ep) = kernel.m.files[self.file].epoll() {
            if !kernel.mutex_lock(task, ep) {
                return Flow::Blocked;
            }
            kernel.mutex_unlock(ep);
        }
        self.text = kernel.fdinfo_text(task, self);
        Flow::Done
    }

    fn answer(&mut self) -> Answer {
        Answer::Done(0, Out::Text(std::mem::take(&mut self.text)))
    }

    fn files(&self, files: &mut Vec<FileId>) {
        files.push(self.file);
    }

    fn at(&self) -> String {
        "ep_show_fdinfo".to_owned()
    }
}

impl Encode for FdinfoRead {
    fn encode(&self, to: &mut Encoder<'_>) {
        let FdinfoRead {
            file,
            fd,
            text: _, // known at the end only
        } = self;
        file.encode(to);
        fd.encode(to);
    }
}
