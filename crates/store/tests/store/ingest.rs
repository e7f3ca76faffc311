//! Exactly once: redelivered, overlapping, concurrent, interrupted, refused.

use guildhall_domain::{EventKind, GuildSettings, PriorityClass, ShardId, Timestamp};
use guildhall_store::ingest::{self, Applied, Unacceptable};
use guildhall_store::{Connection as _, PgPool, settings, stats};
use guildhall_wire::{CoverageGap, Envelope, GuildGauges, SeqRange};

use crate::support::{NOW, apply, at, body, database, databases, envelope, event, everything, guild, message, user};

fn noon() -> Timestamp {
    at("2026-05-01T12:00:00Z")
}

fn messages(seqs: std::ops::RangeInclusive<u64>) -> Envelope {
    let second = |seq: u64| i64::try_from(seq).expect("small") * 1_000;
    envelope("s", PriorityClass::High, seqs.map(|seq| message(seq, noon().plus_millis(second(seq)))).collect())
}

async fn count(pool: &PgPool) -> i64 {
    let (raw, counted): (i64, Option<i64>) = sqlx::query_as(
        "SELECT (SELECT count(*) FROM events), (SELECT sum(count)::bigint FROM member_channel_days WHERE kind = 1)",
    )
    .fetch_one(pool)
    .await
    .expect("a row");
    assert_eq!(raw, counted.unwrap_or(0), "raw events and counters differ");
    raw
}

#[tokio::test]
async fn a_redelivery_changes_nothing() {
    for database in databases().await {
        let pool = database.pool();
        let batch = [messages(2..=40), envelope("s", PriorityClass::Medium, vec![])];
        assert_eq!(apply(pool, &batch).await, Applied { events: 39, duplicates: 0, guilds: 1 });
        let before = everything(pool).await;
        let mut db = pool.acquire().await.expect("a connection");
        let fresh = stats::freshness(&mut db, guild(1)).await.expect("fresh");
        assert_eq!((fresh.version, fresh.ingested_at), (1, Some(NOW)));
        assert_eq!(apply(pool, &batch).await, Applied { events: 0, duplicates: 39, guilds: 0 });
        assert_eq!(everything(pool).await, before);
        assert_eq!(stats::freshness(&mut db, guild(1)).await.expect("fresh"), fresh);
    }
}

#[tokio::test]
async fn overlapping_ranges_count_what_is_new() {
    let database = database().await;
    let pool = database.pool();
    // Within one transaction, and across transactions, in no order.
    assert_eq!(apply(pool, &[messages(20..=30), messages(25..=35)]).await.events, 16);
    assert_eq!(apply(pool, &[messages(2..=22)]).await, Applied { events: 18, duplicates: 3, guilds: 1 });
    assert_eq!(apply(pool, &[messages(2..=35)]).await.events, 0);
    assert_eq!(count(pool).await, 34);
    let counted: Vec<String> =
        sqlx::query_scalar("SELECT counted::text FROM gateway_sequences").fetch_all(pool).await.expect("rows");
    assert_eq!(counted, ["{[2,36)}"], "touching ranges are one");
}

#[tokio::test]
async fn a_range_covers_sequences_that_carried_nothing() {
    let database = database().await;
    let mut quiet = messages(5..=5);
    quiet.range = Some(SeqRange { first: 2, last: 90 });
    apply(database.pool(), &[quiet]).await;
    // What another cut of the same session says about sequence 7 was already known: nothing.
    assert_eq!(apply(database.pool(), &[messages(7..=7)]).await.events, 0);
}

#[tokio::test]
async fn sessions_and_classes_count_for_themselves() {
    let database = database().await;
    let mut other = messages(2..=4);
    other.session_id = "t".to_owned();
    let reaction = event(3, 1, noon(), body(EventKind::ReactionAdd, 5, 7));
    let medium = envelope("s", PriorityClass::Medium, vec![reaction]);
    assert_eq!(apply(database.pool(), &[messages(2..=4), other, medium]).await.events, 7);
}

