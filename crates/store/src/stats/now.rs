//! How a guild stands now, and how far its numbers can be trusted.

use guildhall_domain::{GuildId, Span, Timestamp};
use sqlx::PgConnection;

use crate::StoreError;
use crate::timed::Timed;

/// How fresh a guild's numbers are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Freshness {
    /// When a number of the guild last changed; `None` when nothing was counted yet.
    pub ingested_at: Option<Timestamp>,
    /// Rises with every change, so that an answer cached under it is never stale.
    pub version: i64,
}

/// How fresh the guild's numbers are.
///
/// # Errors
/// When the database does not carry it out.
pub async fn freshness(db: &mut PgConnection, guild: GuildId) -> Result<Freshness, StoreError> {
    let _timed = Timed::begin("freshness");
    let row = sqlx::query!("SELECT ingested_at, ingest_version FROM guilds WHERE guild_id = $1", guild.to_db())
        .fetch_optional(db)
        .await?;
    Ok(row.map_or_else(Freshness::default, |row| Freshness {
        ingested_at: row.ingested_at.map(Timestamp::from_utc),
        version: row.ingest_version,
    }))
}

/// What was measured at the start of a five-minute slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gauges {
    /// The slot's start.
    pub slot: Timestamp,
    /// Members, where known.
    pub members: Option<u32>,
    /// Members online, where known.
    pub online: Option<u32>,
    /// Members in voice channels.
    pub in_voice: u32,
}

/// The guild's latest gauges.
///
/// # Errors
/// When the database does not carry it out.
pub async fn latest_gauges(db: &mut PgConnection, guild: GuildId) -> Result<Option<Gauges>, StoreError> {
    let _timed = Timed::begin("latest_gauges");
    let row = sqlx::query!(
        "SELECT slot, members, online, in_voice FROM gauges WHERE guild_id = $1 ORDER BY slot DESC LIMIT 1",
        guild.to_db(),
    )
    .fetch_optional(db)
    .await?;
    Ok(row.map(|row| Gauges {
        slot: Timestamp::from_utc(row.slot),
        members: row.members.and_then(|n| n.try_into().ok()),
        online: row.online.and_then(|n| n.try_into().ok()),
        in_voice: row.in_voice.try_into().unwrap_or(0),
    }))
}

/// A time in which events of the guild may be missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gap {
    /// When the last safe event was received.
    pub from: Timestamp,
    /// When events were received again.
    pub to: Timestamp,
}

/// The gaps of the guild's shard that touch a span, by their beginning.
///
/// # Errors
/// When the database does not carry it out.
pub async fn coverage_gaps(db: &mut PgConnection, guild: GuildId, span: Span) -> Result<Vec<Gap>, StoreError> {
    let _timed = Timed::begin("coverage_gaps");
    let rows = sqlx::query!(
        "SELECT gap_from, gap_to FROM coverage_gaps
         WHERE ($1::bigint >> 22) % shard_count = shard_id AND gap_from < $3 AND gap_to > $2
         ORDER BY gap_from, gap_to",
        guild.to_db(),
        span.start.to_utc(),
        span.end.to_utc(),
    )
    .fetch_all(db)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| Gap { from: Timestamp::from_utc(row.gap_from), to: Timestamp::from_utc(row.gap_to) })
        .collect())
}

/// How many members are in the guild's voice channels, according to what was counted.
///
/// # Errors
/// When the database does not carry it out.
pub async fn open_voice(db: &mut PgConnection, guild: GuildId) -> Result<u64, StoreError> {
    let _timed = Timed::begin("open_voice");
    let count = sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!" FROM voice_transitions
           WHERE guild_id = $1 AND channel_id IS NOT NULL AND counted_until IS NULL"#,
        guild.to_db(),
    )
    .fetch_one(db)
    .await?;
    Ok(count.try_into().unwrap_or(0))
}
