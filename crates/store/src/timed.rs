//! How long the calls of this crate take.

use tokio::time::Instant;

/// A call that is being timed, until this is dropped: also one that fails, or that its caller gives up.
pub(crate) struct Timed {
    query: &'static str,
    began: Instant,
}

impl Timed {
    /// The call with this name begins. Names are few and constant: they are a label.
    pub(crate) fn begin(query: &'static str) -> Self {
        Self { query, began: Instant::now() }
    }
}

impl Drop for Timed {
    fn drop(&mut self) {
        let took = self.began.elapsed().as_secs_f64();
        metrics::histogram!("db_query_duration_seconds", "query" => self.query).record(took);
    }
}
