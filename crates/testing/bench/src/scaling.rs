//! What a deployment costs, from what was measured, the public prices and stated assumptions.
//!
//! **Invariant:** every number on the page is either measured ([`Measured`]), a price ([`prices`]), an assumption
//! ([`assumed`], [`communities`]) or follows from those by the formula that the page shows ([`model`]); a test writes the
//! page anew and compares.

pub mod assumed;
pub mod communities;
pub mod costs;
pub mod model;
mod page;
pub mod prices;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

use crate::machine::Machine;
use crate::report::Outcome;
use crate::sample::Sample;
use communities::{COMMUNITIES, TABLES, Table};

/// Where the figures behind the committed page are kept.
pub const FILE: &str = "scaling.json";
/// The page.
pub const PAGE: &str = "scaling.md";

/// What was measured: medians of the benchmark `scaling`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    /// Where.
    pub machine: Machine,
    /// The runner's private memory, in MB, by its shards, each of 2,500 guilds.
    pub runner_mb: Vec<(u32, f64)>,
    /// The runner's CPU time for an event, in microseconds, from the socket to the queue.
    pub runner_cpu_us: f64,
    /// Bytes of compressed frames that a countable event comes with.
    pub gateway_bytes: f64,
    /// Bytes of an envelope's message, by the events in it.
    pub envelope_bytes: Vec<(u32, f64)>,
    /// Milliseconds of an invocation of `stats-ingest`, by its messages and the events in each.
    pub ingest_ms: Vec<(u32, u32, f64)>,
    /// The function's CPU time for a million events in full batches, in milliseconds.
    pub ingest_cpu_ms: f64,
    /// Bytes of a gauge on the queue, of 500 in an envelope.
    pub gauge_bytes: f64,
    /// Messages of an invocation of `stats-ingest`, the gauges in each, and its milliseconds.
    pub gauges_ms: (u32, u32, f64),
    /// Bytes that a month of one guild leaves in each table, by community and table.
    pub stored: BTreeMap<String, BTreeMap<String, f64>>,
}

impl Measured {
    /// From a run of the benchmark.
    ///
    /// # Errors
    /// When one of its contestants did not take part.
    pub fn of(outcome: &Outcome) -> Result<Self> {
        let median = |contestant: &str, of: &dyn Fn(&Sample) -> Option<f64>| -> Result<f64> {
            let samples = outcome.samples.iter().find(|(name, _)| name == contestant);
            let (_, samples) = samples.with_context(|| format!("{contestant} was not measured"))?;
            let mut values: Vec<f64> = samples.iter().filter_map(of).collect();
            values.sort_by(f64::total_cmp);
            values.get(values.len() / 2).copied().with_context(|| format!("{contestant} does not say it"))
        };
        let extra = |contestant: &str, name: &'static str| median(contestant, &|sample| sample.extra(name));
        Ok(Self {
            machine: outcome.machine.clone(),
            runner_mb: [(1, "runner, 1 shard"), (2, "runner, 2 shards"), (4, "runner, 4 shards")]
                .into_iter()
                .map(|(shards, name)| Ok((shards, extra(name, "megabytes a shard")? * f64::from(shards))))
                .collect::<Result<_>>()?,
            runner_cpu_us: median("runner, events alone", &Sample::cpu_micros_each)?
                * extra("envelopes", "dispatches")?,
            gateway_bytes: extra("envelopes", "gateway bytes")?,
            envelope_bytes: [(1, "bytes of 1"), (10, "bytes of 10"), (30, "bytes of 30"), (100, "bytes of 100")]
                .into_iter()
                .map(|(events, name)| Ok((events, extra("envelopes", name)?)))
                .collect::<Result<_>>()?,
            ingest_ms: [(1, 1, "ingest, 1 × 1"), (200, 1, "ingest, 200 × 1"), (200, 100, "ingest, 200 × 100")]
                .into_iter()
                .map(|(messages, events, name)| Ok((messages, events, extra(name, "invocation ms")?)))
                .collect::<Result<_>>()?,
            ingest_cpu_ms: median("ingest, 200 × 100", &Sample::cpu_micros_each)? * 1_000.0,
            gauge_bytes: extra("envelopes", "bytes of 500 gauges")? / 500.0,
            gauges_ms: (20, 500, extra("ingest, 20 × 500 gauges", "invocation ms")?),
            stored: COMMUNITIES
                .iter()
                .map(|community| {
                    let of = |table: &Table| Ok((table.name.to_owned(), extra(community.name, table.name)?));
                    Ok((community.name.to_owned(), TABLES.iter().map(of).collect::<Result<_>>()?))
                })
                .collect::<Result<_>>()?,
        })
    }

    /// The bytes that a month of one guild of a community leaves in a table.
    pub fn stored(&self, community: &str, table: &str) -> f64 {
        self.stored.get(community).and_then(|tables| tables.get(table)).copied().unwrap_or_default()
    }

    /// Reads what [`write`] kept.
    ///
    /// # Errors
    /// When it is not there, or unreadable.
    pub fn load(docs: &Path) -> Result<Self> {
        let path = docs.join(FILE);
        let text = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        serde_json::from_slice(&text).with_context(|| format!("{} is unreadable", path.display()))
    }

    /// The page.
    pub fn page(&self) -> String {
        page::render(self)
    }
}

/// Writes the page, and the figures behind it beside it.
///
/// # Errors
/// When it cannot be written.
pub fn write(measured: &Measured, docs: &Path) -> Result<()> {
    let json = serde_json::to_string_pretty(measured)? + "\n";
    for (name, text) in [(FILE, json), (PAGE, measured.page())] {
        let path = docs.join(name);
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}
