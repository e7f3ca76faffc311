//! A stage: a simulated Discord, a database, queues, two runners and the ingest functions, each reaching what it needs
//! through proxies of its own.
//!
//! **Invariant:** stages share servers and nothing else: each has its own database, queues, table and double.
//! **Invariant:** the programs under test are the real binaries, in processes of their own.

mod curtain;
mod runner;
mod start;

use std::cell::Cell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use guildhall_devstack::provision::{Aws, Resources};
use guildhall_discord_double::Double;
use guildhall_discord_double::ledger::Row;
use guildhall_discord_double::traffic::TrafficPlan;
use guildhall_domain::{EventKind, GuildId, PriorityClass};
use guildhall_store::audit;
use guildhall_test_kit::TestDatabase;
use tempfile::TempDir;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

pub use self::runner::Runner;
pub use self::start::{Setup, through};
use crate::function::Function;
use crate::proxy::{Mode, Proxy};
use crate::report::Outcome;
use crate::scale::Scale;
use crate::wait::eventually;

/// Everything a fault plays with. It ends when it is dropped.
pub struct Stage {
    /// The size of the run.
    pub scale: Scale,
    /// Discord.
    pub double: Double,
    /// The database.
    pub database: Arc<TestDatabase>,
    /// The database as each function reaches it.
    pub databases: Vec<Proxy>,
    /// Clients of the emulator, past all proxies.
    pub aws: Aws,
    /// Queues and table.
    pub resources: Resources,
    /// The runners.
    pub runners: Vec<Runner>,
    /// The functions, one for each event queue.
    pub functions: Vec<Arc<Function>>,
    setup: Setup,
    folder: Arc<TempDir>,
    poison: Vec<String>,
    stop: CancellationToken,
    sources: JoinSet<()>,
    traffic: Cell<Option<Traffic>>,
    expectation: Expectation,
}

/// When things happen in the guilds.
#[derive(Debug, Clone, Copy)]
struct Traffic {
    since: Instant,
    /// How many happened in a second, once it is over.
    rate: Option<f64>,
}

/// What the books may say beside the ledger's numbers.
#[derive(Debug, Clone, Copy)]
struct Expectation {
    /// Whether Discord drops sessions for good.
    lost_sessions: bool,
    /// Sessions of earlier sets of shards.
    earlier_sessions: u64,
}

/// Counts per guild and kind.
type Counts = BTreeMap<(GuildId, EventKind), u64>;

/// Whether this kind is counted before all others.
fn urgent(kind: EventKind) -> bool {
    kind.class() <= PriorityClass::High
}

/// The ledger's lines of urgent kinds, by guild and kind.
fn sum(rows: impl IntoIterator<Item = Row>) -> Counts {
    let mut counts = Counts::new();
    for row in rows.into_iter().filter(|row| urgent(row.kind)) {
        if let Some(guild) = row.guild_id {
            *counts.entry((guild, row.kind)).or_default() += row.count;
        }
    }
    counts
}

impl Stage {
    /// Lets things happen in the guilds until the stage is settled.
    pub fn traffic(&self) {
        self.traffic_at(self.scale.events_per_second);
    }

    /// The same at another pace.
    pub fn traffic_at(&self, events_per_second: f64) {
        self.traffic.set(Some(Traffic { since: Instant::now(), rate: None }));
        self.double.traffic().start(TrafficPlan {
            events_per_second,
            seed: self.scale.seed,
            guild_ids: None,
            stop_after_events: None,
            seconds: None,
        });
    }

    /// Waits until so many things more have happened.
    ///
    /// # Errors
    /// When they do not.
    pub async fn happened(&self, events: u64) -> anyhow::Result<()> {
        let target = self.double.ledger().total() + events;
        eventually("traffic", self.scale.patience, || async {
            Ok((self.double.ledger().total() >= target).then_some(()))
        })
        .await
    }

    /// Lets the present state last: the length of a fault.
    pub async fn hold(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }

    /// A span of a full run, scaled, and at least `least`.
    pub fn span(&self, full: u64, least: u64) -> Duration {
        self.scale.span(Duration::from_secs(full), Duration::from_secs(least))
    }

    /// The runners' proxies in front of SQS, all at once.
    pub fn sqs(&self, mode: Mode) {
        self.runners.iter().for_each(|runner| runner.sqs.set(mode));
    }

    /// The runners' proxies in front of DynamoDB, all at once.
    pub fn dynamodb(&self, mode: Mode) {
        self.runners.iter().for_each(|runner| runner.dynamodb.set(mode));
    }

    /// The functions' proxies in front of the database, all at once.
    pub fn database(&self, mode: Mode) {
        self.databases.iter().for_each(|proxy| proxy.set(mode));
    }

    /// Keeps the stage's files, the logs among them, for as long as this is kept.
    pub fn files(&self) -> Arc<TempDir> {
        Arc::clone(&self.folder)
    }

