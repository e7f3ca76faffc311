//! `/sync` from the press of the key to the edited response, on a Discord double, a real database and a real cache.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use axum::Json;
use axum::routing::post;
use bytes::Bytes;
use guildhall_app::context::Connect;
use guildhall_app::{Ctx, Discord, sync};
use guildhall_discord_double::{Config, Double, GuildPlan};
use guildhall_domain::{Clock, GuildId, Timestamp};
use guildhall_runtime::{Delivery, Failure, Verdict};
use guildhall_store::MIGRATOR;
use guildhall_test_kit::TestDatabase;
use guildhall_test_kit::services::{REDIS, service};
use guildhall_worker::{Deps, MAX_DELIVERIES, handle};
use http::StatusCode;
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
    token: SecretString,
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
        let deps = Deps { ctx, discord, deadline: sync::DEADLINE };
        Self { double, token, deps, now, endpoint, interactions, _endpoint: server, _database: database }
    }

    fn discord(&self) -> Discord {
        Discord::new(&self.token, &self.double.base_url()).expect("an address")
    }

    fn guild(&self) -> GuildId {
        self.double.world().guild_ids()[0]
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
        deliver_to(&self.deps, bodies, 1).await
    }
}

async fn deliver_to(deps: &Deps, bodies: &[&str], receive_count: u32) -> Vec<Failure> {
    let deliveries = bodies.iter().zip(1..).map(|(body, n)| Delivery {
        message_id: n.to_string(),
        body: (*body).to_owned(),
        receive_count,
    });
    handle(deps, deliveries.collect()).await
}

fn verdicts(failures: &[Failure]) -> Vec<Verdict> {
    failures.iter().map(|failure| failure.verdict).collect()
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
            assert_eq!(verdicts(&failures), [Verdict::Retry]);
            world.fail_next(500, 0).await;
            // No time passes: the job was given back.
            assert!(world.deliver(&[&job]).await.is_empty());
        })
        .await;
    assert_eq!(edits(&seen), 1, "{seen}");
}

#[tokio::test]
async fn an_attempt_ends_in_time_and_gives_the_job_back() {
    let mut world = World::new().await;
    // It takes connections, and never answers.
    let silent = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = format!("http://{}", silent.local_addr().expect("bound"));
    let seen = world
        .sync(async |world, job| {
            let discord = Discord::new(&SecretString::from("token"), &address).expect("an address");
            let deps = Deps { ctx: world.deps.ctx.clone(), discord, deadline: Duration::from_millis(300) };
            assert_eq!(verdicts(&deliver_to(&deps, &[&job], 1).await), [Verdict::Retry]);
            assert!(world.deliver(&[&job]).await.is_empty());
        })
        .await;
    assert_eq!(edits(&seen), 1, "{seen}");
}

#[tokio::test]
async fn what_no_delivery_can_mend_is_never_taken_for_done() {
    let mut world = World::new().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = format!("http://{}", listener.local_addr().expect("bound"));
    let refuse = || async { (StatusCode::UNAUTHORIZED, Json(json!({ "message": "401: Unauthorized", "code": 0 }))) };
    let mut server = JoinSet::new();
    server.spawn(async move { drop(axum::serve(listener, axum::Router::new().fallback(refuse)).await) });
    let seen = world
        .sync(async |world, job| {
            let discord = Discord::new(&SecretString::from("token"), &address).expect("an address");
            let deps = Deps { ctx: world.deps.ctx.clone(), discord, deadline: sync::DEADLINE };
            for _ in 0..2 {
                assert_eq!(verdicts(&deliver_to(&deps, &[&job], 1).await), [Verdict::Fail]);
            }
            assert!(world.deliver(&[&job]).await.is_empty(), "moved back from the dead letters");
        })
        .await;
    assert_eq!(edits(&seen), 1, "{seen}");
}

#[tokio::test]
async fn the_last_delivery_leaves_an_apology_and_those_before_it_none() {
    let mut world = World::new().await;
    let (away, redis) = (SecretString::from("postgres://127.0.0.1:9/away"), SecretString::from(service(REDIS)));
    let seen = world
        .sync(async |world, job| {
            let clock = world.deps.ctx.clock.clone();
            let ctx = Ctx::connect(&away, &redis, Connect::direct(1), clock).await.expect("addresses");
            let discord = world.discord();
            let deps = Deps { ctx, discord, deadline: Duration::from_millis(300) };
            let job = job.replace(r#""language":"en""#, r#""language":"fr""#);
            for receive_count in [MAX_DELIVERIES - 1, MAX_DELIVERIES] {
                assert_eq!(verdicts(&deliver_to(&deps, &[&job], receive_count).await), [Verdict::Retry]);
            }
        })
        .await;
    assert_eq!(edits(&seen), 1, "{seen}");
    assert!(seen["content"].as_str().is_some_and(|text| text.contains("Relancez `/actualiser`")), "{seen}");
    assert_eq!(seen["ephemeral"], true);
}

#[test]
fn the_template_delivers_as_often_as_the_worker_believes() {
    let queues = include_str!("../../../infra/queues.yaml");
    let (_, work) = queues.split_once("\n  WorkQueue:").expect("the work queue");
    let (_, count) = work.split_once("maxReceiveCount: ").expect("its redrive policy");
    assert_eq!(count.lines().next(), Some(MAX_DELIVERIES.to_string().as_str()));
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
