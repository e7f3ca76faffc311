//! Which leases to take and which to give up: pure decisions on what was seen, and when.
//!
//! **Invariant:** a holder counts as gone only when its counter has not moved for a whole term on *this* runner's
//! monotonic clock; no two machines' clocks are compared.
//! **Invariant:** the shares of the runners alive differ by one shard at most and add up to all shards.
//! **Invariant:** while guilds are cut over to another set, a shard of it belongs to who runs the old shard its guilds come
//! from: nobody else tries for its lease, and old shards alone are shared out.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use guildhall_domain::ShardId;
use tokio::time::Instant;

use super::sweep::{Beat, Seen, Sweep};

/// The last counters seen, and since when they stand still.
#[derive(Default)]
pub(crate) struct Observer {
    leases: HashMap<ShardId, (Seen, Instant)>,
    runners: BTreeMap<String, (Beat, Instant)>,
}

/// What to do next.
#[derive(Default, PartialEq, Eq, Debug)]
pub(crate) struct Plan {
    /// Leases to try for, with the state the attempt is conditional on.
    pub(crate) take: Vec<(ShardId, Option<Seen>)>,
    /// Leases of the next set to try for, once its shards may connect.
    pub(crate) take_next: Vec<(ShardId, Option<Seen>)>,
    /// Shards to hand over.
    pub(crate) give: Vec<ShardId>,
    /// When something seen may expire, before which another look would show nothing new by itself.
    pub(crate) wake_at: Option<Instant>,
}

/// Who is looking.
pub(crate) struct Viewpoint<'a> {
    pub(crate) me: &'a str,
    /// Holders proven dead by the lock on their journal.
    pub(crate) predecessors: &'a [String],
    pub(crate) shard_count: u32,
    /// The number of shards that guilds are being cut over to.
    pub(crate) target: Option<u32>,
    /// Shards of the pinned set that this runner runs and is not handing over.
    pub(crate) active: &'a BTreeSet<ShardId>,
    /// Shards whose lease this runner holds, those being handed over included.
    pub(crate) held: &'a BTreeSet<ShardId>,
    pub(crate) term: Duration,
}

impl Observer {
    /// Takes in a sweep; a counter that moved starts its holder's term anew.
    pub(crate) fn observe(&mut self, sweep: Sweep, now: Instant) {
        self.leases.retain(|shard, _| sweep.leases.contains_key(shard));
        for (shard, seen) in sweep.leases {
            let entry = self.leases.entry(shard).or_insert_with(|| (seen.clone(), now));
            if entry.0 != seen {
                *entry = (seen, now);
            }
        }
        self.runners.retain(|holder, _| sweep.runners.contains_key(holder));
        for (holder, counter) in sweep.runners {
            let entry = self.runners.entry(holder).or_insert((counter, now));
            if entry.0 != counter {
                *entry = (counter, now);
            }
        }
    }

    /// Whether somebody holds the lease, as far as was seen.
    pub(crate) fn is_held(&self, shard: ShardId, term: Duration, now: Instant) -> bool {
        self.leases.get(&shard).is_some_and(|(seen, since)| !seen.holder.is_empty() && now < *since + term)
    }

    pub(crate) fn plan(&self, view: &Viewpoint<'_>, now: Instant) -> Plan {
        let mut wake_at: Option<Instant> = None;
        let mut expired = |since: Instant| {
            let at = since + view.term;
            if at > now {
                wake_at = Some(wake_at.map_or(at, |wake: Instant| wake.min(at)));
            }
            at <= now
        };
        let mut alive: BTreeSet<&str> = BTreeSet::from([view.me]);
        for (holder, (beat, since)) in &self.runners {
            let other = beat.shards == view.shard_count && holder != view.me && !view.predecessors.contains(holder);
            if other && !expired(*since) {
                alive.insert(holder);
            }
        }
        let share = share(view.me, &alive, view.shard_count);

        let mut takeable = |shard: ShardId| match self.leases.get(&shard) {
            None => Some(None),
            Some((seen, since)) => (seen.holder.is_empty()
                || seen.holder == view.me
                || view.predecessors.contains(&seen.holder)
                || expired(*since))
            .then(|| Some(seen.clone())),
        };
        let mut take = Vec::new();
        let mut free = share.saturating_sub(view.active.len());
        for id in 0..view.shard_count {
            let shard = ShardId { id, count: view.shard_count };
            if view.held.contains(&shard) {
                continue;
            }
            if let Some(seen) = takeable(shard)
                && free > 0
            {
                free -= 1;
                take.push((shard, seen));
            }
        }
        let mut take_next = Vec::new();
        for id in 0..view.target.unwrap_or(0) {
            let shard = ShardId { id, count: view.target.unwrap_or(0) };
            let from = ShardId { id: id % view.shard_count.max(1), count: view.shard_count };
            // Whoever has not noticed that the old shard is another's has no business there.
            let is_mine = self.leases.get(&from).is_some_and(|(seen, _)| seen.holder == view.me);
            if view.held.contains(&shard) || !view.active.contains(&from) || !is_mine {
                continue;
            }
            if let Some(seen) = takeable(shard) {
                take_next.push((shard, seen));
            }
        }
        let surplus = view.active.len().saturating_sub(share);
        let give = view.active.iter().rev().take(surplus).copied().collect();
        Plan { take, take_next, give, wake_at }
    }
}

