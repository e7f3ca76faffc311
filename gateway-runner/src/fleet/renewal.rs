//! The tasks that keep leases, and the runner's own signs of life, from growing old.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior};

use crate::lease::{Leases, Pulse, Table};

/// Keeps the pulse, so that silence means that the process stood still.
pub(super) async fn beat(pulse: Arc<Pulse>, term: Duration) {
    let mut tick = tokio::time::interval(term / 8);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        pulse.beat(Instant::now());
    }
}

/// Renews every lease and the heartbeat, three times a term.
pub(super) async fn renew(table: Table, holder: Arc<str>, shard_count: Arc<AtomicU32>, leases: Leases, term: Duration) {
    let counter = AtomicU64::new(0);
    let mut tick = tokio::time::interval(term / 3);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        let held: Vec<_> = leases.lock().values().cloned().collect();
        let heartbeat = async {
            let beat = counter.fetch_add(1, Ordering::Relaxed) + 1;
            if let Err(error) = table.heartbeat(&holder, shard_count.load(Ordering::Relaxed), beat).await {
                tracing::error!(error = %error, "the heartbeat cannot be written");
            }
        };
        let renewals = futures_util::future::join_all(held.iter().map(|lease| async move {
            if let Err(error) = lease.renew().await {
                metrics::counter!("coordination_failures_total").increment(1);
                tracing::error!(shard = %lease.shard(), error = %error, "a lease cannot be renewed");
            }
        }));
        tokio::join!(heartbeat, renewals);
    }
}
