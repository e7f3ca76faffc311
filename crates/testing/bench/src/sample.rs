//! What one contestant did in one round.

use std::collections::BTreeMap;
use std::time::Duration;

use rustix::time::{ClockId, Timespec, clock_gettime};
use serde::{Deserialize, Serialize};

/// Work done and what it took. Also what a peer in another language writes, as one line of JSON.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// Operations done.
    pub ops: u64,
    /// Wall time of all of them, in nanoseconds.
    pub wall_ns: u64,
    /// CPU time of all of them, in nanoseconds, of every process that belongs to the contestant.
    pub cpu_ns: u64,
    /// Bytes of what was made, where that is measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// What was computed; equal for all contestants of a round that state it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<String>,
    /// Whatever else was measured, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub extra: BTreeMap<String, f64>,
}

#[expect(clippy::cast_precision_loss, reason = "figures have three digits")]
impl Sample {
    /// Operations per second of wall time.
    pub fn per_second(&self) -> Option<f64> {
        ratio(self.ops as f64 * 1e9, self.wall_ns as f64)
    }

    /// Operations per second of CPU time: the rate of one core that does nothing else.
    pub fn per_cpu_second(&self) -> Option<f64> {
        ratio(self.ops as f64 * 1e9, self.cpu_ns as f64)
    }

    /// Microseconds of wall time for one operation.
    pub fn micros_each(&self) -> Option<f64> {
        ratio(self.wall_ns as f64 / 1e3, self.ops as f64)
    }

    /// Microseconds of CPU time for one operation.
    pub fn cpu_micros_each(&self) -> Option<f64> {
        ratio(self.cpu_ns as f64 / 1e3, self.ops as f64)
    }

    /// Milliseconds of wall time for one operation.
    pub fn millis_each(&self) -> Option<f64> {
        ratio(self.wall_ns as f64 / 1e6, self.ops as f64)
    }

    /// Bytes for one operation.
    pub fn bytes_each(&self) -> Option<f64> {
        ratio(self.bytes? as f64, self.ops as f64)
    }

    /// Something else that was measured.
    pub fn extra(&self, name: &str) -> Option<f64> {
        self.extra.get(name).copied()
    }

    /// The sample, with what was computed.
    #[must_use]
    pub fn answering(mut self, answer: impl Into<String>) -> Self {
        self.answer = Some(answer.into());
        self
    }

    /// The sample, with the bytes of what was made.
    #[must_use]
    pub fn with_bytes(mut self, bytes: u64) -> Self {
        self.bytes = Some(bytes);
        self
    }

    /// The sample, with something else that was measured.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, value: f64) -> Self {
        self.extra.insert(name.into(), value);
        self
    }
}

fn ratio(dividend: f64, divisor: f64) -> Option<f64> {
    (divisor > 0.0).then(|| dividend / divisor)
}

/// Measures wall time and the CPU time of this process.
#[derive(Debug, Clone, Copy)]
pub struct Stopwatch {
    wall: Duration,
    cpu: Duration,
}

impl Stopwatch {
    /// Begins.
    pub fn start() -> Self {
        Self { wall: now(ClockId::Monotonic), cpu: now(ClockId::ProcessCPUTime) }
    }

    /// Wall time since the start.
    pub fn wall(self) -> Duration {
        now(ClockId::Monotonic).saturating_sub(self.wall)
    }

    /// Since the start, for this many operations, with the CPU time of this process.
    pub fn sample(self, ops: u64) -> Sample {
        // The CPU's clock first: reading the other is then not counted.
        let cpu = now(ClockId::ProcessCPUTime).saturating_sub(self.cpu);
        self.sample_of(ops, cpu)
    }

    /// Since the start, for this many operations, with a CPU time that was measured elsewhere.
    pub fn sample_of(self, ops: u64, cpu: Duration) -> Sample {
        Sample { ops, wall_ns: nanos(self.wall()), cpu_ns: nanos(cpu), ..Sample::default() }
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

fn now(clock: ClockId) -> Duration {
    let Timespec { tv_sec, tv_nsec } = clock_gettime(clock);
    Duration::new(tv_sec.unsigned_abs(), u32::try_from(tv_nsec).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_per_operation() {
        let sample = Sample { ops: 4, wall_ns: 8_000, cpu_ns: 4_000, bytes: Some(10), ..Sample::default() };
        assert_eq!(sample.per_second(), Some(500_000.0));
        assert_eq!(sample.per_cpu_second(), Some(1_000_000.0));
        assert_eq!((sample.micros_each(), sample.cpu_micros_each()), (Some(2.0), Some(1.0)));
        assert_eq!(sample.bytes_each(), Some(2.5));
        assert_eq!(Sample::default().per_second(), None);
    }

    #[test]
    fn a_peers_line_may_leave_out_what_it_did_not_measure() {
        let sample: Sample = serde_json::from_str(r#"{"ops":1,"wall_ns":2,"cpu_ns":3}"#).expect("a sample");
        assert_eq!(sample, Sample { ops: 1, wall_ns: 2, cpu_ns: 3, ..Sample::default() });
    }
}
