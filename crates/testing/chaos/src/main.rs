//! `chaos [--seed N] [--minutes M] [--only FAULT]`: stages every fault, or one, and prints the table. `cargo xtask chaos`
//! starts the services and this.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail};
use guildhall_chaos::engine;
use guildhall_chaos::report::{HEAD, Row};
use guildhall_chaos::scale::{Attic, Binaries, Context, FAKETIME, LONGEST_OUTAGE, Scale, Services};
use guildhall_runtime::{Environment, system_clock, telemetry};
use guildhall_test_kit::services;

struct Arguments {
    scale: Scale,
    only: Option<String>,
}

fn arguments(mut given: impl Iterator<Item = String>) -> anyhow::Result<Arguments> {
    let (mut seed, mut outage, mut only, mut short) = (1, LONGEST_OUTAGE, None, false);
    while let Some(argument) = given.next() {
        if argument == "--short" {
            short = true;
            continue;
        }
        let value = given.next().with_context(|| format!("{argument} takes a value"))?;
        match argument.as_str() {
            "--seed" => seed = value.parse().context("--seed takes a number")?,
            "--minutes" => {
                let minutes: f64 = value.parse().context("--minutes takes a number")?;
                outage = Duration::try_from_secs_f64(minutes * 60.0).context("--minutes takes a length of time")?;
            }
            "--only" => only = Some(value),
            other => bail!("unknown argument {other}; usage: chaos [--seed N] [--minutes M] [--only FAULT] [--short]"),
        }
    }
    let scale = if short { Scale::short(seed) } else { Scale::full(seed, outage) };
    Ok(Arguments { scale, only })
}

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    let environment = Environment::of_process();
    telemetry::init(&environment);
    let Arguments { scale, only } = arguments(std::env::args().skip(1))?;
    let faults = engine::chosen(only.as_deref())?;
    let context = Context {
        scale,
        services: Services {
            postgres: services::service(services::POSTGRES),
            redis: services::service(services::REDIS),
            aws: services::service(services::AWS),
        },
        binaries: Binaries::beside(&std::env::current_exe()?)?,
        clock: system_clock(),
        attic: Attic::default(),
        faketime: environment.optional(FAKETIME).map(Into::into),
    };
    println!(
        "seed {}, {} things a second on {} shards, SQS away for {:?}",
        context.scale.seed, context.scale.events_per_second, context.scale.shards, context.scale.outage
    );
    println!("{HEAD}");
    let began = tokio::time::Instant::now();
    let rows = engine::run(&context, faults, |row| println!("{row}")).await;
    let bad = rows.iter().filter(|row| !row.is_good()).count();
    let (faults, seconds, seed) = (rows.len(), began.elapsed().as_secs(), context.scale.seed);
    println!("{faults} faults, {bad} with deviations, in {seconds} s (--seed {seed})");
    Ok(if rows.iter().all(Row::is_good) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
