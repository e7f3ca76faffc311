//! Channels and the permissions that differ in them.

use axum::Router;
use axum::extract::State;
use axum::routing::{get, post, put};
use guildhall_domain::{ChannelId, GuildId, RoleId, Timestamp, UserId};
use http::StatusCode;
use serde::Deserialize;
use serde_json::json;

use super::error::{ApiError, FormErrors};
use super::extract::{Answer, Answered, Bot, Form, Ids};
use super::{Api, access};
use crate::world::ids::Snowflake;
use crate::world::permissions::Overwrite;
use crate::world::thread::ThreadChange;
use crate::world::{ChannelDraft, ChannelKind, Guild, Missing, Permissions, intents};

pub(super) fn routes() -> Router<Api> {
    Router::new()
        .route("/guilds/{guild}/channels", get(list).post(create).patch(positions))
        .route("/channels/{channel}", get(one).patch(update).delete(delete))
        .route("/channels/{channel}/permissions/{overwrite}", put(overwrite).delete(remove_overwrite))
        .route("/channels/{channel}/typing", post(typing))
}

async fn list(State(api): State<Api>, bot: Bot, Ids(id): Ids<GuildId>) -> Answered {
    let guild = api.guild(id)?;
    access::in_guild(&guild, bot.user(), Permissions::NONE, api.now())?;
    let mut channels: Vec<_> = guild.channels().collect();
    channels.sort_by_key(|channel| (channel.position, channel.id));
    Answer::json(&channels.iter().map(|channel| channel.json(id)).collect::<Vec<_>>())
}

async fn create(State(api): State<Api>, bot: Bot, Ids(id): Ids<GuildId>, Form(draft): Form<ChannelDraft>) -> Answered {
    check(&draft, true)?;
    let now = api.now();
    let mut guild = api.guild(id)?;
    access::in_guild(&guild, bot.user(), Permissions::MANAGE_CHANNELS, now)?;
    if draft.kind.is_some_and(ChannelKind::is_thread) {
        return Err(ApiError::invalid_field("type", "BASE_TYPE_CHOICES", "Value is not a type that can be made here."));
    }
    if guild.channels().count() >= 500 {
        return Err(ApiError::new(StatusCode::BAD_REQUEST, 30_013, "Maximum number of guild channels reached (500)"));
    }
    parent(&guild, &draft)?;
    overwrites(&guild, &bot, draft.overwrites.as_deref().unwrap_or_default(), now)?;
    let channel = guild.channel_create(draft, bot.by(), now);
    Answer::created(&guild.channel(channel)?.json(id))
}

#[derive(Debug, Deserialize)]
struct Position {
    id: ChannelId,
    position: Option<i32>,
    #[serde(default, deserialize_with = "crate::world::present")]
    parent_id: Option<Option<ChannelId>>,
}

async fn positions(
    State(api): State<Api>,
    bot: Bot,
    Ids(id): Ids<GuildId>,
    Form(wanted): Form<Vec<Position>>,
) -> Answered {
    let mut guild = api.guild(id)?;
    access::in_guild(&guild, bot.user(), Permissions::MANAGE_CHANNELS, api.now())?;
    for entry in &wanted {
        guild.channel(entry.id)?;
    }
    for entry in wanted {
        let draft = ChannelDraft { position: entry.position, parent: entry.parent_id, ..ChannelDraft::default() };
        guild.channel_update(entry.id, draft, bot.by(), api.now())?;
    }
    Answer::empty()
}

async fn one(State(api): State<Api>, bot: Bot, Ids(channel): Ids<ChannelId>) -> Answered {
    let guild = api.guild_of(channel)?;
    access::in_channel(&guild, channel, bot.user(), Permissions::NONE, api.now())?;
    Answer::json(&guild.channel(channel)?.json(guild.id))
}

async fn update(
    State(api): State<Api>,
    bot: Bot,
    Ids(channel): Ids<ChannelId>,
    Form(form): Form<serde_json::Value>,
) -> Answered {
    let now = api.now();
    let mut guild = api.guild_of(channel)?;
    if guild.channel(channel)?.thread.is_some() {
        let change: ThreadChange = parse(form)?;
        access::in_channel(&guild, channel, bot.user(), Permissions::MANAGE_THREADS, now)?;
        guild.thread_update(channel, change, bot.by(), now)?;
    } else {
        let draft: ChannelDraft = parse(form)?;
        check(&draft, false)?;
        access::in_channel(&guild, channel, bot.user(), Permissions::MANAGE_CHANNELS, now)?;
        parent(&guild, &draft)?;
        if let Some(wanted) = &draft.overwrites {
            access::in_channel(&guild, channel, bot.user(), Permissions::MANAGE_ROLES, now)?;
            overwrites(&guild, &bot, wanted, now)?;
        }
        guild.channel_update(channel, draft, bot.by(), now)?;
    }
    Answer::json(&guild.channel(channel)?.json(guild.id))
}

