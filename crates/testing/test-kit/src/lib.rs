//! crates/testing/test-kit
