//! `/proc/PID/fdinfo/EPFD`: the one window that Linux gives into an interest list (proc_pid_fdinfo(5)).

use std::fmt;

use super::{EpollEvent, EventMask, Fd};

/// One `tfd:` line: a registration as the kernel shows it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct FdinfoItem {
    /// The number given at `EPOLL_CTL_ADD`.
    pub tfd: Fd,
    /// The interest as stored, `EPOLLERR|EPOLLHUP` included.
    pub events: EventMask,
    /// The data given last.
    pub data: u64,
    /// The target's file position.
    pub pos: u64,
}

/// Orders a listing whose order is that of kernel addresses, so that two of them can be compared.
impl FdinfoItem {
    /// Sorts by everything that is shown.
    pub fn sort(items: &mut [FdinfoItem]) {
        items.sort_unstable_by_key(|item| (item.tfd, item.events, item.data, item.pos));
    }
}

impl fmt::Display for FdinfoItem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let data = EpollEvent::new(self.events, self.data);
        write!(
            f,
            "{{tfd={}, events={}, data={{u32={}, u64={}}}, pos={}}}",
            self.tfd,
            self.events,
            data.u32(),
            data.data,
            self.pos
        )
    }
}

/// Reads the `tfd:` lines of an fdinfo file. `None` if one of them has another form.
pub fn parse_fdinfo(text: &str) -> Option<Vec<FdinfoItem>> {
    text.lines()
        .filter(|line| line.starts_with("tfd:"))
        .map(parse_line)
        .collect()
}

fn parse_line(line: &str) -> Option<FdinfoItem> {
    // "tfd:        4 events: 80000019 data: 7  pos:0 ino:40e sdev:10"
    let mut words = line.split_ascii_whitespace();
    let mut after = |key: &str| {
        let word = words.next()?.strip_prefix(key)?;
        if word.is_empty() {
            words.next()
        } else {
            Some(word)
        }
    };
    Some(FdinfoItem {
        tfd: Fd(after("tfd:")?.parse().ok()?),
        events: EventMask::from_bits_retain(u32::from_str_radix(after("events:")?, 16).ok()?),
        data: u64::from_str_radix(after("data:")?, 16).ok()?,
        pos: after("pos:")?.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_kernels_lines() {
        let text = "pos:\t0\nflags:\t02\nmnt_id:\t17\nino:\t1038\n\
            tfd:        4 events: c0000019 data: deadbeef12345678  pos:5 ino:40e sdev:10\n";
        let items = parse_fdinfo(text).expect("a well-formed text");
        assert_eq!(items.len(), 1);
        assert_eq!((items[0].tfd, items[0].pos), (Fd(4), 5));
        assert_eq!(items[0].events.bits(), 0xc000_0019);
        assert_eq!(items[0].data, 0xdead_beef_1234_5678);
        assert_eq!(parse_fdinfo("tfd: x"), None);
    }
}
