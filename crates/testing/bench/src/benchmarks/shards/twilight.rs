//! twilight's `next_event`, all shards on one thread.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use rustix::time::{ClockId, clock_gettime};
use tokio::task::LocalSet;
use twilight_gateway::{ConfigBuilder, Event, EventTypeFlags, Intents, Shard, ShardId, StreamExt as _};

use super::{Size, answer};
use crate::benchmarks::frames::count;
use crate::digest::Digest;
use crate::replay::Replay;
use crate::{Contestant, Stopwatch};

struct Progress {
    digest: RefCell<Digest>,
    read: Cell<usize>,
    began: Cell<Option<(Stopwatch, Duration)>>,
}

/// This thread's CPU time: the gateway that is replayed runs in another thread of this process.
fn thread_cpu() -> Duration {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(now.tv_sec.unsigned_abs(), u32::try_from(now.tv_nsec).unwrap_or(0))
}

pub(super) fn contestant(replay: Rc<Replay>) -> Contestant {
    Contestant::here("twilight next_event", move |scale| {
        let size = Size::of(scale);
        replay.prepare(size.shards, size.frames, size.guilds)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let progress = Rc::new(Progress { digest: RefCell::default(), read: Cell::new(0), began: Cell::new(None) });
        let local = LocalSet::new();
        for shard in 0..size.shards {
            local.spawn_local(read(Rc::clone(&progress), replay.address().to_owned(), shard, size));
        }
        local.block_on(&runtime, async {
            while progress.read.get() < size.events() {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        });
        let Some((watch, cpu)) = progress.began.get() else { bail!("no event was read") };
        let sample = watch.sample_of(size.events() as u64, thread_cpu().saturating_sub(cpu));
        Ok(sample.answering(answer(&progress.digest.borrow())))
    })
}

async fn read(progress: Rc<Progress>, address: String, shard: usize, size: Size) -> Result<()> {
    let config = ConfigBuilder::new("double.bot.token".to_owned(), Intents::all()).proxy_url(format!("ws://{address}"));
    let id = ShardId::new(u32::try_from(shard)?, u32::try_from(size.shards)?);
    let mut shard = Shard::with_config(id, config.build());
    while progress.read.get() < size.events() {
        let event = shard.next_event(EventTypeFlags::all()).await.context("the shard ended")??;
        if matches!(event, Event::Ready(_) | Event::GatewayHello(_)) {
            continue;
        }
        if progress.began.get().is_none() {
            progress.began.set(Some((Stopwatch::start(), thread_cpu())));
        }
        count(&mut progress.digest.borrow_mut(), &event);
        progress.read.set(progress.read.get() + 1);
    }
    Ok(())
}
