//! From guilds and events to requests, milliseconds, gigabytes and dollars.

use super::communities::{COMMUNITIES, Community, GAUGES_A_MONTH, TABLES};
use super::costs::{Amounts, costs};
use super::{Measured, assumed};

/// Seconds of a month of 30 days.
pub const SECONDS: f64 = 30.0 * 86_400.0;
/// Its hours.
pub const HOURS: f64 = 30.0 * 24.0;
const GB: f64 = 1e9;

/// How many guilds.
pub const GUILDS: [f64; 3] = [1_000.0, 10_000.0, 100_000.0];

/// A month of one size.
#[derive(Debug, Clone, Default)]
pub struct Month {
    /// What there is of everything.
    pub amounts: Amounts,
    /// Gigabytes stored after one year.
    pub stored_gb: f64,
    /// Gigabytes by which that grows in a month from then on.
    pub growth_gb: f64,
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
        self.total() / (self.amounts.events / 1e6)
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

/// What a gauge takes of an invocation, in milliseconds.
pub fn gauge_part(measured: &Measured) -> f64 {
    let (own, message, _) = ingest_parts(measured);
    let (messages, gauges, millis) = measured.gauges_ms;
    ((millis - own - message * f64::from(messages)) / f64::from(messages * gauges)).max(0.0)
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

/// The bytes of each table that one guild leaves behind in a month, and of all of them after so many months.
pub fn stored(measured: &Measured, community: &Community, months: f64) -> f64 {
    let of = |table: &str| measured.stored(community.name, table);
    TABLES.iter().map(|table| of(table.name) * table.months.map_or(months, |kept| kept.min(months))).sum()
}

/// How many gather, between one and `full`, when so many arrive in a second and a call waits this long.
fn gathered(rate: f64, seconds: f64, full: f64) -> f64 {
    (1.0 + rate * seconds).min(full)
}

/// One month of `guilds` guilds of this kind, a year after the first.
pub fn month(measured: &Measured, guilds: f64, community: &Community) -> Month {
    #[expect(clippy::cast_precision_loss, reason = "millions")]
    let (events, gauges) = (guilds * community.events as f64, guilds * GAUGES_A_MONTH as f64);
    let shards = (guilds / assumed::GUILDS_A_SHARD).ceil();
    let rate = events / SECONDS;
    let busy = rate * assumed::PEAK * measured.runner_cpu_us / 1e6 / assumed::UTILISATION;
    let tasks = (shards / assumed::SHARDS_A_TASK).ceil().max(busy.ceil()).max(assumed::LEAST_TASKS);
    let partitions = match shards {
        ..=2.0 => 1.0,
        ..=16.0 => 2.0,
        _ => assumed::PARTITIONS,
    };

    let (mut of_events, mut bytes) = (0.0, 0.0);
    for (_, share, wait) in assumed::CLASSES {
        let full = gathered(rate * share / shards, wait, assumed::FULL_ENVELOPE);
        of_events += events * share / full;
        bytes += events * share / full * envelope_bytes(measured, full);
    }
    let slots = SECONDS / assumed::SLOT;
    let of_gauges = slots * shards * (guilds / shards / assumed::FULL_GAUGES).ceil();
    bytes += gauges * measured.gauge_bytes;
    let envelopes = of_events + of_gauges;

    // Each task sends to each partition by itself, and each partition is received from by itself.
    let (of_sender, of_partition) = (envelopes / SECONDS / (tasks * partitions), envelopes / SECONDS / partitions);
    let sent = gathered(of_sender, assumed::COMPANY, assumed::FULL_CALL);
    let received = gathered(of_partition, assumed::RECEIVING, assumed::FULL_CALL);
    // A request carries 64 KB.
    let billed = |together: f64| (together * bytes / envelopes / 65_536.0).ceil().max(1.0);
    let invocations = of_partition.min(assumed::INVOCATIONS_A_SECOND).max(of_partition / assumed::FULL_INVOCATION)
        * partitions
        * SECONDS;
    let (own, message, event) = ingest_parts(measured);
    let ingest_ms = invocations * own + envelopes * message + events * event + gauges * gauge_part(measured);

    let pulse = SECONDS / assumed::TERM;
    // Every task reads all leases, strongly consistent, in units of 4 KB.
    let partition_kb = (shards * assumed::LEASE_BYTES + tasks * 200.0) / 4_096.0;
    let amounts = Amounts {
        guilds,
        events,
        gauges,
        shards,
        tasks,
        partitions,
        envelopes,
        of_events,
        sends: envelopes / sent * billed(sent),
        receives: envelopes / received * billed(received),
        idle_polls: assumed::QUEUES * assumed::POLLERS / assumed::POLL * SECONDS,
        deletes: invocations * (envelopes / invocations / assumed::FULL_CALL).ceil(),
        invocations,
        ingest_ms,
        table_writes: pulse * 3.0 * (shards + tasks),
        table_reads: tasks * (pulse * 5.0 * partition_kb.ceil() + SECONDS / 60.0),
        interactions: guilds * assumed::INTERACTIONS,
        queue_gb: bytes / GB,
        gateway_gb: events * measured.gateway_bytes / GB,
        database_vcpus: (ingest_ms / 1_000.0 / SECONDS * assumed::PEAK / assumed::UTILISATION).ceil().max(2.0),
    };
    let stored_gb = guilds * stored(measured, community, 12.0) / GB;
    let growth_gb = guilds * (stored(measured, community, 14.0) - stored(measured, community, 13.0)) / GB;
    let costs = costs(&amounts, stored_gb);
    Month { amounts, stored_gb, growth_gb, costs }
}

/// Every community at every size.
pub fn months(measured: &Measured) -> impl Iterator<Item = (&'static Community, Vec<Month>)> + '_ {
    COMMUNITIES
        .iter()
        .map(move |community| (community, GUILDS.iter().map(|guilds| month(measured, *guilds, community)).collect()))
}
