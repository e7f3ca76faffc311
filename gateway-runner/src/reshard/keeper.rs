//! The task that cuts the guilds of one old shard over: it decides, writes down, and sees the old session off.
//!
//! **Invariant:** the record is claimed, on the condition of its version, before it is obeyed, so that whoever held the
//! shard before can write to it no longer.
//! **Invariant:** while the outcome of a write is unknown, its streams stand still.
//! **Invariant:** the old session is given up only when SQS has accepted everything up to the cuts, of all sessions, and
//! the table says so.

use std::sync::Arc;
use std::time::Duration;

use guildhall_domain::{Clock, ShardId};
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use super::record::Record;
use super::{Cutover, Hold, decide};
use crate::lease::{Lease, Leases, Lost, Table, Written};
use crate::watermark::Watermarks;

/// How long one stream waits for the other.
const MEETING: Duration = Duration::from_millis(500);
/// How long to wait before the table is asked again.
const PAUSE: Duration = Duration::from_millis(250);

/// What the task needs.
pub struct Keeper {
    /// The cut-over.
    pub cutover: Arc<Cutover>,
    /// The table.
    pub table: Table,
    /// This runner.
    pub holder: Arc<str>,
    /// The lease of the old shard.
    pub lease: Arc<Lease>,
    /// All leases of this runner.
    pub leases: Leases,
    /// The generation of the new set.
    pub generation: u64,
    /// The watermarks.
    pub marks: Watermarks,
    /// The clock.
    pub clock: Clock,
    /// Ends the old shard's reader.
    pub old: CancellationToken,
}

impl Keeper {
    /// Runs until the old shard's lease is lost or given up.
    pub async fn run(self) {
        tokio::select! {
            () = self.lease.lost() => {}
            lost = self.work() => match lost {
                // Someone else claimed the record: the lease is his, and the renewal is about to say so.
                Err(Lost) => self.lease.lost().await,
                Ok(never) => match never {},
            },
        }
    }

    async fn work(&self) -> Result<std::convert::Infallible, Lost> {
        let (mut record, mut version) = self.claim().await;
        let every = (self.cutover.timing.quiet / 10).clamp(Duration::from_millis(50), Duration::from_millis(500));
        let mut tick = tokio::time::interval(every);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while !record.finished {
            tick.tick().await;
            self.cutover.meet().await;
            let safe = self.marks.mark(&record.old_session).map(|mark| mark.at);
            let next = self.cutover.hold(|| self.cutover.decide(Instant::now(), self.clock.now(), safe));
            if let Some(next) = next {
                record = self.write(next, &mut version).await?;
                self.cutover.apply(record.clone());
            } else if record.is_complete() && self.is_safe(&record).await {
                record = self.write(Record { finished: true, ..record }, &mut version).await?;
                self.cutover.apply(record.clone());
            }
            self.cutover.ask();
        }
        while let Err(error) = self.table.finish(self.lease.shard(), &self.holder, self.generation).await {
            tracing::error!(shard = %self.lease.shard(), error = %error, "the end of a cut-over cannot be recorded");
            tokio::time::sleep(PAUSE).await;
        }
        tracing::info!(shard = %self.lease.shard(), guilds = record.cuts.len(), "all guilds are the new shards'");
        metrics::counter!("reshard_finished_total").increment(1);
        self.old.cancel();
        std::future::pending().await
    }

