//! The books, for whoever wants to check them against the sender's own.

use guildhall_domain::{ChannelId, EventKind, GuildId, UserId};
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
