//! functions/stats-ingest
