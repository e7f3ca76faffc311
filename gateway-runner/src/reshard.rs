//! Cutting the guilds of one shard over to the shards that replace it, while both sets run.
//!
//! Discord lets sets with different numbers of shards connect side by side. Guild g is on shard `(g >> 22) % n`, so the
//! guilds of new shard k of m·n all come from old shard k mod n, and one process reads the old shard and those that
//! replace it. Each guild's events are forwarded from the old session up to its *cut* and from the new one after it. The
//! whole procedure is described in `docs/architecture.md`, "Resharding".
//!
//! **Invariant:** a cut is durable before it has effect: while it is written, the streams of its shard stand still.
//! **Invariant:** cuts are made only while every connection concerned has caught up, so that they lie behind whatever an
//! earlier holder of the shard may have read.
//! **Invariant:** events that are not forwarded were read all the same: ranges and watermarks pass over them.

pub mod align;
mod decide;
pub mod keeper;
pub mod record;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use guildhall_domain::{GuildId, ShardId};
use guildhall_wire::{CoverageGap, Event};
use tokio::sync::watch;
use tokio::time::Instant;

use align::{Trace, Track, Which};
use record::Record;

/// How long things may take while guilds are cut over.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Timing {
    /// Longer than two sessions' deliveries of one event are ever apart.
    pub quiet: Duration,
    /// After how long the guilds left over are cut with a gap.
    pub force: Duration,
}

impl Timing {
    /// How long a new session may take to introduce its guilds.
    fn introduction(&self) -> Duration {
        self.quiet * 3
    }
}

/// A connection to one of the shards, as the cut-over sees it.
#[derive(Default, Debug)]
struct Stream {
    session: Option<Arc<str>>,
    read: u64,
    /// Nothing is left to be replayed on this connection.
    live: bool,
    live_since: Option<Instant>,
    /// Guilds that the session has yet to introduce, and until when that is waited for.
    introducing: Option<HashSet<GuildId>>,
    introduced_by: Option<Instant>,
    /// When a frame last arrived that was not waiting already.
    fresh_at: Option<Instant>,
    /// Nothing waits to be read, as of this round of asking.
    drained: Option<u64>,
    gap_sent: Option<Vec<i64>>,
}

impl Stream {
    fn is_introduced(&self, now: Instant) -> bool {
        self.introducing.as_ref().is_some_and(HashSet::is_empty) || self.introduced_by.is_some_and(|at| at <= now)
    }
}

struct Tracked {
    track: Track,
    /// When either stream last carried something of the guild.
    active_at: Instant,
}

struct State {
    /// `None` until the cut-over of this shard has begun.
    record: Option<Record>,
    old: Stream,
    old_lost: bool,
    /// No shard of the new set has ever had a session.
    untouched: bool,
    new: BTreeMap<u32, Stream>,
    tracks: HashMap<GuildId, Tracked>,
    round: u64,
    /// Since when all streams have been live.
    together: Option<Instant>,
    /// When the old session was stopped for the guilds left over.
    stopped: Option<Instant>,
}

/// The cut-over of one old shard.
pub struct Cutover {
    shard: ShardId,
    target: u32,
    timing: Timing,
    state: Mutex<State>,
    held: watch::Sender<Hold>,
    rounds: watch::Sender<u64>,
}

/// Whether the streams of a shard may go on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Hold {
    /// They go on.
    Off,
    /// One of them stands still until the other has caught up with it in a busy guild.
    One(Which, GuildId),
    /// A record is being read or written that decides on their next events.
    On,
    /// Nobody will say what the record is: this runner gives the shard up.
    ForGood,
}

impl Cutover {
    /// The cut-over of `shard` to a set of `target` shards; not begun. `untouched`: none of the new shards has ever had
    /// a session.
    pub fn new(shard: ShardId, target: u32, timing: Timing, untouched: bool) -> Arc<Self> {
        let state = State {
            record: None,
            old: Stream::default(),
            old_lost: false,
            untouched,
            new: Self::successors(shard, target).map(|id| (id, Stream::default())).collect(),
            tracks: HashMap::new(),
            round: 0,
            together: None,
            stopped: None,
        };
        Arc::new(Self {
            shard,
            target,
            timing,
            state: Mutex::new(state),
            // Until the record is known.
            held: watch::Sender::new(Hold::On),
            rounds: watch::Sender::new(0),
        })
    }

