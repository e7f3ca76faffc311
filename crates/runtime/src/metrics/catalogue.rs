//! Every metric there is: its name, kind, unit, labels, who records it, and what it says.
//!
//! Crates below `runtime` record by name and know nothing of this list. A test reads their sources and this list, and
//! fails for whatever only one of them has; the table of `docs/monitoring.md` is the third that must agree.
//!
//! **Invariant:** a label has few values. What communities make (guilds, channels, members) is never one.

use metrics::Unit;

/// How a metric behaves.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Kind {
    /// It only grows.
    Counter,
    /// It says how things are.
    Gauge,
    /// Values fall into these buckets, named by their upper bounds.
    Histogram(&'static [f64]),
}

impl Kind {
    /// The kind's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram(_) => "histogram",
        }
    }
}

/// Who records a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// The gateway runner, for Prometheus.
    Runner,
    /// Functions: for CloudWatch on Lambda, for Prometheus in the development stack.
    Functions,
    /// The development stack alone; in production AWS measures it.
    Devstack,
}

impl Source {
    /// The source's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Runner => "runner",
            Self::Functions => "functions",
            Self::Devstack => "devstack",
        }
    }
}

/// A metric's declaration.
#[derive(Debug, Clone, Copy)]
pub struct Metric {
    /// Its name, in Prometheus and in CloudWatch.
    pub name: &'static str,
    /// How it behaves.
    pub kind: Kind,
    /// What its values are.
    pub unit: Unit,
    /// Its labels, in order of their names.
    pub labels: &'static [&'static str],
    /// Who records it.
    pub sources: &'static [Source],
    /// What it says.
    pub help: &'static str,
}

/// The label and what keeps its values few.
pub const LABELS: &[(&str, &str)] = &[
    ("call", "the calls of crates/discord"),
    ("class", "the four priority classes"),
    ("code", "Discord's close codes"),
    ("endpoint", "commands, components and modals"),
    ("operation", "the operations of crates/cache"),
    ("outcome", "a handful of words"),
    ("query", "the functions of crates/store"),
    ("queue", "the queues of the template and of the runner"),
    ("reason", "a handful of words"),
    ("shard", "the shards, with the size of their set: 3/16"),
    ("status", "HTTP statuses"),
    ("type", "Discord's dispatches, or kinds of events"),
    ("verdict", "retry or fail"),
];

/// From the cost of one frame to that of a slow transaction, in seconds.
const PROCESSING: &[f64] =
    &[0.000_005, 0.000_02, 0.000_1, 0.000_5, 0.001, 0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0];
/// What somebody waits for: Discord gives up after three seconds.
const WAITING: &[f64] = &[0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 5.0];
/// A statement or a transaction.
const QUERY: &[f64] = &[0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 45.0];

const RUNNER: &[Source] = &[Source::Runner];
const FUNCTIONS: &[Source] = &[Source::Functions];
const BOTH: &[Source] = &[Source::Runner, Source::Functions];
const DEVSTACK: &[Source] = &[Source::Devstack];

const fn counter(
    name: &'static str,
    labels: &'static [&'static str],
    sources: &'static [Source],
    help: &'static str,
) -> Metric {
    Metric { name, kind: Kind::Counter, unit: Unit::Count, labels, sources, help }
}

const fn gauge(
    name: &'static str,
    unit: Unit,
    labels: &'static [&'static str],
    sources: &'static [Source],
    help: &'static str,
) -> Metric {
    Metric { name, kind: Kind::Gauge, unit, labels, sources, help }
}

const fn seconds(
    name: &'static str,
    buckets: &'static [f64],
    labels: &'static [&'static str],
    sources: &'static [Source],
    help: &'static str,
) -> Metric {
    Metric { name, kind: Kind::Histogram(buckets), unit: Unit::Seconds, labels, sources, help }
}

