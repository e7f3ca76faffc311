//! The steps of `cargo xtask test`.

use std::path::PathBuf;

use anyhow::{Result, bail};

use super::results::Tally;
use crate::{
    cache::Cache,
    checkout::Checkout,
    console, deploy,
    exec::Program,
    monitoring,
    ports::Ports,
    services::{self, Endpoints, Services, Wanted},
    sqlx_prepare,
    tools::{self, Prometheus, Tools},
};

/// What the steps work on. The services live from the step that starts them until this is dropped.
#[derive(Debug)]
pub(super) struct Bench {
    checkout: Checkout,
    cache: Cache,
    prepared: Option<Prepared>,
}

#[derive(Debug)]
struct Prepared {
    tools: Tools,
    prometheus: Prometheus,
    faketime: PathBuf,
    services: Services,
}

impl Bench {
    pub(super) fn new(checkout: Checkout) -> Result<Self> {
        Ok(Self { checkout, cache: Cache::open()?, prepared: None })
    }

    fn cargo(&self) -> Program {
        Program::new("cargo").current_dir(self.checkout.root())
    }

    /// What `guildhall_test_kit` reads.
    pub(super) fn environment(&self) -> Result<Vec<(String, String)>> {
        let prepared = self.prepared()?;
        let mut variables = environment(prepared.services.endpoints());
        let prometheus = prepared.prometheus.server.display().to_string();
        variables.push(("GUILDHALL_TEST_PROMETHEUS".to_owned(), prometheus));
        variables.push((tools::FAKETIME.to_owned(), prepared.faketime.display().to_string()));
        Ok(variables)
    }

    /// Until the user asks to stop or a service ends by itself.
    pub(super) fn watch_over(&mut self) -> Result<()> {
        match &mut self.prepared {
            Some(prepared) => prepared.services.watch_over(),
            None => Ok(()),
        }
    }

    fn prepared(&self) -> Result<&Prepared> {
        match &self.prepared {
            Some(prepared) => Ok(prepared),
            None => bail!("the services have not been started"),
        }
    }
}

pub(super) fn formatting(bench: &mut Bench, _: &mut Tally) -> Result<()> {
    expect(bench.cargo().args(["fmt", "--all", "--check"]), "run `cargo fmt --all`")
}

pub(super) fn prepare(bench: &mut Bench, tally: &mut Tally) -> Result<()> {
    let tools = Tools::ready(&bench.cache)?;
    let prometheus = Prometheus::find_or_install()?;
    install_node_packages(bench)?;
    let state = bench.checkout.state("test")?;
    services::end_leftovers(&state)?;
    let wanted = Wanted { throw_away: true, both_databases: true };
    let services = Services::start(&tools, &state, &mut Ports::open(&state), wanted)?;
    if services.endpoints().timescale.is_none() {
        console::warn(
            "timescaledb",
            "THE TESTS ON TIMESCALEDB DO NOT RUN: it cannot be had on this machine (see above)",
        );
        tally.untested("anything on TimescaleDB, which cannot be had on this machine");
    }
    bench.prepared = Some(Prepared { tools, prometheus, faketime: tools::faketime()?, services });
    Ok(())
}

pub(super) fn clippy(bench: &mut Bench, _: &mut Tally) -> Result<()> {
    let clippy =
        bench.cargo().args(["clippy", "--quiet", "--locked", "--workspace", "--all-targets", "--", "-D", "warnings"]);
    expect(clippy, "the warnings above are errors here")
}

pub(super) fn dependencies(bench: &mut Bench, _: &mut Tally) -> Result<()> {
    // Not `advisories`: its database is a Git repository elsewhere, and the answer would change with the day.
    let deny = tools::cargo_deny(&bench.cache)?;
    let check = Program::new(deny)
        .args(["--locked", "--log-level", "error", "check", "bans", "licenses", "sources"])
        .current_dir(bench.checkout.root());
    expect(check, "a dependency breaks the rules of .deny.toml")
}

