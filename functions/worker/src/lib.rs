//! Work that takes longer than an answer may.
//!
//! - **Trigger:** the work queue, in batches with partial failures.
//! - **Latency budget:** a person waits: seconds. The interaction's token ends the matter after 15 minutes.
//! - **Idempotency key:** the interaction's id: a job is leased while it runs and finished once.
//! - **Failure policy:** Discord limiting or failing, the database away, or [`sync::DEADLINE`] over: delivered again, up
//!   to [`MAX_DELIVERIES`] times; the last one leaves an apology. What no delivery can mend leaves one at once, and is
//!   not done: it reaches the dead-letter queue, alone, as does a message that is no job. A token that has expired: done,
//!   with a log line.
//!
//! **Invariant:** a delivery of a job that was done before has no effect.

use std::time::Duration;

use futures_util::future::join_all;
use guildhall_app::context::{Connect, ConnectError};
use guildhall_app::sync::{self, Attempt, Finished, SyncJob};
use guildhall_app::{Ctx, Discord, DiscordError};
use guildhall_domain::Clock;
use guildhall_runtime::{ConfigError, Delivery, Environment, Failure};
use tokio::time::Instant;

/// Where Discord is when nothing else is said.
const DISCORD: &str = "https://discord.com";

/// How often the work queue delivers a message before it becomes a dead letter: `maxReceiveCount` of the template.
pub const MAX_DELIVERIES: u32 = 4;

/// What the handler works with.
#[derive(Debug)]
pub struct Deps {
    /// The database, the cache and the clock.
    pub ctx: Ctx,
    /// Discord's REST API.
    pub discord: Discord,
    /// How long a job may take.
    pub deadline: Duration,
}

/// The function cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A variable is missing or unusable.
    #[error("the configuration is incomplete")]
    Config(#[from] ConfigError),
    /// `DISCORD_API_URL` is no address.
    #[error("DISCORD_API_URL is unusable")]
    Discord(#[from] DiscordError),
    /// An address is unusable.
    #[error("a dependency cannot be configured")]
    Connect(#[from] ConnectError),
}

impl Deps {
    /// With what the variables name, which is connected to when it is first used, or by [`Deps::warm_up`].
    ///
    /// # Errors
    /// When a variable is missing or unusable.
    pub fn from_environment(environment: &Environment, clock: Clock) -> Result<Self, StartError> {
        let base = environment.optional("DISCORD_API_URL").unwrap_or(DISCORD);
        let discord = Discord::new(&environment.secret("DISCORD_TOKEN")?, base)?;
        let (database, redis) = (environment.secret("DATABASE_URL")?, environment.secret("REDIS_URL")?);
        let transaction_pooler = environment.flag("DATABASE_TRANSACTION_POOLER");
        let connect = Connect { max_connections: 2, transaction_pooler };
        let ctx = Ctx::new(&database, &redis, connect, clock)?;
        Ok(Self { ctx, discord, deadline: sync::DEADLINE })
    }

    /// Connects ahead of the first job. A service that is away is no error.
    pub fn warm_up(&self) -> impl Future<Output = ()> + Send + use<> {
        let ctx = self.ctx.clone();
        async move { ctx.warm_up().await }
    }
}

/// Handles a batch, all of it at once: jobs wait for Discord and not for each other.
pub async fn handle(deps: &Deps, deliveries: Vec<Delivery>) -> Vec<Failure> {
    let results = join_all(deliveries.into_iter().map(|delivery| one(deps, delivery))).await;
    results.into_iter().filter_map(Result::err).collect()
}

async fn one(deps: &Deps, delivery: Delivery) -> Result<(), Failure> {
    let started = Instant::now();
    let job = SyncJob::decode(&delivery.body).map_err(|error| Failure::fail(&delivery.message_id, error))?;
    let attempt = Attempt { deadline: deps.deadline, is_last: delivery.receive_count >= MAX_DELIVERIES };
    match sync::run(&deps.ctx, &deps.discord, &job, attempt).await {
        Ok(finished) => {
            let outcome = match finished {
                Finished::Edited => "edited",
                Finished::Before => "done before",
                Finished::Expired => "expired",
            };
            let took = started.elapsed();
            metrics::counter!("events_processed_total", "type" => "job").increment(1);
            metrics::histogram!("event_processing_duration_seconds", "type" => "job").record(took.as_secs_f64());
            let duration_ms = took.as_secs_f64() * 1_000.0;
            tracing::info!(interaction = %job.interaction, guild = %job.guild, outcome, duration_ms, "job handled");
            Ok(())
        }
        Err(error) if error.is_retryable() => Err(Failure::retry(delivery.message_id, error)),
        Err(error) => Err(Failure::fail(delivery.message_id, error)),
    }
}
