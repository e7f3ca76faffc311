//! What each shard is doing, for the probes and the metrics.
//!
//! **Invariant:** only the shards whose lease this runner holds are listed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use guildhall_domain::{ShardId, Timestamp};
use serde::{Serialize, Serializer};

use crate::watch::Figures;

/// What a shard is doing.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case", tag = "state")]
pub enum Phase {
    /// Connecting, identifying or resuming.
    Connecting,
    /// Waiting for Discord's next window: the IDENTIFYs of this one are used up.
    AwaitingBudget {
        /// When the window ends.
        #[serde(serialize_with = "as_text")]
        until: Timestamp,
    },
    /// Receiving events.
    Active,
    /// Being handed over.
    HandingOver,
    /// Closed by Discord for good.
    Fatal {
        /// The close code.
        code: u16,
    },
}

/// The phases of a runner's shards.
#[derive(Clone, Default)]
pub struct Status(Arc<Mutex<Inner>>);

#[derive(Default)]
struct Inner {
    shards: BTreeMap<ShardId, Phase>,
    coordinated: bool,
    /// How many shards there should be, with all runners, and those of them that nobody runs.
    wanted: u32,
    orphans: BTreeSet<ShardId>,
    /// Shard → the last sequence read, and how many SQS has not accepted.
    read: BTreeMap<ShardId, (u64, u64)>,
    identifies_left: Option<u32>,
}

impl Status {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The shard is in this phase from now on; `None` when it is no longer this runner's.
    pub fn set(&self, shard: ShardId, phase: Option<Phase>) {
        let mut inner = self.lock();
        match phase {
            Some(phase) => drop(inner.shards.insert(shard, phase)),
            None => drop(inner.shards.remove(&shard)),
        }
        if matches!(phase, None | Some(Phase::Fatal { .. })) {
            inner.read.remove(&shard);
        }
        let active = inner.shards.values().filter(|phase| **phase == Phase::Active).count();
        metrics::gauge!("active_shards").set(f64::from(u32::try_from(active).unwrap_or(u32::MAX)));
        metrics::gauge!("shards_leased").set(f64::from(u32::try_from(inner.shards.len()).unwrap_or(u32::MAX)));
    }

    /// These shards should receive events, whoever runs them; the `orphans` among them nobody runs.
    pub fn wanted(&self, wanted: u32, orphans: BTreeSet<ShardId>) {
        metrics::gauge!("shards_wanted").set(f64::from(wanted));
        let mut inner = self.lock();
        (inner.wanted, inner.orphans) = (wanted, orphans);
    }

    /// A shard was read up to this sequence, and SQS has yet to accept so many of them.
    pub fn read(&self, shard: ShardId, seq: u64, lag: u64) {
        self.lock().read.insert(shard, (seq, lag));
    }

    /// How many IDENTIFYs are left, where that is known.
    pub fn identifies_left(&self, left: Option<u32>) {
        self.lock().identifies_left = left;
    }

    /// What is to be watched, but for the journal.
    pub fn figures(&self) -> Figures {
        let inner = self.lock();
        let silent = inner.shards.iter().filter(|(_, phase)| **phase != Phase::Active).map(|(shard, _)| *shard);
        Figures {
            silent: silent.chain(inner.orphans.iter().copied()).collect(),
            journal: (0, 0),
            read: inner.read.clone(),
            identifies: (inner.identifies_left, inner.wanted),
        }
    }

    /// The coordination table was read at least once.
    pub fn coordinated(&self) {
        self.lock().coordinated = true;
    }

    /// The phases, by shard, and whether the runner does all that is its task. While guilds are cut over, shards of two
    /// sets run, and are told apart by the sets' numbers of shards.
    pub fn report(&self) -> (BTreeMap<String, Phase>, bool) {
        let inner = self.lock();
        let ready = inner.coordinated && inner.shards.values().all(|phase| *phase == Phase::Active);
        let first = inner.shards.keys().next().map(|shard| shard.count);
        let alike = inner.shards.keys().all(|shard| Some(shard.count) == first);
        let name = |shard: &ShardId| if alike { shard.id.to_string() } else { shard.to_string() };
        (inner.shards.iter().map(|(shard, phase)| (name(shard), *phase)).collect(), ready)
    }
}

fn as_text<S: Serializer>(at: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(at)
}
