//! One reader's end of a cut-over: what it reads is told, and what of it counts is said.
//!
//! **Invariant:** an event is noted and judged under one lock, so that no decision falls between the two.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use guildhall_domain::{GuildId, ShardId};
use guildhall_wire::{CoverageGap, Event};
use tokio::sync::watch;
use tokio::time::Instant;

use super::align::{Trace, Track, Which};
use super::record::Record;
use super::{Cutover, Hold, State, Stream, Tracked, decide};

/// One reader's end of a cut-over.
pub struct Side {
    cutover: Arc<Cutover>,
    /// The new shard; `None` for the old one.
    new: Option<u32>,
}

impl Side {
    /// The end of the old shard.
    pub fn old(cutover: &Arc<Cutover>) -> Arc<Self> {
        Arc::new(Self { cutover: cutover.clone(), new: None })
    }

    /// The end of a new shard.
    pub fn new(cutover: &Arc<Cutover>, shard: u32) -> Arc<Self> {
        Arc::new(Self { cutover: cutover.clone(), new: Some(shard) })
    }

    fn with<T>(&self, change: impl FnOnce(&mut State, Which) -> T) -> T {
        let which = if self.new.is_some() { Which::New } else { Which::Old };
        change(&mut self.cutover.lock(), which)
    }

