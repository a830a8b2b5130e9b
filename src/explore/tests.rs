//! The explorer held against itself, and against what it has to find.

use std::collections::BTreeSet;

use super::reduction::Reducer;
use super::state::{Actor, Answers, State, World};
use super::visited::Visited;
use super::{Answered, Checks, Explorer, Reduction, Schedule};
use crate::model::{Variant, Variants};
use crate::scenario::{Scenario, library};

/// Programs that bring steps of many kinds together.
const PROGRAMS: [&str; 10] = [
    // Two writers, two waiters, one of them level-triggered, with a small buffer.
    r#"ep = epoll_create1(0)
    f = eventfd2(0, EFD_NONBLOCK)
    pipe2([r, w], O_NONBLOCK)
    epoll_ctl(ep, EPOLL_CTL_ADD, f, {events=EPOLLIN|EPOLLET, data=1})
    epoll_ctl(ep, EPOLL_CTL_ADD, r, {events=EPOLLIN, data=2})
    parallel {
        [A] epoll_wait(ep, ..., 1, -1 <unfinished ...>) = ?
        [B] write(w, "x", 1)
        write(f, "\1\0\0\0\0\0\0\0", 8)
        read(r, ..., 8)
    }
    epoll_wait(ep, ..., 8, 0)"#,
    // A scan beside a MOD and a DEL.
    r#"ep = epoll_create1(0)
    f = eventfd2(1, EFD_NONBLOCK)
    g = eventfd2(1, EFD_NONBLOCK)
    epoll_ctl(ep, EPOLL_CTL_ADD, f, {events=EPOLLIN|EPOLLONESHOT, data=1})
    epoll_ctl(ep, EPOLL_CTL_ADD, g, {events=EPOLLIN|EPOLLET, data=2})
    parallel {
        [A] epoll_wait(ep, ..., 8, 0)
        [B] epoll_ctl(ep, EPOLL_CTL_MOD, f, {events=EPOLLOUT|EPOLLET, data=3})
        epoll_ctl(ep, EPOLL_CTL_DEL, g, NULL)
    }
    epoll_wait(ep, ..., 8, 0)"#,
    // An ADD of a ready file beside a waiter and a writer.
    r#"ep = epoll_create1(0)
    f = eventfd2(0, EFD_NONBLOCK)
    parallel {
        [A] epoll_wait(ep, ..., 8, -1 <unfinished ...>) = ?
        [B] write(f, "\1\0\0\0\0\0\0\0", 8)
        epoll_ctl(ep, EPOLL_CTL_ADD, f, {events=EPOLLIN|EPOLLET, data=3})
    }"#,
    // Nested epolls.
    r#"ep = epoll_create1(0)
    in = epoll_create1(0)
    f = eventfd2(0, EFD_NONBLOCK)
    epoll_ctl(in, EPOLL_CTL_ADD, f, {events=EPOLLIN|EPOLLET, data=1})
    epoll_ctl(ep, EPOLL_CTL_ADD, in, {events=EPOLLIN|EPOLLET, data=2})
    parallel {
        [A] epoll_wait(ep, ..., 8, -1 <unfinished ...>) = ?
        [B] epoll_wait(in, ..., 8, 0)
        write(f, "\1\0\0\0\0\0\0\0", 8)
    }"#,
    // Exclusive epolls, and a timeout.
    r#"ep = epoll_create1(0)
    eq = epoll_create1(0)
    f = eventfd2(0, EFD_NONBLOCK)
    epoll_ctl(ep, EPOLL_CTL_ADD, f, {events=EPOLLIN|EPOLLEXCLUSIVE, data=1})
    epoll_ctl(eq, EPOLL_CTL_ADD, f, {events=EPOLLIN|EPOLLEXCLUSIVE, data=2})
    parallel {
        [A] epoll_wait(ep, ..., 8, 10)
        [B] epoll_wait(eq, ..., 8, -1 <unfinished ...>) = ?
        write(f, "\1\0\0\0\0\0\0\0", 8)
    }"#,
    // Descriptors that come and go.
    r#"ep = epoll_create1(0)
    f = eventfd2(1, EFD_NONBLOCK)
    epoll_ctl(ep, EPOLL_CTL_ADD, f, {events=EPOLLIN, data=1})
    parallel {
        [A] epoll_wait(ep, ..., 8, 0)
        [B] close(f)
        dup(ep)
        write(f, "\1\0\0\0\0\0\0\0", 8)
    }"#,
    // Sleeping readers.
    r#"pipe([r, w])
    ep = epoll_create1(0)
    epoll_ctl(ep, EPOLL_CTL_ADD, r, {events=EPOLLIN|EPOLLET, data=1})
    parallel {
        [A] read(r, ..., 1 <unfinished ...>) = ?
        [B] epoll_wait(ep, ..., 1, -1 <unfinished ...>) = ?
        write(w, "x", 1)
        write(w, "y", 1)
    }"#,
    // Tasks that are killed.
    r#"ep = epoll_create1(0)
    f = eventfd2(0, EFD_NONBLOCK)
    epoll_ctl(ep, EPOLL_CTL_ADD, f, {events=EPOLLIN, data=1})
    C = fork()
    parallel {
        [C] epoll_wait(ep, ..., 8, -1 <unfinished ...>) = ?
        [C] read(f, ..., 8)
        write(f, "\1\0\0\0\0\0\0\0", 8)
        kill(C, SIGKILL)
    }"#,
    // poll(2) beside epoll.
    r#"ep = epoll_create1(0)
    f = eventfd2(0, EFD_NONBLOCK)
    epoll_ctl(ep, EPOLL_CTL_ADD, f, {events=EPOLLIN|EPOLLET, data=1})
    parallel {
        [A] poll([{fd=ep, events=POLLIN}], 1, -1)
        [B] epoll_wait(ep, ..., 8, 0)
        write(f, "\1\0\0\0\0\0\0\0", 8)
    }"#,
    // Two timeouts, one after the other.
    r#"ep = epoll_create1(0)
    f = eventfd2(0, EFD_NONBLOCK)
    epoll_ctl(ep, EPOLL_CTL_ADD, f, {events=EPOLLIN|EPOLLET, data=1})
    parallel {
        [A] epoll_wait(ep, ..., 8, 10)
        [B] epoll_wait(ep, ..., 8, 20)
        write(f, "\1\0\0\0\0\0\0\0", 8)
    }"#,
];

