//! The handler on a real database.

use guildhall_domain::{Clock, Timestamp};
use guildhall_migrate::{Deps, handle};
use guildhall_runtime::Environment;
use guildhall_store::MIGRATOR;
use guildhall_test_kit::TestDatabase;
use guildhall_test_kit::services::{POSTGRES, service};

#[tokio::test]
async fn an_empty_database_gets_the_whole_schema_once() {
    let database = TestDatabase::empty(&service(POSTGRES)).await;
    let environment = Environment::from_pairs([("DATABASE_URL", database.url())]);
    let deps = Deps::from_environment(&environment, Clock::fixed(Timestamp::from_secs(0))).expect("it starts");
    let all = MIGRATOR.iter().count();
    let first = handle(&deps).await.expect("a report");
    assert_eq!((first.applied.len(), first.already_applied), (all, 0));
    let second = handle(&deps).await.expect("a report");
    assert_eq!((second.applied.len(), second.already_applied), (0, all));
}

#[tokio::test]
async fn a_schema_from_elsewhere_is_refused() {
    let database = TestDatabase::create(&MIGRATOR).await;
    let edited = database
        .number(
            "WITH edited AS (UPDATE _sqlx_migrations SET checksum = 'x' WHERE version = 2 RETURNING 1)
             SELECT count(*) FROM edited",
        )
        .await;
    assert_eq!(edited, 1);
    let deps = Deps::new(database.url());
    handle(&deps).await.expect_err("an edited migration");
    // The lock went with the connection: the next run is not held up by the failed one.
    handle(&deps).await.expect_err("still edited");
}
