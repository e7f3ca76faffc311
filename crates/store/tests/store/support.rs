//! Databases, instants and envelopes.

use guildhall_domain::{ChannelId, EventKind, GuildId, PriorityClass, ShardId, Timestamp, UserId};
use guildhall_store::ingest::{self, Applied};
use guildhall_store::{MIGRATOR, PgPool};
use guildhall_test_kit::TestDatabase;
use guildhall_test_kit::services::{TIMESCALE, service};
use guildhall_wire::{Envelope, Event, EventBody, SeqRange};

/// An empty, migrated database on plain PostgreSQL.
pub(crate) async fn database() -> TestDatabase {
    TestDatabase::create(&MIGRATOR).await
}

/// One on each tier that has a server: plain PostgreSQL, and the Apache edition of TimescaleDB unless the variable says
/// in so many words that there is none.
pub(crate) async fn databases() -> Vec<TestDatabase> {
    let mut databases = vec![database().await];
    let timescale = service(TIMESCALE);
    if timescale != "absent" {
        databases.push(TestDatabase::on(&timescale, &MIGRATOR).await);
    }
    databases
}

pub(crate) fn at(text: &str) -> Timestamp {
    Timestamp::parse_rfc3339(text).expect("an instant")
}

pub(crate) fn guild(id: u64) -> GuildId {
    GuildId::new(id).expect("an id")
}

pub(crate) fn channel(id: u64) -> ChannelId {
    ChannelId::new(id).expect("an id")
}

pub(crate) fn user(id: u64) -> UserId {
    UserId::new(id).expect("an id")
}

/// A present that is later than everything the tests count.
pub(crate) const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);

/// Events of one session and class, with the range from the first to the last.
pub(crate) fn envelope(session: &str, class: PriorityClass, events: Vec<Event>) -> Envelope {
    let range = events.first().zip(events.last()).map(|(first, last)| SeqRange { first: first.seq, last: last.seq });
    Envelope {
        shard: ShardId { id: 0, count: 1 },
        session_id: session.to_owned(),
        session_started: at("2026-01-01T00:00:00Z"),
        class,
        class_map: 1,
        range,
        events,
        gauges: Vec::new(),
        gaps: Vec::new(),
    }
}

pub(crate) fn event(seq: u64, guild_id: u64, instant: Timestamp, body: EventBody) -> Event {
    Event { seq, index: 0, guild: guild(guild_id), at: instant, body }
}

pub(crate) fn body(kind: EventKind, channel_id: u64, user_id: u64) -> EventBody {
    EventBody::Count {
        kind,
        channel: ChannelId::new(channel_id).filter(|_| channel_id != 0),
        member: UserId::new(user_id).filter(|_| user_id != 0),
        target: None,
    }
}

/// A message by member 7 in channel 5 of guild 1.
pub(crate) fn message(seq: u64, instant: Timestamp) -> Event {
    event(seq, 1, instant, body(EventKind::MessageCreate, 5, 7))
}

pub(crate) async fn apply(pool: &PgPool, envelopes: &[Envelope]) -> Applied {
    let mut db = pool.acquire().await.expect("a connection");
    let envelopes: Vec<&Envelope> = envelopes.iter().collect();
    ingest::apply(&mut db, &envelopes, NOW).await.expect("counted")
}

/// Every row of every table that ingest writes, as text, so that equal tables are equal values. Rows of counters that
/// came back to zero say nothing and are left out, as are surrogate keys and versions.
pub(crate) async fn everything(pool: &PgPool) -> Vec<String> {
    let mut rows = Vec::new();
    for query in [
        "SELECT 'events ' || (ts, guild_id, channel_id, user_id, target_id, seq, idx, shard_id, kind)::text FROM events",
        "SELECT 'guild_quarters ' || t::text FROM guild_quarters t WHERE count <> 0",
        "SELECT 'channel_quarters ' || t::text FROM channel_quarters t WHERE count <> 0",
        "SELECT 'member_days ' || t::text FROM member_days t WHERE count <> 0",
        "SELECT 'member_channel_days ' || t::text FROM member_channel_days t WHERE count <> 0",
        "SELECT 'member_stats ' || t::text FROM member_stats t",
        "SELECT 'voice_transitions ' || t::text FROM voice_transitions t",
        "SELECT 'voice_rosters ' || t::text FROM voice_rosters t",
        "SELECT 'gauges ' || t::text FROM gauges t",
        "SELECT 'coverage_gaps ' || t::text FROM coverage_gaps t",
        "SELECT 'guilds ' || (guild_id, first_seen_at, last_created_at, last_deleted_at, left_at)::text FROM guilds",
        "SELECT 'sequences ' || (session_id, class, counted)::text FROM gateway_sequences",
    ] {
        let some: Vec<String> = sqlx::query_scalar(query).fetch_all(pool).await.expect("rows");
        rows.extend(some);
    }
    rows.sort();
    rows
}
