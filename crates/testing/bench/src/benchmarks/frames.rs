//! From a gateway frame to the body of a queue's message, on one core.

mod inflate;
mod lean;
mod ours;
mod twilight;

use std::io::Write as _;
use std::path::Path;
use std::process::Command;
use std::rc::Rc;

use anyhow::{Context as _, Result};
use guildhall_wire::Envelope;
use serde_json::json;

use self::inflate::Inflate;
pub(super) use self::lean::countable;
pub(super) use self::ours::Ours;
pub(crate) use self::twilight::count;
use crate::digest::Digest;
use crate::recording::{Recording, ZlibStream, ZstdStream};
use crate::{Benchmark, Better, Claim, Contestant, Figure, Peer, Sample, Scale, Setup, Stopwatch};

pub(super) const BENCHMARK: Benchmark = Benchmark {
    number: 4,
    name: "frames",
    what: "From a compressed gateway frame to the body of an SQS message, on one core.",
    note: "The frames are a recording of the double's traffic in 60 guilds with the runner's intents (message content is \
           withheld). The Rust contestants read the same zstd stream, cut at each frame, with the same decompressor; the \
           JavaScript ones the same frames in a zlib stream, which is what they ask Discord for on this version of \
           Node.js. Ours peeks, projects, batches and encodes every envelope; the limit reads the same facts with one \
           serde struct for all types of event and counts them. serde_json, which reads it, checks every byte; ours finds \
           the members of an object 64 bytes at a time and does not look at what it skips, so it can be faster than that \
           limit. The same struct read in ours' way stands beside it: what is left between the two is projecting, \
           batching and encoding. twilight builds its full model; @discordjs/ws runs its own `unpackMessage`, with \
           zlib-sync, its faster decompressor, where that can be compiled. All count events by kind. Profiled, 45 % \
           of ours' time is decompression, 30 % reading and projecting, 25 % encoding. Critical events leave with what is \
           read in the same go, 64 frames at most, as in the runner.",
    binaries: &[],
    as_deployed: false,
    figures,
    prepare,
};

const FRAMES: usize = 16_000;
const TINY: u64 = 400;

fn figures() -> Vec<Figure> {
    vec![
        Figure::new("frames per second of CPU", "1/s", Better::Higher, Sample::per_cpu_second, "guildhall")
            .limit("zstd + lean serde struct", Claim::RatioAtLeast(0.8))
            .beside("zstd + skipping unread")
            .peer("twilight, full model", Claim::Times(2.0))
            .peer("@discordjs/ws", Claim::Times(3.0)),
        Figure::new("CPU time of a frame", "µs", Better::Lower, Sample::cpu_micros_each, "guildhall")
            .beside("zstd + lean serde struct")
            .beside("zstd + skipping unread")
            .beside("twilight, full model")
            .beside("@discordjs/ws"),
    ]
}

fn frames(scale: Scale) -> usize {
    usize::try_from(scale.of(FRAMES as u64, TINY)).unwrap_or(FRAMES)
}

fn prepare(setup: &Setup) -> Result<Vec<Contestant>> {
    let recording = Recording::of(FRAMES)?;
    let mut stream = ZstdStream::default();
    let zstd = recording.frames.iter().map(|frame| stream.frame(frame)).collect::<Result<Vec<_>>>()?;
    let zstd: Rc<[Vec<u8>]> = zstd.into();
    let zlib = setup.scratch().join("frames.zlib");
    write_zlib(&recording, &zlib).context("the recording cannot be written")?;
    let read = |name: &'static str, reader: fn() -> Box<dyn Reader>| {
        let zstd = Rc::clone(&zstd);
        Contestant::here(name, move |scale| round(&zstd[..frames(scale)], reader()))
    };
    build_zlib_sync(setup)?;
    let peer = Peer::node_with(setup, "gateway", "frames.mjs", &[("FRAMES", zlib.display().to_string())])?;
    Ok(vec![
        read("guildhall", || Box::new(ours::Ours::new())),
        read("zstd + lean serde struct", || Box::new(lean::Lean::default())),
        read("zstd + skipping unread", || Box::new(lean::Skimmed::default())),
        read("twilight, full model", || Box::new(twilight::Twilight::default())),
        Contestant::peer("@discordjs/ws", peer, |scale| json!({ "frames": frames(scale) })),
    ])
}

/// The envelopes that the runner makes of the recording.
pub(crate) fn envelopes(recording: &Recording) -> Result<Vec<Envelope>> {
    let mut ours = ours::Ours::new();
    recording.frames.iter().try_for_each(|frame| ours.frame(frame))?;
    ours.finish();
    ours.envelopes()
}

/// What is done with each frame.
pub(super) trait Reader {
    fn frame(&mut self, text: &str) -> Result<()>;

    /// Ends the work that is measured.
    fn finish(&mut self) {}

    /// What was counted; not measured.
    fn digest(&self) -> Result<Option<Digest>>;
}

fn round(frames: &[Vec<u8>], mut reader: Box<dyn Reader>) -> Result<Sample> {
    let mut inflate = Inflate::new()?;
    let watch = Stopwatch::start();
    for frame in frames {
        reader.frame(inflate.frame(frame)?)?;
    }
    reader.finish();
    let sample = watch.sample(frames.len() as u64);
    Ok(match reader.digest()? {
        Some(digest) => sample.answering(digest.answer()),
        None => sample,
    })
}

/// Compiles zlib-sync, which its package does when it is installed with scripts. Where there is no compiler or no headers,
/// the peers take Node's own zlib.
pub(super) fn build_zlib_sync(setup: &Setup) -> Result<()> {
    let folder = setup.peers("gateway")?;
    if folder.join("node_modules/zlib-sync/build/Release/zlib_sync.node").exists() {
        return Ok(());
    }
    let mut command = Command::new("npm");
    command.args(["rebuild", "zlib-sync", "--ignore-scripts=false", "--loglevel=error"]).current_dir(folder);
    if Path::new("/usr/include/node/node.h").exists() {
        // Debian's headers; otherwise they would be fetched.
        command.env("npm_config_nodedir", "/usr");
    }
    if !command.output().is_ok_and(|output| output.status.success()) {
        eprintln!("  zlib-sync cannot be compiled here; @discordjs/ws decompresses with node:zlib");
    }
    Ok(())
}

/// The recording for a peer: before each frame its length, four bytes in network order.
fn write_zlib(recording: &Recording, path: &Path) -> Result<()> {
    let mut file = std::io::BufWriter::new(std::fs::File::create(path)?);
    let mut stream = ZlibStream::default();
    for frame in &recording.frames {
        let bytes = stream.frame(frame)?;
        file.write_all(&u32::try_from(bytes.len())?.to_be_bytes())?;
        file.write_all(&bytes)?;
    }
    Ok(file.flush()?)
}
