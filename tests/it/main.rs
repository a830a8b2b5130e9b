//! Integration tests: one program, so that they link once.

mod cli;
mod laws;
mod scenarios;
mod tidy;
