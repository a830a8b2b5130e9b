//! Tests of the language as a whole.

mod errors;
mod files;
mod garbage;
mod parallel;
mod round_trip;
mod running;
