//! The handler on a real database.

use std::time::Duration;

use guildhall_domain::{ChannelId, Clock, EventKind, GuildId, PriorityClass, ShardId, Timestamp, UserId};
use guildhall_runtime::Environment;
use guildhall_stats_rollup::{BATCH_HOURS, Deps, Report, handle};
use guildhall_store::rollup::{Refreshed, Removed};
use guildhall_store::{MIGRATOR, ingest};
use guildhall_test_kit::TestDatabase;
use guildhall_wire::{Envelope, Event, EventBody, SeqRange};

const NOW: Timestamp = Timestamp::from_secs(1_780_000_000);
const HOUR: i64 = 3_600_000;

fn hourly_messages(hours: u64) -> Envelope {
    let body = EventBody::Count {
        kind: EventKind::MessageCreate,
        channel: ChannelId::new(5),
        member: UserId::new(7),
        target: None,
    };
    let guild = GuildId::new(1).expect("an id");
    let at = |seq: u64| NOW.plus_millis(-HOUR * i64::try_from(seq).expect("small"));
    Envelope {
        shard: ShardId { id: 0, count: 1 },
        session_id: "s".to_owned(),
        session_started: NOW,
        class: PriorityClass::High,
        class_map: 1,
        range: Some(SeqRange { first: 1, last: hours }),
        events: (1..=hours).map(|seq| Event { seq, index: 0, guild, at: at(seq), body }).collect(),
        gauges: Vec::new(),
        gaps: Vec::new(),
    }
}

#[tokio::test]
async fn a_run_renews_every_snapshot_and_ends_what_is_old() {
    let database = TestDatabase::create(&MIGRATOR).await;
    let environment = Environment::from_pairs([("DATABASE_URL", database.url())]);
    let deps = Deps::from_environment(&environment, Clock::fixed(NOW)).expect("it starts");
    let hours = BATCH_HOURS.unsigned_abs() * 4;
    let mut db = database.pool().acquire().await.expect("a connection");
    ingest::apply(&mut db, &[&hourly_messages(hours)], NOW).await.expect("counted");

    let report = handle(&deps).await.expect("a report");
    assert_eq!((report.refreshed.hours, report.left), (hours, 0));
    let old = hours - 30 * 24;
    assert_eq!(report.removed, Removed { rows: old, ..Removed::default() });
    for (query, expected) in [
        ("SELECT count(*) FROM metrics_snapshots WHERE period = 'hour'", hours),
        ("SELECT sum(messages)::bigint FROM metrics_snapshots WHERE period = 'hour'", hours),
        ("SELECT sum(messages)::bigint FROM metrics_snapshots WHERE period = 'day'", hours),
    ] {
        assert_eq!(database.number(query).await.unsigned_abs(), expected, "{query}");
    }

    let again = handle(&deps).await.expect("a report");
    assert_eq!((again.refreshed, again.removed, again.left), (Refreshed::default(), Removed::default(), 0));
}

#[tokio::test]
async fn a_run_out_of_time_says_what_is_left() {
    let database = TestDatabase::create(&MIGRATOR).await;
    let mut db = database.pool().acquire().await.expect("a connection");
    ingest::apply(&mut db, &[&hourly_messages(9)], NOW).await.expect("counted");
    let deps = Deps::new(database.pool().clone(), Clock::fixed(NOW)).with_budget(Duration::ZERO);
    let report = handle(&deps).await.expect("a report");
    let removed = Removed { cut_short: true, ..Removed::default() };
    assert_eq!(report, Report { removed, refreshed: Refreshed::default(), left: 9 });
}

#[tokio::test]
async fn a_run_without_a_database_fails() {
    let environment = Environment::from_pairs([("DATABASE_URL", "postgres://postgres@127.0.0.1:1/none")]);
    let deps = Deps::from_environment(&environment, Clock::fixed(NOW)).expect("it starts");
    assert!(handle(&deps).await.is_err());
}
