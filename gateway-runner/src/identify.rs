//! The gate every IDENTIFY passes: lease, verdict, pace and budget.
//!
//! **Invariant:** no IDENTIFY is sent without a unit taken from the budget in the coordination table, and none at all
//! while the table cannot be reached. Discord resets the token of a bot that exceeds its budget.
//! **Invariant:** none is sent before Discord has said, to this runner or to one before it, how many there may be and how
//! many at a time: two runners that assume different numbers of buckets would not keep the distance.
//! **Invariant:** two IDENTIFYs of one `max_concurrency` bucket are five seconds apart, whichever runners send them.
//! **Invariant:** a unit taken for a connection that has gone in the meantime is spent, never given back: the count
//! errs on the safe side.

mod budget;
mod verdict;

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use guildhall_domain::{Clock, ShardId, Timestamp};
use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;
use twilight_gateway::queue::Queue;

use crate::discovery::Discovery;
use crate::lease::item::{int, number, string, text};
use crate::lease::{Key, Lease, Table, TableError, Written};
use crate::reshard::Attached;
use crate::status::{Phase, Status};
use budget::Window;
pub use verdict::fingerprint;

/// The distance Discord asks for between two IDENTIFYs of a bucket.
const DISTANCE: Duration = Duration::from_secs(5);
/// How much later than its claim an IDENTIFY may reach Discord: what is measured is the distance between claims, and a
/// busy machine takes a while from the permit to the frame. One that comes too soon costs a unit of the budget.
const ON_THE_WAY: Duration = Duration::from_millis(1_500);
/// The distance between two claims of a bucket.
const PACE: Duration = DISTANCE.saturating_add(ON_THE_WAY);
/// How old Discord's answer may be: the table counts the units in between.
const GOOD_FOR: Duration = Duration::from_secs(60);
/// How old it may be when few units are left, which somebody else may be spending as well.
const GOOD_FOR_WHEN_FEW: Duration = Duration::from_secs(5);
const FEW: u32 = 100;
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
    #[error("the budget of IDENTIFYs is used up until {until}")]
    Exhausted {
        /// When the window ends.
        until: Timestamp,
    },
    /// Discord has not said yet how many IDENTIFYs there may be.
    #[error("Discord has not said yet how many sessions may be started")]
    Unknown,
    /// Discord closed the shard for good.
    #[error("Discord closed this shard for good with code {0}")]
    Fatal(u16),
}

/// What became of a request.
enum Admitted {
    /// A unit is taken for it.
    Yes,
    /// The lease is lost.
    Lost,
    /// Discord closed the shard for good with this code.
    Fatal(u16),
}

/// The gate, shared by the shards of a runner.
pub struct Gate {
    table: Table,
    discovery: Discovery,
    clock: Clock,
    status: Status,
    /// What Discord's refusals are about: [`fingerprint`].
    configuration: String,
    /// Bucket → the claim last seen, and since when.
    seen: Mutex<HashMap<u32, (u64, Instant)>>,
    /// The name that this gate's claims bear, and how many there were.
    name: String,
    claims: AtomicU64,
}

impl Gate {
    /// A gate for the application's shards.
    pub fn new(table: Table, discovery: Discovery, clock: Clock, status: Status, configuration: String) -> Self {
        // The keys of the hasher are the operating system's random bits.
        let name = format!("{:016x}", RandomState::new().hash_one(clock.now().as_millis()));
        Self { table, discovery, clock, status, configuration, seen: Mutex::default(), name, claims: AtomicU64::new(0) }
    }

