//! A Redis of its own that waits for the disk.

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use redis::AsyncConnectionConfig;
use redis::aio::MultiplexedConnection;

use super::{FETCH, GROUP, answer};
use crate::{Sample, Setup, Stopwatch, cpu};

const LIST: &str = "envelopes";
const TRIES: usize = 100;

/// A running server; it ends with its value.
pub(super) struct Redis {
    child: Child,
    port: u16,
}

impl Redis {
    pub(super) fn start(setup: &Setup) -> Result<Self> {
        // Free now; nobody else on this machine takes one at random in the next milliseconds.
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let child = Command::new("redis-server")
            .args(["--bind", "127.0.0.1", "--port", &port.to_string(), "--save", ""])
            .args(["--appendonly", "yes", "--appendfsync", "always", "--no-appendfsync-on-rewrite", "no"])
            .arg("--dir")
            .arg(setup.scratch())
            .stdout(Stdio::null())
            .spawn()
            .context("cannot start redis-server")?;
        Ok(Self { child, port })
    }

    pub(super) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    pub(super) fn cpu(&self) -> Result<Duration> {
        cpu::of_process(self.child.id())
    }

    async fn connect(&self) -> Result<MultiplexedConnection> {
        let client = redis::Client::open(self.url())?;
        // A group waits for the disk, however long that takes.
        let config = AsyncConnectionConfig::new().set_response_timeout(None);
        for _ in 0..TRIES {
            if let Ok(connection) = client.get_multiplexed_async_connection_with_config(&config).await {
                return Ok(connection);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        bail!("redis-server does not answer")
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}

/// Keeps and drains all of them; each group is drained when it is kept.
pub(super) async fn round(server: &Redis, bodies: &[String]) -> Result<Sample> {
    let mut connection = server.connect().await?;
    let before = server.cpu()?;
    let (mut drained, mut bytes) = (0, 0);
    let watch = Stopwatch::start();
    for group in bodies.chunks(GROUP) {
        let mut pipeline = redis::pipe();
        group.iter().for_each(|body| {
            pipeline.rpush(LIST, body).ignore();
        });
        pipeline.query_async::<()>(&mut connection).await?;
        let mut pipeline = redis::pipe();
        for _ in 0..group.len().div_ceil(FETCH) {
            pipeline.cmd("LPOP").arg(LIST).arg(FETCH);
        }
        let popped: Vec<Vec<String>> = pipeline.query_async(&mut connection).await?;
        drained += popped.iter().map(Vec::len).sum::<usize>();
        bytes += popped.iter().flatten().map(String::len).sum::<usize>();
    }
    let mut sample = watch.sample(bodies.len() as u64);
    sample.cpu_ns += u64::try_from(server.cpu()?.saturating_sub(before).as_nanos())?;
    Ok(sample.answering(answer(drained, bytes)))
}
