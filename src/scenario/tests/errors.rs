//! What is said about a scenario that is wrong, and where it points.

use crate::scenario::Scenario;

/// `line:column: message [label] help`, one for each error.
fn errors(text: &str) -> Vec<String> {
    let errors = Scenario::parse(text).expect_err("a mistake");
    let render = |error: &crate::scenario::ScenarioError| {
        let at = error.span().position(text);
        let help = error
            .advice()
            .map_or(String::new(), |help| format!(" ({help})"));
        format!("{at}: {error} [{}]{help}", error.label())
    };
    errors.iter().map(render).collect()
}

#[track_caller]
pub(super) fn assert_error(text: &str, expected: &str) {
    assert_eq!(errors(text), [expected], "in {text:?}");
}

#[test]
fn mistyped_words_are_corrected() {
    assert_error(
        "epoll_wiat(3, [], 8, 0) = 0",
        "1:1: `epoll_wiat` is not a call that the lab knows [unknown call] (did you mean `epoll_wait`?)",
    );
    assert_error(
        "epoll_ctl(3, EPOLL_CTL_AD, 4, NULL)",
        "1:14: `EPOLL_CTL_AD` is not an operation of epoll_ctl [unknown constant] (did you mean `EPOLL_CTL_ADD`?)",
    );
    assert_error(
        "epoll_ctl(3, EPOLL_CTL_ADD, 4, {events=EPOLLIN|EPOLLLET, data={u32=1}})",
        "1:48: `EPOLLLET` is not an epoll event [unknown constant] (did you mean `EPOLLET`?)",
    );
    assert_error(
        "epoll_ctl(3, EPOLL_CTL_ADD, 4, {events=EPOLLIN, data={u23=1}})",
        "1:55: `u23` is not a member of `epoll_data_t` [no such member] (its members are ptr, fd, u32 and u64)",
    );
    assert_error(
        "close(3) = -1 EBADDF",
        "1:15: `EBADDF` is not an error that the lab knows [unknown error] (did you mean `EBADF`?)",
    );
    assert_error(
        "epoll_wait(3, @rom(4) [], 8, 0)",
        "1:16: `@rom` is no kind of memory [unknown] (there are @room(24), @room(2 entries) and @frozen)",
    );
}

#[test]
fn syntax_errors_point_at_what_was_not_expected() {
    assert_error(
        "close(3",
        "1:8: expected `,`, found the end of the line [expected `,`]",
    );
    assert_error("close(3, 4)", "1:10: close takes 1 argument [one too many]");
    assert_error(
        "epoll_ctl(3, EPOLL_CTL_ADD)",
        "1:1: epoll_ctl takes 4 arguments [without fd, event]",
    );
    assert_error(
        "\u{e4}",
        "1:1: expected a call, found `\u{e4}` [expected a call]",
    );
    assert_error(
        "# \u{e4}\nwrite(1, \"\u{e4}",
        "2:10: a string has no end [begins here]",
    );
    assert_error(
        "close(3) = 0 what",
        "1:14: expected the end of the line, found `what` [expected the end of the line]",
    );
    assert_error(
        "close(99999999999) = 0",
        "1:7: 99999999999 does not fit into the 32 bits of `fd` [too large]",
    );
    assert_error(
        "+10m",
        "1:2: a time is a whole number of us, ms or s [not a time] (as in `+10ms`)",
    );
    assert_error(
        "repeat 2 {\nclose(3)\n",
        "1:1: a loop has no end [begins here] (a line with `}` ends it)",
    );
    assert_error("}", "1:1: `}` ends no block [nothing is open here]");
    assert_error("repeat 0 {\n}", "1:8: a loop runs at least once [not once]");
    assert_error(
        "write(1, 0x7fff00000000, 4)",
        "1:10: 0x7fff00000000 is not an address that the lab can pass here [not this address] \
         (something may be mapped there; take NULL or 0xffff800000000000)",
    );
}

