//! Benchmarks: each figure beside the machine's limit and beside its peers, measured in the same run.
//!
//! A [`Benchmark`] prepares [`Contestant`]s. The [runner](run) lets each do a share of work, one after the other, round
//! after round, so that whatever else the machine does befalls all of them. [`Figure`]s are then read from the samples:
//! ours, the limit's, the peers', with the ratios that are claimed.
//!
//! **Invariant:** contestants that compute something state it, and a round in which two of them disagree is a failure,
//! not a figure.
//! **Invariant:** nothing here judges by time in a test: `cargo test` runs tiny rounds and compares what was computed.

pub mod benchmark;
pub mod benchmarks;
pub mod contestant;
pub mod cpu;
pub mod database;
pub mod digest;
pub mod figure;
pub mod function;
pub mod machine;
pub mod peer;
pub mod recording;
pub mod replay;
pub mod report;
pub mod run;
pub mod sample;
pub mod scaling;
pub mod setup;
pub mod traffic;

pub use benchmark::Benchmark;
pub use contestant::{Contestant, Scale};
pub use figure::{Better, Claim, Figure};
pub use peer::Peer;
pub use sample::{Sample, Stopwatch};
pub use setup::Setup;
