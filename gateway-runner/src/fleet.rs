//! Which shards this runner runs: leases taken, renewed, given up and lost.
//!
//! **Invariant:** a shard runs only under a lease this runner holds, and at most once in the process.
//! **Invariant:** leases are renewed by a task of their own, which nothing slow can hold up.
//! **Invariant:** while guilds are cut over, a shard of the next set runs only beside the old shard its guilds come from,
//! and both are handed over together.
//! **Invariant:** when told to stop, the runner stops reading at once, and ends within [`STOPPING`].

mod cut_over;
mod renewal;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::bail;
use guildhall_domain::ShardId;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::lease::plan::{Observer, Plan, Viewpoint};
use crate::lease::{Lease, Leases, Pulse, Seen, Table};
use crate::reshard::{Attached, Cutover, Timing};
use crate::shard::{self, Deps, Outcome};
use crate::watermark::Mark;
use cut_over::{Group, Progress, Target};

/// The longest a stop may take; ECS kills a task after thirty seconds.
pub const STOPPING: Duration = Duration::from_secs(20);

/// A shard that is run, or was closed for good.
struct Running {
    /// Stops it; cancelled already when it has ended.
    stop: CancellationToken,
    /// Nothing runs any longer, and only the lease is kept.
    ended: bool,
    /// Where it learns that guilds are cut over.
    attached: Attached,
}

/// A runner's shards.
pub struct Fleet {
    deps: Arc<Deps>,
    table: Table,
    holder: Arc<str>,
    predecessors: Vec<String>,
    /// The number of shards of the pinned set, shared with the task that says so.
    shard_count: Arc<AtomicU32>,
    /// What guilds are being cut over to.
    target: Option<Target>,
    timing: Timing,
    term: Duration,
    pulse: Arc<Pulse>,
    /// How far this disk's journal reaches, for the first time each shard is taken.
    local: HashMap<ShardId, (Arc<str>, Mark)>,
    leases: Leases,
    active: BTreeMap<ShardId, Running>,
    shards: JoinSet<(ShardId, Outcome)>,
    /// Old shard → the cut-over of its guilds.
    groups: BTreeMap<ShardId, Group>,
    keepers: JoinSet<Option<Arc<Cutover>>>,
    /// What the last sweep said of the sets' sessions and ends.
    progress: Progress,
    observer: Observer,
}

/// Who runs the fleet.
pub struct Identity {
    /// This runner's unique name.
    pub holder: Arc<str>,
    /// The runners that used the same journal before and are dead.
    pub predecessors: Vec<String>,
}

impl Fleet {
    /// A fleet without shards.
    pub fn new(
        deps: Arc<Deps>,
        table: Table,
        identity: Identity,
        term: Duration,
        timing: Timing,
        local: HashMap<ShardId, (Arc<str>, Mark)>,
    ) -> Self {
        Self {
            shard_count: Arc::new(AtomicU32::new(deps.sharding.count)),
            deps,
            table,
            holder: identity.holder,
            predecessors: identity.predecessors,
            target: None,
            timing,
            term,
            pulse: Arc::new(Pulse::new(term / 2)),
            local,
            leases: Leases::default(),
            active: BTreeMap::new(),
            shards: JoinSet::new(),
            groups: BTreeMap::new(),
            keepers: JoinSet::new(),
            progress: Progress::default(),
            observer: Observer::default(),
        }
    }

