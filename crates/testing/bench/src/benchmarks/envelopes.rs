//! The envelope as the body of a message: how many bytes an event takes, and how long they take to make.

mod fixed;

use std::rc::Rc;

use anyhow::{Context as _, Result};
use guildhall_wire::{Envelope, EventBody};
use serde_json::{Value, json};

use self::fixed::Fixed;
use super::frames;
use crate::digest::Digest;
use crate::recording::Recording;
use crate::{Benchmark, Better, Claim, Contestant, Figure, Peer, Sample, Scale, Setup, Stopwatch};

pub(super) const BENCHMARK: Benchmark = Benchmark {
    number: 6,
    name: "envelopes",
    what: "Encoding envelopes: bytes and time for an event.",
    note: "The envelopes are those that the runner's batcher makes of the recording, small critical ones included. Ours is \
           text, as a queue's message has to be, checksum and base64 included; the floor is bytes: 51 for each event in a \
           fixed order, behind a head, compressed with zstd at its default level by a compressor that is kept. The peers \
           write a list of objects with `JSON.stringify`, ids as strings; gzip is zlib's default level and base64.",
    binaries: &[],
    as_deployed: false,
    figures,
    prepare,
};

const FRAMES: usize = 16_000;
const TINY: usize = 10;

fn figures() -> Vec<Figure> {
    vec![
        Figure::new("bytes of an event", "B", Better::Lower, Sample::bytes_each, "guildhall")
            .limit("fixed binary + zstd", Claim::RatioAtMost(1.3))
            .beside("JSON.stringify")
            .beside("JSON.stringify + gzip"),
        Figure::new("CPU time of an event", "µs", Better::Lower, Sample::cpu_micros_each, "guildhall")
            .claiming(Claim::AtMost(1.2))
            .beside("fixed binary + zstd")
            .beside("JSON.stringify")
            .beside("JSON.stringify + gzip"),
    ]
}

fn prepare(setup: &Setup) -> Result<Vec<Contestant>> {
    let recording = Recording::of(FRAMES)?;
    let envelopes: Rc<[Envelope]> = frames::envelopes(&recording)?.into();
    let list = setup.scratch().join("envelopes.json");
    let objects: Vec<_> = envelopes.iter().map(object).collect();
    std::fs::write(&list, serde_json::to_vec(&objects)?).context("the envelopes cannot be written")?;

    let ours = {
        let envelopes = Rc::clone(&envelopes);
        Contestant::here("guildhall", move |scale| {
            round(some(&envelopes, scale), scale, guildhall_wire::encode, |body, digest| {
                digest.envelope(&guildhall_wire::decode(body)?);
                Ok(())
            })
        })
    };
    let floor = {
        let envelopes = Rc::clone(&envelopes);
        let mut fixed = Fixed::new()?;
        Contestant::here("fixed binary + zstd", move |scale| {
            round(some(&envelopes, scale), scale, |envelope| fixed.encode(envelope), fixed::count)
        })
    };
    let peer = |name: &'static str, gzip: bool| -> Result<Contestant> {
        let environment = [("ENVELOPES", list.display().to_string()), ("GZIP", u8::from(gzip).to_string())];
        let process = Peer::node_with(setup, "gateway", "envelopes.mjs", &environment)?;
        let all = envelopes.len();
        let request = move |scale| json!({ "envelopes": many(all, scale), "repeat": repeat(scale).div_ceil(4) });
        Ok(Contestant::peer(name, process, request))
    };
    Ok(vec![ours, floor, peer("JSON.stringify", false)?, peer("JSON.stringify + gzip", true)?])
}

const fn repeat(scale: Scale) -> usize {
    match scale {
        Scale::Full => 8,
        Scale::Tiny => 1,
    }
}

fn many(all: usize, scale: Scale) -> usize {
    match scale {
        Scale::Full => all,
        Scale::Tiny => all.min(TINY),
    }
}

fn some(envelopes: &[Envelope], scale: Scale) -> &[Envelope] {
    &envelopes[..many(envelopes.len(), scale)]
}

/// Encodes all of them several times over, and counts once what the bodies hold.
fn round<B: AsRef<[u8]>>(
    envelopes: &[Envelope],
    scale: Scale,
    mut encode: impl FnMut(&Envelope) -> B,
    count: impl Fn(&B, &mut Digest) -> Result<()>,
) -> Result<Sample> {
    let mut bodies = Vec::with_capacity(envelopes.len());
    let mut bytes = 0;
    let watch = Stopwatch::start();
    for _ in 0..repeat(scale) {
        bodies.clear();
        bodies.extend(envelopes.iter().map(&mut encode));
        bytes += bodies.iter().map(|body| body.as_ref().len()).sum::<usize>();
    }
    let events = envelopes.iter().map(|envelope| envelope.events.len()).sum::<usize>() * repeat(scale);
    let sample = watch.sample(events as u64).with_bytes(bytes as u64);
    let mut digest = Digest::default();
    bodies.iter().try_for_each(|body| count(body, &mut digest))?;
    Ok(sample.answering(digest.answer()))
}

/// An envelope as JavaScript would send it.
fn object(envelope: &Envelope) -> Value {
    let events: Vec<_> = envelope
        .events
        .iter()
        .map(|event| {
            let (kind, channel, member, target) = match event.body {
                EventBody::Count { kind, channel, member, target } => (kind.name(), channel, member, target),
                EventBody::VoiceRoster => ("voice_roster", None, None, None),
                EventBody::VoicePresent { member, channel } => ("voice_present", Some(channel), Some(member), None),
            };
            json!({
                "seq": event.seq, "index": event.index, "guild_id": event.guild, "at": event.at, "kind": kind,
                "channel_id": channel, "user_id": member, "target_id": target.map(|target| target.to_string()),
            })
        })
        .collect();
    json!({
        "shard": envelope.shard, "session_id": envelope.session_id, "session_started": envelope.session_started,
        "class": envelope.class, "class_map": envelope.class_map,
        "range": envelope.range.map(|range| [range.first, range.last]), "events": events,
    })
}
