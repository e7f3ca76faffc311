//! The real binary under a local Lambda runtime.

use guildhall_test_kit::postgres::TestDatabase;
use guildhall_test_kit::{LambdaHost, services};
use serde_json::Value;

#[tokio::test]
async fn the_binary_migrates_an_empty_database_and_then_finds_nothing_to_do() {
    let database = TestDatabase::empty(&services::service(services::POSTGRES)).await;
    let payload: Value = serde_json::from_str(include_str!("../../../infra/events/migrate.json")).unwrap();
    let environment = [("DATABASE_URL", database.url().to_owned())];
    let host = LambdaHost::start(env!("CARGO_BIN_EXE_migrate"), &environment).await.unwrap();

    let first = host.invoke(&payload).await.unwrap();
    let second = host.invoke(&payload).await.unwrap();

    assert!(first["applied"].as_array().is_some_and(|applied| !applied.is_empty()), "{first}");
    assert_eq!(second["applied"], serde_json::json!([]), "{second}");
}
