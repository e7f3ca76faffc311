//! The developer's commands: `cargo xtask run`, `test`, `say` and what goes with them.
//!
//! This crate is what a fresh clone compiles first, so it has few dependencies and none of the workspace's own: it finds
//! and starts things, the things themselves live elsewhere.
//!
//! **Invariant:** whatever is started listens on loopback only and ends with the command that started it.
//! **Invariant:** in the checkout, nothing is written but `.guildhall/`, `target/`, `node_modules/` beside a committed lock
//! file of npm, and `.sqlx/` by `sqlx-prepare`, whose task that is. Outside it: the caches of the user and of cargo, and,
//! only where something is missing, packages by the system's package manager and TimescaleDB's files in the folders
//! where the system's PostgreSQL looks for extensions.

mod ambient;
mod bench;
mod cache;
mod chaos;
mod checkout;
mod cli;
mod console;
mod deploy;
mod dotenv;
mod exec;
mod fuzz;
mod http;
mod lock;
mod monitoring;
mod ports;
mod process;
mod run;
mod sam_local;
mod say;
mod seat;
mod services;
mod sqlx_prepare;
mod test;
mod tools;

use std::process::ExitCode;

use anyhow::Result;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match dispatch(&arguments) {
        Ok(code) => code,
        Err(error) => {
            console::failure(&error);
            ExitCode::FAILURE
        }
    }
}

fn dispatch(arguments: &[String]) -> Result<ExitCode> {
    let Some((command, rest)) = arguments.split_first() else {
        println!("{}", cli::USAGE);
        return Ok(ExitCode::from(2));
    };
    ambient::install_signal_handlers()?;
    match command.as_str() {
        "run" => run::run(&cli::Arguments::parse(rest, &[], &["fresh", "plain-postgres"])?),
        "test" => test::run(&cli::Arguments::parse(rest, &["only"], &[])?),
        "say" => say::run(&cli::Arguments::parse(rest, say::OPTIONS, say::FLAGS)?),
        "bench" => bench::run(&cli::Arguments::parse(rest, bench::OPTIONS, bench::FLAGS)?),
        "fuzz" => fuzz::run(&cli::Arguments::parse(rest, &["minutes"], &["minimise"])?),
        "prometheus" => monitoring::prometheus(),
        "register-commands" => run::register_commands(rest),
        "chaos" => chaos::run(&cli::Arguments::parse(rest, chaos::OPTIONS, chaos::FLAGS)?),
        "redrive" => chaos::redrive(rest),
        "services" => test::services(),
        "deploy" => deploy::run(&cli::Arguments::parse(rest, &[], &["local"])?),
        "sam-local" => sam_local::run(&cli::Arguments::parse(rest, &[], &["install-docker"])?),
        "sqlx-prepare" => sqlx_prepare::run(&cli::Arguments::parse(rest, &[], &["check"])?),
        "stop" => run::stop(),
        "help" | "--help" | "-h" => {
            println!("{}", cli::USAGE);
            Ok(ExitCode::SUCCESS)
        }
        unknown => {
            anyhow::bail!("there is no command \"{unknown}\"\n{}", cli::USAGE)
        }
    }
}
