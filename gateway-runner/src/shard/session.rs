//! Taking up a session, and replacing one that was lost.
//!
//! **Invariant:** a session that is replaced leaves a coverage gap behind; it stays in the shard's record until SQS has
//! accepted it.
//! **Invariant:** a session goes on under the class map it began with, because ranges are kept per class; only one under
//! a map that this program does not know is given up.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;
use std::time::Duration;

use guildhall_domain::{ClassMap, Timestamp};
use guildhall_wire::CoverageGap;
use tokio::time::Instant;
use twilight_gateway::Session;

use super::cut_over::CutOver;
use super::dial::Dial;
use super::inbox::Inbox;
use super::{Deps, End, Reader};
use crate::batch::{Batcher, Origin};
use crate::gauges::Gauges;
use crate::identify::Slot;
use crate::journal::SessionRow;
use crate::lease::{GaugeRecord, Lease, SessionRecord};
use crate::meter::Meter;
use crate::project;
use crate::reshard::Attached;
use crate::status::Phase;
use crate::watermark::{Mark, surely_before};

/// How long reading may wait for the gauges' snapshot.
const GAUGES: Duration = Duration::from_secs(1);
/// How long the rest of a lost session may take to be accepted, before the gap is drawn around it.
const LAST_WORDS: Duration = Duration::from_secs(5);

impl<'a> Reader<'a> {
    /// Prepares to resume the session of the lease's record, or to identify when there is none.
    pub(super) async fn start(
        deps: &'a Deps,
        lease: &'a Lease,
        local: Option<(Arc<str>, Mark)>,
        slot: Slot,
        attached: Attached,
    ) -> Result<Self, End> {
        // A session that this shard had when the number of shards was another one before is long gone.
        let generation = deps.sharding.generation;
        let record = lease.session().await.filter(|record| record.generation == generation);
        let known =
            |version| if version == deps.class_map.version() { Some(deps.class_map) } else { ClassMap::of(version) };
        let class_map = record.as_ref().and_then(|record| known(record.class_map));
        let resumable = record.as_ref().zip(class_map);
        // On the disk the session was read on last, the journal reaches further than SQS.
        let from = |record: &SessionRecord| match &local {
            Some((session, mark)) if *session == record.session_id && mark.seq > record.accepted.seq => *mark,
            _ => record.accepted,
        };
        let resume = resumable.map(|(record, _)| {
            let session = Session::new(from(record).seq, record.session_id.as_ref().to_owned());
            (session, Some(record.resume_url.clone()))
        });
        let mut reader = Self {
            deps,
            lease,
            dial: Dial::new(RandomState::new().hash_one(lease.shard().id), Instant::now()),
            resume_url: resume.as_ref().and_then(|(_, url)| url.clone()),
            shard: Self::connect(deps, lease, slot.clone(), resume),
            inbox: Inbox::new(lease.shard()),
            slot,
            batcher: None,
            lost: Vec::new(),
            inherited: Vec::new(),
            attached,
            cut_over: CutOver::default(),
            gauges: Gauges::default(),
            meter: Meter::default(),
            replay_from: None,
            resumed: false,
            close_code: 1006,
            advanced: 0,
            events: Vec::new(),
            closed: Vec::new(),
            next_id: None,
        };
        match (&record, resumable) {
            (Some(record), Some((_, map))) => reader.take_up(record, map, from(record)).await?,
            (Some(record), None) => {
                tracing::error!(
                    shard = %lease.shard(),
                    class_map = record.class_map,
                    "the session was begun under a class map that is not known here, and is given up; a gap is recorded"
                );
                reader.lost.push((record.session_id.clone(), record.accepted));
            }
            (None, _) => {
                tracing::info!(shard = %lease.shard(), "there is no session to resume");
                for old in deps.sharding.inherited(lease.shard()) {
                    reader.lost.push((old.session_id.clone(), old.accepted));
                    reader.inherited.extend(old.gaps.iter().cloned());
                }
            }
        }
        Ok(reader)
    }

    async fn take_up(&mut self, record: &SessionRecord, class_map: ClassMap, from: Mark) -> Result<(), End> {
        let shard = self.lease.shard();
        tracing::info!(shard = %shard, seq = from.seq, accepted = record.accepted.seq, "taking up a session");
        self.deps.marks.begin(&record.session_id, from);
        let row = SessionRow { shard, session_id: record.session_id.clone(), mark: from };
        self.deps.journal.put_session(row).await?;
        let origin = Origin { shard, session_id: record.session_id.clone(), started: record.started, class_map };
        self.batcher = Some(Batcher::new(origin, from));
        self.advanced = from.seq;
        self.replay_from = Some(from.at);
        self.restore_gauges(&record.session_id).await;
        self.send_gaps(record.gaps.clone()).await
    }

