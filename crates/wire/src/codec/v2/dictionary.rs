//! The ids of an envelope, each once, in the order they occur.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use super::super::NONE;

/// Ids are spread by their time already; one multiplication carries that into the bits that a table looks at.
#[derive(Default)]
struct Spread(u64);

impl Hasher for Spread {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn write_u64(&mut self, id: u64) {
        let mixed = (self.0 ^ id).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 = mixed ^ (mixed >> 32);
    }
}

#[derive(Default)]
pub(super) struct Dictionary {
    known: HashMap<u64, u64, BuildHasherDefault<Spread>>,
    bytes: Vec<u8>,
}

impl Dictionary {
    pub(super) fn clear(&mut self) {
        self.known.clear();
        self.bytes.clear();
    }

    /// The id's place, beginning with 1; 0 stands for none.
    pub(super) fn index(&mut self, id: u64) -> u64 {
        if id == NONE {
            return 0;
        }
        let next = self.known.len() as u64 + 1;
        *self.known.entry(id).or_insert_with(|| {
            self.bytes.extend_from_slice(&id.to_le_bytes());
            next
        })
    }

    pub(super) fn len(&self) -> u64 {
        self.known.len() as u64
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.bytes);
    }
}
