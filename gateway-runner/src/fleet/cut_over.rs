//! The fleet's part in cutting guilds over to another set of shards.
//!
//! **Invariant:** nothing of the new set connects before the budget of IDENTIFYs has room for all of it.
//! **Invariant:** the pin moves to the new set when every old shard is marked as finished in the table, and only then.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use guildhall_domain::ShardId;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::Fleet;
use crate::lease::{Pin, Seen, SessionRecord, Sweep, Written};
use crate::reshard::keeper::Keeper;
use crate::reshard::{Attached, Cutover, Side};
use crate::shard::Deps;
use crate::sharding::Sharding;

/// The set of shards that guilds are being cut over to.
pub(super) struct Target {
    pub(super) count: u32,
    pub(super) generation: u64,
    deps: Arc<Deps>,
}

/// The cut-over of one old shard.
pub(super) struct Group {
    cutover: Arc<Cutover>,
    keeper: CancellationToken,
}

impl Group {
    /// Ends the task that cuts guilds over. Whoever waits for it gives up.
    pub(super) fn end(&self) {
        self.keeper.cancel();
        self.cutover.abandon();
    }
}

/// How far the sets of shards are, as the table says.
#[derive(Default)]
pub(super) struct Progress {
    /// Shards that have a session → the generation of the set it was begun in.
    sessions: HashMap<ShardId, u64>,
    /// Old shards whose guilds are all cut → the generation of the new set.
    finished: HashMap<ShardId, u64>,
}

impl Progress {
    pub(super) fn of(sweep: &Sweep) -> Self {
        Self { sessions: sweep.sessions.clone(), finished: sweep.finished.clone() }
    }
}

impl Fleet {
    /// Follows the pin; `false` when it is of a set that this runner has nothing to do with.
    pub(super) async fn follow(&mut self, pin: Pin) -> bool {
        let set = (self.count(), self.deps.sharding.generation);
        if (pin.count, pin.generation) == set {
            if let Some(count) = pin.target
                && self.target.is_none()
            {
                tracing::warn!(from = pin.count, to = count, "guilds are cut over to another number of shards");
                let generation = pin.next_generation();
                let sharding = Sharding { count, generation, former: Vec::new() };
                let deps = Arc::new(Deps { sharding, ..Deps::clone(&self.deps) });
                self.target = Some(Target { count, generation, deps });
            }
            return true;
        }
        match self.target.take_if(|target| (target.count, target.generation) == (pin.count, pin.generation)) {
            Some(target) => {
                self.switch(target).await;
                true
            }
            None => false,
        }
    }

    /// All guilds are the new set's: it is the only one from now on.
    async fn switch(&mut self, target: Target) {
        tracing::warn!(shards = target.count, "the cut-over is complete");
        for (_, group) in std::mem::take(&mut self.groups) {
            group.keeper.cancel();
        }
        let old: Vec<ShardId> =
            self.leases.lock().keys().filter(|shard| shard.count != target.count).copied().collect();
        for shard in old {
            if let Some(running) = self.active.remove(&shard) {
                running.stop.cancel();
            }
            self.leases.lock().remove(&shard);
            self.deps.status.set(shard, None);
            if let Err(error) = self.table.remove(shard, &self.holder).await {
                tracing::warn!(shard = %shard, error = %error, "an old shard's lease stays behind");
            }
        }
        self.shard_count.store(target.count, Ordering::Relaxed);
        metrics::gauge!("shards_pinned").set(f64::from(target.count));
        self.deps = target.deps;
    }

    /// Moves the pin when the last old shard is finished.
    pub(super) async fn complete(&mut self, sweep: &Sweep) {
        let (Some(target), Some(pin)) = (&self.target, sweep.pin) else { return };
        let count = self.count();
        let finished = |id| sweep.finished.get(&ShardId { id, count }) == Some(&target.generation);
        if !(0..count).all(finished) {
            return;
        }
        match self.table.put_pin(Some(pin), target.count).await {
            Ok(Written::Done) => tracing::warn!(from = count, to = target.count, "the new number of shards is pinned"),
            Ok(Written::Refused) => {}
            Err(error) => tracing::error!(error = %error, "the new number of shards cannot be pinned"),
        }
    }

    /// Says how many shards should receive events: of the pinned set those that are not finished, of the next one those
    /// that have begun.
    pub(super) fn measure(&self, now: Instant) {
        let count = self.count();
        let old = (0..count).map(|id| ShardId { id, count }).filter(|shard| !self.is_finished(*shard));
        let next = self.target.iter().flat_map(|target| {
            let begun = (0..target.count).filter(|id| self.has_session(target, *id));
            begun.map(|id| ShardId { id, count: target.count })
        });
        let wanted: BTreeSet<ShardId> = old.chain(next).collect();
        let is_orphan = |shard: &&ShardId| !self.observer.is_held(**shard, self.term, now);
        let orphans = wanted.iter().filter(is_orphan).copied().collect();
        self.deps.status.wanted(u32::try_from(wanted.len()).unwrap_or(u32::MAX), orphans);
    }

    /// How many shards of the new set have no session yet.
    fn missing(&self, target: &Target) -> u32 {
        let begun = |id: &u32| self.has_session(target, *id);
        u32::try_from((0..target.count).filter(|id| !begun(id)).count()).unwrap_or(u32::MAX)
    }

    fn has_session(&self, target: &Target, id: u32) -> bool {
        self.progress.sessions.get(&ShardId { id, count: target.count }) == Some(&target.generation)
    }

