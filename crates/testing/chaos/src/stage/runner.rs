//! One of the stage's runners, with what it is started from and the proxies in front of what it needs.

use std::path::PathBuf;
use std::time::UNIX_EPOCH;

use anyhow::Context as _;
use guildhall_domain::Timestamp;
use rustix::process::Signal;

use crate::process::{Process, Recipe};
use crate::proxy::Proxy;

/// A runner.
pub struct Runner {
    /// SQS as this runner reaches it.
    pub sqs: Proxy,
    /// DynamoDB as this runner reaches it.
    pub dynamodb: Proxy,
    /// How it is started.
    pub recipe: Recipe,
    pub(super) name: String,
    pub(super) disks: PathBuf,
    pub(super) lives: u32,
    pub(super) process: Option<Process>,
}

impl Runner {
    /// Starts it, on the disk it had.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(&mut self) -> anyhow::Result<()> {
        self.process = Some(Process::start(&self.recipe)?);
        Ok(())
    }

    /// Gives it a fresh disk and another name, as another task has.
    pub fn become_a_stranger(&mut self) {
        self.lives += 1;
        let name = format!("{}-{}", self.name, self.lives);
        self.recipe.set("RUNNER_JOURNAL_DIR", self.disks.join(&name).display().to_string());
        self.recipe.set("RUNNER_HOLDER_ID", name);
    }

    /// Where its journal is.
    pub fn disk(&self) -> PathBuf {
        let folder = self.recipe.environment.iter().find(|(name, _)| name == "RUNNER_JOURNAL_DIR");
        folder.map(|(_, folder)| PathBuf::from(folder)).unwrap_or_default()
    }

    /// The running process.
    ///
    /// # Errors
    /// When there is none.
    pub fn process(&mut self) -> anyhow::Result<&mut Process> {
        self.process.as_mut().context("the runner does not run")
    }

    /// Ends it without warning.
    ///
    /// # Errors
    /// When it had ended by itself before.
    pub async fn kill(&mut self) -> anyhow::Result<()> {
        match self.process.take() {
            Some(process) => process.kill().await.with_context(|| self.words()),
            None => Ok(()),
        }
    }

    /// Lets it end in good order, if it runs.
    ///
    /// # Errors
    /// When it does not.
    pub async fn stop(&mut self) -> anyhow::Result<()> {
        match self.process.take() {
            Some(process) => process.stop().await.with_context(|| self.words()),
            None => Ok(()),
        }
    }

    /// Sends a signal.
    ///
    /// # Errors
    /// When it does not run.
    pub fn signal(&mut self, signal: Signal) -> anyhow::Result<()> {
        self.process()?.signal(signal)
    }

    /// How many minutes its clock is ahead of ours: its log's last line says when it was written, and so does the file.
    pub fn minutes_ahead(&self) -> Option<i64> {
        let line = crate::process::last_words(&self.recipe.log, 1);
        let line: serde_json::Value = serde_json::from_str(&line).ok()?;
        let said = Timestamp::parse_rfc3339(line["timestamp"].as_str()?)?;
        let written = std::fs::metadata(&self.recipe.log).ok()?.modified().ok()?;
        let written = written.duration_since(UNIX_EPOCH).ok()?.as_millis();
        let ahead = said.millis_since(Timestamp::from_millis(i64::try_from(written).ok()?));
        // To the nearest minute: the line was a moment on its way to the file.
        Some((ahead + 30_000).div_euclid(60_000))
    }

    /// What it said last.
    pub fn words(&self) -> String {
        format!("{} said last:\n{}", self.name, crate::process::last_words(&self.recipe.log, 12))
    }
}
