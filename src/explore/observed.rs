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
    /// The outcomes that differ from it in the fewest calls.
    pub nearest: Vec<Near>,
}

/// A possible outcome near to one that is not.
#[derive(Clone, Debug)]
pub struct Near {
    /// Its place in [`Exploration::outcomes`].
    pub place: usize,
    /// Those of its calls that went another way.
    pub texts: Vec<String>,
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
        let texts = |fates: &[Fate]| -> Vec<String> {
            let fates = fates.iter().enumerate();
            fates
                .map(|(call, fate)| self.prepared.text(call, fate))
                .collect()
        };
        let own = texts(fates);
        let near = |place: usize| Near {
            place,
            texts: std::iter::zip(texts(&self.outcomes[place].fates), &own)
                .filter(|(text, own)| text != *own)
                .map(|(text, _)| text)
                .collect(),
        };
        let nearest = (0..distances.len()).filter(|place| Some(&distances[*place]) == least);
        let nearest = nearest.take(MOST_NEAR).map(near).collect();
        Outside {
            sighting,
            texts: own,
            nearest,
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::abi::{Answer, Errno};
    use crate::explore::Explorer;
    use crate::scenario::Scenario;

    /// Two outcomes: the edge goes to one or to the other.
    const ONE_OF_TWO: &str = r#"
# unseen (b=1): B is slow
ep = epoll_create1(0)
f = eventfd2(1, EFD_NONBLOCK)
epoll_ctl(ep, EPOLL_CTL_ADD, f, {events=EPOLLIN|EPOLLET, data={u32=7, u64=7}}) = 0
parallel {
    [A] a = epoll_wait(ep, ..., 8, 0) = ?
    [B] b = epoll_wait(ep, ..., 8, 0) = ?
}
"#;

    fn scenario(text: &str) -> Scenario {
        Scenario::parse(text).expect("a scenario")
    }

    #[test]
    fn an_outcome_is_seen_or_explained_or_outside() {
        let scenario = scenario(ONE_OF_TWO);
        let exploration = Explorer::new().explore(&scenario).expect("explored");
        assert!(exploration.is_as_written());
        let [one, other] = &*exploration.outcomes else {
            panic!("{}", exploration.table(crate::explore::Table::Outcomes));
        };
        let claim = &scenario.header().unseen[0].closing;
        let b_has_it = exploration.prepared.is_so(claim, &one.fates);
        let a_has_it = if b_has_it.expect("a claim") {
            other
        } else {
            one
        };
        let mut soak = Soak::default();
        for seed in 0..MANY_RACES {
            soak.add(&a_has_it.fates, seed);
        }
        let hold = |soak: &Soak, unseen| exploration.hold(soak, unseen).expect("held");
        let unseen = &scenario.header().unseen;
        let observed = hold(&soak, unseen);
        assert!(observed.is_as_explored());
        assert_eq!((observed.seen(), observed.too_wide().len()), (1, 0));
        let explained = Observation::Explained("B is slow".to_owned());
        assert!(observed.outcomes.contains(&explained));
        // Nobody says why: that is too wide.
        let observed = hold(&soak, &[]);
        assert_eq!(observed.too_wide().len(), 1);
        assert!(!observed.is_as_explored());

        let mut neither = a_has_it.fates.clone();
        neither[0] = Fate::Ended(Answer::err(Errno::EINTR));
        soak.add(&neither, 77);
        let observed = hold(&soak, unseen);
        assert!(!observed.is_as_explored());
        let [outside] = &*observed.outside else {
            panic!("{observed:?}");
        };
        assert_eq!(outside.sighting, Sighting { count: 1, seed: 77 });
        assert!(outside.texts[0].ends_with("EINTR (Interrupted system call)"));
        assert_eq!(outside.nearest.len(), 1);
        assert_eq!(outside.nearest[0].texts.len(), 1);
    }

    #[test]
    fn what_is_said_to_be_unseen_has_to_be_possible() {
        let scenario = scenario(&ONE_OF_TWO.replace("(b=1)", "(a=1 /\\ b=1)"));
        let exploration = Explorer::new().explore(&scenario).expect("explored");
        let [problem] = &*exploration.problems else {
            panic!("{:?}", exploration.problems);
        };
        assert!(problem.message.starts_with("this is so in no outcome"));
    }
}
