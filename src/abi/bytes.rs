//! The bytes that read(2) and write(2) move.

use std::fmt;
use std::ops::Deref;

use smallvec::SmallVec;

/// A byte string; up to 16 bytes live inside the value, so an eventfd's eight cost no allocation.
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub struct Bytes(SmallVec<[u8; 16]>);

/// What strace shows of a longer string unless told otherwise (its option `-s`).
const SHOWN: usize = 32;

impl Bytes {
    /// The eight bytes that an eventfd takes and gives.
    pub fn from_u64(value: u64) -> Bytes {
        Bytes(SmallVec::from_slice(&value.to_ne_bytes()))
    }

    /// Appends.
    pub fn extend_from_slice(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    /// The number in exactly eight bytes.
    pub fn to_u64(&self) -> Option<u64> {
        Some(u64::from_ne_bytes(self.0.as_slice().try_into().ok()?))
    }
}

impl From<&[u8]> for Bytes {
    fn from(bytes: &[u8]) -> Bytes {
        Bytes(SmallVec::from_slice(bytes))
    }
}

impl From<Vec<u8>> for Bytes {
    fn from(bytes: Vec<u8>) -> Bytes {
        Bytes(SmallVec::from_vec(bytes))
    }
}

impl Deref for Bytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// strace's spelling: a C string with the shortest octal escapes, cut after 32 bytes with `...`.
impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = &self.0[..self.0.len().min(SHOWN)];
        f.write_str("\"")?;
        for (i, &byte) in shown.iter().enumerate() {
            match byte {
                b'"' => f.write_str("\\\"")?,
                b'\\' => f.write_str("\\\\")?,
                b'\n' => f.write_str("\\n")?,
                b'\t' => f.write_str("\\t")?,
                b'\r' => f.write_str("\\r")?,
                0x0b => f.write_str("\\v")?,
                0x0c => f.write_str("\\f")?,
                0x20..=0x7e => write!(f, "{}", char::from(byte))?,
                // A digit behind a short escape would be read as part of it.
                _ if shown.get(i + 1).is_some_and(u8::is_ascii_digit) => write!(f, "\\{byte:03o}")?,
                _ => write!(f, "\\{byte:o}")?,
            }
        }
        f.write_str(if self.0.len() > SHOWN { "\"..." } else { "\"" })
    }
}

#[cfg(test)]
mod tests {
    use super::Bytes;

    #[test]
    fn prints_as_strace_does() {
        assert_eq!(Bytes::from_u64(1).to_string(), r#""\1\0\0\0\0\0\0\0""#);
        assert_eq!(
            Bytes::from(&b"a\x001\n\xff"[..]).to_string(),
            r#""a\0001\n\377""#
        );
        assert_eq!(
            Bytes::from(vec![b'x'; 33]).to_string(),
            format!("\"{}\"...", "x".repeat(32))
        );
    }
}
