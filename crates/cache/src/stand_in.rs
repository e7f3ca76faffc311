//! Memory in place of the server.
//!
//! **Invariant:** entries end with their time to live, as the server's do.
//! **Invariant:** forgetting is for all guilds at once: the stand-in is small and seldom used, so precision is not worth a
//! table of generations.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use guildhall_domain::GuildId;
use moka::Expiry;
use moka::future::Cache;

pub(crate) struct StandIn {
    entries: Cache<String, Entry>,
    generation: AtomicU64,
}

#[derive(Clone)]
struct Entry {
    generation: u64,
    text: Arc<str>,
    ttl: Duration,
}

struct ByEntry;

impl Expiry<String, Entry> for ByEntry {
    fn expire_after_create(&self, _: &String, entry: &Entry, _: Instant) -> Option<Duration> {
        Some(entry.ttl)
    }

    fn expire_after_update(&self, _: &String, entry: &Entry, _: Instant, _: Option<Duration>) -> Option<Duration> {
        Some(entry.ttl)
    }
}

impl StandIn {
    pub(crate) fn new(bytes: u64) -> Self {
        let entries = Cache::builder()
            .max_capacity(bytes)
            .weigher(|key: &String, entry: &Entry| u32::try_from(key.len() + entry.text.len()).unwrap_or(u32::MAX))
            .expire_after(ByEntry)
            .build();
        Self { entries, generation: AtomicU64::new(0) }
    }

    /// What an entry must have been loaded under to count.
    pub(crate) fn generation(&self) -> u64 {
        self.generation.load(Ordering::SeqCst)
    }

    pub(crate) async fn get(&self, guild: GuildId, key: &str) -> Option<String> {
        let entry = self.entries.get(&address(guild, key)).await?;
        (entry.generation == self.generation()).then(|| entry.text.as_ref().to_owned())
    }

    pub(crate) async fn set(&self, guild: GuildId, key: &str, generation: u64, text: String, ttl: Duration) {
        self.entries.insert(address(guild, key), Entry { generation, text: text.into(), ttl }).await;
    }

    pub(crate) fn forget_all(&self) {
        self.generation.fetch_add(1, Ordering::SeqCst);
        self.entries.invalidate_all();
    }
}

fn address(guild: GuildId, key: &str) -> String {
    format!("{guild}:{key}")
}
