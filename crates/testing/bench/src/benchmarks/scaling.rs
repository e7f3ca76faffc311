//! What a deployment's size depends on: the figures behind `docs/scaling.md`.

mod month;

use std::rc::Rc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use guildhall_domain::{GuildId, PriorityClass};
use guildhall_runtime::Delivery;
use guildhall_runtime::lambda::sqs_event;
use guildhall_store::MIGRATOR;
use guildhall_test_kit::TestDatabase;
use guildhall_wire::{Envelope, Event, GuildGauges, SeqRange};
use serde_json::json;
use tokio::runtime::Runtime;

use super::{frames, shards};
use crate::cpu::{self, Core};
use crate::function::Function;
use crate::recording::{Recording, ZstdStream};
use crate::setup::runtime;
use crate::{Benchmark, Better, Contestant, Figure, Sample, Setup, Stopwatch};

pub(super) const BENCHMARK: Benchmark = Benchmark {
    number: 13,
    name: "scaling",
    what: "Memory of a shard, bytes of an envelope, milliseconds of ingest: what `docs/scaling.md` calculates with.",
    note: "The runner's binary holds 1, 2 and 4 shards of 2,500 guilds each; its memory is what it shares with nobody. What an \
           event takes is measured apart, by a runner whose guilds are not introduced while it is measured. Envelopes are \
           made of recorded traffic of 60 guilds of very different size. `stats-ingest` is the function's binary under a \
           local runtime API, with a database of its own; an invocation is named after its messages × the events (or \
           gauges) in each, every one of which falls into quarter-hours that have no counters yet, and its milliseconds are \
           what Lambda would bill, with the database nearby. What is stored is a month of one community, made up with a \
           seed, ingested in order and rolled up, table by table with the indexes.",
    binaries: &["gateway-runner", "stats-ingest"],
    as_deployed: false,
    figures,
    prepare,
};

const RECORDED: usize = 24_000;
const INGEST: [(&str, usize, usize, u64); 3] =
    [("ingest, 1 × 1", 1, 1, 40), ("ingest, 200 × 1", 200, 1, 10), ("ingest, 200 × 100", 200, 100, 3)];
/// Messages and gauges in each; the runner puts no more into an envelope.
const GAUGES: (&str, usize, usize, u64) = ("ingest, 20 × 500 gauges", 20, 500, 3);
/// A quarter-hour, in milliseconds.
const QUARTER: i64 = 900_000;
const ENVELOPES: [(&str, usize); 4] =
    [("bytes of 1", 1), ("bytes of 10", 10), ("bytes of 30", 30), ("bytes of 100", 100)];

fn figures() -> Vec<Figure> {
    let lower = Better::Lower;
    let megabytes = |sample: &Sample| sample.extra("megabytes a shard");
    let invocation = |sample: &Sample| sample.extra("invocation ms");
    vec![
        Figure::new("memory of a shard of 2,500 guilds", "MB", lower, megabytes, "runner, 4 shards")
            .beside("runner, 2 shards")
            .beside("runner, 1 shard"),
        Figure::new("an envelope of 100 events", "bytes", lower, |s| s.extra("bytes of 100"), "envelopes"),
        Figure::new("an invocation of stats-ingest", "ms", lower, invocation, "ingest, 200 × 100")
            .beside("ingest, 200 × 1")
            .beside("ingest, 1 × 1"),
        Figure::new("CPU of stats-ingest for an event", "µs", lower, Sample::cpu_micros_each, "ingest, 200 × 100"),
        Figure::new("CPU of the runner for an event", "µs", lower, Sample::cpu_micros_each, "runner, events alone"),
        Figure::new("raw events of a month", "bytes", lower, |s| s.extra("events"), "typical")
            .beside("low")
            .beside("high"),
    ]
}

/// Recorded events of one class, from which envelopes of any size are cut.
struct Stock {
    pattern: Envelope,
    events: Vec<Event>,
}

