//! `cargo xtask chaos`: every fault at full length, against private services; `cargo xtask redrive`: dead letters go back.

use std::process::ExitCode;

use anyhow::{Result, bail};

use crate::{
    cache::Cache,
    checkout::Checkout,
    cli::Arguments,
    console,
    exec::Program,
    seat::Seat,
    services::Wanted,
    test,
    tools::{self, Tools},
};

pub(crate) const OPTIONS: &[&str] = &["seed", "minutes", "only"];
pub(crate) const FLAGS: &[&str] = &["short"];

/// Optimised enough for thousands of events a second, quick enough to build.
const PROFILE: &str = "bench-fast";

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    if let [word, ..] = arguments.words() {
        bail!("`chaos` takes no \"{word}\"; to stage one fault: cargo xtask chaos --only {word}");
    }
    let checkout = Checkout::find()?;
    let seat = Seat::take(&checkout, "chaos")?;

    console::heading("build");
    console::note("cargo", &format!("building chaos and what it breaks with the profile {PROFILE}"));
    let built = Program::new("cargo")
        .args(["build", "--locked", "--quiet", "--profile", PROFILE])
        .args(["--package", "guildhall-chaos", "--package", "guildhall-gateway-runner"])
        .args(["--package", "guildhall-stats-ingest"])
        .args(["--bin", "chaos", "--bin", "gateway-runner", "--bin", "stats-ingest"])
        .current_dir(checkout.root())
        .in_the_open()?;
    if !built {
        bail!("chaos could not be built");
    }

    console::heading("services");
    let tools = Tools::ready(&Cache::open()?)?;
    let faketime = tools::faketime()?;
    let wanted = Wanted { throw_away: true, both_databases: false };
    let services = seat.services(&tools, wanted)?;

    console::heading("chaos");
    let mut program = Program::new(checkout.target().join(PROFILE).join("chaos"))
        .envs(&test::environment(services.endpoints()))
        .env(tools::FAKETIME, faketime)
        .env("LOG_LEVEL", "error")
        .env("LOG_FORMAT", "text")
        .current_dir(checkout.root());
    for option in OPTIONS {
        if let Some(value) = arguments.option(option) {
            program = program.args([format!("--{option}").as_str(), value]);
        }
    }
    if arguments.flag("short") {
        program = program.arg("--short");
    }
    let exact = program.in_the_open()?;
    drop(services);
    Ok(if exact { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// `cargo xtask redrive`: hands over to the binary that can read what is in a queue. It talks to the AWS that the
/// environment names.
pub(crate) fn redrive(arguments: &[String]) -> Result<ExitCode> {
    let checkout = Checkout::find()?;
    let succeeded = Program::new("cargo")
        .args(["run", "--quiet", "--package", "guildhall-devstack", "--bin", "redrive", "--"])
        .args(arguments)
        .current_dir(checkout.root())
        .in_the_open()?;
    Ok(if succeeded { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
