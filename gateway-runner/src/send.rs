//! From the journal to SQS.
//!
//! **Invariant:** an envelope leaves the journal only after SQS accepted it; whatever fails is sent again, and nothing is
//! dropped.
//! **Invariant:** the most urgent class is taken next, and within a class the oldest; while SQS is away the journal fills
//! up to its bound.
//! **Invariant:** an envelope waits for others to travel with only while a call is under way, and at most [`COMPANY`].
//! **Invariant:** at most [`CALLS`] calls are under way, no envelope in two of them, and only one while SQS does not take
//! what it is sent.

use std::collections::{HashMap, HashSet};
use std::pin::pin;
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt as _};
use guildhall_queue::{MAX_BATCH_BYTES, MAX_BATCH_ENTRIES, Sqs};
use guildhall_runtime::telemetry::chain;
use tokio::time::Instant;

use crate::journal::{Entry, Journal, Unusable};
use crate::watermark::Watermarks;

/// Calls under way at a time. A call takes some ten milliseconds, nearly all of it on the way to SQS and back: one after
/// the other they would carry some fifty thousand events a second, which is no more than a busy queue's arrivals.
const CALLS: usize = 8;
/// The first pause after a failure; it doubles up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// How long envelopes wait for others to travel with, while a call is under way anyway. A call costs the same for one as
/// for ten, in money and in time, and takes longer than this.
const COMPANY: Duration = Duration::from_millis(10);
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

/// What is going on between the journal and the queue.
#[derive(Default)]
struct Traffic {
    /// Envelopes of the calls under way.
    sending: HashSet<i64>,
    /// Envelopes that stepped aside, and until when.
    aside: HashMap<i64, Instant>,
    /// The last failure; `None` when SQS takes what it is sent.
    trouble: Option<Trouble>,
}

/// SQS did not take what it was sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Trouble {
    /// When the last call failed that was begun after the failure before.
    at: Instant,
    /// How long nothing is sent after it.
    pause: Duration,
}

impl Traffic {
    fn most(&self) -> usize {
        if self.trouble.is_some() { 1 } else { CALLS }
    }

    /// Until when nothing is sent.
    fn paused(&self, now: Instant) -> Option<Instant> {
        self.trouble.map(|trouble| trouble.at + trouble.pause).filter(|until| *until > now)
    }

    /// Learns from a call that has ended.
    fn ended(&mut self, delivered: Delivered, now: Instant) {
        for id in &delivered.ids {
            self.sending.remove(id);
        }
        self.aside.extend(delivered.aside.into_iter().map(|id| (id, now + STEP_ASIDE)));
        if delivered.complete {
            // Nor does one from before that came through tell that it is over.
            self.trouble = self.trouble.filter(|trouble| delivered.began < trouble.at);
            return;
        }
        match self.trouble {
            None => self.trouble = Some(Trouble { at: now, pause: FIRST_PAUSE }),
            // One outage fails all calls that are under way: only one begun since then tells that it goes on.
            Some(trouble) if delivered.began > trouble.at => {
                self.trouble = Some(Trouble { at: now, pause: (trouble.pause * 2).min(LONGEST_PAUSE) });
            }
            Some(_) => {}
        }
    }
}

impl Sender {
    /// Sends for ever.
    ///
    /// # Errors
    /// When the journal can no longer be used.
    pub async fn run(self) -> Result<(), Unusable> {
        let mut traffic = Traffic::default();
        let mut calls = FuturesUnordered::new();
        // Until when the next call waits for more to carry.
        let mut company: Option<Instant> = None;
        loop {
            let most = traffic.most();
            let paused = traffic.paused(Instant::now());
            // Made before the fetch, so that what is committed during it is not missed.
            let mut committed = pin!(self.journal.committed());
            let _woken = committed.as_mut().enable();
            let mut entries = Vec::new();
            let waits = company.is_some_and(|until| Instant::now() < until && !calls.is_empty());
            if paused.is_none() && calls.len() < most && !waits {
                entries = self.fetch(&mut traffic).await?;
                let has_waited = company.take().is_some();
                if !has_waited && !calls.is_empty() && wants_company(&entries) {
                    company = Some(Instant::now() + COMPANY);
                    continue;
                }
            }
            if !entries.is_empty() {
                traffic.sending.extend(entries.iter().map(|entry| entry.id));
                calls.push(self.deliver(entries));
                // Another call may begin at once, if there is more.
                if calls.len() < most {
                    continue;
                }
            }
            let full = calls.len() >= most;
            // Brings back those that stepped aside.
            let again = paused.or(company).unwrap_or_else(|| Instant::now() + STEP_ASIDE);
            tokio::select! {
                Some(delivered) = calls.next() => {
                    traffic.ended(delivered?, Instant::now());
                    self.journal.outage(self.partition, traffic.trouble.is_some());
                }
                () = committed, if !full && paused.is_none() && company.is_none() => {}
                () = tokio::time::sleep_until(again), if !full => {}
            }
        }
    }

