//! Many shards in one process, from the socket to the queue.

mod runner;
mod twilight;

use std::rc::Rc;

use anyhow::Result;
use serde_json::json;

use super::frames;
use crate::digest::Digest;
use crate::recording::Recording;
use crate::replay::{Compression, Replay};
use crate::{Benchmark, Better, Claim, Contestant, Figure, Peer, Sample, Scale, Setup};

pub(super) const BENCHMARK: Benchmark = Benchmark {
    number: 5,
    name: "shards",
    what: "64 shards of one process reading the gateway; ours up to the queue.",
    note: "A gateway replays the recording to each shard, compressed beforehand, from a thread on the other core; events begin \
           when all shards are ready. Ours is the runner's own binary, with its leases, journal, metrics and sending to an \
           SQS that takes everything; what arrives there is decoded and compared. twilight is `next_event` with its full \
           model, @discordjs/ws is `WebSocketManager` with its zlib decompression; both only count. A core's rate is \
           events by the CPU time of the whole process, from the first event to the last. Memory is what the process shares \
           with nobody, divided by its shards. serenity is left out: building it would double what this benchmark compiles. \
           Ours keeps a journal and sends, where the peers only count; where else its CPU time goes is not profiled yet.",
    binaries: &["gateway-runner"],
    as_deployed: false,
    figures,
    prepare,
};

const RECORDED: usize = 8_000;

/// The size of a round.
#[derive(Debug, Clone, Copy)]
struct Size {
    shards: usize,
    frames: usize,
    /// Guilds that each shard is told of first.
    guilds: usize,
}

impl Size {
    const fn of(scale: Scale) -> Self {
        match scale {
            Scale::Full => Self { shards: 64, frames: 2_000, guilds: 0 },
            Scale::Tiny => Self { shards: 2, frames: 100, guilds: 0 },
        }
    }

    /// As many guilds as Discord allows a shard, on fewer shards.
    const fn crowded(scale: Scale) -> Self {
        match scale {
            Scale::Full => Self { shards: 8, frames: 2_000, guilds: 2_500 },
            Scale::Tiny => Self { shards: 2, frames: 100, guilds: 5 },
        }
    }

    /// Everything that is read, guilds included.
    const fn events(self) -> usize {
        self.shards * (self.frames + self.guilds)
    }
}

/// The runner with a few shards, each with as many guilds as Discord allows.
pub(super) fn few(setup: &Setup, recording: &Recording) -> Result<Vec<Contestant>> {
    const fn of(shards: usize, scale: Scale) -> Size {
        Size { shards, ..Size::crowded(scale) }
    }
    type Sized = fn(Scale) -> Size;
    let runners: [(_, Sized); 3] = [
        ("runner, 1 shard", |scale| of(1, scale)),
        ("runner, 2 shards", |scale| of(2, scale)),
        ("runner, 4 shards", |scale| of(4, scale)),
    ];
    let mut contestants = Vec::new();
    for (name, size) in runners {
        // One of its own: the address names the table, in which one set of shards would follow the other.
        let replay = Rc::new(Replay::start(recording.clone(), Compression::Zstd)?);
        contestants.extend(runner::contestant(name, size, setup, replay)?);
    }
    Ok(contestants)
}

fn figures() -> Vec<Figure> {
    vec![
        Figure::new("events per second of a core", "1/s", Better::Higher, Sample::per_cpu_second, "guildhall")
            .claiming(Claim::AtLeast(100_000.0))
            .peer("@discordjs/ws", Claim::Times(5.0))
            .beside("twilight next_event"),
        Figure::new("events per second", "1/s", Better::Higher, Sample::per_second, "guildhall")
            .beside("twilight next_event")
            .beside("@discordjs/ws"),
        Figure::new("memory of a shard", "MB", Better::Lower, memory, "guildhall")
            .claiming(Claim::AtMost(3.0))
            .beside("guildhall, 2,500 guilds a shard")
            .beside("@discordjs/ws"),
    ]
}

fn memory(sample: &Sample) -> Option<f64> {
    sample.extra("megabytes a shard")
}

fn prepare(setup: &Setup) -> Result<Vec<Contestant>> {
    let recording = Recording::of(RECORDED)?;
    let mut contestants = Vec::new();
    let zstd = Rc::new(Replay::start(recording.clone(), Compression::Zstd)?);
    if let Some(runner) = runner::contestant("guildhall", Size::of, setup, Rc::clone(&zstd))? {
        contestants.push(runner);
    }
    contestants.push(twilight::contestant(zstd));
    frames::build_zlib_sync(setup)?;
    let zlib = Replay::start(recording.clone(), Compression::Zlib)?;
    let mut peer = Peer::node_with(setup, "gateway", "shards.mjs", &[("GATEWAY", zlib.address().to_owned())])?;
    contestants.push(Contestant::new("@discordjs/ws", move |scale| {
        let size = Size::of(scale);
        zlib.prepare(size.shards, size.frames, size.guilds)?;
        let sample = peer.ask(&json!({ "shards": size.shards, "events": size.events() }))?;
        with_memory(sample, peer.pid(), size.shards)
    }));
    // Events of its own, so it comes last and states nothing that others could be compared by.
    let crowded = Rc::new(Replay::start(recording, Compression::Zstd)?);
    contestants.extend(runner::contestant("guildhall, 2,500 guilds a shard", Size::crowded, setup, crowded)?);
    Ok(contestants)
}

#[expect(clippy::cast_precision_loss, reason = "a figure has three digits")]
fn with_memory(sample: Sample, pid: u32, shards: usize) -> Result<Sample> {
    let bytes = crate::cpu::private_memory(pid)? as f64;
    Ok(sample.with("megabytes a shard", bytes / 1e6 / shards as f64))
}

/// What a digest of all that was replayed says.
fn answer(digest: &Digest) -> String {
    digest.answer()
}
