//! `/sync` from the press of the key to the edited response, on a Discord double, a real database and a real cache.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use axum::Json;
use axum::routing::post;
use bytes::Bytes;
use guildhall_app::context::Connect;
use guildhall_app::{Ctx, Discord};
use guildhall_discord_double::{Config, Double, GuildPlan};
use guildhall_domain::{Clock, GuildId, Timestamp};
use guildhall_runtime::{Delivery, Failure, Verdict};
use guildhall_store::MIGRATOR;
use guildhall_test_kit::TestDatabase;
use guildhall_test_kit::services::{REDIS, service};
use guildhall_worker::{Deps, handle};
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use secrecy::SecretString;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

const START: i64 = 1_767_225_600_000;

/// Discord, somebody who uses commands there, and the worker.
struct World {
    double: Double,
    deps: Deps,
    now: Arc<AtomicI64>,
    endpoint: String,
    interactions: mpsc::Receiver<Value>,
    _endpoint: JoinSet<()>,
    _database: TestDatabase,
}

async fn call(url: String, body: &Value) -> Value {
    let client: Client<_, Full<Bytes>> = Client::builder(TokioExecutor::new()).build_http();
    let request = http::Request::post(url)
        .header("content-type", "application/json")
        .body(Full::from(body.to_string()))
        .expect("a request");
    let response = client.request(request).await.expect("an answer");
    let (status, body) = (response.status(), response.into_body().collect().await.expect("a body").to_bytes());
    assert!(status.is_success(), "{status}: {}", String::from_utf8_lossy(&body));
    serde_json::from_slice(&body).expect("JSON")
}

impl World {
    async fn new() -> Self {
        let now = Arc::new(AtomicI64::new(START));
        let clock = Clock::new({
            let now = Arc::clone(&now);
            move || Timestamp::from_millis(now.load(Ordering::SeqCst))
        });
        let mut config = Config::new(3, clock.clone());
        config.guilds = vec![GuildPlan::new("The Tinkerers' Guild", 20, 4, 1)];
        let token = SecretString::from(config.bot_token.clone());
        let double = Double::start(config).await.expect("a double");

        let (seen, interactions) = mpsc::channel(8);
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let endpoint = format!("http://{}/", listener.local_addr().expect("bound"));
        let defer = move |Json(body): Json<Value>| async move {
            seen.send(body).await.expect("the test listens");
            Json(json!({ "type": 5, "data": { "flags": 64 } }))
        };
        let mut server = JoinSet::new();
        server.spawn(async move { drop(axum::serve(listener, axum::Router::new().route("/", post(defer))).await) });

        let database = TestDatabase::create(&MIGRATOR).await;
        let (url, redis) = (SecretString::from(database.url().to_owned()), SecretString::from(service(REDIS)));
        let ctx = Ctx::connect(&url, &redis, Connect::direct(4), clock).await.expect("addresses");
        let discord = Discord::new(&token, &double.base_url()).expect("an address");
        let deps = Deps { ctx, discord };
        Self { double, deps, now, endpoint, interactions, _endpoint: server, _database: database }
    }

    fn guild(&self) -> GuildId {
        self.double.world().guild_ids()[0]
    }

    fn pass(&self, millis: i64) {
        self.now.fetch_add(millis, Ordering::SeqCst);
    }

    async fn fail_next(&self, status: u16, count: u32) {
        let fault = json!({ "kind": "rest_error", "status": status, "count": count });
        call(format!("{}/_double/faults", self.double.base_url()), &fault).await;
    }

    /// The guild's owner uses `/sync`; meanwhile `work` is done with the message that the endpoint would have queued.
    /// Returns what the owner sees in the end.
    async fn sync(&mut self, work: impl AsyncFnOnce(&Self, String)) -> Value {
        let url = format!("{}/_double/interactions", self.double.base_url());
        let wanted = json!({ "command": "/sync", "endpoint": self.endpoint, "wait_ms": 10_000 });
        let register = format!("{}/api/v10/applications/1100000000000000001/commands", self.double.base_url());
        put_commands(register).await;
        let sees = call(url, &wanted);
        let works = async {
            let body = self.interactions.recv().await.expect("an interaction");
            let job = self.job(&body);
            work(self, job).await;
        };
        let (sees, ()) = tokio::join!(sees, works);
        sees
    }

