//! Bad days, staged: the pipeline from Discord to the database under faults, and its books compared with the sender's.
//!
//! `cargo xtask chaos` runs all of [`faults::ALL`] at full length; the crate's test runs them with outages of seconds.
//! Each fault has a stage of its own ([`stage::Stage`]): a Discord double with at least eight shards, two runners and the
//! ingest functions as real processes, each behind fault proxies ([`proxy::Proxy`]) of its own.
//!
//! **Invariant:** the ledger decides ([`audit`]): it is written by whoever causes an event and shares no code with what it
//! judges.
//! **Invariant:** a fault waits for conditions. The only time that passes by itself is an outage's own length.

pub mod audit;
pub mod engine;
pub mod faults;
pub mod function;
pub mod poison;
pub mod process;
pub mod proxy;
pub mod report;
pub mod scale;
pub mod stage;
pub mod wait;
pub mod watch;