    /// The folder of the stage's files.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Discord drops sessions for good in this fault: gaps are in order, as long as they hold what is missing.
    pub fn sessions_may_be_lost(&mut self) {
        self.expectation.lost_sessions = true;
    }

    /// How many sessions have a connection.
    pub fn connected(&self) -> usize {
        self.double.gateway().sessions().iter().filter(|session| session.connected).count()
    }

    /// Waits until every shard's session has a connection.
    ///
    /// # Errors
    /// When one has none for too long.
    pub async fn all_connected(&self) -> anyhow::Result<()> {
        let shards = self.setup.shards as usize;
        let limit = self.scale.patience;
        eventually("every shard to be connected", limit, || async { Ok((self.connected() >= shards).then_some(())) })
            .await
    }

    /// What the ledger says of urgent kinds.
    fn urgent_sent(&self) -> Counts {
        sum(self.double.ledger().rows())
    }

    /// What sessions took with them of urgent kinds.
    fn urgent_lost(&self) -> Counts {
        let lost = self.double.ledger().lost();
        sum(lost.iter().flat_map(|session| session.unsent.iter().chain(&session.unconfirmed)).copied())
    }

    /// What was counted of urgent kinds.
    async fn urgent_counted(&self) -> anyhow::Result<Counts> {
        let mut db = self.database.pool().acquire().await?;
        let mut counts = Counts::new();
        for row in audit::quarters(&mut db).await?.into_iter().filter(|row| urgent(row.kind)) {
            *counts.entry((row.guild, row.kind)).or_default() += row.count;
        }
        Ok(counts)
    }

    /// Waits until everything urgent that was sent up to now is counted, in each guild; returns how long that took.
    ///
    /// # Errors
    /// When it takes too long.
    pub async fn recovered(&self) -> anyhow::Result<Duration> {
        self.recovered_within(self.scale.patience).await
    }

    /// The same, when more has piled up than on another day.
    ///
    /// # Errors
    /// When it takes too long.
    pub async fn recovered_within(&self, limit: Duration) -> anyhow::Result<Duration> {
        let since = Instant::now();
        self.all_connected().await?;
        let sent = self.urgent_sent();
        let counted = eventually("what was sent to be counted", limit, || async {
            let (counted, lost) = (self.urgent_counted().await?, self.urgent_lost());
            let of = |counts: &Counts, key| counts.get(key).copied().unwrap_or(0);
            let all = sent.iter().all(|(key, sent)| of(&counted, key) + of(&lost, key) >= *sent);
            Ok(all.then_some(()))
        });
        counted.await.with_context(|| self.words())?;
        Ok(since.elapsed())
    }

    /// Ends the traffic, lets everything arrive, stops the runners, and audits the books.
    ///
    /// # Errors
    /// When something does not end in good order; deviations of the books are part of the outcome.
    pub async fn settle(mut self, recovery: Option<Duration>) -> anyhow::Result<Outcome> {
        self.fall_silent().await?;
        self.close(recovery).await
    }

    /// Ends the traffic, and the runners when they have read all of it.
    ///
    /// # Errors
    /// When they do not read it, or do not end in good order.
    pub async fn fall_silent(&mut self) -> anyhow::Result<()> {
        self.quiet().await;
        self.read_to_the_end().await?;
        for runner in &mut self.runners {
            runner.stop().await?;
        }
        Ok(())
    }

    /// The runners cut all guilds over to so many shards; more IDENTIFYs are in order.
    pub fn resharded(&mut self, shards: u32) {
        self.expectation.earlier_sessions += u64::from(self.setup.shards);
        self.setup.shards = shards;
    }

    /// Waits until the runners have taken what Discord sent.
    async fn read_to_the_end(&self) -> anyhow::Result<()> {
        let shards = self.setup.shards as usize;
        let read = eventually("everything to be read", self.scale.patience, || async {
            let sessions = self.double.gateway().sessions();
            let done = sessions.iter().filter(|s| s.connected && s.confirmed == s.sequence).count();
            Ok((done >= shards && done == sessions.len()).then_some(()))
        });
        read.await.with_context(|| format!("{:?}", self.double.gateway().sessions()))
    }

    /// Lets nothing more happen in the guilds.
    pub async fn quiet(&self) {
        self.double.traffic().stop().await;
        if let Some(traffic) = self.traffic.get().filter(|traffic| traffic.rate.is_none()) {
            #[expect(clippy::cast_precision_loss, reason = "for people to read")]
            let total = self.double.ledger().total() as f64;
            let rate = Some(total / traffic.since.elapsed().as_secs_f64());
            self.traffic.set(Some(Traffic { rate, ..traffic }));
        }
    }

    /// Events of all kinds that were dispatched in a second of traffic.
    fn rate(&self) -> f64 {
        self.traffic.get().and_then(|traffic| traffic.rate).unwrap_or(0.0)
    }

    /// A path of the stage's folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}
