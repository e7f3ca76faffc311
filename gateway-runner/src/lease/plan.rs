//! Which leases to take and which to give up: pure decisions on what was seen, and when.
//!
//! **Invariant:** a holder counts as gone only when its counter has not moved for a whole term on *this* runner's
//! monotonic clock; no two machines' clocks are compared.
//! **Invariant:** the shares of the runners alive differ by one shard at most and add up to all shards.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use tokio::time::Instant;

use super::table::{Seen, Sweep};

/// The last counters seen, and since when they stand still.
#[derive(Default)]
pub(crate) struct Observer {
    leases: HashMap<u32, (Seen, Instant)>,
    runners: BTreeMap<String, (u64, Instant)>,
}

/// What to do next.
#[derive(Default, PartialEq, Eq, Debug)]
pub(crate) struct Plan {
    /// Leases to try for, with the state the attempt is conditional on.
    pub(crate) take: Vec<(u32, Option<Seen>)>,
    /// Shards to hand over.
    pub(crate) give: Vec<u32>,
    /// When something seen may expire, before which another look would show nothing new by itself.
    pub(crate) wake_at: Option<Instant>,
}

/// Who is looking.
pub(crate) struct Viewpoint<'a> {
    pub(crate) me: &'a str,
    /// Holders proven dead by the lock on their journal.
    pub(crate) predecessors: &'a [String],
    pub(crate) shard_count: u32,
    /// Shards this runner runs and is not handing over.
    pub(crate) active: &'a BTreeSet<u32>,
    /// Shards whose lease this runner holds, those being handed over included.
    pub(crate) held: &'a BTreeSet<u32>,
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
        for (holder, (_, since)) in &self.runners {
            if !view.predecessors.contains(holder) && holder != view.me && !expired(*since) {
                alive.insert(holder);
            }
        }
        let share = share(view.me, &alive, view.shard_count);

        let mut take = Vec::new();
        let mut free = share.saturating_sub(view.active.len());
        for shard in 0..view.shard_count {
            if view.held.contains(&shard) {
                continue;
            }
            let seen = self.leases.get(&shard);
            let takeable = match seen {
                None => true,
                Some((seen, since)) => {
                    seen.holder.is_empty()
                        || seen.holder == view.me
                        || view.predecessors.contains(&seen.holder)
                        || expired(*since)
                }
            };
            if takeable && free > 0 {
                free -= 1;
                take.push((shard, seen.map(|(seen, _)| seen.clone())));
            }
        }
        let surplus = view.active.len().saturating_sub(share);
        let give = view.active.iter().rev().take(surplus).copied().collect();
        Plan { take, give, wake_at }
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

    fn sweep(leases: &[(u32, &str, u64)], runners: &[(&str, u64)]) -> Sweep {
        Sweep {
            leases: leases.iter().map(|&(id, holder, counter)| (id, Seen { holder: holder.into(), counter })).collect(),
            runners: runners.iter().map(|&(holder, counter)| (holder.to_owned(), counter)).collect(),
            ..Sweep::default()
        }
    }

    fn plan(observer: &Observer, me: &str, count: u32, active: &[u32], now: Instant) -> Plan {
        let active: BTreeSet<u32> = active.iter().copied().collect();
        let view = Viewpoint {
            me,
            predecessors: &["dead".to_owned()],
            shard_count: count,
            active: &active,
            held: &active,
            term: TERM,
        };
        observer.plan(&view, now)
    }

    fn taken(plan: &Plan) -> Vec<u32> {
        plan.take.iter().map(|(shard, _)| *shard).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn a_lease_expires_when_its_counter_stands_still_for_a_term() {
        let start = Instant::now();
        let mut observer = Observer::default();
        observer.observe(sweep(&[(0, "other", 5)], &[]), start);
        let early = plan(&observer, "me", 1, &[], start);
        assert_eq!((taken(&early), early.wake_at), (vec![], Some(start + TERM)));
        observer.observe(sweep(&[(0, "other", 6)], &[]), start + TERM / 2);
        assert_eq!(taken(&plan(&observer, "me", 1, &[], start + TERM)), [0_u32; 0]);
        assert_eq!(taken(&plan(&observer, "me", 1, &[], start + TERM / 2 + TERM)), [0]);
    }

    #[tokio::test(start_paused = true)]
    async fn released_own_and_predecessors_leases_are_taken_at_once() {
        let now = Instant::now();
        let mut observer = Observer::default();
        observer.observe(sweep(&[(0, "", 5), (1, "dead", 1), (2, "me", 9), (3, "other", 2)], &[("dead", 4)]), now);
        assert_eq!(taken(&plan(&observer, "me", 5, &[], now)), [0, 1, 2, 4]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_newcomer_is_given_its_share() {
        let now = Instant::now();
        let mut observer = Observer::default();
        observer.observe(sweep(&[(0, "a", 5), (1, "a", 1), (2, "a", 9)], &[("a", 1), ("b", 1)]), now);
        assert_eq!(plan(&observer, "a", 3, &[0, 1, 2], now).give, [2]);
        assert_eq!(taken(&plan(&observer, "b", 3, &[], now)), [0_u32; 0], "held leases are waited for");
        observer.observe(sweep(&[(0, "a", 6), (1, "a", 2), (2, "", 10)], &[("a", 2), ("b", 2)]), now);
        assert_eq!(taken(&plan(&observer, "b", 3, &[], now)), [2]);
        // The newcomer dies: its heartbeat stands still for a term, and everything is one runner's again.
        observer.observe(sweep(&[(0, "a", 7), (1, "a", 3), (2, "b", 11)], &[("a", 3), ("b", 2)]), now + TERM);
        assert_eq!(taken(&plan(&observer, "a", 3, &[0, 1], now + TERM)), [0_u32; 0]);
        assert_eq!(taken(&plan(&observer, "a", 3, &[0, 1], now + TERM + TERM)), [2]);
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
