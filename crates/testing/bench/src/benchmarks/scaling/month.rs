//! A month in the life of a community, and what the database keeps of it, table by table.
//!
//! Counters have a row for each guild, channel or member and quarter-hour or day in which something happened, so what an
//! event leaves behind depends on how thinly events are spread. Here they are spread over a whole month and over as many
//! channels and members as communities of that size have.

use anyhow::{Result, ensure};
use guildhall_domain::{ChannelId, Clock, EventKind, GuildId, PriorityClass, ShardId, Timestamp, UserId};
use guildhall_runtime::Delivery;
use guildhall_store::{MIGRATOR, rollup};
use guildhall_test_kit::TestDatabase;
use guildhall_wire::{Envelope, Event, EventBody, GuildGauges, MAX_EVENTS, SeqRange};
use tokio::runtime::Runtime;

use crate::scaling::communities::{COMMUNITIES, Community, GAUGES_A_MONTH, TABLES};
use crate::setup::runtime;
use crate::{Contestant, Sample, Scale, Setup, Stopwatch};

const START: Timestamp = Timestamp::from_secs(1_780_272_000);
const MONTH_MILLIS: u64 = 30 * 86_400_000;
/// How busy the hours of a day are beside each other.
const HOURS: [u64; 24] = [6, 4, 3, 2, 2, 2, 3, 4, 5, 6, 7, 8, 8, 8, 8, 9, 10, 11, 12, 13, 13, 12, 10, 8];
/// Envelopes in a transaction.
const TOGETHER: usize = 20;
/// Hours that a run of the rollup refreshes.
const HOURS_AT_ONCE: i64 = 200;

/// Who ingests the month of each community, into a database of its own.
pub(super) fn contestants(setup: &Setup) -> Result<Vec<Contestant>> {
    let server = setup.service("GUILDHALL_TEST_POSTGRES")?.to_owned();
    Ok(COMMUNITIES
        .iter()
        .map(|community| {
            let server = server.clone();
            // What is stored is the same each time: the first round's sample serves for all.
            let mut known: Option<Sample> = None;
            Contestant::new(community.name, move |scale| {
                if let Some(sample) = &known {
                    return Ok(sample.clone());
                }
                let sample = live(community, &server, scale)?;
                known = Some(sample.clone());
                Ok(sample)
            })
        })
        .collect())
}

fn live(community: &Community, server: &str, scale: Scale) -> Result<Sample> {
    let runtime = runtime()?;
    let database = runtime.block_on(TestDatabase::on(server, &MIGRATOR));
    let end = START.plus_millis(i64::try_from(MONTH_MILLIS)?);
    let pool = runtime.block_on(guildhall_store::connect(database.url(), 1))?;
    let deps = guildhall_stats_ingest::Deps::new(pool.clone(), Clock::fixed(end));
    let before = sizes(&runtime, &database);
    let watch = Stopwatch::start();
    let events = scale.of(community.events, 200);
    let envelopes = month(community, events, scale.of(GAUGES_A_MONTH, 10));
    for together in envelopes.chunks(TOGETHER) {
        let messages = together.iter().enumerate().map(|(number, envelope)| Delivery {
            message_id: number.to_string(),
            body: guildhall_wire::encode(envelope),
            receive_count: 1,
        });
        let failures = runtime.block_on(guildhall_stats_ingest::handle(&deps, messages.collect()));
        ensure!(failures.is_empty(), "{} envelopes were not counted", failures.len());
    }
    let counted = runtime.block_on(database.number("SELECT sum(count)::bigint FROM guild_quarters WHERE kind < 100"));
    ensure!(u64::try_from(counted)? == events, "{counted} of {events} events were counted");
    runtime.block_on(async {
        let mut db = pool.acquire().await?;
        while rollup::refresh(&mut db, end, HOURS_AT_ONCE).await?.hours > 0 {}
        anyhow::Ok(())
    })?;
    let sample = watch.sample(events);
    let after = sizes(&runtime, &database);
    #[expect(clippy::cast_precision_loss, reason = "figures have three digits")]
    let grown = TABLES
        .iter()
        .zip(after.iter().zip(&before))
        .map(|(table, (after, before))| (table.name, (after - before) as f64));
    Ok(grown.fold(sample, |sample, (table, bytes)| sample.with(table, bytes)))
}

