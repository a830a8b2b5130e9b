//! The network of scenarios: loopback, and when it has come to rest.
//!
//! # A network of its own
//!
//! A lab that may make a network namespace makes one, the first time that a scenario is run: with a loopback
//! device and nothing else, no firewall, no other programs. All scenarios of this process share it. Without
//! the right to do that (as a rule, not being root) they have the loopback of the machine. Ports are chosen by
//! the kernel and names of Unix sockets begin with a number of the lab's, so either way nobody is in
//! anybody's way.
//!
//! # At rest
//!
//! What is sent over loopback lies on a queue of the processor that the sender ran on
//! (`softnet_data.input_pkt_queue`), until a softirq takes it from there and brings it to its receiver: mostly
//! before the send returns, but sometimes the softirq is left to the thread `ksoftirqd`, which runs when the
//! scheduler lets it. Until then nothing shows at the receiver. So after a call in a scenario that has sockets
//! of IP, the lab goes to each of its processors in turn, and stays there until that processor's queue is
//! empty:
//!
//! ```text
//!   for each processor:  move there (sched_setaffinity)
//!                        /proc/net/softnet_stat: packets on its queue?  ── some: let others run, look again
//! ```
//!
//! That is enough, for three reasons.
//!
//! - While our thread runs on a processor, no packet is half delivered there: a softirq runs to its end before
//!   anything else gets the processor, also in `ksoftirqd`, which cannot be preempted in it. (A kernel with
//!   `PREEMPT_RT` is another matter.) So an empty queue means that all was delivered.
//! - An answer that a delivery sends, an ACK or an ICMP error, goes onto the queue of the same processor.
//! - Nobody else sends meanwhile. Tasks could, but two looks at all of them, one before and one after, show that
//!   they slept all the time (`settle.rs`). If a packet has woken one, the whole is done again.
//!
//! What a timer of the kernel sends later, such as a delayed ACK, takes time to pass, and is no matter of rest.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::sync::OnceLock;
use std::thread;
use std::time::Instant;

use crate::backend::LabError;

use super::settle::LIMIT;
use super::{Linux, ffi};

/// The namespace that scenarios run in, if the lab could make one.
pub(super) fn namespace() -> Option<i32> {
    static NAMESPACE: OnceLock<Option<File>> = OnceLock::new();
    // A thread can leave the network of its process. The open file keeps the namespace when it has ended.
    let make = || thread::spawn(make_namespace).join().ok()?.ok();
    NAMESPACE.get_or_init(make).as_ref().map(File::as_raw_fd)
}

fn make_namespace() -> io::Result<File> {
    ffi::leave_network()?;
    ffi::bring_up_loopback()?;
    File::open("/proc/thread-self/ns/net")
}

/// How many packets wait on each processor's queue.
#[derive(Debug)]
pub(super) struct Backlogs(File);

impl Backlogs {
    pub(super) fn open() -> io::Result<Backlogs> {
        File::open("/proc/net/softnet_stat").map(Backlogs)
    }

    /// Those of this processor.
    fn of(&self, processor: usize) -> io::Result<u64> {
        let mut text = Vec::new();
        let mut buffer = [0; 4096];
        loop {
            match self.0.read_at(&mut buffer, text.len() as u64)? {
                0 => break,
                count => text.extend_from_slice(&buffer[..count]),
            }
        }
        Ok(waiting(&String::from_utf8_lossy(&text), processor))
    }
}

/// How many packets wait on this processor, by the text of /proc/net/softnet_stat. One that has no line there is
/// off, and has none.
fn waiting(text: &str, processor: usize) -> u64 {
    /// The places in a line, from Linux 5.10 on: the length of the queues, and whose line it is.
    const LENGTH: usize = 11;
    const PROCESSOR: usize = 12;
    let number = |word: &&str| u64::from_str_radix(word, 16).ok();
    let lines = text.lines().map(|line| line.split(' ').collect::<Vec<_>>());
    let mut own = lines.filter(|words| {
        let found = words.get(PROCESSOR).and_then(number);
        found == Some(processor as u64)
    });
    let length = own.next().and_then(|words| number(&words[LENGTH]));
    length.unwrap_or_default()
}

/// Puts the calling thread back onto the processors that it had.
struct Home(Vec<usize>);

impl Drop for Home {
    fn drop(&mut self) {
        ffi::run_on(&self.0);
    }
}

impl Linux {
    /// Waits until every packet that is on its way is delivered.
    ///
    /// Preconditions: nobody sends.
    pub(super) fn drain_network(&self) -> Result<(), LabError> {
        let Some(backlogs) = &self.backlogs else {
            return Ok(());
        };
        let home = Home(ffi::processors());
        for processor in &self.processors {
            if !ffi::run_on(&[*processor]) {
                // It was switched off, and its queue went to another one.
                continue;
            }
            let start = Instant::now();
            loop {
                let waiting = backlogs.of(*processor).map_err(|error| {
                    LabError::new(format!("cannot read /proc/net/softnet_stat: {error}"))
                })?;
                if waiting == 0 {
                    break;
                }
                if start.elapsed() > LIMIT {
                    return Err(LabError::new(format!(
                        "{waiting} packets on processor {processor} are not delivered"
                    )));
                }
                ffi::sched_yield();
            }
        }
        drop(home);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_line_belongs_to_the_processor_that_it_names() {
        let line = |length: u32, processor: u32| {
            let zeros = "00000000 ".repeat(10);
            format!("00000fc2 {zeros}{length:08x} {processor:08x} 00000000 00000000\n")
        };
        let text = [line(0, 0), line(18, 10), line(7, 2)].concat();
        let found = [0, 1, 2, 10].map(|processor| waiting(&text, processor));
        assert_eq!(found, [0, 0, 7, 18]);
    }

    #[test]
    fn a_scenario_has_the_network_that_was_made_for_it() {
        let linux = Linux::new().unwrap();
        let of = |pid: String| fs::read_link(format!("/proc/{pid}/ns/net")).unwrap();
        let subject = of(linux.tasks.processes[0].pid.to_string());
        let own = of("self".to_owned());
        match namespace() {
            Some(fd) => {
                let made = fs::read_link(format!("/proc/self/fd/{fd}")).unwrap();
                assert_eq!((&subject, subject == own), (&made, false));
            }
            None => assert_eq!(subject, own),
        }
    }

    #[test]
    fn a_drain_leaves_its_thread_where_it_was() {
        let mut linux = Linux::new().unwrap();
        linux.backlogs = Some(Backlogs::open().unwrap());
        let before = ffi::processors();
        linux.drain_network().unwrap();
        assert_eq!(ffi::processors(), before);
    }
}
