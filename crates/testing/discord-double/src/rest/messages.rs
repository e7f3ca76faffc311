//! Messages and pins.

pub(crate) mod body;
mod components;
mod embeds;

use axum::Router;
use axum::extract::State;
use axum::routing::{get, post, put};
use guildhall_domain::{ChannelId, MessageId, Timestamp};
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use self::body::MessageForm;
use super::error::ApiError;
use super::extract::{Answer, Answered, Asked, Bot, Form, Ids};
use super::members::between;
use super::{Api, access};
use crate::world::audit::{Action, Entry};
use crate::world::ids::Iso;
use crate::world::message::Message;
use crate::world::{Author, Guild, Missing, Permissions};

/// Messages older than this cannot be deleted in bulk: 14 days.
const BULK_AGE_MILLIS: i64 = 14 * 86_400_000;
/// Pins a channel holds.
const PINS: usize = 250;

pub(super) fn routes() -> Router<Api> {
    Router::new()
        .route("/channels/{channel}/messages", get(list).post(create))
        .route("/channels/{channel}/messages/bulk-delete", post(bulk_delete))
        .route("/channels/{channel}/messages/pins", get(pins))
        .route("/channels/{channel}/messages/pins/{message}", put(pin).delete(unpin))
        .route("/channels/{channel}/messages/{message}", get(one).patch(edit).delete(delete))
        .route("/channels/{channel}/pins", get(old_pins))
        .route("/channels/{channel}/pins/{message}", put(pin).delete(unpin))
}

#[derive(Debug, Deserialize)]
struct Page {
    around: Option<MessageId>,
    before: Option<MessageId>,
    after: Option<MessageId>,
    limit: Option<usize>,
}

async fn list(State(api): State<Api>, bot: Bot, Ids(channel): Ids<ChannelId>, Asked(page): Asked<Page>) -> Answered {
    let limit = between(page.limit.unwrap_or(50), 100)?;
    let guild = api.guild_of(channel)?;
    access::in_channel(&guild, channel, bot.user(), Permissions::NONE, api.now())?;
    if !guild.channel_permissions(channel, bot.user(), api.now()).has(Permissions::READ_MESSAGE_HISTORY) {
        return Answer::json::<[(); 0]>(&[]);
    }
    let mut messages: Vec<&Message> = guild.messages(channel)?.collect();
    messages.sort_unstable_by_key(|message| std::cmp::Reverse(message.id));
    if let Some(before) = page.before {
        messages.retain(|message| message.id < before);
    } else if let Some(after) = page.after {
        messages.retain(|message| message.id > after);
        messages.drain(..messages.len().saturating_sub(limit));
    } else if let Some(around) = page.around {
        let middle = messages.partition_point(|message| message.id > around);
        messages.drain(..middle.saturating_sub(limit / 2));
    }
    messages.truncate(limit);
    let place = guild.channel(channel)?;
    Answer::json(&messages.iter().map(|message| guild.message_json(place, message)).collect::<Vec<_>>())
}

async fn one(State(api): State<Api>, bot: Bot, Ids((channel, message)): Ids<(ChannelId, MessageId)>) -> Answered {
    let guild = api.guild_of(channel)?;
    access::in_channel(&guild, channel, bot.user(), Permissions::READ_MESSAGE_HISTORY, api.now())?;
    show(&guild, channel, message)
}

async fn create(State(api): State<Api>, bot: Bot, Ids(channel): Ids<ChannelId>, form: MessageForm) -> Answered {
    let now = api.now();
    let mut guild = api.guild_of(channel)?;
    let needed = match guild.channel(channel)?.thread {
        Some(_) => Permissions::SEND_MESSAGES_IN_THREADS,
        None => Permissions::SEND_MESSAGES,
    };
    access::in_channel(&guild, channel, bot.user(), needed, now)?;
    if !guild.channel(channel)?.kind.has_messages() {
        let message = "Cannot execute action on this channel type";
        return Err(ApiError::new(StatusCode::BAD_REQUEST, 50_024, message));
    }
    if form.has_files() {
        access::in_channel(&guild, channel, bot.user(), Permissions::ATTACH_FILES, now)?;
    }
    if form.is_reply() {
        access::in_channel(&guild, channel, bot.user(), Permissions::READ_MESSAGE_HISTORY, now)?;
    }
    let draft = form.draft(&api, channel)?;
    if let Some((_, Some(referred))) = draft.reference {
        guild
            .message(channel, referred)
            .map_err(|_| ApiError::invalid_field("message_reference", "REPLIES_UNKNOWN_MESSAGE", "Unknown message"))?;
    }
    let message = guild.post(channel, Author::Account(bot.user()), draft, now)?;
    show(&guild, channel, message)
}

async fn edit(
    State(api): State<Api>,
    bot: Bot,
    Ids((channel, message)): Ids<(ChannelId, MessageId)>,
    form: MessageForm,
) -> Answered {
    let mut guild = api.guild_of(channel)?;
    access::in_channel(&guild, channel, bot.user(), Permissions::NONE, api.now())?;
    let target = guild.message(channel, message)?;
    if target.author.id != bot.user() {
        return Err(ApiError::new(StatusCode::FORBIDDEN, 50_005, "Cannot edit a message authored by another user"));
    }
    let edit = form.edit(&api, channel, target)?;
    guild.edit(channel, message, edit, api.now())?;
    show(&guild, channel, message)
}