/// The bytes of each table, its indexes included.
fn sizes(runtime: &Runtime, database: &TestDatabase) -> Vec<i64> {
    let size = |statement| runtime.block_on(database.number(statement));
    TABLES.iter().map(|table| size(table.size)).collect()
}

/// A month's envelopes, in order of time: events of one class, which stands for all, and gauges.
fn month(community: &Community, events: u64, gauges: u64) -> Vec<Envelope> {
    let mut random = Random(community.events);
    let mut moments: Vec<u64> = (0..events).map(|_| moment(&mut random)).collect();
    moments.sort_unstable();
    let guild = GuildId::from_db(81_384_788_765_712_384);
    let events: Vec<_> = (1..).zip(moments).map(|(seq, at)| event(community, guild, seq, at, &mut random)).collect();
    let slots = (0..gauges).map(|slot| GuildGauges {
        guild,
        slot: START.plus_millis((slot * (MONTH_MILLIS / GAUGES_A_MONTH)).cast_signed()),
        members: u32::try_from(community.members).ok(),
        online: None,
        in_voice: 3,
    });
    let slots: Vec<_> = slots.collect();
    let pattern = Envelope {
        shard: ShardId { id: 0, count: 1 },
        session_id: format!("a month of {}", community.name),
        session_started: START,
        class: PriorityClass::High,
        class_map: 1,
        range: None,
        events: Vec::new(),
        gauges: Vec::new(),
        gaps: Vec::new(),
    };
    let counted = events.chunks(MAX_EVENTS).map(|events| Envelope {
        range: events.first().zip(events.last()).map(|(first, last)| SeqRange { first: first.seq, last: last.seq }),
        events: events.to_vec(),
        ..pattern.clone()
    });
    let measured = slots.chunks(MAX_EVENTS).map(|slots| Envelope {
        class: PriorityClass::Low,
        gauges: slots.to_vec(),
        ..pattern.clone()
    });
    let mut all: Vec<_> = counted.chain(measured).collect();
    all.sort_by_key(|envelope| {
        let event = envelope.events.first().map(|event| event.at);
        event.or_else(|| envelope.gauges.first().map(|gauge| gauge.slot))
    });
    all
}

/// A moment of the month, at a busy hour rather than at a quiet one.
fn moment(random: &mut Random) -> u64 {
    let mut left = random.below(HOURS.iter().sum());
    let busy = |weight: &u64| match left.checked_sub(*weight) {
        Some(rest) => {
            left = rest;
            false
        }
        None => true,
    };
    let hour = HOURS.iter().position(busy).unwrap_or_default() as u64;
    random.below(30) * 86_400_000 + hour * 3_600_000 + random.below(3_600_000)
}

fn event(community: &Community, guild: GuildId, seq: u64, at: u64, random: &mut Random) -> Event {
    let kind = match random.below(100) {
        0..65 => EventKind::MessageCreate,
        65..72 => EventKind::MessageUpdate,
        72..76 => EventKind::MessageDelete,
        76..90 => EventKind::ReactionAdd,
        90..96 => EventKind::VoiceState,
        96..98 => EventKind::MemberJoin,
        _ => EventKind::MemberLeave,
    };
    let of_a_channel = !matches!(kind, EventKind::MemberJoin | EventKind::MemberLeave);
    // Every other time somebody leaves voice.
    let in_channel = of_a_channel && (kind != EventKind::VoiceState || random.below(2) == 0);
    let channel = ChannelId::new(1_000 + random.few(community.channels));
    let member = UserId::new(10_000 + random.few(community.members));
    let at = START.plus_millis(at.cast_signed());
    let target = Some((1 << 60) + (seq << 22));
    let body = EventBody::Count { kind, channel: channel.filter(|_| in_channel), member, target };
    Event { seq, index: 0, guild, at, body }
}

/// Numbers that are the same each time.
struct Random(u64);

impl Random {
    /// Splitmix64.
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound.max(1)
    }

    /// One of `count`, and some far more often than others: the product of two chances.
    fn few(&mut self, count: u64) -> u64 {
        let bound = self.below(count) + 1;
        self.below(bound)
    }
}
