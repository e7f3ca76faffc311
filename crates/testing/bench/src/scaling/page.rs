//! The page `docs/scaling.md`.

use std::fmt::Write as _;

use super::model::{self, Month};
use super::{Measured, prices};

pub(super) fn render(measured: &Measured) -> String {
    let mut page = String::new();
    // Writing into a string cannot fail.
    let _written = write_page(&mut page, measured);
    page
}

fn write_page(page: &mut String, measured: &Measured) -> std::fmt::Result {
    page.push_str(include_str!("head.md"));
    write_measured(page, measured)?;
    write_assumed(page)?;
    page.push_str(include_str!("formula.md"));
    page.push_str("\n## A month\n");
    for (level, events) in model::LEVELS {
        write!(page, "\n### {level}: {} events of a guild\n\n", thousands(events))?;
        let months: Vec<Month> = model::GUILDS.iter().map(|guilds| model::month(measured, *guilds, events)).collect();
        write_months(page, &months)?;
    }
    page.push_str(include_str!("foot.md"));
    Ok(())
}

fn write_measured(page: &mut String, measured: &Measured) -> std::fmt::Result {
    let machine = &measured.machine;
    let (own, shard) = model::runner_memory(measured);
    let (invocation, message, event) = model::ingest_parts(measured);
    write!(page, "\n## Measured\n\nBy `cargo xtask bench scaling` on {}, {} cores.\n\n", machine.cpu, machine.cores)?;
    let mut row = |what: &str, value: String| writeln!(page, "| {what} | {value} |");
    row("what", "value".to_owned())?;
    row("---", "---:".to_owned())?;
    for (shards, megabytes) in &measured.runner_mb {
        let shards = if *shards == 1 { "1 shard".to_owned() } else { format!("{shards} shards") };
        row(&format!("runner with {shards} of 2,500 guilds"), format!("{megabytes:.1} MB"))?;
    }
    row("so a shard takes", format!("{shard:.1} MB, and the runner itself {own:.1} MB"))?;
    row("CPU of the runner for an event, socket to queue", format!("{:.1} µs", measured.runner_cpu_us))?;
    row("compressed frames for a countable event", format!("{:.0} bytes", measured.gateway_bytes))?;
    for (events, bytes) in &measured.envelope_bytes {
        let each = bytes / f64::from(*events);
        row(&format!("envelope of {events} on the queue"), format!("{bytes:.0} bytes, {each:.1} an event"))?;
    }
    for (messages, events, millis) in &measured.ingest_ms {
        row(&format!("invocation of stats-ingest, {messages} × {events} events"), format!("{millis:.2} ms"))?;
    }
    let parts = format!("{invocation:.2} ms + {message:.3} ms a message + {:.2} µs an event", event * 1_000.0);
    row("so an invocation takes", parts)?;
    row("stored for an event, counters and indexes included", format!("{:.0} bytes", measured.stored_bytes))?;
    let full = 1e6 / model::FULL_ENVELOPE;
    row("**for a million events in full batches**", String::new())?;
    row("SQS calls (sent, received, deleted)", thousands(3.0 * full / model::FULL_CALL))?;
    row("bytes on the queue", thousands(full * model::envelope_bytes(measured, model::FULL_ENVELOPE)))?;
    let millis = full / model::FULL_INVOCATION * invocation + full * message + 1e6 * event;
    row("Lambda milliseconds", format!("{}, of which {} of CPU", thousands(millis), thousands(measured.ingest_cpu_ms)))
}

