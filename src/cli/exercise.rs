//! `epoll-lab exercise`: what is to be done, and whether it is done.

use std::path::PathBuf;

use super::input::Source;
use super::judge::On;
use super::needs;
use super::terminal::{BAD, BOLD, FAINT, GOOD, complain, outln, point_at, print, remark, styled};
use super::{Unusable, Verdict, soak};
use crate::backend::{Backend, LabError};
use crate::exercise::{Exercise, Objection, exercises};
use crate::model::Model;
use crate::scenario::{Fresh, Scenario};

/// List the exercises, show one, or check an answer.
///
/// An answer is a scenario: it begins with the lines of the exercise and goes on from there. What must hold behind
/// it is run on both kernels.
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:\n  \
    epoll-lab exercise                                      all of them\n  \
    epoll-lab exercise quiet-again                       what is to be done\n  \
    epoll-lab exercise quiet-again --start > my.strace   what to begin with\n  \
    epoll-lab exercise quiet-again my.strace             is it solved?\n\n\
    Exit status: 0 if it is solved, 1 if not, 2 for a mistake in the input.")]
pub(super) struct Arguments {
    /// Which one
    name: Option<String>,
    /// A file with an answer, or - for standard input
    #[arg(requires = "name")]
    file: Option<PathBuf>,
    /// Print the lines that an answer begins with
    #[arg(long, requires = "name", conflicts_with = "file")]
    start: bool,
    /// Which kernels to ask
    #[arg(long, value_enum, default_value_t = On::Both, requires = "file")]
    on: On,
}

pub(super) fn exercise(arguments: &Arguments) -> Result<Verdict, Unusable> {
    let exercises = exercises();
    let Some(name) = &arguments.name else {
        list(&exercises);
        return Ok(Verdict::Agree);
    };
    let Some(exercise) = exercises.iter().find(|it| it.name == *name) else {
        complain(format_args!(
            "there is no exercise {name}; `epoll-lab exercise` lists them"
        ));
        return Err(Unusable);
    };
    match &arguments.file {
        Some(file) => check(exercise, &Source::read(file)?, arguments.on),
        None if arguments.start => {
            print(format_args!("{}", exercise.start));
            Ok(Verdict::Agree)
        }
        None => {
            show(exercise);
            Ok(Verdict::Agree)
        }
    }
}

fn list(exercises: &[Exercise]) {
    let width = exercises.iter().map(|it| it.name.len()).max().unwrap_or(0);
    for Exercise { name, title, .. } in exercises {
        outln!("{name:width$}  {title}");
    }
}

fn show(exercise: &Exercise) {
    let Exercise {
        name, title, task, ..
    } = exercise;
    outln!("{}\n\n{task}\n", styled(BOLD, title));
    outln!("An answer begins with these lines (--start prints them alone):\n");
    for line in exercise.start.lines() {
        outln!("    {line}");
    }
    outln!("\nAre you done? epoll-lab exercise {name} FILE");
}

fn check(exercise: &Exercise, answer: &Source, on: On) -> Result<Verdict, Unusable> {
    let scenario = answer.parse()?;
    if scenario.is_parallel() {
        complain(format_args!(
            "{}: an answer has one run, and a parallel block many",
            answer.path
        ));
        return Err(Unusable);
    }
    let mut asked = Vec::new();
    if on.model() {
        if let Some(reason) = needs::unmet_by_model(scenario.header()) {
            complain(format_args!("{}: {reason}", answer.path));
            return Err(Unusable);
        }
        let mut fresh = || -> Result<Box<dyn Backend>, LabError> { Ok(Box::new(Model::new())) };
        if !is_solved(exercise, answer, &mut fresh)? {
            return Ok(Verdict::Differ);
        }
        asked.push("the model".to_owned());
    }
    if on.kernel() {
        match unmet(exercise, &scenario) {
            Some(reason) if on == On::Kernel => {
                complain(format_args!("{}: {reason}", answer.path));
                return Err(Unusable);
            }
            Some(reason) => remark(format_args!("not run on this kernel: {reason}")),
            None => {
                let mut kernel = String::new();
                let mut fresh = || {
                    let backend = soak::running_kernel()?;
                    kernel = backend.name();
                    Ok(backend)
                };
                if !is_solved(exercise, answer, &mut fresh)? {
                    return Ok(Verdict::Differ);
                }
                asked.push(kernel);
            }
        }
    }
    outln!(
        "{}, on {}",
        styled(GOOD, format_args!("{} is solved", exercise.name)),
        asked.join(" and ")
    );
    Ok(Verdict::Agree)
}

/// Why this machine's kernel cannot be asked.
fn unmet(exercise: &Exercise, answer: &Scenario) -> Option<String> {
    let start = Scenario::parse(&exercise.start).ok()?;
    needs::unmet_by_kernel(start.header()).or_else(|| needs::unmet_by_kernel(answer.header()))
}

fn is_solved(
    exercise: &Exercise,
    answer: &Source,
    fresh: &mut Fresh<'_>,
) -> Result<bool, Unusable> {
    let objections = exercise.check(&answer.text, fresh).map_err(|error| {
        point_at(&answer.path, &answer.text, &error);
        Unusable
    })?;
    for objection in &objections {
        show_objection(&answer.path, objection);
    }
    if !objections.is_empty() {
        outln!(
            "{}",
            styled(BAD, format_args!("{} is not solved yet", exercise.name))
        );
    }
    Ok(objections.is_empty())
}

fn show_objection(path: &str, objection: &Objection) {
    let place = objection
        .line
        .map_or(path.to_owned(), |line| format!("{path}:{line}"));
    outln!("{place}: {}", objection.sentence);
    if let Some((expected, happened)) = &objection.difference {
        outln!("  expected  {expected}");
        outln!(
            "  happened  {happened}   {}",
            styled(FAINT, format_args!("# {}", objection.kernel))
        );
    }
}
