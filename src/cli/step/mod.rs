//! `epoll-lab step`: a scenario one internal step at a time, forward and back.
//!
//! The run is filmed first, from the first line to the last; what follows is turning pages. A page is
//! drawn by a plain function of the reel, the number of the page and the size of the screen.

mod draw;
mod fold;
mod picture;
mod reel;
mod screen;

use std::io::{IsTerminal, stdout};
use std::path::PathBuf;

use draw::{Look, page};
use reel::{Reel, film};

use super::input::Source;
use super::judge::Judged;
use super::report::show_difference;
use super::terminal::{complain, has_colour, outln};
use super::variants::Wrong;
use super::{Unusable, Verdict, needs};

/// Walk through a scenario, one internal step of the model at a time.
///
/// Each page shows one step: the line at hand, what the kernel function did and why, and after it the tree,
/// lists, wait queues, files and tasks. A mark in front says what the step changed: * changed, + new,
/// - gone. Keys: ? shows them. In a pipe, or with --pages, all pages are printed one below the other.
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:\n  \
    epoll-lab step my.strace\n  \
    epoll-lab step my.strace --at 12\n  \
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
    let variants = arguments.wrong.variants;
    let run = film(&scenario, variants, 0..0);
    let reel = Reel::new(source.name(), &source.text, &scenario, variants, &run);
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
