//! What a newcomer finds: guilds that are set up and have a past.
//!
//! **Invariant:** seeding twice changes nothing: settings that exist stay, and the past has fixed identities.

use std::time::Duration;

use anyhow::Context as _;
use guildhall_discord_double::Double;
use guildhall_domain::{Clock, GuildId, GuildSettings, Language, Module, Timestamp};
use guildhall_queue::Sqs;
use guildhall_store::PgPool;
use guildhall_store::settings::Saved;

use crate::history::{self, Community};
use crate::stack::Stack;

const HOUR_MILLIS: i64 = 3_600_000;
/// Members the past is made of; the rest of a large guild only reads.
const ACTIVE_MEMBERS: usize = 2_500;

/// How much past to make.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// Days before the present.
    pub days: u32,
    /// Decides everything that looks random.
    pub seed: u64,
    /// Shards of the runner that will go on from here.
    pub shard_count: u32,
}

/// The communities of the double's guilds.
pub fn communities(double: &Double) -> Vec<Community> {
    double.world().guild_ids().into_iter().filter_map(|guild| community(double, guild)).collect()
}

fn community(double: &Double, guild: GuildId) -> Option<Community> {
    let world = double.world();
    let guild = world.guild(guild)?;
    let (bots, members): (Vec<_>, Vec<_>) = guild.members().partition(|member| member.user.bot);
    Some(Community {
        guild: guild.id,
        text_channels: guild.text_channels(),
        voice_channels: guild.voice_channels(),
        members: members.iter().map(|member| member.user.id).take(ACTIVE_MEMBERS).collect(),
        bots: bots.iter().map(|member| member.user.id).collect(),
        member_count: guild.member_count().try_into().unwrap_or(u32::MAX),
    })
}

/// Gives every guild settings, each in another time zone, unless it has some.
///
/// # Errors
/// When the database refuses.
pub async fn settings(pool: &PgPool, double: &Double, clock: &Clock) -> anyhow::Result<()> {
    let zones = ["Europe/Paris", "America/New_York", "Asia/Kolkata"];
    let mut db = pool.acquire().await?;
    for (guild, zone) in double.world().guild_ids().into_iter().zip(zones.iter().cycle()) {
        let Some((locale, owner)) = double.world().guild(guild).map(|guild| (guild.locale.clone(), guild.owner)) else {
            continue;
        };
        let settings = GuildSettings {
            language: Language::from_locale(&locale),
            time_zone: zone.parse()?,
            modules: Module::ALL.into_iter().collect(),
        };
        let saved = guildhall_store::settings::save(&mut db, guild, &settings, None, owner, clock.now()).await?;
        if let Saved::Conflict(known) = saved {
            tracing::debug!(%guild, revision = known.revision, "settings kept");
        }
    }
    Ok(())
}

/// Sends the past of every guild that was never counted through the event queues, and waits until it is counted.
///
/// Returns how many events were sent.
///
/// # Errors
/// When a queue refuses or ingest does not finish.
pub async fn past(
    stack: &Stack,
    pool: &PgPool,
    double: &Double,
    clock: &Clock,
    plan: Plan,
    mut progress: impl FnMut(u64),
) -> anyhow::Result<u64> {
    let sqs = Sqs::from_config(&stack.aws.config);
    let now = clock.now();
    let this_hour = Timestamp::from_millis(now.as_millis().div_euclid(HOUR_MILLIS) * HOUR_MILLIS);
    let mut sent = 0;
    for community in communities(double) {
        let freshness = guildhall_store::stats::freshness(&mut *pool.acquire().await?, community.guild).await?;
        if freshness.version > 0 {
            continue;
        }
        let hours = i64::from(plan.days) * 24;
        let mut last_envelopes = Vec::new();
        for ago in (0..=hours).rev() {
            let start = this_hour.plus_millis(-ago * HOUR_MILLIS);
            let envelopes = history::hour(&community, start, now, plan.seed, plan.shard_count);
            sent += envelopes.iter().map(|envelope| envelope.events.len() as u64).sum::<u64>();
            last_envelopes.extend(envelopes);
            if last_envelopes.len() >= 50 || ago == 0 {
                send(stack, &sqs, &last_envelopes).await?;
                last_envelopes.clear();
                progress(sent);
            }
        }
    }
    if sent > 0 {
        drained(stack).await?;
    }
    Ok(sent)
}

async fn send(stack: &Stack, sqs: &Sqs, envelopes: &[guildhall_wire::Envelope]) -> anyhow::Result<()> {
    for (partition, queue) in stack.resources.event_queues.iter().enumerate() {
        let entries: Vec<_> = envelopes
            .iter()
            .filter(|envelope| envelope.shard.id as usize % stack.resources.event_queues.len() == partition)
            .enumerate()
            .map(|(position, envelope)| (position.to_string(), guildhall_wire::encode(envelope)))
            .collect();
        for batch in entries.chunks(guildhall_queue::MAX_BATCH_ENTRIES) {
            let rejected = sqs.send_batch(&queue.url, batch).await.context("could not send the past")?;
            anyhow::ensure!(rejected.is_empty(), "the queue rejected {} envelopes of the past", rejected.len());
        }
    }
    Ok(())
}

/// Waits until the event queues are empty, in flight messages included.
async fn drained(stack: &Stack) -> anyhow::Result<()> {
    let mut ticks = tokio::time::interval(Duration::from_millis(200));
    loop {
        ticks.tick().await;
        let mut waiting = 0;
        for queue in &stack.resources.event_queues {
            waiting += stack.aws.waiting(&queue.url).await?;
        }
        if waiting == 0 {
            return Ok(());
        }
    }
}
