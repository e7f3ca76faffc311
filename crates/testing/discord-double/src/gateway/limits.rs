//! IDENTIFY limits: one bucket for each `shard_id % max_concurrency`, and the daily budget.
//!
//! **Invariant:** RESUME costs nothing here.

use std::collections::HashMap;
use std::time::Duration;

use serde::Serialize;
use tokio::time::Instant;

/// `session_start_limit` of `GET /gateway/bot`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct SessionStartLimit {
    /// IDENTIFYs allowed per window.
    pub total: u32,
    /// IDENTIFYs left in this window.
    pub remaining: u32,
    /// Milliseconds until the window ends.
    pub reset_after: u64,
    /// The number of buckets.
    pub max_concurrency: u32,
}

/// A window of the budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct IdentifyWindow {
    /// IDENTIFYs allowed in it.
    pub granted: u32,
    /// IDENTIFYs that came, refused ones too.
    pub used: u32,
}

/// The answer to an IDENTIFY.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Admission {
    /// Go ahead.
    Granted,
    /// Its bucket was used a moment ago.
    TooSoon,
    /// The budget is spent: every session ends and the token is reset.
    Exhausted,
}

/// The state of the limits.
#[derive(Debug)]
pub(super) struct IdentifyLimits {
    total: u32,
    window: Duration,
    interval: Duration,
    max_concurrency: u32,
    used: u32,
    window_began: Option<Instant>,
    /// Every window so far, the present one last.
    windows: Vec<IdentifyWindow>,
    buckets: HashMap<u32, Instant>,
}

impl IdentifyLimits {
    pub(super) fn new(total: u32, window: Duration, interval: Duration, max_concurrency: u32) -> Self {
        let max_concurrency = max_concurrency.max(1);
        Self {
            total,
            window,
            interval,
            max_concurrency,
            used: 0,
            window_began: None,
            windows: Vec::new(),
            buckets: HashMap::new(),
        }
    }

    /// Books one IDENTIFY of a shard.
    pub(super) fn admit(&mut self, shard: u32, now: Instant) -> Admission {
        if self.window_began.is_none_or(|began| now - began >= self.window) {
            self.begin(now);
        }
        if let Some(window) = self.windows.last_mut() {
            window.used += 1;
        }
        if self.used >= self.total {
            return Admission::Exhausted;
        }
        self.used += 1;
        let bucket = shard % self.max_concurrency;
        if self.buckets.get(&bucket).is_some_and(|last| now - *last < self.interval) {
            return Admission::TooSoon;
        }
        self.buckets.insert(bucket, now);
        Admission::Granted
    }

    /// Leaves this many IDENTIFYs in the present window.
    pub(super) fn set_remaining(&mut self, remaining: u32, now: Instant) {
        if self.window_began.is_none() {
            self.begin(now);
        }
        self.total = self.total.max(remaining);
        self.used = self.total - remaining;
        if let Some(window) = self.windows.last_mut() {
            window.granted = window.used + remaining;
        }
    }

    fn begin(&mut self, now: Instant) {
        self.window_began = Some(now);
        self.used = 0;
        self.windows.push(IdentifyWindow { granted: self.total, used: 0 });
    }

    /// Every window that an IDENTIFY or an order began, in order.
    pub(super) fn windows(&self) -> Vec<IdentifyWindow> {
        self.windows.clone()
    }

    pub(super) fn state(&self, now: Instant) -> SessionStartLimit {
        let left = self.window_began.map_or(Duration::ZERO, |began| self.window.saturating_sub(now - began));
        let used = if left.is_zero() { 0 } else { self.used };
        SessionStartLimit {
            total: self.total,
            remaining: self.total - used,
            reset_after: u64::try_from(left.as_millis()).unwrap_or(u64::MAX),
            max_concurrency: self.max_concurrency,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits() -> IdentifyLimits {
        IdentifyLimits::new(3, Duration::from_secs(3_600), Duration::from_secs(5), 2)
    }

    #[tokio::test(start_paused = true)]
    async fn each_bucket_opens_every_interval() {
        let (mut limits, start) = (limits(), Instant::now());
        assert_eq!(limits.admit(0, start), Admission::Granted);
        assert_eq!(limits.admit(1, start), Admission::Granted);
        assert_eq!(limits.admit(2, start + Duration::from_millis(4_999)), Admission::TooSoon);
    }

    #[tokio::test(start_paused = true)]
    async fn the_budget_counts_refused_identifies_and_comes_back_with_the_window() {
        let (mut limits, start) = (limits(), Instant::now());
        for _ in 0..3 {
            limits.admit(0, start);
        }
        assert_eq!(limits.state(start).remaining, 0);
        assert_eq!(limits.admit(1, start + Duration::from_secs(10)), Admission::Exhausted);
        let later = start + Duration::from_secs(3_600);
        assert_eq!(limits.state(later).remaining, 3);
        assert_eq!(limits.admit(1, later), Admission::Granted);
        assert_eq!(
            limits.state(later),
            SessionStartLimit { total: 3, remaining: 2, reset_after: 3_600_000, max_concurrency: 2 }
        );
        let window = |used| IdentifyWindow { granted: 3, used };
        assert_eq!(limits.windows(), [window(4), window(1)]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_window_that_was_shortened_grants_what_is_left_and_the_next_one_all() {
        let (mut limits, start) = (limits(), Instant::now());
        limits.set_remaining(1, start);
        assert_eq!(limits.admit(0, start), Admission::Granted);
        assert_eq!(limits.admit(1, start + Duration::from_secs(10)), Admission::Exhausted);
        limits.admit(1, start + Duration::from_secs(3_600));
        let windows = [IdentifyWindow { granted: 1, used: 2 }, IdentifyWindow { granted: 3, used: 1 }];
        assert_eq!(limits.windows(), windows);
    }
}
