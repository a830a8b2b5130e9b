//! What races on a running kernel showed, held against what is possible.
//!
//! The explorer's set can be wrong in two ways. A race that shows an outcome which is not in it proves it too
//! narrow: the model lacks a step, or has one that is too coarse. An outcome in it that no race ever shows
//! proves nothing, since chance may need more time; but a set that is too wide is as wrong, so the scenario has
//! to say why (`# unseen (claim): reason`).

use super::{Exploration, Problem, Schedule};
use crate::abi::Fate;
use crate::scenario::{Quantifier, ScenarioError, Sighting, Soak, Unseen, distance};

/// From so many races on, a possible outcome that none of them showed has to be explained.
pub const MANY_RACES: u64 = 10_000;

/// As many outcomes are named that are near to one that is not possible.
const MOST_NEAR: usize = 3;

/// Races held against an exploration.
#[derive(Clone, Debug)]
pub struct Observed {
    /// The name of the kernel.
    pub kernel: String,
    /// How many races there were.
    pub races: u64,
    /// How each of [`Exploration::outcomes`] came about, in their order.
    pub outcomes: Vec<Observation>,
    /// What came about and is none of them.
    pub outside: Vec<Outside>,
}

/// How a possible outcome came about.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Observation {
    /// It did.
    Seen(Sighting),
    /// It did not, and the scenario says why.
    Explained(String),
    /// It did not.
    Unseen,
}

/// An outcome that came about and is not possible.
#[derive(Clone, Debug)]
pub struct Outside {
    /// How it came about.
    pub sighting: Sighting,
    /// Every call as it went.
    pub texts: Vec<String>,
    /// The places of the outcomes that differ from it in the fewest calls.
    pub nearest: Vec<usize>,
}

impl Observed {
    /// How many of the possible outcomes came about.
    pub fn seen(&self) -> usize {
        let is_seen = |it: &&Observation| matches!(it, Observation::Seen(_));
        self.outcomes.iter().filter(is_seen).count()
    }

    /// The places of those that came about in none of many races, and that nothing explains.
    pub fn too_wide(&self) -> Vec<usize> {
        if self.races < MANY_RACES {
            return Vec::new();
        }
        let places = self.outcomes.iter().enumerate();
        places
            .filter(|(_, it)| **it == Observation::Unseen)
            .map(|(place, _)| place)
            .collect()
    }

    /// Whether the set is neither too narrow nor, as far as one can tell, too wide.
    pub fn is_as_explored(&self) -> bool {
        self.outside.is_empty() && self.too_wide().is_empty()
    }

    /// In one line.
    pub fn summary(&self) -> String {
        format!(
            "raced: {} runs on {}, {} of {} outcomes observed, {} outside",
            self.races,
            self.kernel,
            self.seen(),
            self.outcomes.len(),
            self.outside.len()
        )
    }
}

impl Exploration<'_> {
    /// Holds races of the same scenario against what is possible.
    ///
    /// # Errors
    /// A claim about what is unseen that cannot be evaluated.
    pub fn hold(&self, soak: &Soak, unseen: &[Unseen]) -> Result<Observed, ScenarioError> {
        let mut outcomes = Vec::new();
        for outcome in &self.outcomes {
            outcomes.push(match soak.sighting(&outcome.fates) {
                Some(sighting) => Observation::Seen(sighting),
                None => self.explained(&outcome.fates, unseen)?,
            });
        }
        let mut possible = Soak::default();
        for outcome in &self.outcomes {
            possible.add(&outcome.fates, 0);
        }
        let outside = soak
            .seen()
            .filter(|(fates, _)| possible.sighting(fates).is_none())
            .map(|(fates, sighting)| self.outside(fates, sighting));
        Ok(Observed {
            kernel: soak.kernel.clone(),
            races: soak.races,
            outcomes,
            outside: outside.collect(),
        })
    }

    fn explained(&self, fates: &[Fate], unseen: &[Unseen]) -> Result<Observation, ScenarioError> {
        for unseen in unseen {
            if self.prepared.is_so(&unseen.closing, fates)? {
                return Ok(Observation::Explained(unseen.reason.clone()));
            }
        }
        Ok(Observation::Unseen)
    }

    fn outside(&self, fates: &[Fate], sighting: Sighting) -> Outside {
        let outcomes = self.outcomes.iter();
        let distances: Vec<usize> = outcomes.map(|it| distance(&it.fates, fates)).collect();
        let least = distances.iter().min();
        let fates = fates.iter().enumerate();
        let texts = fates.map(|(call, fate)| self.prepared.text(call, fate));
        let nearest = (0..distances.len()).filter(|place| Some(&distances[*place]) == least);
        Outside {
            sighting,
            texts: texts.collect(),
            nearest: nearest.take(MOST_NEAR).collect(),
        }
    }

    /// What the scenario says is hardly ever seen has to be possible in the first place.
    pub(super) fn check_unseen(&mut self, unseen: &[Unseen]) -> Result<(), ScenarioError> {
        for unseen in unseen {
            let mut so = 0;
            for outcome in &self.outcomes {
                so += usize::from(self.prepared.is_so(&unseen.closing, &outcome.fates)?);
            }
            if !Quantifier::Exists.accepts(so, self.outcomes.len()) {
                self.problems.push(Problem {
                    span: Some(unseen.span),
                    message: "this is so in no outcome, and needs no reason why none shows it"
                        .to_owned(),
                    details: Vec::new(),
                    schedule: Schedule::default(),
                });
            }
        }
        Ok(())
    }
}
