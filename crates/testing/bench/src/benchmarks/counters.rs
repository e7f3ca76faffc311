//! Counters that stay exact where a tenth of the events arrives twice.

use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use anyhow::{Result, ensure};
use guildhall_domain::EventKind;
use guildhall_store::ingest;
use guildhall_wire::Envelope;
use sqlx::PgConnection;

use crate::database::{COUNTED, Database};
use crate::digest::Digest;
use crate::traffic::{NOW, Row, Traffic, rows};
use crate::{Benchmark, Better, Claim, Contestant, Figure, Sample, Scale, Setup, Stopwatch};

pub(super) const BENCHMARK: Benchmark = Benchmark {
    number: 8,
    name: "counters",
    what: "Counting events of which a tenth arrives twice.",
    note: "Every tenth envelope of the recording is delivered twice, and each contestant states what it counted by \
           kind, with a sum over guilds: all must agree. The hash is in memory and forgets. One upsert an event is \
           what counts without a batch: a statement, hence a transaction, inserts the event's identity and, where \
           it is new, adds one to the same five counters that ours keeps; the server waits for its disk. On another day the distance was 104 times, presumably as commits waited longer.",
    binaries: &[],
    as_deployed: false,
    figures,
    prepare,
};

/// One envelope in this many is delivered twice.
const DUPLICATES: usize = 10;
/// What one round takes of the slow way.
const ONE_BY_ONE: usize = 2_000;

fn figures() -> Vec<Figure> {
    vec![
        Figure::new("events per second", "1/s", Better::Higher, Sample::per_second, "guildhall")
            .peer("one upsert an event", Claim::Times(50.0))
            .beside("in-memory hash"),
        Figure::new("events per second of CPU", "1/s", Better::Higher, Sample::per_cpu_second, "guildhall")
            .beside("one upsert an event")
            .beside("in-memory hash"),
    ]
}

fn deliveries(traffic: &Traffic, scale: Scale, session: &str) -> Vec<Vec<Envelope>> {
    traffic.transactions(scale, session, |number| if number.is_multiple_of(DUPLICATES) { 2 } else { 1 })
}

fn prepare(setup: &Setup) -> Result<Vec<Contestant>> {
    let traffic = Rc::new(Traffic::record()?);
    Ok(vec![ours(setup, Rc::clone(&traffic))?, hash(Rc::clone(&traffic)), one_by_one(setup, traffic)?])
}

fn ours(setup: &Setup, traffic: Rc<Traffic>) -> Result<Contestant> {
    let mut db = Database::create(setup)?;
    let mut rounds = 0;
    Ok(Contestant::here("guildhall", move |scale| {
        rounds += 1;
        let transactions = deliveries(&traffic, scale, &format!("round {rounds}"));
        let ops: usize = transactions.iter().map(|transaction| rows(transaction).count()).sum();
        db.run("TRUNCATE events")?;
        let (before, cpu) = (db.digest(COUNTED)?, db.server_cpu()?);
        let watch = Stopwatch::start();
        let mut duplicates = 0;
        for transaction in &transactions {
            let envelopes: Vec<_> = transaction.iter().collect();
            duplicates += db.with(async |db| Ok(ingest::apply(db, &envelopes, NOW).await?))?.duplicates;
        }
        let mut sample = watch.sample(ops as u64);
        sample.cpu_ns += u64::try_from(db.server_cpu()?.saturating_sub(cpu).as_nanos())?;
        ensure!(duplicates > 0, "nothing was delivered twice");
        Ok(sample.answering(db.digest(COUNTED)?.since(&before).answer()))
    }))
}

/// The identity of an event, as one session has it.
type Identity = (i64, i32);