fn write_assumed(page: &mut String) -> std::fmt::Result {
    write!(page, "\n## Assumed\n\n")?;
    let mut row = |what: &str, value: String| writeln!(page, "| {what} | {value} |");
    row("what", "value".to_owned())?;
    row("---", "---".to_owned())?;
    for (level, events) in model::LEVELS {
        row(
            &format!("countable events of a guild in a month, {level}"),
            format!("{}, the mean over all guilds", thousands(events)),
        )?;
    }
    for (class, share, wait) in model::CLASSES {
        row(
            &format!("events of class {class}"),
            format!("{} %; an envelope waits {wait} s for company", share * 100.0),
        )?;
    }
    row(
        "guilds of a shard",
        format!("{}, which leaves room until the next resharding", thousands(model::GUILDS_A_SHARD)),
    )?;
    row(
        "a task of the runner",
        format!(
            "{} vCPU, {} GB, at most {} shards; {} tasks at least",
            model::TASK.0,
            model::TASK.1,
            model::SHARDS_A_TASK,
            model::LEAST_TASKS
        ),
    )?;
    row(
        "the busiest hour",
        format!("{} times the mean; at most {} % of a core are used then", model::PEAK, model::UTILISATION * 100.0),
    )?;
    row("messages gather for", format!("{} s in front of a call", model::GATHERING))?;
    row("an idle queue is polled", format!("{} times a second", model::IDLE_POLLS))?;
    row(
        "an event source",
        format!(
            "begins at most {} invocations a second of a partition unless they are full",
            model::INVOCATIONS_A_SECOND
        ),
    )?;
    row("a lease is written", format!("{} times a second", model::LEASE_WRITES))?;
    row(
        "interactions of a guild in a month",
        format!("{}, each {} ms of 1 GB", model::INTERACTIONS.0, model::INTERACTIONS.1),
    )?;
    row("raw events are kept", format!("{} month", model::RAW_MONTHS))?;
    write!(page, "\nPrices of us-east-1, {}, on demand, no free tiers:\n\n", prices::AS_OF)?;
    writeln!(page, "| what | price |\n|---|---:|")?;
    let mut row = |what: &str, value: f64| writeln!(page, "| {what} | ${value} |");
    row("Lambda arm64, GB-second", prices::LAMBDA_GB_SECOND)?;
    row("Lambda, a million invocations", prices::LAMBDA_MILLION)?;
    row("SQS standard, a million requests of 64 KB", prices::SQS_MILLION)?;
    row("Fargate arm64, vCPU-hour", prices::FARGATE_VCPU_HOUR)?;
    row("Fargate arm64, GB-hour", prices::FARGATE_GB_HOUR)?;
    row("DynamoDB on demand, a million writes", prices::DYNAMODB_MILLION_WRITES)?;
    row("API Gateway REST, a million calls", prices::API_MILLION)?;
    row("NAT gateway, hour", prices::NAT_HOUR)?;
    row("NAT gateway, GB", prices::NAT_GB)?;
    row("Cache, cache.t4g.micro with Valkey, hour", prices::CACHE_HOUR)?;
    row("CloudWatch logs, GB", prices::LOGS_GB)?;
    row("Database, RDS db.m7g, vCPU-hour", prices::DATABASE_VCPU_HOUR)?;
    row("Database, gp3, GB-month", prices::DATABASE_GB_MONTH)?;
    row("Secrets, CloudFront, alarms: a flat sum for a month", prices::SUNDRIES_MONTH)
}

fn write_months(page: &mut String, months: &[Month]) -> std::fmt::Result {
    let head: Vec<_> = model::GUILDS.iter().map(|guilds| format!("{} guilds", thousands(*guilds))).collect();
    writeln!(page, "| | {} |", head.join(" | "))?;
    writeln!(page, "|---|{}", "---:|".repeat(months.len()))?;
    let mut row = |what: &str, value: &dyn Fn(&Month) -> String| {
        let cells: Vec<_> = months.iter().map(value).collect();
        writeln!(page, "| {what} | {} |", cells.join(" | "))
    };
    row("events, millions", &|month| thousands(month.events / 1e6))?;
    row("shards, on tasks", &|month| format!("{} on {}", month.shards, month.tasks))?;
    row("events in an envelope, mean", &|month| format!("{:.1}", month.events / month.envelopes))?;
    row("SQS requests, millions", &|month| format!("{:.1}", month.requests / 1e6))?;
    row("invocations of stats-ingest, millions", &|month| format!("{:.2}", month.invocations / 1e6))?;
    row("their hours", &|month| thousands(month.ingest_ms / 3.6e6))?;
    row("database, vCPU and GB", &|month| format!("{} and {}", month.database_vcpus, thousands(month.stored_gb)))?;
    let names: Vec<&str> =
        months.first().map(|month| month.costs.iter().map(|(name, _)| *name).collect()).unwrap_or_default();
    for (index, name) in names.iter().enumerate() {
        row(name, &|month| month.costs.get(index).map_or_else(String::new, |(_, cost)| dollars(*cost)))?;
    }
    row("**a month**", &|month| format!("**{}**", dollars(month.total())))?;
    row("a million events", &|month| format!("${:.2}", month.for_a_million()))
}

fn dollars(amount: f64) -> String {
    if amount < 10.0 { format!("${amount:.2}") } else { format!("${}", thousands(amount)) }
}

fn thousands(value: f64) -> String {
    let whole = format!("{value:.0}");
    let groups: Vec<_> = whole.as_bytes().rchunks(3).rev().map(String::from_utf8_lossy).collect();
    groups.join(",")
}
