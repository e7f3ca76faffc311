//! A function's program under a local Lambda runtime, and what it costs there.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use guildhall_test_kit::LambdaHost;
use serde_json::Value;
use tokio::runtime::Runtime;

use crate::cpu::{self, Core};
use crate::setup::runtime;
use crate::{Setup, Stopwatch, peer};

/// A running function. It has a core of its own; whoever invokes it uses the other.
pub struct Function {
    // Ends before the runtime that it was started on.
    host: LambdaHost,
    process: u32,
    runtime: Runtime,
}

impl Function {
    /// Starts a program, which prints into the file `log`.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(program: &Path, environment: &[(&str, String)], log: &Path) -> Result<Self> {
        let runtime = runtime()?;
        let host = cpu::on(Core::Measured, || runtime.block_on(LambdaHost::start_logged(program, environment, log)))?;
        let process = host.id().context("the function has ended")?;
        Ok(Self { host, process, runtime })
    }

    /// Invokes it once.
    ///
    /// # Errors
    /// When it fails or ends.
    pub fn invoke(&self, event: &Value) -> Result<Value> {
        self.runtime.block_on(self.host.invoke(event))
    }

    /// The CPU time it has taken since it was started.
    ///
    /// # Errors
    /// When it has ended.
    pub fn cpu(&self) -> Result<Duration> {
        cpu::of_process(self.process)
    }

    /// Invokes it with each event, and returns how long each took, in order of duration, with the CPU time of all.
    ///
    /// # Errors
    /// When one fails, or its answer is refused by `accept`.
    pub fn burst<'a>(
        &self,
        events: impl IntoIterator<Item = &'a Value>,
        accept: impl Fn(&Value) -> bool,
    ) -> Result<Burst> {
        cpu::on(Core::Driver, || {
            let before = self.cpu()?;
            let mut taken = Vec::new();
            for event in events {
                let watch = Stopwatch::start();
                let answer = self.invoke(event)?;
                taken.push(watch.wall());
                ensure!(accept(&answer), "the function answered {answer}");
            }
            let cpu = self.cpu()?.saturating_sub(before);
            taken.sort_unstable();
            Ok(Burst { taken, cpu })
        })
    }
}

/// Invocations one after the other.
#[derive(Debug)]
pub struct Burst {
    /// Wall times, the shortest first.
    pub taken: Vec<Duration>,
    /// The function's CPU time for all.
    pub cpu: Duration,
}

impl Burst {
    /// The wall time that this share of the invocations did not exceed, in milliseconds.
    pub fn percentile(&self, percent: usize) -> f64 {
        let position = (self.taken.len() * percent).div_ceil(100).saturating_sub(1);
        self.taken.get(position).map_or(f64::NAN, |taken| taken.as_secs_f64() * 1_000.0)
    }
}

/// A function in JavaScript: the NestJS application, bundled as it would be uploaded, with a program that starts it.
///
/// # Errors
/// When its packages are not installed or it cannot be bundled.
pub fn nest(setup: &Setup) -> Result<Nest> {
    let bundle = setup.scratch().join("nest.cjs");
    if !bundle.is_file() {
        let done = peer::node(setup, "nest", "bundle.mjs")?.arg(&bundle).status().context("Node.js is missing")?;
        ensure!(done.success(), "the NestJS application cannot be bundled");
    }
    let found = Command::new("node").args(["-p", "process.execPath"]).output().context("Node.js is missing")?;
    let node = String::from_utf8(found.stdout)?;
    let program = setup.scratch().join("nest-bootstrap");
    fs::write(&program, format!("#!/bin/sh\nexec {} {}\n", node.trim(), bundle.display()))?;
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755))?;
    Ok(Nest { bundle, program })
}

/// The bundled application.
#[derive(Debug)]
pub struct Nest {
    /// Its one file.
    pub bundle: PathBuf,
    /// What starts it.
    pub program: PathBuf,
}
