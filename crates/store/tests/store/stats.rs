//! What is read equals what was sent, summed by hand.

use std::collections::BTreeMap;

use chrono::NaiveDate;
use guildhall_domain::{ChannelId, EventKind, GuildSettings, PriorityClass, Span, TimeZone, Timestamp, UserId};
use guildhall_store::stats::{self, Rank, Totals};
use guildhall_store::{PgPool, audit, settings};
use guildhall_wire::{Event, EventBody};
use rand::rngs::SmallRng;
use rand::{Rng as _, SeedableRng as _};

use crate::support::{NOW, apply, at, channel, databases, envelope, event, guild, user};

const KINDS: [EventKind; 4] =
    [EventKind::MessageCreate, EventKind::BotMessageCreate, EventKind::MessageDelete, EventKind::MemberJoin];

fn zone() -> TimeZone {
    "Asia/Kathmandu".parse().expect("a zone")
}

fn day(text: &str) -> NaiveDate {
    text.parse().expect("a date")
}

/// Five days of two guilds.
fn sample() -> Vec<Event> {
    let mut random = SmallRng::seed_from_u64(5);
    (2..1_500)
        .map(|seq| {
            let instant = at("2026-05-01T00:00:00Z").plus_millis(random.random_range(0..5 * 86_400_000));
            let kind = KINDS[random.random_range(0..KINDS.len())];
            let channel = ChannelId::new(random.random_range(10..16)).filter(|_| kind != EventKind::MemberJoin);
            let member = UserId::new(random.random_range(1..9)).filter(|_| kind != EventKind::MessageDelete);
            let guild = random.random_range(1..=2);
            event(seq, guild, instant, EventBody::Count { kind, channel, member, target: None })
        })
        .collect()
}

/// The totals of those of guild 1's events that `wanted` lets through.
fn sum(events: &[Event], wanted: impl Fn(Timestamp, Option<ChannelId>, Option<UserId>) -> bool) -> Totals {
    let mut totals = Totals::default();
    for event in events.iter().filter(|event| event.guild == guild(1)) {
        if let EventBody::Count { kind, channel, member, .. } = event.body
            && wanted(event.at, channel, member)
        {
            *totals.counts.entry(kind).or_default() += 1;
        }
    }
    totals
}

async fn seeded(pool: &PgPool) -> Vec<Event> {
    let mut db = pool.acquire().await.expect("a connection");
    let chosen = GuildSettings { time_zone: zone(), ..GuildSettings::default() };
    let early = at("2026-01-01T00:00:00Z");
    settings::save(&mut db, guild(1), &chosen, None, user(9), early).await.expect("saved");
    let events = sample();
    apply(pool, &[envelope("s", PriorityClass::High, events.clone())]).await;
    events
}

#[tokio::test]
async fn guilds_and_channels_over_any_span() {
    for database in databases().await {
        let pool = database.pool();
        let events = seeded(pool).await;
        let mut db = pool.acquire().await.expect("a connection");
        // From midnight in Kathmandu to a quarter past noon.
        let span = Span { start: at("2026-05-01T18:15:00Z"), end: at("2026-05-03T06:30:00Z") };
        let expected = sum(&events, |at, _, _| span.contains(at));
        assert_eq!(stats::guild_totals(&mut db, guild(1), span).await.expect("totals"), expected);
        let series = stats::guild_series(&mut db, guild(1), span).await.expect("a series");
        assert!(series.is_sorted_by_key(|(bucket, _)| *bucket));
        for (bucket, totals) in &series {
            assert_eq!(*totals, sum(&events, |at, _, _| at.quarter_hour() == *bucket));
        }
        let messages: u64 = series.iter().map(|(_, totals)| totals.messages()).sum();
        assert_eq!(messages, expected.messages());

        let expected = sum(&events, |at, place, _| span.contains(at) && place == Some(channel(12)));
        assert_eq!(stats::channel_totals(&mut db, guild(1), channel(12), span).await.expect("totals"), expected);
        let series = stats::channel_series(&mut db, guild(1), channel(12), span).await.expect("a series");
        let deletes: u64 = series.iter().map(|(_, totals)| totals.get(EventKind::MessageDelete)).sum();
        assert_eq!(deletes, expected.get(EventKind::MessageDelete));

        let nothing = Span { start: at("2026-04-01T00:00:00Z"), end: at("2026-05-01T00:00:00Z") };
        assert_eq!(stats::guild_totals(&mut db, guild(1), nothing).await.expect("totals"), Totals::default());
        assert_eq!(stats::guild_series(&mut db, guild(1), nothing).await.expect("a series"), []);
        assert_eq!(stats::top_channels(&mut db, guild(1), nothing, 5).await.expect("channels"), []);
    }
}

