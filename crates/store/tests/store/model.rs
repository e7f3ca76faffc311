//! Ingest against a model that knows nothing of envelopes: any history, cut anyhow, delivered in any order and any
//! number of times, ends in the numbers that reading it once from beginning to end gives.

use std::collections::{BTreeMap, BTreeSet};

use guildhall_domain::{
    ChannelId, EventKind, GuildId, GuildSettings, PriorityClass, ShardId, TimeZone, Timestamp, UserId,
};
use guildhall_store::{PgPool, settings};
use guildhall_wire::{CoverageGap, Envelope, Event, EventBody, SeqRange};
use proptest::prelude::*;
use rand::rngs::SmallRng;
use rand::seq::SliceRandom as _;
use rand::{Rng as _, SeedableRng as _};

use crate::support::{apply, at, channel, databases, everything, guild, user};

const VOICE_MILLIS: i16 = 100;

struct Session {
    id: &'static str,
    started: Timestamp,
    /// From when on nothing is known of it, if it was lost.
    lost: Option<Timestamp>,
    frames: Vec<Vec<Event>>,
}

/// The zones of the two guilds: one with an odd offset that begins half-way, one on the night clocks go back.
fn zone_at(guild: GuildId, instant: Timestamp) -> TimeZone {
    match guild.get() {
        1 if instant >= at("2026-10-24T22:00:00Z") => "Asia/Kathmandu".parse().expect("a zone"),
        2 if instant >= at("2026-10-01T00:00:00Z") => "Europe/Paris".parse().expect("a zone"),
        _ => TimeZone::UTC,
    }
}

fn history(random: &mut SmallRng) -> Vec<Session> {
    let mut now = at("2026-10-24T20:00:00Z");
    let mut sessions = Vec::new();
    for id in ["b", "a", "c"] {
        let mut frames = Vec::new();
        let started = now;
        for seq in 2..random.random_range(10..60) {
            now = now.plus_millis(random.random_range(0..600_000));
            // Receive times of different machines, and ids made elsewhere: not quite in order.
            let instant = now.plus_millis(random.random_range(-5_000..5_000));
            frames.push(frame(random, seq, instant));
        }
        let lost = random.random_bool(0.6).then(|| now.plus_millis(-random.random_range(0..3_600_000)));
        now = now.plus_millis(random.random_range(0..1_800_000));
        sessions.push(Session { id, started, lost, frames });
    }
    sessions
}

fn frame(random: &mut SmallRng, seq: u64, instant: Timestamp) -> Vec<Event> {
    let guild = guild(random.random_range(1..=2));
    let event = |index: u16, body| Event { seq, index, guild, at: instant, body };
    let member = user(random.random_range(1..=4));
    let place = channel(random.random_range(10..=12));
    let count = |kind, channel, member| EventBody::Count { kind, channel, member, target: Some(seq) };
    match random.random_range(0..12) {
        0..=2 => vec![event(0, count(EventKind::MessageCreate, Some(place), Some(member)))],
        3 => vec![event(0, count(EventKind::ReactionAdd, Some(place), Some(member)))],
        4 => (0..3).map(|index| event(index, count(EventKind::MessageDelete, Some(place), None))).collect(),
        5..=7 => vec![event(0, count(EventKind::VoiceState, Some(place), Some(member)))],
        8 => vec![event(0, count(EventKind::VoiceState, None, Some(member)))],
        9 => {
            let mut events = vec![event(0, EventBody::VoiceRoster)];
            for id in 1..=4_u64 {
                if random.random_bool(0.5) {
                    let body =
                        EventBody::VoicePresent { member: user(id), channel: channel(random.random_range(10..=12)) };
                    events.push(event(u16::try_from(id).expect("small"), body));
                }
            }
            events
        }
        10 => vec![event(0, count(EventKind::GuildDelete, None, None))],
        // A frame that carries nothing countable.
        _ => Vec::new(),
    }
}

const fn class_of(body: &EventBody) -> PriorityClass {
    match body {
        EventBody::Count { kind, .. } => kind.class(),
        EventBody::VoiceRoster | EventBody::VoicePresent { .. } => PriorityClass::High,
    }
}

/// The session cut into envelopes, per class, at random places.
fn cut(random: &mut SmallRng, session: &Session) -> Vec<Envelope> {
    let mut envelopes = Vec::new();
    for class in PriorityClass::ALL {
        let mut first = 2;
        let last = session.frames.len() as u64 + 1;
        while first <= last {
            let end = (first + random.random_range(0..12)).min(last);
            let events = session
                .frames
                .iter()
                .flatten()
                .filter(|event| first <= event.seq && event.seq <= end && class_of(&event.body) == class)
                .copied()
                .collect();
            envelopes.push(Envelope {
                shard: ShardId { id: 0, count: 1 },
                session_id: session.id.to_owned(),
                session_started: session.started,
                class,
                class_map: 1,
                range: Some(SeqRange { first, last: end }),
                events,
                gauges: Vec::new(),
                gaps: Vec::new(),
            });
            first = end + 1;
        }
    }
    envelopes
}