fn hash(traffic: Rc<Traffic>) -> Contestant {
    Contestant::here("in-memory hash", move |scale| {
        let transactions = deliveries(&traffic, scale, "");
        let rows: Vec<Row> = transactions.iter().flat_map(|transaction| rows(transaction)).collect();
        let mut seen: HashSet<Identity> = HashSet::new();
        let mut guilds: HashMap<(i64, i64, i16), u64> = HashMap::new();
        let mut members: HashMap<(i64, i64, i64, i16), u64> = HashMap::new();
        let watch = Stopwatch::start();
        for row in &rows {
            if seen.insert((row.seq, row.idx)) {
                let quarter = row.at.quarter_hour().start().as_millis();
                *guilds.entry((row.guild, quarter, row.kind)).or_default() += 1;
                let (channel, user) = (row.channel.unwrap_or(0), row.user.unwrap_or(0));
                *members.entry((row.guild, channel, user, row.kind)).or_default() += 1;
            }
        }
        let sample = watch.sample(rows.len() as u64);
        let mut digest = Digest::default();
        for ((guild, _, kind), count) in &guilds {
            if let Some(kind) = u8::try_from(*kind).ok().and_then(EventKind::from_code) {
                digest.add(kind, *count, *count * (guild.unsigned_abs() % 1_000_000));
            }
        }
        Ok(sample.answering(digest.answer()))
    })
}

fn one_by_one(setup: &Setup, traffic: Rc<Traffic>) -> Result<Contestant> {
    let mut db = Database::create(setup)?;
    db.run("CREATE TABLE seen_events (session bigint, seq bigint, idx integer, PRIMARY KEY (session, seq, idx))")?;
    let mut rounds = 0_i64;
    Ok(Contestant::here("one upsert an event", move |scale| {
        rounds += 1;
        let transactions = deliveries(&traffic, scale, "");
        let most = if scale == Scale::Full { ONE_BY_ONE } else { usize::MAX };
        let rows: Vec<Row> = transactions.iter().flat_map(|transaction| rows(transaction)).take(most).collect();
        let (before, cpu) = (db.digest(COUNTED)?, db.server_cpu()?);
        let watch = Stopwatch::start();
        db.with(async |db| {
            for row in &rows {
                upsert(db, rounds, row).await?;
            }
            Ok(())
        })?;
        let mut sample = watch.sample(rows.len() as u64);
        sample.cpu_ns += u64::try_from(db.server_cpu()?.saturating_sub(cpu).as_nanos())?;
        // A full round of its own is smaller than that of the others.
        Ok(match scale {
            Scale::Full => sample,
            Scale::Tiny => sample.answering(db.digest(COUNTED)?.since(&before).answer()),
        })
    }))
}

async fn upsert(db: &mut PgConnection, session: i64, row: &Row) -> Result<()> {
    sqlx::query(
        "WITH fresh AS (
             INSERT INTO seen_events VALUES ($1, $2, $3) ON CONFLICT DO NOTHING RETURNING seq
         ), quarter AS (
             INSERT INTO guild_quarters AS known SELECT $4, $5, $6, 1 FROM fresh
             ON CONFLICT (guild_id, bucket, kind) DO UPDATE SET count = known.count + 1
         ), channel AS (
             INSERT INTO channel_quarters AS known SELECT $4, $7, $5, $6, 1 FROM fresh WHERE $7 <> 0
             ON CONFLICT (guild_id, channel_id, bucket, kind) DO UPDATE SET count = known.count + 1
         ), member AS (
             INSERT INTO member_days AS known SELECT $4, ($9::timestamptz AT TIME ZONE 'UTC')::date, $8, $6, 1 FROM fresh
             WHERE $8 <> 0 ON CONFLICT (guild_id, day, user_id, kind) DO UPDATE SET count = known.count + 1
         ), member_channel AS (
             INSERT INTO member_channel_days AS known
             SELECT $4, ($9::timestamptz AT TIME ZONE 'UTC')::date, $8, $7, $6, 1 FROM fresh
             ON CONFLICT (guild_id, day, user_id, channel_id, kind) DO UPDATE SET count = known.count + 1
         )
         INSERT INTO member_stats AS known (guild_id, user_id, messages, first_seen_at, last_seen_at)
         SELECT $4, $8, ($6 = 1)::int, $9, $9 FROM fresh WHERE $8 <> 0
         ON CONFLICT (guild_id, user_id) DO UPDATE SET
             messages = known.messages + excluded.messages,
             last_seen_at = greatest(known.last_seen_at, excluded.last_seen_at)",
    )
    .bind(session)
    .bind(row.seq)
    .bind(row.idx)
    .bind(row.guild)
    .bind(row.at.quarter_hour().start().to_utc())
    .bind(row.kind)
    .bind(row.channel.unwrap_or(0))
    .bind(row.user.unwrap_or(0))
    .bind(row.at.to_utc())
    .execute(db)
    .await?;
    Ok(())
}
