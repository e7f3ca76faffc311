//! The numbers of members, by the guild's local days.

use std::ops::RangeInclusive;

use chrono::NaiveDate;
use guildhall_domain::{ChannelId, GuildId, UserId};
use sqlx::PgConnection;

use super::totals::{Totals, VOICE_MILLIS, fold, sum};
use crate::StoreError;
use crate::timed::Timed;

/// The guild's most active members over a range of local days, in one channel or in all: by score, with the score.
///
/// # Errors
/// When the database does not carry it out.
pub async fn top_members(
    db: &mut PgConnection,
    guild: GuildId,
    channel: Option<ChannelId>,
    days: RangeInclusive<NaiveDate>,
    limit: i64,
) -> Result<Vec<(UserId, Totals, u64)>, StoreError> {
    let _timed = Timed::begin("top_members");
    let rows: Vec<(UserId, i16, i64)> = match channel {
        None => sqlx::query!(
            r#"WITH totals AS (
                   SELECT user_id, kind, sum(count)::bigint AS count FROM member_days
                   WHERE guild_id = $1 AND day BETWEEN $2 AND $3 GROUP BY user_id, kind
               ), ranked AS (
                   SELECT user_id, row_number() OVER (ORDER BY score DESC, user_id) AS place
                   FROM (SELECT user_id, coalesce(sum(count) FILTER (WHERE kind IN (1, 5)), 0)
                                + 2 * div(coalesce(sum(count) FILTER (WHERE kind = $5), 0), 60000) AS score
                         FROM totals GROUP BY user_id) scores
                   WHERE score > 0 ORDER BY place LIMIT $4
               )
               SELECT totals.user_id AS "user_id!", totals.kind AS "kind!", totals.count AS "count!"
               FROM ranked JOIN totals USING (user_id) ORDER BY ranked.place"#,
            guild.to_db(),
            days.start(),
            days.end(),
            limit,
            VOICE_MILLIS,
        )
        .fetch_all(db)
        .await?
        .into_iter()
        .map(|row| (UserId::from_db(row.user_id), row.kind, row.count))
        .collect(),
        Some(channel) => sqlx::query!(
            r#"WITH totals AS (
                   SELECT user_id, kind, sum(count)::bigint AS count FROM member_channel_days
                   WHERE guild_id = $1 AND channel_id = $6 AND day BETWEEN $2 AND $3 AND user_id <> 0
                   GROUP BY user_id, kind
               ), ranked AS (
                   SELECT user_id, row_number() OVER (ORDER BY score DESC, user_id) AS place
                   FROM (SELECT user_id, coalesce(sum(count) FILTER (WHERE kind IN (1, 5)), 0)
                                + 2 * div(coalesce(sum(count) FILTER (WHERE kind = $5), 0), 60000) AS score
                         FROM totals GROUP BY user_id) scores
                   WHERE score > 0 ORDER BY place LIMIT $4
               )
               SELECT totals.user_id AS "user_id!", totals.kind AS "kind!", totals.count AS "count!"
               FROM ranked JOIN totals USING (user_id) ORDER BY ranked.place"#,
            guild.to_db(),
            days.start(),
            days.end(),
            limit,
            VOICE_MILLIS,
            channel.to_db(),
        )
        .fetch_all(db)
        .await?
        .into_iter()
        .map(|row| (UserId::from_db(row.user_id), row.kind, row.count))
        .collect(),
    };
    Ok(fold(rows)?
        .into_iter()
        .map(|(user, totals)| {
            let score = totals.score();
            (user, totals, score)
        })
        .collect())
}

/// A member's totals over a range of local days.
///
/// # Errors
/// When the database does not carry it out.
pub async fn member_totals(
    db: &mut PgConnection,
    guild: GuildId,
    member: UserId,
    days: RangeInclusive<NaiveDate>,
) -> Result<Totals, StoreError> {
    let _timed = Timed::begin("member_totals");
    let rows = sqlx::query!(
        r#"SELECT kind, sum(count)::bigint AS "count!" FROM member_days
           WHERE guild_id = $1 AND day = ANY($2) AND user_id = $3 GROUP BY kind"#,
        guild.to_db(),
        &each(&days),
        member.to_db(),
    )
    .fetch_all(db)
    .await?;
    sum(rows.into_iter().map(|row| (row.kind, row.count)))
}

/// A member's local days, ascending; those without data are left out.
///
/// # Errors
/// When the database does not carry it out.
pub async fn member_series(
    db: &mut PgConnection,
    guild: GuildId,
    member: UserId,
    days: RangeInclusive<NaiveDate>,
) -> Result<Vec<(NaiveDate, Totals)>, StoreError> {
    let _timed = Timed::begin("member_series");
    let rows = sqlx::query!(
        "SELECT day, kind, count FROM member_days
         WHERE guild_id = $1 AND day = ANY($2) AND user_id = $3 ORDER BY day",
        guild.to_db(),
        &each(&days),
        member.to_db(),
    )
    .fetch_all(db)
    .await?;
    fold(rows.into_iter().map(|row| (row.day, row.kind, row.count)))
}

/// The channels a member was most active in over a range of local days: by messages, then by time in voice.
///
/// # Errors
/// When the database does not carry it out.
pub async fn member_top_channels(
    db: &mut PgConnection,
    guild: GuildId,
    member: UserId,
    days: RangeInclusive<NaiveDate>,
    limit: i64,
) -> Result<Vec<(ChannelId, Totals)>, StoreError> {
    let _timed = Timed::begin("member_top_channels");
    let rows = sqlx::query!(
        r#"WITH totals AS (
               SELECT channel_id, kind, sum(count)::bigint AS count FROM member_channel_days
               WHERE guild_id = $1 AND day = ANY($2) AND user_id = $3 AND channel_id <> 0
               GROUP BY channel_id, kind
           ), ranked AS (
               SELECT channel_id, row_number() OVER (ORDER BY messages DESC, voice DESC, channel_id) AS place
               FROM (SELECT channel_id, coalesce(sum(count) FILTER (WHERE kind = 1), 0) AS messages,
                            coalesce(sum(count) FILTER (WHERE kind = $5), 0) AS voice
                     FROM totals GROUP BY channel_id) sums
               WHERE messages > 0 OR voice > 0
               ORDER BY place LIMIT $4
           )
           SELECT totals.channel_id AS "channel_id!", totals.kind AS "kind!", totals.count AS "count!"
           FROM ranked JOIN totals USING (channel_id) ORDER BY ranked.place"#,
        guild.to_db(),
        &each(&days),
        member.to_db(),
        limit,
        VOICE_MILLIS,
    )
    .fetch_all(db)
    .await?;
    fold(rows.into_iter().map(|row| (ChannelId::from_db(row.channel_id), row.kind, row.count)))
}

/// Every day of the range: the primary key has the day before the member, so each is one probe.
fn each(days: &RangeInclusive<NaiveDate>) -> Vec<NaiveDate> {
    days.start().iter_days().take_while(|day| day <= days.end()).collect()
}
