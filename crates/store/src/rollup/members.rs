//! A new period for a guild's cumulative member counters.

use chrono::NaiveDate;
use guildhall_domain::GuildId;
use sqlx::{Connection as _, PgConnection};

use crate::StoreError;
use crate::limits::Limits;
use crate::timed::Timed;

/// Lets the guild's cumulative member counters begin with a local day: they are what the member-days from then on add
/// up to, and events of earlier days that come late no longer touch them. When members were first and last seen stays.
///
/// # Errors
/// When the database does not carry it out; nothing changed then.
pub async fn reset_members(db: &mut PgConnection, guild: GuildId, from: NaiveDate) -> Result<(), StoreError> {
    let _timed = Timed::begin("rollup_members");
    let mut tx = db.begin().await?;
    Limits::ROLLUP.set(&mut tx).await?;
    // The row is the lock under which a guild's numbers change.
    let known = sqlx::query!(
        "UPDATE guilds SET member_period_start = $2, ingest_version = ingest_version + 1 WHERE guild_id = $1",
        guild.to_db(),
        from,
    )
    .execute(&mut *tx)
    .await?;
    if known.rows_affected() == 1 {
        sqlx::query!(
            "UPDATE member_stats SET messages = sums.messages, edits = sums.edits, deletes = sums.deletes,
                 reactions = sums.reactions, reactions_removed = sums.reactions_removed,
                 voice_millis = sums.voice_millis, joins = sums.joins, leaves = sums.leaves
             FROM (
                 SELECT m.user_id,
                     coalesce(sum(d.count) FILTER (WHERE d.kind = 1), 0) AS messages,
                     coalesce(sum(d.count) FILTER (WHERE d.kind = 3), 0) AS edits,
                     coalesce(sum(d.count) FILTER (WHERE d.kind = 4), 0) AS deletes,
                     coalesce(sum(d.count) FILTER (WHERE d.kind = 5), 0) AS reactions,
                     coalesce(sum(d.count) FILTER (WHERE d.kind = 6), 0) AS reactions_removed,
                     coalesce(sum(d.count) FILTER (WHERE d.kind = 100), 0) AS voice_millis,
                     coalesce(sum(d.count) FILTER (WHERE d.kind = 8), 0) AS joins,
                     coalesce(sum(d.count) FILTER (WHERE d.kind = 9), 0) AS leaves
                 FROM member_stats m
                 LEFT JOIN member_days d ON d.guild_id = m.guild_id AND d.user_id = m.user_id AND d.day >= $2
                 WHERE m.guild_id = $1 GROUP BY m.user_id
             ) sums
             WHERE member_stats.guild_id = $1 AND member_stats.user_id = sums.user_id",
            guild.to_db(),
            from,
        )
        .execute(&mut *tx)
        .await?;
    }
    tx.commit().await?;
    Ok(())
}
