//! Compiles what `run` starts, beside the preparations.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};

use crate::{
    ambient::{self, Stopwatch},
    checkout::Checkout,
    console,
    exec::{self, Program},
    process::{self, Account, Plan, Running, Stop},
};

/// Between two lines of progress.
const SILENCE: u64 = 15;

#[derive(Debug)]
pub(super) struct Build {
    cargo: Running,
    log: PathBuf,
    watch: Stopwatch,
}

impl Build {
    pub(super) fn start(checkout: &Checkout, state: &Path) -> Result<Self> {
        let log = state.join("build.log");
        let cargo = process::start(Plan {
            name: "build",
            program: Program::new("cargo")
                .args(["build", "--locked", "--package", "guildhall-devstack", "--package", "guildhall-gateway-runner"])
                .args(["--bin", "devstack", "--bin", "gateway-runner"])
                .current_dir(checkout.root()),
            log: log.clone(),
            progress: None,
            pid_file: state.join("build.pid"),
            stop: Stop::Terminate,
            account: Account::Own,
        })?;
        Ok(Self { cargo, log, watch: Stopwatch::start() })
    }

    /// Waits for the end, saying now and then how far it is.
    pub(super) fn finish(mut self) -> Result<()> {
        console::note("cargo", "compiling; the first time takes several minutes");
        let mut next = self.watch.elapsed().as_secs() + SILENCE;
        loop {
            if let Some(success) = self.cargo.has_succeeded()? {
                if success {
                    console::note("cargo", &format!("compiled ({})", console::seconds(self.watch.elapsed())));
                    return Ok(());
                }
                let log = fs::read_to_string(&self.log).context("cannot read the build's log")?;
                let errors = exec::tail(from_first_error(&log), 40);
                bail!("the build failed{}; from {}:\n{errors}", hint(&log), self.log.display());
            }
            ambient::check_stop()?;
            if self.watch.elapsed().as_secs() >= next {
                next += SILENCE;
                let log = fs::read_to_string(&self.log).unwrap_or_default();
                let (count, after) = (compiled(&log), console::seconds(self.watch.elapsed()));
                console::note("cargo", &format!("{count} crates compiled after {after}"));
            }
            ambient::pause(std::time::Duration::from_millis(50));
        }
    }
}

/// How many crates cargo has begun with.
fn compiled(log: &str) -> usize {
    log.lines().filter(|line| line.trim_start().starts_with("Compiling ")).count()
}

/// Without the warnings before it.
fn from_first_error(log: &str) -> &str {
    log.find("\nerror").map_or(log, |at| &log[at..])
}

/// What to do, where the end of the log tells.
fn hint(log: &str) -> &'static str {
    if ["failed to download", "Could not resolve host", "failed to get"].iter().any(|sign| log.contains(sign)) {
        " because crates could not be downloaded (is there a network?)"
    } else if log.contains("linker `cc` not found") || log.contains("failed to find tool") {
        " because there is no C compiler (on Debian: apt-get install build-essential)"
    } else if log.contains("--locked was passed") {
        " because Cargo.lock is not up to date (run `cargo update --workspace`)"
    } else {
        ""
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_is_counted_and_causes_are_named() {
        assert_eq!(compiled("   Compiling a v1\nwarning: x\n   Compiling b v2\n    Finished"), 2);
        assert!(hint("error: linker `cc` not found").contains("C compiler"));
        assert!(hint("error: failed to download from ...").contains("network"));
        assert_eq!(from_first_error("warning: x\nerror: y\nz"), "\nerror: y\nz");
        assert_eq!(hint("error[E0308]: mismatched types"), "");
    }
}
