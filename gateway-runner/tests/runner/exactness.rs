//! What arrives in the queues equals what Discord dispatched, however runners come and go.

use std::time::Duration;

use guildhall_discord_double::gateway::GatewayFault;
use guildhall_domain::{ClassMap, EventKind, PriorityClass};
use guildhall_test_kit::until;

use crate::support::{Aws, Ingest, PATIENCE, Runner, config, counts, double, read, traffic};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_thousand_events_through_dropped_connections() {
    let aws = Aws::new("dropped").await;
    let queues = [aws.create_queue("0").await];
    let double = double(1, 3).await;
    let disk = tempfile::tempdir().expect("a folder");
    let runner = Runner::start(config(&double, &aws, &queues, disk.path()), &aws);
    counts("a session", &double, |counts| counts.identifies == 1).await;

    traffic(&double, 5_000, 2_500.0);
    for (number, fault) in (1..).zip([
        GatewayFault::DropConnections { shard: None },
        GatewayFault::Reconnect { shard: None },
        GatewayFault::Close { shard: None, code: 4000 },
        GatewayFault::InvalidSession { shard: None, resumable: true },
    ]) {
        let reached = number * 1_000;
        until("traffic", PATIENCE, || async { (double.traffic().status().events >= reached).then_some(()) }).await;
        double.gateway().misbehave(fault);
        counts("a resumed session", &double, |counts| counts.resumes == number).await;
    }
    double.traffic().finished().await;

    let mut ingest = Ingest::default();
    read(&double).await;
    runner.stop().await;
    ingest.equals_ledger(&aws, &queues, &double).await;
    assert_eq!((double.gateway().counts().identifies, ingest.sessions.len()), (1, 1));
    assert_eq!(ingest.gaps, []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deploy_hands_over_by_resume_with_no_identify_and_no_gap() {
    let aws = Aws::new("deploy").await;
    let queues = [aws.create_queue("0").await, aws.create_queue("1").await];
    let double = double(2, 6).await;
    let (old_disk, new_disk) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    let old = Runner::start(config(&double, &aws, &queues, old_disk.path()), &aws);
    counts("two sessions", &double, |counts| counts.identifies == 2).await;
    traffic(&double, 4_000, 1_000.0);

    // The new task starts first, and is given one of the two shards; then the old one is told to stop.
    let new = Runner::start(config(&double, &aws, &queues, new_disk.path()), &aws);
    counts("a shard handed over", &double, |counts| counts.resumes >= 1).await;
    old.stop().await;
    counts("the other shard handed over", &double, |counts| counts.resumes >= 2).await;
    double.traffic().finished().await;

    let mut ingest = Ingest::default();
    read(&double).await;
    new.stop().await;
    ingest.equals_ledger(&aws, &queues, &double).await;
    assert_eq!(double.gateway().counts().identifies, 2);
    assert_eq!(ingest.gaps, []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_holders_shards_move_within_fifteen_seconds() {
    let aws = Aws::new("killed").await;
    let queues = [aws.create_queue("0").await];
    let double = double(2, 4).await;
    let (lost_disk, other_disk) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    let with_default_term = |disk: &tempfile::TempDir| {
        let mut config = config(&double, &aws, &queues, disk.path());
        config.lease_term = Duration::from_secs(10);
        config
    };
    let victim = Runner::start(with_default_term(&lost_disk), &aws);
    counts("two sessions", &double, |counts| counts.identifies == 2).await;
    let survivor = Runner::start(with_default_term(&other_disk), &aws);
    counts("a shard handed over", &double, |counts| counts.resumes == 1).await;
    traffic(&double, 8_000, 400.0);
    until("traffic", PATIENCE, || async { (double.traffic().status().events > 800).then_some(()) }).await;

    victim.kill().await;
    let killed = tokio::time::Instant::now();
    counts("the shard taken over", &double, |counts| counts.resumes == 2).await;
    let took = killed.elapsed();
    assert!(took < Duration::from_secs(15), "{took:?}");
    double.traffic().finished().await;

    let mut ingest = Ingest::default();
    read(&double).await;
    survivor.stop().await;
    ingest.equals_ledger(&aws, &queues, &double).await;
    assert_eq!(double.gateway().counts().identifies, 2);
    assert_eq!(ingest.gaps, []);
}

/// As if another release had made reactions urgent and messages slow.
fn second_map(kind: EventKind) -> PriorityClass {
    match kind.class() {
        PriorityClass::Medium => PriorityClass::Critical,
        PriorityClass::High => PriorityClass::Low,
        class => class,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_goes_on_under_its_own_class_map_when_a_deployment_brings_another() {
    let aws = Aws::new("class-map").await;
    let queues = [aws.create_queue("0").await];
    let double = double(1, 3).await;
    let disks: Vec<_> = (0..3).map(|_| tempfile::tempdir().expect("a folder")).collect();
    let second = ClassMap::new(2, second_map);
    let mut ingest = Ingest::default();
    ingest.class_maps.push(second);

    let old = Runner::start(config(&double, &aws, &queues, disks[0].path()), &aws);
    counts("a session", &double, |counts| counts.identifies == 1).await;
    traffic(&double, 3_000, 1_500.0);
    until("traffic", PATIENCE, || async { (double.traffic().status().events > 1_000).then_some(()) }).await;
    // One dies in mid-flush, and the next release takes over what it left; then in good order.
    old.kill().await;
    let release = |disk: usize| {
        let mut config = config(&double, &aws, &queues, disks[disk].path());
        config.class_map = second;
        Runner::start(config, &aws)
    };
    let new = release(1);
    counts("a resumed session", &double, |counts| counts.resumes == 1).await;
    double.traffic().finished().await;
    read(&double).await;
    new.stop().await;
    ingest.equals_ledger(&aws, &queues, &double).await;
    assert_eq!((double.gateway().counts().identifies, ingest.gaps.len()), (1, 0));
    assert_eq!(ingest.map_of.values().flatten().copied().collect::<Vec<_>>(), [1], "the session keeps its map");

    // A session of the new release has the new map.
    let new = release(2);
    counts("a resumed session", &double, |counts| counts.resumes == 2).await;
    double.gateway().misbehave(GatewayFault::InvalidSession { shard: None, resumable: false });
    counts("a new session", &double, |counts| counts.identifies == 2).await;
    traffic(&double, 500, 1_500.0);
    double.traffic().finished().await;
    read(&double).await;
    new.stop().await;
    ingest.equals_ledger(&aws, &queues, &double).await;
    let session = double.gateway().sessions()[0].session_id.clone();
    assert_eq!(ingest.map_of[&session].iter().copied().collect::<Vec<_>>(), [2]);

    // And a release that does not know that map cannot take the session up.
    let older = Runner::start(config(&double, &aws, &queues, disks[0].path()), &aws);
    counts("a session that begins anew", &double, |counts| counts.identifies == 3).await;
    ingest.drain(&aws, &queues, |ingest| ingest.gaps.iter().any(|gap| gap.lost_session == session)).await;
    older.stop().await;
}
