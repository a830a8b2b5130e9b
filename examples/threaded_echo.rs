//! An echo server with several threads on one epoll.
//!
//! A client and the server hold the ends of two pipes, which is as much of a socket as an echo needs. The
//! workers of the server all wait on the same epoll, and what they register says
//!
//! - `EPOLLET`: a conversation is reported when something arrives, to one worker, and not to the next one as
//!   well while the first still reads;
//! - `EPOLLONESHOT`: and not again for what arrives meanwhile. Without it the next bytes would be a new edge
//!   and bring a second worker in, and the two could answer in the wrong order;
//! - `EPOLL_CTL_MOD` afterwards: report it again. It looks before it arms. What came between the last
//!   `EAGAIN` and the `MOD` is therefore reported and not lost.
//!
//! Same threads, same calls, on the model behind a lock and on Linux:
//!
//!     cargo run --example threaded_echo

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::thread::{self, ScopedJoinHandle};

use epoll_lab::abi::{EpollEvent, Errno, EventMask, FcntlCmd, Fd, OpenFlags, Syscall, TaskId};
use epoll_lab::backend::{Backend, LabError, Thread};
use epoll_lab::threads::Shared;

const WORKERS: usize = 3;
const CLIENTS: usize = 4;
const BURSTS: usize = 20;

fn main() -> Result<(), LabError> {
    show(Shared::new());
    #[cfg(all(feature = "kernel", target_os = "linux", target_arch = "x86_64"))]
    show(epoll_lab::kernel::OwnProcess::new());
    Ok(())
}

fn show(kernel: impl Backend + Clone + Send) {
    let name = kernel.name();
    let report = story(kernel).expect("each call of the story succeeds");
    print!("{name}:\n{report}");
}

/// What became of it, the same in every run.
pub(crate) fn story<K: Backend + Clone + Send>(mut kernel: K) -> Result<String, Errno> {
    let mut t = Thread::main(&mut kernel);
    let mut clients = Vec::new();
    let mut conversations = Vec::new();
    for _ in 0..CLIENTS {
        let (client, server) = socket_pair(&mut t)?;
        clients.push(client);
        conversations.push(Conversation {
            end: server,
            taken: AtomicBool::new(false),
        });
    }
    let server = Server::new(&mut t, conversations)?;

    let (told, echoed) = thread::scope(|scope| {
        let mut start_worker = || {
            let work = on_its_own(&mut kernel, |mut t| server.work(&mut t));
            scope.spawn(work)
        };
        let workers: Vec<_> = (0..WORKERS).map(|_| start_worker()).collect();
        let start_client = |(me, end): (usize, End)| {
            let talk = on_its_own(&mut kernel, move |mut t| talk(&mut t, me, end));
            scope.spawn(talk)
        };
        let clients: Vec<_> = clients.into_iter().enumerate().map(start_client).collect();
        (join(clients), join(workers))
    });

    server.close(&mut Thread::main(&mut kernel))?;
    let mut report = String::new();
    for (me, replies) in told?.into_iter().enumerate() {
        report += &format!("  client {me} got {replies} replies, in order\n");
    }
    let echoed: usize = echoed?.into_iter().sum();
    report += &format!("  {WORKERS} workers echoed {echoed} bytes\n");
    Ok(report)
}

/// What these threads came to.
fn join<T>(threads: Vec<ScopedJoinHandle<'_, Result<T, Errno>>>) -> Result<Vec<T>, Errno> {
    let joined = threads.into_iter().map(ScopedJoinHandle::join);
    joined.map(|it| it.expect("no thread panics")).collect()
}

/// Work for a thread of its own, with a task of its own to make its calls in.
fn on_its_own<K: Backend + Clone, T, F: FnOnce(Thread<'_, K>) -> T>(
    kernel: &mut K,
    work: F,
) -> impl FnOnce() -> T + use<K, T, F> {
    let task = kernel.spawn(TaskId::MAIN).expect("room for a thread");
    let mut kernel = kernel.clone();
    move || work(Thread::of(&mut kernel, task))
}

/// One side of a conversation.
#[derive(Clone, Copy)]
struct End {
    read: Fd,
    write: Fd,
}

/// The client's end, which blocks, and the server's, of which the reading side must not.
fn socket_pair(t: &mut Thread<'_, impl Backend>) -> Result<(End, End), Errno> {
    let (requests, client) = t.pipe2(OpenFlags::default())?;
    let (replies, server) = t.pipe2(OpenFlags::default())?;
    let cmd = FcntlCmd::Setfl(OpenFlags::NONBLOCK);
    t.call(Syscall::Fcntl { fd: requests, cmd })?;
    let client = End {
        read: replies,
        write: client,
    };
    let server = End {
        read: requests,
        write: server,
    };
    Ok((client, server))
}

