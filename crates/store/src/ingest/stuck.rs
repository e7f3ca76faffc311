//! Transactions whose function is not there any more, in the one place where no limit of the server's ends them.
//!
//! A server that waits for the data of a COPY looks at no timeout, and a function that was frozen keeps its connection
//! open. Its locks would hold up everybody who counts for the same session until it is thawed or its machine ends.

use sqlx::PgConnection;

use crate::StoreError;

/// Ends the connections of this role that have waited in vain for the data of a COPY. Whoever still lives there sees a
/// lost connection, and what it did not commit is delivered again.
///
/// # Errors
/// When the database does not carry it out.
pub async fn end_stuck(db: &mut PgConnection) -> Result<u64, StoreError> {
    let ended = sqlx::query_scalar!(
        r#"SELECT count(*) FILTER (WHERE pg_terminate_backend(pid)) AS "ended!" FROM pg_stat_activity
           WHERE datname = current_database() AND usename = current_user AND pid <> pg_backend_pid()
               AND state = 'active' AND wait_event_type = 'Client' AND wait_event = 'ClientRead'
               AND query LIKE 'COPY events (%' AND query_start < clock_timestamp() - interval '5 seconds'"#,
    )
    .fetch_one(db)
    .await?;
    Ok(ended.unsigned_abs())
}
