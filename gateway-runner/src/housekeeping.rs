//! What is measured and said by nobody else: gauges, the budget of IDENTIFYs as the table has it, and complaints.
//!
//! **Invariant:** nothing waits for it.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior};

use crate::identify::Gate;
use crate::journal::Journal;
use crate::status::Status;
use crate::watch::{Figures, Watch};

/// How often gauges that nobody updates by himself are read.
const EVERY: Duration = Duration::from_secs(5);
/// How often the table is asked for the budget.
const BUDGET_EVERY: Duration = Duration::from_secs(60);

/// Measures the journal and looks for what a person must know, for ever; `upkeep` is the recorder's own.
pub(crate) async fn run(upkeep: impl Fn(), journal: Journal, max_bytes: u64, status: Status) {
    let mut watch = Watch::default();
    let mut tick = tokio::time::interval(EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        upkeep();
        let held = measure(&journal, max_bytes);
        let figures = Figures { journal: (held, max_bytes), ..status.figures() };
        for complaint in watch.look(&figures, Instant::now()) {
            complaint.say();
        }
    }
}

/// Keeps the figure of IDENTIFYs that are left up to date, whoever spends them, for ever.
pub(crate) async fn budget(gate: Arc<Gate>, status: Status) {
    let mut tick = tokio::time::interval(BUDGET_EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        match gate.measure().await {
            Ok(left) => status.identifies_left(left),
            Err(error) => tracing::warn!(error = %error, "how many IDENTIFYs are left is not known"),
        }
    }
}

fn measure(journal: &Journal, max_bytes: u64) -> u64 {
    let free = u64::try_from(journal.free_bytes()).unwrap_or(u64::MAX);
    let held = max_bytes.saturating_sub(free);
    #[expect(clippy::cast_precision_loss, reason = "gauges; a journal stays far below 2^52 bytes")]
    {
        metrics::gauge!("journal_bytes").set(held as f64);
        metrics::gauge!("journal_max_bytes").set(max_bytes as f64);
        metrics::gauge!("queue_depth", "queue" => "journal").set(journal.queue_depth() as f64);
    }
    held
}
