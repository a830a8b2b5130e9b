//! One scenario on the kernels that were asked for, and what to say of it.

use clap::ValueEnum;

use super::{needs, soak};
use crate::backend::{Backend, LabError};
use crate::explore::{Explorer, Observed, Problem, Table};
use crate::model::{Model, Variants};
use crate::scenario::{Counts, Options, Run, Scenario, ScenarioError, View};

/// Which kernels to ask.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(super) enum On {
    /// The emulated one
    Model,
    /// The one that this machine runs
    Kernel,
    /// Both, and compare
    Both,
}

impl On {
    pub(super) fn model(self) -> bool {
        self != On::Kernel
    }

    pub(super) fn kernel(self) -> bool {
        self != On::Model
    }
}

/// What to keep of the runs.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Keep {
    /// What happens inside the model.
    pub(super) traces: bool,
    /// Its state after every line.
    pub(super) states: bool,
}

/// What came of a scenario.
#[derive(Debug)]
pub(super) struct Judged {
    pub(super) model: Option<Run>,
    pub(super) kernel: Option<Run>,
    /// Of a scenario that tells all interleavings: what the model says to it.
    pub(super) explored: Option<Explored>,
    /// Why a kernel that was asked for did not run it.
    pub(super) skipped: Option<String>,
}

/// What an exploration came to.
#[derive(Debug)]
pub(super) struct Explored {
    /// Every outcome, and the closing lines with their answers.
    pub(super) table: String,
    pub(super) problems: Vec<Problem>,
    /// The line that says how much was done.
    pub(super) summary: String,
    /// There are more states than could be explored.
    pub(super) bound_reached: bool,
    counts: Counts,
    /// What races on the running kernel showed, if there were any.
    pub(super) observed: Option<Observed>,
    /// Why there was nothing to explore, or no race.
    pub(super) stopped: Option<ScenarioError>,
}

/// More states than this take too long for one scenario out of many; `explore` goes further.
const MOST_STATES: usize = 3_000_000;

/// So many races show that a set is too narrow, if it is grossly so; `explore` has more.
const FEW_RACES: u64 = 30;

impl Explored {
    fn new(scenario: &Scenario, variants: Variants, races: u64) -> Explored {
        let explorer = Explorer::new().max_states(MOST_STATES).variants(variants);
        match explorer.explore(scenario) {
            Ok(exploration) => {
                let mut explored = Explored {
                    table: exploration.table(Table::Outcomes),
                    summary: exploration.summary(),
                    bound_reached: exploration.bound_reached,
                    counts: exploration.prepared.counts(),
                    problems: Vec::new(),
                    observed: None,
                    stopped: None,
                };
                if races > 0 && !exploration.bound_reached {
                    match soak::hold(scenario, &exploration, races) {
                        Ok(observed) => explored.observed = Some(observed),
                        Err(error) => explored.stopped = Some(error),
                    }
                }
                explored.problems = exploration.problems;
                explored
            }
            Err(error) => Explored {
                table: String::new(),
                problems: Vec::new(),
                summary: String::new(),
                bound_reached: false,
                counts: Counts::default(),
                observed: None,
                stopped: Some(error),
            },
        }
    }

    fn passed(&self) -> bool {
        let as_explored = self.observed.iter().all(Observed::is_as_explored);
        as_explored && self.problems.is_empty() && self.stopped.is_none() && !self.bound_reached
    }

    /// The model, and whoever has raced.
    fn names(&self) -> impl Iterator<Item = &str> {
        let raced = self.observed.iter().map(|observed| &*observed.kernel);
        std::iter::once("model").chain(raced)
    }
}

impl Judged {
    /// Everybody did what the scenario says, and all the same.
    pub(super) fn agrees(&self, scenario: &Scenario) -> bool {
        let transcript = |run: &Run| run.transcript(scenario, View::Comparable);
        let same = match (&self.model, &self.kernel) {
            (Some(model), Some(kernel)) => transcript(model) == transcript(kernel),
            _ => true,
        };
        same && self.runs().all(Run::passed) && self.explored.iter().all(Explored::passed)
    }

    /// The names of the kernels that ran it.
    pub(super) fn names(&self) -> String {
        self.all_names().join(" and ")
    }

    fn all_names(&self) -> Vec<&str> {
        let explored = self.explored.iter().flat_map(Explored::names);
        let names = self.runs().map(|run| run.backend.as_str());
        explored.chain(names).collect()
    }

    /// That they agree, with one another or with what is written.
    pub(super) fn agreement(&self) -> String {
        let verb = match self.all_names().len() {
            1 => "agrees",
            _ => "agree",
        };
        format!("{} {verb}", self.names())
    }

    /// The runs that there are, the model's first.
    pub(super) fn runs(&self) -> impl Iterator<Item = &Run> {
        self.model.iter().chain(&self.kernel)
    }

    /// How much was compared.
    pub(super) fn counts(&self) -> Counts {
        let run = self.runs().last().map(|run| run.counts);
        let explored = self.explored.as_ref().map(|explored| explored.counts);
        run.or(explored).unwrap_or_default()
    }
}

/// Runs the scenario, on the model with these mistakes. A [`LabError`] means that the kernel backend could
/// not even be started.
pub(super) fn judge(
    scenario: &Scenario,
    on: On,
    variants: Variants,
    keep: Keep,
) -> Result<Judged, LabError> {
    let mut judged = Judged {
        model: None,
        kernel: None,
        explored: None,
        skipped: None,
    };
    if scenario.is_parallel() {
        judge_interleavings(scenario, on, variants, &mut judged);
        return Ok(judged);
    }
    let options = Options {
        states: keep.states,
    };
    if on.model() {
        match needs::unmet_by_model(scenario.header()) {
            Some(reason) => judged.skipped = Some(reason),
            None if keep.traces => {
                let mut model = Model::recording().with_variants(variants);
                judged.model = Some(scenario.run(&mut model, options));
            }
            None => {
                let mut model = Model::new().with_variants(variants);
                judged.model = Some(scenario.run(&mut model, options));
            }
        }
    }
    if on.kernel() {
        match needs::unmet_by_kernel(scenario.header()) {
            Some(reason) => judged.skipped = Some(reason),
            None => judged.kernel = Some(run_on_kernel(scenario)?),
        }
    }
    Ok(judged)
}

/// One run says nothing about all that are possible: these are explored, on the model, and some races on
/// the kernel are held against them.
fn judge_interleavings(scenario: &Scenario, on: On, variants: Variants, judged: &mut Judged) {
    if !on.model() {
        judged.skipped = Some("all interleavings are explored on the model".to_owned());
        return;
    }
    if let Some(reason) = needs::unmet_by_model(scenario.header()) {
        judged.skipped = Some(reason);
        return;
    }
    let mut races = 0;
    if on.kernel() {
        judged.skipped = needs::unmet_by_kernel(scenario.header());
        if judged.skipped.is_none() {
            races = FEW_RACES;
        }
    }
    judged.explored = Some(Explored::new(scenario, variants, races));
}

#[cfg(all(feature = "kernel", target_os = "linux", target_arch = "x86_64"))]
fn run_on_kernel(scenario: &Scenario) -> Result<Run, LabError> {
    let mut linux = crate::kernel::Linux::new()?;
    let backend: &mut dyn Backend = &mut linux;
    Ok(scenario.run(backend, Options::default()))
}

#[cfg(not(all(feature = "kernel", target_os = "linux", target_arch = "x86_64")))]
fn run_on_kernel(_: &Scenario) -> Result<Run, LabError> {
    Err(LabError::new(
        "this program was built without the kernel backend",
    ))
}
