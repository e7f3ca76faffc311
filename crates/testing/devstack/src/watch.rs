//! Measures what AWS measures in production: the queues' depths and the cache's memory.

use std::time::Duration;

use guildhall_cache::{Cache, Limits};
use tokio::time::MissedTickBehavior;

use crate::provision::{Aws, Queue, Resources};

/// How often; a page of numbers should not be older.
const EVERY: Duration = Duration::from_secs(5);

/// Measures until it is dropped.
pub(crate) async fn watch(aws: Aws, resources: Resources, cache: Cache, upkeep: impl Fn()) {
    let mut queues: Vec<&Queue> = resources.event_queues.iter().collect();
    queues.push(&resources.work_queue);
    let urls: Vec<&str> = queues.iter().flat_map(|queue| [queue.url.as_str(), &queue.dead_letter_url]).collect();
    let mut ticks = tokio::time::interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        upkeep();
        for url in &urls {
            // An emulator that is away for a moment is a gap in a chart.
            let Ok(waiting) = aws.waiting(url).await else { continue };
            let name = url.rsplit('/').next().unwrap_or(url).to_owned();
            metrics::gauge!("queue_messages", "queue" => name).set(float(waiting));
        }
        if let Some((used, max)) = cache.memory().await {
            metrics::gauge!("cache_memory_used_bytes").set(float(used));
            metrics::gauge!("cache_memory_max_bytes").set(float(max));
        }
    }
}

/// A cache's connection of its own, to ask how the server is doing.
pub(crate) fn cache(url: &str) -> anyhow::Result<Cache> {
    Ok(Cache::new(url, Limits::default())?)
}

#[expect(clippy::cast_precision_loss, reason = "gauges; the values stay far below 2^52")]
fn float(value: u64) -> f64 {
    value as f64
}
