//! What leaves a shard: closed envelopes to the journal, watermarks to whoever keeps them.
//!
//! **Invariant:** an envelope is registered with the watermarks before any of them may pass it.

use std::sync::Arc;

use guildhall_domain::{ShardId, Timestamp};
use tokio::time::Instant;

use super::{End, Reader};
use crate::journal::{Entry, Unusable};

/// The most guilds a shard may have (Discord documentation, "Sharding").
const MAX_GUILDS: usize = 2_500;

impl Reader<'_> {
    pub(super) fn close_due(&mut self) {
        if let Some(batcher) = &mut self.batcher {
            batcher.close_due(Instant::now(), &mut self.closed);
        }
    }

    pub(super) fn measure(&mut self, slot: Timestamp) {
        let guilds = self.gauges.guilds();
        if guilds > MAX_GUILDS {
            tracing::warn!(
                shard = %self.lease.shard(),
                guilds,
                "more guilds than Discord allows a shard; the next session may be refused, see RUNNER_SHARD_COUNT"
            );
        }
        if let Some(batcher) = &mut self.batcher {
            batcher.gauges(self.gauges.measure(slot), Instant::now(), &mut self.closed);
        }
    }

    /// Lets the watermarks follow what was read and carries nothing countable.
    pub(super) async fn advance(&mut self) -> Result<(), End> {
        let Some(batcher) = &self.batcher else { return Ok(()) };
        let session = &batcher.origin().session_id;
        let mark = batcher.mark();
        // Closed envelopes are registered before the watermark may pass them.
        if self.closed.is_empty() {
            self.deps.marks.advance(session, mark);
            if mark.seq > self.advanced {
                self.advanced = mark.seq;
                self.deps.journal.advance(self.lease.shard(), session.clone(), mark).await?;
            }
        }
        let accepted = self.deps.marks.mark(session).map_or(0, |mark| mark.seq);
        let lag = batcher.read().seq.saturating_sub(accepted);
        self.deps.status.read(self.lease.shard(), batcher.read().seq, lag);
        let shard = self.lease.shard().to_string();
        metrics::gauge!("watermark_lag_events", "shard" => shard.clone()).set(float(lag));
        metrics::gauge!("guilds", "shard" => shard.clone()).set(float(self.gauges.guilds() as u64));
        metrics::gauge!("queue_depth", "queue" => format!("batch-{shard}")).set(float(batcher.buffered() as u64));
        Ok(())
    }

    /// Hands closed envelopes to the journal; gives back their ids. When it is cut off, nothing is lost: an envelope
    /// stays, with its id, until the journal has it.
    pub(super) async fn submit(&mut self) -> Result<Vec<i64>, Unusable> {
        let mut ids = Vec::new();
        while let Some(batch) = self.closed.first() {
            let id = *self.next_id.get_or_insert_with(|| self.deps.journal.next_id());
            let session: Arc<str> = match &self.batcher {
                Some(batcher) if *batcher.origin().session_id == *batch.envelope.session_id => {
                    batcher.origin().session_id.clone()
                }
                _ => batch.envelope.session_id.as_str().into(),
            };
            let entry = Entry {
                id,
                class: batch.envelope.class,
                shard: batch.envelope.shard,
                session: session.clone(),
                first_event: batch.first_event,
                first_at: batch.first_at,
                body: guildhall_wire::encode(&batch.envelope),
            };
            self.deps.marks.submitted(&session, id, batch.first_event, batch.first_at, Some(batch.mark));
            self.deps.journal.append(entry, batch.mark).await?;
            self.next_id = None;
            self.closed.remove(0);
            ids.push(id);
        }
        Ok(ids)
    }
}

/// The shard is no longer read here: what it was like is not how it is.
pub(super) fn forget(shard: ShardId) {
    let shard = shard.to_string();
    metrics::gauge!("watermark_lag_events", "shard" => shard.clone()).set(0.0);
    metrics::gauge!("guilds", "shard" => shard.clone()).set(0.0);
    metrics::gauge!("queue_depth", "queue" => format!("batch-{shard}")).set(0.0);
    metrics::gauge!("queue_depth", "queue" => format!("inbox-{shard}")).set(0.0);
}

#[expect(clippy::cast_precision_loss, reason = "a gauge; the values stay far below 2^52")]
fn float(value: u64) -> f64 {
    value as f64
}
