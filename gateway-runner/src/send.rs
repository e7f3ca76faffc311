//! From the journal to SQS.
//!
//! **Invariant:** an envelope leaves the journal only after SQS accepted it; whatever fails is sent again, and nothing is
//! dropped.
//! **Invariant:** the most urgent class goes first, and within a class the oldest; while SQS is away the journal fills up
//! to its bound.

use std::collections::HashMap;
use std::time::Duration;

use guildhall_queue::{MAX_BATCH_BYTES, MAX_BATCH_ENTRIES, Sqs};
use guildhall_runtime::telemetry::chain;
use tokio::time::Instant;

use crate::journal::{Entry, Journal, Unusable};
use crate::watermark::Watermarks;

/// The first pause after a failure; it doubles up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// How long an envelope that SQS finds fault with steps aside for the others.
const STEP_ASIDE: Duration = Duration::from_secs(30);

/// The sender of one queue.
pub struct Sender {
    /// The client.
    pub sqs: Sqs,
    /// The queue.
    pub queue_url: String,
    /// The queue's number.
    pub partition: u32,
    /// Where the envelopes are.
    pub journal: Journal,
    /// Who must know of their acceptance.
    pub marks: Watermarks,
}

impl Sender {
    /// Sends for ever.
    ///
    /// # Errors
    /// When the journal can no longer be used.
    pub async fn run(self) -> Result<(), Unusable> {
        let mut pause = FIRST_PAUSE;
        let mut aside: HashMap<i64, Instant> = HashMap::new();
        loop {
            // Made before the fetch, so that what is committed during it is not missed.
            let committed = self.journal.committed();
            let now = Instant::now();
            aside.retain(|_, until| *until > now);
            let except = aside.keys().copied().collect();
            let entries = self.journal.fetch(self.partition, MAX_BATCH_ENTRIES, MAX_BATCH_BYTES, except).await?;
            if entries.is_empty() {
                // The timeout brings back those that stepped aside.
                let _elapsed = tokio::time::timeout(STEP_ASIDE, committed).await.is_err();
                continue;
            }
            pause = match self.deliver(&entries, &mut aside).await? {
                true => FIRST_PAUSE,
                false => {
                    tokio::time::sleep(pause).await;
                    (pause * 2).min(LONGEST_PAUSE)
                }
            };
        }
    }

    /// Sends one batch, or its envelopes one by one when SQS finds fault with the whole; `false` asks for a pause.
    async fn deliver(&self, entries: &[Entry], aside: &mut HashMap<i64, Instant>) -> Result<bool, Unusable> {
        match self.send(entries, aside).await? {
            Sent::Batch { complete } => Ok(complete),
            Sent::Failed => Ok(false),
            Sent::Refused => {
                let mut complete = true;
                for entry in entries {
                    match self.send(std::slice::from_ref(entry), aside).await? {
                        Sent::Batch { complete: taken } => complete &= taken,
                        Sent::Failed => return Ok(false),
                        Sent::Refused => step_aside(entry, aside),
                    }
                }
                Ok(complete)
            }
        }
    }

    async fn send(&self, entries: &[Entry], aside: &mut HashMap<i64, Instant>) -> Result<Sent, Unusable> {
        let bodies: Vec<_> = entries.iter().map(|entry| (entry.id.to_string(), entry.body.clone())).collect();
        let rejected = match self.sqs.send_batch(&self.queue_url, &bodies).await {
            Ok(rejected) => rejected,
            Err(error) => {
                metrics::counter!("sqs_send_failures_total").increment(1);
                tracing::error!(
                    queue = self.queue_url,
                    error = chain(&error),
                    "the event queue does not accept messages; they stay in the journal"
                );
                return Ok(if error.is_senders_fault() { Sent::Refused } else { Sent::Failed });
            }
        };
        let mut accepted = Vec::with_capacity(entries.len());
        let mut complete = true;
        for (entry, (name, _)) in entries.iter().zip(&bodies) {
            let Some(rejection) = rejected.iter().find(|rejected| rejected.id == *name) else {
                accepted.push(entry);
                continue;
            };
            metrics::counter!("sqs_send_failures_total").increment(1);
            tracing::error!(
                queue = self.queue_url,
                code = rejection.code,
                sender_fault = rejection.sender_fault,
                bytes = entry.body.len(),
                class = entry.class.name(),
                "the event queue rejected an envelope; it stays in the journal"
            );
            if rejection.sender_fault {
                step_aside(entry, aside);
            } else {
                complete = false;
            }
        }
        let count = u64::try_from(accepted.len()).unwrap_or(u64::MAX);
        metrics::counter!("envelopes_sent_total").increment(count);
        self.journal.accepted(accepted.iter().map(|entry| entry.id).collect()).await?;
        for entry in accepted {
            self.marks.accepted(&entry.session, entry.id, entry.first_event);
        }
        Ok(Sent::Batch { complete })
    }
}

/// What became of a call.
enum Sent {
    /// SQS took the call; `complete` unless it asks to send some of it again.
    Batch { complete: bool },
    /// SQS did not take the call, and may later.
    Failed,
    /// SQS finds fault with the call as such.
    Refused,
}

/// Perhaps the queue allows smaller messages only, which the operator can mend: the envelope waits, the others go on.
fn step_aside(entry: &Entry, aside: &mut HashMap<i64, Instant>) {
    metrics::counter!("envelopes_set_aside_total").increment(1);
    tracing::error!(
        id = entry.id,
        shard = %entry.shard,
        bytes = entry.body.len(),
        class = entry.class.name(),
        "the event queue will not take this envelope as it is; it stays in the journal and is tried again"
    );
    aside.insert(entry.id, Instant::now() + STEP_ASIDE);
}
