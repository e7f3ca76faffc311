//! crates/queue
