use super::TcpState::{
    Close, CloseWait, Closing, Established, FinWait1, FinWait2, LastAck, SynRecv, SynSent,
};
use super::{Segment, TcpState};
use crate::abi::socket::{Ipv4Addr, SocketAddrV4};
use crate::abi::{Errno, EventMask, Fd, SockAddr};
use crate::model::Machine;
use crate::model::arena::TcpId;
use crate::model::file::socket::{Directions, READABLE, Socket};
use crate::model::file::transfer::{Attempt, Io, Receiving, Wakes};
use crate::model::net::{Flow, Proto};
use crate::model::work::Work;
use crate::trace::FileRef;

const SERVER: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::LOCALHOST, 7);

/// A machine with sockets that have no files: what is their file's here is this value's.
struct Lab {
    m: Machine,
    listener: TcpId,
}

impl Lab {
    fn new(backlog: i32) -> Lab {
        let mut m = Machine::new();
        let listener = m.new_tcp(FileRef(Fd(3)));
        m.tcp_bind(listener, &SockAddr::Inet(SERVER)).unwrap();
        m.tcp_listen(listener, backlog).unwrap();
        Lab { m, listener }
    }

    fn connect(&mut self) -> TcpId {
        let client = self.m.new_tcp(FileRef(Fd(4)));
        self.m.tcp_v4_connect(client, SERVER).unwrap();
        client
    }

    /// Lets one segment arrive.
    fn deliver(&mut self) -> bool {
        self.m.work_any(&mut ())
    }

    fn deliver_all(&mut self) {
        while self.deliver() {}
    }

    fn accept(&mut self) -> TcpId {
        let child = self.m.tcp[self.listener].queue.pop_front();
        child.expect("somebody has connected")
    }

    /// Both ends of a connection.
    fn pair() -> (Lab, TcpId, TcpId) {
        let mut lab = Lab::new(8);
        let client = lab.connect();
        lab.deliver_all();
        let server = lab.accept();
        (lab, client, server)
    }

    #[track_caller]
    fn states<const N: usize>(&self, expected: [(TcpId, TcpState); N]) {
        let now = expected.map(|(id, _)| (id, self.m.tcp[id].state));
        assert_eq!(now, expected);
    }

    /// As far as it gets without sleeping.
    fn send(&mut self, id: TcpId, bytes: &[u8]) -> usize {
        let sent = self.m.tcp_queue(id, bytes);
        self.m.tcp_push(id);
        sent
    }

    fn recv(&mut self, id: TcpId, count: u64) -> Result<Vec<u8>, Errno> {
        let mut io = Io::default();
        let buf = crate::abi::OutPtr::PLENTY;
        match self
            .m
            .tcp_recvmsg(id, &Receiving::plain((buf, count)), false, &mut io)
        {
            Attempt::Over(Ok(_)) => Ok(io.bytes.to_vec()),
            Attempt::Over(Err(errno)) => Err(errno),
            other => panic!("a read that does not sleep came to {other:?}"),
        }
    }

    fn shutdown(&mut self, id: TcpId, rd: bool, wr: bool) {
        let mut wakes = Wakes::default();
        let _ = self.m.tcp_shutdown(id, Directions { rd, wr }, &mut wakes);
        self.m.put_sockets(wakes.holds().to_vec());
    }

    fn close(&mut self, id: TcpId) {
        let mut wakes = Wakes::default();
        self.m.tcp_close(id, &mut wakes);
        self.m.put_sockets(wakes.holds().to_vec());
        self.m.put_socket(Socket::Tcp(id));
    }

    fn pass_ms(&mut self, ms: u64) {
        let until = self.m.now() + ms * 1_000_000;
        while self.m.now() < until {
            self.m.run_until(until, &mut ());
            self.deliver_all();
        }
    }
}

#[test]
fn a_handshake_takes_three_segments_and_only_the_last_is_seen_by_the_listener() {
    let mut lab = Lab::new(8);
    let client = lab.connect();
    lab.states([(client, SynSent)]);
    assert_eq!(lab.m.tcp_poll(client), EventMask::empty());
    lab.deliver();
    let child = *lab.m.tcp.live().last().unwrap();
    lab.states([(client, SynSent), (child, SynRecv)]);
    lab.deliver();
    lab.states([(client, Established), (child, SynRecv)]);
    assert_eq!(lab.m.tcp_poll(lab.listener), EventMask::empty());
    lab.deliver();
    lab.states([(client, Established), (child, Established)]);
    assert_eq!(lab.m.tcp_poll(lab.listener), READABLE);
    assert_eq!(lab.accept(), child);
    assert!(!lab.deliver());
}

