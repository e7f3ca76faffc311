//! Faults on demand.

use guildhall_discord_double::gateway::GatewayFault;
use serde_json::json;

use super::client::{Client, Received};
use super::harness::{ALL, Harness, guild};

#[tokio::test]
async fn dropped_connections_leave_a_session_that_resumes() {
    let harness = Harness::start(0, |_| {}).await;
    let (mut zero, ready) = Client::identified(&harness.url, (0, 2), ALL).await;
    let (mut one, _) = Client::identified(&harness.url, (1, 2), ALL).await;
    assert_eq!(harness.gateway.misbehave(GatewayFault::DropConnections { shard: Some(0) }), 1);
    assert_eq!(zero.end().await, None);
    harness.message(guild(0), 1);
    harness.message(guild(1), 2);
    assert_eq!(one.event("MESSAGE_CREATE").await["number"], 2);
    let mut zero = Client::resuming(&ready, 1).await;
    assert_eq!(zero.event("MESSAGE_CREATE").await["number"], 1);
    zero.event("RESUMED").await;
}

#[tokio::test]
async fn reconnect_and_heartbeat_requests_are_payloads_without_a_sequence() {
    let harness = Harness::start(0, |_| {}).await;
    let (mut client, _) = Client::identified(&harness.url, (0, 1), ALL).await;
    harness.gateway.misbehave(GatewayFault::Reconnect { shard: None });
    assert_eq!(client.payload().await, json!({"t": null, "s": null, "op": 7, "d": null}));
    harness.gateway.misbehave(GatewayFault::RequestHeartbeat { shard: None });
    assert_eq!(client.payload().await["op"], 1);
}

#[tokio::test]
async fn an_invalid_session_is_resumable_or_lost() {
    let harness = Harness::start(0, |_| {}).await;
    let (mut client, ready) = Client::identified(&harness.url, (0, 1), ALL).await;
    harness.gateway.misbehave(GatewayFault::InvalidSession { shard: None, resumable: true });
    let answer = client.payload().await;
    assert_eq!((&answer["op"], &answer["d"]), (&json!(9), &json!(true)));
    harness.message(guild(0), 1);
    let mut client = Client::resuming(&ready, 1).await;
    client.event("MESSAGE_CREATE").await;
    client.event("RESUMED").await;
    harness.gateway.misbehave(GatewayFault::InvalidSession { shard: None, resumable: false });
    let answer = client.payload().await;
    assert_eq!((&answer["op"], &answer["d"]), (&json!(9), &json!(false)));
    assert_eq!(harness.ledger.lost()[0].reason, "invalidated");
    client.send(&super::client::identify((0, 1), ALL)).await;
    client.sequence = 0;
    client.event("READY").await;
}

#[tokio::test]
async fn close_codes_can_be_asked_for() {
    let harness = Harness::start(0, |_| {}).await;
    let (mut client, ready) = Client::identified(&harness.url, (0, 1), ALL).await;
    harness.gateway.misbehave(GatewayFault::Close { shard: None, code: 4000 });
    assert_eq!(client.receive().await, Received::End(Some(4000)));
    let mut client = Client::resuming(&ready, 1).await;
    client.event("RESUMED").await;
}

#[tokio::test]
async fn a_silent_connection_stays_open_and_the_session_can_be_taken_over() {
    let harness = Harness::start(0, |_| {}).await;
    let (mut zombie, ready) = Client::identified(&harness.url, (0, 1), ALL).await;
    harness.gateway.misbehave(GatewayFault::Silence { shard: None, seconds: 3_600 });
    zombie.send(&json!({"op": 1, "d": 1})).await;
    harness.message(guild(0), 1);
    let mut client = Client::resuming(&ready, 1).await;
    client.event("MESSAGE_CREATE").await;
    client.event("RESUMED").await;
    assert_eq!(zombie.receive().await, Received::End(None), "neither the acknowledgement nor the message came");
}

#[tokio::test]
async fn a_dropped_session_is_gone_with_what_it_held() {
    let harness = Harness::start(0, |_| {}).await;
    let (mut client, ready) = Client::identified(&harness.url, (0, 1), ALL).await;
    harness.gateway.misbehave(GatewayFault::Silence { shard: None, seconds: 3_600 });
    for number in 0..5 {
        harness.message(guild(0), number);
    }
    assert_eq!(harness.gateway.misbehave(GatewayFault::DropSession { shard: None }), 1);
    assert_eq!(client.end().await, None);
    let lost = harness.ledger.lost();
    let missing: u64 = lost[0].unsent.iter().chain(&lost[0].unconfirmed).map(|row| row.count).sum();
    assert_eq!((missing, lost[0].sequence), (5, 6));
    let mut client = Client::resuming(&ready, 6).await;
    assert_eq!(client.payload().await["op"], 9);
}

#[tokio::test]
async fn a_slow_connection_loses_nothing() {
    let harness = Harness::start(0, |_| {}).await;
    let (mut client, _) = Client::identified(&harness.url, (0, 1), ALL).await;
    harness.gateway.misbehave(GatewayFault::Slow { shard: None, millis: 5 });
    for number in 0..20 {
        harness.message(guild(0), number);
    }
    assert_eq!(harness.gateway.backlog(), 0, "whoever is told to be slow holds nobody up");
    harness.gateway.misbehave(GatewayFault::Slow { shard: None, millis: 0 });
    for number in 0..20 {
        assert_eq!(client.event("MESSAGE_CREATE").await["number"], number);
    }
}

#[tokio::test]
async fn a_gateway_that_is_down_refuses_connections() {
    let harness = Harness::start(0, |_| {}).await;
    let (mut client, _) = Client::identified(&harness.url, (0, 1), ALL).await;
    harness.gateway.misbehave(GatewayFault::GatewayDown { seconds: 3_600 });
    assert_eq!(client.end().await, None);
    assert!(Client::dial(&format!("{}?v=10", harness.url), "").await.is_err());
    harness.gateway.misbehave(GatewayFault::GatewayDown { seconds: 0 });
    Client::connect(&harness.url, "").await;
}

#[tokio::test]
async fn the_identify_budget_can_be_nearly_spent() {
    let harness = Harness::start(0, |_| {}).await;
    harness.gateway.misbehave(GatewayFault::IdentifyBudget { remaining: 1 });
    let limit = harness.gateway.session_start_limit();
    assert_eq!((limit.total, limit.remaining), (1_000, 1));
    let _client = Client::identified(&harness.url, (0, 1), ALL).await;
    assert_eq!(harness.gateway.session_start_limit().remaining, 0);
}

#[tokio::test]
async fn a_gateway_that_stops_asks_clients_to_come_back() {
    let harness = Harness::start(0, |_| {}).await;
    let (mut client, _) = Client::identified(&harness.url, (0, 1), ALL).await;
    let gateway = harness.gateway.clone();
    let (code, ()) = tokio::join!(client.end(), gateway.stop());
    assert_eq!(code, Some(1001));
}
