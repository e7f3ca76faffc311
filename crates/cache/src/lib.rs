//! A cache in Valkey or Redis, with a bounded stand-in in memory for the times it is away.
//!
//! **Invariant:** nothing here fails: losing the cache makes things slower, never wrong.
//! **Invariant:** entries of a guild carry the generation they were loaded under; raising the generation forgets all of
//! them in one step, and a load that began before cannot bring old values back.
//! **Invariant:** the stand-in holds at most [`Limits::stand_in_bytes`], and only what was loaded while it was needed.

mod remote;
mod single_flight;
mod stand_in;

use std::future::Future;
use std::time::Duration;

use guildhall_domain::GuildId;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::remote::Remote;
use crate::single_flight::SingleFlight;
use crate::stand_in::StandIn;

/// What bounds the cache.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// How long the server may take to accept a connection.
    pub connect: Duration,
    /// How long it may take to answer.
    pub answer: Duration,
    /// How long it is left alone after a failure.
    pub pause: Duration,
    /// How much the stand-in holds.
    pub stand_in_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connect: Duration::from_millis(250),
            answer: Duration::from_millis(150),
            pause: Duration::from_secs(1),
            stand_in_bytes: 16 * 1024 * 1024,
        }
    }
}

/// The cache. It is made once and shared.
pub struct Cache {
    remote: Remote,
    stand_in: StandIn,
    flights: SingleFlight,
}

/// The address is not that of a Redis server; the address itself is not shown, since it can hold a password.
#[derive(Debug, thiserror::Error)]
#[error("not the address of a Redis server")]
pub struct InvalidAddress;

/// A value and the generation of its guild, as the store holds them.
enum Lookup<T> {
    Found(T),
    Missing(Generation),
}

/// The generation of a guild's entries when a load began. Whoever was away cannot say, and then nothing is written.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Generation {
    Remote(String),
    StandIn(u64),
}

impl Cache {
    /// A cache at this address. No connection is made until the first use, or [`Cache::warm_up`].
    ///
    /// # Errors
    /// When the address is malformed.
    pub fn new(url: &str, limits: Limits) -> Result<Self, InvalidAddress> {
        Ok(Self {
            remote: Remote::new(url, limits)?,
            stand_in: StandIn::new(limits.stand_in_bytes),
            flights: SingleFlight::default(),
        })
    }

    /// Connects ahead of the first use. A server that is away is no failure.
    pub async fn warm_up(&self) {
        self.remote.warm_up().await;
    }

    /// How many bytes the server uses and how many it may use; `None` when it is away.
    pub async fn memory(&self) -> Option<(u64, u64)> {
        self.remote.memory().await
    }

    /// Whether the server answered last time.
    pub fn is_connected(&self) -> bool {
        self.remote.is_up()
    }

    /// The value under a guild's key, when there is one.
    pub async fn get<T: DeserializeOwned>(&self, guild: GuildId, key: &str) -> Option<T> {
        match self.look_up(guild, key).await {
            Lookup::Found(value) => Some(value),
            Lookup::Missing(_) => None,
        }
    }

    /// Stores a value for `ttl`.
    pub async fn set<T: Serialize>(&self, guild: GuildId, key: &str, value: &T, ttl: Duration) {
        let generation = match self.remote.generation(guild).await {
            Some(generation) => Generation::Remote(generation),
            None => Generation::StandIn(self.stand_in.generation()),
        };
        self.write(guild, key, &generation, value, ttl).await;
    }

    /// The cached value, or the one `load` brings, which is then stored for `ttl`. Callers in this process that miss
    /// the same key at the same time wait for one load.
    ///
    /// # Errors
    /// Whatever `load` fails with; nothing is stored then.
    pub async fn get_or_load<T, E, F>(
        &self,
        guild: GuildId,
        key: &str,
        ttl: Duration,
        load: impl FnOnce() -> F,
    ) -> Result<T, E>
    where
        T: Serialize + DeserializeOwned,
        F: Future<Output = Result<T, E>>,
    {
        let flight = self.flights.join(format!("{guild}:{key}"));
        let _turn = flight.turn().await;
        // Whoever had to wait for the turn finds what the one before has loaded.
        let generation = match self.look_up(guild, key).await {
            Lookup::Found(value) => return Ok(value),
            Lookup::Missing(generation) => generation,
        };
        let value = load().await?;
        self.write(guild, key, &generation, &value, ttl).await;
        Ok(value)
    }

    /// Forgets everything of one guild, in one step whatever there is.
    pub async fn forget_guild(&self, guild: GuildId) {
        self.stand_in.forget_all();
        self.remote.forget(guild).await;
    }

    async fn look_up<T: DeserializeOwned>(&self, guild: GuildId, key: &str) -> Lookup<T> {
        let (text, generation) = match self.remote.get(guild, key).await {
            Some((text, generation)) => (text, Generation::Remote(generation)),
            None => (self.stand_in.get(guild, key).await, Generation::StandIn(self.stand_in.generation())),
        };
        // What does not read was written by another version, and is as good as missing.
        match text.and_then(|text| serde_json::from_str(&text).ok()) {
            Some(value) => Lookup::Found(value),
            None => Lookup::Missing(generation),
        }
    }

    async fn write<T: Serialize>(&self, guild: GuildId, key: &str, generation: &Generation, value: &T, ttl: Duration) {
        let Ok(text) = serde_json::to_string(value) else {
            tracing::error!(key, "a value for the cache does not serialise");
            return;
        };
        match generation {
            Generation::Remote(generation) => self.remote.set(guild, key, generation, &text, ttl).await,
            Generation::StandIn(generation) => self.stand_in.set(guild, key, *generation, text, ttl).await,
        }
    }
}

impl std::fmt::Debug for Cache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cache").field("connected", &self.is_connected()).finish_non_exhaustive()
    }
}
