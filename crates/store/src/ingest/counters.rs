//! Writes what a batch adds, every table in the order of its key.

use std::collections::{BTreeMap, BTreeSet};

use guildhall_domain::{EventKind, Timestamp};
use sqlx::PgConnection;

use super::guilds::{Changes, Guilds};
use super::tally::Tally;
use crate::StoreError;
use crate::stats::VOICE_MILLIS;

/// Adds the tally to all counters.
pub(super) async fn upsert(db: &mut PgConnection, tally: &Tally, guilds: &Guilds) -> Result<(), StoreError> {
    guild_quarters(db, tally).await?;
    channel_quarters(db, tally).await?;
    member_days(db, tally).await?;
    member_channel_days(db, tally).await?;
    member_stats(db, tally, guilds).await
}

async fn guild_quarters(db: &mut PgConnection, tally: &Tally) -> Result<(), StoreError> {
    let sums = tally.guild_quarters();
    if sums.is_empty() {
        return Ok(());
    }
    let guilds: Vec<i64> = sums.keys().map(|key| key.0).collect();
    let buckets: Vec<_> = sums.keys().map(|key| key.1.start().to_utc()).collect();
    let kinds: Vec<i16> = sums.keys().map(|key| key.2).collect();
    let counts: Vec<i64> = sums.values().copied().collect();
    sqlx::query!(
        "INSERT INTO guild_quarters AS known (guild_id, bucket, kind, count)
         SELECT * FROM unnest($1::bigint[], $2::timestamptz[], $3::smallint[], $4::bigint[])
         ON CONFLICT (guild_id, bucket, kind) DO UPDATE SET count = known.count + excluded.count",
        &guilds,
        &buckets,
        &kinds,
        &counts,
    )
    .execute(db)
    .await?;
    Ok(())
}

async fn channel_quarters(db: &mut PgConnection, tally: &Tally) -> Result<(), StoreError> {
    let sums: Vec<_> = tally.channel_quarters().collect();
    if sums.is_empty() {
        return Ok(());
    }
    let guilds: Vec<i64> = sums.iter().map(|(key, _)| key.0).collect();
    let channels: Vec<i64> = sums.iter().map(|(key, _)| key.1).collect();
    let buckets: Vec<_> = sums.iter().map(|(key, _)| key.2.start().to_utc()).collect();
    let kinds: Vec<i16> = sums.iter().map(|(key, _)| key.3).collect();
    let counts: Vec<i64> = sums.iter().map(|(_, n)| *n).collect();
    sqlx::query!(
        "INSERT INTO channel_quarters AS known (guild_id, channel_id, bucket, kind, count)
         SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::timestamptz[], $4::smallint[], $5::bigint[])
         ON CONFLICT (guild_id, channel_id, bucket, kind) DO UPDATE SET count = known.count + excluded.count",
        &guilds,
        &channels,
        &buckets,
        &kinds,
        &counts,
    )
    .execute(db)
    .await?;
    Ok(())
}

async fn member_days(db: &mut PgConnection, tally: &Tally) -> Result<(), StoreError> {
    let sums = tally.member_days();
    if sums.is_empty() {
        return Ok(());
    }
    let guilds: Vec<i64> = sums.keys().map(|key| key.0).collect();
    let days: Vec<_> = sums.keys().map(|key| key.1).collect();
    let users: Vec<i64> = sums.keys().map(|key| key.2).collect();
    let kinds: Vec<i16> = sums.keys().map(|key| key.3).collect();
    let counts: Vec<i64> = sums.values().copied().collect();
    sqlx::query!(
        "INSERT INTO member_days AS known (guild_id, day, user_id, kind, count)
         SELECT * FROM unnest($1::bigint[], $2::date[], $3::bigint[], $4::smallint[], $5::bigint[])
         ON CONFLICT (guild_id, day, user_id, kind) DO UPDATE SET count = known.count + excluded.count",
        &guilds,
        &days,
        &users,
        &kinds,
        &counts,
    )
    .execute(db)
    .await?;
    Ok(())
}

async fn member_channel_days(db: &mut PgConnection, tally: &Tally) -> Result<(), StoreError> {
    let sums: Vec<_> = tally.member_channel_days().collect();
    if sums.is_empty() {
        return Ok(());
    }
    let guilds: Vec<i64> = sums.iter().map(|(key, _)| key.0).collect();
    let days: Vec<_> = sums.iter().map(|(key, _)| key.1).collect();
    let users: Vec<i64> = sums.iter().map(|(key, _)| key.2).collect();
    let channels: Vec<i64> = sums.iter().map(|(key, _)| key.3).collect();
    let kinds: Vec<i16> = sums.iter().map(|(key, _)| key.4).collect();
    let counts: Vec<i64> = sums.iter().map(|(_, n)| *n).collect();
    sqlx::query!(
        "INSERT INTO member_channel_days AS known (guild_id, day, user_id, channel_id, kind, count)
         SELECT * FROM unnest($1::bigint[], $2::date[], $3::bigint[], $4::bigint[], $5::smallint[], $6::bigint[])
         ON CONFLICT (guild_id, day, user_id, channel_id, kind) DO UPDATE SET count = known.count + excluded.count",
        &guilds,
        &days,
        &users,
        &channels,
        &kinds,
        &counts,
    )
    .execute(db)
    .await?;
    Ok(())
}

