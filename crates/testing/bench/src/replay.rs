//! A gateway that replays the recording to many shards, compressed beforehand, and an SQS that takes what comes of it.
//!
//! It lives in a thread of its own, on the driver's core. All it does while a round is measured is to write bytes that lie
//! ready, so that the reader is what is measured.
//!
//! **Invariant:** no shard gets an event before all of them are ready.

use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use axum::extract::State;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::response::Response;
use axum::routing::{any, get, post};
use axum::{Json, Router};
use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::cpu::{self, Core};
use crate::recording::{Recording, ZlibStream, ZstdStream, renumbered};

/// So long that nobody sends a heartbeat while a round lasts, and as long as a timer of JavaScript's can be.
const HEARTBEAT: Duration = Duration::from_secs(20 * 24 * 3_600);
/// How far apart in the recording two shards begin.
const STRIDE: usize = 41;

/// What the client asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// `compress=zstd-stream`.
    Zstd,
    /// `compress=zlib-stream`.
    Zlib,
}

/// A round's frames for every shard.
struct Round {
    hello: Bytes,
    /// Of each shard: `READY`, then its events.
    shards: Vec<Vec<Bytes>>,
    ready: watch::Sender<usize>,
}

struct Shared {
    address: String,
    round: RwLock<Option<Arc<Round>>>,
    bodies: Mutex<Vec<String>>,
}

/// The running gateway.
pub struct Replay {
    shared: Arc<Shared>,
    recording: Recording,
    compression: Compression,
}

