//! Snapshots follow their counters; what is old goes, and nothing else.

use std::time::Duration;

use guildhall_domain::{EventKind, GuildSettings, PriorityClass, Timestamp};
use guildhall_store::rollup::{self, Refreshed};
use guildhall_store::{Connection as _, PgPool, ingest, settings};
use guildhall_test_kit::until;
use guildhall_wire::{Envelope, GuildGauges};

use crate::support::{NOW, apply, at, body, database, databases, envelope, event, guild, message, user};

async fn refresh(pool: &PgPool) -> Refreshed {
    let mut db = pool.acquire().await.expect("a connection");
    rollup::refresh(&mut db, at("2026-05-03T00:00:00Z"), 1_000).await.expect("refreshed")
}

/// Period, start, messages, seconds in voice, active members, members.
type Row<Start> = (String, Start, i64, i64, Option<i64>, Option<i32>);
type Snapshot = Row<Timestamp>;

async fn snapshots(pool: &PgPool) -> Vec<Snapshot> {
    let rows: Vec<Row<i64>> = sqlx::query_as(
        "SELECT period, (extract(epoch FROM bucket) * 1000)::bigint, messages, voice_seconds, active_members,
             member_count FROM metrics_snapshots ORDER BY period, bucket",
    )
    .fetch_all(pool)
    .await
    .expect("rows");
    rows.into_iter().map(|row| (row.0, Timestamp::from_millis(row.1), row.2, row.3, row.4, row.5)).collect()
}

fn sent(seq: u64, instants: &[&str]) -> Envelope {
    let events = (seq..).zip(instants).map(|(seq, instant)| message(seq, at(instant))).collect();
    envelope("s", PriorityClass::High, events)
}

fn snapshot(period: &str, start: &str, messages: i64, active: i64) -> Snapshot {
    (period.to_owned(), at(start), messages, 0, Some(active), None)
}

#[tokio::test]
async fn hours_are_utc_and_days_are_the_guilds() {
    for database in databases().await {
        let pool = database.pool();
        let mut db = pool.acquire().await.expect("a connection");
        let zone = GuildSettings { time_zone: "Asia/Kathmandu".parse().expect("a zone"), ..GuildSettings::default() };
        let early = at("2026-01-01T00:00:00Z");
        settings::save(&mut db, guild(1), &zone, None, user(9), early).await.expect("saved");
        // Midnight is at 18:15, in the middle of an hour.
        apply(pool, &[sent(2, &["2026-05-01T18:10:00Z", "2026-05-01T18:20:00Z", "2026-05-01T19:00:00Z"])]).await;
        assert_eq!(refresh(pool).await, Refreshed { hours: 2, days: 2 });
        let expected = [
            snapshot("day", "2026-04-30T18:15:00Z", 1, 1),
            snapshot("day", "2026-05-01T18:15:00Z", 2, 1),
            snapshot("hour", "2026-05-01T18:00:00Z", 2, 1),
            snapshot("hour", "2026-05-01T19:00:00Z", 1, 1),
        ];
        assert_eq!(snapshots(pool).await, expected);
        assert_eq!(refresh(pool).await, Refreshed::default(), "nothing changed since");
    }
}

#[tokio::test]
async fn what_comes_late_renews_its_hour_and_its_day() {
    for database in databases().await {
        let pool = database.pool();
        apply(pool, &[sent(2, &["2026-05-01T10:00:00Z"])]).await;
        refresh(pool).await;
        let enter = event(4, 1, at("2026-05-01T09:30:00Z"), body(EventKind::VoiceState, 6, 8));
        let leave = event(5, 1, at("2026-05-01T10:20:00Z"), body(EventKind::VoiceState, 0, 8));
        let mut gauges = envelope("s", PriorityClass::Low, vec![]);
        let slot = at("2026-05-01T10:55:00Z");
        gauges.gauges = vec![GuildGauges { guild: guild(1), slot, members: Some(42), online: Some(7), in_voice: 1 }];
        apply(
            pool,
            &[sent(3, &["2026-05-01T10:59:59Z"]), envelope("s", PriorityClass::High, vec![enter, leave]), gauges],
        )
        .await;
        assert_eq!(refresh(pool).await, Refreshed { hours: 2, days: 1 });
        let expected = [
            ("day".to_owned(), at("2026-05-01T00:00:00Z"), 2, 3_000, Some(2), Some(42)),
            ("hour".to_owned(), at("2026-05-01T09:00:00Z"), 0, 1_800, Some(1), None),
            ("hour".to_owned(), at("2026-05-01T10:00:00Z"), 2, 1_200, Some(2), Some(42)),
        ];
        assert_eq!(snapshots(pool).await, expected);
        let data: serde_json::Value = sqlx::query_scalar("SELECT data FROM metrics_snapshots WHERE period = 'day'")
            .fetch_one(pool)
            .await
            .expect("a row");
        assert_eq!(data, serde_json::json!({ "message_create": 2, "voice_state": 2, "voice_millis": 3_000_000 }));
    }
}

