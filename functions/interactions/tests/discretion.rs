//! Whatever passes through the real binary, and however much is logged: no secret and no content is printed.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use ed25519_dalek::{Signer as _, SigningKey};
use guildhall_runtime::Request;
use guildhall_runtime::lambda::{api_gateway_event, from_api_gateway_answer};
use guildhall_store::MIGRATOR;
use guildhall_test_kit::postgres::TestDatabase;
use guildhall_test_kit::{LambdaHost, services};
use serde_json::{Value, json};

/// Each stands in one place of what goes in, and must not stand in what comes out of the process.
const UNSPEAKABLE: [&str; 5] = ["token-4711", "wrote-4712", "named-4713", "address-4714", "password-4715"];

fn signed(key: &SigningKey, body: &Value) -> Request {
    let body = body.to_string();
    let timestamp = guildhall_runtime::system_clock().now().as_secs().to_string();
    let signature = key.sign(format!("{timestamp}{body}").as_bytes());
    http::Request::post("/interactions")
        .header("x-signature-ed25519", hex::encode(signature.to_bytes()))
        .header("x-signature-timestamp", timestamp)
        .header("x-forwarded-for", "address-4714")
        .body(body.into())
        .unwrap()
}

/// A use of `/stats server`, with what a member may write into an option's value.
fn command(period: &str) -> Value {
    json!({
        "id": "1000000000000000009", "application_id": "1000000000000000001", "type": 2, "version": 1,
        "token": "token-4711", "locale": "en-GB", "guild_id": "1000000000000000002", "channel_id": "3",
        "channel": { "id": "3", "name": "named-4713" },
        "member": {
            "user": { "id": "4", "username": "named-4713", "global_name": "named-4713" },
            "permissions": "8", "nick": "named-4713"
        },
        "data": { "id": "5", "name": "stats", "type": 1, "options": [
            { "name": "server", "type": 1, "options": [{ "name": "period", "type": 3, "value": period }] }
        ] }
    })
}

#[tokio::test]
async fn nothing_that_people_or_operators_keep_to_themselves_is_printed() {
    let database = TestDatabase::create(&MIGRATOR).await;
    let key = SigningKey::from_bytes(&[7; 32]);
    let mut environment = vec![
        // A pooler ignores what it does not know; what matters is that the address is not repeated.
        ("DATABASE_URL", database.url().to_owned()),
        ("REDIS_URL", "redis://user:password-4715@127.0.0.1:9".to_owned()),
        ("DISCORD_PUBLIC_KEY", hex::encode(key.verifying_key().as_bytes())),
        ("WORK_QUEUE_URL", "http://127.0.0.1:9/000000000000/none".to_owned()),
        ("LOG_LEVEL", "trace".to_owned()),
    ];
    environment.extend(services::aws_environment());
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let host = LambdaHost::start_logged(env!("CARGO_BIN_EXE_interactions"), &environment, &log).await.unwrap();

    let mut component = command("7d");
    component["type"] = json!(3);
    component["data"] = json!({ "custom_id": "of another release", "component_type": 3, "values": ["wrote-4712"] });
    let mut sync = command("7d");
    sync["data"] = json!({ "id": "6", "name": "sync", "type": 1 });
    // A parser likes to quote what it did not expect.
    let mut malformed = component.clone();
    malformed["data"]["values"] = json!("wrote-4712");
    let nothing = json!({ "wrote-4712": "token-4711" });
    let bodies = [command("7d"), command("wrote-4712"), component, sync, malformed, nothing];
    for body in &bodies {
        let answer = host.invoke(&api_gateway_event(&signed(&key, body))).await.unwrap();
        assert!(from_api_gateway_answer(&answer).is_some(), "{answer}");
    }

    let log = std::fs::read_to_string(log).unwrap();
    for said in ["interaction answered", "api_requests_total", "the cache is away", "requestId", "xrayTraceId"] {
        assert!(log.contains(said), "the log says enough to be looked at: {said}\n{log}");
    }
    for word in UNSPEAKABLE {
        let offence = log.lines().find(|line| line.contains(word));
        assert_eq!(offence, None, "{word}");
    }
}