#[tokio::test]
async fn concurrent_deliveries_of_the_same_messages_count_once() {
    for database in databases().await {
        let pool = database.pool();
        for round in 0..6_u64 {
            let parts: Vec<Envelope> =
                (0..8).map(|part| messages(round * 100 + part * 10 + 2..=round * 100 + part * 10 + 16)).collect();
            let mut backwards = parts.clone();
            backwards.reverse();
            let (front, back) = parts.split_at(4);
            tokio::join!(apply(pool, &parts), apply(pool, &backwards), apply(pool, front), apply(pool, back));
        }
        assert_eq!(count(pool).await, 6 * 85);
    }
}

#[tokio::test]
async fn concurrent_sessions_of_one_guild_agree_about_voice() {
    // Two shard sets side by side, or a session and its successor: each sees some of one member's moves.
    let moves = |session: &str, started: &str, seqs: &[(u64, u64)]| {
        let events = seqs.iter().map(|(seq, channel)| {
            let second = i64::try_from(*seq).expect("small") * 60_000;
            event(*seq, 1, noon().plus_millis(second), body(EventKind::VoiceState, *channel, 7))
        });
        let mut envelope = envelope(session, PriorityClass::High, events.collect());
        envelope.session_started = at(started);
        envelope
    };
    let first: Vec<_> = (2..12).map(|n| moves("a", "2026-05-01T11:00:00Z", &[(2 * n, n % 3)])).collect();
    let second: Vec<_> = (2..12).map(|n| moves("b", "2026-05-01T11:30:00Z", &[(30 + n, n % 2)])).collect();
    let alone = database().await;
    apply(alone.pool(), &first).await;
    apply(alone.pool(), &second).await;
    let together = database().await;
    let one = async {
        for envelope in first.iter().rev() {
            apply(together.pool(), std::slice::from_ref(envelope)).await;
        }
    };
    let other = async {
        for envelope in &second {
            apply(together.pool(), std::slice::from_ref(envelope)).await;
        }
    };
    tokio::join!(one, other);
    assert_eq!(everything(together.pool()).await, everything(alone.pool()).await);
}

#[tokio::test]
async fn what_was_not_committed_was_not_counted() {
    let database = database().await;
    let pool = database.pool();
    let mut db = pool.acquire().await.expect("a connection");
    let mut tx = db.begin().await.expect("begun");
    let batch = messages(2..=40);
    assert_eq!(ingest::apply(&mut tx, &[&batch], NOW).await.expect("counted").events, 39);
    tx.rollback().await.expect("rolled back");
    assert_eq!(count(pool).await, 0);
    assert_eq!(apply(pool, &[batch]).await.events, 39);
    assert_eq!(count(pool).await, 39);
}

#[tokio::test]
async fn refused_data_is_told_apart_and_leaves_nothing() {
    let database = database().await;
    let mut poison = messages(2..=3);
    poison.session_id = "nul\0byte".to_owned();
    let mut db = database.pool().acquire().await.expect("a connection");
    let error = ingest::apply(&mut db, &[&messages(2..=40), &poison], NOW).await.expect_err("refused");
    assert!(error.is_data(), "{error:?}");
    assert_eq!(count(database.pool()).await, 0);
}

#[tokio::test]
async fn raw_events_hold_what_was_sent() {
    for database in databases().await {
        let mut join = event(3, 1, noon(), body(EventKind::MemberJoin, 0, 0));
        join.index = 70;
        apply(database.pool(), &[envelope("s", PriorityClass::High, vec![message(2, noon().plus_millis(1)), join])])
            .await;
        type Row = (i64, i64, Option<i64>, Option<i64>, i64, i32, i16, String);
        let rows: Vec<Row> = sqlx::query_as(
            "SELECT (extract(epoch FROM ts) * 1000)::bigint, guild_id, channel_id, user_id, events.seq, idx, kind,
                 session_id FROM events JOIN gateway_sequences ON source_id = id ORDER BY events.seq",
        )
        .fetch_all(database.pool())
        .await
        .expect("rows");
        let instant = noon().as_millis();
        let expected = [
            (instant + 1, 1, Some(5), Some(7), 2, 0, 1, "s".to_owned()),
            (instant, 1, None, None, 3, 70, 8, "s".to_owned()),
        ];
        assert_eq!(rows, expected);
    }
}

