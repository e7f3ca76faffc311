//! The schema's history, on all three tiers, with data in it.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use guildhall_store::migrations::{self, Report};
use guildhall_store::{Connection as _, MIGRATOR, PgConnection, stats};
use guildhall_test_kit::TestDatabase;
use guildhall_test_kit::services::{POSTGRES, TIMESCALE, service};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

use crate::support::{at, guild};

/// What each migration is followed by: rows such as production has, which the next one must carry over.
const SAMPLES: &[(i64, &str)] = &[
    (1, include_str!("../samples/0001.sql")),
    (2, include_str!("../samples/0002.sql")),
    (3, include_str!("../samples/0003.sql")),
];

async fn empty_databases() -> Vec<TestDatabase> {
    let mut databases = vec![TestDatabase::empty(&service(POSTGRES)).await];
    let timescale = service(TIMESCALE);
    if timescale != "absent" {
        databases.push(TestDatabase::empty(&timescale).await);
    }
    databases
}

async fn with_samples(db: &mut PgConnection) {
    let versions: Vec<i64> = MIGRATOR.iter().map(|migration| migration.version).collect();
    assert_eq!(versions, SAMPLES.iter().map(|(version, _)| *version).collect::<Vec<_>>(), "each ships sample data");
    for (version, sample) in SAMPLES {
        MIGRATOR.run_to(*version, &mut *db).await.expect("migrated");
        sqlx::raw_sql(*sample).execute(&mut *db).await.expect("sample data");
    }
    let hour = guildhall_domain::Span { start: at("2026-02-01T00:00:00Z"), end: at("2026-02-01T01:00:00Z") };
    let totals = stats::guild_totals(db, guild(1), hour).await.expect("totals");
    assert_eq!((totals.messages(), totals.voice_minutes()), (4, 1));
    let raw: i64 = sqlx::query_scalar("SELECT count(*) FROM events").fetch_one(&mut *db).await.expect("a number");
    assert_eq!(raw, 1);
}

#[tokio::test]
async fn every_migration_carries_the_data_of_the_one_before() {
    for database in empty_databases().await {
        let mut db = database.pool().acquire().await.expect("a connection");
        with_samples(&mut db).await;
    }
}

#[tokio::test]
async fn a_run_reports_what_it_did_and_the_next_finds_nothing_to_do() {
    for (database, edition) in empty_databases().await.into_iter().zip([None, Some("apache".to_owned())]) {
        let mut db = database.pool().acquire().await.expect("a connection");
        let applied = ["1 guilds", "2 stats", "3 hypertables"].map(str::to_owned).to_vec();
        let first = migrations::run(&mut db).await.expect("migrated");
        assert_eq!(first, Report { applied, already_applied: 0, timescaledb: edition.clone() });
        let second = migrations::run(&mut db).await.expect("migrated");
        assert_eq!(second, Report { applied: Vec::new(), already_applied: 3, timescaledb: edition });
    }
}

#[tokio::test]
async fn concurrent_runs_wait_for_each_other() {
    let database = TestDatabase::empty(&service(POSTGRES)).await;
    let run = async || {
        let mut db = database.pool().acquire().await.expect("a connection");
        migrations::run(&mut db).await.expect("migrated").applied.len()
    };
    let (one, other) = tokio::join!(run(), run());
    assert_eq!((one.min(other), one.max(other)), (0, 3));
}

#[tokio::test]
async fn the_apache_edition_has_hypertables_without_default_indexes() {
    let timescale = service(TIMESCALE);
    if timescale == "absent" {
        return;
    }
    let database = TestDatabase::on(&timescale, &MIGRATOR).await;
    let tables: Vec<String> =
        sqlx::query_scalar("SELECT hypertable_name::text FROM timescaledb_information.hypertables ORDER BY 1")
            .fetch_all(database.pool())
            .await
            .expect("rows");
    assert_eq!(tables, ["events", "gauges", "metrics_snapshots"]);
    let by_time: Vec<String> =
        sqlx::query_scalar("SELECT indexdef FROM pg_indexes WHERE tablename = 'events' AND indexdef LIKE '%(ts%'")
            .fetch_all(database.pool())
            .await
            .expect("rows");
    assert_eq!(by_time, Vec::<String>::new());
}

