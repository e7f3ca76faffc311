//! How fast envelopes become numbers: `cargo run --profile bench-fast -p guildhall-store --example ingest_rate -- URL`,
//! on a migrated database that may be filled. Prints events per second for batches of several sizes.

use std::time::Duration;

use guildhall_domain::{ChannelId, EventKind, GuildId, PriorityClass, ShardId, Timestamp, UserId};
use guildhall_store::{Connection as _, PgConnection, ingest};
use guildhall_wire::{Envelope, Event, EventBody, SeqRange};
use rand::rngs::SmallRng;
use rand::{Rng as _, SeedableRng as _};
use tokio::time::Instant;

const START: Timestamp = Timestamp::from_secs(1_780_000_000);
const ROUNDS: u64 = 20;

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let url = std::env::args().nth(1).ok_or_else(|| anyhow::anyhow!("the database's URL is the argument"))?;
    let mut db = PgConnection::connect(&url).await?;
    for (run, events) in [100, 1_000, 10_000].into_iter().enumerate() {
        let mut random = SmallRng::seed_from_u64(run as u64);
        let session = format!("rate {run} of {}", std::process::id());
        let mut spent = Duration::ZERO;
        for round in 0..ROUNDS {
            let batch = batch(&mut random, &session, round * events + 1, events);
            let batch: Vec<_> = batch.iter().collect();
            let start = Instant::now();
            ingest::apply(&mut db, &batch, START.plus_millis(86_400_000)).await?;
            spent += start.elapsed();
        }
        let each = spent.as_secs_f64() / f64::from(u32::try_from(ROUNDS)?);
        let rate = f64::from(u32::try_from(events)?) / each;
        println!("{events:>6} events a transaction: {:>7.1} ms, {rate:>8.0} events/s", each * 1_000.0);
    }
    Ok(())
}

/// Envelopes of a hundred events: three guilds of a thousand members, mostly messages, a twentieth voice.
fn batch(random: &mut SmallRng, session: &str, first: u64, events: u64) -> Vec<Envelope> {
    (0..events.div_ceil(100))
        .map(|part| {
            let seqs = first + part * 100..=first + part * 100 + events.min(100) - 1;
            let range = SeqRange { first: *seqs.start(), last: *seqs.end() };
            Envelope {
                shard: ShardId { id: 0, count: 1 },
                session_id: session.to_owned(),
                session_started: START,
                class: PriorityClass::High,
                class_map: 1,
                range: Some(range),
                events: seqs.map(|seq| event(random, seq)).collect(),
                gauges: Vec::new(),
                gaps: Vec::new(),
            }
        })
        .collect()
}

fn event(random: &mut SmallRng, seq: u64) -> Event {
    let kind = if random.random_range(0..20) == 0 { EventKind::VoiceState } else { EventKind::MessageCreate };
    let leaves = kind == EventKind::VoiceState && random.random_bool(0.5);
    let channel = ChannelId::new(random.random_range(100..130)).filter(|_| !leaves);
    let member = UserId::new(random.random_range(1_000..2_000));
    let guild = GuildId::new(random.random_range(1..=3)).unwrap_or_else(|| unreachable!("small"));
    let at = START.plus_millis(i64::try_from(seq).unwrap_or(0) * 20);
    Event { seq, index: 0, guild, at, body: EventBody::Count { kind, channel, member, target: Some(seq) } }
}
