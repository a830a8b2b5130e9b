//! Every scenario of the library on both kernels, and what the repository keeps of the runs.
//!
//! The kernel part is one test: some scenarios change a setting of the whole machine. Each test looks at
//! all scenarios before it fails, so that one run names everything that is wrong.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fs;

use crate::common::{
    assert_none, at, comparable, contradictions, on_the_model, parse, snapshots, trace_name,
    transcript_name,
};
use epoll_lab::cli::needs::{unmet_by_kernel, unmet_by_model};
use epoll_lab::scenario::{Options, Scenario, library};

/// Scenarios that no machine of today runs, for a reason of their own.
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
const NOT_ON_A_NEW_KERNEL: [(&str, &str); 1] = [(
    "before-6-15-the-descriptor-was-looked-up-third",
    "shows what older kernels did",
)];

/// From this version on, root can run everything else.
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
pub(crate) const NEW_KERNEL: (u32, u32) = (6, 17);

/// The snapshots that belong to no scenario: tests/it/explore.rs, tests/it/laws.rs, tests/it/variants.rs
/// and tests/recorded.rs make them.
const TABLES: [&str; 6] = [
    "explored.counts",
    "laws",
    "table.edges",
    "table.events",
    "variants",
    "variants.schedules",
];

#[test]
fn every_scenario_is_in_canonical_form_and_has_a_name_of_its_own() {
    let mut problems = Vec::new();
    let mut names = HashSet::new();
    for entry in library() {
        if !names.insert(entry.name) {
            problems.push(format!("{}: another topic has this name too", at(&entry)));
        }
        match Scenario::parse(entry.text) {
            Ok(scenario) if scenario.to_string() == entry.text => {}
            Ok(_) => problems.push(format!("{}: `epoll-lab fmt` writes it anew", at(&entry))),
            Err(errors) => problems.extend(errors.iter().map(|error| {
                let position = error.span().position(entry.text);
                format!("{}:{position}: {error}", at(&entry))
            })),
        }
    }
    assert!(!names.is_empty(), "there are no scenarios");
    assert_none(&problems);
}

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
#[test]
fn the_running_kernel_does_what_the_model_does() {
    use epoll_lab::kernel::{Linux, is_root, release};
    use epoll_lab::scenario::Diff;

    let mut problems = Vec::new();
    let mut skipped: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    let mut agreed = 0;
    for entry in library() {
        let scenario = parse(&entry);
        if scenario.is_parallel() {
            continue;
        }
        if let Some(reason) = unmet_by_kernel(scenario.header()) {
            skipped.entry(reason).or_default().push(entry.name);
            continue;
        }
        let mut linux = match Linux::new() {
            Ok(linux) => linux,
            Err(error) => panic!("{}: {error}", at(&entry)),
        };
        let kernel = scenario.run(&mut linux, Options::default());
        let before = problems.len();
        problems.extend(contradictions(&entry, &kernel));
        if let Some(model) = on_the_model(&scenario)
            && comparable(&scenario, &model) != comparable(&scenario, &kernel)
        {
            let diff = Diff::new(&scenario, &model, &kernel);
            problems.push(format!("{}: they differ\n{diff}", at(&entry)));
        }
        if problems.len() == before {
            agreed += 1;
        }
    }
    println!("{agreed} scenarios agree");
    for (reason, names) in &skipped {
        println!("skipped {}: {reason}: {}", names.len(), names.join(", "));
    }
    if is_root() && release() >= NEW_KERNEL {
        for (reason, names) in &skipped {
            let unknown = names
                .iter()
                .filter(|name| NOT_ON_A_NEW_KERNEL.iter().all(|(known, _)| known != *name));
            problems
                .extend(unknown.map(|name| format!("{name}: skipped on a new kernel: {reason}")));
        }
        for (name, _) in NOT_ON_A_NEW_KERNEL {
            if !skipped.values().flatten().any(|skipped| *skipped == name) {
                problems.push(format!("{name}: it does run, take it off the list"));
            }
        }
    }
    assert_none(&problems);
}

#[test]
fn every_snapshot_belongs_to_a_scenario() {
    let expected: BTreeSet<String> = library()
        .iter()
        .map(|entry| (entry.name, parse(entry)))
        .filter(|(_, scenario)| unmet_by_model(scenario.header()).is_none())
        .flat_map(|(name, scenario)| {
            // Of all interleavings no one has a trace to keep.
            let trace = (!scenario.is_parallel()).then(|| trace_name(name));
            trace.into_iter().chain([transcript_name(name)])
        })
        .chain(TABLES.map(str::to_owned))
        .chain(crate::step::page_names())
        .chain(crate::figure::drawing_names())
        .map(|name| format!("{name}.snap"))
        .collect();
    let folder = fs::read_dir(snapshots()).expect("snapshots/ is readable");
    let orphans: Vec<String> = folder
        .map(|file| file.expect("snapshots/ is readable").file_name())
        .map(|name| name.to_string_lossy().into_owned())
        // What insta leaves beside a snapshot that has changed; git ignores it.
        .filter(|name| !name.ends_with(".snap.new"))
        .filter(|name| !expected.contains(name))
        .map(|name| format!("snapshots/{name}: no scenario of this name"))
        .collect();
    assert_none(&orphans);
}
