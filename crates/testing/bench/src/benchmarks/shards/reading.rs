//! Reading alone, in this process: all shards on one thread, over twilight's connections, up to what a reader makes of it.

use std::cell::Cell;
use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use rustix::time::{ClockId, clock_gettime};
use tokio::task::{JoinSet, LocalSet};
use twilight_gateway::{ConfigBuilder, Intents, Message, Shard, ShardId};

use super::{Size, answer};
use crate::benchmarks::frames::{Ours, Reader as _};
use crate::digest::Digest;
use crate::replay::Replay;
use crate::{Contestant, Stopwatch};

/// One shard that is to be read.
pub(super) struct Reading {
    pub(super) shard: Shard,
    /// What is left to be read.
    pub(super) events: usize,
    began: Began,
}

/// When the first event of any shard was read, and this thread's CPU time by then.
type Began = Rc<Cell<Option<(Stopwatch, Duration)>>>;
/// Says what was read, when nothing is measured any longer.
pub(super) type Finished = Box<dyn FnOnce() -> Result<Digest>>;
type Read = fn(Reading) -> Pin<Box<dyn Future<Output = Result<Finished>>>>;

impl Reading {
    /// An event was read.
    pub(super) fn one(&mut self) {
        self.events -= 1;
        if self.began.get().is_none() {
            self.began.set(Some((Stopwatch::start(), thread_cpu())));
        }
    }
}

/// This thread's CPU time: the gateway that is replayed runs in another thread of this process.
fn thread_cpu() -> Duration {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(now.tv_sec.unsigned_abs(), u32::try_from(now.tv_nsec).unwrap_or(0))
}

pub(super) fn contestant(name: &'static str, replay: Rc<Replay>, read: Read) -> Contestant {
    Contestant::here(name, move |scale| {
        let size = Size::of(scale);
        replay.prepare(size.shards, size.frames, size.guilds)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let began = Began::default();
        let finished = LocalSet::new().block_on(&runtime, async {
            let mut shards = JoinSet::new();
            for shard in 0..size.shards {
                let address = format!("ws://{}", replay.address());
                let config = ConfigBuilder::new("double.bot.token".to_owned(), Intents::all()).proxy_url(address);
                let id = ShardId::new(u32::try_from(shard)?, u32::try_from(size.shards)?);
                let shard = Shard::with_config(id, config.build());
                let events = size.frames + size.guilds;
                shards.spawn_local(read(Reading { shard, events, began: Rc::clone(&began) }));
            }
            let mut finished = Vec::with_capacity(size.shards);
            while let Some(shard) = shards.join_next().await {
                finished.push(shard??);
            }
            anyhow::Ok(finished)
        })?;
        let (watch, cpu) = began.get().context("no event was read")?;
        let sample = watch.sample_of(size.events() as u64, thread_cpu().saturating_sub(cpu));
        let mut digest = Digest::default();
        for shard in finished {
            digest.merge(&shard()?);
        }
        Ok(sample.answering(answer(&digest)))
    })
}

/// The runner's own reading, up to the body of a message, without journal and queue.
pub(super) fn ours(name: &'static str, replay: Rc<Replay>) -> Contestant {
    contestant(name, replay, |reading| Box::pin(read_ours(reading)))
}

async fn read_ours(mut reading: Reading) -> Result<Finished> {
    use futures_util::StreamExt as _;

    let mut ours = Ours::new();
    while reading.events > 0 {
        let Message::Text(text) = reading.shard.next().await.context("the shard ended")?? else { continue };
        // READY has the first sequence.
        if reading.shard.session().is_some_and(|session| session.sequence() > 1) {
            reading.one();
            ours.frame(&text)?;
        }
    }
    ours.finish();
    Ok(Box::new(move || ours.digest()?.context("no events")))
}