#[track_caller]
fn parse(text: &str) -> Scenario {
    Scenario::parse(text).unwrap_or_else(|errors| panic!("{}: {text}", errors[0]))
}

/// The programs, and every scenario of the library that can be explored.
fn all() -> Vec<(String, Scenario)> {
    let own = PROGRAMS.iter().enumerate();
    let own = own.map(|(number, text)| (format!("program {number}"), parse(text)));
    let told = library()
        .into_iter()
        .map(|entry| (entry.name.to_owned(), parse(entry.text)));
    own.chain(told)
        .filter(|(_, scenario)| World::new(scenario, Variants::NONE).is_ok())
        .collect()
}

/// More states than this take too long without optimisation.
const SMALL: usize = 2500;

fn outcomes(scenario: &Scenario, reduction: Reduction) -> Option<(usize, BTreeSet<Vec<String>>)> {
    let explorer = Explorer::new().checks(Checks::AtRest).max_states(SMALL);
    let exploration = explorer.reduction(reduction).explore(scenario).unwrap();
    let outcomes = exploration.outcomes.iter();
    let outcomes = outcomes.map(|outcome| exploration.texts(outcome)).collect();
    (!exploration.bound_reached).then_some((exploration.figures.states, outcomes))
}

#[test]
fn the_reduction_loses_no_outcome() {
    let (mut compared, mut all_states, mut fewer_states) = (0, 0, 0);
    for (name, scenario) in all() {
        let Some((states, every)) = outcomes(&scenario, Reduction::None) else {
            continue;
        };
        let (reduced, some) = outcomes(&scenario, Reduction::Full).unwrap();
        assert_eq!(some, every, "{name}");
        assert!(reduced <= states, "{name}");
        compared += 1;
        all_states += states;
        fewer_states += reduced;
    }
    println!("{compared} scenarios, {fewer_states} states instead of {all_states}");
    assert!(compared > 30);
    assert!(fewer_states * 3 < all_states * 2, "it reduces");
}

/// What the reduction stands on: of two steps whose footprints do not meet, neither keeps the other from
/// being taken, and both orders lead to one state. Tried in every state.
#[test]
fn steps_that_do_not_meet_commute() {
    let mut pairs = 0;
    for (name, scenario) in all() {
        let world = World::new(&scenario, Variants::NONE).unwrap();
        let mut commuting = Commuting {
            reducer: Reducer::new(&world, Reduction::Full),
            answers: Answers::default(),
            pairs: 0,
            name,
            world,
        };
        commuting.walk();
        pairs += commuting.pairs;
    }
    println!("{pairs} pairs");
    assert!(pairs > 10_000);
}

