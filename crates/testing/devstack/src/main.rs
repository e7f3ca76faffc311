//! `devstack`: the whole system except the runner, until it is told to stop. `cargo xtask run` starts it with the
//! services it needs and starts the runner beside it.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use guildhall_devstack::seed;
use guildhall_devstack::stack::{Discord, Stack, StackConfig};
use guildhall_discord_double::{Config as DoubleConfig, Double};
use guildhall_domain::Clock;
use guildhall_runtime::{Environment, system_clock, telemetry};
use serde_json::json;

/// What the simulated world is made from; the same every time, so that ids can be quoted in documents.
const SEED: u64 = 1;
/// Live events a second of all guilds together: enough to watch numbers move.
const EVENTS_PER_SECOND: u32 = 5;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let environment = Environment::of_process();
    telemetry::init(&environment);
    let clock = system_clock();
    let state = PathBuf::from(environment.required("GUILDHALL_STATE_DIR")?);
    let stack = start(&environment, &clock).await?;
    if let Some(double) = &stack.double {
        populate(&environment, &stack, double, &clock).await?;
    }
    write_state(&state, &stack)?;
    println!("ready");
    stopped().await?;
    println!("stopping");
    stack.shutdown().await;
    Ok(())
}

async fn start(environment: &Environment, clock: &Clock) -> anyhow::Result<Stack> {
    let address = |name, default| environment.parsed_or::<SocketAddr>(name, "an address and port", default);
    let any_port = SocketAddr::from(([127, 0, 0, 1], 0));
    let discord = if environment.optional("DISCORD_TOKEN").is_some() {
        let names = ["DISCORD_TOKEN", "DISCORD_PUBLIC_KEY", "DISCORD_APPLICATION_ID"];
        let mut variables = Vec::new();
        for name in names {
            variables.push((name.to_owned(), environment.required(name)?.to_owned()));
        }
        if let Some(url) = environment.optional("DISCORD_API_URL") {
            variables.push(("DISCORD_API_URL".to_owned(), url.to_owned()));
        }
        Discord::External(variables)
    } else {
        let bind = address("DEVSTACK_DOUBLE_ADDR", any_port)?;
        Discord::Double(Box::new(DoubleConfig { bind, ..DoubleConfig::new(SEED, clock.clone()) }))
    };
    let config = StackConfig {
        database_url: environment.required("DATABASE_URL")?.to_owned(),
        redis_url: environment.required("REDIS_URL")?.to_owned(),
        aws_endpoint: environment.required("AWS_ENDPOINT_URL")?.to_owned(),
        prefix: "guildhall".to_owned(),
        partitions: 2,
        interactions_addr: address("DEVSTACK_INTERACTIONS_ADDR", any_port)?,
        discord,
        deliver_twice: false,
    };
    migrate(environment, clock).await?;
    Stack::start(config, clock.clone()).await
}

async fn migrate(environment: &Environment, clock: &Clock) -> anyhow::Result<()> {
    let deps = guildhall_migrate::Deps::from_environment(environment, clock.clone())?;
    guildhall_migrate::handle(&deps).await.context("could not migrate the database")?;
    Ok(())
}

/// Registers the commands, sets the guilds up, gives them a past and starts the present.
async fn populate(environment: &Environment, stack: &Stack, double: &Double, clock: &Clock) -> anyhow::Result<()> {
    guildhall_devstack::commands::register(&Environment::from_pairs(stack.environment().to_vec()), None).await?;
    let pool = guildhall_store::connect(environment.required("DATABASE_URL")?, 2).await?;
    seed::settings(&pool, double, clock).await?;
    let days = environment.parsed_or("DEVSTACK_HISTORY_DAYS", "a number of days", 15)?;
    let plan = seed::Plan { days, seed: SEED, shard_count: 1 };
    let sent = seed::past(stack, &pool, double, clock, plan, |sent| println!("history: {sent} events sent")).await?;
    if sent > 0 {
        println!("history: {sent} events counted");
    }
    let events_per_second =
        environment.parsed_or("DEVSTACK_EVENTS_PER_SECOND", "a number of events", EVENTS_PER_SECOND)?;
    if events_per_second > 0 {
        let seed = clock.now().as_millis().cast_unsigned();
        double.start_traffic(seed, events_per_second, None);
    }
    Ok(())
}

/// Leaves the addresses where `cargo xtask` finds them, in one rename, so that nobody reads half of it.
fn write_state(directory: &Path, stack: &Stack) -> anyhow::Result<()> {
    let runner: serde_json::Map<_, _> =
        stack.environment().iter().map(|(name, value)| (name.clone(), json!(value))).collect();
    let state = json!({
        "interactions_url": stack.interactions_url,
        "discord_url": stack.double.as_ref().map(Double::base_url),
        "environment": runner,
    });
    let path = directory.join("devstack.json");
    let draft = directory.join("devstack.json.new");
    std::fs::write(&draft, serde_json::to_vec_pretty(&state)?)
        .and_then(|()| std::fs::rename(&draft, &path))
        .with_context(|| format!("could not write {}", path.display()))
}

async fn stopped() -> anyhow::Result<()> {
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => interrupted?,
        _ = terminate.recv() => {}
    }
    Ok(())
}
