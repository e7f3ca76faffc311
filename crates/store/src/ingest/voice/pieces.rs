//! A stretch of time, cut where buckets end.

use chrono::NaiveDate;
use guildhall_domain::{TimeZone, Timestamp};

/// A part of a stretch, within one quarter-hour and so within one local day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) at: Timestamp,
    pub(super) day: NaiveDate,
    pub(super) millis: i64,
}

/// Cuts the time from `from` to `to`. Clocks differ: a stretch that ends before it begins is empty.
pub(super) fn pieces(from: Timestamp, to: Timestamp, zone: TimeZone) -> impl Iterator<Item = Piece> {
    let mut at = from;
    std::iter::from_fn(move || {
        if at >= to {
            return None;
        }
        let end = at.quarter_hour().end().min(to);
        let piece = Piece { at, day: zone.date_of(at), millis: end.millis_since(at) };
        at = end;
        Some(piece)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        Timestamp::parse_rfc3339(text).expect("an instant")
    }

    #[test]
    fn pieces_lie_within_quarter_hours_and_days_and_add_up() {
        let zone: TimeZone = "Asia/Kathmandu".parse().expect("a zone");
        // Midnight in Kathmandu is 18:15 UTC.
        let (from, to) = (at("2026-03-01T18:10:01Z"), at("2026-03-01T18:31:00Z"));
        let cut: Vec<_> = pieces(from, to, zone).collect();
        assert_eq!(cut.iter().map(|piece| piece.millis).collect::<Vec<_>>(), [299_000, 900_000, 60_000]);
        assert_eq!(
            cut.iter().map(|piece| piece.day.to_string()).collect::<Vec<_>>(),
            ["2026-03-01", "2026-03-02", "2026-03-02"]
        );
        assert_eq!(cut.iter().map(|piece| piece.millis).sum::<i64>(), to.millis_since(from));
    }

    #[test]
    fn a_stretch_that_ends_before_it_begins_is_empty() {
        let (from, to) = (at("2026-03-01T18:10:01Z"), at("2026-03-01T18:10:00Z"));
        assert_eq!(pieces(from, to, TimeZone::UTC).count(), 0);
        assert_eq!(pieces(from, from, TimeZone::UTC).count(), 0);
    }
}
