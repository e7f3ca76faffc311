//! A contestant's own database, and what the server spends on it.

use std::time::Duration;

use anyhow::{Context as _, Result};
use guildhall_domain::EventKind;
use guildhall_store::MIGRATOR;
use guildhall_test_kit::TestDatabase;
use guildhall_test_kit::services::POSTGRES;
use sqlx::postgres::{PgConnection, PgPool};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _};
use tokio::runtime::Runtime;

use crate::digest::Digest;
use crate::{Setup, cpu};

/// A migrated database that ends with its value, with the runtime that talks to it.
pub struct Database {
    runtime: Runtime,
    database: TestDatabase,
    /// What is measured goes over one connection, as in a function.
    connection: PgConnection,
}

impl Database {
    /// A database of its own for one contestant.
    ///
    /// # Errors
    /// When there is no server.
    pub fn create(setup: &Setup) -> Result<Self> {
        let server = setup.service(POSTGRES)?;
        let runtime = crate::setup::runtime()?;
        let database = runtime.block_on(TestDatabase::on(server, &MIGRATOR));
        let connection = runtime.block_on(PgConnection::connect(database.url())).context("the server is away")?;
        // As a pool of the store's does.
        guildhall_store::send_at_once();
        Ok(Self { runtime, database, connection })
    }

    /// Where it is, for other programs: without what only this one's client understands.
    pub fn url(&self) -> &str {
        self.database.url().split('?').next().unwrap_or_default()
    }

    /// Runs what needs the connection that is measured.
    ///
    /// # Errors
    /// What `work` fails with.
    pub fn with<T>(&mut self, work: impl AsyncFnOnce(&mut PgConnection) -> Result<T>) -> Result<T> {
        self.runtime.block_on(work(&mut self.connection))
    }

    /// Statements beside what is measured.
    ///
    /// # Errors
    /// When the server refuses.
    pub fn run(&self, statements: &str) -> Result<()> {
        let pool: &PgPool = self.database.pool();
        self.runtime.block_on(pool.execute(AssertSqlSafe(statements.to_owned()))).context("the server refuses")?;
        Ok(())
    }

    /// What `columns` of a table hold, `kind, how many, sum over guilds` by kind; kinds of ours alone.
    ///
    /// # Errors
    /// When the server refuses.
    pub fn digest(&self, statement: &'static str) -> Result<Digest> {
        let rows: Vec<(i16, i64, i64)> =
            self.runtime.block_on(sqlx::query_as(statement).fetch_all(self.database.pool()))?;
        let mut digest = Digest::default();
        for (kind, count, guilds) in rows {
            let Some(kind) = u8::try_from(kind).ok().and_then(EventKind::from_code) else { continue };
            digest.add(kind, count.unsigned_abs(), guilds.unsigned_abs());
        }
        Ok(digest)
    }

    /// The CPU time that the server's processes for this database took so far. Zero where they are on another machine.
    ///
    /// # Errors
    /// When the server refuses.
    pub fn server_cpu(&self) -> Result<Duration> {
        let pids: Vec<i32> = self.runtime.block_on(
            sqlx::query_scalar("SELECT pid FROM pg_stat_activity WHERE datname = current_database() ORDER BY pid")
                .fetch_all(self.database.pool()),
        )?;
        let of = |pid: i32| cpu::of_process(pid.unsigned_abs()).unwrap_or_default();
        Ok(pids.into_iter().map(of).sum())
    }
}

/// Raw events by kind.
pub const RAW: &str = "SELECT kind, count(*), sum(guild_id % 1000000)::bigint FROM events GROUP BY kind";
/// Counted events by kind.
pub const COUNTED: &str =
    "SELECT kind, sum(count)::bigint, sum(count * (guild_id % 1000000))::bigint FROM guild_quarters GROUP BY kind";