#[tokio::test]
async fn an_event_counted_while_its_hour_is_read_marks_the_hour_again() {
    let database = database().await;
    let pool = database.pool();
    apply(pool, &[sent(2, &["2026-05-01T10:00:00Z"])]).await;
    let mut db = pool.acquire().await.expect("a connection");
    let mut rollup = db.begin().await.expect("begun");
    // Where a rollup is between choosing its hours and being done with them.
    sqlx::query("SELECT FROM dirty_hours FOR UPDATE").execute(&mut *rollup).await.expect("locked");
    let late = [sent(3, &["2026-05-01T10:30:00Z"])];
    let ingest = apply(pool, &late);
    let commit = async {
        // Ingest has done all but the mark, for which it waits.
        until("ingest waits for the rollup", Duration::from_secs(20), || async {
            let waiting: i64 = sqlx::query_scalar(
                "SELECT count(*) FROM pg_stat_activity
                 WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE '%dirty_hours%'",
            )
            .fetch_one(pool)
            .await
            .expect("a number");
            (waiting == 1).then_some(())
        })
        .await;
        rollup::refresh(&mut rollup, NOW, 10).await.expect("refreshed");
        rollup.commit().await.expect("committed");
    };
    tokio::join!(ingest, commit);
    assert_eq!(refresh(pool).await, Refreshed { hours: 1, days: 1 });
    assert_eq!(snapshots(pool).await[1].2, 2);
}

#[tokio::test]
async fn two_rollups_share_the_work() {
    let database = database().await;
    let pool = database.pool();
    apply(pool, &[sent(2, &["2026-05-01T10:00:00Z", "2026-05-01T11:00:00Z"])]).await;
    let mut one = pool.acquire().await.expect("a connection");
    let mut other = pool.acquire().await.expect("a connection");
    let mut first = one.begin().await.expect("begun");
    let mut second = other.begin().await.expect("begun");
    assert_eq!(rollup::refresh(&mut first, NOW, 1).await.expect("refreshed").hours, 1);
    let mine: i64 = sqlx::query_scalar("SELECT count(*) FROM (SELECT FROM dirty_hours FOR UPDATE SKIP LOCKED) free")
        .fetch_one(&mut *second)
        .await
        .expect("a number");
    assert_eq!(mine, 1, "the other hour is free");
}

#[tokio::test]
async fn of_a_day_that_two_rollups_copy_the_later_copy_is_the_newer() {
    let database = database().await;
    let pool = database.pool();
    apply(pool, &[sent(2, &["2026-05-01T10:00:00Z", "2026-05-01T11:00:00Z"])]).await;
    let mut db = pool.acquire().await.expect("a connection");
    let mut first = db.begin().await.expect("begun");
    assert_eq!(rollup::refresh(&mut first, NOW, 1).await.expect("refreshed").hours, 1);
    let commit = async {
        until("the second rollup waits before it reads", Duration::from_secs(20), || async {
            let waiting: i64 = sqlx::query_scalar(
                "SELECT count(*) FROM pg_stat_activity
                 WHERE datname = current_database() AND wait_event_type = 'Lock' AND wait_event = 'advisory'",
            )
            .fetch_one(pool)
            .await
            .expect("a number");
            (waiting == 1).then_some(())
        })
        .await;
        apply(pool, &[sent(4, &["2026-05-01T12:00:00Z"])]).await;
        first.commit().await.expect("committed");
    };
    let (second, ()) = tokio::join!(refresh(pool), commit);
    assert_eq!(second, Refreshed { hours: 1, days: 1 });
    assert_eq!(snapshots(pool).await[0], snapshot("day", "2026-05-01T00:00:00Z", 3, 1));
}

