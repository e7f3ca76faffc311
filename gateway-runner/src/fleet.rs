//! Which shards this runner runs: leases taken, renewed, given up and lost.
//!
//! **Invariant:** a shard runs only under a lease this runner holds, and at most once in the process.
//! **Invariant:** leases are renewed by a task of their own, which nothing slow can hold up.
//! **Invariant:** when told to stop, the runner stops reading at once, and ends within [`STOPPING`].

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::bail;
use guildhall_domain::ShardId;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use crate::lease::plan::{Observer, Plan, Viewpoint};
use crate::lease::{Lease, Seen, Table};
use crate::shard::{self, Deps, Outcome};
use crate::watermark::Mark;

/// The longest a stop may take; ECS kills a task after thirty seconds.
pub const STOPPING: Duration = Duration::from_secs(20);

/// The leases held, shared with the task that renews them.
#[derive(Clone, Default)]
struct Leases(Arc<Mutex<BTreeMap<u32, Arc<Lease>>>>);

impl Leases {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<u32, Arc<Lease>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A runner's shards.
pub struct Fleet {
    deps: Arc<Deps>,
    table: Table,
    holder: Arc<str>,
    predecessors: Vec<String>,
    application: String,
    shard_count: u32,
    term: Duration,
    /// How far this disk's journal reaches, for the first time each shard is taken.
    local: HashMap<u32, (Arc<str>, Mark)>,
    leases: Leases,
    /// Shards that are run, with what stops them; those closed for good included.
    active: BTreeMap<u32, CancellationToken>,
    shards: JoinSet<(u32, Outcome)>,
    observer: Observer,
}

/// Who runs the fleet.
pub struct Identity {
    /// This runner's unique name.
    pub holder: Arc<str>,
    /// The runners that used the same journal before and are dead.
    pub predecessors: Vec<String>,
    /// Whose shards they are.
    pub application: String,
}

impl Fleet {
    /// A fleet without shards.
    pub fn new(
        deps: Arc<Deps>,
        table: Table,
        identity: Identity,
        shard_count: u32,
        term: Duration,
        local: HashMap<u32, (Arc<str>, Mark)>,
    ) -> Self {
        Self {
            deps,
            table,
            holder: identity.holder,
            predecessors: identity.predecessors,
            application: identity.application,
            shard_count,
            term,
            local,
            leases: Leases::default(),
            active: BTreeMap::new(),
            shards: JoinSet::new(),
            observer: Observer::default(),
        }
    }

