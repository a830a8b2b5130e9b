//! What each step of a call does, in a sentence without its subject.

/// The step with this name, as [`TaskState::call`](super::TaskState::call) and [`Move`](super::Move) give
/// it: `ep_poll: Look` "looks at the ready list and the overflow list, without a lock".
pub fn meaning(step: &str) -> Option<&'static str> {
    // Some say where in an array they stand: `do_poll: Ask(0)`.
    let name = step.split('(').next().unwrap_or(step);
    let find = |table: &[(&str, &'static str)], name: &str| {
        let found = table.iter().find(|(known, _)| *known == name);
        found.map(|(_, meaning)| *meaning)
    };
    find(MEANINGS, name).or_else(|| {
        let (function, step) = name.split_once(": ")?;
        find(MEANINGS, &format!("{function}: Change"))?;
        find(TRANSFER, step)
    })
}

/// Every step that has one.
pub fn names() -> Vec<String> {
    let mut names = Vec::new();
    for (name, _) in MEANINGS {
        names.push((*name).to_owned());
        if let Some(function) = name.strip_suffix(": Change") {
            names.extend(
                TRANSFER
                    .iter()
                    .map(|(step, _)| format!("{function}: {step}")),
            );
        }
    }
    names
}

/// Steps of every call that moves data, and may sleep until there is some, or room for it.
const TRANSFER: &[(&str, &str)] = &[
    (
        "Wake",
        "is done, and calls the next entry on the wait queue that it wakes",
    ),
    (
        "WakeFirst",
        "calls the next entry on the wait queue that it wakes, before it sleeps",
    ),
    (
        "WakeMore",
        "calls the next entry on the wait queue that it wakes, before it goes on with the rest",
    ),
    ("Look", "looks whether there is a reason to sleep at all"),
    ("Enqueue", "stands on the wait queue"),
    (
        "LookAgain",
        "stands on the queue and looks once more, so that no wake-up is missed",
    ),
    ("Sleep", "runs again, and looks why"),
    ("Leave", "leaves the wait queue"),
];

