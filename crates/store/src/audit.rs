//! Every count there is, for holding against what Discord sent.

use guildhall_domain::{ChannelId, EventKind, GuildId, UserId};
use sqlx::PgConnection;

use crate::StoreError;

/// How often a kind happened in one channel by one member, since counting began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CountRow {
    /// The guild.
    pub guild: GuildId,
    /// The channel, where the kind has one.
    pub channel: Option<ChannelId>,
    /// The member, where the kind has one.
    pub member: Option<UserId>,
    /// The kind.
    pub kind: EventKind,
    /// How often.
    pub count: u64,
}

/// All counts of all guilds. Meant for proofs on databases that fit into memory, not for answers to users.
///
/// # Errors
/// When the database does not carry it out.
pub async fn counts(db: &mut PgConnection) -> Result<Vec<CountRow>, StoreError> {
    let rows = sqlx::query!(
        r#"SELECT guild_id, channel_id, user_id, kind, sum(count)::bigint AS "count!"
           FROM member_channel_days WHERE kind <> 100
           GROUP BY guild_id, channel_id, user_id, kind
           ORDER BY guild_id, channel_id, user_id, kind"#,
    )
    .fetch_all(db)
    .await?;
    let unreadable = |what| StoreError::Unreadable { table: "member_channel_days", what };
    rows.into_iter()
        .map(|row| {
            Ok(CountRow {
                guild: GuildId::from_db(row.guild_id),
                channel: (row.channel_id != 0).then(|| ChannelId::from_db(row.channel_id)),
                member: (row.user_id != 0).then(|| UserId::from_db(row.user_id)),
                kind: u8::try_from(row.kind)
                    .ok()
                    .and_then(EventKind::from_code)
                    .ok_or_else(|| unreadable("an unknown kind"))?,
                count: u64::try_from(row.count).map_err(|_| unreadable("a negative count"))?,
            })
        })
        .collect()
}
