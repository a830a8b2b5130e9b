//! An edge-triggered echo server over two pipes: what comes in on one goes out on the other, in
//! capitals.
//!
//! Edge-triggered means: one report for each time that something arrives, however much it is and
//! whether or not it is read. Who reads less than there is will not hear of the rest. Hence the two
//! rules of the server: the descriptors do not block, and it reads until `EAGAIN`.
//!
//!     cargo run --example et_echo

use epoll_lab::abi::{EpollEvent, Errno, EventMask, Fd, OpenFlags};
use epoll_lab::backend::{Backend, LabError, Thread};
use epoll_lab::model::Model;

fn main() -> Result<(), LabError> {
    story(&mut Model::new()).expect("each call of the story succeeds");
    #[cfg(all(feature = "kernel", target_os = "linux", target_arch = "x86_64"))]
    story(&mut epoll_lab::kernel::Linux::new()?).expect("each call of the story succeeds");
    Ok(())
}

fn story(kernel: &mut impl Backend) -> Result<(), Errno> {
    println!("{}:", kernel.name());
    let mut t = Thread::main(kernel);
    let (requests, client) = t.pipe2(OpenFlags::NONBLOCK)?;
    let (replies, answers) = t.pipe2(OpenFlags::NONBLOCK)?;
    let server = Server {
        epoll: t.epoll_create1(Default::default())?,
        requests,
        answers,
    };
    let edges = EventMask::IN | EventMask::ET;
    t.epoll_add(server.epoll, requests, EpollEvent::new(edges, 0))?;

    // Two writes before the server looks are one report, and more bytes than one read takes.
    t.write(client, b"to be, ")?;
    t.write(client, b"or not to be")?;
    server.serve(&mut t)?;
    println!("  the client reads {}", t.read(replies, 100)?);

    // Nothing new, nothing reported.
    server.serve(&mut t)?;

    t.write(client, b"that is the question")?;
    t.close(client)?;
    let more = server.serve(&mut t)?;
    assert!(!more, "the client has hung up");
    println!("  the client's last answer is {}", t.read(replies, 100)?);
    Ok(())
}

struct Server {
    epoll: Fd,
    requests: Fd,
    answers: Fd,
}

impl Server {
    /// Answers all that has arrived; whether more can come.
    fn serve(&self, t: &mut Thread<'_, impl Backend>) -> Result<bool, Errno> {
        let events = t.epoll_wait(self.epoll, 8, 0)?;
        if events.is_empty() {
            println!("  the server has nothing to do");
        }
        for event in events {
            println!("  the server is told {}", event.events);
            if !self.drain(t)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn drain(&self, t: &mut Thread<'_, impl Backend>) -> Result<bool, Errno> {
        loop {
            match t.read(self.requests, 8) {
                Ok(bytes) if bytes.is_empty() => {
                    println!("    end of file");
                    return Ok(false);
                }
                Ok(bytes) => {
                    println!("    {bytes}");
                    // A pipe with room takes so few bytes at once. A server that cannot know its room
                    // keeps what is left and waits for EPOLLOUT.
                    t.write(self.answers, &bytes.to_ascii_uppercase())?;
                }
                Err(Errno::EAGAIN) => {
                    println!("    EAGAIN: drained");
                    return Ok(true);
                }
                Err(error) => return Err(error),
            }
        }
    }
}
