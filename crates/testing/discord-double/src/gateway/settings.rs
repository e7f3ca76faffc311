//! How the gateway behaves: Discord's documented limits, each of which a test may tighten.

use std::time::Duration;

/// The gateway's limits and intervals.
#[derive(Debug, Clone)]
pub struct GatewaySettings {
    /// The privileged intents (bit set) that the application may ask for.
    pub privileged_intents: u64,
    /// The largest number of guilds a shard may have.
    pub max_guilds_per_shard: usize,
    /// How long an IDENTIFY bucket stays closed after it was used.
    pub identify_interval: Duration,
    /// How long the identify budget lasts.
    pub identify_window: Duration,
    /// How often a client must send a heartbeat.
    pub heartbeat_interval: Duration,
    /// How long a session without a connection can still be resumed.
    pub session_ttl: Duration,
    /// How many of its latest events a session keeps for replay.
    pub session_buffer: usize,
    /// How many payloads a client may send in a minute.
    pub sends_per_minute: usize,
    /// The largest payload a client may send, in bytes.
    pub max_payload: usize,
    /// How often all members of one guild may be requested.
    pub members_interval: Duration,
}

impl Default for GatewaySettings {
    fn default() -> Self {
        Self {
            privileged_intents: super::intents::PRIVILEGED,
            max_guilds_per_shard: 2_500,
            identify_interval: Duration::from_secs(5),
            identify_window: Duration::from_secs(24 * 60 * 60),
            heartbeat_interval: Duration::from_millis(41_250),
            session_ttl: Duration::from_secs(180),
            session_buffer: 100_000,
            sends_per_minute: 120,
            max_payload: 4_096,
            members_interval: Duration::from_secs(30),
        }
    }
}
