//! The real binary under a local Lambda runtime.

use guildhall_store::MIGRATOR;
use guildhall_test_kit::LambdaHost;
use guildhall_test_kit::postgres::TestDatabase;
use serde_json::Value;

#[tokio::test]
async fn the_binary_reports_what_a_tick_did() {
    let database = TestDatabase::create(&MIGRATOR).await;
    let payload: Value = serde_json::from_str(include_str!("../../../infra/events/stats-rollup.json")).unwrap();
    let environment = [("DATABASE_URL", database.url().to_owned())];
    let host = LambdaHost::start(env!("CARGO_BIN_EXE_stats-rollup"), &environment).await.unwrap();

    let report = host.invoke(&payload).await.unwrap();

    assert!(report.is_object(), "{report}");
}
