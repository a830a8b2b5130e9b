//! The `epoll-lab` program.
