//! Snapshots of hours and local days.

use std::collections::{BTreeSet, HashMap};

use chrono::NaiveDate;
use guildhall_domain::{EventKind, TimeZone, Timestamp};
use serde::Serialize;
use sqlx::{Connection as _, PgConnection};

use crate::StoreError;
use crate::ingest::{zone_at, zones};
use crate::limits::Limits;
use crate::stats::VOICE_MILLIS;
use crate::timed::Timed;

const HOUR_MILLIS: i64 = 3_600_000;
const QUARTERS_OF_HOUR: i64 = 4;
/// Raw events are kept for thirty days; of an hour that is older the active members are what the last snapshot says.
const RAW_MILLIS: i64 = 29 * 24 * HOUR_MILLIS;

/// How many snapshots were made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Refreshed {
    /// Of UTC hours.
    pub hours: u64,
    /// Of the guilds' local days.
    pub days: u64,
}

/// What one snapshot is of.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Window {
    guild: i64,
    period: &'static str,
    start: Timestamp,
    end: Timestamp,
    /// The local date, of a day.
    date: Option<NaiveDate>,
}

/// Refreshes the snapshots of at most `limit` hours whose counters changed, those that wait the longest, and of their
/// days, in one transaction. When it refreshes fewer, nothing else was left to do.
///
/// # Errors
/// When the database does not carry it out.
pub async fn refresh(db: &mut PgConnection, now: Timestamp, limit: i64) -> Result<Refreshed, StoreError> {
    let _timed = Timed::begin("rollup_refresh");
    let mut tx = db.begin().await?;
    Limits::ROLLUP.set(&mut tx).await?;
    let dirty = sqlx::query!(
        "SELECT guild_id, hour FROM dirty_hours ORDER BY marked_at, guild_id, hour LIMIT $1 FOR UPDATE SKIP LOCKED",
        limit,
    )
    .fetch_all(&mut *tx)
    .await?;
    if dirty.is_empty() {
        return Ok(Refreshed::default());
    }
    let guilds: Vec<i64> = dirty.iter().map(|row| row.guild_id).collect();
    let hours: Vec<_> = dirty.iter().map(|row| row.hour).collect();
    lock(&mut tx, &guilds).await?;
    let windows =
        windows(dirty.iter().map(|row| (row.guild_id, Timestamp::from_utc(row.hour))), &zones(&mut tx, &guilds).await?);
    write(&mut tx, &windows, now).await?;
    sqlx::query!(
        "DELETE FROM dirty_hours USING unnest($1::bigint[], $2::timestamptz[]) AS done (guild_id, hour)
         WHERE dirty_hours.guild_id = done.guild_id AND dirty_hours.hour = done.hour",
        &guilds,
        &hours,
    )
    .execute(&mut *tx)
    .await?;
    tx.commit().await?;
    let days = windows.iter().filter(|window| window.date.is_some()).count();
    Ok(Refreshed { hours: (windows.len() - days) as u64, days: days as u64 })
}

