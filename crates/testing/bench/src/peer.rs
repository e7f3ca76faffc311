//! Contestants in processes of their own, most of them in JavaScript.
//!
//! A peer is started once and asked for each round, so that it is as warm as ours: it reads a request, one line of JSON, does
//! the work, and answers with a [`Sample`] on one line. `peers/serve.mjs` is the JavaScript half of it.
//!
//! **Invariant:** a peer ends with its [`Peer`].

use std::ffi::OsStr;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use crate::cpu::{self, Core};
use crate::{Sample, Setup};

/// A running peer.
#[derive(Debug)]
pub struct Peer {
    name: String,
    child: Child,
    requests: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Peer {
    /// Starts the script `peers/SET/SCRIPT` with Node.js, on the core of what is measured.
    ///
    /// # Errors
    /// When the set's packages are not installed or Node.js cannot be started.
    pub fn node(setup: &Setup, set: &str, script: &str) -> Result<Self> {
        Self::node_with(setup, set, script, &[])
    }

    /// As [`Peer::node`], with variables of the environment.
    ///
    /// # Errors
    /// As [`Peer::node`].
    pub fn node_with(setup: &Setup, set: &str, script: &str, environment: &[(&str, String)]) -> Result<Self> {
        let folder = setup.peers(set)?;
        let mut command = Command::new("node");
        command.arg(folder.join(script)).envs(environment.iter().map(|(name, value)| (name, value)));
        Self::start(script, &folder, command)
    }

    /// Starts a program that follows the protocol.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(name: &str, folder: &Path, mut command: Command) -> Result<Self> {
        command.current_dir(folder).stdin(Stdio::piped()).stdout(Stdio::piped());
        command.env("NODE_ENV", "production");
        let mut child = cpu::on(Core::Measured, || {
            let program = command.get_program().to_string_lossy().into_owned();
            command.spawn().with_context(|| format!("cannot start {program} for {name}"))
        })?;
        let (Some(requests), Some(answers)) = (child.stdin.take(), child.stdout.take()) else {
            bail!("{name} has no standard input and output");
        };
        Ok(Self { name: name.to_owned(), child, requests, answers: BufReader::new(answers) })
    }

    /// Lets it do one round.
    ///
    /// # Errors
    /// When it has ended, or answers with something else than a sample.
    pub fn ask(&mut self, request: &Value) -> Result<Sample> {
        let name = &self.name;
        writeln!(self.requests, "{request}").with_context(|| format!("{name} has ended"))?;
        self.requests.flush()?;
        let mut line = String::new();
        if self.answers.read_line(&mut line)? == 0 {
            bail!("{name} ended without an answer; it has said why above");
        }
        serde_json::from_str(&line).with_context(|| format!("{name} answered what is no sample: {}", line.trim()))
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // Gone already is as good as ended.
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}

/// A command that runs a JavaScript file of a set, for peers with a protocol of their own.
///
/// # Errors
/// When the set's packages are not installed.
pub fn node(setup: &Setup, set: &str, script: impl AsRef<OsStr>) -> Result<Command> {
    let folder = setup.peers(set)?;
    let mut command = Command::new("node");
    command.arg(script.as_ref()).current_dir(folder).env("NODE_ENV", "production");
    Ok(command)
}
