//! The runner against a kernel that says what the test tells it to.

use std::collections::VecDeque;
use std::time::Duration;

use crate::abi::{
    Answer, EpollEvent, Errno, EventMask, Events, Fd, Out, SiCode, SigInfo, Signal, Syscall, TaskId,
};
use crate::backend::{Backend, LabError, Thaw};
use crate::scenario::{Diff, Mark, Options, Run, Scenario, View};

type Ended = Vec<(TaskId, Answer)>;

/// Gives its answers in order. Each settle gives the next of `settles`, or nothing.
#[derive(Default)]
struct Scripted {
    answers: VecDeque<Answer>,
    settles: VecDeque<Ended>,
    finish: VecDeque<Ended>,
    calls: Vec<String>,
    tasks: u32,
    handled: Vec<(TaskId, SigInfo)>,
}

impl Backend for Scripted {
    fn name(&self) -> String {
        "script".to_owned()
    }

    fn submit(&mut self, task: TaskId, call: Syscall) -> Result<Answer, LabError> {
        self.calls.push(format!("{} {call:?}", task.0));
        self.answers
            .pop_front()
            .ok_or_else(|| LabError::new("the script is over"))
    }

    fn settle(&mut self) -> Result<Ended, LabError> {
        Ok(self.settles.pop_front().unwrap_or_default())
    }

    fn finish(&mut self, _: TaskId) -> Result<Ended, LabError> {
        self.finish
            .pop_front()
            .ok_or_else(|| LabError::new("nothing will end this call"))
    }

    fn pass(&mut self, time: Duration) -> Result<Ended, LabError> {
        self.calls.push(format!("pass {time:?}"));
        Ok(Vec::new())
    }

    fn spawn(&mut self, _: TaskId) -> Result<TaskId, LabError> {
        self.tasks += 1;
        Ok(TaskId(self.tasks))
    }

    fn take_handled(&mut self) -> Vec<(TaskId, SigInfo)> {
        // They run behind the last call.
        if self.answers.is_empty() {
            std::mem::take(&mut self.handled)
        } else {
            Vec::new()
        }
    }

    fn thaw(&mut self, task: TaskId, _: Thaw) -> Result<(), LabError> {
        self.calls.push(format!("thaw {}", task.0));
        Ok(())
    }
}

fn ret(value: i64) -> Answer {
    Answer::ret(value)
}

fn events(data: &[u64]) -> Answer {
    let events: Events = data
        .iter()
        .map(|data| EpollEvent::new(EventMask::IN, *data))
        .collect();
    Answer::Done(
        i64::try_from(events.len()).expect("few"),
        Out::Events(events),
    )
}

fn scenario(text: &str) -> Scenario {
    Scenario::parse(text).unwrap_or_else(|errors| panic!("{}", errors[0]))
}

/// Runs with these answers and settles: the run, and its transcript.
fn run(text: &str, answers: &[Answer], settles: &[Ended]) -> (Run, String) {
    let mut kernel = Scripted {
        answers: answers.iter().cloned().collect(),
        settles: settles.iter().cloned().collect(),
        ..Scripted::default()
    };
    let scenario = scenario(text);
    let run = scenario.run(&mut kernel, Options::default());
    let transcript = run.transcript(&scenario, View::Comparable);
    (run, transcript)
}

fn messages(run: &Run) -> Vec<String> {
    run.failures
        .iter()
        .map(|failure| format!("{}: {}", failure.line, failure.message))
        .collect()
}

const A: TaskId = TaskId(1);
const B: TaskId = TaskId(2);