/// Every report of the loss of a session: the one that tells when it began, one that does not know so well, and one of a
/// shard that has neither guild.
fn gaps(sessions: &[Session]) -> Vec<Envelope> {
    let mut envelopes = Vec::new();
    for session in sessions {
        let Some(lost) = session.lost else { continue };
        for (shard, millis) in [(0, 0), (0, 900_000), (1, -900_000)] {
            let from = lost.plus_millis(millis);
            envelopes.push(Envelope {
                shard: ShardId { id: shard, count: shard + 1 },
                session_id: "later".to_owned(),
                session_started: from,
                class: PriorityClass::Critical,
                class_map: 1,
                range: None,
                events: Vec::new(),
                gauges: Vec::new(),
                gaps: vec![CoverageGap {
                    lost_session: session.id.to_owned(),
                    after_seq: 1,
                    from,
                    to: from.plus_millis(60_000),
                }],
            });
        }
    }
    envelopes
}

type Cells = BTreeMap<(u64, String, u64, u64, i16), i64>;
type Quarters = BTreeMap<(u64, u64, Timestamp, i16), i64>;

#[derive(Default)]
struct Model {
    days: Cells,
    quarters: Quarters,
    /// Where each member is, since when, and when what is known of the session that said so ends.
    present: BTreeMap<(GuildId, UserId), Stay>,
}

struct Stay {
    channel: ChannelId,
    since: Timestamp,
    session: &'static str,
    lost: Option<Timestamp>,
}

impl Model {
    fn of(sessions: &[Session]) -> Self {
        let mut model = Self::default();
        let frames = sessions.iter().flat_map(|session| session.frames.iter().map(move |frame| (session, frame)));
        for (session, event) in frames.flat_map(|(session, frame)| frame.iter().map(move |event| (session, event))) {
            match event.body {
                EventBody::Count { kind, channel, member, .. } => {
                    let key = (event.guild, channel.map_or(0, ChannelId::get), member.map_or(0, UserId::get));
                    model.add(key, i16::from(kind.code()), event.at, zone_at(event.guild, event.at), 1);
                    match kind {
                        EventKind::VoiceState => model.moves(session, event, member.expect("a member"), channel),
                        EventKind::GuildDelete => model.empty(session, event),
                        _ => {}
                    }
                }
                EventBody::VoiceRoster => model.empty(session, event),
                EventBody::VoicePresent { member, channel } => model.moves(session, event, member, Some(channel)),
            }
        }
        model
    }

    fn add(&mut self, key: (GuildId, u64, u64), kind: i16, instant: Timestamp, zone: TimeZone, n: i64) {
        let (guild, channel, member) = (key.0.get(), key.1, key.2);
        *self.days.entry((guild, zone.date_of(instant).to_string(), channel, member, kind)).or_default() += n;
        let bucket = Timestamp::from_millis(instant.as_millis() - instant.as_millis().rem_euclid(900_000));
        *self.quarters.entry((guild, channel, bucket, kind)).or_default() += n;
    }

    fn moves(&mut self, session: &Session, event: &Event, member: UserId, channel: Option<ChannelId>) {
        self.leaves(session, event.guild, member, event.at);
        if let Some(channel) = channel {
            let stay = Stay { channel, since: event.at, session: session.id, lost: session.lost };
            self.present.insert((event.guild, member), stay);
        }
    }

    fn empty(&mut self, session: &Session, event: &Event) {
        let all: Vec<_> = self.present.keys().filter(|(guild, _)| *guild == event.guild).copied().collect();
        for (guild, member) in all {
            self.leaves(session, guild, member, event.at);
        }
    }

    /// Millisecond by millisecond would be plainest; second by second is quick enough, and exact at both ends.
    fn leaves(&mut self, session: &Session, guild: GuildId, member: UserId, mut until: Timestamp) {
        let Some(stay) = self.present.remove(&(guild, member)) else { return };
        let Stay { channel, since, .. } = stay;
        if let Some(lost) = stay.lost.filter(|_| stay.session != session.id) {
            until = until.min(lost);
        }
        let zone = zone_at(guild, since);
        let mut instant = since;
        while instant < until {
            let next_second = instant.as_millis() - instant.as_millis().rem_euclid(1_000) + 1_000;
            let step = next_second.min(until.as_millis()) - instant.as_millis();
            self.add((guild, channel.get(), member.get()), VOICE_MILLIS, instant, zone, step);
            instant = instant.plus_millis(step);
        }
    }
}

