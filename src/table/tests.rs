use std::collections::HashSet;

use super::{Entry, Kind, Sheet, Stage, Table, kinds, text};
use crate::scenario::Scenario;

const PIPE: &str = "\
# pipe, read end
#
# It has one way.
pipe2([f, w], O_NONBLOCK) = 0

## fresh: empty, a writer is there
### write
write(w, \"a\", 1) = 1

## closed: drained
# needs: linux >= 6.1
close(w) = 0
## no half-closed, error: it has one way
";

#[test]
fn a_state_is_asked_with_every_bit_and_an_operation_by_two_watchers() {
    let kind = Kind::parse("pipe", PIPE).expect("it is one");
    let [fresh, closed] = &kind.questions(Table::Events)[..] else {
        panic!("two states");
    };
    assert_eq!(
        closed.text,
        "\
# pipe, read end, closed: drained
# needs: linux >= 6.1
pipe2([f, w], O_NONBLOCK) = 0
close(w) = 0
ep = epoll_create1(0)
epoll_ctl(ep, EPOLL_CTL_ADD, f, {events=EPOLLIN|EPOLLPRI|EPOLLOUT|EPOLLRDNORM|EPOLLRDBAND|EPOLLWRNORM|EPOLLWRBAND|EPOLLMSG|EPOLLRDHUP, data={u32=0, u64=0}})
epoll_wait(ep, ..., 1, 0)
"
    );
    assert_eq!(fresh.name, "pipe/fresh/empty-a-writer-is-there");
    let [write] = &kind.questions(Table::Edges)[..] else {
        panic!("one operation");
    };
    assert_eq!(write.name, "pipe/fresh/empty-a-writer-is-there/write");
    let (_, asked) = write
        .text
        .split_once("epoll_wait(ep_out, ..., 1, 0)\n")
        .expect("taken");
    assert_eq!(
        asked,
        "write(w, \"a\", 1) = 1\nepoll_wait(ep_in, ..., 1, 0)\nepoll_wait(ep_out, ..., 1, 0)\n"
    );
}

#[test]
fn what_a_state_needs_stands_in_the_table() {
    let kind = Kind::parse("pipe", PIPE).expect("it is one");
    let sheet = Sheet::new(Table::Events, &kind, |_| {
        vec!["IN|HUP".to_owned(), "-".to_owned()]
    });
    assert_eq!(
        text(std::slice::from_ref(&sheet), str::to_owned),
        "\
pipe, read end                               events  bands
  fresh        empty, a writer is there      IN|HUP  -
  closed       drained (needs linux >= 6.1)  IN|HUP  -
  never        half-closed, error: it has one way
"
    );
    assert!(
        sheet.markdown().ends_with(
            "\
| closed | drained (needs linux >= 6.1) | `IN\\|HUP` | — |
| half-closed, error | *never: it has one way* |  |  |
"
        ),
        "{}",
        sheet.markdown()
    );
}

#[test]
fn mistakes_are_told_with_their_line() {
    for (text, at) in [
        ("pipe2([f, w], 0) = 0", "1: the first line names"),
        ("# pipe\n## data one byte", "2: a state has a stage"),
        ("# pipe\n\n## half: one byte", "3: the stages are"),
        ("# pipe\n## no half: one byte", "2: the stages are"),
        ("# pipe\n### write", "2: an operation belongs"),
        (
            "# pipe\n## no data: it has none\nclose(f) = 0",
            "3: nobody can come",
        ),
    ] {
        let mistake = Kind::parse("pipe", text).expect_err(text).to_string();
        assert!(mistake.starts_with(at), "{mistake}");
    }
}

#[test]
fn every_kind_says_something_of_every_stage() {
    for kind in kinds() {
        for stage in Stage::ALL {
            let has = kind.states().any(|state| state.stage == stage);
            let has_not = kind.entries.iter().any(
                |entry| matches!(entry, Entry::Never { stages, .. } if stages.contains(&stage)),
            );
            assert!(
                has != has_not,
                "{}: {stage}: {has} and {has_not}",
                kind.name
            );
        }
    }
}

#[test]
fn every_question_is_a_scenario_in_canonical_form_with_a_name_of_its_own() {
    let mut names = HashSet::new();
    for table in [Table::Events, Table::Edges] {
        for question in kinds().iter().flat_map(|kind| kind.questions(table)) {
            match Scenario::parse(&question.text) {
                Ok(scenario) => assert_eq!(scenario.to_string(), question.text),
                Err(errors) => panic!(
                    "{}: {}: {}\n{}",
                    question.name,
                    errors[0].span().position(&question.text),
                    errors[0],
                    question.text
                ),
            }
            assert!(
                names.insert(question.name.clone()),
                "{} twice",
                question.name
            );
        }
    }
}
