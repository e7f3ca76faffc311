//! Text form of an envelope: `g2:<crc32, hex>:<base64 of zstd of columns>`; version 1 had JSON instead of [columns](v2).
//!
//! The checksum covers the compressed bytes, and from version 2 on the version itself.
//!
//! **Invariant:** decoding never panics, and decompresses to at most [`MAX_DECODED_BYTES`], whatever the input; the events
//! read from them take some twenty times that.
//! **Invariant:** a body damaged on the way is [`DecodeError::Damaged`], never a wrong envelope; one that was made
//! wrong is [`DecodeError::Malformed`].

mod bytes;
mod v1;
mod v2;

use std::cell::RefCell;
use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use zstd::bulk::{Compressor, Decompressor};

use crate::envelope::Envelope;

/// The largest body that is accepted: the size limit of an SQS message.
pub const MAX_BODY_BYTES: usize = 1_048_576;
/// The most a body may decompress to.
pub const MAX_DECODED_BYTES: usize = 4 * 1_048_576;

const V1: &str = "g1:";
const V2: &str = "g2:";
/// Higher levels cost more time than the bytes they save: most of what is left are ids, which do not compress.
const ZSTD_LEVEL: i32 = 1;
/// Stands for "none" among ids, which are never zero.
const NONE: u64 = 0;
const ROSTER: u8 = 254;
const PRESENT: u8 = 255;

/// Why a body is not an envelope.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// The body was changed on the way; the sender's copy is good, so another delivery may succeed.
    #[error("the envelope was damaged on the way: {0}")]
    Damaged(&'static str),
    /// The body is as it was made, and it was made wrong; no delivery will succeed.
    #[error("the envelope is malformed: {0}")]
    Malformed(&'static str),
    /// As [`DecodeError::Malformed`], found while reading JSON.
    #[error("the envelope's JSON is malformed")]
    Json(#[source] serde_json::Error),
}

impl DecodeError {
    /// Whether the same message may be readable when it is delivered again.
    pub const fn is_retryable(&self) -> bool {
        matches!(self, Self::Damaged(_))
    }
}

/// What encoding needs again and again. A compressor is much dearer to make than to use.
struct Encoder {
    columns: v2::Writer,
    zstd: Compressor<'static>,
    compressed: Vec<u8>,
}

thread_local! {
    static ENCODER: RefCell<Option<Encoder>> = const { RefCell::new(None) };
    static DECODER: RefCell<Option<Decompressor<'static>>> = const { RefCell::new(None) };
}

impl Encoder {
    fn new() -> Self {
        let zstd = Compressor::new(ZSTD_LEVEL).expect("the level exists");
        Self { columns: v2::Writer::default(), zstd, compressed: Vec::new() }
    }

    fn encode(&mut self, envelope: &Envelope) -> String {
        let columns = self.columns.write(envelope);
        self.compressed.clear();
        self.compressed.reserve(zstd::zstd_safe::compress_bound(columns.len()));
        self.zstd.compress_to_buffer(columns, &mut self.compressed).expect("compression into memory succeeds");
        let mut body = String::with_capacity(V2.len() + 9 + self.compressed.len().div_ceil(3) * 4);
        body.push_str(V2);
        write!(body, "{:08x}:", checksum(V2, &self.compressed)).expect("writing to a string succeeds");
        BASE64.encode_string(&self.compressed, &mut body);
        body
    }
}

/// The body of the SQS message that carries the envelope.
///
/// # Panics
/// Never: compression into memory that is large enough cannot fail.
pub fn encode(envelope: &Envelope) -> String {
    ENCODER.with_borrow_mut(|encoder| encoder.get_or_insert_with(Encoder::new).encode(envelope))
}

/// Reads the body of an SQS message.
///
/// # Errors
/// When the body was damaged on the way, or was made wrong.
pub fn decode(body: &str) -> Result<Envelope, DecodeError> {
    if body.len() > MAX_BODY_BYTES {
        return Err(DecodeError::Malformed("larger than a queue's message can be"));
    }
    let version = [V1, V2].into_iter().find(|version| body.starts_with(version));
    let version = version.ok_or(DecodeError::Malformed("not an envelope of a known version"))?;
    let (stated, payload) = body[version.len()..].split_once(':').ok_or(DecodeError::Damaged("no checksum"))?;
    let stated = u32::from_str_radix(stated, 16).map_err(|_| DecodeError::Damaged("checksum is not a number"))?;
    let compressed = BASE64.decode(payload).map_err(|_| DecodeError::Damaged("not base64"))?;
    if checksum(version, &compressed) != stated {
        return Err(DecodeError::Damaged("checksum differs"));
    }
    let bytes = DECODER
        .with_borrow_mut(|decoder| match decoder {
            Some(decoder) => decoder.decompress(&compressed, MAX_DECODED_BYTES),
            none => none.insert(Decompressor::new()?).decompress(&compressed, MAX_DECODED_BYTES),
        })
        .map_err(|_| DecodeError::Malformed("does not decompress, or to more than is allowed"))?;
    let envelope = if version == V1 { v1::read(&bytes) } else { v2::read(&bytes) }?;
    match envelope.range {
        Some(range) if range.first == 0 || range.last < range.first || range.last > i64::MAX as u64 - 1 => {
            Err(DecodeError::Malformed("a range that ends before it begins"))
        }
        range if envelope.events.iter().any(|event| range.is_none_or(|range| !range.contains(event.seq))) => {
            Err(DecodeError::Malformed("an event outside its envelope's range"))
        }
        _ => Ok(envelope),
    }
}

/// A changed version would otherwise turn damage into a mistake.
fn checksum(version: &str, compressed: &[u8]) -> u32 {
    let mut checksum = crc32fast::Hasher::new();
    if version != V1 {
        checksum.update(version.as_bytes());
    }
    checksum.update(compressed);
    checksum.finalize()
}
