//! Guilds are cut over from two shards to four while everything runs, and every event is counted once.

use std::time::Duration;

use guildhall_discord_double::Double;
use guildhall_discord_double::gateway::{GatewayFault, GatewaySettings};
use guildhall_gateway_runner::Config;
use guildhall_gateway_runner::lease::Table;
use guildhall_runtime::system_clock;
use guildhall_test_kit::until;

use crate::process::command;
use crate::support::{Aws, Ingest, PATIENCE, Runner, config, counts, double_with, free_address, read, traffic};
use crate::withheld::Withheld;

/// A community whose guilds of an old shard go to two new ones each.
async fn community() -> Double {
    let settings = GatewaySettings { heartbeat_interval: Duration::from_secs(2), ..GatewaySettings::default() };
    double_with(2, 9, settings).await
}

fn resharded(double: &Double, aws: &Aws, queues: &[String], disk: &tempfile::TempDir) -> Config {
    Config { shard_count: Some(4), ..config(double, aws, queues, disk.path()) }
}

async fn pinned(table: &Table) -> (u32, u64) {
    let pin = table.pin().await.expect("readable").expect("a pin");
    (pin.count, pin.generation)
}

/// Waits for the end of the cut-over.
async fn complete(table: &Table) {
    until("the new number of shards to be pinned", PATIENCE * 2, || async {
        (pinned(table).await == (4, 2)).then_some(())
    })
    .await;
}

