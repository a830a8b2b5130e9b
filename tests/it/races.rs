//! Every parallel scenario of the library, raced: what real threads show has to be possible.
//!
//! Some tens of races each, so that this takes seconds; `epoll-lab explore --on both --runs 10000` is the same
//! for who has minutes. That an outcome is *not* seen fails no test: it may take more luck than a test has.

use std::collections::BTreeMap;

use epoll_lab::backend::{Backend, LabError};
use epoll_lab::cli::needs::{unmet_by_kernel, unmet_by_model};
use epoll_lab::explore::Explorer;
use epoll_lab::model::Model;
use epoll_lab::scenario::{Entry, Scenario, library};

/// Races of each scenario.
const RACES: u64 = 40;

#[test]
fn a_random_order_of_steps_is_one_of_those_explored() {
    let mut model = || -> Result<Box<dyn Backend>, LabError> { Ok(Box::new(Model::new())) };
    let mut problems = Vec::new();
    for (entry, scenario) in parallel() {
        problems.extend(deviations(&entry, &scenario, &mut model));
    }
    assert!(problems.is_empty(), "\n{}\n", problems.join("\n"));
}

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
#[test]
fn real_threads_show_what_was_explored() {
    use epoll_lab::kernel::Linux;

    let mut linux = || -> Result<Box<dyn Backend>, LabError> { Ok(Box::new(Linux::new()?)) };
    let mut problems = Vec::new();
    let mut skipped: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for (entry, scenario) in parallel() {
        match unmet_by_kernel(scenario.header()) {
            Some(reason) => skipped.entry(reason).or_default().push(entry.name),
            None => problems.extend(deviations(&entry, &scenario, &mut linux)),
        }
    }
    for (reason, names) in &skipped {
        println!("skipped {}: {reason}: {}", names.len(), names.join(", "));
    }
    assert!(problems.is_empty(), "\n{}\n", problems.join("\n"));
}

/// The scenarios with a block, but for those about a version that the model is not.
fn parallel() -> Vec<(Entry, Scenario)> {
    let all = library().into_iter().map(|entry| {
        let scenario = Scenario::parse(entry.text).expect(entry.name);
        (entry, scenario)
    });
    all.filter(|(_, it)| it.is_parallel() && unmet_by_model(it.header()).is_none())
        .collect()
}

fn deviations(
    entry: &Entry,
    scenario: &Scenario,
    fresh: &mut dyn FnMut() -> Result<Box<dyn Backend>, LabError>,
) -> Vec<String> {
    let at = format!("examples/scenarios/{}/{}.strace", entry.topic, entry.name);
    let exploration = match Explorer::new().explore(scenario) {
        Ok(exploration) => exploration,
        Err(error) => return vec![format!("{at}: {error}")],
    };
    let soaked = scenario.soak(0..RACES, fresh, &mut |_| true);
    let observed = soaked.and_then(|soak| exploration.hold(&soak, &scenario.header().unseen));
    let observed = match observed {
        Ok(observed) => observed,
        Err(error) => return vec![format!("{at}: {error}")],
    };
    let told = observed.outside.iter().map(|outside| {
        format!(
            "{at}: in no interleaving, on {} with seed {}:\n  {}",
            observed.kernel,
            outside.sighting.seed,
            outside.texts.join("\n  ")
        )
    });
    told.collect()
}
