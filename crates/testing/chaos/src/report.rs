//! What came of each fault, and the table of all.

use std::fmt;
use std::time::Duration;

/// What came of a fault that was staged to its end.
#[derive(Debug, Clone, Default)]
pub struct Outcome {
    /// Events a second that the double dispatched while there was traffic.
    pub rate: f64,
    /// Events the double dispatched.
    pub sent: u64,
    /// Events the database counted.
    pub counted: u64,
    /// Events that are missing, all of them inside gaps unless there are deviations.
    pub missing: u64,
    /// Coverage gaps.
    pub gaps: usize,
    /// IDENTIFYs.
    pub identifies: u64,
    /// From the fault's end until everything critical or high that was sent was counted.
    pub recovery: Option<Duration>,
    /// What was measured besides.
    pub note: String,
    /// What should not be so.
    pub deviations: Vec<String>,
}

impl Outcome {
    /// Adds what was measured besides.
    #[must_use]
    pub fn noting(mut self, note: impl Into<String>) -> Self {
        self.note = note.into();
        self
    }

    /// Adds a deviation unless `holds`.
    #[must_use]
    pub fn asserting(mut self, holds: bool, otherwise: impl FnOnce() -> String) -> Self {
        if !holds {
            self.deviations.push(otherwise());
        }
        self
    }
}

/// One line of the table.
#[derive(Debug)]
pub struct Row {
    /// The fault.
    pub fault: &'static str,
    /// How long it took in all.
    pub took: Duration,
    /// What came of it.
    pub result: anyhow::Result<Outcome>,
}

impl Row {
    /// Whether all is as it should be.
    pub fn is_good(&self) -> bool {
        self.result.as_ref().is_ok_and(|outcome| outcome.deviations.is_empty())
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let took = self.took.as_secs_f64();
        match &self.result {
            Ok(outcome) => {
                let recovery = outcome.recovery.map_or_else(|| "-".to_owned(), |r| format!("{:.1} s", r.as_secs_f64()));
                let verdict = if self.is_good() { "exact" } else { "DEVIATES" };
                write!(
                    f,
                    "| {:<20} | {:>8.0} | {:>9} | {:>9} | {:>7} | {:>4} | {:>10} | {:>9} | {:>6.0} s | {:<8} | {}",
                    self.fault,
                    outcome.rate,
                    outcome.sent,
                    outcome.counted,
                    outcome.missing,
                    outcome.gaps,
                    outcome.identifies,
                    recovery,
                    took,
                    verdict,
                    outcome.note,
                )?;
                outcome.deviations.iter().try_for_each(|deviation| write!(f, "\n    {deviation}"))
            }
            Err(error) => write!(f, "| {:<20} | FAILED after {took:.0} s: {error:#}", self.fault),
        }
    }
}

/// The table's head.
pub const HEAD: &str = "\
| fault                | events/s |      sent |   counted | missing | gaps | identifies |  recovery |     took | verdict  | note
|----------------------|---------:|----------:|----------:|--------:|-----:|-----------:|----------:|---------:|----------|-----";
