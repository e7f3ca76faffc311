//! The handler on a real database, with messages as SQS delivers them.

use std::time::Duration;

use guildhall_domain::{ChannelId, Clock, EventKind, GuildId, PriorityClass, ShardId, Timestamp, UserId};
use guildhall_runtime::{Delivery, Environment, Failure, Verdict};
use guildhall_stats_ingest::{Deps, MAX_EVENTS, StartError, handle};
use guildhall_store::{Connection as _, MIGRATOR, audit};
use guildhall_test_kit::TestDatabase;
use guildhall_wire::{Envelope, Event, EventBody, SeqRange, encode};

const NOW: Timestamp = Timestamp::from_secs(1_780_000_000);

async fn deps(database: &TestDatabase) -> Deps {
    let environment = Environment::from_pairs([("DATABASE_URL", database.url())]);
    Deps::from_environment(&environment, Clock::fixed(NOW)).expect("it starts")
}

/// Messages by member 7, with these sequences.
fn envelope(session: &str, seqs: std::ops::RangeInclusive<u64>) -> Envelope {
    let guild = GuildId::new(1).expect("an id");
    let body = EventBody::Count {
        kind: EventKind::MessageCreate,
        channel: ChannelId::new(5),
        member: UserId::new(7),
        target: None,
    };
    Envelope {
        shard: ShardId { id: 0, count: 1 },
        session_id: session.to_owned(),
        session_started: NOW.plus_millis(-60_000),
        class: PriorityClass::High,
        class_map: 1,
        range: Some(SeqRange { first: *seqs.start(), last: *seqs.end() }),
        events: seqs.map(|seq| Event { seq, index: 0, guild, at: NOW.plus_millis(-1_000), body }).collect(),
        gauges: Vec::new(),
        gaps: Vec::new(),
    }
}

fn delivery(id: &str, body: String) -> Delivery {
    Delivery { message_id: id.to_owned(), body, receive_count: 1 }
}

async fn counted(database: &TestDatabase) -> u64 {
    let mut db = database.pool().acquire().await.expect("a connection");
    audit::counts(&mut db).await.expect("the books").iter().map(|row| row.count).sum()
}

fn verdicts(failures: &[Failure]) -> Vec<(&str, Verdict)> {
    let mut verdicts: Vec<_> = failures.iter().map(|failure| (failure.message_id.as_str(), failure.verdict)).collect();
    verdicts.sort_by_key(|(id, _)| *id);
    verdicts
}

#[tokio::test]
async fn messages_are_counted_however_often_they_come() {
    for pooler in ["", "1"] {
        let database = TestDatabase::create(&MIGRATOR).await;
        let variables = [("DATABASE_URL", database.url()), ("DATABASE_TRANSACTION_POOLER", pooler)];
        let environment = Environment::from_pairs(variables);
        let deps = Deps::from_environment(&environment, Clock::fixed(NOW)).expect("it starts");
        let batch =
            || vec![delivery("a", encode(&envelope("s", 2..=50))), delivery("b", encode(&envelope("s", 40..=90)))];
        assert!(handle(&deps, batch()).await.is_empty());
        assert!(handle(&deps, batch()).await.is_empty());
        assert_eq!(counted(&database).await, 89);
    }
}

#[tokio::test]
async fn a_batch_beyond_one_transaction_is_counted_whole() {
    let database = TestDatabase::create(&MIGRATOR).await;
    let deps = deps(&database).await;
    let events = MAX_EVENTS as u64 * 5 / 2;
    let batch = (0..events / 100)
        .map(|part| delivery(&part.to_string(), encode(&envelope("s", part * 100 + 1..=part * 100 + 100))))
        .collect();
    assert!(handle(&deps, batch).await.is_empty());
    assert_eq!(counted(&database).await, events);
}

