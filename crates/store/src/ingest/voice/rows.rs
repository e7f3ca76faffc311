//! The rows of voice transitions and rosters.

use std::collections::BTreeMap;

use guildhall_domain::{ChannelId, GuildId, TimeZone, Timestamp, UserId};
use sqlx::PgConnection;
use sqlx::types::chrono::{DateTime, Utc};

use super::{Position, Touched};
use crate::StoreError;

pub(super) struct Transition {
    pub(super) guild: GuildId,
    pub(super) member: UserId,
    pub(super) position: Position,
    pub(super) at: Timestamp,
    pub(super) channel: Option<ChannelId>,
    pub(super) time_zone: TimeZone,
    pub(super) counted_until: Option<Timestamp>,
}

#[derive(Clone)]
pub(super) struct Roster {
    pub(super) guild: GuildId,
    pub(super) position: Position,
    pub(super) at: Timestamp,
}

/// Positions as the columns of an `unnest`.
struct Positions {
    started: Vec<DateTime<Utc>>,
    sessions: Vec<String>,
    seqs: Vec<i64>,
    indices: Vec<i32>,
}

impl Positions {
    fn of<'a>(positions: impl Iterator<Item = &'a Position> + Clone) -> Self {
        Self {
            started: positions.clone().map(|position| position.session_started.to_utc()).collect(),
            sessions: positions.clone().map(|position| position.session_id.clone()).collect(),
            seqs: positions.clone().map(|position| position.seq).collect(),
            indices: positions.map(|position| position.idx).collect(),
        }
    }
}

pub(super) async fn insert_transitions(db: &mut PgConnection, new: &[Transition]) -> Result<(), StoreError> {
    if new.is_empty() {
        return Ok(());
    }
    let positions = Positions::of(new.iter().map(|row| &row.position));
    let guilds: Vec<i64> = new.iter().map(|row| row.guild.to_db()).collect();
    let members: Vec<i64> = new.iter().map(|row| row.member.to_db()).collect();
    let at: Vec<_> = new.iter().map(|row| row.at.to_utc()).collect();
    let channels: Vec<_> = new.iter().map(|row| row.channel.map(ChannelId::to_db)).collect();
    let zones: Vec<String> = new.iter().map(|row| row.time_zone.name().to_owned()).collect();
    sqlx::query!(
        "INSERT INTO voice_transitions
             (guild_id, user_id, session_started, session_id, seq, idx, at, channel_id, time_zone)
         SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::timestamptz[], $4::text[], $5::bigint[], $6::integer[],
             $7::timestamptz[], $8::bigint[], $9::text[])",
        &guilds,
        &members,
        &positions.started,
        &positions.sessions,
        &positions.seqs,
        &positions.indices,
        &at,
        &channels as &[Option<i64>],
        &zones,
    )
    .execute(db)
    .await?;
    Ok(())
}

