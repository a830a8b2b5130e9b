//! A place in a line of text, and the smallest things that can be read there.

use super::{ScenarioError, Span};

/// Reads one line; offsets are those of the whole text.
#[derive(Debug)]
pub(super) struct Cursor<'t> {
    text: &'t str,
    at: usize,
    end: usize,
}

impl<'t> Cursor<'t> {
    /// The bytes from `start` to `end` of a text.
    pub(super) fn new(text: &'t str, start: usize, end: usize) -> Cursor<'t> {
        Cursor {
            text,
            at: start,
            end,
        }
    }

    pub(super) fn at(&self) -> usize {
        self.at
    }

    /// Goes back to a place that [`Cursor::at`] told.
    pub(super) fn rewind(&mut self, at: usize) {
        self.at = at;
    }

    pub(super) fn since(&self, start: usize) -> Span {
        Span::new(start, self.at)
    }

    pub(super) fn rest(&self) -> &'t str {
        &self.text[self.at..self.end]
    }

    /// Passes over blanks, and over strace's remarks in `/* */`.
    pub(super) fn skip_space(&mut self) {
        loop {
            let rest = self.rest();
            let blank = rest.len() - rest.trim_start_matches([' ', '\t']).len();
            let remark = match rest[blank..]
                .strip_prefix("/*")
                .and_then(|open| open.find("*/"))
            {
                Some(length) => length + "/**/".len(),
                None => 0,
            };
            self.at += blank + remark;
            if remark == 0 {
                return;
            }
        }
    }

    pub(super) fn is_at_end(&mut self) -> bool {
        self.skip_space();
        self.at == self.end
    }

    /// Whether this comes next, after blanks.
    pub(super) fn sees(&mut self, word: &str) -> bool {
        self.skip_space();
        self.rest().starts_with(word)
    }

    pub(super) fn eat(&mut self, word: &str) -> bool {
        let seen = self.sees(word);
        if seen {
            self.at += word.len();
        }
        seen
    }

    /// The same for a word of letters, which must end there.
    pub(super) fn eat_word(&mut self, word: &str) -> bool {
        let start = self.at;
        match self.ident() {
            Some((found, _)) if found == word => true,
            _ => {
                self.at = start;
                false
            }
        }
    }

    pub(super) fn expect(&mut self, word: &str) -> Result<(), ScenarioError> {
        if self.eat(word) {
            Ok(())
        } else {
            Err(self.unexpected(&format!("`{word}`")))
        }
    }

    /// A word of letters, digits and `_` that does not begin with a digit.
    pub(super) fn ident(&mut self) -> Option<(&'t str, Span)> {
        self.skip_space();
        let rest = self.rest();
        if rest.starts_with(|c: char| c.is_ascii_digit()) {
            return None;
        }
        let length = rest.bytes().take_while(|byte| is_word(*byte)).count();
        let start = self.at;
        self.at += length;
        (length > 0).then(|| (&rest[..length], self.since(start)))
    }

