//! Integration tests: one program, so that they link once.

mod cli;
mod explore;
mod laws;
mod readme;
mod scenarios;
mod threads;
mod tidy;
mod variants;
