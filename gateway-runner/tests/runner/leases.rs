//! The lease protocol on a real table.

use std::sync::Arc;
use std::time::Duration;

use guildhall_domain::ShardId;
use guildhall_gateway_runner::lease::{Beat, Lease, Pulse, Seen, SessionRecord, Written};
use guildhall_gateway_runner::watermark::{Mark, Watermarks};
use guildhall_runtime::system_clock;
use guildhall_wire::CoverageGap;

use tokio::time::Instant;

use crate::support::{Aws, at};

const SHARD: ShardId = ShardId { id: 1, count: 2 };

fn pulse() -> Arc<Pulse> {
    Arc::new(Pulse::new(Duration::from_secs(5)))
}

fn record(session: &str) -> SessionRecord {
    SessionRecord {
        session_id: session.into(),
        resume_url: "wss://resume".to_owned(),
        started: at(100),
        class_map: 1,
        generation: 1,
        accepted: Mark { seq: 1, at: at(100) },
        gaps: vec![CoverageGap { lost_session: "before".into(), after_seq: 9, from: at(90), to: at(100) }],
    }
}

#[tokio::test]
async fn only_one_runner_gets_a_lease_and_only_the_holder_writes() {
    let aws = Aws::new("lease").await;
    let table = aws.table(system_clock());
    let (one, two) = tokio::join!(table.take(SHARD, None, "one"), table.take(SHARD, None, "two"));
    let (one, two) = (one.expect("writable"), two.expect("writable"));
    assert!(one.is_some() != two.is_some(), "exactly one is first");
    let (holder, other) = if one.is_some() { ("one", "two") } else { ("two", "one") };

    assert_eq!(table.renew(SHARD, other, None).await.expect("writable"), Written::Refused);
    assert_eq!(table.put_session(SHARD, other, &record("s")).await.expect("writable"), Written::Refused);
    assert_eq!(table.release(SHARD, other, None).await.expect("writable"), Written::Refused);
    assert_eq!(table.put_session(SHARD, holder, &record("s")).await.expect("writable"), Written::Done);

    let seen = |sweep: guildhall_gateway_runner::lease::Sweep| sweep.leases.get(&SHARD).cloned().expect("a lease");
    let before = seen(table.sweep().await.expect("readable"));
    assert_eq!(before.holder, holder);
    let mut renewed = record("s");
    renewed.accepted = Mark { seq: 50, at: at(150) };
    assert_eq!(table.renew(SHARD, holder, Some(&renewed)).await.expect("writable"), Written::Done);
    // What was seen before the renewal no longer entitles anyone.
    assert_eq!(table.take(SHARD, Some(&before), other).await.expect("writable"), None);
    let now = seen(table.sweep().await.expect("readable"));
    let taken = table.take(SHARD, Some(&now), other).await.expect("writable").expect("as it was seen");
    assert_eq!(taken, Some(renewed), "the session travels with the lease");
    assert_eq!(table.renew(SHARD, holder, None).await.expect("writable"), Written::Refused);

    assert_eq!(table.release(SHARD, other, None).await.expect("writable"), Written::Done);
    assert_eq!(seen(table.sweep().await.expect("readable")).holder, "");
    let another = ShardId { count: 3, ..SHARD };
    assert!(table.take(another, None, "three").await.expect("writable").is_some(), "each set has leases of its own");
    let sweep = table.sweep().await.expect("readable");
    assert_eq!((sweep.leases.len(), sweep.leases[&another].holder.as_str()), (2, "three"));
}

#[tokio::test]
async fn heartbeats_are_seen_until_the_farewell() {
    let aws = Aws::new("heartbeat").await;
    let table = aws.table(system_clock());
    table.heartbeat("one", 1, 4).await.expect("writable");
    table.heartbeat("two", 1, 1).await.expect("writable");
    table.heartbeat("one", 1, 5).await.expect("writable");
    table.farewell("two").await.expect("writable");
    let runners = table.sweep().await.expect("readable").runners;
    assert_eq!(runners.into_iter().collect::<Vec<_>>(), [("one".to_owned(), Beat { shards: 1, counter: 5 })]);
}

