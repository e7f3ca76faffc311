//! Members by all they ever did, or did since their guild's period began.

use guildhall_domain::{GuildId, Timestamp, UserId};
use sqlx::PgConnection;
use sqlx::types::chrono::{DateTime, Utc};

use crate::StoreError;
use crate::timed::Timed;

/// What members are ranked by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rank {
    /// Messages.
    Messages,
    /// Time in voice.
    Voice,
    /// Messages + 2 × voice minutes + reactions given.
    Score,
}

/// A member's cumulative numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// The member.
    pub member: UserId,
    /// Messages.
    pub messages: u64,
    /// Reactions given.
    pub reactions: u64,
    /// Milliseconds in voice.
    pub voice_millis: u64,
    /// Messages + 2 × voice minutes + reactions given.
    pub score: u64,
    /// The first instant at which anything of the member was counted, whenever the period began.
    pub first_seen_at: Timestamp,
    /// The last such instant.
    pub last_seen_at: Timestamp,
}

struct Row {
    user_id: i64,
    messages: i64,
    reactions: i64,
    voice_millis: i64,
    score: i64,
    first_seen_at: DateTime<Utc>,
    last_seen_at: DateTime<Utc>,
}

/// The guild's first `limit` members; those who have nothing of what ranks are left out.
///
/// # Errors
/// When the database does not carry it out.
pub async fn leaderboard(
    db: &mut PgConnection,
    guild: GuildId,
    by: Rank,
    limit: i64,
) -> Result<Vec<Standing>, StoreError> {
    let _timed = Timed::begin("leaderboard");
    // One statement for each, so that each is read off its index.
    let rows = match by {
        Rank::Messages => {
            sqlx::query_as!(
                Row,
                "SELECT user_id, messages, reactions, voice_millis, score, first_seen_at, last_seen_at
                 FROM member_stats WHERE guild_id = $1 AND messages > 0
                 ORDER BY messages DESC, user_id LIMIT $2",
                guild.to_db(),
                limit,
            )
            .fetch_all(db)
            .await?
        }
        Rank::Voice => {
            sqlx::query_as!(
                Row,
                "SELECT user_id, messages, reactions, voice_millis, score, first_seen_at, last_seen_at
                 FROM member_stats WHERE guild_id = $1 AND voice_millis > 0
                 ORDER BY voice_millis DESC, user_id LIMIT $2",
                guild.to_db(),
                limit,
            )
            .fetch_all(db)
            .await?
        }
        Rank::Score => {
            sqlx::query_as!(
                Row,
                "SELECT user_id, messages, reactions, voice_millis, score, first_seen_at, last_seen_at
                 FROM member_stats WHERE guild_id = $1 AND score > 0
                 ORDER BY score DESC, user_id LIMIT $2",
                guild.to_db(),
                limit,
            )
            .fetch_all(db)
            .await?
        }
    };
    let count = |n: i64| {
        let unreadable = StoreError::Unreadable { table: "member_stats", what: "a negative count" };
        u64::try_from(n).map_err(|_| unreadable)
    };
    rows.into_iter()
        .map(|row| {
            Ok(Standing {
                member: UserId::from_db(row.user_id),
                messages: count(row.messages)?,
                reactions: count(row.reactions)?,
                voice_millis: count(row.voice_millis)?,
                score: count(row.score)?,
                first_seen_at: Timestamp::from_utc(row.first_seen_at),
                last_seen_at: Timestamp::from_utc(row.last_seen_at),
            })
        })
        .collect()
}
