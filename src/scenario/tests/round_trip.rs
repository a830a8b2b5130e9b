//! Every call and every dialect, read and printed.

use crate::scenario::Scenario;

/// Lines in canonical form: each prints as itself.
pub(super) const CANONICAL: &str = r##"# A line or two for every call.
# law 37: An edge is reported once.
# confusion et-partial-read: One read is not enough.
# needs: linux >= 6.15, root

epoll_create(1) = 3
ep = epoll_create1(EPOLL_CLOEXEC) = 4
epoll_create1(0x40) = -1 EINVAL (Invalid argument)
pipe([r, w]) = 0
pipe2([5, 6], O_NONBLOCK|O_CLOEXEC) = 0
pipe(...) = -1 EMFILE (Too many open files)
f = eventfd(0)
g = eventfd2(5, EFD_SEMAPHORE|EFD_CLOEXEC|EFD_NONBLOCK) = ?
epoll_ctl(ep, EPOLL_CTL_ADD, r, {events=EPOLLIN|EPOLLET, data={u32=7, u64=7}}) = 0 # trailing
epoll_ctl(ep, EPOLL_CTL_MOD, -1, NULL) = -1 EBADF (Bad file descriptor)
epoll_ctl(ep, EPOLL_CTL_DEL, r, 0xffff800000000000) = 0
epoll_ctl(ep, 0x63 /* EPOLL_CTL_??? */, r, {events=0, data={u32=r, u64=r}})
epoll_ctl(ep, EPOLL_CTL_ADD, r, {events=EPOLLIN|0xf00d800, data={u32=4294967295, u64=4294967295}})
epoll_wait(ep, [{events=EPOLLIN, data={u32=7, u64=7}}, {events=EPOLLERR, data={u32=8, u64=4294967304}}], 8, 0) = 2
epoll_wait(ep, unordered [{events=EPOLLIN, data={u32=7, u64=7}}], 8, -1) = 1
epoll_wait(ep, [], 8, 0) = 0
epoll_wait(ep, ..., 8, 0)
epoll_wait(ep, NULL, 8, 0) = -1 EFAULT (Bad address)
epoll_wait(ep, @room(2 entries) [{events=EPOLLIN, data={u32=7, u64=7}}], 4, 0) = 1
epoll_wait(ep, @room(4) [{events=EPOLLIN}], 1, 0) = -1 EFAULT (Bad address)
epoll_pwait(ep, [], 8, 0, [USR1 TERM], 8) = 0
epoll_pwait(ep, [], 8, 0, ~[KILL RT_3], 8) = 0
epoll_pwait2(ep, [], 8, {tv_sec=0, tv_nsec=200000}, NULL, 8) = 0
epoll_pwait2(ep, ..., 8, 0xffff800000000000, NULL, 8) = -1 EFAULT (Bad address)
write(w, "a\0001\n\377", 5) = 5
write(w, "x"..., 4096) = 4096
write(w, NULL, 10) = -1 EFAULT (Bad address)
read(r, "abc", 10) = 3
read(r, "ab"..., 4096) = 4096
read(r, @room(2) ..., 10)
lseek(f, 5, SEEK_SET) = 5
lseek(f, -5, 0x9 /* SEEK_??? */) = -1 EINVAL (Invalid argument)
openat(AT_FDCWD, "/dev/null", O_RDONLY) = 9
h = openat(AT_FDCWD, "/tmp/x", O_RDWR|O_CREAT, 0600)
ioctl(f, FIONBIO, [1]) = 0
ioctl(f, FIONREAD, [3]) = 0
ioctl(ep, EPIOCSPARAMS, {busy_poll_usecs=10, busy_poll_budget=8, prefer_busy_poll=0, __pad=1}) = -1 EINVAL (Invalid argument)
ioctl(ep, EPIOCGPARAMS, {busy_poll_usecs=10, busy_poll_budget=8, prefer_busy_poll=1}) = 0
ioctl(ep, EPIOCGPARAMS, NULL) = -1 EFAULT (Bad address)
ioctl(ep, TCGETS) = -1 ENOTTY (Inappropriate ioctl for device)
ioctl(f, TCGETS, {c_iflag=ICRNL|IXON, c_oflag=OPOST|ONLCR, c_cflag=B38400|CS8|CREAD, c_lflag=ISIG|ICANON, ...}) = 0
ioctl(f, TCSETS, {c_iflag=0, c_oflag=0, c_cflag=B38400|CS8|CREAD, c_lflag=0, c_cc=[[VTIME]=1, [VMIN]=0, ...], ...}) = 0
ioctl(f, TCSETS, NULL) = -1 EFAULT (Bad address)
ioctl(f, TCFLSH, TCIOFLUSH) = 0
ioctl(f, TIOCPKT, [1]) = 0
g = ioctl(f, TIOCGPTPEER, O_RDWR|O_NOCTTY) = 6
ioctl(ep, 0x1234) = -1 ENOTTY (Inappropriate ioctl for device)
close(r) = 0
close_range(3, 4294967295, CLOSE_RANGE_UNSHARE|CLOSE_RANGE_CLOEXEC) = 0
dup(f) = 7
dup2(f, g) = g
dup3(f, 9, O_CLOEXEC) = 9
fcntl(f, F_DUPFD, 10) = 10
d = fcntl(f, F_DUPFD_CLOEXEC, 0) = 11
fcntl(f, F_GETFD) = 0x1 (flags FD_CLOEXEC)
fcntl(f, F_GETFD) = 0
fcntl(f, F_SETFD, FD_CLOEXEC) = 0
fcntl(f, F_GETFL) = 0x8802 (flags O_RDWR|O_NONBLOCK|O_LARGEFILE)
fcntl(f, F_GETFL) = 0 (flags O_RDONLY)
fcntl(f, F_SETFL, O_RDONLY|O_NONBLOCK) = 0
fcntl(w, F_SETPIPE_SZ, 65536) = 65536
fcntl(w, F_GETPIPE_SZ) = 65536
kcmp(0, 0, KCMP_FILE, f, g) = 0
kcmp(0, 0, KCMP_EPOLL_TFD, f, {efd=ep, tfd=f, toff=0}) = 0
C = fork()
[C] execve("/bin/sleep", ["sleep", "infinity"], NULL) = 0
kill(C, SIGKILL) = 0
wait4(C, [{WIFSIGNALED(s) && WTERMSIG(s) == SIGKILL}], 0, NULL) = C
wait4(-1, ..., WNOHANG, NULL) = 0
wait4(C, [{WIFSTOPPED(s) && WSTOPSIG(s) == SIGSTOP}], WUNTRACED, NULL) = C
wait4(C, [{WIFCONTINUED(s)}], WCONTINUED, NULL) = C
D = fork() = 3
[D] exit_group(0) = ?
wait4(D, [{WIFEXITED(s) && WEXITSTATUS(s) == 0}], 0, NULL) = D
prlimit64(0, RLIMIT_NOFILE, {rlim_cur=10, rlim_max=20000}, NULL) = 0
prlimit64(0, RLIMIT_NOFILE, NULL, {rlim_cur=10, rlim_max=20000}) = 0
setresuid(65534, 65534, 65534) = 0
poll([{fd=r, events=POLLIN}, {fd=-1, events=POLLOUT}], 2, 0) = 1 ([{fd=r, revents=POLLIN}])
poll([], 0, 0) = 0 (Timeout)
select(5, [3 r], [], NULL, {tv_sec=0, tv_usec=0}) = 1 (in [3])
select(5, [3], [w], NULL, NULL) = 2 (in [3], out [w])
pselect6(5, [r], NULL, NULL, {tv_sec=0, tv_nsec=0}, NULL) = 0 (Timeout)
pselect6(5, [r], NULL, NULL, NULL, {sigmask=[USR1], sigsetsize=8}) = 1 (in [r])
pselect6(5, NULL, NULL, NULL, NULL, {sigmask=NULL, sigsetsize=0}) = ?
ppoll([{fd=r, events=POLLIN}], 1, {tv_sec=1, tv_nsec=0}, ~[USR1], 8) = 0 (Timeout)
ppoll([{fd=r, events=POLLIN}], 1, NULL, NULL, 0) = 1 ([{fd=r, revents=POLLIN}])
rt_sigaction(SIGUSR1, {sa_handler=handler, sa_mask=[USR1 RT_2], sa_flags=SA_RESTART|SA_RESETHAND}, NULL, 8) = 0
rt_sigaction(SIGRT_2, {sa_sigaction=handler, sa_mask=[], sa_flags=SA_SIGINFO}, {sa_handler=SIG_DFL, sa_mask=[], sa_flags=0}, 8) = 0
rt_sigaction(65, NULL, NULL, 8) = -1 EINVAL (Invalid argument)
rt_sigprocmask(SIG_BLOCK, [USR1 CHLD], [], 8) = 0
rt_sigprocmask(0x7 /* SIG_??? */, [], NULL, 8) = -1 EINVAL (Invalid argument)
rt_sigpending([USR1], 8) = 0
kill(0, SIGUSR1) = 0
--- SIGUSR1 {si_signo=SIGUSR1, si_code=SI_USER, si_pid=1, si_uid=0} ---
kill(C, 0) = -1 EPERM (Operation not permitted)
tgkill(1, 1, SIGRT_2) = 0
--- SIGRT_2 {si_signo=SIGRT_2, si_code=SI_TKILL, si_pid=1, si_uid=0} --- # queued
tkill(C, SIGSEGV) = -1 ESRCH (No such process)
--- SIGCHLD {si_signo=SIGCHLD, si_code=CLD_EXITED, si_pid=C, si_uid=0, si_status=3} ---
--- SIGCHLD {si_signo=SIGCHLD, si_code=CLD_KILLED, si_pid=C, si_uid=0, si_status=SIGKILL} ---
--- SIGSEGV {si_signo=SIGSEGV, si_code=SI_KERNEL} ---
--- SIGUSR2 {si_signo=SIGUSR2, ...} ---
nanosleep({tv_sec=0, tv_nsec=1000}, NULL) = 0
nanosleep({tv_sec=1, tv_nsec=0}, {tv_sec=0, tv_nsec=500000}) = -1 EINTR (Interrupted system call)
clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, {tv_sec=1, tv_nsec=0}, NULL) = 0
[S] rt_sigsuspend([], 8 <unfinished ...>
[T] pause( <unfinished ...>
+1ms
[S] <... rt_sigsuspend resumed>) = -1 EINTR (Interrupted system call)
[S] --- SIGUSR1 {si_signo=SIGUSR1, ...} ---
[T] <... pause resumed>) = -1 EINTR (Interrupted system call)
fdinfo(ep) = [{tfd=r, events=EPOLLIN|EPOLLERR|EPOLLHUP, data={u32=7, u64=7}, pos=0}]
fdinfo_text(ep) = "pos:\t0\nflags:\t02\nmnt_id:\t?\nino:\t?\ntfd:        4 events:       19 data:                7  pos:0 ino:? sdev:?\n"
[A] epoll_wait(ep, ..., 8, -1 <unfinished ...>
[B] write(w, "x"..., 70000 <unfinished ...>
+10ms write(w, "x", 1) = 1
[A] <... epoll_wait resumed>[{events=EPOLLIN, data={u32=7, u64=7}}], 8, -1) = 1
[B] <... write resumed>) = 70000
[A] epoll_wait(ep, @frozen ..., 1, 0 <unfinished ...>
thaw(A)
[A] <... epoll_wait resumed>[], 1, 0) = 0
[A] read(r, @frozen ..., 1 <unfinished ...>
thaw(A, PROT_READ)
[A] <... read resumed>..., 1) = -1 EFAULT (Bad address)
+250us
+2s # a pause
repeat 500 as i {
    write(w, "x", 1) = 1
    # inside
    repeat 2 {
        epoll_ctl(ep, EPOLL_CTL_ADD, i, {events=EPOLLIN, data={u32=i, u64=i}}) = ?
    } # inner

    close(i)
}
+++ exited with 0 +++
--- stopped by SIGSTOP ---
rt_sigreturn({mask=[]}) = 0
"##;

