//! The way of events from an envelope to a committed count, over a queue.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use guildhall_devstack::event_source::EventSource;
use guildhall_devstack::provision::{Aws, Resources};
use guildhall_domain::{ChannelId, EventKind, GuildId, PriorityClass, ShardId, Timestamp, UserId};
use guildhall_queue::{MAX_BATCH_ENTRIES, Sqs};
use guildhall_runtime::delivery::{Delivery, Failure};
use guildhall_runtime::system_clock;
use guildhall_store::MIGRATOR;
use guildhall_test_kit::TestDatabase;
use guildhall_wire::{Envelope, Event, EventBody, SeqRange};
use serde_json::json;
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

use crate::setup::runtime;
use crate::{Benchmark, Better, Claim, Contestant, Figure, Peer, Sample, Scale, Setup, Stopwatch};

pub(super) const BENCHMARK: Benchmark = Benchmark {
    number: 12,
    name: "queue",
    what: "Events through a queue: from envelopes in the sender's hands to counts in the database.",
    note: "Ours sends envelopes of a hundred events, ten in a call, to the local emulator of SQS, receives them as \
           Lambda's event source does, and counts them with the handler of `stats-ingest` into PostgreSQL; a round \
           ends when the database has all of them. The limit is the same queue, sender and receiver with a consumer \
           that does nothing. The peers run BullMQ on Redis as it is used for events, one job each, added alone (a \
           hundred calls at a time) or by `addBulk` (a hundred jobs a call); beside them it carries a hundred \
           events in a job, ten jobs in a call, as ours does in a message, of which nothing is claimed: what is \
           compared then is Redis with an emulator of SQS in Python, and adding up in memory with a transaction. \
           The workers of all of them store nothing, which is generous. The emulator is what takes the wall time of \
           ours: how often it can be called bounds even a consumer that does nothing, and on a busy machine the \
           claim end to end was seen to fall below ten. The figure of CPU shows what the product itself takes \
           (sender, receiver and handler in one process), without the servers on either side.",
    binaries: &[],
    as_deployed: false,
    figures,
    prepare,
};

const EVENTS_IN_ENVELOPE: u64 = 100;
/// BullMQ with as many events in a job.
const PACKED: &str = "bullmq, 100 events a job";
/// When the session of the events began.
const START: Timestamp = Timestamp::from_secs(1_780_000_000);
/// Calls to the queue that wait at a time.
const SENDERS: usize = 4;

fn figures() -> Vec<Figure> {
    vec![
        Figure::new("events per second, end to end", "1/s", Better::Higher, Sample::per_second, "guildhall")
            .limit("a consumer that does nothing", Claim::RatioAtLeast(0.5))
            .peer("bullmq addBulk", Claim::Times(10.0))
            .peer("bullmq add", Claim::Times(10.0))
            .beside(PACKED),
        Figure::new("events per second of CPU", "1/s", Better::Higher, Sample::per_cpu_second, "guildhall")
            .beside("a consumer that does nothing")
            .peer("bullmq addBulk", Claim::Times(10.0))
            .peer("bullmq add", Claim::Times(10.0))
            .beside(PACKED),
    ]
}

fn envelope(session: &str, number: u64) -> Envelope {
    let first = number * EVENTS_IN_ENVELOPE + 1;
    let range = SeqRange { first, last: first + EVENTS_IN_ENVELOPE - 1 };
    Envelope {
        shard: ShardId { id: 0, count: 1 },
        session_id: session.to_owned(),
        session_started: START,
        class: PriorityClass::High,
        class_map: 1,
        range: Some(range),
        events: (range.first..=range.last).filter_map(event).collect(),
        gauges: Vec::new(),
        gaps: Vec::new(),
    }
}

/// A message in one of fifty channels of one of twenty guilds, by one of a thousand members.
fn event(seq: u64) -> Option<Event> {
    let guild = seq % 20 + 1;
    Some(Event {
        seq,
        index: 0,
        guild: GuildId::new(guild)?,
        at: START.plus_millis(i64::try_from(seq).ok()? * 5),
        body: EventBody::Count {
            kind: EventKind::MessageCreate,
            channel: ChannelId::new(guild * 100 + seq / 20 % 50),
            member: UserId::new(10_000 + seq * 7_919 % 1_000),
            target: Some((1 << 60) + (seq << 22)),
        },
    })
}

/// A queue, its sender and its receiver.
struct Line {
    runtime: Runtime,
    sqs: Sqs,
    aws: Aws,
    queue_url: String,
    rounds: u64,
}

impl Line {
    fn open(setup: &Setup, prefix: &str) -> Result<Self> {
        let runtime = runtime()?;
        let prefix = format!("bench-{}-{prefix}", std::process::id());
        let (sqs, aws, resources) = runtime.block_on(async {
            let aws = Aws::connect(setup.service("GUILDHALL_TEST_AWS")?).await;
            let resources = Resources::create(&aws, &prefix, 1, 300).await?;
            anyhow::Ok((Sqs::from_config(&aws.config), aws, resources))
        })?;
        let queue_url = resources.event_queues.first().context("no queue")?.url.clone();
        Ok(Self { runtime, sqs, aws, queue_url, rounds: 0 })
    }

