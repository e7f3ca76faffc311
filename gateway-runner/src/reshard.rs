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
mod side;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use guildhall_domain::{GuildId, ShardId};
use guildhall_wire::CoverageGap;
use tokio::sync::watch;
use tokio::time::Instant;

use align::{Track, Which};
use record::Record;
pub use side::Side;

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
    /// The session flows on this connection; a replay may still be going on.
    live: bool,
    /// Since when nothing is left to be replayed: nothing waited behind the last word that ends a replay.
    live_since: Option<Instant>,
    /// Guilds that the session has yet to introduce, and until when that is waited for.
    introducing: Option<HashSet<GuildId>>,
    introduced_by: Option<Instant>,
    /// When a frame last arrived that was not waiting already.
    fresh_at: Option<Instant>,
    /// Nothing waits to be read, as of this round of asking.
    drained: Option<u64>,
    /// The gap that was reported, and the envelopes it travels in.
    gap_sent: Option<(CoverageGap, Vec<i64>)>,
    /// The code with which Discord closed the shard for good.
    closed: Option<u16>,
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

/// All streams flow.
#[derive(Clone, Copy)]
struct Together {
    since: Instant,
    /// The last round, when all of them had shown in it that they do.
    proven_at: Option<Instant>,
    /// For how long they have shown it.
    proven: Duration,
}

struct State {
    /// `None` until the cut-over of this shard has begun.
    record: Option<Record>,
    old: Stream,
    old_lost: bool,
    /// Whether no shard of the new set has ever had a session, nor can get one unseen; `None` until that was asked.
    untouched: Option<bool>,
    /// Neither record nor session is there yet, so the first session may begin.
    vacant: bool,
    new: BTreeMap<u32, Stream>,
    tracks: HashMap<GuildId, Tracked>,
    round: u64,
    /// While all streams have been live.
    together: Option<Together>,
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
    /// The record is finished: nothing is decided on the new sessions' events any longer.
    over: AtomicBool,
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
    /// The cut-over of `shard` to a set of `target` shards; not begun.
    pub fn new(shard: ShardId, target: u32, timing: Timing) -> Arc<Self> {
        let state = State {
            record: None,
            old: Stream::default(),
            old_lost: false,
            untouched: None,
            vacant: false,
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
            over: AtomicBool::new(false),
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
        let goes_on_without = state.old_lost && state.untouched == Some(false);
        state.record.as_ref().is_some_and(|record| state.old.live || record.is_complete() || goes_on_without)
    }

    /// Whether a session of this new shard begins where the old one was lost, with nothing between them to compare, and
    /// has to tell of that loss. The record says so to every holder, however far the one before has come.
    pub fn is_replaced(&self, shard: u32) -> bool {
        self.lock().record.as_ref().is_some_and(|record| record.is_replaced(shard))
    }

    /// The session that the guilds are cut over from.
    pub fn old_session(&self) -> Option<Arc<str>> {
        self.lock().record.as_ref().map(|record| record.old_session.clone())
    }

    /// Discord closed the old shard for good: its session, which reached up to here as far as is known, is lost.
    pub fn close(&self, session: Option<(Arc<str>, u64)>) {
        let mut state = self.lock();
        state.old.live = false;
        if let (None, Some((session, read))) = (&state.old.session, session) {
            state.old.session = Some(session);
            state.old.read = read;
        }
        if !std::mem::replace(&mut state.old_lost, true) {
            tracing::error!(shard = %self.shard, "the old shard was closed for good while guilds are cut over");
        }
    }

    /// Discord closed a new shard for good. While the old session lives it goes on counting, and the cut-over waits;
    /// otherwise the others go on without that shard.
    pub fn refused(&self, shard: u32, code: u16) {
        let mut state = self.lock();
        let stream = state.new.entry(shard).or_default();
        stream.live = false;
        stream.closed = Some(code);
    }

    /// The new shard that holds the cut-over up because Discord closed it for good, and the code.
    pub fn is_held_up(&self) -> Option<(u32, u16)> {
        let state = self.lock();
        if state.record.as_ref().is_none_or(|record| record.finished) {
            return None;
        }
        state.new.iter().find_map(|(shard, stream)| Some((*shard, stream.closed?)))
    }

    /// This runner gives the shard up.
    pub fn abandon(&self) {
        metrics::gauge!("reshard_held_up", "shard" => self.shard.to_string()).set(0.0);
        self.held.send_replace(Hold::ForGood);
    }

    /// Whether the old session is no longer needed.
    pub fn is_finished(&self) -> bool {
        self.lock().record.as_ref().is_some_and(|record| record.finished)
    }
}

/// What a shard's reader needs of the cut-over it takes part in; set while it runs, or before.
pub type Attached = Arc<OnceLock<Arc<Side>>>;

#[cfg(test)]
mod tests;
