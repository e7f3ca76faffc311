//! HELLO, IDENTIFY, READY, the close codes and the IDENTIFY limits.

use std::time::Duration;

use guildhall_discord_double::gateway::intents;
use guildhall_domain::EventKind;
use serde_json::{Value, json};

use super::client::{Client, Received, identify};
use super::harness::{ALL, Harness, guild};

#[tokio::test]
async fn identify_is_answered_with_ready_and_the_guilds_of_the_shard() {
    let harness = Harness::start(5, |_| {}).await;
    let (mut client, ready) = Client::identified(&harness.url, (1, 2), ALL).await;
    assert_eq!(client.sequence, 1);
    assert_eq!(ready["v"], 10);
    assert_eq!(ready["shard"], json!([1, 2]));
    assert_eq!(ready["user"]["bot"], true);
    assert_eq!(ready["application"]["id"], "1");
    let expected = json!([{"id": guild(1), "unavailable": true}, {"id": guild(3), "unavailable": true}]);
    assert_eq!(ready["guilds"], expected);
    assert_eq!(client.event("GUILD_CREATE").await["id"], json!(guild(1)));
    assert_eq!(client.event("GUILD_CREATE").await["id"], json!(guild(3)));
    assert_eq!(harness.ledger.totals()[&EventKind::GuildCreate], 2);
    assert_eq!(harness.gateway.session_start_limit().remaining, 999);
}

#[tokio::test]
async fn without_the_guilds_intent_there_are_no_guild_creates() {
    let harness = Harness::start(2, |_| {}).await;
    let (mut client, ready) = Client::identified(&harness.url, (0, 1), intents::GUILD_MESSAGES).await;
    assert_eq!(ready["guilds"].as_array().map(Vec::len), Some(2));
    harness.message(guild(0), 1);
    client.event("MESSAGE_CREATE").await;
    assert_eq!(harness.ledger.total(), 1);
}

#[tokio::test]
async fn events_go_to_every_session_of_their_shard_and_are_counted_once() {
    let harness = Harness::start(0, |_| {}).await;
    let (mut whole, _) = Client::identified(&harness.url, (0, 1), ALL).await;
    let (mut even, _) = Client::identified(&harness.url, (0, 2), ALL).await;
    let (mut odd, _) = Client::identified(&harness.url, (1, 2), ALL).await;
    let (mut deaf, _) = Client::identified(&harness.url, (0, 2), intents::GUILDS).await;
    harness.message(guild(2), 1);
    harness.message(guild(3), 2);
    assert_eq!(whole.event("MESSAGE_CREATE").await["number"], 1);
    assert_eq!(whole.event("MESSAGE_CREATE").await["number"], 2);
    assert_eq!(even.event("MESSAGE_CREATE").await["number"], 1);
    assert_eq!(odd.event("MESSAGE_CREATE").await["number"], 2);
    assert_eq!(harness.ledger.total(), 2);
    deaf.send(&json!({"op": 1, "d": null})).await;
    assert_eq!(deaf.payload().await["op"], 11, "nothing came before the acknowledgement");
}

#[tokio::test]
async fn what_nobody_is_subscribed_to_is_not_counted() {
    let harness = Harness::start(0, |_| {}).await;
    harness.message(guild(0), 1);
    let _deaf = Client::identified(&harness.url, (0, 1), intents::GUILDS).await;
    harness.message(guild(0), 2);
    assert_eq!(harness.ledger.rows(), []);
}

#[tokio::test]
async fn mistakes_are_answered_with_their_close_codes() {
    let harness = Harness::start(3, |plan| {
        plan.settings.privileged_intents = intents::GUILD_MEMBERS;
        plan.settings.max_guilds_per_shard = 2;
    })
    .await;
    let wrong_token = {
        let mut payload = identify((0, 3), 1);
        payload["d"]["token"] = json!("guessed");
        payload
    };
    let no_properties = json!({"op": 2, "d": {"token": super::TOKEN, "intents": 1}});
    let cases: [(&str, Value, u16); 14] = [
        ("an unknown opcode", json!({"op": 99}), 4001),
        ("no opcode", json!({"d": 1}), 4002),
        ("a payload over 4096 bytes", json!({"op": 1, "d": null, "padding": "x".repeat(4_096)}), 4002),
        ("IDENTIFY without properties", no_properties, 4002),
        ("a presence before IDENTIFY", json!({"op": 3, "d": {}}), 4003),
        ("a member request before IDENTIFY", json!({"op": 8, "d": {}}), 4003),
        ("a wrong token", wrong_token, 4004),
        ("a wrong token in RESUME", json!({"op": 6, "d": {"token": "x", "session_id": "x", "seq": 1}}), 4004),
        ("a shard past the end", identify((3, 3), 1), 4010),
        ("no shards", identify((0, 0), 1), 4010),
        ("too many guilds for a shard", identify((0, 1), 1), 4011),
        ("an intent without a meaning", identify((0, 3), 1 << 17), 4013),
        ("an intent the application may not use", identify((0, 3), intents::MESSAGE_CONTENT), 4014),
        ("presences that it may not use", identify((0, 3), intents::GUILD_PRESENCES), 4014),
    ];
    for (what, payload, code) in cases {
        let mut client = Client::connect(&harness.url, "").await;
        client.send(&payload).await;
        assert_eq!(client.receive().await, Received::End(Some(code)), "{what}");
    }
    let mut client = Client::connect(&harness.url, "").await;
    client.send_text("not JSON").await;
    assert_eq!(client.receive().await, Received::End(Some(4002)));
    assert_eq!(harness.gateway.counts().identifies, 0);
}