struct Commuting<'s> {
    world: World<'s>,
    reducer: Reducer,
    answers: Answers,
    pairs: usize,
    name: String,
}

impl Commuting<'_> {
    fn walk(&mut self) {
        let mut visited = Visited::default();
        let mut stack = vec![self.world.state()];
        while let Some(state) = stack.pop() {
            if visited.len() > SMALL || !visited.is_new(&encoded(&state)) {
                continue;
            }
            let able: Vec<(Actor, State)> = state
                .candidates(&self.world)
                .expect("few enough")
                .filter_map(|actor| Some((actor, self.after(&state, actor)?)))
                .collect();
            for (place, (one, behind_one)) in able.iter().enumerate() {
                for (other, behind_other) in &able[place + 1..] {
                    self.commute(&state, (*one, behind_one), (*other, behind_other));
                }
            }
            stack.extend(able.into_iter().map(|(_, state)| state));
        }
    }

    fn after(&mut self, state: &State, actor: Actor) -> Option<State> {
        let mut next = state.clone();
        let moved = next.advance(&self.world, &mut self.answers, actor, &mut ());
        moved.unwrap().then_some(next)
    }

    fn commute(&mut self, state: &State, one: (Actor, &State), other: (Actor, &State)) {
        let footprint = |actor| self.reducer.footprint(&self.world, state, actor);
        if footprint(one.0).meets(footprint(other.0)) {
            return;
        }
        self.pairs += 1;
        let story = format!(
            "{}: {} and {}",
            self.name,
            state.point(&self.world, one.0),
            state.point(&self.world, other.0)
        );
        let first = self
            .after(one.1, other.0)
            .unwrap_or_else(|| panic!("{story}"));
        let second = self
            .after(other.1, one.0)
            .unwrap_or_else(|| panic!("{story}"));
        assert_eq!(encoded(&first), encoded(&second), "{story}");
    }
}

fn encoded(state: &State) -> Vec<u8> {
    let mut bytes = Vec::new();
    state.encode(&mut bytes);
    bytes
}

/// The classic mistake: to look, and then to wait for an edge that came before.
const LOST_EDGE: &str = r#"ep = epoll_create1(0)
pipe2([r, w], O_NONBLOCK)
epoll_ctl(ep, EPOLL_CTL_ADD, r, {events=EPOLLIN|EPOLLET, data=7})
parallel {
    [A] a = epoll_wait(ep, ..., 8, -1) = 1
    [A] epoll_wait(ep, ..., 8, -1) = 1
    n = write(w, "one", 3) = 3
    write(w, "two", 3) = 3
}
exists (a=[{events=EPOLLIN, data=7}])
~exists (n=3)
forall (asleep(a) \/ a=EINTR)
"#;

#[test]
fn a_deadlock_is_told_with_the_shortest_way_there() {
    let scenario = parse(LOST_EDGE);
    let exploration = Explorer::new().explore(&scenario).unwrap();
    assert!(!exploration.is_as_written());
    let messages: Vec<&str> = exploration.problems.iter().map(|it| &*it.message).collect();
    assert_eq!(
        messages,
        [
            "epoll_wait of A sleeps for ever, and its line does not allow that: a deadlock, in 1 of 2 outcomes",
            "this is so, in 2 of 2 outcomes",
            "this is not so, in 2 of 2 outcomes",
        ]
    );
    let deadlock = &exploration.problems[0];
    assert_eq!(deadlock.span.unwrap().position(LOST_EDGE).line, 6);
    assert_eq!(
        deadlock.details,
        ["A sleeps at ep_poll: Sleep, though file 4 is ready: EPOLLIN, and no wake-up left"]
    );
    let replay = Explorer::new()
        .replay(&scenario, &deadlock.schedule)
        .unwrap()
        .unwrap();
    assert!(replay.able.is_empty());
    assert_eq!(
        replay.calls[1],
        "[A] epoll_wait(ep, ..., 8, -1 <unfinished ...>) = ?"
    );
    let answers: Vec<_> = exploration
        .closing
        .iter()
        .map(|it| (it.answer, it.holds))
        .collect();
    assert_eq!(
        answers,
        [
            (Answered::Always, true),
            (Answered::Always, false),
            (Answered::Never, false)
        ]
    );
}

