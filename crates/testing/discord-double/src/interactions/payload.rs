//! What Discord sends to the application: the parts every interaction has.
//!
//! **Invariant:** permissions in a payload are computed for the channel, overwrites included.

use guildhall_domain::{ChannelId, GuildId, UserId};
use serde_json::{Value, json};

use super::session::{Kind, Session};
use crate::rest::Api;
use crate::world::Guild;

/// The payload of an interaction by a member in a guild.
pub(super) fn of(api: &Api, guild: &Guild, session: &Session, data: &Value, locale: &str) -> Value {
    let now = api.now();
    let (channel, user) = (session.channel, session.user);
    let permissions = guild.channel_permissions(channel, user, now);
    let member = guild.member(user).map(|member| json!(member.with_permissions(permissions))).unwrap_or_default();
    let mut place = guild.channel(channel).map(|channel| json!(channel.json(guild.id))).unwrap_or_default();
    place["permissions"] = json!(permissions);
    json!({
        "id": session.id,
        "application_id": api.config.application_id,
        "type": session.kind as u8,
        "data": data,
        "guild": { "id": guild.id, "locale": guild.locale, "features": [] },
        "guild_id": guild.id,
        "channel": place,
        "channel_id": channel,
        "member": member,
        "token": session.token,
        "version": 1,
        "app_permissions": guild.channel_permissions(channel, api.world.bot_id(), now),
        "locale": locale,
        "guild_locale": guild.locale,
        "entitlements": [],
        "authorizing_integration_owners": { "0": guild.id },
        "context": 0,
        "attachment_size_limit": 10_485_760,
    })
}

/// The payload that asks whether the endpoint is alive.
pub(super) fn ping(api: &Api, session: &Session) -> Value {
    json!({
        "id": session.id,
        "application_id": api.config.application_id,
        "type": Kind::Ping as u8,
        "token": session.token,
        "version": 1,
        "user": api.world.user(session.user).as_deref(),
        "entitlements": [],
        "authorizing_integration_owners": {},
    })
}

/// What messages tell of the interaction they answer, its id aside.
pub(super) fn metadata(
    api: &Api,
    guild: GuildId,
    user: UserId,
    kind: Kind,
    message: Option<guildhall_domain::MessageId>,
) -> Value {
    let mut metadata = json!({
        "type": kind as u8,
        "user": api.world.user(user).as_deref(),
        "authorizing_integration_owners": { "0": guild },
    });
    if let Some(message) = message.filter(|_| kind == Kind::Component) {
        metadata["interacted_message_id"] = json!(message);
    }
    metadata
}

/// A channel as resolved data shows it.
pub(super) fn resolved_channel(api: &Api, guild: &Guild, channel: ChannelId, user: UserId) -> Value {
    let Ok(found) = guild.channel(channel) else { return Value::Null };
    let now = api.now();
    let mut value = json!(found.json(guild.id));
    value["permissions"] = json!(guild.channel_permissions(channel, user, now));
    value["app_permissions"] = json!(guild.channel_permissions(channel, api.world.bot_id(), now));
    value
}
