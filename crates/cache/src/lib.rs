//! crates/cache
