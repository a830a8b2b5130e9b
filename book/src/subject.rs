//! What a directive is about: a scenario, from the library or from the directive itself, and what both kernels
//! say to it.

use std::fs;
use std::ops::Range;
use std::path::Path;

use epoll_lab::backend::LabError;
use epoll_lab::cli::needs;
use epoll_lab::model::{Model, Variant, Variants};
use epoll_lab::scenario::{Diff, Failure, Options, Run, Scenario, View};

use crate::directive::{Head, Word};
use crate::mistake::Mistake;
use crate::show::Workshop;

/// A scenario and where it is written.
#[derive(Debug)]
pub(crate) struct Subject {
    /// `04-trigger/an-edge-is-reported-once`; none if it stands in the chapter.
    pub(crate) name: Option<String>,
    pub(crate) text: String,
    pub(crate) scenario: Scenario,
    place: Place,
}

#[derive(Debug)]
enum Place {
    /// In the directive, from this byte of the chapter on.
    Here(usize),
    /// In a file, which the chapter names here.
    Named(Range<usize>, String),
}

impl Subject {
    /// The scenario that the head names, or the body is.
    pub(crate) fn of(
        workshop: &Workshop<'_>,
        head: &mut Head,
        body: &str,
        body_start: usize,
    ) -> Result<Subject, Mistake> {
        match (head.subject(), body.trim().is_empty()) {
            (Some(name), true) => Subject::named(workshop, name),
            (None, false) => Subject::inline(body, body_start),
            (Some(name), false) => Err(Mistake::new(
                name.span,
                "a directive with a scenario in it names no other",
                "which of the two?",
            )),
            (None, true) => Err(Mistake::new(
                head.kind.span.clone(),
                format!("`{}` is about a scenario", head.kind.text),
                "name one, or write it below",
            )),
        }
    }

    fn inline(body: &str, start: usize) -> Result<Subject, Mistake> {
        let scenario =
            Scenario::parse(body).map_err(|errors| Mistake::in_scenario(start, &errors[0]))?;
        Ok(Subject {
            name: None,
            text: body.to_owned(),
            scenario,
            place: Place::Here(start),
        })
    }

    fn named(workshop: &Workshop<'_>, name: Word) -> Result<Subject, Mistake> {
        let path = format!("examples/scenarios/{}.strace", name.text);
        let is_plain = name.text.split('/').all(|part| !part.starts_with('.'));
        let text = match fs::read_to_string(workshop.project.join(&path)) {
            Ok(text) if is_plain => text,
            _ => {
                let mistake = Mistake::new(
                    name.span,
                    format!("there is no scenario `{}`", name.text),
                    "not in examples/scenarios",
                );
                return Err(match alike(workshop.project, &name.text) {
                    Some(alike) => mistake.help(format!("did you mean `{alike}`?")),
                    None => mistake,
                });
            }
        };
        let scenario = Scenario::parse(&text).map_err(|errors| {
            let at = errors[0].span().position(&text);
            Mistake::new(name.span.clone(), format!("{path}:{at}: {}", errors[0]), "")
        })?;
        Ok(Subject {
            name: Some(name.text),
            text,
            scenario,
            place: Place::Named(name.span, path),
        })
    }

    /// A scenario that the program has made, called for at a place in the chapter.
    pub(crate) fn asked(name: &str, text: &str, span: Range<usize>) -> Result<Subject, Mistake> {
        let scenario = Scenario::parse(text).map_err(|errors| {
            let at = errors[0].span().position(text);
            Mistake::new(span.clone(), format!("{name}:{at}: {}", errors[0]), "")
        })?;
        Ok(Subject {
            name: None,
            text: text.to_owned(),
            scenario,
            place: Place::Named(span, name.to_owned()),
        })
    }

    /// A mistake at a line of the scenario.
    pub(crate) fn mistake_at(&self, line: usize, sentence: &str, label: &str) -> Mistake {
        match &self.place {
            Place::Here(start) => {
                let span = line_range(&self.text, line);
                Mistake::new(start + span.start..start + span.end, sentence, label)
            }
            Place::Named(span, path) => {
                Mistake::new(span.clone(), format!("{path}:{line}: {sentence}"), label)
            }
        }
    }

