//! functions/stats-rollup