    fn job(&self, interaction: &Value) -> String {
        let expires = self.now.load(Ordering::SeqCst) + 15 * 60_000;
        json!({
            "job": "sync", "interaction": interaction["id"], "application": interaction["application_id"],
            "token": interaction["token"], "guild": interaction["guild_id"], "language": "en", "expires_at": expires,
        })
        .to_string()
    }

    async fn deliver(&self, bodies: &[&str]) -> Vec<Failure> {
        let deliveries = bodies.iter().zip(1..).map(|(body, n)| Delivery {
            message_id: n.to_string(),
            body: (*body).to_owned(),
            receive_count: 1,
        });
        handle(&self.deps, deliveries.collect()).await
    }
}

async fn put_commands(url: String) {
    let client: Client<_, Full<Bytes>> = Client::builder(TokioExecutor::new()).build_http();
    let request = http::Request::put(url)
        .header("content-type", "application/json")
        .header("authorization", "Bot double.bot.token")
        .body(Full::from(guildhall_app::commands::registration().to_string()))
        .expect("a request");
    let response = client.request(request).await.expect("an answer");
    let status = response.status();
    let body = response.into_body().collect().await.expect("a body").to_bytes();
    assert!(status.is_success(), "{status}: {}", String::from_utf8_lossy(&body));
}

fn edits(seen: &Value) -> usize {
    seen["edits"].as_array().map_or(0, Vec::len)
}

#[tokio::test]
async fn a_job_edits_the_response_once_however_often_it_is_delivered() {
    let mut world = World::new().await;
    let seen = world
        .sync(async |world, job| {
            let failures = world.deliver(&[&job, &job]).await;
            // The second finds the first at work, and comes again, or finds it done.
            assert!(failures.len() <= 1 && failures.iter().all(|f| f.verdict == Verdict::Retry), "{failures:?}");
            assert!(world.deliver(&[&job]).await.is_empty(), "done");
        })
        .await;
    assert_eq!(edits(&seen), 1, "{seen}");
    let text = seen["embeds"][0]["description"].as_str().expect("words");
    assert!(text.contains(" channels (1 for voice) and "), "{text}");
    assert_eq!(seen["ephemeral"], true);
}

#[tokio::test]
async fn discords_troubles_are_waited_out() {
    let mut world = World::new().await;
    let seen = world
        .sync(async |world, job| {
            world.fail_next(500, 50).await;
            let failures = world.deliver(&[&job]).await;
            assert_eq!(failures.iter().map(|f| f.verdict).collect::<Vec<_>>(), [Verdict::Retry]);
            world.fail_next(500, 0).await;
            world.pass(61_000);
            assert!(world.deliver(&[&job]).await.is_empty());
        })
        .await;
    assert_eq!(edits(&seen), 1, "{seen}");
}

#[tokio::test]
async fn a_guild_the_bot_is_not_in_gets_words_that_help() {
    let mut world = World::new().await;
    let seen = world
        .sync(async |world, job| {
            let elsewhere = job.replace(&world.guild().to_string(), "1000000000000000001");
            assert!(world.deliver(&[&elsewhere]).await.is_empty());
        })
        .await;
    assert!(seen["content"].as_str().is_some_and(|text| text.contains("not a member")), "{seen}");
}

#[tokio::test]
async fn a_message_that_is_no_job_fails_alone_and_an_expired_token_is_the_end_of_it() {
    let world = World::new().await;
    let old = (START - 60_000 - Timestamp::DISCORD_EPOCH.as_millis()) << 22;
    let body = |expires: i64| {
        json!({
            "job": "sync", "interaction": old.to_string(), "application": "1100000000000000001", "token": "gone",
            "guild": world.guild(), "language": "fr", "expires_at": expires,
        })
        .to_string()
    };
    let failures = world.deliver(&["rubbish", r#"{"job":"dance"}"#, &body(START + 60_000)]).await;
    let told: Vec<_> = failures.iter().map(|f| (f.message_id.as_str(), f.verdict)).collect();
    assert_eq!(told, [("1", Verdict::Fail), ("2", Verdict::Fail)]);
    assert!(world.deliver(&[&body(START)]).await.is_empty(), "not even begun");
}
