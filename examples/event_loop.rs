//! A small event loop: edge-triggered, fair, with handlers found by the event's data.
//!
//! An edge is reported once, so the loop must remember who still has something to read. It keeps them
//! in a list of its own and gives each one a *turn*, a single read, before anyone gets a second one:
//! a stream that never dries up then starves nobody. epoll is asked without waiting while the list has
//! entries, and asked to wait only when it is empty.
//!
//!     cargo run --example event_loop

use std::collections::{BTreeMap, VecDeque};

use epoll_lab::abi::{EpollEvent, Errno, EventMask, Fd, OpenFlags};
use epoll_lab::backend::{Backend, LabError, Thread};
use epoll_lab::model::Model;

fn main() -> Result<(), LabError> {
    story(&mut Model::new()).expect("each call of the story succeeds");
    #[cfg(all(feature = "kernel", target_os = "linux", target_arch = "x86_64"))]
    story(&mut epoll_lab::kernel::Linux::new()?).expect("each call of the story succeeds");
    Ok(())
}

/// A long stream, a short one, and an eventfd by which each tells that it has ended.
fn story(kernel: &mut impl Backend) -> Result<(), Errno> {
    println!("{}:", kernel.name());
    let mut t = Thread::main(kernel);
    let (long, long_writer) = t.pipe2(OpenFlags::NONBLOCK)?;
    let (short, short_writer) = t.pipe2(OpenFlags::NONBLOCK)?;
    let ended = t.eventfd2(0, OpenFlags::NONBLOCK)?;
    t.write(long_writer, b"a stream that goes on for a while")?;
    t.write(short_writer, b"hello")?;
    t.close(long_writer)?;
    t.close(short_writer)?;

    let mut events = EventLoop::new(t)?;
    events.watch(
        long,
        Handler::Stream {
            name: "long",
            ended,
        },
    )?;
    events.watch(
        short,
        Handler::Stream {
            name: "short",
            ended,
        },
    )?;
    events.watch(ended, Handler::Count { missing: 2 })?;
    events.run()
}

/// What to do with a descriptor that has something to read.
enum Handler {
    Stream { name: &'static str, ended: Fd },
    Count { missing: u64 },
}

/// How a turn ended.
enum Turn {
    /// There may be more to read.
    Again,
    /// There is nothing now: epoll will tell when there is.
    Drained,
    /// There will never be anything more.
    Closed,
    /// The loop is done.
    Stop,
}

impl Handler {
    /// Reads once.
    fn turn(&mut self, t: &mut Thread<'_, impl Backend>, fd: Fd) -> Result<Turn, Errno> {
        let bytes = match t.read(fd, 8) {
            Ok(bytes) => bytes,
            Err(Errno::EAGAIN) => return Ok(Turn::Drained),
            Err(error) => return Err(error),
        };
        match self {
            Handler::Stream { name, ended } if bytes.is_empty() => {
                println!("  {name} ends");
                t.write(*ended, &1_u64.to_ne_bytes())?;
                Ok(Turn::Closed)
            }
            Handler::Stream { name, .. } => {
                println!("  {name}: {bytes}");
                Ok(Turn::Again)
            }
            Handler::Count { missing } => {
                *missing -= bytes.to_u64().expect("an eventfd gives eight bytes");
                println!("  {missing} streams are left");
                Ok(if *missing == 0 {
                    Turn::Stop
                } else {
                    Turn::Again
                })
            }
        }
    }
}

struct EventLoop<'b, B> {
    thread: Thread<'b, B>,
    epoll: Fd,
    /// By the data of their event. A key is never used again, so an event that was still on its way
    /// when its handler left finds nobody instead of a stranger with the same descriptor.
    handlers: BTreeMap<u64, (Fd, Handler)>,
    next_key: u64,
    /// Who may have something to read, longest waiting first.
    ready: VecDeque<u64>,
}

impl<'b, B: Backend> EventLoop<'b, B> {
    fn new(mut thread: Thread<'b, B>) -> Result<EventLoop<'b, B>, Errno> {
        let epoll = thread.epoll_create1(Default::default())?;
        let (handlers, ready) = (BTreeMap::new(), VecDeque::new());
        Ok(EventLoop {
            thread,
            epoll,
            handlers,
            next_key: 0,
            ready,
        })
    }

    fn watch(&mut self, fd: Fd, handler: Handler) -> Result<(), Errno> {
        let event = EpollEvent::new(EventMask::IN | EventMask::ET, self.next_key);
        self.thread.epoll_add(self.epoll, fd, event)?;
        self.handlers.insert(self.next_key, (fd, handler));
        self.next_key += 1;
        Ok(())
    }

    fn run(&mut self) -> Result<(), Errno> {
        loop {
            let timeout = if self.ready.is_empty() { -1 } else { 0 };
            for event in self.thread.epoll_wait(self.epoll, 8, timeout)? {
                if !self.ready.contains(&event.data) {
                    self.ready.push_back(event.data);
                }
            }
            let Some(key) = self.ready.pop_front() else {
                continue;
            };
            let Some((fd, handler)) = self.handlers.get_mut(&key) else {
                continue;
            };
            match handler.turn(&mut self.thread, *fd)? {
                Turn::Again => self.ready.push_back(key),
                Turn::Drained => {}
                Turn::Closed => {
                    let fd = *fd;
                    self.handlers.remove(&key);
                    // A duplicate of the descriptor would keep the registration alive beyond close.
                    self.thread.epoll_del(self.epoll, fd)?;
                    self.thread.close(fd)?;
                }
                Turn::Stop => return Ok(()),
            }
        }
    }
}
