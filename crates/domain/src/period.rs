//! The spans of time people ask about, and the span each is compared with.
//!
//! **Invariant:** a period ends now, so that its numbers are live; the previous period has the same length, so that the
//! trend compares like with like.

use crate::time::{TimeZone, Timestamp};

/// A span named by a person.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Period {
    /// The last 24 hours, on whole quarter-hours.
    Day,
    /// The last 7 local days, today included.
    Week,
    /// The last 30 local days, today included.
    Month,
    /// The last 90 local days, today included.
    Quarter,
    /// The last 365 local days, today included.
    Year,
}

/// From `start` (inclusive) to `end` (exclusive), both on quarter-hours.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Span {
    /// The first instant.
    pub start: Timestamp,
    /// The first instant after it.
    pub end: Timestamp,
}

impl Period {
    /// Every period, shortest first.
    pub const ALL: [Self; 5] = [Self::Day, Self::Week, Self::Month, Self::Quarter, Self::Year];

    /// The period's name in command options and cache keys.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Day => "24h",
            Self::Week => "7d",
            Self::Month => "30d",
            Self::Quarter => "90d",
            Self::Year => "365d",
        }
    }

    /// The period with this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|period| period.name() == name)
    }

    const fn days(self) -> u64 {
        match self {
            Self::Day => 1,
            Self::Week => 7,
            Self::Month => 30,
            Self::Quarter => 90,
            Self::Year => 365,
        }
    }

    /// The span that ends with the quarter-hour of `now`.
    pub fn span(self, zone: TimeZone, now: Timestamp) -> Span {
        let end = now.quarter_hour().end();
        let start = match self {
            Self::Day => end.plus_millis(-24 * 3_600_000),
            _ => {
                let today = zone.date_of(now);
                zone.start_of(today.checked_sub_days(chrono::Days::new(self.days() - 1)).unwrap_or(today))
            }
        };
        Span { start, end }
    }
}

impl Span {
    /// The span of equal length that ends where this one begins.
    pub const fn previous(self) -> Self {
        Self { start: self.start.plus_millis(self.start.millis_since(self.end)), end: self.start }
    }

    /// Milliseconds from start to end.
    pub const fn millis(self) -> i64 {
        self.end.millis_since(self.start)
    }

    /// Whether an instant lies inside.
    pub fn contains(self, at: Timestamp) -> bool {
        self.start <= at && at < self.end
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_week_in_kathmandu_begins_at_local_midnight_and_ends_now() {
        let zone: TimeZone = "Asia/Kathmandu".parse().expect("a zone");
        let now = Timestamp::parse_rfc3339("2026-11-22T12:31:00Z").expect("an instant");
        let span = Period::Week.span(zone, now);
        assert_eq!(zone.local(span.start).to_string(), "2026-11-16 00:00:00 +0545");
        assert_eq!(span.end, Timestamp::parse_rfc3339("2026-11-22T12:45:00Z").expect("an instant"));
        assert_eq!(span.previous().end, span.start);
        assert_eq!(span.previous().millis(), span.millis());
    }

    #[test]
    fn names_lead_back() {
        for period in Period::ALL {
            assert_eq!(Period::from_name(period.name()), Some(period));
        }
    }
}