    /// Runs until `stop`, then hands everything over.
    ///
    /// # Errors
    /// When the journal can no longer be used.
    pub async fn run(mut self, stop: CancellationToken) -> anyhow::Result<()> {
        let mut renewals = JoinSet::new();
        renewals.spawn(renewal::beat(self.pulse.clone(), self.term));
        renewals.spawn(renewal::renew(
            self.table.clone(),
            self.holder.clone(),
            self.shard_count.clone(),
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
                Some(lost) = self.keepers.join_next() => {
                    if let Some(cutover) = lost? {
                        self.lost(&cutover).await;
                    }
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
        let sweep = match self.table.sweep().await {
            Ok(sweep) => sweep,
            Err(error) => {
                metrics::counter!("coordination_failures_total").increment(1);
                tracing::error!(error = %error, "the leases cannot be read; the shards that run go on");
                return Some(regular);
            }
        };
        if let Some(pin) = sweep.pin
            && !self.follow(pin).await
        {
            return None;
        }
        self.complete(&sweep).await;
        self.progress = Progress::of(&sweep);
        self.forget_lost().await;
        self.begin_groups();
        let now = Instant::now();
        self.observer.observe(sweep, now);
        self.deps.status.coordinated();
        self.measure(now);
        let plan = self.plan(now);
        for shard in plan.give {
            self.give(shard).await;
        }
        for (shard, seen) in plan.take {
            if stop.is_cancelled() || !self.take(shard, seen.as_ref()).await {
                break;
            }
        }
        self.take_next(plan.take_next, stop).await;
        Some(plan.wake_at.map_or(regular, |wake_at| wake_at.min(regular)))
    }

    /// A shard that was closed for good has no reader that would notice that its lease is another's.
    async fn forget_lost(&mut self) {
        let is_lost = |shard: &ShardId| self.leases.get(*shard).is_none_or(|lease| lease.is_lost());
        let ended = self.active.iter().filter(|(_, running)| running.ended);
        let lost: Vec<_> = ended.map(|(shard, _)| *shard).filter(is_lost).collect();
        for shard in lost {
            tracing::warn!(shard = %shard, "a shard that was closed for good is another runner's now");
            self.active.remove(&shard);
            self.leases.lock().remove(&shard);
            self.deps.status.set(shard, None);
            self.disband(shard).await;
        }
    }

    fn count(&self) -> u32 {
        self.shard_count.load(Ordering::Relaxed)
    }

    fn plan(&self, now: Instant) -> Plan {
        let count = self.count();
        let active: BTreeSet<ShardId> = self.active.keys().filter(|shard| shard.count == count).copied().collect();
        let held: BTreeSet<ShardId> = self.leases.lock().keys().copied().collect();
        let view = Viewpoint {
            me: &self.holder,
            predecessors: &self.predecessors,
            shard_count: count,
            target: self.target.as_ref().map(|target| target.count),
            active: &active,
            held: &held,
            term: self.term,
        };
        self.observer.plan(&view, now)
    }

    /// Tries for a lease of the pinned set; `false` when the table does not answer.
    async fn take(&mut self, shard: ShardId, seen: Option<&Seen>) -> bool {
        let Some(lease) = self.lease(shard, seen).await else { return false };
        if let Some(lease) = lease {
            self.start(self.deps.clone(), lease, Attached::default());
        }
        true
    }

    /// Tries for a lease; `None` when the table does not answer.
    async fn lease(&self, shard: ShardId, seen: Option<&Seen>) -> Option<Option<Arc<Lease>>> {
        let marks = &self.deps.marks;
        match Lease::take(&self.table, shard, seen, &self.holder, self.term, marks, &self.pulse).await {
            Ok(Some(lease)) => {
                tracing::info!(shard = %shard, from = seen.map(|seen| seen.holder.as_str()), "took a lease");
                let lease = Arc::new(lease);
                self.leases.lock().insert(shard, lease.clone());
                Some(Some(lease))
            }
            Ok(None) => {
                tracing::debug!(shard = %shard, "another runner was first");
                Some(None)
            }
            Err(error) => {
                tracing::error!(shard = %shard, error = %error, "a lease cannot be taken");
                None
            }
        }
    }

    fn start(&mut self, deps: Arc<Deps>, lease: Arc<Lease>, attached: Attached) {
        let (shard, stop) = (lease.shard(), CancellationToken::new());
        self.active.insert(shard, Running { stop: stop.clone(), ended: false, attached: attached.clone() });
        // What the shard reads is counted as its record of cuts says, from the first event on.
        self.begin_groups();
        if self.is_finished(shard) {
            stop.cancel();
            self.active.entry(shard).and_modify(|running| running.ended = true);
            return;
        }
        let local = self.local.remove(&shard);
        self.shards.spawn(async move { (shard, Box::pin(shard::run(deps, lease, local, attached, stop)).await) });
    }

    /// Hands a shard over, and with it those that its guilds are cut over to.
    async fn give(&mut self, shard: ShardId) {
        tracing::info!(shard = %shard, "handing a shard over to another runner");
        self.disband(shard).await;
        self.give_one(shard).await;
    }

    async fn give_one(&mut self, shard: ShardId) {
        let Some(running) = self.active.remove(&shard) else { return };
        if running.stop.is_cancelled() {
            self.release(shard).await;
        } else {
            running.stop.cancel();
        }
    }

    /// Hands over a shard that was closed for good: nothing runs that could do it.
    async fn release(&self, shard: ShardId) {
        let lease = self.leases.lock().remove(&shard);
        self.deps.status.set(shard, None);
        if let Some(lease) = lease
            && let Err(error) = lease.release().await
        {
            tracing::warn!(shard = %shard, error = %error, "the lease could not be released and will expire");
        }
    }

    async fn ended(&mut self, shard: ShardId, outcome: Outcome) -> anyhow::Result<()> {
        match outcome {
            Outcome::HandedOver | Outcome::Lost => {
                self.active.remove(&shard);
                self.leases.lock().remove(&shard);
                self.disband(shard).await;
            }
            // The lease stays: so that no other runner runs into the same refusal, or as the sign of who runs the shards
            // that have its guilds now.
            Outcome::Fatal(_) | Outcome::Retired => {
                if let Outcome::Fatal(code) = outcome {
                    self.refused(shard, code);
                }
                match self.active.get_mut(&shard) {
                    Some(running) => {
                        running.ended = true;
                        running.stop.cancel();
                    }
                    // It was being handed over when it ended.
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
        self.groups.values().for_each(Group::end);
        for running in self.active.values() {
            running.stop.cancel();
        }
        let ending = async {
            while let Some(ended) = self.shards.join_next().await {
                let (shard, outcome) = ended?;
                if outcome == Outcome::JournalUnusable {
                    bail!("the journal is damaged; the next start sets it aside");
                }
                if outcome != Outcome::Retired {
                    self.leases.lock().remove(&shard);
                }
            }
            // Shards that were closed for good still have their leases.
            let rest: Vec<_> = std::mem::take(&mut *self.leases.lock()).into_values().collect();
            for lease in rest {
                if let Err(error) = lease.release().await {
                    let shard = lease.shard();
                    tracing::warn!(shard = %shard, error = %error, "the lease could not be released and will expire");
                }
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