    /// Whether all guilds of an old shard are cut.
    pub(super) fn is_finished(&self, shard: ShardId) -> bool {
        let target = self.target.as_ref().filter(|target| target.count != shard.count);
        target.is_some_and(|target| self.progress.finished.get(&shard) == Some(&target.generation))
    }

    /// Begins the cut-over of every old shard that runs.
    pub(super) fn begin_groups(&mut self) {
        let Some(target) = &self.target else { return };
        let count = self.count();
        for (shard, running) in &self.active {
            if shard.count != count || self.groups.contains_key(shard) {
                continue;
            }
            let Some(lease) = self.leases.get(*shard) else { continue };
            let cutover = Cutover::new(*shard, target.count, self.timing);
            let _first = running.attached.set(Side::old(&cutover)).is_ok();
            let (shard, stop) = (*shard, CancellationToken::new());
            let keeper = Keeper {
                cutover: cutover.clone(),
                table: self.table.clone(),
                holder: self.holder.clone(),
                lease,
                leases: self.leases.clone(),
                generation: target.generation,
                marks: self.deps.marks.clone(),
                clock: self.deps.clock.clone(),
                old: running.stop.clone(),
            };
            self.groups.insert(shard, Group { cutover: cutover.clone(), keeper: stop.clone() });
            self.keepers.spawn(async move {
                let lost = stop.run_until_cancelled_owned(Box::pin(keeper.run())).await;
                lost.map(|()| cutover)
            });
        }
    }

    /// Tries for leases of the new set.
    pub(super) async fn take_next(&mut self, wanted: Vec<(ShardId, Option<Seen>)>, stop: &CancellationToken) {
        let Some(target) = &self.target else { return };
        let (deps, missing, count) = (target.deps.clone(), self.missing(target), self.count());
        let from = |shard: ShardId| ShardId { id: shard.id % count, count };
        let groups = &self.groups;
        let ready: Vec<_> = wanted
            .into_iter()
            .filter_map(|(shard, seen)| {
                let group = groups.get(&from(shard)).filter(|group| group.cutover.may_begin())?;
                Some((shard, seen, from(shard), group.cutover.clone()))
            })
            .collect();
        if ready.is_empty() || !self.has_room(missing).await {
            return;
        }
        for (shard, seen, old, cutover) in ready {
            if stop.is_cancelled() {
                return;
            }
            let former = if cutover.is_replaced(shard.id) {
                // The new session, when there is none yet, reports the loss of the old one.
                let Some(former) = self.replaced(old, &cutover).await else { continue };
                former
            } else {
                Vec::new()
            };
            let Some(lease) = self.lease(shard, seen.as_ref()).await else { return };
            let Some(lease) = lease else { continue };
            let sharding = Sharding { former, ..deps.sharding.clone() };
            let deps = Arc::new(Deps { sharding, ..Deps::clone(&deps) });
            let attached = Attached::default();
            let _first = attached.set(Side::new(&cutover, shard.id)).is_ok();
            self.start(deps, lease, attached);
        }
    }

    /// The session that was lost before there was any of the new set, when there ever was one; `None` when it is not
    /// known, and nothing may begin.
    async fn replaced(&self, old: ShardId, cutover: &Cutover) -> Option<Vec<(ShardId, SessionRecord)>> {
        let lost = cutover.old_session()?;
        if lost.is_empty() {
            return Some(Vec::new());
        }
        let mut session = self.leases.get(old)?.session().await?;
        session.accepted.at = session.counted_until(&lost);
        Some(vec![(old, session)])
    }

    /// Whether the budget of IDENTIFYs has room for the rest of the new set.
    async fn has_room(&self, missing: u32) -> bool {
        if missing == 0 {
            return true;
        }
        match self.deps.gate.remaining().await {
            Ok(remaining) if remaining >= missing => true,
            Ok(remaining) => {
                metrics::gauge!("reshard_identifies_missing").set(f64::from(missing - remaining));
                tracing::error!(
                    remaining,
                    missing,
                    "the cut-over waits: too few IDENTIFYs are left for the new shards"
                );
                false
            }
            Err(error) => {
                let error = guildhall_runtime::telemetry::chain(&error);
                tracing::error!(error, "the cut-over waits: how many IDENTIFYs are left is not known");
                false
            }
        }
    }

    /// Discord closed a shard for good: whom its guilds' cut-over depends on is told.
    pub(super) fn refused(&self, shard: ShardId, code: u16) {
        let old = ShardId { id: shard.id % self.count().max(1), count: self.count() };
        if shard.count != old.count
            && let Some(group) = self.groups.get(&old)
        {
            group.cutover.refused(shard.id, code);
        }
    }

    /// The old shard is no longer this runner's, or about to be another's: so are those its guilds are cut over to.
    pub(super) async fn disband(&mut self, shard: ShardId) {
        let Some(group) = self.groups.remove(&shard) else { return };
        group.end();
        let count = self.target.as_ref().map_or(0, |target| target.count);
        for id in Cutover::successors(shard, count) {
            self.give_one(ShardId { id, count }).await;
        }
    }

    /// The lease of an old shard was lost. Its reader learns of that by itself, if there is one.
    pub(super) async fn lost(&mut self, cutover: &Arc<Cutover>) {
        let known = |group: &Group| Arc::ptr_eq(&group.cutover, cutover);
        let Some(shard) = self.groups.iter().find(|(_, group)| known(group)).map(|(shard, _)| *shard) else { return };
        self.disband(shard).await;
        if cutover.is_finished() {
            self.leases.lock().remove(&shard);
            self.active.remove(&shard);
        }
    }
}