    /// Everything up to the first of these characters.
    pub(super) fn until(&mut self, stop: &[char]) -> &'t str {
        let rest = self.rest();
        let length = rest.find(stop).unwrap_or(rest.len());
        self.at += length;
        &rest[..length]
    }

    /// Passes over text up to and including `end`.
    pub(super) fn skip_past(&mut self, end: &str) -> Result<(), ScenarioError> {
        match self.rest().find(end) {
            Some(length) => {
                self.at += length + end.len();
                Ok(())
            }
            None => Err(self.unexpected(&format!("`{end}` before the line ends"))),
        }
    }

    /// A number as C writes it: `-1`, `0x1f`, `017`, `4UL`, `~0U`.
    pub(super) fn number(&mut self) -> Result<Option<(i128, Span)>, ScenarioError> {
        self.skip_space();
        let rest = self.rest();
        let sign = usize::from(rest.starts_with(['-', '~']));
        let digits = &rest[sign..];
        if !digits.starts_with(|c: char| c.is_ascii_digit()) {
            return Ok(None);
        }
        let length = digits.bytes().take_while(|byte| is_word(*byte)).count();
        let start = self.at;
        self.at += sign + length;
        let span = self.since(start);
        let written = &digits[..length];
        let hex = written
            .strip_prefix("0x")
            .or_else(|| written.strip_prefix("0X"));
        let bare = written.trim_end_matches(['U', 'L', 'u', 'l']);
        let value = match hex {
            Some(digits) => i128::from_str_radix(digits.trim_end_matches(['U', 'L']), 16),
            None if bare.len() > 1 && bare.starts_with('0') => i128::from_str_radix(bare, 8),
            None => bare.parse(),
        };
        let value = value
            .ok()
            .filter(|value| *value <= i128::from(u64::MAX))
            .ok_or_else(|| {
                let message = format!("`{written}` is not a number of at most 64 bits");
                ScenarioError::new(span, message, "not a number")
            })?;
        let value = match rest.as_bytes().first() {
            Some(b'-') => -value,
            // Complement in the width that the suffix gives; `~0U` is strace's for the largest uint.
            Some(b'~') if written.ends_with("UL") => i128::from(u64::MAX) - value,
            Some(b'~') => i128::from(u32::MAX) - value.min(i128::from(u32::MAX)),
            _ => value,
        };
        self.skip_decoration();
        Ok(Some((value, span)))
    }

    /// strace's option `-y` adds what a descriptor is: `3<anon_inode:[eventpoll]>`.
    pub(super) fn skip_decoration(&mut self) {
        let rest = self.rest();
        if !rest.starts_with('<') || rest.starts_with("<unfinished") {
            return;
        }
        let mut from = 1;
        while let Some(offset) = rest[from..].find('>') {
            let end = from + offset;
            // The arrow between the two ends of a socket pair does not close it.
            if !rest[..end].ends_with('-') {
                self.at += end + 1;
                return;
            }
            from = end + 1;
        }
    }

    /// A string with C's escapes, and whether `...` follows it.
    pub(super) fn string(&mut self) -> Result<Option<(Vec<u8>, bool)>, ScenarioError> {
        let start = self.at;
        if !self.eat("\"") {
            return Ok(None);
        }
        let bytes = self.rest().as_bytes();
        let mut content = Vec::new();
        let mut i = 0;
        loop {
            match bytes.get(i) {
                None => {
                    self.at = self.end;
                    let span = self.since(start);
                    return Err(ScenarioError::new(
                        span,
                        "a string has no end",
                        "begins here",
                    ));
                }
                Some(b'"') => break,
                Some(b'\\') => match escape(&bytes[i + 1..]) {
                    Some((byte, length)) => {
                        content.push(byte);
                        i += 1 + length;
                    }
                    None => {
                        let span = Span::new(self.at + i, self.at + i + 1);
                        let message = "an unknown escape in a string";
                        return Err(ScenarioError::new(span, message, "unknown escape")
                            .help("known are \\n \\t \\r \\v \\f \\\\ \\\", octal \\0 and \\x00"));
                    }
                },
                Some(byte) => {
                    content.push(*byte);
                    i += 1;
                }
            }
        }
        self.at += i + 1;
        let more = self.rest().starts_with("...");
        if more {
            self.at += 3;
        }
        Ok(Some((content, more)))
    }

    /// An error at what stands here: `expected X, found Y`.
    pub(super) fn unexpected(&mut self, expected: &str) -> ScenarioError {
        self.skip_space();
        let rest = self.rest();
        let first = rest.chars().next();
        let length = match first {
            None => 0,
            Some(c) if c.is_ascii() && is_word(u8::try_from(c).unwrap_or(0)) => rest
                .bytes()
                .take_while(|byte| is_word(*byte))
                .count()
                .min(40),
            Some(c) => c.len_utf8(),
        };
        let found = match length {
            0 => "the end of the line".to_owned(),
            _ => format!("`{}`", rest[..length].escape_debug()),
        };
        let span = Span::new(self.at, self.at + length);
        ScenarioError::new(
            span,
            format!("expected {expected}, found {found}"),
            format!("expected {expected}"),
        )
    }
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// The byte that stands behind a backslash, and how many characters say it.
fn escape(after: &[u8]) -> Option<(u8, usize)> {
    let byte = match after.first()? {
        b'n' => b'\n',
        b't' => b'\t',
        b'r' => b'\r',
        b'v' => 0x0b,
        b'f' => 0x0c,
        b'a' => 0x07,
        b'b' => 0x08,
        b'e' => 0x1b,
        byte @ (b'\\' | b'"') => *byte,
        b'x' => {
            let digits = std::str::from_utf8(after.get(1..3)?).ok()?;
            return Some((u8::from_str_radix(digits, 16).ok()?, 3));
        }
        b'0'..=b'7' => {
            let length = after
                .iter()
                .take(3)
                .take_while(|b| matches!(b, b'0'..=b'7'))
                .count();
            let digits = std::str::from_utf8(&after[..length]).ok()?;
            return Some((u8::from_str_radix(digits, 8).ok()?, length));
        }
        _ => return None,
    };
    Some((byte, 1))
}
