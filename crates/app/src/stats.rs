//! `/stats`: exact numbers, their trend, the top five, how fresh they are, and a picture.
//!
//! **Invariant:** what is about one member is for that member and for those who may see everyone's numbers, and only its
//! asker sees it unless that member shares it.
//! **Invariant:** a channel's numbers are for those who can see the channel. Whoever reads along elsewhere need not see
//! it, so they are posted only in the channel itself, or where somebody entitled decides to share them.
//! **Invariant:** which channels are busy, in the server or for a member, is listed only for those entitled: a ranking
//! tells of channels its readers cannot see, that they exist and how busy they are. Whoever may read everyone's numbers
//! decides whether to post them; everyone else gets the figures, the trend, the picture and the most active members.
//! **Invariant:** an answer is cached under the guild's ingest version: as long as it is served, no number in it changed.

mod answer;
mod figures;
mod query;

use std::time::Duration;

use guildhall_domain::{ChannelId, Language, Module, Period, Permissions, UserId};
use guildhall_store::StoreError;

pub use figures::{Change, change};
pub use query::Figures;
use query::gather;

use crate::commands::{self, Origin};
use crate::context::Ctx;
use crate::error::AppError;
use crate::interaction::CommandUse;
use crate::language as texts;
use crate::reply::{Message, Reply};

/// Which permissions entitle to other members' numbers (Discord documentation, "Developer Policy").
const ENTITLING: [Permissions; 3] =
    [Permissions::ADMINISTRATOR, Permissions::MANAGE_GUILD, Permissions::VIEW_GUILD_INSIGHTS];
/// How long an answer is kept; its key changes with the numbers, so this only bounds memory.
const ANSWER_TTL: Duration = Duration::from_secs(60);

/// Whose numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subject {
    /// The whole guild's.
    Server,
    /// A member's.
    Member(UserId),
    /// A channel's, with what the asker may do there.
    Channel(ChannelId, Permissions),
}

/// What was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Request {
    /// Whose numbers.
    pub subject: Subject,
    /// Of which span.
    pub period: Period,
    /// Whether everyone sees the answer, where that was said.
    pub share: Option<bool>,
}

impl Request {
    /// Reads the options of a subcommand; `None` for one that is not declared. Values that are no choice count as left
    /// out: Discord lets only choices through.
    pub fn read(origin: Origin<'_>, subcommand: &str, command: &CommandUse) -> Option<Self> {
        let (subject, default) = match subcommand {
            "server" => (Subject::Server, Period::Week),
            "member" => {
                let member = command.text(commands::MEMBER).and_then(|id| id.parse().ok());
                (Subject::Member(member.unwrap_or(origin.invoker.user)), Period::Month)
            }
            "channel" => {
                let chosen = command.text(commands::CHANNEL).and_then(|id| id.parse::<ChannelId>().ok());
                let subject = match chosen {
                    Some(channel) => {
                        let permissions = command.channel_permissions.get(&channel).copied();
                        Subject::Channel(channel, permissions.unwrap_or_default())
                    }
                    // Whoever uses a command in a channel sees it.
                    None => Subject::Channel(origin.interaction.channel?, Permissions::VIEW_CHANNEL),
                };
                (subject, Period::Week)
            }
            _ => return None,
        };
        let period = command.text(commands::PERIOD).and_then(Period::from_name).unwrap_or(default);
        let period = match (subject, period) {
            (Subject::Member(_), Period::Day) => Period::Week,
            (_, period) => period,
        };
        Some(Self { subject, period, share: command.flag(commands::SHARE) })
    }
}

/// Answers with numbers and a picture.
///
/// # Errors
/// When the database fails or the picture cannot be drawn.
pub async fn answer(ctx: &Ctx, origin: Origin<'_>, request: Request) -> Result<Reply, AppError> {
    let entitled = ENTITLING.iter().any(|permission| origin.invoker.permissions.allows(*permission));
    let own = request.subject == Subject::Member(origin.invoker.user);
    match request.subject {
        Subject::Member(_) if !own && !entitled => {
            return Ok(Reply::ephemeral(texts::STATS_MEMBER_FORBIDDEN.of(origin.language)));
        }
        Subject::Channel(_, permissions) if !permissions.allows(Permissions::VIEW_CHANNEL) => {
            return Ok(Reply::ephemeral(texts::STATS_CHANNEL_FORBIDDEN.of(origin.language)));
        }
        _ => {}
    }
    let public = match request.subject {
        // Those entitled may read others' numbers; only a member may show them around.
        Subject::Member(_) => own && request.share == Some(true),
        Subject::Channel(channel, _) => {
            let here = origin.interaction.channel == Some(channel);
            match request.share {
                Some(share) => share && (here || entitled),
                None => here,
            }
        }
        Subject::Server => request.share != Some(false),
    };

    let mut db = ctx.db.acquire().await.map_err(StoreError::from)?;
    let stored = guildhall_store::settings::find(&mut db, origin.guild).await?;
    let freshness = guildhall_store::stats::freshness(&mut db, origin.guild).await?;
    let is_set_up = stored.is_some();
    let (revision, settings) = stored.map_or_else(Default::default, |stored| (stored.revision, stored.settings));
    if is_set_up && !settings.modules.contains(&Module::Analytics) {
        return Ok(Reply::ephemeral(texts::STATS_SWITCHED_OFF.of(origin.language)));
    }
    let Some(ingested_at) = freshness.ingested_at else {
        return Ok(Reply::ephemeral(texts::STATS_NOTHING_YET.of(origin.language)));
    };
    // What everyone sees is in the guild's language; what one person sees is in theirs.
    let language = if public && is_set_up { settings.language } else { origin.language };
    let now = ctx.clock.now();
    let span = request.period.span(settings.time_zone, now);
    let key = key(request, entitled, language, span.end.as_secs(), freshness.version, revision);
    let cached = ctx
        .cache
        .get_or_load(origin.guild, &key, ANSWER_TTL, async || {
            let figures = gather(ctx, &mut db, origin.guild, request, entitled, settings.time_zone, now).await?;
            answer::build(language, request, settings.time_zone, figures, ingested_at, is_set_up, now).await
        })
        .await?;
    Ok(Reply::Message(Message { ephemeral: !public, ..cached.into_message()? }))
}

fn key(request: Request, entitled: bool, language: Language, end: i64, version: i64, revision: i64) -> String {
    let subject = match request.subject {
        Subject::Server => "server".to_owned(),
        Subject::Member(member) => format!("member-{member}"),
        Subject::Channel(channel, _) => format!("channel-{channel}"),
    };
    let reach = if entitled { "all" } else { "own" };
    format!("stats2:{subject}:{reach}:{}:{language}:{end}:{version}:{revision}", request.period.name())
}