/// What a client does: several messages at a time, so that their edges fall together, and then the replies.
fn talk(t: &mut Thread<'_, impl Backend>, me: usize, end: End) -> Result<usize, Errno> {
    let mut replies = 0;
    for burst in 0..BURSTS {
        let messages: Vec<String> = (0..=burst % 4)
            .map(|n| format!("client {me}: {burst}.{n}\n"))
            .collect();
        for message in &messages {
            t.write(end.write, message.as_bytes())?;
        }
        let sent = messages.concat();
        let mut heard = Vec::new();
        while heard.len() < sent.len() {
            heard.extend_from_slice(&t.read(end.read, 64)?);
        }
        assert_eq!(String::from_utf8_lossy(&heard), sent);
        replies += messages.len();
    }
    t.close(end.write)?;
    assert!(t.read(end.read, 64)?.is_empty(), "the server hangs up too");
    t.close(end.read)?;
    Ok(replies)
}

struct Server {
    epoll: Fd,
    /// Readable when all is over. It is watched level-triggered and never read: whoever is told leaves it
    /// ready, which wakes the next.
    over: Fd,
    conversations: Vec<Conversation>,
    /// How many clients have not hung up.
    open: AtomicUsize,
}

struct Conversation {
    end: End,
    /// Whether some worker is at it.
    taken: AtomicBool,
}

/// The data of the event that tells of the end.
const OVER: u64 = u64::MAX;

/// The data of a conversation's events are its number.
fn interest(number: u64) -> EpollEvent {
    EpollEvent::new(EventMask::IN | EventMask::ET | EventMask::ONESHOT, number)
}

impl Server {
    fn new(
        t: &mut Thread<'_, impl Backend>,
        conversations: Vec<Conversation>,
    ) -> Result<Server, Errno> {
        let epoll = t.epoll_create1(Default::default())?;
        let over = t.eventfd2(0, OpenFlags::default())?;
        t.epoll_add(epoll, over, EpollEvent::new(EventMask::IN, OVER))?;
        for (number, conversation) in (0..).zip(&conversations) {
            t.epoll_add(epoll, conversation.end.read, interest(number))?;
        }
        let open = AtomicUsize::new(conversations.len());
        Ok(Server {
            epoll,
            over,
            conversations,
            open,
        })
    }

    /// What a worker does; returns how many bytes it sent back.
    fn work(&self, t: &mut Thread<'_, impl Backend>) -> Result<usize, Errno> {
        let mut echoed = 0;
        loop {
            for event in t.epoll_wait(self.epoll, 1, -1)? {
                if event.data == OVER {
                    return Ok(echoed);
                }
                let index = usize::try_from(event.data).expect("a small number");
                echoed += self.serve(t, &self.conversations[index], event.data)?;
            }
        }
    }

    /// Answers all that has arrived in one conversation.
    fn serve(
        &self,
        t: &mut Thread<'_, impl Backend>,
        conversation: &Conversation,
        number: u64,
    ) -> Result<usize, Errno> {
        let Conversation { end, taken } = conversation;
        assert!(!taken.swap(true, SeqCst), "EPOLLONESHOT keeps others out");
        let mut echoed = 0;
        loop {
            match t.read(end.read, 16) {
                Ok(bytes) if bytes.is_empty() => return self.hang_up(t, *end).map(|()| echoed),
                Ok(bytes) => echoed += t.write(end.write, &bytes)?,
                Err(Errno::EAGAIN) => break,
                Err(error) => return Err(error),
            }
        }
        taken.store(false, SeqCst);
        // From here on the conversation may be another worker's.
        t.epoll_mod(self.epoll, end.read, interest(number))?;
        Ok(echoed)
    }

    /// The client has hung up. The last one to do so ends the server.
    fn hang_up(&self, t: &mut Thread<'_, impl Backend>, end: End) -> Result<(), Errno> {
        t.epoll_del(self.epoll, end.read)?;
        t.close(end.read)?;
        t.close(end.write)?;
        if self.open.fetch_sub(1, SeqCst) == 1 {
            t.write(self.over, &1_u64.to_ne_bytes())?;
        }
        Ok(())
    }

    fn close(self, t: &mut Thread<'_, impl Backend>) -> Result<(), Errno> {
        t.close(self.over)?;
        t.close(self.epoll)
    }
}
