//! Prices of the region us-east-1, from AWS's public price pages, in US dollars, without free tiers, credits or savings plans.
//!
//! They are assumptions like any other: check them against the pages before you budget.

/// When they were looked up.
pub const AS_OF: &str = "November 2025";

/// Lambda on arm64, a gigabyte for a second.
pub const LAMBDA_GB_SECOND: f64 = 0.000_013_333_4;
/// Lambda, a million invocations.
pub const LAMBDA_MILLION: f64 = 0.20;
/// SQS, a million requests to standard queues; a request is up to 64 KB of messages.
pub const SQS_MILLION: f64 = 0.40;
/// Fargate on arm64, a vCPU for an hour.
pub const FARGATE_VCPU_HOUR: f64 = 0.032_38;
/// Fargate on arm64, a gigabyte for an hour.
pub const FARGATE_GB_HOUR: f64 = 0.003_56;
/// DynamoDB on demand, a million writes of up to 1 KB.
pub const DYNAMODB_MILLION_WRITES: f64 = 0.625;
/// API Gateway, a million calls of a REST API.
pub const API_MILLION: f64 = 3.50;
/// A NAT gateway for an hour.
pub const NAT_HOUR: f64 = 0.045;
/// A gigabyte through it.
pub const NAT_GB: f64 = 0.045;
/// A node of the cache (`cache.t4g.micro`, Valkey) for an hour.
pub const CACHE_HOUR: f64 = 0.012_8;
/// CloudWatch, a gigabyte of logs taken in.
pub const LOGS_GB: f64 = 0.50;
/// RDS for PostgreSQL, a vCPU of a `db.m7g` with 4 GB of memory for an hour; a database elsewhere has its own price.
pub const DATABASE_VCPU_HOUR: f64 = 0.084;
/// RDS, a gigabyte of gp3 for a month.
pub const DATABASE_GB_MONTH: f64 = 0.115;
/// Secrets, CloudFront, alarms and the like: a flat sum for a month.
pub const SUNDRIES_MONTH: f64 = 10.0;