    async fn fetch(&self, traffic: &mut Traffic) -> Result<Vec<Entry>, Unusable> {
        let now = Instant::now();
        traffic.aside.retain(|_, until| *until > now);
        let except = traffic.aside.keys().chain(&traffic.sending).copied().collect();
        self.journal.fetch(self.partition, MAX_BATCH_ENTRIES, MAX_BATCH_BYTES, except).await
    }

    /// Sends one batch, or its envelopes one by one when SQS finds fault with the whole.
    async fn deliver(&self, entries: Vec<Entry>) -> Result<Delivered, Unusable> {
        let ids = entries.iter().map(|entry| entry.id).collect();
        let mut delivered = Delivered { began: Instant::now(), ids, aside: Vec::new(), complete: true };
        let aside = &mut delivered.aside;
        match self.send(&entries, aside).await? {
            Sent::Batch { complete } => delivered.complete = complete,
            Sent::Failed => delivered.complete = false,
            Sent::Refused => {
                for entry in &entries {
                    match self.send(std::slice::from_ref(entry), aside).await? {
                        Sent::Batch { complete } => delivered.complete &= complete,
                        Sent::Failed => {
                            delivered.complete = false;
                            break;
                        }
                        Sent::Refused => step_aside(entry, aside),
                    }
                }
            }
        }
        Ok(delivered)
    }

    async fn send(&self, entries: &[Entry], aside: &mut Vec<i64>) -> Result<Sent, Unusable> {
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

/// Whether a call for these alone would be a waste.
fn wants_company(entries: &[Entry]) -> bool {
    let bytes: usize = entries.iter().map(|entry| entry.body.len()).sum();
    let full = entries.len() >= MAX_BATCH_ENTRIES || bytes >= MAX_BATCH_BYTES / 2;
    !entries.is_empty() && !full
}

/// What became of a batch.
struct Delivered {
    /// When its call was begun.
    began: Instant,
    /// Its envelopes.
    ids: Vec<i64>,
    /// Those among them that step aside.
    aside: Vec<i64>,
    /// Whether SQS took all it was sent, apart from those.
    complete: bool,
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
fn step_aside(entry: &Entry, aside: &mut Vec<i64>) {
    metrics::counter!("envelopes_set_aside_total").increment(1);
    tracing::error!(
        id = entry.id,
        shard = %entry.shard,
        bytes = entry.body.len(),
        class = entry.class.name(),
        "the event queue will not take this envelope as it is; it stays in the journal and is tried again"
    );
    aside.push(entry.id);
}

#[cfg(test)]
mod tests {
    use guildhall_domain::{PriorityClass, ShardId, Timestamp};

    use super::*;

    #[test]
    fn a_call_that_is_full_waits_for_no_company() {
        let entries = |count: usize, bytes| {
            let entry = Entry {
                id: 1,
                class: PriorityClass::High,
                shard: ShardId { id: 0, count: 1 },
                session: "s".into(),
                first_event: None,
                first_at: Timestamp::from_secs(0),
                body: "x".repeat(bytes),
            };
            vec![entry; count]
        };
        assert!(!wants_company(&[]), "for nothing nobody waits");
        assert!(wants_company(&entries(1, 10)) && wants_company(&entries(MAX_BATCH_ENTRIES - 1, 10)));
        assert!(!wants_company(&entries(MAX_BATCH_ENTRIES, 10)));
        assert!(!wants_company(&entries(2, MAX_BATCH_BYTES / 4)), "another one might not fit");
    }

    #[tokio::test(start_paused = true)]
    async fn one_outage_that_fails_all_calls_under_way_is_one_failure() {
        let mut traffic = Traffic::default();
        let call = |began, complete| Delivered { began, ids: vec![1], aside: Vec::new(), complete };
        let began = Instant::now();
        for _ in 0..CALLS {
            tokio::time::advance(Duration::from_millis(10)).await;
            traffic.ended(call(began, false), Instant::now());
        }
        assert_eq!(traffic.paused(Instant::now()), Some(began + Duration::from_millis(10) + FIRST_PAUSE));
        traffic.ended(call(began, true), Instant::now());
        assert_eq!(traffic.most(), 1, "others of them may still fail");
        tokio::time::advance(FIRST_PAUSE).await;
        assert_eq!(traffic.paused(Instant::now()), None);
        let began = Instant::now();
        tokio::time::advance(Duration::from_millis(10)).await;
        traffic.ended(call(began, false), Instant::now());
        assert_eq!(traffic.paused(Instant::now()), Some(Instant::now() + FIRST_PAUSE * 2), "it goes on");
        traffic.ended(call(Instant::now(), true), Instant::now());
        assert_eq!((traffic.paused(Instant::now()), traffic.most()), (None, CALLS));
    }
}
