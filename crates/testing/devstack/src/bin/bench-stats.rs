//! `bench-stats BOOTSTRAP [CALLS]`: the latency of a warm `/stats server`, picture included, through a local Lambda runtime,
//! on the data of the running development stack (`GUILDHALL_STATE_DIR`). Prints one table, with a row for answers that are
//! computed anew, the stack's cache being emptied before each, and one for answers that may come from the cache.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use ed25519_dalek::{Signer as _, SigningKey};
use guildhall_discord_double::Config as DoubleConfig;
use guildhall_domain::Clock;
use guildhall_runtime::lambda::{api_gateway_event, from_api_gateway_answer};
use guildhall_runtime::{Environment, Request, system_clock};
use guildhall_test_kit::LambdaHost;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::Instant;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let environment = Environment::of_process();
    let mut arguments = std::env::args().skip(1);
    let bootstrap = PathBuf::from(arguments.next().context("usage: bench-stats BOOTSTRAP [CALLS]")?);
    let calls: u64 = arguments.next().map_or(Ok(300), |calls| calls.parse()).context("CALLS is a number")?;

    let state = PathBuf::from(environment.required("GUILDHALL_STATE_DIR")?).join("devstack.json");
    let state = std::fs::read(&state).context("no development stack is running: start one with `cargo xtask run`")?;
    let state: Value = serde_json::from_slice(&state)?;
    let variables: Vec<(&str, String)> = state["environment"]
        .as_object()
        .context("the stack's state is unreadable")?
        .iter()
        .filter_map(|(name, value)| Some((name.as_str(), value.as_str()?.to_owned())))
        .chain([("LOG_LEVEL", "warn".to_owned())])
        .collect();
    let key = DoubleConfig::new(1, system_clock()).signing_key();
    let guilds = guilds(&variables).await?;
    let started = Instant::now();
    let host = LambdaHost::start(&bootstrap, &variables).await?;

    let redis = variables.iter().find(|(name, _)| *name == "REDIS_URL").context("the stack has no cache")?;
    let redis = redis.1.trim_start_matches("redis://").trim_end_matches('/').to_owned();

    println!("| guild | cache | calls | median ms | p99 ms | max ms | answer KB |");
    println!("|---|---|---:|---:|---:|---:|---:|");
    let mut id = system_clock().now().as_millis().cast_unsigned() << 22;
    let mut first = None;
    for (guild, cached) in guilds.iter().flat_map(|guild| [(guild, false), (guild, true)]) {
        let mut taken = Vec::new();
        let mut bytes = 0;
        for _ in 0..calls {
            id += 1;
            if !cached {
                empty(&redis).await?;
            }
            let event = api_gateway_event(&request(&key, &system_clock(), guild, id));
            let before = Instant::now();
            let answer = host.invoke(&event).await?;
            taken.push(before.elapsed());
            first.get_or_insert_with(|| started.elapsed());
            let answer = from_api_gateway_answer(&answer).context("not an HTTP answer")?;
            ensure!(answer.status() == 200, "the answer was {}", answer.status());
            bytes = answer.body().len();
            ensure!(bytes > 2_000, "the answer has no picture: {}", String::from_utf8_lossy(answer.body()));
        }
        taken.sort_unstable();
        println!(
            "| {guild} | {} | {calls} | {} | {} | {} | {} |",
            if cached { "used" } else { "emptied" },
            millis(percentile(&taken, 50)),
            millis(percentile(&taken, 99)),
            millis(percentile(&taken, 100)),
            bytes / 1_024
        );
    }
    println!("\nprocess start to first answer: {} ms", millis(first.unwrap_or_default()));
    Ok(())
}

/// Empties the stack's cache with an inline command of the Redis protocol.
async fn empty(address: &str) -> anyhow::Result<()> {
    let mut connection = TcpStream::connect(address).await.context("the stack's cache is away")?;
    connection.write_all(b"FLUSHALL\r\n").await?;
    let mut answer = [0; 5];
    connection.read_exact(&mut answer).await?;
    ensure!(&answer == b"+OK\r\n", "the cache did not empty itself");
    Ok(())
}

fn percentile(sorted: &[Duration], percent: usize) -> Duration {
    let position = (sorted.len() * percent).div_ceil(100).saturating_sub(1);
    sorted.get(position).copied().unwrap_or_default()
}

fn millis(duration: Duration) -> String {
    format!("{:.1}", duration.as_secs_f64() * 1_000.0)
}

async fn guilds(variables: &[(&str, String)]) -> anyhow::Result<Vec<String>> {
    let url = variables.iter().find(|(name, _)| *name == "DATABASE_URL").context("the stack has no database")?;
    let pool = guildhall_store::connect(&url.1, 1).await?;
    let rows = guildhall_store::audit::counts(&mut *pool.acquire().await?).await?;
    let mut guilds: Vec<_> = rows.into_iter().map(|row| row.guild.to_string()).collect();
    guilds.dedup();
    Ok(guilds)
}

fn request(key: &SigningKey, clock: &Clock, guild: &str, id: u64) -> Request {
    let body = json!({
        "id": id.to_string(),
        "application_id": "1100000000000000001",
        "type": 2,
        "token": "bench",
        "version": 1,
        "guild_id": guild,
        "channel_id": "1",
        "channel": { "id": "1", "type": 0 },
        "locale": "en-US",
        "guild_locale": "en-US",
        "app_permissions": "0",
        "context": 0,
        "entitlements": [],
        "authorizing_integration_owners": {},
        "member": {
            "user": { "id": "2", "username": "bench", "discriminator": "0", "avatar": null },
            "roles": [], "permissions": "32", "joined_at": "2025-01-01T00:00:00Z", "deaf": false, "mute": false, "flags": 0
        },
        "data": { "id": "3", "name": "stats", "type": 1, "options": [{
            "name": "server", "type": 1, "options": [{ "name": "period", "type": 3, "value": "7d" }]
        }] }
    })
    .to_string();
    let timestamp = clock.now().as_secs().to_string();
    let signature = key.sign(format!("{timestamp}{body}").as_bytes());
    let mut request = Request::new(body.into());
    *request.method_mut() = http::Method::POST;
    *request.uri_mut() = http::Uri::from_static("/interactions");
    let headers = request.headers_mut();
    headers.insert("content-type", http::HeaderValue::from_static("application/json"));
    for (name, value) in
        [("x-signature-ed25519", hex::encode(signature.to_bytes())), ("x-signature-timestamp", timestamp)]
    {
        if let Ok(value) = http::HeaderValue::from_str(&value) {
            headers.insert(name, value);
        }
    }
    request
}
