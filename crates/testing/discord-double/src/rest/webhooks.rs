//! Webhooks. The routes below `/webhooks/{id}/{token}` also serve interactions, whose application id and token take the
//! place of a webhook's.
//!
//! **Invariant:** a token in the path is authority enough; no header is asked for.

use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use guildhall_domain::{ChannelId, GuildId, MessageId};
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use super::error::ApiError;
use super::extract::{Answer, Answered, Asked, Bot, Form, Ids};
use super::messages::body::MessageForm;
use super::{Api, access};
use crate::world::ids::Snowflake;
use crate::world::invite::Webhook;
use crate::world::{Author, Edit, Guild, Missing, Permissions};

pub(super) fn routes() -> Router<Api> {
    Router::new()
        .route("/channels/{channel}/webhooks", get(of_channel).post(create))
        .route("/guilds/{guild}/webhooks", get(of_guild))
        .route("/webhooks/{webhook}", get(one).delete(delete))
        .route("/webhooks/{webhook}/{token}", post(execute).get(with_token))
        .route("/webhooks/{webhook}/{token}/messages/{message}", get(message).patch(edit).delete(delete_message))
}

async fn of_channel(State(api): State<Api>, bot: Bot, Ids(channel): Ids<ChannelId>) -> Answered {
    let guild = api.guild_of(channel)?;
    access::in_channel(&guild, channel, bot.user(), Permissions::MANAGE_WEBHOOKS, api.now())?;
    let webhooks = guild.webhooks().filter(|webhook| webhook.channel == channel);
    Answer::json(&webhooks.map(|webhook| json(&api, &guild, webhook, true)).collect::<Vec<_>>())
}

async fn of_guild(State(api): State<Api>, bot: Bot, Ids(id): Ids<GuildId>) -> Answered {
    let guild = api.guild(id)?;
    access::in_guild(&guild, bot.user(), Permissions::MANAGE_WEBHOOKS, api.now())?;
    Answer::json(&guild.webhooks().map(|webhook| json(&api, &guild, webhook, true)).collect::<Vec<_>>())
}

#[derive(Debug, Deserialize)]
struct WebhookForm {
    name: String,
}

async fn create(
    State(api): State<Api>,
    bot: Bot,
    Ids(channel): Ids<ChannelId>,
    Form(form): Form<WebhookForm>,
) -> Answered {
    if !(1..=80).contains(&form.name.chars().count()) {
        return Err(ApiError::invalid_field("name", "BASE_TYPE_BAD_LENGTH", "Must be between 1 and 80 in length."));
    }
    let mut guild = api.guild_of(channel)?;
    access::in_channel(&guild, channel, bot.user(), Permissions::MANAGE_WEBHOOKS, api.now())?;
    let id = guild.webhook_create(channel, &form.name, bot.by(), api.now())?;
    Answer::json(&json(&api, &guild, guild.webhook(id)?, true))
}

async fn one(State(api): State<Api>, bot: Bot, Ids(id): Ids<Snowflake>) -> Answered {
    let guild = of(&api, id)?;
    let webhook = guild.webhook(id)?;
    access::in_channel(&guild, webhook.channel, bot.user(), Permissions::MANAGE_WEBHOOKS, api.now())?;
    Answer::json(&json(&api, &guild, webhook, true))
}

async fn with_token(State(api): State<Api>, Ids((id, token)): Ids<(Snowflake, String)>) -> Answered {
    let guild = of(&api, id)?;
    Answer::json(&json(&api, &guild, with(&guild, id, &token)?, false))
}

async fn delete(State(api): State<Api>, bot: Bot, Ids(id): Ids<Snowflake>) -> Answered {
    let mut guild = of(&api, id)?;
    let channel = guild.webhook(id)?.channel;
    access::in_channel(&guild, channel, bot.user(), Permissions::MANAGE_WEBHOOKS, api.now())?;
    guild.webhook_delete(id, bot.by(), api.now())?;
    Answer::empty()
}

#[derive(Debug, Deserialize)]
struct Execution {
    #[serde(default)]
    wait: bool,
}

