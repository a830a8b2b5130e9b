//! Integration tests: one program, so that they link once.

mod cli;
#[path = "../common/mod.rs"]
mod common;
mod exercise;
mod explore;
mod figure;
mod laws;
mod races;
mod readme;
mod scenarios;
mod step;
mod table;
mod threads;
mod tidy;
mod variants;