    fn failed(&self, failure: &Failure, names: &str) -> Mistake {
        self.mistake_at(
            failure.line,
            &format!("{} ({names})", failure.message),
            "is no longer so",
        )
        .help(format!("expected  {}", failure.expected))
        .help(format!("happened  {}", failure.actual))
    }

    /// Runs it on every kernel that there is. A result that is not as written is a mistake of the chapter;
    /// so is a wrong model that nothing tells from the right one.
    pub(crate) fn judge(
        &self,
        workshop: &Workshop<'_>,
        variants: Variants,
    ) -> Result<Judged, Mistake> {
        if self.scenario.is_parallel() {
            let sentence = "a scenario with a parallel block has many runs";
            return Err(self.mistake_at(1, sentence, "show its `outcomes`"));
        }
        if let Some(reason) = needs::unmet_by_model(self.scenario.header()) {
            return Err(self.mistake_at(1, &reason, "not for the model"));
        }
        let mut model = Model::recording().with_variants(variants);
        let model = self.scenario.run(&mut model, Options::default());
        let other = self.other(workshop)?;
        let judged = Judged { model, other };
        let runs = variants.is_empty().then_some(&judged.model);
        for run in runs.into_iter().chain(judged.kernel()) {
            if let Some(failure) = run.failures.first() {
                return Err(self.failed(failure, &run.backend));
            }
            if let Some(stopped) = &run.stopped {
                let line = stopped.span().position(&self.text).line;
                let sentence = format!("stopped on {}: {stopped}", run.backend);
                return Err(self.mistake_at(line, &sentence, stopped.label()));
            }
        }
        self.compare(&judged, variants)?;
        Ok(judged)
    }

    /// Linux, or what is known of it here.
    fn other(&self, workshop: &Workshop<'_>) -> Result<Other, Mistake> {
        if workshop.recorded || !cfg!(all(target_os = "linux", target_arch = "x86_64")) {
            return Ok(match &self.name {
                Some(name) => Other::Recorded(recorded(workshop.project, name)),
                None => Other::AsWritten,
            });
        }
        if let Some(reason) = needs::unmet_by_kernel(self.scenario.header()) {
            return Ok(Other::Skipped(reason));
        }
        let run = run_on_kernel(&self.scenario);
        run.map(Other::Kernel)
            .map_err(|error| self.mistake_at(1, &format!("Linux could not be asked: {error}"), ""))
    }

    fn compare(&self, judged: &Judged, variants: Variants) -> Result<(), Mistake> {
        let model = judged.model.transcript(&self.scenario, View::Comparable);
        let same = match &judged.other {
            Other::Kernel(kernel) => kernel.transcript(&self.scenario, View::Comparable) == model,
            Other::Recorded(Some(recorded)) => *recorded == model,
            // What is written was true on Linux.
            Other::Recorded(None) | Other::AsWritten | Other::Skipped(_) => judged.model.passed(),
        };
        match (same, variants.is_empty()) {
            (true, true) | (false, false) => Ok(()),
            (false, true) => {
                let line = judged.first_difference(&self.scenario).unwrap_or(1);
                Err(self.mistake_at(line, "the kernels do not agree", "here they part"))
            }
            (true, false) => {
                let sentence = format!("`{variants}` changes nothing here");
                Err(self.mistake_at(1, &sentence, "not told apart"))
            }
        }
    }
}

/// What came of a scenario.
#[derive(Debug)]
pub(crate) struct Judged {
    pub(crate) model: Run,
    pub(crate) other: Other,
}

/// What the model is held against.
#[derive(Debug)]
pub(crate) enum Other {
    /// The running kernel.
    Kernel(Run),
    /// What Linux answered when the snapshot was made: there is no Linux here.
    Recorded(Option<String>),
    /// The results in the text, which were true where there was a Linux.
    AsWritten,
    /// This Linux lacks something.
    Skipped(String),
}

impl Judged {
    pub(crate) fn kernel(&self) -> Option<&Run> {
        match &self.other {
            Other::Kernel(run) => Some(run),
            _ => None,
        }
    }

    fn first_difference(&self, scenario: &Scenario) -> Option<usize> {
        Diff::new(scenario, &self.model, self.kernel()?).first()
    }

