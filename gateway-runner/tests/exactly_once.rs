//! The promise: whatever is killed and whatever is delivered twice, the counts equal what Discord sent.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use guildhall_devstack::stack::{Discord, Stack, StackConfig};
use guildhall_discord_double::ledger::Row;
use guildhall_discord_double::traffic::TrafficPlan;
use guildhall_discord_double::{Config as DoubleConfig, GuildPlan};
use guildhall_domain::{ChannelId, EventKind, GuildId, UserId};
use guildhall_store::MIGRATOR;
use guildhall_test_kit::postgres::TestDatabase;
use guildhall_test_kit::{services, until};
use tokio::process::{Child, Command};

const KILLS: u64 = 5;
const EVENTS: u64 = 12_000;
const EVENTS_PER_SECOND: f64 = 1_500.0;

type Counts = BTreeMap<(GuildId, Option<ChannelId>, Option<UserId>, EventKind), u64>;

fn spawn_runner(stack: &Stack, journal: &Path, holder: &str) -> Child {
    Command::new(env!("CARGO_BIN_EXE_gateway-runner"))
        .env_clear()
        .envs(stack.environment().iter().map(|(name, value)| (name, value)))
        .env("RUNNER_JOURNAL_DIR", journal)
        .env("RUNNER_JOURNAL_MAX_BYTES", "268435456")
        .env("RUNNER_ADMIN_ADDR", "127.0.0.1:0")
        .env("RUNNER_LEASE_TERM_MS", "1500")
        .env("RUNNER_HOLDER_ID", holder)
        .env("LOG_LEVEL", "warn")
        .env("LOG_FORMAT", "text")
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap()
}

fn ledger(stack: &Stack) -> Counts {
    let ledger = stack.double.as_ref().unwrap().ledger();
    let guild = |row: &Row| row.guild_id.expect("every counted event belongs to a guild");
    ledger.rows().iter().map(|row| ((guild(row), row.channel_id, row.user_id, row.kind), row.count)).collect()
}

async fn counted(database: &TestDatabase) -> Counts {
    let mut db = database.pool().acquire().await.unwrap();
    let rows = guildhall_store::audit::counts(&mut db).await.unwrap();
    rows.into_iter().map(|row| ((row.guild, row.channel, row.member, row.kind), row.count)).collect()
}

/// The differences, few enough to read.
fn difference(expected: &Counts, actual: &Counts) -> Vec<String> {
    let keys: std::collections::BTreeSet<_> = expected.keys().chain(actual.keys()).collect();
    keys.into_iter()
        .filter(|key| expected.get(key) != actual.get(key))
        .take(20)
        .map(|key| format!("{key:?}: dispatched {:?}, counted {:?}", expected.get(key), actual.get(key)))
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_kills_and_double_delivery_change_no_count() {
    let database = TestDatabase::create(&MIGRATOR).await;
    let clock = guildhall_runtime::system_clock();
    let double = DoubleConfig {
        shards: 2,
        max_concurrency: 2,
        guilds: vec![
            GuildPlan::new("Small", 60, 4, 1),
            GuildPlan::new("Middle", 900, 12, 4),
            GuildPlan::new("Large", 5_000, 24, 8),
        ],
        ..DoubleConfig::new(11, clock.clone())
    };
    let config = StackConfig {
        database_url: database.url().to_owned(),
        redis_url: services::service(services::REDIS),
        aws_endpoint: services::service(services::AWS),
        prefix: format!("exactly-once-{}", std::process::id()),
        partitions: 2,
        interactions_addr: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
        discord: Discord::Double(Box::new(double)),
        deliver_twice: true,
    };
    let stack = Stack::start(config, clock).await.unwrap();
    let double = stack.double.as_ref().unwrap();

    // Odd kills come back on the same disk under the same name; even ones are taken over by a stranger on a fresh disk.
    let disks = tempfile::tempdir().unwrap();
    let mut disk = disks.path().join("0");
    let mut holder = "runner-0".to_owned();
    let mut runner = spawn_runner(&stack, &disk, &holder);
    until("both shards to be connected", Duration::from_secs(60), || async {
        (double.gateway().counts().identifies == 2).then_some(())
    })
    .await;

    double.traffic().start(TrafficPlan {
        events_per_second: EVENTS_PER_SECOND,
        seed: 7,
        guild_ids: None,
        stop_after_events: Some(EVENTS),
        seconds: None,
    });
    for kill in 1..=KILLS {
        let target = EVENTS * kill / (KILLS + 1);
        until("traffic to go on", Duration::from_secs(120), || async {
            (double.ledger().total() >= target).then_some(())
        })
        .await;
        runner.kill().await.unwrap();
        if kill % 2 == 0 {
            disk = disks.path().join(kill.to_string());
            holder = format!("runner-{kill}");
        }
        runner = spawn_runner(&stack, &disk, &holder);
    }
    tokio::time::timeout(Duration::from_secs(120), double.traffic().finished()).await.unwrap();

    let dispatched = ledger(&stack);
    let total: u64 = dispatched.values().sum();
    assert!(total >= EVENTS, "the ledger holds {total} events");
    until("everything to be counted", Duration::from_secs(120), || async {
        (counted(&database).await.values().sum::<u64>() >= total).then_some(())
    })
    .await;
    assert_eq!(double.gateway().counts().identifies, 2, "every runner after the first resumed");
    runner.kill().await.unwrap();
    let dead_letters: Vec<_> = stack.resources.event_queues.iter().map(|queue| queue.dead_letter_url.clone()).collect();
    let aws = stack.aws.clone();
    // Only now is every second delivery over, which must have changed nothing.
    stack.shutdown().await;

    let counted = counted(&database).await;
    assert_eq!(difference(&dispatched, &counted), Vec::<String>::new());
    let mut db = database.pool().acquire().await.unwrap();
    assert_eq!(guildhall_store::audit::disagreements(&mut db).await.unwrap(), []);
    for url in dead_letters {
        assert_eq!(aws.waiting(&url).await.unwrap(), 0, "nothing was given up");
    }
}