async fn delete(State(api): State<Api>, bot: Bot, Ids((channel, message)): Ids<(ChannelId, MessageId)>) -> Answered {
    let mut guild = api.guild_of(channel)?;
    access::in_channel(&guild, channel, bot.user(), Permissions::NONE, api.now())?;
    let author = guild.message(channel, message)?.author.id;
    if author != bot.user() {
        access::in_channel(&guild, channel, bot.user(), Permissions::MANAGE_MESSAGES, api.now())?;
    }
    guild.delete_message(channel, message)?;
    // What someone deletes of their own is nobody else's business.
    if author != bot.user() {
        let mut entry = Entry::new(Action::MessageDelete, author.get());
        entry.options.insert("channel_id".to_owned(), json!(channel));
        entry.options.insert("count".to_owned(), json!("1"));
        guild.audit(entry, bot.by(), api.now());
    }
    Answer::empty()
}

#[derive(Debug, Deserialize)]
struct BulkForm {
    messages: Vec<MessageId>,
}

async fn bulk_delete(
    State(api): State<Api>,
    bot: Bot,
    Ids(channel): Ids<ChannelId>,
    Form(form): Form<BulkForm>,
) -> Answered {
    let now = api.now();
    let mut guild = api.guild_of(channel)?;
    access::in_channel(&guild, channel, bot.user(), Permissions::MANAGE_MESSAGES, now)?;
    if !(2..=100).contains(&form.messages.len()) {
        let message = "Provided too few or too many messages to delete. Must provide at least 2 and fewer than 100 \
                       messages to delete";
        return Err(ApiError::new(StatusCode::BAD_REQUEST, 50_016, message));
    }
    if form.messages.iter().any(|message| now.millis_since(message.created_at()) > BULK_AGE_MILLIS) {
        let message = "A message provided was too old to bulk delete";
        return Err(ApiError::new(StatusCode::BAD_REQUEST, 50_034, message));
    }
    let gone = guild.delete_messages(channel, &form.messages)?;
    if gone > 0 {
        let mut entry = Entry::new(Action::MessageBulkDelete, channel.get());
        entry.options.insert("count".to_owned(), json!(gone.to_string()));
        guild.audit(entry, bot.by(), now);
    }
    Answer::empty()
}

async fn pins(State(api): State<Api>, bot: Bot, Ids(channel): Ids<ChannelId>) -> Answered {
    let guild = api.guild_of(channel)?;
    let items: Vec<Value> = pinned(&guild, &bot, channel, &api)?
        .into_iter()
        .map(|(at, message)| json!({ "pinned_at": Iso(at), "message": message }))
        .collect();
    Answer::json(&json!({ "items": items, "has_more": false }))
}

async fn old_pins(State(api): State<Api>, bot: Bot, Ids(channel): Ids<ChannelId>) -> Answered {
    let guild = api.guild_of(channel)?;
    let messages = pinned(&guild, &bot, channel, &api)?.into_iter().map(|(_, message)| message);
    Answer::json(&messages.collect::<Vec<_>>())
}

fn pinned(guild: &Guild, bot: &Bot, channel: ChannelId, api: &Api) -> Result<Vec<(Timestamp, Value)>, ApiError> {
    access::in_channel(guild, channel, bot.user(), Permissions::NONE, api.now())?;
    let place = guild.channel(channel)?;
    let mut pinned: Vec<_> = guild.messages(channel)?.filter_map(|message| Some((message.pinned?, message))).collect();
    pinned.sort_by_key(|(at, _)| std::cmp::Reverse(*at));
    Ok(pinned.into_iter().map(|(at, message)| (at, json!(guild.message_json(place, message)))).collect())
}

async fn pin(State(api): State<Api>, bot: Bot, Ids((channel, message)): Ids<(ChannelId, MessageId)>) -> Answered {
    let mut guild = api.guild_of(channel)?;
    access::in_channel(&guild, channel, bot.user(), Permissions::PIN_MESSAGES, api.now())?;
    if guild.messages(channel)?.filter(|message| message.pinned.is_some()).count() >= PINS {
        return Err(ApiError::new(StatusCode::BAD_REQUEST, 30_003, "Maximum number of pins reached for the channel"));
    }
    guild.pin(channel, message, true, bot.by(), api.now())?;
    Answer::empty()
}

async fn unpin(State(api): State<Api>, bot: Bot, Ids((channel, message)): Ids<(ChannelId, MessageId)>) -> Answered {
    let mut guild = api.guild_of(channel)?;
    access::in_channel(&guild, channel, bot.user(), Permissions::PIN_MESSAGES, api.now())?;
    guild.pin(channel, message, false, bot.by(), api.now())?;
    Answer::empty()
}

fn show(guild: &Guild, channel: ChannelId, message: MessageId) -> Answered {
    let place = guild.channel(channel)?;
    Answer::json(&guild.message_json(place, guild.message(channel, message).map_err(|_| Missing::Message)?))
}
