//! What a message costs its sender (`skb->truesize`): the reason why a socket is full long before its
//! buffer's size in bytes was sent.
//!
//! The data of a message lies behind a header in one allocation, which has a power of two of bytes, or in
//! whole pages, or partly here and partly there. One byte costs 768:
//!
//! ```text
//!   struct sk_buff, 256 bytes  +  1 byte in a line of 64 and 320 bytes at its end: 384, out of a slab of 512
//! ```

const PAGE_SIZE: u64 = 4096;
/// `struct sk_buff`, in whole cache lines.
const SK_BUFF: u64 = 256;
/// `struct skb_shared_info` at the end of the data, in whole cache lines.
const SHARED_INFO: u64 = 320;
/// The most bytes that one page holds with that (`SKB_MAX_HEAD(0)`).
const MAX_HEAD: u64 = PAGE_SIZE - SHARED_INFO;
/// The same in an allocation of four pages (`SKB_MAX_ALLOC`).
const MAX_ALLOC: u64 = 4 * PAGE_SIZE - SHARED_INFO;
/// How many bytes a piece of a stream may have in pages (`UNIX_SKB_FRAGS_SZ`).
const STREAM_PAGES: u64 = 8 * PAGE_SIZE;
/// What is left of half a buffer for one piece of a stream.
const STREAM_MARGIN: u64 = 64;
/// How many pages a message may have (`MAX_SKB_FRAGS`).
const MAX_FRAGS: u64 = 17;

/// The next piece of a stream of which `left` bytes are to be sent: its length (`unix_stream_sendmsg`).
pub(super) fn stream_piece(left: u64, sndbuf: u64) -> u64 {
    left.min((sndbuf >> 1) - STREAM_MARGIN)
        .min(MAX_HEAD + STREAM_PAGES)
}

/// What a piece of a stream costs.
pub(super) fn stream_truesize(length: u64) -> u64 {
    let beyond = length.saturating_sub(MAX_HEAD);
    let paged = length.min(page_align(beyond));
    truesize(length - paged, paged)
}

/// What a datagram costs (`unix_dgram_sendmsg`).
pub(super) fn datagram_truesize(length: u64) -> u64 {
    let beyond = length.saturating_sub(MAX_ALLOC);
    let paged = page_align(beyond.min(MAX_FRAGS * PAGE_SIZE)).min(length);
    truesize(length - paged, paged)
}

fn truesize(linear: u64, paged: u64) -> u64 {
    let head = linear.next_multiple_of(64) + SHARED_INFO;
    SK_BUFF + head.next_power_of_two() + page_align(paged)
}

fn page_align(bytes: u64) -> u64 {
    bytes.next_multiple_of(PAGE_SIZE)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `SIOCOUTQ` after one send, on Linux 6.18.
    #[test]
    fn messages_cost_what_linux_says() {
        let stream = [
            (1, 768),
            (192, 768),
            (193, 1280),
            (704, 1280),
            (705, 2304),
            (1729, 4352),
            (3776, 4352),
            (3777, 4864),
            (7000, 8448),
            (7873, 8960),
            (16064, 16640),
            (36544, 37120),
        ];
        for (length, cost) in stream {
            assert_eq!(stream_truesize(length), cost, "{length} bytes of a stream");
        }
        let datagrams = [
            (0, 768),
            (3777, 8448),
            (7873, 16640),
            (16064, 16640),
            (16065, 20736),
            (32768, 37120),
            (40000, 41216),
            (65536, 69888),
            (100_000, 102_656),
        ];
        for (length, cost) in datagrams {
            assert_eq!(datagram_truesize(length), cost, "a datagram of {length}");
        }
    }
}
