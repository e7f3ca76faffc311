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
    /// Connections the server allows.
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
        r#"SELECT (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend')::integer AS "used!",
                  current_setting('max_connections')::integer AS "max!",
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
