//! New ids, and how Discord spells instants.
//!
//! **Invariant:** an id carries the instant it was made for and is unique in its world.

use std::sync::atomic::{AtomicU64, Ordering};

use guildhall_domain::Timestamp;
use serde::{Deserialize, Serialize, Serializer};

/// The bits below the millisecond: worker, process and increment in Discord's layout, one increment here.
const INCREMENT_MASK: u64 = (1 << 22) - 1;

/// Makes ids.
#[derive(Debug, Default)]
pub struct Snowflakes {
    next: AtomicU64,
}

impl Snowflakes {
    /// A new id made at `at`. Instants before Discord's epoch count as the epoch.
    pub fn next(&self, at: Timestamp) -> u64 {
        let millis = u64::try_from(at.millis_since(Timestamp::DISCORD_EPOCH)).unwrap_or(0);
        let increment = self.next.fetch_add(1, Ordering::Relaxed) & INCREMENT_MASK;
        (millis << 22) | increment
    }

    /// A new typed id made at `at`.
    pub fn id<T: FromRaw>(&self, at: Timestamp) -> T {
        T::from_raw(self.next(at))
    }
}

/// An id type that can be made from its number.
pub trait FromRaw {
    /// The id with this number.
    fn from_raw(raw: u64) -> Self;
}

macro_rules! from_raw {
    ($($name:ident)*) => {$(
        impl FromRaw for guildhall_domain::$name {
            fn from_raw(raw: u64) -> Self {
                Self::from_db(raw.cast_signed())
            }
        }
    )*};
}

from_raw!(ChannelId GuildId InteractionId MessageId RoleId UserId);

/// An id of something the service under test has no type for: webhooks, attachments, audit log entries, commands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Snowflake(pub u64);

impl FromRaw for Snowflake {
    fn from_raw(raw: u64) -> Self {
        Self(raw)
    }
}

impl std::fmt::Display for Snowflake {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl std::str::FromStr for Snowflake {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}

impl Serialize for Snowflake {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Snowflake {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        guildhall_domain::GuildId::deserialize(deserializer).map(|id| Self(id.get()))
    }
}

/// An instant as Discord writes it: `2026-11-22T12:52:14.123000+00:00`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Iso(pub Timestamp);

impl Serialize for Iso {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl std::fmt::Display for Iso {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (days, millis) = (self.0.as_millis().div_euclid(86_400_000), self.0.as_millis().rem_euclid(86_400_000));
        let (year, month, day) = civil_from_days(days);
        let seconds = millis / 1_000;
        // Written by hand because every simulated message has one: chrono's formatter costs more than the message.
        write!(
            f,
            "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.{:03}000+00:00",
            seconds / 3_600,
            seconds / 60 % 60,
            seconds % 60,
            millis % 1_000
        )
    }
}

/// The proleptic Gregorian date of a day counted from 1970-01-01, by the 400-year cycle of 146,097 days.
fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468; // days since 0000-03-01, so that the leap day ends the year
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_are_spelled_like_discords() {
        for millis in [0, 1, 951_782_400_000, 1_709_251_199_999, 1_767_225_600_123, 4_107_542_399_999] {
            let at = Timestamp::from_millis(millis);
            assert_eq!(Iso(at).to_string(), at.to_utc().format("%Y-%m-%dT%H:%M:%S%.6f+00:00").to_string());
        }
    }

    #[test]
    fn ids_of_one_millisecond_differ_and_remember_it() {
        let ids = Snowflakes::default();
        let at = Timestamp::from_millis(1_767_225_600_123);
        let (one, two) = (ids.id::<guildhall_domain::MessageId>(at), ids.id::<guildhall_domain::MessageId>(at));
        assert_ne!(one, two);
        assert_eq!((one.created_at(), two.created_at()), (at, at));
    }
}
