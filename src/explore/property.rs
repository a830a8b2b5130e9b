//! What the set of outcomes says about the scenario.
//!
//! Everything that a scenario claims is a claim about outcomes: a result that is written must be that of
//! every outcome, a call that no line allows to sleep for good must come back in each, and a closing line
//! counts those that are as it says. Only the invariants are about states on the way.

use std::collections::{HashMap, HashSet};

use super::path::{Path, Schedule};
use super::search::Found;
use super::shortest::{Wanted, shortest};
use super::state::{Answers, Code, State, World};
use super::{Exploration, Explorer, Outcome};
use crate::abi::{Fate, TaskId};
use crate::scenario::{Closing, Line, Quantifier, ScenarioError, Sleep, Span};

/// How often something is so, over all outcomes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Answered {
    /// In each.
    Always,
    /// In some.
    Sometimes,
    /// In none.
    Never,
}

/// A closing line and its answer.
#[derive(Clone, Debug)]
pub struct Claimed<'s> {
    /// The line.
    pub line: &'s Line,
    /// What it claims.
    pub closing: &'s Closing,
    /// How often it is so, what it says in its brackets.
    pub answer: Answered,
    /// In so many outcomes.
    pub so: usize,
    /// Out of so many.
    pub of: usize,
    /// Whether the line is right.
    pub holds: bool,
}

/// What contradicts the scenario, or must never be.
#[derive(Clone, Debug)]
pub struct Problem {
    /// Where it is written, if it is about a line.
    pub span: Option<Span>,
    /// What is wrong, in a sentence.
    pub message: String,
    /// What there is to say besides, line by line.
    pub details: Vec<String>,
    /// A way there; the shortest one if it is not too long.
    pub schedule: Schedule,
}

/// An outcome on its way to become one that people see.
struct Seen {
    code: Code,
    fates: Vec<Fate>,
    path: Path,
    states: u64,
}

/// So many problems are worth looking for a short way to.
const MOST_SEARCHES: usize = 8;

struct Judge<'w, 's> {
    world: &'w World<'s>,
    explorer: Explorer,
    answers: Answers,
    outcomes: Vec<Seen>,
    problems: Vec<Problem>,
    searches: usize,
}

/// Puts together what a search has found.
pub(super) fn judge<'s>(
    world: World<'s>,
    explorer: Explorer,
    found: Found,
) -> Result<Exploration<'s>, ScenarioError> {
    let Found {
        outcomes,
        answers,
        broken,
        figures,
        bound_reached,
    } = found;
    let outcomes = outcomes.into_iter().map(|(code, reached)| Seen {
        fates: answers.fates(&code),
        code,
        path: reached.path,
        states: reached.states,
    });
    let mut outcomes: Vec<Seen> = outcomes.collect();
    sort(&world, &mut outcomes);
    let mut judge = Judge {
        world: &world,
        explorer,
        answers,
        outcomes,
        problems: Vec::new(),
        searches: 0,
    };
    judge.set_up();
    if let Some((path, sentence)) = broken {
        judge.broken(path, sentence)?;
    }
    judge.calls()?;
    let closing = judge.closing()?;
    let Judge {
        outcomes, problems, ..
    } = judge;
    let outcomes = outcomes.into_iter().map(|seen| Outcome {
        schedule: seen.path.schedule(&world),
        fates: seen.fates,
        states: seen.states,
    });
    Ok(Exploration {
        outcomes: outcomes.collect(),
        prepared: world.prepared,
        closing,
        problems,
        figures,
        bound_reached,
    })
}

/// By text, call by call. There are few fates for each call, and many outcomes that are made of them.
fn sort(world: &World<'_>, outcomes: &mut [Seen]) {
    let calls = 0..world.prepared.calls().len();
    let ranks: Vec<Vec<usize>> = calls.map(|call| ranks(world, outcomes, call)).collect();
    outcomes.sort_by_cached_key(|seen| {
        let numbers = seen.code.iter().zip(&ranks);
        let ranks = numbers.map(|(number, ranks)| ranks[usize::from(*number)]);
        ranks.collect::<Vec<_>>()
    });
}

