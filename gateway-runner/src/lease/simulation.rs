//! The lease protocol, simulated: several runners over a table with conditional writes, in one thread and without a clock.
//!
//! Requests and answers take their time and are lost, the table goes away, runners freeze, die and come back, and their
//! clocks run at different rates. What is driven is what decides in the product: [`Observer`], its plan, and [`State`].
//!
//! **Invariant:** the same seed plays the same run.

mod runner;
mod world;

use std::collections::BTreeMap;

use world::World;

/// Runs that are played; a few seconds in all.
const RUNS: u64 = 1_000;

/// SplitMix64: small, and the same everywhere.
pub(super) struct Dice(u64);

impl Dice {
    pub(super) fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % sides.max(1)
    }

    /// Once in so many times.
    pub(super) fn chance(&mut self, once_in: u64) -> bool {
        self.roll(once_in) == 0
    }
}

#[test]
fn no_two_runners_may_connect_a_shard_and_none_stays_without_one() {
    let mut seen = BTreeMap::new();
    for seed in 0..RUNS {
        let mut world = World::new(seed);
        world.play();
        for (what, count) in world.seen {
            *seen.entry(what).or_insert(0_u64) += count;
        }
    }
    // A simulation in which nothing happens proves nothing.
    for what in [
        "refused",
        "lost",
        "frozen",
        "crashed",
        "outage",
        "expired",
        "handed over",
        "next",
        "complete",
        "closed for good",
    ] {
        assert!(seen.get(what).is_some_and(|count| *count > RUNS / 20), "{what} is rare: {seen:?}");
    }
}

#[test]
fn a_seed_plays_the_same_run_again() {
    for seed in 0..20 {
        let play = || {
            let mut world = World::new(seed);
            world.play();
            world.seen
        };
        assert_eq!(play(), play());
    }
}
