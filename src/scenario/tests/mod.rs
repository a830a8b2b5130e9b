//! Tests of the language as a whole.

mod errors;
mod files;
mod garbage;
mod round_trip;
mod running;
