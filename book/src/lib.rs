//! The book's engine: what stands between the chapters and mdBook.
//!
//! A chapter holds directives, fenced blocks that begin with the word `lab`. Each is run while the book is
//! built, and what came of it takes its place: no transcript and no picture is typed by hand, and a result that
//! is no longer true ends the build, with the line of the chapter that says so.
//!
//! - [`Lab`]: the preprocessor, in process or as a program of its own;
//! - `directive`: finds and reads the blocks;
//! - `mistake`: what is wrong in a chapter, and where;
//! - `subject`: the scenario that a directive is about, and what both kernels say to it;
//! - `show`: one file for each kind of directive;
//! - [`Site`]: builds the book;
//! - [`serve`]: shows it, and builds it anew when something changes.
//!
//! ````text
//! ```lab transcript 04-trigger/level-triggered-repeats-until-drained
//! ```
//! ````

mod directive;
mod html;
mod lab;
mod mistake;
pub mod serve;
mod show;
mod site;
mod subject;

pub use lab::Lab;
pub use site::Site;
