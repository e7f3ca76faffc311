//! How long the server bears with a transaction.
//!
//! A function that runs out of time is stopped, not asked: nothing rolls its transaction back, and often nothing tells
//! the server that the other end is gone. Until the server finds out by itself, the transaction's locks hold up everybody
//! who counts for the same guilds.
//!
//! **Invariant:** every transaction that ingest waits for is over soon after its function's own time is, whether the
//! function waited for a lock, for an answer, or was not there any more.
//! **Invariant:** limits end with their transaction, so they are right behind a pooler in transaction mode too.

use sqlx::PgConnection;

use crate::StoreError;

/// The limits of one kind of transaction, in milliseconds. Each is below the time its function has.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// How long a statement waits for a lock.
    lock: u32,
    /// How long a statement takes, the wait for locks included.
    statement: u32,
    /// How long the transaction waits for its next statement.
    idle: u32,
}

impl Limits {
    /// Ingest's, which has 60 s; a batch is delivered again.
    pub(crate) const INGEST: Self = Self { lock: 10_000, statement: 25_000, idle: 5_000 };
    /// The rollup's, which has 240 s. It waits less for others than ingest waits for it.
    pub(crate) const ROLLUP: Self = Self { lock: 10_000, statement: 45_000, idle: 10_000 };
    /// Of a save that a person waits for, in a function that has 5 s.
    pub(crate) const SAVE: Self = Self { lock: 2_000, statement: 4_000, idle: 4_000 };

    /// Sets the limits for the rest of the transaction. COPY is no statement that waits for the next: what ends it when
    /// the client is gone are keep-alives, three within 25 s.
    pub(crate) async fn set(self, db: &mut PgConnection) -> Result<(), StoreError> {
        sqlx::query!(
            "SELECT set_config(name, value, true) FROM (VALUES
                 ('lock_timeout', $1), ('statement_timeout', $2), ('idle_in_transaction_session_timeout', $3),
                 ('tcp_keepalives_idle', '10'), ('tcp_keepalives_interval', '5'), ('tcp_keepalives_count', '3'),
                 ('tcp_user_timeout', '25000')
             ) AS limits (name, value)",
            self.lock.to_string(),
            self.statement.to_string(),
            self.idle.to_string(),
        )
        .fetch_all(db)
        .await?;
        Ok(())
    }
}
