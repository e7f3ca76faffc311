//! How the database is doing, for those who watch over it.

use guildhall_domain::Timestamp;
use sqlx::PgConnection;

use crate::StoreError;
use crate::timed::Timed;

/// How the database is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Health {
    /// Connections of clients, the asking one included.
    pub connections_used: u32,
    /// Connections the server allows those who are no superusers.
    pub connections_max: u32,
    /// When ingest last counted anything; none where it never did.
    pub counted_at: Option<Timestamp>,
}

/// Asks the database how it is doing.
///
/// # Errors
/// When it does not answer.
pub async fn health(db: &mut PgConnection) -> Result<Health, StoreError> {
    let _timed = Timed::begin("health");
    let row = sqlx::query!(
        // Sessions of other roles are counted in `pg_stat_database`; `pg_stat_activity` hides what they are from a role that
        // only owns its database. Some connections are kept for superusers.
        r#"SELECT (SELECT sum(numbackends) FROM pg_stat_database)::integer AS "used!",
                  current_setting('max_connections')::integer
                      - current_setting('superuser_reserved_connections')::integer
                      - coalesce(current_setting('reserved_connections', true)::integer, 0) AS "max!",
                  (SELECT max(updated_at) FROM gateway_sequences) AS counted_at"#,
    )
    .fetch_one(db)
    .await?;
    Ok(Health {
        connections_used: row.used.unsigned_abs(),
        connections_max: row.max.unsigned_abs(),
        counted_at: row.counted_at.map(Timestamp::from_utc),
    })
}
