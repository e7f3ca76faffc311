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
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let host = LambdaHost::start_logged(env!("CARGO_BIN_EXE_stats-ingest"), &environment, &log).await.unwrap();

    let counted = host.invoke(&payload).await.unwrap();
    let again = host.invoke(&payload).await.unwrap();
    payload["Records"][0]["body"] = json!("body-4713");
    let poison = host.invoke(&payload).await.unwrap();

    assert_eq!(counted, json!({ "batchItemFailures": [] }));
    assert_eq!(again, counted);
    let message_id = payload["Records"][0]["messageId"].clone();
    assert_eq!(poison, json!({ "batchItemFailures": [{ "itemIdentifier": message_id }] }));
    let counts = guildhall_store::audit::counts(&mut database.pool().acquire().await.unwrap()).await.unwrap();
    assert_eq!(counts.iter().map(|row| row.count).sum::<u64>(), 2, "{counts:?}");

    // Each invocation has written its figures before it answered, the failing one too.
    let log = std::fs::read_to_string(log).unwrap();
    assert!(!log.contains("body-4713"), "a body is printed: {log}");
    let figures: Vec<Value> =
        log.lines().filter(|line| line.contains("\"_aws\"")).map(|line| serde_json::from_str(line).unwrap()).collect();
    let sum = |name: &str| figures.iter().filter_map(|figures| figures[name].as_u64()).sum::<u64>();
    assert_eq!((sum("events_processed_total"), sum("events_duplicate_total")), (8, 4), "{log}");
    assert_eq!(sum("delivery_failures_total"), 1, "{log}");
    let requests: std::collections::BTreeSet<String> = log
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter_map(|line| Some(line["span"]["requestId"].as_str()?.to_owned()))
        .collect();
    assert_eq!(requests.len(), 3, "each line says which request it belongs to: {log}");
}
