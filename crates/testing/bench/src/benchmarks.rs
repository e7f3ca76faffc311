//! All benchmarks, in the order of their numbers.

mod counters;
mod envelopes;
mod frames;
mod ingest;
mod interaction;
mod journal;
mod queue;
mod scaling;
mod shards;
mod startup;
mod verify;

use crate::Benchmark;
pub(crate) use frames::envelopes as envelopes_of;

/// Every benchmark there is.
pub const ALL: &[Benchmark] = &[
    verify::BENCHMARK,
    interaction::BENCHMARK,
    frames::BENCHMARK,
    shards::BENCHMARK,
    envelopes::BENCHMARK,
    ingest::BENCHMARK,
    counters::BENCHMARK,
    journal::BENCHMARK,
    startup::BENCHMARK,
    queue::BENCHMARK,
    scaling::BENCHMARK,
];

/// The benchmark of this name.
pub fn named(name: &str) -> Option<&'static Benchmark> {
    ALL.iter().find(|benchmark| benchmark.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_are_unique_and_in_order() {
        assert!(ALL.windows(2).all(|pair| pair[0].number < pair[1].number));
        for benchmark in ALL {
            assert_eq!(named(benchmark.name).map(|found| found.number), Some(benchmark.number));
        }
    }
}
