//! Prices of the region us-east-1 in US dollars, on demand, without free tiers, credits or savings plans, as the pages
//! named beside them had them in [`AS_OF`].
//!
//! They are assumptions like any other: check them against the pages before you budget.

/// When they were looked up.
pub const AS_OF: &str = "November 2025";

/// Lambda on arm64, a gigabyte for a second ("AWS Lambda pricing").
pub const LAMBDA_GB_SECOND: f64 = 0.000_013_333_4;
/// Lambda, a million invocations.
pub const LAMBDA_MILLION: f64 = 0.20;
/// A million requests to standard queues; a request is up to 64 KB of messages ("Amazon SQS pricing").
pub const SQS_MILLION: f64 = 0.40;
/// Fargate on arm64, a vCPU for an hour ("AWS Fargate pricing").
pub const FARGATE_VCPU_HOUR: f64 = 0.032_38;
/// Fargate on arm64, a gigabyte of memory for an hour.
pub const FARGATE_GB_HOUR: f64 = 0.003_56;
/// Fargate, a gigabyte of disk for an hour.
pub const FARGATE_DISK_GB_HOUR: f64 = 0.000_111;
/// Gigabytes of disk that a task has anyway.
pub const FARGATE_DISK_INCLUDED_GB: f64 = 20.0;
/// On demand, a million writes of up to 1 KB ("Amazon DynamoDB pricing").
pub const DYNAMODB_MILLION_WRITES: f64 = 0.625;
/// On demand, a million strongly consistent reads of up to 4 KB.
pub const DYNAMODB_MILLION_READS: f64 = 0.125;
/// A million calls of a REST API ("Amazon API Gateway pricing").
pub const API_MILLION: f64 = 3.50;
/// A gigabyte out to the internet ("Amazon EC2 pricing", data transfer).
pub const OUT_GB: f64 = 0.09;
/// A NAT gateway for an hour ("Amazon VPC pricing").
pub const NAT_HOUR: f64 = 0.045;
/// A gigabyte through it.
pub const NAT_GB: f64 = 0.045;
/// A public IPv4 address for an hour.
pub const ADDRESS_HOUR: f64 = 0.005;
/// A node of the cache (`cache.t4g.micro`, Valkey) for an hour ("Amazon ElastiCache pricing").
pub const CACHE_HOUR: f64 = 0.012_8;
/// A gigabyte of logs taken in ("Amazon CloudWatch pricing").
pub const LOGS_GB: f64 = 0.50;
/// A gigabyte of logs kept for a month.
pub const LOGS_KEPT_GB_MONTH: f64 = 0.03;
/// A series of a metric for a month, of the first ten thousand.
pub const METRIC_MONTH: f64 = 0.30;
/// An alarm for a month.
pub const ALARM_MONTH: f64 = 0.10;
/// A secret for a month ("AWS Secrets Manager pricing").
pub const SECRET_MONTH: f64 = 0.40;
/// RDS for PostgreSQL, a vCPU of a `db.m7g` with 4 GB of memory for an hour; a database elsewhere has its own price
/// ("Amazon RDS for PostgreSQL pricing").
pub const DATABASE_VCPU_HOUR: f64 = 0.084;
/// RDS, a gigabyte of gp3 for a month.
pub const DATABASE_GB_MONTH: f64 = 0.115;

/// All of them, as the page lists them.
pub const ALL: [(&str, f64); 21] = [
    ("Lambda arm64, GB-second", LAMBDA_GB_SECOND),
    ("Lambda, a million invocations", LAMBDA_MILLION),
    ("SQS standard, a million requests of 64 KB", SQS_MILLION),
    ("Fargate arm64, vCPU-hour", FARGATE_VCPU_HOUR),
    ("Fargate arm64, GB-hour", FARGATE_GB_HOUR),
    ("Fargate, GB-hour of disk above 20 GB", FARGATE_DISK_GB_HOUR),
    ("DynamoDB on demand, a million writes", DYNAMODB_MILLION_WRITES),
    ("DynamoDB on demand, a million reads", DYNAMODB_MILLION_READS),
    ("API Gateway REST, a million calls", API_MILLION),
    ("Transfer to the internet, GB", OUT_GB),
    ("NAT gateway, hour", NAT_HOUR),
    ("NAT gateway, GB", NAT_GB),
    ("Public IPv4 address, hour", ADDRESS_HOUR),
    ("Cache, cache.t4g.micro with Valkey, hour", CACHE_HOUR),
    ("CloudWatch logs, GB taken in", LOGS_GB),
    ("CloudWatch logs, GB-month kept", LOGS_KEPT_GB_MONTH),
    ("CloudWatch metrics, a series for a month", METRIC_MONTH),
    ("CloudWatch, an alarm for a month", ALARM_MONTH),
    ("Secrets Manager, a secret for a month", SECRET_MONTH),
    ("Database, RDS db.m7g, vCPU-hour", DATABASE_VCPU_HOUR),
    ("Database, gp3, GB-month", DATABASE_GB_MONTH),
];
