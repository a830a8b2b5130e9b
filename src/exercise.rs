//! Exercises: a scenario to go on with, and what must hold then.
//!
//! An exercise is a folder of `examples/exercises`:
//!
//! - `task.md`: the title in its first line, and what is to be done;
//! - `start.strace`: what an answer begins with;
//! - `rule.strace`: what is run behind an answer. It speaks of the answer's names, and what it says must hold.
//!   Each line that can fail has a comment above it that says what is wrong then, `# else: ...`. Comments at the
//!   top bound the answer: `# calls: read, write` are the calls that it may add, `# at most: 3` is how many lines,
//!   and with `# every result is written` it may leave none open;
//! - `solution.strace`, and `wrong-NAME.strace` for each mistake that people are known to make.
//!
//! So a rule is a scenario too, and is checked on both kernels like any other.
//!
//! ```
//! use epoll_lab::backend::Backend;
//! use epoll_lab::exercise::Exercise;
//! use epoll_lab::model::Model;
//!
//! let files = [
//!     ("task.md", "# Read it\n\nLeave nothing in the eventfd."),
//!     ("start.strace", "f = eventfd2(1, EFD_NONBLOCK)\n"),
//!     ("rule.strace", "# calls: read\n# else: There is still something in it.\nread(f, ..., 8) = -1 EAGAIN\n"),
//!     ("solution.strace", "f = eventfd2(1, EFD_NONBLOCK)\nread(f, ..., 8) = 8\n"),
//! ];
//! let exercise = Exercise::new("read-it", &files).unwrap();
//! let mut fresh = || -> Result<Box<dyn Backend>, _> { Ok(Box::new(Model::new())) };
//! assert!(exercise.check(&exercise.solution, &mut fresh).unwrap().is_empty());
//! let objections = exercise.check(&exercise.start, &mut fresh).unwrap();
//! assert_eq!(objections[0].sentence, "There is still something in it.");
//! ```

use std::fmt;

use crate::scenario::{Failure, Fresh, Line, Options, Run, Scenario, ScenarioError};

/// An exercise.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Exercise {
    /// The name of its folder.
    pub name: String,
    /// What it is called.
    pub title: String,
    /// What is to be done, in Markdown, without the title.
    pub task: String,
    /// What an answer begins with.
    pub start: String,
    /// What must hold behind an answer.
    pub rule: String,
    /// An answer.
    pub solution: String,
    /// Answers that are none, each with the name of its mistake.
    pub wrong: Vec<(String, String)>,
    bounds: Bounds,
}

/// What an answer may add.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
struct Bounds {
    /// Which calls; all of them if none is named.
    calls: Vec<String>,
    /// How many lines.
    most: Option<usize>,
    /// Whether no result may be left open.
    every_result: bool,
}

/// What is wrong with an answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Objection {
    /// The line of the answer that it is about, if it is about one.
    pub line: Option<usize>,
    /// What is wrong, in a sentence.
    pub sentence: String,
    /// What was expected and what happened, where a call had another result.
    pub difference: Option<(String, String)>,
    /// The kernel that showed it.
    pub kernel: String,
}

/// What is missing in the files of an exercise.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Incomplete(String);

impl fmt::Display for Incomplete {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Incomplete {}

impl Exercise {
    /// Reads the files of its folder, each with its name.
    ///
    /// # Errors
    /// One of them is missing, or the rule says something that no rule says.
    pub fn new(
        name: &str,
        files: &[(impl AsRef<str>, impl AsRef<str>)],
    ) -> Result<Exercise, Incomplete> {
        let file = |wanted: &str| {
            let mut files = files.iter();
            let found = files.find(|(name, _)| name.as_ref() == wanted);
            found
                .map(|(_, text)| text.as_ref().to_owned())
                .ok_or_else(|| Incomplete(format!("exercise {name} has no {wanted}")))
        };
        let task = file("task.md")?;
        let Some((title, task)) = task
            .strip_prefix("# ")
            .and_then(|task| task.split_once('\n'))
        else {
            return Err(Incomplete(format!("the task of {name} has no title")));
        };
        let rule = file("rule.strace")?;
        let mut wrong: Vec<_> = files
            .iter()
            .filter_map(|(name, text)| {
                let name = name.as_ref().strip_prefix("wrong-")?;
                let mistake = name.strip_suffix(".strace")?;
                Some((mistake.to_owned(), text.as_ref().to_owned()))
            })
            .collect();
        wrong.sort();
        Ok(Exercise {
            name: name.to_owned(),
            title: title.trim().to_owned(),
            task: task.trim().to_owned(),
            start: file("start.strace")?,
            bounds: Bounds::of(&rule).map_err(|text| Incomplete(format!("{name}: {text}")))?,
            rule,
            solution: file("solution.strace")?,
            wrong,
        })
    }

