//! The rules of `infra/monitoring/`, checked and tested with Prometheus's own tool; what the dashboards show is tested by
//! `gateway-runner/tests/dashboards.rs`, with a Prometheus that is started there. `cargo xtask prometheus` starts one
//! beside the running system, for people to look at.

use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context, Result, bail};
use serde_json::json;

use crate::{checkout::Checkout, console, exec::Program, ports::Ports, tools::Prometheus};

const FOLDER: &str = "infra/monitoring";
/// Where `cargo xtask run` leaves what there is to be scraped; `prometheus-local.yml` names the same file.
const TARGETS: &str = "prometheus-targets.json";

/// Checks the configurations and the rules, and runs the tests of the rules; gives back how many test files passed.
pub(crate) fn test_rules(checkout: &Checkout) -> Result<u64> {
    let promtool = Prometheus::find_or_install()?.promtool;
    let run = |arguments: &[&str], files: &[PathBuf]| {
        let program = Program::new(&promtool).args(arguments).args(files).current_dir(checkout.root());
        program.output().with_context(|| format!("promtool {}", arguments.join(" ")))
    };
    let configurations = ["prometheus.yml", "prometheus-local.yml"].map(|name| checkout.path(FOLDER).join(name));
    run(&["check", "config"], &configurations)?;
    run(&["check", "rules"], &below(&checkout.path(FOLDER).join("rules"))?)?;
    let tests = below(&checkout.path(FOLDER).join("tests"))?;
    run(&["test", "rules"], &tests)?;
    Ok(tests.len().try_into()?)
}

/// The folder's `.yml` files, in order.
fn below(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))?;
    let mut files: Vec<PathBuf> = entries.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
    files.retain(|path| path.extension().is_some_and(|extension| extension == "yml"));
    files.sort();
    if files.is_empty() {
        bail!("there is nothing in {}", folder.display());
    }
    Ok(files)
}

/// Tells a Prometheus what there is to scrape: the functions in the devstack, and the runner.
pub(crate) fn announce(state: &Path, interactions_url: &str, runner: &str) -> Result<()> {
    let functions = interactions_url.trim_start_matches("http://").split('/').next().unwrap_or_default();
    let targets = json!([
        { "targets": [functions], "labels": { "job": "functions" } },
        { "targets": [runner], "labels": { "job": "gateway-runner" } },
    ]);
    let path = state.join(TARGETS);
    fs::write(&path, targets.to_string()).with_context(|| format!("cannot write {}", path.display()))
}

/// `cargo xtask prometheus`: a Prometheus beside the running system, until Ctrl-C.
pub(crate) fn prometheus() -> Result<ExitCode> {
    let checkout = Checkout::find()?;
    let state = checkout.state("run")?;
    if !state.join(TARGETS).exists() {
        bail!("the system has not been started in this checkout\n  start it in another terminal: cargo xtask run");
    }
    let server = Prometheus::find_or_install()?.server;
    let port = Ports::open(&state).choose("prometheus")?;
    console::note("prometheus", &format!("http://127.0.0.1:{port} (rules under /rules, alerts under /alerts)"));
    let program = Program::new(server)
        .arg(format!("--config.file={}", checkout.path(FOLDER).join("prometheus-local.yml").display()))
        .arg(format!("--storage.tsdb.path={}", state.join("prometheus").display()))
        .args(["--storage.tsdb.retention.time=7d", "--log.level=warn"])
        .arg(format!("--web.listen-address=127.0.0.1:{port}"));
    Ok(if program.in_the_open()? { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_announced_can_be_scraped() {
        let folder = tempfile::tempdir().unwrap();
        announce(folder.path(), "http://127.0.0.1:4000/interactions", "127.0.0.1:5000").unwrap();
        let written: serde_json::Value =
            serde_json::from_str(&fs::read_to_string(folder.path().join(TARGETS)).unwrap()).unwrap();
        assert_eq!(written[0], json!({ "targets": ["127.0.0.1:4000"], "labels": { "job": "functions" } }));
        assert_eq!(written[1]["targets"], json!(["127.0.0.1:5000"]));
    }
}
