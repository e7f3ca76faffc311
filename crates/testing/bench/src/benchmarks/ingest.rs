//! Rows into the database: raw ones alone, and with deduplication and every counter.

mod copy;
mod values;

use std::rc::Rc;

use anyhow::{Context as _, Result};
use guildhall_store::ingest;
use guildhall_wire::Envelope;
use serde_json::{Value, json};

use self::copy::Psql;
use crate::database::{COUNTED, Database, RAW};
use crate::traffic::{NOW, Row, Traffic, rows};
use crate::{Benchmark, Better, Claim, Contestant, Figure, Peer, Sample, Scale, Setup, Stopwatch, cpu};

pub(super) const BENCHMARK: Benchmark = Benchmark {
    number: 7,
    name: "ingest",
    what: "Storing events in transactions of 10,000, on a server that waits for its disk.",
    note: "The events are the recording's, in its envelopes; each contestant has a database of its own with the \
           project's schema and indexes, whose raw events are emptied between rounds. `guildhall` deduplicates, \
           stores raw events, derives voice and adds to five counters. `raw rows alone` is its COPY without the \
           rest; the limit is psql's `\\copy` of the same rows in PostgreSQL's binary format. VALUES is 1,000 rows \
           a statement, ten of them a transaction; Prisma is `createMany` in its engine-less client, of which each \
           call is a transaction: 1,000 rows, which is what it does best with. CPU time is that of the client and \
           of the server's processes for its database. Why half of COPY's rate is missed is not fully known: an \
           earlier profile gave 3 µs of CPU for a copied row, 7 for an upserted \
           one and 4.5 at least for an updated one. With two rows of counters for an event that would allow a \
           quarter; what ours takes beyond that has not been profiled.",
    binaries: &[],
    as_deployed: false,
    figures,
    prepare,
};

fn figures() -> Vec<Figure> {
    vec![
        Figure::new("raw rows per second", "1/s", Better::Higher, Sample::per_second, "raw rows alone")
            .limit("psql \\copy", Claim::RatioAtLeast(0.8)),
        Figure::new("events per second, counted", "1/s", Better::Higher, Sample::per_second, "guildhall")
            .limit("psql \\copy", Claim::RatioAtLeast(0.5))
            .peer("Prisma createMany", Claim::Times(4.0))
            .beside("multi-row VALUES"),
        Figure::new("events per second of CPU", "1/s", Better::Higher, Sample::per_cpu_second, "guildhall")
            .beside("raw rows alone")
            .beside("psql \\copy")
            .beside("multi-row VALUES")
            .beside("Prisma createMany"),
    ]
}

/// Empties the raw events, measures `work`, and states what is stored now.
fn round(db: &mut Database, ops: usize, work: impl FnOnce(&mut Database) -> Result<Extra>) -> Result<Sample> {
    db.run("TRUNCATE events")?;
    let before = db.server_cpu()?;
    let watch = Stopwatch::start();
    let extra = work(db)?;
    let mut sample = watch.sample(ops as u64);
    let server = db.server_cpu()?.saturating_sub(before);
    sample.cpu_ns += u64::try_from((server + extra).as_nanos())?;
    Ok(sample.answering(db.digest(RAW)?.answer()))
}

/// CPU time of a process beside ours and the server's.
type Extra = std::time::Duration;

fn flat(transactions: &[Vec<Envelope>]) -> Vec<Vec<Row>> {
    transactions.iter().map(|transaction| rows(transaction).collect()).collect()
}

fn count<T>(transactions: &[Vec<T>]) -> usize {
    transactions.iter().map(Vec::len).sum()
}

fn prepare(setup: &Setup) -> Result<Vec<Contestant>> {
    let traffic = Rc::new(Traffic::record()?);
    let once = |scale: Scale, session: &str| traffic.transactions(scale, session, |_| 1);
    let full = flat(&once(Scale::Full, ""));
    let tiny = flat(&once(Scale::Tiny, ""));

    let ours = complete(setup, Rc::clone(&traffic))?;
    let raw = {
        let traffic = Rc::clone(&traffic);
        let mut db = Database::create(setup)?;
        Contestant::here("raw rows alone", move |scale| {
            let transactions = traffic.transactions(scale, "", |_| 1);
            round(&mut db, count(&flat(&transactions)), |db| {
                for transaction in &transactions {
                    let envelopes: Vec<_> = transaction.iter().collect();
                    db.with(async |db| Ok(ingest::raw(db, &envelopes, 1).await?))?;
                }
                Ok(Extra::ZERO)
            })
        })
    };
    let limit = {
        let mut db = Database::create(setup)?;
        let mut psql = Psql::start(setup, db.url())?;
        let files = copy::files(setup, &full, "full")?;
        let few = copy::files(setup, &tiny, "tiny")?;
        let ops = (count(&full), count(&tiny));
        Contestant::new("psql \\copy", move |scale| {
            let (files, ops) = if scale == Scale::Full { (&files, ops.0) } else { (&few, ops.1) };
            round(&mut db, ops, |_| {
                let before = cpu::of_process(psql.pid())?;
                files.iter().try_for_each(|file| psql.copy(file))?;
                Ok(cpu::of_process(psql.pid())?.saturating_sub(before))
            })
        })
    };
    let values = {
        let mut db = Database::create(setup)?;
        let (full, tiny) = (full.clone(), tiny.clone());
        Contestant::here("multi-row VALUES", move |scale| {
            let transactions = if scale == Scale::Full { &full } else { &tiny };
            round(&mut db, count(transactions), |db| {
                transactions.iter().try_for_each(|rows| db.with(async |db| values::insert(db, rows).await))?;
                Ok(Extra::ZERO)
            })
        })
    };
    Ok(vec![ours, raw, limit, values, prisma(setup, &full, &tiny)?])
}

