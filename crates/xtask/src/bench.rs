//! `cargo xtask bench [NAME…]`: benchmarks beside their limits and their peers, on this machine.
//!
//! Installs what the peers need, builds what is measured, starts private services, and hands over to the program `bench`
//! (`crates/testing/bench`), which measures, prints the table and writes `target/bench/NAME.json`.

use std::{fs, path::PathBuf, process::ExitCode};

use anyhow::{Context, Result, bail};

use crate::{
    cache::Cache,
    checkout::Checkout,
    cli::Arguments,
    console,
    exec::Program,
    run,
    seat::Seat,
    services::Wanted,
    test,
    tools::{self, Tools},
};

pub(crate) const OPTIONS: &[&str] = &["calls", "rounds"];
pub(crate) const FLAGS: &[&str] = &["release", "write-docs"];

/// Nearly what is deployed, in a fraction of the time to build it.
const QUICK: &str = "bench-fast";
/// What is deployed.
const RELEASE: &str = "release";
/// Programs that are measured as limits, all of one package.
const LIMITS: [&str; 2] = ["hello-lambda", "verify-lambda"];
/// Where the packages of peers are listed, a folder for each set.
const PEERS: &str = "crates/testing/bench/peers";

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    if arguments.words() == ["stats"] {
        return run::bench_stats(arguments);
    }
    if arguments.option("calls").is_some() {
        bail!("--calls belongs to `cargo xtask bench stats`");
    }
    let checkout = Checkout::find()?;
    let seat = Seat::take(&checkout, "bench")?;

    console::heading("build");
    let build = Build { checkout: &checkout, quick: if arguments.flag("release") { RELEASE } else { QUICK } };
    let bench = build.bench()?;
    build.binaries(&bench, arguments.words())?;

    console::heading("peers and services");
    let cache = Cache::open()?;
    install_peers(&cache, &checkout)?;
    let tools = Tools::ready(&cache)?;
    // Waits for the disk, as what is deployed does.
    let wanted = Wanted { throw_away: false, both_databases: true };
    let services = seat.services(&tools, wanted)?;

    console::heading("measuring");
    let mut program = Program::new(&bench)
        .args(arguments.words())
        .args(["--out"])
        .arg(checkout.target().join("bench"))
        .envs(&test::environment(services.endpoints()))
        .env("GUILDHALL_BENCH_BINARIES", build.folder(build.quick))
        .env("GUILDHALL_BENCH_DEPLOYED", build.folder(RELEASE))
        .env("GUILDHALL_BENCH_POSTGRES_BIN", &tools.postgres.bin)
        .env("GUILDHALL_BENCH_PEERS", checkout.path(PEERS))
        .current_dir(checkout.root());
    if let Some(rounds) = arguments.option("rounds") {
        program = program.args(["--rounds", rounds]);
    }
    if arguments.flag("write-docs") {
        program = program.arg("--write-docs").arg(checkout.path("docs"));
    }
    let held = program.in_the_open()?;
    drop(services);
    Ok(if held { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

struct Build<'a> {
    checkout: &'a Checkout,
    quick: &'static str,
}

impl Build<'_> {
    /// Where a profile's binaries lie.
    fn folder(&self, profile: &str) -> PathBuf {
        self.checkout.target().join(profile)
    }

    /// The program that measures.
    fn bench(&self) -> Result<PathBuf> {
        self.build(self.quick, "bench", &["bench"])?;
        Ok(self.folder(self.quick).join("bench"))
    }

    /// The project's own programs that these benchmarks start.
    fn binaries(&self, bench: &PathBuf, names: &[String]) -> Result<()> {
        let listed = Program::new(bench).arg("binaries").args(names).output()?;
        for profile in [self.quick, RELEASE] {
            let wanted = |line: &str| -> Option<String> {
                let (kind, binary) = line.split_once(' ')?;
                let profile_of = if kind == RELEASE { RELEASE } else { self.quick };
                (profile_of == profile).then(|| binary.to_owned())
            };
            let mut binaries: Vec<_> = listed.lines().filter_map(wanted).collect();
            binaries.sort();
            binaries.dedup();
            for binary in &binaries {
                let package = if LIMITS.contains(&binary.as_str()) { "bench-limits" } else { binary };
                self.build(profile, package, &[binary])?;
            }
            if self.quick == RELEASE {
                break;
            }
        }
        Ok(())
    }

    fn build(&self, profile: &str, package: &str, binaries: &[&str]) -> Result<()> {
        let task = console::task("cargo", &format!("building {package} with the profile {profile}"));
        let mut program = Program::new("cargo")
            .args(["build", "--quiet", "--locked", "--profile", profile])
            .args(["--package", &format!("guildhall-{package}")])
            .current_dir(self.checkout.root());
        for binary in binaries {
            program = program.args(["--bin", binary]);
        }
        if !program.in_the_open()? {
            bail!("{package} could not be built");
        }
        task.done("built");
        Ok(())
    }
}

/// The packages of every set of peers that has a lock file.
fn install_peers(cache: &Cache, checkout: &Checkout) -> Result<()> {
    let folder = checkout.path(PEERS);
    let entries = fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))?;
    for entry in entries {
        let set = entry?.path();
        if set.join("package-lock.json").is_file() {
            let name = set.file_name().unwrap_or_default().to_string_lossy().into_owned();
            tools::install_packages(cache, &set, &name)?;
        }
    }
    Ok(())
}