    /// Who was asked, in a sentence.
    pub(crate) fn provenance(&self) -> String {
        let agrees = self.model.passed();
        match &self.other {
            Other::Kernel(kernel) if agrees => format!(
                "Run on the model and on {} when this page was built: both gave these answers.",
                kernel.backend
            ),
            Other::Kernel(kernel) => format!(
                "Run on a model that is wrong on purpose and on {} when this page was built.",
                kernel.backend
            ),
            Other::Recorded(Some(_)) => {
                "Run on the model when this page was built, on a machine without Linux. Linux gave the \
                 answers that are recorded here earlier."
                    .to_owned()
            }
            Other::Recorded(None) | Other::AsWritten => {
                "Run on the model when this page was built, on a machine without Linux. The results as \
                 written were compared with Linux elsewhere."
                    .to_owned()
            }
            Other::Skipped(reason) => {
                format!("Run on the model when this page was built; not on Linux there: {reason}.")
            }
        }
    }
}

/// The transcript that the project keeps of a scenario.
fn recorded(project: &Path, name: &str) -> Option<String> {
    let file = name.rsplit('/').next()?;
    let path = project.join(format!("snapshots/{file}.transcript.snap"));
    let snapshot = fs::read_to_string(path).ok()?;
    let (_, transcript) = snapshot.strip_prefix("---\n")?.split_once("---\n")?;
    Some(transcript.to_owned())
}

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
fn run_on_kernel(scenario: &Scenario) -> Result<Run, LabError> {
    let mut linux = epoll_lab::kernel::Linux::new()?;
    Ok(scenario.run(&mut linux, Options::default()))
}

#[cfg(not(all(target_os = "linux", target_arch = "x86_64")))]
fn run_on_kernel(_: &Scenario) -> Result<Run, LabError> {
    unreachable!("there is no such kernel here, which `other` has seen")
}

/// The mistakes that the model is to make, from `wrong=fifo-waiters`.
pub(crate) fn variants(head: &mut Head) -> Result<Variants, Mistake> {
    let Some(word) = head.option("wrong") else {
        return Ok(Variants::NONE);
    };
    let mut all = Variant::ALL.iter();
    match all.find(|variant| variant.switch() == word.text) {
        Some(variant) => Ok(Variants::from(*variant)),
        None => Err(Mistake::new(
            word.span,
            format!("the model has no mistake `{}`", word.text),
            "see `epoll-lab variants`",
        )),
    }
}

/// Which lines of the scenario, from `lines=4..9`; both ends count.
pub(crate) fn lines(head: &mut Head) -> Result<Option<std::ops::RangeInclusive<usize>>, Mistake> {
    let Some(word) = head.option("lines") else {
        return Ok(None);
    };
    let range = word.text.split_once("..").and_then(|(first, last)| {
        let (first, last): (usize, usize) = (first.parse().ok()?, last.parse().ok()?);
        (first <= last).then_some(first..=last)
    });
    match range {
        Some(range) => Ok(Some(range)),
        None => Err(Mistake::new(
            word.span,
            "no range of lines",
            "write `lines=4..9`",
        )),
    }
}

/// Where a line stands, without its end.
fn line_range(text: &str, line: usize) -> Range<usize> {
    let mut start = 0;
    for (number, piece) in text.split_inclusive('\n').enumerate() {
        if number + 1 == line {
            return start..start + piece.trim_end().len().max(1);
        }
        start += piece.len();
    }
    start..start
}

/// The scenario of another topic, or with nearly this name.
fn alike(project: &Path, name: &str) -> Option<String> {
    let wanted = name.rsplit('/').next()?;
    let topics = fs::read_dir(project.join("examples/scenarios")).ok()?;
    let files = topics.flatten().flat_map(|topic| {
        let files = fs::read_dir(topic.path()).into_iter().flatten().flatten();
        files.map(move |file| {
            let file = file.file_name().to_string_lossy().into_owned();
            let stem = file.trim_end_matches(".strace").to_owned();
            (topic.file_name().to_string_lossy().into_owned(), stem)
        })
    });
    let common = |stem: &str| {
        let words: Vec<&str> = stem.split('-').collect();
        wanted
            .split('-')
            .filter(|word| words.contains(word))
            .count()
    };
    let best = files.max_by_key(|(_, stem)| (common(stem), std::cmp::Reverse(stem.len())));
    let (topic, stem) = best.filter(|(_, stem)| 2 * common(stem) > wanted.split('-').count())?;
    Some(format!("{topic}/{stem}"))
}
