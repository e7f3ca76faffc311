//! The shard runner's process: configuration, signals, exit code. `--health` asks one that runs.

use std::process::ExitCode;

use guildhall_gateway_runner::{Config, config, health, run};
use guildhall_runtime::{Environment, system_clock, telemetry};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

#[tokio::main]
async fn main() -> ExitCode {
    let environment = Environment::of_process();
    telemetry::init(&environment);
    let asks = std::env::args().nth(1).is_some_and(|argument| argument == "--health");
    match if asks { ask(&environment) } else { start(&environment).await } {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(error = format!("{error:#}"), "the runner cannot go on");
            ExitCode::FAILURE
        }
    }
}

fn ask(environment: &Environment) -> anyhow::Result<()> {
    Ok(health::check(config::admin_addr(environment)?)?)
}

async fn start(environment: &Environment) -> anyhow::Result<()> {
    let config = Config::from_environment(environment)?;
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let stop = CancellationToken::new();
    let signals = async {
        tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} }
        stop.cancel();
        // A second signal changes nothing: the end is bounded anyway.
        std::future::pending::<()>().await;
    };
    tokio::select! { ended = run(config, system_clock(), stop.clone()) => ended, () = signals => Ok(()) }
}