#[tokio::test]
async fn the_watermark_follows_and_gaps_stay_until_accepted() {
    let aws = Aws::new("marks").await;
    let table = aws.table(system_clock());
    let marks = Watermarks::default();
    let holder: Arc<str> = "me".into();
    let term = Duration::from_secs(10);
    let lease =
        Lease::take(&table, SHARD, None, &holder, term, &marks, &pulse()).await.expect("writable").expect("free");
    assert_eq!(lease.session().await, None);
    lease.put_session(record("s")).await.expect("held");
    let session: Arc<str> = "s".into();
    marks.begin(&session, Mark { seq: 1, at: at(100) });
    // One envelope with events, and one with the gap.
    marks.submitted(&session, 1, Some(5), at(105), Some(Mark { seq: 8, at: at(108) }));
    marks.submitted(&session, 2, None, at(108), Some(Mark { seq: 8, at: at(108) }));
    lease.gaps_sent(vec![2]).await;
    lease.renew().await.expect("writable");
    let written = lease.session().await.expect("a session");
    assert_eq!((written.accepted, written.gaps.len()), (Mark { seq: 4, at: at(105) }, 1));
    marks.accepted("s", 1, Some(5));
    marks.accepted("s", 2, None);
    lease.renew().await.expect("writable");
    let written = lease.session().await.expect("a session");
    assert_eq!((written.accepted, written.gaps.len()), (Mark { seq: 8, at: at(108) }, 0));

    // Another runner finds all of it.
    lease.release().await.expect("writable");
    assert!(lease.is_lost());
    let seen = table.sweep().await.expect("readable").leases.remove(&SHARD).expect("a lease");
    let next = Lease::take(&table, SHARD, Some(&seen), &"next".into(), term, &marks, &pulse()).await.expect("writable");
    assert_eq!(next.expect("released").session().await, Some(written));
}

#[tokio::test]
async fn a_session_that_cannot_be_written_holds_up_no_renewal() {
    let aws = Aws::new("held-up").await;
    let table = aws.table(system_clock());
    let term = Duration::from_secs(10);
    let lease = Lease::take(&table, SHARD, None, &"me".into(), term, &Watermarks::default(), &pulse()).await;
    let lease = lease.expect("writable").expect("free");
    aws.dynamo.delete_table().table_name(&aws.name).send().await.expect("deleted");
    let writing = lease.put_session(record("s"));
    let renewed = tokio::time::timeout(Duration::from_secs(5), lease.renew());
    tokio::select! {
        biased;
        written = writing => panic!("there is no table: {written:?}"),
        renewed = renewed => assert!(renewed.expect("it does not wait").is_ok()),
    }
}

#[tokio::test]
async fn a_lost_lease_is_noticed_and_forbids_connecting() {
    let aws = Aws::new("noticed").await;
    let table = aws.table(system_clock());
    let marks = Watermarks::default();
    let term = Duration::from_secs(10);
    let lease =
        Lease::take(&table, SHARD, None, &"me".into(), term, &marks, &pulse()).await.expect("writable").expect("free");
    assert!(lease.is_fresh() && lease.fresh().await.is_ok());
    let seen = Seen { holder: "me".to_owned(), counter: 1 };
    let thief =
        Lease::take(&table, SHARD, Some(&seen), &"thief".into(), term, &marks, &pulse()).await.expect("writable");
    assert!(thief.is_some());
    lease.renew().await.expect("the table answers");
    tokio::time::timeout(Duration::from_secs(5), lease.lost()).await.expect("noticed");
    assert!(!lease.is_fresh() && lease.fresh().await.is_err());
    assert!(lease.put_session(record("late")).await.is_err());
    assert_eq!(thief.expect("taken").session().await, None, "the loser wrote nothing");
}

#[tokio::test]
async fn a_runner_that_stood_still_reads_on_only_once_its_lease_is_confirmed() {
    let aws = Aws::new("standstill").await;
    let table = aws.table(system_clock());
    let (marks, pulse, term) = (Watermarks::default(), pulse(), Duration::from_secs(10));
    let lease = Lease::take(&table, SHARD, None, &"me".into(), term, &marks, &pulse).await;
    let lease = lease.expect("writable").expect("free");
    assert!(lease.is_confirmed());
    // It was alone meanwhile.
    pulse.beat(Instant::now() + Duration::from_secs(6));
    assert!(!lease.is_confirmed());
    lease.confirmed().await.expect("still held");
    assert!(lease.is_confirmed());
    // It was not.
    pulse.beat(Instant::now() + Duration::from_secs(12));
    let seen = table.sweep().await.expect("readable").leases.remove(&SHARD).expect("a lease");
    let thief = Lease::take(&table, SHARD, Some(&seen), &"thief".into(), term, &marks, &pulse).await;
    assert!(thief.expect("writable").is_some());
    assert!(!lease.is_confirmed() && lease.confirmed().await.is_err());
}

#[tokio::test]
async fn a_table_that_is_away_is_no_standstill() {
    let aws = Aws::new("away").await;
    let (marks, pulse, term) = (Watermarks::default(), pulse(), Duration::from_secs(10));
    let lease = Lease::take(&aws.table(system_clock()), SHARD, None, &"me".into(), term, &marks, &pulse).await;
    let lease = lease.expect("writable").expect("free");
    aws.dynamo.delete_table().table_name(&aws.name).send().await.expect("deleted");
    assert!(lease.renew().await.is_err());
    assert!(lease.is_confirmed() && !lease.is_lost());
}
