//! The runner's own path.

use std::sync::Arc;

use anyhow::{Context as _, Result};
use guildhall_domain::{ShardId, Timestamp};
use guildhall_gateway_runner::batch::{Batch, Batcher, Origin};
use guildhall_gateway_runner::project::{self, Dispatch, Frame};
use guildhall_gateway_runner::watermark::Mark;
use guildhall_wire::{Envelope, Event};
use tokio::time::Instant;

use super::Reader;
use crate::digest::Digest;
use crate::recording;

/// After everything in the recording.
const RECEIVED: Timestamp = Timestamp::from_millis(recording::START + 86_400_000);

/// As many frames as the runner takes in one go, before it looks at what is due.
const BURST: usize = 64;

pub(in crate::benchmarks) struct Ours {
    frames: usize,
    batcher: Option<Batcher>,
    events: Vec<Event>,
    closed: Vec<Batch>,
    bodies: Vec<String>,
}

impl Ours {
    pub(in crate::benchmarks) const fn new() -> Self {
        Self { frames: 0, batcher: None, events: Vec::new(), closed: Vec::new(), bodies: Vec::new() }
    }

    fn batcher(seq: u64) -> Batcher {
        let origin = Origin {
            shard: ShardId { id: 0, count: 1 },
            session_id: Arc::from("0000019c8b2f7a000000000000000001"),
            started: Timestamp::from_millis(recording::START),
            class_map: guildhall_domain::event::ClassMap::CURRENT,
        };
        Batcher::new(origin, Mark { seq: seq - 1, at: RECEIVED })
    }

    /// What the bodies made so far hold.
    pub(super) fn envelopes(&self) -> Result<Vec<Envelope>> {
        self.bodies.iter().map(|body| Ok(guildhall_wire::decode(body)?)).collect()
    }

    fn encode(&mut self) {
        self.bodies.extend(self.closed.drain(..).map(|batch| guildhall_wire::encode(&batch.envelope)));
    }
}

impl Reader for Ours {
    fn frame(&mut self, text: &str) -> Result<()> {
        let frame = Frame::peek(text).context("the frame is no JSON object")?;
        let (Some(seq), Some(name)) = (frame.seq, frame.name) else { return Ok(()) };
        if let Some(dispatch) = Dispatch::from_name(name) {
            project::project(dispatch, &frame, seq, RECEIVED, &mut self.events)?;
        }
        let batcher = self.batcher.get_or_insert_with(|| Self::batcher(seq));
        batcher.frame(Mark { seq, at: RECEIVED }, &mut self.events, Instant::now(), &mut self.closed);
        self.frames += 1;
        if self.frames.is_multiple_of(BURST) {
            batcher.close_due(Instant::now(), &mut self.closed);
        }
        if !self.closed.is_empty() {
            self.encode();
        }
        Ok(())
    }

    fn finish(&mut self) {
        if let Some(batcher) = &mut self.batcher {
            batcher.close_all(&mut self.closed);
        }
        self.encode();
    }

    fn digest(&self) -> Result<Option<Digest>> {
        let mut digest = Digest::default();
        self.envelopes()?.iter().for_each(|envelope| digest.envelope(envelope));
        Ok(Some(digest))
    }
}
