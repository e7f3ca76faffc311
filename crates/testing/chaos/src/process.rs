//! A runner's process: started, watched, signalled.
//!
//! **Invariant:** a process ends with the value that started it.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use rustix::process::{Pid, Resource, Rlimit, Signal, kill_process, prlimit};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, ChildStderr, Command};
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

/// How long a runner that was told to stop may take; it promises 20 seconds.
const STOPPING: Duration = Duration::from_secs(30);
/// How long a probe may take.
const PROBE: Duration = Duration::from_secs(10);

/// How a runner is started.
#[derive(Debug, Clone)]
pub struct Recipe {
    /// The program.
    pub binary: PathBuf,
    /// What starts it, if not the stage itself: a program that ends by executing its arguments.
    pub wrapper: Vec<String>,
    /// Its variables.
    pub environment: Vec<(String, String)>,
    /// Where its log is kept.
    pub log: PathBuf,
}

impl Recipe {
    /// Sets a variable, in place of the one of the same name.
    pub fn set(&mut self, name: &str, value: impl Into<String>) {
        self.environment.retain(|(known, _)| known != name);
        self.environment.push((name.to_owned(), value.into()));
    }
}

/// A running runner.
pub struct Process {
    child: Child,
    pid: Pid,
    admin: watch::Receiver<Option<SocketAddr>>,
    _log: AbortOnDropHandle<()>,
}

impl Process {
    /// Starts one.
    ///
    /// # Errors
    /// When the program cannot be started.
    pub fn start(recipe: &Recipe) -> anyhow::Result<Self> {
        let mut words = recipe.wrapper.iter().map(String::as_str).chain(recipe.binary.to_str());
        let program = words.next().context("the path of the runner is not text")?;
        let mut child = Command::new(program)
            .args(words)
            .env_clear()
            .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
            .envs(recipe.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("could not start {program}"))?;
        let pid = child.id().and_then(|id| Pid::from_raw(id.cast_signed())).context("the process has no id")?;
        let stderr = child.stderr.take().context("the process has no standard error")?;
        let (address, admin) = watch::channel(None);
        let log = AbortOnDropHandle::new(tokio::runtime::Handle::current().spawn(follow(
            stderr,
            recipe.log.clone(),
            address,
        )));
        Ok(Self { child, pid, admin, _log: log })
    }

    /// Its id.
    pub fn pid(&self) -> i32 {
        self.pid.as_raw_nonzero().get()
    }

    /// Whether it has not ended.
    pub fn is_alive(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Sends a signal.
    ///
    /// # Errors
    /// When the process is gone.
    pub fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        kill_process(self.pid, signal).with_context(|| format!("could not send {signal:?}"))
    }

    /// Ends it without warning.
    ///
    /// # Errors
    /// When it had ended by itself before.
    pub async fn kill(mut self) -> anyhow::Result<()> {
        ensure!(self.is_alive(), "a runner ended by itself before it was killed");
        self.child.kill().await?;
        Ok(())
    }

    /// Asks it to end and waits for it.
    ///
    /// # Errors
    /// When it takes too long, or says that it failed.
    pub async fn stop(mut self) -> anyhow::Result<()> {
        ensure!(self.is_alive(), "a runner ended by itself before it was stopped");
        self.signal(Signal::TERM)?;
        let status = tokio::time::timeout(STOPPING, self.child.wait()).await;
        let status = status.with_context(|| format!("a runner did not end within {STOPPING:?}"))??;
        ensure!(status.success(), "a runner that was told to stop ended with {status}");
        Ok(())
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// When it goes on for longer than `limit`.
    pub async fn end(&mut self, limit: Duration) -> anyhow::Result<std::process::ExitStatus> {
        Ok(tokio::time::timeout(limit, self.child.wait()).await.context("the runner goes on")??)
    }

    /// What it answers to `GET path`: the status and the body.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn get(&self, path: &str) -> anyhow::Result<(u16, String)> {
        let address = (*self.admin.borrow()).context("the runner does not listen yet")?;
        let asking = async {
            let mut stream = TcpStream::connect(address).await?;
            let request = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
            stream.write_all(request.as_bytes()).await?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await?;
            anyhow::Ok(answer)
        };
        let answer = tokio::time::timeout(PROBE, asking).await.context("the runner does not answer")??;
        let (head, body) = answer.split_once("\r\n\r\n").context("not HTTP")?;
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).context("no status")?;
        Ok((status, body.to_owned()))
    }

    /// The sum of a metric over all its labels that contain `label`; 0 where there is none.
    ///
    /// # Errors
    /// When the runner does not answer.
    pub async fn metric(&self, name: &str, label: &str) -> anyhow::Result<f64> {
        let (status, text) = self.get("/metrics").await?;
        if status != 200 {
            bail!("the metrics answer {status}");
        }
        Ok(text
            .lines()
            .filter_map(|line| line.strip_prefix(name))
            .filter(|rest| rest.starts_with(['{', ' ']) && rest.contains(label))
            .filter_map(|rest| rest.rsplit(' ').next()?.parse::<f64>().ok())
            .sum())
    }

    /// The most memory it ever had, in bytes.
    ///
    /// # Errors
    /// When the process is gone.
    pub fn peak_memory(&self) -> anyhow::Result<u64> {
        self.size("VmHWM:")
    }

    /// The size of its data, which is what [`Process::limit_data`] limits.
    ///
    /// # Errors
    /// When the process is gone.
    pub fn data_size(&self) -> anyhow::Result<u64> {
        self.size("VmData:")
    }

    /// Its data may grow to so many bytes from now on.
    ///
    /// # Errors
    /// When the process is gone.
    pub fn limit_data(&self, bytes: u64) -> anyhow::Result<()> {
        let limit = Rlimit { current: Some(bytes), maximum: Some(bytes) };
        prlimit(Some(self.pid), Resource::Data, limit).context("its memory cannot be limited")?;
        Ok(())
    }

    fn size(&self, what: &str) -> anyhow::Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid()))?;
        let line = status.lines().find_map(|line| line.strip_prefix(what)).with_context(|| format!("no {what}"))?;
        let kilobytes: u64 = line.trim().trim_end_matches("kB").trim().parse()?;
        Ok(kilobytes * 1_024)
    }
}

/// Keeps the log, and finds in it where the probes are served.
async fn follow(stderr: ChildStderr, path: PathBuf, address: watch::Sender<Option<SocketAddr>>) {
    let mut lines = BufReader::new(stderr).lines();
    let mut file = tokio::fs::OpenOptions::new().create(true).append(true).open(&path).await.ok();
    while let Ok(Some(line)) = lines.next_line().await {
        if address.borrow().is_none() && line.contains("probes and metrics are served") {
            let found = serde_json::from_str::<serde_json::Value>(&line).ok();
            let found = found.and_then(|line| line["address"].as_str()?.parse().ok());
            address.send_replace(found);
        }
        if let Some(file) = &mut file {
            // Without a log there is less to look at, and nothing else to be done.
            let _full = file.write_all(format!("{line}\n").as_bytes()).await.is_err();
        }
    }
}

/// The last lines of a log, for whoever wants to know why.
pub fn last_words(log: &Path, lines: usize) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let all: Vec<&str> = text.lines().collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}