#[test]
fn one_end_after_the_other_closes() {
    let (mut lab, client, server) = Lab::pair();
    lab.shutdown(client, false, true);
    lab.states([(client, FinWait1), (server, Established)]);
    lab.deliver();
    lab.states([(client, FinWait1), (server, CloseWait)]);
    // Nothing to ride on: the acknowledgement leaves with the timer.
    assert!(!lab.deliver());
    lab.pass_ms(50);
    lab.states([(client, FinWait2), (server, CloseWait)]);
    lab.shutdown(server, false, true);
    lab.states([(client, FinWait2), (server, LastAck)]);
    lab.deliver_all();
    lab.states([(client, Close), (server, Close)]);
    lab.close(client);
    lab.close(server);
    assert_eq!(lab.m.tcp.live(), [lab.listener]);
}

#[test]
fn both_ends_close_at_once() {
    let (mut lab, client, server) = Lab::pair();
    lab.shutdown(client, false, true);
    lab.shutdown(server, false, true);
    lab.states([(client, FinWait1), (server, FinWait1)]);
    lab.deliver();
    lab.states([(client, FinWait1), (server, Closing)]);
    lab.deliver_all();
    lab.states([(client, Close), (server, Close)]);
}

#[test]
fn a_socket_without_a_file_lives_until_its_connection_is_over() {
    let (mut lab, client, server) = Lab::pair();
    lab.close(client);
    lab.deliver_all();
    lab.states([(client, FinWait1), (server, CloseWait)]);
    lab.pass_ms(50);
    lab.states([(client, FinWait2)]);
    lab.close(server);
    lab.deliver_all();
    assert_eq!(lab.m.tcp.live(), [lab.listener]);
}

#[test]
fn a_listener_that_closes_takes_everybody_along() {
    let mut lab = Lab::new(8);
    let waiting = lab.connect();
    lab.deliver_all();
    let half = lab.connect();
    lab.deliver();
    lab.close(lab.listener);
    lab.deliver_all();
    lab.states([(waiting, Close), (half, Close)]);
    for (client, err) in [(waiting, Errno::ECONNRESET), (half, Errno::ECONNRESET)] {
        assert_eq!(lab.m.tcp[client].sk.err, Some(err));
        lab.close(client);
    }
    assert!(lab.m.tcp.live().is_empty());
}

#[test]
fn a_syn_that_found_the_queue_full_is_sent_again_until_nobody_hopes_any_more() {
    let mut lab = Lab::new(0);
    let first = lab.connect();
    lab.deliver_all();
    let second = lab.connect();
    lab.deliver_all();
    lab.states([(first, Established), (second, SynSent)]);
    lab.pass_ms(1100);
    lab.states([(second, SynSent)]);
    let mut gives_up = Lab {
        m: lab.m.clone(),
        ..lab
    };
    lab.accept();
    lab.pass_ms(1100);
    lab.states([(second, Established)]);
    gives_up.pass_ms(200_000);
    gives_up.states([(second, Close)]);
    assert_eq!(gives_up.m.tcp[second].sk.err, Some(Errno::ETIMEDOUT));
}

#[test]
fn a_client_may_be_connected_before_the_listener_has_room_for_it() {
    let mut lab = Lab::new(0);
    let clients = [lab.connect(), lab.connect()];
    // Both are answered before either answer arrives.
    let works: Vec<Work> = lab.m.works().collect();
    for work in works {
        lab.m.work(work, &mut ());
    }
    lab.deliver_all();
    lab.states(clients.map(|client| (client, Established)));
    lab.accept();
    assert_eq!(lab.m.tcp_poll(lab.listener), EventMask::empty());
    // The listener's end asks again.
    lab.pass_ms(1100);
    assert_eq!(lab.m.tcp_poll(lab.listener), READABLE);
    let child = lab.accept();
    lab.states([(child, Established)]);
}