#[test]
fn every_outcome_has_a_schedule_that_leads_to_it() {
    for (name, scenario) in all() {
        let explorer = Explorer::new().checks(Checks::AtRest).max_states(SMALL);
        let exploration = explorer.explore(&scenario).unwrap();
        for outcome in &exploration.outcomes {
            let replay = Explorer::new()
                .replay(&scenario, &outcome.schedule)
                .unwrap();
            let replay = replay.unwrap_or_else(|error| panic!("{name}: {error}"));
            let texts = exploration.texts(outcome);
            assert_eq!(replay.calls, texts[..replay.calls.len()], "{name}");
            assert!(replay.able.is_empty(), "{name}");
        }
    }
}

#[test]
fn a_schedule_that_does_not_fit_is_told_where() {
    let scenario = parse(LOST_EDGE);
    for (schedule, sentence) in [
        ("B*2", "`B*2`: there is no task `B`"),
        ("A*x", "`A*x`: `x` is no number of steps"),
        (
            "A*4 main A",
            "behind 5 steps A cannot go on: it stands at ep_poll: Sleep",
        ),
        (
            "A!",
            "behind 0 steps A cannot go on: it stands at its timer",
        ),
    ] {
        let replayed = Explorer::new()
            .replay(&scenario, &Schedule::new(schedule))
            .unwrap();
        assert_eq!(replayed.unwrap_err(), sentence);
    }
    let replay = Explorer::new()
        .replay(&scenario, &Schedule::new("main*2"))
        .unwrap()
        .unwrap();
    assert_eq!(replay.able, ["main*1", "A*1"]);
    assert_eq!(replay.steps[0].at, "n = write(w, \"one\", 3)");
}

#[test]
fn a_bound_that_is_reached_is_told() {
    let scenario = parse(PROGRAMS[0]);
    let exploration = Explorer::new().max_states(20).explore(&scenario).unwrap();
    assert!(exploration.bound_reached);
    assert_eq!(exploration.figures.states, 21);
    assert!(exploration.summary().ends_with(" steps/s (bound reached)"));
}

/// A known space: with the steps of an independent prototype it has as many states.
#[test]
fn three_waiters_and_two_writes_have_a_known_number_of_states() {
    let scenario = parse(
        r#"ep = epoll_create1(0)
        f = eventfd2(0, EFD_NONBLOCK)
        epoll_ctl(ep, EPOLL_CTL_ADD, f, {events=EPOLLIN|EPOLLET, data=7})
        parallel {
            [A] epoll_wait(ep, ..., 8, -1 <unfinished ...>) = ?
            [B] epoll_wait(ep, ..., 8, -1 <unfinished ...>) = ?
            [C] epoll_wait(ep, ..., 8, -1 <unfinished ...>) = ?
            write(f, "\1\0\0\0\0\0\0\0", 8)
            write(f, "\1\0\0\0\0\0\0\0", 8)
        }"#,
    );
    let exploration = Explorer::new().explore(&scenario).unwrap();
    assert_eq!(exploration.figures.states, 1369);
    assert_eq!(exploration.outcomes.len(), 6);
}

/// The wake-up between the look and the sleep: only an order of steps tells that it is lost.
#[test]
fn without_the_second_look_a_wake_up_is_lost() {
    let scenario = parse(
        r#"ep = epoll_create1(0)
        f = eventfd2(0, EFD_NONBLOCK)
        epoll_ctl(ep, EPOLL_CTL_ADD, f, {events=EPOLLIN|EPOLLET, data=7})
        parallel {
            [A] epoll_wait(ep, ..., 8, -1) = 1
            write(f, "\1\0\0\0\0\0\0\0", 8) = 8
        }"#,
    );
    assert!(Explorer::new().explore(&scenario).unwrap().is_as_written());
    let wrong = Explorer::new().variants(Variant::NoRecheckBeforeSleep.into());
    let exploration = wrong.explore(&scenario).unwrap();
    let problem = &exploration.problems[0];
    assert!(
        problem
            .message
            .contains("nobody sleeps in epoll_wait while events are available"),
        "{}",
        problem.message
    );
    let replay = wrong.replay(&scenario, &problem.schedule).unwrap().unwrap();
    assert!(replay.steps.len() < 12, "{}", problem.schedule);
}