/// Which place the text of each fate of a call has among those of the others, by the fate's number.
fn ranks(world: &World<'_>, outcomes: &[Seen], call: usize) -> Vec<usize> {
    let mut texts: Vec<Option<String>> = Vec::new();
    for seen in outcomes {
        let number = usize::from(seen.code[call]);
        texts.resize(texts.len().max(number + 1), None);
        texts[number].get_or_insert_with(|| world.prepared.text(call, &seen.fates[call]));
    }
    let mut sorted: Vec<usize> = (0..texts.len()).collect();
    sorted.sort_by_key(|number| &texts[*number]);
    let mut ranks = vec![0; texts.len()];
    for (rank, number) in sorted.into_iter().enumerate() {
        ranks[number] = rank;
    }
    ranks
}

/// What became of all calls, as text.
fn texts(world: &World<'_>, fates: &[Fate]) -> Vec<String> {
    let fates = fates.iter().enumerate();
    fates
        .map(|(call, fate)| world.prepared.text(call, fate))
        .collect()
}

impl<'s> Judge<'_, 's> {
    /// Lines of the set-up that did not do what they say.
    fn set_up(&mut self) {
        for failure in &self.world.prepared.set_up.failures {
            self.problems.push(Problem {
                span: Some(failure.span),
                message: failure.message.clone(),
                details: vec![
                    format!("expected  {}", failure.expected),
                    format!("happened  {}", failure.actual),
                ],
                schedule: Schedule::default(),
            });
        }
    }

    fn broken(&mut self, path: Path, sentence: String) -> Result<(), ScenarioError> {
        let explorer = self.explorer;
        let wanted = Wanted::Broken;
        let shorter = shortest(self.world, explorer, &mut self.answers, &wanted)?;
        let path = shorter.map_or(path, |(path, _)| path);
        self.problems.push(Problem {
            span: None,
            message: sentence,
            details: Vec::new(),
            schedule: path.schedule(self.world),
        });
        Ok(())
    }

    /// Holds each call's fates against its line.
    fn calls(&mut self) -> Result<(), ScenarioError> {
        for call in 0..self.world.prepared.calls().len() {
            let mut asleep = Vec::new();
            let mut another = Vec::new();
            let mut known: HashMap<u16, bool> = HashMap::new();
            for (place, seen) in self.outcomes.iter().enumerate() {
                let agrees = match known.get(&seen.code[call]) {
                    Some(agrees) => *agrees,
                    None => self.world.prepared.agrees(call, &seen.fates[call])?,
                };
                known.insert(seen.code[call], agrees);
                if agrees {
                    continue;
                }
                match seen.fates[call] {
                    Fate::Asleep => asleep.push(place),
                    _ => another.push(place),
                }
            }
            self.deadlock(call, &asleep)?;
            self.contradiction(call, &another)?;
        }
        Ok(())
    }

    fn deadlock(&mut self, call: usize, outcomes: &[usize]) -> Result<(), ScenarioError> {
        let Some(first) = outcomes.first() else {
            return Ok(());
        };
        let planned = &self.world.prepared.calls()[call];
        let message = format!(
            "{} sleeps for ever, and its line does not allow that: a deadlock, in {}",
            planned.what(),
            self.share(outcomes.len())
        );
        let path = &self.outcomes[*first].path;
        let state = path.walk(self.world, &mut self.answers)?;
        let details = sleepers(self.world, &state);
        self.problem(call, message, details, outcomes)
    }

    fn contradiction(&mut self, call: usize, outcomes: &[usize]) -> Result<(), ScenarioError> {
        let Some(first) = outcomes.first() else {
            return Ok(());
        };
        let planned = &self.world.prepared.calls()[call];
        let what = match planned.sleep {
            Sleep::Always => "did not sleep",
            Sleep::May | Sleep::Never => "had another result",
        };
        let message = format!(
            "{} {what}, in {}",
            planned.what(),
            self.share(outcomes.len())
        );
        let happened = self
            .world
            .prepared
            .text(call, &self.outcomes[*first].fates[call]);
        let details = vec![
            format!("expected  {}", planned.line),
            format!("happened  {happened}"),
        ];
        self.problem(call, message, details, outcomes)
    }

    fn problem(
        &mut self,
        call: usize,
        message: String,
        details: Vec<String>,
        outcomes: &[usize],
    ) -> Result<(), ScenarioError> {
        let schedule = self.way_to(outcomes)?;
        self.problems.push(Problem {
            span: Some(self.world.prepared.calls()[call].line.span()),
            message,
            details,
            schedule,
        });
        Ok(())
    }

    fn share(&self, some: usize) -> String {
        match self.outcomes.len() {
            1 => "the only outcome".to_owned(),
            all => format!("{some} of {all} outcomes"),
        }
    }

    /// The shortest way to one of these outcomes, or the way on which the first of them was found.
    fn way_to(&mut self, outcomes: &[usize]) -> Result<Schedule, ScenarioError> {
        let known = &self.outcomes[outcomes[0]].path;
        self.searches += 1;
        if self.searches > MOST_SEARCHES {
            return Ok(known.schedule(self.world));
        }
        let codes: HashSet<Code> = outcomes
            .iter()
            .map(|place| self.outcomes[*place].code.clone())
            .collect();
        let wanted = Wanted::Outcome(codes);
        let shorter = shortest(self.world, self.explorer, &mut self.answers, &wanted)?;
        let path = shorter.as_ref().map_or(known, |(path, _)| path);
        Ok(path.schedule(self.world))
    }

    fn closing(&mut self) -> Result<Vec<Claimed<'s>>, ScenarioError> {
        let mut answered = Vec::new();
        let lines: Vec<_> = self.world.prepared.closing().collect();
        for (line, closing) in lines {
            let (mut so, mut not_so) = (Vec::new(), Vec::new());
            for (place, seen) in self.outcomes.iter().enumerate() {
                let is_so = self.world.prepared.is_so(closing, &seen.fates)?;
                if is_so { &mut so } else { &mut not_so }.push(place);
            }
            let of = self.outcomes.len();
            let holds = closing.quantifier().accepts(so.len(), of);
            if !holds {
                let against = match closing.quantifier() {
                    Quantifier::Exists => &[],
                    Quantifier::NotExists => so.as_slice(),
                    Quantifier::ForAll => not_so.as_slice(),
                };
                self.claim_fails(line, closing, so.len(), against)?;
            }
            answered.push(Claimed {
                line,
                closing,
                answer: match (so.len(), not_so.len()) {
                    (0, _) => Answered::Never,
                    (_, 0) => Answered::Always,
                    _ => Answered::Sometimes,
                },
                so: so.len(),
                of,
                holds,
            });
        }
        Ok(answered)
    }

    fn claim_fails(
        &mut self,
        line: &Line,
        closing: &Closing,
        so: usize,
        against: &[usize],
    ) -> Result<(), ScenarioError> {
        let message = match closing.quantifier() {
            Quantifier::Exists => "this is so in no outcome".to_owned(),
            Quantifier::NotExists => format!("this is so, in {}", self.share(so)),
            Quantifier::ForAll => format!("this is not so, in {}", self.share(against.len())),
        };
        let mut details = Vec::new();
        let mut schedule = Schedule::default();
        if let Some(first) = against.first() {
            details = texts(self.world, &self.outcomes[*first].fates);
            schedule = self.way_to(against)?;
        }
        self.problems.push(Problem {
            span: Some(line.span()),
            message,
            details,
            schedule,
        });
        Ok(())
    }
}

/// Who waits for what.
fn sleepers(world: &World<'_>, state: &State) -> Vec<String> {
    let tasks = world.programs.iter().map(|program| program.task);
    tasks
        .filter_map(|task| sleeper(world, state, task))
        .collect()
}

fn sleeper(world: &World<'_>, state: &State, task: TaskId) -> Option<String> {
    let at = state.machine.at(task)?;
    let mut text = format!("{} sleeps at {at}", world.name(task));
    for ready in state.machine.ready_before(task) {
        text.push_str(&format!(", though {ready}"));
    }
    Some(text)
}
