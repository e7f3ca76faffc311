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
    /// With a database and a cache that are connected to when they are first used, or by [`Ctx::warm_up`].
    ///
    /// # Errors
    /// When an address is malformed.
    pub fn new(
        database_url: &SecretString,
        redis_url: &SecretString,
        connect: Connect,
        clock: Clock,
    ) -> Result<Self, ConnectError> {
        let cache = Cache::new(redis_url.expose_secret(), Limits::default()).map_err(ConnectError::Cache)?;
        let db = connect.lazily(database_url.expose_secret()).map_err(ConnectError::Database)?;
        Ok(Self { db, cache: cache.into(), clock })
    }

    /// As [`Ctx::new`], connected to both, and without whichever is away.
    ///
    /// # Errors
    /// As [`Ctx::new`].
    pub async fn connect(
        database_url: &SecretString,
        redis_url: &SecretString,
        connect: Connect,
        clock: Clock,
    ) -> Result<Self, ConnectError> {
        let ctx = Self::new(database_url, redis_url, connect, clock)?;
        ctx.warm_up().await;
        Ok(ctx)
    }

    /// Connects to the database and the cache, both at once. Whichever is away is connected to when it is next used.
    pub async fn warm_up(&self) {
        tokio::join!(guildhall_store::warm_up(&self.db), self.cache.warm_up());
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
    /// The queue at this address, with a client of its own, which is made for the first job.
    pub fn at(url: String) -> Self {
        Self { sqs: Sqs::lazily(), url }
    }
}
