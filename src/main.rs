//! The `epoll-lab` program; everything it does is in [`epoll_lab::cli`].

use std::process::ExitCode;

fn main() -> ExitCode {
    epoll_lab::cli::main()
}
