//! How many events a second one local client receives. Build it with `--profile bench-fast`.
//!
//! `throughput [plain|zlib-stream|zstd-stream] [seconds]`

#![expect(clippy::unwrap_used, reason = "a tool for developers: any failure may end it")]

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use guildhall_discord_double::traffic::TrafficPlan;
use guildhall_discord_double::{Config, Double};
use guildhall_domain::{Clock, Timestamp};
use serde_json::json;
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::Message;

#[tokio::main]
async fn main() {
    let mut arguments = std::env::args_os().skip(1).map(|argument| argument.to_string_lossy().into_owned());
    let compress = arguments.next().unwrap_or_else(|| "zstd-stream".to_owned());
    let seconds: u64 = arguments.next().map_or(10, |seconds| seconds.parse().unwrap());

    let clock = Clock::fixed(Timestamp::from_secs(1_767_268_800));
    let double = Double::start(Config::new(1, clock)).await.unwrap();
    let compression = if compress == "plain" { String::new() } else { format!("&compress={compress}") };
    let address = format!("{}?v=10&encoding=json{compression}", double.gateway().url());
    let (mut socket, _) = tokio_tungstenite::connect_async(address).await.unwrap();
    let identify = json!({"op": 2, "d": {
        "token": Config::default().bot_token, "intents": 0x1_ffff, "shard": [0, 1], "properties": {},
    }});
    socket.send(Message::text(identify.to_string())).await.unwrap();
    // HELLO, READY and the guilds.
    for _ in 0..2 + double.world().guild_ids().len() {
        socket.next().await.unwrap().unwrap();
    }

    double.traffic().start(TrafficPlan {
        events_per_second: f64::from(u32::MAX),
        seed: 1,
        guild_ids: None,
        stop_after_events: None,
        seconds: None,
    });
    let (start, ticks) = (Instant::now(), cpu_ticks());
    let end = start + Duration::from_secs(seconds);
    let (mut frames, mut bytes) = (0_u64, 0_u64);
    while Instant::now() < end {
        bytes += socket.next().await.unwrap().unwrap().len() as u64;
        frames += 1;
    }
    let elapsed = start.elapsed().as_millis().max(1);
    let per_second = u128::from(frames) * 1_000 / elapsed;
    let per_cpu_second = frames * 100 / (cpu_ticks() - ticks).max(1);
    println!(
        "{compress}: {per_second} events/s, {per_cpu_second} events per CPU second, {} bytes each",
        bytes / frames.max(1)
    );
}

/// CPU time of this process, double and client together, in hundredths of a second (`utime` and `stime` of `proc(5)`).
/// On a busy machine it says more than the wall clock.
fn cpu_ticks() -> u64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let after_name = stat.rsplit_once(')').unwrap().1;
    after_name.split_whitespace().skip(11).take(2).map(|ticks| ticks.parse::<u64>().unwrap()).sum()
}
