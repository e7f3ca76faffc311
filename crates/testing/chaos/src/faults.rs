//! The faults, by name.
//!
//! **Invariant:** a fault is staged to its end whatever it meets; what should not be so is in its outcome.

mod cache;
mod deliveries;
mod gateway;
mod holders;
mod kills;
mod outages;
mod poison;
mod resharding;

use std::future::Future;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::pin::Pin;

use rand::SeedableRng as _;
use rand::rngs::StdRng;

use crate::report::Outcome;
use crate::scale::Context;

/// What stages a fault.
pub type Run = for<'a> fn(&'a Context) -> Pin<Box<dyn Future<Output = anyhow::Result<Outcome>> + 'a>>;

/// A fault.
#[derive(Clone, Copy)]
pub struct Fault {
    /// Its name.
    pub name: &'static str,
    /// What stages it.
    pub run: Run,
}

macro_rules! faults {
    ($($name:literal => $module:ident::$function:ident,)*) => {
        /// Every fault, in the order of the table.
        pub const ALL: [Fault; [$($name),*].len()] =
            [$(Fault { name: $name, run: |context| Box::pin($module::$function(context, $name)) },)*];
    };
}

faults! {
    "kills" => kills::kills,
    "sqs-away" => outages::sqs_away,
    "database-away" => outages::database_away,
    "dynamodb-away" => outages::dynamodb_away,
    "dynamodb-throttled" => outages::dynamodb_throttled,
    "twice-and-reordered" => deliveries::twice_and_reordered,
    "corrupted" => deliveries::corrupted,
    "killed-after-commit" => deliveries::killed_after_commit,
    "ingest-timeout" => deliveries::ingest_timeout,
    "poison" => poison::poison,
    "invalid-sessions" => gateway::invalid_sessions,
    "reconnect-storm" => gateway::reconnect_storm,
    "fatal-4004" => gateway::fatal_4004,
    "identify-budget" => gateway::identify_budget,
    "frozen-holder" => holders::frozen_holder,
    "clock-skew" => holders::clock_skew,
    "redis-gone" => cache::redis_gone,
    "memory-limit" => holders::memory_limit,
    "disk-full" => holders::disk_full,
    "resharding" => resharding::resharding,
}

/// What mostly waits, longest first: beside others, it begins before them.
pub const LONG: [&str; 3] = ["resharding", "identify-budget", "poison"];

/// Chance, the same for the same seed and fault.
fn chance(context: &Context, name: &str) -> StdRng {
    let mut hasher = DefaultHasher::new();
    (context.scale.seed, name).hash(&mut hasher);
    StdRng::seed_from_u64(hasher.finish())
}