pub(super) async fn insert_rosters(db: &mut PgConnection, new: &[Roster]) -> Result<(), StoreError> {
    if new.is_empty() {
        return Ok(());
    }
    let positions = Positions::of(new.iter().map(|row| &row.position));
    let guilds: Vec<i64> = new.iter().map(|row| row.guild.to_db()).collect();
    let at: Vec<_> = new.iter().map(|row| row.at.to_utc()).collect();
    sqlx::query!(
        "INSERT INTO voice_rosters (guild_id, session_started, session_id, seq, idx, at)
         SELECT * FROM unnest($1::bigint[], $2::timestamptz[], $3::text[], $4::bigint[], $5::integer[],
             $6::timestamptz[])",
        &guilds,
        &positions.started,
        &positions.sessions,
        &positions.seqs,
        &positions.indices,
        &at,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// The members whose last transition before a roster put them into a channel, with that roster.
pub(super) async fn present_before<'a>(
    db: &mut PgConnection,
    rosters: &'a [Roster],
) -> Result<Vec<(&'a Roster, UserId)>, StoreError> {
    if rosters.is_empty() {
        return Ok(Vec::new());
    }
    let positions = Positions::of(rosters.iter().map(|row| &row.position));
    let guilds: Vec<i64> = rosters.iter().map(|row| row.guild.to_db()).collect();
    let rows = sqlx::query!(
        r#"SELECT roster.place AS "place!", present.user_id
           FROM unnest($1::bigint[], $2::timestamptz[], $3::text[], $4::bigint[], $5::integer[])
               WITH ORDINALITY AS roster (guild_id, session_started, session_id, seq, idx, place)
           CROSS JOIN LATERAL (
               SELECT DISTINCT ON (t.user_id) t.user_id, t.channel_id FROM voice_transitions t
               WHERE t.guild_id = roster.guild_id
                   AND (t.session_started, t.session_id, t.seq, t.idx)
                       < (roster.session_started, roster.session_id, roster.seq, roster.idx)
               ORDER BY t.user_id, t.session_started DESC, t.session_id DESC, t.seq DESC, t.idx DESC
           ) present WHERE present.channel_id IS NOT NULL"#,
        &guilds,
        &positions.started,
        &positions.sessions,
        &positions.seqs,
        &positions.indices,
    )
    .fetch_all(db)
    .await?;
    let roster_at = |place: i64| usize::try_from(place - 1).ok().and_then(|place| rosters.get(place));
    Ok(rows
        .into_iter()
        .filter_map(|row| roster_at(row.place).map(|roster| (roster, UserId::from_db(row.user_id))))
        .collect())
}

/// The guilds in whose voice channels something happened in these sessions, and when it first did.
pub(in super::super) async fn guilds_of(
    db: &mut PgConnection,
    sessions: &[String],
) -> Result<Vec<(GuildId, Timestamp)>, StoreError> {
    if sessions.is_empty() {
        return Ok(Vec::new());
    }
    let rows = sqlx::query!(
        r#"SELECT guild_id, min(at) AS "at!" FROM voice_transitions WHERE session_id = ANY($1) GROUP BY guild_id"#,
        sessions,
    )
    .fetch_all(db)
    .await?;
    Ok(rows.into_iter().map(|row| (GuildId::from_db(row.guild_id), Timestamp::from_utc(row.at))).collect())
}

/// The transitions of these sessions that were counted beyond their sessions' gaps.
pub(super) async fn outlived(
    db: &mut PgConnection,
    sessions: &[String],
) -> Result<Vec<(GuildId, UserId, Position)>, StoreError> {
    if sessions.is_empty() {
        return Ok(Vec::new());
    }
    let rows = sqlx::query!(
        "SELECT guild_id, user_id, session_started, session_id, seq, idx FROM voice_transitions t
         WHERE session_id = ANY($1) AND channel_id IS NOT NULL
             AND counted_until > (SELECT min(gap_from) FROM coverage_gaps WHERE lost_session = t.session_id)",
        sessions,
    )
    .fetch_all(db)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| {
            let position = Position {
                session_started: Timestamp::from_utc(row.session_started),
                session_id: row.session_id,
                seq: row.seq,
                idx: row.idx,
            };
            (GuildId::from_db(row.guild_id), UserId::from_db(row.user_id), position)
        })
        .collect())
}

/// The members' transitions from the one before their first new place on, by guild, member and position.
pub(super) async fn load_transitions(db: &mut PgConnection, touched: &Touched) -> Result<Vec<Transition>, StoreError> {
    let positions = Positions::of(touched.values());
    let guilds: Vec<i64> = touched.keys().map(|(guild, _)| guild.to_db()).collect();
    let members: Vec<i64> = touched.keys().map(|(_, member)| member.to_db()).collect();
    let rows = sqlx::query!(
        r#"SELECT row.guild_id AS "guild_id!", row.user_id AS "user_id!", row.session_started AS "session_started!",
               row.session_id AS "session_id!", row.seq AS "seq!", row.idx AS "idx!", row.at AS "at!",
               row.channel_id, row.time_zone AS "time_zone!", row.counted_until
           FROM unnest($1::bigint[], $2::bigint[], $3::timestamptz[], $4::text[], $5::bigint[], $6::integer[])
               AS touched (guild_id, user_id, session_started, session_id, seq, idx)
           CROSS JOIN LATERAL (
               (SELECT t.* FROM voice_transitions t
                WHERE t.guild_id = touched.guild_id AND t.user_id = touched.user_id
                    AND (t.session_started, t.session_id, t.seq, t.idx)
                        < (touched.session_started, touched.session_id, touched.seq, touched.idx)
                ORDER BY t.session_started DESC, t.session_id DESC, t.seq DESC, t.idx DESC LIMIT 1)
               UNION ALL
               SELECT t.* FROM voice_transitions t
               WHERE t.guild_id = touched.guild_id AND t.user_id = touched.user_id
                   AND (t.session_started, t.session_id, t.seq, t.idx)
                       >= (touched.session_started, touched.session_id, touched.seq, touched.idx)
           ) row
           ORDER BY row.guild_id, row.user_id, row.session_started, row.session_id, row.seq, row.idx"#,
        &guilds,
        &members,
        &positions.started,
        &positions.sessions,
        &positions.seqs,
        &positions.indices,
    )
    .fetch_all(db)
    .await?;
    rows.into_iter()
        .map(|row| {
            let unreadable = StoreError::Unreadable { table: "voice_transitions", what: "an unknown time zone" };
            Ok(Transition {
                guild: GuildId::from_db(row.guild_id),
                member: UserId::from_db(row.user_id),
                position: Position {
                    session_started: Timestamp::from_utc(row.session_started),
                    session_id: row.session_id,
                    seq: row.seq,
                    idx: row.idx,
                },
                at: Timestamp::from_utc(row.at),
                channel: row.channel_id.map(ChannelId::from_db),
                time_zone: row.time_zone.parse().map_err(|_| unreadable)?,
                counted_until: row.counted_until.map(Timestamp::from_utc),
            })
        })
        .collect()
}