#[test]
fn a_small_segment_waits_for_the_one_before_unless_told_otherwise() {
    let (mut lab, client, server) = Lab::pair();
    lab.send(client, b"a");
    lab.send(client, b"b");
    lab.send(client, b"c");
    assert!(lab.deliver());
    assert_eq!(lab.m.tcp[server].rcv.unread(), 1);
    // The acknowledgement lets the others go, in one.
    lab.deliver_all();
    assert_eq!(lab.recv(server, 8).unwrap(), b"abc");
    lab.m.tcp[client].nodelay = true;
    lab.send(client, b"d");
    lab.send(client, b"e");
    lab.deliver();
    lab.deliver();
    assert_eq!(lab.recv(server, 8).unwrap(), b"de");
}

#[test]
fn a_segment_for_nobody_is_answered_by_a_reset_and_a_reset_by_nothing() {
    let mut lab = Lab::new(8);
    let nobody = SocketAddrV4::new(Ipv4Addr::LOCALHOST, 9);
    let flow = Flow {
        proto: Proto::Tcp,
        from: nobody,
        to: SocketAddrV4::new(Ipv4Addr::LOCALHOST, 10),
    };
    let data = Segment {
        seq: 5,
        ack: Some(3),
        data: b"x".to_vec(),
        ..Segment::default()
    };
    let mut wakes = Wakes::default();
    lab.m.tcp_receive(flow, &data, &mut wakes);
    assert!(lab.deliver(), "the reset is on its way");
    assert!(!lab.deliver(), "and nobody answers it");
}

#[test]
fn machines_with_other_places_in_their_arenas_are_equal() {
    let (mut one, client, server) = Lab::pair();
    let mut spare = Lab::new(8);
    let gone = spare.m.new_tcp(FileRef(Fd(9)));
    let client2 = spare.connect();
    spare.deliver_all();
    let server2 = spare.accept();
    spare.close(gone);
    for (lab, client, server) in [(&mut one, client, server), (&mut spare, client2, server2)] {
        lab.send(client, b"hello");
        lab.deliver_all();
        lab.shutdown(server, false, true);
    }
    assert_ne!(client, client2);
    assert_eq!(one.m, spare.m);
    one.deliver();
    assert_ne!(one.m, spare.m);
}

/// Whatever is sent, shut down and delivered in whatever order: what is read is what was written, and in the
/// end all of it.
#[test]
fn streams_keep_their_bytes() {
    for seed in 1..=200_u64 {
        let mut random = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut next = |below: u64| {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            random % below
        };
        let (mut lab, client, server) = Lab::pair();
        let ends = [client, server];
        for end in ends {
            lab.m.tcp[end].sk.rcvbuf = 2304 + next(3) * 10_000;
            lab.m.tcp[end].nodelay = next(2) == 0;
        }
        let mut written = [Vec::new(), Vec::new()];
        let mut read = [Vec::new(), Vec::new()];
        for _ in 0..200 {
            let from = usize::from(next(2) == 0);
            match next(8) {
                0..=2 => {
                    let count = usize::try_from(next(5000)).unwrap();
                    let bytes: Vec<u8> = (0..count).map(|_| next(256).to_le_bytes()[0]).collect();
                    let sent = lab.send(ends[from], &bytes);
                    written[from].extend_from_slice(&bytes[..sent]);
                }
                3..=4 => {
                    if let Ok(bytes) = lab.recv(ends[1 - from], 1 + next(9000)) {
                        read[from].extend(bytes);
                    }
                }
                5 => lab.pass_ms(next(100)),
                _ => {
                    lab.deliver();
                }
            }
            for end in ends {
                lab.m.tcp[end].snd.check().unwrap();
            }
        }
        lab.shutdown(client, false, true);
        lab.shutdown(server, false, true);
        for _ in 0..5000 {
            lab.pass_ms(50);
            for from in [0, 1] {
                if let Ok(bytes) = lab.recv(ends[1 - from], 100_000) {
                    read[from].extend(bytes);
                }
            }
            if ends.iter().all(|end| lab.m.tcp[*end].state == Close) {
                break;
            }
        }
        assert!(written == read, "seed {seed}");
        lab.states([(client, Close), (server, Close)]);
    }
}
