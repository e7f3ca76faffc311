//! crates/testing/discord-double
