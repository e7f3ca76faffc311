//! Renews the snapshots of hours and days, and ends what is kept for a time only.
//!
//! - **Trigger:** a schedule, every five minutes.
//! - **Latency budget:** 60 s; what is left after [`MAX_BATCHES`] batches is done by the next run.
//! - **Idempotency key:** none needed: a snapshot is a copy of counters, and removing what is old twice removes it once.
//! - **Failure policy:** a failed run changes nothing that the next one does not do again; the schedule is the retry.

use guildhall_domain::Clock;
use guildhall_runtime::{ConfigError, Environment};
use guildhall_store::rollup::{self, Refreshed, Removed};
use guildhall_store::{Connect, PgPool, StoreError};
use serde::Serialize;

/// Hours refreshed in one transaction; ingest waits for it where it counts into one of them.
pub const BATCH_HOURS: i64 = 200;
/// Transactions of one run.
pub const MAX_BATCHES: u32 = 500;

/// What the handler needs.
pub struct Deps {
    pool: PgPool,
    clock: Clock,
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
    /// When a variable is missing or unusable. A database that is away is no error here.
    pub async fn from_environment(environment: &Environment, clock: Clock) -> Result<Self, StartError> {
        let transaction_pooler = environment.flag("DATABASE_TRANSACTION_POOLER");
        let connect = Connect { max_connections: 1, transaction_pooler };
        Ok(Self::new(connect.open(environment.required("DATABASE_URL")?).await?, clock))
    }

    /// With these connections.
    pub const fn new(pool: PgPool, clock: Clock) -> Self {
        Self { pool, clock }
    }
}

/// What a run did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Snapshots made.
    pub refreshed: Refreshed,
    /// Whether every snapshot is up to date now.
    pub finished: bool,
    /// What was removed because of its age.
    pub removed: Removed,
}

/// Renews snapshots and ends what is old.
///
/// # Errors
/// When the database is away or refuses.
pub async fn handle(deps: &Deps) -> Result<Report, StoreError> {
    let now = deps.clock.now();
    let mut db = deps.pool.acquire().await?;
    let mut refreshed = Refreshed::default();
    let mut finished = false;
    for _ in 0..MAX_BATCHES {
        let batch = rollup::refresh(&mut db, now, BATCH_HOURS).await?;
        if batch == Refreshed::default() {
            finished = true;
            break;
        }
        refreshed.hours += batch.hours;
        refreshed.days += batch.days;
    }
    let removed = rollup::retain(&mut db, now).await?;
    Ok(Report { refreshed, finished, removed })
}
