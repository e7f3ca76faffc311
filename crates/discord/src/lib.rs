//! crates/discord
