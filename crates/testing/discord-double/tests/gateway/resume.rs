//! RESUME: exact replay, and what cannot be replayed.

use std::time::Duration;

use guildhall_domain::EventKind;
use serde_json::json;

use super::client::{Client, Received};
use super::harness::{ALL, Harness, guild};

#[tokio::test]
async fn a_resume_replays_exactly_what_followed() {
    let harness = Harness::start(0, |_| {}).await;
    let (mut client, ready) = Client::identified(&harness.url, (0, 1), ALL).await;
    for number in 0..10 {
        harness.message(guild(0), number);
    }
    for number in 0..4 {
        assert_eq!(client.event("MESSAGE_CREATE").await["number"], number);
    }
    let after = client.sequence;
    drop(client);
    harness.until("detached", |harness| !harness.gateway.sessions()[0].connected).await;
    for number in 10..13 {
        harness.message(guild(0), number);
    }
    let mut client = Client::resuming(&ready, after).await;
    for number in 4..13 {
        assert_eq!(client.event("MESSAGE_CREATE").await["number"], number);
    }
    client.event("RESUMED").await;
    harness.message(guild(0), 13);
    assert_eq!(client.event("MESSAGE_CREATE").await["number"], 13);
    let sessions = harness.gateway.sessions();
    assert_eq!((sessions.len(), sessions[0].resumes, sessions[0].resumes_elsewhere), (1, 1, 0));
    assert_eq!(harness.ledger.total(), 14, "a replay is not counted again");
    assert_eq!(harness.ledger.lost().len(), 0);
}

#[tokio::test]
async fn a_resume_takes_the_session_from_a_connection_that_still_stands() {
    let harness = Harness::start(0, |_| {}).await;
    let (mut old, ready) = Client::identified(&harness.url, (0, 1), ALL).await;
    let mut client = Client::resuming(&ready, 1).await;
    client.event("RESUMED").await;
    assert_eq!(old.end().await, None);
    harness.message(guild(0), 1);
    client.event("MESSAGE_CREATE").await;
    assert_eq!(harness.gateway.sessions().len(), 1);
}

#[tokio::test]
async fn a_resume_elsewhere_works_and_shows() {
    let harness = Harness::start(0, |_| {}).await;
    let (client, ready) = Client::identified(&harness.url, (0, 1), ALL).await;
    drop(client);
    let mut client = Client::connect(&harness.url, "").await;
    client.send(&super::client::resume(&ready, 1)).await;
    client.event("RESUMED").await;
    assert_eq!(harness.gateway.sessions()[0].resumes_elsewhere, 1);
}

#[tokio::test]
async fn what_left_the_buffer_cannot_be_resumed_and_is_attributed() {
    let harness = Harness::start(0, |plan| plan.settings.session_buffer = 8).await;
    let (mut client, ready) = Client::identified(&harness.url, (0, 1), ALL).await;
    for number in 0..20 {
        harness.message(guild(0), number);
        client.event("MESSAGE_CREATE").await;
    }
    drop(client);
    harness.until("detached", |harness| !harness.gateway.sessions()[0].connected).await;
    // Sequences 2 to 21 are the messages, of which 14 to 21 are still there.
    let mut client = Client::resuming(&ready, 12).await;
    assert_eq!(client.payload().await, json!({"t": null, "s": null, "op": 9, "d": false}));
    let lost = harness.ledger.lost();
    assert_eq!((lost.len(), lost[0].confirmed, lost[0].sent, lost[0].sequence), (1, 12, 21, 21));
    assert_eq!(lost[0].unsent, []);
    assert!(lost[0].unconfirmed.iter().map(|row| row.count).sum::<u64>() >= 9, "all that may be missing");
    assert_eq!(harness.gateway.sessions().len(), 0);
}

#[tokio::test]
async fn a_session_nobody_takes_from_is_lost_when_its_buffer_is_full() {
    let harness = Harness::start(0, |plan| plan.settings.session_buffer = 8).await;
    let (client, ready) = Client::identified(&harness.url, (0, 1), ALL).await;
    drop(client);
    harness.until("detached", |harness| !harness.gateway.sessions()[0].connected).await;
    for number in 0..20 {
        harness.message(guild(0), number);
    }
    let lost = harness.ledger.lost();
    assert_eq!((lost[0].reason, lost[0].sent, lost[0].sequence), ("buffer overflow", 1, 9));
    assert_eq!(lost[0].unsent.iter().map(|row| row.count).sum::<u64>(), 8);
    assert_eq!(harness.ledger.totals()[&EventKind::MessageCreate], 8, "what came after went to nobody");
    let mut client = Client::resuming(&ready, 1).await;
    assert_eq!(client.payload().await["op"], 9);
}

#[tokio::test]
async fn a_session_without_room_for_the_answer_to_its_resume_is_lost_and_says_so() {
    let harness = Harness::start(0, |plan| plan.settings.session_buffer = 8).await;
    let (client, ready) = Client::identified(&harness.url, (0, 1), ALL).await;
    drop(client);
    harness.until("detached", |harness| !harness.gateway.sessions()[0].connected).await;
    for number in 0..8 {
        harness.message(guild(0), number);
    }
    let mut client = Client::resuming(&ready, 1).await;
    assert_eq!(client.end().await, None);
    assert_eq!(harness.ledger.lost()[0].reason, "buffer overflow");
    let mut client = Client::resuming(&ready, 1).await;
    assert_eq!(client.payload().await["op"], 9);
}

#[tokio::test]
async fn a_sequence_from_the_future_is_invalid() {
    let harness = Harness::start(0, |_| {}).await;
    let (client, ready) = Client::identified(&harness.url, (0, 1), ALL).await;
    drop(client);
    let mut client = Client::resuming(&ready, 2).await;
    assert_eq!(client.receive().await, Received::End(Some(4007)));
}

#[tokio::test]
async fn an_unknown_session_is_invalid_and_the_connection_may_identify() {
    let harness = Harness::start(0, |_| {}).await;
    let mut client = Client::connect(&harness.url, "").await;
    client.send(&json!({"op": 6, "d": {"token": super::TOKEN, "session_id": "unknown", "seq": 1}})).await;
    assert_eq!(client.payload().await["d"], false);
    client.send(&super::client::identify((0, 1), ALL)).await;
    client.event("READY").await;
}

#[tokio::test]
async fn saying_goodbye_ends_the_session() {
    let harness = Harness::start(0, |_| {}).await;
    for code in [1000, 1001] {
        let (client, ready) = Client::identified(&harness.url, (0, 1), ALL).await;
        client.close(code).await;
        harness.until("ended", |harness| harness.gateway.sessions().is_empty()).await;
        let mut client = Client::resuming(&ready, 1).await;
        assert_eq!(client.payload().await["op"], 9);
    }
    let (client, ready) = Client::identified(&harness.url, (0, 1), ALL).await;
    client.close(4000).await;
    let mut client = Client::resuming(&ready, 1).await;
    client.event("RESUMED").await;
}

#[tokio::test]
async fn a_session_without_a_connection_expires() {
    let harness = Harness::start(0, |plan| plan.settings.session_ttl = Duration::from_millis(50)).await;
    let (client, ready) = Client::identified(&harness.url, (0, 1), ALL).await;
    drop(client);
    harness.until("expired", |harness| harness.gateway.sessions().is_empty()).await;
    assert_eq!(harness.ledger.lost()[0].reason, "expired");
    let mut client = Client::resuming(&ready, 1).await;
    assert_eq!(client.payload().await["op"], 9);
}
