//! The journal: envelopes kept on disk until they are sent.

mod raw;
mod redis;

use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use guildhall_domain::{PriorityClass, ShardId, Timestamp};
use guildhall_gateway_runner::journal::{Entry, Journal, SessionRow};
use guildhall_gateway_runner::watermark::Mark;
use serde_json::json;

use self::redis::Redis;
use crate::recording::Recording;
use crate::{Benchmark, Better, Claim, Contestant, Figure, Peer, Sample, Scale, Setup, Stopwatch, benchmarks};

pub(super) const BENCHMARK: Benchmark = Benchmark {
    number: 9,
    name: "journal",
    what: "Keeping envelopes on disk until they were sent: appended, fetched, forgotten.",
    note: "Bodies are those of the recording's full envelopes. Ours appends each and drains ten at a time beside \
           it, as the sender does; up to 128 changes are one transaction. The limit does what pg_test_fsync does \
           (PostgreSQL's manual): it writes the same bytes to a file and waits for the disk with fdatasync, once \
           for each 128 envelopes, without an index, a queue or a reader. Redis keeps an append-only file with \
           `appendfsync always`: RPUSH of 128 bodies in a pipeline, LPOP of ten. BullMQ adds 128 jobs with one \
           `addBulk` on the same Redis and works them off. The limit keeps no order, finds nothing again and \
           forgets nothing. It also waits for the disk, which ours leaves to checkpoints (`synchronous=NORMAL`), so \
           that the two are not quite alike; where the time of ours goes has not been profiled.",
    binaries: &[],
    as_deployed: false,
    figures,
    prepare,
};

/// As many changes as the journal commits at a time.
const GROUP: usize = 128;
/// As many entries as one call to SQS takes.
const FETCH: usize = 10;
const FETCH_BYTES: usize = 1 << 20;
const FRAMES: usize = 8_000;
const ENVELOPES: u64 = 4_096;
const TINY: u64 = 64;

fn figures() -> Vec<Figure> {
    vec![
        Figure::new("envelopes per second, kept and drained", "1/s", Better::Higher, Sample::per_second, "guildhall")
            .limit("write + fdatasync", Claim::RatioAtLeast(0.8))
            .peer("Redis, AOF always", Claim::RatioAtLeast(0.8))
            .peer("BullMQ addBulk", Claim::RatioAtLeast(0.8)),
        Figure::new("CPU time of an envelope", "µs", Better::Lower, Sample::cpu_micros_each, "guildhall")
            .beside("write + fdatasync")
            .beside("Redis, AOF always")
            .beside("BullMQ addBulk"),
    ]
}

/// What every contestant states: how many bodies came out, and their bytes.
fn answer(envelopes: usize, bytes: usize) -> String {
    format!("{envelopes} envelopes of {bytes} bytes")
}

/// Bodies in turn, as many as the scale asks for.
fn bodies(all: &[String], scale: Scale) -> Vec<String> {
    let many = usize::try_from(scale.of(ENVELOPES, TINY)).unwrap_or(0);
    all.iter().cycle().take(many).cloned().collect()
}

fn prepare(setup: &Setup) -> Result<Vec<Contestant>> {
    let recording = Recording::of(FRAMES)?;
    let envelopes = benchmarks::envelopes_of(&recording)?;
    let full = envelopes.iter().filter(|envelope| envelope.events.len() >= guildhall_wire::MAX_EVENTS / 2);
    let all: Rc<[String]> = full.map(guildhall_wire::encode).collect();
    ensure!(!all.is_empty(), "the recording has no full envelope");
    let list = setup.scratch().join("bodies.json");
    std::fs::write(&list, serde_json::to_vec(&*all)?).context("the bodies cannot be written")?;

    let limit = {
        let all = Rc::clone(&all);
        let folder = setup.scratch().to_owned();
        Contestant::here("write + fdatasync", move |scale| raw::round(&folder, &bodies(&all, scale)))
    };
    let server = Rc::new(Redis::start(setup)?);
    let redis = {
        let (all, server, runtime) = (Rc::clone(&all), Rc::clone(&server), crate::setup::runtime()?);
        Contestant::here("Redis, AOF always", move |scale| {
            runtime.block_on(redis::round(&server, &bodies(&all, scale)))
        })
    };
    let bullmq = {
        let environment = [("REDIS_URL", server.url()), ("BODIES", list.display().to_string())];
        let mut peer = Peer::node_with(setup, "queue", "journal.mjs", &environment)?;
        Contestant::new("BullMQ addBulk", move |scale| {
            let before = server.cpu()?;
            let mut sample = peer.ask(&json!({ "envelopes": scale.of(ENVELOPES, TINY), "group": GROUP }))?;
            sample.cpu_ns += u64::try_from(server.cpu()?.saturating_sub(before).as_nanos())?;
            Ok(sample)
        })
    };
    Ok(vec![ours(setup, all)?, limit, redis, bullmq])
}

fn ours(setup: &Setup, all: Rc<[String]>) -> Result<Contestant> {
    let (runtime, folder) = (crate::setup::runtime()?, setup.scratch().join("journal"));
    let mut rounds = 0;
    Ok(Contestant::here("guildhall", move |scale| {
        rounds += 1;
        runtime.block_on(keep(&folder, rounds, bodies(&all, scale)))
    }))
}

async fn keep(folder: &Path, rounds: u64, bodies: Vec<String>) -> Result<Sample> {
    let now = Timestamp::from_secs(1_780_000_000);
    let (journal, _, thread) = Journal::open(folder, 1 << 30, "bench", 1, now)?;
    let session: Arc<str> = format!("session {rounds}").into();
    let shard = ShardId { id: 0, count: 1 };
    let mark = Mark { seq: 1, at: now };
    journal.put_session(SessionRow { shard, session_id: Arc::clone(&session), mark }).await?;
    let many = bodies.len();
    let watch = Stopwatch::start();
    let append = async {
        for (seq, body) in (2_u64..).zip(bodies) {
            let id = journal.next_id();
            let (class, session) = (PriorityClass::High, Arc::clone(&session));
            let entry = Entry { id, class, shard, session, first_event: Some(seq), first_at: now, body };
            journal.append(entry, Mark { seq, at: now }).await?;
        }
        anyhow::Ok(())
    };
    let drain = async {
        let (mut drained, mut bytes) = (0, 0);
        while drained < many {
            let committed = journal.committed();
            let entries = journal.fetch(0, FETCH, FETCH_BYTES, Vec::new()).await?;
            if entries.is_empty() {
                committed.await;
                continue;
            }
            drained += entries.len();
            bytes += entries.iter().map(|entry| entry.body.len()).sum::<usize>();
            journal.accepted(entries.iter().map(|entry| entry.id).collect()).await?;
        }
        anyhow::Ok((drained, bytes))
    };
    let ((), (drained, bytes)) = tokio::try_join!(append, drain)?;
    // What was accepted last is forgotten when the thread has ended.
    drop(journal);
    tokio::task::spawn_blocking(move || thread.join()).await?.map_err(|_| anyhow::anyhow!("the journal's thread"))?;
    Ok(watch.sample(many as u64).answering(answer(drained, bytes)))
}
