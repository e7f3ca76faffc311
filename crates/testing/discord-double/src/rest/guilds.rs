//! Guilds: their settings, preview and audit log.

use axum::Router;
use axum::extract::State;
use axum::routing::get;
use guildhall_domain::{GuildId, UserId};
use serde::Deserialize;
use serde_json::{Value, json};

use super::error::ApiError;
use super::extract::{Answer, Answered, Asked, Bot, Form, Ids};
use super::{Api, access};
use crate::world::ids::Snowflake;
use crate::world::{GuildChange, Permissions};

pub(super) fn routes() -> Router<Api> {
    Router::new()
        .route("/guilds/{guild}", get(guild).patch(update))
        .route("/guilds/{guild}/preview", get(preview))
        .route("/guilds/{guild}/audit-logs", get(audit_log))
        .route("/guilds/{guild}/regions", get(regions))
}

#[derive(Debug, Deserialize)]
struct Counts {
    #[serde(default)]
    with_counts: bool,
}

async fn guild(State(api): State<Api>, bot: Bot, Ids(id): Ids<GuildId>, Asked(counts): Asked<Counts>) -> Answered {
    let guild = api.guild(id)?;
    access::in_guild(&guild, bot.user(), Permissions::NONE, api.now())?;
    if counts.with_counts { Answer::json(&guild.json_with_counts()) } else { Answer::json(&guild.json()) }
}

async fn update(State(api): State<Api>, bot: Bot, Ids(id): Ids<GuildId>, Form(change): Form<GuildChange>) -> Answered {
    if change.name.as_ref().is_some_and(|name| !(2..=100).contains(&name.chars().count())) {
        return Err(ApiError::invalid_field("name", "BASE_TYPE_BAD_LENGTH", "Must be between 2 and 100 in length."));
    }
    let mut guild = api.guild(id)?;
    access::in_guild(&guild, bot.user(), Permissions::MANAGE_GUILD, api.now())?;
    if let Some(Some(channel)) = change.system_channel {
        guild.channel(channel)?;
    }
    guild.update(change, bot.by(), api.now());
    Answer::json(&guild.json())
}

async fn preview(State(api): State<Api>, _: Bot, Ids(id): Ids<GuildId>) -> Answered {
    let guild = api.guild(id)?;
    Answer::json(&json!({
        "id": guild.id,
        "name": guild.name,
        "icon": null,
        "description": guild.description,
        "home_header": null,
        "splash": null,
        "discovery_splash": null,
        "features": [],
        "approximate_member_count": guild.member_count(),
        "approximate_presence_count": guild.online(),
        "emojis": [],
        "stickers": [],
    }))
}

#[derive(Debug, Deserialize)]
struct LogPage {
    user_id: Option<UserId>,
    action_type: Option<u8>,
    before: Option<Snowflake>,
    after: Option<Snowflake>,
    limit: Option<usize>,
}

async fn audit_log(State(api): State<Api>, bot: Bot, Ids(id): Ids<GuildId>, Asked(page): Asked<LogPage>) -> Answered {
    let guild = api.guild(id)?;
    access::in_guild(&guild, bot.user(), Permissions::VIEW_AUDIT_LOG, api.now())?;
    let wanted = |entry: &&crate::world::audit::Written| {
        page.user_id.is_none_or(|user| entry.user_id == user)
            && page.action_type.is_none_or(|action| entry.action_type == action)
            && page.before.is_none_or(|before| entry.id < before)
            && page.after.is_none_or(|after| entry.id > after)
    };
    let limit = page.limit.unwrap_or(50).clamp(1, 100);
    // After an entry the log reads upwards, otherwise from the newest down.
    let entries: Vec<_> = if page.after.is_some() {
        guild.audit_log().filter(wanted).take(limit).collect()
    } else {
        guild.audit_log().rev().filter(wanted).take(limit).collect()
    };
    let mut named: Vec<UserId> = entries.iter().map(|entry| entry.user_id).collect();
    named.extend(entries.iter().filter_map(|entry| UserId::new(entry.target_id?.0)));
    named.sort_unstable();
    named.dedup();
    let users: Vec<Value> = named.into_iter().filter_map(|user| Some(json!(*api.world.user(user)?))).collect();
    Answer::json(&json!({
        "audit_log_entries": entries,
        "users": users,
        "integrations": [],
        "webhooks": [],
        "guild_scheduled_events": [],
        "threads": [],
        "application_commands": [],
        "auto_moderation_rules": [],
    }))
}

async fn regions(State(api): State<Api>, _: Bot, Ids(id): Ids<GuildId>) -> Answered {
    api.guild(id).map(drop)?;
    Answer::json(&json!([
        { "id": "rotterdam", "name": "Rotterdam", "custom": false, "deprecated": false, "optimal": true },
    ]))
}
