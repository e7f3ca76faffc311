//! Gateway frames as the double makes them, recorded once and replayed to every contestant.
//!
//! **Invariant:** the same seed gives the same frames: the clock behind them moves by a fixed step each time it is read.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use flate2::{Compress, Compression, FlushCompress};
use futures_util::{SinkExt as _, StreamExt as _};
use guildhall_discord_double::traffic::TrafficPlan;
use guildhall_discord_double::{Config, Double, GuildPlan};
use guildhall_domain::{Clock, Timestamp};
use serde_json::json;
use tokio_tungstenite::tungstenite::Message;
use zstd::stream::raw::{Encoder, InBuffer, Operation as _, OutBuffer};

use crate::setup;

const SEED: u64 = 7;
pub(crate) const START: i64 = 1_780_000_000_000;
/// What the clock moves by at each reading, in milliseconds: about what a busy shard sees between two events.
const STEP: i64 = 12;
/// The runner's intents, that of members included.
const INTENTS: u64 = 1 | 2 | 4 | 64 | 128 | 512 | 1_024;
const GUILDS: u32 = 60;
/// As Discord compresses: the level of its own streams is not known, the fastest costs the reader the most.
const LEVEL: i32 = 1;

/// Frames of one shard, in order.
#[derive(Debug, Clone)]
pub struct Recording {
    /// The dispatches, as text. What begins a session (`READY`, the guilds) is not among them.
    pub frames: Vec<String>,
}

/// As many as any benchmark replays.
const MOST: usize = 22_500;

/// Recorded once in a process, whichever benchmarks it runs.
static RECORDED: Mutex<Option<Recording>> = Mutex::new(None);

impl Recording {
    /// The first frames of the recording.
    ///
    /// # Errors
    /// When the double cannot be started or breaks off.
    pub fn of(frames: usize) -> Result<Self> {
        let mut recorded = RECORDED.lock().unwrap_or_else(PoisonError::into_inner);
        let all = match &*recorded {
            Some(all) => all,
            None => recorded.insert(setup::runtime()?.block_on(Self::make(MOST))?),
        };
        ensure!(frames <= all.frames.len(), "{frames} frames are more than were recorded");
        Ok(Self { frames: all.frames[..frames].to_vec() })
    }

    /// Lets a double's guilds live until they have made this many frames.
    ///
    /// # Errors
    /// When the double cannot be started or breaks off.
    pub async fn make(frames: usize) -> Result<Self> {
        let millis = Arc::new(AtomicI64::new(START));
        let clock = Clock::new(move || Timestamp::from_millis(millis.fetch_add(STEP, Ordering::Relaxed)));
        let mut config = Config::new(SEED, clock);
        config.guilds = (0..GUILDS)
            .map(|n| {
                GuildPlan::new(&format!("Guild {n}"), (12_000 / (n + 1)).max(40), 4 + 400 / (n + 10), 1 + 40 / (n + 10))
            })
            .collect();
        config.gateway.heartbeat_interval = Duration::from_secs(3_600);
        let token = config.bot_token.clone();
        let double = Double::start(config).await?;
        let address = double.base_url().replace("http://", "ws://") + "/gateway?v=10&encoding=json";
        let (mut socket, _) = tokio_tungstenite::connect_async(address).await.context("the double does not answer")?;
        let properties = json!({"os": "linux", "browser": "bench", "device": "bench"});
        let identify = json!({"op": 2, "d": {"token": token, "intents": INTENTS, "properties": properties}});
        socket.send(Message::text(identify.to_string())).await?;
        let mut recording = Self { frames: Vec::with_capacity(frames) };
        let mut guilds = 0;
        while recording.frames.len() < frames {
            let Some(message) = socket.next().await else { bail!("the double closed the connection") };
            let Message::Text(text) = message? else { continue };
            let text = text.as_str();
            if text.starts_with(r#"{"t":"GUILD_CREATE""#) {
                guilds += 1;
                if guilds == GUILDS {
                    double.traffic().start(TrafficPlan {
                        events_per_second: 1e6,
                        seed: SEED,
                        guild_ids: None,
                        stop_after_events: None,
                        seconds: None,
                    });
                }
            } else if text.starts_with(r#"{"t":""#) && !text.starts_with(r#"{"t":"READY""#) {
                recording.frames.push(text.to_owned());
            }
        }
        double.stop().await;
        Ok(recording)
    }
}

/// A frame whose sequence is another one.
///
/// # Errors
/// When it is no dispatch as the double writes it.
pub fn renumbered(frame: &str, seq: u64) -> Result<String> {
    let at = frame.find(r#""s":"#).context("a dispatch has a sequence")? + 4;
    let length = frame[at..].find(',').context("the sequence is followed by more")?;
    Ok(format!("{}{seq}{}", &frame[..at], &frame[at + length..]))
}

/// One stream for all frames, as `compress=zstd-stream` asks for, cut where each frame ends.
#[derive(Default)]
pub struct ZstdStream(Option<Encoder<'static>>);

impl ZstdStream {
    /// The next frame's part of the stream.
    ///
    /// # Errors
    /// When the compressor fails.
    pub fn frame(&mut self, frame: &str) -> Result<Vec<u8>> {
        let encoder = match &mut self.0 {
            Some(encoder) => encoder,
            none => none.insert(Encoder::new(LEVEL)?),
        };
        let mut bytes = Vec::with_capacity(zstd::zstd_safe::compress_bound(frame.len()) + 64);
        let mut out = OutBuffer::around(&mut bytes);
        let mut input = InBuffer::around(frame.as_bytes());
        while input.pos() < frame.len() {
            encoder.run(&mut input, &mut out)?;
        }
        while encoder.flush(&mut out)? > 0 {}
        Ok(bytes)
    }
}

/// One stream for all frames, as `compress=zlib-stream` asks for, cut where each frame ends.
pub struct ZlibStream(Compress);

impl Default for ZlibStream {
    fn default() -> Self {
        Self(Compress::new(Compression::fast(), true))
    }
}

impl ZlibStream {
    /// The next frame's part of the stream.
    ///
    /// # Errors
    /// When the compressor fails.
    pub fn frame(&mut self, frame: &str) -> Result<Vec<u8>> {
        let mut bytes = Vec::with_capacity(frame.len() + frame.len() / 8 + 64);
        self.0.compress_vec(frame.as_bytes(), &mut bytes, FlushCompress::Sync)?;
        if bytes.len() == bytes.capacity() {
            bail!("a compressed frame is larger than the frame");
        }
        Ok(bytes)
    }
}
