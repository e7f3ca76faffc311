//! The end of what is kept for a time only.

use guildhall_domain::Timestamp;
use serde::Serialize;
use sqlx::types::chrono::{DateTime, Utc};
use sqlx::{AssertSqlSafe, PgConnection};

use crate::StoreError;
use crate::migrations::timescaledb;

const DAY_MILLIS: i64 = 24 * 3_600_000;
const RAW_DAYS: i64 = 30;
const SNAPSHOT_DAYS: i64 = 366;
/// Longer than journals, queues and dead letters live, so that what is counted once stays counted once.
const SEQUENCE_DAYS: i64 = 60;
const INTERACTION_DAYS: i64 = 1;
const JOB_DAYS: i64 = 7;
/// Rows removed by one statement: a long one would hold back vacuum and replicas.
const BATCH: i64 = 10_000;

/// What was removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Removed {
    /// Chunks of hypertables: raw events, gauges, snapshots.
    pub chunks: u64,
    /// Rows of the same tables where they are ordinary ones.
    pub rows: u64,
    /// Sessions' sequences.
    pub sequences: u64,
    /// Voice transitions and rosters whose time is counted.
    pub voice: u64,
    /// Ids of interactions.
    pub interactions: u64,
    /// The worker's jobs.
    pub jobs: u64,
}

/// Removes what is older than it is kept.
///
/// # Errors
/// When the database does not carry it out; what was removed until then stays removed.
pub async fn retain(db: &mut PgConnection, now: Timestamp) -> Result<Removed, StoreError> {
    let before = |days: i64| now.plus_millis(-days * DAY_MILLIS).to_utc();
    let mut removed = Removed::default();
    let hypertables = timescaledb(db).await?.is_some();
    for (table, column, days) in
        [("events", "ts", RAW_DAYS), ("gauges", "slot", RAW_DAYS), ("metrics_snapshots", "bucket", SNAPSHOT_DAYS)]
    {
        if hypertables {
            removed.chunks += drop_chunks(db, table, before(days)).await?;
        } else {
            removed.rows += delete(db, table, &format!("{column} < $1"), before(days)).await?;
        }
    }
    let sequences = before(SEQUENCE_DAYS);
    removed.sequences = delete(db, "gateway_sequences", "updated_at < $1", sequences).await?;
    let counted = "at < $1 AND (channel_id IS NULL OR counted_until < $1)";
    removed.voice = delete(db, "voice_transitions", counted, sequences).await?;
    removed.voice += delete(db, "voice_rosters", "at < $1", sequences).await?;
    removed.interactions = delete(db, "interactions_seen", "seen_at < $1", before(INTERACTION_DAYS)).await?;
    removed.jobs = delete(db, "jobs", "started_at < $1", before(JOB_DAYS)).await?;
    Ok(removed)
}

async fn drop_chunks(db: &mut PgConnection, table: &str, before: DateTime<Utc>) -> Result<u64, StoreError> {
    // Unchecked: the function exists only where TimescaleDB does.
    let chunks = sqlx::query("SELECT drop_chunks($1::regclass, older_than => $2)")
        .bind(table)
        .bind(before)
        .fetch_all(db)
        .await?;
    Ok(chunks.len() as u64)
}

async fn delete(
    db: &mut PgConnection,
    table: &'static str,
    condition: &str,
    before: DateTime<Utc>,
) -> Result<u64, StoreError> {
    // Unchecked: one statement for several tables. Table and condition are constants of this file.
    let statement = format!(
        "DELETE FROM {table} WHERE ctid = ANY (ARRAY(SELECT ctid FROM {table} WHERE {condition} LIMIT {BATCH}))"
    );
    let mut removed = 0;
    loop {
        let done = sqlx::query(AssertSqlSafe(statement.clone())).bind(before).execute(&mut *db).await?.rows_affected();
        removed += done;
        if done < BATCH.unsigned_abs() {
            return Ok(removed);
        }
    }
}
