//! Instants, quarter-hours and time zones.
//!
//! **Invariant:** buckets are UTC quarter-hours. Every time zone in use is offset by a multiple of fifteen minutes, so a
//! local hour or day is always a whole number of buckets.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use chrono::{DateTime, Datelike, Duration, NaiveDate, TimeZone as _, Utc};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// An instant: milliseconds since 1970-01-01T00:00:00Z, the precision of Discord's ids.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The first second of 2015, where Discord's ids begin.
    pub const DISCORD_EPOCH: Self = Self(1_420_070_400_000);

    /// The instant this many milliseconds after the Unix epoch.
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// The instant this many seconds after the Unix epoch.
    pub const fn from_secs(secs: i64) -> Self {
        Self(secs * 1_000)
    }

    /// Milliseconds since the Unix epoch.
    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// Whole seconds since the Unix epoch, rounded down.
    pub const fn as_secs(self) -> i64 {
        self.0.div_euclid(1_000)
    }

    /// This instant moved by `millis`, which may be negative.
    pub const fn plus_millis(self, millis: i64) -> Self {
        Self(self.0.saturating_add(millis))
    }

    /// Milliseconds from `earlier` to `self`; negative when `earlier` is the later one.
    pub const fn millis_since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0)
    }

    /// The quarter-hour this instant lies in.
    pub const fn quarter_hour(self) -> QuarterHour {
        QuarterHour(self.0.div_euclid(QuarterHour::MILLIS))
    }

    /// The same instant for chrono. Instants outside chrono's 262,000 years are clamped to the Unix epoch.
    pub fn to_utc(self) -> DateTime<Utc> {
        DateTime::from_timestamp_millis(self.0).unwrap_or(DateTime::UNIX_EPOCH)
    }

    /// The instant chrono means, cut to milliseconds.
    pub fn from_utc(instant: DateTime<Utc>) -> Self {
        Self(instant.timestamp_millis())
    }

    /// An RFC 3339 / ISO 8601 instant such as Discord's `joined_at`.
    pub fn parse_rfc3339(text: &str) -> Option<Self> {
        DateTime::parse_from_rfc3339(text).ok().map(|instant| Self::from_utc(instant.to_utc()))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.to_utc().format("%Y-%m-%dT%H:%M:%S%.3fZ"))
    }
}

/// Where the present comes from: handed in, so that tests decide what time it is.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> Timestamp + Send + Sync>);

impl Clock {
    /// A clock that asks `now` each time it is read.
    pub fn new(now: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        Self(Arc::new(now))
    }

    /// A clock that stands still.
    pub fn fixed(at: Timestamp) -> Self {
        Self::new(move || at)
    }

    /// The present, according to this clock.
    pub fn now(&self) -> Timestamp {
        (self.0)()
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Clock")
    }
}

/// A UTC quarter-hour, the unit of every counter over time.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct QuarterHour(i64);

impl QuarterHour {
    /// Milliseconds in a quarter-hour.
    pub const MILLIS: i64 = 15 * 60 * 1_000;

    /// When the quarter-hour begins.
    pub const fn start(self) -> Timestamp {
        Timestamp(self.0 * Self::MILLIS)
    }

    /// When it ends; the first instant of the next one.
    pub const fn end(self) -> Timestamp {
        self.next().start()
    }

    /// The quarter-hour after this one.
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

/// An IANA time zone by its name, such as `Europe/Paris`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct TimeZone(chrono_tz::Tz);

/// The text is not the name of an IANA time zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not the name of a time zone")]
pub struct InvalidTimeZone;

impl TimeZone {
    /// Coordinated Universal Time, the default of a guild that chose nothing.
    pub const UTC: Self = Self(chrono_tz::UTC);

    /// The zone's IANA name.
    pub fn name(self) -> &'static str {
        self.0.name()
    }

    /// Every known zone, by name, for pickers and completion.
    pub fn all() -> impl Iterator<Item = Self> {
        chrono_tz::TZ_VARIANTS.iter().copied().map(Self)
    }

    /// The local calendar date at an instant.
    pub fn date_of(self, at: Timestamp) -> NaiveDate {
        at.to_utc().with_timezone(&self.0).date_naive()
    }

    /// The instant with its local wall clock, for display.
    pub fn local(self, at: Timestamp) -> DateTime<chrono_tz::Tz> {
        at.to_utc().with_timezone(&self.0)
    }

    /// The first instant of a local day. Where clocks skip midnight, the day begins at the first instant that exists.
    pub fn start_of(self, date: NaiveDate) -> Timestamp {
        let midnight = date.and_hms_opt(0, 0, 0).unwrap_or_default();
        let mut minutes = 0;
        loop {
            let candidate = midnight + Duration::minutes(minutes);
            if let Some(local) = self.0.from_local_datetime(&candidate).earliest() {
                return Timestamp::from_utc(local.to_utc());
            }
            minutes += 15;
            if minutes > 24 * 60 {
                // A whole local day was skipped (Samoa, 2011-12-30): it has no instants, so it starts where the next does.
                return self.start_of(date.succ_opt().unwrap_or(date));
            }
        }
    }

    /// The first instant of the local month that contains `date`.
    pub fn start_of_month(self, date: NaiveDate) -> Timestamp {
        self.start_of(date.with_day(1).unwrap_or(date))
    }
}

impl FromStr for TimeZone {
    type Err = InvalidTimeZone;

    fn from_str(text: &str) -> Result<Self, InvalidTimeZone> {
        text.parse().map(Self).map_err(|_| InvalidTimeZone)
    }
}

impl fmt::Display for TimeZone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Serialize for TimeZone {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl<'de> Deserialize<'de> for TimeZone {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        name.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn date(text: &str) -> NaiveDate {
        text.parse().expect("a date")
    }

    fn zone(name: &str) -> TimeZone {
        name.parse().expect("a zone")
    }

    #[test]
    fn quarter_hours_tile_time() {
        let at = Timestamp::from_millis(1_462_015_105_796);
        let bucket = at.quarter_hour();
        assert!(bucket.start() <= at && at < bucket.end());
        assert_eq!(bucket.end(), bucket.next().start());
        assert_eq!(Timestamp::from_millis(-1).quarter_hour().end(), Timestamp::from_millis(0));
    }

    #[test]
    fn days_begin_on_a_quarter_hour_in_odd_zones() {
        for name in ["Asia/Kolkata", "Asia/Kathmandu", "Australia/Eucla", "America/St_Johns", "Pacific/Chatham"] {
            let start = zone(name).start_of(date("2026-07-01"));
            assert_eq!(start, start.quarter_hour().start(), "{name}");
        }
    }

    #[test]
    fn daylight_saving_days_have_23_and_25_hours() {
        let paris = zone("Europe/Paris");
        let hours =
            |day: &str, next: &str| paris.start_of(date(next)).millis_since(paris.start_of(date(day))) / 3_600_000;
        assert_eq!(hours("2026-03-29", "2026-03-30"), 23);
        assert_eq!(hours("2026-10-25", "2026-10-26"), 25);
    }

    #[test]
    fn a_day_whose_midnight_is_skipped_begins_at_one() {
        let santiago = zone("America/Santiago");
        let start = santiago.start_of(date("2026-09-06"));
        assert_eq!(santiago.local(start).format("%H:%M").to_string(), "01:00");
        assert_eq!(santiago.date_of(start), date("2026-09-06"));
    }

    #[test]
    fn a_day_that_never_was_begins_with_the_next() {
        let apia = zone("Pacific/Apia");
        assert_eq!(apia.start_of(date("2011-12-30")), apia.start_of(date("2011-12-31")));
    }
}
