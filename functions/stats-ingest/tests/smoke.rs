//! The real binary under a local Lambda runtime.

use guildhall_store::MIGRATOR;
use guildhall_test_kit::LambdaHost;
use guildhall_test_kit::postgres::TestDatabase;
use serde_json::{Value, json};

#[tokio::test]
async fn the_binary_counts_an_envelope_once_and_names_poison() {
    let database = TestDatabase::create(&MIGRATOR).await;
    let mut payload: Value = serde_json::from_str(include_str!("../../../infra/events/stats-ingest.json")).unwrap();
    let environment = [("DATABASE_URL", database.url().to_owned())];
    let host = LambdaHost::start(env!("CARGO_BIN_EXE_stats-ingest"), &environment).await.unwrap();

    let counted = host.invoke(&payload).await.unwrap();
    let again = host.invoke(&payload).await.unwrap();
    payload["Records"][0]["body"] = json!("not an envelope");
    let poison = host.invoke(&payload).await.unwrap();

    assert_eq!(counted, json!({ "batchItemFailures": [] }));
    assert_eq!(again, counted);
    let message_id = payload["Records"][0]["messageId"].clone();
    assert_eq!(poison, json!({ "batchItemFailures": [{ "itemIdentifier": message_id }] }));
    let counts = guildhall_store::audit::counts(&mut database.pool().acquire().await.unwrap()).await.unwrap();
    assert_eq!(counts.iter().map(|row| row.count).sum::<u64>(), 2, "{counts:?}");
}
