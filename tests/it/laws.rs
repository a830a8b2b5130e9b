//! Which laws of epoll the scenarios tell, and which they leave out and why.
//!
//! Numbers are stable, since texts refer to them. Those that are missing in between are about files that the
//! lab does not have. The laws from p1 on were found while the project was built.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use epoll_lab::cli::laws::UNTOLD;
use epoll_lab::cli::needs::unmet_by_model;
use epoll_lab::scenario::{Header, Scenario, library};

/// Those that are about epoll itself, pipes, eventfd, timerfd, signalfd, pidfd and inotify, about sockets, Unix, TCP
/// and UDP, and about pairs of terminals.
const LAWS: &[RangeInclusive<u32>] = &[1..=216];

/// The laws that the project has added, by subject; those from p100 to p106, and from p120 to p147, are
/// about interleavings.
const OWN_LAWS: &[RangeInclusive<u32>] = &[
    1..=94,
    100..=114,
    120..=147,
    150..=151,
    200..=213,
    220..=249,
    250..=269,
    270..=309,
    330..=333,
];

/// Common misunderstandings, each cleared up by a scenario.
const CONFUSIONS: [&str; 29] = [
    "buffered-above",
    "close-while-waiting",
    "ctl-while-waiting",
    "data-union",
    "del-free-race",
    "dup-phantom",
    "eexist-enoent",
    "emfile",
    "eperm-regular",
    "et-blocking-fd",
    "et-eventfd",
    "et-out-once",
    "et-partial-read",
    "et-refire",
    "et-starvation",
    "et-two-threads",
    "fd-reuse-batch",
    "fork-shared",
    "herd",
    "hup-table",
    "imbalance",
    "lt-eof-spin",
    "lt-out-spin",
    "maxevents",
    "mod-rearms",
    "nested",
    "oneshot-forgotten",
    "oneshot-whole-fd",
    "short-read",
];

#[test]
fn every_law_is_told_or_has_a_reason_why_not() {
    let told = laws_of(headers());
    let all: BTreeSet<String> = LAWS
        .iter()
        .cloned()
        .flatten()
        .map(|number| number.to_string())
        .chain(
            OWN_LAWS
                .iter()
                .cloned()
                .flatten()
                .map(|number| format!("p{number}")),
        )
        .collect();
    let untold: BTreeSet<String> = UNTOLD
        .iter()
        .map(|(number, _)| number.to_string())
        .collect();

    let mut problems = Vec::new();
    let mut say = |ids: Vec<&String>, problem: &str| {
        problems.extend(ids.into_iter().map(|id| format!("law {id}: {problem}")));
    };
    say(
        told.difference(&all).collect(),
        "there is no such law yet; see OWN_LAWS",
    );
    say(
        told.intersection(&untold).collect(),
        "it is told, take it off the list",
    );
    let silent = |id: &&String| !told.contains(*id) && !untold.contains(*id);
    say(
        all.iter().filter(silent).collect(),
        "no scenario tells it, and no reason is given",
    );
    assert!(problems.is_empty(), "\n{}\n", problems.join("\n"));
}

/// Each law with the scenarios that show it, or with the reason why none does.
#[test]
fn the_laws_are_listed_in_snapshots() {
    let mut listed: BTreeMap<(bool, u32), Vec<String>> = BTreeMap::new();
    let mut list = |id: &str, text: String| {
        let own = id.strip_prefix('p');
        let number = own
            .unwrap_or(id)
            .parse()
            .expect("a number, perhaps behind p");
        listed
            .entry((own.is_some(), number))
            .or_default()
            .push(text);
    };
    for entry in library() {
        let scenario = Scenario::parse(entry.text).expect("it is one");
        // What is told of other versions shows nothing here.
        if unmet_by_model(scenario.header()).is_some() {
            continue;
        }
        for law in &scenario.header().laws {
            list(&law.id, entry.name.to_owned());
        }
    }
    for (number, reason) in UNTOLD {
        list(&number.to_string(), format!("({reason})"));
    }
    let lines = listed.into_iter().map(|((own, number), texts)| {
        let prefix = if own { "p" } else { "" };
        format!("{prefix}{number} {}", texts.join(", "))
    });
    let text = lines.collect::<Vec<_>>().join("\n");
    let mut settings = insta::Settings::new();
    settings.set_snapshot_path(crate::common::snapshots());
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!("laws", text));
}

#[test]
fn the_confusions_are_those_that_are_cleared_up() {
    let told: BTreeSet<String> = headers()
        .into_iter()
        .flat_map(|header| header.confusions)
        .map(|confusion| confusion.slug)
        .collect();
    let told: Vec<&str> = told.iter().map(String::as_str).collect();
    assert_eq!(told, CONFUSIONS);
}

/// A scenario that does not run shows nothing. What a new kernel does not let even root do would be a law that
/// nobody has seen.
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
#[test]
fn no_law_is_shown_by_skipped_scenarios_alone() {
    use epoll_lab::cli::needs::unmet_by_kernel;
    use epoll_lab::kernel::{is_root, release};

    let told = laws_of(headers());
    let runs = |header: &Header| unmet_by_kernel(header).is_none();
    let shown = laws_of(headers().into_iter().filter(runs));
    let unseen: Vec<&String> = told.difference(&shown).collect();
    println!(
        "{} laws are shown here, {} are not: {unseen:?}",
        shown.len(),
        unseen.len()
    );
    if is_root() && release() >= crate::scenarios::NEW_KERNEL {
        assert!(unseen.is_empty(), "{unseen:?}");
    }
}

fn laws_of(headers: impl IntoIterator<Item = Header>) -> BTreeSet<String> {
    let laws = headers.into_iter().flat_map(|header| header.laws);
    laws.map(|law| law.id).collect()
}

fn headers() -> Vec<Header> {
    let scenarios = library()
        .into_iter()
        .map(|entry| Scenario::parse(entry.text));
    let headers: Vec<Header> = scenarios.flatten().map(|it| it.header().clone()).collect();
    assert_eq!(headers.len(), library().len(), "one of them is no scenario");
    headers
}