    /// Sends this many envelopes while `consumer` is handed what arrives, until `arrived` says that many.
    fn round<H, F>(&mut self, envelopes: u64, arrived: &Rc<Cell<u64>>, consumer: H) -> Result<Sample>
    where
        H: Fn(Vec<Delivery>) -> F,
        F: Future<Output = Vec<Failure>>,
    {
        self.rounds += 1;
        let session = format!("{} round {}", std::process::id(), self.rounds);
        let stop = CancellationToken::new();
        let source = EventSource { window: Duration::from_millis(100), ..EventSource::new(&self.queue_url) };
        let receiver = source.run(self.aws.sqs.clone(), stop.clone(), consumer);
        let (sqs, queue_url) = (&self.sqs, &self.queue_url);
        let numbers: Vec<u64> = (0..envelopes).collect();
        let calls = Cell::new(numbers.chunks(MAX_BATCH_ENTRIES));
        let sender = || async {
            while let Some(call) = next(&calls) {
                let entries: Vec<_> = call
                    .iter()
                    .map(|number| (number.to_string(), guildhall_wire::encode(&envelope(&session, *number))))
                    .collect();
                let rejected = sqs.send_batch(queue_url, &entries).await?;
                ensure!(rejected.is_empty(), "the queue rejected {} messages", rejected.len());
            }
            Ok(())
        };
        let all = async {
            futures_util::future::try_join_all((0..SENDERS).map(|_| sender())).await?;
            while arrived.get() < envelopes {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            anyhow::Ok(())
        };
        let events = envelopes * EVENTS_IN_ENVELOPE;
        let watch = Stopwatch::start();
        self.runtime.block_on(async {
            tokio::pin!(receiver);
            tokio::select! {
                sent = all => sent?,
                () = &mut receiver => bail!("the receiver has ended"),
            }
            let sample = watch.sample(events);
            // What is in flight is deleted before the next round.
            stop.cancel();
            receiver.await;
            ensure!(arrived.replace(0) == envelopes, "messages arrived twice");
            Ok(sample)
        })
    }
}

fn next<T: Copy>(chunks: &Cell<std::slice::Chunks<'_, T>>) -> Option<Vec<T>> {
    let mut rest = chunks.replace([].chunks(1));
    let chunk = rest.next().map(<[T]>::to_vec);
    chunks.set(rest);
    chunk
}

fn ours(setup: &Setup) -> Result<Contestant> {
    let mut line = Line::open(setup, "counted")?;
    let database = line.runtime.block_on(TestDatabase::on(setup.service("GUILDHALL_TEST_POSTGRES")?, &MIGRATOR));
    let pool = line.runtime.block_on(guildhall_store::connect(database.url(), 1))?;
    let deps = guildhall_stats_ingest::Deps::new(pool, system_clock());
    let mut expected = 0;
    Ok(Contestant::new("guildhall", move |scale| {
        let arrived = Rc::new(Cell::new(0));
        let envelopes = envelopes(scale);
        let sample = line.round(envelopes, &arrived, |deliveries| {
            let (count, arrived) = (deliveries.len() as u64, Rc::clone(&arrived));
            let deps = &deps;
            async move {
                let failures = guildhall_stats_ingest::handle(deps, deliveries).await;
                arrived.set(arrived.get() + count - failures.len() as u64);
                failures
            }
        })?;
        expected += envelopes * EVENTS_IN_ENVELOPE;
        let counted =
            line.runtime.block_on(database.number("SELECT coalesce(sum(count), 0)::bigint FROM guild_quarters"));
        ensure!(u64::try_from(counted)? == expected, "{counted} of {expected} events were counted");
        Ok(sample.answering("every event once"))
    }))
}

fn limit(setup: &Setup) -> Result<Contestant> {
    let mut line = Line::open(setup, "dropped")?;
    Ok(Contestant::new("a consumer that does nothing", move |scale| {
        let arrived = Rc::new(Cell::new(0));
        let sample = line.round(envelopes(scale), &arrived, |deliveries| {
            arrived.set(arrived.get() + deliveries.len() as u64);
            async { Vec::new() }
        })?;
        Ok(sample.answering("every event once"))
    }))
}

const fn envelopes(scale: Scale) -> u64 {
    scale.of(1_000, 20)
}

fn prepare(setup: &Setup) -> Result<Vec<Contestant>> {
    let redis = setup.service("GUILDHALL_TEST_REDIS")?;
    let mut contestants = vec![ours(setup)?, limit(setup)?];
    for (name, events) in [("bullmq addBulk", 5_000), ("bullmq add", 5_000), (PACKED, 100_000)] {
        let variables = [("CONTESTANT", name.to_owned()), ("REDIS_URL", redis.to_owned())];
        let process = Peer::node_with(setup, "queue", "queue.mjs", &variables)?;
        contestants.push(Contestant::peer(name, process, move |scale| json!({ "events": scale.of(events, 50) })));
    }
    Ok(contestants)
}