#[tokio::test]
async fn each_failing_message_fails_alone_and_says_whether_to_retry() {
    let database = TestDatabase::create(&MIGRATOR).await;
    let deps = deps(&database).await;
    let good = encode(&envelope("s", 2..=3));
    let mut damaged = encode(&envelope("s", 4..=5)).into_bytes();
    let last = damaged.len() - 6;
    damaged[last] = if damaged[last] == b'A' { b'B' } else { b'A' };
    let damaged = String::from_utf8(damaged).expect("still text");
    let no_map = Envelope { class_map: 0, ..envelope("s", 6..=7) };
    // Readable, acceptable, and refused where it is to be stored: its session began under another map.
    let known = delivery("known", encode(&envelope("other", 2..=3)));
    assert!(handle(&deps, vec![known]).await.is_empty());
    let poison = encode(&Envelope { class_map: 9, ..envelope("other", 4..=5) });
    let more =
        (0..7).map(|part| delivery(&format!("good {part}"), encode(&envelope("t", part * 10 + 1..=part * 10 + 10))));
    let mut batch = vec![
        delivery("good", good),
        delivery("damaged", damaged),
        delivery("malformed", "hello".to_owned()),
        delivery("no map", encode(&no_map)),
    ];
    batch.extend(more);
    batch.insert(7, delivery("poison", poison));
    let failures = handle(&deps, batch).await;
    let expected = [
        ("damaged", Verdict::Retry),
        ("malformed", Verdict::Fail),
        ("no map", Verdict::Fail),
        ("poison", Verdict::Fail),
    ];
    assert_eq!(verdicts(&failures), expected);
    assert_eq!(counted(&database).await, 2 + 2 + 70);
    // What was damaged comes again whole.
    assert!(handle(&deps, vec![delivery("damaged", encode(&envelope("s", 4..=5)))]).await.is_empty());
    assert_eq!(counted(&database).await, 2 + 4 + 70);
}

/// A server that is too slow or too small for the whole batch still gets through it, in parts.
#[tokio::test]
async fn what_is_too_much_at_once_is_counted_in_parts() {
    let database = TestDatabase::create(&MIGRATOR).await;
    let deps = deps(&database).await;
    database
        .execute(
            "CREATE FUNCTION refuse_many() RETURNS trigger LANGUAGE plpgsql AS $$
             BEGIN
                 IF (SELECT count(*) FROM added) > 20 THEN
                     RAISE EXCEPTION 'too many at once' USING ERRCODE = '54000';
                 END IF;
                 RETURN NULL;
             END $$;
             CREATE TRIGGER refuse_many AFTER INSERT ON events REFERENCING NEW TABLE AS added
                 FOR EACH STATEMENT EXECUTE FUNCTION refuse_many();",
        )
        .await;
    let message = |part: u64| delivery(&part.to_string(), encode(&envelope("s", part * 10 + 1..=part * 10 + 10)));
    let failures = handle(&deps, (0..9).map(message).collect()).await;
    assert_eq!(verdicts(&failures), []);
    assert_eq!(counted(&database).await, 90);
    // What is too much by itself is tried again, whole, when the server may have recovered.
    let large = delivery("large", encode(&envelope("s", 101..=130)));
    let failures = handle(&deps, vec![large, message(20)]).await;
    assert_eq!(verdicts(&failures), [("large", Verdict::Retry)]);
    assert_eq!(counted(&database).await, 100);
}

/// A tenth is poison of the worst kind, which only the database finds: each has to be found among the others.
#[tokio::test]
async fn a_tenth_of_poison_holds_up_nobody() {
    const MESSAGES: u64 = 400;
    let database = TestDatabase::create(&MIGRATOR).await;
    let deps = deps(&database).await;
    assert!(handle(&deps, vec![delivery("known", encode(&envelope("other", 2..=3)))]).await.is_empty());
    let batch: Vec<_> = (0..MESSAGES)
        .map(|number| {
            let id = number.to_string();
            if number % 10 == 3 {
                return delivery(&id, encode(&Envelope { class_map: 9, ..envelope("other", number..=number) }));
            }
            delivery(&id, encode(&envelope("s", number * 10 + 1..=number * 10 + 10)))
        })
        .collect();
    let began = tokio::time::Instant::now();
    let failures = handle(&deps, batch).await;
    let took = began.elapsed();
    assert_eq!(failures.len() as u64, MESSAGES / 10);
    assert!(failures.iter().all(|failure| failure.verdict == Verdict::Fail && failure.message_id.ends_with('3')));
    assert_eq!(counted(&database).await, 2 + MESSAGES / 10 * 9 * 10);
    assert!(took < Duration::from_secs(25), "{took:?}");
}

