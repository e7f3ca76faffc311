//! Whether this process stood still, and for how long nobody can say what became of its leases.
//!
//! A process that was frozen finds events in its sockets when it wakes. By then its shards may be another runner's, who
//! was refused the session and began a new one: those events may be counted there. So what is read after a standstill
//! waits until the table has confirmed the lease. A table that is away is another matter: whoever runs reads on.
//!
//! **Invariant:** a standstill longer than the bound is noticed by whoever runs first after it.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// The process's own pulse.
pub struct Pulse {
    longest: Duration,
    state: Mutex<(Instant, u64)>,
}

impl Pulse {
    /// A pulse that takes silence longer than this for a standstill. Somebody must [`Pulse::beat`] more often.
    pub fn new(longest: Duration) -> Self {
        Self { longest, state: Mutex::new((Instant::now(), 0)) }
    }

    /// Shows that the process runs; gives back how often it stood still so far.
    pub fn beat(&self, now: Instant) -> u64 {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let still = now.saturating_duration_since(state.0);
        state.0 = state.0.max(now);
        if still > self.longest {
            state.1 += 1;
            metrics::counter!("standstills_total").increment(1);
            tracing::warn!(
                seconds = still.as_secs_f64(),
                "the process stood still; what it reads waits until its leases are confirmed"
            );
        }
        state.1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn only_a_long_silence_is_a_standstill() {
        let pulse = Pulse::new(Duration::from_secs(5));
        for _ in 0..10 {
            tokio::time::advance(Duration::from_secs(5)).await;
            assert_eq!(pulse.beat(Instant::now()), 0);
        }
        tokio::time::advance(Duration::from_millis(5_001)).await;
        assert_eq!(pulse.beat(Instant::now()), 1);
        assert_eq!(pulse.beat(Instant::now()), 1);
    }
}
