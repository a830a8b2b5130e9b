//! `epoll-lab fmt`: scenarios in their canonical form.

use std::fs;
use std::path::PathBuf;

use super::input::Source;
use super::terminal::{complain, outln, print};
use super::{Unusable, Verdict};

/// Write scenarios in their canonical form.
///
/// Files are rewritten in place, `-` goes from standard input to standard output. Comments and blank
/// lines stay; strace logs of any version come out in one spelling.
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:\n  \
    epoll-lab fmt my.strace\n  \
    strace -f -e trace=desc ./program 2>&1 | epoll-lab fmt -\n  \
    epoll-lab fmt --check examples/scenarios")]
pub(super) struct Arguments {
    /// Files, folders, or - for standard input
    #[arg(required = true)]
    paths: Vec<PathBuf>,
    /// Change nothing; name the files that are not canonical and exit with 1
    #[arg(long)]
    check: bool,
}

pub(super) fn fmt(arguments: &Arguments) -> Result<Verdict, Unusable> {
    let mut verdict = Verdict::Agree;
    for path in &arguments.paths {
        for source in Source::read_all(path)? {
            let canonical = source.parse()?.to_string();
            if source.path == "-" && !arguments.check {
                print(format_args!("{canonical}"));
            } else if canonical != source.text {
                if arguments.check {
                    verdict = Verdict::Differ;
                } else if let Err(error) = fs::write(&source.path, canonical) {
                    complain(format_args!("cannot write {}: {error}", source.path));
                    return Err(Unusable);
                }
                outln!("{}", source.path);
            }
        }
    }
    Ok(verdict)
}
