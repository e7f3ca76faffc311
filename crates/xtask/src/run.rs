//! `cargo xtask run`: the whole system on this machine, until Ctrl-C.

mod bench_stats;
mod build;
mod discord;
mod stack;

use std::process::ExitCode;

use anyhow::{Result, bail};

pub(crate) use self::bench_stats::bench_stats;
pub(crate) use self::stack::Announcement;
use self::{build::Build, discord::Discord};
use crate::{
    ambient::Stopwatch,
    cache::Cache,
    checkout::Checkout,
    cli::Arguments,
    console, dotenv,
    exec::Program,
    lock,
    ports::Ports,
    process,
    services::{self, Services, Wanted},
    tools::Tools,
};

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    if let [word, ..] = arguments.words() {
        bail!("`run` takes no \"{word}\"");
    }
    let watch = Stopwatch::start();
    let checkout = Checkout::find()?;
    let settings = dotenv::read(&checkout.path(".env"))?;
    let discord = Discord::from_settings(&settings)?;
    let state = discord.state(&checkout)?;
    let _lock = lock::take(&state.join("lock"), "cargo xtask run")?;
    if let unused @ [_, ..] = discord::unused(&settings).as_slice() {
        console::warn(".env", &format!("`run` chooses this itself and does not use: {}", unused.join(", ")));
    }

    services::end_leftovers(&state)?;
    // Compiling takes longest, so it goes on while everything else is made ready.
    let build = Build::start(&checkout, &state)?;

    console::heading("tools");
    let mut tools = Tools::ready(&Cache::open()?)?;
    if arguments.flag("plain-postgres") {
        tools.timescale = None;
    }

    console::heading("services");
    let mut ports = Ports::open(&state);
    if arguments.flag("fresh") {
        stack::forget(&state)?;
    }
    let wanted = Wanted { throw_away: false, both_databases: false };
    let mut services = Services::start(&tools, &state, &mut ports, wanted)?;

    console::heading("build");
    build.finish()?;

    console::heading("system");
    let announcement = stack::start(&checkout, &state, &mut services, &mut ports, &discord, &settings)?;
    stack::print_guide(&announcement, &discord, services.endpoints(), &state, watch.elapsed());

    let ended = services.watch_over();
    console::heading("\nstopping");
    let _ = std::fs::remove_file(state.join(stack::ANNOUNCEMENT));
    drop(services);
    console::note("all", "nothing is left running; the data stays in .guildhall (start with --fresh to forget it)");
    ended.map(|()| ExitCode::SUCCESS)
}

/// `cargo xtask stop`: for a `run` in a terminal that is out of reach.
pub(crate) fn stop() -> Result<ExitCode> {
    let checkout = Checkout::find()?;
    let running = discord::running(&checkout)?;
    if running.is_empty() {
        println!("`cargo xtask run` is not running in this checkout");
    }
    for pid in running {
        if !process::ask_to_end(pid)? {
            bail!("process {pid} does not end\n  end it yourself: kill -9 {pid}; the next start tidies up");
        }
        println!("stopped");
    }
    Ok(ExitCode::SUCCESS)
}

/// `cargo xtask register-commands`: hands over to the binary that knows the commands.
pub(crate) fn register_commands(arguments: &[String]) -> Result<ExitCode> {
    let checkout = Checkout::find()?;
    let settings = dotenv::read(&checkout.path(".env"))?;
    let mut environment = match Discord::from_settings(&settings)? {
        Discord::Real { .. } => settings,
        // Without a real application, the running double takes the commands.
        Discord::Double => Announcement::of_simulated(&checkout)?.environment.into_iter().collect(),
    };
    environment.retain(|(name, _)| name.starts_with("DISCORD_"));
    let succeeded = Program::new("cargo")
        .args(["run", "--quiet", "--package", "guildhall-devstack", "--bin", "register-commands", "--"])
        .args(arguments)
        .envs(&environment)
        .current_dir(checkout.root())
        .in_the_open()?;
    Ok(if succeeded { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
