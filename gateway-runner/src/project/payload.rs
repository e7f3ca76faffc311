//! The few fields of each dispatched event that counting needs, borrowed from the frame.
//!
//! **Invariant:** shapes are Discord's (documentation, "Gateway events"), reduced to ids, flags and instants: no text
//! that people wrote is ever deserialised.

use std::borrow::Cow;

use guildhall_domain::{ChannelId, GuildId, MessageId, RoleId, UserId};
use serde::Deserialize;
use serde::de::IgnoredAny;

#[derive(Deserialize)]
pub(super) struct Dispatch<T> {
    pub(super) d: T,
}

/// A text that is borrowed where it stands without escapes; inside an `Option`, `Cow` alone would always be a copy.
#[derive(Deserialize)]
#[cfg_attr(test, derive(PartialEq, Debug))]
pub(super) struct Text<'a>(#[serde(borrow)] pub(super) Cow<'a, str>);

#[derive(Deserialize)]
#[cfg_attr(test, derive(PartialEq, Debug))]
pub(super) struct Ready<'a> {
    #[serde(borrow)]
    pub(super) session_id: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) resume_gateway_url: Cow<'a, str>,
    /// The guilds that the session is going to introduce.
    #[serde(default)]
    pub(super) guilds: Vec<UnavailableGuild>,
}

#[derive(Deserialize)]
#[cfg_attr(test, derive(PartialEq, Debug))]
pub(super) struct UnavailableGuild {
    pub(super) id: GuildId,
}

#[derive(Deserialize)]
#[cfg_attr(test, derive(PartialEq, Debug))]
pub(super) struct User {
    pub(super) id: UserId,
    #[serde(default)]
    pub(super) bot: bool,
}

/// `MESSAGE_CREATE` and `MESSAGE_UPDATE`.
#[derive(Deserialize)]
#[cfg_attr(test, derive(PartialEq, Debug))]
pub(super) struct Message {
    pub(super) id: MessageId,
    pub(super) channel_id: ChannelId,
    pub(super) guild_id: Option<GuildId>,
    pub(super) author: Option<User>,
    pub(super) webhook_id: Option<IgnoredAny>,
}

#[derive(Deserialize)]
#[cfg_attr(test, derive(PartialEq, Debug))]
pub(super) struct MessageDelete {
    pub(super) id: MessageId,
    pub(super) channel_id: ChannelId,
    pub(super) guild_id: Option<GuildId>,
}

#[derive(Deserialize)]
#[cfg_attr(test, derive(PartialEq, Debug))]
pub(super) struct MessageDeleteBulk {
    pub(super) ids: Vec<MessageId>,
    pub(super) channel_id: ChannelId,
    pub(super) guild_id: Option<GuildId>,
}

/// `MESSAGE_REACTION_*`; the two that clear carry no user.
#[derive(Deserialize)]
#[cfg_attr(test, derive(PartialEq, Debug))]
pub(super) struct Reaction {
    pub(super) message_id: MessageId,
    pub(super) channel_id: ChannelId,
    pub(super) guild_id: Option<GuildId>,
    pub(super) user_id: Option<UserId>,
}

/// `GUILD_MEMBER_*`, `GUILD_BAN_*`.
#[derive(Deserialize)]
#[cfg_attr(test, derive(PartialEq, Debug))]
pub(super) struct Member<'a> {
    pub(super) guild_id: GuildId,
    pub(super) user: User,
    #[serde(borrow)]
    pub(super) joined_at: Option<Text<'a>>,
}

#[derive(Deserialize)]
#[cfg_attr(test, derive(PartialEq, Debug))]
pub(super) struct VoiceState {
    pub(super) guild_id: Option<GuildId>,
    pub(super) channel_id: Option<ChannelId>,
    pub(super) user_id: UserId,
}

#[derive(Deserialize)]
#[cfg_attr(test, derive(PartialEq, Debug))]
pub(super) struct AuditLogEntry<'a> {
    pub(super) guild_id: GuildId,
    pub(super) id: MessageId,
    pub(super) user_id: Option<UserId>,
    #[serde(borrow)]
    pub(super) target_id: Option<Text<'a>>,
}

/// `GUILD_CREATE`, `GUILD_UPDATE`, `GUILD_DELETE`.
#[derive(Deserialize)]
#[cfg_attr(test, derive(PartialEq, Debug))]
pub(super) struct Guild {
    pub(super) id: GuildId,
    pub(super) member_count: Option<u32>,
    #[serde(default)]
    pub(super) voice_states: Vec<VoiceState>,
}

/// `CHANNEL_*`.
#[derive(Deserialize)]
#[cfg_attr(test, derive(PartialEq, Debug))]
pub(super) struct Channel {
    pub(super) id: ChannelId,
    pub(super) guild_id: Option<GuildId>,
}

#[derive(Deserialize)]
#[cfg_attr(test, derive(PartialEq, Debug))]
pub(super) struct RoleBody {
    pub(super) id: RoleId,
}

/// `GUILD_ROLE_CREATE` and `GUILD_ROLE_UPDATE`, which carry the role, and `GUILD_ROLE_DELETE`, which names it.
#[derive(Deserialize)]
#[cfg_attr(test, derive(PartialEq, Debug))]
pub(super) struct Role {
    pub(super) guild_id: GuildId,
    pub(super) role: Option<RoleBody>,
    pub(super) role_id: Option<RoleId>,
}

/// `THREAD_*`.
#[derive(Deserialize)]
#[cfg_attr(test, derive(PartialEq, Debug))]
pub(super) struct Thread {
    pub(super) id: ChannelId,
    pub(super) guild_id: Option<GuildId>,
    pub(super) parent_id: Option<ChannelId>,
    pub(super) owner_id: Option<UserId>,
    /// Only with `THREAD_CREATE`, and only when the thread did not exist before.
    #[serde(default)]
    pub(super) newly_created: bool,
}

/// `INVITE_CREATE` and `INVITE_DELETE`.
#[derive(Deserialize)]
#[cfg_attr(test, derive(PartialEq, Debug))]
pub(super) struct Invite {
    pub(super) guild_id: Option<GuildId>,
    pub(super) channel_id: ChannelId,
    pub(super) inviter: Option<User>,
    pub(super) target_user: Option<User>,
}