pub(super) fn offline_queries(bench: &mut Bench, _: &mut Tally) -> Result<()> {
    let prepared = bench.prepared()?;
    sqlx_prepare::check(&bench.checkout, &prepared.tools.postgres, &prepared.services.endpoints().postgres)
}

pub(super) fn sam_validate(bench: &mut Bench, tally: &mut Tally) -> Result<()> {
    let sam = tools::sam_cli(&bench.cache)?;
    let validate = Program::new(sam)
        .args(["validate", "--lint", "--template", "template.yaml", "--region", "us-east-1"])
        .env("SAM_CLI_TELEMETRY", "0")
        .env("AWS_ACCESS_KEY_ID", "test")
        .env("AWS_SECRET_ACCESS_KEY", "test")
        .current_dir(bench.checkout.root());
    expect(validate, "template.yaml is not valid")?;
    tally.pass();
    Ok(())
}

pub(super) fn rules(bench: &mut Bench, tally: &mut Tally) -> Result<()> {
    for _ in 0..monitoring::test_rules(&bench.checkout)? {
        tally.pass();
    }
    Ok(())
}

/// The template, deployed for real, to an emulator of its own.
pub(super) fn deployment(bench: &mut Bench, tally: &mut Tally) -> Result<()> {
    // The services of the tests are another instance: nothing of theirs is seen here.
    let tools = Tools::ready(&bench.cache)?;
    for _ in 0..deploy::rehearse(&bench.checkout, &bench.cache, &tools)? {
        tally.pass();
    }
    Ok(())
}

pub(super) fn house(bench: &mut Bench, tally: &mut Tally) -> Result<()> {
    run_tests(bench.cargo().args(["test", "--locked", "--package", "guildhall-house", "--no-fail-fast"]), tally)
}

pub(super) fn workspace(bench: &mut Bench, tally: &mut Tally) -> Result<()> {
    let environment = bench.environment()?;
    run_tests(bench.cargo().args(["test", "--locked", "--workspace", "--no-fail-fast"]).envs(&environment), tally)
}

fn run_tests(cargo: Program, tally: &mut Tally) -> Result<()> {
    let before = tally.passed();
    let succeeded = cargo.observed(|line| tally.observe(line))?;
    if !succeeded || tally.failed() > 0 {
        bail!("tests failed: {}; test programs may also have ended early (see above)", tally.failed());
    }
    if tally.ignored() > 0 {
        bail!("tests ignored: {}; an ignored test proves nothing", tally.ignored());
    }
    if tally.passed() == before {
        bail!("no test ran at all");
    }
    Ok(())
}

/// The variables by which tests and benchmarks find these services.
pub(crate) fn environment(endpoints: &Endpoints) -> Vec<(String, String)> {
    [
        ("GUILDHALL_TEST_POSTGRES", endpoints.postgres.clone()),
        ("GUILDHALL_TEST_TIMESCALE", endpoints.timescale.clone().unwrap_or_else(|| "absent".to_owned())),
        ("GUILDHALL_TEST_REDIS", endpoints.redis.clone()),
        ("GUILDHALL_TEST_AWS", endpoints.aws.clone()),
        ("AWS_REGION", "us-east-1".to_owned()),
        ("AWS_ACCESS_KEY_ID", "test".to_owned()),
        ("AWS_SECRET_ACCESS_KEY", "test".to_owned()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .to_vec()
}

/// Every folder below `crates/` with a committed lock file gets the packages of that file.
fn install_node_packages(bench: &Bench) -> Result<()> {
    let listed = Program::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard", "--", "crates/**/package-lock.json"])
        .current_dir(bench.checkout.root())
        .output()?;
    for lock in listed.lines() {
        let folder = lock.trim_end_matches("/package-lock.json");
        let name = folder.rsplit('/').next().unwrap_or(folder);
        tools::install_packages(&bench.cache, &bench.checkout.path(folder), name)?;
    }
    Ok(())
}

fn expect(program: Program, remedy: &str) -> Result<()> {
    let shown = program.shown().to_owned();
    if !program.in_the_open()? {
        bail!("`{shown}` failed: {remedy}");
    }
    Ok(())
}
