//! A whole guild's numbers.

use guildhall_domain::{ChannelId, EventKind, GuildId, QuarterHour, Span, Timestamp, UserId};
use sqlx::PgConnection;

use super::totals::{Totals, VOICE_MILLIS, fold, sum};
use crate::StoreError;

/// A guild's totals over a span.
///
/// # Errors
/// When the database does not carry it out.
pub async fn guild_totals(db: &mut PgConnection, guild: GuildId, span: Span) -> Result<Totals, StoreError> {
    let rows = sqlx::query!(
        r#"SELECT kind, sum(count)::bigint AS "count!" FROM guild_quarters
           WHERE guild_id = $1 AND bucket >= $2 AND bucket < $3 GROUP BY kind"#,
        guild.to_db(),
        span.start.to_utc(),
        span.end.to_utc(),
    )
    .fetch_all(db)
    .await?;
    sum(rows.into_iter().map(|row| (row.kind, row.count)))
}

/// A guild's quarter-hours over a span, ascending; those without data are left out.
///
/// # Errors
/// When the database does not carry it out.
pub async fn guild_series(
    db: &mut PgConnection,
    guild: GuildId,
    span: Span,
) -> Result<Vec<(QuarterHour, Totals)>, StoreError> {
    let rows = sqlx::query!(
        "SELECT bucket, kind, count FROM guild_quarters
         WHERE guild_id = $1 AND bucket >= $2 AND bucket < $3 ORDER BY bucket",
        guild.to_db(),
        span.start.to_utc(),
        span.end.to_utc(),
    )
    .fetch_all(db)
    .await?;
    fold(rows.into_iter().map(|row| (Timestamp::from_utc(row.bucket).quarter_hour(), row.kind, row.count)))
}

/// Every count there is, by guild, channel, member and kind, over all time: what a reconciliation compares with the
/// sender's own books. Reads the whole table.
///
/// # Errors
/// When the database does not carry it out.
pub async fn ledger(
    db: &mut PgConnection,
) -> Result<Vec<(GuildId, Option<ChannelId>, Option<UserId>, EventKind, u64)>, StoreError> {
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
            Ok((
                GuildId::from_db(row.guild_id),
                (row.channel_id != 0).then(|| ChannelId::from_db(row.channel_id)),
                (row.user_id != 0).then(|| UserId::from_db(row.user_id)),
                kind.ok_or(unreadable("an unknown kind"))?,
                u64::try_from(row.count).map_err(|_| unreadable("a negative count"))?,
            ))
        })
        .collect()
}
