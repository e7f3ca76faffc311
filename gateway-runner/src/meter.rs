//! Metrics of the hot path, registered once so that counting a frame costs an atomic addition.
//!
//! **Invariant:** durations are sampled, one frame in [`SAMPLE`]: two clock readings cost as much as a small frame.

use metrics::{Counter, Histogram};
use tokio::time::Instant;

use crate::project::Dispatch;

/// One frame in this many is timed.
pub const SAMPLE: u32 = 16;

struct PerType {
    processed: Counter,
    duration: Histogram,
    errors: Counter,
}

/// The counters of one shard.
pub struct Meter {
    known: Vec<PerType>,
    other: PerType,
    repeated: Counter,
    frames: u32,
}

impl Default for Meter {
    fn default() -> Self {
        let of = |name: &'static str| PerType {
            processed: metrics::counter!("events_processed_total", "type" => name),
            duration: metrics::histogram!("event_processing_duration_seconds", "type" => name),
            errors: metrics::counter!("projection_errors_total", "type" => name),
        };
        Self {
            known: Dispatch::ALL.iter().map(|dispatch| of(dispatch.name())).collect(),
            other: of("OTHER"),
            repeated: metrics::counter!("events_dropped_total", "reason" => "already_read"),
            frames: 0,
        }
    }
}

impl Meter {
    fn of(&self, dispatch: Option<Dispatch>) -> &PerType {
        // `Dispatch::ALL` lists the variants in the order of their discriminants.
        dispatch.and_then(|dispatch| self.known.get(dispatch as usize)).unwrap_or(&self.other)
    }

    /// Begins a frame; gives back an instant when this one is timed.
    pub fn begin(&mut self) -> Option<Instant> {
        self.frames = self.frames.wrapping_add(1);
        self.frames.is_multiple_of(SAMPLE).then(Instant::now)
    }

    /// A dispatch was processed.
    pub fn processed(&self, dispatch: Option<Dispatch>, began: Option<Instant>) {
        let of = self.of(dispatch);
        of.processed.increment(1);
        if let Some(began) = began {
            of.duration.record(began.elapsed().as_secs_f64());
        }
    }

    /// A dispatch of a known type could not be read.
    pub fn unreadable(&self, dispatch: Dispatch) {
        self.of(Some(dispatch)).errors.increment(1);
    }

    /// A dispatch came that had been read before.
    pub fn repeated(&self) {
        self.repeated.increment(1);
    }
}