/// All metrics, in the order of the page that explains them.
pub const CATALOGUE: &[Metric] = &[
    // Events, from the gateway to the database.
    counter(
        "events_processed_total",
        &["type"],
        BOTH,
        "Dispatches read by the runner; events taken in by ingest, those included that were counted before",
    ),
    seconds(
        "event_processing_duration_seconds",
        PROCESSING,
        &["type"],
        BOTH,
        "What a dispatch (one in 16 is timed), a batch of ingest or a job of the worker took",
    ),
    counter("projection_errors_total", &["type"], RUNNER, "Dispatches that could not be read and count as nothing"),
    counter("events_dropped_total", &["reason"], RUNNER, "Dispatches that had been read before"),
    counter("events_duplicate_total", &[], FUNCTIONS, "Events that ingest found counted before"),
    counter("coverage_gaps_total", &[], FUNCTIONS, "Reports of coverage gaps taken in by ingest, repetitions included"),
    gauge("ingest_lag_seconds", Unit::Seconds, &[], FUNCTIONS, "Age of the newest event of the last batch counted"),
    gauge("ingest_idle_seconds", Unit::Seconds, &[], FUNCTIONS, "Time since ingest last counted anything"),
    // Shards and sessions.
    gauge("active_shards", Unit::Count, &[], RUNNER, "Shards of this runner that receive events"),
    gauge("shards_leased", Unit::Count, &[], RUNNER, "Shards whose lease this runner holds"),
    gauge("shards_pinned", Unit::Count, &[], RUNNER, "Shards of the set that is pinned"),
    gauge(
        "shards_wanted",
        Unit::Count,
        &[],
        RUNNER,
        "Shards that should receive events, with all runners; while sets change, those of both that are needed",
    ),
    gauge("shards_recommended", Unit::Count, &[], RUNNER, "Shards that Discord recommended when the runner started"),
    gauge("guilds", Unit::Count, &["shard"], RUNNER, "Guilds of a shard; Discord allows 2,500"),
    counter("identifies_total", &[], RUNNER, "IDENTIFYs permitted"),
    counter("identify_refusals_total", &[], RUNNER, "IDENTIFYs refused: no budget, or no coordination table"),
    gauge(
        "identify_budget_remaining",
        Unit::Count,
        &[],
        RUNNER,
        "IDENTIFYs left of the day's, as the table has it; read every minute",
    ),
    gauge(
        "identify_blocked_until_seconds",
        Unit::Seconds,
        &[],
        RUNNER,
        "When the budget of IDENTIFYs begins anew, as a Unix time, after it was found spent",
    ),
    counter("resumes_total", &[], RUNNER, "Sessions resumed"),
    counter("sessions_lost_total", &[], RUNNER, "Sessions that could not be resumed; each leaves a coverage gap"),
    counter(
        "shard_fatal_total",
        &["code"],
        RUNNER,
        "Shards that Discord closed for good, now or as the table remembers it",
    ),
    counter("gateway_errors_total", &[], RUNNER, "Failures to receive from the gateway"),
    counter("lease_lost_total", &[], RUNNER, "Leases lost to another runner"),
    counter("standstills_total", &[], RUNNER, "Times the process stood still for longer than a lease allows"),
    counter("coordination_failures_total", &[], RUNNER, "Failures to read or write the coordination table"),
    counter("reshard_finished_total", &[], RUNNER, "Shards whose guilds have all gone over to a new set"),
    gauge("reshard_guilds_cut", Unit::Count, &["shard"], RUNNER, "Guilds of a shard that have gone over to a new set"),
    gauge(
        "reshard_held_up",
        Unit::Count,
        &["shard"],
        RUNNER,
        "1 while the change of sets waits for a new shard that Discord closed for good, else 0",
    ),
    counter("reshard_gaps_total", &[], RUNNER, "Coverage gaps that a change of sets left"),
    gauge(
        "reshard_identifies_missing",
        Unit::Count,
        &[],
        RUNNER,
        "IDENTIFYs a change of sets was short of when it last had to wait for them",
    ),
    seconds("reshard_write_seconds", QUERY, &[], RUNNER, "What recording a step of a change of sets took"),
    // From the runner to the queue.
    gauge("watermark_lag_events", Unit::Count, &["shard"], RUNNER, "Sequences read and not yet accepted by SQS"),
    gauge("queue_depth", Unit::Count, &["queue"], RUNNER, "Entries waiting in a queue inside the runner"),
    gauge("journal_bytes", Unit::Bytes, &[], RUNNER, "Size of the journal"),
    gauge("journal_max_bytes", Unit::Bytes, &[], RUNNER, "Bound of the journal"),
    gauge("journal_pending", Unit::Count, &["class"], RUNNER, "Envelopes in the journal that SQS has not accepted"),
    gauge("journal_writable", Unit::Count, &[], RUNNER, "1 while the journal can be written, else 0"),
    counter("journal_failures_total", &[], RUNNER, "Failures to read or write the journal"),
    counter("envelopes_sent_total", &[], RUNNER, "Envelopes accepted by SQS"),
    counter("envelopes_set_aside_total", &[], RUNNER, "Envelopes that SQS finds fault with; they are tried again"),
    counter("sqs_send_failures_total", &[], RUNNER, "Calls and envelopes that SQS did not accept"),
    // Requests and jobs.
    counter(
        "api_requests_total",
        &["endpoint", "status"],
        FUNCTIONS,
        "Requests answered; an interaction that fails is a 500 here, although Discord gets its apology with 200",
    ),
    seconds("api_request_duration_seconds", WAITING, &["endpoint"], FUNCTIONS, "What an answer took"),
    counter("delivery_failures_total", &["verdict"], FUNCTIONS, "Messages that were not handled"),
    counter("discord_requests_total", &["call", "outcome"], FUNCTIONS, "Calls of Discord's REST API"),
    // What they need.
    seconds("db_query_duration_seconds", QUERY, &["query"], FUNCTIONS, "What a call of the store took"),
    gauge("db_connections_used", Unit::Count, &[], FUNCTIONS, "Connections of clients to the database"),
    gauge("db_connections_max", Unit::Count, &[], FUNCTIONS, "Connections the database allows"),
    gauge(
        "db_connections_ratio",
        Unit::Count,
        &[],
        FUNCTIONS,
        "The share of them that is used, for CloudWatch's alarm",
    ),
    gauge("snapshots_left", Unit::Count, &[], FUNCTIONS, "Hours whose snapshot waits for the rollup"),
    counter("redis_operations_total", &["operation", "outcome"], FUNCTIONS, "Operations of the cache"),
    gauge("cache_memory_used_bytes", Unit::Bytes, &[], DEVSTACK, "Memory the cache uses"),
    gauge("cache_memory_max_bytes", Unit::Bytes, &[], DEVSTACK, "Memory the cache may use"),
    gauge("queue_messages", Unit::Count, &["queue"], DEVSTACK, "Messages waiting in a queue of SQS"),
];

/// Begins the counters without labels that this source records, so that what has not happened yet is 0 and not missing:
/// Prometheus sees no increase in a series that begins with 1.
pub fn begin(source: Source) {
    for metric in CATALOGUE {
        if metric.kind == Kind::Counter && metric.labels.is_empty() && metric.sources.contains(&source) {
            metrics::counter!(metric.name).absolute(0);
        }
    }
}

/// Tells the recorder in charge about every metric.
pub fn describe() {
    for metric in CATALOGUE {
        match metric.kind {
            Kind::Counter => metrics::describe_counter!(metric.name, metric.unit, metric.help),
            Kind::Gauge => metrics::describe_gauge!(metric.name, metric.unit, metric.help),
            Kind::Histogram(_) => metrics::describe_histogram!(metric.name, metric.unit, metric.help),
        }
    }
}
