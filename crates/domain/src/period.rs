//! The spans of time people ask about, and the span each is compared with.
//!
//! **Invariant:** a period ends now, so that its numbers are live; the span it is compared with covers the same local
//! clock times as many local days earlier, so that a trend compares like with like: a morning with a morning, and a
//! Sunday up to noon with the Sunday before up to noon.

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

    /// How many local days it covers, and lies after the span it is compared with.
    pub const fn days(self) -> u64 {
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

    /// The span that one of this period's is compared with. It ends before that one begins, and where daylight saving
    /// begins or ends it may be an hour shorter or longer.
    pub fn previous(self, zone: TimeZone, span: Span) -> Span {
        if self == Self::Day {
            let earlier = |at: Timestamp| at.plus_millis(-24 * 3_600_000);
            return Span { start: earlier(span.start), end: earlier(span.end) };
        }
        let (start, end) = (self.earlier(zone, span.start), self.earlier(zone, span.end).min(span.start));
        Span { start: start.min(end), end }
    }

    /// The same local clock time, so many days earlier. A time that clocks skipped becomes the one as long after midnight.
    fn earlier(self, zone: TimeZone, at: Timestamp) -> Timestamp {
        let date = zone.date_of(at);
        let since_midnight = at.millis_since(zone.start_of(date));
        let earlier = date.checked_sub_days(chrono::Days::new(self.days())).unwrap_or(date);
        let candidate = zone.start_of(earlier).plus_millis(since_midnight);
        let wall = |at: Timestamp| zone.local(at).time();
        let apart = wall(at) - wall(candidate);
        let exact = candidate.plus_millis(apart.num_milliseconds());
        if wall(exact) == wall(at) && zone.date_of(exact) == earlier { exact } else { candidate }
    }
}

impl Span {
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
    }

    fn previous(period: Period, zone: &str, now: &str) -> (String, String) {
        let zone: TimeZone = zone.parse().expect("a zone");
        let now = Timestamp::parse_rfc3339(now).expect("an instant");
        let previous = period.previous(zone, period.span(zone, now));
        let words = |at| zone.local(at).format("%a %d %b %H:%M %z").to_string();
        (words(previous.start), words(previous.end))
    }

    #[test]
    fn the_span_before_covers_the_same_clock_times_as_many_days_earlier() {
        let now = "2026-11-22T12:31:00Z";
        let of = |period| previous(period, "Europe/Paris", now);
        let told = |start: &str, end: &str| (start.to_owned(), end.to_owned());
        assert_eq!(of(Period::Day), told("Fri 20 Nov 13:45 +0100", "Sat 21 Nov 13:45 +0100"));
        assert_eq!(of(Period::Week), told("Mon 09 Nov 00:00 +0100", "Sun 15 Nov 13:45 +0100"));
        // Clocks were set back on 25 October.
        assert_eq!(of(Period::Month), told("Thu 24 Sep 00:00 +0200", "Fri 23 Oct 13:45 +0200"));
        // At midnight the day is over, and so is that before.
        let midnight = previous(Period::Week, "Europe/Paris", "2026-11-22T22:50:00Z");
        assert_eq!(midnight, told("Mon 09 Nov 00:00 +0100", "Mon 16 Nov 00:00 +0100"));
    }

    #[test]
    fn daylight_saving_moves_no_clock_time() {
        // Clocks were set forward on 29 March 2026, between the two; and that very morning, a week earlier.
        let told = |start: &str, end: &str| (start.to_owned(), end.to_owned());
        let after = previous(Period::Week, "Europe/Paris", "2026-04-01T10:05:00Z");
        assert_eq!(after, told("Thu 19 Mar 00:00 +0100", "Wed 25 Mar 12:15 +0100"));
        let onto = previous(Period::Week, "Europe/Paris", "2026-04-05T10:05:00Z");
        assert_eq!(onto, told("Mon 23 Mar 00:00 +0100", "Sun 29 Mar 12:15 +0200"));
    }

    proptest::proptest! {
        #[test]
        fn the_span_before_lies_before_in_every_zone(
            zone in proptest::sample::select(TimeZone::all().collect::<Vec<_>>()),
            period in proptest::sample::select(&Period::ALL),
            seconds in 1_600_000_000_i64..2_000_000_000,
        ) {
            let span = period.span(zone, Timestamp::from_secs(seconds));
            let previous = period.previous(zone, span);
            proptest::prop_assert!(previous.start < previous.end && previous.end <= span.start);
            for at in [previous.start, previous.end] {
                proptest::prop_assert_eq!(at.quarter_hour().start(), at);
            }
            let apart = (span.millis() - previous.millis()).abs();
            proptest::prop_assert!(apart <= 3 * 3_600_000, "{} ms", apart);
        }
    }

    #[test]
    fn names_lead_back() {
        for period in Period::ALL {
            assert_eq!(Period::from_name(period.name()), Some(period));
        }
    }
}
