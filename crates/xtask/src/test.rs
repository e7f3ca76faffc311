//! `cargo xtask test`: everything that must hold before a change is taken, cheapest first.
//!
//! **Invariant:** the last line is `N passed, 0 failed` only when every step has succeeded. No test is ignored; tests on
//! TimescaleDB have nothing to run on where it cannot be had, and the line before the last one then says so.

mod results;
mod steps;

use std::process::ExitCode;

use anyhow::{Result, bail};

pub(crate) use self::steps::environment;
use self::{results::Tally, steps::Bench};
use crate::{ambient::Stopwatch, checkout::Checkout, cli::Arguments, console, lock};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Everything,
    Rust,
    Infra,
    Web,
}

impl Part {
    fn named(name: Option<&str>) -> Result<Self> {
        Ok(match name {
            None => Self::Everything,
            Some("rust") => Self::Rust,
            Some("infra") => Self::Infra,
            Some("web") => Self::Web,
            Some(other) => bail!("--only takes rust, infra or web, not \"{other}\""),
        })
    }
}

type Step = fn(&mut Bench, &mut Tally) -> Result<()>;

const RUST: &[(&str, Step)] = &[
    ("formatting", steps::formatting),
    ("what tests need", steps::prepare),
    ("clippy", steps::clippy),
    ("dependencies (cargo-deny)", steps::dependencies),
    ("offline query data", steps::offline_queries),
];

const INFRA: &[(&str, Step)] = &[("sam validate --lint", steps::sam_validate), ("rules of Prometheus", steps::rules)];

/// The rules of the house and of the template, which are quick.
const HOUSE: &[(&str, Step)] = &[("template and house rules", steps::house)];

/// Part of `--only infra` alone: its first build compiles every function anew for Lambda.
const REHEARSAL: &[(&str, Step)] = &[("a deployment", steps::deployment)];

const TESTS: &[(&str, Step)] = &[("cargo test", steps::workspace)];

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let part = Part::named(arguments.option("only"))?;
    if let [word, ..] = arguments.words() {
        bail!(
            "`test` takes no \"{word}\"; to run single tests: `cargo xtask services` in one terminal, `cargo test -p <crate> <name>` in another"
        );
    }
    let steps = match part {
        Part::Everything => [RUST, INFRA, TESTS].concat(),
        Part::Rust => [RUST, TESTS].concat(),
        Part::Infra => [INFRA, HOUSE, REHEARSAL].concat(),
        Part::Web => {
            println!("there is no web console yet: nothing to test");
            return Ok(ExitCode::SUCCESS);
        }
    };
    let checkout = Checkout::find()?;
    let _lock = lock::take(&checkout.state("test")?.join("lock"), "cargo xtask test")?;
    let mut bench = Bench::new(checkout)?;
    let mut tally = Tally::default();
    let watch = Stopwatch::start();
    let mut times = Vec::new();
    for (name, step) in steps {
        console::heading(name);
        let step_watch = Stopwatch::start();
        let outcome = step(&mut bench, &mut tally);
        times.push((name, step_watch.elapsed()));
        if let Err(error) = outcome {
            crate::ambient::check_stop()?;
            drop(bench);
            println!();
            tally.print_failures();
            return Err(error.context(format!("\"{name}\" failed, after {}", console::seconds(watch.elapsed()))));
        }
    }
    drop(bench);
    println!();
    for (name, time) in times {
        println!("  {name:<28} {:>12}", console::seconds(time));
    }
    println!("  {:<28} {:>12}", "in all", console::seconds(watch.elapsed()));
    tally.print_untested();
    println!("{tally}");
    Ok(ExitCode::SUCCESS)
}

/// `cargo xtask services`: what the tests need, for as long as somebody works on them.
pub(crate) fn services() -> Result<ExitCode> {
    let checkout = Checkout::find()?;
    let _lock = lock::take(&checkout.state("test")?.join("lock"), "cargo xtask test or services")?;
    let mut bench = Bench::new(checkout)?;
    steps::prepare(&mut bench, &mut Tally::default())?;
    console::heading("\nin the terminal where tests run");
    for (name, value) in bench.environment()? {
        println!("export {name}='{value}'");
    }
    println!("\nCtrl-C stops them");
    bench.watch_over()?;
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_named() {
        assert_eq!(Part::named(None).unwrap(), Part::Everything);
        assert_eq!(Part::named(Some("infra")).unwrap(), Part::Infra);
        assert!(Part::named(Some("all")).unwrap_err().to_string().contains("rust, infra or web"));
    }
}