    /// Runs an answer on a kernel, and says what is wrong with it: nothing, if it solves the exercise.
    ///
    /// # Errors
    /// The answer is no scenario.
    pub fn check(
        &self,
        answer: &str,
        fresh: &mut Fresh<'_>,
    ) -> Result<Vec<Objection>, ScenarioError> {
        let scenario = parse(answer)?;
        let mut objections = Vec::new();
        let run = on_fresh(&scenario, fresh)?;
        if let Some(objection) = self.begins_otherwise(&run, fresh)? {
            return Ok(vec![objection]);
        }
        self.hold_to_bounds(&scenario, &run, &mut objections);
        if run.failures.is_empty() && run.stopped.is_none() {
            self.run_rule(answer, fresh, &mut objections)?;
        } else {
            objections.extend(run.failures.iter().map(|it| own_failure(it, &run.backend)));
            let stopped = run.stopped.iter();
            objections.extend(stopped.map(|error| Objection {
                line: Some(error.span().position(answer).line),
                sentence: format!("The run ends here: {error}."),
                difference: None,
                kernel: run.backend.clone(),
            }));
        }
        Ok(objections)
    }

    /// The first line in which an answer leaves what it was to begin with.
    fn begins_otherwise(
        &self,
        run: &Run,
        fresh: &mut Fresh<'_>,
    ) -> Result<Option<Objection>, ScenarioError> {
        let start = on_fresh(&parse(&self.start)?, fresh)?;
        let mut own = run.outcomes.iter();
        for given in &start.outcomes {
            let line = own.next();
            if line.is_some_and(|line| line.actual == given.actual) {
                continue;
            }
            return Ok(Some(Objection {
                line: line.map(|line| line.line),
                sentence: "An answer begins with the lines of the exercise; this one does not."
                    .to_owned(),
                difference: Some((
                    given.actual.clone(),
                    line.map_or("no such line".to_owned(), |line| line.actual.clone()),
                )),
                kernel: run.backend.clone(),
            }));
        }
        Ok(None)
    }

    fn hold_to_bounds(&self, scenario: &Scenario, run: &Run, objections: &mut Vec<Objection>) {
        let mut object = |line, sentence| {
            objections.push(Objection {
                line,
                sentence,
                difference: None,
                kernel: run.backend.clone(),
            });
        };
        let given = parse(&self.start).map_or(0, |start| actions(&start).len());
        let actions = actions(scenario);
        let added = actions.get(given..).unwrap_or_default();
        for line in added {
            if let Some(call) = line.call()
                && !self.bounds.calls.is_empty()
                && !self.bounds.calls.iter().any(|allowed| allowed == call)
            {
                let allowed = self.bounds.calls.join(", ");
                let sentence = format!("This exercise is solved by {allowed}, without {call}.");
                object(Some(line.number()), sentence);
            }
        }
        if let Some(most) = self.bounds.most
            && added.len() > most
        {
            let sentence = format!("{} lines were added; {most} are enough.", added.len());
            object(None, sentence);
        }
        if self.bounds.every_result && run.counts.open > 0 {
            let sentence = format!("{} results are still open.", run.counts.open);
            object(None, sentence);
        }
    }

