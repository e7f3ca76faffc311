//! What the model assumes. Where the product decides, the file that does is named.

/// The share of events of each class, and how long its buffer waits for company, in seconds (`crates/domain/src/event.rs`).
pub const CLASSES: [(&str, f64, f64); 4] =
    [("critical", 0.01, 0.0), ("high", 0.80, 1.0), ("medium", 0.16, 5.0), ("low", 0.03, 30.0)];
/// The most events of an envelope (`crates/wire/src/envelope.rs`).
pub const FULL_ENVELOPE: f64 = 100.0;
/// The most gauges of an envelope (`gateway-runner/src/batch.rs`).
pub const FULL_GAUGES: f64 = 500.0;
/// Every so many seconds each guild is measured (`gateway-runner/src/gauges.rs`).
pub const SLOT: f64 = 300.0;
/// The most messages of a call (Amazon SQS, "SendMessageBatch").
pub const FULL_CALL: f64 = 10.0;
/// The most messages of an invocation (`infra/functions/stats-ingest.yaml`).
pub const FULL_INVOCATION: f64 = 200.0;
/// The event source's invocations of a partition in a second unless they are full: two at a time, each of which gathers
/// for a second (`infra/functions/stats-ingest.yaml`).
pub const INVOCATIONS_A_SECOND: f64 = 2.0;
/// Partitions of the event queue, at most, and queues with an event source: all of them are polled, also those that
/// nothing is sent to (`infra/queues.yaml`).
pub const PARTITIONS: f64 = 4.0;
/// See [`PARTITIONS`]; one is the work queue.
pub const QUEUES: f64 = 5.0;
/// The pollers that an event source begins with, and the seconds that each waits for a message (AWS Lambda documentation,
/// "Using Lambda with Amazon SQS").
pub const POLLERS: f64 = 5.0;
/// See [`POLLERS`].
pub const POLL: f64 = 20.0;
/// Seconds that a message waits in the runner for others to travel with (`gateway-runner/src/send.rs`).
pub const COMPANY: f64 = 0.01;
/// Seconds that messages gather in a queue between two of the pollers' calls.
pub const RECEIVING: f64 = 0.02;

/// Guilds of a shard: some room below Discord's limit of 2,500 until the next resharding.
pub const GUILDS_A_SHARD: f64 = 2_000.0;
/// Shards of a task of the runner.
pub const SHARDS_A_TASK: f64 = 16.0;
/// vCPUs, gigabytes of memory and of disk of a task (`infra/runner.yaml`).
pub const TASK: (f64, f64, f64) = (1.0, 2.0, 40.0);
/// Tasks at least: one may be lost.
pub const LEAST_TASKS: f64 = 2.0;
/// The busiest hour beside the mean.
pub const PEAK: f64 = 3.0;
/// How much of a core may be used at the peak.
pub const UTILISATION: f64 = 0.5;
/// The term of a lease in seconds (`gateway-runner/src/config.rs`). Leases and heartbeats are written three times a term,
/// and all of them are read five times.
pub const TERM: f64 = 10.0;
/// Bytes of a lease's item, the session's record included.
pub const LEASE_BYTES: f64 = 700.0;

/// Interactions of a guild in a month.
pub const INTERACTIONS: f64 = 150.0;
/// What each takes, in milliseconds of a function of 1 GB, the worker's share included.
pub const INTERACTION_MS: f64 = 20.0;
/// Bytes of an answer, the mean over those with and without a picture.
pub const ANSWER_BYTES: f64 = 15_000.0;
/// Memory of `stats-ingest` in gigabytes (`infra/functions/stats-ingest.yaml`).
pub const INGEST_GB: f64 = 1.0;
/// Bytes that an invocation leaves in the logs, Lambda's own lines and the figures included.
pub const LOG_BYTES: f64 = 2_000.0;
/// Bytes that a task of the runner logs in a month.
pub const TASK_LOG_BYTES: f64 = 50e6;
/// Series that functions write for CloudWatch: names with all values of their labels (`docs/monitoring.md`).
pub const SERIES: f64 = 120.0;
/// Alarms (`infra/alarms.yaml`).
pub const ALARMS: f64 = 28.0;
/// Secrets of a deployment.
pub const SECRETS: f64 = 4.0;
/// NAT gateways, each with one public address (`NatGateways` of `infra/network.yaml`).
pub const NAT_GATEWAYS: f64 = 1.0;
