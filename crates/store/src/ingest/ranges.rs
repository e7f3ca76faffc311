//! Sets of sequences.
//!
//! **Invariant:** the ranges are ascending, never empty, and never touch: touching ones are one.

use guildhall_wire::SeqRange;

/// The sequences of one session and class that were counted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Sequences(Vec<SeqRange>);

impl Sequences {
    pub(super) fn contains(&self, seq: u64) -> bool {
        let after = self.0.partition_point(|range| range.first <= seq);
        after > 0 && self.0[after - 1].contains(seq)
    }

    pub(super) fn includes(&self, range: SeqRange) -> bool {
        let after = self.0.partition_point(|known| known.first <= range.first);
        after > 0 && range.last <= self.0[after - 1].last
    }

    pub(super) fn insert(&mut self, range: SeqRange) {
        // Those from `from` to `to` touch the new range; they become one with it.
        let from = self.0.partition_point(|known| known.last.saturating_add(1) < range.first);
        let to = self.0.partition_point(|known| known.first <= range.last.saturating_add(1));
        let merged = self.0[from..to]
            .iter()
            .fold(range, |sum, known| SeqRange { first: sum.first.min(known.first), last: sum.last.max(known.last) });
        self.0.splice(from..to, [merged]);
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// As PostgreSQL writes an `int8multirange`: `{[1,4),[9,12)}`.
    pub(super) fn to_sql(&self) -> String {
        let ranges: Vec<_> = self.0.iter().map(|range| format!("[{},{})", range.first, range.last + 1)).collect();
        format!("{{{}}}", ranges.join(","))
    }

    /// Reads what PostgreSQL writes; `None` for anything else.
    pub(super) fn from_sql(text: &str) -> Option<Self> {
        let inner = text.strip_prefix('{')?.strip_suffix('}')?;
        let mut sequences = Self::default();
        if inner.is_empty() {
            return Some(sequences);
        }
        for range in inner.strip_prefix('[')?.strip_suffix(')')?.split("),[") {
            let (first, end) = range.split_once(',')?;
            let (first, end) = (first.parse().ok()?, end.parse::<u64>().ok()?);
            sequences.insert(SeqRange { first, last: end.checked_sub(1).filter(|last| *last >= first)? });
        }
        Some(sequences)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_set_of_ranges_is_the_set_of_their_numbers(
            ranges in proptest::collection::vec((1_u64..60, 0_u64..8), 0..12),
            probe in (1_u64..70, 0_u64..6),
        ) {
            let mut sequences = Sequences::default();
            let mut model = BTreeSet::new();
            for (first, more) in ranges {
                sequences.insert(SeqRange { first, last: first + more });
                model.extend(first..=first + more);
                for pair in sequences.0.windows(2) {
                    prop_assert!(pair[0].last + 1 < pair[1].first, "they touch: {pair:?}");
                }
            }
            for seq in 0..80 {
                prop_assert_eq!(sequences.contains(seq), model.contains(&seq));
            }
            let probe = SeqRange { first: probe.0, last: probe.0 + probe.1 };
            prop_assert_eq!(sequences.includes(probe), (probe.first..=probe.last).all(|seq| model.contains(&seq)));
            prop_assert_eq!(Sequences::from_sql(&sequences.to_sql()), Some(sequences));
        }
    }

    #[test]
    fn the_greatest_sequence_an_envelope_may_name_survives() {
        let mut sequences = Sequences::default();
        let last = i64::MAX as u64 - 1;
        sequences.insert(SeqRange { first: last, last });
        assert_eq!(Sequences::from_sql(&sequences.to_sql()), Some(sequences));
    }

    #[test]
    fn other_text_is_not_a_set() {
        for text in ["", "{", "[1,2)", "{[1,2]}", "{[2,1)}", "{[1,1)}", "{(,5)}", "{[1,2),}"] {
            assert_eq!(Sequences::from_sql(text), None, "{text}");
        }
    }
}