impl Stock {
    fn of(recording: &Recording) -> Result<Self> {
        let envelopes = frames::envelopes(recording)?;
        let of_class = || envelopes.iter().filter(|envelope| envelope.class == PriorityClass::High);
        let mut pattern = of_class().next().context("nothing was recorded")?.clone();
        pattern.gauges.clear();
        pattern.gaps.clear();
        Ok(Self { pattern, events: of_class().flat_map(|envelope| envelope.events.iter().copied()).collect() })
    }

    /// Envelopes of `size` events, in a session of this name, over and over, so much later than they were recorded.
    fn envelopes<'a>(&'a self, session: &'a str, size: usize, later: i64) -> impl Iterator<Item = Envelope> + 'a {
        let mut seq = 0;
        let chunks = self.events.chunks_exact(size).cycle();
        chunks.map(move |chunk| {
            let first = seq + 1;
            let renumbered = chunk.iter().map(|event| {
                seq += 1;
                Event { seq, index: 0, at: event.at.plus_millis(later), ..*event }
            });
            let events: Vec<_> = renumbered.collect();
            let range = Some(SeqRange { first, last: first + chunk.len() as u64 - 1 });
            Envelope { session_id: session.to_owned(), range, events, ..self.pattern.clone() }
        })
    }

    /// Envelopes of `size` gauges, one of each guild there is, for one slot.
    fn gauges(&self, size: usize, later: i64) -> impl Iterator<Item = Envelope> + '_ {
        let slot = self.pattern.session_started.plus_millis(later);
        let of = move |guild: usize| GuildGauges {
            // Spread, as ids of real guilds are: a row of numbers would compress to nothing.
            guild: GuildId::from_db(
                i64::try_from((1 << 50) + ((guild * 2_654_435_761 % (1 << 28)) << 22)).unwrap_or(i64::MAX),
            ),
            slot,
            members: u32::try_from(100 + guild).ok(),
            online: None,
            in_voice: 3,
        };
        (0..).map(move |number| {
            let gauges = (number * size..(number + 1) * size).map(of).collect();
            Envelope { class: PriorityClass::Low, range: None, events: Vec::new(), gauges, ..self.pattern.clone() }
        })
    }
}

fn envelopes(recording: &Recording, stock: Rc<Stock>) -> Result<Contestant> {
    let mut stream = ZstdStream::default();
    let mut bytes = 0;
    for frame in &recording.frames {
        bytes += stream.frame(frame)?.len();
    }
    let events = frames::envelopes(recording)?.iter().map(|envelope| envelope.events.len()).sum::<usize>();
    let (gateway, dispatches) = (ratio(bytes, events), ratio(recording.frames.len(), events));
    Ok(Contestant::here("envelopes", move |scale| {
        let count = usize::try_from(scale.of(200, 2))?;
        let watch = Stopwatch::start();
        let mut measured = Vec::new();
        for (name, size) in ENVELOPES {
            let bodies = stock.envelopes("a session's id is as long as this", size, 0).take(count);
            let bytes: usize = bodies.map(|envelope| guildhall_wire::encode(&envelope).len()).sum();
            measured.push((name, ratio(bytes, count)));
        }
        let of_gauges = stock.gauges(GAUGES.2, 0).next().context("envelopes without end")?;
        measured.push(("bytes of 500 gauges", ratio(guildhall_wire::encode(&of_gauges).len(), 1)));
        let sample = watch
            .sample((count * ENVELOPES.len()) as u64)
            .with("gateway bytes", gateway)
            .with("dispatches", dispatches);
        Ok(measured.into_iter().fold(sample, |sample, (name, bytes)| sample.with(name, bytes)))
    }))
}

#[expect(clippy::cast_precision_loss, reason = "figures have three digits")]
fn ratio(dividend: usize, divisor: usize) -> f64 {
    dividend as f64 / divisor as f64
}

/// A running `stats-ingest` and its database.
struct Ingest {
    function: Function,
    database: TestDatabase,
    runtime: Runtime,
    sent: usize,
    invocations: i64,
}

