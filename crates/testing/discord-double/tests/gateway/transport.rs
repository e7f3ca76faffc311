//! Plain text, zlib-stream and zstd-stream.

use guildhall_discord_double::dispatch::Dispatch;
use guildhall_discord_double::gateway::intents;

use super::client::{Client, identify};
use super::harness::{ALL, Harness, guild};

#[tokio::test]
async fn streams_decode_payload_by_payload() {
    let harness = Harness::start(1, |_| {}).await;
    for compress in ["", "zlib-stream", "zstd-stream"] {
        let mut client = Client::connect(&harness.url, compress).await;
        client.send(&identify((0, 1), ALL)).await;
        client.event("READY").await;
        client.event("GUILD_CREATE").await;
        for number in 0..300 {
            harness.message(guild(0), number);
        }
        for number in 0..300 {
            assert_eq!(client.event("MESSAGE_CREATE").await["number"], number, "{compress}");
        }
    }
}

#[tokio::test]
async fn a_payload_larger_than_any_buffer_arrives_whole() {
    let harness = Harness::start(1, |_| {}).await;
    // Hexadecimal digits that do not compress to nothing.
    let noise: String =
        (0..400_000_u64).map(|n| format!("{:x}", n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40)).collect();
    for compress in ["", "zlib-stream", "zstd-stream"] {
        let mut client = Client::connect(&harness.url, compress).await;
        client.send(&identify((0, 1), ALL)).await;
        client.event("READY").await;
        client.event("GUILD_CREATE").await;
        harness.gateway.dispatch(Dispatch {
            guild: Some(guild(0)),
            event: "GUILD_CREATE",
            data: serde_json::json!({ "noise": noise }).to_string().into(),
            intents: 1,
            counts: Vec::new(),
            at: None,
        });
        assert_eq!(client.event("GUILD_CREATE").await["noise"], noise.as_str(), "{compress}");
    }
}

#[tokio::test]
async fn an_unknown_compression_is_refused() {
    let harness = Harness::start(0, |_| {}).await;
    assert!(Client::dial(&format!("{}?v=10", harness.url), "lzma-stream").await.is_err());
}

#[tokio::test]
async fn without_the_content_intent_messages_come_without_content() {
    let harness = Harness::start(1, |_| {}).await;
    let (mut client, _) = Client::identified(&harness.url, (0, 1), intents::GUILD_MESSAGES).await;
    for (author, content) in [("5", ""), ("1", "text")] {
        let message = serde_json::json!({"author": {"id": author}, "mentions": [], "content": "text"});
        harness.gateway.dispatch(Dispatch {
            guild: Some(guild(0)),
            event: "MESSAGE_CREATE",
            data: message.to_string().into(),
            intents: intents::GUILD_MESSAGES,
            counts: Vec::new(),
            at: None,
        });
        assert_eq!(client.event("MESSAGE_CREATE").await["content"], content);
    }
}
