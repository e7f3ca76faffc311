//! Many shards in one process, from the socket to the queue.

mod reading;
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
           SQS that takes everything. Its clock stops when the queue has every event, the hand-over that sends the last \
           ones included; what arrived is decoded and compared. `guildhall, reading alone` is the same path in this process, \
           up to the bodies of messages, without leases, journal and queue. twilight is `next_event` with its full model, \
           @discordjs/ws is `WebSocketManager` with its zlib decompression; both only count. A core's rate is events by the \
           CPU time of the whole process, from the first event to the last. Memory is what the process shares with nobody, \
           divided by its 64 shards, when all was read. Guilds are introduced to the crowded ones with what the runner \
           reads of them and no more: a larger introduction passes through and stays nowhere. Why five times JavaScript is \
           missed was profiled: reading alone, of which decompression is the largest part, was four times as fast; the rest \
           of the process takes half as much again or more: the journal's thread, the AWS SDK's calls to SQS, and to \
           DynamoDB for each new session, and the kernel for their sockets. serenity is left out: \
           building it would double what this benchmark compiles.",
    binaries: &["gateway-runner"],
    as_deployed: false,
    figures,
    prepare,
};

const OURS: &str = "guildhall";
const READING: &str = "guildhall, reading alone";
const JAVASCRIPT: &str = "@discordjs/ws";
const CROWDED: &str = "guildhall, 2,500 guilds a shard";
const CROWDED_JAVASCRIPT: &str = "@discordjs/ws, 2,500 guilds a shard";

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
            Scale::Full => Self { shards: 64, frames: 4_000, guilds: 0 },
            Scale::Tiny => Self { shards: 2, frames: 100, guilds: 0 },
        }
    }

    /// As many guilds as Discord allows a shard; the frames fill the window that decompression looks back on.
    const fn crowded(scale: Scale) -> Self {
        match scale {
            Scale::Full => Self { shards: 64, frames: 500, guilds: 2_500 },
            Scale::Tiny => Self { shards: 2, frames: 100, guilds: 5 },
        }
    }

    /// Everything that is read, guilds included.
    const fn events(self) -> usize {
        self.shards * (self.frames + self.guilds)
    }
}

/// The runner with a few shards, each with as many guilds as Discord allows; and with some that only tell events.
pub(super) fn few(setup: &Setup, recording: &Recording) -> Result<Vec<Contestant>> {
    const fn of(shards: usize, scale: Scale) -> Size {
        Size { shards, frames: Size::of(scale).frames / 2, ..Size::crowded(scale) }
    }
    type Sized = fn(Scale) -> Size;
    let runners: [(_, Sized); 4] = [
        ("runner, events alone", |scale| Size { shards: 4, ..Size::of(scale) }),
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
        Figure::new("events per second of a core", "1/s", Better::Higher, Sample::per_cpu_second, OURS)
            .claiming(Claim::AtLeast(100_000.0))
            .peer(JAVASCRIPT, Claim::Times(5.0))
            .beside(READING)
            .beside("twilight next_event"),
        Figure::new("events per second", "1/s", Better::Higher, Sample::per_second, OURS)
            .beside(READING)
            .beside("twilight next_event")
            .beside(JAVASCRIPT),
        Figure::new("memory of a shard", "MB", Better::Lower, memory, CROWDED)
            .claiming(Claim::AtMost(3.0))
            .beside(CROWDED_JAVASCRIPT)
            .beside(OURS)
            .beside(JAVASCRIPT),
    ]
}

fn memory(sample: &Sample) -> Option<f64> {
    sample.extra("megabytes a shard")
}

fn prepare(setup: &Setup) -> Result<Vec<Contestant>> {
    let recording = Recording::of(RECORDED)?;
    let mut contestants = Vec::new();
    let zstd = Rc::new(Replay::start(recording.clone(), Compression::Zstd)?);
    contestants.extend(runner::contestant(OURS, Size::of, setup, Rc::clone(&zstd))?);
    contestants.push(reading::ours(READING, Rc::clone(&zstd)));
    contestants.push(twilight::contestant(zstd));
    frames::build_zlib_sync(setup)?;
    contestants.push(javascript(JAVASCRIPT, Size::of, setup, recording.clone())?);
    // One of its own: the address names the table, in which one set of shards would follow the other.
    let replay = Rc::new(Replay::start(recording.clone(), Compression::Zstd)?);
    if let Some(crowded) = runner::contestant(CROWDED, Size::crowded, setup, replay)? {
        contestants.push(crowded);
        contestants.push(javascript(CROWDED_JAVASCRIPT, Size::crowded, setup, recording)?);
    }
    Ok(contestants)
}

fn javascript(name: &'static str, size: fn(Scale) -> Size, setup: &Setup, recording: Recording) -> Result<Contestant> {
    let zlib = Replay::start(recording, Compression::Zlib)?;
    let mut peer = Peer::node_with(setup, "gateway", "shards.mjs", &[("GATEWAY", zlib.address().to_owned())])?;
    Ok(Contestant::new(name, move |scale| {
        let size = size(scale);
        zlib.prepare(size.shards, size.frames, size.guilds)?;
        let sample = peer.ask(&json!({ "shards": size.shards, "events": size.events() }))?;
        let sample = with_memory(sample, crate::cpu::private_memory(peer.pid())?, size.shards);
        // Guilds are introduced only where there are some, so those who have none cannot be compared by it.
        Ok(if size.guilds == 0 { sample } else { Sample { answer: None, ..sample } })
    }))
}

#[expect(clippy::cast_precision_loss, reason = "a figure has three digits")]
fn with_memory(sample: Sample, bytes: u64, shards: usize) -> Sample {
    sample.with("megabytes a shard", bytes as f64 / 1e6 / shards as f64)
}

/// What a digest of all that was replayed says.
fn answer(digest: &Digest) -> String {
    digest.answer()
}
