//! One load at a time for each key.
//!
//! **Invariant:** a flight nobody waits for takes no memory for long: the table is swept when it has doubled.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::MutexGuard;

#[derive(Default)]
pub(crate) struct SingleFlight {
    table: Mutex<Table>,
}

#[derive(Default)]
struct Table {
    flights: HashMap<String, Weak<tokio::sync::Mutex<()>>>,
    sweep_at: usize,
}

/// A place in the queue for one key.
pub(crate) struct Flight(Arc<tokio::sync::Mutex<()>>);

impl SingleFlight {
    pub(crate) fn join(&self, key: String) -> Flight {
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        if table.flights.len() >= table.sweep_at.max(64) {
            table.flights.retain(|_, flight| flight.strong_count() > 0);
            table.sweep_at = table.flights.len() * 2;
        }
        if let Some(flight) = table.flights.get(&key).and_then(Weak::upgrade) {
            return Flight(flight);
        }
        let flight = Arc::default();
        table.flights.insert(key, Arc::downgrade(&flight));
        Flight(flight)
    }
}

impl Flight {
    /// Waits until nobody else loads this key.
    pub(crate) async fn turn(&self) -> MutexGuard<'_, ()> {
        self.0.lock().await
    }
}