impl Ingest {
    fn start(setup: &Setup) -> Result<Option<Self>> {
        let Some(binary) = setup.binary("stats-ingest")? else { return Ok(None) };
        let runtime = runtime()?;
        let server = setup.service("GUILDHALL_TEST_POSTGRES")?;
        let database = runtime.block_on(TestDatabase::on(server, &MIGRATOR));
        let environment = [("DATABASE_URL", database.url().to_owned())];
        let function = Function::start(&binary, &environment, &setup.scratch().join("ingest.log"))?;
        Ok(Some(Self { function, database, runtime, sent: 0, invocations: 0 }))
    }

    /// Invocations with the messages that `messages` makes for each, and how many things they are about.
    fn round(
        &mut self,
        invocations: u64,
        size: (usize, usize),
        messages: impl Fn(&str, i64) -> Vec<Envelope>,
    ) -> Result<Sample> {
        let mut wall = Duration::ZERO;
        let before = self.function.cpu()?;
        for _ in 0..invocations {
            self.invocations += 1;
            let session = format!("session {}", self.invocations);
            let envelopes = messages(&session, self.invocations * QUARTER);
            self.sent += envelopes.iter().map(|envelope| envelope.events.len()).sum::<usize>();
            let deliveries: Vec<_> = envelopes
                .into_iter()
                .enumerate()
                .map(|(number, envelope)| Delivery {
                    message_id: number.to_string(),
                    body: guildhall_wire::encode(&envelope),
                    receive_count: 1,
                })
                .collect();
            let event = sqs_event(&deliveries, "arn:aws:sqs:us-east-1:000000000000:events");
            let watch = Stopwatch::start();
            let answer = cpu::on(Core::Driver, || self.function.invoke(&event))?;
            wall += watch.wall();
            ensure!(answer["batchItemFailures"] == json!([]), "stats-ingest answered {answer}");
        }
        let cpu = self.function.cpu()?.saturating_sub(before);
        let counted = self.number("SELECT coalesce(sum(count), 0)::bigint FROM guild_quarters WHERE kind < 100");
        ensure!(usize::try_from(counted)? == self.sent, "{counted} of {} events were counted", self.sent);
        let nanos = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        let ops = (size.0 * size.1) as u64 * invocations;
        let each = wall.as_secs_f64() * 1_000.0 / f64::from(u32::try_from(invocations)?);
        Ok(Sample { ops, wall_ns: nanos(wall), cpu_ns: nanos(cpu), ..Sample::default() }.with("invocation ms", each))
    }

    fn number(&self, statement: &'static str) -> i64 {
        self.runtime.block_on(self.database.number(statement))
    }
}

fn prepare(setup: &Setup) -> Result<Vec<Contestant>> {
    let recording = crate::setup::runtime()?.block_on(Recording::make(RECORDED))?;
    let stock = Rc::new(Stock::of(&recording)?);
    let mut contestants = vec![envelopes(&recording, Rc::clone(&stock))?];
    for (name, messages, size, invocations) in INGEST {
        if let Some(mut ingest) = Ingest::start(setup)? {
            let stock = Rc::clone(&stock);
            contestants.push(Contestant::new(name, move |scale| {
                let events =
                    |session: &str, later| stock.envelopes(session, size, later).take(messages).collect::<Vec<_>>();
                ingest.round(scale.of(invocations, 1), (messages, size), events)
            }));
        }
    }
    if let Some(mut ingest) = Ingest::start(setup)? {
        let (name, messages, size, invocations) = GAUGES;
        contestants.push(Contestant::new(name, move |scale| {
            let gauges = |_: &str, later| stock.gauges(size, later).take(messages).collect::<Vec<_>>();
            ingest.round(scale.of(invocations, 1), (messages, size), gauges)
        }));
    }
    contestants.extend(month::contestants(setup)?);
    contestants.extend(shards::few(setup, &recording)?);
    Ok(contestants)
}
