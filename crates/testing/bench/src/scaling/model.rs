//! From guilds and events to requests, milliseconds, gigabytes and dollars.

use super::{Measured, prices};

const SECONDS: f64 = 30.0 * 86_400.0;
const HOURS: f64 = 30.0 * 24.0;
const MILLION: f64 = 1e6;
const GB: f64 = 1e9;

/// How much happens: countable events of a guild in a month, the mean over all guilds.
pub const LEVELS: [(&str, f64); 3] = [("low", 6_000.0), ("typical", 45_000.0), ("high", 300_000.0)];
/// How many guilds.
pub const GUILDS: [f64; 3] = [1_000.0, 10_000.0, 100_000.0];

/// The share of events of each class, and how long its buffer waits for company, in seconds.
pub const CLASSES: [(&str, f64, f64); 4] =
    [("critical", 0.01, 0.0), ("high", 0.80, 1.0), ("medium", 0.16, 5.0), ("low", 0.03, 30.0)];
/// The most events of an envelope, messages of a call, and messages of an invocation; `infra/functions/stats-ingest.yaml`.
pub const FULL_ENVELOPE: f64 = 100.0;
/// Amazon SQS, "SendMessageBatch".
pub const FULL_CALL: f64 = 10.0;
/// The event source's batch.
pub const FULL_INVOCATION: f64 = 200.0;
/// The event source's invocations of a partition at a time, each of which gathers for a second.
pub const INVOCATIONS_A_SECOND: f64 = 2.0;

/// Guilds of a shard: some room below Discord's limit of 2,500 until the next resharding.
pub const GUILDS_A_SHARD: f64 = 2_000.0;
/// Shards of a task of the runner.
pub const SHARDS_A_TASK: f64 = 16.0;
/// vCPUs and gigabytes of a task; `infra/runner.yaml`.
pub const TASK: (f64, f64) = (1.0, 2.0);
/// Tasks at least: one may be lost.
pub const LEAST_TASKS: f64 = 2.0;
/// The busiest hour beside the mean.
pub const PEAK: f64 = 3.0;
/// How much of a core may be used at the peak.
pub const UTILISATION: f64 = 0.5;
/// Seconds that messages gather in a queue while a sender's or a poller's call is under way.
pub const GATHERING: f64 = 0.05;
/// Polls of an idle queue in a second: five pollers, each waiting for 20 s.
pub const IDLE_POLLS: f64 = 5.0 / 20.0;
/// Writes of a lease in a second: every fifth of its term of 10 s.
pub const LEASE_WRITES: f64 = 0.5;
/// Interactions of a guild in a month, and their milliseconds of a function of 1 GB, the worker's share included.
pub const INTERACTIONS: (f64, f64) = (150.0, 20.0);
/// Memory of `stats-ingest`, in gigabytes.
pub const INGEST_GB: f64 = 1.0;
/// Bytes that an invocation logs, figures included.
pub const LOG_BYTES: f64 = 1_500.0;
/// Days that raw events are kept.
pub const RAW_MONTHS: f64 = 1.0;

/// A month of one size.
#[derive(Debug, Clone, Default)]
pub struct Month {
    /// Countable events.
    pub events: f64,
    /// Shards.
    pub shards: f64,
    /// The runner's tasks.
    pub tasks: f64,
    /// Queues in use.
    pub partitions: f64,
    /// Envelopes.
    pub envelopes: f64,
    /// Requests to SQS, as they are billed.
    pub requests: f64,
    /// Invocations of `stats-ingest`.
    pub invocations: f64,
    /// Their milliseconds.
    pub ingest_ms: f64,
    /// The database's vCPUs.
    pub database_vcpus: f64,
    /// Gigabytes stored.
    pub stored_gb: f64,
    /// What for, and how many dollars.
    pub costs: Vec<(&'static str, f64)>,
}

impl Month {
    /// Dollars in all.
    pub fn total(&self) -> f64 {
        self.costs.iter().map(|(_, dollars)| dollars).sum()
    }

