//! The books, for whoever wants to check them against the sender's own.

use guildhall_domain::{ChannelId, EventKind, GuildId, QuarterHour, ShardId, Timestamp, UserId};
use guildhall_wire::CoverageGap;
use sqlx::PgConnection;

use crate::StoreError;
use crate::stats::VOICE_MILLIS;

/// How often something happened, over all time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct CountRow {
    /// In which guild.
    pub guild: GuildId,
    /// In which channel, where there is one.
    pub channel: Option<ChannelId>,
    /// By or to which member, where there is one.
    pub member: Option<UserId>,
    /// What.
    pub kind: EventKind,
    /// How often.
    pub count: u64,
}

/// Every count there is, by guild, channel, member and kind. Reads a whole table.
///
/// # Errors
/// When the database does not carry it out.
pub async fn counts(db: &mut PgConnection) -> Result<Vec<CountRow>, StoreError> {
    let rows = sqlx::query!(
        r#"SELECT guild_id, channel_id, user_id, kind, sum(count)::bigint AS "count!" FROM member_channel_days
           WHERE kind <> $1 GROUP BY guild_id, channel_id, user_id, kind HAVING sum(count) <> 0
           ORDER BY guild_id, channel_id, user_id, kind"#,
        VOICE_MILLIS,
    )
    .fetch_all(db)
    .await?;
    let unreadable = |what| StoreError::Unreadable { table: "member_channel_days", what };
    rows.into_iter()
        .map(|row| {
            let kind = u8::try_from(row.kind).ok().and_then(EventKind::from_code);
            Ok(CountRow {
                guild: GuildId::from_db(row.guild_id),
                channel: (row.channel_id != 0).then(|| ChannelId::from_db(row.channel_id)),
                member: (row.user_id != 0).then(|| UserId::from_db(row.user_id)),
                kind: kind.ok_or(unreadable("an unknown kind"))?,
                count: u64::try_from(row.count).map_err(|_| unreadable("a negative count"))?,
            })
        })
        .collect()
}

/// How often something happened in a quarter-hour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct QuarterRow {
    /// In which guild.
    pub guild: GuildId,
    /// When.
    pub quarter: QuarterHour,
    /// What.
    pub kind: EventKind,
    /// How often.
    pub count: u64,
}

/// Every count there is, by guild, quarter-hour and kind. Reads a whole table.
///
/// # Errors
/// When the database does not carry it out.
pub async fn quarters(db: &mut PgConnection) -> Result<Vec<QuarterRow>, StoreError> {
    let rows = sqlx::query!(
        "SELECT guild_id, bucket, kind, count FROM guild_quarters WHERE kind <> $1 AND count <> 0
         ORDER BY guild_id, bucket, kind",
        VOICE_MILLIS,
    )
    .fetch_all(db)
    .await?;
    let unreadable = |what| StoreError::Unreadable { table: "guild_quarters", what };
    rows.into_iter()
        .map(|row| {
            let kind = u8::try_from(row.kind).ok().and_then(EventKind::from_code);
            Ok(QuarterRow {
                guild: GuildId::from_db(row.guild_id),
                quarter: Timestamp::from_utc(row.bucket).quarter_hour(),
                kind: kind.ok_or(unreadable("an unknown kind"))?,
                count: u64::try_from(row.count).map_err(|_| unreadable("a negative count"))?,
            })
        })
        .collect()
}

/// Every coverage gap there is, with its shard.
///
/// # Errors
/// When the database does not carry it out.
pub async fn gaps(db: &mut PgConnection) -> Result<Vec<(ShardId, CoverageGap)>, StoreError> {
    let rows = sqlx::query!(
        "SELECT shard_id, shard_count, lost_session, after_seq, gap_from, gap_to FROM coverage_gaps
         ORDER BY shard_count, shard_id, gap_from",
    )
    .fetch_all(db)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| {
            let shard = ShardId { id: row.shard_id.unsigned_abs(), count: row.shard_count.unsigned_abs() };
            let gap = CoverageGap {
                lost_session: row.lost_session,
                after_seq: row.after_seq.unsigned_abs(),
                from: Timestamp::from_utc(row.gap_from),
                to: Timestamp::from_utc(row.gap_to),
            };
            (shard, gap)
        })
        .collect())
}

/// A counter that says something else than the complete one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disagreement {
    /// The table.
    pub counter: String,
    /// The guild.
    pub guild: GuildId,
    /// The channel or member the counter is about; 0 for the guild.
    pub id: i64,
    /// The kind's number; 100 is milliseconds in voice.
    pub kind: i16,
    /// What it should say.
    pub expected: i64,
    /// What it says.
    pub found: i64,
}

/// Every counter holds the same events, summed differently; here their sums over time are held against the one that
/// [`counts`] reads. Raw events are left out, which are gone after thirty days. The cumulative counters of a guild that were
/// reset after something was counted disagree, rightly. At most twenty are returned.
///
/// # Errors
/// When the database does not carry it out.
pub async fn disagreements(db: &mut PgConnection) -> Result<Vec<Disagreement>, StoreError> {
    let rows = sqlx::query!(
        r#"WITH complete AS (SELECT guild_id, channel_id, user_id, kind, count FROM member_channel_days),
           expected AS (
               SELECT 'guild_quarters' AS counter, guild_id, 0::bigint AS id, kind, sum(count)::bigint AS n
               FROM complete GROUP BY guild_id, kind
               UNION ALL
               SELECT 'channel_quarters', guild_id, channel_id, kind, sum(count)::bigint
               FROM complete WHERE channel_id <> 0 GROUP BY guild_id, channel_id, kind
               UNION ALL
               SELECT 'member_days', guild_id, user_id, kind, sum(count)::bigint
               FROM complete WHERE user_id <> 0 GROUP BY guild_id, user_id, kind
               UNION ALL
               SELECT 'member_stats', guild_id, user_id, kind, sum(count)::bigint
               FROM complete WHERE user_id <> 0 AND kind IN (1, 5, 100) GROUP BY guild_id, user_id, kind
           ),
           found AS (
               SELECT 'guild_quarters' AS counter, guild_id, 0::bigint AS id, kind, sum(count)::bigint AS n
               FROM guild_quarters GROUP BY guild_id, kind
               UNION ALL
               SELECT 'channel_quarters', guild_id, channel_id, kind, sum(count)::bigint
               FROM channel_quarters GROUP BY guild_id, channel_id, kind
               UNION ALL
               SELECT 'member_days', guild_id, user_id, kind, sum(count)::bigint
               FROM member_days GROUP BY guild_id, user_id, kind
               UNION ALL
               SELECT 'member_stats', guild_id, user_id, 1::smallint, messages FROM member_stats
               UNION ALL
               SELECT 'member_stats', guild_id, user_id, 5::smallint, reactions FROM member_stats
               UNION ALL
               SELECT 'member_stats', guild_id, user_id, 100::smallint, voice_millis FROM member_stats
           )
           SELECT counter AS "counter!", guild_id AS "guild_id!", id AS "id!", kind AS "kind!",
                  coalesce(expected.n, 0) AS "expected!", coalesce(found.n, 0) AS "found!"
           FROM expected FULL JOIN found USING (counter, guild_id, id, kind)
           WHERE coalesce(expected.n, 0) <> coalesce(found.n, 0)
           ORDER BY counter, guild_id, id, kind
           LIMIT 20"#,
    )
    .fetch_all(db)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| Disagreement {
            counter: row.counter,
            guild: GuildId::from_db(row.guild_id),
            id: row.id,
            kind: row.kind,
            expected: row.expected,
            found: row.found,
        })
        .collect())
}
