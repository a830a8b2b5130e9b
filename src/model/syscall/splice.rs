//! splice(2), tee(2), vmsplice(2) up to their first step, and readv(2) and writev(2).

use super::super::Kernel;
use super::super::file::{FileOps, How, Splicing, Transfer, What};
use crate::abi::{Bytes, Errno, Fd, IoVec, OpenFlags, OutPtr, Ptr, TaskId};
use crate::backend::LabError;
use crate::model::arena::FileId;
use crate::trace::Observer;

/// The arguments of splice(2).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Between {
    pub(crate) fd_in: Fd,
    pub(crate) off_in: Ptr<u64>,
    pub(crate) fd_out: Fd,
    pub(crate) off_out: Ptr<u64>,
    pub(crate) len: u64,
    pub(crate) flags: u32,
}

const SPLICE_F_NONBLOCK: u32 = 2;
/// Every flag that there is: `SPLICE_F_MOVE|SPLICE_F_NONBLOCK|SPLICE_F_MORE|SPLICE_F_GIFT`.
const SPLICE_F_ALL: u32 = 0xf;
/// `UIO_MAXIOV`
const MOST_PARTS: usize = 1024;

/// A call to make, or nothing to do.
type Begun = Result<Option<Transfer>, Errno>;

impl<O: Observer> Kernel<'_, O> {
    /// splice(2) with files that the model knows to splice.
    pub(super) fn begin_splice(&self, task: TaskId, args: Between) -> Result<Begun, LabError> {
        for fd in [args.fd_in, args.fd_out] {
            self.refuse_terminal(task, fd)?;
            let kind = self.m.fget(task, fd).map(|file| self.m.files[file].kind);
            if kind.is_some_and(|kind| kind.as_socket().is_some()) {
                return Err(LabError::new(
                    "splice between a pipe and a socket is not part of the model",
                ));
            }
        }
        Ok(self.splice_checked(task, args))
    }

    /// `__do_splice` and `do_splice`, up to where they may sleep.
    fn splice_checked(&self, task: TaskId, args: Between) -> Begun {
        if args.len == 0 {
            return Ok(None);
        }
        if args.flags & !SPLICE_F_ALL != 0 {
            return Err(Errno::EINVAL);
        }
        let input = self.m.fget(task, args.fd_in).ok_or(Errno::EBADF)?;
        let output = self.m.fget(task, args.fd_out).ok_or(Errno::EBADF)?;
        let (from, to) = (self.pipe_of(input), self.pipe_of(output));
        let given = |off: Ptr<u64>| !off.is_null();
        if (from.is_some() && given(args.off_in)) || (to.is_some() && given(args.off_out)) {
            return Err(Errno::ESPIPE);
        }
        let offset = |off: Ptr<u64>, file: FileId| match off {
            Ptr::To(pos) => Ok(pos),
            Ptr::Addr(0) => Ok(self.m.files[file].pos),
            Ptr::Addr(_) => Err(Errno::EFAULT),
        };
        let to_pos = offset(args.off_out, output)?;
        let from_pos = offset(args.off_in, input)?;
        let (of_input, of_output) = (&self.m.files[input], &self.m.files[output]);
        if !of_input.flags.readable() || !of_output.flags.writable() {
            return Err(Errno::EBADF);
        }
        let area = |pos: u64| {
            let fits = i64::try_from(pos).is_ok() && i64::try_from(args.len).is_ok();
            if fits { Ok(()) } else { Err(Errno::EINVAL) }
        };
        let mut nonblock = args.flags & SPLICE_F_NONBLOCK != 0;
        let how = match (from, to) {
            (Some(from), Some(to)) if from == to => return Err(Errno::EINVAL),
            (Some(_), Some(_)) => {
                nonblock |= of_input.nonblocking() || of_output.nonblocking();
                How::Pipes
            }
            (Some(_), None) => {
                if of_output.flags.contains(OpenFlags::APPEND) {
                    return Err(Errno::EINVAL);
                }
                area(to_pos)?;
                if !of_output.kind.can_splice_write() {
                    return Err(Errno::EINVAL);
                }
                nonblock |= of_input.nonblocking();
                How::ToFile {
                    pos: to_pos,
                    given: given(args.off_out),
                }
            }
            (None, Some(_)) => {
                area(from_pos)?;
                nonblock |= of_output.nonblocking();
                How::FromFile {
                    pos: from_pos,
                    given: given(args.off_in),
                }
            }
            (None, None) => return Err(Errno::EINVAL),
        };
        let out = (args.fd_out, output);
        let splicing = Splicing::new(out, (args.len, args.flags, nonblock), how);
        Ok(Some(Transfer::splice(args.fd_in, input, splicing)))
    }

    /// tee(2)
    pub(super) fn begin_tee(
        &self,
        task: TaskId,
        (fdin, fdout): (Fd, Fd),
        len: u64,
        flags: u32,
    ) -> Begun {
        if flags & !SPLICE_F_ALL != 0 {
            return Err(Errno::EINVAL);
        }
        if len == 0 {
            return Ok(None);
        }
        let input = self.m.fget(task, fdin).ok_or(Errno::EBADF)?;
        let output = self.m.fget(task, fdout).ok_or(Errno::EBADF)?;
        let (of_input, of_output) = (&self.m.files[input], &self.m.files[output]);
        if !of_input.flags.readable() || !of_output.flags.writable() {
            return Err(Errno::EBADF);
        }
        match (self.pipe_of(input), self.pipe_of(output)) {
            (Some(from), Some(to)) if from != to => {}
            _ => return Err(Errno::EINVAL),
        }
        let nonblock =
            flags & SPLICE_F_NONBLOCK != 0 || of_input.nonblocking() || of_output.nonblocking();
        let splicing = Splicing::new((fdout, output), (len, flags, nonblock), How::Tee);
        Ok(Some(Transfer::splice(fdin, input, splicing)))
    }

    /// vmsplice(2), whose direction is that of the pipe's end.
    pub(super) fn begin_vmsplice(&self, task: TaskId, fd: Fd, iov: &[IoVec], flags: u32) -> Begun {
        if flags & !SPLICE_F_ALL != 0 {
            return Err(Errno::EINVAL);
        }
        let file = self.m.fget(task, fd).ok_or(Errno::EBADF)?;
        let parts = import_iovec(iov)?;
        let len: u64 = iov.iter().map(|part| part.iov_len).sum();
        if len == 0 {
            return Ok(None);
        }
        if self.pipe_of(file).is_none() {
            return Err(Errno::EBADF);
        }
        let how = if self.m.files[file].flags.writable() {
            How::FromMemory(parts.ok_or(Errno::EFAULT)?)
        } else {
            How::ToMemory
        };
        // The file's own O_NONBLOCK is not asked.
        let nonblock = flags & SPLICE_F_NONBLOCK != 0;
        let splicing = Splicing::new((fd, file), (len, flags, nonblock), how);
        Ok(Some(Transfer::splice(fd, file, splicing)))
    }

    /// The same call again, after a handler that says `SA_RESTART`.
    pub(crate) fn splice_again(
        &self,
        task: TaskId,
        fd: Fd,
        call: Splicing,
    ) -> Result<Transfer, Errno> {
        let Splicing {
            out: (fd_out, _),
            len,
            flags,
            how,
            ..
        } = call;
        let parts =
            |bytes: Vec<Bytes>| -> Vec<IoVec> { bytes.into_iter().map(IoVec::from).collect() };
        let null = Ptr::Addr(0);
        let off = |pos: u64, given: bool| if given { Ptr::To(pos) } else { null };
        let (off_in, off_out) = match how {
            How::Tee => return nothing_less(self.begin_tee(task, (fd, fd_out), len, flags)),
            How::FromMemory(bytes) => {
                return nothing_less(self.begin_vmsplice(task, fd, &parts(bytes), flags));
            }
            How::ToMemory => {
                let all = IoVec {
                    iov_base: Ptr::Addr(0),
                    iov_len: len,
                };
                return nothing_less(self.begin_vmsplice(task, fd, &[all], flags));
            }
            How::Pipes => (null, null),
            How::ToFile { pos, given } => (null, off(pos, given)),
            How::FromFile { pos, given } => (off(pos, given), null),
        };
        nothing_less(self.splice_checked(
            task,
            Between {
                fd_in: fd,
                off_in,
                fd_out,
                off_out,
                len,
                flags,
            },
        ))
    }

    /// readv(2): the same as one read(2) into all buffers together.
    pub(super) fn begin_readv(&mut self, task: TaskId, fd: Fd, iov: &[u64]) -> Begun {
        let file = self.check_read(task, fd, OutPtr::PLENTY, 0)?;
        if iov.len() > MOST_PARTS {
            return Err(Errno::EINVAL);
        }
        let len: u64 = iov.iter().sum();
        Ok((len > 0).then(|| Transfer::read(fd, file, OutPtr::PLENTY, len)))
    }

    /// writev(2): for most kinds the same as one write(2) of all parts together.
    pub(super) fn begin_writev(
        &mut self,
        task: TaskId,
        fd: Fd,
        iov: &[IoVec],
    ) -> Result<Begun, LabError> {
        if iov.len() > 1 && iov.iter().any(|part| matches!(part.iov_base, Ptr::Addr(_))) {
            return Err(LabError::new(
                "of several parts to write all have to be there, for the lab",
            ));
        }
        Ok(self.writev(task, fd, iov))
    }

    fn writev(&mut self, task: TaskId, fd: Fd, iov: &[IoVec]) -> Begun {
        // The descriptor comes first, and then the array.
        let file = self.check_write(task, fd, &Ptr::To(Bytes::default()), 0)?;
        let len: u64 = iov.iter().map(|part| part.iov_len).sum();
        let parts = import_iovec(iov)?;
        if len == 0 {
            return Ok(None);
        }
        let Some(parts) = parts else {
            let buf = iov
                .first()
                .map_or(Ptr::Addr(0), |part| part.iov_base.clone());
            return Ok(Some(Transfer::write(fd, file, buf, len)));
        };
        if self.m.files[file].kind.writes_each_part() && parts.len() > 1 {
            let parts: Vec<Bytes> = parts.into_iter().filter(|part| !part.is_empty()).collect();
            return Ok(Some(Transfer::new(fd, file, What::WriteEach { parts })));
        }
        let all: Vec<u8> = parts.iter().flat_map(|part| part.iter().copied()).collect();
        let all = Ptr::To(Bytes::from(all));
        Ok(Some(Transfer::write(fd, file, all, len)))
    }

    /// writev(2) once more, after a handler that says `SA_RESTART`.
    pub(crate) fn writev_again(
        &mut self,
        task: TaskId,
        fd: Fd,
        parts: Vec<Bytes>,
    ) -> Result<Transfer, Errno> {
        let iov: Vec<IoVec> = parts.into_iter().map(IoVec::from).collect();
        nothing_less(self.writev(task, fd, &iov))
    }
}

/// The call had something to do before, so it has again.
fn nothing_less(begun: Begun) -> Result<Transfer, Errno> {
    begun.map(|call| call.expect("its length is what it was"))
}

/// The parts, if all of them are there (`import_iovec`).
fn import_iovec(iov: &[IoVec]) -> Result<Option<Vec<Bytes>>, Errno> {
    if iov.len() > MOST_PARTS || iov.iter().any(|part| i64::try_from(part.iov_len).is_err()) {
        return Err(Errno::EINVAL);
    }
    let part = |part: &IoVec| match &part.iov_base {
        Ptr::To(bytes) => Some(bytes.clone()),
        Ptr::Addr(_) => None,
    };
    Ok(iov.iter().map(part).collect())
}
