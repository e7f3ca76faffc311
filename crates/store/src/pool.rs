//! Connections.

use std::str::FromStr as _;
use std::time::Duration;

use sqlx::PgPool;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use crate::StoreError;
use crate::prompt::send_at_once;

/// A Lambda has three seconds for its whole answer.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(2);
/// Lambda freezes functions between calls; a connection that old is likely dead on the server's side.
const IDLE_TIMEOUT: Duration = Duration::from_secs(5 * 60);

/// How to reach the database.
#[derive(Clone, Copy, Debug)]
pub struct Connect {
    /// The most connections held at a time. A Lambda needs one.
    pub max_connections: u32,
    /// Whether a pooler in transaction mode (PgBouncer) stands between: statements are then not kept prepared.
    pub transaction_pooler: bool,
}

impl Connect {
    /// Straight to the server, with this many connections at most.
    pub const fn direct(max_connections: u32) -> Self {
        Self { max_connections, transaction_pooler: false }
    }

    /// A pool that connects when it is first used, or by [`warm_up`].
    ///
    /// # Errors
    /// When `url` is not a connection string.
    pub fn lazily(self, url: &str) -> Result<PgPool, StoreError> {
        let mut options = PgConnectOptions::from_str(url).map_err(|_| StoreError::Address)?;
        options = options.application_name("guildhall");
        if self.transaction_pooler {
            options = options.statement_cache_capacity(0);
        }
        Ok(PgPoolOptions::new()
            .max_connections(self.max_connections)
            .acquire_timeout(ACQUIRE_TIMEOUT)
            .idle_timeout(IDLE_TIMEOUT)
            .after_connect(|_, _| {
                Box::pin(async {
                    send_at_once();
                    Ok(())
                })
            })
            .connect_lazy_with(options))
    }

    /// As [`Connect::lazily`], with its first connection if the database answers at once.
    ///
    /// # Errors
    /// As [`Connect::lazily`]. A database that is away is no error here: the pool connects when it is next used.
    pub async fn open(self, url: &str) -> Result<PgPool, StoreError> {
        let pool = self.lazily(url)?;
        warm_up(&pool).await;
        Ok(pool)
    }
}

/// Connects ahead of the first use. A database that is away is no failure: the pool tries again when it is used.
pub async fn warm_up(pool: &PgPool) {
    if let Err(error) = pool.acquire().await {
        tracing::warn!(error = %error, "the database is away; connecting when it is next needed");
    }
}

/// Opens a pool of direct connections; see [`Connect::open`].
///
/// # Errors
/// When `url` is not a connection string.
pub async fn connect(url: &str, max_connections: u32) -> Result<PgPool, StoreError> {
    Connect::direct(max_connections).open(url).await
}