#[tokio::test]
async fn the_oldest_marks_come_first() {
    let database = database().await;
    let pool = database.pool();
    let mut db = pool.acquire().await.expect("a connection");
    // The guild and the hour that would sort first are marked last.
    for (guild, instant, minutes) in
        [(2, "2026-05-01T12:00:00Z", 0), (2, "2026-05-01T11:00:00Z", 1), (1, "2026-05-01T10:00:00Z", 2)]
    {
        let seq = 2 + i64::unsigned_abs(minutes);
        let event = event(seq, guild, at(instant), body(EventKind::MessageCreate, 5, 7));
        let marked = NOW.plus_millis(minutes * 60_000);
        ingest::apply(&mut db, &[&envelope("s", PriorityClass::High, vec![event])], marked).await.expect("counted");
    }
    for expected in [(2, 11), (1, 10)] {
        rollup::refresh(&mut db, NOW, 1).await.expect("refreshed");
        let next: (i64, i32) = sqlx::query_as(
            "SELECT guild_id, extract(hour FROM hour AT TIME ZONE 'UTC')::integer FROM dirty_hours
             ORDER BY marked_at LIMIT 1",
        )
        .fetch_one(pool)
        .await
        .expect("a row");
        assert_eq!(next, expected);
    }
    assert_eq!(rollup::left(&mut db).await.expect("a number"), 1);
}

#[tokio::test]
async fn going_into_a_channel_never_outlives_coming_out_of_it() {
    let database = database().await;
    let pool = database.pool();
    // Where the rows lie says nothing about their age: the latest lie first.
    sqlx::query(
        "INSERT INTO voice_transitions
         SELECT 1, 7, $1, 's', seq, 0, $1 + seq * interval '1 second', CASE WHEN seq % 2 = 1 THEN 5 END, 'UTC',
             CASE WHEN seq % 2 = 1 THEN $1 + (seq + 1) * interval '1 second' END
         FROM generate_series(20001, 1, -1) seq",
    )
    .bind(at("2026-01-01T00:00:00Z").to_utc())
    .execute(pool)
    .await
    .expect("inserted");
    let mut db = pool.acquire().await.expect("a connection");
    let mut asked = 0;
    // Four kinds of rows come before those of voice, of which one batch goes.
    let go_on = || {
        asked += 1;
        asked <= 5
    };
    let removed = rollup::retain(&mut db, NOW, go_on).await.expect("removed");
    assert_eq!((removed.voice, removed.cut_short), (10_000, true));
    let (first, last): (i64, i64) =
        sqlx::query_as("SELECT min(seq), max(seq) FROM voice_transitions").fetch_one(pool).await.expect("a row");
    assert_eq!((first, last), (10_001, 20_001), "the oldest went");
}

#[tokio::test]
async fn a_table_that_is_no_hypertable_loses_rows_where_the_extension_is() {
    for database in databases().await {
        let pool = database.pool();
        sqlx::raw_sql("CREATE TABLE plain (LIKE events); DROP TABLE events; ALTER TABLE plain RENAME TO events")
            .execute(pool)
            .await
            .expect("replaced");
        apply(pool, &[sent(2, &["2026-05-01T10:00:00Z"])]).await;
        let mut db = pool.acquire().await.expect("a connection");
        let removed = rollup::retain(&mut db, NOW, || true).await.expect("removed");
        assert_eq!(removed.rows, 1);
    }
}

