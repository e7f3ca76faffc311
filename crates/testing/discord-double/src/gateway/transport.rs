//! Transport compression: plain text, or one zlib or zstd stream for the whole connection, flushed at each payload.
//!
//! **Invariant:** one payload is one WebSocket message; its compressed bytes end at a flush point, so that a client can
//! read it without waiting for the next one.

use axum::extract::ws::Message;
use bytes::Bytes;
use flate2::{Compress, Compression, FlushCompress};
use zstd::stream::raw::{Encoder, InBuffer, Operation, OutBuffer};

/// How a connection's payloads are encoded.
pub(super) enum Transport {
    Plain,
    Zlib(Box<Compress>),
    Zstd(Encoder<'static>),
}

/// The client asked for a compression that does not exist, or the compressor failed.
#[derive(Debug, thiserror::Error)]
#[error("transport compression failed")]
pub(super) struct TransportError(#[source] Option<std::io::Error>);

impl Transport {
    /// The transport of the query's `compress`.
    pub(super) fn new(compress: Option<&str>) -> Result<Self, TransportError> {
        match compress {
            None | Some("") => Ok(Self::Plain),
            // The fastest levels: the double is to be no bottleneck, and loopback has no price.
            Some("zlib-stream") => Ok(Self::Zlib(Box::new(Compress::new(Compression::fast(), true)))),
            Some("zstd-stream") => Encoder::new(1).map(Self::Zstd).map_err(|e| TransportError(Some(e))),
            Some(_) => Err(TransportError(None)),
        }
    }

    /// Encodes one payload.
    pub(super) fn encode(&mut self, payload: String) -> Result<Message, TransportError> {
        match self {
            Self::Plain => Ok(Message::Text(payload.into())),
            Self::Zlib(stream) => {
                let mut out = Vec::with_capacity(payload.len() / 2 + 64);
                let start = stream.total_in();
                loop {
                    let read = usize::try_from(stream.total_in() - start).unwrap_or(usize::MAX);
                    let status = stream.compress_vec(&payload.as_bytes()[read..], &mut out, FlushCompress::Sync);
                    status.map_err(|e| TransportError(Some(e.into())))?;
                    // Spare room means that everything was flushed; otherwise there may be more to come.
                    if out.len() < out.capacity() {
                        return Ok(Message::Binary(Bytes::from(out)));
                    }
                    out.reserve(out.capacity());
                }
            }
            Self::Zstd(stream) => {
                let mut out = Vec::with_capacity(payload.len() / 2 + 64);
                let mut input = InBuffer::around(payload.as_bytes());
                while input.pos() < payload.len() {
                    with_room(&mut out, |buffer| stream.run(&mut input, buffer))?;
                }
                while with_room(&mut out, |buffer| stream.flush(buffer))? > 0 {}
                Ok(Message::Binary(Bytes::from(out)))
            }
        }
    }
}

/// Runs one step of the compressor, after what `out` holds already.
fn with_room(
    out: &mut Vec<u8>,
    step: impl FnOnce(&mut OutBuffer<'_, Vec<u8>>) -> std::io::Result<usize>,
) -> Result<usize, TransportError> {
    if out.len() == out.capacity() {
        out.reserve(out.capacity().max(256));
    }
    let len = out.len();
    let mut buffer = OutBuffer::around_pos(out, len);
    step(&mut buffer).map_err(|e| TransportError(Some(e)))
}
