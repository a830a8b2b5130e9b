//! A run as pictures.

mod reel;
mod told;

pub use reel::{Names, Reel, Shot, Take};
pub use told::Told;
