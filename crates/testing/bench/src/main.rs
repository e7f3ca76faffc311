//! `bench [NAME…] [--rounds N] [--out FOLDER] [--write-docs FOLDER]`: runs benchmarks and prints one table.
//!
//! `bench binaries [NAME…]` prints the binaries of the project that they start, each with the profile it is built with.
//! `cargo xtask bench` builds them, starts the services and then calls this.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use guildhall_bench::report::{Outcome, Table, write_docs};
use guildhall_bench::run::{self, Options};
use guildhall_bench::scaling::{self, Measured};
use guildhall_bench::{Benchmark, Setup, benchmarks};
use guildhall_runtime::Environment;

#[derive(Default)]
struct Arguments {
    names: Vec<String>,
    options: Options,
    out: Option<PathBuf>,
    docs: Option<PathBuf>,
}

impl Arguments {
    fn parse(mut words: impl Iterator<Item = String>) -> Result<Self> {
        let mut arguments = Self::default();
        while let Some(word) = words.next() {
            let mut value = || words.next().with_context(|| format!("{word} needs a value"));
            match word.as_str() {
                "--rounds" => arguments.options.rounds = value()?.parse().context("--rounds takes a number")?,
                "--out" => arguments.out = Some(value()?.into()),
                "--write-docs" => arguments.docs = Some(value()?.into()),
                other if other.starts_with("--") => bail!("there is no option {other}"),
                name => arguments.names.push(name.to_owned()),
            }
        }
        Ok(arguments)
    }

    /// Those named, or all.
    fn benchmarks(&self) -> Result<Vec<&'static Benchmark>> {
        if self.names.is_empty() {
            return Ok(benchmarks::ALL.iter().collect());
        }
        let known = || benchmarks::ALL.iter().map(|benchmark| benchmark.name).collect::<Vec<_>>().join(", ");
        let find = |name: &String| {
            benchmarks::named(name).with_context(|| format!("there is no benchmark {name}; there are: {}", known()))
        };
        self.names.iter().map(find).collect()
    }
}

fn main() -> Result<ExitCode> {
    let mut words = std::env::args().skip(1).peekable();
    if words.next_if(|word| word == "binaries").is_some() {
        for benchmark in Arguments::parse(words)?.benchmarks()? {
            let profile = if benchmark.as_deployed { "release" } else { "quick" };
            for binary in benchmark.binaries {
                println!("{profile} {binary}");
            }
        }
        return Ok(ExitCode::SUCCESS);
    }
    let arguments = Arguments::parse(words)?;
    let out = arguments.out.clone().unwrap_or_else(|| PathBuf::from("target/bench"));
    let setup = Setup::new(Environment::of_process())?;
    let mut outcomes = Vec::new();
    for benchmark in arguments.benchmarks()? {
        eprintln!("{}: {}", benchmark.name, benchmark.what);
        let outcome = run::run(benchmark, &setup, arguments.options, |round| eprintln!("  {round}"))?;
        outcome.save(&out)?;
        outcomes.push(outcome);
    }
    println!("\n{}", Table::of(&outcomes));
    if let Some(docs) = &arguments.docs {
        write_docs(&out, &docs.join("benchmarks.md"))?;
        if let Some(outcome) = Outcome::load(&out, "scaling")? {
            scaling::write(&Measured::of(&outcome)?, docs)?;
        }
    }
    Ok(if outcomes.iter().all(Outcome::held) { ExitCode::SUCCESS } else { ExitCode::from(3) })
}