const MEANINGS: &[(&str, &str)] = &[
    // epoll_wait(2)
    (
        "ep_poll: Look",
        "looks at the ready list and the overflow list, without a lock",
    ),
    (
        "ep_poll: StartScan",
        "takes ep->mtx, and moves the ready list to a list of the scan's own; from here on wake-ups go to \
         the overflow list",
    ),
    (
        "ep_poll: PollItem",
        "takes the next item off the scan's list and asks its file what is ready now; goes on to the end of \
         the scan if no item is left or the array is full",
    ),
    (
        "ep_poll: PutEvent",
        "stores the event in the caller's array; then a one-shot item is disarmed, a level-triggered one \
         goes to the tail of the ready list, and an edge-triggered one to no list",
    ),
    (
        "ep_poll: DoneScan",
        "puts what overflowed and what was left over on the ready list, closes the overflow list, and gives \
         ep->mtx back",
    ),
    (
        "ep_poll: Idle",
        "has found nothing: sees whether the time is up or a signal is pending",
    ),
    (
        "ep_poll: Enqueue",
        "looks once more, now under ep->lock, and if there still is nothing stands in front of all others \
         on ep->wq",
    ),
    (
        "ep_poll: Sleep",
        "runs again, off the queue, and looks why it was woken",
    ),
    // epoll_ctl(2)
    (
        "do_epoll_ctl: LockFind",
        "takes ep->mtx, and looks for the file and the number in the tree, to add, change or remove",
    ),
    (
        "do_epoll_ctl: LockNested",
        "takes the mutex that all share who nest epolls, since this may close a loop",
    ),
    (
        "do_epoll_ctl: LoopCheck",
        "goes through the epolls below, in search of a loop or of too long a chain",
    ),
    (
        "do_epoll_ctl: Insert",
        "puts the new item into the tree, once nobody works on the epoll that it watches",
    ),
    (
        "do_epoll_ctl: Hook",
        "hooks the new item onto each wait queue of its file",
    ),
    ("do_epoll_ctl: Poll", "asks the file what is ready now"),
    (
        "do_epoll_ctl: Queue",
        "puts the item on the ready list if its file was ready, and wakes one who waits",
    ),
    (
        "do_epoll_ctl: PollWake",
        "tells the next of those who watch this epoll",
    ),
    (
        "do_epoll_ctl: Unhook",
        "takes the item off its file's wait queues, then off everything else",
    ),
    // read(2), write(2) and their like, see `TRANSFER` for the steps that they share
    (
        "vfs_read: Change",
        "takes out what there is, under the file's lock",
    ),
    (
        "vfs_write: Change",
        "puts in what there is room for, under the file's lock",
    ),
    (
        "sock_recvmsg: Change",
        "takes out what there is, under the socket's lock",
    ),
    (
        "sock_sendmsg: Change",
        "gives the other side what it has room for",
    ),
    (
        "do_loop_readv_writev: Change",
        "puts in the next part, if the last one went in whole",
    ),
    (
        "do_splice: Change",
        "moves slots from one pipe to the other, or bytes between a pipe and a file",
    ),
    (
        "do_tee: Change",
        "gives one pipe the pages of the other, which keeps them",
    ),
    (
        "vmsplice_to_pipe: Change",
        "gives the pipe pages of the program's own memory",
    ),
    (
        "vmsplice_to_user: Change",
        "takes out what there is, under the pipe's lock",
    ),
    ("do_accept: Change", "takes the first connection that waits"),
    (
        "__sys_connect: Change",
        "stands among the connections that wait for an accept",
    ),
    // openat(2), and the way into a FIFO
    (
        "path_openat",
        "follows the path and opens what is there, but for a FIFO",
    ),
    (
        "fifo_open: Count",
        "takes the pipe's mutex, and is one more reader or writer",
    ),
    (
        "fifo_open: WakeThenWait",
        "calls the next entry on the readers' queue: here is somebody who was not there before",
    ),
    (
        "fifo_open: Wake",
        "calls the next entry on the readers' queue: here is somebody who was not there before",
    ),
    (
        "fifo_open: Enqueue",
        "stands in front of all others on the readers' queue, and gives the mutex back",
    ),
    ("fifo_open: Sleep", "runs again, and looks why"),
    ("fifo_open: Leave", "leaves the wait queue"),
    (
        "fifo_open: Look",
        "takes the mutex again, and looks whether a partner has come",
    ),
    (
        "fifo_open: WakeBack",
        "has been interrupted, and calls the next entry on the other side's queue: nobody is here any more",
    ),
    (
        "set_termios",
        "gives the terminal other settings, and wakes all who read from it or write to it",
    ),
    (
        "tty_perform_flush",
        "throws away what waits in the terminal, and wakes those who wait for room",
    ),
    (
        "process_backlog",
        "takes the next packet of a flow off the queue, finds out whose it is, and wakes those who wait for it",
    ),
    (
        "flush_to_ldisc",
        "takes in what has arrived at the terminal, up to the end of a line, and wakes its reader",
    ),
    (
        "pipe_set_size",
        "gives the pipe another size, and wakes those who wait for room",
    ),
    (
        "timerfd_ioctl",
        "sets how often the timer has fired, and wakes those who wait for it",
    ),
    (
        "do_signalfd4",
        "gives the signalfd another mask, and wakes those on the process's queue for signalfds",
    ),
    (
        "fsnotify",
        "begins, once nobody holds a lock on the way to those who are told of it",
    ),
    (
        "__send_signal_locked",
        "sends the signal, once nobody holds a lock on the way to those who are woken by it",
    ),
    ("sock_def_wakeup", "wakes everybody who waits at the socket"),
    // poll(2), select(2)
    (
        "do_poll: Ask",
        "stands on the wait queues of the next file, unless one was ready before, and asks it",
    ),
    (
        "do_poll: Nested",
        "asks an epoll file, which asks its own files in turn",
    ),
    (
        "do_poll: Decide",
        "has asked every file: returns, or goes to sleep",
    ),
    ("do_poll: Sleep", "runs again, and asks every file anew"),
    ("do_poll: Unhook", "leaves every wait queue"),
    // close(2), and whatever drops a last reference
    ("__fput: Next", "takes on the next file without a reference"),
    (
        "__fput: Items",
        "takes the file out of one epoll that watches it",
    ),
    ("__fput: Fops", "lets the kind of file clean up"),
    (
        "__fput: WakeMore",
        "calls the next entry on the wait queue that this wakes, before the file cleans up further",
    ),
    (
        "__fput: Wake",
        "calls the next entry on the wait queue that this wakes",
    ),
    (
        "ep_clear_and_put: Lock",
        "takes the mtx of the closed epoll",
    ),
    (
        "ep_clear_and_put: Unhook",
        "takes the next item off its file's wait queues",
    ),
    (
        "ep_clear_and_put: Remove",
        "removes the next item, or gives the mtx back after the last",
    ),
    ("ep_show_fdinfo", "takes ep->mtx and lists the items"),
    // processes, signals, time
    ("do_exit: Begin", "tells the other threads to die"),
    (
        "do_exit: Files",
        "closes the descriptors, if nobody else uses the table",
    ),
    ("do_exit: Wake", "tells the parent"),
    ("do_wait", "looks for a child that has ended, or sleeps"),
    (
        "get_signal",
        "takes the next pending signal and does what its action says",
    ),
    (
        "do_notify_parent_cldstop",
        "tells the parent that the process has stopped or goes on",
    ),
    ("do_signal_stop", "has been stopped, and goes on"),
    ("user mode: Handler", "runs the signal handler to its end"),
    ("do_nanosleep: Begin", "sets the timer and falls asleep"),
    (
        "do_nanosleep: Sleep",
        "runs again: the time is up, or a signal came",
    ),
    ("pause: Begin", "falls asleep"),
    ("pause: Sleep", "runs again, for a signal"),
    ("sigsuspend: Begin", "falls asleep with another mask"),
    ("sigsuspend: Sleep", "runs again, for a signal"),
];
