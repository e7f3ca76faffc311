//! The server of the cache, and the circuit that spares callers its absence.
//!
//! **Invariant:** after a failure the server is left alone for a while, so that an outage costs one short wait a pause
//! and not one for each call.
//! **Invariant:** a guild that was to be forgotten while the server was away is forgotten before it is read again.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use guildhall_domain::GuildId;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, FromRedisValue, Pipeline, RedisError};
use tokio::time::Instant;

use crate::{InvalidAddress, Limits};

/// Generations live longer than any entry, so that no entry outlives the generation it belongs to.
const GENERATION_TTL_SECONDS: i64 = 7 * 24 * 3_600;
/// The generation of a guild that was never forgotten.
const FIRST_GENERATION: &str = "0";
/// How many guilds are remembered as to be forgotten; past that, the oldest entries simply run out.
const MAX_OVERDUE: usize = 10_000;

pub(crate) struct Remote {
    client: Client,
    limits: Limits,
    state: Mutex<State>,
    connecting: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct State {
    connection: Option<MultiplexedConnection>,
    /// Until when the server is left alone.
    retry_at: Option<Instant>,
    /// Guilds that were to be forgotten while the server was away.
    overdue: BTreeSet<GuildId>,
}

impl Remote {
    pub(crate) fn new(url: &str, limits: Limits) -> Result<Self, InvalidAddress> {
        let client = Client::open(url).map_err(|_| InvalidAddress)?;
        Ok(Self { client, limits, state: Mutex::default(), connecting: tokio::sync::Mutex::default() })
    }

    pub(crate) async fn warm_up(&self) {
        if let Err(error) = self.connection().await {
            self.record("connect", Some(&error));
        }
    }

    pub(crate) fn is_up(&self) -> bool {
        self.with(|state| state.connection.is_some())
    }

    /// The text under a key and the guild's generation; `None` when the server is away.
    pub(crate) async fn get(&self, guild: GuildId, key: &str) -> Option<(Option<String>, String)> {
        let mut pipeline = redis::pipe();
        pipeline.cmd("MGET").arg(generation_key(guild)).arg(entry_key(guild, key));
        let ((generation, entry),): ((Option<String>, Option<String>),) = self.run("get", &pipeline).await?;
        let generation = generation.unwrap_or_else(|| FIRST_GENERATION.to_owned());
        let text = entry.and_then(|entry| {
            let (of, text) = entry.split_once('\n')?;
            (of == generation).then(|| text.to_owned())
        });
        Some((text, generation))
    }

    /// A guild's generation; `None` when the server is away.
    pub(crate) async fn generation(&self, guild: GuildId) -> Option<String> {
        let mut pipeline = redis::pipe();
        pipeline.cmd("GET").arg(generation_key(guild));
        let (generation,): (Option<String>,) = self.run("get", &pipeline).await?;
        Some(generation.unwrap_or_else(|| FIRST_GENERATION.to_owned()))
    }

    pub(crate) async fn set(&self, guild: GuildId, key: &str, generation: &str, text: &str, ttl: Duration) {
        let millis = u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX).max(1);
        let mut pipeline = redis::pipe();
        pipeline
            .cmd("SET")
            .arg(entry_key(guild, key))
            .arg(format!("{generation}\n{text}"))
            .arg("PX")
            .arg(millis)
            .ignore();
        let _done: Option<()> = self.run("set", &pipeline).await;
    }

    pub(crate) async fn forget(&self, guild: GuildId) {
        if self.run::<()>("forget", &raise_generation(guild)).await.is_none() {
            self.with(|state| {
                if state.overdue.len() < MAX_OVERDUE {
                    state.overdue.insert(guild);
                }
            });
        }
    }

    /// Bytes in use and bytes allowed, as the server tells; `None` when it is away.
    pub(crate) async fn memory(&self) -> Option<(u64, u64)> {
        let mut pipeline = redis::pipe();
        pipeline.cmd("INFO").arg("memory");
        let (text,): (String,) = self.run("info", &pipeline).await?;
        let field = |name: &str| {
            let mut fields = text.lines().filter_map(|line| line.split_once(':'));
            fields.find(|(known, _)| *known == name)?.1.trim().parse::<u64>().ok()
        };
        // Without a bound of its own it may take the machine's.
        let bound = field("maxmemory").filter(|bytes| *bytes > 0).or_else(|| field("total_system_memory"))?;
        Some((field("used_memory")?, bound))
    }

    /// Runs commands; `None` when the server is away.
    async fn run<T: FromRedisValue>(&self, operation: &'static str, pipeline: &Pipeline) -> Option<T> {
        if self.with(|state| state.retry_at.is_some_and(|at| Instant::now() < at)) {
            count(operation, "skipped");
            return None;
        }
        let result = match self.connection().await {
            Ok(mut connection) => pipeline.query_async(&mut connection).await,
            Err(error) => Err(error),
        };
        self.record(operation, result.as_ref().err());
        result.ok()
    }

    /// The one connection, made when there is none. Guilds that are overdue are forgotten before it is used.
    async fn connection(&self) -> Result<MultiplexedConnection, RedisError> {
        if let Some(connection) = self.with(|state| state.connection.clone()) {
            return Ok(connection);
        }
        let _one_at_a_time = self.connecting.lock().await;
        if let Some(connection) = self.with(|state| state.connection.clone()) {
            return Ok(connection);
        }
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(self.limits.connect))
            .set_response_timeout(Some(self.limits.answer));
        let mut connection = self.client.get_multiplexed_async_connection_with_config(&config).await?;
        for guild in self.with(|state| state.overdue.clone()) {
            raise_generation(guild).query_async::<()>(&mut connection).await?;
            self.with(|state| state.overdue.remove(&guild));
        }
        self.with(|state| state.connection = Some(connection.clone()));
        Ok(connection)
    }

    /// Opens or closes the circuit, says so once, and counts.
    fn record(&self, operation: &'static str, error: Option<&RedisError>) {
        let Some(error) = error else {
            self.with(|state| state.retry_at = None);
            return count(operation, "ok");
        };
        let first = self.with(|state| {
            state.connection = None;
            state.retry_at.replace(Instant::now() + self.limits.pause).is_none()
        });
        if first {
            tracing::warn!(operation, kind = ?error.kind(), "the cache is away; memory stands in");
        }
        count(operation, "error");
    }

    fn with<R>(&self, act: impl FnOnce(&mut State) -> R) -> R {
        // The state is consistent after each statement, so a panic elsewhere does not spoil it.
        act(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn generation_key(guild: GuildId) -> String {
    format!("guildhall:{{{guild}}}:generation")
}

/// The braces keep all keys of a guild in one slot of a cluster.
fn entry_key(guild: GuildId, key: &str) -> String {
    format!("guildhall:{{{guild}}}:entry:{key}")
}

fn raise_generation(guild: GuildId) -> Pipeline {
    let key = generation_key(guild);
    let mut pipeline = redis::pipe();
    pipeline.cmd("INCR").arg(&key).ignore().cmd("EXPIRE").arg(&key).arg(GENERATION_TTL_SECONDS).ignore();
    pipeline
}

fn count(operation: &'static str, outcome: &'static str) {
    metrics::counter!("redis_operations_total", "operation" => operation, "outcome" => outcome).increment(1);
}
