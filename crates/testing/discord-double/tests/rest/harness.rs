//! A double with a clock in the test's hand, and a client that remembers every exchange.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};

use axum::body::Bytes;
use guildhall_discord_double::{Config, Double, GuildPlan};
use guildhall_domain::{ChannelId, Clock, GuildId, Timestamp, UserId};
use http::{HeaderMap, Request, header};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};

/// 2026-01-01T12:00:00Z.
const NOON: i64 = 1_767_268_800_000;

/// A clock that moves when it is told to.
#[derive(Debug, Clone)]
pub(crate) struct Hand(Arc<AtomicI64>);

impl Hand {
    pub(crate) fn forward(&self, millis: i64) {
        self.0.fetch_add(millis, Ordering::SeqCst);
    }
}

/// An answer.
#[derive(Debug, Clone)]
pub(crate) struct Got {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    /// `Null` when the body was empty, a string when it was not JSON.
    pub(crate) body: Value,
}

impl Got {
    /// The JSON error code.
    pub(crate) fn code(&self) -> (u16, u64) {
        (self.status, self.body["code"].as_u64().unwrap_or(0))
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or("")
    }
}

pub(crate) struct Harness {
    pub(crate) double: Double,
    pub(crate) hand: Hand,
    pub(crate) guild: GuildId,
    client: Client<HttpConnector, Full<Bytes>>,
    /// `{method, path, status, body}` of every exchange with REST.
    pub(crate) recorded: Mutex<Vec<Value>>,
}

pub(crate) fn config(hand: &Hand) -> Config {
    let now = hand.0.clone();
    let mut config = Config::new(7, Clock::new(move || Timestamp::from_millis(now.load(Ordering::SeqCst))));
    config.guilds = vec![GuildPlan::new("Test", 40, 6, 2), GuildPlan::new("Other", 5, 1, 1)];
    config.rate_limits = false;
    config
}

impl Harness {
    pub(crate) async fn start() -> Self {
        Self::with(|_| {}).await
    }

    pub(crate) async fn with(change: impl FnOnce(&mut Config)) -> Self {
        let hand = Hand(Arc::new(AtomicI64::new(NOON)));
        let mut config = config(&hand);
        change(&mut config);
        let double = Double::start(config).await.expect("starts");
        let guild = double.world().guild_ids()[0];
        let client = Client::builder(TokioExecutor::new()).build_http();
        Self { double, hand, guild, client, recorded: Mutex::default() }
    }

    pub(crate) fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.hand.0.load(Ordering::SeqCst))
    }

    /// Any request; `path` is absolute.
    pub(crate) async fn raw(&self, method: &str, path: &str, headers: &[(&str, &str)], body: Vec<u8>) -> Got {
        let mut request = Request::builder().method(method).uri(format!("{}{path}", self.double.base_url()));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(Bytes::from(body))).expect("a request");
        let (parts, body) = self.client.request(request).await.expect("an answer").into_parts();
        let bytes = body.collect().await.expect("a body").to_bytes();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let body =
            if text.is_empty() { Value::Null } else { serde_json::from_str(&text).unwrap_or(Value::String(text)) };
        Got { status: parts.status.as_u16(), headers: parts.headers, body }
    }

    /// A request to REST with this `Authorization`, recorded.
    pub(crate) async fn as_whom(&self, authorization: &str, method: &str, path: &str, body: Option<Value>) -> Got {
        let bytes = body.map_or_else(Vec::new, |body| body.to_string().into_bytes());
        let headers = [("authorization", authorization), ("content-type", "application/json")];
        let headers = if authorization.is_empty() { &headers[1..] } else { &headers[..] };
        let got = self.raw(method, &format!("/api/v10{path}"), headers, bytes).await;
        self.record(method, path, &got);
        got
    }

    /// A request to REST by the bot, recorded.
    pub(crate) async fn bot(&self, method: &str, path: &str, body: Option<Value>) -> Got {
        self.as_whom("Bot double.bot.token", method, path, body).await
    }

    /// The same with files.
    pub(crate) async fn upload(
        &self,
        authorization: &str,
        method: &str,
        path: &str,
        body: &Value,
        files: &[(&str, &[u8])],
    ) -> Got {
        let form = multipart(body, files);
        let headers = [("authorization", authorization), (header::CONTENT_TYPE.as_str(), MULTIPART)];
        let got = self.raw(method, &format!("/api/v10{path}"), &headers, form).await;
        self.record(method, path, &got);
        got
    }

    /// The JSON of a request that succeeds.
    pub(crate) async fn ok(&self, method: &str, path: &str, body: Option<Value>) -> Value {
        let got = self.bot(method, path, body).await;
        assert!(got.status < 300, "{method} {path}: {got:?}");
        got.body
    }

    /// A request to the control API.
    pub(crate) async fn control(&self, path: &str, body: &Value) -> Got {
        let headers = [("content-type", "application/json")];
        self.raw("POST", &format!("/_double{path}"), &headers, body.to_string().into_bytes()).await
    }

    fn record(&self, method: &str, path: &str, got: &Got) {
        let path = path.split('?').next().unwrap_or(path);
        let mut exchange = json!({ "method": method, "path": path, "status": got.status });
        if !got.body.is_null() {
            exchange["body"] = got.body.clone();
        }
        self.recorded.lock().expect("unpoisoned").push(exchange);
    }

    /// The first text channel.
    pub(crate) fn channel(&self) -> ChannelId {
        self.world(|guild| guild.text_channels()[0])
    }

    /// The owner; then the members numbered by their ids, of whom 1 is an administrator and 2 a moderator.
    pub(crate) fn owner(&self) -> UserId {
        self.world(|guild| guild.owner)
    }

    /// Someone without any role.
    pub(crate) fn nobody(&self) -> UserId {
        let owner = self.owner();
        self.world(|guild| {
            let plain =
                guild.members().find(|member| member.roles.is_empty() && member.user.id != owner && !member.user.bot);
            plain.expect("most have no role").user.id
        })
    }

    /// The id of the role with this name.
    pub(crate) fn role(&self, name: &str) -> guildhall_domain::RoleId {
        self.world(|guild| guild.roles().find(|role| role.name == name).expect("every guild has it").id)
    }

    pub(crate) fn world<R>(&self, ask: impl FnOnce(&mut guildhall_discord_double::world::Guild) -> R) -> R {
        ask(&mut self.double.world().guild(self.guild).expect("exists"))
    }
}

pub(crate) const MULTIPART: &str = "multipart/form-data; boundary=----double";

/// A form with `payload_json` and files.
pub(crate) fn multipart(body: &Value, files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut form = format!(
        "------double\r\nContent-Disposition: form-data; name=\"payload_json\"\r\nContent-Type: application/json\r\n\r\n{body}\r\n"
    )
    .into_bytes();
    for (number, (name, bytes)) in files.iter().enumerate() {
        let head = format!(
            "------double\r\nContent-Disposition: form-data; name=\"files[{number}]\"; filename=\"{name}\"\r\nContent-Type: image/png\r\n\r\n"
        );
        form.extend_from_slice(head.as_bytes());
        form.extend_from_slice(bytes);
        form.extend_from_slice(b"\r\n");
    }
    form.extend_from_slice(b"------double--\r\n");
    form
}
