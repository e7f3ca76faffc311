//! A function with services of its own, and whoever sends it interactions.

use std::sync::atomic::{AtomicU64, Ordering};

use aws_config::BehaviorVersion;
use aws_sdk_sqs::config::{Credentials, Region};
use ed25519_dalek::{Signer as _, SigningKey};
use guildhall_app::context::Connect;
use guildhall_app::{Ctx, Verifier, WorkQueue};
use guildhall_domain::{Clock, EventKind, GuildId, PriorityClass, ShardId, Timestamp, UserId};
use guildhall_interactions::{DEADLINE, Deps, handle};
use guildhall_queue::Sqs;
use guildhall_runtime::{Request, Response};
use guildhall_store::{MIGRATOR, ingest};
use guildhall_test_kit::TestDatabase;
use guildhall_test_kit::services::{AWS, REDIS, service};
use guildhall_wire::{CoverageGap, Envelope, Event, EventBody, GuildGauges, SeqRange};
use secrecy::SecretString;
use serde_json::{Value, json};

/// A Sunday, at 13:31 in Paris.
pub(crate) const NOW: &str = "2026-11-22T12:31:00Z";
pub(crate) const MEMBER: u64 = 7;
pub(crate) const CHANNEL: u64 = 5;
pub(crate) const MANAGER: &str = "32";

static NEXT: AtomicU64 = AtomicU64::new(1);

pub(crate) fn at(text: &str) -> Timestamp {
    Timestamp::parse_rfc3339(text).expect("an instant")
}

pub(crate) fn now() -> Timestamp {
    at(NOW)
}

/// A number no other test uses, in this run or an earlier one: the cache is shared and remembers.
fn unique() -> u64 {
    use std::hash::{BuildHasher as _, RandomState};
    (RandomState::new().hash_one(NEXT.fetch_add(1, Ordering::Relaxed)) >> 2) | 1
}

/// A function and its surroundings.
pub(crate) struct World {
    pub(crate) deps: Deps,
    pub(crate) database: TestDatabase,
    pub(crate) guild: GuildId,
    pub(crate) queue: aws_sdk_sqs::Client,
    key: SigningKey,
}

impl World {
    pub(crate) async fn new() -> Self {
        let database = TestDatabase::create(&MIGRATOR).await;
        let url = SecretString::from(database.url().to_owned());
        Self::with_database(database, &url).await
    }

    pub(crate) async fn with_database(database: TestDatabase, url: &SecretString) -> Self {
        let redis = SecretString::from(service(REDIS));
        let ctx = Ctx::connect(url, &redis, Connect::direct(2), Clock::fixed(now())).await.expect("addresses");
        let config = aws_config::defaults(BehaviorVersion::latest())
            .credentials_provider(Credentials::new("test", "test", None, None, "test"))
            .region(Region::new("us-east-1"))
            .endpoint_url(service(AWS))
            .load()
            .await;
        let key = SigningKey::from_bytes(&[9; 32]);
        let verifier = Verifier::from_hex(&hex::encode(key.verifying_key().to_bytes())).expect("a key");
        let queue = WorkQueue { sqs: Sqs::from_config(&config), url: format!("{}/000000000000/absent", service(AWS)) };
        let guild = GuildId::new(unique()).expect("an id");
        let deps = Deps { ctx, queue, verifier, deadline: DEADLINE };
        Self { deps, database, guild, queue: aws_sdk_sqs::Client::new(&config), key }
    }

    /// Gives the function a work queue that exists.
    pub(crate) async fn with_queue(mut self) -> Self {
        let made = self.queue.create_queue().queue_name(format!("work-{}", unique())).send().await.expect("a queue");
        self.deps.queue.url = made.queue_url().expect("its address").to_owned();
        self
    }

    pub(crate) fn request(&self, body: &str, timestamp: i64) -> Request {
        let signature = self.key.sign(format!("{timestamp}{body}").as_bytes());
        http::Request::post("/interactions")
            .header("X-Signature-Ed25519", hex::encode(signature.to_bytes()))
            .header("X-Signature-Timestamp", timestamp.to_string())
            .body(bytes::Bytes::copy_from_slice(body.as_bytes()))
            .expect("a request")
    }

    pub(crate) async fn send(&self, body: &Value) -> Response {
        handle(&self.deps, self.request(&body.to_string(), now().as_secs())).await
    }

