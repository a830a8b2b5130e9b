//! The `epoll-lab` program; everything it does is in [`epoll_lab::cli`].
fn main() {}
