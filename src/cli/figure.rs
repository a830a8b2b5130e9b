//! `epoll-lab figure`: a scenario as a picture, for slides and posts.

use std::fs;
use std::ops::RangeInclusive;
use std::path::PathBuf;

use super::input::Source;
use super::terminal::{complain, point_at, print};
use super::variants::Wrong;
use super::{Unusable, Verdict, needs};
use crate::explore::Schedule;
use crate::figure::{Figure, FigureError, Options, Parts};

/// Draw the inside of the kernel: one step as SVG, or all of them as a page to step through.
///
/// Tree, lists, wait queues, files and tasks as the model has them after a step of `epoll-lab step`. The
/// name of the output says which it is: .svg or .html; standard output gets SVG. Both are files that need
/// no other and no network. A link to my.html#lab-my:12 opens the page at step 12.
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:\n  \
    epoll-lab figure my.strace -o my.html\n  \
    epoll-lab figure my.strace --at 12 -o my.svg\n  \
    epoll-lab figure my.strace --lines 7-9 --show tree,lists -o scan.html\n  \
    epoll-lab figure my.strace --schedule 'main*4 A*7' > raced.svg")]
pub(super) struct Arguments {
    /// A file, or - for standard input
    path: PathBuf,
    /// Which step an SVG shows; the last if it is not said
    #[arg(long, value_name = "N")]
    at: Option<usize>,
    /// Where to: a file that ends with .svg or .html
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Only what these lines of the file set off: 7 or 7-9
    #[arg(long, value_name = "LINES", value_parser = lines)]
    lines: Option<RangeInclusive<usize>>,
    /// Which structures: tree, lists, queues, files, tasks
    #[arg(long, value_name = "PARTS", value_delimiter = ',', value_parser = part)]
    show: Vec<Parts>,
    /// What stands above it, instead of what the scenario says about itself
    #[arg(long, value_name = "TEXT")]
    caption: Option<String>,
    /// Which of all interleavings, as `explore` gives it: main*4 A*7 A!
    #[arg(long, value_name = "SCHEDULE")]
    schedule: Option<String>,
    #[command(flatten)]
    wrong: Wrong,
}

/// What is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Format {
    Svg,
    Html,
}

pub(super) fn figure(arguments: &Arguments) -> Result<Verdict, Unusable> {
    let format = format(arguments)?;
    let source = Source::read(&arguments.path)?;
    let scenario = source.parse()?;
    if let Some(reason) = needs::unmet_by_model(scenario.header()) {
        complain(format_args!(
            "{}: not run on the model: {reason}",
            source.path
        ));
        return Err(Unusable);
    }
    let options = Options {
        lines: arguments.lines.clone(),
        parts: match arguments.show[..] {
            [] => Parts::default(),
            _ => arguments.show.iter().copied().collect(),
        },
        caption: arguments.caption.clone(),
        id: None,
        variants: arguments.wrong.variants,
        schedule: arguments.schedule.as_deref().map(Schedule::new),
    };
    let figure = Figure::new(source.name(), &source.text, &scenario, options);
    let figure = figure.map_err(|error| {
        match error {
            FigureError::Scenario(error) => point_at(&source.path, &source.text, &error),
            error => complain(format_args!("{}: {error}", source.path)),
        }
        Unusable
    })?;
    let at = arguments.at.unwrap_or(figure.last());
    if at > figure.last() {
        let last = figure.last();
        complain(format_args!("{}: the last step is {last}", source.path));
        return Err(Unusable);
    }
    let drawn = match format {
        Format::Svg => figure.svg(at),
        Format::Html => figure.html(),
    };
    match &arguments.output {
        None => print(format_args!("{drawn}")),
        Some(path) => fs::write(path, drawn).map_err(|error| {
            complain(format_args!("cannot write {}: {error}", path.display()));
            Unusable
        })?,
    }
    let run = figure.run();
    for failure in &run.failures {
        let (line, message) = (failure.line, &failure.message);
        complain(format_args!("{}:{line}: {message}", source.path));
    }
    if let Some(reason) = &run.stopped {
        point_at(&source.path, &source.text, reason);
    }
    Ok(if run.passed() {
        Verdict::Agree
    } else {
        Verdict::Differ
    })
}

fn format(arguments: &Arguments) -> Result<Format, Unusable> {
    let Some(path) = &arguments.output else {
        return Ok(Format::Svg);
    };
    let suffix = path.extension().and_then(|suffix| suffix.to_str());
    match suffix {
        Some("svg") => Ok(Format::Svg),
        Some("html" | "htm") if arguments.at.is_none() => Ok(Format::Html),
        Some("html" | "htm") => {
            complain(format_args!("--at chooses one step, and a page has all"));
            Err(Unusable)
        }
        _ => {
            let name = path.display();
            complain(format_args!(
                "{name}: the name has to end with .svg or .html"
            ));
            Err(Unusable)
        }
    }
}

/// `7`, `7-9`
fn lines(text: &str) -> Result<RangeInclusive<usize>, String> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let number = |text: &str| {
        text.parse()
            .map_err(|_| format!("`{text}` is no line number"))
    };
    let (first, last) = (number(first)?, number(last)?);
    if first > last {
        return Err("the first line comes first: 7-9".to_owned());
    }
    Ok(first..=last)
}

fn part(name: &str) -> Result<Parts, String> {
    match name {
        "tree" => Ok(Parts::TREE),
        "lists" => Ok(Parts::LISTS),
        "queues" => Ok(Parts::QUEUES),
        "files" => Ok(Parts::FILES),
        "tasks" => Ok(Parts::TASKS),
        _ => Err("there are tree, lists, queues, files and tasks".to_owned()),
    }
}