async fn compare(pool: &PgPool, model: &Model) {
    let days: Vec<(i64, String, i64, i64, i16, i64)> = sqlx::query_as(
        "SELECT guild_id, day::text, channel_id, user_id, kind, count FROM member_channel_days WHERE count <> 0",
    )
    .fetch_all(pool)
    .await
    .expect("rows");
    let id = |id: i64| u64::try_from(id).expect("an id");
    let days: Cells = days.into_iter().map(|row| ((id(row.0), row.1, id(row.2), id(row.3), row.4), row.5)).collect();
    assert_eq!(days, model.days);

    let quarters: Vec<(i64, i64, i64, i16, i64)> = sqlx::query_as(
        "SELECT guild_id, channel_id, (extract(epoch FROM bucket) * 1000)::bigint, kind, count
         FROM channel_quarters WHERE count <> 0",
    )
    .fetch_all(pool)
    .await
    .expect("rows");
    let quarters: Quarters =
        quarters.into_iter().map(|row| ((id(row.0), id(row.1), Timestamp::from_millis(row.2), row.3), row.4)).collect();
    let expected: Quarters = model.quarters.clone().into_iter().filter(|((_, channel, ..), _)| *channel != 0).collect();
    assert_eq!(quarters, expected);

    // The coarser tables are sums of the finer ones.
    let differences: i64 = sqlx::query_scalar(
        "SELECT (SELECT count(*) FROM (
                     SELECT guild_id, day, user_id, kind, sum(count) FROM member_channel_days
                     WHERE user_id <> 0 GROUP BY 1, 2, 3, 4 HAVING sum(count) <> 0
                     EXCEPT SELECT guild_id, day, user_id, kind, count FROM member_days) a)
              + (SELECT count(*) FROM (
                     SELECT guild_id, user_id, coalesce(sum(count) FILTER (WHERE kind = 1), 0),
                         coalesce(sum(count) FILTER (WHERE kind = 5), 0),
                         coalesce(sum(count) FILTER (WHERE kind = 100), 0)
                     FROM member_days GROUP BY 1, 2
                     EXCEPT SELECT guild_id, user_id, messages, reactions, voice_millis FROM member_stats) b)
              + (SELECT count(*) FROM (
                     SELECT guild_id, kind, sum(count) FROM member_channel_days GROUP BY 1, 2 HAVING sum(count) <> 0
                     EXCEPT SELECT guild_id, kind, sum(count) FROM guild_quarters GROUP BY 1, 2) c)",
    )
    .fetch_one(pool)
    .await
    .expect("a number");
    assert_eq!(differences, 0, "a coarser table is not the sum of a finer one");

    let open: Vec<(i64, i64, i64)> = sqlx::query_as(
        "SELECT guild_id, user_id, channel_id FROM voice_transitions
         WHERE channel_id IS NOT NULL AND counted_until IS NULL",
    )
    .fetch_all(pool)
    .await
    .expect("rows");
    let open: BTreeSet<_> = open.into_iter().map(|row| (id(row.0), id(row.1), id(row.2))).collect();
    let present = model.present.iter().map(|((guild, member), stay)| (guild.get(), member.get(), stay.channel.get()));
    assert_eq!(open, present.collect());
}

async fn run(pool: &PgPool, seed: u64) {
    let mut random = SmallRng::seed_from_u64(seed);
    let sessions = history(&mut random);
    let model = Model::of(&sessions);
    let mut first_result = None;
    for _ in 0..2 {
        // Cut twice at different places and delivered together: a replay after a crash, and overlaps of all kinds.
        let mut deliveries: Vec<Envelope> = sessions.iter().flat_map(|session| cut(&mut random, session)).collect();
        if random.random_bool(0.7) {
            deliveries.extend(sessions.iter().flat_map(|session| cut(&mut random, session)));
        }
        deliveries.extend(gaps(&sessions));
        deliveries.shuffle(&mut random);
        sqlx::raw_sql(
            "TRUNCATE events, guild_quarters, channel_quarters, member_days, member_channel_days, member_stats,
                 voice_transitions, voice_rosters, gateway_sequences, coverage_gaps, guilds, dirty_hours",
        )
        .execute(pool)
        .await
        .expect("emptied");
        let mut rest = &deliveries[..];
        while !rest.is_empty() {
            let (batch, later) = rest.split_at(random.random_range(1..=rest.len().min(20)));
            apply(pool, batch).await;
            rest = later;
        }
        compare(pool, &model).await;
        let result = everything(pool).await;
        assert_eq!(*first_result.get_or_insert_with(|| result.clone()), result, "the order of delivery shows");
    }
}

#[test]
fn any_cut_order_and_repetition_gives_the_numbers_of_the_history() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    for database in runtime.block_on(databases()) {
        let pool = database.pool();
        runtime.block_on(async {
            let mut db = pool.acquire().await.expect("a connection");
            for (id, since) in [(1, "2026-10-24T22:00:00Z"), (2, "2026-10-01T00:00:00Z")] {
                let time_zone = zone_at(guild(id), at("2026-11-01T00:00:00Z"));
                let chosen = GuildSettings { time_zone, ..GuildSettings::default() };
                settings::save(&mut db, guild(id), &chosen, None, user(9), at(since)).await.expect("saved");
            }
        });
        let config = ProptestConfig { cases: 12, failure_persistence: None, ..ProptestConfig::default() };
        proptest!(config, |(seed in any::<u64>())| runtime.block_on(run(pool, seed)));
    }
}
