//! The worker does each job once, however often the queue delivers it.
//!
//! **Invariant:** at any time one worker at most holds a job's lease; a job that finished never runs again.

use guildhall_domain::{InteractionId, Timestamp};
use sqlx::PgConnection;

use crate::StoreError;
use crate::timed::Timed;

/// Whether a job is to be run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Begin {
    /// Run it; it is leased to the caller.
    Run {
        /// 1 the first time; more when an earlier worker gave it back or did not finish within its lease.
        attempt: i32,
    },
    /// It was finished before.
    Done,
    /// Another worker holds its lease.
    Busy,
}

/// Leases a job for `lease_millis`.
///
/// # Errors
/// When the database does not carry it out.
pub async fn begin(
    db: &mut PgConnection,
    id: InteractionId,
    now: Timestamp,
    lease_millis: i64,
) -> Result<Begin, StoreError> {
    let _timed = Timed::begin("job_begin");
    let leased = sqlx::query_scalar!(
        "INSERT INTO jobs (id, attempt, leased_until, started_at) VALUES ($1, 1, $3, $2)
         ON CONFLICT (id) DO UPDATE SET attempt = jobs.attempt + 1, leased_until = excluded.leased_until
         WHERE jobs.finished_at IS NULL AND jobs.leased_until <= $2
         RETURNING attempt",
        id.to_db(),
        now.to_utc(),
        now.plus_millis(lease_millis).to_utc(),
    )
    .fetch_optional(&mut *db)
    .await?;
    if let Some(attempt) = leased {
        return Ok(Begin::Run { attempt });
    }
    let finished =
        sqlx::query_scalar!(r#"SELECT finished_at IS NOT NULL AS "finished!" FROM jobs WHERE id = $1"#, id.to_db(),)
            .fetch_optional(db)
            .await?;
    Ok(if finished == Some(true) { Begin::Done } else { Begin::Busy })
}

/// Marks a job as finished for good.
///
/// # Errors
/// When the database does not carry it out.
pub async fn finish(db: &mut PgConnection, id: InteractionId, now: Timestamp) -> Result<(), StoreError> {
    let _timed = Timed::begin("job_finish");
    sqlx::query!("UPDATE jobs SET finished_at = coalesce(finished_at, $2) WHERE id = $1", id.to_db(), now.to_utc())
        .execute(db)
        .await?;
    Ok(())
}

/// Gives a job back that its attempt did not finish, so that the next delivery can take it at once. A job that has
/// another attempt by now, or is finished, is left alone.
///
/// # Errors
/// When the database does not carry it out.
pub async fn release(db: &mut PgConnection, id: InteractionId, attempt: i32, now: Timestamp) -> Result<(), StoreError> {
    let _timed = Timed::begin("job_release");
    sqlx::query!(
        "UPDATE jobs SET leased_until = $3 WHERE id = $1 AND attempt = $2 AND finished_at IS NULL",
        id.to_db(),
        attempt,
        now.to_utc(),
    )
    .execute(db)
    .await?;
    Ok(())
}