#[tokio::test]
async fn a_second_identify_is_an_error() {
    let harness = Harness::start(0, |_| {}).await;
    let (mut client, _) = Client::identified(&harness.url, (0, 1), ALL).await;
    client.send(&identify((0, 1), ALL)).await;
    assert_eq!(client.end().await, Some(4005));
}

#[tokio::test]
async fn other_api_versions_and_encodings_are_refused() {
    let harness = Harness::start(0, |_| {}).await;
    for (query, code) in [("v=6", 4012), ("encoding=json", 4012), ("v=10&encoding=etf", 4002)] {
        let mut client = Client::dial(&format!("{}?{query}", harness.url), "").await.expect("connects");
        assert_eq!(client.receive().await, Received::End(Some(code)), "{query}");
    }
}

#[tokio::test]
async fn more_than_120_payloads_in_a_minute_are_too_many() {
    let harness = Harness::start(0, |_| {}).await;
    let (mut client, _) = Client::identified(&harness.url, (0, 1), ALL).await;
    for _ in 0..119 {
        client.send(&json!({"op": 3, "d": {}})).await;
    }
    client.send(&json!({"op": 1, "d": 1})).await;
    assert_eq!(client.end().await, Some(4008));
}

#[tokio::test]
async fn a_client_without_heartbeats_is_disconnected_and_may_resume() {
    let harness = Harness::start(0, |plan| plan.settings.heartbeat_interval = Duration::from_secs(1)).await;
    let (mut client, ready) = Client::identified(&harness.url, (0, 1), ALL).await;
    assert_eq!(client.end().await, Some(4009));
    let mut client = Client::resuming(&ready, 1).await;
    client.event("RESUMED").await;
}

#[tokio::test]
async fn heartbeats_are_acknowledged_and_confirm_a_sequence() {
    let harness = Harness::start(0, |_| {}).await;
    let mut early = Client::connect(&harness.url, "").await;
    early.send(&json!({"op": 1, "d": null})).await;
    assert_eq!(early.payload().await["op"], 11, "also before IDENTIFY");
    let (mut client, _) = Client::identified(&harness.url, (0, 1), ALL).await;
    client.send(&json!({"op": 1, "d": 1})).await;
    assert_eq!(client.payload().await["op"], 11);
    assert_eq!(harness.gateway.sessions()[0].confirmed, 1);
}

#[tokio::test]
async fn a_bucket_takes_one_identify_per_interval() {
    let harness = Harness::start(0, |plan| {
        plan.max_concurrency = 2;
        plan.settings.identify_interval = Duration::from_secs(3_600);
    })
    .await;
    let _first = Client::identified(&harness.url, (0, 4), ALL).await;
    let _second = Client::identified(&harness.url, (1, 4), ALL).await;
    let mut third = Client::connect(&harness.url, "").await;
    third.send(&identify((2, 4), ALL)).await;
    let answer = third.payload().await;
    assert_eq!((&answer["op"], &answer["d"]), (&json!(9), &json!(false)));
    let counts = harness.gateway.counts();
    assert_eq!((counts.identifies, counts.identifies_too_soon), (2, 1));
}

#[tokio::test]
async fn exceeding_the_identify_budget_ends_every_session_and_resets_the_token() {
    let harness = Harness::start(0, |plan| plan.identify_budget = 2).await;
    let (mut first, ready) = Client::identified(&harness.url, (0, 2), ALL).await;
    let (mut second, _) = Client::identified(&harness.url, (1, 2), ALL).await;
    assert_eq!(harness.gateway.session_start_limit().remaining, 0);
    let mut third = Client::connect(&harness.url, "").await;
    third.send(&identify((0, 2), ALL)).await;
    assert_eq!(third.end().await, Some(4004));
    assert_eq!(first.end().await, Some(4004));
    assert_eq!(second.end().await, Some(4004));
    assert!(harness.gateway.token_revoked());
    assert_eq!(harness.gateway.counts().token_resets, 1);
    assert_eq!(harness.gateway.sessions().len(), 0);
    let mut client = Client::resuming(&ready, 1).await;
    assert_eq!(client.end().await, Some(4004));
}

#[tokio::test]
async fn members_come_in_chunks_and_all_of_them_only_every_so_often() {
    let harness = Harness::start(1, |_| {}).await;
    let (mut client, _) = Client::identified(&harness.url, (0, 1), ALL).await;
    client.event("GUILD_CREATE").await;
    let everyone = json!({"op": 8, "d": {"guild_id": guild(0), "query": "", "limit": 0, "nonce": "n"}});
    client.send(&everyone).await;
    let (one, two) = (client.event("GUILD_MEMBERS_CHUNK").await, client.event("GUILD_MEMBERS_CHUNK").await);
    assert_eq!((&one["chunk_index"], &two["chunk_index"], &two["chunk_count"]), (&json!(0), &json!(1), &json!(2)));
    assert_eq!(one["members"].as_array().map(Vec::len), Some(1_000));
    assert_eq!(two["members"].as_array().map(Vec::len), Some(500));
    assert_eq!(two["nonce"], "n");
    client.send(&everyone).await;
    let refusal = client.event("RATE_LIMITED").await;
    assert_eq!((&refusal["opcode"], &refusal["meta"]["nonce"]), (&json!(8), &json!("n")));
    client.send(&json!({"op": 8, "d": {"guild_id": guild(0), "user_ids": ["7", "9000"]}})).await;
    let some = client.event("GUILD_MEMBERS_CHUNK").await;
    assert_eq!(some["members"][0]["user"]["id"], "7");
    assert_eq!(some["not_found"], json!(["9000"]));
}