/// The function before this one was frozen, in the one place where the server waits for its client without any limit.
#[tokio::test]
async fn a_frozen_function_in_the_middle_of_a_copy_keeps_the_others_waiting_for_seconds_only() {
    let database = TestDatabase::create(&MIGRATOR).await;
    let deps = deps(&database).await;
    assert!(handle(&deps, vec![delivery("a", encode(&envelope("s", 2..=3)))]).await.is_empty());
    let mut frozen = database.pool().acquire().await.expect("a connection");
    let mut transaction = frozen.begin().await.expect("begun");
    guildhall_store::ingest::apply(&mut transaction, &[&envelope("s", 4..=5)], NOW).await.expect("counted");
    let copy = transaction
        .copy_in_raw("COPY events (ts, guild_id, source_id, seq, idx, shard_id, kind) FROM STDIN (FORMAT binary)")
        .await
        .expect("waits for data");
    let began = tokio::time::Instant::now();
    assert!(handle(&deps, vec![delivery("b", encode(&envelope("s", 6..=9)))]).await.is_empty());
    let took = began.elapsed();
    assert!(took < Duration::from_secs(20), "{took:?}");
    assert_eq!(counted(&database).await, 2 + 4, "what the frozen one did not commit is not counted");
    assert!(copy.finish().await.is_err(), "it is told that its connection was ended");
}

#[tokio::test]
async fn without_a_database_every_message_is_delivered_again() {
    let database = TestDatabase::create(&MIGRATOR).await;
    // Nothing listens there; the function starts all the same.
    let away = Environment::from_pairs([("DATABASE_URL", "postgres://postgres@127.0.0.1:1/none")]);
    let deps_away = Deps::from_environment(&away, Clock::fixed(NOW)).expect("it starts");
    let batch = || vec![delivery("a", encode(&envelope("s", 2..=3))), delivery("b", encode(&envelope("s", 4..=5)))];
    let failures = handle(&deps_away, batch()).await;
    assert_eq!(verdicts(&failures), [("a", Verdict::Retry), ("b", Verdict::Retry)]);
    assert!(handle(&deps(&database).await, batch()).await.is_empty());
    assert_eq!(counted(&database).await, 4);
}

#[tokio::test]
async fn a_lost_connection_is_replaced() {
    let database = TestDatabase::create(&MIGRATOR).await;
    let deps = deps(&database).await;
    assert!(handle(&deps, vec![delivery("a", encode(&envelope("s", 2..=3)))]).await.is_empty());
    let ended = database
        .number(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
             WHERE datname = current_database() AND pid <> pg_backend_pid() AND application_name = 'guildhall'",
        )
        .await;
    assert_eq!(ended, 1);
    // The first call may still meet the dead connection; the queue delivers again what it could not count.
    let batch = || vec![delivery("b", encode(&envelope("s", 4..=5)))];
    for failure in handle(&deps, batch()).await {
        assert_eq!(failure.verdict, Verdict::Retry);
    }
    assert!(handle(&deps, batch()).await.is_empty());
    assert_eq!(counted(&database).await, 4);
}

#[tokio::test]
async fn the_address_is_required_and_never_repeated() {
    let missing = Deps::from_environment(&Environment::default(), Clock::fixed(NOW)).err().expect("it does not start");
    assert!(matches!(missing, StartError::Config(_)));
    let wrong = Environment::from_pairs([("DATABASE_URL", "hunter2")]);
    let wrong = Deps::from_environment(&wrong, Clock::fixed(NOW)).err().expect("it does not start");
    assert!(!guildhall_runtime::telemetry::chain(&wrong).contains("hunter2"));
}
