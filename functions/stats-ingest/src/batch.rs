//! Envelopes that are counted in one transaction, or, if one of them is poison, in as few as it takes to find it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use guildhall_domain::Timestamp;
use guildhall_runtime::{Delivery, Failure};
use guildhall_store::ingest::{self, Applied};
use guildhall_store::{PgPool, StoreError};
use guildhall_wire::{Envelope, EventBody};
use tokio::time::Instant;

/// A message whose body was read.
pub(crate) struct Message {
    id: String,
    envelope: Envelope,
}

/// Reads a message's body.
pub(crate) fn read(delivery: Delivery, now: Timestamp) -> Result<Message, Failure> {
    let Delivery { message_id: id, body, .. } = delivery;
    let envelope = match guildhall_wire::decode(&body) {
        Ok(envelope) => envelope,
        Err(error) if error.is_retryable() => return Err(Failure::retry(id, error)),
        Err(error) => return Err(Failure::fail(id, error)),
    };
    match ingest::check(&envelope, now) {
        Ok(()) => Ok(Message { id, envelope }),
        Err(error) => Err(Failure::fail(id, error)),
    }
}

/// One error, told for each message it befell.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the batch was not counted")]
struct NotCounted(#[source] Arc<StoreError>);

/// Left for the next delivery.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("so much of the batch was refused that there was no time for the rest of it")]
struct OutOfTime;

/// Messages to be counted together.
#[derive(Default)]
pub(crate) struct Batch {
    messages: Vec<Message>,
    /// Events, gauges and gaps.
    weight: usize,
}

impl Batch {
    pub(crate) fn push(&mut self, message: Message) {
        let Envelope { events, gauges, gaps, .. } = &message.envelope;
        self.weight += events.len() + gauges.len() + gaps.len();
        self.messages.push(message);
    }

    pub(crate) const fn weight(&self) -> usize {
        self.weight
    }

    /// Counts the messages. Where the database refuses data, halves are tried until the poison stands alone, and where the
    /// whole is too much for it, until the parts are not, or until
    /// `deadline`: what is left then is delivered again, in a batch without what was counted.
    pub(crate) async fn count(self, pool: &PgPool, now: Timestamp, deadline: tokio::time::Instant) -> Vec<Failure> {
        let mut failures = Vec::new();
        let mut parts = vec![&self.messages[..]];
        let mut ended = false;
        while let Some(part) = parts.pop() {
            if part.is_empty() {
                continue;
            }
            if tokio::time::Instant::now() >= deadline {
                failures.extend(part.iter().map(|message| Failure::retry(&message.id, OutOfTime)));
                continue;
            }
            let began = Instant::now();
            match apply(pool, part, now).await {
                Ok(Applied { events, duplicates, guilds }) => {
                    measure(part, duplicates, began.elapsed(), now);
                    tracing::info!(messages = part.len(), events, duplicates, guilds, "batch counted");
                }
                Err(error) if (error.is_data() || error.is_too_much()) && part.len() > 1 => {
                    let (left, right) = part.split_at(part.len() / 2);
                    parts.extend([right, left]);
                }
                Err(error) if error.is_data() => {
                    let error = NotCounted(Arc::new(error));
                    failures.extend(part.iter().map(|message| Failure::fail(&message.id, error.clone())));
                }
                Err(error) if error.is_too_much() => {
                    let error = NotCounted(Arc::new(error));
                    failures.extend(part.iter().map(|message| Failure::retry(&message.id, error.clone())));
                }
                Err(error) if error.is_lock_timeout() && !ended && end_stuck(pool).await > 0 => {
                    ended = true;
                    parts.push(part);
                }
                Err(error) => {
                    // Nothing is wrong with the messages, nor with their number, so the rest would fare no better.
                    let error = NotCounted(Arc::new(error));
                    let rest = part.iter().chain(parts.drain(..).flatten());
                    failures.extend(rest.map(|message| Failure::retry(&message.id, error.clone())));
                }
            }
        }
        failures
    }
}

/// Counts what was counted; summed up first, because a batch has tens of thousands of events.
fn measure(part: &[Message], duplicates: u64, took: Duration, now: Timestamp) {
    let mut kinds: BTreeMap<&'static str, u64> = BTreeMap::new();
    for event in part.iter().flat_map(|message| &message.envelope.events) {
        let kind = match event.body {
            EventBody::Count { kind, .. } => kind.name(),
            EventBody::VoicePresent { .. } => "voice_present",
            EventBody::VoiceRoster => "voice_roster",
        };
        *kinds.entry(kind).or_default() += 1;
    }
    for (kind, count) in kinds {
        metrics::counter!("events_processed_total", "type" => kind).increment(count);
    }
    metrics::histogram!("event_processing_duration_seconds", "type" => "batch").record(took.as_secs_f64());
    metrics::counter!("events_duplicate_total").increment(duplicates);
    let gaps: usize = part.iter().map(|message| message.envelope.gaps.len()).sum();
    metrics::counter!("coverage_gaps_total").increment(gaps as u64);
    if let Some(newest) = part.iter().flat_map(|message| &message.envelope.events).map(|event| event.at).max() {
        // Clocks differ a little: what seems to come from the future has just happened.
        let millis = u32::try_from(now.millis_since(newest).max(0)).unwrap_or(u32::MAX);
        metrics::gauge!("ingest_lag_seconds").set(f64::from(millis) / 1_000.0);
    }
}

async fn apply(pool: &PgPool, part: &[Message], now: Timestamp) -> Result<Applied, StoreError> {
    let envelopes: Vec<&Envelope> = part.iter().map(|message| &message.envelope).collect();
    let mut db = pool.acquire().await?;
    ingest::apply(&mut db, &envelopes, now).await
}

/// Ends what held the locks, if it is stuck for good; says how many there were.
async fn end_stuck(pool: &PgPool) -> u64 {
    let ended = async {
        let mut db = pool.acquire().await?;
        ingest::end_stuck(&mut db).await
    };
    match ended.await {
        Ok(0) => 0,
        Ok(ended) => {
            tracing::warn!(ended, "transactions whose functions had gone were ended");
            ended
        }
        Err(error) => {
            tracing::warn!(
                error = guildhall_runtime::telemetry::chain(&error),
                "stuck transactions cannot be looked for"
            );
            0
        }
    }
}
