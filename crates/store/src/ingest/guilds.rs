//! Guilds: their rows, which are also the lock under which their numbers change, their zones and gauges.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use chrono::NaiveDate;
use guildhall_domain::{EventKind, GuildId, TimeZone, Timestamp};
use guildhall_wire::{Envelope, Event, EventBody};
use sqlx::PgConnection;

use super::ids;
use super::tally::hour_of;
use crate::StoreError;

/// What a batch says about guilds themselves.
#[derive(Default)]
pub(super) struct Changes {
    guilds: BTreeMap<GuildId, Change>,
    gauge_hours: BTreeSet<(i64, Timestamp)>,
}

#[derive(Clone, Copy)]
struct Change {
    first_seen: Timestamp,
    created: Option<Timestamp>,
    deleted: Option<Timestamp>,
}

impl Changes {
    pub(super) fn note(&mut self, event: &Event) {
        let change = self.change(event.guild, event.at);
        match event.body {
            EventBody::Count { kind: EventKind::GuildCreate, .. } => {
                change.created = change.created.max(Some(event.at));
            }
            EventBody::Count { kind: EventKind::GuildDelete, .. } => {
                change.deleted = change.deleted.max(Some(event.at));
            }
            _ => {}
        }
    }

    pub(super) fn note_gauge(&mut self, guild: GuildId, slot: Timestamp) {
        self.change(guild, slot);
        self.gauge_hours.insert((guild.to_db(), hour_of(slot)));
    }

    /// Locks the guild, of which something at this instant is counted anew.
    pub(super) fn note_stay(&mut self, guild: GuildId, at: Timestamp) {
        self.change(guild, at);
    }

    /// The hours whose snapshots hold another gauge now.
    pub(super) const fn gauge_hours(&self) -> &BTreeSet<(i64, Timestamp)> {
        &self.gauge_hours
    }

    fn change(&mut self, guild: GuildId, at: Timestamp) -> &mut Change {
        let change = self.guilds.entry(guild).or_insert(Change { first_seen: at, created: None, deleted: None });
        change.first_seen = change.first_seen.min(at);
        change
    }
}

/// The guilds of a batch, locked.
pub(super) struct Guilds {
    period_starts: HashMap<i64, Option<NaiveDate>>,
    /// Each guild's zones, by the instant from which they apply.
    zones: HashMap<i64, Vec<(Timestamp, TimeZone)>>,
}

impl Guilds {
    pub(super) fn len(&self) -> usize {
        self.period_starts.len()
    }

    /// The zone that the guild's days followed at an instant; UTC before its first choice.
    pub(super) fn zone_at(&self, guild: GuildId, at: Timestamp) -> TimeZone {
        let zones = self.zones.get(&guild.to_db()).map_or(&[][..], Vec::as_slice);
        zone_at(zones, at)
    }

    /// Whether a member's cumulative counters include this day.
    pub(super) fn in_period(&self, guild: i64, day: NaiveDate) -> bool {
        self.period_starts.get(&guild).copied().flatten().is_none_or(|start| start <= day)
    }
}

/// The zone in force at an instant, of zones sorted by the instant from which they apply.
pub(crate) fn zone_at(zones: &[(Timestamp, TimeZone)], at: Timestamp) -> TimeZone {
    let after = zones.partition_point(|(since, _)| *since <= at);
    if after == 0 { TimeZone::UTC } else { zones[after - 1].1 }
}

/// Locks the rows of the guilds, in order, and raises their versions.
pub(super) async fn lock(db: &mut PgConnection, changes: &Changes, now: Timestamp) -> Result<Guilds, StoreError> {
    if changes.guilds.is_empty() {
        return Ok(Guilds { period_starts: HashMap::new(), zones: HashMap::new() });
    }
    let guild_ids = ids(changes.guilds.keys().copied());
    let first_seen: Vec<_> = changes.guilds.values().map(|change| change.first_seen.to_utc()).collect();
    let created: Vec<_> = changes.guilds.values().map(|change| change.created.map(Timestamp::to_utc)).collect();
    let deleted: Vec<_> = changes.guilds.values().map(|change| change.deleted.map(Timestamp::to_utc)).collect();
    let rows = sqlx::query!(
        "INSERT INTO guilds AS known
             (guild_id, first_seen_at, last_created_at, last_deleted_at, ingest_version, ingested_at)
         SELECT guild_id, first_seen, created, deleted, 1, $5
         FROM unnest($1::bigint[], $2::timestamptz[], $3::timestamptz[], $4::timestamptz[])
             AS new (guild_id, first_seen, created, deleted)
         ORDER BY guild_id
         ON CONFLICT (guild_id) DO UPDATE SET
             first_seen_at = least(known.first_seen_at, excluded.first_seen_at),
             last_created_at = greatest(known.last_created_at, excluded.last_created_at),
             last_deleted_at = greatest(known.last_deleted_at, excluded.last_deleted_at),
             ingest_version = known.ingest_version + 1,
             ingested_at = greatest(known.ingested_at, excluded.ingested_at)
         RETURNING guild_id, member_period_start",
        &guild_ids,
        &first_seen,
        &created as &[Option<_>],
        &deleted as &[Option<_>],
        now.to_utc(),
    )
    .fetch_all(&mut *db)
    .await?;
    let period_starts = rows.into_iter().map(|row| (row.guild_id, row.member_period_start)).collect();
    Ok(Guilds { period_starts, zones: zones(db, &guild_ids).await? })
}

