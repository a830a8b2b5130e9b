//! `cargo book`: builds the book and shows it. mdBook itself can call it too, as its preprocessor.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};
use epoll_lab_book::{Lab, Site, serve};
use mdbook_preprocessor::{Preprocessor, parse_input};

/// The book of epoll-lab.
///
/// Every scenario in it is run on the model and on the running kernel while it is built.
#[derive(Parser, Debug)]
#[command(
    name = "cargo book",
    bin_name = "cargo book",
    after_help = "Examples:\n  \
        cargo book build               into target/book/en\n  \
        cargo book serve --open        on http://127.0.0.1:3000, built anew for each change\n\n\
        Without a command it is a preprocessor of mdBook: `mdbook build book/en` calls it.\n\
        Exit status: 0, 1 if a chapter has a mistake or a result has changed, 2 for a mistake in the arguments."
)]
struct Arguments {
    /// Ask the model only, as on a machine without Linux, and show what was recorded
    #[arg(long, global = true)]
    recorded: bool,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Build it
    Build {
        /// Where the pages go
        #[arg(long, value_name = "FOLDER")]
        into: Option<PathBuf>,
    },
    /// Show it, and build it anew for each change
    Serve {
        /// Open a browser
        #[arg(long)]
        open: bool,
        /// The port, on 127.0.0.1; 0 for any that is free
        #[arg(long, default_value_t = 3000)]
        port: u16,
    },
    /// What mdBook asks a preprocessor
    #[command(hide = true)]
    Supports { renderer: String },
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let lab = Lab {
        recorded: arguments.recorded,
    };
    match run(arguments.command, lab) {
        Ok(status) => status,
        Err(error) => {
            eprintln!("error: {error:?}");
            ExitCode::from(1)
        }
    }
}

fn run(command: Option<Command>, lab: Lab) -> Result<ExitCode> {
    match command {
        Some(Command::Build { into }) => {
            let site = Site::english(lab)?;
            let site = into.into_iter().fold(site, Site::into);
            println!("{}", site.build()?.join("index.html").display());
        }
        Some(Command::Serve { open, port }) => {
            serve::serve(Site::english(lab)?, port, |address| {
                let address = format!("http://{address}/");
                println!("{address}");
                if open && let Err(error) = opener::open_browser(&address) {
                    eprintln!("no browser can be opened: {error}");
                }
            })?;
        }
        Some(Command::Supports { renderer }) => {
            let status = if lab.supports_renderer(&renderer)? {
                0
            } else {
                1
            };
            return Ok(ExitCode::from(status));
        }
        None => {
            let (context, book) = parse_input(io::stdin())?;
            let book = lab.run(&context, book)?;
            let mut stdout = io::stdout().lock();
            serde_json::to_writer(&mut stdout, &book)?;
            stdout.flush()?;
        }
    }
    Ok(ExitCode::SUCCESS)
}
