//! Which guilds are cut now.
//!
//! **Invariant:** a guild is cut without a gap only where its two streams are aligned, or where neither carried anything
//! of it for longer than two sessions' deliveries are ever apart, on connections that were alive behind that.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use guildhall_domain::{GuildId, ShardId, Timestamp};
use guildhall_wire::CoverageGap;
use tokio::time::Instant;

use super::align::Which;
use super::record::{Cut, Gap, Position, Record, Rest};
use super::{Cutover, State, Stream, Together};
use crate::watermark::surely_before;

impl Cutover {
    /// The record as it should be now, when that is another one than it is. `wall` is the present for people, and
    /// `safe` the time up to which the old session's events are surely counted.
    pub(super) fn decide(&self, now: Instant, wall: Timestamp, safe: Option<Timestamp>) -> Option<Record> {
        let mut state = self.lock();
        let record = state.record.clone()?;
        if record.is_complete() {
            return state.lost_late(record, wall, safe);
        }
        match &record.rest {
            // Nothing was begun: the new sessions report the loss as any session does that replaces a lost one.
            None if state.old_lost && state.untouched? => {
                let before = state.new.keys().map(|shard| (*shard, Position::nowhere())).collect();
                Some(Record { rest: Some(Rest { after: state.old.read, before, gap: None }), ..record })
            }
            None if state.old_lost => {
                let shards = state.new.keys().copied().collect();
                state.stopped = Some(now);
                Some(state.stop(record, safe.unwrap_or(wall), true, shards))
            }
            None => {
                if !state.are_together(now, self.timing.quiet) {
                    return None;
                }
                let together = state.flow_together(now);
                let (cuts, left) = self.ready(&state, &record, now);
                let mut next = record;
                next.cuts.extend(cuts);
                if left.is_empty() && state.is_proven(together.since + self.timing.quiet) {
                    next.rest = Some(Rest { after: state.old.read, before: state.positions(), gap: None });
                    return Some(next);
                }
                if together.proven >= self.timing.force && together.proven_at == Some(now) && !left.is_empty() {
                    // Whoever was silent until now may speak while the old session no longer counts, on any of them.
                    let shards = state.new.keys().copied().collect();
                    let flowed = state.old.fresh_at.map_or(0, |at| now.saturating_duration_since(at).as_millis());
                    let from = wall.plus_millis(-i64::try_from(flowed).unwrap_or(i64::MAX));
                    tracing::warn!(
                        shard = %self.shard,
                        guilds = left.len(),
                        "nothing tells where these guilds' two streams meet; they are cut with a gap"
                    );
                    state.stopped = Some(now);
                    return Some(state.stop(next, from, false, shards));
                }
                (next.cuts.len() > state.record.as_ref().map_or(0, |record| record.cuts.len())).then_some(next)
            }
            // Stopped: the new sessions go on from where the old one's last event must have been delivered to them too.
            Some(_) => {
                let stopped = *state.stopped.get_or_insert(now);
                let settled = |stream: &Stream| stream.is_settled(now, self.timing.quiet) && stream.is_introduced(now);
                // Without those that Discord closed for good: the old session counts no longer, so nobody else would.
                let mut open = state.new.values().filter(|stream| stream.closed.is_none());
                let arrived = open.clone().all(settled);
                let proven = open.all(|stream| stream.is_proven(stopped + self.timing.quiet, state.round));
                (arrived && proven).then(|| {
                    let before = state.positions();
                    let mut next = record;
                    if let Some(rest) = &mut next.rest {
                        if let Some(gap) = &mut rest.gap {
                            gap.to = wall;
                            // A shard that has had no session tells of the loss when its first one begins.
                            gap.shards.retain(|shard| before.get(shard).is_some_and(|before| !before.is_nowhere()));
                        }
                        rest.before = before;
                    }
                    next
                })
            }
        }
    }

    /// A guild whose streams flow at different places, and which of them is ahead.
    pub(super) fn busy(&self) -> Option<(GuildId, Which)> {
        let mut state = self.lock();
        let record = state.record.as_ref()?;
        if record.rest.is_some() || state.old_lost || !state.are_together(Instant::now(), self.timing.quiet) {
            return None;
        }
        // The one that was active last: another is likely to be quiet soon, or to meet by itself.
        let apart = state.tracks.iter().filter_map(|(guild, tracked)| Some((*guild, tracked, tracked.track.ahead()?)));
        apart.max_by_key(|(_, tracked, _)| tracked.active_at).map(|(guild, _, ahead)| (guild, ahead))
    }