/// Ours, with everything that makes a number of an event.
fn complete(setup: &Setup, traffic: Rc<Traffic>) -> Result<Contestant> {
    let mut db = Database::create(setup)?;
    let mut rounds = 0;
    let mut counted = db.digest(COUNTED)?;
    Ok(Contestant::here("guildhall", move |scale| {
        rounds += 1;
        let transactions = traffic.transactions(scale, &format!("round {rounds}"), |_| 1);
        let sample = round(&mut db, count(&flat(&transactions)), |db| {
            for transaction in &transactions {
                let envelopes: Vec<_> = transaction.iter().collect();
                db.with(async |db| Ok(ingest::apply(db, &envelopes, NOW).await?))?;
            }
            Ok(Extra::ZERO)
        })?;
        // Counters say the same as raw events.
        let now = db.digest(COUNTED)?;
        let counted = std::mem::replace(&mut counted, now.clone());
        anyhow::ensure!(Some(now.since(&counted).answer()) == sample.answer, "counters and raw events differ");
        Ok(sample)
    }))
}

/// What one round takes of Prisma, which is slower by far.
const PRISMA_ROWS: usize = 4_000;

fn prisma(setup: &Setup, full: &[Vec<Row>], tiny: &[Vec<Row>]) -> Result<Contestant> {
    let db = Database::create(setup)?;
    let folder = setup.peers("prisma")?;
    // Prisma's command fetches an engine for migrations, which generating does without; it takes any program's word.
    let generated = std::process::Command::new("node")
        .args(["node_modules/prisma/build/index.js", "generate"])
        .current_dir(&folder)
        .env("PRISMA_SCHEMA_ENGINE_BINARY", "/bin/true")
        .env("CHECKPOINT_DISABLE", "1")
        .output()
        .context("cannot start Node.js")?;
    anyhow::ensure!(generated.status.success(), "prisma generate: {}", String::from_utf8_lossy(&generated.stderr));
    let write = |name: &str, rows: Vec<Value>| -> Result<String> {
        let path = setup.scratch().join(name);
        std::fs::write(&path, serde_json::to_vec(&rows)?).context("the rows cannot be written")?;
        Ok(path.display().to_string())
    };
    let objects =
        |transactions: &[Vec<Row>], most: usize| transactions.iter().flatten().take(most).map(object).collect();
    let full = write("prisma-full.json", objects(full, PRISMA_ROWS))?;
    let tiny = write("prisma-tiny.json", objects(tiny, usize::MAX))?;
    let environment = [("DATABASE_URL", db.url().to_owned()), ("FULL", full), ("TINY", tiny)];
    let mut peer = Peer::node_with(setup, "prisma", "ingest.mjs", &environment)?;
    Ok(Contestant::new("Prisma createMany", move |scale| {
        db.run("TRUNCATE events")?;
        let before = db.server_cpu()?;
        let mut sample = peer.ask(&json!({ "full": scale == Scale::Full }))?;
        sample.cpu_ns += u64::try_from(db.server_cpu()?.saturating_sub(before).as_nanos())?;
        // A full round of its own is smaller than that of the others.
        Ok(match scale {
            Scale::Full => sample,
            Scale::Tiny => sample.answering(db.digest(RAW)?.answer()),
        })
    }))
}

fn object(row: &Row) -> Value {
    json!({
        "ts": row.at, "guildId": row.guild.to_string(), "channelId": row.channel.map(|id| id.to_string()),
        "userId": row.user.map(|id| id.to_string()), "targetId": row.target.map(|id| id.to_string()), "sourceId": "1",
        "seq": row.seq.to_string(), "idx": row.idx, "shardId": row.shard, "kind": row.kind,
    })
}
