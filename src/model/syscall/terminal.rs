//! What the model refuses to do with terminals, and the requests of ioctl(2) that are more than a question.

use super::super::Kernel;
use super::super::file::{TtyChange, has_timer, not_modelled};
use super::answer_fd;
use crate::abi::termios::mode;
use crate::abi::{Answer, Bytes, Fd, IoctlArg, OpenFlags, Ptr, TaskId, Termios, request};
use crate::backend::LabError;
use crate::model::arena::FileId;
use crate::trace::Observer;

/// The modes that the model knows; the others of a terminal are off.
const IFLAG: u32 = mode::INLCR | mode::IGNCR | mode::ICRNL | mode::IXON;
const OFLAG: u32 = mode::OPOST | mode::ONLCR;
const CFLAG: u32 = mode::B38400 | mode::CS8 | mode::CREAD;
const LFLAG: u32 = mode::ISIG
    | mode::ICANON
    | mode::ECHO
    | mode::ECHOE
    | mode::ECHOK
    | mode::ECHONL
    | mode::ECHOCTL
    | mode::ECHOKE
    | mode::IEXTEN;

impl<O: Observer> Kernel<'_, O> {
    /// A request that only terminals have, if it is one, and `fd` a terminal.
    pub(super) fn tty_ioctl(
        &mut self,
        task: TaskId,
        fd: Fd,
        op: u32,
        arg: IoctlArg,
    ) -> Result<Option<Answer>, LabError> {
        let Some(file) = self.m.fget(task, fd) else {
            return Ok(None);
        };
        let Some(end) = self.tty_of(file) else {
            return Ok(None);
        };
        if let (request::TIOCGPTPEER, IoctlArg::Value(flags), true) = (op, arg, end.is_master()) {
            let flags = OpenFlags::from_bits_retain(flags);
            return Ok(Some(answer_fd(self.open_peer(task, end, flags))));
        }
        if let IoctlArg::Termios(Ptr::To(new)) = arg {
            refuse_settings(&new)?;
        }
        match TtyChange::new(file, end, op, arg) {
            Some(mut change) => self.run(task, &mut change).map(Some),
            None => Ok(None),
        }
    }

    /// Calls for which read(2) and write(2) do as well.
    pub(super) fn refuse_terminal(&self, task: TaskId, fd: Fd) -> Result<(), LabError> {
        let file = self.m.fget(task, fd);
        if file.is_some_and(|file| self.tty_of(file).is_some()) {
            return Err(LabError::new(
                "the model's terminals know read(2) and write(2), and neither parts nor splice(2)",
            ));
        }
        Ok(())
    }

    /// Characters that edit, signal or stop: the model has no idea what they do.
    pub(super) fn refuse_typed(&self, file: FileId, buf: &Ptr<Bytes>) -> Result<(), LabError> {
        let (Some(end), Ptr::To(bytes)) = (self.tty_of(file), buf) else {
            return Ok(());
        };
        let special = not_modelled(self.m.termios_beyond(end));
        match bytes.iter().find(|byte| special.contains(byte)) {
            None => Ok(()),
            Some(byte) => Err(LabError::new(format!(
                "the terminal would take \"\\x{byte:02x}\" for an order, of which the model knows none but newline \
                 and end of file"
            ))),
        }
    }

    /// A raw read that would give up after some time.
    pub(super) fn refuse_timer(&self, file: FileId) -> Result<(), LabError> {
        let nonblocking = self.m.files[file].nonblocking();
        match self.tty_of(file) {
            Some(end) if !nonblocking && has_timer(self.m.termios_of(end)) => Err(LabError::new(
                "the model's terminals have no timers: with VTIME set, read with O_NONBLOCK",
            )),
            _ => Ok(()),
        }
    }
}

fn refuse_settings(new: &Termios) -> Result<(), LabError> {
    let known = [
        (new.c_iflag, IFLAG, "c_iflag"),
        (new.c_oflag, OFLAG, "c_oflag"),
        (new.c_cflag, CFLAG, "c_cflag"),
        (new.c_lflag, LFLAG, "c_lflag"),
    ];
    match known.iter().find(|(bits, known, _)| bits & !known != 0) {
        None => Ok(()),
        Some((bits, known, field)) => Err(LabError::new(format!(
            "of {field} the model does not know {:#o}",
            bits & !known
        ))),
    }
}
