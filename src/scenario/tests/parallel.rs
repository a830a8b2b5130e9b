//! The `parallel` block and the closing lines: read, printed, refused, made ready.

use std::time::Duration;

use super::errors::assert_error;
use super::garbage::{mutated, try_it};
use crate::abi::{Answer, EpollEvent, Errno, EventMask, Fate, Out, Syscall, TaskId};
use crate::backend::{Backend, LabError, Thaw};
use crate::scenario::{Options, Prepared, Scenario, Sleep};

/// In canonical form: it prints as itself.
const CANONICAL: &str = r##"# law 68: An edge goes to one of two.

ep = epoll_create1(0) = 3
f = eventfd2(0, EFD_NONBLOCK) = 4
epoll_ctl(ep, EPOLL_CTL_ADD, f, {events=EPOLLIN|EPOLLET, data={u32=7, u64=7}}) = 0
parallel { # any order
    # two that wait
    [A] n1 = epoll_wait(ep, ..., 8, -1 <unfinished ...>) = ?
    [pid 12] n2 = epoll_wait(ep, ..., 8, 0) = ? # or not

    [B] read(f, ..., 8 <unfinished ...>
    n3 = write(f, "\1\0\0\0\0\0\0\0", 8) = 8
    n4 = close(9) = -1 EBADF (Bad file descriptor)
} # at rest
+10ms
[C] n5 = epoll_wait(ep, [], 8, 0) = 0 # nothing left
exists (n1=1)
~exists (n1=1 /\ n2=1) # never both
forall (n1=1 \/ asleep(n1) \/ n4=EINTR)
forall (~(n1=1 \/ n2=2) /\ (n4=EBADF \/ ~asleep(n1)) \/ n1=0)
exists (n1=[{events=EPOLLIN, data={u32=7, u64=7}}] /\ n2=unordered [])
"##;

#[test]
fn a_block_and_its_closing_lines_print_as_themselves() {
    let scenario = Scenario::parse(CANONICAL).unwrap();
    assert_eq!(scenario.to_string(), CANONICAL);
    assert_eq!(Scenario::parse(&scenario.to_string()).unwrap(), scenario);
    assert!(scenario.is_parallel());
}

#[test]
fn the_header_says_what_is_hardly_ever_seen() {
    const UNSEEN: &str = "# unseen (n1=1 /\\ asleep(n2)): It takes luck: a lot of it.";
    let text = CANONICAL.replace(
        "ep = epoll_create1",
        &format!("{UNSEEN}\n\nep = epoll_create1"),
    );
    let scenario = Scenario::parse(&text).unwrap();
    assert_eq!(scenario.to_string(), text);
    let [unseen] = &*scenario.header().unseen else {
        panic!("{:?}", scenario.header());
    };
    assert_eq!(unseen.closing.to_string(), "exists (n1=1 /\\ asleep(n2))");
    assert_eq!(unseen.reason, "It takes luck: a lot of it.");
    let span = unseen.span;
    assert_eq!(&text[span.start..span.end], "(n1=1 /\\ asleep(n2))");

    let is_told = |line: &str, error| assert_error(&text.replace(UNSEEN, line), error);
    is_told(
        "# unseen (waited=1): luck",
        "3:11: no line gives a result the name `waited` [unknown result] (as in `n1 = epoll_wait(ep, ..., 8, 0)` inside the parallel block)",
    );
    is_told(
        "# unseen (n1=1):",
        "3:17: expected the reason, found the end of the line [expected the reason]",
    );
    is_told(
        "# unseen (n1=1) luck",
        "3:17: expected `:`, found `luck` [expected `:`]",
    );
    let late = text.replace(UNSEEN, "") + UNSEEN;
    let told = "24:1: what a scenario shows and needs is said before its first call [too late]";
    assert_error(&late, told);
    assert!(Scenario::parse("# unseen by most: a comment\n").is_ok());
}

#[test]
fn brackets_that_say_nothing_are_not_printed() {
    for (read, written) in [
        ("exists(((n=1)))", "exists (n=1)"),
        (
            "exists (n=1 /\\ (n=2 /\\ n=3))",
            "exists (n=1 /\\ n=2 /\\ n=3)",
        ),
        (
            "exists ((n=1 \\/ n=2) \\/ n=3)",
            "exists (n=1 \\/ n=2 \\/ n=3)",
        ),
        (
            "exists ((n=1 /\\ n=2) \\/ n=3)",
            "exists (n=1 /\\ n=2 \\/ n=3)",
        ),
        (
            "exists (n=1 /\\ (n=2 \\/ n=3))",
            "exists (n=1 /\\ (n=2 \\/ n=3))",
        ),
        ("~ exists ( ~ ( ~ n = 0x10 ) )", "~exists (~~n=16)"),
        ("forall (asleep( n ))", "forall (asleep(n))"),
    ] {
        let block = "parallel {\n    n = close(3)\n}\n";
        let scenario = Scenario::parse(&format!("{block}{read}\n")).unwrap();
        assert_eq!(scenario.to_string(), format!("{block}{written}\n"));
    }
}

#[test]
fn broken_blocks_are_errors_or_round_trip() {
    mutated(CANONICAL, 3000, try_it);
}

#[test]
fn lines_that_mean_nothing_in_a_block_are_refused() {
    assert_error(
        "parallel {\nf = eventfd2(0, 0)\n}",
        "2:1: a descriptor gets its name before the parallel block [bound when?]",
    );
    assert_error(
        "parallel {\npipe([r, w])\n}",
        "2:1: descriptors get their names before the parallel block [bound when?]",
    );
    assert_error(
        "parallel {\nC = fork()\n}",
        "2:1: a parallel block begins with all its tasks [a new task]",
    );
    assert_error(
        "parallel {\n+10ms close(3)\n}",
        "2:1: in a parallel block time passes by itself, whenever something may time out [passes when?]",
    );
    assert_error(
        "parallel {\nrepeat 2 {\nclose(3)\n}\n}",
        "2:1: a loop stands before a parallel block, not in or behind it [not here]",
    );
    assert_error(
        "parallel {\n[A] epoll_wait(3, @frozen ..., 8, 0)\n}",
        "2:1: no page is frozen in or behind a parallel block [thawed by whom?]",
    );
    assert_error(
        "parallel {\n[A] read(3, ..., 8 <unfinished ...>\n[A] <... read resumed>..., 8) = 8\n}",
        "3:10: in a parallel block a call is told in one line [only half a call] (it may sleep as long \
         as it likes; one that may sleep for good ends with `<unfinished ...>) = ?`)",
    );
    assert_error(
        "parallel {\n[A] read(3, \"x\", 8 <unfinished ...>) = ?\n}",
        "2:1: of a call that may not come back nothing is shown; ask with a closing line [must be `...`]",
    );
    assert_error(
        "parallel {\n[A] read(3, ..., 8 <unfinished ...>) = 8\n}",
        "2:40: expected `?`, found `8` [expected `?`]",
    );
}

#[test]
fn the_block_stands_where_it_can() {
    assert_error(
        "repeat 2 {\nparallel {\nclose(3)\n}\n}",
        "2:1: a parallel block stands in no other block [inside another]",
    );
    assert_error(
        "parallel {\nclose(3)\n}\nparallel {\nclose(3)\n}",
        "4:1: a scenario has one parallel block [a second one]",
    );
    assert_error(
        "[A] read(3, ..., 8 <unfinished ...>\nparallel {\nclose(3)\n}",
        "2:1: the call of line 1 is not over when the block begins [begins too early] (make that call \
         inside the block)",
    );
    assert_error(
        "parallel {\nclose(3)\n",
        "1:1: a parallel block has no end [begins here] (a line with `}` ends it)",
    );
    assert_error(
        "[A] read(3, ..., 8 <unfinished ...>) = ?",
        "1:1: only in a parallel block a call may sleep for good [ended by what?]",
    );
    assert_error(
        "parallel {\nclose(3)\n}\n[A] read(3, ..., 8 <unfinished ...>",
        "4:1: behind a parallel block a call comes back [only half a call]",
    );
}

#[test]
fn a_closing_line_asks_about_what_is_named() {
    assert_error(
        "close(3)\nexists (n=1)",
        "2:1: a closing line asks about a parallel block, and here is none before it [asks about what?]",
    );
    assert_error(
        "parallel {\nnum = close(3)\n}\nexists (nun=1)",
        "4:9: no line gives a result the name `nun` [unknown result] (did you mean `num`?)",
    );
    assert_error(
        "parallel {\nn = close(3)\n}\nexists (n=[])",
        "4:11: close stores no events [not stored]",
    );
    assert_error(
        "parallel {\nn = close(3)\n}\nexists (n=-1)",
        "4:11: a call that succeeds returns no such number [not returned] (one that fails is asked for \
         by its error: `n=EINTR`)",
    );
    assert_error(
        "parallel {\nn = close(3)\n}\nexists (n=EBADFF)",
        "4:11: `EBADFF` is not an error that the lab knows [unknown error] (did you mean `EBADF`?)",
    );
    assert_error(
        "parallel {\nn = close(3)\n}\nexists (n=1)\nclose(3)",
        "5:1: behind a closing line nothing happens [too late]",
    );
    assert_error(
        "parallel {\nn = close(3)\nn = close(4)\n}",
        "3:1: `n` stands for something already [taken]",
    );
    assert_error(
        "parallel {\nn = close(3)\n}\nexists (n=1 /\\ )",
        "4:16: expected the name of a result, found `)` [expected the name of a result]",
    );
    let deep = format!(
        "parallel {{\nn = close(3)\n}}\nexists ({}n=1)",
        "~".repeat(40)
    );
    assert_error(&deep, "4:42: claims nest at most 32 deep [one too many]");
}

/// Gives every call the number of calls before it, and has no insides.
#[derive(Debug, Default)]
struct Counting {
    calls: Vec<(TaskId, &'static str)>,
    tasks: u32,
}

impl Backend for Counting {
    fn name(&self) -> String {
        "counting".to_owned()
    }

    fn submit(&mut self, task: TaskId, call: Syscall) -> Result<Answer, LabError> {
        self.calls.push((task, call.name()));
        Ok(Answer::ret(i64::try_from(self.calls.len()).unwrap()))
    }

    fn settle(&mut self) -> Result<Vec<(TaskId, Answer)>, LabError> {
        Ok(Vec::new())
    }

    fn finish(&mut self, _: TaskId) -> Result<Vec<(TaskId, Answer)>, LabError> {
        Ok(Vec::new())
    }

    fn pass(&mut self, _: Duration) -> Result<Vec<(TaskId, Answer)>, LabError> {
        Ok(Vec::new())
    }

    fn spawn(&mut self, _: TaskId) -> Result<TaskId, LabError> {
        self.tasks += 1;
        Ok(TaskId(self.tasks))
    }

    fn thaw(&mut self, _: TaskId, _: Thaw) -> Result<(), LabError> {
        Ok(())
    }
}

const TWO_TASKS: &str = "f = eventfd2(0, EFD_NONBLOCK)\nparallel {\n\
    [A] a = epoll_wait(f, ..., 8, -1 <unfinished ...>) = ?\n    b = close(f) = 0\n    [A] c = close(f) = 5\n\
    }\nd = close(7) = 2\nexists (a=1 /\\ ~c=1)\nexists (a=[{events=EPOLLIN, data={u32=f, u64=f}}])\n";

fn prepared(scenario: &Scenario) -> (Counting, Prepared<'_>) {
    let mut backend = Counting::default();
    let prepared = scenario.prepare(&mut backend, Options::default()).unwrap();
    (backend, prepared)
}

#[test]
fn the_set_up_is_run_and_the_block_becomes_programs() {
    let scenario = Scenario::parse(TWO_TASKS).unwrap();
    let (mut backend, prepared) = prepared(&scenario);
    assert_eq!(backend.calls, [(TaskId(0), "eventfd2")]);
    let programs: Vec<_> = prepared
        .programs()
        .iter()
        .map(|it| (it.task, &*it.name, it.calls.clone()))
        .collect();
    assert_eq!(
        programs,
        [(TaskId(1), "A", vec![0, 2]), (TaskId(0), "", vec![1])]
    );
    assert_eq!(prepared.in_block(), 3);
    assert_eq!(prepared.calls()[0].sleep, Sleep::May);
    assert_eq!(
        prepared.calls()[1].syscall,
        Syscall::Close {
            fd: crate::abi::Fd(1)
        }
    );

    let mut outcome = vec![Fate::Asleep, Fate::Ended(Answer::ret(0)), Fate::NotReached];
    prepared.finish(&mut backend, &mut outcome).unwrap();
    assert_eq!(outcome[3], Fate::Ended(Answer::ret(2)));
    assert_eq!(
        (0..4)
            .map(|i| prepared.text(i, &outcome[i]))
            .collect::<Vec<_>>(),
        [
            "[A] a = epoll_wait(f, ..., 8, -1 <unfinished ...>) = ?",
            "b = close(f) = 0",
            "[A] c = close(f) # never made",
            "d = close(7) = 2",
        ]
    );
}

#[test]
fn what_became_of_a_call_is_held_against_its_line() {
    let scenario = Scenario::parse(TWO_TASKS).unwrap();
    let (_, prepared) = prepared(&scenario);
    let ended = |value| Fate::Ended(Answer::ret(value));
    assert!(prepared.agrees(0, &Fate::Asleep).unwrap());
    assert!(prepared.agrees(0, &ended(3)).unwrap());
    assert!(!prepared.agrees(1, &Fate::Asleep).unwrap());
    assert!(!prepared.agrees(1, &ended(3)).unwrap());
    assert!(prepared.agrees(1, &ended(0)).unwrap());
    // A name for a result does not ask for success.
    assert!(
        prepared
            .agrees(0, &Fate::Ended(Answer::err(Errno::EINTR)))
            .unwrap()
    );
    assert!(prepared.agrees(2, &Fate::NotReached).unwrap());
    assert!(
        !prepared
            .agrees(2, &Fate::Ended(Answer::err(Errno::EBADF)))
            .unwrap()
    );
}

#[test]
fn a_claim_is_true_of_an_outcome_or_not() {
    let scenario = Scenario::parse(TWO_TASKS).unwrap();
    let (_, prepared) = prepared(&scenario);
    let claims: Vec<_> = prepared.closing().map(|(_, closing)| closing).collect();
    let event = EpollEvent::new(EventMask::IN, 1);
    let events = Fate::Ended(Answer::Done(1, Out::Events(vec![event].into())));
    let is_so = |claim: usize, first: Fate, third: Fate| {
        let outcome = [first, Fate::Ended(Answer::ret(0)), third];
        prepared.is_so(claims[claim], &outcome).unwrap()
    };
    assert!(is_so(0, events.clone(), Fate::NotReached));
    assert!(!is_so(0, events.clone(), Fate::Ended(Answer::ret(1))));
    assert!(!is_so(0, Fate::Asleep, Fate::NotReached));
    assert!(is_so(1, events, Fate::NotReached));
    assert!(!is_so(1, Fate::Ended(Answer::ret(1)), Fate::NotReached));
}

#[test]
fn a_told_run_can_be_asked_what_else_could_have_happened() {
    let told = "ep = epoll_create1(0)\n[A] epoll_wait(ep, ..., 8, -1 <unfinished ...>\nclose(ep) = 0\n\
        [A] <... epoll_wait resumed>[], 8, -1) = 0\n";
    let scenario = Scenario::parse(told).unwrap();
    let (_, prepared) = prepared(&scenario);
    let calls: Vec<_> = prepared
        .calls()
        .iter()
        .map(|call| (call.task, call.sleep))
        .collect();
    assert_eq!(calls, [(TaskId(1), Sleep::May), (TaskId(0), Sleep::May)]);
    assert!(prepared.agrees(1, &Fate::Ended(Answer::ret(9))).unwrap());

    for (told, message) in [
        (
            "close(3)\n",
            "only one task makes calls, so nothing else could have happened",
        ),
        (
            "close(3)\n[A] close(4)\n+10ms\n",
            "in a parallel block time passes by itself, whenever something may time out",
        ),
        (
            "close(3)\n[A] close(4)\nf = dup(0)\n",
            "a descriptor gets its name before the parallel block",
        ),
    ] {
        let scenario = Scenario::parse(told).unwrap();
        let error = scenario.prepare(&mut Counting::default(), Options::default());
        assert_eq!(error.unwrap_err().message(), message);
    }
}
