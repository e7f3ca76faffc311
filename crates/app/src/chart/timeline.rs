//! How a span is cut into bars.
//!
//! **Invariant:** slots tile the span without overlap; each is a whole number of quarter-hours, so no bucket is split.

use guildhall_domain::{Period, Span, TimeZone, Timestamp};

const HOUR: i64 = 3_600_000;

/// From `start` to `end`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slot {
    /// The first instant.
    pub start: Timestamp,
    /// The first instant after it, which may lie in the future.
    pub end: Timestamp,
}

/// The slots of a period's span: hours of a day, three-hour parts of a week, days of a month or quarter, weeks of a
/// year. All but those of a day follow the local calendar.
pub fn slots(period: Period, span: Span, zone: TimeZone) -> Vec<Slot> {
    let mut slots = Vec::new();
    let mut start = span.start;
    while start < span.end {
        let end = match period {
            Period::Day => start.plus_millis(HOUR),
            Period::Week => {
                // Twelve hours after midnight is never the next day: daylight saving moves by two at most.
                let tomorrow = next_day(zone, start, 1);
                let end = start.plus_millis(3 * HOUR);
                if tomorrow.millis_since(end) < HOUR { tomorrow } else { end }
            }
            Period::Month | Period::Quarter => next_day(zone, start, 1),
            Period::Year => next_day(zone, start, 7),
        };
        slots.push(Slot { start, end });
        start = end;
    }
    slots
}

/// The start of the local day `days` after that of an instant.
pub(super) fn next_day(zone: TimeZone, at: Timestamp, days: u64) -> Timestamp {
    let date = zone.date_of(at);
    let next = date.checked_add_days(chrono::Days::new(days)).map_or(at, |date| zone.start_of(date));
    // A day that never was begins with the next one; time goes on all the same.
    if next > at { next } else { at.plus_millis(24 * HOUR) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn slots_tile_the_span_in_every_zone(
            zone in prop::sample::select(TimeZone::all().collect::<Vec<_>>()),
            period in prop::sample::select(&Period::ALL),
            seconds in 1_600_000_000_i64..2_000_000_000,
        ) {
            let span = period.span(zone, Timestamp::from_secs(seconds));
            let slots = slots(period, span, zone);
            prop_assert_eq!(slots.first().map(|slot| slot.start), Some(span.start));
            prop_assert!(slots.last().is_some_and(|slot| slot.start < span.end && slot.end >= span.end));
            for pair in slots.windows(2) {
                prop_assert_eq!(pair[0].end, pair[1].start);
            }
            for slot in &slots {
                prop_assert!(slot.start < slot.end);
                prop_assert_eq!(slot.end.quarter_hour().start(), slot.end);
            }
            let most = match period {
                Period::Day => 24,
                Period::Week => 60,
                Period::Month => 31,
                Period::Quarter => 91,
                Period::Year => 53,
            };
            prop_assert!(slots.len() <= most, "{} slots", slots.len());
        }
    }
}
