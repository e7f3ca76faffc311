//! Reactions.

use axum::Router;
use axum::extract::State;
use axum::routing::{delete, get, put};
use guildhall_domain::{ChannelId, MessageId, UserId};
use http::StatusCode;
use serde::Deserialize;
use serde_json::json;

use super::error::ApiError;
use super::extract::{Answer, Answered, Asked, Bot, Ids};
use super::members::between;
use super::{Api, access};
use crate::world::{Emoji, Permissions};

/// Different emoji a message can carry.
const EMOJI: usize = 20;

type Which = (ChannelId, MessageId, String);

pub(super) fn routes() -> Router<Api> {
    let base = "/channels/{channel}/messages/{message}/reactions";
    Router::new()
        .route(base, delete(clear))
        .route(&format!("{base}/{{emoji}}"), get(list).delete(clear_emoji))
        .route(&format!("{base}/{{emoji}}/@me"), put(add).delete(take_back))
        .route(&format!("{base}/{{emoji}}/{{user}}"), delete(remove))
}

#[derive(Debug, Deserialize)]
struct Page {
    after: Option<UserId>,
    limit: Option<usize>,
}

async fn list(
    State(api): State<Api>,
    bot: Bot,
    Ids((channel, message, emoji)): Ids<Which>,
    Asked(page): Asked<Page>,
) -> Answered {
    let limit = between(page.limit.unwrap_or(25), 100)?;
    let emoji = Emoji::from_path(&emoji);
    let guild = api.guild_of(channel)?;
    access::in_channel(&guild, channel, bot.user(), Permissions::READ_MESSAGE_HISTORY, api.now())?;
    let message = guild.message(channel, message)?;
    let reaction = message.reactions.iter().find(|reaction| reaction.emoji.same(&emoji));
    let mut users: Vec<UserId> = reaction.map(|reaction| reaction.users.clone()).unwrap_or_default();
    users.sort_unstable();
    users.retain(|user| page.after.is_none_or(|after| *user > after));
    users.truncate(limit);
    Answer::json(&users.iter().filter_map(|user| Some(json!(*api.world.user(*user)?))).collect::<Vec<_>>())
}

async fn add(State(api): State<Api>, bot: Bot, Ids((channel, message, emoji)): Ids<Which>) -> Answered {
    let emoji = Emoji::from_path(&emoji);
    let mut guild = api.guild_of(channel)?;
    access::in_channel(&guild, channel, bot.user(), Permissions::READ_MESSAGE_HISTORY, api.now())?;
    let reactions = &guild.message(channel, message)?.reactions;
    // Joining a reaction that is already there needs no permission.
    if !reactions.iter().any(|reaction| reaction.emoji.same(&emoji)) {
        access::in_channel(&guild, channel, bot.user(), Permissions::ADD_REACTIONS, api.now())?;
        if reactions.len() >= EMOJI {
            return Err(ApiError::new(StatusCode::BAD_REQUEST, 30_010, "Maximum number of reactions reached (20)"));
        }
    }
    if emoji.id.is_none() && (emoji.name.is_empty() || emoji.name.chars().all(|c| c.is_ascii_alphanumeric())) {
        return Err(ApiError::new(StatusCode::BAD_REQUEST, 10_014, "Unknown Emoji"));
    }
    guild.add_reaction(channel, message, bot.user(), &emoji)?;
    Answer::empty()
}

async fn take_back(State(api): State<Api>, bot: Bot, Ids((channel, message, emoji)): Ids<Which>) -> Answered {
    let mut guild = api.guild_of(channel)?;
    access::in_channel(&guild, channel, bot.user(), Permissions::NONE, api.now())?;
    guild.remove_reaction(channel, message, bot.user(), &Emoji::from_path(&emoji))?;
    Answer::empty()
}

async fn remove(
    State(api): State<Api>,
    bot: Bot,
    Ids((channel, message, emoji, user)): Ids<(ChannelId, MessageId, String, UserId)>,
) -> Answered {
    let mut guild = api.guild_of(channel)?;
    access::in_channel(&guild, channel, bot.user(), Permissions::MANAGE_MESSAGES, api.now())?;
    guild.remove_reaction(channel, message, user, &Emoji::from_path(&emoji))?;
    Answer::empty()
}

async fn clear_emoji(State(api): State<Api>, bot: Bot, Ids((channel, message, emoji)): Ids<Which>) -> Answered {
    let mut guild = api.guild_of(channel)?;
    access::in_channel(&guild, channel, bot.user(), Permissions::MANAGE_MESSAGES, api.now())?;
    guild.clear_reactions(channel, message, Some(&Emoji::from_path(&emoji)))?;
    Answer::empty()
}

async fn clear(State(api): State<Api>, bot: Bot, Ids((channel, message)): Ids<(ChannelId, MessageId)>) -> Answered {
    let mut guild = api.guild_of(channel)?;
    access::in_channel(&guild, channel, bot.user(), Permissions::MANAGE_MESSAGES, api.now())?;
    guild.clear_reactions(channel, message, None)?;
    Answer::empty()
}
