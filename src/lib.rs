//! See, ask and check how epoll behaves.

pub mod abi;
pub mod backend;
#[cfg(feature = "cli")]
pub mod cli;
#[cfg(all(feature = "kernel", target_os = "linux", target_arch = "x86_64"))]
pub mod kernel;
pub mod model;
pub mod scenario;
pub mod trace;
