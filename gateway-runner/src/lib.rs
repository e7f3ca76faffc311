//! The shard runner: holds the Discord gateway and sends what happens there, exactly, to the event queues.
//!
//! Trigger: none, it runs for ever. Layers: [`fleet`] (leases) → [`shard`] (read loop) → [`project`] (frame → events) →
//! [`batch`] (priority classes) → [`journal`] (SQLite) → [`send`] (SQS); [`lease`] and [`identify`] speak to DynamoDB,
//! [`admin`] to probes.
//!
//! Latency: critical events are committed and sent at once, the others after 1, 5 and 30 seconds at the latest.
//! Identity: (session id, sequence, index); whatever is sent twice is counted once.
//! Failure: every part but the journal may be away for as long as it likes. SQS away: the journal fills, then reading
//! stops. DynamoDB away: what is connected goes on, nothing new is connected. The journal damaged: the process ends, and
//! begins a new one.
//!
//! **Invariant:** no event is dropped between reading it and SQS's acceptance; what Discord could not deliver is recorded
//! as a coverage gap.
//! **Invariant:** every queue is bounded, and what is behind it waits; the database of the product is not known here.

pub mod admin;
pub mod batch;
pub mod config;
pub mod discovery;
pub mod fleet;
pub mod gauges;
pub mod health;
mod housekeeping;
pub mod identify;
pub mod journal;
pub mod lease;
pub mod meter;
pub mod project;
pub mod reshard;
pub mod send;
pub mod shard;
pub mod sharding;
pub mod status;
pub mod watch;
pub mod watermark;

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Context as _;
use aws_config::SdkConfig;
use aws_config::timeout::TimeoutConfig;
pub use config::Config;
use guildhall_domain::{Clock, ShardId, Timestamp};
use guildhall_queue::Sqs;
use guildhall_runtime::telemetry::chain;
use secrecy::ExposeSecret as _;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use twilight_gateway::Intents;

use discovery::{Discovery, DiscoveryError};
use fleet::{Fleet, Identity};
use identify::Gate;
use journal::{Found, Journal};
use lease::{Table, TableError};
use sharding::{Candidate, ShardingError};
use status::Status;
use watermark::Watermarks;

/// How long a hand-over waits for SQS to take the rest.
const DRAIN: Duration = Duration::from_secs(15);
/// The pause before a table that does not answer is asked again.
const AGAIN: Duration = Duration::from_secs(1);
/// Attempts to ask Discord before a set of shards that is settled begins without its answer.
const PATIENCE_WITH_DISCORD: u32 = 3;
/// How long the journal's thread may take to write what it was told.
const JOIN: Duration = Duration::from_secs(2);

/// Runs a runner until it is told to stop, with AWS as the environment describes it.
///
/// # Errors
/// When it cannot start, or its journal is damaged.
pub async fn run(config: Config, clock: Clock, stop: CancellationToken) -> anyhow::Result<()> {
    let aws = aws_config::load_from_env().await;
    run_with(config, &aws, clock, stop).await
}

