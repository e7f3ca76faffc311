//! How large a run is: the full one of the command, the short one.

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use guildhall_domain::Clock;
use guildhall_test_kit::TestDatabase;

/// The longest outage of a full run, which every other duration is scaled with.
pub const LONGEST_OUTAGE: Duration = Duration::from_secs(600);

/// The variable with the path of `libfaketimeMT.so.1`.
pub const FAKETIME: &str = "GUILDHALL_FAKETIME";

/// The size of a run.
#[derive(Debug, Clone)]
pub struct Scale {
    /// Decides traffic, instants and victims.
    pub seed: u64,
    /// How long SQS is away; other outages are in proportion.
    pub outage: Duration,
    /// Things that happen in a second.
    pub events_per_second: f64,
    /// How often a runner is killed.
    pub kills: u32,
    /// Shards.
    pub shards: u32,
    /// Event queues, each with a function of its own.
    pub queues: u32,
    /// How long a lease lasts without being renewed.
    pub lease_term: Duration,
    /// How long anything that must happen may take.
    pub patience: Duration,
    /// Stages that stand side by side.
    pub side_by_side: usize,
    /// Whether every stage gets poison, which takes long to be given up.
    pub poison_everywhere: bool,
}

impl Scale {
    /// As the command runs it.
    pub const fn full(seed: u64, outage: Duration) -> Self {
        Self {
            seed,
            outage,
            events_per_second: 3_000.0,
            kills: 50,
            shards: 8,
            // As deployed.
            queues: 4,
            lease_term: Duration::from_secs(5),
            patience: Duration::from_secs(300),
            side_by_side: 1,
            poison_everywhere: true,
        }
    }

    /// As `--short` runs it.
    pub const fn short(seed: u64) -> Self {
        Self {
            seed,
            // Long enough for envelopes to wait past the deadlines of an outage, so that their order can be judged.
            outage: Duration::from_secs(10),
            events_per_second: 150.0,
            kills: 6,
            shards: 8,
            queues: 2,
            // Short, and long enough for a busy emulator to renew eight leases in a third of it.
            lease_term: Duration::from_secs(3),
            patience: Duration::from_secs(90),
            side_by_side: 4,
            poison_everywhere: false,
        }
    }

    /// What takes `full` in a full run, and at least `least`.
    pub fn span(&self, full: Duration, least: Duration) -> Duration {
        full.mul_f64(self.outage.as_secs_f64() / LONGEST_OUTAGE.as_secs_f64()).max(least)
    }
}

/// Where the private services are.
#[derive(Debug, Clone)]
pub struct Services {
    /// A superuser's connection string of PostgreSQL.
    pub postgres: String,
    /// A server of the Redis protocol.
    pub redis: String,
    /// An emulator of SQS and DynamoDB.
    pub aws: String,
}

/// The programs under test.
#[derive(Debug, Clone)]
pub struct Binaries {
    /// The runner.
    pub runner: PathBuf,
    /// The bootstrap of the function stats-ingest.
    pub ingest: PathBuf,
}

/// The databases of the stages, which stay until the run ends. Dropping one makes PostgreSQL wait for every backend of the
/// server, and other stages' may be in the middle of a COPY whose client stands still.
#[derive(Clone, Default)]
pub struct Attic(Arc<Mutex<Vec<Arc<TestDatabase>>>>);

impl Attic {
    /// Keeps a database until the run ends.
    pub fn keep(&self, database: &Arc<TestDatabase>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(database));
    }
}

impl fmt::Debug for Attic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Attic")
    }
}

/// What every fault is given.
#[derive(Debug, Clone)]
pub struct Context {
    /// The size of the run.
    pub scale: Scale,
    /// The services.
    pub services: Services,
    /// The programs.
    pub binaries: Binaries,
    /// The present.
    pub clock: Clock,
    /// `libfaketimeMT.so.1`, where it is installed.
    pub faketime: Option<PathBuf>,
    /// Where databases go that are done with.
    pub attic: Attic,
}