    /// Runs until `stop`, then hands everything over.
    ///
    /// # Errors
    /// When the journal can no longer be used.
    pub async fn run(mut self, stop: CancellationToken) -> anyhow::Result<()> {
        let mut renewals = JoinSet::new();
        renewals.spawn(renew(
            self.table.clone(),
            self.holder.clone(),
            self.shard_count,
            self.leases.clone(),
            self.term,
        ));
        let mut look_at = Instant::now();
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                () = self.deps.journal.damaged() => bail!("the journal is damaged; the next start sets it aside"),
                Some(ended) = self.shards.join_next() => {
                    let (shard, outcome) = ended?;
                    self.ended(shard, outcome).await?;
                    look_at = Instant::now();
                }
                () = tokio::time::sleep_until(look_at) => match self.look(&stop).await {
                    Some(next) => look_at = next,
                    None => {
                        self.stop().await?;
                        bail!("another number of shards was pinned in the coordination table; this set of shards ends");
                    }
                },
            }
        }
        self.stop().await
    }

    /// Looks at the table, takes and gives; returns when to look again, and `None` when this set's time is over.
    async fn look(&mut self, stop: &CancellationToken) -> Option<Instant> {
        let regular = Instant::now() + self.term / 5;
        let sweep = match self.table.sweep(self.shard_count).await {
            Ok(sweep) => sweep,
            Err(error) => {
                metrics::counter!("coordination_failures_total").increment(1);
                tracing::error!(error = %error, "the leases cannot be read; the shards that run go on");
                return Some(regular);
            }
        };
        if sweep.pinned.get(&*self.application).is_some_and(|count| *count != self.shard_count) {
            return None;
        }
        let now = Instant::now();
        self.observer.observe(sweep, now);
        self.deps.status.coordinated();
        let plan = self.plan(now);
        for shard in plan.give {
            self.give(shard).await;
        }
        for (shard, seen) in plan.take {
            if stop.is_cancelled() || !self.take(shard, seen.as_ref()).await {
                break;
            }
        }
        Some(plan.wake_at.map_or(regular, |wake_at| wake_at.min(regular)))
    }

    fn plan(&self, now: Instant) -> Plan {
        let active: BTreeSet<u32> = self.active.keys().copied().collect();
        let held: BTreeSet<u32> = self.leases.lock().keys().copied().collect();
        let view = Viewpoint {
            me: &self.holder,
            predecessors: &self.predecessors,
            shard_count: self.shard_count,
            active: &active,
            held: &held,
            term: self.term,
        };
        self.observer.plan(&view, now)
    }

    /// Tries for a lease; `false` when the table does not answer.
    async fn take(&mut self, shard: u32, seen: Option<&Seen>) -> bool {
        let id = ShardId { id: shard, count: self.shard_count };
        let taken = Lease::take(&self.table, id, seen, &self.holder, self.term, &self.deps.marks).await;
        match taken {
            Ok(Some(lease)) => {
                tracing::info!(shard = %id, from = seen.map(|seen| seen.holder.as_str()), "took a lease");
                let lease = Arc::new(lease);
                self.leases.lock().insert(shard, lease.clone());
                let stop = CancellationToken::new();
                self.active.insert(shard, stop.clone());
                let (deps, local) = (self.deps.clone(), self.local.remove(&shard));
                self.shards.spawn(async move { (shard, Box::pin(shard::run(deps, lease, local, stop)).await) });
            }
            Ok(None) => tracing::debug!(shard = %id, "another runner was first"),
            Err(error) => {
                tracing::error!(shard = %id, error = %error, "a lease cannot be taken");
                return false;
            }
        }
        true
    }

    async fn give(&mut self, shard: u32) {
        tracing::info!(shard, "handing a shard over to another runner");
        let Some(stop) = self.active.remove(&shard) else { return };
        if stop.is_cancelled() {
            self.release(shard).await;
        } else {
            stop.cancel();
        }
    }

    /// Hands over a shard that was closed for good: nothing runs that could do it.
    async fn release(&self, shard: u32) {
        let lease = self.leases.lock().remove(&shard);
        self.deps.status.set(shard, None);
        if let Some(lease) = lease
            && let Err(error) = lease.release().await
        {
            tracing::warn!(shard, error = %error, "the lease could not be released and will expire");
        }
    }

    async fn ended(&mut self, shard: u32, outcome: Outcome) -> anyhow::Result<()> {
        match outcome {
            Outcome::HandedOver | Outcome::Lost => {
                self.active.remove(&shard);
                self.leases.lock().remove(&shard);
            }
            // The lease stays, so that no other runner runs into the same refusal.
            Outcome::Fatal(_) => {
                match self.active.get(&shard) {
                    Some(stop) => stop.cancel(),
                    // It was being handed over when Discord closed it.
                    None => self.release(shard).await,
                }
            }
            Outcome::JournalUnusable => bail!("the journal is damaged; the next start sets it aside"),
        }
        Ok(())
    }

    async fn stop(mut self) -> anyhow::Result<()> {
        tracing::info!(shards = self.active.len(), "stopping: the shards are handed over");
        let deadline = Instant::now() + STOPPING;
        for stop in self.active.values() {
            stop.cancel();
        }
        let ending = async {
            while let Some(ended) = self.shards.join_next().await {
                let (shard, outcome) = ended?;
                self.leases.lock().remove(&shard);
                if outcome == Outcome::JournalUnusable {
                    bail!("the journal is damaged; the next start sets it aside");
                }
            }
            // Shards that Discord closed for good still have their leases.
            let rest: Vec<_> = std::mem::take(&mut *self.leases.lock()).into_values().collect();
            for lease in rest {
                lease.release().await?;
            }
            self.deps.marks.all_drained().await;
            anyhow::Ok(())
        };
        match tokio::time::timeout_at(deadline, ending).await {
            Ok(ended) => ended?,
            Err(_) => tracing::warn!("stopping took too long; what the journal holds is replayed to the next holder"),
        }
        if let Err(error) = self.table.farewell(&self.holder).await {
            tracing::warn!(error = %error, "the others learn of the end only when the heartbeat stands still");
        }
        Ok(())
    }
}

/// Renews every lease and the heartbeat, three times a term.
async fn renew(table: Table, holder: Arc<str>, shard_count: u32, leases: Leases, term: Duration) {
    let counter = AtomicU64::new(0);
    let mut tick = tokio::time::interval(term / 3);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        let held: Vec<_> = leases.lock().values().cloned().collect();
        let heartbeat = async {
            let beat = counter.fetch_add(1, Ordering::Relaxed) + 1;
            if let Err(error) = table.heartbeat(&holder, shard_count, beat).await {
                tracing::error!(error = %error, "the heartbeat cannot be written");
            }
        };
        let renewals = futures_util::future::join_all(held.iter().map(|lease| async move {
            if let Err(error) = lease.renew().await {
                metrics::counter!("coordination_failures_total").increment(1);
                tracing::error!(shard = %lease.shard(), error = %error, "a lease cannot be renewed");
            }
        }));
        tokio::join!(heartbeat, renewals);
    }
}
