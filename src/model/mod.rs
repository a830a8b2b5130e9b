//! The model.
mod arena;
#[allow(dead_code, reason = "the machine that uses it is still to come")]
mod rbtree;
