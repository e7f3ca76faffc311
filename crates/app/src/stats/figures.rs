//! Comparing a figure with the one before.

use std::cmp::Ordering;

use guildhall_domain::Language;

use crate::chart::Trend;
use crate::language::{self as texts, number, percent};

/// How a figure compares with that of the previous period.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// The same, or less than half a percent apart.
    Same,
    /// More or less, by so many percent, rounded.
    Percent(Ordering, u64),
    /// So many times as much.
    Times(u64),
    /// There was nothing, and now there is something.
    FromNothing,
}

/// Compares two figures.
pub fn change(now: u64, before: u64) -> Change {
    if now == before {
        return Change::Same;
    }
    if before == 0 {
        return Change::FromNothing;
    }
    let apart = u128::from(now.abs_diff(before));
    let percent = (apart * 200 + u128::from(before)) / (u128::from(before) * 2);
    match u64::try_from(percent).unwrap_or(u64::MAX) {
        0 => Change::Same,
        1_000.. if now > before => {
            let times = (u128::from(now) + u128::from(before / 2)) / u128::from(before);
            Change::Times(u64::try_from(times).unwrap_or(u64::MAX))
        }
        percent => Change::Percent(now.cmp(&before), percent),
    }
}

impl Change {
    /// The change in words, without an arrow.
    pub fn trend(self, language: Language) -> Trend {
        let (direction, text) = match self {
            Self::Same => (Ordering::Equal, texts::TREND_SAME.of(language).to_owned()),
            Self::Percent(direction, value) => (direction, percent(language, value)),
            Self::Times(times) => (Ordering::Greater, format!("× {}", number(language, times))),
            Self::FromNothing => (Ordering::Greater, texts::TREND_FROM_NOTHING.of(language).to_owned()),
        };
        Trend { text, direction }
    }
}

/// A trend as text shows it.
pub(super) fn with_arrow(trend: &Trend) -> String {
    match trend.direction {
        Ordering::Greater => format!("▲ {}", trend.text),
        Ordering::Less => format!("▼ {}", trend.text),
        Ordering::Equal => trend.text.clone(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn changes_are_rounded_to_whole_percent() {
        assert_eq!(change(0, 0), Change::Same);
        assert_eq!(change(5, 0), Change::FromNothing);
        assert_eq!(change(112, 100), Change::Percent(Ordering::Greater, 12));
        assert_eq!(change(0, 7), Change::Percent(Ordering::Less, 100));
        assert_eq!(change(1_004, 1_000), Change::Same);
        assert_eq!(change(1_005, 1_000), Change::Percent(Ordering::Greater, 1));
        assert_eq!(change(1_200, 100), Change::Times(12));
    }

    proptest! {
        #[test]
        fn the_direction_is_never_wrong(now: u64, before: u64) {
            match change(now, before) {
                Change::Same => {}
                Change::Percent(direction, percent) => {
                    prop_assert_eq!(direction, now.cmp(&before));
                    prop_assert!(percent > 0);
                }
                Change::Times(_) | Change::FromNothing => prop_assert!(now > before),
            }
        }
    }
}
