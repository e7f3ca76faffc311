//! The real binary under a local Lambda runtime.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use ed25519_dalek::{Signer as _, SigningKey};
use guildhall_runtime::Request;
use guildhall_runtime::lambda::{api_gateway_event, from_api_gateway_answer};
use guildhall_store::MIGRATOR;
use guildhall_test_kit::postgres::TestDatabase;
use guildhall_test_kit::{LambdaHost, services};
use serde_json::Value;

fn signed(key: &SigningKey, body: &'static str) -> Request {
    let timestamp = guildhall_runtime::system_clock().now().as_secs().to_string();
    let signature = key.sign(format!("{timestamp}{body}").as_bytes());
    http::Request::post("/interactions")
        .header("x-signature-ed25519", hex::encode(signature.to_bytes()))
        .header("x-signature-timestamp", timestamp)
        .header("content-type", "application/json")
        .body(body.into())
        .unwrap()
}

#[tokio::test]
async fn the_binary_answers_a_signed_ping_and_refuses_an_unsigned_one() {
    let database = TestDatabase::create(&MIGRATOR).await;
    let key = SigningKey::from_bytes(&[7; 32]);
    let mut environment = vec![
        ("DATABASE_URL", database.url().to_owned()),
        ("REDIS_URL", services::service(services::REDIS)),
        ("DISCORD_PUBLIC_KEY", hex::encode(key.verifying_key().as_bytes())),
        ("DISCORD_APPLICATION_ID", "1000000000000000001".to_owned()),
        ("WORK_QUEUE_URL", format!("{}/000000000000/none", services::service(services::AWS))),
    ];
    environment.extend(services::aws_environment());
    let host = LambdaHost::start(env!("CARGO_BIN_EXE_interactions"), &environment).await.unwrap();

    let ping = signed(&key, r#"{"id":"1","application_id":"1000000000000000001","type":1,"token":"t","version":1}"#);
    let pong = host.invoke(&api_gateway_event(&ping)).await.unwrap();
    let unsigned: Value = serde_json::from_str(include_str!("../../../infra/events/interactions.json")).unwrap();
    let refused = host.invoke(&unsigned).await.unwrap();

    let pong = from_api_gateway_answer(&pong).unwrap();
    assert_eq!(pong.status(), 200);
    assert_eq!(serde_json::from_slice::<Value>(pong.body()).unwrap()["type"], 1);
    let refused = from_api_gateway_answer(&refused).unwrap();
    assert_eq!(refused.status(), 401);
    assert_eq!(refused.headers()["content-type"], "application/problem+json");
}
