//! `docs/benchmarks.md`, written from what was measured.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};

use super::{Outcome, Table};
use crate::benchmarks;

const HEAD: &str = include_str!("head.md");

/// Writes the page from the outcomes in `folder`.
///
/// # Errors
/// When nothing was measured, or on different machines, or the page cannot be written.
pub fn write(folder: &Path, page: &Path) -> Result<()> {
    let mut outcomes = Vec::new();
    let mut absent = Vec::new();
    for benchmark in benchmarks::ALL {
        match Outcome::load(folder, benchmark.name)? {
            Some(outcome) => outcomes.push((benchmark, outcome)),
            None => absent.push(format!("`{}`", benchmark.name)),
        }
    }
    let (_, first) = outcomes.first().context("nothing was measured: run `cargo xtask bench` first")?;
    ensure!(
        outcomes.iter().all(|(_, outcome)| outcome.machine == first.machine),
        "the figures are of different machines: measure all of them on one"
    );
    let machine = &first.machine;
    let mut text = format!(
        "{HEAD}\n## The machine\n\n{}, {} cores used, {} MiB of memory, Linux {}; {}, Node.js {}.\n\n",
        machine.cpu, machine.cores, machine.memory_mib, machine.kernel, machine.rustc, machine.node
    );
    write!(text, "## The figures\n\n{}\n", Table::of(outcomes.iter().map(|(_, outcome)| outcome)))?;
    if !absent.is_empty() {
        write!(text, "Not measured on it: {}.\n\n", absent.join(", "))?;
    }
    text.push_str("## What is measured\n");
    for (benchmark, outcome) in &outcomes {
        let (before, after) = outcome.load;
        write!(
            text,
            "\n### {}. `{}`\n\n{}\n\n{}\n\n{} rounds; load average {before:.1} before, {after:.1} at the end.\n",
            benchmark.number, benchmark.name, benchmark.what, benchmark.note, outcome.rounds
        )?;
    }
    fs::write(page, text).with_context(|| format!("cannot write {}", page.display()))
}
