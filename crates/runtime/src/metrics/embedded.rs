//! Metrics in CloudWatch's embedded format (Amazon CloudWatch documentation, "Embedded metric format specification").
//!
//! A document holds the figures of all series whose labels agree, each set of labels a directive of its own; what an
//! invocation recorded is one document as a rule, and always one write.
//!
//! **Invariant:** a figure is written once, by the invocation that recorded it. A gauge that an invocation did not
//! measure is not written for it: what it was before says nothing of now.
//! **Invariant:** recording never waits for writing, nor for the output.

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use guildhall_domain::Clock;
use metrics::{Counter, CounterFn, Gauge, GaugeFn, Histogram, HistogramFn, Key, KeyName, Metadata, SharedString, Unit};

mod document;

use document::Documents;

/// The most values of a metric in one document, and metrics of a directive.
const FULL: usize = 100;
/// The most values that a histogram keeps for one invocation. Nothing records a tenth of it; what is beyond is dropped.
const MOST_VALUES: usize = 10_000;

/// A recorder whose figures wait to be written.
pub struct Embedded {
    stack: Option<String>,
    clock: Clock,
    units: Mutex<BTreeMap<String, Unit>>,
    series: Mutex<BTreeMap<Key, Slot>>,
}

enum Slot {
    Counter(Arc<Total>),
    Gauge(Arc<Level>),
    Histogram(Arc<Values>),
}

/// A counter, and how much of it was written.
#[derive(Default)]
struct Total {
    counted: AtomicU64,
    written: AtomicU64,
}

/// A gauge, and whether it was measured since it was written.
#[derive(Default)]
struct Level {
    bits: AtomicU64,
    measured: AtomicBool,
}

#[derive(Default)]
struct Values(Mutex<Vec<f64>>);

impl Embedded {
    /// A recorder that names this stack in everything it writes.
    pub fn new(stack: Option<String>, clock: Clock) -> Self {
        Self { stack, clock, units: Mutex::default(), series: Mutex::default() }
    }

    /// Writes what was recorded since the last time, a document on each line.
    ///
    /// # Errors
    /// When `output` does not take it; the figures are lost then.
    pub fn write(&self, mut output: impl Write) -> std::io::Result<()> {
        let mut documents = Documents::default();
        let series = held(&self.series);
        for (key, slot) in series.iter() {
            slot.take(|values| documents.add(key, values));
        }
        if documents.is_empty() {
            return Ok(());
        }
        let mut text = Vec::with_capacity(1_024);
        documents.write(&mut text, self.clock.now(), self.stack.as_deref(), &held(&self.units))?;
        drop(series);
        output.write_all(&text)?;
        output.flush()
    }

    fn slot<T>(&self, key: &Key, new: impl FnOnce() -> Slot, of: impl FnOnce(&Slot) -> Option<T>) -> Option<T> {
        let mut series = held(&self.series);
        if let Some(slot) = series.get(key) {
            return of(slot);
        }
        of(series.entry(key.clone()).or_insert_with(new))
    }

    fn describe(&self, name: &KeyName, unit: Option<Unit>) {
        if let Some(unit) = unit {
            held(&self.units).insert(name.as_str().to_owned(), unit);
        }
    }
}

/// Figures are whole after each statement, so that a panic elsewhere does not spoil them.
fn held<T>(lock: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    lock.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Slot {
    /// Hands over what is new, if anything is.
    fn take(&self, into: impl FnOnce(Vec<f64>)) {
        match self {
            Self::Counter(total) => {
                let counted = total.counted.load(Ordering::Relaxed);
                let new = counted.saturating_sub(total.written.swap(counted, Ordering::Relaxed));
                if new > 0 {
                    #[expect(clippy::cast_precision_loss, reason = "what one invocation counts is far below 2^52")]
                    into(vec![new as f64]);
                }
            }
            Self::Gauge(level) => {
                if level.measured.swap(false, Ordering::Acquire) {
                    into(vec![f64::from_bits(level.bits.load(Ordering::Relaxed))]);
                }
            }
            Self::Histogram(values) => {
                let values = std::mem::take(&mut *held(&values.0));
                if !values.is_empty() {
                    into(values);
                }
            }
        }
    }
}

impl CounterFn for Total {
    fn increment(&self, value: u64) {
        self.counted.fetch_add(value, Ordering::Relaxed);
    }

    fn absolute(&self, value: u64) {
        self.counted.fetch_max(value, Ordering::Relaxed);
    }
}

impl Level {
    fn change(&self, change: impl Fn(f64) -> f64) {
        let change = |bits| Some(change(f64::from_bits(bits)).to_bits());
        // The closure always has a value, so the update always succeeds.
        let _before = self.bits.fetch_update(Ordering::Relaxed, Ordering::Relaxed, change);
        self.measured.store(true, Ordering::Release);
    }
}

impl GaugeFn for Level {
    fn increment(&self, value: f64) {
        self.change(|level| level + value);
    }

    fn decrement(&self, value: f64) {
        self.change(|level| level - value);
    }

    fn set(&self, value: f64) {
        self.change(|_| value);
    }
}

impl HistogramFn for Values {
    fn record(&self, value: f64) {
        let mut values = held(&self.0);
        if values.len() < MOST_VALUES {
            values.push(value);
        }
    }
}

/// A name belongs to one kind (the catalogue says which); whoever uses it for another records nothing.
impl metrics::Recorder for Embedded {
    fn describe_counter(&self, name: KeyName, unit: Option<Unit>, _: SharedString) {
        self.describe(&name, unit);
    }

    fn describe_gauge(&self, name: KeyName, unit: Option<Unit>, _: SharedString) {
        self.describe(&name, unit);
    }

    fn describe_histogram(&self, name: KeyName, unit: Option<Unit>, _: SharedString) {
        self.describe(&name, unit);
    }

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        let total = self.slot(
            key,
            || Slot::Counter(Arc::default()),
            |slot| match slot {
                Slot::Counter(total) => Some(Arc::clone(total)),
                _ => None,
            },
        );
        total.map_or_else(Counter::noop, Counter::from_arc)
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        let level = self.slot(
            key,
            || Slot::Gauge(Arc::default()),
            |slot| match slot {
                Slot::Gauge(level) => Some(Arc::clone(level)),
                _ => None,
            },
        );
        level.map_or_else(Gauge::noop, Gauge::from_arc)
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        let values = self.slot(
            key,
            || Slot::Histogram(Arc::default()),
            |slot| match slot {
                Slot::Histogram(values) => Some(Arc::clone(values)),
                _ => None,
            },
        );
        values.map_or_else(Histogram::noop, Histogram::from_arc)
    }
}

#[cfg(test)]
mod tests;