    /// The guilds that can be cut, and those that cannot yet.
    fn ready(&self, state: &State, record: &Record, now: Instant) -> (BTreeMap<GuildId, Cut>, Vec<GuildId>) {
        let mut cuts = BTreeMap::new();
        let mut left = Vec::new();
        for (guild, tracked) in &state.tracks {
            if record.cuts.contains_key(guild) {
                continue;
            }
            let shard = ShardId::for_guild(*guild, self.target).id;
            let stream = state.new.get(&shard);
            let quiet = tracked.active_at + self.timing.quiet;
            let can = tracked.track.is_aligned() || (quiet <= now && state.is_proven(quiet));
            match stream.and_then(Stream::position).filter(|_| can) {
                Some(before) => drop(cuts.insert(*guild, Cut { after: state.old.read, before })),
                None => left.push(*guild),
            }
        }
        (cuts, left)
    }
}

impl State {
    /// Whether all streams flow and the new sessions have introduced their guilds.
    fn are_together(&mut self, now: Instant, quiet: Duration) -> bool {
        let new = self.new.values().all(|stream| stream.is_settled(now, quiet) && stream.is_introduced(now));
        let together = new && self.old.is_settled(now, quiet);
        if !together {
            self.together = None;
        }
        together
    }

    /// All streams flow: since when, and for how long each has shown in every round that it does.
    fn flow_together(&mut self, now: Instant) -> Together {
        let mut together = self.together.unwrap_or(Together { since: now, proven_at: None, proven: Duration::ZERO });
        let proven = self.is_proven(together.since);
        if let Some(before) = together.proven_at.filter(|_| proven) {
            together.proven += now.saturating_duration_since(before);
        }
        together.proven_at = proven.then_some(now);
        *self.together.insert(together)
    }

    /// Whether all connections were alive at some time after `since` and hold nothing that waits to be read.
    fn is_proven(&self, since: Instant) -> bool {
        self.old.is_proven(since, self.round) && self.new.values().all(|stream| stream.is_proven(since, self.round))
    }

    fn positions(&self) -> BTreeMap<u32, Position> {
        let of = |stream: &Stream| {
            let nowhere = || stream.closed.is_some().then(Position::nowhere);
            stream.position().or_else(nowhere)
        };
        self.new.iter().filter_map(|(shard, stream)| Some((*shard, of(stream)?))).collect()
    }

    /// A record that is complete, but whose old session was lost before all that it was to count could be replayed.
    fn lost_late(&self, mut record: Record, wall: Timestamp, safe: Option<Timestamp>) -> Option<Record> {
        let known = record.rest.as_ref()?.gap.as_ref().is_some_and(|gap| gap.lost);
        let is_late = self.old_lost && self.old.read < record.last_old();
        // Sessions that replace the lost one tell of it themselves.
        let is_told = known || self.new.keys().any(|shard| record.is_replaced(*shard));
        if !is_late || is_told || record.finished {
            return None;
        }
        let from = surely_before(safe.unwrap_or(wall));
        let shards = self.new.keys().copied().collect();
        record.rest.as_mut()?.gap = Some(Gap { after: self.old.read, from, to: wall, lost: true, shards });
        Some(record)
    }

    fn stop(&self, mut record: Record, from: Timestamp, lost: bool, shards: BTreeSet<u32>) -> Record {
        let gap = Gap { after: self.old.read, from: surely_before(from), to: from, lost, shards };
        record.rest = Some(Rest { after: self.old.read, before: BTreeMap::new(), gap: Some(gap) });
        record
    }
}

impl Stream {
    fn position(&self) -> Option<Position> {
        Some(Position { session: self.session.clone()?, seq: self.read })
    }

    /// Whether a replay must be over: the word that ends one may also be an earlier connection's that is replayed, and
    /// nothing may wait behind it for a moment.
    fn is_settled(&self, now: Instant, quiet: Duration) -> bool {
        self.live && self.live_since.is_some_and(|since| since + quiet <= now)
    }

    fn is_proven(&self, since: Instant, round: u64) -> bool {
        self.live && self.fresh_at.is_some_and(|at| at >= since) && self.drained == Some(round)
    }
}

/// The gap that a new shard has to report.
pub(super) fn gap(record: &Record, shard: u32) -> Option<CoverageGap> {
    let rest = record.rest.as_ref().filter(|_| record.is_complete())?;
    let gap = rest.gap.as_ref().filter(|gap| gap.shards.contains(&shard))?;
    // Only a session that was lost ends what went on in it; one that was stopped for some guilds goes on in the next.
    let suffix = if gap.lost { "" } else { "#cut" };
    Some(CoverageGap {
        lost_session: format!("{}{suffix}", record.old_session),
        after_seq: gap.after,
        from: gap.from,
        to: gap.to,
    })
}