/// The rosters that can end any of the transitions, by guild and position.
pub(super) async fn load_rosters(
    db: &mut PgConnection,
    transitions: &[Transition],
) -> Result<BTreeMap<GuildId, Vec<Roster>>, StoreError> {
    let mut since: BTreeMap<GuildId, Timestamp> = BTreeMap::new();
    for row in transitions.iter().filter(|row| row.channel.is_some()) {
        let first = since.entry(row.guild).or_insert(row.position.session_started);
        *first = (*first).min(row.position.session_started);
    }
    let mut rosters: BTreeMap<GuildId, Vec<Roster>> = BTreeMap::new();
    if since.is_empty() {
        return Ok(rosters);
    }
    let guilds: Vec<i64> = since.keys().map(|guild| guild.to_db()).collect();
    let started: Vec<_> = since.values().map(|started| started.to_utc()).collect();
    let rows = sqlx::query!(
        "SELECT r.guild_id, r.session_started, r.session_id, r.seq, r.idx, r.at
         FROM unnest($1::bigint[], $2::timestamptz[]) AS wanted (guild_id, since)
         JOIN voice_rosters r ON r.guild_id = wanted.guild_id AND r.session_started >= wanted.since
         ORDER BY r.guild_id, r.session_started, r.session_id, r.seq, r.idx",
        &guilds,
        &started,
    )
    .fetch_all(db)
    .await?;
    for row in rows {
        let guild = GuildId::from_db(row.guild_id);
        let position = Position {
            session_started: Timestamp::from_utc(row.session_started),
            session_id: row.session_id,
            seq: row.seq,
            idx: row.idx,
        };
        rosters.entry(guild).or_default().push(Roster { guild, position, at: Timestamp::from_utc(row.at) });
    }
    Ok(rosters)
}

/// Stores until when the counters hold each row.
pub(super) async fn store_ends(
    db: &mut PgConnection,
    changed: &[(&Transition, Option<Timestamp>)],
) -> Result<(), StoreError> {
    if changed.is_empty() {
        return Ok(());
    }
    let positions = Positions::of(changed.iter().map(|(row, _)| &row.position));
    let guilds: Vec<i64> = changed.iter().map(|(row, _)| row.guild.to_db()).collect();
    let members: Vec<i64> = changed.iter().map(|(row, _)| row.member.to_db()).collect();
    let ends: Vec<_> = changed.iter().map(|(_, until)| until.map(Timestamp::to_utc)).collect();
    sqlx::query!(
        "UPDATE voice_transitions t SET counted_until = new.counted_until
         FROM unnest($1::bigint[], $2::bigint[], $3::timestamptz[], $4::text[], $5::bigint[], $6::integer[],
                 $7::timestamptz[]) AS new (guild_id, user_id, session_started, session_id, seq, idx, counted_until)
         WHERE (t.guild_id, t.user_id, t.session_started, t.session_id, t.seq, t.idx)
             = (new.guild_id, new.user_id, new.session_started, new.session_id, new.seq, new.idx)",
        &guilds,
        &members,
        &positions.started,
        &positions.sessions,
        &positions.seqs,
        &positions.indices,
        &ends as &[Option<DateTime<Utc>>],
    )
    .execute(db)
    .await?;
    Ok(())
}