    /// The shards of a set of `target` that have the guilds of `shard`.
    pub fn successors(shard: ShardId, target: u32) -> impl Iterator<Item = u32> {
        (shard.id..target).step_by(usize::try_from(shard.count.max(1)).unwrap_or(usize::MAX))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the new shards may connect: what they deliver is compared with a stream that flows, or follows one that
    /// has ended.
    pub fn may_begin(&self) -> bool {
        let state = self.lock();
        state
            .record
            .as_ref()
            .is_some_and(|record| state.old.live || record.is_complete() || (state.old_lost && !state.untouched))
    }

    /// Whether the new sessions begin where the old one was lost, with nothing between them to compare.
    pub fn is_replaced(&self) -> bool {
        let state = self.lock();
        state.old_lost && state.untouched && state.record.as_ref().is_some_and(Record::is_complete)
    }

    /// This runner gives the shard up.
    pub fn abandon(&self) {
        self.held.send_replace(Hold::ForGood);
    }

    /// Whether the old session is no longer needed.
    pub fn is_finished(&self) -> bool {
        self.lock().record.as_ref().is_some_and(|record| record.finished)
    }
}

/// What a shard's reader needs of the cut-over it takes part in; set while it runs, or before.
pub type Attached = Arc<OnceLock<Arc<Side>>>;

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
            self.stream(state).read = read;
            if which == Which::New && !state.record.as_ref().is_some_and(Record::is_complete) {
                state.untouched = false;
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
            let stream = self.stream(state);
            if stream.live != live {
                stream.live = live;
                stream.live_since = live.then(Instant::now);
                stream.fresh_at = None;
                stream.drained = None;
                state.together = None;
            }
        });
    }

    /// A frame was read: keeps of its events those that this session counts. Waits while a cut is being written; `false`
    /// when nobody will know whether it was, and the frame must be left to the next holder.
    pub async fn frame(&self, session: &str, seq: u64, events: &mut Vec<Event>) -> bool {
        while !self.try_frame(session, seq, events) {
            let mut held = self.cutover.held.subscribe();
            // The sender lives in the cut-over, so the channel cannot close.
            if held.wait_for(|held| !self.is_held(*held)).await.is_ok_and(|held| *held == Hold::ForGood) {
                return false;
            }
        }
        true
    }

    fn is_held(&self, held: Hold) -> bool {
        match held {
            Hold::Off | Hold::ForGood => false,
            Hold::On => true,
            Hold::One(which, _) => (which == Which::New) == self.new.is_some(),
        }
    }

    fn try_frame(&self, session: &str, seq: u64, events: &mut Vec<Event>) -> bool {
        self.with(|state, which| {
            // Under the lock, so that no decision is taken between this and the note below.
            let held = *self.cutover.held.borrow();
            if held == Hold::ForGood || self.is_held(held) {
                return false;
            }
            let stream = self.stream(state);
            stream.read = seq;
            if let Some(trace) = Trace::of(events) {
                if let Some(guilds) = &mut stream.introducing {
                    guilds.remove(&trace.guild);
                }
                let now = Instant::now();
                let tracked = state
                    .tracks
                    .entry(trace.guild)
                    .or_insert_with(|| Tracked { track: Track::default(), active_at: now });
                // A session introducing its guilds is nothing that happened in them.
                if !(which == Which::New && trace.introduces()) {
                    tracked.active_at = now;
                }
                tracked.track.note(which, &trace);
                // It has caught up: nothing more is read until the cut is decided.
                if held == Hold::One(which.other(), trace.guild) && tracked.track.is_aligned() {
                    self.cutover.turn(Hold::On);
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
        self.with(|state, _| {
            let round = state.round;
            let stream = self.stream(state);
            stream.drained = Some(round);
        });
    }

    /// Something has arrived, after it was waited for or not.
    pub fn arrived(&self, waited: bool) {
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

    /// Called when the session is lost: whether the shard goes without another one.
    pub fn gives_up(&self) -> bool {
        self.new.is_none()
            && self.with(|state, _| {
                let gives_up = state.record.is_some();
                if gives_up && !state.old_lost {
                    state.old_lost = true;
                    tracing::error!(shard = %self.cutover.shard, "the old session was lost while guilds are cut over");
                }
                gives_up
            })
    }

    /// Whether the reader's session is to be closed for good when it is told to stop.
    pub fn is_retired(&self) -> bool {
        self.new.is_none() && self.cutover.is_finished()
    }

    /// The gap that this shard has to report, once.
    pub fn gap(&self) -> Option<CoverageGap> {
        let shard = self.new?;
        self.with(|state, _| {
            let record = state.record.as_ref()?;
            let gap = decide::gap(record, shard)?;
            let stream = state.new.get_mut(&shard)?;
            (stream.session.is_some() && stream.gap_sent.is_none()).then(|| {
                stream.gap_sent = Some(Vec::new());
                gap
            })
        })
    }

    /// The gap travels in these envelopes.
    pub fn gap_sent(&self, envelopes: Vec<i64>) {
        self.with(|state, _| self.stream(state).gap_sent = Some(envelopes));
    }
}

#[cfg(test)]
mod tests;
