//! From amounts to dollars.

use super::model::HOURS;
use super::{assumed, prices};

const GB: f64 = 1e9;
const MILLION: f64 = 1e6;

/// What there is in a month.
#[derive(Debug, Clone, Default)]
#[expect(missing_docs, reason = "the page names them")]
pub struct Amounts {
    pub guilds: f64,
    pub events: f64,
    pub gauges: f64,
    pub shards: f64,
    pub tasks: f64,
    pub partitions: f64,
    /// In all, and of events alone.
    pub envelopes: f64,
    pub of_events: f64,
    /// Requests to SQS, as they are billed.
    pub sends: f64,
    pub receives: f64,
    pub idle_polls: f64,
    pub deletes: f64,
    pub invocations: f64,
    pub ingest_ms: f64,
    /// Units of the coordination table.
    pub table_writes: f64,
    pub table_reads: f64,
    pub interactions: f64,
    pub queue_gb: f64,
    pub gateway_gb: f64,
    pub database_vcpus: f64,
}

impl Amounts {
    /// Requests to SQS in all.
    pub fn requests(&self) -> f64 {
        self.sends + self.receives + self.idle_polls + self.deletes
    }
}

/// What for, and how many dollars a month.
pub(super) fn costs(of: &Amounts, stored_gb: f64) -> Vec<(&'static str, f64)> {
    let (vcpus, memory, disk) = assumed::TASK;
    let task = vcpus * prices::FARGATE_VCPU_HOUR
        + memory * prices::FARGATE_GB_HOUR
        + (disk - prices::FARGATE_DISK_INCLUDED_GB) * prices::FARGATE_DISK_GB_HOUR;
    let lambda = |count: f64, millis: f64, gb: f64| {
        count / MILLION * prices::LAMBDA_MILLION + millis / 1_000.0 * gb * prices::LAMBDA_GB_SECOND
    };
    let answers_gb = of.interactions * assumed::ANSWER_BYTES / GB;
    let log_bytes = (of.invocations + of.interactions) * assumed::LOG_BYTES + of.tasks * assumed::TASK_LOG_BYTES;
    vec![
        ("runner", of.tasks * HOURS * task),
        ("queue", of.requests() / MILLION * prices::SQS_MILLION),
        ("ingest", lambda(of.invocations, of.ingest_ms, assumed::INGEST_GB)),
        (
            "interactions",
            lambda(of.interactions, of.interactions * assumed::INTERACTION_MS, 1.0)
                + of.interactions / MILLION * prices::API_MILLION
                + answers_gb * prices::OUT_GB,
        ),
        (
            "coordination",
            of.table_writes / MILLION * prices::DYNAMODB_MILLION_WRITES
                + of.table_reads / MILLION * prices::DYNAMODB_MILLION_READS,
        ),
        (
            "network",
            assumed::NAT_GATEWAYS * HOURS * (prices::NAT_HOUR + prices::ADDRESS_HOUR)
                + (of.gateway_gb + of.queue_gb) * prices::NAT_GB,
        ),
        ("database", of.database_vcpus * HOURS * prices::DATABASE_VCPU_HOUR + stored_gb * prices::DATABASE_GB_MONTH),
        ("cache", prices::CACHE_HOUR * HOURS),
        (
            "logs, metrics, alarms, secrets",
            log_bytes / GB * (prices::LOGS_GB + prices::LOGS_KEPT_GB_MONTH)
                + assumed::SERIES * prices::METRIC_MONTH
                + assumed::ALARMS * prices::ALARM_MONTH
                + assumed::SECRETS * prices::SECRET_MONTH,
        ),
    ]
}
