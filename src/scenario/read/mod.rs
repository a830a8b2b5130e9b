//! Reads the parts of a line.
//!
//! Every function takes the cursor where its part begins and leaves it behind that part. None of them
//! knows a call by name: what to read next is said by the kinds in the table of calls, so a wrong
//! argument is told what it should have been.

mod argument;
mod call;
mod closing;
mod length;
mod number;
mod output;
mod prefix;
mod result;
mod signal;
mod structure;
mod termios;
mod text;

pub(super) use call::{arguments, complete, read_call, read_expectation};
pub(super) use closing::{read_closing, read_unseen};
pub(super) use length::option_size;
pub(super) use number::{check_name, expect_field, field, read_num};
pub(super) use prefix::{read_comment, read_task, read_thaw, read_time};
