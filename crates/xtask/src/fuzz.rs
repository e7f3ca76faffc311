//! `cargo xtask fuzz`: looks for inputs that break a promise, for as long as it is told.
//!
//! New inputs go to `target/fuzz/`, so that the committed corpus stays small; what a fuzzer finds is copied there by hand,
//! after `--minimise` has left out whatever teaches nothing new.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};

use crate::{cache::Cache, checkout::Checkout, cli::Arguments, console, exec::Program, tools};

const TARGETS: [&str; 3] = ["envelope", "frame", "interaction"];
const MINUTES: u32 = 10;
/// Bodies of up to megabytes are accepted, but what a parser does wrong it does with kilobytes; larger inputs only slow the
/// search down. The limits themselves have tests.
const LONGEST_INPUT: &str = "-max_len=65536";
/// A promise too: nothing that strangers send takes longer, or more memory.
const LIMITS: [&str; 2] = ["-timeout=5", "-rss_limit_mb=1024"];

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let minutes: u32 = match arguments.option("minutes") {
        Some(text) => text.parse().context("--minutes needs a number")?,
        None => MINUTES,
    };
    let chosen: Vec<&str> = match arguments.words() {
        [] => TARGETS.to_vec(),
        words => words.iter().map(String::as_str).collect(),
    };
    if let Some(unknown) = chosen.iter().find(|name| !TARGETS.contains(name)) {
        bail!("there is no fuzz target \"{unknown}\"; there are {}", TARGETS.join(", "));
    }
    let fuzzer = Fuzzer { program: tools::cargo_fuzz(&Cache::open()?)?, root: Checkout::find()?.root().to_owned() };
    if arguments.flag("minimise") {
        for name in chosen {
            fuzzer.minimise(name)?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    for name in &chosen {
        console::note("fuzz", &format!("{name}: {minutes} minutes"));
        if !fuzzer.run(name, minutes)? {
            console::note(
                "fuzz",
                &format!("{name} broke a promise: the input stands above, in {}", fuzzer.findings(name).display()),
            );
            return Ok(ExitCode::FAILURE);
        }
    }
    console::note("fuzz", &format!("{} clean", chosen.join(", ")));
    Ok(ExitCode::SUCCESS)
}

struct Fuzzer {
    program: PathBuf,
    root: PathBuf,
}

impl Fuzzer {
    fn committed(&self, name: &str) -> PathBuf {
        self.root.join("crates/testing/fuzz/corpus").join(name)
    }

    fn grown(&self, name: &str) -> PathBuf {
        self.root.join("target/fuzz/corpus").join(name)
    }

    fn findings(&self, name: &str) -> PathBuf {
        self.root.join("target/fuzz/findings").join(name)
    }

    /// `cargo fuzz`, on the stable compiler: coverage comes from LLVM, only the sanitizers would need another one, and the
    /// code that is fuzzed has no `unsafe`.
    fn command(&self, action: &str, name: &str) -> Program {
        Program::new(&self.program)
            .args(["fuzz", action, "--sanitizer", "none", "--fuzz-dir"])
            .arg(self.root.join("crates/testing/fuzz/fuzz"))
            .arg(name)
            .env("CARGO_TARGET_DIR", self.root.join("target/fuzz/build"))
    }

    fn run(&self, name: &str, minutes: u32) -> Result<bool> {
        let (grown, findings) = (folder(self.grown(name))?, folder(self.findings(name))?);
        self.command("run", name)
            .arg(&grown)
            .arg(self.committed(name))
            .arg("--")
            .arg(format!("-max_total_time={}", minutes * 60))
            .arg(format!("-artifact_prefix={}/", findings.display()))
            .args([LONGEST_INPUT, "-print_final_stats=1"])
            .args(LIMITS)
            .in_the_open()
    }

    /// Leaves in `target/fuzz/corpus` what teaches something that the committed corpus does not.
    fn minimise(&self, name: &str) -> Result<()> {
        self.command("cmin", name).arg(folder(self.grown(name))?).output()?;
        Ok(())
    }
}

fn folder(path: PathBuf) -> Result<PathBuf> {
    let make = |path: &Path| std::fs::create_dir_all(path);
    make(&path).with_context(|| format!("cannot create {}", path.display()))?;
    Ok(path)
}
