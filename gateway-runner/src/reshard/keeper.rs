//! The task that cuts the guilds of one old shard over: it decides, writes down, and sees the old session off.
//!
//! **Invariant:** the record is claimed, on the condition of its version, before it is obeyed, so that whoever held the
//! shard before can write to it no longer; who claims it proves the lease before the write and behind it.
//! **Invariant:** while the outcome of a write is unknown, its streams stand still.
//! **Invariant:** the old session is given up only when SQS has accepted everything up to the cuts, of all sessions, and
//! the table says so.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use guildhall_domain::{Clock, ShardId, Timestamp};
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use super::record::Record;
use super::{Cutover, Hold, decide};
use crate::lease::{Lease, Leases, Table, TableError, Written};
use crate::watch::Minutely;
use crate::watermark::Watermarks;

/// How long one stream waits for the other.
const MEETING: Duration = Duration::from_millis(500);
/// How long to wait before the table is asked again.
const PAUSE: Duration = Duration::from_millis(250);

/// Someone else wrote to the record.
struct Stolen;

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
            never = self.work() => match never {},
        }
    }

    async fn work(&self) -> std::convert::Infallible {
        // Whoever held the shard before may have written late: it is the lease that decides, and the claim proves it.
        let record = loop {
            let (record, version) = self.claim().await;
            match self.cut(record, version).await {
                Ok(record) => break record,
                Err(Stolen) => {
                    tracing::warn!(shard = %self.lease.shard(), "another runner wrote to the record of cuts");
                }
            }
        };
        while let Err(error) = self.table.finish(self.lease.shard(), &self.holder, self.generation).await {
            tracing::error!(shard = %self.lease.shard(), error = %error, "the end of a cut-over cannot be recorded");
            tokio::time::sleep(PAUSE).await;
        }
        tracing::info!(shard = %self.lease.shard(), guilds = record.cuts.len(), "all guilds are the new shards'");
        metrics::counter!("reshard_finished_total").increment(1);
        self.old.cancel();
        std::future::pending().await
    }

    /// Cuts until all is cut and safe.
    async fn cut(&self, mut record: Record, mut version: u64) -> Result<Record, Stolen> {
        let every = (self.cutover.timing.quiet / 10).clamp(Duration::from_millis(50), Duration::from_millis(500));
        let mut tick = tokio::time::interval(every);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut told = Minutely::default();
        while !record.finished {
            tick.tick().await;
            self.tell(&mut told);
            // A decision waits until it is written: none is taken while the table does not answer.
            if !self.lease.is_answered() {
                continue;
            }
            self.cutover.meet().await;
            self.look_for_the_old_shard().await;
            self.look_for_new_sessions().await;
            let safe = self.safe(&record).await;
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
        Ok(record)
    }

    /// An old shard whose reader has ended before its time was closed for good.
    async fn look_for_the_old_shard(&self) {
        if self.old.is_cancelled() && !self.cutover.is_finished() {
            let session = self.lease.session().await.map(|session| (session.session_id, session.accepted.seq));
            self.cutover.close(session);
        }
    }

    /// Says, for as long as it is so, that the cut-over is held up by what only a person can mend.
    fn tell(&self, told: &mut Minutely) {
        let held_up = self.cutover.is_held_up();
        metrics::gauge!("reshard_held_up", "shard" => self.lease.shard().to_string()).set(if held_up.is_some() {
            1.0
        } else {
            0.0
        });
        if let Some((id, code)) = held_up
            && told.is_due(Instant::now())
        {
            let shard = ShardId { id, count: self.cutover.target };
            tracing::error!(
                old = %self.lease.shard(),
                shard = %shard,
                code,
                "the cut-over waits for a new shard that Discord closed for good"
            );
        }
    }

    /// Where the old session is lost, finds out whether the new shards have had sessions beside it.
    async fn look_for_new_sessions(&self) {
        if !self.cutover.is_in_doubt() {
            return;
        }
        match self.fence().await {
            Ok(untouched) => self.cutover.settle(untouched),
            Err(error) => {
                tracing::error!(shard = %self.lease.shard(), error = %error, "the new shards' sessions are not known");
            }
        }
    }

    /// Whether no new shard has ever had a session. Their leases are taken and given back, so that whatever another
    /// runner saw of them entitles it to nothing any longer.
    async fn fence(&self) -> Result<bool, TableError> {
        let sweep = self.table.sweep().await?;
        for id in Cutover::successors(self.lease.shard(), self.cutover.target) {
            let shard = ShardId { id, count: self.cutover.target };
            let seen = sweep.leases.get(&shard);
            let is_free = seen.is_none_or(|seen| seen.holder.is_empty() || seen.holder == *self.holder);
            if !is_free || self.leases.get(shard).is_some() {
                return Ok(false);
            }
            let Some(session) = self.table.take(shard, seen, &self.holder).await? else { return Ok(false) };
            self.table.release(shard, &self.holder, None).await?;
            if session.is_some_and(|session| session.generation == self.generation) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The time up to which the old session's events are surely counted, or another gap tells of them.
    async fn safe(&self, record: &Record) -> Option<Timestamp> {
        match self.marks.mark(&record.old_session) {
            Some(mark) => Some(mark.at),
            None => self.lease.session().await.map(|session| session.counted_until(&record.old_session)),
        }
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
                // There is no session yet, someone else was first, or the lease is lost, of which the caller learns.
                Ok(None) => {}
                Err(error) => tracing::error!(shard = %shard, error = %error, "the record of cuts cannot be claimed"),
            }
            tokio::time::sleep(PAUSE).await;
            self.look_for_the_old_shard().await;
        }
    }

    async fn try_claim(&self) -> Result<Option<(Record, u64)>, TableError> {
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
                // Closed before there ever was one, it has nothing to be lost.
                let none = || self.old.is_cancelled().then(|| "".into());
                let record = session.map(|session| session.session_id).or_else(none).map(Record::new);
                if record.is_none() {
                    self.cutover.vacate();
                }
                record
            }
        };
        let Some(record) = record else { return Ok(None) };
        let seen = found.map(|found| found.version);
        // The record may be the next holder's already.
        if !self.lease.prove().await? {
            return Ok(None);
        }
        let written = self.table.put_cuts(shard, self.generation, seen, &self.holder, record.encode()).await?;
        // And the write may have taken long: it is obeyed only by who still holds the lease behind it.
        let is_claimed = written == Written::Done && self.lease.prove().await?;
        Ok(is_claimed.then(|| (record, seen.unwrap_or(0) + 1)))
    }

    /// Writes the record; returns once it is known to be written.
    async fn write(&self, record: Record, version: &mut u64) -> Result<Record, Stolen> {
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
                Ok(_) => return Err(Stolen),
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
        let old = &record.old_session;
        let is_old_safe = || async { self.marks.is_safe(old, upto) && is_recorded(&self.lease, old, upto).await };
        if !old.is_empty() && !is_old_safe().await {
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
            state.tracks.retain(|guild, _| record.is_open(*guild));
            state.tracks.shrink_to_fit();
            // Begun before the record was known here, another session counts nothing.
            state.old_lost |= state.old.session.as_ref().is_some_and(|session| *session != record.old_session);
            self.over.store(record.finished, Ordering::Relaxed);
            metrics::gauge!("reshard_guilds_cut", "shard" => self.shard.to_string())
                .set(f64::from(u32::try_from(record.cuts.len()).unwrap_or(u32::MAX)));
            state.record = Some(record);
        }
        self.turn(Hold::Off);
    }

    /// There is no record of cuts, and no session that one could begin with.
    pub(super) fn vacate(&self) {
        self.lock().vacant = true;
    }

    /// Whether the old session is lost, and it is not known whether the new shards have had any.
    pub(super) fn is_in_doubt(&self) -> bool {
        let state = self.lock();
        let undecided = state.record.as_ref().is_some_and(|record| record.rest.is_none());
        undecided && state.old_lost && state.untouched.is_none()
    }

    /// What was found out about the new shards' sessions. One that has begun here since counts.
    pub(super) fn settle(&self, untouched: bool) {
        self.lock().untouched.get_or_insert(untouched);
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
            let Some(gap) = decide::gap(record, *shard) else { return true };
            stream
                .gap_sent
                .as_ref()
                .is_some_and(|(sent, ids)| *sent == gap && ids.iter().all(|id| marks.is_accepted(session, *id)))
        });
        let upto = if state.old_lost { record.last_old().min(state.old.read) } else { record.last_old() };
        let is_known = state.old_lost || state.old.session.is_some();
        (done && is_known && state.old.read >= upto).then_some(upto)
    }
}
