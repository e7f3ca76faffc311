//! `cargo xtask deploy --local`: the project's own template, built and deployed by the tools that deploy it for good, to
//! an emulator of AWS that runs the functions' real programs.
//!
//! **Invariant:** what is deployed is `template.yaml` as it is committed. Where the emulator falls short, a parameter of the
//! template says so, and [`DEVIATIONS`] says it to the reader.

mod sam;

use std::{path::Path, process::ExitCode, time::Duration};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

pub(crate) use self::sam::{Sam, architecture};
use crate::{
    ambient::Stopwatch, cache::Cache, checkout::Checkout, cli::Arguments, console, exec::Program, http, seat::Seat,
    services::Wanted, tools::Tools,
};

/// The stack's name on the emulator, which forgets it with everything else.
const STACK: &str = "guildhall";

/// The parameters of the template that differ from a deployment for good, and why.
const DEVIATIONS: &[(&str, &str, &str)] = &[
    (
        "RunnerDesiredCount",
        "0",
        "the runner's tasks: the emulator starts no containers (its service and role are deployed)",
    ),
    (
        "NatGateways",
        "0",
        "address translation and its addresses: the emulator's CloudFormation knows neither (the network is deployed)",
    ),
    ("RollupSchedule", "rate(1 minute)", "the schedule of five minutes: snapshots are written every minute"),
];

/// The parameters that stand for what an operator has before he deploys.
const APPLICATION: &str = "1100000000000000001";

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    if !arguments.flag("local") || !arguments.words().is_empty() {
        bail!(
            "usage: cargo xtask deploy --local\n  a deployment for good is `sam build` and `sam deploy`: docs/operations.md"
        );
    }
    let checkout = Checkout::find()?;
    let cache = Cache::open()?;
    let tools = Tools::ready(&cache)?;
    let watch = Stopwatch::start();
    rehearse(&checkout, &cache, &tools)?;
    println!("\neverything holds, after {}", console::seconds(watch.elapsed()));
    Ok(ExitCode::SUCCESS)
}

/// Deploys, checks, and forgets everything again; says how many checks held.
pub(crate) fn rehearse(checkout: &Checkout, cache: &Cache, tools: &Tools) -> Result<u64> {
    let seat = Seat::take(checkout, "deploy")?;
    let state = seat.folder();
    let wanted = Wanted { throw_away: true, both_databases: false };
    let services = seat.services(tools, wanted)?;
    let endpoints = services.endpoints();
    let sam = Sam::ready(checkout, cache, state)?;

    let task = console::task("sam build", "building the functions (profile dev); the first time takes several minutes");
    sam.build()?;
    task.done("built");

    let mut parameters = vec![
        ("Architecture", architecture()?.to_owned()),
        ("DatabaseSecretArn", secret(&endpoints.aws, "database", &json!({ "url": endpoints.postgres }))?),
        ("CacheSecretArn", secret(&endpoints.aws, "cache", &json!({ "url": endpoints.redis }))?),
        ("DiscordSecretArn", secret(&endpoints.aws, "discord", &json!({ "token": "none" }))?),
        ("DiscordApplicationId", APPLICATION.to_owned()),
        ("DiscordPublicKey", probe(checkout).arg("public-key").output()?.trim().to_owned()),
        // Nobody listens there: a deployment that is only tried speaks to no one outside.
        ("DiscordApiUrl", "http://127.0.0.1:9".to_owned()),
        ("RunnerImage", "guildhall.invalid/gateway-runner".to_owned()),
    ];
    parameters.extend(DEVIATIONS.iter().map(|(name, value, _)| (*name, (*value).to_owned())));
    let task = console::task("sam deploy", &format!("deploying the stack {STACK} to the emulator"));
    sam.deploy(&endpoints.aws, STACK, &parameters)?;
    let outputs = sam.outputs(&endpoints.aws, STACK)?;
    task.done(&format!("deployed, with {} outputs", outputs.len()));

    let task = console::task("migrate", "invoking the deployed function");
    let report = invoke(&endpoints.aws, outputs.get("MigrateFunctionName").context("no MigrateFunctionName")?)?;
    task.done(&report.to_string());

    let checks =
        check(checkout, state, &json!({ "aws": endpoints.aws, "database": endpoints.postgres, "outputs": outputs }))?;
    println!("\nleft out or changed, because this is an emulator:");
    for (name, value, what) in DEVIATIONS {
        println!("  - {what}; {name}={value}");
    }
    println!("  - the cache: functions are given an existing one (CacheSecretArn), the emulator's speaks no TLS");
    println!("  - the wait of six minutes between two deliveries of a poison message: a second");
    println!("  - optimisation: the functions are built with the profile dev");
    Ok(checks)
}

/// The program that checks a deployment; it needs crates that this one is built without.
fn probe(checkout: &Checkout) -> Program {
    Program::new("cargo")
        .args(["run", "--quiet", "--locked", "--package", "guildhall-devstack", "--bin", "check-deployment", "--"])
        .current_dir(checkout.root())
}

fn check(checkout: &Checkout, state: &Path, deployment: &Value) -> Result<u64> {
    let file = state.join("deployment.json");
    std::fs::write(&file, deployment.to_string()).with_context(|| format!("cannot write {}", file.display()))?;
    println!();
    let mut rows = 0;
    let holds = probe(checkout).arg(&file).observed(|line| rows += u64::from(line.starts_with("| ")))?;
    if !holds {
        bail!(
            "the deployment does not do what it should; the functions' own words are in {}",
            state.join("ministack.log").display()
        );
    }
    // The first row is the table's head.
    Ok(rows.saturating_sub(1))
}

/// Makes a secret on the emulator, and says its ARN.
fn secret(aws: &str, name: &str, value: &Value) -> Result<String> {
    let request = json!({ "Name": format!("{STACK}/{name}"), "SecretString": value.to_string() });
    let answer = http::call_aws(aws, "secretsmanager.CreateSecret", &request)?;
    answer["ARN"].as_str().map(str::to_owned).context("the emulator made a secret without an ARN")
}

/// Invokes a deployed function and waits for its answer.
fn invoke(aws: &str, function: &str) -> Result<Value> {
    let url = format!("{aws}/2015-03-31/functions/{function}/invocations");
    let answer = http::post_json(&url, &json!({}), Duration::from_secs(120))?;
    let said: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    if answer.status != 200 || !said["errorType"].is_null() {
        bail!("{function} failed ({}): {}", answer.status, String::from_utf8_lossy(&answer.body));
    }
    Ok(said)
}
