//! The numbers of channels.

use guildhall_domain::{ChannelId, GuildId, QuarterHour, Span, Timestamp};
use sqlx::PgConnection;

use super::totals::{Totals, VOICE_MILLIS, fold, sum};
use crate::StoreError;
use crate::timed::Timed;

/// A channel's totals over a span.
///
/// # Errors
/// When the database does not carry it out.
pub async fn channel_totals(
    db: &mut PgConnection,
    guild: GuildId,
    channel: ChannelId,
    span: Span,
) -> Result<Totals, StoreError> {
    let _timed = Timed::begin("channel_totals");
    let rows = sqlx::query!(
        r#"SELECT kind, sum(count)::bigint AS "count!" FROM channel_quarters
           WHERE guild_id = $1 AND channel_id = $2 AND bucket >= $3 AND bucket < $4 GROUP BY kind"#,
        guild.to_db(),
        channel.to_db(),
        span.start.to_utc(),
        span.end.to_utc(),
    )
    .fetch_all(db)
    .await?;
    sum(rows.into_iter().map(|row| (row.kind, row.count)))
}

/// A channel's quarter-hours over a span, ascending; those without data are left out.
///
/// # Errors
/// When the database does not carry it out.
pub async fn channel_series(
    db: &mut PgConnection,
    guild: GuildId,
    channel: ChannelId,
    span: Span,
) -> Result<Vec<(QuarterHour, Totals)>, StoreError> {
    let _timed = Timed::begin("channel_series");
    let rows = sqlx::query!(
        "SELECT bucket, kind, count FROM channel_quarters
         WHERE guild_id = $1 AND channel_id = $2 AND bucket >= $3 AND bucket < $4 ORDER BY bucket",
        guild.to_db(),
        channel.to_db(),
        span.start.to_utc(),
        span.end.to_utc(),
    )
    .fetch_all(db)
    .await?;
    fold(rows.into_iter().map(|row| (Timestamp::from_utc(row.bucket).quarter_hour(), row.kind, row.count)))
}

/// The guild's busiest channels over a span: by messages, then by time in voice.
///
/// # Errors
/// When the database does not carry it out.
pub async fn top_channels(
    db: &mut PgConnection,
    guild: GuildId,
    span: Span,
    limit: i64,
) -> Result<Vec<(ChannelId, Totals)>, StoreError> {
    let _timed = Timed::begin("top_channels");
    // The recursion hops from channel to channel along the primary key, so that one index serves a channel's series
    // and this: reading the guild's whole history for a day's ranking is what it avoids.
    let rows = sqlx::query!(
        r#"WITH RECURSIVE channels AS (
               (SELECT channel_id FROM channel_quarters WHERE guild_id = $1 ORDER BY channel_id LIMIT 1)
               UNION ALL
               SELECT (SELECT q.channel_id FROM channel_quarters q
                       WHERE q.guild_id = $1 AND q.channel_id > channels.channel_id ORDER BY q.channel_id LIMIT 1)
               FROM channels WHERE channels.channel_id IS NOT NULL
           ), totals AS (
               SELECT channels.channel_id, t.kind, t.count FROM channels CROSS JOIN LATERAL (
                   SELECT q.kind, sum(q.count)::bigint AS count FROM channel_quarters q
                   WHERE q.guild_id = $1 AND q.channel_id = channels.channel_id AND q.bucket >= $2 AND q.bucket < $3
                   GROUP BY q.kind
               ) t WHERE channels.channel_id IS NOT NULL
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
        span.start.to_utc(),
        span.end.to_utc(),
        limit,
        VOICE_MILLIS,
    )
    .fetch_all(db)
    .await?;
    fold(rows.into_iter().map(|row| (ChannelId::from_db(row.channel_id), row.kind, row.count)))
}