#[derive(Default)]
struct Cumulative {
    messages: i64,
    edits: i64,
    deletes: i64,
    reactions: i64,
    reactions_removed: i64,
    voice_millis: i64,
    joins: i64,
    leaves: i64,
}

impl Cumulative {
    fn column(&mut self, kind: i16) -> Option<&mut i64> {
        if kind == VOICE_MILLIS {
            return Some(&mut self.voice_millis);
        }
        match u8::try_from(kind).ok().and_then(EventKind::from_code)? {
            EventKind::MessageCreate => Some(&mut self.messages),
            EventKind::MessageUpdate => Some(&mut self.edits),
            EventKind::MessageDelete => Some(&mut self.deletes),
            EventKind::ReactionAdd => Some(&mut self.reactions),
            EventKind::ReactionRemove => Some(&mut self.reactions_removed),
            EventKind::MemberJoin => Some(&mut self.joins),
            EventKind::MemberLeave => Some(&mut self.leaves),
            _ => None,
        }
    }
}

async fn member_stats(db: &mut PgConnection, tally: &Tally, guilds: &Guilds) -> Result<(), StoreError> {
    let seen = tally.seen();
    if seen.is_empty() {
        return Ok(());
    }
    let mut sums: BTreeMap<(i64, i64), Cumulative> = seen.keys().map(|key| (*key, Cumulative::default())).collect();
    for ((guild, day, user, kind), n) in tally.member_days() {
        if guilds.in_period(guild, day)
            && let Some(column) = sums.get_mut(&(guild, user)).and_then(|sum| sum.column(kind))
        {
            *column += n;
        }
    }
    let guild_ids: Vec<i64> = sums.keys().map(|key| key.0).collect();
    let users: Vec<i64> = sums.keys().map(|key| key.1).collect();
    let column = |of: fn(&Cumulative) -> i64| -> Vec<i64> { sums.values().map(of).collect() };
    let first: Vec<_> = seen.values().map(|seen| seen.0.to_utc()).collect();
    let last: Vec<_> = seen.values().map(|seen| seen.1.to_utc()).collect();
    sqlx::query!(
        "INSERT INTO member_stats AS known (guild_id, user_id, messages, edits, deletes, reactions,
             reactions_removed, voice_millis, joins, leaves, first_seen_at, last_seen_at)
         SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[],
             $7::bigint[], $8::bigint[], $9::bigint[], $10::bigint[], $11::timestamptz[], $12::timestamptz[])
         ON CONFLICT (guild_id, user_id) DO UPDATE SET
             messages = known.messages + excluded.messages,
             edits = known.edits + excluded.edits,
             deletes = known.deletes + excluded.deletes,
             reactions = known.reactions + excluded.reactions,
             reactions_removed = known.reactions_removed + excluded.reactions_removed,
             voice_millis = known.voice_millis + excluded.voice_millis,
             joins = known.joins + excluded.joins,
             leaves = known.leaves + excluded.leaves,
             first_seen_at = least(known.first_seen_at, excluded.first_seen_at),
             last_seen_at = greatest(known.last_seen_at, excluded.last_seen_at)",
        &guild_ids,
        &users,
        &column(|sum| sum.messages),
        &column(|sum| sum.edits),
        &column(|sum| sum.deletes),
        &column(|sum| sum.reactions),
        &column(|sum| sum.reactions_removed),
        &column(|sum| sum.voice_millis),
        &column(|sum| sum.joins),
        &column(|sum| sum.leaves),
        &first,
        &last,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Marks the hours whose snapshots are now older than their counters. The update of a row that is there already is what
/// makes this wait for a rollup that is just reading the hour; without it that rollup would delete the new mark.
pub(super) async fn mark_hours(
    db: &mut PgConnection,
    tally: &Tally,
    changes: &Changes,
    now: Timestamp,
) -> Result<(), StoreError> {
    let hours: BTreeSet<(i64, Timestamp)> = tally.hours().union(changes.gauge_hours()).copied().collect();
    if hours.is_empty() {
        return Ok(());
    }
    let guilds: Vec<i64> = hours.iter().map(|(guild, _)| *guild).collect();
    let starts: Vec<_> = hours.iter().map(|(_, hour)| hour.to_utc()).collect();
    sqlx::query!(
        "INSERT INTO dirty_hours AS known (guild_id, hour, marked_at)
         SELECT guild_id, hour, $3 FROM unnest($1::bigint[], $2::timestamptz[]) AS new (guild_id, hour)
         ON CONFLICT (guild_id, hour) DO UPDATE SET version = known.version + 1",
        &guilds,
        &starts,
        now.to_utc(),
    )
    .execute(db)
    .await?;
    Ok(())
}
