//! What Discord cannot deliver is recorded, and what it forbids is not tried again.

use std::time::Duration;

use guildhall_discord_double::gateway::GatewayFault;
use guildhall_domain::ShardId;
use guildhall_runtime::system_clock;
use guildhall_test_kit::until;
use tokio::time::Instant;

use crate::support::{Aws, Ingest, PATIENCE, Runner, config, counts, double, ledger, read, traffic};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_session_leaves_a_gap_that_holds_every_missing_event() {
    let aws = Aws::new("lost").await;
    let queues = [aws.create_queue("0").await];
    let double = double(1, 3).await;
    let disk = tempfile::tempdir().expect("a folder");
    let runner = Runner::start(config(&double, &aws, &queues, disk.path()), &aws);
    counts("a session", &double, |counts| counts.identifies == 1).await;
    traffic(&double, 3_000, 1_000.0);
    until("traffic", PATIENCE, || async { (double.traffic().status().events > 1_000).then_some(()) }).await;
    let before = system_clock().now();
    double.gateway().misbehave(GatewayFault::InvalidSession { shard: None, resumable: false });
    counts("a second session", &double, |counts| counts.identifies == 2).await;
    double.traffic().finished().await;

    let mut ingest = Ingest::default();
    ingest.drain(&aws, &queues, |ingest| !ingest.gaps.is_empty()).await;
    runner.stop().await;
    let lost = double.ledger().lost();
    let missing: u64 = lost[0].unsent.iter().chain(&lost[0].unconfirmed).map(|row| row.count).sum();
    let total: u64 = ledger(&double).values().sum();
    ingest.drain(&aws, &queues, |ingest| ingest.total() + missing >= total).await;
    assert!(ingest.total() <= total, "{} counted, {total} dispatched", ingest.total());
    for (key, counted) in &ingest.counts {
        assert!(ledger(&double).get(key).is_some_and(|dispatched| counted <= dispatched), "{key:?}");
    }
    let gap = &ingest.gaps[0];
    assert_eq!((gap.lost_session.as_str(), ingest.gaps.len()), (lost[0].session_id.as_str(), 1));
    assert!(gap.after_seq <= lost[0].sent && gap.from <= before && before <= gap.to, "{gap:?}");
    // What SQS has accepted is no longer kept in the table.
    let shard = ShardId { id: 0, count: 1 };
    let table = aws.table(system_clock());
    let seen = table.sweep().await.expect("readable").leases.remove(&shard).expect("a lease");
    let record = table.take(shard, Some(&seen), "the test").await.expect("writable").expect("free").expect("a session");
    assert_eq!(record.gaps, []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_died_with_its_runner_leaves_a_gap_too() {
    let aws = Aws::new("died").await;
    let queues = [aws.create_queue("0").await];
    let double = double(1, 3).await;
    let (lost_disk, disk) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    let victim = Runner::start(config(&double, &aws, &queues, lost_disk.path()), &aws);
    counts("a session", &double, |counts| counts.identifies == 1).await;
    traffic(&double, 1_000, 1_000.0);
    double.traffic().finished().await;
    victim.kill().await;
    double.gateway().misbehave(GatewayFault::DropSession { shard: None });
    let runner = Runner::start(config(&double, &aws, &queues, disk.path()), &aws);
    counts("a second session", &double, |counts| counts.identifies == 2).await;
    let mut ingest = Ingest::default();
    ingest.drain(&aws, &queues, |ingest| !ingest.gaps.is_empty()).await;
    assert_eq!(ingest.gaps[0].lost_session, double.ledger().lost()[0].session_id);
    runner.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fatal_close_code_stops_the_shard_for_good() {
    let aws = Aws::new("fatal").await;
    let queues = [aws.create_queue("0").await];
    let double = double(2, 4).await;
    let disk = tempfile::tempdir().expect("a folder");
    let runner = Runner::start(config(&double, &aws, &queues, disk.path()), &aws);
    counts("two sessions", &double, |counts| counts.identifies == 2).await;
    double.gateway().misbehave(GatewayFault::Close { shard: Some(0), code: 4014 });
    let metrics = guildhall_runtime::metrics::install().expect("one recorder");
    until("the alarm", PATIENCE, || async {
        metrics.render().contains("shard_fatal_total{code=\"4014\"} 1").then_some(())
    })
    .await;
    // The other shard is alive: it resumes when its connection is cut, and the first one still does not come back.
    double.gateway().misbehave(GatewayFault::DropConnections { shard: Some(1) });
    counts("a resumed session", &double, |counts| counts.resumes == 1).await;
    let counted = double.gateway().counts();
    assert_eq!((counted.identifies, counted.resumes, counted.resumes_refused), (2, 1, 0));
    assert!(runner.is_running());
    runner.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_identify_without_budget_or_without_the_table() {
    let aws = Aws::new("budget").await;
    let queues = [aws.create_queue("0").await];
    let double = double(1, 2).await;
    double.gateway().misbehave(GatewayFault::IdentifyBudget { remaining: 1 });
    let disk = tempfile::tempdir().expect("a folder");
    let runner = Runner::start(config(&double, &aws, &queues, disk.path()), &aws);
    counts("a session", &double, |counts| counts.identifies == 1).await;
    let metrics = guildhall_runtime::metrics::install().expect("one recorder");
    let refusals = || {
        let text = metrics.render();
        let line = text.lines().find_map(|line| line.strip_prefix("identify_refusals_total "));
        line.and_then(|count| count.parse::<u64>().ok()).unwrap_or(0)
    };
    let before = refusals();
    double.gateway().misbehave(GatewayFault::InvalidSession { shard: None, resumable: false });
    until("a refusal", PATIENCE, || async { (refusals() > before).then_some(()) }).await;
    aws.dynamo.delete_table().table_name(&aws.name).send().await.expect("deleted");
    double.gateway().misbehave(GatewayFault::IdentifyBudget { remaining: 1_000 });
    double.gateway().misbehave(GatewayFault::DropConnections { shard: None });
    let before = refusals();
    until("a refusal, or a wait for the lease", PATIENCE, || async {
        (refusals() > before || double.gateway().sessions().is_empty()).then_some(())
    })
    .await;
    let counted = double.gateway().counts();
    assert_eq!((counted.identifies, counted.token_resets), (1, 0));
    runner.kill().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_missing_at_the_start_is_named() {
    let aws = Aws::new("missing").await;
    let double = double(1, 1).await;
    let disk = tempfile::tempdir().expect("a folder");
    let mut wrong = config(&double, &aws, &["http://127.0.0.1:1/q".to_owned()], disk.path());
    wrong.table = "no-such-table".to_owned();
    let error = Runner::start(wrong, &aws).failure().await;
    assert!(error.to_string().contains("\"no-such-table\" does not exist"), "{error:#}");
}

/// The library's own pauses double: after fifteen seconds it would wait for sixteen more, and after two minutes for more
/// than Discord keeps a session.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_that_was_away_for_long_is_back_within_seconds_of_its_return() {
    let aws = Aws::new("away").await;
    let queues = [aws.create_queue("0").await];
    let double = double(1, 2).await;
    let disk = tempfile::tempdir().expect("a folder");
    let runner = Runner::start(config(&double, &aws, &queues, disk.path()), &aws);
    counts("a session", &double, |counts| counts.identifies == 1).await;
    let away = Duration::from_secs(17);
    double.gateway().misbehave(GatewayFault::GatewayDown { seconds: away.as_secs() });
    let began = Instant::now();
    traffic(&double, 500, 100.0);
    counts("a resumed session", &double, |counts| counts.resumes == 1).await;
    let late = began.elapsed().saturating_sub(away);
    assert!(late < Duration::from_secs(9), "{late:?} after the gateway came back");
    double.traffic().finished().await;
    read(&double).await;
    runner.stop().await;
    let mut ingest = Ingest::default();
    ingest.equals_ledger(&aws, &queues, &double).await;
    assert_eq!((double.gateway().counts().identifies, ingest.gaps.len()), (1, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_whose_own_address_is_dead_is_resumed_through_the_gateways() {
    let aws = Aws::new("dead-address").await;
    let queues = [aws.create_queue("0").await];
    let double = double(1, 2).await;
    let (one, two) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    let runner = Runner::start(config(&double, &aws, &queues, one.path()), &aws);
    counts("a session", &double, |counts| counts.identifies == 1).await;
    runner.stop().await;
    // Takes connections, and never says a word.
    let mute = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    aws.set_resume_url(&format!("ws://{}", mute.local_addr().expect("bound"))).await;
    let runner = Runner::start(config(&double, &aws, &queues, two.path()), &aws);
    counts("a resumed session", &double, |counts| counts.resumes == 1).await;
    assert_eq!(double.gateway().counts().identifies, 1);
    runner.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_discords_rest_what_was_begun_goes_on() {
    let aws = Aws::new("no-rest").await;
    let queues = [aws.create_queue("0").await];
    let double = double(1, 2).await;
    let (one, two) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    let runner = Runner::start(config(&double, &aws, &queues, one.path()), &aws);
    counts("a session", &double, |counts| counts.identifies == 1).await;
    runner.stop().await;
    let mut without = config(&double, &aws, &queues, two.path());
    without.api_url = "http://127.0.0.1:1".to_owned();
    let runner = Runner::start(without, &aws);
    counts("a resumed session", &double, |counts| counts.resumes == 1).await;
    runner.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_for_good_holds_for_the_next_holder_until_something_was_changed() {
    let aws = Aws::new("verdict").await;
    let queues = [aws.create_queue("0").await];
    let double = double(1, 2).await;
    let disks: Vec<_> = (0..3).map(|_| tempfile::tempdir().expect("a folder")).collect();
    let runner = Runner::start(config(&double, &aws, &queues, disks[0].path()), &aws);
    counts("a session", &double, |counts| counts.identifies == 1).await;
    double.gateway().misbehave(GatewayFault::Close { shard: None, code: 4004 });
    until("the record", PATIENCE, || async { aws.items("fatal").await.first().map(drop) }).await;
    runner.stop().await;
    let before = double.gateway().counts();

    let admin = crate::support::free_address().await;
    let mut next = config(&double, &aws, &queues, disks[1].path());
    next.admin_addr = admin.parse().expect("an address");
    let runner = Runner::start(next, &aws);
    let readiness = until("the probe to say so", PATIENCE, || async {
        let answer = crate::support::get(&admin, "/readyz").await?;
        answer.contains(r#""state":"fatal","code":4004"#).then_some(answer)
    })
    .await;
    assert!(readiness.contains("503"), "{readiness}");
    assert!(!aws.expire("fatal").await, "time mends no token");
    let metrics = crate::support::get(&admin, "/metrics").await.expect("an answer");
    assert!(metrics.contains("shard_fatal_total{code=\"4004\"} 2\n"), "what is remembered counts as well");
    runner.stop().await;
    let after = double.gateway().counts();
    assert_eq!((after.identifies, after.resumes), (before.identifies, before.resumes), "it was not tried");

    // A new token makes the difference; here it is the operator's word.
    let mut changed = config(&double, &aws, &queues, disks[2].path());
    changed.retry = "the token is right again".to_owned();
    let runner = Runner::start(changed, &aws);
    counts("another try", &double, |counts| counts.identifies + counts.resumes > 1).await;
    runner.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_budget_of_twenty_is_never_exceeded_by_two_runners_in_a_storm_of_invalid_sessions() {
    let aws = Aws::new("twenty").await;
    let queues = [aws.create_queue("0").await];
    let double = double(8, 8).await;
    double.gateway().misbehave(GatewayFault::IdentifyBudget { remaining: 20 });
    let (one, two) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    let admins = [crate::support::free_address().await, crate::support::free_address().await];
    let start = |disk: &tempfile::TempDir, admin: &str| {
        let mut config = config(&double, &aws, &queues, disk.path());
        config.admin_addr = admin.parse().expect("an address");
        Runner::start(config, &aws)
    };
    let runners = [start(&one, &admins[0]), start(&two, &admins[1])];
    // Sessions are lost as fast as they begin, until every shard says until when it waits.
    until("every shard to wait for the next window", PATIENCE * 2, || async {
        for session in double.gateway().sessions().into_iter().filter(|session| session.connected) {
            let shard = Some(session.shard.id);
            double.gateway().misbehave(GatewayFault::InvalidSession { shard, resumable: false });
        }
        let mut waiting = 0;
        for admin in &admins {
            let answer = crate::support::get(admin, "/readyz").await?;
            waiting += answer.matches(r#""state":"awaiting_budget","until":"2"#).count();
        }
        (waiting == 8).then_some(())
    })
    .await;
    let counted = double.gateway().counts();
    // A unit that was taken for a connection that was gone by then is not used.
    assert!((9..=20).contains(&counted.identifies), "{} IDENTIFYs", counted.identifies);
    assert_eq!(counted.token_resets, 0);
    for runner in runners {
        runner.kill().await;
    }
}