async fn execute(
    State(api): State<Api>,
    Ids((id, token)): Ids<(Snowflake, String)>,
    Asked(execution): Asked<Execution>,
    form: MessageForm,
) -> Result<Response, ApiError> {
    if id.0 == api.config.application_id.get() {
        return Ok(crate::interactions::follow_up(&api, &token, form)?.into_response());
    }
    let mut guild = of(&api, id)?;
    let webhook = with(&guild, id, &token)?;
    let (channel, name) = (webhook.channel, form.username.clone().unwrap_or_else(|| webhook.name.clone()));
    let draft = form.draft(&api, channel)?;
    let message = guild.post(channel, Author::Webhook { id, name }, draft, api.now())?;
    if !execution.wait {
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    Ok(Answer::json(&guild.message_json(guild.channel(channel)?, guild.message(channel, message)?))?.into_response())
}

async fn message(State(api): State<Api>, Ids((id, token, which)): Ids<(Snowflake, String, String)>) -> Answered {
    if id.0 == api.config.application_id.get() {
        return crate::interactions::show(&api, &token, &which);
    }
    let guild = of(&api, id)?;
    let (channel, message) = written(&guild, id, &token, &which)?;
    Answer::json(&guild.message_json(guild.channel(channel)?, guild.message(channel, message)?))
}

async fn edit(
    State(api): State<Api>,
    Ids((id, token, which)): Ids<(Snowflake, String, String)>,
    form: MessageForm,
) -> Answered {
    if id.0 == api.config.application_id.get() {
        return crate::interactions::edit(&api, &token, &which, form);
    }
    let mut guild = of(&api, id)?;
    let (channel, message) = written(&guild, id, &token, &which)?;
    let edit: Edit = form.edit(&api, channel, guild.message(channel, message)?)?;
    guild.edit(channel, message, edit, api.now())?;
    Answer::json(&guild.message_json(guild.channel(channel)?, guild.message(channel, message)?))
}

async fn delete_message(State(api): State<Api>, Ids((id, token, which)): Ids<(Snowflake, String, String)>) -> Answered {
    if id.0 == api.config.application_id.get() {
        return crate::interactions::delete(&api, &token, &which);
    }
    let mut guild = of(&api, id)?;
    let (channel, message) = written(&guild, id, &token, &which)?;
    guild.delete_message(channel, message)?;
    Answer::empty()
}

fn of(api: &Api, webhook: Snowflake) -> Result<std::sync::MutexGuard<'_, Guild>, ApiError> {
    let guild: GuildId = api.world.guild_of_webhook(webhook).ok_or(Missing::Webhook)?;
    api.guild(guild)
}

fn with<'a>(guild: &'a Guild, id: Snowflake, token: &str) -> Result<&'a Webhook, ApiError> {
    let webhook = guild.webhook(id)?;
    if webhook.token == token {
        return Ok(webhook);
    }
    Err(ApiError::new(StatusCode::UNAUTHORIZED, 50_027, "Invalid Webhook Token"))
}

/// A message the webhook wrote itself.
fn written(guild: &Guild, id: Snowflake, token: &str, which: &str) -> Result<(ChannelId, MessageId), ApiError> {
    let channel = with(guild, id, token)?.channel;
    let message: MessageId = which.parse().map_err(|_| Missing::Message)?;
    if guild.message(channel, message)?.webhook == Some(id) {
        Ok((channel, message))
    } else {
        Err(Missing::Message.into())
    }
}

fn json(api: &Api, guild: &Guild, webhook: &Webhook, maker: bool) -> Value {
    let mut body = json!({
        "id": webhook.id,
        "type": 1,
        "name": webhook.name,
        "avatar": null,
        "channel_id": webhook.channel,
        "guild_id": guild.id,
        "application_id": webhook.application,
        "token": webhook.token,
        "url": format!("{}/api/webhooks/{}/{}", api.base_url, webhook.id, webhook.token),
    });
    if maker {
        body["user"] = api.world.user(webhook.user).map_or(Value::Null, |user| json!(*user));
    }
    body
}