/// The full edition, as WebAssembly under Node, with the packages of `tests/pglite`. It answers one query at a time.
struct FullEdition {
    url: String,
    _server: Child,
}

impl FullEdition {
    async fn start() -> Self {
        let script = Path::new("tests/pglite/server.mjs");
        let mut server = Command::new("node")
            .arg(script)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("node runs");
        let mut lines = BufReader::new(server.stdout.take().expect("its output")).lines();
        let port = tokio::time::timeout(Duration::from_secs(120), lines.next_line())
            .await
            .expect("it starts within two minutes")
            .expect("its output is text")
            .expect("it prints its port; `cargo xtask test` installs the packages it needs");
        let url = format!("postgres://postgres:postgres@127.0.0.1:{port}/postgres?sslmode=disable");
        Self { url, _server: server }
    }
}

#[tokio::test]
async fn the_full_edition_also_has_the_columnstore_and_its_policies() {
    let full = FullEdition::start().await;
    let mut db = PgConnection::connect(&full.url).await.expect("a connection");
    with_samples(&mut db).await;
    let report = migrations::run(&mut db).await.expect("migrated");
    assert_eq!(report.timescaledb.as_deref(), Some("timescale"));
    let tables: Vec<(String, bool)> = sqlx::query_as(
        "SELECT hypertable_name::text, compression_enabled FROM timescaledb_information.hypertables ORDER BY 1",
    )
    .fetch_all(&mut db)
    .await
    .expect("rows");
    let expected = [("events", true), ("gauges", false), ("metrics_snapshots", true)];
    assert_eq!(tables, expected.map(|(name, columnstore)| (name.to_owned(), columnstore)));

    let jobs: Vec<(i32, String)> = sqlx::query_as(
        "SELECT job_id, hypertable_name::text FROM timescaledb_information.jobs
         WHERE proc_name = 'policy_compression' ORDER BY hypertable_name",
    )
    .fetch_all(&mut db)
    .await
    .expect("rows");
    assert_eq!(jobs.iter().map(|(_, table)| table.as_str()).collect::<Vec<_>>(), ["events", "metrics_snapshots"]);
    for (job, _) in jobs {
        sqlx::query("CALL run_job($1)").bind(job).execute(&mut db).await.expect("the policy ran");
    }
    let compressed: Vec<String> = sqlx::query_scalar(
        "SELECT hypertable_name::text FROM timescaledb_information.chunks WHERE is_compressed ORDER BY 1",
    )
    .fetch_all(&mut db)
    .await
    .expect("rows");
    assert_eq!(compressed, ["events", "metrics_snapshots"]);

    // A late event finds its way into a chunk in the columnstore, and a snapshot there is renewed.
    let late = "INSERT INTO events VALUES ('2026-02-01T00:00:02Z', 1, 5, 7, 1001, 1, 4, 0, 0, 1);
        INSERT INTO metrics_snapshots VALUES (1, 'hour', '2026-02-01T00:00:00Z', 5, 0, 0, 0, 0, 0, 0, 60, 1, 120, 30, '{}')
        ON CONFLICT (guild_id, period, bucket) DO UPDATE SET messages = excluded.messages";
    sqlx::raw_sql(late).execute(&mut db).await.expect("written");
    let counts: (i64, i64) =
        sqlx::query_as("SELECT (SELECT count(*) FROM events), (SELECT sum(messages)::bigint FROM metrics_snapshots)")
            .fetch_one(&mut db)
            .await
            .expect("a row");
    assert_eq!(counts, (2, 5));
}