    /// Dollars for a million events.
    pub fn for_a_million(&self) -> f64 {
        self.total() / (self.events / MILLION)
    }
}

/// What an invocation of `stats-ingest` takes: so much for itself, each message and each event, in milliseconds.
pub fn ingest_parts(measured: &Measured) -> (f64, f64, f64) {
    let of = |messages: u32, events: u32| {
        let found = measured.ingest_ms.iter().find(|(m, e, _)| (*m, *e) == (messages, events));
        found.map_or(0.0, |(_, _, millis)| *millis)
    };
    let (least, many, full) = (of(1, 1), of(200, 1), of(200, 100));
    let event = ((full - many) / (200.0 * 99.0)).max(0.0);
    let message = ((many - least) / 199.0 - event).max(0.0);
    ((least - message - event).max(0.0), message, event)
}

/// The bytes of an envelope of so many events, between those measured.
pub fn envelope_bytes(measured: &Measured, events: f64) -> f64 {
    let points = measured.envelope_bytes.windows(2);
    let between = points.map(|pair| {
        let ((from, low), (to, high)) = (pair[0], pair[1]);
        (f64::from(to), low + (high - low) * (events - f64::from(from)) / f64::from(to - from))
    });
    let mut last = 0.0;
    for (to, bytes) in between {
        last = bytes;
        if events <= to {
            break;
        }
    }
    last
}

/// The runner's memory: for itself and for each shard, in MB, a line through what was measured.
pub fn runner_memory(measured: &Measured) -> (f64, f64) {
    match (measured.runner_mb.first(), measured.runner_mb.last()) {
        (Some((few, low)), Some((many, high))) if many > few => {
            let shard = (high - low) / f64::from(many - few);
            (low - shard * f64::from(*few), shard)
        }
        _ => (0.0, 0.0),
    }
}

/// How many gather, between one and `full`, when so many arrive in a second and a call waits this long.
fn gathered(rate: f64, seconds: f64, full: f64) -> f64 {
    (1.0 + rate * seconds).min(full)
}

/// One month of `guilds` guilds with so many events each.
pub fn month(measured: &Measured, guilds: f64, events_of_guild: f64) -> Month {
    let events = guilds * events_of_guild;
    let shards = (guilds / GUILDS_A_SHARD).ceil();
    let rate = events / SECONDS;
    let tasks =
        (shards / SHARDS_A_TASK).ceil().max((rate * PEAK * measured.runner_cpu_us / MILLION / UTILISATION).ceil());
    let tasks = tasks.max(LEAST_TASKS);
    let partitions = if shards <= 2.0 {
        1.0
    } else if shards <= 16.0 {
        2.0
    } else {
        4.0
    };

    let (mut envelopes, mut bytes) = (0.0, 0.0);
    for (_, share, wait) in CLASSES {
        let full = gathered(rate * share / shards, wait, FULL_ENVELOPE);
        envelopes += events * share / full;
        bytes += events * share / full * envelope_bytes(measured, full);
    }
    let of_partition = envelopes / SECONDS / partitions;
    let together = gathered(of_partition, GATHERING, FULL_CALL);
    // A request carries 64 KB: full envelopes are small enough that ten of them are one.
    let billed = (together * bytes / envelopes / 65_536.0).ceil().max(1.0);
    let invocations =
        (of_partition.min(INVOCATIONS_A_SECOND).max(of_partition / FULL_INVOCATION)) * partitions * SECONDS;
    let deletes = invocations * (envelopes / invocations / FULL_CALL).ceil();
    let polls = envelopes / together * billed + IDLE_POLLS * SECONDS * partitions;
    let requests = envelopes / together * billed + polls + deletes;

    let (own, message, event) = ingest_parts(measured);
    let ingest_ms = invocations * own + envelopes * message + events * event;
    let busy = ingest_ms / 1_000.0 / SECONDS;
    let database_vcpus = (busy * PEAK / UTILISATION).ceil().max(2.0);
    let stored_gb = events * RAW_MONTHS * measured.stored_bytes / GB;
    let interactions = guilds * INTERACTIONS.0;
    let lambda = |count: f64, millis: f64, gb: f64| {
        count / MILLION * prices::LAMBDA_MILLION + millis / 1_000.0 * gb * prices::LAMBDA_GB_SECOND
    };
    let costs = vec![
        ("runner", tasks * HOURS * (TASK.0 * prices::FARGATE_VCPU_HOUR + TASK.1 * prices::FARGATE_GB_HOUR)),
        ("queue", requests / MILLION * prices::SQS_MILLION),
        ("ingest", lambda(invocations, ingest_ms, INGEST_GB)),
        (
            "interactions",
            lambda(interactions, interactions * INTERACTIONS.1, 1.0) + interactions / MILLION * prices::API_MILLION,
        ),
        ("leases", shards * LEASE_WRITES * SECONDS / MILLION * prices::DYNAMODB_MILLION_WRITES),
        ("network", prices::NAT_HOUR * HOURS + (events * measured.gateway_bytes + bytes) / GB * prices::NAT_GB),
        ("database", database_vcpus * HOURS * prices::DATABASE_VCPU_HOUR + stored_gb * prices::DATABASE_GB_MONTH),
        (
            "cache, logs, rest",
            prices::CACHE_HOUR * HOURS
                + (invocations + interactions) * LOG_BYTES / GB * prices::LOGS_GB
                + prices::SUNDRIES_MONTH,
        ),
    ];
    Month {
        events,
        shards,
        tasks,
        partitions,
        envelopes,
        requests,
        invocations,
        ingest_ms,
        database_vcpus,
        stored_gb,
        costs,
    }
}