#[tokio::test]
async fn gauges_and_gaps_are_applied_without_a_range_and_in_any_order() {
    for database in databases().await {
        let pool = database.pool();
        let gauges = |members, in_voice| {
            let mut envelope = envelope("s", PriorityClass::Low, vec![]);
            envelope.gauges = vec![GuildGauges { guild: guild(1), slot: noon(), members, online: None, in_voice }];
            envelope
        };
        let gap = |after_seq, from, to| {
            let mut envelope = envelope("t", PriorityClass::Critical, vec![]);
            let lost_session = "s".to_owned();
            envelope.gaps = vec![CoverageGap { lost_session, after_seq, from: at(from), to: at(to) }];
            envelope
        };
        let early = gap(9, "2026-05-01T10:00:00Z", "2026-05-01T10:20:00Z");
        let late = gap(4, "2026-05-01T10:10:00Z", "2026-05-01T10:30:00Z");
        apply(pool, &[gauges(Some(12), 3), late.clone(), gauges(None, 5)]).await;
        apply(pool, &[early]).await;
        let before = everything(pool).await;
        assert_eq!(apply(pool, &[gauges(None, 5), gauges(Some(12), 3), late]).await.guilds, 0);
        assert_eq!(everything(pool).await, before);
        let mut db = pool.acquire().await.expect("a connection");
        let latest = stats::latest_gauges(&mut db, guild(1)).await.expect("asked").expect("gauges");
        assert_eq!((latest.slot, latest.members, latest.online, latest.in_voice), (noon(), Some(12), None, 5));
        let span = guildhall_domain::Span { start: at("2026-05-01T10:29:00Z"), end: noon() };
        let gaps = stats::coverage_gaps(&mut db, guild(1), span).await.expect("gaps");
        assert_eq!(gaps, [stats::Gap { from: at("2026-05-01T10:00:00Z"), to: at("2026-05-01T10:30:00Z") }]);
        let after = guildhall_domain::Span { start: at("2026-05-01T10:30:00Z"), end: noon() };
        assert_eq!(stats::coverage_gaps(&mut db, guild(1), after).await.expect("gaps"), []);
    }
}

#[tokio::test]
async fn whether_the_bot_left_does_not_depend_on_the_order_of_delivery() {
    let create = |seq, instant| {
        envelope("s", PriorityClass::Critical, vec![event(seq, 1, instant, body(EventKind::GuildCreate, 0, 0))])
    };
    let delete = |seq, instant| {
        envelope("s", PriorityClass::Critical, vec![event(seq, 1, instant, body(EventKind::GuildDelete, 0, 0))])
    };
    let later = noon().plus_millis(60_000);
    for (batch, left) in [
        ([create(2, noon()), delete(3, later)], true),
        ([delete(3, later), create(2, noon())], true),
        ([create(3, later), delete(2, noon())], false),
        ([delete(2, noon()), create(3, later)], false),
    ] {
        let database = database().await;
        for envelope in batch {
            apply(database.pool(), &[envelope]).await;
        }
        let rows: Vec<bool> = sqlx::query_scalar("SELECT left_at IS NOT NULL FROM guilds")
            .fetch_all(database.pool())
            .await
            .expect("rows");
        assert_eq!(rows, [left]);
    }
}

