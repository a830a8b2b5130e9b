//! What travels (`struct tcphdr`, and the data behind it).

use crate::model::encode::{Encode, Encoder, encode_option};
use crate::trace::PacketRef;

/// A segment.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Segment {
    /// The number of its first byte. `SYN` and `FIN` count as one each, before and behind the data.
    pub(super) seq: u64,
    pub(super) syn: bool,
    pub(super) fin: bool,
    pub(super) rst: bool,
    /// The byte that the sender waits for, once it knows of any (`ack_seq`).
    pub(super) ack: Option<u64>,
    /// How many bytes from there on it has room for (`window`).
    pub(super) window: u64,
    /// The number of the urgent byte, which may lie behind this segment (`urg_ptr`).
    pub(super) urgent: Option<u64>,
    pub(super) data: Vec<u8>,
}

impl Segment {
    /// How many numbers it takes up.
    pub(super) fn len(&self) -> u64 {
        length(&self.data) + u64::from(self.syn) + u64::from(self.fin)
    }

    /// The number behind it (`end_seq`).
    pub(super) fn end_seq(&self) -> u64 {
        self.seq + self.len()
    }

    /// For people.
    pub(crate) fn tell(&self) -> PacketRef {
        let flags = match self {
            Segment { rst: true, .. } => "RST",
            Segment {
                syn: true,
                ack: None,
                ..
            } => "SYN",
            Segment { syn: true, .. } => "SYN ACK",
            Segment { fin: true, .. } => "FIN",
            Segment {
                urgent: Some(_), ..
            } => "URG",
            _ => "ACK",
        };
        PacketRef::Segment(flags, self.data.len())
    }
}

/// How many bytes.
pub(super) fn length(data: &[u8]) -> u64 {
    u64::try_from(data.len()).unwrap_or(u64::MAX)
}

impl Encode for Segment {
    fn encode(&self, to: &mut Encoder<'_>) {
        let Segment {
            seq,
            syn,
            fin,
            rst,
            ack,
            window,
            urgent,
            data,
        } = self;
        let flags = [*syn, *fin, *rst].into_iter();
        let flags = flags.fold(0, |all, flag| all << 1 | u64::from(flag));
        to.numbers([*seq, flags, *window]);
        encode_option(ack, to);
        encode_option(urgent, to);
        to.bytes(data);
    }
}
