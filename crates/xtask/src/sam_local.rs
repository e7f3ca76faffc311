//! `cargo xtask sam-local`: every function as the Amazon Linux runtime would start it, in a container, by `sam local invoke`
//! with its event from `infra/events/`, its answer compared with the one in `infra/expected/`.
//!
//! The runtime's own image is not used: it lies in a registry, and what it would add is its libraries. Those are looked at
//! instead, in the functions' programs (`glibc`); the image made here has the libraries of this machine.
//!
//! **Invariant:** Docker runs for as long as the command, on a socket of its own, unless there was one before.

mod docker;
mod glibc;
mod image;
mod relay;

use std::{fs, path::Path, process::ExitCode};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use self::{docker::Docker, relay::Relay};
use crate::{
    cache::Cache, checkout::Checkout, cli::Arguments, console, deploy::Sam, seat::Seat, services::Wanted, tools::Tools,
};

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    if let [word, ..] = arguments.words() {
        bail!("`sam-local` takes no \"{word}\"");
    }
    let checkout = Checkout::find()?;
    let cache = Cache::open()?;
    let seat = Seat::take(&checkout, "sam-local")?;
    let state = seat.folder();
    let docker = Docker::ready(state, arguments.flag("install-docker"))?;
    let tools = Tools::ready(&cache)?;
    let wanted = Wanted { throw_away: true, both_databases: false };
    let services = seat.services(&tools, wanted)?;
    let sam = Sam::ready(&checkout, &cache, state)?;
    let task = console::task("sam build", "building the functions (profile dev); the first time takes several minutes");
    sam.build()?;
    task.done("built");

    let functions = functions(&checkout)?;
    println!();
    for function in &functions {
        let newest = glibc::newest(&sam.build_folder().join(logical_id(function)).join("bootstrap"))?;
        glibc::check(function, newest)?;
    }
    let programs: Vec<_> = functions.iter().map(|f| sam.build_folder().join(logical_id(f)).join("bootstrap")).collect();
    let _image = image::import(&docker, &sam.emulator()?, state, &programs)?;

    // A container reaches this machine by the bridge's address; the services listen on loopback.
    let gateway = docker.gateway()?;
    let endpoints = services.endpoints();
    let postgres = Relay::start(gateway, &endpoints.postgres)?;
    let redis = Relay::start(gateway, &endpoints.redis)?;
    let aws = Relay::start(gateway, &endpoints.aws)?;
    let variables = json!({ "Parameters": {
        "DATABASE_URL": postgres.url(),
        "REDIS_URL": redis.url(),
        "AWS_ENDPOINT_URL": aws.url(),
        "DISCORD_PUBLIC_KEY": "3b6a27bcceb6a42d62a3a8d02a6f0d73653215771de243a63ac048a18b59da29",
        "DISCORD_API_URL": "http://127.0.0.1:9",
        "DISCORD_TOKEN": "none",
        "WORK_QUEUE_URL": format!("{}/000000000000/work", aws.url()),
        "LOG_LEVEL": "warn",
    } });
    let file = state.join("variables.json");
    fs::write(&file, variables.to_string()).with_context(|| format!("cannot write {}", file.display()))?;

    println!("\n| function | answer | as expected |\n|---|---|---|");
    let mut wrong = Vec::new();
    for function in &functions {
        let expected = read(&checkout.path(&format!("infra/expected/{function}.json")))?;
        let event = checkout.path(&format!("infra/events/{function}.json"));
        let answer = sam.invoke_locally(&logical_id(function), &event, &file, &docker.environment())?;
        let holds = contains(&answer, &expected);
        println!("| {function} | {} | {} |", shortened(&answer.to_string()), if holds { "yes" } else { "NO" });
        if !holds {
            wrong.push(format!("{function} answered {answer} where {expected} was expected"));
        }
    }
    if !wrong.is_empty() {
        bail!("{}", wrong.join("\n"));
    }
    Ok(ExitCode::SUCCESS)
}

/// The functions that have an event, `migrate` first: the others need its tables.
fn functions(checkout: &Checkout) -> Result<Vec<String>> {
    let folder = checkout.path("infra/events");
    let entries = fs::read_dir(&folder).with_context(|| format!("cannot list {}", folder.display()))?;
    let names = entries.filter_map(|entry| Some(entry.ok()?.path().file_stem()?.to_string_lossy().into_owned()));
    let mut names: Vec<String> = names.collect();
    names.sort_by_key(|name| (name != "migrate", name.clone()));
    Ok(names)
}

/// The name of the function's resource: `stats-ingest` is `StatsIngestFunction`.
fn logical_id(function: &str) -> String {
    let mut name = String::new();
    for word in function.split('-') {
        let mut letters = word.chars();
        name.extend(letters.next().map(|first| first.to_ascii_uppercase()));
        name.push_str(letters.as_str());
    }
    name + "Function"
}

fn read(path: &Path) -> Result<Value> {
    let text = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    serde_json::from_slice(&text).with_context(|| format!("{} is not JSON", path.display()))
}

/// Whether the answer has every field that is expected, with its value.
fn contains(answer: &Value, expected: &Value) -> bool {
    match (answer, expected) {
        (Value::Object(answer), Value::Object(expected)) => {
            expected.iter().all(|(name, value)| answer.get(name).is_some_and(|answer| contains(answer, value)))
        }
        _ => answer == expected,
    }
}

fn shortened(text: &str) -> String {
    if text.chars().count() > 100 { text.chars().take(97).collect::<String>() + "…" } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resources_are_named_after_their_functions() {
        assert_eq!(logical_id("stats-ingest"), "StatsIngestFunction");
        assert_eq!(logical_id("worker"), "WorkerFunction");
    }

    #[test]
    fn an_answer_may_say_more_than_is_expected_but_nothing_else() {
        let answer = json!({ "statusCode": 401, "headers": { "a": "b" }, "list": [1] });
        assert!(contains(&answer, &json!({ "statusCode": 401, "headers": {} })));
        assert!(!contains(&answer, &json!({ "statusCode": 200 })));
        assert!(!contains(&answer, &json!({ "list": [] })));
        assert!(!contains(&answer, &json!({ "missing": null })));
    }
}
