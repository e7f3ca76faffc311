//! The real binary under a local Lambda runtime.

use guildhall_domain::{ChannelId, EventKind, GuildId, PriorityClass, ShardId, Timestamp, UserId};
use guildhall_store::{MIGRATOR, ingest};
use guildhall_test_kit::LambdaHost;
use guildhall_test_kit::postgres::TestDatabase;
use guildhall_wire::{Envelope, Event, EventBody, SeqRange};
use serde_json::{Value, json};

/// Older than raw events are kept, whatever the binary's clock says.
const LONG_AGO: Timestamp = Timestamp::from_secs(1_700_000_000);

fn two_messages() -> Envelope {
    let body = EventBody::Count {
        kind: EventKind::MessageCreate,
        channel: ChannelId::new(5),
        member: UserId::new(7),
        target: None,
    };
    let guild = GuildId::new(1).expect("an id");
    Envelope {
        shard: ShardId { id: 0, count: 1 },
        session_id: "s".to_owned(),
        session_started: LONG_AGO,
        class: PriorityClass::High,
        class_map: 1,
        range: Some(SeqRange { first: 2, last: 3 }),
        events: (2..=3).map(|seq| Event { seq, index: 0, guild, at: LONG_AGO, body }).collect(),
        gauges: Vec::new(),
        gaps: Vec::new(),
    }
}

#[tokio::test]
async fn the_binary_reports_what_a_tick_did() {
    let database = TestDatabase::create(&MIGRATOR).await;
    let mut db = database.pool().acquire().await.unwrap();
    ingest::apply(&mut db, &[&two_messages()], LONG_AGO).await.unwrap();
    let payload: Value = serde_json::from_str(include_str!("../../../infra/events/stats-rollup.json")).unwrap();
    let environment = [("DATABASE_URL", database.url().to_owned())];
    let host = LambdaHost::start(env!("CARGO_BIN_EXE_stats-rollup"), &environment).await.unwrap();

    let report = host.invoke(&payload).await.unwrap();

    let removed = json!({
        "chunks": 0, "rows": 2, "sequences": 1, "voice": 0, "interactions": 0, "jobs": 0, "cut_short": false
    });
    assert_eq!(report, json!({ "removed": removed, "refreshed": { "hours": 1, "days": 1 }, "left": 0 }));
    assert_eq!(database.number("SELECT sum(messages)::bigint FROM metrics_snapshots").await, 4);
}
