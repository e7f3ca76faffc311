//! twilight's `next_event`, all shards on one thread.

use std::rc::Rc;

use anyhow::{Context as _, Result};
use twilight_gateway::{Event, EventTypeFlags, StreamExt as _};

use super::reading::{self, Finished, Reading};
use crate::Contestant;
use crate::benchmarks::frames::count;
use crate::digest::Digest;
use crate::replay::Replay;

pub(super) fn contestant(replay: Rc<Replay>) -> Contestant {
    reading::contestant("twilight next_event", replay, |reading| Box::pin(read(reading)))
}

async fn read(mut reading: Reading) -> Result<Finished> {
    let mut digest = Digest::default();
    while reading.events > 0 {
        let event = reading.shard.next_event(EventTypeFlags::all()).await.context("the shard ended")??;
        if !matches!(event, Event::Ready(_) | Event::GatewayHello(_)) {
            reading.one();
            count(&mut digest, &event);
        }
    }
    Ok(Box::new(move || Ok(digest)))
}
