//! Broken files: an error or a scenario, soon, and never a panic.

use super::round_trip::CANONICAL;
use crate::scenario::Scenario;

/// Marsaglia's xorshift: the same garbage every time.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % u64::try_from(end.max(1)).expect("small")).expect("small")
    }
}

/// Whatever is read prints as something that reads the same.
pub(super) fn try_it(text: &str) {
    if let Ok(scenario) = Scenario::parse(text) {
        let printed = scenario.to_string();
        match Scenario::parse(&printed) {
            Ok(again) => {
                assert_eq!(again, scenario, "{text:?} printed as {printed:?}");
                assert_eq!(again.to_string(), printed);
            }
            Err(errors) => panic!("{text:?} printed as {printed:?}: {}", errors[0]),
        }
    }
}

#[test]
fn mutated_lines_are_errors_or_round_trip() {
    const PIECES: [&str; 24] = [
        "(",
        ")",
        "[",
        "]",
        "{",
        "}",
        ",",
        "=",
        "\"",
        "\\",
        "...",
        " ",
        "\n",
        "0",
        "-1",
        "~",
        "|",
        "NULL",
        "@room(3)",
        "<unfinished ...>",
        "#",
        "\u{e4}",
        "x",
        "<... ",
    ];
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let lines: Vec<&str> = CANONICAL.lines().collect();
    let chars: Vec<Vec<char>> = lines.iter().map(|line| line.chars().collect()).collect();
    let bindings = "ep = epoll_create1(0)\npipe([r, w])\nf = eventfd(0)\nC = fork()\n";
    for _ in 0..20_000 {
        let mut line = chars[random.below(chars.len())].clone();
        for _ in 0..=random.below(3) {
            let at = random.below(line.len() + 1);
            match random.below(3) {
                0 if at < line.len() => {
                    line.remove(at);
                }
                1 => {
                    let other = &chars[random.below(chars.len())];
                    let from = random.below(other.len());
                    let length = random.below(12).min(other.len() - from);
                    line.splice(at..at, other[from..from + length].iter().copied());
                }
                _ => {
                    line.splice(at..at, PIECES[random.below(PIECES.len())].chars());
                }
            }
        }
        let line: String = line.into_iter().collect();
        try_it(&format!("{bindings}{line}\n"));
    }
}

/// A text with a few bytes changed or missing, so many times.
pub(super) fn mutated(text: &str, times: usize, mut each: impl FnMut(&str)) {
    let mut random = Random(43);
    for _ in 0..times {
        let mut bytes = text.as_bytes().to_vec();
        for _ in 0..=random.below(6) {
            let at = random.below(bytes.len());
            match random.below(3) {
                _ if bytes.is_empty() => {}
                0 => bytes[at] = u8::try_from(random.below(256)).expect("a byte"),
                1 => drop(bytes.drain(at..(at + random.below(200)).min(bytes.len()))),
                _ => bytes.truncate(at.max(1)),
            }
        }
        each(&String::from_utf8_lossy(&bytes));
    }
}

#[test]
fn mutated_files_and_noise_do_not_panic() {
    mutated(CANONICAL, 300, try_it);
    let mut random = Random(42);
    for _ in 0..300 {
        let noise: Vec<u8> = (0..400)
            .map(|_| u8::try_from(random.below(256)).expect("a byte"))
            .collect();
        try_it(&String::from_utf8_lossy(&noise));
    }
}

#[test]
fn large_files_are_read() {
    let calls = "epoll_wait(3, [{events=EPOLLIN, data={u32=7, u64=7}}], 8, 0) = 1\n".repeat(50_000);
    assert!(Scenario::parse(&calls).is_ok());
    let sleepers: String = (0..20_000)
        .map(|i| format!("[t{i}] read(3, ..., 1 <unfinished ...>\n"))
        .collect();
    assert!(Scenario::parse(&sleepers).is_ok());
    for text in [
        "[".repeat(1_000_000),
        "repeat 2 {\n".repeat(100_000),
        "}\n".repeat(100_000),
        format!("write(1, \"{}", "\\0".repeat(500_000)),
        format!("write(1, \"{}\", 1)", "\\0".repeat(500_000)),
        format!("close({})", "9".repeat(500_000)),
        format!("epoll_wait(3, [{}", "{events=0}, ".repeat(100_000)),
        format!("close(3<{}", "->".repeat(500_000)),
        format!("close(3) {}", "/* ".repeat(300_000)),
        "a".repeat(1_000_000),
        format!("select(1, [{}], NULL, NULL, NULL)", "n ".repeat(200_000)),
        "poll([".to_owned() + &"{fd=1} ".repeat(100_000),
    ] {
        assert!(Scenario::parse(&text).is_err());
    }
}
