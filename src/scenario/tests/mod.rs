//! Tests of the language as a whole.

mod files;
mod round_trip;