#[test]
fn canonical_lines_print_as_themselves() {
    let scenario = parse(CANONICAL);
    assert_lines_equal(&scenario.to_string(), CANONICAL);
    assert_eq!(parse(&scenario.to_string()), scenario);
    assert_eq!(scenario.header().laws[0].id, "37");
    assert_eq!(scenario.header().needs.len(), 2);
    assert_eq!(scenario.header().prose, ["A line or two for every call."]);
}

#[track_caller]
fn parse(text: &str) -> Scenario {
    Scenario::parse(text).unwrap_or_else(|errors| {
        let error = &errors[0];
        panic!(
            "{}: {error} [{}]",
            error.span().position(text),
            error.label()
        )
    })
}

#[track_caller]
fn assert_lines_equal(left: &str, right: &str) {
    for (left, right) in left.lines().zip(right.lines()) {
        assert_eq!(left, right);
    }
    assert_eq!(left, right);
}

/// Reads a line behind some bindings, and gives its canonical form.
#[track_caller]
fn canonical(line: &str) -> String {
    const BINDINGS: &str = "ep = epoll_create1(0)\nf = eventfd(0)\npipe([r, w])\n";
    let printed = parse(&format!("{BINDINGS}{line}\n")).to_string();
    let own = printed
        .strip_prefix(BINDINGS)
        .expect("the bindings are canonical");
    assert_eq!(parse(&printed).to_string(), printed);
    own.trim_end_matches('\n').to_owned()
}

