//! functions/worker
