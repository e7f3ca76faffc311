//! All of Guildhall's SQL.
//!
//! **Invariant:** SQL is written here and nowhere else, and checked against the schema when it is compiled; the few
//! statements that cannot be (they name what only some databases have) say so where they stand.
//! **Invariant:** functions take a connection, never a pool, so that the caller decides what is one transaction.
//! **Invariant:** nothing found is `Ok(None)`, never an error. An error says whether trying again can help.
//! **Invariant:** this crate knows nothing of Discord's REST, of queues or of HTTP.

pub mod audit;
pub mod error;
mod health;
pub mod ingest;
pub mod interactions;
pub mod jobs;
mod limits;
pub mod migrations;
pub mod pool;
mod prompt;
pub mod rollup;
pub mod settings;
pub mod stats;
pub mod subscriptions;
mod timed;

pub use error::StoreError;
pub use health::{Health, health};
pub use migrations::MIGRATOR;
pub use pool::{Connect, connect, warm_up};
pub use prompt::send_at_once;
pub use sqlx::{Connection, PgConnection, PgPool};
