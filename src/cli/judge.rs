//! One scenario on the kernels that were asked for, and what to say of it.

use clap::ValueEnum;

use super::needs;
use crate::backend::{Backend, LabError};
use crate::model::{Model, Variants};
use crate::scenario::{Counts, Options, Run, Scenario, View};

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
    fn model(self) -> bool {
        self != On::Kernel
    }

    fn kernel(self) -> bool {
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
    /// Why a kernel that was asked for did not run it.
    pub(super) skipped: Option<String>,
}

impl Judged {
    /// Everybody did what the scenario says, and all the same.
    pub(super) fn agrees(&self, scenario: &Scenario) -> bool {
        let transcript = |run: &Run| run.transcript(scenario, View::Comparable);
        let same = match (&self.model, &self.kernel) {
            (Some(model), Some(kernel)) => transcript(model) == transcript(kernel),
            _ => true,
        };
        same && self.runs().all(Run::passed)
    }

    /// The names of the kernels that ran it.
    pub(super) fn names(&self) -> String {
        let names: Vec<&str> = self.runs().map(|run| run.backend.as_str()).collect();
        names.join(" and ")
    }

    /// That they agree, with one another or with what is written.
    pub(super) fn agreement(&self) -> String {
        let verb = if self.runs().count() == 1 {
            "agrees"
        } else {
            "agree"
        };
        format!("{} {verb}", self.names())
    }

    /// The runs that there are, the model's first.
    pub(super) fn runs(&self) -> impl Iterator<Item = &Run> {
        self.model.iter().chain(&self.kernel)
    }

    /// How much was compared.
    pub(super) fn counts(&self) -> Counts {
        self.runs().last().map(|run| run.counts).unwrap_or_default()
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
        skipped: None,
    };
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
