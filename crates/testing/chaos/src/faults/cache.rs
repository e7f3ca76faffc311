//! The cache is gone.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use guildhall_app::context::Connect;
use guildhall_app::interaction::Interaction;
use guildhall_app::{Ctx, WorkQueue, commands};
use guildhall_domain::{Clock, GuildId};
use guildhall_runtime::Environment;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::proxy::{Act, Flow, Mode, Proxy};
use crate::report::Outcome;
use crate::scale::Context;
use crate::stage::{Setup, Stage, through};

/// People who ask at once.
const PEOPLE: u64 = 24;
/// Connections they share.
const CONNECTIONS: u32 = 8;
/// How the transaction of an answer that is computed begins; one that comes from the cache has none.
const COMPUTING: &[u8] = b"REPEATABLE READ";

/// Redis is away, first with a reset, then without a word: `/stats` is slower and right, and who asks the same at once
/// makes the database compute once.
pub(super) async fn redis_gone(context: &Context, name: &'static str) -> anyhow::Result<Outcome> {
    let mut stage = Stage::set(context, Setup::new(name, context)).await?;
    stage.traffic();
    stage.recovered().await?;
    // Answers are cached under what was counted, so nothing more is counted while they are compared.
    stage.fall_silent().await?;
    stage.empty_queues().await?;

    let console = Console::open(context, stage.database.url()).await?;
    let guilds = stage.double.world().guild_ids();
    let [present, reset, silent, ..] = guilds[..] else { bail!("too few guilds") };
    let mut expected = Vec::new();
    for guild in [present, reset, silent] {
        expected.push(ask(&console.ctx, &console.queue, guild, 1).await?.0);
    }
    let (cached, with_cache) = console.crowd(present).await?;
    ensure!(cached == expected[0], "the cache changes an answer");

    let before = console.computed();
    console.redis.set(Mode::Cut);
    let (answer_reset, without) = console.crowd(reset).await?;
    console.redis.set(Mode::Hole);
    let (answer_silent, unanswered) = console.crowd(silent).await?;
    console.redis.set(Mode::Pass);
    let computed = console.computed() - before;
    let right = answer_reset == expected[1] && answer_silent == expected[2];
    let (back, _) = console.crowd(present).await?;
    let outcome = stage.close(None).await?;
    Ok(outcome
        .noting(format!(
            "{PEOPLE} at once: {:.0} ms with the cache, {:.0} ms without, {:.0} ms when it is silent; computed {computed} times",
            with_cache.as_secs_f64() * 1e3,
            without.as_secs_f64() * 1e3,
            unanswered.as_secs_f64() * 1e3
        ))
        .asserting(right && back == expected[0], || "an answer without the cache is another one".to_owned())
        // Once for each of the two; a third time when the first attempt still went to the cache.
        .asserting((2..=3).contains(&computed), || format!("two answers were computed {computed} times")))
}

/// What answers commands, behind proxies of its own.
struct Console {
    ctx: Ctx,
    queue: WorkQueue,
    redis: Proxy,
    _database: Proxy,
    transactions: Arc<AtomicU64>,
    patience: Duration,
}

impl Console {
    async fn open(context: &Context, database_url: &str) -> anyhow::Result<Self> {
        let (template, upstream) = through(database_url)?;
        let database = Proxy::start(upstream).await?;
        let transactions: Arc<AtomicU64> = Arc::default();
        let seen = Arc::clone(&transactions);
        database.tap(Some(Arc::new(move |chunk| {
            if chunk.flow == Flow::ToServer && chunk.bytes.windows(COMPUTING.len()).any(|window| window == COMPUTING) {
                seen.fetch_add(1, Ordering::Relaxed);
            }
            Act::Pass
        })));
        let server = context.services.redis.trim_start_matches("redis://").trim_end_matches('/');
        let redis = Proxy::start(server).await?;
        let environment = Environment::from_pairs([
            ("DATABASE_URL", template.replace("{}", &database.address().to_string())),
            ("REDIS_URL", format!("redis://{}", redis.address())),
        ]);
        let (database_url, redis_url) = (environment.secret("DATABASE_URL")?, environment.secret("REDIS_URL")?);
        // The same instant for all, or an answer could lie in the next quarter-hour.
        let clock = Clock::fixed(context.clock.now());
        let mut ctx = Ctx::connect(&database_url, &redis_url, Connect::direct(CONNECTIONS), clock).await?;
        // What a Lambda has to answer in is not what this fault is about.
        let patient = ctx.db.options().clone().acquire_timeout(context.scale.patience);
        ctx.db = patient.connect_lazy_with((*ctx.db.connect_options()).clone());
        let queue = WorkQueue::at("http://127.0.0.1:1/nobody".to_owned());
        Ok(Self { ctx, queue, redis, _database: database, transactions, patience: context.scale.patience })
    }

    fn computed(&self) -> u64 {
        self.transactions.load(Ordering::Relaxed)
    }

    /// Many ask at once: the answer, which is the same for all, and the longest time.
    async fn crowd(&self, guild: GuildId) -> anyhow::Result<(Value, Duration)> {
        let mut asking = JoinSet::new();
        for person in 1..=PEOPLE {
            let (ctx, queue) = (self.ctx.clone(), self.queue.clone());
            asking.spawn_local(async move { ask(&ctx, &queue, guild, person).await });
        }
        let answered = tokio::time::timeout(self.patience, asking.join_all()).await;
        let answers =
            answered.context("not everybody was answered")?.into_iter().collect::<anyhow::Result<Vec<_>>>()?;
        let slowest = answers.iter().map(|(_, took)| *took).max().unwrap_or_default();
        let (first, _) = answers.first().context("nobody asked")?;
        ensure!(answers.iter().all(|(answer, _)| answer == first), "people who ask the same get different answers");
        Ok((first.clone(), slowest))
    }
}

/// Asks for a guild's week, once.
async fn ask(ctx: &Ctx, queue: &WorkQueue, guild: GuildId, person: u64) -> anyhow::Result<(Value, Duration)> {
    let body = json!({
        "id": ((ctx.clock.now().as_millis().unsigned_abs() << 22) + person).to_string(),
        "application_id": "2", "type": 2, "token": "chaos", "version": 1,
        "guild_id": guild, "channel_id": "1", "locale": "en-US",
        "member": { "user": { "id": person.to_string() }, "permissions": "32", "roles": [] },
        "data": { "id": "3", "name": "stats", "type": 1, "options": [{
            "name": "server", "type": 1, "options": [{ "name": "period", "type": 3, "value": "7d" }]
        }] },
    });
    let interaction = Interaction::parse(body.to_string().as_bytes())?;
    let began = Instant::now();
    let answer = Box::pin(commands::dispatch(ctx, queue, &interaction)).await;
    if let Some(error) = answer.error {
        return Err(error).context("the command failed");
    }
    Ok((answer.reply.to_json(), began.elapsed()))
}