#[test]
fn signals_are_explained() {
    assert_error(
        "kill(1, SIGUSR3) = 0",
        "1:9: `SIGUSR3` is not a signal [unknown constant] (did you mean `SIGUSR1`?)",
    );
    assert_error(
        "rt_sigprocmask(SIG_BLOCK, [USR7], NULL, 8)",
        "1:28: `USR7` is not a signal [unknown signal] (did you mean `USR1`?)",
    );
    assert_error(
        "rt_sigaction(SIGUSR1, {sa_handler=SIG_INGN, sa_mask=[], sa_flags=0}, NULL, 8)",
        "1:35: `SIG_INGN` is no handler [unknown] (there are SIG_DFL, SIG_IGN and `handler`, which notes that it runs)",
    );
    assert_error(
        "--- SIGUSR1 {...} ---",
        "1:1: a handler runs for what a line does, and here is none before it [sent by whom?] (it follows the call that sent the signal, or the resumed line that it ended)",
    );
    assert_error(
        "kill(1, SIGUSR1)\n--- SIGUSR1 {si_signo=SIGUSR2, ...} ---",
        "2:14: the line is about SIGUSR1, and this about another [two signals]",
    );
    assert_error(
        "kill(1, SIGUSR1)\n[A] --- SIGUSR1 {...} ---",
        "2:2: no task is called `A` yet [unknown task]",
    );
    assert_error(
        "kill(1, SIGUSR1)\n+1ms --- SIGUSR1 {...} ---",
        "2:1: time cannot pass here [not in front of a handler] (let it pass on a line of its own, above)",
    );
    assert_error(
        "wait4(-1, [{WIFEXISTED(s)}], 0, NULL)",
        "1:13: `WIFEXISTED` is no test of a status [unknown] (did you mean `WIFEXITED`?)",
    );
}

#[test]
fn memory_that_the_lab_cannot_choose_is_refused() {
    assert_error(
        "wait4(-1, 0xffff800000000000, 0, NULL)",
        "1:11: the lab cannot pass an address here [not this address]",
    );
    assert_error(
        "wait4(-1, @room(2) ..., 0, NULL)",
        "1:11: the lab cannot choose the memory of this argument [not possible here]",
    );
    assert_error(
        "close(3) = -7",
        "1:12: a call that fails returns -1 [not -1] (write `= -1 EBADF`, with the name of the error)",
    );
}

#[test]
fn names_must_stand_for_something() {
    assert_error(
        "evfd = eventfd(0)\nclose(efd)",
        "2:7: `efd` stands for nothing yet [not bound] (did you mean `evfd`?)",
    );
    assert_error(
        "kill(C, SIGKILL)",
        "1:6: no task is called `C` yet [unknown task]",
    );
    assert_error(
        "n = close(3)",
        "1:1: close returns no descriptor [nothing to name] \
         (a name can stand for a new descriptor, or for the task of fork)",
    );
    assert_error(
        "f = eventfd(0) = -1 EMFILE",
        "1:1: `f` would stand for nothing [the call is to fail]",
    );
    assert_error(
        "pipe([r, w]) = -1 EMFILE\nclose(r)",
        "2:7: `r` stands for nothing yet [not bound]",
    );
    assert_error(
        "repeat 2 as i {\nclose(i)\n}\nclose(i)",
        "4:7: `i` stands for nothing yet [not bound]",
    );
    assert_error(
        "close(EPOLLIN)",
        "1:7: `EPOLLIN` is neither a number nor the name of one [not a name] \
         (names are lower-case: [a-z_][a-z0-9_]*)",
    );
}

