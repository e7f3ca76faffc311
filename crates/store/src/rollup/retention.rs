//! The end of what is kept for a time only.

use guildhall_domain::Timestamp;
use serde::Serialize;
use sqlx::types::chrono::{DateTime, Utc};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};

use crate::StoreError;
use crate::limits::Limits;
use crate::migrations::timescaledb;
use crate::timed::Timed;

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
    /// Whether something old may be left.
    pub cut_short: bool,
}

/// Removes what is older than it is kept, as long as `go_on` says so; it is asked before every batch.
///
/// # Errors
/// When the database does not carry it out; what was removed until then stays removed.
pub async fn retain(
    db: &mut PgConnection,
    now: Timestamp,
    go_on: impl FnMut() -> bool + Send,
) -> Result<Removed, StoreError> {
    let _timed = Timed::begin("rollup_retain");
    let before = |days: i64| now.plus_millis(-days * DAY_MILLIS).to_utc();
    let mut removed = Removed::default();
    let mut sweep = Sweep { db, go_on, cut_short: false };
    for (table, column, days) in
        [("events", "ts", RAW_DAYS), ("gauges", "slot", RAW_DAYS), ("metrics_snapshots", "bucket", SNAPSHOT_DAYS)]
    {
        if is_hypertable(sweep.db, table).await? {
            removed.chunks += sweep.drop_chunks(table, before(days)).await?;
        } else {
            removed.rows += sweep.delete(table, &format!("{column} < $1"), before(days)).await?;
        }
    }
    let sequences = before(SEQUENCE_DAYS);
    removed.sequences = sweep.delete("gateway_sequences", "updated_at < $1", sequences).await?;
    // In order, so that going into a channel never outlives coming out of it.
    let counted = "at < $1 AND (channel_id IS NULL OR counted_until < $1) ORDER BY at, seq, idx";
    removed.voice = sweep.delete("voice_transitions", counted, sequences).await?;
    removed.voice += sweep.delete("voice_rosters", "at < $1 ORDER BY at", sequences).await?;
    removed.interactions = sweep.delete("interactions_seen", "seen_at < $1", before(INTERACTION_DAYS)).await?;
    removed.jobs = sweep.delete("jobs", "started_at < $1", before(JOB_DAYS)).await?;
    removed.cut_short = sweep.cut_short;
    Ok(removed)
}

/// Whether the table is a hypertable, which having the extension does not say: it may have come after the table.
async fn is_hypertable(db: &mut PgConnection, table: &str) -> Result<bool, StoreError> {
    if timescaledb(db).await?.is_none() {
        return Ok(false);
    }
    // Unchecked: the view exists only where TimescaleDB does.
    let found = sqlx::query_scalar(
        "SELECT EXISTS (SELECT FROM timescaledb_information.hypertables
                        WHERE hypertable_schema = current_schema() AND hypertable_name = $1)",
    )
    .bind(table)
    .fetch_one(db)
    .await?;
    Ok(found)
}

/// A run through everything that can be old.
struct Sweep<'a, F> {
    db: &'a mut PgConnection,
    go_on: F,
    cut_short: bool,
}

impl<F: FnMut() -> bool + Send> Sweep<'_, F> {
    fn goes_on(&mut self) -> bool {
        let goes_on = (self.go_on)();
        self.cut_short |= !goes_on;
        goes_on
    }

    async fn drop_chunks(&mut self, table: &'static str, before: DateTime<Utc>) -> Result<u64, StoreError> {
        if !self.goes_on() {
            return Ok(0);
        }
        let mut tx = self.db.begin().await?;
        Limits::ROLLUP.set(&mut tx).await?;
        // Unchecked: the function exists only where TimescaleDB does.
        let chunks = sqlx::query("SELECT drop_chunks($1::regclass, older_than => $2)")
            .bind(table)
            .bind(before)
            .fetch_all(&mut *tx)
            .await?;
        tx.commit().await?;
        Ok(chunks.len() as u64)
    }

    async fn delete(&mut self, table: &'static str, condition: &str, before: DateTime<Utc>) -> Result<u64, StoreError> {
        // Unchecked: one statement for several tables. Table and condition are constants of this file.
        let statement = format!(
            "DELETE FROM {table} WHERE ctid = ANY (ARRAY(SELECT ctid FROM {table} WHERE {condition} LIMIT {BATCH}))"
        );
        let mut removed = 0;
        while self.goes_on() {
            let mut tx = self.db.begin().await?;
            Limits::ROLLUP.set(&mut tx).await?;
            let delete = sqlx::query(AssertSqlSafe(statement.clone())).bind(before);
            let done = delete.execute(&mut *tx).await?.rows_affected();
            tx.commit().await?;
            removed += done;
            if done < BATCH.unsigned_abs() {
                break;
            }
        }
        Ok(removed)
    }
}
