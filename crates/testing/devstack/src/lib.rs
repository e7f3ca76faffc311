//! crates/testing/devstack
