//! The real binary under a local Lambda runtime.

use guildhall_store::MIGRATOR;
use guildhall_test_kit::postgres::TestDatabase;
use guildhall_test_kit::{LambdaHost, services};
use serde_json::{Value, json};

#[tokio::test]
async fn the_binary_forgets_a_job_whose_time_is_over_and_names_poison() {
    let database = TestDatabase::create(&MIGRATOR).await;
    let mut payload: Value = serde_json::from_str(include_str!("../../../infra/events/worker.json")).unwrap();
    let environment = [
        ("DATABASE_URL", database.url().to_owned()),
        ("REDIS_URL", services::service(services::REDIS)),
        ("DISCORD_TOKEN", "bot-4711".to_owned()),
        ("LOG_LEVEL", "trace".to_owned()),
        ("DISCORD_APPLICATION_ID", "1000000000000000001".to_owned()),
        // Nothing listens there: a job that is over must not reach for Discord.
        ("DISCORD_API_URL", "http://127.0.0.1:9".to_owned()),
    ];
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let host = LambdaHost::start_logged(env!("CARGO_BIN_EXE_worker"), &environment, &log).await.unwrap();
    let mut job: Value = serde_json::from_str(payload["Records"][0]["body"].as_str().unwrap()).unwrap();
    job["token"] = json!("interaction-4712");
    payload["Records"][0]["body"] = json!(job.to_string());

    let over = host.invoke(&payload).await.unwrap();
    assert_eq!(over, json!({ "batchItemFailures": [] }));

    let message_id = payload["Records"][0]["messageId"].clone();
    // Neither is one a job, and a parser likes to quote the second.
    job["expires_at"] = json!("body-4713");
    for body in ["body-4713".to_owned(), job.to_string()] {
        payload["Records"][0]["body"] = json!(body);
        let poison = host.invoke(&payload).await.unwrap();
        assert_eq!(poison, json!({ "batchItemFailures": [{ "itemIdentifier": message_id }] }));
    }

    let log = std::fs::read_to_string(log).unwrap();
    assert!(log.contains("message cannot be handled") && log.contains("\"_aws\""), "{log}");
    for word in ["bot-4711", "interaction-4712", "body-4713"] {
        assert_eq!(log.lines().find(|line| line.contains(word)), None, "{word} is printed");
    }
}
