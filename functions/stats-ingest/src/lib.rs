//! Turns envelopes of gateway events into exact numbers.
//!
//! - **Trigger:** the event queues (SQS), in batches as large as the event source allows.
//! - **Latency budget:** 30 s for a batch; 10,000 events take well under one second on a database nearby.
//! - **Idempotency key:** (session, class, sequence) of every event, kept in the database; the message id means nothing.
//! - **Failure policy:** a body damaged on the way is delivered again. A body that was made wrong, or whose data the
//!   database refuses, fails alone and ends in the dead-letter queue. When the database is away, everything that was not
//!   counted is delivered again.
//!
//! **Invariant:** a message is reported as handled only after the transaction that counted it was committed.
//! **Invariant:** at most [`MAX_EVENTS`] events, and those of one more envelope, are decoded at a time.

mod batch;

use std::time::Duration;

use guildhall_domain::Clock;
use guildhall_runtime::{ConfigError, Delivery, Environment, Failure};
use guildhall_store::{Connect, PgPool, StoreError};

use batch::Batch;

/// Events in one transaction: more make COPY no faster, and take memory and hold locks longer.
pub const MAX_EVENTS: usize = 20_000;

/// How long parts of a batch are tried, in a function that has 60 s: the last transaction may take half of that.
const TRYING: Duration = Duration::from_secs(25);

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
    /// When a variable is missing or unusable. A database that is away is no error here: it is connected to when it is
    /// first used.
    pub fn from_environment(environment: &Environment, clock: Clock) -> Result<Self, StartError> {
        let transaction_pooler = environment.flag("DATABASE_TRANSACTION_POOLER");
        let connect = Connect { max_connections: 1, transaction_pooler };
        Ok(Self::new(connect.lazily(environment.required("DATABASE_URL")?)?, clock))
    }

    /// With these connections.
    pub const fn new(pool: PgPool, clock: Clock) -> Self {
        Self { pool, clock }
    }

    /// Connects ahead of the first batch. A database that is away is no error.
    pub fn warm_up(&self) -> impl Future<Output = ()> + Send + use<> {
        let pool = self.pool.clone();
        async move { guildhall_store::warm_up(&pool).await }
    }
}

/// Counts the envelopes in the messages' bodies; answers with those that were not counted.
pub async fn handle(deps: &Deps, deliveries: Vec<Delivery>) -> Vec<Failure> {
    let now = deps.clock.now();
    let deadline = tokio::time::Instant::now() + TRYING;
    let mut failures = Vec::new();
    let mut batch = Batch::default();
    for delivery in deliveries {
        match batch::read(delivery, now) {
            Ok(message) => batch.push(message),
            Err(failure) => failures.push(failure),
        }
        if batch.weight() >= MAX_EVENTS {
            failures.extend(std::mem::take(&mut batch).count(&deps.pool, now, deadline).await);
        }
    }
    failures.extend(batch.count(&deps.pool, now, deadline).await);
    failures
}