#[test]
fn names_become_numbers_and_back() {
    let text = "ep = epoll_create1(0)\npipe([r, w]) = 0\nepoll_ctl(ep, EPOLL_CTL_ADD, r, {events=EPOLLIN, data={fd=r}}) = 0\n\
        epoll_wait(ep, [{events=EPOLLIN, data={u32=r}}], 8, 0) = 1\ndup2(ep, 9)\nselect(5, [r], NULL, NULL, NULL)\n";
    let readable = [Fd(4)].into_iter().collect();
    let answers = [
        ret(3),
        Answer::Done(0, Out::Pipe(Fd(4), Fd(5))),
        ret(0),
        events(&[4]),
        ret(9),
        Answer::Done(1, Out::FdSets(Box::new([Some(readable), None, None]))),
    ];
    let (run, transcript) = run(text, &answers, &[]);
    assert!(run.passed(), "{:?} {:?}", run.failures, run.stopped);
    assert_eq!(
        transcript,
        "ep = epoll_create1(0) = 3\npipe([r, w]) = 0\nepoll_ctl(ep, EPOLL_CTL_ADD, r, {events=EPOLLIN, data={u32=r, u64=r}}) = 0\n\
         epoll_wait(ep, [{events=EPOLLIN, data={u32=r, u64=r}}], 8, 0) = 1\ndup2(ep, 9) = 9\nselect(5, [r], NULL, NULL, NULL) = 1 (in [r])\n"
    );
    assert_eq!((run.counts.asserted, run.counts.open), (4, 2));
}

#[test]
fn a_deviating_line_is_reported_and_the_run_goes_on() {
    let text = "epoll_wait(3, [{events=EPOLLIN, data={u32=1}}], 8, 0) = 1\nclose(3) = 0\nclose(4) = -1 EBADF\n";
    let (run, transcript) = run(
        text,
        &[events(&[2]), Answer::err(Errno::EBADF), ret(0)],
        &[],
    );
    assert_eq!(
        messages(&run),
        [
            "1: the call stored something else",
            "2: the call had another result",
            "3: the call had another result"
        ]
    );
    assert_eq!(
        transcript,
        "epoll_wait(3, [{events=EPOLLIN, data={u32=2, u64=2}}], 8, 0) = 1\n\
         close(3) = -1 EBADF (Bad file descriptor)\nclose(4) = 0\n"
    );
    assert_eq!(run.failures[1].expected, "close(3) = 0");
}

#[test]
fn order_counts_unless_it_is_said_not_to() {
    let array =
        "[{events=EPOLLIN, data={u32=1, u64=1}}, {events=EPOLLIN, data={u32=2, u64=2}}], 8, 0) = 2";
    let (strict, _) = run(&format!("epoll_wait(3, {array}"), &[events(&[2, 1])], &[]);
    assert!(!strict.passed());
    let text = format!("epoll_wait(3, unordered {array}\n");
    let (loose, transcript) = run(&text, &[events(&[2, 1])], &[]);
    assert!(loose.passed());
    assert_eq!((transcript, loose.counts.unordered), (text, 1));
}

#[test]
fn what_is_left_open_stays_open_and_what_is_missing_is_filled_in() {
    let text = "# prose\nclose(3) = ?\nread(3, ..., 8) = 1 # why\nread(3, ..., 8)\nclose(3) = 0\nclose(4)\n";
    let bytes = Answer::Done(1, Out::Bytes(b"x".as_slice().into()));
    let answers = [
        ret(0),
        bytes.clone(),
        bytes,
        Answer::err(Errno::EIO),
        ret(0),
    ];
    let (run, transcript) = run(text, &answers, &[]);
    assert_eq!(
        transcript,
        "close(3) = ?\nread(3, ..., 8) = 1\nread(3, \"x\", 8) = 1\nclose(3) = -1 EIO (Input/output error)\nclose(4) = 0\n"
    );
    assert_eq!(
        scenario(text).record(&run),
        "# prose\nclose(3) = ?\nread(3, ..., 8) = 1 # why\nread(3, \"x\", 8) = 1\nclose(3) = 0\nclose(4) = 0\n"
    );
    let everything = run.transcript(&scenario(text), View::Everything);
    assert!(everything.starts_with("close(3) = 0\nread(3, \"x\", 8) = 1\n"));
}

