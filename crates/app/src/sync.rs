//! `/sync`: forgets what is cached of a guild, reads it anew from Discord, and says what the bot cannot see.
//!
//! **Invariant:** a request is claimed in the transaction in which its job is queued: used twice, it is queued once.
//! **Invariant:** a job succeeds once, however often the queue delivers it: it is leased while it runs, finished when
//! the response was edited, and given back when it was not, whatever the reason.
//! **Invariant:** an attempt ends before its lease does; nobody is left with a promise: when no delivery can follow or
//! help, the response becomes an apology.

mod job;
mod report;

use std::time::Duration;

use guildhall_discord::model::{Channel, Guild, Member, Role};
use guildhall_discord::{Client, ClientError, ErrorKind};
use guildhall_domain::{GuildId, GuildSettings};
use guildhall_store::jobs::{self, Begin};
use guildhall_store::{StoreError, interactions};
use tokio::time::Instant;

pub use job::SyncJob;

use crate::commands::Origin;
use crate::context::{Ctx, WorkQueue};
use crate::error::AppError;
use crate::language as texts;
use crate::reply::{Message, Reply};
use crate::settings;

/// How long an interaction's token can be used (Discord documentation, "Followup Messages").
const TOKEN_LIFE_MILLIS: i64 = 15 * 60 * 1_000;
/// How long an attempt may take, all its calls together.
pub const DEADLINE: Duration = Duration::from_secs(20);
/// How long a worker may hold a job: longer than [`DEADLINE`], and than the 30 seconds its process has.
const LEASE_MILLIS: i64 = 35_000;
/// How long it may take to write down how an attempt ended.
const RECORD_PATIENCE: Duration = Duration::from_secs(2);
/// How long an apology may take.
const APOLOGY_PATIENCE: Duration = Duration::from_secs(5);
/// How soon after its interaction an edit can come before Discord has made the response that it edits.
const RESPONSE_MAY_BE_MISSING_MILLIS: i64 = 10_000;
/// How long the queue may take to accept a job; the person waits for the answer meanwhile.
const QUEUE_PATIENCE: Duration = Duration::from_millis(1_500);
/// How long to wait before the second attempt at an edit that came too soon; each further wait is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
/// The longest such wait.
const LAST_PAUSE: Duration = Duration::from_secs(2);
/// How long guilds, channels and roles are kept.
const STRUCTURE_TTL: Duration = Duration::from_secs(5 * 60);

/// What is read of a guild, and kept for five minutes.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub struct Structure {
    /// The guild.
    pub guild: Guild,
    /// Its channels.
    pub channels: Vec<Channel>,
    /// Its roles.
    pub roles: Vec<Role>,
    /// The bot's own member.
    pub own: Member,
}

/// What became of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finished {
    /// The response was edited.
    Edited,
    /// An earlier delivery did it all.
    Before,
    /// The interaction can no longer be answered.
    Expired,
}

/// Why a job is not finished.
#[derive(Debug, thiserror::Error)]
pub enum JobError {
    /// Another worker is at it.
    #[error("another worker holds the job")]
    Busy,
    /// The attempt took too long.
    #[error("the job was not done in time")]
    TimedOut,
    /// Something the job needs failed.
    #[error("the job failed")]
    Failed(#[from] AppError),
}

impl JobError {
    /// Whether another delivery can succeed.
    pub const fn is_retryable(&self) -> bool {
        match self {
            Self::Busy | Self::TimedOut | Self::Failed(AppError::Store(_)) => true,
            Self::Failed(AppError::Discord(error)) => error.is_retryable(),
            Self::Failed(_) => false,
        }
    }
}

/// Queues the work and promises an answer.
///
/// # Errors
/// When the database or the queue fails; nothing was queued then, or at worst a job whose answer replaces the apology.
pub async fn request(ctx: &Ctx, queue: &WorkQueue, origin: Origin<'_>) -> Result<Reply, AppError> {
    let language = origin.language;
    if !settings::may_change(origin) {
        return Ok(Reply::ephemeral(texts::NEEDS_MANAGE_GUILD.of(language)));
    }
    let now = ctx.clock.now();
    let mut tx = ctx.db.begin().await.map_err(StoreError::from)?;
    if !interactions::claim(&mut tx, origin.id, now).await? {
        return Ok(Reply::ephemeral(texts::ALREADY_HANDLED.of(language)));
    }
    let job = SyncJob {
        interaction: origin.id,
        application: origin.interaction.application,
        token: origin.interaction.token.clone(),
        guild: origin.guild,
        language,
        expires_at: now.plus_millis(TOKEN_LIFE_MILLIS),
    };
    let body = job.encode()?;
    let sent = tokio::time::timeout(QUEUE_PATIENCE, queue.sqs.send(&queue.url, &body)).await;
    sent.map_err(|_| AppError::QueueSilent)??;
    tx.commit().await.map_err(StoreError::from)?;
    Ok(Reply::DeferredEphemeral)
}

/// One delivery of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attempt {
    /// How long it may take.
    pub deadline: Duration,
    /// Whether the queue delivers the job no more after this.
    pub is_last: bool,
}

