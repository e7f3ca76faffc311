//! A database of its own for every test, on a real server.
//!
//! The migrations run once for each server and schema, into a template; a test's database is a copy of it, which takes
//! some milliseconds.
//!
//! **Invariant:** two tests never share a database, whatever runs beside them.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::str::FromStr as _;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context as _, Result};
use sqlx::migrate::Migrator;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgPool, PgPoolOptions};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, Executor as _};

use crate::services::{POSTGRES, service};

/// Guards the making of templates; any number will do, as long as it stays the same.
const TEMPLATE_LOCK: i64 = 0x6775_696c_6468;
/// Enough for a test that lets several connections compete.
const MAX_CONNECTIONS: u32 = 6;

static NEXT: AtomicU32 = AtomicU32::new(0);

/// A database that exists as long as this value.
pub struct TestDatabase {
    server: PgConnectOptions,
    name: String,
    url: String,
    pool: PgPool,
}

impl TestDatabase {
    /// A migrated, empty database on the server that tests use.
    ///
    /// # Panics
    /// When there is no server, or it refuses.
    pub async fn create(migrator: &Migrator) -> Self {
        Self::on(&service(POSTGRES), migrator).await
    }

    /// A migrated, empty database on this server.
    ///
    /// # Panics
    /// When there is no server, or it refuses.
    pub async fn on(server: &str, migrator: &Migrator) -> Self {
        Self::try_on(server, migrator).await.unwrap_or_else(|error| panic!("no test database: {error:#}"))
    }

    /// An empty database on this server, without any schema.
    ///
    /// # Panics
    /// When there is no server, or it refuses.
    pub async fn empty(server: &str) -> Self {
        Self::on(server, &Migrator::with_migrations(Vec::new())).await
    }

    async fn try_on(server: &str, migrator: &Migrator) -> Result<Self> {
        let server = PgConnectOptions::from_str(server).context("the server's address is not a connection string")?;
        let mut admin = PgConnection::connect_with(&server).await.context("the server is away")?;
        let template = template(&server, &mut admin, migrator).await?;
        let name = format!("test_{}_{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        // One of that name can only be left over from a process that was killed.
        run(&mut admin, format!(r#"DROP DATABASE IF EXISTS "{name}" WITH (FORCE)"#)).await?;
        run(&mut admin, format!(r#"CREATE DATABASE "{name}" TEMPLATE "{template}""#)).await?;
        admin.close().await?;
        let options = server.clone().database(&name);
        let url = options.to_url_lossy().to_string();
        let pool = PgPoolOptions::new().max_connections(MAX_CONNECTIONS).connect_lazy_with(options);
        Ok(Self { server, name, url, pool })
    }

    /// Where the database is, for programs that connect by themselves.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Connections to it.
    pub const fn pool(&self) -> &PgPool {
        &self.pool
    }

    /// Carries out statements, for tests that make the database behave in its own ways.
    ///
    /// # Panics
    /// When one of them is refused.
    pub async fn execute(&self, statements: &'static str) {
        sqlx::raw_sql(statements)
            .execute(&self.pool)
            .await
            .unwrap_or_else(|error| panic!("not carried out: {error}\n{statements}"));
    }

    /// The one number that a statement yields, for tests that look behind the store's back.
    ///
    /// # Panics
    /// When it yields anything else.
    pub async fn number(&self, statement: &'static str) -> i64 {
        sqlx::query_scalar(statement)
            .fetch_one(&self.pool)
            .await
            .unwrap_or_else(|error| panic!("no number from {statement}: {error}"))
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        let server = self.server.clone();
        let statement = format!(r#"DROP DATABASE IF EXISTS "{}" WITH (FORCE)"#, self.name);
        // Drop cannot wait within the test's runtime. What fails here is cleaned up with the server's files.
        let dropped = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(async {
                let mut admin = PgConnection::connect_with(&server).await?;
                run(&mut admin, statement).await
            })
        });
        let _best_effort = dropped.join();
    }
}

/// The name of the migrated template, which is made if it is not there yet.
async fn template(server: &PgConnectOptions, admin: &mut PgConnection, migrator: &Migrator) -> Result<String> {
    let mut hasher = DefaultHasher::new();
    for migration in migrator.iter() {
        migration.version.hash(&mut hasher);
        migration.checksum.hash(&mut hasher);
    }
    let name = format!("template_{:016x}", hasher.finish());
    sqlx::query("SELECT pg_advisory_lock($1)").bind(TEMPLATE_LOCK).execute(&mut *admin).await?;
    // Only a finished one is marked as a template.
    let finished = sqlx::query("SELECT FROM pg_database WHERE datname = $1 AND datistemplate")
        .bind(&name)
        .fetch_optional(&mut *admin)
        .await?
        .is_some();
    if !finished {
        run(admin, format!(r#"DROP DATABASE IF EXISTS "{name}" WITH (FORCE)"#)).await?;
        run(admin, format!(r#"CREATE DATABASE "{name}""#)).await?;
        let mut db = PgConnection::connect_with(&server.clone().database(&name)).await?;
        migrator.run(&mut db).await.context("a migration failed")?;
        db.close().await?;
        // Nobody may be connected while it is copied, TimescaleDB's own workers included.
        run(admin, format!(r#"ALTER DATABASE "{name}" WITH ALLOW_CONNECTIONS false"#)).await?;
        sqlx::query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1")
            .bind(&name)
            .execute(&mut *admin)
            .await?;
        run(admin, format!(r#"ALTER DATABASE "{name}" WITH IS_TEMPLATE true"#)).await?;
    }
    sqlx::query("SELECT pg_advisory_unlock($1)").bind(TEMPLATE_LOCK).execute(&mut *admin).await?;
    Ok(name)
}

/// Runs a statement that takes no parameters. Names are made above, of letters and digits.
async fn run(db: &mut PgConnection, statement: String) -> Result<()> {
    db.execute(AssertSqlSafe(statement)).await?;
    Ok(())
}