/// How many hours wait for their snapshots.
///
/// # Errors
/// When the database does not carry it out.
pub async fn left(db: &mut PgConnection) -> Result<u64, StoreError> {
    let _timed = Timed::begin("rollup_left");
    let left = sqlx::query_scalar!(r#"SELECT count(*) AS "left!" FROM dirty_hours"#).fetch_one(db).await?;
    Ok(left.unsigned_abs())
}

/// One rollup at a time copies a guild's counters. Two that hold different hours of one day would both write the day, and
/// the one that read earlier could write later. Taken in order, before the counters are read.
async fn lock(db: &mut PgConnection, guilds: &[i64]) -> Result<(), StoreError> {
    sqlx::query!(
        "SELECT pg_advisory_xact_lock(key) FROM (
             SELECT DISTINCT hashint8extended(guild_id, 1) AS key FROM unnest($1::bigint[]) AS guild_id ORDER BY key
         ) keys",
        guilds,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// The hours themselves, and every local day they touch.
fn windows(
    hours: impl Iterator<Item = (i64, Timestamp)>,
    zones: &HashMap<i64, Vec<(Timestamp, TimeZone)>>,
) -> BTreeSet<Window> {
    let mut windows = BTreeSet::new();
    for (guild, start) in hours {
        let end = start.plus_millis(HOUR_MILLIS);
        windows.insert(Window { guild, period: "hour", start, end, date: None });
        let zones = zones.get(&guild).map_or(&[][..], Vec::as_slice);
        for quarter in 0..QUARTERS_OF_HOUR {
            let at = start.plus_millis(quarter * HOUR_MILLIS / QUARTERS_OF_HOUR);
            let zone = zone_at(zones, at);
            let date = zone.date_of(at);
            let next = date.succ_opt().unwrap_or(date);
            let (start, end) = (zone.start_of(date), zone.start_of(next));
            windows.insert(Window { guild, period: "day", start, end, date: Some(date) });
        }
    }
    windows
}

async fn write(db: &mut PgConnection, windows: &BTreeSet<Window>, now: Timestamp) -> Result<(), StoreError> {
    let guilds: Vec<i64> = windows.iter().map(|window| window.guild).collect();
    let periods: Vec<String> = windows.iter().map(|window| window.period.to_owned()).collect();
    let starts: Vec<_> = windows.iter().map(|window| window.start.to_utc()).collect();
    let ends: Vec<_> = windows.iter().map(|window| window.end.to_utc()).collect();
    let dates: Vec<Option<NaiveDate>> = windows.iter().map(|window| window.date).collect();
    let mut codes: Vec<i16> = EventKind::ALL.iter().map(|kind| i16::from(kind.code())).collect();
    let mut names: Vec<String> = EventKind::ALL.iter().map(|kind| kind.name().to_owned()).collect();
    codes.push(VOICE_MILLIS);
    names.push("voice_millis".to_owned());
    sqlx::query!(
        "INSERT INTO metrics_snapshots AS known (guild_id, period, bucket, messages, bot_messages, edits, deletes,
             reactions, joins, leaves, voice_seconds, active_members, member_count, online, data)
         SELECT w.guild_id, w.period, w.starts, c.messages, c.bot_messages, c.edits, c.deletes,
             c.reactions, c.joins, c.leaves, c.voice_millis / 1000, a.members, g.members, g.online, c.data
         FROM unnest($1::bigint[], $2::text[], $3::timestamptz[], $4::timestamptz[], $5::date[])
             AS w (guild_id, period, starts, ends, day)
         CROSS JOIN LATERAL (
             SELECT coalesce(sum(n) FILTER (WHERE kind = 1), 0) AS messages,
                 coalesce(sum(n) FILTER (WHERE kind = 2), 0) AS bot_messages,
                 coalesce(sum(n) FILTER (WHERE kind = 3), 0) AS edits,
                 coalesce(sum(n) FILTER (WHERE kind = 4), 0) AS deletes,
                 coalesce(sum(n) FILTER (WHERE kind = 5), 0) AS reactions,
                 coalesce(sum(n) FILTER (WHERE kind = 8), 0) AS joins,
                 coalesce(sum(n) FILTER (WHERE kind = 9), 0) AS leaves,
                 coalesce(sum(n) FILTER (WHERE kind = 100), 0)::bigint AS voice_millis,
                 coalesce(jsonb_object_agg(name, n) FILTER (WHERE n <> 0), '{}') AS data
             FROM (SELECT q.kind, sum(q.count) AS n FROM guild_quarters q
                   WHERE q.guild_id = w.guild_id AND q.bucket >= w.starts AND q.bucket < w.ends
                   GROUP BY q.kind) sums
             JOIN unnest($6::smallint[], $7::text[]) AS names (kind, name) USING (kind)
         ) c
         CROSS JOIN LATERAL (
             SELECT CASE
                 WHEN w.day IS NOT NULL THEN
                     (SELECT count(DISTINCT m.user_id) FROM member_days m
                      WHERE m.guild_id = w.guild_id AND m.day = w.day AND m.kind IN (1, 5, 11, 100) AND m.count > 0)
                 WHEN w.starts >= $8 THEN
                     (SELECT count(DISTINCT e.user_id) FROM events e
                      WHERE e.guild_id = w.guild_id AND e.ts >= w.starts AND e.ts < w.ends AND e.kind IN (1, 5, 11))
             END AS members
         ) a
         LEFT JOIN LATERAL (
             SELECT slots.members, slots.online FROM gauges slots
             WHERE slots.guild_id = w.guild_id AND slots.slot >= w.starts AND slots.slot < w.ends
             ORDER BY slots.slot DESC LIMIT 1
         ) g ON true
         ON CONFLICT (guild_id, period, bucket) DO UPDATE SET
             messages = excluded.messages, bot_messages = excluded.bot_messages, edits = excluded.edits,
             deletes = excluded.deletes, reactions = excluded.reactions, joins = excluded.joins,
             leaves = excluded.leaves, voice_seconds = excluded.voice_seconds, data = excluded.data,
             active_members = coalesce(excluded.active_members, known.active_members),
             member_count = coalesce(excluded.member_count, known.member_count),
             online = coalesce(excluded.online, known.online)",
        &guilds,
        &periods,
        &starts,
        &ends,
        &dates as &[Option<NaiveDate>],
        &codes,
        &names,
        now.plus_millis(-RAW_MILLIS).to_utc(),
    )
    .execute(db)
    .await?;
    Ok(())
}
