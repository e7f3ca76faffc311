//! The gate every IDENTIFY passes: lease, pace and budget.
//!
//! **Invariant:** no IDENTIFY is sent without a unit taken from the budget in the coordination table, and none at all
//! while the table cannot be reached. Discord resets the token of a bot that exceeds its budget.
//! **Invariant:** two IDENTIFYs of one `max_concurrency` bucket are five seconds apart, whichever runners send them.
//! **Invariant:** a unit taken for a connection that has gone in the meantime is spent, never given back: the count
//! errs on the safe side.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use guildhall_domain::{Clock, ShardId};
use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;
use twilight_gateway::queue::Queue;

use crate::discovery::{Discovery, StartLimit};
use crate::lease::item::{int, number};
use crate::lease::{Lease, Table, TableError, Written};

/// The distance Discord asks for between two IDENTIFYs of a bucket.
const PACE: Duration = Duration::from_secs(5);
/// Discord's window for the budget.
const WINDOW_MILLIS: i64 = 24 * 3_600 * 1_000;
/// A claim this old, by the wall clocks of two machines, is surely more than five seconds old.
const SURELY_OLD_MILLIS: i64 = 60_000;

/// What twilight asks before it identifies. Holds one request: a shard has one connection.
#[derive(Clone, Default)]
pub struct Slot(Arc<Waiting>);

#[derive(Default)]
struct Waiting {
    request: Mutex<Option<oneshot::Sender<()>>>,
    arrived: Notify,
}

impl Queue for Slot {
    fn enqueue(&self, _shard: u32) -> oneshot::Receiver<()> {
        let (permit, wait) = oneshot::channel();
        *self.0.request.lock().unwrap_or_else(PoisonError::into_inner) = Some(permit);
        self.0.arrived.notify_one();
        wait
    }
}

impl Slot {
    async fn next(&self) -> oneshot::Sender<()> {
        loop {
            if let Some(request) = self.0.request.lock().unwrap_or_else(PoisonError::into_inner).take() {
                return request;
            }
            self.0.arrived.notified().await;
        }
    }
}

/// Why an IDENTIFY has to wait.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// The table cannot be reached.
    #[error("the coordination table is needed for an IDENTIFY")]
    Table(#[from] TableError),
    /// Discord's window has no unit left.
    #[error("the budget of IDENTIFYs is used up")]
    Exhausted {
        /// When the window ends.
        wait: Duration,
    },
}

/// The gate, shared by the shards of a runner.
pub struct Gate {
    table: Table,
    discovery: Discovery,
    application: String,
    clock: Clock,
    /// Bucket → the claim last seen, and since when.
    seen: Mutex<HashMap<u32, (u64, Instant)>>,
}

impl Gate {
    /// A gate for the application's shards.
    pub fn new(table: Table, discovery: Discovery, application: String, clock: Clock) -> Self {
        Self { table, discovery, application, clock, seen: Mutex::default() }
    }

    /// Answers a shard's requests, one after the other, for ever.
    pub async fn serve(&self, slot: &Slot, lease: &Lease) {
        let mut first = true;
        loop {
            let permit = slot.next().await;
            if !first {
                // Discord asks for a wait of one to five seconds after an invalid session.
                let spread = Duration::from_millis(u64::from(lease.shard().id % 16) * 250);
                tokio::time::sleep(Duration::from_secs(1) + spread).await;
            }
            first = false;
            let mut pause = Duration::from_millis(500);
            while !permit.is_closed() {
                if lease.fresh().await.is_err() {
                    return;
                }
                match self.pass(lease.shard()).await {
                    // The receiver is gone when the connection closed meanwhile; the unit is spent all the same.
                    Ok(()) if lease.is_fresh() => {
                        metrics::counter!("identifies_total").increment(1);
                        tracing::info!(shard = %lease.shard(), "identifying");
                        let _gone = permit.send(()).is_err();
                        break;
                    }
                    Ok(()) => {}
                    Err(refusal) => {
                        metrics::counter!("identify_refusals_total").increment(1);
                        tracing::error!(
                            shard = %lease.shard(),
                            error = guildhall_runtime::telemetry::chain(&refusal),
                            "no IDENTIFY for now"
                        );
                        let wait = if let Refusal::Exhausted { wait } = refusal { wait.max(pause) } else { pause };
                        tokio::time::sleep(wait.min(Duration::from_secs(60))).await;
                        pause = (pause * 2).min(Duration::from_secs(10));
                    }
                }
            }
        }
    }

