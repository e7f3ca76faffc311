//! A whole guild's numbers.

use guildhall_domain::{GuildId, QuarterHour, Span, Timestamp};
use sqlx::PgConnection;

use super::totals::{Totals, fold, sum};
use crate::StoreError;
use crate::timed::Timed;

/// A guild's totals over a span.
///
/// # Errors
/// When the database does not carry it out.
pub async fn guild_totals(db: &mut PgConnection, guild: GuildId, span: Span) -> Result<Totals, StoreError> {
    let _timed = Timed::begin("guild_totals");
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
    let _timed = Timed::begin("guild_series");
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
