//! A TCP proxy that misbehaves when it is told to.
//!
//! **Invariant:** it invents nothing: what it passes on, it passes on unchanged and in order, except where a mode says that
//! it answers in the server's place.
//! **Invariant:** it listens on loopback only, and cuts nobody's connections but those made through it.

mod http;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

pub use self::http::{Canned, Request, Requests};

/// The most bytes carried at a time.
const CHUNK: usize = 16 * 1_024;

/// How the proxy treats its connections.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Mode {
    /// As if it were not there.
    Pass,
    /// The server is gone: connections are reset, and so are new ones.
    Cut,
    /// Connections stay, and nothing comes through.
    Hole,
    /// Each chunk comes so much later.
    Delay(Duration),
    /// So many bytes a second, in each direction of each connection.
    Throttle(u32),
    /// Each connection is reset after so many bytes of answers.
    ResetAfter(usize),
    /// Each HTTP request is answered so, and does not reach the server.
    Answer(Canned),
}

/// Which way bytes go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    /// From the program under test.
    ToServer,
    /// To the program under test.
    ToClient,
}

/// Bytes on their way.
#[derive(Debug, Clone, Copy)]
pub struct Chunk<'a> {
    /// The connection's number.
    pub connection: u64,
    /// Which way they go.
    pub flow: Flow,
    /// The bytes.
    pub bytes: &'a [u8],
}

/// What becomes of a chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// It goes on.
    Pass,
    /// It never arrives, and nothing after it in its direction, until the connection is reset.
    Hold,
    /// It waits, and everything after it in its direction, until the tap is taken off.
    Keep,
}

/// Sees each chunk before it is passed on.
pub type Tap = Arc<dyn Fn(Chunk<'_>) -> Act + Send + Sync>;

/// A proxy in front of one server. It ends when it is dropped.
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    _server: AbortOnDropHandle<()>,
}

struct Shared {
    upstream: String,
    mode: watch::Sender<Mode>,
    reset: Mutex<CancellationToken>,
    tap: watch::Sender<Option<Tap>>,
    next: AtomicU64,
    befallen: AtomicU64,
}

impl Shared {
    fn befell(&self) {
        self.befallen.fetch_add(1, Ordering::Relaxed);
    }
}

impl Proxy {
    /// A proxy in front of `upstream`, such as `127.0.0.1:5432`.
    ///
    /// # Errors
    /// When no port can be bound.
    pub async fn start(upstream: impl Into<String>) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.context("no port for a proxy")?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            upstream: upstream.into(),
            mode: watch::Sender::new(Mode::Pass),
            reset: Mutex::default(),
            tap: watch::Sender::new(None),
            next: AtomicU64::new(1),
            befallen: AtomicU64::new(0),
        });
        let serving = serve(listener, Arc::clone(&shared));
        let server = AbortOnDropHandle::new(tokio::runtime::Handle::current().spawn(serving));
        Ok(Self { address, shared, _server: server })
    }

    /// Where the program under test connects to.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Behaves so from now on. Connections are reset where they could not notice otherwise.
    pub fn set(&self, mode: Mode) {
        let before = self.shared.mode.send_replace(mode);
        let answering = |mode| matches!(mode, Mode::Answer(_));
        if mode == Mode::Cut || answering(mode) || answering(before) {
            self.reset();
        }
    }

    /// Resets every connection.
    pub fn reset(&self) {
        let mut reset = self.shared.reset.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *reset).cancel();
    }

    /// How many connections, chunks and requests a mode other than [`Mode::Pass`] befell up to now.
    pub fn befallen(&self) -> u64 {
        self.shared.befallen.load(Ordering::Relaxed)
    }

    /// Shows every chunk to `tap` from now on, or to nobody.
    pub fn tap(&self, tap: Option<Tap>) {
        self.shared.tap.send_replace(tap);
    }
}

async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                if let Ok((client, _)) = accepted {
                    connections.spawn(carry(Arc::clone(&shared), client));
                }
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn carry(shared: Arc<Shared>, mut client: TcpStream) {
    // Taken before the mode is looked at: a change of mode in between resets this connection.
    let reset = shared.reset.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let mode = *shared.mode.borrow();
    match mode {
        Mode::Cut => {
            shared.befell();
            return abort(&client);
        }
        Mode::Answer(canned) => {
            tokio::select! {
                () = reset.cancelled() => abort(&client),
                _ended = http::answer(&mut client, canned, || shared.befell()) => {}
            }
            return;
        }
        _ => {}
    }
    let Ok(mut server) = TcpStream::connect(&shared.upstream).await else { return abort(&client) };
    // What is sent at once by one side is passed on at once.
    let _slower = client.set_nodelay(true).is_err() || server.set_nodelay(true).is_err();
    let connection = shared.next.fetch_add(1, Ordering::Relaxed);
    let passed = {
        let (from_client, to_client) = client.split();
        let (from_server, to_server) = server.split();
        let there = pump(&shared, connection, Flow::ToServer, from_client, to_server);
        let back = pump(&shared, connection, Flow::ToClient, from_server, to_client);
        tokio::select! {
            () = reset.cancelled() => Err(Broken),
            passed = async { tokio::try_join!(there, back) } => passed,
        }
    };
    if passed.is_err() {
        abort(&client);
        abort(&server);
    }
}

/// Lets the connection end with a reset instead of a farewell.
fn abort(stream: &TcpStream) {
    let _gone_already = stream.set_zero_linger().is_err();
}

struct Broken;

impl From<std::io::Error> for Broken {
    fn from(_: std::io::Error) -> Self {
        Self
    }
}

async fn pump(
    shared: &Shared,
    connection: u64,
    flow: Flow,
    mut from: ReadHalf<'_>,
    mut to: WriteHalf<'_>,
) -> Result<(), Broken> {
    let mut buffer = vec![0; CHUNK];
    let mut carried = 0;
    let (mut mode, mut taps) = (shared.mode.subscribe(), shared.tap.subscribe());
    loop {
        let read = from.read(&mut buffer).await?;
        if read == 0 {
            to.shutdown().await?;
            return Ok(());
        }
        let bytes = &buffer[..read];
        let tap = taps.borrow_and_update().clone();
        match tap.map_or(Act::Pass, |tap| tap(Chunk { connection, flow, bytes })) {
            Act::Pass => {}
            Act::Hold => std::future::pending::<()>().await,
            Act::Keep => taps.changed().await.map_err(|_| Broken)?,
        }
        carried += read;
        loop {
            let present = *mode.borrow_and_update();
            match present {
                Mode::Hole => {
                    shared.befell();
                    mode.changed().await.map_err(|_| Broken)?;
                    continue;
                }
                Mode::Delay(delay) => {
                    shared.befell();
                    tokio::time::sleep(delay).await;
                }
                Mode::Throttle(rate) => {
                    shared.befell();
                    let bytes = u32::try_from(read).unwrap_or(u32::MAX);
                    tokio::time::sleep(Duration::from_secs(1) * bytes / rate.max(1)).await;
                }
                Mode::ResetAfter(limit) if flow == Flow::ToClient && carried > limit => {
                    shared.befell();
                    to.write_all(&bytes[..read.saturating_sub(carried - limit)]).await?;
                    return Err(Broken);
                }
                _ => {}
            }
            break;
        }
        to.write_all(bytes).await?;
    }
}

#[cfg(test)]
mod tests;