    async fn restore_gauges(&mut self, session: &str) {
        match tokio::time::timeout(GAUGES, self.lease.gauges()).await {
            Ok(Ok(Some(kept))) if *kept.session_id == *session => {
                self.gauges = Gauges::restore(&kept.data, kept.seq);
            }
            Ok(Ok(_)) => {}
            Ok(Err(error)) => tracing::warn!(shard = %self.lease.shard(), error = %error, "no gauges to go on from"),
            Err(_) => tracing::warn!(shard = %self.lease.shard(), "no gauges to go on from: the table is slow"),
        }
    }

    /// Keeps the gauges for the next holder; they are worth a moment, and no more.
    pub(super) async fn save_gauges(&mut self) {
        let Some(batcher) = &self.batcher else { return };
        let Some(data) = self.gauges.snapshot() else {
            tracing::warn!(shard = %self.lease.shard(), "the gauges are too many to be handed over");
            return;
        };
        let kept = GaugeRecord { session_id: batcher.origin().session_id.clone(), seq: batcher.read().seq, data };
        match tokio::time::timeout(GAUGES, self.lease.put_gauges(kept)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(shard = %self.lease.shard(), error = %error, "gauges are not kept"),
            Err(_) => tracing::warn!(shard = %self.lease.shard(), "gauges are not kept: the table is slow"),
        }
    }

    /// A new session begins: the old one, if there was one, is lost.
    pub(super) async fn ready(&mut self, text: &str, seq: u64) -> Result<(), End> {
        let ready = match project::ready(text) {
            Ok(ready) => ready,
            Err(error) => {
                let error = guildhall_runtime::telemetry::chain(&error);
                tracing::error!(shard = %self.lease.shard(), error, "READY could not be read");
                return Ok(());
            }
        };
        let now = self.deps.clock.now();
        let mut lost = std::mem::take(&mut self.lost);
        if let Some(mut old) = self.batcher.take() {
            old.close_all(&mut self.closed);
            let session = old.origin().session_id.clone();
            self.submit().await?;
            let safe = self.safe_end(&session, old.read()).await;
            self.deps.marks.retire(&session);
            lost.push((session, safe));
        }
        let lease = self.lease;
        let mut gaps = self.meanwhile(lease.open_gaps()).await;
        gaps.append(&mut self.inherited);
        for (session, mark) in lost {
            let gap = gap(&session, mark, now);
            metrics::counter!("sessions_lost_total").increment(1);
            tracing::error!(
                shard = %self.lease.shard(),
                from = %gap.from,
                to = %gap.to,
                "the session could not be resumed; a coverage gap is recorded"
            );
            gaps.push(gap);
        }
        let session_id: Arc<str> = ready.session_id.into();
        self.resume_url = Some(ready.resume_url.clone());
        let record = SessionRecord {
            session_id: session_id.clone(),
            resume_url: ready.resume_url,
            started: now,
            class_map: self.deps.class_map.version(),
            generation: self.deps.sharding.generation,
            accepted: Mark { seq, at: now },
            gaps: gaps.clone(),
        };
        let shard = self.lease.shard();
        self.meanwhile(lease.put_session(record)).await?;
        let mark = Mark { seq, at: now };
        self.deps.marks.begin(&session_id, mark);
        self.deps.journal.put_session(SessionRow { shard, session_id: session_id.clone(), mark }).await?;
        let origin = Origin { shard, session_id, started: now, class_map: self.deps.class_map };
        self.batcher = Some(Batcher::new(origin, Mark { seq: seq.saturating_sub(1), at: now }));
        self.advanced = seq;
        self.gauges.clear();
        self.replay_from = None;
        self.dial.receiving(Instant::now());
        self.deps.status.set(shard, Some(Phase::Active));
        self.cut_over = CutOver { announced: false, live: true, introducing: Some(ready.guilds.into_iter().collect()) };
        self.send_gaps(gaps).await
    }

    /// Up to where a session that has ended is safe: all that was `read`, when SQS takes it soon, else what it has taken.
    /// The record of the session is about to be replaced, so nobody could replay the rest if this disk died.
    async fn safe_end(&mut self, session: &str, read: Mark) -> Mark {
        match tokio::time::timeout(LAST_WORDS, self.deps.marks.drained(session)).await {
            Ok(()) => read,
            Err(_) => self.deps.marks.mark(session).unwrap_or(read),
        }
    }

    async fn send_gaps(&mut self, gaps: Vec<CoverageGap>) -> Result<(), End> {
        let Some(batcher) = &mut self.batcher else { return Ok(()) };
        if gaps.is_empty() {
            return Ok(());
        }
        for gap in gaps {
            batcher.gap(gap, &mut self.closed);
        }
        let ids = self.submit().await?;
        let lease = self.lease;
        self.meanwhile(lease.gaps_sent(ids)).await;
        Ok(())
    }
}

fn gap(session: &str, safe: Mark, now: Timestamp) -> CoverageGap {
    CoverageGap { lost_session: session.to_owned(), after_seq: safe.seq, from: surely_before(safe.at), to: now }
}