    /// Makes the record this runner's.
    async fn claim(&self) -> (Record, u64) {
        let shard = self.lease.shard();
        loop {
            match self.try_claim().await {
                Ok(Some((record, version))) => {
                    tracing::info!(shard = %shard, cut = record.cuts.len(), finished = record.finished, "cutting guilds over");
                    self.cutover.apply(record.clone());
                    return (record, version);
                }
                // There is no session yet, or someone else was first.
                Ok(None) => {}
                Err(error) => tracing::error!(shard = %shard, error = %error, "the record of cuts cannot be claimed"),
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn try_claim(&self) -> Result<Option<(Record, u64)>, crate::lease::TableError> {
        let shard = self.lease.shard();
        let found = self.table.cuts(shard, self.generation).await?;
        let record = match &found {
            Some(found) => {
                let record = Record::decode(&found.data);
                if record.is_none() {
                    tracing::error!(shard = %shard, "the record of cuts cannot be read; a newer version may have written it");
                }
                record
            }
            None => {
                let session = self.lease.session().await.filter(|session| session.generation + 1 == self.generation);
                session.map(|session| Record::new(session.session_id))
            }
        };
        let Some(record) = record else { return Ok(None) };
        let seen = found.map(|found| found.version);
        let written = self.table.put_cuts(shard, self.generation, seen, &self.holder, record.encode()).await?;
        Ok((written == Written::Done).then(|| (record, seen.unwrap_or(0) + 1)))
    }

    /// Writes the record; returns once it is known to be written.
    async fn write(&self, record: Record, version: &mut u64) -> Result<Record, Lost> {
        let (shard, began) = (self.lease.shard(), Instant::now());
        let data = record.encode();
        loop {
            let put = self.table.put_cuts(shard, self.generation, Some(*version), &self.holder, data.clone()).await;
            let read = match put {
                Ok(Written::Done) => break,
                // An attempt before may have succeeded without this runner's hearing of it.
                Ok(Written::Refused) => self.table.cuts(shard, self.generation).await,
                Err(error) => Err(error),
            };
            match read {
                Ok(Some(found)) if found.version == *version + 1 && found.holder == *self.holder => break,
                Ok(_) => return Err(Lost),
                Err(error) => {
                    tracing::error!(shard = %shard, error = %error, "cuts cannot be written; their shards' events wait");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
        *version += 1;
        metrics::histogram!("reshard_write_seconds").record(began.elapsed().as_secs_f64());
        Ok(record)
    }

    /// Whether the table says that SQS has everything up to the cuts.
    async fn is_safe(&self, record: &Record) -> bool {
        let Some(upto) = self.cutover.is_read(&self.marks) else { return false };
        if !self.marks.is_safe(&record.old_session, upto) || !is_recorded(&self.lease, &record.old_session, upto).await
        {
            return false;
        }
        for id in Cutover::successors(self.lease.shard(), self.cutover.target) {
            let shard = ShardId { id, count: self.cutover.target };
            let Some(lease) = self.leases.get(shard) else { return false };
            let Some(session) = lease.session().await else { return false };
            let upto = record.last_new(&session.session_id);
            if !is_recorded(&lease, &session.session_id, upto).await {
                return false;
            }
        }
        true
    }
}

/// Whether the lease's record in the table says that the session is safe up to `seq`; one that replaced it may.
async fn is_recorded(lease: &Lease, session: &str, seq: u64) -> bool {
    if lease.renew().await.is_err() || lease.is_lost() {
        return false;
    }
    lease.session().await.is_some_and(|record| *record.session_id != *session || record.accepted.seq >= seq)
}

impl Cutover {
    /// Takes a decision, and lets the streams stand still if there is one.
    fn hold(&self, decision: impl FnOnce() -> Option<Record>) -> Option<Record> {
        self.turn(Hold::On);
        let decided = decision();
        if decided.is_none() {
            self.turn(Hold::Off);
        }
        decided
    }

    /// Brings the streams of a busy guild together: two that flow are hardly ever at the same place by chance.
    async fn meet(&self) {
        let Some((guild, ahead)) = self.busy() else { return };
        let mut held = self.held.subscribe();
        self.turn(Hold::One(ahead, guild));
        let met = held.wait_for(|held| !matches!(held, Hold::One(..)));
        // Whether it came to that or not: the decision that follows holds both.
        let _late = tokio::time::timeout(MEETING, met).await.is_err();
    }

    pub(super) fn turn(&self, to: Hold) {
        self.held.send_if_modified(|held| {
            let changes = *held != Hold::ForGood && *held != to;
            if changes {
                *held = to;
            }
            changes
        });
    }

    /// The record is written: it is obeyed from now on.
    pub(super) fn apply(&self, record: Record) {
        {
            let mut state = self.lock();
            let gap = |record: &Record| record.rest.as_ref().and_then(|rest| rest.gap.clone());
            if state.record.as_ref().and_then(gap) != gap(&record) {
                state.new.values_mut().for_each(|stream| stream.gap_sent = None);
            }
            state.tracks.retain(|guild, _| !record.cuts.contains_key(guild));
            metrics::gauge!("reshard_guilds_cut", "shard" => self.shard.to_string())
                .set(f64::from(u32::try_from(record.cuts.len()).unwrap_or(u32::MAX)));
            state.record = Some(record);
        }
        self.turn(Hold::Off);
    }

    /// Asks the readers whether something waits to be read.
    pub(super) fn ask(&self) {
        let round = {
            let mut state = self.lock();
            state.round += 1;
            state.round
        };
        self.rounds.send_replace(round);
    }

    /// Up to where the old session must be safe, once it was read up to there, or is lost, and every new shard is read and
    /// SQS has its gap.
    pub(super) fn is_read(&self, marks: &Watermarks) -> Option<u64> {
        let state = self.lock();
        let record = state.record.as_ref()?;
        let done = state.new.iter().all(|(shard, stream)| {
            let Some(session) = stream.session.as_ref().filter(|_| stream.live) else { return false };
            let accepted = |ids: &Vec<i64>| !ids.is_empty() && ids.iter().all(|id| marks.is_accepted(session, *id));
            decide::gap(record, *shard).is_none() || stream.gap_sent.as_ref().is_some_and(accepted)
        });
        let upto = if state.old_lost { record.last_old().min(state.old.read) } else { record.last_old() };
        (done && state.old.session.is_some() && state.old.read >= upto).then_some(upto)
    }
}
