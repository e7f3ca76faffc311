//! Communities of three sizes, and the tables that remember them.

/// A community, the mean over all guilds of a deployment.
#[derive(Debug, Clone, Copy)]
pub struct Community {
    /// What the page calls it.
    pub name: &'static str,
    /// Countable events in a month.
    pub events: u64,
    /// Channels in which something happens.
    pub channels: u64,
    /// Members who do something in a month; some far more than others.
    pub members: u64,
}

/// The sizes: each is assumed.
pub const COMMUNITIES: [Community; 3] = [
    Community { name: "low", events: 6_000, channels: 8, members: 60 },
    Community { name: "typical", events: 45_000, channels: 20, members: 300 },
    Community { name: "high", events: 300_000, channels: 50, members: 1_500 },
];

/// Gauges of a guild in a month: one every five minutes (`gateway-runner/src/gauges.rs`).
pub const GAUGES_A_MONTH: u64 = 30 * 86_400 / 300;

/// A table that grows.
#[derive(Debug, Clone, Copy)]
pub struct Table {
    /// Its name.
    pub name: &'static str,
    /// How many months its rows are kept; `None`: for ever.
    pub months: Option<f64>,
    /// Its size with its indexes, as a statement.
    pub size: &'static str,
    /// What the page says of it.
    pub retention: &'static str,
}

macro_rules! table {
    ($name:literal, $months:expr, $retention:literal) => {
        Table {
            name: $name,
            months: $months,
            size: concat!("SELECT pg_total_relation_size('", $name, "')"),
            retention: $retention,
        }
    };
}

/// Those that grow with events or with time (`crates/store/src/rollup/retention.rs`). What is left out (settings, jobs,
/// ids of interactions, coverage gaps) is small.
pub const TABLES: [Table; 10] = [
    table!("events", Some(1.0), "30 days"),
    table!("gauges", Some(1.0), "30 days"),
    table!("metrics_snapshots", Some(12.2), "366 days"),
    table!("voice_transitions", Some(2.0), "60 days"),
    table!("gateway_sequences", Some(2.0), "60 days"),
    table!("guild_quarters", None, "for ever"),
    table!("channel_quarters", None, "for ever"),
    table!("member_days", None, "for ever"),
    table!("member_channel_days", None, "for ever"),
    table!("member_stats", Some(1.0), "for ever, a row for each member: counted once"),
];