    /// Sends an interaction that is answered with JSON.
    pub(crate) async fn ask(&self, body: &Value) -> Value {
        let response = self.send(body).await;
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "application/json");
        serde_json::from_slice(response.body()).expect("JSON")
    }

    /// An interaction in the guild, with an id of its own.
    pub(crate) fn interaction(&self, kind: u8, permissions: &str, locale: &str, data: &Value) -> Value {
        let millis = u64::try_from(now().millis_since(Timestamp::DISCORD_EPOCH)).expect("later");
        json!({
            "id": ((millis << 22) | (unique() & 0x3f_ffff)).to_string(),
            "application_id": "2", "type": kind, "token": "interaction-token", "version": 1,
            "guild_id": self.guild, "channel_id": CHANNEL.to_string(), "locale": locale,
            "member": { "user": { "id": MEMBER.to_string() }, "permissions": permissions, "roles": [] },
            "data": data,
        })
    }

    pub(crate) fn command(&self, permissions: &str, locale: &str, name: &str) -> Value {
        self.interaction(2, permissions, locale, &json!({ "id": "1", "name": name, "type": 1 }))
    }

    pub(crate) fn stats(&self, permissions: &str, locale: &str, subcommand: &str, options: &Value) -> Value {
        let data = json!({
            "id": "1", "name": "stats", "type": 1,
            "options": [{ "name": subcommand, "type": 1, "options": options }],
            "resolved": { "channels": {
                "5": { "id": "5", "type": 0, "permissions": "1024" },
                "6": { "id": "6", "type": 0, "permissions": "1024" },
                "66": { "id": "66", "type": 0, "permissions": "0" },
            }},
        });
        self.interaction(2, permissions, locale, &data)
    }

    pub(crate) fn component(&self, permissions: &str, custom_id: &str, values: &[&str]) -> Value {
        let data = json!({ "custom_id": custom_id, "component_type": 3, "values": values });
        self.interaction(3, permissions, "en-US", &data)
    }

    /// Counts `events`: (when, kind, channel, member).
    pub(crate) async fn count(&self, events: &[(Timestamp, EventKind, u64, u64)]) {
        self.ingest(events, Vec::new(), Vec::new()).await;
    }

    pub(crate) async fn ingest(
        &self,
        events: &[(Timestamp, EventKind, u64, u64)],
        gauges: Vec<GuildGauges>,
        gaps: Vec<CoverageGap>,
    ) {
        let events: Vec<_> = (1..)
            .zip(events)
            .map(|(seq, (at, kind, channel, member))| Event {
                seq,
                index: 0,
                guild: self.guild,
                at: *at,
                body: EventBody::Count {
                    kind: *kind,
                    channel: (*channel != 0).then(|| guildhall_domain::ChannelId::new(*channel).expect("an id")),
                    member: UserId::new(*member),
                    target: None,
                },
            })
            .collect();
        let last = events.last().map_or(0, |event| event.seq);
        let envelope = Envelope {
            shard: ShardId { id: 0, count: 1 },
            session_id: format!("session-{}", unique()),
            session_started: at("2026-11-01T00:00:00Z"),
            class: PriorityClass::High,
            class_map: guildhall_domain::event::CLASS_MAP_VERSION,
            range: (last > 0).then_some(SeqRange { first: 1, last }),
            events,
            gauges,
            gaps,
        };
        let mut db = self.database.pool().acquire().await.expect("a connection");
        ingest::apply(&mut db, &[&envelope], now()).await.expect("counted");
    }
}

/// The JSON and the picture of a multipart answer.
pub(crate) fn parts(response: &Response) -> (Value, Vec<u8>) {
    let content_type = response.headers()["content-type"].to_str().expect("text");
    let boundary = content_type.strip_prefix("multipart/form-data; boundary=").expect("a form");
    let body = response.body();
    let find = |needle: &[u8], from: usize| {
        body[from..].windows(needle.len()).position(|window| window == needle).map(|at| at + from)
    };
    let delimiter = format!("--{boundary}");
    let mut parts = Vec::new();
    let mut from = 0;
    while let Some(start) = find(delimiter.as_bytes(), from) {
        let Some(head) = find(b"\r\n\r\n", start) else { break };
        let Some(end) = find(format!("\r\n{delimiter}").as_bytes(), head + 4) else { break };
        parts.push(body[head + 4..end].to_vec());
        from = end + 2;
    }
    let [json, png] = parts.try_into().expect("two parts");
    assert!(body.ends_with(format!("{delimiter}--\r\n").as_bytes()));
    (serde_json::from_slice(&json).expect("JSON"), png)
}
