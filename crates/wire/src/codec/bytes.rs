//! Numbers and texts as bytes.
//!
//! **Invariant:** reading never panics, and never takes more than there is.

use super::DecodeError;

/// Appends an unsigned LEB128 number.
pub(super) fn varint(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number.to_le_bytes()[0] | 0x80);
        number >>= 7;
    }
    out.push(number.to_le_bytes()[0]);
}

/// Appends a number that may be negative: the sign goes into the lowest bit.
pub(super) fn signed(out: &mut Vec<u8>, number: i64) {
    varint(out, (number << 1 ^ number >> 63).cast_unsigned());
}

/// What is left to read.
pub(super) struct Reader<'a>(&'a [u8]);

const SHORT: DecodeError = DecodeError::Malformed("it ends before its rows do");

impl<'a> Reader<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(super) fn varint(&mut self) -> Result<u64, DecodeError> {
        let mut number = 0_u64;
        for shift in (0..u64::BITS).step_by(7) {
            let (byte, rest) = self.0.split_first().ok_or(SHORT)?;
            self.0 = rest;
            let bits = u64::from(byte & 0x7f);
            // The tenth byte has room for one bit.
            if shift == 63 && bits > 1 {
                break;
            }
            number |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err(DecodeError::Malformed("a number beyond 64 bits"))
    }

    pub(super) fn number<T: TryFrom<u64>>(&mut self) -> Result<T, DecodeError> {
        T::try_from(self.varint()?).map_err(|_| DecodeError::Malformed("a number that is too large"))
    }

    pub(super) fn signed(&mut self) -> Result<i64, DecodeError> {
        let number = self.varint()?;
        Ok((number >> 1).cast_signed() ^ -(number & 1).cast_signed())
    }

    /// So many bytes.
    pub(super) fn take(&mut self, count: u64) -> Result<&'a [u8], DecodeError> {
        let (taken, rest) =
            usize::try_from(count).ok().and_then(|count| self.0.split_at_checked(count)).ok_or(SHORT)?;
        self.0 = rest;
        Ok(taken)
    }

    /// An id of eight bytes.
    pub(super) fn id(&mut self) -> Result<u64, DecodeError> {
        let (bytes, rest) = self.0.split_first_chunk().ok_or(SHORT)?;
        self.0 = rest;
        Ok(u64::from_le_bytes(*bytes))
    }

    pub(super) fn text(&mut self) -> Result<String, DecodeError> {
        let length = self.varint()?;
        let text =
            std::str::from_utf8(self.take(length)?).map_err(|_| DecodeError::Malformed("a text is not UTF-8"))?;
        Ok(text.to_owned())
    }

    /// Nothing is left.
    pub(super) fn end(&self) -> Result<(), DecodeError> {
        if self.0.is_empty() { Ok(()) } else { Err(DecodeError::Malformed("there is more after its rows")) }
    }
}
