//! What a batch adds to the counters, summed up before it is written.

use std::collections::{BTreeMap, BTreeSet};

use chrono::NaiveDate;
use guildhall_domain::{ChannelId, GuildId, QuarterHour, Timestamp, UserId};

/// Where something is counted.
#[derive(Clone, Copy)]
pub(super) struct Cell {
    pub(super) guild: GuildId,
    pub(super) channel: Option<ChannelId>,
    pub(super) member: Option<UserId>,
    pub(super) kind: i16,
    pub(super) at: Timestamp,
    /// The guild's local date at `at`.
    pub(super) day: NaiveDate,
}

/// Sums by the two finest keys, from which every counter's own follow.
#[derive(Default)]
pub(super) struct Tally {
    /// By guild, day, member, channel and kind; 0 where there is none.
    days: BTreeMap<(i64, NaiveDate, i64, i64, i16), i64>,
    /// By guild, channel, quarter-hour and kind.
    quarters: BTreeMap<(i64, i64, QuarterHour, i16), i64>,
    /// First and last sight of each member.
    seen: BTreeMap<(i64, i64), (Timestamp, Timestamp)>,
}

impl Tally {
    pub(super) fn add(&mut self, cell: Cell, amount: i64) {
        let (guild, channel) = (cell.guild.to_db(), cell.channel.map_or(0, ChannelId::to_db));
        let member = cell.member.map_or(0, UserId::to_db);
        *self.days.entry((guild, cell.day, member, channel, cell.kind)).or_default() += amount;
        *self.quarters.entry((guild, channel, cell.at.quarter_hour(), cell.kind)).or_default() += amount;
    }

    pub(super) fn see(&mut self, guild: GuildId, member: UserId, at: Timestamp) {
        let seen = self.seen.entry((guild.to_db(), member.to_db())).or_insert((at, at));
        *seen = (seen.0.min(at), seen.1.max(at));
    }

    /// By guild, quarter-hour and kind.
    pub(super) fn guild_quarters(&self) -> BTreeMap<(i64, QuarterHour, i16), i64> {
        sum(self.quarters.iter().map(|((guild, _, bucket, kind), n)| ((*guild, *bucket, *kind), *n)))
    }

    /// By guild, channel, quarter-hour and kind, where there is a channel.
    pub(super) fn channel_quarters(&self) -> impl Iterator<Item = (&(i64, i64, QuarterHour, i16), i64)> {
        self.quarters.iter().filter(|((_, channel, ..), n)| *channel != 0 && **n != 0).map(|(key, n)| (key, *n))
    }

    /// By guild, day, member and kind, where there is a member.
    pub(super) fn member_days(&self) -> BTreeMap<(i64, NaiveDate, i64, i16), i64> {
        sum(self
            .days
            .iter()
            .filter(|((_, _, member, ..), _)| *member != 0)
            .map(|((guild, day, member, _, kind), n)| ((*guild, *day, *member, *kind), *n)))
    }

    /// By guild, day, member, channel and kind: everything.
    pub(super) fn member_channel_days(&self) -> impl Iterator<Item = (&(i64, NaiveDate, i64, i64, i16), i64)> {
        self.days.iter().filter(|(_, n)| **n != 0).map(|(key, n)| (key, *n))
    }

    pub(super) const fn seen(&self) -> &BTreeMap<(i64, i64), (Timestamp, Timestamp)> {
        &self.seen
    }

    /// The hours in which something changed.
    pub(super) fn hours(&self) -> BTreeSet<(i64, Timestamp)> {
        self.quarters
            .iter()
            .filter(|(_, n)| **n != 0)
            .map(|((guild, _, bucket, _), _)| (*guild, hour_of(bucket.start())))
            .collect()
    }
}

/// The beginning of the UTC hour.
pub(super) const fn hour_of(at: Timestamp) -> Timestamp {
    const HOUR: i64 = 3_600_000;
    Timestamp::from_millis(at.as_millis().div_euclid(HOUR) * HOUR)
}

fn sum<K: Ord>(parts: impl Iterator<Item = (K, i64)>) -> BTreeMap<K, i64> {
    let mut sums = BTreeMap::new();
    for (key, n) in parts {
        *sums.entry(key).or_default() += n;
    }
    sums.retain(|_, n| *n != 0);
    sums
}
