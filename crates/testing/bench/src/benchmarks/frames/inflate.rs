//! The transport's decompression, the same for all who read zstd: as twilight does it, but without a new allocation for
//! each frame.

use anyhow::{Context as _, Result};
use zstd::stream::raw::{Decoder, InBuffer, Operation as _, OutBuffer};

const PIECE: usize = 32 * 1_024;

pub(super) struct Inflate {
    stream: Decoder<'static>,
    text: Vec<u8>,
}

impl Inflate {
    pub(super) fn new() -> Result<Self> {
        Ok(Self { stream: Decoder::new()?, text: vec![0; PIECE] })
    }

    /// The frame whose part of the stream this is.
    pub(super) fn frame(&mut self, part: &[u8]) -> Result<&str> {
        let mut input = InBuffer::around(part);
        let mut length = 0;
        loop {
            let mut out = OutBuffer::around(&mut self.text[length..]);
            self.stream.run(&mut input, &mut out)?;
            length += out.pos();
            if input.pos() == part.len() && length < self.text.len() {
                break;
            }
            self.text.resize(length + PIECE, 0);
        }
        std::str::from_utf8(&self.text[..length]).context("a frame is not UTF-8")
    }
}