const TWO_SLEEPERS: &str = "[A] epoll_wait(3, ..., 8, -1 <unfinished ...>\n\
    [B] read(4, ..., 1 <unfinished ...>\n\
    write(5, \"x\", 1) = 1\n\
    [B] <... read resumed>\"x\", 1) = 1\n\
    \n\
    [A] <... epoll_wait resumed>[{events=EPOLLIN, data={u32=7, u64=7}}], 8, -1) = 1\n\
    close(9) = 0\n";

fn sleepers(settles: &[Ended]) -> (Run, String) {
    let answers = [Answer::Blocked, Answer::Blocked, ret(1), ret(0)];
    run(TWO_SLEEPERS, &answers, settles)
}

#[test]
fn calls_that_end_together_may_be_written_in_any_order() {
    let read = Answer::Done(1, Out::Bytes(b"x".as_slice().into()));
    let both = vec![(A, events(&[7])), (B, read)];
    let (run, transcript) = sleepers(&[vec![], vec![], both]);
    assert!(run.passed(), "{:?}", run.failures);
    assert_eq!(transcript, TWO_SLEEPERS.replace("\n\n", "\n"));
}

#[test]
fn a_call_that_does_not_end_where_it_should_is_reported() {
    let read = Answer::Done(1, Out::Bytes(b"x".as_slice().into()));
    let (run, transcript) = sleepers(&[vec![], vec![], vec![(B, read)], vec![(A, events(&[7]))]]);
    assert_eq!(
        messages(&run),
        [
            "6: A still sleeps in epoll_wait",
            "7: this ended epoll_wait of A, which no line says"
        ]
    );
    assert!(
        transcript.contains(
            "# A still sleeps in epoll_wait\nclose(9) = 0\n[A] <... epoll_wait resumed>[{"
        )
    );
}

#[test]
fn a_call_that_ends_too_early_is_reported_where_it_does() {
    let read = Answer::Done(1, Out::Bytes(b"x".as_slice().into()));
    let (run, _) = sleepers(&[vec![], vec![(A, events(&[7]))], vec![(B, read)]]);
    assert_eq!(
        messages(&run),
        [
            "2: this ended epoll_wait of A, which no line says",
            "6: epoll_wait of A was not asleep"
        ]
    );
}

#[test]
fn a_call_that_should_sleep_and_does_not_is_reported() {
    let (run, transcript) = run(
        "[A] read(4, ..., 1 <unfinished ...>\n",
        &[Answer::err(Errno::EAGAIN)],
        &[],
    );
    assert_eq!(messages(&run), ["1: the call did not sleep"]);
    assert_eq!(
        transcript,
        "[A] read(4, ..., 1) = -1 EAGAIN (Resource temporarily unavailable)\n"
    );
}

#[test]
fn a_task_that_sleeps_against_all_expectation_stops_the_run() {
    let text = "[A] read(4, ..., 1 <unfinished ...>\nclose(9) = 0\n[A] <... read resumed>..., 1) = 1\n[A] close(8) = 0\n";
    let (run, transcript) = run(text, &[Answer::Blocked, ret(0)], &[]);
    let stopped = run.stopped.expect("a stop");
    assert_eq!(
        stopped.message(),
        "A still sleeps in read and cannot make this call"
    );
    assert_eq!(stopped.span().position(text).line, 4);
    assert!(transcript.ends_with("# stopped: A still sleeps in read and cannot make this call\n"));
}

#[test]
fn a_plain_call_that_sleeps_is_waited_for() {
    let text = "+5ms epoll_wait(3, [], 8, 30) = 0\n";
    let mut kernel = Scripted {
        answers: [Answer::Blocked].into(),
        finish: [vec![(TaskId::MAIN, ret(0))]].into(),
        ..Scripted::default()
    };
    let run = scenario(text).run(&mut kernel, Options::default());
    assert!(run.passed(), "{:?} {:?}", run.failures, run.stopped);
    assert_eq!(run.transcript(&scenario(text), View::Comparable), text);
    assert_eq!(kernel.calls[0], "pass 5ms");
}