/// As [`run`], with this AWS configuration.
///
/// # Errors
/// When it cannot start, or its journal is damaged.
pub async fn run_with(config: Config, aws: &SdkConfig, clock: Clock, stop: CancellationToken) -> anyhow::Result<()> {
    let metrics = guildhall_runtime::metrics::install().context("another recorder of metrics is installed")?;
    guildhall_runtime::metrics::catalogue::begin(guildhall_runtime::metrics::catalogue::Source::Runner);
    let (mut tasks, status, probed) = (JoinSet::new(), Status::default(), Arc::new(OnceLock::new()));
    let listener = tokio::net::TcpListener::bind(config.admin_addr)
        .await
        .with_context(|| format!("cannot listen on {} (RUNNER_ADMIN_ADDR)", config.admin_addr))?;
    tracing::info!(address = %listener.local_addr()?, "probes and metrics are served");
    let render = metrics.clone();
    let admin =
        admin::Admin { status: status.clone(), journal: probed.clone(), render: Arc::new(move || render.render()) };
    tasks.spawn(async move { axum::serve(listener, admin::router(admin)).await.context("the admin server ended") });
    let table = Table::new(dynamo(aws, config.lease_term), config.table.clone(), &config.application, clock.clone());
    if !reach(&table, &stop).await? {
        return Ok(());
    }
    let discovery = Discovery::new(&config.api_url, &config.token);
    let Some(gateway) = discover(&discovery, &table, &config, &stop).await? else { return Ok(()) };
    let holder: Arc<str> = holder(&config.holder, clock.now()).into();
    let partitions = u32::try_from(config.queue_urls.len()).context("too many event queues")?;
    let (journal, found, thread) =
        Journal::open(&config.journal_dir, config.journal_max_bytes, &holder, partitions, clock.now())?;
    // The cell's only other handle is the admin server's, so that the journal ends when that does.
    let _empty = probed.set(journal.clone()).is_ok();
    drop(probed);
    let candidate =
        Candidate { table: &table, holder: &holder, predecessors: &found.predecessors, term: config.lease_term };
    let settled = loop {
        let settled = tokio::select! {
            settled = candidate.settle(config.shard_count, gateway.shards) => settled.map(Some),
            () = stop.cancelled() => table.farewell(&holder).await.map(|()| None).map_err(Into::into),
        };
        match settled {
            Err(ShardingError::Table(error @ TableError::Unavailable(_))) if !stop.is_cancelled() => {
                tracing::error!(error = %error, "the number of shards cannot be settled yet");
                tokio::time::sleep(AGAIN).await;
            }
            settled => break settled,
        }
    };
    let sharding = match settled {
        Ok(Some(sharding)) => sharding,
        other => {
            tasks.shutdown().await;
            close(journal, thread).await;
            return other.map(drop).map_err(Into::into);
        }
    };
    let shard_count = sharding.count;
    let marks = Watermarks::default();
    for (session, id, first, first_at) in &found.pending {
        marks.submitted(session, *id, *first, *first_at, None);
    }
    tracing::info!(shard_count, holder = %holder, pending = found.pending.len(), "the runner starts");

    let sqs = Sqs::from_config(aws);
    for (partition, queue_url) in (0..partitions).zip(config.queue_urls.clone()) {
        let sender =
            send::Sender { sqs: sqs.clone(), queue_url, partition, journal: journal.clone(), marks: marks.clone() };
        tasks.spawn(async move { sender.run().await.map_err(anyhow::Error::from) });
    }
    let upkeep = move || metrics.run_upkeep();
    let watching = housekeeping::run(upkeep, journal.clone(), config.journal_max_bytes, status.clone());
    tasks.spawn(async move {
        watching.await;
        Ok(())
    });

    let intents = intents(config.members_intent);
    let configuration = identify::fingerprint(config.token.expose_secret(), intents.bits(), &config.retry);
    let gate = Arc::new(Gate::new(table.clone(), discovery, clock.clone(), status.clone(), configuration));
    let budget = housekeeping::budget(gate.clone(), status.clone());
    tasks.spawn(async move {
        budget.await;
        Ok(())
    });
    let deps = shard::Deps {
        gate,
        journal: journal.clone(),
        marks,
        clock,
        status,
        token: config.token,
        sharding,
        intents,
        // Discord's own address is twilight's default; only a local double is named.
        gateway_url: gateway.url.filter(|url| url.starts_with("ws://")),
        drain: DRAIN,
        class_map: config.class_map,
    };
    let (identity, local) = past(found, holder);
    let fleet = Fleet::new(Arc::new(deps), table, identity, config.lease_term, config.reshard, local);
    let ended = tokio::select! {
        ended = fleet.run(stop) => ended,
        Some(task) = tasks.join_next() => match task? {
            Ok(()) => Err(anyhow::anyhow!("a part of the runner ended unexpectedly")),
            Err(error) => Err(error),
        },
    };
    tasks.shutdown().await;
    close(journal, thread).await;
    tracing::info!("the runner ends");
    ended
}

async fn close(journal: Journal, thread: JoinHandle<()>) {
    drop(journal);
    // The thread ends with the last handle; a connection of the admin server may hold one a little longer.
    let joined = tokio::task::spawn_blocking(move || thread.join());
    let _late = tokio::time::timeout(JOIN, joined).await.is_err();
}