async fn delete(State(api): State<Api>, bot: Bot, Ids(channel): Ids<ChannelId>) -> Answered {
    let mut guild = api.guild_of(channel)?;
    let thread = guild.channel(channel)?.thread.is_some();
    let needed = if thread { Permissions::MANAGE_THREADS } else { Permissions::MANAGE_CHANNELS };
    access::in_channel(&guild, channel, bot.user(), needed, api.now())?;
    let gone = serde_json::to_value(guild.channel(channel)?.json(guild.id)).unwrap_or_default();
    if thread {
        guild.thread_delete(channel, bot.by(), api.now())?;
    } else {
        guild.channel_delete(channel, bot.by(), api.now())?;
    }
    Answer::json(&gone)
}

#[derive(Debug, Deserialize)]
struct OverwriteForm {
    #[serde(rename = "type")]
    kind: u8,
    #[serde(default)]
    allow: Option<Permissions>,
    #[serde(default)]
    deny: Option<Permissions>,
}

async fn overwrite(
    State(api): State<Api>,
    bot: Bot,
    Ids((channel, id)): Ids<(ChannelId, Snowflake)>,
    Form(form): Form<OverwriteForm>,
) -> Answered {
    let now = api.now();
    let mut guild = api.guild_of(channel)?;
    access::in_channel(&guild, channel, bot.user(), Permissions::MANAGE_ROLES, now)?;
    let (allow, deny) = (form.allow.unwrap_or_default(), form.deny.unwrap_or_default());
    let wanted = Overwrite { id, kind: form.kind, allow, deny };
    overwrites(&guild, &bot, &[wanted], now)?;
    guild.overwrite_set(channel, wanted, bot.by(), now)?;
    Answer::empty()
}

async fn remove_overwrite(
    State(api): State<Api>,
    bot: Bot,
    Ids((channel, id)): Ids<(ChannelId, Snowflake)>,
) -> Answered {
    let mut guild = api.guild_of(channel)?;
    access::in_channel(&guild, channel, bot.user(), Permissions::MANAGE_ROLES, api.now())?;
    guild.overwrite_remove(channel, id, bot.by(), api.now())?;
    Answer::empty()
}

async fn typing(State(api): State<Api>, bot: Bot, Ids(channel): Ids<ChannelId>) -> Answered {
    let now = api.now();
    let guild = api.guild_of(channel)?;
    access::in_channel(&guild, channel, bot.user(), Permissions::SEND_MESSAGES, now)?;
    let event = json!({
        "guild_id": guild.id,
        "channel_id": channel,
        "user_id": bot.user(),
        "timestamp": now.as_secs(),
        "member": guild.member(bot.user())?.full(),
    });
    guild.emit("TYPING_START", intents::GUILD_MESSAGE_TYPING, &event, Vec::new());
    Answer::empty()
}

fn parse<T: serde::de::DeserializeOwned>(form: serde_json::Value) -> Result<T, ApiError> {
    serde_json::from_value(form)
        .map_err(|problem| ApiError::invalid_field("", "BASE_TYPE_INVALID", &problem.to_string()))
}

fn check(draft: &ChannelDraft, new: bool) -> Result<(), ApiError> {
    let mut problems = FormErrors::default();
    match &draft.name {
        Some(name) if !(1..=100).contains(&name.chars().count()) => {
            problems.add("name", "BASE_TYPE_BAD_LENGTH", "Must be between 1 and 100 in length.");
        }
        None if new => problems.add("name", "BASE_TYPE_REQUIRED", "This field is required"),
        _ => {}
    }
    if draft.topic.iter().flatten().any(|topic| topic.chars().count() > 1_024) {
        problems.add("topic", "BASE_TYPE_MAX_LENGTH", "Must be 1024 or fewer in length.");
    }
    if draft.slowmode.is_some_and(|seconds| !(0..=21_600).contains(&seconds)) {
        problems.add("rate_limit_per_user", "NUMBER_TYPE_MAX", "int value should be between 0 and 21600.");
    }
    problems.finish()
}

fn parent(guild: &Guild, draft: &ChannelDraft) -> Result<(), ApiError> {
    let Some(Some(parent)) = draft.parent else { return Ok(()) };
    match guild.channel(parent) {
        Ok(channel) if channel.kind == ChannelKind::Category => Ok(()),
        _ => Err(ApiError::invalid_field("parent_id", "CHANNEL_PARENT_INVALID_TYPE", "Not a category")),
    }
}

/// Each overwrite must name a role or a member of the guild, and grant or deny only what the caller holds.
fn overwrites(guild: &Guild, bot: &Bot, wanted: &[Overwrite], now: Timestamp) -> Result<(), ApiError> {
    for overwrite in wanted {
        match overwrite.kind {
            0 => guild.role(RoleId::from_db(overwrite.id.0.cast_signed())).map(drop)?,
            1 => api_member(guild, UserId::from_db(overwrite.id.0.cast_signed()))?,
            _ => return Err(ApiError::invalid_field("type", "BASE_TYPE_CHOICES", "Value must be one of (0, 1).")),
        }
        access::holds(guild, bot.user(), overwrite.allow.with(overwrite.deny), now)?;
    }
    Ok(())
}

fn api_member(guild: &Guild, user: UserId) -> Result<(), ApiError> {
    guild.member(user).map(drop).map_err(|_| Missing::Overwrite.into())
}