#[test]
fn counts_must_be_the_right_ones() {
    assert_error(
        "write(1, \"abc\", 4)",
        "1:17: `count` is 4, but there are 3 bytes [must be 3]",
    );
    assert_error(
        "poll([{fd=3, events=POLLIN}], 2, 0)",
        "1:31: `nfds` is 2, but there are 1 entries [must be 1]",
    );
    assert_error(
        "epoll_wait(3, [{events=EPOLLIN, data={u32=1}}], 8, 0) = 2",
        "1:1: the result is 2, but 1 are shown [these disagree]",
    );
    assert_error(
        "setresuid(1, 1, 2)",
        "1:17: `suid` differs, and the lab can only set all alike [not the same]",
    );
    assert_error(
        "write(1, \"x\"..., 99999999999)",
        "1:18: a shortened string stands for a fixed number of bytes [from 1 to 67108864]",
    );
    assert_error(
        "repeat 5000 {\nrepeat 5000 {\nclose(9)\n}\n}",
        "3:1: a scenario makes at most 10000000 calls [here they are exceeded]",
    );
    assert_error(
        "epoll_ctl(3, EPOLL_CTL_ADD, 4, {events=EPOLLIN, data={u32=1, u64=2}})",
        "1:54: the members of `data` are views of one number, and these disagree [two different numbers] \
         (write one of them: data={u64=7})",
    );
}

#[test]
fn halves_of_a_call_belong_together() {
    assert_error(
        "[A] <... read resumed>..., 1) = 1",
        "1:10: no call of this task is unfinished here [resumes nothing] \
         (the line where it falls asleep ends with `<unfinished ...>`)",
    );
    assert_error(
        "[A] read(3, ..., 1 <unfinished ...>\n[A] close(3)",
        "2:1: this task sleeps in the call of line 1 and cannot make another [its task is asleep] \
         (a line `<... read resumed>` ends that call)",
    );
    assert_error(
        "[A] read(3, ..., 1 <unfinished ...>\n[A] <... write resumed>) = 1",
        "2:10: this task sleeps in read, not in write [another call]",
    );
    assert_error(
        "[A] read(3, ..., 1 <unfinished ...>\nclose(3)\n[A] <... read resumed>\"x\", 2) = 1",
        "3:28: the call began with another `count` [not what it was]",
    );
    assert_error(
        "[A] read(3,  <unfinished ...>\n",
        "1:1: read takes 3 arguments [without buf, count]",
    );
    assert_error(
        "repeat 2 {\n[A] read(3, ..., 1 <unfinished ...>\n}",
        "2:1: a call that begins in a loop must end in it [never resumed]",
    );
    assert_error(
        "[A] read(3, ..., 1 <unfinished ...>\nrepeat 2 {\nclose(9)\n}\n[A] <... read resumed>..., 1) = 0",
        "5:1: a call ends by what a line does, and here is none before it [ended by what?] \
         (a resumed line follows the call or the `+time` that ended it)",
    );
    assert_error(
        "C = fork()\n[C] exit_group(0) = ?\n[C] close(0)",
        "3:2: task C has called exit_group and is gone [gone]",
    );
}

#[test]
fn headers_are_checked() {
    assert_error(
        "# lwa 3: x",
        "1:1: `lwa` is not something that a header says [unknown directive] (did you mean `law`?)",
    );
    assert_error(
        "# needs: usrfaultfd",
        "1:1: `usrfaultfd` is not a need that the lab knows [unknown need] (did you mean `userfaultfd`?)",
    );
    assert_error(
        "# law: x",
        "1:1: a `law` line has another form [malformed] (as in `# law 37: An edge is reported once.`)",
    );
    assert_error(
        "close(9)\n# needs: root",
        "2:1: what a scenario shows and needs is said before its first call [too late]",
    );
    assert!(Scenario::parse("# A pipe: two ends.\n# See also: pipe(7).\n").is_ok());
}

#[test]
fn all_errors_of_a_file_are_told_up_to_twenty() {
    assert_eq!(errors("a\nb\n").len(), 2);
    assert_eq!(errors(&"a\n".repeat(1000)).len(), 20);
}