fn disk() -> tempfile::TempDir {
    tempfile::tempdir().expect("a folder")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_runners_cut_every_guild_over_without_losing_or_repeating_an_event() {
    let aws = Aws::new("reshard").await;
    let queues = [aws.create_queue("0").await];
    let double = community().await;
    let (first_disk, second_disk) = (disk(), disk());
    let first = Runner::start(config(&double, &aws, &queues, first_disk.path()), &aws);
    counts("two sessions", &double, |counts| counts.identifies == 2).await;
    traffic(&double, 1_000_000, 300.0);

    let second = Runner::start(resharded(&double, &aws, &queues, &second_disk), &aws);
    counts("four sessions beside them", &double, |counts| counts.identifies == 6).await;
    complete(&aws.table(system_clock())).await;
    until("the old sessions to be closed", PATIENCE, || async {
        double.gateway().sessions().iter().all(|session| session.shard.count == 4 || !session.connected).then_some(())
    })
    .await;
    let reached = double.traffic().status().events + 500;
    until("traffic", PATIENCE, || async { (double.traffic().status().events >= reached).then_some(()) }).await;
    double.traffic().stop().await;

    let mut ingest = Ingest::default();
    read(&double).await;
    ingest.equals_ledger(&aws, &queues, &double).await;
    first.stop().await;
    second.stop().await;
    assert_eq!(ingest.gaps, []);
    assert_eq!((double.gateway().counts().identifies, ingest.sessions.len()), (6, 6));
    let sweep = aws.table(system_clock()).sweep().await.expect("readable");
    assert!(sweep.leases.keys().all(|shard| shard.count == 4), "{:?}", sweep.leases);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_cuts_cannot_be_written_the_connections_live_on_and_nothing_is_lost() {
    let aws = Aws::new("reshard-withheld").await;
    let queues = [aws.create_queue("0").await];
    let double = community().await;
    let (disk, withheld) = (disk(), Withheld::start("cuts#").await);
    let runner = Runner::start(config(&double, &aws, &queues, disk.path()), &withheld.before(&aws));
    counts("two sessions", &double, |counts| counts.identifies == 2).await;
    traffic(&double, 1_000_000, 300.0);
    let table = aws.table(system_clock());
    table.put_target(table.pin().await.expect("readable").expect("a pin"), 4).await.expect("writable");
    until("the record to be asked for", PATIENCE, || async { (withheld.count() > 0).then_some(()) }).await;
    // Three times as long as Discord waits for a heartbeat.
    let reached = double.traffic().status().events + 3_000;
    until("traffic", PATIENCE, || async { (double.traffic().status().events >= reached).then_some(()) }).await;
    // A busy machine may lose a connection; whoever waits without a word loses it for as long as that lasts.
    until("all to be connected, though nothing can be written", PATIENCE, || async {
        double.gateway().sessions().iter().all(|session| session.connected).then_some(())
    })
    .await;
    withheld.release();
    complete(&table).await;
    double.traffic().stop().await;

    let mut ingest = Ingest::default();
    read(&double).await;
    ingest.equals_ledger(&aws, &queues, &double).await;
    runner.stop().await;
    assert_eq!((double.gateway().counts().identifies, ingest.gaps.len()), (6, 0));
}

/// Kills the only runner, as a process, again and again while it cuts guilds over; `same_disk` says what the next one
/// starts with.
async fn killed_in_the_middle(name: &str, same_disk: bool) {
    let aws = Aws::new(name).await;
    let queues = [aws.create_queue("0").await];
    let double = community().await;
    let mut disks = vec![disk()];
    let first = Runner::start(config(&double, &aws, &queues, disks[0].path()), &aws);
    counts("two sessions", &double, |counts| counts.identifies == 2).await;
    traffic(&double, 1_000_000, 200.0);
    first.stop().await;
    let admin = free_address().await;
    let start = |disk: &tempfile::TempDir| {
        let mut command = command(&double, &aws, &queues, disk.path(), &admin);
        command.env("RUNNER_SHARD_COUNT", "4").spawn().expect("the binary starts")
    };
    let mut runner = start(&disks[0]);
    counts("four sessions beside them", &double, |counts| counts.identifies == 6).await;
    let table = aws.table(system_clock());
    for kill in 1..=3_u64 {
        until("cuts, or the end", PATIENCE, || async {
            let mut cut = 0;
            for id in 0..2 {
                let shard = guildhall_domain::ShardId { id, count: 2 };
                let cuts = table.cuts(shard, 2).await.expect("readable");
                let record =
                    cuts.and_then(|cuts| guildhall_gateway_runner::reshard::record::Record::decode(&cuts.data));
                cut += record.map_or(0, |record| record.cuts.len());
            }
            (cut as u64 >= kill * 2 || pinned(&table).await == (4, 2)).then_some(())
        })
        .await;
        runner.kill().await.expect("killed");
        if !same_disk {
            disks.push(disk());
        }
        runner = start(disks.last().expect("one"));
    }
    complete(&table).await;
    double.traffic().stop().await;

    let mut ingest = Ingest::default();
    read(&double).await;
    ingest.equals_ledger(&aws, &queues, &double).await;
    runner.kill().await.expect("killed");
    assert_eq!((double.gateway().counts().identifies, ingest.gaps.len()), (6, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_while_cutting_over_and_started_on_the_same_disk() {
    killed_in_the_middle("reshard-same", true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_while_cutting_over_and_started_on_another_disk() {
    killed_in_the_middle("reshard-other", false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_old_session_that_is_lost_leaves_a_gap_around_what_is_missing() {
    let aws = Aws::new("reshard-lost").await;
    let queues = [aws.create_queue("0").await];
    let double = community().await;
    let (first_disk, second_disk) = (disk(), disk());
    let first = Runner::start(config(&double, &aws, &queues, first_disk.path()), &aws);
    counts("two sessions", &double, |counts| counts.identifies == 2).await;
    first.stop().await;
    // While nobody listens, Discord forgets them.
    double.gateway().misbehave(GatewayFault::DropSession { shard: None });
    let second = Runner::start(resharded(&double, &aws, &queues, &second_disk), &aws);
    complete(&aws.table(system_clock())).await;
    let mut ingest = Ingest::default();
    let lost: Vec<String> = double.ledger().lost().iter().map(|lost| lost.session_id.clone()).collect();
    ingest.drain(&aws, &queues, |ingest| ingest.gaps.len() == 4).await;
    assert!(ingest.gaps.iter().all(|gap| lost.contains(&gap.lost_session)), "{:?} {lost:?}", ingest.gaps);
    assert_eq!(double.gateway().counts().identifies, 6, "the lost sessions are not begun anew");
    ingest.equals_ledger(&aws, &queues, &double).await;
    second.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_that_a_displaced_holder_wrote_to_is_claimed_back() {
    let aws = Aws::new("reshard-stolen").await;
    let queues = [aws.create_queue("0").await];
    let double = community().await;
    let disk = disk();
    let first = Runner::start(config(&double, &aws, &queues, disk.path()), &aws);
    counts("two sessions", &double, |counts| counts.identifies == 2).await;
    first.stop().await;
    let second = Runner::start(resharded(&double, &aws, &queues, &disk), &aws);
    let table = aws.table(system_clock());
    let shard = guildhall_domain::ShardId { id: 1, count: 2 };
    until("the record to be stolen", PATIENCE, || async {
        let found = table.cuts(shard, 2).await.expect("readable")?;
        let written = table.put_cuts(shard, 2, Some(found.version), "displaced", found.data).await.expect("writable");
        (written == guildhall_gateway_runner::lease::Written::Done).then_some(())
    })
    .await;
    complete(&table).await;
    let found = table.cuts(shard, 2).await.expect("readable").expect("a record");
    assert_ne!(found.holder, "displaced");
    second.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_old_shard_that_is_closed_for_good_is_cured_by_more_shards() {
    let aws = Aws::new("reshard-closed").await;
    let queues = [aws.create_queue("0").await];
    let double = community().await;
    let disks = (disk(), disk());
    let first = Runner::start(config(&double, &aws, &queues, disks.0.path()), &aws);
    counts("two sessions", &double, |counts| counts.identifies == 2).await;
    double.gateway().misbehave(GatewayFault::Close { shard: Some(1), code: 4011 });
    until("the connection to end", PATIENCE, || async {
        double.gateway().sessions().iter().any(|session| session.shard.id == 1 && !session.connected).then_some(())
    })
    .await;
    let second = Runner::start(resharded(&double, &aws, &queues, &disks.1), &aws);
    complete(&aws.table(system_clock())).await;
    let mut ingest = Ingest::default();
    ingest.drain(&aws, &queues, |ingest| ingest.gaps.len() == 2).await;
    assert_eq!(double.gateway().counts().identifies, 6);
    first.stop().await;
    second.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn too_small_a_budget_is_waited_for_and_another_number_is_refused_meanwhile() {
    let aws = Aws::new("reshard-budget").await;
    let queues = [aws.create_queue("0").await];
    let double = community().await;
    let (first_disk, second_disk, third_disk) = (disk(), disk(), disk());
    double.gateway().misbehave(GatewayFault::IdentifyBudget { remaining: 5 });
    let first = Runner::start(config(&double, &aws, &queues, first_disk.path()), &aws);
    counts("two sessions", &double, |counts| counts.identifies == 2).await;
    let second = Runner::start(resharded(&double, &aws, &queues, &second_disk), &aws);
    counts("a shard handed over", &double, |counts| counts.resumes >= 1).await;
    let another = Config { shard_count: Some(8), ..config(&double, &aws, &queues, third_disk.path()) };
    let error = Runner::start(another, &aws).failure().await;
    assert!(error.to_string().contains("cut over from 2 shards to 4"), "{error:#}");
    let counted = double.gateway().counts();
    assert_eq!((counted.identifies, counted.token_resets), (2, 0), "not even one of them");
    assert!(first.is_running() && second.is_running());
    first.stop().await;
    second.stop().await;
}
