//! The schema's history.
//!
//! **Invariant:** a migration that was shipped is never edited; the next one expands, a later one contracts.

use serde::Serialize;
use sqlx::PgConnection;
use sqlx::migrate::{Migrate as _, Migrator};

use crate::StoreError;

/// Every migration, compiled in.
pub static MIGRATOR: Migrator = sqlx::migrate!("../../migrations");

/// What a run of the migrations found and did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The migrations carried out now, such as `3 hypertables`.
    pub applied: Vec<String>,
    /// How many had been carried out before.
    pub already_applied: usize,
    /// TimescaleDB's edition: `apache`, `timescale`, or nothing on plain PostgreSQL.
    pub timescaledb: Option<String>,
}

/// Brings the schema up to date. Concurrent runs wait for each other on an advisory lock.
///
/// # Errors
/// When a migration fails, when a shipped one was edited, or when the database is away.
pub async fn run(db: &mut PgConnection) -> Result<Report, StoreError> {
    // Taken here, not by the migrator, so that what was there before is known exactly.
    db.lock().await?;
    let outcome = run_locked(db).await;
    // A lock of a failed connection dies with it; the first error is the one that matters.
    let unlocked = db.unlock().await;
    let report = outcome?;
    unlocked?;
    Ok(report)
}

async fn run_locked(db: &mut PgConnection) -> Result<Report, StoreError> {
    db.ensure_migrations_table(&MIGRATOR.table_name).await?;
    let before = db.list_applied_migrations(&MIGRATOR.table_name).await?;
    let mut migrator = Migrator::with_migrations(MIGRATOR.iter().cloned().collect());
    migrator.set_locking(false).run(&mut *db).await?;
    let applied = MIGRATOR
        .iter()
        .filter(|migration| before.iter().all(|known| known.version != migration.version))
        .map(|migration| format!("{} {}", migration.version, migration.description))
        .collect();
    Ok(Report { applied, already_applied: before.len(), timescaledb: timescaledb(db).await? })
}

/// TimescaleDB's edition; `None` on plain PostgreSQL.
pub(crate) async fn timescaledb(db: &mut PgConnection) -> Result<Option<String>, StoreError> {
    // Unchecked: the setting exists only where the extension does.
    let edition: Option<String> = sqlx::query_scalar(
        "SELECT current_setting('timescaledb.license', true)
         WHERE EXISTS (SELECT FROM pg_extension WHERE extname = 'timescaledb')",
    )
    .fetch_optional(db)
    .await?
    .flatten();
    Ok(edition)
}
