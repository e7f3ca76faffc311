//! The double as a process of its own, for load tests and other languages.
//!
//! It prints its public key, its bot token and, once all is ready, its address; SIGTERM or Ctrl-C ends it.

use std::ffi::OsString;
use std::net::SocketAddr;

use anyhow::{Context as _, bail};
use guildhall_discord_double::{Config, Double};
use guildhall_domain::{Clock, Timestamp};
use tokio::signal::unix::{SignalKind, signal};

const USAGE: &str = "discord-double [--bind ADDRESS:PORT] [--seed N] [--events-per-second N] [--endpoint URL] \
                     [--max-concurrency N] [--shards N] [--no-rate-limits]";

/// What the command line asks for.
struct Options {
    config: Config,
    events_per_second: u32,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let Some(options) = options(std::env::args_os().skip(1))? else {
        println!("{USAGE}");
        return Ok(());
    };
    let seed = options.config.seed;
    println!("public key {}", options.config.public_key());
    println!("bot token  {}", options.config.bot_token);
    let double = Double::start(options.config).await?;
    if options.events_per_second > 0 {
        double.start_traffic(seed, options.events_per_second, None);
    }
    println!("listening  {}", double.base_url());
    let mut terminate = signal(SignalKind::terminate()).context("could not wait for SIGTERM")?;
    tokio::select! {
        _ = terminate.recv() => {}
        pressed = tokio::signal::ctrl_c() => pressed.context("could not wait for Ctrl-C")?,
    }
    double.stop().await;
    Ok(())
}

/// Reads the command line; `None` when help is wanted.
fn options(arguments: impl Iterator<Item = OsString>) -> anyhow::Result<Option<Options>> {
    let mut config = Config::new(1, system_clock());
    config.bind = SocketAddr::from(([127, 0, 0, 1], 8200));
    let mut events_per_second = 0;
    let mut arguments = arguments.map(|argument| argument.to_string_lossy().into_owned());
    while let Some(flag) = arguments.next() {
        let mut value = || arguments.next().with_context(|| format!("{flag} needs a value"));
        match flag.as_str() {
            "--help" | "-h" => return Ok(None),
            "--no-rate-limits" => config.rate_limits = false,
            "--bind" => config.bind = value()?.parse().context("--bind is an address with a port")?,
            "--seed" => config.seed = value()?.parse().context("--seed is a number")?,
            "--shards" => config.shards = value()?.parse().context("--shards is a number")?,
            "--max-concurrency" => {
                config.max_concurrency = value()?.parse().context("--max-concurrency is a number")?;
            }
            "--events-per-second" => {
                events_per_second = value()?.parse().context("--events-per-second is a number")?;
            }
            "--endpoint" => config.interactions_endpoint = Some(value()?),
            _ => bail!("unknown argument {flag}\n{USAGE}"),
        }
    }
    Ok(Some(Options { config, events_per_second }))
}

#[expect(clippy::disallowed_methods, reason = "a main is where the system clock enters")]
fn system_clock() -> Clock {
    Clock::new(|| Timestamp::from_utc(chrono::DateTime::from(std::time::SystemTime::now())))
}