#[tokio::test]
async fn the_busiest_channels_come_first() {
    for database in databases().await {
        let pool = database.pool();
        let events = seeded(pool).await;
        let mut db = pool.acquire().await.expect("a connection");
        let span = Span { start: at("2026-05-01T18:15:00Z"), end: at("2026-05-03T06:30:00Z") };
        let mut expected: Vec<_> = (10..16)
            .map(|id| (channel(id), sum(&events, |at, place, _| span.contains(at) && place == Some(channel(id)))))
            .filter(|(_, totals)| totals.messages() > 0)
            .collect();
        expected.sort_by_key(|(id, totals)| (std::cmp::Reverse(totals.messages()), *id));
        expected.truncate(3);
        assert_eq!(stats::top_channels(&mut db, guild(1), span, 3).await.expect("channels"), expected);
    }
}

#[tokio::test]
async fn members_by_local_days() {
    for database in databases().await {
        let pool = database.pool();
        let events = seeded(pool).await;
        let mut db = pool.acquire().await.expect("a connection");
        let days = day("2026-05-02")..=day("2026-05-04");
        let within = |at: Timestamp| days.contains(&zone().date_of(at));
        let mut ranking: Vec<_> = (1..9)
            .map(|id| (user(id), sum(&events, |at, _, member| within(at) && member == Some(user(id)))))
            .map(|(id, totals)| (id, totals.clone(), totals.messages()))
            .collect();
        ranking.sort_by_key(|(id, _, score)| (std::cmp::Reverse(*score), *id));
        ranking.truncate(5);
        let top = stats::top_members(&mut db, guild(1), None, days.clone(), 5).await.expect("members");
        assert_eq!(top, ranking);

        let mut ranking: Vec<_> = (1..9)
            .map(|id| {
                let here = |place| place == Some(channel(12));
                (user(id), sum(&events, |at, place, member| within(at) && here(place) && member == Some(user(id))))
            })
            .map(|(id, totals)| (id, totals.clone(), totals.messages()))
            .filter(|(_, _, score)| *score > 0)
            .collect();
        ranking.sort_by_key(|(id, _, score)| (std::cmp::Reverse(*score), *id));
        let top = stats::top_members(&mut db, guild(1), Some(channel(12)), days.clone(), 50).await.expect("members");
        assert_eq!(top, ranking);

        let member = |member| member == Some(user(3));
        let expected = sum(&events, |at, _, who| within(at) && member(who));
        assert_eq!(stats::member_totals(&mut db, guild(1), user(3), days.clone()).await.expect("totals"), expected);
        let series = stats::member_series(&mut db, guild(1), user(3), days.clone()).await.expect("a series");
        let expected: Vec<_> = days
            .start()
            .iter_days()
            .take(3)
            .map(|date| (date, sum(&events, |at, _, who| zone().date_of(at) == date && member(who))))
            .collect();
        assert_eq!(series, expected);
        let mut expected: Vec<_> = (10..16)
            .map(|id| {
                (channel(id), sum(&events, |at, place, who| within(at) && member(who) && place == Some(channel(id))))
            })
            .filter(|(_, totals)| totals.messages() > 0)
            .collect();
        expected.sort_by_key(|(id, totals)| (std::cmp::Reverse(totals.messages()), *id));
        let top = stats::member_top_channels(&mut db, guild(1), user(3), days.clone(), 50).await.expect("channels");
        assert_eq!(top, expected);
    }
}

#[tokio::test]
async fn the_books_hold_every_event() {
    for database in databases().await {
        let events = seeded(database.pool()).await;
        let mut expected = BTreeMap::new();
        for event in &events {
            if let EventBody::Count { kind, channel, member, .. } = event.body {
                *expected.entry((event.guild, channel, member, kind)).or_insert(0_u64) += 1;
            }
        }
        let mut db = database.pool().acquire().await.expect("a connection");
        let counts = audit::counts(&mut db).await.expect("the books");
        assert!(counts.is_sorted());
        let counts: BTreeMap<_, _> =
            counts.into_iter().map(|row| ((row.guild, row.channel, row.member, row.kind), row.count)).collect();
        assert_eq!(counts, expected);
    }
}

