//! What a benchmark is made of.

use anyhow::Result;

use crate::{Contestant, Figure, Setup};

/// One comparison: contestants that do the same work, and the figures that are read from it.
#[derive(Debug, Clone, Copy)]
pub struct Benchmark {
    /// Its place in the documentation.
    pub number: u8,
    /// What `cargo xtask bench` calls it.
    pub name: &'static str,
    /// What is measured, in a sentence.
    pub what: &'static str,
    /// What a reader of the figures must know: how the limit is made, why a target is out of reach.
    pub note: &'static str,
    /// The project's programs that are started, by the names of their binaries; built before the run.
    pub binaries: &'static [&'static str],
    /// Whether those binaries are built as they are deployed, not with the quicker profile.
    pub as_deployed: bool,
    /// What is read from the samples.
    pub figures: fn() -> Vec<Figure>,
    /// Makes the contestants, in the order in which they take turns.
    pub prepare: fn(&Setup) -> Result<Vec<Contestant>>,
}
