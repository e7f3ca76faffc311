//! What can go wrong between here and the database.

/// A statement was not carried out, or what it returned makes no sense.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database refused, or could not be reached.
    #[error("the database did not carry out a statement")]
    Database(#[from] sqlx::Error),
    /// The connection string cannot be read. Its text is not repeated: it holds a password.
    #[error("the database's address is not a PostgreSQL connection string")]
    Address,
    /// A migration failed.
    #[error("a migration failed")]
    Migration(#[from] sqlx::migrate::MigrateError),
    /// A row holds what this version never writes.
    #[error("a row of {table} cannot be read: {what}")]
    Unreadable {
        /// The table.
        table: &'static str,
        /// What is wrong with the row.
        what: &'static str,
    },
    /// What is to be stored contradicts what is.
    #[error("this contradicts what {table} holds: {what}")]
    Contradiction {
        /// The table.
        table: &'static str,
        /// How.
        what: &'static str,
    },
    /// A row's JSON is not what this version writes.
    #[error("a row of {table} holds JSON that cannot be read")]
    Json {
        /// The table.
        table: &'static str,
        /// The reason.
        #[source]
        source: serde_json::Error,
    },
}

impl StoreError {
    /// Whether a lock was not to be had in time (SQLSTATE 55P03).
    pub fn is_lock_timeout(&self) -> bool {
        matches!(self, Self::Database(sqlx::Error::Database(error)) if error.code().as_deref() == Some("55P03"))
    }

    /// Whether it was too much at once: a statement's time was up, or the server lacked memory, locks or disk for it
    /// (SQLSTATE 57014, and classes 53 and 54 but for want of connections). Less of it may pass.
    pub fn is_too_much(&self) -> bool {
        let Self::Database(sqlx::Error::Database(error)) = self else { return false };
        error.code().is_some_and(|code| {
            code == "57014" || code.starts_with("54") || (code.starts_with("53") && code != "53300")
        })
    }

    /// Whether the data itself was refused (SQLSTATE classes 22 and 23), so that trying again cannot help.
    pub fn is_data(&self) -> bool {
        match self {
            Self::Contradiction { .. } => true,
            Self::Database(sqlx::Error::Database(error)) => {
                error.code().is_some_and(|code| code.starts_with("22") || code.starts_with("23"))
            }
            Self::Database(sqlx::Error::Encode(_)) => true,
            _ => false,
        }
    }
}