    fn stream<'a>(&self, state: &'a mut State) -> &'a mut Stream {
        match self.new {
            None => &mut state.old,
            Some(shard) => state.new.entry(shard).or_default(),
        }
    }

    /// The reader reads this session from `read` on. `guilds` are those it has yet to introduce; `None` when that is not
    /// known, because it began before, and then only time tells that it has.
    pub fn session(&self, session: &Arc<str>, read: u64, guilds: Option<HashSet<GuildId>>, age: Duration) {
        let introduced_by = Instant::now() + self.cutover.timing.introduction().saturating_sub(age);
        self.with(|state, which| {
            let stream = self.stream(state);
            let other = stream.session.as_ref() != Some(session);
            if other {
                *stream = Stream {
                    session: Some(session.clone()),
                    introduced_by: Some(introduced_by),
                    introducing: guilds,
                    ..Stream::default()
                };
            }
            let stream = self.stream(state);
            (stream.read, stream.closed) = (read, None);
            if which == Which::New && !state.record.as_ref().is_some_and(Record::is_complete) {
                state.untouched = Some(false);
            }
            if which == Which::Old && state.record.as_ref().is_some_and(|record| record.old_session != *session) {
                state.old_lost = true;
            }
            if other {
                let (target, shard) = (self.cutover.target, self.new);
                for (guild, tracked) in &mut state.tracks {
                    if shard.is_none_or(|shard| ShardId::for_guild(*guild, target).id == shard) {
                        tracked.track.forget(which);
                    }
                }
            }
        });
    }

    /// Whether everything that was missed has been replayed.
    pub fn live(&self, live: bool) {
        self.with(|state, _| {
            // Said again, it ends a replay that was not over yet.
            let stream = self.stream(state);
            stream.live = live;
            stream.live_since = None;
            stream.fresh_at = None;
            stream.drained = None;
            state.together = None;
        });
    }

    /// A frame was read: keeps of its events those that this session counts. Waits while a cut is being written; `false`
    /// when nobody will know whether it was, and the frame must be left to the next holder.
    pub async fn frame(&self, session: &str, seq: u64, events: &mut Vec<Event>) -> bool {
        if self.is_over() {
            return true;
        }
        while !self.try_frame(session, seq, events) {
            let mut held = self.cutover.held.subscribe();
            // The sender lives in the cut-over, so the channel cannot close.
            if held.wait_for(|held| !self.is_held(*held)).await.is_ok_and(|held| *held == Hold::ForGood) {
                return false;
            }
        }
        true
    }

    /// Whether nothing that a new session brings is decided on any longer. Every reader of it is behind its cuts.
    fn is_over(&self) -> bool {
        self.new.is_some() && self.cutover.over.load(Ordering::Relaxed)
    }

    fn is_held(&self, held: Hold) -> bool {
        match held {
            Hold::Off | Hold::ForGood => false,
            Hold::On => true,
            Hold::One(which, _) => (which == Which::New) == self.new.is_some(),
        }
    }

    pub(super) fn try_frame(&self, session: &str, seq: u64, events: &mut Vec<Event>) -> bool {
        self.with(|state, which| {
            // Under the lock, so that no decision is taken between this and the note below.
            let held = *self.cutover.held.borrow();
            if held == Hold::ForGood || self.is_held(held) {
                return false;
            }
            let stream = self.stream(state);
            stream.read = seq;
            if let Some(trace) = Trace::of(events) {
                // A session introducing its guilds is nothing that happened in them.
                let introduced = stream.introducing.as_mut().is_some_and(|guilds| guilds.remove(&trace.guild));
                if state.record.as_ref().is_some_and(|record| record.is_open(trace.guild)) {
                    let now = Instant::now();
                    let tracked = state
                        .tracks
                        .entry(trace.guild)
                        .or_insert_with(|| Tracked { track: Track::default(), active_at: now });
                    if !(introduced && trace.introduces()) {
                        tracked.active_at = now;
                    }
                    tracked.track.note(which, &trace);
                    // It has caught up: nothing more is read until the cut is decided.
                    if held == Hold::One(which.other(), trace.guild) && tracked.track.is_aligned() {
                        self.cutover.turn(Hold::On);
                    }
                }
            }
            if let Some(record) = &state.record {
                events.retain(|event| match self.new {
                    None => record.forwards_old(session, event.guild, event.seq),
                    Some(shard) => record.forwards_new(shard, session, event.guild, event.seq),
                });
            }
            true
        })
    }

    /// Nothing waits to be read.
    pub fn drained(&self) {
        if self.is_over() {
            return;
        }
        self.with(|state, _| {
            let round = state.round;
            let stream = self.stream(state);
            stream.drained = Some(round);
            if stream.live {
                stream.live_since.get_or_insert_with(Instant::now);
            }
        });
    }

    /// Something has arrived, after it was waited for or not.
    pub fn arrived(&self, waited: bool) {
        if self.is_over() {
            return;
        }
        self.with(|state, _| {
            let stream = self.stream(state);
            if waited {
                stream.fresh_at = Some(Instant::now());
            }
            stream.drained = None;
        });
    }

    /// A receiver that changes whenever the reader is asked whether something waits to be read.
    pub fn rounds(&self) -> watch::Receiver<u64> {
        self.cutover.rounds.subscribe()
    }

    /// Whether the shard may begin a session. The old one may not replace one that is lost, nor begin any before it is
    /// known that there is no record of cuts.
    pub fn may_identify(&self) -> bool {
        self.new.is_some()
            || self.with(|state, _| {
                if state.record.is_some() && !state.old_lost {
                    state.old_lost = true;
                    tracing::error!(shard = %self.cutover.shard, "the old session was lost while guilds are cut over");
                }
                state.record.is_none() && state.vacant
            })
    }

    /// Whether the reader's session is to be closed for good when it is told to stop.
    pub fn is_retired(&self) -> bool {
        self.new.is_none() && self.cutover.is_finished()
    }

    /// The gap that this shard has to report, until it is told to be [sent](Self::gap_sent).
    pub fn gap(&self) -> Option<CoverageGap> {
        let shard = self.new?;
        self.with(|state, _| {
            let record = state.record.as_ref()?;
            let gap = decide::gap(record, shard)?;
            let stream = state.new.get(&shard)?;
            let is_sent = stream.gap_sent.as_ref().is_some_and(|(sent, _)| *sent == gap);
            (stream.session.is_some() && !is_sent).then_some(gap)
        })
    }

    /// This gap, which may be another by now, travels in these envelopes.
    pub fn gap_sent(&self, gap: CoverageGap, envelopes: Vec<i64>) {
        self.with(|state, _| self.stream(state).gap_sent = Some((gap, envelopes)));
    }
}