#[tokio::test]
async fn what_is_old_goes_and_nothing_else() {
    for database in databases().await {
        let pool = database.pool();
        let now = at("2026-11-20T12:00:00Z");
        let days = |days: i64| now.plus_millis(-days * 86_400_000);
        let text = |at: Timestamp| at.to_string();
        let voice = |seq, instant, place| event(seq, 1, instant, body(EventKind::VoiceState, place, 7));
        let old = [message(2, days(40)), voice(3, days(70), 6), voice(4, days(69), 0), voice(5, days(68), 6)];
        apply(pool, &[envelope("old", PriorityClass::High, old.to_vec())]).await;
        apply(pool, &[envelope("new", PriorityClass::High, vec![message(2, days(3))])]).await;
        let mut gauges = envelope("new", PriorityClass::Low, vec![]);
        gauges.gauges = [40, 2]
            .map(|age| GuildGauges { guild: guild(1), slot: days(age), members: None, online: None, in_voice: 0 })
            .to_vec();
        apply(pool, &[gauges]).await;
        let statements = format!(
            "INSERT INTO metrics_snapshots SELECT 1, 'day', at, 1, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, '{{}}'
                 FROM unnest(ARRAY['{0}', '{1}']::timestamptz[]) at;
             INSERT INTO interactions_seen VALUES (1, '{2}'), (2, '{3}');
             INSERT INTO jobs VALUES (1, 1, '{4}', '{4}', '{4}'), (2, 1, '{3}', '{3}', NULL);
             UPDATE gateway_sequences SET updated_at = CASE session_id WHEN 'old' THEN '{5}' ELSE '{3}' END::timestamptz",
            text(days(400)), text(days(300)), text(days(2)), text(days(0)), text(days(8)), text(days(61)),
        );
        sqlx::raw_sql(sqlx::AssertSqlSafe(statements)).execute(pool).await.expect("aged");

        let mut db = pool.acquire().await.expect("a connection");
        let removed = rollup::retain(&mut db, now, || true).await.expect("removed");
        // The transition that still says where the member is stays, however old it is.
        assert_eq!((removed.sequences, removed.voice, removed.interactions, removed.jobs), (1, 2, 1, 1));
        assert!(
            (removed.chunks > 0) != (removed.rows > 0),
            "one tier drops chunks, the other deletes rows: {removed:?}"
        );
        let left: Vec<(String, i64)> = sqlx::query_as(
            "SELECT 'events', count(*) FROM events UNION ALL SELECT 'gauges', count(*) FROM gauges
             UNION ALL SELECT 'snapshots', count(*) FROM metrics_snapshots
             UNION ALL SELECT 'transitions', count(*) FROM voice_transitions
             UNION ALL SELECT 'counted', sum(count)::bigint FROM member_channel_days WHERE kind = 1 ORDER BY 1",
        )
        .fetch_all(pool)
        .await
        .expect("rows");
        let expected = [("counted", 2), ("events", 1), ("gauges", 1), ("snapshots", 1), ("transitions", 1)];
        assert_eq!(left, expected.map(|(name, n)| (name.to_owned(), n)), "counters outlive raw events");
        let again = rollup::retain(&mut db, now, || true).await.expect("removed");
        assert_eq!(again, rollup::Removed::default());
    }
}

#[tokio::test]
async fn a_members_period_begins_anew_on_a_day() {
    let database = database().await;
    let pool = database.pool();
    let cumulative = async || -> (i64, i64, String) {
        sqlx::query_as("SELECT messages, score, to_char(first_seen_at AT TIME ZONE 'UTC', 'MM-DD') FROM member_stats")
            .fetch_one(pool)
            .await
            .expect("a row")
    };
    apply(pool, &[sent(2, &["2026-05-01T10:00:00Z", "2026-05-02T10:00:00Z", "2026-05-03T10:00:00Z"])]).await;
    assert_eq!(cumulative().await, (3, 3, "05-01".to_owned()));
    let mut db = pool.acquire().await.expect("a connection");
    let from = "2026-05-02".parse().expect("a date");
    rollup::reset_members(&mut db, guild(1), from).await.expect("reset");
    assert_eq!(cumulative().await, (2, 2, "05-01".to_owned()));
    // One that comes late for the old period, and one of the new.
    apply(pool, &[sent(9, &["2026-05-01T23:59:59Z", "2026-05-02T00:00:00Z"])]).await;
    assert_eq!(cumulative().await, (3, 3, "05-01".to_owned()));
}
