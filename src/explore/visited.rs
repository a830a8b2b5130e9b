//! Which states have been seen.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::{BuildHasherDefault, Hash, Hasher};

use super::state::Actors;

/// A fingerprint and what belongs to it, in a table that is seven sixteenths full after it has grown, with
/// one byte of its own for each place.
pub const BYTES_A_STATE: usize = (size_of::<(Fingerprint, Actors)>() + 1) * 16 / 7;

/// 128 bits of hash, in halves, so that they need not be aligned to 16 bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Fingerprint {
    low: u64,
    high: u64,
}

/// Half of it is a hash already.
impl Hash for Fingerprint {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.low);
    }
}

/// Every state that was seen, with those whose steps from it need not be taken.
#[derive(Debug, Default)]
pub(super) struct Visited {
    states: HashMap<Fingerprint, Actors, BuildHasherDefault<Half>>,
}

/// What is left to do in a state.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Visit {
    /// It is new.
    First,
    /// It has been seen, but then the steps of these did not have to be taken and now they do; those of
    /// the others still need not.
    Again { missing: Actors, asleep: Actors },
    /// Everything has been done.
    Done,
}

impl Visited {
    pub(super) fn len(&self) -> usize {
        self.states.len()
    }

    /// Comes to the state with this encoding, in which the steps of `asleep` need not be taken.
    pub(super) fn visit(&mut self, encoded: &[u8], asleep: Actors) -> Visit {
        match self.states.entry(fingerprint(encoded)) {
            Entry::Vacant(place) => {
                place.insert(asleep);
                Visit::First
            }
            Entry::Occupied(mut known) => {
                let missing = known.get().without(asleep);
                if missing.is_empty() {
                    return Visit::Done;
                }
                let asleep = known.get().without(missing);
                known.insert(asleep);
                Visit::Again { missing, asleep }
            }
        }
    }

    /// Comes to it, whatever was done there before. `true` if it is new.
    pub(super) fn is_new(&mut self, encoded: &[u8]) -> bool {
        self.visit(encoded, Actors::NONE) == Visit::First
    }
}

#[expect(clippy::as_conversions, reason = "the two halves")]
#[expect(clippy::cast_possible_truncation, reason = "the two halves")]
fn fingerprint(encoded: &[u8]) -> Fingerprint {
    let hash = xxhash_rust::xxh3::xxh3_128(encoded);
    Fingerprint {
        low: hash as u64,
        high: (hash >> 64) as u64,
    }
}

/// Takes the one number that it is given.
#[derive(Debug, Default)]
pub(super) struct Half(u64);

impl Hasher for Half {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _: &[u8]) {
        unreachable!("a fingerprint is made of numbers")
    }

    fn write_u64(&mut self, half: u64) {
        self.0 = half;
    }
}
