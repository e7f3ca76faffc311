//! The page `docs/scaling.md`.

use std::fmt::{Result, Write as _};

use super::communities::{COMMUNITIES, TABLES};
use super::model::{self, Month};
use super::{Measured, assumed, prices};

pub(super) fn render(measured: &Measured) -> String {
    let mut page = String::new();
    // Writing into a string cannot fail.
    let _written = write_page(&mut page, measured);
    page
}

fn write_page(page: &mut String, measured: &Measured) -> Result {
    page.push_str(include_str!("head.md"));
    write_measured(page, measured)?;
    write_stored(page, measured)?;
    write_assumed(page)?;
    page.push_str(include_str!("formula.md"));
    page.push_str("\n## A month\n\nOf a deployment that is a year old.\n");
    for (community, months) in model::months(measured) {
        write!(page, "\n### {}: {} events of a guild\n\n", community.name, thousands(float(community.events)))?;
        write_months(page, &months)?;
    }
    page.push_str(include_str!("foot.md"));
    Ok(())
}

fn write_measured(page: &mut String, measured: &Measured) -> Result {
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
    row("a gauge on the queue, of 500 in an envelope", format!("{:.1} bytes", measured.gauge_bytes))?;
    for (messages, events, millis) in &measured.ingest_ms {
        row(&format!("invocation of stats-ingest, {messages} × {events} events"), format!("{millis:.2} ms"))?;
    }
    let (messages, gauges, millis) = measured.gauges_ms;
    row(&format!("invocation of stats-ingest, {messages} × {gauges} gauges"), format!("{millis:.2} ms"))?;
    let gauge = model::gauge_part(measured) * 1_000.0;
    let parts = format!(
        "{invocation:.2} ms + {message:.3} ms a message + {:.1} µs an event or {gauge:.1} µs a gauge",
        event * 1_000.0
    );
    row("so an invocation takes", parts)?;
    let full = 1e6 / assumed::FULL_ENVELOPE;
    row("**for a million events in full batches**", String::new())?;
    row("SQS calls (sent, received, deleted)", thousands(3.0 * full / assumed::FULL_CALL))?;
    row("bytes on the queue", thousands(full * model::envelope_bytes(measured, assumed::FULL_ENVELOPE)))?;
    let millis = full / assumed::FULL_INVOCATION * invocation + full * message + 1e6 * event;
    row("Lambda milliseconds", format!("{}, of which {} of CPU", thousands(millis), thousands(measured.ingest_cpu_ms)))
}

fn write_stored(page: &mut String, measured: &Measured) -> Result {
    page.push_str(include_str!("stored.md"));
    let columns: Vec<_> = COMMUNITIES.iter().collect();
    write!(page, "| table |")?;
    columns.iter().try_for_each(|of| write!(page, " {}, {} events |", of.name, thousands(float(of.events))))?;
    write!(page, " kept |\n|---|")?;
    columns.iter().try_for_each(|_| write!(page, "---:|"))?;
    writeln!(page, "---|")?;
    let mut row = |name: &str, value: &dyn Fn(usize) -> String, kept: &str| -> Result {
        write!(page, "| {name} |")?;
        (0..columns.len()).try_for_each(|column| write!(page, " {} |", value(column)))?;
        writeln!(page, " {kept} |")
    };
    for table in TABLES {
        let kilobytes = |column: usize| thousands(measured.stored(columns[column].name, table.name) / 1e3);
        row(&format!("`{}`", table.name), &kilobytes, table.retention)?;
    }
    let sum = |column: usize, tables: &dyn Fn(&str) -> bool| -> f64 {
        let of = |table: &str| measured.stored(columns[column].name, table);
        TABLES.iter().filter(|table| tables(table.name)).map(|table| of(table.name)).sum()
    };
    row("in all", &|column| thousands(sum(column, &|_| true) / 1e3), "")?;
    let of_events = |name: &str| !["gauges", "metrics_snapshots"].contains(&name);
    let each = |column: usize| format!("{:.0} bytes", sum(column, &of_events) / float(columns[column].events));
    row("for an event, without gauges and snapshots", &each, "")?;
    for months in [1.0, 12.0, 36.0] {
        let megabytes = |column: usize| format!("{:.2} MB", model::stored(measured, columns[column], months) / 1e6);
        row(&format!("a guild after {months} months"), &megabytes, "")?;
    }
    Ok(())
}