/// A name no other process has: containers have the same process ids, and may start in the same millisecond.
fn holder(name: &str, now: Timestamp) -> String {
    // The keys of the hasher are the operating system's random bits.
    let random = RandomState::new().hash_one(now.as_millis());
    format!("{name}-{}-{}-{random:016x}", std::process::id(), now.as_millis())
}

fn past(found: Found, holder: Arc<str>) -> (Identity, HashMap<ShardId, (Arc<str>, watermark::Mark)>) {
    let local = found.sessions.into_iter().map(|row| (row.shard, (row.session_id, row.mark))).collect();
    (Identity { holder, predecessors: found.predecessors }, local)
}

/// Waits until the coordination table answers; `false` when told to stop meanwhile.
async fn reach(table: &Table, stop: &CancellationToken) -> anyhow::Result<bool> {
    loop {
        match table.check().await {
            Ok(()) => return Ok(true),
            Err(error @ TableError::Missing(_)) => return Err(error.into()),
            Err(error) => tracing::error!(error = %error, "the runner cannot begin without the coordination table"),
        }
        tokio::select! {
            () = stop.cancelled() => return Ok(false),
            () = tokio::time::sleep(AGAIN) => {}
        }
    }
}

/// Where to connect, and with how many shards.
struct Start {
    /// The gateway's address; `None` for Discord's own.
    url: Option<String>,
    shards: u32,
}

/// Asks Discord where to connect, for as long as it takes; `None` when told to stop meanwhile. Where the number of shards
/// is settled, an answer is not needed: sessions can be resumed, and a new one waits for it by itself.
async fn discover(
    discovery: &Discovery,
    table: &Table,
    config: &Config,
    stop: &CancellationToken,
) -> anyhow::Result<Option<Start>> {
    let mut pause = Duration::from_secs(1);
    for attempt in 1_u32.. {
        match discovery.fetch(Duration::ZERO).await {
            Ok(gateway) => return Ok(Some(Start { url: Some(gateway.url), shards: gateway.shards })),
            Err(error @ DiscoveryError::Unauthorized) => return Err(error.into()),
            Err(error) => tracing::error!(error = chain(&error), "cannot learn from Discord where to connect"),
        }
        match table.pin().await {
            Ok(Some(pin)) if attempt >= PATIENCE_WITH_DISCORD => {
                tracing::warn!(
                    shards = pin.count,
                    "going on without Discord's answer, with the shards that are pinned"
                );
                // A stand-in for the API is one for the gateway as well: Discord's own must not hear of its token.
                let url = config.api_url.strip_prefix("http://").map(|host| format!("ws://{host}"));
                return Ok(Some(Start { url, shards: pin.count }));
            }
            Ok(_) => {}
            Err(error) => tracing::error!(error = %error, "cannot learn how many shards are pinned"),
        }
        tokio::select! {
            () = stop.cancelled() => return Ok(None),
            () = tokio::time::sleep(pause) => pause = (pause * 2).min(Duration::from_secs(30)),
        }
    }
    Ok(None)
}

fn dynamo(aws: &SdkConfig, term: Duration) -> aws_sdk_dynamodb::Client {
    // A write that takes longer than this could come too late for the lease.
    let attempt = (term / 3).clamp(Duration::from_secs(1), Duration::from_secs(3));
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(attempt)
        .operation_attempt_timeout(attempt)
        .operation_timeout(attempt * 2)
        .build();
    let config = aws_sdk_dynamodb::config::Builder::from(aws).timeout_config(timeouts).build();
    aws_sdk_dynamodb::Client::from_conf(config)
}

fn intents(members: bool) -> Intents {
    let always = Intents::GUILDS
        | Intents::GUILD_MODERATION
        | Intents::GUILD_INVITES
        | Intents::GUILD_VOICE_STATES
        | Intents::GUILD_MESSAGES
        | Intents::GUILD_MESSAGE_REACTIONS;
    if members { always | Intents::GUILD_MEMBERS } else { always }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_holders_have_the_same_name() {
        let now = Timestamp::from_secs(1_700_000_000);
        let (one, other) = (holder("runner", now), holder("runner", now));
        assert!(one.starts_with("runner-") && one != other, "{one} {other}");
    }
}
