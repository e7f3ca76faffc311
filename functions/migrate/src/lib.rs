//! Brings the database's schema up to date.
//!
//! - **Trigger:** whoever deploys, right after the update that replaced all functions; migrations expand before they
//!   contract, so both versions of those work on the schema.
//! - **Latency budget:** 5 min.
//! - **Idempotency key:** a migration's version. Concurrent runs wait for each other on an advisory lock.
//! - **Failure policy:** a migration is one transaction; a failed one leaves the schema at its predecessor, and the
//!   deployment stops.

use guildhall_domain::Clock;
use guildhall_runtime::{ConfigError, Environment};
use guildhall_store::migrations::{self, Report};
use guildhall_store::{Connection as _, PgConnection, StoreError};

/// What the handler needs.
pub struct Deps {
    url: String,
}

impl Deps {
    /// Reads `DATABASE_URL`, which must lead to the server itself: a pooler in transaction mode loses the lock. All
    /// functions start alike; this one has no use for the clock.
    ///
    /// # Errors
    /// When the variable is missing.
    pub fn from_environment(environment: &Environment, _clock: Clock) -> Result<Self, ConfigError> {
        Ok(Self::new(environment.required("DATABASE_URL")?))
    }

    /// With the database at this address.
    pub fn new(url: impl Into<String>) -> Self {
        Self { url: url.into() }
    }
}

/// Carries out the migrations that the database has not seen.
///
/// # Errors
/// When the database is away, or a migration fails.
pub async fn handle(deps: &Deps) -> Result<Report, StoreError> {
    // A connection of its own for each run: after a failure the advisory lock goes with it.
    let mut db = PgConnection::connect(&deps.url).await?;
    let report = migrations::run(&mut db).await?;
    db.close().await?;
    Ok(report)
}