fn write_assumed(page: &mut String) -> Result {
    write!(page, "\n## Assumed\n\n")?;
    let mut row = |what: &str, value: String| writeln!(page, "| {what} | {value} |");
    row("what", "value".to_owned())?;
    row("---", "---".to_owned())?;
    for of in COMMUNITIES {
        let value = format!(
            "{} countable events in a month, in {} channels, by {} members; the mean over all guilds",
            thousands(float(of.events)),
            of.channels,
            thousands(float(of.members))
        );
        row(&format!("a guild, {}", of.name), value)?;
    }
    for (class, share, wait) in assumed::CLASSES {
        row(
            &format!("events of class {class}"),
            format!("{} %; an envelope waits {wait} s for company", share * 100.0),
        )?;
    }
    let shard = format!("{}, which leaves room until the next resharding", thousands(assumed::GUILDS_A_SHARD));
    row("guilds of a shard", shard)?;
    let (vcpus, memory, disk) = assumed::TASK;
    let task = format!(
        "{vcpus} vCPU, {memory} GB, {disk} GB of disk, at most {} shards; {} tasks at least",
        assumed::SHARDS_A_TASK,
        assumed::LEAST_TASKS
    );
    row("a task of the runner", task)?;
    let peak =
        format!("{} times the mean; at most {} % of a core are used then", assumed::PEAK, assumed::UTILISATION * 100.0);
    row("the busiest hour", peak)?;
    let company = format!("{} s in the runner, {} s in the queue", assumed::COMPANY, assumed::RECEIVING);
    row("messages gather in front of a call for", company)?;
    let polls = format!("by {} pollers, each of which waits {} s for a message", assumed::POLLERS, assumed::POLL);
    row(&format!("each of the {} queues is polled", assumed::QUEUES), polls)?;
    let source = format!(
        "begins at most {} invocations a second of a partition unless they are full",
        assumed::INVOCATIONS_A_SECOND
    );
    row("an event source", source)?;
    let leases = format!(
        "{} s; leases and heartbeats are written three times a term, and read all together five times by each task",
        assumed::TERM
    );
    row("the term of a lease", leases)?;
    row("a lease's item", format!("{} bytes", assumed::LEASE_BYTES))?;
    let interactions = format!(
        "{}, each {} ms of 1 GB, with an answer of {} bytes",
        assumed::INTERACTIONS,
        assumed::INTERACTION_MS,
        thousands(assumed::ANSWER_BYTES)
    );
    row("interactions of a guild in a month", interactions)?;
    let logs = format!(
        "{} bytes of an invocation, {} MB of a task in a month",
        thousands(assumed::LOG_BYTES),
        assumed::TASK_LOG_BYTES / 1e6
    );
    row("logs", logs)?;
    let watching = format!("{} series, {} alarms, {} secrets", assumed::SERIES, assumed::ALARMS, assumed::SECRETS);
    row("CloudWatch and Secrets Manager", watching)?;
    row("NAT gateways", format!("{}, with a public address each", assumed::NAT_GATEWAYS))?;
    write!(
        page,
        "\nPrices of us-east-1 in dollars, on demand, no free tiers, from AWS's price pages as of {} (which page is beside \
         each in `crates/testing/bench/src/scaling/prices.rs`):\n\n| what | price |\n|---|---:|\n",
        prices::AS_OF
    )?;
    prices::ALL.iter().try_for_each(|(what, price)| writeln!(page, "| {what} | ${price} |"))
}

fn write_months(page: &mut String, months: &[Month]) -> Result {
    write!(page, "| |")?;
    model::GUILDS.iter().try_for_each(|guilds| write!(page, " {} guilds |", thousands(*guilds)))?;
    write!(page, "\n|---|")?;
    months.iter().try_for_each(|_| write!(page, "---:|"))?;
    writeln!(page)?;
    let mut row = |name: &str, value: &dyn Fn(&Month) -> String| -> Result {
        write!(page, "| {name} |")?;
        months.iter().try_for_each(|month| write!(page, " {} |", value(month)))?;
        writeln!(page)
    };
    let millions = |value: f64| format!("{:.1}", value / 1e6);
    row("events, millions", &|month| thousands(month.amounts.events / 1e6))?;
    row("gauges, millions", &|month| thousands(month.amounts.gauges / 1e6))?;
    row("shards, on tasks", &|month| format!("{} on {}", month.amounts.shards, month.amounts.tasks))?;
    row("events in an envelope, mean", &|month| format!("{:.1}", month.amounts.events / month.amounts.of_events))?;
    row("SQS requests, millions", &|month| millions(month.amounts.requests()))?;
    row("of them sent, received, deleted", &|month| {
        let of = &month.amounts;
        format!("{}, {}, {}", millions(of.sends), millions(of.receives), millions(of.deletes))
    })?;
    row("of them polls that find nothing", &|month| millions(month.amounts.idle_polls))?;
    row("invocations of stats-ingest, millions", &|month| format!("{:.2}", month.amounts.invocations / 1e6))?;
    row("their hours", &|month| thousands(month.amounts.ingest_ms / 3.6e6))?;
    row("writes and reads of the coordination table, millions", &|month| {
        format!("{} and {}", millions(month.amounts.table_writes), millions(month.amounts.table_reads))
    })?;
    row("database, vCPU", &|month| month.amounts.database_vcpus.to_string())?;
    row("stored, GB, and growth by the month", &|month| {
        format!("{} and {:.1}", thousands(month.stored_gb), month.growth_gb)
    })?;
    let names: Vec<_> =
        months.first().into_iter().flat_map(|month| month.costs.iter().map(|(name, _)| *name)).collect();
    for (index, name) in names.into_iter().enumerate() {
        row(name, &|month| month.costs.get(index).map_or_else(String::new, |(_, cost)| dollars(*cost)))?;
    }
    row("**a month**", &|month| format!("**{}**", dollars(month.total())))?;
    row("a guild", &|month| format!("${:.4}", month.total() / month.amounts.guilds))?;
    row("a million events", &|month| format!("${:.2}", month.for_a_million()))
}

#[expect(clippy::cast_precision_loss, reason = "millions")]
const fn float(value: u64) -> f64 {
    value as f64
}

fn dollars(amount: f64) -> String {
    if amount < 10.0 { format!("${amount:.2}") } else { format!("${}", thousands(amount)) }
}

fn thousands(value: f64) -> String {
    let whole = format!("{value:.0}");
    let groups: Vec<_> = whole.as_bytes().rchunks(3).rev().map(String::from_utf8_lossy).collect();
    groups.join(",")
}
