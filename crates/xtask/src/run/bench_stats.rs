//! `cargo xtask bench stats`: how long a warm `/stats server` takes, on the data of the running system.

use std::process::ExitCode;

use anyhow::{Result, bail};

use super::{discord::Discord, stack::Announcement};
use crate::{checkout::Checkout, cli::Arguments, console, exec::Program};

/// Nearly what is deployed, in a fraction of the time to build it.
const QUICK: &str = "bench-fast";
/// What is deployed.
const RELEASE: &str = "release";

pub(crate) fn bench_stats(arguments: &Arguments) -> Result<ExitCode> {
    let checkout = Checkout::find()?;
    // Says at once that nothing is running, before anything is compiled.
    Announcement::of_simulated(&checkout)?;
    let profile = if arguments.flag("release") { RELEASE } else { QUICK };
    let cargo = || Program::new("cargo").current_dir(checkout.root());
    console::note("cargo", &format!("building the function interactions with the profile {profile}"));
    let built = cargo()
        .args(["build", "--quiet", "--locked", "--profile", profile])
        .args(["--package", "guildhall-interactions", "--bin", "interactions"])
        .in_the_open()?;
    if !built {
        bail!("the function interactions could not be built");
    }
    let measured = cargo()
        .args(["run", "--quiet", "--locked", "--package", "guildhall-devstack", "--bin", "bench-stats", "--"])
        .arg(checkout.target().join(profile).join("interactions"))
        .args(arguments.option("calls"))
        .env("GUILDHALL_STATE_DIR", Discord::Double.state(&checkout)?)
        .in_the_open()?;
    Ok(if measured { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