/// Does the work of one delivery.
///
/// # Errors
/// When it is not finished; the error says whether another delivery can help. Whoever waits was told then, unless a
/// delivery follows that can help.
pub async fn run(ctx: &Ctx, discord: &Client, job: &SyncJob, attempt: Attempt) -> Result<Finished, JobError> {
    if ctx.clock.now() >= job.expires_at {
        return Ok(Finished::Expired);
    }
    let result = lease_and_work(ctx, discord, job, Instant::now() + attempt.deadline).await;
    match &result {
        // Whoever holds the job answers for it.
        Ok(_) | Err(JobError::Busy) => {}
        Err(error) if error.is_retryable() && !attempt.is_last => {}
        Err(_) => apologise(ctx, discord, job).await,
    }
    result
}

async fn lease_and_work(ctx: &Ctx, discord: &Client, job: &SyncJob, until: Instant) -> Result<Finished, JobError> {
    // No connection is held while Discord is asked: the lease, not a lock, keeps other workers away.
    let begin = async {
        let mut db = connection(ctx).await?;
        jobs::begin(&mut db, job.interaction, ctx.clock.now(), LEASE_MILLIS).await.map_err(AppError::from)
    };
    let attempt = match in_time(until, begin).await? {
        Begin::Run { attempt } => attempt,
        Begin::Done => return Ok(Finished::Before),
        Begin::Busy => return Err(JobError::Busy),
    };
    let result = in_time(until, Box::pin(work(ctx, discord, job))).await;
    let record = async {
        let (mut db, now) = (connection(ctx).await?, ctx.clock.now());
        match &result {
            Ok(_) => jobs::finish(&mut db, job.interaction, now).await,
            Err(_) => jobs::release(&mut db, job.interaction, attempt, now).await,
        }
        .map_err(AppError::from)
    };
    // What is not written down changes nothing about the result: the answer is out, or the lease runs out by itself.
    if let Err(error) = in_time(Instant::now() + RECORD_PATIENCE, record).await {
        let error: &dyn std::error::Error = &error;
        tracing::warn!(interaction = %job.interaction, error, "how a job ended was not written down");
    }
    result
}

/// Waits for something until a deadline.
async fn in_time<T, E>(until: Instant, what: impl Future<Output = Result<T, E>>) -> Result<T, JobError>
where
    JobError: From<E>,
{
    Ok(tokio::time::timeout_at(until, what).await.map_err(|_| JobError::TimedOut)??)
}

/// Says that nothing comes any more, as far as Discord lets us.
async fn apologise(ctx: &Ctx, discord: &Client, job: &SyncJob) {
    let mut body = Message::ephemeral(texts::SYNC_GAVE_UP.of(job.language)).to_json();
    body.as_object_mut().map(|body| body.remove("flags"));
    let edit = edit(ctx, discord, job, &body);
    if let Err(error) = in_time(Instant::now() + APOLOGY_PATIENCE, edit).await {
        let error: &dyn std::error::Error = &error;
        tracing::warn!(interaction = %job.interaction, error, "somebody waits for an answer that never comes");
    }
}

async fn work(ctx: &Ctx, discord: &Client, job: &SyncJob) -> Result<Finished, JobError> {
    ctx.cache.forget_guild(job.guild).await;
    let stored = settings::find(ctx, job.guild).await?;
    let message = match structure(ctx, discord, job.guild).await {
        Ok(structure) => {
            let settings = stored.map_or_else(GuildSettings::default, |stored| stored.settings);
            report::report(job.language, &structure, &settings, ctx.clock.now())
        }
        Err(error) if error.is_no_access() => Message::ephemeral(texts::SYNC_NOT_THERE.of(job.language)),
        Err(error) if error.is_retryable() => return Err(AppError::from(error).into()),
        Err(error) => {
            tracing::error!(guild = %job.guild, error = %error, "a guild could not be read");
            Message::ephemeral(texts::SYNC_FAILED.of(job.language))
        }
    };
    let mut body = message.to_json();
    // Who sees a message was decided by its deferral.
    body.as_object_mut().map(|body| body.remove("flags"));
    edit(ctx, discord, job, &body).await
}

/// Edits the response. A worker can be quicker than Discord, which makes the response only when it has our deferral.
async fn edit(ctx: &Ctx, discord: &Client, job: &SyncJob, body: &serde_json::Value) -> Result<Finished, JobError> {
    let mut pause = FIRST_PAUSE;
    loop {
        match discord.edit_original_response(job.application, &job.token, body, Vec::new()).await {
            Ok(()) => return Ok(Finished::Edited),
            Err(ClientError { kind: ErrorKind::NotFound { .. }, .. }) => {
                let age = ctx.clock.now().millis_since(job.interaction.created_at());
                if age > RESPONSE_MAY_BE_MISSING_MILLIS || pause > LAST_PAUSE {
                    return Ok(Finished::Expired);
                }
                tokio::time::sleep(pause).await;
                pause *= 2;
            }
            Err(error) => return Err(AppError::from(error).into()),
        }
    }
}

/// A guild's structure, from the cache or from Discord.
///
/// # Errors
/// When Discord fails, or the bot is not in the guild.
pub async fn structure(ctx: &Ctx, discord: &Client, guild: GuildId) -> Result<Structure, ClientError> {
    ctx.cache
        .get_or_load(guild, "structure", STRUCTURE_TTL, async || {
            let (of_guild, channels, roles, own) = tokio::try_join!(
                discord.guild(guild),
                discord.channels(guild),
                discord.roles(guild),
                discord.own_member(guild)
            )?;
            Ok(Structure { guild: of_guild, channels, roles, own })
        })
        .await
}

async fn connection(ctx: &Ctx) -> Result<impl std::ops::DerefMut<Target = guildhall_store::PgConnection>, AppError> {
    Ok(ctx.db.acquire().await.map_err(StoreError::from)?)
}
