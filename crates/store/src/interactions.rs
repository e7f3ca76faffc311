//! An interaction has its effect once.
//!
//! **Invariant:** the claim is part of the transaction that has the effect; if that fails, the claim is gone too.

use guildhall_domain::{InteractionId, Timestamp};
use sqlx::PgConnection;

use crate::StoreError;
use crate::timed::Timed;

/// Claims an interaction: `true` when it had no effect yet. A concurrent claim of the same id waits for the first
/// one's transaction to end.
///
/// # Errors
/// When the database does not carry it out.
pub async fn claim(db: &mut PgConnection, id: InteractionId, now: Timestamp) -> Result<bool, StoreError> {
    let _timed = Timed::begin("interaction_claim");
    let done = sqlx::query!(
        "INSERT INTO interactions_seen (interaction_id, seen_at) VALUES ($1, $2) ON CONFLICT DO NOTHING",
        id.to_db(),
        now.to_utc(),
    )
    .execute(db)
    .await?;
    Ok(done.rows_affected() == 1)
}