#[tokio::test]
async fn the_score_counts_messages_voice_minutes_twice_and_reactions() {
    for database in databases().await {
        let pool = database.pool();
        let start = at("2026-05-01T12:00:00Z");
        let count = |seq, after, kind, place: Option<u64>| {
            let channel = place.map(channel);
            event(
                seq,
                1,
                start.plus_millis(after),
                EventBody::Count { kind, channel, member: Some(user(7)), target: None },
            )
        };
        let high = vec![
            count(2, 0, EventKind::MessageCreate, Some(5)),
            count(3, 0, EventKind::VoiceState, Some(6)),
            // Three minutes and 59.999 seconds.
            count(4, 239_999, EventKind::VoiceState, None),
        ];
        let medium =
            vec![count(5, 0, EventKind::ReactionAdd, Some(5)), count(6, 0, EventKind::ReactionRemove, Some(5))];
        apply(pool, &[envelope("s", PriorityClass::High, high), envelope("s", PriorityClass::Medium, medium)]).await;
        let mut db = pool.acquire().await.expect("a connection");
        let today = day("2026-05-01")..=day("2026-05-01");
        let top = stats::top_members(&mut db, guild(1), None, today, 5).await.expect("members");
        let [(member, totals, score)] = &top[..] else { panic!("one member: {top:?}") };
        assert_eq!((*member, *score, totals.score()), (user(7), 1 + 2 * 3 + 1, 8));
        assert_eq!((totals.voice_seconds(), totals.voice_minutes(), totals.reactions()), (239, 3, 1));
        let stored: (i64, i64) =
            sqlx::query_as("SELECT score, voice_millis FROM member_stats").fetch_one(pool).await.expect("a row");
        assert_eq!(stored, (8, 239_999));
    }
}

#[tokio::test]
async fn leaderboards_are_of_all_time() {
    for database in databases().await {
        let pool = database.pool();
        let start = at("2026-05-01T12:00:00Z");
        let count = |seq, minute: i64, kind, place: Option<u64>, member| {
            let channel = place.map(channel);
            let member = Some(user(member));
            event(seq, 1, start.plus_millis(minute * 60_000), EventBody::Count { kind, channel, member, target: None })
        };
        let events = vec![
            count(2, 0, EventKind::MessageCreate, Some(5), 7),
            count(3, 9, EventKind::MessageCreate, Some(5), 7),
            count(4, 0, EventKind::MessageCreate, Some(5), 8),
            count(5, 0, EventKind::VoiceState, Some(6), 8),
            count(6, 5, EventKind::VoiceState, None, 8),
            count(7, 0, EventKind::VoiceState, Some(6), 9),
            count(8, 6, EventKind::VoiceState, None, 9),
            count(9, 0, EventKind::MemberJoin, None, 10),
        ];
        apply(pool, &[envelope("s", PriorityClass::High, events)]).await;
        let mut db = pool.acquire().await.expect("a connection");
        for (by, expected) in [
            (Rank::Messages, [(7, 2), (8, 11)].as_slice()),
            (Rank::Voice, &[(9, 12), (8, 11)]),
            (Rank::Score, &[(9, 12), (8, 11), (7, 2)]),
        ] {
            let board = stats::leaderboard(&mut db, guild(1), by, 10).await.expect("a leaderboard");
            let places: Vec<_> = board.iter().map(|place| (place.member.get(), place.score)).collect();
            assert_eq!(places, expected, "{by:?}");
        }
        let first = stats::leaderboard(&mut db, guild(1), Rank::Messages, 1).await.expect("a leaderboard");
        let [first] = &first[..] else { panic!("one place: {first:?}") };
        assert_eq!((first.first_seen_at, first.last_seen_at), (start, start.plus_millis(9 * 60_000)));
    }
}

#[tokio::test]
async fn a_guild_nobody_heard_of_has_no_numbers() {
    for database in databases().await {
        let mut db = database.pool().acquire().await.expect("a connection");
        assert_eq!(stats::freshness(&mut db, guild(3)).await.expect("fresh"), stats::Freshness::default());
        assert_eq!(stats::latest_gauges(&mut db, guild(3)).await.expect("gauges"), None);
        assert_eq!(stats::open_voice(&mut db, guild(3)).await.expect("a number"), 0);
        let span = Span { start: NOW.plus_millis(-1), end: NOW };
        assert_eq!(stats::coverage_gaps(&mut db, guild(3), span).await.expect("gaps"), []);
    }
}
