//! `epoll-lab step`: a scenario one internal step at a time, forward and back.
//!
//! The run is filmed first, from the first line to the last; what follows is turning pages. A page is
//! drawn by a plain function of the reel, the number of the page and the size of the screen.

mod draw;
mod fold;
mod picture;
mod screen;

use std::io::{IsTerminal, stdout};
use std::path::PathBuf;

use draw::{Look, page};

use super::input::Source;
use super::judge::Judged;
use super::report::show_difference;
use super::terminal::{complain, has_colour, outln, point_at};
use super::variants::Wrong;
use super::{Unusable, Verdict, needs};
use crate::explore::Schedule;
use crate::figure::{Reel, Take};

/// Walk through a scenario, one internal step of the model at a time.
///
/// Each page shows one step: the line at hand, what the kernel function did and why, and after it the tree,
/// lists, wait queues, files and tasks. A mark in front says what the step changed: * changed, + new,
/// - gone. Keys: ? shows them. In a pipe, or with --pages, all pages are printed one below the other.
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:\n  \
    epoll-lab step my.strace\n  \
    epoll-lab step my.strace --at 12\n  \
    epoll-lab step my.strace --schedule 'main*4 A*7'\n  \
    printf 'ep = epoll_create1(0)\\nepoll_wait(ep, ..., 1, 0)\\n' | epoll-lab step --pages -")]
pub(super) struct Arguments {
    /// A file, or - for standard input
    path: PathBuf,
    /// Begin at this step; in a pipe, print this one only
    #[arg(long, value_name = "N")]
    at: Option<usize>,
    /// Print the pages instead of turning them
    #[arg(long)]
    pages: bool,
    /// Which of all interleavings, as `explore` gives it: main*4 A*7 A!
    #[arg(long, value_name = "SCHEDULE")]
    schedule: Option<String>,
    #[command(flatten)]
    wrong: Wrong,
}

pub(super) fn step(arguments: &Arguments) -> Result<Verdict, Unusable> {
    let source = Source::read(&arguments.path)?;
    let scenario = source.parse()?;
    if let Some(reason) = needs::unmet_by_model(scenario.header()) {
        complain(format_args!(
            "{}: not run on the model: {reason}",
            source.path
        ));
        return Err(Unusable);
    }
    if scenario.is_parallel() && arguments.schedule.is_none() {
        complain(format_args!(
            "{}: a parallel block has many runs; `epoll-lab explore` finds them, and --schedule takes one",
            source.path
        ));
        return Err(Unusable);
    }
    let take = Take {
        scenario: &scenario,
        variants: arguments.wrong.variants,
        schedule: arguments.schedule.as_deref().map(Schedule::new),
    };
    let filmed = take.film(0..0).map_err(|error| {
        point_at(&source.path, &source.text, &error);
        Unusable
    })?;
    let run = filmed.map_err(|sentence| {
        complain(format_args!("the schedule does not fit: {sentence}"));
        Unusable
    })?;
    let reel = Reel::new(source.name(), &source.text, &take, &run);
    let first = arguments.at.unwrap_or(0);
    if first > reel.last() {
        complain(format_args!(
            "{}: the last step is {}",
            source.path,
            reel.last()
        ));
        return Err(Unusable);
    }
    if !arguments.pages && stdout().is_terminal() {
        screen::turn_pages(&reel, first, has_colour()).map_err(|error| {
            complain(format_args!("cannot use the terminal: {error}"));
            Unusable
        })?;
    } else {
        let last = arguments.at.unwrap_or(reel.last());
        print_pages(&reel, first, last);
    }
    // What the lines of a block say holds of all interleavings, and is not judged by one.
    let judged = Judged {
        model: Some(run),
        kernel: None,
        explored: None,
        skipped: None,
    };
    if judged.agrees(&scenario) {
        return Ok(Verdict::Agree);
    }
    show_difference(&source.path, &source.text, &scenario, &judged);
    Ok(Verdict::Differ)
}

fn print_pages(reel: &Reel<'_>, first: usize, last: usize) {
    let look = Look {
        width: 80,
        height: None,
        colour: true, // taken out again where it is not wanted
        unfolded: true,
        scroll: None,
    };
    for number in first..=last {
        for line in page(reel, number, &look).lines {
            outln!("{line}");
        }
        outln!("");
    }
}
