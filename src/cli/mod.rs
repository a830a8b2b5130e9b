//! The `epoll-lab` program: arguments in, text and an exit status out.
//!
//! Status 0 is agreement, 1 a difference or an expectation that did not hold, 2 a mistake in what the
//! program was given: arguments, files it cannot read, scenarios it cannot understand.

mod check;
mod exercise;
mod explore;
mod figure;
mod fmt;
mod fuzz;
mod input;
mod json;
mod judge;
pub mod laws;
pub mod needs;
mod report;
mod run;
mod soak;
mod step;
mod table;
mod terminal;
pub mod variants;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// See, ask and check how epoll behaves.
///
/// A scenario is a text of system calls as strace prints them. epoll-lab makes them on a model of the
/// kernel's eventpoll, which can be watched, and on the running kernel, and compares call by call.
#[derive(Parser, Debug)]
#[command(
    name = "epoll-lab",
    version,
    after_help = "Examples:\n  \
        epoll-lab check                      every built-in scenario on both kernels\n  \
        epoll-lab run my.strace --trace      one scenario, with what happens inside\n  \
        epoll-lab step my.strace             the same step by step, forward and back\n  \
        echo 'epoll_create1(0)' | epoll-lab run --record -\n\n\
        Exit status: 0 agreement, 1 a difference, 2 a mistake in the input.\n\
        NO_COLOR switches colours off."
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    Run(run::Arguments),
    Check(check::Arguments),
    Explore(explore::Arguments),
    Step(step::Arguments),
    Figure(figure::Arguments),
    Table(table::Arguments),
    Laws(laws::Arguments),
    Variants(variants::Arguments),
    Exercise(exercise::Arguments),
    Fuzz(fuzz::Arguments),
    Fmt(fmt::Arguments),
}

/// How a command ended, if it did not fail.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Verdict {
    /// Everything was as expected.
    Agree,
    /// Something was not.
    Differ,
}

/// Why a command could not do its work. Everything has been said already.
#[derive(Debug)]
struct Unusable;

/// Runs the program.
pub fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            // To stdout and 0 for --help, to stderr and 2 for a mistake; a closed pipe is nobody's fault.
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { 2 } else { 0 });
        }
    };
    let verdict = match arguments.command {
        Command::Run(arguments) => run::run(&arguments),
        Command::Check(arguments) => check::check(&arguments),
        Command::Explore(arguments) => explore::explore(&arguments),
        Command::Step(arguments) => step::step(&arguments),
        Command::Figure(arguments) => figure::figure(&arguments),
        Command::Laws(arguments) => laws::laws(&arguments),
        Command::Table(arguments) => table::table(&arguments),
        Command::Variants(arguments) => variants::variants(&arguments),
        Command::Exercise(arguments) => exercise::exercise(&arguments),
        Command::Fuzz(arguments) => fuzz::fuzz(&arguments),
        Command::Fmt(arguments) => fmt::fmt(&arguments),
    };
    match verdict {
        Ok(Verdict::Agree) => ExitCode::SUCCESS,
        Ok(Verdict::Differ) => ExitCode::from(1),
        Err(Unusable) => ExitCode::from(2),
    }
}