    /// Waits for the shard's turn and takes a unit from the budget.
    async fn pass(&self, shard: ShardId) -> Result<(), Refusal> {
        // Without Discord's answer the table's own count still bounds us.
        let limit = self.discovery.fetch().await.map(|gateway| gateway.limit).ok();
        let concurrency = limit.as_ref().map_or(1, |limit| u32::from(limit.max_concurrency)).max(1);
        self.pace(shard.id % concurrency).await?;
        self.spend(limit.as_ref()).await
    }

    /// Claims the bucket's next turn: a claim is possible five seconds after the one before it was first seen.
    async fn pace(&self, bucket: u32) -> Result<(), Refusal> {
        let key = format!("pace#{}#{bucket}", self.application);
        loop {
            let item = self.table.get(&key).await?;
            let claim: Option<u64> = item.as_ref().and_then(|item| number(item, "counter"));
            if let Some(claim) = claim {
                let age = item
                    .as_ref()
                    .and_then(|item| number::<i64>(item, "at"))
                    .map(|at| self.clock.now().as_millis() - at);
                if age.is_none_or(|age| age < SURELY_OLD_MILLIS) {
                    let since = self.since(bucket, claim);
                    if since.elapsed() < PACE {
                        tokio::time::sleep_until(since + PACE).await;
                        continue;
                    }
                }
            }
            let mine = HashMap::from([("at".to_owned(), int(self.clock.now().as_millis()))]);
            if self.table.put_short_lived(&key, claim, mine).await? == Written::Done {
                self.since(bucket, claim.map_or(1, |claim| claim + 1));
                return Ok(());
            }
        }
    }

    /// Since when this claim has been the bucket's latest, as far as this runner saw.
    fn since(&self, bucket: u32, claim: u64) -> Instant {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = seen.entry(bucket).or_insert_with(|| (claim, Instant::now()));
        if entry.0 != claim {
            *entry = (claim, Instant::now());
        }
        entry.1
    }

    /// Takes one unit, never more than the table or Discord say is left.
    async fn spend(&self, limit: Option<&StartLimit>) -> Result<(), Refusal> {
        let key = format!("budget#{}", self.application);
        loop {
            let now = self.clock.now().as_millis();
            let item = self.table.get(&key).await?;
            let seen: Option<u64> = item.as_ref().and_then(|item| number(item, "counter"));
            let window = item
                .as_ref()
                .and_then(|item| Some((number::<i64>(item, "window_ends")?, number::<u32>(item, "remaining")?)));
            let (ends, left) = window_left(window, limit, now);
            if left == 0 {
                metrics::gauge!("identify_budget_remaining").set(0.0);
                let wait = Duration::from_millis(u64::try_from(ends - now).unwrap_or_default());
                return Err(Refusal::Exhausted { wait });
            }
            let item = HashMap::from([("window_ends".to_owned(), int(ends)), ("remaining".to_owned(), int(left - 1))]);
            if self.table.put_short_lived(&key, seen, item).await? == Written::Done {
                metrics::gauge!("identify_budget_remaining").set(f64::from(left - 1));
                return Ok(());
            }
        }
    }
}

/// When the window ends and how many units it has left, from what the table remembers and what Discord says.
fn window_left(remembered: Option<(i64, u32)>, limit: Option<&StartLimit>, now: i64) -> (i64, u32) {
    let discord = limit.map(|limit| {
        let ends = now.saturating_add(i64::try_from(limit.reset_after).unwrap_or(WINDOW_MILLIS));
        (if limit.reset_after == 0 { now + WINDOW_MILLIS } else { ends }, limit.remaining)
    });
    match (remembered.filter(|(ends, _)| now < *ends), discord) {
        (Some((ends, left)), Some((_, remaining))) => (ends, left.min(remaining)),
        (Some(window), None) => window,
        (None, Some(window)) => window,
        // Nothing is known: a new window of Discord's default size.
        (None, None) => (now + WINDOW_MILLIS, 1_000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limit(remaining: u32, reset_after: u64) -> StartLimit {
        StartLimit { total: 1_000, remaining, reset_after, max_concurrency: 1 }
    }

    #[test]
    fn the_stricter_of_table_and_discord_counts() {
        let now = 1_000_000;
        assert_eq!(window_left(Some((now + 5, 10)), Some(&limit(900, 50)), now), (now + 5, 10));
        assert_eq!(window_left(Some((now + 5, 10)), Some(&limit(3, 50)), now), (now + 5, 3));
        assert_eq!(window_left(Some((now, 0)), Some(&limit(900, 50)), now), (now + 50, 900));
        assert_eq!(window_left(None, Some(&limit(1_000, 0)), now), (now + WINDOW_MILLIS, 1_000));
        assert_eq!(window_left(Some((now + 5, 0)), None, now), (now + 5, 0));
    }
}