impl Replay {
    /// Starts one.
    ///
    /// # Errors
    /// When no port can be bound.
    pub fn start(recording: Recording, compression: Compression) -> Result<Self> {
        let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?.to_string();
        let shared = Arc::new(Shared { address, round: RwLock::default(), bodies: Mutex::default() });
        let app = Router::new()
            .route("/api/v10/gateway/bot", get(information))
            .route("/", any(open))
            .route("/gateway", any(open))
            .route("/gateway/", any(open))
            .route("/sqs", post(take))
            .route("/sqs/", post(take))
            .layer(axum::extract::DefaultBodyLimit::max(2 << 20))
            .with_state(Arc::clone(&shared));
        // It ends with the process: a client that is still connected could otherwise hold up the end of a run.
        std::thread::Builder::new().name("replay".to_owned()).spawn(move || {
            cpu::on(Core::Driver, || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
                runtime.block_on(async {
                    let listener = tokio::net::TcpListener::from_std(listener)?;
                    axum::serve(listener, app).await.context("the replay ended")
                })
            })
        })?;
        Ok(Self { shared, recording, compression })
    }

    /// `HOST:PORT`.
    pub fn address(&self) -> &str {
        &self.shared.address
    }

    /// Prepares a round: so many frames for each of so many shards, and before them guilds that are introduced.
    ///
    /// # Errors
    /// When a frame cannot be compressed.
    pub fn prepare(&self, shards: usize, frames: usize, guilds: usize) -> Result<()> {
        let mut hello = Bytes::new();
        let mut streams = Vec::with_capacity(shards);
        for shard in 0..shards {
            let mut stream = Stream::new(self.compression);
            let interval = HEARTBEAT.as_millis();
            hello =
                stream.frame(&format!(r#"{{"t":null,"s":null,"op":10,"d":{{"heartbeat_interval":{interval}}}}}"#))?;
            let mut parts = vec![stream.frame(&self.ready(shard, shards))?];
            let introduced = (0..guilds).map(|guild| introduction(shard, guild));
            let events = self.frames(shard, frames).map(str::to_owned);
            for (seq, frame) in (2..).zip(introduced.chain(events)) {
                parts.push(stream.frame(&renumbered(&frame, seq)?)?);
            }
            streams.push(parts);
        }
        let round = Round { hello, shards: streams, ready: watch::Sender::new(0) };
        *self.shared.round.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(round));
        self.shared.bodies.lock().unwrap_or_else(PoisonError::into_inner).clear();
        Ok(())
    }

    /// What a shard is sent after its guilds, but for the sequences.
    pub fn frames(&self, shard: usize, frames: usize) -> impl Iterator<Item = &str> {
        let recorded = &self.recording.frames;
        recorded.iter().cycle().skip(shard * STRIDE % recorded.len()).take(frames).map(String::as_str)
    }

    /// Whether all shards are ready, which is when events begin.
    pub fn has_begun(&self) -> bool {
        self.shared.round().is_some_and(|round| *round.ready.borrow() >= round.shards.len())
    }

    /// The bodies that the queue took in this round.
    pub fn bodies(&self) -> Vec<String> {
        std::mem::take(&mut *self.shared.bodies.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn ready(&self, shard: usize, shards: usize) -> String {
        let data = json!({
            "v": 10, "user": {"id": "1100000000000000001", "username": "bench", "discriminator": "0", "avatar": null,
                "bot": true, "email": null, "mfa_enabled": false, "verified": true, "flags": 0},
            "guilds": [], "session_id": format!("{shard:032x}"), "session_type": "normal",
            "resume_gateway_url": format!("ws://{}", self.shared.address), "shard": [shard, shards],
            "application": {"id": "1100000000000000001", "flags": 0}, "private_channels": [], "presences": [],
        });
        format!(r#"{{"t":"READY","s":1,"op":0,"d":{data}}}"#)
    }
}

/// A guild with what the runner reads of it; its text is as short as can be.
fn introduction(shard: usize, guild: usize) -> String {
    let id = 900_000_000_000_000_000 + (shard << 40) + (guild << 22);
    format!(
        r#"{{"t":"GUILD_CREATE","s":0,"op":0,"d":{{"id":"{id}","member_count":{},"voice_states":[]}}}}"#,
        100 + guild
    )
}

enum Stream {
    Zstd(ZstdStream),
    Zlib(ZlibStream),
}

impl Stream {
    fn new(compression: Compression) -> Self {
        match compression {
            Compression::Zstd => Self::Zstd(ZstdStream::default()),
            Compression::Zlib => Self::Zlib(ZlibStream::default()),
        }
    }

    fn frame(&mut self, text: &str) -> Result<Bytes> {
        Ok(match self {
            Self::Zstd(stream) => stream.frame(text)?.into(),
            Self::Zlib(stream) => stream.frame(text)?.into(),
        })
    }
}

impl Shared {
    fn round(&self) -> Option<Arc<Round>> {
        self.round.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

async fn information(State(shared): State<Arc<Shared>>) -> Json<Value> {
    let shards = shared.round().map_or(1, |round| round.shards.len());
    Json(json!({
        "url": format!("ws://{}", shared.address), "shards": shards,
        "session_start_limit": {"total": 1_000, "remaining": 1_000, "reset_after": 0, "max_concurrency": shards},
    }))
}

async fn open(State(shared): State<Arc<Shared>>, upgrade: WebSocketUpgrade) -> Response {
    upgrade.on_upgrade(async move |socket| {
        if let Some(round) = shared.round() {
            // Whoever breaks off has ended.
            let _ended = serve(socket, &round).await;
        }
    })
}

#[derive(Deserialize)]
struct Sent {
    op: u8,
    #[serde(default)]
    d: Value,
}

async fn serve(mut socket: WebSocket, round: &Round) -> Result<()> {
    socket.send(Message::Binary(round.hello.clone())).await?;
    let shard = loop {
        let Some(message) = socket.recv().await else { bail!("the client left") };
        let Message::Text(text) = message? else { continue };
        let sent: Sent = serde_json::from_str(text.as_str())?;
        if sent.op == 2 {
            break sent.d["shard"][0].as_u64().unwrap_or(0);
        }
    };
    let parts = round.shards.get(usize::try_from(shard)?).context("no such shard")?;
    let (ready, events) = parts.split_first().context("no frames")?;
    socket.send(Message::Binary(ready.clone())).await?;
    round.ready.send_modify(|ready| *ready += 1);
    round.ready.subscribe().wait_for(|ready| *ready >= round.shards.len()).await?;
    for part in events {
        socket.send(Message::Binary(part.clone())).await?;
    }
    // Whatever the client says now, until it leaves.
    while let Some(Ok(_)) = socket.recv().await {}
    Ok(())
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Batch {
    entries: Vec<BatchEntry>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct BatchEntry {
    id: String,
    message_body: String,
}

async fn take(State(shared): State<Arc<Shared>>, body: Bytes) -> Result<Json<Value>, axum::http::StatusCode> {
    let batch: Batch = serde_json::from_slice(&body).map_err(|_| axum::http::StatusCode::BAD_REQUEST)?;
    let mut bodies = shared.bodies.lock().unwrap_or_else(PoisonError::into_inner);
    let mut taken = Vec::with_capacity(batch.entries.len());
    for entry in batch.entries {
        taken.push(json!({"Id": entry.id, "MessageId": entry.id, "MD5OfMessageBody": ""}));
        bodies.push(entry.message_body);
    }
    Ok(Json(json!({"Successful": taken, "Failed": []})))
}