    /// What must hold behind it.
    fn run_rule(
        &self,
        answer: &str,
        fresh: &mut Fresh<'_>,
        objections: &mut Vec<Objection>,
    ) -> Result<(), ScenarioError> {
        let answer = format!("{}\n", answer.trim_end());
        let answered = answer.lines().count();
        let whole = format!("{answer}{}", self.rule);
        let scenario = match Scenario::parse(&whole) {
            Ok(scenario) => scenario,
            Err(errors) => {
                // The answer alone was a scenario: something that the rule speaks of is not there any more.
                objections.push(Objection {
                    line: None,
                    sentence: format!("What follows an answer cannot be run: {}.", errors[0]),
                    difference: None,
                    kernel: "the lab".to_owned(),
                });
                return Ok(());
            }
        };
        let run = on_fresh(&scenario, fresh)?;
        // One mistake often makes all that follows fail: the first is the one to mend.
        if let Some(failure) = run.failures.first() {
            objections.push(match failure.line.checked_sub(answered + 1) {
                Some(line) => Objection {
                    line: None,
                    sentence: self.otherwise(line).to_owned(),
                    difference: Some((failure.expected.clone(), failure.actual.clone())),
                    kernel: run.backend.clone(),
                },
                None => own_failure(failure, &run.backend),
            });
        } else if let Some(stopped) = &run.stopped {
            let line = stopped.span().position(&whole).line;
            objections.push(Objection {
                line: None,
                sentence: match line.checked_sub(answered + 1) {
                    Some(line) => self.otherwise(line).to_owned(),
                    None => format!("The run ends early: {stopped}."),
                },
                difference: None,
                kernel: run.backend.clone(),
            });
        }
        Ok(())
    }

    /// What is wrong if the rule's line with this index fails: the `else` comment above it.
    fn otherwise(&self, index: usize) -> &str {
        let above: Vec<&str> = self.rule.lines().take(index + 1).collect();
        let mut comments = above.iter().rev();
        let said = comments.find_map(|line| line.strip_prefix("# else:"));
        said.map_or("What follows does not hold.", str::trim)
    }
}

impl Bounds {
    fn of(rule: &str) -> Result<Bounds, String> {
        let mut bounds = Bounds::default();
        for line in rule.lines().map_while(|line| line.strip_prefix("# ")) {
            match line.split_once(':') {
                Some(("calls", calls)) => {
                    bounds.calls = calls
                        .split(',')
                        .map(|call| call.trim().to_owned())
                        .collect();
                }
                Some(("at most", most)) => {
                    let most = most.trim().parse();
                    bounds.most = Some(most.map_err(|_| format!("`{line}` has no number"))?);
                }
                Some(("else", _)) => {}
                _ if line == "every result is written" => bounds.every_result = true,
                _ => return Err(format!("a rule does not say `{line}`")),
            }
        }
        Ok(bounds)
    }
}

fn parse(text: &str) -> Result<Scenario, ScenarioError> {
    Scenario::parse(text).map_err(|mut errors| errors.remove(0))
}

fn on_fresh(scenario: &Scenario, fresh: &mut Fresh<'_>) -> Result<Run, ScenarioError> {
    let mut backend = fresh().map_err(|error| scenario.no_kernel(&error))?;
    Ok(scenario.run(&mut *backend, Options::default()))
}

/// Every line in which something is to happen, those in loops once.
fn actions(scenario: &Scenario) -> Vec<&Line> {
    fn below<'s>(lines: &'s [Line], found: &mut Vec<&'s Line>) {
        for line in lines {
            if line.is_action() {
                found.push(line);
            }
            below(line.body().unwrap_or_default(), found);
        }
    }
    let mut found = Vec::new();
    below(scenario.lines(), &mut found);
    found
}

fn own_failure(failure: &Failure, kernel: &str) -> Objection {
    let mut sentence = failure.message.clone();
    if let Some(first) = sentence.get(..1) {
        sentence.replace_range(..1, &first.to_uppercase());
    }
    sentence.push('.');
    Objection {
        line: Some(failure.line),
        sentence,
        difference: Some((failure.expected.clone(), failure.actual.clone())),
        kernel: kernel.to_owned(),
    }
}

/// The exercises of the project, compiled in, sorted by name.
///
/// # Panics
/// If the files of one are incomplete, which a test excludes.
#[cfg(feature = "library")]
pub fn exercises() -> Vec<Exercise> {
    use include_dir::{Dir, include_dir};

    static FILES: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/examples/exercises");
    let folders = FILES.dirs().map(|folder| {
        let name = folder.path().to_string_lossy();
        let files: Vec<_> = folder
            .files()
            .filter_map(|file| {
                let name = file.path().file_name()?.to_string_lossy();
                Some((name, file.contents_utf8()?))
            })
            .collect();
        Exercise::new(&name, &files).unwrap_or_else(|error| panic!("{error}"))
    });
    let mut exercises: Vec<Exercise> = folders.collect();
    exercises.sort_by(|a, b| a.name.cmp(&b.name));
    exercises
}