#[tokio::test]
async fn days_are_the_guilds_own_at_the_instant_of_the_event() {
    let database = database().await;
    let pool = database.pool();
    let mut db = pool.acquire().await.expect("a connection");
    let kathmandu = GuildSettings { time_zone: "Asia/Kathmandu".parse().expect("a zone"), ..GuildSettings::default() };
    let since = at("2026-05-02T00:00:00Z");
    settings::save(&mut db, guild(1), &kathmandu, None, user(9), since).await.expect("saved");
    let instants = [
        // Before the choice: UTC. It is counted after the choice all the same.
        "2026-05-01T23:00:00Z",
        // 23:59:59 and 00:00:00 in Kathmandu.
        "2026-05-02T18:14:59Z",
        "2026-05-02T18:15:00Z",
    ];
    let events = (2..).zip(instants).map(|(seq, instant)| message(seq, at(instant))).collect();
    apply(pool, &[envelope("s", PriorityClass::High, events)]).await;
    let days: Vec<(String, i64)> =
        sqlx::query_as("SELECT day::text, count FROM member_days ORDER BY day").fetch_all(pool).await.expect("rows");
    assert_eq!(days, [("2026-05-01".to_owned(), 1), ("2026-05-02".to_owned(), 1), ("2026-05-03".to_owned(), 1)]);
}

#[tokio::test]
async fn every_class_map_counts_and_a_session_keeps_its_own() {
    let database = database().await;
    let pool = database.pool();
    let of_map = |session: &str, class_map, seqs| {
        let mut envelope = messages(seqs);
        envelope.session_id = session.to_owned();
        Envelope { class_map, ..envelope }
    };
    // Before and after a deployment that changed the map, whichever arrives first.
    apply(pool, &[of_map("after", 9, 2..=3), of_map("before", 1, 2..=3)]).await;
    apply(pool, &[of_map("before", 1, 4..=9), of_map("after", 9, 4..=9)]).await;
    let changed = of_map("before", 9, 10..=12);
    let mut db = pool.acquire().await.expect("a connection");
    let error = ingest::apply(&mut db, &[&changed], NOW).await.expect_err("two maps in one session");
    assert!(error.is_data(), "{error:?}");
    assert_eq!(database.number("SELECT sum(count)::bigint FROM guild_quarters").await, 16);
}

#[test]
fn what_cannot_be_counted_is_refused_beforehand() {
    let good = messages(2..=3);
    assert_eq!(ingest::check(&good, NOW), Ok(()));
    let no_map = Envelope { class_map: 0, ..good.clone() };
    assert_eq!(ingest::check(&no_map, NOW), Err(Unacceptable::ClassMap));
    // PostgreSQL has no NUL in texts.
    for id in [String::new(), "s\0".to_owned(), "s".repeat(129)] {
        let session = Envelope { session_id: id.clone(), ..good.clone() };
        assert_eq!(ingest::check(&session, NOW), Err(Unacceptable::Session));
        let gap = CoverageGap { lost_session: id, after_seq: 1, from: NOW, to: NOW };
        assert_eq!(ingest::check(&Envelope { gaps: vec![gap], ..good.clone() }, NOW), Err(Unacceptable::Session));
    }
    let gap = CoverageGap { lost_session: "old".to_owned(), after_seq: 1, from: NOW, to: NOW };
    let many = Envelope { gaps: vec![gap; 1_001], ..good.clone() };
    assert_eq!(ingest::check(&many, NOW), Err(Unacceptable::Size));
    let shard = Envelope { shard: ShardId { id: 1, count: 1 }, ..good.clone() };
    assert_eq!(ingest::check(&shard, NOW), Err(Unacceptable::Shard));
    for instant in [at("2014-12-31T23:59:59Z"), NOW.plus_millis(86_400_001), Timestamp::from_millis(i64::MAX)] {
        let impossible = Envelope { events: vec![message(2, instant)], ..good.clone() };
        assert_eq!(ingest::check(&impossible, NOW), Err(Unacceptable::Instant));
    }
    let ahead = Envelope { events: vec![message(2, NOW.plus_millis(60_000))], ..good };
    assert_eq!(ingest::check(&ahead, NOW), Ok(()), "clocks differ");
}