    /// Answers a shard's requests, one after the other, until the lease is lost, or Discord has closed the shard for good:
    /// then with the code.
    pub async fn serve(&self, slot: &Slot, lease: &Lease, attached: &Attached) -> Option<u16> {
        // Discord asks for a wait of one to five seconds after an invalid session.
        let spread = Duration::from_secs(1) + Duration::from_millis(u64::from(lease.shard().id % 16) * 250);
        let mut wait = Duration::ZERO;
        loop {
            let mut permit = slot.next().await;
            let admitted = async {
                tokio::time::sleep(std::mem::replace(&mut wait, spread)).await;
                self.admit(lease, attached).await
            };
            let admitted = tokio::select! {
                biased;
                // Whoever comes next asks for himself, and does not wait for what this one was told to wait.
                () = permit.closed() => continue,
                admitted = admitted => admitted,
            };
            match admitted {
                Admitted::Yes => {
                    metrics::counter!("identifies_total").increment(1);
                    tracing::info!(shard = %lease.shard(), "identifying");
                    // The receiver is gone when the connection closed meanwhile; the unit is spent all the same.
                    let _gone = permit.send(()).is_err();
                }
                Admitted::Lost => return None,
                Admitted::Fatal(code) => return Some(code),
            }
        }
    }

    /// Waits until the shard may identify, or never may.
    async fn admit(&self, lease: &Lease, attached: &Attached) -> Admitted {
        let mut pause = Duration::from_millis(500);
        loop {
            if lease.fresh().await.is_err() {
                return Admitted::Lost;
            }
            // Its guilds are cut over to other shards, or that is not known yet.
            if attached.get().is_some_and(|side| !side.may_identify()) {
                tokio::time::sleep(pause).await;
                continue;
            }
            match self.pass(lease.shard()).await {
                // A table so slow that the lease has aged meanwhile is asked once more, before a unit is lost for that.
                Ok(()) if lease.is_fresh() || (lease.renew().await.is_ok() && lease.is_fresh()) => {
                    return Admitted::Yes;
                }
                Ok(()) => {}
                Err(Refusal::Fatal(code)) => return Admitted::Fatal(code),
                Err(refusal) => {
                    self.refused(lease.shard(), &refusal);
                    tokio::time::sleep(self.wait(&refusal, pause)).await;
                    pause = (pause * 2).min(Duration::from_secs(10));
                }
            }
        }
    }

    /// Measures how many IDENTIFYs are left, as the table remembers it: whichever runner spent them, and all of them again
    /// once Discord's window is over. `None` when nobody has asked Discord yet.
    ///
    /// # Errors
    /// When the table cannot be read.
    pub async fn measure(&self) -> Result<Option<u32>, TableError> {
        let item = self.table.get(&self.budget_key()).await?;
        let left = item.as_ref().and_then(Window::remembered).map(|window| window.left(self.clock.now().as_millis()));
        if let Some(left) = left {
            metrics::gauge!("identify_budget_remaining").set(f64::from(left));
        }
        Ok(left)
    }

    /// How many IDENTIFYs are left.
    ///
    /// # Errors
    /// When neither the table nor Discord says.
    pub async fn remaining(&self) -> Result<u32, Refusal> {
        // Whoever is about to spend many units at once asks Discord first; without an answer, what is known counts.
        let _asked = self.discovery.fetch(GOOD_FOR_WHEN_FEW).await.is_ok();
        Ok(self.window().await?.0.remaining)
    }

    fn refused(&self, shard: ShardId, refusal: &Refusal) {
        metrics::counter!("identify_refusals_total").increment(1);
        tracing::error!(
            shard = %shard,
            error = guildhall_runtime::telemetry::chain(refusal),
            "no IDENTIFY for now"
        );
        match refusal {
            Refusal::Exhausted { until } => {
                #[expect(clippy::cast_precision_loss, reason = "a gauge; seconds stay far below 2^52")]
                metrics::gauge!("identify_blocked_until_seconds").set(until.as_secs() as f64);
                self.status.set(shard, Some(Phase::AwaitingBudget { until: *until }));
            }
            Refusal::Fatal(code) => self.status.set(shard, Some(Phase::Fatal { code: *code })),
            Refusal::Table(_) | Refusal::Unknown => {}
        }
    }

