//! The kernel's own workers: has one of them still something to do for a terminal?
//!
//! What one side of a pty writes reaches the other by a kernel worker (`flush_to_ldisc`, on the workqueue for
//! work that is bound to no processor). Nothing tells a program when that has happened. What /proc tells of
//! the workers is enough, though, by the same argument as for tasks (see `settle.rs`):
//!
//! - Work is queued by the time the call that left it behind returns, and queueing it wakes an idle worker, unless
//!   one is on its way already (`kick_pool` in kernel/workqueue.c). So as long as work waits, some worker is
//!   runnable, or is about to start another worker and sleeps uninterruptibly meanwhile.
//! - A worker that has begun shows the queue whose work it does: `kworker/u8:1+events_unbound`. The same with
//!   a `-` is what it did last (`wq_worker_comm`).
//!
//! A snapshot in which every such worker sleeps, and none of them in a terminal's work, and a second one with the
//! same counts of context switches: then all of them slept between the two, so nothing was under way, and
//! nothing waited. Other work that sleeps, such as writing to a disk, does not matter.

use std::collections::HashMap;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;

use crate::backend::LabError;

use super::tasks::field;

/// The first of all kernel threads, which starts the others.
const KTHREADD: i32 = 2;

/// The workqueues on which a terminal's work may be, from one version of Linux to another.
const QUEUES: [&str; 2] = ["events_unbound", "events_dfl"];

/// The workers of queues that are bound to no processor.
#[derive(Debug, Default)]
pub(super) struct Workers {
    /// Every kernel thread met so far; `None` if it is no such worker.
    known: HashMap<i32, Option<File>>,
}

/// Who sleeps, and how often each was switched out so far.
pub(super) type Asleep = Vec<(i32, String, String)>;

impl Workers {
    /// Why they cannot be looked at here, if they cannot.
    pub(super) fn refused() -> Option<String> {
        let name = fs::read_to_string(format!("/proc/{KTHREADD}/comm"));
        if name.is_ok_and(|name| name.trim_end() == "kthreadd") {
            children(KTHREADD).err().map(|error| error.to_string())
        } else {
            Some("the threads of the kernel are not to be seen here".to_owned())
        }
    }

    /// All of them, if all of them sleep and none has begun with anything that may be a terminal's.
    pub(super) fn snapshot(&mut self) -> Result<Option<Asleep>, LabError> {
        let mut threads = children(KTHREADD)?;
        threads.push(KTHREADD);
        self.known.retain(|tid, _| threads.contains(tid));
        let mut all = Vec::new();
        for tid in threads {
            let mut buffer = [0; 4096];
            let status = match self.known.get(&tid) {
                Some(None) => continue,
                Some(Some(file)) => read(file, &mut buffer),
                None => match self.meet(tid, &mut buffer) {
                    Some(status) => Some(status),
                    None if self.known.contains_key(&tid) => continue,
                    None => None,
                },
            };
            // Just born, or just gone: there is another look.
            let Some(asleep) = status.and_then(|status| asleep(tid, status)) else {
                self.known.remove(&tid);
                return Ok(None);
            };
            all.push(asleep);
        }
        Ok(Some(all))
    }

    /// Looks at a thread for the first time. `None` if it is gone, or no worker, which is known then.
    fn meet<'b>(&mut self, tid: i32, buffer: &'b mut [u8; 4096]) -> Option<&'b str> {
        let file = File::open(format!("/proc/{tid}/status")).ok()?;
        let status = read(&file, buffer)?;
        let name = field(status, "Name:")?;
        let newborn = name == "kthreadd" && tid != KTHREADD;
        let worker = name.starts_with("kworker/u") || tid == KTHREADD;
        if !newborn {
            self.known.insert(tid, worker.then_some(file));
        }
        worker.then_some(status)
    }
}

fn read<'b>(file: &File, buffer: &'b mut [u8; 4096]) -> Option<&'b str> {
    let len = file.read_at(buffer, 0).ok()?;
    std::str::from_utf8(&buffer[..len]).ok()
}

/// What of a thread has to be the same in two snapshots; `None` if it is at something.
fn asleep(tid: i32, status: &str) -> Option<(i32, String, String)> {
    let name = field(status, "Name:")?;
    let state = field(status, "State:")?.chars().next()?;
    let (_, doing) = name.split_once('+').unwrap_or_default();
    let at_work = !doing.is_empty();
    let rests = match state {
        // A worker without work is idle (`I`). One that waits for a new worker to be started is not.
        'I' | 'S' => true,
        'D' => at_work,
        _ => false,
    };
    let ours = QUEUES.iter().any(|queue| doing.starts_with(queue));
    let count = |key| field(status, key).unwrap_or_default().to_owned();
    (rests && !ours).then(|| {
        let voluntary = count("voluntary_ctxt_switches:");
        (tid, voluntary, count("nonvoluntary_ctxt_switches:"))
    })
}

/// The kernel threads, but for the first.
fn children(tid: i32) -> Result<Vec<i32>, LabError> {
    let path = format!("/proc/{tid}/task/{tid}/children");
    let failed = |error| LabError::new(format!("cannot read {path}: {error}"));
    let text = fs::read_to_string(&path).map_err(failed)?;
    Ok(text
        .split_whitespace()
        .filter_map(|tid| tid.parse().ok())
        .collect())
}