#[test]
fn every_dialect_of_an_event_is_read() {
    let written = "epoll_ctl(ep, EPOLL_CTL_ADD, f, {events=EPOLLIN, data={u32=7, u64=7}}) = 0";
    for data in [
        "{u32=7}",
        "{u64=7}",
        "{fd=7}",
        "{ptr=0x7}",
        "0x7",
        "{u32=7, u64=7}",
    ] {
        let line = format!("epoll_ctl(ep, EPOLL_CTL_ADD, f, {{events=EPOLLIN, data={data}}}) = 0");
        assert_eq!(canonical(&line), written);
    }
    let old = "epoll_ctl(3<anon_inode:[eventpoll]>,  EPOLL_CTL_ADD, 4<UNIX:[1->2]>, {EPOLLIN, {u32=7, u64=7}})  = 0 <0.000012>";
    assert_eq!(
        canonical(old),
        written.replace("ep,", "3,").replace("f,", "4,")
    );
    let raw = "epoll_ctl(ep, 0x1, f, {events=0x80000001, data={fd=-1}})";
    assert_eq!(
        canonical(raw),
        "epoll_ctl(ep, EPOLL_CTL_ADD, f, {events=EPOLLIN|EPOLLET, data={u32=4294967295, u64=4294967295}})"
    );
}

