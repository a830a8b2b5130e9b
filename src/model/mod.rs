//! The model.
mod arena;
