//! Where the members of a JSON object stand, found 64 bytes at a time without reading what they say.
//!
//! **Invariant:** where the text begins with an object that is JSON, the members found are its own, not those of objects
//! within it, in order, and all whose keys may be wanted. Whatever else the text is, nothing panics.

use wide::u8x16;

/// Bytes that are looked at together: as many as a mask has bits.
const BLOCK: usize = 64;
/// The most members that are kept. Discord's objects have fewer that may be wanted.
const MOST: usize = 48;

/// Which keys may be wanted, by the last letter of each. That is enough to pass over most of what is not.
#[derive(Clone, Copy)]
pub(super) struct Wanted(u32);

impl Wanted {
    pub(super) fn new(keys: &[&str]) -> Self {
        Self(keys.iter().filter_map(|key| key.bytes().last()).fold(0, |wanted, last| wanted | Self::bit(last)))
    }

    const fn bit(last: u8) -> u32 {
        1 << (last % 32)
    }
}

/// The members of an object, by the places of their colons.
pub(super) struct Members {
    colons: [u32; MOST],
    count: usize,
    /// Behind the object.
    pub(super) end: usize,
}

/// A bit for each byte of a block.
struct Masks {
    quotes: u64,
    colons: u64,
    opens: u64,
    closes: u64,
    escapes: bool,
}

impl Masks {
    #[inline]
    fn of(block: &[u8; BLOCK]) -> Self {
        let (parts, _) = block.as_chunks::<16>();
        let mut masks = Self { quotes: 0, colons: 0, opens: 0, closes: 0, escapes: false };
        let mut escapes = u8x16::ZERO;
        for (place, part) in parts.iter().enumerate() {
            let bytes = u8x16::new(*part);
            // `[` and `{` differ in one bit, as do `]` and `}`.
            let folded = bytes | u8x16::splat(0x20);
            let mask = |bytes: u8x16, byte| u64::from(bytes.simd_eq(u8x16::splat(byte)).to_bitmask()) << (place * 16);
            masks.quotes |= mask(bytes, b'"');
            masks.colons |= mask(bytes, b':');
            masks.opens |= mask(folded, b'{');
            masks.closes |= mask(folded, b'}');
            escapes |= bytes.simd_eq(u8x16::splat(b'\\'));
        }
        masks.escapes = escapes.to_bitmask() != 0;
        masks
    }
}

/// For each bit whether an odd number of bits up to it is set.
const fn parity(mut bits: u64) -> u64 {
    let mut shift = 1;
    while shift < u64::BITS {
        bits ^= bits << shift;
        shift *= 2;
    }
    bits
}

impl Members {
    /// Those of the object that the text begins with; `None` where it takes a closer look: where there are escapes, which
    /// hide what a quote means, or too many members, or no object.
    pub(super) fn of(text: &str, wanted: Wanted) -> Option<Self> {
        let bytes = text.as_bytes();
        if bytes.first() != Some(&b'{') {
            return None;
        }
        let mut members = Self { colons: [0; MOST], count: 0, end: 0 };
        // All ones while a string goes on.
        let mut inside = 0_u64;
        let mut depth = 0_i32;
        let (blocks, rest) = bytes.as_chunks::<BLOCK>();
        let mut last = [b' '; BLOCK];
        last[..rest.len()].copy_from_slice(rest);
        for (place, block) in blocks.iter().chain([&last]).enumerate() {
            let masks = Masks::of(block);
            if masks.escapes {
                return None;
            }
            let base = place * BLOCK;
            // The quote that ends a string is not part of it, which makes no difference here.
            let strings = parity(masks.quotes) ^ inside;
            inside = 0_u64.wrapping_sub(strings >> 63);
            let mut colons = masks.colons & !strings;
            let mut brackets = (masks.opens | masks.closes) & !strings;
            while brackets != 0 {
                let bracket = brackets & brackets.wrapping_neg();
                if depth == 1 {
                    members.keep(bytes, base, colons & (bracket - 1), wanted)?;
                }
                colons &= !(bracket - 1);
                brackets &= brackets - 1;
                depth += if masks.opens & bracket == 0 { -1 } else { 1 };
                if depth == 0 {
                    members.end = base + bracket.trailing_zeros() as usize + 1;
                    return Some(members);
                }
            }
            if depth == 1 {
                members.keep(bytes, base, colons, wanted)?;
            }
        }
        None
    }

    #[inline]
    fn keep(&mut self, bytes: &[u8], base: usize, mut colons: u64, wanted: Wanted) -> Option<()> {
        while colons != 0 {
            let at = base + colons.trailing_zeros() as usize;
            colons &= colons - 1;
            // A key with its quotes; anything else between them and the colon takes a closer look.
            let [letter, b'"'] = *bytes.get(at.checked_sub(2)?..at)? else { return None };
            if wanted.0 & Wanted::bit(letter) != 0 {
                *self.colons.get_mut(self.count)? = u32::try_from(at).ok()?;
                self.count += 1;
            }
        }
        Some(())
    }

    /// Each key, and the text from its value on.
    pub(super) fn iter<'a>(&self, text: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.colons[..self.count].iter().filter_map(move |at| {
            let at = *at as usize;
            let (before, value) = (text.get(..at - 1)?, text.get(at + 1..)?);
            let quote = before.bytes().rposition(|byte| byte == b'"')?;
            Some((before.get(quote + 1..)?, value))
        })
    }
}
