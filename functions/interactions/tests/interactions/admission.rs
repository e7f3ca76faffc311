//! What is let in, and what answers when something is wrong.

use std::time::Duration;

use guildhall_domain::Timestamp;
use guildhall_interactions::{MAX_BODY_BYTES, handle};
use guildhall_runtime::Response;
use guildhall_store::MIGRATOR;
use guildhall_test_kit::TestDatabase;
use secrecy::SecretString;
use serde_json::{Value, json};

use crate::support::{MANAGER, World, now};

const PING: &str = r#"{"id":"1","application_id":"2","type":1,"token":"t","version":1}"#;

fn problem(response: &Response) -> (u16, String) {
    assert_eq!(response.headers()["content-type"], "application/problem+json");
    let body: Value = serde_json::from_slice(response.body()).expect("JSON");
    (response.status().as_u16(), body["type"].as_str().expect("a type").to_owned())
}

#[tokio::test]
async fn a_ping_is_answered_on_any_path() {
    let world = World::new().await;
    let response = handle(&world.deps, world.request(PING, now().as_secs())).await;
    assert_eq!((response.status().as_u16(), response.body().as_ref()), (200, br#"{"type":1}"#.as_ref()));
}

#[tokio::test]
async fn what_discord_did_not_sign_a_moment_ago_is_refused() {
    let world = World::new().await;
    let refused = |request| async { problem(&handle(&world.deps, request).await) };
    let unsigned = (401, "/problems/bad-signature".to_owned());
    let stale = (401, "/problems/stale-request".to_owned());

    let mut request = world.request(PING, now().as_secs());
    *request.body_mut() = bytes::Bytes::from(PING.replace("\"1\"", "\"3\""));
    assert_eq!(refused(request).await, unsigned);
    for header in ["x-signature-ed25519", "x-signature-timestamp"] {
        let mut request = world.request(PING, now().as_secs());
        request.headers_mut().remove(header);
        assert_eq!(refused(request).await, unsigned, "without {header}");
    }
    assert_eq!(refused(world.request(PING, now().as_secs() - 301)).await, stale);
    assert_eq!(refused(world.request(PING, now().as_secs() + 301)).await, stale);
    assert_eq!(refused(world.request(PING, i64::MIN)).await, stale);
    let edge = handle(&world.deps, world.request(PING, now().as_secs() - 300)).await;
    assert_eq!(edge.status(), 200);
}

#[tokio::test]
async fn what_is_no_interaction_gets_its_right_answer() {
    let world = World::new().await;
    let signed = |body: &str| world.request(body, now().as_secs());
    for body in ["", "not JSON", "{}", r#"{"type":2}"#] {
        let response = handle(&world.deps, signed(body)).await;
        assert_eq!(problem(&response), (400, "/problems/malformed".to_owned()), "{body}");
    }
    let large = handle(&world.deps, signed(&" ".repeat(MAX_BODY_BYTES + 1))).await;
    assert_eq!(problem(&large), (413, "/problems/too-large".to_owned()));
    let mut request = signed(PING);
    *request.method_mut() = http::Method::GET;
    let response = handle(&world.deps, request).await;
    assert_eq!(problem(&response), (405, "/problems/method-not-allowed".to_owned()));
    assert_eq!(response.headers()["allow"], "POST");
}

#[tokio::test]
async fn what_is_not_known_is_declined_politely() {
    let world = World::new().await;
    let unknown = [
        world.command(MANAGER, "en-US", "dance"),
        world.stats(MANAGER, "en-US", "galaxy", &json!([])),
        world.component(MANAGER, "another-bot:1", &[]),
        world.interaction(5, MANAGER, "en-US", &json!({ "custom_id": "another-bot:1", "components": [] })),
        world.interaction(4, MANAGER, "en-US", &json!({ "name": "stats" })),
    ];
    for body in unknown {
        let answer = world.ask(&body).await;
        assert_eq!((&answer["type"], &answer["data"]["flags"]), (&json!(4), &json!(64)), "{body}");
        assert!(answer["data"]["content"].as_str().is_some_and(|text| text.contains("Nothing was changed")));
    }
    let mut direct = world.command(MANAGER, "fr", "stats");
    direct["user"] = direct["member"]["user"].take();
    for field in ["member", "guild_id"] {
        direct.as_object_mut().expect("an object").remove(field);
    }
    let answer = world.ask(&direct).await;
    assert!(answer["data"]["content"].as_str().is_some_and(|text| text.contains("serveurs")), "{answer}");
}

#[tokio::test]
async fn without_a_database_there_are_words_in_ones_own_language() {
    let away = SecretString::from("postgres://nobody@127.0.0.1:1/none");
    let world = World::with_database(TestDatabase::create(&MIGRATOR).await, &away).await;
    let answer = world.ask(&world.stats("0", "fr", "server", &json!([]))).await;
    assert_eq!(answer["data"]["flags"], 64);
    let text = answer["data"]["content"].as_str().expect("words");
    assert!(text.contains("base de données") && !text.contains("127.0.0.1"), "{text}");
}

#[tokio::test]
async fn what_takes_too_long_is_given_up_in_time() {
    let mut world = World::new().await;
    world.deps.deadline = Duration::ZERO;
    let answer = world.ask(&world.command(MANAGER, "en-US", "setup")).await;
    assert_eq!(answer["data"]["flags"], 64);
    assert!(answer["data"]["content"].as_str().is_some_and(|text| text.starts_with("This took too long")), "{answer}");
}

#[test]
fn the_clock_of_these_tests_is_a_moment_discord_has_ids_for() {
    assert!(now() > Timestamp::DISCORD_EPOCH);
}
