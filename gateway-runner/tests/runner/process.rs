//! The binary itself: signals, probes, and a real kill.

use std::path::Path;
use std::process::Stdio;

use guildhall_discord_double::Double;
use guildhall_domain::{PriorityClass, ShardId};
use guildhall_runtime::system_clock;
use guildhall_test_kit::{services, until};
use tokio::process::{Child, Command};

use crate::support::{
    Aws, Ingest, PATIENCE, Runner, config, counts, double, free_address, get, read, traffic, variables,
};

fn start(double: &Double, aws: &Aws, queues: &[String], journal: &Path, admin: &str) -> Child {
    command(double, aws, queues, journal, admin).spawn().expect("the binary starts")
}

/// The real runner, not started yet.
pub(crate) fn command(double: &Double, aws: &Aws, queues: &[String], journal: &Path, admin: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gateway-runner"));
    command
        .env_clear()
        .envs(services::aws_environment())
        .envs(variables(double, aws, queues, journal))
        .env("RUNNER_ADMIN_ADDR", admin)
        .stderr(Stdio::null())
        .kill_on_drop(true);
    command
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_five_times_and_stopped_gently_at_the_end() {
    let aws = Aws::new("process").await;
    let queues = [aws.create_queue("0").await];
    let double = double(1, 3).await;
    let disk = tempfile::tempdir().expect("a folder");
    let free = free_address().await;
    let mut runner = start(&double, &aws, &queues, disk.path(), &free);
    counts("a session", &double, |counts| counts.identifies == 1).await;
    traffic(&double, 6_000, 1_500.0);
    for number in 1..=5 {
        let reached = number * 1_000;
        until("traffic", PATIENCE, || async { (double.traffic().status().events >= reached).then_some(()) }).await;
        runner.kill().await.expect("killed");
        runner = start(&double, &aws, &queues, disk.path(), &free);
        // The journal's lock proves that the killed one is dead: no lease has to expire.
        counts("a resumed session", &double, |counts| counts.resumes == number).await;
    }
    double.traffic().finished().await;
    read(&double).await;

    until("readiness", PATIENCE, || async { get(&free, "/readyz").await.filter(|answer| answer.contains("200 OK")) })
        .await;
    assert!(get(&free, "/healthz").await.expect("an answer").contains("alive"));
    let readiness = get(&free, "/readyz").await.expect("an answer");
    assert!(readiness.contains(r#""shards":{"0":{"state":"active"}}"#), "{readiness}");
    let metrics = get(&free, "/metrics").await.expect("an answer");
    for metric in [
        "active_shards 1",
        "events_processed_total{type=\"MESSAGE_CREATE\"}",
        "event_processing_duration_seconds_count{type=\"MESSAGE_CREATE\"}",
        "queue_depth{queue=\"journal\"}",
        "events_dropped_total{reason=\"already_read\"}",
        "watermark_lag_events{shard=\"0/1\"}",
        "shards_wanted 1",
        "journal_pending{class=\"critical\"}",
        "resumes_total 1\n",
    ] {
        assert!(metrics.contains(metric), "{metric} is missing in {metrics}");
    }

    until("the budget to be measured, though this one spent nothing", PATIENCE, || async {
        get(&free, "/metrics").await.filter(|answer| answer.contains("identify_budget_remaining 999\n"))
    })
    .await;
    let id = runner.id().expect("it runs").to_string();
    assert!(Command::new("kill").args(["-TERM", &id]).status().await.expect("kill runs").success());
    let status = tokio::time::timeout(PATIENCE, runner.wait()).await.expect("it ends").expect("a status");
    assert!(status.success(), "{status}");
    let mut ingest = Ingest::default();
    ingest.equals_ledger(&aws, &queues, &double).await;
    assert_eq!((double.gateway().counts().identifies, ingest.gaps.len()), (1, 0));
    assert!(ingest.received.contains(&PriorityClass::Low));
    let sweep = aws.table(system_clock()).sweep().await.expect("readable");
    assert_eq!(sweep.leases[&ShardId { id: 0, count: 1 }].holder, "", "handed over");
    let stopped = format!("-{id}-");
    assert!(!sweep.runners.keys().any(|holder| holder.contains(&stopped)), "a farewell: {:?}", sweep.runners);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frozen_runner_that_wakes_finds_its_shard_taken_and_counts_nothing_twice() {
    let aws = Aws::new("frozen").await;
    let queues = [aws.create_queue("0").await];
    let double = double(1, 3).await;
    let (frozen_disk, disk) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    let free = free_address().await;
    let mut frozen = start(&double, &aws, &queues, frozen_disk.path(), &free);
    counts("a session", &double, |counts| counts.identifies == 1).await;
    traffic(&double, 1_000_000, 300.0);
    until("traffic", PATIENCE, || async { (double.traffic().status().events >= 500).then_some(()) }).await;
    let id = frozen.id().expect("it runs").to_string();
    let signal = async |name: &str| {
        assert!(Command::new("kill").args([name, &id]).status().await.expect("kill runs").success());
    };
    signal("-STOP").await;
    let other = Runner::start(config(&double, &aws, &queues, disk.path()), &aws);
    counts("the shard taken over", &double, |counts| counts.resumes == 1).await;
    let reached = double.traffic().status().events + 300;
    until("traffic", PATIENCE, || async { (double.traffic().status().events >= reached).then_some(()) }).await;
    signal("-CONT").await;
    until("the woken one to notice", PATIENCE, || async {
        get(&free, "/metrics").await.filter(|answer| answer.contains("\nlease_lost_total 1\n"))
    })
    .await;
    assert!(get(&free, "/metrics").await.expect("an answer").contains("\nstandstills_total 1\n"));
    double.traffic().stop().await;
    read(&double).await;
    signal("-TERM").await;
    let status = tokio::time::timeout(PATIENCE, frozen.wait()).await.expect("it ends").expect("a status");
    assert!(status.success(), "{status}");
    other.stop().await;
    let mut ingest = Ingest::default();
    ingest.equals_ledger(&aws, &queues, &double).await;
    assert_eq!((double.gateway().counts().identifies, ingest.gaps.len()), (1, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_container_is_healthy_while_the_process_lives_whatever_it_waits_for() {
    let aws = Aws::new("health").await;
    let (double, disk, free) = (double(1, 1).await, tempfile::tempdir().expect("a folder"), free_address().await);
    let asks = || async {
        let mut asking = Command::new(env!("CARGO_BIN_EXE_gateway-runner"));
        asking.arg("--health").env_clear().env("RUNNER_ADMIN_ADDR", &free).stderr(Stdio::null());
        asking.status().await.expect("it runs").success()
    };
    assert!(!asks().await, "nobody is there");
    // Nobody answers for AWS.
    let mut waiting = command(&double, &aws, &["http://127.0.0.1:1/q".to_owned()], disk.path(), &free);
    let mut runner = waiting.env("AWS_ENDPOINT_URL", "http://127.0.0.1:1").spawn().expect("the binary starts");
    until("it to be healthy", PATIENCE, || async { asks().await.then_some(()) }).await;
    let readiness = get(&free, "/readyz").await.expect("an answer");
    assert!(readiness.contains("503") && readiness.contains("not open yet"), "{readiness}");
    runner.kill().await.expect("killed");
    assert!(!asks().await);
}

#[tokio::test]
async fn a_missing_variable_is_named_and_ends_the_process() {
    let output = Command::new(env!("CARGO_BIN_EXE_gateway-runner")).env_clear().output().await.expect("it runs");
    assert!(!output.status.success());
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.contains("the environment variable DISCORD_TOKEN is not set"), "{stderr}");
}