#[test]
fn a_name_that_got_no_descriptor_stops_the_run() {
    let (run, _) = run(
        "f = eventfd(0)\nclose(f) = 0\n",
        &[Answer::err(Errno::EMFILE)],
        &[],
    );
    assert_eq!(messages(&run), ["1: the call had another result"]);
    let stopped = run.stopped.expect("a stop");
    assert_eq!(
        stopped.message(),
        "`f` stands for nothing, since the call failed"
    );
}

#[test]
fn a_failure_of_the_lab_stops_the_run_with_its_sentence() {
    let (run, _) = run("close(1) = 0\nclose(2) = 0\n", &[ret(0)], &[]);
    assert_eq!(
        run.stopped
            .as_ref()
            .map(crate::scenario::ScenarioError::message),
        Some("the script is over")
    );
    assert!(run.failures.is_empty() && !run.passed());
}

#[test]
fn loops_run_every_round_and_report_the_first_that_deviates() {
    let text = "repeat 4 as i {\n    write(5, \"x\", 1) = 1\n    close(i) = 0\n}\n";
    let mut answers: Vec<Answer> = [1, 0].repeat(4).into_iter().map(ret).collect();
    let (good, transcript) = run(text, &answers, &[]);
    assert!(good.passed());
    assert_eq!(transcript, text);
    answers[5] = Answer::err(Errno::EBADF);
    answers[7] = Answer::err(Errno::EIO);
    let (bad, transcript) = run(text, &answers, &[]);
    assert_eq!(
        messages(&bad),
        ["3: the call had another result, in round 3"]
    );
    assert_eq!(bad.failures[0].rounds, [3]);
    assert_eq!(
        transcript,
        "repeat 4 as i {\n    write(5, \"x\", 1) = 1\n    close(i) = -1 EBADF (Bad file descriptor)\n}\n"
    );
}

#[test]
fn forked_tasks_have_names_and_end() {
    let text = "C = fork()\n[C] read(3, ..., 1 <unfinished ...>\nkill(C, SIGKILL) = 0\n\
        [C] <... read resumed>..., 1) = ?\nwait4(C, ..., 0, NULL) = C\nD = fork()\n[D] exit_group(1) = ?\nwait4(-1, ..., 0, NULL)\n";
    let answers = [
        ret(2),
        Answer::Blocked,
        ret(0),
        ret(2),
        ret(3),
        Answer::Gone,
        ret(3),
    ];
    let (run, transcript) = run(text, &answers, &[vec![], vec![], vec![(A, Answer::Gone)]]);
    assert!(run.passed(), "{:?} {:?}", run.failures, run.stopped);
    assert_eq!(
        transcript,
        "C = fork()\n[C] read(3, ..., 1 <unfinished ...>\nkill(C, SIGKILL) = 0\n[C] <... read resumed>..., 1) = ?\n\
         wait4(C, ..., 0, NULL) = C\nD = fork()\n[D] exit_group(1) = ?\nwait4(-1, ..., 0, NULL) = D\n"
    );
}

#[test]
fn two_runs_are_aligned_and_the_first_difference_is_marked() {
    let text = "close(1) = 0\nclose(2) = 0\nclose(3) = 0\n";
    let (left, _) = run(text, &[ret(0), ret(0), ret(0)], &[]);
    let (right, _) = run(
        text,
        &[ret(0), Answer::err(Errno::EIO), Answer::err(Errno::EIO)],
        &[],
    );
    let diff = Diff::new(&scenario(text), &left, &right);
    let marks: Vec<Mark> = diff.rows.iter().map(|row| row.mark).collect();
    assert_eq!(marks, [Mark::Same, Mark::First, Mark::Differs]);
    assert_eq!(diff.first(), Some(2));
    assert!(Diff::new(&scenario(text), &left, &left).is_same());
    assert_eq!(
        diff.to_string().lines().nth(2),
        Some("> script  close(2) = -1 EIO (Input/output error)")
    );
}