#[test]
fn spellings_of_strace_are_read() {
    for (read, written) in [
        ("close_range(3, ~0U, 0)", "close_range(3, 4294967295, 0)"),
        (
            "epoll_wait(ep, 0x7ffd12345678, 8, 1000) = -1 EINTR (x)",
            "epoll_wait(ep, ..., 8, 1000) = -1 EINTR (Interrupted system call)",
        ),
        (
            "read(f, 0x7f00, 1) = ? ERESTARTSYS (To be restarted if SA_RESTART is set)",
            "read(f, 0x7f00, 1) = ?",
        ),
        (
            "ioctl(ep, TCGETS, 0x7ffd12345678) = -1 ENOTTY (x)",
            "ioctl(ep, TCGETS, ...) = -1 ENOTTY (Inappropriate ioctl for device)",
        ),
        (
            "ioctl(f, SNDCTL_TMR_START or TCSETS, {c_iflag=, c_oflag=NL0|CR0|TAB0|BS0|VT0|FF0|, c_cflag=B38400|CS8, \
             c_lflag=ECHO|ICANON, c_line=N_TTY, c_cc=[[VINTR]=0x3, [VTIME]=0, [VMIN]=0x5, [17]=0]})",
            "ioctl(f, TCSETS, {c_iflag=0, c_oflag=0, c_cflag=B38400|CS8, c_lflag=ICANON|ECHO, \
             c_cc=[[VTIME]=0, [VMIN]=5, ...], ...})",
        ),
        (
            "prlimit64(0, RLIMIT_NOFILE, NULL, {rlim_cur=8*1024, rlim_max=RLIM64_INFINITY}) = 0",
            "prlimit64(0, RLIMIT_NOFILE, NULL, {rlim_cur=8192, rlim_max=18446744073709551615}) = 0",
        ),
        (
            "select(5, [3], NULL, NULL, {tv_sec=1, tv_usec=0}) = 1 (in [3], left {tv_sec=0, tv_usec=9})",
            "select(5, [3], NULL, NULL, {tv_sec=1, tv_usec=0}) = 1 (in [3])",
        ),
        (
            "fcntl(f, F_GETFL) = 0x802",
            "fcntl(f, F_GETFL) = 0x802 (flags O_RDWR|O_NONBLOCK)",
        ),
        (
            "epoll_pwait(ep, [], 8, 0, [SIGUSR1], 8)",
            "epoll_pwait(ep, [], 8, 0, [USR1], 8)",
        ),
        (
            "rt_sigaction(SIGUSR1, {sa_handler=0x401136, sa_mask=[], sa_flags=SA_RESTORER|SA_RESTART, sa_restorer=0x7f12}, NULL, 8)",
            "rt_sigaction(SIGUSR1, {sa_handler=handler, sa_mask=[], sa_flags=SA_RESTART}, NULL, 8)",
        ),
        (
            "rt_sigaction(SIGRTMIN, {0x7f00, [RTMIN RT_1], SA_RESTORER|SA_SIGINFO, 0x7f12}, {SIG_DFL, [], 0}, 8)",
            "rt_sigaction(SIGRTMIN, {sa_sigaction=handler, sa_mask=[RTMIN RT_1], sa_flags=SA_SIGINFO}, {sa_handler=SIG_DFL, sa_mask=[], sa_flags=0}, 8)",
        ),
        (
            "rt_sigprocmask(SIG_BLOCK, ~[], [SIGUSR1], 8)",
            "rt_sigprocmask(SIG_BLOCK, ~[], [USR1], 8)",
        ),
        (
            "pselect6(5, [r], NULL, NULL, NULL, {[USR1], 8})",
            "pselect6(5, [r], NULL, NULL, NULL, {sigmask=[USR1], sigsetsize=8})",
        ),
        (
            "close(f)\n--- SIGUSR1 ---",
            "close(f)\n--- SIGUSR1 {si_signo=SIGUSR1, ...} ---",
        ),
        (
            "close(f)\n--- SIGCHLD {si_signo=SIGCHLD, si_code=CLD_EXITED, si_pid=7, si_uid=0, si_status=0, si_utime=0, si_stime=1 /* 0.01 s */} ---",
            "close(f)\n--- SIGCHLD {si_signo=SIGCHLD, si_code=CLD_EXITED, si_pid=7, si_uid=0, si_status=0} ---",
        ),
        ("[pid 123] close(f)", "[pid 123] close(f)"),
        ("[A] +1000us close(f)", "+1ms [A] close(f)"),
        ("write(w, \"\\x61\\0012\", 3)", "write(w, \"a\\0012\", 3)"),
    ] {
        assert_eq!(canonical(read), written);
    }
    let long = format!("write(w, \"{}\", 40)", "ab".repeat(20));
    assert_eq!(canonical(&long), "write(w, \"ab\"..., 40)");
    // Printed in pieces, none of which may end between an escape and a digit.
    let odd = r#"write(w, "abcdefghijklmnopqrstuvwxyzABCDE\0001z", 34)"#;
    assert_eq!(canonical(odd), odd);
}

#[test]
fn what_a_log_splits_over_two_lines_is_put_together() {
    let log = "[pid 7] epoll_wait(ep,  <unfinished ...>\nwrite(w, \"x\", 1) = 1\n\
        [pid 7] <... epoll_wait resumed>[{events=EPOLLIN, data=0x7}], 8, -1) = 1 <0.020839>";
    assert_eq!(
        canonical(log),
        "[pid 7] epoll_wait(ep, ..., 8, -1 <unfinished ...>\nwrite(w, \"x\", 1) = 1\n\
        [pid 7] <... epoll_wait resumed>[{events=EPOLLIN, data={u32=7, u64=7}}], 8, -1) = 1"
    );
    let killed = "[C] epoll_wait(ep, ..., 8, -1 <unfinished ...>\nkill(C, SIGKILL) = 0\n\
        [C] <... epoll_wait resumed> <unfinished ...>) = ?";
    assert!(canonical(killed).ends_with("[C] <... epoll_wait resumed>..., 8, -1) = ?"));
}