/// The zones of guilds, by the instant from which they apply.
pub(crate) async fn zones(
    db: &mut PgConnection,
    guilds: &[i64],
) -> Result<HashMap<i64, Vec<(Timestamp, TimeZone)>>, StoreError> {
    let rows = sqlx::query!(
        "SELECT guild_id, since, time_zone FROM guild_time_zones WHERE guild_id = ANY($1) ORDER BY guild_id, since",
        guilds,
    )
    .fetch_all(db)
    .await?;
    let mut zones: HashMap<i64, Vec<_>> = HashMap::new();
    for row in rows {
        let unreadable = StoreError::Unreadable { table: "guild_time_zones", what: "an unknown time zone" };
        let zone = row.time_zone.parse().map_err(|_| unreadable)?;
        zones.entry(row.guild_id).or_default().push((Timestamp::from_utc(row.since), zone));
    }
    Ok(zones)
}

#[derive(Default)]
struct Slot {
    members: Option<u32>,
    online: Option<u32>,
    in_voice: u32,
}

/// Stores the envelopes' gauges, and returns those that changed something. Two reports of one slot make one row with
/// the greater of each number, so that their order does not matter.
pub(super) async fn upsert_gauges(
    db: &mut PgConnection,
    envelopes: &[&Envelope],
) -> Result<Vec<(GuildId, Timestamp)>, StoreError> {
    let mut slots: BTreeMap<(GuildId, Timestamp), Slot> = BTreeMap::new();
    for gauges in envelopes.iter().flat_map(|envelope| &envelope.gauges) {
        let slot = slots.entry((gauges.guild, gauges.slot)).or_default();
        slot.members = slot.members.max(gauges.members);
        slot.online = slot.online.max(gauges.online);
        slot.in_voice = slot.in_voice.max(gauges.in_voice);
    }
    if slots.is_empty() {
        return Ok(Vec::new());
    }
    let int4 = |n: u32| i32::try_from(n).unwrap_or(i32::MAX);
    let guild_ids = ids(slots.keys().map(|(guild, _)| *guild));
    let starts: Vec<_> = slots.keys().map(|(_, slot)| slot.to_utc()).collect();
    let members: Vec<_> = slots.values().map(|slot| slot.members.map(int4)).collect();
    let online: Vec<_> = slots.values().map(|slot| slot.online.map(int4)).collect();
    let in_voice: Vec<_> = slots.values().map(|slot| int4(slot.in_voice)).collect();
    let changed = sqlx::query!(
        "INSERT INTO gauges AS known (guild_id, slot, members, online, in_voice)
         SELECT guild_id, slot, members, online, in_voice
         FROM unnest($1::bigint[], $2::timestamptz[], $3::integer[], $4::integer[], $5::integer[])
             AS new (guild_id, slot, members, online, in_voice)
         ORDER BY guild_id, slot
         ON CONFLICT (guild_id, slot) DO UPDATE SET
             members = greatest(known.members, excluded.members),
             online = greatest(known.online, excluded.online),
             in_voice = greatest(known.in_voice, excluded.in_voice)
         WHERE (known.members, known.online, known.in_voice) IS DISTINCT FROM
             (greatest(known.members, excluded.members), greatest(known.online, excluded.online),
              greatest(known.in_voice, excluded.in_voice))
         RETURNING guild_id, slot",
        &guild_ids,
        &starts,
        &members as &[Option<i32>],
        &online as &[Option<i32>],
        &in_voice,
    )
    .fetch_all(db)
    .await?;
    Ok(changed.into_iter().map(|row| (GuildId::from_db(row.guild_id), Timestamp::from_utc(row.slot))).collect())
}
