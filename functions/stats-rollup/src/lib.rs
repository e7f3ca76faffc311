//! Renews the snapshots of hours and days, and ends what is kept for a time only.
//!
//! - **Trigger:** a schedule, every five minutes.
//! - **Latency budget:** [`RETENTION_BUDGET`] for what is old, [`BUDGET`] in all, and the statement that is running then;
//!   what is left is reported, and done by the next run.
//! - **Idempotency key:** none needed: a snapshot is a copy of counters, and removing what is old twice removes it once.
//! - **Failure policy:** a failed run changes nothing that the next one does not do again; the schedule is the retry.
//!   Neither half waits for the other to succeed: a disk that fills up helps no snapshot.

use std::time::Duration;

use guildhall_domain::{Clock, Timestamp};
use guildhall_runtime::{ConfigError, Environment};
use guildhall_store::rollup::{self, Refreshed, Removed};
use guildhall_store::{Connect, Health, PgConnection, PgPool, StoreError};
use serde::Serialize;
use tokio::time::Instant;

/// Hours refreshed in one transaction; ingest waits for it where it counts into one of them.
pub const BATCH_HOURS: i64 = 200;
/// When a run begins no further batch. The function is stopped at 240 s, and a statement may take 45 s.
pub const BUDGET: Duration = Duration::from_secs(150);
/// How much of it goes to what is old.
pub const RETENTION_BUDGET: Duration = Duration::from_secs(60);

/// What the handler needs.
pub struct Deps {
    pool: PgPool,
    clock: Clock,
    budget: Duration,
}

/// The function cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Its configuration is incomplete.
    #[error("the configuration is unusable")]
    Config(#[from] ConfigError),
    /// The database's address is unusable.
    #[error("the store cannot be used")]
    Store(#[from] StoreError),
}

impl Deps {
    /// Reads `DATABASE_URL`, and `DATABASE_TRANSACTION_POOLER` (`1` behind a pooler in transaction mode).
    ///
    /// # Errors
    /// When a variable is missing or unusable. A database that is away is no error here: it is connected to when it is
    /// first used.
    pub fn from_environment(environment: &Environment, clock: Clock) -> Result<Self, StartError> {
        let transaction_pooler = environment.flag("DATABASE_TRANSACTION_POOLER");
        let connect = Connect { max_connections: 1, transaction_pooler };
        Ok(Self::new(connect.lazily(environment.required("DATABASE_URL")?)?, clock))
    }

    /// With these connections.
    pub const fn new(pool: PgPool, clock: Clock) -> Self {
        Self { pool, clock, budget: BUDGET }
    }

    /// With another time for a run than [`BUDGET`].
    #[must_use]
    pub fn with_budget(self, budget: Duration) -> Self {
        Self { budget, ..self }
    }
}

/// What a run did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Report {
    /// What was removed because of its age.
    pub removed: Removed,
    /// Snapshots made.
    pub refreshed: Refreshed,
    /// Hours that wait for their snapshots, those included that were marked meanwhile.
    pub left: u64,
}

/// Ends what is old and renews snapshots.
///
/// # Errors
/// When the database is away or refuses.
pub async fn handle(deps: &Deps) -> Result<Report, StoreError> {
    let started = Instant::now();
    let now = deps.clock.now();
    let mut db = deps.pool.acquire().await?;
    watch(&mut db, now).await?;
    let retention = deps.budget.min(RETENTION_BUDGET);
    let removed = rollup::retain(&mut db, now, || started.elapsed() < retention).await;
    let mut refreshed = Refreshed::default();
    while started.elapsed() < deps.budget {
        let batch = rollup::refresh(&mut db, now, BATCH_HOURS).await?;
        refreshed.hours += batch.hours;
        refreshed.days += batch.days;
        if batch.hours < BATCH_HOURS.unsigned_abs() {
            break;
        }
    }
    let left = rollup::left(&mut db).await?;
    metrics::gauge!("snapshots_left").set(float(left));
    Ok(Report { removed: removed?, refreshed, left })
}

/// Measures what nobody else looks at regularly.
async fn watch(db: &mut PgConnection, now: Timestamp) -> Result<(), StoreError> {
    let Health { connections_used, connections_max, counted_at } = guildhall_store::health(db).await?;
    metrics::gauge!("db_connections_used").set(f64::from(connections_used));
    metrics::gauge!("db_connections_max").set(f64::from(connections_max));
    metrics::gauge!("db_connections_ratio").set(f64::from(connections_used) / f64::from(connections_max.max(1)));
    if let Some(counted_at) = counted_at {
        let millis = now.millis_since(counted_at).max(0);
        metrics::gauge!("ingest_idle_seconds").set(float(millis.unsigned_abs()) / 1_000.0);
    }
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "gauges; the values stay far below 2^52")]
fn float(value: u64) -> f64 {
    value as f64
}
