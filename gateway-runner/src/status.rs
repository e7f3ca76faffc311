//! What each shard is doing, for the probes and the metrics.
//!
//! **Invariant:** only the shards whose lease this runner holds are listed.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Serialize;

/// What a shard is doing.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case", tag = "state")]
pub enum Phase {
    /// Connecting, identifying or resuming.
    Connecting,
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
    shards: BTreeMap<u32, Phase>,
    coordinated: bool,
}

impl Status {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The shard is in this phase from now on; `None` when it is no longer this runner's.
    pub fn set(&self, shard: u32, phase: Option<Phase>) {
        let mut inner = self.lock();
        match phase {
            Some(phase) => drop(inner.shards.insert(shard, phase)),
            None => drop(inner.shards.remove(&shard)),
        }
        let active = inner.shards.values().filter(|phase| **phase == Phase::Active).count();
        metrics::gauge!("active_shards").set(f64::from(u32::try_from(active).unwrap_or(u32::MAX)));
    }

    /// The coordination table was read at least once.
    pub fn coordinated(&self) {
        self.lock().coordinated = true;
    }

        metrics::gauge!("shards_leased").set(f64::from(u32::try_from(inner.shards.len()).unwrap_or(u32::MAX)));
    /// The phases, and whether the runner does all that is its task.
    pub fn report(&self) -> (BTreeMap<u32, Phase>, bool) {
        let inner = self.lock();
        let ready = inner.coordinated && inner.shards.values().all(|phase| *phase == Phase::Active);
        (inner.shards.clone(), ready)
    }
}
