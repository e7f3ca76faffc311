//! The budget of IDENTIFYs: what Discord says, and what the coordination table remembers of it.
//!
//! **Invariant:** of what the table remembers and what Discord says, the stricter counts, for as long as the window that
//! is remembered lasts.
//! **Invariant:** what Discord has never said is not assumed: without an answer and without a memory of one, nobody
//! identifies.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;

use crate::discovery::StartLimit;
use crate::lease::item::{Item, int, number};

/// Discord's window (Discord documentation, "Session start limit object").
const WINDOW_MILLIS: i64 = 24 * 3_600 * 1_000;
/// How wrong a machine's clock may be when it alone says that the window has ended.
const CLOCKS_MILLIS: i64 = 15 * 60 * 1_000;

/// What is known of the present window.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Window {
    /// When it ends.
    pub(super) ends: i64,
    /// The units left in it.
    pub(super) remaining: u32,
    /// The units each window begins with.
    pub(super) total: u32,
    /// The number of buckets whose IDENTIFYs do not wait for each other.
    pub(super) concurrency: u16,
}

impl Window {
    /// What the table remembers.
    pub(super) fn remembered(item: &Item) -> Option<Self> {
        Some(Self {
            ends: number(item, "window_ends")?,
            remaining: number(item, "remaining")?,
            total: number(item, "total")?,
            concurrency: number(item, "max_concurrency")?,
        })
    }

    /// What the table is to remember.
    pub(super) fn item(self) -> HashMap<String, AttributeValue> {
        HashMap::from([
            ("window_ends".to_owned(), int(self.ends)),
            ("remaining".to_owned(), int(self.remaining)),
            ("total".to_owned(), int(self.total)),
            ("max_concurrency".to_owned(), int(self.concurrency)),
        ])
    }

    /// What Discord says.
    fn said(limit: &StartLimit, now: i64) -> Self {
        let left = i64::try_from(limit.reset_after).ok().filter(|left| *left > 0).unwrap_or(WINDOW_MILLIS);
        let (total, concurrency) = (limit.total, limit.max_concurrency.max(1));
        Self { ends: now.saturating_add(left), remaining: limit.remaining, total, concurrency }
    }

    /// The units left at this time, for who looks and does not spend.
    pub(super) const fn left(self, now: i64) -> u32 {
        if now < self.ends { self.remaining } else { self.total }
    }

    /// The window that counts, from what the table remembers and what Discord says; `None` when nothing is known.
    pub(super) fn present(remembered: Option<Self>, limit: Option<&StartLimit>, now: i64) -> Option<Self> {
        match (remembered, limit.map(|limit| Self::said(limit, now))) {
            (Some(window), Some(said)) if now < window.ends => {
                Some(Self { ends: window.ends, remaining: window.remaining.min(said.remaining), ..said })
            }
            (_, Some(said)) => Some(said),
            (Some(window), None) if now < window.ends.saturating_add(CLOCKS_MILLIS) => Some(window),
            (Some(window), None) => Some(Self { ends: now + WINDOW_MILLIS, remaining: window.total, ..window }),
            (None, None) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 100_000_000;

    fn limit(remaining: u32, reset_after: u64) -> StartLimit {
        StartLimit { total: 1_000, remaining, reset_after, max_concurrency: 16 }
    }

    fn window(ends: i64, remaining: u32) -> Window {
        Window { ends, remaining, total: 1_000, concurrency: 16 }
    }

    fn present(remembered: Option<Window>, limit: Option<StartLimit>) -> Option<(i64, u32)> {
        Window::present(remembered, limit.as_ref(), NOW).map(|window| (window.ends, window.remaining))
    }

    #[test]
    fn the_stricter_of_table_and_discord_counts() {
        assert_eq!(present(Some(window(NOW + 5, 10)), Some(limit(900, 50))), Some((NOW + 5, 10)));
        assert_eq!(present(Some(window(NOW + 5, 10)), Some(limit(3, 50))), Some((NOW + 5, 3)));
        assert_eq!(present(Some(window(NOW, 0)), Some(limit(900, 50))), Some((NOW + 50, 900)));
        assert_eq!(present(None, Some(limit(1_000, 0))), Some((NOW + WINDOW_MILLIS, 1_000)));
    }

    #[test]
    fn without_an_answer_the_memory_counts_and_without_a_memory_nothing_is_assumed() {
        assert_eq!(present(None, None), None);
        assert_eq!(present(Some(window(NOW + 5, 0)), None), Some((NOW + 5, 0)));
        // A clock that is ahead must not open a window that is not over.
        assert_eq!(present(Some(window(NOW - CLOCKS_MILLIS + 1, 3)), None).map(|window| window.1), Some(3));
        let over = present(Some(window(NOW - CLOCKS_MILLIS, 3)), None);
        assert_eq!(over, Some((NOW + WINDOW_MILLIS, 1_000)));
    }

    #[test]
    fn what_is_written_is_read() {
        assert_eq!(Window::remembered(&window(7, 9).item()), Some(window(7, 9)));
        assert_eq!(Window::remembered(&HashMap::new()), None);
    }
}
