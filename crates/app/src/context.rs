//! What use cases work with.
//!
//! **Invariant:** made once per process and shared; a database or cache that is away does not keep it from being made.

use guildhall_cache::{Cache, InvalidAddress, Limits};
use guildhall_domain::Clock;
use guildhall_queue::Sqs;
pub use guildhall_store::Connect;
use guildhall_store::{PgPool, StoreError};
use secrecy::{ExposeSecret as _, SecretString};

/// The database, the cache and the clock.
#[derive(Debug, Clone)]
pub struct Ctx {
    /// Connections to the database.
    pub db: PgPool,
    /// The cache.
    pub cache: std::sync::Arc<Cache>,
    /// The present.
    pub clock: Clock,
}

/// A dependency's address is unusable.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// That of the database.
    #[error("the database's address is unusable")]
    Database(#[source] StoreError),
    /// That of the cache.
    #[error("the cache's address is unusable")]
    Cache(#[source] InvalidAddress),
}

impl Ctx {
    /// Connects to the database and the cache, both at once, and goes on without whichever is away.
    ///
    /// # Errors
    /// When an address is malformed.
    pub async fn connect(
        database_url: &SecretString,
        redis_url: &SecretString,
        connect: Connect,
        clock: Clock,
    ) -> Result<Self, ConnectError> {
        let cache = Cache::new(redis_url.expose_secret(), Limits::default()).map_err(ConnectError::Cache)?;
        let (db, ()) = tokio::join!(connect.open(database_url.expose_secret()), cache.warm_up());
        Ok(Self { db: db.map_err(ConnectError::Database)?, cache: cache.into(), clock })
    }
}

/// The queue on which work waits that takes longer than an answer may.
#[derive(Debug, Clone)]
pub struct WorkQueue {
    /// The client.
    pub sqs: Sqs,
    /// The queue.
    pub url: String,
}

impl WorkQueue {
    /// The queue at this address, with a client of its own. Nothing is sent until the first job.
    pub async fn connect(url: String) -> Self {
        Self { sqs: Sqs::connect().await, url }
    }
}