/// How many shards belong to `me`: the first runners, by name, take the remainder of the division.
fn share(me: &str, alive: &BTreeSet<&str>, shard_count: u32) -> usize {
    let shards = usize::try_from(shard_count).unwrap_or(usize::MAX);
    let rank = alive.iter().position(|holder| *holder == me).unwrap_or(0);
    shards / alive.len() + usize::from(rank < shards % alive.len())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TERM: Duration = Duration::from_secs(10);

    fn shard(id: u32, count: u32) -> ShardId {
        ShardId { id, count }
    }

    fn sweep(count: u32, leases: &[(u32, &str, u64)], runners: &[(&str, u64)]) -> Sweep {
        let lease =
            |&(id, holder, counter): &(u32, &str, u64)| (shard(id, count), Seen { holder: holder.into(), counter });
        let runner = |&(holder, counter): &(&str, u64)| (holder.to_owned(), Beat { shards: count, counter });
        Sweep {
            leases: leases.iter().map(lease).collect(),
            runners: runners.iter().map(runner).collect(),
            ..Sweep::default()
        }
    }

    fn plan(observer: &Observer, me: &str, count: u32, active: &[u32], now: Instant) -> Plan {
        let active: BTreeSet<ShardId> = active.iter().map(|id| shard(*id, count)).collect();
        let view = Viewpoint {
            me,
            predecessors: &["dead".to_owned()],
            shard_count: count,
            target: None,
            active: &active,
            held: &active,
            term: TERM,
        };
        observer.plan(&view, now)
    }

    fn taken(plan: &Plan) -> Vec<u32> {
        plan.take.iter().map(|(shard, _)| shard.id).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn a_lease_expires_when_its_counter_stands_still_for_a_term() {
        let start = Instant::now();
        let mut observer = Observer::default();
        observer.observe(sweep(1, &[(0, "other", 5)], &[]), start);
        let early = plan(&observer, "me", 1, &[], start);
        assert_eq!((taken(&early), early.wake_at), (vec![], Some(start + TERM)));
        observer.observe(sweep(1, &[(0, "other", 6)], &[]), start + TERM / 2);
        assert_eq!(taken(&plan(&observer, "me", 1, &[], start + TERM)), [0_u32; 0]);
        assert_eq!(taken(&plan(&observer, "me", 1, &[], start + TERM / 2 + TERM)), [0]);
    }

    #[tokio::test(start_paused = true)]
    async fn released_own_and_predecessors_leases_are_taken_at_once() {
        let now = Instant::now();
        let mut observer = Observer::default();
        observer.observe(sweep(5, &[(0, "", 5), (1, "dead", 1), (2, "me", 9), (3, "other", 2)], &[("dead", 4)]), now);
        assert_eq!(taken(&plan(&observer, "me", 5, &[], now)), [0, 1, 2, 4]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_newcomer_is_given_its_share() {
        let now = Instant::now();
        let mut observer = Observer::default();
        observer.observe(sweep(3, &[(0, "a", 5), (1, "a", 1), (2, "a", 9)], &[("a", 1), ("b", 1)]), now);
        assert_eq!(plan(&observer, "a", 3, &[0, 1, 2], now).give, [shard(2, 3)]);
        assert_eq!(taken(&plan(&observer, "b", 3, &[], now)), [0_u32; 0], "held leases are waited for");
        observer.observe(sweep(3, &[(0, "a", 6), (1, "a", 2), (2, "", 10)], &[("a", 2), ("b", 2)]), now);
        assert_eq!(taken(&plan(&observer, "b", 3, &[], now)), [2]);
        // The newcomer dies: its heartbeat stands still for a term, and everything is one runner's again.
        observer.observe(sweep(3, &[(0, "a", 7), (1, "a", 3), (2, "b", 11)], &[("a", 3), ("b", 2)]), now + TERM);
        assert_eq!(taken(&plan(&observer, "a", 3, &[0, 1], now + TERM)), [0_u32; 0]);
        assert_eq!(taken(&plan(&observer, "a", 3, &[0, 1], now + TERM + TERM)), [2]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_shard_of_the_next_set_follows_the_old_one() {
        let now = Instant::now();
        let mut observer = Observer::default();
        let mut seen = sweep(2, &[(0, "me", 5), (1, "other", 5)], &[("other", 1)]);
        seen.leases.insert(shard(2, 4), Seen { holder: "other".to_owned(), counter: 1 });
        observer.observe(seen, now);
        let held = BTreeSet::from([shard(0, 2)]);
        let view = Viewpoint {
            me: "me",
            predecessors: &[],
            shard_count: 2,
            target: Some(4),
            active: &held,
            held: &held,
            term: TERM,
        };
        let next =
            |now| -> Vec<_> { observer.plan(&view, now).take_next.into_iter().map(|(shard, _)| shard).collect() };
        assert_eq!(next(now), [shard(0, 4)], "who ran shard 2 before is waited for, and 1 and 3 are the other's");
        assert_eq!(next(now + TERM), [shard(0, 4), shard(2, 4)]);
    }

    proptest! {
        #[test]
        fn shares_are_fair_and_complete(count in 0_u32..500, names in proptest::collection::btree_set("[a-z]{1,6}", 1..12)) {
            let alive: BTreeSet<&str> = names.iter().map(String::as_str).collect();
            let shares: Vec<usize> = alive.iter().map(|me| share(me, &alive, count)).collect();
            prop_assert_eq!(shares.iter().sum::<usize>(), count as usize);
            prop_assert!(shares.iter().max().expect("one") - shares.iter().min().expect("one") <= 1);
        }
    }
}