/// A call of the first task that returns 0, behind which these handlers run.
fn run_handled(text: &str, handled: &[(TaskId, SigInfo)]) -> (Run, String) {
    let scenario = scenario(text);
    let mut script = Scripted {
        answers: vec![ret(0)].into(),
        handled: handled.to_vec(),
        ..Scripted::default()
    };
    let run = scenario.run(&mut script, Options::default());
    let transcript = run.transcript(&scenario, View::Comparable);
    (run, transcript)
}

fn usr1() -> (TaskId, SigInfo) {
    let info = SigInfo {
        signo: Signal::SIGUSR1,
        code: SiCode::USER,
        pid: 1,
        uid: 0,
        status: 0,
    };
    (TaskId::MAIN, info)
}

#[test]
fn a_handler_that_runs_is_announced_as_far_as_the_line_says() {
    for line in [
        "--- SIGUSR1 {si_signo=SIGUSR1, si_code=SI_USER, si_pid=1, si_uid=0} ---",
        "--- SIGUSR1 {si_signo=SIGUSR1, si_code=SI_USER, ...} ---",
        "--- SIGUSR1 {si_signo=SIGUSR1, ...} ---",
    ] {
        let text = format!("kill(1, SIGUSR1) = 0\n{line}\n");
        let (run, transcript) = run_handled(&text, &[usr1()]);
        assert!(run.passed(), "{:?}", run.failures);
        assert_eq!(transcript, text);
        assert_eq!(run.counts.asserted, 2);
    }
}

#[test]
fn a_handler_that_runs_unannounced_or_not_at_all_is_reported() {
    let (run, transcript) = run_handled("kill(1, SIGUSR1) = 0\n", &[usr1()]);
    assert_eq!(
        messages(&run),
        ["1: the handler of SIGUSR1 ran in the first task, which no line says"]
    );
    assert_eq!(
        transcript,
        "kill(1, SIGUSR1) = 0\n\
         --- SIGUSR1 {si_signo=SIGUSR1, si_code=SI_USER, si_pid=1, si_uid=0} ---\n"
    );
    let announced = "kill(1, SIGUSR1) = 0\n--- SIGUSR2 {si_signo=SIGUSR2, ...} ---\n";
    let (run, _) = run_handled(announced, &[]);
    assert_eq!(messages(&run), ["2: no handler of SIGUSR2 ran here"]);
    let (run, _) = run_handled(announced, &[usr1()]);
    assert_eq!(
        messages(&run),
        ["2: another handler ran, or was told something else"]
    );
    let told = "kill(1, SIGUSR1) = 0\n--- SIGUSR1 {si_code=SI_TKILL, ...} ---\n";
    let (run, transcript) = run_handled(told, &[usr1()]);
    assert_eq!(
        messages(&run),
        ["2: another handler ran, or was told something else"]
    );
    assert!(transcript.contains("si_code=SI_USER"), "{transcript}");
}

#[test]
fn a_call_that_a_handler_interrupts_ends_on_a_line_before_it() {
    const BEGUN: &str = "[A] epoll_wait(3, ..., 8, -1 <unfinished ...>\nclose(4) = 0\n";
    const ENDED: &str =
        "[A] <... epoll_wait resumed>..., 8, -1) = -1 EINTR (Interrupted system call)\n";
    const RAN: &str = "[A] --- SIGUSR1 {si_signo=SIGUSR1, ...} ---\n";
    let run = |lines: [&str; 2]| {
        let scenario = scenario(&format!("{BEGUN}{}{}", lines[0], lines[1]));
        let mut script = Scripted {
            answers: vec![Answer::Blocked, ret(0)].into(),
            settles: vec![vec![], vec![(TaskId(1), Answer::err(Errno::EINTR))]].into(),
            handled: vec![(TaskId(1), usr1().1)],
            ..Scripted::default()
        };
        scenario.run(&mut script, Options::default())
    };
    assert!(run([ENDED, RAN]).passed());
    assert_eq!(
        messages(&run([RAN, ENDED])),
        ["3: the call that this handler interrupts ends on a line before it"]
    );
}
