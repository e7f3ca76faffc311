//! All benchmarks, in the order of their numbers.

mod interaction;
mod queue;
mod startup;
mod verify;

use crate::Benchmark;

/// Every benchmark there is.
pub const ALL: &[Benchmark] = &[verify::BENCHMARK, interaction::BENCHMARK, startup::BENCHMARK, queue::BENCHMARK];

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