    fn wait(&self, refusal: &Refusal, pause: Duration) -> Duration {
        let at_least = match refusal {
            Refusal::Exhausted { until } => {
                Duration::from_millis(u64::try_from(until.millis_since(self.clock.now())).unwrap_or(0))
            }
            Refusal::Table(_) | Refusal::Unknown | Refusal::Fatal(_) => Duration::ZERO,
        };
        // Looked at again from time to time: Discord may have begun another window.
        at_least.min(Duration::from_secs(60)).max(pause)
    }

    /// Waits for the shard's turn and takes a unit from the budget.
    async fn pass(&self, shard: ShardId) -> Result<(), Refusal> {
        if let Some(code) = self.verdict(shard).await? {
            return Err(Refusal::Fatal(code));
        }
        let (window, ..) = self.window().await?;
        if window.remaining > 0 {
            self.pace(shard.id % u32::from(window.concurrency)).await?;
        }
        self.spend().await?;
        self.status.set(shard, Some(Phase::Connecting));
        Ok(())
    }

    /// Claims the bucket's next turn: a claim is possible [`PACE`] after the one before it was first seen.
    async fn pace(&self, bucket: u32) -> Result<(), Refusal> {
        let key = self.table.own("pace", bucket.to_string());
        let by = self.claim();
        loop {
            let item = self.table.get(&key).await?;
            // A claim whose answer was lost looks refused when the library repeats it: its turn would be waited for twice.
            if item.as_ref().and_then(|item| string(item, "claimed_by")) == Some(by.as_str()) {
                return Ok(());
            }
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
            let mine = HashMap::from([
                ("at".to_owned(), int(self.clock.now().as_millis())),
                ("claimed_by".to_owned(), text(by.as_str())),
            ]);
            if self.table.put_short_lived(&key, claim, mine).await? == Written::Done {
                self.since(bucket, claim.map_or(1, |claim| claim + 1));
                return Ok(());
            }
        }
    }

    /// A name for one claim, by which it is known again when its answer was lost.
    fn claim(&self) -> String {
        format!("{}-{}", self.name, self.claims.fetch_add(1, Ordering::Relaxed))
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
    async fn spend(&self) -> Result<(), Refusal> {
        let by = self.claim();
        loop {
            let (window, seen, last) = self.window().await?;
            if last.as_ref() == Some(&by) {
                metrics::gauge!("identify_budget_remaining").set(f64::from(window.remaining));
                return Ok(());
            }
            let Some(left) = window.remaining.checked_sub(1) else {
                metrics::gauge!("identify_budget_remaining").set(0.0);
                return Err(Refusal::Exhausted { until: Timestamp::from_millis(window.ends) });
            };
            let spent = Window { remaining: left, ..window };
            let mut item = spent.item();
            item.insert("claimed_by".to_owned(), text(by.as_str()));
            if self.table.put_short_lived(&self.budget_key(), seen, item).await? == Written::Done {
                metrics::gauge!("identify_budget_remaining").set(f64::from(left));
                return Ok(());
            }
        }
    }

    fn budget_key(&self) -> Key {
        self.table.own("budget", "budget".to_owned())
    }

    /// The present window, the counter of what the table remembers of it, and whose claim that was.
    async fn window(&self) -> Result<(Window, Option<u64>, Option<String>), Refusal> {
        let item = self.table.get(&self.budget_key()).await?;
        let seen = item.as_ref().and_then(|item| number(item, "counter"));
        let remembered = item.as_ref().and_then(Window::remembered);
        let good_for = match remembered {
            // A window that nobody knows yet, or that is over, is Discord's to describe: as it is now.
            None => GOOD_FOR_WHEN_FEW,
            Some(window) if window.ends <= self.clock.now().as_millis() => Duration::ZERO,
            Some(window) if window.remaining <= FEW => GOOD_FOR_WHEN_FEW,
            Some(_) => GOOD_FOR,
        };
        let limit = self.discovery.fetch(good_for).await.ok().map(|gateway| gateway.limit);
        let window = Window::present(remembered, limit.as_ref(), self.clock.now().as_millis());
        let by = item.as_ref().and_then(|item| string(item, "claimed_by")).map(str::to_owned);
        Ok((window.ok_or(Refusal::Unknown)?, seen, by))
    }
}
