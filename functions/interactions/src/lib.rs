//! functions/interactions
